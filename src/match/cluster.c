/*
 * cluster.c: from pairs to groups.
 *
 * Links are taken from the strongest to the weakest.  Two groups become one when
 * the link outweighs what all the other pairs between them say against it, and no
 * verdict keeps any of them apart; so one weak link cannot glue two groups.  The
 * result depends on the links alone, not on the order in which they come.
 */
#include "match/match.h"

#include "miscadmin.h"

#include <math.h>

#define MAX_CROSS 64 /* pairs between two groups that are looked at */

typedef struct Forest
{
	uint32 *parent;
	uint32 *next; /* circular list of each group */
	uint32 *size;
	bool   *guarded; /* a verdict keeps one of the group apart from somebody */
	uint32 *bond;    /* records that a verdict made one have one number */
} Forest;

static uint32
FindRoot(Forest *forest, uint32 x)
{
	while (forest->parent[x] != x)
		x = forest->parent[x] = forest->parent[forest->parent[x]];
	return x;
}

static void
Unite(Forest *forest, uint32 a, uint32 b)
{
	uint32 swap;

	if (forest->size[a] < forest->size[b])
	{
		swap = a;
		a = b;
		b = swap;
	}
	forest->parent[b] = a;
	forest->size[a] += forest->size[b];
	forest->guarded[a] |= forest->guarded[b];
	swap = forest->next[a];
	forest->next[a] = forest->next[b];
	forest->next[b] = swap;
}

static inline int
CompareEdge(const MatchEdge *a, const MatchEdge *b)
{
	if (a->weight != b->weight)
		return a->weight > b->weight ? -1 : 1;
	if (a->left != b->left)
		return a->left < b->left ? -1 : 1;
	return a->right < b->right ? -1 : a->right > b->right;
}

#define ST_SORT SortEdges
#define ST_ELEMENT_TYPE MatchEdge
#define ST_COMPARE(a, b) CompareEdge(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static bool
KeptApart(Forest *forest, uint32 a, uint32 b, MatchEdge *distinct, uint64 ndistinct)
{
	if (!forest->guarded[a] || !forest->guarded[b])
		return false;
	for (uint64 i = 0; i < ndistinct; i++)
	{
		uint32 x = FindRoot(forest, distinct[i].left), y = FindRoot(forest, distinct[i].right);

		if ((x == a && y == b) || (x == b && y == a))
			return true;
	}
	return false;
}

/* A pattern without the fields that may change and in which the link agrees where it does not. */
static uint64
ChangedFields(const MatchModel *model, uint64 link, uint64 pattern)
{
	for (int f = 0; f < model->nfields; f++)
	{
		const Comparator *comparator = model->fields[f].comparator;

		if (comparator->contrary == MATCH_NEVER && IsEqualLevel(comparator, PATTERN_LEVEL(link, f)) &&
			PATTERN_LEVEL(pattern, f) == comparator->nlevels - 1)
			pattern &= ~(UINT64CONST(15) << (f * 4));
	}
	return pattern;
}

/*
 * What a pair says against being one: its weight where that is negative.  The
 * prior counts as far as the fields that both records fill could have outweighed
 * it, so that a pair which has nothing to compare says nothing.  Nor does a field
 * in which the link agrees, where that may change: who had another number before
 * had it before this one too.
 */
static double
PairOpposition(MatchModel *model, MatchData *data, uint32 x, uint32 y, uint64 link,
			   const uint32 *cluster)
{
	uint64 pattern =
		ChangedFields(model, link,
					  ComparePattern(model, data->cells + (Size) x * model->nfields,
									 data->cells + (Size) y * model->nfields));
	int32  prior = PriorWeight(model), relation;
	int32  weight = PairWeight(model, data, x, y, pattern, cluster, &relation);
	double possible = 0;

	for (int f = 0; f < model->nfields; f++)
	{
		if (PATTERN_LEVEL(pattern, f) >= 0)
			possible += Max(log2(model->fields[f].m[0] / model->fields[f].u[0]), 0);
	}
	possible = Min(possible * WEIGHT_SCALE / (2.0 * Max(-prior, 1)), 1);
	return Min(weight - prior + prior * possible, 0);
}

