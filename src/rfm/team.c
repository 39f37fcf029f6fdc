/*
 * team.c: this process and parallel workers at one task.
 */
#include "crm_member.h"
#include "rfm/team.h"

#include "access/xact.h"
#include "storage/proc.h"

enum
{
	KEY_TASK = 1,
	KEY_QUEUES
};

void *
StartTeam(Team *team, const char *worker, int workers, Size task_size, Size queue_size)
{
	Size		queues_size = mul_size(queue_size, Max(workers, 1));

	memset(team, 0, sizeof(*team));
	team->queue_size = queue_size;
	EnterParallelMode();
	team->context = CreateParallelContext("crm_member", worker, workers);
	shm_toc_estimate_chunk(&team->context->estimator, task_size);
	shm_toc_estimate_chunk(&team->context->estimator, queues_size);
	shm_toc_estimate_keys(&team->context->estimator, 2);
	InitializeParallelDSM(team->context);

	team->task = shm_toc_allocate(team->context->toc, task_size);
	memset(team->task, 0, task_size);
	shm_toc_insert(team->context->toc, KEY_TASK, team->task);
	if (queue_size > 0)
	{
		team->queues = shm_toc_allocate(team->context->toc, queues_size);
		shm_toc_insert(team->context->toc, KEY_QUEUES, team->queues);
		for (int i = 0; i < team->context->nworkers; i++)
			shm_mq_set_receiver(shm_mq_create(team->queues + i * queue_size, queue_size), MyProc);
	}
	return team->task;
}

void
LaunchTeam(Team *team)
{
	if (team->context->nworkers > 0)
		LaunchParallelWorkers(team->context);
	team->nworkers = team->context->nworkers_launched;
	ereport(DEBUG1, (errmsg_internal("%d parallel workers help", team->nworkers)));
}

shm_mq_handle *
QueueOfWorker(Team *team, int worker)
{
	return shm_mq_attach((shm_mq *) (team->queues + worker * team->queue_size), team->context->seg,
						 team->context->worker[worker].bgwhandle);
}

void
AwaitTeam(Team *team)
{
	WaitForParallelWorkersToFinish(team->context);
}

void
FinishTeam(Team *team)
{
	AwaitTeam(team);
	DestroyParallelContext(team->context);
	ExitParallelMode();
}

void *
TaskOfTeam(shm_toc *toc)
{
	return shm_toc_lookup(toc, KEY_TASK, false);
}

shm_mq_handle *
QueueToLeader(dsm_segment *segment, shm_toc *toc, Size queue_size)
{
	shm_mq	   *mine = (shm_mq *) ((char *) shm_toc_lookup(toc, KEY_QUEUES, false) +
								   ParallelWorkerNumber * queue_size);

	shm_mq_set_sender(mine, MyProc);
	return shm_mq_attach(mine, segment, NULL);
}
