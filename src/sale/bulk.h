/*
 * bulk.h: what belongs to many sales, read together.
 */
#ifndef CRM_BULK_H
#define CRM_BULK_H

#include "query.h"
#include "sale/sale.h"

/* A RowVisitor with the columns after member_id and sale_id, which a sale has. */
typedef void (*SaleRowVisitor) (void *reader, Sale *sale, const Datum *values, const bool *nulls);

/*
 * Rows of a relation that carry the member and number of one of the sales: by key
 * (arrays $1 and $2), or out of all rows.  Like the sale, they keep the member
 * they were written for.
 */
extern void VisitSaleRows(Sale *const *sales, int n, const char *relation, CrmQuery *by_key,
						  CrmQuery *whole, SaleRowVisitor visit, void *reader);

/* Whether rows for n keys are rather found by reading the relation as a whole. */
extern bool ReadAsWhole(const char *relation, int n);

/* Add all lines of the sales, in order. */
extern void LoadManyLines(Sale *const *sales, int n);

#endif
