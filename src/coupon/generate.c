/*
 * generate.c: many codes at once.
 *
 * Numbers come in blocks of 1,024 from a sequence, so two calls never share
 * one; their codes are sorted before they are inserted, since an index takes
 * ordered keys several times faster.  Rows are written in bulk where the table
 * is a plain heap without triggers, else by SQL.
 *
 *	 49   48                     26 25           16 15            0
 *	+----+-------------------------+---------------+---------------+
 *	| 1  |  block                  |  in the block |  node         |
 *	+----+-------------------------+---------------+---------------+
 *	| 0  |  counter of single codes                |  node         |
 *	+----+-----------------------------------------+---------------+
 */
#include "crm_member.h"
#include "catalog.h"
#include "coupon/argument.h"
#include "coupon/code.h"
#include "coupon/use.h"
#include "query.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define NODE_BITS  16
#define BLOCK_BITS 10
#define BLOCK_CODES (1 << BLOCK_BITS)
#define BLOCK_FLAG (INT64CONST(1) << (CODE_BITS - 1))
#define BATCH	   1000			/* rows of one multi-insert */
#define CHUNK	   8000000		/* codes sorted together: 64 MB */
#define MAX_CODES  INT64CONST(100000000)

int64
NumberOfCounter(int64 counter)
{
	return counter << NODE_BITS | (NewId() & ((1 << NODE_BITS) - 1));
}

#define ST_SORT		   SortCodes
#define ST_ELEMENT_TYPE int64
#define ST_COMPARE(a, b) (*(a) > *(b) ? 1 : *(a) < *(b) ? -1 : 0)
#define ST_SCOPE	   static
#define ST_DEFINE
#include "lib/sort_template.h"

/* n codes, sorted */
static void
MakeCodes(int64 *codes, int64 n)
{
	static CrmQuery query = {"SELECT nextval('crm_member.coupon_block')", 0};
	int64		node = NewId() & ((1 << NODE_BITS) - 1);

	SPI_connect();
	for (int64 made = 0; made < n;)
	{
		bool		isnull;
		int64		block;

		CHECK_FOR_INTERRUPTS();
		RunQuery(&query, NULL, NULL, false, 1);
		block = DatumGetInt64(QueryColumn(0, 1, &isnull));
		SPI_freetuptable(SPI_tuptable);
		for (int i = 0; i < BLOCK_CODES && made < n; i++)
			codes[made++] = EncipherNumber(BLOCK_FLAG |
										   (block << BLOCK_BITS | i) << NODE_BITS | node);
	}
	SPI_finish();
	SortCodes(codes, n);
}

/* Column of the table by name. */
static int
Column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped &&
			strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return i;
	}
	elog(ERROR, "column \"%s\" of crm_member.coupon is missing", name);
}

/* The columns that generated coupons have; false where the table has others. */
static bool
IsPlain(Relation relation)
{
	static const char *const known[] = {"code", "issued_at", "uses", "valid_to", "member_id",
		"held_until", "template_code", "status", "held_by"};
	TupleDesc	desc = RelationGetDescr(relation);

	if (relation->rd_rel->relkind != RELKIND_RELATION ||
		relation->rd_tableam != GetHeapamTableAmRoutine() ||
		relation->trigdesc != NULL || relation->rd_rel->relrowsecurity)
		return false;
	for (int i = 0; i < desc->natts; i++)
	{
		bool		found = false;

		for (int k = 0; k < lengthof(known); k++)
			found |= strcmp(NameStr(TupleDescAttr(desc, i)->attname), known[k]) == 0;
		if (!found)
			return false;
	}
	return true;
}

/* What every generated coupon has but its code. */
static void
FillPattern(TupleDesc desc, const CouponTemplate *template, Datum *values, bool *nulls)
{
	memset(nulls, true, sizeof(bool) * desc->natts);
#define SET(name, datum) \
	(values[Column(desc, name)] = (datum), nulls[Column(desc, name)] = false)
	SET("code", Int64GetDatum(0));
	SET("issued_at", TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()));
	SET("uses", Int32GetDatum(0));
	SET("template_code", CStringGetTextDatum(template->code));
	SET("status", CStringGetTextDatum("active"));
	if (template->valid_days >= 0)
		SET("valid_to", DateADTGetDatum(LastDay(template)));
#undef SET
}

