/*
 * effect.c: what rules gave, summed by rule over the whole journal.
 *
 * The executor hands each entry that sales earned straight to VisitEntry(): an
 * entry names its rules and their points in arrays, and what would be a row for
 * each of them, sorted and grouped, is added up here as it comes.  A rule is in
 * one entry of a sale only, since all that it gives there expires at once; it may
 * be there for several lines.  Members are told apart by a bit for each, in parts
 * that are made where a rule has one.
 */
#include "crm_member.h"
#include "points/points.h"
#include "dictionary.h"
#include "query.h"
#include "setting.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define PART_MEMBERS 4096

typedef struct MemberPart
{
	uint64		bits[PART_MEMBERS / 64];
} MemberPart;

typedef struct Effect
{
	int64		last_entry;		/* that it was met in */
	int64		sales;
	int64		members;
	Decimal		points;
	Decimal		turnover;
	bool		sold;			/* one of the sales is in the books */
	TimestampTz first_at;
	TimestampTz last_at;
	int64		nparts;
	MemberPart **parts;
} Effect;

typedef struct TypeEffects
{
	int64		nrules;
	Effect	  **of_rule;
} TypeEffects;

typedef struct Receiver
{
	MemoryContext context;
	MemoryContext entry_context;
	Dictionary *types;
	Dictionary *rules;
	Dictionary *members;
	int64		entries;
	int64		ntypes;			/* room, and so below */
	TypeEffects *of_type;
} Receiver;

/* Columns of the query. */
enum
{
	OF_TYPE,
	OF_MEMBER,
	OF_TIME,
	OF_TURNOVER,
	OF_RULES,
	OF_POINTS
};

static CrmQuery query = {
	"SELECT e.points_type, coalesce(a.root, e.member_id), e.at, s.amount - s.discount, e.rules, e.rule_points "
	"FROM crm_member.points_entry AS e "
	"LEFT JOIN crm_member.sale AS s ON s.member_id = e.member_id AND s.sale_id = e.sale_id "
	"LEFT JOIN crm_member.member_root AS a ON a.member_id = e.member_id "
	"WHERE e.kind = 'earn' AND e.rules IS NOT NULL", 0};

static Decimal
AtScale(Decimal value, int scale)
{
	while (value.scale < scale)
	{
		if (pg_mul_s64_overflow(value.units, 10, &value.units))
			ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("sum out of range")));
		value.scale++;
	}
	return value;
}

static void
AddTo(Decimal *sum, Datum value)
{
	Decimal		more = NumericToDecimal(DatumGetNumeric(value), "sum");

	*sum = AtScale(*sum, more.scale);
	sum->units = AddMinor(sum->units, AtScale(more, sum->scale).units);
}

/* Room for the item of that number, all zero where there was none. */
static void *
MakeRoom(MemoryContext context, void *items, int64 *n, int64 number, Size width)
{
	int64		before = *n;

	if (number < before)
		return items;
	*n = Max(8, number * 2);
	items = before == 0 ? MemoryContextAllocHuge(context, *n * width)
		: repalloc_huge(items, *n * width);
	memset((char *) items + before * width, 0, (*n - before) * width);
	return items;
}

static Effect *
FindEffect(Receiver *receiver, int64 type, int64 rule)
{
	TypeEffects *effects;
	Effect	  **effect;

	receiver->of_type = MakeRoom(receiver->context, receiver->of_type, &receiver->ntypes, type,
								 sizeof(TypeEffects));
	effects = &receiver->of_type[type];
	effects->of_rule = MakeRoom(receiver->context, effects->of_rule, &effects->nrules, rule,
								sizeof(Effect *));
	effect = &effects->of_rule[rule];
	if (*effect == NULL)
	{
		*effect = MemoryContextAllocZero(receiver->context, sizeof(Effect));
		(*effect)->first_at = DT_NOEND;
		(*effect)->last_at = DT_NOBEGIN;
	}
	return *effect;
}

