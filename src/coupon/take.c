/*
 * take.c: taking uses from codes, member limits, campaign limits and budgets.
 *
 * Each is one conditional update that locks, decides and counts, so a limit
 * holds whoever else is at it, and a rollback or a crash gives back what was
 * taken.  Where there is no limit there is no counter.
 *
 * A campaign's limit and budget are split into shares, more than there are tills
 * at it at a time.  A session takes from a share that nobody is at, so sessions
 * do not wait for one another.  Where none such has enough it waits for one that
 * has; where no single one has, it locks all shares in their order, reckons
 * exactly, and spreads what is left anew, near the end over fewer and fewer.
 */
#include "crm_member.h"
#include "coupon/row.h"
#include "member/member.h"
#include "query.h"
#include "setting.h"
#include "table.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

/* A share should last for so many redemptions; else there are too many of them. */
#define USES_A_SHARE 8

/* NULL: there is no limit. */
static int64
BudgetColumn(uint64 row, int column)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);

	return isnull ? PG_INT64_MAX
		: ExactMinor(DatumGetNumeric(value), GetSetting()->money_scale, "budget");
}

static uint64
Run(CrmQuery *query, Datum *values, const char *nulls)
{
	uint64		count;

	SPI_connect();
	count = RunQuery(query, values, nulls, false, 0);
	SPI_finish();
	return count;
}

Taken
TakeCode(const Coupon *coupon, int uses_allowed, const char *holder, bool exactly, int *use_no)
{
	static CrmQuery query = {
		"UPDATE crm_member.coupon SET uses = uses + 1, "
		"status = CASE WHEN uses + 1 >= $2 THEN 'used' ELSE 'active' END, "
		"held_until = CASE WHEN held_by IS DISTINCT FROM $3 AND held_until > clock_timestamp() THEN held_until END, "
		"held_by = CASE WHEN held_by IS DISTINCT FROM $3 AND held_until > clock_timestamp() THEN held_by END "
		"WHERE code OPERATOR(crm_member.=) $1::crm_member.coupon_code "
		"AND status = 'active' AND uses < $2 AND ($4 < 0 OR uses = $4) "
		"AND (held_until IS NULL OR held_until <= clock_timestamp() OR held_by = $3 OR uses + 1 < $2) "
		"RETURNING uses",
		4, {INT8OID, INT4OID, TEXTOID, INT4OID}};
	Datum		values[4];
	char		nulls[4] = {' ', ' ', ' ', ' '};
	bool		isnull;
	Taken		taken = NOT_TAKEN_CODE;

	if (UseSeenCoupon(coupon, uses_allowed, holder))
	{
		*use_no = coupon->uses + 1;
		return TAKEN;
	}
	values[0] = Int64GetDatum(coupon->code);
	values[1] = Int32GetDatum(uses_allowed);
	values[2] = NullableText(holder, &nulls[2]);
	values[3] = Int32GetDatum(exactly ? coupon->uses : -1);
	SPI_connect();
	if (RunQuery(&query, values, nulls, false, 0) == 1)
	{
		*use_no = DatumGetInt32(QueryColumn(0, 1, &isnull));
		taken = TAKEN;
	}
	SPI_finish();
	return taken;
}

void
ReturnCode(int64 code)
{
	static CrmQuery query = {
		"UPDATE crm_member.coupon SET uses = uses - 1, "
		"status = CASE WHEN status = 'used' THEN 'active' ELSE status END "
		"WHERE code OPERATOR(crm_member.=) $1::crm_member.coupon_code AND uses > 0",
		1, {INT8OID}};
	Datum		values[1] = {Int64GetDatum(code)};

	Run(&query, values, NULL);
}

/* Uses in force of template $2 by member $1 and all that are merged into it. */
#define FAMILY_USES \
	"(SELECT count(*) FROM (SELECT $1 AS member_id UNION SELECT o.member_id FROM crm_member.member_kin k " \
	"JOIN crm_member.member_kin o ON o.kin = k.kin AND o.root = k.member_id WHERE k.member_id = $1) m " \
	"CROSS JOIN LATERAL (SELECT FROM crm_member.coupon_use u WHERE u.member_id = m.member_id " \
	"AND u.template_code = $2 AND u.returned_at IS NULL OFFSET 0) u)"

