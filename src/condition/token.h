/*
 * token.h: the words of a condition, and complaints about them.
 */
#ifndef CRM_TOKEN_H
#define CRM_TOKEN_H

#include "postgres.h"

typedef enum TokenKind
{
	TOKEN_END,
	TOKEN_WORD,					/* keyword, or name with its dots */
	TOKEN_NUMBER,
	TOKEN_TEXT,					/* with its quotes */
	TOKEN_SYMBOL				/* = <> != < <= > >= ( ) , */
} TokenKind;

typedef struct Token
{
	TokenKind	kind;
	const char *start;
	int			length;
} Token;

typedef struct Lexer
{
	const char *text;			/* all of it, for positions */
	const char *next;			/* where the next token is looked for */
	Token		token;			/* the current one */
} Lexer;

extern void NextToken(Lexer *lexer);
extern bool TokenIs(const Token *token, const char *word);

/* Error 22P02 at a token; detail and hint may be NULL. */
extern void TokenError(const Lexer *lexer, const Token *token, const char *problem,
					   const char *hint) pg_attribute_noreturn();

#endif
