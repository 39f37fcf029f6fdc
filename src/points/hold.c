/*
 * hold.c: points set aside, then captured (spent) or released.
 *
 * A hold draws on lots like a spend, so that nobody else can; what it drew stays
 * with its entry.  A release puts points back into those lots, from the end of
 * the draws; a capture spends from their beginning, as a release and a spend
 * with the same draws, for which no lot changes.  A hold that has timed out does
 * not bind: readers count it as released, and the next act books that.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

typedef struct Hold
{
	int64		hold_no;
	int64		points;
	int64		held;
	TimestampTz expires_at;
} Hold;

static void
InsertHold(const Act *act, int64 hold_no)
{
	static CrmQuery insert = {
		"INSERT INTO crm_member.points_hold "
		"(member_id, points_type, hold_no, ref, points, held, held_at, expires_at) "
		"VALUES ($1, $2, $3, $4, $5, $5, $6, $7)",
		7, {INT8OID, TEXTOID, INT8OID, TEXTOID, NUMERICOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	static CrmQuery account = {
		"UPDATE crm_member.points_account SET hold_expires_at = least(hold_expires_at, $3) "
		"WHERE member_id = $1 AND points_type = $2 AND hold_expires_at > $3",
		3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};
	Datum		values[7];

	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(act->type->name);
	values[2] = Int64GetDatum(hold_no);
	values[3] = CStringGetTextDatum(act->ref);
	values[4] = PointsDatum(act->points, act->type);
	values[5] = TimestampTzGetDatum(act->at);
	values[6] = TimestampTzGetDatum(act->expires_at);
	RunQuery(&insert, values, NULL, false, 0);
	values[2] = TimestampTzGetDatum(act->expires_at);
	RunQuery(&account, values, NULL, false, 0);
}

int64
PostHold(Act *act)
{
	int64		balance;
	LotUse		use = {0};
	bool		done;

	SPI_connect();
	if (!FindAct(act, -act->points, &balance))
	{
		Account		account = TakePoints(act, &use, &done);

		balance = account.balance;
		if (done)
			InsertHold(act, account.entry_no);
	}
	SPI_finish();
	return balance;
}

static void
LoadHold(int64 member_id, const PointsType *type, int64 hold_no, Hold *hold)
{
	static CrmQuery query = {
		"SELECT points, held, expires_at FROM crm_member.points_hold "
		"WHERE member_id = $1 AND points_type = $2 AND hold_no = $3",
		3, {INT8OID, TEXTOID, INT8OID}};
	Datum		values[3];
	bool		isnull;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = Int64GetDatum(hold_no);
	if (RunQuery(&query, values, NULL, false, 1) != 1)
		elog(ERROR, "hold " INT64_FORMAT " vanished", hold_no);
	hold->hold_no = hold_no;
	hold->points = PointsColumn(0, 1, type);
	hold->held = PointsColumn(0, 2, type);
	hold->expires_at = DatumGetTimestampTz(QueryColumn(0, 3, &isnull));
}

static void
ReduceHold(int64 member_id, const PointsType *type, const Hold *hold, int64 points)
{
	static CrmQuery query = {
		"UPDATE crm_member.points_hold SET held = held - $4 "
		"WHERE member_id = $1 AND points_type = $2 AND hold_no = $3",
		4, {INT8OID, TEXTOID, INT8OID, NUMERICOID}};
	Datum		values[4];

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = Int64GetDatum(hold->hold_no);
	values[3] = PointsDatum(points, type);
	RunQuery(&query, values, NULL, false, 0);
}

/* Of the draws of a hold, how many points from the beginning are spent. */
static int64
Captured(List *parts)
{
	int64		captured = 0;
	ListCell   *cell;

	foreach(cell, parts)
	{
		const PastEntry *part = lfirst(cell);

		if (strcmp(part->kind, "spend") == 0)
			captured -= part->points;
	}
	return captured;
}

bool
DebtAwaitsHolds(const Account *account, TimestampTz at)
{
	return account->debt > 0 && account->hold_expires_at <= at;
}

Account
AddAfterHolds(int64 member_id, const PointsType *type, int64 points, int n,
			  TimestampTz available_at, TimestampTz expires_at, TimestampTz at)
{
	AddToAccount(member_id, type, -points, -n, DT_NOBEGIN, DT_NOEND);
	ReleaseTimedOut(member_id, type, at);
	return AddToAccount(member_id, type, points, n, available_at, expires_at);
}

