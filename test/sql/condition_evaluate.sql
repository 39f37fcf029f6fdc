-- When a condition is true, false or unknown, and why.
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
RESET client_min_messages;
SET search_path = crm_member, public;
SET timezone = 'Asia/Shanghai';

-- three-valued logic: t, f, and member.is_birthday unknown
WITH v(name, says) AS (VALUES ('t', 'true'), ('f', 'false'), ('u', 'member.is_birthday'))
SELECT a.name AS a, b.name AS b,
       condition_matches((a.says || ' and ' || b.says)::condition, '{}') AS "and",
       condition_matches((a.says || ' or ' || b.says)::condition, '{}') AS "or",
       condition_matches(('not ' || a.says)::condition, '{}') AS "not a"
FROM v AS a, v AS b ORDER BY a.name, b.name;

CREATE TEMP TABLE fact AS SELECT jsonb '{
  "member": {"id": 7, "tier": "gold", "tier_rank": 2, "birthday": "1990-05-17", "is_birthday": true, "first_purchase": false, "joined_at": "2026-01-31 10:00+08",
             "attrs": {"color": "red", "n": 12.5, "s": "12.5", "plus": "+3", "bad": "1e3", "vip": true, "no": false, "null": null, "list": [1], "object": {"a": 1},
                       "third": 0.333333333333333333333, "huge": 1e40, "tiny": -0.00000000000000000001, "long": "99999999999999999999.5", "": "empty", "会": "员"},
             "tags": ["vip", "会员", "a b", ""]},
  "sale": {"amount": 87.50, "lines": 3, "store": "S03", "date": "2026-03-01", "sold_at": "2026-03-01T18:30:00Z", "weekday": 7},
  "line": {"sku": "A_1-XL", "category": "鞋", "quantity": -0.5}}' AS f;

CREATE FUNCTION pg_temp.judge(says text[]) RETURNS TABLE (condition text, matches boolean)
LANGUAGE sql AS $$ SELECT s, crm_member.condition_matches(s::crm_member.condition, f) FROM fact, unnest(says) WITH ORDINALITY AS u(s, n) ORDER BY n $$;
\pset format unaligned
\pset tuples_only on
\pset null unknown
-- numbers
SELECT * FROM pg_temp.judge(ARRAY['sale.amount = 87.5', 'sale.amount = 87.4999999999', 'sale.amount <> 87.5', 'sale.amount > 87.5', 'sale.amount >= 87.5', 'sale.amount < 87.5000000001',
  'sale.amount <= 87', 'sale.amount > 9000000000000000000', 'line.quantity = -0.50', 'line.quantity < 0', 'line.quantity > -1', 'sale.amount between 87.5 and 90', 'sale.amount between 90 and 80',
  'sale.amount not between 0 and 87.49', 'sale.lines in (1, 2, 3)', 'sale.lines not in (1, 2)', 'sale.lines in (4)', 'sale.discount = 0', 'sale.discount not in (0)', 'sale.discount is null', 'sale.amount is not null']);
-- texts: bytes, no locale
SELECT * FROM pg_temp.judge(ARRAY['member.tier = ''gold''', 'member.tier = ''Gold''', 'member.tier < ''golde''', 'member.tier > ''Z''', 'member.tier < ''é''', 'line.category = ''鞋''', 'line.category > ''z''',
  'line.sku like ''A\_1%''', 'line.sku like ''A%''', 'line.sku like ''a%''', 'line.sku like ''%''', 'line.sku like ''A\_1-XL%''', 'line.sku like ''A\_1-XLL%''', 'line.sku not like ''B%''', 'line.brand not like ''B%''',
  'sale.store between ''S01'' and ''S05''', 'member.tier in (''silver'', ''gold'')']);
