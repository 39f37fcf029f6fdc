/*
 * history.c: recorded sales, in bulk, in the order they happened.
 *
 * Headers come from a cursor, some thousands at a time; what belongs to them
 * (lines, buyers, what was given ...) is then read by one statement each.
 */
#include "crm_member.h"
#include "query.h"
#include "sale/bulk.h"
#include "sale/history.h"
#include "sale/row.h"
#include "tier/tier.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#define WINDOW_SALES 20000

/* A tier the buyer came to hold. */
typedef struct TierStep
{
	TimestampTz at;
	TimestampTz booked_at;
	int64		sale_id;		/* that reached it; 0: none */
	const char *before;
	const char *after;
	const char *beneath;		/* by the rules alone */
	TimestampTz lapses_at;		/* of a level given by hand; DT_NOBEGIN: nothing is said of it */
} TierStep;

typedef struct Buyer
{
	int64		member_id;
	const Member *member;		/* NULL: not there */
} Buyer;

typedef struct Holder
{
	int64		member_id;		/* nobody's alias */
	List	   *steps;			/* of TierStep, in order */
} Holder;

struct History
{
	const bool *uses;
	bool		with_given;
	Portal		portal;
	MemoryContext context;		/* of the window */
	RecordedSale *sales;
	int			n;
	Sale	  **headers;		/* of sales */
	HTAB	   *buyers;
	HTAB	   *holders;
	List	   *merged;			/* of Buyer: those whose member lives on as another */
};

/* ---- headers ---- */

static History *
MakeHistory(const bool *uses, bool with_given)
{
	History    *history = palloc0(sizeof(History));

	history->uses = uses;
	history->with_given = with_given;
	history->context = AllocSetContextCreate(CurrentMemoryContext, "crm_member history",
											 ALLOCSET_DEFAULT_SIZES);
	return history;
}

History *
OpenHistory(TimestampTz from, TimestampTz to, const bool *uses, bool with_given)
{
	static CrmQuery query = {
		"SELECT " SALE_HEADER_COLUMNS " FROM crm_member.sale s "
		"WHERE s.settled_at IS NOT NULL AND s.member_id > 0 AND s.sold_at >= $1 AND s.sold_at < $2 "
		"ORDER BY s.sold_at, s.source COLLATE \"C\", s.ref COLLATE \"C\", s.member_id, s.sale_id",
		2, {TIMESTAMPTZOID, TIMESTAMPTZOID}};
	History    *history = MakeHistory(uses, with_given);
	Datum		values[2];

	values[0] = TimestampTzGetDatum(from);
	values[1] = TimestampTzGetDatum(to);
	history->portal = OpenQuery(&query, values, true);
	return history;
}

