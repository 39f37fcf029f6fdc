/*
 * reverse.c: granted points taken back, spent points given back.
 *
 * Both read from the journal what there is to reverse and what was reversed of
 * it already, under the account's lock, so that any number of partial steps ends
 * exactly at zero.
 *
 * What is taken back comes from the lot of the grant first, where what is left
 * of it is harmless, and what was cleared of it is let go; then from what the
 * member can spend, then from what is pending; the rest is as the points type's
 * deficit policy says.  What is given back goes to the lots it came from, the
 * last drawn first.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"

#include "utils/builtins.h"

int64 *
TakenBack(const PastEntry *entry)
{
	int64	   *taken = palloc0(sizeof(int64) * Max(entry->nlines, 1));
	ListCell   *cell;

	foreach(cell, LoadEntriesOf(entry->member_id, entry->type, entry->entry_no))
	{
		const PastEntry *reversal = lfirst(cell);

		if (strcmp(reversal->kind, "reverse") != 0)
			continue;
		if (entry->nlines == 0)
			taken[0] += reversal->shortfall - reversal->points;
		for (int i = 0; i < reversal->nlines; i++)
		{
			for (int line = 0; line < entry->nlines; line++)
			{
				if (entry->line_nos[line] == reversal->line_nos[i])
					taken[line] += reversal->line_points[i];
			}
		}
	}
	return taken;
}

static int64
TotalOf(const int64 *points, int n)
{
	int64		total = 0;

	for (int i = 0; i < n; i++)
		total = AddMinor(total, points[i]);
	return total;
}

void
CoverDeficit(const PointsType *type, int64 points, LotUse *use, Entry *entry)
{
	switch (type->deficit)
	{
		case DEFICIT_ALLOW:
			AddUse(use, DEBT_LOT, points);
			break;
		case DEFICIT_CLAMP:
		case DEFICIT_CHARGE:
			entry->shortfall = points;
			break;
		case DEFICIT_REFUSE:
			ereport(ERROR, (errcode(ERRCODE_CRM_POINTS_DEFICIT),
							errmsg("the points to be taken back are spent"),
							errdetail("%s of points type \"%s\" are missing.",
									  PointsText(points, type), type->name),
							errhint("Column \"deficit\" of crm_member.points_type says what happens "
									"then.")));
	}
}

/*
 * Of so many points of a grant, those that clear_points() took and no reversal has
 * let go yet, as far as its lots do not have them: its own lot, and where the
 * account is closed, those that a merge made of it elsewhere.
 */
static int64
ClearedPart(const PastEntry *entry, bool closed, int64 points)
{
	static CrmQuery query = {
		"WITH lot AS (SELECT member_id, lot_no, remaining FROM crm_member.points_lot "
		"WHERE member_id = $1 AND points_type = $2 AND lot_no = $3 "
		"UNION ALL SELECT l.member_id, l.lot_no, CASE WHEN $4 AND l.expires_at > now() THEN l.remaining ELSE 0 END "
		"FROM crm_member.member_kin k "
		"JOIN crm_member.member_kin o ON o.kin = k.kin AND o.member_id <> k.member_id "
		"JOIN crm_member.points_lot l ON l.member_id = o.member_id AND l.points_type = $2 "
		"AND l.birth_member = $1 AND l.birth_lot = $3 WHERE k.member_id = $1) "
		"SELECT (SELECT pg_catalog.sum(remaining) FROM lot), "
		"(SELECT pg_catalog.sum(u.points) FROM lot JOIN crm_member.points_entry e ON e.member_id = lot.member_id "
		"AND e.points_type = $2 AND e.entry_no > lot.lot_no AND e.kind = 'clear' "
		"CROSS JOIN LATERAL ROWS FROM (unnest(e.lot_nos), unnest(e.lot_points)) u (lot_no, points) "
		"WHERE u.lot_no = lot.lot_no), "
		"(SELECT pg_catalog.sum(r.cleared) FROM crm_member.points_entry r WHERE r.member_id = $1 "
		"AND r.points_type = $2 AND r.of_entry = $3 AND r.kind = 'reverse')",
		4, {INT8OID, TEXTOID, INT8OID, BOOLOID}};
	Datum		values[4] = {Int64GetDatum(entry->member_id), CStringGetTextDatum(entry->type->name),
		Int64GetDatum(entry->entry_no), BoolGetDatum(closed)};
	int64		gone;

	/* stored value is cleared by closing its account only */
	if (entry->type->stored_value)
		return 0;
	RunQuery(&query, values, NULL, false, 1);
	gone = PointsColumn(0, 2, entry->type) - PointsColumn(0, 3, entry->type);
	return Max(0, Min(points - PointsColumn(0, 1, entry->type), gone));
}

