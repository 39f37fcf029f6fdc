/*
 * alias.h: whose purchases a merged member's purchases are.
 */
#ifndef CRM_ALIAS_H
#define CRM_ALIAS_H

#include "postgres.h"

typedef struct Aliases Aliases;

/* All merged members; NULL where there are none.  Run between SPI_connect and SPI_finish. */
extern Aliases *ReadAliases(MemoryContext context);

/* The member that this one was merged into in the end; itself where it was not. */
extern int64 RootOf(const Aliases *aliases, int64 member);

/*
 * The members whose purchases make up those of the roots of some members, the
 * roots themselves included.  Returns their number; *family is in the current
 * memory context, ascending and without repetition.
 */
extern size_t FamilyOf(const Aliases *aliases, const int64 *members, size_t n, int64 **family);

#endif
