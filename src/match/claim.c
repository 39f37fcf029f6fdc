/*
 * claim.c: is this person a member already?  Asked before one is registered,
 * so that of two who register one person at once the second sees the first.
 *
 * Two who would find each other by a whole name, a telephone or an e-mail address,
 * or by part of a name with the birthday, share a key of member.c.  Each
 * takes the rows of registration_claim that its keys fall on, in order, and keeps
 * them to the end of its transaction; it searches after that, with a snapshot of
 * its own.  The rows are written, not only locked: a transaction that cannot see
 * what the other committed (REPEATABLE READ) fails with 40001 instead of searching
 * in the past.  There are CLAIM_ROWS of them at most, whatever is registered; that
 * strangers meet on one costs a short wait.
 */
#include "match/match.h"
#include "match/claim.h"
#include "catalog.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define CLAIM_ROWS 65536
#define MAX_CLAIMS 256

typedef struct ClaimedRows
{
	Datum rows[MAX_CLAIMS];
	int   n;
} ClaimedRows;

static void
ClaimRow(ClaimedRows *claimed, int64 key)
{
	if (claimed->n < MAX_CLAIMS)
		claimed->rows[claimed->n++] = Int32GetDatum((int32) ((uint64) key % CLAIM_ROWS));
}

static void
ClaimKeys(char **texts)
{
	static CrmQuery claim = {
		"INSERT INTO crm_member.registration_claim AS c (slot) "
		"SELECT DISTINCT slot FROM unnest($1) AS u (slot) ORDER BY slot "
		"ON CONFLICT (slot) DO UPDATE SET slot = excluded.slot",
		1,
		{INT4ARRAYOID}};
	MatchModel       *model = MemberModel(KEYED_FIELDS, false);
	MemoryContext     scratch = AllocSetContextCreate(model->context, "crm_member match text",
													  ALLOCSET_SMALL_SIZES);
	const MatchValue *value[KEYED_FIELDS] = {NULL};
	const MatchValue *birthday;
	ClaimedRows       claimed = {.n = 0};
	Datum             rows;

	/* as who writes its keys does: a new secret waits for us, or we for it */
	LockRelationOid(CrmRelation("match_key"), RowExclusiveLock);
	for (int c = 0; c < KEYED_FIELDS; c++)
	{
		uint32 cell = texts[c] == NULL ? 0 : ReadValue(&model->fields[c], texts[c], scratch);

		value[c] = cell == 0 ? NULL : model->fields[c].values[cell];
	}
	birthday = value[KEYED_FIELDS - 1];
	for (int c = 0; c < KEYED_FIELDS - 1; c++)
	{
		for (int k = 0; value[c] != NULL && k < value[c]->nkeys; k++)
		{
			int64 key = MemberKey(c, value[c]->keys[k]);

			if (c > 0 || k < WholeNameKeys(value[c]))
				ClaimRow(&claimed, key);
			/* the first key of a date is that of the day */
			if (c == 0 && birthday != NULL)
				ClaimRow(&claimed, (int64) MixHash(key, birthday->keys[0]));
		}
	}
	if (claimed.n == 0)
		return;
	rows = ArrayOf(claimed.rows, claimed.n, INT4OID);
	RunQuery(&claim, &rows, NULL, false, 0);
}

int64
ClaimPerson(Jsonb *candidate, Numeric least, char **probability)
{
	/* not read only: its snapshot must be taken after the claim was granted */
	static CrmQuery search = {
		"SELECT member_id, probability::text FROM crm_member.match_member($1, 1) "
		"WHERE probability >= $2",
		2,
		{JSONBOID, NUMERICOID}};
	Datum values[2] = {JsonbPGetDatum(candidate), NumericGetDatum(least)};
	char *texts[CANDIDATE_COLUMNS] = {NULL};
	bool  isnull;

	ReadCandidate(candidate, texts);
	ClaimKeys(texts);
	if (RunQuery(&search, values, NULL, false, 0) == 0)
		return 0;
	*probability = QueryText(0, 2);
	return DatumGetInt64(QueryColumn(0, 1, &isnull));
}
