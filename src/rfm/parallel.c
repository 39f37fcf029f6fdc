/*
 * parallel.c: collect the purchases of the table sale itself, by several processes.
 *
 * Each process scans blocks of the table and collects what it finds in a table of
 * its own; at the end the workers send their tallies to the leader, in the order
 * of their slots, which is that of the leader's slots too, so that it adds them
 * going once through its memory.  Columns are taken from the tuples as they lie
 * there: an executor would take longer than all the rest.
 */
#include "crm_member.h"
#include "catalog.h"
#include "job/progress.h"
#include "rfm/day.h"
#include "rfm/source.h"
#include "money/units.h"

#include "access/parallel.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "optimizer/paths.h"
#include "storage/bufmgr.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include <unistd.h>

#define QUEUE_SIZE	  (256 * 1024)
#define CHUNK_TALLIES 1024
#define PROGRESS_ROWS (1 << 17)

/* Beyond so many members a table in every process would take too much memory. */
#define PARALLEL_MEMBERS 5e6

enum
{
	KEY_TASK = 1,
	KEY_SCAN,
	KEY_QUEUES
};

/* What leader and workers share, read-only. */
typedef struct Task
{
	Oid			sale;
	DateADT		first_day;
	DateADT		as_of;
	int			money_scale;
	bool		minus;
	int64		expected;		/* members, about */
	char		amount[NAMEDATALEN];
	char		time_zone[TZ_STRLEN_MAX + 1];
} Task;

/* The first message of a worker; tallies follow, then those of later purchases. */
typedef struct Sent
{
	int64		ntallies;
	int64		nlater;
} Sent;

PGDLLEXPORT void CrmScanSales(dsm_segment *segment, shm_toc *toc);

static int
ColumnNumber(Oid sale, const char *name, Oid type)
{
	int			number = get_attnum(sale, name);

	if (number <= 0 || get_atttype(sale, number) != type)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("table crm_member.sale is not as setup() made it"),
						errdetail("It has no column %s of type %s.", name, format_type_be(type))));
	return number;
}

static int64
MoneyUnits(TupleTableSlot *row, int column, int scale)
{
	int64		units;

	if (row->tts_isnull[column - 1])
		return 0;
	if (NumericUnits(row->tts_values[column - 1], scale, &units) != UNITS_EXACT)
		AmountOutOfRange(scale);
	return units;
}

/* Collect the blocks this process is given. */
static void
ScanSales(const Task *task, ParallelTableScanDesc shared, Collector *collector, Collector *later,
		  const char *progress)
{
	Relation	sale = table_open(task->sale, AccessShareLock);
	TupleTableSlot *row = table_slot_create(sale, NULL);
	TableScanDesc scan = table_beginscan_parallel(sale, shared);
	int			member = ColumnNumber(task->sale, "member_id", INT8OID);
	int			sold_at = ColumnNumber(task->sale, "sold_at", TIMESTAMPTZOID);
	int			settled_at = ColumnNumber(task->sale, "settled_at", TIMESTAMPTZOID);
	int			amount = ColumnNumber(task->sale, task->amount, NUMERICOID);
	int			shipping = ColumnNumber(task->sale, "shipping", NUMERICOID);
	int			last = Max(Max(Max(member, sold_at), Max(settled_at, amount)),
						   task->minus ? shipping : 0);
	DayCache	days;
	uint64		rows = 0;

	StartDays(&days, pg_tzset(task->time_zone));
	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		DateADT		day;
		int64		money;

		if (++rows % PROGRESS_ROWS == 0 && progress != NULL)
		{
			/* blocks are handed out to all processes from here */
			ParallelBlockTableScanDesc blocks = (ParallelBlockTableScanDesc) shared;

			ReportProgress(progress, "2/4 measuring purchases",
						   Min(pg_atomic_read_u64(&blocks->phs_nallocated), blocks->phs_nblocks),
						   blocks->phs_nblocks);
		}
		slot_getsomeattrs(row, last);
		if (row->tts_isnull[settled_at - 1] || DatumGetInt64(row->tts_values[member - 1]) <= 0)
			continue;
		day = DayOf(&days, DatumGetTimestampTz(row->tts_values[sold_at - 1]));
		if (day < task->first_day)
			continue;
		if (day > task->as_of)
		{
			CollectPurchase(later, DatumGetInt64(row->tts_values[member - 1]),
							day + POSTGRES_EPOCH_JDATE, 0, 0);
			continue;
		}
		money = MoneyUnits(row, amount, task->money_scale);
		if (task->minus &&
			pg_sub_s64_overflow(money, MoneyUnits(row, shipping, task->money_scale), &money))
			AmountOutOfRange(task->money_scale);
		CollectPurchase(collector, DatumGetInt64(row->tts_values[member - 1]),
						day + POSTGRES_EPOCH_JDATE, 1, money);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
	table_close(sale, NoLock);
}

