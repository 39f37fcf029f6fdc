/*
 * place.c: comparing places: addresses, and cities and other kinds that have
 * few values.
 */
#include "match/match.h"

enum
{
	ADDRESS_EQUAL,
	ADDRESS_NEAR,
	ADDRESS_STREET,
	ADDRESS_OTHER
};

enum
{
	PLACE_EQUAL,
	PLACE_LIKE,
	PLACE_OTHER
};

typedef struct PlaceName
{
	const char *name;
	const char *reading;
} PlaceName;

/* Places whose characters are read otherwise than alone. */
static const PlaceName place_names[] = {
	{"重庆", "chongqing"}, {"厦门", "xiamen"},  {"长沙", "changsha"}, {"长春", "changchun"},
	{"成都", "chengdu"},   {"大同", "datong"},  {"六安", "luan"},     {"蚌埠", "bengbu"},
	{"台州", "taizhou"},   {"西安", "xian"},    {"香港", "hongkong"}, {"澳门", "macau"},
	{"广东", "guangdong"}, {"陕西", "shaanxi"},
};

bool
ReadAddress(MatchField *field, const char *text, MatchValue *value)
{
	uint64 hash;

	Tokenize(field, text, value, true);
	if (value->nrunes + value->nnumbers == 0)
		return false;
	hash = HashRunes(value->runes, value->nrunes, 1);
	for (int i = 0; i < value->nnumbers; i++)
		hash = MixHash(hash, value->words->numbers[i]);
	value->form[0] = InternForm(field, 0, hash);
	AddKey(value, 1, hash);
	if (value->kind == 1)
	{
		int n = value->nnumbers;

		if (n >= 2)
		{
			AddKey(value, 2, MixHash(value->words->numbers[n - 1], value->words->numbers[n - 2]));
			AddKey(value, 2, MixHash(value->words->numbers[n - 1], value->words->numbers[0]));
			if (n >= 3)
				AddKey(value, 2,
					   MixHash(value->words->numbers[n - 1], value->words->numbers[n - 3]));
		}
		if (n >= 1)
			AddWeakKey(value, 4, value->words->numbers[n - 1]);
		return true;
	}
	for (int i = 0; i < value->ntokens; i++)
	{
		uint64 token = HashRunes(value->words->token_runes[i], value->words->token_length[i], 11);

		if (value->words->token_length[i] < 3)
			continue;
		AddKey(value, 5, token);
		for (int j = 0; j < value->nnumbers; j++)
			AddKey(value, 6, MixHash(token, value->words->numbers[j]));
	}
	return true;
}

/* How many numbers two addresses share, and whether a large one is among them. */
static int
SharedNumbers(const MatchValue *a, const MatchValue *b, bool *large)
{
	uint32 used = 0;
	int    shared = 0;

	*large = false;
	for (int i = 0; i < a->nnumbers; i++)
	{
		for (int j = 0; j < b->nnumbers; j++)
		{
			if (a->words->numbers[i] == b->words->numbers[j] && !(used & (1u << j)))
			{
				used |= 1u << j;
				shared++;
				if (a->words->numbers[i] >= 100)
					*large = true;
				break;
			}
		}
	}
	return shared;
}

