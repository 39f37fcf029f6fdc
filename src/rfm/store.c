/*
 * store.c: bring the rows of rfm_member of a model up to date.
 *
 * Rows that differ are updated, in their page where there is room; new ones are
 * inserted many at a time in the order of member_id, which keeps the index from
 * splitting in its middle.
 */
#include "crm_member.h"
#include "catalog.h"
#include "rfm/store.h"
#include "rfm/writer.h"

#include "access/table.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/snapmgr.h"

enum
{
	COLUMN_MEMBER_ID,
	COLUMN_FIRST_DAY,
	COLUMN_LAST_DAY,
	COLUMN_FREQUENCY,
	COLUMN_MONETARY,
	COLUMN_MODEL_CODE,
	COLUMN_COUNT
};

static const char *const columns[COLUMN_COUNT] = {"member_id", "first_day", "last_day", "frequency",
	"monetary", "model_code"};

static void
FillRow(const Writer *writer, TupleTableSlot *row, const Tally *tally, text *model_code)
{
	const int  *places = writer->places;

	row->tts_values[places[COLUMN_MEMBER_ID]] = Int64GetDatum(tally->member);
	row->tts_values[places[COLUMN_FIRST_DAY]] = DateADTGetDatum(tally->first_day - POSTGRES_EPOCH_JDATE);
	row->tts_values[places[COLUMN_LAST_DAY]] = DateADTGetDatum(tally->last_day - POSTGRES_EPOCH_JDATE);
	row->tts_values[places[COLUMN_FREQUENCY]] = Int64GetDatum(tally->frequency);
	row->tts_values[places[COLUMN_MONETARY]] = Int64GetDatum(tally->monetary);
	row->tts_values[places[COLUMN_MODEL_CODE]] = PointerGetDatum(model_code);
}

static bool
SameText(text *a, Datum b)
{
	text	   *other = DatumGetTextPP(b);
	int			length = VARSIZE_ANY_EXHDR(a);

	return VARSIZE_ANY_EXHDR(other) == length &&
		   memcmp(VARDATA_ANY(a), VARDATA_ANY(other), length) == 0;
}

#define ST_SORT SortStored
#define ST_ELEMENT_TYPE StoredTally
#define ST_COMPARE(a, b) \
	((a)->tally.member < (b)->tally.member ? -1 : (a)->tally.member > (b)->tally.member)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

size_t
LoadTallies(const char *model_code, StoredTally **stored)
{
	Relation	rel = table_open(CrmRelation("rfm_member"), AccessShareLock);
	TupleTableSlot *row = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	text	   *model = cstring_to_text(model_code);
	size_t		allocated = 4096;
	size_t		n = 0;
	bool		ascending = true;
	int			places[COLUMN_COUNT];

	FindColumns(rel, columns, COLUMN_COUNT, places);
	*stored = palloc(allocated * sizeof(StoredTally));
	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		StoredTally *next;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(row);
		if (!SameText(model, row->tts_values[places[COLUMN_MODEL_CODE]]))
			continue;
		if (n == allocated)
		{
			allocated *= 2;
			*stored = repalloc_huge(*stored, allocated * sizeof(StoredTally));
		}
		next = &(*stored)[n++];
		next->tid = row->tts_tid;
		next->tally.member = DatumGetInt64(row->tts_values[places[COLUMN_MEMBER_ID]]);
		next->tally.frequency = DatumGetInt64(row->tts_values[places[COLUMN_FREQUENCY]]);
		next->tally.monetary = DatumGetInt64(row->tts_values[places[COLUMN_MONETARY]]);
		next->tally.first_day =
			DatumGetDateADT(row->tts_values[places[COLUMN_FIRST_DAY]]) + POSTGRES_EPOCH_JDATE;
		next->tally.last_day =
			DatumGetDateADT(row->tts_values[places[COLUMN_LAST_DAY]]) + POSTGRES_EPOCH_JDATE;
		if (n > 1 && next->tally.member < next[-1].tally.member)
			ascending = false;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
	table_close(rel, NoLock);
	if (!ascending)
		SortStored(*stored, n);
	return n;
}

static bool
SameTally(const Tally *a, const Tally *b)
{
	return a->frequency == b->frequency && a->monetary == b->monetary &&
		   a->first_day == b->first_day && a->last_day == b->last_day;
}

uint64
StoreTallies(const char *model_code, const StoredTally *stored, size_t nstored,
			 const Tally *tallies, size_t n)
{
	Writer		writer;
	text	   *model = cstring_to_text(model_code);
	uint64		changed = 0;
	size_t		i = 0;
	size_t		s = 0;

	OpenWriter(&writer, "rfm_member", columns, COLUMN_COUNT);
	while (i < n || s < nstored)
	{
		if (s == nstored || (i < n && tallies[i].member < stored[s].tally.member))
		{
			FillRow(&writer, NextRow(&writer), &tallies[i++], model);
			InsertRow(&writer);
			changed++;
		}
		else if (i == n || stored[s].tally.member < tallies[i].member)
		{
			DeleteRow(&writer, stored[s++].tid);
			changed++;
		}
		else
		{
			if (!SameTally(&tallies[i], &stored[s].tally))
			{
				FillRow(&writer, UpdatedRow(&writer), &tallies[i], model);
				UpdateRow(&writer, stored[s].tid);
				changed++;
			}
			i++;
			s++;
		}
	}
	CloseWriter(&writer);
	return changed;
}
