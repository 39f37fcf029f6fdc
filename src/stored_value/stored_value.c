/*
 * stored_value.c: topping up, spending, giving back and closing.
 *
 * The principal's account is locked first, always, and everything that happens
 * to a member's stored value happens under that lock.  An act falls on principal
 * and gift as its split says; the split is recorded, and what is captured or
 * given back of it later falls on the two in the same proportion, cumulatively,
 * so that the parts end at exactly the whole.
 */
#include "crm_member.h"
#include "query.h"
#include "setting.h"
#include "stored_value/value_act.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

const PointsType *
Principal(void)
{
	return FindPointsType(GetRuleSet(), "stored_value");
}

const PointsType *
Gift(void)
{
	return FindPointsType(GetRuleSet(), "stored_value_gift");
}

void
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
void
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
static ValueSplit
Available(int64 member_id, TimestampTz at)
{
	ValueSplit	available;

	available.principal = DrawableBalance(member_id, Principal(), at, false);
	available.gift = DrawableBalance(member_id, Gift(), at, false);
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
void
SplitValue(ValueAct *act, bool may_overdraw)
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
Act
ValuePart(const ValueAct *act, const char *kind, bool gift, int64 amount)
{
	Act			part = {.kind = kind, .member_id = act->member_id,
		.type = gift ? Gift() : Principal(), .points = amount, .at = act->at,
		.earned_at = act->at, .available_at = act->at, .expires_at = DT_NOEND,
		.reason = act->reason, .actor = act->actor, .sale_id = act->sale_id};

	part.ref = psprintf("stored_value/%s/%s", act->ref, gift ? "gift" : "principal");
	return part;
}

char *
ValuePartRef(const char *ref, bool gift)
{
	return psprintf("stored_value/%s/%s", ref, gift ? "gift" : "principal");
}

/* The act with this reference: true, and its balance and split, if there was one of the same content. */
bool
FindValueAct(ValueAct *act)
{
	static CrmQuery query = {
		"SELECT kind, amount, principal, gift, balance, of_ref FROM crm_member.stored_value_act "
		"WHERE member_id = " VALUE_FAMILY " AND ref = $2 ORDER BY member_id <> $1, member_id",
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
void
RecordValueAct(ValueAct *act)
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
void
FindValueActOf(const ValueAct *act, ValueAct *of, const char *kind, const char *or_kind)
{
	static CrmQuery query = {
		"SELECT kind, amount, principal, gift, sale_id FROM crm_member.stored_value_act "
		"WHERE member_id = " VALUE_FAMILY " AND ref = $2 ORDER BY member_id <> $1, member_id",
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
int64
ValueDoneOf(const ValueAct *act, const char *kind)
{
	static CrmQuery query = {
		"SELECT sum(amount) FROM crm_member.stored_value_act "
		"WHERE member_id = " VALUE_FAMILY " AND of_ref = $2 AND kind = $3",
		3, {INT8OID, TEXTOID, TEXTOID}};
	Datum		values[3];

	values[0] = Int64GetDatum(act->member_id);
	values[1] = CStringGetTextDatum(act->of_ref);
	values[2] = CStringGetTextDatum(kind);
	RunQuery(&query, values, NULL, false, 1);
	return PointsColumn(0, 1, Principal());
}

/* The part of another act that comes next: cumulatively in its proportion. */
void
SplitValueLike(ValueAct *act, const ValueAct *of, int64 done, int64 left)
{
	if (act->amount == 0)
		act->amount = left;
	if (act->amount > left || act->amount == 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_VALUE_EXCEEDS),
						errmsg("less stored value is left of \"%s\"", of->ref),
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
	SplitValue(&act, true);
	SPI_finish();
}

/* Take what there is of each part; the principal may go below zero. */
static void
Spend(ValueAct *act)
{
	Act			principal = ValuePart(act, "spend", false, act->split.principal);
	Act			gift = ValuePart(act, "spend", true, act->split.gift);

	if (act->split.principal > 0)
		Deduct(&principal);
	if (act->split.gift > 0)
		Deduct(&gift);
}

void
SpendValue(ValueAct *act)
{
	LockValue(act);
	if (FindValueAct(act))
		return;
	SplitValue(act, true);
	Spend(act);
	RecordValueAct(act);
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
	Act			part = ValuePart(act, "return", gift, amount);
	const PastEntry *entry;

	if (amount == 0)
		return;
	entry = FindEntry(act->member_id, ValuePartRef(act->of_ref, gift));
	if (entry == NULL)
		elog(ERROR, "entry of stored value act \"%s\" vanished", act->of_ref);
	part.member_id = entry->member_id;
	GiveBack(&part, entry, amount);
}

void
ReturnValue(ValueAct *act)
{
	ValueAct	of;
	int64		done;

	LockValue(act);
	if (FindValueAct(act))
		return;
	FindValueActOf(act, &of, "spend", "capture");
	done = ValueDoneOf(act, "return");
	act->sale_id = of.sale_id;
	SplitValueLike(act, &of, done, of.amount - done);
	GiveBackPart(act, false, act->split.principal);
	GiveBackPart(act, true, act->split.gift);
	RecordValueAct(act);
}

/* Who paid for it: another than it is booked with, where they were one when it was sold. */
static int64
PayerOf(int64 member_id, const char *ref)
{
	static CrmQuery query = {
		"SELECT a.member_id FROM (SELECT $1 AS member_id UNION ALL SELECT o.member_id "
		"FROM (SELECT * FROM crm_member.member_kin WHERE member_id = $1) k "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.member_kin o WHERE o.kin = k.kin AND o.member_id <> $1 OFFSET 0) o) m "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.stored_value_act a WHERE a.member_id = m.member_id AND a.ref = $2 OFFSET 0) a",
		2, {INT8OID, TEXTOID}};
	Datum		values[2];
	bool		isnull;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(ref);
	return RunQuery(&query, values, NULL, false, 1) == 0 ? member_id
		: DatumGetInt64(QueryColumn(0, 1, &isnull));
}

void
ReturnValueOfSale(int64 member_id, int64 sale_id, int64 refund_id, int64 amount, TimestampTz at,
				  const char *reason, const char *actor)
{
	ValueAct	act = {.kind = "return", .member_id = member_id, .amount = amount, .at = at,
		.reason = reason, .actor = actor};

	act.ref = psprintf("refund/" INT64_FORMAT, refund_id);
	act.of_ref = psprintf("sale/" INT64_FORMAT, sale_id);
	act.member_id = PayerOf(member_id, act.of_ref);
	ReturnValue(&act);
}

/* What the policies in force give with a top-up, and when the first of it expires. */
static int64
GiftOf(const ValueAct *act, TimestampTz *expires_at)
{
	static CrmQuery query = {
		"WITH paid AS (SELECT p.*, (SELECT coalesce(sum(a.amount), 0) "
		"FROM crm_member.stored_value_act a WHERE p.basis = 'cumulative' "
		"AND a.member_id = " VALUE_FAMILY " AND a.kind = 'top_up' AND a.at BETWEEN p.valid_from AND p.valid_to) AS before "
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
		if (ParseExpiry(QueryText(row, 2), &expiry) == NULL)
			*expires_at = Min(*expires_at, ExpiresAt(&expiry, act->at));
	}
	return gift;
}

void
TopUpValue(ValueAct *act, bool gift_said)
{
	ValueSetting setting;
	Act			principal;
	Act			gift;
	TimestampTz gift_expires_at = DT_NOEND;
	int64		said = act->split.gift;

	LoadValueSetting(&setting);
	if (setting.points_per.units > 0)
		LockAccounts(act->member_id, list_make1((void *) FindPointsType(GetRuleSet(), MAIN_TYPE)));
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
	principal = ValuePart(act, "award", false, act->amount);
	gift = ValuePart(act, "award", true, act->split.gift);
	gift.expires_at = gift_expires_at;
	GrantLot(&principal);
	if (gift.points > 0)
		GrantLot(&gift);
	if (setting.points_per.units > 0)
	{
		Act			earned = ValuePart(act, "award", false, 0);
		Decimal		paid = {act->amount, GetSetting()->money_scale};

		earned.type = FindPointsType(GetRuleSet(), MAIN_TYPE);
		earned.points = MultiplyDecimal(paid, setting.points_per, earned.type->decimals,
										ROUNDING_FLOOR);
		earned.ref = psprintf("stored_value/%s/points", act->ref);
		earned.expires_at = ExpiresAt(&earned.type->expiry, act->at);
		if (earned.points > 0)
			GrantLot(&earned);
	}
	RecordValueAct(act);
}

/* The principal is paid out; the gift goes. */
void
CloseValue(ValueAct *act)
{
	static CrmQuery holds = {
		"SELECT FROM crm_member.points_hold WHERE member_id = " VALUE_FAMILY " "
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
	principal = ValuePart(act, "spend", false, act->split.principal);
	gift = ValuePart(act, "clear", true, act->split.gift);
	if (principal.points > 0)
		Deduct(&principal);
	if (gift.points > 0)
		Deduct(&gift);
	RecordValueAct(act);
}
