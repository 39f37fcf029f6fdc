/*
 * settle.c: sales that arrive as rows are settled by statement triggers.
 *
 * A sale is complete when its header and its lines are both there.  Whichever
 * statement brings the second of them settles it, in the order of the time of
 * sale within a member and who was merged into him, members by number: so the
 * ledger comes out as if every sale had been rung up when it happened, and two
 * loads lock accounts in the same order.
 *
 * Buyers are read as they are when their batch begins, each anew where it may
 * wait for somebody; whoever is merged until it is posted is seen by the account.
 *
 * Rows that arrive settled are history (a restore, or checkout() itself); their
 * lines must add up to what the sale says.
 */
#include "crm_member.h"
#include "member/member.h"
#include "points/points.h"
#include "query.h"
#include "sale/bulk.h"
#include "sale/row.h"
#include "table.h"
#include "tier/tier.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define FETCH_ROWS	 1000		/* rows read at a time */
#define WINDOW_SALES 50000		/* sales whose lines are read together, if at all */
#define CACHE_LINE	 64
#define BATCH_SALES	 200		/* sales posted together */
#define BATCH_MEMORY (2 * 1024 * 1024)	/* kept from one batch to the next */

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

/*
 * What to settle, if it has lines: headers in the order they are settled in.
 * These plans are made once and outlive any size of the tables, so their shape is
 * fixed: lateral subqueries with OFFSET 0 are walked by index, sale by sale.
 */
#define SALE_BY_KEY \
	"LATERAL (SELECT s.ctid AS tid, s.* FROM crm_member.sale s WHERE s.member_id = n.member_id " \
	"AND s.sale_id = n.sale_id OFFSET 0) s "
#define UNSETTLED_IN_ORDER \
	"LEFT JOIN LATERAL (SELECT k.root FROM crm_member.member_kin k WHERE k.member_id = s.member_id OFFSET 0) k ON true " \
	"WHERE s.settled_at IS NULL ORDER BY coalesce(k.root, s.member_id), s.sold_at, s.source COLLATE \"C\", " \
	"s.ref COLLATE \"C\", s.sale_id"

/* New headers, whose lines may have come before them. */
static CrmQuery complete_sales = {
	"SELECT " SALE_HEADER_COLUMNS ", s.tid FROM new_sale n, " SALE_BY_KEY UNSETTLED_IN_ORDER, 0};

/* Headers that waited for the new lines. */
static CrmQuery completed_sales = {
	"SELECT " SALE_HEADER_COLUMNS ", s.tid FROM "
	"(SELECT DISTINCT member_id, sale_id FROM new_sale_line) n, "
	SALE_BY_KEY UNSETTLED_IN_ORDER, 0};

/* All that wait, however they came to. */
static CrmQuery waiting_sales = {
	"SELECT " SALE_HEADER_COLUMNS ", s.tid FROM (SELECT s.ctid AS tid, s.* FROM crm_member.sale s) s "
	UNSETTLED_IN_ORDER, 0};

/* Settled sales that the new lines do not belong to. */
static CrmQuery find_tampered = {
	"SELECT s.source, s.ref FROM (SELECT DISTINCT member_id, sale_id FROM new_sale_line) n, "
	SALE_BY_KEY ", LATERAL (SELECT sum(l.amount) AS amount, sum(l.discount) AS discount "
	"FROM crm_member.sale_line l WHERE l.member_id = s.member_id AND l.sale_id = s.sale_id) l "
	"WHERE s.settled_at IS NOT NULL "
	"AND (s.amount, s.discount) IS DISTINCT FROM (l.amount, l.discount) ORDER BY 1, 2", 0};

/* Sales that are settled together. */
typedef struct Settlement
{
	const RuleSet *set;
	TableRows  *lines;
	bool		lines_read;		/* of all sales of the window: else each looks up its own */
	bool		judged_at_once; /* nobody is waited for before a batch is posted */
	BuyerRows  *buyers;			/* as they are for the batch; NULL: none was looked for */
	MemoryContext context;		/* of the sales, reset after each batch */
	RuleUse    *use;			/* of limited rules, in the context too */
	EarnedSale	sales[BATCH_SALES];
	int			n;
	int64		count;			/* settled so far */
	CrmQuery   *query;			/* that lists them */
	bool		locked;			/* nothing is to be locked ahead, or it is */
	const Member *member;		/* of the last sale, as it left him, in the context too */
	Standing   *standing;		/* of this member */
	int64		member_id;		/* with whom it was booked: he, or merged into him */
	bool		bought;			/* by sales that are about to enter the books */
} Settlement;

