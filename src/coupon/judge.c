/*
 * judge.c: may a coupon be used by a sale, and if not, why and what would help.
 *
 * Reasons are written for the cashier: what is missing comes first.
 */
#include "crm_member.h"
#include "coupon/price.h"
#include "query.h"
#include "setting.h"

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"

#define MAX_SHOWN 200			/* bytes of a condition in a reason */

/* Refused for good: the offer is not tried. */
void
RefuseCandidate(Candidate *candidate, int sqlstate, const char *reason,...)
{
	StringInfoData text;
	va_list		args;
	int			needed;

	initStringInfo(&text);
	do
	{
		va_start(args, reason);
		needed = appendStringInfoVA(&text, reason, args);
		va_end(args);
		if (needed > 0)
			enlargeStringInfo(&text, needed);
	} while (needed > 0);
	candidate->entry->status = COUPON_REFUSED;
	candidate->entry->sqlstate = sqlstate;
	candidate->entry->reason = text.data;
	candidate->barred = true;
}

/* A quantity of scale 6 without trailing zeros */
static char *
QuantityText(int64 quantity)
{
	char	   *text = palloc(DECIMAL_TEXT_SIZE);
	Decimal		decimal = {quantity, UNIT_SCALE};

	while (decimal.scale > 0 && decimal.units % 10 == 0)
	{
		decimal.units /= 10;
		decimal.scale--;
	}
	DecimalToText(decimal, text);
	return text;
}

static char *
DayText(DateADT day)
{
	int			year;
	int			month;
	int			day_of_month;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &day_of_month);
	return psprintf("%04d-%02d-%02d", year, month, day_of_month);
}

static char *
MomentText(TimestampTz at)
{
	struct pg_tm tm;

	BusinessTime(at, &tm);
	return psprintf("%04d-%02d-%02d %02d:%02d", tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour,
					tm.tm_min);
}

/* The coupon itself: whose it is, and whether somebody holds or has used it. */
static void
JudgeCoupon(const Pricing *pricing, Candidate *candidate)
{
	const Coupon *coupon = &candidate->coupon;
	const Sale *sale = pricing->sale;

	if (coupon->voided)
		RefuseCandidate(candidate, ERRCODE_CRM_COUPON_VOID, "the coupon is void");
	else if (coupon->used ||
			 (candidate->template->uses > 0 && coupon->uses >= candidate->template->uses))
		RefuseCandidate(candidate, ERRCODE_CRM_COUPON_USED, "the coupon is used up");
	else if (candidate->template->uses > 0 && KeptFor(coupon, candidate->template->uses, sale->ref))
		RefuseCandidate(candidate, ERRCODE_CRM_COUPON_HELD, "held for another cart until %s",
			   MomentText(coupon->held_until));
	else if (coupon->member_id != CRM_GUEST && sale->member == NULL)
		RefuseCandidate(candidate, ERRCODE_CRM_COUPON_OWNER, "issued to a member: the sale names none");
	else if (coupon->member_id != CRM_GUEST && coupon->member_id != sale->member->member_id)
	{
		/* the owner may live on under another number */
		Member	   *owner = LoadMember(coupon->member_id);

		if (owner == NULL || owner->member_id != sale->member->member_id)
			RefuseCandidate(candidate, ERRCODE_CRM_COUPON_OWNER, "issued to another member");
	}
}

static void
JudgeValidity(const Pricing *pricing, Candidate *candidate)
{
	const CouponTemplate *t = candidate->template;
	TimestampTz sold_at = pricing->sale->sold_at;
	TimestampTz until = t->valid_until;

	if (candidate->entry->code != NULL)
		until = Min(until, candidate->coupon.valid_until);
	if (sold_at < t->valid_from)
		RefuseCandidate(candidate, ERRCODE_CRM_COUPON_TOO_EARLY, "from %s", DayText(t->first_day));
	else if (sold_at >= until)
		RefuseCandidate(candidate, ERRCODE_CRM_COUPON_EXPIRED, "until %s", DayText(BusinessDate(until) - 1));
}

static void
JudgeRequirement(Pricing *pricing, Candidate *candidate)
{
	const Condition *requires = candidate->template->requires;
	StringInfoData clause;
	StringInfoData saw;

	if (requires == NULL || EvaluateCondition(requires, SaleFacts(pricing)) == TRUTH_TRUE)
		return;
	initStringInfo(&clause);
	initStringInfo(&saw);
	ExplainCondition(requires, SaleFacts(pricing), &clause, &saw);
	RefuseCandidate(candidate, ERRCODE_CRM_COUPON_REQUIRES, "only if %s; here it is %s", clause.data,
		   saw.data);
}

