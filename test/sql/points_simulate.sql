--
-- Drafts over recorded sales, beside what was given: the rules as they were give
-- again what they gave, whatever is summed, however the rows are found.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/shanghai.sql
INSERT INTO member (member_id, joined_at) SELECT g, '2025-01-01' FROM generate_series(1, 12) g;
INSERT INTO points_type (points_type, name, decimals) VALUES ('growth', 'Growth', 2);
INSERT INTO tier (tier_code, name, rank, at_once) VALUES ('silver', 'Silver', 1, false), ('gold', 'Gold', 2, true);
INSERT INTO tier_rule (tier_code, measure, threshold) VALUES ('silver', 'spend', 300), ('gold', 'spend', 900);
INSERT INTO points_rule (rule_code, award, points, points_type, scope, condition, member_limit, limit_period, budget) VALUES
  ('base', 'per_amount', 1, 'points', 'sale', NULL, NULL, NULL, NULL),
  ('growth', 'per_amount', 0.25, 'growth', 'sale', 'sale.store is not null', NULL, NULL, NULL),
  ('shoes', 'per_unit', 2, 'points', 'line', 'line.category = ''shoes''', 40, 'month', NULL),
  ('first', 'fixed', 50, 'points', 'sale', 'member.first_purchase', NULL, NULL, NULL),
  ('early', 'fixed', 7, 'points', 'sale', 'sale.hour < 14', NULL, NULL, 300),
  ('silver', 'multiplier', 1.5, 'points', 'sale', 'member.tier = ''silver''', NULL, NULL, NULL),
  ('gold', 'multiplier', 2, 'points', 'sale', 'member.tier_rank >= 2', NULL, NULL, NULL);

-- the sale that reaches gold earns by it: evaluated, explained, quoted and rung up alike
\set big '{"member_id": 12, "sold_at": "2026-01-05 10:00", "lines": [{"price": 900}]}'
SELECT rule_code, points, points_type FROM evaluate_points(:'big') ORDER BY 1;
SELECT rule_code, verdict, clause, saw, points FROM explain_points(:'big') WHERE rule_code IN ('gold', 'silver') ORDER BY 1;
SELECT quote(:'big') #>> '{points,earned}' AS quoted;
SELECT checkout(jsonb_set(:'big', '{ref}', '"big"')) #>> '{points,earned}' AS earned;

-- 600 sales, as they happened, some of members who are merged later, of guests, and one without lines
SELECT setseed(0.7);
DO $$
BEGIN
  FOR i IN 1 .. 600 LOOP
    PERFORM crm_member.checkout(jsonb_strip_nulls(jsonb_build_object('ref', 's' || i, 'member_id', nullif(floor(random() * 12)::int, 0), 'sold_at', to_char('2026-02-01 08:00'::timestamp + i * interval '3 hours 7 minutes', 'YYYY-MM-DD HH24:MI'),
      'store', CASE WHEN random() < 0.9 THEN 'S' || floor(random() * 4) END,
      'lines', (SELECT jsonb_agg(jsonb_build_object('line_no', 11 - l, 'price', round((random() * 30 + l * 0)::numeric, 2), 'quantity', 1 + floor(random() * 3), 'category', CASE WHEN random() < 0.4 THEN 'shoes' ELSE 'hats' END)) FROM generate_series(1, 1 + i % 9) l))));
  END LOOP;
END
$$;
SELECT count(DISTINCT to_tier) AS tiers_reached FROM member_tier_event;
INSERT INTO sale (member_id, sale_id, ref, sold_at) VALUES (1, 1, 'waits', '2026-12-01');

-- the rules as they are: what was given is given again, to each sale by each rule
SELECT count(*) > 1500 AS many, count(*) FILTER (WHERE points <> given) AS differ, sum(sales) = count(*) AS one_sale_each FROM simulate_rules('2026-01-01', '2027-01-01', by => '{rule,sale}');
SELECT rule_code, points_type, sum(points) = sum(given) AS same, sum(given) = (SELECT sum(b.points) FROM points_by_rule b WHERE b.rule_code = s.rule_code) AS all_of_it FROM simulate_rules('2026-01-01', '2027-01-01') s GROUP BY 1, 2 ORDER BY 1;
-- a sale in the books is explained as it was booked, whatever limits, purchases and tiers there have been since
WITH sold AS (SELECT s.sale_id, sale_document(s.source, s.ref) AS d FROM sale s WHERE s.settled_at IS NOT NULL AND s.member_id > 0),
told AS (SELECT s.sale_id, e.rule_code, sum(e.points) FROM sold s, explain_points(s.d) e WHERE e.points > 0 GROUP BY 1, 2),
given AS (SELECT sale_id, rule_code, sum(points) FROM points_by_rule GROUP BY 1, 2)
SELECT count(*) > 1000 AS many, (SELECT count(*) FROM (TABLE told EXCEPT ALL TABLE given) x) AS too_much, (SELECT count(*) FROM (TABLE given EXCEPT ALL TABLE told) x) AS too_little FROM given;
-- with other lines it is another sale
SELECT rule_code, verdict, points FROM explain_points(jsonb_set(sale_document('pos', 'big'), '{lines,0,price}', '10')) WHERE rule_code IN ('first', 'gold') ORDER BY 1;
-- summed by any of what there is: the same totals, and each sale counted once
CREATE TABLE public.fine AS SELECT * FROM simulate_rules('2026-01-01', '2027-01-01', by => '{day,store,sale,member,rule}');
SELECT count(*) AS unlike FROM fine f LEFT JOIN sale s USING (sale_id) WHERE (f.member_id, f.store, f.day) IS DISTINCT FROM (s.member_id, s.store, s.sold_at::date);
SELECT string_agg(d, ',' ORDER BY d) AS by, (SELECT count(*) FROM
    (SELECT * FROM simulate_rules('2026-01-01', '2027-01-01', by => array_agg(d)) EXCEPT ALL
     SELECT CASE WHEN 'rule' = ANY (array_agg(d)) THEN f.rule_code END, f.points_type, CASE WHEN 'member' = ANY (array_agg(d)) THEN f.member_id END, CASE WHEN 'store' = ANY (array_agg(d)) THEN f.store END,
            CASE WHEN 'day' = ANY (array_agg(d)) THEN f.day END, count(DISTINCT f.sale_id), sum(f.points), sum(f.given), CASE WHEN 'sale' = ANY (array_agg(d)) THEN f.sale_id END
       FROM fine f GROUP BY 1, 2, 3, 4, 5, 9) x) AS unlike
