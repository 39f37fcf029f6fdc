/*
 * ledger.c: posting to the points ledger, and its balances.
 *
 * Every change goes one way: a relative UPDATE of the account, which locks it,
 * decides and numbers the entry in one statement; then the entry with the
 * balance after it; then the lots.  Whoever comes second waits at the account,
 * and all that follows is read in statements begun after that wait.
 *
 * An act that carries a reference writes its entry with ON CONFLICT DO NOTHING.
 * Where the reference is there already, the relative update is taken back under
 * the lock still held, and the first result is returned.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "access/xact.h"
#include "utils/builtins.h"

/* How many lots a spend reads at first; most need one or two. */
#define LOTS_AT_FIRST 8

typedef struct LotUse
{
	int			n;
	int64	   *lot_nos;
	int64	   *points;
} LotUse;

Datum
PointsDatum(int64 points, const PointsType *type)
{
	return NumericGetDatum(MinorToNumeric(points, type->decimals));
}

int64
PointsColumn(uint64 row, int column, const PointsType *type)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);

	return isnull ? 0 : ExactMinor(DatumGetNumeric(value), type->decimals, "points");
}

Datum
NumericArray(const int64 *points, int n, const PointsType *type)
{
	Datum	   *elements = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
		elements[i] = PointsDatum(points[i], type);
	return PointerGetDatum(construct_array(elements, n, NUMERICOID, -1, false, TYPALIGN_INT));
}

Account
AddToAccount(int64 member_id, const PointsType *type, int64 points, int n,
			 TimestampTz available_at, TimestampTz expires_at)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.points_account AS a "
		"(member_id, points_type, balance, entry_no, settles_at, expires_at) "
		"VALUES ($1, $2, $3, $4, $5, $6) "
		"ON CONFLICT (member_id, points_type) DO UPDATE SET "
		"balance = a.balance + excluded.balance, "
		"entry_no = a.entry_no + excluded.entry_no, "
		"settles_at = greatest(a.settles_at, excluded.settles_at), "
		"expires_at = least(a.expires_at, excluded.expires_at) "
		"RETURNING balance, entry_no",
		6, {INT8OID, TEXTOID, NUMERICOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	Datum		values[6];
	Account		account;
	bool		isnull;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = PointsDatum(points, type);
	values[3] = Int64GetDatum(n);
	values[4] = TimestampTzGetDatum(available_at);
	values[5] = TimestampTzGetDatum(expires_at);
	if (RunQuery(&query, values, NULL, false, 0) != 1)
		elog(ERROR, "points account was not written");
	account.balance = PointsColumn(0, 1, type);
	account.entry_no = DatumGetInt64(QueryColumn(0, 2, &isnull));
	return account;
}

void
InsertLot(int64 member_id, const PointsType *type, int64 lot_no, int64 points,
		  TimestampTz earned_at, TimestampTz available_at, TimestampTz expires_at)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.points_lot "
		"(member_id, points_type, lot_no, points, remaining, earned_at, available_at, expires_at) "
		"VALUES ($1, $2, $3, $4, $4, $5, $6, $7)",
		7, {INT8OID, TEXTOID, INT8OID, NUMERICOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	Datum		values[7];

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = Int64GetDatum(lot_no);
	values[3] = PointsDatum(points, type);
	values[4] = TimestampTzGetDatum(earned_at);
	values[5] = TimestampTzGetDatum(available_at);
	values[6] = TimestampTzGetDatum(expires_at);
	RunQuery(&query, values, NULL, false, 0);
}

