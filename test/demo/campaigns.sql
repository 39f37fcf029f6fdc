-- Each coupon of each campaign is a template with one code for all, a dollar off one of its products
-- (what it was worth is not in the files), for the households that the campaign was sent to.
UPDATE crm_member.member m SET tags = c.tags
FROM (SELECT household_id::text, array_agg('campaign ' || campaign_id) AS tags FROM journey.campaigns GROUP BY 1) c (household, tags)
JOIN crm_member.identity i ON i.kind = 'external:journey' AND i.value = c.household
WHERE i.member_id = m.member_id;

INSERT INTO crm_member.coupon_template (template_code, kind, value, uses, valid_from, valid_to, requires, eligible)
SELECT c.campaign_id || '-' || c.coupon_upc, 'amount', 1, NULL, d.start_date, d.end_date, format('member.tag(%L)', 'campaign ' || c.campaign_id)::crm_member.condition,
       format('line.sku in (%s)', string_agg(quote_literal(c.product_id), ', '))::crm_member.condition
FROM journey.coupons c JOIN journey.campaign_descriptions d USING (campaign_id)
WHERE EXISTS (SELECT FROM journey.coupon_redemptions r WHERE (r.campaign_id, r.coupon_upc) = (c.campaign_id, c.coupon_upc))
GROUP BY c.campaign_id, c.coupon_upc, d.start_date, d.end_date;

SELECT count(crm_member.import_coupon(template_code, template_code)) FROM crm_member.coupon_template;

-- and three for everybody, to choose from
INSERT INTO crm_member.coupon_template (template_code, name, kind, value, uses, min_spend, target, eligible, stack_group) VALUES
  ('FIVE-OFF', '5 off from 20',              'amount',  5,  NULL, 20,   'order', NULL, 'basket'),
  ('TENTH',    'a tenth off everything',     'percent', 10, NULL, NULL, 'order', NULL, 'basket'),
  ('FRESH',    '30 % off fruit, vegetables', 'percent', 30, NULL, NULL, 'line',  'line.attr(''department'') = ''PRODUCE''', NULL);
SELECT crm_member.import_coupon(code, code) FROM (VALUES ('FIVE-OFF'), ('TENTH'), ('FRESH')) v (code);
