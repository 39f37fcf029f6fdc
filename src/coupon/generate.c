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
#include "argument.h"
#include "catalog.h"
#include "coupon/code.h"
#include "coupon/life.h"
#include "coupon/use.h"
#include "query.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define NODE_BITS  16
#define BLOCK_BITS 10
#define BLOCK_CODES (1 << BLOCK_BITS)
#define BLOCK_FLAG (INT64CONST(1) << (CODE_BITS - 1))
#define BATCH	   1000			/* rows of one multi-insert */
#define DIGIT_BITS 11
#define DIGIT_MASK ((1 << DIGIT_BITS) - 1)
#define CHUNK	   8000000		/* codes sorted together: 64 MB */
#define MAX_CODES  INT64CONST(100000000)

int64
NumberOfCounter(int64 counter)
{
	return counter << NODE_BITS | (NewId() & ((1 << NODE_BITS) - 1));
}

/* Ascending, by passes over digits from the lowest; other has room for n as well. */
static void
SortCodes(int64 *codes, int64 *other, int64 n)
{
	int64	   *from = codes;
	int64	   *to = other;

	for (int shift = 0; shift < CODE_BITS; shift += DIGIT_BITS)
	{
		int64		starts[1 << DIGIT_BITS] = {0};
		int64		start = 0;
		int64	   *sorted = to;

		CHECK_FOR_INTERRUPTS();
		for (int64 i = 0; i < n; i++)
			starts[from[i] >> shift & DIGIT_MASK]++;
		for (int digit = 0; digit <= DIGIT_MASK; digit++)
		{
			int64		count = starts[digit];

			starts[digit] = start;
			start += count;
		}
		for (int64 i = 0; i < n; i++)
			to[starts[from[i] >> shift & DIGIT_MASK]++] = from[i];
		to = from;
		from = sorted;
	}
	if (from != codes)
		memcpy(codes, from, sizeof(int64) * n);
}

/* n codes, sorted */
static void
MakeCodes(int64 *codes, int64 *other, int64 n)
{
	static CrmQuery query = {"SELECT nextval('crm_member.coupon_block')", 0};
	int64		node = NewId() & ((1 << NODE_BITS) - 1);

	SPI_connect();
	for (int64 made = 0; made < n;)
	{
		int			count = Min(n - made, BLOCK_CODES);
		bool		isnull;
		int64		block;

		CHECK_FOR_INTERRUPTS();
		RunQuery(&query, NULL, NULL, false, 1);
		block = DatumGetInt64(QueryColumn(0, 1, &isnull));
		SPI_freetuptable(SPI_tuptable);
		for (int i = 0; i < count; i++)
			codes[made + i] = BLOCK_FLAG | (block << BLOCK_BITS | i) << NODE_BITS | node;
		EncipherNumbers(codes + made, count);
		made += count;
	}
	SPI_finish();
	SortCodes(codes, other, n);
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

	if (relation->rd_rel->relkind != RELKIND_RELATION || Column(desc, "code") != 0 ||
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

/* What every generated coupon is but for its code, which is the first column. */
static HeapTuple
FormPattern(TupleDesc desc, const CouponTemplate *template)
{
	Datum	   *values = palloc0(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);

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
	return heap_form_tuple(desc, values, nulls);
}

/* Leave alone the indexes whose predicate no generated coupon fulfils. */
static void
CloseOtherIndexes(ResultRelInfo *result, EState *estate, TupleTableSlot *pattern)
{
	int			kept = 0;

	GetPerTupleExprContext(estate)->ecxt_scantuple = pattern;
	for (int i = 0; i < result->ri_NumIndices; i++)
	{
		IndexInfo  *info = result->ri_IndexRelationInfo[i];
		Bitmapset  *columns = NULL;

		pull_varattnos((Node *) info->ii_Predicate, 1, &columns);
		if (info->ii_Predicate != NIL &&
			!bms_is_member(1 - FirstLowInvalidHeapAttributeNumber, columns) &&
			!ExecQual(ExecPrepareQual(info->ii_Predicate, estate), GetPerTupleExprContext(estate)))
		{
			index_close(result->ri_IndexRelationDescs[i], RowExclusiveLock);
			continue;
		}
		result->ri_IndexRelationDescs[kept] = result->ri_IndexRelationDescs[i];
		result->ri_IndexRelationInfo[kept++] = info;
	}
	result->ri_NumIndices = kept;
}

static void
InsertPlain(Relation relation, const CouponTemplate *template, const int64 *codes, int64 n)
{
	TupleDesc	desc = RelationGetDescr(relation);
	HeapTuple	pattern = FormPattern(desc, template);
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *result = makeNode(ResultRelInfo);
	BulkInsertState bulk = GetBulkInsertState();
	CommandId	command = GetCurrentCommandId(true);
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "crm_member coupons",
												ALLOCSET_DEFAULT_SIZES);
	int			nslots = Min(n, BATCH);
	TupleTableSlot **slots = palloc(sizeof(TupleTableSlot *) * BATCH);
	HeapTuple	tuples[BATCH];

	InitResultRelInfo(result, relation, 0, NULL, 0);	/* of no range table */
	ExecOpenIndices(result, false);
	for (int i = 0; i < nslots; i++)
	{
		slots[i] = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
		tuples[i] = heap_copytuple(pattern);
	}
	if (n > 0)
	{
		ExecStoreHeapTuple(pattern, slots[0], false);
		if (relation->rd_att->constr != NULL)
			ExecConstraints(result, slots[0], estate);
		CloseOtherIndexes(result, estate, slots[0]);
	}

	for (int64 done = 0; done < n;)
	{
		int			rows = Min(n - done, nslots);
		MemoryContext old = MemoryContextSwitchTo(batch);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < rows; i++)
		{
			/* inserting it wrote into it */
			memcpy(tuples[i]->t_data, pattern->t_data, pattern->t_len);
			*(int64 *) ((char *) tuples[i]->t_data + pattern->t_data->t_hoff) = codes[done + i];
			tuples[i]->t_tableOid = RelationGetRelid(relation);
			ExecStoreHeapTuple(tuples[i], slots[i], false);
		}
		table_multi_insert(relation, slots, rows, command, 0, bulk);
		for (int i = 0; i < rows; i++)
		{
			list_free(InsertIndexTuples(result, slots[i], estate, INDEX_WORK_ALL));
			ResetPerTupleExprContext(estate);
		}
		MemoryContextSwitchTo(old);
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
		values[0] = IdArray(codes + done, Min(n - done, BATCH));
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
	char	   *ref = TextArgument(fcinfo, 2);
	int64		n;
	int64		event_code;
	int64	   *codes;
	int64	   *other;
	int64		part;
	Relation	relation;

	RequireArgument(fcinfo, 1, "n");
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
						   TextArgument(fcinfo, 3)))
	{
		if (!FindCouponEvent(CRM_GUEST, "generate", template->code, n, ref, &event_code))
			elog(ERROR, "generation with reference \"%s\" vanished", ref);
		PG_RETURN_INT64(n);
	}

	part = Max(Min(n, CHUNK), 1);
	codes = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * part);
	other = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * part);
	relation = table_open(CrmRelation("coupon"), RowExclusiveLock);
	for (int64 done = 0; done < n; done += CHUNK)
	{
		part = Min(n - done, CHUNK);
		MakeCodes(codes, other, part);
		if (IsPlain(relation))
			InsertPlain(relation, template, codes, part);
		else
			InsertBySql(template, codes, part);
	}
	table_close(relation, NoLock);
	pfree(codes);
	pfree(other);
	PG_RETURN_INT64(n);
}
