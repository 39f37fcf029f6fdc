/*
 * block.c: which pairs are worth comparing.
 *
 * Each value offers keys; records that share a key form a block.  A block that is
 * too large is split by the other fields' keys of its records; what is still too
 * large is left out and reported.
 */
#include "match/match.h"
#include "job/progress.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"

#define ROWS_A_PART 150000

typedef struct KeyRow
{
	uint64 key;
	uint32 row;
	uint32 field;
} KeyRow;

static inline int
CompareKeyRow(const KeyRow *a, const KeyRow *b)
{
	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return a->row < b->row ? -1 : a->row > b->row;
}

#define ST_SORT SortKeyRows
#define ST_ELEMENT_TYPE KeyRow
#define ST_COMPARE(a, b) CompareKeyRow(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static inline int
ComparePair64(const uint64 *a, const uint64 *b)
{
	return *a < *b ? -1 : *a > *b;
}

#define ST_SORT SortPairs
#define ST_ELEMENT_TYPE uint64
#define ST_COMPARE(a, b) ComparePair64(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

typedef struct KeyRows
{
	KeyRow *rows;
	uint64  count;
	uint64  size;
} KeyRows;

typedef struct PairList
{
	uint64 *pairs;
	uint64  count;
	uint64  size;
} PairList;

/* Room for more in a list that is full. */
static void *
Grow(void *items, uint64 *size, uint64 least, Size width)
{
	*size = Max(least, *size * 2);
	return items == NULL ? palloc_extended(*size * width, MCXT_ALLOC_HUGE)
						 : repalloc_huge(items, *size * width);
}

static void
AddKeyRow(KeyRows *list, uint64 key, uint32 row, uint32 field)
{
	if (list->count == list->size)
		list->rows = Grow(list->rows, &list->size, 4096, sizeof(KeyRow));
	list->rows[list->count++] = (KeyRow){key, row, field};
}

static void
MakeUnique(PairList *list)
{
	uint64 kept = 0;

	SortPairs(list->pairs, list->count);
	for (uint64 i = 0; i < list->count; i++)
	{
		if (i == 0 || list->pairs[i] != list->pairs[kept - 1])
			list->pairs[kept++] = list->pairs[i];
	}
	list->count = kept;
}

static void
AddPair(PairList *list, uint32 a, uint32 b)
{
	if (list->count == list->size)
	{
		/* most pairs share several keys: try to shrink before growing */
		if (list->size > 0)
			MakeUnique(list);
		if (list->count >= list->size / 2)
			list->pairs = Grow(list->pairs, &list->size, 65536, sizeof(uint64));
	}
	list->pairs[list->count++] = a < b ? ((uint64) a << 32) | b : ((uint64) b << 32) | a;
}

/* Fields that are each other's partner share their keys: swapped names meet. */
static uint64
FieldSpace(const MatchModel *model, int f)
{
	const MatchField *field = &model->fields[f];

	return field->partner >= 0 && field->partner < f ? field->partner : f;
}

static bool
AddSplitKeys(MatchModel *model, MatchData *data, const KeyRow *block, uint64 n, KeyRows *split)
{
	uint64 before = split->count;

	for (uint64 i = 0; i < n; i++)
	{
		const uint32 *cells = data->cells + (Size) block[i].row * model->nfields;

		for (int f = 0; f < model->nfields; f++)
		{
			const MatchValue *value;

			if (f == block[i].field || cells[f] == 0)
				continue;
			value = model->fields[f].values[cells[f]];
			for (int k = 0; k < value->nkeys; k++)
				AddKeyRow(
					split,
					MixHash(block[i].key, MixHash(FieldSpace(model, f) + 101, value->keys[k])),
					block[i].row, block[i].field);
		}
	}
	return split->count > before;
}

/* End of the block that begins at start. */
static uint64
BlockEnd(const KeyRows *keys, uint64 start)
{
	uint64 end = start + 1;

	while (end < keys->count && keys->rows[end].key == keys->rows[start].key)
		end++;
	return end;
}

/* Keep the blocks of two up to so many records, and give the rest of the memory back. */
static void
KeepBlocks(KeyRows *keys, uint64 largest)
{
	uint64 kept = 0;

	for (uint64 start = 0, end; start < keys->count; start = end)
	{
		end = BlockEnd(keys, start);
		if (end - start < 2 || end - start > largest)
			continue;
		memmove(keys->rows + kept, keys->rows + start, (end - start) * sizeof(KeyRow));
		kept += end - start;
	}
	keys->count = kept;
	if (keys->rows != NULL)
	{
		keys->size = Max(kept, 1);
		keys->rows = repalloc_huge(keys->rows, keys->size * sizeof(KeyRow));
	}
}

typedef struct Crowd
{
	uint64 blocks;   /* that were split by other fields */
	uint64 largest;  /* records in the largest of them */
	uint64 left_out; /* parts that were still too large */
} Crowd;

/* The crowded blocks are split once. */
static void
SplitBlocks(MatchModel *model, MatchData *data, const KeyRows *keys, KeyRows *split, Crowd *crowds)
{
	for (uint64 start = 0, end; start < keys->count; start = end)
	{
		Crowd *crowd = &crowds[keys->rows[start].field];

		end = BlockEnd(keys, start);
		if (end - start <= model->max_block)
			continue;
		CHECK_FOR_INTERRUPTS();
		if (!AddSplitKeys(model, data, keys->rows + start, end - start, split))
			crowd->left_out++;
		crowd->blocks++;
		crowd->largest = Max(crowd->largest, end - start);
	}
}

