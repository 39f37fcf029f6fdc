/*
 * grid.c: the grid of recency by frequency as text.
 */
#include "crm_member.h"
#include "query.h"
#include "rfm/rfm.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/numeric.h"

typedef struct Grid
{
	const char *model;
	const char *as_of;			/* NULL: never run */
	int			bins;
	int64		members;
	int64		largest;
	int64		cells[RFM_MAX_BINS + 1][RFM_MAX_BINS + 1];	/* by recency, frequency */
} Grid;

static void
ReadGrid(const char *model, Grid *grid)
{
	static CrmQuery head = {
		"SELECT to_char(r.as_of, 'YYYY-MM-DD'), coalesce(r.bins, d.bins) FROM crm_member.rfm_model d "
		"LEFT JOIN crm_member.rfm_state c USING (model_code) "
		"LEFT JOIN crm_member.rfm_run r USING (run_id) WHERE d.model_code = $1",
		1, {TEXTOID}};
	static CrmQuery body = {
		"SELECT crm_member.r(score), crm_member.f(score), count(*) FROM crm_member.rfm "
		"WHERE model_code = $1 GROUP BY 1, 2",
		1, {TEXTOID}};
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

/* A cell's shade: the blocks of a terminal, darker for more members. */
static const char *
ShadeOf(int64 members, int64 largest)
{
	static const char *const shades[] = {"  ", "░░", "▒▒", "▓▓", "██"};

	if (members == 0)
		return shades[0];
	return shades[1 + Min((members * 4 - 1) / largest, 3)];
}

static char *
DrawGrid(const Grid *grid)
{
	StringInfoData out;

	initStringInfo(&out);
	if (grid->as_of == NULL)
	{
		appendStringInfo(&out, "RFM %s: no run yet", grid->model);
		return out.data;
	}
	appendStringInfo(&out, "RFM %s, %s: " INT64_FORMAT " members\n\n", grid->model, grid->as_of,
					 grid->members);
	for (int r = grid->bins; r >= 1; r--)
	{
		appendStringInfo(&out, r == grid->bins ? "recency %2d |" : "        %2d |", r);
		for (int f = 1; f <= grid->bins; f++)
			appendStringInfo(&out, " %8" INT64_MODIFIER "d %s", grid->cells[r][f],
							 ShadeOf(grid->cells[r][f], grid->largest));
		appendStringInfoChar(&out, '\n');
	}
	appendStringInfoString(&out, "           +");
	for (int f = 1; f <= grid->bins; f++)
		appendStringInfoString(&out, "------------");
	appendStringInfoString(&out, "\n frequency  ");
	for (int f = 1; f <= grid->bins; f++)
		appendStringInfo(&out, " %8d   ", f);
	while (out.len > 0 && out.data[out.len - 1] == ' ')
		out.data[--out.len] = '\0';
	return out.data;
}

PG_FUNCTION_INFO_V1(crm_rfm_grid);
Datum
crm_rfm_grid(PG_FUNCTION_ARGS)
{
	text	   *result;
	Grid		grid;
	MemoryContext caller = CurrentMemoryContext;
	char	   *model = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *picture;

	SPI_connect();
	ReadGrid(model, &grid);
	picture = DrawGrid(&grid);
	MemoryContextSwitchTo(caller);
	result = cstring_to_text(picture);
	SPI_finish();
	PG_RETURN_TEXT_P(result);
}
