/*
 * new_id.c: 64-bit identifiers that two servers never share.
 *
 *	   52                           16 15              0
 *	  +-------------------------------+-----------------+
 *	  |  counter of this database     |  node           |
 *	  +-------------------------------+-----------------+
 *
 * The counter is a sequence, so it survives a crash and hands out numbers
 * without a lock held to commit.  The node is this server's number in the table
 * crm_member.node, which knows a server by its system identifier: a database
 * restored on another server registers itself there at its first identifier
 * and never repeats one of the old server.  Identifiers stay below 2^53, so a
 * client that reads JSON numbers as doubles reads them exactly.
 *
 * Two servers promoted from one physical copy have one system identifier; see
 * "Operations" in README.md.
 */
#include "crm_member.h"
#include "catalog.h"
#include "query.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "common/hashfn.h"
#include "miscadmin.h"

#define NODE_BITS	 16
#define NODE_COUNT	 (1 << NODE_BITS)
#define COUNTER_BITS 37

static int	node = -1;
static bool node_valid = false;

/*
 * This server's number: the registered one, else the first free one from where
 * its system identifier hashes to.  Copies of one dump that register apart
 * from each other thus do not meet.
 */
static int
RegisterNode(void)
{
	static CrmQuery find = {"SELECT node FROM crm_member.node WHERE system_identifier "
						 "OPERATOR(pg_catalog.=) $1",
						 1, {INT8OID}};
	static CrmQuery claim = {"INSERT INTO crm_member.node (system_identifier, node) VALUES ($1, $2) "
						  "ON CONFLICT DO NOTHING",
						  2, {INT8OID, INT4OID}};
	int64		sysid = (int64) GetSystemIdentifier();
	uint32		start = hash_bytes((unsigned char *) &sysid, sizeof(sysid));
	int			found = -1;
	Oid			user;
	int			context;

	/* Whoever needs an identifier may register the server, as the table's owner. */
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(RelationOwner(CrmRelation("node")),
						   context | SECURITY_LOCAL_USERID_CHANGE);
	SPI_connect();
	for (uint32 probe = 0; found < 0; probe++)
	{
		Datum		values[2];
		bool		isnull;

		values[0] = Int64GetDatum(sysid);
		values[1] = Int32GetDatum((int32) ((start + probe) % NODE_COUNT));
		if (RunQuery(&find, values, NULL, false, 1) == 1)
			found = DatumGetInt32(QueryColumn(0, 1, &isnull));
		else if (probe == NODE_COUNT)
			elog(ERROR, "all %d node numbers are taken", NODE_COUNT);
		else
			RunQuery(&claim, values, NULL, false, 0);
	}
	SPI_finish();
	SetUserIdAndSecContext(user, context);
	return found;
}

int64
NewId(void)
{
	static const char *const watched[] = {"node"};
	int64		counter;

	if (!node_valid)
	{
		WatchRelations(&node_valid, watched, lengthof(watched));
		node_valid = true;
		PG_TRY();
		{
			node = RegisterNode();
		}
		PG_CATCH();
		{
			node_valid = false;
			PG_RE_THROW();
		}
		PG_END_TRY();
	}

	counter = nextval_internal(CrmRelation("id_counter"), false);
	if (counter < 1 || counter >> COUNTER_BITS != 0)
		ereport(ERROR, (errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
						errmsg("crm_member.id_counter is out of range")));
	return counter << NODE_BITS | node;
}

PG_FUNCTION_INFO_V1(crm_new_id);
Datum
crm_new_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(NewId());
}
