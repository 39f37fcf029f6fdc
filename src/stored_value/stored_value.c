/*
 * stored_value.c: topping up, spending, authorising, giving back and closing.
 *
 * The principal's account is locked first, always, and everything that happens
 * to a member's stored value happens under that lock.  An act falls on principal
 * and gift as its split says; the split is recorded, and what is captured or
 * given back of it later falls on the two in the same proportion, cumulatively,
 * so that the parts end at exactly the whole.
 */
#include "crm_member.h"
#include "points/argument.h"
#include "points/ledger.h"
#include "query.h"
#include "setting.h"
#include "stored_value/stored_value.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* The member, and those merged with it */
#define FAMILY \
	"ANY (ARRAY(SELECT $1 UNION ALL SELECT o.member_id FROM crm_member.member_kin k " \
	"JOIN crm_member.member_kin o ON o.kin = k.kin AND o.root = k.root WHERE k.member_id = $1))"

typedef enum Spending
{
	SPENDING_PRO_RATA,
	SPENDING_PRINCIPAL_FIRST,
	SPENDING_GIFT_FIRST
} Spending;

typedef struct ValueSetting
{
	Spending	spending;
	int64		least;			/* balance that spending must leave, negative for an overdraft */
	bool		has_hold_period;
	Interval	hold_period;
	Decimal		points_per;		/* 0: top-ups earn none */
} ValueSetting;

/* What a call asks for, and what becomes of it. */
typedef struct ValueAct
{
	const char *kind;
	int64		member_id;
	int64		amount;			/* 0: all that is left, where that makes sense */
	ValueSplit	split;
	int64		balance;		/* after it */
	const char *ref;
	const char *of_ref;
	int64		sale_id;
	TimestampTz at;
	const char *reason;
	const char *actor;
} ValueAct;

static const PointsType *
Principal(void)
{
	return FindPointsType(GetRuleSet(), "stored_value");
}

static const PointsType *
Gift(void)
{
	return FindPointsType(GetRuleSet(), "stored_value_gift");
}

static char *
MoneyText(int64 money)
{
	return PointsText(money, Principal());
}

static void
LoadValueSetting(ValueSetting *setting)
{
	static CrmQuery query = {
		"SELECT spending, min_balance - overdraft, hold_period, points_per "
		"FROM crm_member.stored_value_setting", 0};
	char	   *spending;
	bool		isnull;
	Datum		value;

	memset(setting, 0, sizeof(*setting));
	if (RunQuery(&query, NULL, NULL, true, 1) != 1)
		return;
	spending = QueryText(0, 1);
	setting->spending = strcmp(spending, "pro_rata") == 0 ? SPENDING_PRO_RATA
		: strcmp(spending, "principal_first") == 0 ? SPENDING_PRINCIPAL_FIRST
		: SPENDING_GIFT_FIRST;
	setting->least = ExactMinor(DatumGetNumeric(QueryColumn(0, 2, &isnull)),
								GetSetting()->money_scale, "min_balance");
	value = QueryColumn(0, 3, &isnull);
	setting->has_hold_period = !isnull;
	if (!isnull)
		setting->hold_period = *DatumGetIntervalP(value);
	value = QueryColumn(0, 4, &isnull);
	if (!isnull)
		setting->points_per = NumericToDecimal(DatumGetNumeric(value), "points_per");
}

/* Both accounts, with what timed out released; those of the survivor, where the member was merged. */
static void
LockValue(ValueAct *act)
{
	for (int gift = 0; gift <= 1; gift++)
	{
		const PointsType *type = gift ? Gift() : Principal();
		Account		account;

		do
			account = AddToAccount(act->member_id, type, 0, 0, DT_NOBEGIN, DT_NOEND);
		while (account.closed && FollowMerge(&act->member_id, type));
		if (account.hold_expires_at <= act->at)
			ReleaseTimedOut(act->member_id, type, act->at);
	}
}

