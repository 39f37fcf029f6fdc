--
-- What rules give, case by case, against figures worked out by hand.
--
\getenv tests PG_ABS_SRCDIR
\set zone 'Asia/Shanghai'
\i :tests/sql/include/business.sql
SET timezone = 'UTC';
INSERT INTO crm_member.tier VALUES ('gold', 'Gold', 2), ('basic', 'Basic', 1);
INSERT INTO crm_member.member (member_id, joined_at, store, tags, attrs) VALUES
  (1, '2026-01-01 00:00+08', 'S01', '{vip}', '{"color": "red"}'), (2, '2026-01-01 00:00+08', 'S02', '{}', '{}');
INSERT INTO crm_member.person (member_id, birthday, gender) VALUES (1, '1990-06-15', 'F'), (2, '2000-02-29', 'M');
INSERT INTO crm_member.member_tier (member_id, tier_code) VALUES (1, 'gold');
INSERT INTO crm_member.points_type (points_type, name, decimals) VALUES ('growth', 'Growth', 0), ('cents', 'Cents', 2);

-- case(name, rules, sale, expected): the rules as jsonb rows, points given by rule and line as text
CREATE TABLE public.failed (name text, expected text, got text);
CREATE FUNCTION pg_temp.check_case(name text, rules jsonb, sale jsonb, expected text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  got text;
BEGIN
  DELETE FROM crm_member.points_rule;
  INSERT INTO crm_member.points_rule (rule_code, active, valid_from, valid_to, priority, points_type, scope, condition,
         award, points, per, brackets, rounding, whole_multiples, max_points, member_limit, limit_period, budget, stack_group, stackable)
  SELECT r.rule_code, coalesce(r.active, true), r.valid_from, r.valid_to, coalesce(r.priority, 0), coalesce(r.points_type, 'points'),
         coalesce(r.scope, 'sale'), r.condition::crm_member.condition, r.award, coalesce(r.points, 1), coalesce(r.per, 1), r.brackets,
         coalesce(r.rounding, 'floor'), coalesce(r.whole_multiples, false), r.max_points, r.member_limit, r.limit_period, r.budget, r.stack_group, coalesce(r.stackable, true)
  FROM jsonb_to_recordset(rules) AS r (rule_code text, active boolean, valid_from timestamptz, valid_to timestamptz, priority int,
         points_type text, scope text, condition text, award text, points numeric, per numeric, brackets jsonb, rounding text,
         whole_multiples boolean, max_points numeric, member_limit numeric, limit_period text, budget numeric, stack_group text, stackable boolean);
  SELECT coalesce(string_agg(format('%s%s=%s', e.rule_code, '/' || e.line_no, e.points), ' ' ORDER BY e.ordinality), 'nothing')
    INTO got
    FROM crm_member.evaluate_points('{"member_id": 1, "sold_at": "2026-06-15 10:30"}'::jsonb || sale) WITH ORDINALITY AS e;
  IF got IS DISTINCT FROM expected THEN
    INSERT INTO public.failed VALUES (name, expected, got);
  END IF;
  -- what a rule gave is what the lines have, whatever the rule
  PERFORM FROM (SELECT crm_member.quote('{"member_id": 1, "sold_at": "2026-06-15 10:30"}'::jsonb || sale) AS q) q
   WHERE (SELECT coalesce(sum((l->>'points')::numeric), 0) FROM jsonb_array_elements(q->'lines') l) <> (q->'points'->>'earned')::numeric
      OR (SELECT coalesce(sum((r->>'points')::numeric), 0) FROM jsonb_array_elements(q->'points'->'rules') r
           WHERE r->>'points_type' = 'points') <> (q->'points'->>'earned')::numeric;
  IF FOUND THEN
    INSERT INTO public.failed VALUES (name, 'lines, rules and total agree', 'they do not');
  END IF;
END
$$;
\set one '{"lines": [{"price": 35}]}'
\set two '{"lines": [{"price": 19.99, "category": "shoes"}, {"price": 9.99, "quantity": 2, "category": "socks", "discount": 1.98}]}'
\pset format unaligned
\pset tuples_only on

-- awards
SELECT pg_temp.check_case('fixed', '[{"rule_code": "a", "award": "fixed", "points": 50}]', :'one', 'a=50');
SELECT pg_temp.check_case('one point a yuan', '[{"rule_code": "a", "award": "per_amount"}]', :'one', 'a=35');
SELECT pg_temp.check_case('10 yuan = 5 points', '[{"rule_code": "a", "award": "per_amount", "points": 5, "per": 10}]', :'one', 'a=17');
SELECT pg_temp.check_case('10 yuan = 5 points, whole multiples', '[{"rule_code": "a", "award": "per_amount", "points": 5, "per": 10, "whole_multiples": true}]', :'one', 'a=15');
SELECT pg_temp.check_case('what was paid: 19.99 + 18.00', '[{"rule_code": "a", "award": "per_amount"}]', :'two', 'a=37');
SELECT pg_temp.check_case('units', '[{"rule_code": "a", "award": "per_unit", "points": 3}]', :'two', 'a=9');
SELECT pg_temp.check_case('units by the pair', '[{"rule_code": "a", "award": "per_unit", "points": 5, "per": 2, "whole_multiples": true}]', :'two', 'a=5');
SELECT pg_temp.check_case('weighed goods', '[{"rule_code": "a", "award": "per_unit", "points": 10}]', '{"lines": [{"price": 30, "quantity": 1.255}]}', 'a=12');
SELECT pg_temp.check_case('shipping earns nothing', '[{"rule_code": "a", "award": "per_amount"}]', '{"shipping": 10, "lines": [{"price": 5}]}', 'a=5');
SELECT pg_temp.check_case('nothing paid, nothing earned', '[{"rule_code": "a", "award": "per_amount"}]', '{"lines": [{"price": 5, "discount": 5}]}', 'nothing');
SELECT pg_temp.check_case('inactive', '[{"rule_code": "a", "award": "fixed", "active": false}]', :'one', 'nothing');
SELECT pg_temp.check_case('fractions of a point', '[{"rule_code": "a", "award": "per_amount", "points": 0.05, "points_type": "cents"}]', '{"lines": [{"price": 19.99}]}', 'a=0.99');

-- rounding: 19.50 at 1 point a yuan, and 19 at 1.5
SELECT pg_temp.check_case('floor', '[{"rule_code": "a", "award": "per_amount"}]', '{"lines": [{"price": 19.5}]}', 'a=19');
SELECT pg_temp.check_case('ceil', '[{"rule_code": "a", "award": "per_amount", "rounding": "ceil"}]', '{"lines": [{"price": 19.01}]}', 'a=20');
SELECT pg_temp.check_case('half up', '[{"rule_code": "a", "award": "per_amount", "rounding": "half_up"}]', '{"lines": [{"price": 19.5}]}', 'a=20');
SELECT pg_temp.check_case('half down', '[{"rule_code": "a", "award": "per_amount", "rounding": "half_down"}]', '{"lines": [{"price": 19.5}]}', 'a=19');
SELECT pg_temp.check_case('half even up', '[{"rule_code": "a", "award": "per_amount", "rounding": "half_even"}]', '{"lines": [{"price": 19.5}]}', 'a=20');
SELECT pg_temp.check_case('half even down', '[{"rule_code": "a", "award": "per_amount", "rounding": "half_even"}]', '{"lines": [{"price": 18.5}]}', 'a=18');
SELECT pg_temp.check_case('each base rule rounds by itself: 19 + 9', '[{"rule_code": "a", "award": "per_amount"}, {"rule_code": "b", "award": "per_amount", "points": 0.5}]', '{"lines": [{"price": 19.5}]}', 'a=19 b=9');
SELECT pg_temp.check_case('19 x 1.5 floor', '[{"rule_code": "a", "award": "per_amount"}, {"rule_code": "m", "award": "multiplier", "points": 1.5}]', '{"lines": [{"price": 19}]}', 'a=19 m=9');
SELECT pg_temp.check_case('19 x 1.5 half up', '[{"rule_code": "a", "award": "per_amount"}, {"rule_code": "m", "award": "multiplier", "points": 1.5, "rounding": "half_up"}]', '{"lines": [{"price": 19}]}', 'a=19 m=10');
SELECT pg_temp.check_case('19 x 1.5 ceil', '[{"rule_code": "a", "award": "per_amount"}, {"rule_code": "m", "award": "multiplier", "points": 1.5, "rounding": "ceil"}]', '{"lines": [{"price": 19}]}', 'a=19 m=10');
SELECT pg_temp.check_case('two multipliers, rounded once: 19 x 1.5 x 1.5 = 42.75', '[{"rule_code": "a", "award": "per_amount"}, {"rule_code": "m", "award": "multiplier", "points": 1.5}, {"rule_code": "n", "award": "multiplier", "points": 1.5}]', '{"lines": [{"price": 19}]}', 'a=19 m=9 n=14');
SELECT pg_temp.check_case('factor one adds nothing', '[{"rule_code": "a", "award": "per_amount"}, {"rule_code": "m", "award": "multiplier", "points": 1}]', :'one', 'a=35');
SELECT pg_temp.check_case('a multiplier alone has nothing to multiply', '[{"rule_code": "m", "award": "multiplier", "points": 3}]', :'one', 'nothing');

-- lines: shoes 19.99, socks 18.00
SELECT pg_temp.check_case('sale scope, matching lines together', '[{"rule_code": "a", "award": "per_amount", "condition": "line.category in (''shoes'', ''socks'')"}]', :'two', 'a=37');
SELECT pg_temp.check_case('line scope, each by itself: 19 + 18', '[{"rule_code": "a", "award": "per_amount", "scope": "line"}]', :'two', 'a/1=19 a/2=18');
SELECT pg_temp.check_case('only the shoes', '[{"rule_code": "a", "award": "per_amount", "condition": "line.category = ''shoes''"}]', :'two', 'a=19');
SELECT pg_temp.check_case('no such line', '[{"rule_code": "a", "award": "per_amount", "condition": "line.category = ''hats''"}]', :'two', 'nothing');
SELECT pg_temp.check_case('fixed for each matching line', '[{"rule_code": "a", "award": "fixed", "points": 5, "scope": "line", "condition": "line.payable >= 18"}]', :'two', 'a/1=5 a/2=5');
SELECT pg_temp.check_case('multiplier on the shoes: 37 points, 20 of them the shoes''', '[{"rule_code": "a", "award": "per_amount"}, {"rule_code": "m", "award": "multiplier", "points": 2, "condition": "line.category = ''shoes''"}]', :'two', 'a=37 m=19');
SELECT pg_temp.check_case('multiplier by line', '[{"rule_code": "a", "award": "per_amount", "scope": "line"}, {"rule_code": "m", "award": "multiplier", "points": 1.5, "scope": "line"}]', :'two', 'a/1=19 a/2=18 m/1=9 m/2=9');

-- brackets: 20 from 100, 150 from 500; and a point a yuan to 1000, two beyond
\set tiered '[{"rule_code": "a", "award": "brackets", "brackets": [{"from": 100, "points": 20}, {"from": 500, "points": 150}]}]'
\set marginal '[{"rule_code": "a", "award": "brackets", "brackets": {"mode": "marginal", "steps": [{"from": 0, "points": 1, "per": 1}, {"from": 1000, "points": 2, "per": 1}]}}]'
SELECT pg_temp.check_case('below the first step', :'tiered', '{"lines": [{"price": 99.99}]}', 'nothing');
SELECT pg_temp.check_case('at the first step', :'tiered', '{"lines": [{"price": 100}]}', 'a=20');
SELECT pg_temp.check_case('between', :'tiered', '{"lines": [{"price": 499.99}]}', 'a=20');
SELECT pg_temp.check_case('at the second step', :'tiered', '{"lines": [{"price": 500}]}', 'a=150');
SELECT pg_temp.check_case('tiered rate judges the whole amount', '[{"rule_code": "a", "award": "brackets", "brackets": [{"from": 0, "points": 1, "per": 1}, {"from": 1000, "points": 2, "per": 1}]}]', '{"lines": [{"price": 1000.50}]}', 'a=2001');
SELECT pg_temp.check_case('marginal below', :'marginal', '{"lines": [{"price": 999.90}]}', 'a=999');
SELECT pg_temp.check_case('marginal above: 1000 + 2 x 234.56', :'marginal', '{"lines": [{"price": 1234.56}]}', 'a=1469');
SELECT pg_temp.check_case('marginal, points once a step', '[{"rule_code": "a", "award": "brackets", "brackets": {"mode": "marginal", "steps": [{"from": 10, "points": 1}, {"from": 20, "points": 2}, {"from": 30, "points": 4}]}}]', '{"lines": [{"price": 29.99}]}', 'a=3');
SELECT pg_temp.check_case('thirds do not get lost: 1/3 + 2/3', '[{"rule_code": "a", "award": "brackets", "brackets": {"mode": "marginal", "steps": [{"from": 0, "points": 1, "per": 3}, {"from": 1, "points": 2, "per": 3}]}}]', '{"lines": [{"price": 2}]}', 'a=1');
SELECT pg_temp.check_case('brackets by line', '[{"rule_code": "a", "award": "brackets", "scope": "line", "brackets": [{"from": 18, "points": 3}, {"from": 19, "points": 7}]}]', :'two', 'a/1=7 a/2=3');

-- caps
SELECT pg_temp.check_case('cap', '[{"rule_code": "a", "award": "per_amount", "max_points": 20}]', :'one', 'a=20');
SELECT pg_temp.check_case('cap over lines', '[{"rule_code": "a", "award": "per_amount", "scope": "line", "max_points": 30}]', :'two', 'a/1=19 a/2=11');
SELECT pg_temp.check_case('cap of a multiplier', '[{"rule_code": "a", "award": "per_amount"}, {"rule_code": "m", "award": "multiplier", "points": 3, "max_points": 40}]', :'one', 'a=35 m=40');
SELECT pg_temp.check_case('cap of nothing', '[{"rule_code": "a", "award": "fixed", "points": 5, "max_points": 0}]', :'one', 'nothing');

-- stacking
\set a '{"rule_code": "a", "award": "fixed", "points": 1, "priority": 2'
\set b '{"rule_code": "b", "award": "fixed", "points": 10, "priority": 1'
SELECT pg_temp.check_case('both', ('[' || :'a' || '}, ' || :'b' || '}]')::jsonb, :'one', 'a=1 b=10');
SELECT pg_temp.check_case('priority orders', ('[' || :'b' || '}, ' || :'a' || '}]')::jsonb, :'one', 'a=1 b=10');
SELECT pg_temp.check_case('one of a group', ('[' || :'a' || ', "stack_group": "g"}, ' || :'b' || ', "stack_group": "g"}]')::jsonb, :'one', 'a=1');
SELECT pg_temp.check_case('two groups', ('[' || :'a' || ', "stack_group": "g"}, ' || :'b' || ', "stack_group": "h"}]')::jsonb, :'one', 'a=1 b=10');
SELECT pg_temp.check_case('the first does not stack', ('[' || :'a' || ', "stackable": false}, ' || :'b' || '}]')::jsonb, :'one', 'a=1');
SELECT pg_temp.check_case('the second does not stack', ('[' || :'a' || '}, ' || :'b' || ', "stackable": false}]')::jsonb, :'one', 'a=1');
SELECT pg_temp.check_case('who does not match displaces nobody', ('[' || :'a' || ', "stackable": false, "condition": "sale.amount > 100"}, ' || :'b' || '}]')::jsonb, :'one', 'b=10');
SELECT pg_temp.check_case('a group by line', ('[' || :'a' || ', "scope": "line", "stack_group": "g", "condition": "line.category = ''shoes''"}, ' || :'b' || ', "scope": "line", "stack_group": "g"}]')::jsonb, :'two', 'a/1=1 b/2=10');
SELECT pg_temp.check_case('points types do not meet', ('[' || :'a' || ', "stackable": false}, ' || :'b' || ', "points_type": "growth"}]')::jsonb, :'one', 'a=1 b=10');
SELECT pg_temp.check_case('multipliers stand apart', ('[' || :'a' || ', "stackable": false}, {"rule_code": "m", "award": "multiplier", "points": 3}]')::jsonb, :'one', 'a=1 m=2');
SELECT pg_temp.check_case('one multiplier of a group', ('[' || :'b' || '}, {"rule_code": "m", "award": "multiplier", "points": 3, "stack_group": "x"}, {"rule_code": "n", "award": "multiplier", "points": 5, "stack_group": "x", "priority": 1}]')::jsonb, :'one', 'b=10 n=40');

-- validity, by the time of the sale, both ends included (10:30 in Shanghai is 02:30 UTC)
SELECT pg_temp.check_case('from that moment', '[{"rule_code": "a", "award": "fixed", "valid_from": "2026-06-15 02:30+00"}]', :'one', 'a=1');
SELECT pg_temp.check_case('from a second later', '[{"rule_code": "a", "award": "fixed", "valid_from": "2026-06-15 02:30:01+00"}]', :'one', 'nothing');
SELECT pg_temp.check_case('to that moment', '[{"rule_code": "a", "award": "fixed", "valid_to": "2026-06-15 02:30+00"}]', :'one', 'a=1');
SELECT pg_temp.check_case('to a second before', '[{"rule_code": "a", "award": "fixed", "valid_to": "2026-06-15 02:29:59+00"}]', :'one', 'nothing');

-- attributes, at the wall clock of the business
CREATE FUNCTION pg_temp.check_condition(condition text, sale jsonb, holds boolean) RETURNS void LANGUAGE sql AS $$
  SELECT pg_temp.check_case(condition, jsonb_build_array(jsonb_build_object('rule_code', 'a', 'award', 'fixed', 'condition', condition)),
                            '{"lines": [{"price": 10, "quantity": 2, "sku": "X1", "brand": "acme", "attrs": {"size": 42}}, {"price": 5}]}'::jsonb || sale,
                            CASE WHEN holds THEN 'a=1' ELSE 'nothing' END)
$$;
SELECT pg_temp.check_condition('member.tier = ''gold'' and member.tier_rank >= 2', '{}', true);
SELECT pg_temp.check_condition('member.tier = ''gold''', '{"member_id": 2}', false);
SELECT pg_temp.check_condition('member.tier is null', '{"member_id": 2}', true);
SELECT pg_temp.check_condition('member.tag(''vip'') and member.attr(''color'') = ''red''', '{}', true);
SELECT pg_temp.check_condition('member.tag(''vip'')', '{"member_id": 2}', false);
SELECT pg_temp.check_condition('member.is_birthday', '{}', true);
SELECT pg_temp.check_condition('member.is_birthday', '{"sold_at": "2026-06-14 23:59:59"}', false);
SELECT pg_temp.check_condition('member.is_birthday', '{"sold_at": "2026-06-14T16:00:00Z"}', true);
SELECT pg_temp.check_condition('member.is_birthday', '{"sold_at": "2026-06-15T16:00:00Z"}', false);
SELECT pg_temp.check_condition('member.birthday_month', '{"sold_at": "2026-06-30 23:59:59"}', true);
SELECT pg_temp.check_condition('member.is_birthday', '{"member_id": 2, "sold_at": "2027-02-28 12:00"}', true);
SELECT pg_temp.check_condition('member.is_birthday', '{"member_id": 2, "sold_at": "2028-02-28 12:00"}', false);
SELECT pg_temp.check_condition('member.is_birthday', '{"member_id": 2, "sold_at": "2028-02-29 12:00"}', true);
SELECT pg_temp.check_condition('member.age = 36', '{}', true);
SELECT pg_temp.check_condition('member.age = 35', '{"sold_at": "2026-06-14 12:00"}', true);
SELECT pg_temp.check_condition('member.days_since_join = 165', '{}', true);
SELECT pg_temp.check_condition('member.first_purchase', '{}', true);
SELECT pg_temp.check_condition('sale.weekday = 1 and sale.hour = 10 and sale.minute = 630 and sale.month = 6 and sale.day = 15 and sale.year = 2026', '{}', true);
SELECT pg_temp.check_condition('sale.weekday = 7', '{"sold_at": "2026-06-14 00:00"}', true);
SELECT pg_temp.check_condition('sale.date = ''2026-06-15''', '{"sold_at": "2026-06-14T16:00:00Z"}', true);
SELECT pg_temp.check_condition('sale.amount = 25 and sale.payable = 25.00 and sale.lines = 2 and sale.quantity = 3', '{}', true);
SELECT pg_temp.check_condition('sale.store = ''S09'' and sale.channel = ''web''', '{"store": "S09", "channel": "web"}', true);
SELECT pg_temp.check_condition('sale.store = ''S09''', '{}', false);
SELECT pg_temp.check_condition('not sale.store = ''S09''', '{}', false);
SELECT pg_temp.check_condition('sale.attr(''table'') = 7', '{"attrs": {"table": 7}}', true);
SELECT pg_temp.check_condition('line.sku = ''X1'' and line.brand = ''acme'' and line.attr(''size'') = 42 and line.quantity = 2', '{}', true);
SELECT pg_temp.check_condition('line.price < 10', '{}', true);

\pset tuples_only off
SELECT * FROM public.failed;

-- the first purchase is the one that was booked first: one that comes late, of whatever time, is not first once more
DELETE FROM crm_member.points_rule;
INSERT INTO crm_member.points_rule (rule_code, award, points, condition) VALUES ('first', 'fixed', 100, 'member.first_purchase');
SELECT crm_member.checkout('{"ref": "june", "member_id": 1, "sold_at": "2026-06-01 10:00", "lines": [{"price": 1}]}')->'points'->'earned' AS june;
SELECT crm_member.checkout('{"ref": "july", "member_id": 1, "sold_at": "2026-07-01 10:00", "lines": [{"price": 1}]}')->'points'->'earned' AS july;
SELECT crm_member.checkout('{"ref": "may", "member_id": 1, "sold_at": "2026-05-01 10:00", "lines": [{"price": 1}]}')->'points'->'earned' AS may_came_late;
-- a header that waits for its lines is no purchase yet, as member_fact says; of two that come together the earlier is the first
INSERT INTO crm_member.member (member_id) VALUES (61), (62);
INSERT INTO crm_member.sale (member_id, sale_id, ref, sold_at) VALUES (61, 6101, 'waits', '2026-06-01 10:00');
SELECT first_purchase FROM crm_member.member_fact WHERE member_id = 61;
SELECT crm_member.checkout('{"ref": "whole", "member_id": 61, "sold_at": "2026-06-02 10:00", "lines": [{"price": 1}]}')->'points'->'earned' AS earned;
SELECT first_purchase FROM crm_member.member_fact WHERE member_id = 61;
INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price) VALUES (61, 6101, 1, 1);
INSERT INTO crm_member.sale (member_id, sale_id, ref, sold_at) VALUES
  (61, 6102, 'later', '2026-06-03 10:00'), (62, 6202, 'two', '2026-06-02 10:00'), (62, 6201, 'one', '2026-06-01 10:00'), (62, 6203, 'three', '2026-06-03 10:00');
INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price) SELECT sale_id / 100, sale_id, 1, 1 FROM unnest('{6102,6201,6202}'::int[]) AS sale_id;
INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price) VALUES (62, 6203, 1, 1);
SELECT s.ref, coalesce(e.points, 0) AS earned FROM crm_member.sale s LEFT JOIN crm_member.points_entry e USING (member_id, sale_id) WHERE member_id IN (61, 62) ORDER BY member_id, sold_at;

-- it is the person's first: what members bought who are merged into one counts, booked with whichever of them
INSERT INTO crm_member.member (member_id) SELECT generate_series(63, 70);
CREATE FUNCTION pg_temp.buys_first(ref text, member_id bigint) RETURNS jsonb LANGUAGE sql AS $$
  SELECT crm_member.checkout(jsonb_build_object('ref', ref, 'member_id', member_id, 'sold_at', '2026-06-05 10:00', 'lines', '[{"price": 1}]'::jsonb))->'points'->'earned'
$$;
SELECT pg_temp.buys_first('half', 64) AS half, crm_member.merge_members(63, '{64}', 'm1') IS NOT NULL AS merged;
SELECT pg_temp.buys_first('survivor', 63) AS not_first;
SELECT crm_member.merge_members(65, '{66,67}', 'm2') IS NOT NULL AS merged;
SELECT pg_temp.buys_first('of 67', 67) AS first;
SELECT pg_temp.buys_first('of 66', 66) AS not_first;
SELECT crm_member.merge_members(69, '{68,70}', 'm3') IS NOT NULL AS merged;
INSERT INTO crm_member.sale (member_id, sale_id, ref, sold_at) VALUES (68, 6803, 'm3', '2026-06-03 10:00'), (69, 6802, 'm2', '2026-06-02 10:00'), (70, 6801, 'm1', '2026-06-01 10:00');
INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price) VALUES (68, 6803, 1, 1), (69, 6802, 1, 1), (70, 6801, 1, 1);
SELECT s.ref, coalesce(e.points, 0) AS earned FROM crm_member.sale s LEFT JOIN crm_member.points_entry e USING (member_id, sale_id) WHERE member_id IN (68, 69, 70) ORDER BY sold_at;
SELECT member_id, first_purchase FROM crm_member.member_fact WHERE member_id BETWEEN 63 AND 70 ORDER BY 1;
SELECT count(*) AS firsts, count(*) FILTER (WHERE points <> given) AS differ FROM crm_member.simulate_rules('2026-01-01', '2027-01-01', by => '{sale}');

