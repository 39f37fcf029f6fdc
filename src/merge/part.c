/*
 * part.c: what members have, by the declarations in table merge_part.
 *
 * A part names a table, what of it is counted and summed, and what is to happen
 * where two members that become one both have a row of the same key.  The
 * statements are made from the declarations when they are first needed, and again
 * after a change of them.  They name columns of plain tables only, so that whoever
 * may declare a part has nothing run in the owner's name.
 */
#include "crm_member.h"
#include "catalog.h"
#include "configuration.h"
#include "merge/merge.h"
#include "query.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

typedef struct Part
{
	char	   *name;
	char	   *conflict;		/* both, one, refuse, block */
	char	   *sql;			/* of its conflicts */
	SPIPlanPtr	plan;
} Part;

static bool parts_valid = false;
static MemoryContext parts_context = NULL;
static SPIPlanPtr totals[2];	/* [moving] */
static Part *parts;				/* with a conflict rule */
static int	nparts;

static char **
NameArray(uint64 row, int column, int *n)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);
	Datum	   *elements;
	char	  **names;

	*n = 0;
	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypePCopy(value), TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, n);
	names = palloc(sizeof(char *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		names[i] = TextDatumGetCString(elements[i]);
	return names;
}

/* A plain table, as it is written in a statement. */
static char *
PlainTable(const char *part, const char *relation)
{
	Oid			relid = RangeVarGetRelid(makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(relation))),
										 NoLock, true);
	char		kind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(OidIsValid(relid) ? ERRCODE_WRONG_OBJECT_TYPE : ERRCODE_UNDEFINED_TABLE),
						errmsg("part \"%s\" of merges names \"%s\", which is not a table", part, relation),
						errhint("Table crm_member.merge_part says what a merge takes along.")));
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
}

/* The rows of $1 that count, as r. */
static void
AppendRows(StringInfo sql, const char *table, const char *over)
{
	appendStringInfo(sql, "CROSS JOIN LATERAL (SELECT * FROM %s r WHERE r.member_id = m.member_id", table);
	if (over != NULL)
		appendStringInfo(sql, " AND r.%s IS NULL", quote_identifier(over));
	appendStringInfoString(sql, " OFFSET 0) r");
}

static void
AppendTotals(StringInfo sql, const char *table, const char *over, const char *by, char **sums, int nsums,
			 const char *count_as)
{
	if (by == NULL)
	{
		appendStringInfo(sql, "(SELECT jsonb_build_object(%s, count(*)", quote_literal_cstr(count_as));
		for (int i = 0; i < nsums; i++)
			appendStringInfo(sql, ", %s, coalesce(sum(r.%s), 0)", quote_literal_cstr(sums[i]),
							 quote_identifier(sums[i]));
		appendStringInfoString(sql, ") FROM unnest($1) AS m (member_id) ");
		AppendRows(sql, table, over);
		appendStringInfoChar(sql, ')');
		return;
	}
	appendStringInfoString(sql, "(SELECT coalesce(jsonb_object_agg(g.key, g.value), '{}') FROM (SELECT ");
	appendStringInfo(sql, "r.%s AS key, ", quote_identifier(by));
	if (nsums == 0)
		appendStringInfoString(sql, "to_jsonb(count(*))");
	else if (nsums == 1)
		appendStringInfo(sql, "to_jsonb(sum(r.%s))", quote_identifier(sums[0]));
	else
	{
		appendStringInfoString(sql, "jsonb_build_object(");
		for (int i = 0; i < nsums; i++)
			appendStringInfo(sql, "%s%s, sum(r.%s)", i > 0 ? ", " : "", quote_literal_cstr(sums[i]),
							 quote_identifier(sums[i]));
		appendStringInfoChar(sql, ')');
	}
	appendStringInfoString(sql, " AS value FROM unnest($1) AS m (member_id) ");
	AppendRows(sql, table, over);
	appendStringInfoString(sql, " GROUP BY 1");
	for (int i = 0; i < nsums; i++)
		appendStringInfo(sql, "%s sum(r.%s) <> 0", i > 0 ? " OR" : " HAVING", quote_identifier(sums[i]));
	appendStringInfoString(sql, ") g)");
}

