--
-- Automatic promotions: an index finds those that a sale can have, which must be
-- those whose conditions hold, one by one.
--
\getenv tests PG_ABS_SRCDIR
\set zone 'Asia/Shanghai'
\i :tests/sql/include/business.sql
SET search_path = crm_member, public;
SELECT setseed(0.3);

CREATE FUNCTION pg_temp.one_of(VARIADIC choices text[]) RETURNS text
LANGUAGE sql VOLATILE AS $$ SELECT choices[1 + floor(random() * cardinality(choices))::int] $$;

CREATE FUNCTION pg_temp.a_clause(subject text) RETURNS text
LANGUAGE sql VOLATILE AS $$
  SELECT CASE WHEN subject = 'line' THEN pg_temp.one_of(
    format('line.sku = %L', 'A' || floor(random() * 12)), format('line.sku in (%L, %L)', 'A' || floor(random() * 12), 'A' || floor(random() * 12)),
    format('line.category = %L', pg_temp.one_of('a', 'b', 'c')), format('line.category <> %L', pg_temp.one_of('a', 'b')), 'line.brand is null',
    format('line.price between %s and %s', floor(random() * 20), 10 + floor(random() * 20)), format('line.sku like %L', 'A' || floor(random() * 3) || '%'),
    format('line.attr(''color'') = %L', pg_temp.one_of('red', 'blue')), 'not line.category = ''c''', format('line.amount >= %s', floor(random() * 60)),
    format('(line.category = %L or line.quantity > 2)', pg_temp.one_of('a', 'b')))
  ELSE pg_temp.one_of(
    format('sale.store = %L', 'S' || floor(random() * 4)), format('sale.store in (%L, %L)', 'S' || floor(random() * 4), 'S' || floor(random() * 4)),
    format('sale.channel <> %L', pg_temp.one_of('web', 'shop')), format('sale.amount >= %s', floor(random() * 120)), format('sale.weekday in (%s, %s)', 1 + floor(random() * 7), 1 + floor(random() * 7)),
    format('sale.hour < %s', 6 + floor(random() * 18)), 'member.id is null', 'member.gender = ''f''', format('sale.attr(''c'') = %L', pg_temp.one_of('x', 'y')), 'not sale.store = ''S1''')
  END
$$;

CREATE FUNCTION pg_temp.a_condition(subject text) RETURNS condition
LANGUAGE sql VOLATILE AS $$
  SELECT CASE WHEN random() < 0.25 THEN NULL WHEN random() < 0.6 THEN pg_temp.a_clause(subject)
              ELSE pg_temp.a_clause(subject) || pg_temp.one_of(' and ', ' and ', ' or ') || pg_temp.a_clause(subject) END::condition
$$;

CREATE FUNCTION pg_temp.a_sale() RETURNS jsonb
LANGUAGE sql VOLATILE AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object('store', CASE WHEN random() < 0.8 THEN 'S' || floor(random() * 4) END, 'channel', pg_temp.one_of('web', 'shop', NULL),
    'sold_at', to_char(timestamp '2026-03-01' + random() * interval '10 days', 'YYYY-MM-DD HH24:MI:SS'), 'attrs', jsonb_build_object('c', pg_temp.one_of('x', 'y', 'z')),
    'lines', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('line_no', i, 'sku', 'A' || floor(random() * 12), 'category', pg_temp.one_of('a', 'b', 'c', NULL), 'brand', pg_temp.one_of('m', NULL),
      'price', 10 + floor(random() * 20), 'quantity', 1 + floor(random() * 3), 'attrs', jsonb_build_object('color', pg_temp.one_of('red', 'blue', 'green')))))
      FROM generate_series(1, 1 + floor(random() * 4)::int) i)))
$$;

-- what conditions see of it
CREATE FUNCTION pg_temp.facts(sale jsonb, line jsonb) RETURNS jsonb
LANGUAGE sql AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object(
    'sale', jsonb_build_object('store', sale -> 'store', 'channel', sale -> 'channel', 'attrs', sale -> 'attrs',
       'amount', (SELECT sum((l ->> 'price')::numeric * (l ->> 'quantity')::numeric) FROM jsonb_array_elements(sale -> 'lines') l),
       'weekday', extract(isodow FROM (sale ->> 'sold_at')::timestamp), 'hour', extract(hour FROM (sale ->> 'sold_at')::timestamp)),
    'line', (SELECT jsonb_object_agg(k, v) FROM jsonb_each(line) e (k, v) WHERE k IN ('sku', 'category', 'brand', 'price', 'quantity', 'attrs'))
      || jsonb_build_object('amount', (line ->> 'price')::numeric * (line ->> 'quantity')::numeric)))
$$;

INSERT INTO coupon_template (template_code, kind, value, target, automatic, requires, eligible, valid_from, valid_to)
SELECT 'P' || i, 'amount', 0.01, 'order', true, pg_temp.a_condition('sale'), pg_temp.a_condition('line'),
       CASE WHEN random() < 0.3 THEN date '2026-03-01' + floor(random() * 6)::int END, CASE WHEN random() < 0.3 THEN date '2026-03-06' + floor(random() * 6)::int END