static void
SendTallies(shm_mq_handle *queue, const Tally *tallies, size_t n)
{
	for (size_t from = 0; from < n; from += CHUNK_TALLIES)
	{
		if (shm_mq_send(queue, Min(n - from, CHUNK_TALLIES) * sizeof(Tally), tallies + from, false,
						false) != SHM_MQ_SUCCESS)
			proc_exit(1);		/* the leader has gone */
	}
}

/* A worker. */
void
CrmScanSales(dsm_segment *segment, shm_toc *toc)
{
	const Task *task = shm_toc_lookup(toc, KEY_TASK, false);
	shm_mq	   *mine = (shm_mq *) ((char *) shm_toc_lookup(toc, KEY_QUEUES, false) +
								   ParallelWorkerNumber * QUEUE_SIZE);
	shm_mq_handle *queue;
	Collector  *collector = CreateCollector(false, task->expected);
	Collector  *later = CreateCollector(false, 0);
	Tally	   *tallies;
	Tally	   *later_tallies;
	Sent		sent;

	shm_mq_set_sender(mine, MyProc);
	queue = shm_mq_attach(mine, segment, NULL);
	ScanSales(task, shm_toc_lookup(toc, KEY_SCAN, false), collector, later, NULL);
	sent.ntallies = FinishCollector(collector, &tallies);
	sent.nlater = FinishCollector(later, &later_tallies);
	if (shm_mq_send(queue, sizeof(sent), &sent, false, true) != SHM_MQ_SUCCESS)
		return;
	SendTallies(queue, tallies, sent.ntallies);
	SendTallies(queue, later_tallies, sent.nlater);
	shm_mq_detach(queue);
}

/* The next message, or NULL where the worker has ended, of which the leader is told by an error. */
static void *
Receive(shm_mq_handle *queue, Size *size)
{
	void	   *data;

	if (shm_mq_receive(queue, size, &data, false) != SHM_MQ_SUCCESS)
		return NULL;
	return data;
}

static bool
ReceiveTallies(shm_mq_handle *queue, Collector *collector, int64 n)
{
	ReserveCollector(collector, n);
	while (n > 0)
	{
		Size		size;
		Tally	   *tallies = Receive(queue, &size);

		if (tallies == NULL)
			return false;
		CollectTallies(collector, tallies, size / sizeof(Tally));
		n -= size / sizeof(Tally);
	}
	return true;
}

static void
ReceiveFrom(ParallelContext *parallel, shm_mq_handle *queue, Collector *collector,
			Collector *later)
{
	Size		size;
	Sent	   *received = Receive(queue, &size);
	Sent		sent;

	if (received != NULL)
	{
		sent = *received;
		if (ReceiveTallies(queue, collector, sent.ntallies) &&
			ReceiveTallies(queue, later, sent.nlater))
			return;
	}
	/* a worker that failed has said why; one that was killed has not */
	WaitForParallelWorkersToFinish(parallel);
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					errmsg("a parallel worker ended without an answer"),
					errhint("SET max_parallel_workers_per_gather = 0 for this run.")));
}

/*
 * As many as a query's scan of the table would be given, but no more processes
 * than there are processors: unlike an executor's workers these never wait.
 */
static int
WorkersFor(Relation sale, int64 expected)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(sale);
	int			workers = 1;

	if (expected >= PARALLEL_MEMBERS || IsInParallelMode() ||
		blocks < (BlockNumber) min_parallel_table_scan_size)
		return 0;
	for (BlockNumber part = Max(min_parallel_table_scan_size, 1); blocks / 3 >= part; part *= 3)
		workers++;
	workers = Min(workers, max_parallel_workers_per_gather);
#ifdef _SC_NPROCESSORS_ONLN
	workers = Min(workers, Max(sysconf(_SC_NPROCESSORS_ONLN) - 1, 1));