/* What an act of that time can draw on; a debt counts against it. */
static int64
AvailableOf(int64 member_id, const PointsType *type, TimestampTz at)
{
	static CrmQuery query = {
		"SELECT (SELECT coalesce(sum(l.remaining), 0) FROM crm_member.points_lot l "
		"WHERE l.member_id = $1 AND l.points_type = $2 AND l.open "
		"AND l.available_at <= $3 AND l.expires_at > greatest($3, a.expired_to)) - a.debt "
		"FROM crm_member.points_account a WHERE a.member_id = $1 AND a.points_type = $2",
		3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};
	Datum		values[3];

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = TimestampTzGetDatum(at);
	return RunQuery(&query, values, NULL, false, 1) == 1 ? PointsColumn(0, 1, type) : 0;
}

static ValueSplit
Available(int64 member_id, TimestampTz at)
{
	ValueSplit	available;

	available.principal = AvailableOf(member_id, Principal(), at);
	available.gift = AvailableOf(member_id, Gift(), at);
	return available;
}

static void
NotEnough(const ValueAct *act, ValueSplit available, const ValueSetting *setting)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_INSUFFICIENT_VALUE),
					errmsg("not enough stored value"),
					errdetail("Of a balance of %s, %s can be spent, not %s.",
							  MoneyText(available.principal + available.gift),
							  MoneyText(Max(0, available.principal + available.gift - setting->least)),
							  MoneyText(act->amount))));
}

/* How the amount falls on what there is; more than that overdraws the principal. */
static void
SplitAmount(ValueAct *act, bool may_overdraw)
{
	ValueSetting setting;
	ValueSplit	available = Available(act->member_id, act->at);
	int64		weights[2] = {Max(available.principal, 0), Max(available.gift, 0)};
	int64		covered = Min(act->amount, weights[0] + weights[1]);
	int64		shares[2];

	LoadValueSetting(&setting);
	if (available.principal + available.gift - act->amount <
		(may_overdraw ? setting.least : Max(setting.least, 0)))
		NotEnough(act, available, &setting);
	switch (setting.spending)
	{
		case SPENDING_PRO_RATA:
			Allocate(covered, weights, 2, ALLOCATION_LARGEST_REMAINDER, shares);
			break;
		case SPENDING_PRINCIPAL_FIRST:
			shares[0] = Min(weights[0], covered);
			shares[1] = covered - shares[0];
			break;
		case SPENDING_GIFT_FIRST:
			shares[1] = Min(weights[1], covered);
			shares[0] = covered - shares[1];
			break;
	}
	act->split.principal = shares[0] + act->amount - covered;
	act->split.gift = shares[1];
}

/* An act on one of the two accounts. */
static Act
PartOf(const ValueAct *act, const char *kind, bool gift, int64 amount)
{
	Act			part = {.kind = kind, .member_id = act->member_id,
		.type = gift ? Gift() : Principal(), .points = amount, .at = act->at,
		.earned_at = act->at, .available_at = act->at, .expires_at = DT_NOEND,
		.reason = act->reason, .actor = act->actor, .sale_id = act->sale_id};

	part.ref = psprintf("stored_value/%s/%s", act->ref, gift ? "gift" : "principal");
	return part;
}

static char *
PartRef(const char *ref, bool gift)
{
	return psprintf("stored_value/%s/%s", ref, gift ? "gift" : "principal");
}

/* The act with this reference: true, and its balance and split, if there was one of the same content. */
static bool
FindValueAct(ValueAct *act)
{
	static CrmQuery query = {
		"SELECT kind, amount, principal, gift, balance, of_ref FROM crm_member.stored_value_act "
		"WHERE member_id = " FAMILY " AND ref = $2 ORDER BY member_id <> $1, member_id",
		2, {INT8OID, TEXTOID}};
	Datum		values[2];
	char	   *of_ref;

	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(act->ref);
	if (RunQuery(&query, values, NULL, false, 1) == 0)
		return false;
	of_ref = QueryText(0, 6);
	if (strcmp(QueryText(0, 1), act->kind) != 0 ||
		(act->amount != 0 && PointsColumn(0, 2, Principal()) != act->amount) ||
		(of_ref == NULL) != (act->of_ref == NULL) ||
		(of_ref != NULL && strcmp(of_ref, act->of_ref) != 0))
		ReferenceReused(act->ref);
	act->amount = PointsColumn(0, 2, Principal());
	act->split.principal = PointsColumn(0, 3, Principal());
	act->split.gift = PointsColumn(0, 4, Principal());
	act->balance = PointsColumn(0, 5, Principal());
	return true;
}

