/*
 * segment.c: the segment a score belongs to.
 *
 * Segments are rows; for each set and number of bins that is asked for, a map
 * from every score there is to its segment is made once and kept until a
 * segment changes.
 */
#include "crm_member.h"
#include "catalog.h"
#include "configuration.h"
#include "query.h"
#include "rfm/segment.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define CELLS (RFM_MAX_BINS * RFM_MAX_BINS * RFM_MAX_BINS)

typedef struct SegmentMap
{
	struct SegmentMap *next;
	char	   *set;
	int			set_length;
	int			bins;
	text	   *cells[CELLS];
} SegmentMap;

static MemoryContext maps_context = NULL;
static SegmentMap *maps = NULL;
static bool maps_valid = false;

static int
CellOf(RfmScore score)
{
	return ((RfmR(score) - 1) * RFM_MAX_BINS + RfmF(score) - 1) * RFM_MAX_BINS + RfmM(score) - 1;
}

/* Score s of bins, in the bands a set of segments counts in. */
static int
ScaleScore(int score, int bins, int set_bins)
{
	return (score * set_bins + bins - 1) / bins;
}

static void
FillMap(SegmentMap *map, const int16 *range, int set_bins, text *code)
{
	for (int r = 1; r <= map->bins; r++)
	{
		for (int f = 1; f <= map->bins; f++)
		{
			for (int m = 1; m <= map->bins; m++)
			{
				int			scaled[] = {ScaleScore(r, map->bins, set_bins),
										ScaleScore(f, map->bins, set_bins),
										ScaleScore(m, map->bins, set_bins)};
				text	  **cell = &map->cells[CellOf(MakeRfmScore(r, f, m))];
				bool		inside = true;

				for (int i = 0; i < MEASURE_COUNT; i++)
					inside = inside && scaled[i] >= range[2 * i] && scaled[i] <= range[2 * i + 1];
				if (inside && *cell == NULL)
					*cell = code;
			}
		}
	}
}

/* Segments are read as their owner: whoever sees a score may see its segment. */
static SegmentMap *
MakeMap(const char *set, int set_length, int bins)
{
	static CrmQuery query = {
		"SELECT g.segment_code, s.bins, g.r_from, g.r_to, g.f_from, g.f_to, g.m_from, g.m_to "
		"FROM crm_member.segment_set s JOIN crm_member.segment g "
		"ON g.segment_set OPERATOR(pg_catalog.=) s.segment_set "
		"WHERE s.segment_set OPERATOR(pg_catalog.=) $1 ORDER BY g.position, g.segment_code",
		1, {TEXTOID}};
	SegmentMap *map = MemoryContextAllocZero(maps_context, sizeof(SegmentMap));
	Datum		values[1];
	Oid			user;
	int			security;
	uint64		n;

	map->set = MemoryContextStrdup(maps_context, pnstrdup(set, set_length));
	map->set_length = set_length;
	map->bins = bins;
	values[0] = CStringGetTextDatum(map->set);

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(RelationOwner(CrmRelation("segment")),
						   security | SECURITY_LOCAL_USERID_CHANGE);
	BeginConfiguration("segment");
	n = RunQuery(&query, values, NULL, true, 0);
	for (uint64 row = 0; row < n; row++)
	{
		bool		isnull;
		MemoryContext old = MemoryContextSwitchTo(maps_context);
		text	   *code = DatumGetTextPCopy(QueryColumn(row, 1, &isnull));
		int			set_bins = DatumGetInt16(QueryColumn(row, 2, &isnull));
		int16		range[2 * MEASURE_COUNT];

		MemoryContextSwitchTo(old);
		for (int i = 0; i < 2 * MEASURE_COUNT; i++)
			range[i] = DatumGetInt16(QueryColumn(row, 3 + i, &isnull));
		FillMap(map, range, set_bins, code);
	}
	EndConfiguration();
	SetUserIdAndSecContext(user, security);
	map->next = maps;
	maps = map;
	return map;
}

static SegmentMap *
GetMap(const char *set, int set_length, int bins)
{
	static const char *const watched[] = {"segment_set", "segment"};

	if (!maps_valid)
	{
		if (maps_context == NULL)
			maps_context = AllocSetContextCreate(TopMemoryContext, "crm_member segments",
												 ALLOCSET_DEFAULT_SIZES);
		maps = NULL;
		MemoryContextReset(maps_context);
		WatchRelations(&maps_valid, watched, lengthof(watched));
		maps_valid = true;
	}
	for (SegmentMap *map = maps; map != NULL; map = map->next)
	{
		if (map->bins == bins && map->set_length == set_length &&
			memcmp(map->set, set, set_length) == 0)
			return map;
	}
	return MakeMap(set, set_length, bins);
}

text *
SegmentOf(const char *set, int set_length, int bins, RfmScore score)
{
	return GetMap(set, set_length, bins)->cells[CellOf(score)];
}

PG_FUNCTION_INFO_V1(crm_segment_of);
Datum
crm_segment_of(PG_FUNCTION_ARGS)
{
	text	   *set = PG_GETARG_TEXT_PP(0);
	int			bins = PG_GETARG_INT32(1);
	RfmScore	score = DatumGetRfmScore(PG_GETARG_DATUM(2));
	text	   *code;

	if (bins < RFM_MIN_BINS || bins > RFM_MAX_BINS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("number of bins %d is out of range", bins),
						errdetail("A score has %d to %d bins.", RFM_MIN_BINS, RFM_MAX_BINS)));
	code = SegmentOf(VARDATA_ANY(set), VARSIZE_ANY_EXHDR(set), bins, score);
	if (code == NULL)
		PG_RETURN_NULL();
	/* a change of the segments may free the map while the value is in use */
	PG_RETURN_TEXT_P(DatumGetTextPCopy(PointerGetDatum(code)));
}

bool
MemberRfm(int64 member_id, RfmScore *score, const char **segment)
{
	static CrmQuery query = {
		"SELECT crm_member.score_member(r.cuts, t.member_id, t.last_day, t.frequency, t.monetary), "
		"crm_member.segment_of(d.segments, r.bins, crm_member.score_member(r.cuts, t.member_id, "
		"t.last_day, t.frequency, t.monetary)) "
		"FROM crm_member.rfm_member t "
		"JOIN crm_member.rfm_state c ON c.model_code OPERATOR(pg_catalog.=) t.model_code "
		"JOIN crm_member.rfm_run r ON r.run_id OPERATOR(pg_catalog.=) c.run_id "
		"JOIN crm_member.rfm_model d ON d.model_code OPERATOR(pg_catalog.=) t.model_code "
		"WHERE t.member_id OPERATOR(pg_catalog.=) $1 "
		"AND t.model_code OPERATOR(pg_catalog.=) 'default'",
		1, {INT8OID}};
	Datum		values[] = {Int64GetDatum(member_id)};
	MemoryContext caller = CurrentMemoryContext;
	Datum		code;
	bool		isnull;
	bool		found;

	SPI_connect();
	found = RunQuery(&query, values, NULL, false, 1) == 1;
	if (found)
	{
		*score = DatumGetRfmScore(QueryColumn(0, 1, &isnull));
		code = QueryColumn(0, 2, &isnull);
		*segment = isnull ? NULL :
			MemoryContextStrdup(caller, TextDatumGetCString(code));
	}
	SPI_finish();
	return found;
}
