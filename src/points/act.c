/*
 * act.c: points given, spent and corrected by hand.
 *
 * The reference of an act makes its entry unique: it is written with ON CONFLICT
 * DO NOTHING, and where it is there already, the relative update of the account
 * is taken back under the lock still held, and the first result is returned. That
 * is dear for a repeated act, and nothing for the others, which are nearly all.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

static Entry
EntryOf(const Act *act, int64 points, const LotUse *use)
{
	Entry		entry = {.kind = act->kind, .points = points, .at = act->at, .ref = act->ref,
		.reason = act->reason, .actor = act->actor, .use = use, .sale_id = act->sale_id,
		.of_entry = act->of_entry, .other_member = act->other_member};

	return entry;
}

/* The act lost a race against itself: take back what it did to the account. */
static int64
FirstResult(const Act *act, int64 points)
{
	int64		balance;

	AddToAccount(act->member_id, act->type, -points, -1, DT_NOBEGIN, DT_NOEND);
	if (!FindAct(act, points, &balance))
		elog(ERROR, "entry with reference \"%s\" vanished", act->ref);
	return balance;
}

/*
 * Was the act done by a member that is merged with this one?  The member's own
 * entries tell when they are written.
 */
static bool
DoneByKin(const Act *act, int64 points)
{
	int64		balance;

	return act->ref != NULL && HasKin(act->member_id) && FindAct(act, points, &balance);
}

int64
GrantLot(const Act *act)
{
	Account		account = AddToAccount(act->member_id, act->type, act->points, 1, act->available_at,
									   act->expires_at);
	Entry		entry = EntryOf(act, act->points, NULL);
	int64		balance;

	if (DebtAwaitsHolds(&account, act->at))
		account = AddAfterHolds(act->member_id, act->type, act->points, 1, act->available_at,
								act->expires_at, act->at);
	balance = account.balance;
	if (DoneByKin(act, act->points) ||
		!InsertEntry(act->member_id, act->type, &entry, account.entry_no, account.balance))
		return FirstResult(act, act->points);
	InsertLot(act->member_id, act->type, account.entry_no, act->points, act->earned_at,
			  act->available_at, act->expires_at);
	KeepAlive(act->member_id, act->type, act->kind, act->at);
	if (account.debt > 0 || act->expires_at <= account.expired_to)
		SettleCredit(act->member_id, act->type,
					 act->expires_at <= account.expired_to ? act->points : 0, act->at);
	if (account.closed)
		balance = ForwardPoints(act->member_id, act->type, act->at);
	return balance;
}

int64
PostAward(const Act *act)
{
	int64		balance;

	SPI_connect();
	balance = GrantLot(act);
	SPI_finish();
	return balance;
}

void
Insufficient(const Act *act, int64 available)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_INSUFFICIENT_POINTS),
					errmsg("not enough points"),
					errdetail("The member can spend %s of points type \"%s\", not %s.", PointsText(available, act->type), act->type->name,
							  PointsText(act->points, act->type))));
}

/* Take from the account, if it has that much; false: it has not, or a hold timed out. */
static bool
TakeFromAccount(const Act *act, Account *account)
{
	static CrmQuery query = {
		"UPDATE crm_member.points_account SET balance = balance - $3, "
		"entry_no = entry_no + 1 "
		"WHERE member_id = $1 AND points_type = $2 "
		"AND balance >= $3 AND hold_expires_at > $4 RETURNING balance, entry_no, debt, expired_to",
		4, {INT8OID, TEXTOID, NUMERICOID, TIMESTAMPTZOID}};
	Datum		values[4];
	bool		isnull;

	if (TakeFromRow(act->member_id, act->type, act->points, act->at, account))
		return true;
	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(act->type->name);
	values[2] = PointsDatum(act->points, act->type);
	values[3] = TimestampTzGetDatum(act->at);
	if (RunQuery(&query, values, NULL, false, 0) == 0)
		return false;
	account->balance = PointsColumn(0, 1, act->type);
	account->entry_no = DatumGetInt64(QueryColumn(0, 2, &isnull));
	account->debt = PointsColumn(0, 3, act->type);
	account->expired_to = DatumGetTimestampTz(QueryColumn(0, 4, &isnull));
	return true;
}

