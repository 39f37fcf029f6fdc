/*
 * token.c: the words of a condition, and complaints about them.
 *
 * Bytes above 127 occur only inside quotes; elsewhere such a character is a
 * symbol of its own, which the parser refuses.
 */
#include "crm_member.h"
#include "condition/token.h"

#define SHOWN_BYTES 60			/* of a token in an error */

static inline bool
IsWordStart(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static inline bool
IsDigit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
IsSpace(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool
IsInsideCharacter(char c)
{
	return ((unsigned char) c & 0xC0) == 0x80;
}

static const char *
EndOfWord(const char *s)
{
	while (IsWordStart(*s) || IsDigit(*s) || *s == '.')
		s++;
	return s;
}

/* A wrong number such as 12abc or 1.2.3 is one token, so that it is shown whole. */
static const char *
EndOfNumber(const char *s)
{
	return EndOfWord(s + 1);
}

static const char *
EndOfText(Lexer *lexer, const char *start)
{
	const char *s = start + 1;

	for (;;)
	{
		if (*s == '\0')
		{
			lexer->token = (Token) {TOKEN_TEXT, start, s - start};
			TokenError(lexer, &lexer->token, "unterminated text",
					   "A text ends with a single quote; a quote inside it is doubled.");
		}
		if (*s == '\'')
		{
			if (s[1] != '\'')
				return s + 1;
			s++;
		}
		s++;
	}
}

static const char *
EndOfSymbol(const char *s)
{
	if ((s[0] == '<' && (s[1] == '=' || s[1] == '>')) || (s[0] == '>' && s[1] == '=') ||
		(s[0] == '!' && s[1] == '=') || (s[0] == '=' && s[1] == '=') ||
		(s[0] == '&' && s[1] == '&') || (s[0] == '|' && s[1] == '|'))
		return s + 2;
	s++;
	while (IsInsideCharacter(*s))
		s++;
	return s;
}

void
NextToken(Lexer *lexer)
{
	const char *s = lexer->next;
	Token	   *token = &lexer->token;

	while (IsSpace(*s))
		s++;
	token->start = s;
	if (*s == '\0')
	{
		token->kind = TOKEN_END;
		lexer->next = s;
	}
	else if (IsWordStart(*s))
	{
		token->kind = TOKEN_WORD;
		lexer->next = EndOfWord(s);
	}
	else if (IsDigit(*s) || ((*s == '-' || *s == '+' || *s == '.') && IsDigit(s[1])))
	{
		token->kind = TOKEN_NUMBER;
		lexer->next = EndOfNumber(s);
	}
	else if (*s == '\'')
	{
		token->kind = TOKEN_TEXT;
		lexer->next = EndOfText(lexer, s);
	}
	else
	{
		token->kind = TOKEN_SYMBOL;
		lexer->next = EndOfSymbol(s);
	}
	token->length = lexer->next - s;
}

/* Words in any case. */
bool
TokenIs(const Token *token, const char *word)
{
	return (token->kind == TOKEN_WORD || token->kind == TOKEN_SYMBOL) &&
		pg_strncasecmp(token->start, word, token->length) == 0 && word[token->length] == '\0';
}

void
TokenError(const Lexer *lexer, const Token *token, const char *problem, const char *hint)
{
	int			position = 1;
	int			shown = token->length;

	for (const char *s = lexer->text; s < token->start; s++)
	{
		if (!IsInsideCharacter(*s))
			position++;
	}
	if (shown > SHOWN_BYTES)
	{
		shown = SHOWN_BYTES;
		while (IsInsideCharacter(token->start[shown]))
			shown--;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					errmsg("invalid condition: %s", problem),
					token->kind == TOKEN_END ?
					errdetail("At its end, character %d.", position) :
					errdetail("At \"%.*s%s\", character %d.", shown, token->start,
							  shown < token->length ? "..." : "", position),
					hint ? errhint("%s", hint) : 0));
}