/* Pairs of the blocks that are not crowded; of the share of them that is a part's turn. */
static void
AddBlockPairs(MatchModel *model, const KeyRows *keys, uint32 part, uint32 parts, PairList *pairs)
{
	for (uint64 start = 0, end; start < keys->count; start = end)
	{
		end = BlockEnd(keys, start);
		if (end - start > model->max_block)
			continue;
		CHECK_FOR_INTERRUPTS();
		/* rows are in order within a block */
		for (uint64 i = start; i < end; i++)
		{
			if (keys->rows[i].row % parts != part)
				continue;
			for (uint64 j = i + 1; j < end; j++)
			{
				if (keys->rows[i].row != keys->rows[j].row)
					AddPair(pairs, keys->rows[i].row, keys->rows[j].row);
			}
		}
	}
}

static void
KeepPair(MatchPairs *result, uint32 left, uint32 right, uint64 pattern)
{
	if (result->count == result->size)
		result->pairs = Grow(result->pairs, &result->size, 4096, sizeof(MatchPair));
	result->pairs[result->count++] = (MatchPair){left, right, pattern};
}

/* Pairs come in no order of memory: ask for what will be needed, one step deeper each. */
static inline void
Prefetch(const MatchModel *model, const MatchData *data, const PairList *pairs, uint64 i)
{
	if (i + 24 < pairs->count)
		__builtin_prefetch(data->cells + (Size) (uint32) pairs->pairs[i + 24] * model->nfields);
	if (i + 16 < pairs->count)
	{
		const uint32 *cells = data->cells + (Size) (uint32) pairs->pairs[i + 16] * model->nfields;

		for (int f = 0; f < model->nfields; f++)
			__builtin_prefetch(&model->fields[f].values[cells[f]]);
	}
	if (i + 8 < pairs->count)
	{
		const uint32 *cells = data->cells + (Size) (uint32) pairs->pairs[i + 8] * model->nfields;

		for (int f = 0; f < model->nfields; f++)
		{
			const char *value;

			if (cells[f] == 0)
				continue;
			value = (const char *) model->fields[f].values[cells[f]];
			__builtin_prefetch(value);
			__builtin_prefetch(value + 64);
			__builtin_prefetch(value + sizeof(MatchValue));
		}
	}
}

void
FindCandidates(MatchModel *model, MatchData *data, Estimate *estimate, MatchPairs *result,
			   StringInfo hot)
{
	KeyRows  keys = {0}, split = {0};
	PairList pairs = {0};
	uint64   done = 0;
	Crowd    crowds[MATCH_MAX_FIELDS] = {{0}};
	uint32 parts = 1 + data->nrows / ROWS_A_PART; /* the pairs of all rows at once might not fit */

	for (uint32 row = 0; row < data->nrows; row++)
	{
		const uint32 *cells = data->cells + (Size) row * model->nfields;

		for (int f = 0; f < model->nfields; f++)
		{
			const MatchValue *value;

			if (cells[f] == 0)
				continue;
			value = model->fields[f].values[cells[f]];
			for (int k = 0; k < value->nkeys - value->nweak; k++)
				AddKeyRow(&keys, MixHash(FieldSpace(model, f) + 1, value->keys[k]), row, f);
		}
	}
	SortKeyRows(keys.rows, keys.count);
	KeepBlocks(&keys, PG_UINT64_MAX);
	SplitBlocks(model, data, &keys, &split, crowds);
	KeepBlocks(&keys, model->max_block);
	SortKeyRows(split.rows, split.count);
	for (uint64 start = 0, end; start < split.count; start = end)
	{
		end = BlockEnd(&split, start);
		if (end - start > model->max_block)
			crowds[split.rows[start].field].left_out++;
	}
	KeepBlocks(&split, model->max_block);

	for (uint32 part = 0; part < parts; part++)
	{
		pairs.count = 0;
		AddBlockPairs(model, &keys, part, parts, &pairs);
		AddBlockPairs(model, &split, part, parts, &pairs);
		if (pairs.count > 0)
			MakeUnique(&pairs);
		for (uint64 i = 0; i < pairs.count; i++)
		{
			uint32 left = pairs.pairs[i] >> 32, right = (uint32) pairs.pairs[i];
			uint64 pattern;

			if (i % 65536 == 0)
			{
				CHECK_FOR_INTERRUPTS();
				ReportProgress(model->progress, "2/4 comparing pairs", i + done, 0);
			}
			Prefetch(model, data, &pairs, i);
			pattern = ComparePattern(model, data->cells + (Size) left * model->nfields,
									 data->cells + (Size) right * model->nfields);
			if (CountPattern(model, estimate, pattern))
				KeepPair(result, left, right, pattern);
		}
		done += pairs.count;
	}
	if (keys.rows)
		pfree(keys.rows);
	if (split.rows)
		pfree(split.rows);
	if (pairs.pairs)
		pfree(pairs.pairs);

	appendStringInfoChar(hot, '[');
	for (int f = 0; f < model->nfields; f++)
	{
		if (crowds[f].blocks == 0)
			continue;
		if (hot->len > 1)
			appendStringInfoString(hot, ", ");
		appendStringInfoString(hot, "{\"column\": ");
		escape_json(hot, model->fields[f].column);
		appendStringInfo(hot,
						 ", \"blocks\": " UINT64_FORMAT ", \"largest\": " UINT64_FORMAT
						 ", \"left_out\": " UINT64_FORMAT "}",
						 crowds[f].blocks, crowds[f].largest, crowds[f].left_out);
	}
	appendStringInfoChar(hot, ']');
}
