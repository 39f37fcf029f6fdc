/*
 * refund.c: goods that come back.
 */
#include "crm_member.h"
#include "coupon/coupon.h"
#include "query.h"
#include "sale/refund.h"
#include "sale/row.h"
#include "tier/tier.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

/* The answer that the first call with this reference gave; NULL: there was none. */
static Jsonb *
FirstAnswer(const RefundDocument *document, int64 digest)
{
	static CrmQuery query = {
		"SELECT d.digest, r.answer FROM crm_member.refund_ref d "
		"JOIN crm_member.refund r ON r.member_id = d.member_id AND r.refund_id = d.refund_id "
		"WHERE d.source = $1 AND d.ref = $2",
		2, {TEXTOID, TEXTOID}};
	MemoryContext caller = CurrentMemoryContext;
	Jsonb	   *answer = NULL;
	Datum		values[2];
	bool		isnull;

	values[0] = CStringGetTextDatum(document->source);
	values[1] = CStringGetTextDatum(document->ref);
	SPI_connect();
	if (RunQuery(&query, values, NULL, false, 1) == 1)
	{
		MemoryContext old;

		if (DatumGetInt64(QueryColumn(0, 1, &isnull)) != digest)
			ereport(ERROR, (errcode(ERRCODE_CRM_REFERENCE_REUSED),
							errmsg("refund \"%s\" of source \"%s\" was made with other content",
								   document->ref, document->source),
							errhint("A retry must send what the first call sent; another refund "
									"needs another \"ref\".")));
		old = MemoryContextSwitchTo(caller);
		answer = DatumGetJsonbPCopy(QueryColumn(0, 2, &isnull));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return answer;
}

/* Take source and ref; false: somebody else just did. */
static bool
ClaimRefund(Refund *refund, int64 digest)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.refund_ref (source, ref, member_id, refund_id, digest) "
		"VALUES ($1, $2, $3, $4, $5) ON CONFLICT (source, ref) DO NOTHING",
		5, {TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID}};
	Datum		values[5];
	bool		claimed;

	refund->refund_id = NewId();
	values[0] = CStringGetTextDatum(refund->document->source);
	values[1] = CStringGetTextDatum(refund->document->ref);
	values[2] = Int64GetDatum(refund->sale.member_id);
	values[3] = Int64GetDatum(refund->refund_id);
	values[4] = Int64GetDatum(digest);
	SPI_connect();
	claimed = RunQuery(&query, values, NULL, false, 0) == 1;
	SPI_finish();
	return claimed;
}

static void
FindRefundedSale(Refund *refund)
{
	static CrmQuery query = {
		"SELECT member_id, sale_id FROM crm_member.sale_ref WHERE source = $1 AND ref = $2",
		2, {TEXTOID, TEXTOID}};
	const RefundDocument *document = refund->document;
	Datum		values[2];
	bool		isnull;

	values[0] = CStringGetTextDatum(document->sale_source);
	values[1] = CStringGetTextDatum(document->sale_ref);
	SPI_connect();
	if (RunQuery(&query, values, NULL, false, 1) == 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_SALE),
						errmsg("source \"%s\" has no sale \"%s\"", document->sale_source,
							   document->sale_ref),
						errhint("\"sale_source\" names the source of the sale where it is not the "
								"refund's.")));
	refund->sale.member_id = DatumGetInt64(QueryColumn(0, 1, &isnull));
	refund->sale.sale_id = DatumGetInt64(QueryColumn(0, 2, &isnull));
	SPI_finish();
}

static int64
CountRefunds(const Refund *refund, bool read_only)
{
	static CrmQuery query = {
		"SELECT count(*) FROM crm_member.refund WHERE member_id = $1 AND sale_id = $2",
		2, {INT8OID, INT8OID}};
	Datum		values[2];
	bool		isnull;

	values[0] = Int64GetDatum(refund->sale.member_id);
	values[1] = Int64GetDatum(refund->sale.sale_id);
	RunQuery(&query, values, NULL, read_only, 1);
	return DatumGetInt64(QueryColumn(0, 1, &isnull));
}

/*
 * A lock alone is no update that a transaction with one snapshot could fail at, and
 * what others gave back after that snapshot it does not see.
 */
static void
RequireSeenRefunds(const Refund *refund)
{
	int64		there;

	if (!IsolationUsesXactSnapshot())
		return;
	PushActiveSnapshot(GetLatestSnapshot());
	there = CountRefunds(refund, true);
	PopActiveSnapshot();
	if (CountRefunds(refund, false) != there)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("could not serialize access due to concurrent refund")));
}

/* Refunds of one sale come one after the other. */
static void
LockSale(Refund *refund)
{
	static CrmQuery query = {
		"SELECT settled_at FROM crm_member.sale WHERE member_id = $1 AND sale_id = $2 "
		"FOR NO KEY UPDATE",
		2, {INT8OID, INT8OID}};
	Datum		values[2];
	bool		isnull = true;

	values[0] = Int64GetDatum(refund->sale.member_id);
	values[1] = Int64GetDatum(refund->sale.sale_id);
	SPI_connect();
	if (RunQuery(&query, values, NULL, false, 1) == 1)
		QueryColumn(0, 1, &isnull);
	RequireSeenRefunds(refund);
	SPI_finish();
	if (isnull)
		ereport(ERROR, (errcode(ERRCODE_CRM_SALE_UNSETTLED),
						errmsg("sale \"%s\" of source \"%s\" is not settled yet",
							   refund->document->sale_ref, refund->document->sale_source),
						errhint("It waits for its header or its lines.")));
	LoadSale(&refund->sale);
}

PG_FUNCTION_INFO_V1(crm_refund);
Datum
crm_refund(PG_FUNCTION_ARGS)
{
	Jsonb	   *jsonb = PG_GETARG_JSONB_P(0);
	Refund		refund = {.document = ReadRefundDocument(jsonb)};
	int64		digest = DocumentDigest(jsonb);
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext inner;
	Jsonb	   *answer = FirstAnswer(refund.document, digest);

	if (answer != NULL)
		PG_RETURN_JSONB_P(answer);
	FindRefundedSale(&refund);
	if (!ClaimRefund(&refund, digest))
		PG_RETURN_JSONB_P(FirstAnswer(refund.document, digest));

	LockForTiers(refund.sale.member_id, NULL);
	LockSale(&refund);
	refund.at = Max(refund.document->refunded_at, refund.sale.sold_at);
	ReckonGoods(&refund);
	if (refund.all)
		ReturnSaleCoupons(refund.sale.member_id, refund.sale.sale_id, refund.at);
	SPI_connect();
	MoveTender(&refund);
	inner = MemoryContextSwitchTo(caller);
	answer = RefundAnswer(&refund);
	MemoryContextSwitchTo(inner);
	InsertRefund(&refund, answer);
	SPI_finish();
	ReviewAfterReturn(refund.sale.member_id, refund.sale.sale_id, refund.at,
					  refund.document->actor);
	PG_RETURN_JSONB_P(answer);
}
