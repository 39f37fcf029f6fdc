/*
 * axis.c: what the clauses over one attribute say of each of its values.
 */
#include "crm_member.h"
#include "condition/axis.h"

#include "common/hashfn.h"
#include "miscadmin.h"

static int
CompareFacts(FactType type, const Fact *a, const Fact *b)
{
	int			cmp;

	switch (type)
	{
		case FACT_NUMBER:
			return CompareDecimal(a->value.number, b->value.number);
		case FACT_TEXT:
			cmp = memcmp(a->value.text.data, b->value.text.data,
						 Min(a->value.text.length, b->value.text.length));
			return cmp != 0 ? cmp : a->value.text.length - b->value.text.length;
		case FACT_BOOLEAN:
			return (int) a->value.boolean - (int) b->value.boolean;
		case FACT_DATE:
			return (a->value.date > b->value.date) - (a->value.date < b->value.date);
		case FACT_TIMESTAMP:
			return (a->value.timestamp > b->value.timestamp) -
				(a->value.timestamp < b->value.timestamp);
	}
	pg_unreachable();
}

static int
CompareFactsOfType(const void *a, const void *b, void *type)
{
	return CompareFacts(*(FactType *) type, a, b);
}

static uint32
HashText(const Fact *fact)
{
	return hash_bytes((const unsigned char *) fact->value.text.data, fact->value.text.length);
}

static void
GatherValues(Axis *axis, const Clause *clauses, int n)
{
	int64		total = 0;
	int			kept = 0;

	for (int i = 0; i < n; i++)
	{
		total += clauses[i].nvalues;
		if (clauses[i].kind == NODE_BETWEEN ||
			(clauses[i].kind == NODE_COMPARE && clauses[i].op != COMPARE_EQUAL &&
			 clauses[i].op != COMPARE_UNEQUAL))
			axis->has_order = true;
	}
	axis->values = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Fact) * Max(total, 1));
	total = 0;
	for (int i = 0; i < n; i++)
	{
		memcpy(axis->values + total, clauses[i].values, sizeof(Fact) * clauses[i].nvalues);
		total += clauses[i].nvalues;
	}
	qsort_arg(axis->values, total, sizeof(Fact), CompareFactsOfType, &axis->type);
	for (int64 i = 0; i < total; i++)
	{
		if (kept == 0 || CompareFacts(axis->type, &axis->values[kept - 1], &axis->values[i]) != 0)
			axis->values[kept++] = axis->values[i];
	}
	axis->nvalues = kept;
}

