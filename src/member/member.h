/*
 * member.h: who a member is, and what members are found by.
 */
#ifndef CRM_MEMBER_MEMBER_H
#define CRM_MEMBER_MEMBER_H

#include "postgres.h"
#include "utils/timestamp.h"

/* Why something was refused, kept so that an import can report it and go on. */
typedef struct Refusal
{
	int			sqlstate;		/* 0: not refused */
	char	   *message;
	char	   *detail;			/* or NULL */
	char	   *hint;			/* or NULL */
} Refusal;

/* refusal.c */
extern void Refuse(Refusal *why, int sqlstate, char *message, char *detail, char *hint);
extern void RaiseRefusal(const Refusal *why) pg_attribute_noreturn();

/* config.c: small configuration, cached */
typedef enum IdentityForm
{
	FORM_TRIM,
	FORM_LOWER,
	FORM_PHONE,
	FORM_EMAIL
} IdentityForm;

typedef struct IdentityKind
{
	char	   *kind;
	bool		scoped;
	IdentityForm form;
} IdentityKind;

typedef struct MemberConfig
{
	IdentityKind *kinds;
	int			nkinds;
	char	  **tiers;			/* best last */
	int			ntiers;
	char	  **card_types;
	int			ncard_types;
} MemberConfig;

/* Valid until the next statement that could change configuration. */
extern const MemberConfig *GetMemberConfig(void);
extern char *ListNames(char **names, int nnames);

/* identity.c */
#define CARD_KIND "card"

extern char *TrimText(const char *text);
extern char *NormalizeIdentity(const char *kind, const char *value, Refusal *why);

/*
 * The member it was bound to, or issued to, and who that is after merges; 0 where
 * nobody is found by it.  Error 22023 for a kind that is none.
 */
extern int64 FindHolder(const char *kind, const char *value);

/* member.c: all between SPI_connect and SPI_finish */

extern void UnknownMember(int64 member_id) pg_attribute_noreturn();

/*
 * The member it has been merged into, or itself; 0 where there is none.
 * read_only: as of the calling query, which is what a STABLE function is for.
 */
extern int64 CanonicalMember(int64 member_id, bool read_only);

/*
 * Lock the member for writing, after following merges, also one that happens
 * meanwhile; error RM101 where there is none.  *status lives in the current context.
 */
extern int64 LockMember(int64 member_id, char **status);

/* card.c: whom this card was issued to, who may use it at this time; RM104 unknown, RM105 and why. */
extern int64 UsableCard(const char *card_no, TimestampTz at);

#endif
