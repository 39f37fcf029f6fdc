/*
 * history.c: recorded sales, in bulk, in the order they happened.
 *
 * Headers come from a cursor, some thousands at a time; what belongs to them
 * (lines, buyers, what was given ...) is then read by one statement each.  Few
 * sales look their rows up; where they are a good part of a table it is read as
 * a whole, and what belongs to no sale at hand passes by.  The executor hands
 * each row straight to the struct it ends in.
 */
#include "crm_member.h"
#include "catalog.h"
#include "query.h"
#include "sale/history.h"
#include "sale/row.h"
#include "tier/tier.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#define WINDOW_SALES  20000
#define LINES_AT_ONCE 5000
#define ROWS_FOR_SCAN 20			/* a table of fewer rows for each key is read as a whole */

/* A tier the buyer came to hold. */
typedef struct TierStep
{
	TimestampTz at;
	int64		sale_id;		/* that reached it; 0: none */
	const char *before;
	const char *after;
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

/* Where a sale is. */
typedef struct SaleKey
{
	int64		member_id;
	int64		sale_id;
} SaleKey;

typedef struct SaleSlot
{
	SaleKey		key;
	int			number;			/* in sales */
	uint32		hash;
	char		status;
} SaleSlot;

#define SH_PREFIX slots
#define SH_ELEMENT_TYPE SaleSlot
#define SH_KEY_TYPE SaleKey
#define SH_KEY key
#define SH_HASH_KEY(table, key) hash_bytes((const unsigned char *) &(key), sizeof(SaleKey))
#define SH_EQUAL(table, a, b) ((a).sale_id == (b).sale_id && (a).member_id == (b).member_id)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct History
{
	const bool *uses;
	bool		with_given;
	Portal		portal;
	MemoryContext context;		/* of the window */
	RecordedSale *sales;
	int			n;
	slots_hash *slots;			/* of sales */
	SaleLine   *lines;			/* where the next line goes, and how many there is room for */
	int			room;
	HTAB	   *buyers;
	HTAB	   *holders;
	List	   *merged;			/* of Buyer: those whose member lives on as another */
};

/* ---- statements whose rows go to a function ---- */

typedef void (*RowVisitor) (History *history, const Datum *values, const bool *nulls);

typedef struct VisitReceiver
{
	DestReceiver pub;
	History    *history;
	RowVisitor	visit;
} VisitReceiver;

typedef struct KeyQuery
{
	const char *sql;
	int			nargs;
	Oid			argtypes[5];
	SPIPlanPtr	plan;			/* filled at first use */
} KeyQuery;

static void
StartVisits(DestReceiver *self, int operation, TupleDesc columns)
{
}

static bool
VisitSlot(TupleTableSlot *slot, DestReceiver *self)
{
	VisitReceiver *receiver = (VisitReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->history->context);

	slot_getallattrs(slot);
	receiver->visit(receiver->history, slot->tts_values, slot->tts_isnull);
	MemoryContextSwitchTo(old);
	return true;
}

static void
EndVisits(DestReceiver *self)
{
}

/* Always planned for its keys: their number decides. */
static void
VisitRows(History *history, KeyQuery *query, const Datum *values, RowVisitor visit)
{
	VisitReceiver receiver = {.history = history, .visit = visit};
	SPIExecuteOptions options = {0};

	if (query->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare_cursor(query->sql, query->nargs, query->argtypes,
											  CURSOR_OPT_CUSTOM_PLAN | CURSOR_OPT_PARALLEL_OK);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s: %s", SPI_result_code_string(SPI_result), query->sql);
		SPI_keepplan(plan);
		query->plan = plan;
	}
	receiver.pub.receiveSlot = VisitSlot;
	receiver.pub.rStartup = StartVisits;
	receiver.pub.rShutdown = receiver.pub.rDestroy = EndVisits;
	receiver.pub.mydest = DestNone;
	options.params = makeParamList(query->nargs);
	for (int i = 0; i < query->nargs; i++)
	{
		options.params->params[i].value = values[i];
		options.params->params[i].isnull = false;
		options.params->params[i].ptype = query->argtypes[i];
		options.params->params[i].pflags = PARAM_FLAG_CONST;
	}
	options.read_only = true;
	options.dest = (DestReceiver *) &receiver;
	if (SPI_execute_plan_extended(query->plan, &options) < 0)
		elog(ERROR, "SPI_execute_plan_extended failed: %s", query->sql);
}

static Datum
ArrayOf(Datum *values, int n, Oid type)
{
	bool		by_value = type != TEXTOID;

	return PointerGetDatum(construct_array(values, n, type, by_value ? 8 : -1, by_value,
										   by_value ? TYPALIGN_DOUBLE : TYPALIGN_INT));
}

/* ---- headers ---- */

History *
OpenHistory(TimestampTz from, TimestampTz to, const bool *uses, bool with_given)
{
	static CrmQuery query = {
		"SELECT " SALE_HEADER_COLUMNS " FROM crm_member.sale s "
		"WHERE s.settled_at IS NOT NULL AND s.member_id > 0 AND s.sold_at >= $1 AND s.sold_at < $2 "
		"ORDER BY s.sold_at, s.source COLLATE \"C\", s.ref COLLATE \"C\", s.member_id, s.sale_id",
		2, {TIMESTAMPTZOID, TIMESTAMPTZOID}};
	History    *history = palloc0(sizeof(History));
	Datum		values[2];

	history->uses = uses;
	history->with_given = with_given;
	history->context = AllocSetContextCreate(CurrentMemoryContext, "crm_member history",
											 ALLOCSET_DEFAULT_SIZES);
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
		buyer = hash_search(history->buyers, &sale->member_id, HASH_ENTER, &found);
		if (!found)
			buyer->member = NULL;
	}
	MemoryContextSwitchTo(old);
	SPI_freetuptable(table);
}

