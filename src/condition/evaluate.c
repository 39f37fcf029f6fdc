/*
 * evaluate.c: is a condition true of some facts?
 *
 * Three-valued as in SQL: a clause over an unknown value is unknown, and what
 * is not decided by the others stays so.  A walk over the flat nodes; nothing
 * is allocated except the text of a jsonb number, which is freed at once.
 */
#include "crm_member.h"
#include "condition/attribute.h"
#include "condition/condition_datum.h"

#include "access/tupmacs.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

/*
 * A number out of jsonb can have any number of digits.  Literals have at most
 * DECIMAL_MAX_SCALE decimals, so one decimal more, 1 where digits follow, and a
 * magnitude beyond all literals are enough to compare as the number would.
 */
#define WIDE_SCALE (DECIMAL_MAX_SCALE + 1)
#define WIDE_LIMIT ((int128) 1 << 120)

#define NUMBER_TEXT_DIGITS 40	/* before and behind the point; NUMBER_PATTERN in print.c */
#define FEW_LITERALS	   8	/* searched one by one */
#define SHOWN_VALUES	   16	/* of one clause, when it is explained */

typedef struct Value
{
	Fact		fact;
	bool		is_wide;
	int128		wide;
} Value;

/* ---- values ---- */

static int128
Widen(int64 units, int scale)
{
	static const int64 power[WIDE_SCALE + 1] = {
		INT64CONST(100000000000), INT64CONST(10000000000), INT64CONST(1000000000),
		INT64CONST(100000000), INT64CONST(10000000), INT64CONST(1000000),
		INT64CONST(100000), INT64CONST(10000), INT64CONST(1000),
		INT64CONST(100), INT64CONST(10), INT64CONST(1)
	};

	return (int128) units * power[scale];
}

/* [+-]digits[.digits] of any length */
static int128
WideFromText(const char *s, const char *end)
{
	bool		negative = *s == '-';
	int128		wide = 0;
	int			decimals = -1;

	if (*s == '-' || *s == '+')
		s++;
	for (; s < end; s++)
	{
		if (*s == '.')
			decimals = 0;
		else if (decimals < DECIMAL_MAX_SCALE)
		{
			if (wide < WIDE_LIMIT)
				wide = wide * 10 + (*s - '0');
			if (decimals >= 0)
				decimals++;
		}
		else if (*s != '0')
		{
			wide = wide * 10 + 1;
			decimals++;
			break;
		}
	}
	for (int d = Max(decimals, 0); d < WIDE_SCALE && wide < WIDE_LIMIT; d++)
		wide *= 10;
	return negative ? -wide : wide;
}

/* Does a text look like a number?  As NUMBER_PATTERN in print.c says. */
static bool
TextNumber(const char *s, int length)
{
	const char *end = s + length;
	const char *start;

	if (s < end && (*s == '-' || *s == '+'))
		s++;
	for (start = s; s < end && *s >= '0' && *s <= '9';)
		s++;
	if (s == start || s - start > NUMBER_TEXT_DIGITS)
		return false;
	if (s == end)
		return true;
	if (*s++ != '.')
		return false;
	for (start = s; s < end && *s >= '0' && *s <= '9';)
		s++;
	return s == end && s > start && s - start <= NUMBER_TEXT_DIGITS;
}

static JsonbValue *
OpenAttribute(const Condition *condition, const ConditionNode *node, const Facts *facts,
			  JsonbValue *buffer)
{
	Jsonb	   *attrs = facts->attrs[node->operand - OPERAND_ATTR];
	const Literal *key = &condition->literals[node->key];

	if (attrs == NULL || !JB_ROOT_IS_OBJECT(attrs))
		return NULL;
	return getKeyJsonValueFromContainer(&attrs->root,
										ConditionTexts(condition) + key->value.text.offset,
										key->value.text.length, buffer);
}

static char *
NumericText(Numeric number)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
}

/* An open attribute has a value where jsonb has one of the clause's type. */
static void
ReadOpenAttribute(const Condition *condition, const ConditionNode *node, const Facts *facts,
				  Value *value)
{
	JsonbValue	buffer;
	JsonbValue *json = OpenAttribute(condition, node, facts, &buffer);

	value->fact.known = false;
	if (json == NULL)
		return;
	if (node->kind == NODE_NULL)
		value->fact.known = json->type != jbvNull;
	else if (node->type == FACT_BOOLEAN && json->type == jbvBool)
	{
		value->fact.known = true;
		value->fact.value.boolean = json->val.boolean;
	}
	else if (node->type == FACT_TEXT && json->type == jbvString)
	{
		value->fact.known = true;
		value->fact.value.text.data = json->val.string.val;
		value->fact.value.text.length = json->val.string.len;
	}
	else if (node->type == FACT_NUMBER && json->type == jbvNumeric)
	{
		char	   *text = NumericText(json->val.numeric);

		value->fact.known = value->is_wide = true;
		value->wide = WideFromText(text, text + strlen(text));
		pfree(text);
	}
	else if (node->type == FACT_NUMBER && json->type == jbvString &&
			 TextNumber(json->val.string.val, json->val.string.len))
	{
		value->fact.known = value->is_wide = true;
		value->wide = WideFromText(json->val.string.val,
								   json->val.string.val + json->val.string.len);
	}
}

