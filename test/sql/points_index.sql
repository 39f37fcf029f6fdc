--
-- The index over rules leaves out only what cannot match: with it, random sales
-- earn what they earn when every rule is judged.
--
\getenv tests PG_ABS_SRCDIR
\set zone 'Asia/Shanghai'
\i :tests/sql/include/business.sql
SELECT setseed(0.5);
INSERT INTO crm_member.tier VALUES ('t1', 'T1', 1), ('t2', 'T2', 2), ('t3', 'T3', 3);
INSERT INTO crm_member.member (member_id, store, kind, channel, tags, attrs, joined_at)
SELECT g, 's' || g % 5, CASE g % 2 WHEN 0 THEN 'consumer' ELSE 'dealer' END, NULL, (ARRAY['{}', '{vip}', '{vip,staff}', '{other,staff}'])[1 + g % 4]::text[], jsonb_build_object('size', g % 3), '2026-01-01 00:00+08'::timestamptz + g * interval '2 days' FROM generate_series(1, 20) g;
INSERT INTO crm_member.person (member_id, birthday, gender) SELECT g, '1990-01-01'::date + g * 37, CASE g % 3 WHEN 0 THEN 'F' WHEN 1 THEN 'M' END FROM generate_series(1, 17) g;
INSERT INTO crm_member.member_tier (member_id, tier_code) SELECT g, 't' || 1 + g % 3 FROM generate_series(1, 15) g;

CREATE FUNCTION pg_temp.pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT choices[1 + floor(random() * array_length(choices, 1))::int] $$;
CREATE FUNCTION pg_temp.clause() RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT pg_temp.pick(
    'line.category = ''' || pg_temp.pick('c1', 'c2', 'c3') || '''',
    'line.sku in (''k' || floor(random() * 9) || ''', ''k' || floor(random() * 9) || ''')',
    'not line.brand = ''b1''', 'line.brand is null', 'line.quantity = 2.0', 'line.attr(''x'') = 1',
    'sale.store = ''' || pg_temp.pick('s1', 's2') || '''', 'sale.store in (''s1'', ''s3'', ''s4'')', 'sale.store not in (''s1'')',
    'sale.weekday in (6, 7)', 'sale.weekday = ' || 1 + floor(random() * 7), 'sale.amount >= ' || floor(random() * 60),
    'member.tier = ''' || pg_temp.pick('t1', 't2', 't3') || '''', 'member.tier is null', 'member.kind = ''dealer''',
    'sale.hour between 9 and 17', 'sale.channel = ''web''',
    -- every kind of clause over every type
    'sale.hour not between ' || floor(random() * 12) || ' and ' || floor(random() * 24), 'sale.amount between ' || floor(random() * 40) || ' and ' || floor(random() * 60), 'sale.amount = 17.50', 'sale.amount <> 20', 'not sale.amount < 33.333',
    'sale.date >= ''2026-03-' || 10 + floor(random() * 20) || '''', 'sale.date in (''2026-03-01'', ''2026-03-02'', ''2026-04-' || 10 + floor(random() * 20) || ''')', 'sale.sold_at < ''2026-03-' || 10 + floor(random() * 20) || ' 12:00+08''',
    'sale.sold_at between ''2026-03-01 00:00+08'' and ''2026-03-20 12:00+08''', 'member.tag(''vip'')', 'member.tag(''staff'') and member.tag(''vip'')', 'not member.tag(''staff'')', 'member.tag(''nobody'')', 'member.attr(''size'') >= 1',
    'member.is_birthday', 'not member.birthday_month', 'member.birthday_month = true', 'member.birthday is not null', 'member.gender <> ''F''', 'not member.gender is null', 'member.age > ' || 30 + floor(random() * 8), 'member.first_purchase',
    'line.sku >= ''k' || floor(random() * 9) || '''', 'line.sku between ''k1'' and ''k5''', 'line.sku like ''k1%''', 'line.brand is not null', 'line.category not in (''c1'', ''c9'')', 'line.category <> ''c2''', 'line.price <= ' || floor(random() * 20),
    'line.amount > 5 and line.amount <= ' || 5 + floor(random() * 40), 'line.quantity in (1, 3.0, 7)', 'line.payable >= 10', 'line.tax_rate is null', 'sale.quantity > ' || floor(random() * 9) || '.5', 'sale.lines in (2, 4)', 'sale.discount = 0',
    'sale.store like ''s%''', 'not sale.store in (''s2'', ''s4'')', 'sale.attr(''k'') is null', 'member.days_since_join < ' || floor(random() * 90), 'member.id in (3, 5, 8, 13)', 'true', 'false')
