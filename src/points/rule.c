/*
 * rule.c: the active points rules.
 */
#include "crm_member.h"
#include "condition/index.h"
#include "configuration.h"
#include "points/points.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

static Expiry *
ReadExpiry(const char *text)
{
	Expiry	   *expiry = palloc(sizeof(Expiry));

	const char *fault = ParseExpiry(text, expiry);

	if (fault != NULL)
		RefuseExpiry(ERRCODE_INVALID_PARAMETER_VALUE, text, fault);
	return expiry;
}

static Deficit
ParseDeficit(const char *name)
{
	static const char *const names[] = {"allow", "clamp", "refuse", "charge"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return (Deficit) i;
	}
	elog(ERROR, "unknown deficit policy \"%s\"", name);
}

static Interval *
IntervalColumn(uint64 row, int column)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);
	Interval   *interval;

	if (isnull)
		return NULL;
	interval = palloc(sizeof(Interval));
	*interval = *DatumGetIntervalP(value);
	return interval;
}

static Decimal
DecimalColumn(uint64 row, int column)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);
	Decimal		zero = {0, 0};

	return isnull ? zero : NumericToDecimal(DatumGetNumeric(value), "points type");
}

static void
LoadPointsTypes(RuleSet *set)
{
	static CrmQuery query = {"SELECT points_type, decimals, expiry, deficit, reinstatement, "
							 "hold_period, money_value, tender_share, tender_multiple, stored_value "
							 "FROM crm_member.points_type ORDER BY points_type", 0};
	int			n = RunQuery(&query, NULL, NULL, true, 0);
	MemoryContext old = MemoryContextSwitchTo(set->context);

	set->types = palloc0(sizeof(PointsType) * Max(n, 1));
	set->ntypes = n;
	for (int i = 0; i < n; i++)
	{
		bool		isnull;

		set->types[i].name = QueryText(i, 1);
		set->types[i].name_text = cstring_to_text(set->types[i].name);
		set->types[i].decimals = DatumGetInt16(QueryColumn(i, 2, &isnull));
		set->types[i].expiry = *ReadExpiry(QueryText(i, 3));
		set->types[i].deficit = ParseDeficit(QueryText(i, 4));
		set->types[i].reinstatement = IntervalColumn(i, 5);
		set->types[i].hold_period = IntervalColumn(i, 6);
		set->types[i].money_value = DecimalColumn(i, 7);
		set->types[i].tender_share = DecimalColumn(i, 8);
		set->types[i].tender_multiple = DecimalColumn(i, 9);
		set->types[i].stored_value = DatumGetBool(QueryColumn(i, 10, &isnull));
	}
	MemoryContextSwitchTo(old);
}

/* The constraints of points_rule keep this out of the table, but not out of a draft. */
static void
BadRule(const char *column, const char *value)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("a points rule cannot have %s \"%s\"", column, value ? value : "null"),
					errhint("Table crm_member.points_rule says what is allowed.")));
}

static AwardKind
ParseAward(const char *name)
{
	static const char *const names[] = {"fixed", "per_amount", "per_unit", "multiplier", "brackets"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return (AwardKind) i;
	}
	BadRule("award", name);
	return AWARD_FIXED;
}

/* Number a stack group: the same name, the same number. */
static int
GroupNumber(RuleSet *set, List **names, const char *name)
{
	ListCell   *cell;

	if (name == NULL)
		return -1;
	foreach(cell, *names)
	{
		if (strcmp(lfirst(cell), name) == 0)
			return foreach_current_index(cell);
	}
	*names = lappend(*names, pstrdup(name));
	return set->ngroups++;
}

static LimitPeriod
ParsePeriod(const char *name)
{
	static const char *const names[] = {"day", "week", "month", "year"};

	for (int i = 0; name != NULL && i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return (LimitPeriod) (PERIOD_DAY + i);
	}
	if (name != NULL)
		BadRule("limit_period", name);
	return PERIOD_EVER;
}

static bool
ParseScope(const char *name)
{
	if (name == NULL || (strcmp(name, "line") != 0 && strcmp(name, "sale") != 0))
		BadRule("scope", name);
	return strcmp(name, "line") == 0;
}

/* A limit in points; none where it is null. */
static int64
LimitColumn(uint64 row, int column, const PointsType *type, const char *what)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);

	return isnull ? PG_INT64_MAX
		: RoundedMinor(DatumGetNumeric(value), type->decimals, ROUNDING_FLOOR, what);
}

#define RULE_COLUMNS \
	"SELECT rule_code, valid_from, valid_to, points_type, scope, condition, award, points, per, " \
	"brackets, rounding, whole_multiples, max_points, member_limit, limit_period, budget, " \
	"stack_group, stackable, pending, expiry "
#define RULE_ORDER \
	" WHERE active ORDER BY award OPERATOR(pg_catalog.=) 'multiplier', priority DESC, " \
	"rule_code COLLATE \"C\""

