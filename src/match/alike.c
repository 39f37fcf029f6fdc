/*
 * alike.c: comparing names of persons.
 *
 * Not by edit distance per character: siblings differ in one of three.  The
 * levels of a full name are: equal; equal reading; one sign off (look-alike,
 * near sound, one missing, a nickname of the given name); compatible as far as
 * it can be seen (honorific, mask, initial); a nickname that hints at it; family
 * name and one sign shared; family name shared; other.
 */
#include "match/match.h"

enum
{
	NAME_EQUAL,
	NAME_READING,
	NAME_CLOSE,
	NAME_COMPATIBLE,
	NAME_HINT,
	NAME_SIBLING,
	NAME_FAMILY,
	NAME_OTHER
};

#define RARE_SIGN 3.7f /* a sign of at most one nickname in 40 */

enum
{
	WORD_EQUAL,
	WORD_SOUND,
	WORD_CLOSE,
	WORD_OTHER
};

static inline bool
SameShortName(const MatchValue *a, int i, const MatchValue *b, int j)
{
	return (a->words->groups[i][0] & b->words->groups[j][0]) != 0 ||
		   (a->words->groups[i][1] & b->words->groups[j][1]) != 0;
}

bool
SameReading(Rune a, Rune b, bool surname)
{
	const char *x = HanReading(a, surname), *y = HanReading(b, surname);
	const char *x2 = OtherReading(a), *y2 = OtherReading(b);

	if (x == y && x[0] != '\0')
		return true;
	return (x2 != NULL && x2 == y) || (y2 != NULL && y2 == x);
}

/* zh/z ch/c sh/s n/l f/h, and a final g heard or not. */
static bool
NearSound(const char *x, const char *y)
{
	char a[16], b[16];

	for (int side = 0; side < 2; side++)
	{
		const char *s = side ? y : x;
		char       *o = side ? b : a;
		int         n = 0;

		for (int i = 0; s[i] && n < 15; i++)
		{
			if (s[i] == 'h' && i == 1 && strchr("zcs", s[0]))
				continue;
			if (s[i] == 'g' && i > 1 && s[i + 1] == '\0' && s[i - 1] == 'n')
				continue;
			o[n++] = i == 0 && s[i] == 'n' ? 'l' : i == 0 && s[i] == 'f' ? 'h' : s[i];
		}
		o[n] = '\0';
	}
	return a[0] != '\0' && strcmp(a, b) == 0;
}

static int
CompareHanNames(const MatchValue *a, const MatchValue *b)
{
	const MatchValue *longer = a->nrunes >= b->nrunes ? a : b;
	const MatchValue *shorter = longer == a ? b : a;
	bool              same_family;
	int               shared = 0;

	if (SameRunes(a->runes, a->nrunes, b->runes, b->nrunes))
		return NAME_EQUAL;
	if (a->nsurname == 0 || b->nsurname == 0)
	{
		if (a->nletters > 6 && a->nletters == b->nletters && strcmp(a->letters, b->letters) == 0)
			return NAME_READING;
		return EditDistance(a->runes, a->nrunes, b->runes, b->nrunes, 1) <= 1 && a->nrunes > 4
				   ? NAME_CLOSE
				   : NAME_OTHER;
	}
	/* the given name alone: 东丽 for 姜东丽 */
	if (shorter->nrunes >= 2 && shorter->nrunes == longer->nrunes - longer->nsurname &&
		SameRunes(shorter->runes, shorter->nrunes, longer->runes + longer->nsurname,
				  shorter->nrunes))
		return NAME_COMPATIBLE;
	if (a->nrunes == b->nrunes)
	{
		int near = 0, off = 0;

		for (int i = 0; i < a->nrunes; i++)
		{
			Rune x = a->runes[i], y = b->runes[i];
			bool surname = i < a->nsurname;

			if (x == y || SameReading(x, y, surname))
				continue;
			if (LookAlike(x, y) || (surname && SameSurnameVariant(x, y)) ||
					 NearSound(HanReading(x, surname), HanReading(y, surname)))
				near++;
			else
				off++;
		}
		if (off == 0 && near == 0)
			return NAME_READING;
		if (off == 0 && near == 1)
			return NAME_CLOSE;
	}

	same_family =
		a->nsurname == b->nsurname && (SameRunes(a->runes, a->nsurname, b->runes, b->nsurname) ||
									   (a->surname_letters == b->surname_letters &&
										strncmp(a->letters, b->letters, a->surname_letters) == 0));
	/* one sign of the given name is missing: 赵文 for 赵文华 */
	if (same_family && longer->nrunes == shorter->nrunes + 1 && shorter->nrunes > shorter->nsurname)
	{
		Rune only = shorter->runes[shorter->nsurname];

		if (only == longer->runes[longer->nsurname] || only == longer->runes[longer->nsurname + 1])
			return NAME_CLOSE;
	}
	for (int i = a->nsurname; i < a->nrunes; i++)
	{
		int j = i - a->nsurname + b->nsurname;

		if (j < b->nrunes && a->runes[i] == b->runes[j])
			shared++;
	}
	if (same_family)
		return shared > 0 ? NAME_SIBLING : NAME_FAMILY;
	if (shared == 2)
		return NAME_SIBLING;
	return NAME_OTHER;
}

