/*
 * code.h: native coupon codes.
 *
 * A coupon_code is a number below 2^50, written as ten symbols of base 32 and
 * two check symbols.
 */
#ifndef CRM_COUPON_CODE_H
#define CRM_COUPON_CODE_H

#include "postgres.h"

#define CODE_BITS	   50
#define CODE_TEXT_SIZE 15		/* XXXX-XXXX-XXXX and its end */

typedef enum CodeForm
{
	CODE_NATIVE,
	CODE_MISTYPED,				/* looks like one, but its check symbols do not fit */
	CODE_OTHER
} CodeForm;

/* code.c */
extern CodeForm ReadCode(const char *text, int64 *code);
extern void WriteCode(int64 code, char *text);
extern void RefuseCode(const char *text, CodeForm form);

/* cipher.c */
/* The code of a number below 2^50; different numbers have different codes. */
extern int64 EncipherNumber(int64 number);
/* Does some imported code look like a mistyped native one? */
extern bool AliasesLookNative(void);

#endif
