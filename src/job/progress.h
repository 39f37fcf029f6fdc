/*
 * progress.h: what a long statement is doing, for other sessions to see.
 */
#ifndef CRM_PROGRESS_H
#define CRM_PROGRESS_H

#include "postgres.h"

/* Shown until the next report or the end of the statement, as query of pg_stat_activity. */
extern void ReportProgress(const char *job, const char *step, uint64 done, uint64 total);

#endif
