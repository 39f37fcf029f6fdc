-- rfm_from(): equal to ntile and to the definition, on any query.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
DROP SCHEMA IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = public, crm_member;
SELECT setseed(0.25);

-- heavy ties: 3,000 members, few days, few amounts, some negative, some NULL, some in the future
CREATE TABLE purchase AS
  SELECT (random() * 3000)::int - 1500 AS member, date '2025-01-01' + (random() * 40)::int AS day,
         CASE WHEN random() < 0.05 THEN NULL ELSE ((random() * 8)::int - 2) * 2.5 END AS amount
    FROM generate_series(1, 12000);

-- What the scores must be, from their definition alone.
CREATE FUNCTION expected(source text, as_of date, bins int, together boolean)
RETURNS TABLE (member text, recency int, frequency numeric, monetary numeric, score text)
LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE format($q$
    WITH a AS (SELECT q.member AS k, %1$L::date - max(q.day)::date AS r, count(*) AS f, coalesce(sum(q.amount), 0)::numeric AS m
                 FROM (%2$s) q (member, day, amount)
                WHERE q.member IS NOT NULL AND q.day::date <= %1$L::date GROUP BY 1),
    n AS (SELECT *, ntile(%3$s) OVER (ORDER BY r DESC, k) AS nr, ntile(%3$s) OVER (ORDER BY f, k) AS nf,
                 ntile(%3$s) OVER (ORDER BY m, k) AS nm FROM a),
    t AS (SELECT *, min(nr) OVER (PARTITION BY r) AS tr, min(nf) OVER (PARTITION BY f) AS tf,
                 min(nm) OVER (PARTITION BY m) AS tm FROM n)
    SELECT k::text, r, f::numeric, m,
           CASE WHEN %4$L THEN rfm_score(tr, tf, tm) ELSE rfm_score(nr, nf, nm) END::text
      FROM t $q$, as_of, source, bins, together);
END $$;

-- Rows on which the two disagree: none, whatever the bins and the ties.
CREATE FUNCTION disagree(source text, as_of date, bins int, ties text) RETURNS bigint
LANGUAGE sql AS $$
  SELECT count(*) FROM
    (SELECT member, recency, frequency, monetary, score::text FROM rfm_from(source, as_of, bins, ties)) g
    FULL JOIN expected(source, as_of, bins, ties = 'together') e USING (member)
   WHERE (g.recency, g.frequency, g.monetary, g.score) IS DISTINCT FROM (e.recency, e.frequency, e.monetary, e.score)
$$;

SELECT bins, ties, disagree('SELECT member, day, amount FROM purchase', '2025-03-01', bins, ties) AS disagree
  FROM generate_series(2, 10) bins, (VALUES ('split'), ('together')) v (ties) ORDER BY 1, 2;
-- future purchases do not count
SELECT ties, disagree('SELECT member, day, amount FROM purchase', '2025-01-20', 5, ties) AS disagree
  FROM (VALUES ('split'), ('together')) v (ties);
-- members of other types, in the order of their type
SELECT type, disagree(format('SELECT %s, day, amount FROM purchase', type), '2025-03-01', 5, 'split') AS disagree
  FROM (VALUES ('member::bigint'), ('member::smallint'), ('member::text'), ('member::text COLLATE "C"'),
               ('member::numeric'), ('md5(member::text)::uuid'), ('date ''2000-01-01'' + member')) v (type);
-- days and amounts of other types
SELECT day, amount, disagree(format('SELECT member, %s, %s FROM purchase', day, amount), '2025-03-01', 5, 'split') AS disagree
  FROM (VALUES ('day', 'amount::float8'), ('day::timestamp', 'amount::float4'), ('day::timestamp', '(amount * 2)::int'),
               ('day', '(amount * 2)::smallint'), ('day', '(amount * 2)::bigint'), ('day', 'amount / 16'),
               ('day', 'amount * 123456789.125')) v (day, amount);

-- few members
SELECT * FROM rfm_from('SELECT 7, date ''2025-01-01'', 3.10', '2025-01-31');
SELECT * FROM rfm_from('SELECT 7, date ''2025-01-01'', 3.10', '2025-01-31', 10, 'together');
SELECT * FROM rfm_from('SELECT * FROM (VALUES (1, date ''2025-01-01'', 1), (2, ''2025-01-02'', 2), (3, ''2025-01-03'', 3)) v',
  '2025-01-03', 5) ORDER BY member;
SELECT count(*) FROM rfm_from('SELECT member, day, amount FROM purchase WHERE false', '2025-03-01');
SELECT count(*) FROM rfm_from('SELECT member, day, amount FROM purchase', '2024-01-01');
-- rows without member or day are left out, an amount that is missing is a purchase of 0
SELECT * FROM rfm_from('SELECT * FROM (VALUES (1, date ''2025-01-01'', NULL::numeric), (NULL, ''2025-01-02'', 2), (3, NULL, 3)) v',
  '2025-01-03');

-- fixed cuts: up to so many days, from such a frequency, from so much money on
SELECT * FROM rfm_from($$SELECT * FROM (VALUES (1, date '2025-01-31', 99.99), (2, '2025-01-24', 100), (3, '2025-01-23', 100.01),
    (4, '2025-01-01', 500), (5, '2024-12-31', -3), (5, '2024-12-31', 1)) v$$,
  '2025-01-31', 3, 'split', ARRAY[7, 30], ARRAY[1, 1.5], ARRAY[100, 100.005]) ORDER BY member;
