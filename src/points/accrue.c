/*
 * accrue.c: what sales earned, into the ledger and out of it again.
 *
 * Any number of sales is posted together: accounts, entries, lots.  The accounts
 * are locked in order of member and points type; an account takes all its entries
 * at once, and the number of the last one says the others'.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"
#include "table.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

/* What the sales add to one account. */
typedef struct Deposit
{
	int64		member_id;		/* hash key, with type */
	int64		type;			/* index in the rule set */
	const PointsType *points_type;
	int64		points;
	int64		entries;
	TimestampTz settles_at;
	TimestampTz expires_at;
	int64		balance;		/* before the next entry */
	int64		entry_no;
	int64		debt;
	TimestampTz hold_expires_at;	/* known where there is a debt */
	TimestampTz expired_to;		/* lots that expire until here are booked as expired */
	bool		merged;			/* its member is, perhaps while we waited: points go on to the survivor */
	int64		swept;			/* points of such lots */
	TimestampTz first_at;		/* of the entries */
	TimestampTz last_at;
} Deposit;

static int
CompareDeposits(const ListCell *a, const ListCell *b)
{
	const Deposit *x = lfirst(a);
	const Deposit *y = lfirst(b);

	if (x->member_id != y->member_id)
		return x->member_id < y->member_id ? -1 : 1;
	return strcmp(x->points_type->name, y->points_type->name);
}

static Deposit *
FindDeposit(HTAB *deposits, const RuleSet *set, int64 member_id, const PointsType *type, bool *found)
{
	int64		key[2] = {member_id, type - set->types};

	return hash_search(deposits, key, HASH_ENTER, found);
}

/* Sum the awards by account; the list is in the order accounts are locked in. */
static List *
SumAwards(HTAB *deposits, const RuleSet *set, const EarnedSale *sales, int n)
{
	List	   *list = NIL;
	ListCell   *cell;

	for (int i = 0; i < n; i++)
	{
		foreach(cell, sales[i].awards)
		{
			const Award *award = lfirst(cell);
			bool		found;
			Deposit    *deposit = FindDeposit(deposits, set, sales[i].sale->member_id, award->type,
											  &found);

			if (!found)
			{
				deposit->points_type = award->type;
				deposit->points = deposit->entries = 0;
				deposit->merged = sales[i].sale->member_id != sales[i].sale->member->member_id;
				deposit->settles_at = DT_NOBEGIN;
				deposit->expires_at = DT_NOEND;
				deposit->first_at = DT_NOEND;
				list = lappend(list, deposit);
			}
			deposit->points = AddMinor(deposit->points, award->points);
			deposit->entries++;
			deposit->first_at = Min(deposit->first_at, sales[i].sale->sold_at);
			deposit->settles_at = Max(deposit->settles_at, award->available_at);
			deposit->expires_at = Min(deposit->expires_at, award->expires_at);
		}
	}
	list_sort(list, CompareDeposits);
	return list;
}

/* The account after its deposits. */
static void
ReadDeposit(Deposit *deposit, int64 balance, int64 entry_no, int64 debt,
			TimestampTz hold_expires_at, TimestampTz expired_to, bool closed)
{
	deposit->balance = balance - deposit->points;
	deposit->entry_no = entry_no - deposit->entries;
	deposit->debt = debt;
	deposit->hold_expires_at = hold_expires_at;
	deposit->expired_to = expired_to;
	deposit->merged |= closed;
	deposit->swept = 0;
	deposit->last_at = DT_NOBEGIN;
}

/* Hold on to the row that an account refers to, as its foreign key does. */
static void
KeepType(const PointsType *type)
{
	static CrmQuery query = {
		"SELECT FROM crm_member.points_type WHERE points_type = $1 FOR KEY SHARE", 1, {TEXTOID}};
	Datum		value = CStringGetTextDatum(type->name);

	if (RunQuery(&query, &value, NULL, false, 1) != 1)
		ereport(ERROR, (errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
						errmsg("points type \"%s\" does not exist", type->name)));
}

