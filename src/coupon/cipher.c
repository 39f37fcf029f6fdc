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

static inline uint64
RotateLeft(uint64 x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void
SipRound(uint64 v[4])
{
	v[0] += v[1];
	v[1] = RotateLeft(v[1], 13) ^ v[0];
	v[0] = RotateLeft(v[0], 32);
	v[2] += v[3];
	v[3] = RotateLeft(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = RotateLeft(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = RotateLeft(v[1], 17) ^ v[2];
	v[2] = RotateLeft(v[2], 32);
}

/* SipHash-2-4 of one 64-bit word */
static inline uint64
SipHash(const uint64 key[2], uint64 word)
{
	uint64		length = UINT64CONST(8) << 56;
	uint64		v[4] = {key[0] ^ UINT64CONST(0x736f6d6570736575),
						key[1] ^ UINT64CONST(0x646f72616e646f6d),
						key[0] ^ UINT64CONST(0x6c7967656e657261),
						key[1] ^ UINT64CONST(0x7465646279746573)};

	v[3] ^= word;
	SipRound(v);
	SipRound(v);
	v[0] ^= word;
	v[3] ^= length;
	SipRound(v);
	SipRound(v);
	v[0] ^= length;
	v[2] ^= 0xff;
	SipRound(v);
	SipRound(v);
	SipRound(v);
	SipRound(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

int64
EncipherNumber(int64 number)
{
	const Secret *s = GetSecret();
	uint64		left = (uint64) number >> HALF_BITS & HALF_MASK;
	uint64		right = (uint64) number & HALF_MASK;

	for (int round = 0; round < ROUNDS; round++)
	{
		uint64		mixed = left ^
			(SipHash(s->keys + round % 2 * 2, (uint64) round << 32 | right) & HALF_MASK);

		left = right;
		right = mixed;
	}
	return (int64) (left << HALF_BITS | right);
}
