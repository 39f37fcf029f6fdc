/*
 * table_shape.c: what is known of a table of ours, and whether its rows can be
 * read and written without a statement.
 *
 * The shape is worked out once and kept until the table, or a function that an
 * expression of it may call, changes.  Expressions are compiled then; a statement
 * would read and compile every constraint again.
 */
#include "crm_member.h"
#include "catalog.h"
#include "table_shape.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#define MAX_TABLES	32

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

/* A truncate trigger not ours tells of a distributed engine, whose rows lie on other servers. */
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

Relation
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