/* The entry of an act; false where its reference is there already. */
static bool
InsertActEntry(const Act *act, int64 points, Account account, const LotUse *use)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.points_entry "
		"(member_id, points_type, entry_no, kind, points, balance, at, ref, reason, actor, "
		"lot_nos, lot_points) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) "
		"ON CONFLICT (member_id, ref) WHERE ref IS NOT NULL DO NOTHING",
		12, {INT8OID, TEXTOID, INT8OID, TEXTOID, NUMERICOID, NUMERICOID, TIMESTAMPTZOID, TEXTOID,
			TEXTOID, TEXTOID, INT8ARRAYOID, NUMERICARRAYOID}};
	Datum		values[12];
	char		nulls[12];
	bool		isnull;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(act->type->name);
	values[2] = Int64GetDatum(account.entry_no);
	values[3] = CStringGetTextDatum(act->kind);
	values[4] = PointsDatum(points, act->type);
	values[5] = PointsDatum(account.balance, act->type);
	values[6] = TimestampTzGetDatum(act->at);
	values[7] = CStringGetTextDatum(act->ref);
	values[8] = TextOrNull(act->reason, &isnull);
	nulls[8] = isnull ? 'n' : ' ';
	values[9] = TextOrNull(act->actor, &isnull);
	nulls[9] = isnull ? 'n' : ' ';
	if (use == NULL)
		nulls[10] = nulls[11] = 'n';
	else
	{
		Datum	   *lots = palloc(sizeof(Datum) * use->n);

		for (int i = 0; i < use->n; i++)
			lots[i] = Int64GetDatum(use->lot_nos[i]);
		values[10] = PointerGetDatum(construct_array(lots, use->n, INT8OID, 8, FLOAT8PASSBYVAL,
													 TYPALIGN_DOUBLE));
		values[11] = NumericArray(use->points, use->n, act->type);
	}
	return RunQuery(&query, values, nulls, false, 0) == 1;
}