static void
ForgetBuyer(Settlement *settlement)
{
	if (settlement->buyers != NULL)
		CloseBuyers(settlement->buyers);
	settlement->buyers = NULL;
	settlement->member_id = -1;
	settlement->member = NULL;
	settlement->standing = NULL;
}

static const Member *
BuyerOf(Settlement *settlement, const Sale *sale)
{
	if (!settlement->judged_at_once || sale->member_id == CRM_GUEST)
		return LoadBuyer(sale->member_id);
	if (settlement->buyers == NULL)
		settlement->buyers = OpenBuyers();
	return BuyerFromRows(settlement->buyers, sale->member_id);
}

/* A sale is complete: judge it after those before it. */
static void
JudgeSale(Settlement *settlement, int i)
{
	EarnedSale *earned = &settlement->sales[i];
	bool		another = false;

	CHECK_FOR_INTERRUPTS();
	if (settlement->member_id != earned->sale->member_id)
	{
		const Member *member = BuyerOf(settlement, earned->sale);

		another = member == NULL || settlement->member == NULL ||
			member->member_id != settlement->member->member_id;
		if (another)
		{
			settlement->member = member;
			settlement->standing = BeginClimb(member, earned->sale->sold_at, true);
			settlement->bought = false;
		}
		settlement->member_id = earned->sale->member_id;
	}
	if (settlement->bought)
		earned->sale->first_purchase = NO_FIRST_PURCHASE;
	settlement->bought |= IsPurchase(earned->sale);
	earned->sale->member = settlement->member;
	earned->climb = NULL;
	earned->awards = EvaluateSale(settlement->set, earned->sale, settlement->use, NULL);
	settlement->member = ClimbTiers(settlement->set, settlement->use, settlement->standing, earned);
}

/*
 * The budget of a rule, which everybody meets, stays locked from the first batch
 * on: whoever waits for it may hold his member only, which must not be one that
 * is still to come.  So all of them are locked before.
 */
static void
LockAhead(Settlement *settlement)
{
	MemoryContext context = CurrentMemoryContext;
	Portal		portal = OpenQuery(settlement->query, NULL, false);
	int64		locked = CRM_GUEST;
	uint64		found;

	do
	{
		SPITupleTable *table;

		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		table = SPI_tuptable;
		found = SPI_processed;
		for (uint64 row = 0; row < found; row++)
		{
			bool		isnull;
			int64		member_id = DatumGetInt64(SPI_getbinval(table->vals[row], table->tupdesc, 1,
															   &isnull));
			char	   *status;

			CHECK_FOR_INTERRUPTS();
			if (member_id == locked || member_id == CRM_GUEST)
				continue;
			LockMember(member_id, &status);
			locked = member_id;
		}
		SPI_freetuptable(table);
	} while (found > 0);
	SPI_cursor_close(portal);
	MemoryContextSwitchTo(context);
	settlement->locked = true;
}

static bool
HasBudget(const RuleSet *set)
{
	for (int i = 0; i < set->nrules; i++)
	{
		if (set->rules[i].budget != PG_INT64_MAX)
			return true;
	}
	return false;
}

static void
PostBatch(Settlement *settlement)
{
	if (settlement->n == 0)
		return;
	if (settlement->n == BATCH_SALES && !settlement->locked)
		LockAhead(settlement);
	while (!PostRuleUse(settlement->use))
	{
		settlement->use = BeginRuleUse(settlement->set, false, false);
		ForgetBuyer(settlement);
		for (int i = 0; i < settlement->n; i++)
			JudgeSale(settlement, i);
	}
	AttributeUse(settlement->sales, settlement->n);
	PostAwards(settlement->set, settlement->sales, settlement->n);
	PostClimbs(settlement->sales, settlement->n);
	MarkSettled(settlement->sales, settlement->n);
	settlement->count += settlement->n;
	settlement->n = 0;
	ForgetBuyer(settlement);
	MemoryContextReset(settlement->context);
	settlement->use = BeginRuleUse(settlement->set, false, false);
}