/*
 * Lots to draw on; returns what they have.  What became available since a debt was
 * made is owed, though it does not pay by itself.
 */
static int64
ChooseUnowed(const Act *act, const Account *account, LotUse *use)
{
	if (account->debt > 0)
	{
		int64		unowed = SpendableLots(NULL, act->member_id, act->type,
										   Max(act->at, account->expired_to)) - account->debt;

		if (unowed < act->points)
			return Max(unowed, 0);
	}
	return ChooseLots(act->member_id, act->type, account, act->points, act->at, false, use);
}

Account
TakePoints(Act *act, LotUse *use, bool *done)
{
	Account		account = {0};
	Entry		entry;
	bool		released = false;
	int64		chosen;

	*done = false;
	while (!TakeFromAccount(act, &account))
	{
		if (FollowMerge(&act->member_id, act->type))
			continue;
		if (!released && ReleaseTimedOut(act->member_id, act->type, act->at))
		{
			released = true;
			continue;
		}
		/* perhaps because this very act was done while we waited */
		if (act->ref == NULL || !FindAct(act, -act->points, &account.balance))
			Insufficient(act, Max(0, DrawableBalance(act->member_id, act->type, act->at, false)));
		return account;
	}
	chosen = ChooseUnowed(act, &account, use);
	if (chosen < act->points)
	{
		if (act->ref == NULL || !FindAct(act, -act->points, &account.balance))
			Insufficient(act, chosen);
		account.balance = FirstResult(act, -act->points);
		return account;
	}
	entry = EntryOf(act, -act->points, use);
	*done = !DoneByKin(act, -act->points) &&
		InsertEntry(act->member_id, act->type, &entry, account.entry_no, account.balance);
	if (*done)
	{
		DrawOnLots(act->member_id, act->type, use);
		KeepAlive(act->member_id, act->type, act->kind, act->at);
	}
	else
		account.balance = FirstResult(act, -act->points);
	return account;
}

int64
PostSpend(Act *act)
{
	int64		balance;
	LotUse		use = {0};
	bool		done;

	SPI_connect();
	balance = TakePoints(act, &use, &done).balance;
	SPI_finish();
	return balance;
}

int64
Deduct(const Act *act)
{
	LotUse		use = {0};
	Entry		entry = EntryOf(act, 0, &use);
	Account		account = AddToAccount(act->member_id, act->type, 0, 0, DT_NOBEGIN, DT_NOEND);
	int64		missing;

	if (account.hold_expires_at <= act->at)
		ReleaseTimedOut(act->member_id, act->type, act->at);
	missing = act->points - ChooseLots(act->member_id, act->type, &account, act->points, act->at,
									   false, &use);
	if (missing > 0)
		CoverDeficit(act->type, missing, &use, &entry);
	entry.points = entry.shortfall - act->points;
	Book(act->member_id, act->type, &entry, &account);
	return account.balance;
}

int64
PostDeduction(Act *act)
{
	const PastEntry *past;
	Account		account;

	SPI_connect();
	do
		account = AddToAccount(act->member_id, act->type, 0, 0, DT_NOBEGIN, DT_NOEND);
	while (account.closed && FollowMerge(&act->member_id, act->type));
	past = FindEntry(act->member_id, act->ref);
	if (past != NULL)
	{
		if (strcmp(past->kind, act->kind) != 0 || !SameType(past->type, act->type) ||
			past->shortfall - past->points != act->points)
			ReferenceReused(act->ref);
		account.balance = past->balance;
	}
	else
		account.balance = Deduct(act);
	SPI_finish();
	return account.balance;
}
