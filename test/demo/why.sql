-- The basket that earned by the most rules, as it stands in the books.
SELECT member_id, sale_id FROM crm_member.points_by_rule GROUP BY member_id, sale_id
ORDER BY count(DISTINCT rule_code) DESC, sum(points) DESC, sale_id LIMIT 1 \gset

SELECT to_char(sold_at AT TIME ZONE 'America/New_York', 'Dy DD Mon HH24:MI') AS "Sold", ref AS "Basket", amount AS "Amount", discount AS "Discount", payable AS "Paid",
       (SELECT sum(points) FROM crm_member.points_by_rule b WHERE b.member_id = s.member_id AND b.sale_id = s.sale_id) AS "Points"
FROM crm_member.sale s WHERE member_id = :member_id AND sale_id = :sale_id;

SELECT line_no AS "Line", category AS "Category", brand AS "Brand", attrs ->> 'department' AS "Department", quantity AS "Quantity", amount AS "Amount", discount AS "Discount"
FROM crm_member.sale_line WHERE member_id = :member_id AND sale_id = :sale_id ORDER BY line_no;

SELECT r.rule_code AS "Rule", r.condition AS "Condition", sum(b.points) AS "Points",
       string_agg(nullif(b.line_no, 0)::text, ', ' ORDER BY b.line_no) AS "For lines"
FROM crm_member.points_by_rule b JOIN crm_member.points_rule r USING (rule_code)
WHERE b.member_id = :member_id AND b.sale_id = :sale_id
GROUP BY r.rule_code ORDER BY max(r.priority) DESC;
