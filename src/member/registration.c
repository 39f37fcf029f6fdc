/*
 * registration.c: new members, one or many.
 *
 * One registration is a batch of one.  A batch first claims what members are
 * found by (reference, number in another system, mobile, e-mail, card): whoever
 * inserts first into a directory has it, a concurrent claim waits for that
 * transaction.  Look-ups are LATERAL with LIMIT, so that they stay index probes
 * whatever the planner believes of a directory that has just been filled.  Rows that lost a claim give back what they had claimed; the rest
 * is written.  A row that lost to another row of its own batch is tried again
 * alone once the batch is written, for the winner may have been refused.
 */
#include "crm_member.h"
#include "query.h"
#include "member/registration.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

typedef struct Batch
{
	Registration **rows;		/* by ascending new member_id */
	int64	   *ids;			/* which these are */
	int			nrows;
	bool		keep;
	int64		import_id;
	char	   *actor;
} Batch;

/* Columns that are handed to SQL as arrays, one element a chosen row. */
typedef struct Columns
{
	Batch	   *batch;
	int		   *chosen;			/* indexes of rows */
	int			n;
} Columns;

typedef Datum (*RowValue) (Batch *batch, int row, int what, bool *isnull);
typedef bool (*RowTest) (Registration *row);

static Datum
TextValue(Batch *batch, int row, int what, bool *isnull)
{
	char	   *text = batch->rows[row]->text[what];

	*isnull = text == NULL;
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

static Datum
IdValue(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = false;
	return Int64GetDatum(batch->ids[row]);
}

static Datum
FoundValue(Batch *batch, int row, int what, bool *isnull)
{
	Registration *found = batch->rows[row];

	*isnull = false;
	return Int64GetDatum(found->outcome == OUTCOME_EXISTING ? found->member_id : 0);
}

static Datum
SourceValue(Batch *batch, int row, int what, bool *isnull)
{
	char	   *source = batch->rows[row]->text[FIELD_SOURCE];

	*isnull = false;
	return CStringGetTextDatum(source ? source : "");
}

static Datum
FingerprintValue(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = false;
	return Int64GetDatum(batch->rows[row]->fingerprint);
}

static Datum
BirthdayValue(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = !batch->rows[row]->has_birthday;
	return DateADTGetDatum(batch->rows[row]->birthday);
}

static Datum
JoinedValue(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = false;
	return TimestampTzGetDatum(batch->rows[row]->joined_at);
}

static Datum
AttrsValue(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = batch->rows[row]->attrs == NULL;
	return *isnull ? (Datum) 0 : JsonbPGetDatum(batch->rows[row]->attrs);
}

static Datum
ColumnArray(Columns *columns, RowValue get, int what, Oid type)
{
	Datum	   *values = palloc(columns->n * sizeof(Datum));
	bool	   *nulls = palloc(columns->n * sizeof(bool));
	int			lower = 1;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	for (int i = 0; i < columns->n; i++)
		values[i] = get(columns->batch, columns->chosen[i], what, &nulls[i]);
	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_md_array(values, nulls, 1, &columns->n, &lower, type, typlen,
											  typbyval, typalign));
}

static bool
Choose(Columns *columns, Batch *batch, RowTest test)
{
	columns->batch = batch;
	columns->chosen = palloc(batch->nrows * sizeof(int));
	columns->n = 0;
	for (int i = 0; i < batch->nrows; i++)
	{
		if (test(batch->rows[i]))
			columns->chosen[columns->n++] = i;
	}
	return columns->n > 0;
}

/* Index of the row whose new member this is, or -1. */
static int
RowOf(Batch *batch, int64 member_id)
{
	int			low = 0,
				high = batch->nrows - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;

		if (batch->ids[middle] == member_id)
			return middle;
		if (batch->ids[middle] < member_id)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return -1;
}

static int64
ResultId(uint64 result, int column, bool *isnull)
{
	return DatumGetInt64(QueryColumn(result, column, isnull));
}

/*
 * A conflict as some query below reports it: column 1 the row's new member,
 * column 2 who holds what it wanted (NULL: nobody any more).
 */
typedef struct Conflict
{
	Registration *row;
	int64		holder;			/* 0: none */
	bool		in_batch;
} Conflict;

static Conflict
ReadConflict(Batch *batch, uint64 result)
{
	Conflict	conflict;
	bool		isnull;

	conflict.row = batch->rows[RowOf(batch, ResultId(result, 1, &isnull))];
	conflict.holder = ResultId(result, 2, &isnull);
	if (isnull)
		conflict.holder = 0;
	conflict.in_batch = RowOf(batch, conflict.holder) >= 0;
	return conflict;
}

