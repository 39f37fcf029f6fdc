/*
 * argument.h: arguments of the coupon functions and statements, and errors they share.
 */
#ifndef CRM_COUPON_ARGUMENT_H
#define CRM_COUPON_ARGUMENT_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/date.h"

#include "coupon/row.h"

/* argument.c */
extern char *RequiredText(FunctionCallInfo fcinfo, int n, const char *name);
extern char *OptionalText(FunctionCallInfo fcinfo, int n);
/* A text argument of a statement; *null becomes 'n' or ' '. */
extern void RefuseNull(const char *name);
extern void RefuseReference(const char *ref);
/* The coupon is used, void or held. */
extern void RefuseState(const Coupon *coupon);

/* life.c */
extern bool FindCouponEvent(int64 member_id, const char *act, const char *template_code,
							int64 codes, const char *ref, int64 *code);
extern DateADT LastDay(const CouponTemplate *template);
extern void RemoveCoupon(int64 code);

/* generate.c: what a counter's value of this server is enciphered from */
extern int64 NumberOfCounter(int64 counter);

#endif
