-- Random conditions: what is right prints and reads back as itself and means the
-- same in SQL; what is wrong is refused politely; nothing breaks the server.
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
RESET client_min_messages;
SET search_path = crm_member, public;
SET timezone = 'Asia/Shanghai';
DO $$ BEGIN PERFORM setseed(0.577215); END $$;

CREATE FUNCTION pg_temp.pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT choices[1 + floor(random() * cardinality(choices))::int] $$;

CREATE FUNCTION pg_temp.random_day() RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT pg_temp.pick('0001-01-02', '1990-05-17', '2000-02-29', '2026-01-31', '2026-02-01', '9999-12-30') $$;

CREATE FUNCTION pg_temp.random_value(type text) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT CASE type
     WHEN 'number' THEN pg_temp.pick('0', '1', '-1', '1.5', '2', '3', '10', '100', '99.99', '-0.01', '12.50', '0.0000000001', '0.3333333333', '9223372036854775807', '-9223372036854775808')
     WHEN 'text' THEN pg_temp.pick('', 'a', 'A', 'ab', 'abc', 'b', '会员', '会', 'O''Neill', 'a\b', 'a_b', '100%', '100', '12.50', ' a', E'a\nb', 'é', '{"a": 1}', 'vip', 'Z')
     WHEN 'boolean' THEN pg_temp.pick('true', 'false')
     WHEN 'date' THEN pg_temp.random_day()
     ELSE pg_temp.random_day() || pg_temp.pick('', ' 00:00', 'T10:30', ' 23:59:59.999999', 'T10:30Z', ' 10:30:00.5-03:30') END $$;

CREATE FUNCTION pg_temp.random_literal(type text) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT CASE WHEN type IN ('number', 'boolean') THEN v ELSE '''' || replace(v, '''', '''''') || '''' END FROM pg_temp.random_value(type) AS v $$;