/*
 * Rows of a relation that carry the member and number of a sale: by key, or all
 * of them.  Like the sale, they keep the member they were written for.
 */
static void
VisitSaleRows(History *history, const char *relation, KeyQuery *by_key, KeyQuery *whole,
			  RowVisitor visit)
{
	int			n = history->n;
	Datum	   *members = palloc(sizeof(Datum) * n);
	Datum	   *numbers = palloc(sizeof(Datum) * n);
	Datum		values[2];
	double		rows;

	history->slots = slots_create(history->context, n, NULL);
	for (int i = 0; i < n; i++)
	{
		const Sale *sale = &history->sales[i].sale;
		SaleKey		key = {sale->member_id, sale->sale_id};
		bool		found;

		slots_insert(history->slots, key, &found)->number = i;
		members[i] = Int64GetDatum(key.member_id);
		numbers[i] = Int64GetDatum(key.sale_id);
	}
	rows = RelationRows(CrmRelation(relation));
	if (rows >= 0 && rows < (double) n * ROWS_FOR_SCAN)
		VisitRows(history, whole, NULL, visit);
	else
	{
		values[0] = ArrayOf(members, n, INT8OID);
		values[1] = ArrayOf(numbers, n, INT8OID);
		VisitRows(history, by_key, values, visit);
	}
	slots_destroy(history->slots);
}

/* The sale that a row belongs to; NULL: none of those at hand. */
static RecordedSale *
SaleOfRow(History *history, const Datum *values)
{
	SaleKey		key = {DatumGetInt64(values[0]), DatumGetInt64(values[1])};
	SaleSlot   *slot = slots_lookup(history->slots, key);

	return slot == NULL ? NULL : &history->sales[slot->number];
}

/* ---- lines ---- */

/*
 * Lines of a sale mostly come one after the other, and are one array where they
 * come to lie; those of a sale that is come back to move to where there is room.
 */
