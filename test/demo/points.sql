-- What each rule gave, the most generous first.
SELECT r.rule_code AS "Rule", r.name AS "What it gives", to_char(count(DISTINCT b.sale_id), 'FM999,999') AS "Sales",
       to_char(coalesce(sum(b.points), 0), 'FM9,999,999') AS "Points", repeat('*', round(40 * sum(b.points) / max(sum(b.points)) OVER ())::int) AS "Share"
FROM crm_member.points_rule r LEFT JOIN crm_member.points_by_rule b USING (rule_code)
GROUP BY r.rule_code ORDER BY sum(b.points) DESC NULLS LAST;