/* Record the act; its balance is the one after its postings. */
static void
RecordAct(ValueAct *act)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.stored_value_act (member_id, ref, kind, amount, principal, gift, "
		"balance, of_ref, sale_id, at, reason, actor) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
		12, {INT8OID, TEXTOID, TEXTOID, NUMERICOID, NUMERICOID, NUMERICOID, NUMERICOID, TEXTOID,
			INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID}};
	ValueSplit	available = Available(act->member_id, act->at);
	Datum		values[12];
	char		nulls[12];
	bool		isnull;

	act->balance = available.principal + available.gift;
	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(act->ref);
	values[2] = CStringGetTextDatum(act->kind);
	values[3] = PointsDatum(act->amount, Principal());
	values[4] = PointsDatum(act->split.principal, Principal());
	values[5] = PointsDatum(act->split.gift, Principal());
	values[6] = PointsDatum(act->balance, Principal());
	values[7] = TextOrNull(act->of_ref, &isnull);
	nulls[7] = isnull ? 'n' : ' ';
	values[8] = Int64GetDatum(act->sale_id);
	nulls[8] = act->sale_id == 0 ? 'n' : ' ';
	values[9] = TimestampTzGetDatum(act->at);
	values[10] = TextOrNull(act->reason, &isnull);
	nulls[10] = isnull ? 'n' : ' ';
	values[11] = TextOrNull(act->actor, &isnull);
	nulls[11] = isnull ? 'n' : ' ';
	RunQuery(&query, values, nulls, false, 0);
}

/* An earlier act that this one is about. */
static void
FindOfAct(const ValueAct *act, ValueAct *of, const char *kind, const char *or_kind)
{
	static CrmQuery query = {
		"SELECT kind, amount, principal, gift, sale_id FROM crm_member.stored_value_act "
		"WHERE member_id = " FAMILY " AND ref = $2 ORDER BY member_id <> $1, member_id",
		2, {INT8OID, TEXTOID}};
	Datum		values[2];
	bool		isnull;

	memset(of, 0, sizeof(*of));
	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(act->of_ref);
	if (RunQuery(&query, values, NULL, false, 1) == 1)
		of->kind = QueryText(0, 1);
	if (of->kind == NULL || (strcmp(of->kind, kind) != 0 && strcmp(of->kind, or_kind) != 0))
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_VALUE_ACT),
						errmsg("the member has no such act of stored value"),
						errdetail("Reference \"%s\" is none of kind \"%s\".", act->of_ref, kind)));
	of->ref = act->of_ref;
	of->amount = PointsColumn(0, 2, Principal());
	of->split.principal = PointsColumn(0, 3, Principal());
	of->split.gift = PointsColumn(0, 4, Principal());
	values[0] = QueryColumn(0, 5, &isnull);
	of->sale_id = isnull ? 0 : DatumGetInt64(values[0]);
}

/* How much acts of a kind have done of another already. */
static int64
DoneOf(const ValueAct *act, const char *kind)
{
	static CrmQuery query = {
		"SELECT sum(amount) FROM crm_member.stored_value_act "
		"WHERE member_id = " FAMILY " AND of_ref = $2 AND kind = $3",
		3, {INT8OID, TEXTOID, TEXTOID}};
	Datum		values[3];

	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(act->of_ref);
	values[2] = CStringGetTextDatum(kind);
	RunQuery(&query, values, NULL, false, 1);
	return PointsColumn(0, 1, Principal());
}

