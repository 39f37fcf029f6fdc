/*
 * limit.c: what limited rules have given: to a member in a period, and to all
 * members out of a budget.
 *
 * Evaluation asks what is left and notes what it gives; both are recorded when
 * the sale is posted, with an update that refuses to pass the limit.  Where
 * somebody else was faster, the sale is evaluated again: the refused update has
 * locked the row, so the second reading is true until the end of the
 * transaction.  A rule without a limit costs nothing here.
 *
 * What a member's row stands for can be told from the journal, and is where there
 * is no row yet: so that a limit which a rule is given later counts what the rule
 * gave before.
 */
#include "crm_member.h"
#include "member/member.h"
#include "points/ledger.h"
#include "query.h"
#include "setting.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/hsearch.h"

typedef struct UseKey
{
	int64		member_id;		/* 0: all members, for the budget */
	int64		rule;			/* number in the set */
	int64		period;			/* first day */
} UseKey;

typedef struct Use
{
	UseKey		key;
	const Rule *rule;
	int64		limit;
	int64		recorded;		/* before this evaluation */
	bool		exists;			/* the row that says so */
	int64		given;			/* in it */
} Use;

struct RuleUse
{
	const RuleSet *set;
	HTAB	   *uses;
	bool		from_zero;		/* as if nothing had been given yet */
	bool		read_only;
	const Sale *forgotten;		/* what it was given does not count; NULL: none */
};

