/*
 * model.c: reading a model: its source, its fields, what they are compared by.
 */
#include "match/match.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

typedef struct Guess
{
	const char *word; /* a part of the column's name, between underscores */
	const char *comparator;
} Guess;

/* The first that fits decides; "seen" is no comparator but says when a record came. */
static const Guess guesses[] = {
	{"nickname", "nickname"},
	{"nick", "nickname"},
	{"alias", "nickname"},
	{"昵称", "nickname"},
	{"given", "given_name"},
	{"first_name", "given_name"},
	{"firstname", "given_name"},
	{"forename", "given_name"},
	{"fname", "given_name"},
	{"givenname", "given_name"},
	{"surname", "surname"},
	{"last_name", "surname"},
	{"lastname", "surname"},
	{"family_name", "surname"},
	{"lname", "surname"},
	{"mobile", "phone"},
	{"phone", "phone"},
	{"tel", "phone"},
	{"telephone", "phone"},
	{"cell", "phone"},
	{"fax", "phone"},
	{"手机", "phone"},
	{"电话", "phone"},
	{"email", "email"},
	{"mail", "email"},
	{"邮箱", "email"},
	{"birthday", "date"},
	{"birth", "date"},
	{"dob", "date"},
	{"birthdate", "date"},
	{"生日", "date"},
	{"gender", "gender"},
	{"sex", "gender"},
	{"性别", "gender"},
	{"unionid", "id"},
	{"openid", "id"},
	{"ssn", "id"},
	{"soc", "id"},
	{"passport", "id"},
	{"vat", "id"},
	{"isbn", "id"},
	{"idcard", "id"},
	{"身份证", "id"},
	{"license", "id"},
	{"postcode", "id"},
	{"postal", "id"},
	{"zip", "id"},
	{"zipcode", "id"},
	{"number", "id"},
	{"no", "id"},
	{"card", "id"},
	{"address", "address"},
	{"addr", "address"},
	{"street", "address"},
	{"地址", "address"},
	{"city", "place"},
	{"suburb", "place"},
	{"town", "place"},
	{"state", "place"},
	{"province", "place"},
	{"county", "place"},
	{"district", "place"},
	{"country", "place"},
	{"region", "place"},
	{"城市", "place"},
	{"cuisine", "category"},
	{"category", "category"},
	{"type", "category"},
	{"brand", "category"},
	{"kind", "category"},
	{"created", "seen"},
	{"created_at", "seen"},
	{"registered", "seen"},
	{"registered_at", "seen"},
	{"joined", "seen"},
	{"joined_at", "seen"},
	{"注册时间", "seen"},
	{"price", "number"},
	{"year", "year"},
	{"title", "text"},
	{"authors", "text"},
	{"author", "text"},
	{"venue", "text"},
	{"company", "text"},
	{"firm", "text"},
	{"description", "text"},
	{"manufacturer", "text"},
	{"journal", "text"},
	{"album", "text"},
	{"artist", "text"},
	{"name", "name"},
	{"fullname", "name"},
	{"customer", "name"},
	{"姓名", "name"},
	{"名称", "text"},
};

static const char *
GuessComparator(const char *column)
{
	char *lower = pstrdup(column);

	for (char *c = lower; *c; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	for (int i = 0; i < lengthof(guesses); i++)
	{
		int n = strlen(guesses[i].word);

		for (char *at = strstr(lower, guesses[i].word); at != NULL;
			 at = strstr(at + 1, guesses[i].word))
		{
			bool starts = at == lower || at[-1] == '_' || at[-1] == ' ';
			bool ends =
				at[n] == '\0' || at[n] == '_' || at[n] == ' ' || (at[n] >= '0' && at[n] <= '9');

			if (starts && ends)
				return guesses[i].comparator;
		}
	}
	return NULL;
}

MatchField *
AddField(MatchModel *model, const char *column, const char *comparator)
{
	MatchField *field;

	if (model->nfields == MATCH_MAX_FIELDS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("model \"%s\" has more than %d fields", model->code, MATCH_MAX_FIELDS)));
	field = &model->fields[model->nfields++];
	memset(field, 0, sizeof(*field));
	field->column = pstrdup(column);
	field->comparator = FindComparator(comparator);
	if (field->comparator == NULL)
		ReportComparator(comparator, column);
	field->partner = field->within = -1;
	field->context =
		AllocSetContextCreate(model->context, "crm_member match field", ALLOCSET_DEFAULT_SIZES);
	return field;
}