static void
InsertPlain(Relation relation, const CouponTemplate *template, const int64 *codes, int64 n)
{
	TupleDesc	desc = RelationGetDescr(relation);
	Datum	   *values = palloc0(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	int			code = Column(desc, "code");
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *result = makeNode(ResultRelInfo);
	TupleTableSlot **slots = palloc(sizeof(TupleTableSlot *) * BATCH);
	BulkInsertState bulk = GetBulkInsertState();
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "crm_member coupons",
												ALLOCSET_DEFAULT_SIZES);
	int			nslots = Min(n, BATCH);

	FillPattern(desc, template, values, nulls);
	InitResultRelInfo(result, relation, 1, NULL, 0);
	ExecOpenIndices(result, false);
	for (int i = 0; i < nslots; i++)
	{
		slots[i] = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
		ExecClearTuple(slots[i]);
	}

	for (int64 done = 0; done < n;)
	{
		int			rows = Min(n - done, nslots);
		MemoryContext old = MemoryContextSwitchTo(batch);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < rows; i++)
		{
			HeapTuple	tuple;

			values[code] = Int64GetDatum(codes[done + i]);
			tuple = heap_form_tuple(desc, values, nulls);
			tuple->t_tableOid = RelationGetRelid(relation);
			ExecStoreHeapTuple(tuple, slots[i], false);
		}
		table_multi_insert(relation, slots, rows, GetCurrentCommandId(true), 0, bulk);
		MemoryContextSwitchTo(old);
		for (int i = 0; i < rows; i++)
		{
			list_free(InsertIndexTuples(result, slots[i], estate, INDEX_WORK_ALL));
			ResetPerTupleExprContext(estate);
		}
		for (int i = 0; i < rows; i++)
			ExecClearTuple(slots[i]);
		MemoryContextReset(batch);
		done += rows;
	}

	table_finish_bulk_insert(relation, 0);
	FreeBulkInsertState(bulk);
	for (int i = 0; i < nslots; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	ExecCloseIndices(result);
	FreeExecutorState(estate);
	MemoryContextDelete(batch);
}

static void
InsertBySql(const CouponTemplate *template, const int64 *codes, int64 n)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.coupon (code, template_code, valid_to) "
		"SELECT c::crm_member.coupon_code, $2, $3 FROM unnest($1) c",
		3, {INT8ARRAYOID, TEXTOID, DATEOID}};
	Datum		values[3];
	char		nulls[3] = {' ', ' ', ' '};

	values[1] = CStringGetTextDatum(template->code);
	values[2] = DateADTGetDatum(LastDay(template));
	nulls[2] = template->valid_days < 0 ? 'n' : ' ';
	SPI_connect();
	for (int64 done = 0; done < n; done += BATCH)
	{
		int			rows = Min(n - done, BATCH);
		Datum	   *elements = palloc(sizeof(Datum) * rows);

		for (int i = 0; i < rows; i++)
			elements[i] = Int64GetDatum(codes[done + i]);
		values[0] = PointerGetDatum(construct_array(elements, rows, INT8OID, 8, FLOAT8PASSBYVAL,
													TYPALIGN_DOUBLE));
		RunQuery(&query, values, nulls, false, 0);
	}
	SPI_finish();
}

/* generate_coupons(template_code, n, ref, actor) */
PG_FUNCTION_INFO_V1(crm_generate_coupons);
Datum
crm_generate_coupons(PG_FUNCTION_ARGS)
{
	const CouponTemplate *template = RequireTemplate(RequiredText(fcinfo, 0, "template_code"));
	char	   *ref = OptionalText(fcinfo, 2);
	int64		n;
	int64		event_code;
	int64	   *codes;
	Relation	relation;

	if (PG_ARGISNULL(1))
		RefuseNull("n");
	n = PG_GETARG_INT64(1);
	if (n < 0 || n > MAX_CODES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("cannot generate " INT64_FORMAT " coupons", n),
						errdetail("One call makes 0 to " INT64_FORMAT " of them.", MAX_CODES)));
	if (template->automatic)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("coupon template \"%s\" is an automatic promotion", template->code),
						errdetail("It is applied without a code.")));
	if (FindCouponEvent(CRM_GUEST, "generate", template->code, n, ref, &event_code))
		PG_RETURN_INT64(n);
	if (!RecordCouponEvent(CRM_GUEST, "generate", -1, template->code, n, ref, NULL,
						   OptionalText(fcinfo, 3)))
	{
		if (!FindCouponEvent(CRM_GUEST, "generate", template->code, n, ref, &event_code))
			elog(ERROR, "generation with reference \"%s\" vanished", ref);
		PG_RETURN_INT64(n);
	}

	codes = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * Max(Min(n, CHUNK), 1));
	relation = table_open(CrmRelation("coupon"), RowExclusiveLock);
	for (int64 done = 0; done < n; done += CHUNK)
	{
		int64		part = Min(n - done, CHUNK);

		MakeCodes(codes, part);
		if (IsPlain(relation))
			InsertPlain(relation, template, codes, part);
		else
			InsertBySql(template, codes, part);
	}
	table_close(relation, NoLock);
	pfree(codes);
	PG_RETURN_INT64(n);
}
