/*
 * change.c: the members whose purchases changed since a model's last run.
 *
 * Triggers on the sales append to the log rfm_change, which has no index and
 * costs a few dozen bytes a sale.  A row without a model concerns every model:
 * the first that takes it leaves a row for each of the others.  What a run does
 * not see, because it was not committed in time, stays for the next one.
 */
#include "crm_member.h"
#include "catalog.h"
#include "query.h"
#include "rfm/change.h"
#include "rfm/collector.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

enum
{
	COLUMN_MEMBER_ID,
	COLUMN_MODEL_CODE,
	COLUMN_COUNT
};

/* More members than this in one statement are logged as any. */
#define MANY_MEMBERS 100000

/*
 * A transaction often touches one member several times in a row; the last one
 * logged is remembered.  A subtransaction has its own, which may be undone.
 */
static struct
{
	TransactionId transaction;
	SubTransactionId subtransaction;
	int64		member;
}			last_logged;

static Relation
OpenLog(LOCKMODE mode)
{
	Relation	log = table_open(CrmRelation("rfm_change"), mode);

	if (RelationGetDescr(log)->natts != COLUMN_COUNT)
		elog(ERROR, "crm_member.rfm_change has %d columns", RelationGetDescr(log)->natts);
	return log;
}

static void
AppendChange(Relation log, TupleTableSlot *row, int64 member, text *model_code)
{
	ExecClearTuple(row);
	row->tts_values[COLUMN_MEMBER_ID] = Int64GetDatum(member);
	row->tts_isnull[COLUMN_MEMBER_ID] = false;
	row->tts_values[COLUMN_MODEL_CODE] = PointerGetDatum(model_code);
	row->tts_isnull[COLUMN_MODEL_CODE] = model_code == NULL;
	ExecStoreVirtualTuple(row);
	table_tuple_insert(log, row, GetCurrentCommandId(true), 0, NULL);
}

void
LockChanges(void)
{
	LockRelationOid(CrmRelation("rfm_change"), ShareUpdateExclusiveLock);
}

/* The models that have been run, but for one: who else a change concerns. */
static int
OtherModels(const char *model_code, text ***models)
{
	static CrmQuery query = {"SELECT model_code FROM crm_member.rfm_state "
							 "WHERE run_id IS NOT NULL AND model_code <> $1",
							 1, {TEXTOID}};
	Datum		values[] = {CStringGetTextDatum(model_code)};
	int			n = RunQuery(&query, values, NULL, true, 0);

	*models = palloc(Max(n, 1) * sizeof(text *));
	for (int row = 0; row < n; row++)
	{
		bool		isnull;

		(*models)[row] = DatumGetTextPCopy(QueryColumn(row, 1, &isnull));
	}
	return n;
}

void
TakeChanges(const char *model_code, Changes *changes)
{
	text	  **others;
	int			nothers = OtherModels(model_code, &others);
	int			length = strlen(model_code);
	size_t		allocated = 1024;
	Relation	log = OpenLog(RowExclusiveLock);
	TupleTableSlot *row = table_slot_create(log, NULL);
	TupleTableSlot *copy = MakeSingleTupleTableSlot(RelationGetDescr(log), &TTSOpsVirtual);
	TableScanDesc scan = table_beginscan(log, GetActiveSnapshot(), 0, NULL);

	changes->members = palloc(allocated * sizeof(int64));
	changes->nmembers = 0;
	changes->any = false;
	last_logged.transaction = InvalidTransactionId;	/* what it logged is taken now */
	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		int64		member;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(row);
		member = DatumGetInt64(row->tts_values[COLUMN_MEMBER_ID]);
		if (!row->tts_isnull[COLUMN_MODEL_CODE])
		{
			text	   *model = DatumGetTextPP(row->tts_values[COLUMN_MODEL_CODE]);

			if (VARSIZE_ANY_EXHDR(model) != length ||
				memcmp(VARDATA_ANY(model), model_code, length) != 0)
				continue;
		}
		else
		{
			for (int i = 0; i < nothers; i++)
				AppendChange(log, copy, member, others[i]);
		}
		simple_table_tuple_delete(log, &row->tts_tid, GetActiveSnapshot());
		if (member == ANY_MEMBER)
			changes->any = true;
		if (changes->nmembers == allocated)
		{
			allocated *= 2;
			changes->members = repalloc_huge(changes->members, allocated * sizeof(int64));
		}
		changes->members[changes->nmembers++] = member;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(copy);
	ExecDropSingleTupleTableSlot(row);
	table_close(log, NoLock);
}

