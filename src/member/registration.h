/*
 * registration.h: new members, one or many.
 */
#ifndef CRM_MEMBER_REGISTRATION_H
#define CRM_MEMBER_REGISTRATION_H

#include "postgres.h"
#include "member/member.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

/* What is said as text, in the order of the arguments of register_member(). */
typedef enum MemberField
{
	FIELD_NAME,
	FIELD_MOBILE,
	FIELD_EMAIL,
	FIELD_GENDER,
	FIELD_SOURCE,
	FIELD_EXTERNAL_ID,
	FIELD_STORE,
	FIELD_CHANNEL,
	FIELD_TIER,
	FIELD_KIND,
	FIELD_STATUS,
	FIELD_CARD_NO,
	FIELD_CARD_TYPE,
	FIELD_REF,
	MEMBER_FIELDS
} MemberField;

extern const char *const member_field_names[MEMBER_FIELDS];

typedef enum Outcome
{
	OUTCOME_OPEN,
	OUTCOME_REGISTERED,
	OUTCOME_EXISTING,
	OUTCOME_BLOCKED,			/* by another row of the batch, which may yet be refused */
	OUTCOME_REFUSED
} Outcome;

typedef struct OtherIdentity
{
	char	   *kind;
	char	   *value;			/* normal form */
} OtherIdentity;

typedef struct Registration
{
	/* filled by the caller; CheckRegistration brings it to normal form */
	char	   *text[MEMBER_FIELDS];	/* NULL: not said */
	bool		has_birthday;
	DateADT		birthday;
	bool		has_joined_at;
	TimestampTz joined_at;
	Jsonb	   *attrs;			/* or NULL */
	Jsonb	   *identities;		/* or NULL */
	Numeric		unless_like;	/* or NULL; only of one that is registered alone */

	char	   *identity_mobile;	/* normal form for the directory */
	char	   *identity_email;
	char	   *external_kind;
	OtherIdentity *others;
	int			nothers;
	int64		fingerprint;

	int64		member_id;		/* the new one; the old one where outcome is EXISTING */
	Outcome		outcome;
	bool		claims;			/* whether directories may hold claims of it */
	Refusal		why;
} Registration;

/*
 * registration_check.c: sets why where the row cannot be registered by itself.
 * keep: a mobile or e-mail that nobody could be found by is recorded as it is.
 */
extern void CheckRegistration(Registration *row, bool keep);

/*
 * registration.c, between SPI_connect and SPI_finish, with search_path pg_catalog.
 *
 * Registers the rows that are not refused yet; each ends REGISTERED, EXISTING or
 * REFUSED.  keep: a mobile or e-mail that is taken is recorded, not claimed.
 * import_id 0: not an import.
 */
extern void RegisterMembers(Registration **rows, int nrows, bool keep, int64 import_id,
							char *actor);

#endif
