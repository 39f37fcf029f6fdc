/*
 * row_fact.c: what conditions see of a row of member or sale, read from the row.
 *
 * The same as views member_fact and sale_fact show, for scans that judge a row
 * as it lies in its page.  What comes from other tables is not here.
 */
#include "crm_member.h"
#include "rfm/row_fact.h"
#include "rfm/source.h"
#include "money/units.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static const struct
{
	Attribute	attribute;
	const char *column;
	Oid			type;
}			plain_columns[] = {
	{MEMBER_ID, "member_id", INT8OID},
	{MEMBER_STATUS, "status", TEXTOID},
	{MEMBER_KIND, "kind", TEXTOID},
	{MEMBER_SOURCE, "source", TEXTOID},
	{MEMBER_STORE, "store", TEXTOID},
	{MEMBER_CHANNEL, "channel", TEXTOID},
	{MEMBER_JOINED_AT, "joined_at", TIMESTAMPTZOID},
	{SALE_AMOUNT, "amount", NUMERICOID},
	{SALE_DISCOUNT, "discount", NUMERICOID},
	{SALE_PAYABLE, "payable", NUMERICOID},	/* shipping is taken from it when all are read */
	{SALE_SHIPPING, "shipping", NUMERICOID},
	{SALE_SOURCE, "source", TEXTOID},
	{SALE_STORE, "store", TEXTOID},
	{SALE_CHANNEL, "channel", TEXTOID},
	{SALE_SOLD_AT, "sold_at", TIMESTAMPTZOID}
};

/* Taken from the time of the row. */
static const Attribute of_time[] = {MEMBER_DAYS_SINCE_JOIN, SALE_DATE, SALE_YEAR, SALE_MONTH,
	SALE_DAY, SALE_WEEKDAY, SALE_HOUR, SALE_MINUTE};

static const Attribute of_score[] = {MEMBER_RFM_R, MEMBER_RFM_F, MEMBER_RFM_M, MEMBER_SEGMENT};

StaticAssertDecl(lengthof(plain_columns) <= ROW_FACTS_MAX, "room for every column");

static bool
IsAmong(Attribute attribute, const Attribute *attributes, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (attributes[i] == attribute)
			return true;
	}
	return false;
}

bool
InRow(const Condition *condition, Subject subject)
{
	for (Subject other = 0; other < SUBJECT_COUNT; other++)
	{
		if (other != subject && UsesSubject(condition, other))
			return false;
	}
	for (Attribute attribute = 0; attribute < ATTRIBUTE_COUNT; attribute++)
	{
		bool		found = IsAmong(attribute, of_time, lengthof(of_time)) ||
			IsAmong(attribute, of_score, lengthof(of_score));

		for (int i = 0; i < lengthof(plain_columns) && !found; i++)
			found = plain_columns[i].attribute == attribute;
		if (!found && UsesAttribute(condition, attribute))
			return false;
	}
	return true;
}

int
ColumnOf(Relation rel, const char *name, Oid type)
{
	int			number = get_attnum(RelationGetRelid(rel), name);

	if (number <= 0 || get_atttype(RelationGetRelid(rel), number) != type)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("table crm_member.%s is not as setup() made it",
							   RelationGetRelationName(rel)),
						errdetail("It has no column %s of type %s.", name, format_type_be(type))));
	return number;
}

static bool
Uses(const Condition *const *conditions, int n, Attribute attribute)
{
	for (int i = 0; i < n; i++)
	{
		if (UsesAttribute(conditions[i], attribute))
			return true;
	}
	return false;
}

void
StartRowFacts(RowFacts *facts, Relation rel, Subject subject, const Condition *const *conditions,
			  int nconditions, int columns, int money_scale, pg_tz *zone)
{
	memset(facts, 0, sizeof(*facts));
	facts->row = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsHeapTuple);
	facts->context = AllocSetContextCreate(CurrentMemoryContext, "row", ALLOCSET_SMALL_SIZES);
	facts->subject = subject;
	facts->money_scale = money_scale;
	facts->last_column = columns;
	StartDays(&facts->days, zone);

	for (int i = 0; i < lengthof(plain_columns); i++)
	{
		int			n = facts->nplain;

		if (!Uses(conditions, nconditions, plain_columns[i].attribute))
			continue;
		facts->plain[n].attribute = plain_columns[i].attribute;
		facts->plain[n].type = plain_columns[i].type;
		facts->plain[n].column = ColumnOf(rel, plain_columns[i].column, plain_columns[i].type);
		if (plain_columns[i].attribute == SALE_PAYABLE)
			facts->shipping_column = ColumnOf(rel, "shipping", NUMERICOID);
		facts->last_column = Max(facts->last_column, facts->plain[n].column);
		facts->nplain++;
	}
	for (int i = 0; i < lengthof(of_time); i++)
	{
		if (Uses(conditions, nconditions, of_time[i]))
			facts->time_column = ColumnOf(
				rel, subject == SUBJECT_MEMBER ? "joined_at" : "sold_at", TIMESTAMPTZOID);
	}
	for (int i = 0; i < nconditions; i++)
	{
		if (UsesAttrs(conditions[i], subject))
			facts->attrs_column = ColumnOf(rel, "attrs", JSONBOID);
		if (UsesTags(conditions[i]))
			facts->tags_column = ColumnOf(rel, "tags", TEXTARRAYOID);
	}
	facts->last_column = Max(facts->last_column, Max(facts->time_column, facts->shipping_column));
}

