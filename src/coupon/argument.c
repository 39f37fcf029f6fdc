/*
 * argument.c: arguments of the coupon functions and statements, and errors they share.
 */
#include "crm_member.h"
#include "coupon/argument.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

void
RefuseNull(const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("argument \"%s\" must not be null", name),
					strcmp(name, "ref") == 0
					? errhint("The reference makes a retry harmless: send the caller's own number "
							  "of the act.")
					: 0));
}

char *
RequiredText(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		RefuseNull(name);
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

char *
OptionalText(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

void
RefuseReference(const char *ref)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_REFERENCE_REUSED),
					errmsg("reference \"%s\" was used for something else", ref),
					errhint("A retry must send what the first call sent; another act needs another "
							"reference.")));
}

void
RefuseState(const Coupon *coupon)
{
	if (coupon->voided)
		ereport(ERROR, (errcode(ERRCODE_CRM_COUPON_VOID), errmsg("the coupon is void")));
	if (coupon->used)
		ereport(ERROR, (errcode(ERRCODE_CRM_COUPON_USED), errmsg("the coupon is used up")));
	ereport(ERROR, (errcode(ERRCODE_CRM_COUPON_HELD),
					errmsg("the coupon is held for another cart"),
					errdetail("It is held until %s.", timestamptz_to_str(coupon->held_until)),
					errhint("Wait, or release_coupon() with the reference it is held under.")));
}
