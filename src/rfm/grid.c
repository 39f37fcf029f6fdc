/*
 * grid.c: pictures of a model as text, for a terminal.
 */
#include "crm_member.h"
#include "rfm/picture.h"

#include "utils/builtins.h"

#define BAR_WIDTH 40

/* A cell's shade: the blocks of a terminal, darker for more members. */
static const char *
ShadeOf(int64 members, int64 largest)
{
	static const char *const shades[] = {"  ", "░░", "▒▒", "▓▓", "██"};

	if (members == 0)
		return shades[0];
	return shades[1 + Min((members * 4 - 1) / largest, 3)];
}

/* A control character in a name would move what follows, or more: it is shown as a blank. */
static void
AppendPadded(StringInfo out, const char *s, int width)
{
	for (const char *at = s; *at != '\0'; at++)
		appendStringInfoChar(out, (unsigned char) *at < 0x20 || *at == 0x7F ? ' ' : *at);
	appendStringInfoSpaces(out, Max(width - DisplayWidth(s), 0));
}

/* False, and a line that says so, where the model was never run. */
static bool
AppendHead(StringInfo out, const Grid *grid, Language language)
{
	static const char *const none[] = {"no run yet", "尚未运行"};
	static const char *const members[] = {"members", "位会员"};

	if (grid->as_of == NULL)
	{
		appendStringInfo(out, "RFM %s: %s", grid->model, none[language]);
		return false;
	}
	appendStringInfo(out, "RFM %s, %s: " INT64_FORMAT " %s\n\n", grid->model, grid->as_of,
					 grid->members, members[language]);
	return true;
}

static void
DrawGrid(StringInfo out, const char *model, Language language)
{
	static const char *const recency[] = {"recency", "最近"};
	static const char *const frequency[] = {"frequency", "频率"};
	Grid		grid;

	ReadGrid(model, &grid);
	if (!AppendHead(out, &grid, language))
		return;
	for (int r = grid.bins; r >= 1; r--)
	{
		AppendPadded(out, r == grid.bins ? recency[language] : "", 8);
		appendStringInfo(out, "%2d |", r);
		for (int f = 1; f <= grid.bins; f++)
		{
			const char *shade = ShadeOf(grid.cells[r][f], grid.largest);

			appendStringInfo(out, " %8lld", (long long) grid.cells[r][f]);
			if (shade[0] != ' ')
				appendStringInfo(out, " %s", shade);
			else if (f < grid.bins)
				appendStringInfoSpaces(out, 3);
		}
		appendStringInfoChar(out, '\n');
	}
	appendStringInfoSpaces(out, 11);
	appendStringInfoChar(out, '+');
	for (int f = 1; f <= grid.bins; f++)
		appendStringInfoString(out, "------------");
	appendStringInfoChar(out, '\n');
	AppendPadded(out, psprintf(" %s", frequency[language]), 12);
	for (int f = 1; f <= grid.bins; f++)
		appendStringInfo(out, f < grid.bins ? " %8d   " : " %8d", f);
}

static void
DrawBars(StringInfo out, const char *model, Language language)
{
	Grid		grid;
	Bar		   *bars;
	int			nbars;
	int			width = 0;

	ReadGrid(model, &grid);
	if (!AppendHead(out, &grid, language))
		return;
	nbars = ReadBars(model, language, &bars);
	for (int i = 0; i < nbars; i++)
		width = Max(width, DisplayWidth(bars[i].name));
	for (int i = 0; i < nbars; i++)
	{
		AppendPadded(out, bars[i].name, width);
		appendStringInfo(out, " %9lld %5.1f%%", (long long) bars[i].members,
						 100 * bars[i].member_share);
		for (int b = 0; b < (int) (bars[i].member_share * BAR_WIDTH + 0.5); b++)
			appendStringInfoString(out, b == 0 ? " █" : "█");
		if (i < nbars - 1)
			appendStringInfoChar(out, '\n');
	}
}

PG_FUNCTION_INFO_V1(crm_rfm_grid);
Datum
crm_rfm_grid(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(DrawPicture(DrawGrid, fcinfo));
}

PG_FUNCTION_INFO_V1(crm_segment_bars);
Datum
crm_segment_bars(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(DrawPicture(DrawBars, fcinfo));
}
