/*
 * name.c: names of persons as they are typed at a till, in an app, by a clerk.
 *
 * A Han name loses its blanks, honorific, remarks and hidden tail of digits and
 * is split into family and given name; a name in letters is split into words.
 * What cannot be a name (an emoji, "momo", a user name) is kept as an alias.
 */
#include "crm_member.h"
#include "text/text.h"

#include <unicode/uchar.h>

typedef struct Honorific
{
	const char *text;
	char        gender;
	bool        surname_only; /* too common inside names to strip from more than a family name */
} Honorific;

static const Honorific honorifics[] = {
	{"先生", 'M'},   {"女士", 'F'},   {"小姐", 'F'},   {"太太", 'F'},   {"夫人", 'F'},
	{"老师", 0},     {"经理", 0},     {"师傅", 0},     {"阿姨", 'F'},   {"叔叔", 'M'},
	{"大哥", 'M'},   {"大姐", 'F'},   {"同学", 0},     {"老板", 0},     {"医生", 0},
	{"主任", 0},     {"店长", 0},     {"总", 0, true}, {"哥", 0, true}, {"姐", 0, true},
	{"妈", 0, true}, {"工", 0, true}, {"董", 0, true},
};

static const char *const titles[] = {"mr",   "mrs", "ms",    "miss", "dr",
									 "prof", "sir", "madam", "jr",   "sr"};

/* Written where a name was asked for and none was given. */
static const char *const nobody[] = {
	"未知",    "测试", "匿名",  "无",      "无名",  "暂无",    "顾客",   "散客",
	"会员",    "客户", "游客",  "用户",    "先生",  "女士",    "小姐",   "null",
	"none",    "n a",  "na",    "test",    "guest", "unknown", "nobody", "customer",
	"anonymous",
};

typedef enum RuneClass
{
	CLASS_HAN,
	CLASS_LETTER,
	CLASS_DIGIT,
	CLASS_HIDDEN,
	CLASS_JOINT, /* separates the parts of a name */
	CLASS_STOP,  /* punctuation that means nothing at an end */
	CLASS_SYMBOL /* emoji and decoration: no name has it */
} RuneClass;

static RuneClass
ClassOf(Rune rune)
{
	if (IsHan(rune))
		return CLASS_HAN;
	if (rune == '*' || rune == 0x25CF || rune == 0x25CB || rune == 0x25EF || rune == 0x00D7)
		return CLASS_HIDDEN;
	if (rune == ' ' || rune == 0x00B7 || rune == 0x2022 || rune == 0x30FB || rune == 0x2027 ||
		rune == 0x22C5 || rune == '.' || rune == '\'' || rune == 0x2019 || rune == '-')
		return CLASS_JOINT;
	if (rune >= '0' && rune <= '9')
		return CLASS_DIGIT;
	if (rune == ',' || rune == ';' || rune == ':' || rune == '"' || rune == '/' ||
		(rune >= 0x3001 && rune <= 0x3003) || rune == '!' || rune == '?' || rune == '`')
		return CLASS_STOP;
	if (u_isalpha(rune))
		return CLASS_LETTER;
	return CLASS_SYMBOL;
}

/* Take remarks in brackets away; returns what is left. */
static int
DropBrackets(Rune *runes, int n)
{
	int kept = 0, depth = 0;

	for (int i = 0; i < n; i++)
	{
		Rune rune = runes[i];

		if (rune == '(' || rune == '[' || rune == 0x3010 || rune == 0x300C || rune == '<' ||
			rune == '{')
			depth++;
		else if (rune == ')' || rune == ']' || rune == 0x3011 || rune == 0x300D || rune == '>' ||
				 rune == '}')
			depth = Max(depth - 1, 0);
		else if (depth == 0)
			runes[kept++] = rune;
	}
	return kept;
}

/* A telephone number and VIP beside a Han name are remarks. */
static int
DropRemarks(Rune *runes, int n)
{
	int kept = 0;

	for (int i = 0; i < n;)
	{
		int digits = 0;

		while (i + digits < n && runes[i + digits] >= '0' && runes[i + digits] <= '9')
			digits++;
		if (digits >= 7)
			i += digits;
		else if (i + 2 < n && runes[i] == 'v' && runes[i + 1] == 'i' && runes[i + 2] == 'p' &&
				 (i == 0 || !u_isalpha(runes[i - 1]) || IsHan(runes[i - 1])) &&
				 (i + 3 == n || !u_isalpha(runes[i + 3]) || IsHan(runes[i + 3])))
			i += 3;
		else
		{
			digits = Max(digits, 1);
			memmove(runes + kept, runes + i, digits * sizeof(Rune));
			kept += digits;
			i += digits;
		}
	}
	return kept;
}

