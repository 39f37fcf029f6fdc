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
#include "table.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

#define MAX_ALIAS 200

#define COUPON_COLUMNS \
	"c.code, c.template_code, c.status, c.uses, c.issued_at, c.valid_to, c.member_id, " \
	"c.held_until, c.held_by "

static char *
CutAlias(const char *text)
{
	const char *start = text;
	const char *end = text + strlen(text);

	while (*start == ' ')
		start++;
	while (end > start && end[-1] == ' ')
		end--;
	return end == start || pg_mbstrlen_with_len(start, end - start) > MAX_ALIAS ? NULL
		: asc_toupper(start, end - start);
}

char *
NormalizeAlias(const char *text)
{
	char	   *alias = CutAlias(text);

	if (alias == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a coupon code has 1 to %d characters", MAX_ALIAS)));
	return alias;
}

/* As COUPON_COLUMNS has them, and the table below. */
typedef enum CouponColumn
{
	COLUMN_CODE,
	COLUMN_TEMPLATE,
	COLUMN_STATUS,
	COLUMN_USES,
	COLUMN_ISSUED_AT,
	COLUMN_VALID_TO,
	COLUMN_MEMBER,
	COLUMN_HELD_UNTIL,
	COLUMN_HELD_BY,
	COUPON_NCOLUMNS
} CouponColumn;

static CrmTable coupon_table = {
	"coupon", .ncolumns = COUPON_NCOLUMNS, .columns = {
		{"code", InvalidOid}, {"template_code", TEXTOID}, {"status", TEXTOID}, {"uses", INT4OID},
		{"issued_at", TIMESTAMPTZOID}, {"valid_to", DATEOID}, {"member_id", INT8OID},
		{"held_until", TIMESTAMPTZOID}, {"held_by", TEXTOID}
	}
};

static CrmTable alias_table = {
	"coupon_alias", .ncolumns = 2, .columns = {{"alias", TEXTOID}, {"code", InvalidOid}}
};

static void
FillCoupon(Coupon *coupon, const Datum *values, const bool *nulls)
{
	char	   *status = TextDatumGetCString(values[COLUMN_STATUS]);

	coupon->code = DatumGetInt64(values[COLUMN_CODE]);
	coupon->template_code = TextDatumGetCString(values[COLUMN_TEMPLATE]);
	coupon->used = strcmp(status, "used") == 0;
	coupon->voided = strcmp(status, "void") == 0;
	coupon->uses = DatumGetInt32(values[COLUMN_USES]);
	coupon->issued_at = DatumGetTimestampTz(values[COLUMN_ISSUED_AT]);
	coupon->valid_until = nulls[COLUMN_VALID_TO] ? DT_NOEND
		: StartOfBusinessDay(DatumGetDateADT(values[COLUMN_VALID_TO]) + 1);
	coupon->member_id = nulls[COLUMN_MEMBER] ? CRM_GUEST : DatumGetInt64(values[COLUMN_MEMBER]);
	coupon->held_until = nulls[COLUMN_HELD_UNTIL] ? DT_NOBEGIN
		: DatumGetTimestampTz(values[COLUMN_HELD_UNTIL]);
	coupon->held_by = nulls[COLUMN_HELD_BY] ? NULL : TextDatumGetCString(values[COLUMN_HELD_BY]);
}

static bool
ReadCoupon(CrmQuery *query, Datum key, bool read_only, Coupon *coupon)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		found;

	SPI_connect();
	found = RunQuery(query, &key, NULL, read_only, 1) == 1;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);
		Datum		values[COUPON_NCOLUMNS];
		bool		nulls[COUPON_NCOLUMNS];

		for (int i = 0; i < COUPON_NCOLUMNS; i++)
			values[i] = QueryColumn(0, i + 1, &nulls[i]);
		FillCoupon(coupon, values, nulls);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return found;
}

static void
FillFromRow(TableRows *rows, Coupon *coupon)
{
	Datum		values[COUPON_NCOLUMNS];
	bool		nulls[COUPON_NCOLUMNS];

	for (int i = 0; i < COUPON_NCOLUMNS; i++)
		values[i] = RowColumn(rows, i, &nulls[i]);
	FillCoupon(coupon, values, nulls);
	coupon->tid = rows->row->tts_tid;
}

