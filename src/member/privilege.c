/*
 * privilege.c: who may see personal data.
 */
#include "crm_member.h"
#include "catalog.h"

#include "miscadmin.h"
#include "utils/acl.h"

/* The role that runs the statement, also from inside a SECURITY DEFINER function. */
PG_FUNCTION_INFO_V1(crm_may_see_person);
Datum
crm_may_see_person(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(pg_class_aclcheck(CrmRelation("person"), GetOuterUserId(), ACL_SELECT) ==
				   ACLCHECK_OK);
}
