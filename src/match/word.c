/*
 * word.c: texts as words: titles, names of firms, addresses.
 *
 * A text becomes tokens: words in letters, overlapping pairs of Han characters.
 * A token weighs the logarithm of how rare it is in the column; two texts are as
 * alike as the weight of the tokens they share, where a misspelt, shortened or
 * glued word counts in part.
 */
#include "match/match.h"

#include "port/pg_bitutils.h"

#include <math.h>

enum
{
	TEXT_EQUAL,
	TEXT_WORDS,
	TEXT_INSIDE,
	TEXT_CLOSE,
	TEXT_RELATED,
	TEXT_OTHER
};

typedef struct Abbreviation
{
	const char *word;
	const char *short_form;
} Abbreviation;

/* In addresses. */
static const Abbreviation street_words[] = {
	{"street", "st"},      {"str", "st"},        {"avenue", "ave"},   {"av", "ave"},
	{"boulevard", "blvd"}, {"blv", "blvd"},      {"bvd", "blvd"},     {"road", "rd"},
	{"drive", "dr"},       {"lane", "ln"},       {"place", "pl"},     {"court", "ct"},
	{"crt", "ct"},         {"circuit", "cct"},   {"circle", "cir"},   {"crescent", "cres"},
	{"cr", "cres"},        {"highway", "hwy"},   {"parkway", "pkwy"}, {"square", "sq"},
	{"terrace", "tce"},    {"close", "cl"},      {"north", "n"},      {"south", "s"},
	{"east", "e"},         {"west", "w"},        {"mount", "mt"},     {"saint", "st"},
	{"fort", "ft"},        {"building", "bldg"}, {"suite", "ste"},    {"floor", "fl"},
	{"apartment", "apt"},  {"between", "bet"},   {"btwn", "bet"},     {"betw", "bet"},
	{"first", "1st"},      {"second", "2nd"},    {"third", "3rd"},    {"fourth", "4th"},
	{"fifth", "5th"},      {"sixth", "6th"},     {"seventh", "7th"},  {"eighth", "8th"},
	{"ninth", "9th"},      {"tenth", "10th"},
};

/* In titles and names of firms. */
static const Abbreviation firm_words[] = {
	{"company", "co"},      {"corporation", "corp"},   {"incorporated", "inc"},
	{"limited", "ltd"},     {"international", "intl"}, {"brothers", "bros"},
	{"restaurant", "rest"}, {"delicatessen", "deli"},
};

/* Words of a Chinese address that only name the kind of the number before or after them. */
static const char address_units[] = "号楼栋幢座单元室弄层省市区县镇乡村路街道巷";

/* What a road is called by, and what tells one from its sisters. */
static const char road_units[] = "路街道巷";
static const char road_marks[] = "东西南北中十前后上下内外";

#define MAX_TEXT 160
#define INITIAL_LIKENESS 0.6 /* J for Jeffrey */
#define SPELT_LIKENESS 0.85  /* two signs, one of which sounds or looks like the other's */
#define LEAST_APART 0.3      /* of a text, so that it tells something else */
#define WHOLE_TEXT 40        /* up to this length texts are compared letter by letter too */

bool
IsWordRune(Rune rune)
{
	return (rune >= 'a' && rune <= 'z') || (rune >= '0' && rune <= '9') ||
		   (rune >= 0xC0 && !IsHan(rune) && rune < 0x2000) || (rune >= 0x3040 && rune <= 0x30FF) ||
		   (rune >= 0xAC00 && rune <= 0xD7A3);
}

uint64
HashRunes(const Rune *runes, int n, uint64 seed)
{
	return HashBytes64(runes, n * sizeof(Rune), seed);
}

/* Which letters and digits a word has; the others share one bit. */
static uint32
LetterSet(const Rune *runes, int n)
{
	uint32 set = 0;

	for (int i = 0; i < n; i++)
	{
		if (runes[i] >= 'a' && runes[i] <= 'z')
			set |= 1u << (runes[i] - 'a');
		else if (runes[i] >= '0' && runes[i] <= '9')
			set |= 1u << (26 + (runes[i] - '0') / 2);
		else
			set |= 1u << 31;
	}
	return set;
}