/* The same letters, or the same with the two parts swapped. */
static bool
SameLetters(const MatchValue *a, const MatchValue *b)
{
	char twice[2 * LETTERS_MAX];

	if (a->nletters != b->nletters || a->nletters < 3 || a->form[1] != b->form[1])
		return false;
	memcpy(twice, a->letters, a->nletters);
	memcpy(twice + a->nletters, a->letters, a->nletters + 1);
	return strstr(twice, b->letters) != NULL;
}

static void
WordLetters(const MatchValue *value, int word, char *out)
{
	AddRunes(out, 0, value->words->token_runes[word], value->words->token_length[word]);
}

static int
LetterDistance(const char *a, int na, const char *b, int nb, int limit)
{
	Rune x[LETTERS_MAX], y[LETTERS_MAX];

	for (int i = 0; i < na; i++)
		x[i] = a[i];
	for (int i = 0; i < nb; i++)
		y[i] = b[i];
	return EditDistance(x, na, y, nb, limit);
}

/* Is a word another reading of a family name: Dan for 单, Chou for 仇, Tan for 覃? */
static bool
ReadsSurname(const MatchValue *han, const char *word)
{
	const char *other = OtherReading(han->runes[0]);

	return han->nsurname == 1 && (strcmp(word, HanReading(han->runes[0], false)) == 0 ||
								  (other != NULL && strcmp(word, other) == 0));
}

/* A Han name beside one in letters. */
static int
CompareHanLatin(const MatchValue *han, const MatchValue *latin)
{
	char        surname[LETTERS_MAX], word[LETTERS_MAX];
	const char *given = han->letters + han->surname_letters;

	if (SameLetters(han, latin))
		return NAME_READING;
	if (han->nletters >= 6 &&
		LetterDistance(han->letters, han->nletters, latin->letters, latin->nletters, 1) <= 1)
		return NAME_CLOSE;
	strlcpy(surname, han->letters, han->surname_letters + 1);
	if (latin->ntokens >= 2)
	{
		for (int i = 0; i < latin->ntokens; i++)
		{
			char rest[LETTERS_MAX] = "";
			int  n = 0;

			WordLetters(latin, i, word);
			if (strcmp(word, surname) == 0)
				break;
			if (!IsRomanSurname(word, surname) && !ReadsSurname(han, word))
				continue;
			/* Chang Wei is 张伟; what Tai Man is in Mandarin the letters do not tell */
			for (int j = 0; j < latin->ntokens; j++)
			{
				if (j != i)
					n = AddRunes(rest, n, latin->words->token_runes[j],
								 latin->words->token_length[j]);
			}
			return strcmp(rest, given) == 0 ? NAME_READING : NAME_COMPATIBLE;
		}
		for (int i = 0; i < latin->ntokens; i++)
		{
			bool foreign = true;

			WordLetters(latin, i, word);
			if (strcmp(word, surname) != 0)
				continue;
			for (int j = 0; j < latin->ntokens; j++)
			{
				if (j == i)
					continue;
				WordLetters(latin, j, word);
				if (strlen(word) == 1 && word[0] == given[0])
					return NAME_COMPATIBLE;
				if (IsPinyin(word))
					foreign = false;
			}
			return foreign                     ? NAME_COMPATIBLE
				   : han->kind == NAME_SURNAME ? NAME_COMPATIBLE
											   : NAME_FAMILY;
		}
		return NAME_OTHER;
	}
	if (han->kind == NAME_HAN && given[0] != '\0' && strlen(given) >= 4 &&
		strcmp(given, latin->letters) == 0)
		return NAME_HINT;
	if (!IsPinyin(latin->letters) || latin->nletters <= 4)
		return -1;
	if (strncmp(latin->letters, surname, strlen(surname)) == 0)
		return han->kind == NAME_SURNAME ? NAME_COMPATIBLE : NAME_FAMILY;
	return -1;
}

