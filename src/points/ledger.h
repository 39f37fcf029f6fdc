/*
 * ledger.h: posting, for those who post.
 */
#ifndef CRM_LEDGER_H
#define CRM_LEDGER_H

#include "points/points.h"

typedef struct Account
{
	int64		balance;
	int64		entry_no;		/* of the last entry */
} Account;

/*
 * Add n entries with points together to the account, which is made where it is
 * missing, and lock it until the end of the transaction.  All of these run
 * between SPI_connect and SPI_finish.
 */
extern Account AddToAccount(int64 member_id, const PointsType *type, int64 points, int n,
							TimestampTz available_at, TimestampTz expires_at);
extern void InsertLot(int64 member_id, const PointsType *type, int64 lot_no, int64 points,
					  TimestampTz earned_at, TimestampTz available_at, TimestampTz expires_at);

/* Values of statements. */
extern Datum PointsDatum(int64 points, const PointsType *type);
extern int64 PointsColumn(uint64 row, int column, const PointsType *type);
extern Datum NumericArray(const int64 *points, int n, const PointsType *type);

#endif