-- limits: 25 a member and month, 60 in all; what is left is given
DELETE FROM crm_member.points_rule;
INSERT INTO crm_member.points_rule (rule_code, award, points, member_limit, limit_period, budget) VALUES ('l', 'fixed', 10, 25, 'month', 60);
CREATE FUNCTION pg_temp.earned(ref text, member_id bigint, sold_at text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT crm_member.checkout(jsonb_build_object('ref', ref, 'member_id', member_id, 'sold_at', sold_at, 'lines', '[{"price": 1}]'::jsonb))->'points'->'earned'
$$;
SELECT pg_temp.earned('l1', 1, '2026-08-01 00:00') AS ten, pg_temp.earned('l2', 1, '2026-08-15 12:00') AS ten, pg_temp.earned('l3', 1, '2026-08-31 23:59') AS five, pg_temp.earned('l4', 1, '2026-08-20 12:00') AS none;
SELECT pg_temp.earned('l5', 1, '2026-09-01 00:00') AS new_month, pg_temp.earned('l6', 2, '2026-08-01 12:00') AS other_member;
SELECT rule_code, verdict, points, would_have FROM crm_member.explain_points('{"member_id": 1, "sold_at": "2026-08-20 12:00", "lines": [{"price": 1}]}');
INSERT INTO crm_member.sale (member_id, sale_id, ref, sold_at) SELECT 2, g, 'b' || g, ('2026-1' || g || '-01 12:00')::timestamptz FROM generate_series(0, 2) g;
INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price) SELECT 2, g, 1, 1 FROM generate_series(0, 2) g;
SELECT s.ref, e.points FROM crm_member.sale s LEFT JOIN crm_member.points_entry e USING (member_id, sale_id) WHERE s.ref LIKE 'b%' ORDER BY 1;
SELECT member_id, period, points FROM crm_member.points_rule_use ORDER BY 1, 2;

