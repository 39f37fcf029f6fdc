/*
 * use.c: redemptions as rows, with what a return needs to know.
 */
#include "crm_member.h"
#include "coupon/code.h"
#include "coupon/coupon.h"
#include "coupon/life.h"
#include "coupon/row.h"
#include "coupon/use.h"
#include "query.h"
#include "setting.h"
#include "table.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define USE_COLUMNS 16

/* false: the buyer has one with the same ref */
static bool
InsertUseRow(Datum *values, bool *nulls)
{
	static CrmTable table = {
		"coupon_use", .claimed_by = "coupon_use_ref", .ncolumns = USE_COLUMNS, .columns = {
			{"member_id", INT8OID}, {"use_id", INT8OID}, {"sale_id", INT8OID}, {"position", INT4OID},
			{"use_no", INT4OID}, {"used_at", TIMESTAMPTZOID}, {"code", InvalidOid},
			{"template_code", TEXTOID}, {"alias", TEXTOID}, {"discount", NUMERICOID},
			{"shipping", NUMERICOID}, {"line_nos", INT4ARRAYOID}, {"line_discounts", NUMERICARRAYOID},
			{"ref", TEXTOID}, {"digest", INT8OID}, {"actor", TEXTOID}
		}
	};
	static CrmQuery query = {
		"INSERT INTO crm_member.coupon_use (member_id, use_id, sale_id, position, use_no, used_at, "
		"code, template_code, alias, discount, shipping, line_nos, line_discounts, ref, digest, actor) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7::crm_member.coupon_code, $8, $9, $10, $11, $12, $13, "
		"$14, $15, $16) ON CONFLICT (member_id, ref) WHERE ref IS NOT NULL DO NOTHING",
		USE_COLUMNS, {INT8OID, INT8OID, INT8OID, INT4OID, INT4OID, TIMESTAMPTZOID, INT8OID, TEXTOID,
			TEXTOID, NUMERICOID, NUMERICOID, INT4ARRAYOID, NUMERICARRAYOID, TEXTOID, INT8OID, TEXTOID}};
	TableRows  *rows = OpenRows(&table, ACL_SELECT | ACL_INSERT);
	char		flags[USE_COLUMNS];
	bool		inserted = false;

	if (rows != NULL)
	{
		inserted = ClaimRow(rows, values, nulls);
		CloseRows(rows);
	}
	if (inserted)
		return true;
	for (int i = 0; i < USE_COLUMNS; i++)
		flags[i] = nulls[i] ? 'n' : ' ';
	SPI_connect();
	inserted = RunQuery(&query, values, flags, false, 0) == 1;
	SPI_finish();
	return inserted;
}

bool
InsertUse(const Sale *sale, const SaleCoupon *coupon, const char *ref, int64 digest)
{
	Datum	   *lines = palloc(sizeof(Datum) * Max(sale->nlines, 1));
	Datum	   *discounts = palloc(sizeof(Datum) * Max(sale->nlines, 1));
	Datum		values[USE_COLUMNS];
	bool		nulls[USE_COLUMNS] = {false};
	int			n = 0;

	for (int i = 0; i < sale->nlines; i++)
	{
		if (coupon->line_discounts[i] == 0)
			continue;
		lines[n] = Int32GetDatum(sale->lines[i].line_no);
		discounts[n++] = MoneyDatum(coupon->line_discounts[i]);
	}
	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(NewId());
	values[2] = Int64GetDatum(sale->sale_id);
	nulls[2] = sale->sale_id == 0;
	values[3] = Int32GetDatum(coupon->position);
	values[4] = Int32GetDatum(coupon->use_no);
	nulls[4] = coupon->use_no == 0;
	values[5] = TimestampTzGetDatum(sale->sold_at);
	values[6] = Int64GetDatum(coupon->number);
	nulls[6] = coupon->code == NULL;
	values[7] = CStringGetTextDatum(coupon->template_code);
	values[8] = TextOrNull(coupon->code == NULL || coupon->native ? NULL
						   : NormalizeAlias(coupon->code), &nulls[8]);
	values[9] = MoneyDatum(coupon->discount);
	values[10] = MoneyDatum(coupon->shipping);
	values[11] = ArrayOf(lines, NULL, n, INT4OID);
	values[12] = ArrayOf(discounts, NULL, n, NUMERICOID);
	values[13] = TextOrNull(ref, &nulls[13]);
	values[14] = Int64GetDatum(digest);
	nulls[14] = ref == NULL;
	values[15] = TextOrNull(sale->actor, &nulls[15]);
	return InsertUseRow(values, nulls);
}

