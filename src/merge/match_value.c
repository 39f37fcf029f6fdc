/*
 * match_value.c: the comparators, and reading each distinct text once.
 */
#include "merge/match.h"

#include "utils/memutils.h"

#define MAX_KEYS 96

/* m is where estimation starts: how often two records of one person agree so. */
static const Comparator comparators[] = {
	{"name", 8, {{"equal", 0.62, 0.0003, 0}, {"same_reading", 0.10, 6e-05, 1}, {"one_sign_off", 0.06, 0.00015, -1}, {"compatible", 0.14, 0.008, 2},
	{"hint", 0.03, 0.0004, -1}, {"sibling", 0.01, 0.0003, 2}, {"family_name", 0.01, 0.04, 2}, {"different", 0.03, 0.951, -1}},
	ReadPersonName, ComparePersonName, 0, 5, 1, ROLE_KIN, {0.005, 0.005, 0.01, 0.05, 0.02, 0.12, 0.35, 0.44}},
	{"nickname", 4, {{"equal", 0.5, 0.0015, 0}, {"spells_name", 0.2, 0.0001, -1}, {"hint", 0.1, 0.008, -1}, {"different", 0.2, 0.9904, -1}},
	ReadPersonName, CompareNickname, 0.7, 9, 1},
	{"given_name", 4, {{"equal", 0.75, 0.004, 0}, {"sound_or_typo", 0.15, 0.003, -1}, {"alike", 0.04, 0.004, -1}, {"different", 0.06, 0.989, -1}},
	ReadWordName, CompareWordName, 0, 3, 1, ROLE_KIN, {0.01, 0.02, 0.05, 0.92}},
	{"surname", 4, {{"equal", 0.75, 0.005, 0}, {"sound_or_typo", 0.15, 0.003, -1}, {"alike", 0.04, 0.004, -1}, {"different", 0.06, 0.988, -1}},
	ReadWordName, CompareWordName, 0, 3, 1, ROLE_KIN, {0.6, 0.05, 0.02, 0.33}},
	{"phone", 4, {{"equal", 0.7, 1e-06, 0}, {"masked", 0.05, 1e-05, -1}, {"one_digit_off", 0.05, 2e-06, -1}, {"different", 0.2, 0.999987, -1}},
	ReadPhone, ComparePhone, 0, 9, 1, ROLE_SHARED},
	{"email", 3, {{"equal", 0.7, 1e-06, 0}, {"near", 0.1, 2e-06, -1}, {"different", 0.2, 0.999997, -1}}, ReadEmail, CompareEmail, 0, 9, 1},
	{"date", 5, {{"equal", 0.85, 6e-05, 0}, {"one_digit_off", 0.06, 0.001, -1}, {"same_day_or_year_month", 0.03, 0.003, -1},
	{"two_digits_off", 0.02, 0.02, -1}, {"different", 0.04, 0.97594, -1}}, ReadDate, CompareDate, 0, 4, 1},
	{"address", 4, {{"equal", 0.6, 1e-05, 0}, {"near", 0.15, 0.0002, -1}, {"same_street", 0.1, 0.005, -1}, {"different", 0.15, 0.99479, -1}},
	ReadAddress, CompareAddress, 0, 9, 1, ROLE_SHARED},
	{"place", 3, {{"equal", 0.85, 0.08, 0}, {"alike", 0.05, 0.01, -1}, {"different", 0.1, 0.91, -1}}, ReadCategory, CompareCategory, 0, 9, 0.5,
	ROLE_SHARED},
	{"category", 3, {{"equal", 0.7, 0.08, 0}, {"alike", 0.1, 0.02, -1}, {"different", 0.2, 0.9, -1}}, ReadCategory, CompareCategory, 0, 9, 0.5},
	{"id", 3, {{"equal", 0.85, 1e-06, 0}, {"near", 0.1, 1e-06, -1}, {"different", 0.05, 0.999998, -1}}, ReadId, CompareId, 0, 9, 1},
	{"text", 6, {{"equal", 0.5, 0.0001, 0}, {"same_words", 0.2, 0.0001, -1}, {"inside", 0.1, 0.0002, -1}, {"close", 0.1, 0.0003, -1},
	{"related", 0.05, 0.004, -1}, {"different", 0.05, 0.9953, -1}}, ReadFreeText, CompareFreeText, 0, 3, 1, ROLE_KIN,
	{0.01, 0.01, 0.03, 0.05, 0.15, 0.75}},
	{"number", 4, {{"equal", 0.8, 0.02, 0}, {"within_1_percent", 0.08, 0.02, -1}, {"within_10_percent", 0.05, 0.05, -1},
	{"different", 0.07, 0.91, -1}}, ReadNumeric, CompareNumeric, 0, 9, 1},
	{"gender", 2, {{"equal", 0.97, 0.5, -1}, {"different", 0.03, 0.5, -1}}, ReadGender, CompareGender, 0, 1, 1},
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

const Comparator *
ComparatorAt(int i)
{
	return i < lengthof(comparators) ? &comparators[i] : NULL;
}

static void
GrowInterner(Interner *interner)
{
	uint32		size = Max(1024, interner->size * 2);
	uint32	   *slots = palloc_extended(size * sizeof(uint32), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	uint64	   *hashes = palloc_extended((size / 2 + 1) * sizeof(uint64), MCXT_ALLOC_HUGE);

	if (interner->hashes != NULL)
	{
		memcpy(hashes, interner->hashes, (interner->count + 1) * sizeof(uint64));
		pfree(interner->hashes);
		pfree(interner->slots);
	}
	for (uint32 id = 1; id <= interner->count; id++)
	{
		uint32		at = hashes[id] & (size - 1);

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
	uint32		at;

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
	uint32		id = InternHash(&field->forms[form], hash);

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
	int			before = value->nkeys;

	PutKey(value, value->nkeys, MixHash(kind, hash));
	value->nweak += value->nkeys - before;
}

static void *
Keep(char **at, const void *from, Size size)
{
	char	   *to = *at;

	if (size == 0)
		return NULL;
	memcpy(to, from, size);
	*at += MAXALIGN(size);
	return to;
}

/* One piece of memory for a value and all it points to. */
static MatchValue *
PackValue(MemoryContext context, const MatchValue *value, bool words)
{
	Size		size = MAXALIGN(sizeof(MatchValue)) + MAXALIGN(value->nrunes * sizeof(Rune)) +
		MAXALIGN(value->letters ? value->nletters + 1 : 0) + MAXALIGN(value->nkeys * sizeof(uint64)) +
		MAXALIGN(value->numbers ? value->nnumbers * sizeof(int32) : 0);
	MatchValue *packed;
	char	   *at;

	if (words)
	{
		size += MAXALIGN(value->ntokens * sizeof(uint32)) + MAXALIGN(value->ntokens * sizeof(Rune *)) +
			MAXALIGN(value->ntokens * sizeof(int16));
		size += MAXALIGN(value->groups ? value->ntokens * sizeof(uint64[2]) : 0);
		for (int i = 0; i < value->ntokens; i++)
			size += MAXALIGN(value->token_length[i] * sizeof(Rune));
	}
	packed = MemoryContextAlloc(context, size);
	*packed = *value;
	at = (char *) packed + MAXALIGN(sizeof(MatchValue));
	packed->runes = Keep(&at, value->runes, value->nrunes * sizeof(Rune));
	packed->letters = Keep(&at, value->letters, value->letters ? value->nletters + 1 : 0);
	packed->keys = Keep(&at, value->keys, value->nkeys * sizeof(uint64));
	packed->numbers = Keep(&at, value->numbers, value->numbers ? value->nnumbers * sizeof(int32) : 0);
	if (words)
	{
		packed->tokens = value->tokens ? Keep(&at, value->tokens, value->ntokens * sizeof(uint32)) : NULL;
		packed->token_length = Keep(&at, value->token_length, value->ntokens * sizeof(int16));
		packed->groups = Keep(&at, value->groups, value->groups ? value->ntokens * sizeof(uint64[2]) : 0);
		packed->token_runes = Keep(&at, value->token_runes, value->ntokens * sizeof(Rune *));
		for (int i = 0; i < value->ntokens; i++)
			packed->token_runes[i] = Keep(&at, value->token_runes[i], value->token_length[i] * sizeof(Rune));
	}
	return packed;
}

/* Number of a text in the field's table of values; 0 where it says nothing. */
uint32
ReadValue(MatchField *field, const char *text, MemoryContext scratch)
{
	uint32		known = field->texts.count;
	MemoryContext old = MemoryContextSwitchTo(field->context);
	uint32		id = InternHash(&field->texts, HashBytes64(text, strlen(text), 0));

	if (id > known)
	{
		MatchValue	value = {0};

		if (id >= field->values_size)
		{
			uint32		size = Max(1024, field->values_size * 2);

			field->values = field->values == NULL ?
				palloc_extended(size * sizeof(MatchValue *), MCXT_ALLOC_HUGE) :
				repalloc_huge(field->values, size * sizeof(MatchValue *));
			field->values_size = size;
		}
		MemoryContextSwitchTo(scratch);
		field->values[id] = NULL;
		if (field->comparator->read(field, text, &value))
			field->values[id] = PackValue(field->context, &value, value.ntokens > 0 && value.token_runes != NULL);
		MemoryContextSwitchTo(field->context);
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(old);
	return field->values[id] == NULL ? 0 : id;
}
