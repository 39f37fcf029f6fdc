/*
 * refund.c: goods that come back.
 *
 * Every share is cumulative: what is due for all units of a line returned so
 * far, less what was given back before.  Shares of a line thus add up to the
 * line, shares of a sale to the sale, in any order and number of refunds.  All
 * of it comes from what was recorded at the time of the sale.
 */
#include "crm_member.h"
#include "coupon/coupon.h"
#include "points/ledger.h"
#include "query.h"
#include "sale/json.h"
#include "sale/refund.h"
#include "sale/row.h"
#include "setting.h"
#include "stored_value/stored_value.h"
#include "tier/tier.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* A line of the sale, and what comes back of it; quantities at QUANTITY_SCALE. */
typedef struct RefundedLine
{
	const SaleLine *line;
	int64		sold;
	int64		before;			/* returned before this refund */
	int64		after;			/* ... and with it */
	int64		amount;			/* of this refund */
	int64		discount;
	int64		points;			/* of the points type that answers sum up */
} RefundedLine;

/* Points of one type. */
typedef struct RefundedPoints
{
	const PointsType *type;
	int64		taken;
	int64		given;
	int64		shortfall;
	int64		charged;		/* money */
} RefundedPoints;

typedef struct Refund
{
	const RefundDocument *document;
	Sale		sale;
	TimestampTz at;				/* what is booked happens then: not before the sale */
	int64		refund_id;
	RefundedLine *lines;		/* one a line of the sale */
	int64		amount;			/* money, of this refund */
	int64		discount;
	int64		shipping;
	int64		payable;
	int64		points_value;
	int64		stored_value;
	int64		charged;
	int64		payable_before; /* of the refunds before it */
	bool		all;			/* no unit is left */
	bool		complete;		/* nor shipping */
	List	   *points;			/* of RefundedPoints */
} Refund;

static Datum
MoneyDatum(int64 units)
{
	return NumericGetDatum(MinorToNumeric(units, GetSetting()->money_scale));
}

static int64
MoneyColumn(uint64 row, int column)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);

	return isnull ? 0 : ExactMinor(DatumGetNumeric(value), GetSetting()->money_scale, "money");
}

static int64
DecimalUnits(Decimal quantity)
{
	int64		units = quantity.units;

	for (int scale = quantity.scale; scale < QUANTITY_SCALE; scale++)
		units *= 10;
	return units;
}

/* The answer that the first call with this reference gave; NULL: there was none. */
static Jsonb *
FirstAnswer(const RefundDocument *document, int64 digest)
{
	static CrmQuery query = {
		"SELECT d.digest, r.answer FROM crm_member.refund_ref d "
		"JOIN crm_member.refund r ON r.member_id = d.member_id AND r.refund_id = d.refund_id "
		"WHERE d.source = $1 AND d.ref = $2",
		2, {TEXTOID, TEXTOID}};
	MemoryContext caller = CurrentMemoryContext;
	Jsonb	   *answer = NULL;
	Datum		values[2];
	bool		isnull;

	values[0] = CStringGetTextDatum(document->source);
	values[1] = CStringGetTextDatum(document->ref);
	SPI_connect();
	if (RunQuery(&query, values, NULL, false, 1) == 1)
	{
		MemoryContext old;

		if (DatumGetInt64(QueryColumn(0, 1, &isnull)) != digest)
			ereport(ERROR, (errcode(ERRCODE_CRM_REFERENCE_REUSED),
							errmsg("refund \"%s\" of source \"%s\" was made with other content",
								   document->ref, document->source),
							errhint("A retry must send what the first call sent; another refund "
									"needs another \"ref\".")));
		old = MemoryContextSwitchTo(caller);
		answer = DatumGetJsonbPCopy(QueryColumn(0, 2, &isnull));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return answer;
}

/* Take source and ref; false: somebody else just did. */
static bool
ClaimRefund(Refund *refund, int64 digest)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.refund_ref (source, ref, member_id, refund_id, digest) "
		"VALUES ($1, $2, $3, $4, $5) ON CONFLICT (source, ref) DO NOTHING",
		5, {TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID}};
	Datum		values[5];
	bool		claimed;

	refund->refund_id = NewId();
	values[0] = CStringGetTextDatum(refund->document->source);
	values[1] = CStringGetTextDatum(refund->document->ref);
	values[2] = Int64GetDatum(refund->sale.member_id);
	values[3] = Int64GetDatum(refund->refund_id);
	values[4] = Int64GetDatum(digest);
	SPI_connect();
	claimed = RunQuery(&query, values, NULL, false, 0) == 1;
	SPI_finish();
	return claimed;
}

