/*
 * name.c: reading names of persons for comparison: their letters, words,
 * keys.
 */
#include "match/match.h"

/* Short forms of given names; each group is one name. */
static const char *const short_names[] = {
	"robert rob bob bobby robbie bert",
	"william will bill billy willie liam",
	"james jim jimmy jamie",
	"john jack johnny jon",
	"jonathan jon johnny nathan",
	"richard rick dick rich ricky",
	"thomas tom tommy",
	"michael mike mick mickey micky",
	"charles charlie chuck chas",
	"edward ed eddie ted ned teddy",
	"joseph joe joey",
	"daniel dan danny",
	"david dave davey",
	"matthew matt matty",
	"andrew andy drew",
	"anthony tony ant",
	"christopher chris topher kit",
	"nicholas nick nicky",
	"alexander alex sandy alec xander",
	"benjamin ben benny",
	"samuel sam sammy",
	"stephen steve steven stevie",
	"gregory greg",
	"patrick pat paddy",
	"peter pete",
	"philip phil pip",
	"timothy tim timmy",
	"kenneth ken kenny",
	"ronald ron ronnie",
	"donald don donnie",
	"lawrence larry laurence laurie",
	"raymond ray",
	"gerald gerry jerry",
	"frederick fred freddie",
	"henry harry hank",
	"harold harry hal",
	"jeffrey jeff geoffrey geoff",
	"joshua josh",
	"zachary zach zack",
	"jacob jake",
	"nathaniel nathan nate",
	"theodore theo ted",
	"vincent vince vinny",
	"walter walt",
	"elizabeth liz beth betty lizzie eliza libby",
	"margaret maggie meg peggy peg marge",
	"katherine kate katie kathy catherine cathy kat kathryn katy",
	"patricia pat patty trish tricia",
	"jennifer jen jenny jenn",
	"susan sue susie suzanne",
	"barbara barb babs",
	"deborah deb debbie debra",
	"rebecca becky becca",
	"victoria vicky tori vic",
	"alexandra alex sandra sandy lexi",
	"christine chris christina tina chrissy",
	"samantha sam sammy",
	"jessica jess jessie",
	"amanda mandy",
	"abigail abby",
	"emily em emma",
	"isabella isabel bella izzy",
	"olivia liv livvy",
	"madeline maddie madeleine",
	"charlotte lottie charlie",
	"sophia sophie",
	"natalie nat natasha",
	"stephanie steph",
	"pamela pam",
	"dorothy dot dottie",
	"frances fran",
	"gabriel gabe",
	"gabrielle gabby",
	"georgina georgie george",
	"jacqueline jackie",
	"judith judy",
	"melanie mel melissa",
	"nicole nicky nikki",
	"penelope penny",
	"theresa terry teresa tess",
	"valerie val",
	"veronica ronnie",
	"harriet hattie harry",
	"eleanor ellie nell",
	"isaac zac ike",
	"oliver ollie",
	"toby tobias",
	"leonard leo len lenny",
	"max maxwell maximilian",
	"dominic dom",
	"lucas luke",
	"evelyn eve evie",
};

/* The names a word is, or is short for, as bits. */
static void
ShortNameGroups(const Rune *word, int n, uint64 *groups)
{
	char plain[24];

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
			int length = strcspn(w, " ");

			if (length == n && strncmp(w, plain, n) == 0)
				groups[i / 64] |= UINT64CONST(1) << (i % 64);
			w += length;
			if (*w == ' ')
				w++;
		}
	}
}

