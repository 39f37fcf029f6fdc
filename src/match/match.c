/*
 * match.c: find_duplicates: read the source, find the pairs, weigh them, group
 * them, have written what was found.
 */
#include "match/match.h"
#include "catalog.h"
#include "job/progress.h"
#include "query.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include <math.h>

#define FETCH_ROWS 1000
#define ROUNDS 4 /* of grouping: the groups tell how often a value is held */

/* Rows in the order of what they say, so that the order of input does not matter. */
typedef struct Row
{
	uint64  hash;
	char   *key;
	uint32 *cells;
} Row;

typedef struct SightingList
{
	Sighting *seen;
	uint32    count;
	uint32    size;
} SightingList;

static inline int
CompareRow(const Row *a, const Row *b)
{
	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return CompareKeys(a->key, b->key);
}

#define ST_SORT SortRows
#define ST_ELEMENT_TYPE Row
#define ST_COMPARE(a, b) CompareRow(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static int
CompareKeyIndex(const void *x, const void *y, void *arg)
{
	MatchData *data = arg;

	return strcmp(data->keys[*(const uint32 *) x], data->keys[*(const uint32 *) y]);
}

/* The rows by key; a key names one row. */
static void
SortKeys(const MatchModel *model, MatchData *data)
{
	data->by_key = palloc_extended(Max(data->nrows, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < data->nrows; i++)
		data->by_key[i] = i;
	qsort_arg(data->by_key, data->nrows, sizeof(uint32), CompareKeyIndex, data);
	for (uint32 i = 1; i < data->nrows; i++)
	{
		const char *key = data->keys[data->by_key[i]];

		if (strcmp(key, data->keys[data->by_key[i - 1]]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_CARDINALITY_VIOLATION),
					 errmsg("the source of model \"%s\" has two rows with key \"%s\"",
							model->code, key),
					 errdetail("Column \"%s\" must be unique there.", model->key),
					 errhint("Choose another key, or make the source a query with DISTINCT ON.")));
	}
}

/* The columns of time come behind the fields: since and until of each field that has them. */
static void
AddSightings(MatchModel *model, HeapTuple tuple, TupleDesc desc, Row *row, SightingList *lists)
{
	int column = model->nfields + 2;

	for (int f = 0; f < model->nfields; f++)
	{
		const MatchField *field = &model->fields[f];
		SightingList     *list = &lists[f];
		char             *since, *until = NULL;
		Sighting          seen;

		if (field->seen == NULL)
			continue;
		since = SPI_getvalue(tuple, desc, column++);
		if (field->until != NULL)
			until = SPI_getvalue(tuple, desc, column++);
		if (row->cells[f] == 0)
			continue;
		if (list->count == list->size)
		{
			list->size = Max(1024, list->size * 2);
			list->seen = list->seen == NULL
							 ? palloc_extended(list->size * sizeof(Sighting), MCXT_ALLOC_HUGE)
							 : repalloc_huge(list->seen, list->size * sizeof(Sighting));
		}
		seen = ReadSighting(since, until);
		seen.cell = &row->cells[f];
		list->seen[list->count++] = seen;
		row->hash += MixHash(f + 101, ((uint64) seen.since << 32) ^ (uint32) seen.until);
	}
}

