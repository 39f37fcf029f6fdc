/*
 * use.h: redemptions as rows.
 */
#ifndef CRM_COUPON_USE_H
#define CRM_COUPON_USE_H

#include "postgres.h"

#include "coupon/coupon.h"

/* use.c: false where the member has a use with this ref already */
extern bool InsertUse(const Sale *sale, const SaleCoupon *coupon, const char *ref, int64 digest);

/*
 * Give back the use that redeem_coupon() made under this ref; false: there is none.
 * buyer -1: whosoever; error RM001 where that is not one.
 */
extern bool ReturnRedemption(int64 code, const char *ref, int64 buyer);

#endif
