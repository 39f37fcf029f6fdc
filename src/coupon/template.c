/*
 * template.c: coupon templates.
 */
#include "crm_member.h"
#include "configuration.h"
#include "coupon/template.h"
#include "query.h"
#include "setting.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

static CrmQuery all_templates = {
	"SELECT t.template_code, t.active, t.automatic, t.kind, t.target, t.value, t.eligible, "
	"t.requires, t.buy_quantity, t.get_quantity, t.get_eligible, t.partial_reward, t.pick, "
	"t.redistribute, t.percent_base, t.allocation, t.rounding, t.max_discount, t.max_units, "
	"t.min_spend, t.min_quantity, t.min_basis, t.min_tax, t.priority, t.stack_group, t.exclusive, "
	"t.uses, t.split_value, t.total_limit, t.member_limit, t.budget, t.last_use, t.valid_from, "
	"t.valid_to, t.valid_days, t.release_on_refund, t.stop_lines, "
	"(SELECT count(*) FROM crm_member.coupon_share s WHERE s.template_code = t.template_code) "
	"FROM crm_member.coupon_template t ORDER BY t.template_code COLLATE \"C\"", 0};

/* Columns of all_templates, read in their order. */
typedef struct Row
{
	uint64		row;
	int			column;
} Row;

static Datum
Next(Row *row, bool *isnull)
{
	return QueryColumn(row->row, ++row->column, isnull);
}

