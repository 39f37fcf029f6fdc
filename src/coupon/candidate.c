/*
 * candidate.c: which coupons and promotions a sale may have: those whose codes it
 * presents, and the automatic ones that an index of their conditions does not
 * rule out, so that thousands of those that do not concern a sale cost it nothing.
 */
#include "crm_member.h"
#include "coupon/code.h"
#include "coupon/price.h"

static Candidate *
AddCandidate(Pricing *pricing)
{
	Candidate  *candidate = palloc0(sizeof(Candidate));

	candidate->entry = palloc0(sizeof(SaleCoupon));
	candidate->entry->status = COUPON_REFUSED;
	candidate->cap = PG_INT64_MAX;
	candidate->uses_left = candidate->member_left = candidate->budget_left = PG_INT64_MAX;
	pricing->candidates = lappend(pricing->candidates, candidate);
	return candidate;
}

/* Was the same coupon presented before? */
static bool
IsRepeated(const Pricing *pricing, const Candidate *candidate)
{
	ListCell   *cell;

	foreach(cell, pricing->candidates)
	{
		const Candidate *other = lfirst(cell);

		if (other == candidate)
			return false;
		if (other->template != NULL && other->entry->code != NULL &&
			other->coupon.code == candidate->coupon.code)
			return true;
	}
	return false;
}

void
AddCode(Pricing *pricing, const char *code, bool optional)
{
	Candidate  *candidate = AddCandidate(pricing);
	SaleCoupon *entry = candidate->entry;

	entry->code = pstrdup(code);
	candidate->optional = optional;
	switch (FindCoupon(code, pricing->read_only, &candidate->coupon))
	{
		case COUPON_FOUND:
			break;
		case COUPON_UNKNOWN:
			RefuseCandidate(candidate, ERRCODE_CRM_UNKNOWN_COUPON, "no such coupon");
			return;
		case COUPON_MISTYPED:
			RefuseCandidate(candidate, ERRCODE_INVALID_TEXT_REPRESENTATION, "the code was mistyped");
			return;
	}
	candidate->template = FindTemplate(pricing->set, candidate->coupon.template_code);
	if (candidate->template == NULL)
	{
		RefuseCandidate(candidate, ERRCODE_CRM_UNKNOWN_COUPON, "its campaign does not exist any more");
		return;
	}
	entry->template_code = candidate->template->code;
	entry->number = candidate->coupon.code;
	entry->native = candidate->coupon.native;
	if (entry->native)
	{
		entry->code = palloc(CODE_TEXT_SIZE);
		WriteCode(entry->number, entry->code);
	}
	else
		entry->code = NormalizeAlias(code);
	if (IsRepeated(pricing, candidate))
		RefuseCandidate(candidate, ERRCODE_CRM_COUPON_DISPLACED, "presented twice");
	else
		JudgeCandidate(pricing, candidate);
}

Facts *
SaleFacts(Pricing *pricing)
{
	if (pricing->facts == NULL)
	{
		pricing->facts = palloc0(sizeof(Facts));
		FillSaleFacts(pricing->facts, pricing->sale, pricing->set->uses);
	}
	return pricing->facts;
}

Facts *
LineFacts(Pricing *pricing, int line)
{
	if (pricing->line_facts == NULL)
	{
		pricing->line_facts = palloc(sizeof(Facts));
		*pricing->line_facts = *SaleFacts(pricing);
	}
	FillLineFacts(pricing->line_facts, &pricing->sale->lines[line]);
	return pricing->line_facts;
}

/* A bitmap of the automatic promotions that the sale and some line of it do not rule out. */
static uint64 *
PossiblePromotions(Pricing *pricing)
{
	const TemplateSet *set = pricing->set;
	int			nwords = ConditionIndexWords(set->requires);
	uint64	   *possible = palloc0(sizeof(uint64) * nwords);
	uint64	   *sale = palloc(sizeof(uint64) * nwords);
	uint64	   *line = palloc(sizeof(uint64) * nwords);

	MatchSaleFacts(set->requires, SaleFacts(pricing), sale);
	MatchSaleFacts(set->eligible, SaleFacts(pricing), line);
	for (int w = 0; w < nwords; w++)
		sale[w] &= line[w];
	for (int i = 0; i < pricing->cart.n; i++)
	{
		memcpy(line, sale, sizeof(uint64) * nwords);
		MatchLineFacts(set->eligible, LineFacts(pricing, i), line);
		for (int w = 0; w < nwords; w++)
			possible[w] |= line[w];
	}
	return possible;
}

void
AddAutomatic(Pricing *pricing)
{
	const TemplateSet *set = pricing->set;
	const uint64 *possible = set->nautomatic > 0 ? PossiblePromotions(pricing) : NULL;

	for (int i = 0; i < set->nautomatic; i++)
	{
		Candidate  *candidate;

		if ((possible[i / 64] >> (i % 64) & 1) == 0)
			continue;
		candidate = AddCandidate(pricing);
		candidate->template = set->automatic[i];
		candidate->entry->template_code = candidate->template->code;
		JudgeCandidate(pricing, candidate);
	}
}
