/*
 * fact.c: what conditions are judged by, filled from a sale and its member.
 *
 * "uses" says which attributes some rule looks at: those are filled, the others
 * only where that costs nothing.
 */
#include "crm_member.h"
#include "member/member.h"
#include "query.h"
#include "rfm/segment.h"
#include "sale/sale.h"
#include "setting.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

static void
SetNumber(Facts *facts, Attribute attribute, int64 units, int scale)
{
	Fact	   *fact = &facts->facts[attribute];

	fact->known = true;
	fact->value.number.units = units;
	fact->value.number.scale = scale;
}

static void
SetText(Facts *facts, Attribute attribute, const char *text)
{
	Fact	   *fact = &facts->facts[attribute];

	fact->known = text != NULL;
	fact->value.text.data = text;
	fact->value.text.length = text ? strlen(text) : 0;
}

static inline void
SetUsed(Facts *facts, const bool *uses, Attribute attribute, const char *text)
{
	if (uses[attribute])
		SetText(facts, attribute, text);
}

static void
SetBoolean(Facts *facts, Attribute attribute, bool value)
{
	facts->facts[attribute].known = true;
	facts->facts[attribute].value.boolean = value;
}

static void
SetDate(Facts *facts, Attribute attribute, DateADT date)
{
	facts->facts[attribute].known = true;
	facts->facts[attribute].value.date = date;
}

static void
SetTimestamp(Facts *facts, Attribute attribute, TimestampTz at)
{
	facts->facts[attribute].known = true;
	facts->facts[attribute].value.timestamp = at;
}

bool
IsPurchase(const Sale *sale)
{
	for (int i = 0; i < sale->nlines; i++)
	{
		if (IsBought(&sale->lines[i]))
			return true;
	}
	return false;
}

/* Has one of these members a purchase in the books? */
static bool
HasBought(int64 member_id, bool with_merged)
{
	static CrmQuery own = {
		"SELECT FROM crm_member.sale s WHERE s.member_id = $1 AND s.settled_at IS NOT NULL "
		"AND " IS_PURCHASE("s"),
		1, {INT8OID}};
	static CrmQuery merged = {
		"WITH RECURSIVE own AS (SELECT $1 AS member_id UNION ALL SELECT m.member_id FROM own, "
		"LATERAL (SELECT m.member_id FROM crm_member.member m WHERE m.merged_into = own.member_id "
		"OFFSET 0) m) SELECT FROM own, LATERAL (SELECT FROM crm_member.sale s "
		"WHERE s.member_id = own.member_id AND s.settled_at IS NOT NULL AND " IS_PURCHASE("s") " LIMIT 1) s",
		1, {INT8OID}};
	Datum		values[1] = {Int64GetDatum(member_id)};

	return RunQuery(with_merged ? &merged : &own, values, NULL, false, 1) > 0;
}

/*
 * Is no other purchase of the person in the books, whatever its time and whichever of
 * the members it is merged of bought?  A till that is about to book the first one
 * has the member to itself, so that it is the first of one sale only.
 */
static bool
IsFirstPurchase(const Sale *sale)
{
	bool		first;
	char	   *status;

	if (sale->first_purchase != FIRST_PURCHASE_UNKNOWN)
		return sale->first_purchase == FIRST_PURCHASE;
	SPI_connect();
	first = !HasBought(sale->member_id, false) && !HasBought(sale->member->member_id, true);
	if (first && sale->booking)
		first = !HasBought(LockMember(sale->member->member_id, &status), true);
	SPI_finish();
	unconstify(Sale *, sale)->first_purchase = first ? FIRST_PURCHASE : NO_FIRST_PURCHASE;
	return first;
}

/* Scores of the last run of the default model; unknown for who was not in it. */
static void
FillScores(Facts *facts, int64 member_id)
{
	RfmScore	score;
	const char *segment;

	if (!MemberRfm(member_id, &score, &segment))
		return;
	SetNumber(facts, MEMBER_RFM_R, RfmR(score), 0);
	SetNumber(facts, MEMBER_RFM_F, RfmF(score), 0);
	SetNumber(facts, MEMBER_RFM_M, RfmM(score), 0);
	SetText(facts, MEMBER_SEGMENT, segment);
}

