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
#define FIRST_LINES 4

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

static char *
TextCell(const Datum *values, const bool *nulls, int cell)
{
	return nulls[cell] ? NULL : TextDatumGetCString(values[cell]);
}

static int64
MoneyCell(const Datum *values, const bool *nulls, int cell)
{
	return nulls[cell] ? 0
		: ExactMinor(DatumGetNumeric(values[cell]), GetSetting()->money_scale, "money");
}

static bool
DecimalCell(const Datum *values, const bool *nulls, int cell, Decimal *decimal, const char *what)
{
	if (!nulls[cell])
		*decimal = NumericToDecimal(DatumGetNumeric(values[cell]), what);
	return !nulls[cell];
}

void
ReadSaleCells(const Datum *values, const bool *nulls, Sale *sale)
{
	sale->member_id = DatumGetInt64(values[0]);
	sale->sale_id = DatumGetInt64(values[1]);
	sale->source = TextCell(values, nulls, 2);
	sale->ref = TextCell(values, nulls, 3);
	sale->store = TextCell(values, nulls, 4);
	sale->channel = TextCell(values, nulls, 5);
	sale->sold_at = DatumGetTimestampTz(values[6]);
	sale->shipping = MoneyCell(values, nulls, 7);
	sale->attrs = DatumGetJsonbPCopy(values[8]);
	sale->actor = TextCell(values, nulls, 9);
	sale->settled_at = nulls[10] ? DT_NOBEGIN : DatumGetTimestampTz(values[10]);
	sale->amount = sale->discount = 0;
	sale->nlines = 0;
	sale->lines = NULL;
}

void
ReadLineCells(const Datum *values, const bool *nulls, Sale *sale)
{
	SaleLine   *line;

	if (sale->nlines == 0)
		sale->lines = palloc(sizeof(SaleLine) * FIRST_LINES);
	else if (sale->nlines >= FIRST_LINES && (sale->nlines & (sale->nlines - 1)) == 0)
		sale->lines = repalloc(sale->lines, sizeof(SaleLine) * sale->nlines * 2);

	line = &sale->lines[sale->nlines++];
	memset(line, 0, sizeof(*line));
	line->line_no = DatumGetInt32(values[0]);
	line->sku = TextCell(values, nulls, 1);
	line->category = TextCell(values, nulls, 2);
	line->brand = TextCell(values, nulls, 3);
	DecimalCell(values, nulls, 4, &line->quantity, "quantity");
	DecimalCell(values, nulls, 5, &line->price, "price");
	line->amount = MoneyCell(values, nulls, 6);
	line->discount = MoneyCell(values, nulls, 7);
	line->has_min_price = DecimalCell(values, nulls, 8, &line->min_price, "min_price");
	line->has_tax_rate = DecimalCell(values, nulls, 9, &line->tax_rate, "tax_rate");
	line->attrs = DatumGetJsonbPCopy(values[10]);
	line->points_paid = MoneyCell(values, nulls, 11);
	sale->amount = AddMinor(sale->amount, line->amount);
	sale->discount = AddMinor(sale->discount, line->discount);
}

/*
 * Sales from rows, a row a line: the columns of SALE_COLUMNS, the lines of a
 * sale one after the other.  Adds the row to *sale if it is the same sale's
 * next line; else begins a new sale.  Everything in the current context.
 */
bool
ReadSaleRow(uint64 row, Sale *sale)
{
	/* taken apart at once: columns of a wide row cost the more the later they stand */
	Datum		values[SALE_COLUMN_COUNT + 1];
	bool		nulls[SALE_COLUMN_COUNT + 1];

	Assert(SPI_tuptable->tupdesc->natts <= lengthof(values));
	heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, values, nulls);
	if (sale->nlines > 0 && (sale->member_id != DatumGetInt64(values[0]) ||
							 sale->sale_id != DatumGetInt64(values[1])))
		return false;
	if (sale->nlines == 0)
		ReadSaleCells(values, nulls, sale);
	ReadLineCells(values + SALE_HEADER_COUNT, nulls + SALE_HEADER_COUNT, sale);
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