bool
LockForCredit(int64 member_id, const PointsType *type, TimestampTz at, Account *account)
{
	return LockAccount(member_id, type, account) &&
		(!DebtAwaitsHolds(account, at) ||
		 (ReleaseTimedOut(member_id, type, at) && LockAccount(member_id, type, account)));
}

/* Put points back; returns the balance after. */
static int64
ReleaseHold(const Act *act, const PastEntry *entry, const Hold *hold, int64 points)
{
	int64		captured = Captured(LoadEntriesOf(act->member_id, entry->type, hold->hold_no));
	Account		account;
	LotUse		use = {0};
	Entry		release = {.kind = "release", .points = points, .at = act->at, .ref = act->ref,
		.reason = act->reason, .actor = act->actor, .use = &use, .refills = true,
		.of_entry = hold->hold_no};

	if (!LockAccount(act->member_id, entry->type, &account))
		elog(ERROR, "points account vanished");
	SliceUse(&entry->use, captured + hold->held - points, captured + hold->held, -1, &use);
	ReviveLots(act->member_id, entry->type, &use);
	BookExpired(act->member_id, entry->type,
				SweptPart(act->member_id, entry->type, &account, &use, &release.soonest), act->at,
				&account);
	Book(act->member_id, entry->type, &release, &account);
	ReduceHold(act->member_id, entry->type, hold, points);
	if (account.debt > 0)
		SettleCredit(act->member_id, entry->type, 0, act->at);
	return Forwarded(act->member_id, entry->type, &account, &use, act->at);
}

/*
 * It may have been made by a member that is merged with this one: then the act goes
 * on there.  What becomes of a hold is not before it.
 */
static const PastEntry *
FindHold(Act *act, const char *ref)
{
	const PastEntry *entry = FindEntry(act->member_id, ref);

	if (entry == NULL || strcmp(entry->kind, "hold") != 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_ENTRY),
						errmsg("the member has no hold with reference \"%s\"", ref)));
	act->member_id = entry->member_id;
	act->at = Max(act->at, entry->at);
	return entry;
}

/* The entry that the act's own reference made before; NULL: none did. */
static const PastEntry *
FindPart(const Act *act, const char *kind, const PastEntry *hold)
{
	const PastEntry *part = act->ref == NULL ? NULL : FindEntry(act->member_id, act->ref);

	if (part != NULL &&
		(strcmp(part->kind, kind) != 0 || !SameType(part->type, hold->type) ||
		 part->of_entry != hold->entry_no || (act->points != 0 && llabs(part->points) != act->points)))
		ReferenceReused(act->ref);
	return part;
}

static void
HoldClosed(const char *ref, const Hold *hold, const PointsType *type, bool timed_out)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_HOLD_CLOSED),
					timed_out
					? errmsg("hold \"%s\" has timed out", ref)
					: errmsg("hold \"%s\" does not hold that much", ref),
					timed_out
					? errdetail("It bound until %s.", timestamptz_to_str(hold->expires_at))
					: errdetail("%s of %s points are held.", PointsText(hold->held, type),
								PointsText(hold->points, type))));
}

int64
PostRelease(Act *act, const char *ref)
{
	const PastEntry *entry;
	const PastEntry *part;
	Account		account;
	Hold		hold;
	int64		balance;

	SPI_connect();
	entry = FindHold(act, ref);
	part = FindPart(act, "release", entry);
	if (part != NULL)
		balance = part->balance;
	else
	{
		LockForCredit(act->member_id, entry->type, act->at, &account);
		LoadHold(act->member_id, entry->type, entry->entry_no, &hold);
		if (hold.held < act->points)
			HoldClosed(ref, &hold, entry->type, false);
		/* whether or not that has been booked */
		if (act->points > 0 && hold.expires_at <= act->at)
			HoldClosed(ref, &hold, entry->type, true);
		balance = account.balance;
		if (hold.held > 0)
			balance = ReleaseHold(act, entry, &hold, act->points > 0 ? act->points : hold.held);
	}
	SPI_finish();
	return balance;
}

/* Spend what is held; returns the balance after. */
static int64
CaptureHold(const Act *act, const PastEntry *entry, const Hold *hold, int64 captured, int64 points)
{
	Account		account;
	LotUse		back = {0};
	LotUse		use = {0};
	Entry		release = {.kind = "release", .points = points, .at = act->at, .use = &back,
		.lots_stay = true, .of_entry = hold->hold_no};
	Entry		spend = {.kind = "spend", .points = -points, .at = act->at, .ref = act->ref,
		.reason = act->reason, .actor = act->actor, .use = &use, .lots_stay = true,
		.sale_id = act->sale_id, .of_entry = hold->hold_no};

	SliceUse(&entry->use, captured, captured + points, -1, &back);
	SliceUse(&entry->use, captured, captured + points, 1, &use);
	Book(act->member_id, entry->type, &release, &account);
	Book(act->member_id, entry->type, &spend, &account);
	KeepAlive(act->member_id, entry->type, spend.kind, act->at);
	ReduceHold(act->member_id, entry->type, hold, points);
	return Forwarded(act->member_id, entry->type, &account, NULL, act->at);
}