static bool
HasTag(const Condition *condition, const ConditionNode *node, ArrayType *tags)
{
	const Literal *key = &condition->literals[node->key];
	const char *data = ConditionTexts(condition) + key->value.text.offset;
	int			length = key->value.text.length;
	int			n = ArrayGetNItems(ARR_NDIM(tags), ARR_DIMS(tags));
	bits8	   *bitmap = ARR_NULLBITMAP(tags);
	char	   *element = ARR_DATA_PTR(tags);

	for (int i = 0; i < n; i++)
	{
		if (bitmap && (bitmap[i / BITS_PER_BYTE] & (1 << (i % BITS_PER_BYTE))) == 0)
			continue;
		if (VARSIZE_ANY_EXHDR(element) == length &&
			memcmp(VARDATA_ANY(element), data, length) == 0)
			return true;
		element = att_addlength_pointer(element, -1, element);
		element = (char *) att_align_nominal(element, TYPALIGN_INT);
	}
	return false;
}

/* ---- clauses ---- */

static inline int
CompareLiteral(const Condition *condition, const Value *value, FactType type,
			   const Literal *literal)
{
	const Fact *fact = &value->fact;

	switch (type)
	{
		case FACT_NUMBER:
			if (unlikely(value->is_wide))
			{
				int128		other = Widen(literal->value.number, literal->scale);

				return (value->wide > other) - (value->wide < other);
			}
			return CompareDecimal(fact->value.number,
								  (Decimal) {literal->value.number, literal->scale});
		case FACT_TEXT:
			{
				int			length = literal->value.text.length;
				int			cmp = memcmp(fact->value.text.data,
										 ConditionTexts(condition) + literal->value.text.offset,
										 Min(fact->value.text.length, length));

				return cmp != 0 ? cmp : fact->value.text.length - length;
			}
		case FACT_DATE:
			return (fact->value.date > literal->value.time) -
				(fact->value.date < literal->value.time);
		case FACT_TIMESTAMP:
			return (fact->value.timestamp > literal->value.time) -
				(fact->value.timestamp < literal->value.time);
		case FACT_BOOLEAN:
			break;
	}
	pg_unreachable();
}

/* Texts of different length are told apart without being looked at. */
static inline bool
EqualsLiteral(const Condition *condition, const Value *value, FactType type, const Literal *literal)
{
	if (type == FACT_TEXT && value->fact.value.text.length != literal->value.text.length)
		return false;
	return CompareLiteral(condition, value, type, literal) == 0;
}

static bool
InList(const Condition *condition, const ConditionNode *node, const Value *value)
{
	const Literal *low = &condition->literals[node->first];
	const Literal *high = low + node->count;

	while (high - low > FEW_LITERALS)
	{
		const Literal *middle = low + (high - low) / 2;

		if (CompareLiteral(condition, value, node->type, middle) < 0)
			high = middle;
		else
			low = middle;
	}
	for (; low < high; low++)
	{
		if (EqualsLiteral(condition, value, node->type, low))
			return true;
	}
	return false;
}

static bool
HasPrefix(const Condition *condition, const ConditionNode *node, const Fact *fact)
{
	const Literal *prefix = &condition->literals[node->first];

	return fact->value.text.length >= prefix->value.text.length &&
		memcmp(fact->value.text.data, ConditionTexts(condition) + prefix->value.text.offset,
			   prefix->value.text.length) == 0;
}

