/*
 * estimate.c: how often each level of agreement is met, among pairs that
 * match, pairs that are related, and all others.
 *
 * Fellegi & Sunter, "A Theory for Record Linkage" (1969).  u is counted on all
 * pairs, or on a fixed sample of them; m and the share of matches follow by
 * expectation maximisation (Dempster, Laird & Rubin 1977) on the counted patterns
 * of the candidates, every other pair being taken as no match.  No random number is
 * drawn.  m starts at the comparator's share, which also counts as a few pairs, so
 * that no level is ever impossible.
 */
#include "match/match.h"

#include "common/hashfn.h"
#include "miscadmin.h"

#include <math.h>

#define ALL_PAIRS_LIMIT 1500000
#define SAMPLE_PAIRS 400000
#define MAX_ITERATIONS 200
#define TOLERANCE 1e-6
#define PRIOR_PAIRS 4.0   /* what the comparator's m counts for */
#define PRIOR_RELATED 4.0 /* relatives are few and must not take the inexact matches */
#define PRIOR_SHARED 20.0
#define LEAST_U 1e-8
#define TAKEN_SHARE 0.8 /* of the agreement of matches; the rest may be by chance as well */
#define LEAST_RELATED 0.05 /* related pairs, for each that matches */
#define LEAST_SHARE 1e-4
#define RARITY_BONUS 4.0 /* bits that a rare value may add */
#define LEAST_PROMISING -6.0

typedef struct PatternCount
{
	uint64 pattern;
	double count;
	bool   promising;
	char   status;
} PatternCount;

#define SH_PREFIX pattern
#define SH_ELEMENT_TYPE PatternCount
#define SH_KEY_TYPE uint64
#define SH_KEY pattern
#define SH_HASH_KEY(tb, key) ((uint32) MixHash(key, 7))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static void
CountLevels(const MatchModel *model, uint64 pattern, double weight, LevelTable table)
{
	for (int f = 0; f < model->nfields; f++)
	{
		int level = PATTERN_LEVEL(pattern, f);

		if (level >= 0)
			table[f][level] += weight;
	}
}

/*
 * Levels of all pairs, or of a sample: pairs at a few fixed distances in the order
 * of contents, large ones, since records with one content lie side by side.
 */
static double
SampleLevels(const MatchModel *model, const MatchData *data, LevelTable table)
{
	double all = (double) data->nrows * (data->nrows - 1) / 2;
	bool   whole = all <= ALL_PAIRS_LIMIT;
	uint64 wanted = whole ? (uint64) all : SAMPLE_PAIRS;
	uint64 taken = 0;

	for (uint32 k = 1; taken < wanted; k++)
	{
		double golden = k * 0.6180339887498949;
		uint32 step = whole ? k : 1 + (uint32) ((data->nrows - 2) * (golden - floor(golden)));

		for (uint32 i = 0; i + step < data->nrows && taken < wanted; i++, taken++)
		{
			if (taken % 65536 == 0)
				CHECK_FOR_INTERRUPTS();
			CountLevels(model,
						ComparePattern(model, data->cells + (Size) i * model->nfields,
									   data->cells + (Size) (i + step) * model->nfields),
						1.0, table);
		}
	}
	return taken;
}

/* Relations show where something is shared and something is told apart. */
bool
HasRelations(const MatchModel *model)
{
	bool shared = false, kin = false;

	for (int f = 0; f < model->nfields; f++)
	{
		/* one city is no household */
		shared |= model->fields[f].comparator->role == ROLE_SHARED &&
				  model->fields[f].comparator->compare != CompareCategory;
		kin |= model->fields[f].comparator->role == ROLE_KIN;
	}
	return shared && kin;
}

/* There are always some related pairs, also where too few show to be counted. */
static double
RelatedShare(const MatchModel *model, double nmatched, double nrelated, double all)
{
	return HasRelations(model) ? Min(Max(nrelated, nmatched * LEAST_RELATED) / all, 0.4) : 0;
}

static double
PatternOdds(const MatchModel *model, uint64 pattern, LevelTable logs)
{
	double sum = 0;

	for (int f = 0; f < model->nfields; f++)
	{
		int level = PATTERN_LEVEL(pattern, f);

		if (level >= 0)
			sum += logs[f][level];
	}
	return exp(sum);
}