/* Mean of what the other pairs between two groups say; not positive. */
static double
Opposition(MatchModel *model, MatchData *data, Forest *forest, const MatchEdge *edge,
		   const uint32 *cluster)
{
	double against = 0;
	int    looked = 0;
	uint32 x = edge->left;
	uint64 link = ComparePattern(model, data->cells + (Size) edge->left * model->nfields,
								 data->cells + (Size) edge->right * model->nfields);

	do
	{
		uint32 y = edge->right;

		do
		{
			if (x != edge->left || y != edge->right)
			{
				if (forest->bond[x] != forest->bond[edge->left] ||
					forest->bond[y] != forest->bond[edge->right])
					against += PairOpposition(model, data, x, y, link, cluster);
				if (++looked == MAX_CROSS)
					return against / looked;
			}
			y = forest->next[y];
		} while (y != edge->right);
		x = forest->next[x];
	} while (x != edge->left);
	return looked == 0 ? 0 : against / looked;
}

void
ClusterPairs(MatchModel *model, MatchData *data, MatchEdge *edges, uint64 nedges, int32 threshold,
			 MatchEdge *distinct, uint64 ndistinct, uint32 *cluster)
{
	Forest  forest;
	bool    bonded = false;
	uint32 *before = palloc_extended(Max(data->nrows, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);

	memcpy(before, cluster, data->nrows * sizeof(uint32));
	forest.parent = palloc_extended(Max(data->nrows, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	forest.next = palloc_extended(Max(data->nrows, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	forest.size = palloc_extended(Max(data->nrows, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	forest.guarded =
		palloc_extended(Max(data->nrows, 1) * sizeof(bool), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	forest.bond = palloc_extended(Max(data->nrows, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < data->nrows; i++)
	{
		forest.parent[i] = forest.next[i] = forest.bond[i] = i;
		forest.size[i] = 1;
	}
	for (uint64 i = 0; i < ndistinct; i++)
		forest.guarded[distinct[i].left] = forest.guarded[distinct[i].right] = true;

	SortEdges(edges, nedges);
	for (uint64 i = 0; i < nedges && edges[i].weight >= threshold; i++)
	{
		uint32 a = FindRoot(&forest, edges[i].left), b = FindRoot(&forest, edges[i].right);

		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
		/* the verdicts come first, then everything else */
		if (!bonded && edges[i].weight < PG_INT32_MAX)
		{
			for (uint32 k = 0; k < data->nrows; k++)
				forest.bond[k] = FindRoot(&forest, k);
			bonded = true;
		}
		if (a == b)
			continue;
		if (ndistinct > 0 && KeptApart(&forest, a, b, distinct, ndistinct))
			continue;
		if (forest.size[a] + forest.size[b] > 2 && edges[i].weight < PG_INT32_MAX &&
			edges[i].weight + Opposition(model, data, &forest, &edges[i], before) < threshold)
			continue;
		Unite(&forest, a, b);
	}

	/* a group is named after its first record */
	for (uint32 i = 0; i < data->nrows; i++)
		before[i] = UINT32_MAX;
	for (uint32 i = 0; i < data->nrows; i++)
	{
		uint32 root = FindRoot(&forest, i);

		if (before[root] == UINT32_MAX)
			before[root] = i;
		cluster[i] = before[root];
	}
	for (uint64 i = 0; i < nedges; i++)
		edges[i].linked = cluster[edges[i].left] == cluster[edges[i].right];
	pfree(forest.parent);
	pfree(forest.next);
	pfree(forest.size);
	pfree(forest.guarded);
	pfree(forest.bond);
	pfree(before);
}
