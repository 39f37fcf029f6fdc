/*
 * configuration.c: what tables of configuration say, kept in memory until they change.
 *
 * It is read aside, into a context of its own, and takes the place of the one
 * before when it is complete: an error leaves nothing half read.
 */
#include "crm_member.h"
#include "catalog.h"
#include "configuration.h"

#include "executor/spi.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

void
BeginConfiguration(const char *table)
{
	PushActiveSnapshot(GetCatalogSnapshot(CrmRelation(table)));
	SPI_connect();
}

void
EndConfiguration(void)
{
	SPI_finish();
	PopActiveSnapshot();
}

const void *
ReadConfiguration(Configuration *configuration)
{
	MemoryContext context;
	void	   *contents;
	int			ntables = 0;

	while (ntables < CONFIGURATION_TABLES && configuration->tables[ntables] != NULL)
		ntables++;
	WatchRelations(&configuration->valid, configuration->tables, ntables);
	configuration->valid = true;	/* before reading: a change meanwhile must not be lost */

	context = AllocSetContextCreate(CurrentMemoryContext, "crm_member configuration",
									ALLOCSET_START_SMALL_SIZES);
	MemoryContextSetIdentifier(context, configuration->name);
	contents = MemoryContextAllocZero(context, configuration->size);
	PG_TRY();
	{
		BeginConfiguration(configuration->tables[0]);
		configuration->load(contents, context);
		EndConfiguration();
	}
	PG_CATCH();
	{
		configuration->valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();

	if (configuration->context != NULL)
		MemoryContextSetParent(configuration->context, TopTransactionContext);
	MemoryContextSetParent(context, CacheMemoryContext);
	configuration->context = context;
	configuration->contents = contents;
	return contents;
}

const void *
GetConfigurationNow(Configuration *configuration)
{
	AcceptInvalidationMessages();
	return GetConfiguration(configuration);
}