/* A capture repeated without a reference of its own: the one there was, if it asked the same. */
static const PastEntry *
OnlyCapture(const Act *act, List *parts)
{
	const PastEntry *only = NULL;
	ListCell   *cell;

	foreach(cell, parts)
	{
		const PastEntry *part = lfirst(cell);

		if (strcmp(part->kind, "spend") != 0)
			continue;
		if (only != NULL)
			return NULL;
		only = part;
	}
	return only != NULL && act->ref == NULL &&
		(act->points == 0 || act->points == -only->points) ? only : NULL;
}

int64
PostCapture(Act *act, const char *ref, bool release_rest)
{
	const PastEntry *entry;
	const PastEntry *part;
	Account		account;
	Hold		hold;
	int64		points;
	int64		balance;

	SPI_connect();
	entry = FindHold(act, ref);
	part = FindPart(act, "spend", entry);
	if (part == NULL)
	{
		List	   *parts;

		LockForCredit(act->member_id, entry->type, act->at, &account);
		LoadHold(act->member_id, entry->type, entry->entry_no, &hold);
		parts = LoadEntriesOf(act->member_id, entry->type, entry->entry_no);
		part = hold.held == 0 ? OnlyCapture(act, parts) : NULL;
		if (part == NULL)
		{
			if (hold.held == 0 || hold.held < act->points)
				HoldClosed(ref, &hold, entry->type, false);
			if (hold.expires_at <= act->at)
				HoldClosed(ref, &hold, entry->type, true);
			/* the rest goes first, so that the entry of the spending says the balance at the end */
			points = act->points > 0 ? act->points : hold.held;
			if (release_rest && hold.held > points)
			{
				Act			rest = *act;

				rest.ref = NULL;
				ReleaseHold(&rest, entry, &hold, hold.held - points);
				hold.held = points;
			}
			balance = CaptureHold(act, entry, &hold, Captured(parts), points);
		}
	}
	if (part != NULL)
		balance = part->balance;
	SPI_finish();
	return balance;
}

bool
ReleaseTimedOut(int64 member_id, const PointsType *type, TimestampTz at)
{
	static CrmQuery due = {
		"SELECT ref FROM crm_member.points_hold "
		"WHERE member_id = $1 AND points_type = $2 AND held > 0 AND expires_at <= $3 "
		"ORDER BY expires_at, hold_no",
		3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};
	static CrmQuery next = {
		"UPDATE crm_member.points_account SET hold_expires_at = coalesce("
		"(SELECT min(h.expires_at) FROM crm_member.points_hold h "
		"WHERE (h.member_id = $1 OR h.member_id IN (SELECT k.member_id "
		"FROM crm_member.member_kin r JOIN crm_member.member_kin k "
		"ON k.kin = r.kin AND k.root = r.member_id WHERE r.member_id = $1)) "
		"AND h.points_type = $2 AND h.held > 0), 'infinity') "
		"WHERE member_id = $1 AND points_type = $2",
		2, {INT8OID, TEXTOID}};
	Datum		values[3];
	Account		account;
	uint64		found;
	char	  **refs;
	int64	   *merged;
	int			nmerged;

	merged = MergedMembers(member_id, &nmerged);
	for (int i = 0; i < nmerged; i++)
		ReleaseTimedOut(merged[i], type, at);
	if (!LockAccount(member_id, type, &account))
		return false;
	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = TimestampTzGetDatum(at);
	found = RunQuery(&due, values, NULL, false, 0);
	refs = palloc(sizeof(char *) * found);
	for (uint64 i = 0; i < found; i++)
	{
		bool		isnull;

		refs[i] = TextDatumGetCString(QueryColumn(i, 1, &isnull));
	}
	for (uint64 i = 0; i < found; i++)
	{
		const PastEntry *entry = FindEntry(member_id, refs[i]);
		Act			act = {.member_id = member_id, .reason = "timed out"};
		Hold		hold;

		LoadHold(member_id, type, entry->entry_no, &hold);
		act.at = hold.expires_at;
		ReleaseHold(&act, entry, &hold, hold.held);
	}
	RunQuery(&next, values, NULL, false, 0);
	return true;
}
