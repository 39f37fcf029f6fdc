/*
 * fuzz.h: what the targets of the fuzzer share.
 *
 * A target is one function that takes a text, and a list of the SQLSTATEs that
 * the text may be refused with; any other error is a finding.
 */
#ifndef CRM_FUZZ_H
#define CRM_FUZZ_H

#include "crm_member.h"

#define FUZZ_MAX_STATES 8

typedef struct FuzzTarget
{
	const char *name;
	void		(*begin) (void);	/* once; NULL: nothing to do */
	void		(*try) (const char *text, Size length);
	int			refusals[FUZZ_MAX_STATES];	/* ended by 0 */
} FuzzTarget;

extern const FuzzTarget condition_target;
extern const FuzzTarget code_target;
extern const FuzzTarget decimal_target;
extern const FuzzTarget allocate_target;
extern const FuzzTarget expiry_target;
extern const FuzzTarget brackets_target;
extern const FuzzTarget text_target;
extern const FuzzTarget sale_target;

/* What does not hold ends the run, and libFuzzer keeps the input. */
extern void FuzzCheck(bool holds, const char *what);

#endif
