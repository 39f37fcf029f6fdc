/*
 * sort.h: members and tallies in the order of the member.
 */
#ifndef CRM_SORT_H
#define CRM_SORT_H

#include "postgres.h"

#include "rfm/collector.h"

extern void SortMembers(int64 *members, size_t n);
extern void SortTallies(Tally *tallies, size_t n);

#endif
