/*
 * parallel.c: collect the purchases of the table sale itself, by several processes.
 *
 * Each process reads pages of the table and collects what it finds in a table of
 * its own; at the end the workers send their tallies to the leader, in the order
 * of their slots, which is that of the leader's slots too, so that it adds them
 * going once through its memory.  Columns are taken from the rows as they lie
 * there: an executor would take longer than all the rest.
 */
#include "crm_member.h"
#include "catalog.h"
#include "job/progress.h"
#include "rfm/pages.h"
#include "rfm/row_fact.h"
#include "rfm/source.h"
#include "rfm/team.h"
#include "money/units.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#define QUEUE_SIZE	  (256 * 1024)
#define CHUNK_TALLIES 1024
#define PROGRESS_ROWS (1 << 17)

/* Beyond so many members a table in every process would take too much memory. */
#define PARALLEL_MEMBERS 5e6

/* What leader and workers share. */
typedef struct Task
{
	Pages		pages;
	DateADT		first_day;
	DateADT		as_of;
	int			money_scale;
	bool		minus;
	bool		days;
	bool		scoped;
	int64		expected;		/* members, about */
	char		amount[NAMEDATALEN];
	char		time_zone[TZ_STRLEN_MAX + 1];
	int64		scope[FLEXIBLE_ARRAY_MEMBER];	/* the condition */
} Task;

/* The first message of a worker; tallies follow, then those of later purchases. */
typedef struct Sent
{
	int64		ntallies;
	int64		nlater;
} Sent;

typedef struct Reader
{
	const Task *task;
	RowFacts	facts;
	DayCache	days;
	const Condition *scope;
	const Aliases *aliases;		/* where members are told apart as they come */
	int			member;			/* columns */
	int			sold_at;
	int			settled_at;
	int			amount;
	int			shipping;
	Collector  *collector;
	Collector  *later;
	const char *progress;
	uint64		rows;
} Reader;

PGDLLEXPORT void CrmScanSales(dsm_segment *segment, shm_toc *toc);

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

static void
Report(const Reader *reader)
{
	/* pages are handed out to all processes from here */
	Pages	   *pages = (Pages *) &reader->task->pages;

	ReportProgress(reader->progress, "2/4 measuring purchases",
				   Min(pg_atomic_read_u64(&pages->next), pages->npages), pages->npages);
}

static void
ReadSale(void *state, HeapTuple tuple)
{
	Reader	   *reader = state;
	const Task *task = reader->task;
	TupleTableSlot *row = reader->facts.row;
	DateADT		day;
	int64		member;
	int64		money;

	if (++reader->rows % PROGRESS_ROWS == 0 && reader->progress != NULL)
		Report(reader);
	ReadRowFacts(&reader->facts, tuple);
	member = DatumGetInt64(row->tts_values[reader->member - 1]);
	if (row->tts_isnull[reader->settled_at - 1] || member <= 0)
		return;
	day = DayOf(&reader->days, DatumGetTimestampTz(row->tts_values[reader->sold_at - 1]));
	if (day < task->first_day)
		return;
	if (reader->scope != NULL)
	{
		ReadAttrs(&reader->facts);
		if (EvaluateCondition(reader->scope, &reader->facts.facts) != TRUTH_TRUE)
			return;
	}
	if (day > task->as_of)
	{
		CollectPurchase(reader->later, member, day + POSTGRES_EPOCH_JDATE, 0, 0);
		return;
	}
	money = MoneyUnits(row, reader->amount, task->money_scale);
	if (task->minus &&
		pg_sub_s64_overflow(money, MoneyUnits(row, reader->shipping, task->money_scale), &money))
		AmountOutOfRange(task->money_scale);
	CollectPurchase(reader->collector, RootOf(reader->aliases, member), day + POSTGRES_EPOCH_JDATE, 1, money);
}

