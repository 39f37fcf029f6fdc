-- The baskets of one month (:month), as rows: headers, then lines, whose trigger settles them.
INSERT INTO crm_member.sale (member_id, sale_id, source, ref, store, channel, sold_at)
SELECT member_id, sale_id, 'journey', basket_id, store_id, 'store', sold_at
FROM journey.basket WHERE month = :month;

INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, sku, category, brand, quantity, price, discount, attrs)
SELECT member_id, sale_id, line_no, sku, category, brand, quantity, price, discount, attrs
FROM journey.line WHERE month = :month;
