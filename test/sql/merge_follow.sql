--
-- What is done after a merge follows whom it was done with, and what is derived
-- (tiers, limits, scores, reports) follows a merge and its undoing at once.
--
\getenv tests PG_ABS_SRCDIR
\set zone 'UTC'
\i :tests/sql/include/business.sql
INSERT INTO crm_member.points_rule (rule_code, award, points) VALUES ('base', 'per_amount', 1);
INSERT INTO crm_member.points_rule (rule_code, award, points, member_limit) VALUES ('gift', 'fixed', 10, 25);
UPDATE crm_member.points_type SET money_value = 0.01 WHERE points_type = 'points';
INSERT INTO crm_member.coupon_template (template_code, kind, value, uses, member_limit) VALUES ('five', 'amount', 5, NULL, 2);
SELECT crm_member.import_coupon('five', 'FIVE') IS NOT NULL AS imported;
INSERT INTO crm_member.member (member_id, joined_at, store) SELECT i, timestamptz '2024-01-01' + i * interval '1 day', 's' || i FROM generate_series(1, 6) AS i;
SELECT crm_member.bind_identity(1, 'mobile', '13911110001'), crm_member.bind_identity(2, 'mobile', '13911110002'),
       crm_member.bind_identity(2, 'wechat_openid:wx1', 'o2'), crm_member.issue_card(2, 'C2', 'standard');
SELECT crm_member.activate_card('C2');
SELECT crm_member.award_points(1, 100, 'x', 'a1'), crm_member.award_points(2, 40, 'x', 'a2'),
       crm_member.top_up_stored_value(1, 50, 'x', 't1'), crm_member.top_up_stored_value(2, 20, 'x', 't2');
CREATE FUNCTION pg_temp.sell(ref text, who jsonb, price numeric, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
  SELECT format('%s earned, payable %s, buyer %s', r->'points'->'earned', r->'payable', r->'member_id')
    FROM crm_member.checkout(jsonb_build_object('ref', ref, 'lines', jsonb_build_array(jsonb_build_object('price', price))) || who || more) AS r $$;
CREATE VIEW standing AS
  SELECT m.member_id, m.merged_into AS into, (SELECT count(*) FROM crm_member.sale s WHERE s.member_id = m.member_id) AS sales,
         crm_member.points_balance(m.member_id) AS points, crm_member.stored_value_balance(m.member_id) AS value
    FROM crm_member.member m WHERE m.member_id < 3 ORDER BY 1;
CREATE FUNCTION pg_temp.merge_of(ref text) RETURNS bigint LANGUAGE sql AS $$ SELECT merge_id FROM crm_member.member_merge m WHERE m.ref = merge_of.ref $$;

-- by card, mobile, openid, old number, store; the survivor's own; and as rows
SELECT crm_member.merge_members(1, '{2}', 'm')->'survivor' AS survivor;
SELECT pg_temp.sell('card', '{"identity": {"kind": "card", "value": "C2"}}', 1);
SELECT pg_temp.sell('mobile', '{"identity": {"kind": "mobile", "value": "139 1111 0002"}}', 2);
SELECT pg_temp.sell('openid', '{"identity": {"kind": "wechat_openid:wx1", "value": "o2"}}', 4);
SELECT pg_temp.sell('number', '{"member_id": 2}', 8);
SELECT pg_temp.sell('store', '{"member_id": 1}', 16, '{"store": "s2"}');
SELECT pg_temp.sell('own mobile', '{"identity": {"kind": "mobile", "value": "13911110001"}}', 32, '{"store": "s2"}');
SELECT pg_temp.sell('own number', '{"member_id": 1}', 64, '{"store": "s9"}');
SELECT pg_temp.sell('own store', '{"member_id": 1}', 128, '{"store": "s1"}');
WITH s AS (INSERT INTO crm_member.sale (member_id, ref, sale_id) VALUES (2, 'row', 77))
INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price) VALUES (2, 77, 1, 256);
SELECT ref, s.member_id, named_by, survivor FROM crm_member.sale s LEFT JOIN crm_member.merged_sale USING (member_id, sale_id) ORDER BY s.payable;
-- a repeated checkout finds it
SELECT pg_temp.sell('card', '{"identity": {"kind": "card", "value": "C2"}}', 1);
-- paid with the survivor's points, stored value and a coupon of which a member may use two
SELECT pg_temp.sell('paid', '{"identity": {"kind": "card", "value": "C2"}}', 100, '{"points": 120, "stored_value": 60, "coupons": ["FIVE"]}');
SELECT pg_temp.sell('paid again', '{"member_id": 1}', 100, '{"coupons": ["FIVE"]}');
SELECT r->'coupons'->0->'sqlstate' AS third FROM crm_member.checkout('{"ref": "third", "member_id": 1, "lines": [{"price": 100}], "coupons": ["FIVE"]}') AS r;
SELECT * FROM standing;
SELECT * FROM crm_member.verify_ledger();
SELECT u->'undone' AS undone, s AS since FROM crm_member.unmerge(pg_temp.merge_of('m')) AS u, jsonb_array_elements(u->'since_merge') AS s;
SELECT * FROM standing;
SELECT ref, member_id FROM crm_member.sale WHERE ref LIKE 'paid%' OR ref = 'third' ORDER BY ref;
SELECT member_id, rule_code, points FROM crm_member.points_rule_use WHERE member_id < 3 ORDER BY 1;
SELECT member_id, template_code, uses FROM crm_member.coupon_tally ORDER BY 1;
SELECT * FROM crm_member.verify_ledger();
-- each may use one more now, and who used the limit up earns nothing from it
SELECT pg_temp.sell('one more 1', '{"member_id": 1}', 100, '{"coupons": ["FIVE"]}'), pg_temp.sell('one more 2', '{"member_id": 2}', 100, '{"coupons": ["FIVE"]}');
-- returned after the undoing: points and money go back to who paid, what was earned is taken from who earned
SELECT r->'points' AS points, r->'stored_value' AS value FROM crm_member.refund('{"ref": "back", "sale_ref": "paid"}') AS r;
SELECT * FROM standing;
SELECT * FROM crm_member.verify_ledger();

