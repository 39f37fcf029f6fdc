/*
 * cron.c: reach pg_cron where it lives.
 *
 * pg_cron keeps its jobs in one database of the server, which may be another
 * than the one the job is for.  Then a background worker connects there, as the
 * same role and under its rights, makes the one call and ends.
 */
#include "crm_member.h"
#include "argument.h"
#include "job/worker.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#define CRON_TEXT 1024

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
	WorkerReport report;
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
	CronCall   *call = EnterWorker(segment);

	if (call == NULL)
		return;
	PG_TRY();
	{
		BackgroundWorkerInitializeConnectionByOid(call->database, call->role, 0);
		pgstat_report_activity(STATE_RUNNING, "crm_member schedule");
		CallCron(call);
		call->report.state = WORKER_DONE;
	}
	PG_CATCH();
	{
		KeepFailure(&call->report);
		call->report.state = WORKER_FAILED;
	}
	PG_END_TRY();
	proc_exit(0);
}

static void
RunWorker(dsm_segment *segment)
{
	BackgroundWorkerHandle *handle;
	BgwHandleStatus status;

	if (!StartWorker("CrmCronWorker", "schedule", 0, segment, &handle))
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
	char	   *database = RequiredText(fcinfo, 0, "database");
	char	   *name = RequiredText(fcinfo, 1, "name");
	char	   *timing = PG_ARGISNULL(2) ? "" : TextArgument(fcinfo, 2);
	char	   *command = PG_ARGISNULL(3) ? "" : TextArgument(fcinfo, 3);
	dsm_segment *segment;
	CronCall   *call;
	WorkerReport report;

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
	report = call->report;
	dsm_detach(segment);
	if (report.state != WORKER_DONE)
		ereport(ERROR,
				(errcode(report.state == WORKER_FAILED ? report.sqlstate : ERRCODE_INTERNAL_ERROR),
				 errmsg("pg_cron in database \"%s\" refused", database),
				 errdetail("%s", report.state == WORKER_FAILED ? report.message :
						   "The background worker ended without an answer; see the server's log."),
				 report.hint[0] != '\0' ? errhint("%s", report.hint) : 0));
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
