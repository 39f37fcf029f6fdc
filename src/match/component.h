/*
 * component.h: disjoint sets of the numbers 0 .. n - 1.
 *
 * The set of a number is named by its least one, so that the result does not
 * depend on the order in which sets were joined.
 */
#ifndef CRM_COMPONENT_H
#define CRM_COMPONENT_H

#include "postgres.h"

#include "utils/memutils.h"

typedef uint32 Component;

static inline Component *
MakeComponents(uint32 n)
{
	Component *forest = palloc_extended(Max((Size) n, 1) * sizeof(Component), MCXT_ALLOC_HUGE);

	for (uint32 i = 0; i < n; i++)
		forest[i] = i;
	return forest;
}

static inline uint32
ComponentOf(Component *forest, uint32 x)
{
	while (forest[x] != x)
		x = forest[x] = forest[forest[x]];
	return x;
}

static inline void
JoinComponents(Component *forest, uint32 a, uint32 b)
{
	a = ComponentOf(forest, a);
	b = ComponentOf(forest, b);
	if (a < b)
		forest[b] = a;
	else
		forest[a] = b;
}

#endif
