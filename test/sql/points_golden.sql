--
-- A golden table: what a sale earns and what a return takes back, case by case,
-- beside figures worked out by hand.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/shanghai.sql
INSERT INTO points_type (points_type, name, decimals) VALUES ('growth', 'Growth', 0), ('acme', 'Points of the brand acme', 2);
UPDATE points_type SET money_value = 0.01 WHERE points_type = 'points';
INSERT INTO member (member_id, kind, joined_at) VALUES (1, 'consumer', '2026-01-01'), (2, 'dealer', '2026-01-01'), (3, 'consumer', '2026-01-01');
INSERT INTO person (member_id, birthday) VALUES (1, '1990-06-15'), (2, '1992-02-29'), (3, '1988-01-02');
SELECT award_points(1, 100000, 'start', 'start', at => '2026-01-01') > 0 AS has_points, top_up_stored_value(1, 1000, reason => 'start', ref => 'top up', at => '2026-01-01') IS NOT NULL AS has_value;

-- rules are one per array element, by position a, b, c ...: award points [per], further columns; sold on Monday 2026-06-15 at 10:30 unless the sale says else
CREATE TABLE public.golden (no serial, name text, rules jsonb, sale jsonb, expected text);
INSERT INTO golden (name, rules, sale, expected)
-- 12.50, 13.50 and 7.99 at a point a yuan; the sum is 33.99
SELECT 'per amount ' || r, jsonb_build_array(jsonb_build_object('award', 'per_amount', 'points', p, 'rounding', r)), '{"lines": [{"price": 12.50}]}', e
FROM (VALUES ('floor', 1, 'a=12'), ('ceil', 1, 'a=13'), ('half_up', 1, 'a=13'), ('half_down', 1, 'a=12'), ('half_even', 1, 'a=12'),
             ('floor', 3, 'a=37'), ('ceil', 3, 'a=38'), ('half_up', 3, 'a=38'), ('half_down', 3, 'a=37'), ('half_even', 3, 'a=38'),
             ('floor', 0.1, 'a=1'), ('ceil', 0.1, 'a=2'), ('half_up', 0.1, 'a=1'), ('half_up', 0.2, 'a=3'), ('half_down', 0.2, 'a=2'), ('half_even', 0.2, 'a=2'),
             ('floor', 0, 'nothing'), ('ceil', 0.0001, 'a=1'), ('floor', 0.0799, 'nothing'), ('floor', 0.08, 'a=1')) v (r, p, e)
UNION ALL
SELECT 'per 3 units ' || r || ' ' || q, jsonb_build_array(jsonb_build_object('award', 'per_unit', 'points', 5, 'per', 3, 'rounding', r, 'whole_multiples', w)), jsonb_build_object('lines', jsonb_build_array(jsonb_build_object('price', 1, 'quantity', q))), e
FROM (VALUES ('floor', 2, false, 'a=3'), ('half_up', 2, false, 'a=3'), ('ceil', 2, false, 'a=4'), ('floor', 3, false, 'a=5'), ('floor', 4, false, 'a=6'), ('half_up', 4, false, 'a=7'), ('half_up', 4, true, 'a=5'),
             ('ceil', 2.999999, true, 'nothing'), ('floor', 8.5, false, 'a=14'), ('floor', 8.5, true, 'a=10'), ('ceil', 8.5, false, 'a=15')) v (r, q, w, e)
UNION ALL
SELECT format('%s points per %s of %s', p, d, a), jsonb_build_array(jsonb_build_object('award', 'per_amount', 'points', p, 'per', d, 'whole_multiples', w)), jsonb_build_object('lines', jsonb_build_array(jsonb_build_object('price', a))), e
FROM (VALUES (5, 10, 35, false, 'a=17'), (5, 10, 35, true, 'a=15'), (5, 10, 9.99, true, 'nothing'), (5, 10, 10, true, 'a=5'), (1, 0.3, 1, false, 'a=3'), (1, 0.3, 0.9, true, 'a=3'), (7, 3, 10, false, 'a=23'), (7, 3, 10, true, 'a=21'),
             (1, 0.0001, 99999999.99, false, 'a=999999999900'), (2.5, 1, 3, true, 'a=7')) v (p, d, a, w, e)
