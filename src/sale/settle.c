/*
 * settle.c: sales that arrive as rows are settled by statement triggers.
 *
 * A sale is complete when its header and its lines are both there.  Whichever
 * statement brings the second of them settles it, in the order of the time of
 * sale within a member, members by number: so the ledger comes out as if every
 * sale had been rung up when it happened, and two loads lock accounts in the
 * same order.
 *
 * Rows that arrive settled are history (a restore, or checkout() itself); their
 * lines must add up to what the sale says.
 */
#include "crm_member.h"
#include "points/points.h"
#include "query.h"
#include "sale/sale.h"

#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define FETCH_COUNT 1000

/* The directory takes the references of new sales; one that is there already is refused. */
static CrmQuery claim_refs = {
	"INSERT INTO crm_member.sale_ref (source, ref, member_id, sale_id) "
	"SELECT source, ref, member_id, sale_id FROM new_sale WHERE settled_at IS NULL "
	"ON CONFLICT (source, ref) DO NOTHING", 0};
static CrmQuery count_refs = {
	"SELECT count(*) FROM new_sale WHERE settled_at IS NULL", 0};
static CrmQuery find_repeated = {
	"SELECT n.source, n.ref FROM new_sale n WHERE n.settled_at IS NULL AND NOT EXISTS "
	"(SELECT FROM crm_member.sale_ref r WHERE r.source = n.source "
	"AND r.ref = n.ref AND r.sale_id = n.sale_id) "
	"ORDER BY 1, 2", 0};

/* New headers whose lines came before them. */
static CrmQuery complete_sales = {
	"SELECT n.member_id, n.sale_id FROM new_sale n WHERE n.settled_at IS NULL AND EXISTS "
	"(SELECT FROM crm_member.sale_line l WHERE l.member_id = n.member_id "
	"AND l.sale_id = n.sale_id) "
	"ORDER BY n.member_id, n.sold_at, n.source COLLATE \"C\", n.ref COLLATE \"C\"", 0};

/* Headers that waited for the new lines. */
static CrmQuery completed_sales = {
	"SELECT s.member_id, s.sale_id FROM "
	"(SELECT DISTINCT member_id, sale_id FROM new_sale_line) n JOIN crm_member.sale s "
	"ON s.member_id = n.member_id "
	"AND s.sale_id = n.sale_id WHERE s.settled_at IS NULL "
	"ORDER BY s.member_id, s.sold_at, s.source COLLATE \"C\", s.ref COLLATE \"C\"", 0};

/* Settled sales that the new lines do not belong to. */
static CrmQuery find_tampered = {
	"SELECT s.source, s.ref FROM "
	"(SELECT DISTINCT member_id, sale_id FROM new_sale_line) n JOIN crm_member.sale s "
	"ON s.member_id = n.member_id "
	"AND s.sale_id = n.sale_id, LATERAL "
	"(SELECT sum(l.amount) AS amount, sum(l.discount) AS discount "
	"FROM crm_member.sale_line l WHERE l.member_id = s.member_id "
	"AND l.sale_id = s.sale_id) l WHERE s.settled_at IS NOT NULL "
	"AND (s.amount, s.discount) IS DISTINCT FROM (l.amount, l.discount) ORDER BY 1, 2", 0};

/* All that wait, however they came to. */
static CrmQuery waiting_sales = {
	"SELECT s.member_id, s.sale_id FROM crm_member.sale s WHERE s.settled_at IS NULL AND EXISTS "
	"(SELECT FROM crm_member.sale_line l WHERE l.member_id = s.member_id "
	"AND l.sale_id = s.sale_id) "
	"ORDER BY s.member_id, s.sold_at, s.source COLLATE \"C\", s.ref COLLATE \"C\"", 0};

static void
SettleSale(const RuleSet *set, Sale *sale, const Member *member)
{
	if (LoadSale(sale) != DT_NOBEGIN)
		return;
	sale->member = member;
	if (member != NULL)
		PostAwards(sale, EvaluateSale(set, sale, NULL));
	MarkSettled(sale);
}