static char *
NumericText(Decimal value)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(DecimalToNumeric(value))));
}

static void
CheckNumbers(const Rule *rule)
{
	if (rule->points.units < 0 || rule->points.scale > 4 ||
		(rule->award == AWARD_MULTIPLIER &&
		 CompareDecimal(rule->points, (Decimal) {1, 0}) < 0))
		BadRule("points", NumericText(rule->points));
	if (rule->per.units <= 0 || rule->per.scale > 4)
		BadRule("per", NumericText(rule->per));
}

static bool
SameInterval(const Interval *a, const Interval *b)
{
	return a == b || (a != NULL && b != NULL && a->month == b->month && a->day == b->day &&
					  a->time == b->time);
}

static bool
SameExpiry(const Expiry *a, const Expiry *b)
{
	return a->kind == b->kind && a->count == b->count && SameInterval(&a->after, &b->after) &&
		a->date == b->date;
}

/* Rules whose points become available and expire alike have one number. */
static void
NumberLot(RuleSet *set, int number)
{
	Rule	   *rule = &set->rules[number];

	for (int i = 0; i < set->nlots; i++)
	{
		const Rule *other = set->lot_rules[i];

		if (other->type == rule->type && SameInterval(other->pending, rule->pending) &&
			SameExpiry(other->expiry, rule->expiry))
		{
			rule->lot = i;
			return;
		}
	}
	rule->lot = set->nlots++;
	set->lot_rules[rule->lot] = rule;
}

static void
NoteTypeUse(RuleSet *set, const Rule *rule)
{
	TypeUse    *use = &set->uses_type[rule->type - set->types];
	bool		multiplies = rule->award == AWARD_MULTIPLIER;

	use->multiplied |= multiplies;
	use->displaces[multiplies] |= !rule->stackable || rule->stack_group >= 0;
}

static void
IndexRules(RuleSet *set)
{
	IndexedCondition *conditions = palloc(sizeof(IndexedCondition) * Max(set->nrules, 1));
	const uint64 *undecided;

	for (int i = 0; i < set->nrules; i++)
	{
		conditions[i].condition = set->rules[i].condition;
		conditions[i].from = set->rules[i].valid_from;
		conditions[i].to = set->rules[i].valid_to;
	}
	set->index = BuildConditionIndex(conditions, set->nrules);
	undecided = UndecidedConditions(set->index);
	for (int i = 0; i < set->nrules; i++)
		set->rules[i].undecided = undecided[i / 64] >> (i % 64) & 1;
	pfree(conditions);
}

/* The rules that a query gives, as the columns above. */
static void
LoadRules(RuleSet *set, CrmQuery *query, Datum *values)
{
	int			n = RunQuery(query, values, NULL, true, 0);
	List	   *groups = NIL;
	MemoryContext old = MemoryContextSwitchTo(set->context);

	set->rules = palloc0(sizeof(Rule) * Max(n, 1));
	set->uses_type = palloc0(sizeof(TypeUse) * Max(set->ntypes, 1));
	set->lot_rules = palloc(sizeof(Rule *) * Max(n, 1));
	set->nrules = n;
	for (int i = 0; i < n; i++)
	{
		Rule	   *rule = &set->rules[i];
		bool		isnull;
		Datum		value;
		char	   *text;

		rule->code = QueryText(i, 1);
		rule->code_text = cstring_to_text(rule->code);
		value = QueryColumn(i, 2, &isnull);
		rule->valid_from = isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
		value = QueryColumn(i, 3, &isnull);
		rule->valid_to = isnull ? DT_NOEND : DatumGetTimestampTz(value);
		text = QueryText(i, 4);
		rule->type = FindPointsType(set, text);
		rule->line_scope = ParseScope(QueryText(i, 5));
		value = QueryColumn(i, 6, &isnull);
		if (!isnull)
		{
			rule->condition = (Condition *) PG_DETOAST_DATUM_COPY(value);
			rule->uses_line = UsesSubject(rule->condition, SUBJECT_LINE);
			for (int a = 0; a < ATTRIBUTE_COUNT; a++)
				set->uses[a] |= UsesAttribute(rule->condition, a);
		}
		rule->award = ParseAward(QueryText(i, 7));
		rule->points = NumericToDecimal(DatumGetNumeric(QueryColumn(i, 8, &isnull)), "points");
		rule->per = NumericToDecimal(DatumGetNumeric(QueryColumn(i, 9, &isnull)), "per");
		value = QueryColumn(i, 10, &isnull);
		if (isnull ? rule->award == AWARD_BRACKETS
			: !ParseBrackets(DatumGetJsonbPCopy(value), &rule->brackets))
			BadRule("brackets", isnull ? NULL : "of another form");
		CheckNumbers(rule);
		rule->rounding = ParseRounding(QueryText(i, 11));
		rule->whole_multiples = DatumGetBool(QueryColumn(i, 12, &isnull));
		rule->max_points = LimitColumn(i, 13, rule->type, "max_points");
		rule->member_limit = LimitColumn(i, 14, rule->type, "member_limit");
		rule->limit_period = ParsePeriod(QueryText(i, 15));
		rule->budget = LimitColumn(i, 16, rule->type, "budget");
		set->limited |= rule->member_limit != PG_INT64_MAX || rule->budget != PG_INT64_MAX;
		rule->stack_group = GroupNumber(set, &groups, QueryText(i, 17));
		rule->stackable = DatumGetBool(QueryColumn(i, 18, &isnull));
		rule->pending = IntervalColumn(i, 19);
		text = QueryText(i, 20);
		rule->expiry = text ? ReadExpiry(text) : &rule->type->expiry;
		PrepareAward(rule);
		NumberLot(set, i);
		NoteTypeUse(set, rule);
	}
	IndexRules(set);
	MemoryContextSwitchTo(old);
}

