/*
 * key.c: which values of which attributes a condition needs, for those who index
 * conditions.
 */
#include "postgres.h"

#include "condition/condition_datum.h"
#include "condition/key.h"

/* A conjunct that is true only where an attribute has one of some values. */
static bool
ReadKey(const Condition *condition, const ConditionNode *node, ConditionKey *key)
{
	bool		equal = (node->kind == NODE_COMPARE && node->op == COMPARE_EQUAL) ||
		(node->kind == NODE_IN && node->op == 0);

	if (!equal || IsOpenOperand(node->operand))
		return false;
	if (node->type != FACT_TEXT && node->type != FACT_NUMBER)
		return false;
	key->condition = condition;
	key->attribute = node->operand;
	key->type = node->type;
	key->first = node->first;
	key->count = node->count;
	return true;
}

int
ConditionKeys(const Condition *condition, ConditionKey *keys, int max)
{
	const ConditionNode *nodes = ConditionNodes(condition);
	int			n = 0;

	if (condition->nnodes == 0)
		return 0;
	if (nodes[0].kind != NODE_AND)
		return ReadKey(condition, &nodes[0], &keys[0]) ? 1 : 0;
	for (uint32 i = 1; i < nodes[0].end && n < max; i = nodes[i].end)
	{
		if (ReadKey(condition, &nodes[i], &keys[n]))
			n++;
	}
	return n;
}

Fact
ConditionKeyValue(const ConditionKey *key, int i)
{
	const Literal *literal = &key->condition->literals[key->first + i];
	Fact		fact = {.known = true};

	if (key->type == FACT_NUMBER)
	{
		fact.value.number.units = literal->value.number;
		fact.value.number.scale = literal->scale;
	}
	else
	{
		fact.value.text.data = ConditionTexts(key->condition) + literal->value.text.offset;
		fact.value.text.length = literal->value.text.length;
	}
	return fact;
}
