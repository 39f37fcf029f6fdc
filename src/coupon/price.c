/*
 * price.c: the coupons of a sale: which are applied, and what they take off.
 *
 * Conditions see the sale as it was rung up, before any coupon, so what a coupon
 * is good for does not depend on the others.
 */
#include "crm_member.h"
#include "catalog.h"
#include "coupon/price.h"
#include "setting.h"

#include "storage/lmgr.h"

/* What a sale is judged for: offers, and offers times lines. */
#define MIN_OFFERS 256
#define MAX_OFFERS 1024
#define MAX_CELLS 4000000

/* Partial combinations looked at, and those times offers and lines. */
#define MIN_SEARCH 1000
#define MAX_SEARCH 200000
#define SEARCH_WORK INT64CONST(1000000000)

static void
BuildCart(Pricing *pricing)
{
	const Sale *sale = pricing->sale;
	Cart	   *cart = &pricing->cart;
	int			scale = GetSetting()->money_scale;
	Decimal		one = {1, 0};

	cart->n = sale->nlines;
	cart->lines = palloc0(sizeof(CartLine) * Max(cart->n, 1));
	cart->shipping = sale->shipping;
	cart->scale = scale;
	for (int i = 0; i < cart->n; i++)
	{
		const SaleLine *line = &sale->lines[i];
		CartLine   *c = &cart->lines[i];

		c->amount = line->amount;
		c->left = LinePayable(line);
		c->quantity = MultiplyDecimal(line->quantity, one, UNIT_SCALE, ROUNDING_FLOOR);
		c->units = c->quantity / UNIT;
		if (line->has_min_price)
			c->floor = MultiplyDecimal(line->min_price, line->quantity, scale, ROUNDING_CEIL);
		c->tax_rate = line->has_tax_rate ? line->tax_rate : (Decimal) {0, 0};
	}
}

Pricing *
BeginPricing(Sale *sale, bool read_only)
{
	Pricing    *pricing = palloc0(sizeof(Pricing));

	/*
	 * A change of limits waits for redemptions under way, which hold this lock,
	 * and counts them; so take it before looking at what the limits are.
	 */
	if (!read_only)
		LockRelationOid(CrmRelation("coupon_use"), RowExclusiveLock);
	pricing->sale = sale;
	pricing->read_only = read_only;
	pricing->set = GetTemplateSet();
	BuildCart(pricing);
	return pricing;
}

/* Which lines each offer is good for. */
static void
MatchLines(Pricing *pricing)
{
	int			n = pricing->cart.n;
	bool		needed = false;

	for (int o = 0; o < pricing->noffers; o++)
	{
		Offer	   *offer = &pricing->offers[o];
		const CouponTemplate *t = offer->template;

		offer->eligible = palloc(sizeof(bool) * n * 2);
		offer->gets = offer->eligible + n;
		needed |= t->eligible != NULL || t->get_eligible != NULL;
		memset(offer->eligible, true, sizeof(bool) * n * 2);
	}
	if (!needed)
		return;
	for (int i = 0; i < n; i++)
	{
		const Facts *facts = LineFacts(pricing, i);

		for (int o = 0; o < pricing->noffers; o++)
		{
			Offer	   *offer = &pricing->offers[o];
			const CouponTemplate *t = offer->template;

			if (t->eligible != NULL)
				offer->eligible[i] = EvaluateCondition(t->eligible, facts) == TRUTH_TRUE;
			offer->gets[i] = t->get_eligible == NULL ? offer->eligible[i]
				: EvaluateCondition(t->get_eligible, facts) == TRUTH_TRUE;
		}
	}
}

/* What this use is worth: a value shared over the uses is cut at running totals. */
static int64
UseValue(Pricing *pricing, Candidate *candidate)
{
	const CouponTemplate *t = candidate->template;
	int			use_no;

	if (!t->split_value)
		return t->value;
	use_no = candidate->coupon.uses == 0 ? 1 : NextUse(&candidate->coupon, pricing->read_only);
	candidate->entry->use_no = use_no;
	return (int64) ((int128) t->value * use_no / t->uses) -
		(int64) ((int128) t->value * (use_no - 1) / t->uses);
}

static void
AddOffer(Pricing *pricing, Candidate *candidate, int rank)
{
	Offer	   *offer = &pricing->offers[pricing->noffers++];

	offer->template = candidate->template;
	offer->optional = candidate->optional;
	offer->value = UseValue(pricing, candidate);
	offer->cap = candidate->cap;
	offer->budget = candidate->budget_left;
	if (candidate->template->grants_remainder)
	{
		offer->cap = Min(offer->cap, offer->budget);
		offer->budget = PG_INT64_MAX;
	}
	offer->rank = rank;
	offer->owner = candidate;
}

/*
 * What a sale is judged for takes room and time by offers and lines.  Where there
 * are more offers than that, promotions go before the coupons that were not
 * presented, and those go that are applied last.
 */
static void
DropOffers(Pricing *pricing, int npromotions)
{
	int			most = Min(Max(MAX_CELLS / Max(pricing->cart.n, 1), MIN_OFFERS), MAX_OFFERS);
	int			kept;
	int			coupons;

	if (pricing->noffers <= most)
		return;
	coupons = Min(pricing->noffers - npromotions,
				  Max(list_length(pricing->sale->codes), most - npromotions));
	kept = Min(npromotions, most - coupons);
	SortOffers(pricing->offers, npromotions);
	for (int i = kept; i < pricing->noffers; i++)
	{
		if (i < npromotions || i >= npromotions + coupons)
			RefuseCandidate(pricing->offers[i].owner, ERRCODE_CRM_COUPON_DISPLACED,
							"more offers than one sale can have");
	}
	memmove(&pricing->offers[kept], &pricing->offers[npromotions], sizeof(Offer) * coupons);
	pricing->noffers = kept + coupons;
	pricing->dropped = true;
}

