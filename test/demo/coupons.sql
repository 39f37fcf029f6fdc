-- The redemptions as they were, and as they were not.
CREATE TEMP VIEW presented AS
SELECT q.asked, q.how, v.valid, v.sqlstate
FROM (SELECT r.*, i.member_id, d.start_date, d.end_date, (SELECT min(c.product_id) FROM journey.coupons c WHERE (c.campaign_id, c.coupon_upc) = (r.campaign_id, r.coupon_upc)) AS product,
             (SELECT min(o.member_id) FROM crm_member.member o WHERE NOT 'campaign ' || r.campaign_id = ANY (o.tags)) AS stranger
      FROM journey.coupon_redemptions r JOIN journey.campaign_descriptions d USING (campaign_id)
      JOIN crm_member.identity i ON i.kind = 'external:journey' AND i.value = r.household_id::text) r
CROSS JOIN LATERAL (VALUES (1, 'as it was',                                  r.member_id, r.redemption_date, r.product),
                           (2, 'the day before its campaign',                r.member_id, r.start_date - 1,    r.product),
                           (3, 'the day after it',                           r.member_id, r.end_date + 1,      r.product),
                           (4, 'by a household that it was not sent to',     r.stranger,  r.redemption_date, r.product),
                           (5, 'for a product that it does not cover',       r.member_id, r.redemption_date, 'another')) q (asked, how, member_id, day, sku)
CROSS JOIN LATERAL crm_member.validate_coupon(r.campaign_id || '-' || r.coupon_upc, jsonb_build_object('member_id', q.member_id,
  'sold_at', q.day + time '12:00', 'lines', jsonb_build_array(jsonb_build_object('sku', q.sku, 'price', 2.5)))) v
WHERE r.product IS NOT NULL;
SELECT how AS "Presented", count(*) FILTER (WHERE valid) AS "Valid", count(*) FILTER (WHERE NOT valid) AS "Refused", coalesce(min(sqlstate), '') AS "SQLSTATE"
FROM presented GROUP BY asked, how ORDER BY asked;

-- three coupons for that basket, two of which exclude each other
SELECT array_to_string(codes, ', ') AS "Best of FIVE-OFF, TENTH, FRESH", discount AS "Discount", payable AS "To pay", proven AS "Proven"
FROM crm_member.best_coupons(crm_member.sale_document('journey', :'ref') - 'ref' || '{"coupons": ["FIVE-OFF", "TENTH", "FRESH"]}');