/* u from what is counted, less what matches and what is related. */
static void
SetU(MatchModel *model, LevelTable sampled, double nsampled, LevelTable taken,
	 LevelTable candidates, double all)
{
	for (int f = 0; f < model->nfields; f++)
	{
		MatchField *field = &model->fields[f];
		int         nlevels = field->comparator->nlevels;
		double      scale = nsampled / all;
		double      less = scale * (field->comparator->role == ROLE_SHARED ? 1 : TAKEN_SHARE);
		double      total = 0, sum = 0;

		if (field->pinned)
			continue;
		for (int l = 0; l < nlevels; l++)
			total += sampled[f][l];
		total = Max(total, 1);
		for (int l = 0; l < nlevels; l++)
		{
			double counted = sampled[f][l] - taken[f][l] * less;
			/* the candidates hold nearly all pairs that agree: a better count of what is rare */
			double seen = candidates[f][l] * scale - taken[f][l] * less;

			field->u[l] = Max(Max(counted, seen), 0.3 * scale) / total;
			field->u[l] = Max(field->u[l], LEAST_U);
			sum += field->u[l];
		}
		for (int l = 0; l < nlevels; l++)
			field->u[l] /= sum;
	}
}

static double
LevelSum(const double *counted, int nlevels)
{
	double sum = 0;

	for (int l = 0; l < nlevels; l++)
		sum += counted[l];
	return sum;
}

/* Shares of the levels, where the start counts as some pairs. */
static void
SetShares(double *shares, const double *counted, const double *start, double weight, int nlevels)
{
	double total = LevelSum(counted, nlevels), sum = 0;

	for (int l = 0; l < nlevels; l++)
	{
		shares[l] = Max((counted[l] + weight * start[l]) / (total + weight), LEAST_SHARE);
		sum += shares[l];
	}
	for (int l = 0; l < nlevels; l++)
		shares[l] /= sum;
}

static void
SetClasses(MatchModel *model, LevelTable matched, LevelTable related)
{
	for (int f = 0; f < model->nfields; f++)
	{
		MatchField       *field = &model->fields[f];
		const Comparator *comparator = field->comparator;
		double            start[MATCH_MAX_LEVELS];

		for (int l = 0; l < comparator->nlevels; l++)
			start[l] = comparator->levels[l].m;
		if (!field->pinned)
			SetShares(field->m, matched[f], start,
					  PRIOR_PAIRS + comparator->held * LevelSum(matched[f], comparator->nlevels),
					  comparator->nlevels);
		if (comparator->role == ROLE_SHARED)
			SetShares(field->r, related[f], start, PRIOR_SHARED, comparator->nlevels);
		else if (comparator->role == ROLE_KIN)
			SetShares(field->r, related[f], comparator->related, PRIOR_RELATED,
					  comparator->nlevels);
		else
			memcpy(field->r, field->u, sizeof(field->r));
	}
}

/* Before the candidates: levels of all pairs, and where m starts. */
void
StartEstimate(MatchModel *model, MatchData *data, Estimate *estimate)
{
	LevelTable none = {{0}};

	memset(estimate, 0, sizeof(*estimate));
	estimate->all = Max((double) data->nrows * (data->nrows - 1) / 2, 1);
	estimate->nsampled = SampleLevels(model, data, estimate->sampled);
	estimate->nsampled = Max(estimate->nsampled, 1);
	estimate->patterns = pattern_create(CurrentMemoryContext, 4096, NULL);
	estimate->matches = Max(data->nrows * 0.1, 1);
	estimate->related = HasRelations(model) ? Max(data->nrows * 0.02, 0.1) : 0;
	SetU(model, estimate->sampled, estimate->nsampled, none, none, estimate->all);
	SetClasses(model, none, none);
	model->prior = Min(estimate->matches / estimate->all, 0.4);
}

/*
 * Where estimation starts: who shares a telephone or an address does not do so by
 * chance, but is one, or, where the names differ, related.  Were they taken for
 * strangers first, it would seem to come about by chance, and would stay so.
 */
static bool
SharesHome(const MatchModel *model, uint64 pattern, bool *related)
{
	bool shared = false;

	*related = false;
	for (int f = 0; f < model->nfields; f++)
	{
		const Comparator *comparator = model->fields[f].comparator;
		int               level = PATTERN_LEVEL(pattern, f);

		if (IsEqualLevel(comparator, level) && comparator->role == ROLE_SHARED &&
			comparator->compare != CompareCategory)
			shared = true;
		if (level >= comparator->contrary && comparator->role == ROLE_KIN)
			*related = true;
	}
	return shared;
}

