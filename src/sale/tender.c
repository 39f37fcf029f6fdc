/*
 * tender.c: what a sale is paid with other than money.
 *
 * Points pay at the money_value of their type, as much as its caps allow; the
 * part they pay is shared over the lines, where it earns nothing, and only what
 * is more than the lines cost pays for shipping.  Stored value pays what is left
 * like money.  Neither is a discount.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"
#include "sale/tender.h"
#include "setting.h"
#include "stored_value/stored_value.h"
#include "stored_value/value_act.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

static void
RefusePoints(const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_POINTS_TENDER),
					errmsg("the sale cannot be paid with so many points"),
					errdetail("%s", detail)));
}

/* Points asked for, in minor units of their type. */
static int64
PointsAsked(const Sale *sale, const PointsType *type)
{
	int64		points = ExactMinor(DecimalToNumeric(sale->points_asked), type->decimals, "points");

	if (sale->member == NULL)
		RefusePoints("The buyer is a guest.");
	if (type->money_value.units == 0)
		RefusePoints(psprintf("Points type \"%s\" has no money_value.", type->name));
	if (type->tender_multiple.units != 0)
	{
		int64		multiple = ExactMinor(DecimalToNumeric(type->tender_multiple), type->decimals,
										  "tender_multiple");

		if (points % multiple != 0)
			RefusePoints(psprintf("They are spent in multiples of %s.", PointsText(multiple, type)));
	}
	return points;
}

static void
PlanPoints(Sale *sale, const PointsType *type)
{
	Decimal		asked = sale->points_asked;
	Decimal		share = type->tender_share;
	int64		lines = sale->amount - sale->discount;
	int64		hundred = 100;
	int64		most;
	int64	   *weights;
	int64	   *shares;

	for (int i = 0; i < share.scale; i++)
		hundred *= 10;
	most = MulDivMinor(SalePayable(sale), share.units, hundred, ROUNDING_FLOOR);

	sale->points_spent = PointsAsked(sale, type);
	sale->points_value = MultiplyDecimal(asked, type->money_value, GetSetting()->money_scale,
										 ROUNDING_FLOOR);
	if (sale->points_value == 0)
		RefusePoints("They are worth nothing.");
	if (sale->points_value > most)
		RefusePoints(psprintf("They are worth %s; of this sale, they may pay %s.",
							  MoneyText(sale->points_value), MoneyText(most)));

	weights = palloc(sizeof(int64) * sale->nlines);
	shares = palloc(sizeof(int64) * sale->nlines);
	for (int i = 0; i < sale->nlines; i++)
		weights[i] = LinePayable(&sale->lines[i]);
	Allocate(Min(sale->points_value, lines), weights, sale->nlines,
			 ALLOCATION_LARGEST_REMAINDER, shares);
	for (int i = 0; i < sale->nlines; i++)
		sale->lines[i].points_paid = shares[i];
}

static void
PlanValue(Sale *sale)
{
	int64		left = SalePayable(sale) - sale->points_value;

	if (sale->member == NULL)
		ereport(ERROR, (errcode(ERRCODE_CRM_VALUE_TENDER),
						errmsg("a guest cannot pay with stored value")));
	if (sale->stored_value_asked > left)
		ereport(ERROR, (errcode(ERRCODE_CRM_VALUE_TENDER),
						errmsg("more stored value is given than is to be paid"),
						errdetail("%s is to be paid.", MoneyText(left))));
	sale->stored_value = sale->stored_value_asked;
}

void
PlanTender(Sale *sale)
{
	if (sale->points_asked.units != 0)
		PlanPoints(sale, FindPointsType(GetRuleSet(), MAIN_TYPE));
	if (sale->stored_value_asked != 0)
		PlanValue(sale);
}