-- tiers: the best of both at once, what they reach together, and back
INSERT INTO crm_member.tier (tier_code, name, rank, validity) VALUES ('silver', 'Silver', 1, '12 months'), ('gold', 'Gold', 2, '12 months'), ('black', 'Black', 3, 'never');
INSERT INTO crm_member.tier_rule (tier_code, measure, threshold) VALUES ('silver', 'spend', 1000), ('gold', 'spend', 3000);
CREATE VIEW tiers AS
  SELECT member_id, tier_code, earned_tier, period_to AT TIME ZONE 'UTC' AS period_to, manual_tier, manual_until AT TIME ZONE 'UTC' AS manual_until
    FROM crm_member.member_tier WHERE member_id BETWEEN 3 AND 5 ORDER BY 1;
SELECT pg_temp.sell('t3', '{"member_id": 3}', 2000, '{"sold_at": "2026-05-01T10:00:00Z"}'), pg_temp.sell('t4', '{"member_id": 4}', 1100, '{"sold_at": "2026-06-01T10:00:00Z"}');
SELECT crm_member.set_tier(5, 'black', 'guest of honour', '2099-12-31T00:00:00Z');
SELECT * FROM tiers;
CREATE TABLE before AS SELECT * FROM crm_member.member_tier;
SELECT crm_member.merge_members(3, '{4}', 'm34', dry_run => true)->'tiers' AS tiers;
SELECT crm_member.merge_members(3, '{4}', 'm34')->'tiers' AS tiers;
SELECT member_id, tier_code, period_to > now() + interval '364 days' AS a_year FROM tiers;
SELECT crm_member.merge_members(3, '{5}', 'm35')->'tiers' AS tiers;
SELECT member_id, tier_code, earned_tier, manual_tier, manual_until FROM tiers;
SELECT member_id, cause, from_tier, to_tier FROM crm_member.member_tier_event WHERE cause = 'merge' ORDER BY event_id;
-- given by hand meanwhile: that stays the survivor's
SELECT crm_member.set_tier(3, 'black', 'kept', '2098-12-31T00:00:00Z');
SELECT crm_member.unmerge(pg_temp.merge_of('m35'))->'tiers' AS tiers;
SELECT member_id, tier_code, earned_tier, manual_tier, manual_until FROM tiers;
SELECT crm_member.set_tier(3, NULL, 'no more');
SELECT crm_member.unmerge(pg_temp.merge_of('m34'))->'tiers' AS tiers;
SELECT member_id, tier_code, earned_tier, period_from, period_to, manual_tier FROM before EXCEPT
SELECT member_id, tier_code, earned_tier, period_from, period_to, manual_tier FROM crm_member.member_tier;
-- what was earned by what was bought together goes with the merge; what was bought meanwhile counts
SELECT crm_member.merge_members(3, '{4}', 'm34b', '{"override_distinct": true}')->'tiers' AS tiers;
SELECT pg_temp.sell('t3b', '{"member_id": 4}', 2500, '{"sold_at": "2026-07-01T10:00:00Z"}');
SELECT crm_member.unmerge(pg_temp.merge_of('m34b'))->'tiers' AS tiers;
SELECT member_id, tier_code FROM tiers;