/* The part of another act that comes next: cumulatively in its proportion. */
static void
SplitLike(ValueAct *act, const ValueAct *of, int64 done, int64 left)
{
	if (act->amount == 0)
		act->amount = left;
	if (act->amount > left || act->amount == 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_VALUE_EXCEEDS),
						errmsg("no so much stored value is left of \"%s\"", of->ref),
						errdetail("Of %s, %s are left.", MoneyText(of->amount), MoneyText(left))));
	act->split.principal =
		MulDivMinor(of->split.principal, done + act->amount, of->amount, ROUNDING_FLOOR) -
		MulDivMinor(of->split.principal, done, of->amount, ROUNDING_FLOOR);
	act->split.gift = act->amount - act->split.principal;
}

void
CheckValue(int64 member_id, int64 amount, TimestampTz at)
{
	ValueAct	act = {.member_id = member_id, .amount = amount, .at = at};

	SPI_connect();
	SplitAmount(&act, true);
	SPI_finish();
}

/* Take what there is of each part; the principal may go below zero. */
static void
Spend(ValueAct *act)
{
	Act			principal = PartOf(act, "spend", false, act->split.principal);
	Act			gift = PartOf(act, "spend", true, act->split.gift);

	if (act->split.principal > 0)
		Deduct(&principal);
	if (act->split.gift > 0)
		Deduct(&gift);
}

static void
SpendValue(ValueAct *act)
{
	LockValue(act);
	if (FindValueAct(act))
		return;
	SplitAmount(act, true);
	Spend(act);
	RecordAct(act);
}

void
SpendValueOnSale(int64 member_id, int64 sale_id, int64 amount, TimestampTz at, const char *actor)
{
	ValueAct	act = {.kind = "spend", .member_id = member_id, .amount = amount, .at = at,
		.sale_id = sale_id, .actor = actor};

	act.ref = psprintf("sale/" INT64_FORMAT, sale_id);
	SpendValue(&act);
}

static void
GiveBackPart(const ValueAct *act, bool gift, int64 amount)
{
	Act			part = PartOf(act, "return", gift, amount);
	const PastEntry *entry;

	if (amount == 0)
		return;
	entry = FindEntry(act->member_id, PartRef(act->of_ref, gift));
	if (entry == NULL)
		elog(ERROR, "entry of stored value act \"%s\" vanished", act->of_ref);
	part.member_id = entry->member_id;
	GiveBack(&part, entry, amount);
}

static void
ReturnValue(ValueAct *act)
{
	ValueAct	of;
	int64		done;

	LockValue(act);
	if (FindValueAct(act))
		return;
	FindOfAct(act, &of, "spend", "capture");
	done = DoneOf(act, "return");
	act->sale_id = of.sale_id;
	SplitLike(act, &of, done, of.amount - done);
	GiveBackPart(act, false, act->split.principal);
	GiveBackPart(act, true, act->split.gift);
	RecordAct(act);
}

void
ReturnValueOfSale(int64 member_id, int64 sale_id, int64 refund_id, int64 amount, TimestampTz at,
				  const char *reason, const char *actor)
{
	ValueAct	act = {.kind = "return", .member_id = member_id, .amount = amount, .at = at,
		.reason = reason, .actor = actor};

	act.ref = psprintf("refund/" INT64_FORMAT, refund_id);
	act.of_ref = psprintf("sale/" INT64_FORMAT, sale_id);
	ReturnValue(&act);
}

static void
Authorise(ValueAct *act, TimestampTz expires_at)
{
	ValueSetting setting;

	LockValue(act);
	if (FindValueAct(act))
		return;
	LoadValueSetting(&setting);
	if (expires_at == DT_NOEND && setting.has_hold_period)
		expires_at = AddBusinessInterval(act->at, &setting.hold_period);
	SplitAmount(act, false);
	for (int gift = 0; gift <= 1; gift++)
	{
		Act			part = PartOf(act, "hold", gift, gift ? act->split.gift : act->split.principal);

		part.expires_at = expires_at;
		if (part.points > 0)
			PostHold(&part);
	}
	RecordAct(act);
}

