/*
 * claim.c: what a combination of coupons takes from codes, limits and budgets.
 *
 * Where somebody else was faster, or several coupons of a campaign ask for more
 * together than is left of it, those that go short are judged anew and another
 * combination is found.
 */
#include "crm_member.h"
#include "coupon/price.h"

#include "miscadmin.h"

void
GiveBackTaken(Pricing *pricing)
{
	while (pricing->ntaken > 0)
	{
		const TakenPart *taken = &pricing->taken[--pricing->ntaken];
		Candidate  *candidate = taken->candidate;

		switch (taken->part)
		{
			case PART_CODE:
				ReturnCode(candidate->coupon.code);
				break;
			case PART_TALLY:
				ReturnTally(pricing->sale->member->member_id, candidate->template);
				break;
			case PART_SHARE:
				ReturnShare(candidate->template, taken->uses, taken->spend);
				break;
		}
	}
}

/* What the applied candidates of its template that come before it take, and it itself. */
static void
TakenWith(const Pricing *pricing, const Candidate *candidate, int64 *uses, int64 *spend)
{
	const Combination *combination = pricing->combination;
	const Candidate *other = NULL;

	*uses = *spend = 0;
	for (int i = 0; i < combination->napplied && other != candidate; i++)
	{
		other = pricing->offers[combination->order[i]].owner;
		if (other->template != candidate->template)
			continue;
		(*uses)++;
		*spend += other->entry->discount;
	}
}

/* Somebody else was faster, or it asks for too much: judge the candidate by what is there now. */
static void
Rejudge(Pricing *pricing, Candidate *candidate, Taken taken)
{
	int64		uses;
	int64		spend;
	int64		rest;

	switch (taken)
	{
		case TAKEN:
			break;
		case NOT_TAKEN_CODE:
			RequireCoupon(candidate->entry->code, false, &candidate->coupon);
			JudgeCandidate(pricing, candidate);
			break;
		case NOT_TAKEN_LIMIT:
			RefuseCandidate(candidate, ERRCODE_CRM_COUPON_LIMIT, "the campaign is sold out");
			break;
		case NOT_TAKEN_MEMBER:
			RefuseCandidate(candidate, ERRCODE_CRM_COUPON_MEMBER_LIMIT, "the member has used it %d times",
				   candidate->template->member_limit);
			break;
		case NOT_TAKEN_BUDGET:
			TakenWith(pricing, candidate, &uses, &spend);
			rest = candidate->entry->discount - (spend - candidate->budget_left);
			if (candidate->template->grants_remainder && rest > 0)
				candidate->cap = rest;
			else if (candidate->budget_left > 0 && candidate->entry->discount > candidate->budget_left)
				break;			/* beside others it may ask for less: its offer knows now what is left */
			else
				RefuseCandidate(candidate, ERRCODE_CRM_COUPON_BUDGET, candidate->budget_left == 0
								? "the campaign's budget is used up"
								: "the campaign's budget does not cover it any more");
			break;
	}
}

/* The first applied candidate that what is left of its campaign does not cover. */
static Candidate *
FindUncovered(Pricing *pricing, Taken *taken)
{
	const Combination *combination = pricing->combination;

	for (int i = 0; i < combination->napplied; i++)
	{
		Candidate  *candidate = pricing->offers[combination->order[i]].owner;
		int64		uses;
		int64		spend;

		TakenWith(pricing, candidate, &uses, &spend);
		*taken = uses > candidate->uses_left ? NOT_TAKEN_LIMIT
			: uses > candidate->member_left ? NOT_TAKEN_MEMBER
			: spend > candidate->budget_left ? NOT_TAKEN_BUDGET : TAKEN;
		if (*taken != TAKEN)
			return candidate;
	}
	return NULL;
}

/* A use of the code; where its number says what it is worth, that very one. */
static Taken
TakeUse(Pricing *pricing, Candidate *candidate)
{
	const CouponTemplate *t = candidate->template;
	int			use_no;

	if (TakeCode(&candidate->coupon, t->uses, pricing->sale->ref, t->split_value, &use_no) != TAKEN)
		return NOT_TAKEN_CODE;
	if (!t->split_value)
		candidate->entry->use_no = use_no;
	else if (candidate->entry->use_no != NextUse(&candidate->coupon, false))
	{
		ReturnCode(candidate->coupon.code);
		return NOT_TAKEN_CODE;
	}
	return TAKEN;
}

static int
CompareCode(const ListCell *a, const ListCell *b)
{
	const Candidate *x = lfirst(a);
	const Candidate *y = lfirst(b);

	return (x->coupon.code > y->coupon.code) - (x->coupon.code < y->coupon.code);
}

