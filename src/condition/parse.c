/*
 * parse.c: from text to the datum, by recursive descent.
 *
 *	 or       := and { OR and }
 *	 and      := not { AND not }
 *	 not      := NOT not | primary
 *	 primary  := '(' or ')' | TRUE | FALSE | operand [ predicate ]
 *	 operand  := attribute | member.attr('key') | sale.attr('key') | line.attr('key')
 *	           | member.tag('tag')
 *	 predicate := comparison literal | IS [NOT] NULL
 *	           | [NOT] ( IN '(' literal {, literal} ')' | BETWEEN literal AND literal | LIKE text )
 *
 * The tree is built in a context of its own, made canonical on the way, and
 * then laid out flat (layout.c).  A comparison of a boolean becomes the boolean itself.
 */
#include "crm_member.h"
#include "condition/attribute.h"
#include "condition/condition_datum.h"
#include "condition/token.h"
#include "condition/tree.h"

#include "miscadmin.h"
#include "utils/memutils.h"

typedef struct Parser
{
	Lexer		lexer;
	int			depth;			/* of parentheses and NOTs */
	Size		size;			/* at least what the datum will need */
} Parser;

static Tree *ParseOr(Parser *parser);

/* ---- helpers over tokens ---- */

static void pg_attribute_noreturn()
Complain(Parser *parser, const char *problem, const char *hint)
{
	TokenError(&parser->lexer, &parser->lexer.token, problem, hint);
}

static bool
Accept(Parser *parser, const char *word)
{
	if (!TokenIs(&parser->lexer.token, word))
		return false;
	NextToken(&parser->lexer);
	return true;
}

static void
Expect(Parser *parser, const char *word)
{
	if (!Accept(parser, word))
		Complain(parser, psprintf("expected \"%s\"", word), NULL);
}

/* What a text could drive without end is bounded here. */
static void
Grow(Parser *parser, Size bytes)
{
	parser->size += bytes;
	if (parser->size > CONDITION_MAX_SIZE)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("condition is too large"),
						errdetail("It may need %d bytes.", CONDITION_MAX_SIZE)));
}

static void
Descend(Parser *parser)
{
	check_stack_depth();
	if (++parser->depth > CONDITION_MAX_DEPTH)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("condition is nested too deeply"),
						errdetail("It may be nested %d levels deep.", CONDITION_MAX_DEPTH)));
}

/* ---- building the tree ---- */

static Tree *
MakeTree(Parser *parser, NodeKind kind)
{
	Tree	   *tree = palloc0(sizeof(Tree));

	Grow(parser, sizeof(ConditionNode));
	tree->node.kind = kind;
	return tree;
}

static void
AppendChild(Tree *parent, Tree *child)
{
	/* and of and is one and */
	if (child->node.kind == parent->node.kind && parent->node.kind != NODE_NOT)
	{
		if (parent->child)
			parent->last_child->next = child->child;
		else
			parent->child = child->child;
		parent->last_child = child->last_child;
		return;
	}
	if (parent->child)
		parent->last_child->next = child;
	else
		parent->child = child;
	parent->last_child = child;
}

static Tree *
Negate(Parser *parser, Tree *tree)
{
	Tree	   *not = MakeTree(parser, NODE_NOT);

	AppendChild(not, tree);
	return not;
}

/* ---- literals ---- */

/* The bytes of a quoted text, the current token. */
static Value *
ReadText(Parser *parser)
{
	Token	   *token = &parser->lexer.token;
	Value	   *value;

	if (token->kind != TOKEN_TEXT)
		Complain(parser, "expected a text", "A text is written in single quotes.");
	value = palloc0(sizeof(Value));
	value->type = FACT_TEXT;
	value->text = palloc(token->length);
	for (const char *s = token->start + 1; s < token->start + token->length - 1; s++)
	{
		value->text[value->length++] = *s;
		if (*s == '\'')
			s++;
	}
	Grow(parser, sizeof(Literal) + value->length);
	NextToken(&parser->lexer);
	return value;
}

static Value *
ReadNumber(Parser *parser)
{
	Token	   *token = &parser->lexer.token;
	Value	   *value = palloc0(sizeof(Value));
	int			length = token->length;

	value->type = FACT_NUMBER;
	if (!TextToDecimal(token->start, length, &value->number))
	{
		if (strspn(token->start, "+-0123456789.") >= length && token->start[length - 1] != '.' &&
			memchr(token->start, '.', length) == NULL)
			Complain(parser, "number is out of range", "It must be below 2^63.");
		Complain(parser, "bad number",
				 psprintf("A number is written like 12 or -3.50: no exponent, at most %d decimals, "
						  "below 2^63 without its decimal point.", DECIMAL_MAX_SCALE));
	}
	Grow(parser, sizeof(Literal));
	NextToken(&parser->lexer);
	return value;
}