static void
LoadRows(MatchModel *model, MatchData *data)
{
	char         *sql = MatchSourceQuery(model);
	SPIPlanPtr    plan = SPI_prepare(sql, 0, NULL);
	Portal        portal;
	Row          *rows = NULL;
	uint32        size = 0;
	SightingList  sightings[MATCH_MAX_FIELDS] = {{0}};
	MemoryContext scratch =
		AllocSetContextCreate(model->context, "crm_member match text", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(model->context);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0)
			break;
		CHECK_FOR_INTERRUPTS();
		ReportProgress(model->progress, "1/4 reading", data->nrows, 0);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			HeapTuple tuple = SPI_tuptable->vals[i];
			TupleDesc desc = SPI_tuptable->tupdesc;
			char     *key = SPI_getvalue(tuple, desc, 1);
			Row      *row;

			if (key == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						 errmsg("a row of the source of model \"%s\" has no key", model->code),
						 errdetail("Column \"%s\" is null.", model->key)));
			if (data->nrows == size)
			{
				size = Max(1024, size * 2);
				rows = rows == NULL ? palloc_extended(size * sizeof(Row), MCXT_ALLOC_HUGE)
									: repalloc_huge(rows, size * sizeof(Row));
			}
			row = &rows[data->nrows++];
			row->key = pstrdup(key);
			row->hash = 0;
			row->cells = palloc0(model->nfields * sizeof(uint32));
			pfree(key);
			for (int f = 0; f < model->nfields; f++)
			{
				char *text = SPI_getvalue(tuple, desc, f + 2);

				if (text == NULL)
					continue;
				row->cells[f] = ReadValue(&model->fields[f], text, scratch);
				row->hash += MixHash(f + 1, HashBytes64(text, strlen(text), 0));
				pfree(text);
			}
			AddSightings(model, tuple, desc, row, sightings);
			DropNicknames(model, row->cells);
		}
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	for (int f = 0; f < model->nfields; f++)
	{
		if (sightings[f].count > 0)
		{
			SplitByTime(&model->fields[f], sightings[f].seen, sightings[f].count);
			pfree(sightings[f].seen);
		}
	}

	if (data->nrows > 0)
		SortRows(rows, data->nrows);
	data->keys = palloc_extended(Max(data->nrows, 1) * sizeof(char *), MCXT_ALLOC_HUGE);
	data->cells = palloc_extended(Max((Size) data->nrows * model->nfields, 1) * sizeof(uint32),
								  MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < data->nrows; i++)
	{
		data->keys[i] = rows[i].key;
		memcpy(data->cells + (Size) i * model->nfields, rows[i].cells,
			   model->nfields * sizeof(uint32));
		pfree(rows[i].cells);
	}
	if (rows != NULL)
		pfree(rows);
	SortKeys(model, data);
	MemoryContextDelete(scratch);
	MemoryContextSwitchTo(old);
}

static uint32
FindKey(const MatchData *data, const char *key)
{
	int64 low = 0, high = (int64) data->nrows - 1;

	while (low <= high)
	{
		int64 middle = (low + high) / 2;
		int   order = strcmp(key, data->keys[data->by_key[middle]]);

		if (order == 0)
			return data->by_key[middle];
		if (order < 0)
			high = middle - 1;
		else
			low = middle + 1;
	}
	return UINT32_MAX;
}

static int
CompareEnds(const void *x, const void *y)
{
	const MatchEdge *a = x, *b = y;

	if (a->left != b->left)
		return a->left < b->left ? -1 : 1;
	return a->right < b->right ? -1 : a->right > b->right;
}

/*
 * Verdicts: pairs that are the same, and pairs that are not, for ever.  What was
 * said of a member that has been merged holds for its survivor.
 */
