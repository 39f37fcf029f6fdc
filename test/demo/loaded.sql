-- What is in the books after the load.
SELECT what AS "Loaded", to_char(n, 'FM9,999,999') AS "Rows" FROM (
  SELECT 1, 'members', count(*) FROM crm_member.member
  UNION ALL SELECT 2, 'sales, settled', count(settled_at) FROM crm_member.sale
  UNION ALL SELECT 3, 'lines', count(*) FROM crm_member.sale_line
  UNION ALL SELECT 4, 'entries in the points ledger', count(*) FROM crm_member.points_entry
  UNION ALL SELECT 5, 'violations found by verify_ledger()', count(*) FROM crm_member.verify_ledger()
) v (no, what, n) ORDER BY no;

SELECT to_char(sum(amount), 'FM$9,999,990.00') AS "Before discounts", to_char(sum(discount), 'FM$9,999,990.00') AS "Discounts",
       to_char(sum(payable), 'FM$9,999,990.00') AS "Paid", (SELECT to_char(sum(balance), 'FM9,999,999') FROM crm_member.points_account) AS "Points held"
FROM crm_member.sale;
