/*
 * row.c: sales as rows of sale, sale_line and the directory sale_ref.
 */
#include "crm_member.h"
#include "points/points.h"
#include "query.h"
#include "rfm/change.h"
#include "sale/row.h"
#include "setting.h"
#include "table.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

/* Lines there is room for at first. */
#define FIRST_LINES 8

static Datum
DecimalOrNull(Decimal value, bool known, bool *isnull)
{
	*isnull = !known;
	return known ? NumericGetDatum(DecimalToNumeric(value)) : (Datum) 0;
}

/* attrs, {} where there are none */
static Datum
AttrsDatum(Jsonb *attrs)
{
	static Jsonb *none = NULL;

	if (attrs != NULL)
		return JsonbPGetDatum(attrs);
	if (none == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		none = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
		MemoryContextSwitchTo(old);
	}
	return JsonbPGetDatum(none);
}

static CrmTable sale_ref = {
	"sale_ref", .ncolumns = 5, .columns = {
		{"source", TEXTOID}, {"ref", TEXTOID}, {"member_id", INT8OID}, {"sale_id", INT8OID},
		{"digest", INT8OID}}};

/* What the directory says of source and ref, by its row or by the statement that looks for it. */
typedef struct Registered
{
	int64		member_id;
	int64		sale_id;
	bool		has_digest;
	int64		digest;
} Registered;

static bool
LookUpRef(const Datum *key, Registered *found)
{
	static CrmQuery query = {
		"SELECT source, ref, member_id, sale_id, digest FROM crm_member.sale_ref "
		"WHERE source = $1 AND ref = $2",
		2, {TEXTOID, TEXTOID}};
	TableRows  *rows = OpenRows(&sale_ref, ACL_SELECT);
	bool		there;
	bool		isnull;

	if (rows != NULL)
	{
		there = FindRow(rows, key);
		if (there)
		{
			found->member_id = DatumGetInt64(RowColumn(rows, 2, &isnull));
			found->sale_id = DatumGetInt64(RowColumn(rows, 3, &isnull));
			found->digest = DatumGetInt64(RowColumn(rows, 4, &isnull));
			found->has_digest = !isnull;
		}
		CloseRows(rows);
		return there;
	}
	SPI_connect();
	there = RunQuery(&query, unconstify(Datum *, key), NULL, false, 1) == 1;
	if (there)
	{
		found->member_id = DatumGetInt64(QueryColumn(0, 3, &isnull));
		found->sale_id = DatumGetInt64(QueryColumn(0, 4, &isnull));
		found->digest = DatumGetInt64(QueryColumn(0, 5, &isnull));
		found->has_digest = !isnull;
	}
	SPI_finish();
	return there;
}

void
RefuseOtherContent(const Sale *sale)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_REFERENCE_REUSED),
					errmsg("sale \"%s\" of source \"%s\" was rung up with other content",
						   sale->ref, sale->source),
					errhint("A retry must send what the first call sent; another sale "
							"needs another \"ref\".")));
}

bool
LocateSale(const char *source, const char *ref, int64 *member_id, int64 *sale_id)
{
	Datum		key[2] = {CStringGetTextDatum(source), CStringGetTextDatum(ref)};
	Registered	found;

	if (!LookUpRef(key, &found))
		return false;
	*member_id = found.member_id;
	*sale_id = found.sale_id;
	return true;
}

bool
FindSale(Sale *sale, int64 digest)
{
	Datum		key[2];
	Registered	found;

	key[0] = CStringGetTextDatum(sale->source);
	key[1] = CStringGetTextDatum(sale->ref);
	if (!LookUpRef(key, &found))
		return false;
	sale->member_id = found.member_id;
	sale->sale_id = found.sale_id;
	sale->came_as_rows = !found.has_digest;
	if (found.has_digest && found.digest != digest)
		RefuseOtherContent(sale);
	return true;
}

