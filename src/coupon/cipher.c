/*
 * cipher.c: the keyed permutation that turns a counter into codes.
 *
 * A Feistel network on two halves of 25 bits whose round function is SipHash-2-4
 * under the secret of this installation.  It is a permutation whatever the
 * round function does, so codes are unique by construction; without the secret
 * one code tells nothing of the next.
 */
#include "crm_member.h"
#include "configuration.h"
#include "coupon/code.h"
#include "secret.h"

#define HALF_BITS (CODE_BITS / 2)
#define HALF_MASK ((UINT64CONST(1) << HALF_BITS) - 1)
#define ROUNDS	  10

static void
LoadCipherSecret(void *contents, MemoryContext context)
{
	static CrmQuery query = {"SELECT key, native_shaped FROM crm_member.coupon_secret", 0};

	ReadSecret(&query, contents);
}

static const Secret *
CipherSecret(void)
{
	static Configuration secret = {
		"secret of coupons", {"coupon_secret"}, sizeof(Secret), LoadCipherSecret};

	return GetConfiguration(&secret);
}

bool
AliasesLookNative(void)
{
	return CipherSecret()->marked;
}

static void
EncipherLanes(const Secret *s, uint64 *numbers)
{
	uint64		left[SIP_LANES];
	uint64		right[SIP_LANES];
	uint64		words[SIP_LANES];
	uint64		hashes[SIP_LANES];

	for (int i = 0; i < SIP_LANES; i++)
	{
		left[i] = numbers[i] >> HALF_BITS & HALF_MASK;
		right[i] = numbers[i] & HALF_MASK;
	}
	for (int round = 0; round < ROUNDS; round++)
	{
		for (int i = 0; i < SIP_LANES; i++)
			words[i] = (uint64) round << 32 | right[i];
		SipHash(s->keys + round % 2 * 2, words, hashes);
		for (int i = 0; i < SIP_LANES; i++)
		{
			uint64		mixed = left[i] ^ (hashes[i] & HALF_MASK);

			left[i] = right[i];
			right[i] = mixed;
		}
	}
	for (int i = 0; i < SIP_LANES; i++)
		numbers[i] = left[i] << HALF_BITS | right[i];
}

void
EncipherNumbers(int64 *numbers, int64 n)
{
	const Secret *s = CipherSecret();
	uint64		lanes[SIP_LANES] = {0};

	for (int64 done = 0; done < n; done += SIP_LANES)
	{
		int			count = Min(n - done, SIP_LANES);

		memcpy(lanes, numbers + done, sizeof(int64) * count);
		EncipherLanes(s, lanes);
		memcpy(numbers + done, lanes, sizeof(int64) * count);
	}
}
