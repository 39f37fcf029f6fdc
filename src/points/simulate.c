/*
 * simulate.c: what a draft set of rules would have given for recorded sales,
 * beside what was given.
 *
 * Sales go by in the order they happened, so that limits and budgets meet them as
 * they would have.  What a sale was given and would have been is put together by
 * rule; the parts are added to totals by what the caller wants kept apart.  Where
 * that is the sale itself, they are totals already.
 */
#include "crm_member.h"
#include "points/points.h"
#include "query.h"
#include "sale/history.h"
#include "setting.h"
#include "tier/tier.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

typedef enum Dimension
{
	BY_RULE,
	BY_MEMBER,
	BY_SALE,
	BY_STORE,
	BY_DAY
} Dimension;

static const char *const dimension_names[] = {"rule", "member", "sale", "store", "day"};

/* A text and its number. */
typedef struct NameEntry
{
	const char *key;
	int			number;
	uint32		hash;
	char		status;
} NameEntry;

#define SH_PREFIX names
#define SH_ELEMENT_TYPE NameEntry
#define SH_KEY_TYPE const char *
#define SH_KEY key
#define SH_HASH_KEY(table, key) hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(table, a, b) (strcmp(a, b) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#define NOTHING (-1)			/* number of a rule or store that is not kept apart, or is none */

typedef struct TotalKey
{
	int64		member_id;
	int64		sale_id;
	int			rule;
	int			type;
	int			store;
	DateADT		day;
} TotalKey;

typedef struct Total
{
	TotalKey	key;
	int64		sales;
	int64		points;
	int64		given;
	uint32		hash;
	char		status;
} Total;

#define SH_PREFIX totals
#define SH_ELEMENT_TYPE Total
#define SH_KEY_TYPE TotalKey
#define SH_KEY key
#define SH_HASH_KEY(table, key) hash_bytes((const unsigned char *) &(key), sizeof(TotalKey))
#define SH_EQUAL(table, a, b) (memcmp(&(a), &(b), sizeof(TotalKey)) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* What one rule gave and would have given for the sale at hand. */
typedef struct Part
{
	int			rule;
	int			type;
	int64		points;
	int64		given;
} Part;

typedef struct Simulation
{
	ReturnSetInfo *result;
	const RuleSet *set;
	bool		by[lengthof(dimension_names)];
	bool		with_given;
	MemoryContext sale_context; /* reset after each sale */
	names_hash *rules;
	int		   *number_of;		/* of each rule of the set; rules of one code share it */
	Datum	   *rule_names;		/* by number */
	int			nrules;
	int			max_rules;
	names_hash *stores;
	Datum	   *store_names;
	int			nstores;
	int			max_stores;
	Datum	   *type_names;
	Part	   *parts;			/* of the sale at hand */
	int			nparts;
	int			max_parts;
	int		   *part_of;		/* by rule and type: number in parts + 1 */
	int			max_part_of;
	totals_hash *totals;
} Simulation;

/* ---- names ---- */

static int
NameNumber(names_hash *names, Datum **texts, int *n, int *max, const char *text)
{
	bool		found;
	NameEntry  *entry = names_lookup(names, text);

	if (entry == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(names->ctx);

		entry = names_insert(names, pstrdup(text), &found);
		entry->number = *n;
		if (*n == *max)
		{
			*max *= 2;
			*texts = repalloc(*texts, sizeof(Datum) * *max);
		}
		(*texts)[(*n)++] = CStringGetTextDatum(text);
		MemoryContextSwitchTo(old);
	}
	return entry->number;
}

static int
RuleNumber(Simulation *simulation, const char *code)
{
	return NameNumber(simulation->rules, &simulation->rule_names, &simulation->nrules,
					  &simulation->max_rules, code);
}

static int
NumberOf(const Simulation *simulation, const Rule *rule)
{
	return simulation->number_of[rule - simulation->set->rules];
}

static int
StoreNumber(Simulation *simulation, const char *code)
{
	return code == NULL ? NOTHING
		: NameNumber(simulation->stores, &simulation->store_names, &simulation->nstores,
					 &simulation->max_stores, code);
}

/* ---- the parts of a sale ---- */

static Part *
FindPart(Simulation *simulation, int rule, int type)
{
	int			at = (rule + 1) * simulation->set->ntypes + type;
	Part	   *part;

	if (at >= simulation->max_part_of)
	{
		int			max = Max(2 * simulation->max_part_of, at + 1);

		simulation->part_of = repalloc(simulation->part_of, sizeof(int) * max);
		memset(simulation->part_of + simulation->max_part_of, 0,
			   sizeof(int) * (max - simulation->max_part_of));
		simulation->max_part_of = max;
	}
	if (simulation->part_of[at] > 0)
		return &simulation->parts[simulation->part_of[at] - 1];

	if (simulation->nparts == simulation->max_parts)
	{
		simulation->max_parts *= 2;
		simulation->parts = repalloc(simulation->parts, sizeof(Part) * simulation->max_parts);
	}
	part = &simulation->parts[simulation->nparts++];
	part->rule = rule;
	part->type = type;
	part->points = part->given = 0;
	simulation->part_of[at] = simulation->nparts;
	return part;
}

