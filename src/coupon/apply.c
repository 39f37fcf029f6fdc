/*
 * apply.c: what one offer takes off a cart.
 *
 * Every kind first finds what it would take off each line, then the common
 * rules hold: no line below its floor, the whole not above the offer's cap,
 * and what an order discount cannot place on one line goes to the others.
 */
#include "crm_member.h"
#include "coupon/offer.h"

#include "common/int.h"

#define FEW_LINES 64			/* need no memory from the heap */

void
InitState(const Cart *cart, CartState *state)
{
	int64	   *cells = palloc0(sizeof(int64) * cart->n * STATE_CELLS);

	state->left = cells;
	state->used = cells + cart->n;
	state->free = cells + cart->n * 2;
	state->gifts = cells + cart->n * 3;
	state->closed = cells + cart->n * 4;
	for (int i = 0; i < cart->n; i++)
		state->left[i] = cart->lines[i].left;
	state->shipping = cart->shipping;
}

void
CopyState(const Cart *cart, CartState *to, const CartState *from)
{
	memcpy(to->left, from->left, sizeof(int64) * cart->n * STATE_CELLS);
	to->shipping = from->shipping;
}

int64
PercentOf(int64 base, Decimal percent, Rounding rounding)
{
	int64		hundred = 100;
	int64		product;

	for (int s = 0; s < percent.scale; s++)
		hundred *= 10;
	/* the common case without division of 128 bits */
	if (rounding == ROUNDING_HALF_UP && base >= 0 &&
		!pg_mul_s64_overflow(base, percent.units, &product) && product < PG_INT64_MAX - hundred)
		return (product + hundred / 2) / hundred;
	return MulDivMinor(base, percent.units, hundred, rounding);
}

int64
ShareOfUnits(int64 worth, int64 units, int64 quantity, Rounding rounding)
{
	return units * UNIT >= quantity ? worth
		: DivideRounded((int128) worth * units * UNIT, quantity, rounding);
}

static int64
Room(const Cart *cart, const CartState *state, int line)
{
	return state->closed[line] ? 0 : Max(state->left[line] - cart->lines[line].floor, 0);
}

/* Amounts up to the price of everything; more is never taken off anyway. */
static int64
Times(int64 amount, int64 quantity)
{
	Decimal		a = {amount, 0};
	Decimal		q = {quantity, UNIT_SCALE};

	if (amount >= PG_INT64_MAX / UNIT)
		return PG_INT64_MAX / UNIT;
	return MultiplyDecimal(a, q, 0, ROUNDING_HALF_UP);
}

static int64
WithoutTax(int64 amount, Decimal rate)
{
	int128		hundred = 100;

	for (int s = 0; s < rate.scale; s++)
		hundred *= 10;
	return DivideRounded(amount * hundred, hundred + rate.units, ROUNDING_HALF_UP);
}

/*
 * Does the cart hold enough of the eligible lines?  Gifts count for nothing;
 * own is what the offer, a gift, takes off itself, NULL where it is none.
 */
static Outcome
CheckMinimum(const Cart *cart, const CartState *state, const Offer *offer, const int64 *own,
			 int64 *lacks)
{
	const CouponTemplate *t = offer->template;
	bool		any = false;
	int64		spend = 0;
	int64		quantity = 0;

	for (int i = 0; i < cart->n; i++)
	{
		const CartLine *line = &cart->lines[i];
		int64		gifts = state->gifts[i];
		int64		amount;

		if (!offer->eligible[i])
			continue;
		any = true;
		if (t->min_after)
			amount = state->left[i] - (own == NULL ? 0 : own[i]);
		else
			amount = line->amount - (gifts == 0 ? 0 : ShareOfUnits(line->amount, gifts, line->quantity,
																   ROUNDING_HALF_UP));
		spend = AddMinor(spend, t->min_net ? WithoutTax(amount, line->tax_rate) : amount);
		quantity = AddMinor(quantity, line->quantity - gifts * UNIT);
	}
	if (!any)
		return OUTCOME_NO_LINE;
	if (spend < t->min_spend)
	{
		*lacks = t->min_spend - spend;
		return OUTCOME_MIN_SPEND;
	}
	if (t->min_quantity.units > 0)
	{
		int64		needed = MultiplyDecimal(t->min_quantity, (Decimal) {1, 0}, UNIT_SCALE,
											 ROUNDING_CEIL);

		if (quantity < needed)
		{
			*lacks = needed - quantity;
			return OUTCOME_MIN_QUANTITY;
		}
	}
	return OUTCOME_APPLIED;
}

/*
 * Share amount by weights, no more on a line than its room; what one line does
 * not take goes to the others.  Spoils weights.
 */