/* Make the account; false: somebody else makes it just now. */
static bool
MakeRow(TableRows *rows, Deposit *deposit, const PointsType **kept)
{
	const PointsType *type = deposit->points_type;
	Datum		values[TABLE_MAX_COLUMNS];
	bool		nulls[TABLE_MAX_COLUMNS] = {false};

	if (*kept != type)
		KeepType(type);
	*kept = type;
	values[ACCOUNT_MEMBER_ID] = Int64GetDatum(deposit->member_id);
	values[ACCOUNT_POINTS_TYPE] = PointerGetDatum(type->name_text);
	values[ACCOUNT_BALANCE] = PointsDatum(deposit->points, type);
	values[ACCOUNT_ENTRY_NO] = Int64GetDatum(deposit->entries);
	values[ACCOUNT_SETTLES_AT] = TimestampTzGetDatum(deposit->settles_at);
	values[ACCOUNT_EXPIRES_AT] = TimestampTzGetDatum(deposit->expires_at);
	values[ACCOUNT_DEBT] = PointsDatum(0, type);
	values[ACCOUNT_EXPIRED_TO] = TimestampTzGetDatum(DT_NOBEGIN);
	values[ACCOUNT_HOLD_EXPIRES_AT] = TimestampTzGetDatum(DT_NOEND);
	values[ACCOUNT_CLOSED] = BoolGetDatum(false);
	if (!ClaimRow(rows, values, nulls))
		return false;
	ReadDeposit(deposit, deposit->points, deposit->entries, 0, DT_NOEND, DT_NOBEGIN, false);
	return true;
}

/* Add to the account's row; false: somebody changes it just now. */
static bool
AddToRow(TableRows *rows, Deposit *deposit, const PointsType **kept)
{
	static const int changed[] = {ACCOUNT_BALANCE, ACCOUNT_ENTRY_NO, ACCOUNT_SETTLES_AT,
	ACCOUNT_EXPIRES_AT};
	const PointsType *type = deposit->points_type;
	Datum		key[2];
	Datum		values[4];
	bool		isnull;
	int64		balance;
	int64		entry_no;

	key[0] = Int64GetDatum(deposit->member_id);
	key[1] = PointerGetDatum(type->name_text);
	if (!FindRow(rows, key))
		return MakeRow(rows, deposit, kept);
	balance = AddMinor(StoredMinor(RowColumn(rows, ACCOUNT_BALANCE, &isnull), type->decimals, "points"), deposit->points);
	entry_no = DatumGetInt64(RowColumn(rows, ACCOUNT_ENTRY_NO, &isnull)) + deposit->entries;
	values[0] = PointsDatum(balance, type);
	values[1] = Int64GetDatum(entry_no);
	values[2] = TimestampTzGetDatum(Max(DatumGetTimestampTz(RowColumn(rows, ACCOUNT_SETTLES_AT, &isnull)),
										deposit->settles_at));
	values[3] = TimestampTzGetDatum(Min(DatumGetTimestampTz(RowColumn(rows, ACCOUNT_EXPIRES_AT, &isnull)),
										deposit->expires_at));
	if (!ChangeRow(rows, changed, lengthof(changed), values, NULL))
		return false;
	ReadDeposit(deposit, balance, entry_no,
				StoredMinor(RowColumn(rows, ACCOUNT_DEBT, &isnull), type->decimals, "points"),
				DatumGetTimestampTz(RowColumn(rows, ACCOUNT_HOLD_EXPIRES_AT, &isnull)),
				DatumGetTimestampTz(RowColumn(rows, ACCOUNT_EXPIRED_TO, &isnull)),
				DatumGetBool(RowColumn(rows, ACCOUNT_CLOSED, &isnull)));
	return true;
}

