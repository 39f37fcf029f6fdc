/*
 * count.c: count the members that some filters take, by several processes.
 *
 * Members are judged as they lie in the pages of the table, by the condition
 * itself.  Scores come from the snapshot of the run in force, a few bytes a
 * member and in their order, which is about the order of the table as well.
 * Whoever a condition's cheap facts decide about needs no others.
 */
#include "crm_member.h"
#include "catalog.h"
#include "condition/condition.h"
#include "query.h"
#include "rfm/pages.h"
#include "rfm/row_fact.h"
#include "rfm/segment.h"
#include "rfm/snapshot.h"
#include "rfm/team.h"
#include "setting.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define CHUNKS_AT_ONCE 500

typedef enum Operation
{
	FILTER_UNION,
	FILTER_INTERSECTION,
	FILTER_DIFFERENCE			/* the first without the others */
} Operation;

/* What the processes share; conditions follow each other, each at an aligned place. */
typedef struct Task
{
	Pages		pages;
	pg_atomic_uint64 count;
	pg_atomic_uint32 incomplete;	/* some scores of the run are missing */
	Operation	operation;
	DateADT		today;
	char		time_zone[TZ_STRLEN_MAX + 1];
	int			nconditions;
	int64		conditions[FLEXIBLE_ARRAY_MEMBER];
} Task;

/* Scores of a run, ascending by member. */
typedef struct Scores
{
	int64	   *members;
	RfmScore   *scores;
	size_t		n;
	size_t		at;				/* where the last one was found */
	char	   *segments;
	int			bins;
} Scores;

typedef struct Counter
{
	RowFacts	facts;
	const Condition **conditions;
	int			nconditions;
	Operation	operation;
	int			member_column;
	int			merged_column;
	bool		dear;			/* attrs, tags or scores are asked for */
	bool		staged;			/* the cheap facts may decide */
	bool		wants_scores;
	bool		wants_segment;
	Scores		scores;
	uint64		count;
} Counter;

PGDLLEXPORT void CrmCountMembers(dsm_segment *segment, shm_toc *toc);

/* ---- scores ---- */

static bool
ReadScores(Scores *scores)
{
	static CrmQuery run = {
		"SELECT r.run_id, r.bins, r.members, d.segments FROM crm_member.rfm_state c "
		"JOIN crm_member.rfm_run r ON r.run_id OPERATOR(pg_catalog.=) c.run_id "
		"JOIN crm_member.rfm_model d ON d.model_code OPERATOR(pg_catalog.=) c.model_code "
		"WHERE c.model_code OPERATOR(pg_catalog.=) 'default'",
		0};
	static CrmQuery chunks = {
		"SELECT member_from, scores FROM crm_member.rfm_snapshot "
		"WHERE run_id OPERATOR(pg_catalog.=) $1 ORDER BY member_from",
		1, {INT8OID}};
	MemoryContext context = CurrentMemoryContext;
	Datum		values[1];
	size_t		expected;
	bool		isnull;
	Portal		portal;

	SPI_connect();
	if (RunQuery(&run, NULL, NULL, true, 1) != 1)
	{
		SPI_finish();
		return true;			/* nobody has a score */
	}
	values[0] = QueryColumn(0, 1, &isnull);
	scores->bins = DatumGetInt16(QueryColumn(0, 2, &isnull));
	expected = DatumGetInt64(QueryColumn(0, 3, &isnull));
	scores->segments =
		MemoryContextStrdup(context, TextDatumGetCString(QueryColumn(0, 4, &isnull)));
	scores->members = MemoryContextAllocExtended(context, Max(expected, 1) * sizeof(int64),
												 MCXT_ALLOC_HUGE);
	scores->scores = MemoryContextAllocExtended(context, Max(expected, 1) * sizeof(RfmScore),
												MCXT_ALLOC_HUGE);
	portal = OpenQuery(&chunks, values, true);
	do
	{
		SPI_cursor_fetch(portal, true, CHUNKS_AT_ONCE);
		for (uint64 row = 0; row < SPI_processed; row++)
		{
			int64		member_from = DatumGetInt64(QueryColumn(row, 1, &isnull));
			bytea	   *chunk = DatumGetByteaPP(QueryColumn(row, 2, &isnull));

			scores->n += UnpackScores(member_from, chunk, scores->members + scores->n,
									  scores->scores + scores->n, expected - scores->n);
		}
		SPI_freetuptable(SPI_tuptable);
	} while (SPI_processed > 0);
	SPI_cursor_close(portal);
	SPI_finish();
	return scores->n == expected;
}

