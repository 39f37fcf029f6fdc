/*
 * svg.c: pictures of a model as SVG, for report pages.
 *
 * A picture stands alone: no style sheet, font or script of elsewhere.  The grid
 * goes from light to dark in one hue, and the two colours of the bars are told
 * apart by every kind of colour vision; every mark carries its number as well.
 */
#include "crm_member.h"
#include "rfm/picture.h"

#include "utils/builtins.h"

#define MARGIN_LEFT	  96
#define MARGIN_TOP	  56
#define MARGIN_BOTTOM 64
#define CELL_WIDTH	  88
#define CELL_HEIGHT	  48
#define NAME_WIDTH	  170		/* at least */
#define BAR_SCALE	  420		/* of a whole */
#define BAR_ROW		  40
#define TITLE_COLUMN  11		/* what a column of a terminal's takes at most, in bold */
#define NAME_COLUMN	  8
#define MEMBERS_COLOR "#0072b2"
#define MONEY_COLOR	  "#e69f00"

/* Text of users, as character data. */
static void
AppendEscaped(StringInfo out, const char *s)
{
	for (; *s != '\0'; s++)
	{
		switch (*s)
		{
			case '<':
				appendStringInfoString(out, "&lt;");
				break;
			case '>':
				appendStringInfoString(out, "&gt;");
				break;
			case '&':
				appendStringInfoString(out, "&amp;");
				break;
			case '"':
				appendStringInfoString(out, "&quot;");
				break;
			default:
				/* XML has no other control characters than these, and no U+FFFE and U+FFFF */
				if (strncmp(s, "\xEF\xBF\xBE", 3) == 0 || strncmp(s, "\xEF\xBF\xBF", 3) == 0)
					s += 2;
				else if ((unsigned char) *s >= 0x20 || *s == '\t' || *s == '\n')
					appendStringInfoChar(out, *s);
		}
	}
}

static void
BeginSvg(StringInfo out, int width, int height, const Grid *grid, Language language)
{
	static const char *const none[] = {"no run yet", "尚未运行"};
	static const char *const members[] = {"members", "位会员"};

	StringInfoData title;

	initStringInfo(&title);
	if (grid->as_of == NULL)
		appendStringInfo(&title, "%s: %s", grid->name, none[language]);
	else
		appendStringInfo(&title, "%s, %s: " INT64_FORMAT " %s", grid->name, grid->as_of,
						 grid->members, members[language]);
	width = Max(width, 32 + DisplayWidth(title.data) * TITLE_COLUMN);
	appendStringInfo(out,
					 "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
					 "viewBox=\"0 0 %d %d\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\" "
					 "fill=\"#222222\">\n"
					 "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n"
					 "<text x=\"%d\" y=\"28\" font-size=\"16\" font-weight=\"bold\">",
					 width, height, width, height, width, height, 16);
	AppendEscaped(out, title.data);
	appendStringInfoString(out, "</text>\n");
}

/* White to dark blue by the share of the largest cell. */
static void
CellColors(int64 members, int64 largest, char *fill, char *ink)
{
	static const int light[] = {0xf7, 0xfb, 0xff};
	static const int dark[] = {0x08, 0x30, 0x6b};
	double		share = largest > 0 ? (double) members / largest : 0;
	int			color[3];

	for (int i = 0; i < 3; i++)
		color[i] = light[i] + (int) ((dark[i] - light[i]) * share);
	sprintf(fill, "#%02x%02x%02x", color[0], color[1], color[2]);
	strcpy(ink, share > 0.6 ? "#ffffff" : "#222222");
}

