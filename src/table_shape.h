/*
 * table_shape.h: what is known of one of our tables, between the files that read
 * and write it.
 */
#ifndef CRM_TABLE_SHAPE_H
#define CRM_TABLE_SHAPE_H

#include "table.h"

#include "access/skey.h"
#include "nodes/execnodes.h"

typedef struct TableShape
{
	MemoryContext context;
	bool		readable;
	bool		insertable;
	bool		updatable;
	bool		replaces_insert;	/* the replacement is called after an insert, */
	bool		replaces_update;	/* after an update */
	AttrNumber	attnums[TABLE_MAX_COLUMNS];
	int			natts;
	bool	   *given;			/* by attribute: a column of the list, and so below */
	ExprState **defaults;		/* NULL: null */
	ExprState **generated;		/* NULL: not */
	bool	   *required;
	int16	   *lengths;		/* of generated ones, for copies */
	bool	   *byval;
	int			nchecks;
	ExprState **checks;
	Oid			key;			/* index of the primary key */
	Oid			claim;			/* index that claims go by */
	int			nkeys;
	ScanKeyData keys[INDEX_MAX_KEYS];	/* lacking their arguments */
} TableShape;

/* The table, if those rights and this act are possible without a statement. */
extern Relation OpenTable(CrmTable *table, AclMode rights, LOCKMODE lock);

#endif