static void
SetNumber(RowFacts *facts, Attribute attribute, int64 units, int scale)
{
	facts->facts.facts[attribute].known = true;
	facts->facts.facts[attribute].value.number = (Decimal) {units, scale};
}

/* Facts that follow from when it was. */
static void
ReadTime(RowFacts *facts)
{
	TimestampTz at = DatumGetTimestampTz(facts->row->tts_values[facts->time_column - 1]);
	int64		of_day;
	DateADT		day = DayAndTimeOf(&facts->days, at, &of_day);
	int			year;
	int			month;
	int			day_of_month;

	if (facts->subject == SUBJECT_MEMBER)
	{
		SetNumber(facts, MEMBER_DAYS_SINCE_JOIN, facts->today - day, 0);
		return;
	}
	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &day_of_month);
	facts->facts.facts[SALE_DATE].known = true;
	facts->facts.facts[SALE_DATE].value.date = day;
	SetNumber(facts, SALE_YEAR, year, 0);
	SetNumber(facts, SALE_MONTH, month, 0);
	SetNumber(facts, SALE_DAY, day_of_month, 0);
	SetNumber(facts, SALE_WEEKDAY, (j2day(day + POSTGRES_EPOCH_JDATE) + 6) % 7 + 1, 0);
	SetNumber(facts, SALE_HOUR, of_day / USECS_PER_HOUR, 0);
	SetNumber(facts, SALE_MINUTE, of_day / USECS_PER_MINUTE, 0);
}

static int64
Money(const RowFacts *facts, int column)
{
	int64		units;

	if (facts->row->tts_isnull[column - 1])
		return 0;
	if (NumericUnits(facts->row->tts_values[column - 1], facts->money_scale, &units) != UNITS_EXACT)
		AmountOutOfRange(facts->money_scale);
	return units;
}

/* What was paid for the goods. */
static void
SubtractShipping(RowFacts *facts)
{
	Fact	   *payable = &facts->facts.facts[SALE_PAYABLE];

	if (pg_sub_s64_overflow(payable->value.number.units, Money(facts, facts->shipping_column),
							&payable->value.number.units))
		AmountOutOfRange(facts->money_scale);
}

void
ReadRowFacts(RowFacts *facts, HeapTuple row)
{
	TupleTableSlot *slot = facts->row;

	MemoryContextReset(facts->context);
	ExecStoreHeapTuple(row, slot, false);
	slot_getsomeattrs(slot, facts->last_column);
	for (int i = 0; i < facts->nplain; i++)
	{
		int			column = facts->plain[i].column - 1;
		Fact	   *fact = &facts->facts.facts[facts->plain[i].attribute];
		Datum		value = slot->tts_values[column];
		struct varlena *stored;

		fact->known = !slot->tts_isnull[column];
		if (!fact->known)
			continue;
		switch (facts->plain[i].type)
		{
			case TEXTOID:
				stored = (struct varlena *) DatumGetPointer(value);
				if (VARATT_IS_EXTENDED(stored) && !VARATT_IS_SHORT(stored))
				{
					MemoryContext old = MemoryContextSwitchTo(facts->context);

					stored = PG_DETOAST_DATUM(value);
					MemoryContextSwitchTo(old);
				}
				fact->value.text.data = VARDATA_ANY(stored);
				fact->value.text.length = VARSIZE_ANY_EXHDR(stored);
				break;
			case NUMERICOID:
				fact->value.number =
					(Decimal) {Money(facts, facts->plain[i].column), facts->money_scale};
				break;
			case INT8OID:
				fact->value.number = (Decimal) {DatumGetInt64(value), 0};
				break;
			default:
				fact->value.timestamp = DatumGetTimestampTz(value);
		}
	}
	if (facts->shipping_column > 0 && facts->facts.facts[SALE_PAYABLE].known)
		SubtractShipping(facts);
	if (facts->time_column > 0)
		ReadTime(facts);
	facts->facts.attrs[facts->subject] = NULL;
	facts->facts.tags = NULL;
}

void
ReadAttrs(RowFacts *facts)
{
	MemoryContext old;
	bool		isnull;
	Datum		value;

	if (facts->attrs_column == 0 && facts->tags_column == 0)
		return;
	old = MemoryContextSwitchTo(facts->context);
	if (facts->attrs_column > 0)
	{
		value = slot_getattr(facts->row, facts->attrs_column, &isnull);
		facts->facts.attrs[facts->subject] = isnull ? NULL : DatumGetJsonbP(value);
	}
	if (facts->tags_column > 0)
	{
		value = slot_getattr(facts->row, facts->tags_column, &isnull);
		facts->facts.tags = isnull ? NULL : DatumGetArrayTypeP(value);
	}
	MemoryContextSwitchTo(old);
}
