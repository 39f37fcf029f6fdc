/*
 * sort.c: members and tallies in the order of the member.
 */
#include "postgres.h"

#include "rfm/sort.h"

#include "miscadmin.h"

#define ST_SORT SortMembers
#define ST_ELEMENT_TYPE int64
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

#define ST_SORT SortTallies
#define ST_ELEMENT_TYPE Tally
#define ST_COMPARE(a, b) ((a)->member < (b)->member ? -1 : (a)->member > (b)->member)
#define ST_SCOPE
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"