-- scores and reports: one member while they are one
INSERT INTO crm_member.rfm_model (model_code, name, bins) VALUES ('m', 'M', 2);
CALL crm_member.run_rfm(DATE '2026-08-01', 'm');
SELECT member_id, frequency, monetary FROM crm_member.rfm WHERE model_code = 'm' AND member_id BETWEEN 3 AND 4 ORDER BY 1;
SELECT crm_member.merge_members(3, '{4}', 'm34c', '{"override_distinct": true}')->'survivor' AS survivor;
CALL crm_member.run_rfm(DATE '2026-08-01', 'm');
SELECT member_id, frequency, monetary FROM crm_member.rfm WHERE model_code = 'm' AND member_id BETWEEN 3 AND 4 ORDER BY 1;
SELECT r->'sales' AS sales, r->'merged_members' AS merged FROM crm_member.member_360(4) AS r;
SELECT crm_member.unmerge(pg_temp.merge_of('m34c'))->'undone' AS undone;
CALL crm_member.run_rfm(DATE '2026-08-01', 'm');
SELECT member_id, frequency, monetary FROM crm_member.rfm WHERE model_code = 'm' AND member_id BETWEEN 3 AND 4 ORDER BY 1;
SELECT * FROM crm_member.verify_ledger();

-- a limit that comes after the merge counts what all of them used before it
INSERT INTO crm_member.coupon_template (template_code, kind, value, uses) VALUES ('late', 'amount', 1, NULL);
SELECT crm_member.import_coupon('late', 'LATE') IS NOT NULL AS imported;
SELECT pg_temp.sell('late 5', '{"member_id": 5}', 10, '{"coupons": ["LATE"]}'), pg_temp.sell('late 6', '{"member_id": 6}', 10, '{"coupons": ["LATE"]}');
SELECT crm_member.merge_members(5, '{6}', 'm56')->'survivor' AS survivor;
UPDATE crm_member.coupon_template SET member_limit = 3 WHERE template_code = 'late';
SELECT valid, sqlstate FROM crm_member.validate_coupon('LATE', '{"member_id": 5, "lines": [{"price": 10}]}');
SELECT pg_temp.sell('late 5b', '{"member_id": 5}', 10, '{"coupons": ["LATE"]}');
SELECT valid, sqlstate FROM crm_member.validate_coupon('LATE', '{"member_id": 5, "lines": [{"price": 10}]}');
UPDATE crm_member.coupon_template SET member_limit = NULL WHERE template_code = 'late';
UPDATE crm_member.coupon_template SET member_limit = 3 WHERE template_code = 'late';
SELECT valid, sqlstate FROM crm_member.validate_coupon('LATE', '{"member_id": 5, "lines": [{"price": 10}]}');
SELECT r->'coupons'->0->'sqlstate' AS fourth FROM crm_member.checkout('{"ref": "late 4", "member_id": 6, "lines": [{"price": 10}], "coupons": ["LATE"]}') AS r;
SELECT crm_member.unmerge(pg_temp.merge_of('m56'))->'undone' AS undone;
SELECT pg_temp.sell('late 6b', '{"member_id": 6}', 10, '{"coupons": ["LATE"]}'), pg_temp.sell('late 5c', '{"member_id": 5}', 10, '{"coupons": ["LATE"]}');
SELECT member_id, uses FROM crm_member.coupon_tally WHERE template_code = 'late' ORDER BY 1;
SELECT valid, sqlstate FROM crm_member.validate_coupon('LATE', '{"member_id": 5, "lines": [{"price": 10}]}');

