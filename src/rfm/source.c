/*
 * source.c: run a query that yields purchases and collect them.
 *
 * The executor hands each row straight to the collector: no row is copied, and
 * the query may be as large as it likes.
 */
#include "crm_member.h"
#include "dictionary.h"
#include "job/progress.h"
#include "rfm/day.h"
#include "rfm/source.h"
#include "money/units.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#define PROGRESS_ROWS (1 << 17)

typedef struct Receiver
{
	DestReceiver pub;
	const PurchaseQuery *query;
	MemoryContext context;		/* of the result */
	MemoryContext row_context;
	Collector  *collector;
	Collector  *later;
	Dictionary *dictionary;		/* NULL where members are integers */
	DayCache	days;
	uint64		rows;
	int			money_scale;
	int			columns;
	int			minus_column;	/* -1: none */
	int			units_column;
	int			refunded_column;
	Oid			member_type;
	Oid			day_type;
	Oid			amount_type;
} Receiver;

static void
WrongColumns(TupleDesc columns)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("query must yield three columns: member, day, amount"),
					errdetail("It yields %d columns.", columns->natts)));
}

static void
WrongType(const char *column, Oid type, const char *allowed)
{
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("column %s of the query has type %s", column, format_type_be(type)),
					errdetail("It must be %s.", allowed)));
}

static void
StartReceiver(DestReceiver *self, int operation, TupleDesc columns)
{
	Receiver   *receiver = (Receiver *) self;
	Form_pg_attribute member;

	if (columns->natts != receiver->columns)
		WrongColumns(columns);
	member = TupleDescAttr(columns, 0);
	receiver->member_type = getBaseType(member->atttypid);
	receiver->day_type = getBaseType(TupleDescAttr(columns, 1)->atttypid);
	receiver->amount_type = getBaseType(TupleDescAttr(columns, 2)->atttypid);

	switch (receiver->member_type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			break;
		default:
			receiver->dictionary =
				CreateDictionary(receiver->member_type, member->attcollation, receiver->context);
	}
	switch (receiver->day_type)
	{
		case DATEOID:
		case TIMESTAMPOID:
			break;
		case TIMESTAMPTZOID:
			StartDays(&receiver->days, ProgramZone());
			break;
		default:
			WrongType("day", receiver->day_type,
					  "date, timestamp or timestamp with time zone");
	}
	switch (receiver->amount_type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			break;
		default:
			WrongType("amount", receiver->amount_type, "numeric or another type of number");
	}
}

static int64
MemberKey(Receiver *receiver, Datum value)
{
	switch (receiver->member_type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		case INT8OID:
			return DatumGetInt64(value);
		default:
			return DictionaryIndex(receiver->dictionary, value);
	}
}

static DateADT
PurchaseDay(Receiver *receiver, Datum value)
{
	DateADT		day;

	switch (receiver->day_type)
	{
		case DATEOID:
			day = DatumGetDateADT(value);
			break;
		case TIMESTAMPOID:
			day = DatumGetDateADT(DirectFunctionCall1(timestamp_date, value));
			break;
		default:
			return DayOf(&receiver->days, DatumGetTimestampTz(value));
	}
	if (DATE_NOT_FINITE(day))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("a purchase cannot have an infinite time")));
	return day;
}

void
AmountOutOfRange(int max_scale)
{
	ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					errmsg("amount of a purchase is out of range"),
					errdetail("An amount is a finite number with up to %d decimals that fits in "
							  "64 bits once the decimals are shifted out.",
							  max_scale)));
}

/* Amount in units of the scale so far; more decimals make it grow. */
static int64
PurchaseAmount(Receiver *receiver, Datum value)
{
	int64		units;

	switch (receiver->amount_type)
	{
		case INT2OID:
			value = Int64GetDatum(DatumGetInt16(value));
			break;
		case INT4OID:
			value = Int64GetDatum(DatumGetInt32(value));
			break;
		case INT8OID:
			break;
		case FLOAT4OID:
			value = DirectFunctionCall1(float4_numeric, value);
			break;
		case FLOAT8OID:
			value = DirectFunctionCall1(float8_numeric, value);
			break;
	}
	switch (receiver->amount_type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			units = DatumGetInt64(value);
			for (int i = 0; i < receiver->money_scale; i++)
			{
				if (pg_mul_s64_overflow(units, 10, &units))
					AmountOutOfRange(receiver->query->max_scale);
			}
			return units;
	}
	for (;;)
	{
		switch (NumericUnits(value, receiver->money_scale, &units))
		{
			case UNITS_EXACT:
				return units;
			case UNITS_CUT:
				if (receiver->money_scale >= receiver->query->max_scale)
					AmountOutOfRange(receiver->query->max_scale);
				ScaleCollected(receiver->collector, 10);
				receiver->money_scale++;
				break;
			default:
				AmountOutOfRange(receiver->query->max_scale);
		}
	}
}

static int64
PurchaseUnits(Datum value)
{
	int64		units;

	if (NumericUnits(value, UNIT_SCALE, &units) == UNITS_OVERFLOW)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("quantity of a purchase is out of range")));
	return units;
}

