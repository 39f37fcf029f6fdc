/*
 * config.c: kinds of identity, tiers and card types, cached in each session.
 *
 * Read with the catalog snapshot: a snapshot of the calling query may be older
 * than the change that made the cache invalid.
 */
#include "crm_member.h"
#include "catalog.h"
#include "query.h"
#include "member/member.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

static MemoryContext config_context = NULL;
static MemberConfig config;
static bool config_valid = false;

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
ReadConfig(MemberConfig *fresh, MemoryContext context)
{
	static CrmQuery kinds = {"SELECT kind, normaliser, scoped FROM crm_member.identity_kind "
						  "ORDER BY kind", 0};
	static CrmQuery tiers = {"SELECT tier_code FROM crm_member.tier ORDER BY rank", 0};
	static CrmQuery card_types = {"SELECT card_type FROM crm_member.card_type "
							   "ORDER BY card_type", 0};
	uint64		n;

	SPI_connect();
	n = RunQuery(&kinds, NULL, NULL, true, 0);
	fresh->kinds = MemoryContextAlloc(context, (n + 1) * sizeof(IdentityKind));
	fresh->nkinds = (int) n;
	for (uint64 i = 0; i < n; i++)
	{
		IdentityKind *kind = &fresh->kinds[i];
		bool		isnull;

		kind->kind = MemoryContextStrdup(context, ColumnText(i, 1));
		kind->form = FormByName(ColumnText(i, 2));
		kind->scoped = DatumGetBool(QueryColumn(i, 3, &isnull));
	}
	fresh->tiers = ReadNames(&tiers, context, &fresh->ntiers);
	fresh->card_types = ReadNames(&card_types, context, &fresh->ncard_types);
	SPI_finish();
}

const MemberConfig *
GetMemberConfig(void)
{
	static const char *const watched[] = {"identity_kind", "tier", "card_type"};
	MemoryContext aside;
	MemberConfig fresh;

	if (config_valid)
		return &config;

	WatchRelations(&config_valid, watched, lengthof(watched));
	config_valid = true;		/* before reading: a change meanwhile must not be lost */

	aside = AllocSetContextCreate(CurrentMemoryContext, "crm_member configuration of members",
								  ALLOCSET_SMALL_SIZES);
	PG_TRY();
	{
		PushActiveSnapshot(GetCatalogSnapshot(InvalidOid));
		ReadConfig(&fresh, aside);
		PopActiveSnapshot();
	}
	PG_CATCH();
	{
		config_valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();

	MemoryContextSetParent(aside, TopMemoryContext);
	if (config_context != NULL)
		MemoryContextDelete(config_context);
	config_context = aside;
	config = fresh;
	return &config;
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
