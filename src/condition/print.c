/*
 * print.c: from the datum to its text, the canonical one or SQL.
 *
 * Both have the same shape and, since the language orders NOT, AND and OR as
 * SQL does, the same parentheses; they differ in operands and literals.
 */
#include "crm_member.h"
#include "condition/attribute.h"
#include "condition/condition_datum.h"

#include "miscadmin.h"
#include "utils/builtins.h"

typedef struct Printer
{
	const Condition *condition;
	StringInfo	out;
	bool		sql;
} Printer;

/* What a text must look like to be read as a number; see TextNumber() in evaluate.c. */
#define NUMBER_PATTERN "^[+-]?[0-9]{1,40}(\\.[0-9]{1,40})?$"

static const char *
ComparisonSymbol(Comparison comparison)
{
	switch (comparison)
	{
		case COMPARE_LESS:
			return "<";
		case COMPARE_EQUAL:
			return "=";
		case COMPARE_LESS_EQUAL:
			return "<=";
		case COMPARE_GREATER:
			return ">";
		case COMPARE_UNEQUAL:
			return "<>";
		case COMPARE_GREATER_EQUAL:
			return ">=";
	}
	elog(ERROR, "unknown comparison %d", comparison);
}

void
PrintText(const char *data, int length, StringInfo out)
{
	appendStringInfoChar(out, '\'');
	for (int i = 0; i < length; i++)
	{
		if (data[i] == '\'')
			appendStringInfoChar(out, '\'');
		appendStringInfoChar(out, data[i]);
	}
	appendStringInfoChar(out, '\'');
}

/* In SQL a backslash must not depend on standard_conforming_strings. */
static void
PrintString(Printer *printer, const char *data, int length)
{
	if (printer->sql)
		appendStringInfoString(printer->out, quote_literal_cstr(pnstrdup(data, length)));
	else
		PrintText(data, length, printer->out);
}

static void
PrintLiteral(Printer *printer, FactType type, uint32 index)
{
	const Literal *literal = &printer->condition->literals[index];
	char		buffer[Max(DECIMAL_TEXT_SIZE, TIME_TEXT_SIZE)];

	switch (type)
	{
		case FACT_NUMBER:
			DecimalToText((Decimal) {literal->value.number, literal->scale}, buffer);
			appendStringInfoString(printer->out, buffer);
			break;
		case FACT_TEXT:
			PrintString(printer, ConditionTexts(printer->condition) + literal->value.text.offset,
						literal->value.text.length);
			break;
		case FACT_DATE:
			FormatDate((DateADT) literal->value.time, buffer);
			appendStringInfo(printer->out, "%s'%s'", printer->sql ? "date " : "", buffer);
			break;
		case FACT_TIMESTAMP:
			FormatTimestamp(literal->value.time, buffer);
			appendStringInfo(printer->out, "%s'%s'", printer->sql ? "timestamptz " : "", buffer);
			break;
		case FACT_BOOLEAN:
			elog(ERROR, "boolean literal in a condition");
	}
}

static void
PrintPattern(Printer *printer, const Literal *literal)
{
	const char *data = ConditionTexts(printer->condition) + literal->value.text.offset;
	StringInfoData pattern;

	initStringInfo(&pattern);
	for (int i = 0; i < literal->value.text.length; i++)
	{
		if (data[i] == '%' || data[i] == '_' || data[i] == '\\')
			appendStringInfoChar(&pattern, '\\');
		appendStringInfoChar(&pattern, data[i]);
	}
	appendStringInfoChar(&pattern, '%');
	PrintString(printer, pattern.data, pattern.len);
	pfree(pattern.data);
}

static const char *
KeyText(const Printer *printer, const ConditionNode *node, int *length)
{
	const Literal *key = &printer->condition->literals[node->key];

	*length = key->value.text.length;
	return ConditionTexts(printer->condition) + key->value.text.offset;
}

void
PrintOperand(const Condition *condition, const ConditionNode *node, StringInfo out)
{
	Printer		printer = {condition, out, false};
	const char *key;
	int			length;

	if (!IsOpenOperand(node->operand))
	{
		appendStringInfoString(out, attribute_table[node->operand].name);
		return;
	}
	if (node->operand == OPERAND_TAG)
		appendStringInfoString(out, "member.tag(");
	else
		appendStringInfo(out, "%s.attr(", SubjectName(node->operand - OPERAND_ATTR));
	key = KeyText(&printer, node, &length);
	PrintText(key, length, out);
	appendStringInfoChar(out, ')');
}