static bool
ReceivePurchase(TupleTableSlot *slot, DestReceiver *self)
{
	Receiver   *receiver = (Receiver *) self;
	const PurchaseQuery *query = receiver->query;
	MemoryContext old;
	DateADT		day;
	int64		member;
	int64		amount = 0;
	int64		frequency = query->refunds ? 0 : 1;
	bool		later = false;

	if (++receiver->rows % PROGRESS_ROWS == 0 && query->progress != NULL)
		ReportProgress(query->progress, "2/4 measuring purchases", receiver->rows, 0);
	slot_getallattrs(slot);
	if (slot->tts_isnull[0] || slot->tts_isnull[1])
		return true;

	old = MemoryContextSwitchTo(receiver->row_context);
	day = PurchaseDay(receiver, slot->tts_values[1]);
	if (day >= query->first_day)
	{
		member = RootOf(query->aliases, MemberKey(receiver, slot->tts_values[0]));
		if (day > query->as_of)
			later = !query->refunds;
		else if (query->refunds)
			later = DayOf(&receiver->days, DatumGetTimestampTz(
						slot->tts_values[receiver->refunded_column])) > query->as_of;
		if (later)
			CollectPurchase(receiver->later, member, day + POSTGRES_EPOCH_JDATE, 0, 0);
		else if (day <= query->as_of)
		{
			if (!slot->tts_isnull[2])
				amount = PurchaseAmount(receiver, slot->tts_values[2]);
			if (query->minus && !slot->tts_isnull[receiver->minus_column] &&
				pg_sub_s64_overflow(
					amount, PurchaseAmount(receiver, slot->tts_values[receiver->minus_column]),
					&amount))
				AmountOutOfRange(receiver->query->max_scale);
			if (query->units)
				frequency = slot->tts_isnull[receiver->units_column] ?
					0 : PurchaseUnits(slot->tts_values[receiver->units_column]);
			CollectPurchase(receiver->collector, member, day + POSTGRES_EPOCH_JDATE, frequency,
							amount);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->row_context);
	return true;
}

static void
ShutdownReceiver(DestReceiver *self)
{
}

static void
DestroyReceiver(DestReceiver *self)
{
}

static void
PrepareReceiver(Receiver *receiver, const PurchaseQuery *query, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	memset(receiver, 0, sizeof(*receiver));
	receiver->pub.receiveSlot = ReceivePurchase;
	receiver->pub.rStartup = StartReceiver;
	receiver->pub.rShutdown = ShutdownReceiver;
	receiver->pub.rDestroy = DestroyReceiver;
	receiver->pub.mydest = DestNone;
	receiver->query = query;
	receiver->context = context;
	receiver->row_context = AllocSetContextCreate(context, "purchase", ALLOCSET_SMALL_SIZES);
	receiver->collector = CreateCollector(query->days, query->expected);
	receiver->later = CreateCollector(false, 0);
	receiver->money_scale = query->money_scale;
	receiver->columns = 3;
	if (query->minus)
		receiver->minus_column = receiver->columns++;
	if (query->units)
		receiver->units_column = receiver->columns++;
	if (query->refunds)
		receiver->refunded_column = receiver->columns++;
	MemoryContextSwitchTo(old);
}

void
CollectPurchases(const PurchaseQuery *query, MemoryContext context, Purchases *purchases)
{
	static Oid	argument_types[] = {INT8ARRAYOID};
	Receiver	receiver;
	SPIExecuteOptions options = {0};
	SPIPlanPtr	plan;

	PrepareReceiver(&receiver, query, context);
	plan = SPI_prepare_cursor(query->sql, query->members != NULL ? 1 : 0, argument_types,
							  CURSOR_OPT_PARALLEL_OK);
	if (plan == NULL || !SPI_is_cursor_plan(plan))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("query must be one statement that yields rows"),
						errhint("Pass a SELECT of member, day and amount.")));
	if (query->members != NULL)
	{
		options.params = makeParamList(1);
		options.params->params[0].value = PointerGetDatum(query->members);
		options.params->params[0].isnull = false;
		options.params->params[0].ptype = INT8ARRAYOID;
		options.params->params[0].pflags = PARAM_FLAG_CONST;
	}
	if (query->progress != NULL)
		ReportProgress(query->progress, "2/4 measuring purchases", 0, 0);
	options.read_only = true;
	options.dest = (DestReceiver *) &receiver;
	if (SPI_execute_plan_extended(plan, &options) < 0)
		elog(ERROR, "SPI_execute_plan_extended failed");
	SPI_freeplan(plan);

	memset(purchases, 0, sizeof(*purchases));
	purchases->ntallies = FinishCollector(receiver.collector, &purchases->tallies);
	purchases->nlater = FinishCollector(receiver.later, &purchases->later);
	purchases->money_scale = receiver.money_scale;
	purchases->member_type = receiver.member_type;
	if (receiver.dictionary != NULL)
		DictionaryValues(receiver.dictionary, &purchases->members, &purchases->ranks);
	MemoryContextDelete(receiver.row_context);
}
