/*
 * worker.h: a background worker that finds its work in a segment of shared memory.
 */
#ifndef CRM_WORKER_H
#define CRM_WORKER_H

#include "postgres.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"

#define WORKER_TEXT 512

typedef enum WorkerState
{
	WORKER_STARTING,
	WORKER_WORKING,
	WORKER_DONE,
	WORKER_FAILED
} WorkerState;

/* What a worker tells. */
typedef struct WorkerReport
{
	WorkerState state;
	int			sqlstate;
	char		message[WORKER_TEXT];
	char		detail[WORKER_TEXT];
	char		hint[WORKER_TEXT];
} WorkerReport;

/*
 * function is an exported one of the library; job is the name by which it is known
 * in pg_stat_activity.  false: none is free.
 */
extern bool StartWorker(const char *function, const char *job, int number, dsm_segment *segment,
						BackgroundWorkerHandle **handle);
/* The first thing its function does: the segment's memory, or NULL where whoever started it has given up. */
extern void *EnterWorker(Datum argument);
/* Its number among those of one segment. */
extern int	WorkerNumber(void);
/* In PG_CATCH(): the error, for the report. */
extern void KeepFailure(WorkerReport *report);

#endif
