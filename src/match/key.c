/*
 * key.c: members as records of the model member: their columns, what a
 * candidate may say, the shares of the last run, and the keys they are found by.
 *
 * The keys of a member are those of name, mobile, e-mail and birthday that also
 * make the blocks of find_duplicates.  They are hashed under a secret of the
 * installation.  m and u are those of the last run of the model member, or the
 * comparators' own while there is none.
 */
#include "match/match.h"
#include "configuration.h"
#include "query.h"
#include "secret.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#define DEFAULT_IDLE 90 /* days, where the model member has been deleted */

typedef struct MemberColumn
{
	const char *column;
	const char *comparator;
	const char *seen; /* the column that says since when it was used */
} MemberColumn;

/* What a candidate may say; in the order of the columns of match_record. */
static const MemberColumn columns[] = {
	{"name", "name"},
	{"mobile", "phone_over_time", "mobile_since"},
	{"email", "email"},
	{"birthday", "date"},
	{"gender", "gender"},
	{"wechat_unionid", "id"},
	{"nickname", "nickname"},
	{"address", "address"},
	{"city", "place"},
};

#define NCOLUMNS CANDIDATE_COLUMNS

StaticAssertDecl(lengthof(columns) == CANDIDATE_COLUMNS, "a column without a comparator");

/* What the last run estimated. */
typedef struct Shares
{
	bool   estimated;
	double m[MATCH_MAX_LEVELS];
	double u[MATCH_MAX_LEVELS];
	double r[MATCH_MAX_LEVELS];
} Shares;

typedef struct LastRun
{
	Shares shares[CANDIDATE_COLUMNS];
	double related_per_match;
	int    idle_days;
} LastRun;

static double
JsonNumber(Jsonb *document, const char *path)
{
	static CrmQuery query = {"SELECT ($1 #>> $2::text[])::float8", 2, {JSONBOID, TEXTOID}};
	Datum           values[2] = {JsonbPGetDatum(document), CStringGetTextDatum(path)};
	bool            isnull;
	Datum           value;

	RunQuery(&query, values, NULL, true, 1);
	value = QueryColumn(0, 1, &isnull);
	return isnull ? 0 : DatumGetFloat8(value);
}

static void
LoadLastRun(void *contents, MemoryContext context)
{
	static CrmQuery idle = {
		"SELECT idle_days FROM crm_member.match_model WHERE model_code = 'member'", 0};
	static CrmQuery last = {"SELECT parameters FROM crm_member.match_run WHERE model_code = "
							"'member' ORDER BY run_at DESC LIMIT 1",
							0};
	static CrmQuery levels = {
		"SELECT f ->> 'column', f ->> 'comparator', l.n::int - 1, (l.level ->> 'm')::float8, "
		"(l.level ->> 'u')::float8, (l.level ->> 'r')::float8 "
		"FROM jsonb_array_elements($1 -> 'fields') AS f, "
		"jsonb_array_elements(f -> 'levels') WITH ORDINALITY AS l(level, n)",
		1,
		{JSONBOID}};
	LastRun *run = contents;
	Datum    document;
	Jsonb   *parameters;
	bool     isnull;
	uint64   n;
	double   prior;

	run->related_per_match = 0.1;
	run->idle_days = RunQuery(&idle, NULL, NULL, true, 1) == 0
					? DEFAULT_IDLE
					: DatumGetInt32(QueryColumn(0, 1, &isnull));
	if (RunQuery(&last, NULL, NULL, true, 1) == 0)
		return;
	parameters = DatumGetJsonbPCopy(QueryColumn(0, 1, &isnull));
	prior = JsonNumber(parameters, "{prior}");
	if (prior > 0)
		run->related_per_match = JsonNumber(parameters, "{related}") / prior;
	document = JsonbPGetDatum(parameters);
	n = RunQuery(&levels, &document, NULL, true, 0);
	for (uint64 i = 0; i < n; i++)
	{
		char *column = TextDatumGetCString(QueryColumn(i, 1, &isnull));
		char *comparator = TextDatumGetCString(QueryColumn(i, 2, &isnull));
		int   level = DatumGetInt32(QueryColumn(i, 3, &isnull));

		for (int c = 0; c < NCOLUMNS; c++)
		{
			if (strcmp(columns[c].column, column) != 0 ||
				strcmp(columns[c].comparator, comparator) != 0 || level >= MATCH_MAX_LEVELS)
				continue;
			run->shares[c].estimated = true;
			run->shares[c].m[level] = DatumGetFloat8(QueryColumn(i, 4, &isnull));
			run->shares[c].u[level] = DatumGetFloat8(QueryColumn(i, 5, &isnull));
			run->shares[c].r[level] = DatumGetFloat8(QueryColumn(i, 6, &isnull));
		}
	}
}