static bool
StillHeld(const ValueAct *act, bool gift, int64 *held, TimestampTz *expires_at)
{
	static CrmQuery query = {
		"SELECT held, expires_at FROM crm_member.points_hold "
		"WHERE member_id = " FAMILY " AND points_type = $2 AND ref = $3 "
		"ORDER BY member_id <> $1, member_id",
		3, {INT8OID, TEXTOID, TEXTOID}};
	const PointsType *type = gift ? Gift() : Principal();
	Datum		values[3];
	bool		isnull;

	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = CStringGetTextDatum(PartRef(act->of_ref, gift));
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
	Act			part = PartOf(act, "release", gift, 0);

	part.ref = NULL;
	if (held > 0)
		PostRelease(&part, PartRef(act->of_ref, gift));
}

static void
Capture(ValueAct *act, bool release_rest)
{
	ValueAct	of;
	ValueSplit	held;

	LockValue(act);
	if (FindValueAct(act))
		return;
	FindOfAct(act, &of, "authorise", "authorise");
	held = HeldBy(act);
	SplitLike(act, &of, DoneOf(act, "capture"), held.principal + held.gift);
	for (int gift = 0; gift <= 1; gift++)
	{
		Act			part = PartOf(act, "spend", gift, gift ? act->split.gift : act->split.principal);

		if (part.points > 0)
			PostCapture(&part, PartRef(act->of_ref, gift), false);
	}
	if (release_rest)
	{
		ReleasePart(act, false, held.principal - act->split.principal);
		ReleasePart(act, true, held.gift - act->split.gift);
	}
	RecordAct(act);
}

static void
Void(ValueAct *act)
{
	ValueAct	of;
	TimestampTz expires_at;

	LockValue(act);
	if (FindValueAct(act))
		return;
	FindOfAct(act, &of, "authorise", "authorise");
	StillHeld(act, false, &act->split.principal, &expires_at);
	StillHeld(act, true, &act->split.gift, &expires_at);
	act->amount = act->split.principal + act->split.gift;
	ReleasePart(act, false, act->split.principal);
	ReleasePart(act, true, act->split.gift);
	RecordAct(act);
}

/* What the policies in force give with a top-up, and when the first of it expires. */
static int64
GiftOf(const ValueAct *act, TimestampTz *expires_at)
{
	static CrmQuery query = {
		"WITH paid AS (SELECT p.*, (SELECT coalesce(sum(a.amount), 0) "
		"FROM crm_member.stored_value_act a WHERE p.basis = 'cumulative' AND a.member_id = $1 "
		"AND a.kind = 'top_up' AND a.at BETWEEN p.valid_from AND p.valid_to) AS before "
		"FROM crm_member.stored_value_policy p "
		"WHERE p.active AND $2 BETWEEN p.valid_from AND p.valid_to), "
		"times AS (SELECT p.*, CASE WHEN p.repeats "
		"THEN floor((p.before + $3) / p.reach) - floor(p.before / p.reach) "
		"WHEN p.before < p.reach AND p.before + $3 >= p.reach THEN 1 ELSE 0 END AS n FROM paid p) "
		"SELECT t.gift * t.n, t.expiry FROM (SELECT t.*, row_number() OVER "
		"(PARTITION BY t.basis ORDER BY t.reach DESC, t.policy_code COLLATE \"C\") AS place "
		"FROM times t WHERE t.n > 0) t WHERE t.place = 1",
		3, {INT8OID, TIMESTAMPTZOID, NUMERICOID}};
	Datum		values[3];
	int64		gift = 0;
	uint64		found;

	values[0] = Int64GetDatum(act->member_id);
	values[1] = TimestampTzGetDatum(act->at);
	values[2] = PointsDatum(act->amount, Principal());
	found = RunQuery(&query, values, NULL, false, 0);
	for (uint64 row = 0; row < found; row++)
	{
		Expiry		expiry;

		gift = AddMinor(gift, PointsColumn(row, 1, Principal()));
		if (ParseExpiry(QueryText(row, 2), &expiry))
			*expires_at = Min(*expires_at, ExpiresAt(&expiry, act->at));
	}
	return gift;
}