static bool
IsNobody(const PersonName *name)
{
	for (int i = 0; i < lengthof(nobody); i++)
	{
		Rune text[12];
		int  n = DecodeText(nobody[i], text, lengthof(text));

		if (n == name->nrunes && memcmp(text, name->runes, n * sizeof(Rune)) == 0)
			return true;
	}
	return false;
}

/* Signs that stand for what is left out behind a family name: 张X, 李☆, 王某某. */
static void
HideTail(Rune *runes, int n)
{
	int surname = SurnameLength(runes, Min(n, 2));

	if (surname == 0 || n == surname || n > surname + 2)
		return;
	for (int i = surname; i < n; i++)
	{
		Rune rune = runes[i];

		if (rune != 'x' && rune != 0x67D0 && rune != 0x2605 && rune != 0x2606 && rune != '?' &&
			rune != '_' && rune != '#' && rune != 0x25A1 && rune != 0x25A0)
			return;
	}
	for (int i = surname; i < n; i++)
		runes[i] = '*';
}

static void
SetRunes(PersonName *name, const Rune *runes, int n)
{
	name->nrunes = Min(n, NAME_MAX_RUNES);
	memcpy(name->runes, runes, name->nrunes * sizeof(Rune));
}

/* Strip 先生 and its like; true when an honorific was there. */
static bool
StripHonorific(PersonName *name)
{
	for (int i = 0; i < lengthof(honorifics); i++)
	{
		Rune text[4];
		int  n = DecodeText(honorifics[i].text, text, lengthof(text));
		int  left = name->nrunes - n;

		if (left < 1 || memcmp(name->runes + left, text, n * sizeof(Rune)) != 0)
			continue;
		if (honorifics[i].surname_only && SurnameLength(name->runes, left) != left)
			continue;
		name->nrunes = left;
		name->gender = honorifics[i].gender;
		return true;
	}
	return false;
}

/* A name in Han characters, already without separators; hidden ones allowed. */
static void
ParseHan(PersonName *name, bool hidden, bool jointed, bool decorated)
{
	Rune *runes = name->runes;
	bool  honorific;

	if (hidden)
	{
		name->kind = NAME_MASKED;
		name->nsurname = runes[0] == '*' ? 0 : Max(1, Min(SurnameLength(runes, name->nrunes), 2));
		if (name->nsurname == 2 && runes[1] == '*')
			name->nsurname = 1;
		return;
	}

	name->kind = NAME_ALIAS;
	if (decorated)
		return;
	honorific = StripHonorific(name);
	name->nsurname = SurnameLength(runes, name->nrunes);
	if (honorific && name->nsurname == name->nrunes)
		name->kind = NAME_SURNAME;
	else if (name->nrunes == 2 &&
			 (runes[0] == 0x5C0F || runes[0] == 0x8001 || runes[0] == 0x963F) &&
			 SurnameLength(runes + 1, 1) == 1)
	{
		/* 小李, 老王, 阿陈 */
		runes[0] = runes[1];
		name->nrunes = name->nsurname = 1;
		name->kind = NAME_SURNAME;
	}
	else if (jointed && name->nrunes >= 4)
	{
		name->nsurname = 0;
		name->kind = NAME_HAN;
	}
	else if (name->nsurname > 0 && name->nrunes > name->nsurname &&
			 name->nrunes <= name->nsurname + 2 && !(name->nrunes == 2 && runes[0] == runes[1]))
		name->kind = NAME_HAN;
	else
		name->nsurname = 0;
}

static void
AddWord(PersonName *name, const Rune *word, int n)
{
	char plain[8];

	if (n == 0 || name->nwords == NAME_MAX_WORDS || name->nrunes + n + 1 > NAME_MAX_RUNES)
		return;
	if (n < lengthof(plain))
	{
		for (int i = 0; i < n; i++)
			plain[i] = word[i] < 128 ? (char) word[i] : '?';
		plain[n] = '\0';
		for (int i = 0; i < lengthof(titles); i++)
		{
			if (strcmp(plain, titles[i]) == 0)
				return;
		}
	}
	if (name->nwords > 0)
		name->runes[name->nrunes++] = ' ';
	name->word[name->nwords++] = name->nrunes;
	memcpy(name->runes + name->nrunes, word, n * sizeof(Rune));
	name->nrunes += n;
}

