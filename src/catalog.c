/*
 * catalog.c: the extension's own schema and tables, found by OID.
 *
 * Tables are ordinary objects made by setup(), so they may be absent, dropped
 * and made again.  OIDs are looked up in the schema by name, which the system
 * caches make cheap; nothing here is kept beyond what invalidation covers.
 *
 * Change of configuration reaches every session like this: a statement trigger
 * on the table (touch_configuration) sends a relcache invalidation for it; the
 * callback below, which may not read anything, only clears the flags of the
 * caches that watch that table; they reload at their next use.
 */
#include "crm_member.h"
#include "catalog.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#define MAX_WATCHES 64

typedef struct Watch
{
	bool	   *valid;
	Oid			relid;
} Watch;

static Watch watches[MAX_WATCHES];
static int	nwatches = 0;

static void
OnRelcacheChange(Datum arg, Oid relid)
{
	for (int i = 0; i < nwatches; i++)
	{
		if (relid == InvalidOid || watches[i].relid == relid)
			*watches[i].valid = false;
	}
}

void
CatalogInit(void)
{
	CacheRegisterRelcacheCallback(OnRelcacheChange, (Datum) 0);
}

Oid
CrmRelation(const char *name)
{
	Oid			schema = get_namespace_oid(CRM_SCHEMA, true);
	Oid			relid = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;

	if (!OidIsValid(relid))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("crm_member is not set up in this database"),
						errdetail("Table crm_member.%s does not exist.", name),
						errhint("Run CALL crm_member.setup();")));
	return relid;
}

PG_FUNCTION_INFO_V1(crm_require_setup);
Datum
crm_require_setup(PG_FUNCTION_ARGS)
{
	CrmRelation("setting");
	PG_RETURN_VOID();
}

Oid
RelationOwner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

double
RelationRows(Oid relid)
{
	Relation	relation = relation_open(relid, AccessShareLock);
	BlockNumber pages;
	double		rows = -1;
	double		all_visible;

	if (relation->rd_tableam != NULL)
		table_relation_estimate_size(relation, NULL, &pages, &rows, &all_visible);
	relation_close(relation, AccessShareLock);
	return rows;
}

void
WatchRelations(bool *valid, const char *const *names, int nnames)
{
	int			slot = 0;

	for (int i = 0; i < nnames; i++)
	{
		Oid			relid = CrmRelation(names[i]);

		while (slot < nwatches && watches[slot].valid != valid)
			slot++;
		if (slot == MAX_WATCHES)
			elog(ERROR, "too many watched relations");
		watches[slot].valid = valid;
		watches[slot].relid = relid;
		slot++;
		if (slot > nwatches)
			nwatches = slot;
	}
}

/* Trigger on a configuration table: tell every session's cache. */
PG_FUNCTION_INFO_V1(crm_touch_configuration);
Datum
crm_touch_configuration(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("touch_configuration() is a trigger function")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	return PointerGetDatum(NULL);
}
