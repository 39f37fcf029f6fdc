/*
 * argument.c: arguments of the functions that move points and stored value.
 */
#include "crm_member.h"
#include "points/argument.h"

#include "access/xact.h"
#include "utils/builtins.h"

/* Points far from any real amount are a mistake of the caller's. */
#define MAX_POINTS INT64CONST(1000000000000)

const char *const active_members[] = {"active", NULL};
const char *const living_members[] = {"active", "inactive", "lost", NULL};
const char *const all_members[] = {"active", "inactive", "lost", "cancelled", NULL};

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

void
RequireText(FunctionCallInfo fcinfo, int n, const char *name)
{
	RequireArgument(fcinfo, n, name);
	if (VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(n)) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"%s\" must not be empty", name)));
}

int64
PointsArgument(FunctionCallInfo fcinfo, int n, const PointsType *type)
{
	int64		points = ExactMinor(PG_GETARG_NUMERIC(n), type->decimals, "points");
	int64		limit = MAX_POINTS;

	for (int i = 0; i < type->decimals; i++)
		limit *= 10;
	if (points <= 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("points must be positive")));
	if (points >= limit)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("points out of range"),
						errdetail("An act moves less than " INT64_FORMAT " points.", MAX_POINTS)));
	return points;
}

TimestampTz
ActMoment(FunctionCallInfo fcinfo, int n)
{
	TimestampTz at = MomentArgument(fcinfo, n, GetCurrentTransactionStartTimestamp());

	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"at\" must be a moment in time")));
	return at;
}
