/*
 * lot_scan.h: a scan of open lots, for those who look into it.
 */
#ifndef CRM_LOT_SCAN_H
#define CRM_LOT_SCAN_H

#include "points/ledger.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

/* Columns of points_lot and of its index. */
enum
{
	LOT_NO = 3,
	LOT_REMAINING = 5,
	LOT_AVAILABLE_AT = 8,
	LOT_COLUMNS = 12,
	KEY_MEMBER_ID = 1,
	KEY_POINTS_TYPE,
	KEY_EXPIRES_AT
};

struct LotScan
{
	Relation	lots;
	Relation	index;
	Snapshot	snapshot;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	const PointsType *type;
};

/* The row in the slot. */
extern void ReadLot(LotScan *scan, OpenLot *lot);

#endif
