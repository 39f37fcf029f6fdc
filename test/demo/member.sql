-- The member whose best basket earned by the most rules.
SELECT member_id FROM crm_member.points_by_rule GROUP BY member_id, sale_id
ORDER BY count(DISTINCT rule_code) DESC, sum(points) DESC, sale_id LIMIT 1 \gset
SELECT jsonb_pretty(crm_member.member_360(:member_id));
