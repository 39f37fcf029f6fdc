/*
 * secret.c: the secrets of this installation, and SipHash-2-4 under them.
 */
#include "crm_member.h"
#include "secret.h"

#include "port/pg_bswap.h"

void
ReadSecret(CrmQuery *query, Secret *secret)
{
	bytea	   *key;
	bool		isnull;

	if (RunQuery(query, NULL, NULL, true, 1) != 1)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("a secret of crm_member has no row"),
						errhint("CALL crm_member.setup() writes it.")));
	key = DatumGetByteaPP(QueryColumn(0, 1, &isnull));
	memcpy(secret->keys, VARDATA_ANY(key), sizeof(secret->keys));
	for (int i = 0; i < lengthof(secret->keys); i++)
		secret->keys[i] = pg_ntoh64(secret->keys[i]);
	secret->marked = DatumGetBool(QueryColumn(0, 2, &isnull));
}

/*
 * SIP_LANES numbers at a time: their rounds do not depend on one another, so they
 * run side by side, in vector registers where there are wide ones.
 */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define WIDEST_VECTORS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST_VECTORS
#endif

#define ROTATED(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))

#define SIP_ROUND \
	for (int i = 0; i < SIP_LANES; i++) \
	{ \
		a[i] += b[i]; \
		b[i] = ROTATED(b[i], 13) ^ a[i]; \
		a[i] = ROTATED(a[i], 32); \
		c[i] += d[i]; \
		d[i] = ROTATED(d[i], 16) ^ c[i]; \
		a[i] += d[i]; \
		d[i] = ROTATED(d[i], 21) ^ a[i]; \
		c[i] += b[i]; \
		b[i] = ROTATED(b[i], 17) ^ c[i]; \
		c[i] = ROTATED(c[i], 32); \
	}

WIDEST_VECTORS void
SipHash(const uint64 *key, const uint64 *words, uint64 *hashes)
{
	const uint64 length = UINT64CONST(8) << 56;
	uint64		a[SIP_LANES];
	uint64		b[SIP_LANES];
	uint64		c[SIP_LANES];
	uint64		d[SIP_LANES];

	for (int i = 0; i < SIP_LANES; i++)
	{
		a[i] = key[0] ^ UINT64CONST(0x736f6d6570736575);
		b[i] = key[1] ^ UINT64CONST(0x646f72616e646f6d);
		c[i] = key[0] ^ UINT64CONST(0x6c7967656e657261);
		d[i] = key[1] ^ UINT64CONST(0x7465646279746573) ^ words[i];
	}
	SIP_ROUND
	SIP_ROUND
	for (int i = 0; i < SIP_LANES; i++)
	{
		a[i] ^= words[i];
		d[i] ^= length;
	}
	SIP_ROUND
	SIP_ROUND
	for (int i = 0; i < SIP_LANES; i++)
	{
		a[i] ^= length;
		c[i] ^= 0xff;
	}
	SIP_ROUND
	SIP_ROUND
	SIP_ROUND
	SIP_ROUND
	for (int i = 0; i < SIP_LANES; i++)
		hashes[i] = a[i] ^ b[i] ^ c[i] ^ d[i];
}
