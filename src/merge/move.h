/*
 * move.h: points on their way from one account to another, both of which are there
 * and locked.
 */
#ifndef CRM_MERGE_MOVE_H
#define CRM_MERGE_MOVE_H

#include "merge/merge.h"
#include "points/ledger.h"
#include "table.h"

/* An open lot, and how much of it moves. */
typedef struct MovedLot
{
	int64		lot_no;
	int64		points;
	TimestampTz earned_at;
	TimestampTz available_at;
	TimestampTz expires_at;
	int64		owner;
	int64		birth_member;
	int64		birth_lot;
	int64		to;
} MovedLot;

/* Of points_lot, as ReadLots() reads them. */
#define LOT_COLUMNS \
	"lot_no, remaining, earned_at, available_at, expires_at, coalesce(owner_member, member_id), " \
	"coalesce(birth_member, member_id), coalesce(birth_lot, lot_no)"

/* lots.c */
extern MovedLot *ReadLots(uint64 found, const PointsType *type);
/* Returns their points together. */
extern int64 MoveLots(int64 from, int64 to, const PointsType *type, MovedLot *lots, int n, TimestampTz at,
					  const MergeAct *act);

/* Entries of a move, and the lots they grant. */
typedef struct MoveRows
{
	TableInsert *entries;
	TableInsert *lots;
} MoveRows;

extern MoveRows BeginMove(void);
/* One entry; use: the lots drawn on, or (negative) refilled; lot: the lot granted instead. */
extern void AddEntry(MoveRows *rows, const PointsType *type, int64 member_id, int64 entry_no, const char *kind,
					 int64 points, int64 balance, TimestampTz at, const MergeAct *act, const LotUse *use,
					 int64 other_member, const MovedLot *lot);
extern void EndMove(MoveRows *rows);

/* debt.c */
/* Bring what an account owes to whose it is, root where it is its own. */
extern void ForwardDebt(int64 member_id, int64 root, const PointsType *type, TimestampTz at,
						const MergeAct *act, StringInfo report);

/* forward.c */
/* The same of all that lies in an account; report may be NULL. */
extern void ForwardAccount(int64 member_id, const PointsType *type, TimestampTz at, const MergeAct *act,
						   StringInfo report);
/* The account, made where it is missing, and locked. */
extern Account EnsureAccount(int64 member_id, const PointsType *type);
/* A move of the report, not closed yet. */
extern void AppendMove(StringInfo report, const PointsType *type, int64 from, int64 to);

#endif
