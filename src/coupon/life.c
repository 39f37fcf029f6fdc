/*
 * life.c: the life of a coupon but for its use: issue, import, hold, void.
 */
#include "crm_member.h"
#include "argument.h"
#include "coupon/code.h"
#include "coupon/life.h"
#include "coupon/row.h"
#include "coupon/use.h"
#include "query.h"
#include "sale/sale.h"
#include "setting.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/date.h"

bool
RecordCouponEvent(int64 member_id, const char *act, int64 code, const char *template_code,
				  int64 codes, const char *ref, const char *reason, const char *actor)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.coupon_event "
		"(member_id, event_id, act, code, template_code, codes, ref, reason, actor) "
		"VALUES ($1, $2, $3, $4::crm_member.coupon_code, $5, $6, $7, $8, $9) "
		"ON CONFLICT (member_id, ref) WHERE ref IS NOT NULL AND act IN ('generate', 'issue', 'import') "
		"DO NOTHING",
		9, {INT8OID, INT8OID, TEXTOID, INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID}};
	Datum		values[9];
	char		nulls[9];
	bool		inserted;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(member_id);
	values[1] = Int64GetDatum(NewId());
	values[2] = CStringGetTextDatum(act);
	values[3] = Int64GetDatum(code);
	nulls[3] = code < 0 ? 'n' : ' ';
	values[4] = CStringGetTextDatum(template_code);
	values[5] = Int64GetDatum(codes);
	values[6] = NullableText(ref, &nulls[6]);
	values[7] = NullableText(reason, &nulls[7]);
	values[8] = NullableText(actor, &nulls[8]);
	SPI_connect();
	inserted = RunQuery(&query, values, nulls, false, 0) == 1;
	SPI_finish();
	return inserted;
}

void
RefuseReference(const char *ref)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_REFERENCE_REUSED),
					errmsg("reference \"%s\" was used for something else", ref),
					errhint("A retry must send what the first call sent; another act needs another "
							"reference.")));
}

bool
FindCouponEvent(int64 member_id, const char *act, const char *template_code, int64 codes,
				const char *ref, int64 *code)
{
	static CrmQuery query = {
		"SELECT act, template_code, codes, code FROM ("
		"SELECT 0 AS place, e.* FROM crm_member.coupon_event e WHERE e.member_id = $1 AND e.ref = $2 "
		"AND e.act IN ('generate', 'issue', 'import') "
		"UNION ALL SELECT 1, e.* FROM crm_member.member_kin k "
		"JOIN crm_member.member_kin o ON o.kin = k.kin AND o.root = k.root AND o.member_id <> k.member_id "
		"JOIN crm_member.coupon_event e ON e.member_id = o.member_id AND e.ref = $2 "
		"AND e.act IN ('generate', 'issue', 'import') WHERE k.member_id = $1) e ORDER BY place, member_id",
		2, {INT8OID, TEXTOID}};
	Datum		values[2];
	Datum		value;
	bool		isnull;
	bool		found;

	if (ref == NULL)
		return false;
	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(ref);
	SPI_connect();
	found = RunQuery(&query, values, NULL, false, 1) == 1;
	if (found)
	{
		if (strcmp(TextDatumGetCString(QueryColumn(0, 1, &isnull)), act) != 0 ||
			strcmp(TextDatumGetCString(QueryColumn(0, 2, &isnull)), template_code) != 0 ||
			DatumGetInt64(QueryColumn(0, 3, &isnull)) != codes)
			RefuseReference(ref);
		value = QueryColumn(0, 4, &isnull);
		*code = isnull ? -1 : DatumGetInt64(value);
	}
	SPI_finish();
	return found;
}

