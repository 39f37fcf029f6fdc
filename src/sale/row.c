/*
 * row.c: sales as rows of sale, sale_line and the directory sale_ref.
 */
#include "crm_member.h"
#include "points/points.h"
#include "query.h"
#include "sale/row.h"
#include "setting.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* Lines there is room for at first. */
#define FIRST_LINES 8

static Datum
MoneyDatum(int64 units)
{
	return NumericGetDatum(MinorToNumeric(units, GetSetting()->money_scale));
}

static Datum
DecimalOrNull(Decimal value, bool known, bool *isnull)
{
	*isnull = !known;
	return known ? NumericGetDatum(DecimalToNumeric(value)) : (Datum) 0;
}

static Datum
JsonbOrNull(Jsonb *value, bool *isnull)
{
	*isnull = value == NULL;
	return JsonbPGetDatum(value);
}

bool
FindSale(Sale *sale, int64 digest)
{
	static CrmQuery query = {
		"SELECT member_id, sale_id, digest FROM crm_member.sale_ref "
		"WHERE source = $1 AND ref = $2",
		2, {TEXTOID, TEXTOID}};
	Datum		values[2];
	bool		found;

	values[0] = CStringGetTextDatum(sale->source);
	values[1] = CStringGetTextDatum(sale->ref);
	SPI_connect();
	found = RunQuery(&query, values, NULL, false, 1) == 1;
	if (found)
	{
		bool		isnull;
		int64		first;

		sale->member_id = DatumGetInt64(QueryColumn(0, 1, &isnull));
		sale->sale_id = DatumGetInt64(QueryColumn(0, 2, &isnull));
		first = DatumGetInt64(QueryColumn(0, 3, &isnull));
		if (!isnull && first != digest)
			ereport(ERROR, (errcode(ERRCODE_CRM_REFERENCE_REUSED),
							errmsg("sale \"%s\" of source \"%s\" was rung up with other content",
								   sale->ref, sale->source),
							errhint("A retry must send what the first call sent; another sale "
									"needs another \"ref\".")));
	}
	SPI_finish();
	return found;
}

bool
ClaimSale(Sale *sale, int64 digest)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.sale_ref (source, ref, member_id, sale_id, digest) "
		"VALUES ($1, $2, $3, $4, $5) ON CONFLICT (source, ref) DO NOTHING",
		5, {TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID}};
	Datum		values[5];
	bool		claimed;

	sale->sale_id = NewId();
	values[0] = CStringGetTextDatum(sale->source);
	values[1] = CStringGetTextDatum(sale->ref);
	values[2] = Int64GetDatum(sale->member_id);
	values[3] = Int64GetDatum(sale->sale_id);
	values[4] = Int64GetDatum(digest);
	SPI_connect();
	claimed = RunQuery(&query, values, NULL, false, 0) == 1;
	SPI_finish();
	if (!claimed && !FindSale(sale, digest))
		elog(ERROR, "sale reference \"%s\" vanished", sale->ref);
	return claimed;
}

static void
InsertLines(const Sale *sale)
{
	static const BatchColumn columns[] = {
		{"line_no", INT4OID}, {"sku", TEXTOID}, {"category", TEXTOID}, {"brand", TEXTOID},
		{"quantity", NUMERICOID}, {"price", NUMERICOID}, {"discount", NUMERICOID},
		{"min_price", NUMERICOID}, {"tax_rate", NUMERICOID}, {"attrs", JSONBOID},
		{"member_id", INT8OID}, {"sale_id", INT8OID}, {"points_paid", NUMERICOID}};
	static CrmQuery query = {
		"INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, sku, category, brand, "
		"quantity, price, discount, min_price, tax_rate, attrs, points_paid) "
		"SELECT member_id, sale_id, line_no, sku, category, brand, quantity, price, discount, "
		"min_price, tax_rate, coalesce(attrs, '{}'), points_paid FROM batch", 0};
	RowBatch   *batch = BeginBatch(columns, lengthof(columns));

	for (int i = 0; i < sale->nlines; i++)
	{
		const SaleLine *line = &sale->lines[i];
		Datum		values[lengthof(columns)];
		bool		nulls[lengthof(columns)] = {false};

		values[0] = Int32GetDatum(line->line_no);
		values[1] = TextOrNull(line->sku, &nulls[1]);
		values[2] = TextOrNull(line->category, &nulls[2]);
		values[3] = TextOrNull(line->brand, &nulls[3]);
		values[4] = NumericGetDatum(DecimalToNumeric(line->quantity));
		values[5] = NumericGetDatum(DecimalToNumeric(line->price));
		values[6] = MoneyDatum(line->discount);
		values[7] = DecimalOrNull(line->min_price, line->has_min_price, &nulls[7]);
		values[8] = DecimalOrNull(line->tax_rate, line->has_tax_rate, &nulls[8]);
		values[9] = JsonbOrNull(line->attrs, &nulls[9]);
		values[10] = Int64GetDatum(sale->member_id);
		values[11] = Int64GetDatum(sale->sale_id);
		values[12] = MoneyDatum(line->points_paid);
		AddRow(batch, values, nulls);
	}
	RunBatch(&query, batch);
	EndBatch(batch);
}

