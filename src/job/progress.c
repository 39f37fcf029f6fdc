/*
 * progress.c: what a long statement is doing, for other sessions to see.
 *
 * What it writes cannot be seen before it commits, and PostgreSQL's own progress
 * views are closed to extensions; the text of the running query is not.  The
 * view job_progress takes it apart again.
 */
#include "crm_member.h"
#include "job/progress.h"

#include "utils/backend_status.h"

void
ReportProgress(const char *job, const char *step, uint64 done, uint64 total)
{
	char		text[200];

	snprintf(text, sizeof(text), "crm_member %s: %s, " UINT64_FORMAT " of " UINT64_FORMAT, job,
			 step, done, total);
	pgstat_report_activity(STATE_RUNNING, text);
}