$$;
CREATE FUNCTION pg_temp.condition() RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT pg_temp.pick(pg_temp.clause(), pg_temp.clause() || ' and ' || pg_temp.clause(), pg_temp.clause() || ' and ' || pg_temp.clause() || ' and ' || pg_temp.clause(),
                      pg_temp.clause() || ' or ' || pg_temp.clause(), '(' || pg_temp.clause() || ' or ' || pg_temp.clause() || ') and ' || pg_temp.clause(), 'not (' || pg_temp.clause() || ')', NULL)
$$;
INSERT INTO crm_member.points_rule (rule_code, priority, scope, condition, award, points, valid_from, valid_to, stack_group, stackable)
SELECT 'r' || g, floor(random() * 5), pg_temp.pick('sale', 'line'), pg_temp.condition()::crm_member.condition,
       pg_temp.pick('fixed', 'per_amount', 'per_unit', 'multiplier'), 1 + floor(random() * 4) / 2,
       CASE WHEN random() < 0.3 THEN '2026-03-01 00:00+08'::timestamptz + floor(random() * 60) * interval '12 hours' END,
       CASE WHEN random() < 0.3 THEN '2026-04-01 00:00+08'::timestamptz + floor(random() * 60) * interval '12 hours' END,
       CASE WHEN random() < 0.2 THEN pg_temp.pick('g1', 'g2', 'g3') END, random() < 0.99
FROM generate_series(1, 400) g;

CREATE TABLE public.basket AS
SELECT n, jsonb_strip_nulls(jsonb_build_object('member_id', 1 + floor(random() * 20)::int, 'sold_at', '2026-02-15 00:00'::timestamp + floor(random() * 10000) * interval '10 minutes',
         'store', pg_temp.pick('s1', 's2', 's3', 's4', NULL), 'channel', pg_temp.pick('web', 'store'), 'lines',
         (SELECT jsonb_agg(jsonb_build_object('price', round((random() * 20 + l * 0)::numeric, 2), 'quantity', 1 + floor(random() * 3), 'category', pg_temp.pick('c1', 'c2', 'c4'),
                   'sku', 'k' || floor(random() * 12), 'brand', pg_temp.pick('b1', 'b2', NULL), 'attrs', jsonb_build_object('x', floor(random() * 2))))
            FROM generate_series(1, 1 + n % 5) l))) AS sale
FROM generate_series(1, 400) n;

WITH indexed AS (
  SELECT b.n, e.rule_code, e.line_no, e.points FROM public.basket b, crm_member.evaluate_points(b.sale) e
), judged AS (
  SELECT b.n, e.rule_code, e.line_no, e.points FROM public.basket b, crm_member.explain_points(b.sale) e WHERE e.points > 0
)
SELECT (SELECT count(*) > 5000 FROM judged) AS much_was_given, (SELECT count(DISTINCT rule_code) > 100 FROM judged) AS by_many_rules,
       (SELECT count(*) FROM (TABLE indexed EXCEPT ALL TABLE judged) x) AS too_much, (SELECT count(*) FROM (TABLE judged EXCEPT ALL TABLE indexed) x) AS too_little;

-- every rule is explained for every sale: one row, or one a line
SELECT count(*) AS missing FROM public.basket b CROSS JOIN crm_member.points_rule r
WHERE NOT EXISTS (SELECT FROM crm_member.explain_points(b.sale) e WHERE e.rule_code = r.rule_code) AND b.n <= 20;

-- why not: the clause and the value it saw
SELECT DISTINCT verdict, clause IS NOT NULL AS has_clause, displaced_by IS NOT NULL AS has_displacer FROM public.basket b, crm_member.explain_points(b.sale) e ORDER BY 1, 2, 3;
DROP TABLE public.basket;

