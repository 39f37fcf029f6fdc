/*
 * combine.c: the combination of offers that leaves the buyer paying least.
 *
 * Offers have an order of application.  The search walks it: an offer is
 * applied, where it goes with what was applied before, or left out, where the
 * buyer may.  A branch is cut off where even everything that could still be
 * taken off does not beat the best combination known, so what comes out is
 * exact as long as the limit of work is not reached.
 *
 * An offer that is exclusive by priority is applied only first and lets nothing
 * follow.  One that wins whatever its priority is applied alone or not at all:
 * those are compared with the outcome of the search, unless one of them is no
 * option of the buyer's, which then decides.
 */
#include "crm_member.h"
#include "coupon/offer.h"

#include "miscadmin.h"

typedef struct Search
{
	const Cart *cart;
	const Offer *offers;
	int			n;
	int64		limit;
	CartState	fresh;
	CartState  *states;			/* by offers applied */
	int64		units_bounds[MAX_OFFERS];	/* of offers on units, in the fresh cart */
	OfferResult *results;		/* by offer, of the branch at hand */
	int			path[MAX_OFFERS];
	int			npath;
	int			options;		/* optional ones in path */
	bool		closed;			/* an exclusive offer is in path */
	Combination *best;
	int			best_options;
	bool		stopped;
} Search;

static bool
OnOrder(const CouponTemplate *t)
{
	return t->target == TARGET_ORDER && t->kind != KIND_BUY_X_GET_Y && t->kind != KIND_GIFT;
}

static int
Stage(const CouponTemplate *t)
{
	return t->kind == KIND_FREE_SHIPPING ? 2 : OnOrder(t) ? 1 : 0;
}

/* Priority, then items before the order before shipping, then by name. */
static int
CompareOffer(const void *a, const void *b)
{
	const Offer *x = a;
	const Offer *y = b;
	int			order;

	if (x->template->priority != y->template->priority)
		return x->template->priority > y->template->priority ? -1 : 1;
	if (Stage(x->template) != Stage(y->template))
		return Stage(x->template) - Stage(y->template);
	order = strcmp(x->template->code, y->template->code);
	return order != 0 ? order : x->rank - y->rank;
}

void
SortOffers(Offer *offers, int n)
{
	qsort(offers, n, sizeof(Offer), CompareOffer);
}

static bool
SameGroup(const Offer *a, const Offer *b)
{
	const char *x = a->template->stack_group;
	const char *y = b->template->stack_group;

	return x != NULL && y != NULL && strcmp(x, y) == 0;
}

/* Who in the path keeps an offer out; NULL: nobody. */
static const Offer *
DisplacedBy(const Search *search, const Offer *offer)
{
	if (search->npath == 0)
		return NULL;
	if (search->closed || offer->template->exclusive != EXCLUSIVE_NO)
		return &search->offers[search->path[0]];
	for (int i = 0; i < search->npath; i++)
	{
		if (SameGroup(&search->offers[search->path[i]], offer))
			return &search->offers[search->path[i]];
	}
	return NULL;
}

/* The most that offers from next on can take off what this state leaves. */
static int64
Bound(const Search *search, const CartState *state, int next)
{
	int64		bounds[MAX_OFFERS];
	int64		sum = 0;
	int64		left = state->shipping;

	for (int i = 0; i < search->cart->n; i++)
		left += state->left[i];
	for (int i = next; i < search->n; i++)
	{
		const Offer *offer = &search->offers[i];

		bounds[i] = 0;
		if (offer->template->exclusive == EXCLUSIVE_WINS || DisplacedBy(search, offer) != NULL)
			continue;
		bounds[i] = Min(BoundOffer(search->cart, state, offer), search->units_bounds[i]);
		/* one of a group: what it adds to the best so far */
		for (int j = next; j < i; j++)
		{
			if (bounds[j] > 0 && SameGroup(&search->offers[j], offer))
			{
				int64		more = Max(bounds[i] - bounds[j], 0);

				sum -= bounds[j];
				bounds[j] = bounds[j] + more;
				sum += bounds[j];
				bounds[i] = 0;
				break;
			}
		}
		sum += bounds[i];
	}
	return Min(sum, left);
}

static void
KeepResult(const Cart *cart, OfferResult *to, const OfferResult *from)
{
	int64	   *lines = to->lines;

	*to = *from;
	to->lines = lines;
	memcpy(lines, from->lines, sizeof(int64) * cart->n);
}

/* The path is a combination: is it the best so far? */
static void
Consider(Search *search, int64 discount)
{
	Combination *best = search->best;

	if (best->discount > discount ||
		(best->discount == discount && search->best_options <= search->options))
		return;
	best->discount = discount;
	best->napplied = search->npath;
	search->best_options = search->options;
	memcpy(best->order, search->path, sizeof(int) * search->npath);
	for (int i = 0; i < search->npath; i++)
		KeepResult(search->cart, &best->results[search->path[i]],
				   &search->results[search->path[i]]);
}

