/*
 * merge.h: merging members, and undoing it.
 *
 * What was asserted stands in merge_edge; the live edges in their order say who
 * is who (kin.c), and everything else follows from that: apply.c makes points,
 * limits, tiers and the golden record what the edges say, whether an edge was
 * added or taken away.  So a merge and its undoing are one mechanism, and the
 * outcome depends on nothing but the live edges.
 *
 * All of it runs between SPI_connect and SPI_finish.
 */
#ifndef CRM_MERGE_H
#define CRM_MERGE_H

#include "postgres.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "points/points.h"

/* One of the members that were ever merged with one another. */
typedef struct KinMember
{
	int64		member_id;
	int64		parent;			/* whom it is merged into by the live edges; 0: nobody */
	int64		root;			/* who it is in the end */
	int64		old_root;		/* ... as it was before */
	int64		old_parent;
	char	   *status;			/* in member */
	char	   *own_status;		/* what it was before it was merged */
	bool		family;			/* root of others too */
	bool		touched;		/* what it has may have to move */
	bool		cards_unused;	/* by the merge into its parent */
	char	   *gifts;			/* ... which coupons of one person count once: JSON; NULL: all stay */
	TimestampTz gifts_until;	/* ... of those issued by then, when it was merged */
	int64		tier_source;	/* of a root: whose tier it holds; 0: none */
} KinMember;

typedef struct Kin
{
	int64		number;
	int			n;
	KinMember  *members;		/* by member_id */
} Kin;

/* Who did it, and how its entries are to say so. */
typedef struct MergeAct
{
	const char *reason;			/* "merge 4711" */
	const char *actor;
} MergeAct;

/* kin.c */
extern void InSubtransaction(bool (*run) (void *), void *argument);
/* Lock the members that these are after merges, in order; sorted, without repetition. */
extern int64 *LockRoots(const int64 *members, int n, int *nroots);
/* Lock the survivors of all that were ever merged with this one; the number of their kin, 0: none. */
extern int64 LockKin(int64 member_id);
/* Who a member is now; 0: it was never merged with another. */
extern int64 MergedRoot(int64 member_id);
extern Kin *LoadKin(int64 number);
extern const KinMember *FindKin(const Kin *kin, int64 member_id);
/* Write who is who where that changed, and note in the kin what it was. */
extern void WriteKin(Kin *kin);

/* part.c: what members have together, by table merge_part */
extern char *PartTotals(const int64 *members, int n, bool moving);
/*
 * Where members that are one have rows of one key: refuse it, when merging, or
 * note which of them hides the others, as the part says; "conflicts" of the report.
 */
extern void ResolveConflicts(const Kin *kin, bool merging, StringInfo report);

/* aside.c: cards and coupons that do not count while their members are merged; "coupons" of the report */
extern void SetAside(const Kin *kin, bool merging, const MergeAct *act, StringInfo report);

/* points.c: see move.h for how */
/* Lock the accounts of those touched; those of merged members are closed, of survivors opened. */
extern void LockMergedAccounts(const Kin *kin);
/* Bring what is in the accounts of those touched to whose it is; "moved" of the report. */
extern void MoveMergedPoints(const Kin *kin, bool merging, const MergeAct *act, StringInfo report);
/* Leave with the survivor for good what a member that comes back owes beyond what it has. */
extern void LeaveDebt(int64 member_id, int64 survivor, const PointsType *type, const MergeAct *act);

/* limits.c: what was used of limits a member has counts for all that are one */
extern void LockMergedLimits(const Kin *kin);
extern void MoveMergedLimits(const Kin *kin);

/* golden.c: what survivors say; "golden" of the report */
extern void ChooseGolden(const Kin *kin, StringInfo report);

/* tier.c: what tiers survivors hold; "tiers" of the report */
extern void MergeTiers(const Kin *kin, const MergeAct *act, StringInfo report);

/* apply.c */
/* Make everything what the live edges say, and report it. */
extern Kin *ApplyMerges(int64 kin, bool merging, const MergeAct *act, StringInfo report);

/* Identifiers: as an array; sorted, without repetition. */
extern int64 *SortIds(int64 *ids, int *n);

#endif
