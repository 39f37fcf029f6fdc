-- That basket as it stands in the books, and what each rule says to it.
SELECT to_char(sold_at AT TIME ZONE 'America/New_York', 'Dy DD Mon HH24:MI') AS "Sold", ref AS "Basket", amount AS "Amount", discount AS "Discount", payable AS "Paid",
       (SELECT sum(points) FROM crm_member.points_by_rule b WHERE b.member_id = s.member_id AND b.sale_id = s.sale_id) AS "Points"
FROM crm_member.sale s WHERE member_id = :member_id AND sale_id = :sale_id;

SELECT line_no AS "Line", category AS "Category", brand AS "Brand", attrs ->> 'department' AS "Department", quantity AS "Quantity", amount AS "Amount", discount AS "Discount"
FROM crm_member.sale_line WHERE member_id = :member_id AND sale_id = :sale_id ORDER BY line_no;

SELECT e.rule_code AS "Rule", coalesce(string_agg(nullif(e.line_no, 0)::text, ', ' ORDER BY e.line_no), '') AS "Lines", e.verdict AS "Verdict",
       coalesce(max(e.clause), '') AS "What failed", coalesce(max(e.saw), '') AS "It saw",
       coalesce(max(e.displaced_by), '') AS "Displaced by", sum(e.points) AS "Points"
FROM crm_member.explain_points(crm_member.sale_document('journey', :'ref')) e JOIN crm_member.points_rule r USING (rule_code)
GROUP BY e.rule_code, e.verdict, r.priority ORDER BY sum(e.points) DESC NULLS LAST, r.priority DESC;
