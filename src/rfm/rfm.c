/*
 * rfm.c: input and output of the type rfm_score.
 *
 * Text is three digits, 545, or numbers between hyphens, 10-4-5, which is how a
 * score with a 10 in it is printed.
 */
#include "crm_member.h"
#include "rfm/rfm.h"

#include "libpq/pqformat.h"
#include "utils/builtins.h"

static void
CheckScore(int64 score, const char *what)
{
	if (score < 1 || score > RFM_MAX_BINS)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("%s score " INT64_FORMAT " is out of range", what, score),
						errdetail("A score is 1 to %d.", RFM_MAX_BINS)));
}

/* One score of the hyphenated form; true when it could be read. */
static bool
ReadScore(const char **at, int *score)
{
	const char *s = *at;

	*score = 0;
	while (*s >= '0' && *s <= '9' && s - *at < 2)
		*score = *score * 10 + (*s++ - '0');
	if (s == *at || *score < 1 || *score > RFM_MAX_BINS)
		return false;
	*at = s;
	return true;
}

static bool
ReadRfmScore(const char *s, int *scores)
{
	if (strlen(s) == MEASURE_COUNT)
	{
		for (int i = 0; i < MEASURE_COUNT; i++)
		{
			if (s[i] < '1' || s[i] > '9')
				return false;
			scores[i] = s[i] - '0';
		}
		return true;
	}
	for (int i = 0; i < MEASURE_COUNT; i++)
	{
		if (i > 0 && *s++ != '-')
			return false;
		if (!ReadScore(&s, &scores[i]))
			return false;
	}
	return *s == '\0';
}

PG_FUNCTION_INFO_V1(crm_rfm_score_in);
Datum
crm_rfm_score_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);
	int			scores[MEASURE_COUNT];

	if (!ReadRfmScore(text, scores))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
						errmsg("invalid input syntax for type %s: \"%s\"", "rfm_score", text),
						errhint("Write three digits 1 to 9 such as 545, or numbers 1 to 10 between "
								"hyphens such as 10-4-5.")));
	PG_RETURN_DATUM(RfmScoreGetDatum(MakeRfmScore(scores[0], scores[1], scores[2])));
}

PG_FUNCTION_INFO_V1(crm_rfm_score_out);
Datum
crm_rfm_score_out(PG_FUNCTION_ARGS)
{
	RfmScore	score = DatumGetRfmScore(PG_GETARG_DATUM(0));
	int			r = RfmR(score);
	int			f = RfmF(score);
	int			m = RfmM(score);

	if (r > 9 || f > 9 || m > 9)
		PG_RETURN_CSTRING(psprintf("%d-%d-%d", r, f, m));
	PG_RETURN_CSTRING(psprintf("%d%d%d", r, f, m));
}

PG_FUNCTION_INFO_V1(crm_rfm_score_recv);
Datum
crm_rfm_score_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			r = pq_getmsgbyte(buf);
	int			f = pq_getmsgbyte(buf);
	int			m = pq_getmsgbyte(buf);

	if (r < 1 || r > RFM_MAX_BINS || f < 1 || f > RFM_MAX_BINS || m < 1 || m > RFM_MAX_BINS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("invalid binary form of type %s", "rfm_score")));
	PG_RETURN_DATUM(RfmScoreGetDatum(MakeRfmScore(r, f, m)));
}

PG_FUNCTION_INFO_V1(crm_rfm_score_send);
Datum
crm_rfm_score_send(PG_FUNCTION_ARGS)
{
	RfmScore	score = DatumGetRfmScore(PG_GETARG_DATUM(0));
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendbyte(&buf, RfmR(score));
	pq_sendbyte(&buf, RfmF(score));
	pq_sendbyte(&buf, RfmM(score));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

PG_FUNCTION_INFO_V1(crm_rfm_score);
Datum
crm_rfm_score(PG_FUNCTION_ARGS)
{
	CheckScore(PG_GETARG_INT32(0), "recency");
	CheckScore(PG_GETARG_INT32(1), "frequency");
	CheckScore(PG_GETARG_INT32(2), "monetary");
	PG_RETURN_DATUM(RfmScoreGetDatum(
		MakeRfmScore(PG_GETARG_INT32(0), PG_GETARG_INT32(1), PG_GETARG_INT32(2))));
}

PG_FUNCTION_INFO_V1(crm_r);
Datum
crm_r(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(RfmR(DatumGetRfmScore(PG_GETARG_DATUM(0))));
}

PG_FUNCTION_INFO_V1(crm_f);
Datum
crm_f(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(RfmF(DatumGetRfmScore(PG_GETARG_DATUM(0))));
}

PG_FUNCTION_INFO_V1(crm_m);
Datum
crm_m(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(RfmM(DatumGetRfmScore(PG_GETARG_DATUM(0))));
}
