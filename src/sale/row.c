/*
 * row.c: sales as rows of sale, sale_line and the directory sale_ref.
 */
#include "crm_member.h"
#include "query.h"
#include "sale/sale.h"
#include "setting.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static Datum
MoneyDatum(int64 units)
{
	return NumericGetDatum(MinorToNumeric(units, GetSetting()->money_scale));
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

static Datum
MakeArray(Datum *elements, bool *nulls, int n, Oid type)
{
	int16		length;
	bool		byval;
	char		align;
	int			lower = 1;

	get_typlenbyvalalign(type, &length, &byval, &align);
	return PointerGetDatum(construct_md_array(elements, nulls, 1, &n, &lower, type, length, byval,
											  align));
}

static void
InsertLines(const Sale *sale)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, sku, category, brand, "
		"quantity, price, discount, min_price, tax_rate, attrs) "
		"SELECT $1, $2, line_no, sku, category, brand, quantity, price, discount, min_price, "
		"tax_rate, coalesce(attrs, '{}') FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, "
		"$11, $12) AS l (line_no, sku, category, brand, quantity, price, discount, min_price, "
		"tax_rate, attrs)",
		12, {INT8OID, INT8OID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
			NUMERICARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID,
			JSONBARRAYOID}};
	static const Oid types[10] = {INT4OID, TEXTOID, TEXTOID, TEXTOID, NUMERICOID, NUMERICOID,
		NUMERICOID, NUMERICOID, NUMERICOID, JSONBOID};
	int			n = sale->nlines;
	Datum	   *cells = palloc0(sizeof(Datum) * n * 10);
	bool	   *nulls = palloc0(sizeof(bool) * n * 10);
	Datum		values[12];

#define CELL(column, known, datum) \
	(nulls[(column) * n + i] = !(known), cells[(column) * n + i] = (known) ? (datum) : (Datum) 0)

	for (int i = 0; i < n; i++)
	{
		const SaleLine *line = &sale->lines[i];

		CELL(0, true, Int32GetDatum(line->line_no));
		CELL(1, line->sku != NULL, CStringGetTextDatum(line->sku));
		CELL(2, line->category != NULL, CStringGetTextDatum(line->category));
		CELL(3, line->brand != NULL, CStringGetTextDatum(line->brand));
		CELL(4, true, NumericGetDatum(DecimalToNumeric(line->quantity)));
		CELL(5, true, NumericGetDatum(DecimalToNumeric(line->price)));
		CELL(6, true, MoneyDatum(line->discount));
		CELL(7, line->has_min_price, NumericGetDatum(DecimalToNumeric(line->min_price)));
		CELL(8, line->has_tax_rate, NumericGetDatum(DecimalToNumeric(line->tax_rate)));
		CELL(9, line->attrs != NULL, JsonbPGetDatum(line->attrs));
	}
#undef CELL

	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	for (int column = 0; column < 10; column++)
		values[2 + column] = MakeArray(cells + column * n, nulls + column * n, n, types[column]);
	RunQuery(&query, values, NULL, false, 0);
}

/*
 * A settled sale with its lines.  The lines go first, so that neither insert
 * looks like a sale that waits for settlement.
 */
void
InsertSale(const Sale *sale)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.sale (member_id, sale_id, source, ref, store, channel, sold_at, "
		"shipping, attrs, actor, amount, discount, payable, settled_at) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, coalesce($9, '{}'), $10, $11, $12, $13, "
		"now())",
		13, {INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, NUMERICOID,
			JSONBOID, TEXTOID, NUMERICOID, NUMERICOID, NUMERICOID}};
	Datum		values[13];
	char		nulls[13];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	values[2] = CStringGetTextDatum(sale->source);
	values[3] = CStringGetTextDatum(sale->ref);
	values[4] = TextOrNull(sale->store, &nulls[4]);
	values[5] = TextOrNull(sale->channel, &nulls[5]);
	values[6] = TimestampTzGetDatum(sale->sold_at);
	values[7] = MoneyDatum(sale->shipping);
	nulls[8] = sale->attrs == NULL ? 'n' : ' ';
	values[8] = JsonbPGetDatum(sale->attrs);
	values[9] = TextOrNull(sale->actor, &nulls[9]);
	values[10] = MoneyDatum(sale->amount);
	values[11] = MoneyDatum(sale->discount);
	values[12] = MoneyDatum(SalePayable(sale));
	SPI_connect();
	InsertLines(sale);
	RunQuery(&query, values, nulls, false, 0);
	SPI_finish();
}

static char *
TextColumn(uint64 row, int column)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static int64
MoneyColumn(uint64 row, int column)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);

	return isnull ? 0 : ExactMinor(DatumGetNumeric(value), GetSetting()->money_scale, "money");
}

