/*
 * index.h: which of many conditions some facts satisfy.
 *
 * The answer is a bitmap over the conditions.  What it costs follows the
 * attributes that the conditions look at, not the conditions there are.
 */
#ifndef CRM_CONDITION_INDEX_H
#define CRM_CONDITION_INDEX_H

#include "condition/condition.h"

typedef struct IndexedCondition
{
	const Condition *condition; /* NULL: always true */
	TimestampTz from;			/* and sale.sold_at in from .. to, both included */
	TimestampTz to;
} IndexedCondition;

typedef struct ConditionIndex ConditionIndex;

/* In the current context.  The conditions are referred to and must outlive it. */
extern ConditionIndex *BuildConditionIndex(const IndexedCondition *conditions, int n);

/* Words of a bitmap: bit i % 64 of word i / 64 is condition i. */
extern int	ConditionIndexWords(const ConditionIndex *index);

/* Those that facts of member and sale do not rule out ... */
extern void MatchSaleFacts(const ConditionIndex *index, const Facts *facts, uint64 *matches);
/* ... and out of these, those that facts of a line do not either. */
extern void MatchLineFacts(const ConditionIndex *index, const Facts *facts, uint64 *matches);

/*
 * Conditions that the index judges only in part: where their bit is left they
 * may be true, and are to be evaluated.  For all others the bit is the answer.
 */
extern const uint64 *UndecidedConditions(const ConditionIndex *index);

#endif
