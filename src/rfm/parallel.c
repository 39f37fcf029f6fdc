/*
 * parallel.c: collect the purchases of the sale table by an aggregate, so that
 * PostgreSQL spreads the scan over its workers.
 *
 * Each process collects what it scans; workers hand their tallies over as one
 * bytea, which the leader adds to its own.  The end of it is not a value: a run
 * that asked for it finds it in the place it made ready.
 */
#include "crm_member.h"
#include "job/progress.h"
#include "rfm/day.h"
#include "rfm/source.h"
#include "money/units.h"

#include "common/int.h"
#include "executor/spi.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

enum
{
	ARG_STATE,
	ARG_MEMBER,
	ARG_AT,
	ARG_AMOUNT,
	ARG_MINUS,
	ARG_FIRST_DAY,
	ARG_AS_OF,
	ARG_SCALE
};

typedef struct State
{
	Collector  *collector;
	Collector  *later;
	DayCache	days;
} State;

/* What a worker hands over: the tallies, then those of later purchases. */
typedef struct Saved
{
	char		vl_len_[4];
	int32		unused;
	int64		ntallies;
	int64		nlater;
	Tally		tallies[FLEXIBLE_ARRAY_MEMBER];
} Saved;

/* Where the run in this session wants the end of it. */
static Purchases *wanted = NULL;
static MemoryContext wanted_context = NULL;

static State *
GetState(FunctionCallInfo fcinfo)
{
	MemoryContext context;
	MemoryContext old;
	State	   *state;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "collect_purchases() called outside an aggregate");
	if (!PG_ARGISNULL(ARG_STATE))
		return (State *) PG_GETARG_POINTER(ARG_STATE);
	old = MemoryContextSwitchTo(context);
	state = palloc(sizeof(State));
	state->collector = CreateCollector(false);
	state->later = CreateCollector(false);
	StartDays(&state->days, ProgramZone());
	MemoryContextSwitchTo(old);
	return state;
}

static int64
AmountUnits(FunctionCallInfo fcinfo, int argument)
{
	int64		units;

	if (PG_ARGISNULL(argument))
		return 0;
	if (NumericUnits(PG_GETARG_DATUM(argument), PG_GETARG_INT32(ARG_SCALE), &units) != UNITS_EXACT)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("amount of a purchase is out of range"),
						errdetail("An amount of money has up to %d decimals here.",
								  PG_GETARG_INT32(ARG_SCALE))));
	return units;
}

PG_FUNCTION_INFO_V1(crm_collect_add);
Datum
crm_collect_add(PG_FUNCTION_ARGS)
{
	State	   *state = GetState(fcinfo);
	DateADT		day;
	int64		amount;

	if (PG_ARGISNULL(ARG_MEMBER) || PG_ARGISNULL(ARG_AT))
		PG_RETURN_POINTER(state);
	day = DayOf(&state->days, PG_GETARG_TIMESTAMPTZ(ARG_AT));
	if (day < PG_GETARG_DATEADT(ARG_FIRST_DAY))
		PG_RETURN_POINTER(state);
	if (day > PG_GETARG_DATEADT(ARG_AS_OF))
	{
		CollectPurchase(state->later, PG_GETARG_INT64(ARG_MEMBER), day + POSTGRES_EPOCH_JDATE, 0,
						0);
		PG_RETURN_POINTER(state);
	}
	if (pg_sub_s64_overflow(AmountUnits(fcinfo, ARG_AMOUNT), AmountUnits(fcinfo, ARG_MINUS),
							&amount))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("amount of a purchase is out of range")));
	CollectPurchase(state->collector, PG_GETARG_INT64(ARG_MEMBER), day + POSTGRES_EPOCH_JDATE, 1,
					amount);
	PG_RETURN_POINTER(state);
}

/* The second state is what crm_collect_load made of a worker's bytea. */
PG_FUNCTION_INFO_V1(crm_collect_combine);
Datum
crm_collect_combine(PG_FUNCTION_ARGS)
{
	State	   *state = GetState(fcinfo);
	const Saved *saved;

	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(state);
	saved = (const Saved *) PG_GETARG_POINTER(1);
	CollectTallies(state->collector, saved->tallies, saved->ntallies);
	CollectTallies(state->later, saved->tallies + saved->ntallies, saved->nlater);
	PG_RETURN_POINTER(state);
}