/*
 * A settled sale with its lines.  The lines go first, so that neither insert
 * looks like a sale that waits for settlement.
 */
void
InsertSale(const Sale *sale)
{
	static const BatchColumn columns[] = {
		{"member_id", INT8OID}, {"sale_id", INT8OID}, {"source", TEXTOID}, {"ref", TEXTOID},
		{"store", TEXTOID}, {"channel", TEXTOID}, {"sold_at", TIMESTAMPTZOID},
		{"shipping", NUMERICOID}, {"attrs", JSONBOID}, {"actor", TEXTOID},
		{"amount", NUMERICOID}, {"discount", NUMERICOID}, {"payable", NUMERICOID}};
	static CrmQuery query = {
		"INSERT INTO crm_member.sale (member_id, sale_id, source, ref, store, channel, sold_at, "
		"shipping, attrs, actor, amount, discount, payable, settled_at) "
		"SELECT member_id, sale_id, source, ref, store, channel, sold_at, shipping, "
		"coalesce(attrs, '{}'), actor, amount, discount, payable, now() FROM batch", 0};
	RowBatch   *batch;
	Datum		values[lengthof(columns)];
	bool		nulls[lengthof(columns)] = {false};

	SPI_connect();
	InsertLines(sale);
	batch = BeginBatch(columns, lengthof(columns));
	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	values[2] = CStringGetTextDatum(sale->source);
	values[3] = CStringGetTextDatum(sale->ref);
	values[4] = TextOrNull(sale->store, &nulls[4]);
	values[5] = TextOrNull(sale->channel, &nulls[5]);
	values[6] = TimestampTzGetDatum(sale->sold_at);
	values[7] = MoneyDatum(sale->shipping);
	values[8] = JsonbOrNull(sale->attrs, &nulls[8]);
	values[9] = TextOrNull(sale->actor, &nulls[9]);
	values[10] = MoneyDatum(sale->amount);
	values[11] = MoneyDatum(sale->discount);
	values[12] = MoneyDatum(SalePayable(sale));
	AddRow(batch, values, nulls);
	RunBatch(&query, batch);
	EndBatch(batch);
	SPI_finish();
}

/* A row taken apart at once: columns of a wide row cost the more the later they stand. */
typedef struct Cells
{
	Datum		values[SALE_COLUMN_COUNT + 1];
	bool		nulls[SALE_COLUMN_COUNT + 1];
} Cells;

static void
ReadCells(uint64 row, Cells *cells)
{
	Assert(SPI_tuptable->tupdesc->natts <= lengthof(cells->values));
	heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, cells->values, cells->nulls);
}

static char *
TextCell(const Cells *cells, int column)
{
	return cells->nulls[column - 1] ? NULL : TextDatumGetCString(cells->values[column - 1]);
}

static int64
MoneyCell(const Cells *cells, int column)
{
	return cells->nulls[column - 1] ? 0
		: ExactMinor(DatumGetNumeric(cells->values[column - 1]), GetSetting()->money_scale, "money");
}

static bool
DecimalCell(const Cells *cells, int column, Decimal *decimal, const char *what)
{
	bool		known = !cells->nulls[column - 1];

	if (known)
		*decimal = NumericToDecimal(DatumGetNumeric(cells->values[column - 1]), what);
	return known;
}

/*
 * Sales from rows, a row a line: the columns of SALE_COLUMNS, the lines of a
 * sale one after the other.  Adds the row to *sale if it is the same sale's
 * next line; else begins a new sale.  Everything in the current context.
 */