/* Root, key and members, those to be preferred first, of rows that meet. */
static char *
ConflictStatement(const char *table, const char *over, const char *conflict, char **keys, int nkeys,
				  const char *prefer)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT m.root, jsonb_build_object(");
	for (int i = 0; i < nkeys; i++)
		appendStringInfo(&sql, "%s%s, r.%s", i > 0 ? ", " : "", quote_literal_cstr(keys[i]),
						 quote_identifier(keys[i]));
	appendStringInfoString(&sql, ")::text, array_agg(r.member_id ORDER BY ");
	if (prefer != NULL)
		appendStringInfo(&sql, "r.%s, ", quote_identifier(prefer));
	appendStringInfoString(&sql, "m.member_id = m.root DESC, r.member_id) "
						   "FROM unnest($1, $2) AS m (member_id, root) ");
	AppendRows(&sql, table, over);
	appendStringInfoString(&sql, " GROUP BY 1");
	for (int i = 0; i < nkeys; i++)
		appendStringInfo(&sql, ", r.%s", quote_identifier(keys[i]));
	if (strcmp(conflict, "block") != 0)
		appendStringInfoString(&sql, " HAVING count(DISTINCT r.member_id) > 1");
	appendStringInfoString(&sql, " ORDER BY 1, 2");
	return sql.data;
}

static SPIPlanPtr
KeepPlan(const char *sql, int nargs)
{
	Oid			types[2] = {INT8ARRAYOID, INT8ARRAYOID};
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, types);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s", SPI_result_code_string(SPI_result), sql);
	SPI_keepplan(plan);
	return plan;
}

static void
LoadParts(void)
{
	static const char *const watched[] = {"merge_part"};
	static CrmQuery query = {
		"SELECT part, relation, moves, over, grouped_by, sums, count_as, conflict, conflict_key, prefer "
		"FROM crm_member.merge_part ORDER BY position, part", 0};
	StringInfoData sql[2];
	SPITupleTable *table;
	MemoryContext old;
	uint64		found;
	bool		isnull;

	if (parts_valid && totals[0] != NULL && totals[1] != NULL)
		return;
	for (int moving = 0; moving < 2; moving++)
	{
		if (totals[moving] != NULL)
			SPI_freeplan(totals[moving]);
		totals[moving] = NULL;
		initStringInfo(&sql[moving]);
		appendStringInfoString(&sql[moving], "SELECT jsonb_build_object(");
	}
	for (int i = 0; i < nparts; i++)
	{
		if (parts[i].plan != NULL)
			SPI_freeplan(parts[i].plan);
	}
	nparts = 0;
	if (parts_context != NULL)
		MemoryContextDelete(parts_context);
	parts_context = AllocSetContextCreate(TopMemoryContext, "crm_member merge parts",
										  ALLOCSET_SMALL_SIZES);
	WatchRelations(&parts_valid, watched, lengthof(watched));
	parts_valid = true;
	BeginConfiguration("merge_part");
	found = RunQuery(&query, NULL, NULL, true, 0);
	table = SPI_tuptable;
	parts = MemoryContextAllocZero(parts_context, sizeof(Part) * Max(found, 1));
	for (uint64 row = 0; row < found; row++)
	{
		char	   *name;
		char	   *relation;
		char	   *over;
		char	   *conflict;
		char	  **sums;
		char	  **keys;
		int			nsums;
		int			nkeys;
		StringInfo	into;

		SPI_tuptable = table;
		name = QueryText(row, 1);
		relation = PlainTable(name, QueryText(row, 2));
		into = &sql[DatumGetBool(QueryColumn(row, 3, &isnull))];
		over = QueryText(row, 4);
		sums = NameArray(row, 6, &nsums);
		keys = NameArray(row, 9, &nkeys);
		conflict = QueryText(row, 8);
		if (into->data[into->len - 1] != '(')
			appendStringInfoString(into, ", ");
		appendStringInfo(into, "%s, ", quote_literal_cstr(name));
		AppendTotals(into, relation, over, QueryText(row, 5), sums, nsums, QueryText(row, 7));
		if (strcmp(conflict, "both") == 0)
			continue;
		old = MemoryContextSwitchTo(parts_context);
		parts[nparts].name = pstrdup(name);
		parts[nparts].conflict = pstrdup(conflict);
		parts[nparts].sql = ConflictStatement(relation, over, conflict, keys, nkeys, QueryText(row, 10));
		nparts++;
		MemoryContextSwitchTo(old);
	}
	EndConfiguration();
	for (int i = 0; i < nparts; i++)
		parts[i].plan = KeepPlan(parts[i].sql, 2);
	for (int moving = 0; moving < 2; moving++)
	{
		appendStringInfoString(&sql[moving], ")::text");
		totals[moving] = KeepPlan(sql[moving].data, 1);
	}
}

