/*
 * alias.c: whose purchases a merged member's purchases are.
 *
 * A merge leaves every row with the member it was born with; the survivor is
 * found by following merged_into.
 */
#include "crm_member.h"
#include "query.h"
#include "rfm/alias.h"
#include "rfm/sort.h"

#include "miscadmin.h"
#include "utils/memutils.h"

typedef struct MergedMember
{
	int64		member;
	int64		into;
	char		status;
} MergedMember;

#define SH_PREFIX alias
#define SH_ELEMENT_TYPE MergedMember
#define SH_KEY_TYPE int64
#define SH_KEY member
#define SH_HASH_KEY(tb, key) ((uint32) ((uint64) (key) * UINT64CONST(0x9E3779B97F4A7C15) >> 32))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct Aliases
{
	alias_hash *map;
};

Aliases *
ReadAliases(MemoryContext context)
{
	static CrmQuery query = {
		"SELECT member_id, merged_into FROM crm_member.member WHERE merged_into IS NOT NULL", 0};
	uint64		n = RunQuery(&query, NULL, NULL, true, 0);
	Aliases    *aliases;

	if (n == 0)
		return NULL;
	aliases = MemoryContextAlloc(context, sizeof(Aliases));
	aliases->map = alias_create(context, n, NULL);
	for (uint64 row = 0; row < n; row++)
	{
		bool		found;
		bool		isnull;
		MergedMember	   *alias =
			alias_insert(aliases->map, DatumGetInt64(QueryColumn(row, 1, &isnull)), &found);

		alias->into = DatumGetInt64(QueryColumn(row, 2, &isnull));
	}
	return aliases;
}

int64
RootOf(const Aliases *aliases, int64 member)
{
	MergedMember *alias;
	uint32		steps = 0;

	if (aliases == NULL)
		return member;
	while ((alias = alias_lookup(aliases->map, member)) != NULL)
	{
		if (++steps > aliases->map->members)
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("member " INT64_FORMAT " is merged into itself", member)));
		member = alias->into;
	}
	return member;
}

static size_t
SortUnique(int64 *members, size_t n)
{
	size_t		kept = 0;

	SortMembers(members, n);
	for (size_t i = 0; i < n; i++)
	{
		if (kept == 0 || members[kept - 1] != members[i])
			members[kept++] = members[i];
	}
	return kept;
}

static bool
Contains(const int64 *members, size_t n, int64 member)
{
	size_t		lo = 0;
	size_t		hi = n;

	while (lo < hi)
	{
		size_t		mid = lo + (hi - lo) / 2;

		if (members[mid] < member)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && members[lo] == member;
}

size_t
FamilyOf(const Aliases *aliases, const int64 *members, size_t n, int64 **family)
{
	size_t		size = n + (aliases != NULL ? aliases->map->members : 0);
	int64	   *found =
		palloc_extended(Max(size, 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	size_t		nroots;
	size_t		nfound;

	for (size_t i = 0; i < n; i++)
		found[i] = RootOf(aliases, members[i]);
	nroots = SortUnique(found, n);
	nfound = nroots;
	if (aliases != NULL)
	{
		alias_iterator iterator;
		MergedMember	   *alias;

		alias_start_iterate(aliases->map, &iterator);
		while ((alias = alias_iterate(aliases->map, &iterator)) != NULL)
		{
			CHECK_FOR_INTERRUPTS();
			if (Contains(found, nroots, RootOf(aliases, alias->member)))
				found[nfound++] = alias->member;
		}
		nfound = SortUnique(found, nfound);
	}
	*family = found;
	return nfound;
}