static int
CompareLatinNames(const MatchValue *a, const MatchValue *b)
{
	int    equal = 0, close = 0, initial = 0, rest;
	uint32 used = 0;

	if (SameRunes(a->runes, a->nrunes, b->runes, b->nrunes))
		return NAME_EQUAL;
	if (SameLetters(a, b))
		return NAME_READING;
	for (int i = 0; i < a->ntokens; i++)
	{
		int best = 0, at = -1;

		for (int j = 0; j < b->ntokens; j++)
		{
			const Rune *x = a->words->token_runes[i], *y = b->words->token_runes[j];
			int         nx = a->words->token_length[i], ny = b->words->token_length[j];
			int         score = 0;

			if (used & (1u << j))
				continue;
			if (SameRunes(x, nx, y, ny))
				score = 3;
			else if ((nx == 1 || ny == 1) && x[0] == y[0])
				score = 1;
			else if ((nx > 2 && ny > 2 && JaroWinkler(x, nx, y, ny) >= 0.9) ||
					 (nx > 4 && ny > 4 && EditDistance(x, nx, y, ny, 1) <= 1) ||
					 SameShortName(a, i, b, j))
				score = 2;
			if (score > best)
			{
				best = score;
				at = j;
			}
		}
		if (at >= 0)
			used |= 1u << at;
		equal += best == 3;
		close += best == 2;
		initial += best == 1;
	}
	rest = Min(a->ntokens, b->ntokens) - equal - close - initial;
	if (rest == 0 && Min(a->ntokens, b->ntokens) >= 2)
		return initial == 0 ? NAME_CLOSE : NAME_COMPATIBLE;
	if (a->ntokens == 1 && b->ntokens == 1)
		return close ? NAME_CLOSE : NAME_OTHER;
	if (rest == 0)
		return NAME_COMPATIBLE;
	if (equal > 0)
		return NAME_FAMILY;
	return NAME_OTHER;
}

/* A mask shows the first and the last sign at most; how many it hides is not reliable. */
static int
CompareMasked(const MatchValue *masked, const MatchValue *other)
{
	int head = 0, tail = 0;

	if (!IsHan(masked->runes[0]) ||
		!(other->kind == NAME_HAN || other->kind == NAME_MASKED || other->kind == NAME_SURNAME) ||
		!IsHan(other->runes[0]))
		return -1;
	while (head < masked->nrunes && masked->runes[head] != '*')
	{
		if (head >= other->nrunes)
			return NAME_OTHER;
		if (other->runes[head] == '*')
			break;
		if (masked->runes[head] != other->runes[head])
			return NAME_OTHER;
		head++;
	}
	if (other->kind == NAME_SURNAME)
		return NAME_COMPATIBLE;
	while (tail < masked->nrunes && masked->runes[masked->nrunes - 1 - tail] != '*')
	{
		if (tail >= other->nrunes)
			return NAME_OTHER;
		if (other->runes[other->nrunes - 1 - tail] == '*')
			break;
		if (masked->runes[masked->nrunes - 1 - tail] != other->runes[other->nrunes - 1 - tail])
			return NAME_OTHER;
		tail++;
	}
	return NAME_COMPATIBLE;
}

static bool
Contains(const MatchValue *value, Rune rune)
{
	for (int i = 0; i < value->nrunes; i++)
	{
		if (value->runes[i] == rune)
			return true;
	}
	return false;
}

/* 0 nothing, NICKNAME_NAME: it spells the name, NICKNAME_HINT: it hints at the given name. */
int
NicknameHint(const MatchValue *nickname, const MatchValue *name)
{
	const char *given = name->letters + name->surname_letters;
	int         ngiven = name->nletters - name->surname_letters;

	if (nickname->kind == NAME_MASKED || name->kind == NAME_MASKED || name->kind == NAME_SURNAME)
		return 0;
	if (name->kind == NAME_HAN)
	{
		if (SameRunes(nickname->runes, nickname->nrunes, name->runes, name->nrunes))
			return 1;
		if (SameLetters(name, nickname))
			return 1;
		if (nickname->nletters >= 5 && nickname->nletters < name->nletters && name->nsurname > 0 &&
			strncmp(name->letters, nickname->letters, nickname->nletters) == 0 &&
			nickname->nletters > name->surname_letters + 1 && !IsHan(nickname->runes[0]))
			return 1;
		if (!IsHan(nickname->runes[0]) && ngiven >= 4 && name->nsurname > 0 &&
			nickname->nletters == ngiven && strncmp(nickname->letters, given, ngiven) == 0)
			return 2;
		for (int i = name->nsurname; name->nsurname > 0 && i < name->nrunes; i++)
		{
			if (Contains(nickname, name->runes[i]))
				return 2;
		}
		return 0;
	}
	if (name->kind == NAME_LATIN && nickname->nletters >= 3)
	{
		for (int i = 0; i < name->ntokens; i++)
		{
			char word[LETTERS_MAX];

			WordLetters(name, i, word);
			if (strlen(word) >= 3 && strcmp(word, nickname->letters) == 0)
				return name->ntokens == 1 ? 1 : 2;
		}
	}
	return 0;
}