static void
BuildOffers(Pricing *pricing)
{
	int			npromotions = 0;
	ListCell   *cell;

	pricing->noffers = 0;
	pricing->offers = palloc0(sizeof(Offer) * Max(list_length(pricing->candidates), 1));
	for (int coupons = 0; coupons <= 1; coupons++)
	{
		foreach(cell, pricing->candidates)
		{
			Candidate  *candidate = lfirst(cell);

			if (!candidate->barred && (candidate->entry->code != NULL) == coupons)
				AddOffer(pricing, candidate, foreach_current_index(cell));
		}
		if (!coupons)
			npromotions = pricing->noffers;
	}
	DropOffers(pricing, npromotions);
	SortOffers(pricing->offers, pricing->noffers);
	MatchLines(pricing);
}

/* Combinations looked at before the best so far has to do: fewer where each takes longer. */
static int64
SearchLimit(const Pricing *pricing)
{
	return Min(Max(SEARCH_WORK / Max((int64) pricing->cart.n * pricing->noffers, 1), MIN_SEARCH),
			   MAX_SEARCH);
}

void
RunPricing(Pricing *pricing)
{
	Combination *combination;

	BuildOffers(pricing);
	combination = CombineOffers(&pricing->cart, pricing->offers, pricing->noffers,
								SearchLimit(pricing));
	pricing->combination = combination;
	if (pricing->dropped)
	{
		combination->proven = false;
		combination->bound = SalePayable(pricing->sale);
	}
	for (int i = 0; i < combination->napplied; i++)
	{
		int			o = combination->order[i];
		SaleCoupon *entry = ((Candidate *) pricing->offers[o].owner)->entry;

		entry->status = COUPON_APPLIED;
		entry->position = i + 1;
		entry->discount = combination->results[o].discount;
		entry->shipping = combination->results[o].shipping;
		entry->line_discounts = combination->results[o].lines;
	}
}

/* Of what was not applied: why. */
static void
ExplainRefusals(Pricing *pricing)
{
	for (int o = 0; o < pricing->noffers; o++)
	{
		const Offer *offer = &pricing->offers[o];
		const OfferResult *result = &pricing->combination->results[o];
		Candidate  *candidate = offer->owner;

		if (candidate->entry->line_discounts != NULL || candidate->barred)
			continue;
		RefuseByResult(candidate, result);
		/* one that wins lets no promotion in but one that wins too */
		if (offer->optional && result->outcome == OUTCOME_DISPLACED &&
			(result->by == NULL || result->by->optional ||
			 (offer->template->exclusive == EXCLUSIVE_WINS &&
			  result->by->template->exclusive != EXCLUSIVE_WINS)))
		{
			candidate->entry->status = COUPON_NOT_BEST;
			candidate->entry->reason = result->by != NULL
				? psprintf("the buyer pays less with %s instead", result->by->template->code)
				: pstrdup("the buyer pays no less with it");
		}
	}
}

void
FinishPricing(Pricing *pricing)
{
	Sale	   *sale = pricing->sale;
	Combination *combination = pricing->combination;
	ListCell   *cell;

	ExplainRefusals(pricing);
	for (int i = 0; i < combination->napplied; i++)
	{
		Candidate  *candidate = pricing->offers[combination->order[i]].owner;
		SaleCoupon *entry = candidate->entry;

		for (int line = 0; line < sale->nlines; line++)
		{
			sale->lines[line].discount += entry->line_discounts[line];
			sale->discount += entry->line_discounts[line];
		}
		sale->shipping -= entry->shipping;
		sale->coupons = lappend(sale->coupons, entry);
	}
	/* of promotions that do not apply nothing is said */
	foreach(cell, pricing->candidates)
	{
		SaleCoupon *entry = ((Candidate *) lfirst(cell))->entry;

		if (entry->code != NULL && entry->status != COUPON_APPLIED)
			sale->coupons = lappend(sale->coupons, entry);
	}
}

/* All the codes of a sale, with the automatic promotions. */
static Pricing *
PriceCodes(Sale *sale, bool read_only)
{
	Pricing    *pricing;
	ListCell   *cell;

	if (sale->codes == NIL && GetTemplateSet()->nautomatic == 0)
		return NULL;
	pricing = BeginPricing(sale, read_only);
	foreach(cell, sale->codes)
		AddCode(pricing, lfirst(cell), true);
	AddAutomatic(pricing);
	RunPricing(pricing);
	return pricing;
}

void
PriceSale(Sale *sale)
{
	Pricing    *pricing = PriceCodes(sale, true);

	if (pricing == NULL)
		return;
	CheckPricing(pricing);
	FinishPricing(pricing);
}

/* Taking does not tell what is sold out of what is not taken; quote() does. */
static void
JudgeLeftOut(Pricing *pricing)
{
	ListCell   *cell;

	foreach(cell, pricing->candidates)
	{
		Candidate  *candidate = lfirst(cell);

		if (candidate->entry->code != NULL && candidate->entry->status != COUPON_APPLIED &&
			!candidate->barred)
			LookAtLimits(pricing, candidate);
	}
}

void
RedeemSale(Sale *sale)
{
	Pricing    *pricing = PriceCodes(sale, false);

	if (pricing == NULL)
		return;
	JudgeLeftOut(pricing);
	TakePricing(pricing);
	FinishPricing(pricing);
}