static void
RefuseTaken(Registration *row, const char *what)
{
	Refuse(&row->why, ERRCODE_CRM_IDENTITY_TAKEN, psprintf("%s is bound to another member", what),
		   NULL, pstrdup("member_id(kind, value) finds that member."));
	row->outcome = OUTCOME_REFUSED;
}

static bool
HasRef(Registration *row)
{
	return row->outcome == OUTCOME_OPEN && row->text[FIELD_REF] != NULL;
}

static void
ClaimRefs(Batch *batch)
{
	static CrmQuery claim = {
		"INSERT INTO crm_member.member_ref (source, ref, member_id, fingerprint) "
		"SELECT * FROM unnest($1, $2, $3, $4) AS u (source, ref, member_id, fingerprint) "
		"ORDER BY source, ref, member_id ON CONFLICT (source, ref) DO NOTHING",
		4, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};
	static CrmQuery conflicts = {
		"SELECT u.member_id, r.member_id, r.fingerprint = u.fingerprint "
		"FROM unnest($1, $2, $3, $4) AS u (source, ref, member_id, fingerprint) "
		"CROSS JOIN LATERAL (SELECT r.member_id, r.fingerprint FROM crm_member.member_ref AS r "
		"WHERE r.source = u.source AND r.ref = u.ref LIMIT 1) AS r "
		"WHERE r.member_id <> u.member_id",
		4, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};
	Columns		columns;
	Datum		values[4];
	uint64		n;

	if (!Choose(&columns, batch, HasRef))
		return;
	values[0] = ColumnArray(&columns, SourceValue, 0, TEXTOID);
	values[1] = ColumnArray(&columns, TextValue, FIELD_REF, TEXTOID);
	values[2] = ColumnArray(&columns, IdValue, 0, INT8OID);
	values[3] = ColumnArray(&columns, FingerprintValue, 0, INT8OID);
	if (RunQuery(&claim, values, NULL, false, 0) == columns.n)
		return;
	n = RunQuery(&conflicts, values, NULL, false, 0);
	for (uint64 i = 0; i < n; i++)
	{
		Conflict	conflict = ReadConflict(batch, i);
		bool		isnull;

		if (conflict.in_batch)
			conflict.row->outcome = OUTCOME_BLOCKED;
		else if (DatumGetBool(QueryColumn(i, 3, &isnull)))
		{
			conflict.row->outcome = OUTCOME_EXISTING;
			conflict.row->member_id = conflict.holder;
		}
		else
		{
			Refuse(&conflict.row->why, ERRCODE_CRM_REFERENCE_REUSED,
				   psprintf("reference \"%s\" was used for another registration",
							conflict.row->text[FIELD_REF]),
				   NULL, pstrdup("A repeated call must say the same; a new act needs a new ref."));
			conflict.row->outcome = OUTCOME_REFUSED;
		}
	}
}

static bool
HasExternal(Registration *row)
{
	return row->outcome == OUTCOME_OPEN && row->external_kind != NULL;
}

static bool
HasMobile(Registration *row)
{
	return row->outcome == OUTCOME_OPEN && row->identity_mobile != NULL;
}

static bool
HasEmail(Registration *row)
{
	return row->outcome == OUTCOME_OPEN && row->identity_email != NULL;
}

static Datum
ExternalKind(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = false;
	return CStringGetTextDatum(batch->rows[row]->external_kind);
}

static Datum
MobileValue(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = false;
	return CStringGetTextDatum(batch->rows[row]->identity_mobile);
}

static Datum
EmailValue(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = false;
	return CStringGetTextDatum(batch->rows[row]->identity_email);
}

static Datum
ExternalValue(Batch *batch, int row, int what, bool *isnull)
{
	return TextValue(batch, row, FIELD_EXTERNAL_ID, isnull);
}

static Datum
FixedKind(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = false;
	return CStringGetTextDatum(what == FIELD_MOBILE ? "mobile" : "email");
}

