/*
 * table.c: rows of our own tables, read and written by key without a statement.
 *
 * What is known of a table (its shape) is worked out once and kept until the
 * table, or a function that an expression of it may call, changes.  Expressions
 * are compiled then; a statement would read and compile every constraint again.
 */
#include "crm_member.h"
#include "catalog.h"
#include "table.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define MAX_TABLES	32
#define FLUSH_ROWS	100

typedef struct TableShape
{
	MemoryContext context;
	bool		readable;
	bool		insertable;
	bool		updatable;
	bool		replaces_insert;	/* the replacement is called after an insert, */
	bool		replaces_update;	/* after an update */
	AttrNumber	attnums[TABLE_MAX_COLUMNS];
	int			natts;
	bool	   *given;			/* by attribute: a column of the list, and so below */
	ExprState **defaults;		/* NULL: null */
	ExprState **generated;		/* NULL: not */
	bool	   *required;
	int16	   *lengths;		/* of generated ones, for copies */
	bool	   *byval;
	int			nchecks;
	ExprState **checks;
	Oid			key;			/* index of the primary key */
	Oid			claim;			/* index that claims go by */
	int			nkeys;
	ScanKeyData keys[INDEX_MAX_KEYS];	/* lacking their arguments */
} TableShape;

/* Tables whose shape is kept, to forget it when a function changes. */
static CrmTable *tables[MAX_TABLES];
static int	ntables = 0;

static void
OnFunctionChange(Datum arg, int cacheid, uint32 hashvalue)
{
	for (int i = 0; i < ntables; i++)
		tables[i]->valid = false;
}

void
TableInit(void)
{
	CacheRegisterSyscacheCallback(PROCOID, OnFunctionChange, (Datum) 0);
}

static bool
IsOurs(Oid function)
{
	char	   *schema = get_namespace_name(get_func_namespace(function));

	return schema != NULL && strcmp(schema, CRM_SCHEMA) == 0;
}

static bool
Calls(const Trigger *trigger, const char *name)
{
	return name != NULL && IsOurs(trigger->tgfoid) &&
		strcmp(get_func_name(trigger->tgfoid), name) == 0;
}

static bool
ChecksReference(const Trigger *trigger, const char *referenced)
{
	return referenced != NULL && RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_FK &&
		trigger->tgconstrrelid == CrmRelation(referenced);
}

/* Who truncates on other servers too keeps the rows there, not here. */
static void
LookAtTriggers(CrmTable *table, Relation rel, TableShape *shape)
{
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (trigger->tgenabled == TRIGGER_DISABLED)
			continue;
		if (TRIGGER_FOR_TRUNCATE(trigger->tgtype) && !IsOurs(trigger->tgfoid))
			shape->readable = false;
		if (Calls(trigger, table->replaced))
		{
			shape->replaces_insert |= TRIGGER_FOR_INSERT(trigger->tgtype);
			shape->replaces_update |= TRIGGER_FOR_UPDATE(trigger->tgtype);
			continue;
		}
		/* references are checked when keys change, which here they do not */
		if (TRIGGER_FOR_UPDATE(trigger->tgtype) &&
			RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_NONE)
			shape->updatable = false;
		if (TRIGGER_FOR_INSERT(trigger->tgtype) && !Calls(trigger, table->quiet) &&
			!ChecksReference(trigger, table->referenced))
			shape->insertable = false;
	}
}

static ExprState *
Compile(Node *expression)
{
	return ExecInitExpr(expression_planner((Expr *) expression), NULL);
}