bool
ClaimSale(Sale *sale, int64 digest)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.sale_ref (source, ref, member_id, sale_id, digest) "
		"VALUES ($1, $2, $3, $4, $5) ON CONFLICT (source, ref) DO NOTHING",
		5, {TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID}};
	Datum		values[5];
	bool		nulls[5] = {false};
	TableRows  *rows;
	bool		claimed;

	sale->sale_id = NewId();
	values[0] = CStringGetTextDatum(sale->source);
	values[1] = CStringGetTextDatum(sale->ref);
	values[2] = Int64GetDatum(sale->member_id);
	values[3] = Int64GetDatum(sale->sale_id);
	values[4] = Int64GetDatum(digest);
	rows = OpenRows(&sale_ref, ACL_SELECT | ACL_INSERT);
	claimed = rows != NULL && ClaimRow(rows, values, nulls);
	if (rows != NULL)
		CloseRows(rows);
	if (claimed)
		return true;
	SPI_connect();
	claimed = RunQuery(&query, values, NULL, false, 0) == 1;
	SPI_finish();
	if (!claimed && !FindSale(sale, digest))
		elog(ERROR, "sale reference \"%s\" vanished", sale->ref);
	return claimed;
}

/*
 * Lines go first and the header is settled, so that neither insert looks like a
 * sale that waits for settlement: their triggers are quiet.
 */
static CrmTable sale_line = {
	"sale_line", "settle_sale_line", "note_purchase", NotePurchase, NULL, 13, {
		{"member_id", INT8OID}, {"sale_id", INT8OID}, {"line_no", INT4OID}, {"sku", TEXTOID},
		{"category", TEXTOID}, {"brand", TEXTOID}, {"quantity", NUMERICOID}, {"price", NUMERICOID},
		{"discount", NUMERICOID}, {"min_price", NUMERICOID}, {"tax_rate", NUMERICOID},
		{"attrs", JSONBOID}, {"points_paid", NUMERICOID}}};
#define SALE_AMOUNT_COLUMN	10
#define SALE_SETTLED_COLUMN 13
static CrmTable sale_table = {
	"sale", "settle_sale", "note_purchase", NotePurchase, NULL, 14, {
		{"member_id", INT8OID}, {"sale_id", INT8OID}, {"source", TEXTOID}, {"ref", TEXTOID},
		{"store", TEXTOID}, {"channel", TEXTOID}, {"sold_at", TIMESTAMPTZOID},
		{"shipping", NUMERICOID}, {"attrs", JSONBOID}, {"actor", TEXTOID}, {"amount", NUMERICOID},
		{"discount", NUMERICOID}, {"payable", NUMERICOID}, {"settled_at", TIMESTAMPTZOID}}};

static void
InsertLines(const Sale *sale)
{
	TableInsert *insert = BeginInsert(&sale_line);

	for (int i = 0; i < sale->nlines; i++)
	{
		const SaleLine *line = &sale->lines[i];
		Datum		values[TABLE_MAX_COLUMNS];
		bool		nulls[TABLE_MAX_COLUMNS] = {false};

		values[0] = Int64GetDatum(sale->member_id);
		values[1] = Int64GetDatum(sale->sale_id);
		values[2] = Int32GetDatum(line->line_no);
		values[3] = TextOrNull(line->sku, &nulls[3]);
		values[4] = TextOrNull(line->category, &nulls[4]);
		values[5] = TextOrNull(line->brand, &nulls[5]);
		values[6] = NumericGetDatum(DecimalToNumeric(line->quantity));
		values[7] = NumericGetDatum(DecimalToNumeric(line->price));
		values[8] = MoneyDatum(line->discount);
		values[9] = DecimalOrNull(line->min_price, line->has_min_price, &nulls[9]);
		values[10] = DecimalOrNull(line->tax_rate, line->has_tax_rate, &nulls[10]);
		values[11] = AttrsDatum(line->attrs);
		values[12] = MoneyDatum(line->points_paid);
		PutRow(insert, values, nulls);
	}
	EndInsert(insert);
}

void
InsertSale(const Sale *sale)
{
	TableInsert *insert;
	Datum		values[TABLE_MAX_COLUMNS];
	bool		nulls[TABLE_MAX_COLUMNS] = {false};

	SPI_connect();
	InsertLines(sale);
	insert = BeginInsert(&sale_table);
	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	values[2] = CStringGetTextDatum(sale->source);
	values[3] = CStringGetTextDatum(sale->ref);
	values[4] = TextOrNull(sale->store, &nulls[4]);
	values[5] = TextOrNull(sale->channel, &nulls[5]);
	values[6] = TimestampTzGetDatum(sale->sold_at);
	values[7] = MoneyDatum(sale->shipping);
	values[8] = AttrsDatum(sale->attrs);
	values[9] = TextOrNull(sale->actor, &nulls[9]);
	values[10] = MoneyDatum(sale->amount);
	values[11] = MoneyDatum(sale->discount);
	values[12] = MoneyDatum(SalePayable(sale));
	values[13] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	PutRow(insert, values, nulls);
	EndInsert(insert);
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
	return nulls[cell] ? 0 : StoredMinor(values[cell], GetSetting()->money_scale, "money");
}

