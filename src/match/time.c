/*
 * time.c: numbers that pass from one holder to the next.
 *
 * A telephone number that lay idle is given to somebody else.  Where a field says
 * since when, and until when, a record used its number, the records of one number
 * fall into periods, between which it lay idle for longer than the model's
 * idle_days.  Agreement across such a gap is a level of its own, across a long one
 * another, and what they are worth is estimated like any level.
 */
#include "match/match.h"

#include "access/xact.h"
#include "utils/datetime.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define LONG_IDLE 4 /* times idle_days */

/* One that says no time is of every period. */
static const Sighting unseen = {NULL, PG_INT32_MIN / 2, PG_INT32_MAX / 2};

static bool
ReadDay(const char *text, int32 *day)
{
	int year, month, day_of_month;

	if (text == NULL || !ParseWrittenDate(text, &year, &month, &day_of_month) || month < 1 || month > 12 ||
		day_of_month < 1 || day_of_month > 31)
		return false;
	*day = date2j(year, month, day_of_month);
	return true;
}

/* When a record says its number was in use; either end may be unknown. */
Sighting
ReadSighting(const char *since, const char *until)
{
	Sighting seen = unseen;
	bool     begun = ReadDay(since, &seen.since), ended = ReadDay(until, &seen.until);

	if (begun && !ended)
		seen.until = seen.since;
	else if (ended && !begun)
		seen.since = seen.until;
	else if (seen.until < seen.since)
		seen.until = seen.since;
	return seen;
}

/* The number is in use as we speak. */
Sighting
SeenNow(void)
{
	int32 today = timestamptz_to_time_t(GetCurrentTransactionStartTimestamp()) / SECS_PER_DAY +
				  UNIX_EPOCH_JDATE;

	return (Sighting){NULL, today, today};
}

typedef struct Use
{
	uint32 form;
	uint32 value;
	uint32 sighting;
} Use;

static int
CompareUse(const void *x, const void *y, void *arg)
{
	const Sighting *seen = arg;
	const Use      *a = x, *b = y;
	const Sighting *s = &seen[a->sighting], *t = &seen[b->sighting];

	if (a->form != b->form)
		return a->form < b->form ? -1 : 1;
	if (s->since != t->since)
		return s->since < t->since ? -1 : 1;
	if (s->until != t->until)
		return s->until < t->until ? -1 : 1;
	return a->value < b->value ? -1 : a->value > b->value;
}

/* The copies of the values of a field, one for each period in which one was used. */
typedef struct Copies
{
	MatchField *field;
	uint32      count; /* values and copies */
	uint32     *used;  /* of each value: the copy of the period, and which that was */
	int32      *last;
} Copies;

/* The number of a value as it is in one period: the value itself once, then copies. */
static uint32
ValueInPeriod(Copies *copies, uint32 value, int32 period, int32 era)
{
	MatchField *field = copies->field;
	uint32      id = value;

	if (copies->last[value] == period)
		return copies->used[value];
	if (copies->last[value] != 0)
	{
		MatchValue *copy = MemoryContextAlloc(field->context, sizeof(MatchValue));

		id = ++copies->count;
		if (id >= field->values_size)
		{
			field->values_size = Max(1024, field->values_size * 2);
			field->values = repalloc_huge(field->values, field->values_size * sizeof(MatchValue *));
		}
		*copy = *field->values[value];
		field->values[id] = copy;
	}
	/* a value without a time has a period of its own, which is every one's */
	field->values[id]->period = era == 0 ? 0 : period;
	field->values[id]->era = era;
	copies->last[value] = period;
	copies->used[value] = id;
	return id;
}

/*
 * Give each of the cells of a field the period it is of.  No text may be read into
 * the field afterwards: the copies have the numbers behind those of the texts.
 */
void
SplitByTime(MatchField *field, Sighting *seen, uint32 n)
{
	Use   *uses = palloc_extended(Max(n, 1) * sizeof(Use), MCXT_ALLOC_HUGE);
	uint32  texts = field->texts.count, m = 0;
	int32   period = 0, era = 0;
	int64   until = 0;
	Copies  copies = {field, texts};

	copies.used = palloc_extended((texts + 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	copies.last = palloc_extended((texts + 1) * sizeof(int32), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < n; i++)
	{
		uint32 value = *seen[i].cell;

		if (value != 0)
			uses[m++] = (Use){field->values[value]->form[0], value, i};
	}
	qsort_arg(uses, m, sizeof(Use), CompareUse, seen);
	for (uint32 i = 0; i < m; i++)
	{
		const Sighting *use = &seen[uses[i].sighting];
		bool            known = use->since != unseen.since;

		/* those that say no time come first */
		if (i == 0 || uses[i].form != uses[i - 1].form ||
			(known && seen[uses[i - 1].sighting].since == unseen.since))
		{
			period++;
			era++;
			until = use->until;
		}
		else if (use->since - until > field->idle)
		{
			period++;
			era += use->since - until > (int64) field->idle * LONG_IDLE;
		}
		until = Max(until, use->until);
		*use->cell = ValueInPeriod(&copies, uses[i].value, period, known ? era : 0);
	}
	pfree(uses);
	pfree(copies.used);
	pfree(copies.last);
}

/* An agreement by how long the number lay idle between the two. */
static int
IdleLevel(const MatchValue *a, const MatchValue *b, int level)
{
	if (level > 0)
		return level + 2;
	if (a->period == b->period || a->period == 0 || b->period == 0)
		return 0;
	return a->era == b->era ? 1 : 2;
}

int
ComparePhoneOverTime(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	return IdleLevel(a, b, ComparePhone(field, a, b));
}

int
CompareIdOverTime(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	return IdleLevel(a, b, CompareId(field, a, b));
}