static void
AddSimulated(Simulation *simulation, List *awards)
{
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, awards)
	{
		const Award *award = lfirst(cell);
		int			type = award->type - simulation->set->types;

		if (!simulation->by[BY_RULE])
		{
			Part	   *part = FindPart(simulation, NOTHING, type);

			part->points = AddMinor(part->points, award->points);
			continue;
		}
		foreach(inner, award->grants)
		{
			const Grant *grant = lfirst(inner);
			Part	   *part = FindPart(simulation, NumberOf(simulation, grant->rule), type);

			part->points = AddMinor(part->points, grant->points);
		}
	}
}

static void
AddGiven(Simulation *simulation, const RecordedSale *recorded)
{
	for (int i = 0; i < recorded->ngiven; i++)
	{
		const Given *given = &recorded->given[i];
		const PointsType *type = FindPointsType(simulation->set, given->points_type);
		Part	   *part = FindPart(simulation, simulation->by[BY_RULE]
									? RuleNumber(simulation, given->rule_code) : NOTHING,
									type - simulation->set->types);

		part->given = AddMinor(part->given,
							   ExactMinor(DatumGetNumeric(given->points), type->decimals, "points"));
	}
}

/* ---- totals ---- */

static void
PutTotal(Simulation *simulation, const Total *total)
{
	const TotalKey *key = &total->key;
	int			decimals = simulation->set->types[key->type].decimals;
	bool		nulls[9] = {false};
	Datum		values[9];

	nulls[0] = key->rule == NOTHING;
	values[0] = nulls[0] ? (Datum) 0 : simulation->rule_names[key->rule];
	values[1] = simulation->type_names[key->type];
	nulls[2] = !simulation->by[BY_MEMBER];
	values[2] = Int64GetDatum(key->member_id);
	nulls[3] = key->store == NOTHING;
	values[3] = nulls[3] ? (Datum) 0 : simulation->store_names[key->store];
	nulls[4] = !simulation->by[BY_DAY];
	values[4] = DateADTGetDatum(key->day);
	values[5] = Int64GetDatum(total->sales);
	values[6] = NumericGetDatum(MinorToNumeric(total->points, decimals));
	nulls[7] = !simulation->with_given;
	values[7] = nulls[7] ? (Datum) 0 : NumericGetDatum(MinorToNumeric(total->given, decimals));
	nulls[8] = !simulation->by[BY_SALE];
	values[8] = Int64GetDatum(key->sale_id);
	tuplestore_putvalues(simulation->result->setResult, simulation->result->setDesc, values, nulls);
}

static void
AddToTotals(Simulation *simulation, const Sale *sale)
{
	const bool *by = simulation->by;
	Total		one;

	memset(&one, 0, sizeof(one));	/* no unset bytes in the key */
	one.sales = 1;
	one.key.store = NOTHING;
	if (by[BY_MEMBER])
		one.key.member_id = sale->member->member_id;
	if (by[BY_SALE])
		one.key.sale_id = sale->sale_id;
	if (by[BY_STORE])
		one.key.store = StoreNumber(simulation, sale->store);
	if (by[BY_DAY])
		one.key.day = BusinessDate(sale->sold_at);
	for (int i = 0; i < simulation->nparts; i++)
	{
		const Part *part = &simulation->parts[i];
		Total	   *total;
		bool		found;

		simulation->part_of[(part->rule + 1) * simulation->set->ntypes + part->type] = 0;
		one.key.rule = part->rule;
		one.key.type = part->type;
		one.points = part->points;
		one.given = part->given;
		if (by[BY_SALE])
		{
			PutTotal(simulation, &one);
			continue;
		}
		total = totals_insert(simulation->totals, one.key, &found);
		if (!found)
			total->sales = total->points = total->given = 0;
		total->sales++;
		total->points = AddMinor(total->points, part->points);
		total->given = AddMinor(total->given, part->given);
	}
	simulation->nparts = 0;
}

