/*
 * secret.h: the secrets of this installation: 32 random bytes each, the only row of
 * a table that setup() makes and level admin may read.
 */
#ifndef CRM_SECRET_H
#define CRM_SECRET_H

#include "postgres.h"
#include "query.h"

typedef struct Secret
{
	uint64		keys[4];
	bool		marked;			/* a boolean kept beside the key */
} Secret;

/* What a query says of a secret, its key and the boolean: for who loads it as configuration. */
extern void ReadSecret(CrmQuery *query, Secret *secret);

#define SIP_LANES 8

/* SipHash-2-4 of one 64-bit word each, under two words of key */
extern void SipHash(const uint64 *key, const uint64 *words, uint64 *hashes);

#endif
