/*
 * layout.c: from the tree to the datum.
 */
#include "crm_member.h"
#include "condition/attribute.h"
#include "condition/tree.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

typedef struct Layout
{
	Condition  *condition;		/* header, with its bitmaps */
	StringInfoData literals;
	StringInfoData nodes;
	StringInfoData texts;
} Layout;

static uint32
PutLiteral(Layout *layout, const Value *value)
{
	Literal		literal = {0};

	switch (value->type)
	{
		case FACT_NUMBER:
			literal.value.number = value->number.units;
			literal.scale = value->number.scale;
			break;
		case FACT_TEXT:
			literal.value.text.offset = layout->texts.len;
			literal.value.text.length = value->length;
			appendBinaryStringInfo(&layout->texts, value->text, value->length);
			break;
		case FACT_DATE:
		case FACT_TIMESTAMP:
			literal.value.time = value->time;
			break;
		case FACT_BOOLEAN:
			elog(ERROR, "boolean literal in a condition");
	}
	appendBinaryStringInfo(&layout->literals, (char *) &literal, sizeof(literal));
	return layout->literals.len / sizeof(literal) - 1;
}

static void
NoteOperand(Condition *condition, int operand)
{
	if (operand == OPERAND_TAG)
		condition->subjects |= SUBJECT_BIT(SUBJECT_MEMBER) | TAGS_BIT;
	else if (IsOpenOperand(operand))
		condition->subjects |= SUBJECT_BIT(operand - OPERAND_ATTR) |
			ATTRS_BIT(operand - OPERAND_ATTR);
	else
	{
		condition->subjects |= SUBJECT_BIT(attribute_table[operand].subject);
		condition->attributes |= UINT64CONST(1) << operand;
	}
}

static void
PutTree(Layout *layout, const Tree *tree)
{
	ConditionNode		node = tree->node;
	int			at = layout->nodes.len;

	check_stack_depth();
	if (node.kind >= NODE_BOOLEAN)
	{
		NoteOperand(layout->condition, node.operand);
		if (tree->key)
			node.key = PutLiteral(layout, tree->key);
		node.first = layout->literals.len / sizeof(Literal);
		for (int i = 0; i < node.count; i++)
			PutLiteral(layout, &tree->values[i]);
		/* no type without literals, or equal clauses could differ */
		if (node.kind == NODE_NULL)
			node.type = 0;
	}
	appendBinaryStringInfo(&layout->nodes, (char *) &node, sizeof(node));
	for (const Tree *child = tree->child; child; child = child->next)
		PutTree(layout, child);
	((ConditionNode *) (layout->nodes.data + at))->end = layout->nodes.len / sizeof(node);
}

Condition *
LayOut(const Tree *tree, MemoryContext context)
{
	Layout		layout;
	Condition	header = {0};
	Condition  *condition;
	char	   *to;
	Size		size;

	layout.condition = &header;
	initStringInfo(&layout.literals);
	initStringInfo(&layout.nodes);
	initStringInfo(&layout.texts);
	PutTree(&layout, tree);

	size = offsetof(Condition, literals) + layout.literals.len + layout.nodes.len +
		layout.texts.len;
	condition = MemoryContextAlloc(context, size);
	header.format = CONDITION_FORMAT;
	header.nliterals = layout.literals.len / sizeof(Literal);
	header.nnodes = layout.nodes.len / sizeof(ConditionNode);
	memcpy(condition, &header, offsetof(Condition, literals));
	SET_VARSIZE(condition, size);
	to = (char *) condition->literals;
	memcpy(to, layout.literals.data, layout.literals.len);
	to += layout.literals.len;
	memcpy(to, layout.nodes.data, layout.nodes.len);
	to += layout.nodes.len;
	memcpy(to, layout.texts.data, layout.texts.len);
	return condition;
}