-- rules of extreme size: lists of 30,000 articles, a thousand alternatives, conditions as deep as they may be
DELETE FROM crm_member.points_rule;
INSERT INTO crm_member.points_rule (rule_code, award, points, condition)
SELECT 'in' || r, 'fixed', 1, ('line.sku in (' || (SELECT string_agg('''sku' || g || '''', ', ') FROM generate_series(r, 90000, 3) g) || ')')::crm_member.condition FROM generate_series(1, 3) r
UNION ALL SELECT 'not in', 'fixed', 1, ('line.sku not in (' || (SELECT string_agg('''sku' || g || '''', ', ') FROM generate_series(1, 30000) g) || ')')::crm_member.condition
UNION ALL SELECT 'numbers', 'fixed', 1, ('member.id in (' || (SELECT string_agg((g * 0.5)::text, ', ') FROM generate_series(1, 30000) g) || ')')::crm_member.condition
UNION ALL SELECT 'or', 'fixed', 1, (SELECT string_agg(format('line.price = %s.25', g), ' or ') FROM generate_series(1, 1000) g)::crm_member.condition
UNION ALL SELECT 'and', 'fixed', 1, (SELECT string_agg(format('line.price <> %s', g), ' and ') FROM generate_series(1, 1000) g)::crm_member.condition
UNION ALL SELECT 'deep', 'fixed', 1, (repeat('not (', 49) || 'line.price >= 7 and line.price < 8' || repeat(')', 49))::crm_member.condition
UNION ALL SELECT 'wild', 'fixed', 1, 'line.sku = ''%'' or line.sku like ''sku4%'' and line.sku <> ''sku40'''::crm_member.condition
UNION ALL SELECT 'never', 'fixed', 1, 'sale.amount > 10 and sale.amount < 5'::crm_member.condition
UNION ALL SELECT 'contradiction', 'fixed', 1, 'line.sku in (''sku1'', ''sku2'') and line.sku = ''sku3'''::crm_member.condition
UNION ALL SELECT 'backwards', 'fixed', 1, 'line.price between 9 and 3'::crm_member.condition;
CREATE FUNCTION pg_temp.who(sku text, price numeric) RETURNS TABLE (indexed text, judged text) LANGUAGE sql AS $$
  WITH sale AS (SELECT jsonb_build_object('member_id', 1, 'lines', jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('sku', sku, 'price', price)))) AS s)
  SELECT (SELECT string_agg(e.rule_code, ' ' ORDER BY e.rule_code COLLATE "C") FROM sale, crm_member.evaluate_points(s) e),
         (SELECT string_agg(e.rule_code, ' ' ORDER BY e.rule_code COLLATE "C") FROM sale, crm_member.explain_points(s) e WHERE e.verdict = 'matched')
$$;
SELECT sku, price, w.* FROM (VALUES ('sku1', 7.00), ('sku2', 7.25), ('sku90000', 8), ('sku90001', 1000.25), ('sku40', 3), ('sku41', 1001), (NULL, 6.99), ('other', 7.99), ('%', 0)) v (sku, price), pg_temp.who(sku, price) w;

-- edits are seen at the next statement, also by a prepared one; what is rolled back leaves no trace
DELETE FROM crm_member.points_rule;
INSERT INTO crm_member.points_rule (rule_code, award, points) VALUES ('a', 'fixed', 1);
PREPARE given AS SELECT coalesce(sum(points), 0) AS given FROM crm_member.evaluate_points('{"member_id": 1, "lines": [{"price": 1}]}');
EXECUTE given;
BEGIN;
UPDATE crm_member.points_rule SET points = 10;
EXECUTE given;
SAVEPOINT s;
INSERT INTO crm_member.points_rule (rule_code, award, points) VALUES ('b', 'fixed', 100);
EXECUTE given;
ROLLBACK TO s;
EXECUTE given;
TRUNCATE crm_member.points_rule;
EXECUTE given;
ROLLBACK;
EXECUTE given;
\set VERBOSITY sqlstate
UPDATE crm_member.points_rule SET points = 2, name = NULL, condition = NULL, brackets = NULL, valid_from = NULL, stack_group = NULL, expiry = NULL, max_points = NULL;
UPDATE crm_member.points_rule SET points = 2, condition = NULL, brackets = NULL, valid_from = NULL, stack_group = NULL, expiry = NULL, max_points = NULL;
EXECUTE given;
EXECUTE given;
EXECUTE given;
EXECUTE given;
EXECUTE given;
UPDATE crm_member.points_rule SET active = false;
EXECUTE given;
