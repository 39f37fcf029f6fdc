/*
 * identity.c: what members are found by.
 *
 * A kind is a row of identity_kind, with a scope after a colon where the kind
 * has one.  Values are normalised before they are stored or looked up.
 */
#include "crm_member.h"
#include "query.h"
#include "member/member.h"
#include "text/text.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#define MAX_IDENTITY 256		/* characters, as table identity checks */
#define MAX_SCOPE	 100

/* Bytes of a blank at the start of text: ASCII, no-break and ideographic space. */
static int
BlankAt(const char *text)
{
	if (*text == ' ' || (*text >= '\t' && *text <= '\r'))
		return 1;
	if (strncmp(text, "\xC2\xA0", 2) == 0)
		return 2;
	if (strncmp(text, "\xE3\x80\x80", 3) == 0)
		return 3;
	return 0;
}

/* Without blanks at either end. */
char *
TrimText(const char *text)
{
	const char *start = text;
	const char *end;
	int			blank;

	while ((blank = BlankAt(start)) > 0)
		start += blank;
	end = start;
	for (const char *at = start; *at != '\0';)
	{
		blank = BlankAt(at);
		at += blank > 0 ? blank : pg_mblen(at);
		if (blank == 0)
			end = at;
	}
	return pnstrdup(start, end - start);
}

static const IdentityKind *
FindKind(const char *kind, Refusal *why)
{
	const MemberConfig *config = GetMemberConfig();
	const char *colon = strchr(kind, ':');
	size_t		length = colon ? colon - kind : strlen(kind);
	char	  **names = palloc((config->nkinds + 1) * sizeof(char *));

	for (int i = 0; i < config->nkinds; i++)
	{
		const IdentityKind *known = &config->kinds[i];

		names[i] = known->kind;
		if (strlen(known->kind) != length || strncmp(known->kind, kind, length) != 0)
			continue;
		if (known->scoped && (colon == NULL || colon[1] == '\0'))
			Refuse(why, ERRCODE_INVALID_PARAMETER_VALUE,
				   psprintf("identity kind \"%s\" needs a scope", known->kind), NULL,
				   psprintf("Write it after a colon, such as %s:name.", known->kind));
		else if (!known->scoped && colon != NULL)
			Refuse(why, ERRCODE_INVALID_PARAMETER_VALUE,
				   psprintf("identity kind \"%s\" has no scope", known->kind), NULL, NULL);
		else if (colon != NULL && pg_mbstrlen(colon + 1) > MAX_SCOPE)
			Refuse(why, ERRCODE_INVALID_PARAMETER_VALUE,
				   psprintf("the scope of identity kind \"%s\" is longer than %d characters",
							known->kind, MAX_SCOPE), NULL, NULL);
		return known;
	}
	names[config->nkinds] = CARD_KIND;
	Refuse(why, ERRCODE_INVALID_PARAMETER_VALUE, psprintf("identity kind \"%s\" is unknown", kind),
		   NULL, psprintf("Known kinds are %s; table crm_member.identity_kind holds them.",
						  ListNames(names, config->nkinds + 1)));
	return NULL;
}

/*
 * The text module knows samples such as 13800138000 or test@ as nobody's, which
 * is right when members are compared; here whoever states one first has it.
 */
static char *
PhoneForm(const char *value)
{
	char	   *normal = NormalizePhone(value);
	char	   *digits;
	int			n = 0;

	if (normal != NULL)
		return normal;
	digits = FoldText(value);
	for (char *c = digits; *c != '\0'; c++)
	{
		if (*c >= '0' && *c <= '9')
			digits[n++] = *c;
		else if (*c != ' ' && *c != '-')
			return NULL;
	}
	digits[n] = '\0';
	return n == 11 && digits[0] == '1' && digits[1] >= '3' ? digits : NULL;
}

static char *
EmailForm(const char *value)
{
	char	   *normal = NormalizeEmail(value);
	char	   *domain;

	if (normal != NULL)
		return normal;
	normal = FoldText(value);
	domain = strchr(normal, '@');
	if (domain == NULL || domain == normal || strpbrk(normal, " <>,;") != NULL ||
		strchr(domain + 1, '@') != NULL)
		return NULL;
	domain++;
	return strchr(domain, '.') != NULL && *domain != '.' && strstr(domain, "..") == NULL &&
		domain[strlen(domain) - 1] != '.' ? normal : NULL;
}