static void
DrawGridSvg(StringInfo out, const char *model, Language language)
{
	static const char *const recency[] = {"Recency, %d = latest", "最近消费（%d 为最近）"};
	static const char *const frequency[] = {"Frequency, %d = most often", "消费频率（%d 为最高）"};
	Grid		grid;
	int			bottom;

	ReadGrid(model, &grid);
	bottom = MARGIN_TOP + grid.bins * CELL_HEIGHT;
	BeginSvg(out, MARGIN_LEFT + grid.bins * CELL_WIDTH + 16, bottom + MARGIN_BOTTOM, &grid,
			 language);
	for (int r = grid.bins; r >= 1; r--)
	{
		int			y = MARGIN_TOP + (grid.bins - r) * CELL_HEIGHT;

		appendStringInfo(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%d</text>\n",
						 MARGIN_LEFT - 8, y + CELL_HEIGHT / 2 + 5, r);
		for (int f = 1; f <= grid.bins; f++)
		{
			int			x = MARGIN_LEFT + (f - 1) * CELL_WIDTH;
			char		fill[8];
			char		ink[8];

			CellColors(grid.cells[r][f], grid.largest, fill, ink);
			appendStringInfo(out,
							 "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\" "
							 "stroke=\"#9aa5b1\"><title>R%d F%d: " INT64_FORMAT " (%.1f%%)</title></rect>"
							 "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"%s\" "
							 "pointer-events=\"none\">" INT64_FORMAT "</text>\n",
							 x, y, CELL_WIDTH, CELL_HEIGHT, fill, r, f, grid.cells[r][f],
							 grid.members > 0 ? 100.0 * grid.cells[r][f] / grid.members : 0.0,
							 x + CELL_WIDTH / 2, y + CELL_HEIGHT / 2 + 5, ink, grid.cells[r][f]);
		}
	}
	for (int f = 1; f <= grid.bins; f++)
		appendStringInfo(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%d</text>\n",
						 MARGIN_LEFT + (f - 1) * CELL_WIDTH + CELL_WIDTH / 2, bottom + 20, f);
	appendStringInfo(out,
					 "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" font-weight=\"bold\">%s</text>\n"
					 "<text transform=\"translate(28 %d) rotate(-90)\" text-anchor=\"middle\" "
					 "font-weight=\"bold\">%s</text>\n</svg>",
					 MARGIN_LEFT + grid.bins * CELL_WIDTH / 2, bottom + 46,
					 psprintf(frequency[language], grid.bins),
					 MARGIN_TOP + Max(grid.bins, 3) * CELL_HEIGHT / 2,
					 psprintf(recency[language], grid.bins));
}

/* A share of money may lie outside 0 to 1 where others are negative; then the label alone says so. */
static void
AppendBar(StringInfo out, int x, int y, double share, const char *color, const char *label)
{
	int			width = (int) (Min(Max(share, 0), 1) * BAR_SCALE + 0.5);

	appendStringInfo(out,
					 "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"14\" fill=\"%s\"/>"
					 "<text x=\"%d\" y=\"%d\" font-size=\"11\">%s</text>\n",
					 x, y, width, color, x + width + 6, y + 11, label);
}

static void
DrawBarsSvg(StringInfo out, const char *model, Language language)
{
	static const char *const members[] = {"share of members", "会员占比"};
	static const char *const money[] = {"share of money", "金额占比"};
	Grid		grid;
	Bar		   *bars;
	int			nbars;
	int			bottom;
	int			left = NAME_WIDTH;

	ReadGrid(model, &grid);
	nbars = ReadBars(model, language, &bars);
	for (int i = 0; i < nbars; i++)
		left = Max(left, 20 + DisplayWidth(bars[i].name) * NAME_COLUMN);
	bottom = MARGIN_TOP + nbars * BAR_ROW;
	BeginSvg(out, left + BAR_SCALE + 130, bottom + 40, &grid, language);
	for (int i = 0; i < nbars; i++)
	{
		int			y = MARGIN_TOP + i * BAR_ROW;

		appendStringInfo(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", left - 10,
						 y + 20);
		AppendEscaped(out, bars[i].name);
		appendStringInfoString(out, "</text>\n");
		AppendBar(out, left, y, bars[i].member_share, MEMBERS_COLOR,
				  psprintf(INT64_FORMAT " (%.1f%%)", bars[i].members, 100 * bars[i].member_share));
		AppendBar(out, left, y + 16, bars[i].money_share, MONEY_COLOR,
				  psprintf("%.1f%%", 100 * bars[i].money_share));
	}
	appendStringInfo(out,
					 "<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"14\" fill=\"" MEMBERS_COLOR "\"/>"
					 "<text x=\"%d\" y=\"%d\">%s</text>"
					 "<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"14\" fill=\"" MONEY_COLOR "\"/>"
					 "<text x=\"%d\" y=\"%d\">%s</text>\n</svg>",
					 left, bottom + 10, left + 20, bottom + 22, members[language],
					 left + 180, bottom + 10, left + 200, bottom + 22, money[language]);
}

PG_FUNCTION_INFO_V1(crm_rfm_grid_svg);
Datum
crm_rfm_grid_svg(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(DrawPicture(DrawGridSvg, fcinfo));
}

PG_FUNCTION_INFO_V1(crm_segment_bars_svg);
Datum
crm_segment_bars_svg(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(DrawPicture(DrawBarsSvg, fcinfo));
}
