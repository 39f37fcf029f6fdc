/*
 * collector.c: purchases in, one tally per member out.
 *
 * A hash table of 32-byte tallies with linear probing.  With a million members
 * nearly every purchase misses the processor's cache, so purchases are gathered
 * in batches: the slot of each is asked for when it comes and used when the
 * batch is full, and the misses of a batch overlap.  Memory: at most 48 bytes a
 * slot while growing, that is 64 to 128 MB for a million members.
 */
#include "crm_member.h"
#include "rfm/collector.h"

#include "common/int.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

#define BATCH_SIZE	  256
#define INITIAL_SLOTS 4096
#define HUGE_PAGE	  (2 * 1024 * 1024)
#define GOLDEN		  UINT64CONST(0x9E3779B97F4A7C15)	/* 2^64 by the golden ratio */

/* A member and a day on which it has bought. */
typedef struct DayKey
{
	int64		member;
	int32		day;
} DayKey;

typedef struct MemberDay
{
	DayKey		key;
	char		status;
} MemberDay;

static inline uint32
HashDay(DayKey key)
{
	return (uint32) (((uint64) key.member ^ (uint64) key.day << 40) * GOLDEN >> 32);
}

#define SH_PREFIX dayset
#define SH_ELEMENT_TYPE MemberDay
#define SH_KEY_TYPE DayKey
#define SH_KEY key
#define SH_HASH_KEY(tb, key) HashDay(key)
#define SH_EQUAL(tb, a, b) ((a).member == (b).member && (a).day == (b).day)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct Collector
{
	MemoryContext context;
	void	   *memory;			/* in which the slots lie, two in each line of the cache */
	Tally	   *slots;
	size_t		nslots;			/* a power of two */
	size_t		nmembers;
	int			shift;			/* 64 - log2(nslots) */
	dayset_hash *days;			/* NULL: not counted by days */
	int			npending;
	Tally		pending[BATCH_SIZE];
};

/* Fibonacci hashing: identifiers differ in their upper or lower bits, the product in its upper. */
static inline size_t
SlotOf(const Collector *collector, int64 member)
{
	return ((uint64) member * GOLDEN) >> collector->shift;
}

static void
AllocateSlots(Collector *collector, size_t nslots)
{
	Size		size = nslots * sizeof(Tally);
	void	   *memory = MemoryContextAllocExtended(
		collector->context, size + PG_CACHE_LINE_SIZE, MCXT_ALLOC_HUGE);
	Tally	   *slots = (Tally *) CACHELINEALIGN(memory);

#if defined(__linux__) && defined(MADV_HUGEPAGE)
	/* Large pages spare most of the address translation; refusal does no harm. */
	if (size >= 4 * HUGE_PAGE)
	{
		char	   *from = (char *) TYPEALIGN(HUGE_PAGE, slots);

		(void) madvise(from, (char *) slots + size - from, MADV_HUGEPAGE);
	}
#endif
	memset(slots, 0, size);
	collector->memory = memory;
	collector->slots = slots;
	collector->nslots = nslots;
	collector->shift = 64 - pg_leftmost_one_pos64(nslots);
}

/* Are so many members, and a batch more, below three quarters of the slots? */
static inline bool
HasRoom(size_t nslots, size_t nmembers)
{
	return (nmembers + BATCH_SIZE) * 4 <= nslots * 3;
}

Collector *
CreateCollector(bool by_days, size_t expected)
{
	Collector  *collector = palloc(sizeof(Collector));
	size_t		nslots = INITIAL_SLOTS;

	collector->context = CurrentMemoryContext;
	collector->nmembers = 0;
	collector->npending = 0;
	collector->days = by_days ? dayset_create(CurrentMemoryContext, INITIAL_SLOTS, NULL) : NULL;
	while (!HasRoom(nslots, expected))
		nslots *= 2;
	AllocateSlots(collector, nslots);
	return collector;
}

/* The member's slot, or the empty one it belongs in. */
static inline Tally *
FindSlot(const Collector *collector, int64 member)
{
	size_t		mask = collector->nslots - 1;
	size_t		i = SlotOf(collector, member);

	while (collector->slots[i].last_day != 0 && collector->slots[i].member != member)
		i = (i + 1) & mask;
	return &collector->slots[i];
}

static void
Grow(Collector *collector)
{
	Tally	   *old = collector->slots;
	void	   *memory = collector->memory;
	size_t		nold = collector->nslots;

	AllocateSlots(collector, nold * 2);
	for (size_t i = 0; i < nold; i++)
	{
		if (old[i].last_day != 0)
			*FindSlot(collector, old[i].member) = old[i];
	}
	pfree(memory);
}

static void
OutOfRange(const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					errmsg("sum of %s of a member is out of range", what)));
}

static void
Flush(Collector *collector)
{
	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < collector->npending; i++)
	{
		Tally	   *purchase = &collector->pending[i];
		Tally	   *tally = FindSlot(collector, purchase->member);

		if (collector->days != NULL)
		{
			DayKey		key = {purchase->member, purchase->last_day};
			bool		known;

			dayset_insert(collector->days, key, &known);
			purchase->frequency = known ? 0 : 1;
		}
		if (tally->last_day == 0)
		{
			*tally = *purchase;
			collector->nmembers++;
			continue;
		}
		if (pg_add_s64_overflow(tally->frequency, purchase->frequency, &tally->frequency))
			OutOfRange("frequency");
		if (pg_add_s64_overflow(tally->monetary, purchase->monetary, &tally->monetary))
			OutOfRange("money");
		tally->first_day = Min(tally->first_day, purchase->first_day);
		tally->last_day = Max(tally->last_day, purchase->last_day);
	}
	collector->npending = 0;
	if (!HasRoom(collector->nslots, collector->nmembers))
		Grow(collector);
}

static inline Tally *
NextPending(Collector *collector, int64 member)
{
	if (collector->npending == BATCH_SIZE)
		Flush(collector);
	__builtin_prefetch(&collector->slots[SlotOf(collector, member)], 1);
	return &collector->pending[collector->npending++];
}

void
CollectPurchase(Collector *collector, int64 member, int32 day, int64 frequency, int64 monetary)
{
	Tally	   *purchase = NextPending(collector, member);

	if (collector->days != NULL)
	{
		DayKey		key = {member, day};

		__builtin_prefetch(
			&collector->days->data[dayset_initial_bucket(collector->days, HashDay(key))], 1);
	}
	purchase->member = member;
	purchase->frequency = frequency;
	purchase->monetary = monetary;
	purchase->first_day = day;
	purchase->last_day = day;
}

void
ReserveCollector(Collector *collector, size_t n)
{
	Flush(collector);
	while (!HasRoom(collector->nslots, n))
		Grow(collector);
}

void
CollectTallies(Collector *collector, const Tally *tallies, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*NextPending(collector, tallies[i].member) = tallies[i];
}

void
ScaleCollected(Collector *collector, int64 factor)
{
	Flush(collector);
	for (size_t i = 0; i < collector->nslots; i++)
	{
		Tally	   *tally = &collector->slots[i];

		if (pg_mul_s64_overflow(tally->monetary, factor, &tally->monetary))
			OutOfRange("money");
	}
}

size_t
FinishCollector(Collector *collector, Tally **tallies)
{
	size_t		n = 0;

	Flush(collector);
	for (size_t i = 0; i < collector->nslots; i++)
	{
		if (collector->slots[i].last_day != 0)
			collector->slots[n++] = collector->slots[i];
	}
	*tallies = collector->slots;
	return n;
}
