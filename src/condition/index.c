/*
 * index.c: which of many conditions some facts satisfy.
 *
 * A condition is a conjunction.  Its clauses that compare an attribute with
 * constants are gathered by attribute; facts are matched by and-ing what each
 * attribute's axis says of its value.  Of tags, a condition is listed under the
 * first it needs.  Whatever else a condition has makes it undecided.
 */
#include "crm_member.h"
#include "condition/attribute.h"
#include "condition/axis.h"
#include "condition/index.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"

#define TAGS ATTRIBUTE_COUNT	/* an axis of its own, behind the attributes */

struct ConditionIndex
{
	int			nwords;
	Axis	   *axes;			/* those of lines last */
	int			naxes;
	int			nsale_axes;
	Axis	   *tags;			/* NULL: no condition needs one */
	uint64	   *all;
	uint64	   *undecided;
};

static Fact
LiteralFact(const Condition *condition, const Literal *literal, FactType type)
{
	Fact		fact = {.known = true};

	switch (type)
	{
		case FACT_NUMBER:
			fact.value.number.units = literal->value.number;
			fact.value.number.scale = literal->scale;
			break;
		case FACT_TEXT:
			fact.value.text.data = ConditionTexts(condition) + literal->value.text.offset;
			fact.value.text.length = literal->value.text.length;
			break;
		case FACT_DATE:
			fact.value.date = (DateADT) literal->value.time;
			break;
		case FACT_TIMESTAMP:
			fact.value.timestamp = literal->value.time;
			break;
		case FACT_BOOLEAN:
			break;
	}
	return fact;
}

static void
GatherComparison(Clause *clause, int number, int attribute, Comparison comparison, Fact value)
{
	memset(clause, 0, sizeof(*clause));
	clause->condition = number;
	clause->attribute = attribute;
	clause->kind = NODE_COMPARE;
	clause->op = comparison;
	clause->nvalues = 1;
	clause->values = palloc(sizeof(Fact));
	*clause->values = value;
}

/* Take a conjunct into an axis; false: it is of another kind. */
static bool
GatherClause(const Condition *condition, const ConditionNode *node, int number, Clause *clause)
{
	memset(clause, 0, sizeof(*clause));
	clause->condition = number;
	if (node->kind == NODE_NOT)
	{
		clause->negated = true;
		node++;
	}
	if (node->kind < NODE_BOOLEAN || node->kind == NODE_LIKE || IsOpenOperand(node->operand))
		return false;
	clause->attribute = node->operand;
	clause->kind = node->kind;
	clause->op = node->op;
	if (node->kind == NODE_BOOLEAN)
	{
		clause->nvalues = 1;
		clause->values = palloc0(sizeof(Fact));
		clause->values->known = clause->values->value.boolean = true;
	}
	else if (node->kind != NODE_NULL)
	{
		clause->nvalues = node->count;
		clause->values = palloc(sizeof(Fact) * node->count);
		for (int i = 0; i < node->count; i++)
			clause->values[i] = LiteralFact(condition, &condition->literals[node->first + i],
											node->type);
	}
	return true;
}

static Clause *
MakeClause(Clause **clauses, int *n, int *max)
{
	if (*n == *max)
	{
		*max *= 2;
		*clauses = repalloc_huge(*clauses, sizeof(Clause) * *max);
	}
	return &(*clauses)[(*n)++];
}

static void
GatherBound(Clause *clause, int number, TimestampTz bound, Comparison comparison)
{
	Fact		value = {.known = true};

	value.value.timestamp = bound;
	GatherComparison(clause, number, SALE_SOLD_AT, comparison, value);
}

static Clause *
GatherClauses(ConditionIndex *index, const IndexedCondition *conditions, int n, int *count)
{
	int			max = 64;
	Clause	   *clauses = palloc(sizeof(Clause) * max);

	*count = 0;
	for (int i = 0; i < n; i++)
	{
		const Condition *condition = conditions[i].condition;
		const ConditionNode *nodes;
		bool		is_and;
		uint32		end;
		bool		tagged = false;

		CHECK_FOR_INTERRUPTS();
		if (conditions[i].from != DT_NOBEGIN)
			GatherBound(MakeClause(&clauses, count, &max), i, conditions[i].from, COMPARE_GREATER_EQUAL);
		if (conditions[i].to != DT_NOEND)
			GatherBound(MakeClause(&clauses, count, &max), i, conditions[i].to, COMPARE_LESS_EQUAL);
		if (condition == NULL)
			continue;
		nodes = ConditionNodes(condition);
		is_and = nodes[0].kind == NODE_AND;
		end = nodes[0].end;
		for (uint32 at = is_and ? 1 : 0; at < end; at = nodes[at].end)
		{
			Clause	   *clause = MakeClause(&clauses, count, &max);

			if (GatherClause(condition, &nodes[at], i, clause))
				continue;
			SetBit(index->undecided, i);
			if (nodes[at].kind == NODE_BOOLEAN && nodes[at].operand == OPERAND_TAG && !tagged)
			{
				GatherComparison(clause, i, TAGS, COMPARE_EQUAL,
								 LiteralFact(condition, &condition->literals[nodes[at].key],
											 FACT_TEXT));
				tagged = true;
			}
			else
				(*count)--;
		}
	}
	return clauses;
}

