/*
 * facts.c: a condition over a facts document.
 *
 *	 {"member": {"tier": "gold", "attrs": {"color": "red"}, "tags": ["vip"]},
 *	  "sale": {"amount": 100}, "line": {...}}
 *
 * Keys are attribute names without their subject; what is absent or null is
 * unknown.  A key that is none, or a value of the wrong type, is an error:
 * a misspelling must not read as unknown.
 */
#include "crm_member.h"
#include "condition/attribute.h"
#include "condition/condition_datum.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"

#define FACTS_HINT "A facts document is {\"member\": {...}, \"sale\": {...}, \"line\": {...}}."

static void pg_attribute_noreturn()
WrongType(const char *name, const char *wanted)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("invalid facts: %s is not of type %s", name, wanted)));
}

static void
ReadFact(Attribute attribute, const JsonbValue *json, Fact *fact)
{
	const AttributeInfo *info = &attribute_table[attribute];
	bool		fits = false;

	fact->known = true;
	switch (info->type)
	{
		case FACT_NUMBER:
			fits = json->type == jbvNumeric;
			if (fits)
				fact->value.number = NumericToDecimal(json->val.numeric, info->name);
			break;
		case FACT_TEXT:
			fits = json->type == jbvString;
			if (fits)
			{
				fact->value.text.data = json->val.string.val;
				fact->value.text.length = json->val.string.len;
			}
			break;
		case FACT_BOOLEAN:
			fits = json->type == jbvBool;
			if (fits)
				fact->value.boolean = json->val.boolean;
			break;
		case FACT_DATE:
			fits = json->type == jbvString &&
				ParseDate(json->val.string.val, json->val.string.len, &fact->value.date);
			break;
		case FACT_TIMESTAMP:
			fits = json->type == jbvString &&
				ParseTimestamp(json->val.string.val, json->val.string.len,
							   &fact->value.timestamp);
			break;
	}
	if (!fits)
		WrongType(info->name, FactTypeName(info->type));
}

static ArrayType *
ReadTags(JsonbContainer *container)
{
	ArrayBuildState *state = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	json;

	while ((token = JsonbIteratorNext(&iterator, &json, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (json.type != jbvString)
			WrongType("member.tags", "array of text");
		accumArrayResult(state,
						 PointerGetDatum(cstring_to_text_with_len(json.val.string.val,
																  json.val.string.len)),
						 false, TEXTOID, CurrentMemoryContext);
	}
	return DatumGetArrayTypeP(makeArrayResult(state, CurrentMemoryContext));
}

static bool
IsKey(const JsonbValue *key, const char *name)
{
	return key->val.string.len == strlen(name) &&
		memcmp(key->val.string.val, name, key->val.string.len) == 0;
}

static void
ReadSubject(Subject subject, JsonbContainer *container, Facts *facts)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	json;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		char	   *name;
		Attribute	attribute;

		if (token != WJB_KEY)
			continue;
		JsonbIteratorNext(&iterator, &json, true);

		if (IsKey(&key, "attrs"))
		{
			if (json.type == jbvNull)
				continue;
			if (json.type != jbvBinary || !JsonContainerIsObject(json.val.binary.data))
				WrongType(psprintf("%s.attrs", SubjectName(subject)), "object");
			facts->attrs[subject] = JsonbValueToJsonb(&json);
			continue;
		}
		if (subject == SUBJECT_MEMBER && IsKey(&key, "tags"))
		{
			if (json.type == jbvNull)
				continue;
			if (json.type != jbvBinary || !JsonContainerIsArray(json.val.binary.data))
				WrongType("member.tags", "array of text");
			facts->tags = ReadTags(json.val.binary.data);
			continue;
		}

		name = psprintf("%s.%.*s", SubjectName(subject), key.val.string.len, key.val.string.val);
		if (!FindAttribute(name, strlen(name), &attribute) ||
			!IsKey(&key, AttributeColumn(attribute)))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("invalid facts: there is no attribute %s", name),
							errhint("crm_member.condition_attributes() lists them.")));
		if (json.type != jbvNull)
			ReadFact(attribute, &json, &facts->facts[attribute]);
	}
}

static Facts *
ReadFacts(Jsonb *document)
{
	Facts	   *facts = palloc0(sizeof(Facts));
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	json;

	if (!JB_ROOT_IS_OBJECT(document))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid facts: not an object"), errhint(FACTS_HINT)));
	iterator = JsonbIteratorInit(&document->root);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		Subject		subject;

		if (token != WJB_KEY)
			continue;
		JsonbIteratorNext(&iterator, &json, true);
		for (subject = 0; subject < SUBJECT_COUNT; subject++)
		{
			if (IsKey(&key, SubjectName(subject)))
				break;
		}
		if (subject == SUBJECT_COUNT)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("invalid facts: there is no subject \"%.*s\"",
								   key.val.string.len, key.val.string.val),
							errhint(FACTS_HINT)));
		if (json.type == jbvNull)
			continue;
		if (json.type != jbvBinary || !JsonContainerIsObject(json.val.binary.data))
			WrongType(SubjectName(subject), "object");
		ReadSubject(subject, json.val.binary.data, facts);
	}
	return facts;
}

PG_FUNCTION_INFO_V1(crm_condition_matches);
Datum
crm_condition_matches(PG_FUNCTION_ARGS)
{
	Truth		truth = EvaluateCondition(PG_GETARG_CONDITION(0), ReadFacts(PG_GETARG_JSONB_P(1)));

	if (truth == TRUTH_UNKNOWN)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(truth == TRUTH_TRUE);
}

PG_FUNCTION_INFO_V1(crm_condition_explain);
Datum
crm_condition_explain(PG_FUNCTION_ARGS)
{
	Condition  *condition = PG_GETARG_CONDITION(0);
	Facts	   *facts = ReadFacts(PG_GETARG_JSONB_P(1));
	Truth		truth = EvaluateCondition(condition, facts);
	StringInfoData clause;
	StringInfoData saw;
	TupleDesc	row;
	Datum		values[3];
	bool		nulls[3];

	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	initStringInfo(&clause);
	initStringInfo(&saw);
	ExplainCondition(condition, facts, &clause, &saw);

	nulls[0] = truth == TRUTH_UNKNOWN;
	values[0] = BoolGetDatum(truth == TRUTH_TRUE);
	nulls[1] = truth == TRUTH_TRUE;
	nulls[2] = saw.len == 0;
	values[1] = CStringGetTextDatum(clause.data);
	values[2] = CStringGetTextDatum(saw.data);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}
