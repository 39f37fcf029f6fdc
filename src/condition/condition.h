/*
 * condition.h: the condition language, as rules, coupons, segments and RFM
 * models use it.
 *
 * A condition is a closed boolean expression over attributes of a member, a
 * sale and a line.  It is parsed and checked when it is stored; the flat datum
 * is the program.  This room knows the attributes by name and type; where their
 * values come from is the business of whoever fills Facts.
 */
#ifndef CRM_CONDITION_H
#define CRM_CONDITION_H

#include "postgres.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "money/money.h"

typedef enum Subject
{
	SUBJECT_MEMBER,
	SUBJECT_SALE,
	SUBJECT_LINE
} Subject;

#define SUBJECT_COUNT 3

typedef enum FactType
{
	FACT_NUMBER,
	FACT_TEXT,
	FACT_BOOLEAN,
	FACT_DATE,
	FACT_TIMESTAMP
} FactType;

/* Every attribute but the open ones, attr() and tag(); attribute.c describes them in this order. */
/* Stored conditions hold these numbers: a new attribute goes at the end. */
typedef enum Attribute
{
	MEMBER_ID,
	MEMBER_STATUS,
	MEMBER_KIND,
	MEMBER_TIER,				/* tier code */
	MEMBER_TIER_RANK,
	MEMBER_SOURCE,
	MEMBER_STORE,
	MEMBER_CHANNEL,
	MEMBER_GENDER,
	MEMBER_BIRTHDAY,
	MEMBER_BIRTHDAY_MONTH,		/* the sale is in the month of the birthday */
	MEMBER_IS_BIRTHDAY,
	MEMBER_AGE,					/* full years on the day of the sale */
	MEMBER_JOINED_AT,
	MEMBER_DAYS_SINCE_JOIN,
	MEMBER_FIRST_PURCHASE,		/* no other sale in the books */
	MEMBER_RFM_R,
	MEMBER_RFM_F,
	MEMBER_RFM_M,
	MEMBER_SEGMENT,

	SALE_AMOUNT,				/* before discounts */
	SALE_DISCOUNT,
	SALE_PAYABLE,				/* without shipping */
	SALE_SHIPPING,
	SALE_QUANTITY,
	SALE_LINES,
	SALE_SOURCE,
	SALE_STORE,
	SALE_CHANNEL,
	SALE_SOLD_AT,
	SALE_DATE,
	SALE_YEAR,
	SALE_MONTH,
	SALE_DAY,					/* of the month */
	SALE_WEEKDAY,				/* 1 Monday .. 7 */
	SALE_HOUR,
	SALE_MINUTE,				/* of the day: 0 .. 1439 */

	LINE_SKU,
	LINE_CATEGORY,
	LINE_BRAND,
	LINE_QUANTITY,
	LINE_PRICE,
	LINE_AMOUNT,				/* before discounts */
	LINE_DISCOUNT,
	LINE_PAYABLE,
	LINE_TAX_RATE,

	MEMBER_DAYS_TO_BIRTHDAY		/* the nearest one, before or after the sale */
} Attribute;

#define ATTRIBUTE_COUNT (MEMBER_DAYS_TO_BIRTHDAY + 1)

/* One attribute's value, of the type the attribute has.  Text need not end in NUL. */
typedef struct Fact
{
	bool		known;
	union
	{
		Decimal		number;
		struct
		{
			const char *data;
			int			length;
		}			text;
		bool		boolean;
		DateADT		date;
		TimestampTz timestamp;
	}			value;
} Fact;

/*
 * What a condition is judged by.  facts is indexed by Attribute; whoever fills
 * it sets what UsesAttribute() asks for.  attrs are the jsonb objects behind
 * attr(), NULL for none; tags (a one-dimensional text[] without nulls, or NULL)
 * those behind member.tag().
 */
typedef struct Facts
{
	Fact		facts[ATTRIBUTE_COUNT];
	Jsonb	   *attrs[SUBJECT_COUNT];
	ArrayType  *tags;
} Facts;

/* The datum; its inside is condition_datum.h's. */
typedef struct Condition Condition;

#define DatumGetCondition(d)	 ((Condition *) PG_DETOAST_DATUM(d))
#define PG_GETARG_CONDITION(n)	 DatumGetCondition(PG_GETARG_DATUM(n))

typedef enum Truth
{
	TRUTH_FALSE,
	TRUTH_TRUE,
	TRUTH_UNKNOWN
} Truth;

extern Truth EvaluateCondition(const Condition *condition, const Facts *facts);

/* Is it true of this line, were the member and the sale as it wants them to be? */
extern bool HoldsForLine(const Condition *condition, const Facts *facts);

/* Does it look at this attribute; at any attribute, attr() or tag() of this subject? */
extern bool UsesAttribute(const Condition *condition, Attribute attribute);
extern bool UsesSubject(const Condition *condition, Subject subject);
/* At attr() of this subject; at tag(). */
extern bool UsesAttrs(const Condition *condition, Subject subject);
extern bool UsesTags(const Condition *condition);

/*
 * Where no clause asks whether something is known, what is decided of facts of
 * which some are left unknown does not change once they are filled in.
 */
extern bool AsksForNull(const Condition *condition);

/*
 * Why it is not true: appends the first clause, in order, that alone keeps it
 * from being true (canonical text, such as "sale.amount >= 100") and the value
 * it saw ("87.50", or "unknown").  Nothing is appended where it is true.
 */
extern void ExplainCondition(const Condition *condition, const Facts *facts, StringInfo clause,
							 StringInfo saw);

extern Condition *ParseCondition(const char *text);
extern char *PrintCondition(const Condition *condition);

/*
 * An SQL expression that is true exactly where the condition is, over three row
 * aliases named member, sale and line whose columns are named like the
 * attributes (and attrs jsonb, tags text[]).
 */
extern char *ConditionToSql(const Condition *condition);

#endif