int64
TakeBack(const Act *act, const PastEntry *entry, const int64 *points, int64 *shortfall)
{
	int64		total = TotalOf(points, Max(entry->nlines, 1));
	int			nlines = 0;
	int		   *line_nos = palloc(sizeof(int) * entry->nlines);
	int64	   *line_points = palloc(sizeof(int64) * entry->nlines);
	LotUse		use = {0};
	TimestampTz at = Max(act->at, entry->at);
	Entry		reversal = {.kind = "reverse", .at = at, .ref = act->ref, .reason = act->reason,
		.actor = act->actor, .use = &use, .sale_id = entry->sale_id, .of_entry = entry->entry_no,
		.line_nos = line_nos, .line_points = line_points};
	Account		account;
	Lot			lot;
	int64		missing = total;

	if (!LockAccount(entry->member_id, entry->type, &account))
		elog(ERROR, "points account vanished");
	if (total == 0)
		return account.balance;
	if (account.hold_expires_at <= at)
		ReleaseTimedOut(entry->member_id, entry->type, at);

	lot = LoadLot(entry->member_id, entry->type, entry->entry_no);
	if (lot.remaining < total)
		reversal.cleared = ClearedPart(entry, account.closed, total);
	missing -= reversal.cleared;
	if (account.closed)
	{
		FetchPoints(entry->member_id, entry->type, entry->entry_no, missing, at);
		lot = LoadLot(entry->member_id, entry->type, entry->entry_no);
	}
	if (lot.remaining > 0)
	{
		int64		left = Min(lot.remaining, missing);

		AddUse(&use, entry->entry_no, left);
		missing -= left;
		if (lot.expires_at <= account.expired_to)
			BookExpired(entry->member_id, entry->type, -left, at, &account);
	}
	missing -= ChooseLots(entry->member_id, entry->type, &account, missing, at, true, &use);
	if (missing > 0)
		CoverDeficit(entry->type, missing, &use, &reversal);

	for (int i = 0; i < entry->nlines; i++)
	{
		if (points[i] == 0)
			continue;
		line_nos[nlines] = entry->line_nos[i];
		line_points[nlines++] = points[i];
	}
	reversal.nlines = nlines;
	*shortfall += reversal.shortfall;
	reversal.shortfall += reversal.cleared;
	reversal.points = reversal.shortfall - total;
	Book(entry->member_id, entry->type, &reversal, &account);
	return Forwarded(entry->member_id, entry->type, &account, NULL, at);
}

int64
GivenBack(const PastEntry *entry)
{
	int64		given = 0;
	ListCell   *cell;

	foreach(cell, LoadEntriesOf(entry->member_id, entry->type, entry->entry_no))
	{
		const PastEntry *part = lfirst(cell);

		if (strcmp(part->kind, "return") == 0)
			given += part->points;
	}
	return given;
}

/* Back into a lot, or where that has expired, anew if the points type says so. */
static void
GiveToLot(const PastEntry *spent, const Account *account, int64 lot_no, int64 points, LotUse *use,
		  Entry *entry)
{
	const PointsType *type = spent->type;

	if (lot_no == DEBT_LOT)
	{
		/* what was overdrawn may have been paid since */
		int64		owed = Min(points, account->debt);

		if (owed > 0)
			AddUse(use, DEBT_LOT, -owed);
		if (points > owed)
		{
			entry->granted += points - owed;
			entry->expires_at = DT_NOEND;
		}
		return;
	}
	if (type->reinstatement != NULL &&
		LoadLot(spent->member_id, type, lot_no).expires_at <= Max(entry->at, account->expired_to))
	{
		Expiry		after = {.kind = EXPIRY_AFTER, .after = *type->reinstatement};

		entry->granted += points;
		entry->expires_at = ExpiresAt(&after, entry->at);
		return;
	}
	AddUse(use, lot_no, -points);
}

