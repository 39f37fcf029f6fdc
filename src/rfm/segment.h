/*
 * segment.h: the segment a score belongs to.
 */
#ifndef CRM_SEGMENT_H
#define CRM_SEGMENT_H

#include "postgres.h"

#include "rfm/rfm.h"

/* Code of the segment, or NULL where none takes the score; valid until the next statement. */
extern text *SegmentOf(const char *set, int set_length, int bins, RfmScore score);

/*
 * The member's score in force and its segment by the model 'default'; false
 * where it has none.  segment may come out NULL.  Opens SPI itself.
 */
extern bool MemberRfm(int64 member_id, RfmScore *score, const char **segment);

#endif
