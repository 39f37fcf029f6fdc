/*
 * bulk.h: what belongs to many sales, read together.
 */
#ifndef CRM_BULK_H
#define CRM_BULK_H

#include "sale/sale.h"

#include "executor/spi.h"

/* A statement that is planned for its arguments, each time. */
typedef struct BulkQuery
{
	const char *sql;
	int			nargs;
	Oid			argtypes[5];
	SPIPlanPtr	plan;			/* filled at first use */
} BulkQuery;

/* Called in the context of who asked, for each row; what it is given passes away. */
typedef void (*RowVisitor) (void *reader, const Datum *values, const bool *nulls);

/* Run as the calling statement sees the tables, between SPI_connect and SPI_finish. */
extern void VisitRows(BulkQuery *query, const Datum *values, RowVisitor visit, void *reader);

/* Of numbers, moments or texts; the elements must be such Datums. */
extern Datum ArrayOf(Datum *values, int n, Oid type);

/* The same with the columns after member_id and sale_id, which a sale has. */
typedef void (*SaleRowVisitor) (void *reader, Sale *sale, const Datum *values, const bool *nulls);

/*
 * Rows of a relation that carry the member and number of one of the sales: by key
 * (arrays $1 and $2), or out of all rows.  Like the sale, they keep the member
 * they were written for.
 */
extern void VisitSaleRows(Sale *const *sales, int n, const char *relation, BulkQuery *by_key,
						  BulkQuery *whole, SaleRowVisitor visit, void *reader);

/* Whether rows for n keys are rather found by reading the relation as a whole. */
extern bool ReadAsWhole(const char *relation, int n);

/* Add all lines of the sales, in order. */
extern void LoadManyLines(Sale *const *sales, int n);

#endif