-- a draft over the recorded sales beside what they were given
SELECT rule_code, sum(sales) AS sales, sum(points) AS points, sum(given) AS given
FROM crm_member.simulate_rules('2026-08-01', '2026-09-01', '[{"rule_code": "l", "award": "fixed", "points": 10, "member_limit": 15}, {"rule_code": "new", "award": "per_amount", "points": 3, "condition": "sale.day = 1"}]')
GROUP BY 1 ORDER BY 1;
SELECT rule_code, sum(points) AS points, sum(given) AS given FROM crm_member.simulate_rules('2026-08-01', '2026-09-01') GROUP BY 1 ORDER BY 1;
\set VERBOSITY terse
SELECT * FROM crm_member.simulate_rules('2026-08-01', '2026-09-01', '{}');
SELECT * FROM crm_member.simulate_rules('2026-08-01', '2026-09-01', '[3]');
SELECT * FROM crm_member.simulate_rules('2026-08-01', '2026-09-01', '[{"rule_code": "x", "award": "fixed", "pionts": 3}]');
SELECT * FROM crm_member.simulate_rules('2026-08-01', '2026-09-01', '[{"rule_code": "x", "award": "gift"}]');
SELECT * FROM crm_member.simulate_rules('2026-08-01', '2026-09-01', '[{"rule_code": "x", "award": "per_amount", "points": 1, "per": 0}]');
SELECT * FROM crm_member.simulate_rules('2026-08-01', '2026-09-01', '[{"rule_code": "x", "award": "fixed", "condition": "nonsense"}]');
SELECT * FROM crm_member.verify_ledger();

