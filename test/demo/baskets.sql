-- Each basket with its member and an identifier, and its lines as sale_line has them.
-- sales_value is after the shop's own discount; a line without quantity counts as one; a quantity of
-- 100 or more is fuel in thousandths of a gallon.
CREATE TABLE journey.basket AS
SELECT i.member_id, crm_member.new_id() AS sale_id, t.basket_id, t.store_id,
       t.transaction_timestamp AT TIME ZONE 'America/New_York' AS sold_at,
       extract(month FROM t.transaction_timestamp) AS month
FROM (SELECT DISTINCT household_id, basket_id, store_id, transaction_timestamp FROM journey.transactions) t
JOIN crm_member.identity i ON i.kind = 'external:journey' AND i.value = t.household_id::text
ORDER BY t.transaction_timestamp, t.basket_id;

CREATE TABLE journey.line AS
SELECT b.month, b.member_id, b.sale_id,
       row_number() OVER (PARTITION BY b.sale_id ORDER BY t.product_id)::int AS line_no,
       t.product_id AS sku, p.product_category AS category, p.brand, q.quantity,
       round((round(t.sales_value, 2) + t.retail_disc) / q.quantity, 6) AS price, t.retail_disc AS discount,
       CASE WHEN p.department IS NULL THEN '{}'
            ELSE jsonb_build_object('department', CASE WHEN t.quantity >= 100 THEN 'FUEL' ELSE p.department END) END AS attrs
FROM journey.transactions t
JOIN journey.basket b USING (basket_id)
LEFT JOIN journey.products p USING (product_id)
CROSS JOIN LATERAL (SELECT CASE WHEN t.quantity = 0 THEN 1 WHEN t.quantity >= 100 THEN t.quantity / 1000 ELSE t.quantity END) q (quantity);
