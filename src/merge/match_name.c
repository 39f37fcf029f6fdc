/*
 * match_name.c: comparing names of persons.
 *
 * Not by edit distance per character: siblings differ in one of three.  The
 * levels of a full name are: equal; equal reading; one sign off (look-alike,
 * near sound, one missing, a nickname of the given name); compatible as far as
 * it can be seen (honorific, mask, initial); a nickname that hints at it; family
 * name and one sign shared; family name shared; other.
 */
#include "merge/match.h"

enum
{
	NAME_EQUAL, NAME_READING, NAME_CLOSE, NAME_COMPATIBLE, NAME_HINT, NAME_SIBLING, NAME_FAMILY, NAME_OTHER
};

enum
{
	WORD_EQUAL, WORD_SOUND, WORD_CLOSE, WORD_OTHER
};

#define LETTERS_MAX 64

/* Short forms of given names; each group is one name. */
static const char *const short_names[] = {
	"robert rob bob bobby robbie bert", "william will bill billy willie liam", "james jim jimmy jamie",
	"john jack johnny jon", "jonathan jon johnny nathan", "richard rick dick rich ricky", "thomas tom tommy",
	"michael mike mick mickey micky", "charles charlie chuck chas", "edward ed eddie ted ned teddy",
	"joseph joe joey", "daniel dan danny", "david dave davey", "matthew matt matty", "andrew andy drew",
	"anthony tony ant", "christopher chris topher kit", "nicholas nick nicky", "alexander alex sandy alec xander",
	"benjamin ben benny", "samuel sam sammy", "stephen steve steven stevie", "gregory greg", "patrick pat paddy",
	"peter pete", "philip phil pip", "timothy tim timmy", "kenneth ken kenny", "ronald ron ronnie",
	"donald don donnie", "lawrence larry laurence laurie", "raymond ray", "gerald gerry jerry", "frederick fred freddie",
	"henry harry hank", "harold harry hal", "jeffrey jeff geoffrey geoff", "joshua josh", "zachary zach zack",
	"jacob jake", "nathaniel nathan nate", "theodore theo ted", "vincent vince vinny", "walter walt",
	"elizabeth liz beth betty lizzie eliza libby", "margaret maggie meg peggy peg marge", "katherine kate katie kathy catherine cathy kat kathryn katy",
	"patricia pat patty trish tricia", "jennifer jen jenny jenn", "susan sue susie suzanne", "barbara barb babs",
	"deborah deb debbie debra", "rebecca becky becca", "victoria vicky tori vic", "alexandra alex sandra sandy lexi",
	"christine chris christina tina chrissy", "samantha sam sammy", "jessica jess jessie", "amanda mandy",
	"abigail abby", "emily em emma", "isabella isabel bella izzy", "olivia liv livvy", "madeline maddie madeleine",
	"charlotte lottie charlie", "sophia sophie", "natalie nat natasha", "stephanie steph", "pamela pam",
	"dorothy dot dottie", "frances fran", "gabriel gabe", "gabrielle gabby", "georgina georgie george",
	"jacqueline jackie", "judith judy", "melanie mel melissa", "nicole nicky nikki", "penelope penny", "theresa terry teresa tess",
	"valerie val", "veronica ronnie", "harriet hattie harry", "eleanor ellie nell", "isaac zac ike", "oliver ollie",
	"toby tobias", "leonard leo len lenny", "max maxwell maximilian", "dominic dom", "lucas luke", "evelyn eve evie",
};

/* The names a word is, or is short for, as bits. */
static void
ShortNameGroups(const Rune *word, int n, uint64 *groups)
{
	char		plain[24];

	groups[0] = groups[1] = 0;
	if (n < 2 || n >= lengthof(plain))
		return;
	for (int i = 0; i < n; i++)
	{
		if (word[i] >= 128)
			return;
		plain[i] = (char) word[i];
	}
	StaticAssertStmt(lengthof(short_names) <= 128, "two words of bits hold all groups");
	for (int i = 0; i < lengthof(short_names); i++)
	{
		for (const char *w = short_names[i]; *w;)
		{
			int			length = strcspn(w, " ");

			if (length == n && strncmp(w, plain, n) == 0)
				groups[i / 64] |= UINT64CONST(1) << (i % 64);
			w += length;
			if (*w == ' ')
				w++;
		}
	}
}