UNION ALL
-- tiered: the step reached judges all; marginal: each step its part; both at, just below and just above every step
SELECT m || ' brackets of ' || a, jsonb_build_array(jsonb_build_object('award', 'brackets', 'brackets',
         jsonb_build_object('mode', m, 'steps', '[{"from": 10, "points": 1, "per": 1}, {"from": 50, "points": 2, "per": 1}, {"from": 100, "points": 500}]'::jsonb))), jsonb_build_object('lines', jsonb_build_array(jsonb_build_object('price', a))), e
FROM (VALUES ('tiered', 9.99, 'nothing'), ('tiered', 10, 'a=10'), ('tiered', 49.99, 'a=49'), ('tiered', 50, 'a=100'), ('tiered', 99.99, 'a=199'), ('tiered', 100, 'a=500'), ('tiered', 5000, 'a=500'),
             ('marginal', 9.99, 'nothing'), ('marginal', 10, 'nothing'), ('marginal', 11, 'a=1'), ('marginal', 49.99, 'a=39'), ('marginal', 50, 'a=40'), ('marginal', 50.5, 'a=41'), ('marginal', 99.99, 'a=139'), ('marginal', 100, 'a=640'), ('marginal', 5000, 'a=640')) v (m, a, e)
UNION ALL
SELECT 'whole multiples in ' || m || ' brackets', jsonb_build_array(jsonb_build_object('award', 'brackets', 'whole_multiples', true, 'brackets', jsonb_build_object('mode', m, 'steps', '[{"from": 0, "points": 5, "per": 10}, {"from": 25, "points": 9, "per": 10}]'::jsonb))), '{"lines": [{"price": 49}]}', e
FROM (VALUES ('tiered', 'a=36'), ('marginal', 'a=28')) v (m, e)	-- 4 x 9; 2 x 5 + 2 x 9
UNION ALL
SELECT name, rules::jsonb, sale::jsonb, expected FROM (VALUES
-- multipliers: the product of what base rules gave, rounded once
('17 x 1.5', '[{"award": "per_amount"}, {"award": "multiplier", "points": 1.5}]', '{"lines": [{"price": 17.99}]}', 'a=17 b=8'),
('17 x 1.5 half up', '[{"award": "per_amount"}, {"award": "multiplier", "points": 1.5, "rounding": "half_up"}]', '{"lines": [{"price": 17.99}]}', 'a=17 b=9'),
('17 x 1.5 half even', '[{"award": "per_amount"}, {"award": "multiplier", "points": 1.5, "rounding": "half_even"}]', '{"lines": [{"price": 17.99}]}', 'a=17 b=9'),
('17 x 1.5 half down', '[{"award": "per_amount"}, {"award": "multiplier", "points": 1.5, "rounding": "half_down"}]', '{"lines": [{"price": 17.99}]}', 'a=17 b=8'),
('7 x 1.1 x 1.1 x 1.1 = 9.317', '[{"award": "fixed", "points": 7}, {"award": "multiplier", "points": 1.1}, {"award": "multiplier", "points": 1.1}, {"award": "multiplier", "points": 1.1}]', '{"lines": [{"price": 1}]}', 'a=7 c=1 d=1'),
('two base rules, doubled', '[{"award": "fixed", "points": 7}, {"award": "per_amount", "points": 2}, {"award": "multiplier", "points": 2}]', '{"lines": [{"price": 10.4}]}', 'a=7 b=20 c=27'),
('a multiplier of one category: 10 + 20, the 10 doubled', '[{"award": "per_amount"}, {"award": "multiplier", "points": 2, "condition": "line.category = ''a''"}]', '{"lines": [{"price": 10, "category": "a"}, {"price": 20, "category": "b"}]}', 'a=30 b=10'),
('a multiplier multiplies its own type', '[{"award": "per_amount"}, {"award": "per_amount", "points_type": "growth"}, {"award": "multiplier", "points": 3, "points_type": "growth"}]', '{"lines": [{"price": 10}]}', 'a=10 b=10 c=20'),
('a capped base is what is multiplied', '[{"award": "per_amount", "max_points": 5}, {"award": "multiplier", "points": 3}]', '{"lines": [{"price": 10}]}', 'a=5 b=10'),
('a capped multiplier: what it gave is what the next multiplies', '[{"award": "fixed", "points": 19}, {"award": "multiplier", "points": 1.5, "max_points": 3}, {"award": "multiplier", "points": 2}]', '{"lines": [{"price": 10}, {"price": 5}]}', 'a=19 b=3 c=22'),
('rounded up, what was given stays given: 19 x 1.5 = 28.5', '[{"award": "fixed", "points": 19}, {"award": "multiplier", "points": 1.5, "rounding": "ceil", "member_limit": 50}, {"award": "multiplier", "points": 1, "member_limit": 50}]', '{"lines": [{"price": 10}]}', 'a=19 b=10'),
-- caps
('cap at, below and above', '[{"award": "fixed", "points": 10, "max_points": 10}, {"award": "fixed", "points": 10, "max_points": 9}, {"award": "fixed", "points": 10, "max_points": 11}]', '{"lines": [{"price": 1}]}', 'a=10 b=9 c=10'),
('a cap is shared by lines in order', '[{"award": "fixed", "points": 10, "scope": "line", "max_points": 25}]', '{"lines": [{"price": 1}, {"price": 2}, {"price": 3}, {"price": 4}]}', 'a/1=10 a/2=10 a/3=5'),
('decimals of a cap below the type''s are dropped', '[{"award": "fixed", "points": 10, "max_points": 9.5}, {"award": "fixed", "points": 10, "max_points": 9.555, "points_type": "acme"}]', '{"lines": [{"price": 1}]}', 'a=9 b=9.55'),
('a rule with nothing left to give keeps nobody out', '[{"award": "fixed", "points": 10, "max_points": 0, "stackable": false, "priority": 9}, {"award": "fixed", "points": 3}]', '{"lines": [{"price": 1}]}', 'b=3'),
('a cap of a group does not let the next in', '[{"award": "fixed", "points": 10, "max_points": 4, "stack_group": "g", "priority": 9}, {"award": "fixed", "points": 30, "stack_group": "g"}]', '{"lines": [{"price": 1}]}', 'a=4'),
-- stacking
('the first of each group by priority', '[{"award": "fixed", "points": 1, "stack_group": "g"}, {"award": "fixed", "points": 2, "stack_group": "g", "priority": 5}, {"award": "fixed", "points": 4, "stack_group": "h"}, {"award": "fixed", "points": 8, "stack_group": "h", "priority": -1}, {"award": "fixed", "points": 16}]', '{"lines": [{"price": 1}]}', 'b=2 c=4 e=16'),
('equal priority: by code', '[{"award": "fixed", "points": 1, "stack_group": "g"}, {"award": "fixed", "points": 2, "stack_group": "g"}]', '{"lines": [{"price": 1}]}', 'a=1'),
('not stackable, first', '[{"award": "fixed", "points": 1}, {"award": "fixed", "points": 2, "stackable": false, "priority": 1}, {"award": "multiplier", "points": 3}]', '{"lines": [{"price": 1}]}', 'b=2 c=4'),
('not stackable, later', '[{"award": "fixed", "points": 1, "priority": 1}, {"award": "fixed", "points": 2, "stackable": false}]', '{"lines": [{"price": 1}]}', 'a=1'),
('not stackable on one line keeps others off that line alone', '[{"award": "fixed", "points": 1, "scope": "line", "stackable": false, "priority": 1, "condition": "line.category = ''a''"}, {"award": "fixed", "points": 2, "scope": "line"}]', '{"lines": [{"price": 1, "category": "a"}, {"price": 1}]}', 'a/1=1 b/2=2'),
('given to the sale counts for its lines', '[{"award": "fixed", "points": 1, "stack_group": "g", "priority": 1}, {"award": "fixed", "points": 2, "scope": "line", "stack_group": "g"}]', '{"lines": [{"price": 1}, {"price": 1}]}', 'a=1'),
('given to a line counts for a sale rule that works on it', '[{"award": "fixed", "points": 1, "scope": "line", "stack_group": "g", "priority": 1, "condition": "line.category = ''a''"}, {"award": "per_amount", "stack_group": "g", "condition": "line.category = ''b''"}]', '{"lines": [{"price": 5, "category": "a"}, {"price": 7, "category": "b"}]}', 'a/1=1 b=7'),
-- what earns: what is paid after discounts; stored value is payment, points are not
('discounts earn nothing', '[{"award": "per_amount"}]', '{"lines": [{"price": 40, "discount": 4.01}, {"price": 10}]}', 'a=45'),
('stored value is payment', '[{"award": "per_amount"}]', '{"lines": [{"price": 40}], "stored_value": 40}', 'a=40'),
('points are not: 2,000 pay 20 of 50', '[{"award": "per_amount"}]', '{"lines": [{"price": 50}], "points": 2000}', 'a=30'),
('paid by points alone', '[{"award": "per_amount"}, {"award": "per_unit", "points": 2}]', '{"lines": [{"price": 50}], "points": 5000}', 'b=2'),
('free goods count as units', '[{"award": "per_unit"}]', '{"lines": [{"price": 50, "discount": 50, "quantity": 1}]}', 'a=1'),
-- who, when, what
('consumers', '[{"award": "fixed", "condition": "member.kind = ''consumer''"}, {"award": "fixed", "points": 2, "condition": "member.kind = ''dealer''"}]', '{"lines": [{"price": 1}]}', 'a=1'),
('dealers', '[{"award": "fixed", "condition": "member.kind = ''consumer''"}, {"award": "fixed", "points": 2, "condition": "member.kind = ''dealer''"}]', '{"member_id": 2, "lines": [{"price": 1}]}', 'b=2'),
('brand points', '[{"award": "per_amount", "points_type": "acme", "condition": "line.brand = ''acme''", "points": 0.05}]', '{"lines": [{"price": 19.99, "brand": "acme"}, {"price": 5, "brand": "other"}, {"price": 0.30, "brand": "acme"}]}', 'a=1.01'),
('three of a kind', '[{"award": "fixed", "points": 30, "condition": "line.sku = ''X'' and line.quantity >= 3"}]', '{"lines": [{"price": 1, "sku": "X", "quantity": 2}, {"price": 1, "sku": "X", "quantity": 3}]}', 'a=30'),
('business hours, the first second', '[{"award": "fixed", "condition": "sale.minute between 540 and 1079"}]', '{"sold_at": "2026-06-15 09:00:00", "lines": [{"price": 1}]}', 'a=1'),
('business hours, the second before', '[{"award": "fixed", "condition": "sale.minute between 540 and 1079"}]', '{"sold_at": "2026-06-15 08:59:59", "lines": [{"price": 1}]}', 'nothing'),
('business hours, the last second', '[{"award": "fixed", "condition": "sale.minute between 540 and 1079"}]', '{"sold_at": "2026-06-15 17:59:59", "lines": [{"price": 1}]}', 'a=1'),
('business hours, over', '[{"award": "fixed", "condition": "sale.minute between 540 and 1079"}]', '{"sold_at": "2026-06-15 18:00:00", "lines": [{"price": 1}]}', 'nothing'),
('the wall clock of the business, wherever the till is', '[{"award": "fixed", "condition": "sale.hour = 0 and sale.weekday = 2"}]', '{"sold_at": "2026-06-15T16:30:00Z", "lines": [{"price": 1}]}', 'a=1'),
('first purchase', '[{"award": "fixed", "condition": "member.first_purchase"}]', '{"lines": [{"price": 1}]}', 'a=1')
) v (name, rules, sale, expected)
UNION ALL
-- a week around the birthday on June 15; on February 29, kept on 28 in a common year; around new year
SELECT format('birthday of %s on %s', m, d), '[{"award": "fixed", "condition": "member.days_to_birthday between -3 and 3"}]', jsonb_build_object('member_id', m, 'sold_at', d, 'lines', '[{"price": 1}]'::jsonb), e
FROM (VALUES (1, '2026-06-11 23:59:59', 'nothing'), (1, '2026-06-12 00:00', 'a=1'), (1, '2026-06-15 12:00', 'a=1'), (1, '2026-06-18 23:59:59', 'a=1'), (1, '2026-06-19 00:00', 'nothing'),
             (2, '2026-02-25 12:00', 'a=1'), (2, '2026-02-24 12:00', 'nothing'), (2, '2026-03-03 12:00', 'a=1'), (2, '2026-03-04 12:00', 'nothing'), (2, '2028-02-25 12:00', 'nothing'), (2, '2028-03-03 12:00', 'a=1'),
             (3, '2026-12-30 12:00', 'a=1'), (3, '2026-12-29 12:00', 'nothing'), (3, '2027-01-05 12:00', 'a=1'), (3, '2026-01-06 12:00', 'nothing')) v (m, d, e);

