/*
 * erase.c: a person's own words leave the journals.
 *
 * Journals refuse to be changed; what erase_member() takes out of their texts is
 * the one exception, and only C can make it: amounts, numbers and references
 * stay as they are.
 */
#include "crm_member.h"
#include "argument.h"
#include "points/points.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

/* Rows about the members $1. */
static const char *
About(const char *table)
{
	if (strcmp(table, "card_event") == 0)
		return "t.card_no IN (SELECT c.card_no FROM crm_member.card AS c WHERE c.member_id = ANY ($1))";
	if (strcmp(table, "member_merge") == 0)
		return "(t.survivor = ANY ($1) OR t.others && $1)";
	if (strcmp(table, "match_verdict") == 0)
		return "t.model_code = 'member' AND (t.left_key = ANY ($1::text[]) OR t.right_key = ANY ($1::text[]))";
	return "t.member_id = ANY ($1)";
}

/*
 * redact(table, column, how, members, pattern) returns bigint: clear empties a
 * jsonb object; text and json replace what a pattern finds, ref the whole of it,
 * so that it still is the only one.  members NULL: any row.
 */
PG_FUNCTION_INFO_V1(crm_redact);
Datum
crm_redact(PG_FUNCTION_ARGS)
{
	const char *table = quote_identifier(RequiredText(fcinfo, 0, "table"));
	const char *column = quote_identifier(RequiredText(fcinfo, 1, "column"));
	char	   *how = RequiredText(fcinfo, 2, "how");
	Oid			types[2] = {INT8ARRAYOID, TEXTOID};
	Datum		values[2];
	char		nulls[2];
	char	   *change;
	char	   *concerned;
	int64		rows = 0;

	if (strcmp(how, "clear") == 0)
	{
		change = "'{}'";
		concerned = psprintf("t.%s <> '{}'", column);
	}
	else
	{
		change = psprintf(strcmp(how, "json") == 0 ? "crm_member.redacted(t.%s, $2)"
						  : strcmp(how, "ref") == 0
						  ? "'erased:' || md5((SELECT encode(s.salt, 'hex') FROM crm_member.erasure_salt AS s) || t.%s)"
						  : "regexp_replace(t.%s, $2, '(erased)', 'gi')", column);
		concerned = psprintf("t.%s::text ~* $2", column);
	}
	values[0] = PG_ARGISNULL(3) ? (Datum) 0 : PG_GETARG_DATUM(3);
	nulls[0] = PG_ARGISNULL(3) ? 'n' : ' ';
	values[1] = PG_ARGISNULL(4) ? (Datum) 0 : PG_GETARG_DATUM(4);
	nulls[1] = PG_ARGISNULL(4) ? 'n' : ' ';

	SPI_connect();
	redacting_journals = true;
	PG_TRY();
	{
		if (SPI_execute_with_args(psprintf("UPDATE crm_member.%s t SET %s = %s WHERE %s%s%s", table, column, change,
										   concerned, PG_ARGISNULL(3) ? "" : " AND ", PG_ARGISNULL(3) ? "" : About(table)),
								  2, types, values, nulls, false, 0) != SPI_OK_UPDATE)
			elog(ERROR, "table %s was not redacted", table);
		rows = SPI_processed;
	}
	PG_FINALLY();
	{
		redacting_journals = false;
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_INT64(rows);
}