Taken
TakeTally(int64 member_id, const CouponTemplate *template)
{
	/* the first row counts what was redeemed while there was no limit */
	static CrmQuery query = {
		"INSERT INTO crm_member.coupon_tally AS t (member_id, template_code, uses) "
		"VALUES ($1, $2, 1 + " FAMILY_USES ") "
		"ON CONFLICT (member_id, template_code) DO UPDATE SET uses = t.uses + 1 "
		"WHERE t.uses < $3 RETURNING uses",
		3, {INT8OID, TEXTOID, INT4OID}};
	Datum		values[3];
	char	   *status;
	bool		isnull;
	int64		uses;

	SPI_connect();
	/* a merge under way is waited for: the use counts for whom it makes of the member */
	member_id = LockMember(member_id, &status);
	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(template->code);
	values[2] = Int32GetDatum(template->member_limit);
	uses = RunQuery(&query, values, NULL, false, 0) == 0 ? PG_INT64_MAX - 1
		: DatumGetInt64(QueryColumn(0, 1, &isnull));
	SPI_finish();
	if (uses <= template->member_limit)
		return TAKEN;
	if (uses != PG_INT64_MAX - 1)
		ReturnTally(member_id, template);
	return NOT_TAKEN_MEMBER;
}

void
ReturnTally(int64 member_id, const CouponTemplate *template)
{
	static CrmQuery own = {
		"UPDATE crm_member.coupon_tally SET uses = uses - 1 "
		"WHERE member_id = $1 AND template_code = $2 AND uses > 0",
		2, {INT8OID, TEXTOID}};
	/* who was merged, even while we waited, counts for its survivor too */
	static CrmQuery survivor = {
		"UPDATE crm_member.coupon_tally SET uses = uses - 1 "
		"WHERE member_id = (SELECT k.root FROM crm_member.member_kin k "
		"WHERE k.member_id = $1 AND k.root <> $1) AND template_code = $2 AND uses > 0",
		2, {INT8OID, TEXTOID}};
	Datum		values[2];

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(template->code);
	Run(&own, values, NULL);
	Run(&survivor, values, NULL);
}

int64
UsesByMember(int64 member_id, const CouponTemplate *template)
{
	static CrmQuery query = {
		"SELECT coalesce((SELECT uses FROM crm_member.coupon_tally "
		"WHERE member_id = $1 AND template_code = $2), " FAMILY_USES ")",
		2, {INT8OID, TEXTOID}};
	Datum		values[2];
	bool		isnull;
	int64		uses;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(template->code);
	SPI_connect();
	RunQuery(&query, values, NULL, true, 1);
	uses = DatumGetInt64(QueryColumn(0, 1, &isnull));
	SPI_finish();
	return uses;
}

void
LeftInShares(const CouponTemplate *template, int64 *uses, int64 *budget, bool read_only)
{
	static CrmQuery query = {
		"SELECT sum(uses_left)::int8, sum(budget_left) FROM crm_member.coupon_share "
		"WHERE template_code = $1",
		1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(template->code)};
	Datum		value;
	bool		isnull;

	SPI_connect();
	RunQuery(&query, values, NULL, read_only, 1);
	value = QueryColumn(0, 1, &isnull);
	*uses = isnull ? PG_INT64_MAX : DatumGetInt64(value);
	*budget = BudgetColumn(0, 2);
	SPI_finish();
}

/*
 * From one share, if it has enough.  An update that waits for a row and then
 * finds too little in it leaves the row locked, and who goes on to lock all
 * shares must hold none of them; so that lock ends with a subtransaction.
 */
static bool
TakeFromShare(const CouponTemplate *template, int share, int64 n, int64 spend)
{
	static CrmQuery query = {
		"UPDATE crm_member.coupon_share SET uses_left = uses_left - $4, "
		"budget_left = budget_left - $3, uses = uses + $4, spent = spent + $3 "
		"WHERE template_code = $1 AND share = $2 "
		"AND (uses_left IS NULL OR uses_left >= $4) AND (budget_left IS NULL OR budget_left >= $3)",
		4, {TEXTOID, INT4OID, NUMERICOID, INT8OID}};
	Datum		values[4];
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool		taken;

	values[0] = CStringGetTextDatum(template->code);
	values[1] = Int32GetDatum(share);
	values[2] = MoneyDatum(spend);
	values[3] = Int64GetDatum(n);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	taken = Run(&query, values, NULL) == 1;
	if (taken)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return taken;
}

/*
 * From all shares together, locked: exact.  What is left goes into as many
 * shares as can live on it.
 */
