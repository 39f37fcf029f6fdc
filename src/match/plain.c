/*
 * plain.c: comparing numbers and codes: telephone, e-mail, date, identifier,
 * quantity, sex.
 */
#include "match/match.h"

#include <math.h>

enum
{
	PHONE_EQUAL,
	PHONE_MASKED,
	PHONE_NEAR,
	PHONE_OTHER
};

enum
{
	EMAIL_EQUAL,
	EMAIL_NEAR,
	EMAIL_OTHER
};

enum
{
	DATE_EQUAL,
	DATE_NEAR,
	DATE_DAY,
	DATE_YEAR,
	DATE_OTHER
};

enum
{
	ID_EQUAL,
	ID_NEAR,
	ID_OTHER
};

enum
{
	NUMBER_EQUAL,
	NUMBER_NEAR,
	NUMBER_CLOSE,
	NUMBER_OTHER
};

static void
SetRunes(MatchValue *value, const char *text)
{
	Rune runes[128];
	int  n = DecodeText(text, runes, lengthof(runes));

	value->nrunes = n;
	value->runes = palloc(Max(n, 1) * sizeof(Rune));
	memcpy(value->runes, runes, n * sizeof(Rune));
}

static uint64
HashText(const char *text, int n, uint64 seed)
{
	return HashBytes64(text, n, seed);
}

bool
ReadPhone(MatchField *field, const char *text, MatchValue *value)
{
	char *number = LegiblePhone(text);
	int   n;

	if (number == NULL)
		return false;
	n = strlen(number);
	/* 144, 146 and 148 belong to machines */
	if (n == 11 && number[0] == '1' && number[1] == '4' && strchr("468", number[2]) != NULL)
		return false;
	value->kind = strchr(number, '*') != NULL;
	SetRunes(value, number);
	value->form[0] = InternForm(field, 0, HashText(number, n, 1));
	if (n >= 11)
	{
		const char *m = number + (number[0] == '+' ? n - 11 : 0);

		/* first three and last four: what a mask leaves */
		char ends[7];

		memcpy(ends, m, 3);
		memcpy(ends + 3, m + 7, 4);
		if (memchr(ends, '*', 7) == NULL)
			AddKey(value, 2, HashText(ends, 7, 3));
		if (!value->kind)
		{
			AddKey(value, 3, HashText(m, 7, 5));
			AddKey(value, 4, HashText(m + 3, 8, 7));
		}
	}
	if (!value->kind)
		AddKey(value, 1, HashText(number, n, 1));
	return true;
}

int
ComparePhone(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	if (a->kind || b->kind)
	{
		if (a->nrunes != b->nrunes)
			return PHONE_OTHER;
		for (int i = 0; i < a->nrunes; i++)
		{
			if (a->runes[i] != b->runes[i] && a->runes[i] != '*' && b->runes[i] != '*')
				return PHONE_OTHER;
		}
		return PHONE_MASKED;
	}
	if (SameRunes(a->runes, a->nrunes, b->runes, b->nrunes))
		return PHONE_EQUAL;
	return EditDistance(a->runes, a->nrunes, b->runes, b->nrunes, 1) <= 1 ? PHONE_NEAR
																		  : PHONE_OTHER;
}

bool
ReadEmail(MatchField *field, const char *text, MatchValue *value)
{
	char *email = NormalizeEmail(text);
	char *at;

	if (email == NULL)
	{
		/* something mistyped is still worth comparing */
		email = FoldText(text);
		at = strchr(email, '@');
		if (strlen(email) < 8 || strchr(email, '.') == NULL ||
			(at != NULL && strchr(at, '.') != NULL))
			return false;
		value->kind = 1;
		SetRunes(value, email);
		value->form[0] = InternForm(field, 0, HashText(email, strlen(email), 2));
		value->nletters = value->nrunes;
		AddKey(value, 3, HashText(email, 5, 5));
		return true;
	}
	SetRunes(value, email);
	value->form[0] = InternForm(field, 0, HashText(email, strlen(email), 1));
	AddKey(value, 1, HashText(email, strlen(email), 1));
	at = strchr(email, '@');
	value->nletters =
		DecodeText(pnstrdup(email, at - email), (Rune[128]){0}, 128); /* length of the local part */
	if (at - email >= 5)
	{
		AddKey(value, 2, HashText(email, at - email, 3));
		AddKey(value, 3, HashText(email, 5, 5));
	}
	return true;
}

