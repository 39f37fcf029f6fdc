/*
 * points.c: the functions of the points ledger that SQL calls.
 */
#include "crm_member.h"
#include "points/points.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/rel.h"

/* Points far from any real amount are a mistake of the caller's. */
#define MAX_POINTS INT64CONST(1000000000000)

static char *
TextArgument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static TimestampTz
MomentArgument(FunctionCallInfo fcinfo, int n, TimestampTz otherwise)
{
	return PG_ARGISNULL(n) ? otherwise : PG_GETARG_TIMESTAMPTZ(n);
}

static void
RequireArgument(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" must not be null", name),
						strcmp(name, "ref") == 0
						? errhint("The reference makes a retry harmless: send the caller's own number of the act.")
						: 0));
}

static int64
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

static TimestampTz
ActMoment(FunctionCallInfo fcinfo, int n)
{
	TimestampTz at = MomentArgument(fcinfo, n, GetCurrentTransactionStartTimestamp());

	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"at\" must be a moment in time")));
	return at;
}

/* award_points(member_id, points, reason, ref, points_type, expires_at, available_at, at, actor) */
PG_FUNCTION_INFO_V1(crm_award_points);
Datum
crm_award_points(PG_FUNCTION_ARGS)
{
	static const char *const allowed[] = {"active", "inactive", "lost", NULL};
	Act			act = {.kind = "award"};

	RequireArgument(fcinfo, 0, "member_id");
	RequireArgument(fcinfo, 1, "points");
	RequireArgument(fcinfo, 3, "ref");
	RequireArgument(fcinfo, 4, "points_type");
	act.type = FindPointsType(GetRuleSet(), TextArgument(fcinfo, 4));
	act.points = PointsArgument(fcinfo, 1, act.type);
	act.reason = TextArgument(fcinfo, 2);
	act.ref = TextArgument(fcinfo, 3);
	act.at = ActMoment(fcinfo, 7);
	act.available_at = MomentArgument(fcinfo, 6, act.at);
	act.expires_at = MomentArgument(fcinfo, 5, ExpiresAt(&act.type->expiry, act.available_at));
	act.actor = TextArgument(fcinfo, 8);
	if (act.available_at < act.at)
		act.available_at = act.at;
	if (act.expires_at <= act.available_at)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("points would expire before they can be spent"),
						errdetail("They are available from %s and expire at %s.",
								  pstrdup(timestamptz_to_str(act.available_at)),
								  pstrdup(timestamptz_to_str(act.expires_at)))));
	act.member_id = RequireMember(PG_GETARG_INT64(0), allowed);
	PG_RETURN_NUMERIC(MinorToNumeric(PostAward(&act), act.type->decimals));
}

/* spend_points(member_id, points, reason, ref, points_type, at, actor) */
PG_FUNCTION_INFO_V1(crm_spend_points);
Datum
crm_spend_points(PG_FUNCTION_ARGS)
{
	static const char *const allowed[] = {"active", NULL};
	Act			act = {.kind = "spend"};

	RequireArgument(fcinfo, 0, "member_id");
	RequireArgument(fcinfo, 1, "points");
	RequireArgument(fcinfo, 3, "ref");
	RequireArgument(fcinfo, 4, "points_type");
	act.type = FindPointsType(GetRuleSet(), TextArgument(fcinfo, 4));
	act.points = PointsArgument(fcinfo, 1, act.type);
	act.reason = TextArgument(fcinfo, 2);
	act.ref = TextArgument(fcinfo, 3);
	act.at = ActMoment(fcinfo, 5);
	act.actor = TextArgument(fcinfo, 6);
	act.member_id = RequireMember(PG_GETARG_INT64(0), allowed);
	PG_RETURN_NUMERIC(MinorToNumeric(PostSpend(&act), act.type->decimals));
}

/* points_balance(member_id, points_type, as_of, known_at) */
PG_FUNCTION_INFO_V1(crm_points_balance);
Datum
crm_points_balance(PG_FUNCTION_ARGS)
{
	static const char *const allowed[] = {"active", "inactive", "lost", "cancelled", NULL};
	const PointsType *type = FindPointsType(GetRuleSet(), TextArgument(fcinfo, 1));
	int64		member_id = RequireMember(PG_GETARG_INT64(0), allowed);

	PG_RETURN_NUMERIC(MinorToNumeric(SpendableBalance(member_id, type, PG_GETARG_TIMESTAMPTZ(2),
													  PG_GETARG_TIMESTAMPTZ(3), true),
									 type->decimals));
}

/* Trigger on a journal: nothing in it is changed or removed. */
PG_FUNCTION_INFO_V1(crm_refuse_change);
Datum
crm_refuse_change(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("refuse_change() is a trigger function")));
	ereport(ERROR, (errcode(ERRCODE_CRM_APPEND_ONLY),
					errmsg("table \"%s\" is a journal: its rows are not changed or removed",
						   RelationGetRelationName(((TriggerData *) fcinfo->context)->tg_relation)),
					errhint("Correct a mistake by another entry.")));
}
