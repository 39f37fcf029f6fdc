/*
 * points.c: points follow whose they are.
 *
 * A lot keeps its owner, its times and where it was born, whatever account it
 * lies in.  What moves does so by a pair of entries: out of one account, and into
 * lots of their own in the other, or back into the lots it came from.  Nothing is
 * summed into a new grant, so undoing a merge finds every point again.
 */
#include "crm_member.h"
#include "member/member.h"
#include "merge/merge.h"
#include "points/ledger.h"
#include "query.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"

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

#define LOT_COLUMNS \
	"lot_no, remaining, earned_at, available_at, expires_at, coalesce(owner_member, member_id), " \
	"coalesce(birth_member, member_id), coalesce(birth_lot, lot_no)"

static MovedLot *
ReadLots(uint64 found, const PointsType *type)
{
	MovedLot   *lots = palloc0(sizeof(MovedLot) * Max(found, 1));

	for (uint64 row = 0; row < found; row++)
	{
		MovedLot   *lot = &lots[row];
		bool		isnull;

		lot->lot_no = DatumGetInt64(QueryColumn(row, 1, &isnull));
		lot->points = PointsColumn(row, 2, type);
		lot->earned_at = DatumGetTimestampTz(QueryColumn(row, 3, &isnull));
		lot->available_at = DatumGetTimestampTz(QueryColumn(row, 4, &isnull));
		lot->expires_at = DatumGetTimestampTz(QueryColumn(row, 5, &isnull));
		lot->owner = DatumGetInt64(QueryColumn(row, 6, &isnull));
		lot->birth_member = DatumGetInt64(QueryColumn(row, 7, &isnull));
		lot->birth_lot = DatumGetInt64(QueryColumn(row, 8, &isnull));
	}
	return lots;
}

static int
CompareLots(const void *a, const void *b)
{
	const MovedLot *x = a;
	const MovedLot *y = b;

	if (x->expires_at != y->expires_at)
		return x->expires_at < y->expires_at ? -1 : 1;
	if (x->earned_at != y->earned_at)
		return x->earned_at < y->earned_at ? -1 : 1;
	return x->lot_no < y->lot_no ? -1 : x->lot_no > y->lot_no;
}

/* Entries of a move, and the lots they grant. */
static const BatchColumn entry_columns[] = {
	{"member_id", INT8OID}, {"points_type", TEXTOID}, {"entry_no", INT8OID}, {"kind", TEXTOID},
	{"points", NUMERICOID}, {"balance", NUMERICOID}, {"at", TIMESTAMPTZOID}, {"reason", TEXTOID},
	{"actor", TEXTOID}, {"lot_nos", INT8ARRAYOID}, {"lot_points", NUMERICARRAYOID},
	{"other_member", INT8OID}, {"earned_at", TIMESTAMPTZOID}, {"available_at", TIMESTAMPTZOID},
	{"expires_at", TIMESTAMPTZOID}, {"owner_member", INT8OID}, {"birth_member", INT8OID},
	{"birth_lot", INT8OID}};

/* One entry; use: the lots drawn on, or (negative) refilled; lot: the lot granted instead. */
static void
AddEntry(RowBatch *batch, const PointsType *type, int64 member_id, int64 entry_no, const char *kind,
		 int64 points, int64 balance, TimestampTz at, const MergeAct *act, const LotUse *use,
		 int64 other_member, const MovedLot *lot)
{
	Datum		values[lengthof(entry_columns)];
	bool		nulls[lengthof(entry_columns)] = {false};

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = Int64GetDatum(entry_no);
	values[3] = CStringGetTextDatum(kind);
	values[4] = PointsDatum(points, type);
	values[5] = PointsDatum(balance, type);
	values[6] = TimestampTzGetDatum(at);
	values[7] = TextOrNull(act->reason, &nulls[7]);
	values[8] = TextOrNull(act->actor, &nulls[8]);
	nulls[9] = nulls[10] = use == NULL;
	if (use != NULL)
	{
		values[9] = IdArrayDatum(use->lot_nos, use->n);
		values[10] = NumericArray(use->points, use->n, type);
	}
	values[11] = Int64GetDatum(other_member);
	for (int i = 12; i < lengthof(entry_columns); i++)
		nulls[i] = lot == NULL;
	if (lot != NULL)
	{
		values[12] = TimestampTzGetDatum(lot->earned_at);
		values[13] = TimestampTzGetDatum(lot->available_at);
		values[14] = TimestampTzGetDatum(lot->expires_at);
		values[15] = Int64GetDatum(lot->owner);
		nulls[15] = lot->owner == member_id;
		values[16] = Int64GetDatum(lot->birth_member);
		values[17] = Int64GetDatum(lot->birth_lot);
	}
	AddRow(batch, values, nulls);
}

