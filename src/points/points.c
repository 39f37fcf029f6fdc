/*
 * points.c: the functions of the points ledger that SQL calls.
 */
#include "crm_member.h"
#include "argument.h"
#include "points/ledger.h"
#include "query.h"
#include "setting.h"
#include "tier/tier.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/rel.h"

/* Points far from any real amount are a mistake of the caller's. */
#define MAX_POINTS INT64CONST(1000000000000)

int64
PointsArgument(FunctionCallInfo fcinfo, int n, const PointsType *type)
{
	const char *what = type->stored_value ? "amount" : "points";
	int64		points = ExactMinor(PG_GETARG_NUMERIC(n), type->decimals, what);
	int64		limit = MAX_POINTS;

	for (int i = 0; i < type->decimals; i++)
		limit *= 10;
	if (points <= 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must be positive", what)));
	if (points >= limit)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("%s out of range", what),
						errdetail("An act moves less than " INT64_FORMAT ".", MAX_POINTS)));
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

/* The type an argument names; stored value has functions of its own. */
static const PointsType *
TypeArgument(FunctionCallInfo fcinfo, int n)
{
	const PointsType *type = FindPointsType(GetRuleSet(),
											PG_ARGISNULL(n) ? "points" : TextArgument(fcinfo, n));

	if (type->stored_value)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_POINTS_TYPE),
						errmsg("\"%s\" is stored value, not points", type->name),
						errhint("Stored value has functions of its own.")));
	return type;
}

/* The arguments that acts share. */
static void
ReadAct(FunctionCallInfo fcinfo, Act *act, int reason, int ref, int at, int actor)
{
	act->reason = TextArgument(fcinfo, reason);
	act->ref = TextArgument(fcinfo, ref);
	act->at = act->earned_at = act->available_at = ActMoment(fcinfo, at);
	act->actor = TextArgument(fcinfo, actor);
}

/* ... and those of acts that name points of a type. */
static void
ReadPoints(FunctionCallInfo fcinfo, Act *act, int points, int ref, int type)
{
	RequireArgument(fcinfo, 0, "member_id");
	RequireArgument(fcinfo, points, "points");
	FilledText(fcinfo, ref, "ref");
	act->type = TypeArgument(fcinfo, type);
	act->points = PointsArgument(fcinfo, points, act->type);
}

/*
 * Who acts, or is given to.  An act that was done already is answered as the first
 * time, whatever became of the members since.
 */
static int64
ActingMember(const Act *act, int64 member_id, const char *const *statuses)
{
	int64		member = member_id;
	bool		done;

	if (MemberIs(&member, statuses))
		return member;
	SPI_connect();
	done = act->ref != NULL && FindEntry(act->member_id != 0 ? act->member_id : member, act->ref) != NULL;
	SPI_finish();
	return done ? member : RequireMember(member_id, statuses);
}

static Datum
Balance(int64 balance, const PointsType *type)
{
	return NumericGetDatum(MinorToNumeric(balance, type->decimals));
}

void
CheckExpiry(const Act *act)
{
	if (act->expires_at <= act->available_at)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("points would expire before they can be spent"),
						errdetail("They are available from %s and expire at %s.",
								  pstrdup(timestamptz_to_str(act->available_at)),
								  pstrdup(timestamptz_to_str(act->expires_at)))));
}

/* Points given may reach a tier. */
static int64
GivePoints(const Act *act)
{
	int64		balance;

	LockForTiers(act->member_id, act->type->name);
	balance = PostAward(act);
	ReviewAfterPoints(act->member_id, act->type->name, act->at, act->actor);
	return balance;
}

/* award_points(member_id, points, reason, ref, points_type, expires_at, available_at, at, actor) */
PG_FUNCTION_INFO_V1(crm_award_points);
Datum
crm_award_points(PG_FUNCTION_ARGS)
{
	Act			act = {.kind = "award"};

	ReadPoints(fcinfo, &act, 1, 3, 4);
	ReadAct(fcinfo, &act, 2, 3, 7, 8);
	act.available_at = Max(act.at, MomentArgument(fcinfo, 6, act.at));
	act.expires_at = MomentArgument(fcinfo, 5, ExpiresAt(&act.type->expiry, act.available_at));
	CheckExpiry(&act);
	act.member_id = ActingMember(&act, PG_GETARG_INT64(0), living_members);
	return Balance(GivePoints(&act), act.type);
}