static void
TopUp(ValueAct *act, bool gift_said)
{
	ValueSetting setting;
	Act			principal;
	Act			gift;
	TimestampTz gift_expires_at = DT_NOEND;
	int64		said = act->split.gift;

	LockValue(act);
	if (FindValueAct(act))
	{
		if (gift_said && act->split.gift != said)
			ReferenceReused(act->ref);
		return;
	}
	if (!gift_said)
		act->split.gift = GiftOf(act, &gift_expires_at);
	act->split.principal = act->amount;
	principal = PartOf(act, "award", false, act->amount);
	gift = PartOf(act, "award", true, act->split.gift);
	gift.expires_at = gift_expires_at;
	GrantLot(&principal);
	if (gift.points > 0)
		GrantLot(&gift);
	LoadValueSetting(&setting);
	if (setting.points_per.units > 0)
	{
		Act			earned = PartOf(act, "award", false, 0);
		Decimal		paid = {act->amount, GetSetting()->money_scale};

		earned.type = FindPointsType(GetRuleSet(), MAIN_TYPE);
		earned.points = MultiplyDecimal(paid, setting.points_per, earned.type->decimals,
										ROUNDING_FLOOR);
		earned.ref = psprintf("stored_value/%s/points", act->ref);
		earned.expires_at = ExpiresAt(&earned.type->expiry, act->at);
		if (earned.points > 0)
			GrantLot(&earned);
	}
	RecordAct(act);
}

/* The principal is paid out; the gift goes. */
static void
Close(ValueAct *act)
{
	static CrmQuery holds = {
		"SELECT FROM crm_member.points_hold WHERE member_id = " FAMILY " "
		"AND points_type IN ('stored_value', 'stored_value_gift') AND held > 0",
		1, {INT8OID}};
	Datum		values[1];
	Act			principal;
	Act			gift;

	LockValue(act);
	if (FindValueAct(act))
		return;
	values[0] = Int64GetDatum(act->member_id);
	act->split = Available(act->member_id, act->at);
	if (act->split.principal < 0 || RunQuery(&holds, values, NULL, false, 1) > 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_VALUE_BOUND),
						errmsg("the stored value cannot be closed"),
						act->split.principal < 0
						? errdetail("%s are owed.", MoneyText(-act->split.principal))
						: errdetail("An authorisation is open."),
						errhint("Capture or void what is authorised, and have paid what is owed.")));
	act->amount = act->split.principal;
	principal = PartOf(act, "spend", false, act->split.principal);
	gift = PartOf(act, "clear", true, act->split.gift);
	if (principal.points > 0)
		Deduct(&principal);
	if (gift.points > 0)
		Deduct(&gift);
	RecordAct(act);
}

static Datum
MoneyResult(int64 money)
{
	return PointsDatum(money, Principal());
}

static void
ReadValueAct(FunctionCallInfo fcinfo, ValueAct *act, int amount, int reason, int ref, int at)
{
	RequireArgument(fcinfo, 0, "member_id");
	RequireArgument(fcinfo, ref, "ref");
	if (amount >= 0 && !PG_ARGISNULL(amount))
		act->amount = PointsArgument(fcinfo, amount, Principal());
	act->reason = TextArgument(fcinfo, reason);
	act->ref = TextArgument(fcinfo, ref);
	act->at = ActMoment(fcinfo, at);
	act->actor = TextArgument(fcinfo, at + 1);
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
	act.member_id = RequireMember(PG_GETARG_INT64(0), living_members);
	SPI_connect();
	TopUp(&act, !PG_ARGISNULL(4));
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
	act.member_id = RequireMember(PG_GETARG_INT64(0), active_members);
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
	act.member_id = RequireMember(PG_GETARG_INT64(0), active_members);
	SPI_connect();
	Authorise(&act, expires_at);
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
	RequireArgument(fcinfo, 5, "release_rest");
	ReadValueAct(fcinfo, &act, 2, 3, 4, 6);
	act.of_ref = TextArgument(fcinfo, 1);
	act.member_id = RequireMember(PG_GETARG_INT64(0), active_members);
	SPI_connect();
	Capture(&act, PG_GETARG_BOOL(5));
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
	act.member_id = RequireMember(PG_GETARG_INT64(0), living_members);
	SPI_connect();
	Void(&act);
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
	Close(&act);
	SPI_finish();
	return MoneyResult(act.amount);
}
