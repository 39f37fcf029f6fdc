/*
 * weight.c: what each level of agreement is worth.
 *
 * The weight of a level is log2(m / u), m and u being its shares among matching
 * and other pairs.  A level of equality is worth more for a rare value: u gives way
 * to the share of the entities, other than these two, that hold the value.
 */
#include "match/match.h"

#include "common/hashfn.h"

#include <math.h>

#define MAX_RARITY 10.0   /* bits */
#define LARGEST_HOME 8    /* entities with one telephone or address */
#define MAX_TOGETHER 6.0  /* bits that going together adds or takes */
#define FEW_TOGETHER 2.0  /* meetings that say nothing yet */

/* How many entities hold each form, and what to expect of a form nobody else holds. */
void
CountEntities(MatchModel *model, MatchData *data, const uint32 *cluster)
{
	uint32 *start =
		palloc_extended((data->nrows + 2) * sizeof(uint32), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	uint32 *rows = palloc_extended(Max(data->nrows, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);

	for (uint32 i = 0; i < data->nrows; i++)
		start[cluster[i] + 1]++;
	for (uint32 i = 0; i < data->nrows; i++)
		start[i + 1] += start[i];
	for (uint32 i = 0; i < data->nrows; i++)
		rows[start[cluster[i]]++] = i;

	for (int f = 0; f < model->nfields; f++)
	{
		MatchField *field = &model->fields[f];

		for (int form = 0; form < MATCH_MAX_FORMS; form++)
		{
			uint32  count = field->forms[form].count;
			uint32 *last;
			uint32  previous = UINT32_MAX;
			double  once = 0, twice = 0;

			if (count == 0)
				continue;
			if (field->entities[form] == NULL)
				field->entities[form] =
					MemoryContextAllocHuge(field->context, (count + 1) * sizeof(uint32));
			memset(field->entities[form], 0, (count + 1) * sizeof(uint32));
			last = palloc_extended((count + 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
			memset(last, 0xff, (count + 1) * sizeof(uint32));
			field->holders[form] = 0;
			for (uint32 i = 0; i < data->nrows; i++)
			{
				uint32 cell = data->cells[(Size) rows[i] * model->nfields + f];
				uint32 id = cell == 0 ? 0 : field->values[cell]->form[form];
				uint32 c = cluster[rows[i]];

				if (id == 0)
					continue;
				if (c != previous)
					field->holders[form]++;
				previous = c;
				if (last[id] == c)
					continue;
				last[id] = c;
				field->entities[form][id]++;
			}
			for (uint32 id = 1; id <= count; id++)
			{
				once += field->entities[form][id] == 1;
				twice += field->entities[form][id] == 2;
			}
			/* Good & Turing: what was seen once stands for 2 N2 / N1 */
			field->rare[form] = Min(Max((2 * twice + 1) / (once + 1), 0.005), 1.0);
			pfree(last);
		}
	}
	pfree(start);
	pfree(rows);
}

typedef struct TogetherCount
{
	uint64 forms; /* the lesser number of a form before the greater */
	uint32 count;
	char   status;
} TogetherCount;

#define SH_PREFIX together
#define SH_ELEMENT_TYPE TogetherCount
#define SH_KEY_TYPE uint64
#define SH_KEY forms
#define SH_HASH_KEY(tb, key) ((uint32) MixHash(key, 11))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static inline uint64
BothForms(uint32 a, uint32 b)
{
	return a < b ? ((uint64) a << 32) | b : ((uint64) b << 32) | a;
}

/*
 * Which different values meet in matches: one source says "VLDB" where the other
 * says "Very Large Data Bases", this city and that one are never the same place.
 */
void
CountTogether(MatchModel *model, const MatchData *data, const MatchEdge *edges, uint64 nedges)
{
	for (int f = 0; f < model->nfields; f++)
	{
		MatchField *field = &model->fields[f];

		if (!field->comparator->paired)
			continue;
		if (field->together == NULL)
			field->together = together_create(field->context, 1024, NULL);
		else
			together_reset(field->together);
		field->matched = 0;
		for (uint64 i = 0; i < nedges; i++)
		{
			uint32 a = data->cells[(Size) edges[i].left * model->nfields + f];
			uint32 b = data->cells[(Size) edges[i].right * model->nfields + f];
			bool   found;

			if (!edges[i].linked || a == 0 || b == 0)
				continue;
			a = field->values[a]->form[0];
			b = field->values[b]->form[0];
			field->matched++;
			if (a != b)
			{
				TogetherCount *entry =
					together_insert(field->together, BothForms(a, b), &found);

				entry->count = found ? entry->count + 1 : 1;
			}
		}
	}
}

/*
 * How much more, or less, often than others of their level two different values meet
 * in matches, in bits; linked: this pair is one of those counted.
 */
static double
TogetherBits(const MatchField *field, int level, uint32 a, uint32 b, bool linked)
{
	const TogetherCount *entry = together_lookup(field->together, BothForms(a, b));
	double               holders = Max(field->holders[0], 1);
	double chance = 2 * (field->entities[0][a] / holders) * (field->entities[0][b] / holders);
	double expected =
		field->matched * field->m[level] * Min(chance / Max(field->u[level], chance), 1);
	double seen = entry == NULL ? 0 : Max((double) entry->count - linked, 0);
	double bits = log2((seen + FEW_TOGETHER) / (expected + FEW_TOGETHER));

	return Min(Max(bits, -MAX_TOGETHER), MAX_TOGETHER);
}

static int32
ScaledLog2(double ratio)
{
	return (int32) lrint(log2(ratio) * WEIGHT_SCALE);
}

int32
PriorWeight(const MatchModel *model)
{
	return ScaledLog2(model->prior / (1 - model->prior - model->related));
}

double
WeightProbability(int32 weight)
{
	return 1.0 / (1.0 + exp2(-(double) weight / WEIGHT_SCALE));
}

/* How often two that are not one agree on the form, over the levels that tell when. */
static double
EqualityShare(const MatchField *field, int level)
{
	double share = 0;

	if (field->seen == NULL)
		return field->u[level];
	for (int l = 0; l < field->comparator->nlevels; l++)
	{
		if (IsEqualLevel(field->comparator, l))
			share += field->u[l];
	}
	return share;
}

/* shared: entities among the holders of the value that are this pair itself, 1 or 2. */
int32
FieldWeight(const MatchModel *model, int f, int level, const MatchValue *a, const MatchValue *b,
			int shared, int32 *adjustment)
{
	const MatchField *field = &model->fields[f];
	int               form = field->comparator->levels[level].form;

	*adjustment = 0;
	if (form >= 0 && a != NULL && b != NULL && a->form[form] != 0 &&
		a->form[form] == b->form[form] && field->entities[form] != NULL)
	{
		double others = Max((double) field->entities[form][a->form[form]] - shared, 0);
		double share = (others + field->rare[form]) / Max(field->holders[form], 1);
		double bits = log2(EqualityShare(field, level) / share);

		bits *= field->comparator->frequency;
		bits = Min(Max(bits, -MAX_RARITY), MAX_RARITY);
		*adjustment = (int32) lrint(bits * WEIGHT_SCALE);
	}
	else if (form < 0 && a != NULL && b != NULL && field->together != NULL &&
			 field->matched > 0 && a->form[0] != b->form[0])
		*adjustment = (int32) lrint(
			TogetherBits(field, level, a->form[0], b->form[0], shared == 1) * WEIGHT_SCALE);
	return ScaledLog2(Max(field->m[level] / field->u[level], field->comparator->least));
}

/*
 * Sum of the prior, the weights of the fields, and what is taken off because a
 * related pair would look the same: -log2(1 + odds of a related against a strange
 * pair), in *relation; *kinship is the logarithm of those odds.
 */
static int32
WeighPair(const MatchModel *model, const MatchData *data, uint32 left, uint32 right, uint64 pattern,
		  const uint32 *cluster, int32 *relation, double *kinship)
{
	const uint32 *a = data->cells + (Size) left * model->nfields,
				 *b = data->cells + (Size) right * model->nfields;
	int    shared = cluster[left] == cluster[right] ? 1 : 2;
	int32  weight = PriorWeight(model);

	*kinship = 0;
	for (int f = 0; f < model->nfields; f++)
	{
		const MatchField *field = &model->fields[f];
		int               level = PATTERN_LEVEL(pattern, f);
		int32             adjustment;

		if (level < 0)
			continue;
		weight += FieldWeight(model, f, level, a[f] ? field->values[a[f]] : NULL,
							  b[f] ? field->values[b[f]] : NULL, shared, &adjustment);
		weight += adjustment;
		if (field->comparator->role != ROLE_OWN)
			*kinship += log2(field->r[level] / field->u[level]) + (double) adjustment / WEIGHT_SCALE;
	}
	*relation = 0;
	if (model->related > 0)
	{
		*kinship += log2(model->related / (1 - model->prior - model->related));
		*relation = -(int32) lrint(log2(1 + exp2(*kinship)) * WEIGHT_SCALE);
	}
	return weight + *relation;
}

int32
PairWeight(const MatchModel *model, const MatchData *data, uint32 left, uint32 right,
		   uint64 pattern, const uint32 *cluster, int32 *relation)
{
	double kinship;

	return WeighPair(model, data, left, right, pattern, cluster, relation, &kinship);
}

/* How likely a pair is related rather than one, or strange. */
double
RelatedProbability(const MatchModel *model, const MatchData *data, uint32 left, uint32 right,
				   uint64 pattern, const uint32 *cluster)
{
	int32  relation;
	double kinship;
	int32  weight = WeighPair(model, data, left, right, pattern, cluster, &relation, &kinship);

	if (model->related <= 0)
		return 0;
	/* a home has several in it; that they share its telephone makes it no common one */
	for (int f = 0; f < model->nfields; f++)
	{
		const MatchField *field = &model->fields[f];
		uint32            a = data->cells[(Size) left * model->nfields + f],
			   b = data->cells[(Size) right * model->nfields + f];
		int   level = PATTERN_LEVEL(pattern, f);
		int32 adjustment;

		if (field->comparator->role != ROLE_SHARED || !IsEqualLevel(field->comparator, level) ||
			field->entities[0] == NULL || field->values[a]->form[0] != field->values[b]->form[0] ||
			field->entities[0][field->values[a]->form[0]] > LARGEST_HOME)
			continue;
		(void) FieldWeight(model, f, level, field->values[a], field->values[b],
						   cluster[left] == cluster[right] ? 1 : 2, &adjustment);
		kinship -= Min((double) adjustment / WEIGHT_SCALE, 0);
		weight -= Min(adjustment, 0);
	}
	return 1 / (1 + exp2(-kinship) + exp2((double) (weight - relation) / WEIGHT_SCALE - kinship));
}

