/*
 * expire.c: a step of expire_points(): what expired, booked for many accounts.
 *
 * Accounts are read page by page without a lock, then their open lots: those that
 * expired are summed up, and the first that did not says when to look again.  No
 * lot is written.  Whatever changes lots of an account numbers an entry in it, so
 * an account that is not as it was read by the time it is written has changed
 * meanwhile: it is left alone, and the next pass over the table finds it.
 *
 * So steps can be done side by side: once there is something to do, background
 * workers help, and each process takes pages that nobody has taken.  All of them
 * lock accounts in the one order that everybody keeps, and the row of the run last.
 */
#include "crm_member.h"
#include "catalog.h"
#include "job/crew.h"
#include "points/ledger.h"
#include "query.h"
#include "rfm/writer.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

/* Pages that are taken at least. */
#define SHARE_MIN 16

/* A pass over the accounts, as all processes see it that are at it. */
typedef struct Pass
{
	int64		run_id;
	TimestampTz as_of;
	int			limit;			/* accounts a step */
	int			processes;		/* 0: help has not been called for yet */
	BlockNumber blocks;			/* of the table when it began */
	pg_atomic_uint64 next;		/* the first that nobody has taken */
	pg_atomic_uint64 due;		/* accounts found so far */
	pg_atomic_uint64 steps;		/* and transactions that wrote */
	bool		alone;			/* nobody else was writing when it began */
	FullTransactionId before;	/* and the next to write was this one */
} Pass;

/* The one this process is at, and what it has taken and not looked at yet. */
static Pass *pass = NULL;
static BlockNumber share_from;
static BlockNumber share_to;

/* In the session that called for it. */
static Pass own_pass;
static Crew *crew = NULL;

/* An account that may have something to expire. */
typedef struct Due
{
	HeapTuple	row;			/* as it was read */
	int64		member_id;
	const PointsType *type;
	int64		balance;
	int64		entry_no;
	TimestampTz expired_to;
	int64		points;			/* that expired */
	TimestampTz next;			/* when the first of the rest does */
	bool		booked;
} Due;

typedef struct DueList
{
	Due		   *items;
	int64		n;
	int64		max;
} DueList;

/* Columns of points_account that are read and written. */
enum
{
	PLACE_MEMBER_ID,
	PLACE_POINTS_TYPE,
	PLACE_BALANCE,
	PLACE_ENTRY_NO,
	PLACE_EXPIRES_AT,
	PLACE_EXPIRED_TO,
	PLACE_COLUMNS
};

static const char *const account_columns[PLACE_COLUMNS] = {"member_id", "points_type", "balance",
	"entry_no", "expires_at", "expired_to"};

/* Columns of points_entry that an expiry fills. */
enum
{
	ENTRY_MEMBER_ID,
	ENTRY_POINTS_TYPE,
	ENTRY_NO,
	ENTRY_KIND,
	ENTRY_POINTS,
	ENTRY_BALANCE,
	ENTRY_AT,
	ENTRY_BOOKED_AT,
	ENTRY_COLUMNS
};

static const char *const entry_columns[ENTRY_COLUMNS] = {"member_id", "points_type", "entry_no", "kind",
	"points", "balance", "at", "booked_at"};

/* Of holds that timed out, the oldest; how many were found, at most limit. */
static int64
ReleaseHolds(TimestampTz as_of, int limit)
{
	static CrmQuery query = {
		"SELECT d.member_id, d.points_type, count(*) "
		"FROM (SELECT h.member_id, h.points_type FROM crm_member.points_hold h "
		"WHERE h.held > 0 AND h.expires_at <= $1 ORDER BY h.expires_at LIMIT $2) d "
		"GROUP BY 1, 2 ORDER BY d.member_id, d.points_type COLLATE \"C\"",
		2, {TIMESTAMPTZOID, INT4OID}};
	Datum		values[2] = {TimestampTzGetDatum(as_of), Int32GetDatum(limit)};
	uint64		found = RunQuery(&query, values, NULL, false, 0);
	SPITupleTable *table = SPI_tuptable;
	int64		holds = 0;

	for (uint64 row = 0; row < found; row++)
	{
		bool		isnull;
		int64		member_id;
		char	   *type;

		CHECK_FOR_INTERRUPTS();
		SPI_tuptable = table;
		member_id = DatumGetInt64(QueryColumn(row, 1, &isnull));
		type = QueryText(row, 2);
		holds += DatumGetInt64(QueryColumn(row, 3, &isnull));
		ReleaseTimedOut(member_id, FindPointsType(GetRuleSet(), type), as_of);
	}
	return holds;
}