static char *
NextText(Row *row)
{
	bool		isnull;
	Datum		value = Next(row, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static bool
NextIs(Row *row, const char *text)
{
	return strcmp(NextText(row), text) == 0;
}

static bool
NextBool(Row *row)
{
	bool		isnull;

	return DatumGetBool(Next(row, &isnull));
}

static int64
NextInt(Row *row, int64 otherwise)
{
	bool		isnull;
	Datum		value = Next(row, &isnull);

	return isnull ? otherwise : DatumGetInt32(value);
}

static int64
NextMoney(Row *row, int64 otherwise)
{
	bool		isnull;
	Datum		value = Next(row, &isnull);

	return isnull ? otherwise
		: ExactMinor(DatumGetNumeric(value), GetSetting()->money_scale, "money");
}

static Condition *
NextCondition(Row *row, TemplateSet *set)
{
	bool		isnull;
	Datum		value = Next(row, &isnull);
	Condition  *condition;

	if (isnull)
		return NULL;
	condition = (Condition *) PG_DETOAST_DATUM_COPY(value);
	for (int a = 0; a < ATTRIBUTE_COUNT; a++)
		set->uses[a] |= UsesAttribute(condition, a);
	return condition;
}

/* Which of some names; the table's checks let no other in. */
static int
NextName(Row *row, const char *const *names, int n)
{
	char	   *text = NextText(row);

	for (int i = 0; i < n; i++)
	{
		if (strcmp(text, names[i]) == 0)
			return i;
	}
	elog(ERROR, "unexpected \"%s\" in crm_member.coupon_template", text);
}

static void
ReadTemplate(TemplateSet *set, CouponTemplate *t, uint64 n)
{
	static const char *const kinds[] = {
		"amount", "percent", "fixed_price", "buy_x_get_y", "gift", "free_shipping"};
	static const char *const targets[] = {"order", "line", "unit", "cheapest", "dearest"};
	static const char *const exclusives[] = {"no", "wins", "priority"};
	Row			row = {n, 0};
	bool		isnull;
	Datum		value;
	int			scale = GetSetting()->money_scale;

	t->code = NextText(&row);
	t->active = NextBool(&row);
	t->automatic = NextBool(&row);
	t->kind = NextName(&row, kinds, lengthof(kinds));
	t->target = NextName(&row, targets, lengthof(targets));
	value = Next(&row, &isnull);
	switch (t->kind)
	{
		case KIND_AMOUNT:
		case KIND_FIXED_PRICE:
		case KIND_FREE_SHIPPING:
			t->value = isnull ? PG_INT64_MAX : ExactMinor(DatumGetNumeric(value), scale, "value");
			break;
		case KIND_PERCENT:
		case KIND_BUY_X_GET_Y:
		case KIND_GIFT:
			t->percent = isnull ? (Decimal) {100, 0}
				: NumericToDecimal(DatumGetNumeric(value), "value");
			break;
	}
	t->eligible = NextCondition(&row, set);
	t->requires = NextCondition(&row, set);
	t->buy_quantity = NextInt(&row, 0);
	t->get_quantity = NextInt(&row, 1);
	t->get_eligible = NextCondition(&row, set);
	t->partial_reward = NextBool(&row);
	t->dearest_first = NextIs(&row, "dearest");
	t->redistribute = NextBool(&row);
	t->of_original = NextIs(&row, "original");
	t->allocation = ParseAllocation(NextText(&row));
	t->rounding = ParseRounding(NextText(&row));
	t->max_discount = NextMoney(&row, PG_INT64_MAX);
	t->max_units = NextInt(&row, PG_INT64_MAX);
	t->min_spend = NextMoney(&row, 0);
	value = Next(&row, &isnull);
	if (!isnull)
		t->min_quantity = NumericToDecimal(DatumGetNumeric(value), "min_quantity");
	t->min_after = NextIs(&row, "after");
	t->min_net = NextIs(&row, "net");
	t->priority = NextInt(&row, 0);
	t->stack_group = NextText(&row);
	t->exclusive = NextName(&row, exclusives, lengthof(exclusives));
	t->uses = NextInt(&row, 0);
	t->split_value = NextBool(&row);
	(void) Next(&row, &isnull);
	t->has_limit = !isnull;
	t->member_limit = NextInt(&row, -1);
	(void) Next(&row, &isnull);
	t->has_budget = !isnull;
	t->grants_remainder = NextIs(&row, "remainder");
	value = Next(&row, &isnull);
	t->first_day = isnull ? DATEVAL_NOBEGIN : DatumGetDateADT(value);
	t->valid_from = DATE_NOT_FINITE(t->first_day) ? DT_NOBEGIN : StartOfBusinessDay(t->first_day);
	value = Next(&row, &isnull);
	t->valid_until = isnull || DATE_NOT_FINITE(DatumGetDateADT(value)) ? DT_NOEND
		: StartOfBusinessDay(DatumGetDateADT(value) + 1);
	t->valid_days = NextInt(&row, -1);
	t->release_on_refund = NextBool(&row);
	t->stop_lines = NextBool(&row);
	t->shares = (int) DatumGetInt64(Next(&row, &isnull));
}

/* So that a sale looks at the promotions it can have, not at all there are. */
static void
IndexPromotions(TemplateSet *set)
{
	IndexedCondition *requires = palloc(sizeof(IndexedCondition) * Max(set->nautomatic, 1));
	IndexedCondition *eligible = palloc(sizeof(IndexedCondition) * Max(set->nautomatic, 1));

	for (int i = 0; i < set->nautomatic; i++)
	{
		const CouponTemplate *t = set->automatic[i];

		requires[i] = (IndexedCondition) {t->requires, t->valid_from, t->valid_until};
		if (t->valid_until != DT_NOEND)
			requires[i].to--;	/* which the index includes */
		eligible[i] = (IndexedCondition) {t->eligible, DT_NOBEGIN, DT_NOEND};
	}
	set->requires = BuildConditionIndex(requires, set->nautomatic);
	set->eligible = BuildConditionIndex(eligible, set->nautomatic);
	pfree(requires);
	pfree(eligible);
}

static void
LoadTemplates(void *contents, MemoryContext context)
{
	TemplateSet *set = contents;
	int			n = RunQuery(&all_templates, NULL, NULL, true, 0);
	MemoryContext old = MemoryContextSwitchTo(context);

	set->context = context;
	set->templates = palloc0(sizeof(CouponTemplate) * Max(n, 1));
	set->automatic = palloc(sizeof(CouponTemplate *) * Max(n, 1));
	set->ntemplates = n;
	for (int i = 0; i < n; i++)
	{
		ReadTemplate(set, &set->templates[i], i);
		if (set->templates[i].active && set->templates[i].automatic)
			set->automatic[set->nautomatic++] = &set->templates[i];
	}
	IndexPromotions(set);
	MemoryContextSwitchTo(old);
}

const TemplateSet *
GetTemplateSet(void)
{
	static Configuration templates = {
		"coupon templates", {"coupon_template", "setting"}, sizeof(TemplateSet), LoadTemplates};

	return GetConfigurationNow(&templates);
}

const CouponTemplate *
FindTemplate(const TemplateSet *set, const char *code)
{
	int			low = 0;
	int			high = set->ntemplates - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;
		int			order = strcmp(code, set->templates[middle].code);

		if (order == 0)
			return &set->templates[middle];
		if (order < 0)
			high = middle - 1;
		else
			low = middle + 1;
	}
	return NULL;
}

const CouponTemplate *
RequireTemplate(const char *code)
{
	const CouponTemplate *template = FindTemplate(GetTemplateSet(), code);

	if (template == NULL)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_TEMPLATE),
						errmsg("coupon template \"%s\" does not exist", code),
						errhint("Table crm_member.coupon_template lists them.")));
	if (!template->active)
		ereport(ERROR, (errcode(ERRCODE_CRM_TEMPLATE_INACTIVE),
						errmsg("coupon template \"%s\" is not active", code)));
	return template;
}
