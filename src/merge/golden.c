/*
 * golden.c: what a survivor says, of all that are it.
 *
 * Every member keeps its own values: those merged into another in their rows,
 * survivors in golden_record, whose rows of member and person say what was chosen
 * from all.  A field that differs from what was chosen was edited since, and is
 * the survivor's own.  So the golden record is a function of what the live
 * members say, and undoing a merge needs no copy of how it was.
 */
#include "crm_member.h"
#include "merge/merge.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

static const char *const fields[] = {"name", "mobile", "email", "birthday", "gender", "joined_at"};

/* What one member says itself. */
typedef struct Source
{
	int64		member_id;
	Jsonb	   *own;
	Jsonb	   *present;		/* what its rows say */
	bool		golden;			/* they say what was chosen */
	TimestampTz joined_at;
	TimestampTz verified[2];	/* mobile, email: since when it is found by it */
	double		trust;
} Source;

typedef struct Golden
{
	int64		root;
	Source	   *sources;		/* the root first, then by joined_at */
	int			n;
	Jsonb	   *rules;			/* field to rule */
	Jsonb	   *groups;			/* field to the group it belongs to */
} Golden;

static JsonbValue *
Get(const Jsonb *object, const char *key)
{
	return getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &object->root), key, strlen(key), NULL);
}

/* NULL for null as well. */
static JsonbValue *
GetValue(const Jsonb *object, const char *key)
{
	JsonbValue *value = Get(object, key);

	return value == NULL || value->type == jbvNull ? NULL : value;
}

static bool
SameValue(JsonbValue *a, JsonbValue *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return compareJsonbContainers(&JsonbValueToJsonb(a)->root, &JsonbValueToJsonb(b)->root) == 0;
}

/* A value as text: without quotes, where it is one. */
static char *
ValueText(JsonbValue *value)
{
	Jsonb	   *jsonb;

	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	jsonb = JsonbValueToJsonb(value);
	return JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
}

static char *
TextOf(const Jsonb *object, const char *key)
{
	JsonbValue *value = GetValue(object, key);

	return value == NULL ? NULL : ValueText(value);
}

/* Above 0: of two sources of a field the first is better by its rule. */
static int
CompareBy(const Golden *golden, const char *rule, const char *field, const Source *a, JsonbValue *x,
		  const Source *b, JsonbValue *y)
{
	if (strcmp(rule, "earliest") == 0)
		return a->joined_at < b->joined_at ? 1 : -(a->joined_at > b->joined_at);
	if (strcmp(rule, "latest") == 0)
		return a->joined_at > b->joined_at ? 1 : -(a->joined_at < b->joined_at);
	if (strcmp(rule, "trusted") == 0)
		return a->trust > b->trust ? 1 : -(a->trust < b->trust);
	if (strcmp(rule, "verified") == 0)
	{
		int			i = strcmp(field, "mobile") == 0 ? 0 : strcmp(field, "email") == 0 ? 1 : -1;

		return i < 0 ? 0 : a->verified[i] > b->verified[i] ? 1 : -(a->verified[i] < b->verified[i]);
	}
	if (x != NULL && y != NULL)
	{
		char	   *first = ValueText(x);
		char	   *second = ValueText(y);

		if (strcmp(rule, "longest") == 0)
			return pg_mbstrlen(first) - pg_mbstrlen(second);
		if (strcmp(rule, "min") == 0 || strcmp(rule, "max") == 0)
		{
			int			order = x->type == jbvNumeric && y->type == jbvNumeric
				? DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(x->val.numeric),
													NumericGetDatum(y->val.numeric)))
				: strcmp(first, second);

			return *rule == 'm' && rule[1] == 'i' ? -order : order;
		}
		if (strcmp(rule, "frequent") == 0)
		{
			int			more = 0;
			const char *key = field;
			bool		attribute = strncmp(field, "attrs.", 6) == 0;

			for (int i = 0; i < golden->n; i++)
			{
				const Jsonb *own = golden->sources[i].own;
				JsonbValue *value;

				if (attribute)
				{
					own = JsonbValueToJsonb(Get(own, "attrs"));
					key = field + 6;
				}
				value = GetValue(own, key);
				more += SameValue(value, x);
				more -= SameValue(value, y);
			}
			return more;
		}
	}
	if (*rule >= '0' && *rule <= '9')
	{
		int64		member_id = DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(rule)));

		return (a->member_id == member_id) - (b->member_id == member_id);
	}
	return 0;
}

