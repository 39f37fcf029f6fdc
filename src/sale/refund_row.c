/*
 * refund_row.c: a refund as an answer and as rows.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"
#include "sale/json.h"
#include "sale/refund.h"
#include "setting.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

static void
PushPointsOf(JsonbParseState **state, const Refund *refund, const RefundedPoints *points)
{
	PushNumber(state, "taken_back", points->taken - points->shortfall, points->type->decimals);
	PushNumber(state, "shortfall", points->shortfall, points->type->decimals);
	PushNumber(state, "shortfall_value", points->shortfall_value, GetSetting()->money_scale);
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
	PushPointsOf(state, refund, RefundedPointsOf(refund, main_type));
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

Jsonb *
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
		Decimal		quantity = RefundedQuantity(line);

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

void
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
		Decimal		quantity = RefundedQuantity(line);
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
