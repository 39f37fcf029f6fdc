/*
 * claim.c: what members are found by, claimed for a batch of registrations.
 *
 * Whoever inserts first into a directory has it; a concurrent claim waits for that
 * transaction.  Look-ups are LATERAL with LIMIT, so that they stay index probes
 * whatever the planner believes of a directory that has just been filled.
 */
#include "crm_member.h"
#include "query.h"
#include "member/batch.h"
#include "match/claim.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

static Datum
SourceValue(Batch *batch, int row, int what, bool *isnull)
{
	char	   *source = batch->rows[row]->text[FIELD_SOURCE];

	*isnull = false;
	return CStringGetTextDatum(source ? source : "");
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

	if (!ChooseRows(&columns, batch, HasRef))
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

/* Identities that rows want, each with the number of the member that it is for. */
typedef struct Claims
{
	Batch	   *batch;
	int64	   *ids;
	Datum	   *kinds;
	Datum	   *values;
	int			n;
	int			room;
} Claims;

typedef enum ClaimKind
{
	CLAIM_EXTERNAL,				/* one that is known names an existing member */
	CLAIM_CONTACT,				/* mobile and e-mail: keep does not insist */
	CLAIM_OTHER
} ClaimKind;

static void
AddClaim(Claims *claims, int row, const char *kind, const char *value)
{
	if (value == NULL)
		return;
	if (claims->n == claims->room)
	{
		claims->room *= 2;
		claims->ids = repalloc(claims->ids, claims->room * sizeof(int64));
		claims->kinds = repalloc(claims->kinds, claims->room * sizeof(Datum));
		claims->values = repalloc(claims->values, claims->room * sizeof(Datum));
	}
	claims->ids[claims->n] = claims->batch->ids[row];
	claims->kinds[claims->n] = CStringGetTextDatum(kind);
	claims->values[claims->n++] = CStringGetTextDatum(value);
}

static void
CollectClaims(Claims *claims, Batch *batch, ClaimKind kind)
{
	claims->batch = batch;
	claims->n = 0;
	claims->room = 2 * batch->nrows;
	claims->ids = palloc(claims->room * sizeof(int64));
	claims->kinds = palloc(claims->room * sizeof(Datum));
	claims->values = palloc(claims->room * sizeof(Datum));
	for (int i = 0; i < batch->nrows; i++)
	{
		Registration *row = batch->rows[i];

		if (row->outcome != OUTCOME_OPEN)
			continue;
		if (kind == CLAIM_EXTERNAL && row->external_kind != NULL)
			AddClaim(claims, i, row->external_kind, row->text[FIELD_EXTERNAL_ID]);
		else if (kind == CLAIM_CONTACT)
		{
			AddClaim(claims, i, "mobile", row->identity_mobile);
			AddClaim(claims, i, "email", row->identity_email);
		}
		else if (kind == CLAIM_OTHER)
		{
			for (int j = 0; j < row->nothers; j++)
				AddClaim(claims, i, row->others[j].kind, row->others[j].value);
		}
	}
}

static void
ClaimIdentities(Batch *batch, ClaimKind kind)
{
	static CrmQuery claim = {
		"INSERT INTO crm_member.identity (kind, value, member_id) "
		"SELECT * FROM unnest($1, $2, $3) AS u (kind, value, member_id) "
		"ORDER BY kind, value, member_id ON CONFLICT (kind, value) DO NOTHING",
		3, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID}};
	static CrmQuery conflicts = {
		"SELECT u.member_id, i.member_id, u.kind "
		"FROM unnest($1, $2, $3) AS u (kind, value, member_id) "
		"LEFT JOIN LATERAL (SELECT i.member_id FROM crm_member.identity AS i "
		"WHERE i.kind = u.kind AND i.value = u.value LIMIT 1) AS i ON true "
		"WHERE i.member_id IS DISTINCT FROM u.member_id",
		3, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID}};
	Claims		claims;
	Datum		values[3];
	uint64		n;

	CollectClaims(&claims, batch, kind);
	if (claims.n == 0)
		return;
	values[0] = ArrayOf(claims.kinds, NULL, claims.n, TEXTOID);
	values[1] = ArrayOf(claims.values, NULL, claims.n, TEXTOID);
	values[2] = IdArray(claims.ids, claims.n);
	if (RunQuery(&claim, values, NULL, false, 0) == claims.n ||
		(kind == CLAIM_CONTACT && batch->keep))
		return;
	n = RunQuery(&conflicts, values, NULL, false, 0);
	for (uint64 i = 0; i < n; i++)
	{
		Conflict	conflict = ReadConflict(batch, i);
		bool		isnull;

		if (conflict.in_batch)
			conflict.row->outcome = OUTCOME_BLOCKED;
		else if (kind == CLAIM_EXTERNAL && conflict.holder != 0)
		{
			conflict.row->outcome = OUTCOME_EXISTING;
			conflict.row->member_id = conflict.holder;
		}
		else
			RefuseTaken(conflict.row, TextDatumGetCString(QueryColumn(i, 3, &isnull)));
	}
}

