--
-- Drafts that change what reaches a tier: members climb by what the draft gives.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/shanghai.sql
INSERT INTO points_type (points_type, name) VALUES ('growth', 'Growth');
INSERT INTO member (member_id, joined_at) SELECT g, '2025-01-01' FROM generate_series(1, 40) g;
INSERT INTO tier (tier_code, name, rank) VALUES ('silver', 'Silver', 1), ('gold', 'Gold', 2);
INSERT INTO tier_rule (tier_code, measure, points_type, threshold) VALUES ('silver', 'points', 'growth', 100), ('gold', 'points', 'growth', 300);
INSERT INTO points_rule (rule_code, award, points, points_type, condition) VALUES ('base', 'per_amount', 1, 'points', NULL), ('growth', 'per_amount', 1, 'growth', NULL), ('silver', 'multiplier', 2, 'points', 'member.tier = ''silver'''), ('gold', 'multiplier', 5, 'points', 'member.tier = ''gold''');
CREATE FUNCTION pg_temp.buy(member_id bigint, ref text, at text, price numeric) RETURNS text LANGUAGE sql AS $$
  SELECT crm_member.checkout(jsonb_build_object('ref', ref, 'member_id', member_id, 'sold_at', at, 'lines', jsonb_build_array(jsonb_build_object('price', price)))) #>> '{points,earned}'
$$;
-- the rules with another rate of growth; what each sale of a member would have been given
CREATE FUNCTION pg_temp.draft(growth numeric) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_agg(to_jsonb(r) || CASE WHEN rule_code = 'growth' THEN jsonb_build_object('points', growth) ELSE '{}' END) FROM crm_member.points_rule r
$$;
CREATE FUNCTION pg_temp.would(member_id bigint, growth numeric) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s', x.points), ' ' ORDER BY s.sold_at) FROM crm_member.simulate_rules('2026-01-01', '2027-01-01', pg_temp.draft(growth), '{sale}', false) x JOIN crm_member.sale s USING (sale_id)
   WHERE s.member_id = would.member_id AND x.points_type = 'points'
$$;

-- 60 thrice: silver by the second, so that the third is doubled
SELECT pg_temp.buy(1, 'a', '2026-02-01', 60) AS "60", pg_temp.buy(1, 'b', '2026-02-02', 60) AS "60";
SELECT pg_temp.buy(1, 'c', '2026-02-03', 60) AS "60 x 2";
SELECT pg_temp.would(1, 1) AS "as it was", pg_temp.would(1, 2) AS "silver by the first", pg_temp.would(1, 0.5) AS "never silver", pg_temp.would(1, 5) AS "gold by the first", pg_temp.would(1, 2.5) AS "silver, then gold", pg_temp.would(1, 0) AS "no growth";
-- points given by hand count beside those of the draft: 50 before, 45 after the first sale
SELECT award_points(2, 50, 'x', 'x', 'growth', at => '2026-01-31') AS "50";
SELECT pg_temp.buy(2, '2a', '2026-02-01', 60) AS "60, silver now", pg_temp.buy(2, '2b', '2026-02-03', 10) AS "10: a statement sees what was before it";
SELECT award_points(2, 45, 'x', 'y', 'growth', at => '2026-02-02') AS "165", pg_temp.would(2, 0.08) AS "50 + 4, and 45: none", pg_temp.would(2, 1) AS "silver by the first";
SELECT pg_temp.would(2, 0.084) AS "50 + 5 + 45: silver by hand";
-- the sale that reaches it earns by it
UPDATE tier SET at_once = true;
SELECT pg_temp.would(1, 1) AS "b and c", pg_temp.would(1, 2) AS "all", pg_temp.would(1, 5) AS "all by gold";
UPDATE tier SET at_once = false;
-- before the stretch it is as it was
SELECT string_agg(x.points::text, ' ' ORDER BY s.sold_at) AS "60 + 60 given then: silver" FROM simulate_rules('2026-02-03', '2027-01-01', pg_temp.draft(0), '{sale}', false) x JOIN sale s USING (sale_id) WHERE s.member_id = 1;
-- a level by hand stands over what is reached, before and in the draft
SELECT set_tier(3, 'silver', 'x', '2099-01-01') AS by_hand;
SELECT pg_temp.buy(3, '3a', '2098-02-01', 300) AS "300 x 2", pg_temp.buy(3, '3b', '2098-02-02', 10) AS "10 x 2: gold beneath";
SELECT s.ref, x.points FROM simulate_rules('2098-01-01', '2099-01-01', pg_temp.draft(9), '{sale}', false) x JOIN sale s USING (sale_id) WHERE x.points_type = 'points' ORDER BY 1;
-- tiers that no points reach are as they were
UPDATE tier_rule SET measure = 'spend';
SELECT pg_temp.would(1, 2) AS "as it was";
UPDATE tier_rule SET measure = 'points';