int
CompareEmail(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	int na = Min(a->nletters, a->nrunes), nb = Min(b->nletters, b->nrunes);

	if (SameRunes(a->runes, a->nrunes, b->runes, b->nrunes))
		return EMAIL_EQUAL;
	if (a->kind || b->kind)
		return EditDistance(a->runes, a->nrunes, b->runes, b->nrunes, 2) <= 2 ? EMAIL_NEAR
																			  : EMAIL_OTHER;
	if (Min(na, nb) >= 5 &&
		EditDistance(a->runes, na, b->runes, nb, 2) <= (Min(na, nb) >= 12 ? 2 : 1))
		return EMAIL_NEAR;
	if (EditDistance(a->runes, na, b->runes, nb, 1) <= 1 &&
		EditDistance(a->runes + na, a->nrunes - na, b->runes + nb, b->nrunes - nb, 2) <= 2)
		return EMAIL_NEAR;
	return EMAIL_OTHER;
}

/* Up to three numbers of a date in the order they are written. */
static int
DateParts(const char *text, int *part, int *width)
{
	Rune runes[48];
	int  n = DecodeText(FoldText(text), runes, lengthof(runes));
	int  parts = 0;
	bool open = false;

	for (int i = 0; i < n; i++)
	{
		if (runes[i] >= '0' && runes[i] <= '9')
		{
			if (!open)
			{
				if (parts == 3)
					return parts;
				part[parts] = width[parts] = 0;
				parts++;
				open = true;
			}
			if (width[parts - 1] == 8)
				return 0;
			part[parts - 1] = part[parts - 1] * 10 + (int) (runes[i] - '0');
			width[parts - 1]++;
		}
		else
			open = false;
	}
	return parts;
}

/* The month that is named, or 0. */
static int
NamedMonth(const char *text)
{
	static const char *const names[] = {"jan", "feb", "mar", "apr", "may", "jun",
										"jul", "aug", "sep", "oct", "nov", "dec"};
	const char              *folded = FoldText(text);

	for (int i = 0; i < lengthof(names); i++)
	{
		if (strstr(folded, names[i]) != NULL)
			return i + 1;
	}
	return 0;
}

/* Year first, or last; a day above 12 tells it from the month. */
bool
ParseWrittenDate(const char *text, int *year, int *month, int *day)
{
	int part[3], width[3];
	int n = DateParts(text, part, width);

	if (n >= 1 && width[0] == 8)
	{
		*year = part[0] / 10000;
		*month = part[0] / 100 % 100;
		*day = part[0] % 100;
	}
	else if (n == 3 && width[0] == 4)
	{
		*year = part[0];
		*month = part[1];
		*day = part[2];
	}
	else if (n == 3 && width[2] == 4)
	{
		*year = part[2];
		*month = part[1];
		*day = part[0];
	}
	else if (n == 2 && NamedMonth(text) > 0 && Max(width[0], width[1]) == 4)
	{
		/* May 6 1990, 6 May 1990, 1990 May 6 */
		*year = width[0] == 4 ? part[0] : part[1];
		*month = NamedMonth(text);
		*day = width[0] == 4 ? part[1] : part[0];
	}
	else if (n == 3 && Max(width[0], width[2]) <= 2 && Max(part[0], part[2]) > 31)
	{
		/* two digits of a year that can be no day */
		*year = 1900 + (part[0] > 31 ? part[0] : part[2]);
		*month = part[1];
		*day = part[0] > 31 ? part[2] : part[0];
	}
	else if (n == 1 && width[0] == 4)
	{
		*year = part[0];
		*month = *day = 0;
	}
	else
		return false;
	if (*month > 12 && *day <= 12)
	{
		int swap = *month;

		*month = *day;
		*day = swap;
	}
	return *year >= 1800 && *year <= 2200 && *month <= 99 && *day <= 99;
}

bool
ReadDate(MatchField *field, const char *text, MatchValue *value)
{
	int  year, month, day;
	char digits[16];

	if (!ParseWrittenDate(text, &year, &month, &day))
		return false;
	/* what a form is given when nobody asks */
	if (month == 1 && day == 1 && year % 10 == 0)
		return false;
	value->year = year;
	value->month = month;
	value->day = day;
	snprintf(digits, sizeof(digits), "%04d%02d%02d", year, month, day);
	SetRunes(value, digits);
	value->form[0] = InternForm(field, 0, HashText(digits, 8, 1));
	AddKey(value, 1, HashText(digits, 8, 1));
	AddWeakKey(value, 2, year);
	AddWeakKey(value, 3, month * 100 + day);
	return true;
}

/* One side gave the lunar birthday, which comes 17 to 53 days before the solar one. */
static bool
IsLunar(const MatchValue *lunar, const MatchValue *solar)
{
	int gap = (solar->year - lunar->year) * 372 + (solar->month - lunar->month) * 31 + solar->day -
			  lunar->day;
	int year, month, day;

	return gap >= 15 && gap <= 60 &&
		   LunarDate(solar->year, solar->month, solar->day, &year, &month, &day) &&
		   year == lunar->year && month == lunar->month && day == lunar->day;
}