int64
GiveBack(const Act *act, const PastEntry *entry, int64 points)
{
	LotUse		drawn = {0};
	LotUse		use = {0};
	LotUse		lots = {0};
	TimestampTz at = Max(act->at, entry->at);
	Entry		give = {.kind = "return", .points = points, .at = at, .ref = act->ref,
		.reason = act->reason, .actor = act->actor, .use = &use, .refills = true,
		.earned_at = at, .available_at = at, .sale_id = entry->sale_id,
		.of_entry = entry->entry_no};
	Account		account;
	int64		left;
	int64		swept;

	if (!LockForCredit(entry->member_id, entry->type, at, &account))
		elog(ERROR, "points account vanished");
	if (points == 0)
		return account.balance;
	left = -entry->points - GivenBack(entry);
	if (points > left)
		elog(ERROR, "more given back than was spent");

	SliceUse(&entry->use, left - points, left, 1, &drawn);
	ReviveLots(entry->member_id, entry->type, &drawn);
	for (int i = drawn.n - 1; i >= 0; i--)
		GiveToLot(entry, &account, drawn.lot_nos[i], drawn.points[i], &use, &give);
	for (int i = 0; i < use.n; i++)
	{
		if (use.lot_nos[i] != DEBT_LOT)
			AddUse(&lots, use.lot_nos[i], use.points[i]);
	}
	BookExpired(entry->member_id, entry->type,
				SweptPart(entry->member_id, entry->type, &account, &lots, &give.soonest), at,
				&account);
	Book(entry->member_id, entry->type, &give, &account);
	/* one that comes late may be over, and its expiry booked, for what it gave anew too */
	swept = give.expires_at <= account.expired_to ? give.granted : 0;
	if (account.debt > 0 || swept > 0)
		SettleCredit(entry->member_id, entry->type, swept, at);
	return Forwarded(entry->member_id, entry->type, &account, &lots, at);
}

/* What is left to take back of the lines of an entry, or of one of them. */
static int64 *
WhatIsLeft(const PastEntry *entry, const int64 *taken, int line_no)
{
	int64	   *left = palloc0(sizeof(int64) * Max(entry->nlines, 1));

	if (entry->nlines == 0 && line_no == 0)
		left[0] = entry->points - taken[0];
	for (int i = 0; i < entry->nlines; i++)
	{
		if (line_no == 0 || entry->line_nos[i] == line_no)
			left[i] = entry->line_points[i] - taken[i];
	}
	return left;
}

static bool
IsGrant(const PastEntry *entry)
{
	return strcmp(entry->kind, "earn") == 0 || strcmp(entry->kind, "award") == 0 ||
		(strcmp(entry->kind, "adjust") == 0 && entry->points > 0);
}

/* The entries that a reversal is about. */
static List *
EntriesToReverse(const Act *act, const char *ref)
{
	List	   *entries = NIL;
	ListCell   *cell;
	PastEntry  *entry;

	if (ref == NULL)
	{
		foreach(cell, LoadSaleEntries(act->member_id, act->sale_id))
		{
			if (SameType(((PastEntry *) lfirst(cell))->type, act->type))
				entries = lappend(entries, lfirst(cell));
		}
		if (entries == NIL)
			ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_ENTRY),
							errmsg("sale " INT64_FORMAT " has moved no such points", act->sale_id)));
		return entries;
	}
	entry = FindEntry(act->member_id, ref);
	if (strcmp(entry->kind, "hold") == 0)
	{
		foreach(cell, LoadEntriesOf(entry->member_id, entry->type, entry->entry_no))
		{
			if (strcmp(((PastEntry *) lfirst(cell))->kind, "spend") == 0)
				entries = lappend(entries, lfirst(cell));
		}
	}
	else
		entries = list_make1(entry);
	if (entries == NIL || !(IsGrant(linitial(entries)) ||
							strcmp(((PastEntry *) linitial(entries))->kind, "spend") == 0))
		ereport(ERROR, (errcode(ERRCODE_CRM_NOT_REVERSIBLE),
						errmsg("entry with reference \"%s\" is no grant and no spending", ref),
						errdetail("It is a \"%s\".", entry->kind)));
	return entries;
}

/*
 * One entry carries the act's reference, the first.  What the same act reversed of
 * another stands behind it without one, booked at the same time.
 */
