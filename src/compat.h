/*
 * compat.h: the only file that knows which PostgreSQL it is built against.
 */
#ifndef CRM_COMPAT_H
#define CRM_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "crm_member needs PostgreSQL 15 to 18"
#endif

/* varatt.h took over the varlena macros in 16. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#endif
