/*
 * buyer.c: who buys.
 */
#include "crm_member.h"
#include "query.h"
#include "sale/sale.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

static void
UnknownMember(int64 member_id)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_MEMBER),
					errmsg("member " INT64_FORMAT " does not exist", member_id),
					errhint("member_id() finds a member by mobile, card or another identity.")));
}

static void
RefusedStatus(int64 member_id, const char *status)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_MEMBER_STATUS),
					errmsg("member " INT64_FORMAT " is %s", member_id, status),
					errdetail("A member of this status may not do this."),
					errhint("set_member_status() makes a member active again.")));
}

static Member *
ReadMember(int64 member_id, int64 *merged_into)
{
	static CrmQuery query = {
		"SELECT m.member_id, m.status, m.kind, m.source, m.store, m.channel, m.joined_at, m.tags, "
		"m.attrs, p.gender, p.birthday, t.tier_code, t.rank, m.merged_into "
		"FROM crm_member.member m "
		"LEFT JOIN crm_member.person p ON p.member_id = m.member_id "
		"LEFT JOIN crm_member.member_tier mt ON mt.member_id = m.member_id "
		"LEFT JOIN crm_member.tier t ON t.tier_code = "
		"CASE WHEN mt.manual_until <= now() THEN mt.earned_tier ELSE mt.tier_code END "
		"WHERE m.member_id = $1",
		1, {INT8OID}};
	Datum		values[1] = {Int64GetDatum(member_id)};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext old;
	Member	   *member = NULL;
	bool		isnull;
	Datum		value;

	SPI_connect();
	if (RunQuery(&query, values, NULL, false, 1) == 1)
	{
		old = MemoryContextSwitchTo(caller);
		member = palloc0(sizeof(Member));
		member->member_id = DatumGetInt64(QueryColumn(0, 1, &isnull));
		member->status = QueryText(0, 2);
		member->kind = QueryText(0, 3);
		member->source = QueryText(0, 4);
		member->store = QueryText(0, 5);
		member->channel = QueryText(0, 6);
		member->joined_at = DatumGetTimestampTz(QueryColumn(0, 7, &isnull));
		member->tags = (ArrayType *) PG_DETOAST_DATUM_COPY(QueryColumn(0, 8, &isnull));
		member->attrs = (Jsonb *) PG_DETOAST_DATUM_COPY(QueryColumn(0, 9, &isnull));
		member->gender = QueryText(0, 10);
		value = QueryColumn(0, 11, &isnull);
		member->has_birthday = !isnull;
		member->birthday = isnull ? 0 : DatumGetDateADT(value);
		member->tier = QueryText(0, 12);
		value = QueryColumn(0, 13, &isnull);
		member->tier_rank = isnull ? 0 : DatumGetInt16(value);
		value = QueryColumn(0, 14, &isnull);
		*merged_into = isnull ? CRM_GUEST : DatumGetInt64(value);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return member;
}

Member *
LoadMember(int64 member_id)
{
	Member	   *member;
	int64		next = member_id;

	do
	{
		CHECK_FOR_INTERRUPTS();
		member = ReadMember(next, &next);
	} while (member != NULL && next != CRM_GUEST);
	return member;
}

int64
RequireMember(int64 member_id, const char *const *allowed)
{
	static CrmQuery query = {"SELECT merged_into, status FROM crm_member.member "
							 "WHERE member_id = $1",
							 1, {INT8OID}};
	int64		next = member_id;
	char	   *status = NULL;
	MemoryContext caller = CurrentMemoryContext;

	do
	{
		Datum		values[1] = {Int64GetDatum(next)};
		bool		isnull;
		Datum		value;

		CHECK_FOR_INTERRUPTS();
		member_id = next;
		SPI_connect();
		if (RunQuery(&query, values, NULL, false, 1) == 0)
			UnknownMember(member_id);
		value = QueryColumn(0, 1, &isnull);
		next = isnull ? CRM_GUEST : DatumGetInt64(value);
		status = MemoryContextStrdup(caller, TextDatumGetCString(QueryColumn(0, 2, &isnull)));
		SPI_finish();
	} while (next != CRM_GUEST);

	while (*allowed != NULL && strcmp(*allowed, status) != 0)
		allowed++;
	if (*allowed == NULL)
		RefusedStatus(member_id, status);
	return member_id;
}

Member *
LoadBuyer(int64 member_id)
{
	Member	   *member;

	if (member_id == CRM_GUEST)
		return NULL;
	member = LoadMember(member_id);
	if (member == NULL)
		UnknownMember(member_id);
	if (strcmp(member->status, "active") != 0)
		RefusedStatus(member->member_id, member->status);
	return member;
}

static int64
OneId(CrmQuery *query, Datum *values)
{
	int64		id = CRM_GUEST;
	bool		isnull;

	SPI_connect();
	if (RunQuery(query, values, NULL, false, 1) == 1)
	{
		Datum		value = QueryColumn(0, 1, &isnull);

		id = isnull ? CRM_GUEST : DatumGetInt64(value);
	}
	SPI_finish();
	return id;
}

/* The member a document names, or CRM_GUEST where it names nobody. */
int64
ResolveBuyer(const SaleDocument *document)
{
	static CrmQuery by_identity = {"SELECT crm_member.member_id($1, $2)", 2, {TEXTOID, TEXTOID}};
	static CrmQuery by_card = {"SELECT crm_member.usable_card($1, $2)", 2, {TEXTOID, TIMESTAMPTZOID}};
	Datum		values[2];
	int64		id;

	if (document->identity_kind == NULL)
		return document->sale.member_id;

	if (strcmp(document->identity_kind, "card") == 0)
	{
		values[0] = CStringGetTextDatum(document->identity_value);
		values[1] = TimestampTzGetDatum(document->sale.sold_at);
		return OneId(&by_card, values);
	}
	values[0] = CStringGetTextDatum(document->identity_kind);
	values[1] = CStringGetTextDatum(document->identity_value);
	id = OneId(&by_identity, values);
	if (id == CRM_GUEST)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_MEMBER),
						errmsg("no member has this %s", document->identity_kind),
						errhint("Register the member first, or leave out \"identity\" to sell to a guest.")));
	return id;
}