static Truth
EvaluateClause(const Condition *condition, const ConditionNode *node, const Facts *facts)
{
	Value		value;
	const Literal *literal = &condition->literals[node->first];
	int			cmp;
	bool		result;

	value.is_wide = false;
	value.wide = 0;
	if (likely(!IsOpenOperand(node->operand)))
		value.fact = facts->facts[node->operand];
	else if (node->operand == OPERAND_TAG)
	{
		value.fact.known = facts->tags != NULL;
		if (value.fact.known && node->kind == NODE_BOOLEAN)
			value.fact.value.boolean = HasTag(condition, node, facts->tags);
	}
	else
		ReadOpenAttribute(condition, node, facts, &value);

	if (node->kind == NODE_NULL)
		return value.fact.known == node->op ? TRUTH_TRUE : TRUTH_FALSE;
	if (!value.fact.known)
		return TRUTH_UNKNOWN;
	switch (node->kind)
	{
		case NODE_BOOLEAN:
			return value.fact.value.boolean ? TRUTH_TRUE : TRUTH_FALSE;
		case NODE_COMPARE:
			if (node->op == COMPARE_EQUAL)
				return EqualsLiteral(condition, &value, node->type, literal) ? TRUTH_TRUE : TRUTH_FALSE;
			cmp = CompareLiteral(condition, &value, node->type, literal);
			return (node->op & (cmp < 0 ? COMPARE_LESS : cmp > 0 ? COMPARE_GREATER :
								COMPARE_EQUAL)) ? TRUTH_TRUE : TRUTH_FALSE;
		case NODE_BETWEEN:
			result = CompareLiteral(condition, &value, node->type, literal) >= 0 &&
				CompareLiteral(condition, &value, node->type, literal + 1) <= 0;
			break;
		case NODE_IN:
			result = InList(condition, node, &value);
			break;
		case NODE_LIKE:
			result = HasPrefix(condition, node, &value.fact);
			break;
		default:
			elog(ERROR, "unknown node %d in a condition", node->kind);
	}
	return result != node->op ? TRUTH_TRUE : TRUTH_FALSE;
}

/* ---- the walk ---- */

static Truth
EvaluateNode(const Condition *condition, const ConditionNode *node, const Facts *facts)
{
	const ConditionNode *nodes;
	const ConditionNode *end;
	Truth		decisive;
	Truth		result;

	switch (node->kind)
	{
		case NODE_CONSTANT:
			return node->op;
		case NODE_NOT:
			check_stack_depth();
			result = EvaluateNode(condition, node + 1, facts);
			return result == TRUTH_UNKNOWN ? result :
				result == TRUTH_TRUE ? TRUTH_FALSE : TRUTH_TRUE;
		case NODE_AND:
			decisive = TRUTH_FALSE;
			result = TRUTH_TRUE;
			break;
		case NODE_OR:
			decisive = TRUTH_TRUE;
			result = TRUTH_FALSE;
			break;
		default:
			return EvaluateClause(condition, node, facts);
	}

	check_stack_depth();
	nodes = ConditionNodes(condition);
	end = nodes + node->end;
	for (const ConditionNode *child = node + 1; child < end; child = nodes + child->end)
	{
		Truth		truth = EvaluateNode(condition, child, facts);

		if (truth == decisive)
			return truth;
		if (truth == TRUTH_UNKNOWN)
			result = truth;
	}
	return result;
}

Truth
EvaluateCondition(const Condition *condition, const Facts *facts)
{
	return EvaluateNode(condition, ConditionNodes(condition), facts);
}

static bool
IsAboutLine(const ConditionNode *node)
{
	return IsOpenOperand(node->operand) ? node->operand == OPERAND_ATTR + SUBJECT_LINE
		: attribute_table[node->operand].subject == SUBJECT_LINE;
}

/* Can it come out so, whatever member and sale are? */
static bool
CanBe(const Condition *condition, const ConditionNode *node, const Facts *facts, bool wanted)
{
	const ConditionNode *nodes;
	const ConditionNode *end;
	bool		all;

	switch (node->kind)
	{
		case NODE_CONSTANT:
			return node->op == (wanted ? TRUTH_TRUE : TRUTH_FALSE);
		case NODE_NOT:
			check_stack_depth();
			return CanBe(condition, node + 1, facts, !wanted);
		case NODE_AND:
		case NODE_OR:
			break;
		default:
			return !IsAboutLine(node) ||
				EvaluateClause(condition, node, facts) == (wanted ? TRUTH_TRUE : TRUTH_FALSE);
	}

	check_stack_depth();
	all = (node->kind == NODE_AND) == wanted;
	nodes = ConditionNodes(condition);
	end = nodes + node->end;
	for (const ConditionNode *child = node + 1; child < end; child = nodes + child->end)
	{
		if (CanBe(condition, child, facts, wanted) != all)
			return !all;
	}
	return all;
}

bool
HoldsForLine(const Condition *condition, const Facts *facts)
{
	return CanBe(condition, ConditionNodes(condition), facts, true);
}

bool
UsesAttribute(const Condition *condition, Attribute attribute)
{
	return (condition->attributes >> attribute & 1) != 0;
}

bool
UsesSubject(const Condition *condition, Subject subject)
{
	return (condition->subjects & SUBJECT_BIT(subject)) != 0;
}

bool
UsesAttrs(const Condition *condition, Subject subject)
{
	return (condition->subjects & ATTRS_BIT(subject)) != 0;
}

bool
UsesTags(const Condition *condition)
{
	return (condition->subjects & TAGS_BIT) != 0;
}

bool
AsksForNull(const Condition *condition)
{
	const ConditionNode *nodes = ConditionNodes(condition);

	for (uint32 i = 0; i < condition->nnodes; i++)
	{
		if (nodes[i].kind == NODE_NULL)
			return true;
	}
	return false;
}