CREATE FUNCTION pg_temp.random_clause() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  operand text; type text; result text;
BEGIN
  IF random() < 0.03 THEN
    RETURN pg_temp.pick('true', 'false');
  END IF;
  SELECT a.attribute, a.type INTO operand, type FROM crm_member.condition_attributes() AS a OFFSET floor(random() * 50)::int LIMIT 1;
  IF operand LIKE '%(''...'')' THEN
    operand := replace(operand, '''...''', pg_temp.random_literal('text'));
    IF type <> 'boolean' THEN
      type := pg_temp.pick('number', 'text', 'boolean');
    END IF;
  END IF;
  IF random() < 0.1 THEN
    RETURN operand || pg_temp.pick(' is null', ' is not null', E'\tIS NOT\nNULL');
  ELSIF type = 'boolean' THEN
    RETURN operand || pg_temp.pick('', '', ' = true', '=false', ' <> true', ' != false');
  ELSIF type = 'text' AND random() < 0.2 THEN
    result := replace(replace(replace(pg_temp.random_value('text'), '\', '\\'), '%', '\%'), '_', '\_') || '%';
    RETURN operand || pg_temp.pick(' like ', ' not like ', ' LIKE') || '''' || replace(result, '''', '''''') || '''';
  ELSIF random() < 0.2 THEN
    RETURN operand || pg_temp.pick(' between ', ' not between ') || pg_temp.random_literal(type) || ' and ' || pg_temp.random_literal(type);
  ELSIF random() < 0.3 THEN
    result := operand || pg_temp.pick(' in (', ' not in (', ' in(') || pg_temp.random_literal(type);
    FOR i IN 1 .. pg_temp.pick('0', '1', '3', '14')::int LOOP
      result := result || pg_temp.pick(',', ', ') || pg_temp.random_literal(type);
    END LOOP;
    RETURN result || ')';
  END IF;
  RETURN operand || pg_temp.pick('=', ' <> ', '!=', ' < ', '<=', ' > ', '>= ') || pg_temp.random_literal(type);
END $$;

CREATE FUNCTION pg_temp.random_condition(depth int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  kind float := random();
BEGIN
  IF depth = 0 OR kind < 0.25 THEN
    RETURN pg_temp.random_clause();
  ELSIF kind < 0.4 THEN
    RETURN pg_temp.pick('not (', 'NOT(') || pg_temp.random_condition(depth - 1) || ')';
  ELSIF kind < 0.5 THEN
    RETURN 'not ' || pg_temp.random_clause();
  ELSIF kind < 0.6 THEN
    RETURN pg_temp.random_condition(depth - 1) || pg_temp.pick(' and ', ' or ', ' AND not ') || pg_temp.random_condition(depth - 1);
  END IF;
  RETURN '(' || pg_temp.random_condition(depth - 1) || pg_temp.pick(') and (', ') or (', ')and(') || pg_temp.random_condition(depth - 1) || ')';
END $$;

-- about a third of the attributes are unknown
CREATE FUNCTION pg_temp.random_facts() RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  result jsonb := '{"member": {}, "sale": {}, "line": {}}';
  a record; subject text; attrs jsonb;
BEGIN
  FOR a IN SELECT split_part(attribute, '.', 1) AS subject, split_part(attribute, '.', 2) AS key, type FROM crm_member.condition_attributes() WHERE attribute NOT LIKE '%(%' LOOP
    CONTINUE WHEN random() < 0.3;
    result := jsonb_set(result, ARRAY[a.subject, a.key],
      CASE WHEN a.type IN ('number', 'boolean') THEN pg_temp.random_value(a.type)::jsonb ELSE to_jsonb(pg_temp.random_value(a.type)) END);
  END LOOP;
  FOREACH subject IN ARRAY ARRAY['member', 'sale', 'line'] LOOP
    CONTINUE WHEN random() < 0.2;
    attrs := '{}';
    FOR i IN 1 .. 25 LOOP
      attrs := jsonb_set(attrs, ARRAY[pg_temp.random_value('text')], CASE floor(random() * 6)::int
        WHEN 0 THEN pg_temp.random_value('number')::jsonb
        WHEN 1 THEN pg_temp.random_value('boolean')::jsonb
        WHEN 2 THEN to_jsonb(pg_temp.random_value('text'))
        WHEN 3 THEN to_jsonb(pg_temp.random_value('number'))
        WHEN 4 THEN pg_temp.pick('null', '[1]', '{"a": 1}', '1e40', '-1e40', '0.00000000011', '-0.00000000009', '99.9900000000000001', '9223372036854775807.5', '0.33333333333333333', '-0.0')::jsonb
        ELSE to_jsonb(pg_temp.pick('+1', '1.', '.5', '1e2', ' 1', '1 ', '-', '', '00001.50', '-0', '1.5000000000001', repeat('9', 40), repeat('9', 41), '0.' || repeat('3', 40), '0.' || repeat('3', 41), 'NaN', '１')) END);
    END LOOP;
    result := jsonb_set(result, ARRAY[subject, 'attrs'], attrs);
  END LOOP;
  IF random() < 0.8 THEN
    result := jsonb_set(result, '{member,tags}', (SELECT coalesce(jsonb_agg(pg_temp.random_value('text')), '[]') FROM generate_series(1, (random() * 5)::int)));
  END IF;
  RETURN result;
END $$;

CREATE TEMP TABLE valid AS SELECT n, pg_temp.random_condition((random() * 4)::int + 0 * n) AS says FROM generate_series(1, 2500) AS n;
CREATE TEMP TABLE parsed AS SELECT n, says, says::condition AS c FROM valid;
CREATE TEMP TABLE facts AS SELECT n, pg_temp.random_facts() AS f FROM generate_series(1, 60) AS n;

-- printing and reading back changes nothing
SELECT count(*) AS conditions, count(*) FILTER (WHERE c::text::condition <> c OR c::text::condition::text <> c::text) AS different FROM parsed;
SET timezone = 'America/New_York';
SELECT count(*) FILTER (WHERE c::text::condition <> c) AS different FROM parsed;
SET timezone = 'Asia/Shanghai';
-- what is equal is written equally
SELECT count(*) FILTER (WHERE (a.c = b.c) <> (a.c::text = b.c::text)) AS different FROM parsed AS a JOIN parsed AS b ON b.n BETWEEN a.n + 1 AND a.n + 40;

-- SQL agrees, row by row, in all three values
CREATE TEMP TABLE verdict (n int, wrong bigint, t bigint, f bigint, u bigint);
DO $$
DECLARE
  p record; columns text[]; query text; v record;
BEGIN
  SELECT array_agg(format('jsonb_to_record(f -> %L) AS %s(%s, attrs jsonb, tags text[])', subject, subject, list) ORDER BY subject) INTO columns
  FROM (SELECT split_part(attribute, '.', 1) AS subject,
               string_agg(split_part(attribute, '.', 2) || ' ' || replace(replace(type, 'number', 'numeric'), 'timestamp', 'timestamptz'), ', ') AS list
        FROM crm_member.condition_attributes() WHERE attribute NOT LIKE '%(%' GROUP BY 1) AS s;
  FOR p IN SELECT * FROM parsed WHERE n <= 600 LOOP
    query := format('SELECT count(*) FILTER (WHERE ours IS DISTINCT FROM theirs) AS wrong, count(*) FILTER (WHERE ours) AS t, count(*) FILTER (WHERE NOT ours) AS f, count(*) FILTER (WHERE ours IS NULL) AS u '
                    'FROM (SELECT crm_member.condition_matches($1, f) AS ours, %s AS theirs FROM facts, %s) AS x', crm_member.condition_sql(p.c), array_to_string(columns, ', '));
    EXECUTE query INTO v USING p.c;
    INSERT INTO verdict VALUES (p.n, v.wrong, v.t, v.f, v.u);
  END LOOP;
END $$;
SELECT count(*) AS conditions, sum(wrong) AS wrong, sum(t) > 5000 AS often_true, sum(f) > 5000 AS often_false, sum(u) > 5000 AS often_unknown FROM verdict;
SELECT says FROM verdict JOIN parsed USING (n) WHERE wrong > 0 ORDER BY length(says) LIMIT 3;

-- an explanation names a clause exactly where there is no match
SELECT count(*) AS explained,
       count(*) FILTER (WHERE e.matched IS DISTINCT FROM condition_matches(c, f) OR (e.clause IS NULL) <> (e.matched IS TRUE)) AS wrong,
       count(*) FILTER (WHERE e.clause IS NOT NULL AND condition_matches(e.clause::condition, f) IS TRUE) AS wrong_clause,
       count(*) FILTER (WHERE strpos(c::text, e.clause) = 0) AS not_in_condition
FROM parsed, facts, condition_explain(c, f) AS e WHERE parsed.n <= 300 AND facts.n <= 30;

-- mutations and token soup: an answer or 22P02 (54000 beyond the limits), never anything else
CREATE FUNCTION pg_temp.outcome(says text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  c crm_member.condition;
BEGIN
  c := says::crm_member.condition;
  IF c::text::crm_member.condition <> c THEN
    RETURN 'changed';
  END IF;
  PERFORM crm_member.condition_matches(c, '{"sale": {"amount": 1}}'), crm_member.condition_sql(c);
  RETURN 'valid';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;

CREATE FUNCTION pg_temp.mutate(says text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  place int := 1 + floor(random() * (length(says) + 1))::int;
  kind int := floor(random() * 5)::int;
  bit text := pg_temp.pick('''', '''''', '(', ')', ',', ' and ', ' or ', ' not ', ' in ', ' is ', 'null', '=', '<', '>', '!', '.', '-', '+', '0', '9', '%', '_', '\', '"', '会', '€', '😀', E'\x01', E'\n', 'true', 'member.', 'attr(', '''x''', '1e9', repeat('(', 120), repeat('9', 30));
BEGIN
  CASE kind
    WHEN 0 THEN RETURN overlay(says PLACING bit FROM place FOR 0);
    WHEN 1 THEN RETURN overlay(says PLACING bit FROM place FOR 1 + floor(random() * 3)::int);
    WHEN 2 THEN RETURN overlay(says PLACING '' FROM place FOR 1 + floor(random() * 6)::int);
    WHEN 3 THEN RETURN left(says, place);
    ELSE RETURN left(says, place) || substr(says, 1 + floor(random() * length(says))::int);
  END CASE;
END $$;

SELECT count(*) AS tried, count(*) FILTER (WHERE outcome = '22P02') > 1000 AS refused, count(*) FILTER (WHERE outcome = 'valid') > 50 AS valid, count(*) FILTER (WHERE outcome NOT IN ('valid', '22P02', '54000')) AS strange
FROM (SELECT pg_temp.outcome(pg_temp.mutate(says)) AS outcome FROM valid, generate_series(1, 3)) AS m;
SELECT count(*) AS tried, count(*) FILTER (WHERE outcome = '22P02') > 1000 AS refused, count(*) FILTER (WHERE outcome NOT IN ('valid', '22P02', '54000')) AS strange
FROM (
  SELECT pg_temp.outcome((SELECT string_agg(pg_temp.pick('sale.amount', 'member.tier', 'member.is_birthday', 'sale.date', 'member.attr', 'member.tag', '(', ')', '(', ')', ',', '=', '<>', '<', '>=', 'in', 'not', 'and', 'or', 'between', 'like', 'is', 'null', 'true', 'false', '1', '-2.5', '''a''', '''a%''', '''2026-01-31''', '('''')', 'x', ';'),
                                        pg_temp.pick(' ', '', ' '))
                          FROM generate_series(1, 1 + n % 12) AS g)) AS outcome
  FROM generate_series(1, 6000) AS n) AS soup;
SELECT count(*) AS tried, count(*) FILTER (WHERE outcome = '22P02') > 1000 AS refused, count(*) FILTER (WHERE outcome NOT IN ('valid', '22P02', '54000')) AS strange
FROM (
  SELECT pg_temp.outcome((SELECT coalesce(string_agg(chr(CASE WHEN random() < 0.7 THEN 32 + floor(random() * 95)::int ELSE 1 + floor(random() * 55000)::int END), ''), '') FROM generate_series(1, n % 40) AS g)) AS outcome
  FROM generate_series(1, 3000) AS n) AS noise;
