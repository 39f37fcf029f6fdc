/*
 * text.h: what people write, brought to a form that can be compared.
 *
 * Everything here takes and gives UTF-8 in the current memory context.  Keys
 * made with it depend on TEXT_VERSION and on the ICU that is linked; whoever
 * stores keys stores NormalizerVersion() beside them.
 */
#ifndef CRM_TEXT_H
#define CRM_TEXT_H

#include "postgres.h"

#define TEXT_VERSION 4

typedef uint32 Rune; /* a code point */

/* icu.c */
extern char       *FoldText(const char *s); /* NFKC_Casefold, blanks to single spaces, trimmed */
extern char       *LatinText(const char *folded); /* accents and ligatures to plain letters */
extern int         DecodeText(const char *s, Rune *runes, int limit); /* at most limit runes */
extern int         EncodeRune(Rune rune, char *out);                  /* 1 to 4 bytes */
extern const char *NormalizerVersion(void);

/* han.c */
extern bool        IsHan(Rune rune);
extern Rune        Simplified(Rune rune);
extern int         HanNumbers(Rune *runes, int n, int size, bool (*counts)(Rune));
extern int         HanDigit(Rune rune);                 /* 0 to 9, or -1 */
extern const char *HanReading(Rune rune, bool surname); /* tone-free syllable, "" where unknown */
extern const char *OtherReading(Rune rune);             /* a second reading in use, or NULL */
extern bool        IsPinyin(const char *letters);
extern int         SurnameLength(const Rune *name, int n); /* 2 compound, 1 single, 0 none */
extern bool        SameSurnameVariant(Rune a, Rune b);
extern bool        LookAlike(Rune a, Rune b);
extern bool        IsRomanSurname(const char *word, const char *pinyin);

/* phone.c, email.c: NULL where nothing usable is left */
extern char *NormalizePhone(const char *s);
extern char *NormalizeEmail(const char *s);

/* id_number.c */
#define ID_NUMBER_LENGTH 18

extern bool NormalizeIdNumber(const char *s, char number[ID_NUMBER_LENGTH + 1]);

/* lunar.c */
extern bool LunarDate(int year, int month, int day, int *lunar_year, int *lunar_month,
					  int *lunar_day);

/* A phone number as far as it is legible: '*' stands for a hidden digit. */
extern char *LegiblePhone(const char *s);

/* name.c */
typedef enum NameKind
{
	NAME_NONE,    /* nothing legible */
	NAME_HAN,     /* family and given name, or a foreign name in Han */
	NAME_SURNAME, /* only a family name is known: an honorific took the rest */
	NAME_MASKED,  /* some characters are hidden */
	NAME_LATIN,   /* words in Latin letters */
	NAME_ALIAS    /* a nickname, a user name, anything else */
} NameKind;

#define NAME_MAX_RUNES 24
#define NAME_MAX_WORDS 6

typedef struct PersonName
{
	NameKind kind;
	int      nrunes;                /* simplified and folded; no blanks in Han */
	Rune     runes[NAME_MAX_RUNES]; /* '*' is a hidden character */
	int      nsurname;              /* of which family name; 0: not known */
	int      nwords;                /* Latin: where each word starts in runes */
	int      word[NAME_MAX_WORDS];
	char     gender; /* M or F where an honorific tells, else 0 */
} PersonName;

extern void  ParseName(const char *s, PersonName *name);
extern char *NormalizeName(const char *s);

#endif