FROM generate_series(1, 200) i;

CREATE TEMP TABLE trial AS SELECT n, pg_temp.a_sale() AS sale FROM generate_series(1, 150) n;
WITH applied AS (
  SELECT n, ARRAY(SELECT c ->> 'template_code' FROM jsonb_array_elements(quote(sale) -> 'coupons') c ORDER BY 1) AS codes FROM trial
), expected AS (
  SELECT n, ARRAY(SELECT t.template_code FROM coupon_template t
                  WHERE coalesce((sale ->> 'sold_at')::date >= t.valid_from, true) AND coalesce((sale ->> 'sold_at')::date <= t.valid_to, true)
                    AND (t.requires IS NULL OR condition_matches(t.requires, pg_temp.facts(sale, '{}') - 'line'))
                    AND EXISTS (SELECT FROM jsonb_array_elements(sale -> 'lines') l WHERE t.eligible IS NULL OR condition_matches(t.eligible, pg_temp.facts(sale, l)))
                  ORDER BY 1) AS codes
  FROM trial
)
SELECT count(*) AS sales, min(cardinality(e.codes)) AS fewest, max(cardinality(e.codes)) > 64 AS more_than_64, count(*) FILTER (WHERE a.codes <> e.codes) AS wrong,
       min(n) FILTER (WHERE a.codes <> e.codes) AS first_wrong
FROM applied a JOIN expected e USING (n);

-- of thousands of promotions the few that concern a sale are found, wherever they stand
DELETE FROM coupon_template;
INSERT INTO coupon_template (template_code, kind, value, automatic, eligible)
SELECT 'P' || i, 'percent', 10, true, format('line.sku = %L', 'A' || i)::condition FROM generate_series(1, 2000) i;
SELECT c ->> 'template_code' AS promotion, c -> 'discount' AS discount
FROM jsonb_array_elements(quote('{"lines": [{"sku": "A1999", "price": 10}, {"sku": "A7", "price": 20}, {"sku": "B", "price": 5}]}') -> 'coupons') c;

-- more combinations than are looked at: the answer does not pass for proven
UPDATE coupon_template SET automatic = false, eligible = NULL WHERE template_code IN (SELECT template_code FROM coupon_template ORDER BY template_code LIMIT 300);
SELECT register_member(name => 'Holder', source => 'test', external_id => '1') AS holder \gset
SELECT count(issue_coupon(template_code, :holder, template_code)) FROM coupon_template WHERE NOT automatic;
SELECT discount, payable, proven, bound FROM best_coupons(jsonb_build_object('member_id', :holder, 'lines', '[{"price": 0.10}]'::jsonb));
-- expired ones take no place in the wallet
UPDATE coupon SET valid_to = current_date - 2 WHERE code NOT IN (SELECT code FROM coupon ORDER BY code LIMIT 2);
SELECT discount, payable, proven, bound, cardinality(codes) FROM best_coupons(jsonb_build_object('member_id', :holder, 'lines', '[{"price": 100}]'::jsonb));

-- more promotions than a sale is judged for: those that are applied last are left out, no code that is presented
DELETE FROM coupon;
DELETE FROM coupon_template;
INSERT INTO coupon_template (template_code, kind, value, automatic, priority)
SELECT 'P' || lpad((1100 - i)::text, 4, '0'), 'amount', 0.01, true, i FROM generate_series(1, 1100) i;
INSERT INTO coupon_template (template_code, kind, value, uses, priority) VALUES ('code', 'amount', 5, NULL, -1);
SELECT import_coupon('code', 'code') IS NOT NULL AS imported;
SELECT a ->> 'discount' AS discount, jsonb_array_length(a -> 'coupons') AS applied, a #>> '{coupons,0,template_code}' AS first,
       a #>> '{coupons,1022,template_code}' AS last, a #>> '{coupons,1023,code}' AS then
FROM quote('{"lines": [{"price": 100}], "coupons": ["code"]}') a;
SELECT discount, proven, bound FROM best_coupons('{"lines": [{"price": 100}], "coupons": ["code"]}');
-- all of a thousand on a thousand lines, in their order
DELETE FROM coupon_template WHERE automatic;
INSERT INTO coupon_template (template_code, kind, value, target, automatic, priority, eligible)
SELECT 'P' || i, 'amount', 0.10, 'line', true, i % 7, format('line.sku = %L', 'A' || i)::condition FROM generate_series(1, 1000) i;
SELECT a ->> 'discount' AS discount, jsonb_array_length(a -> 'coupons') AS applied
FROM quote(jsonb_build_object('coupons', '["code"]'::jsonb, 'lines', (SELECT jsonb_agg(jsonb_build_object('sku', 'A' || i, 'price', 1)) FROM generate_series(1, 1000) i))) a;