/* refused, not best: what a repeated checkout() must answer again */
static void
InsertRefusal(const Sale *sale, const SaleCoupon *coupon, int position)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.coupon_refusal (member_id, sale_id, position, code, template_code, "
		"status, sqlstate, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		8, {INT8OID, INT8OID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}};
	Datum		values[8];
	char		nulls[8];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	values[2] = Int32GetDatum(position);
	values[3] = CStringGetTextDatum(coupon->code);
	values[4] = NullableText(coupon->template_code, &nulls[4]);
	values[5] = CStringGetTextDatum(coupon->status == COUPON_REFUSED ? "refused" : "not_best");
	values[6] = CStringGetTextDatum(unpack_sql_state(coupon->sqlstate));
	values[7] = NullableText(coupon->reason, &nulls[7]);
	SPI_connect();
	RunQuery(&query, values, nulls, false, 0);
	SPI_finish();
}

void
InsertSaleCoupons(const Sale *sale)
{
	ListCell   *cell;

	foreach(cell, sale->coupons)
	{
		const SaleCoupon *coupon = lfirst(cell);

		if (coupon->status == COUPON_APPLIED)
			InsertUse(sale, coupon, NULL, 0);
		else
			InsertRefusal(sale, coupon, foreach_current_index(cell) + 1);
	}
}

/* Applied ones in their order, then the others in theirs. */
void
LoadSaleCoupons(Sale *sale)
{
	static CrmQuery uses = {
		"SELECT coalesce(alias, code::text), template_code, discount "
		"FROM crm_member.coupon_use WHERE member_id = $1 AND sale_id = $2 ORDER BY position",
		2, {INT8OID, INT8OID}};
	static CrmQuery refusals = {
		"SELECT code, template_code, status, sqlstate, reason "
		"FROM crm_member.coupon_refusal WHERE member_id = $1 AND sale_id = $2 ORDER BY position",
		2, {INT8OID, INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[2];

	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	for (int applied = 1; applied >= 0; applied--)
	{
		SPI_connect();
		RunQuery(applied ? &uses : &refusals, values, NULL, false, 0);
		for (uint64 row = 0; row < SPI_processed; row++)
		{
			MemoryContext old = MemoryContextSwitchTo(caller);
			SaleCoupon *coupon = palloc0(sizeof(SaleCoupon));

			coupon->code = QueryText(row, 1);
			coupon->template_code = QueryText(row, 2);
			if (applied)
				coupon->discount = MoneyColumn(row, 3);
			else
			{
				const char *state = QueryText(row, 4);

				coupon->status = strcmp(QueryText(row, 3), "refused") == 0 ? COUPON_REFUSED
					: COUPON_NOT_BEST;
				coupon->sqlstate = MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]);
				coupon->reason = QueryText(row, 5);
			}
			sale->coupons = lappend(sale->coupons, coupon);
			MemoryContextSwitchTo(old);
		}
		SPI_finish();
	}
}

/* Does the coupon still hold at that time, so that a use of it is worth having back? */
static bool
StillHolds(const CouponTemplate *template, int64 code, TimestampTz at)
{
	Coupon		coupon;
	char		text[CODE_TEXT_SIZE];

	if (!template->release_on_refund || at >= template->valid_until)
		return false;
	if (code < 0)
		return true;
	WriteCode(code, text);
	return FindCoupon(text, false, &coupon) == COUPON_FOUND && !coupon.voided &&
		at < coupon.valid_until;
}