void
PutChanges(const char *model_code, const int64 *members, size_t n)
{
	Relation	log;
	TupleTableSlot *row;
	text	   *model = model_code != NULL ? cstring_to_text(model_code) : NULL;

	if (n == 0)
		return;
	log = OpenLog(RowExclusiveLock);
	row = MakeSingleTupleTableSlot(RelationGetDescr(log), &TTSOpsVirtual);
	if (n > MANY_MEMBERS)
		AppendChange(log, row, ANY_MEMBER, model);
	else
	{
		for (size_t i = 0; i < n; i++)
			AppendChange(log, row, members[i], model);
	}
	ExecDropSingleTupleTableSlot(row);
	table_close(log, NoLock);
}

void
NotePurchase(int64 member)
{
	TransactionId transaction = GetTopTransactionId();
	SubTransactionId subtransaction = GetCurrentSubTransactionId();

	if (member <= 0)
		return;					/* guests are not scored */
	if (member == last_logged.member && transaction == last_logged.transaction &&
		subtransaction == last_logged.subtransaction)
		return;
	PutChanges(NULL, &member, 1);
	last_logged.transaction = transaction;
	last_logged.subtransaction = subtransaction;
	last_logged.member = member;
}

static void
LogColumn(TriggerData *trigger, HeapTuple row, const char *column)
{
	TupleDesc	columns = RelationGetDescr(trigger->tg_relation);
	int			number = SPI_fnumber(columns, column);
	bool		isnull;
	Datum		member;

	if (number <= 0)
		return;
	member = heap_getattr(row, number, columns, &isnull);
	if (!isnull)
		NotePurchase(DatumGetInt64(member));
}

/* A merged member's purchases count for another, so that one is concerned too. */
static void
LogRow(TriggerData *trigger, HeapTuple row)
{
	LogColumn(trigger, row, "member_id");
	LogColumn(trigger, row, "merged_into");
}

/* The members of a statement's new rows, each once. */
static void
LogTable(TriggerData *trigger)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "rfm changes", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TupleDesc	columns = RelationGetDescr(trigger->tg_relation);
	int			column = SPI_fnumber(columns, "member_id");
	int			settled = SPI_fnumber(columns, "settled_at");
	TupleTableSlot *row = MakeSingleTupleTableSlot(columns, &TTSOpsMinimalTuple);
	Collector  *collector = NULL;
	int64		only = 0;

	while (tuplestore_gettupleslot(trigger->tg_newtable, true, false, row))
	{
		bool		isnull;
		int64		member = DatumGetInt64(slot_getattr(row, column, &isnull));

		if (isnull || member <= 0 || member == only)
			continue;
		if (settled > 0 && slot_attisnull(row, settled))
			continue;			/* counts when it is settled */
		if (only == 0)
			only = member;
		else if (collector == NULL)
			collector = CreateCollector(false, 0);
		if (collector != NULL)
			CollectPurchase(collector, member, 1, 0, 0);
	}
	ExecDropSingleTupleTableSlot(row);

	if (only != 0)
		NotePurchase(only);
	if (collector != NULL)
	{
		Tally	   *tallies;
		size_t		n = FinishCollector(collector, &tallies);
		int64	   *members =
			MemoryContextAllocExtended(context, n * sizeof(int64), MCXT_ALLOC_HUGE);

		for (size_t i = 0; i < n; i++)
			members[i] = tallies[i].member;
		PutChanges(NULL, members, n);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Trigger of every table that purchases are measured from; see the schema for when it fires. */
PG_FUNCTION_INFO_V1(crm_note_purchase);
Datum
crm_note_purchase(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("note_purchase() is an AFTER trigger function")));
	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
	{
		LogRow(trigger, trigger->tg_trigtuple);
		if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
			LogRow(trigger, trigger->tg_newtuple);
	}
	else if (trigger->tg_newtable != NULL)
		LogTable(trigger);
	else
	{
		int64		any = ANY_MEMBER;

		PutChanges(NULL, &any, 1);
	}
	return PointerGetDatum(NULL);
}
