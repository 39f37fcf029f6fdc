/*
 * function.c: the functions of stored value that SQL calls.
 */
#include "crm_member.h"
#include "argument.h"
#include "query.h"
#include "setting.h"
#include "stored_value/value_act.h"

static Datum
MoneyResult(int64 money)
{
	return PointsDatum(money, Principal());
}

static void
ReadValueAct(FunctionCallInfo fcinfo, ValueAct *act, int amount, int reason, int ref, int at)
{
	RequireArgument(fcinfo, 0, "member_id");
	FilledText(fcinfo, ref, "ref");
	if (amount >= 0 && !PG_ARGISNULL(amount))
		act->amount = PointsArgument(fcinfo, amount, Principal());
	act->reason = TextArgument(fcinfo, reason);
	act->ref = TextArgument(fcinfo, ref);
	act->at = ActMoment(fcinfo, at);
	act->actor = TextArgument(fcinfo, at + 1);
}

/* As of points: what was done already is answered, whatever became of the member since. */
static int64
ActingMember(const ValueAct *act, int64 member_id, const char *const *statuses)
{
	ValueAct	past = *act;
	bool		done;

	past.member_id = member_id;
	if (MemberIs(&past.member_id, statuses))
		return past.member_id;
	SPI_connect();
	done = FindValueAct(&past);
	SPI_finish();
	return done ? past.member_id : RequireMember(member_id, statuses);
}

/* top_up_stored_value(member_id, amount, reason, ref, gift, at, actor) */
PG_FUNCTION_INFO_V1(crm_top_up_stored_value);
Datum
crm_top_up_stored_value(PG_FUNCTION_ARGS)
{
	ValueAct	act = {.kind = "top_up"};

	RequireArgument(fcinfo, 1, "amount");
	ReadValueAct(fcinfo, &act, 1, 2, 3, 5);
	if (!PG_ARGISNULL(4))
	{
		act.split.gift = ExactMinor(PG_GETARG_NUMERIC(4), GetSetting()->money_scale, "gift");
		if (act.split.gift < 0)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("gift must not be negative")));
	}
	act.member_id = ActingMember(&act, PG_GETARG_INT64(0), living_members);
	SPI_connect();
	TopUpValue(&act, !PG_ARGISNULL(4));
	SPI_finish();
	return MoneyResult(act.balance);
}

/* spend_stored_value(member_id, amount, reason, ref, at, actor) */
PG_FUNCTION_INFO_V1(crm_spend_stored_value);
Datum
crm_spend_stored_value(PG_FUNCTION_ARGS)
{
	ValueAct	act = {.kind = "spend"};

	RequireArgument(fcinfo, 1, "amount");
	ReadValueAct(fcinfo, &act, 1, 2, 3, 4);
	act.member_id = ActingMember(&act, PG_GETARG_INT64(0), active_members);
	SPI_connect();
	SpendValue(&act);
	SPI_finish();
	return MoneyResult(act.balance);
}

/* return_stored_value(member_id, ref, amount, reason, return_ref, at, actor) */
PG_FUNCTION_INFO_V1(crm_return_stored_value);
Datum
crm_return_stored_value(PG_FUNCTION_ARGS)
{
	ValueAct	act = {.kind = "return"};

	RequireArgument(fcinfo, 1, "ref");
	RequireArgument(fcinfo, 4, "return_ref");
	ReadValueAct(fcinfo, &act, 2, 3, 4, 5);
	act.of_ref = TextArgument(fcinfo, 1);
	act.member_id = RequireMember(PG_GETARG_INT64(0), all_members);
	SPI_connect();
	ReturnValue(&act);
	SPI_finish();
	return MoneyResult(act.balance);
}

/* authorise_stored_value(member_id, amount, reason, ref, expires_at, at, actor) */
PG_FUNCTION_INFO_V1(crm_authorise_stored_value);
Datum
crm_authorise_stored_value(PG_FUNCTION_ARGS)
{
	ValueAct	act = {.kind = "authorise"};
	TimestampTz expires_at = MomentArgument(fcinfo, 4, DT_NOEND);

	RequireArgument(fcinfo, 1, "amount");
	ReadValueAct(fcinfo, &act, 1, 2, 3, 5);
	if (expires_at <= act.at)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("authorisation would time out before it begins")));
	act.member_id = ActingMember(&act, PG_GETARG_INT64(0), active_members);
	SPI_connect();
	AuthoriseValue(&act, expires_at);
	SPI_finish();
	return MoneyResult(act.balance);
}

/* capture_stored_value(member_id, ref, amount, reason, capture_ref, release_rest, at, actor) */
PG_FUNCTION_INFO_V1(crm_capture_stored_value);
Datum
crm_capture_stored_value(PG_FUNCTION_ARGS)
{
	ValueAct	act = {.kind = "capture"};

	RequireArgument(fcinfo, 1, "ref");
	RequireArgument(fcinfo, 4, "capture_ref");
	ReadValueAct(fcinfo, &act, 2, 3, 4, 6);
	act.of_ref = TextArgument(fcinfo, 1);
	act.member_id = ActingMember(&act, PG_GETARG_INT64(0), active_members);
	SPI_connect();
	CaptureValue(&act, PG_ARGISNULL(5) || PG_GETARG_BOOL(5));
	SPI_finish();
	return MoneyResult(act.balance);
}

/* void_stored_value(member_id, ref, reason, void_ref, at, actor) */
PG_FUNCTION_INFO_V1(crm_void_stored_value);
Datum
crm_void_stored_value(PG_FUNCTION_ARGS)
{
	ValueAct	act = {.kind = "void"};

	RequireArgument(fcinfo, 1, "ref");
	RequireArgument(fcinfo, 3, "void_ref");
	ReadValueAct(fcinfo, &act, -1, 2, 3, 4);
	act.of_ref = TextArgument(fcinfo, 1);
	act.member_id = ActingMember(&act, PG_GETARG_INT64(0), living_members);
	SPI_connect();
	VoidValue(&act);
	SPI_finish();
	return MoneyResult(act.balance);
}

/* close_stored_value(member_id, reason, ref, at, actor) */
PG_FUNCTION_INFO_V1(crm_close_stored_value);
Datum
crm_close_stored_value(PG_FUNCTION_ARGS)
{
	ValueAct	act = {.kind = "close"};

	ReadValueAct(fcinfo, &act, -1, 1, 2, 3);
	act.member_id = RequireMember(PG_GETARG_INT64(0), all_members);
	SPI_connect();
	CloseValue(&act);
	SPI_finish();
	return MoneyResult(act.amount);
}
