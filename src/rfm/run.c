/*
 * run.c: a run of an RFM model.
 */
#include "crm_member.h"
#include "query.h"
#include "rfm/day.h"
#include "rfm/model.h"
#include "rfm/source.h"
#include "rfm/store.h"
#include "setting.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define ST_SORT SortTallies
#define ST_ELEMENT_TYPE Tally
#define ST_COMPARE(a, b) ((a)->member < (b)->member ? -1 : (a)->member > (b)->member)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

/* Hold the model until the end of the transaction, or refuse. */
static void
LockModel(const char *code)
{
	static CrmQuery make = {"INSERT INTO crm_member.rfm_state (model_code) VALUES ($1) "
							"ON CONFLICT (model_code) DO NOTHING",
							1, {TEXTOID}};
	static CrmQuery lock = {"SELECT FROM crm_member.rfm_state WHERE model_code = $1 "
							"FOR UPDATE SKIP LOCKED",
							1, {TEXTOID}};
	Datum		values[] = {CStringGetTextDatum(code)};

	RunQuery(&make, values, NULL, false, 0);
	if (RunQuery(&lock, values, NULL, false, 0) != 1)
		ereport(ERROR, (errcode(ERRCODE_CRM_RUN_IN_PROGRESS),
						errmsg("a run of RFM model \"%s\" is in progress", code),
						errhint("Try again when it has ended.")));
}

static void
RecordRun(const Model *model, DateADT as_of, size_t members, uint64 changed, TimestampTz started)
{
	static CrmQuery query = {
		"WITH run AS (INSERT INTO crm_member.rfm_run (model_code, as_of, first_day, bins, cuts, "
		"members, changed, started_at, finished_at, actor) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp(), session_user) RETURNING run_id) "
		"UPDATE crm_member.rfm_state SET run_id = run.run_id FROM run WHERE model_code = $1",
		8, {TEXTOID, DATEOID, DATEOID, INT2OID, INT8ARRAYOID, INT8OID, INT8OID, TIMESTAMPTZOID}};
	Datum		values[] = {CStringGetTextDatum(model->code),
							DateADTGetDatum(as_of),
							DateADTGetDatum(model->first_day),
							Int16GetDatum(model->banding.bins),
							PointerGetDatum(BandingToArray(&model->banding)),
							Int64GetDatum(members),
							Int64GetDatum(changed),
							TimestampTzGetDatum(started)};

	RunQuery(&query, values, model->first_day == DATEVAL_NOBEGIN ? "  n     " : NULL, false, 0);
}

PG_FUNCTION_INFO_V1(crm_run_rfm);
Datum
crm_run_rfm(PG_FUNCTION_ARGS)
{
	MemoryContext work =
		AllocSetContextCreate(CurrentMemoryContext, "rfm", ALLOCSET_DEFAULT_SIZES);
	TimestampTz started = GetCurrentTimestamp();
	DateADT		as_of;
	const char *code;
	Model		model;
	Purchases	purchases;
	uint64		changed;

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("model must not be null")));
	code = text_to_cstring(PG_GETARG_TEXT_PP(1));
	as_of = PG_ARGISNULL(0) ? Today() : PG_GETARG_DATEADT(0);
	if (DATE_NOT_FINITE(as_of))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("as_of must be a finite date")));

	SPI_connect();
	ReadModel(code, as_of, &model);
	LockModel(code);

	PushActiveSnapshot(GetTransactionSnapshot());
	CollectQuery("SELECT member_id, sold_at, payable - shipping FROM crm_member.sale "
				 "WHERE settled_at IS NOT NULL AND member_id > 0",
				 model.first_day == DATEVAL_NOBEGIN ? DATEVAL_NOBEGIN + 1 : model.first_day, as_of,
				 GetSetting()->money_scale, work, &purchases);
	SortTallies(purchases.tallies, purchases.ntallies);
	FindCuts(&model.banding, purchases.tallies, purchases.ntallies, NULL);
	changed = StoreTallies(code, purchases.tallies, purchases.ntallies);
	PopActiveSnapshot();
	RecordRun(&model, as_of, purchases.ntallies, changed, started);
	SPI_finish();
	MemoryContextDelete(work);
	PG_RETURN_VOID();
}