static void
WriteEntries(RowBatch *batch)
{
	static CrmQuery entries = {
		"INSERT INTO crm_member.points_entry (member_id, points_type, entry_no, kind, points, balance, "
		"at, reason, actor, lot_nos, lot_points, other_member) "
		"SELECT member_id, points_type, entry_no, kind, points, balance, at, reason, actor, lot_nos, "
		"lot_points, other_member FROM batch", 0};
	static CrmQuery lots = {
		"INSERT INTO crm_member.points_lot (member_id, points_type, lot_no, points, remaining, "
		"earned_at, available_at, expires_at, owner_member, birth_member, birth_lot) "
		"SELECT member_id, points_type, entry_no, points, points, earned_at, available_at, expires_at, "
		"owner_member, birth_member, birth_lot FROM batch WHERE birth_lot IS NOT NULL", 0};

	RunBatch(&entries, batch);
	RunBatch(&lots, batch);
	EndBatch(batch);
}

/* Draw on many lots of an account at once. */
static void
DrawOnMany(int64 member_id, const PointsType *type, const LotUse *use)
{
	static CrmQuery query = {
		"UPDATE crm_member.points_lot l SET remaining = l.remaining - u.points, "
		"open = l.remaining > u.points FROM unnest($3, $4) AS u (lot_no, points) "
		"WHERE l.member_id = $1 AND l.points_type = $2 AND l.lot_no = u.lot_no",
		4, {INT8OID, TEXTOID, INT8ARRAYOID, NUMERICARRAYOID}};
	static CrmQuery empty = {
		"UPDATE crm_member.points_lot SET remaining = 0, open = false "
		"WHERE member_id = $1 AND points_type = $2 AND lot_no = ANY ($3)",
		3, {INT8OID, TEXTOID, INT8ARRAYOID}};
	Datum		values[4];

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = IdArrayDatum(use->lot_nos, use->n);
	values[3] = use->points == NULL ? (Datum) 0 : NumericArray(use->points, use->n, type);
	if (RunQuery(use->points == NULL ? &empty : &query, values, NULL, false, 0) != use->n)
		elog(ERROR, "points lots vanished");
}

/* Move lots from one account to another, both of which are there and locked; whole: all that they have left. */
static int64
MoveLots(int64 from, int64 to, const PointsType *type, MovedLot *lots, int n, bool whole,
		 TimestampTz at, const MergeAct *act)
{
	RowBatch   *batch;
	LotUse		drawn = {n, palloc(sizeof(int64) * n), palloc(sizeof(int64) * n)};
	LotUse		back = {0, palloc(sizeof(int64) * n), palloc(sizeof(int64) * n)};
	TimestampTz settles_at = DT_NOBEGIN;
	TimestampTz expires_at = DT_NOEND;
	int64		total = 0;
	int64		returned = 0;
	int64		entry_no;
	int64		balance;
	Account		source;
	Account		target;
	int			fresh = 0;

	for (int i = 0; i < n; i++)
	{
		MovedLot   *lot = &lots[i];

		drawn.lot_nos[i] = lot->lot_no;
		drawn.points[i] = lot->points;
		total = AddMinor(total, lot->points);
		settles_at = Max(settles_at, lot->available_at);
		expires_at = Min(expires_at, lot->expires_at);
		if (lot->birth_member == to)
		{
			int			same = 0;

			while (same < back.n && back.lot_nos[same] != lot->birth_lot)
				same++;
			if (same == back.n)
			{
				back.lot_nos[back.n] = lot->birth_lot;
				back.points[back.n++] = 0;
			}
			back.points[same] -= lot->points;
			returned = AddMinor(returned, lot->points);
		}
		else
			fresh++;
	}
	source = AddToAccount(from, type, -total, 1, DT_NOBEGIN, DT_NOEND);
	target = AddToAccount(to, type, total, fresh + (back.n > 0), settles_at, expires_at);
	entry_no = target.entry_no - fresh - (back.n > 0);
	balance = target.balance - total;
	{
		LotUse		use = drawn;

		if (whole)
			use.points = NULL;
		DrawOnMany(from, type, &use);
	}
	if (back.n > 0)
		DrawOnMany(to, type, &back);

	batch = BeginBatch(entry_columns, lengthof(entry_columns));
	AddEntry(batch, type, from, source.entry_no, "merge_out", -total, source.balance, at, act, &drawn,
			 to, NULL);
	if (back.n > 0)
		AddEntry(batch, type, to, ++entry_no, "merge_in", returned, balance += returned, at, act,
				 &back, from, NULL);
	qsort(lots, n, sizeof(MovedLot), CompareLots);
	for (int i = 0; i < n; i++)
	{
		if (lots[i].birth_member != to)
			AddEntry(batch, type, to, ++entry_no, "merge_in", lots[i].points,
					 balance += lots[i].points, at, act, NULL, from, &lots[i]);
	}
	WriteEntries(batch);
	return total;
}