static int
FieldOf(const MatchModel *model, const char *column)
{
	for (int f = 0; f < model->nfields; f++)
	{
		if (strcmp(model->fields[f].column, column) == 0)
			return f;
	}
	return -1;
}

static int
FirstOf(const MatchModel *model, const char *comparator, int not )
{
	for (int f = 0; f < model->nfields; f++)
	{
		if (f != not &&strcmp(model->fields[f].comparator->name, comparator) == 0)
			return f;
	}
	return -1;
}

static char *
JsonString(JsonbValue *value, const char *what)
{
	if (value->type != jbvString)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"%s\" of a field must be a text", what)));
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* A field whose identifier may pass to another says when a record used it. */
static void
SetTimeOfUse(MatchField *field, const char *seen, const char *until)
{
	if (field->comparator->over_time == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("comparator \"%s\" of column \"%s\" knows no time of use",
							   field->comparator->name, field->column),
						errhint("Comparators phone and id take \"seen\" and \"until\".")));
	field->comparator = FindComparator(field->comparator->over_time);
	field->seen = pstrdup(seen);
	field->until = until == NULL ? NULL : pstrdup(until);
}

/* {"column", "comparator", "within", "seen", "until", "m": [...], "u": [...]} */
static void
ReadShares(MatchField *field, JsonbContainer *list, double *shares, const char *what)
{
	JsonbIterator     *it = JsonbIteratorInit(list);
	JsonbValue         value;
	JsonbIteratorToken token;
	int                n = 0;
	double             sum = 0;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (value.type != jbvNumeric || n == field->comparator->nlevels)
		{
			n = -1;
			break;
		}
		shares[n] =
			DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value.val.numeric)));
		if (!(shares[n] > 0 && shares[n] < 1))
		{
			n = -1;
			break;
		}
		sum += shares[n++];
	}
	if (n != field->comparator->nlevels || sum < 0.98 || sum > 1.02)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"%s\" of column \"%s\" is not a list of %d shares that add to 1",
							   what, field->column, field->comparator->nlevels),
						errdetail("Comparator \"%s\" has %d levels, from equal to different.",
								  field->comparator->name, field->comparator->nlevels)));
}

static void
ReadField(MatchModel *model, JsonbContainer *object, char **within)
{
	JsonbIterator     *it = JsonbIteratorInit(object);
	JsonbValue         key, value;
	JsonbIteratorToken token;
	char              *column = NULL, *comparator = NULL, *seen = NULL, *until = NULL;
	JsonbContainer    *m = NULL, *u = NULL;
	MatchField        *field;

	*within = NULL;
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		char *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(key.val.string.val, key.val.string.len);
		JsonbIteratorNext(&it, &value, true);
		if (strcmp(name, "column") == 0)
			column = JsonString(&value, name);
		else if (strcmp(name, "comparator") == 0)
			comparator = JsonString(&value, name);
		else if (strcmp(name, "within") == 0)
			*within = JsonString(&value, name);
		else if (strcmp(name, "seen") == 0)
			seen = JsonString(&value, name);
		else if (strcmp(name, "until") == 0)
			until = JsonString(&value, name);
		else if (strcmp(name, "m") == 0 && value.type == jbvBinary)
			m = value.val.binary.data;
		else if (strcmp(name, "u") == 0 && value.type == jbvBinary)
			u = value.val.binary.data;
		else
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("\"%s\" is not an option of a field", name),
							errhint("A field has column, comparator, within, seen, until, m and u.")));
	}
	if (column == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a field of model \"%s\" has no column", model->code)));
	if (comparator == NULL)
	{
		comparator = (char *) GuessComparator(column);
		if (comparator == NULL || strcmp(comparator, "seen") == 0)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("column \"%s\" needs a comparator", column)));
	}
	field = AddField(model, column, comparator);
	if (seen != NULL)
		SetTimeOfUse(field, seen, until);
	else if (until != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("column \"%s\": \"until\" needs \"seen\"", column)));
	if ((m == NULL) != (u == NULL))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("column \"%s\": give both m and u, or neither", column)));
	if (m != NULL)
	{
		ReadShares(field, m, field->m, "m");
		ReadShares(field, u, field->u, "u");
		field->pinned = true;
	}
}

