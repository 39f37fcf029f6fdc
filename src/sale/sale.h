/*
 * sale.h: a sale in memory, from a document or from rows, and its settlement.
 *
 * Money is int64 minor units of the scale in crm_member.setting.
 */
#ifndef CRM_SALE_H
#define CRM_SALE_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "condition/condition.h"
#include "money/money.h"

#define QUANTITY_SCALE 6

/* Points that answers sum up are of this type; rules name theirs. */
#define MAIN_TYPE "points"

typedef struct Member
{
	int64		member_id;
	char	   *status;
	char	   *kind;
	char	   *source;
	char	   *store;
	char	   *channel;
	TimestampTz joined_at;
	ArrayType  *tags;
	Jsonb	   *attrs;
	bool		person_unread;	/* ReadPerson() fills what follows up to the birthday */
	char	   *gender;
	bool		has_birthday;
	DateADT		birthday;
	char	   *tier;
	int			tier_rank;
	/* from then on this one counts: a level given by hand has lapsed */
	TimestampTz lapses_at;
	char	   *tier_beneath;
	int			rank_beneath;
} Member;

typedef struct SaleLine
{
	int			line_no;
	char	   *sku;
	char	   *category;
	char	   *brand;
	Decimal		quantity;
	Decimal		price;
	bool		has_price;
	int64		amount;			/* before discounts */
	int64		discount;
	int64		points_paid;	/* what points pay of it, money */
	bool		has_min_price;
	Decimal		min_price;
	bool		has_tax_rate;
	Decimal		tax_rate;
	Jsonb	   *attrs;
} SaleLine;

typedef struct Sale
{
	int64		member_id;		/* with whom it is booked; CRM_GUEST: nobody */
	int64		sale_id;		/* 0: not written yet */
	ItemPointerData tid;		/* of the row of a sale that is being settled */
	const Member *member;		/* NULL for a guest */
	enum
	{
		FIRST_PURCHASE_UNKNOWN,
		FIRST_PURCHASE,
		NO_FIRST_PURCHASE
	}			first_purchase; /* looked up where a rule asks for it */
	bool		booking;		/* it enters the books: what is found out must hold until then */
	const char *named_by;		/* how the buyer was, where member_id is merged into him */
	char	   *source;
	char	   *ref;
	bool		came_as_rows;	/* it is recorded, and there is no digest of a document */
	char	   *store;
	char	   *channel;
	TimestampTz sold_at;
	TimestampTz settled_at;		/* DT_NOBEGIN: not yet */
	int64		shipping;
	Jsonb	   *attrs;
	char	   *actor;
	List	   *codes;			/* of char *: coupons presented */
	List	   *coupons;		/* of SaleCoupon: what became of them */

	int			nlines;
	SaleLine   *lines;
	int64		amount;			/* sums of the lines */
	int64		discount;

	Decimal		points_asked;	/* to pay with */
	int64		points_spent;	/* of MAIN_TYPE, in its minor units */
	int64		points_value;	/* their worth, money */
	int64		stored_value_asked;
	int64		stored_value;
} Sale;

#define LinePayable(line) ((line)->amount - (line)->discount)
/* What points pay earns nothing. */
#define LineEarning(line) (LinePayable(line) - (line)->points_paid)
/* in units of 10^-QUANTITY_SCALE */
extern int64 QuantityUnits(const SaleLine *line);
/* Lines of no units were struck out; a sale of such lines only is no purchase. */
#define IsBought(line) ((line)->quantity.units > 0)
extern bool IsPurchase(const Sale *sale);
/* The same of a settled sale in a statement. */
#define IS_PURCHASE(s) \
	"(" s ".amount > 0 OR EXISTS (SELECT FROM crm_member.sale_line l WHERE l.member_id = " s ".member_id " \
	"AND l.sale_id = " s ".sale_id AND l.quantity > 0))"

#define SalePayable(sale) ((sale)->amount - (sale)->discount + (sale)->shipping)