void
AddToken(MatchField *field, MatchValue *value, const Rune *runes, int n)
{
	uint32        token;
	MemoryContext old;

	if (value->ntokens == MATCH_MAX_TOKENS || n == 0)
		return;
	old = MemoryContextSwitchTo(field->context);
	token = InternHash(&field->tokens, HashRunes(runes, n, 11));
	MemoryContextSwitchTo(old);
	if (token >= field->token_size)
	{
		uint32 size = Max(1024, field->token_size * 2);

		field->token_count = field->token_count == NULL
								 ? MemoryContextAllocHuge(field->context, size * sizeof(uint32))
								 : repalloc_huge(field->token_count, size * sizeof(uint32));
		memset(field->token_count + field->token_size, 0,
			   (size - field->token_size) * sizeof(uint32));
		field->token_size = size;
	}
	for (int i = 0; i < value->ntokens; i++)
	{
		if (value->words->tokens[i] == token)
			return;
	}
	field->token_count[token]++;
	value->words->tokens[value->ntokens] = token;
	value->words->token_runes[value->ntokens] = palloc(n * sizeof(Rune));
	memcpy(value->words->token_runes[value->ntokens], runes, n * sizeof(Rune));
	value->words->letters[value->ntokens] = LetterSet(runes, n);
	value->words->token_length[value->ntokens++] = n;
}

static int
Abbreviate(const Rune *word, int n, Rune *out, bool address)
{
	const Abbreviation *list = address ? street_words : firm_words;
	int                 nlist = address ? lengthof(street_words) : lengthof(firm_words);
	char                plain[24];

	if (n < lengthof(plain))
	{
		for (int i = 0; i < n; i++)
			plain[i] = word[i] < 128 ? (char) word[i] : '?';
		plain[n] = '\0';
		for (int i = 0; i < nlist; i++)
		{
			if (strcmp(plain, list[i].word) == 0)
				return DecodeText(list[i].short_form, out, 24);
		}
	}
	n = Min(n, 24);
	memcpy(out, word, n * sizeof(Rune));
	return n;
}

static bool
IsAddressUnit(Rune rune)
{
	static Rune units[32];
	static int  n = 0;

	if (n == 0)
		n = DecodeText(address_units, units, lengthof(units));
	for (int i = 0; i < n; i++)
	{
		if (units[i] == rune)
			return true;
	}
	return false;
}

/* What a number stands before: not a street, which may be called 文三路. */
static bool
IsCounted(Rune rune)
{
	static Rune counted[16];
	static int  n = 0;

	if (n == 0)
		n = DecodeText("号弄栋幢单室楼层座门", counted, lengthof(counted));
	for (int i = 0; i < n; i++)
	{
		if (counted[i] == rune)
			return true;
	}
	return false;
}

static bool
IsOneOf(Rune rune, const char *list)
{
	char text[5];

	text[EncodeRune(rune, text)] = '\0';
	return strstr(list, text) != NULL;
}

/* 中山北一路 and 中山北二路 are two roads; 中山路 may be short for either. */
static void
TakeRoad(MatchWords *words, const Rune *runes, int start, int end)
{
	int mark = end;

	if (words->road != 0)
		return;
	while (mark > start && (IsOneOf(runes[mark - 1], road_marks) || HanDigit(runes[mark - 1]) >= 0))
		mark--;
	if (mark == start || mark == end)
		return;
	start = Max(start, mark - 2);
	words->road = HashRunes(runes + start, mark - start, 43);
	words->road_mark = HashRunes(runes + mark, end - mark, 47);
}