/* By code, without a statement where possible. */
static bool
FindByCode(int64 code, bool read_only, Coupon *coupon)
{
	static CrmQuery query = {
		"SELECT " COUPON_COLUMNS "FROM crm_member.coupon c "
		"WHERE c.code OPERATOR(crm_member.=) $1::crm_member.coupon_code",
		1, {INT8OID}};
	TableRows  *rows = read_only ? PeekRows(&coupon_table) : OpenRows(&coupon_table, ACL_SELECT);
	Datum		key = Int64GetDatum(code);
	bool		found;

	ItemPointerSetInvalid(&coupon->tid);
	if (rows == NULL)
		return ReadCoupon(&query, key, read_only, coupon);
	found = FindRow(rows, &key);
	if (found)
		FillFromRow(rows, coupon);
	CloseRows(rows);
	return found;
}

static bool
FindByAlias(const char *alias, bool read_only, Coupon *coupon)
{
	static CrmQuery query = {
		"SELECT " COUPON_COLUMNS "FROM crm_member.coupon_alias a JOIN crm_member.coupon c "
		"ON c.code OPERATOR(crm_member.=) a.code WHERE a.alias = $1",
		1, {TEXTOID}};
	TableRows  *rows = read_only ? PeekRows(&alias_table) : OpenRows(&alias_table, ACL_SELECT);
	Datum		key = CStringGetTextDatum(alias);
	int64		code = -1;
	bool		isnull;

	ItemPointerSetInvalid(&coupon->tid);
	if (rows == NULL)
		return ReadCoupon(&query, key, read_only, coupon);
	if (FindRow(rows, &key))
		code = DatumGetInt64(RowColumn(rows, 1, &isnull));
	CloseRows(rows);
	return code >= 0 && FindByCode(code, read_only, coupon);
}

static bool
HeldByOther(const Coupon *coupon, const char *holder)
{
	return coupon->held_until > GetCurrentTimestamp() &&
		(holder == NULL || coupon->held_by == NULL || strcmp(coupon->held_by, holder) != 0);
}

bool
KeptFor(const Coupon *coupon, int uses_allowed, const char *holder)
{
	return coupon->uses + 1 >= uses_allowed && HeldByOther(coupon, holder);
}

bool
UseSeenCoupon(const Coupon *coupon, int uses_allowed, const char *holder)
{
	static const int changed[] = {COLUMN_USES, COLUMN_STATUS, COLUMN_HELD_UNTIL, COLUMN_HELD_BY};
	ItemPointerData tid = coupon->tid;
	TableRows  *rows;
	Coupon		now;
	Datum		values[4];
	bool		nulls[4] = {false, false, true, true};
	bool		used = false;

	if (!ItemPointerIsValid(&tid))
		return false;
	rows = OpenRows(&coupon_table, ACL_SELECT | ACL_UPDATE);
	if (rows == NULL)
		return false;
	if (FetchRow(rows, &tid))
	{
		FillFromRow(rows, &now);
		if (now.code == coupon->code && now.uses == coupon->uses && !now.used && !now.voided &&
			now.uses < uses_allowed && !KeptFor(&now, uses_allowed, holder))
		{
			values[0] = Int32GetDatum(now.uses + 1);
			values[1] = CStringGetTextDatum(now.uses + 1 >= uses_allowed ? "used" : "active");
			values[2] = values[3] = (Datum) 0;
			/* another's hold stays */
			used = ChangeRow(rows, changed, HeldByOther(&now, holder) ? 2 : lengthof(changed),
							 values, nulls);
		}
	}
	CloseRows(rows);
	return used;
}

FoundCoupon
FindCoupon(const char *presented, bool read_only, Coupon *coupon)
{
	int64		code;
	CodeForm	form = ReadCode(presented, &code);
	char	   *alias;

	coupon->native = form == CODE_NATIVE;
	if (form == CODE_NATIVE)
	{
		if (FindByCode(code, read_only, coupon))
			return COUPON_FOUND;
		coupon->native = false;
	}
	if (form == CODE_MISTYPED && !AliasesLookNative())
		return COUPON_MISTYPED;
	alias = CutAlias(presented);
	if (alias != NULL && FindByAlias(alias, read_only, coupon))
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
						errmsg("coupon \"%s\" does not exist", ShownCode(presented))));
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
