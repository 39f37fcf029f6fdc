/*
 * similar.c: how alike two short texts are.
 *
 * Jaro-Winkler after W. E. Winkler, "String Comparator Metrics and Enhanced
 * Decision Rules in the Fellegi-Sunter Model of Record Linkage" (1990): common
 * prefix of at most 4 at scale 0.1.  Edit distance is the restricted one of
 * Damerau (optimal string alignment).
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "text/similar.h"

#define JARO_MAX 64

double
JaroWinkler(const Rune *a, int na, const Rune *b, int nb)
{
	uint64 used_a = 0, used_b = 0;
	int    window, common = 0, swapped = 0, prefix = 0;
	double jaro;

	na = Min(na, JARO_MAX);
	nb = Min(nb, JARO_MAX);
	if (na == 0 || nb == 0)
		return na == nb ? 1.0 : 0.0;
	if (SameRunes(a, na, b, nb))
		return 1.0;

	window = Max(Max(na, nb) / 2 - 1, 0);
	for (int i = 0; i < na; i++)
	{
		int last = Min(nb - 1, i + window);

		for (int j = Max(0, i - window); j <= last; j++)
		{
			if (a[i] == b[j] && !(used_b & (UINT64CONST(1) << j)))
			{
				used_a |= UINT64CONST(1) << i;
				used_b |= UINT64CONST(1) << j;
				common++;
				break;
			}
		}
	}
	if (common == 0)
		return 0.0;
	for (int i = 0, j = 0; i < na; i++)
	{
		if (!(used_a & (UINT64CONST(1) << i)))
			continue;
		while (!(used_b & (UINT64CONST(1) << j)))
			j++;
		if (a[i] != b[j])
			swapped++;
		j++;
	}
	jaro = ((double) common / na + (double) common / nb + (common - swapped / 2.0) / common) / 3.0;
	while (prefix < 4 && prefix < na && prefix < nb && a[prefix] == b[prefix])
		prefix++;
	return jaro + prefix * 0.1 * (1.0 - jaro);
}

int
EditDistance(const Rune *a, int na, const Rune *b, int nb, int limit)
{
	int  rows[3][JARO_MAX + 1];
	int *before = rows[0], *last = rows[1], *now = rows[2];

	if (abs(na - nb) > limit || na > JARO_MAX || nb > JARO_MAX)
		return SameRunes(a, na, b, nb) ? 0 : limit + 1;
	while (na > 0 && nb > 0 && a[0] == b[0])
	{
		a++, b++;
		na--, nb--;
	}
	while (na > 0 && nb > 0 && a[na - 1] == b[nb - 1])
		na--, nb--;
	if (na == 0 || nb == 0)
		return Max(na, nb);
	if (limit == 1)
	{
		/* what is left differs at both ends: one sign for another, or two swapped */
		if (na == 1 && nb == 1)
			return 1;
		return na == 2 && nb == 2 && a[0] == b[1] && a[1] == b[0] ? 1 : 2;
	}

	for (int j = 0; j <= nb; j++)
		last[j] = j;
	for (int i = 1; i <= na; i++)
	{
		int  best = now[0] = i;
		int *spare;

		for (int j = 1; j <= nb; j++)
		{
			int cost = last[j - 1] + (a[i - 1] != b[j - 1]);

			cost = Min(cost, Min(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				cost = Min(cost, before[j - 2] + 1);
			now[j] = cost;
			best = Min(best, cost);
		}
		if (best > limit)
			return limit + 1;
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[nb];
}

uint64
HashBytes64(const void *data, int length, uint64 seed)
{
	return hash_bytes_extended(data, length, seed);
}
