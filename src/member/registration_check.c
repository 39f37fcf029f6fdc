/*
 * registration_check.c: whether a registration is sound by itself, and its normal form.
 */
#include "crm_member.h"
#include "setting.h"
#include "member/registration.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

const char *const member_field_names[MEMBER_FIELDS] = {
	"name", "mobile", "email", "gender", "source", "external_id", "store", "channel", "tier",
	"kind", "status", "card_no", "card_type", "ref"
};

/* Longest text, in characters. */
static const int max_length[MEMBER_FIELDS] = {
	200, 64, 256, 20, 100, 200, 100, 100, 100, 20, 20, 64, 100, 200
};

static void
RefuseValue(Registration *row, char *message, char *detail, char *hint)
{
	Refuse(&row->why, ERRCODE_INVALID_PARAMETER_VALUE, message, detail, hint);
}

/* Blanks around a text mean nothing, and a blank text says nothing. */
static void
TrimFields(Registration *row)
{
	for (int i = 0; i < MEMBER_FIELDS; i++)
	{
		if (row->text[i] == NULL)
			continue;
		row->text[i] = TrimText(row->text[i]);
		if (*row->text[i] == '\0')
			row->text[i] = NULL;
		else if (pg_mbstrlen(row->text[i]) > max_length[i])
			RefuseValue(row, psprintf("%s is longer than %d characters", member_field_names[i],
									  max_length[i]), NULL, NULL);
	}
}

static char *
Identity(Registration *row, MemberField field, bool keep)
{
	Refusal		why = {0};
	char	   *normal;

	if (row->text[field] == NULL || row->why.sqlstate != 0)
		return NULL;
	normal = NormalizeIdentity(member_field_names[field], row->text[field], &why);
	if (normal == NULL && !keep)
		RefuseValue(row, psprintf("%s \"%s\" is not usable", member_field_names[field],
								  row->text[field]), why.detail, why.hint);
	return normal;
}

static void
CheckExternal(Registration *row)
{
	const char *source = row->text[FIELD_SOURCE];
	char	   *normal;

	if (row->text[FIELD_EXTERNAL_ID] == NULL || row->why.sqlstate != 0)
		return;
	if (source == NULL)
	{
		RefuseValue(row, pstrdup("external_id without source"),
					pstrdup("A number in another system is found by the name of that system."),
					NULL);
		return;
	}
	row->external_kind = psprintf("external:%s", source);
	normal = NormalizeIdentity(row->external_kind, row->text[FIELD_EXTERNAL_ID], &row->why);
	if (normal != NULL)
		row->text[FIELD_EXTERNAL_ID] = normal;
}

/* A JSON object of kind to value. */
static void
CheckOthers(Registration *row)
{
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;
	char	   *kind = NULL;

	if (row->identities == NULL || row->why.sqlstate != 0)
		return;
	if (!JB_ROOT_IS_OBJECT(row->identities))
	{
		RefuseValue(row, pstrdup("identities is not a JSON object"), NULL,
					pstrdup("Write {\"kind\": \"value\", ...}."));
		return;
	}
	row->others = palloc(JB_ROOT_COUNT(row->identities) * sizeof(OtherIdentity));
	it = JsonbIteratorInit(&row->identities->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE && row->why.sqlstate == 0)
	{
		char	   *value;

		if (token == WJB_KEY)
			kind = pnstrdup(item.val.string.val, item.val.string.len);
		if (token != WJB_VALUE || item.type == jbvNull)
			continue;
		if (item.type != jbvString)
		{
			RefuseValue(row, psprintf("value of identity kind \"%s\" is not a JSON string", kind),
						NULL, NULL);
			return;
		}
		if (strcmp(kind, CARD_KIND) == 0)
		{
			RefuseValue(row, pstrdup("a card is not bound as an identity"), NULL,
						pstrdup("Name it in card_no."));
			return;
		}
		value = NormalizeIdentity(kind, pnstrdup(item.val.string.val, item.val.string.len),
								  &row->why);
		row->others[row->nothers].kind = kind;
		row->others[row->nothers++].value = value;
	}
}

static void
CheckBirthday(Registration *row)
{
	static const DateADT earliest = -36524; /* 1900-01-01 */

	if (!row->has_birthday)
		return;
	if (DATE_NOT_FINITE(row->birthday))
		RefuseValue(row, pstrdup("birthday is not a day"), NULL, NULL);
	else if (row->birthday < earliest)
		RefuseValue(row, pstrdup("birthday is before 1900"), NULL, NULL);
	else if (row->birthday > BusinessDate(GetCurrentTransactionStartTimestamp()))
		RefuseValue(row, pstrdup("birthday is in the future"), NULL, NULL);
}

/* match_member() tells of nobody who is less likely. */
static void
CheckUnlessLike(Registration *row)
{
	double		least;

	if (row->unless_like == NULL)
		return;
	least = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
											   NumericGetDatum(row->unless_like)));
	if (!(least >= 0.01 && least <= 1))
		RefuseValue(row, pstrdup("unless_like is no probability from 0.01 to 1"), NULL, NULL);
}

