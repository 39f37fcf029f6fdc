/*
 * act.c: what merge_members() and unmerge() have in common as calls.
 */
#include "crm_member.h"
#include "argument.h"
#include "catalog.h"
#include "merge/act.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

void
RequireSetup(void)
{
	CrmRelation("setting");
}

void
ReadRequest(FunctionCallInfo fcinfo, int ref, int policy, int actor, MergeRequest *request)
{
	request->ref = TextArgument(fcinfo, ref);
	request->actor = TextArgument(fcinfo, actor);
	request->policy = PG_ARGISNULL(policy)
		? DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"))) : PG_GETARG_JSONB_P(policy);
}

void
SetFingerprint(MergeRequest *request, StringInfo said)
{
	appendStringInfoString(said, JsonbToCString(NULL, &request->policy->root, VARSIZE(request->policy)));
	request->fingerprint = (int64) hash_bytes_extended((unsigned char *) said->data, said->len, 0);
}

static JsonbValue *
PolicyValue(const Jsonb *policy, const char *key)
{
	return getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &policy->root), key, strlen(key), NULL);
}

static bool
IsText(const JsonbValue *value, const char *text)
{
	return value->type == jbvString && value->val.string.len == strlen(text) &&
		memcmp(value->val.string.val, text, value->val.string.len) == 0;
}

static bool
IsOneOf(const JsonbValue *value, const char *const *texts)
{
	for (; *texts != NULL; texts++)
	{
		if (IsText(value, *texts))
			return true;
	}
	return false;
}

static bool
IsTextArray(const JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbValue	item;
	JsonbIteratorToken token;

	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		return false;
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token == WJB_ELEM && item.type != jbvString)
			return false;
	}
	return true;
}

static void
BadPolicy(char *message, char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message),
					hint ? errhint("%s", hint) : 0));
}

static void
CheckKeys(const Jsonb *policy, const char *const *known, char *hint)
{
	JsonbIterator *iterator;
	JsonbValue	item;
	JsonbIteratorToken token;

	if (policy == NULL || !JB_ROOT_IS_OBJECT(policy))
		BadPolicy("policy is not a JSON object", NULL);
	iterator = JsonbIteratorInit(unconstify(JsonbContainer *, &policy->root));
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY && !IsOneOf(&item, known))
			BadPolicy(psprintf("policy has no key \"%.*s\"", item.val.string.len, item.val.string.val), hint);
	}
}

/* Fields are columns, attributes, or groups of them in table merge_field. */
static bool
KnownField(const char *field)
{
	static CrmQuery query = {
		"SELECT FROM crm_member.merge_field WHERE field = $1 OR grouped = $1", 1, {TEXTOID}};
	Datum		value = CStringGetTextDatum(field);
	bool		known;

	if (strncmp(field, "attrs.", 6) == 0)
		return true;
	SPI_connect();
	known = RunQuery(&query, &value, NULL, false, 1) > 0;
	SPI_finish();
	return known;
}

void
CheckMergePolicy(const Jsonb *policy)
{
	static const char *const known[] = {"fields", "cards", "coupons", "override_distinct", NULL};
	static const char *const cards[] = {"keep", "deactivate", NULL};
	static const char *const coupons[] = {"keep", "void", NULL};
	static const char *const rules[] = {"survivor", "earliest", "latest", "longest", "frequent", "min", "max",
		"trusted", "verified", NULL};
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	JsonbValue *fields;
	JsonbValue *choice;
	char	   *field = NULL;

	CheckKeys(policy, known, "It has fields, cards, coupons, override_distinct.");
	choice = PolicyValue(policy, "cards");
	if (choice != NULL && !IsOneOf(choice, cards))
		BadPolicy("policy \"cards\" is keep or deactivate", NULL);
	choice = PolicyValue(policy, "coupons");
	if (choice != NULL && !IsOneOf(choice, coupons) && !IsTextArray(choice))
		BadPolicy("policy \"coupons\" is keep, void or an array of template codes", NULL);
	fields = PolicyValue(policy, "fields");
	if (fields == NULL)
		return;
	if (fields->type != jbvBinary || !JsonContainerIsObject(fields->val.binary.data))
		BadPolicy("policy \"fields\" is not a JSON object", NULL);
	iterator = JsonbIteratorInit(fields->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			field = pnstrdup(item.val.string.val, item.val.string.len);
		else if (token == WJB_VALUE && (!KnownField(field) || (item.type != jbvNumeric && !IsOneOf(&item, rules))))
			BadPolicy(psprintf("policy for field \"%s\" is not known", field),
					  "Fields are name, mobile, email, birthday, gender, joined_at, tier, attrs.<key> and the groups of "
					  "table crm_member.merge_field; a rule is survivor, earliest, latest, longest, frequent, min, max, "
					  "trusted, verified or the number of a member.");
	}
}

void
CheckUnmergePolicy(const Jsonb *policy)
{
	static const char *const known[] = {"negative", "reason", "only", NULL};
	static const char *const choices[] = {"allow", "survivor", "refuse", NULL};
	JsonbValue *negative;

	CheckKeys(policy, known, "It has negative, reason, only.");
	negative = PolicyValue(policy, "negative");
	if (negative != NULL && negative->type != jbvNull && !IsOneOf(negative, choices))
		BadPolicy("policy \"negative\" is allow, survivor or refuse", NULL);
}

