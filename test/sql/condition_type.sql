-- The type among others: equality, order, indexes, binary copy, SQL.
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
RESET client_min_messages;
SET search_path = crm_member, public;
SET timezone = 'Asia/Shanghai';

CREATE TEMP TABLE rule (n int, c condition);
INSERT INTO rule VALUES (1, 'sale.amount >= 100'), (2, '(sale.amount >= 100.00)'), (3, 'sale.amount > 100'), (4, 'sale.store in (''b'', ''a'')'),
  (5, 'sale.store in (''a'',''b'',''a'')'), (6, 'member.is_birthday = true'), (7, 'member.is_birthday'), (8, NULL),
  (9, 'sale.sold_at >= ''2026-01-31 08:00'''), (10, 'sale.sold_at >= ''2026-01-31 00:00Z''');
SELECT c, count(*), min(n) FROM rule GROUP BY c ORDER BY min(n);
SELECT count(*) FROM rule AS a JOIN rule AS b ON a.c = b.c;
SET enable_hashjoin = off;
SELECT count(*) FROM rule AS a JOIN rule AS b ON a.c = b.c;
RESET enable_hashjoin;
SELECT count(*) FILTER (WHERE (a.c < b.c) <> (b.c > a.c)) AS lt, count(*) FILTER (WHERE (a.c <= b.c) = (a.c > b.c)) AS le,
       count(*) FILTER (WHERE (a.c <> b.c) = (a.c = b.c)) AS ne, count(*) FILTER (WHERE (a.c >= b.c) <> (condition_cmp(a.c, b.c) >= 0)) AS ge,
       count(*) FILTER (WHERE a.c = b.c AND (condition_hash(a.c) <> condition_hash(b.c) OR condition_hash_extended(a.c, 5) <> condition_hash_extended(b.c, 5))) AS hash
FROM rule AS a, rule AS b;
CREATE INDEX ON rule (c);
CREATE INDEX ON rule USING hash (c);
SET enable_seqscan = off;
SELECT n FROM rule WHERE c = 'sale.amount >= 100' ORDER BY n;
RESET enable_seqscan;
SELECT DISTINCT pg_typeof(c) FROM rule;

-- stored compressed and out of line, read back the same
CREATE TEMP TABLE long_rule AS
SELECT ('sale.store in (' || string_agg(quote_literal('S' || lpad(g::text, 6, '0')), ',') || ')')::condition AS c FROM generate_series(1, 10000) AS g;
SELECT pg_column_size(c) < length(c::text) AS compressed, condition_matches(c, '{"sale": {"store": "S005000"}}'), condition_matches(c, '{"sale": {"store": "S010001"}}') FROM long_rule;

-- binary: the text, checked again when it comes back
SELECT encode(condition_send('sale.amount >= 100.0'), 'escape');
CREATE TEMP TABLE copied (n int, c condition);
\copy rule TO 'results/condition_type.copy' (FORMAT binary)
\copy copied FROM 'results/condition_type.copy' (FORMAT binary)
SELECT count(*) AS copied, count(*) FILTER (WHERE r.c IS DISTINCT FROM copied.c) AS different FROM rule AS r JOIN copied USING (n);
CREATE TEMP TABLE raw (n int, c text);
INSERT INTO raw VALUES (1, 'sale.amount > ');
\copy raw TO 'results/condition_type.copy' (FORMAT binary)
\copy copied FROM 'results/condition_type.copy' (FORMAT binary)
\! rm results/condition_type.copy

-- as SQL
SELECT condition_sql(c) FROM unnest(ARRAY['sale.amount >= 100 and not (member.tier = ''gold'' or line.sku like ''A\_%'')', 'member.tag(''it''''s'') or member.attr(''a\b'') = ''x''',
  'sale.date between ''2026-01-01'' and ''2026-12-31'' and sale.sold_at >= ''2026-01-31 08:00''', 'line.attr(''n'') in (1, 2) and member.attr(''b'') and sale.attr(''x'') is not null', 'true or member.birthday_month', 'line.brand not in (''O''''Neill'')']::condition[]) AS c;
-- used over tables
SELECT format('SELECT count(*) FROM (VALUES (1, 120.00), (2, 80), (3, NULL)) AS sale(id, amount) WHERE %s', condition_sql('sale.amount >= 100')) AS query \gset
:query;
SELECT condition_sql(NULL) IS NULL;