static void
ReadFields(MatchModel *model, Jsonb *fields)
{
	JsonbIterator     *it = JsonbIteratorInit(&fields->root);
	JsonbValue         value;
	JsonbIteratorToken token;
	char              *within[MATCH_MAX_FIELDS] = {NULL};

	if (!JB_ROOT_IS_ARRAY(fields))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("fields of model \"%s\" are not a list", model->code),
						errhint("Write [{\"column\": \"name\", \"comparator\": \"name\"}, ...].")));
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char *of;

		if (token != WJB_ELEM)
			continue;
		if (value.type == jbvString)
		{
			char       *column = pnstrdup(value.val.string.val, value.val.string.len);
			const char *comparator = GuessComparator(column);

			if (comparator == NULL || strcmp(comparator, "seen") == 0)
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errmsg("column \"%s\" needs a comparator", column)));
			AddField(model, column, comparator);
			continue;
		}
		if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("a field of model \"%s\" is neither an object nor a column name",
								   model->code)));
		ReadField(model, value.val.binary.data, &of);
		within[model->nfields - 1] = of;
	}
	for (int f = 0; f < model->nfields; f++)
	{
		if (within[f] == NULL)
			continue;
		model->fields[f].within = FieldOf(model, within[f]);
		if (model->fields[f].within < 0 || model->fields[f].within == f)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("\"within\" of column \"%s\" is not another field of the model",
								   model->fields[f].column)));
	}
}

/* A relation as it is, a query in parentheses. */
static char *
SourceOf(MatchModel *model)
{
	static const char *const openings[] = {"select", "with", "values", "table", "("};
	const char              *text = model->source + strspn(model->source, " \t\r\n");

	for (int i = 0; i < lengthof(openings); i++)
	{
		int n = strlen(openings[i]);

		if (pg_strncasecmp(text, openings[i], n) == 0 &&
			(openings[i][0] == '(' || isspace((unsigned char) text[n])))
			return psprintf("(%s)", model->source);
	}
	return model->source;
}

/* Fields the model does not name are guessed from the names of the columns. */
static void
GuessFields(MatchModel *model, const char *source)
{
	char     *sql = psprintf("SELECT * FROM %s AS source LIMIT 0", source);
	TupleDesc desc;
	bool      person = false;
	char     *seen = NULL;

	if (SPI_execute(sql, true, 0) < 0)
		elog(ERROR, "reading the source of a model failed");
	desc = SPI_tuptable->tupdesc;
	for (int i = 0; i < desc->natts; i++)
	{
		const char *comparator = GuessComparator(NameStr(TupleDescAttr(desc, i)->attname));

		if (comparator != NULL &&
			(strcmp(comparator, "date") == 0 || strcmp(comparator, "gender") == 0 ||
			 strcmp(comparator, "email") == 0 || strcmp(comparator, "nickname") == 0 ||
			 strcmp(comparator, "given_name") == 0 || strcmp(comparator, "surname") == 0))
			person = true;
	}
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char       *column = NameStr(att->attname);
		const char       *comparator = GuessComparator(column);

		if (comparator != NULL && strcmp(comparator, "seen") == 0)
		{
			seen = seen == NULL ? pstrdup(column) : seen;
			continue;
		}
		if (strcmp(column, model->key) == 0 || comparator == NULL ||
			model->nfields == MATCH_MAX_FIELDS)
			continue;
		if (strcmp(comparator, "name") == 0 && !person)
			comparator = "text";
		AddField(model, column, comparator);
	}
	for (int f = 0; seen != NULL && f < model->nfields; f++)
	{
		if (strcmp(model->fields[f].comparator->name, "phone") == 0)
			SetTimeOfUse(&model->fields[f], seen, NULL);
	}
	if (model->nfields == 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("no column of the source of model \"%s\" tells by its name how to compare it",
					model->code),
			 errhint("Name the fields: [{\"column\": \"...\", \"comparator\": \"...\"}, ...].")));
}

