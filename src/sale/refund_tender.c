/*
 * refund_tender.c: what a refund does to points and stored value.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"
#include "sale/refund.h"
#include "setting.h"
#include "stored_value/stored_value.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

RefundedPoints *
RefundedPointsOf(Refund *refund, const PointsType *type)
{
	RefundedPoints *points;
	ListCell   *cell;

	foreach(cell, refund->points)
	{
		points = lfirst(cell);
		if (SameType(points->type, type))
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
	RefundedPoints *points = RefundedPointsOf(refund, entry->type);
	int64	   *taken = TakenBack(entry);
	int64	   *steps = palloc0(sizeof(int64) * Max(entry->nlines, 1));
	bool		summed = strcmp(entry->type->name, MAIN_TYPE) == 0;

	for (int i = 0; i < entry->nlines; i++)
	{
		RefundedLine *line = FindRefundedLine(refund, entry->line_nos[i]);

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
	RefundedPointsOf(refund, entry->type)->given += step;
}

static int64
MoneyOf(const PointsType *type, int64 points)
{
	return MultiplyDecimal((Decimal) {points, type->decimals}, type->money_value,
						   GetSetting()->money_scale, ROUNDING_HALF_UP);
}

/* Of the sale's refunds before this one: the shortfall, and how much of its worth was not kept back. */
static void
LoadCharged(const Refund *refund, const PointsType *type, int64 *shortfall, int64 *owed)
{
	static CrmQuery query = {
		"SELECT pg_catalog.sum((t ->> 'shortfall')::numeric), "
		"pg_catalog.sum((t ->> 'shortfall_value')::numeric - (t ->> 'charged')::numeric) "
		"FROM crm_member.refund r CROSS JOIN LATERAL jsonb_array_elements(r.answer -> 'points' -> 'types') t "
		"WHERE r.member_id = $1 AND r.sale_id = $2 AND t ->> 'points_type' = $3",
		3, {INT8OID, INT8OID, TEXTOID}};
	Datum		values[3];

	values[0] = Int64GetDatum(refund->sale.member_id);
	values[1] = Int64GetDatum(refund->sale.sale_id);
	values[2] = CStringGetTextDatum(type->name);
	RunQuery(&query, values, NULL, false, 1);
	*shortfall = PointsColumn(0, 1, type);
	*owed = MoneyColumn(0, 2);
}

/*
 * Points that should have been taken back and are spent are kept back in money,
 * if the type says so: what all of them are worth, less that of those before; and
 * what of that did not fit into the refunds before this one.
 */
static void
ChargeShortfall(Refund *refund, RefundedPoints *points, int64 money)
{
	int64		before;
	int64		owed;

	if (points->type->deficit != DEFICIT_CHARGE)
		return;
	LoadCharged(refund, points->type, &before, &owed);
	points->shortfall_value = MoneyOf(points->type, AddMinor(before, points->shortfall)) -
		MoneyOf(points->type, before);
	points->charged = Min(AddMinor(owed, points->shortfall_value), money);
	refund->charged = AddMinor(refund->charged, points->charged);
}

void
MoveTender(Refund *refund)
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
