/*
 * import.c: many members from a query or table of the caller.
 *
 * The source is the caller's own text, so it runs with the caller's rights and
 * search_path; only what is written to our tables is written as their owner,
 * under a search_path of our own.  Rows are taken a batch at a time: each is
 * checked by itself, the sound ones are registered together.
 */
#include "crm_member.h"
#include "argument.h"
#include "catalog.h"
#include "query.h"
#include "setting.h"
#include "member/registration.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

#define BATCH_ROWS 5000

/* Columns of the source beyond the texts of member_field_names. */
enum
{
	COLUMN_BIRTHDAY = MEMBER_FIELDS,
	COLUMN_JOINED_AT,
	COLUMN_ATTRS,
	COLUMN_IDENTITIES
};

typedef struct SourceColumn
{
	int			what;			/* MemberField or one of the above */
	Oid			type;
	FmgrInfo	output;
} SourceColumn;

typedef struct Import
{
	int64		import_id;
	bool		keep;
	char	   *actor;
	SourceColumn *columns;
	int			ncolumns;
	int64		rows_read;
	int64		rows_imported;
	int64		rows_existing;
	int64		rows_rejected;
} Import;

typedef struct Writing
{
	Oid			user;
	int			context;
	int			guc_level;
} Writing;

/*
 * From here to EndWriting we are the owner of the tables.  The settings are those
 * of register_member(), whose plans these are.
 */
static Writing
BeginWriting(void)
{
	Writing		saved;

	GetUserIdAndSecContext(&saved.user, &saved.context);
	SetUserIdAndSecContext(RelationOwner(CrmRelation("member")),
						   saved.context | SECURITY_LOCAL_USERID_CHANGE);
	saved.guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("plan_cache_mode", "force_generic_plan", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return saved;
}

static void
EndWriting(Writing saved)
{
	AtEOXact_GUC(true, saved.guc_level);
	SetUserIdAndSecContext(saved.user, saved.context);
}

/* ---- the source ---- */

/* A statement, or the name of a table to read whole. */
static char *
SourceQuery(const char *source)
{
	static const char *const verbs[] = {"select", "with", "values", "table", "delete", "update",
										"insert"};
	char	   *text = TrimText(source);
	size_t		word = strcspn(text, " \t\r\n(;");
	StringInfoData query;
	List	   *names;
	ListCell   *cell;

	if (text[0] == '(')
		return text;
	for (int i = 0; i < lengthof(verbs); i++)
	{
		if (strlen(verbs[i]) == word && pg_strncasecmp(text, verbs[i], word) == 0)
			return text;
	}
	initStringInfo(&query);
	appendStringInfoString(&query, "SELECT * FROM ");
	names = QualifiedNames(text);
	foreach(cell, names)
		appendStringInfo(&query, "%s%s", cell == list_head(names) ? "" : ".",
						 quote_identifier(strVal(lfirst(cell))));
	return query.data;
}

static int
ColumnByName(const char *name)
{
	for (int i = 0; i < MEMBER_FIELDS; i++)
	{
		if (strcmp(name, member_field_names[i]) == 0)
			return i;
	}
	if (strcmp(name, "birthday") == 0)
		return COLUMN_BIRTHDAY;
	if (strcmp(name, "joined_at") == 0)
		return COLUMN_JOINED_AT;
	if (strcmp(name, "attrs") == 0)
		return COLUMN_ATTRS;
	if (strcmp(name, "identities") == 0)
		return COLUMN_IDENTITIES;
	return -1;
}

static void
ReadColumns(Import *import, TupleDesc tupdesc)
{
	import->ncolumns = tupdesc->natts;
	import->columns = palloc0(tupdesc->natts * sizeof(SourceColumn));
	for (int i = 0; i < tupdesc->natts; i++)
	{
		SourceColumn *column = &import->columns[i];
		const char *name = NameStr(TupleDescAttr(tupdesc, i)->attname);
		Oid			output;
		bool		varlena;

		column->what = ColumnByName(name);
		column->type = TupleDescAttr(tupdesc, i)->atttypid;
		if (column->what < 0)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("column \"%s\" of the source is not an argument of "
								   "register_member()", name),
							errhint("Columns may be %s, birthday, joined_at, attrs, identities.",
									ListNames((char **) member_field_names, MEMBER_FIELDS))));
		for (int j = 0; j < i; j++)
		{
			if (import->columns[j].what == column->what)
				ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
								errmsg("the source has two columns \"%s\"", name)));
		}
		if ((column->what == COLUMN_ATTRS || column->what == COLUMN_IDENTITIES) &&
			column->type != JSONBOID)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("column \"%s\" of the source is not of type jsonb", name),
							errhint("Cast it in the query, or use jsonb_build_object().")));
		getTypeOutputInfo(column->type, &output, &varlena);
		fmgr_info(output, &column->output);
	}
}