static Taken
TakeFromAll(const CouponTemplate *template, int64 n, int64 spend)
{
	static CrmQuery lock = {
		"SELECT share, uses_left, budget_left FROM crm_member.coupon_share "
		"WHERE template_code = $1 ORDER BY share FOR UPDATE",
		1, {TEXTOID}};
	static CrmQuery spread = {
		"UPDATE crm_member.coupon_share SET "
		"uses_left = $2 / $3 + CASE WHEN share < $2 % $3 THEN 1 ELSE 0 END "
		"  - CASE WHEN share >= $3 THEN $2 / $3 ELSE 0 END, "
		"budget_left = CASE WHEN share = 0 THEN $4 - trunc($4 / $3, $7) * ($3 - 1) "
		"  WHEN share < $3 THEN trunc($4 / $3, $7) ELSE $4 * 0 END, "
		"uses = uses + CASE WHEN share = $5 THEN $8 ELSE 0 END, "
		"spent = spent + CASE WHEN share = $5 THEN $6 ELSE 0 END "
		"WHERE template_code = $1",
		8, {TEXTOID, INT8OID, INT8OID, NUMERICOID, INT4OID, NUMERICOID, INT4OID, INT8OID}};
	Datum		values[8];
	char		nulls[8] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
	bool		limited = false;
	int64		uses = 0;
	int64		budget = template->has_budget ? 0 : PG_INT64_MAX;
	int64		rows;
	int64		shares;

	values[0] = CStringGetTextDatum(template->code);
	SPI_connect();
	rows = RunQuery(&lock, values, NULL, false, 0);
	/* templates are known as they are now, rows as of the snapshot */
	if (rows == 0)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("could not serialize access: coupon template \"%s\" was given another limit meanwhile",
							   template->code)));
	for (int64 i = 0; i < rows; i++)
	{
		bool		isnull;
		Datum		left = QueryColumn(i, 2, &isnull);

		limited |= !isnull;
		uses += isnull ? 0 : DatumGetInt64(left);
		if (template->has_budget)
			budget += BudgetColumn(i, 3);
	}
	SPI_finish();
	if (limited && uses < n)
		return NOT_TAKEN_LIMIT;
	if (budget < spend)
		return NOT_TAKEN_BUDGET;

	uses -= n;
	shares = rows;
	if (limited)
		shares = Min(shares, uses / USES_A_SHARE);
	if (template->has_budget)
	{
		budget -= spend;
		if (spend > 0)
			shares = Min(shares, budget / spend / USES_A_SHARE);
	}
	shares = Max(shares, 1);
	nulls[1] = limited ? ' ' : 'n';
	values[1] = Int64GetDatum(uses);
	values[2] = Int64GetDatum(shares);
	nulls[3] = template->has_budget ? ' ' : 'n';
	values[3] = template->has_budget ? MoneyDatum(budget) : (Datum) 0;
	values[4] = Int32GetDatum(MyProcPid % rows);
	values[5] = MoneyDatum(spend);
	values[6] = Int32GetDatum(GetSetting()->money_scale);
	values[7] = Int64GetDatum(n);
	Run(&spread, values, nulls);
	return TAKEN;
}

enum {SHARE_TEMPLATE, SHARE_NUMBER, SHARE_USES_LEFT, SHARE_BUDGET_LEFT, SHARE_USES, SHARE_SPENT};

static CrmTable share_table = {
	"coupon_share", .ncolumns = 6, .columns = {
		{"template_code", TEXTOID}, {"share", INT4OID}, {"uses_left", INT8OID},
		{"budget_left", NUMERICOID}, {"uses", INT8OID}, {"spent", NUMERICOID}
	}
};

/* The share that served this session last. */
static uint32 home = 0;

bool
ShareHas(const CouponTemplate *template, int64 enough_uses, int64 enough_budget, int64 *uses,
		 int64 *budget, bool read_only)
{
	TableRows  *rows = read_only ? PeekRows(&share_table) : OpenRows(&share_table, ACL_SELECT);
	Datum		key[2];
	bool		has = false;

	if (rows == NULL)
		return false;
	key[0] = CStringGetTextDatum(template->code);
	key[1] = Int32GetDatum(home % template->shares);
	if (FindRow(rows, key))
	{
		bool		no_limit;
		bool		no_budget;
		Datum		uses_left = RowColumn(rows, SHARE_USES_LEFT, &no_limit);
		Datum		budget_left = RowColumn(rows, SHARE_BUDGET_LEFT, &no_budget);

		*uses = no_limit ? PG_INT64_MAX : DatumGetInt64(uses_left);
		*budget = no_budget ? PG_INT64_MAX
			: ExactMinor(DatumGetNumeric(budget_left), GetSetting()->money_scale, "budget");
		has = *uses >= enough_uses && *budget >= enough_budget;
	}
	CloseRows(rows);
	return has;
}