static void
VisitLine(History *history, const Datum *values, const bool *nulls)
{
	RecordedSale *recorded = SaleOfRow(history, values);
	Sale	   *sale;

	if (recorded == NULL)
		return;
	sale = &recorded->sale;
	if (history->room == 0 || sale->nlines == 0 || sale->lines + sale->nlines != history->lines)
	{
		if (history->room <= sale->nlines)
		{
			history->room = Max(LINES_AT_ONCE, 2 * (sale->nlines + 1));
			history->lines = palloc_extended(sizeof(SaleLine) * history->room, MCXT_ALLOC_HUGE);
		}
		if (sale->nlines > 0)
			memcpy(history->lines, sale->lines, sizeof(SaleLine) * sale->nlines);
		sale->lines = history->lines;
		history->lines += sale->nlines;
		history->room -= sale->nlines;
	}
	ReadLineCells(values + 2, nulls + 2, sale, history->lines);
	history->lines++;
	history->room--;
}

static int
CompareLines(const void *a, const void *b)
{
	return ((const SaleLine *) a)->line_no - ((const SaleLine *) b)->line_no;
}

static void
ReadLines(History *history)
{
	static KeyQuery by_key = {
		"SELECT l.member_id, l.sale_id, " SALE_LINE_COLUMNS
		" FROM unnest($1, $2) AS k (member_id, sale_id) "
		"JOIN crm_member.sale_line l ON l.member_id = k.member_id AND l.sale_id = k.sale_id",
		2, {INT8ARRAYOID, INT8ARRAYOID}};
	static KeyQuery whole = {
		"SELECT l.member_id, l.sale_id, " SALE_LINE_COLUMNS " FROM crm_member.sale_line l", 0};

	history->room = 0;
	VisitSaleRows(history, "sale_line", &by_key, &whole, VisitLine);
	for (int i = 0; i < history->n; i++)
	{
		Sale	   *sale = &history->sales[i].sale;

		for (int l = 1; l < sale->nlines; l++)
		{
			if (sale->lines[l - 1].line_no < sale->lines[l].line_no)
				continue;
			qsort(sale->lines, sale->nlines, sizeof(SaleLine), CompareLines);
			break;
		}
	}
}

/* ---- buyers ---- */

static void
VisitMember(History *history, const Datum *values, const bool *nulls)
{
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
	static KeyQuery query = {
		"SELECT " MEMBER_COLUMNS " FROM crm_member.member m " MEMBER_JOINS
		"WHERE m.member_id = ANY ($1)",
		1, {INT8ARRAYOID}};
	Datum	   *members = palloc(sizeof(Datum) * hash_get_num_entries(history->buyers));
	HASH_SEQ_STATUS status;
	Buyer	   *buyer;
	ListCell   *cell;
	Datum		values[1];
	int			n = 0;

	hash_seq_init(&status, history->buyers);
	while ((buyer = hash_seq_search(&status)) != NULL)
		members[n++] = Int64GetDatum(buyer->member_id);
	values[0] = ArrayOf(members, n, INT8OID);
	history->merged = NIL;
	VisitRows(history, &query, values, VisitMember);
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
VisitTierStep(History *history, const Datum *values, const bool *nulls)
{
	int64		member_id = DatumGetInt64(values[0]);
	Holder	   *holder = hash_search(history->holders, &member_id, HASH_FIND, NULL);
	TierStep   *step = palloc(sizeof(TierStep));

	step->at = DatumGetTimestampTz(values[1]);
	step->sale_id = nulls[2] ? 0 : DatumGetInt64(values[2]);
	step->before = nulls[3] ? NULL : TextDatumGetCString(values[3]);
	step->after = nulls[4] ? NULL : TextDatumGetCString(values[4]);
	holder->steps = lappend(holder->steps, step);
}

/* The tier that counted for a sale, by the history of the buyer. */
static const Tier *
TierThen(const TierSet *set, const List *steps, const Sale *sale)
{
	const char *code = ((TierStep *) linitial(steps))->before;
	ListCell   *cell;

	foreach(cell, steps)
	{
		const TierStep *step = lfirst(cell);
		const Tier *tier = FindTier(set, step->after);

		if (step->sale_id == sale->sale_id)
		{
			/* the very sale that reached it */
			if (tier != NULL && tier->at_once)
				code = step->after;
		}
		else if (step->at <= sale->sold_at)
			code = step->after;
	}
	return FindTier(set, code);
}

static void
ReadTiers(History *history)
{
	static KeyQuery query = {
		"SELECT e.member_id, e.at, e.sale_id, e.from_tier, e.to_tier "
		"FROM crm_member.member_tier_event e WHERE e.member_id = ANY ($1) "
		"AND e.from_tier IS DISTINCT FROM e.to_tier ORDER BY e.member_id, e.at, e.event_id",
		1, {INT8ARRAYOID}};
	HASHCTL		control = {.keysize = sizeof(int64), .entrysize = sizeof(Holder),
						   .hcxt = history->context};
	const TierSet *set = GetTierSet();
	Datum	   *members = palloc(sizeof(Datum) * history->n);
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
		members[n++] = Int64GetDatum(member->member_id);
	}
	values[0] = ArrayOf(members, n, INT8OID);
	VisitRows(history, &query, values, VisitTierStep);

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
		sale->member = then;
	}
}

