/*
 * match_member.c: who is this?  Looking for members like a candidate, by the keys
 * of match_key, before a new member is made.
 *
 * The keys of a member are those of name, mobile, e-mail and birthday that also
 * make the blocks of find_duplicates.  A key that too many members hold is only
 * looked up together with a second one.  They are hashed under a secret of the
 * installation.  m and u are those of the last run of
 * the model member, or the comparators' own while there is none.
 */
#include "merge/match.h"
#include "catalog.h"
#include "query.h"
#include "secret.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include <math.h>

#define KEY_LIMIT 60 /* members looked at for one key */
#define MAX_KEYS 256
#define ANY_LIMIT 80 /* and for all keys at once */
#define PART_MEMBERS 200000 /* beyond so many, part of a name with part of a birthday says nothing */
#define MAX_LIMIT 1000
#define LEAST_LIKELY 0.01
#define DEFAULT_IDLE 90  /* days, where the model member has been deleted */
#define BEFOREHAND 0.5 /* chance that a candidate is a member already */

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

/* Shares estimated by the last run, kept for the session. */
typedef struct Shares
{
	bool   estimated;
	double m[MATCH_MAX_LEVELS];
	double u[MATCH_MAX_LEVELS];
	double r[MATCH_MAX_LEVELS];
} Shares;

static Shares shares[lengthof(columns)];
static double related_per_match;
static int    idle_days;
static bool   shares_valid = false;

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
LoadShares(void)
{
	static const char *const watched[] = {"match_run", "match_model"};
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
	Datum  document;
	Jsonb *parameters;
	bool   isnull;
	uint64 n;
	double prior;

	if (shares_valid)
		return;
	WatchRelations(&shares_valid, watched, lengthof(watched));
	shares_valid = true;
	memset(shares, 0, sizeof(shares));
	related_per_match = 0.1;
	idle_days = RunQuery(&idle, NULL, NULL, true, 1) == 0
					? DEFAULT_IDLE
					: DatumGetInt32(QueryColumn(0, 1, &isnull));
	if (RunQuery(&last, NULL, NULL, true, 1) == 0)
		return;
	parameters = DatumGetJsonbPCopy(QueryColumn(0, 1, &isnull));
	prior = JsonNumber(parameters, "{prior}");
	if (prior > 0)
		related_per_match = JsonNumber(parameters, "{related}") / prior;
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
			shares[c].estimated = true;
			shares[c].m[level] = DatumGetFloat8(QueryColumn(i, 4, &isnull));
			shares[c].u[level] = DatumGetFloat8(QueryColumn(i, 5, &isnull));
			shares[c].r[level] = DatumGetFloat8(QueryColumn(i, 6, &isnull));
		}
	}
}

MatchModel *
MemberModel(int nfields, bool with_shares)
{
	MatchModel *model = palloc0(sizeof(MatchModel));

	model->context = CurrentMemoryContext;
	model->code = "member";
	for (int c = 0; c < nfields; c++)
	{
		MatchField       *field = AddField(model, columns[c].column, columns[c].comparator);
		const Comparator *comparator = field->comparator;

		field->seen = (char *) columns[c].seen;
		field->idle = idle_days;
		for (int l = 0; l < comparator->nlevels; l++)
		{
			bool estimated = with_shares && shares[c].estimated;

			field->m[l] = estimated ? shares[c].m[l] : comparator->levels[l].m;
			field->u[l] = estimated ? shares[c].u[l] : comparator->levels[l].u;
			field->r[l] = estimated                         ? shares[c].r[l]
						  : comparator->role == ROLE_SHARED ? field->m[l]
						  : comparator->role == ROLE_KIN    ? comparator->related[l]
															: field->u[l];
		}
	}
	FindPartners(model);
	return model;
}

static Secret secret = {"match_secret", {"SELECT key, false FROM crm_member.match_secret", 0}};

/* Keyed, for the few telephone numbers there are could all be tried. */
int64
MemberKey(int column, uint64 key)
{
	uint64 words[SIP_LANES] = {MixHash(column + 1, key)}, hashes[SIP_LANES];

	SipHash(GetSecret(&secret)->keys, words, hashes);
	return (int64) hashes[0];
}

/* match_key_version(): what keys depend on besides the person */
PG_FUNCTION_INFO_V1(crm_match_key_version);
Datum
crm_match_key_version(PG_FUNCTION_ARGS)
{
	uint64 words[SIP_LANES] = {0}, hashes[SIP_LANES];

	SipHash(GetSecret(&secret)->keys, words, hashes);
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
	int64       keys[MAX_KEYS];
	Datum       values[MAX_KEYS];
	ArrayType  *result;
	int         n;

	for (int c = 0; c < KEYED_FIELDS; c++)
	{
		if (PG_ARGISNULL(c))
			continue;
		cells[c] = ReadValue(&model->fields[c], text_to_cstring(PG_GETARG_TEXT_PP(c)), scratch);
	}
	n = CollectKeys(model, cells, keys, lengthof(keys));
	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(keys[i]);
	MemoryContextSwitchTo(old);
	result = construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	MemoryContextDelete(context);
	PG_RETURN_ARRAYTYPE_P(result);
}

