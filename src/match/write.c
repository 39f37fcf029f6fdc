/*
 * write.c: what a run of find_duplicates found, into its tables, some
 * thousand rows a statement.
 */
#include "match/match.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#define WRITE_ROWS 2000
#define LEAST_RELATION 0.5 /* probability from which a relation is written */

int
CompareKeys(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);

	/* numbers by value */
	if (na != nb && strspn(a, "0123456789") == na && strspn(b, "0123456789") == nb)
		return na < nb ? -1 : 1;
	return strcmp(a, b);
}

typedef struct Batch
{
	CrmQuery     *query;
	const char   *model;
	int           ncolumns;
	int           n;
	Datum        *columns[6];
	MemoryContext context;
} Batch;

static void
InitBatch(Batch *batch, CrmQuery *query, const char *model, int ncolumns)
{
	batch->query = query;
	batch->model = model;
	batch->ncolumns = ncolumns;
	batch->n = 0;
	for (int c = 0; c < ncolumns; c++)
		batch->columns[c] = palloc(WRITE_ROWS * sizeof(Datum));
	batch->context = AllocSetContextCreate(CurrentMemoryContext, "crm_member match batch",
										   ALLOCSET_DEFAULT_SIZES);
}

static void
FlushBatch(Batch *batch)
{
	Datum         values[QUERY_MAX_ARGS];
	MemoryContext old;

	if (batch->n == 0)
		return;
	old = MemoryContextSwitchTo(batch->context);
	values[0] = CStringGetTextDatum(batch->model);
	for (int c = 0; c < batch->ncolumns; c++)
		values[c + 1] = ArrayOf(batch->columns[c], batch->n, TEXTOID);
	RunQuery(batch->query, values, NULL, false, 0);
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(old);
	MemoryContextReset(batch->context);
	batch->n = 0;
}

static void
AddToBatch(Batch *batch, ...)
{
	va_list       args;
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	va_start(args, batch);
	for (int c = 0; c < batch->ncolumns; c++)
		batch->columns[c][batch->n] = CStringGetTextDatum(va_arg(args, const char *));
	va_end(args);
	MemoryContextSwitchTo(old);
	if (++batch->n == WRITE_ROWS)
		FlushBatch(batch);
}

void
WritePairs(MatchModel *model, MatchData *data, MatchEdge *edges, uint64 nedges,
		   const uint32 *weighed)
{
	static CrmQuery insert = {
		"INSERT INTO crm_member.duplicate_pair (model_code, left_key, right_key, probability, "
		"weight, decision, "
		"evidence) SELECT $1, l, r, p::pg_catalog.numeric, w::pg_catalog.numeric, d, "
		"e::pg_catalog.jsonb "
		"FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), "
		"pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7)) AS t(l, r, p, w, d, "
		"e)",
		7,
		{TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		 TEXTARRAYOID}};
	Batch         batch;
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "crm_member match evidence",
												  ALLOCSET_DEFAULT_SIZES);

	InitBatch(&batch, &insert, model->code, 6);
	for (uint64 i = 0; i < nedges; i++)
	{
		MatchEdge    *edge = &edges[i];
		const char   *left = data->keys[edge->left], *right = data->keys[edge->right];
		const char   *swap;
		MemoryContext old;
		uint64        pattern;
		int32         weight, relation;

		CHECK_FOR_INTERRUPTS();
		old = MemoryContextSwitchTo(scratch);
		pattern = ComparePattern(model, data->cells + (Size) edge->left * model->nfields,
								 data->cells + (Size) edge->right * model->nfields);
		weight = PairWeight(model, data, edge->left, edge->right, pattern, weighed, &relation);
		if (CompareKeys(left, right) > 0)
		{
			swap = left;
			left = right;
			right = swap;
		}
		AddToBatch(&batch, left, right, psprintf("%.8f", WeightProbability(weight)), BitsText(weight),
				   edge->automatic ? "auto" : "review",
				   EvidenceText(model, data, edge->left, edge->right, pattern, weighed, relation));
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	FlushBatch(&batch);
	MemoryContextDelete(scratch);
}

