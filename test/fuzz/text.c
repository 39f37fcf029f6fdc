/*
 * text.c: what people write.  Any text in UTF-8 is taken, and a normal form is
 * its own normal form.
 */
#include "fuzz.h"
#include "text/text.h"

#include "mb/pg_wchar.h"

static void
TryForm(char *(*normalize) (const char *), const char *text, const char *what)
{
	char	   *once = normalize(text);
	char	   *twice;

	if (once == NULL)
		return;
	FuzzCheck(pg_verify_mbstr(PG_UTF8, once, strlen(once), true), what);
	twice = normalize(once);
	FuzzCheck(twice != NULL && strcmp(once, twice) == 0, what);
}

static void
TryText(const char *text, Size length)
{
	PersonName	name;

	if (strlen(text) != length || !pg_verify_mbstr(PG_UTF8, text, length, true))
		return;
	TryForm(FoldText, text, "folding twice is another text");
	TryForm(NormalizePhone, text, "the number of a number is another");
	TryForm(NormalizeEmail, text, "the address of an address is another");
	NormalizeName(text);
	LegiblePhone(text);
	LatinText(FoldText(text));
	ParseName(text, &name);
	FuzzCheck(name.nrunes >= 0 && name.nrunes <= NAME_MAX_RUNES && name.nsurname <= name.nrunes &&
			  name.nwords <= NAME_MAX_WORDS, "a name out of bounds");
}

const FuzzTarget text_target = {"text", NULL, TryText, {0}};