#endif
	return workers;
}

bool
CanScanSales(void)
{
	Oid			sale = CrmRelation("sale");

	return get_rel_relkind(sale) == RELKIND_RELATION && !has_subclass(sale);
}

/* Purchases of merged members count for another. */
static void
FoldAliases(const Aliases *aliases, Purchases *purchases)
{
	Collector  *collector = CreateCollector(false, purchases->ntallies);

	for (size_t i = 0; i < purchases->ntallies; i++)
		purchases->tallies[i].member = RootOf(aliases, purchases->tallies[i].member);
	CollectTallies(collector, purchases->tallies, purchases->ntallies);
	purchases->ntallies = FinishCollector(collector, &purchases->tallies);
}

void
CollectSales(const PurchaseQuery *query, Purchases *purchases)
{
	Relation	sale = table_open(CrmRelation("sale"), AccessShareLock);
	Collector  *collector = CreateCollector(false, query->expected);
	Collector  *later = CreateCollector(false, 0);
	int			workers = WorkersFor(sale, query->expected);
	ParallelContext *parallel;
	ParallelTableScanDesc scan;
	Size		scan_size;
	Task	   *task;
	char	   *queues;
	shm_mq_handle **handles;

	EnterParallelMode();
	parallel = CreateParallelContext("crm_member", "CrmScanSales", workers);
	scan_size = table_parallelscan_estimate(sale, GetActiveSnapshot());
	shm_toc_estimate_chunk(&parallel->estimator, sizeof(Task));
	shm_toc_estimate_chunk(&parallel->estimator, scan_size);
	shm_toc_estimate_chunk(&parallel->estimator, QUEUE_SIZE * Max(workers, 1));
	shm_toc_estimate_keys(&parallel->estimator, 3);
	InitializeParallelDSM(parallel);

	task = shm_toc_allocate(parallel->toc, sizeof(Task));
	memset(task, 0, sizeof(*task));
	task->sale = RelationGetRelid(sale);
	task->first_day = query->first_day;
	task->as_of = query->as_of;
	task->money_scale = query->money_scale;
	task->minus = query->minus;
	task->expected = query->expected;
	strlcpy(task->amount, query->sale_column, sizeof(task->amount));
	strlcpy(task->time_zone, pg_get_timezone_name(ProgramZone()), sizeof(task->time_zone));
	shm_toc_insert(parallel->toc, KEY_TASK, task);
	scan = shm_toc_allocate(parallel->toc, scan_size);
	table_parallelscan_initialize(sale, scan, GetActiveSnapshot());
	shm_toc_insert(parallel->toc, KEY_SCAN, scan);
	queues = shm_toc_allocate(parallel->toc, QUEUE_SIZE * Max(workers, 1));
	shm_toc_insert(parallel->toc, KEY_QUEUES, queues);
	for (int i = 0; i < parallel->nworkers; i++)
		shm_mq_set_receiver(shm_mq_create(queues + i * QUEUE_SIZE, QUEUE_SIZE), MyProc);

	LaunchParallelWorkers(parallel);
	ereport(DEBUG1, (errmsg_internal("%d parallel workers scan the sales",
									 parallel->nworkers_launched)));
	handles = palloc(Max(parallel->nworkers_launched, 1) * sizeof(shm_mq_handle *));
	for (int i = 0; i < parallel->nworkers_launched; i++)
		handles[i] = shm_mq_attach((shm_mq *) (queues + i * QUEUE_SIZE), parallel->seg,
								   parallel->worker[i].bgwhandle);
	ReportProgress(query->progress, "2/4 measuring purchases", 0, 0);
	ScanSales(task, scan, collector, later, query->progress);
	for (int i = 0; i < parallel->nworkers_launched; i++)
		ReceiveFrom(parallel, handles[i], collector, later);
	WaitForParallelWorkersToFinish(parallel);
	DestroyParallelContext(parallel);
	ExitParallelMode();
	table_close(sale, NoLock);

	memset(purchases, 0, sizeof(*purchases));
	purchases->money_scale = query->money_scale;
	purchases->member_type = INT8OID;
	purchases->ntallies = FinishCollector(collector, &purchases->tallies);
	purchases->nlater = FinishCollector(later, &purchases->later);
	if (query->aliases != NULL)
		FoldAliases(query->aliases, purchases);
}