static void
AddPart(const PastEntry *first, const PastEntry *entry, int64 *points, int64 *balance)
{
	static CrmQuery query = {
		"SELECT pg_catalog.abs(r.points) + coalesce(r.shortfall, 0), r.balance FROM crm_member.points_entry f "
		"JOIN crm_member.points_entry r ON r.booked_at = f.booked_at "
		"AND (r.entry_no > f.entry_no OR r.member_id <> f.member_id) "
		"WHERE f.member_id = $1 AND f.points_type = $2 AND f.entry_no = $3 AND r.member_id = $4 "
		"AND r.points_type = $2 AND r.of_entry = $5 AND r.kind = $6 AND r.ref IS NULL ORDER BY r.entry_no",
		6, {INT8OID, TEXTOID, INT8OID, INT8OID, INT8OID, TEXTOID}};
	Datum		values[6];

	values[0] = Int64GetDatum(first->member_id);
	values[1] = CStringGetTextDatum(first->type->name);
	values[2] = Int64GetDatum(first->entry_no);
	values[3] = Int64GetDatum(entry->member_id);
	values[4] = Int64GetDatum(entry->entry_no);
	values[5] = CStringGetTextDatum(IsGrant(entry) ? "reverse" : "return");
	if (RunQuery(&query, values, NULL, false, 1) == 0)
		return;
	*points = AddMinor(*points, PointsColumn(0, 1, entry->type));
	*balance = PointsColumn(0, 2, entry->type);
}

/* Whether the act's own reference reversed before what is asked, and the balance then. */
static bool
FindReversal(const Act *act, List *entries, int line_no, int64 *balance)
{
	const PastEntry *past = act->ref == NULL ? NULL : FindEntry(act->member_id, act->ref);
	bool		found = false;
	int64		points = 0;
	ListCell   *cell;

	if (past == NULL)
		return false;
	foreach(cell, entries)
	{
		const PastEntry *entry = lfirst(cell);

		if (found && points != act->points)
			AddPart(past, entry, &points, balance);
		else if (!found && entry->entry_no == past->of_entry && SameType(entry->type, past->type) &&
				 strcmp(past->kind, IsGrant(entry) ? "reverse" : "return") == 0 &&
				 (line_no == 0 || (past->nlines == 1 && past->line_nos[0] == line_no)))
		{
			found = true;
			points = llabs(past->points) + past->shortfall;
			*balance = past->balance;
		}
	}
	if (!found || (act->points != 0 && act->points != points))
		ReferenceReused(act->ref);
	return true;
}

/* For each entry what is to be reversed of each of its lines; the sum. */
static int64
WhatToReverse(const Act *act, List *entries, int line_no, int64 **left)
{
	int64		sum = 0;
	ListCell   *cell;

	foreach(cell, entries)
	{
		const PastEntry *entry = lfirst(cell);
		int			n = Max(entry->nlines, 1);
		int64	   *points;
		int64		total;

		if (IsGrant(entry))
			points = WhatIsLeft(entry, TakenBack(entry), line_no);
		else
		{
			points = palloc0(sizeof(int64) * n);
			points[0] = line_no != 0 ? 0 : -entry->points - GivenBack(entry);
		}
		total = TotalOf(points, n);
		if (act->points != 0)
		{
			total = Min(total, act->points - sum);
			Allocate(total, points, n, ALLOCATION_LARGEST_REMAINDER, points);
		}
		left[foreach_current_index(cell)] = points;
		sum = AddMinor(sum, total);
	}
	return sum;
}

int64
PostReversal(const Act *act, const char *ref, int line_no)
{
	Act			step = *act;
	Account		account;
	List	   *entries;
	ListCell   *cell;
	int64	  **left;
	int64		balance;
	bool		done;
	int64		reversed = 0;
	int64		shortfall = 0;

	SPI_connect();
	entries = EntriesToReverse(act, ref);
	left = palloc(sizeof(int64 *) * list_length(entries));
	step.type = ((PastEntry *) linitial(entries))->type;
	step.member_id = ((PastEntry *) linitial(entries))->member_id;
	if (!LockAccount(step.member_id, step.type, &account))
		elog(ERROR, "points account vanished");
	balance = account.balance;
	done = FindReversal(&step, entries, line_no, &balance);
	if (!done)
		reversed = WhatToReverse(act, entries, line_no, left);
	if (!done && reversed < act->points)
		ereport(ERROR, (errcode(ERRCODE_CRM_NOT_REVERSIBLE),
						errmsg("no so many points are left to reverse"),
						errdetail("%s are left, not %s.", PointsText(reversed, step.type),
								  PointsText(act->points, step.type))));
	foreach(cell, done ? NIL : entries)
	{
		const PastEntry *entry = lfirst(cell);
		const int64 *points = left[foreach_current_index(cell)];
		int64		total = TotalOf(points, Max(entry->nlines, 1));

		if (total == 0)
			continue;
		balance = IsGrant(entry) ? TakeBack(&step, entry, points, &shortfall)
			: GiveBack(&step, entry, total);
		step.ref = NULL;		/* one entry carries it */
	}
	SPI_finish();
	return balance;
}
