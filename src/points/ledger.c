/*
 * ledger.c: what posts to the points ledger.
 *
 * Every change goes one way: a relative UPDATE of the account, which locks it,
 * decides and numbers the entry in one statement; then the entry with the
 * balance after it; then the lots.  Whoever comes second waits at the account,
 * and all that follows is read in statements begun after that wait.  Rows are
 * changed without a statement (table.h) where nobody else is at them, each read
 * as a statement begun then would read it; else the statement decides.
 *
 * What an entry granted in a lot of its own, less what it drew on lots, is the
 * change of the balance.  Two things keep that true where a lot alone does not
 * tell: the debt, which stands among the lots drawn on as number 0, and the
 * watermark expired_to, up to which the remains of lots are booked as expired in
 * one entry an account, without touching them.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"
#include "table.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* So many draws are looked through for one on the same lot. */
#define DRAWS_AT_ONCE 64

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

/* ArrayOf() for values of variable length that are neither compressed nor elsewhere. */
Datum
PlainArray(const Datum *elements, int n, Oid type)
{
	Size		size = ARR_OVERHEAD_NONULLS(1);
	ArrayType  *array;
	char	   *at;

	if (n == 0)
		return PointerGetDatum(construct_empty_array(type));
	for (int i = 0; i < n; i++)
		size += INTALIGN(VARSIZE(DatumGetPointer(elements[i])));
	array = palloc0(size);
	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->elemtype = type;
	ARR_DIMS(array)[0] = n;
	ARR_LBOUND(array)[0] = 1;
	at = ARR_DATA_PTR(array);
	for (int i = 0; i < n; i++)
	{
		Size		length = VARSIZE(DatumGetPointer(elements[i]));

		memcpy(at, DatumGetPointer(elements[i]), length);
		at += INTALIGN(length);
	}
	return PointerGetDatum(array);
}

Datum
NumericArray(const int64 *points, int n, const PointsType *type)
{
	Datum	   *elements = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
		elements[i] = PointsDatum(points[i], type);
	return PlainArray(elements, n, NUMERICOID);
}

char *
PointsText(int64 points, const PointsType *type)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, PointsDatum(points, type)));
}

CrmTable	account_table = {
	"points_account", NULL, NULL, NULL, "points_type", ACCOUNT_COLUMNS, {
		{"member_id", INT8OID}, {"points_type", TEXTOID}, {"balance", NUMERICOID},
		{"entry_no", INT8OID}, {"settles_at", TIMESTAMPTZOID}, {"expires_at", TIMESTAMPTZOID},
		{"debt", NUMERICOID}, {"expired_to", TIMESTAMPTZOID},
		{"hold_expires_at", TIMESTAMPTZOID}, {"closed", BOOLOID}}};

static TimestampTz
TimeOfRow(TableRows *rows, int column)
{
	bool		isnull;

	return DatumGetTimestampTz(RowColumn(rows, column, &isnull));
}

static int64
PointsOfRow(TableRows *rows, int column, const PointsType *type)
{
	bool		isnull;

	return StoredMinor(RowColumn(rows, column, &isnull), type->decimals, "points");
}

bool
ProbeBalance(int64 member_id, const PointsType *type, TimestampTz at, bool read_only,
			 int64 *balance)
{
	TableRows  *rows = read_only ? PeekRows(&account_table) : OpenRows(&account_table, ACL_SELECT);
	Datum		key[2];
	bool		tells;
	bool		isnull;

	if (rows == NULL)
		return false;
	key[0] = Int64GetDatum(member_id);
	key[1] = CStringGetTextDatum(type->name);
	tells = FindRow(rows, key) && !DatumGetBool(RowColumn(rows, ACCOUNT_CLOSED, &isnull)) &&
		TimeOfRow(rows, ACCOUNT_HOLD_EXPIRES_AT) > at;
	if (tells && TimeOfRow(rows, ACCOUNT_SETTLES_AT) > at)
		*balance = AddMinor(SpendableLots(rows->snapshot, member_id, type, at),
							-PointsOfRow(rows, ACCOUNT_DEBT, type));
	else if (tells)
	{
		/* nothing is pending: all that is not booked as expired, but for what expired since */
		*balance = PointsOfRow(rows, ACCOUNT_BALANCE, type);
		if (TimeOfRow(rows, ACCOUNT_EXPIRES_AT) <= at)
			*balance = AddMinor(*balance, -ExpiredLots(rows->snapshot, member_id, type,
													   TimeOfRow(rows, ACCOUNT_EXPIRED_TO), at));
	}
	CloseRows(rows);
	return tells;
}

static bool
Exceeds(Datum a, Datum b)
{
	return DatumGetBool(DirectFunctionCall2(numeric_gt, a, b));
}

