/*
 * condition.c: the SQL type condition.
 */
#include "crm_member.h"
#include "condition/attribute.h"
#include "condition/condition_datum.h"

#include "common/hashfn.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(crm_condition_in);
Datum
crm_condition_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(ParseCondition(PG_GETARG_CSTRING(0)));
}

PG_FUNCTION_INFO_V1(crm_condition_out);
Datum
crm_condition_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(PrintCondition(PG_GETARG_CONDITION(0)));
}

/* On the wire a condition is its text: the datum is nobody's to trust. */
PG_FUNCTION_INFO_V1(crm_condition_recv);
Datum
crm_condition_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	int			length;

	PG_RETURN_POINTER(ParseCondition(pq_getmsgtext(message, message->len - message->cursor,
												   &length)));
}

PG_FUNCTION_INFO_V1(crm_condition_send);
Datum
crm_condition_send(PG_FUNCTION_ARGS)
{
	char	   *text = PrintCondition(PG_GETARG_CONDITION(0));
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendtext(&message, text, strlen(text));
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

/* ---- operator classes: equal conditions are equal bytes ---- */

static int
CompareConditions(FunctionCallInfo fcinfo)
{
	Condition  *a = PG_GETARG_CONDITION(0);
	Condition  *b = PG_GETARG_CONDITION(1);
	Size		size_a = VARSIZE(a) - VARHDRSZ;
	Size		size_b = VARSIZE(b) - VARHDRSZ;
	int			cmp = memcmp(VARDATA(a), VARDATA(b), Min(size_a, size_b));

	if (cmp == 0)
		cmp = (size_a > size_b) - (size_a < size_b);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return cmp < 0 ? -1 : cmp > 0;
}

PG_FUNCTION_INFO_V1(crm_condition_cmp);
Datum
crm_condition_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(CompareConditions(fcinfo));
}

PG_FUNCTION_INFO_V1(crm_condition_lt);
Datum
crm_condition_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(CompareConditions(fcinfo) < 0);
}

PG_FUNCTION_INFO_V1(crm_condition_le);
Datum
crm_condition_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(CompareConditions(fcinfo) <= 0);
}

PG_FUNCTION_INFO_V1(crm_condition_eq);
Datum
crm_condition_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(CompareConditions(fcinfo) == 0);
}

PG_FUNCTION_INFO_V1(crm_condition_ne);
Datum
crm_condition_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(CompareConditions(fcinfo) != 0);
}

PG_FUNCTION_INFO_V1(crm_condition_ge);
Datum
crm_condition_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(CompareConditions(fcinfo) >= 0);
}

PG_FUNCTION_INFO_V1(crm_condition_gt);
Datum
crm_condition_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(CompareConditions(fcinfo) > 0);
}

PG_FUNCTION_INFO_V1(crm_condition_hash);
Datum
crm_condition_hash(PG_FUNCTION_ARGS)
{
	Condition  *condition = PG_GETARG_CONDITION(0);
	Datum		hash = hash_any((unsigned char *) VARDATA(condition),
								VARSIZE(condition) - VARHDRSZ);

	PG_FREE_IF_COPY(condition, 0);
	return hash;
}

PG_FUNCTION_INFO_V1(crm_condition_hash_extended);
Datum
crm_condition_hash_extended(PG_FUNCTION_ARGS)
{
	Condition  *condition = PG_GETARG_CONDITION(0);
	Datum		hash = hash_any_extended((unsigned char *) VARDATA(condition),
										 VARSIZE(condition) - VARHDRSZ, PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(condition, 0);
	return hash;
}

/* ---- what is there, and what it means in SQL ---- */

PG_FUNCTION_INFO_V1(crm_condition_attributes);
Datum
crm_condition_attributes(PG_FUNCTION_ARGS)
{
	static const char *const open[][3] = {
		{"member.attr('...')", "number, text or boolean", "Key of member.attrs"},
		{"member.tag('...')", "boolean", "The member has this tag"},
		{"sale.attr('...')", "number, text or boolean", "Key of the sale's attrs"},
		{"line.attr('...')", "number, text or boolean", "Key of the line's attrs"},
	};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < ATTRIBUTE_COUNT; i++)
	{
		values[0] = CStringGetTextDatum(attribute_table[i].name);
		values[1] = CStringGetTextDatum(FactTypeName(attribute_table[i].type));
		values[2] = CStringGetTextDatum(attribute_table[i].description);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	for (int i = 0; i < lengthof(open); i++)
	{
		for (int column = 0; column < 3; column++)
			values[column] = CStringGetTextDatum(open[i][column]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(crm_condition_sql);
Datum
crm_condition_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(ConditionToSql(PG_GETARG_CONDITION(0))));
}
