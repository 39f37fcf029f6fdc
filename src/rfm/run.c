/*
 * run.c: a run of an RFM model.
 */
#include "crm_member.h"
#include "argument.h"
#include "catalog.h"
#include "job/progress.h"
#include "query.h"
#include "rfm/change.h"
#include "rfm/day.h"
#include "rfm/model.h"
#include "rfm/snapshot.h"
#include "rfm/source.h"
#include "rfm/sort.h"
#include "rfm/store.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Beyond this share of the members it is cheaper to read all sales than to look each member up. */
#define FULL_SHARE 8

/* What the model's last run left. */
typedef struct LastRun
{
	bool		exists;
	DateADT		as_of;
	DateADT		first_day;
	int64		members;
	char	   *definition;
} LastRun;

static bool
TryLockModel(Datum *code)
{
	static CrmQuery query = {"SELECT FROM crm_member.rfm_state WHERE model_code = $1 "
							 "FOR UPDATE SKIP LOCKED",
							 1, {TEXTOID}};

	return RunQuery(&query, code, NULL, false, 0) == 1;
}

/* Hold the model until the end of the transaction, or refuse. */
static void
LockModel(const char *code)
{
	static CrmQuery find = {"SELECT FROM crm_member.rfm_state WHERE model_code = $1", 1, {TEXTOID}};
	static CrmQuery make = {"INSERT INTO crm_member.rfm_state (model_code) VALUES ($1) "
							"ON CONFLICT (model_code) DO NOTHING",
							1, {TEXTOID}};
	Datum		values[] = {CStringGetTextDatum(code)};

	if (TryLockModel(values))
		return;
	/* a first run makes the row, and waits for another first run that does */
	if (RunQuery(&find, values, NULL, false, 0) == 0)
	{
		RunQuery(&make, values, NULL, false, 0);
		if (TryLockModel(values))
			return;
	}
	ereport(ERROR, (errcode(ERRCODE_CRM_RUN_IN_PROGRESS),
					errmsg("a run of RFM model \"%s\" is in progress", code),
					errhint("Try again when it has ended; crm_member.job_progress shows how far "
							"it is.")));
}

static void
ReadLastRun(const char *code, LastRun *last)
{
	static CrmQuery query = {
		"SELECT r.as_of, coalesce(r.first_day, '-infinity'), c.definition, r.members "
		"FROM crm_member.rfm_state c JOIN crm_member.rfm_run r USING (run_id) "
		"WHERE c.model_code = $1",
		1, {TEXTOID}};
	Datum		values[] = {CStringGetTextDatum(code)};
	bool		isnull;

	last->exists = RunQuery(&query, values, NULL, true, 0) == 1;
	if (last->exists)
	{
		last->as_of = DatumGetDateADT(QueryColumn(0, 1, &isnull));
		last->first_day = DatumGetDateADT(QueryColumn(0, 2, &isnull));
		last->definition = TextDatumGetCString(QueryColumn(0, 3, &isnull));
		last->members = DatumGetInt64(QueryColumn(0, 4, &isnull));
	}
}

static int64
RecordRun(const Model *model, DateADT as_of, size_t members, uint64 changed, TimestampTz started)
{
	static CrmQuery query = {
		"WITH run AS (INSERT INTO crm_member.rfm_run (model_code, as_of, first_day, bins, "
		"frequency_of, cuts, members, changed, started_at, finished_at, actor) "
		"SELECT $1, $2, $3, $4, frequency_of, $5, $6, $7, $8, clock_timestamp(), session_user "
		"FROM crm_member.rfm_model WHERE model_code = $1 RETURNING run_id) "
		"UPDATE crm_member.rfm_state SET run_id = run.run_id, definition = $9 FROM run "
		"WHERE model_code = $1 RETURNING run.run_id",
		9, {TEXTOID, DATEOID, DATEOID, INT2OID, INT8ARRAYOID, INT8OID, INT8OID, TIMESTAMPTZOID,
			TEXTOID}};
	Datum		values[] = {CStringGetTextDatum(model->code),
							DateADTGetDatum(as_of),
							DateADTGetDatum(model->first_day),
							Int16GetDatum(model->banding.bins),
							PointerGetDatum(BandingToArray(&model->banding)),
							Int64GetDatum(members),
							Int64GetDatum(changed),
							TimestampTzGetDatum(started),
							CStringGetTextDatum(model->definition)};
	bool		isnull;

	if (RunQuery(&query, values, model->first_day == DATEVAL_NOBEGIN ? "  n      " : NULL, false,
				 0) != 1)
		elog(ERROR, "RFM model \"%s\" is gone", model->code);
	return DatumGetInt64(QueryColumn(0, 1, &isnull));
}