char *
PolicyText(const Jsonb *policy, const char *key)
{
	JsonbValue *value = PolicyValue(policy, key);

	return value == NULL || value->type != jbvString ? NULL
		: pnstrdup(value->val.string.val, value->val.string.len);
}

bool
PolicyFlag(const Jsonb *policy, const char *key)
{
	JsonbValue *value = PolicyValue(policy, key);

	if (value == NULL || value->type == jbvNull)
		return false;
	if (value->type == jbvBool)
		return value->val.boolean;
	if (IsText(value, "true") || IsText(value, "false"))
		return IsText(value, "true");
	BadPolicy(psprintf("policy \"%s\" is true or false", key), NULL);
	return false;
}

static void
ReusedReference(const MergeRequest *request)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_REFERENCE_REUSED),
					errmsg("reference \"%s\" was used for another merge", request->ref),
					errhint("A repeated call must say the same; a new act needs a new ref.")));
}

char *
FirstReport(const MergeRequest *request)
{
	static CrmQuery query = {
		"SELECT fingerprint, report::text FROM crm_member.member_merge WHERE ref = $1", 1, {TEXTOID}};
	Datum		value;
	bool		isnull;

	if (request->ref == NULL)
		return NULL;
	value = CStringGetTextDatum(request->ref);
	if (RunQuery(&query, &value, NULL, false, 1) == 0)
		return NULL;
	if (DatumGetInt64(QueryColumn(0, 1, &isnull)) != request->fingerprint)
		ReusedReference(request);
	return QueryText(0, 2);
}

typedef struct Performance
{
	char	   *(*act) (const MergeRequest *, void *);
	const MergeRequest *request;
	void	   *argument;
	char	   *report;
} Performance;

static bool
Rehearse(void *argument)
{
	Performance *performance = argument;

	performance->report = performance->act(performance->request, performance->argument);
	return false;
}

char *
Perform(char *(*act) (const MergeRequest *, void *), const MergeRequest *request, void *argument)
{
	Performance performance = {act, request, argument, NULL};

	if (!request->dry_run)
		return act(request, argument);
	InSubtransaction(Rehearse, &performance);
	return performance.report;
}

void
RecordAct(const MergeRequest *request, int64 merge_id, const char *act, int64 of_merge, int64 survivor,
		  const int64 *others, int nothers, const char *evidence, const char *report, const char *event)
{
	static CrmQuery record = {
		"INSERT INTO crm_member.member_merge (merge_id, act, of_merge, survivor, others, ref, fingerprint, policy, "
		"evidence, report, actor) VALUES ($1, $2, nullif($3, 0), $4, $5, $6, $7, $8, $9::jsonb, $10::jsonb, $11) "
		"ON CONFLICT (ref) DO NOTHING",
		11, {INT8OID, TEXTOID, INT8OID, INT8OID, INT8ARRAYOID, TEXTOID, INT8OID, JSONBOID, TEXTOID, TEXTOID, TEXTOID}};
	static CrmQuery events = {
		"INSERT INTO crm_member.member_event (member_id, event_id, act, detail, actor) "
		"SELECT u.member_id, crm_member.new_id(), $2, $3::jsonb, $4 FROM unnest($1) AS u (member_id)",
		4, {INT8ARRAYOID, TEXTOID, TEXTOID, TEXTOID}};
	int64	   *members = palloc(sizeof(int64) * (nothers + 1));
	Datum		values[11];
	char		nulls[11];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(merge_id);
	values[1] = CStringGetTextDatum(act);
	values[2] = Int64GetDatum(of_merge);
	values[3] = Int64GetDatum(survivor);
	values[4] = IdArray(others, nothers);
	values[5] = NullableText(request->ref, &nulls[5]);
	values[6] = Int64GetDatum(request->fingerprint);
	values[7] = JsonbPGetDatum(request->policy);
	values[8] = CStringGetTextDatum(evidence);
	values[9] = CStringGetTextDatum(report);
	values[10] = NullableText(request->actor, &nulls[10]);
	if (RunQuery(&record, values, nulls, false, 0) != 1)
		ReusedReference(request);
	memcpy(members, others, sizeof(int64) * nothers);
	members[nothers] = survivor;
	values[0] = IdArray(members, nothers + 1);
	values[1] = CStringGetTextDatum(act);
	values[2] = CStringGetTextDatum(event);
	values[3] = NullableText(request->actor, &nulls[3]);
	RunQuery(&events, values, nulls, false, 0);
}

Datum
ReturnReport(const char *report, MemoryContext caller)
{
	MemoryContext old = MemoryContextSwitchTo(caller);
	Datum		result = DirectFunctionCall1(jsonb_in, CStringGetDatum(report));

	MemoryContextSwitchTo(old);
	SPI_finish();
	return result;
}

char *
IdList(const int64 *ids, int n)
{
	StringInfoData list;

	initStringInfo(&list);
	appendStringInfoChar(&list, '[');
	for (int i = 0; i < n; i++)
		appendStringInfo(&list, "%s" INT64_FORMAT, i > 0 ? ", " : "", ids[i]);
	appendStringInfoChar(&list, ']');
	return list.data;
}