/* By a statement, which makes accounts that are missing, and waits. */
static void
AddByStatement(List *deposits, int from, int to)
{
	static const BatchColumn columns[] = {
		{"member_id", INT8OID}, {"points_type", TEXTOID}, {"balance", NUMERICOID},
		{"entry_no", INT8OID}, {"settles_at", TIMESTAMPTZOID}, {"expires_at", TIMESTAMPTZOID}};
	static CrmQuery query = {
		"INSERT INTO crm_member.points_account AS a "
		"(member_id, points_type, balance, entry_no, settles_at, expires_at) "
		"SELECT member_id, points_type, balance, entry_no, settles_at, expires_at FROM batch "
		"ON CONFLICT (member_id, points_type) DO UPDATE SET "
		"balance = a.balance + excluded.balance, entry_no = a.entry_no + excluded.entry_no, "
		"settles_at = greatest(a.settles_at, excluded.settles_at), "
		"expires_at = least(a.expires_at, excluded.expires_at) "
		"RETURNING balance, entry_no, debt, hold_expires_at, expired_to, closed", 0};
	RowBatch   *batch = BeginBatch(columns, lengthof(columns));

	for (int i = from; i < to; i++)
	{
		const Deposit *deposit = list_nth(deposits, i);
		Datum		values[lengthof(columns)];
		bool		nulls[lengthof(columns)] = {false};

		values[0] = Int64GetDatum(deposit->member_id);
		values[1] = CStringGetTextDatum(deposit->points_type->name);
		values[2] = PointsDatum(deposit->points, deposit->points_type);
		values[3] = Int64GetDatum(deposit->entries);
		values[4] = TimestampTzGetDatum(deposit->settles_at);
		values[5] = TimestampTzGetDatum(deposit->expires_at);
		AddRow(batch, values, nulls);
	}
	if (RunBatch(&query, batch) != to - from)
		elog(ERROR, "points accounts were not written");
	for (int i = from; i < to; i++)
	{
		Deposit    *deposit = list_nth(deposits, i);
		int			row = i - from;
		bool		isnull;

		ReadDeposit(deposit, PointsColumn(row, 1, deposit->points_type),
					DatumGetInt64(QueryColumn(row, 2, &isnull)),
					PointsColumn(row, 3, deposit->points_type),
					DatumGetTimestampTz(QueryColumn(row, 4, &isnull)),
					DatumGetTimestampTz(QueryColumn(row, 5, &isnull)),
					DatumGetBool(QueryColumn(row, 6, &isnull)));
	}
	EndBatch(batch);
}

/* A debt is paid by what holds that had timed out give back, before what is earned pays it. */
static void
ReleaseBefore(List *deposits)
{
	ListCell   *cell;

	foreach(cell, deposits)
	{
		Deposit    *deposit = lfirst(cell);
		const PointsType *type = deposit->points_type;
		Account		account;

		if (deposit->debt == 0 || deposit->hold_expires_at > deposit->first_at)
			continue;
		account = AddAfterHolds(deposit->member_id, type, deposit->points, deposit->entries,
								deposit->settles_at, deposit->expires_at, deposit->first_at);
		ReadDeposit(deposit, account.balance, account.entry_no, account.debt,
					account.hold_expires_at, account.expired_to, account.closed);
	}
}

/* Post what each account gets, in order, and learn where its entries begin. */
static void
PostDeposits(List *deposits)
{
	TableRows  *rows = OpenRows(&account_table, ACL_SELECT | ACL_UPDATE | ACL_INSERT);
	const PointsType *kept = NULL;
	int			n = list_length(deposits);

	if (rows == NULL)
	{
		AddByStatement(deposits, 0, n);
		return;
	}
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!AddToRow(rows, list_nth(deposits, i), &kept))
			AddByStatement(deposits, i, i + 1);
	}
	CloseRows(rows);
}

/* The rules and lines behind an award, as the arrays of its entry. */
static void
SetParts(const Sale *sale, const Award *award, Datum *values)
{
	int			ngrants = list_length(award->grants);
	Datum	   *codes = palloc(sizeof(Datum) * ngrants);
	Datum	   *lines = palloc(sizeof(Datum) * Max(ngrants, sale->nlines));
	int64	   *points = palloc(sizeof(int64) * Max(ngrants, sale->nlines));
	ListCell   *cell;
	int			n = 0;

	foreach(cell, award->grants)
	{
		const Grant *grant = lfirst(cell);

		codes[n] = PointerGetDatum(grant->rule->code_text);
		lines[n] = Int32GetDatum(grant->line < 0 ? 0 : sale->lines[grant->line].line_no);
		points[n++] = grant->points;
	}
	values[0] = PlainArray(codes, n, TEXTOID);
	values[1] = ArrayOf(lines, n, INT4OID);
	values[2] = NumericArray(points, n, award->type);

	n = 0;
	for (int i = 0; i < sale->nlines; i++)
	{
		if (award->line_points[i] == 0)
			continue;
		lines[n] = Int32GetDatum(sale->lines[i].line_no);
		points[n++] = award->line_points[i];
	}
	values[3] = ArrayOf(lines, n, INT4OID);
	values[4] = NumericArray(points, n, award->type);
}