/* Move debt, all that from owes of what owner owed, between accounts that are there and locked. */
static void
MoveDebt(int64 from, int64 to, const PointsType *type, int64 points, int64 owner, TimestampTz at,
		 const MergeAct *act)
{
	static CrmQuery owe = {
		"UPDATE crm_member.points_account SET balance = balance - $3, debt = debt + $3, "
		"entry_no = entry_no + 1 WHERE member_id = $1 AND points_type = $2 RETURNING balance, entry_no",
		3, {INT8OID, TEXTOID, NUMERICOID}};
	static CrmQuery forget = {
		"DELETE FROM crm_member.merged_debt WHERE member_id = $1 AND points_type = $2 AND owner = $3",
		3, {INT8OID, TEXTOID, INT8OID}};
	static CrmQuery note = {
		"INSERT INTO crm_member.merged_debt AS d (member_id, points_type, owner, points) "
		"VALUES ($1, $2, $3, $4) "
		"ON CONFLICT (member_id, points_type, owner) DO UPDATE SET points = d.points + excluded.points",
		4, {INT8OID, TEXTOID, INT8OID, NUMERICOID}};
	RowBatch   *batch = BeginBatch(entry_columns, lengthof(entry_columns));
	int64		debt_lot = DEBT_LOT;

	for (int side = 0; side < 2; side++)
	{
		int64		member_id = side == 0 ? from : to;
		int64		owed = side == 0 ? -points : points;
		LotUse		use = {1, &debt_lot, &owed};
		Datum		values[4];
		bool		isnull;

		values[0] = Int64GetDatum(member_id);
		values[1] = CStringGetTextDatum(type->name);
		values[2] = PointsDatum(owed, type);
		if (RunQuery(&owe, values, NULL, false, 0) != 1)
			elog(ERROR, "points account vanished");
		AddEntry(batch, type, member_id, DatumGetInt64(QueryColumn(0, 2, &isnull)),
				 side == 0 ? "merge_out" : "merge_in", -owed, PointsColumn(0, 1, type), at, act, &use,
				 side == 0 ? to : from, NULL);
		values[2] = Int64GetDatum(owner);
		values[3] = PointsDatum(points, type);
		if (side == 0)
			RunQuery(&forget, values, NULL, false, 0);
		else if (owner != to)
			RunQuery(&note, values, NULL, false, 0);
	}
	WriteEntries(batch);
}

/* The account, made where it is missing, and locked. */
static Account
EnsureAccount(int64 member_id, const PointsType *type)
{
	Account		account;

	if (!LockAccount(member_id, type, &account))
		account = AddToAccount(member_id, type, 0, 0, DT_NOBEGIN, DT_NOEND);
	return account;
}

/* Who a member is now; 0: it was never merged with another. */
static int64
RootOf(int64 member_id)
{
	static CrmQuery query = {
		"SELECT root FROM crm_member.member_kin WHERE member_id = $1", 1, {INT8OID}};
	Datum		value = Int64GetDatum(member_id);
	bool		isnull;

	return RunQuery(&query, &value, NULL, false, 1) == 0 ? 0
		: DatumGetInt64(QueryColumn(0, 1, &isnull));
}