-- long lists are searched by halves
SELECT count(*) FILTER (WHERE condition_matches(('sale.lines in (' || l || ')')::condition, jsonb_build_object('sale', jsonb_build_object('lines', n))) <> (n % 3 = 0)) AS wrong
FROM generate_series(-5, 305) AS n, (SELECT string_agg((3 * g)::text, ',' ORDER BY random()) AS l FROM generate_series(-10, 200) AS g) AS x;
SELECT count(*) FILTER (WHERE condition_matches(('sale.store in (' || l || ')')::condition, jsonb_build_object('sale', jsonb_build_object('store', 'S' || n))) <> (n % 3 = 0)) AS wrong
FROM generate_series(0, 305) AS n, (SELECT string_agg('''S' || 3 * g || '''', ',' ORDER BY random()) AS l FROM generate_series(0, 200) AS g) AS x;
-- booleans, dates, timestamps
SELECT * FROM pg_temp.judge(ARRAY['member.is_birthday', 'not member.is_birthday', 'member.first_purchase', 'member.first_purchase = false', 'member.birthday_month', 'member.birthday_month is null',
  'member.birthday = ''1990-05-17''', 'member.birthday > ''1990-05-17''', 'sale.date between ''2026-02-28'' and ''2026-03-01''', 'sale.sold_at = ''2026-03-02 02:30''', 'sale.sold_at >= ''2026-03-01 18:30:00.000001+00''',
  'sale.sold_at < ''2026-03-02''', 'member.joined_at = ''2026-01-31 02:00Z''', 'sale.weekday = 7']);
-- open attributes take the type of the literal
SELECT * FROM pg_temp.judge(ARRAY['member.attr(''color'') = ''red''', 'member.attr(''color'') > 1', 'member.attr(''color'')', 'member.attr(''n'') = 12.5', 'member.attr(''n'') = ''12.5''', 'member.attr(''s'') = 12.5', 'member.attr(''s'') = ''12.5''',
  'member.attr(''plus'') = 3', 'member.attr(''bad'') = 1000', 'member.attr(''bad'') = ''1e3''', 'member.attr(''vip'')', 'member.attr(''vip'') = false', 'not member.attr(''no'')', 'member.attr(''null'') is null', 'member.attr(''null'') = 1',
  'member.attr(''missing'') is null', 'member.attr(''missing'')', 'member.attr(''list'') is not null', 'member.attr(''list'') = 1', 'member.attr(''object'') = ''a''', 'member.attr(''third'') > 0.3333333333', 'member.attr(''third'') < 0.3333333334',
  'member.attr(''third'') = 0.3333333333', 'member.attr(''huge'') > 9223372036854775807', 'member.attr(''huge'') in (1, 2)', 'member.attr(''tiny'') < 0', 'member.attr(''tiny'') > -0.0000000001', 'member.attr(''long'') > 9223372036854775807',
  'member.attr('''') = ''empty''', 'member.attr(''会'') like ''员%''', 'member.attr(''Color'') = ''red''', 'sale.attr(''color'') = ''red''', 'sale.attr(''color'') is null']);
-- tags
SELECT * FROM pg_temp.judge(ARRAY['member.tag(''vip'')', 'member.tag(''VIP'')', 'member.tag(''会员'')', 'member.tag('''')', 'member.tag(''a b'') and not member.tag(''a'')', 'member.tag(''vip'') is null']);
SELECT condition_matches('member.tag(''vip'')', '{}'), condition_matches('member.tag(''vip'')', '{"member": {"tags": []}}'), condition_matches('member.tag(''vip'') is null', '{"member": {"tags": null}}');
-- null facts are unknown facts; empty attrs
SELECT condition_matches('member.tier = ''x''', '{"member": {"tier": null}}'), condition_matches('member.tier is null', '{"member": null}'), condition_matches('line.attr(''x'') is null', '{"line": {"attrs": {}}}');
SELECT condition_matches(NULL, '{}') IS NULL, condition_matches('true', NULL) IS NULL;

-- why not
CREATE FUNCTION pg_temp.explain(says text[]) RETURNS TABLE (condition text, why text)
LANGUAGE sql AS $$ SELECT s, (SELECT format('%s | %s | %s', coalesce(matched::text, 'unknown'), clause, saw) FROM crm_member.condition_explain(s::crm_member.condition, f)) FROM fact, unnest(says) WITH ORDINALITY AS u(s, n) ORDER BY n $$;
SELECT * FROM pg_temp.explain(ARRAY['sale.amount >= 50 and member.tier = ''gold''', 'sale.amount >= 50 and sale.amount >= 100 and member.tier = ''silver''', 'member.tier = ''gold'' and sale.discount > 1 and sale.amount > 100',
  'sale.amount >= 50 and (member.tier = ''silver'' or member.tag(''staff'') or member.tier = ''platinum'')', 'not (member.is_birthday and sale.lines >= 3)', 'not sale.store like ''S0%''', 'sale.date < ''2026-01-01''', 'sale.sold_at < ''2026-01-01''',
  'member.attr(''color'') in (''blue'', ''green'')', 'member.attr(''color'') > 3', 'member.attr(''list'') = 1', 'member.attr(''vip'') = false', 'member.attr(''third'') > 1', 'sale.attr(''x'')', 'member.tag(''staff'')', 'line.category is null', 'false', 'member.gender = ''F''']);
-- as it was handed over, decimals and all
SELECT * FROM condition_explain('sale.amount in (1, 2) or sale.amount > 100', '{"sale": {"amount": 87.50}}');
SELECT * FROM condition_explain((SELECT string_agg(format('member.attr(''k%s'') = %s', g, g), ' or ') FROM generate_series(1, 20) AS g)::condition, '{}');

-- facts that are none
\set VERBOSITY default
CREATE FUNCTION pg_temp.try(facts text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  state text; message text; detail text; hint text;
BEGIN
  RETURN crm_member.condition_matches('true', facts::jsonb);
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN format('%s %s | %s | %s', state, message, detail, hint);
END $$;
SELECT facts || E'\n  ' || pg_temp.try(facts) FROM unnest(ARRAY['[]', '1', '{"mumber": {}}', '{"member": 1}', '{"member": []}', '{"member": {"teir": "gold"}}', '{"member": {"Tier": "gold"}}', '{"member": {"amount": 1}}',
  '{"sale": {"tags": []}}', '{"member": {"tags": {}}}', '{"member": {"tags": [1]}}', '{"member": {"tags": [null]}}', '{"member": {"tags": ["a", ["b"]]}}', '{"sale": {"attrs": 1}}', '{"sale": {"attrs": []}}', '{"sale": {"amount": "1"}}', '{"sale": {"amount": 1e300}}',
  '{"sale": {"amount": 0.00000000001}}', '{"sale": {"store": 1}}', '{"member": {"is_birthday": "true"}}', '{"sale": {"date": "01.02.2026"}}', '{"sale": {"date": 1}}', '{"sale": {"sold_at": "now"}}', '{"sale": {"sold_at": {}}}', '{"sale": {"attrs": null}, "line": null}', '{"member": {"": 1}}']) AS facts;
