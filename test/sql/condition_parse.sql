-- What a condition may say, how it is printed, and what is said to one that is wrong.
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
RESET client_min_messages;
SET search_path = crm_member, public;
SET timezone = 'Asia/Shanghai';

CREATE TEMP TABLE said (n int GENERATED ALWAYS AS IDENTITY, says text);
INSERT INTO said (says) VALUES
 ('member.tier in (''gold'',''platinum'') and sale.amount >= 100 and line.category = ''shoes'''),
 ('MEMBER.Tier = ''Gold'' AND NOT Member.IS_Birthday Or TRUE'),
 ('((sale.amount>= 1 ))'),
 ('((sale.amount>=1))and((sale.amount<2 or(sale.lines=3)))'),
 ('sale.amount>=1 and (sale.amount<2 and (sale.lines=3 and true))'),
 ('(sale.amount>=1 or sale.amount<2) or (false or sale.lines=3)'),
 ('sale.amount = 1 or sale.amount = 2 and sale.lines = 3'),
 ('not (sale.amount = 1 or sale.amount = 2) and not(not(sale.lines = 3))'),
 ('not sale.amount = 1 and not (sale.lines = 2)'),
 ('sale.amount != 0100.500'),
 ('sale.amount in (3, 1.0, 2.50, 1, -0, 0.00, +7, -7)'),
 ('sale.amount not in (5)'),
 ('sale.store not in (''S2'', ''S10'', ''S1'', '''', ''会员'', ''S1'')'),
 ('sale.amount between 1 and 2 and sale.lines not between -2 and 1.5'),
 ('line.sku like ''A\_1%'' and line.sku not like ''100\%\\%'' and line.brand like ''%'''),
 ('line.brand = ''O''''Neill'' and line.brand <> ''a\b'''),
 ('member.tier is null or member.tier is not null'),
 ('member.is_birthday and member.first_purchase = true and member.birthday_month <> false'),
 ('member.is_birthday = false or member.is_birthday <> true or not member.is_birthday'),
 ('member.tag(''vip'') and not member.tag(''staff'') = true and member.tag(''a'') is not null'),
 ('member.attr(''color'') = ''red'' and sale.attr(''n'') > 3 and line.attr(''x y'') and member.attr(''b'') = false'),
 ('line.attr(''size'') in (42, 41) or line.attr(''size'') in (''L'', ''M'') or line.attr(''It''''s'') is null'),
 ('member.birthday between ''1990-01-01'' and ''2000-02-29'''),
 ('sale.sold_at >= ''2026-01-31'' and sale.sold_at < ''2026-01-31 10:00'''),
 ('sale.sold_at >= ''2026-01-31T10:00:30.250Z'' or sale.sold_at < ''2026-01-31 10:00:00.000001-05:30'''),
 ('sale.sold_at in (''2026-01-31 10:00+08'', ''2026-01-31 02:00+00'', ''2025-12-31'')'),
 ('sale.amount >= 9223372036854775807 or sale.amount <= -9223372036854775808 or sale.amount = 0.0000000001'),
 (E'sale.amount\t>\n1\r\n'),
 ('true'), ('not false or false');
SELECT n, says::condition FROM said ORDER BY n;
-- the canonical text reads back as itself, under any setting
CREATE TEMP TABLE printed AS SELECT n, says::condition AS c, says::condition::text AS t FROM said;
SET timezone = 'America/St_Johns';
SET datestyle = 'SQL, DMY';
SET standard_conforming_strings = off;
SELECT count(*) AS printed, count(*) FILTER (WHERE t::condition <> c OR t::condition::text <> t OR c::text <> t) AS different FROM printed;
RESET standard_conforming_strings;
RESET datestyle;
SET timezone = 'Asia/Shanghai';
-- a time that does not exist, and one that exists twice
SET timezone = 'Europe/Berlin';
SELECT condition 'sale.sold_at in (''2026-03-29 02:30'', ''2026-10-25 02:30'')';
SET timezone = 'Asia/Shanghai';

