/*
 * registration.c: new members, one or many.
 *
 * One registration is a batch of one.  A batch first claims what members are
 * found by (reference, number in another system, mobile, e-mail, card): whoever
 * inserts first into a directory has it, a concurrent claim waits for that
 * transaction.  Rows that lost a claim give back what they had claimed; the rest
 * is written.  A row that lost to another row of its own batch is tried again
 * alone once the batch is written, for the winner may have been refused.
 */
#include "crm_member.h"
#include "query.h"
#include "member/batch.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

static bool
IsOpen(Registration *row)
{
	return row->outcome == OUTCOME_OPEN;
}

static bool
HasTier(Registration *row)
{
	return row->outcome == OUTCOME_OPEN && row->text[FIELD_TIER] != NULL;
}

static void
WriteMembers(Batch *batch, Columns *columns)
{
	static CrmQuery members = {
		"INSERT INTO crm_member.member (member_id, status, kind, source, store, channel, "
		"joined_at, attrs) "
		"SELECT member_id, status, kind, source, store, channel, joined_at, coalesce(attrs, '{}') "
		"FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) "
		"AS u (member_id, status, kind, source, store, channel, joined_at, attrs)",
		8, {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
			TIMESTAMPTZARRAYOID, JSONBARRAYOID}};
	static CrmQuery persons = {
		"INSERT INTO crm_member.person (member_id, name, mobile, email, birthday, gender) "
		"SELECT * FROM unnest($1, $2, $3, $4, $5, $6)",
		6, {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, DATEARRAYOID, TEXTARRAYOID}};
	static CrmQuery events = {
		"INSERT INTO crm_member.member_event (member_id, event_id, act, ref, fingerprint, detail, "
		"actor) "
		"SELECT member_id, crm_member.new_id(), 'register', ref, fingerprint, "
		"CASE WHEN $4 = 0 THEN '{}' ELSE jsonb_build_object('import_id', $4) END, $5 "
		"FROM unnest($1, $2, $3) AS u (member_id, ref, fingerprint)",
		5, {INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8OID, TEXTOID}};
	Datum		values[8];
	Datum		ids = ColumnArray(columns, IdValue, 0, INT8OID);

	values[0] = ids;
	values[1] = ColumnArray(columns, TextValue, FIELD_STATUS, TEXTOID);
	values[2] = ColumnArray(columns, TextValue, FIELD_KIND, TEXTOID);
	values[3] = ColumnArray(columns, TextValue, FIELD_SOURCE, TEXTOID);
	values[4] = ColumnArray(columns, TextValue, FIELD_STORE, TEXTOID);
	values[5] = ColumnArray(columns, TextValue, FIELD_CHANNEL, TEXTOID);
	values[6] = ColumnArray(columns, JoinedValue, 0, TIMESTAMPTZOID);
	values[7] = ColumnArray(columns, AttrsValue, 0, JSONBOID);
	RunQuery(&members, values, NULL, false, 0);

	values[1] = ColumnArray(columns, TextValue, FIELD_NAME, TEXTOID);
	values[2] = ColumnArray(columns, TextValue, FIELD_MOBILE, TEXTOID);
	values[3] = ColumnArray(columns, TextValue, FIELD_EMAIL, TEXTOID);
	values[4] = ColumnArray(columns, BirthdayValue, 0, DATEOID);
	values[5] = ColumnArray(columns, TextValue, FIELD_GENDER, TEXTOID);
	RunQuery(&persons, values, NULL, false, 0);

	values[1] = ColumnArray(columns, TextValue, FIELD_REF, TEXTOID);
	values[2] = ColumnArray(columns, FingerprintValue, 0, INT8OID);
	values[3] = Int64GetDatum(batch->import_id);
	values[4] = batch->actor ? CStringGetTextDatum(batch->actor) : (Datum) 0;
	RunQuery(&events, values, batch->actor ? NULL : "    n", false, 0);
}