/* One kind of identity; a number in another system that is known names an existing member. */
static void
ClaimIdentities(Batch *batch, RowTest has, RowValue kind, RowValue value, int field)
{
	static CrmQuery claim = {
		"INSERT INTO crm_member.identity (kind, value, member_id) "
		"SELECT * FROM unnest($1, $2, $3) AS u (kind, value, member_id) "
		"ORDER BY kind, value, member_id ON CONFLICT (kind, value) DO NOTHING",
		3, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID}};
	static CrmQuery conflicts = {
		"SELECT u.member_id, i.member_id FROM unnest($1, $2, $3) AS u (kind, value, member_id) "
		"LEFT JOIN LATERAL (SELECT i.member_id FROM crm_member.identity AS i "
		"WHERE i.kind = u.kind AND i.value = u.value LIMIT 1) AS i ON true "
		"WHERE i.member_id IS DISTINCT FROM u.member_id",
		3, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID}};
	Columns		columns;
	Datum		values[3];
	uint64		n;

	if (!Choose(&columns, batch, has))
		return;
	values[0] = ColumnArray(&columns, kind, field, TEXTOID);
	values[1] = ColumnArray(&columns, value, field, TEXTOID);
	values[2] = ColumnArray(&columns, IdValue, 0, INT8OID);
	if (RunQuery(&claim, values, NULL, false, 0) == columns.n)
		return;
	if (field != FIELD_EXTERNAL_ID && batch->keep)
		return;
	n = RunQuery(&conflicts, values, NULL, false, 0);
	for (uint64 i = 0; i < n; i++)
	{
		Conflict	conflict = ReadConflict(batch, i);

		if (conflict.in_batch)
			conflict.row->outcome = OUTCOME_BLOCKED;
		else if (field == FIELD_EXTERNAL_ID && conflict.holder != 0)
		{
			conflict.row->outcome = OUTCOME_EXISTING;
			conflict.row->member_id = conflict.holder;
		}
		else
			RefuseTaken(conflict.row, member_field_names[field]);
	}
}

static void
ClaimContacts(Batch *batch)
{
	ClaimIdentities(batch, HasMobile, FixedKind, MobileValue, FIELD_MOBILE);
	ClaimIdentities(batch, HasEmail, FixedKind, EmailValue, FIELD_EMAIL);
}

static bool
HasCard(Registration *row)
{
	return row->outcome == OUTCOME_OPEN && row->text[FIELD_CARD_NO] != NULL;
}

static void
RefuseCard(Registration *row, int sqlstate, char *detail, char *hint)
{
	Refuse(&row->why, sqlstate, psprintf("card \"%s\" cannot be issued", row->text[FIELD_CARD_NO]),
		   detail, hint);
	row->outcome = OUTCOME_REFUSED;
}

/*
 * A card handed out at registration is enabled at once.  One that was not made
 * ahead of use is made now if its type is said.
 */
static void
ClaimCards(Batch *batch)
{
	static CrmQuery make = {
		"INSERT INTO crm_member.card (card_no, card_type) "
		"SELECT card_no, card_type FROM unnest($1, $2, $3, $4) AS u (card_no, card_type, member_id, at) "
		"WHERE card_type IS NOT NULL ORDER BY card_no, member_id ON CONFLICT (card_no) DO NOTHING",
		4, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID}};
	static CrmQuery issue = {
		"UPDATE crm_member.card AS c SET member_id = u.member_id, state = 'enabled', "
		"issued_at = u.at, effective_at = u.at, "
		"expires_at = crm_member.card_expiry(c.card_type, u.at) "
		"FROM (SELECT DISTINCT ON (card_no) * "
		"FROM unnest($1, $2, $3, $4) AS u (card_no, card_type, member_id, at) "
		"ORDER BY card_no, member_id) AS u "
		"WHERE c.card_no = u.card_no AND c.member_id IS NULL AND c.state = 'not_enabled' "
		"AND c.card_type = coalesce(u.card_type, c.card_type)",
		4, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID}};
	static CrmQuery conflicts = {
		"SELECT u.member_id, c.member_id, c.state, c.card_type "
		"FROM unnest($1, $2, $3, $4) AS u (card_no, card_type, member_id, at) "
		"LEFT JOIN LATERAL (SELECT c.member_id, c.state, c.card_type FROM crm_member.card AS c "
		"WHERE c.card_no = u.card_no LIMIT 1) AS c ON true "
		"WHERE c.member_id IS DISTINCT FROM u.member_id",
		4, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID}};
	Columns		columns;
	Datum		values[4];
	uint64		n;

	if (!Choose(&columns, batch, HasCard))
		return;
	values[0] = ColumnArray(&columns, TextValue, FIELD_CARD_NO, TEXTOID);
	values[1] = ColumnArray(&columns, TextValue, FIELD_CARD_TYPE, TEXTOID);
	values[2] = ColumnArray(&columns, IdValue, 0, INT8OID);
	values[3] = ColumnArray(&columns, JoinedValue, 0, TIMESTAMPTZOID);
	RunQuery(&make, values, NULL, false, 0);
	if (RunQuery(&issue, values, NULL, false, 0) == columns.n)
		return;
	n = RunQuery(&conflicts, values, NULL, false, 0);
	for (uint64 i = 0; i < n; i++)
	{
		Conflict	conflict = ReadConflict(batch, i);
		bool		unknown;
		Datum		state = QueryColumn(i, 3, &unknown);

		if (conflict.in_batch)
			conflict.row->outcome = OUTCOME_BLOCKED;
		else if (unknown)
			RefuseCard(conflict.row, ERRCODE_CRM_UNKNOWN_CARD, pstrdup("It is unknown."),
					   pstrdup("Name its card_type to make it now."));
		else if (conflict.holder != 0)
			RefuseTaken(conflict.row, "card_no");
		else if (strcmp(TextDatumGetCString(state), "not_enabled") != 0)
			RefuseCard(conflict.row, ERRCODE_CRM_CARD_STATE,
					   psprintf("Its state is %s.", TextDatumGetCString(state)), NULL);
		else
			RefuseCard(conflict.row, ERRCODE_CRM_CARD_STATE,
					   pstrdup("It was made as a card of another type."), NULL);
	}
}

