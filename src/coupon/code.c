/*
 * code.c: type coupon_code.
 *
 *	 49                                    0
 *	+---------------------------------------+
 *	| ten symbols of five bits              |   written with two check symbols more
 *	+---------------------------------------+
 *
 * The check symbols make a Reed-Solomon code over GF(32) with distance three:
 * one or two wrong symbols, and so any two that changed places, are always
 * noticed; of other texts one in 1,024 passes.
 */
#include "crm_member.h"
#include "coupon/code.h"

#include "common/hashfn.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#define SYMBOLS		   12
#define MAX_SHOWN	   40		/* bytes of what was presented, in messages */
#define PAYLOAD		   10
#define SYMBOL_BITS	   5
#define GROUP		   4
#define FIELD_POLYNOMIAL 0x25	/* x^5 + x^2 + 1 */

/* Crockford's base 32: no I, L, O, U */
static const char symbol_text[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static int
SymbolValue(char c)
{
	const char *place;

	c = pg_ascii_toupper((unsigned char) c);
	if (c == 'O')
		c = '0';
	else if (c == 'I' || c == 'L')
		c = '1';
	place = c == '\0' ? NULL : strchr(symbol_text, c);
	return place == NULL ? -1 : place - symbol_text;
}

static int
Multiply32(int a, int b)
{
	int			product = 0;

	for (; b != 0; b >>= 1)
	{
		if (b & 1)
			product ^= a;
		a <<= 1;
		if (a & 32)
			a ^= FIELD_POLYNOMIAL;
	}
	return product;
}

/*
 * Remainder of the payload by (x + 2)(x + 4) = x^2 + 6x + 8; what it starts
 * with keeps a row of equal symbols from being a code.
 */
static int
CheckSymbols(int64 code)
{
	int			high = 11;
	int			low = 22;

	for (int i = PAYLOAD - 1; i >= 0; i--)
	{
		int			feedback = high ^ (int) (code >> (i * SYMBOL_BITS) & 31);

		high = low ^ Multiply32(feedback, 6);
		low = Multiply32(feedback, 8);
	}
	return high << SYMBOL_BITS | low;
}

CodeForm
ReadCode(const char *text, int64 *code)
{
	int64		bits = 0;
	int			n = 0;

	for (const char *c = text; *c != '\0'; c++)
	{
		int			value;

		if (*c == '-' || *c == ' ')
			continue;
		value = SymbolValue(*c);
		if (value < 0 || n == SYMBOLS)
			return CODE_OTHER;
		bits = bits << SYMBOL_BITS | value;
		n++;
	}
	if (n != SYMBOLS)
		return CODE_OTHER;
	*code = bits >> (2 * SYMBOL_BITS);
	return CheckSymbols(*code) == (bits & 1023) ? CODE_NATIVE : CODE_MISTYPED;
}

void
WriteCode(int64 code, char *text)
{
	int64		bits = code << (2 * SYMBOL_BITS) | CheckSymbols(code);

	for (int i = SYMBOLS - 1; i >= 0; i--)
	{
		if (i < SYMBOLS - 1 && (SYMBOLS - 1 - i) % GROUP == 0)
			*text++ = '-';
		*text++ = symbol_text[bits >> (i * SYMBOL_BITS) & 31];
	}
	*text = '\0';
}

Datum
CodeText(int64 code)
{
	char		text[CODE_TEXT_SIZE];

	WriteCode(code, text);
	return CStringGetTextDatum(text);
}

char *
ShownCode(const char *text)
{
	return pnstrdup(text, pg_mbcliplen(text, strlen(text), MAX_SHOWN));
}

void
RefuseCode(const char *text, CodeForm form)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					errmsg("invalid coupon code \"%s\"", ShownCode(text)),
					form == CODE_MISTYPED
					? errdetail("Its check symbols do not fit: a symbol was mistyped.")
					: errdetail("A code has 12 symbols: digits and letters without I, L, O and U."),
					errhint("Type it again from what was printed; case, hyphens and spaces do not "
							"matter.")));
}

PG_FUNCTION_INFO_V1(crm_coupon_code_in);
Datum
crm_coupon_code_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);
	int64		code;
	CodeForm	form = ReadCode(text, &code);

	if (form != CODE_NATIVE)
		RefuseCode(text, form);
	PG_RETURN_INT64(code);
}

PG_FUNCTION_INFO_V1(crm_coupon_code_out);
Datum
crm_coupon_code_out(PG_FUNCTION_ARGS)
{
	char	   *text = palloc(CODE_TEXT_SIZE);

	WriteCode(PG_GETARG_INT64(0), text);
	PG_RETURN_CSTRING(text);
}

PG_FUNCTION_INFO_V1(crm_coupon_code_recv);
Datum
crm_coupon_code_recv(PG_FUNCTION_ARGS)
{
	int64		code = pq_getmsgint64((StringInfo) PG_GETARG_POINTER(0));

	if (code < 0 || code >> CODE_BITS != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("invalid coupon code"),
						errdetail("As a number it must be from 0 to 2^%d - 1.", CODE_BITS)));
	PG_RETURN_INT64(code);
}

PG_FUNCTION_INFO_V1(crm_coupon_code_send);
Datum
crm_coupon_code_send(PG_FUNCTION_ARGS)
{
	StringInfoData buffer;

	pq_begintypsend(&buffer);
	pq_sendint64(&buffer, PG_GETARG_INT64(0));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
}

PG_FUNCTION_INFO_V1(crm_coupon_code_cmp);
Datum
crm_coupon_code_cmp(PG_FUNCTION_ARGS)
{
	int64		a = PG_GETARG_INT64(0);
	int64		b = PG_GETARG_INT64(1);

	PG_RETURN_INT32((a > b) - (a < b));
}

#define CODE_COMPARISON(name, op) \
	PG_FUNCTION_INFO_V1(crm_coupon_code_##name); \
	Datum \
	crm_coupon_code_##name(PG_FUNCTION_ARGS) \
	{ \
		PG_RETURN_BOOL(PG_GETARG_INT64(0) op PG_GETARG_INT64(1)); \
	}

CODE_COMPARISON(lt, <)
CODE_COMPARISON(le, <=)
CODE_COMPARISON(eq, ==)
CODE_COMPARISON(ne, !=)
CODE_COMPARISON(ge, >=)
CODE_COMPARISON(gt, >)

PG_FUNCTION_INFO_V1(crm_coupon_code_hash);
Datum
crm_coupon_code_hash(PG_FUNCTION_ARGS)
{
	int64		code = PG_GETARG_INT64(0);

	PG_RETURN_UINT32(hash_bytes((unsigned char *) &code, sizeof(code)));
}

PG_FUNCTION_INFO_V1(crm_coupon_code_hash_extended);
Datum
crm_coupon_code_hash_extended(PG_FUNCTION_ARGS)
{
	int64		code = PG_GETARG_INT64(0);

	PG_RETURN_UINT64(hash_bytes_extended((unsigned char *) &code, sizeof(code),
										 PG_GETARG_INT64(1)));
}

PG_FUNCTION_INFO_V1(crm_coupon_code_from_number);
Datum
crm_coupon_code_from_number(PG_FUNCTION_ARGS)
{
	int64		code = PG_GETARG_INT64(0);

	if (code < 0 || code >> CODE_BITS != 0)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("coupon code out of range"),
						errdetail("As a number it must be from 0 to 2^%d - 1.", CODE_BITS)));
	PG_RETURN_INT64(code);
}