/* A row that may be due, if it is. */
static void
AddDue(DueList *list, const RuleSet *set, const int *places, TupleTableSlot *slot, TimestampTz as_of)
{
	Due		   *due;
	bool		isnull;

	if (DatumGetTimestampTz(slot_getattr(slot, places[PLACE_EXPIRES_AT] + 1, &isnull)) > as_of)
		return;
	slot_getallattrs(slot);
	if (list->n == list->max)
	{
		list->max = list->max == 0 ? 256 : list->max * 2;
		list->items = list->items == NULL ? palloc(sizeof(Due) * list->max)
			: repalloc_huge(list->items, sizeof(Due) * list->max);
	}
	due = &list->items[list->n++];
	due->row = ExecCopySlotHeapTuple(slot);
	due->member_id = DatumGetInt64(slot->tts_values[places[PLACE_MEMBER_ID]]);
	due->type = FindPointsType(set, TextDatumGetCString(slot->tts_values[places[PLACE_POINTS_TYPE]]));
	due->balance = StoredMinor(slot->tts_values[places[PLACE_BALANCE]], due->type->decimals, "points");
	due->entry_no = DatumGetInt64(slot->tts_values[places[PLACE_ENTRY_NO]]);
	due->expired_to = DatumGetTimestampTz(slot->tts_values[places[PLACE_EXPIRED_TO]]);
	due->points = 0;
	due->next = DT_NOEND;
	due->booked = false;
}

/* In the order accounts are locked in. */
static int
CompareDues(const void *a, const void *b)
{
	const Due  *x = a;
	const Due  *y = b;

	if (x->member_id != y->member_id)
		return x->member_id < y->member_id ? -1 : 1;
	return strcmp(x->type->name, y->type->name);
}

/*
 * Take the next pages: the fewer are left the fewer at once, so that all processes
 * come to the end together.  Whoever takes the last takes those that were added.
 */
static bool
TakeShare(void)
{
	uint64		at = pg_atomic_read_u64(&pass->next);
	uint64		size;

	do
	{
		if (at >= pass->blocks)
			return false;
		size = pass->processes == 0 ? SHARE_MIN : Max((pass->blocks - at) / (2 * pass->processes), SHARE_MIN);
	} while (!pg_atomic_compare_exchange_u64(&pass->next, &at, at + size));
	share_from = at;
	share_to = at + size >= pass->blocks ? MaxBlockNumber : at + size - 1;
	return true;
}

