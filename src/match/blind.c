/*
 * blind.c: matching without the values.
 *
 * A blinded value is the keyed hash of the normalised text and a Bloom filter of
 * its pairs of signs, each set by a keyed hash (Schnell, Bachteler & Reiher,
 * "Privacy-preserving record linkage using Bloom filters", 2009).  Whoever has no
 * secret cannot try texts; equal and similar texts still show as such.  It may be
 * kept where the text itself must not, and after it was erased.
 */
#include "match/match.h"

#include "common/hmac.h"
#include "common/sha2.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define FILTER_BITS 512
#define FILTER_WORDS (FILTER_BITS / 32)
#define BITS_A_GRAM 8
#define HASH_DIGITS 16
#define BLIND_LENGTH (HASH_DIGITS + FILTER_BITS / 4)
#define MAX_SIGNS 160
#define TABLES 4         /* of keys by which similar filters meet */
#define MINIMA 4         /* least hashes that make a key */
#define ALIKE_DICE 0.62
#define NEAR_DICE 0.78

enum
{
	BLIND_EQUAL,
	BLIND_NEAR,
	BLIND_ALIKE,
	BLIND_OTHER
};

typedef struct Digest
{
	uint64 word[PG_SHA256_DIGEST_LENGTH / sizeof(uint64)];
} Digest;

static void
KeyedHash(pg_hmac_ctx *context, const char *secret, const void *label, int nlabel,
		  const void *data, int ndata, Digest *digest)
{
	if (pg_hmac_init(context, (const uint8 *) secret, strlen(secret)) < 0 ||
		pg_hmac_update(context, label, nlabel) < 0 || pg_hmac_update(context, data, ndata) < 0 ||
		pg_hmac_final(context, (uint8 *) digest, sizeof(*digest)) < 0)
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("could not compute a keyed hash: %s", pg_hmac_error(context))));
}

/* Where values are digits, it matters which of them stands where. */
static bool
IsPlaced(const char *comparator)
{
	return strcmp(comparator, "phone") == 0 || strcmp(comparator, "date") == 0 ||
		   strcmp(comparator, "id") == 0 || strcmp(comparator, "number") == 0 ||
		   strcmp(comparator, "year") == 0;
}

static void
AddGram(pg_hmac_ctx *context, const char *secret, const char *comparator, uint32 *filter,
		Rune first, Rune second, int place)
{
	uint32 gram[3] = {first, second, place};
	Digest digest;

	KeyedHash(context, secret, comparator, strlen(comparator) + 1, gram, sizeof(gram), &digest);
	for (int k = 0; k < BITS_A_GRAM; k++)
	{
		uint32 bit = (uint32) (digest.word[0] + k * (digest.word[1] | 1)) % FILTER_BITS;

		filter[bit / 32] |= 1u << (bit % 32);
	}
}