static void
PutTotals(Simulation *simulation)
{
	totals_iterator iterator;
	Total	   *total;

	totals_start_iterate(simulation->totals, &iterator);
	while ((total = totals_iterate(simulation->totals, &iterator)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(simulation->sale_context);
		PutTotal(simulation, total);
	}
}

/* ---- the run ---- */

static void
SimulateSales(Simulation *simulation, TimestampTz from, TimestampTz to)
{
	RuleUse    *use = BeginRuleUse(simulation->set, true, true);
	bool		uses[ATTRIBUTE_COUNT];
	TierReplay *replay;
	History    *history;
	RecordedSale *sales;
	EarnedSale	earned = {0};
	MemoryContext old;
	int			n;

	SPI_connect();
	replay = BeginTierReplay(simulation->set, from, to);
	memcpy(uses, simulation->set->uses, sizeof(uses));
	if (replay != NULL)
		uses[MEMBER_TIER] = uses[MEMBER_TIER_RANK] = false;
	history = OpenHistory(from, to, uses, simulation->with_given);
	old = MemoryContextSwitchTo(simulation->sale_context);
	while ((n = NextSales(history, &sales)) > 0)
	{
		for (int i = 0; i < n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (sales[i].sale.member == NULL || sales[i].sale.nlines == 0)
				continue;
			earned.sale = &sales[i].sale;
			if (replay != NULL)
				ReplayBuyer(replay, earned.sale);
			earned.awards = replay != NULL && ReplayReturns(replay, earned.sale)
				? EvaluateSale(simulation->set, earned.sale, use, NULL)
				: EvaluateTotals(simulation->set, earned.sale, use);
			if (replay != NULL)
				ReplayClimb(replay, simulation->set, use, &earned);
			AddSimulated(simulation, earned.awards);
			AddGiven(simulation, &sales[i]);
			AddToTotals(simulation, &sales[i].sale);
			MemoryContextReset(simulation->sale_context);
		}
	}
	PutTotals(simulation);
	MemoryContextSwitchTo(old);
	CloseHistory(history);
	SPI_finish();
}

static void
ReadDimensions(Simulation *simulation, ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		const char *name = nulls[i] ? "" : TextDatumGetCString(elements[i]);
		int			d = 0;

		while (d < lengthof(dimension_names) && strcmp(name, dimension_names[d]) != 0)
			d++;
		if (d == lengthof(dimension_names))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("\"by\" cannot contain \"%s\"", name),
							errhint("Points can be summed by rule, member, sale, store and day.")));
		simulation->by[d] = true;
	}
}

/* simulate_rules(from, to, rules, by, compare) */
PG_FUNCTION_INFO_V1(crm_simulate_rules);
Datum
crm_simulate_rules(PG_FUNCTION_ARGS)
{
	Simulation	simulation = {.result = (ReturnSetInfo *) fcinfo->resultinfo};
	MemoryContext context = CurrentMemoryContext;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return (Datum) 0;
	if (!PG_ARGISNULL(3))
		ReadDimensions(&simulation, PG_GETARG_ARRAYTYPE_P(3));
	else
		simulation.by[BY_RULE] = simulation.by[BY_MEMBER] = simulation.by[BY_STORE] = simulation.by[BY_DAY] = true;
	simulation.with_given = PG_ARGISNULL(4) || PG_GETARG_BOOL(4);
	simulation.set = PG_ARGISNULL(2) ? GetRuleSet() : DraftRuleSet(PG_GETARG_JSONB_P(2));

	simulation.sale_context = AllocSetContextCreate(context, "crm_member simulation",
													ALLOCSET_DEFAULT_SIZES);
	simulation.rules = names_create(context, 256, NULL);
	simulation.stores = names_create(context, 256, NULL);
	simulation.max_rules = simulation.max_stores = simulation.max_parts = 256;
	simulation.rule_names = palloc(sizeof(Datum) * simulation.max_rules);
	simulation.store_names = palloc(sizeof(Datum) * simulation.max_stores);
	simulation.parts = palloc(sizeof(Part) * simulation.max_parts);
	simulation.max_part_of = 1024;
	simulation.part_of = palloc0(sizeof(int) * simulation.max_part_of);
	simulation.type_names = palloc(sizeof(Datum) * Max(simulation.set->ntypes, 1));
	simulation.number_of = palloc(sizeof(int) * Max(simulation.set->nrules, 1));
	simulation.totals = totals_create(context, 1024, NULL);
	for (int i = 0; i < simulation.set->ntypes; i++)
		simulation.type_names[i] = CStringGetTextDatum(simulation.set->types[i].name);
	for (int i = 0; i < simulation.set->nrules; i++)
		simulation.number_of[i] = RuleNumber(&simulation, simulation.set->rules[i].code);
	SimulateSales(&simulation, PG_GETARG_TIMESTAMPTZ(0), PG_GETARG_TIMESTAMPTZ(1));
	return (Datum) 0;
}
