/*
 * argument.c: arguments of SQL functions, required and optional.
 */
#include "crm_member.h"
#include "argument.h"

#include "utils/builtins.h"

void
RequireArgument(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" must not be null", name),
						strcmp(name, "ref") == 0
						? errhint("The reference makes a retry harmless: send the caller's own number of the act.")
						: 0));
}

char *
RequiredText(FunctionCallInfo fcinfo, int n, const char *name)
{
	RequireArgument(fcinfo, n, name);
	return TextArgument(fcinfo, n);
}

char *
FilledText(FunctionCallInfo fcinfo, int n, const char *name)
{
	char	   *text = RequiredText(fcinfo, n, name);

	if (text[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"%s\" must not be empty", name)));
	return text;
}

char *
TextArgument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

TimestampTz
MomentArgument(FunctionCallInfo fcinfo, int n, TimestampTz otherwise)
{
	return PG_ARGISNULL(n) ? otherwise : PG_GETARG_TIMESTAMPTZ(n);
}