/*
 * From whichever share has enough and nobody is at, beginning with the one that
 * served this session last, so that sessions settle on shares of their own.  A
 * share that will not do is left as it is, not even locked.  *busy: one that has
 * enough, but somebody is at it; -1: there is none.
 */
static bool
TakeFromFree(const CouponTemplate *template, int64 n, int64 spend, int *busy)
{
	static const int changed[] = {SHARE_USES_LEFT, SHARE_BUDGET_LEFT, SHARE_USES, SHARE_SPENT};
	int			scale = GetSetting()->money_scale;
	TableRows  *rows = OpenRows(&share_table, ACL_SELECT | ACL_UPDATE);
	Datum		key[2];
	bool		taken = false;

	*busy = -1;
	if (rows == NULL)
	{
		*busy = MyProcPid % template->shares;
		return false;
	}
	rows->impatient = true;
	if (home == 0)
		home = MyProcPid;
	key[0] = CStringGetTextDatum(template->code);
	for (int i = 0; i < template->shares && !taken; i++)
	{
		uint32		share = home + i;
		Datum		values[4];
		bool		nulls[4];
		bool		isnull;

		key[1] = Int32GetDatum(share % template->shares);
		if (!FindRow(rows, key))
			continue;
		values[0] = RowColumn(rows, SHARE_USES_LEFT, &nulls[0]);
		values[1] = RowColumn(rows, SHARE_BUDGET_LEFT, &nulls[1]);
		if (!nulls[0])
		{
			if (DatumGetInt64(values[0]) < n)
				continue;
			values[0] = Int64GetDatum(DatumGetInt64(values[0]) - n);
		}
		if (!nulls[1])
		{
			int64		left = ExactMinor(DatumGetNumeric(values[1]), scale, "budget");

			if (left < spend)
				continue;
			values[1] = MoneyDatum(left - spend);
		}
		values[2] = Int64GetDatum(DatumGetInt64(RowColumn(rows, SHARE_USES, &isnull)) + n);
		values[3] = MoneyDatum(AddMinor(ExactMinor(DatumGetNumeric(RowColumn(rows, SHARE_SPENT, &isnull)),
												   scale, "budget"), spend));
		nulls[2] = nulls[3] = false;
		taken = ChangeRow(rows, changed, lengthof(changed), values, nulls);
		if (taken)
			home = share;
		else if (*busy < 0)
			*busy = DatumGetInt32(key[1]);
	}
	CloseRows(rows);
	return taken;
}

Taken
TakeShare(const CouponTemplate *template, int64 n, int64 spend)
{
	int64		uses;
	int64		budget;
	int			busy;

	if (template->shares == 0 || TakeFromFree(template, n, spend, &busy) ||
		(busy >= 0 && TakeFromShare(template, busy, n, spend)))
		return TAKEN;

	/* what is gone in every committed state is gone: no need to lock */
	LeftInShares(template, &uses, &budget, false);
	if (uses < n)
		return NOT_TAKEN_LIMIT;
	if (budget < spend)
		return NOT_TAKEN_BUDGET;
	return TakeFromAll(template, n, spend);
}

void
ReturnShare(const CouponTemplate *template, int64 n, int64 spend)
{
	static CrmQuery query = {
		"UPDATE crm_member.coupon_share SET uses_left = uses_left + $4, "
		"budget_left = budget_left + $3, uses = uses - $4, spent = spent - $3 "
		"WHERE template_code = $1 AND share = $2",
		4, {TEXTOID, INT4OID, NUMERICOID, INT8OID}};
	Datum		values[4];
	int			busy;

	if (template->shares == 0 || TakeFromFree(template, -n, -spend, &busy))
		return;
	values[0] = CStringGetTextDatum(template->code);
	values[1] = Int32GetDatum(MyProcPid % template->shares);
	values[2] = MoneyDatum(spend);
	values[3] = Int64GetDatum(n);
	Run(&query, values, NULL);
}