int
CompareAddress(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	bool   large;
	int    shared = SharedNumbers(a, b, &large);
	double contained, apart;
	double likeness;

	if (a->form[0] == b->form[0])
		return ADDRESS_EQUAL;
	/* one Han character alone has no words */
	if (a->kind == 1 && b->kind == 1 && a->words != NULL && b->words != NULL &&
		a->words->road != 0 && a->words->road == b->words->road && a->words->road_mark != b->words->road_mark)
		return ADDRESS_OTHER;
	likeness = WordLikeness(field, a, b, &contained, &apart);
	if (a->kind == 1 || b->kind == 1)
	{
		bool same_end = a->nnumbers > 0 && b->nnumbers > 0 &&
						a->words->numbers[a->nnumbers - 1] == b->words->numbers[b->nnumbers - 1];

		/* one may leave a number out, but another house or entrance is another home */
		if (same_end && shared >= 2 && shared == Min(a->nnumbers, b->nnumbers) && contained >= 0.3)
			return ADDRESS_EQUAL;
		if (shared >= 1 && large && contained >= 0.5)
			return ADDRESS_NEAR;
		if (shared >= 2 && shared == Min(a->nnumbers, b->nnumbers) && contained >= 0.5)
			return ADDRESS_NEAR;
		return likeness >= 0.6 || (Min(a->nnumbers, b->nnumbers) == 0 && contained >= 0.7)
				   ? ADDRESS_STREET
				   : ADDRESS_OTHER;
	}
	if (a->nnumbers == 0 && b->nnumbers == 0)
		return likeness >= 0.75 ? ADDRESS_NEAR : likeness >= 0.45 ? ADDRESS_STREET : ADDRESS_OTHER;
	/* northpoint, north point st.: glued words */
	if (likeness < 0.55 && Min(a->nrunes, b->nrunes) >= 5)
		likeness =
			Max(likeness, (JaroWinkler(a->runes, a->nrunes, b->runes, b->nrunes) - 0.6) * 2.0);
	if (shared > 0)
		return likeness >= 0.55 || contained >= 0.75 ? ADDRESS_EQUAL
			   : likeness >= 0.25                    ? ADDRESS_NEAR
													 : ADDRESS_STREET;
	if (Min(a->nnumbers, b->nnumbers) == 0 && contained >= 0.7)
		return ADDRESS_NEAR;
	return likeness >= 0.6 ? ADDRESS_STREET : ADDRESS_OTHER;
}

/* Cities, kinds, colours: few values, compared as a whole. */
bool
ReadCategory(MatchField *field, const char *text, MatchValue *value)
{
	Rune   runes[64], kept[64];
	char   letters[128];
	int    n = DecodeText(LatinText(FoldText(text)), runes, lengthof(runes));
	int    m = 0, l = 0;
	uint64 hash;

	for (int i = 0; i < n; i++)
	{
		Rune rune = Simplified(runes[i]);

		if (IsHan(rune) || IsWordRune(rune))
			kept[m++] = rune;
	}
	if (m == 0)
		return false;
	/* 中国重庆市 is 重庆 */
	if (m > 3 && kept[0] == 0x4E2D && kept[1] == 0x56FD)
	{
		m -= 2;
		memmove(kept, kept + 2, m * sizeof(Rune));
	}
	if (m > 2 && kept[m - 1] == 0x5E02)
		m--;
	value->nrunes = m;
	value->runes = palloc(m * sizeof(Rune));
	memcpy(value->runes, kept, m * sizeof(Rune));

	letters[0] = '\0';
	for (int i = 0; i < m && l < 100; i++)
	{
		bool named = false;

		for (int p = 0; i + 1 < m && p < lengthof(place_names); p++)
		{
			Rune place[2];

			DecodeText(place_names[p].name, place, 2);
			if (place[0] == kept[i] && place[1] == kept[i + 1])
			{
				l += snprintf(letters + l, sizeof(letters) - l, "%s", place_names[p].reading);
				named = true;
				i++;
				break;
			}
		}
		if (named)
			continue;
		if (IsHan(kept[i]))
			l += snprintf(letters + l, sizeof(letters) - l, "%s", HanReading(kept[i], false));
		else
			l += EncodeRune(kept[i], letters + l);
		letters[l] = '\0';
	}
	value->letters = pstrdup(letters);
	value->nletters = l;
	hash = HashBytes64(letters, l, 1);
	value->form[0] = InternForm(field, 0, hash);
	AddWeakKey(value, 1, hash);
	return true;
}

int
CompareCategory(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	if (a->form[0] == b->form[0])
		return PLACE_EQUAL;
	if (JaroWinkler(a->runes, a->nrunes, b->runes, b->nrunes) >= 0.88 ||
		(Min(a->nletters, b->nletters) >= 5 &&
		 (strstr(a->letters, b->letters) != NULL || strstr(b->letters, a->letters) != NULL)))
		return PLACE_LIKE;
	return PLACE_OTHER;
}
