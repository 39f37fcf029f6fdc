/*
 * aside.c: what of merged members does not count while they are merged.
 *
 * A merge may say that the cards of those merged away are no longer used, or that
 * of gifts for one person only the first is good.  It is said with the edge, so
 * that both are found again from the live edges, and undone with them.
 */
#include "crm_member.h"
#include "merge/merge.h"
#include "query.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* Of every member: who it is, and what the merges on the way there say. */
static bool
ReadPolicies(const Kin *kin, Datum *values)
{
	Datum	   *texts = palloc(sizeof(Datum) * kin->n);
	bool	   *nulls = palloc0(sizeof(bool) * kin->n);
	int64	   *members = palloc(sizeof(int64) * kin->n);
	int64	   *roots = palloc(sizeof(int64) * kin->n);
	Datum	   *cards = palloc(sizeof(Datum) * kin->n);
	Datum	   *until = palloc(sizeof(Datum) * kin->n);
	int			one = 1;
	bool		any = false;

	for (int i = 0; i < kin->n; i++)
	{
		const KinMember *member = &kin->members[i];
		bool		unused = false;

		members[i] = member->member_id;
		roots[i] = member->root;
		for (const KinMember *step = member; step->parent != 0; step = FindKin(kin, step->parent))
			unused |= step->cards_unused;
		cards[i] = BoolGetDatum(unused);
		nulls[i] = member->parent == 0 || member->gifts == NULL;
		texts[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(member->gifts);
		until[i] = TimestampTzGetDatum(member->gifts_until);
		any |= unused || !nulls[i];
	}
	values[0] = IdArray(members, kin->n);
	values[1] = IdArray(roots, kin->n);
	values[2] = ArrayOf(cards, kin->n, BOOLOID);
	values[3] = PointerGetDatum(construct_md_array(texts, nulls, 1, (int *) &kin->n, &one, TEXTOID, -1, false,
												   TYPALIGN_INT));
	values[7] = PointerGetDatum(construct_array(until, kin->n, TIMESTAMPTZOID, 8, true, TYPALIGN_DOUBLE));
	return any;
}

static void
SetCardsAside(Datum *values)
{
	static CrmQuery query = {
		"UPDATE crm_member.card c SET aside_since = CASE WHEN w.aside THEN now() END "
		"FROM (SELECT c.card_no, m.aside FROM unnest($1, $2, $3) AS m (member_id, root, aside) "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.card c WHERE c.member_id = m.member_id "
		"AND (c.aside_since IS NOT NULL) <> m.aside OFFSET 0) c ORDER BY 1 FOR UPDATE OF c) w WHERE c.card_no = w.card_no",
		3, {INT8ARRAYOID, INT8ARRAYOID, BOOLARRAYOID}};

	RunQuery(&query, values, NULL, false, 0);
}

/*
 * Of one family and template the codes of who used one, or else got the first,
 * stay, and what others have not used is void; a code that has expired is no gift,
 * and what was issued since they were merged is given to all of them.
 */
static char *
VoidGifts(Datum *values, bool policy, const MergeAct *act)
{
	static CrmQuery query = {
		"WITH family AS MATERIALIZED (SELECT * FROM unnest($1, $2) AS m (member_id, root)), "
		"policy AS MATERIALIZED (SELECT m.root, t.template_code, max(m.until) AS until FROM unnest($2, $4, $8) AS m (root, gifts, until) "
		"CROSS JOIN LATERAL (SELECT t.template_code FROM crm_member.coupon_template t "
		"WHERE CASE WHEN m.gifts = '\"void\"' THEN t.member_limit = 1 ELSE m.gifts::jsonb ? t.template_code END) t "
		"WHERE m.gifts IS NOT NULL GROUP BY 1, 2), "
		"held AS MATERIALIZED (SELECT c.*, f.root, v.code IS NOT NULL AS voided FROM family f "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.coupon c WHERE c.member_id = f.member_id "
		"ORDER BY c.code OFFSET 0 FOR UPDATE) c "
		"LEFT JOIN LATERAL (SELECT v.code FROM crm_member.merged_coupon v WHERE v.member_id = c.member_id "
		"AND v.code OPERATOR(crm_member.=) c.code OFFSET 0) v ON true), "
		"gift AS (SELECT h.*, first_value(h.member_id) OVER (PARTITION BY h.root, h.template_code "
		"ORDER BY h.status = 'used' OR h.uses > 0 DESC, h.issued_at, h.member_id) AS first FROM held h JOIN policy p ON p.root = h.root "
		"AND p.template_code = h.template_code AND h.issued_at <= p.until JOIN crm_member.coupon_template t ON t.template_code = h.template_code "
		"WHERE h.status = 'used' OR ((h.status = 'active' OR h.voided) "
		"AND least(h.valid_to, t.valid_to, 'infinity') >= (now() AT TIME ZONE $6)::date)), "
		"wanted AS MATERIALIZED (SELECT g.member_id, g.code FROM gift g WHERE g.member_id <> g.first AND g.uses = 0 "
		"AND g.status <> 'used' AND (g.held_until IS NULL OR g.held_until <= now())), "
		"change AS MATERIALIZED (SELECT h.member_id, h.code, h.template_code, NOT h.voided AS out FROM held h "
		"WHERE h.voided <> EXISTS (SELECT FROM wanted w WHERE w.code OPERATOR(crm_member.=) h.code)), "
		"noted AS (INSERT INTO crm_member.merged_coupon (member_id, code) SELECT c.member_id, c.code FROM change c "
		"WHERE c.out), "
		"forgotten AS (DELETE FROM crm_member.merged_coupon v USING change c WHERE NOT c.out "
		"AND v.member_id = c.member_id AND v.code OPERATOR(crm_member.=) c.code), "
		"written AS (UPDATE crm_member.coupon k SET status = CASE WHEN c.out THEN 'void' ELSE 'active' END "
		"FROM change c WHERE k.code OPERATOR(crm_member.=) c.code), "
		"said AS (INSERT INTO crm_member.coupon_event (member_id, event_id, act, code, template_code, reason, actor) "
		"SELECT c.member_id, crm_member.new_id(), CASE WHEN c.out THEN 'void' ELSE 'restore' END, c.code, "
		"c.template_code, $5, $7 FROM change c) "
		"SELECT coalesce(jsonb_agg(jsonb_build_object('member_id', c.member_id, 'template_code', c.template_code, "
		"'status', CASE WHEN c.out THEN 'void' ELSE 'active' END) ORDER BY c.member_id, c.template_code, c.out), '[]')::text "
		"FROM change c",
		8, {INT8ARRAYOID, INT8ARRAYOID, BOOLARRAYOID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZARRAYOID}};
	static CrmQuery noted = {
		"SELECT FROM crm_member.merged_coupon WHERE member_id = ANY ($1)", 1, {INT8ARRAYOID}};
	static CrmQuery zone = {"SELECT time_zone FROM crm_member.setting", 0};
	char		nulls[] = "        ";

	if (!policy && RunQuery(&noted, values, NULL, false, 1) == 0)
		return "[]";
	RunQuery(&zone, NULL, NULL, false, 1);
	values[5] = CStringGetTextDatum(QueryText(0, 1));
	values[4] = CStringGetTextDatum(act->reason);
	values[6] = NullableText(act->actor, &nulls[6]);
	RunQuery(&query, values, nulls, false, 0);
	return QueryText(0, 1);
}

void
SetAside(const Kin *kin, bool merging, const MergeAct *act, StringInfo report)
{
	Datum		values[8];
	bool		policy = ReadPolicies(kin, values);
	char	   *coupons = "[]";

	/* a merge that sets nothing aside brings nothing back either */
	if (policy || !merging)
	{
		SetCardsAside(values);
		coupons = VoidGifts(values, policy, act);
	}
	appendStringInfo(report, ", \"coupons\": %s", coupons);
}