static void
FindRefundedSale(Refund *refund)
{
	static CrmQuery query = {
		"SELECT member_id, sale_id FROM crm_member.sale_ref WHERE source = $1 AND ref = $2",
		2, {TEXTOID, TEXTOID}};
	const RefundDocument *document = refund->document;
	Datum		values[2];
	bool		isnull;

	values[0] = CStringGetTextDatum(document->sale_source);
	values[1] = CStringGetTextDatum(document->sale_ref);
	SPI_connect();
	if (RunQuery(&query, values, NULL, false, 1) == 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_SALE),
						errmsg("source \"%s\" has no sale \"%s\"", document->sale_source,
							   document->sale_ref),
						errhint("\"sale_source\" names the source of the sale where it is not the "
								"refund's.")));
	refund->sale.member_id = DatumGetInt64(QueryColumn(0, 1, &isnull));
	refund->sale.sale_id = DatumGetInt64(QueryColumn(0, 2, &isnull));
	SPI_finish();
}

/* Refunds of one sale come one after the other. */
static void
LockSale(Refund *refund)
{
	static CrmQuery query = {
		"SELECT settled_at FROM crm_member.sale WHERE member_id = $1 AND sale_id = $2 "
		"FOR NO KEY UPDATE",
		2, {INT8OID, INT8OID}};
	Datum		values[2];
	bool		isnull = true;

	values[0] = Int64GetDatum(refund->sale.member_id);
	values[1] = Int64GetDatum(refund->sale.sale_id);
	SPI_connect();
	if (RunQuery(&query, values, NULL, false, 1) == 1)
		QueryColumn(0, 1, &isnull);
	SPI_finish();
	if (isnull)
		ereport(ERROR, (errcode(ERRCODE_CRM_SALE_UNSETTLED),
						errmsg("sale \"%s\" of source \"%s\" is not settled yet",
							   refund->document->sale_ref, refund->document->sale_source),
						errhint("It waits for its header or its lines.")));
	LoadSale(&refund->sale);
}

static RefundedLine *
FindLine(Refund *refund, int line_no)
{
	for (int i = 0; i < refund->sale.nlines; i++)
	{
		if (refund->sale.lines[i].line_no == line_no)
			return &refund->lines[i];
	}
	return NULL;
}

/* The lines, and what the refunds before this one gave back; returns the shipping among that. */
static int64
LoadRefunded(Refund *refund)
{
	static CrmQuery lines = {
		"SELECT line_no, sum(quantity) FROM crm_member.refund_line "
		"WHERE member_id = $1 AND sale_id = $2 GROUP BY line_no",
		2, {INT8OID, INT8OID}};
	static CrmQuery totals = {
		"SELECT sum(shipping), sum(payable) FROM crm_member.refund "
		"WHERE member_id = $1 AND sale_id = $2",
		2, {INT8OID, INT8OID}};
	const Sale *sale = &refund->sale;
	Datum		values[2];
	uint64		found;
	bool		isnull;
	int64		shipping;

	refund->lines = palloc0(sizeof(RefundedLine) * sale->nlines);
	for (int i = 0; i < sale->nlines; i++)
	{
		refund->lines[i].line = &sale->lines[i];
		refund->lines[i].sold = DecimalUnits(sale->lines[i].quantity);
	}
	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	SPI_connect();
	found = RunQuery(&lines, values, NULL, false, 0);
	for (uint64 row = 0; row < found; row++)
	{
		RefundedLine *line = FindLine(refund, DatumGetInt32(QueryColumn(row, 1, &isnull)));

		if (line != NULL)
			line->before = line->after =
				DecimalUnits(NumericToDecimal(DatumGetNumeric(QueryColumn(row, 2, &isnull)),
											   "quantity"));
	}
	RunQuery(&totals, values, NULL, false, 1);
	shipping = MoneyColumn(0, 1);
	refund->payable_before = MoneyColumn(0, 2);
	SPI_finish();
	return shipping;
}

