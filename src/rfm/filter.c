/*
 * filter.c: what a condition may be about.
 */
#include "crm_member.h"
#include "condition/condition.h"

#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(crm_condition_concerns);
Datum
crm_condition_concerns(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"member", "sale", "line"};
	Condition  *condition = PG_GETARG_CONDITION(0);
	char	   *subject = text_to_cstring(PG_GETARG_TEXT_PP(1));

	for (int i = 0; i < SUBJECT_COUNT; i++)
	{
		if (strcmp(subject, names[i]) == 0)
			PG_RETURN_BOOL(UsesSubject(condition, (Subject) i));
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("\"%s\" is not a subject of conditions", subject),
					errhint("Subjects are member, sale and line.")));
}