int
ComparePersonName(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	if (a->kind > b->kind)
	{
		const MatchValue *swap = a;

		a = b;
		b = swap;
	}
	if (b->kind == NAME_ALIAS)
	{
		int hint;

		if (SameRunes(a->runes, a->nrunes, b->runes, b->nrunes))
			return NAME_EQUAL;
		if (a->kind == NAME_ALIAS)
			return -1;
		hint = NicknameHint(b, a);
		return hint == 1 ? NAME_READING : hint == 2 ? NAME_HINT : -1;
	}
	if (b->kind == NAME_MASKED)
		return CompareMasked(b, a);
	if (a->kind == NAME_MASKED)
		return CompareMasked(a, b);
	if (a->gender != 0 && b->gender != 0 && a->gender != b->gender)
		return NAME_OTHER;
	if (b->kind == NAME_LATIN)
	{
		if (a->kind == NAME_LATIN)
			return CompareLatinNames(a, b);
		return CompareHanLatin(a, b);
	}
	if (b->kind == NAME_SURNAME)
	{
		if (a->nsurname == 0)
			return NAME_OTHER;
		return a->surname_letters == b->surname_letters &&
					   strncmp(a->letters, b->letters, a->surname_letters) == 0
				   ? NAME_COMPATIBLE
				   : NAME_OTHER;
	}
	return CompareHanNames(a, b);
}

/* Two nicknames that share a sign which few have, or the letters before the digits. */
static bool
NicknamesHint(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	if (a->nletters >= 3 && a->nletters == b->nletters && strcmp(a->letters, b->letters) == 0)
		return true;
	if (!IsHan(a->runes[0]) && !IsHan(b->runes[0]))
		return false;
	for (int i = 0; a->words != NULL && b->words != NULL && i < a->ntokens; i++)
	{
		for (int j = 0; j < b->ntokens; j++)
		{
			if (a->words->tokens != NULL && b->words->tokens != NULL &&
				a->words->tokens[i] == b->words->tokens[j] &&
				field->token_weight[a->words->tokens[i]] >= RARE_SIGN)
				return true;
		}
	}
	return false;
}

int
CompareNickname(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	if (a->kind != NAME_MASKED && b->kind != NAME_MASKED)
		return SameRunes(a->runes, a->nrunes, b->runes, b->nrunes) ? NICKNAME_EQUAL
			   : NicknamesHint(field, a, b)                        ? NICKNAME_HINT
																   : NICKNAME_OTHER;
	if (a->runes[0] != b->runes[0] || a->runes[a->nrunes - 1] != b->runes[b->nrunes - 1])
		return NICKNAME_OTHER;
	return NICKNAME_HINT;
}

int
CompareWordName(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	double similarity;

	if (SameRunes(a->runes, a->nrunes, b->runes, b->nrunes))
		return WORD_EQUAL;
	if (a->nletters > 1 && a->nletters == b->nletters && strcmp(a->letters, b->letters) == 0)
		return WORD_SOUND;
	similarity = JaroWinkler(a->runes, a->nrunes, b->runes, b->nrunes);
	if (similarity >= 0.92 || SameShortName(a, 0, b, 0) ||
		(Min(a->nrunes, b->nrunes) >= 4 &&
		 EditDistance(a->runes, a->nrunes, b->runes, b->nrunes, 1) <= 1))
		return WORD_SOUND;
	if (similarity >= 0.84 || ((a->nrunes == 1 || b->nrunes == 1) && a->runes[0] == b->runes[0]) ||
		(Min(a->nrunes, b->nrunes) >= 5 &&
		 EditDistance(a->runes, a->nrunes, b->runes, b->nrunes, 2) <= 2))
		return WORD_CLOSE;
	return WORD_OTHER;
}