static void
CompileExpressions(Relation rel, TableShape *shape)
{
	TupleDesc	desc = RelationGetDescr(rel);

	shape->natts = desc->natts;
	shape->defaults = palloc0(sizeof(ExprState *) * desc->natts);
	shape->generated = palloc0(sizeof(ExprState *) * desc->natts);
	shape->required = palloc0(sizeof(bool) * desc->natts);
	shape->lengths = palloc0(sizeof(int16) * desc->natts);
	shape->byval = palloc0(sizeof(bool) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Node	   *expression;

		if (att->attisdropped)
			continue;
		shape->required[i] = att->attnotnull;
		shape->lengths[i] = att->attlen;
		shape->byval[i] = att->attbyval;
		if (att->attgenerated != '\0' && att->attgenerated != ATTRIBUTE_GENERATED_STORED)
			shape->readable = false;
		else if (att->attgenerated == ATTRIBUTE_GENERATED_STORED)
			shape->generated[i] = Compile(build_column_default(rel, i + 1));
		else if (!shape->given[i] && (expression = build_column_default(rel, i + 1)) != NULL)
			shape->defaults[i] = Compile(expression);
	}
	if (desc->constr == NULL)
		return;
	shape->checks = palloc0(sizeof(ExprState *) * Max(desc->constr->num_check, 1));
	for (int i = 0; i < desc->constr->num_check; i++)
	{
		if (IsEnforced(&desc->constr->check[i]))
			shape->checks[shape->nchecks++] = Compile(stringToNode(desc->constr->check[i].ccbin));
	}
}

static void
LookUpColumns(CrmTable *table, Relation rel, TableShape *shape)
{
	TupleDesc	desc = RelationGetDescr(rel);

	shape->given = palloc0(sizeof(bool) * desc->natts);
	for (int i = 0; i < table->ncolumns; i++)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(rel), table->columns[i].name);
		Form_pg_attribute att;

		shape->attnums[i] = attnum;
		if (attnum <= 0)
		{
			shape->readable = false;
			continue;
		}
		att = TupleDescAttr(desc, attnum - 1);
		shape->given[attnum - 1] = true;
		if (att->atttypmod != -1 ||
			(OidIsValid(table->columns[i].type) ? att->atttypid != table->columns[i].type
			 : strcmp(format_type_be_qualified(att->atttypid), CRM_SCHEMA ".coupon_code") != 0))
			shape->readable = false;
		if (att->attgenerated != '\0' || att->attidentity != '\0')
			shape->insertable = false;
	}
}

static void
LookUpKey(const CrmTable *table, Relation rel, TableShape *shape)
{
	Relation	index;

	shape->key = PrimaryKeyIndex(rel);
	if (!OidIsValid(shape->key))
	{
		shape->readable = false;
		return;
	}
	shape->claim = table->claimed_by == NULL ? shape->key
		: get_relname_relid(table->claimed_by, RelationGetNamespace(rel));
	if (!OidIsValid(shape->claim))
		shape->insertable = false;
	index = index_open(shape->key, AccessShareLock);
	shape->nkeys = IndexRelationGetNumberOfKeyAttributes(index);
	if (index->rd_rel->relam != BTREE_AM_OID)
		shape->readable = false;
	for (int i = 0; shape->readable && i < shape->nkeys; i++)
	{
		Oid			type = index->rd_opcintype[i];
		Oid			equal = get_opfamily_member(index->rd_opfamily[i], type, type,
												BTEqualStrategyNumber);

		ScanKeyEntryInitialize(&shape->keys[i], 0, i + 1, BTEqualStrategyNumber, type,
							   index->rd_indcollation[i], get_opcode(equal), (Datum) 0);
	}
	index_close(index, AccessShareLock);
}

static void
LookAtTable(CrmTable *table, Relation rel, TableShape *shape)
{
	shape->readable = rel->rd_rel->relkind == RELKIND_RELATION &&
		rel->rd_rel->relam == HEAP_TABLE_AM_OID && !rel->rd_rel->relispartition &&
		!rel->rd_rel->relhassubclass && !rel->rd_rel->relrowsecurity && rel->rd_rules == NULL;
	shape->insertable = shape->updatable = true;
	LookAtTriggers(table, rel, shape);
	LookUpColumns(table, rel, shape);
	LookUpKey(table, rel, shape);
	if (shape->readable)
		CompileExpressions(rel, shape);
	shape->insertable &= shape->readable;
	shape->updatable &= shape->readable;
}

