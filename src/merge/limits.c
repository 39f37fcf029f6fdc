/*
 * limits.c: what was used of limits a member has.
 *
 * A survivor has used what all that are one with it have used together.  Being
 * over a limit is no error: only more is refused.
 */
#include "crm_member.h"
#include "merge/merge.h"
#include "query.h"

#include "catalog/pg_type.h"

/* Redemptions in force of templates with member_limit, by each of the roots $1 and all that are it. */
#define FAMILY_USES \
	"SELECT m.root AS member_id, u.template_code, count(*) AS uses FROM unnest($1) AS r (root) " \
	"CROSS JOIN LATERAL (SELECT r.root, r.root AS member_id UNION SELECT k.root, k.member_id " \
	"FROM crm_member.member_kin o CROSS JOIN LATERAL (SELECT * FROM crm_member.member_kin k " \
	"WHERE k.kin = o.kin AND k.root = r.root OFFSET 0) k WHERE o.member_id = r.root) m " \
	"CROSS JOIN LATERAL (SELECT u.template_code FROM crm_member.coupon_use u " \
	"WHERE u.member_id = m.member_id AND u.returned_at IS NULL OFFSET 0) u " \
	"CROSS JOIN LATERAL (SELECT FROM crm_member.coupon_template t " \
	"WHERE t.template_code = u.template_code AND t.member_limit IS NOT NULL OFFSET 0) t " \
	"GROUP BY 1, 2"

static Datum
Touched(const Kin *kin, bool only_roots)
{
	int64	   *members = palloc(sizeof(int64) * kin->n);
	int			n = 0;

	for (int i = 0; i < kin->n; i++)
	{
		const KinMember *member = &kin->members[i];

		if (only_roots ? member->root == member->member_id : member->touched)
			members[n++] = member->member_id;
	}
	return IdArray(members, n);
}

void
LockMergedLimits(const Kin *kin)
{
	static CrmQuery make = {
		"INSERT INTO crm_member.coupon_tally AS t (member_id, template_code, uses) " FAMILY_USES
		" ORDER BY 1, 2 ON CONFLICT (member_id, template_code) DO NOTHING",
		1, {INT8ARRAYOID}};
	static CrmQuery tallies = {
		"SELECT FROM crm_member.coupon_tally WHERE member_id = ANY ($1) "
		"ORDER BY member_id, template_code FOR UPDATE", 1, {INT8ARRAYOID}};
	/* one that is counted for anybody is for all, so that none is taken for nothing */
	static CrmQuery count = {
		"INSERT INTO crm_member.points_rule_use (member_id, rule_code, period, points) "
		"SELECT * FROM (SELECT m.member_id, u.rule_code, u.period, "
		"crm_member.rule_given(m.member_id, u.rule_code, u.period, u.limit_period) AS points "
		"FROM (SELECT DISTINCT u.rule_code, u.period, r.limit_period FROM crm_member.points_rule_use u "
		"JOIN crm_member.points_rule r ON r.rule_code = u.rule_code AND r.member_limit IS NOT NULL "
		"WHERE u.member_id = ANY ($1)) u CROSS JOIN unnest($1) AS m (member_id) "
		"WHERE NOT EXISTS (SELECT FROM crm_member.points_rule_use o WHERE o.member_id = m.member_id "
		"AND o.rule_code = u.rule_code AND o.period = u.period) OFFSET 0) given WHERE points > 0 "
		"ORDER BY 1, 2, 3 ON CONFLICT (member_id, rule_code, period) DO NOTHING",
		1, {INT8ARRAYOID}};
	static CrmQuery uses = {
		"SELECT FROM crm_member.points_rule_use WHERE member_id = ANY ($1) "
		"ORDER BY member_id, rule_code, period FOR UPDATE", 1, {INT8ARRAYOID}};
	int64	   *all = palloc(sizeof(int64) * kin->n);
	Datum		roots = Touched(kin, true);
	Datum		members = Touched(kin, false);
	Datum		everybody;

	RunQuery(&make, &roots, NULL, false, 0);
	RunQuery(&tallies, &members, NULL, false, 0);
	for (int i = 0; i < kin->n; i++)
		all[i] = kin->members[i].member_id;
	everybody = IdArray(all, kin->n);
	RunQuery(&count, &everybody, NULL, false, 0);
	RunQuery(&uses, &members, NULL, false, 0);
}

void
MoveMergedLimits(const Kin *kin)
{
	static CrmQuery tallies = {
		"UPDATE crm_member.coupon_tally t SET uses = n.uses FROM ("
		"SELECT o.member_id, o.template_code, coalesce(f.uses, 0) AS uses FROM crm_member.coupon_tally o "
		"LEFT JOIN (" FAMILY_USES ") f ON f.member_id = o.member_id AND f.template_code = o.template_code "
		"WHERE o.member_id = ANY ($1) OFFSET 0) n "
		"WHERE t.member_id = n.member_id AND t.template_code = n.template_code AND t.uses <> n.uses",
		1, {INT8ARRAYOID}};
	/* what survivors took over from others goes out before it comes in anew */
	static CrmQuery give_back = {
		"WITH gone AS (DELETE FROM crm_member.merged_use WHERE member_id = ANY ($1) RETURNING *), "
		"summed AS (SELECT member_id, rule_code, period, sum(points) AS points FROM gone GROUP BY 1, 2, 3) "
		"UPDATE crm_member.points_rule_use u SET points = u.points - s.points FROM summed s "
		"WHERE u.member_id = s.member_id AND u.rule_code = s.rule_code AND u.period = s.period",
		1, {INT8ARRAYOID}};
	static CrmQuery take_over = {
		"WITH used AS MATERIALIZED (SELECT r.root, u.member_id AS owner, u.rule_code, u.period, u.points "
		"FROM unnest($1) AS r (root) "
		"CROSS JOIN LATERAL (SELECT x.kin FROM crm_member.member_kin x WHERE x.member_id = r.root OFFSET 0) x "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.member_kin k WHERE k.kin = x.kin AND k.root = r.root "
		"AND k.member_id <> r.root OFFSET 0) k "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.points_rule_use u WHERE u.member_id = k.member_id "
		"AND u.points > 0 OFFSET 0) u), "
		"noted AS (INSERT INTO crm_member.merged_use (member_id, owner, rule_code, period, points) "
		"SELECT * FROM used) "
		"INSERT INTO crm_member.points_rule_use AS u (member_id, rule_code, period, points) "
		"SELECT root, rule_code, period, sum(points) FROM used GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 "
		"ON CONFLICT (member_id, rule_code, period) DO UPDATE SET points = u.points + excluded.points",
		1, {INT8ARRAYOID}};
	Datum		roots = Touched(kin, true);
	Datum		members = Touched(kin, false);

	RunQuery(&tallies, &roots, NULL, false, 0);
	RunQuery(&give_back, &members, NULL, false, 0);
	RunQuery(&take_over, &roots, NULL, false, 0);
}