/* blind_value(comparator text, value text, secret text) */
PG_FUNCTION_INFO_V1(crm_blind_value);
Datum
crm_blind_value(PG_FUNCTION_ARGS)
{
	char         *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char         *secret = text_to_cstring(PG_GETARG_TEXT_PP(2));
	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "crm_member match text", ALLOCSET_SMALL_SIZES);
	MatchField field = {
		.column = "value", .comparator = FindComparator(name), .context = CurrentMemoryContext};
	uint32            filter[FILTER_WORDS] = {0};
	const MatchValue *value;
	uint32            id;
	Rune              signs[MAX_SIGNS];
	int               n;
	Digest            digest;
	pg_hmac_ctx      *context;
	StringInfoData    out;

	if (field.comparator == NULL || field.comparator->compare == CompareBlind)
		ReportComparator(name, NULL);
	if (strlen(secret) < 16)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the secret is too short"),
						errdetail("It has at least 16 bytes.")));
	id = ReadValue(&field, text_to_cstring(PG_GETARG_TEXT_PP(1)), scratch);
	if (id == 0)
		PG_RETURN_NULL();
	value = field.values[id];
	n = Min(value->nrunes, MAX_SIGNS);
	memcpy(signs, value->runes, n * sizeof(Rune));
	/* an address is its words and its numbers; a quantity and a sex have no signs */
	for (int i = 0; i < value->nnumbers && n < MAX_SIGNS; i++)
		signs[n++] = 0x40000000u | value->words->numbers[i];
	if (value->gender != 0 && n == 0)
		signs[n++] = value->gender;
	else if (n == 0)
		n = DecodeText(psprintf("%.15g", value->number), signs, MAX_SIGNS);

	context = pg_hmac_create(PG_SHA256);
	if (context == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	PG_TRY();
	{
		bool placed = IsPlaced(name);

		KeyedHash(context, secret, name, strlen(name) + 1, signs, n * sizeof(Rune), &digest);
		for (int i = 0; i <= n; i++)
		{
			Rune before = i == 0 ? 0 : signs[i - 1], after = i == n ? 0 : signs[i];

			AddGram(context, secret, name, filter, before, after, -1);
			if (placed && i < n)
				AddGram(context, secret, name, filter, after, 0, i);
		}
	}
	PG_FINALLY();
	{
		pg_hmac_free(context);
	}
	PG_END_TRY();

	initStringInfo(&out);
	appendStringInfo(&out, "%016llx", (unsigned long long) digest.word[0]);
	for (int i = 0; i < FILTER_WORDS; i++)
		appendStringInfo(&out, "%08x", filter[i]);
	MemoryContextDelete(scratch);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

static bool
ReadHex(const char *s, int n, uint64 *number)
{
	*number = 0;
	for (int i = 0; i < n; i++)
	{
		int digit = s[i] >= '0' && s[i] <= '9'	 ? s[i] - '0'
					: s[i] >= 'a' && s[i] <= 'f' ? s[i] - 'a' + 10
												 : -1;

		if (digit < 0)
			return false;
		*number = *number << 4 | digit;
	}
	return true;
}

bool
ReadBlind(MatchField *field, const char *text, MatchValue *value)
{
	uint64 exact, word;

	if (strlen(text) != BLIND_LENGTH || !ReadHex(text, HASH_DIGITS, &exact))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
						errmsg("column \"%s\" holds a text that is no blinded value", field->column),
						errhint("Make them with crm_member.blind_value().")));
	value->nrunes = FILTER_WORDS;
	value->runes = palloc(FILTER_WORDS * sizeof(Rune));
	for (int i = 0; i < FILTER_WORDS; i++)
	{
		if (!ReadHex(text + HASH_DIGITS + i * 8, 8, &word))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("column \"%s\" holds a text that is no blinded value", field->column),
					 errhint("Make them with crm_member.blind_value().")));
		value->runes[i] = (Rune) word;
		value->nletters += pg_popcount32((uint32) word);
	}
	value->form[0] = InternForm(field, 0, exact);
	AddKey(value, 1, exact);
	/* the least of hashed bits is the same in two filters as often as they are alike (MinHash) */
	for (int t = 0; t < TABLES; t++)
	{
		uint64 key = t;

		for (int k = 0; k < MINIMA; k++)
		{
			uint64 least = PG_UINT64_MAX;

			for (uint32 bit = 0; bit < FILTER_BITS; bit++)
			{
				if (value->runes[bit / 32] & (1u << (bit % 32)))
					least = Min(least, MixHash(bit + 1, (t * MINIMA + k + 1) *
															UINT64CONST(0x9E3779B97F4A7C15)));
			}
			key = MixHash(key, least);
		}
		AddKey(value, 2, key);
	}
	return true;
}

int
CompareBlind(const MatchField *field, const MatchValue *a, const MatchValue *b)
{
	int    common = 0;
	double dice;

	if (a->form[0] == b->form[0])
		return BLIND_EQUAL;
	for (int i = 0; i < FILTER_WORDS; i++)
		common += pg_popcount32(a->runes[i] & b->runes[i]);
	dice = 2.0 * common / Max(a->nletters + b->nletters, 1);
	return dice >= NEAR_DICE ? BLIND_NEAR : dice >= ALIKE_DICE ? BLIND_ALIKE : BLIND_OTHER;
}