/* NULL where refused. */
char *
NormalizeIdentity(const char *kind, const char *value, Refusal *why)
{
	const IdentityKind *known = FindKind(kind, why);
	char	   *normal = NULL;

	if (why->sqlstate != 0)
		return NULL;
	switch (known->form)
	{
		case FORM_PHONE:
			normal = PhoneForm(value);
			break;
		case FORM_EMAIL:
			normal = EmailForm(value);
			break;
		case FORM_TRIM:
			normal = TrimText(value);
			break;
		case FORM_LOWER:
			normal = FoldText(value);
			break;
	}
	if (normal == NULL || *normal == '\0')
		Refuse(why, ERRCODE_INVALID_PARAMETER_VALUE,
			   psprintf("value of identity kind \"%s\" is not usable", kind),
			   known->form == FORM_PHONE ? pstrdup("It is not a telephone number.")
			   : known->form == FORM_EMAIL ? pstrdup("It is not an e-mail address.")
			   : pstrdup("It is empty."), NULL);
	else if (pg_mbstrlen(normal) > MAX_IDENTITY)
		Refuse(why, ERRCODE_INVALID_PARAMETER_VALUE,
			   psprintf("value of identity kind \"%s\" is longer than %d characters", kind,
						MAX_IDENTITY), NULL, NULL);
	return why->sqlstate == 0 ? normal : NULL;
}

static int64
FindBy(CrmQuery *query, Datum *values)
{
	int64		found = 0;
	bool		isnull;

	SPI_connect();
	if (RunQuery(query, values, NULL, true, 1) == 1)
	{
		found = DatumGetInt64(QueryColumn(0, 1, &isnull));
		if (isnull)
			found = 0;
	}
	SPI_finish();
	return found;
}

int64
FindHolder(const char *kind, const char *value)
{
	static CrmQuery by_card = {
		"SELECT member_id FROM crm_member.card WHERE card_no OPERATOR(pg_catalog.=) $1", 1, {TEXTOID}};
	static CrmQuery by_identity = {
		"SELECT member_id FROM crm_member.identity "
		"WHERE kind OPERATOR(pg_catalog.=) $1 AND value OPERATOR(pg_catalog.=) $2",
		2, {TEXTOID, TEXTOID}};
	Refusal		why = {0};
	Datum		values[2];
	char	   *normal;

	if (strcmp(kind, CARD_KIND) == 0)
	{
		values[0] = CStringGetTextDatum(TrimText(value));
		return FindBy(&by_card, values);
	}
	normal = NormalizeIdentity(kind, value, &why);
	if (normal == NULL)
	{
		/* Whatever cannot be a value is nobody's; a kind that is none is a mistake. */
		Refusal		mistake = {0};

		FindKind(kind, &mistake);
		if (mistake.sqlstate != 0)
			RaiseRefusal(&mistake);
		return 0;
	}
	values[0] = CStringGetTextDatum(kind);
	values[1] = CStringGetTextDatum(normal);
	return FindBy(&by_identity, values);
}

static int64
FindMember(const char *kind, const char *value)
{
	int64		holder = FindHolder(kind, value);

	if (holder == 0)
		return 0;
	SPI_connect();
	holder = CanonicalMember(holder, true);
	SPI_finish();
	return holder;
}

PG_FUNCTION_INFO_V1(crm_member_id);
Datum
crm_member_id(PG_FUNCTION_ARGS)
{
	int64		found = FindMember(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								   text_to_cstring(PG_GETARG_TEXT_PP(1)));

	if (found == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(found);
}

PG_FUNCTION_INFO_V1(crm_normalize_identity);
Datum
crm_normalize_identity(PG_FUNCTION_ARGS)
{
	Refusal		why = {0};
	char	   *normal = NormalizeIdentity(text_to_cstring(PG_GETARG_TEXT_PP(0)),
										   text_to_cstring(PG_GETARG_TEXT_PP(1)), &why);

	if (normal == NULL)
		RaiseRefusal(&why);
	PG_RETURN_TEXT_P(cstring_to_text(normal));
}