/* adjust_points(member_id, points, reason, ref, points_type, expires_at, at, actor) */
PG_FUNCTION_INFO_V1(crm_adjust_points);
Datum
crm_adjust_points(PG_FUNCTION_ARGS)
{
	Act			act = {.kind = "adjust"};
	bool		more;

	RequireArgument(fcinfo, 1, "points");
	FilledText(fcinfo, 2, "reason");
	FilledText(fcinfo, 7, "actor");
	more = !DatumGetBool(DirectFunctionCall2(numeric_lt, PG_GETARG_DATUM(1),
											 NumericGetDatum(MinorToNumeric(0, 0))));
	if (!more)
		fcinfo->args[1].value = DirectFunctionCall1(numeric_uminus, PG_GETARG_DATUM(1));
	if (DatumGetBool(DirectFunctionCall2(numeric_eq, PG_GETARG_DATUM(1), NumericGetDatum(MinorToNumeric(0, 0)))))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("points must not be 0"),
						errdetail("There is nothing to correct.")));
	ReadPoints(fcinfo, &act, 1, 3, 4);
	ReadAct(fcinfo, &act, 2, 3, 6, 7);
	act.expires_at = MomentArgument(fcinfo, 5, ExpiresAt(&act.type->expiry, act.at));
	CheckExpiry(&act);
	act.member_id = ActingMember(&act, PG_GETARG_INT64(0), living_members);
	return Balance(more ? GivePoints(&act) : PostDeduction(&act), act.type);
}

/* spend_points(member_id, points, reason, ref, points_type, at, actor) */
PG_FUNCTION_INFO_V1(crm_spend_points);
Datum
crm_spend_points(PG_FUNCTION_ARGS)
{
	Act			act = {.kind = "spend"};

	ReadPoints(fcinfo, &act, 1, 3, 4);
	ReadAct(fcinfo, &act, 2, 3, 5, 6);
	act.member_id = ActingMember(&act, PG_GETARG_INT64(0), active_members);
	return Balance(PostSpend(&act), act.type);
}

/* hold_points(member_id, points, reason, ref, points_type, expires_at, at, actor) */
PG_FUNCTION_INFO_V1(crm_hold_points);
Datum
crm_hold_points(PG_FUNCTION_ARGS)
{
	Act			act = {.kind = "hold"};

	ReadPoints(fcinfo, &act, 1, 3, 4);
	ReadAct(fcinfo, &act, 2, 3, 6, 7);
	act.expires_at = MomentArgument(fcinfo, 5, act.type->hold_period == NULL ? DT_NOEND
									: AddBusinessInterval(act.at, act.type->hold_period));
	if (act.expires_at <= act.at)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("hold would time out before it begins")));
	act.member_id = ActingMember(&act, PG_GETARG_INT64(0), active_members);
	return Balance(PostHold(&act), act.type);
}

/* A hold, or part of it: its points type is not known before it is found. */
static const PointsType *
ReadHold(FunctionCallInfo fcinfo, Act *act, const char *const *statuses, int at)
{
	const PointsType *type;

	RequireArgument(fcinfo, 0, "member_id");
	RequireArgument(fcinfo, 1, "ref");
	act->member_id = RequireMember(PG_GETARG_INT64(0), statuses);
	type = EntryType(act->member_id, TextArgument(fcinfo, 1));
	if (!PG_ARGISNULL(2))
		act->points = PointsArgument(fcinfo, 2, type);
	ReadAct(fcinfo, act, 3, 4, at, at + 1);
	return type;
}

/* release_points(member_id, ref, points, reason, release_ref, at, actor) */
PG_FUNCTION_INFO_V1(crm_release_points);
Datum
crm_release_points(PG_FUNCTION_ARGS)
{
	Act			act = {.kind = "release"};
	const PointsType *type = ReadHold(fcinfo, &act, living_members, 5);

	return Balance(PostRelease(&act, TextArgument(fcinfo, 1)), type);
}

/* capture_points(member_id, ref, points, reason, capture_ref, release_rest, at, actor) */
PG_FUNCTION_INFO_V1(crm_capture_points);
Datum
crm_capture_points(PG_FUNCTION_ARGS)
{
	Act			act = {.kind = "spend"};
	const PointsType *type = ReadHold(fcinfo, &act, active_members, 6);

	return Balance(PostCapture(&act, TextArgument(fcinfo, 1), PG_ARGISNULL(5) || PG_GETARG_BOOL(5)),
				   type);
}

/*
 * reverse_points(ref, member_id, points, line_no, sale_id, points_type, reason, reversal_ref, at,
 * actor)
 */