static inline bool
SameShortName(const MatchValue *a, int i, const MatchValue *b, int j)
{
	return (a->words->groups[i][0] & b->words->groups[j][0]) != 0 || (a->words->groups[i][1] & b->words->groups[j][1]) != 0;
}

/* lv, lyu and lü are one; so are nv, nyu and nü. */
static int
AddLetters(char *out, int n, const char *letters)
{
	for (; *letters && n < LETTERS_MAX - 1; letters++)
	{
		char		c = *letters;

		if (n > 0 && (out[n - 1] == 'l' || out[n - 1] == 'n'))
		{
			if (c == 'y' && letters[1] == 'u')
				continue;
			if (c == 'v')
				c = 'u';
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return n;
}

static int
AddRunes(char *out, int n, const Rune *runes, int nrunes)
{
	char		letters[NAME_MAX_RUNES + 1];
	int			m = 0;

	for (int i = 0; i < nrunes && m < NAME_MAX_RUNES; i++)
	{
		if (runes[i] >= 'a' && runes[i] <= 'z')
			letters[m++] = runes[i];
	}
	letters[m] = '\0';
	return AddLetters(out, n, letters);
}

/* The letters, whatever their order: family and given name may be swapped. */
static uint64
HashLetters(const char *letters, int n)
{
	uint8		count[26] = {0};

	for (int i = 0; i < n; i++)
	{
		if (letters[i] >= 'a' && letters[i] <= 'z')
			count[letters[i] - 'a']++;
	}
	return HashBytes64(count, sizeof(count), 17);
}

static uint64
HashRunes(const Rune *runes, int n, uint64 seed)
{
	return HashBytes64(runes, n * sizeof(Rune), seed);
}

typedef struct Word
{
	const Rune *runes;
	int			n;
} Word;

static int
CompareWord(const void *x, const void *y)
{
	const Word *a = x,
			   *b = y;

	for (int i = 0; i < a->n && i < b->n; i++)
	{
		if (a->runes[i] != b->runes[i])
			return a->runes[i] < b->runes[i] ? -1 : 1;
	}
	return a->n - b->n;
}

static void
TakeWords(MatchValue *value, const PersonName *name)
{
	Word		words[NAME_MAX_WORDS];
	Rune		sorted[NAME_MAX_RUNES];
	int			n = 0;

	for (int i = 0; i < name->nwords; i++)
	{
		int			end = i + 1 < name->nwords ? name->word[i + 1] - 1 : name->nrunes;

		words[i].runes = name->runes + name->word[i];
		words[i].n = end - name->word[i];
	}
	qsort(words, name->nwords, sizeof(Word), CompareWord);
	value->ntokens = name->nwords;
	value->words->token_runes = palloc(name->nwords * sizeof(Rune *));
	value->words->token_length = palloc(name->nwords * sizeof(int16));
	value->words->groups = palloc(name->nwords * sizeof(uint64[2]));
	value->runes = palloc(Max(name->nrunes, 1) * sizeof(Rune));
	for (int i = 0; i < name->nwords; i++)
	{
		if (i > 0)
			sorted[n++] = ' ';
		memcpy(sorted + n, words[i].runes, words[i].n * sizeof(Rune));
		value->words->token_runes[i] = value->runes + n;
		value->words->token_length[i] = words[i].n;
		ShortNameGroups(words[i].runes, words[i].n, value->words->groups[i]);
		n += words[i].n;
	}
	memcpy(value->runes, sorted, n * sizeof(Rune));
	value->nrunes = n;
}

bool
ReadPersonName(MatchField *field, const char *text, MatchValue *value)
{
	PersonName	name;
	char		letters[LETTERS_MAX];
	int			n = 0;
	uint64		hash;

	ParseName(text, &name);
	if (name.kind == NAME_NONE || name.nrunes == 0)
		return false;

	letters[0] = '\0';
	value->kind = name.kind;
	value->gender = name.gender;
	value->nsurname = name.nsurname;
	if (name.kind == NAME_LATIN)
	{
		TakeWords(value, &name);
		n = AddRunes(letters, 0, name.runes, name.nrunes);
	}
	else
	{
		value->nrunes = name.nrunes;
		value->runes = palloc(name.nrunes * sizeof(Rune));
		memcpy(value->runes, name.runes, name.nrunes * sizeof(Rune));
		for (int i = 0; i < name.nrunes; i++)
		{
			if (IsHan(name.runes[i]))
				n = AddLetters(letters, n, HanReading(name.runes[i], i < name.nsurname));
			else
				n = AddRunes(letters, n, &name.runes[i], 1);
			if (i + 1 == name.nsurname)
				value->surname_letters = n;
		}
	}
	value->letters = pstrdup(letters);
	value->nletters = n;

	hash = HashRunes(value->runes, value->nrunes, name.kind == NAME_MASKED ? 3 : 1);
	value->form[0] = InternForm(field, 0, hash);
	if (name.kind == NAME_MASKED || (name.kind == NAME_ALIAS && value->nrunes < 2))
		return true;
	if (name.kind == NAME_SURNAME)
	{
		value->form[2] = InternForm(field, 2, HashBytes64(letters, n, 19));
		AddWeakKey(value, 4, HashBytes64(letters, n, 19));
		return true;
	}

	AddKey(value, 1, hash);
	if (n >= 3)
	{
		uint64		reading = HashLetters(letters, n);

		value->form[1] = InternForm(field, 1, reading);
		AddKey(value, 2, reading);
	}
	if (name.kind == NAME_HAN && name.nsurname > 0)
	{
		value->form[2] = InternForm(field, 2, HashBytes64(letters, value->surname_letters, 19));
		/* a given name without its family name, a family name with one sign of the other */
		if (name.nrunes - name.nsurname >= 2)
		{
			AddKey(value, 3, HashBytes64(letters + value->surname_letters, n - value->surname_letters, 23));
			for (int i = name.nsurname; i < name.nrunes; i++)
				AddKey(value, 5, MixHash(HashBytes64(letters, value->surname_letters, 19), name.runes[i]));
		}
		AddWeakKey(value, 4, HashBytes64(letters, value->surname_letters, 19));
	}
	else if (name.kind == NAME_LATIN)
	{
		for (int i = 0; i < value->ntokens; i++)
		{
			uint64		word;

			if (value->words->token_length[i] < 2)
				continue;
			word = HashRunes(value->words->token_runes[i], value->words->token_length[i], 29);
			if (i == 0)
				value->form[2] = InternForm(field, 2, word);
			if (value->ntokens == 1)
				AddKey(value, 3, HashBytes64(letters, n, 23));
			AddKey(value, 6, word);
		}
	}
	else if (name.kind == NAME_ALIAS && n >= 5)
		AddKey(value, 3, HashBytes64(letters, n, 23));
	return true;
}

static bool
SameReading(Rune a, Rune b, bool surname)
{
	const char *x = HanReading(a, surname),
			   *y = HanReading(b, surname);
	const char *x2 = OtherReading(a),
			   *y2 = OtherReading(b);

	if (x == y && x[0] != '\0')
		return true;
	return (x2 != NULL && x2 == y) || (y2 != NULL && y2 == x);
}

/* zh/z ch/c sh/s n/l f/h, and a final g heard or not. */
static bool
NearSound(const char *x, const char *y)
{
	char		a[16],
				b[16];

	for (int side = 0; side < 2; side++)
	{
		const char *s = side ? y : x;
		char	   *o = side ? b : a;
		int			n = 0;

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
	bool		same_family;
	int			shared = 0;

	if (SameRunes(a->runes, a->nrunes, b->runes, b->nrunes))
		return NAME_EQUAL;
	if (a->nsurname == 0 || b->nsurname == 0)
	{
		if (a->nletters > 6 && a->nletters == b->nletters && strcmp(a->letters, b->letters) == 0)
			return NAME_READING;
		return EditDistance(a->runes, a->nrunes, b->runes, b->nrunes, 1) <= 1 && a->nrunes > 4 ?
			NAME_CLOSE : NAME_OTHER;
	}
	if (a->nrunes == b->nrunes)
	{
		int			sounds = 0,
					near = 0,
					off = 0;

		for (int i = 0; i < a->nrunes; i++)
		{
			Rune		x = a->runes[i],
						y = b->runes[i];
			bool		surname = i < a->nsurname;

			if (x == y)
				continue;
			if (SameReading(x, y, surname))
				sounds++;
			else if (LookAlike(x, y) || (surname && SameSurnameVariant(x, y)) ||
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

	same_family = a->nsurname == b->nsurname &&
		(SameRunes(a->runes, a->nsurname, b->runes, b->nsurname) ||
		 (a->surname_letters == b->surname_letters &&
		  strncmp(a->letters, b->letters, a->surname_letters) == 0));
	/* one sign of the given name is missing: 赵文 for 赵文华 */
	if (same_family && longer->nrunes == shorter->nrunes + 1 && shorter->nrunes > shorter->nsurname)
	{
		Rune		only = shorter->runes[shorter->nsurname];

		if (only == longer->runes[longer->nsurname] || only == longer->runes[longer->nsurname + 1])
			return NAME_CLOSE;
	}
	for (int i = a->nsurname; i < a->nrunes; i++)
	{
		int			j = i - a->nsurname + b->nsurname;

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
	char		twice[2 * LETTERS_MAX];

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
	Rune		x[LETTERS_MAX],
				y[LETTERS_MAX];

	for (int i = 0; i < na; i++)
		x[i] = a[i];
	for (int i = 0; i < nb; i++)
		y[i] = b[i];
	return EditDistance(x, na, y, nb, limit);
}

/* A Han name beside one in letters. */
static int
CompareHanLatin(const MatchValue *han, const MatchValue *latin)
{
	char		surname[LETTERS_MAX],
				word[LETTERS_MAX];
	const char *given = han->letters + han->surname_letters;

	if (SameLetters(han, latin))
		return NAME_READING;
	if (han->nletters >= 6 && LetterDistance(han->letters, han->nletters, latin->letters, latin->nletters, 1) <= 1)
		return NAME_CLOSE;
	strlcpy(surname, han->letters, han->surname_letters + 1);
	if (latin->ntokens >= 2)
	{
		for (int i = 0; i < latin->ntokens; i++)
		{
			bool		foreign = true;

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
			return foreign ? NAME_COMPATIBLE : han->kind == NAME_SURNAME ? NAME_COMPATIBLE : NAME_FAMILY;
		}
		return NAME_OTHER;
	}
	if (han->kind == NAME_HAN && given[0] != '\0' && strlen(given) >= 4 && strcmp(given, latin->letters) == 0)
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
	int			equal = 0,
				close = 0,
				initial = 0,
				rest;
	uint32		used = 0;

	if (SameRunes(a->runes, a->nrunes, b->runes, b->nrunes))
		return NAME_EQUAL;
	if (SameLetters(a, b))
		return NAME_READING;
	for (int i = 0; i < a->ntokens; i++)
	{
		int			best = 0,
					at = -1;

		for (int j = 0; j < b->ntokens; j++)
		{
			const Rune *x = a->words->token_runes[i],
					   *y = b->words->token_runes[j];
			int			nx = a->words->token_length[i],
						ny = b->words->token_length[j];
			int			score = 0;

			if (used & (1u << j))
				continue;
			if (SameRunes(x, nx, y, ny))
				score = 3;
			else if ((nx == 1 || ny == 1) && x[0] == y[0])
				score = 1;
			else if ((nx > 2 && ny > 2 && JaroWinkler(x, nx, y, ny) >= 0.9) || SameShortName(a, i, b, j))
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
	int			head = 0,
				tail = 0;

	if (!IsHan(masked->runes[0]) || !(other->kind == NAME_HAN || other->kind == NAME_MASKED ||
									  other->kind == NAME_SURNAME) || !IsHan(other->runes[0]))
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

/* 0 nothing, 1 the nickname spells the name, 2 it hints at the given name. */
int
NicknameHint(const MatchValue *nickname, const MatchValue *name)
{
	const char *given = name->letters + name->surname_letters;
	int			ngiven = name->nletters - name->surname_letters;

	if (nickname->kind == NAME_MASKED || name->kind == NAME_MASKED || name->kind == NAME_SURNAME)
		return 0;
	if (name->kind == NAME_HAN)
	{
		if (SameRunes(nickname->runes, nickname->nrunes, name->runes, name->nrunes))
			return 1;
		if (SameLetters(name, nickname))
			return 1;
		if (nickname->nletters >= 5 && nickname->nletters < name->nletters &&
			name->nletters > nickname->nletters && name->nsurname > 0 &&
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
			char		word[LETTERS_MAX];

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
		int			hint;

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
			strncmp(a->letters, b->letters, a->surname_letters) == 0 ? NAME_COMPATIBLE : NAME_OTHER;
	}
	return CompareHanNames(a, b);
}

int
CompareNickname(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	if (a->kind != NAME_MASKED && b->kind != NAME_MASKED)
		return SameRunes(a->runes, a->nrunes, b->runes, b->nrunes) ? 0 : 3;
	if (a->runes[0] != b->runes[0] || a->runes[a->nrunes - 1] != b->runes[b->nrunes - 1])
		return 3;
	return 2;
}

/* Vowels but the first dropped, consonants by class: an own, coarse sound. */
static uint64
SoundKey(const char *letters, int n)
{
	static const char class[] = "a123a12ha22455a12623a1a2a2";
	char		key[LETTERS_MAX];
	int			m = 0;

	for (int i = 0; i < n; i++)
	{
		char		c = class[letters[i] - 'a'];

		if (i > 0 && (c == 'a' || c == 'h' || c == key[m - 1]))
			continue;
		key[m++] = c;
	}
	return HashBytes64(key, m, 31);
}

/* A given name or a family name alone. */
bool
ReadWordName(MatchField *field, const char *text, MatchValue *value)
{
	PersonName	name;
	char		letters[LETTERS_MAX];
	int			n = 0;
	uint64		hash;

	ParseName(text, &name);
	if (name.nrunes == 0 || name.kind == NAME_NONE)
		return false;
	value->kind = name.kind;
	value->nrunes = name.nrunes;
	value->runes = palloc(name.nrunes * sizeof(Rune));
	memcpy(value->runes, name.runes, name.nrunes * sizeof(Rune));
	value->ntokens = 1;
	value->words->token_runes = &value->runes;
	value->words->token_length = &value->nrunes;
	value->words->groups = palloc(sizeof(uint64[2]));
	ShortNameGroups(value->runes, value->nrunes, value->words->groups[0]);
	letters[0] = '\0';
	for (int i = 0; i < name.nrunes; i++)
	{
		if (IsHan(name.runes[i]))
			n = AddLetters(letters, n, HanReading(name.runes[i], false));
		else
			n = AddRunes(letters, n, &name.runes[i], 1);
	}
	value->letters = pstrdup(letters);
	value->nletters = n;
	hash = HashRunes(value->runes, value->nrunes, 1);
	value->form[0] = InternForm(field, 0, hash);
	AddKey(value, 1, hash);
	if (n >= 3)
	{
		AddKey(value, 2, SoundKey(letters, n));
		AddKey(value, 3, HashBytes64(letters, Min(n, 4), 37));
		if (n > 4)
			AddKey(value, 4, HashBytes64(letters + n - 4, 4, 41));
	}
	return true;
}

int
CompareWordName(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	double		similarity;

	if (SameRunes(a->runes, a->nrunes, b->runes, b->nrunes))
		return WORD_EQUAL;
	if (a->nletters > 1 && a->nletters == b->nletters && strcmp(a->letters, b->letters) == 0)
		return WORD_SOUND;
	similarity = JaroWinkler(a->runes, a->nrunes, b->runes, b->nrunes);
	if (similarity >= 0.92 || SameShortName(a, 0, b, 0) ||
		(Min(a->nrunes, b->nrunes) >= 4 && EditDistance(a->runes, a->nrunes, b->runes, b->nrunes, 1) <= 1))
		return WORD_SOUND;
	if (similarity >= 0.84 || ((a->nrunes == 1 || b->nrunes == 1) && a->runes[0] == b->runes[0]) ||
		(Min(a->nrunes, b->nrunes) >= 5 && EditDistance(a->runes, a->nrunes, b->runes, b->nrunes, 2) <= 2))
		return WORD_CLOSE;
	return WORD_OTHER;
}
