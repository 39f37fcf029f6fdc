/*
 * snapshot.h: the scores of a run, kept compactly.
 */
#ifndef CRM_RFM_SNAPSHOT_H
#define CRM_RFM_SNAPSHOT_H

#include "postgres.h"

#include "rfm/score.h"

/* Keep the scores of all tallies (ascending by member). */
extern void WriteScores(int64 run_id, const Banding *banding, const Tally *tallies, size_t n);

#endif
