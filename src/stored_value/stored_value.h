/*
 * stored_value.h: money that members have paid in, and what was given with it.
 *
 * Two accounts of the points ledger: the principal, and the gift.  Amounts are
 * int64 minor units of money.
 */
#ifndef CRM_STORED_VALUE_H
#define CRM_STORED_VALUE_H

#include "postgres.h"
#include "utils/timestamp.h"

/* how an amount falls on the two */
typedef struct ValueSplit
{
	int64		principal;
	int64		gift;
} ValueSplit;

/* RM701 unless so much can be spent. */
extern void CheckValue(int64 member_id, int64 amount, TimestampTz at);

/* Between SPI_connect and SPI_finish: */
extern void SpendValueOnSale(int64 member_id, int64 sale_id, int64 amount, TimestampTz at,
							 const char *actor);
/* Give back so much of what paid a sale, by the split it was spent with. */
extern void ReturnValueOfSale(int64 member_id, int64 sale_id, int64 refund_id, int64 amount,
							  TimestampTz at, const char *reason, const char *actor);

#endif