/* Those of one template in their order of application, so that the last of them go short. */
static int
CompareTemplate(const ListCell *a, const ListCell *b)
{
	const Candidate *x = lfirst(a);
	const Candidate *y = lfirst(b);
	int			order = strcmp(x->template->code, y->template->code);

	return order != 0 ? order : x->entry->position - y->entry->position;
}

/* Of the candidates of a template that asked for too much together, the first that is not covered. */
static Candidate *
FindShort(Pricing *pricing, const CouponTemplate *template, Taken *taken)
{
	const Combination *combination = pricing->combination;
	Candidate  *candidate = NULL;
	int64		uses_left;
	int64		budget_left;

	LeftInShares(template, &uses_left, &budget_left, pricing->read_only);
	for (int i = 0; i < combination->napplied; i++)
	{
		int64		uses;
		int64		spend;

		candidate = pricing->offers[combination->order[i]].owner;
		if (candidate->template != template)
			continue;
		candidate->budget_left = budget_left;
		TakenWith(pricing, candidate, &uses, &spend);
		*taken = uses > uses_left ? NOT_TAKEN_LIMIT : spend > budget_left ? NOT_TAKEN_BUDGET : TAKEN;
		if (*taken != TAKEN)
			return candidate;
	}
	return candidate;			/* what was missing is back meanwhile */
}

/*
 * Codes, then member limits, then shares, each in one order for all sessions, so
 * that none waits for one that waits for it; the most contended last.
 */
static Candidate *
TakeAll(Pricing *pricing, Taken *taken)
{
	List	   *applied = NIL;
	ListCell   *cell;

	pricing->taken = palloc(sizeof(TakenPart) * (pricing->noffers + 1) * 3);
	pricing->ntaken = 0;

	for (int i = 0; i < pricing->combination->napplied; i++)
		applied = lappend(applied, pricing->offers[pricing->combination->order[i]].owner);

	list_sort(applied, CompareCode);
	foreach(cell, applied)
	{
		Candidate  *candidate = lfirst(cell);
		const CouponTemplate *t = candidate->template;

		if (candidate->entry->code == NULL || t->uses == 0)
			continue;
		*taken = TakeUse(pricing, candidate);
		if (*taken != TAKEN)
		{
			GiveBackTaken(pricing);
			return candidate;
		}
		pricing->taken[pricing->ntaken++] = (TakenPart) {candidate, PART_CODE};
	}

	list_sort(applied, CompareTemplate);
	foreach(cell, applied)
	{
		Candidate  *candidate = lfirst(cell);

		if (candidate->template->member_limit < 0)
			continue;
		*taken = TakeTally(pricing->sale->member->member_id, candidate->template);
		if (*taken != TAKEN)
		{
			GiveBackTaken(pricing);
			return candidate;
		}
		pricing->taken[pricing->ntaken++] = (TakenPart) {candidate, PART_TALLY};
	}

	/* all coupons of a template at once: who holds a share asks for no more */
	foreach(cell, applied)
	{
		Candidate  *candidate = lfirst(cell);
		ListCell   *next = lnext(applied, cell);
		TakenPart	part = {candidate, PART_SHARE};

		if (next != NULL && ((Candidate *) lfirst(next))->template == candidate->template)
			continue;
		for (int i = 0; i <= foreach_current_index(cell); i++)
		{
			const Candidate *other = list_nth(applied, i);

			if (other->template != candidate->template)
				continue;
			part.uses++;
			part.spend += other->entry->discount;
		}
		*taken = TakeShare(candidate->template, part.uses, part.spend);
		if (*taken != TAKEN)
		{
			GiveBackTaken(pricing);
			return FindShort(pricing, candidate->template, taken);
		}
		pricing->taken[pricing->ntaken++] = part;
	}
	return NULL;
}

/* Find another combination, now that a candidate of this one was judged anew. */
static void
Repeat(Pricing *pricing)
{
	ListCell   *cell;

	foreach(cell, pricing->candidates)
	{
		SaleCoupon *entry = ((Candidate *) lfirst(cell))->entry;

		entry->line_discounts = NULL;
		entry->discount = entry->shipping = 0;
		if (entry->status == COUPON_APPLIED)
			entry->status = COUPON_REFUSED;
	}
	RunPricing(pricing);
}

void
TakePricing(Pricing *pricing)
{
	Candidate  *failed;
	Taken		taken;

	while ((failed = TakeAll(pricing, &taken)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		Rejudge(pricing, failed, taken);
		Repeat(pricing);
	}
}

void
CheckPricing(Pricing *pricing)
{
	Candidate  *failed;
	Taken		taken;

	while ((failed = FindUncovered(pricing, &taken)) != NULL)
	{
		Rejudge(pricing, failed, taken);
		Repeat(pricing);
	}
}