static void
ReadVerdicts(MatchModel *model, MatchData *data, MatchEdge **same, uint64 *nsame,
			 MatchEdge **distinct, uint64 *ndistinct)
{
	static CrmQuery query = {
		"SELECT left_key, right_key, verdict FROM crm_member.match_verdict "
		"WHERE model_code OPERATOR(pg_catalog.=) $1 AND verdict OPERATOR(pg_catalog.<>) 'later'",
		1,
		{TEXTOID}};
	static CrmQuery members = {
		"SELECT coalesce(crm_member.canonical_member(CASE WHEN left_key OPERATOR(pg_catalog.~) "
		"'^[0-9]{1,18}$' THEN left_key::pg_catalog.int8 END)::pg_catalog.text, left_key), "
		"coalesce(crm_member.canonical_member(CASE WHEN right_key OPERATOR(pg_catalog.~) "
		"'^[0-9]{1,18}$' THEN right_key::pg_catalog.int8 END)::pg_catalog.text, right_key), verdict "
		"FROM crm_member.match_verdict "
		"WHERE model_code OPERATOR(pg_catalog.=) $1 AND verdict OPERATOR(pg_catalog.<>) 'later'",
		1,
		{TEXTOID}};
	bool  of_members = strcmp(model->code, "member") == 0;
	Datum value = CStringGetTextDatum(model->code);
	/* not read-only: verdicts given since the run began must be seen */
	uint64 n = RunQuery(of_members ? &members : &query, &value, NULL, false, 0);

	*nsame = *ndistinct = 0;
	*same = palloc(Max(n, 1) * sizeof(MatchEdge));
	*distinct = palloc(Max(n, 1) * sizeof(MatchEdge));
	for (uint64 i = 0; i < n; i++)
	{
		bool   isnull;
		uint32 a = FindKey(data, TextDatumGetCString(QueryColumn(i, 1, &isnull)));
		uint32 b = FindKey(data, TextDatumGetCString(QueryColumn(i, 2, &isnull)));
		char  *verdict = TextDatumGetCString(QueryColumn(i, 3, &isnull));

		if (a == UINT32_MAX || b == UINT32_MAX || a == b)
			continue;
		if (strcmp(verdict, "same") == 0)
			(*same)[(*nsame)++] = (MatchEdge){Min(a, b), Max(a, b), PG_INT32_MAX};
		else
			(*distinct)[(*ndistinct)++] = (MatchEdge){Min(a, b), Max(a, b), 0};
	}
	qsort(*same, *nsame, sizeof(MatchEdge), CompareEnds);
	qsort(*distinct, *ndistinct, sizeof(MatchEdge), CompareEnds);
}

static bool
InList(const MatchEdge *list, uint64 n, uint32 left, uint32 right)
{
	MatchEdge pair = {left, right};

	return n > 0 && bsearch(&pair, list, n, sizeof(MatchEdge), CompareEnds) != NULL;
}

/* Pairs above the review threshold, verdicts applied. */
static uint64
CollectEdges(MatchModel *model, MatchData *data, MatchPairs *pairs, const uint32 *cluster,
			 int32 threshold, MatchEdge *same, uint64 nsame, MatchEdge *distinct, uint64 ndistinct,
			 MatchEdge *edges)
{
	uint64 n = 0;

	for (uint64 i = 0; i < nsame; i++)
		edges[n++] = same[i];
	for (uint64 i = 0; i < pairs->count; i++)
	{
		MatchPair *pair = &pairs->pairs[i];
		int32      relation;
		int32      weight =
			PairWeight(model, data, pair->left, pair->right, pair->pattern, cluster, &relation);

		if (weight < threshold || InList(distinct, ndistinct, pair->left, pair->right) ||
			InList(same, nsame, pair->left, pair->right))
			continue;
		edges[n++] = (MatchEdge){pair->left, pair->right, weight};
	}
	return n;
}

