/*
 * rule.c: the active points rules, cached for the session.
 *
 * A set is built aside in a context of its own and swapped in when it is
 * complete.  A sale in progress may still look at the set it began with, so the
 * old one goes with the transaction.
 */
#include "crm_member.h"
#include "points/points.h"
#include "query.h"
#include "catalog.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

static RuleSet *current = NULL;
static bool current_valid = false;

static char *
TextColumn(uint64 row, int column)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static Expiry *
ReadExpiry(const char *text)
{
	Expiry	   *expiry = palloc(sizeof(Expiry));

	if (!ParseExpiry(text, expiry))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("expiry \"%s\" is not understood", text)));
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
							 "hold_period, money_value, tender_share, tender_multiple "
							 "FROM crm_member.points_type ORDER BY points_type", 0};
	int			n = RunQuery(&query, NULL, NULL, true, 0);
	MemoryContext old = MemoryContextSwitchTo(set->context);

	set->types = palloc0(sizeof(PointsType) * Max(n, 1));
	set->ntypes = n;
	for (int i = 0; i < n; i++)
	{
		bool		isnull;

		set->types[i].name = TextColumn(i, 1);
		set->types[i].decimals = DatumGetInt16(QueryColumn(i, 2, &isnull));
		set->types[i].expiry = *ReadExpiry(TextColumn(i, 3));
		set->types[i].deficit = ParseDeficit(TextColumn(i, 4));
		set->types[i].reinstatement = IntervalColumn(i, 5);
		set->types[i].hold_period = IntervalColumn(i, 6);
		set->types[i].money_value = DecimalColumn(i, 7);
		set->types[i].tender_share = DecimalColumn(i, 8);
		set->types[i].tender_multiple = DecimalColumn(i, 9);
	}
	MemoryContextSwitchTo(old);
}

static AwardKind
ParseAward(const char *name)
{
	static const char *const names[] = {"fixed", "per_amount", "per_unit", "multiplier"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return (AwardKind) i;
	}
	elog(ERROR, "unknown award \"%s\"", name);
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

static void
LoadRules(RuleSet *set)
{
	static CrmQuery query = {
		"SELECT rule_code, valid_from, valid_to, points_type, scope, condition, award, points, per, "
		"rounding, whole_multiples, max_points, stack_group, stackable, pending, expiry "
		"FROM crm_member.points_rule WHERE active "
		"ORDER BY award = 'multiplier', priority DESC, rule_code COLLATE \"C\"",
		0};
	int			n = RunQuery(&query, NULL, NULL, true, 0);
	List	   *groups = NIL;
	MemoryContext old = MemoryContextSwitchTo(set->context);

	set->rules = palloc0(sizeof(Rule) * Max(n, 1));
	set->nrules = n;
	for (int i = 0; i < n; i++)
	{
		Rule	   *rule = &set->rules[i];
		bool		isnull;
		Datum		value;
		char	   *text;

		rule->code = TextColumn(i, 1);
		value = QueryColumn(i, 2, &isnull);
		rule->valid_from = isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
		value = QueryColumn(i, 3, &isnull);
		rule->valid_to = isnull ? DT_NOEND : DatumGetTimestampTz(value);
		text = TextColumn(i, 4);
		rule->type = FindPointsType(set, text);
		rule->line_scope = strcmp(TextColumn(i, 5), "line") == 0;
		value = QueryColumn(i, 6, &isnull);
		if (!isnull)
		{
			rule->condition = (Condition *) PG_DETOAST_DATUM_COPY(value);
			rule->uses_line = UsesSubject(rule->condition, SUBJECT_LINE);
			for (int a = 0; a < ATTRIBUTE_COUNT; a++)
				set->uses[a] |= UsesAttribute(rule->condition, a);
		}
		rule->award = ParseAward(TextColumn(i, 7));
		rule->points = NumericToDecimal(DatumGetNumeric(QueryColumn(i, 8, &isnull)), "points");
		rule->per = NumericToDecimal(DatumGetNumeric(QueryColumn(i, 9, &isnull)), "per");
		rule->rounding = ParseRounding(TextColumn(i, 10));
		rule->whole_multiples = DatumGetBool(QueryColumn(i, 11, &isnull));
		value = QueryColumn(i, 12, &isnull);
		rule->max_points = isnull ? PG_INT64_MAX
			: RoundedMinor(DatumGetNumeric(value), rule->type->decimals, ROUNDING_FLOOR,
						   "max_points");
		rule->stack_group = GroupNumber(set, &groups, TextColumn(i, 13));
		rule->stackable = DatumGetBool(QueryColumn(i, 14, &isnull));
		value = QueryColumn(i, 15, &isnull);
		if (!isnull)
		{
			rule->pending = palloc(sizeof(Interval));
			*rule->pending = *DatumGetIntervalP(value);
		}
		text = TextColumn(i, 16);
		rule->expiry = text ? ReadExpiry(text) : &rule->type->expiry;
	}
	MemoryContextSwitchTo(old);
}

const RuleSet *
GetRuleSet(void)
{
	static const char *const watched[] = {"points_rule", "points_type"};
	MemoryContext context;
	RuleSet    *set;

	if (current_valid)
		return current;

	WatchRelations(&current_valid, watched, lengthof(watched));
	current_valid = true;		/* before reading: a change meanwhile must not be lost */

	context = AllocSetContextCreate(CurrentMemoryContext, "crm_member rules", ALLOCSET_DEFAULT_SIZES);
	set = MemoryContextAllocZero(context, sizeof(RuleSet));
	set->context = context;

	PG_TRY();
	{
		BeginConfiguration("points_rule");
		LoadPointsTypes(set);
		LoadRules(set);
		EndConfiguration();
	}
	PG_CATCH();
	{
		current_valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();

	if (current != NULL)
		MemoryContextSetParent(current->context, TopTransactionContext);
	MemoryContextSetParent(context, CacheMemoryContext);
	current = set;
	return current;
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
