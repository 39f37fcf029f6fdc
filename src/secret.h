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
	const char *table;
	CrmQuery	query;			/* its key, and a boolean kept beside it */
	uint64		keys[4];
	bool		marked;
	bool		valid;
} Secret;

/* Read once a session, and again when the table changes. */
extern const Secret *GetSecret(Secret *secret);

#define SIP_LANES 8

/* SipHash-2-4 of one 64-bit word each, under two words of key */
extern void SipHash(const uint64 *key, const uint64 *words, uint64 *hashes);

#endif