PG_FUNCTION_INFO_V1(crm_collect_save);
Datum
crm_collect_save(PG_FUNCTION_ARGS)
{
	State	   *state = (State *) PG_GETARG_POINTER(0);
	Tally	   *tallies;
	Tally	   *later;
	size_t		ntallies;
	size_t		nlater;
	Size		size;
	Saved	   *saved;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "collect_save() called outside an aggregate");
	ntallies = FinishCollector(state->collector, &tallies);
	nlater = FinishCollector(state->later, &later);
	size = offsetof(Saved, tallies) + (ntallies + nlater) * sizeof(Tally);
	if (!AllocSizeIsValid(size))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("too many members for a parallel scan of the sales"),
						errhint("SET max_parallel_workers_per_gather = 0 for this run.")));
	saved = palloc(size);
	SET_VARSIZE(saved, size);
	saved->unused = 0;
	saved->ntallies = ntallies;
	saved->nlater = nlater;
	memcpy(saved->tallies, tallies, ntallies * sizeof(Tally));
	memcpy(saved->tallies + ntallies, later, nlater * sizeof(Tally));
	PG_RETURN_BYTEA_P(saved);
}

PG_FUNCTION_INFO_V1(crm_collect_load);
Datum
crm_collect_load(PG_FUNCTION_ARGS)
{
	Saved	   *saved = (Saved *) PG_DETOAST_DATUM(PG_GETARG_DATUM(0));
	Size		size = VARSIZE(saved);

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "collect_load() called outside an aggregate");
	if (size < offsetof(Saved, tallies) ||
		size != offsetof(Saved, tallies) + (saved->ntallies + saved->nlater) * sizeof(Tally))
		elog(ERROR, "tallies of a worker are damaged");
	PG_RETURN_POINTER(saved);
}

PG_FUNCTION_INFO_V1(crm_collect_end);
Datum
crm_collect_end(PG_FUNCTION_ARGS)
{
	State	   *state;
	Tally	   *tallies;
	size_t		n;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "collect_end() called outside an aggregate");
	if (PG_ARGISNULL(0))
		PG_RETURN_INT64(0);
	state = (State *) PG_GETARG_POINTER(0);
	n = FinishCollector(state->collector, &tallies);
	if (wanted != NULL)
	{
		wanted->ntallies = n;
		wanted->tallies = MemoryContextAllocExtended(wanted_context, Max(n, 1) * sizeof(Tally),
													 MCXT_ALLOC_HUGE);
		memcpy(wanted->tallies, tallies, n * sizeof(Tally));
		wanted->nlater = FinishCollector(state->later, &tallies);
		wanted->later = MemoryContextAllocExtended(
			wanted_context, Max(wanted->nlater, 1) * sizeof(Tally), MCXT_ALLOC_HUGE);
		memcpy(wanted->later, tallies, wanted->nlater * sizeof(Tally));
	}
	PG_RETURN_INT64(n);
}

void
CollectInParallel(const PurchaseQuery *query, MemoryContext context, Purchases *purchases)
{
	char	   *sql = psprintf("SELECT crm_member.collect_purchases(p.member_id, p.sold_at, "
							   "p.amount, %s, $1, $2, $3) FROM (%s) p (member_id, sold_at, amount%s)",
							   query->minus ? "p.minus" : "NULL", query->sql,
							   query->minus ? ", minus" : "");
	Oid			types[] = {DATEOID, DATEOID, INT4OID};
	Datum		values[] = {DateADTGetDatum(query->first_day), DateADTGetDatum(query->as_of),
							Int32GetDatum(query->money_scale)};
	SPIPlanPtr	plan = SPI_prepare_cursor(sql, lengthof(types), types, CURSOR_OPT_PARALLEL_OK);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
	memset(purchases, 0, sizeof(*purchases));
	purchases->money_scale = query->money_scale;
	purchases->member_type = INT8OID;
	ReportProgress(query->progress, "2/4 measuring purchases", 0, 0);
	wanted = purchases;
	wanted_context = context;
	PG_TRY();
	{
		if (SPI_execute_plan(plan, values, NULL, true, 0) != SPI_OK_SELECT)
			elog(ERROR, "SPI_execute_plan failed");
	}
	PG_FINALLY();
	{
		wanted = NULL;
	}
	PG_END_TRY();
	SPI_freeplan(plan);
}
