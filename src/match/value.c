/*
 * value.c: the comparators, and reading each distinct text once.
 */
#include "match/match.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#define MAX_KEYS 96

/*
 * m and u are where estimation starts: how often two records of one entity, and
 * of two, agree so.  The fourth of a level is the form whose frequency counts.
 */
static const Comparator comparators[] = {
	{
		.name = "name",
		.nlevels = 8,
		.levels =
			{
				{"equal", 0.62, 0.0003, 0},
				{"same_reading", 0.10, 6e-05, 1},
				{"one_sign_off", 0.06, 0.00015, -1},
				{"compatible", 0.14, 0.008, 2},
				{"hint", 0.03, 0.0004, -1},
				{"sibling", 0.01, 0.0003, 2},
				{"family_name", 0.01, 0.04, 2},
				{"different", 0.03, 0.951, -1},
			},
		.read = ReadPersonName,
		.compare = ComparePersonName,
		.contrary = 5,
		.frequency = 1,
		.role = ROLE_KIN,
		.related = {0.005, 0.005, 0.01, 0.05, 0.02, 0.12, 0.35, 0.44},
	},
	{
		.name = "nickname",
		.nlevels = 4,
		.levels =
			{
				{"equal", 0.5, 0.0015, 0},
				{"spells_name", 0.2, 0.0001, -1},
				{"hint", 0.1, 0.008, -1},
				{"different", 0.2, 0.9904, -1},
			},
		.read = ReadNickname,
		.compare = CompareNickname,
		.least = 0.7,
		.contrary = MATCH_NEVER,
		.frequency = 1,
	},
	{
		.name = "given_name",
		.nlevels = 4,
		.levels =
			{
				{"equal", 0.75, 0.004, 0},
				{"sound_or_typo", 0.15, 0.003, -1},
				{"alike", 0.04, 0.004, -1},
				{"different", 0.06, 0.989, -1},
			},
		.read = ReadWordName,
		.compare = CompareWordName,
		.contrary = 3,
		.frequency = 1,
		.role = ROLE_KIN,
		.related = {0.01, 0.02, 0.05, 0.92},
	},
	{
		.name = "surname",
		.nlevels = 4,
		.levels =
			{
				{"equal", 0.75, 0.005, 0},
				{"sound_or_typo", 0.15, 0.003, -1},
				{"alike", 0.04, 0.004, -1},
				{"different", 0.06, 0.988, -1},
			},
		.read = ReadWordName,
		.compare = CompareWordName,
		.contrary = 3,
		.frequency = 1,
		.role = ROLE_KIN,
		.related = {0.6, 0.05, 0.02, 0.33},
	},
	{
		.name = "phone",
		.nlevels = 4,
		.levels =
			{
				{"equal", 0.7, 1e-06, 0},
				{"masked", 0.05, 1e-05, -1},
				{"one_digit_off", 0.05, 2e-06, -1},
				{"different", 0.2, 0.999987, -1},
			},
		.read = ReadPhone,
		.compare = ComparePhone,
		.over_time = "phone_over_time",
		.contrary = MATCH_NEVER,
		.frequency = 1,
		.role = ROLE_SHARED,
	},
	{
		.name = "phone_over_time",
		.over_time = "phone_over_time",
		.nlevels = 6,
		.levels =
			{
				{"equal", 0.35, 4e-07, 0},
				{"equal_after_idle", 0.3, 4e-07, 0},
				{"equal_long_after", 0.05, 4e-07, 0},
				{"masked", 0.05, 1e-05, -1},
				{"one_digit_off", 0.05, 2e-06, -1},
				{"different", 0.2, 0.9999868, -1},
			},
		.read = ReadPhone,
		.compare = ComparePhoneOverTime,
		.contrary = MATCH_NEVER,
		.frequency = 1,
		.role = ROLE_SHARED,
	},
	{
		.name = "email",
		.nlevels = 3,
		.levels =
			{
				{"equal", 0.7, 1e-06, 0},
				{"near", 0.1, 2e-06, -1},
				{"different", 0.2, 0.999997, -1},
			},
		.read = ReadEmail,
		.compare = CompareEmail,
		.contrary = MATCH_NEVER,
		.frequency = 1,
	},
	{
		.name = "date",
		.nlevels = 5,
		.levels =
			{
				{"equal", 0.85, 6e-05, 0},
				{"one_digit_off", 0.06, 0.001, -1},
				{"same_day_or_year_month", 0.03, 0.003, -1},
				{"two_digits_off", 0.02, 0.02, -1},
				{"different", 0.04, 0.97594, -1},
			},
		.read = ReadDate,
		.compare = CompareDate,
		.contrary = 4,
		.frequency = 1,
	},
	{
		.name = "address",
		.nlevels = 4,
		.levels =
			{
				{"equal", 0.6, 1e-05, 0},
				{"near", 0.15, 0.0002, -1},
				{"same_street", 0.1, 0.005, -1},
				{"different", 0.15, 0.99479, -1},
			},
		.read = ReadAddress,
		.compare = CompareAddress,
		.contrary = MATCH_NEVER,
		.frequency = 1,
		.role = ROLE_SHARED,
	},
	{
		.name = "place",
		.nlevels = 3,
		.levels =
			{
				{"equal", 0.85, 0.08, 0},
				{"alike", 0.05, 0.01, -1},
				{"different", 0.1, 0.91, -1},
			},
		.read = ReadCategory,
		.compare = CompareCategory,
		.contrary = MATCH_NEVER,
		.frequency = 0.5,
		.paired = true,
		.role = ROLE_SHARED,
	},
	{
		.name = "category",
		.nlevels = 3,
		.levels =
			{
				{"equal", 0.7, 0.08, 0},
				{"alike", 0.1, 0.02, -1},
				{"different", 0.2, 0.9, -1},
			},
		.read = ReadCategory,
		.compare = CompareCategory,
		.contrary = MATCH_NEVER,
		.frequency = 0.5,
		.paired = true,
	},
	{
		.name = "id",
		.nlevels = 3,
		.levels =
			{
				{"equal", 0.85, 1e-06, 0},
				{"near", 0.1, 1e-06, -1},
				{"different", 0.05, 0.999998, -1},
			},
		.read = ReadId,
		.compare = CompareId,
		.over_time = "id_over_time",
		.contrary = MATCH_NEVER,
		.frequency = 1,
	},
	{
		.name = "id_over_time",
		.over_time = "id_over_time",
		.nlevels = 5,
		.levels =
			{
				{"equal", 0.45, 4e-07, 0},
				{"equal_after_idle", 0.33, 4e-07, 0},
				{"equal_long_after", 0.07, 4e-07, 0},
				{"near", 0.1, 1e-06, -1},
				{"different", 0.05, 0.9999978, -1},
			},
		.read = ReadId,
		.compare = CompareIdOverTime,
		.contrary = MATCH_NEVER,
		.frequency = 1,
	},
	{
		.name = "text",
		.nlevels = 6,
		.levels =
			{
				{"equal", 0.5, 0.0001, 0},
				{"same_words", 0.2, 0.0001, -1},
				{"inside", 0.1, 0.0002, -1},
				{"close", 0.1, 0.0003, -1},
				{"related", 0.05, 0.004, -1},
				{"different", 0.05, 0.9953, -1},
			},
		.read = ReadFreeText,
		.compare = CompareFreeText,
		.contrary = 3,
		.frequency = 1,
		.paired = true,
		.role = ROLE_KIN,
		.related = {0.01, 0.01, 0.03, 0.05, 0.15, 0.75},
	},
	{
		.name = "number",
		.nlevels = 4,
		.levels =
			{
				{"equal", 0.8, 0.02, 0},
				{"near", 0.08, 0.02, -1},
				{"close", 0.05, 0.05, -1},
				{"different", 0.07, 0.91, -1},
			},
		.read = ReadNumeric,
		.compare = CompareNumeric,
		.contrary = MATCH_NEVER,
		.frequency = 1,
	},
	{
		.name = "year",
		.nlevels = 4,
		.levels =
			{
				{"equal", 0.93, 0.05, 0},
				{"next", 0.04, 0.09, -1},
				{"near", 0.015, 0.16, -1},
				{"different", 0.015, 0.7, -1},
			},
		.read = ReadNumeric,
		.compare = CompareYear,
		.contrary = 2,
		.frequency = 1,
		.held = 1,
	},
	{
		.name = "blind",
		.nlevels = 4,
		.levels =
			{
				{"equal", 0.75, 0.004, 0},
				{"near", 0.15, 0.0005, -1},
				{"alike", 0.04, 0.002, -1},
				{"different", 0.06, 0.9935, -1},
			},
		.read = ReadBlind,
		.compare = CompareBlind,
		.contrary = MATCH_NEVER,
		.frequency = 1,
	},
	{
		.name = "gender",
		.nlevels = 2,
		.levels =
			{
				{"equal", 0.97, 0.5, -1},
				{"different", 0.03, 0.5, -1},
			},
		.read = ReadGender,
		.compare = CompareGender,
		.contrary = 1,
		.frequency = 1,
	},
};