/* The first result of an act done before under its reference; false: none was. */
static bool
FindAct(const Act *act, int64 points, int64 *balance)
{
	static CrmQuery query = {
		"SELECT kind, points_type, points, balance FROM crm_member.points_entry "
		"WHERE member_id = $1 AND ref = $2",
		2, {INT8OID, TEXTOID}};
	Datum		values[2];
	bool		isnull;

	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(act->ref);
	if (RunQuery(&query, values, NULL, false, 1) == 0)
		return false;
	if (strcmp(TextDatumGetCString(QueryColumn(0, 1, &isnull)), act->kind) != 0 ||
		strcmp(TextDatumGetCString(QueryColumn(0, 2, &isnull)), act->type->name) != 0 ||
		PointsColumn(0, 3, act->type) != points)
		ereport(ERROR, (errcode(ERRCODE_CRM_REFERENCE_REUSED),
						errmsg("reference \"%s\" was used for something else", act->ref),
						errdetail("Member " INT64_FORMAT " has an entry with this reference, but of "
								  "another kind, points type or amount.", act->member_id),
						errhint("A retry must send what the first call sent; another act needs "
								"another reference.")));
	*balance = PointsColumn(0, 4, act->type);
	return true;
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

int64
PostAward(const Act *act)
{
	int64		balance;
	Account		account;

	SPI_connect();
	if (!FindAct(act, act->points, &balance))
	{
		account = AddToAccount(act->member_id, act->type, act->points, 1, act->available_at,
							   act->expires_at);
		balance = account.balance;
		if (InsertActEntry(act, act->points, account, NULL))
			InsertLot(act->member_id, act->type, account.entry_no, act->points, act->at,
					  act->available_at, act->expires_at);
		else
			balance = FirstResult(act, act->points);
	}
	SPI_finish();
	return balance;
}

static void
Insufficient(const Act *act)
{
	int64		available = SpendableBalance(act->member_id, act->type, act->at, DT_NOEND, false);

	ereport(ERROR, (errcode(ERRCODE_CRM_INSUFFICIENT_POINTS),
					errmsg("not enough points"),
					errdetail("The member can spend %s of points type \"%s\", not %s.",
							  DatumGetCString(DirectFunctionCall1(numeric_out,
																  PointsDatum(available, act->type))),
							  act->type->name,
							  DatumGetCString(DirectFunctionCall1(numeric_out,
																  PointsDatum(act->points, act->type))))));
}

/* Take from the account, if it has that much; false: it has not. */
static bool
TakeFromAccount(const Act *act, Account *account)
{
	static CrmQuery query = {
		"UPDATE crm_member.points_account SET balance = balance - $3, "
		"entry_no = entry_no + 1 "
		"WHERE member_id = $1 AND points_type = $2 "
		"AND balance >= $3 RETURNING balance, entry_no",
		3, {INT8OID, TEXTOID, NUMERICOID}};
	Datum		values[3];
	bool		isnull;

	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(act->type->name);
	values[2] = PointsDatum(act->points, act->type);
	if (RunQuery(&query, values, NULL, false, 0) == 0)
		return false;
	account->balance = PointsColumn(0, 1, act->type);
	account->entry_no = DatumGetInt64(QueryColumn(0, 2, &isnull));
	return true;
}

/* Which lots a spend draws on, under the account's lock; false: they do not suffice. */
static bool
ChooseLots(const Act *act, LotUse *use)
{
	static CrmQuery query = {
		"SELECT lot_no, remaining FROM crm_member.points_lot "
		"WHERE member_id = $1 AND points_type = $2 "
		"AND open AND available_at <= $3 AND expires_at > $3 "
		"ORDER BY expires_at, earned_at, lot_no",
		3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};
	Datum		values[3];

	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(act->type->name);
	values[2] = TimestampTzGetDatum(act->at);

	for (long limit = LOTS_AT_FIRST;; limit *= 8)
	{
		int64		left = act->points;
		uint64		found = RunQuery(&query, values, NULL, false, limit);

		use->n = 0;
		use->lot_nos = palloc(sizeof(int64) * Max(found, 1));
		use->points = palloc(sizeof(int64) * Max(found, 1));
		for (uint64 i = 0; i < found && left > 0; i++)
		{
			bool		isnull;
			int64		take = Min(PointsColumn(i, 2, act->type), left);

			use->lot_nos[use->n] = DatumGetInt64(QueryColumn(i, 1, &isnull));
			use->points[use->n++] = take;
			left -= take;
		}
		if (left == 0)
			return true;
		if (found < limit)
			return false;
	}
}

static void
DrawOnLots(const Act *act, const LotUse *use)
{
	static CrmQuery query = {
		"UPDATE crm_member.points_lot SET remaining = remaining - $4, "
		"open = remaining > $4 "
		"WHERE member_id = $1 AND points_type = $2 "
		"AND lot_no = $3",
		4, {INT8OID, TEXTOID, INT8OID, NUMERICOID}};
	Datum		values[4];

	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(act->type->name);
	for (int i = 0; i < use->n; i++)
	{
		values[2] = Int64GetDatum(use->lot_nos[i]);
		values[3] = PointsDatum(use->points[i], act->type);
		if (RunQuery(&query, values, NULL, false, 0) != 1)
			elog(ERROR, "points lot " INT64_FORMAT " vanished", use->lot_nos[i]);
	}
}

int64
PostSpend(const Act *act)
{
	int64		balance;
	Account		account;
	LotUse		use;

	SPI_connect();
	if (!FindAct(act, -act->points, &balance))
	{
		if (!TakeFromAccount(act, &account) || !ChooseLots(act, &use))
			Insufficient(act);
		balance = account.balance;
		if (InsertActEntry(act, -act->points, account, &use))
			DrawOnLots(act, &use);
		else
			balance = FirstResult(act, -act->points);
	}
	SPI_finish();
	return balance;
}

int64
SpendableBalance(int64 member_id, const PointsType *type, TimestampTz as_of, TimestampTz known_at,
				 bool read_only)
{
	/* one probe, where every open lot can be spent and the question is about now */
	static CrmQuery stored = {
		"SELECT balance FROM crm_member.points_account "
		"WHERE member_id = $1 AND points_type = $2 "
		"AND settles_at <= $3 AND expires_at > $3",
		3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};
	static CrmQuery replayed = {
		"SELECT sum(l.points) FROM "
		"(SELECT l.points FROM crm_member.points_lot l JOIN crm_member.points_entry e "
		"ON e.member_id = l.member_id "
		"AND e.points_type = l.points_type "
		"AND e.entry_no = l.lot_no "
		"WHERE l.member_id = $1 AND l.points_type = $2 "
		"AND l.available_at <= $3 AND l.expires_at > $3 "
		"AND e.at <= $3 AND e.booked_at <= $4 "
		"UNION ALL "
		"SELECT -u.points FROM crm_member.points_entry e, "
		"LATERAL unnest(e.lot_nos, e.lot_points) AS u (lot_no, points) "
		"JOIN crm_member.points_lot l ON l.member_id = $1 "
		"AND l.points_type = $2 AND l.lot_no = u.lot_no "
		"WHERE e.member_id = $1 AND e.points_type = $2 "
		"AND l.available_at <= $3 AND l.expires_at > $3 "
		"AND e.at <= $3 AND e.booked_at <= $4) l",
		4, {INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	Datum		values[4];
	int64		balance = 0;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = TimestampTzGetDatum(as_of);
	values[3] = TimestampTzGetDatum(known_at);
	SPI_connect();
	if ((as_of >= now && known_at >= now && RunQuery(&stored, values, NULL, read_only, 1) == 1) ||
		RunQuery(&replayed, values, NULL, read_only, 1) == 1)
		balance = PointsColumn(0, 1, type);
	SPI_finish();
	return balance;
}
