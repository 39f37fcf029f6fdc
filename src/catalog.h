/*
 * catalog.h: the extension's own schema and tables, found by OID.
 */
#ifndef CRM_CATALOG_H
#define CRM_CATALOG_H

#include "postgres.h"

extern void CatalogInit(void);

/* OID of a table of ours; an error with the hint to run setup() where there is none. */
extern Oid CrmRelation(const char *name);

extern Oid RelationOwner(Oid relid);

/* About how many rows it has now; -1: it is no table of this server. */
extern double RelationRows(Oid relid);

/*
 * A cache that must be rebuilt when one of some tables changes names them here
 * and looks at *valid, which any change turns to false.  At most 8 tables.
 */
extern void WatchRelations(bool *valid, const char *const *names, int nnames);
#endif
