/*
 * snapshot.h: the scores of a run, kept compactly.
 */
#ifndef CRM_RFM_SNAPSHOT_H
#define CRM_RFM_SNAPSHOT_H

#include "postgres.h"

#include "rfm/score.h"

/* Keep the scores of all tallies (ascending by member). */
extern void WriteScores(int64 run_id, const Banding *banding, const Tally *tallies, size_t n);

/*
 * The members of a chunk (a row of rfm_snapshot) and their scores, at most limit
 * of them; returns how many.  Error XX001 for damaged data.
 */
extern size_t UnpackScores(int64 member_from, const bytea *chunk, int64 *members, RfmScore *scores,
						   size_t limit);

#endif