FROM unnest('{rule,member,sale,store,day}'::text[]) WITH ORDINALITY AS e (d, i), generate_series(1, 31) AS subset WHERE subset >> (i::int - 1) & 1 = 1 GROUP BY subset HAVING count(*) <> 3 ORDER BY count(*), 1;
SELECT points_type, sales, points = given AS same, rule_code, member_id, store, day, sale_id FROM simulate_rules('2026-01-01', '2027-01-01', by => '{}') ORDER BY 1;
SELECT count(*) FILTER (WHERE given IS NOT NULL) AS compared, sum(points) = (SELECT sum(points) FROM fine) AS same FROM simulate_rules('2026-01-01', '2027-01-01', by => '{rule}', compare => false);

-- a day's sales are looked up by key, a year's tables are read as a whole (limits begin at nothing, so without them)
CREATE TABLE public.draft AS SELECT jsonb_agg(to_jsonb(r) - 'member_limit' - 'limit_period' - 'budget') AS rules FROM points_rule r;
SELECT (SELECT count(*) FROM simulate_rules('2026-01-01', '2027-01-01', (TABLE draft), '{rule,sale}')) AS rows,
       (SELECT count(*) FROM (SELECT * FROM simulate_rules('2026-01-01', '2027-01-01', (TABLE draft), '{rule,sale}') EXCEPT ALL
          SELECT s.* FROM generate_series('2026-01-01'::timestamptz, '2026-12-31', '1 day') d, simulate_rules(d, d + interval '1 day', (TABLE draft), '{rule,sale}') s) x) AS unlike;

-- a budget meets sales in the order they happened, a member's limit in the order of his
SELECT s.ref, s.member_id, r.rule_code, r.points FROM simulate_rules('2026-02-01', '2026-02-02 12:00', '[{"rule_code": "budget", "award": "fixed", "points": 10, "budget": 45}, {"rule_code": "limit", "award": "fixed", "points": 10, "member_limit": 15}]', '{rule,sale}', false) r JOIN sale s USING (sale_id) ORDER BY s.sold_at, 2;
-- two drafts of one code are one rule in the totals
SELECT rule_code, points FROM simulate_rules('2026-02-01', '2026-02-02', '[{"rule_code": "x", "award": "fixed", "points": 1}, {"rule_code": "x", "award": "fixed", "points": 2}]', '{rule}', false);

-- who is merged since: the sales are the survivor's
SELECT sum(points) AS before FROM simulate_rules('2026-01-01', '2027-01-01', (TABLE draft), '{member}') WHERE member_id IN (2, 3) AND points_type = 'growth' \gset
SELECT merge_members(2, '{3}', 'm') IS NOT NULL AS merged;
SELECT count(*) FILTER (WHERE member_id = 3) AS of_the_merged, sum(points) FILTER (WHERE member_id = 2) = :before AS of_the_survivor, sum(given) FILTER (WHERE member_id = 2) = :before AS given_to_him
FROM simulate_rules('2026-01-01', '2027-01-01', (TABLE draft), '{member}') WHERE points_type = 'growth';

-- nothing is written, and a standby or a read-only transaction may ask
BEGIN READ ONLY;
SELECT count(*) > 0 AS simulated FROM simulate_rules('2026-01-01', '2027-01-01');
ROLLBACK;
SELECT count(*) FROM simulate_rules(NULL, '2027-01-01');
SELECT count(*) FROM simulate_rules('2027-01-01', '2026-01-01');
SELECT count(*) FROM simulate_rules('-infinity', 'infinity', '[]', '{rule}', false);
\set VERBOSITY terse
SELECT * FROM simulate_rules('2026-01-01', '2027-01-01', NULL, '{rule,week}');
SELECT * FROM simulate_rules('2026-01-01', '2027-01-01', NULL, '{NULL}');
DROP TABLE public.fine, public.draft;