static bool
DecimalCell(const Datum *values, const bool *nulls, int cell, Decimal *decimal, const char *what)
{
	if (!nulls[cell] && !QuickDecimal(values[cell], decimal))
		*decimal = NumericToDecimal(DatumGetNumeric(values[cell]), what);
	return !nulls[cell];
}

/* NULL: nothing in it */
static Jsonb *
AttrsCell(Datum value)
{
	struct varlena *stored = (struct varlena *) DatumGetPointer(value);
	Jsonb	   *attrs;
	Jsonb	   *copy;

	/* mostly a header alone, which need not be unpacked to be seen */
	if (!VARATT_IS_EXTERNAL(stored) && !VARATT_IS_COMPRESSED(stored) &&
		VARSIZE_ANY_EXHDR(stored) == sizeof(uint32))
		return NULL;
	attrs = DatumGetJsonbP(value);
	if (JB_ROOT_COUNT(attrs) == 0)
		return NULL;
	copy = palloc(VARSIZE(attrs));
	memcpy(copy, attrs, VARSIZE(attrs));
	return copy;
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
	sale->attrs = AttrsCell(values[8]);
	sale->actor = TextCell(values, nulls, 9);
	sale->settled_at = nulls[10] ? DT_NOBEGIN : DatumGetTimestampTz(values[10]);
	sale->amount = sale->discount = 0;
	sale->nlines = 0;
	sale->lines = NULL;
}

void
ReadLineCells(const Datum *values, const bool *nulls, Sale *sale, SaleLine *line)
{
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
	line->attrs = AttrsCell(values[10]);
	line->points_paid = MoneyCell(values, nulls, 11);
	sale->nlines++;
	sale->amount = AddMinor(sale->amount, line->amount);
	sale->discount = AddMinor(sale->discount, line->discount);
}

/* The place of the next line. */
static SaleLine *
NextLine(Sale *sale)
{
	if (sale->nlines == 0)
		sale->lines = palloc(sizeof(SaleLine) * FIRST_LINES);
	else if (sale->nlines >= FIRST_LINES && (sale->nlines & (sale->nlines - 1)) == 0)
		sale->lines = repalloc(sale->lines, sizeof(SaleLine) * sale->nlines * 2);
	return &sale->lines[sale->nlines];
}

static CrmTable recorded_line = {
	"sale_line", .ncolumns = 12, .columns = {
		{"line_no", INT4OID}, {"sku", TEXTOID}, {"category", TEXTOID}, {"brand", TEXTOID},
		{"quantity", NUMERICOID}, {"price", NUMERICOID}, {"amount", NUMERICOID},
		{"discount", NUMERICOID}, {"min_price", NUMERICOID}, {"tax_rate", NUMERICOID},
		{"attrs", JSONBOID}, {"points_paid", NUMERICOID}}};

TableRows *
OpenLines(void)
{
	return OpenRows(&recorded_line, ACL_SELECT);
}

static void
QueryLines(Sale *sale)
{
	static CrmQuery query = {
		"SELECT " SALE_LINE_COLUMNS " FROM crm_member.sale_line l "
		"WHERE l.member_id = $1 AND l.sale_id = $2 ORDER BY l.line_no",
		2, {INT8OID, INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext old;
	Datum		key[2];
	uint64		found;

	key[0] = Int64GetDatum(sale->member_id);
	key[1] = Int64GetDatum(sale->sale_id);
	SPI_connect();
	found = RunQuery(&query, key, NULL, false, 0);
	old = MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < found; row++)
	{
		Datum		values[SALE_LINE_COUNT];
		bool		nulls[SALE_LINE_COUNT];

		heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, values, nulls);
		ReadLineCells(values, nulls, sale, NextLine(sale));
	}
	MemoryContextSwitchTo(old);
	SPI_finish();
}

