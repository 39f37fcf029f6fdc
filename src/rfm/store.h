/*
 * store.h: bring the rows of rfm_member of a model up to date.
 */
#ifndef CRM_STORE_H
#define CRM_STORE_H

#include "postgres.h"

#include "rfm/collector.h"

/*
 * Write the tallies (ascending by member), touching only rows that differ.
 * Returns the number of rows written or removed.
 */
extern uint64 StoreTallies(const char *model_code, const Tally *tallies, size_t n);

#endif