/* A sale that a query lists; one without lines goes on waiting. */
static void
TakeSale(Settlement *settlement, Sale *sale)
{
	if (!settlement->lines_read)
		LoadLines(settlement->lines, sale);
	if (sale->nlines == 0)
		return;
	settlement->sales[settlement->n].sale = sale;
	settlement->sales[settlement->n].awards = NIL;
	JudgeSale(settlement, settlement->n++);
	if (settlement->n == BATCH_SALES)
		PostBatch(settlement);
}

static void
Prefetch(const void *from, Size size)
{
	for (Size at = 0; at < size; at += CACHE_LINE)
		__builtin_prefetch((const char *) from + at);
}

/* Sales lie in memory as they were found; what the next ones need is called for in time. */
static void
Approach(Sale *const *sales, int i, int n)
{
	if (i + 6 < n)
		Prefetch(sales[i + 6], sizeof(Sale));
	if (i + 4 < n)
		Prefetch(sales[i + 4]->lines, sizeof(SaleLine) * sales[i + 4]->nlines);
	if (i + 2 < n)
	{
		for (int l = 0; l < sales[i + 2]->nlines; l++)
			Prefetch(sales[i + 2]->lines[l].category, 1);
	}
}

static void
ReadHeader(HeapTuple row, TupleDesc desc, Sale *sale)
{
	Datum		values[SALE_HEADER_COUNT + 1];
	bool		nulls[SALE_HEADER_COUNT + 1];

	heap_deform_tuple(row, desc, values, nulls);
	ReadSaleCells(values, nulls, sale);
	sale->booking = true;
	sale->tid = *(ItemPointer) DatumGetPointer(values[SALE_HEADER_COUNT]);
}

/* The next headers and, where these are a good part of the table, all their lines. */
static Sale **
ReadWindow(Settlement *settlement, Portal portal, int *n)
{
	SPITupleTable *table;
	MemoryContext old = CurrentMemoryContext;
	Sale	   *headers;
	Sale	  **sales;

	SPI_cursor_fetch(portal, true, WINDOW_SALES);
	MemoryContextSwitchTo(old); /* which SPI leaves */
	table = SPI_tuptable;
	*n = SPI_processed;
	headers = MemoryContextAllocZero(old, sizeof(Sale) * Max(*n, 1));
	sales = palloc(sizeof(Sale *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		sales[i] = &headers[i];
		ReadHeader(table->vals[i], table->tupdesc, sales[i]);
	}
	SPI_freetuptable(table);

	settlement->lines_read = *n > BATCH_SALES && ReadAsWhole("sale_line", *n);
	if (settlement->lines_read)
		LoadManyLines(sales, *n);
	return sales;
}

/* Settle the sales whose headers a query lists. */
static int64
SettleSales(CrmQuery *query)
{
	Settlement *settlement = palloc0(sizeof(Settlement));
	MemoryContext window = AllocSetContextCreate(CurrentMemoryContext, "crm_member sales to settle",
												 ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = CurrentMemoryContext;
	Portal		portal;
	int			n;

	settlement->set = GetRuleSet();
	settlement->query = query;
	settlement->locked = !HasBudget(settlement->set);
	/* raising tiers and telling first purchases lock the member */
	settlement->judged_at_once = GetTierSet()->top_rank < 0 &&
		!settlement->set->uses[MEMBER_FIRST_PURCHASE];
	ForgetBuyer(settlement);
	settlement->context = AllocSetContextCreate(CurrentMemoryContext, "crm_member settlement",
												ALLOCSET_DEFAULT_MINSIZE, BATCH_MEMORY,
												ALLOCSET_DEFAULT_MAXSIZE);
	/* headers and lines are read by one snapshot */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	settlement->lines = OpenLines();
	portal = OpenQuery(query, NULL, true);
	do
	{
		Sale	  **sales;

		MemoryContextSwitchTo(window);
		sales = ReadWindow(settlement, portal, &n);
		MemoryContextSwitchTo(settlement->context);
		settlement->use = BeginRuleUse(settlement->set, false, false);
		for (int i = 0; i < n; i++)
		{
			if (settlement->lines_read)
				Approach(sales, i, n);
			TakeSale(settlement, sales[i]);
		}
		PostBatch(settlement);
		MemoryContextReset(window);
	} while (n > 0);
	MemoryContextSwitchTo(old);
	SPI_cursor_close(portal);
	CloseRows(settlement->lines);
	PopActiveSnapshot();
	MemoryContextDelete(settlement->context);
	MemoryContextDelete(window);
	return settlement->count;
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
