/*
 * entry.c: entries of the journal, read back.
 */
#include "crm_member.h"
#include "argument.h"
#include "points/ledger.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define ENTRY_COLUMNS \
	"points_type, entry_no, kind, points, balance, at, sale_id, of_entry, shortfall, line_nos, " \
	"line_points, lot_nos, lot_points, member_id"

/* The members that are this one, itself first. */
#define OF_FAMILY(columns, conditions) \
	"SELECT " columns " FROM (" \
	"SELECT 0 AS place, e.* FROM crm_member.points_entry e WHERE e.member_id = $1 " conditions " " \
	"UNION ALL SELECT 1, e.* FROM crm_member.member_kin k " \
	"JOIN crm_member.member_kin o ON o.kin = k.kin AND o.root = k.root AND o.member_id <> k.member_id " \
	"JOIN crm_member.points_entry e ON e.member_id = o.member_id " conditions " " \
	"WHERE k.member_id = $1) e "

static int64
NumberColumn(uint64 row, int column)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static int64 *
ReadPoints(uint64 row, int column, const PointsType *type)
{
	Datum	   *elements;
	int			n = QueryArray(row, column, NUMERICOID, &elements);
	int64	   *points = palloc(sizeof(int64) * n);

	for (int i = 0; i < n; i++)
		points[i] = ExactMinor(DatumGetNumeric(elements[i]), type->decimals, "points");
	return points;
}

static PastEntry *
ReadEntry(uint64 row)
{
	PastEntry  *entry = palloc0(sizeof(PastEntry));
	bool		isnull;
	Datum	   *elements;

	entry->type = FindPointsType(GetRuleSet(), TextDatumGetCString(QueryColumn(row, 1, &isnull)));
	entry->entry_no = NumberColumn(row, 2);
	entry->kind = TextDatumGetCString(QueryColumn(row, 3, &isnull));
	entry->points = PointsColumn(row, 4, entry->type);
	entry->balance = PointsColumn(row, 5, entry->type);
	entry->at = DatumGetTimestampTz(QueryColumn(row, 6, &isnull));
	entry->sale_id = NumberColumn(row, 7);
	entry->of_entry = NumberColumn(row, 8);
	entry->shortfall = PointsColumn(row, 9, entry->type);
	entry->nlines = QueryArray(row, 10, INT4OID, &elements);
	entry->line_nos = palloc(sizeof(int) * entry->nlines);
	for (int i = 0; i < entry->nlines; i++)
		entry->line_nos[i] = DatumGetInt32(elements[i]);
	entry->line_points = ReadPoints(row, 11, entry->type);
	entry->use.n = QueryArray(row, 12, INT8OID, &elements);
	entry->use.lot_nos = palloc(sizeof(int64) * entry->use.n);
	for (int i = 0; i < entry->use.n; i++)
		entry->use.lot_nos[i] = DatumGetInt64(elements[i]);
	entry->use.points = ReadPoints(row, 13, entry->type);
	entry->member_id = NumberColumn(row, 14);
	return entry;
}

static List *
ReadEntries(uint64 found)
{
	SPITupleTable *table = SPI_tuptable;
	List	   *entries = NIL;

	for (uint64 row = 0; row < found; row++)
	{
		/* looking up the points type may have read configuration */
		SPI_tuptable = table;
		entries = lappend(entries, ReadEntry(row));
	}
	return entries;
}

PastEntry *
FindEntry(int64 member_id, const char *ref)
{
	static CrmQuery query = {
		OF_FAMILY(ENTRY_COLUMNS, "AND e.ref = $2") "ORDER BY place, member_id",
		2, {INT8OID, TEXTOID}};
	Datum		values[2];

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(ref);
	return RunQuery(&query, values, NULL, false, 1) == 0 ? NULL : linitial(ReadEntries(1));
}

List *
LoadEntriesOf(int64 member_id, const PointsType *type, int64 of_entry)
{
	static CrmQuery query = {
		"SELECT " ENTRY_COLUMNS " FROM crm_member.points_entry "
		"WHERE member_id = $1 AND points_type = $2 AND of_entry = $3 ORDER BY entry_no",
		3, {INT8OID, TEXTOID, INT8OID}};
	Datum		values[3];

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = Int64GetDatum(of_entry);
	return ReadEntries(RunQuery(&query, values, NULL, false, 0));
}

const PointsType *
EntryType(int64 member_id, const char *ref)
{
	const PointsType *type;
	PastEntry  *entry;

	SPI_connect();
	entry = FindEntry(member_id, ref);
	if (entry == NULL || entry->type->stored_value)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_ENTRY),
						errmsg("the member has no entry with reference \"%s\"", ref)));
	type = entry->type;
	SPI_finish();
	return type;
}

/*
 * What a sale earned and what was spent on it, not what was taken or given back
 * since; in the order that accounts are locked in.
 */
List *
LoadSaleEntries(int64 member_id, int64 sale_id)
{
	static CrmQuery query = {
		"SELECT * FROM (SELECT " ENTRY_COLUMNS " FROM crm_member.points_entry "
		"WHERE member_id = $1 AND sale_id = $2 AND kind IN ('earn', 'spend') "
		/* a merge on the way may have led a spending to another member's account */
		"UNION ALL SELECT e.points_type, e.entry_no, e.kind, e.points, e.balance, e.at, e.sale_id, "
		"e.of_entry, e.shortfall, e.line_nos, e.line_points, e.lot_nos, e.lot_points, e.member_id "
		"FROM crm_member.member_kin k "
		"JOIN crm_member.member_kin o ON o.kin = k.kin AND o.member_id <> k.member_id "
		"JOIN crm_member.points_entry e ON e.member_id = o.member_id AND e.sale_id = $2 "
		"AND e.kind IN ('earn', 'spend') WHERE k.member_id = $1) e "
		"ORDER BY points_type COLLATE \"C\", member_id, entry_no",
		2, {INT8OID, INT8OID}};
	Datum		values[2];

	values[0] = Int64GetDatum(member_id);
	values[1] = Int64GetDatum(sale_id);
	return ReadEntries(RunQuery(&query, values, NULL, false, 0));
}

void
ReferenceReused(const char *ref)
{
	RefuseReference(ref, "The member has an entry with this reference, but of another kind, points type or amount.");
}

bool
FindAct(const Act *act, int64 points, int64 *balance)
{
	static CrmQuery query = {
		OF_FAMILY("kind, points_type, points, balance, other_member", "AND e.ref = $2")
		"ORDER BY place, member_id",
		2, {INT8OID, TEXTOID}};
	Datum		values[2];
	bool		isnull;

	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(act->ref);
	if (RunQuery(&query, values, NULL, false, 1) == 0)
		return false;
	if (strcmp(TextDatumGetCString(QueryColumn(0, 1, &isnull)), act->kind) != 0 ||
		strcmp(TextDatumGetCString(QueryColumn(0, 2, &isnull)), act->type->name) != 0 ||
		PointsColumn(0, 3, act->type) != points || NumberColumn(0, 5) != act->other_member)
		ReferenceReused(act->ref);
	*balance = PointsColumn(0, 4, act->type);
	return true;
}
