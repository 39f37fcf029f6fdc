/*
 * icu.c: the way to ICU and back, and what of it is used whole.
 */
#include "crm_member.h"
#include "text/text.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include <unicode/unorm2.h>
#include <unicode/ustring.h>
#include <unicode/utrans.h>
#include <unicode/uchar.h>
#include <unicode/uversion.h>

static void
CheckIcu(UErrorCode status, const char *what)
{
	if (U_FAILURE(status))
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("ICU failed: %s: %s", what, u_errorName(status))));
}

static UChar *
ToUChar(const char *s, int32 *length)
{
	UErrorCode status = U_ZERO_ERROR;
	int32      bytes = (int32) strlen(s);
	UChar     *out = palloc((bytes + 1) * sizeof(UChar));

	u_strFromUTF8(out, bytes + 1, length, s, bytes, &status);
	CheckIcu(status, "reading UTF-8");
	return out;
}

static char *
FromUChar(const UChar *u, int32 length)
{
	UErrorCode status = U_ZERO_ERROR;
	char      *out = palloc((Size) length * 3 + 1);
	int32      written;

	u_strToUTF8(out, length * 3 + 1, &written, u, length, &status);
	CheckIcu(status, "writing UTF-8");
	out[written] = '\0';
	return out;
}

/* Plain ASCII needs no ICU: most of what a POS sends. */
static char *
FoldAscii(const char *s)
{
	char *out = palloc(strlen(s) + 1);
	char *o = out;

	for (; *s; s++)
	{
		if (*s & 0x80)
		{
			pfree(out);
			return NULL;
		}
		if (*s <= ' ' || *s == 0x7f)
		{
			if (o > out && o[-1] != ' ')
				*o++ = ' ';
		}
		else
			*o++ = pg_ascii_tolower((unsigned char) *s);
	}
	if (o > out && o[-1] == ' ')
		o--;
	*o = '\0';
	return out;
}

char *
FoldText(const char *s)
{
	UErrorCode          status = U_ZERO_ERROR;
	const UNormalizer2 *fold;
	UChar              *in, *out;
	int32               length, capacity, kept = 0;
	char               *result = FoldAscii(s);

	if (result != NULL)
		return result;

	fold = unorm2_getNFKCCasefoldInstance(&status);
	CheckIcu(status, "NFKC_Casefold");
	in = ToUChar(s, &length);
	capacity = length * 2 + 16;
	out = palloc(capacity * sizeof(UChar));
	length = unorm2_normalize(fold, in, length, out, capacity, &status);
	if (status == U_BUFFER_OVERFLOW_ERROR)
	{
		int32 needed = length;

		status = U_ZERO_ERROR;
		pfree(out);
		out = palloc(needed * sizeof(UChar));
		pfree(in);
		in = ToUChar(s, &length);
		length = unorm2_normalize(fold, in, length, out, needed, &status);
	}
	CheckIcu(status, "NFKC_Casefold");

	for (int32 i = 0; i < length; i++)
	{
		if (u_isUWhiteSpace(out[i]) || u_iscntrl(out[i]))
		{
			if (kept > 0 && out[kept - 1] != ' ')
				out[kept++] = ' ';
		}
		else
			out[kept++] = out[i];
	}
	if (kept > 0 && out[kept - 1] == ' ')
		kept--;

	result = FromUChar(out, kept);
	pfree(in);
	pfree(out);
	return result;
}

char *
LatinText(const char *folded)
{
	static UTransliterator *latin = NULL;
	UErrorCode              status = U_ZERO_ERROR;
	UChar                  *in, *buffer;
	int32                   length, limit, capacity;
	const char             *s = folded;
	char                   *result;

	while (*s && !(*s & 0x80))
		s++;
	if (*s == '\0')
		return pstrdup(folded);

	if (latin == NULL)
	{
		UChar id[] = u"Latin-ASCII";

		latin = utrans_openU(id, -1, UTRANS_FORWARD, NULL, 0, NULL, &status);
		CheckIcu(status, "Latin-ASCII");
	}
	in = ToUChar(folded, &length);
	capacity = length * 4 + 16;
	buffer = palloc(capacity * sizeof(UChar));
	memcpy(buffer, in, length * sizeof(UChar));
	limit = length;
	utrans_transUChars(latin, buffer, &length, capacity, 0, &limit, &status);
	CheckIcu(status, "Latin-ASCII");
	result = FromUChar(buffer, length);
	pfree(in);
	pfree(buffer);
	return result;
}

int
DecodeText(const char *s, Rune *runes, int limit)
{
	int n = 0;

	while (*s && n < limit)
	{
		runes[n++] = utf8_to_unicode((const unsigned char *) s);
		s += pg_utf_mblen((const unsigned char *) s);
	}
	return n;
}

int
EncodeRune(Rune rune, char *out)
{
	unicode_to_utf8(rune, (unsigned char *) out);
	return pg_utf_mblen((unsigned char *) out);
}

const char *
NormalizerVersion(void)
{
	static char version[32] = "";

	if (version[0] == '\0')
	{
		UVersionInfo icu;
		char         text[U_MAX_VERSION_STRING_LENGTH];

		u_getVersion(icu);
		u_versionToString(icu, text);
		snprintf(version, sizeof(version), "%d/ICU %s", TEXT_VERSION, text);
	}
	return version;
}

PG_FUNCTION_INFO_V1(crm_normalizer_version);
Datum
crm_normalizer_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(NormalizerVersion()));
}

typedef char *(*Normalizer)(const char *s);

static Datum
Normalize(FunctionCallInfo fcinfo, Normalizer normalizer)
{
	char *result = normalizer(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

PG_FUNCTION_INFO_V1(crm_normalize_name);
Datum
crm_normalize_name(PG_FUNCTION_ARGS)
{
	return Normalize(fcinfo, NormalizeName);
}

PG_FUNCTION_INFO_V1(crm_normalize_phone);
Datum
crm_normalize_phone(PG_FUNCTION_ARGS)
{
	return Normalize(fcinfo, NormalizePhone);
}

PG_FUNCTION_INFO_V1(crm_normalize_email);
Datum
crm_normalize_email(PG_FUNCTION_ARGS)
{
	return Normalize(fcinfo, NormalizeEmail);
}
