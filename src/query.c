/*
 * query.c: SQL from C, with plans kept for the life of the session.
 */
#include "crm_member.h"
#include "catalog.h"
#include "query.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

static void
PrepareQuery(CrmQuery *query, int cursor_options)
{
	SPIPlanPtr	plan;

	if (query->plan != NULL)
		return;
	CrmRelation("setting");		/* says what is wrong before setup() */
	plan = SPI_prepare_cursor(query->sql, query->nargs, query->argtypes, cursor_options);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s", SPI_result_code_string(SPI_result), query->sql);
	SPI_keepplan(plan);
	query->plan = plan;
}

uint64
RunQuery(CrmQuery *query, Datum *values, const char *nulls, bool read_only, long limit)
{
	int			rc;

	PrepareQuery(query, 0);
	rc = SPI_execute_plan(query->plan, values, nulls, read_only, limit);
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan failed: %s: %s", SPI_result_code_string(rc), query->sql);
	return SPI_processed;
}

typedef struct VisitReceiver
{
	DestReceiver pub;
	MemoryContext context;
	RowVisitor	visit;
	void	   *reader;
} VisitReceiver;

static void
StartVisits(DestReceiver *self, int operation, TupleDesc columns)
{
}

static bool
VisitSlot(TupleTableSlot *slot, DestReceiver *self)
{
	VisitReceiver *receiver = (VisitReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);

	slot_getallattrs(slot);
	receiver->visit(receiver->reader, slot->tts_values, slot->tts_isnull);
	MemoryContextSwitchTo(old);
	return true;
}

static void
EndVisits(DestReceiver *self)
{
}

void
VisitRows(CrmQuery *query, const Datum *values, RowVisitor visit, void *reader)
{
	VisitReceiver receiver = {.pub = {.receiveSlot = VisitSlot, .rStartup = StartVisits, .rShutdown = EndVisits,
									  .rDestroy = EndVisits, .mydest = DestNone},
							  .context = CurrentMemoryContext, .visit = visit, .reader = reader};
	SPIExecuteOptions options = {.params = makeParamList(query->nargs), .read_only = true, .dest = &receiver.pub};

	PrepareQuery(query, CURSOR_OPT_CUSTOM_PLAN | CURSOR_OPT_PARALLEL_OK);
	for (int i = 0; i < query->nargs; i++)
	{
		options.params->params[i].value = values[i];
		options.params->params[i].isnull = false;
		options.params->params[i].ptype = query->argtypes[i];
		options.params->params[i].pflags = PARAM_FLAG_CONST;
	}
	if (SPI_execute_plan_extended(query->plan, &options) < 0)
		elog(ERROR, "SPI_execute_plan_extended failed: %s", query->sql);
	/* SPI leaves its own behind */
	MemoryContextSwitchTo(receiver.context);
}

RowBatch *
BeginBatch(const BatchColumn *columns, int ncolumns)
{
	RowBatch   *batch = palloc(sizeof(RowBatch));

	batch->desc = CreateTemplateTupleDesc(ncolumns);
	for (int i = 0; i < ncolumns; i++)
		TupleDescInitEntry(batch->desc, i + 1, columns[i].name, columns[i].type, -1, 0);
	batch->rows = tuplestore_begin_heap(false, false, work_mem);
	batch->count = 0;
	return batch;
}

void
AddRow(RowBatch *batch, Datum *values, bool *nulls)
{
	tuplestore_putvalues(batch->rows, batch->desc, values, nulls);
	batch->count++;
}

uint64
RunBatch(CrmQuery *query, RowBatch *batch)
{
	EphemeralNamedRelationData relation = {0};
	uint64		processed;

	if (batch->count == 0)
		return 0;
	relation.md.name = "batch";
	relation.md.tupdesc = batch->desc;
	relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	relation.md.enrtuples = batch->count;
	relation.reldata = batch->rows;
	if (SPI_register_relation(&relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register a batch of rows");
	processed = RunQuery(query, NULL, NULL, false, 0);
	SPI_unregister_relation("batch");
	return processed;
}

void
EndBatch(RowBatch *batch)
{
	tuplestore_end(batch->rows);
	FreeTupleDesc(batch->desc);
	pfree(batch);
}

Portal
OpenQuery(CrmQuery *query, Datum *values, bool read_only)
{
	PrepareQuery(query, 0);
	return SPI_cursor_open(NULL, query->plan, values, NULL, read_only);
}

Datum
TextOrNull(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

Datum
NullableText(const char *text, char *null)
{
	*null = text == NULL ? 'n' : ' ';
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

Datum
ArrayOf(Datum *values, int n, Oid type)
{
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	return PointerGetDatum(construct_array(values, n, type, length, by_value, align));
}

Datum
IdArray(const int64 *ids, int n)
{
	Datum	   *elements = palloc(sizeof(Datum) * n);
	Datum		array;

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(ids[i]);
	array = ArrayOf(elements, n, INT8OID);
	pfree(elements);
	return array;
}

Datum
QueryColumn(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

char *
QueryText(uint64 row, int column)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}
