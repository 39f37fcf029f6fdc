/*
 * key.h: which values of which attributes a condition needs.
 */
#ifndef CRM_CONDITION_KEY_H
#define CRM_CONDITION_KEY_H

#include "condition/condition.h"

/* The condition is true only where attribute, a text or a number, has one of count values. */
typedef struct ConditionKey
{
	const Condition *condition;
	Attribute	attribute;
	FactType	type;
	int			first;
	int			count;
} ConditionKey;

/* The keys among the conjuncts of a condition, at most max of them. */
extern int	ConditionKeys(const Condition *condition, ConditionKey *keys, int max);
extern Fact ConditionKeyValue(const ConditionKey *key, int i);

#endif
