/*
 * query.c: SQL from C, with plans kept for the life of the session.
 */
#include "crm_member.h"
#include "catalog.h"
#include "query.h"

#include "utils/builtins.h"
#include "utils/snapmgr.h"

static void
PrepareQuery(CrmQuery *query)
{
	SPIPlanPtr	plan;

	if (query->plan != NULL)
		return;
	plan = SPI_prepare(query->sql, query->nargs, query->argtypes);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s", SPI_result_code_string(SPI_result), query->sql);
	SPI_keepplan(plan);
	query->plan = plan;
}

uint64
RunQuery(CrmQuery *query, Datum *values, const char *nulls, bool read_only, long limit)
{
	int			rc;

	PrepareQuery(query);
	rc = SPI_execute_plan(query->plan, values, nulls, read_only, limit);
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan failed: %s: %s", SPI_result_code_string(rc), query->sql);
	return SPI_processed;
}

Portal
OpenQuery(CrmQuery *query)
{
	PrepareQuery(query);
	return SPI_cursor_open(NULL, query->plan, NULL, NULL, false);
}

void
BeginConfiguration(const char *relation)
{
	PushActiveSnapshot(GetCatalogSnapshot(CrmRelation(relation)));
	SPI_connect();
}

void
EndConfiguration(void)
{
	SPI_finish();
	PopActiveSnapshot();
}

Datum
TextOrNull(const char *text, char *null)
{
	*null = text == NULL ? 'n' : ' ';
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

Datum
QueryColumn(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}
