/*
 * member.c: who is this?  Looking for members like a candidate, by the keys
 * of match_key, before a new member is made.
 *
 * A key that too many members hold is only looked up together with a second one,
 * so that the work does not grow with how common a name is.
 */
#include "match/match.h"
#include "catalog.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include <math.h>

#define KEY_LIMIT 60 /* members looked at for one key */
#define ANY_LIMIT 80 /* and for all keys at once */
#define PART_MEMBERS 200000 /* beyond so many, part of a name with part of a birthday says nothing */
#define MAX_LIMIT 1000
#define LEAST_LIKELY 0.01
#define BEFOREHAND 0.5 /* chance that a candidate is a member already */
#define NCOLUMNS CANDIDATE_COLUMNS

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
	value = IdArray(keys, n);
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
	int64 keys[MATCH_MAX_KEYS];
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
	values[0] = IdArray(one->keys, one->n);
	values[1] = IdArray(other->keys, other->n);
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
	char          *texts[NCOLUMNS] = {NULL};
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
		Datum     values[3] = {IdArray(found.members, Min(found.n, MATCH_MAX_KEYS)),
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
		model->related = Min(model->prior * model->related, 0.25);
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