static void
RememberTable(CrmTable *table)
{
	for (int i = 0; i < ntables; i++)
	{
		if (tables[i] == table)
			return;
	}
	if (ntables == MAX_TABLES)
		elog(ERROR, "too many tables");
	tables[ntables++] = table;
}

static void
LearnShape(CrmTable *table, Relation rel)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "crm_member table",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old;
	TableShape *shape;

	if (table->shape == NULL)
		RememberTable(table);
	WatchRelations(&table->valid, &table->name, 1);
	table->valid = true;		/* before looking: a change meanwhile must not be lost */
	old = MemoryContextSwitchTo(context);
	shape = palloc0(sizeof(TableShape));
	shape->context = context;
	PG_TRY();
	{
		LookAtTable(table, rel, shape);
	}
	PG_CATCH();
	{
		table->valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);

	MemoryContextSetParent(context, CacheMemoryContext);
	/* who reads or writes with the old one is not done yet */
	if (table->shape != NULL)
		MemoryContextSetParent(table->shape->context, TopTransactionContext);
	table->shape = shape;
}

/* The table, if those rights and this act are possible without a statement. */
static Relation
OpenTable(CrmTable *table, AclMode rights, LOCKMODE lock)
{
	Oid			relid = CrmRelation(table->name);
	Relation	rel;
	bool		possible;

	if (lock != AccessShareLock &&
		(XactReadOnly || IsInParallelMode() ||
		 SessionReplicationRole != SESSION_REPLICATION_ROLE_ORIGIN))
		return NULL;
	rel = table_open(relid, lock);
	/* once is enough where caches are made to forget at every step */
	for (int i = 0; !table->valid && i < 3; i++)
		LearnShape(table, rel);
	possible = table->shape->readable && ((rights & ACL_INSERT) == 0 || table->shape->insertable) &&
		((rights & ACL_UPDATE) == 0 || table->shape->updatable);
	if (possible && ExecutorCheckPerms_hook == NULL &&
		pg_class_aclmask(relid, GetUserId(), rights, ACLMASK_ALL) == rights)
		return rel;
	table_close(rel, NoLock);
	return NULL;
}

/* Say which constraint a row breaks. */
static void pg_attribute_noreturn()
RefuseRow(ResultRelInfo *target, EState *estate, TupleTableSlot *slot)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List	   *rights = NIL;

	rte->rtekind = RTE_RELATION;
	rte->relid = RelationGetRelid(target->ri_RelationDesc);
	rte->relkind = RELKIND_RELATION;
	rte->rellockmode = RowExclusiveLock;
	SetRangeTable(estate, rte, &rights);
	ExecConstraints(target, slot, estate);
	elog(ERROR, "a row of \"%s\" breaks a constraint",
		 RelationGetRelationName(target->ri_RelationDesc));
}

/* Columns that are computed, and whether all is as it must be. */
static void
FinishRow(const TableShape *shape, ResultRelInfo *target, EState *estate, TupleTableSlot *slot)
{
	ExprContext *econtext = GetPerTupleExprContext(estate);
	MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	bool		valid = true;

	econtext->ecxt_scantuple = slot;
	for (int i = 0; i < shape->natts; i++)
	{
		if (shape->generated[i] == NULL)
			continue;
		slot->tts_values[i] = ExecEvalExpr(shape->generated[i], econtext, &slot->tts_isnull[i]);
		if (!slot->tts_isnull[i])
		{
			MemoryContextSwitchTo(slot->tts_mcxt);
			slot->tts_values[i] = datumCopy(slot->tts_values[i], shape->byval[i], shape->lengths[i]);
			MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
		}
	}
	for (int i = 0; valid && i < shape->natts; i++)
		valid = !shape->required[i] || !slot->tts_isnull[i];
	for (int i = 0; valid && i < shape->nchecks; i++)
		valid = ExecCheck(shape->checks[i], econtext);
	MemoryContextSwitchTo(old);
	if (!valid)
		RefuseRow(target, estate, slot);
	ResetPerTupleExprContext(estate);
}

