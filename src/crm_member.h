/*
 * crm_member.h: what every room may use.
 *
 * SQL-callable functions are crm_<sql name>; internal ones are CamelCase and
 * static unless a header names them.
 */
#ifndef CRM_MEMBER_H
#define CRM_MEMBER_H

#include "compat.h"
#include "errors.h"
#include "fmgr.h"

#define CRM_SCHEMA "crm_member"

/* A sale without a member belongs to this member_id. */
#define CRM_GUEST INT64CONST(0)

/* new_id.c */
extern int64 NewId(void);

#endif