static void
ReadHeaders(History *history)
{
	HASHCTL		control = {.keysize = sizeof(int64), .entrysize = sizeof(Buyer),
						   .hcxt = history->context};
	SPITupleTable *table;
	MemoryContext old;

	SPI_cursor_fetch(history->portal, true, WINDOW_SALES);
	table = SPI_tuptable;
	history->n = SPI_processed;
	old = MemoryContextSwitchTo(history->context);
	history->sales = palloc0(sizeof(RecordedSale) * Max(history->n, 1));
	history->headers = palloc(sizeof(Sale *) * Max(history->n, 1));
	history->buyers = hash_create("crm_member buyers", Max(history->n, 16), &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (int i = 0; i < history->n; i++)
	{
		Datum		values[SALE_HEADER_COUNT];
		bool		nulls[SALE_HEADER_COUNT];
		Sale	   *sale = &history->sales[i].sale;
		bool		found;
		Buyer	   *buyer;

		heap_deform_tuple(table->vals[i], table->tupdesc, values, nulls);
		ReadSaleCells(values, nulls, sale);
		history->headers[i] = sale;
		buyer = hash_search(history->buyers, &sale->member_id, HASH_ENTER, &found);
		if (!found)
			buyer->member = NULL;
	}
	MemoryContextSwitchTo(old);
	SPI_freetuptable(table);
}

/* ---- buyers ---- */

static void
VisitMember(void *reader, const Datum *values, const bool *nulls)
{
	History    *history = reader;
	int64		member_id = DatumGetInt64(values[0]);
	Buyer	   *buyer = hash_search(history->buyers, &member_id, HASH_FIND, NULL);
	int64		merged_into;

	buyer->member = ReadMemberCells(values, nulls, &merged_into);
	if (merged_into != CRM_GUEST)
		history->merged = lappend(history->merged, buyer);
}

static void
ReadBuyers(History *history)
{
	static CrmQuery query = {
		"SELECT " MEMBER_COLUMNS " FROM crm_member.member m " MEMBER_JOINS
		"WHERE m.member_id = ANY ($1)",
		1, {INT8ARRAYOID}};
	int64	   *members = palloc(sizeof(int64) * hash_get_num_entries(history->buyers));
	HASH_SEQ_STATUS status;
	Buyer	   *buyer;
	ListCell   *cell;
	Datum		values[1];
	int			n = 0;

	hash_seq_init(&status, history->buyers);
	while ((buyer = hash_seq_search(&status)) != NULL)
		members[n++] = buyer->member_id;
	values[0] = IdArray(members, n);
	history->merged = NIL;
	VisitRows(&query, values, VisitMember, history);
	foreach(cell, history->merged)
	{
		buyer = lfirst(cell);
		buyer->member = LoadMember(buyer->member_id);
	}
	for (int i = 0; i < history->n; i++)
	{
		Sale	   *sale = &history->sales[i].sale;

		buyer = hash_search(history->buyers, &sale->member_id, HASH_FIND, NULL);
		sale->member = buyer->member;
	}
}

/* ---- the tiers they held ---- */

static void
VisitTierStep(void *reader, const Datum *values, const bool *nulls)
{
	History    *history = reader;
	int64		member_id = DatumGetInt64(values[0]);
	Holder	   *holder = hash_search(history->holders, &member_id, HASH_FIND, NULL);
	TierStep   *step = palloc(sizeof(TierStep));

	step->at = DatumGetTimestampTz(values[1]);
	step->sale_id = nulls[2] ? 0 : DatumGetInt64(values[2]);
	step->before = nulls[3] ? NULL : TextDatumGetCString(values[3]);
	step->after = nulls[4] ? NULL : TextDatumGetCString(values[4]);
	step->beneath = nulls[5] ? NULL : TextDatumGetCString(values[5]);
	step->lapses_at = nulls[6] ? DT_NOBEGIN : DatumGetTimestampTz(values[6]);
	step->booked_at = DatumGetTimestampTz(values[7]);
	holder->steps = lappend(holder->steps, step);
}

/* The tier that counted for a sale when it was booked, by the history of the buyer. */
static const Tier *
TierThen(const TierSet *set, const List *steps, const Sale *sale)
{
	const char *code = ((TierStep *) linitial(steps))->before;
	const char *beneath = NULL;
	TimestampTz lapses_at = DT_NOEND;
	ListCell   *cell;

	foreach(cell, steps)
	{
		const TierStep *step = lfirst(cell);
		const Tier *reached = FindTier(set, step->beneath);
		/* of what was booked together, the times decide */
		bool		later = step->booked_at != sale->settled_at
			? step->booked_at > sale->settled_at : step->at > sale->sold_at;

		/* the very sale that reached it earns by it only where the tier says so */
		if (step->sale_id == sale->sale_id ? reached == NULL || !reached->at_once : later)
			continue;
		code = step->after;
		beneath = step->beneath;
		if (step->lapses_at != DT_NOBEGIN)
			lapses_at = step->lapses_at;
	}
	return FindTier(set, sale->sold_at >= lapses_at ? beneath : code);
}

static void
ReadTiers(History *history)
{
	static CrmQuery query = {
		"SELECT e.member_id, e.at, CASE WHEN e.cause <> 'return' THEN e.sale_id END, "
		"e.from_tier, e.to_tier, e.earned_to, "
		"CASE e.cause WHEN 'manual' THEN coalesce(e.manual_until, 'infinity') WHEN 'lapse' THEN 'infinity' END, "
		"e.booked_at FROM crm_member.member_tier_event e WHERE e.member_id = ANY ($1) "
		"AND (e.cause = 'manual' OR (e.from_tier, e.earned_from) IS DISTINCT FROM (e.to_tier, e.earned_to)) "
		"ORDER BY e.member_id, e.booked_at, e.at, e.event_id", 1, {INT8ARRAYOID}};
	HASHCTL		control = {.keysize = sizeof(int64), .entrysize = sizeof(Holder),
						   .hcxt = history->context};
	const TierSet *set = GetTierSet();
	int64	   *members = palloc(sizeof(int64) * history->n);
	Datum		values[1];
	int			n = 0;

	if (!history->uses[MEMBER_TIER] && !history->uses[MEMBER_TIER_RANK])
		return;
	history->holders = hash_create("crm_member holders", Max(history->n, 16), &control,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (int i = 0; i < history->n; i++)
	{
		const Member *member = history->sales[i].sale.member;
		Holder	   *holder;
		bool		found;

		if (member == NULL)
			continue;
		holder = hash_search(history->holders, &member->member_id, HASH_ENTER, &found);
		if (found)
			continue;
		holder->steps = NIL;
		members[n++] = member->member_id;
	}
	values[0] = IdArray(members, n);
	VisitRows(&query, values, VisitTierStep, history);

	for (int i = 0; i < history->n; i++)
	{
		Sale	   *sale = &history->sales[i].sale;
		const Holder *holder;
		const Tier *tier;
		Member	   *then;

		if (sale->member == NULL)
			continue;
		holder = hash_search(history->holders, &sale->member->member_id, HASH_FIND, NULL);
		if (holder->steps == NIL)
			continue;
		tier = TierThen(set, holder->steps, sale);
		then = palloc(sizeof(Member));
		*then = *sale->member;
		then->tier = tier ? tier->code : NULL;
		then->tier_rank = tier ? tier->rank : 0;
		then->lapses_at = DT_NOEND;
		sale->member = then;
	}
}

/* ---- first purchases ---- */

static void
VisitLaterPurchase(void *reader, const Datum *values, const bool *nulls)
{
	History    *history = reader;
	history->sales[DatumGetInt64(values[0]) - 1].sale.first_purchase = NO_FIRST_PURCHASE;
}

/* As in the books: the person's first sale is the one that was booked first. */
static void
ReadFirstPurchases(History *history)
{
	static CrmQuery query = {
		"WITH k AS MATERIALIZED (SELECT * FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY "
		"AS k (member_id, settled_at, sold_at, source, ref, no)) "
		"SELECT k.no FROM k WHERE EXISTS (SELECT FROM crm_member.sale s WHERE s.member_id = k.member_id "
		"AND (s.settled_at, s.sold_at, s.source, s.ref) < (k.settled_at, k.sold_at, k.source, k.ref) "
		"AND " IS_PURCHASE("s") ") "
		"UNION ALL SELECT k.no FROM k JOIN crm_member.member_root a ON a.root = k.member_id "
		"WHERE EXISTS (SELECT FROM crm_member.sale s WHERE s.member_id = a.member_id "
		"AND (s.settled_at, s.sold_at, s.source, s.ref) < (k.settled_at, k.sold_at, k.source, k.ref) "
		"AND " IS_PURCHASE("s") ")",
		5, {INT8ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID}};
	static const Oid types[] = {INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID};
	Datum	   *columns[lengthof(types)];
	Datum		values[lengthof(types)];

	if (!history->uses[MEMBER_FIRST_PURCHASE])
		return;
	for (int c = 0; c < lengthof(types); c++)
		columns[c] = palloc(sizeof(Datum) * history->n);
	for (int i = 0; i < history->n; i++)
	{
		Sale	   *sale = &history->sales[i].sale;

		columns[0][i] = Int64GetDatum(sale->member ? sale->member->member_id : sale->member_id);
		columns[1][i] = TimestampTzGetDatum(sale->settled_at);
		columns[2][i] = TimestampTzGetDatum(sale->sold_at);
		columns[3][i] = CStringGetTextDatum(sale->source);
		columns[4][i] = CStringGetTextDatum(sale->ref);
		sale->first_purchase = FIRST_PURCHASE;
	}
	for (int c = 0; c < lengthof(types); c++)
		values[c] = ArrayOf(columns[c], history->n, types[c]);
	VisitRows(&query, values, VisitLaterPurchase, history);
}

/* ---- what was given ---- */

static void
VisitGiven(void *reader, Sale *sale, const Datum *values, const bool *nulls)
{
	RecordedSale *recorded = (RecordedSale *) sale; /* which begins with it */
	char	   *points_type;
	Datum	   *codes;
	Datum	   *points;
	int			ncodes;
	int			npoints;

	points_type = TextDatumGetCString(values[0]);
	deconstruct_array(DatumGetArrayTypeP(values[1]), TEXTOID, -1, false, TYPALIGN_INT, &codes, NULL,
					  &ncodes);
	deconstruct_array(DatumGetArrayTypePCopy(values[2]), NUMERICOID, -1, false, TYPALIGN_INT,
					  &points, NULL, &npoints);
	recorded->given = recorded->given == NULL ? palloc(sizeof(Given) * Max(ncodes, 1))
		: repalloc(recorded->given, sizeof(Given) * (recorded->ngiven + ncodes));
	for (int i = 0; i < Min(ncodes, npoints); i++)
	{
		Given	   *given = &recorded->given[recorded->ngiven++];

		given->rule_code = TextDatumGetCString(codes[i]);
		given->points_type = points_type;
		given->points = points[i];
	}
}

static void
ReadGiven(History *history)
{
	static CrmQuery by_key = {
		"SELECT e.member_id, e.sale_id, e.points_type, e.rules, e.rule_points "
		"FROM unnest($1, $2) AS k (member_id, sale_id) "
		"JOIN crm_member.points_entry e ON e.member_id = k.member_id AND e.sale_id = k.sale_id "
		"WHERE e.kind = 'earn'",
		2, {INT8ARRAYOID, INT8ARRAYOID}};
	static CrmQuery whole = {
		"SELECT e.member_id, e.sale_id, e.points_type, e.rules, e.rule_points "
		"FROM crm_member.points_entry e WHERE e.kind = 'earn' AND e.sale_id IS NOT NULL", 0};

	if (history->with_given)
		VisitSaleRows(history->headers, history->n, "points_entry", &by_key, &whole, VisitGiven, NULL);
}

int
NextSales(History *history, RecordedSale **sales)
{
	MemoryContext old;

	MemoryContextReset(history->context);
	ReadHeaders(history);
	*sales = history->sales;
	if (history->n == 0)
		return 0;
	old = MemoryContextSwitchTo(history->context);
	LoadManyLines(history->headers, history->n);
	ReadBuyers(history);
	ReadTiers(history);
	ReadFirstPurchases(history);
	ReadGiven(history);
	MemoryContextSwitchTo(old);
	return history->n;
}

void
CloseHistory(History *history)
{
	SPI_cursor_close(history->portal);
	MemoryContextDelete(history->context);
}

Sale *
RecallSale(int64 member_id, int64 sale_id, const bool *uses)
{
	static CrmQuery query = {
		"SELECT " SALE_HEADER_COLUMNS " FROM crm_member.sale s "
		"WHERE s.settled_at IS NOT NULL AND s.member_id > 0 AND s.member_id = $1 AND s.sale_id = $2",
		2, {INT8OID, INT8OID}};
	Datum		values[2] = {Int64GetDatum(member_id), Int64GetDatum(sale_id)};
	History    *history = MakeHistory(uses, false);
	RecordedSale *sales;
	Sale	   *sale;

	SPI_connect();
	history->portal = OpenQuery(&query, values, true);
	sale = NextSales(history, &sales) > 0 ? &sales[0].sale : NULL;
	SPI_cursor_close(history->portal);
	SPI_finish();
	return sale;
}