static void
Place(int n, int64 amount, int64 *weights, const int64 *rooms, Allocation allocation,
	  int64 *placed)
{
	int64		few[FEW_LINES];
	int64	   *shares = n <= FEW_LINES ? few : palloc(sizeof(int64) * n);

	memset(placed, 0, sizeof(int64) * n);
	while (amount > 0)
	{
		bool		open = false;
		int64		excess = 0;

		for (int i = 0; i < n; i++)
		{
			if (placed[i] >= rooms[i])
				weights[i] = 0;
			open |= weights[i] > 0;
		}
		if (!open)
			break;
		Allocate(amount, weights, n, allocation, shares);
		for (int i = 0; i < n; i++)
		{
			int64		over = Max(placed[i] + shares[i] - rooms[i], 0);

			placed[i] += shares[i] - over;
			excess += over;
		}
		amount = excess;
	}
	if (shares != few)
		pfree(shares);
}

/* Amount, percent or fixed price on the eligible lines together. */
static void
DiscountOrder(const Cart *cart, const CartState *state, const Offer *offer, int64 *discounts)
{
	const CouponTemplate *t = offer->template;
	int64		few[FEW_LINES * 2];
	int64	   *base = cart->n <= FEW_LINES ? few : palloc(sizeof(int64) * cart->n * 2);
	int64	   *rooms = base + cart->n;
	int64		sum = 0;
	int64		left = 0;
	int64		amount;

	for (int i = 0; i < cart->n; i++)
	{
		base[i] = rooms[i] = 0;
		if (!offer->eligible[i] || state->closed[i])
			continue;
		base[i] = t->kind == KIND_PERCENT && t->of_original ? cart->lines[i].amount
			: state->left[i];
		rooms[i] = t->redistribute ? Room(cart, state, i) : state->left[i];
		sum = AddMinor(sum, base[i]);
		left = AddMinor(left, state->left[i]);
	}
	if (t->kind == KIND_AMOUNT)
		amount = offer->value;
	else if (t->kind == KIND_PERCENT)
		amount = PercentOf(sum, t->percent, t->rounding);
	else
		amount = Max(sum - offer->value, 0);
	amount = Min(amount, left);
	amount = Min(amount, Min(t->max_discount, offer->cap));
	Place(cart->n, amount, base, rooms, t->allocation, discounts);
	for (int i = 0; i < cart->n; i++)
		discounts[i] = Min(discounts[i], Room(cart, state, i));
	if (base != few)
		pfree(base);
}

/* By unit: what each costs to the minor unit, so that they make up the line, and rounded by itself. */
static int64
PercentOfUnits(int64 base, int64 units, const CouponTemplate *t)
{
	int64		dearer = base % units;
	int64		sum = PercentOf(base / units, t->percent, t->rounding) * (units - dearer);

	return dearer == 0 ? sum : sum + PercentOf(base / units + 1, t->percent, t->rounding) * dearer;
}

/* The same on each eligible line, or on each of its units. */
static void
DiscountLines(const Cart *cart, const CartState *state, const Offer *offer, int64 *discounts)
{
	const CouponTemplate *t = offer->template;
	bool		units = t->target == TARGET_UNIT;

	for (int i = 0; i < cart->n; i++)
	{
		const CartLine *line = &cart->lines[i];
		int64		quantity = line->quantity - state->free[i] * UNIT;
		int64		base;
		int64		amount = 0;

		discounts[i] = 0;
		if (!offer->eligible[i] || state->closed[i] || (units && quantity <= 0))
			continue;
		if (!t->of_original)
			base = state->left[i];
		else if (units && state->free[i] > 0)
			base = MulDivMinor(line->amount, quantity, line->quantity, ROUNDING_HALF_UP);
		else
			base = line->amount;
		switch (t->kind)
		{
			case KIND_AMOUNT:
				amount = units ? Times(offer->value, quantity) : offer->value;
				break;
			case KIND_PERCENT:
				amount = units && quantity % UNIT == 0 && quantity > UNIT
					? PercentOfUnits(base, quantity / UNIT, t)
					: PercentOf(base, t->percent, t->rounding);
				break;
			default:
				amount = state->left[i] - (units ? Times(offer->value, quantity) : offer->value);
				break;
		}
		discounts[i] = Max(Min(amount, Room(cart, state, i)), 0);
	}
}

/* What was found for the lines, cut down to the offer's cap in proportion. */
static int64
CapDiscounts(const Cart *cart, const Offer *offer, int64 *discounts)
{
	int64		cap = Min(offer->template->max_discount, offer->cap);
	int64		sum = 0;

	for (int i = 0; i < cart->n; i++)
		sum = AddMinor(sum, discounts[i]);
	if (sum > cap)
	{
		int64	   *weights = palloc(sizeof(int64) * cart->n * 2);
		int64	   *rooms = weights + cart->n;

		memcpy(weights, discounts, sizeof(int64) * cart->n);
		memcpy(rooms, discounts, sizeof(int64) * cart->n);
		Place(cart->n, cap, weights, rooms, offer->template->allocation, discounts);
		pfree(weights);
		sum = cap;
	}
	return sum;
}

