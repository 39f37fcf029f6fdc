--
-- Sales that come as rows leave the same tiers, history and points as the same sales rung up.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/shanghai.sql
SET datestyle = 'ISO';
INSERT INTO points_type (points_type, name) VALUES ('growth', 'Growth');
INSERT INTO tier (tier_code, name, rank, multiplier, at_once) VALUES ('basic', 'Basic', 0, NULL, false), ('silver', 'Silver', 1, 1.2, false),
  ('gold', 'Gold', 2, 1.5, true), ('platinum', 'Platinum', 3, 2, false);
INSERT INTO tier_rule (tier_code, way, part, measure, points_type, threshold, within, calendar) VALUES
  ('silver', 1, 1, 'spend', 'points', 1000, '6 months', NULL), ('gold', 1, 1, 'points', 'growth', 4000, NULL, NULL),
  ('gold', 2, 1, 'sales', 'points', 5, NULL, 'quarter'), ('gold', 2, 2, 'spend', 'points', 2500, '3 months', NULL),
  ('platinum', 1, 1, 'points', 'growth', 9000, '1 year', NULL);
INSERT INTO points_rule (rule_code, award, points, points_type, pending, member_limit, limit_period) VALUES
  ('base', 'per_amount', 1, 'points', NULL, NULL, NULL), ('growth', 'per_amount', 1, 'growth', '7 days', 3000, 'month');
-- members 1 to 40 at the till, 1001 to 1040 in bulk
INSERT INTO member (member_id, joined_at) SELECT g + o, '2025-01-01 00:00' FROM generate_series(1, 40) g, unnest(ARRAY[0, 1000]) o;
INSERT INTO member_tier (member_id, tier_code, since) SELECT member_id, 'basic', joined_at FROM member WHERE member_id % 1000 % 3 = 0;
CREATE TEMP TABLE basket AS
SELECT g AS n, 1 + hashint4(g) & 1023 AS hash, 1 + abs(hashint4(g)) % 40 AS member_id,
       timestamptz '2025-01-01 09:00' + abs(hashint4(g + 100000)) % 500 * interval '1 day' + g * interval '1 second' AS sold_at,
       (abs(hashint4(g + 200000)) % 90000) / 100.0 AS price
  FROM generate_series(1, 1300) g;
SELECT count(*) FROM (SELECT b.*, checkout(jsonb_build_object('ref', n::text, 'member_id', member_id, 'sold_at', sold_at,
         'lines', jsonb_build_array(jsonb_build_object('price', price)))) FROM (SELECT * FROM basket ORDER BY member_id, sold_at) b) x;
WITH s AS (
  INSERT INTO sale (member_id, source, ref, sold_at) SELECT member_id + 1000, 'bulk', n::text, sold_at FROM basket
  RETURNING member_id, sale_id, ref)
INSERT INTO sale_line (member_id, sale_id, line_no, price) SELECT s.member_id, s.sale_id, 1, b.price FROM s JOIN basket b ON b.n = s.ref::int;
SELECT count(*) FILTER (WHERE settled_at IS NOT NULL) = count(*) AS settled FROM sale;
-- all tiers are reached by somebody, and by either way
SELECT to_tier, way, count(*) > 0 AS reached FROM member_tier_event GROUP BY 1, 2 ORDER BY 1, 2;
-- differences: none
CREATE TEMP VIEW outcome AS
SELECT member_id % 1000 AS member_id, member_id > 1000 AS bulk, 'tier' AS what, concat_ws(' ', tier_code, since, period_from, period_to) AS value FROM member_tier
UNION ALL SELECT member_id % 1000, member_id > 1000, 'event', concat_ws(' ', at, cause, from_tier, to_tier, earned_from, earned_to, way) FROM member_tier_event
UNION ALL SELECT member_id % 1000, member_id > 1000, 'entry', concat_ws(' ', points_type, at, points, balance, rules, rule_points) FROM points_entry;
(SELECT member_id, what, value FROM outcome WHERE bulk EXCEPT ALL SELECT member_id, what, value FROM outcome WHERE NOT bulk)
UNION ALL
(SELECT member_id, what, value FROM outcome WHERE NOT bulk EXCEPT ALL SELECT member_id, what, value FROM outcome WHERE bulk);
SELECT what, count(*) > 50 AS many FROM outcome GROUP BY 1 ORDER BY 1;
SELECT problem FROM verify_ledger();
-- what a member reached is never less than what the rules justify on the day of a sale, reckoned by SQL
SELECT count(*) FROM (
  SELECT s.member_id, s.sold_at, sum(x.payable) AS spent
    FROM sale s JOIN sale x ON x.member_id = s.member_id AND x.sold_at <= s.sold_at
     AND x.sold_at >= date_trunc('day', s.sold_at - interval '6 months') + interval '1 day'
   GROUP BY 1, 2 HAVING sum(x.payable) >= 1000) r
 WHERE NOT EXISTS (SELECT FROM member_tier_event e WHERE e.member_id = r.member_id AND e.to_tier <> 'basic' AND e.at <= r.sold_at);
