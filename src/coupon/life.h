/*
 * life.h: what the acts of a coupon's life share.
 */
#ifndef CRM_COUPON_LIFE_H
#define CRM_COUPON_LIFE_H

#include "postgres.h"
#include "utils/date.h"

#include "coupon/template.h"

/* life.c */
/*
 * What was done to coupons.  code -1: to none in particular.  False where the
 * member has an act with this ref already.
 */
extern bool RecordCouponEvent(int64 member_id, const char *act, int64 code,
							  const char *template_code, int64 codes, const char *ref,
							  const char *reason, const char *actor);
/*
 * The act done before under this reference, by the member itself or else by one
 * that is it now; error RM001 where it was another.
 */
extern bool FindCouponEvent(int64 member_id, const char *act, const char *template_code,
							int64 codes, const char *ref, int64 *code);
extern void RefuseReference(const char *ref) pg_attribute_noreturn();
/* The last day on which a coupon issued now can be used. */
extern DateADT LastDay(const CouponTemplate *template);

/* generate.c: what a counter's value of this server is enciphered from */
extern int64 NumberOfCounter(int64 counter);

#endif