static bool
IsOut(Registration *row)
{
	return row->outcome != OUTCOME_OPEN && row->claims;
}

static bool
IsOutWithRef(Registration *row)
{
	return IsOut(row) && row->text[FIELD_REF] != NULL;
}

/*
 * Rows that are out of the batch by now give back what they claimed; none has an
 * identity before contacts are claimed.
 */
static void
ReleaseClaims(Batch *batch, bool identities_claimed)
{
	static CrmQuery identities = {
		"DELETE FROM crm_member.identity WHERE member_id = ANY ($1)", 1, {INT8ARRAYOID}};
	static CrmQuery hand_over = {
		"UPDATE crm_member.member_ref AS r SET member_id = u.found "
		"FROM unnest($1, $2, $3, $4) AS u (source, ref, member_id, found) "
		"WHERE r.source = u.source AND r.ref = u.ref AND r.member_id = u.member_id AND u.found <> 0",
		4, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};
	static CrmQuery refs = {
		"DELETE FROM crm_member.member_ref AS r "
		"USING unnest($1, $2, $3, $4) AS u (source, ref, member_id, found) "
		"WHERE r.source = u.source AND r.ref = u.ref AND r.member_id = u.member_id",
		4, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};
	Columns		columns;
	Datum		values[4];

	if (Choose(&columns, batch, IsOutWithRef))
	{
		values[0] = ColumnArray(&columns, SourceValue, 0, TEXTOID);
		values[1] = ColumnArray(&columns, TextValue, FIELD_REF, TEXTOID);
		values[2] = ColumnArray(&columns, IdValue, 0, INT8OID);
		values[3] = ColumnArray(&columns, FoundValue, 0, INT8OID);
		RunQuery(&hand_over, values, NULL, false, 0);
		RunQuery(&refs, values, NULL, false, 0);
	}
	if (Choose(&columns, batch, IsOut))
	{
		if (identities_claimed)
		{
			values[0] = ColumnArray(&columns, IdValue, 0, INT8OID);
			RunQuery(&identities, values, NULL, false, 0);
		}
		for (int i = 0; i < columns.n; i++)
			batch->rows[columns.chosen[i]]->claims = false;
	}
}

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
		"INSERT INTO crm_member.member (member_id, status, kind, source, store, channel, joined_at, attrs) "
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
		"INSERT INTO crm_member.member_event (member_id, event_id, act, ref, fingerprint, detail, actor) "
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
		"INSERT INTO crm_member.member_tier (member_id, tier_code, since) "
		"SELECT * FROM unnest($1, $2, $3)",
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
		"SELECT card_no, crm_member.new_id(), 'register', 'enabled', $2 FROM unnest($1) AS u (card_no)",
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

	if (!Choose(&columns, batch, IsExisting))
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

	for (int i = 0; i < batch->nrows; i++)
		batch->rows[i]->claims = true;

	ClaimRefs(batch);
	ClaimIdentities(batch, HasExternal, ExternalKind, ExternalValue, FIELD_EXTERNAL_ID);
	ReleaseClaims(batch, false);
	ClaimContacts(batch);
	ReleaseClaims(batch, true);
	ClaimCards(batch);
	ReleaseClaims(batch, true);
	if (batch->keep)
		ClaimContacts(batch);	/* what a row refused for its card had taken is free again */

	if (Choose(&columns, batch, IsOpen))
		WriteMembers(batch, &columns);
	if (Choose(&columns, batch, HasTier))
		WriteTiers(&columns);
	if (Choose(&columns, batch, HasCard))
		WriteCardEvents(batch, &columns);
	Choose(&columns, batch, IsOpen);
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