bool
WorksOnUnits(const CouponTemplate *t)
{
	return t->kind == KIND_BUY_X_GET_Y || t->kind == KIND_GIFT ||
		(t->kind != KIND_FREE_SHIPPING &&
		 (t->target == TARGET_CHEAPEST || t->target == TARGET_DEAREST ||
		  (t->max_units != PG_INT64_MAX && (t->target == TARGET_UNIT || t->kind == KIND_PERCENT))));
}

void
ApplyOffer(const Cart *cart, CartState *state, const Offer *offer, OfferResult *result)
{
	const CouponTemplate *t = offer->template;

	result->lacks = 0;
	result->by = NULL;
	result->discount = 0;
	result->shipping = 0;
	/* which units are given must be known before what is bought beside them */
	if (t->kind == KIND_GIFT)
	{
		Outcome		given = DiscountUnits(cart, state, offer, result->lines, &result->lacks);

		result->outcome = CheckMinimum(cart, state, offer, result->lines, &result->lacks);
		if (result->outcome == OUTCOME_APPLIED)
			result->outcome = given;
	}
	else
		result->outcome = CheckMinimum(cart, state, offer, NULL, &result->lacks);
	if (result->outcome != OUTCOME_APPLIED)
		return;

	if (t->kind == KIND_FREE_SHIPPING)
	{
		result->shipping = Min(Min(state->shipping, offer->value), Min(t->max_discount, offer->cap));
		result->discount = result->shipping;
		memset(result->lines, 0, sizeof(int64) * cart->n);
		if (result->discount == 0)
			result->outcome = OUTCOME_NOTHING;
		else if (result->discount > offer->budget)
			result->outcome = OUTCOME_BUDGET;
		state->shipping -= result->shipping;
		return;
	}

	if (WorksOnUnits(t))
	{
		if (t->kind != KIND_GIFT)	/* found above */
			result->outcome = DiscountUnits(cart, state, offer, result->lines, &result->lacks);
	}
	else if (t->target == TARGET_ORDER)
		DiscountOrder(cart, state, offer, result->lines);
	else
		DiscountLines(cart, state, offer, result->lines);

	if (result->outcome == OUTCOME_APPLIED)
	{
		result->discount = CapDiscounts(cart, offer, result->lines);
		if (result->discount == 0)
			result->outcome = OUTCOME_NOTHING;
		else if (result->discount > offer->budget)
			result->outcome = OUTCOME_BUDGET;
	}
	if (result->outcome == OUTCOME_APPLIED)
	{
		for (int i = 0; i < cart->n; i++)
		{
			state->left[i] -= result->lines[i];
			state->closed[i] |= t->stop_lines && result->lines[i] > 0;
		}
	}
}

/* Upper bound of what one line gives an offer that works on lines or all their units. */
static int64
BoundLine(const Cart *cart, const CartState *state, const Offer *offer, int line)
{
	const CouponTemplate *t = offer->template;
	bool		units = t->target == TARGET_UNIT;
	int64		quantity = cart->lines[line].quantity;
	int64		base = t->of_original ? cart->lines[line].amount : state->left[line];

	switch (t->kind)
	{
		case KIND_AMOUNT:
			return units ? Times(offer->value, quantity) : offer->value;
		case KIND_PERCENT:
			/* units round one by one, up to a minor unit each */
			return PercentOf(base, t->percent, units ? ROUNDING_CEIL : t->rounding) +
				(units ? quantity / UNIT + 1 : 0);
		default:
			/* where units are free the rest may cost what it costs now */
			return units ? state->left[line] : state->left[line] - offer->value;
	}
}

int64
BoundOffer(const Cart *cart, const CartState *state, const Offer *offer)
{
	const CouponTemplate *t = offer->template;
	bool		on_order = t->target == TARGET_ORDER;
	bool		on_units = WorksOnUnits(t);
	int64		cap = Min(t->max_discount, Min(offer->cap, offer->budget));
	int64		base = 0;
	int64		room = 0;
	int64		bound = 0;

	if (t->kind == KIND_FREE_SHIPPING)
		return Min(Min(state->shipping, offer->value), cap);

	for (int i = 0; i < cart->n; i++)
	{
		int64		space = Room(cart, state, i);

		if (t->kind == KIND_BUY_X_GET_Y || t->kind == KIND_GIFT ? !offer->gets[i]
			: !offer->eligible[i])
			continue;
		room += space;
		if (on_units)
			continue;
		if (on_order)
			base += t->kind == KIND_PERCENT && t->of_original ? cart->lines[i].amount
				: state->left[i];
		else
			bound += Max(Min(BoundLine(cart, state, offer, i), space), 0);
	}
	if (on_units)
		bound = room;
	else if (on_order)
		bound = t->kind == KIND_AMOUNT ? offer->value
			: t->kind == KIND_PERCENT ? PercentOf(base, t->percent, t->rounding)
			: Max(base - offer->value, 0);
	return Min(Min(bound, room), cap);
}