/*
 * The members to measure anew: those whose purchases changed, and those with
 * purchases that have left the window.  False when that is everyone.
 */
static bool
ChangedMembers(const Model *model, DateADT as_of, const LastRun *last, const Changes *changes,
			   const StoredTally *stored, size_t nstored, const Aliases *aliases,
			   int64 **members, size_t *nmembers)
{
	int64	   *changed;
	size_t		n = 0;
	int32		first_day = model->first_day + POSTGRES_EPOCH_JDATE;

	/* rfm_member is ours, but nobody can be kept from emptying it */
	if (!last->exists || last->members != (int64) nstored || changes->any ||
		as_of < last->as_of || model->first_day < last->first_day ||
		strcmp(model->definition, last->definition) != 0)
		return false;

	changed = MemoryContextAllocExtended(CurrentMemoryContext,
										 (changes->nmembers + nstored + 1) * sizeof(int64),
										 MCXT_ALLOC_HUGE);
	for (size_t i = 0; i < changes->nmembers; i++)
		changed[n++] = changes->members[i];
	if (model->first_day != DATEVAL_NOBEGIN)
	{
		for (size_t i = 0; i < nstored; i++)
		{
			if (stored[i].tally.first_day < first_day)
				changed[n++] = stored[i].tally.member;
		}
	}
	*nmembers = FamilyOf(aliases, changed, n, members);
	pfree(changed);
	return *nmembers <= nstored / FULL_SHARE + 1000;
}

/*
 * What is stored, without the members measured anew (ascending), together with
 * their tallies (ascending): ascending.
 */
static size_t
MergeTallies(const StoredTally *stored, size_t nstored, const int64 *members, size_t nmembers,
			 const Tally *fresh, size_t nfresh, Tally **merged)
{
	size_t		n = 0;
	size_t		f = 0;
	size_t		m = 0;

	*merged = MemoryContextAllocExtended(CurrentMemoryContext,
										 Max(nstored + nfresh, 1) * sizeof(Tally), MCXT_ALLOC_HUGE);
	for (size_t s = 0; s < nstored; s++)
	{
		int64		member = stored[s].tally.member;

		while (f < nfresh && fresh[f].member <= member)
			(*merged)[n++] = fresh[f++];
		while (m < nmembers && members[m] < member)
			m++;
		if (m == nmembers || members[m] != member)
			(*merged)[n++] = stored[s].tally;
	}
	while (f < nfresh)
		(*merged)[n++] = fresh[f++];
	return n;
}

/* About how many members there are, so that room for them is made at once. */
static int64
ExpectedMembers(size_t nstored)
{
	Relation	member = table_open(CrmRelation("member"), AccessShareLock);
	int64		known = (int64) member->rd_rel->reltuples;	/* -1: nobody has counted */

	table_close(member, NoLock);
	return Max(known, (int64) nstored);
}

/* Tallies and refunds ascend by member; a refund takes from money and units, never a purchase. */
static void
SubtractRefunds(Tally *tallies, size_t n, const Tally *refunds, size_t nrefunds)
{
	size_t		i = 0;

	for (size_t r = 0; r < nrefunds; r++)
	{
		while (i < n && tallies[i].member < refunds[r].member)
			i++;
		if (i == n || tallies[i].member != refunds[r].member)
			continue;
		if (pg_sub_s64_overflow(tallies[i].monetary, refunds[r].monetary, &tallies[i].monetary) ||
			pg_sub_s64_overflow(tallies[i].frequency, refunds[r].frequency, &tallies[i].frequency))
			ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
							errmsg("sum of refunds of a member is out of range")));
	}
}