/* Whatever literal stands there. */
static Value *
ReadLiteral(Parser *parser)
{
	Token	   *token = &parser->lexer.token;

	switch (token->kind)
	{
		case TOKEN_NUMBER:
			return ReadNumber(parser);
		case TOKEN_TEXT:
			return ReadText(parser);
		default:
			break;
	}
	if (TokenIs(token, "true") || TokenIs(token, "false"))
	{
		Value	   *value = palloc0(sizeof(Value));

		value->type = FACT_BOOLEAN;
		value->boolean = TokenIs(token, "true");
		NextToken(&parser->lexer);
		return value;
	}
	if (TokenIs(token, "null"))
		Complain(parser, "nothing equals null", "Use \"is null\" or \"is not null\".");
	if (TokenIs(token, "date") || TokenIs(token, "timestamp"))
		Complain(parser, "expected a literal",
				 "A date or timestamp is written as a text: '2026-01-31', "
				 "'2026-01-31 10:00+08'.");
	if (token->kind == TOKEN_WORD && memchr(token->start, '.', token->length))
		Complain(parser, "expected a literal",
				 "An attribute is compared with a literal, not with another attribute.");
	Complain(parser, "expected a literal",
			 "A literal is a number, a text in single quotes, true or false.");
}

static const char *
OperandName(const Tree *clause)
{
	int			operand = clause->node.operand;

	if (operand == OPERAND_TAG)
		return "member.tag";
	if (IsOpenOperand(operand))
		return psprintf("%s.attr", SubjectName(operand - OPERAND_ATTR));
	return attribute_table[operand].name;
}

/*
 * A literal of the clause's type; the first literal gives an open operand its
 * type.  Texts become dates or timestamps where the attribute is one.
 */
static void
ReadTyped(Parser *parser, Tree *clause, Value *value)
{
	Token		token = parser->lexer.token;
	FactType	type = clause->node.type;
	Value	   *literal = ReadLiteral(parser);

	if (IsOpenOperand(clause->node.operand) && clause->node.operand != OPERAND_TAG &&
		clause->node.count == 0)
		clause->node.type = type = literal->type;
	*value = *literal;
	clause->node.count++;

	if (type == literal->type)
		return;
	if (literal->type != FACT_TEXT || (type != FACT_DATE && type != FACT_TIMESTAMP))
	{
		const char *hint = NULL;

		if (IsOpenOperand(clause->node.operand) && clause->node.operand != OPERAND_TAG)
			hint = "The first literal gives attr() its type, and the others follow.";
		else if (type == FACT_TEXT)
			hint = "Write a text in single quotes.";
		else if (type == FACT_NUMBER && literal->type == FACT_TEXT)
			hint = "Write a number without quotes.";
		else if (type == FACT_DATE || type == FACT_TIMESTAMP)
			hint = "Write it as a text: '2026-01-31'.";
		TokenError(&parser->lexer, &token,
				   psprintf("%s is of type %s, the literal of type %s", OperandName(clause),
							FactTypeName(type), FactTypeName(literal->type)), hint);
	}
	value->type = type;
	if (type == FACT_DATE)
	{
		DateADT		date;

		if (!ParseDate(literal->text, literal->length, &date))
			TokenError(&parser->lexer, &token,
					   psprintf("%s is of type date, and this is none", OperandName(clause)),
					   "Write a date like '2026-01-31'.");
		value->time = date;
	}
	else
	{
		TimestampTz timestamp;

		if (!ParseTimestamp(literal->text, literal->length, &timestamp))
			TokenError(&parser->lexer, &token,
					   psprintf("%s is of type timestamp, and this is none",
								OperandName(clause)),
					   "Write a timestamp like '2026-01-31 10:00+08' or '2026-01-31'.");
		value->time = timestamp;
	}
}

static int
CompareValues(const void *a, const void *b)
{
	const Value *x = a;
	const Value *y = b;
	int			cmp;

	switch (x->type)
	{
		case FACT_NUMBER:
			return CompareDecimal(x->number, y->number);
		case FACT_TEXT:
			cmp = memcmp(x->text, y->text, Min(x->length, y->length));
			return cmp != 0 ? cmp : x->length - y->length;
		default:
			return (x->time > y->time) - (x->time < y->time);
	}
}

/* ---- the grammar ---- */

