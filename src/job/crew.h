/*
 * crew.h: background workers that do steps of a job beside the session that runs
 * it, each step in a transaction of its own.
 *
 * For jobs that write: parallel workers of PostgreSQL may not.  The job sees to it
 * that its steps can be done side by side, in any order and any number of processes.
 */
#ifndef CRM_CREW_H
#define CRM_CREW_H

#include "postgres.h"

typedef struct Crew Crew;

/* One step; false: there is nothing left to take up. */
typedef bool (*CrewStep) (void *task);

/*
 * Start workers at a task.  They share a copy of it, which this returns; where none
 * can be had, in a transaction block, or where the session has a crew already, it
 * is the task itself, and *crew is NULL.  job is the name by which they are known
 * in pg_stat_activity, function an exported one of the library that calls
 * WorkInCrew().  Workers are of the session's user and act as the current one,
 * under its search_path.
 *
 * When the transaction ends by an error, or the session does, they are stopped in
 * the midst of their steps.  Else the transaction may be committed, and then
 * EndCrew() be called in another.
 */
extern void *StartCrew(Crew **crew, const char *job, const char *function, int workers,
					   void *task, Size task_size);
/* Raise the error of a worker that had one. */
extern void CheckCrew(Crew *crew);
/*
 * Wait until they have nothing left to take up, raise the error of one that had
 * one, and let them go; the task as they left it is copied to where it was.
 */
extern void EndCrew(Crew *crew);

/* All that a worker does; argument is what its function was given. */
extern void WorkInCrew(Datum argument, CrewStep step);

/* How many workers PostgreSQL's settings have for maintenance of so many pages. */
extern int	CrewSize(uint32 pages);

#endif