/* Words, pairs of Han characters and, for an address, its numbers. */
void
Tokenize(MatchField *field, const char *text, MatchValue *value, bool address)
{
	Rune  runes[MAX_TEXT], joined[MAX_TEXT * 2];
	char *folded = LatinText(FoldText(text));
	char *o = folded;
	int   n, njoined = 0;
	int32 numbers[MATCH_MAX_NUMBERS];

	/* art's is arts: an apostrophe joins */
	for (char *c = folded; *c; c++)
	{
		if (*c != '\'' && *c != '`')
			*o++ = *c;
	}
	*o = '\0';
	n = DecodeText(folded, runes, lengthof(runes));
	value->words->tokens = palloc(MATCH_MAX_TOKENS * sizeof(uint32));
	value->words->token_runes = palloc(MATCH_MAX_TOKENS * sizeof(Rune *));
	value->words->token_length = palloc(MATCH_MAX_TOKENS * sizeof(int16));
	value->words->letters = palloc(MATCH_MAX_TOKENS * sizeof(uint32));
	for (int i = 0; i < n; i++)
		runes[i] = Simplified(runes[i]);
	if (address)
		n = HanNumbers(runes, n, lengthof(runes), IsCounted);

	for (int i = 0; i < n;)
	{
		int start = i;

		if (IsHan(runes[i]))
		{
			value->kind = 1;
			while (i < n && IsHan(runes[i]))
				i++;
			/* 12号之一 is 12-1 */
			if (address && i - start >= 2 && runes[i - 2] == 0x4E4B && HanDigit(runes[i - 1]) >= 0 &&
				value->nnumbers > 0 && value->nnumbers < MATCH_MAX_NUMBERS)
			{
				numbers[value->nnumbers++] = HanDigit(runes[i - 1]);
				i -= 2;
			}
			for (int j = start; j < i; j++)
				joined[njoined++] = runes[j];
			for (int j = start; address && j < i; j++)
			{
				if (IsOneOf(runes[j], road_units))
					TakeRoad(value->words, runes, start, j);
			}
			for (int j = start; j + 1 < i; j++)
			{
				if (address && (IsAddressUnit(runes[j]) || IsAddressUnit(runes[j + 1])))
					continue;
				AddToken(field, value, runes + j, 2);
			}
			if (i - start == 1 && !(address && IsAddressUnit(runes[start])))
				AddToken(field, value, runes + start, 1);
			if (i < n && runes[i] == 0x4E4B)
				i += 2;
		}
		else if (address && runes[i] >= '0' && runes[i] <= '9')
		{
			int64 number = 0;
			int   digits = 0;

			while (i < n && runes[i] >= '0' && runes[i] <= '9')
			{
				if (digits++ < 9)
					number = number * 10 + (int) (runes[i] - '0');
				i++;
			}
			/* 5th is a word */
			if (i < n && runes[i] >= 'a' && runes[i] <= 'z' && digits <= 3 && i + 1 < n &&
				runes[i + 1] >= 'a' && runes[i + 1] <= 'z')
			{
				while (i < n && IsWordRune(runes[i]))
					i++;
				AddToken(field, value, runes + start, i - start);
				for (int j = start; j < i; j++)
					joined[njoined++] = runes[j];
				continue;
			}
			if (value->nnumbers < MATCH_MAX_NUMBERS)
			{
				numbers[value->nnumbers++] = (int32) number;
				/* the sign before a number anchors it: 路133, 江南22 */
				if (value->kind == 1 && njoined >= 2)
					AddKey(value, 3, MixHash(HashRunes(joined + njoined - 2, 2, 13), number));
			}
			continue;
		}
		else if (IsWordRune(runes[i]))
		{
			Rune word[32];
			int  length;

			while (i < n && IsWordRune(runes[i]))
				i++;
			length = Abbreviate(runes + start, i - start, word, address);
			AddToken(field, value, word, length);
			for (int j = 0; j < length; j++)
				joined[njoined++] = word[j];
		}
		else
			i++;
	}

	if (value->nnumbers > 0)
	{
		value->words->numbers = palloc(value->nnumbers * sizeof(int32));
		memcpy(value->words->numbers, numbers, value->nnumbers * sizeof(int32));
	}
	value->nrunes = njoined;
	value->runes = palloc(Max(njoined, 1) * sizeof(Rune));
	memcpy(value->runes, joined, njoined * sizeof(Rune));
}

/* A word weighs the logarithm of how rare it is; called when all records are read. */
void
WeighTokens(MatchField *field)
{
	if (field->tokens.count == 0)
		return;
	if (field->token_weight != NULL)
		pfree(field->token_weight);
	field->token_weight =
		MemoryContextAllocHuge(field->context, (field->tokens.count + 1) * sizeof(float));
	for (uint32 token = 1; token <= field->tokens.count; token++)
		field->token_weight[token] =
			log(1.0 + (double) field->texts.count / Max(field->token_count[token], 1));
}

/*
 * Two words that are not equal.  Jaro-Winkler reaches 0.9 only where Jaro reaches
 * 5/6, that is where c/nx + c/ny >= 1.5 for c common letters: no more than
 * nx + ny - 2c may be found in one of them alone.
 */
static double
TokenLikeness(const MatchWords *a, int i, const MatchWords *b, int j)
{
	const Rune *x = a->token_runes[i], *y = b->token_runes[j];
	int         nx = a->token_length[i], ny = b->token_length[j];
	int         shorter = Min(nx, ny);
	double      similarity;

	if (shorter == 1 && x[0] == y[0] && x[0] < 128)
		return INITIAL_LIKENESS;
	if (IsHan(x[0]) && nx == 2 && ny == 2 && IsHan(y[0]))
	{
		/* 张杨, 张扬: typed by ear or read off a form */
		int same = x[0] == y[0] ? 0 : x[1] == y[1] ? 1 : -1;

		if (same < 0)
			return 0.0;
		same = 1 - same;
		return SameReading(x[same], y[same], false) || LookAlike(x[same], y[same]) ? SPELT_LIKENESS : 0.0;
	}
	if (shorter < 3 || IsHan(x[0]) || IsHan(y[0]))
		return 0.0;
	if (shorter >= 4 && memcmp(x, y, shorter * sizeof(Rune)) == 0)
		return 0.9;
	if (x[0] != y[0] && abs(nx - ny) > 2)
		return 0.0;
	if (pg_popcount32(a->letters[i] ^ b->letters[j]) > nx + ny - 3.0 * nx * ny / (nx + ny))
		return 0.0;
	similarity = JaroWinkler(x, nx, y, ny);
	return similarity >= 0.9 ? similarity * similarity : 0.0;
}

