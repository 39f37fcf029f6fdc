/*
 * authorise.c: stored value set aside, then captured or given up.
 *
 * An authorisation holds its share of principal and of gift; captures take of
 * both in that proportion.
 */
#include "crm_member.h"
#include "query.h"
#include "setting.h"
#include "stored_value/value_act.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

void
AuthoriseValue(ValueAct *act, TimestampTz expires_at)
{
	ValueSetting setting;

	LockValue(act);
	if (FindValueAct(act))
		return;
	LoadValueSetting(&setting);
	if (expires_at == DT_NOEND && setting.has_hold_period)
		expires_at = AddBusinessInterval(act->at, &setting.hold_period);
	SplitValue(act, false);
	for (int gift = 0; gift <= 1; gift++)
	{
		Act			part = ValuePart(act, "hold", gift, gift ? act->split.gift : act->split.principal);

		part.expires_at = expires_at;
		if (part.points > 0)
			PostHold(&part);
	}
	RecordValueAct(act);
}

static bool
StillHeld(const ValueAct *act, bool gift, int64 *held, TimestampTz *expires_at)
{
	static CrmQuery query = {
		"SELECT held, expires_at FROM crm_member.points_hold "
		"WHERE member_id = " VALUE_FAMILY " AND points_type = $2 AND ref = $3 "
		"ORDER BY member_id <> $1, member_id",
		3, {INT8OID, TEXTOID, TEXTOID}};
	const PointsType *type = gift ? Gift() : Principal();
	Datum		values[3];
	bool		isnull;

	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = CStringGetTextDatum(ValuePartRef(act->of_ref, gift));
	*held = 0;
	if (RunQuery(&query, values, NULL, false, 1) == 0)
		return false;
	*held = PointsColumn(0, 1, type);
	*expires_at = DatumGetTimestampTz(QueryColumn(0, 2, &isnull));
	return true;
}

/* What an authorisation holds; RM705 where it has timed out. */
static ValueSplit
HeldBy(const ValueAct *act)
{
	ValueSplit	held;
	TimestampTz expires_at = DT_NOEND;

	StillHeld(act, false, &held.principal, &expires_at);
	StillHeld(act, true, &held.gift, &expires_at);
	if (expires_at <= act->at)
		ereport(ERROR, (errcode(ERRCODE_CRM_VALUE_TIMED_OUT),
						errmsg("authorisation \"%s\" has timed out", act->of_ref),
						errdetail("It bound until %s.", timestamptz_to_str(expires_at))));
	return held;
}

static void
ReleasePart(const ValueAct *act, bool gift, int64 held)
{
	Act			part = ValuePart(act, "release", gift, 0);

	part.ref = NULL;
	if (held > 0)
		PostRelease(&part, ValuePartRef(act->of_ref, gift));
}

void
CaptureValue(ValueAct *act, bool release_rest)
{
	ValueAct	of;
	ValueSplit	held;

	LockValue(act);
	if (FindValueAct(act))
		return;
	FindValueActOf(act, &of, "authorise", "authorise");
	held = HeldBy(act);
	SplitValueLike(act, &of, ValueDoneOf(act, "capture"), held.principal + held.gift);
	for (int gift = 0; gift <= 1; gift++)
	{
		Act			part = ValuePart(act, "spend", gift, gift ? act->split.gift : act->split.principal);

		if (part.points > 0)
			PostCapture(&part, ValuePartRef(act->of_ref, gift), false);
	}
	if (release_rest)
	{
		ReleasePart(act, false, held.principal - act->split.principal);
		ReleasePart(act, true, held.gift - act->split.gift);
	}
	RecordValueAct(act);
}

void
VoidValue(ValueAct *act)
{
	ValueAct	of;
	TimestampTz expires_at;

	LockValue(act);
	if (FindValueAct(act))
		return;
	FindValueActOf(act, &of, "authorise", "authorise");
	StillHeld(act, false, &act->split.principal, &expires_at);
	StillHeld(act, true, &act->split.gift, &expires_at);
	act->amount = act->split.principal + act->split.gift;
	ReleasePart(act, false, act->split.principal);
	ReleasePart(act, true, act->split.gift);
	RecordValueAct(act);
}