CREATE FUNCTION pg_temp.earns(rules jsonb, sale jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  document jsonb := '{"member_id": 1, "sold_at": "2026-06-15 10:30"}'::jsonb || sale;
  given text;
  answer jsonb;
BEGIN
  DELETE FROM crm_member.points_rule;
  INSERT INTO crm_member.points_rule SELECT (jsonb_populate_record(NULL::crm_member.points_rule,
    '{"active": true, "priority": 0, "points_type": "points", "scope": "sale", "points": 1, "per": 1, "rounding": "floor", "whole_multiples": false, "stackable": true, "name": ""}'
    || jsonb_build_object('rule_code', chr(96 + i::int)) || r)).* FROM jsonb_array_elements(rules) WITH ORDINALITY AS e (r, i);
  SELECT coalesce(string_agg(format('%s%s=%s', e.rule_code, '/' || e.line_no, e.points), ' ' ORDER BY e.rule_code, e.line_no), 'nothing') INTO given FROM crm_member.evaluate_points(document) e;
  -- the explanation and the answer of a quote say the same, and lines add up
  IF (SELECT count(*) FROM (SELECT rule_code, line_no, points FROM crm_member.evaluate_points(document) EXCEPT ALL SELECT rule_code, line_no, points FROM crm_member.explain_points(document)) x) > 0 THEN
    given := given || ' but is explained otherwise';
  END IF;
  answer := crm_member.quote(document);
  IF (SELECT coalesce(sum((l->>'points')::numeric), 0) FROM jsonb_array_elements(answer->'lines') l) <> (answer #>> '{points,earned}')::numeric THEN
    given := given || ' but lines do not add up';
  END IF;
  RETURN given;
END
$$;
SELECT count(*) AS cases FROM golden;
SELECT no, name, expected, got FROM (SELECT g.*, pg_temp.earns(rules, sale) AS got FROM golden g ORDER BY no) g WHERE got IS DISTINCT FROM expected;

-- pending: from when it can be spent, and when it expires; sold on 2026-01-30 at 10:00
DELETE FROM points_rule;
INSERT INTO member (member_id, joined_at) SELECT g, '2026-01-01' FROM generate_series(101, 110) g;
CREATE TABLE public.waits (member_id bigint, pending interval, expiry text, available text, expires text);
INSERT INTO waits VALUES
  (101, NULL, 'never', '2026-01-30 10:00', 'infinity'), (102, '7 days', '30 days', '2026-02-06 10:00', '2026-03-09 00:00'), (103, '1 month', 'end of month', '2026-02-28 10:00', '2026-03-01 00:00'),
  (104, '36 hours', '12 hours', '2026-01-31 22:00', '2026-02-01 10:00'), (105, NULL, 'end of year + 1', '2026-01-30 10:00', '2028-01-01 00:00'), (106, '1 year', '2027-12-31', '2027-01-30 10:00', '2028-01-01 00:00');
INSERT INTO points_rule (rule_code, award, points, condition, pending, expiry) SELECT 'w' || member_id, 'fixed', 10, format('member.id = %s', member_id)::condition, pending, expiry FROM waits;
SELECT count(checkout(jsonb_build_object('ref', 'w' || member_id, 'member_id', member_id, 'sold_at', '2026-01-30 10:00', 'lines', '[{"price": 1}]'::jsonb))) AS sold FROM waits;
SELECT w.*, l.available_at, l.expires_at FROM waits w LEFT JOIN points_lot l USING (member_id) WHERE (l.available_at, l.expires_at) IS DISTINCT FROM (w.available::timestamptz, w.expires::timestamptz);
SELECT member_id, points_balance(member_id, as_of => available_at - interval '1 microsecond') AS before, points_balance(member_id, as_of => available_at) AS at, points_balance(member_id, as_of => expires_at - interval '1 microsecond') AS last, points_balance(member_id, as_of => expires_at) AS expired
FROM points_lot WHERE member_id BETWEEN 102 AND 106 ORDER BY 1;
-- returned while pending: gone, and the balance never knew
SELECT refund('{"ref": "w102", "sale_ref": "w102", "refunded_at": "2026-01-31 10:00", "lines": [{"line_no": 1}]}') #>> '{points,taken_back}' AS taken_back;
SELECT points_balance(102, as_of => '2026-02-07'), (SELECT balance FROM points_account WHERE member_id = 102) AS balance;

-- what a return takes back of 100 points for two lines of 60 and 40, of which some are spent, by policy
DELETE FROM points_rule;
INSERT INTO points_type (points_type, name, deficit, money_value) VALUES ('allow', 'a', 'allow', 0.05), ('clamp', 'c', 'clamp', 0.05), ('refuse', 'r', 'refuse', 0.05), ('charge', 'h', 'charge', 0.05);
INSERT INTO points_rule (rule_code, award, points, points_type) SELECT t, 'per_amount', 1, t FROM unnest('{allow,clamp,refuse,charge}'::text[]) t;
CREATE TABLE public.claw (member_id bigint, policy text, spent numeric, returned int[], outcome text);
INSERT INTO claw SELECT 200 + row_number() OVER (), * FROM (VALUES
  ('allow', 0, '{1,2}'::int[], 'balance 0 debt 0 money 100.00'), ('allow', 50, '{2}', 'balance 10 debt 0 money 40.00'), ('allow', 50, '{1}', 'balance -10 debt 10 money 60.00'), ('allow', 100, '{1,2}', 'balance -100 debt 100 money 100.00'),
  ('clamp', 0, '{1,2}', 'balance 0 debt 0 money 100.00'), ('clamp', 50, '{2}', 'balance 10 debt 0 money 40.00'), ('clamp', 50, '{1}', 'balance 0 debt 0 money 60.00'), ('clamp', 100, '{1,2}', 'balance 0 debt 0 money 100.00'),
  ('refuse', 0, '{1,2}', 'balance 0 debt 0 money 100.00'), ('refuse', 50, '{2}', 'balance 10 debt 0 money 40.00'), ('refuse', 50, '{1}', 'RM305'), ('refuse', 100, '{1,2}', 'RM305'),
  ('charge', 0, '{1,2}', 'balance 0 debt 0 money 100.00'), ('charge', 50, '{2}', 'balance 10 debt 0 money 40.00'), ('charge', 50, '{1}', 'balance 0 debt 0 money 59.50'), ('charge', 100, '{1,2}', 'balance 0 debt 0 money 95.00')) v (policy, spent, returned, outcome);
INSERT INTO member (member_id, joined_at) SELECT member_id, '2026-01-01' FROM claw;
CREATE FUNCTION pg_temp.claw(member_id bigint, policy text, spent numeric, returned int[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer jsonb;
BEGIN
  UPDATE crm_member.points_rule SET active = rule_code = policy;
  PERFORM crm_member.checkout(jsonb_build_object('ref', 'k' || claw.member_id, 'member_id', claw.member_id, 'sold_at', '2026-03-01', 'lines', '[{"price": 60}, {"price": 40}]'::jsonb));
  IF spent > 0 THEN
    PERFORM crm_member.spend_points(claw.member_id, spent, 'gift', 'gift', policy, '2026-03-02');
  END IF;
  BEGIN
    answer := crm_member.refund(jsonb_build_object('ref', 'k' || claw.member_id, 'sale_ref', 'k' || claw.member_id, 'refunded_at', '2026-03-03', 'lines', (SELECT jsonb_agg(jsonb_build_object('line_no', l)) FROM unnest(returned) l)));
  EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
  END;
  RETURN (SELECT format('balance %s debt %s money %s', a.balance, a.debt, answer->>'money') FROM crm_member.points_account a WHERE a.member_id = claw.member_id AND a.points_type = policy);
END
$$;
SELECT * FROM (SELECT c.*, pg_temp.claw(member_id, policy, spent, returned) AS got FROM claw c ORDER BY 1) c WHERE got IS DISTINCT FROM outcome;
SELECT * FROM verify_ledger();
DROP TABLE public.golden, public.waits, public.claw;
