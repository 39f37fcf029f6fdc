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
/* What was presented, cut between two characters where it is long: for messages. */
extern char *ShownCode(const char *text);
extern void RefuseCode(const char *text, CodeForm form);

/*
 * crm_<name>_by_code: the function with a coupon_code for its first argument,
 * which is a text.
 */
#define TAKES_COUPON_CODE(name) \
	PG_FUNCTION_INFO_V1(crm_##name##_by_code); \
	Datum \
	crm_##name##_by_code(PG_FUNCTION_ARGS) \
	{ \
		if (!PG_ARGISNULL(0)) \
			fcinfo->args[0].value = CodeText(PG_GETARG_INT64(0)); \
		return crm_##name(fcinfo); \
	}

extern Datum CodeText(int64 code);

/* cipher.c */
/* Numbers below 2^50 to codes; different numbers have different codes. */
extern void EncipherNumbers(int64 *numbers, int64 n);
/* Does some imported code look like a mistyped native one? */
extern bool AliasesLookNative(void);

#endif