/* One use found by one of the queries below: use_id, member_id, code, template_code, discount */
static bool
ReturnUse(SPITupleTable *table, uint64 row, TimestampTz at, bool always)
{
	static CrmQuery mark = {
		"UPDATE crm_member.coupon_use SET returned_at = now() "
		"WHERE member_id = $1 AND use_id = $2 AND returned_at IS NULL",
		2, {INT8OID, INT8OID}};
	HeapTuple	tuple = table->vals[row];
	bool		isnull;
	int64		member_id = DatumGetInt64(SPI_getbinval(tuple, table->tupdesc, 2, &isnull));
	Datum		value = SPI_getbinval(tuple, table->tupdesc, 3, &isnull);
	int64		code = isnull ? -1 : DatumGetInt64(value);
	const CouponTemplate *template = FindTemplate(GetTemplateSet(),
												  SPI_getvalue(tuple, table->tupdesc, 4));
	int64		discount = ExactMinor(DatumGetNumeric(SPI_getbinval(tuple, table->tupdesc, 5, &isnull)),
									  GetSetting()->money_scale, "money");
	Datum		values[2];

	if (template == NULL || !(always || StillHolds(template, code, at)))
		return false;
	values[0] = Int64GetDatum(member_id);
	values[1] = SPI_getbinval(tuple, table->tupdesc, 1, &isnull);
	if (RunQuery(&mark, values, NULL, false, 0) != 1)
		return false;
	if (code >= 0 && template->uses > 0)
		ReturnCode(code);
	if (template->member_limit >= 0)
		ReturnTally(member_id, template);
	ReturnShare(template, 1, discount);
	if (code >= 0)
		RecordCouponEvent(member_id, "return", code, template->code, 1, NULL, NULL, NULL);
	return true;
}

int
ReturnSaleCoupons(int64 member_id, int64 sale_id, TimestampTz at)
{
	static CrmQuery find = {
		"SELECT use_id, member_id, code, template_code, discount FROM crm_member.coupon_use "
		"WHERE member_id = $1 AND sale_id = $2 AND returned_at IS NULL "
		"ORDER BY code USING OPERATOR(crm_member.<), template_code",
		2, {INT8OID, INT8OID}};
	Datum		values[2];
	SPITupleTable *table;
	uint64		found;
	int			count = 0;

	values[0] = Int64GetDatum(member_id);
	values[1] = Int64GetDatum(sale_id);
	SPI_connect();
	found = RunQuery(&find, values, NULL, false, 0);
	table = SPI_tuptable;
	for (uint64 row = 0; row < found; row++)
		count += ReturnUse(table, row, at, false);
	SPI_finish();
	return count;
}

bool
ReturnRedemption(int64 code, const char *ref, int64 buyer)
{
	static CrmQuery find = {
		"SELECT use_id, member_id, code, template_code, discount FROM crm_member.coupon_use u "
		"WHERE code OPERATOR(crm_member.=) $1::crm_member.coupon_code AND ref = $2 "
		"AND returned_at IS NULL AND ($3 < 0 OR member_id = $3 OR EXISTS ("
		"SELECT FROM crm_member.member_kin k JOIN crm_member.member_kin o ON o.kin = k.kin "
		"WHERE k.member_id = $3 AND o.member_id = u.member_id))",
		3, {INT8OID, TEXTOID, INT8OID}};
	Datum		values[3];
	uint64		found;
	bool		returned;

	values[0] = Int64GetDatum(code);
	values[1] = CStringGetTextDatum(ref);
	values[2] = Int64GetDatum(buyer);
	SPI_connect();
	found = RunQuery(&find, values, NULL, false, 2);
	if (found > 1)
		ereport(ERROR, (errcode(ERRCODE_CRM_REFERENCE_REUSED),
						errmsg("several buyers redeemed the coupon under reference \"%s\"", ref),
						errhint("Say whose redemption to give back with \"member_id\", 0 for a guest.")));
	returned = found == 1 && ReturnUse(SPI_tuptable, 0, 0, true);
	SPI_finish();
	return returned;
}
