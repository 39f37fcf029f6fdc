/*
 * coupon.h: coupons as the checkout and the ledger use them.
 *
 * Money is int64 minor units of the scale in crm_member.setting.
 */
#ifndef CRM_COUPON_H
#define CRM_COUPON_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "utils/timestamp.h"

#include "sale/sale.h"

/* What became of a code that a sale presented, or of an automatic promotion. */
typedef enum CouponStatus
{
	COUPON_APPLIED,
	COUPON_REFUSED,
	COUPON_NOT_BEST				/* left out, since the buyer pays less without it */
} CouponStatus;

typedef struct SaleCoupon
{
	char	   *code;			/* as presented; NULL for an automatic promotion */
	char	   *template_code;	/* NULL where the code is unknown */
	CouponStatus status;
	int			sqlstate;		/* 0 where it was applied */
	char	   *reason;
	int64		discount;		/* shipping included */
	int64		shipping;
	int64	   *line_discounts; /* one a line; NULL where it was not applied */
	int			position;		/* of what was applied, in order of application */

	/* what Redeem writes */
	int64		number;			/* the coupon_code */
	bool		native;			/* presented by it, not by an alias */
	int			use_no;			/* 0: uses are not counted */
} SaleCoupon;

/*
 * price.c: the coupons in sale->codes and the automatic promotions, in the
 * combination that leaves the buyer paying least.  Lowers what lines and
 * shipping cost and sets sale->coupons.  PriceSale writes nothing; RedeemSale
 * takes what it applies from codes, limits and budgets in the same transaction.
 */
extern void PriceSale(Sale *sale);
extern void RedeemSale(Sale *sale);

/* use.c: redemptions as rows */
extern void InsertSaleCoupons(const Sale *sale);
extern void LoadSaleCoupons(Sale *sale);

/*
 * A sale was returned completely: give back the uses whose templates say so and
 * which still hold at that time.  How many there were.
 */
extern int	ReturnSaleCoupons(int64 member_id, int64 sale_id, TimestampTz at);

#endif
