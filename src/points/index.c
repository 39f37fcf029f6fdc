/*
 * index.c: which rules a sale can match, so that its cost follows those and not
 * the rules there are.
 *
 * A rule whose condition needs one of some values of an attribute is listed
 * under each of them, under the attribute that promises to say most; any other
 * rule is always a candidate.  Rules outside their validity drop out by a bitmap
 * for the day of the sale.  Candidates are looked at in their order, and judged
 * in full: the index only leaves out what cannot match.
 */
#include "crm_member.h"
#include "points/points.h"
#include "setting.h"

#include "common/hashfn.h"
#include "condition/key.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#define WORD_BITS 64
#define MAX_KEYS  16			/* conjuncts looked at */
#define MAX_DAYS  1000			/* bitmaps kept before they are made anew */

/* The more values an attribute has in a shop, the better a key it is. */
static const Attribute preference[] = {
	LINE_SKU, LINE_BRAND, LINE_CATEGORY, SALE_STORE, MEMBER_STORE, MEMBER_SEGMENT, SALE_SOURCE,
	MEMBER_TIER, SALE_CHANNEL, SALE_WEEKDAY, SALE_HOUR, SALE_MONTH, SALE_DAY, MEMBER_CHANNEL,
	MEMBER_SOURCE, MEMBER_KIND, MEMBER_GENDER
};

typedef struct KeyEntry
{
	uint64		key;			/* hash of attribute and value: a clash only adds candidates */
	List	   *rules;			/* of their numbers */
} KeyEntry;

typedef struct DayEntry
{
	DateADT		day;
	uint64	   *valid;
} DayEntry;

struct RuleIndex
{
	MemoryContext context;
	int			nwords;
	uint64	   *always;
	HTAB	   *keys;
	bool		used[ATTRIBUTE_COUNT];
	MemoryContext day_context;
	HTAB	   *days;
};

static uint64
KeyHash(Attribute attribute, FactType type, const Fact *fact)
{
	if (type == FACT_NUMBER)
	{
		Decimal		number = fact->value.number;

		while (number.scale > 0 && number.units % 10 == 0)
		{
			number.units /= 10;
			number.scale--;
		}
		return hash_combine64(attribute + 1,
							  hash_bytes_extended((const unsigned char *) &number.units,
												  sizeof(number.units), number.scale));
	}
	return hash_combine64(attribute + 1,
						  hash_bytes_extended((const unsigned char *) fact->value.text.data,
											  fact->value.text.length, 0));
}

/* The conjunct a rule is listed under; false: none will do. */
static bool
ChooseKey(const Rule *rule, ConditionKey *chosen)
{
	ConditionKey keys[MAX_KEYS];
	int			n = rule->condition ? ConditionKeys(rule->condition, keys, MAX_KEYS) : 0;

	for (int p = 0; p < lengthof(preference); p++)
	{
		for (int i = 0; i < n; i++)
		{
			if (keys[i].attribute == preference[p])
			{
				*chosen = keys[i];
				return true;
			}
		}
	}
	return false;
}

static HTAB *
MakeDays(RuleIndex *index)
{
	HASHCTL		control = {.keysize = sizeof(DateADT), .entrysize = sizeof(DayEntry),
						   .hcxt = index->day_context};

	return hash_create("crm_member rule days", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* In the rule set's context, once its rules are complete. */
RuleIndex *
BuildRuleIndex(const RuleSet *set)
{
	MemoryContext old = MemoryContextSwitchTo(set->context);
	RuleIndex  *index = palloc0(sizeof(RuleIndex));
	HASHCTL		control = {.keysize = sizeof(uint64), .entrysize = sizeof(KeyEntry),
						   .hcxt = set->context};

	index->context = set->context;
	index->nwords = (set->nrules + WORD_BITS - 1) / WORD_BITS;
	index->always = palloc0(sizeof(uint64) * Max(index->nwords, 1));
	index->keys = hash_create("crm_member rule keys", 256, &control,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	index->day_context = AllocSetContextCreate(set->context, "crm_member rule days",
											   ALLOCSET_SMALL_SIZES);
	index->days = MakeDays(index);

	for (int r = 0; r < set->nrules; r++)
	{
		ConditionKey key;

		if (!ChooseKey(&set->rules[r], &key))
		{
			index->always[r / WORD_BITS] |= UINT64CONST(1) << (r % WORD_BITS);
			continue;
		}
		index->used[key.attribute] = true;
		for (int i = 0; i < key.count; i++)
		{
			Fact		value = ConditionKeyValue(&key, i);
			uint64		hash = KeyHash(key.attribute, key.type, &value);
			bool		found;
			KeyEntry   *entry = hash_search(index->keys, &hash, HASH_ENTER, &found);

			entry->rules = lappend_int(found ? entry->rules : NIL, r);
		}
	}
	MemoryContextSwitchTo(old);
	return index;
}

/* The rules that are valid at some moment of a day. */
static const uint64 *
ValidOn(RuleIndex *index, const RuleSet *set, DateADT day)
{
	bool		found;
	DayEntry   *entry;
	TimestampTz begin;
	TimestampTz end;

	entry = hash_search(index->days, &day, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->valid;
	if (hash_get_num_entries(index->days) >= MAX_DAYS)
	{
		MemoryContextReset(index->day_context);
		index->days = MakeDays(index);
	}
	begin = StartOfBusinessDay(day);
	end = StartOfBusinessDay(day + 1);
	entry = hash_search(index->days, &day, HASH_ENTER, &found);
	entry->valid = MemoryContextAllocZero(index->day_context, sizeof(uint64) * index->nwords);
	for (int r = 0; r < set->nrules; r++)
	{
		if (set->rules[r].valid_from < end && set->rules[r].valid_to >= begin)
			entry->valid[r / WORD_BITS] |= UINT64CONST(1) << (r % WORD_BITS);
	}
	return entry->valid;
}

static void
AddCandidates(const RuleIndex *index, Attribute attribute, FactType type, const Fact *fact,
			  uint64 *candidates)
{
	uint64		hash;
	KeyEntry   *entry;
	ListCell   *cell;

	if (!fact->known)
		return;
	hash = KeyHash(attribute, type, fact);
	entry = hash_search(index->keys, &hash, HASH_FIND, NULL);
	if (entry == NULL)
		return;
	foreach(cell, entry->rules)
	{
		int			r = lfirst_int(cell);

		candidates[r / WORD_BITS] |= UINT64CONST(1) << (r % WORD_BITS);
	}
}

uint64 *
CandidateRules(const RuleSet *set, const Sale *sale, const Facts *line_facts)
{
	RuleIndex  *index = set->index;
	uint64	   *candidates = palloc(sizeof(uint64) * Max(index->nwords, 1));
	const uint64 *valid;

	if (index->nwords == 0)
		return candidates;
	memcpy(candidates, index->always, sizeof(uint64) * index->nwords);
	for (int p = 0; p < lengthof(preference); p++)
	{
		Attribute	attribute = preference[p];
		bool		of_line = attribute >= LINE_SKU;
		FactType	type = attribute >= SALE_DATE && attribute <= SALE_MINUTE ? FACT_NUMBER : FACT_TEXT;

		if (!index->used[attribute])
			continue;
		for (int i = 0; i < (of_line ? sale->nlines : 1); i++)
			AddCandidates(index, attribute, type, &line_facts[i].facts[attribute], candidates);
	}
	valid = ValidOn(index, set, BusinessDate(sale->sold_at));
	for (int w = 0; w < index->nwords; w++)
		candidates[w] &= valid[w];
	return candidates;
}
