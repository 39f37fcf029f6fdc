/*
 * row.h: sales as rows of sale, sale_line and the directory sale_ref.
 */
#ifndef CRM_ROW_H
#define CRM_ROW_H

#include "points/points.h"
#include "sale/sale.h"

/*
 * Is there a sale with this source and ref?  Then sale gets its member and
 * number.  Error RM001 where it was rung up from a document with another digest.
 */
extern bool FindSale(Sale *sale, int64 digest);
/* Take source and ref for a new sale; false: somebody else just did, found as by FindSale. */
extern bool ClaimSale(Sale *sale, int64 digest);
extern void InsertSale(const Sale *sale);
extern void MarkSettled(const EarnedSale *sales, int n);

/* The sale with this member_id and sale_id, but for its member. */
extern void LoadSale(Sale *sale);

/* What ReadSaleRow() reads, of sale s and sale_line l. */
#define SALE_COLUMNS \
	"s.member_id, s.sale_id, s.source, s.ref, s.store, s.channel, s.sold_at, s.shipping, " \
	"s.attrs, s.actor, s.settled_at, l.line_no, l.sku, l.category, l.brand, l.quantity, " \
	"l.price, l.amount, l.discount, l.min_price, l.tax_rate, l.attrs, l.points_paid"
#define SALE_COLUMN_COUNT 23

extern bool ReadSaleRow(uint64 row, Sale *sale);

#endif