/* Whole pages of the share until there are so many due; what is left of it is for the next step. */
static void
LoadShare(Writer *accounts, DueList *list)
{
	const RuleSet *set = GetRuleSet();
	TupleTableSlot *slot = table_slot_create(accounts->rel, NULL);
	BlockNumber block = share_from;
	ItemPointerData from;
	ItemPointerData to;
	TableScanDesc scan;

	ItemPointerSet(&from, share_from, FirstOffsetNumber);
	ItemPointerSet(&to, share_to, MaxOffsetNumber);
	share_from = InvalidBlockNumber;
	scan = table_beginscan_tidrange(accounts->rel, GetActiveSnapshot(), &from, &to);
	while (table_scan_getnextslot_tidrange(scan, ForwardScanDirection, slot))
	{
		BlockNumber at = ItemPointerGetBlockNumber(&slot->tts_tid);

		CHECK_FOR_INTERRUPTS();
		if (list->n >= pass->limit && at != block)
		{
			share_from = at;
			break;
		}
		block = at;
		AddDue(list, set, accounts->places, slot, pass->as_of);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
}

/* Accounts that are due; false: nothing is left to take. */
static bool
LoadDue(Writer *accounts, DueList *list)
{
	while (list->n == 0)
	{
		if (share_from == InvalidBlockNumber && !TakeShare())
			return false;
		LoadShare(accounts, list);
	}
	qsort(list->items, list->n, sizeof(Due), CompareDues);
	return true;
}

static void
AddExpired(void *dues, int account, int64 points)
{
	Due		   *due = &((DueList *) dues)->items[account];

	due->points = AddMinor(due->points, points);
}

/* Sum up what expired until as_of. */
static void
SumLots(DueList *list, TimestampTz as_of)
{
	Sweep	   *sweep = BeginSweep();

	for (int i = 0; i < list->n; i++)
	{
		Due		   *due = &list->items[i];

		due->next = SweepAccount(sweep, i, due->member_id, due->type, due->expired_to, as_of);
	}
	EndSweep(sweep, AddExpired, list);
}

/* Write the accounts that are as they were read; returns how many. */
static int64
PostAccounts(Writer *accounts, DueList *list, TimestampTz as_of)
{
	int64		booked = 0;

	for (int64 i = 0; i < list->n; i++)
	{
		Due		   *due = &list->items[i];
		TupleTableSlot *row = UpdatedRow(accounts);
		MemoryContext old = MemoryContextSwitchTo(accounts->context);

		heap_deform_tuple(due->row, RelationGetDescr(accounts->rel), row->tts_values, row->tts_isnull);
		row->tts_values[accounts->places[PLACE_BALANCE]] = PointsDatum(due->balance - due->points, due->type);
		row->tts_values[accounts->places[PLACE_ENTRY_NO]] = Int64GetDatum(due->entry_no + (due->points > 0));
		row->tts_values[accounts->places[PLACE_EXPIRED_TO]] = TimestampTzGetDatum(Max(due->expired_to, as_of));
		row->tts_values[accounts->places[PLACE_EXPIRES_AT]] = TimestampTzGetDatum(due->next);
		MemoryContextSwitchTo(old);
		due->booked = TryUpdateRow(accounts, due->row->t_self);
		booked += due->booked;
	}
	return booked;
}

static void
PostEntries(const DueList *list, TimestampTz as_of)
{
	Writer		writer;
	MemoryContext old;

	OpenWriter(&writer, "points_entry", entry_columns, ENTRY_COLUMNS);
	for (int64 i = 0; i < list->n; i++)
	{
		const Due  *due = &list->items[i];
		TupleTableSlot *row;

		if (!due->booked || due->points == 0)
			continue;
		row = NextRow(&writer);
		old = MemoryContextSwitchTo(writer.context);
		row->tts_values[writer.places[ENTRY_MEMBER_ID]] = Int64GetDatum(due->member_id);
		row->tts_values[writer.places[ENTRY_POINTS_TYPE]] = CStringGetTextDatum(due->type->name);
		row->tts_values[writer.places[ENTRY_NO]] = Int64GetDatum(due->entry_no + 1);
		row->tts_values[writer.places[ENTRY_KIND]] = CStringGetTextDatum("expire");
		row->tts_values[writer.places[ENTRY_POINTS]] = PointsDatum(-due->points, due->type);
		row->tts_values[writer.places[ENTRY_BALANCE]] = PointsDatum(due->balance - due->points, due->type);
		row->tts_values[writer.places[ENTRY_AT]] = TimestampTzGetDatum(as_of);
		row->tts_values[writer.places[ENTRY_BOOKED_AT]] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
		MemoryContextSwitchTo(old);
		InsertRow(&writer);
	}
	CloseWriter(&writer);
}

/* What expired, in whatever decimals. */
static Numeric
SumPoints(const DueList *list)
{
	Datum		sum = NumericGetDatum(MinorToNumeric(0, 0));

	for (int64 i = 0; i < list->n; i++)
	{
		const Due  *due = &list->items[i];

		if (due->booked)
			sum = DirectFunctionCall2(numeric_add, sum, PointsDatum(due->points, due->type));
	}
	return DatumGetNumeric(sum);
}

/* For all sessions to see; the row stays locked until the end of the transaction. */
static void
NoteStep(int64 booked, Numeric points)
{
	static CrmQuery query = {
		"SELECT crm_member.note_ledger_run($1, 'expire', NULL, $2, $3, $4, false)",
		4, {INT8OID, TIMESTAMPTZOID, INT8OID, NUMERICOID}};
	Datum		values[4];

	values[0] = Int64GetDatum(pass->run_id);
	values[1] = TimestampTzGetDatum(pass->as_of);
	values[2] = Int64GetDatum(booked);
	values[3] = NumericGetDatum(points);
	RunQuery(&query, values, NULL, false, 0);
}

static void
CallForHelp(void)
{
	int			workers = CrewSize(pass->blocks);

	/* where fewer come, shares are smaller than need be */
	pass->processes = 1 + workers;
	pass = StartCrew(&crew, "expire_points", "CrmExpireWorker", workers, pass, sizeof(Pass));
}

/* One transaction's work; false: nothing is left to take. */
static bool
ExpireStep(void)
{
	Writer		accounts;
	DueList		list = {0};
	int64		booked = 0;
	bool		found;

	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	OpenWriter(&accounts, "points_account", account_columns, PLACE_COLUMNS);
	found = LoadDue(&accounts, &list);
	if (found && pass->processes == 0)
		CallForHelp();
	if (found)
	{
		pg_atomic_fetch_add_u64(&pass->due, list.n);
		pg_atomic_fetch_add_u64(&pass->steps, 1);
		SumLots(&list, pass->as_of);
		booked = PostAccounts(&accounts, &list, pass->as_of);
	}
	CloseWriter(&accounts);
	PopActiveSnapshot();
	if (found)
	{
		PostEntries(&list, pass->as_of);
		NoteStep(booked, SumPoints(&list));
	}
	SPI_finish();
	return found;
}

/* A worker's. */
static bool
HelpToExpire(void *task)
{
	if (pass == NULL)
		share_from = InvalidBlockNumber;
	pass = task;
	return ExpireStep();
}

PGDLLEXPORT void CrmExpireWorker(Datum argument);

void
CrmExpireWorker(Datum argument)
{
	WorkInCrew(argument, HelpToExpire);
}

static void
ForgetPass(XactEvent event, void *arg)
{
	/* what was taken in a step that failed is not done */
	if (event == XACT_EVENT_ABORT)
		pass = NULL;
}

static void
BeginPass(int64 run_id, TimestampTz as_of, int limit)
{
	static bool watching = false;
	Relation	accounts;

	if (!watching)
		RegisterXactCallback(ForgetPass, NULL);
	watching = true;
	if (pass != NULL)
		EndCrew(crew);			/* of a run that was given up */
	crew = NULL;
	accounts = table_open(CrmRelation("points_account"), AccessShareLock);
	own_pass.blocks = RelationGetNumberOfBlocks(accounts);
	table_close(accounts, AccessShareLock);
	own_pass.run_id = run_id;
	own_pass.as_of = as_of;
	own_pass.limit = limit;
	own_pass.processes = 0;
	pg_atomic_init_u64(&own_pass.next, 0);
	pg_atomic_init_u64(&own_pass.due, 0);
	pg_atomic_init_u64(&own_pass.steps, 0);
	own_pass.before = ReadNextFullTransactionId();
	own_pass.alone = GetLatestSnapshot()->xcnt == 0;
	share_from = InvalidBlockNumber;
	pass = &own_pass;
}

/*
 * An account that somebody changed meanwhile, and whose row has moved, may lie
 * where we had been already.  Nobody did if all who wrote since were of the pass.
 */
static bool
MayHaveMissed(void)
{
	uint64		since = U64FromFullTransactionId(ReadNextFullTransactionId()) -
		U64FromFullTransactionId(own_pass.before);

	return !own_pass.alone || since != pg_atomic_read_u64(&own_pass.steps);
}

/*
 * expire_step(run_id, as_of, accounts) -> accounts that were due in the pass, 0
 * where it missed none, and NULL while it goes on
 */
PG_FUNCTION_INFO_V1(crm_expire_step);
Datum
crm_expire_step(PG_FUNCTION_ARGS)
{
	int64		run_id = PG_GETARG_INT64(0);
	TimestampTz as_of = PG_GETARG_TIMESTAMPTZ(1);
	int			limit = PG_GETARG_INT32(2);

	if (limit < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("accounts must be positive")));
	if (pass == NULL || pass->run_id != run_id || pass->as_of != as_of || pass->limit != limit)
		BeginPass(run_id, as_of, limit);
	CheckCrew(crew);
	if (ExpireStep())
		PG_RETURN_NULL();
	/* others may still find some */
	EndCrew(crew);
	pass = NULL;
	PG_RETURN_INT64(MayHaveMissed() ? pg_atomic_read_u64(&own_pass.due) : 0);
}

/*
 * release_step(as_of, holds) -> how many were found
 *
 * By itself: those accounts stay locked until the end of the transaction, and may
 * come after others that are due in the order that everybody locks them in.
 */
PG_FUNCTION_INFO_V1(crm_release_step);
Datum
crm_release_step(PG_FUNCTION_ARGS)
{
	int64		holds;

	SPI_connect();
	holds = ReleaseHolds(PG_GETARG_TIMESTAMPTZ(0), PG_GETARG_INT32(1));
	SPI_finish();
	PG_RETURN_INT64(holds);
}