/*
 * A person who likely is a member already.  What is unique has been claimed by now,
 * so that it is told first; rows of one batch are not compared with one another.
 */
static void
RefuseKnown(Batch *batch)
{
	static CrmQuery candidate = {
		"SELECT jsonb_strip_nulls(jsonb_build_object('name', $1, 'mobile', $2, 'email', $3, "
		"'birthday', to_char($4, 'YYYY-MM-DD'), 'gender', $5, "
		"'nickname', coalesce($6, $7 ->> 'nickname'), 'address', $7 ->> 'address', "
		"'city', $7 ->> 'city'))",
		7, {TEXTOID, TEXTOID, TEXTOID, DATEOID, TEXTOID, TEXTOID, JSONBOID}};

	for (int i = 0; i < batch->nrows; i++)
	{
		Registration *row = batch->rows[i];
		char	   *nickname = NULL;
		char	   *probability;
		Datum		values[7];
		char		nulls[8] = "       ";
		bool		isnull;
		int64		known;

		if (row->outcome != OUTCOME_OPEN || row->unless_like == NULL)
			continue;
		for (int j = 0; j < row->nothers && nickname == NULL; j++)
		{
			if (strncmp(row->others[j].kind, "nickname:", 9) == 0)
				nickname = row->others[j].value;
		}
		values[0] = NullableText(row->text[FIELD_NAME], &nulls[0]);
		values[1] = NullableText(row->text[FIELD_MOBILE], &nulls[1]);
		values[2] = NullableText(row->text[FIELD_EMAIL], &nulls[2]);
		values[3] = BirthdayValue(batch, i, 0, &isnull);
		nulls[3] = isnull ? 'n' : ' ';
		values[4] = NullableText(row->text[FIELD_GENDER], &nulls[4]);
		values[5] = NullableText(nickname, &nulls[5]);
		values[6] = AttrsValue(batch, i, 0, &isnull);
		nulls[6] = isnull ? 'n' : ' ';
		RunQuery(&candidate, values, nulls, true, 1);
		known = ClaimPerson(DatumGetJsonbPCopy(QueryColumn(0, 1, &isnull)), row->unless_like,
							&probability);
		if (known == 0)
			continue;
		Refuse(&row->why, ERRCODE_CRM_LIKELY_KNOWN, pstrdup("this person is likely a member"),
			   psprintf("Member " INT64_FORMAT " with a probability of %s.", known, probability),
			   pstrdup("match_member() tells why. Without unless_like nobody is looked for."));
		row->outcome = OUTCOME_REFUSED;
	}
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
		"SELECT card_no, card_type "
		"FROM unnest($1, $2, $3, $4) AS u (card_no, card_type, member_id, at) "
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

	if (!ChooseRows(&columns, batch, HasCard))
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
		"WHERE r.source = u.source AND r.ref = u.ref AND r.member_id = u.member_id "
		"AND u.found <> 0",
		4, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};
	static CrmQuery refs = {
		"DELETE FROM crm_member.member_ref AS r "
		"USING unnest($1, $2, $3, $4) AS u (source, ref, member_id, found) "
		"WHERE r.source = u.source AND r.ref = u.ref AND r.member_id = u.member_id",
		4, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};
	Columns		columns;
	Datum		values[4];

	if (ChooseRows(&columns, batch, IsOutWithRef))
	{
		values[0] = ColumnArray(&columns, SourceValue, 0, TEXTOID);
		values[1] = ColumnArray(&columns, TextValue, FIELD_REF, TEXTOID);
		values[2] = ColumnArray(&columns, IdValue, 0, INT8OID);
		values[3] = ColumnArray(&columns, FoundValue, 0, INT8OID);
		RunQuery(&hand_over, values, NULL, false, 0);
		RunQuery(&refs, values, NULL, false, 0);
	}
	if (ChooseRows(&columns, batch, IsOut))
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

void
ClaimAll(Batch *batch)
{
	for (int i = 0; i < batch->nrows; i++)
		batch->rows[i]->claims = true;

	ClaimRefs(batch);
	ClaimIdentities(batch, CLAIM_EXTERNAL);
	ReleaseClaims(batch, false);
	ClaimIdentities(batch, CLAIM_CONTACT);
	ClaimIdentities(batch, CLAIM_OTHER);
	RefuseKnown(batch);
	ReleaseClaims(batch, true);
	ClaimCards(batch);
	ReleaseClaims(batch, true);
	if (batch->keep)			/* what a refused row had taken is free again */
		ClaimIdentities(batch, CLAIM_CONTACT);
}