PG_FUNCTION_INFO_V1(crm_find_duplicates);
Datum
crm_find_duplicates(PG_FUNCTION_ARGS)
{
	/* runs of one model take turns; a verdict waits only while groups are made and written */
	static CrmQuery enter = {"SELECT FROM crm_member.match_model WHERE model_code "
							 "OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE",
							 1,
							 {TEXTOID}};
	static CrmQuery lock = {
		"SELECT FROM crm_member.match_model WHERE model_code OPERATOR(pg_catalog.=) $1 FOR UPDATE",
		1,
		{TEXTOID}};
	static CrmQuery clear_pairs = {
		"DELETE FROM crm_member.duplicate_pair WHERE model_code OPERATOR(pg_catalog.=) $1",
		1,
		{TEXTOID}};
	static CrmQuery clear_relations = {
		"DELETE FROM crm_member.match_relation WHERE model_code OPERATOR(pg_catalog.=) $1",
		1,
		{TEXTOID}};
	static CrmQuery clear_clusters = {
		"DELETE FROM crm_member.duplicate_cluster WHERE model_code OPERATOR(pg_catalog.=) $1",
		1,
		{TEXTOID}};
	Datum          code;
	MatchModel    *model;
	MatchData      data = {0};
	MatchPairs     pairs = {0};
	MatchEdge     *edges, *same, *distinct;
	uint64         nedges, nsame, ndistinct;
	uint32        *cluster, *weighed;
	Estimate       estimate = {0};
	StringInfoData hot;
	int32          threshold;
	int            nest;
	Oid            owner, user;
	int            security;
	MemoryContext  old;

	code = PG_ARGISNULL(0) ? CStringGetTextDatum("member") : PG_GETARG_DATUM(0);
	owner = RelationOwner(CrmRelation("match_model"));
	GetUserIdAndSecContext(&user, &security);
	/* called from a block, see what the block has written */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();

	/* our own tables with their owner's rights, the source with those of the caller */
	SetUserIdAndSecContext(owner, security | SECURITY_LOCAL_USERID_CHANGE);
	RunQuery(&enter, &code, NULL, false, 0);
	model = LoadModel(TextDatumGetCString(code));
	SetUserIdAndSecContext(user, security);
	/* a date is read as year, month, day, whatever the session prefers */
	nest = NewGUCNestLevel();
	(void) set_config_option("datestyle", "ISO, YMD", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	LoadRows(model, &data);
	AtEOXact_GUC(true, nest);
	SetUserIdAndSecContext(owner, security | SECURITY_LOCAL_USERID_CHANGE);

	old = MemoryContextSwitchTo(model->context);
	initStringInfo(&hot);
	ReportProgress(model->progress, "2/4 comparing pairs", 0, 0);
	for (int f = 0; f < model->nfields; f++)
		WeighTokens(&model->fields[f]);
	StartEstimate(model, &data, &estimate);
	FindCandidates(model, &data, &estimate, &pairs, &hot);
	ReportProgress(model->progress, "3/4 weighing and grouping", 0, pairs.count);
	FinishEstimate(model, &estimate);
	RunQuery(&lock, &code, NULL, false, 0);
	ReadVerdicts(model, &data, &same, &nsame, &distinct, &ndistinct);

	cluster = palloc_extended(Max(data.nrows, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	weighed = palloc_extended(Max(data.nrows, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < data.nrows; i++)
		cluster[i] = i;
	edges = palloc_extended(Max(pairs.count + nsame, 1) * sizeof(MatchEdge), MCXT_ALLOC_HUGE);
	threshold =
		(int32) lrint(log2(model->review_threshold / (1 - model->review_threshold)) * WEIGHT_SCALE);
	for (int round = 0; round < ROUNDS; round++)
	{
		/* the first round does without frequencies: it does not know yet who is one */
		if (round > 0)
		{
			CountEntities(model, &data, cluster);
			CountTogether(model, &data, edges, nedges);
		}
		memcpy(weighed, cluster, data.nrows * sizeof(uint32));
		nedges = CollectEdges(model, &data, &pairs, cluster, threshold, same, nsame, distinct,
							  ndistinct, edges);
		ClusterPairs(model, &data, edges, nedges, Max(threshold, 0), distinct, ndistinct, cluster);
	}

	RunQuery(&clear_pairs, &code, NULL, false, 0);
	RunQuery(&clear_relations, &code, NULL, false, 0);
	RunQuery(&clear_clusters, &code, NULL, false, 0);
	ReportProgress(model->progress, "4/4 writing", 0, nedges);
	DecidePairs(model, &data, edges, nedges, weighed);
	WritePairs(model, &data, edges, nedges, weighed);
	WriteRelations(model, &data, &pairs, cluster, weighed);
	WriteClusters(model, &data, cluster);
	WriteRun(model, &data, &estimate, nedges, &hot);
	SetUserIdAndSecContext(user, security);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(model->context);
	SPI_finish();
	PopActiveSnapshot();
	PG_RETURN_VOID();
}
