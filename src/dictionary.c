/*
 * dictionary.c: values of any type numbered in the order they come.
 */
#include "crm_member.h"
#include "dictionary.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

typedef struct Word
{
	uint32		hash;
	char		status;
	int64		index;
} Word;

struct words_hash;

struct Dictionary
{
	MemoryContext context;
	struct words_hash *words;
	TypeCacheEntry *type;
	Oid			collation;
	Datum		probe;			/* value that is looked for, under the index PROBE */
	Datum	   *values;
	size_t		nvalues;
	size_t		nallocated;
};

#define PROBE (-1)

static inline Datum
WordValue(Dictionary *dictionary, int64 index)
{
	return index == PROBE ? dictionary->probe : dictionary->values[index];
}

static uint32
HashWord(Dictionary *dictionary, int64 index)
{
	return DatumGetUInt32(FunctionCall1Coll(&dictionary->type->hash_proc_finfo,
											dictionary->collation, WordValue(dictionary, index)));
}

static bool
EqualWords(Dictionary *dictionary, int64 a, int64 b)
{
	return DatumGetBool(FunctionCall2Coll(&dictionary->type->eq_opr_finfo, dictionary->collation,
										  WordValue(dictionary, a), WordValue(dictionary, b)));
}

#define SH_PREFIX words
#define SH_ELEMENT_TYPE Word
#define SH_KEY_TYPE int64
#define SH_KEY index
#define SH_HASH_KEY(tb, key) HashWord((Dictionary *) (tb)->private_data, key)
#define SH_EQUAL(tb, a, b) EqualWords((Dictionary *) (tb)->private_data, a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

Dictionary *
CreateDictionary(Oid type, Oid collation, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Dictionary *dictionary = palloc0(sizeof(Dictionary));

	dictionary->context = context;
	dictionary->type = lookup_type_cache(type, TYPECACHE_HASH_PROC_FINFO |
											   TYPECACHE_EQ_OPR_FINFO | TYPECACHE_CMP_PROC_FINFO);
	if (!OidIsValid(dictionary->type->hash_proc_finfo.fn_oid) ||
		!OidIsValid(dictionary->type->eq_opr_finfo.fn_oid) ||
		!OidIsValid(dictionary->type->cmp_proc_finfo.fn_oid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("members of type %s cannot be told apart and ordered",
							   format_type_be(type)),
						errdetail("The type has no default hash and btree operator classes."),
						errhint("Cast the member to text.")));
	dictionary->collation = collation;
	dictionary->words = words_create(context, 1024, dictionary);
	dictionary->nallocated = 1024;
	dictionary->values = palloc(dictionary->nallocated * sizeof(Datum));
	MemoryContextSwitchTo(old);
	return dictionary;
}

int64
DictionaryIndex(Dictionary *dictionary, Datum value)
{
	MemoryContext old;
	Word	   *word;
	bool		found;

	dictionary->probe = value;
	word = words_insert(dictionary->words, PROBE, &found);
	if (found)
		return word->index;

	old = MemoryContextSwitchTo(dictionary->context);
	if (dictionary->nvalues == dictionary->nallocated)
	{
		dictionary->nallocated *= 2;
		dictionary->values =
			repalloc_huge(dictionary->values, dictionary->nallocated * sizeof(Datum));
	}
	word->index = dictionary->nvalues++;
	if (dictionary->type->typlen == -1)
		value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	else
		value = datumCopy(value, dictionary->type->typbyval, dictionary->type->typlen);
	dictionary->values[word->index] = value;
	MemoryContextSwitchTo(old);
	return word->index;
}

static int
CompareIndexes(const void *a, const void *b, void *arg)
{
	Dictionary *dictionary = arg;

	CHECK_FOR_INTERRUPTS();
	return DatumGetInt32(FunctionCall2Coll(
		&dictionary->type->cmp_proc_finfo, dictionary->collation,
		dictionary->values[*(const int64 *) a], dictionary->values[*(const int64 *) b]));
}

size_t
DictionaryValues(Dictionary *dictionary, Datum **values, int64 **ranks)
{
	size_t		n = dictionary->nvalues;
	Size		size = Max(n, 1) * sizeof(int64);
	int64	   *sorted = MemoryContextAllocExtended(dictionary->context, size, MCXT_ALLOC_HUGE);

	*ranks = MemoryContextAllocExtended(dictionary->context, size, MCXT_ALLOC_HUGE);
	*values = dictionary->values;
	for (size_t i = 0; i < n; i++)
		sorted[i] = i;
	qsort_arg(sorted, n, sizeof(int64), CompareIndexes, dictionary);
	for (size_t i = 0; i < n; i++)
		(*ranks)[sorted[i]] = i;
	pfree(sorted);
	return n;
}