/* A coupon row of a code that no other has; member_id CRM_GUEST: whoever presents it. */
static int64
InsertCoupon(const CouponTemplate *template, int64 member_id)
{
	static CrmQuery count = {"SELECT nextval('crm_member.coupon_counter')", 0};
	static CrmQuery insert = {
		"INSERT INTO crm_member.coupon (code, template_code, member_id, valid_to) "
		"VALUES ($1::crm_member.coupon_code, $2, $3, $4)",
		4, {INT8OID, TEXTOID, INT8OID, DATEOID}};
	Datum		values[4];
	char		nulls[4] = {' ', ' ', ' ', ' '};
	bool		isnull;
	int64		code;

	SPI_connect();
	RunQuery(&count, NULL, NULL, false, 1);
	code = NumberOfCounter(DatumGetInt64(QueryColumn(0, 1, &isnull)));
	EncipherNumbers(&code, 1);
	values[0] = Int64GetDatum(code);
	values[1] = CStringGetTextDatum(template->code);
	values[2] = Int64GetDatum(member_id);
	nulls[2] = member_id == CRM_GUEST ? 'n' : ' ';
	nulls[3] = template->valid_days < 0 ? 'n' : ' ';
	values[3] = DateADTGetDatum(LastDay(template));
	RunQuery(&insert, values, nulls, false, 0);
	SPI_finish();
	return code;
}

DateADT
LastDay(const CouponTemplate *template)
{
	return BusinessDate(GetCurrentTransactionStartTimestamp()) + Max(template->valid_days, 0);
}

static void
RemoveCoupon(int64 code)
{
	static CrmQuery query = {
		"DELETE FROM crm_member.coupon WHERE code OPERATOR(crm_member.=) $1::crm_member.coupon_code",
		1, {INT8OID}};
	Datum		values[1] = {Int64GetDatum(code)};

	SPI_connect();
	RunQuery(&query, values, NULL, false, 0);
	SPI_finish();
}

/* issue_coupon(template_code, member_id, ref, actor) */
PG_FUNCTION_INFO_V1(crm_issue_coupon);
Datum
crm_issue_coupon(PG_FUNCTION_ARGS)
{
	const CouponTemplate *template = RequireTemplate(RequiredText(fcinfo, 0, "template_code"));
	int64		member_id = PG_ARGISNULL(1) ? CRM_GUEST : PG_GETARG_INT64(1);
	int64		root = CRM_GUEST;
	char	   *ref = FilledText(fcinfo, 2, "ref");
	int64		code;

	/* whom the call names keeps it, should a merge be undone */
	if (!PG_ARGISNULL(1))
		root = RequireMember(member_id, living_members);
	if (template->automatic)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("coupon template \"%s\" is an automatic promotion", template->code),
						errdetail("It is applied without a code.")));
	if (FindCouponEvent(member_id, "issue", template->code, 1, ref, &code) ||
		(root != member_id && FindCouponEvent(root, "issue", template->code, 1, ref, &code)))
		PG_RETURN_INT64(code);
	code = InsertCoupon(template, member_id);
	if (!RecordCouponEvent(member_id, "issue", code, template->code, 1, ref, NULL,
						   TextArgument(fcinfo, 3)))
	{
		/* the same call was faster: this code was never told to anybody */
		RemoveCoupon(code);
		if (!FindCouponEvent(member_id, "issue", template->code, 1, ref, &code))
			elog(ERROR, "issue with reference \"%s\" vanished", ref);
	}
	PG_RETURN_INT64(code);
}

/* Is the imported code there, and of this template?  Then its coupon. */
static bool
FindAlias(const char *alias, const CouponTemplate *template, int64 *code)
{
	static CrmQuery query = {
		"SELECT a.code, c.template_code FROM crm_member.coupon_alias a JOIN crm_member.coupon c "
		"ON c.code OPERATOR(crm_member.=) a.code WHERE a.alias = $1",
		1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(alias)};
	bool		isnull;
	bool		found;

	SPI_connect();
	found = RunQuery(&query, values, NULL, false, 1) == 1;
	if (found)
	{
		*code = DatumGetInt64(QueryColumn(0, 1, &isnull));
		if (strcmp(TextDatumGetCString(QueryColumn(0, 2, &isnull)), template->code) != 0)
			ereport(ERROR, (errcode(ERRCODE_CRM_COUPON_EXISTS),
							errmsg("coupon \"%s\" was imported before, for another template", alias)));
	}
	SPI_finish();
	return found;
}