/* Days from a day to the nearest birthday; the 29th of February is kept on the 28th in a common year. */
static int
DaysToBirthday(DateADT birthday, DateADT day)
{
	int			year;
	int			born_year;
	int			month;
	int			mday;
	int			nearest = PG_INT32_MAX;

	j2date(birthday + POSTGRES_EPOCH_JDATE, &born_year, &month, &mday);
	j2date(day + POSTGRES_EPOCH_JDATE, &year, &(int) {0}, &(int) {0});
	for (int y = year + 1; y >= year - 1; y--)
	{
		int			kept = month == 2 && mday == 29 && !isleap(y) ? 28 : mday;
		int			days = date2j(y, month, kept) - POSTGRES_EPOCH_JDATE - day;

		if (abs(days) < abs(nearest))
			nearest = days;
	}
	return nearest;
}

PG_FUNCTION_INFO_V1(crm_days_to_birthday);
Datum
crm_days_to_birthday(PG_FUNCTION_ARGS)
{
	DateADT		birthday = PG_GETARG_DATEADT(0);
	DateADT		day = PG_GETARG_DATEADT(1);

	if (DATE_NOT_FINITE(birthday) || DATE_NOT_FINITE(day))
		PG_RETURN_NULL();
	PG_RETURN_INT32(DaysToBirthday(birthday, day));
}

static void
FillMemberFacts(Facts *facts, const Sale *sale, const bool *uses, DateADT date,
				const struct pg_tm *now)
{
	const Member *member = sale->member;
	const char *tier;
	int			tier_rank;
	struct pg_tm born;

	if (uses[MEMBER_GENDER] || uses[MEMBER_BIRTHDAY] || uses[MEMBER_BIRTHDAY_MONTH] ||
		uses[MEMBER_IS_BIRTHDAY] || uses[MEMBER_DAYS_TO_BIRTHDAY] || uses[MEMBER_AGE])
		ReadPerson(unconstify(Member *, member));

	facts->attrs[SUBJECT_MEMBER] = member->attrs;
	facts->tags = member->tags;
	SetNumber(facts, MEMBER_ID, member->member_id, 0);
	SetUsed(facts, uses, MEMBER_STATUS, member->status);
	SetUsed(facts, uses, MEMBER_KIND, member->kind);
	tier = BuyerTier(member, sale->sold_at, &tier_rank);
	SetUsed(facts, uses, MEMBER_TIER, tier);
	if (tier != NULL)
		SetNumber(facts, MEMBER_TIER_RANK, tier_rank, 0);
	SetUsed(facts, uses, MEMBER_SOURCE, member->source);
	SetUsed(facts, uses, MEMBER_STORE, member->store);
	SetUsed(facts, uses, MEMBER_CHANNEL, member->channel);
	SetUsed(facts, uses, MEMBER_GENDER, member->gender);
	SetTimestamp(facts, MEMBER_JOINED_AT, member->joined_at);
	if (uses[MEMBER_DAYS_SINCE_JOIN])
		SetNumber(facts, MEMBER_DAYS_SINCE_JOIN, date - BusinessDate(member->joined_at), 0);
	if (uses[MEMBER_FIRST_PURCHASE])
		SetBoolean(facts, MEMBER_FIRST_PURCHASE, IsFirstPurchase(sale));

	if (uses[MEMBER_RFM_R] || uses[MEMBER_RFM_F] || uses[MEMBER_RFM_M] || uses[MEMBER_SEGMENT])
		FillScores(facts, member->member_id);

	if (!member->has_birthday)
		return;
	SetDate(facts, MEMBER_BIRTHDAY, member->birthday);
	if (uses[MEMBER_DAYS_TO_BIRTHDAY])
		SetNumber(facts, MEMBER_DAYS_TO_BIRTHDAY, DaysToBirthday(member->birthday, date), 0);
	j2date(member->birthday + POSTGRES_EPOCH_JDATE, &born.tm_year, &born.tm_mon, &born.tm_mday);
	SetBoolean(facts, MEMBER_BIRTHDAY_MONTH, born.tm_mon == now->tm_mon);
	SetBoolean(facts, MEMBER_IS_BIRTHDAY,
			   born.tm_mon == now->tm_mon &&
			   (born.tm_mday == now->tm_mday ||
			/* the 29th of February is kept on the 28th in a common year */
				(born.tm_mon == 2 && born.tm_mday == 29 && now->tm_mday == 28 &&
				 !isleap(now->tm_year))));
	SetNumber(facts, MEMBER_AGE,
			  now->tm_year - born.tm_year -
			  (now->tm_mon < born.tm_mon ||
			   (now->tm_mon == born.tm_mon && now->tm_mday < born.tm_mday)), 0);
}

