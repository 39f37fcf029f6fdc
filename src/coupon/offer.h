/*
 * offer.h: what offers take off a cart, as arithmetic on plain values.
 *
 * A cart does not change while offers are tried on it; what they leave is a
 * CartState.  Whole units of a line cost the same: what is left of the line,
 * shared over the units that still cost something.
 */
#ifndef CRM_OFFER_H
#define CRM_OFFER_H

#include "postgres.h"

#include "coupon/template.h"
#include "money/money.h"

#define UNIT_SCALE	6
#define UNIT		INT64CONST(1000000) /* a unit in quantities of scale 6 */

typedef struct CartLine
{
	int64		amount;			/* before discounts */
	int64		left;			/* after the discount it was rung up with */
	int64		floor;			/* least it may cost: min_price */
	int64		quantity;		/* scale 6 */
	int64		units;			/* whole ones */
	Decimal		tax_rate;
} CartLine;

typedef struct Cart
{
	int			n;
	CartLine   *lines;
	int64		shipping;
	int			scale;			/* of money */
} Cart;

typedef struct CartState
{
	int64	   *left;			/* to pay for each line */
	int64	   *used;			/* units that counted for a buy_x_get_y or gift */
	int64	   *free;			/* units that cost nothing any more */
	int64	   *gifts;			/* units that are gifts, which count for no minimum */
	int64	   *closed;			/* whether later offers leave the line alone */
	int64		shipping;
} CartState;

#define STATE_CELLS 5			/* arrays in it, one after the other */

typedef enum Outcome
{
	OUTCOME_APPLIED,
	OUTCOME_NO_LINE,			/* no eligible line */
	OUTCOME_NO_GIFT,			/* no line to give free */
	OUTCOME_MIN_SPEND,			/* lacks: money */
	OUTCOME_MIN_QUANTITY,		/* lacks: quantity, scale 6 */
	OUTCOME_BUY_MORE,			/* lacks: units, scale 6 */
	OUTCOME_BUDGET,				/* the budget does not cover it */
	OUTCOME_NOTHING,			/* nothing is left to take off */
	OUTCOME_DISPLACED			/* by: an offer applied before */
} Outcome;

typedef struct Offer
{
	const CouponTemplate *template;
	bool		optional;		/* the buyer may keep it for another sale */
	int64		value;			/* of this use */
	int64		cap;			/* it takes off no more; PG_INT64_MAX: no such limit */
	int64		budget;			/* it is not applied where it would take off more */
	bool	   *eligible;		/* lines */
	bool	   *gets;			/* lines that rewarded units are taken from */
	int			rank;			/* tells offers apart that sort the same */
	void	   *owner;			/* the caller's */
} Offer;

typedef struct OfferResult
{
	Outcome		outcome;
	int64		lacks;
	const Offer *by;
	int64		discount;		/* shipping included */
	int64		shipping;
	int64	   *lines;			/* n of them, or NULL */
} OfferResult;

/* apply.c */
extern void InitState(const Cart *cart, CartState *state);
extern void CopyState(const Cart *cart, CartState *to, const CartState *from);
/*
 * Take an offer off what is left; result->lines, n of them, is filled.  Where
 * the outcome is not OUTCOME_APPLIED the state is spoilt.
 */
extern void ApplyOffer(const Cart *cart, CartState *state, const Offer *offer,
					   OfferResult *result);
/*
 * The most it could take off in this state and any that follows from it; for
 * an offer on units the least of that and BoundUnits() is.
 */
extern int64 BoundOffer(const Cart *cart, const CartState *state, const Offer *offer);
/* What so many whole units have of what the whole quantity is worth. */
extern int64 ShareOfUnits(int64 worth, int64 units, int64 quantity, Rounding rounding);
extern bool WorksOnUnits(const CouponTemplate *t);
extern int64 PercentOf(int64 base, Decimal percent, Rounding rounding);

/* unit.c: discounts on single units */
extern int64 BoundUnits(const Cart *cart, const CartState *state, const Offer *offer);
extern Outcome DiscountUnits(const Cart *cart, CartState *state, const Offer *offer,
							 int64 *discounts, int64 *lacks);

/* combine.c */
typedef struct Combination
{
	int64		discount;
	bool		proven;			/* no other combination leaves the buyer paying less */
	int64		bound;			/* none takes off more than this */
	int64		visited;		/* partial combinations looked at */
	int			napplied;
	int		   *order;			/* offers applied, in order of application */
	OfferResult *results;		/* by offer */
} Combination;

/* Offers into their order of application. */
extern void SortOffers(Offer *offers, int n);
/*
 * The combination that leaves the buyer paying least, of equals that with the
 * fewest optional offers; offers are sorted.  Offers that are not optional are
 * applied wherever they can be.  limit: of visited, then proven is false.
 */
extern Combination *CombineOffers(const Cart *cart, const Offer *offers, int n, int64 limit);

#endif