static bool
InsertAlias(const char *alias, int64 code)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.coupon_alias (alias, code) "
		"VALUES ($1, $2::crm_member.coupon_code) ON CONFLICT (alias) DO NOTHING",
		2, {TEXTOID, INT8OID}};
	Datum		values[2];
	bool		inserted;

	values[0] = CStringGetTextDatum(alias);
	values[1] = Int64GetDatum(code);
	SPI_connect();
	inserted = RunQuery(&query, values, NULL, false, 0) == 1;
	SPI_finish();
	return inserted;
}

static void
RememberNativeShape(void)
{
	static CrmQuery query = {
		"UPDATE crm_member.coupon_secret SET native_shaped = true WHERE NOT native_shaped", 0};

	SPI_connect();
	RunQuery(&query, NULL, NULL, false, 0);
	SPI_finish();
}

/* import_coupon(template_code, code, member_id, actor): the native code it is kept under */
PG_FUNCTION_INFO_V1(crm_import_coupon);
Datum
crm_import_coupon(PG_FUNCTION_ARGS)
{
	const CouponTemplate *template = RequireTemplate(RequiredText(fcinfo, 0, "template_code"));
	char	   *alias = NormalizeAlias(RequiredText(fcinfo, 1, "code"));
	int64		member_id = PG_ARGISNULL(2) ? CRM_GUEST : PG_GETARG_INT64(2);
	int64		code;
	int64		native;
	CodeForm	form = ReadCode(alias, &native);

	if (!PG_ARGISNULL(2))
		RequireMember(member_id, living_members);
	if (template->automatic)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("coupon template \"%s\" is an automatic promotion", template->code),
						errdetail("It is applied without a code.")));
	if (FindAlias(alias, template, &code))
		PG_RETURN_INT64(code);
	if (form != CODE_OTHER && !AliasesLookNative())
		RememberNativeShape();
	code = InsertCoupon(template, member_id);
	if (InsertAlias(alias, code))
		RecordCouponEvent(member_id, "import", code, template->code, 1, NULL, NULL,
						  TextArgument(fcinfo, 3));
	else
	{
		RemoveCoupon(code);
		if (!FindAlias(alias, template, &code))
			elog(ERROR, "imported coupon \"%s\" vanished", alias);
	}
	PG_RETURN_INT64(code);
}

/* A coupon that cannot be held. */
static void
RefuseState(const Coupon *coupon)
{
	if (coupon->voided)
		ereport(ERROR, (errcode(ERRCODE_CRM_COUPON_VOID), errmsg("the coupon is void")));
	if (coupon->used)
		ereport(ERROR, (errcode(ERRCODE_CRM_COUPON_USED), errmsg("the coupon is used up")));
	ereport(ERROR, (errcode(ERRCODE_CRM_COUPON_HELD),
					errmsg("the coupon is held for another cart"),
					errdetail("It is held until %s.", timestamptz_to_str(coupon->held_until)),
					errhint("Wait, or release_coupon() with the reference it is held under.")));
}

