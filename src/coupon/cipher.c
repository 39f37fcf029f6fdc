/*
 * cipher.c: the keyed permutation that turns a counter into codes.
 *
 * A Feistel network on two halves of 25 bits whose round function is SipHash-2-4
 * under the secret of this installation.  It is a permutation whatever the
 * round function does, so codes are unique by construction; without the secret
 * one code tells nothing of the next.
 */
#include "crm_member.h"
#include "catalog.h"
#include "coupon/code.h"
#include "query.h"

#include "port/pg_bswap.h"

#define HALF_BITS (CODE_BITS / 2)
#define HALF_MASK ((UINT64CONST(1) << HALF_BITS) - 1)
#define ROUNDS	  10

typedef struct Secret
{
	uint64		keys[4];		/* even rounds, odd rounds */
	bool		native_shaped;
} Secret;

static Secret secret;
static bool secret_valid = false;

static const Secret *
GetSecret(void)
{
	static const char *const watched[] = {"coupon_secret"};
	static CrmQuery query = {"SELECT key, native_shaped FROM crm_member.coupon_secret", 0};
	Secret		fresh;

	if (secret_valid)
		return &secret;

	WatchRelations(&secret_valid, watched, lengthof(watched));
	secret_valid = true;		/* before reading: a change meanwhile must not be lost */

	PG_TRY();
	{
		bytea	   *key;
		bool		isnull;

		BeginConfiguration("coupon_secret");
		if (RunQuery(&query, NULL, NULL, true, 1) != 1)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							errmsg("crm_member.coupon_secret has no row"),
							errhint("CALL crm_member.setup() writes it.")));
		key = DatumGetByteaPP(QueryColumn(0, 1, &isnull));
		memcpy(fresh.keys, VARDATA_ANY(key), sizeof(fresh.keys));
		for (int i = 0; i < lengthof(fresh.keys); i++)
			fresh.keys[i] = pg_ntoh64(fresh.keys[i]);
		fresh.native_shaped = DatumGetBool(QueryColumn(0, 2, &isnull));
		EndConfiguration();
	}
	PG_CATCH();
	{
		secret_valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();

	secret = fresh;
	return &secret;
}

bool
AliasesLookNative(void)
{
	return GetSecret()->native_shaped;
}

/*
 * LANES numbers at a time: their rounds do not depend on one another, so they
 * run side by side, in vector registers where there are wide ones.
 */
#define LANES	  8

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define WIDEST_VECTORS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST_VECTORS
#endif

#define ROTATED(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))

#define SIP_ROUND \
	for (int i = 0; i < LANES; i++) \
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

/* SipHash-2-4 of one 64-bit word each */
WIDEST_VECTORS static void
SipHash(const uint64 *key, const uint64 *words, uint64 *hashes)
{
	const uint64 length = UINT64CONST(8) << 56;
	uint64		a[LANES];
	uint64		b[LANES];
	uint64		c[LANES];
	uint64		d[LANES];

	for (int i = 0; i < LANES; i++)
	{
		a[i] = key[0] ^ UINT64CONST(0x736f6d6570736575);
		b[i] = key[1] ^ UINT64CONST(0x646f72616e646f6d);
		c[i] = key[0] ^ UINT64CONST(0x6c7967656e657261);
		d[i] = key[1] ^ UINT64CONST(0x7465646279746573) ^ words[i];
	}
	SIP_ROUND
	SIP_ROUND
	for (int i = 0; i < LANES; i++)
	{
		a[i] ^= words[i];
		d[i] ^= length;
	}
	SIP_ROUND
	SIP_ROUND
	for (int i = 0; i < LANES; i++)
	{
		a[i] ^= length;
		c[i] ^= 0xff;
	}
	SIP_ROUND
	SIP_ROUND
	SIP_ROUND
	SIP_ROUND
	for (int i = 0; i < LANES; i++)
		hashes[i] = a[i] ^ b[i] ^ c[i] ^ d[i];
}

static void
EncipherLanes(const Secret *s, uint64 *numbers)
{
	uint64		left[LANES];
	uint64		right[LANES];
	uint64		words[LANES];
	uint64		hashes[LANES];

	for (int i = 0; i < LANES; i++)
	{
		left[i] = numbers[i] >> HALF_BITS & HALF_MASK;
		right[i] = numbers[i] & HALF_MASK;
	}
	for (int round = 0; round < ROUNDS; round++)
	{
		for (int i = 0; i < LANES; i++)
			words[i] = (uint64) round << 32 | right[i];
		SipHash(s->keys + round % 2 * 2, words, hashes);
		for (int i = 0; i < LANES; i++)
		{
			uint64		mixed = left[i] ^ (hashes[i] & HALF_MASK);

			left[i] = right[i];
			right[i] = mixed;
		}
	}
	for (int i = 0; i < LANES; i++)
		numbers[i] = left[i] << HALF_BITS | right[i];
}

void
EncipherNumbers(int64 *numbers, int64 n)
{
	const Secret *s = GetSecret();
	uint64		lanes[LANES] = {0};

	for (int64 done = 0; done < n; done += LANES)
	{
		int			count = Min(n - done, LANES);

		memcpy(lanes, numbers + done, sizeof(int64) * count);
		EncipherLanes(s, lanes);
		memcpy(numbers + done, lanes, sizeof(int64) * count);
	}
}
