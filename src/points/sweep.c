/*
 * sweep.c: what expired, of many accounts in the order of the index.
 *
 * Accounts that follow each other have their lots on the same page of the index,
 * as often as not: there they are looked up, and only where that page does not
 * tell the index is descended.  What is found there is fetched from the table at
 * the end, in the table's order: lots that expire together were mostly granted
 * together, and lie so.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "points/lot_scan.h"

#include "access/nbtree.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/varlena.h"

/* A lot that expired, perhaps: the index knows of rows that are not there any more. */
typedef struct Found
{
	ItemPointerData place;
	int			account;
	const PointsType *type;
} Found;

struct Sweep
{
	LotScan    *scan;
	BlockNumber leaf;			/* of the index, where the last account was found */
	Found	   *found;
	int			n;
	int			max;
};

/* Where an account's lots begin, and end. */
typedef struct Range
{
	int64		member_id;
	const PointsType *type;
	int			type_length;
	TimestampTz after;
	TimestampTz until;
} Range;

Sweep *
BeginSweep(void)
{
	Sweep	   *sweep = palloc0(sizeof(Sweep));

	sweep->scan = OpenLotScan(NULL, true);
	sweep->leaf = InvalidBlockNumber;
	return sweep;
}

static void
AddFound(Sweep *sweep, ItemPointer place, int account, const PointsType *type)
{
	Found	   *found;

	if (sweep->n == sweep->max)
	{
		sweep->max = sweep->max == 0 ? 1024 : sweep->max * 2;
		sweep->found = sweep->found == NULL ? palloc(sizeof(Found) * sweep->max)
			: repalloc_huge(sweep->found, sizeof(Found) * sweep->max);
	}
	found = &sweep->found[sweep->n++];
	found->place = *place;
	found->account = account;
	found->type = type;
}

/* Whether an item comes before an account's range (-1), after the account (1), or is in it, and when it expires. */
static int
ItemBeside(Relation index, IndexTuple item, const Range *range, TimestampTz *expires_at)
{
	TupleDesc	desc = RelationGetDescr(index);
	bool		isnull;
	int64		member_id = DatumGetInt64(index_getattr(item, KEY_MEMBER_ID, desc, &isnull));
	text	   *type;
	int			order;

	if (member_id != range->member_id)
		return member_id < range->member_id ? -1 : 1;
	type = DatumGetTextPP(index_getattr(item, KEY_POINTS_TYPE, desc, &isnull));
	order = varstr_cmp(VARDATA_ANY(type), VARSIZE_ANY_EXHDR(type), range->type->name, range->type_length,
					   index->rd_indcollation[KEY_POINTS_TYPE - 1]);
	if (order != 0)
		return order;
	*expires_at = DatumGetTimestampTz(index_getattr(item, KEY_EXPIRES_AT, desc, &isnull));
	return *expires_at <= range->after ? -1 : 0;
}

static IndexTuple
ItemAt(Page page, OffsetNumber at)
{
	return (IndexTuple) PageGetItem(page, PageGetItemId(page, at));
}

/*
 * The account's lots on a page of the index, which is locked: false where others
 * of them may be elsewhere, or the page is of another kind than we know.
 */
static bool
SweepPage(Sweep *sweep, Page page, const Range *range, int account, TimestampTz *next)
{
	Relation	index = sweep->scan->index;
	BTPageOpaque opaque = BTPageGetOpaque(page);
	OffsetNumber first = P_FIRSTDATAKEY(opaque);
	OffsetNumber low = first;
	OffsetNumber high = PageGetMaxOffsetNumber(page) + 1;
	OffsetNumber end = high;
	TimestampTz expires_at;
	int			n = sweep->n;

	if (!P_ISLEAF(opaque) || P_IGNORE(opaque))
		return false;
	/* the first item that does not come before it */
	while (low < high)
	{
		OffsetNumber middle = low + (high - low) / 2;

		if (ItemBeside(index, ItemAt(page, middle), range, &expires_at) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	/* one before it and one after what is wanted: so all of that is between them */
	if (low == first)
		return false;
	for (; low < end; low++)
	{
		IndexTuple	item = ItemAt(page, low);

		if (ItemBeside(index, item, range, &expires_at) != 0)
			return true;
		if (ItemIdIsDead(PageGetItemId(page, low)))
			continue;
		/* what a row says that is not there comes too soon at worst: then it is looked at again */
		if (expires_at > range->until)
		{
			*next = expires_at;
			return true;
		}
		if (BTreeTupleIsPosting(item))
			break;
		AddFound(sweep, &item->t_tid, account, range->type);
	}
	sweep->n = n;
	return false;
}

/* On the page where the account before it was. */
static bool
SweepLeaf(Sweep *sweep, const Range *range, int account, TimestampTz *next)
{
	Relation	index = sweep->scan->index;
	Buffer		buffer;
	bool		done;

	if (sweep->leaf == InvalidBlockNumber)
		return false;
	buffer = ReadBuffer(index, sweep->leaf);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	done = SweepPage(sweep, BufferGetPage(buffer), range, account, next);
	if (done)
		PredicateLockPage(index, sweep->leaf, sweep->scan->snapshot);
	UnlockReleaseBuffer(buffer);
	return done;
}

TimestampTz
SweepAccount(Sweep *sweep, int account, int64 member_id, const PointsType *type, TimestampTz after,
			 TimestampTz until)
{
	LotScan    *scan = sweep->scan;
	Range		range = {member_id, type, strlen(type->name), after, until};
	TimestampTz next = DT_NOEND;
	TimestampTz expires_at;

	CHECK_FOR_INTERRUPTS();
	if (SweepLeaf(sweep, &range, account, &next))
		return next;
	ScanLots(scan, member_id, type, after);
	while (NextLot(scan, &expires_at))
	{
		if (scan->index->rd_rel->relam == BTREE_AM_OID)
			sweep->leaf = ((BTScanOpaque) scan->scan->opaque)->currPos.currPage;
		if (expires_at > until)
		{
			next = expires_at;
			break;
		}
		AddFound(sweep, &scan->scan->xs_heaptid, account, type);
	}
	return next;
}

static int
ComparePlaces(const void *a, const void *b)
{
	return ItemPointerCompare(&((Found *) a)->place, &((Found *) b)->place);
}

void
EndSweep(Sweep *sweep, void (*add) (void *accounts, int account, int64 points), void *accounts)
{
	LotScan    *scan = sweep->scan;

	if (sweep->n > 0)
		qsort(sweep->found, sweep->n, sizeof(Found), ComparePlaces);
	for (int i = 0; i < sweep->n; i++)
	{
		Found	   *found = &sweep->found[i];
		bool		again = false;
		OpenLot		lot;

		CHECK_FOR_INTERRUPTS();
		if (table_index_fetch_tuple(scan->scan->xs_heapfetch, &found->place, scan->snapshot, scan->slot, &again, NULL))
		{
			scan->type = found->type;
			ReadLot(scan, &lot);
			add(accounts, found->account, lot.remaining);
		}
	}
	CloseLotScan(scan);
	if (sweep->found != NULL)
		pfree(sweep->found);
	pfree(sweep);
}