static bool
IsLineAxis(int attribute)
{
	return attribute != TAGS && attribute_table[attribute].subject == SUBJECT_LINE;
}

/* By attribute, those of lines last. */
static int
CompareClauses(const void *a, const void *b)
{
	const Clause *x = a;
	const Clause *y = b;

	if (IsLineAxis(x->attribute) != IsLineAxis(y->attribute))
		return IsLineAxis(x->attribute) ? 1 : -1;
	if (x->attribute != y->attribute)
		return x->attribute < y->attribute ? -1 : 1;
	return (x->condition > y->condition) - (x->condition < y->condition);
}

ConditionIndex *
BuildConditionIndex(const IndexedCondition *conditions, int n)
{
	ConditionIndex *index = palloc0(sizeof(ConditionIndex));
	Clause	   *clauses;
	int			nclauses;
	int			same;

	index->nwords = Max((n + WORD_BITS - 1) / WORD_BITS, 1);
	index->all = palloc0(sizeof(uint64) * index->nwords);
	index->undecided = palloc0(sizeof(uint64) * index->nwords);
	for (int i = 0; i < n; i++)
		SetBit(index->all, i);

	clauses = GatherClauses(index, conditions, n, &nclauses);
	qsort(clauses, nclauses, sizeof(Clause), CompareClauses);
	index->axes = palloc0(sizeof(Axis) * (ATTRIBUTE_COUNT + 1));
	for (int i = 0; i < nclauses; i += same)
	{
		Axis	   *axis = &index->axes[index->naxes];

		for (same = 1; i + same < nclauses && clauses[i + same].attribute == clauses[i].attribute;)
			same++;
		BuildAxis(axis, clauses[i].attribute == TAGS ? FACT_TEXT
				  : attribute_table[clauses[i].attribute].type,
				  &clauses[i], same, index->all, index->nwords);
		if (axis->attribute == TAGS)
		{
			index->tags = palloc(sizeof(Axis));
			*index->tags = *axis;
			continue;
		}
		index->naxes++;
		if (!IsLineAxis(axis->attribute))
			index->nsale_axes++;
	}
	for (int i = 0; i < nclauses; i++)
	{
		if (clauses[i].values)
			pfree(clauses[i].values);
	}
	pfree(clauses);
	return index;
}

int
ConditionIndexWords(const ConditionIndex *index)
{
	return index->nwords;
}

const uint64 *
UndecidedConditions(const ConditionIndex *index)
{
	return index->undecided;
}

/* ---- matching ---- */

static void
MatchAxis(const ConditionIndex *index, const Axis *axis, const Fact *fact, uint64 *matches)
{
	const uint64 *bits = fact->known ? AxisBits(axis, fact) : axis->unknown;

	for (int w = 0; w < index->nwords; w++)
		matches[w] &= bits[w];
}

/* What needs no tag, and what is listed under one that is there. */
static void
MatchTags(const ConditionIndex *index, ArrayType *tags, uint64 *matches)
{
	const Axis *axis = index->tags;
	uint64	   *listed;
	Datum	   *elements;
	bool	   *nulls;
	int			n = 0;

	if (tags != NULL)
		deconstruct_array(tags, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	listed = palloc(sizeof(uint64) * index->nwords);
	memcpy(listed, axis->unknown, sizeof(uint64) * index->nwords);
	for (int i = 0; i < n; i++)
	{
		text	   *tag;
		Fact		fact = {.known = true};
		const uint64 *bits;

		if (nulls[i])
			continue;
		tag = DatumGetTextPP(elements[i]);
		fact.value.text.data = VARDATA_ANY(tag);
		fact.value.text.length = VARSIZE_ANY_EXHDR(tag);
		bits = AxisBits(axis, &fact);
		for (int w = 0; w < index->nwords; w++)
			listed[w] |= bits[w];
	}
	for (int w = 0; w < index->nwords; w++)
		matches[w] &= listed[w];
	pfree(listed);
}

void
MatchSaleFacts(const ConditionIndex *index, const Facts *facts, uint64 *matches)
{
	memcpy(matches, index->all, sizeof(uint64) * index->nwords);
	for (int i = 0; i < index->nsale_axes; i++)
		MatchAxis(index, &index->axes[i], &facts->facts[index->axes[i].attribute], matches);
	if (index->tags != NULL)
		MatchTags(index, facts->tags, matches);
}

void
MatchLineFacts(const ConditionIndex *index, const Facts *facts, uint64 *matches)
{
	for (int i = index->nsale_axes; i < index->naxes; i++)
		MatchAxis(index, &index->axes[i], &facts->facts[index->axes[i].attribute], matches);
}
