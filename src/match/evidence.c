/*
 * evidence.c: why a pair weighs what it weighs.
 */
#include "match/match.h"

#include "utils/builtins.h"
#include "utils/json.h"

void
AppendBits(StringInfo out, int32 scaled)
{
	appendStringInfo(out, "%s%d.%04d", scaled < 0 ? "-" : "", abs(scaled) / WEIGHT_SCALE,
					 abs(scaled) % WEIGHT_SCALE);
}

char *
BitsText(int32 scaled)
{
	StringInfoData out;

	initStringInfo(&out);
	AppendBits(&out, scaled);
	return out.data;
}

/* {"prior": bits, "relation": bits, "fields": [{column, comparator, level, m, u, weight,
 * frequency}]} */
char *
EvidenceText(const MatchModel *model, const MatchData *data, uint32 left, uint32 right,
			 uint64 pattern, const uint32 *cluster, int32 relation)
{
	const uint32 *a = data->cells + (Size) left * model->nfields,
				 *b = data->cells + (Size) right * model->nfields;
	int            shared = cluster[left] == cluster[right] ? 1 : 2;
	StringInfoData out;
	bool           first = true;

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"prior\": ");
	AppendBits(&out, PriorWeight(model));
	appendStringInfoString(&out, ", \"relation\": ");
	AppendBits(&out, relation);
	appendStringInfoString(&out, ", \"fields\": [");
	for (int f = 0; f < model->nfields; f++)
	{
		const MatchField *field = &model->fields[f];
		int               level = PATTERN_LEVEL(pattern, f);
		int32             weight, adjustment;

		if (level < 0)
			continue;
		weight = FieldWeight(model, f, level, a[f] ? field->values[a[f]] : NULL,
							 b[f] ? field->values[b[f]] : NULL, shared, &adjustment);
		appendStringInfoString(&out, first ? "{\"column\": " : ", {\"column\": ");
		escape_json(&out, field->column);
		appendStringInfo(
			&out,
			", \"comparator\": \"%s\", \"level\": \"%s\", \"m\": %.6g, \"u\": %.6g, \"weight\": ",
			field->comparator->name, field->comparator->levels[level].name, field->m[level],
			field->u[level]);
		AppendBits(&out, weight);
		appendStringInfoString(&out, ", \"frequency\": ");
		AppendBits(&out, adjustment);
		appendStringInfoChar(&out, '}');
		first = false;
	}
	appendStringInfoString(&out, "]}");
	return out.data;
}
