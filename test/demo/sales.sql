-- The baskets of one month (:month), as rows: headers, then lines, whose trigger settles them.
-- sales_value is after the shop's own discount; rare lines without quantity count as one.
INSERT INTO crm_member.sale (member_id, sale_id, source, ref, store, channel, sold_at)
SELECT i.member_id, crm_member.new_id(), 'journey', t.basket_id, t.store_id, 'store',
       min(t.transaction_timestamp) AT TIME ZONE 'America/New_York'
FROM journey.transactions t
JOIN crm_member.identity i ON i.kind = 'external:journey' AND i.value = t.household_id::text
WHERE t.transaction_timestamp >= make_date(2017, :month, 1)
  AND t.transaction_timestamp < make_date(2017, :month, 1) + interval '1 month'
GROUP BY i.member_id, t.basket_id, t.store_id
ORDER BY min(t.transaction_timestamp), t.basket_id;

INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, sku, category, brand, quantity, price, discount, attrs)
SELECT s.member_id, s.sale_id, row_number() OVER (PARTITION BY s.sale_id ORDER BY t.product_id),
       t.product_id, p.product_category, p.brand, q.quantity,
       round((round(t.sales_value, 2) + t.retail_disc) / q.quantity, 8), t.retail_disc,
       CASE WHEN p.department IS NULL THEN '{}' ELSE jsonb_build_object('department', p.department) END
FROM journey.transactions t
JOIN crm_member.identity i ON i.kind = 'external:journey' AND i.value = t.household_id::text
JOIN crm_member.sale s ON s.member_id = i.member_id AND s.source = 'journey' AND s.ref = t.basket_id::text
LEFT JOIN journey.products p USING (product_id)
CROSS JOIN LATERAL (SELECT coalesce(nullif(t.quantity, 0), 1) AS quantity) q
WHERE t.transaction_timestamp >= make_date(2017, :month, 1)
  AND t.transaction_timestamp < make_date(2017, :month, 1) + interval '1 month';