static void
ParseLetters(PersonName *name, const Rune *runes, int n)
{
	int start = 0;

	name->nrunes = 0;
	for (int i = 0; i <= n; i++)
	{
		if (i < n && ClassOf(runes[i]) == CLASS_LETTER)
			continue;
		/* O'Brien is one word */
		if (i < n && (runes[i] == '\'' || runes[i] == 0x2019) && i - start == 1)
		{
			Rune joined[NAME_MAX_RUNES];
			int  m = 0;

			joined[m++] = runes[start];
			for (i++; i < n && m < NAME_MAX_RUNES - 1 && ClassOf(runes[i]) == CLASS_LETTER; i++)
				joined[m++] = runes[i];
			AddWord(name, joined, m);
			start = i + 1;
			continue;
		}
		AddWord(name, runes + start, i - start);
		start = i + 1;
	}
	name->kind = name->nwords > 0 ? NAME_LATIN : NAME_NONE;
}

static void
ReadName(const char *s, PersonName *name)
{
	Rune runes[64];
	int  n = DecodeText(LatinText(FoldText(s)), runes, lengthof(runes));
	int  count[CLASS_SYMBOL + 1] = {0};
	int  kept = 0, first = 0;
	bool decorated;

	memset(name, 0, sizeof(*name));
	n = DropBrackets(runes, n);
	if (n > 0 && IsHan(runes[0]))
		n = DropRemarks(runes, n);
	for (int i = 0; i < n; i++)
		runes[i] = Simplified(runes[i]);
	HideTail(runes, n);
	for (int i = 0; i < n; i++)
		count[ClassOf(runes[i])]++;
	if (count[CLASS_HAN] + count[CLASS_LETTER] + count[CLASS_DIGIT] == 0)
		return;

	/* A李总: the A only sorts a contact list */
	if (count[CLASS_LETTER] == 1 && count[CLASS_HAN] >= 2 && runes[0] == 'a')
	{
		first = 1;
		count[CLASS_LETTER] = 0;
	}
	decorated = count[CLASS_SYMBOL] > 0;

	/* 张伟2 is 张伟; 惠92023 is a user name */
	if (count[CLASS_HAN] > 0 && count[CLASS_LETTER] == 0 && count[CLASS_DIGIT] <= 2)
	{
		bool jointed = false, digits = false;

		for (int i = first; i < n; i++)
		{
			RuneClass class = ClassOf(runes[i]);

			if (class == CLASS_HAN || class == CLASS_HIDDEN)
			{
				if (kept > 0 && i > 0 && (ClassOf(runes[i - 1]) == CLASS_JOINT) &&
					runes[i - 1] != ' ')
				{
					/* 王芳-店员推荐: a remark */
					if (runes[i - 1] == '-' && kept >= 2)
						break;
					jointed = true;
				}
				if (digits)
					decorated = true;
				runes[kept++] = class == CLASS_HIDDEN ? '*' : runes[i];
			}
			else if (class == CLASS_DIGIT)
				digits = true;
		}
		SetRunes(name, runes, kept);
		ParseHan(name, count[CLASS_HIDDEN] > 0, jointed, decorated);
		return;
	}

	if (count[CLASS_HAN] == 0 && count[CLASS_DIGIT] == 0 && !decorated && count[CLASS_HIDDEN] == 0)
	{
		ParseLetters(name, runes, n);
		return;
	}

	for (int i = first; i < n; i++)
	{
		RuneClass class = ClassOf(runes[i]);

		if (class <= CLASS_HIDDEN)
			runes[kept++] = runes[i];
	}
	SetRunes(name, runes, kept);
	name->kind = count[CLASS_HIDDEN] > 0 ? NAME_MASKED : NAME_ALIAS;
}

void
ParseName(const char *s, PersonName *name)
{
	ReadName(s, name);
	if (IsNobody(name))
		memset(name, 0, sizeof(*name));
}

char *
NormalizeName(const char *s)
{
	PersonName name;
	char      *out, *o;

	ParseName(s, &name);
	if (name.kind == NAME_NONE || name.nrunes == 0)
		return NULL;
	o = out = palloc(name.nrunes * 4 + 1);
	for (int i = 0; i < name.nrunes; i++)
		o += EncodeRune(name.runes[i], o);
	*o = '\0';
	return out;
}