bool
TakeFromRow(int64 member_id, const PointsType *type, int64 points, TimestampTz at, Account *account)
{
	static const int changed[] = {ACCOUNT_BALANCE, ACCOUNT_ENTRY_NO};
	TableRows  *rows = OpenRows(&account_table, ACL_SELECT | ACL_UPDATE);
	Datum		key[2];
	Datum		values[2];
	Datum		balance;
	Datum		taken;
	bool		isnull;
	bool		done = false;

	if (rows == NULL)
		return false;
	key[0] = Int64GetDatum(member_id);
	key[1] = CStringGetTextDatum(type->name);
	taken = PointsDatum(points, type);
	if (FindRow(rows, key) && TimeOfRow(rows, ACCOUNT_HOLD_EXPIRES_AT) > at &&
		(balance = RowColumn(rows, ACCOUNT_BALANCE, &isnull), !Exceeds(taken, balance)))
	{
		account->entry_no = DatumGetInt64(RowColumn(rows, ACCOUNT_ENTRY_NO, &isnull)) + 1;
		account->expired_to = TimeOfRow(rows, ACCOUNT_EXPIRED_TO);
		account->debt = PointsOfRow(rows, ACCOUNT_DEBT, type);
		values[0] = DirectFunctionCall2(numeric_sub, balance, taken);
		values[1] = Int64GetDatum(account->entry_no);
		account->balance = ExactMinor(DatumGetNumeric(values[0]), type->decimals, "points");
		done = ChangeRow(rows, changed, lengthof(changed), values, NULL);
	}
	CloseRows(rows);
	return done;
}