int64
QuantityUnits(const SaleLine *line)
{
	int64		units = line->quantity.units;

	for (int scale = line->quantity.scale; scale < QUANTITY_SCALE; scale++)
		units *= 10;
	return units;
}

void
FillSaleFacts(Facts *facts, const Sale *sale, const bool *uses)
{
	int			scale = GetSetting()->money_scale;
	int64		quantity = 0;
	struct pg_tm tm;
	DateADT		date;

	BusinessTime(sale->sold_at, &tm);
	date = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
	if (sale->member != NULL)
		FillMemberFacts(facts, sale, uses, date, &tm);

	for (int i = 0; i < sale->nlines; i++)
		quantity = AddMinor(quantity, QuantityUnits(&sale->lines[i]));

	facts->attrs[SUBJECT_SALE] = sale->attrs;
	SetNumber(facts, SALE_AMOUNT, sale->amount, scale);
	SetNumber(facts, SALE_DISCOUNT, sale->discount, scale);
	SetNumber(facts, SALE_PAYABLE, sale->amount - sale->discount, scale);
	SetNumber(facts, SALE_SHIPPING, sale->shipping, scale);
	SetNumber(facts, SALE_QUANTITY, quantity, QUANTITY_SCALE);
	SetNumber(facts, SALE_LINES, sale->nlines, 0);
	SetUsed(facts, uses, SALE_SOURCE, sale->source);
	SetUsed(facts, uses, SALE_STORE, sale->store);
	SetUsed(facts, uses, SALE_CHANNEL, sale->channel);
	SetTimestamp(facts, SALE_SOLD_AT, sale->sold_at);
	SetDate(facts, SALE_DATE, date);
	SetNumber(facts, SALE_YEAR, tm.tm_year, 0);
	SetNumber(facts, SALE_MONTH, tm.tm_mon, 0);
	SetNumber(facts, SALE_DAY, tm.tm_mday, 0);
	SetNumber(facts, SALE_WEEKDAY, (j2day(date + POSTGRES_EPOCH_JDATE) + 6) % 7 + 1, 0);
	SetNumber(facts, SALE_HOUR, tm.tm_hour, 0);
	SetNumber(facts, SALE_MINUTE, tm.tm_hour * 60 + tm.tm_min, 0);
}

void
FillLineFacts(Facts *facts, const SaleLine *line)
{
	int			scale = GetSetting()->money_scale;

	facts->attrs[SUBJECT_LINE] = line->attrs;
	SetText(facts, LINE_SKU, line->sku);
	SetText(facts, LINE_CATEGORY, line->category);
	SetText(facts, LINE_BRAND, line->brand);
	SetNumber(facts, LINE_QUANTITY, line->quantity.units, line->quantity.scale);
	SetNumber(facts, LINE_PRICE, line->price.units, line->price.scale);
	SetNumber(facts, LINE_AMOUNT, line->amount, scale);
	SetNumber(facts, LINE_DISCOUNT, line->discount, scale);
	SetNumber(facts, LINE_PAYABLE, LinePayable(line), scale);
	facts->facts[LINE_TAX_RATE].known = line->has_tax_rate;
	facts->facts[LINE_TAX_RATE].value.number = line->tax_rate;
}
