/*
 * register_member.c: one new member.
 */
#include "crm_member.h"
#include "argument.h"
#include "query.h"
#include "member/registration.h"

#include "utils/builtins.h"

/* Arguments of register_member() in SQL. */
enum
{
	ARG_NAME, ARG_MOBILE, ARG_EMAIL, ARG_BIRTHDAY, ARG_GENDER, ARG_SOURCE, ARG_EXTERNAL_ID,
	ARG_STORE, ARG_CHANNEL, ARG_TIER, ARG_ATTRS, ARG_KIND, ARG_STATUS, ARG_JOINED_AT, ARG_CARD_NO,
	ARG_CARD_TYPE, ARG_IDENTITIES, ARG_REF, ARG_ACTOR, ARG_UNLESS_LIKE
};

static const int field_args[MEMBER_FIELDS] = {
	[FIELD_NAME] = ARG_NAME,
	[FIELD_MOBILE] = ARG_MOBILE,
	[FIELD_EMAIL] = ARG_EMAIL,
	[FIELD_GENDER] = ARG_GENDER,
	[FIELD_SOURCE] = ARG_SOURCE,
	[FIELD_EXTERNAL_ID] = ARG_EXTERNAL_ID,
	[FIELD_STORE] = ARG_STORE,
	[FIELD_CHANNEL] = ARG_CHANNEL,
	[FIELD_TIER] = ARG_TIER,
	[FIELD_KIND] = ARG_KIND,
	[FIELD_STATUS] = ARG_STATUS,
	[FIELD_CARD_NO] = ARG_CARD_NO,
	[FIELD_CARD_TYPE] = ARG_CARD_TYPE,
	[FIELD_REF] = ARG_REF,
};

PG_FUNCTION_INFO_V1(crm_register_member);
Datum
crm_register_member(PG_FUNCTION_ARGS)
{
	Registration *row = palloc0(sizeof(Registration));
	char	   *actor = TextArgument(fcinfo, ARG_ACTOR);

	for (int i = 0; i < MEMBER_FIELDS; i++)
		row->text[i] = TextArgument(fcinfo, field_args[i]);
	row->has_birthday = !PG_ARGISNULL(ARG_BIRTHDAY);
	if (row->has_birthday)
		row->birthday = PG_GETARG_DATEADT(ARG_BIRTHDAY);
	row->has_joined_at = !PG_ARGISNULL(ARG_JOINED_AT);
	if (row->has_joined_at)
		row->joined_at = PG_GETARG_TIMESTAMPTZ(ARG_JOINED_AT);
	if (!PG_ARGISNULL(ARG_ATTRS))
		row->attrs = PG_GETARG_JSONB_P(ARG_ATTRS);
	if (!PG_ARGISNULL(ARG_IDENTITIES))
		row->identities = PG_GETARG_JSONB_P(ARG_IDENTITIES);
	if (!PG_ARGISNULL(ARG_UNLESS_LIKE))
		row->unless_like = PG_GETARG_NUMERIC(ARG_UNLESS_LIKE);

	SPI_connect();
	CheckRegistration(row, false);
	RegisterMembers(&row, 1, false, 0, actor);
	if (row->outcome == OUTCOME_REFUSED)
		RaiseRefusal(&row->why);
	SPI_finish();
	PG_RETURN_INT64(row->member_id);
}