/* document.c: a sale from the document checkout() is given */
typedef struct SaleDocument
{
	Sale		sale;
	char	   *identity_kind;	/* NULL: by member_id, or a guest */
	char	   *identity_value;
	bool		has_sold_at;
} SaleDocument;

extern SaleDocument *ReadSaleDocument(Jsonb *jsonb);

/* buyer.c: who buys */
/* What this reads, of member m; in the current context. */
#define MEMBER_COLUMNS \
	"m.member_id, m.status, m.kind, m.source, m.store, m.channel, m.joined_at, m.tags, " \
	"m.attrs, p.gender, p.birthday, t.tier_code, t.rank, m.merged_into, mt.manual_until, b.tier_code, b.rank"
#define MEMBER_COLUMN_COUNT 17
#define MEMBER_JOINS \
	"LEFT JOIN crm_member.person p ON p.member_id = m.member_id " \
	"LEFT JOIN crm_member.member_tier mt ON mt.member_id = m.member_id " \
	"LEFT JOIN crm_member.tier t ON t.tier_code = mt.tier_code " \
	"LEFT JOIN crm_member.tier b ON b.tier_code = mt.earned_tier "
extern Member *ReadMemberCells(const Datum *values, const bool *nulls, int64 *merged_into);
/* A merged member's number gives its survivor; NULL where there is none.  In the caller's context. */
extern Member *LoadMember(int64 member_id);
/* The tier that counts at a moment; NULL: none. */
extern const char *BuyerTier(const Member *member, TimestampTz at, int *rank);
/* Few rules look at the person: read when one does. */
extern void ReadPerson(Member *member);
/* Statuses of members that may spend, and be given something; and of all that are not merged. */
extern const char *const active_members[];
extern const char *const living_members[];
extern const char *const all_members[];
/* The number a member lives under now, if its status is one of those in allowed (NULL ends them). */
extern int64 RequireMember(int64 member_id, const char *const *allowed);
/* Does it, or whom it is merged into (set), have such a status?  Error RM101. */
extern bool MemberIs(int64 *member_id, const char *const *allowed);
extern int64 ResolveBuyer(const SaleDocument *document);
/* With whom checkout() books it, who may be merged into the buyer; and a note that it did. */
extern void AttributeSale(SaleDocument *document, int64 named);
/*
 * No merge and no undoing of one changes that until the transaction ends.  True:
 * a lock was needed for it, and waited for, so that the buyer must be found anew.
 */
extern bool HoldAttribution(const SaleDocument *document, int64 named);
extern void RecordAttribution(const Sale *sale);
/* Likewise, for a purchase: NULL for a guest, an error where there is none or its status forbids it. */
extern Member *LoadBuyer(int64 member_id);
/* The same for many who are no guests, all as they were when they were opened. */
typedef struct BuyerRows BuyerRows;

extern BuyerRows *OpenBuyers(void);
extern Member *BuyerFromRows(const BuyerRows *rows, int64 member_id);
extern void CloseBuyers(BuyerRows *rows);

/* checkout.c: the sale a document describes, with its buyer, who may be refused */
extern Sale *PresentedSale(Jsonb *jsonb);
/* the same, booked with whom the buyer was named by: see AttributeSale */
extern Sale *AttributedSale(Jsonb *jsonb);
/* the same with its coupons taken off */
extern Sale *QuotedSale(Jsonb *jsonb);
/*
 * To be explained: a sale that is in the books as it was when it got there,
 * with the tier its buyer held (it has a settled_at); any other as it is quoted.
 */
extern Sale *JudgedSale(Jsonb *jsonb, const bool *uses);
/* Tells a repeated document from another with the same reference. */
extern int64 DocumentDigest(Jsonb *jsonb);

/* fact.c: what conditions are judged by */
extern void FillSaleFacts(Facts *facts, const Sale *sale, const bool *uses);
extern void FillLineFacts(Facts *facts, const SaleLine *line);

/* answer.c: the answer of quote() and checkout(); settled_at as of when the balance is read */
extern void PushCoupons(JsonbParseState **state, const Sale *sale);
extern Jsonb *SaleAnswer(const Sale *sale, List *awards, TimestampTz settled_at);

#endif