PG_FUNCTION_INFO_V1(crm_reverse_points);
Datum
crm_reverse_points(PG_FUNCTION_ARGS)
{
	Act			act = {.kind = "reverse"};

	RequireArgument(fcinfo, 1, "member_id");
	if (PG_ARGISNULL(0) == PG_ARGISNULL(4))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("say either \"ref\" or \"sale_id\"")));
	if (!PG_ARGISNULL(2))
		RequireArgument(fcinfo, 7, "reversal_ref");
	act.member_id = RequireMember(PG_GETARG_INT64(1), all_members);
	act.sale_id = PG_ARGISNULL(4) ? 0 : PG_GETARG_INT64(4);
	act.type = PG_ARGISNULL(0) ? TypeArgument(fcinfo, 5)
		: EntryType(act.member_id, TextArgument(fcinfo, 0));
	if (!PG_ARGISNULL(2))
		act.points = PointsArgument(fcinfo, 2, act.type);
	ReadAct(fcinfo, &act, 6, 7, 8, 9);
	return Balance(PostReversal(&act, TextArgument(fcinfo, 0),
								PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3)),
				   act.type);
}

/* transfer_points(from_member, to_member, points, reason, ref, points_type, at, actor) */
PG_FUNCTION_INFO_V1(crm_transfer_points);
Datum
crm_transfer_points(PG_FUNCTION_ARGS)
{
	Act			act = {.kind = "transfer_out"};

	RequireArgument(fcinfo, 0, "from_member");
	RequireArgument(fcinfo, 1, "to_member");
	ReadPoints(fcinfo, &act, 2, 4, 5);
	ReadAct(fcinfo, &act, 3, 4, 6, 7);
	act.member_id = ActingMember(&act, PG_GETARG_INT64(0), active_members);
	act.other_member = ActingMember(&act, PG_GETARG_INT64(1), active_members);
	if (act.member_id == act.other_member)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a member cannot transfer points to itself")));
	return Balance(PostTransfer(&act, act.other_member), act.type);
}

/* convert_points(member_id, points, from_type, to_type, ref, reason, at, actor) */
PG_FUNCTION_INFO_V1(crm_convert_points);
Datum
crm_convert_points(PG_FUNCTION_ARGS)
{
	Act			act = {.kind = "convert_out"};
	const PointsType *to_type;

	RequireArgument(fcinfo, 2, "from_type");
	RequireArgument(fcinfo, 3, "to_type");
	ReadPoints(fcinfo, &act, 1, 4, 2);
	ReadAct(fcinfo, &act, 5, 4, 6, 7);
	to_type = TypeArgument(fcinfo, 3);
	act.member_id = ActingMember(&act, PG_GETARG_INT64(0), active_members);
	return Balance(PostConversion(&act, to_type), act.type);
}

/* release_timed_out(member_id, points_type, at) */
PG_FUNCTION_INFO_V1(crm_release_timed_out);
Datum
crm_release_timed_out(PG_FUNCTION_ARGS)
{
	const PointsType *type = FindPointsType(GetRuleSet(), TextArgument(fcinfo, 1));

	SPI_connect();
	ReleaseTimedOut(PG_GETARG_INT64(0), type, PG_GETARG_TIMESTAMPTZ(2));
	SPI_finish();
	PG_RETURN_VOID();
}

/* points_balance(member_id, points_type, as_of, known_at) */
PG_FUNCTION_INFO_V1(crm_points_balance);
Datum
crm_points_balance(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	TimestampTz as_of = MomentArgument(fcinfo, 2, now);
	TimestampTz known_at = MomentArgument(fcinfo, 3, now);
	const PointsType *type;
	int64		balance;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	type = FindPointsType(GetRuleSet(), PG_ARGISNULL(1) ? "points" : TextArgument(fcinfo, 1));
	if (!StoredBalance(PG_GETARG_INT64(0), type, as_of, known_at, &balance))
		balance = SpendableBalance(RequireMember(PG_GETARG_INT64(0), all_members), type, as_of,
								   known_at, true);
	return Balance(balance, type);
}

/* Trigger on a journal: nothing in it is changed or removed. */
bool		redacting_journals = false;

PG_FUNCTION_INFO_V1(crm_refuse_change);
Datum
crm_refuse_change(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("refuse_change() is a trigger function")));
	if (redacting_journals && TRIGGER_FIRED_BY_UPDATE(((TriggerData *) fcinfo->context)->tg_event))
		return PointerGetDatum(NULL);
	ereport(ERROR, (errcode(ERRCODE_CRM_APPEND_ONLY),
					errmsg("table \"%s\" is a journal: its rows are not changed or removed",
						   RelationGetRelationName(((TriggerData *) fcinfo->context)->tg_relation)),
					errhint("Correct a mistake by another entry.")));
}