/* The first keys of a name, which are the whole name and its letters; a part of one is no name. */
int
WholeNameKeys(const MatchValue *name)
{
	if (name == NULL || name->kind == NAME_MASKED)
		return 0;
	return Min(2, name->nkeys - name->nweak);
}

typedef struct Found
{
	int64 *members;
	int    n;
	int    size;
	int    left_out; /* keys that too many members hold to be looked up alone */
} Found;

static void
AddFound(Found *found)
{
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool  isnull;
		int64 member = DatumGetInt64(QueryColumn(i, 1, &isnull));
		bool  known = false;

		for (int k = 0; k < found->n && !known; k++)
			known = found->members[k] == member;
		if (known)
			continue;
		if (found->n == found->size)
		{
			found->size *= 2;
			found->members = repalloc(found->members, found->size * sizeof(int64));
		}
		found->members[found->n++] = member;
	}
}

static Datum
KeyArray(const int64 *keys, int n)
{
	Datum values[MAX_KEYS];

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(keys[i]);
	return PointerGetDatum(
		construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * Members that hold any of some keys.  Where that is too many, the keys are halved
 * until one that too many hold is alone, and left out.
 */
static void
LookUpAny(const int64 *keys, int n, Found *found)
{
	static CrmQuery by_any = {
		"SELECT member_id FROM crm_member.match_key WHERE keys && $1 LIMIT 81", 1, {INT8ARRAYOID}};
	int   limit = n == 1 ? KEY_LIMIT : ANY_LIMIT;
	Datum value;

	if (n == 0)
		return;
	value = KeyArray(keys, n);
	if (RunQuery(&by_any, &value, NULL, true, limit + 1) <= limit)
		AddFound(found);
	else if (n == 1)
		found->left_out++;
	else
	{
		LookUpAny(keys, n / 2, found);
		LookUpAny(keys + n / 2, n - n / 2, found);
	}
}

typedef struct KeySet
{
	int64 keys[MAX_KEYS];
	int   n;
} KeySet;

static void
TakeKeys(KeySet *set, int c, const MatchValue *value, int from, int to)
{
	for (int k = from;
		 value != NULL && k < Min(to, value->nkeys) && set->n < (int) lengthof(set->keys); k++)
		set->keys[set->n++] = MemberKey(c, value->keys[k]);
}

/*
 * Members that hold a key of each of two sets.  What many hold must not be asked
 * together with what few hold: it would use up the limit.
 */
static void
LookUpBoth(const KeySet *one, const KeySet *other, Found *found)
{
	static CrmQuery by_two = {
		"SELECT member_id FROM crm_member.match_key WHERE keys && $1 AND keys && $2 LIMIT 60",
		2,
		{INT8ARRAYOID, INT8ARRAYOID}};
	Datum values[2];

	if (one->n == 0 || other->n == 0)
		return;
	values[0] = KeyArray(one->keys, one->n);
	values[1] = KeyArray(other->keys, other->n);
	RunQuery(&by_two, values, NULL, true, KEY_LIMIT);
	AddFound(found);
}

/*
 * Members that share a key.  A whole name, a telephone or an e-mail address is
 * asked for alone, unless too many hold it; parts of a name and a birthday, or
 * what too many hold, only together: the whole birthday first, then parts of it.
 */
static void
LookUp(MatchModel *model, const uint32 *cells, const char *unionid, double members, Found *found)
{
	static CrmQuery by_unionid = {
		"SELECT member_id FROM crm_member.identity WHERE kind = 'wechat_unionid' AND value = $1",
		1,
		{TEXTOID}};
	const MatchValue *value[KEYED_FIELDS];
	KeySet            alone = {.n = 0}, names = {.n = 0}, rare = {.n = 0}, common = {.n = 0};
	Datum             values[1];

	for (int c = 0; c < KEYED_FIELDS; c++)
	{
		value[c] = cells[c] == 0 ? NULL : model->fields[c].values[cells[c]];
		if (c < KEYED_FIELDS - 1)
			TakeKeys(&alone, c, value[c], 0, c == 0 ? WholeNameKeys(value[c]) : PG_INT16_MAX);
	}
	TakeKeys(&names, 0, value[0], 0, PG_INT16_MAX);
	TakeKeys(&rare, KEYED_FIELDS - 1, value[KEYED_FIELDS - 1], 0, 1);
	TakeKeys(&common, KEYED_FIELDS - 1, value[KEYED_FIELDS - 1], 1, PG_INT16_MAX);

	LookUpAny(alone.keys, alone.n, found);
	if (found->left_out > 0)
	{
		/* a common name with part of the telephone or the e-mail address */
		TakeKeys(&rare, 1, value[1], 0, PG_INT16_MAX);
		TakeKeys(&rare, 2, value[2], 0, PG_INT16_MAX);
	}
	LookUpBoth(&names, &rare, found);
	if (members > PART_MEMBERS)
		names.n = Min(names.n, WholeNameKeys(value[0]));
	LookUpBoth(&names, &common, found);
	if (unionid != NULL)
	{
		values[0] = CStringGetTextDatum(unionid);
		RunQuery(&by_unionid, values, NULL, true, 0);
		AddFound(found);
	}
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

static double
CountMembers(void)
{
	static CrmQuery query = {
		"SELECT CASE WHEN reltuples > 0 THEN reltuples::float8 ELSE "
		"(SELECT count(*) FROM (SELECT FROM crm_member.match_key LIMIT 1000) AS part) END "
		"FROM pg_class WHERE oid = 'crm_member.match_key'::regclass",
		0};
	bool isnull;

	RunQuery(&query, NULL, NULL, true, 1);
	return Max(DatumGetFloat8(QueryColumn(0, 1, &isnull)), 1);
}

/* What the rows found are read with: frequencies of what the keys find in full. */
static void
SetFrequencies(MatchModel *model, MatchData *data, double members)
{
	uint32 *cluster = palloc(data->nrows * sizeof(uint32));

	for (uint32 i = 0; i < data->nrows; i++)
		cluster[i] = i;
	CountEntities(model, data, cluster);
	for (int f = 0; f < model->nfields; f++)
	{
		MatchField *field = &model->fields[f];

		for (int form = 0; form < MATCH_MAX_FORMS; form++)
		{
			bool keyed = f < KEYED_FIELDS - 1 && form < 2;

			field->holders[form] = members;
			field->rare[form] = 0.1;
			if (!keyed)
				field->entities[form] = NULL;
		}
	}
	pfree(cluster);
}

typedef struct Likely
{
	int64  member;
	uint32 row;
	uint64 pattern;
	int32  weight;
	int32  relation;
} Likely;

static int
CompareLikely(const void *x, const void *y)
{
	const Likely *a = x, *b = y;

	if (a->weight != b->weight)
		return a->weight > b->weight ? -1 : 1;
	return a->member < b->member ? -1 : a->member > b->member;
}

static void
PutRow(ReturnSetInfo *info, MatchModel *model, MatchData *data, const Likely *likely,
	   const uint32 *cluster, int left_out)
{
	Datum values[4];
	bool  nulls[4] = {false};
	char *p = psprintf("%.8f", WeightProbability(likely->weight));
	char *evidence = EvidenceText(model, data, 0, likely->row, likely->pattern, cluster,
								  likely->relation);

	if (left_out > 0)
		evidence = psprintf("{\"left_out\": %d, %s", left_out, evidence + 1);

	values[0] = Int64GetDatum(likely->member);
	values[1] = DirectFunctionCall3(numeric_in, CStringGetDatum(p), ObjectIdGetDatum(InvalidOid),
									Int32GetDatum(-1));
	values[2] = DirectFunctionCall3(numeric_in, CStringGetDatum(BitsText(likely->weight)),
									ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	values[3] = DirectFunctionCall1(jsonb_in, CStringGetDatum(evidence));
	tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
}

/* match_member(candidate jsonb, limit int) */
PG_FUNCTION_INFO_V1(crm_match_member);
Datum
crm_match_member(PG_FUNCTION_ARGS)
{
	/* the columns of match_record, identities only where the candidate names one */
	static CrmQuery fetch = {
		"SELECT coalesce(crm_member.canonical_member(m.merged_into), m.member_id), p.name, "
		"p.mobile, p.email, "
		"p.birthday::text, p.gender, "
		"CASE WHEN $2 THEN (SELECT min(i.value) FROM crm_member.identity AS i "
		"WHERE i.member_id = p.member_id AND i.kind = 'wechat_unionid') END, "
		"coalesce(CASE WHEN $2 THEN (SELECT min(i.value) FROM crm_member.identity AS i "
		"WHERE i.member_id = p.member_id AND i.kind LIKE 'nickname:%') END, m.attrs ->> "
		"'nickname'), "
		"m.attrs ->> 'address', m.attrs ->> 'city', "
		"CASE WHEN p.mobile = $3 THEN (SELECT r.mobile_since::text FROM crm_member.match_record AS r "
		"WHERE r.member_id = p.member_id) END, "
		"CASE WHEN p.mobile = $3 THEN (SELECT r.mobile_until::text FROM crm_member.match_record AS r "
		"WHERE r.member_id = p.member_id) END "
		"FROM crm_member.person AS p JOIN crm_member.member AS m ON m.member_id = p.member_id "
		"WHERE p.member_id = ANY ($1)",
		3,
		{INT8ARRAYOID, BOOLOID, TEXTOID}};
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	char          *texts[lengthof(columns)] = {NULL};
	int32          limit;
	MemoryContext  scratch, context, old;
	MatchModel    *model;
	MatchData      data = {0};
	Found          found = {0};
	Likely        *likely;
	uint32        *cluster;
	double         members;
	int            nlikely = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	limit = PG_ARGISNULL(1) ? 10 : PG_GETARG_INT32(1);
	if (limit < 1 || limit > MAX_LIMIT)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("limit %d is out of range", limit),
						errdetail("It is 1 to %d.", MAX_LIMIT)));
	CrmRelation("match_key");
	context =
		AllocSetContextCreate(CurrentMemoryContext, "crm_member match", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	scratch = AllocSetContextCreate(context, "crm_member match text", ALLOCSET_SMALL_SIZES);
	ReadCandidate(PG_GETARG_JSONB_P(0), texts);

	SPI_connect();
	LoadShares();
	MemoryContextSwitchTo(context);
	model = MemberModel(NCOLUMNS, true);
	found.size = 64;
	found.members = palloc(found.size * sizeof(int64));
	data.cells = palloc0((size_t) NCOLUMNS * sizeof(uint32));
	for (int c = 0; c < NCOLUMNS; c++)
	{
		if (texts[c] != NULL)
			data.cells[c] = ReadValue(&model->fields[c], texts[c], scratch);
	}
	DropNicknames(model, data.cells);
	members = CountMembers();
	LookUp(model, data.cells, texts[5], members, &found);

	if (found.n > 0)
	{
		char     *mobile = texts[1] == NULL ? NULL : NormalizePhone(texts[1]);
		Datum     values[3] = {KeyArray(found.members, Min(found.n, MAX_KEYS)),
							   BoolGetDatum(texts[5] != NULL || texts[6] != NULL),
							   CStringGetTextDatum(mobile == NULL ? "" : mobile)};
		int64    *canonical;
		Sighting *seen;

		RunQuery(&fetch, values, NULL, true, 0);
		data.nrows = SPI_processed + 1;
		data.cells = repalloc(data.cells, (Size) data.nrows * NCOLUMNS * sizeof(uint32));
		memset(data.cells + NCOLUMNS, 0, (Size) SPI_processed * NCOLUMNS * sizeof(uint32));
		canonical = palloc(data.nrows * sizeof(int64));
		cluster = palloc(data.nrows * sizeof(uint32));
		seen = palloc(data.nrows * sizeof(Sighting));
		for (uint32 i = 0; i < data.nrows; i++)
			cluster[i] = i;
		seen[0] = SeenNow();
		seen[0].cell = &data.cells[1];
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			uint32 *cells = data.cells + (i + 1) * NCOLUMNS;
			bool    isnull;

			canonical[i + 1] = DatumGetInt64(QueryColumn(i, 1, &isnull));
			for (int c = 0; c < NCOLUMNS; c++)
			{
				char *text = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, c + 2);

				if (text != NULL)
					cells[c] = ReadValue(&model->fields[c], text, scratch);
			}
			DropNicknames(model, cells);
			seen[i + 1] = ReadSighting(
				SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, NCOLUMNS + 2),
				SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, NCOLUMNS + 3));
			seen[i + 1].cell = &cells[1];
		}
		SplitByTime(&model->fields[1], seen, data.nrows);
		for (int c = 0; c < NCOLUMNS; c++)
			WeighTokens(&model->fields[c]);
		model->prior = Min(BEFOREHAND / members, 0.25);
		model->related = Min(model->prior * related_per_match, 0.25);
		SetFrequencies(model, &data, members);

		likely = palloc(data.nrows * sizeof(Likely));
		for (uint32 row = 1; row < data.nrows; row++)
		{
			Likely *l = &likely[nlikely++];

			l->member = canonical[row];
			l->row = row;
			l->pattern = ComparePattern(model, data.cells, data.cells + (Size) row * NCOLUMNS);
			l->weight = PairWeight(model, &data, 0, row, l->pattern, cluster, &l->relation);
		}
		qsort(likely, nlikely, sizeof(Likely), CompareLikely);
		for (int i = 0, put = 0; i < nlikely && put < limit; i++)
		{
			bool told = false;

			if (WeightProbability(likely[i].weight) < LEAST_LIKELY)
				break;

			/* a merged member and its survivor are one */
			for (int k = 0; k < i && !told; k++)
				told = likely[k].member == likely[i].member;
			if (told)
				continue;
			PutRow(info, model, &data, &likely[i], cluster, found.left_out);
			put++;
		}
	}
	SPI_finish();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}