/* ---- dates written as text ---- */

static bool
ReadDigits(const char **at, int most, int *value)
{
	int			n = 0;

	*value = 0;
	while (n < most && **at >= '0' && **at <= '9')
	{
		*value = *value * 10 + (**at - '0');
		(*at)++;
		n++;
	}
	return n > 0;
}

/* Over any sign or Han character between numbers; false at the end. */
static bool
SkipSign(const char **at)
{
	const char *start = *at;

	while (**at == '-' || **at == '/' || **at == '.' || **at == ' ' || **at == ':' || **at == 'T' ||
		   (**at & 0x80))
		(*at)++;
	return *at > start;
}

/*
 * Year, month, day: 1990-01-31, 1990/1/31, 19900131, or with the Han characters
 * for them; a time of day may follow.  Never ambiguous, so no DateStyle.
 */
static bool
ReadTime(const char *text, struct pg_tm *tm)
{
	const char *at = text;
	bool		compact = strspn(text, "0123456789") == 8;

	memset(tm, 0, sizeof(*tm));
	if (!ReadDigits(&at, 4, &tm->tm_year) || (!compact && !SkipSign(&at)) ||
		!ReadDigits(&at, 2, &tm->tm_mon) || (!compact && !SkipSign(&at)) ||
		!ReadDigits(&at, 2, &tm->tm_mday) || at - text < 8)
		return false;
	if (SkipSign(&at) && *at != '\0')
	{
		if (!ReadDigits(&at, 2, &tm->tm_hour) || *at++ != ':' || !ReadDigits(&at, 2, &tm->tm_min))
			return false;
		if (*at == ':')
		{
			at++;
			if (!ReadDigits(&at, 2, &tm->tm_sec))
				return false;
		}
		if (*at == '.')
			at += 1 + strspn(at + 1, "0123456789");
	}
	return *at == '\0' && tm->tm_year >= 1 && tm->tm_mon >= 1 && tm->tm_mon <= 12 &&
		tm->tm_mday >= 1 && tm->tm_mday <= day_tab[isleap(tm->tm_year)][tm->tm_mon - 1] &&
		tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 60;
}

static bool
LocalTime(struct pg_tm *tm, TimestampTz *result)
{
	int			zone = DetermineTimeZoneOffset(tm, GetSetting()->time_zone);

	return tm2timestamp(tm, 0, &zone, result) == 0;
}

static void
RefuseDate(Registration *row, const char *column, const char *text)
{
	Refuse(&row->why, ERRCODE_INVALID_PARAMETER_VALUE, psprintf("%s \"%s\" is not a date", column,
																text),
		   NULL, pstrdup("Write year, month, day, such as 1990-01-31."));
}

static void
ReadBirthday(Registration *row, SourceColumn *column, Datum value)
{
	struct pg_tm tm;
	char	   *text;

	if (column->type == DATEOID)
	{
		row->has_birthday = true;
		row->birthday = DatumGetDateADT(value);
		return;
	}
	text = TrimText(OutputFunctionCall(&column->output, value));
	if (*text == '\0')
		return;
	if (!ReadTime(text, &tm))
	{
		RefuseDate(row, "birthday", text);
		return;
	}
	row->has_birthday = true;
	row->birthday = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
}

static void
ReadJoinedAt(Registration *row, SourceColumn *column, Datum value)
{
	struct pg_tm tm;
	char	   *text;

	row->has_joined_at = true;
	if (column->type == TIMESTAMPTZOID)
	{
		row->joined_at = DatumGetTimestampTz(value);
		return;
	}
	text = TrimText(OutputFunctionCall(&column->output, value));
	if (*text == '\0')
		row->has_joined_at = false;
	else if (!ReadTime(text, &tm) || !LocalTime(&tm, &row->joined_at))
		RefuseDate(row, "joined_at", text);
}

