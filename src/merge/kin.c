/*
 * kin.c: who is who, by the merges that are live.
 *
 * Edges say "this one is the same as that one", between members as they were
 * named.  Followed in their order they make a forest; whoever is one already is
 * not merged again, so there is no cycle.  All that ever shared an edge are kin,
 * and their rows of member_kin and member say what the forest says.
 */
#include "crm_member.h"
#include "member/member.h"
#include "merge/merge.h"
#include "query.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

static int
CompareIds(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

int64 *
SortIds(int64 *ids, int *n)
{
	int			kept = 0;

	qsort(ids, *n, sizeof(int64), CompareIds);
	for (int i = 0; i < *n; i++)
	{
		if (kept == 0 || ids[kept - 1] != ids[i])
			ids[kept++] = ids[i];
	}
	*n = kept;
	return ids;
}

static int64 *
Roots(const int64 *members, int n, int *nroots)
{
	int64	   *roots = palloc(sizeof(int64) * Max(n, 1));

	*nroots = 0;
	for (int i = 0; i < n; i++)
	{
		int64		root = CanonicalMember(members[i], false);

		if (root != 0)
			roots[(*nroots)++] = root;
	}
	return SortIds(roots, nroots);
}

/*
 * Run something in a subtransaction, which is kept if it returns true and rolled
 * back if not; memory of the caller's context stays in either case.
 */
void
InSubtransaction(bool (*run) (void *), void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool		keep;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		keep = run(argument);
		if (keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		ReThrowError(error);
	}
	PG_END_TRY();
}

typedef struct RootLocks
{
	const int64 *members;
	int			n;
	int64	   *roots;
	int			nroots;
	bool		held;
} RootLocks;

static bool
TryLockRoots(void *argument)
{
	static CrmQuery lock = {
		"SELECT FROM crm_member.member WHERE member_id = $1 FOR NO KEY UPDATE", 1, {INT8OID}};
	RootLocks  *locks = argument;
	int64	   *again;
	int			n;

	locks->roots = Roots(locks->members, locks->n, &locks->nroots);
	for (int i = 0; i < locks->nroots; i++)
	{
		Datum		value = Int64GetDatum(locks->roots[i]);

		RunQuery(&lock, &value, NULL, false, 0);
	}
	again = Roots(locks->members, locks->n, &n);
	locks->held = n == locks->nroots && memcmp(again, locks->roots, sizeof(int64) * n) == 0;
	return locks->held;
}

/*
 * Members may be merged while we wait for one of them.  Then all locks are given
 * up with the subtransaction that took them, and taken in order again.
 */
int64 *
LockRoots(const int64 *members, int n, int *nroots)
{
	RootLocks	locks = {.members = members, .n = n};

	while (!locks.held)
	{
		CHECK_FOR_INTERRUPTS();
		InSubtransaction(TryLockRoots, &locks);
	}
	*nroots = locks.nroots;
	return locks.roots;
}

/* A number that member_kin has of a member; 0: it was never merged with another. */
static int64
ReadKin(CrmQuery *query, int64 member_id)
{
	Datum		value = Int64GetDatum(member_id);
	bool		isnull;

	return RunQuery(query, &value, NULL, false, 1) == 0 ? 0
		: DatumGetInt64(QueryColumn(0, 1, &isnull));
}

static int64
KinOf(int64 member_id)
{
	static CrmQuery query = {
		"SELECT kin FROM crm_member.member_kin WHERE member_id = $1", 1, {INT8OID}};

	return ReadKin(&query, member_id);
}

int64
MergedRoot(int64 member_id)
{
	static CrmQuery query = {
		"SELECT root FROM crm_member.member_kin WHERE member_id = $1", 1, {INT8OID}};

	return ReadKin(&query, member_id);
}

int64
LockKin(int64 member_id)
{
	static CrmQuery query = {
		"SELECT member_id FROM crm_member.member_kin WHERE kin = $1", 1, {INT8OID}};
	int64		number;
	int64		again = KinOf(member_id);

	/* their number may grow while we wait */
	do
	{
		Datum		value = Int64GetDatum(number = again);
		uint64		found = RunQuery(&query, &value, NULL, false, 0);
		int64	   *members = palloc(sizeof(int64) * Max(found, 1));
		bool		isnull;
		int			n;

		for (uint64 row = 0; row < found; row++)
			members[row] = DatumGetInt64(QueryColumn(row, 1, &isnull));
		LockRoots(members, found, &n);
		again = KinOf(member_id);
	} while (again != number);
	return number;
}

static KinMember *
Find(const Kin *kin, int64 member_id)
{
	int			low = 0;
	int			high = kin->n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (kin->members[middle].member_id < member_id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == kin->n || kin->members[low].member_id != member_id)
		elog(ERROR, "member " INT64_FORMAT " is not among its kin", member_id);
	return &kin->members[low];
}

const KinMember *
FindKin(const Kin *kin, int64 member_id)
{
	return Find(kin, member_id);
}

static KinMember *
Top(const Kin *kin, KinMember *member)
{
	while (member->parent != 0)
		member = Find(kin, member->parent);
	return member;
}

static void
FollowEdges(Kin *kin)
{
	static CrmQuery edges = {
		"SELECT e.member_id, e.survivor, e.cards = 'deactivate', nullif(e.coupons, '\"keep\"')::text, "
		"coalesce((SELECT m.at FROM crm_member.member_merge m WHERE m.merge_id = e.merge_id), now()) "
		"FROM (SELECT member_id FROM crm_member.member_kin WHERE kin = $1) k "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.merge_edge e "
		"WHERE e.member_id = k.member_id AND e.undone_by IS NULL OFFSET 0) e ORDER BY e.position",
		1, {INT8OID}};
	Datum		value = Int64GetDatum(kin->number);
	uint64		found = RunQuery(&edges, &value, NULL, false, 0);
	bool		isnull;

	for (uint64 row = 0; row < found; row++)
	{
		KinMember  *child = Top(kin, Find(kin, DatumGetInt64(QueryColumn(row, 1, &isnull))));
		KinMember  *target = Top(kin, Find(kin, DatumGetInt64(QueryColumn(row, 2, &isnull))));

		if (child == target)
			continue;
		child->parent = target->member_id;
		child->cards_unused = DatumGetBool(QueryColumn(row, 3, &isnull));
		child->gifts = QueryText(row, 4);
		child->gifts_until = DatumGetTimestampTz(QueryColumn(row, 5, &isnull));
	}
	for (int i = 0; i < kin->n; i++)
	{
		KinMember  *root = Top(kin, &kin->members[i]);

		kin->members[i].root = root->member_id;
		root->family |= root != &kin->members[i];
	}
}

Kin *
LoadKin(int64 number)
{
	static CrmQuery query = {
		"SELECT k.member_id, k.root, k.status, m.status, m.merged_into "
		"FROM (SELECT * FROM crm_member.member_kin WHERE kin = $1) k "
		"CROSS JOIN LATERAL (SELECT m.status, m.merged_into FROM crm_member.member m "
		"WHERE m.member_id = k.member_id OFFSET 0) m ORDER BY 1",
		1, {INT8OID}};
	Datum		value = Int64GetDatum(number);
	Kin		   *kin = palloc0(sizeof(Kin));
	bool		isnull;

	kin->number = number;
	kin->n = RunQuery(&query, &value, NULL, false, 0);
	kin->members = palloc0(sizeof(KinMember) * Max(kin->n, 1));
	for (int i = 0; i < kin->n; i++)
	{
		KinMember  *member = &kin->members[i];

		member->member_id = DatumGetInt64(QueryColumn(i, 1, &isnull));
		member->old_root = DatumGetInt64(QueryColumn(i, 2, &isnull));
		member->own_status = QueryText(i, 3);
		member->status = QueryText(i, 4);
		member->old_parent = DatumGetInt64(QueryColumn(i, 5, &isnull));
		if (isnull)
			member->old_parent = 0;
	}
	FollowEdges(kin);
	return kin;
}

void
WriteKin(Kin *kin)
{
	static CrmQuery set_root = {
		"UPDATE crm_member.member_kin SET root = $2, status = $3 WHERE member_id = $1",
		3, {INT8OID, INT8OID, TEXTOID}};
	static CrmQuery set_parent = {
		"UPDATE crm_member.member SET merged_into = nullif($2, 0), status = $3 WHERE member_id = $1",
		3, {INT8OID, INT8OID, TEXTOID}};

	for (int i = 0; i < kin->n; i++)
	{
		KinMember  *member = &kin->members[i];
		bool		rewrite = member->parent != member->old_parent;
		Datum		values[3];

		values[0] = Int64GetDatum(member->member_id);
		if (rewrite && strcmp(member->status, "merged") != 0)
			member->own_status = member->status;
		member->touched = rewrite || member->root != member->old_root ||
			member->root == member->member_id;
		if (rewrite || member->root != member->old_root)
		{
			values[1] = Int64GetDatum(member->root);
			values[2] = CStringGetTextDatum(member->own_status);
			RunQuery(&set_root, values, NULL, false, 0);
		}
		if (rewrite)
		{
			values[1] = Int64GetDatum(member->parent);
			values[2] = CStringGetTextDatum(member->parent != 0 ? "merged" : member->own_status);
			RunQuery(&set_parent, values, NULL, false, 0);
		}
	}
}
