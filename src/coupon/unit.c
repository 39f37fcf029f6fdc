/*
 * unit.c: offers on single units: the cheapest, the dearest, buy X get Y, gifts.
 *
 * Units of a line are counted, never listed, so a line of a million units costs
 * no more than one of two.
 */
#include "crm_member.h"
#include "coupon/offer.h"

#define FEW_SOURCES 4

typedef struct Source
{
	int			line;
	int64		units;			/* that can be taken */
	int64		left;			/* unit value = left / payable */
	int64		payable;		/* quantity that still costs something */
} Source;

/* The cheapest first; of equals the earlier line. */
static int
CompareSource(const void *a, const void *b)
{
	const Source *x = a;
	const Source *y = b;
	int128		p = (int128) x->left * y->payable;
	int128		q = (int128) y->left * x->payable;

	if (p != q)
		return p < q ? -1 : 1;
	return x->line - y->line;
}

static int
CompareSourceDown(const void *a, const void *b)
{
	const Source *x = a;
	const Source *y = b;
	int128		p = (int128) x->left * y->payable;
	int128		q = (int128) y->left * x->payable;

	if (p != q)
		return p > q ? -1 : 1;
	return x->line - y->line;
}

/* The first few in their order, in front. */
static void
SelectSources(Source *sources, int n, int few, int (*compare) (const void *, const void *))
{
	for (int i = 0; i < few && i < n; i++)
	{
		int			first = i;
		Source		swap = sources[i];

		for (int j = i + 1; j < n; j++)
		{
			if (compare(&sources[j], &sources[first]) < 0)
				first = j;
		}
		sources[i] = sources[first];
		sources[first] = swap;
	}
}

static int
ListSources(const Cart *cart, const CartState *state, const bool *lines, bool unused_only,
			Source *sources)
{
	int			n = 0;

	for (int i = 0; i < cart->n; i++)
	{
		int64		units = cart->lines[i].units - (unused_only ? state->used[i] : state->free[i]);

		if (!lines[i] || state->closed[i] || units <= 0)
			continue;
		sources[n].line = i;
		sources[n].units = units;
		sources[n].left = state->left[i];
		sources[n].payable = cart->lines[i].quantity - state->free[i] * UNIT;
		if (sources[n].payable > 0)
			n++;
	}
	return n;
}

/* What the offer takes off some units of a line. */
static int64
UnitsDiscount(const Cart *cart, const CartState *state, const Offer *offer, const Source *source,
			  int64 units)
{
	const CouponTemplate *t = offer->template;
	const CartLine *line = &cart->lines[source->line];
	int64		worth = ShareOfUnits(source->left, units, source->payable, ROUNDING_HALF_UP);
	int64		least = ShareOfUnits(line->floor, units, line->quantity, ROUNDING_CEIL);
	int64		room = Max(Min(worth - least, state->left[source->line] - line->floor), 0);
	int64		amount;

	switch (t->kind)
	{
		case KIND_AMOUNT:
			amount = offer->value > worth / units ? worth : offer->value * units;
			break;
		case KIND_FIXED_PRICE:
			amount = offer->value > worth / units ? 0 : worth - offer->value * units;
			break;
		case KIND_PERCENT:
			amount = PercentOf(t->of_original
							   ? ShareOfUnits(line->amount, units, line->quantity, ROUNDING_HALF_UP)
							   : worth, t->percent, t->rounding);
			break;
		default:
			amount = PercentOf(worth, t->percent, t->rounding);
			break;
	}
	return Min(amount, room);
}

/*
 * How many units are rewarded, and how many of the others count as bought for
 * that.  buys, gets and both: units that can be bought only, rewarded only, either.
 */
static bool
CountRewards(const CouponTemplate *t, int64 buys, int64 gets, int64 both, int64 *rewarded,
			 int64 *bought, int64 *lacks)
{
	int64		b = t->buy_quantity;
	int64		g = t->get_quantity;
	int64		all = buys + gets + both;
	int64		sets = Min(Min((buys + both) / b, (gets + both) / g), all / (b + g));

	*rewarded = sets * g;
	*bought = sets * b;
	if (t->partial_reward && *bought + b <= buys + both)
	{
		int64		extra = Min(g, Min(gets + both - *rewarded, all - *bought - b - *rewarded));

		if (extra > 0)
		{
			*rewarded += extra;
			*bought += b;
		}
	}
	if (*rewarded > t->max_units)
	{
		*rewarded = t->max_units;
		*bought = (*rewarded + g - 1) / g * b;
	}
	if (*rewarded == 0)
	{
		int64		reward = t->partial_reward ? 1 : g;

		*lacks = UNIT * Max(Max(b - buys - both, reward - gets - both), b + reward - all);
	}
	return *rewarded > 0;
}

/* Units that were bought for a reward count for no other: those only good for that first. */
static void
UseBought(const Cart *cart, CartState *state, const Offer *offer, int64 bought, Source *sources)
{
	int			n = ListSources(cart, state, offer->eligible, true, sources);

	qsort(sources, n, sizeof(Source), CompareSourceDown);
	for (int either = 0; either <= 1; either++)
	{
		for (int i = 0; i < n && bought > 0; i++)
		{
			int			line = sources[i].line;
			int64		units = Min(sources[i].units, bought);

			if (offer->gets[line] != (either == 1))
				continue;
			state->used[line] += units;
			bought -= units;
		}
	}
}

/*
 * The most an offer on units can take off: as many as it could reward at best,
 * the dearest of them.  What other offers do first makes no unit dearer but by
 * rounding.
 */