static Registration *
ReadRow(Import *import, HeapTuple tuple, TupleDesc tupdesc)
{
	Registration *row = palloc0(sizeof(Registration));

	for (int i = 0; i < import->ncolumns; i++)
	{
		SourceColumn *column = &import->columns[i];
		bool		isnull;
		Datum		value = heap_getattr(tuple, i + 1, tupdesc, &isnull);

		if (isnull)
			continue;
		if (column->what == COLUMN_BIRTHDAY)
			ReadBirthday(row, column, value);
		else if (column->what == COLUMN_JOINED_AT)
			ReadJoinedAt(row, column, value);
		else if (column->what == COLUMN_ATTRS)
			row->attrs = DatumGetJsonbPCopy(value);
		else if (column->what == COLUMN_IDENTITIES)
			row->identities = DatumGetJsonbPCopy(value);
		else
			row->text[column->what] = OutputFunctionCall(&column->output, value);
	}
	return row;
}

/* ---- what is written ---- */

static void
WriteError(Import *import, Registration *row, int64 row_no)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.import_error (import_id, row_no, sqlstate, reason, source, "
		"external_id, ref) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7)",
		7, {INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}};
	static const int found_by[] = {FIELD_SOURCE, FIELD_EXTERNAL_ID, FIELD_REF};
	char	   *reason = row->why.message;
	Datum		values[7];
	char		nulls[] = "       ";

	if (row->why.detail != NULL)
		reason = psprintf("%s: %s", reason, row->why.detail);
	values[0] = Int64GetDatum(import->import_id);
	values[1] = Int64GetDatum(row_no);
	values[2] = CStringGetTextDatum(unpack_sql_state(row->why.sqlstate));
	values[3] = CStringGetTextDatum(reason);
	for (int i = 0; i < lengthof(found_by); i++)
	{
		char	   *text = row->text[found_by[i]];

		if (text != NULL)
			values[4 + i] = CStringGetTextDatum(text);
		else
			nulls[4 + i] = 'n';
	}
	RunQuery(&query, values, nulls, false, 0);
}

static void
ImportBatch(Import *import, Registration **rows, int nrows)
{
	Writing		writing = BeginWriting();

	for (int i = 0; i < nrows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		CheckRegistration(rows[i], import->keep);
	}
	RegisterMembers(rows, nrows, import->keep, import->import_id, import->actor);
	for (int i = 0; i < nrows; i++)
	{
		import->rows_read++;
		if (rows[i]->outcome == OUTCOME_REGISTERED)
			import->rows_imported++;
		else if (rows[i]->outcome == OUTCOME_EXISTING)
			import->rows_existing++;
		else
		{
			import->rows_rejected++;
			WriteError(import, rows[i], import->rows_read);
		}
	}
	EndWriting(writing);
}

static void
ImportRows(Import *import, const char *query)
{
	MemoryContext batch_context = AllocSetContextCreate(CurrentMemoryContext, "import of members",
														ALLOCSET_DEFAULT_SIZES);
	SPIPlanPtr	plan = SPI_prepare(query, 0, NULL);
	Portal		portal;

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	if (!SPI_is_cursor_plan(plan))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the source of the import gives no rows"),
						errhint("It is one query, or the name of a table.")));
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, false);
	ReadColumns(import, portal->tupDesc);
	for (;;)
	{
		SPITupleTable *table;
		MemoryContext old;
		Registration **rows;
		uint64		nrows;

		SPI_cursor_fetch(portal, true, BATCH_ROWS);
		nrows = SPI_processed;
		table = SPI_tuptable;
		if (nrows == 0)
			break;
		old = MemoryContextSwitchTo(batch_context);
		rows = palloc(nrows * sizeof(Registration *));
		for (uint64 i = 0; i < nrows; i++)
			rows[i] = ReadRow(import, table->vals[i], table->tupdesc);
		SPI_freetuptable(table);
		ImportBatch(import, rows, (int) nrows);
		MemoryContextSwitchTo(old);
		MemoryContextReset(batch_context);
	}
	SPI_cursor_close(portal);
}

/*
 * Write the row of this import; false where its reference names an earlier one,
 * whose counts are then in *import.
 */