static void
Exceeds(const Refund *refund, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_REFUND_EXCEEDS),
					errmsg("more is taken back than is left of sale \"%s\" of source \"%s\"",
						   refund->document->sale_ref, refund->document->sale_source),
					errdetail("%s", detail)));
}

/* Without trailing zeros */
static Decimal
Quantity(int64 units)
{
	Decimal		quantity = {units, QUANTITY_SCALE};

	while (quantity.scale > 0 && quantity.units % 10 == 0)
	{
		quantity.units /= 10;
		quantity.scale--;
	}
	return quantity;
}

static char *
QuantityText(int64 units)
{
	char	   *text = palloc(DECIMAL_TEXT_SIZE);

	DecimalToText(Quantity(units), text);
	return text;
}

/* Which units come back. */
static void
ReadReturned(Refund *refund)
{
	const RefundDocument *document = refund->document;

	for (int i = 0; i < document->nlines; i++)
	{
		const ReturnedLine *returned = &document->lines[i];
		RefundedLine *line = FindLine(refund, returned->line_no);

		if (line == NULL)
			Exceeds(refund, psprintf("It has no line %d.", returned->line_no));
		line->after = returned->has_quantity ? line->before + DecimalUnits(returned->quantity)
			: line->sold;
		if (line->after > line->sold)
			Exceeds(refund, psprintf("Of line %d, %s are left, not %s.", returned->line_no,
									 QuantityText(line->sold - line->before),
									 QuantityText(line->after - line->before)));
	}
	for (int i = 0; !document->has_lines && i < refund->sale.nlines; i++)
		refund->lines[i].after = refund->lines[i].sold;
}

/* The share of so many of the units sold, or of none sold, the whole. */
static int64
ShareOf(int64 total, int64 units, int64 sold, Rounding rounding)
{
	return sold == 0 ? total : MulDivMinor(total, units, sold, rounding);
}

static int64
ShareStep(int64 total, const RefundedLine *line)
{
	return ShareOf(total, line->after, line->sold, ROUNDING_HALF_UP) -
		ShareOf(total, line->before, line->sold, ROUNDING_HALF_UP);
}

static void
ShareMoney(Refund *refund, int64 shipping_before)
{
	int64		shipping_left = refund->sale.shipping - shipping_before;
	bool		nothing = true;

	refund->all = true;

	for (int i = 0; i < refund->sale.nlines; i++)
	{
		RefundedLine *line = &refund->lines[i];

		line->discount = ShareStep(line->line->discount, line);
		line->amount = AddMinor(ShareStep(LinePayable(line->line), line), line->discount);
		refund->amount = AddMinor(refund->amount, line->amount);
		refund->discount = AddMinor(refund->discount, line->discount);
		refund->all &= line->after == line->sold;
		nothing &= line->after == line->before;
	}
	if (refund->document->has_shipping)
		refund->shipping = refund->document->shipping;
	else if (refund->all)
		refund->shipping = shipping_left;
	if (refund->shipping > shipping_left)
		Exceeds(refund, "So much shipping is not left.");
	if (nothing && refund->shipping == 0)
		Exceeds(refund, "Nothing is left of what was asked for.");
	refund->payable = refund->amount - refund->discount + refund->shipping;
	refund->complete = refund->all && refund->shipping == shipping_left;
}

static RefundedPoints *
PointsOf(Refund *refund, const PointsType *type)
{
	RefundedPoints *points;
	ListCell   *cell;

	foreach(cell, refund->points)
	{
		points = lfirst(cell);
		if (points->type == type)
			return points;
	}
	points = palloc0(sizeof(RefundedPoints));
	points->type = type;
	refund->points = lappend(refund->points, points);
	return points;
}

/* Points that the returned units earned are taken back: what the ledger granted, not what would be now. */
static void
TakeBackEarned(Refund *refund, const Act *act, const PastEntry *entry)
{
	RefundedPoints *points = PointsOf(refund, entry->type);
	int64	   *taken = TakenBack(entry);
	int64	   *steps = palloc0(sizeof(int64) * Max(entry->nlines, 1));
	bool		summed = strcmp(entry->type->name, MAIN_TYPE) == 0;

	for (int i = 0; i < entry->nlines; i++)
	{
		RefundedLine *line = FindLine(refund, entry->line_nos[i]);

		/* an earlier reversal by hand may have taken more than its share */
		steps[i] = Max(0, ShareOf(entry->line_points[i], line->after, line->sold, ROUNDING_FLOOR) -
					   taken[i]);
		points->taken = AddMinor(points->taken, steps[i]);
		if (summed)
			line->points = AddMinor(line->points, steps[i]);
	}
	TakeBack(act, entry, steps, &points->shortfall);
}