/* Whoever has waited for a merge here reads whose things are anew.  0: nothing can be another's. */
static int64
LockRootAccount(int64 member_id, const PointsType *type)
{
	int64		root;
	int64		again = RootOf(member_id);

	do
	{
		root = again;
		if (root == 0)
			return 0;
		if (root != member_id)
			EnsureAccount(root, type);
		again = RootOf(member_id);
	} while (again != root);
	return root;
}

static int
CompareTargets(const void *a, const void *b)
{
	const MovedLot *x = a;
	const MovedLot *y = b;

	if (x->to != y->to)
		return x->to < y->to ? -1 : 1;
	return x->lot_no < y->lot_no ? -1 : x->lot_no > y->lot_no;
}

static void
AppendMove(StringInfo report, const PointsType *type, int64 from, int64 to)
{
	if (report == NULL)
		return;
	appendStringInfo(report, "%s{\"points_type\": ", report->data[report->len - 1] == '[' ? "" : ", ");
	escape_json(report, type->name);
	appendStringInfo(report, ", \"from\": " INT64_FORMAT ", \"to\": " INT64_FORMAT ", ", from, to);
}

static void
ForwardLots(int64 member_id, int64 root, const PointsType *type, TimestampTz at, const MergeAct *act,
			StringInfo report)
{
	/* what is its own stays, where it is merged into nobody */
	static CrmQuery query = {
		"SELECT " LOT_COLUMNS " FROM crm_member.points_lot WHERE member_id = $1 AND points_type = $2 "
		"AND open AND (owner_member IS NOT NULL OR $3)",
		3, {INT8OID, TEXTOID, BOOLOID}};
	Datum		values[3];
	MovedLot   *lots;
	Account		own;
	int64		owner = 0;
	int64		to = 0;
	uint64		found;
	int			n;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = BoolGetDatum(root != member_id);
	found = RunQuery(&query, values, NULL, false, 0);
	lots = ReadLots(found, type);
	for (uint64 i = 0; i < found; i++)
	{
		/* lots of one owner mostly lie together */
		if (lots[i].owner != owner)
		{
			owner = lots[i].owner;
			to = owner == member_id ? root : RootOf(owner);
			if (to == 0)
				to = owner;
		}
		lots[i].to = to;
	}
	qsort(lots, found, sizeof(MovedLot), CompareTargets);
	for (uint64 start = 0; start < found; start += n)
	{
		TimestampTz horizon;
		Account		target;
		int			moved = 0;
		int64		total;

		CHECK_FOR_INTERRUPTS();
		for (n = 0; start + n < found && lots[start + n].to == lots[start].to; n++)
			;
		to = lots[start].to;
		if (to == member_id)
			continue;
		target = EnsureAccount(to, type);
		if (!LockAccount(member_id, type, &own))
			elog(ERROR, "points account vanished");
		/* what has expired, or is booked so at either end, stays where its expiry is booked */
		horizon = Max(GetCurrentTransactionStartTimestamp(), Max(own.expired_to, target.expired_to));
		for (int i = 0; i < n; i++)
		{
			if (lots[start + i].expires_at > horizon)
				lots[start + moved++] = lots[start + i];
		}
		if (moved == 0)
			continue;
		total = MoveLots(member_id, to, type, &lots[start], moved, true, at, act);
		AppendMove(report, type, member_id, to);
		if (report != NULL)
			appendStringInfo(report, "\"lots\": %d, \"points\": %s}", moved, PointsText(total, type));
	}
}

