/*
 * configuration.h: what tables of configuration say, kept in memory until they change.
 */
#ifndef CRM_CONFIGURATION_H
#define CRM_CONFIGURATION_H

#include "postgres.h"

#define CONFIGURATION_TABLES 4

typedef struct Configuration
{
	const char *name;			/* of its memory */
	const char *tables[CONFIGURATION_TABLES];	/* it is read from; NULL after the last */
	Size		size;			/* of its contents */
	/* Reads the contents, which come all zero; what they point to belongs into context. */
	void		(*load) (void *contents, MemoryContext context);

	/* filled at first use, and again when the tables change */
	bool		valid;
	void	   *contents;
	MemoryContext context;
} Configuration;

/* Read it; the one before goes with the transaction, which may still look at it. */
extern const void *ReadConfiguration(Configuration *configuration);

static inline const void *
GetConfiguration(Configuration *configuration)
{
	return configuration->valid ? configuration->contents : ReadConfiguration(configuration);
}

/*
 * By what is committed now.  For who looks once in a statement: a transaction that
 * holds its locks already is told of no change otherwise.
 */
extern const void *GetConfigurationNow(Configuration *configuration);

/*
 * For one read in another way: what is between these two runs its statements by
 * what is committed now, since the snapshot of the calling query may be older than
 * the change that made the configuration invalid.
 */
extern void BeginConfiguration(const char *table);
extern void EndConfiguration(void);

#endif