-- the same against the definition, one measure fixed and the others not
SELECT count(*) FROM rfm_from('SELECT member, day, amount FROM purchase', '2025-03-01', 5, 'split', NULL, ARRAY[2, 3, 4, 6]) g
  JOIN expected('SELECT member, day, amount FROM purchase', '2025-03-01', 5, false) e USING (member)
 WHERE f(g.score) = 1 + (g.frequency >= 2)::int + (g.frequency >= 3)::int + (g.frequency >= 4)::int + (g.frequency >= 6)::int
   AND r(g.score) = r(e.score::rfm_score) AND m(g.score) = m(e.score::rfm_score);
SELECT count(*) FROM expected('SELECT member, day, amount FROM purchase', '2025-03-01', 5, false);

-- a day is the program's: at 18:00 in London it is tomorrow in Shanghai
SET timezone = 'Europe/London';
SELECT recency FROM rfm_from($$SELECT 1, timestamptz '2025-01-30 18:00', 1$$, '2025-01-31');
SELECT count(*) FROM rfm_from($$SELECT 1, timestamptz '2025-01-31 18:00', 1$$, '2025-01-31');
-- and so through every change of the clocks
UPDATE setting SET time_zone = 'America/New_York';
SELECT count(*) AS moments, count(*) FILTER (WHERE g.recency <> date '2030-01-01' - (at AT TIME ZONE 'America/New_York')::date) AS wrong
  FROM (SELECT i, timestamptz '1969-01-01 00:00Z' + i * interval '37 hours 13 minutes 7.000001 seconds' AS at
          FROM generate_series(0, 14000) i ORDER BY md5(i::text)) s
  JOIN rfm_from($$SELECT i, timestamptz '1969-01-01 00:00Z' + i * interval '37 hours 13 minutes 7.000001 seconds', 1
                  FROM generate_series(0, 14000) i ORDER BY md5(i::text)$$, '2030-01-01') g ON g.member = i::text;
UPDATE setting SET time_zone = 'Asia/Shanghai';
RESET timezone;
-- as_of defaults to today
SELECT recency FROM rfm_from($$SELECT 1, now(), 1$$);

-- it runs as the caller, and only reads
CREATE ROLE regress_rfm_reader;
GRANT USAGE ON SCHEMA crm_member TO regress_rfm_reader;
GRANT SELECT ON crm_member.setting TO regress_rfm_reader;
GRANT EXECUTE ON FUNCTION rfm_from TO regress_rfm_reader;
SET ROLE regress_rfm_reader;
\set VERBOSITY terse
SELECT * FROM rfm_from('SELECT member, day, amount FROM purchase', '2025-03-01');
RESET ROLE;
REVOKE ALL ON SCHEMA crm_member FROM regress_rfm_reader;
REVOKE ALL ON ALL TABLES IN SCHEMA crm_member FROM regress_rfm_reader;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA crm_member FROM regress_rfm_reader;
DROP ROLE regress_rfm_reader;
SELECT * FROM rfm_from('DELETE FROM purchase RETURNING member, day, amount', '2025-03-01');
SELECT * FROM rfm_from('SELECT 1, current_date, 1; SELECT 2, current_date, 1', '2025-03-01');
SELECT count(*) FROM purchase;

\set VERBOSITY sqlstate
SELECT * FROM rfm_from(NULL);
SELECT * FROM rfm_from('');
SELECT * FROM rfm_from('SELECT 1, current_date');
SELECT * FROM rfm_from('SELECT 1, current_date, 1, 1');
SELECT * FROM rfm_from('SELECT 1, ''today''::text, 1');
SELECT * FROM rfm_from('SELECT 1, current_date, true');
SELECT * FROM rfm_from('SELECT point(1,1), current_date, 1');
SELECT * FROM rfm_from('SELECT nonsense');
SELECT * FROM rfm_from('SELECT 1, date ''infinity'', 1');
SELECT * FROM rfm_from('SELECT 1, timestamptz ''-infinity'', 1');
SELECT * FROM rfm_from('SELECT 1, current_date, ''NaN''::numeric');
SELECT * FROM rfm_from('SELECT 1, current_date, ''Infinity''::float8');
SELECT * FROM rfm_from('SELECT 1, current_date, 1e18');
SELECT * FROM rfm_from('SELECT 1, current_date, 0.12345678901');
SELECT * FROM rfm_from('SELECT 1, current_date, 9e16::numeric FROM generate_series(1, 2)');
SELECT * FROM rfm_from('SELECT 1, current_date, 1', 'infinity');
SELECT * FROM rfm_from('SELECT 1, current_date, 1', bins => 1);
SELECT * FROM rfm_from('SELECT 1, current_date, 1', bins => 11);
SELECT * FROM rfm_from('SELECT 1, current_date, 1', ties => 'apart');
SELECT * FROM rfm_from('SELECT 1, current_date, 1', recency_cuts => ARRAY[1, 2]);
SELECT * FROM rfm_from('SELECT 1, current_date, 1', recency_cuts => ARRAY[1, 2, 3, 3]);
SELECT * FROM rfm_from('SELECT 1, current_date, 1', frequency_cuts => ARRAY[1, 2, NULL, 3]);
SELECT * FROM rfm_from('SELECT 1, current_date, 1', frequency_cuts => ARRAY[[1, 2], [3, 4]]);
SELECT * FROM rfm_from('SELECT 1, current_date, 1', monetary_cuts => ARRAY[4, 3, 2, 1]);
SELECT * FROM rfm_from('SELECT 1, current_date, 1', monetary_cuts => ARRAY[1, 2, 3, 'NaN']);
\set VERBOSITY default
SELECT * FROM rfm_from('SELECT 1, current_date, 1', ties => 'apart');
SELECT * FROM rfm_from('SELECT 1, current_date');
DROP FUNCTION disagree, expected;
DROP TABLE purchase;
