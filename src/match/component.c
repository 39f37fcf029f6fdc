/*
 * component.c: connected components of the edges that a query yields.
 *
 * The executor hands each row straight to the receiver.  Keys become dense
 * numbers in the order in which they come; the sets of numbers are joined as the
 * edges arrive.
 */
#include "crm_member.h"
#include "match/component.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#define EDGES_AT_ONCE 256
#define FIRST_SIZE 16384 /* keys; a power of 2 */
#define LARGE_SIZE 1048576

/* number is one more than the key's; 0 marks a free slot. */
typedef struct Slot
{
	int64  key;
	uint32 number;
} Slot;

typedef struct Receiver
{
	DestReceiver  pub;
	MemoryContext context;
	Oid           types[2];
	uint32        count; /* keys known */
	uint32        size;
	int64        *keys; /* by number */
	Component    *forest;
	Slot         *slots; /* twice as many as there may be keys */
	uint32        mask;
	int           nwaiting;
	int64 waiting[EDGES_AT_ONCE][2]; /* looked up together, so that memory can be asked ahead */
} Receiver;

static void
StartReceiver(DestReceiver *self, int operation, TupleDesc columns)
{
	Receiver *receiver = (Receiver *) self;

	if (columns->natts != 2)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("query must yield two columns: the ends of an edge"),
						errdetail("It yields %d columns.", columns->natts)));
	for (int i = 0; i < 2; i++)
	{
		Oid type = getBaseType(TupleDescAttr(columns, i)->atttypid);

		if (type != INT2OID && type != INT4OID && type != INT8OID)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("column %d of the query has type %s", i + 1,
								   format_type_be(type)),
							errdetail("It must be bigint, integer or smallint.")));
		receiver->types[i] = type;
	}
}

/* Keys of which only the last bits differ lie together. */
static inline uint32
FirstSlot(const Receiver *receiver, int64 key)
{
	uint64 high = (uint64) key >> 3;

	return ((murmurhash32((uint32) high ^ (uint32) (high >> 32)) << 3) | (key & 7)) &
		   receiver->mask;
}

static void
Resize(Receiver *receiver, uint32 size)
{
	MemoryContext old = MemoryContextSwitchTo(receiver->context);
	bool          first = receiver->keys == NULL;

	if (size > PG_UINT32_MAX / 4)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("too many keys")));
	receiver->size = size;
	receiver->keys = first ? palloc_extended((Size) size * sizeof(int64), MCXT_ALLOC_HUGE)
						   : repalloc_huge(receiver->keys, (Size) size * sizeof(int64));
	receiver->forest = first ? palloc_extended((Size) size * sizeof(Component), MCXT_ALLOC_HUGE)
							 : repalloc_huge(receiver->forest, (Size) size * sizeof(Component));
	if (!first)
		pfree(receiver->slots);
	receiver->mask = size * 2 - 1;
	receiver->slots = palloc_extended(((Size) receiver->mask + 1) * sizeof(Slot),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < receiver->count; i++)
	{
		uint32 at = FirstSlot(receiver, receiver->keys[i]);

		while (receiver->slots[at].number != 0)
			at = (at + 1) & receiver->mask;
		receiver->slots[at] = (Slot){receiver->keys[i], i + 1};
	}
	MemoryContextSwitchTo(old);
}

static uint32
NumberOf(Receiver *receiver, int64 key)
{
	uint32 at = FirstSlot(receiver, key);

	while (receiver->slots[at].number != 0)
	{
		if (receiver->slots[at].key == key)
			return receiver->slots[at].number - 1;
		at = (at + 1) & receiver->mask;
	}
	if (receiver->count == receiver->size)
	{
		/* memory that is not used must be cleared all the same */
		Resize(receiver, receiver->size * (receiver->size < LARGE_SIZE ? 4 : 2));
		return NumberOf(receiver, key);
	}
	receiver->keys[receiver->count] = key;
	receiver->forest[receiver->count] = receiver->count;
	receiver->slots[at] = (Slot){key, ++receiver->count};
	return receiver->count - 1;
}