/* Letters, words, and the codes of ISO 5218 and GB/T 2261.1. */
static void
CheckGender(Registration *row)
{
	static const struct
	{
		const char *said;
		const char *gender;
	}			words[] = {
		{"m", "M"}, {"f", "F"}, {"x", "X"}, {"male", "M"}, {"female", "F"}, {"other", "X"},
		{"1", "M"}, {"2", "F"}, {"0", NULL}, {"9", NULL}, {"u", NULL}, {"unknown", NULL},
		{"\xE7\x94\xB7", "M"},	/* man */
		{"\xE5\xA5\xB3", "F"},	/* woman */
		{"\xE6\x9C\xAA\xE7\x9F\xA5", NULL}, /* unknown */
	};
	char	   *said = row->text[FIELD_GENDER];

	if (said == NULL)
		return;
	for (int i = 0; i < lengthof(words); i++)
	{
		if (pg_strcasecmp(said, words[i].said) == 0)
		{
			row->text[FIELD_GENDER] = words[i].gender ? pstrdup(words[i].gender) : NULL;
			return;
		}
	}
	RefuseValue(row, psprintf("gender \"%s\" is unknown", said), NULL,
				pstrdup("It is M, F, X or NULL."));
}

/* NULL becomes the first of the words. */
static void
CheckWord(Registration *row, MemberField field, const char *const *words, int nwords)
{
	const char *said = row->text[field];

	if (said == NULL)
		row->text[field] = pstrdup(words[0]);
	for (int i = 0; said != NULL && i <= nwords; i++)
	{
		if (i == nwords)
			RefuseValue(row, psprintf("%s \"%s\" is unknown", member_field_names[field], said),
						NULL, psprintf("It is one of: %s.", ListNames((char **) words, nwords)));
		else if (strcmp(said, words[i]) == 0)
			break;
	}
}

static void
CheckName(Registration *row, MemberField field, const char *table, char **names, int nnames)
{
	const char *said = row->text[field];

	if (said == NULL)
		return;
	for (int i = 0; i < nnames; i++)
	{
		if (strcmp(said, names[i]) == 0)
			return;
	}
	RefuseValue(row, psprintf("%s \"%s\" is unknown", member_field_names[field], said), NULL,
				nnames == 0 ? psprintf("Table crm_member.%s is empty.", table)
				: psprintf("Table crm_member.%s has: %s.", table, ListNames(names, nnames)));
}

static int64
Fingerprint(Registration *row)
{
	StringInfoData said;

	initStringInfo(&said);
	for (int i = 0; i < MEMBER_FIELDS; i++)
	{
		if (i != FIELD_REF && row->text[i] != NULL)
			appendStringInfo(&said, "%d:%zu:%s;", i, strlen(row->text[i]), row->text[i]);
	}
	if (row->has_birthday)
		appendStringInfo(&said, "b%d;", row->birthday);
	if (row->has_joined_at)
		appendStringInfo(&said, "j" INT64_FORMAT ";", row->joined_at);
	if (row->attrs != NULL)
		appendStringInfo(&said, "a%s;", JsonbToCString(NULL, &row->attrs->root, 0));
	if (row->identities != NULL)
		appendStringInfo(&said, "i%s;", JsonbToCString(NULL, &row->identities->root, 0));
	return (int64) hash_bytes_extended((unsigned char *) said.data, said.len, 0);
}

void
CheckRegistration(Registration *row, bool keep)
{
	static const char *const kinds[] = {"consumer", "dealer"};
	static const char *const statuses[] = {"active", "inactive", "lost", "cancelled"};
	const MemberConfig *config = GetMemberConfig();

	TrimFields(row);
	row->identity_mobile = Identity(row, FIELD_MOBILE, keep);
	row->identity_email = Identity(row, FIELD_EMAIL, keep);
	CheckExternal(row);
	CheckOthers(row);
	CheckBirthday(row);
	CheckGender(row);
	CheckUnlessLike(row);
	CheckWord(row, FIELD_KIND, kinds, lengthof(kinds));
	CheckWord(row, FIELD_STATUS, statuses, lengthof(statuses));
	CheckName(row, FIELD_TIER, "tier", config->tiers, config->ntiers);
	CheckName(row, FIELD_CARD_TYPE, "card_type", config->card_types, config->ncard_types);
	if (row->text[FIELD_CARD_TYPE] != NULL && row->text[FIELD_CARD_NO] == NULL)
		RefuseValue(row, pstrdup("card_type without card_no"), NULL, NULL);
	if (row->attrs != NULL && !JB_ROOT_IS_OBJECT(row->attrs))
		RefuseValue(row, pstrdup("attrs is not a JSON object"), NULL, NULL);
	if (row->has_joined_at && TIMESTAMP_NOT_FINITE(row->joined_at))
		RefuseValue(row, pstrdup("joined_at is not a time"), NULL, NULL);
	if (row->why.sqlstate != 0)
	{
		row->outcome = OUTCOME_REFUSED;
		return;
	}

	/* the number as it is dialled; the address as it was given, since mail goes there */
	if (row->identity_mobile != NULL)
		row->text[FIELD_MOBILE] = row->identity_mobile;
	row->fingerprint = Fingerprint(row);
	if (!row->has_joined_at)
		row->joined_at = GetCurrentTransactionStartTimestamp();
	row->outcome = OUTCOME_OPEN;
}
