/*
 * accrue.c: what sales earned, into the ledger and out of it again.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* The entry of an award for a sale, with the rules and lines it came from. */
static void
InsertSaleEntry(const Sale *sale, const Award *award, int64 entry_no, int64 balance)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.points_entry "
		"(member_id, points_type, entry_no, kind, points, balance, at, sale_id, actor, "
		"rules, rule_lines, rule_points, line_nos, line_points) "
		"VALUES ($1, $2, $3, 'earn', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
		13, {INT8OID, TEXTOID, INT8OID, NUMERICOID, NUMERICOID, TIMESTAMPTZOID, INT8OID, TEXTOID,
			TEXTARRAYOID, INT4ARRAYOID, NUMERICARRAYOID, INT4ARRAYOID, NUMERICARRAYOID}};
	int			ngrants = list_length(award->grants);
	Datum	   *codes = palloc(sizeof(Datum) * ngrants);
	Datum	   *lines = palloc(sizeof(Datum) * Max(ngrants, sale->nlines));
	int64	   *points = palloc(sizeof(int64) * Max(ngrants, sale->nlines));
	Datum		values[13];
	char		nulls[13];
	ListCell   *cell;
	int			n = 0;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(sale->member->member_id);
	values[1] = CStringGetTextDatum(award->type->name);
	values[2] = Int64GetDatum(entry_no);
	values[3] = PointsDatum(award->points, award->type);
	values[4] = PointsDatum(balance, award->type);
	values[5] = TimestampTzGetDatum(sale->sold_at);
	values[6] = Int64GetDatum(sale->sale_id);
	values[7] = TextOrNull(sale->actor, &nulls[7]);

	foreach(cell, award->grants)
	{
		const Grant *grant = lfirst(cell);

		codes[n] = CStringGetTextDatum(grant->rule->code);
		lines[n] = Int32GetDatum(grant->line < 0 ? 0 : sale->lines[grant->line].line_no);
		points[n++] = grant->points;
	}
	values[8] = PointerGetDatum(construct_array(codes, n, TEXTOID, -1, false, TYPALIGN_INT));
	values[9] = PointerGetDatum(construct_array(lines, n, INT4OID, 4, true, TYPALIGN_INT));
	values[10] = NumericArray(points, n, award->type);

	n = 0;
	for (int i = 0; i < sale->nlines; i++)
	{
		if (award->line_points[i] == 0)
			continue;
		lines[n] = Int32GetDatum(sale->lines[i].line_no);
		points[n++] = award->line_points[i];
	}
	values[11] = PointerGetDatum(construct_array(lines, n, INT4OID, 4, true, TYPALIGN_INT));
	values[12] = NumericArray(points, n, award->type);
	RunQuery(&query, values, nulls, false, 0);
}

void
PostAwards(const Sale *sale, List *awards)
{
	ListCell   *cell;

	SPI_connect();
	foreach(cell, awards)
	{
		const Award *award = lfirst(cell);
		Account		account = AddToAccount(sale->member->member_id, award->type, award->points, 1,
										   award->available_at, award->expires_at);

		InsertSaleEntry(sale, award, account.entry_no, account.balance);
		InsertLot(sale->member->member_id, award->type, account.entry_no, award->points,
				  sale->sold_at, award->available_at, award->expires_at);
	}
	SPI_finish();
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
		"ORDER BY points_type, entry_no",
		2, {INT8OID, INT8OID}};
	const RuleSet *set = GetRuleSet();
	MemoryContext caller = CurrentMemoryContext;
	List	   *awards = NIL;
	Datum		values[2];
	uint64		found;

	values[0] = Int64GetDatum(sale->member->member_id);
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