/* Collect the pages this process takes. */
static void
ReadSales(Task *task, Collector *collector, Collector *later, const Aliases *aliases,
		  const char *progress)
{
	Relation	sale = table_open(task->pages.table, AccessShareLock);
	pg_tz	   *zone = pg_tzset(task->time_zone);
	Reader		reader = {.task = task, .collector = collector, .later = later, .aliases = aliases,
		.progress = progress};

	if (task->scoped)
		reader.scope = (const Condition *) task->scope;
	reader.member = ColumnOf(sale, "member_id", INT8OID);
	reader.sold_at = ColumnOf(sale, "sold_at", TIMESTAMPTZOID);
	reader.settled_at = ColumnOf(sale, "settled_at", TIMESTAMPTZOID);
	reader.amount = ColumnOf(sale, task->amount, NUMERICOID);
	reader.shipping = ColumnOf(sale, "shipping", NUMERICOID);
	StartRowFacts(&reader.facts, sale, SUBJECT_SALE, &reader.scope, task->scoped ? 1 : 0,
				  Max(Max(Max(reader.member, reader.sold_at), Max(reader.settled_at, reader.amount)),
					  task->minus ? reader.shipping : 0),
				  task->money_scale, zone);
	StartDays(&reader.days, zone);
	ReadPages(&task->pages, ReadSale, &reader);
	ExecDropSingleTupleTableSlot(reader.facts.row);
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
	Task	   *task = TaskOfTeam(toc);
	shm_mq_handle *queue = QueueToLeader(segment, toc, QUEUE_SIZE);
	Collector  *collector = CreateCollector(task->days, task->expected);
	Collector  *later = CreateCollector(false, 0);
	Tally	   *tallies;
	Tally	   *later_tallies;
	Sent		sent;

	ReadSales(task, collector, later, NULL, NULL);
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
ReceiveFrom(Team *team, shm_mq_handle *queue, Collector *collector,
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
	AwaitTeam(team);
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					errmsg("a parallel worker ended without an answer"),
					errhint("SET max_parallel_workers_per_gather = 0 for this run.")));
}

bool
CanScanSales(const Condition *scope)
{
	return HasPages(CrmRelation("sale")) && (scope == NULL || InRow(scope, SUBJECT_SALE));
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
	Collector  *collector = CreateCollector(query->days, query->expected);
	Collector  *later = CreateCollector(false, 0);
	Size		scope_size = query->scope != NULL ? VARSIZE(query->scope) : 0;
	int			workers = 0;
	Team		team;
	Task	   *task;
	shm_mq_handle **queues;

	/* the days of a member, and of those merged into it, are told apart in one process alone */
	if (!query->days && query->expected < PARALLEL_MEMBERS)
		workers = WorkersForPages(sale);
	task = StartTeam(&team, "CrmScanSales", workers, offsetof(Task, scope) + scope_size, QUEUE_SIZE);
	StartPages(&task->pages, sale);
	task->first_day = query->first_day;
	task->as_of = query->as_of;
	task->money_scale = query->money_scale;
	task->minus = query->minus;
	task->days = query->days;
	task->expected = query->expected;
	task->scoped = query->scope != NULL;
	strlcpy(task->amount, query->sale_column, sizeof(task->amount));
	strlcpy(task->time_zone, pg_get_timezone_name(ProgramZone()), sizeof(task->time_zone));
	if (task->scoped)
		memcpy(task->scope, query->scope, scope_size);

	LaunchTeam(&team);
	queues = palloc(Max(team.nworkers, 1) * sizeof(shm_mq_handle *));
	for (int i = 0; i < team.nworkers; i++)
		queues[i] = QueueOfWorker(&team, i);
	ReportProgress(query->progress, "2/4 measuring purchases", 0, 0);
	ReadSales(task, collector, later, query->days ? query->aliases : NULL, query->progress);
	for (int i = 0; i < team.nworkers; i++)
		ReceiveFrom(&team, queues[i], collector, later);
	FinishTeam(&team);
	table_close(sale, NoLock);

	memset(purchases, 0, sizeof(*purchases));
	purchases->money_scale = query->money_scale;
	purchases->member_type = INT8OID;
	purchases->ntallies = FinishCollector(collector, &purchases->tallies);
	purchases->nlater = FinishCollector(later, &purchases->later);
	if (query->aliases != NULL && !query->days)
		FoldAliases(query->aliases, purchases);
}
