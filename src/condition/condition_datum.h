/*
 * condition_datum.h: the inside of a condition.
 *
 *	 Condition | Literal literals[nliterals] | ConditionNode nodes[nnodes] | bytes of texts
 *
 * Nodes stand in prefix order: an inner node is followed by its children, and
 * node.end is the number of the node after its subtree, so evaluation walks the
 * array and skips by number.  Everything is canonical (lists sorted, and/or
 * flattened, no unset bytes), so equal conditions are equal bytes.
 *
 * The datum is stored: numbers of attributes, operands, kinds and operators
 * never change their meaning; new ones go at the end.
 */
#ifndef CRM_CONDITION_DATUM_H
#define CRM_CONDITION_DATUM_H

#include "condition/condition.h"

#define CONDITION_FORMAT	1
#define CONDITION_MAX_DEPTH 100
#define CONDITION_MAX_SIZE	(1024 * 1024)

typedef enum NodeKind
{
	NODE_CONSTANT,				/* op is the Truth */
	NODE_AND,
	NODE_OR,
	NODE_NOT,
	NODE_BOOLEAN,				/* a boolean operand by itself */
	NODE_NULL,					/* is null */
	NODE_COMPARE,				/* op is a Comparison */
	NODE_BETWEEN,
	NODE_IN,					/* literals sorted, no two equal */
	NODE_LIKE					/* the literal is the prefix */
} NodeKind;

/* The outcomes of a comparison that satisfy it, one bit each. */
typedef enum Comparison
{
	COMPARE_LESS = 1,
	COMPARE_EQUAL = 2,
	COMPARE_GREATER = 4,
	COMPARE_UNEQUAL = COMPARE_LESS | COMPARE_GREATER,
	COMPARE_LESS_EQUAL = COMPARE_LESS | COMPARE_EQUAL,
	COMPARE_GREATER_EQUAL = COMPARE_GREATER | COMPARE_EQUAL
} Comparison;

/* An operand is an Attribute or one of these. */
#define OPERAND_ATTR 200		/* + Subject */
#define OPERAND_TAG	 203

typedef struct Literal
{
	union
	{
		int64		number;		/* units */
		int64		time;		/* DateADT or TimestampTz */
		struct
		{
			uint32		offset;	/* into the texts */
			uint32		length;
		}			text;
	}			value;
	int32		scale;			/* of a number, which has no trailing zeros */
	int32		unused;
} Literal;

typedef struct ConditionNode
{
	uint8		kind;			/* NodeKind */
	uint8		operand;
	uint8		type;			/* FactType of the literals */
	uint8		op;				/* Comparison; elsewhere: 1 for "not" */
	uint32		end;
	uint32		key;			/* literal that is the key of an open operand */
	uint32		first;			/* first literal */
	uint32		count;			/* of literals, without the key */
} ConditionNode;

struct Condition
{
	int32		vl_len_;
	uint16		format;
	uint16		subjects;		/* bits: SUBJECT_BIT, ATTRS_BIT, TAGS_BIT */
	uint64		attributes;		/* a bit for each Attribute */
	uint32		nliterals;
	uint32		nnodes;
	Literal		literals[FLEXIBLE_ARRAY_MEMBER];
};

#define SUBJECT_BIT(subject) (1 << (subject))
#define ATTRS_BIT(subject)	 (1 << (4 + (subject)))
#define TAGS_BIT			 (1 << 8)

StaticAssertDecl(ATTRIBUTE_COUNT <= 64, "the bitmap of attributes has 64 bits");

static inline const ConditionNode *
ConditionNodes(const Condition *condition)
{
	return (const ConditionNode *) (condition->literals + condition->nliterals);
}

static inline const char *
ConditionTexts(const Condition *condition)
{
	return (const char *) (ConditionNodes(condition) + condition->nnodes);
}

static inline bool
IsOpenOperand(int operand)
{
	return operand >= OPERAND_ATTR;
}

/* time.c: dates and timestamps as conditions write them */
#define TIME_TEXT_SIZE 40

extern bool ParseDate(const char *text, int length, DateADT *date);
extern bool ParseTimestamp(const char *text, int length, TimestampTz *timestamp);
extern void FormatDate(DateADT date, char *buffer);
extern void FormatTimestamp(TimestampTz timestamp, char *buffer);

/* print.c */
extern void PrintNode(const Condition *condition, const ConditionNode *node, StringInfo out);
extern void PrintOperand(const Condition *condition, const ConditionNode *node, StringInfo out);
extern void PrintText(const char *data, int length, StringInfo out);

#endif
