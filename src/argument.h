/*
 * argument.h: arguments of SQL functions, required and optional.
 */
#ifndef CRM_ARGUMENT_H
#define CRM_ARGUMENT_H

#include "fmgr.h"
#include "utils/timestamp.h"

/* 22004 where it is null */
extern void RequireArgument(FunctionCallInfo fcinfo, int n, const char *name);
extern char *RequiredText(FunctionCallInfo fcinfo, int n, const char *name);
/* ... and 22023 where it is empty */
extern char *FilledText(FunctionCallInfo fcinfo, int n, const char *name);

/* NULL where it is null */
extern char *TextArgument(FunctionCallInfo fcinfo, int n);
extern TimestampTz MomentArgument(FunctionCallInfo fcinfo, int n, TimestampTz otherwise);

#endif