static ResultRelInfo *
OpenTarget(Relation rel, bool speculative)
{
	ResultRelInfo *target = makeNode(ResultRelInfo);

	InitResultRelInfo(target, rel, 0, NULL, 0);	/* of no range table */
	ExecOpenIndices(target, speculative);
	return target;
}

static void
InsertIndexes(ResultRelInfo *target, EState *estate, TupleTableSlot *slot, IndexWork work)
{
	if (target->ri_NumIndices > 0 && HasIndexWork(work))
		list_free(InsertIndexTuples(target, slot, estate, work));
	ResetPerTupleExprContext(estate);
}

static TableRows *
BeginRows(CrmTable *table, AclMode rights, bool anew)
{
	LOCKMODE	lock = rights == ACL_SELECT ? AccessShareLock : RowExclusiveLock;
	Relation	rel = OpenTable(table, rights, lock);
	TableRows  *rows;

	if (rel == NULL)
		return NULL;
	rows = palloc0(sizeof(TableRows));
	rows->table = table;
	rows->shape = table->shape;
	rows->rel = rel;
	if (anew)
	{
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
	}
	else
		PushActiveSnapshot(GetActiveSnapshot());
	rows->index = index_open(rows->shape->key, lock);
	rows->snapshot = GetActiveSnapshot();
	rows->context = CurrentMemoryContext;
	rows->row = table_slot_create(rel, NULL);
	return rows;
}

TableRows *
OpenRows(CrmTable *table, AclMode rights)
{
	return BeginRows(table, rights, true);
}

TableRows *
PeekRows(CrmTable *table)
{
	return BeginRows(table, ACL_SELECT, false);
}

void
FindRows(TableRows *rows, const Datum *key, int nkeys)
{
	ScanKeyData keys[INDEX_MAX_KEYS];
	MemoryContext old;

	memcpy(keys, rows->shape->keys, sizeof(ScanKeyData) * nkeys);
	for (int i = 0; i < nkeys; i++)
		keys[i].sk_argument = key[i];
	if (rows->scan == NULL || rows->scan->numberOfKeys != nkeys)
	{
		if (rows->scan != NULL)
			index_endscan(rows->scan);
		old = MemoryContextSwitchTo(rows->context);
		rows->scan = BeginIndexScan(rows->rel, rows->index, rows->snapshot, nkeys);
		MemoryContextSwitchTo(old);
	}
	index_rescan(rows->scan, keys, nkeys, NULL, 0);
}

bool
FindNext(TableRows *rows)
{
	/* the index may keep what it allocates */
	MemoryContext old = MemoryContextSwitchTo(rows->context);
	bool		found = index_getnext_slot(rows->scan, ForwardScanDirection, rows->row);

	MemoryContextSwitchTo(old);
	return found;
}

bool
FindRow(TableRows *rows, const Datum *key)
{
	FindRows(rows, key, rows->shape->nkeys);
	return FindNext(rows);
}

bool
FetchRow(TableRows *rows, ItemPointer tid)
{
	return table_tuple_fetch_row_version(rows->rel, tid, rows->snapshot, rows->row);
}

Datum
RowColumn(TableRows *rows, int column, bool *isnull)
{
	return slot_getattr(rows->row, rows->shape->attnums[column], isnull);
}

static void
FillSlot(CrmTable *table, const TableShape *shape, EState *estate, TupleTableSlot *slot,
		 const Datum *values, const bool *nulls)
{
	ExecClearTuple(slot);
	for (int i = 0; i < shape->natts; i++)
	{
		slot->tts_isnull[i] = shape->defaults[i] == NULL;
		slot->tts_values[i] = (Datum) 0;
		if (shape->defaults[i] != NULL)
		{
			/* the value must outlive the row's context */
			MemoryContext old = MemoryContextSwitchTo(slot->tts_mcxt);

			slot->tts_values[i] = ExecEvalExpr(shape->defaults[i], GetPerTupleExprContext(estate),
											   &slot->tts_isnull[i]);
			MemoryContextSwitchTo(old);
		}
	}
	for (int i = 0; i < table->ncolumns; i++)
	{
		slot->tts_values[shape->attnums[i] - 1] = values[i];
		slot->tts_isnull[shape->attnums[i] - 1] = nulls[i];
	}
	ExecStoreVirtualTuple(slot);
}

