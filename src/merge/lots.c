/*
 * lots.c: lots move from one account to another.
 *
 * What moves does so by a pair of entries: out of one account, and into lots of
 * their own in the other, or back into the lots it came from.
 */
#include "crm_member.h"
#include "merge/move.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

static CrmTable entry_table = {
	"points_entry", .ncolumns = 12, .columns = {
		{"member_id", INT8OID}, {"points_type", TEXTOID}, {"entry_no", INT8OID}, {"kind", TEXTOID},
		{"points", NUMERICOID}, {"balance", NUMERICOID}, {"at", TIMESTAMPTZOID}, {"reason", TEXTOID},
		{"actor", TEXTOID}, {"lot_nos", INT8ARRAYOID}, {"lot_points", NUMERICARRAYOID},
		{"other_member", INT8OID}}};
static CrmTable lot_table = {
	"points_lot", .ncolumns = 11, .columns = {
		{"member_id", INT8OID}, {"points_type", TEXTOID}, {"lot_no", INT8OID}, {"points", NUMERICOID},
		{"remaining", NUMERICOID}, {"earned_at", TIMESTAMPTZOID}, {"available_at", TIMESTAMPTZOID},
		{"expires_at", TIMESTAMPTZOID}, {"owner_member", INT8OID}, {"birth_member", INT8OID},
		{"birth_lot", INT8OID}}};

MoveRows
BeginMove(void)
{
	return (MoveRows) {BeginInsert(&entry_table), BeginInsert(&lot_table)};
}

void
AddEntry(MoveRows *rows, const PointsType *type, int64 member_id, int64 entry_no, const char *kind,
		 int64 points, int64 balance, TimestampTz at, const MergeAct *act, const LotUse *use,
		 int64 other_member, const MovedLot *lot)
{
	Datum		values[12];
	bool		nulls[12] = {false};

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
		values[9] = IdArray(use->lot_nos, use->n);
		values[10] = NumericArray(use->points, use->n, type);
	}
	values[11] = Int64GetDatum(other_member);
	PutRow(rows->entries, values, nulls);
	if (lot == NULL)
		return;

	memset(nulls, 0, sizeof(nulls));
	values[3] = values[4];
	values[5] = TimestampTzGetDatum(lot->earned_at);
	values[6] = TimestampTzGetDatum(lot->available_at);
	values[7] = TimestampTzGetDatum(lot->expires_at);
	values[8] = Int64GetDatum(lot->owner);
	nulls[8] = lot->owner == member_id;
	values[9] = Int64GetDatum(lot->birth_member);
	values[10] = Int64GetDatum(lot->birth_lot);
	PutRow(rows->lots, values, nulls);
}

void
EndMove(MoveRows *rows)
{
	EndInsert(rows->entries);
	EndInsert(rows->lots);
}

MovedLot *
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

int64
MoveLots(int64 from, int64 to, const PointsType *type, MovedLot *lots, int n, TimestampTz at,
		 const MergeAct *act)
{
	MoveRows	rows;
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
	DrawOnLots(from, type, &drawn);
	if (back.n > 0)
		DrawOnLots(to, type, &back);

	rows = BeginMove();
	AddEntry(&rows, type, from, source.entry_no, "merge_out", -total, source.balance, at, act, &drawn,
			 to, NULL);
	if (back.n > 0)
		AddEntry(&rows, type, to, ++entry_no, "merge_in", returned, balance += returned, at, act,
				 &back, from, NULL);
	qsort(lots, n, sizeof(MovedLot), CompareLots);
	for (int i = 0; i < n; i++)
	{
		if (lots[i].birth_member != to)
			AddEntry(&rows, type, to, ++entry_no, "merge_in", lots[i].points,
					 balance += lots[i].points, at, act, NULL, from, &lots[i]);
	}
	EndMove(&rows);
	return total;
}