static void
AddMember(Receiver *receiver, Effect *effect, int64 member)
{
	int64		part = member / PART_MEMBERS;
	int			place = member % PART_MEMBERS;
	uint64		bit = UINT64CONST(1) << (place % 64);

	effect->parts = MakeRoom(receiver->context, effect->parts, &effect->nparts, part,
							 sizeof(MemberPart *));
	if (effect->parts[part] == NULL)
		effect->parts[part] = MemoryContextAllocZero(receiver->context, sizeof(MemberPart));
	if ((effect->parts[part]->bits[place / 64] & bit) == 0)
	{
		effect->parts[part]->bits[place / 64] |= bit;
		effect->members++;
	}
}

static void
VisitEntry(void *reader, const Datum *values, const bool *nulls)
{
	Receiver   *receiver = reader;
	MemoryContext old = MemoryContextSwitchTo(receiver->entry_context);
	int64		entry = ++receiver->entries;
	int64		type;
	int64		member;
	TimestampTz at;
	Datum	   *rules;
	Datum	   *points;
	int			n;
	int			npoints;

	type = DictionaryIndex(receiver->types, values[OF_TYPE]);
	member = DictionaryIndex(receiver->members, values[OF_MEMBER]);
	at = DatumGetTimestampTz(values[OF_TIME]);
	deconstruct_array(DatumGetArrayTypeP(values[OF_RULES]), TEXTOID, -1, false, TYPALIGN_INT,
					  &rules, NULL, &n);
	deconstruct_array(DatumGetArrayTypeP(values[OF_POINTS]), NUMERICOID, -1, false,
					  TYPALIGN_INT, &points, NULL, &npoints);
	for (int i = 0; i < Min(n, npoints); i++)
	{
		Effect	   *effect = FindEffect(receiver, type, DictionaryIndex(receiver->rules, rules[i]));

		AddTo(&effect->points, points[i]);
		if (effect->last_entry == entry)
			continue;
		effect->last_entry = entry;
		effect->sales++;
		effect->first_at = Min(effect->first_at, at);
		effect->last_at = Max(effect->last_at, at);
		if (!nulls[OF_TURNOVER])
		{
			AddTo(&effect->turnover, values[OF_TURNOVER]);
			effect->sold = true;
		}
		AddMember(receiver, effect, member);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->entry_context);
}

/* rule_totals() */
PG_FUNCTION_INFO_V1(crm_rule_totals);
Datum
crm_rule_totals(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "crm_member rule totals",
												  ALLOCSET_DEFAULT_SIZES);
	Receiver   *receiver = MemoryContextAllocZero(context, sizeof(Receiver));
	int			money_scale = GetSetting()->money_scale;
	Datum	   *types;
	Datum	   *rules;
	int64	   *ranks;

	receiver->context = context;
	receiver->entry_context = AllocSetContextCreate(context, "entry", ALLOCSET_DEFAULT_SIZES);
	receiver->types = CreateDictionary(TEXTOID, C_COLLATION_OID, context);
	receiver->rules = CreateDictionary(TEXTOID, C_COLLATION_OID, context);
	receiver->members = CreateDictionary(INT8OID, InvalidOid, context);
	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	VisitRows(&query, NULL, VisitEntry, receiver);
	SPI_finish();

	DictionaryValues(receiver->types, &types, &ranks);
	DictionaryValues(receiver->rules, &rules, &ranks);
	for (int64 type = 0; type < receiver->ntypes; type++)
	{
		int			decimals = 0;

		if (receiver->of_type[type].nrules > 0)
			decimals = FindPointsType(GetRuleSet(), TextDatumGetCString(types[type]))->decimals;
		for (int64 rule = 0; rule < receiver->of_type[type].nrules; rule++)
		{
			const Effect *effect = receiver->of_type[type].of_rule[rule];
			Datum		values[8];
			bool		nulls[8] = {false};

			if (effect == NULL)
				continue;
			values[0] = rules[rule];
			values[1] = types[type];
			values[2] = Int64GetDatum(effect->sales);
			values[3] = Int64GetDatum(effect->members);
			values[4] = NumericGetDatum(DecimalToNumeric(AtScale(effect->points, decimals)));
			nulls[5] = !effect->sold;
			values[5] = NumericGetDatum(DecimalToNumeric(AtScale(effect->turnover, money_scale)));
			values[6] = TimestampTzGetDatum(effect->first_at);
			values[7] = TimestampTzGetDatum(effect->last_at);
			tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
		}
	}
	MemoryContextDelete(context);
	return (Datum) 0;
}
