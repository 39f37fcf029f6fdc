/*
 * claim.h: is this person a member already?
 */
#ifndef CRM_MATCH_CLAIM_H
#define CRM_MATCH_CLAIM_H

#include "postgres.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

/*
 * Between SPI_connect and SPI_finish: the member that match_member() holds likeliest
 * to be the candidate, or 0 where none has this probability; whoever asks of the
 * same person meanwhile waits for the end of this transaction.
 */
extern int64 ClaimPerson(Jsonb *candidate, Numeric least, char **probability);

#endif
