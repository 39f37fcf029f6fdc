/*
 * similar.h: how alike two short texts are.
 */
#ifndef CRM_SIMILAR_H
#define CRM_SIMILAR_H

#include "text/text.h"

/* Winkler's variant of Jaro, 0 to 1; only the first 64 runes count. */
extern double JaroWinkler(const Rune *a, int na, const Rune *b, int nb);

/* Insertions, deletions, substitutions, swaps of neighbours; limit + 1 when above limit. */
extern int EditDistance(const Rune *a, int na, const Rune *b, int nb, int limit);

extern uint64 HashBytes64(const void *data, int length, uint64 seed);

static inline uint64
MixHash(uint64 a, uint64 b)
{
	a ^= b + UINT64CONST(0x9E3779B97F4A7C15) + (a << 6) + (a >> 2);
	a *= UINT64CONST(0xBF58476D1CE4E5B9);
	return a ^ (a >> 31);
}

static inline bool
SameRunes(const Rune *a, int na, const Rune *b, int nb)
{
	if (na != nb)
		return false;
	for (int i = 0; i < na; i++)
	{
		if (a[i] != b[i])
			return false;
	}
	return true;
}

#endif