/* Members are mostly asked for in their order, so the search begins where the last one ended. */
static bool
FindScore(Scores *scores, int64 member, RfmScore *score)
{
	size_t		lo = 0;
	size_t		hi = scores->n;
	size_t		step = 1;

	if (scores->at < hi && scores->members[scores->at] <= member)
	{
		lo = scores->at;
		while (lo + step < scores->n && scores->members[lo + step] <= member)
		{
			lo += step;
			step *= 2;
		}
		hi = Min(lo + step, scores->n);
	}
	/* the last one that is not beyond the member is in [lo, hi) */
	while (hi - lo > 1)
	{
		size_t		mid = lo + (hi - lo) / 2;

		if (scores->members[mid] <= member)
			lo = mid;
		else
			hi = mid;
	}
	if (lo >= scores->n || scores->members[lo] != member)
		return false;
	scores->at = lo;
	*score = scores->scores[lo];
	return true;
}

static void
SetScore(Facts *facts, Attribute attribute, int score)
{
	facts->facts[attribute].known = true;
	facts->facts[attribute].value.number = (Decimal) {score, 0};
}

static void
FillScores(Counter *counter, int64 member)
{
	Facts	   *facts = &counter->facts.facts;
	RfmScore	score;

	if (!FindScore(&counter->scores, member, &score))
		return;
	SetScore(facts, MEMBER_RFM_R, RfmR(score));
	SetScore(facts, MEMBER_RFM_F, RfmF(score));
	SetScore(facts, MEMBER_RFM_M, RfmM(score));
	if (counter->wants_segment)
	{
		const char *set = counter->scores.segments;
		text	   *code = SegmentOf(set, strlen(set), counter->scores.bins, score);
		Fact	   *fact = &facts->facts[MEMBER_SEGMENT];

		fact->known = code != NULL;
		if (fact->known)
		{
			fact->value.text.data = VARDATA_ANY(code);
			fact->value.text.length = VARSIZE_ANY_EXHDR(code);
		}
	}
}

static void
ForgetScores(Facts *facts)
{
	facts->facts[MEMBER_RFM_R].known = facts->facts[MEMBER_RFM_F].known = false;
	facts->facts[MEMBER_RFM_M].known = facts->facts[MEMBER_SEGMENT].known = false;
}

/* ---- judging ---- */

/* final: what is still unknown stays so, and nothing that a difference takes away */
static Truth
Judge(const Counter *counter, bool final)
{
	Truth		decisive = counter->operation == FILTER_UNION ? TRUTH_TRUE : TRUTH_FALSE;
	Truth		result = decisive == TRUTH_TRUE ? TRUTH_FALSE : TRUTH_TRUE;

	for (int i = 0; i < counter->nconditions; i++)
	{
		Truth		truth = EvaluateCondition(counter->conditions[i], &counter->facts.facts);

		if (i > 0 && counter->operation == FILTER_DIFFERENCE)
		{
			if (truth == TRUTH_TRUE)
				truth = TRUTH_FALSE;
			else if (truth == TRUTH_FALSE || final)
				truth = TRUTH_TRUE;
		}
		if (truth == decisive)
			return truth;
		if (truth == TRUTH_UNKNOWN)
			result = truth;
	}
	return result;
}

static void
CountMember(void *state, HeapTuple row)
{
	Counter    *counter = state;
	TupleTableSlot *slot = counter->facts.row;

	ReadRowFacts(&counter->facts, row);
	if (!slot->tts_isnull[counter->merged_column - 1])
		return;
	if (counter->dear)
	{
		ForgetScores(&counter->facts.facts);
		if (counter->staged && Judge(counter, false) == TRUTH_FALSE)
			return;
		ReadAttrs(&counter->facts);
		if (counter->wants_scores)
			FillScores(counter, DatumGetInt64(slot->tts_values[counter->member_column - 1]));
	}
	counter->count += Judge(counter, true) == TRUTH_TRUE;
}