static void
ForwardDebt(int64 member_id, int64 root, const PointsType *type, TimestampTz at, const MergeAct *act,
			StringInfo report)
{
	static CrmQuery query = {
		"SELECT d.owner, d.points, k.root FROM crm_member.merged_debt d "
		"CROSS JOIN LATERAL (SELECT root FROM crm_member.member_kin k WHERE k.member_id = d.owner OFFSET 0) k "
		"WHERE d.member_id = $1 AND d.points_type = $2 ORDER BY d.owner",
		2, {INT8OID, TEXTOID}};
	static CrmQuery correct = {
		"UPDATE crm_member.merged_debt SET points = $4 "
		"WHERE member_id = $1 AND points_type = $2 AND owner = $3",
		4, {INT8OID, TEXTOID, INT8OID, NUMERICOID}};
	static CrmQuery forget = {
		"DELETE FROM crm_member.merged_debt WHERE member_id = $1 AND points_type = $2 AND owner = $3",
		3, {INT8OID, TEXTOID, INT8OID}};
	SPITupleTable *table;
	Account		account;
	Datum		values[4];
	uint64		found;
	int64		taken_over = 0;

	if (!LockAccount(member_id, type, &account))
		return;
	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	found = RunQuery(&query, values, NULL, false, 0);
	table = SPI_tuptable;
	/* what was paid since was paid for its own first, then for the others in the order they have here */
	for (uint64 row = 0; row < found; row++)
	{
		bool		isnull;
		int64		owner;
		int64		noted;
		int64		points;
		int64		to;

		SPI_tuptable = table;
		owner = DatumGetInt64(QueryColumn(row, 1, &isnull));
		noted = PointsColumn(row, 2, type);
		to = DatumGetInt64(QueryColumn(row, 3, &isnull));
		points = Min(noted, account.debt - taken_over);
		values[2] = Int64GetDatum(owner);
		if (points <= 0)
		{
			RunQuery(&forget, values, NULL, false, 0);
			continue;
		}
		if (points < noted)
		{
			values[3] = PointsDatum(points, type);
			RunQuery(&correct, values, NULL, false, 0);
		}
		taken_over = AddMinor(taken_over, points);
		if (to == member_id)
			continue;
		EnsureAccount(to, type);
		MoveDebt(member_id, to, type, points, owner, at, act);
		AppendMove(report, type, member_id, to);
		if (report != NULL)
			appendStringInfo(report, "\"debt\": %s}", PointsText(points, type));
	}
	if (account.debt > taken_over && root != member_id)
	{
		MoveDebt(member_id, root, type, account.debt - taken_over, member_id, at, act);
		AppendMove(report, type, member_id, root);
		if (report != NULL)
			appendStringInfo(report, "\"debt\": %s}", PointsText(account.debt - taken_over, type));
	}
}

static void
ForwardAccount(int64 member_id, const PointsType *type, TimestampTz at, const MergeAct *act,
			   StringInfo report)
{
	int64		root = LockRootAccount(member_id, type);

	if (root == 0)
		return;
	ForwardLots(member_id, root, type, at, act, report);
	ForwardDebt(member_id, root, type, at, act, report);
}

int64
ForwardPoints(int64 member_id, const PointsType *type, TimestampTz at)
{
	MergeAct	act = {NULL, NULL};
	Account		account;

	ForwardAccount(member_id, type, at, &act, NULL);
	if (!LockAccount(CanonicalMember(member_id, false), type, &account))
		elog(ERROR, "points account vanished");
	return account.balance;
}

/* First what was granted as that lot, then in the order points are spent. */
void
FetchPoints(int64 member_id, const PointsType *type, int64 lot_no, int64 points, TimestampTz at)
{
	static CrmQuery query = {
		"SELECT " LOT_COLUMNS " FROM crm_member.points_lot "
		"WHERE member_id = $1 AND points_type = $2 AND open AND expires_at > $3 "
		"ORDER BY (birth_member, birth_lot) IS NOT DISTINCT FROM ($4, $5) DESC, "
		"available_at > now(), expires_at, earned_at, lot_no",
		5, {INT8OID, TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID}};
	MergeAct	act = {NULL, NULL};
	int64		root = LockRootAccount(member_id, type);
	Account		source;
	Account		own;
	MovedLot   *lots;
	Datum		values[5];
	int			n;

	if (root == 0 || root == member_id || !LockAccount(root, type, &source) ||
		!LockAccount(member_id, type, &own))
		return;
	values[0] = Int64GetDatum(root);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = TimestampTzGetDatum(Max(GetCurrentTransactionStartTimestamp(),
										Max(source.expired_to, own.expired_to)));
	values[3] = Int64GetDatum(member_id);
	values[4] = Int64GetDatum(lot_no);
	n = RunQuery(&query, values, NULL, false, 0);
	lots = ReadLots(n, type);
	for (int i = 0; i < n; i++)
	{
		if (points == 0)
			n = i;
		else
		{
			lots[i].points = Min(lots[i].points, points);
			points -= lots[i].points;
		}
	}
	if (n > 0)
		MoveLots(root, member_id, type, lots, n, false, at, &act);
}

static int
CompareTypes(const void *a, const void *b)
{
	return strcmp((*(const PointsType *const *) a)->name, (*(const PointsType *const *) b)->name);
}

