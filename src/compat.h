/*
 * compat.h: the only file that knows which PostgreSQL it is built against.
 */
#ifndef CRM_COMPAT_H
#define CRM_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "crm_member needs PostgreSQL 15 to 18"
#endif

/* varatt.h took over the varlena macros in 16. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 18 writes pg_noreturn, before the declaration. */
#ifndef pg_attribute_noreturn
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/*
 * What an update leaves to do for the indexes.  Summarizing ones, which
 * heap-only updates must still reach, came in 16.
 */
#if PG_VERSION_NUM >= 160000
#define IndexWork TU_UpdateIndexes
#define INDEX_WORK_ALL TU_All
#define INDEX_WORK_NONE TU_None
#define HasIndexWork(work) ((work) != TU_None)
#define InsertIndexTuples(target, row, estate, work) \
	ExecInsertIndexTuples(target, row, estate, false, false, NULL, NIL, (work) == TU_Summarizing)
#else
#define IndexWork bool
#define INDEX_WORK_ALL true
#define INDEX_WORK_NONE false
#define HasIndexWork(work) (work)
#define InsertIndexTuples(target, row, estate, work) \
	ExecInsertIndexTuples(target, row, estate, false, false, NULL, NIL)
#endif

/* 18 counts what a scan does, for those who want to know. */
#if PG_VERSION_NUM >= 180000
#define BeginIndexScan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#else
#define BeginIndexScan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, nkeys, 0)
#endif

/* reindex_relation was given the statement it belongs to in 17. */
#if PG_VERSION_NUM >= 170000
#define RebuildIndexes(relid, params) reindex_relation(NULL, relid, 0, params)
#else
#define RebuildIndexes(relid, params) reindex_relation(relid, 0, params)
#endif

#endif