static void
InsertEntriesAndLots(HTAB *deposits, const RuleSet *set, const EarnedSale *sales, int n)
{
	static CrmTable entry_table = {
		"points_entry", NULL, NULL, NULL, NULL, 14, {
			{"member_id", INT8OID}, {"points_type", TEXTOID}, {"entry_no", INT8OID},
			{"kind", TEXTOID}, {"points", NUMERICOID}, {"balance", NUMERICOID},
			{"at", TIMESTAMPTZOID}, {"sale_id", INT8OID}, {"actor", TEXTOID},
			{"rules", TEXTARRAYOID}, {"rule_lines", INT4ARRAYOID},
			{"rule_points", NUMERICARRAYOID}, {"line_nos", INT4ARRAYOID},
			{"line_points", NUMERICARRAYOID}}};
	static CrmTable lot_table = {
		"points_lot", NULL, NULL, NULL, NULL, 8, {
			{"member_id", INT8OID}, {"points_type", TEXTOID}, {"lot_no", INT8OID},
			{"points", NUMERICOID}, {"remaining", NUMERICOID}, {"earned_at", TIMESTAMPTZOID},
			{"available_at", TIMESTAMPTZOID}, {"expires_at", TIMESTAMPTZOID}}};
	TableInsert *entries = BeginInsert(&entry_table);
	TableInsert *lots = BeginInsert(&lot_table);
	Datum		kind = CStringGetTextDatum("earn");
	ListCell   *cell;

	for (int i = 0; i < n; i++)
	{
		const Sale *sale = sales[i].sale;

		foreach(cell, sales[i].awards)
		{
			const Award *award = lfirst(cell);
			Datum		values[TABLE_MAX_COLUMNS];
			bool		nulls[TABLE_MAX_COLUMNS] = {false};
			bool		found;
			Deposit    *deposit = FindDeposit(deposits, set, sale->member_id, award->type, &found);

			deposit->entry_no++;
			deposit->balance += award->points;
			deposit->last_at = Max(deposit->last_at, sale->sold_at);
			if (award->expires_at <= deposit->expired_to)
				deposit->swept = AddMinor(deposit->swept, award->points);
			values[0] = Int64GetDatum(sale->member_id);
			values[1] = PointerGetDatum(award->type->name_text);
			values[2] = Int64GetDatum(deposit->entry_no);
			values[3] = kind;
			values[4] = PointsDatum(award->points, award->type);
			values[5] = PointsDatum(deposit->balance, award->type);
			values[6] = TimestampTzGetDatum(sale->sold_at);
			values[7] = Int64GetDatum(sale->sale_id);
			values[8] = TextOrNull(sale->actor, &nulls[8]);
			SetParts(sale, award, &values[9]);
			PutRow(entries, values, nulls);

			nulls[8] = false;
			values[3] = values[4];
			values[5] = TimestampTzGetDatum(sale->sold_at);
			values[6] = TimestampTzGetDatum(award->available_at);
			values[7] = TimestampTzGetDatum(award->expires_at);
			PutRow(lots, values, nulls);
		}
	}
	EndInsert(entries);
	EndInsert(lots);
}

/* Buyers are active, sale by sale. */
static void
KeepBuyersAlive(const EarnedSale *sales, int n)
{
	ListCell   *cell;

	for (int i = 0; i < n; i++)
	{
		foreach(cell, sales[i].awards)
			KeepAlive(sales[i].sale->member_id, ((Award *) lfirst(cell))->type, "earn",
					  sales[i].sale->sold_at);
	}
}

