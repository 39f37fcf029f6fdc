/*
 * pair.c: a pair of records as a pattern of agreement levels.
 */
#include "match/match.h"

/* Names: up to this level they agree. */
#define NAME_AGREES 2

static inline uint64
WithLevel(uint64 pattern, int f, int level)
{
	return (pattern & ~(UINT64CONST(15) << (f * 4))) | ((uint64) (level + 1) << (f * 4));
}

static inline const MatchValue *
ValueOf(const MatchModel *model, int f, const uint32 *cells)
{
	return cells[f] == 0 ? NULL : model->fields[f].values[cells[f]];
}

/* A nickname is compared with the other's name where the names themselves say little. */
static int
NicknameLevel(const MatchModel *model, int f, const uint32 *a, const uint32 *b, int level,
			  int name_level)
{
	int               partner = model->fields[f].partner;
	const MatchValue *nick[2] = {ValueOf(model, f, a), ValueOf(model, f, b)};
	const MatchValue *name[2] = {ValueOf(model, partner, b), ValueOf(model, partner, a)};

	if (level == 0)
		/* two of one name may well both make their nickname of it */
		return name_level >= 0 && name_level <= NAME_AGREES && NicknameHint(nick[0], name[1]) > 0
				   ? NICKNAME_HINT
				   : level;
	if (name_level >= 0 && name_level <= NAME_AGREES)
		return -1;
	for (int i = 0; i < 2; i++)
	{
		int hint;

		if (nick[i] == NULL || name[i] == NULL)
			continue;
		hint = NicknameHint(nick[i], name[i]);
		if (hint > 0 && (level < 0 || hint < level))
			level = hint;
	}
	return level;
}

uint64
ComparePattern(const MatchModel *model, const uint32 *a, const uint32 *b)
{
	uint64 pattern = 0;

	for (int f = 0; f < model->nfields; f++)
	{
		const MatchField *field = &model->fields[f];
		int               level;

		if (a[f] == 0 || b[f] == 0)
			continue;
		if (a[f] == b[f])
			level = field->comparator->compare(field, field->values[a[f]], field->values[a[f]]);
		else
			level = field->comparator->compare(field, field->values[a[f]], field->values[b[f]]);
		pattern |= (uint64) (level + 1) << (f * 4);
	}
	for (int f = 0; f < model->nfields; f++)
	{
		const MatchField *field = &model->fields[f];
		int               p = field->partner;
		int               level = PATTERN_LEVEL(pattern, f);

		if (p >= 0 && field->comparator->compare == CompareNickname)
			pattern = WithLevel(pattern, f,
								NicknameLevel(model, f, a, b, level, PATTERN_LEVEL(pattern, p)));
		else if (p > f && level == 3 && PATTERN_LEVEL(pattern, p) == 3)
		{
			/* given and family name in each other's place */
			const MatchValue *x = ValueOf(model, f, a), *y = ValueOf(model, p, b),
							 *v = ValueOf(model, f, b), *w = ValueOf(model, p, a);

			if (CompareWordName(field, x, y) <= 1 && CompareWordName(field, v, w) <= 1)
				pattern = WithLevel(WithLevel(pattern, f, 1), p, 1);
		}
	}
	for (int f = 0; f < model->nfields; f++)
	{
		int w = model->fields[f].within;

		/* an address that agrees has said all that its city can say */
		if (w >= 0 && PATTERN_LEVEL(pattern, w) >= 0 && PATTERN_LEVEL(pattern, w) <= 1)
			pattern = WithLevel(pattern, f, -1);
	}
	return pattern;
}

/* A name that only repeats the nickname is no name. */
void
DropNicknames(MatchModel *model, uint32 *cells)
{
	for (int f = 0; f < model->nfields; f++)
	{
		MatchField       *field = &model->fields[f];
		const MatchValue *nickname, *name;

		if (field->comparator->compare != CompareNickname || field->partner < 0 || cells[f] == 0 ||
			cells[field->partner] == 0)
			continue;
		nickname = field->values[cells[f]];
		name = model->fields[field->partner].values[cells[field->partner]];
		if ((name->kind == NAME_ALIAS || (name->kind == NAME_LATIN && name->ntokens == 1)) &&
			SameRunes(nickname->runes, nickname->nrunes, name->runes, name->nrunes))
			cells[field->partner] = 0;
	}
}