static void
BeginWrites(TableRows *rows)
{
	MemoryContext old;

	if (rows->estate != NULL)
		return;
	old = MemoryContextSwitchTo(rows->context);
	rows->estate = CreateExecutorState();
	rows->target = OpenTarget(rows->rel, true);
	rows->changed = MakeSingleTupleTableSlot(RelationGetDescr(rows->rel), &TTSOpsVirtual);
	MemoryContextSwitchTo(old);
}

void
RowColumns(TableRows *rows, Datum *values, bool *nulls)
{
	slot_getallattrs(rows->row);
	for (int i = 0; i < rows->table->ncolumns; i++)
	{
		values[i] = rows->row->tts_values[rows->shape->attnums[i] - 1];
		nulls[i] = rows->row->tts_isnull[rows->shape->attnums[i] - 1];
	}
}

bool
ChangeRow(TableRows *rows, const int *columns, int n, const Datum *values, const bool *nulls)
{
	TM_FailureData failure;
	LockTupleMode lock;
	IndexWork	work;
	TM_Result	result;
	int			natts = rows->shape->natts;

	BeginWrites(rows);
	CheckCmdReplicaIdentity(rows->rel, CMD_UPDATE);
	ExecClearTuple(rows->changed);
	slot_getallattrs(rows->row);
	memcpy(rows->changed->tts_values, rows->row->tts_values, sizeof(Datum) * natts);
	memcpy(rows->changed->tts_isnull, rows->row->tts_isnull, sizeof(bool) * natts);
	for (int i = 0; i < n; i++)
	{
		int			att = rows->shape->attnums[columns[i]] - 1;

		rows->changed->tts_values[att] = values[i];
		rows->changed->tts_isnull[att] = nulls != NULL && nulls[i];
	}
	ExecStoreVirtualTuple(rows->changed);
	FinishRow(rows->shape, rows->target, rows->estate, rows->changed);
	result = table_tuple_update(rows->rel, &rows->row->tts_tid, rows->changed,
								GetCurrentCommandId(true), rows->snapshot, InvalidSnapshot,
								!rows->impatient, &failure, &lock, &work);
	if (result == TM_Updated || result == TM_Deleted || result == TM_BeingModified)
		return false;
	if (result != TM_Ok)
		elog(ERROR, "a row of \"%s\" was changed twice", RelationGetRelationName(rows->rel));
	InsertIndexes(rows->target, rows->estate, rows->changed, work);
	if (rows->shape->replaces_update)
	{
		bool		isnull;

		rows->table->replacement(DatumGetInt64(RowColumn(rows, 0, &isnull)));
	}
	return true;
}

/* As INSERT ... ON CONFLICT DO NOTHING does it, which others' inserts cannot slip by. */
bool
ClaimRow(TableRows *rows, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot;
	List	   *arbiter = list_make1_oid(rows->shape->claim);
	ItemPointerData there;
	uint32		token;
	bool		conflict = false;

	BeginWrites(rows);
	slot = rows->changed;
	FillSlot(rows->table, rows->shape, rows->estate, slot, values, nulls);
	FinishRow(rows->shape, rows->target, rows->estate, slot);
	slot->tts_tableOid = RelationGetRelid(rows->rel);
	if (!NoConflict(rows->target, slot, rows->estate, &there, arbiter))
		return false;
	token = SpeculativeInsertionLockAcquire(GetCurrentTransactionId());
	table_tuple_insert_speculative(rows->rel, slot, GetCurrentCommandId(true), 0, NULL, token);
	list_free(InsertArbitratedIndexTuples(rows->target, slot, rows->estate, &conflict, arbiter));
	table_tuple_complete_speculative(rows->rel, slot, token, !conflict);
	SpeculativeInsertionLockRelease(GetCurrentTransactionId());
	ResetPerTupleExprContext(rows->estate);
	return !conflict;
}