static void
Explore(Search *search, int next, int64 discount)
{
	const CartState *state = &search->states[search->npath];
	CartState  *after = &search->states[search->npath + 1];
	const Offer *offer;
	OfferResult *result;
	int64		reach;
	int			needed;

	CHECK_FOR_INTERRUPTS();
	if (search->stopped)
		return;
	if (next == search->n)
	{
		Consider(search, discount);
		return;
	}
	if (++search->best->visited > search->limit && search->best_options != PG_INT32_MAX)
	{
		search->stopped = true;
		return;
	}
	reach = discount + Bound(search, state, next);
	needed = discount < search->best->discount ? 1 : 0;
	if (reach < search->best->discount ||
		(reach == search->best->discount && search->options + needed >= search->best_options))
		return;

	offer = &search->offers[next];
	result = &search->results[next];
	if (offer->template->exclusive != EXCLUSIVE_WINS && DisplacedBy(search, offer) == NULL)
	{
		CopyState(search->cart, after, state);
		ApplyOffer(search->cart, after, offer, result);
		if (result->outcome == OUTCOME_APPLIED)
		{
			search->path[search->npath++] = next;
			search->options += offer->optional;
			search->closed = offer->template->exclusive != EXCLUSIVE_NO;
			Explore(search, next + 1, discount + result->discount);
			search->closed = false;
			search->options -= offer->optional;
			search->npath--;
			if (!offer->optional)
				return;
		}
	}
	Explore(search, next + 1, discount);
}

/* One offer by itself; true: it can be applied. */
static bool
ConsiderAlone(Search *search, int i)
{
	const Offer *offer = &search->offers[i];

	CopyState(search->cart, &search->states[0], &search->fresh);
	ApplyOffer(search->cart, &search->states[0], offer, &search->results[i]);
	if (search->results[i].outcome != OUTCOME_APPLIED)
		return false;
	search->path[0] = i;
	search->npath = 1;
	search->options = offer->optional;
	Consider(search, search->results[i].discount);
	search->npath = 0;
	search->options = 0;
	return true;
}

/* Offers that are applied alone whatever their priority; true: one of them decides. */
static bool
ConsiderWinners(Search *search)
{
	for (int i = 0; i < search->n; i++)
	{
		if (search->offers[i].template->exclusive == EXCLUSIVE_WINS &&
			ConsiderAlone(search, i) && !search->offers[i].optional)
			return true;
	}
	return false;
}

/* Where all is the buyer's choice, each offer alone is a first guess. */
static void
ConsiderEach(Search *search)
{
	for (int i = 0; i < search->n; i++)
	{
		if (!search->offers[i].optional)
			return;
	}
	for (int i = 0; i < search->n; i++)
	{
		if (search->offers[i].template->exclusive != EXCLUSIVE_WINS)
			ConsiderAlone(search, i);
	}
}

/* Why each offer that was not applied was not, beside those that were. */
static void
ExplainOthers(Search *search)
{
	Combination *best = search->best;
	CartState  *state = &search->states[0];
	CartState  *trial = &search->states[1];
	int			done = 0;

	CopyState(search->cart, state, &search->fresh);
	search->npath = 0;
	search->closed = false;
	for (int i = 0; i < search->n; i++)
	{
		const Offer *offer = &search->offers[i];
		OfferResult *result = &best->results[i];
		OfferResult scratch = search->results[i];

		CopyState(search->cart, trial, state);
		if (done < best->napplied && best->order[done] == i)
		{
			ApplyOffer(search->cart, state, offer, &scratch);
			search->path[search->npath++] = i;
			search->closed |= offer->template->exclusive != EXCLUSIVE_NO;
			done++;
			continue;
		}
		ApplyOffer(search->cart, trial, offer, result);
		if (result->outcome != OUTCOME_APPLIED)
			continue;
		result->by = DisplacedBy(search, offer);
		if (result->by == NULL && best->napplied > 0 &&
			(offer->template->exclusive != EXCLUSIVE_NO ||
			 search->offers[best->order[0]].template->exclusive != EXCLUSIVE_NO))
			result->by = &search->offers[best->order[0]];
		for (int j = done; result->by == NULL && j < best->napplied; j++)
		{
			if (SameGroup(&search->offers[best->order[j]], offer))
				result->by = &search->offers[best->order[j]];
		}
		result->outcome = OUTCOME_DISPLACED;
	}
}

Combination *
CombineOffers(const Cart *cart, const Offer *offers, int n, int64 limit)
{
	Search		search = {cart, offers, n, limit};
	Combination *best = palloc0(sizeof(Combination));
	int64	   *cells = palloc0(sizeof(int64) * cart->n * Max(n, 1) * 2);
	int64		left = cart->shipping;

	Assert(n <= MAX_OFFERS);
	search.best = best;
	search.best_options = PG_INT32_MAX;
	search.states = palloc(sizeof(CartState) * (n + 2));
	for (int i = 0; i < n + 2; i++)
		InitState(cart, &search.states[i]);
	InitState(cart, &search.fresh);
	search.results = palloc0(sizeof(OfferResult) * Max(n, 1));
	best->results = palloc0(sizeof(OfferResult) * Max(n, 1));
	best->order = palloc(sizeof(int) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		search.results[i].lines = cells + cart->n * i;
		best->results[i].lines = cells + cart->n * (n + i);
	}

	if (!ConsiderWinners(&search))
	{
		ConsiderEach(&search);
		CopyState(cart, &search.states[0], &search.fresh);
		for (int i = 0; i < n; i++)
			search.units_bounds[i] = WorksOnUnits(offers[i].template)
				? BoundUnits(cart, &search.states[0], &offers[i]) : PG_INT64_MAX;
		best->bound = Bound(&search, &search.states[0], 0);
		Explore(&search, 0, 0);
	}
	best->proven = !search.stopped;
	if (best->proven || best->bound < best->discount)
		best->bound = best->discount;
	for (int i = 0; i < cart->n; i++)
		left += cart->lines[i].left;
	best->bound = Min(best->bound, left);
	ExplainOthers(&search);
	return best;
}