void
WriteClusters(MatchModel *model, MatchData *data, const uint32 *cluster)
{
	static CrmQuery insert = {
		"INSERT INTO crm_member.duplicate_cluster (model_code, cluster_id, key) "
		"SELECT $1, c, k FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3)) AS t(c, k)",
		3,
		{TEXTOID, TEXTARRAYOID, TEXTARRAYOID}};
	Batch   batch;
	uint32 *first = palloc_extended(Max(data->nrows, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	uint32 *size =
		palloc_extended(Max(data->nrows, 1) * sizeof(uint32), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	/* a cluster is named by its least key */
	for (uint32 i = 0; i < data->nrows; i++)
	{
		uint32 c = cluster[i];

		if (size[c]++ == 0 || CompareKeys(data->keys[i], data->keys[first[c]]) < 0)
			first[c] = i;
	}
	InitBatch(&batch, &insert, model->code, 2);
	for (uint32 i = 0; i < data->nrows; i++)
	{
		if (size[cluster[i]] > 1)
			AddToBatch(&batch, data->keys[first[cluster[i]]], data->keys[i]);
	}
	FlushBatch(&batch);
	pfree(first);
	pfree(size);
}

/* One telephone or one address; a town is no home. */
static bool
SharesHome(const MatchModel *model, uint64 pattern)
{
	for (int f = 0; f < model->nfields; f++)
	{
		const Comparator *comparator = model->fields[f].comparator;

		if (comparator->role == ROLE_SHARED && comparator->compare != CompareCategory &&
			IsEqualLevel(comparator, PATTERN_LEVEL(pattern, f)))
			return true;
	}
	return false;
}

/* Pairs that are not one but belong together: a family, two shops in one house. */
void
WriteRelations(MatchModel *model, MatchData *data, const MatchPairs *pairs, const uint32 *cluster,
			   const uint32 *weighed)
{
	static CrmQuery insert = {
		"INSERT INTO crm_member.match_relation (model_code, left_key, right_key, probability, "
		"shared) SELECT $1, l, r, p::pg_catalog.numeric, s::pg_catalog.text[] "
		"FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), "
		"pg_catalog.unnest($5)) AS t(l, r, p, s)",
		5,
		{TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID}};
	Batch         batch;
	MemoryContext scratch;

	if (!HasRelations(model))
		return;
	scratch = AllocSetContextCreate(CurrentMemoryContext, "crm_member match relation",
									ALLOCSET_DEFAULT_SIZES);
	InitBatch(&batch, &insert, model->code, 4);
	for (uint64 i = 0; i < pairs->count; i++)
	{
		const MatchPair *pair = &pairs->pairs[i];
		const char      *left = data->keys[pair->left], *right = data->keys[pair->right];
		bool             turned = CompareKeys(left, right) > 0;
		MemoryContext    old;
		StringInfoData   shared;
		double           p;

		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
		if (cluster[pair->left] == cluster[pair->right] || !SharesHome(model, pair->pattern))
			continue;
		p = RelatedProbability(model, data, pair->left, pair->right, pair->pattern, weighed);
		if (p < LEAST_RELATION)
			continue;
		old = MemoryContextSwitchTo(scratch);
		initStringInfo(&shared);
		appendStringInfoChar(&shared, '{');
		for (int f = 0; f < model->nfields; f++)
		{
			const Comparator *comparator = model->fields[f].comparator;

			if (comparator->role == ROLE_SHARED &&
				IsEqualLevel(comparator, PATTERN_LEVEL(pair->pattern, f)))
			{
				appendStringInfoString(&shared, shared.len > 1 ? "," : "");
				escape_json(&shared, model->fields[f].column);
			}
		}
		appendStringInfoChar(&shared, '}');
		AddToBatch(&batch, turned ? right : left, turned ? left : right, psprintf("%.8f", p),
				   shared.data);
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	FlushBatch(&batch);
	MemoryContextDelete(scratch);
}

void
WriteRun(MatchModel *model, MatchData *data, Estimate *estimate, uint64 found, StringInfo hot)
{
	static CrmQuery insert = {
		"INSERT INTO crm_member.match_run (model_code, run_at, finished_at, records, candidates, "
		"pairs, "
		"expected_matches, iterations, converged, normalizer, parameters, crowded) "
		"VALUES ($1, pg_catalog.now(), pg_catalog.clock_timestamp(), $2, $3, $4, "
		"$5::pg_catalog.numeric, $6, $7, $8, "
		"$9::pg_catalog.jsonb, $10::pg_catalog.jsonb) "
		"ON CONFLICT (model_code, run_at) DO UPDATE SET finished_at = excluded.finished_at, "
		"records = excluded.records, candidates = excluded.candidates, pairs = excluded.pairs, "
		"expected_matches = excluded.expected_matches, iterations = excluded.iterations, "
		"converged = excluded.converged, normalizer = excluded.normalizer, parameters = "
		"excluded.parameters, "
		"crowded = excluded.crowded",
		10,
		{TEXTOID, INT8OID, INT8OID, INT8OID, TEXTOID, INT4OID, BOOLOID, TEXTOID, TEXTOID, TEXTOID}};
	Datum          values[10];
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "{\"prior\": %.10g, \"related\": %.10g, \"fields\": [", model->prior,
					 model->related);
	for (int f = 0; f < model->nfields; f++)
	{
		MatchField *field = &model->fields[f];

		appendStringInfoString(&out, f ? ", {\"column\": " : "{\"column\": ");
		escape_json(&out, field->column);
		appendStringInfo(&out, ", \"comparator\": \"%s\", \"levels\": [", field->comparator->name);
		for (int l = 0; l < field->comparator->nlevels; l++)
			appendStringInfo(&out, "%s{\"level\": \"%s\", \"m\": %.6g, \"u\": %.6g, \"r\": %.6g}",
							 l ? ", " : "", field->comparator->levels[l].name, field->m[l],
							 field->u[l], field->r[l]);
		appendStringInfoString(&out, "]}");
	}
	appendStringInfoString(&out, "]}");
	values[0] = CStringGetTextDatum(model->code);
	values[1] = Int64GetDatum(data->nrows);
	values[2] = Int64GetDatum(estimate->candidates);
	values[3] = Int64GetDatum(found);
	values[4] = CStringGetTextDatum(psprintf("%.2f", estimate->matches));
	values[5] = Int32GetDatum(estimate->iterations);
	values[6] = BoolGetDatum(estimate->converged);
	values[7] = CStringGetTextDatum(NormalizerVersion());
	values[8] = CStringGetTextDatum(out.data);
	values[9] = CStringGetTextDatum(hot->data);
	RunQuery(&insert, values, NULL, false, 0);
}
