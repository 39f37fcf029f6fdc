/*
 * bulk.c: what belongs to many sales, read together.
 *
 * Few sales look their rows up; where they are a good part of a table it is read
 * as a whole, and what belongs to no sale at hand passes by.
 */
#include "crm_member.h"
#include "catalog.h"
#include "query.h"
#include "sale/bulk.h"
#include "sale/row.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"

#define LINES_AT_ONCE 5000
#define ROWS_FOR_SCAN 20		/* a table of fewer rows for each key is read as a whole */

/* ---- rows of sales ---- */

typedef struct SaleKey
{
	int64		member_id;
	int64		sale_id;
} SaleKey;

typedef struct SaleSlot
{
	SaleKey		key;
	Sale	   *sale;
	uint32		hash;
	char		status;
} SaleSlot;

#define SH_PREFIX slots
#define SH_ELEMENT_TYPE SaleSlot
#define SH_KEY_TYPE SaleKey
#define SH_KEY key
#define SH_HASH_KEY(table, key) hash_bytes((const unsigned char *) &(key), sizeof(SaleKey))
#define SH_EQUAL(table, a, b) ((a).sale_id == (b).sale_id && (a).member_id == (b).member_id)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct SaleRows
{
	slots_hash *slots;
	SaleRowVisitor visit;
	void	   *reader;
} SaleRows;

static void
VisitSaleRow(void *reader, const Datum *values, const bool *nulls)
{
	SaleRows   *rows = reader;
	SaleKey		key = {DatumGetInt64(values[0]), DatumGetInt64(values[1])};
	SaleSlot   *slot = slots_lookup(rows->slots, key);

	if (slot != NULL)
		rows->visit(rows->reader, slot->sale, values + 2, nulls + 2);
}

bool
ReadAsWhole(const char *relation, int n)
{
	double		rows = RelationRows(CrmRelation(relation));

	return rows >= 0 && rows < (double) n * ROWS_FOR_SCAN;
}

void
VisitSaleRows(Sale *const *sales, int n, const char *relation, CrmQuery *by_key, CrmQuery *whole,
			  SaleRowVisitor visit, void *reader)
{
	SaleRows	rows = {slots_create(CurrentMemoryContext, n, NULL), visit, reader};
	int64	   *members = palloc(sizeof(int64) * n);
	int64	   *numbers = palloc(sizeof(int64) * n);
	Datum		values[2];

	for (int i = 0; i < n; i++)
	{
		SaleKey		key = {sales[i]->member_id, sales[i]->sale_id};
		bool		found;

		slots_insert(rows.slots, key, &found)->sale = sales[i];
		members[i] = key.member_id;
		numbers[i] = key.sale_id;
	}
	if (ReadAsWhole(relation, n))
		VisitRows(whole, NULL, VisitSaleRow, &rows);
	else
	{
		values[0] = IdArray(members, n);
		values[1] = IdArray(numbers, n);
		VisitRows(by_key, values, VisitSaleRow, &rows);
	}
	slots_destroy(rows.slots);
}

/* ---- lines ---- */

/* Where the next line goes, and how many there is room for. */
typedef struct LinePlace
{
	SaleLine   *next;
	int			room;
} LinePlace;

/*
 * Lines of a sale mostly come one after the other, and are one array where they
 * come to lie; those of a sale that is come back to move to where there is room.
 */
static void
VisitLine(void *reader, Sale *sale, const Datum *values, const bool *nulls)
{
	LinePlace  *place = reader;

	if (place->room == 0 || sale->nlines == 0 || sale->lines + sale->nlines != place->next)
	{
		if (place->room <= sale->nlines)
		{
			place->room = Max(LINES_AT_ONCE, 2 * (sale->nlines + 1));
			place->next = palloc_extended(sizeof(SaleLine) * place->room, MCXT_ALLOC_HUGE);
		}
		if (sale->nlines > 0)
			memcpy(place->next, sale->lines, sizeof(SaleLine) * sale->nlines);
		sale->lines = place->next;
		place->next += sale->nlines;
		place->room -= sale->nlines;
	}
	ReadLineCells(values, nulls, sale, place->next);
	place->next++;
	place->room--;
}

static int
CompareLines(const void *a, const void *b)
{
	return ((const SaleLine *) a)->line_no - ((const SaleLine *) b)->line_no;
}

void
LoadManyLines(Sale *const *sales, int n)
{
	static CrmQuery by_key = {
		"SELECT l.member_id, l.sale_id, " SALE_LINE_COLUMNS
		" FROM unnest($1, $2) AS k (member_id, sale_id) "
		"JOIN crm_member.sale_line l ON l.member_id = k.member_id AND l.sale_id = k.sale_id",
		2, {INT8ARRAYOID, INT8ARRAYOID}};
	static CrmQuery whole = {
		"SELECT l.member_id, l.sale_id, " SALE_LINE_COLUMNS " FROM crm_member.sale_line l", 0};
	LinePlace	place = {NULL, 0};

	VisitSaleRows(sales, n, "sale_line", &by_key, &whole, VisitLine, &place);
	for (int i = 0; i < n; i++)
	{
		Sale	   *sale = sales[i];

		for (int l = 1; l < sale->nlines; l++)
		{
			if (sale->lines[l - 1].line_no < sale->lines[l].line_no)
				continue;
			qsort(sale->lines, sale->nlines, sizeof(SaleLine), CompareLines);
			break;
		}
	}
}