void
LookAtLimits(Pricing *pricing, Candidate *candidate)
{
	const CouponTemplate *t = candidate->template;

	if (t->member_limit >= 0 && pricing->sale->member != NULL)
		candidate->member_left = t->member_limit -
			UsesByMember(pricing->sale->member->member_id, t);
	/* exactly only where it could matter to this sale */
	if (t->shares > 0 && !ShareHas(t, MAX_WALLET, Max(SalePayable(pricing->sale), 1),
								   &candidate->uses_left, &candidate->budget_left,
								   pricing->read_only))
		LeftInShares(t, &candidate->uses_left, &candidate->budget_left, pricing->read_only);

	if (candidate->member_left < 1)
		RefuseCandidate(candidate, ERRCODE_CRM_COUPON_MEMBER_LIMIT,
						"the member has used it %d times", t->member_limit);
	else if (candidate->uses_left < 1)
		RefuseCandidate(candidate, ERRCODE_CRM_COUPON_LIMIT, "the campaign is sold out");
	else if (candidate->budget_left == 0)
		RefuseCandidate(candidate, ERRCODE_CRM_COUPON_BUDGET, "the campaign's budget is used up");
}

void
JudgeCandidate(Pricing *pricing, Candidate *candidate)
{
	const CouponTemplate *t = candidate->template;

	if (!t->active)
		RefuseCandidate(candidate, ERRCODE_CRM_TEMPLATE_INACTIVE, "the campaign is not active");
	if (!candidate->barred && candidate->entry->code != NULL)
		JudgeCoupon(pricing, candidate);
	if (!candidate->barred)
		JudgeValidity(pricing, candidate);
	if (!candidate->barred && t->member_limit >= 0 && pricing->sale->member == NULL)
		RefuseCandidate(candidate, ERRCODE_CRM_COUPON_OWNER, "for members: the sale names none");
	if (!candidate->barred)
		JudgeRequirement(pricing, candidate);

	/*
	 * Taking will tell what is sold out.  But a promotion may decide against a
	 * coupon, and then is not taken: so it must be there.
	 */
	if (!candidate->barred && (pricing->read_only ||
							   (t->automatic && pricing->sale->codes != NIL)))
		LookAtLimits(pricing, candidate);
}

/* A condition for the cashier, cut short where it lists a whole assortment. */
static char *
ConditionText(const Condition *condition)
{
	char	   *text = PrintCondition(condition);
	int			length = strlen(text);
	int			shown = pg_mbcliplen(text, length, MAX_SHOWN);

	return shown == length ? text : psprintf("%.*s ...", shown, text);
}

void
RefuseByResult(Candidate *candidate, const OfferResult *result)
{
	const CouponTemplate *t = candidate->template;

	switch (result->outcome)
	{
		case OUTCOME_APPLIED:
			break;
		case OUTCOME_NO_LINE:
			RefuseCandidate(candidate, ERRCODE_CRM_COUPON_LINES, "good for no line of this sale, only if %s",
							ConditionText(t->eligible));
			break;
		case OUTCOME_NO_GIFT:
			RefuseCandidate(candidate, ERRCODE_CRM_COUPON_LINES,
							"add the gift to the sale: a line with %s", ConditionText(t->get_eligible));
			break;
		case OUTCOME_MIN_SPEND:
			RefuseCandidate(candidate, ERRCODE_CRM_COUPON_MIN_SPEND, "%s more", MoneyText(result->lacks));
			break;
		case OUTCOME_MIN_QUANTITY:
		case OUTCOME_BUY_MORE:
			RefuseCandidate(candidate, ERRCODE_CRM_COUPON_MIN_QUANTITY, "%s more of the eligible units",
				   QuantityText(result->lacks));
			break;
		case OUTCOME_BUDGET:
			RefuseCandidate(candidate, ERRCODE_CRM_COUPON_BUDGET,
							"the campaign's budget does not cover it any more");
			break;
		case OUTCOME_NOTHING:
			RefuseCandidate(candidate, ERRCODE_CRM_COUPON_NOTHING, "nothing is left that it could take off");
			break;
		case OUTCOME_DISPLACED:
			RefuseCandidate(candidate, ERRCODE_CRM_COUPON_DISPLACED, "does not go with %s",
				   result->by == NULL ? "what was applied" : result->by->template->code);
			break;
	}
}
