-- The basket that earned by the most rules.
SELECT member_id, s.sale_id, s.ref FROM crm_member.points_by_rule b JOIN crm_member.sale s USING (member_id, sale_id)
GROUP BY member_id, s.sale_id, s.ref ORDER BY count(DISTINCT rule_code) DESC, sum(points) DESC, s.ref LIMIT 1 \gset
