/*
 * team.h: this process and parallel workers at one task.
 */
#ifndef CRM_TEAM_H
#define CRM_TEAM_H

#include "postgres.h"
#include "access/parallel.h"
#include "storage/shm_mq.h"
#include "storage/shm_toc.h"

typedef struct Team
{
	ParallelContext *context;
	void	   *task;			/* what all of them see */
	int			nworkers;		/* that have been launched */
	char	   *queues;
	Size		queue_size;
} Team;

/*
 * Make room for a task, which the caller fills (it is zero), and for a queue from
 * each worker (queue_size 0: none).  worker is the name of an exported function
 * of the library.  From here to FinishTeam the transaction cannot write.
 */
extern void *StartTeam(Team *team, const char *worker, int workers, Size task_size, Size queue_size);
extern void LaunchTeam(Team *team);
extern shm_mq_handle *QueueOfWorker(Team *team, int worker);

/* Wait for the workers; an error of theirs is raised here. */
extern void AwaitTeam(Team *team);
extern void FinishTeam(Team *team);

/* In a worker. */
extern void *TaskOfTeam(shm_toc *toc);
extern shm_mq_handle *QueueToLeader(dsm_segment *segment, shm_toc *toc, Size queue_size);

#endif