/* How the refund's payable part splits: what points paid, and of the rest what stored value paid. */
static void
ShareTender(Refund *refund, int64 *by_points, int64 *by_value, int64 *paid_by_value)
{
	static CrmQuery query = {
		"SELECT tender, amount FROM crm_member.sale_tender WHERE member_id = $1 AND sale_id = $2",
		2, {INT8OID, INT8OID}};
	int64		total = SalePayable(&refund->sale);
	int64		before = refund->payable_before;
	int64		after = before + refund->payable;
	int64		paid_by_points = 0;
	int64		points_before;
	int64		points_after;
	Datum		values[2];
	uint64		found;
	bool		isnull;

	*paid_by_value = 0;
	values[0] = Int64GetDatum(refund->sale.member_id);
	values[1] = Int64GetDatum(refund->sale.sale_id);
	found = RunQuery(&query, values, NULL, false, 0);
	for (uint64 row = 0; row < found; row++)
	{
		char	   *tender = TextDatumGetCString(QueryColumn(row, 1, &isnull));

		*(strcmp(tender, "points") == 0 ? &paid_by_points : paid_by_value) = MoneyColumn(row, 2);
	}
	points_before = ShareOf(paid_by_points, before, total, ROUNDING_FLOOR);
	points_after = ShareOf(paid_by_points, after, total, ROUNDING_FLOOR);
	total -= paid_by_points;
	*by_points = points_after - points_before;
	*by_value = ShareOf(*paid_by_value, after - points_after, total, ROUNDING_FLOOR) -
		ShareOf(*paid_by_value, before - points_before, total, ROUNDING_FLOOR);
}

/* Of the points that paid, as many go back as of the sale came back. */
static void
GiveBackSpent(Refund *refund, const Act *act, const PastEntry *entry)
{
	int64		due = ShareOf(-entry->points, refund->payable_before + refund->payable,
							  SalePayable(&refund->sale), ROUNDING_FLOOR);
	int64		step = Max(0, due - GivenBack(entry));

	GiveBack(act, entry, step);
	PointsOf(refund, entry->type)->given += step;
}

/* Points that should have been taken back and are spent are kept back in money, if the type says so. */
static void
ChargeShortfall(Refund *refund, RefundedPoints *points, int64 money)
{
	Decimal		shortfall = {points->shortfall, points->type->decimals};

	if (points->type->deficit != DEFICIT_CHARGE || points->shortfall == 0)
		return;
	points->charged = Min(MultiplyDecimal(shortfall, points->type->money_value,
										  GetSetting()->money_scale, ROUNDING_HALF_UP),
						  money);
	refund->charged = AddMinor(refund->charged, points->charged);
}

static void
MovePoints(Refund *refund)
{
	const RefundDocument *document = refund->document;
	Act			act = {.member_id = refund->sale.member_id, .at = refund->at,
		.reason = document->reason, .actor = document->actor};
	int64		paid_by_value;
	List	   *entries;
	ListCell   *cell;

	if (act.member_id == CRM_GUEST)
		return;
	ShareTender(refund, &refund->points_value, &refund->stored_value, &paid_by_value);
	entries = LoadSaleEntries(act.member_id, refund->sale.sale_id);
	foreach(cell, entries)
	{
		Account		account;

		LockAccount(act.member_id, ((PastEntry *) lfirst(cell))->type, &account);
	}
	/* what was spent first, so that it can cover what is taken back */
	foreach(cell, entries)
	{
		const PastEntry *entry = lfirst(cell);

		if (strcmp(entry->kind, "spend") == 0 && !entry->type->stored_value)
			GiveBackSpent(refund, &act, entry);
	}
	foreach(cell, entries)
	{
		if (strcmp(((PastEntry *) lfirst(cell))->kind, "earn") == 0)
			TakeBackEarned(refund, &act, lfirst(cell));
	}
	if (refund->stored_value > 0)
		ReturnValueOfSale(act.member_id, refund->sale.sale_id, refund->refund_id,
						  refund->stored_value, act.at, act.reason, act.actor);
	foreach(cell, refund->points)
		ChargeShortfall(refund, lfirst(cell), refund->payable - refund->points_value -
						refund->stored_value - refund->charged);
}