static const char *
RuleOf(const Golden *golden, const char *field)
{
	const char *rule = TextOf(golden->rules, field);

	return rule == NULL ? "survivor" : rule;
}

/* The best source of a field among values, NULL where it has none; -1: none has. */
static int
Choose(const Golden *golden, const char *field, JsonbValue **values)
{
	const char *rule = RuleOf(golden, field);
	int			best = -1;

	for (int i = 0; i < golden->n; i++)
	{
		if (values[i] != NULL &&
			(best < 0 || CompareBy(golden, rule, field, &golden->sources[i], values[i],
								   &golden->sources[best], values[best]) > 0))
			best = i;
	}
	return best;
}

static void
Push(JsonbParseState **state, const char *key, int length, JsonbValue *value)
{
	JsonbValue	name;
	JsonbValue	none = {.type = jbvNull};

	name.type = jbvString;
	name.val.string.val = unconstify(char *, key);
	name.val.string.len = length;
	pushJsonbValue(state, WJB_KEY, &name);
	pushJsonbValue(state, WJB_VALUE, value == NULL ? &none : value);
}

static void
PushJsonb(JsonbParseState **state, const char *key, const Jsonb *jsonb)
{
	JsonbValue	value;

	value.type = jbvBinary;
	value.val.binary.data = unconstify(JsonbContainer *, &jsonb->root);
	value.val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
	Push(state, key, strlen(key), &value);
}

static Jsonb *
Attributes(const Source *source)
{
	return JsonbValueToJsonb(Get(source->own, "attrs"));
}

