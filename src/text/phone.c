/*
 * phone.c: telephone numbers.
 *
 * A mainland mobile becomes its 11 digits, a relay number keeps its extension
 * (13800001111-2345), a mainland landline keeps its leading 0, a number of
 * another country becomes + and digits.  No table of ICU is used, so the result
 * of a given text never changes with a library.
 */
#include "crm_member.h"
#include "text/text.h"

#include "lib/stringinfo.h"

#define PHONE_MAX 24
#define EXTENSION_MAX 6

/* Digits as people type them: ASCII, full width, Han. */
static int
DigitOf(Rune rune)
{
	if (rune >= '0' && rune <= '9')
		return rune - '0';
	if (rune >= 0xFF10 && rune <= 0xFF19)
		return rune - 0xFF10;
	return HanDigit(rune);
}

static bool
IsHidden(Rune rune)
{
	return rune == '*' || rune == 0xFF0A || rune == 'x' || rune == 'X' || rune == 0x2022 ||
		   rune == 0x25CF;
}

/* Numbers typed to get past a form: one digit repeated, the well-known samples. */
static bool
IsPlaceholder(const char *s, int n)
{
	int run = 1;

	for (int i = n - 1; i > 0 && s[i] == s[i - 1]; i--)
		run++;
	return run >= 8 || run == n || strcmp(s, "13800138000") == 0 || strcmp(s, "12345678901") == 0 ||
		   strcmp(s, "12345678910") == 0;
}

/*
 * How many digits of +86, 0086, 86 or a stray 0 stand before a mainland mobile;
 * -1 where there is no whole mobile behind them, or more than one.
 */
static int
MobileStart(const char *digits, int n, bool plus)
{
	static const char *const prefixes[] = {"00860", "0086", "860", "86", "0", ""};

	for (int i = 0; i < lengthof(prefixes); i++)
	{
		int skip = strlen(prefixes[i]);

		if (plus && strncmp(prefixes[i], "86", 2) != 0)
			continue;
		if (n - skip == 11 && strncmp(digits, prefixes[i], skip) == 0 && digits[skip] == '1' &&
			(digits[skip + 1] >= '3' || digits[skip + 1] == '*'))
			return skip;
	}
	return -1;
}

/*
 * The signs of a number: digits, '*' where hidden; plus tells a leading +,
 * extension what follows a hyphen after a whole mobile.  Letters o and l are
 * read as 0 and 1 when nothing but such letters is in the way.
 */
static int
ReadNumber(const char *s, char *digits, bool *plus, char *extension, bool *hidden)
{
	Rune runes[64];
	int  nrunes = DecodeText(s, runes, lengthof(runes));
	int  n = 0, next = 0;
	bool in_extension = false;

	*plus = *hidden = false;
	extension[0] = '\0';
	if (pg_strncasecmp(s, "tel", 3) == 0)
		nrunes = DecodeText(s + 3, runes, lengthof(runes));
	for (int i = 0; i < nrunes; i++)
	{
		Rune rune = runes[i];
		int  digit = DigitOf(rune);
		char sign;

		if (rune == '+' || rune == 0xFF0B)
		{
			if (n == 0)
				*plus = true;
			continue;
		}
		if (digit >= 0)
			sign = '0' + digit;
		else if (IsHidden(rune))
			sign = '*';
		else if (rune == 'o' || rune == 'O' || rune == 0xFF2F || rune == 0xFF4F)
			sign = '0';
		else if (rune == 'l' || rune == 'I' || rune == 'i' || rune == '|' || rune == 0xFF4C)
			sign = '1';
		else if (rune == '/' || rune == ';' || rune == 0x3001 || rune == 0xFF0F)
		{
			/* a second number is left to whoever wants two columns */
			if (n >= 11)
				break;
			continue;
		}
		else if (rune == '-' || rune == 0xFF0D || rune == '#' || rune == 0x8F6C || rune == ',')
		{
			/* 转, a hyphen or a hash after a whole mobile: an extension follows */
			if (MobileStart(digits, n, *plus) >= 0)
				in_extension = true;
			continue;
		}
		else if ((rune >= 'a' && rune <= 'z') || (rune >= 'A' && rune <= 'Z') || rune == '@')
			return 0; /* not a number at all */
		else
			continue;
		if (in_extension)
		{
			if (next == EXTENSION_MAX)
			{
				next = 0; /* that was a second number */
				break;
			}
			extension[next++] = sign;
		}
		else if (n < PHONE_MAX)
			digits[n++] = sign;
		else
			return 0;
		if (sign == '*')
			*hidden = true;
	}
	digits[n] = extension[next] = '\0';
	return n;
}

/* Drop what says that a number is at home. */
static char *
StripCountry(char *digits, int *n, bool *foreign, bool plus)
{
	int skip = MobileStart(digits, *n, plus);

	*foreign = false;
	if (skip >= 0)
	{
		*n = 11;
		return digits + skip;
	}
	if (!plus && strncmp(digits, "00", 2) == 0 && *n > 9)
	{
		*n -= 2;
		digits += 2;
		plus = true;
	}
	if (plus && strncmp(digits, "86", 2) == 0 && *n > 9)
	{
		/* a landline: +86 10 1234 5678, or +86 010 1234 5678, is 010 12345678 at home */
		skip = 2 + strspn(digits + 2, "0") - 1;
		*n -= skip;
		digits += skip;
		digits[0] = '0';
		skip = Max(MobileStart(digits, *n, false), 0);
		*n -= skip;
		return digits + skip;
	}
	*foreign = plus;
	return digits;
}

static char *
ReadPhone(const char *s, bool accept_hidden)
{
	char  buffer[PHONE_MAX + 1], extension[9];
	bool  plus, hidden, foreign;
	int   n = ReadNumber(s, buffer, &plus, extension, &hidden);
	char *digits;

	if (n < 5 || (hidden && !accept_hidden))
		return NULL;
	digits = StripCountry(buffer, &n, &foreign, plus);
	if (n < 5 || n > 15 || (!hidden && IsPlaceholder(digits, n)))
		return NULL;
	return psprintf("%s%s%s%s", foreign ? "+" : "", digits, extension[0] != '\0' ? "-" : "",
					extension);
}

char *
NormalizePhone(const char *s)
{
	return ReadPhone(s, false);
}

char *
LegiblePhone(const char *s)
{
	return ReadPhone(s, true);
}