int64
BoundUnits(const Cart *cart, const CartState *state, const Offer *offer)
{
	const CouponTemplate *t = offer->template;
	bool		reward = t->kind == KIND_BUY_X_GET_Y || t->kind == KIND_GIFT;
	Source	   *sources = palloc(sizeof(Source) * cart->n);
	int			n = ListSources(cart, state, reward ? offer->gets : offer->eligible, reward, sources);
	int64		wanted = t->max_units == PG_INT64_MAX ? 1 : t->max_units;
	int64		bound = 0;

	if (t->kind == KIND_GIFT)
		wanted = Min(t->get_quantity, t->max_units);
	else if (t->kind == KIND_BUY_X_GET_Y)
	{
		int64		all = 0;

		for (int i = 0; i < cart->n; i++)
		{
			if (offer->eligible[i] || offer->gets[i])
				all += cart->lines[i].units - state->used[i];
		}
		wanted = Min(all / (t->buy_quantity + t->get_quantity) * t->get_quantity +
					 (t->partial_reward ? t->get_quantity : 0), t->max_units);
	}
	qsort(sources, n, sizeof(Source), CompareSourceDown);
	for (int i = 0; i < n && wanted > 0; i++)
	{
		int64		units = Min(sources[i].units, wanted);
		int64		worth = ShareOfUnits(sources[i].left, units, sources[i].payable, ROUNDING_CEIL);

		if (t->kind == KIND_AMOUNT && offer->value <= worth / units)
			worth = offer->value * units;
		else if (t->kind == KIND_PERCENT && t->of_original)
			worth = PercentOf(Max(worth, ShareOfUnits(cart->lines[sources[i].line].amount, units,
												 cart->lines[sources[i].line].quantity,
												 ROUNDING_CEIL)), t->percent, ROUNDING_CEIL);
		else if (t->kind != KIND_AMOUNT && t->kind != KIND_FIXED_PRICE)
			worth = PercentOf(worth, t->percent, ROUNDING_CEIL);
		bound = AddMinor(bound, worth + units);
		wanted -= units;
	}
	pfree(sources);
	return bound;
}

Outcome
DiscountUnits(const Cart *cart, CartState *state, const Offer *offer, int64 *discounts,
			  int64 *lacks)
{
	const CouponTemplate *t = offer->template;
	bool		reward = t->kind == KIND_BUY_X_GET_Y || t->kind == KIND_GIFT;
	bool		dearest = t->target == TARGET_DEAREST ||
		(t->target != TARGET_CHEAPEST && t->dearest_first);
	Source	   *sources = palloc(sizeof(Source) * cart->n);
	int64	   *taken = palloc0(sizeof(int64) * cart->n);
	int			n = ListSources(cart, state, reward ? offer->gets : offer->eligible, reward, sources);
	int64		wanted = t->max_units == PG_INT64_MAX ? 1 : t->max_units;
	int64		bought = 0;
	int64		either_left = PG_INT64_MAX;
	int64		sum = 0;
	Outcome		outcome = OUTCOME_APPLIED;

	if (t->kind == KIND_GIFT)
	{
		wanted = Min(t->get_quantity, t->max_units);
		if (n == 0)
			outcome = OUTCOME_NO_GIFT;
	}
	else if (t->kind == KIND_BUY_X_GET_Y)
	{
		int64		buys = 0;
		int64		gets = 0;
		int64		both = 0;

		for (int i = 0; i < cart->n; i++)
		{
			int64		units = cart->lines[i].units - state->used[i];

			if (state->closed[i])
				continue;
			if (offer->eligible[i] && offer->gets[i])
				both += units;
			else if (offer->eligible[i])
				buys += units;
			else if (offer->gets[i])
				gets += units;
		}
		if (!CountRewards(t, buys, gets, both, &wanted, &bought, lacks))
			outcome = OUTCOME_BUY_MORE;
		either_left = buys + both - bought;
	}
	else if (n == 0)
		outcome = OUTCOME_NOTHING;

	memset(discounts, 0, sizeof(int64) * cart->n);
	if (outcome == OUTCOME_APPLIED)
	{
		/* a few are found sooner than all are sorted, and each has a unit at least */
		if (t->kind != KIND_BUY_X_GET_Y && wanted <= FEW_SOURCES)
			SelectSources(sources, n, (int) wanted, dearest ? CompareSourceDown : CompareSource);
		else
			qsort(sources, n, sizeof(Source), dearest ? CompareSourceDown : CompareSource);
		for (int i = 0; i < n && wanted > 0; i++)
		{
			int			line = sources[i].line;
			int64		units = Min(sources[i].units, wanted);

			if (t->kind == KIND_BUY_X_GET_Y && offer->eligible[line])
			{
				units = Min(units, either_left);
				either_left -= units;
			}
			if (units == 0)
				continue;
			discounts[line] = UnitsDiscount(cart, state, offer, &sources[i], units);
			sum = AddMinor(sum, discounts[line]);
			taken[line] = units;
			wanted -= units;
		}

		for (int i = 0; i < n; i++)
		{
			int			line = sources[i].line;
			int64		units = taken[line];

			if (units == 0)
				continue;
			if (reward)
				state->used[line] += units;
			/* with a cap that cuts the reward down nothing is quite free */
			if (sum <= Min(t->max_discount, offer->cap) &&
				discounts[line] == ShareOfUnits(sources[i].left, units, sources[i].payable,
										   ROUNDING_HALF_UP))
				state->free[line] += units;
			if (t->kind == KIND_GIFT)
				state->gifts[line] += units;
		}
		if (bought > 0)
			UseBought(cart, state, offer, bought, sources);
	}
	pfree(taken);
	pfree(sources);
	return outcome;
}