/* The attributes that belong together come from one source; the others each from its best. */
static Jsonb *
ChooseAttributes(const Golden *golden)
{
	JsonbParseState *state = NULL;
	JsonbValue **values = palloc(sizeof(JsonbValue *) * golden->n);
	Jsonb	  **attrs = palloc(sizeof(Jsonb *) * golden->n);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < golden->n; i++)
		attrs[i] = Attributes(&golden->sources[i]);
	for (int i = 0; i < golden->n; i++)
	{
		JsonbIterator *iterator = JsonbIteratorInit(&attrs[i]->root);
		JsonbValue	item;
		JsonbIteratorToken token;

		while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
		{
			char	   *key;
			char	   *field;
			char	   *group;
			int			best = -1;
			bool		seen = false;

			if (token != WJB_KEY)
				continue;
			key = pnstrdup(item.val.string.val, item.val.string.len);
			for (int j = 0; j < i && !seen; j++)
				seen = Get(attrs[j], key) != NULL;
			if (seen)
				continue;
			field = psprintf("attrs.%s", key);
			group = TextOf(golden->groups, field);
			for (int j = 0; j < golden->n; j++)
			{
				values[j] = Get(attrs[j], key);
				if (group != NULL)
				{
					/* who has any of the group stands for all of it */
					JsonbIterator *own = JsonbIteratorInit(&attrs[j]->root);
					JsonbValue	other;

					values[j] = NULL;
					while ((token = JsonbIteratorNext(&own, &other, true)) != WJB_DONE)
					{
						char	   *name;

						if (token != WJB_KEY)
							continue;
						name = psprintf("attrs.%.*s", other.val.string.len, other.val.string.val);
						name = TextOf(golden->groups, name);
						if (name != NULL && strcmp(name, group) == 0)
							values[j] = Get(golden->sources[j].own, "attrs");
					}
				}
			}
			best = Choose(golden, group == NULL ? field : group, values);
			if (best >= 0 && group != NULL)
				values[best] = Get(attrs[best], key);
			if (best < 0 || values[best] == NULL)
				continue;
			Push(&state, key, strlen(key), values[best]);
		}
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static int
CompareTexts(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

static Jsonb *
UniteTags(const Golden *golden)
{
	JsonbParseState *state = NULL;
	char	  **tags = NULL;
	int			n = 0;
	int			max = 0;

	for (int i = 0; i < golden->n; i++)
	{
		Jsonb	   *own = JsonbValueToJsonb(Get(golden->sources[i].own, "tags"));
		JsonbIterator *iterator = JsonbIteratorInit(&own->root);
		JsonbValue	item;
		JsonbIteratorToken token;

		while ((token = JsonbIteratorNext(&iterator, &item, false)) != WJB_DONE)
		{
			if (token != WJB_ELEM)
				continue;
			if (n == max)
			{
				max = max * 2 + 8;
				tags = tags == NULL ? palloc(sizeof(char *) * max) : repalloc(tags, sizeof(char *) * max);
			}
			tags[n++] = pnstrdup(item.val.string.val, item.val.string.len);
		}
	}
	if (n > 0)
		qsort(tags, n, sizeof(char *), CompareTexts);
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		JsonbValue	tag;

		if (i > 0 && strcmp(tags[i - 1], tags[i]) == 0)
			continue;
		tag.type = jbvString;
		tag.val.string.val = tags[i];
		tag.val.string.len = strlen(tags[i]);
		pushJsonbValue(&state, WJB_ELEM, &tag);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* chosen: field to member, as text of a JSON object that is open. */
static Jsonb *
ChooseProfile(const Golden *golden, StringInfo chosen)
{
	JsonbParseState *state = NULL;
	JsonbValue **values = palloc(sizeof(JsonbValue *) * golden->n);
	JsonbValue	person = {.type = jbvBool};

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int f = 0; f < lengthof(fields); f++)
	{
		int			best;

		for (int i = 0; i < golden->n; i++)
			values[i] = GetValue(golden->sources[i].own, fields[f]);
		best = Choose(golden, fields[f], values);
		Push(&state, fields[f], strlen(fields[f]), best < 0 ? NULL : values[best]);
		if (best >= 0)
			appendStringInfo(chosen, "%s\"%s\": " INT64_FORMAT, chosen->data[chosen->len - 1] == '{' ? "" : ", ",
							 fields[f], golden->sources[best].member_id);
	}
	for (int i = 0; i < golden->n; i++)
		person.val.boolean |= Get(golden->sources[i].own, "person")->val.boolean;
	Push(&state, "person", strlen("person"), &person);
	PushJsonb(&state, "tags", UniteTags(golden));
	PushJsonb(&state, "attrs", ChooseAttributes(golden));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Make the rows of a member say what a profile says; what they say already is not written. */
static void
WriteProfile(int64 member_id, const Jsonb *present, const Jsonb *wanted)
{
	static CrmQuery member = {
		"UPDATE crm_member.member SET joined_at = ($2->>'joined_at')::timestamp AT TIME ZONE 'UTC', "
		"tags = ARRAY(SELECT jsonb_array_elements_text($2->'tags')), attrs = $2->'attrs' "
		"WHERE member_id = $1",
		2, {INT8OID, JSONBOID}};
	static CrmQuery person = {
		"INSERT INTO crm_member.person (member_id, name, mobile, email, birthday, gender) "
		"VALUES ($1, $2->>'name', $2->>'mobile', $2->>'email', ($2->>'birthday')::date, $2->>'gender') "
		"ON CONFLICT (member_id) DO UPDATE SET name = excluded.name, mobile = excluded.mobile, "
		"email = excluded.email, birthday = excluded.birthday, gender = excluded.gender",
		2, {INT8OID, JSONBOID}};
	static CrmQuery nobody = {
		"DELETE FROM crm_member.person WHERE member_id = $1", 1, {INT8OID}};
	static const char *const of_member[] = {"joined_at", "tags", "attrs"};
	static const char *const of_person[] = {"person", "name", "mobile", "email", "birthday", "gender"};
	bool		same_member = true;
	bool		same_person = true;
	Datum		values[2];

	for (int i = 0; i < lengthof(of_member); i++)
		same_member &= SameValue(Get(present, of_member[i]), Get(wanted, of_member[i]));
	for (int i = 0; i < lengthof(of_person); i++)
		same_person &= SameValue(Get(present, of_person[i]), Get(wanted, of_person[i]));
	values[0] = Int64GetDatum(member_id);
	values[1] = JsonbPGetDatum(wanted);
	if (!same_member)
		RunQuery(&member, values, NULL, false, 0);
	if (!same_person)
		RunQuery(Get(wanted, "person")->val.boolean ? &person : &nobody, values, NULL, false, 0);
}

#define PROFILE \
	"jsonb_build_object('joined_at', m.joined_at AT TIME ZONE 'UTC', 'tags', to_jsonb(m.tags), " \
	"'attrs', m.attrs, 'person', p.member_id IS NOT NULL, 'name', p.name, 'mobile', p.mobile, " \
	"'email', p.email, 'birthday', p.birthday, 'gender', p.gender)"

/* Of the members $1: what they say themselves, and what their rows say. */
static Source *
ReadSources(const int64 *members, int n)
{
	static CrmQuery query = {
		"SELECT x.member_id, CASE WHEN g.member_id IS NULL THEN x.profile ELSE "
		"(SELECT jsonb_object_agg(f.key, CASE WHEN f.value = g.golden->f.key THEN g.own->f.key ELSE f.value END) "
		"FROM jsonb_each(x.profile) f) END, x.profile, g.member_id IS NOT NULL, x.trust, x.half_life, "
		"(SELECT max(i.bound_at) FROM crm_member.identity i WHERE i.member_id = x.member_id AND i.kind = 'mobile'), "
		"(SELECT max(i.bound_at) FROM crm_member.identity i WHERE i.member_id = x.member_id AND i.kind = 'email') "
		"FROM (SELECT m.member_id, " PROFILE " AS profile, t.trust, extract(epoch FROM t.half_life)::float8 AS half_life "
		"FROM unnest($1) AS u (member_id) "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.member m WHERE m.member_id = u.member_id OFFSET 0) m "
		"LEFT JOIN LATERAL (SELECT * FROM crm_member.person p WHERE p.member_id = m.member_id OFFSET 0) p ON true "
		"LEFT JOIN LATERAL (SELECT * FROM crm_member.merge_source t WHERE t.source = m.source OFFSET 0) t ON true) x "
		"LEFT JOIN LATERAL (SELECT * FROM crm_member.golden_record g WHERE g.member_id = x.member_id OFFSET 0) g ON true",
		1, {INT8ARRAYOID}};
	Datum		value = IdArray(members, n);
	Source	   *sources = palloc0(sizeof(Source) * n);
	double	   *half_lives = palloc0(sizeof(double) * n);
	TimestampTz latest = DT_NOBEGIN;

	if (RunQuery(&query, &value, NULL, false, 0) != n)
		elog(ERROR, "members of a merge were not found");
	for (int i = 0; i < n; i++)
	{
		Source	   *source = &sources[i];
		bool		isnull;
		Datum		datum;

		source->member_id = DatumGetInt64(QueryColumn(i, 1, &isnull));
		source->own = DatumGetJsonbPCopy(QueryColumn(i, 2, &isnull));
		source->present = DatumGetJsonbPCopy(QueryColumn(i, 3, &isnull));
		source->golden = DatumGetBool(QueryColumn(i, 4, &isnull));
		datum = QueryColumn(i, 5, &isnull);
		source->trust = isnull ? 0 : DatumGetFloat8(datum);
		datum = QueryColumn(i, 6, &isnull);
		half_lives[i] = isnull ? 0 : DatumGetFloat8(datum);
		for (int v = 0; v < 2; v++)
		{
			datum = QueryColumn(i, 7 + v, &isnull);
			source->verified[v] = isnull ? DT_NOBEGIN : DatumGetTimestampTz(datum);
		}
		source->joined_at =
			DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
													CStringGetDatum(psprintf("%sZ", TextOf(source->own, "joined_at"))),
													ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
		latest = Max(latest, source->joined_at);
	}
	/* older sources are trusted less, against the newest of them: the outcome does not depend on today */
	for (int i = 0; i < n; i++)
	{
		if (half_lives[i] > 0 && !TIMESTAMP_NOT_FINITE(sources[i].joined_at) && !TIMESTAMP_NOT_FINITE(latest))
			sources[i].trust *= pow(0.5, (latest - sources[i].joined_at) / 1e6 / half_lives[i]);
	}
	return sources;
}

static int64 sorting_root;

static int
CompareSources(const void *a, const void *b)
{
	const Source *x = a;
	const Source *y = b;

	if ((x->member_id == sorting_root) != (y->member_id == sorting_root))
		return x->member_id == sorting_root ? -1 : 1;
	if (x->joined_at != y->joined_at)
		return x->joined_at < y->joined_at ? -1 : 1;
	return x->member_id < y->member_id ? -1 : 1;
}

static void
ReadRules(Golden *golden, const int64 *members, int n)
{
	static CrmQuery query = {
		"SELECT coalesce(jsonb_object_agg(f.field, f.rule), '{}') || "
		"(SELECT coalesce(jsonb_object_agg(f.key, f.value ORDER BY e.position), '{}') "
		"FROM unnest($1) AS m (member_id) CROSS JOIN LATERAL (SELECT * FROM crm_member.merge_edge e "
		"WHERE e.member_id = m.member_id AND e.undone_by IS NULL OFFSET 0) e "
		"CROSS JOIN LATERAL jsonb_each(e.fields) f), "
		"coalesce(jsonb_object_agg(f.field, f.grouped) FILTER (WHERE f.grouped IS NOT NULL), '{}') "
		"FROM crm_member.merge_field f",
		1, {INT8ARRAYOID}};
	Datum		value = IdArray(members, n);
	bool		isnull;

	RunQuery(&query, &value, NULL, false, 1);
	golden->rules = DatumGetJsonbPCopy(QueryColumn(0, 1, &isnull));
	golden->groups = DatumGetJsonbPCopy(QueryColumn(0, 2, &isnull));
}

static void
RefreshGolden(const Kin *kin, const KinMember *root, StringInfo report)
{
	static CrmQuery note = {
		"INSERT INTO crm_member.golden_record (member_id, own, golden, sources) VALUES ($1, $2, $3, $4) "
		"ON CONFLICT (member_id) DO UPDATE SET own = excluded.own, golden = excluded.golden, "
		"sources = excluded.sources",
		4, {INT8OID, JSONBOID, JSONBOID, JSONBOID}};
	Golden		golden = {.root = root->member_id};
	int64	   *members = palloc(sizeof(int64) * kin->n);
	StringInfoData chosen;
	Jsonb	   *profile;
	Datum		values[4];

	for (int i = 0; i < kin->n; i++)
	{
		if (kin->members[i].root == root->member_id)
			members[golden.n++] = kin->members[i].member_id;
	}
	golden.sources = ReadSources(members, golden.n);
	ReadRules(&golden, members, golden.n);
	sorting_root = root->member_id;
	qsort(golden.sources, golden.n, sizeof(Source), CompareSources);

	initStringInfo(&chosen);
	appendStringInfoChar(&chosen, '{');
	profile = ChooseProfile(&golden, &chosen);
	if (root->tier_source != 0)
		appendStringInfo(&chosen, "%s\"tier\": " INT64_FORMAT, chosen.len > 1 ? ", " : "", root->tier_source);
	appendStringInfoChar(&chosen, '}');
	WriteProfile(root->member_id, golden.sources[0].present, profile);
	values[0] = Int64GetDatum(root->member_id);
	values[1] = JsonbPGetDatum(golden.sources[0].own);
	values[2] = JsonbPGetDatum(profile);
	values[3] = DirectFunctionCall1(jsonb_in, CStringGetDatum(chosen.data));
	RunQuery(&note, values, NULL, false, 0);
	appendStringInfo(report, "\"" INT64_FORMAT "\": %s", root->member_id, chosen.data);
}

/* Who survives nobody any more says again what it says itself. */
static void
RestoreProfiles(const Kin *kin)
{
	static CrmQuery query = {
		"SELECT member_id FROM crm_member.golden_record WHERE member_id = ANY ($1) ORDER BY 1",
		1, {INT8ARRAYOID}};
	static CrmQuery forget = {
		"DELETE FROM crm_member.golden_record WHERE member_id = $1", 1, {INT8OID}};
	int64	   *members = palloc(sizeof(int64) * kin->n);
	Datum		value;
	uint64		found;
	int			n = 0;

	for (int i = 0; i < kin->n; i++)
	{
		if (!kin->members[i].family)
			members[n++] = kin->members[i].member_id;
	}
	value = IdArray(members, n);
	found = n == 0 ? 0 : RunQuery(&query, &value, NULL, false, 0);
	for (uint64 row = 0; row < found; row++)
	{
		bool		isnull;

		members[row] = DatumGetInt64(QueryColumn(row, 1, &isnull));
	}
	for (uint64 row = 0; row < found; row++)
	{
		Source	   *source = ReadSources(&members[row], 1);

		value = Int64GetDatum(members[row]);
		WriteProfile(members[row], source->present, source->own);
		RunQuery(&forget, &value, NULL, false, 0);
	}
}

void
ChooseGolden(const Kin *kin, StringInfo report)
{
	const char *separator = "";

	RestoreProfiles(kin);
	appendStringInfoString(report, ", \"golden\": {");
	for (int i = 0; i < kin->n; i++)
	{
		if (!kin->members[i].family)
			continue;
		CHECK_FOR_INTERRUPTS();
		appendStringInfoString(report, separator);
		RefreshGolden(kin, &kin->members[i], report);
		separator = ", ";
	}
	appendStringInfoChar(report, '}');
}