static void
HashValues(Axis *axis)
{
	uint32		size = 4;

	while (size < 2 * (uint32) axis->nvalues)
		size *= 2;
	axis->slots = MemoryContextAllocExtended(CurrentMemoryContext, sizeof(uint32) * size,
											 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	axis->slot_mask = size - 1;
	for (int i = 0; i < axis->nvalues; i++)
	{
		uint32		slot = HashText(&axis->values[i]) & axis->slot_mask;

		while (axis->slots[slot] != 0)
			slot = (slot + 1) & axis->slot_mask;
		axis->slots[slot] = i + 1;
	}
}

static int
FindPosition(const Axis *axis, const Fact *fact)
{
	int			low = 0;
	int			high = axis->nvalues;

	if (axis->slots != NULL)
	{
		uint32		slot = HashText(fact) & axis->slot_mask;

		for (; axis->slots[slot] != 0; slot = (slot + 1) & axis->slot_mask)
		{
			if (CompareFacts(FACT_TEXT, &axis->values[axis->slots[slot] - 1], fact) == 0)
				return 2 * (axis->slots[slot] - 1) + 1;
		}
		if (!axis->has_order)
			return 0;
	}
	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		int			cmp = CompareFacts(axis->type, fact, &axis->values[middle]);

		if (cmp == 0)
			return 2 * middle + 1;
		if (cmp < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return 2 * low;
}

static int
CompareInts(const void *a, const void *b)
{
	int			x = *(const int *) a;
	int			y = *(const int *) b;

	return (x > y) - (x < y);
}

static bool
ClauseHolds(const Clause *clause, int position)
{
	bool		result = false;

	switch (clause->kind)
	{
		case NODE_NULL:
			result = clause->op != 0;
			break;
		case NODE_BOOLEAN:
			result = position == clause->positions[0];
			break;
		case NODE_COMPARE:
			result = (clause->op & (position < clause->positions[0] ? COMPARE_LESS :
									position > clause->positions[0] ? COMPARE_GREATER :
									COMPARE_EQUAL)) != 0;
			break;
		case NODE_BETWEEN:
			result = (position >= clause->positions[0] && position <= clause->positions[1]) !=
				(clause->op != 0);
			break;
		case NODE_IN:
			result = (bsearch(&position, clause->positions, clause->nvalues, sizeof(int),
							  CompareInts) != NULL) != (clause->op != 0);
			break;
		default:
			Assert(false);
	}
	return result != clause->negated;
}

/* The clauses of one condition together. */
static bool
ClausesHold(const Clause *clauses, int n, int position)
{
	for (int i = 0; i < n; i++)
	{
		if (!ClauseHolds(&clauses[i], position))
			return false;
	}
	return true;
}

static bool
HoldUnknown(const Clause *clauses, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (clauses[i].kind != NODE_NULL || (clauses[i].op != 0) != clauses[i].negated)
			return false;
	}
	return true;
}

static void
AddEvent(Axis *axis, int *max, int position, int condition)
{
	if (axis->nevents == *max)
	{
		*max *= 2;
		axis->events = repalloc_huge(axis->events, sizeof(Event) * *max);
	}
	axis->events[axis->nevents].position = position;
	axis->events[axis->nevents++].condition = condition;
}

/* Where the clauses of one condition change; before is its bit at position 0. */
static void
AddEvents(Axis *axis, int *max, Clause *clauses, int n, uint64 *before)
{
	int			total = 0;
	int		   *positions;
	bool		holds;

	for (int i = 0; i < n; i++)
	{
		clauses[i].positions = palloc(sizeof(int) * Max(clauses[i].nvalues, 1));
		for (int v = 0; v < clauses[i].nvalues; v++)
			clauses[i].positions[v] = FindPosition(axis, &clauses[i].values[v]);
		total += clauses[i].nvalues;
	}
	positions = palloc(sizeof(int) * Max(total, 1));
	total = 0;
	for (int i = 0; i < n; i++)
	{
		memcpy(positions + total, clauses[i].positions, sizeof(int) * clauses[i].nvalues);
		total += clauses[i].nvalues;
	}
	qsort(positions, total, sizeof(int), CompareInts);

	holds = ClausesHold(clauses, n, 0);
	if (holds)
		SetBit(before, clauses[0].condition);
	for (int i = 0; i < total; i++)
	{
		if (i > 0 && positions[i] == positions[i - 1])
			continue;
		for (int position = positions[i]; position <= positions[i] + 1; position++)
		{
			if (ClausesHold(clauses, n, position) == holds)
				continue;
			holds = !holds;
			AddEvent(axis, max, position, clauses[0].condition);
		}
	}
	for (int i = 0; i < n; i++)
		pfree(clauses[i].positions);
	pfree(positions);
}

static int
CompareEvents(const void *a, const void *b)
{
	const Event *x = a;
	const Event *y = b;

	if (x->position != y->position)
		return x->position < y->position ? -1 : 1;
	return (x->condition > y->condition) - (x->condition < y->condition);
}

static void
FinishEvents(Axis *axis)
{
	int			nwords = axis->nwords;
	int			last = 2 * axis->nvalues;
	int			e = 0;
	uint64	   *bits = axis->steps;

	qsort(axis->events, axis->nevents, sizeof(Event), CompareEvents);
	axis->events_until = MemoryContextAllocHuge(CurrentMemoryContext,
												sizeof(int) * ((Size) last + 1));
	for (int position = 0; position <= last; position++)
	{
		while (e < axis->nevents && axis->events[e].position <= position)
			e++;
		axis->events_until[position] = e;
	}

	axis->steps = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint64) * nwords *
										 ((Size) axis->nevents / EVENT_STEP + 1));
	for (e = 0; e <= axis->nevents; e++)
	{
		if (e % EVENT_STEP == 0)
			memcpy(axis->steps + (Size) e / EVENT_STEP * nwords, bits, sizeof(uint64) * nwords);
		if (e < axis->nevents)
			FlipBit(bits, axis->events[e].condition);
	}
	pfree(bits);
}

void
BuildAxis(Axis *axis, FactType type, Clause *clauses, int n, const uint64 *all, int nwords)
{
	int			max_events = 64;
	int			same;

	memset(axis, 0, sizeof(*axis));
	axis->attribute = clauses[0].attribute;
	axis->type = type;
	axis->nwords = nwords;
	axis->scratch = palloc(sizeof(uint64) * nwords);
	GatherValues(axis, clauses, n);
	if (axis->type == FACT_TEXT)
		HashValues(axis);

	axis->events = palloc(sizeof(Event) * max_events);
	axis->unknown = palloc(sizeof(uint64) * nwords);
	memcpy(axis->unknown, all, sizeof(uint64) * nwords);
	axis->steps = palloc(sizeof(uint64) * nwords);
	memcpy(axis->steps, all, sizeof(uint64) * nwords);
	for (int i = 0; i < n; i += same)
	{
		int			condition = clauses[i].condition;

		CHECK_FOR_INTERRUPTS();
		for (same = 1; i + same < n && clauses[i + same].condition == condition;)
			same++;
		ClearBit(axis->steps, condition);
		AddEvents(axis, &max_events, &clauses[i], same, axis->steps);
		if (!HoldUnknown(&clauses[i], same))
			ClearBit(axis->unknown, condition);
	}
	FinishEvents(axis);
}

const uint64 *
AxisBits(const Axis *axis, const Fact *fact)
{
	int			events = axis->events_until[FindPosition(axis, fact)];
	int			step = events / EVENT_STEP;
	const uint64 *bits = axis->steps + (Size) step * axis->nwords;

	if (events == step * EVENT_STEP)
		return bits;
	memcpy(axis->scratch, bits, sizeof(uint64) * axis->nwords);
	for (int e = step * EVENT_STEP; e < events; e++)
		FlipBit(axis->scratch, axis->events[e].condition);
	return axis->scratch;
}
