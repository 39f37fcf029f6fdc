/*
 * picture.c: what the pictures of a model show, read.
 */
#include "crm_member.h"
#include "argument.h"
#include "query.h"
#include "rfm/picture.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

Language
ParseLanguage(const char *name)
{
	if (strcmp(name, "en") == 0)
		return LANGUAGE_EN;
	if (strcmp(name, "zh") == 0)
		return LANGUAGE_ZH;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("there are no pictures in language \"%s\"", name),
					errhint("Languages are en and zh.")));
}

int
DisplayWidth(const char *s)
{
	int			width = 0;

	for (; *s != '\0'; s += pg_mblen(s))
		width += (unsigned char) *s < 0x20 || *s == 0x7F ? 1 : Max(pg_dsplen(s), 0);
	return width;
}

void
ReadGrid(const char *model, Grid *grid)
{
	static CrmQuery head = {
		"SELECT to_char(r.as_of, 'YYYY-MM-DD'), coalesce(r.bins, d.bins), "
		"coalesce(nullif(d.name, ''), d.model_code) "
		"FROM crm_member.rfm_model d LEFT JOIN crm_member.rfm_state c USING (model_code) "
		"LEFT JOIN crm_member.rfm_run r USING (run_id) WHERE d.model_code = $1",
		1, {TEXTOID}};
	static CrmQuery body = {
		"SELECT r, f, count(*) FROM crm_member.rfm WHERE model_code = $1 GROUP BY 1, 2", 1,
		{TEXTOID}};
	Datum		values[] = {CStringGetTextDatum(model)};
	Datum		as_of;
	bool		isnull;
	uint64		n;

	memset(grid, 0, sizeof(*grid));
	grid->model = model;
	if (RunQuery(&head, values, NULL, true, 1) != 1)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_MODEL),
						errmsg("RFM model \"%s\" does not exist", model),
						errhint("SELECT model_code FROM crm_member.rfm_model lists them.")));
	as_of = QueryColumn(0, 1, &isnull);
	if (!isnull)
		grid->as_of = TextDatumGetCString(as_of);
	grid->bins = DatumGetInt16(QueryColumn(0, 2, &isnull));
	grid->name = TextDatumGetCString(QueryColumn(0, 3, &isnull));

	n = RunQuery(&body, values, NULL, true, 0);
	for (uint64 row = 0; row < n; row++)
	{
		int			r = DatumGetInt32(QueryColumn(row, 1, &isnull));
		int			f = DatumGetInt32(QueryColumn(row, 2, &isnull));
		int64		members = DatumGetInt64(QueryColumn(row, 3, &isnull));

		grid->cells[r][f] = members;
		grid->members += members;
		grid->largest = Max(grid->largest, members);
	}
}

int
ReadBars(const char *model, Language language, Bar **bars)
{
	static CrmQuery query = {
		"SELECT coalesce(nullif(CASE WHEN $2 THEN name_zh ELSE name_en END, ''), segment, '-'), members, "
		"coalesce(member_share, 0)::float8, coalesce(monetary_share, 0)::float8 "
		"FROM crm_member.rfm_segment WHERE model_code = $1 ORDER BY position NULLS LAST",
		2, {TEXTOID, BOOLOID}};
	Datum		values[] = {CStringGetTextDatum(model), BoolGetDatum(language == LANGUAGE_ZH)};
	int			n = RunQuery(&query, values, NULL, true, 0);

	*bars = palloc(Max(n, 1) * sizeof(Bar));
	for (int row = 0; row < n; row++)
	{
		bool		isnull;
		Bar		   *bar = &(*bars)[row];

		bar->name = TextDatumGetCString(QueryColumn(row, 1, &isnull));
		bar->members = DatumGetInt64(QueryColumn(row, 2, &isnull));
		bar->member_share = DatumGetFloat8(QueryColumn(row, 3, &isnull));
		bar->money_share = DatumGetFloat8(QueryColumn(row, 4, &isnull));
	}
	return n;
}

text *
DrawPicture(DrawFunction draw, FunctionCallInfo fcinfo)
{
	const char *model = PG_ARGISNULL(0) ? "default" : TextArgument(fcinfo, 0);
	Language	parsed = ParseLanguage(PG_ARGISNULL(1) ? "en" : TextArgument(fcinfo, 1));
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData out;
	text	   *result;

	SPI_connect();
	initStringInfo(&out);
	draw(&out, model, parsed);
	MemoryContextSwitchTo(caller);
	result = cstring_to_text_with_len(out.data, out.len);
	SPI_finish();
	return result;
}