static void
JoinWaiting(Receiver *receiver)
{
	for (int i = 0; i < receiver->nwaiting; i++)
	{
		__builtin_prefetch(&receiver->slots[FirstSlot(receiver, receiver->waiting[i][0])]);
		__builtin_prefetch(&receiver->slots[FirstSlot(receiver, receiver->waiting[i][1])]);
	}
	for (int i = 0; i < receiver->nwaiting; i++)
	{
		uint32 a = NumberOf(receiver, receiver->waiting[i][0]);
		uint32 b = NumberOf(receiver, receiver->waiting[i][1]);

		if (a != b)
			JoinComponents(receiver->forest, a, b);
	}
	receiver->nwaiting = 0;
}

static inline int64
KeyOf(Oid type, Datum value)
{
	return type == INT8OID   ? DatumGetInt64(value)
		   : type == INT4OID ? DatumGetInt32(value)
							 : DatumGetInt16(value);
}

/* A row with one end only is a key by itself. */
static bool
ReceiveEdge(TupleTableSlot *slot, DestReceiver *self)
{
	Receiver *receiver = (Receiver *) self;
	int64    *edge = receiver->waiting[receiver->nwaiting];

	slot_getallattrs(slot);
	for (int i = 0; i < 2; i++)
	{
		int from = slot->tts_isnull[i] ? 1 - i : i;

		if (slot->tts_isnull[from])
			return true;
		edge[i] = KeyOf(receiver->types[from], slot->tts_values[from]);
	}
	if (++receiver->nwaiting == EDGES_AT_ONCE)
		JoinWaiting(receiver);
	return true;
}

static void
ShutdownReceiver(DestReceiver *self)
{
}

/* connected_components(edges text) */
PG_FUNCTION_INFO_V1(crm_connected_components);
Datum
crm_connected_components(PG_FUNCTION_ARGS)
{
	ReturnSetInfo    *info = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext     context = AllocSetContextCreate(CurrentMemoryContext, "crm_member components",
													  ALLOCSET_DEFAULT_SIZES);
	Receiver          receiver = {.pub = {.receiveSlot = ReceiveEdge,
										  .rStartup = StartReceiver,
										  .rShutdown = ShutdownReceiver,
										  .rDestroy = ShutdownReceiver,
										  .mydest = DestNone},
								  .context = context};
	SPIExecuteOptions options = {.read_only = true, .dest = &receiver.pub};
	SPIPlanPtr        plan;
	int64            *least;
	int               code;

	InitMaterializedSRF(fcinfo, 0);
	Resize(&receiver, FIRST_SIZE);
	SPI_connect();
	plan = SPI_prepare_cursor(text_to_cstring(PG_GETARG_TEXT_PP(0)), 0, NULL,
							  CURSOR_OPT_PARALLEL_OK);
	if (plan == NULL || !SPI_is_cursor_plan(plan))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("edges is not a query"),
						errhint("It is one SELECT that yields the two ends of each edge.")));
	code = SPI_execute_plan_extended(plan, &options);
	if (code < 0)
		elog(ERROR, "SPI_execute_plan_extended failed: %s", SPI_result_code_string(code));
	JoinWaiting(&receiver);
	SPI_finish();

	/* a component is named by its least key */
	least = MemoryContextAllocHuge(context, Max((Size) receiver.count, 1) * sizeof(int64));
	for (uint32 i = 0; i < receiver.count; i++)
	{
		uint32 root = ComponentOf(receiver.forest, i);

		least[i] = receiver.keys[i];
		least[root] = Min(least[root], receiver.keys[i]);
	}
	for (uint32 i = 0; i < receiver.count; i++)
	{
		Datum values[2] = {Int64GetDatum(receiver.keys[i]),
						   Int64GetDatum(least[ComponentOf(receiver.forest, i)])};
		bool  nulls[2] = {false, false};

		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
	}
	MemoryContextDelete(context);
	return (Datum) 0;
}