CREATE FUNCTION pg_temp.try(says text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  state text; message text; detail text; hint text;
BEGIN
  RETURN says::condition;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN format('%s %s | %s | %s', state, message, detail, hint);
END $$;
\pset format unaligned
\pset tuples_only on
SELECT says || E'\n  ' || pg_temp.try(says) FROM unnest(ARRAY[
  '', '  ', 'and', 'sale.amount', 'sale.amount >', 'sale.amount > 1 and', 'sale.amount > 1 or or true', 'sale.amount > 1 sale.lines = 2',
  '(sale.amount > 1', '(sale.amount) > 1', 'sale.amount > 1)', '()', 'not', 'sale.amount is', 'sale.amount is not', 'sale.amount not', 'sale.amount not > 1',
  'sale.amout >= 1', 'Sale.Ammount >= 1', 'amount > 1', 'member.teir = ''gold''', 'membr.tier = ''gold''', 'quite.something = 1', 'sale.tier = 1', 'teir = 1', 'x', 'member = 1',
  'member.atr(''x'') = 1', 'member.attr = 1', 'member.attr(color) = 1', 'member.attr(''color'' = 1', 'sale.tag(''x'')', 'line.tag(''x'')',
  'sale.amount = ''100''', 'sale.store = 5', 'sale.store = true', 'member.is_birthday = 1', 'member.is_birthday > true', 'member.is_birthday in (true)',
  'member.is_birthday between false and true', 'member.tag(''x'') = ''y''', 'member.attr(''x'') in (1, ''a'')', 'member.attr(''x'') between 1 and true',
  'member.attr(''x'') in (true, false)', 'sale.amount = true', 'sale.date = 20260131', 'sale.sold_at > 1',
  'sale.amount = sale.discount', 'sale.amount = null', 'sale.amount = date ''2026-01-01''', 'sale.amount = x', 'sale.amount = -', '100 <= sale.amount',
  'sale.date = ''2026-02-29''', 'sale.date = ''31.01.2026''', 'sale.date = ''today''', 'sale.date = ''2026-01-31 10:00''', 'sale.date = ''2026-1-31''', 'sale.date = ''0000-01-01''',
  'sale.sold_at > ''2026-01-31 25:00''', 'sale.sold_at > ''2026-01-31 10:00:60''', 'sale.sold_at > ''2026-01-31 10:00+16''', 'sale.sold_at > ''2026-01-31 10:00 CET''',
  'sale.sold_at > ''infinity''', 'sale.sold_at > ''9999-12-31 23:00-12''', 'sale.sold_at > ''0001-01-01 00:00+08''', 'sale.sold_at > ''2026-01-31 10:00:00.1234567''', 'sale.sold_at > ''2026-01-31 10:00:00.''',
  'sale.amount > 1e5', 'sale.amount > 1.2.3', 'sale.amount > 1.', 'sale.amount > .5', 'sale.amount > 12abc', 'sale.amount > 0.00000000001', 'sale.amount > 9223372036854775808', 'sale.amount > NaN',
  'sale.amount > - 1', 'sale.amount > --1',
  'sale.store = ''abc', 'sale.store = ''abc'''' and true', 'sale.store = "abc"', 'sale.store like ''abc''', 'sale.store like ''%abc%''', 'sale.store like ''a_c%''', 'sale.store like ''abc\''', 'sale.store like ''abc\%''',
  'sale.store like abc', 'sale.amount like ''1%''', 'sale.amount like 1', 'sale.date like ''2026%''', 'sale.store ilike ''a%''',
  'sale.store in ()', 'sale.store in (''a'',)', 'sale.store in ''a''', 'sale.store in (''a'' ''b'')', 'sale.amount between 1', 'sale.amount between 1 and', 'sale.amount between 1 or 2',
  'sale.amount == 1', 'sale.amount => 1', 'sale.amount =< 1', 'true && false', 'true || false', '!true', 'sale.amount > 1;', 'sale.amount > $1', 'sale.amount > 1 -- x', 'sale.store = ''会员'' and 销售 > 1',
  'sale.store = ''会员'' and sale.amount ≥ 1', 'true = true', 'true and', 'null', 'sale.store = E''a''', 'sale .amount = 1', 'sale.amount.x = 1', '.', 'sale.', 'sale.amount_', repeat('x', 200) || ' = 1', 'sale.store = ' || repeat('y', 100),
  '是' || repeat('好', 100)]) AS says;
\pset tuples_only off
\pset format aligned

-- limits: nesting, size
\set VERBOSITY sqlstate
SELECT length((repeat('(', 100) || 'true' || repeat(')', 100))::condition::text);
SELECT (repeat('(', 101) || 'true' || repeat(')', 101))::condition;
SELECT length((repeat('not ', 100) || 'true')::condition::text);
SELECT (repeat('not ', 101) || 'true')::condition;
SELECT (repeat('not ', 100) || 'member.is_birthday = false')::condition;
SELECT (repeat('(', 1000000))::condition;
SELECT (repeat('not ', 1000000))::condition;
SELECT length(('sale.store in (' || string_agg(quote_literal('S' || g), ',') || ')')::condition::text) FROM generate_series(1, 20000) AS g;
SELECT length(('sale.store in (' || string_agg(quote_literal('S' || g), ',') || ')')::condition::text) FROM generate_series(1, 100000) AS g;
SELECT ('sale.store = ''' || repeat('x', 2000000) || '''')::condition;
SELECT length((string_agg('sale.amount = ' || g, ' or '))::condition::text) FROM generate_series(1, 20000) AS g;
SELECT (string_agg('sale.amount = ' || g, ' or '))::condition FROM generate_series(1, 50000) AS g;
-- deepest alternation of and, or, not
SELECT length(c::text) AS printed, c::text::condition = c AS same
FROM (SELECT (repeat('(true and (false or not ', 33) || 'member.is_birthday' || repeat('))', 33))::condition AS c) AS deep;
\set VERBOSITY default

SELECT * FROM condition_attributes();
