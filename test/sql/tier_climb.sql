--
-- Sales, points given by hand and returns: which tier they leave a member with.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/shanghai.sql
SET datestyle = 'ISO';
INSERT INTO member (member_id, joined_at) SELECT g, '2025-01-01 00:00' FROM generate_series(1, 20) g;
INSERT INTO points_type (points_type, name) VALUES ('growth', 'Growth');
INSERT INTO points_rule (rule_code, award, points) VALUES ('base', 'per_amount', 1);
INSERT INTO points_rule (rule_code, award, points, points_type) VALUES ('growth', 'per_amount', 1, 'growth');
CREATE FUNCTION pg_temp.buy(member_id bigint, ref text, at timestamptz, price numeric) RETURNS numeric LANGUAGE sql AS $$
  SELECT (crm_member.checkout(jsonb_build_object('ref', ref, 'member_id', member_id, 'sold_at', at,
            'lines', jsonb_build_array(jsonb_build_object('price', price)))) #>> '{points,earned}')::numeric
$$;
CREATE FUNCTION pg_temp.tier_of(member_id bigint) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce((SELECT t.tier_code FROM crm_member.member_tier t WHERE t.member_id = tier_of.member_id), 'none')
$$;

-- tiers without rules: nobody climbs, nothing is written
INSERT INTO tier (tier_code, name, rank, multiplier) VALUES ('silver', 'Silver', 1, 1.5), ('gold', 'Gold', 2, 2), ('black', 'Black', 3, NULL);
SELECT pg_temp.buy(20, '20a', '2026-01-01 10:00', 100000);
SELECT pg_temp.tier_of(20), (SELECT count(*) FROM member_tier_event) AS events;

-- the multiplier of a tier is a points rule
SELECT rule_code, name, award, points, points_type, condition FROM points_rule WHERE rule_code LIKE 'tier:%' ORDER BY 1;
UPDATE tier SET multiplier = NULL WHERE tier_code = 'gold';
SELECT rule_code FROM points_rule WHERE rule_code LIKE 'tier:%';
UPDATE tier SET multiplier = 3 WHERE tier_code = 'gold';
SELECT rule_code, points FROM points_rule WHERE rule_code LIKE 'tier:%' ORDER BY 1;

-- its discount is an automatic promotion
UPDATE tier SET discount = 10 WHERE tier_code = 'black';
INSERT INTO member_tier (member_id, tier_code) VALUES (19, 'black');
SELECT quote('{"member_id": 19, "lines": [{"price": 50}]}') #>> '{payable}' AS black, quote('{"member_id": 20, "lines": [{"price": 50}]}') #>> '{payable}' AS none;
UPDATE tier SET discount = 12.5 WHERE tier_code = 'black';
SELECT quote('{"member_id": 19, "lines": [{"price": 50}]}') #>> '{payable}';
UPDATE tier SET discount = NULL;
SELECT quote('{"member_id": 19, "lines": [{"price": 50}]}') #>> '{payable}';
DELETE FROM member_tier;

-- spend over 12 months: 1000 silver, 5000 gold
INSERT INTO tier_rule (tier_code, measure, threshold, within) VALUES ('silver', 'spend', 1000, '12 months'), ('gold', 'spend', 5000, '12 months');
SELECT pg_temp.buy(1, '1a', '2026-02-01 10:00', 999.99), pg_temp.tier_of(1);
SELECT tier_code, rank, way, part, measure, points_type, counts_from, threshold, reached, lacking FROM tier_progress(1, '2026-02-02');
-- the cent that was lacking; the sale itself earns by the old tier, the next by the new
SELECT pg_temp.buy(1, '1b', '2026-02-02 10:00', 0.01);
SELECT pg_temp.tier_of(1);
SELECT pg_temp.buy(1, '1c', '2026-02-03 10:00', 100);
SELECT tier_code, measure, threshold, reached, lacking FROM tier_progress(1, '2026-02-04', every_tier => true);
-- from nothing to the top in one step, and no step beyond what has rules
SELECT pg_temp.buy(2, '2a', '2026-02-01 10:00', 5000), pg_temp.tier_of(2);
SELECT count(*) FROM tier_progress(2, '2026-02-02');
SELECT member_id, cause, at, from_tier, to_tier, way, sale_id IS NOT NULL AS sale FROM member_tier_event ORDER BY member_id, at;
-- the window ends with the day a year later: 2025-02-02 is in it on 2026-02-01, not on 2026-02-02
SELECT pg_temp.buy(3, '3a', '2025-02-02 23:59', 600), pg_temp.buy(3, '3b', '2026-02-02 00:00', 500), pg_temp.tier_of(3);
SELECT pg_temp.buy(4, '4a', '2025-02-02 00:00', 600), pg_temp.buy(4, '4b', '2026-02-01 23:59', 500);
SELECT pg_temp.tier_of(4);
-- a sale that arrives late counts with what was sold after it
SELECT pg_temp.buy(5, '5a', '2026-02-10 10:00', 600), pg_temp.buy(5, '5b', '2026-02-05 10:00', 500);
SELECT pg_temp.tier_of(5);
-- a quote writes nothing
SELECT quote('{"member_id": 6, "lines": [{"price": 9999}]}') #>> '{points,earned}', pg_temp.tier_of(6);
-- guests
SELECT checkout('{"ref": "guest", "lines": [{"price": 9999}]}') #>> '{payable}';

-- the sale that reaches a tier earns by it, where the tier says so; quoted and rung up
UPDATE tier SET at_once = true WHERE tier_code = 'gold';
SELECT quote('{"member_id": 6, "sold_at": "2026-02-01", "lines": [{"price": 5000}]}') #>> '{points,earned}' AS quoted,
       pg_temp.buy(6, '6a', '2026-02-01', 5000) AS earned;
-- a limited rule is not charged twice for it
UPDATE points_rule SET member_limit = 6000, limit_period = 'year' WHERE rule_code = 'base';
SELECT pg_temp.buy(7, '7a', '2026-02-01', 5000), pg_temp.buy(7, '7b', '2026-02-02', 5000);
SELECT points FROM points_rule_use WHERE member_id = 7 ORDER BY points;
UPDATE points_rule SET member_limit = NULL WHERE rule_code = 'base';
UPDATE tier SET at_once = false WHERE tier_code = 'gold';

-- points: granted ones, once they can be spent; 300 growth, or 3 sales of 500 together in a month
DELETE FROM tier_rule;
INSERT INTO tier_rule (tier_code, way, part, measure, points_type, threshold, within, calendar) VALUES
  ('silver', 1, 1, 'points', 'growth', 300, '90 days', NULL),
  ('silver', 2, 1, 'sales', 'points', 3, NULL, 'month'), ('silver', 2, 2, 'spend', 'points', 200, NULL, 'month'),
  ('gold', 1, 1, 'points', 'growth', 1000, NULL, 'year');
SELECT pg_temp.buy(8, '8a', '2026-03-01 10:00', 299), pg_temp.tier_of(8);
SELECT way, part, measure, points_type, counts_from, threshold, reached, lacking FROM tier_progress(8, '2026-03-31 12:00');
SELECT spend_points(8, 299, 'gone', '8s', 'growth', '2026-03-02'), pg_temp.tier_of(8);
SELECT award_points(8, 1, 'a present', '8p', 'growth', at => '2026-03-03', actor => 'anna');
SELECT pg_temp.tier_of(8);
SELECT adjust_points(8, 700, 'correction', '8q', 'growth', at => '2026-03-04', actor => 'anna') > 0, pg_temp.tier_of(8);
SELECT pg_temp.tier_of(8), cause, at, to_tier, actor FROM member_tier_event WHERE member_id = 8 ORDER BY at;
-- three sales in a month, worth 200; a fourth in the next counts anew
SELECT pg_temp.buy(9, '9a', '2026-03-30', 60), pg_temp.buy(9, '9b', '2026-03-31', 60), pg_temp.buy(9, '9c', '2026-04-01', 60), pg_temp.tier_of(9);
SELECT pg_temp.buy(10, '10a', '2026-03-30', 70), pg_temp.buy(10, '10b', '2026-03-31 10:00', 70), pg_temp.buy(10, '10c', '2026-03-31 23:00', 59);
SELECT pg_temp.tier_of(10), pg_temp.buy(10, '10d', '2026-03-31 23:59', 1);
SELECT pg_temp.tier_of(10), way FROM member_tier_event WHERE member_id = 10;
-- pending points count from their release on, which a review or the next sale notices
UPDATE points_rule SET pending = '14 days' WHERE rule_code = 'growth';
SELECT pg_temp.buy(11, '11a', '2026-03-01 10:00', 300), pg_temp.tier_of(11);
SELECT reached FROM tier_progress(11, '2026-03-15 09:59') WHERE way = 1;
SELECT reached FROM tier_progress(11, '2026-03-15 10:00') WHERE way = 1;
SELECT review_tier(11, '2026-03-15 09:59') AS before, review_tier(11, '2026-03-15 10:00') AS after;
SELECT pg_temp.buy(12, '12a', '2026-03-01 10:00', 300), pg_temp.buy(12, '12b', '2026-03-15 10:00', 1);
SELECT pg_temp.tier_of(12);
UPDATE points_rule SET pending = NULL WHERE rule_code = 'growth';

-- a return: nothing before the review, or undone at once
DELETE FROM tier_rule;
INSERT INTO tier_rule (tier_code, measure, threshold, within) VALUES ('silver', 'spend', 1000, '12 months'), ('gold', 'spend', 5000, '12 months');
UPDATE tier SET validity = '12 months';
SELECT pg_temp.buy(13, '13a', '2026-02-01 10:00', 1000), pg_temp.buy(13, '13b', '2026-02-02 10:00', 4000);
SELECT pg_temp.tier_of(13);
SELECT refund('{"ref": "13r", "sale_ref": "13b", "refunded_at": "2026-02-03 10:00"}') #>> '{complete}', pg_temp.tier_of(13);
SELECT tier_code, reached FROM tier_progress(13, '2026-02-04', true);
UPDATE tier SET on_return = 'at_once';
SELECT pg_temp.buy(14, '14a', '2026-02-01 10:00', 1000), pg_temp.buy(14, '14b', '2026-02-02 10:00', 4000);
SELECT pg_temp.tier_of(14);
SELECT refund('{"ref": "14r", "sale_ref": "14b", "refunded_at": "2026-02-03 10:00", "actor": "bob"}') #>> '{complete}';
SELECT pg_temp.tier_of(14), period_to FROM member_tier WHERE member_id = 14;
SELECT refund('{"ref": "14s", "sale_ref": "14a", "refunded_at": "2026-02-04 10:00"}') #>> '{complete}';
SELECT pg_temp.tier_of(14);
SELECT cause, at, from_tier, to_tier, actor FROM member_tier_event WHERE member_id = 14 ORDER BY at;
-- what came after keeps the tier
SELECT pg_temp.buy(15, '15a', '2026-02-01 10:00', 1000), pg_temp.buy(15, '15b', '2026-02-02 10:00', 1000);
SELECT refund('{"ref": "15r", "sale_ref": "15a", "refunded_at": "2026-02-03 10:00"}') #>> '{complete}', pg_temp.tier_of(15);

-- what is paid with points is not spent
UPDATE points_type SET money_value = 1 WHERE points_type = 'points';
SELECT award_points(18, 500, 'gift', '18p', at => '2026-01-01') > 0;
SELECT checkout('{"ref": "18a", "member_id": 18, "sold_at": "2026-02-01", "points": 300, "lines": [{"price": 1200}]}') #>> '{points,spent}', pg_temp.tier_of(18);
SELECT reached FROM tier_progress(18, '2026-02-02');
SELECT refund('{"ref": "18r", "sale_ref": "18a", "refunded_at": "2026-02-02"}') #>> '{complete}';
SELECT reached FROM tier_progress(18, '2026-02-03');
SELECT checkout('{"ref": "18b", "member_id": 18, "sold_at": "2026-02-03", "points": 300, "lines": [{"price": 1300}]}') #>> '{points,spent}';
SELECT pg_temp.tier_of(18);

-- what was merged into a member counts as the member's own
SELECT pg_temp.buy(16, '16a', '2026-02-01 10:00', 600), pg_temp.buy(17, '17a', '2026-02-01 10:00', 300);
UPDATE member SET status = 'merged', merged_into = 17 WHERE member_id = 16;
SELECT reached FROM tier_progress(16, '2026-02-02') UNION ALL SELECT reached FROM tier_progress(17, '2026-02-02');
SELECT pg_temp.buy(16, '16b', '2026-02-02 10:00', 100);
SELECT pg_temp.tier_of(17);

-- the history is append-only, and follows from tier to tier
UPDATE member_tier_event SET actor = 'nobody';
DELETE FROM member_tier_event;
SELECT member_id FROM (SELECT member_id, from_tier, lag(to_tier) OVER (PARTITION BY member_id ORDER BY booked_at, at) AS before FROM member_tier_event) e
 WHERE from_tier IS DISTINCT FROM before;
-- what configuration refuses
\set VERBOSITY sqlstate
INSERT INTO tier (tier_code, name, rank, validity) VALUES ('a', 'A', 9, '2027-12-31');
INSERT INTO tier (tier_code, name, rank, validity) VALUES ('a', 'A', 9, 'sometime');
INSERT INTO tier (tier_code, name, rank, multiplier) VALUES ('a', 'A', 9, 0.5);
INSERT INTO tier_rule (tier_code, way, measure, threshold, within, calendar) VALUES ('gold', 2, 'spend', 1, '1 month', 'year');
INSERT INTO tier_rule (tier_code, way, measure, threshold) VALUES ('gold', 2, 'visits', 1);
INSERT INTO tier_rule (tier_code, way, measure, points_type, threshold) VALUES ('gold', 2, 'points', 'none such', 1);
SELECT * FROM tier_progress(999);
SELECT count(*) FROM tier_progress(NULL);
SELECT review_tier(999);