void
FindPartners(MatchModel *model)
{
	int given = FirstOf(model, "given_name", -1), surname = FirstOf(model, "surname", -1),
		name = FirstOf(model, "name", -1), address = FirstOf(model, "address", -1);

	for (int f = 0; f < model->nfields; f++)
	{
		MatchField *field = &model->fields[f];

		if (f == given)
			field->partner = surname;
		else if (f == surname)
			field->partner = given;
		else if (strcmp(field->comparator->name, "nickname") == 0)
			field->partner = name;
		else if (strcmp(field->comparator->name, "place") == 0 && field->within < 0)
			field->within = address;
	}
}

char *
MatchSourceQuery(MatchModel *model)
{
	StringInfoData sql;
	char          *source = SourceOf(model);

	if (model->nfields == 0)
		GuessFields(model, source);
	FindPartners(model);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT source.%s::pg_catalog.text", quote_identifier(model->key));
	for (int f = 0; f < model->nfields; f++)
		appendStringInfo(&sql, ", source.%s::pg_catalog.text",
						 quote_identifier(model->fields[f].column));
	for (int f = 0; f < model->nfields; f++)
	{
		const char *times[2] = {model->fields[f].seen, model->fields[f].until};

		for (int i = 0; i < 2; i++)
		{
			if (times[i] != NULL)
				appendStringInfo(&sql, ", source.%s::pg_catalog.text", quote_identifier(times[i]));
		}
		model->fields[f].idle = model->idle;
	}
	appendStringInfo(&sql, " FROM %s AS source", source);
	return sql.data;
}

/* Called inside SPI; the model lives in a context of its own. */
MatchModel *
LoadModel(const char *code)
{
	static CrmQuery query = {
		"SELECT source, key, fields, auto_threshold::pg_catalog.float8, "
		"review_threshold::pg_catalog.float8, max_block, idle_days "
		"FROM crm_member.match_model WHERE model_code OPERATOR(pg_catalog.=) $1",
		1,
		{TEXTOID}};
	Datum         value = CStringGetTextDatum(code);
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "crm_member match", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	MatchModel   *model;
	bool          isnull;
	Datum         fields;

	if (RunQuery(&query, &value, NULL, true, 1) != 1)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_MATCH_MODEL),
						errmsg("match model \"%s\" does not exist", code),
						errhint("Models are rows of crm_member.match_model.")));
	old = MemoryContextSwitchTo(context);
	model = palloc0(sizeof(MatchModel));
	model->context = context;
	model->code = pstrdup(code);
	model->progress = psprintf("find_duplicates %s", code);
	model->source = TextDatumGetCString(QueryColumn(0, 1, &isnull));
	model->key = TextDatumGetCString(QueryColumn(0, 2, &isnull));
	model->auto_threshold = DatumGetFloat8(QueryColumn(0, 4, &isnull));
	model->review_threshold = DatumGetFloat8(QueryColumn(0, 5, &isnull));
	model->max_block = DatumGetInt32(QueryColumn(0, 6, &isnull));
	model->idle = DatumGetInt32(QueryColumn(0, 7, &isnull));
	fields = QueryColumn(0, 3, &isnull);
	if (!isnull)
		ReadFields(model, DatumGetJsonbPCopy(fields));
	MemoryContextSwitchTo(old);
	return model;
}
