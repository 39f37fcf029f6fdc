/*
 * config.c: kinds of identity, tiers and card types.
 */
#include "crm_member.h"
#include "configuration.h"
#include "query.h"
#include "member/member.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

static char *
ColumnText(uint64 row, int column)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);

	Assert(!isnull);
	return TextDatumGetCString(value);
}

static IdentityForm
FormByName(const char *name)
{
	if (strcmp(name, "phone") == 0)
		return FORM_PHONE;
	if (strcmp(name, "email") == 0)
		return FORM_EMAIL;
	if (strcmp(name, "lower") == 0)
		return FORM_LOWER;
	return FORM_TRIM;
}

static char **
ReadNames(CrmQuery *query, MemoryContext context, int *nnames)
{
	uint64		n = RunQuery(query, NULL, NULL, true, 0);
	char	  **names = MemoryContextAlloc(context, (n + 1) * sizeof(char *));

	for (uint64 i = 0; i < n; i++)
		names[i] = MemoryContextStrdup(context, ColumnText(i, 1));
	*nnames = (int) n;
	return names;
}

static void
LoadMemberConfig(void *contents, MemoryContext context)
{
	MemberConfig *config = contents;
	static CrmQuery kinds = {"SELECT kind, normaliser, scoped FROM crm_member.identity_kind "
						  "ORDER BY kind", 0};
	static CrmQuery tiers = {"SELECT tier_code FROM crm_member.tier ORDER BY rank", 0};
	static CrmQuery card_types = {"SELECT card_type FROM crm_member.card_type "
							   "ORDER BY card_type", 0};
	uint64		n;

	n = RunQuery(&kinds, NULL, NULL, true, 0);
	config->kinds = MemoryContextAlloc(context, (n + 1) * sizeof(IdentityKind));
	config->nkinds = (int) n;
	for (uint64 i = 0; i < n; i++)
	{
		IdentityKind *kind = &config->kinds[i];
		bool		isnull;

		kind->kind = MemoryContextStrdup(context, ColumnText(i, 1));
		kind->form = FormByName(ColumnText(i, 2));
		kind->scoped = DatumGetBool(QueryColumn(i, 3, &isnull));
	}
	config->tiers = ReadNames(&tiers, context, &config->ntiers);
	config->card_types = ReadNames(&card_types, context, &config->ncard_types);
}

const MemberConfig *
GetMemberConfig(void)
{
	static Configuration members = {"configuration of members", {"identity_kind", "tier", "card_type"},
	sizeof(MemberConfig), LoadMemberConfig};

	return GetConfiguration(&members);
}

/* For hints. */
char *
ListNames(char **names, int nnames)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < nnames; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", names[i]);
	return list.data;
}
