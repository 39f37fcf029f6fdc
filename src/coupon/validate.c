/*
 * validate.c: validate_coupon(), redeem_coupon() and best_coupons().
 *
 * The first two judge one coupon by itself on a sale as it was rung up; quote()
 * shows it together with others and with automatic promotions.
 */
#include "crm_member.h"
#include "argument.h"
#include "coupon/code.h"
#include "coupon/life.h"
#include "coupon/price.h"
#include "coupon/use.h"
#include "query.h"
#include "sale/json.h"
#include "setting.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* [{"line_no", "discount"}] of the lines it takes something off */
static Datum
LinesDatum(const Sale *sale, const SaleCoupon *coupon)
{
	JsonbParseState *state = NULL;
	int			scale = GetSetting()->money_scale;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < sale->nlines; i++)
	{
		if (coupon->line_discounts[i] == 0)
			continue;
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		PushNumber(&state, "line_no", sale->lines[i].line_no, 0);
		PushNumber(&state, "discount", coupon->line_discounts[i], scale);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL)));
}

static Datum
RecordDatum(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/* validate_coupon(code, sale): valid, sqlstate, reason, discount, lines */
PG_FUNCTION_INFO_V1(crm_validate_coupon);
Datum
crm_validate_coupon(PG_FUNCTION_ARGS)
{
	Sale	   *sale = PresentedSale(PG_GETARG_JSONB_P(1));
	Pricing    *pricing = BeginPricing(sale, true);
	SaleCoupon *coupon;
	Datum		values[5];
	bool		nulls[5] = {false};
	bool		valid;

	AddCode(pricing, text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	RunPricing(pricing);
	CheckPricing(pricing);
	FinishPricing(pricing);
	coupon = linitial(sale->coupons);
	valid = coupon->status == COUPON_APPLIED;
	values[0] = BoolGetDatum(valid);
	nulls[1] = nulls[2] = valid;
	if (!valid)
	{
		values[1] = CStringGetTextDatum(unpack_sql_state(coupon->sqlstate));
		values[2] = CStringGetTextDatum(coupon->reason);
	}
	values[3] = MoneyDatum(coupon->discount);
	nulls[4] = !valid;
	if (valid)
		values[4] = LinesDatum(sale, coupon);
	return RecordDatum(fcinfo, values, nulls);
}

/*
 * The redemption that the first call with this reference made, known of all that
 * are the member.  Whom a sale is attributed to may have changed since by a merge
 * or its undoing: then the same call is known among kin by its digest.
 */
static bool
FindUse(int64 member_id, const char *ref, int64 digest, Datum *values)
{
	static CrmQuery query = {
		"SELECT digest, discount, (SELECT coalesce(jsonb_agg(jsonb_build_object('line_no', l.line_no, "
		"'discount', l.discount) ORDER BY l.n), '[]') FROM unnest(line_nos, line_discounts) "
		"WITH ORDINALITY AS l (line_no, discount, n)), returned_at IS NOT NULL "
		"FROM (SELECT 0 AS place, u.* FROM crm_member.coupon_use u WHERE u.member_id = $1 AND u.ref = $2 "
		"UNION ALL SELECT 1, u.* FROM crm_member.member_kin k "
		"JOIN crm_member.member_kin o ON o.kin = k.kin AND o.member_id <> k.member_id "
		"JOIN crm_member.coupon_use u ON u.member_id = o.member_id AND u.ref = $2 "
		"AND (u.digest = $3 OR o.root = k.root) "
		"WHERE k.member_id = $1) u ORDER BY place, digest <> $3, member_id",
		3, {INT8OID, TEXTOID, INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	Datum		keys[3];
	bool		isnull;
	bool		found;

	keys[0] = Int64GetDatum(member_id);
	keys[1] = CStringGetTextDatum(ref);
	keys[2] = Int64GetDatum(digest);
	SPI_connect();
	found = RunQuery(&query, keys, NULL, false, 1) == 1;
	if (found)
	{
		MemoryContext old;

		if (DatumGetInt64(QueryColumn(0, 1, &isnull)) != digest ||
			DatumGetBool(QueryColumn(0, 4, &isnull)))
			RefuseReference(ref);
		old = MemoryContextSwitchTo(caller);
		values[0] = PointerGetDatum(PG_DETOAST_DATUM_COPY(QueryColumn(0, 2, &isnull)));
		values[1] = PointerGetDatum(PG_DETOAST_DATUM_COPY(QueryColumn(0, 3, &isnull)));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return found;
}

static bool
HasKin(int64 member_id)
{
	static CrmQuery query = {
		"SELECT FROM crm_member.member_kin WHERE member_id = $1", 1, {INT8OID}};
	Datum		value = Int64GetDatum(member_id);
	bool		found;

	SPI_connect();
	found = RunQuery(&query, &value, NULL, false, 1) > 0;
	SPI_finish();
	return found;
}

/* redeem_coupon(code, sale, ref, actor): discount, lines */
PG_FUNCTION_INFO_V1(crm_redeem_coupon);
Datum
crm_redeem_coupon(PG_FUNCTION_ARGS)
{
	char	   *code = RequiredText(fcinfo, 0, "code");
	char	   *ref = FilledText(fcinfo, 2, "ref");
	Jsonb	   *jsonb;
	Sale	   *sale;
	Pricing    *pricing;
	SaleCoupon *coupon;
	int64		digest;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	RequireArgument(fcinfo, 1, "sale");
	jsonb = PG_GETARG_JSONB_P(1);
	sale = AttributedSale(jsonb);
	sale->ref = ref;
	sale->actor = TextArgument(fcinfo, 3);
	pricing = BeginPricing(sale, false);
	AddCode(pricing, code, false);
	RunPricing(pricing);
	TakePricing(pricing);
	FinishPricing(pricing);
	coupon = linitial(sale->coupons);
	/* of the coupon as it is known, however the caller wrote it */
	digest = DocumentDigest(jsonb) ^
		(int64) hash_bytes_extended((unsigned char *) coupon->code, strlen(coupon->code), 0);
	if ((HasKin(sale->member_id) && FindUse(sale->member_id, ref, digest, values)) ||
		coupon->status != COUPON_APPLIED || !InsertUse(sale, coupon, ref, digest))
	{
		/* a retry finds the coupon used up, or its reference */
		GiveBackTaken(pricing);
		if (FindUse(sale->member_id, ref, digest, values))
			return RecordDatum(fcinfo, values, nulls);
		ereport(ERROR, (errcode(coupon->sqlstate == 0 ? ERRCODE_INTERNAL_ERROR : coupon->sqlstate),
						errmsg("coupon \"%s\" is refused", ShownCode(code)),
						errdetail("%s", coupon->reason == NULL ? "Its redemption vanished."
								  : coupon->reason)));
	}
	values[0] = MoneyDatum(coupon->discount);
	values[1] = LinesDatum(sale, coupon);
	return RecordDatum(fcinfo, values, nulls);
}

/* Coupons issued to the buyer, or to who is merged into him, that may be of use, the soonest to end first. */
static List *
Wallet(const Sale *sale)
{
	static CrmQuery query = {
		"SELECT c.code::text FROM (SELECT $1 AS member_id UNION SELECT o.member_id "
		"FROM crm_member.member_kin k JOIN crm_member.member_kin o ON o.kin = k.kin AND o.root = k.member_id "
		"WHERE k.member_id = $1) m CROSS JOIN LATERAL (SELECT * FROM crm_member.coupon c "
		"WHERE c.member_id = m.member_id OFFSET 0) c "
		"WHERE c.status = 'active' AND (c.valid_to IS NULL OR c.valid_to >= $2) "
		"ORDER BY c.valid_to, c.code USING OPERATOR(crm_member.<)",
		2, {INT8OID, DATEOID}};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[2] = {Int64GetDatum(sale->member_id),
							 DateADTGetDatum(BusinessDate(sale->sold_at))};
	List	   *codes = NIL;

	if (sale->member == NULL)
		return NIL;
	SPI_connect();
	RunQuery(&query, values, NULL, true, MAX_WALLET + 1);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);
		bool		isnull;

		codes = lappend(codes, TextDatumGetCString(QueryColumn(i, 1, &isnull)));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return codes;
}

static Datum
CodesDatum(const Sale *sale)
{
	ArrayBuildState *state = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	ListCell   *cell;

	foreach(cell, sale->coupons)
	{
		const SaleCoupon *coupon = lfirst(cell);

		if (coupon->status == COUPON_APPLIED && coupon->code != NULL)
			accumArrayResult(state, CStringGetTextDatum(coupon->code), false, TEXTOID,
							 CurrentMemoryContext);
	}
	return makeArrayResult(state, CurrentMemoryContext);
}

/* best_coupons(sale): codes, discount, payable, proven, bound, visited, coupons */
PG_FUNCTION_INFO_V1(crm_best_coupons);
Datum
crm_best_coupons(PG_FUNCTION_ARGS)
{
	Sale	   *sale = PresentedSale(PG_GETARG_JSONB_P(0));
	Pricing    *pricing = BeginPricing(sale, true);
	List	   *codes = sale->codes;
	JsonbParseState *state = NULL;
	Datum		values[7];
	bool		nulls[7] = {false};
	ListCell   *cell;

	if (codes == NIL)
		codes = Wallet(sale);
	if (sale->codes == NIL && list_length(codes) > MAX_WALLET)
	{
		codes = list_truncate(codes, MAX_WALLET);
		pricing->dropped = true;
	}
	foreach(cell, codes)
		AddCode(pricing, lfirst(cell), true);
	AddAutomatic(pricing);
	RunPricing(pricing);
	CheckPricing(pricing);
	FinishPricing(pricing);

	values[0] = CodesDatum(sale);
	values[1] = MoneyDatum(pricing->combination->discount);
	values[2] = MoneyDatum(SalePayable(sale));
	values[3] = BoolGetDatum(pricing->combination->proven);
	values[4] = MoneyDatum(pricing->combination->bound);
	values[5] = Int64GetDatum(pricing->combination->visited);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	PushCoupons(&state, sale);
	values[6] = DirectFunctionCall2(jsonb_object_field,
									JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state,
																					WJB_END_OBJECT,
																					NULL))),
									CStringGetTextDatum("coupons"));
	return RecordDatum(fcinfo, values, nulls);
}

TAKES_COUPON_CODE(validate_coupon)
TAKES_COUPON_CODE(redeem_coupon)