bool
ReadSaleRow(uint64 row, Sale *sale)
{
	Cells		cells;
	int64		member_id;
	int64		sale_id;
	SaleLine   *line;

	ReadCells(row, &cells);
	member_id = DatumGetInt64(cells.values[0]);
	sale_id = DatumGetInt64(cells.values[1]);
	if (sale->nlines > 0 && (sale->member_id != member_id || sale->sale_id != sale_id))
		return false;
	if (sale->nlines == 0)
	{
		sale->member_id = member_id;
		sale->sale_id = sale_id;
		sale->source = TextCell(&cells, 3);
		sale->ref = TextCell(&cells, 4);
		sale->store = TextCell(&cells, 5);
		sale->channel = TextCell(&cells, 6);
		sale->sold_at = DatumGetTimestampTz(cells.values[6]);
		sale->shipping = MoneyCell(&cells, 8);
		sale->attrs = DatumGetJsonbPCopy(cells.values[8]);
		sale->actor = TextCell(&cells, 10);
		sale->settled_at = cells.nulls[10] ? DT_NOBEGIN : DatumGetTimestampTz(cells.values[10]);
		sale->amount = sale->discount = 0;
		sale->lines = palloc0(sizeof(SaleLine) * FIRST_LINES);
	}
	else if (sale->nlines >= FIRST_LINES && (sale->nlines & (sale->nlines - 1)) == 0)
		sale->lines = repalloc(sale->lines, sizeof(SaleLine) * sale->nlines * 2);

	line = &sale->lines[sale->nlines++];
	memset(line, 0, sizeof(*line));
	line->line_no = DatumGetInt32(cells.values[11]);
	line->sku = TextCell(&cells, 13);
	line->category = TextCell(&cells, 14);
	line->brand = TextCell(&cells, 15);
	DecimalCell(&cells, 16, &line->quantity, "quantity");
	DecimalCell(&cells, 17, &line->price, "price");
	line->amount = MoneyCell(&cells, 18);
	line->discount = MoneyCell(&cells, 19);
	line->has_min_price = DecimalCell(&cells, 20, &line->min_price, "min_price");
	line->has_tax_rate = DecimalCell(&cells, 21, &line->tax_rate, "tax_rate");
	line->attrs = DatumGetJsonbPCopy(cells.values[21]);
	line->points_paid = MoneyCell(&cells, 23);
	sale->amount = AddMinor(sale->amount, line->amount);
	sale->discount = AddMinor(sale->discount, line->discount);
	return true;
}

void
LoadSale(Sale *sale)
{
	static CrmQuery query = {
		"SELECT " SALE_COLUMNS " FROM crm_member.sale s JOIN crm_member.sale_line l "
		"ON l.member_id = s.member_id AND l.sale_id = s.sale_id "
		"WHERE s.member_id = $1 AND s.sale_id = $2 ORDER BY l.line_no",
		2, {INT8OID, INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext old;
	Datum		values[2];
	uint64		found;

	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	SPI_connect();
	found = RunQuery(&query, values, NULL, false, 0);
	if (found == 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_SALE_UNSETTLED),
						errmsg("sale \"%s\" of source \"%s\" waits for its lines", sale->ref,
							   sale->source),
						errdetail("Its header came as a row, and is not settled."),
						errhint("Insert its lines into crm_member.sale_line.")));
	old = MemoryContextSwitchTo(caller);
	sale->nlines = 0;
	for (uint64 row = 0; row < found; row++)
		ReadSaleRow(row, sale);
	MemoryContextSwitchTo(old);
	SPI_finish();
}

/*
 * Sales that came as rows are in the books now.  By tid, which with sequential
 * scans off has one plan at any size of the tables; a row that somebody else has
 * settled since is not found unsettled.
 */
void
MarkSettled(const EarnedSale *sales, int n)
{
	static const BatchColumn columns[] = {
		{"tid", TIDOID}, {"amount", NUMERICOID}, {"discount", NUMERICOID},
		{"payable", NUMERICOID}};
	static CrmQuery query = {
		"UPDATE crm_member.sale s SET amount = b.amount, discount = b.discount, "
		"payable = b.payable, settled_at = now() FROM batch b "
		"WHERE s.ctid = b.tid AND s.settled_at IS NULL", 0};
	RowBatch   *batch;

	SPI_connect();
	batch = BeginBatch(columns, lengthof(columns));
	for (int i = 0; i < n; i++)
	{
		const Sale *sale = sales[i].sale;
		Datum		values[lengthof(columns)];
		bool		nulls[lengthof(columns)] = {false};

		values[0] = PointerGetDatum(&sale->tid);
		values[1] = MoneyDatum(sale->amount);
		values[2] = MoneyDatum(sale->discount);
		values[3] = MoneyDatum(SalePayable(sale));
		AddRow(batch, values, nulls);
	}
	if (RunBatch(&query, batch) != n)
		ereport(ERROR, (errcode(ERRCODE_CRM_SALE_SETTLED),
						errmsg("a sale was settled by somebody else meanwhile"),
						errhint("Try again.")));
	EndBatch(batch);
	SPI_finish();
}
