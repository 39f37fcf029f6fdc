/*
 * pages.h: the rows of a table, its pages shared out among processes.
 */
#ifndef CRM_PAGES_H
#define CRM_PAGES_H

#include "postgres.h"
#include "access/htup.h"
#include "port/atomics.h"
#include "storage/block.h"
#include "utils/rel.h"

/* In memory that the processes share. */
typedef struct Pages
{
	Oid			table;
	BlockNumber npages;
	BlockNumber stretch;		/* pages a process takes at a time */
	pg_atomic_uint64 next;
} Pages;

/* Is it a table whose pages can be read so? */
extern bool HasPages(Oid table);

/* Processes beside this one that it pays to read it with. */
extern int	WorkersForPages(Relation rel);

extern void StartPages(Pages *pages, Relation rel);

/*
 * Hand the rows that the active snapshot sees, of pages no other process has
 * taken, to a function; a row is there until it returns.
 */
typedef void (*RowFunction) (void *state, HeapTuple row);
extern void ReadPages(Pages *pages, RowFunction each, void *state);

#endif