static void
ReadAccount(const PointsType *type, Account *account)
{
	bool		isnull;

	account->balance = PointsColumn(0, 1, type);
	account->entry_no = DatumGetInt64(QueryColumn(0, 2, &isnull));
	account->debt = PointsColumn(0, 3, type);
	account->expired_to = DatumGetTimestampTz(QueryColumn(0, 4, &isnull));
	account->hold_expires_at = DatumGetTimestampTz(QueryColumn(0, 5, &isnull));
	account->closed = DatumGetBool(QueryColumn(0, 6, &isnull));
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
		"RETURNING balance, entry_no, debt, expired_to, hold_expires_at, closed",
		6, {INT8OID, TEXTOID, NUMERICOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	Datum		values[6];
	Account		account;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = PointsDatum(points, type);
	values[3] = Int64GetDatum(n);
	values[4] = TimestampTzGetDatum(available_at);
	values[5] = TimestampTzGetDatum(expires_at);
	if (RunQuery(&query, values, NULL, false, 0) != 1)
		elog(ERROR, "points account was not written");
	ReadAccount(type, &account);
	return account;
}

bool
LockAccount(int64 member_id, const PointsType *type, Account *account)
{
	static CrmQuery query = {
		"SELECT balance, entry_no, debt, expired_to, hold_expires_at, closed "
		"FROM crm_member.points_account "
		"WHERE member_id = $1 AND points_type = $2 FOR NO KEY UPDATE",
		2, {INT8OID, TEXTOID}};
	Datum		values[2];

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	if (RunQuery(&query, values, NULL, false, 1) == 0)
		return false;
	ReadAccount(type, account);
	return true;
}

static int
CompareTypes(const ListCell *a, const ListCell *b)
{
	return strcmp(((const PointsType *) lfirst(a))->name, ((const PointsType *) lfirst(b))->name);
}

void
LockAccounts(int64 member_id, List *types)
{
	Account		account;
	ListCell   *cell;

	list_sort(types, CompareTypes);
	foreach(cell, types)
	{
		if (!LockAccount(member_id, lfirst(cell), &account))
			AddToAccount(member_id, lfirst(cell), 0, 0, DT_NOBEGIN, DT_NOEND);
	}
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

static void
SetNumber(Datum *values, bool *nulls, int i, int64 number)
{
	nulls[i] = number == 0;
	values[i] = Int64GetDatum(number);
}

#define ENTRY_COLUMNS 19

/* false: the reference is there already */
static bool
InsertEntryRow(Datum *values, bool *nulls)
{
	static CrmTable table = {
		"points_entry", .claimed_by = "points_entry_ref", .ncolumns = ENTRY_COLUMNS, .columns = {
			{"member_id", INT8OID}, {"points_type", TEXTOID}, {"entry_no", INT8OID},
			{"kind", TEXTOID}, {"points", NUMERICOID}, {"balance", NUMERICOID},
			{"at", TIMESTAMPTZOID}, {"ref", TEXTOID}, {"reason", TEXTOID}, {"actor", TEXTOID},
			{"lot_nos", INT8ARRAYOID}, {"lot_points", NUMERICARRAYOID}, {"sale_id", INT8OID},
			{"of_entry", INT8OID}, {"other_member", INT8OID}, {"shortfall", NUMERICOID},
			{"line_nos", INT4ARRAYOID}, {"line_points", NUMERICARRAYOID}, {"cleared", NUMERICOID}}};
	static CrmQuery query = {
		"INSERT INTO crm_member.points_entry "
		"(member_id, points_type, entry_no, kind, points, balance, at, ref, reason, actor, "
		"lot_nos, lot_points, sale_id, of_entry, other_member, shortfall, line_nos, line_points, cleared) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) "
		"ON CONFLICT (member_id, ref) WHERE ref IS NOT NULL DO NOTHING",
		ENTRY_COLUMNS, {INT8OID, TEXTOID, INT8OID, TEXTOID, NUMERICOID, NUMERICOID, TIMESTAMPTZOID, TEXTOID,
			TEXTOID, TEXTOID, INT8ARRAYOID, NUMERICARRAYOID, INT8OID, INT8OID, INT8OID, NUMERICOID,
			INT4ARRAYOID, NUMERICARRAYOID, NUMERICOID}};
	TableRows  *rows = OpenRows(&table, ACL_SELECT | ACL_INSERT);
	char		flags[ENTRY_COLUMNS];
	bool		inserted = false;

	if (rows != NULL)
	{
		rows->hopeful = true;
		inserted = ClaimRow(rows, values, nulls);
		CloseRows(rows);
	}
	if (inserted)
		return true;
	for (int i = 0; i < ENTRY_COLUMNS; i++)
		flags[i] = nulls[i] ? 'n' : ' ';
	return RunQuery(&query, values, flags, false, 0) == 1;
}

bool
InsertEntry(int64 member_id, const PointsType *type, const Entry *entry, int64 entry_no,
			int64 balance)
{
	Datum		values[ENTRY_COLUMNS];
	bool		nulls[ENTRY_COLUMNS] = {false};
	Datum	   *elements;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = Int64GetDatum(entry_no);
	values[3] = CStringGetTextDatum(entry->kind);
	values[4] = PointsDatum(entry->points, type);
	values[5] = PointsDatum(balance, type);
	values[6] = TimestampTzGetDatum(entry->at);
	values[7] = TextOrNull(entry->ref, &nulls[7]);
	values[8] = TextOrNull(entry->reason, &nulls[8]);
	values[9] = TextOrNull(entry->actor, &nulls[9]);
	nulls[10] = nulls[11] = entry->use == NULL || entry->use->n == 0;
	if (!nulls[10])
	{
		values[10] = IdArray(entry->use->lot_nos, entry->use->n);
		values[11] = NumericArray(entry->use->points, entry->use->n, type);
	}
	SetNumber(values, nulls, 12, entry->sale_id);
	SetNumber(values, nulls, 13, entry->of_entry);
	SetNumber(values, nulls, 14, entry->other_member);
	nulls[15] = entry->shortfall == 0;
	values[15] = PointsDatum(entry->shortfall, type);
	nulls[16] = nulls[17] = entry->nlines == 0;
	if (!nulls[16])
	{
		elements = palloc(sizeof(Datum) * entry->nlines);
		for (int i = 0; i < entry->nlines; i++)
			elements[i] = Int32GetDatum(entry->line_nos[i]);
		values[16] = ArrayOf(elements, entry->nlines, INT4OID);
		values[17] = NumericArray(entry->line_points, entry->nlines, type);
	}
	nulls[18] = entry->cleared == 0;
	values[18] = PointsDatum(entry->cleared, type);
	return InsertEntryRow(values, nulls);
}

/* remaining and open are changed. */
static CrmTable drawn_table = {
	"points_lot", .ncolumns = 5, .columns = {
		{"member_id", INT8OID}, {"points_type", TEXTOID}, {"lot_no", INT8OID},
		{"remaining", NUMERICOID}, {"open", BOOLOID}}};

/* Where the lot was seen it still is: the account is locked. */
static bool
FindLot(TableRows *rows, const Datum *key, ItemPointer place)
{
	bool		isnull;

	return place != NULL && ItemPointerIsValid(place) && FetchRow(rows, place) &&
		DatumGetInt64(RowColumn(rows, 2, &isnull)) == DatumGetInt64(key[2]) ? true
		: FindRow(rows, key);
}

static bool
DrawOnRow(TableRows *rows, const Datum *key, ItemPointer place, Datum points)
{
	static const int changed[] = {3, 4};
	Datum		values[2];
	Datum		remaining;
	bool		isnull;

	if (!FindLot(rows, key, place))
		return false;
	remaining = RowColumn(rows, changed[0], &isnull);
	values[0] = DirectFunctionCall2(numeric_sub, remaining, points);
	values[1] = BoolGetDatum(Exceeds(remaining, points));
	return ChangeRow(rows, changed, lengthof(changed), values, NULL);
}

/* What comes before in the use, since first, was drawn on without our seeing it. */
static bool
DrawnSince(const LotUse *use, int first, int i)
{
	for (int j = first; j < i; j++)
	{
		if (use->lot_nos[j] == use->lot_nos[i])
			return true;
	}
	return false;
}

/* Draws from the first one on, without statements; returns the next to be done. */
static int
DrawOnRows(int64 member_id, const PointsType *type, const LotUse *use, int first)
{
	TableRows  *rows = OpenRows(&drawn_table, ACL_SELECT | ACL_UPDATE);
	int			end = Min(use->n, first + DRAWS_AT_ONCE);
	Datum		key[3];
	int			i;

	if (rows == NULL)
		return first;
	key[0] = Int64GetDatum(member_id);
	key[1] = CStringGetTextDatum(type->name);
	for (i = first; i < end && !DrawnSince(use, first, i); i++)
	{
		key[2] = Int64GetDatum(use->lot_nos[i]);
		if (use->lot_nos[i] != DEBT_LOT &&
			!DrawOnRow(rows, key, use->places == NULL ? NULL : &use->places[i],
					   PointsDatum(use->points[i], type)))
			break;
	}
	CloseRows(rows);
	return i;
}

void
DrawOnLots(int64 member_id, const PointsType *type, const LotUse *use)
{
	static CrmQuery query = {
		"UPDATE crm_member.points_lot SET remaining = remaining - $4, "
		"open = remaining > $4 "
		"WHERE member_id = $1 AND points_type = $2 "
		"AND lot_no = $3",
		4, {INT8OID, TEXTOID, INT8OID, NUMERICOID}};
	Datum		values[4];

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	for (int i = 0; i < use->n; i++)
	{
		i = DrawOnRows(member_id, type, use, i);
		if (i == use->n || use->lot_nos[i] == DEBT_LOT)
			continue;
		values[2] = Int64GetDatum(use->lot_nos[i]);
		values[3] = PointsDatum(use->points[i], type);
		if (RunQuery(&query, values, NULL, false, 0) != 1)
			elog(ERROR, "points lot " INT64_FORMAT " vanished", use->lot_nos[i]);
	}
}

void
Book(int64 member_id, const PointsType *type, const Entry *entry, Account *account)
{
	static CrmQuery query = {
		"UPDATE crm_member.points_account SET balance = balance + $3, debt = debt + $4, "
		"entry_no = entry_no + 1, settles_at = greatest(settles_at, $5), "
		"expires_at = least(expires_at, $6) "
		"WHERE member_id = $1 AND points_type = $2 "
		"RETURNING balance, entry_no, debt, expired_to, hold_expires_at, closed",
		6, {INT8OID, TEXTOID, NUMERICOID, NUMERICOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	Datum		values[6];
	int64		debt = 0;

	for (int i = 0; entry->use != NULL && i < entry->use->n; i++)
	{
		if (entry->use->lot_nos[i] == DEBT_LOT)
			debt = AddMinor(debt, entry->use->points[i]);
	}
	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = PointsDatum(entry->points, type);
	values[3] = PointsDatum(debt, type);
	values[4] = TimestampTzGetDatum(entry->granted > 0 ? entry->available_at : DT_NOBEGIN);
	values[5] = TimestampTzGetDatum(Min(entry->granted > 0 ? entry->expires_at : DT_NOEND,
										entry->refills ? entry->soonest : DT_NOEND));
	if (RunQuery(&query, values, NULL, false, 0) != 1)
		elog(ERROR, "points account was not written");
	ReadAccount(type, account);
	if (!InsertEntry(member_id, type, entry, account->entry_no, account->balance))
		ReferenceReused(entry->ref);
	if (entry->use != NULL && !entry->lots_stay)
		DrawOnLots(member_id, type, entry->use);
	if (entry->granted > 0)
		InsertLot(member_id, type, account->entry_no, entry->granted, entry->earned_at,
				  entry->available_at, entry->expires_at);
}

void
BookExpired(int64 member_id, const PointsType *type, int64 points, TimestampTz at, Account *account)
{
	Entry		entry = {.kind = "expire", .points = -points, .at = at};

	if (points != 0)
		Book(member_id, type, &entry, account);
}

void
SettleCredit(int64 member_id, const PointsType *type, int64 swept, TimestampTz at)
{
	Account		account;

	if (!LockAccount(member_id, type, &account))
		elog(ERROR, "points account vanished");
	if (account.debt > 0)
	{
		LotUse		use = {0};
		Entry		entry = {.kind = "repay", .at = at, .use = &use};
		int64		paid = ChooseLots(member_id, type, &account, account.debt, at, true, &use);

		if (paid > 0)
		{
			AddUse(&use, DEBT_LOT, -paid);
			Book(member_id, type, &entry, &account);
		}
	}
	BookExpired(member_id, type, swept, at, &account);
}
