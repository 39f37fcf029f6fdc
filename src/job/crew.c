/*
 * crew.c: background workers that do steps of a job beside the session that runs it.
 */
#include "crm_member.h"
#include "job/crew.h"
#include "job/worker.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "optimizer/paths.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#define CREW_MAX 32
#define CREW_TEXT 512			/* a setting has room */

/* Settings of the session that its workers' transactions have too. */
static const char *const carried[] = {"search_path", "jit", "work_mem", "synchronous_commit", "lock_timeout",
	"default_transaction_isolation", "default_transaction_read_only"};

/* What all of them share; the task follows it. */
typedef struct Board
{
	Oid			database;
	Oid			login;
	Oid			user;
	int			security;
	int			leader;			/* its process */
	char		job[NAMEDATALEN];
	char		settings[lengthof(carried)][CREW_TEXT];
	WorkerReport hands[CREW_MAX];
} Board;

#define TASK_OF(board) ((void *) ((char *) (board) + MAXALIGN(sizeof(Board))))

struct Crew
{
	MemoryContext context;
	dsm_segment *segment;
	Board	   *board;
	void	   *task;			/* as it was given */
	Size		task_size;
	int			nhands;
	BackgroundWorkerHandle *handles[CREW_MAX];
};

/* The session's own. */
static Crew *current = NULL;

static void
DropCrew(void)
{
	Crew	   *crew = current;

	current = NULL;
	dsm_detach(crew->segment);
	MemoryContextDelete(crew->context);
}

static void
StopCrew(void)
{
	for (int i = 0; i < current->nhands; i++)
		TerminateBackgroundWorker(current->handles[i]);
	DropCrew();
}

/* An error, and the end of a session in mid-transaction. */
static void
AtEndOfTransaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT && current != NULL)
		StopCrew();
}

int
CrewSize(uint32 pages)
{
	int			workers = 0;

	/* as PostgreSQL counts them: one more for each threefold */
	for (uint64 enough = Max(min_parallel_table_scan_size, 1); pages >= enough; enough *= 3)
		workers++;
	return Min(workers, Min(max_parallel_maintenance_workers, CREW_MAX));
}

static void
FillBoard(Board *board, const char *job, const void *task, Size task_size)
{
	memset(board, 0, sizeof(*board));
	board->database = MyDatabaseId;
	board->login = GetAuthenticatedUserId();
	GetUserIdAndSecContext(&board->user, &board->security);
	board->leader = MyProcPid;
	strlcpy(board->job, job, sizeof(board->job));
	for (int i = 0; i < lengthof(carried); i++)
	{
		const char *value = GetConfigOption(carried[i], false, false);

		if (strlcpy(board->settings[i], value, CREW_TEXT) >= CREW_TEXT)
			elog(ERROR, "setting \"%s\" is too long for background workers", carried[i]);
	}
	memcpy(TASK_OF(board), task, task_size);
}