/* ---- explaining ---- */

/* The value of a clause's operand, as a condition would write it. */
static void
AppendOperandValue(const Condition *condition, const ConditionNode *node, const Facts *facts,
				   StringInfo saw)
{
	char		buffer[Max(DECIMAL_TEXT_SIZE, TIME_TEXT_SIZE)];
	const Fact *fact;

	if (node->operand == OPERAND_TAG)
	{
		appendStringInfoString(saw, facts->tags == NULL ? "unknown" :
							   HasTag(condition, node, facts->tags) ? "true" : "false");
		return;
	}
	if (IsOpenOperand(node->operand))
	{
		JsonbValue	scalar;
		JsonbValue *json = OpenAttribute(condition, node, facts, &scalar);

		if (json == NULL || json->type == jbvNull)
			appendStringInfoString(saw, "unknown");
		else if (json->type == jbvString)
			PrintText(json->val.string.val, json->val.string.len, saw);
		else if (json->type == jbvBinary)
			JsonbToCString(saw, json->val.binary.data, json->val.binary.len);
		else if (json->type == jbvBool)
			appendStringInfoString(saw, json->val.boolean ? "true" : "false");
		else
			appendStringInfoString(saw, NumericText(json->val.numeric));
		return;
	}

	fact = &facts->facts[node->operand];
	if (!fact->known)
	{
		appendStringInfoString(saw, "unknown");
		return;
	}
	switch (attribute_table[node->operand].type)
	{
		case FACT_NUMBER:
			DecimalToText(fact->value.number, buffer);
			appendStringInfoString(saw, buffer);
			break;
		case FACT_TEXT:
			PrintText(fact->value.text.data, fact->value.text.length, saw);
			break;
		case FACT_BOOLEAN:
			appendStringInfoString(saw, fact->value.boolean ? "true" : "false");
			break;
		case FACT_DATE:
			FormatDate(fact->value.date, buffer);
			PrintText(buffer, strlen(buffer), saw);
			break;
		case FACT_TIMESTAMP:
			FormatTimestamp(fact->value.timestamp, buffer);
			PrintText(buffer, strlen(buffer), saw);
			break;
	}
}

static bool
SameOperand(const Condition *condition, const ConditionNode *a, const ConditionNode *b)
{
	const char *texts = ConditionTexts(condition);
	const Literal *x = &condition->literals[a->key];
	const Literal *y = &condition->literals[b->key];

	return a->operand == b->operand &&
		(!IsOpenOperand(a->operand) ||
		 (x->value.text.length == y->value.text.length &&
		  memcmp(texts + x->value.text.offset, texts + y->value.text.offset,
				 x->value.text.length) == 0));
}

/* Several operands come with their names, each once. */
static void
AppendValues(const Condition *condition, const ConditionNode *node, const Facts *facts,
			 StringInfo saw)
{
	const ConditionNode *end = ConditionNodes(condition) + node->end;
	const ConditionNode *shown[SHOWN_VALUES];
	int			nshown = 0;
	bool		more = false;

	for (const ConditionNode *leaf = node; leaf < end && !more; leaf++)
	{
		int			i = 0;

		if (leaf->kind < NODE_BOOLEAN)
			continue;
		while (i < nshown && !SameOperand(condition, shown[i], leaf))
			i++;
		if (i < nshown)
			continue;
		if (nshown < SHOWN_VALUES)
			shown[nshown++] = leaf;
		else
			more = true;
	}
	for (int i = 0; i < nshown; i++)
	{
		if (nshown > 1)
		{
			if (i > 0)
				appendStringInfoString(saw, ", ");
			PrintOperand(condition, shown[i], saw);
			appendStringInfoString(saw, " = ");
		}
		AppendOperandValue(condition, shown[i], facts, saw);
	}
	if (more)
		appendStringInfoString(saw, ", ...");
}

/*
 * Only "and" has parts that fail alone: an "or" fails by all of its parts
 * together and is reported whole, like a negation.
 */
void
ExplainCondition(const Condition *condition, const Facts *facts, StringInfo clause, StringInfo saw)
{
	const ConditionNode *nodes = ConditionNodes(condition);
	const ConditionNode *node = nodes;
	const ConditionNode *end;

	if (EvaluateNode(condition, node, facts) == TRUTH_TRUE)
		return;
	if (node->kind == NODE_AND)
	{
		/* no and in and: one step down is all */
		end = nodes + node->end;
		for (node++; node < end; node = nodes + node->end)
		{
			if (EvaluateNode(condition, node, facts) != TRUTH_TRUE)
				break;
		}
	}
	PrintNode(condition, node, clause);
	AppendValues(condition, node, facts, saw);
}
