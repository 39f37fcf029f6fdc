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
/* Where a sale of this source and ref is, whatever it says. */
extern bool LocateSale(const char *source, const char *ref, int64 *member_id, int64 *sale_id);
/* Take source and ref for a new sale; false: somebody else just did, found as by FindSale. */
extern bool ClaimSale(Sale *sale, int64 digest);
/* The error for that. */
extern void RefuseOtherContent(const Sale *sale) pg_attribute_noreturn();
extern void InsertSale(const Sale *sale);
extern void MarkSettled(const EarnedSale *sales, int n);

/* The sale with this member_id and sale_id, but for its member. */
extern void LoadSale(Sale *sale);

/* What these read, of sale s and sale_line l; texts and lines go to the current context. */
#define SALE_HEADER_COLUMNS \
	"s.member_id, s.sale_id, s.source, s.ref, s.store, s.channel, s.sold_at, s.shipping, " \
	"s.attrs, s.actor, s.settled_at"
#define SALE_HEADER_COUNT 11
#define SALE_LINE_COLUMNS \
	"l.line_no, l.sku, l.category, l.brand, l.quantity, l.price, l.amount, l.discount, " \
	"l.min_price, l.tax_rate, l.attrs, l.points_paid"
#define SALE_LINE_COUNT 12

extern void ReadSaleCells(const Datum *values, const bool *nulls, Sale *sale);
/* The next line of a sale, into its place. */
extern void ReadLineCells(const Datum *values, const bool *nulls, Sale *sale, SaleLine *line);

/* Lines of recorded sales, where rows can be read without statements: else NULL, which LoadLines knows. */
extern struct TableRows *OpenLines(void);
/* Add all lines of a sale, in order. */
extern void LoadLines(struct TableRows *lines, Sale *sale);

#endif