void
CloseRows(TableRows *rows)
{
	if (rows == NULL)
		return;
	if (rows->scan != NULL)
		index_endscan(rows->scan);
	index_close(rows->index, NoLock);
	ExecDropSingleTupleTableSlot(rows->row);
	if (rows->estate != NULL)
	{
		ExecDropSingleTupleTableSlot(rows->changed);
		ExecCloseIndices(rows->target);
		FreeExecutorState(rows->estate);
		CommandCounterIncrement();
	}
	PopActiveSnapshot();
	table_close(rows->rel, NoLock);
	pfree(rows);
}

struct TableInsert
{
	CrmTable   *table;
	RowBatch   *batch;			/* for a statement; NULL: without, and then: */
	const TableShape *shape;
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *target;
	int			nrows;
	int			nslots;
	TupleTableSlot *slots[FLUSH_ROWS];
};

/* INSERT INTO the table (its columns) SELECT them FROM batch */
static CrmQuery *
InsertStatement(CrmTable *table)
{
	StringInfoData sql;
	StringInfoData columns;
	MemoryContext old;

	if (table->insert.sql != NULL)
		return &table->insert;
	initStringInfo(&columns);
	for (int i = 0; i < table->ncolumns; i++)
		appendStringInfo(&columns, "%s%s", i > 0 ? ", " : "", table->columns[i].name);
	old = MemoryContextSwitchTo(TopMemoryContext);
	initStringInfo(&sql);
	MemoryContextSwitchTo(old);
	appendStringInfo(&sql, "INSERT INTO " CRM_SCHEMA ".%s (%s) SELECT %s FROM batch", table->name,
					 columns.data, columns.data);
	table->insert.sql = sql.data;
	return &table->insert;
}

TableInsert *
BeginInsert(CrmTable *table)
{
	TableInsert *insert = palloc0(sizeof(TableInsert));

	insert->table = table;
	insert->rel = OpenTable(table, ACL_INSERT, RowExclusiveLock);
	if (insert->rel == NULL)
	{
		insert->batch = BeginBatch(table->columns, table->ncolumns);
		return insert;
	}
	insert->shape = table->shape;
	insert->estate = CreateExecutorState();
	insert->target = OpenTarget(insert->rel, false);
	return insert;
}

static void
FlushRows(TableInsert *insert)
{
	CHECK_FOR_INTERRUPTS();
	table_multi_insert(insert->rel, insert->slots, insert->nrows, GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < insert->nrows; i++)
		InsertIndexes(insert->target, insert->estate, insert->slots[i], INDEX_WORK_ALL);
	insert->nrows = 0;
}

void
PutRow(TableInsert *insert, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot;

	if (insert->batch != NULL)
	{
		AddRow(insert->batch, unconstify(Datum *, values), unconstify(bool *, nulls));
		return;
	}
	if (insert->nrows == insert->nslots)
		insert->slots[insert->nslots++] = MakeSingleTupleTableSlot(RelationGetDescr(insert->rel),
																   &TTSOpsVirtual);
	slot = insert->slots[insert->nrows];
	FillSlot(insert->table, insert->shape, insert->estate, slot, values, nulls);
	FinishRow(insert->shape, insert->target, insert->estate, slot);
	if (insert->shape->replaces_insert)
		insert->table->replacement(DatumGetInt64(values[0]));
	if (++insert->nrows == FLUSH_ROWS)
		FlushRows(insert);
}

void
EndInsert(TableInsert *insert)
{
	if (insert->batch != NULL)
	{
		if (RunBatch(InsertStatement(insert->table), insert->batch) != insert->batch->count)
			elog(ERROR, "rows of \"%s\" were not written", insert->table->name);
		EndBatch(insert->batch);
		pfree(insert);
		return;
	}
	if (insert->nrows > 0)
		FlushRows(insert);
	for (int i = 0; i < insert->nslots; i++)
		ExecDropSingleTupleTableSlot(insert->slots[i]);
	ExecCloseIndices(insert->target);
	FreeExecutorState(insert->estate);
	table_close(insert->rel, NoLock);
	CommandCounterIncrement();
	pfree(insert);
}