/* An open attribute is NULL unless its jsonb value has the type it is compared as. */
static void
PrintOpenSql(Printer *printer, const ConditionNode *node)
{
	StringInfo	out = printer->out;
	const char *data;
	int			length;
	const char *key;
	const char *attrs;

	data = KeyText(printer, node, &length);
	key = quote_literal_cstr(pnstrdup(data, length));
	if (node->operand == OPERAND_TAG)
	{
		appendStringInfo(out, "(member.tags @> ARRAY[%s::text])", key);
		return;
	}
	attrs = psprintf("%s.attrs", SubjectName(node->operand - OPERAND_ATTR));
	if (node->kind == NODE_NULL)
	{
		appendStringInfo(out, "(%s ->> %s)", attrs, key);
		return;
	}
	switch ((FactType) node->type)
	{
		case FACT_NUMBER:
			appendStringInfo(out,
							 "CASE WHEN jsonb_typeof(%s -> %s) = 'number' "
							 "OR (jsonb_typeof(%s -> %s) = 'string' AND (%s ->> %s) ~ %s) "
							 "THEN (%s ->> %s)::numeric END",
							 attrs, key, attrs, key, attrs, key,
							 quote_literal_cstr(NUMBER_PATTERN), attrs, key);
			break;
		case FACT_TEXT:
			appendStringInfo(out,
							 "CASE WHEN jsonb_typeof(%s -> %s) = 'string' THEN %s ->> %s END",
							 attrs, key, attrs, key);
			break;
		case FACT_BOOLEAN:
			appendStringInfo(out,
							 "CASE WHEN jsonb_typeof(%s -> %s) = 'boolean' "
							 "THEN (%s ->> %s)::boolean END",
							 attrs, key, attrs, key);
			break;
		default:
			elog(ERROR, "open attribute of type %s", FactTypeName(node->type));
	}
}

static void
PrintClause(Printer *printer, const ConditionNode *node)
{
	StringInfo	out = printer->out;

	if (!printer->sql)
		PrintOperand(printer->condition, node, out);
	else if (IsOpenOperand(node->operand))
		PrintOpenSql(printer, node);
	else
		appendStringInfoString(out, attribute_table[node->operand].name);

	if (node->kind == NODE_BOOLEAN)
		return;
	if (printer->sql && node->type == FACT_TEXT && node->kind != NODE_NULL)
		appendStringInfoString(out, " COLLATE \"C\"");

	switch (node->kind)
	{
		case NODE_NULL:
			appendStringInfoString(out, node->op ? " is not null" : " is null");
			break;
		case NODE_COMPARE:
			appendStringInfo(out, " %s ", ComparisonSymbol(node->op));
			PrintLiteral(printer, node->type, node->first);
			break;
		case NODE_BETWEEN:
			appendStringInfoString(out, node->op ? " not between " : " between ");
			PrintLiteral(printer, node->type, node->first);
			appendStringInfoString(out, " and ");
			PrintLiteral(printer, node->type, node->first + 1);
			break;
		case NODE_LIKE:
			appendStringInfoString(out, node->op ? " not like " : " like ");
			PrintPattern(printer, &printer->condition->literals[node->first]);
			break;
		case NODE_IN:
			appendStringInfoString(out, node->op ? " not in (" : " in (");
			for (uint32 i = 0; i < node->count; i++)
			{
				if (i > 0)
					appendStringInfoString(out, ", ");
				PrintLiteral(printer, node->type, node->first + i);
			}
			appendStringInfoChar(out, ')');
			break;
		default:
			elog(ERROR, "unknown node %d in a condition", node->kind);
	}
}

static void
PrintTree(Printer *printer, const ConditionNode *node)
{
	const ConditionNode *nodes = ConditionNodes(printer->condition);
	const ConditionNode *end = nodes + node->end;

	check_stack_depth();
	switch (node->kind)
	{
		case NODE_CONSTANT:
			appendStringInfoString(printer->out, node->op == TRUTH_TRUE ? "true" : "false");
			return;
		case NODE_NOT:
			appendStringInfoString(printer->out, "not ");
			break;
		case NODE_AND:
		case NODE_OR:
			break;
		default:
			PrintClause(printer, node);
			return;
	}
	for (const ConditionNode *child = node + 1; child < end; child = nodes + child->end)
	{
		/* or binds least, then and, then not; and in and does not occur */
		bool		parentheses = (child->kind == NODE_OR) ||
			(child->kind == NODE_AND && node->kind == NODE_NOT);

		if (child > node + 1)
			appendStringInfoString(printer->out, node->kind == NODE_AND ? " and " : " or ");
		if (parentheses)
			appendStringInfoChar(printer->out, '(');
		PrintTree(printer, child);
		if (parentheses)
			appendStringInfoChar(printer->out, ')');
	}
}

void
PrintNode(const Condition *condition, const ConditionNode *node, StringInfo out)
{
	Printer		printer = {condition, out, false};

	PrintTree(&printer, node);
}

char *
PrintCondition(const Condition *condition)
{
	StringInfoData out;

	initStringInfo(&out);
	PrintNode(condition, ConditionNodes(condition), &out);
	return out.data;
}

char *
ConditionToSql(const Condition *condition)
{
	StringInfoData out;
	Printer		printer = {condition, &out, true};

	initStringInfo(&out);
	PrintTree(&printer, ConditionNodes(condition));
	return out.data;
}