/* Buyers are checked as checkout() does. */
static const Member *
LoadBuyer(int64 member_id)
{
	Member	   *member;

	if (member_id == CRM_GUEST)
		return NULL;
	member = LoadMember(member_id);
	if (member == NULL)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_MEMBER),
						errmsg("member " INT64_FORMAT " does not exist", member_id)));
	RefuseInactive(member);
	return member;
}

/* Settle the sales that a query lists, the sales of a member one after the other. */
static int64
SettleSales(CrmQuery *query)
{
	const RuleSet *set = GetRuleSet();
	MemoryContext member_context = AllocSetContextCreate(CurrentMemoryContext, "crm_member buyer",
														 ALLOCSET_SMALL_SIZES);
	MemoryContext sale_context = AllocSetContextCreate(CurrentMemoryContext, "crm_member sale",
													   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = CurrentMemoryContext;
	const Member *member = NULL;
	int64		loaded = -1;
	int64		count = 0;
	Portal		portal = OpenQuery(query);

	for (;;)
	{
		SPITupleTable *table;
		uint64		found;

		SPI_cursor_fetch(portal, true, FETCH_COUNT);
		table = SPI_tuptable;
		found = SPI_processed;
		if (found == 0)
			break;
		for (uint64 i = 0; i < found; i++)
		{
			Sale		sale = {0};
			bool		isnull;

			CHECK_FOR_INTERRUPTS();
			sale.member_id = DatumGetInt64(SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull));
			sale.sale_id = DatumGetInt64(SPI_getbinval(table->vals[i], table->tupdesc, 2, &isnull));
			if (sale.member_id != loaded)
			{
				MemoryContextReset(member_context);
				MemoryContextSwitchTo(member_context);
				member = LoadBuyer(sale.member_id);
				loaded = sale.member_id;
			}
			MemoryContextReset(sale_context);
			MemoryContextSwitchTo(sale_context);
			SettleSale(set, &sale, member);
			MemoryContextSwitchTo(old);
			count++;
		}
		SPI_freetuptable(table);
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(sale_context);
	MemoryContextDelete(member_context);
	return count;
}

static char *
TextOfRow(int column)
{
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);
}

static void
ClaimReferences(void)
{
	uint64		claimed = RunQuery(&claim_refs, NULL, NULL, false, 0);
	bool		isnull;

	RunQuery(&count_refs, NULL, NULL, false, 0);
	if (claimed == DatumGetInt64(QueryColumn(0, 1, &isnull)))
		return;
	if (RunQuery(&find_repeated, NULL, NULL, false, 1) == 0)
		elog(ERROR, "sale references were not claimed");
	ereport(ERROR, (errcode(ERRCODE_CRM_REFERENCE_REUSED),
					errmsg("sale \"%s\" of source \"%s\" is there already", TextOfRow(2), TextOfRow(1)),
					errhint("To load a file again, leave out what is there: WHERE NOT EXISTS (SELECT "
							"FROM crm_member.sale_ref r WHERE r.source = ... AND r.ref = ...).")));
}

static void
RefuseTampering(void)
{
	if (RunQuery(&find_tampered, NULL, NULL, false, 1) > 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_SALE_SETTLED),
						errmsg("sale \"%s\" of source \"%s\" is settled and takes no more lines",
							   TextOfRow(2), TextOfRow(1)),
						errhint("Insert all lines of a sale in one statement, or the lines first and "
								"the header last.")));
}

static void
BeginTrigger(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("this is a trigger function")));
	SPI_connect();
	if (SPI_register_trigger_data((TriggerData *) fcinfo->context) < 0)
		elog(ERROR, "could not register transition tables");
}

PG_FUNCTION_INFO_V1(crm_settle_sale);
Datum
crm_settle_sale(PG_FUNCTION_ARGS)
{
	BeginTrigger(fcinfo);
	ClaimReferences();
	SettleSales(&complete_sales);
	SPI_finish();
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(crm_settle_sale_line);
Datum
crm_settle_sale_line(PG_FUNCTION_ARGS)
{
	BeginTrigger(fcinfo);
	RefuseTampering();
	SettleSales(&completed_sales);
	SPI_finish();
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(crm_settle_sales);
Datum
crm_settle_sales(PG_FUNCTION_ARGS)
{
	int64		count;

	SPI_connect();
	count = SettleSales(&waiting_sales);
	SPI_finish();
	PG_RETURN_INT64(count);
}