-- points that the survivor paid for a sale of the other go back to the survivor's lots, or anew once those have expired
UPDATE crm_member.points_type SET money_value = 0.01, reinstatement = '30 days' WHERE points_type = 'points';
SELECT crm_member.merge_members(5, '{6}', 'm56 again', '{"override_distinct": true}')->'survivor' AS survivor;
SELECT crm_member.award_points(5, 700, 'gift', 'paying', at => '2026-06-01', expires_at => '2026-06-20') > 0 AS given;
SELECT r->'points'->'spent' AS spent FROM crm_member.checkout('{"ref": "paid 6", "member_id": 6, "points": 300, "sold_at": "2026-06-10", "lines": [{"price": 20, "quantity": 2}]}') AS r;
SELECT n, r->'points'->'given_back' AS given_back FROM unnest(ARRAY['2026-06-15', '2026-06-25']) WITH ORDINALITY AS u (day, n),
  crm_member.refund(jsonb_build_object('ref', 'back 6 ' || n, 'sale_ref', 'paid 6', 'refunded_at', day, 'lines', '[{"line_no": 1, "quantity": 1}]'::jsonb)) AS r;
SELECT e.member_id, e.kind, e.points, l.points AS anew, (l.expires_at AT TIME ZONE 'Asia/Shanghai')::date AS to_day
  FROM crm_member.points_entry e LEFT JOIN crm_member.points_lot l ON l.member_id = e.member_id AND l.points_type = e.points_type AND l.lot_no = e.entry_no
 WHERE e.kind = 'return' AND e.sale_id = (SELECT sale_id FROM crm_member.sale_ref WHERE ref = 'paid 6') ORDER BY e.entry_no;
SELECT count(*) AS violations FROM crm_member.verify_ledger();
-- a tier reached while they were one holds for its period, whoever joins and leaves again; apart, each has what its own acts justified then
INSERT INTO crm_member.tier (tier_code, name, rank) VALUES ('busy', 'A busy month', 50);
INSERT INTO crm_member.tier_rule (tier_code, measure, threshold, calendar) VALUES ('busy', 'spend', 500, 'month');
INSERT INTO crm_member.member (member_id, joined_at) SELECT i, timestamptz '2024-01-01' + i * interval '1 hour' FROM generate_series(91, 95) AS i;
CREATE FUNCTION pg_temp.busy() RETURNS bigint[] LANGUAGE sql AS $$
  SELECT array_agg(member_id ORDER BY member_id) FROM crm_member.member_tier WHERE member_id > 90 AND tier_code = 'busy' $$;
SELECT crm_member.merge_members(91, '{92}', 'b1')->'survivor' AS survivor, crm_member.merge_members(94, '{95}', 'b2')->'survivor' AS other;
SELECT crm_member.checkout(jsonb_build_object('ref', 'busy ' || m, 'member_id', m, 'sold_at', '2026-02-10', 'lines', jsonb_build_array(jsonb_build_object('price', p))))->'amount' AS amount
  FROM (VALUES (91, 300), (92, 300), (94, 600)) v (m, p);
SELECT pg_temp.busy();
SELECT crm_member.merge_members(91, '{93}', 'b3')->'survivor' AS survivor, crm_member.merge_members(93, '{94}', 'b4')->'survivor' AS survivor;
SELECT pg_temp.busy();
SELECT crm_member.unmerge(pg_temp.merge_of('b4'))->'undone' AS undone, pg_temp.busy();
SELECT crm_member.unmerge(pg_temp.merge_of('b3'))->'undone' AS undone;
SELECT pg_temp.busy();
SELECT crm_member.unmerge(pg_temp.merge_of('b1'))->'undone' AS undone, crm_member.unmerge(pg_temp.merge_of('b2'))->'undone' AS other;
SELECT pg_temp.busy();
DROP VIEW standing, tiers;
DROP TABLE before;