static Tree *
ParseOperand(Parser *parser)
{
	Token		name = parser->lexer.token;
	Tree	   *clause = MakeTree(parser, NODE_BOOLEAN);
	Attribute	attribute;

	if (FindAttribute(name.start, name.length, &attribute))
	{
		clause->node.operand = attribute;
		clause->node.type = attribute_table[attribute].type;
		NextToken(&parser->lexer);
		return clause;
	}

	clause->node.type = FACT_BOOLEAN;
	if (TokenIs(&name, "member.attr"))
		clause->node.operand = OPERAND_ATTR + SUBJECT_MEMBER;
	else if (TokenIs(&name, "sale.attr"))
		clause->node.operand = OPERAND_ATTR + SUBJECT_SALE;
	else if (TokenIs(&name, "line.attr"))
		clause->node.operand = OPERAND_ATTR + SUBJECT_LINE;
	else if (TokenIs(&name, "member.tag"))
		clause->node.operand = OPERAND_TAG;
	else
	{
		const char *nearest = NearestAttribute(name.start, name.length);

		Complain(parser, "unknown attribute",
				 nearest ? psprintf("Perhaps you meant %s; crm_member.condition_attributes() "
									"lists them all.", nearest) :
				 "crm_member.condition_attributes() lists them all.");
	}
	NextToken(&parser->lexer);
	Expect(parser, "(");
	clause->key = ReadText(parser);
	Expect(parser, ")");
	return clause;
}

static Comparison
AcceptComparison(Parser *parser)
{
	static const struct
	{
		const char *symbol;
		Comparison	comparison;
	}			table[] = {
		{"=", COMPARE_EQUAL},
		{"<>", COMPARE_UNEQUAL},
		{"!=", COMPARE_UNEQUAL},
		{"<", COMPARE_LESS},
		{"<=", COMPARE_LESS_EQUAL},
		{">", COMPARE_GREATER},
		{">=", COMPARE_GREATER_EQUAL},
	};

	for (int i = 0; i < lengthof(table); i++)
	{
		if (Accept(parser, table[i].symbol))
			return table[i].comparison;
	}
	return 0;
}

static Tree *
ParseComparison(Parser *parser, Tree *clause, Comparison comparison, const Token *symbol)
{
	clause->node.kind = NODE_COMPARE;
	clause->node.op = comparison;
	clause->values = palloc(sizeof(Value));
	ReadTyped(parser, clause, clause->values);
	if (clause->node.type != FACT_BOOLEAN)
		return clause;

	/* x = true is x, x = false is not x */
	if (comparison != COMPARE_EQUAL && comparison != COMPARE_UNEQUAL)
		TokenError(&parser->lexer, symbol, "a boolean has no order",
				   "Compare it by = or <>, or write it by itself.");
	clause->node.kind = NODE_BOOLEAN;
	clause->node.op = 0;
	clause->node.count = 0;
	if (clause->values->boolean == (comparison == COMPARE_EQUAL))
		return clause;
	Descend(parser);
	parser->depth--;
	return Negate(parser, clause);
}

/* No list or range of booleans: they would say nothing. */
static void
RefuseBoolean(Parser *parser, const Tree *clause, const Token *token)
{
	if (clause->node.type == FACT_BOOLEAN)
		TokenError(&parser->lexer, token,
				   psprintf("%s is of type boolean", OperandName(clause)),
				   "Write it by itself, or compare it by = or <>.");
}

static void
ParseIn(Parser *parser, Tree *clause)
{
	int			allocated = 8;
	int			kept = 0;

	clause->node.kind = NODE_IN;
	clause->values = palloc(allocated * sizeof(Value));
	Expect(parser, "(");
	do
	{
		Token		token = parser->lexer.token;

		if (clause->node.count == allocated)
		{
			allocated *= 2;
			clause->values = repalloc(clause->values, allocated * sizeof(Value));
		}
		ReadTyped(parser, clause, &clause->values[clause->node.count]);
		RefuseBoolean(parser, clause, &token);
	} while (Accept(parser, ","));
	Expect(parser, ")");

	qsort(clause->values, clause->node.count, sizeof(Value), CompareValues);
	for (int i = 0; i < clause->node.count; i++)
	{
		if (kept == 0 || CompareValues(&clause->values[kept - 1], &clause->values[i]) != 0)
			clause->values[kept++] = clause->values[i];
	}
	clause->node.count = kept;
}

static void
ParseBetween(Parser *parser, Tree *clause)
{
	Token		token = parser->lexer.token;

	clause->node.kind = NODE_BETWEEN;
	clause->values = palloc(2 * sizeof(Value));
	ReadTyped(parser, clause, &clause->values[0]);
	RefuseBoolean(parser, clause, &token);
	Expect(parser, "and");
	ReadTyped(parser, clause, &clause->values[1]);
}