/* ---- first purchases ---- */

static void
VisitLaterPurchase(History *history, const Datum *values, const bool *nulls)
{
	history->sales[DatumGetInt64(values[0]) - 1].sale.first_purchase = NO_FIRST_PURCHASE;
}

/* As in the books: the person's first sale is the one that was booked first. */
static void
ReadFirstPurchases(History *history)
{
	static KeyQuery query = {
		"WITH k AS MATERIALIZED (SELECT * FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY "
		"AS k (member_id, settled_at, sold_at, source, ref, no)) "
		"SELECT k.no FROM k WHERE EXISTS (SELECT FROM crm_member.sale s WHERE s.member_id = k.member_id "
		"AND (s.settled_at, s.sold_at, s.source, s.ref) < (k.settled_at, k.sold_at, k.source, k.ref)) "
		"UNION ALL SELECT k.no FROM k JOIN crm_member.member_root a ON a.root = k.member_id "
		"WHERE EXISTS (SELECT FROM crm_member.sale s WHERE s.member_id = a.member_id "
		"AND (s.settled_at, s.sold_at, s.source, s.ref) < (k.settled_at, k.sold_at, k.source, k.ref))",
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
	VisitRows(history, &query, values, VisitLaterPurchase);
}

/* ---- what was given ---- */

static void
VisitGiven(History *history, const Datum *values, const bool *nulls)
{
	RecordedSale *recorded = SaleOfRow(history, values);
	char	   *points_type;
	Datum	   *codes;
	Datum	   *points;
	int			ncodes;
	int			npoints;

	if (recorded == NULL)
		return;
	points_type = TextDatumGetCString(values[2]);
	deconstruct_array(DatumGetArrayTypeP(values[3]), TEXTOID, -1, false, TYPALIGN_INT, &codes, NULL,
					  &ncodes);
	deconstruct_array(DatumGetArrayTypePCopy(values[4]), NUMERICOID, -1, false, TYPALIGN_INT,
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
	static KeyQuery by_key = {
		"SELECT e.member_id, e.sale_id, e.points_type, e.rules, e.rule_points "
		"FROM unnest($1, $2) AS k (member_id, sale_id) "
		"JOIN crm_member.points_entry e ON e.member_id = k.member_id AND e.sale_id = k.sale_id "
		"WHERE e.kind = 'earn'",
		2, {INT8ARRAYOID, INT8ARRAYOID}};
	static KeyQuery whole = {
		"SELECT e.member_id, e.sale_id, e.points_type, e.rules, e.rule_points "
		"FROM crm_member.points_entry e WHERE e.kind = 'earn' AND e.sale_id IS NOT NULL", 0};

	if (history->with_given)
		VisitSaleRows(history, "points_entry", &by_key, &whole, VisitGiven);
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
	ReadLines(history);
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