/*
 * Shared weight over the mean weight; in *contained over the lesser weight; in
 * *apart the lesser share of what each has and the other has nothing like.
 */
double
WordLikeness(const MatchField *field, const MatchValue *a, const MatchValue *b, double *contained,
			 double *apart)
{
	double lacking_a = 0, lacking_b = 0;

	const float *weight = field->token_weight;
	double       weight_a = 0, weight_b = 0, shared = 0;
	uint32       used_a = 0, used_b = 0;

	*contained = *apart = 0;
	if (a->ntokens == 0 || b->ntokens == 0)
		return 0;
	for (int j = 0; j < b->ntokens; j++)
		weight_b += weight[b->words->tokens[j]];
	for (int i = 0; i < a->ntokens; i++)
	{
		uint32 token = a->words->tokens[i];

		weight_a += weight[token];
		for (int j = 0; j < b->ntokens; j++)
		{
			if (b->words->tokens[j] != token || (used_b & (1u << j)))
				continue;
			used_a |= 1u << i;
			used_b |= 1u << j;
			shared += weight[token];
			break;
		}
	}
	for (int i = 0; i < a->ntokens; i++)
	{
		double best = 0;
		int    at = -1;

		if (used_a & (1u << i))
			continue;
		for (int j = 0; j < b->ntokens; j++)
		{
			double likeness;

			if (used_b & (1u << j))
				continue;
			likeness = TokenLikeness(a->words, i, b->words, j);
			if (likeness > best)
			{
				best = likeness;
				at = j;
			}
		}
		if (at >= 0)
		{
			used_b |= 1u << at;
			shared +=
				best * Min(weight[a->words->tokens[i]], weight[b->words->tokens[at]]);
		}
		else
			lacking_a += weight[a->words->tokens[i]];
	}
	for (int j = 0; j < b->ntokens; j++)
	{
		if (!(used_b & (1u << j)))
			lacking_b += weight[b->words->tokens[j]];
	}
	*apart = Min(lacking_a / weight_a, lacking_b / weight_b);
	*contained = shared / Min(weight_a, weight_b);
	return 2 * shared / (weight_a + weight_b);
}

bool
ReadFreeText(MatchField *field, const char *text, MatchValue *value)
{
	uint64 all = 0;

	Tokenize(field, text, value, false);
	if (value->nrunes == 0)
		return false;
	value->form[0] = InternForm(field, 0, HashRunes(value->runes, value->nrunes, 1));
	for (int i = 0; i < value->ntokens; i++)
	{
		uint64 token = HashRunes(value->words->token_runes[i], value->words->token_length[i], 11);

		all += token;
		AddKey(value, 1, token);
		if (i + 1 < value->ntokens)
			AddKey(value, 2,
				   token + HashRunes(value->words->token_runes[i + 1],
									 value->words->token_length[i + 1], 11));
	}
	AddKey(value, 3, all);
	AddKey(value, 4, HashRunes(value->runes, Min(value->nrunes, 5), 19));
	return true;
}

int
CompareFreeText(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	double contained, apart, likeness;

	if (SameRunes(a->runes, a->nrunes, b->runes, b->nrunes))
		return TEXT_EQUAL;
	likeness = WordLikeness(field, a, b, &contained, &apart);
	if (likeness < 0.85 && Min(a->nrunes, b->nrunes) >= 6 &&
		Max(a->nrunes, b->nrunes) <= WHOLE_TEXT)
		likeness =
			Max(likeness, (JaroWinkler(a->runes, a->nrunes, b->runes, b->nrunes) - 0.7) * 3.0);
	if (likeness >= 0.88)
		return TEXT_WORDS;
	/* one text inside the other: a name with and without its suffix */
	if (contained >= 0.85)
		return TEXT_INSIDE;
	/* a café and a dining room of one hotel: each names what the other does not */
	if (likeness >= 0.62 && apart < LEAST_APART)
		return TEXT_CLOSE;
	return likeness >= 0.35 ? TEXT_RELATED : TEXT_OTHER;
}
