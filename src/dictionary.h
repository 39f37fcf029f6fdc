/*
 * dictionary.h: values of any type numbered in the order they come.
 */
#ifndef CRM_DICTIONARY_H
#define CRM_DICTIONARY_H

#include "postgres.h"

typedef struct Dictionary Dictionary;

/* Error 42883 where the type cannot be hashed or ordered. */
extern Dictionary *CreateDictionary(Oid type, Oid collation, MemoryContext context);
extern int64 DictionaryIndex(Dictionary *dictionary, Datum value);

/* The values by index, and the place of each in the order of its type. */
extern size_t DictionaryValues(Dictionary *dictionary, Datum **values, int64 **ranks);

#endif