/* A model of the first fields of a member; with the shares of the last run, inside SPI. */
MatchModel *
MemberModel(int nfields, bool with_shares)
{
	static Configuration last_run = {
		"last run of matching", {"match_run", "match_model"}, sizeof(LastRun), LoadLastRun};
	const LastRun *run = with_shares ? GetConfiguration(&last_run) : NULL;
	MatchModel    *model = palloc0(sizeof(MatchModel));

	model->context = CurrentMemoryContext;
	model->code = "member";
	model->related = run ? run->related_per_match : 0; /* to be multiplied by the prior */
	for (int c = 0; c < nfields; c++)
	{
		MatchField       *field = AddField(model, columns[c].column, columns[c].comparator);
		const Comparator *comparator = field->comparator;

		field->seen = (char *) columns[c].seen;
		field->idle = run ? run->idle_days : DEFAULT_IDLE;
		for (int l = 0; l < comparator->nlevels; l++)
		{
			bool estimated = run && run->shares[c].estimated;

			field->m[l] = estimated ? run->shares[c].m[l] : comparator->levels[l].m;
			field->u[l] = estimated ? run->shares[c].u[l] : comparator->levels[l].u;
			field->r[l] = estimated                         ? run->shares[c].r[l]
						  : comparator->role == ROLE_SHARED ? field->m[l]
						  : comparator->role == ROLE_KIN    ? comparator->related[l]
															: field->u[l];
		}
	}
	FindPartners(model);
	return model;
}

static void
LoadKeySecret(void *contents, MemoryContext context)
{
	static CrmQuery query = {"SELECT key, false FROM crm_member.match_secret", 0};

	ReadSecret(&query, contents);
}

static const Secret *
KeySecret(void)
{
	static Configuration secret = {
		"secret of matching", {"match_secret"}, sizeof(Secret), LoadKeySecret};

	return GetConfiguration(&secret);
}

/* Keyed, for the few telephone numbers there are could all be tried. */
int64
MemberKey(int column, uint64 key)
{
	uint64 words[SIP_LANES] = {MixHash(column + 1, key)}, hashes[SIP_LANES];

	SipHash(KeySecret()->keys, words, hashes);
	return (int64) hashes[0];
}

/* match_key_version(): what keys depend on besides the person */
PG_FUNCTION_INFO_V1(crm_match_key_version);
Datum
crm_match_key_version(PG_FUNCTION_ARGS)
{
	uint64 words[SIP_LANES] = {0}, hashes[SIP_LANES];

	SipHash(KeySecret()->keys, words, hashes);
	PG_RETURN_TEXT_P(
		cstring_to_text(psprintf("%s key %08x", NormalizerVersion(), (uint32) hashes[0])));
}

/* All keys of what a candidate or a member says. */
static int
CollectKeys(MatchModel *model, const uint32 *cells, int64 *keys, int limit)
{
	int n = 0;

	for (int c = 0; c < KEYED_FIELDS; c++)
	{
		const MatchValue *value = cells[c] == 0 ? NULL : model->fields[c].values[cells[c]];

		for (int k = 0; value != NULL && k < value->nkeys && n < limit; k++)
			keys[n++] = MemberKey(c, value->keys[k]);
	}
	return n;
}

/* match_keys(name, mobile, email, birthday) */
PG_FUNCTION_INFO_V1(crm_match_keys);
Datum
crm_match_keys(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "crm_member match keys",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	MemoryContext scratch =
		AllocSetContextCreate(context, "crm_member match text", ALLOCSET_SMALL_SIZES);
	MatchModel *model = MemberModel(KEYED_FIELDS, false);
	uint32      cells[KEYED_FIELDS] = {0};
	int64       keys[MATCH_MAX_KEYS];
	Datum       result;
	int         n;

	for (int c = 0; c < KEYED_FIELDS; c++)
	{
		if (PG_ARGISNULL(c))
			continue;
		cells[c] = ReadValue(&model->fields[c], text_to_cstring(PG_GETARG_TEXT_PP(c)), scratch);
	}
	n = CollectKeys(model, cells, keys, lengthof(keys));
	MemoryContextSwitchTo(old);
	result = IdArray(keys, n);
	MemoryContextDelete(context);
	return result;
}

/* The first keys of a name, which are the whole name and its letters; a part of one is no name. */
int
WholeNameKeys(const MatchValue *name)
{
	if (name == NULL || name->kind == NAME_MASKED)
		return 0;
	return Min(2, name->nkeys - name->nweak);
}

/* The texts of a candidate, one a column; anything else it says is an error. */
void
ReadCandidate(Jsonb *candidate, char **texts)
{
	JsonbIterator     *it = JsonbIteratorInit(&candidate->root);
	JsonbValue         key, value;
	JsonbIteratorToken token;

	if (!JB_ROOT_IS_OBJECT(candidate))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a candidate is a JSON object")));
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		char *name;
		int   c = 0;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(key.val.string.val, key.val.string.len);
		JsonbIteratorNext(&it, &value, true);
		while (c < NCOLUMNS && strcmp(columns[c].column, name) != 0)
			c++;
		if (c == NCOLUMNS)
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not known of a candidate", name),
				 errhint(
					 "A candidate may say name, mobile, email, birthday, gender, wechat_unionid, "
					 "nickname, address and city.")));
		if (value.type == jbvString)
			texts[c] = pnstrdup(value.val.string.val, value.val.string.len);
		else if (value.type == jbvNumeric)
			texts[c] = numeric_normalize(value.val.numeric);
		else if (value.type != jbvNull)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("\"%s\" of a candidate must be a text", name)));
	}
}