static void
StartCounter(Counter *counter, const Task *task, Relation member)
{
	const char *next = (const char *) task->conditions;

	memset(counter, 0, sizeof(*counter));
	counter->operation = task->operation;
	counter->nconditions = task->nconditions;
	counter->conditions = palloc(task->nconditions * sizeof(Condition *));
	counter->staged = true;
	for (int i = 0; i < task->nconditions; i++)
	{
		const Condition *condition = (const Condition *) next;

		counter->conditions[i] = condition;
		next += MAXALIGN(VARSIZE(condition));
		counter->wants_segment |= UsesAttribute(condition, MEMBER_SEGMENT);
		counter->wants_scores |= UsesAttribute(condition, MEMBER_RFM_R) ||
			UsesAttribute(condition, MEMBER_RFM_F) || UsesAttribute(condition, MEMBER_RFM_M);
		counter->dear |= UsesTags(condition) || UsesAttrs(condition, SUBJECT_MEMBER);
		counter->staged &= !AsksForNull(condition);
	}
	counter->wants_scores |= counter->wants_segment;
	counter->dear |= counter->wants_scores;
	counter->member_column = ColumnOf(member, "member_id", INT8OID);
	counter->merged_column = ColumnOf(member, "merged_into", INT8OID);
	StartRowFacts(&counter->facts, member, SUBJECT_MEMBER, counter->conditions,
				  counter->nconditions, Max(counter->member_column, counter->merged_column), 0,
				  pg_tzset(task->time_zone));
	counter->facts.today = task->today;
}

/* The share of one process. */
static void
CountShare(Task *task)
{
	Relation	member = table_open(task->pages.table, AccessShareLock);
	Counter		counter;

	StartCounter(&counter, task, member);
	if (counter.wants_scores && !ReadScores(&counter.scores))
		pg_atomic_write_u32(&task->incomplete, 1);
	else
		ReadPages(&task->pages, CountMember, &counter);
	pg_atomic_fetch_add_u64(&task->count, counter.count);
	ExecDropSingleTupleTableSlot(counter.facts.row);
	table_close(member, NoLock);
}

void
CrmCountMembers(dsm_segment *segment, shm_toc *toc)
{
	CountShare(TaskOfTeam(toc));
}

static Operation
ParseOperation(const char *name)
{
	if (strcmp(name, "union") == 0)
		return FILTER_UNION;
	if (strcmp(name, "intersection") == 0)
		return FILTER_INTERSECTION;
	if (strcmp(name, "difference") == 0)
		return FILTER_DIFFERENCE;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("filters cannot be combined by \"%s\"", name),
					errhint("Use union, intersection or difference.")));
}

/* The conditions of an array; false where some row does not tell all they ask for. */
static bool
ReadConditions(ArrayType *array, const Condition ***conditions, int *n)
{
	int16		length;
	bool		by_value;
	char		align;
	Datum	   *values;
	bool	   *nulls;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, align, &values, &nulls, n);
	*conditions = palloc(Max(*n, 1) * sizeof(Condition *));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			return false;
		(*conditions)[i] = DatumGetCondition(values[i]);
		if (!InRow((*conditions)[i], SUBJECT_MEMBER))
			return false;
	}
	return *n > 0;
}

/* False where the scores are not all there. */
static bool
CountMembers(Oid table, Operation operation, const Condition **conditions, int n, uint64 *count)
{
	Relation	member = table_open(table, AccessShareLock);
	Size		size = offsetof(Task, conditions);
	Team		team;
	Task	   *task;
	char	   *next;
	bool		complete;

	for (int i = 0; i < n; i++)
		size += MAXALIGN(VARSIZE(conditions[i]));
	task = StartTeam(&team, "CrmCountMembers", WorkersForPages(member), size, 0);
	StartPages(&task->pages, member);
	pg_atomic_init_u64(&task->count, 0);
	pg_atomic_init_u32(&task->incomplete, 0);
	task->operation = operation;
	task->today = Today();
	strlcpy(task->time_zone, pg_get_timezone_name(ProgramZone()), sizeof(task->time_zone));
	task->nconditions = n;
	next = (char *) task->conditions;
	for (int i = 0; i < n; i++)
	{
		memcpy(next, conditions[i], VARSIZE(conditions[i]));
		next += MAXALIGN(VARSIZE(conditions[i]));
	}
	LaunchTeam(&team);
	CountShare(task);
	AwaitTeam(&team);
	*count = pg_atomic_read_u64(&task->count);
	complete = pg_atomic_read_u32(&task->incomplete) == 0;
	FinishTeam(&team);
	table_close(member, NoLock);
	return complete;
}

PG_FUNCTION_INFO_V1(crm_count_members);
Datum
crm_count_members(PG_FUNCTION_ARGS)
{
	Operation	operation = ParseOperation(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	MemoryContext work =
		AllocSetContextCreate(CurrentMemoryContext, "count members", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);
	Oid			table = CrmRelation("member");
	const Condition **conditions;
	int			n;
	uint64		count;
	bool		counted;

	counted = ReadConditions(PG_GETARG_ARRAYTYPE_P(0), &conditions, &n) && HasPages(table) &&
		CountMembers(table, operation, conditions, n, &count);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	if (!counted)
		PG_RETURN_NULL();
	PG_RETURN_INT64(count);
}
