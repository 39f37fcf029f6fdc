/*
 * cron.c: reach pg_cron where it lives.
 *
 * pg_cron keeps its jobs in one database of the server, which may be another
 * than the one the job is for.  Then a background worker connects there, as the
 * same role and under its rights, makes the one call and ends.
 */
#include "crm_member.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define CRON_TEXT 1024

typedef enum CronState
{
	CRON_STARTING,
	CRON_DONE,
	CRON_FAILED
} CronState;

/* What caller and worker share. */
typedef struct CronCall
{
	Oid			database;
	Oid			role;
	bool		schedule;		/* else unschedule */
	char		name[CRON_TEXT];
	char		timing[CRON_TEXT];
	char		command[CRON_TEXT];
	char		target[NAMEDATALEN];	/* database the job is for */
	CronState	state;
	int			sqlstate;
	char		message[CRON_TEXT];
	char		hint[CRON_TEXT];
} CronCall;

PGDLLEXPORT void CrmCronWorker(Datum segment);

static void
CallCron(CronCall *call)
{
	Oid			types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[4];
	int			rc;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	values[0] = CStringGetTextDatum(call->name);
	values[1] = CStringGetTextDatum(call->timing);
	values[2] = CStringGetTextDatum(call->command);
	values[3] = CStringGetTextDatum(call->target);
	if (call->schedule)
		rc = SPI_execute_with_args("SELECT cron.schedule_in_database($1, $2, $3, $4)", 4, types,
								   values, NULL, false, 0);
	else
		rc = SPI_execute_with_args("SELECT cron.unschedule(jobid) FROM cron.job "
								   "WHERE jobname OPERATOR(pg_catalog.=) $1",
								   1, types, values, NULL, false, 0);
	if (rc < 0)
		elog(ERROR, "call of pg_cron failed: %s", SPI_result_code_string(rc));
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
}

void
CrmCronWorker(Datum segment)
{
	dsm_segment *shared;
	CronCall   *call;

	BackgroundWorkerUnblockSignals();
	CurrentResourceOwner = ResourceOwnerCreate(NULL, "crm_member cron");
	shared = dsm_attach(DatumGetUInt32(segment));
	if (shared == NULL)
		return;					/* the caller has given up */
	dsm_pin_mapping(shared);
	call = dsm_segment_address(shared);
	PG_TRY();
	{
		BackgroundWorkerInitializeConnectionByOid(call->database, call->role, 0);
		pgstat_report_activity(STATE_RUNNING, "crm_member schedule");
		CallCron(call);
		call->state = CRON_DONE;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(TopMemoryContext);
		error = CopyErrorData();
		call->sqlstate = error->sqlerrcode;
		strlcpy(call->message, error->message ? error->message : "", CRON_TEXT);
		strlcpy(call->hint, error->hint ? error->hint : "", CRON_TEXT);
		call->state = CRON_FAILED;
	}
	PG_END_TRY();
	proc_exit(0);
}

static void
RunWorker(dsm_segment *segment)
{
	BackgroundWorker worker = {0};
	BackgroundWorkerHandle *handle;
	BgwHandleStatus status;

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(segment));
	strlcpy(worker.bgw_library_name, "crm_member", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "CrmCronWorker", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "crm_member schedule", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "crm_member schedule", sizeof(worker.bgw_type));
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("no background worker is free to reach pg_cron"),
						errhint("Raise max_worker_processes, or schedule from the database of "
								"pg_cron.")));
	status = WaitForBackgroundWorkerShutdown(handle);
	if (status == BGWH_POSTMASTER_DIED)
		ereport(FATAL, (errcode(ERRCODE_ADMIN_SHUTDOWN), errmsg("the server is going down")));
}

/* cron_call(database, name, schedule, command): schedule is NULL to unschedule. */
PG_FUNCTION_INFO_V1(crm_cron_call);
Datum
crm_cron_call(PG_FUNCTION_ARGS)
{
	char	   *database = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *name = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *timing = PG_ARGISNULL(2) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(2));
	char	   *command = PG_ARGISNULL(3) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(3));
	dsm_segment *segment;
	CronCall   *call;
	CronCall	result;

	if (database == NULL || name == NULL)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("database and name must not be NULL")));
	if (strlen(name) >= CRON_TEXT || strlen(timing) >= CRON_TEXT || strlen(command) >= CRON_TEXT)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("schedule is too long")));
	segment = dsm_create(sizeof(CronCall), 0);
	call = dsm_segment_address(segment);
	memset(call, 0, sizeof(*call));
	call->database = get_database_oid(database, false);
	call->role = GetUserId();
	call->schedule = !PG_ARGISNULL(2);
	strcpy(call->name, name);
	strcpy(call->timing, timing);
	strcpy(call->command, command);
	strlcpy(call->target, get_database_name(MyDatabaseId), NAMEDATALEN);

	RunWorker(segment);
	result = *call;
	dsm_detach(segment);
	if (result.state != CRON_DONE)
		ereport(ERROR,
				(errcode(result.state == CRON_FAILED ? result.sqlstate : ERRCODE_INTERNAL_ERROR),
				 errmsg("pg_cron in database \"%s\" refused", database),
				 errdetail("%s", result.state == CRON_FAILED ? result.message :
						   "The background worker ended without an answer; see the server's log."),
				 result.hint[0] != '\0' ? errhint("%s", result.hint) : 0));
	PG_RETURN_VOID();
}

/* cron_database(): only superusers may read the setting, which is no secret. */
PG_FUNCTION_INFO_V1(crm_cron_database);
Datum
crm_cron_database(PG_FUNCTION_ARGS)
{
	const char *database = GetConfigOption("cron.database_name", true, false);

	if (database == NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("pg_cron is not loaded in this server"),
						errhint("Install pg_cron (Debian: postgresql-15-cron), add it to "
								"shared_preload_libraries, restart, and run CREATE EXTENSION pg_cron "
								"in the database that cron.database_name names. CALL "
								"crm_member.run_job() runs a job by hand or from any other scheduler.")));
	if (strcmp(database, get_database_name(MyDatabaseId)) == 0 &&
		!OidIsValid(get_extension_oid("pg_cron", true)))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("extension pg_cron does not exist in this database"),
						errhint("Run CREATE EXTENSION pg_cron.")));
	PG_RETURN_TEXT_P(cstring_to_text(database));
}