void
LockMergedAccounts(const Kin *kin)
{
	static const BatchColumn columns[] = {
		{"member_id", INT8OID}, {"points_type", TEXTOID}, {"closed", BOOLOID}};
	static CrmQuery query = {
		"INSERT INTO crm_member.points_account AS a (member_id, points_type, closed) "
		"SELECT member_id, points_type, closed FROM batch "
		"ON CONFLICT (member_id, points_type) DO UPDATE SET closed = excluded.closed "
		"WHERE a.closed <> excluded.closed", 0};
	RowBatch   *batch = BeginBatch(columns, lengthof(columns));
	const RuleSet *set = GetRuleSet();
	const PointsType **types = palloc(sizeof(PointsType *) * Max(set->ntypes, 1));

	for (int t = 0; t < set->ntypes; t++)
		types[t] = &set->types[t];
	qsort(types, set->ntypes, sizeof(PointsType *), CompareTypes);
	/* aliases before roots: who forwards from an alias waits for its root too */
	for (int roots = 0; roots < 2; roots++)
	{
		for (int i = 0; i < kin->n; i++)
		{
			const KinMember *member = &kin->members[i];

			if (!member->touched || (member->root == member->member_id) != roots)
				continue;
			for (int t = 0; t < set->ntypes; t++)
			{
				Datum		values[3];
				bool		nulls[3] = {false};

				values[0] = Int64GetDatum(member->member_id);
				values[1] = CStringGetTextDatum(types[t]->name);
				values[2] = BoolGetDatum(!roots);
				AddRow(batch, values, nulls);
			}
		}
	}
	RunBatch(&query, batch);
	EndBatch(batch);
}

/* A survivor's next spending looks at holds of the others that have timed out. */
static void
WatchHolds(const int64 *members, int n)
{
	static CrmQuery query = {
		"UPDATE crm_member.points_account a SET hold_expires_at = h.expires_at "
		"FROM (SELECT k.root, h.points_type, min(h.expires_at) AS expires_at FROM unnest($1) AS m (member_id) "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.points_hold h WHERE h.member_id = m.member_id "
		"AND h.held > 0 OFFSET 0) h "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.member_kin k WHERE k.member_id = m.member_id OFFSET 0) k "
		"GROUP BY 1, 2 OFFSET 0) h "
		"WHERE a.member_id = h.root AND a.points_type = h.points_type AND a.hold_expires_at > h.expires_at",
		1, {INT8ARRAYOID}};
	Datum		value = IdArrayDatum(members, n);

	RunQuery(&query, &value, NULL, false, 0);
}

void
MoveMergedPoints(const Kin *kin, const MergeAct *act, StringInfo report)
{
	static CrmQuery query = {
		"SELECT a.member_id, a.points_type FROM unnest($1) AS m (member_id) "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.points_account a WHERE a.member_id = m.member_id OFFSET 0) a "
		"WHERE a.entry_no > 0 ORDER BY 1, 2",
		1, {INT8ARRAYOID}};
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	int64	   *members = palloc(sizeof(int64) * kin->n);
	SPITupleTable *table;
	Datum		value;
	uint64		found;
	int			n = 0;

	for (int i = 0; i < kin->n; i++)
	{
		if (kin->members[i].touched)
			members[n++] = kin->members[i].member_id;
	}
	value = IdArrayDatum(members, n);
	found = RunQuery(&query, &value, NULL, false, 0);
	table = SPI_tuptable;
	appendStringInfoString(report, "\"points\": [");
	for (uint64 row = 0; row < found; row++)
	{
		bool		isnull;

		SPI_tuptable = table;
		ForwardAccount(DatumGetInt64(QueryColumn(row, 1, &isnull)),
					   FindPointsType(GetRuleSet(), QueryText(row, 2)), now, act, report);
	}
	appendStringInfoChar(report, ']');
	WatchHolds(members, n);
}

void
LeaveDebt(int64 member_id, int64 survivor, const PointsType *type, const MergeAct *act)
{
	Account		account;
	int64		owed;

	if (!LockAccount(member_id, type, &account))
		return;
	owed = Min(account.debt, -account.balance);
	if (owed > 0)
		MoveDebt(member_id, survivor, type, owed, survivor, GetCurrentTransactionStartTimestamp(), act);
}