/* A prefix and one % behind it; a backslash takes the next character as it is. */
static void
ParseLike(Parser *parser, Tree *clause)
{
	Token		token = parser->lexer.token;
	Value	   *pattern;
	int			length = 0;
	int			i;

	clause->node.kind = NODE_LIKE;
	pattern = clause->values = palloc(sizeof(Value));
	if (clause->node.type == FACT_DATE || clause->node.type == FACT_TIMESTAMP)
		TokenError(&parser->lexer, &token,
				   psprintf("%s is of type %s, and like is for text", OperandName(clause),
							FactTypeName(clause->node.type)), NULL);
	ReadTyped(parser, clause, pattern);
	if (pattern->type != FACT_TEXT)
		TokenError(&parser->lexer, &token, "like is for text", NULL);

	for (i = 0; i < pattern->length; i++)
	{
		char		c = pattern->text[i];

		if (c == '%' || c == '_')
			break;
		if (c == '\\' && ++i == pattern->length)
			break;
		pattern->text[length++] = pattern->text[i];
	}
	if (i != pattern->length - 1 || pattern->text[i] != '%')
		TokenError(&parser->lexer, &token, "not a prefix",
				   "A pattern is a prefix and one % at its end, like 'abc%'; "
				   "\\% and \\_ stand for the characters themselves.");
	pattern->length = length;
}

static Tree *
ParseClause(Parser *parser)
{
	Token		operand = parser->lexer.token;
	Tree	   *clause;
	Token		predicate;
	Comparison	comparison;
	bool		negated;

	if (operand.kind != TOKEN_WORD || TokenIs(&operand, "and") || TokenIs(&operand, "or"))
		Complain(parser, "expected an attribute",
				 "A clause begins with an attribute, such as sale.amount >= 100.");
	clause = ParseOperand(parser);
	predicate = parser->lexer.token;

	comparison = AcceptComparison(parser);
	if (comparison)
		return ParseComparison(parser, clause, comparison, &predicate);

	if (Accept(parser, "is"))
	{
		clause->node.kind = NODE_NULL;
		clause->node.op = Accept(parser, "not");
		Expect(parser, "null");
		return clause;
	}

	negated = Accept(parser, "not");
	if (Accept(parser, "in"))
		ParseIn(parser, clause);
	else if (Accept(parser, "between"))
		ParseBetween(parser, clause);
	else if (Accept(parser, "like"))
		ParseLike(parser, clause);
	else if (negated)
		Complain(parser, "expected \"in\", \"between\" or \"like\"", NULL);
	else if (clause->node.type != FACT_BOOLEAN)
		Complain(parser,
				 psprintf("expected a comparison of %s", OperandName(clause)),
				 psprintf("It is of type %s; use = <> < <= > >= in between like or is null.",
						  FactTypeName(clause->node.type)));
	clause->node.op = negated;
	return clause;
}

static Tree *
ParsePrimary(Parser *parser)
{
	Tree	   *tree;

	if (Accept(parser, "("))
	{
		Descend(parser);
		tree = ParseOr(parser);
		parser->depth--;
		Expect(parser, ")");
		return tree;
	}
	if (TokenIs(&parser->lexer.token, "true") || TokenIs(&parser->lexer.token, "false"))
	{
		tree = MakeTree(parser, NODE_CONSTANT);
		tree->node.op = TokenIs(&parser->lexer.token, "true") ? TRUTH_TRUE : TRUTH_FALSE;
		NextToken(&parser->lexer);
		return tree;
	}
	return ParseClause(parser);
}

static Tree *
ParseNot(Parser *parser)
{
	Tree	   *tree;

	if (!Accept(parser, "not"))
		return ParsePrimary(parser);
	Descend(parser);
	tree = Negate(parser, ParseNot(parser));
	parser->depth--;
	return tree;
}

/* One operand, or several under an inner node. */
static Tree *
ParseChain(Parser *parser, NodeKind kind, const char *word, Tree *(*parse) (Parser *))
{
	Tree	   *first = parse(parser);
	Tree	   *chain;

	if (!TokenIs(&parser->lexer.token, word))
		return first;
	chain = MakeTree(parser, kind);
	AppendChild(chain, first);
	while (Accept(parser, word))
		AppendChild(chain, parse(parser));
	return chain;
}

static Tree *
ParseAnd(Parser *parser)
{
	return ParseChain(parser, NODE_AND, "and", ParseNot);
}

static Tree *
ParseOr(Parser *parser)
{
	return ParseChain(parser, NODE_OR, "or", ParseAnd);
}

Condition *
ParseCondition(const char *text)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "condition parser",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Parser		parser = {{text, text}};
	Condition  *condition;
	Tree	   *tree;

	NextToken(&parser.lexer);
	if (parser.lexer.token.kind == TOKEN_END)
		Complain(&parser, "it is empty", "A condition that always holds is written true.");
	tree = ParseOr(&parser);
	if (parser.lexer.token.kind != TOKEN_END)
		Complain(&parser, "expected \"and\", \"or\" or the end", NULL);

	condition = LayOut(tree, old);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return condition;
}
