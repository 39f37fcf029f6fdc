/*
 * crm_member.c: module entry.
 */
#include "crm_member.h"

#include "catalog.h"
#include "table.h"

#include "mb/pg_wchar.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	CatalogInit();
	TableInit();
}

/* Refuse a database whose text the library could not read. */
PG_FUNCTION_INFO_V1(crm_check_encoding);
Datum
crm_check_encoding(PG_FUNCTION_ARGS)
{
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("crm_member needs a database with encoding UTF8"),
						errdetail("This database has encoding %s.", GetDatabaseEncodingName()),
						errhint("Create one with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE "
								"template0.")));
	PG_RETURN_VOID();
}