/* Count a candidate; true where it may turn out to match and must be kept. */
bool
CountPattern(const MatchModel *model, Estimate *estimate, uint64 pattern)
{
	bool          found;
	PatternCount *entry = pattern_insert(estimate->patterns, pattern, &found);

	if (!found)
	{
		double bits = log2(model->prior);
		bool   kin;

		entry->count = 0;
		for (int f = 0; f < model->nfields; f++)
		{
			int level = PATTERN_LEVEL(pattern, f);

			if (level >= 0)
				bits += log2(model->fields[f].m[level] / model->fields[f].u[level]) +
						(model->fields[f].comparator->levels[level].form >= 0 ? RARITY_BONUS : 0);
		}
		entry->promising = bits > LEAST_PROMISING ||
						   (HasRelations(model) && SharesHome(model, pattern, &kin));
	}
	entry->count++;
	estimate->candidates++;
	return entry->promising;
}

void
FinishEstimate(MatchModel *model, Estimate *estimate)
{
	LevelTable    candidates = {{0}}, matched = {{0}}, related = {{0}}, taken = {{0}}, log_m, log_r;
	double        all = estimate->all;
	pattern_hash *patterns = estimate->patterns;
	pattern_iterator iterator;
	PatternCount    *entry;
	double           nmatched = estimate->matches, nrelated = estimate->related;

	pattern_start_iterate(patterns, &iterator);
	while ((entry = pattern_iterate(patterns, &iterator)) != NULL)
	{
		bool kin;

		CountLevels(model, entry->pattern, entry->count, candidates);
		if (!HasRelations(model) || !SharesHome(model, entry->pattern, &kin))
			continue;
		CountLevels(model, entry->pattern, entry->count, taken);
		if (kin)
		{
			CountLevels(model, entry->pattern, entry->count, related);
			nrelated += entry->count;
		}
	}
	SetU(model, estimate->sampled, estimate->nsampled, taken, candidates, all);
	SetClasses(model, matched, related);

	estimate->converged = false;
	for (estimate->iterations = 1; estimate->iterations <= MAX_ITERATIONS; estimate->iterations++)
	{
		double     before = nmatched;
		double     change = 0;
		LevelTable m_before;

		model->prior = Min(Max(nmatched, 0.5) / all, 0.4);
		model->related = RelatedShare(model, nmatched, nrelated, all);
		for (int f = 0; f < model->nfields; f++)
		{
			for (int l = 0; l < model->fields[f].comparator->nlevels; l++)
			{
				log_m[f][l] = log(model->fields[f].m[l] / model->fields[f].u[l]);
				log_r[f][l] = log(model->fields[f].r[l] / model->fields[f].u[l]);
				m_before[f][l] = model->fields[f].m[l];
			}
		}
		memset(matched, 0, sizeof(matched));
		memset(related, 0, sizeof(related));
		memset(taken, 0, sizeof(taken));
		nmatched = nrelated = 0;
		pattern_start_iterate(patterns, &iterator);
		while ((entry = pattern_iterate(patterns, &iterator)) != NULL)
		{
			double rest = 1 - model->prior - model->related;
			double odds_m = model->prior / rest * PatternOdds(model, entry->pattern, log_m);
			double odds_r = model->related / rest * PatternOdds(model, entry->pattern, log_r);
			double p_m = odds_m / (1 + odds_m + odds_r), p_r = odds_r / (1 + odds_m + odds_r);

			nmatched += p_m * entry->count;
			nrelated += p_r * entry->count;
			CountLevels(model, entry->pattern, p_m * entry->count, matched);
			CountLevels(model, entry->pattern, p_r * entry->count, related);
			CountLevels(model, entry->pattern, (p_m + p_r) * entry->count, taken);
		}
		SetU(model, estimate->sampled, estimate->nsampled, taken, candidates, all);
		SetClasses(model, matched, related);
		for (int f = 0; f < model->nfields; f++)
		{
			for (int l = 0; l < model->fields[f].comparator->nlevels; l++)
				change = Max(change, fabs(model->fields[f].m[l] - m_before[f][l]));
		}
		if (change < TOLERANCE && fabs(nmatched - before) < TOLERANCE * Max(nmatched, 1))
		{
			estimate->converged = true;
			break;
		}
	}
	estimate->iterations = Min(estimate->iterations, MAX_ITERATIONS);
	estimate->matches = nmatched;
	estimate->related = nrelated;
	model->prior = Min(Max(nmatched, 0.5) / all, 0.4);
	model->related = RelatedShare(model, nmatched, nrelated, all);
	pattern_destroy(patterns);
}
