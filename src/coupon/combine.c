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

#define SMALL_CELLS 20000		/* offers times lines */

typedef struct Search
{
	const Cart *cart;
	const Offer *offers;
	int			n;
	int64		limit;
	CartState	fresh;
	CartState  *states;			/* by offers applied */
	int64	   *units_bounds;	/* of offers on units, in the fresh cart */
	int			rooms;			/* of these and those above there are */
	int64	  **bounds;			/* what each offer can take off at most, by offers applied */
	int64	   *lefts;			/* what is left to pay, likewise */
	int		   *groups;			/* by offer: the first of its stack group */
	OfferResult *results;		/* by offer, of the branch at hand */
	int		   *path;
	int			npath;
	int			options;		/* optional ones in path */
	bool		all_optional;	/* whatever more is taken off costs a coupon */
	int			first;			/* optional offer */
	int			last;
	bool		small;			/* bounds are found quickly */
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

/* Of each offer the first in its stack group; itself where it has none. */
static void
FindGroups(Search *search)
{
	for (int i = 0; i < search->n; i++)
	{
		const char *group = search->offers[i].template->stack_group;
		int			first = i;

		for (int j = 0; j < i && group != NULL && first == i; j++)
		{
			const char *other = search->offers[j].template->stack_group;

			if (other != NULL && strcmp(group, other) == 0)
				first = j;
		}
		search->groups[i] = first;
	}
}

/* Who in the path keeps an offer out; NULL: nobody. */
static const Offer *
DisplacedBy(const Search *search, int offer)
{
	if (search->npath == 0)
		return NULL;
	if (search->closed || search->offers[offer].template->exclusive != EXCLUSIVE_NO)
		return &search->offers[search->path[0]];
	for (int i = 0; i < search->npath; i++)
	{
		if (search->groups[search->path[i]] == search->groups[offer])
			return &search->offers[search->path[i]];
	}
	return NULL;
}

/*
 * The most that each offer from next on can take off what the path leaves.  That
 * only falls as a path grows, and does not change where an offer is left out: so
 * the bounds of a shorter path, where given, do as well.
 */
static void
FindBounds(Search *search, int next, const int64 *known)
{
	const CartState *state = &search->states[search->npath];
	int64	   *bounds = search->bounds[search->npath];
	int64		left = state->shipping;

	for (int i = 0; i < search->cart->n; i++)
		left += state->left[i];
	search->lefts[search->npath] = left;
	if (known != NULL)
	{
		memcpy(&bounds[next], &known[next], sizeof(int64) * (search->n - next));
		return;
	}
	for (int i = next; i < search->n; i++)
	{
		const Offer *offer = &search->offers[i];

		bounds[i] = 0;
		if (offer->template->exclusive != EXCLUSIVE_WINS && DisplacedBy(search, i) == NULL)
			bounds[i] = Min(BoundOffer(search->cart, state, offer), search->units_bounds[i]);
	}
}

/* The most that offers from next on can take off together, after so many of the path. */
static int64
Reach(const Search *search, int napplied, int next)
{
	const int64 *bounds = search->bounds[napplied];
	int64		sum = 0;

	for (int i = next; i < search->n; i++)
	{
		int64		bound = bounds[i];

		/* one of a group: what it adds to the best before it */
		if (search->groups[i] != i)
		{
			for (int j = Max(next, search->groups[i]); j < i; j++)
			{
				if (search->groups[j] == search->groups[i])
					bound = Min(bound, Max(bounds[i] - bounds[j], 0));
			}
		}
		sum += bound;
	}
	return Min(sum, search->lefts[napplied]);
}

/* Can a combination be better that takes off so much, and so much more at most? */
static bool
CanBeat(const Search *search, int64 discount, int64 more)
{
	const Combination *best = search->best;
	int			needed = search->all_optional && discount < best->discount ? 1 : 0;

	return discount + more > best->discount ||
		(discount + more == best->discount && search->options + needed < search->best_options);
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

/* For paths of so many offers. */
static void
MakeRoom(Search *search, int napplied)
{
	for (; search->rooms <= napplied; search->rooms++)
	{
		InitState(search->cart, &search->states[search->rooms]);
		search->bounds[search->rooms] = palloc(sizeof(int64) * Max(search->n, 1));
	}
}

static void
Explore(Search *search, int next, int64 discount)
{
	int			napplied = search->npath;
	CartState  *after = &search->states[napplied + 1];
	const Offer *offer;
	OfferResult *result;
	bool		choice;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
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
	/* before the first and after the last that may be left out there is no choice */
	choice = next >= search->first && next <= search->last;
	if (next == search->first)
		FindBounds(search, next, NULL);
	if (choice && !CanBeat(search, discount, Reach(search, napplied, next)))
		return;

	offer = &search->offers[next];
	result = &search->results[next];
	if (offer->template->exclusive != EXCLUSIVE_WINS && DisplacedBy(search, next) == NULL)
	{
		MakeRoom(search, napplied + 1);
		CopyState(search->cart, after, &search->states[napplied]);
		ApplyOffer(search->cart, after, offer, result);
		if (result->outcome == OUTCOME_APPLIED)
		{
			search->path[search->npath++] = next;
			search->options += offer->optional;
			search->closed = offer->template->exclusive != EXCLUSIVE_NO;
			if (!choice || CanBeat(search, discount + result->discount,
								   Reach(search, napplied, next + 1)))
			{
				if (choice)
					FindBounds(search, next + 1, offer->optional || search->small ? NULL
							   : search->bounds[napplied]);
				Explore(search, next + 1, discount + result->discount);
			}
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
	for (int i = 0; i < search->n && search->all_optional; i++)
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
		result->by = DisplacedBy(search, i);
		if (result->by == NULL && best->napplied > 0 &&
			(offer->template->exclusive != EXCLUSIVE_NO ||
			 search->offers[best->order[0]].template->exclusive != EXCLUSIVE_NO))
			result->by = &search->offers[best->order[0]];
		for (int j = done; result->by == NULL && j < best->napplied; j++)
		{
			if (search->groups[best->order[j]] == search->groups[i])
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

	search.best = best;
	search.best_options = PG_INT32_MAX;
	search.states = palloc(sizeof(CartState) * (n + 2));
	InitState(cart, &search.fresh);
	search.results = palloc0(sizeof(OfferResult) * Max(n, 1));
	search.units_bounds = palloc(sizeof(int64) * Max(n, 1));
	search.lefts = palloc(sizeof(int64) * (n + 1));
	search.bounds = palloc(sizeof(int64 *) * (n + 2));
	MakeRoom(&search, 1);
	search.groups = palloc(sizeof(int) * Max(n, 1));
	search.path = palloc(sizeof(int) * Max(n, 1));
	search.all_optional = true;
	search.small = (int64) n * cart->n <= SMALL_CELLS;
	search.first = search.last = -1;
	for (int i = 0; i < n; i++)
	{
		search.all_optional &= offers[i].optional;
		if (!offers[i].optional)
			continue;
		if (search.first < 0)
			search.first = i;
		search.last = i;
	}
	FindGroups(&search);
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
		FindBounds(&search, 0, NULL);
		best->bound = Reach(&search, 0, 0);
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
