/*
 * row.c: coupons as rows, found by a native code or an imported one.
 *
 * A text that is a native code is found by its number.  Any other is looked up
 * among the imported codes, except that a mistyped native code is refused
 * without a look, as long as no imported code looks like one.
 */
#include "crm_member.h"
#include "coupon/code.h"
#include "coupon/row.h"
#include "query.h"
#include "setting.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

#define MAX_ALIAS 200

#define COUPON_COLUMNS \
	"c.code, c.template_code, c.status, c.uses, c.issued_at, c.valid_to, c.member_id, " \
	"c.held_until, c.held_by "

char *
NormalizeAlias(const char *text)
{
	const char *start = text;
	const char *end = text + strlen(text);
	char	   *upper;

	while (*start == ' ')
		start++;
	while (end > start && end[-1] == ' ')
		end--;
	upper = asc_toupper(start, end - start);
	if (*upper == '\0' || strlen(upper) > MAX_ALIAS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a coupon code has 1 to %d characters", MAX_ALIAS)));
	return upper;
}

static bool
ReadCoupon(CrmQuery *query, Datum key, bool read_only, Coupon *coupon)
{
	MemoryContext caller = CurrentMemoryContext;
	Datum		value;
	bool		isnull;
	bool		found;

	SPI_connect();
	found = RunQuery(query, &key, NULL, read_only, 1) == 1;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);
		char	   *status;

		coupon->code = DatumGetInt64(QueryColumn(0, 1, &isnull));
		coupon->template_code = TextDatumGetCString(QueryColumn(0, 2, &isnull));
		status = TextDatumGetCString(QueryColumn(0, 3, &isnull));
		coupon->used = strcmp(status, "used") == 0;
		coupon->voided = strcmp(status, "void") == 0;
		coupon->uses = DatumGetInt32(QueryColumn(0, 4, &isnull));
		coupon->issued_at = DatumGetTimestampTz(QueryColumn(0, 5, &isnull));
		value = QueryColumn(0, 6, &isnull);
		coupon->valid_until = isnull ? DT_NOEND : StartOfBusinessDay(DatumGetDateADT(value) + 1);
		value = QueryColumn(0, 7, &isnull);
		coupon->member_id = isnull ? CRM_GUEST : DatumGetInt64(value);
		value = QueryColumn(0, 8, &isnull);
		coupon->held_until = isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
		value = QueryColumn(0, 9, &isnull);
		coupon->held_by = isnull ? NULL : TextDatumGetCString(value);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return found;
}

FoundCoupon
FindCoupon(const char *presented, bool read_only, Coupon *coupon)
{
	static CrmQuery by_code = {
		"SELECT " COUPON_COLUMNS "FROM crm_member.coupon c "
		"WHERE c.code OPERATOR(crm_member.=) $1::crm_member.coupon_code",
		1, {INT8OID}};
	static CrmQuery by_alias = {
		"SELECT " COUPON_COLUMNS "FROM crm_member.coupon_alias a JOIN crm_member.coupon c "
		"ON c.code OPERATOR(crm_member.=) a.code WHERE a.alias = $1",
		1, {TEXTOID}};
	int64		code;
	CodeForm	form = ReadCode(presented, &code);

	coupon->native = form == CODE_NATIVE;
	if (form == CODE_NATIVE)
	{
		if (ReadCoupon(&by_code, Int64GetDatum(code), read_only, coupon))
			return COUPON_FOUND;
		coupon->native = false;
	}
	if (form == CODE_MISTYPED && !AliasesLookNative())
		return COUPON_MISTYPED;
	if (ReadCoupon(&by_alias, CStringGetTextDatum(NormalizeAlias(presented)), read_only, coupon))
		return COUPON_FOUND;
	return form == CODE_MISTYPED ? COUPON_MISTYPED : COUPON_UNKNOWN;
}

void
RequireCoupon(const char *presented, bool read_only, Coupon *coupon)
{
	FoundCoupon found = FindCoupon(presented, read_only, coupon);

	if (found == COUPON_MISTYPED)
		RefuseCode(presented, CODE_MISTYPED);
	if (found == COUPON_UNKNOWN)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_COUPON),
						errmsg("coupon \"%.40s\" does not exist", presented)));
}

int
NextUse(const Coupon *coupon, bool read_only)
{
	static CrmQuery query = {
		"SELECT use_no FROM crm_member.coupon_use "
		"WHERE code OPERATOR(crm_member.=) $1::crm_member.coupon_code AND returned_at IS NULL "
		"ORDER BY use_no",
		1, {INT8OID}};
	Datum		values[1] = {Int64GetDatum(coupon->code)};
	int			next = 1;

	SPI_connect();
	RunQuery(&query, values, NULL, read_only, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;

		if (DatumGetInt32(QueryColumn(i, 1, &isnull)) == next)
			next++;
	}
	SPI_finish();
	return next;
}
