/*
 * checkout.c: quote() and checkout(): one sale from a document, all or nothing.
 */
#include "crm_member.h"
#include "coupon/coupon.h"
#include "points/points.h"
#include "sale/history.h"
#include "sale/row.h"
#include "sale/tender.h"
#include "tier/tier.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "utils/numeric.h"

/* The buyer as he is now; a card or identity that may not buy is refused.  Returns whom the document named. */
static int64
FindBuyer(SaleDocument *document)
{
	Sale	   *sale = &document->sale;
	int64		named = ResolveBuyer(document);

	sale->member = LoadBuyer(named);
	if (sale->member != NULL)
		sale->member_id = sale->member->member_id;
	return named;
}

/*
 * Every token is hashed with what came before it as the seed, so that its place
 * counts: jsonb's own hash cannot tell what stands 32 places apart, and no sign.
 */
int64
DocumentDigest(Jsonb *jsonb)
{
	JsonbIterator *iterator = JsonbIteratorInit(&jsonb->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	uint64		digest = 0;

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		digest = hash_combine64(digest, token);
		if (token != WJB_KEY && token != WJB_VALUE && token != WJB_ELEM)
			continue;
		digest = hash_combine64(digest, value.type);
		if (value.type == jbvNumeric)
		{
			/* without trailing zeros */
			char	   *number = numeric_normalize(value.val.numeric);

			digest = hash_bytes_extended((unsigned char *) number, strlen(number), digest);
		}
		else if (value.type == jbvBool)
			digest = hash_combine64(digest, value.val.boolean);
		else if (value.type == jbvString)
			digest = hash_bytes_extended((const unsigned char *) value.val.string.val,
										 value.val.string.len, digest);
	}
	return (int64) digest;
}

static Sale *
Present(SaleDocument *document)
{
	FindBuyer(document);
	if (document->sale.ref == NULL)
		document->sale.ref = pstrdup("");
	return &document->sale;
}

Sale *
PresentedSale(Jsonb *jsonb)
{
	return Present(ReadSaleDocument(jsonb));
}

Sale *
AttributedSale(Jsonb *jsonb)
{
	SaleDocument *document = ReadSaleDocument(jsonb);
	int64		named = FindBuyer(document);

	if (HoldAttribution(document, named))
		FindBuyer(document);
	if (document->sale.member != NULL)
		AttributeSale(document, named);
	return &document->sale;
}

static Sale *
Quote(SaleDocument *document)
{
	Sale	   *sale = Present(document);

	PriceSale(sale);
	PlanTender(sale);
	return sale;
}

Sale *
QuotedSale(Jsonb *jsonb)
{
	return Quote(ReadSaleDocument(jsonb));
}

static int
CompareLineNumbers(const void *a, const void *b)
{
	int			left = ((const SaleLine *) a)->line_no;
	int			right = ((const SaleLine *) b)->line_no;

	return (left > right) - (left < right);
}

static SaleLine *
InOrder(const SaleLine *lines, int n)
{
	SaleLine   *ordered = palloc(sizeof(SaleLine) * n);

	memcpy(ordered, lines, sizeof(SaleLine) * n);
	qsort(ordered, n, sizeof(SaleLine), CompareLineNumbers);
	return ordered;
}

/* Told by the lines' amounts. */
static bool
SameLines(const SaleLine *presented, int npresented, const Sale *sale)
{
	bool		same = npresented == sale->nlines;
	SaleLine   *a = InOrder(presented, npresented);
	SaleLine   *b = InOrder(sale->lines, sale->nlines);

	for (int i = 0; same && i < npresented; i++)
		same = a[i].line_no == b[i].line_no && a[i].amount == b[i].amount;
	return same;
}

Sale *
JudgedSale(Jsonb *jsonb, const bool *uses)
{
	SaleDocument *document = ReadSaleDocument(jsonb);
	Sale	   *sale = &document->sale;
	Sale	   *booked = NULL;
	int64		member_id;
	int64		sale_id;

	if (sale->ref != NULL && LocateSale(sale->source, sale->ref, &member_id, &sale_id))
		booked = RecallSale(member_id, sale_id, uses);
	return booked != NULL && SameLines(sale->lines, sale->nlines, booked) ? booked : Quote(document);
}