UPDATE points_rule SET condition = 'member.tier_rank >= 2' WHERE rule_code = 'gold';
-- at random, with points by hand, periods that end and a way by money: what was given is given again, whenever the stretch begins
DELETE FROM member_tier;
DELETE FROM tier_rule;
INSERT INTO tier (tier_code, name, rank) VALUES ('basic', 'Basic', 0), ('black', 'Black', 3);
UPDATE tier SET validity = '1 month', at_once = tier_code = 'gold', grace_days = CASE tier_code WHEN 'silver' THEN 10 ELSE 0 END WHERE tier_code IN ('silver', 'gold');
INSERT INTO tier_rule (tier_code, way, measure, points_type, threshold, within) VALUES ('silver', 1, 'points', 'growth', 500, '1 month'), ('gold', 1, 'points', 'growth', 900, '1 month'), ('gold', 2, 'spend', 'points', 1000, '1 month'), ('black', 1, 'points', 'growth', 9000, NULL);
INSERT INTO points_rule (rule_code, award, points, points_type, condition) VALUES ('more', 'multiplier', 1.2, 'growth', 'member.tier_rank >= 2');
SELECT setseed(0.3);
DO $$
DECLARE
  t timestamptz;
  m bigint;
BEGIN
  FOR i IN 1 .. 500 LOOP
    t := '2027-02-01 08:00'::timestamptz + i * interval '11 hours 7 minutes';
    m := 11 + (i / 25 * 3 + floor(random() * 3)::int) % 7;
    IF random() < 0.04 THEN PERFORM crm_member.award_points(m, 50 + floor(random() * 200)::int, 'x', 'a' || i, 'growth', at => t - interval '1 minute'); END IF;
    PERFORM crm_member.review_step(t - interval '1 minute', 10, 10);
    PERFORM crm_member.checkout(jsonb_build_object('ref', 's' || i, 'member_id', m, 'sold_at', t, 'lines', (SELECT jsonb_agg(jsonb_build_object('price', round((random() * 60 + l * 0)::numeric, 2))) FROM generate_series(1, 1 + i % 4) l)));
  END LOOP;