const Comparator *
FindComparator(const char *name)
{
	for (int i = 0; i < lengthof(comparators); i++)
	{
		if (strcmp(comparators[i].name, name) == 0)
			return &comparators[i];
	}
	return NULL;
}

void
ReportComparator(const char *name, const char *column)
{
	StringInfoData known;

	initStringInfo(&known);
	for (int i = 0; i < lengthof(comparators); i++)
		appendStringInfo(&known, "%s%s", i ? ", " : "", comparators[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 column == NULL ? errmsg("comparator \"%s\" is unknown", name)
							: errmsg("comparator \"%s\" of column \"%s\" is unknown", name, column),
			 errhint("The comparators are %s.", known.data)));
}

static void
GrowInterner(Interner *interner)
{
	uint32  size = Max(1024, interner->size * 2);
	uint32 *slots = palloc_extended(size * sizeof(uint32), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	uint64 *hashes = palloc_extended((size / 2 + 1) * sizeof(uint64), MCXT_ALLOC_HUGE);

	if (interner->hashes != NULL)
	{
		memcpy(hashes, interner->hashes, (interner->count + 1) * sizeof(uint64));
		pfree(interner->hashes);
		pfree(interner->slots);
	}
	for (uint32 id = 1; id <= interner->count; id++)
	{
		uint32 at = hashes[id] & (size - 1);

		while (slots[at] != 0)
			at = (at + 1) & (size - 1);
		slots[at] = id;
	}
	interner->hashes = hashes;
	interner->slots = slots;
	interner->size = size;
}

/* The number of a hash, given anew when it is not known; count tells which. */
uint32
InternHash(Interner *interner, uint64 hash)
{
	uint32 at;

	if (interner->count + 1 >= interner->size / 2)
		GrowInterner(interner);
	at = hash & (interner->size - 1);
	while (interner->slots[at] != 0)
	{
		if (interner->hashes[interner->slots[at]] == hash)
			return interner->slots[at];
		at = (at + 1) & (interner->size - 1);
	}
	interner->slots[at] = ++interner->count;
	interner->hashes[interner->count] = hash;
	return interner->count;
}

uint32
InternForm(MatchField *field, int form, uint64 hash)
{
	MemoryContext old = MemoryContextSwitchTo(field->context);
	uint32        id = InternHash(&field->forms[form], hash);

	MemoryContextSwitchTo(old);
	return id;
}

static void
PutKey(MatchValue *value, int at, uint64 key)
{
	if (value->keys == NULL)
		value->keys = palloc(MAX_KEYS * sizeof(uint64));
	for (int i = 0; i < value->nkeys; i++)
	{
		if (value->keys[i] == key)
			return;
	}
	if (value->nkeys == MAX_KEYS)
		return;
	memmove(value->keys + at + 1, value->keys + at, (value->nkeys - at) * sizeof(uint64));
	value->keys[at] = key;
	value->nkeys++;
}

void
AddKey(MatchValue *value, int kind, uint64 hash)
{
	PutKey(value, value->nkeys - value->nweak, MixHash(kind, hash));
}

void
AddWeakKey(MatchValue *value, int kind, uint64 hash)
{
	int before = value->nkeys;

	PutKey(value, value->nkeys, MixHash(kind, hash));
	value->nweak += value->nkeys - before;
}

static void *
Keep(char **at, const void *from, Size size)
{
	char *to = *at;

	if (size == 0)
		return NULL;
	memcpy(to, from, size);
	*at += MAXALIGN(size);
	return to;
}

/* One piece of memory for a value and all it points to. */
static MatchValue *
PackValue(MemoryContext context, const MatchValue *value)
{
	const MatchWords *words = value->words;
	bool              has_words = value->ntokens > 0 || value->nnumbers > 0;
	int               n = value->ntokens;
	Size              size = MAXALIGN(sizeof(MatchValue)) + MAXALIGN(value->nrunes * sizeof(Rune)) +
				MAXALIGN(value->letters ? value->nletters + 1 : 0) +
				MAXALIGN(value->nkeys * sizeof(uint64));
	MatchValue *packed;
	char       *at;

	if (has_words)
	{
		size += MAXALIGN(sizeof(MatchWords)) + MAXALIGN(n * sizeof(uint32)) +
				MAXALIGN(n * sizeof(Rune *)) + MAXALIGN(n * sizeof(int16)) +
				MAXALIGN(n * sizeof(uint64[2])) + MAXALIGN(n * sizeof(uint32)) +
				MAXALIGN(value->nnumbers * sizeof(int32));
		for (int i = 0; i < n; i++)
			size += MAXALIGN(words->token_length[i] * sizeof(Rune));
	}
	packed = MemoryContextAlloc(context, size);
	*packed = *value;
	at = (char *) packed + MAXALIGN(sizeof(MatchValue));
	packed->runes = Keep(&at, value->runes, value->nrunes * sizeof(Rune));
	packed->letters = Keep(&at, value->letters, value->letters ? value->nletters + 1 : 0);
	packed->keys = Keep(&at, value->keys, value->nkeys * sizeof(uint64));
	packed->words = NULL;
	if (has_words)
	{
		packed->words = Keep(&at, words, sizeof(MatchWords));
		packed->words->tokens = Keep(&at, words->tokens, words->tokens ? n * sizeof(uint32) : 0);
		packed->words->token_length = Keep(&at, words->token_length, n * sizeof(int16));
		packed->words->letters =
			Keep(&at, words->letters, words->letters ? n * sizeof(uint32) : 0);
		packed->words->groups = Keep(&at, words->groups, words->groups ? n * sizeof(uint64[2]) : 0);
		packed->words->numbers = Keep(&at, words->numbers, value->nnumbers * sizeof(int32));
		packed->words->token_runes = Keep(&at, words->token_runes, n * sizeof(Rune *));
		for (int i = 0; i < n; i++)
			packed->words->token_runes[i] =
				Keep(&at, words->token_runes[i], words->token_length[i] * sizeof(Rune));
	}
	return packed;
}

/* Number of a text in the field's table of values; 0 where it says nothing. */
uint32
ReadValue(MatchField *field, const char *text, MemoryContext scratch)
{
	uint32        known = field->texts.count;
	MemoryContext old = MemoryContextSwitchTo(field->context);
	uint32        id = InternHash(&field->texts, HashBytes64(text, strlen(text), 0));

	if (id > known)
	{
		MatchWords words = {0};
		MatchValue value = {.words = &words};

		if (id >= field->values_size)
		{
			uint32 size = Max(1024, field->values_size * 2);

			field->values = field->values == NULL
								? palloc_extended(size * sizeof(MatchValue *), MCXT_ALLOC_HUGE)
								: repalloc_huge(field->values, size * sizeof(MatchValue *));
			field->values_size = size;
		}
		MemoryContextSwitchTo(scratch);
		field->values[id] = NULL;
		if (field->comparator->read(field, text, &value))
			field->values[id] = PackValue(field->context, &value);
		MemoryContextSwitchTo(field->context);
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(old);
	return field->values[id] == NULL ? 0 : id;
}

/* compare_values(comparator, a, b): the level two texts agree on */
PG_FUNCTION_INFO_V1(crm_compare_values);
Datum
crm_compare_values(PG_FUNCTION_ARGS)
{
	char         *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "crm_member match text", ALLOCSET_SMALL_SIZES);
	MatchField field = {
		.column = "value", .comparator = FindComparator(name), .context = CurrentMemoryContext};
	uint32 a, b;
	int    level;

	if (field.comparator == NULL)
		ReportComparator(name, NULL);
	a = ReadValue(&field, text_to_cstring(PG_GETARG_TEXT_PP(1)), scratch);
	b = ReadValue(&field, text_to_cstring(PG_GETARG_TEXT_PP(2)), scratch);
	if (a == 0 || b == 0)
		PG_RETURN_NULL();
	WeighTokens(&field);
	level = field.comparator->compare(&field, field.values[a], field.values[b]);
	if (level < 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(field.comparator->levels[level].name));
}