char *
PartTotals(const int64 *members, int n, bool moving)
{
	Datum		value = IdArray(members, n);

	LoadParts();
	if (SPI_execute_plan(totals[moving], &value, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "totals of a merge were not read");
	return QueryText(0, 1);
}

static void
HideRows(const Part *part, const char *key, int64 kept, Datum members)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.merge_conflict (member_id, part, key, kept) "
		"SELECT DISTINCT u, $1, $2::jsonb, $3 FROM unnest($4) AS u WHERE u <> $3",
		4, {TEXTOID, TEXTOID, INT8OID, INT8ARRAYOID}};
	Datum		values[4];

	values[0] = CStringGetTextDatum(part->name);
	values[1] = CStringGetTextDatum(key);
	values[2] = Int64GetDatum(kept);
	values[3] = members;
	RunQuery(&query, values, NULL, false, 0);
}

static char *
IdList(Datum members)
{
	ArrayType  *array = DatumGetArrayTypeP(members);
	const int64 *ids = (const int64 *) ARR_DATA_PTR(array);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)); i++)
		appendStringInfo(&list, "%s" INT64_FORMAT, i > 0 ? ", " : "", ids[i]);
	return list.data;
}

static void
RefuseConflict(const Part *part, const char *key, Datum members)
{
	bool		block = strcmp(part->conflict, "block") == 0;

	ereport(ERROR, (errcode(ERRCODE_CRM_MERGE_CONFLICT),
					block ? errmsg("what a member has open of part \"%s\" stands against merging it", part->name)
					: errmsg("the members may not both have this of part \"%s\"", part->name),
					errdetail("Members %s, key %s.",
							  IdList(members), key),
					errhint("Table crm_member.merge_part says what is refused.")));
}

void
ResolveConflicts(const Kin *kin, bool merging, StringInfo report)
{
	static CrmQuery forget = {
		"DELETE FROM crm_member.merge_conflict WHERE member_id = ANY ($1)", 1, {INT8ARRAYOID}};
	int64	   *members = palloc(sizeof(int64) * kin->n);
	int64	   *roots = palloc(sizeof(int64) * kin->n);
	Datum		values[2];
	const char *separator = "";

	LoadParts();
	for (int i = 0; i < kin->n; i++)
	{
		members[i] = kin->members[i].member_id;
		roots[i] = kin->members[i].root;
	}
	values[0] = IdArray(members, kin->n);
	values[1] = IdArray(roots, kin->n);
	RunQuery(&forget, values, NULL, false, 0);
	appendStringInfoString(report, ", \"conflicts\": [");
	for (int i = 0; i < nparts; i++)
	{
		const Part *part = &parts[i];
		bool		hides = strcmp(part->conflict, "one") == 0;
		SPITupleTable *table;
		uint64		found;

		if (!hides && !merging)
			continue;
		if (SPI_execute_plan(part->plan, values, NULL, false, 0) != SPI_OK_SELECT)
			elog(ERROR, "conflicts of a merge were not read");
		found = SPI_processed;
		table = SPI_tuptable;
		for (uint64 row = 0; row < found; row++)
		{
			bool		isnull;
			ArrayType  *meet;
			int64		kept;
			char	   *key;

			SPI_tuptable = table;
			key = QueryText(row, 2);
			meet = DatumGetArrayTypeP(QueryColumn(row, 3, &isnull));
			if (!hides)
				RefuseConflict(part, key, PointerGetDatum(meet));
			kept = ((int64 *) ARR_DATA_PTR(meet))[0];
			HideRows(part, key, kept, PointerGetDatum(meet));
			appendStringInfo(report, "%s{\"part\": ", separator);
			escape_json(report, part->name);
			appendStringInfo(report, ", \"key\": %s, \"kept\": " INT64_FORMAT "}", key, kept);
			separator = ", ";
		}
	}
	appendStringInfoChar(report, ']');
}
