/*
 * argument.h: arguments of the functions that move points and stored value.
 */
#ifndef CRM_ARGUMENT_H
#define CRM_ARGUMENT_H

#include "fmgr.h"
#include "points/points.h"

/* statuses of members that may ... */
extern const char *const active_members[];	/* spend */
extern const char *const living_members[];	/* be given points */
extern const char *const all_members[];

extern char *TextArgument(FunctionCallInfo fcinfo, int n);
extern TimestampTz MomentArgument(FunctionCallInfo fcinfo, int n, TimestampTz otherwise);
/* 22004 where it is null */
extern void RequireArgument(FunctionCallInfo fcinfo, int n, const char *name);
/* ... nor empty */
extern void RequireText(FunctionCallInfo fcinfo, int n, const char *name);
/* Positive, and not absurd. */
extern int64 PointsArgument(FunctionCallInfo fcinfo, int n, const PointsType *type);
/* When it happened: a moment, now by default. */
extern TimestampTz ActMoment(FunctionCallInfo fcinfo, int n);

#endif