void *
StartCrew(Crew **crew, const char *job, const char *function, int workers, void *task, Size task_size)
{
	static bool watching = false;
	Size		size = MAXALIGN(sizeof(Board)) + task_size;
	dsm_segment *segment;
	MemoryContext context;
	MemoryContext old;

	*crew = NULL;
	/* a single user's server has none; and of what a transaction block did they would not know */
	if (workers <= 0 || !IsUnderPostmaster || IsTransactionBlock() || current != NULL)
		return task;
	if (!watching)
		RegisterXactCallback(AtEndOfTransaction, NULL);
	watching = true;
	segment = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
	if (segment == NULL)
		return task;
	dsm_pin_mapping(segment);

	context = AllocSetContextCreate(TopMemoryContext, "crm_member crew", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	current = palloc0(sizeof(Crew));
	current->context = context;
	current->segment = segment;
	current->task = task;
	current->task_size = task_size;
	current->board = dsm_segment_address(segment);
	FillBoard(current->board, job, task, task_size);
	while (current->nhands < Min(workers, CREW_MAX) &&
		   StartWorker(function, job, current->nhands, segment, &current->handles[current->nhands]))
		current->nhands++;
	MemoryContextSwitchTo(old);
	ereport(DEBUG1, (errmsg_internal("%d background workers help with %s", current->nhands, job)));
	if (current->nhands == 0)
	{
		DropCrew();
		return task;
	}
	*crew = current;
	return TASK_OF(current->board);
}

static void
RaiseFailure(const Board *board, const WorkerReport *hand)
{
	ereport(ERROR, (errcode(hand->sqlstate), errmsg_internal("%s", hand->message),
					hand->detail[0] != '\0' ? errdetail_internal("%s", hand->detail) : 0,
					hand->hint[0] != '\0' ? errhint("%s", hand->hint) : 0,
					errcontext("background worker of %s", board->job)));
}

void
CheckCrew(Crew *crew)
{
	for (int i = 0; crew != NULL && i < crew->nhands; i++)
	{
		const WorkerReport *hand = &crew->board->hands[i];

		if (hand->state == WORKER_FAILED)
		{
			pg_read_barrier();
			RaiseFailure(crew->board, hand);
		}
	}
}

/* Until it says that it is done, not until its process is gone, or it is gone without a word. */
static void
AwaitHand(Crew *crew, int number)
{
	volatile WorkerReport *hand = &crew->board->hands[number];
	pid_t		pid;

	for (;;)
	{
		BgwHandleStatus status = GetBackgroundWorkerPid(crew->handles[number], &pid);

		CHECK_FOR_INTERRUPTS();
		pg_read_barrier();
		if (status == BGWH_STOPPED || hand->state == WORKER_DONE || hand->state == WORKER_FAILED)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, WAIT_EVENT_BGWORKER_SHUTDOWN);
		ResetLatch(MyLatch);
	}
}

void
EndCrew(Crew *crew)
{
	if (crew == NULL)
		return;
	for (int i = 0; i < crew->nhands; i++)
	{
		AwaitHand(crew, i);
		CheckCrew(crew);
		/* one that never began took nothing up */
		if (crew->board->hands[i].state == WORKER_WORKING)
			ereport(ERROR, (errcode(ERRCODE_OPERATOR_INTERVENTION),
							errmsg("a background worker of %s was stopped", crew->board->job),
							errhint("Call it again: it goes on where it stopped.")));
	}
	memcpy(crew->task, TASK_OF(crew->board), crew->task_size);
	DropCrew();
}

static void
TakeSettings(const Board *board)
{
	StartTransactionCommand();
	for (int i = 0; i < lengthof(carried); i++)
		SetConfigOption(carried[i], board->settings[i], PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name, PGC_USERSET, PGC_S_SESSION);
	CommitTransactionCommand();
}

/* Under the rights of the leader, as it had them when it called for help. */
static bool
DoStep(const Board *board, CrewStep step, void *task)
{
	bool		more;
	Oid			user;
	int			security;

	StartTransactionCommand();
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(board->user, board->security);
	PushActiveSnapshot(GetTransactionSnapshot());
	more = step(task);
	PopActiveSnapshot();
	SetUserIdAndSecContext(user, security);
	CommitTransactionCommand();
	return more;
}

static void
EndHand(const Board *board, WorkerReport *hand, WorkerState state)
{
	PGPROC	   *leader = BackendPidGetProc(board->leader);

	pg_write_barrier();
	hand->state = state;
	if (leader != NULL)
		SetLatch(&leader->procLatch);
}

void
WorkInCrew(Datum argument, CrewStep step)
{
	Board	   *board = EnterWorker(argument);
	WorkerReport *hand;

	if (board == NULL)
		return;
	hand = &board->hands[WorkerNumber()];
	BackgroundWorkerInitializeConnectionByOid(board->database, board->login, 0);
	PG_TRY();
	{
		TakeSettings(board);
		pgstat_report_activity(STATE_RUNNING, MyBgworkerEntry->bgw_name);
		hand->state = WORKER_WORKING;
		while (DoStep(board, step, TASK_OF(board)))
			;
		EndHand(board, hand, WORKER_DONE);
	}
	PG_CATCH();
	{
		KeepFailure(hand);
		EndHand(board, hand, WORKER_FAILED);
	}
	PG_END_TRY();
	proc_exit(0);
}