/* What is earned pays a debt first; what is expired already is booked so. */
static void
SettleDeposits(List *deposits)
{
	ListCell   *cell;

	foreach(cell, deposits)
	{
		const Deposit *deposit = lfirst(cell);

		if (deposit->debt > 0 || deposit->swept > 0)
			SettleCredit(deposit->member_id, deposit->points_type, deposit->swept,
						 deposit->last_at);
		if (deposit->merged)
			ForwardPoints(deposit->member_id, deposit->points_type, deposit->last_at);
	}
}

void
PostAwards(const RuleSet *set, const EarnedSale *sales, int n)
{
	HASHCTL		control = {.keysize = 2 * sizeof(int64), .entrysize = sizeof(Deposit),
						   .hcxt = CurrentMemoryContext};
	HTAB	   *deposits = hash_create("crm_member deposits", n, &control,
									   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	List	   *ordered = SumAwards(deposits, set, sales, n);

	if (ordered != NIL)
	{
		SPI_connect();
		PostDeposits(ordered);
		ReleaseBefore(ordered);
		InsertEntriesAndLots(deposits, set, sales, n);
		KeepBuyersAlive(sales, n);
		SettleDeposits(ordered);
		SPI_finish();
	}
	hash_destroy(deposits);
}

static int
LineIndex(const Sale *sale, int line_no)
{
	for (int i = 0; i < sale->nlines; i++)
	{
		if (sale->lines[i].line_no == line_no)
			return i;
	}
	return -1;
}

static void
ReadArray(uint64 row, int column, Oid type, Datum **elements, int *n)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);
	int16		length;
	bool		byval;
	char		align;

	*n = 0;
	if (isnull)
		return;
	get_typlenbyvalalign(type, &length, &byval, &align);
	deconstruct_array(DatumGetArrayTypePCopy(value), type, length, byval, align, elements, NULL, n);
}

List *
LoadAwards(const Sale *sale)
{
	static CrmQuery query = {
		"SELECT points_type, points, rules, rule_lines, rule_points, line_nos, line_points "
		"FROM crm_member.points_entry WHERE member_id = $1 "
		"AND sale_id = $2 AND kind = 'earn' "
		"ORDER BY points_type COLLATE \"C\", entry_no",
		2, {INT8OID, INT8OID}};
	const RuleSet *set = GetRuleSet();
	MemoryContext caller = CurrentMemoryContext;
	List	   *awards = NIL;
	Datum		values[2];
	uint64		found;

	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	SPI_connect();
	found = RunQuery(&query, values, NULL, false, 0);
	for (uint64 row = 0; row < found; row++)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);
		Award	   *award = palloc0(sizeof(Award));
		Datum	   *codes;
		Datum	   *lines;
		Datum	   *points;
		bool		isnull;
		int			n;

		award->type = FindPointsType(set, TextDatumGetCString(QueryColumn(row, 1, &isnull)));
		award->points = PointsColumn(row, 2, award->type);
		ReadArray(row, 3, TEXTOID, &codes, &n);
		ReadArray(row, 4, INT4OID, &lines, &n);
		ReadArray(row, 5, NUMERICOID, &points, &n);
		for (int i = 0; i < n; i++)
		{
			Grant	   *grant = palloc(sizeof(Grant));
			Rule	   *rule = palloc0(sizeof(Rule));

			rule->code = TextDatumGetCString(codes[i]);
			rule->type = award->type;
			grant->rule = rule;
			grant->line = LineIndex(sale, DatumGetInt32(lines[i]));
			grant->points = ExactMinor(DatumGetNumeric(points[i]), award->type->decimals, "points");
			award->grants = lappend(award->grants, grant);
		}
		award->line_points = palloc0(sizeof(int64) * sale->nlines);
		ReadArray(row, 6, INT4OID, &lines, &n);
		ReadArray(row, 7, NUMERICOID, &points, &n);
		for (int i = 0; i < n; i++)
			award->line_points[LineIndex(sale, DatumGetInt32(lines[i]))] =
				ExactMinor(DatumGetNumeric(points[i]), award->type->decimals, "points");
		awards = lappend(awards, award);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return awards;
}
