/*
 * refusal.c: a refusal as a value, so that one row of an import may fail alone.
 */
#include "crm_member.h"
#include "member/member.h"

/* The first reason stands. */
void
Refuse(Refusal *why, int sqlstate, char *message, char *detail, char *hint)
{
	if (why->sqlstate != 0)
		return;
	why->sqlstate = sqlstate;
	why->message = message;
	why->detail = detail;
	why->hint = hint;
}

void
RaiseRefusal(const Refusal *why)
{
	Assert(why->sqlstate != 0);
	ereport(ERROR, (errcode(why->sqlstate), errmsg_internal("%s", why->message),
					why->detail ? errdetail_internal("%s", why->detail) : 0,
					why->hint ? errhint("%s", why->hint) : 0));
	pg_unreachable();
}
