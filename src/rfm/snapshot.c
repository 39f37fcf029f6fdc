/*
 * snapshot.c: the scores of a run, kept compactly.
 *
 * A row of rfm_snapshot holds some hundred members, ascending from member_from:
 *
 *	for each member
 *	   what its identifier is more than the one before	unsigned number
 *	   (r-1)*100 + (f-1)*10 + (m-1)						2 bytes, lower first
 *	   money in minor units								signed number
 *
 * Numbers are little-endian groups of 7 bits, the upper bit set on all but the
 * last; a signed one is folded so that small ones of either sign are short.
 * That makes 6 to 9 bytes a member, and a row stays below what TOAST takes.
 */
#include "crm_member.h"
#include "rfm/snapshot.h"
#include "rfm/writer.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define CHUNK_SIZE	1900
#define ENTRY_MAX	22			/* two numbers of up to 10 bytes and the score */

enum
{
	COLUMN_RUN_ID,
	COLUMN_MEMBER_FROM,
	COLUMN_SCORES,
	COLUMN_COUNT
};

static const char *const columns[COLUMN_COUNT] = {"run_id", "member_from", "scores"};

static uint8 *
PutNumber(uint8 *at, uint64 number)
{
	while (number >= 0x80)
	{
		*at++ = (uint8) (number | 0x80);
		number >>= 7;
	}
	*at++ = (uint8) number;
	return at;
}

static const uint8 *
GetNumber(const uint8 *at, const uint8 *end, uint64 *number)
{
	int			shift = 0;

	*number = 0;
	do
	{
		if (at == end || shift > 63)
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("scores of a run are damaged")));
		*number |= (uint64) (*at & 0x7F) << shift;
		shift += 7;
	} while (*at++ & 0x80);
	return at;
}

static inline uint64
Fold(int64 number)
{
	return ((uint64) number << 1) ^ (uint64) (number >> 63);
}

static inline int64
Unfold(uint64 number)
{
	return (int64) (number >> 1) ^ -(int64) (number & 1);
}

static void
WriteChunk(Writer *writer, int64 run_id, int64 member_from, const uint8 *data, size_t size)
{
	TupleTableSlot *row = NextRow(writer);
	bytea	   *scores = MemoryContextAlloc(writer->context, VARHDRSZ + size);

	SET_VARSIZE(scores, VARHDRSZ + size);
	memcpy(VARDATA(scores), data, size);
	row->tts_values[writer->places[COLUMN_RUN_ID]] = Int64GetDatum(run_id);
	row->tts_values[writer->places[COLUMN_MEMBER_FROM]] = Int64GetDatum(member_from);
	row->tts_values[writer->places[COLUMN_SCORES]] = PointerGetDatum(scores);
	InsertRow(writer);
}

void
WriteScores(int64 run_id, const Banding *banding, const Tally *tallies, size_t n)
{
	Writer		writer;
	uint8		data[CHUNK_SIZE];
	uint8	   *at = data;
	int64		member_from = 0;
	int64		previous = 0;

	OpenWriter(&writer, "rfm_snapshot", columns, COLUMN_COUNT);
	for (size_t i = 0; i < n; i++)
	{
		RfmScore	score = ScoreTally(banding, &tallies[i], tallies[i].member);
		uint16		packed = (RfmR(score) - 1) * 100 + (RfmF(score) - 1) * 10 + RfmM(score) - 1;

		if (at == data)
			member_from = previous = tallies[i].member;
		at = PutNumber(at, (uint64) (tallies[i].member - previous));
		*at++ = (uint8) packed;
		*at++ = (uint8) (packed >> 8);
		at = PutNumber(at, Fold(tallies[i].monetary));
		previous = tallies[i].member;
		if (at + ENTRY_MAX > data + CHUNK_SIZE || i == n - 1)
		{
			WriteChunk(&writer, run_id, member_from, data, at - data);
			at = data;
		}
	}
	CloseWriter(&writer);
}

/* The next member of a chunk; member holds the one before, or member_from. */
static inline const uint8 *
GetEntry(const uint8 *at, const uint8 *end, int64 *member, RfmScore *score, int64 *monetary)
{
	uint64		number;
	uint16		packed;

	at = GetNumber(at, end, &number);
	*member += (int64) number;
	if (end - at < 2)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("scores of a run are damaged")));
	packed = at[0] | at[1] << 8;
	*score = MakeRfmScore(packed / 100 % 10 + 1, packed / 10 % 10 + 1, packed % 10 + 1);
	at = GetNumber(at + 2, end, &number);
	*monetary = Unfold(number);
	return at;
}

size_t
UnpackScores(int64 member_from, const bytea *chunk, int64 *members, RfmScore *scores, size_t limit)
{
	const uint8 *at = (const uint8 *) VARDATA_ANY(chunk);
	const uint8 *end = at + VARSIZE_ANY_EXHDR(chunk);
	int64		monetary;
	size_t		n = 0;

	for (; at < end && n < limit; n++)
	{
		at = GetEntry(at, end, &member_from, &scores[n], &monetary);
		members[n] = member_from;
	}
	return n;
}

/* The members of a row of rfm_snapshot. */
PG_FUNCTION_INFO_V1(crm_unpack_scores);
Datum
crm_unpack_scores(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		member = PG_GETARG_INT64(0);
	bytea	   *scores = PG_GETARG_BYTEA_PP(1);
	const uint8 *at = (const uint8 *) VARDATA_ANY(scores);
	const uint8 *end = at + VARSIZE_ANY_EXHDR(scores);

	InitMaterializedSRF(fcinfo, 0);
	while (at < end)
	{
		Datum		values[3];
		bool		nulls[3] = {false};
		RfmScore	score;
		int64		monetary;

		at = GetEntry(at, end, &member, &score, &monetary);
		values[0] = Int64GetDatum(member);
		values[1] = RfmScoreGetDatum(score);
		values[2] = Int64GetDatum(monetary);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