int
CompareDate(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	bool same_year = a->year == b->year, same_month = a->month == b->month,
		 same_day = a->day == b->day;
	int off = 0;

	if (same_year && same_month && same_day)
		return DATE_EQUAL;
	if (same_year && a->month == b->day && a->day == b->month)
		return DATE_NEAR;
	for (int i = 0; i < 8; i++)
		off += a->runes[i] != b->runes[i];
	if (off == 1 || (off == 2 && EditDistance(a->runes, 8, b->runes, 8, 1) <= 1))
		return DATE_NEAR;
	if (IsLunar(a, b) || IsLunar(b, a))
		return DATE_NEAR;
	if (same_month && same_day)
		return DATE_DAY;
	if (same_year && (same_month || same_day))
		return DATE_DAY;
	return same_year || off <= 2 ? DATE_YEAR : DATE_OTHER;
}

/* Letters and digits of a code; blanks and signs do not count. */
bool
ReadId(MatchField *field, const char *text, MatchValue *value)
{
	char  chinese[ID_NUMBER_LENGTH + 1];
	char *folded = LatinText(FoldText(NormalizeIdNumber(text, chinese) ? chinese : text));
	char *o = folded;
	int   n;

	for (char *c = folded; *c; c++)
	{
		if ((*c & 0x80) || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_')
			*o++ = *c;
	}
	*o = '\0';
	n = o - folded;
	if (n == 0 || strspn(folded, "0") == n)
		return false;
	SetRunes(value, folded);
	value->form[0] = InternForm(field, 0, HashText(folded, n, 1));
	AddKey(value, 1, HashText(folded, n, 1));
	if (n >= 6)
	{
		AddKey(value, 2, HashText(folded, n / 2, 3));
		AddKey(value, 3, HashText(folded + n / 2, n - n / 2, 5));
	}
	return true;
}

int
CompareId(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	if (SameRunes(a->runes, a->nrunes, b->runes, b->nrunes))
		return ID_EQUAL;
	if (Min(a->nrunes, b->nrunes) >= 4 &&
		EditDistance(a->runes, a->nrunes, b->runes, b->nrunes, 2) <=
			(Min(a->nrunes, b->nrunes) >= 7 ? 2 : 1))
		return ID_NEAR;
	return ID_OTHER;
}

bool
ReadNumeric(MatchField *field, const char *text, MatchValue *value)
{
	char *end;
	char *folded = FoldText(text);
	int64 rounded;

	value->number = strtod(folded, &end);
	if (end == folded || !isfinite(value->number) || fabs(value->number) > 1e15)
		return false;
	rounded = (int64) (value->number * 1000);
	value->form[0] = InternForm(field, 0, HashBytes64(&rounded, sizeof(rounded), 1));
	AddWeakKey(value, 1, HashBytes64(&rounded, sizeof(rounded), 1));
	return true;
}

int
CompareNumeric(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	double gap = fabs(a->number - b->number);
	double size = Max(fabs(a->number), fabs(b->number));

	if (gap == 0)
		return NUMBER_EQUAL;
	return gap <= size * 0.01 ? NUMBER_NEAR : gap <= size * 0.1 ? NUMBER_CLOSE : NUMBER_OTHER;
}

/* 1998 and 1999 are within a percent of each other, and yet two years. */
int
CompareYear(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	double gap = fabs(a->number - b->number);

	return gap == 0 ? NUMBER_EQUAL : gap <= 1 ? NUMBER_NEAR : gap <= 3 ? NUMBER_CLOSE : NUMBER_OTHER;
}

bool
ReadGender(MatchField *field, const char *text, MatchValue *value)
{
	static const char *const male[] = {"m", "male", "man", "1", "男", "男性", "先生", "mr"};
	static const char *const female[] = {"f",    "female", "woman", "2", "女",
										 "女性", "女士",   "mrs",   "ms"};
	char                    *folded = FoldText(text);

	for (int i = 0; i < lengthof(male); i++)
	{
		if (strcmp(folded, male[i]) == 0)
			value->gender = 'M';
	}
	for (int i = 0; i < lengthof(female); i++)
	{
		if (strcmp(folded, female[i]) == 0)
			value->gender = 'F';
	}
	if (value->gender == 0)
		return false;
	value->form[0] = InternForm(field, 0, value->gender);
	return true;
}

int
CompareGender(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	return a->gender == b->gender ? 0 : 1;
}
