/*
 * compat.h: the only file that knows which PostgreSQL it is built against.
 */
#ifndef CRM_COMPAT_H
#define CRM_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "crm_member needs PostgreSQL 15 to 18"
#endif

/* 16 has it no more. */
#undef Abs

/* varatt.h took over the varlena macros in 16. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 18 writes pg_noreturn, before the declaration. */
#ifndef pg_attribute_noreturn
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/* stringToQualifiedNameList learnt to return errors in 16. */
#if PG_VERSION_NUM >= 160000
#define QualifiedNames(text) stringToQualifiedNameList(text, NULL)
#else
#define QualifiedNames(text) stringToQualifiedNameList(text)
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

/* The same with a conflict that is reported, not raised. */
#if PG_VERSION_NUM >= 160000
#define InsertArbitratedIndexTuples(target, row, estate, conflict, arbiters) \
	ExecInsertIndexTuples(target, row, estate, false, true, conflict, arbiters, false)
#else
#define InsertArbitratedIndexTuples(target, row, estate, conflict, arbiters) \
	ExecInsertIndexTuples(target, row, estate, false, true, conflict, arbiters)
#endif

/* 18 tells a row from itself, asks about deferrable keys, and counts index scans for EXPLAIN. */
#if PG_VERSION_NUM >= 180000
#define NoConflict(target, row, estate, there, arbiters) \
	ExecCheckIndexConstraints(target, row, estate, there, NULL, arbiters)
#define PrimaryKeyIndex(rel) RelationGetPrimaryKeyIndex(rel, false)
#define BeginIndexScan(rel, index, snapshot, nkeys) \
	index_beginscan(rel, index, snapshot, NULL, nkeys, 0)
#else
#define NoConflict(target, row, estate, there, arbiters) \
	ExecCheckIndexConstraints(target, row, estate, there, arbiters)
#define PrimaryKeyIndex(rel) RelationGetPrimaryKeyIndex(rel)
#define BeginIndexScan(rel, index, snapshot, nkeys) \
	index_beginscan(rel, index, snapshot, nkeys, 0)
#endif

/* Whose rights to see a row that breaks a constraint are asked was put beside the range table in 16. */
#if PG_VERSION_NUM >= 180000
#define SetRangeTable(estate, rte, rights) \
	(addRTEPermissionInfo(rights, rte), \
	 ExecInitRangeTable(estate, list_make1(rte), *(rights), bms_make_singleton(1)))
#elif PG_VERSION_NUM >= 160000
#define SetRangeTable(estate, rte, rights) \
	(addRTEPermissionInfo(rights, rte), ExecInitRangeTable(estate, list_make1(rte), *(rights)))
#else
#define SetRangeTable(estate, rte, rights) ((void) (rights), ExecInitRangeTable(estate, list_make1(rte)))
#endif

/* 18 has constraints that do not constrain. */
#if PG_VERSION_NUM >= 180000
#define IsEnforced(check) ((check)->ccenforced)
#else
#define IsEnforced(check) true
#endif

/* 17 has snapshots that get too old no more. */
#if PG_VERSION_NUM < 170000
#define CheckOldSnapshot(snapshot, rel, page) TestForOldSnapshot(snapshot, rel, page)
#else
#define CheckOldSnapshot(snapshot, rel, page) ((void) (page))
#endif

/* reindex_relation was given the statement it belongs to in 17. */
#if PG_VERSION_NUM >= 170000
#define RebuildIndexes(relid, params) reindex_relation(NULL, relid, 0, params)
#else
#define RebuildIndexes(relid, params) reindex_relation(relid, 0, params)
#endif

#endif
