/*
 * tree.h: a condition between its text and its datum.
 */
#ifndef CRM_TREE_H
#define CRM_TREE_H

#include "condition/condition_datum.h"

/* A literal before it has its place: text still points to bytes of its own. */
typedef struct Value
{
	FactType	type;
	Decimal		number;
	int64		time;
	bool		boolean;
	char	   *text;
	int			length;
} Value;

typedef struct Tree
{
	ConditionNode		node;
	Value	   *key;			/* of an open operand */
	Value	   *values;			/* node.count of them */
	struct Tree *child;			/* the first one */
	struct Tree *last_child;
	struct Tree *next;			/* of the same parent */
} Tree;

/* layout.c: the datum, allocated in a context. */
extern Condition *LayOut(const Tree *tree, MemoryContext context);

#endif
