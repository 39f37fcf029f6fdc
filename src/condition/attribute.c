/*
 * attribute.c: the table of attributes.
 *
 * The one place that knows them: the parser, condition_attributes(), facts
 * documents and SQL expressions all read it.  Its order is enum Attribute.
 */
#include "crm_member.h"
#include "condition/attribute.h"

#include "utils/varlena.h"

const AttributeInfo attribute_table[ATTRIBUTE_COUNT] = {
	[MEMBER_ID] = {"member.id", SUBJECT_MEMBER, FACT_NUMBER,
	"Identifier of the member; unknown for a guest"},
	[MEMBER_STATUS] = {"member.status", SUBJECT_MEMBER, FACT_TEXT,
	"inactive, active, lost, cancelled or merged"},
	[MEMBER_KIND] = {"member.kind", SUBJECT_MEMBER, FACT_TEXT,
	"consumer or dealer"},
	[MEMBER_TIER] = {"member.tier", SUBJECT_MEMBER, FACT_TEXT,
	"Code of the tier; unknown where the member holds none"},
	[MEMBER_TIER_RANK] = {"member.tier_rank", SUBJECT_MEMBER, FACT_NUMBER,
	"Rank of the tier: the higher, the better"},
	[MEMBER_SOURCE] = {"member.source", SUBJECT_MEMBER, FACT_TEXT,
	"System that registered the member"},
	[MEMBER_STORE] = {"member.store", SUBJECT_MEMBER, FACT_TEXT,
	"Store that registered the member"},
	[MEMBER_CHANNEL] = {"member.channel", SUBJECT_MEMBER, FACT_TEXT,
	"Channel the member came through"},
	[MEMBER_GENDER] = {"member.gender", SUBJECT_MEMBER, FACT_TEXT,
	"M, F or X"},
	[MEMBER_BIRTHDAY] = {"member.birthday", SUBJECT_MEMBER, FACT_DATE,
	"Date of birth"},
	[MEMBER_BIRTHDAY_MONTH] = {"member.birthday_month", SUBJECT_MEMBER, FACT_BOOLEAN,
	"The sale is in the month of the birthday"},
	[MEMBER_IS_BIRTHDAY] = {"member.is_birthday", SUBJECT_MEMBER, FACT_BOOLEAN,
	"The sale is on the birthday"},
	[MEMBER_AGE] = {"member.age", SUBJECT_MEMBER, FACT_NUMBER,
	"Full years on the day of the sale"},
	[MEMBER_JOINED_AT] = {"member.joined_at", SUBJECT_MEMBER, FACT_TIMESTAMP,
	"When the member joined"},
	[MEMBER_DAYS_SINCE_JOIN] = {"member.days_since_join", SUBJECT_MEMBER, FACT_NUMBER,
	"Days from joining to the sale by business date; 0 on the day of joining"},
	[MEMBER_FIRST_PURCHASE] = {"member.first_purchase", SUBJECT_MEMBER, FACT_BOOLEAN,
	"No other purchase of the person is in the books"},
	[MEMBER_RFM_R] = {"member.rfm_r", SUBJECT_MEMBER, FACT_NUMBER,
	"Recency score"},
	[MEMBER_RFM_F] = {"member.rfm_f", SUBJECT_MEMBER, FACT_NUMBER,
	"Frequency score"},
	[MEMBER_RFM_M] = {"member.rfm_m", SUBJECT_MEMBER, FACT_NUMBER,
	"Monetary score"},
	[MEMBER_SEGMENT] = {"member.segment", SUBJECT_MEMBER, FACT_TEXT,
	"Segment of the RFM score"},

	[SALE_AMOUNT] = {"sale.amount", SUBJECT_SALE, FACT_NUMBER,
	"Sum of the lines before discounts, money"},
	[SALE_DISCOUNT] = {"sale.discount", SUBJECT_SALE, FACT_NUMBER,
	"Sum of the discounts, money"},
	[SALE_PAYABLE] = {"sale.payable", SUBJECT_SALE, FACT_NUMBER,
	"amount - discount, money, without shipping"},
	[SALE_SHIPPING] = {"sale.shipping", SUBJECT_SALE, FACT_NUMBER,
	"Shipping charged, money"},
	[SALE_QUANTITY] = {"sale.quantity", SUBJECT_SALE, FACT_NUMBER,
	"Units of all lines"},
	[SALE_LINES] = {"sale.lines", SUBJECT_SALE, FACT_NUMBER,
	"Number of lines"},
	[SALE_SOURCE] = {"sale.source", SUBJECT_SALE, FACT_TEXT,
	"System that rang up the sale"},
	[SALE_STORE] = {"sale.store", SUBJECT_SALE, FACT_TEXT,
	"Store code"},
	[SALE_CHANNEL] = {"sale.channel", SUBJECT_SALE, FACT_TEXT,
	"Sales channel, such as store or web"},
	[SALE_SOLD_AT] = {"sale.sold_at", SUBJECT_SALE, FACT_TIMESTAMP,
	"When it was sold"},
	[SALE_DATE] = {"sale.date", SUBJECT_SALE, FACT_DATE,
	"Business day of the sale"},
	[SALE_YEAR] = {"sale.year", SUBJECT_SALE, FACT_NUMBER,
	"Year of the business day"},
	[SALE_MONTH] = {"sale.month", SUBJECT_SALE, FACT_NUMBER,
	"Month, 1 to 12"},
	[SALE_DAY] = {"sale.day", SUBJECT_SALE, FACT_NUMBER,
	"Day of the month, 1 to 31"},
	[SALE_WEEKDAY] = {"sale.weekday", SUBJECT_SALE, FACT_NUMBER,
	"1 Monday to 7 Sunday"},
	[SALE_HOUR] = {"sale.hour", SUBJECT_SALE, FACT_NUMBER,
	"Hour, 0 to 23"},
	[SALE_MINUTE] = {"sale.minute", SUBJECT_SALE, FACT_NUMBER,
	"Minute of the day, 0 to 1439"},

	[LINE_SKU] = {"line.sku", SUBJECT_LINE, FACT_TEXT,
	"Article"},
	[LINE_CATEGORY] = {"line.category", SUBJECT_LINE, FACT_TEXT,
	"Category of the article"},
	[LINE_BRAND] = {"line.brand", SUBJECT_LINE, FACT_TEXT,
	"Brand of the article"},
	[LINE_QUANTITY] = {"line.quantity", SUBJECT_LINE, FACT_NUMBER,
	"Units"},
	[LINE_PRICE] = {"line.price", SUBJECT_LINE, FACT_NUMBER,
	"Price of a unit"},
	[LINE_AMOUNT] = {"line.amount", SUBJECT_LINE, FACT_NUMBER,
	"quantity * price before discounts, money"},
	[LINE_DISCOUNT] = {"line.discount", SUBJECT_LINE, FACT_NUMBER,
	"Discount on the line, money"},
	[LINE_PAYABLE] = {"line.payable", SUBJECT_LINE, FACT_NUMBER,
	"amount - discount, money"},
	[LINE_TAX_RATE] = {"line.tax_rate", SUBJECT_LINE, FACT_NUMBER,
	"Percent"},

	[MEMBER_DAYS_TO_BIRTHDAY] = {"member.days_to_birthday", SUBJECT_MEMBER, FACT_NUMBER,
	"Days from the sale to the nearest birthday, below 0 after it"},
};