-- what a rule may not be
\set VERBOSITY sqlstate
INSERT INTO crm_member.points_rule (rule_code, award, points) VALUES ('x', 'gift', 1);
INSERT INTO crm_member.points_rule (rule_code, award, points) VALUES ('x', 'fixed', -1);
INSERT INTO crm_member.points_rule (rule_code, award, points) VALUES ('x', 'fixed', 'NaN');
INSERT INTO crm_member.points_rule (rule_code, award, points) VALUES ('x', 'multiplier', 0.5);
INSERT INTO crm_member.points_rule (rule_code, award) VALUES ('x', 'brackets');
INSERT INTO crm_member.points_rule (rule_code, award, brackets) VALUES ('x', 'brackets', '[]');
INSERT INTO crm_member.points_rule (rule_code, award, brackets) VALUES ('x', 'brackets', '[{"from": 5, "points": 1}, {"from": 5, "points": 2}]');
INSERT INTO crm_member.points_rule (rule_code, award, brackets) VALUES ('x', 'brackets', '[{"form": 5, "points": 1}]');
INSERT INTO crm_member.points_rule (rule_code, award, brackets) VALUES ('x', 'brackets', '{"mode": "steep", "steps": [{"from": 5, "points": 1}]}');
INSERT INTO crm_member.points_rule (rule_code, award, points, per) VALUES ('x', 'per_amount', 1, 0);
INSERT INTO crm_member.points_rule (rule_code, award, points, condition) VALUES ('x', 'fixed', 1, 'sale.amout > 1');
INSERT INTO crm_member.points_rule (rule_code, award, points, points_type) VALUES ('x', 'fixed', 1, 'miles');
INSERT INTO crm_member.points_rule (rule_code, award, points, expiry) VALUES ('x', 'fixed', 1, 'soon');
INSERT INTO crm_member.points_rule (rule_code, award, points, valid_from, valid_to) VALUES ('x', 'fixed', 1, '2026-02-01', '2026-01-01');
DROP TABLE public.failed;

-- a retry is answered as the sale was, rules of several points types in the same order too
INSERT INTO crm_member.points_type (points_type, name, decimals) VALUES ('成长', 'Growth', 1), ('Brand', 'Brand', 2), ('miles', 'Miles', 0);
INSERT INTO crm_member.points_rule (rule_code, award, points, points_type, priority, pending, scope)
SELECT t || n, 'per_amount', 0.5, t, 10 - n, CASE WHEN n % 2 = 0 THEN interval '1 day' END, CASE WHEN n % 3 = 0 THEN 'line' ELSE 'sale' END
FROM generate_series(1, 6) n, unnest(ARRAY['points', '成长', 'Brand', 'miles']) t;
WITH sale AS MATERIALIZED (
  SELECT jsonb_build_object('ref', 'types', 'member_id', crm_member.register_member(source => 'test', external_id => 'types'), 'lines', '[{"price": 3}, {"price": 5}]'::jsonb) AS s
), first AS MATERIALIZED (SELECT s, crm_member.checkout(s) AS a FROM sale)
SELECT a = crm_member.checkout(s) AS same, jsonb_array_length(a->'points'->'rules') AS rules FROM first;