END
$$;
SELECT count(*) FILTER (WHERE cause = 'review' AND to_tier IN ('basic', 'silver')) > 5 AS fell, count(*) FILTER (WHERE cause = 'sale') > 10 AS rose, count(*) FILTER (WHERE cause = 'points') > 0 AS by_hand, count(DISTINCT to_tier) AS tiers FROM member_tier_event WHERE member_id > 10;
SELECT f AS "from", count(*) > 100 AS many, count(*) FILTER (WHERE points <> given) AS differ FROM unnest('{2027-01-01,2027-04-05,2027-07-01}'::date[]) f, simulate_rules(f, '2028-01-01', by => '{rule,sale}') GROUP BY 1 ORDER BY 1;
-- more growth makes more of the points it multiplies; without any only money lifts
SELECT sum(points) > sum(given) AS more FROM simulate_rules('2027-01-01', '2028-01-01', pg_temp.draft(3), '{sale}') WHERE points_type = 'points';
SELECT count(*) FILTER (WHERE rule_code = 'silver' AND points > 0) AS silver, sum(points) FILTER (WHERE rule_code = 'gold') > 0 AS gold_by_money FROM simulate_rules('2027-01-01', '2028-01-01', pg_temp.draft(0), '{rule}');
-- goods that came back take of what a draft gives: 70 of 130 is no silver any more, 140 of 260 is
UPDATE tier SET on_return = 'at_once';
DELETE FROM tier_rule;
INSERT INTO tier_rule (tier_code, measure, points_type, threshold) VALUES ('silver', 'points', 'growth', 100), ('gold', 'points', 'growth', 300);
CREATE FUNCTION pg_temp.back(ref text, at text, lines jsonb DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT crm_member.refund(jsonb_strip_nulls(jsonb_build_object('ref', 'back ' || ref, 'sale_ref', ref, 'refunded_at', at, 'lines', lines))) ->> 'payable'
$$;
SELECT checkout('{"ref": "4a", "member_id": 4, "sold_at": "2026-02-01", "lines": [{"price": 30, "quantity": 3}, {"price": 30}]}') #>> '{points,earned}' AS "120";
SELECT pg_temp.buy(4, '4b', '2026-02-02', 10) AS "10 x 2", pg_temp.back('4a', '2026-02-03', '[{"line_no": 1, "quantity": 2}]') AS "60";
SELECT pg_temp.buy(4, '4c', '2026-02-04', 10) AS "10";
SELECT pg_temp.would(4, 1) AS "as it was", pg_temp.would(4, 0.5) AS "never", pg_temp.would(4, 2) AS "silver stays", pg_temp.would(4, 3) AS "gold, then silver by 210";
-- a tier that was there before the sales that are looked at, whenever it was entered
SELECT register_member(source => 'test', external_id => 'r', tier => 'silver') AS silver \gset
SELECT pg_temp.buy(:silver, 'ra', '2026-02-01', 10) AS "10 x 2";
SELECT pg_temp.would(:silver, 1) AS "as it was", pg_temp.would(:silver, 0) AS "and so";

-- at random, with returns
INSERT INTO member (member_id, joined_at) SELECT g, '2025-01-01' FROM generate_series(51, 57) g;
DELETE FROM tier_rule;
INSERT INTO tier_rule (tier_code, way, measure, points_type, threshold, within) VALUES ('silver', 1, 'points', 'growth', 400, '1 month'), ('gold', 1, 'points', 'growth', 900, '1 month'), ('black', 1, 'points', 'growth', 1300, '1 month');
UPDATE tier SET validity = '15 days', grace_days = 0, on_return = CASE tier_code WHEN 'gold' THEN 'review' ELSE 'at_once' END;
DO $$
DECLARE
  t timestamptz;
  m bigint;
  old text;
BEGIN
  FOR i IN 1 .. 500 LOOP
    t := '2029-02-01 08:00'::timestamptz + i * interval '11 hours 7 minutes';
    m := 51 + (i / 25 * 3 + floor(random() * 3)::int) % 7;
    PERFORM crm_member.review_step(t - interval '1 minute', 50, 10);
    PERFORM crm_member.checkout(jsonb_build_object('ref', 't' || i, 'member_id', m, 'sold_at', t, 'lines', (SELECT jsonb_agg(jsonb_build_object('price', round((random() * 40 + l * 0)::numeric, 2), 'quantity', 1 + floor(random() * 3))) FROM generate_series(1, 1 + i % 4) l)));
    IF random() < 0.5 THEN
      old := (SELECT s.ref FROM crm_member.sale s WHERE s.member_id = m AND s.ref LIKE 't%' AND NOT EXISTS (SELECT FROM crm_member.refund r WHERE r.member_id = s.member_id AND r.sale_id = s.sale_id AND r.complete) ORDER BY s.sold_at DESC LIMIT 1);
      PERFORM crm_member.refund(jsonb_strip_nulls(jsonb_build_object('ref', 'u' || i, 'sale_ref', old, 'refunded_at', t + interval '1 hour',
        'lines', (SELECT jsonb_agg(jsonb_build_object('line_no', l.line_no, 'quantity', CASE WHEN random() < 0.5 THEN l.quantity ELSE 1 END)) FROM crm_member.sale s JOIN crm_member.sale_line l USING (member_id, sale_id) WHERE s.ref = old
                   AND NOT EXISTS (SELECT FROM crm_member.refund_line b WHERE b.member_id = s.member_id AND b.sale_id = s.sale_id AND b.line_no = l.line_no)))));
    END IF;
  END LOOP;
END
$$;
SELECT count(*) FILTER (WHERE cause = 'review') > 10 AS fell, count(*) FILTER (WHERE cause = 'return') > 3 AS undone, count(*) FILTER (WHERE cause = 'sale') > 20 AS rose, count(DISTINCT to_tier) AS tiers FROM member_tier_event WHERE member_id BETWEEN 51 AND 57;
SELECT f AS "from", count(*) > 50 AS many, count(*) FILTER (WHERE points <> given) AS differ FROM unnest('{2029-01-01,2029-03-01,2029-04-05,2029-05-15,2029-06-20,2029-07-01,2029-07-13,2029-08-15}'::date[]) f, simulate_rules(f, '2030-01-01', by => '{rule,sale}') GROUP BY 1 ORDER BY 1;
SELECT * FROM verify_ledger();
BEGIN READ ONLY;
SELECT count(*) > 0 AS simulated FROM simulate_rules('2027-01-01', '2028-01-01', pg_temp.draft(3));
ROLLBACK;