static Act
PointsAct(const Sale *sale)
{
	Act			act = {.kind = "spend", .type = FindPointsType(GetRuleSet(), MAIN_TYPE),
		.points = sale->points_spent, .at = sale->sold_at, .actor = sale->actor,
		.sale_id = sale->sale_id};

	act.member_id = sale->member->member_id;
	return act;
}

void
CheckTender(const Sale *sale)
{
	if (sale->points_spent != 0)
	{
		Act			act = PointsAct(sale);
		int64		available = DrawableBalance(act.member_id, act.type, act.at, true);

		if (available < act.points)
			Insufficient(&act, Max(0, available));
	}
	if (sale->stored_value != 0)
		CheckValue(sale->member->member_id, sale->stored_value, sale->sold_at);
}

static void
InsertTender(const Sale *sale, const char *tender, const PointsType *type, int64 points, int64 amount)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.sale_tender (member_id, sale_id, tender, points_type, points, amount) "
		"VALUES ($1, $2, $3, $4, $5, $6)",
		6, {INT8OID, INT8OID, TEXTOID, TEXTOID, NUMERICOID, NUMERICOID}};
	Datum		values[6];
	char		nulls[6];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	values[2] = CStringGetTextDatum(tender);
	if (type == NULL)
		nulls[3] = nulls[4] = 'n';
	else
	{
		values[3] = CStringGetTextDatum(type->name);
		values[4] = PointsDatum(points, type);
	}
	values[5] = NumericGetDatum(MinorToNumeric(amount, GetSetting()->money_scale));
	RunQuery(&query, values, nulls, false, 0);
}

/* All accounts that the sale moves, where it spends: what it earns may sort before that. */
static void
LockTender(const Sale *sale, List *awards)
{
	const RuleSet *set = GetRuleSet();
	List	   *types = NIL;
	ListCell   *cell;

	foreach(cell, awards)
		types = list_append_unique_ptr(types, (void *) ((Award *) lfirst(cell))->type);
	if (sale->points_spent != 0)
		types = list_append_unique_ptr(types, (void *) FindPointsType(set, MAIN_TYPE));
	if (sale->stored_value != 0)
	{
		types = list_append_unique_ptr(types, (void *) Principal());
		types = list_append_unique_ptr(types, (void *) Gift());
	}
	if (list_length(types) > 1)
		LockAccounts(sale->member_id, types);
}

void
PostTender(Sale *sale, List *awards)
{
	if (sale->points_spent == 0 && sale->stored_value == 0)
		return;
	SPI_connect();
	LockTender(sale, awards);
	if (sale->points_spent != 0)
	{
		Act			act = PointsAct(sale);
		LotUse		use = {0};
		bool		done;

		TakePoints(&act, &use, &done);
		InsertTender(sale, "points", act.type, act.points, sale->points_value);
	}
	if (sale->stored_value != 0)
	{
		SpendValueOnSale(sale->member->member_id, sale->sale_id, sale->stored_value, sale->sold_at,
						 sale->actor);
		InsertTender(sale, "stored_value", NULL, 0, sale->stored_value);
	}
	SPI_finish();
}

void
LoadTender(Sale *sale)
{
	static CrmQuery query = {
		"SELECT tender, points, amount FROM crm_member.sale_tender "
		"WHERE member_id = $1 AND sale_id = $2",
		2, {INT8OID, INT8OID}};
	const PointsType *type = FindPointsType(GetRuleSet(), MAIN_TYPE);
	Datum		values[2];
	uint64		found;
	bool		isnull;

	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	SPI_connect();
	found = RunQuery(&query, values, NULL, false, 0);
	for (uint64 row = 0; row < found; row++)
	{
		int64		amount = MoneyColumn(row, 3);

		if (strcmp(TextDatumGetCString(QueryColumn(row, 1, &isnull)), "points") == 0)
		{
			sale->points_spent = PointsColumn(row, 2, type);
			sale->points_value = amount;
		}
		else
			sale->stored_value = amount;
	}
	SPI_finish();
}