static void
WriteTiers(Columns *columns)
{
	static CrmQuery tiers = {
		"WITH held AS (INSERT INTO crm_member.member_tier (member_id, tier_code, since) "
		"SELECT * FROM unnest($1, $2, $3) RETURNING member_id, tier_code, since) "
		"INSERT INTO crm_member.member_tier_event (member_id, event_id, cause, at, to_tier, earned_to) "
		"SELECT member_id, crm_member.new_id(), 'register', since, tier_code, tier_code FROM held",
		3, {INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID}};
	Datum		values[3];

	values[0] = ColumnArray(columns, IdValue, 0, INT8OID);
	values[1] = ColumnArray(columns, TextValue, FIELD_TIER, TEXTOID);
	values[2] = ColumnArray(columns, JoinedValue, 0, TIMESTAMPTZOID);
	RunQuery(&tiers, values, NULL, false, 0);
}

static void
WriteCardEvents(Batch *batch, Columns *columns)
{
	static CrmQuery events = {
		"INSERT INTO crm_member.card_event (card_no, event_id, act, state, actor) "
		"SELECT card_no, crm_member.new_id(), 'register', 'enabled', $2 "
		"FROM unnest($1) AS u (card_no)",
		2, {TEXTARRAYOID, TEXTOID}};
	Datum		values[2];

	values[0] = ColumnArray(columns, TextValue, FIELD_CARD_NO, TEXTOID);
	values[1] = batch->actor ? CStringGetTextDatum(batch->actor) : (Datum) 0;
	RunQuery(&events, values, batch->actor ? NULL : " n", false, 0);
}

static bool
IsExisting(Registration *row)
{
	return row->outcome == OUTCOME_EXISTING;
}

/* Rows that name a member who has been merged mean the survivor. */
static void
FollowMerges(Batch *batch)
{
	static CrmQuery query = {
		"SELECT count(*) FROM unnest($1) AS u (member_id) "
		"CROSS JOIN LATERAL (SELECT m.merged_into FROM crm_member.member AS m "
		"WHERE m.member_id = u.member_id LIMIT 1) AS m WHERE m.merged_into IS NOT NULL",
		1, {INT8ARRAYOID}};
	Columns		columns;
	Datum		ids;
	bool		isnull;

	if (!ChooseRows(&columns, batch, IsExisting))
		return;
	ids = ColumnArray(&columns, FoundValue, 0, INT8OID);
	RunQuery(&query, &ids, NULL, false, 0);
	if (DatumGetInt64(QueryColumn(0, 1, &isnull)) == 0)
		return;
	for (int i = 0; i < columns.n; i++)
	{
		Registration *row = batch->rows[columns.chosen[i]];

		row->member_id = CanonicalMember(row->member_id, false);
	}
}

/* One round over rows that are all OPEN; afterwards none is. */
static void
RegisterBatch(Batch *batch)
{
	Columns		columns;

	ClaimAll(batch);
	if (ChooseRows(&columns, batch, IsOpen))
		WriteMembers(batch, &columns);
	if (ChooseRows(&columns, batch, HasTier))
		WriteTiers(&columns);
	if (ChooseRows(&columns, batch, HasCard))
		WriteCardEvents(batch, &columns);
	ChooseRows(&columns, batch, IsOpen);
	for (int i = 0; i < columns.n; i++)
	{
		Registration *row = batch->rows[columns.chosen[i]];

		row->member_id = batch->ids[columns.chosen[i]];
		row->outcome = OUTCOME_REGISTERED;
	}
	FollowMerges(batch);
}

void
RegisterMembers(Registration **rows, int nrows, bool keep, int64 import_id, char *actor)
{
	Batch		batch = {.keep = keep, .import_id = import_id, .actor = actor};

	batch.rows = palloc(nrows * sizeof(Registration *));
	batch.ids = palloc(nrows * sizeof(int64));
	for (int i = 0; i < nrows; i++)
	{
		if (rows[i]->outcome != OUTCOME_OPEN)
			continue;
		batch.ids[batch.nrows] = NewId();
		batch.rows[batch.nrows++] = rows[i];
	}
	if (batch.nrows > 0)
		RegisterBatch(&batch);

	for (int i = 0; i < batch.nrows; i++)
	{
		Batch		alone = batch;

		if (batch.rows[i]->outcome != OUTCOME_BLOCKED)
			continue;
		CHECK_FOR_INTERRUPTS();
		alone.rows = &batch.rows[i];
		alone.ids = &batch.ids[i];
		alone.nrows = 1;
		batch.rows[i]->outcome = OUTCOME_OPEN;
		RegisterBatch(&alone);
	}
}