static const char *const subject_names[SUBJECT_COUNT] = {"member", "sale", "line"};

/* Open attributes are no entries above, but a misspelling may mean them. */
static const char *const open_names[] = {"member.attr", "sale.attr", "line.attr", "member.tag"};

#define CANDIDATE_COUNT (ATTRIBUTE_COUNT + (int) lengthof(open_names))

const char *
SubjectName(Subject subject)
{
	return subject_names[subject];
}

const char *
FactTypeName(FactType type)
{
	static const char *const names[] = {
		[FACT_NUMBER] = "number",
		[FACT_TEXT] = "text",
		[FACT_BOOLEAN] = "boolean",
		[FACT_DATE] = "date",
		[FACT_TIMESTAMP] = "timestamp",
	};

	return names[type];
}

const char *
AttributeColumn(Attribute attribute)
{
	return strchr(attribute_table[attribute].name, '.') + 1;
}

bool
FindAttribute(const char *name, int length, Attribute *attribute)
{
	for (int i = 0; i < ATTRIBUTE_COUNT; i++)
	{
		if (pg_strncasecmp(attribute_table[i].name, name, length) == 0 &&
			attribute_table[i].name[length] == '\0')
		{
			*attribute = (Attribute) i;
			return true;
		}
	}
	return false;
}

static const char *
CandidateName(int i)
{
	return i < ATTRIBUTE_COUNT ? attribute_table[i].name : open_names[i - ATTRIBUTE_COUNT];
}

/* The same column of another subject, or none, else the fewest typing errors. */
const char *
NearestAttribute(const char *name, int length)
{
	const char *nearest = NULL;
	int			best = length / 3 + 1;	/* beyond recognition */
	char		word[NAMEDATALEN];
	const char *column;

	if (length >= NAMEDATALEN)
		return NULL;
	for (int i = 0; i < length; i++)
		word[i] = pg_ascii_tolower((unsigned char) name[i]);
	word[length] = '\0';
	column = strchr(word, '.') ? strchr(word, '.') + 1 : word;

	for (int i = 0; i < CANDIDATE_COUNT; i++)
	{
		if (strcmp(column, strchr(CandidateName(i), '.') + 1) == 0)
			return CandidateName(i);
	}
	for (int i = 0; i < CANDIDATE_COUNT; i++)
	{
		const char *candidate = CandidateName(i);
		int			distance;

		if (column == word)
			candidate = strchr(candidate, '.') + 1;
		distance = varstr_levenshtein_less_equal(word, length, candidate, strlen(candidate),
												 1, 1, 1, best - 1, true);
		if (distance < best)
		{
			best = distance;
			nearest = CandidateName(i);
		}
	}
	return nearest;
}