RuleUse *
BeginRuleUse(const RuleSet *set, bool from_zero, bool read_only)
{
	HASHCTL		control = {.keysize = sizeof(UseKey), .entrysize = sizeof(Use),
						   .hcxt = CurrentMemoryContext};
	RuleUse    *use;

	if (!set->limited)
		return NULL;
	use = palloc(sizeof(RuleUse));
	use->set = set;
	use->from_zero = from_zero;
	use->read_only = read_only;
	use->forgotten = NULL;
	use->uses = hash_create("crm_member rule use", 64, &control,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return use;
}

void
ForgetSale(RuleUse *use, const Sale *sale)
{
	if (use != NULL)
		use->forgotten = sale;
}

/* First day of the period a sale falls into. */
static DateADT
PeriodOf(LimitPeriod period, TimestampTz at)
{
	struct pg_tm tm;
	DateADT		day = BusinessDate(at);

	BusinessTime(at, &tm);
	switch (period)
	{
		case PERIOD_EVER:
			break;
		case PERIOD_DAY:
			return day;
		case PERIOD_WEEK:
			return day - (j2day(day + POSTGRES_EPOCH_JDATE) + 6) % 7;
		case PERIOD_MONTH:
			return date2j(tm.tm_year, tm.tm_mon, 1) - POSTGRES_EPOCH_JDATE;
		case PERIOD_YEAR:
			return date2j(tm.tm_year, 1, 1) - POSTGRES_EPOCH_JDATE;
	}
	return DATEVAL_NOBEGIN;
}

/* Who is the member $1, and what rule $2 gave them in the period from day $3. */
#define GIVEN_TO_OWN \
	"WITH RECURSIVE own AS (SELECT $1 AS member_id UNION ALL SELECT m.member_id FROM own, " \
	"LATERAL (SELECT m.member_id FROM crm_member.member m WHERE m.merged_into = own.member_id " \
	"OFFSET 0) m), given AS MATERIALIZED (SELECT own.member_id, " \
	"crm_member.rule_given(own.member_id, $2, $3, $4) AS points FROM own) "

static const char *const period_names[] = {NULL, "day", "week", "month", "year"};

static const char *
UseKeyDatums(const Use *one, Datum *values)
{
	const char *period = period_names[one->rule->limit_period];

	values[0] = Int64GetDatum(one->key.member_id);
	values[1] = CStringGetTextDatum(one->rule->code);
	values[2] = DateADTGetDatum((DateADT) one->key.period);
	values[3] = period == NULL ? (Datum) 0 : CStringGetTextDatum(period);
	return period == NULL ? "   n" : NULL;
}

static void
ReadUse(const RuleUse *use, Use *one)
{
	static CrmQuery query = {
		"SELECT points FROM crm_member.points_rule_use "
		"WHERE member_id = $1 AND rule_code = $2 AND period = $3",
		3, {INT8OID, TEXTOID, DATEOID}};
	static CrmQuery given = {
		GIVEN_TO_OWN "SELECT sum(points) FROM given",
		4, {INT8OID, TEXTOID, DATEOID, TEXTOID}};
	static CrmQuery forgotten = {
		"SELECT coalesce(pg_catalog.sum(r.points), 0) FROM crm_member.points_entry e, "
		"ROWS FROM (unnest(e.rules), unnest(e.rule_points)) r (rule_code, points) "
		"WHERE e.member_id = $1 AND e.sale_id = $2 AND e.kind = 'earn' AND r.rule_code = $3",
		3, {INT8OID, INT8OID, TEXTOID}};
	Datum		values[4];
	const char *nulls;

	one->exists = use->from_zero;
	one->recorded = 0;
	if (use->from_zero)
		return;
	nulls = UseKeyDatums(one, values);
	SPI_connect();
	one->exists = RunQuery(&query, values, NULL, use->read_only, 1) == 1;
	if (!one->exists && one->key.member_id != 0)
		RunQuery(&given, values, nulls, use->read_only, 1);
	if (one->exists || one->key.member_id != 0)
		one->recorded = PointsColumn(0, 1, one->rule->type);
	if (use->forgotten != NULL && one->recorded > 0)
	{
		values[0] = Int64GetDatum(use->forgotten->member_id);
		values[1] = Int64GetDatum(use->forgotten->sale_id);
		values[2] = CStringGetTextDatum(one->rule->code);
		RunQuery(&forgotten, values, NULL, use->read_only, 1);
		one->recorded = Max(one->recorded - PointsColumn(0, 1, one->rule->type), 0);
	}
	SPI_finish();
}

static Use *
FindUse(RuleUse *use, const Rule *rule, int64 member_id, DateADT period, int64 limit)
{
	UseKey		key = {member_id, rule - use->set->rules, period};
	bool		found;
	Use		   *one = hash_search(use->uses, &key, HASH_ENTER, &found);

	if (!found)
	{
		one->rule = rule;
		one->limit = limit;
		one->given = 0;
		ReadUse(use, one);
	}
	return one;
}

static Use *
MemberUse(RuleUse *use, const Rule *rule, const Sale *sale)
{
	return FindUse(use, rule, sale->member->member_id, PeriodOf(rule->limit_period, sale->sold_at),
				   rule->member_limit);
}

static Use *
BudgetUse(RuleUse *use, const Rule *rule)
{
	return FindUse(use, rule, 0, DATEVAL_NOBEGIN, rule->budget);
}

static void
LimitAllowance(const Use *use, const char *name, int64 *left, const char **cap)
{
	int64		unused = Max(use->limit - use->recorded - use->given, 0);

	if (unused < *left)
	{
		*left = unused;
		*cap = name;
	}
}

int64
RuleAllowance(RuleUse *use, const Rule *rule, const Sale *sale, const char **cap)
{
	int64		left = rule->max_points;

	*cap = "max_points";
	if (use != NULL && rule->member_limit != PG_INT64_MAX)
		LimitAllowance(MemberUse(use, rule, sale), "member_limit", &left, cap);
	if (use != NULL && rule->budget != PG_INT64_MAX)
		LimitAllowance(BudgetUse(use, rule), "budget", &left, cap);
	return left;
}

void
NoteRuleUse(RuleUse *use, const Rule *rule, const Sale *sale, int64 points)
{
	if (use == NULL)
		return;
	if (rule->member_limit != PG_INT64_MAX)
		MemberUse(use, rule, sale)->given += points;
	if (rule->budget != PG_INT64_MAX)
		BudgetUse(use, rule)->given += points;
}

/* Members' rows in order, then the budgets, which everybody meets, as late as can be. */
static int
CompareUses(const ListCell *a, const ListCell *b)
{
	const UseKey *x = &((const Use *) lfirst(a))->key;
	const UseKey *y = &((const Use *) lfirst(b))->key;

	if ((x->member_id == 0) != (y->member_id == 0))
		return x->member_id == 0 ? 1 : -1;
	if (x->member_id != y->member_id)
		return x->member_id < y->member_id ? -1 : 1;
	if (x->rule != y->rule)
		return x->rule < y->rule ? -1 : 1;
	return x->period < y->period ? -1 : x->period > y->period;
}

/* Make the row of a use, and those of who was merged into the member, who is locked. */
static void
MakeUse(const Use *one)
{
	static CrmQuery budget = {
		"INSERT INTO crm_member.points_rule_use (member_id, rule_code, period, points) "
		"VALUES ($1, $2, $3, 0) ON CONFLICT (member_id, rule_code, period) DO NOTHING",
		3, {INT8OID, TEXTOID, DATEOID}};
	static CrmQuery member = {
		GIVEN_TO_OWN ", made AS (INSERT INTO crm_member.points_rule_use "
		"(member_id, rule_code, period, points) SELECT $1, $2, $3, sum(points) FROM given "
		"ON CONFLICT (member_id, rule_code, period) DO NOTHING RETURNING member_id), "
		"merged AS (INSERT INTO crm_member.points_rule_use (member_id, rule_code, period, points) "
		"SELECT g.member_id, $2, $3, g.points FROM given g, made "
		"WHERE g.member_id <> $1 AND g.points > 0 "
		"ON CONFLICT (member_id, rule_code, period) DO NOTHING) "
		"INSERT INTO crm_member.merged_use (member_id, owner, rule_code, period, points) "
		"SELECT $1, g.member_id, $2, $3, g.points FROM given g, made "
		"WHERE g.member_id <> $1 AND g.points > 0 "
		"ON CONFLICT (member_id, owner, rule_code, period) DO NOTHING",
		4, {INT8OID, TEXTOID, DATEOID, TEXTOID}};
	Datum		values[4];
	const char *nulls = UseKeyDatums(one, values);

	if (one->key.member_id == 0)
		RunQuery(&budget, values, NULL, false, 0);
	else
		RunQuery(&member, values, nulls, false, 0);
}

/* Add points to a recorded use, unless that passes its limit, or it is gone: the rule has another. */
static bool
AddToUse(const Use *one, int64 points)
{
	static CrmQuery query = {
		"UPDATE crm_member.points_rule_use SET points = points + $4 "
		"WHERE member_id = $1 AND rule_code = $2 AND period = $3 AND points + $4 <= $5",
		5, {INT8OID, TEXTOID, DATEOID, NUMERICOID, NUMERICOID}};
	Datum		values[5];

	if (points == 0)
		return true;			/* a limit that came late may be passed already */
	UseKeyDatums(one, values);
	values[3] = PointsDatum(points, one->rule->type);
	values[4] = PointsDatum(one->limit, one->rule->type);
	return RunQuery(&query, values, NULL, false, 0) == 1;
}

bool
PostRuleUse(RuleUse *use)
{
	HASH_SEQ_STATUS scan;
	List	   *list = NIL;
	Use		   *used;
	int			done = 0;
	bool		posted;

	if (use == NULL)
		return true;
	hash_seq_init(&scan, use->uses);
	while ((used = hash_seq_search(&scan)) != NULL)
	{
		/* what was reckoned from the journal need not be again */
		if (used->given > 0 || (!used->exists && used->recorded > 0))
			list = lappend(list, used);
	}
	list_sort(list, CompareUses);

	SPI_connect();
	/* a merge under way is waited for: what it makes of a member has used what both did */
	for (int i = 0; i < list_length(list); i++)
	{
		int64		member_id = ((Use *) list_nth(list, i))->key.member_id;
		char	   *status;

		if (member_id != 0 && (i == 0 || ((Use *) list_nth(list, i - 1))->key.member_id != member_id) &&
			LockMember(member_id, &status) != member_id)
		{
			SPI_finish();
			return false;
		}
	}
	for (int i = 0; i < list_length(list); i++)
	{
		const Use  *one = list_nth(list, i);

		if (!one->exists)
			MakeUse(one);
	}
	while (done < list_length(list) &&
		   AddToUse(list_nth(list, done), ((Use *) list_nth(list, done))->given))
		done++;
	posted = done == list_length(list);
	while (!posted && done-- > 0)
		AddToUse(list_nth(list, done), -((Use *) list_nth(list, done))->given);
	SPI_finish();
	return posted;
}

void
AttributeUse(const EarnedSale *sales, int n)
{
	static const BatchColumn columns[] = {
		{"survivor", INT8OID}, {"owner", INT8OID}, {"rule_code", TEXTOID}, {"period", DATEOID},
		{"points", NUMERICOID}};
	static CrmQuery use_own = {
		"INSERT INTO crm_member.points_rule_use AS u (member_id, rule_code, period, points) "
		"SELECT owner, rule_code, period, sum(points) FROM batch GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 "
		"ON CONFLICT (member_id, rule_code, period) DO UPDATE SET points = u.points + excluded.points", 0};
	static CrmQuery take_over = {
		"INSERT INTO crm_member.merged_use AS u (member_id, owner, rule_code, period, points) "
		"SELECT survivor, owner, rule_code, period, sum(points) FROM batch GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 "
		"ON CONFLICT (member_id, owner, rule_code, period) DO UPDATE SET points = u.points + excluded.points", 0};
	RowBatch   *batch = NULL;
	ListCell   *cell;
	ListCell   *inner;

	for (int i = 0; i < n; i++)
	{
		const Sale *sale = sales[i].sale;

		if (sale->member == NULL || sale->member_id == sale->member->member_id)
			continue;
		foreach(cell, sales[i].awards)
		{
			foreach(inner, ((Award *) lfirst(cell))->grants)
			{
				const Grant *grant = lfirst(inner);
				Datum		values[5];
				bool		nulls[5] = {false};

				if (grant->rule->member_limit == PG_INT64_MAX || grant->points <= 0)
					continue;
				if (batch == NULL)
				{
					SPI_connect();
					batch = BeginBatch(columns, lengthof(columns));
				}
				values[0] = Int64GetDatum(sale->member->member_id);
				values[1] = Int64GetDatum(sale->member_id);
				values[2] = CStringGetTextDatum(grant->rule->code);
				values[3] = DateADTGetDatum(PeriodOf(grant->rule->limit_period, sale->sold_at));
				values[4] = NumericGetDatum(MinorToNumeric(grant->points, grant->rule->type->decimals));
				AddRow(batch, values, nulls);
			}
		}
	}
	if (batch == NULL)
		return;
	RunBatch(&use_own, batch);
	RunBatch(&take_over, batch);
	EndBatch(batch);
	SPI_finish();
}