PG_FUNCTION_INFO_V1(crm_quote);
Datum
crm_quote(PG_FUNCTION_ARGS)
{
	Sale	   *sale = QuotedSale(PG_GETARG_JSONB_P(0));
	const RuleSet *set = GetRuleSet();
	EarnedSale	earned = {sale};
	RuleUse    *use = BeginRuleUse(set, false, true);

	CheckTender(sale);
	earned.awards = EvaluateSale(set, sale, use, NULL);
	ClimbTiers(set, use, BeginClimb(sale->member, sale->sold_at, false), &earned);
	PG_RETURN_JSONB_P(SaleAnswer(sale, earned.awards, GetCurrentTransactionStartTimestamp()));
}

/* A sale that came as rows is told from another by its lines' amounts and by who bought. */
static void
CompareWithRows(const SaleDocument *document, SaleLine *presented, int npresented, int64 buyer, const Sale *sale)
{
	bool		same = SameLines(presented, npresented, sale);

	if (same && document->identity_kind == NULL && buyer != sale->member_id)
	{
		const Member *member = buyer == CRM_GUEST ? NULL : LoadMember(buyer);

		same = member != NULL && sale->member != NULL && member->member_id == sale->member->member_id;
	}
	if (!same)
		RefuseOtherContent(sale);
}

/* The answer that the first call with this reference gave; buyer is whom this one names. */
static Jsonb *
FirstAnswer(const SaleDocument *document, int64 buyer, Sale *sale)
{
	SaleLine   *presented = sale->lines;
	int			npresented = sale->nlines;

	sale->member = sale->member_id == CRM_GUEST ? NULL : LoadMember(sale->member_id);
	LoadSale(sale);
	if (sale->came_as_rows)
		CompareWithRows(document, presented, npresented, buyer, sale);
	LoadSaleCoupons(sale);
	LoadTender(sale);
	return SaleAnswer(sale, sale->member == NULL ? NIL : LoadAwards(sale), sale->settled_at);
}

PG_FUNCTION_INFO_V1(crm_checkout);
Datum
crm_checkout(PG_FUNCTION_ARGS)
{
	Jsonb	   *jsonb = PG_GETARG_JSONB_P(0);
	SaleDocument *document = ReadSaleDocument(jsonb);
	Sale	   *sale = &document->sale;
	const RuleSet *set;
	RuleUse    *use;
	EarnedSale	earned = {sale};
	const Member *member;
	Standing   *standing;
	int64		digest;
	int64		buyer;
	int64		named;

	if (sale->ref == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("malformed sale document"),
						errdetail("\"ref\" is missing."),
						errhint("A retry must be recognisable: send the till's own number of the sale.")));

	digest = DocumentDigest(jsonb);
	buyer = sale->member_id;
	if (FindSale(sale, digest))
		PG_RETURN_JSONB_P(FirstAnswer(document, buyer, sale));

	named = FindBuyer(document);
	if (sale->member != NULL)
		AttributeSale(document, named);
	if (!ClaimSale(sale, digest))
		PG_RETURN_JSONB_P(FirstAnswer(document, buyer, sale));

	sale->booking = true;
	RedeemSale(sale);
	PlanTender(sale);
	set = GetRuleSet();
	for (;;)
	{
		member = sale->member;
		earned.climb = NULL;
		standing = BeginClimb(member, sale->sold_at, true);
		use = BeginRuleUse(set, false, false);
		earned.awards = EvaluateSale(set, sale, use, NULL);
		ClimbTiers(set, use, standing, &earned);
		if (PostRuleUse(use))
			break;
		/* others were faster, or the buyer was merged */
		sale->member = LoadBuyer(sale->member_id);
		if (sale->member != NULL)
			AttributeSale(document, named);
	}
	AttributeUse(&earned, 1);
	PostTender(sale, earned.awards);
	PostAwards(set, &earned, 1);
	PostClimbs(&earned, 1);
	InsertSale(sale);
	RecordAttribution(sale);
	InsertSaleCoupons(sale);
	PG_RETURN_JSONB_P(SaleAnswer(sale, earned.awards, GetCurrentTransactionStartTimestamp()));
}
