/*
 * json.h: pieces of a jsonb object, pushed key by key.
 */
#ifndef CRM_JSON_H
#define CRM_JSON_H

#include "postgres.h"
#include "utils/jsonb.h"

#include "money/money.h"

static inline void
PushKey(JsonbParseState **state, const char *key)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &value);
}

/* key: text, or null */
static inline void
PushText(JsonbParseState **state, const char *key, const char *text)
{
	JsonbValue	value;

	PushKey(state, key);
	value.type = text != NULL ? jbvString : jbvNull;
	if (text != NULL)
	{
		value.val.string.val = unconstify(char *, text);
		value.val.string.len = strlen(text);
	}
	pushJsonbValue(state, WJB_VALUE, &value);
}

static inline void
PushNumber(JsonbParseState **state, const char *key, int64 units, int scale)
{
	JsonbValue	value;

	PushKey(state, key);
	value.type = jbvNumeric;
	value.val.numeric = MinorToNumeric(units, scale);
	pushJsonbValue(state, WJB_VALUE, &value);
}

#endif
