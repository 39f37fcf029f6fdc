/*
 * refund_goods.c: which units of a sale come back, and what they are worth.
 */
#include "crm_member.h"
#include "query.h"
#include "sale/refund.h"
#include "setting.h"

#include "catalog/pg_type.h"

static int64
DecimalUnits(Decimal quantity)
{
	int64		units = quantity.units;

	for (int scale = quantity.scale; scale < QUANTITY_SCALE; scale++)
		units *= 10;
	return units;
}

RefundedLine *
FindRefundedLine(Refund *refund, int line_no)
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
		RefundedLine *line = FindRefundedLine(refund, DatumGetInt32(QueryColumn(row, 1, &isnull)));

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

Decimal
RefundedQuantity(const RefundedLine *line)
{
	return Quantity(line->after - line->before);
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
		RefundedLine *line = FindRefundedLine(refund, returned->line_no);

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

int64
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

void
ReckonGoods(Refund *refund)
{
	int64		shipping_before = LoadRefunded(refund);

	ReadReturned(refund);
	ShareMoney(refund, shipping_before);
}