void
LoadLines(TableRows *lines, Sale *sale)
{
	Datum		key[2];
	Datum		values[SALE_LINE_COUNT];
	bool		nulls[SALE_LINE_COUNT];

	if (lines == NULL)
	{
		QueryLines(sale);
		return;
	}
	key[0] = Int64GetDatum(sale->member_id);
	key[1] = Int64GetDatum(sale->sale_id);
	FindRows(lines, key, 2);
	while (FindNext(lines))
	{
		RowColumns(lines, values, nulls);
		ReadLineCells(values, nulls, sale, NextLine(sale));
	}
}

void
LoadSale(Sale *sale)
{
	static CrmQuery query = {
		"SELECT " SALE_HEADER_COLUMNS " FROM crm_member.sale s "
		"WHERE s.member_id = $1 AND s.sale_id = $2",
		2, {INT8OID, INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext old;
	TableRows  *lines;
	Datum		values[SALE_HEADER_COUNT];
	bool		nulls[SALE_HEADER_COUNT];

	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	SPI_connect();
	sale->nlines = 0;
	if (RunQuery(&query, values, NULL, false, 1) == 1)
	{
		heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, values, nulls);
		old = MemoryContextSwitchTo(caller);
		ReadSaleCells(values, nulls, sale);
		lines = OpenLines();
		LoadLines(lines, sale);
		CloseRows(lines);
		MemoryContextSwitchTo(old);
	}
	if (sale->nlines == 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_SALE_UNSETTLED),
						errmsg("sale \"%s\" of source \"%s\" waits for its lines", sale->ref,
							   sale->source),
						errdetail("Its header came as a row, and is not settled."),
						errhint("Insert its lines into crm_member.sale_line.")));
	SPI_finish();
}

static void
SettledTotals(const Sale *sale, Datum *values)
{
	values[0] = MoneyDatum(sale->amount);
	values[1] = MoneyDatum(sale->discount);
	values[2] = MoneyDatum(SalePayable(sale));
	values[3] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
}

/*
 * By tid, which with sequential scans off has one plan at any size of the tables;
 * a row that somebody else has settled since is not found unsettled.
 */
static void
MarkByStatement(const EarnedSale *sales, int n)
{
	static const BatchColumn columns[] = {
		{"amount", NUMERICOID}, {"discount", NUMERICOID}, {"payable", NUMERICOID},
		{"settled_at", TIMESTAMPTZOID}, {"tid", TIDOID}};
	static CrmQuery query = {
		"UPDATE crm_member.sale s SET amount = b.amount, discount = b.discount, "
		"payable = b.payable, settled_at = b.settled_at FROM batch b "
		"WHERE s.ctid = b.tid AND s.settled_at IS NULL", 0};
	RowBatch   *batch = BeginBatch(columns, lengthof(columns));

	for (int i = 0; i < n; i++)
	{
		Datum		values[lengthof(columns)];
		bool		nulls[lengthof(columns)] = {false};

		SettledTotals(sales[i].sale, values);
		values[4] = PointerGetDatum(&sales[i].sale->tid);
		AddRow(batch, values, nulls);
	}
	if (RunBatch(&query, batch) != n)
		ereport(ERROR, (errcode(ERRCODE_CRM_SALE_SETTLED),
						errmsg("a sale was settled by somebody else meanwhile"),
						errhint("Try again.")));
	EndBatch(batch);
}

/* Sales that came as rows are in the books now. */
void
MarkSettled(const EarnedSale *sales, int n)
{
	static const int changed[] = {SALE_AMOUNT_COLUMN, SALE_AMOUNT_COLUMN + 1,
		SALE_AMOUNT_COLUMN + 2, SALE_SETTLED_COLUMN};
	TableRows  *rows;
	Datum		values[lengthof(changed)];
	bool		settled;

	SPI_connect();
	rows = OpenRows(&sale_table, ACL_SELECT | ACL_UPDATE);
	if (rows == NULL)
		MarkByStatement(sales, n);
	for (int i = 0; rows != NULL && i < n; i++)
	{
		SettledTotals(sales[i].sale, values);
		settled = FetchRow(rows, &sales[i].sale->tid);
		if (settled)
		{
			RowColumn(rows, SALE_SETTLED_COLUMN, &settled);
			settled = settled && ChangeRow(rows, changed, lengthof(changed), values, NULL);
		}
		if (!settled)
			MarkByStatement(&sales[i], 1);
	}
	CloseRows(rows);
	SPI_finish();
}
