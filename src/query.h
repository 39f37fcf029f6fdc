/*
 * query.h: SQL from C, with plans kept for the life of the session.
 *
 * A statement is a constant string with $n parameters.  Everything in it is
 * qualified, or its caller runs under SET search_path = pg_catalog, pg_temp.
 */
#ifndef CRM_QUERY_H
#define CRM_QUERY_H

#include "postgres.h"
#include "executor/spi.h"

#define QUERY_MAX_ARGS 24

typedef struct CrmQuery
{
	const char *sql;
	int			nargs;
	Oid			argtypes[QUERY_MAX_ARGS];
	SPIPlanPtr	plan;			/* filled at first use */
} CrmQuery;

/*
 * Run between SPI_connect and SPI_finish; returns SPI_processed.  nulls as for
 * SPI_execute_plan (NULL: no argument is null).  limit 0 is all rows.
 */
extern uint64 RunQuery(CrmQuery *query, Datum *values, const char *nulls, bool read_only, long limit);

/*
 * Run for values, of which none is null, and hand each row straight from the
 * executor to a function, in the context of who asked; what that is given passes
 * away.  As the calling statement sees the tables, between SPI_connect and
 * SPI_finish.  The statement is planned for its values each time.
 */
typedef void (*RowVisitor) (void *reader, const Datum *values, const bool *nulls);
extern void VisitRows(CrmQuery *query, const Datum *values, RowVisitor visit, void *reader);

/*
 * Rows that a statement reads as the table "batch".  One batch is registered at
 * a time.
 */
typedef struct BatchColumn
{
	const char *name;
	Oid			type;
} BatchColumn;

typedef struct RowBatch
{
	TupleDesc	desc;
	struct Tuplestorestate *rows;
	int64		count;
} RowBatch;

extern RowBatch *BeginBatch(const BatchColumn *columns, int ncolumns);
extern void AddRow(RowBatch *batch, Datum *values, bool *nulls);
extern uint64 RunBatch(CrmQuery *query, RowBatch *batch);
extern void EndBatch(RowBatch *batch);

/* A cursor over a query. */
extern Portal OpenQuery(CrmQuery *query, Datum *values, bool read_only);

/* A text, or NULL with *isnull set: for rows; and with *null 'n': for the nulls of RunQuery. */
extern Datum TextOrNull(const char *text, bool *isnull);
extern Datum NullableText(const char *text, char *null);
/* For a parameter; without nulls. */
extern Datum ArrayOf(Datum *values, int n, Oid type);
extern Datum IdArray(const int64 *ids, int n);

/* Column of a row as text in the current context; NULL where it is null. */
extern char *QueryText(uint64 row, int column);

/* Column of a row of SPI_tuptable; the Datum lives as long as the SPI result. */
extern Datum QueryColumn(uint64 row, int column, bool *isnull);

#endif
