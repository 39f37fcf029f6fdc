/*
 * worker.c: a background worker that finds its work in a segment of shared memory.
 */
#include "crm_member.h"
#include "job/worker.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

bool
StartWorker(const char *function, const char *job, int number, dsm_segment *segment,
			BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(segment));
	memcpy(worker.bgw_extra, &number, sizeof(number));
	strlcpy(worker.bgw_library_name, "crm_member", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, function, sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "crm_member %s worker for PID %d", job, MyProcPid);
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "crm_member %s worker", job);
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

void *
EnterWorker(Datum argument)
{
	dsm_segment *segment;

	BackgroundWorkerUnblockSignals();
	CurrentResourceOwner = ResourceOwnerCreate(NULL, "crm_member worker");
	segment = dsm_attach(DatumGetUInt32(argument));
	if (segment == NULL)
		return NULL;
	dsm_pin_mapping(segment);
	return dsm_segment_address(segment);
}

int
WorkerNumber(void)
{
	int			number;

	memcpy(&number, MyBgworkerEntry->bgw_extra, sizeof(number));
	return number;
}

/* What there is room for, in whole characters. */
static void
KeepText(char *kept, const char *text)
{
	if (text == NULL)
		text = "";
	strlcpy(kept, text, pg_mbcliplen(text, strlen(text), WORKER_TEXT - 1) + 1);
}

void
KeepFailure(WorkerReport *report)
{
	ErrorData  *error;

	MemoryContextSwitchTo(TopMemoryContext);
	error = CopyErrorData();
	report->sqlstate = error->sqlerrcode;
	KeepText(report->message, error->message);
	KeepText(report->detail, error->detail);
	KeepText(report->hint, error->hint);
}
