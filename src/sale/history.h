/*
 * history.h: recorded sales, in bulk, in the order they happened.
 */
#ifndef CRM_HISTORY_H
#define CRM_HISTORY_H

#include "sale/sale.h"

/* What rules gave for a sale when it was settled. */
typedef struct Given
{
	const char *rule_code;
	const char *points_type;
	Datum		points;			/* numeric */
} Given;

typedef struct RecordedSale
{
	Sale		sale;			/* its member with the tier held when it was booked; NULL: a guest */
	Given	   *given;
	int			ngiven;
} RecordedSale;

typedef struct History History;

/*
 * The settled sales of members from a moment to before another, as the calling
 * statement sees them.  uses: which attributes will be asked for.  Between
 * SPI_connect and SPI_finish.
 */
extern History *OpenHistory(TimestampTz from, TimestampTz to, const bool *uses, bool with_given);
/* The next sales, good until the next call; their number, 0 at the end. */
extern int	NextSales(History *history, RecordedSale **sales);
extern void CloseHistory(History *history);
/* One of them; NULL where it is none.  In the caller's context. */
extern Sale *RecallSale(int64 member_id, int64 sale_id, const bool *uses);

#endif