static void
LoadRuleSet(void *contents, MemoryContext context)
{
	static CrmQuery query = {RULE_COLUMNS "FROM crm_member.points_rule" RULE_ORDER, 0};
	RuleSet    *set = contents;

	set->context = context;
	LoadPointsTypes(set);
	LoadRules(set, &query, NULL);
}

const RuleSet *
GetRuleSet(void)
{
	static Configuration rules = {
		"points rules", {"points_rule", "points_type"}, sizeof(RuleSet), LoadRuleSet};

	return GetConfigurationNow(&rules);
}

static void
RefuseDraft(void)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("rules must be an array of objects"),
					errhint("Each of them has columns of crm_member.points_rule as keys.")));
}

/* A typing mistake must not change what a draft says. */
static void
CheckDraft(Datum rules)
{
	static CrmQuery query = {
		"SELECT k FROM jsonb_array_elements($1) e LEFT JOIN LATERAL "
		"jsonb_object_keys(CASE jsonb_typeof(e) WHEN 'object' THEN e ELSE '{}' END) k ON true "
		"WHERE jsonb_typeof(e) OPERATOR(pg_catalog.<>) 'object' OR k NOT IN "
		"(SELECT attname FROM pg_attribute WHERE attrelid = 'crm_member.points_rule'::regclass "
		"AND attnum > 0 AND NOT attisdropped) LIMIT 1",
		1, {JSONBOID}};

	if (RunQuery(&query, &rules, NULL, true, 1) == 0)
		return;
	if (QueryText(0, 1) == NULL)
		RefuseDraft();
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("a points rule has no column \"%s\"", QueryText(0, 1)),
					errhint("Table crm_member.points_rule has the columns.")));
}

const RuleSet *
DraftRuleSet(Jsonb *rules)
{
	static CrmQuery query = {
		RULE_COLUMNS "FROM (SELECT coalesce(rule_code, 'rule ' || no) AS rule_code, "
		"coalesce(active, true) AS active, valid_from, valid_to, coalesce(priority, 0) AS priority, "
		"coalesce(points_type, 'points') AS points_type, coalesce(scope, 'sale') AS scope, condition, "
		"coalesce(award, 'none') AS award, coalesce(points, 0) AS points, coalesce(per, 1) AS per, "
		"brackets, coalesce(rounding, 'floor') AS rounding, "
		"coalesce(whole_multiples, false) AS whole_multiples, max_points, member_limit, "
		"limit_period, budget, stack_group, coalesce(stackable, true) AS stackable, pending, expiry "
		"FROM jsonb_array_elements($1) WITH ORDINALITY AS e (rule, no), "
		"jsonb_populate_record(NULL::crm_member.points_rule, e.rule)) draft" RULE_ORDER,
		1, {JSONBOID}};
	Datum		values[1] = {JsonbPGetDatum(rules)};
	RuleSet    *set = palloc0(sizeof(RuleSet));

	if (!JB_ROOT_IS_ARRAY(rules) || JB_ROOT_IS_SCALAR(rules))
		RefuseDraft();
	set->context = AllocSetContextCreate(CurrentMemoryContext, "crm_member draft of rules",
										 ALLOCSET_DEFAULT_SIZES);
	SPI_connect();
	CheckDraft(values[0]);
	LoadPointsTypes(set);
	LoadRules(set, &query, values);
	SPI_finish();
	return set;
}

const PointsType *
FindPointsType(const RuleSet *set, const char *name)
{
	for (int i = 0; i < set->ntypes; i++)
	{
		if (strcmp(set->types[i].name, name) == 0)
			return &set->types[i];
	}
	ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_POINTS_TYPE),
					errmsg("points type \"%s\" does not exist", name),
					errhint("Table crm_member.points_type lists them.")));
}
