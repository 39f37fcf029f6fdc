/*
 * pages.c: the rows of a table, its pages shared out among processes.
 *
 * What a sequential scan does for each row costs more than what is done here
 * with a row, so pages are read as the heap lays them out: which rows are seen
 * is decided for a whole page at a time, at a glance where everybody sees all.
 */
#include "crm_member.h"
#include "rfm/pages.h"

#include "access/heapam.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "optimizer/paths.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include <unistd.h>

/* Pages in a row are read faster; but all processes should end together. */
#define STRETCHES	64
#define MAX_STRETCH 32

bool
HasPages(Oid table)
{
	Relation	rel;
	bool		heap;

	if (get_rel_relkind(table) != RELKIND_RELATION || has_subclass(table))
		return false;
	rel = table_open(table, AccessShareLock);
	heap = rel->rd_tableam == GetHeapamTableAmRoutine();
	table_close(rel, NoLock);
	return heap;
}

/*
 * As many as a query's scan of the table would be given, but no more processes
 * than there are processors: unlike an executor's workers these never wait.
 */
int
WorkersForPages(Relation rel)
{
	BlockNumber pages = RelationGetNumberOfBlocks(rel);
	int			workers = 1;

	if (IsInParallelMode() || RelationUsesLocalBuffers(rel) ||
		pages < (BlockNumber) min_parallel_table_scan_size)
		return 0;
	for (BlockNumber part = Max(min_parallel_table_scan_size, 1); pages / 3 >= part; part *= 3)
		workers++;
	workers = Min(workers, max_parallel_workers_per_gather);
#ifdef _SC_NPROCESSORS_ONLN
	workers = Min(workers, Max(sysconf(_SC_NPROCESSORS_ONLN) - 1, 1));
#endif
	return workers;
}

void
StartPages(Pages *pages, Relation rel)
{
	pages->table = RelationGetRelid(rel);
	pages->npages = RelationGetNumberOfBlocks(rel);
	pages->stretch = Min(Max(pages->npages / STRETCHES, 1), MAX_STRETCH);
	pg_atomic_init_u64(&pages->next, 0);
}

/* The rows of a page that the snapshot sees, by their places. */
static int
SeenRows(Relation rel, Snapshot snapshot, Buffer buffer, bool conflicts, OffsetNumber *places)
{
	Page		page = BufferGetPage(buffer);
	OffsetNumber last = PageGetMaxOffsetNumber(page);
	bool		all = PageIsAllVisible(page) && !snapshot->takenDuringRecovery && !conflicts;
	HeapTupleData row;
	int			n = 0;

	row.t_tableOid = RelationGetRelid(rel);
	for (OffsetNumber place = FirstOffsetNumber; place <= last; place++)
	{
		ItemId		item = PageGetItemId(page, place);

		if (!ItemIdIsNormal(item))
			continue;
		if (!all)
		{
			bool		seen;

			row.t_data = (HeapTupleHeader) PageGetItem(page, item);
			row.t_len = ItemIdGetLength(item);
			ItemPointerSet(&row.t_self, BufferGetBlockNumber(buffer), place);
			seen = HeapTupleSatisfiesVisibility(&row, snapshot, buffer);
			if (conflicts)
				HeapCheckForSerializableConflictOut(seen, rel, &row, buffer, snapshot);
			if (!seen)
				continue;
		}
		places[n++] = place;
	}
	return n;
}

static void
ReadPage(Relation rel, Snapshot snapshot, BlockNumber number, BufferAccessStrategy strategy,
		 bool conflicts, RowFunction each, void *state)
{
	Buffer		buffer = ReadBufferExtended(rel, MAIN_FORKNUM, number, RBM_NORMAL, strategy);
	Page		page = BufferGetPage(buffer);
	OffsetNumber places[MaxHeapTuplesPerPage];
	HeapTupleData row;
	int			n;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	CheckOldSnapshot(snapshot, rel, page);
	n = SeenRows(rel, snapshot, buffer, conflicts, places);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);

	/* what is seen stays where it is while the page is pinned */
	row.t_tableOid = RelationGetRelid(rel);
	for (int i = 0; i < n; i++)
	{
		ItemId		item = PageGetItemId(page, places[i]);

		row.t_data = (HeapTupleHeader) PageGetItem(page, item);
		row.t_len = ItemIdGetLength(item);
		ItemPointerSet(&row.t_self, number, places[i]);
		each(state, &row);
	}
	ReleaseBuffer(buffer);
}

void
ReadPages(Pages *pages, RowFunction each, void *state)
{
	Relation	rel = table_open(pages->table, AccessShareLock);
	Snapshot	snapshot = GetActiveSnapshot();
	/* a large table should not push everything else out of memory */
	BufferAccessStrategy strategy =
		pages->npages > (BlockNumber) NBuffers / 4 ? GetAccessStrategy(BAS_BULKREAD) : NULL;
	bool		conflicts;
	uint64		from;

	PredicateLockRelation(rel, snapshot);
	conflicts = CheckForSerializableConflictOutNeeded(rel, snapshot);
	while ((from = pg_atomic_fetch_add_u64(&pages->next, pages->stretch)) < pages->npages)
	{
		for (BlockNumber number = from; number < Min(from + pages->stretch, pages->npages); number++)
		{
			CHECK_FOR_INTERRUPTS();
			ReadPage(rel, snapshot, number, strategy, conflicts, each, state);
		}
	}
	if (strategy != NULL)
		FreeAccessStrategy(strategy);
	table_close(rel, NoLock);
}
