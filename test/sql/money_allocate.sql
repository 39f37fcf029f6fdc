-- An amount is shared to the last unit, as each policy is defined.
\set VERBOSITY default
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
RESET client_min_messages;
SET search_path = crm_member, public;

-- one amount, every policy
SELECT p AS policy, allocate(100, '{1,1,1}', p), allocate(-100, '{1,1,1}', p) AS mirrored,
       allocate(0.05, '{1,0,2,1}', p) AS with_zero, allocate(10, '{3,3,0}', p, 0) AS whole
FROM unnest('{largest_remainder,first_lines,last_line,running_delta}'::text[]) AS p;

-- ties go to the earlier line, but a larger remainder goes first
SELECT allocate(0.02, '{1,1,1,1}'), allocate(0.01, '{1,2,2}'), allocate(10.00, '{19.99,5.01,75}');
-- a discount of 20.00 over 33.33 33.33 33.34
SELECT p AS policy, allocate(20, '{33.33,33.33,33.34}', p)
FROM unnest('{largest_remainder,first_lines,last_line,running_delta}'::text[]) AS p;
-- weights with 10 decimals; scales
SELECT allocate(1, '{0.0000000001,0.0000000002}'), allocate(1, '{1,2}', scale => 0),
       allocate(1, '{1,2}', scale => 10), allocate(1.23456, '{1,1}', scale => 5);
-- one line takes all, nothing is shared over nothing
SELECT allocate(7.77, '{5}'), allocate(0, '{}'), allocate(0, '{0,0}'), allocate(0, '{1,2}');
-- the largest amounts
SELECT allocate(92233720368547758.07, '{1,1,1}'), allocate(-92233720368547758.07, '{9e15,9e15}', 'last_line');
SELECT allocate(9223372036854775807, '{9223372036854775807}', 'running_delta', 0);
-- NULL in, NULL out
SELECT allocate(NULL, '{1}') IS NULL AS amount, allocate(1, NULL) IS NULL AS weights,
       allocate(1, '{1}', NULL) IS NULL AS policy, allocate(1, '{1}', scale => NULL) IS NULL AS scale;

-- refused
CREATE FUNCTION pg_temp.try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  state text; message text; detail text; hint text;
BEGIN
  EXECUTE command;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN format('%s %s | %s | %s', state, message, detail, hint);
END $$;
\pset format unaligned
\pset tuples_only on
SELECT c || E'\n  ' || pg_temp.try('SELECT crm_member.allocate(' || c || ')') FROM unnest(ARRAY[
  $$1, '{}'$$, $$1, '{0,0}'$$, $$1, '{1,-1}'$$, $$1, '{1,NULL}'$$, $$1, '{{1},{2}}'$$,
  $$1, '{1}', 'fair'$$, $$1, '{1}', 'last_line', -1$$, $$1, '{1}', 'last_line', 11$$,
  $$1.001, '{1}'$$, $$'NaN', '{1}'$$, $$'Infinity', '{1}'$$, $$'-Infinity', '{1}'$$, $$1, '{NaN}'$$, $$1, '{Infinity}'$$,
  $$1e18, '{1}'$$, $$1e300, '{1}'$$, $$1, '{1e19}'$$, $$1, '{1e18,0.0000000001}'$$, $$1, '{0.00000000001}'$$,
  $$1, '{9e18,9e18}'$$, $$-9223372036854775808, '{1}', 'last_line', 0$$]) AS c;
\pset tuples_only off
\pset format aligned

-- property: every policy equals its definition in exact arithmetic
DO $$ BEGIN PERFORM setseed(0.271828); END $$;
CREATE TEMP TABLE share_case AS
SELECT id, scale, amount * unit AS amount, amount AS units, unit, weights
FROM (SELECT id, scale, ('1e-' || scale)::numeric AS unit,
             trunc((random() - 0.3)::numeric * ('1e' || (random() * 14)::int)::numeric) AS amount,
             ARRAY(SELECT CASE WHEN random() < 0.15 THEN 0
                               ELSE round((random() + 0.01)::numeric * ('1e' || (random() * 6)::int)::numeric, (random() * 4)::int) END
                   FROM generate_series(1, 1 + (random() * 9)::int + 0 * id)) AS weights
      FROM (SELECT id, (random() * 4)::int AS scale FROM generate_series(1, 4000) AS id) AS s) AS g
WHERE (SELECT sum(w) FROM unnest(weights) AS w) > 0;

CREATE TEMP TABLE share_expected AS
WITH line AS (
  SELECT id, scale, units, i, w * 10000 AS w,
         sum(w * 10000) OVER (PARTITION BY id) AS total,
         sum(w * 10000) OVER (PARTITION BY id ORDER BY i) AS running
  FROM share_case, unnest(weights) WITH ORDINALITY AS u(w, i)
), cut AS (
  SELECT *, div(abs(units) * w, total) AS share, mod(abs(units) * w, total) AS rest FROM line
), ranked AS (
  SELECT *,
         abs(units) - sum(share) OVER (PARTITION BY id) AS left_over,
         row_number() OVER (PARTITION BY id ORDER BY rest DESC, i) AS by_rest,
         count(*) FILTER (WHERE w > 0) OVER (PARTITION BY id ORDER BY i) AS from_first,
         count(*) FILTER (WHERE w > 0) OVER (PARTITION BY id ORDER BY i DESC) AS from_last,
         div(2 * abs(units) * running + total, 2 * total) AS rounded
  FROM cut
)
SELECT id, i,
       sign(units) * (share + (by_rest <= left_over)::int) AS largest_remainder,
       sign(units) * (share + (w > 0 AND from_first <= left_over)::int) AS first_lines,
       sign(units) * (share + CASE WHEN w > 0 AND from_last = 1 THEN left_over ELSE 0 END) AS last_line,
       sign(units) * (rounded - lag(rounded, 1, 0) OVER (PARTITION BY id ORDER BY i)) AS running_delta
FROM ranked;
CREATE INDEX ON share_expected (id);
ANALYZE share_expected;

SELECT p AS policy, count(*) > 3500 AS many, count(*) FILTER (WHERE units < 0) > 1000 AS many_negative,
       count(*) FILTER (WHERE shares <> wanted) AS different,
       count(*) FILTER (WHERE (SELECT sum(s) FROM unnest(shares) AS s) <> amount) AS wrong_sum
FROM (SELECT c.*, p, allocate(amount, weights, p, scale) AS shares,
             (SELECT array_agg((to_jsonb(e) ->> p)::numeric * unit ORDER BY i) FROM share_expected AS e WHERE e.id = c.id) AS wanted
      FROM share_case AS c, unnest('{largest_remainder,first_lines,last_line,running_delta}'::text[]) AS p) AS checked
GROUP BY p ORDER BY p;
-- a share is at most one unit from the exact one, save the last line's
SELECT count(*) FILTER (WHERE abs(s * total - amount * w) >= unit * total) AS far
FROM (SELECT c.amount, unit, s, w, sum(w) OVER (PARTITION BY id, p) AS total
      FROM share_case AS c, unnest('{largest_remainder,first_lines,running_delta}'::text[]) AS p,
           unnest(allocate(amount, weights, p, scale), weights) AS u(s, w)) AS x;