/* lv, lyu and lü are one; so are nv, nyu and nü. */
static int
AddLetters(char *out, int n, const char *letters)
{
	for (; *letters && n < LETTERS_MAX - 1; letters++)
	{
		char c = *letters;

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

int
AddRunes(char *out, int n, const Rune *runes, int nrunes)
{
	char letters[NAME_MAX_RUNES + 1];
	int  m = 0;

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
	uint8 count[26] = {0};

	for (int i = 0; i < n; i++)
	{
		if (letters[i] >= 'a' && letters[i] <= 'z')
			count[letters[i] - 'a']++;
	}
	return HashBytes64(count, sizeof(count), 17);
}

typedef struct Word
{
	const Rune *runes;
	int         n;
} Word;

static int
CompareWord(const void *x, const void *y)
{
	const Word *a = x, *b = y;

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
	Word words[NAME_MAX_WORDS];
	Rune sorted[NAME_MAX_RUNES];
	int  n = 0;

	for (int i = 0; i < name->nwords; i++)
	{
		int end = i + 1 < name->nwords ? name->word[i + 1] - 1 : name->nrunes;

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
	PersonName name;
	char       letters[LETTERS_MAX];
	int        n = 0;
	uint64     hash;

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
	if (name.kind == NAME_ALIAS && value->nrunes < 2)
		return true;
	if (name.kind == NAME_MASKED)
	{
		uint64 surname = HashBytes64(letters, value->surname_letters, 19);

		/* what a mask leaves: the family name, and perhaps a sign of the other */
		if (value->surname_letters == 0)
			return true;
		value->form[2] = InternForm(field, 2, surname);
		for (int i = name.nsurname; i < name.nrunes; i++)
		{
			if (name.runes[i] != '*')
				AddKey(value, 5, MixHash(surname, name.runes[i]));
		}
		AddWeakKey(value, 4, surname);
		return true;
	}
	if (name.kind == NAME_SURNAME)
	{
		value->form[2] = InternForm(field, 2, HashBytes64(letters, n, 19));
		AddWeakKey(value, 4, HashBytes64(letters, n, 19));
		return true;
	}

	AddKey(value, 1, hash);
	if (n >= 3)
	{
		uint64 reading = HashLetters(letters, n);

		value->form[1] = InternForm(field, 1, reading);
		AddKey(value, 2, reading);
	}
	if (name.kind == NAME_HAN && name.nsurname > 0)
	{
		value->form[2] = InternForm(field, 2, HashBytes64(letters, value->surname_letters, 19));
		/* a given name without its family name, a family name with one sign of the other */
		if (name.nrunes - name.nsurname >= 2)
		{
			AddKey(value, 3,
				   HashBytes64(letters + value->surname_letters, n - value->surname_letters, 23));
			for (int i = name.nsurname; i < name.nrunes; i++)
				AddKey(value, 5,
					   MixHash(HashBytes64(letters, value->surname_letters, 19), name.runes[i]));
		}
		else
			AddKey(value, 3, HashBytes64(letters, n, 23));
		AddWeakKey(value, 4, HashBytes64(letters, value->surname_letters, 19));
	}
	else if (name.kind == NAME_LATIN)
	{
		for (int i = 0; i < value->ntokens; i++)
		{
			uint64 word;

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

/* A nickname: besides, each of its Han signs, to see which are rare. */
bool
ReadNickname(MatchField *field, const char *text, MatchValue *value)
{
	if (!ReadPersonName(field, text, value))
		return false;
	if (value->kind == NAME_LATIN)
		return true;
	value->words->tokens = palloc(NAME_MAX_RUNES * sizeof(uint32));
	value->words->token_runes = palloc(NAME_MAX_RUNES * sizeof(Rune *));
	value->words->token_length = palloc(NAME_MAX_RUNES * sizeof(int16));
	value->words->letters = palloc(NAME_MAX_RUNES * sizeof(uint32));
	for (int i = 0; i < value->nrunes; i++)
	{
		if (IsHan(value->runes[i]))
			AddToken(field, value, value->runes + i, 1);
	}
	return true;
}

/* Vowels but the first dropped, consonants by class: an own, coarse sound. */
static uint64
SoundKey(const char *letters, int n)
{
	static const char class[] = "a123a12ha22455a12623a1a2a2";
	char key[LETTERS_MAX];
	int  m = 0;

	for (int i = 0; i < n; i++)
	{
		char c = class[letters[i] - 'a'];

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
	PersonName name;
	char       letters[LETTERS_MAX];
	int        n = 0;
	uint64     hash;

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
