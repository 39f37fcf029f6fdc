/*
 * row.h: coupons as rows.
 */
#ifndef CRM_COUPON_ROW_H
#define CRM_COUPON_ROW_H

#include "postgres.h"
#include "storage/itemptr.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "coupon/template.h"

typedef struct Coupon
{
	int64		code;
	bool		native;			/* presented by its code, not by an alias */
	char	   *template_code;
	bool		used;			/* status */
	bool		voided;
	int			uses;
	TimestampTz issued_at;
	TimestampTz valid_until;	/* exclusive; its own limit */
	int64		member_id;		/* CRM_GUEST: whoever presents it */
	TimestampTz held_until;
	char	   *held_by;		/* NULL: not held */
	ItemPointerData tid;		/* of this version of the row; invalid: not known */
} Coupon;

/* row.c */
typedef enum FoundCoupon
{
	COUPON_FOUND,
	COUPON_UNKNOWN,
	COUPON_MISTYPED				/* known without a look */
} FoundCoupon;

/* read_only: as the calling statement sees it */
extern FoundCoupon FindCoupon(const char *presented, bool read_only, Coupon *coupon);
/* Is its last use kept for another than this holder? */
extern bool KeptFor(const Coupon *coupon, int uses_allowed, const char *holder);
/*
 * Count a use of the very version that was found, if it still is the last and can
 * be used.  false: nothing was done, which says nothing yet.
 */
extern bool UseSeenCoupon(const Coupon *coupon, int uses_allowed, const char *holder);
/* Error RM401 or 22P02 unless found. */
extern void RequireCoupon(const char *presented, bool read_only, Coupon *coupon);
/* How an imported code is written in coupon_alias; error 22023 where it cannot be one. */
extern char *NormalizeAlias(const char *text);
/* Lowest use number that no redemption in force has. */
extern int	NextUse(const Coupon *coupon, bool read_only);

/* take.c: uses of codes, limits and budgets */
typedef enum Taken
{
	TAKEN,
	NOT_TAKEN_CODE,				/* somebody else took or holds it */
	NOT_TAKEN_LIMIT,
	NOT_TAKEN_BUDGET,
	NOT_TAKEN_MEMBER
} Taken;

/*
 * exactly: as many uses as it had when it was found, else whatever it has now.
 * *use_no becomes how many it has then.
 */
extern Taken TakeCode(const Coupon *coupon, int uses_allowed, const char *holder, bool exactly,
					  int *use_no);
extern void ReturnCode(int64 code);
extern Taken TakeTally(int64 member_id, const CouponTemplate *template);
extern void ReturnTally(int64 member_id, const CouponTemplate *template);
/* n uses that take off spend together */
extern Taken TakeShare(const CouponTemplate *template, int64 n, int64 spend);
extern void ReturnShare(const CouponTemplate *template, int64 n, int64 spend);

/* What is left, as the calling statement sees it; PG_INT64_MAX where there is no limit. */
extern void LeftInShares(const CouponTemplate *template, int64 *uses, int64 *budget,
						 bool read_only);
/* Has a single share that much left already?  Then that is what is left at least. */
extern bool ShareHas(const CouponTemplate *template, int64 enough_uses, int64 enough_budget,
					 int64 *uses, int64 *budget, bool read_only);
extern int64 UsesByMember(int64 member_id, const CouponTemplate *template);

#endif