static void
PushPointsOf(JsonbParseState **state, const Refund *refund, const RefundedPoints *points)
{
	PushNumber(state, "taken_back", points->taken - points->shortfall, points->type->decimals);
	PushNumber(state, "shortfall", points->shortfall, points->type->decimals);
	PushNumber(state, "charged", points->charged, GetSetting()->money_scale);
	PushNumber(state, "given_back", points->given, points->type->decimals);
	if (refund->sale.member_id != CRM_GUEST)
		PushNumber(state, "balance",
				   SpendableBalance(refund->sale.member_id, points->type,
									GetCurrentTransactionStartTimestamp(),
									GetCurrentTransactionStartTimestamp(), false),
				   points->type->decimals);
	else
		PushText(state, "balance", NULL);
}

/* The type that answers sum up, and then each that was moved. */
static void
PushPoints(JsonbParseState **state, Refund *refund, const PointsType *main_type)
{
	ListCell   *cell;
	List	   *moved = list_copy(refund->points);

	PushKey(state, "points");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	PushPointsOf(state, refund, PointsOf(refund, main_type));
	PushKey(state, "types");
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, moved)
	{
		const RefundedPoints *points = lfirst(cell);

		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		PushText(state, "points_type", points->type->name);
		PushPointsOf(state, refund, points);
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static Jsonb *
RefundAnswer(Refund *refund)
{
	const PointsType *main_type = FindPointsType(GetRuleSet(), MAIN_TYPE);
	int			scale = GetSetting()->money_scale;
	JsonbParseState *state = NULL;
	JsonbValue	complete = {.type = jbvBool, .val.boolean = refund->complete};

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	PushNumber(&state, "refund_id", refund->refund_id, 0);
	PushText(&state, "ref", refund->document->ref);
	PushText(&state, "source", refund->document->source);
	PushNumber(&state, "sale_id", refund->sale.sale_id, 0);
	PushText(&state, "sale_ref", refund->document->sale_ref);
	PushNumber(&state, "amount", refund->amount, scale);
	PushNumber(&state, "discount", refund->discount, scale);
	PushNumber(&state, "shipping", refund->shipping, scale);
	PushNumber(&state, "payable", refund->payable, scale);
	PushNumber(&state, "points_value", refund->points_value, scale);
	PushNumber(&state, "stored_value", refund->stored_value, scale);
	PushNumber(&state, "charged", refund->charged, scale);
	PushNumber(&state, "money", refund->payable - refund->points_value - refund->stored_value -
			   refund->charged, scale);
	PushKey(&state, "complete");
	pushJsonbValue(&state, WJB_VALUE, &complete);
	PushKey(&state, "lines");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < refund->sale.nlines; i++)
	{
		const RefundedLine *line = &refund->lines[i];
		Decimal		quantity = Quantity(line->after - line->before);

		if (quantity.units == 0)
			continue;
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		PushNumber(&state, "line_no", line->line->line_no, 0);
		PushNumber(&state, "quantity", quantity.units, quantity.scale);
		PushNumber(&state, "amount", line->amount, scale);
		PushNumber(&state, "discount", line->discount, scale);
		PushNumber(&state, "payable", line->amount - line->discount, scale);
		PushNumber(&state, "points", line->points, main_type->decimals);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	PushPoints(&state, refund, main_type);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static void
InsertRefund(const Refund *refund, Jsonb *answer)
{
	static const BatchColumn columns[] = {
		{"member_id", INT8OID}, {"refund_id", INT8OID}, {"sale_id", INT8OID},
		{"line_no", INT4OID}, {"quantity", NUMERICOID}, {"amount", NUMERICOID},
		{"discount", NUMERICOID}};
	static CrmQuery header = {
		"INSERT INTO crm_member.refund (member_id, refund_id, sale_id, source, ref, refunded_at, "
		"amount, discount, shipping, payable, points_value, stored_value, charged, money, complete, "
		"reason, actor, answer) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, "
		"$10 - $11 - $12 - $13, $14, $15, $16, $17)",
		17, {INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, NUMERICOID, NUMERICOID,
			NUMERICOID, NUMERICOID, NUMERICOID, NUMERICOID, NUMERICOID, BOOLOID, TEXTOID, TEXTOID,
			JSONBOID}};
	static CrmQuery lines = {
		"INSERT INTO crm_member.refund_line (member_id, refund_id, sale_id, line_no, quantity, "
		"amount, discount) SELECT member_id, refund_id, sale_id, line_no, quantity, amount, "
		"discount FROM batch", 0};
	const RefundDocument *document = refund->document;
	Datum		values[17];
	char		nulls[17];
	RowBatch   *batch;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(refund->sale.member_id);
	values[1] = Int64GetDatum(refund->refund_id);
	values[2] = Int64GetDatum(refund->sale.sale_id);
	values[3] = CStringGetTextDatum(document->source);
	values[4] = CStringGetTextDatum(document->ref);
	values[5] = TimestampTzGetDatum(document->refunded_at);
	values[6] = MoneyDatum(refund->amount);
	values[7] = MoneyDatum(refund->discount);
	values[8] = MoneyDatum(refund->shipping);
	values[9] = MoneyDatum(refund->payable);
	values[10] = MoneyDatum(refund->points_value);
	values[11] = MoneyDatum(refund->stored_value);
	values[12] = MoneyDatum(refund->charged);
	values[13] = BoolGetDatum(refund->complete);
	values[14] = NullableText(document->reason, &nulls[14]);
	values[15] = NullableText(document->actor, &nulls[15]);
	values[16] = JsonbPGetDatum(answer);
	RunQuery(&header, values, nulls, false, 0);

	batch = BeginBatch(columns, lengthof(columns));
	for (int i = 0; i < refund->sale.nlines; i++)
	{
		const RefundedLine *line = &refund->lines[i];
		Decimal		quantity = Quantity(line->after - line->before);
		Datum		cells[lengthof(columns)];
		bool		absent[lengthof(columns)] = {false};

		if (quantity.units == 0)
			continue;
		cells[0] = Int64GetDatum(refund->sale.member_id);
		cells[1] = Int64GetDatum(refund->refund_id);
		cells[2] = Int64GetDatum(refund->sale.sale_id);
		cells[3] = Int32GetDatum(line->line->line_no);
		cells[4] = NumericGetDatum(DecimalToNumeric(quantity));
		cells[5] = MoneyDatum(line->amount);
		cells[6] = MoneyDatum(line->discount);
		AddRow(batch, cells, absent);
	}
	RunBatch(&lines, batch);
	EndBatch(batch);
}

PG_FUNCTION_INFO_V1(crm_refund);
Datum
crm_refund(PG_FUNCTION_ARGS)
{
	Jsonb	   *jsonb = PG_GETARG_JSONB_P(0);
	Refund		refund = {.document = ReadRefundDocument(jsonb)};
	int64		digest = DocumentDigest(jsonb);
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext inner;
	Jsonb	   *answer = FirstAnswer(refund.document, digest);

	if (answer != NULL)
		PG_RETURN_JSONB_P(answer);
	FindRefundedSale(&refund);
	if (!ClaimRefund(&refund, digest))
		PG_RETURN_JSONB_P(FirstAnswer(refund.document, digest));

	LockForTiers(refund.sale.member_id, NULL);
	LockSale(&refund);
	refund.at = Max(refund.document->refunded_at, refund.sale.sold_at);
	{
		int64		shipping = LoadRefunded(&refund);

		ReadReturned(&refund);
		ShareMoney(&refund, shipping);
	}
	if (refund.all)
		ReturnSaleCoupons(refund.sale.member_id, refund.sale.sale_id, refund.at);
	SPI_connect();
	MovePoints(&refund);
	inner = MemoryContextSwitchTo(caller);
	answer = RefundAnswer(&refund);
	MemoryContextSwitchTo(inner);
	InsertRefund(&refund, answer);
	SPI_finish();
	ReviewAfterReturn(refund.sale.member_id, refund.sale.sale_id, refund.at,
					  refund.document->actor);
	PG_RETURN_JSONB_P(answer);
}