/* Fills lines and their sums; in the caller's context. */
static void
LoadLines(Sale *sale)
{
	static CrmQuery query = {
		"SELECT line_no, sku, category, brand, quantity, price, amount, discount, min_price, "
		"tax_rate, attrs FROM crm_member.sale_line WHERE member_id = $1 "
		"AND sale_id = $2 ORDER BY line_no",
		2, {INT8OID, INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext old;
	Datum		values[2];

	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	SPI_connect();
	sale->nlines = RunQuery(&query, values, NULL, false, 0);
	old = MemoryContextSwitchTo(caller);
	sale->lines = palloc0(sizeof(SaleLine) * Max(sale->nlines, 1));
	sale->amount = sale->discount = 0;
	for (int i = 0; i < sale->nlines; i++)
	{
		SaleLine   *line = &sale->lines[i];
		bool		isnull;
		Datum		value;

		line->line_no = DatumGetInt32(QueryColumn(i, 1, &isnull));
		line->sku = TextColumn(i, 2);
		line->category = TextColumn(i, 3);
		line->brand = TextColumn(i, 4);
		line->quantity = NumericToDecimal(DatumGetNumeric(QueryColumn(i, 5, &isnull)), "quantity");
		line->price = NumericToDecimal(DatumGetNumeric(QueryColumn(i, 6, &isnull)), "price");
		line->amount = MoneyColumn(i, 7);
		line->discount = MoneyColumn(i, 8);
		value = QueryColumn(i, 9, &isnull);
		line->has_min_price = !isnull;
		if (!isnull)
			line->min_price = NumericToDecimal(DatumGetNumeric(value), "min_price");
		value = QueryColumn(i, 10, &isnull);
		line->has_tax_rate = !isnull;
		if (!isnull)
			line->tax_rate = NumericToDecimal(DatumGetNumeric(value), "tax_rate");
		line->attrs = (Jsonb *) PG_DETOAST_DATUM_COPY(QueryColumn(i, 11, &isnull));
		sale->amount = AddMinor(sale->amount, line->amount);
		sale->discount = AddMinor(sale->discount, line->discount);
	}
	MemoryContextSwitchTo(old);
	SPI_finish();
}

TimestampTz
LoadSale(Sale *sale)
{
	static CrmQuery query = {
		"SELECT source, ref, store, channel, sold_at, shipping, attrs, actor, settled_at "
		"FROM crm_member.sale WHERE member_id = $1 "
		"AND sale_id = $2",
		2, {INT8OID, INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext old;
	Datum		values[2];
	TimestampTz settled_at;
	bool		isnull;

	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	SPI_connect();
	if (RunQuery(&query, values, NULL, false, 1) == 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_SALE),
						errmsg("sale " INT64_FORMAT " does not exist", sale->sale_id)));
	old = MemoryContextSwitchTo(caller);
	sale->source = TextColumn(0, 1);
	sale->ref = TextColumn(0, 2);
	sale->store = TextColumn(0, 3);
	sale->channel = TextColumn(0, 4);
	sale->sold_at = DatumGetTimestampTz(QueryColumn(0, 5, &isnull));
	sale->shipping = MoneyColumn(0, 6);
	sale->attrs = (Jsonb *) PG_DETOAST_DATUM_COPY(QueryColumn(0, 7, &isnull));
	sale->actor = TextColumn(0, 8);
	settled_at = DatumGetTimestampTz(QueryColumn(0, 9, &isnull));
	MemoryContextSwitchTo(old);
	SPI_finish();
	if (isnull)
		settled_at = DT_NOBEGIN;
	LoadLines(sale);
	return settled_at;
}

/* A sale that came as rows is in the books now. */
void
MarkSettled(const Sale *sale)
{
	static CrmQuery query = {
		"UPDATE crm_member.sale SET amount = $3, discount = $4, payable = $5, "
		"settled_at = now() WHERE member_id = $1 "
		"AND sale_id = $2 AND settled_at IS NULL",
		5, {INT8OID, INT8OID, NUMERICOID, NUMERICOID, NUMERICOID}};
	Datum		values[5];

	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	values[2] = MoneyDatum(sale->amount);
	values[3] = MoneyDatum(sale->discount);
	values[4] = MoneyDatum(SalePayable(sale));
	SPI_connect();
	if (RunQuery(&query, values, NULL, false, 0) != 1)
		ereport(ERROR, (errcode(ERRCODE_CRM_SALE_SETTLED),
						errmsg("sale \"%s\" of source \"%s\" is settled already", sale->ref,
							   sale->source)));
	SPI_finish();
}
