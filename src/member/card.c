/*
 * card.c: whether a card may be used.
 *
 * A card is judged by the time of the sale, not of its arrival: a sale that
 * reaches us late was rung up while the card was still good.
 */
#include "crm_member.h"
#include "argument.h"
#include "query.h"
#include "member/member.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

static void
UnusableCard(const char *card_no, const char *reason, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_CARD_STATE), errmsg("card \"%s\" cannot be used", card_no),
					errdetail_internal("%s", reason), hint ? errhint("%s", hint) : 0));
}

int64
UsableCard(const char *given, TimestampTz at)
{
	static CrmQuery query = {
		"SELECT member_id, state, effective_at, expires_at, ended_at, aside_since FROM crm_member.card "
		"WHERE card_no OPERATOR(pg_catalog.=) $1",
		1, {TEXTOID}};
	char	   *card_no = TrimText(given);
	Datum		value = CStringGetTextDatum(card_no);
	TimestampTz effective_at,
				expires_at,
				ended_at,
				aside_since;
	bool		held,
				effective,
				expires,
				ended,
				aside;
	bool		isnull;
	char	   *state;
	int64		member_id;

	SPI_connect();
	if (RunQuery(&query, &value, NULL, true, 1) == 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_CARD),
						errmsg("card \"%s\" is unknown", card_no)));
	member_id = DatumGetInt64(QueryColumn(0, 1, &isnull));
	held = !isnull;
	state = TextDatumGetCString(QueryColumn(0, 2, &isnull));
	effective_at = DatumGetTimestampTz(QueryColumn(0, 3, &isnull));
	effective = !isnull;
	expires_at = DatumGetTimestampTz(QueryColumn(0, 4, &isnull));
	expires = !isnull;
	ended_at = DatumGetTimestampTz(QueryColumn(0, 5, &isnull));
	ended = !isnull;
	aside_since = DatumGetTimestampTz(QueryColumn(0, 6, &isnull));
	aside = !isnull;

	if (!held)
		UnusableCard(card_no, "It has not been issued to a member.",
					 "Issue it with issue_card(), or register a member with it.");
	if (ended && at >= ended_at)
		UnusableCard(card_no,
					 strcmp(state, "lost") == 0 ? "It was reported lost." : "It was cancelled.",
					 NULL);
	if (!effective || at < effective_at)
		UnusableCard(card_no, "It was not enabled at that time.",
					 "Enable it with activate_card().");
	if (expires && at >= expires_at)
		UnusableCard(card_no, psprintf("It expired at %s.", timestamptz_to_str(expires_at)), NULL);
	if (aside && at >= aside_since)
		UnusableCard(card_no, "Its holder was merged with another member, whose cards are used instead.",
					 "primary_card() tells which one, issue_card() gives another.");
	SPI_finish();
	return member_id;
}

PG_FUNCTION_INFO_V1(crm_usable_card);
Datum
crm_usable_card(PG_FUNCTION_ARGS)
{
	int64		holder;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	holder = UsableCard(text_to_cstring(PG_GETARG_TEXT_PP(0)),
						MomentArgument(fcinfo, 1, GetCurrentTransactionStartTimestamp()));
	SPI_connect();
	holder = CanonicalMember(holder, true);
	SPI_finish();
	PG_RETURN_INT64(holder);
}