static bool
OpenImport(Import *import, char *source, char *ref, int64 said)
{
	static CrmQuery open = {
		"INSERT INTO crm_member.import (import_id, ref, fingerprint, source, rows_read, "
		"rows_imported, rows_existing, rows_rejected, actor) "
		"VALUES ($1, $2, $3, $4, 0, 0, 0, 0, $5) "
		"ON CONFLICT (ref) DO NOTHING",
		5, {INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID}};
	static CrmQuery earlier = {
		"SELECT import_id, fingerprint, rows_read, rows_imported, rows_existing, rows_rejected "
		"FROM crm_member.import WHERE ref = $1",
		1, {TEXTOID}};
	Writing		writing = BeginWriting();
	Datum		values[5] = {0};
	char		nulls[] = "     ";
	bool		isnull;
	bool		fresh;

	import->import_id = NewId();
	values[0] = Int64GetDatum(import->import_id);
	values[2] = Int64GetDatum(said);
	values[3] = CStringGetTextDatum(source);
	if (ref != NULL)
		values[1] = CStringGetTextDatum(ref);
	else
		nulls[1] = 'n';
	if (import->actor != NULL)
		values[4] = CStringGetTextDatum(import->actor);
	else
		nulls[4] = 'n';
	fresh = RunQuery(&open, values, nulls, false, 0) == 1;
	if (!fresh)
	{
		if (RunQuery(&earlier, &values[1], NULL, false, 1) != 1)
			elog(ERROR, "import \"%s\" was taken back meanwhile", ref);
		if (DatumGetInt64(QueryColumn(0, 2, &isnull)) != said)
			ereport(ERROR, (errcode(ERRCODE_CRM_REFERENCE_REUSED),
							errmsg("reference \"%s\" was used for another import", ref),
							errhint("A repeated call must say the same; a new act needs a "
									"new ref.")));
		import->import_id = DatumGetInt64(QueryColumn(0, 1, &isnull));
		import->rows_read = DatumGetInt64(QueryColumn(0, 3, &isnull));
		import->rows_imported = DatumGetInt64(QueryColumn(0, 4, &isnull));
		import->rows_existing = DatumGetInt64(QueryColumn(0, 5, &isnull));
		import->rows_rejected = DatumGetInt64(QueryColumn(0, 6, &isnull));
	}
	EndWriting(writing);
	return fresh;
}

static void
CloseImport(Import *import)
{
	static CrmQuery query = {
		"UPDATE crm_member.import SET rows_read = $2, rows_imported = $3, rows_existing = $4, "
		"rows_rejected = $5 WHERE import_id = $1",
		5, {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID}};
	Writing		writing = BeginWriting();
	Datum		values[5];

	values[0] = Int64GetDatum(import->import_id);
	values[1] = Int64GetDatum(import->rows_read);
	values[2] = Int64GetDatum(import->rows_imported);
	values[3] = Int64GetDatum(import->rows_existing);
	values[4] = Int64GetDatum(import->rows_rejected);
	if (RunQuery(&query, values, NULL, false, 0) != 1)
		elog(ERROR, "import " INT64_FORMAT " is gone", import->import_id);
	EndWriting(writing);
}

PG_FUNCTION_INFO_V1(crm_import_members);
Datum
crm_import_members(PG_FUNCTION_ARGS)
{
	char	   *source = RequiredText(fcinfo, 0, "source");
	char	   *on_conflict = PG_ARGISNULL(1) ? "reject" : TextArgument(fcinfo, 1);
	char	   *ref = TextArgument(fcinfo, 2);
	Import		import = {.actor = TextArgument(fcinfo, 3)};
	TupleDesc	tupdesc;
	Datum		values[5];
	bool		nulls[5] = {false};
	char	   *said;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "import_members() must return a row");
	if (strcmp(on_conflict, "keep") == 0)
		import.keep = true;
	else if (strcmp(on_conflict, "reject") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("on_conflict must be reject or keep")));

	said = psprintf("%s:%s", on_conflict, source);
	SPI_connect();
	if (OpenImport(&import, source, ref,
				   (int64) hash_bytes_extended((unsigned char *) said, strlen(said), 0)))
	{
		ImportRows(&import, SourceQuery(source));
		CloseImport(&import);
	}
	SPI_finish();

	values[0] = Int64GetDatum(import.import_id);
	values[1] = Int64GetDatum(import.rows_read);
	values[2] = Int64GetDatum(import.rows_imported);
	values[3] = Int64GetDatum(import.rows_existing);
	values[4] = Int64GetDatum(import.rows_rejected);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