/* hold_coupon(code, ref, hold_for, actor): held until when */
PG_FUNCTION_INFO_V1(crm_hold_coupon);
Datum
crm_hold_coupon(PG_FUNCTION_ARGS)
{
	static CrmQuery query = {
		"UPDATE crm_member.coupon SET held_until = $3, held_by = $2 "
		"WHERE code OPERATOR(crm_member.=) $1::crm_member.coupon_code AND status = 'active' "
		"AND (held_until IS NULL OR held_until <= clock_timestamp() OR held_by = $2)",
		3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};
	char	   *presented = RequiredText(fcinfo, 0, "code");
	char	   *ref = FilledText(fcinfo, 1, "ref");
	const CouponTemplate *template;
	Interval	zero = {0};
	Interval	quarter = {.time = 15 * USECS_PER_MINUTE};
	Interval   *hold_for = PG_ARGISNULL(2) ? &quarter : PG_GETARG_INTERVAL_P(2);
	TimestampTz until;
	Datum		values[3];
	Coupon		coupon;
	bool		held;

	if (DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(hold_for),
										  IntervalPGetDatum(&zero))) <= 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a coupon can only be held for some time"),
						errhint("\"hold_for\" must be a positive interval.")));
	RequireCoupon(presented, false, &coupon);
	until = AddBusinessInterval(GetCurrentTimestamp(), hold_for);
	/* who can use it any number of times need not keep others from it */
	template = FindTemplate(GetTemplateSet(), coupon.template_code);
	if (template != NULL && template->uses == 0 && !coupon.voided)
		PG_RETURN_TIMESTAMPTZ(until);
	values[0] = Int64GetDatum(coupon.code);
	values[1] = CStringGetTextDatum(ref);
	values[2] = TimestampTzGetDatum(until);
	SPI_connect();
	held = RunQuery(&query, values, NULL, false, 0) == 1;
	SPI_finish();
	if (!held)
	{
		RequireCoupon(presented, false, &coupon);
		RefuseState(&coupon);
	}
	RecordCouponEvent(coupon.member_id, "hold", coupon.code, coupon.template_code, 1, ref, NULL,
					  TextArgument(fcinfo, 3));
	PG_RETURN_TIMESTAMPTZ(until);
}

/* release_coupon(code, ref, actor, member_id): was it held or redeemed under this reference? */
PG_FUNCTION_INFO_V1(crm_release_coupon);
Datum
crm_release_coupon(PG_FUNCTION_ARGS)
{
	static CrmQuery query = {
		"UPDATE crm_member.coupon SET held_until = NULL, held_by = NULL "
		"WHERE code OPERATOR(crm_member.=) $1::crm_member.coupon_code AND held_by = $2",
		2, {INT8OID, TEXTOID}};
	char	   *ref = RequiredText(fcinfo, 1, "ref");
	Datum		values[2];
	Coupon		coupon;
	bool		released;

	RequireCoupon(RequiredText(fcinfo, 0, "code"), false, &coupon);
	values[0] = Int64GetDatum(coupon.code);
	values[1] = CStringGetTextDatum(ref);
	SPI_connect();
	released = RunQuery(&query, values, NULL, false, 0) == 1;
	SPI_finish();
	if (released)
		RecordCouponEvent(coupon.member_id, "release", coupon.code, coupon.template_code, 1, ref,
						  NULL, TextArgument(fcinfo, 2));
	else
		released = ReturnRedemption(coupon.code, ref, PG_ARGISNULL(3) ? -1 : PG_GETARG_INT64(3));
	PG_RETURN_BOOL(released);
}

/*
 * void_coupon(code, reason, ref, actor): was it void before? then false.  One that
 * is used up is voided too, so that no return gives its use back.
 */
PG_FUNCTION_INFO_V1(crm_void_coupon);
Datum
crm_void_coupon(PG_FUNCTION_ARGS)
{
	static CrmQuery query = {
		"UPDATE crm_member.coupon SET status = 'void', held_until = NULL, held_by = NULL "
		"WHERE code OPERATOR(crm_member.=) $1::crm_member.coupon_code AND status <> 'void'",
		1, {INT8OID}};
	Datum		values[1];
	Coupon		coupon;
	bool		voided;

	RequireCoupon(RequiredText(fcinfo, 0, "code"), false, &coupon);
	values[0] = Int64GetDatum(coupon.code);
	SPI_connect();
	voided = RunQuery(&query, values, NULL, false, 0) == 1;
	SPI_finish();
	if (voided)
		RecordCouponEvent(coupon.member_id, "void", coupon.code, coupon.template_code, 1,
						  TextArgument(fcinfo, 2), TextArgument(fcinfo, 1), TextArgument(fcinfo, 3));
	PG_RETURN_BOOL(voided);
}

TAKES_COUPON_CODE(hold_coupon)
TAKES_COUPON_CODE(release_coupon)
TAKES_COUPON_CODE(void_coupon)
