/*
 * decide.c: which pairs may be merged without asking.
 */
#include "match/match.h"
#include "match/component.h"

#define CONTRARY_WEIGHT (10 * WEIGHT_SCALE)
#define OWN_WEIGHT (3 * WEIGHT_SCALE)

/*
 * A family name without the given name, another title, another birthday ask for
 * more than the threshold; and what a family shares, a telephone, an address,
 * does not suffice without something of the person.
 */
static bool
IsAutomatic(const MatchModel *model, uint64 pattern, int32 weight)
{
	int   contrary = 0;
	int32 own = 0;

	for (int f = 0; f < model->nfields; f++)
	{
		const MatchField *field = &model->fields[f];
		int               level = PATTERN_LEVEL(pattern, f);
		int32             adjustment;

		if (level < 0)
			continue;
		contrary += level >= field->comparator->contrary;
		if (field->comparator->role != ROLE_SHARED)
			own += FieldWeight(model, f, level, NULL, NULL, 1, &adjustment);
	}
	if (HasRelations(model) && own < OWN_WEIGHT)
		return false;
	return WeightProbability(weight - contrary * CONTRARY_WEIGHT) >= model->auto_threshold;
}

/* A pair whose two records are made one through others needs no decision either. */
void
DecidePairs(MatchModel *model, MatchData *data, MatchEdge *edges, uint64 nedges,
			const uint32 *weighed)
{
	Component *forest = MakeComponents(data->nrows);

	for (uint64 i = 0; i < nedges; i++)
	{
		MatchEdge    *edge = &edges[i];
		const uint32 *a = data->cells + (Size) edge->left * model->nfields,
					 *b = data->cells + (Size) edge->right * model->nfields;
		uint64 pattern;
		int32  relation;

		edge->automatic = false;
		if (!edge->linked)
			continue;
		if (edge->weight < PG_INT32_MAX)
		{
			pattern = ComparePattern(model, a, b);
			if (!IsAutomatic(model, pattern,
							 PairWeight(model, data, edge->left, edge->right, pattern, weighed,
										&relation)))
				continue;
		}
		JoinComponents(forest, edge->left, edge->right);
	}
	for (uint64 i = 0; i < nedges; i++)
		edges[i].automatic =
			ComponentOf(forest, edges[i].left) == ComponentOf(forest, edges[i].right);
	pfree(forest);
}