static void
PutLater(const Model *model, const Purchases *purchases)
{
	int64	   *members = MemoryContextAllocExtended(
		CurrentMemoryContext, Max(purchases->nlater, 1) * sizeof(int64), MCXT_ALLOC_HUGE);

	for (size_t i = 0; i < purchases->nlater; i++)
		members[i] = purchases->later[i].member;
	PutChanges(model->code, members, purchases->nlater);
}

/* The tallies of a query less refunds, ascending by member; later ones are left to the next run. */
static void
CollectNet(const Model *model, const PurchaseQuery *query, Purchases *purchases)
{
	PurchaseQuery refund_query;
	Purchases	refunds;

	if (query->members == NULL && query->sale_column != NULL && CanScanSales(query->scope))
		CollectSales(query, purchases);
	else
		CollectPurchases(query, CurrentMemoryContext, purchases);
	SortTallies(purchases->tallies, purchases->ntallies);

	RefundQuery(model, query, &refund_query);
	CollectPurchases(&refund_query, CurrentMemoryContext, &refunds);
	SortTallies(refunds.tallies, refunds.ntallies);
	SubtractRefunds(purchases->tallies, purchases->ntallies, refunds.tallies, refunds.ntallies);
	PutLater(model, purchases);
	PutLater(model, &refunds);
}

/* Measure, cut and store under one snapshot; what changed after it is for the next run. */
static void
ScoreModel(Model *model, DateADT as_of, TimestampTz started)
{
	LastRun		last;
	Changes		changes;
	StoredTally *stored;
	size_t		nstored;
	Aliases    *aliases;
	PurchaseQuery query;
	Purchases	purchases;
	Tally	   *tallies;
	size_t		ntallies;
	int64	   *members;
	size_t		nmembers;
	uint64		changed;
	int64		run_id;

	ReportProgress(model->progress, "1/4 reading the last run", 0, 0);
	ReadLastRun(model->code, &last);
	aliases = ReadAliases(CurrentMemoryContext);
	nstored = LoadTallies(model->code, &stored);
	TakeChanges(model->code, &changes);

	ModelQuery(model, as_of, &query);
	query.aliases = aliases;
	query.progress = model->progress;
	if (ChangedMembers(model, as_of, &last, &changes, stored, nstored, aliases, &members,
					   &nmembers))
	{
		query.sql = model->source_of;
		query.members = DatumGetArrayTypeP(IdArray(members, nmembers));
		CollectNet(model, &query, &purchases);
		ntallies = MergeTallies(stored, nstored, members, nmembers, purchases.tallies,
								purchases.ntallies, &tallies);
	}
	else
	{
		query.expected = ExpectedMembers(nstored);
		CollectNet(model, &query, &purchases);
		tallies = purchases.tallies;
		ntallies = purchases.ntallies;
	}

	ReportProgress(model->progress, "3/4 cutting", 0, ntallies);
	FindCuts(&model->banding, tallies, ntallies, NULL);
	ReportProgress(model->progress, "4/4 storing", 0, ntallies);
	changed = StoreTallies(model->code, stored, nstored, tallies, ntallies);

	run_id = RecordRun(model, as_of, ntallies, changed, started);
	WriteScores(run_id, &model->banding, tallies, ntallies);
}

PG_FUNCTION_INFO_V1(crm_run_rfm);
Datum
crm_run_rfm(PG_FUNCTION_ARGS)
{
	MemoryContext work =
		AllocSetContextCreate(CurrentMemoryContext, "rfm", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	TimestampTz started = GetCurrentTimestamp();
	DateADT		as_of;
	Model		model;

	as_of = PG_ARGISNULL(0) ? Today() : PG_GETARG_DATEADT(0);
	if (DATE_NOT_FINITE(as_of))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("as_of must be a finite date")));

	SPI_connect();
	old = MemoryContextSwitchTo(work);
	/* the snapshot of CALL may be older than what its procedure has done to the model */
	PushActiveSnapshot(GetTransactionSnapshot());
	ReadModel(PG_ARGISNULL(1) ? "default" : TextArgument(fcinfo, 1), as_of, &model);
	PopActiveSnapshot();
	LockModel(model.code);
	LockChanges();
	PushActiveSnapshot(GetTransactionSnapshot());
	ReadModel(model.code, as_of, &model);
	ScoreModel(&model, as_of, started);
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	SPI_finish();
	MemoryContextDelete(work);
	PG_RETURN_VOID();
}
