/*
 * price.h: from a sale and codes to offers, for those who price.
 */
#ifndef CRM_COUPON_PRICE_H
#define CRM_COUPON_PRICE_H

#include "postgres.h"

#include "coupon/coupon.h"
#include "coupon/offer.h"
#include "coupon/row.h"

typedef struct Candidate
{
	SaleCoupon *entry;
	const CouponTemplate *template;
	Coupon		coupon;			/* code 0: an automatic promotion */
	bool		barred;			/* refused before any arithmetic */
	bool		optional;
	int64		cap;			/* it may take off no more */
	int64		uses_left;		/* of its campaign, where that was looked at */
	int64		member_left;
	int64		budget_left;
} Candidate;

/* What a pricing took, to be given back where a later part fails. */
typedef struct TakenPart
{
	Candidate  *candidate;
	enum
	{
		PART_CODE, PART_TALLY, PART_SHARE
	}			part;
	int64		uses;			/* PART_SHARE: of all coupons of the template */
	int64		spend;
} TakenPart;

typedef struct Pricing
{
	Sale	   *sale;
	const TemplateSet *set;
	bool		read_only;
	List	   *candidates;		/* of Candidate: presented codes, then automatic promotions */
	Facts	   *facts;			/* of member and sale; NULL until asked for */
	Facts	   *line_facts;		/* the same with those of a line */
	Cart		cart;
	Offer	   *offers;
	int			noffers;
	bool		dropped;		/* there were more than a sale is judged for */
	Combination *combination;
	TakenPart  *taken;
	int			ntaken;
} Pricing;

extern Pricing *BeginPricing(Sale *sale, bool read_only);
extern void AddCode(Pricing *pricing, const char *code, bool optional);
extern void AddAutomatic(Pricing *pricing);
/* Find the combination and say of each candidate what became of it. */
extern void RunPricing(Pricing *pricing);
/* claim.c: take what the combination uses; where somebody else was faster, find another. */
extern void TakePricing(Pricing *pricing);
extern void GiveBackTaken(Pricing *pricing);
/* The same without taking anything. */
extern void CheckPricing(Pricing *pricing);
/* Lower what lines and shipping cost; sale->coupons is set. */
extern void FinishPricing(Pricing *pricing);

/* The facts of member and sale, and with those of a line. */
extern Facts *SaleFacts(Pricing *pricing);
extern Facts *LineFacts(Pricing *pricing, int line);

/* judge.c: may this coupon be used by this sale at all? */
extern void JudgeCandidate(Pricing *pricing, Candidate *candidate);
/* What is left of its campaign, and for the buyer: refused where that is nothing. */
extern void LookAtLimits(Pricing *pricing, Candidate *candidate);
extern void RefuseCandidate(Candidate *candidate, int sqlstate, const char *reason,...) pg_attribute_printf(3, 4);
/* The reason an offer was not applied. */
extern void RefuseByResult(Candidate *candidate, const OfferResult *result);

/* Coupons of a member that best_coupons() looks at where the sale names none. */
#define MAX_WALLET 500

#endif
