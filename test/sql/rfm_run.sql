-- run_rfm(): the scores of the sales, equal to ntile; what a run records.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
DROP SCHEMA IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = public, crm_member;
SELECT setseed(0.5);

SELECT rfm_grid();
CALL run_rfm('2026-01-01');
SELECT count(*) FROM rfm;
SELECT rfm_grid();

-- guests, unsettled sales and sales after the day do not count, shipping is not spent
INSERT INTO sale (member_id, ref, sold_at, shipping, amount, discount, payable, settled_at)
  SELECT (random() * 2000)::int, g, timestamptz '2024-01-01 00:00+08' + random() * 800 * interval '1 day', s,
         a + 5, 5, a + s, CASE WHEN random() < 0.9 THEN now() END
    FROM (SELECT g, (random() * 300)::int / 10.0 AS a, (g % 3) * 1.5 AS s FROM generate_series(1, 15000) g) x;
CREATE FUNCTION expected(as_of date, first_day date DEFAULT '-infinity')
RETURNS TABLE (member_id bigint, recency int, frequency numeric, monetary numeric, score rfm_score) LANGUAGE sql AS $$
  WITH s AS (SELECT s.member_id, (sold_at AT TIME ZONE 'Asia/Shanghai')::date AS day, payable - shipping AS paid
               FROM sale s WHERE settled_at IS NOT NULL AND s.member_id > 0),
  a AS (SELECT s.member_id, as_of - max(day) AS r, count(*)::numeric AS f, sum(paid) AS m
          FROM s WHERE day BETWEEN first_day AND as_of GROUP BY 1)
  SELECT a.member_id, r, f, m, rfm_score(ntile(5) OVER (ORDER BY r DESC, a.member_id), ntile(5) OVER (ORDER BY f, a.member_id),
         ntile(5) OVER (ORDER BY m, a.member_id)) FROM a
$$;
CREATE FUNCTION disagree(as_of date, first_day date DEFAULT '-infinity', model text DEFAULT 'default') RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM (SELECT member_id, recency, frequency, monetary, score FROM rfm WHERE model_code = model) g
    FULL JOIN expected(as_of, first_day) e USING (member_id)
   WHERE (g.recency, g.frequency, g.monetary, g.score) IS DISTINCT FROM (e.recency, e.frequency, e.monetary, e.score)
$$;
CALL run_rfm('2026-01-01');
SELECT disagree('2026-01-01'), count(*) > 1000 AS enough FROM rfm;
-- nothing new: nothing is written
CALL run_rfm('2026-01-01');
-- back in time, and on again after more sales
CALL run_rfm('2025-03-01');
SELECT disagree('2025-03-01');
INSERT INTO sale (member_id, ref, sold_at, payable, settled_at)
  SELECT (random() * 2500)::int, 'n' || g, timestamptz '2024-06-01' + random() * 800 * interval '1 day', 10, now() FROM generate_series(1, 300) g;
UPDATE sale SET settled_at = now() WHERE settled_at IS NULL;
DELETE FROM sale WHERE member_id BETWEEN 100 AND 110;
CALL run_rfm('2026-02-01');
SELECT disagree('2026-02-01');
SELECT model_code, as_of, first_day, bins, members > 0 AS members, changed > 0 AS changed, changed < members AS part,
       finished_at >= started_at AS took, actor = session_user AS actor, array_length(cuts, 1)
  FROM rfm_run ORDER BY finished_at;

-- the same by a parallel worker and this session, each of which collects what it scans
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 1;
UPDATE rfm_state SET definition = 'other';
SET client_min_messages = debug1;
CALL run_rfm('2025-09-01');
RESET client_min_messages;
SELECT disagree('2025-09-01');
-- what it left for later is taken in later
CALL run_rfm('2026-02-01');
SELECT disagree('2026-02-01');
-- of merged members too
INSERT INTO member (member_id) SELECT generate_series(1, 30);
UPDATE member SET status = 'merged', merged_into = member_id % 10 + 1 WHERE member_id BETWEEN 11 AND 30;
CREATE TABLE parallel AS SELECT * FROM rfm WHERE false;
UPDATE rfm_state SET definition = 'other';
CALL run_rfm('2026-02-01');
INSERT INTO parallel SELECT * FROM rfm;
SET max_parallel_workers_per_gather = 0;
UPDATE rfm_state SET definition = 'other';
CALL run_rfm('2026-02-01');
SELECT count(*) AS differ FROM rfm FULL JOIN parallel USING (member_id)
 WHERE (rfm.recency, rfm.frequency, rfm.monetary, rfm.score) IS DISTINCT FROM (parallel.recency, parallel.frequency, parallel.monetary, parallel.score);
SELECT count(*) FROM rfm WHERE member_id BETWEEN 11 AND 30;
UPDATE member SET status = 'active', merged_into = NULL WHERE member_id BETWEEN 11 AND 30;
CALL run_rfm('2026-02-01');
SELECT disagree('2026-02-01');
DROP TABLE parallel;
-- an error of a worker is the run's
SET max_parallel_workers_per_gather = 1;
BEGIN;
INSERT INTO sale (member_id, sale_id, ref, sold_at, payable, settled_at) SELECT 1, g, 'fine' || g, '2025-01-01', 1.005, now() FROM generate_series(1, 9000) g;
UPDATE rfm_state SET definition = 'other';
\set VERBOSITY sqlstate
CALL run_rfm('2026-02-01');
ROLLBACK;
\set VERBOSITY default
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;

-- a second model beside it: a window, ten bands, ties together, fixed cuts
INSERT INTO rfm_model (model_code, name, "window", bins, ties) VALUES ('year', 'One year', '1 year', 10, 'together');
INSERT INTO rfm_model (model_code, name, "window") VALUES ('half', 'Half a year', '6 months');
INSERT INTO rfm_model (model_code, name, bins, method, cuts)
  VALUES ('fixed', 'Fixed', 3, 'thresholds', '{"recency": [30, 200], "frequency": [2, 5.5], "monetary": [50, 100.05]}');
CALL run_rfm('2026-02-01', 'year');
CALL run_rfm('2025-08-31', 'half');
CALL run_rfm('2026-02-01', model => 'fixed');
SELECT disagree('2025-08-31', '2025-03-01', 'half'), disagree('2026-02-01');
SELECT model_code, count(*) > 1000 AS enough, max(r(score)), min(f(score)), max(f(score)) FROM rfm GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM rfm
 WHERE model_code = 'fixed' AND score <> rfm_score(1 + (recency <= 30)::int + (recency <= 200)::int,
   1 + (frequency >= 2)::int + (frequency >= 6)::int, 1 + (monetary >= 50)::int + (monetary >= 100.05)::int);
SELECT count(*) FROM (SELECT frequency FROM rfm WHERE model_code = 'year' GROUP BY 1 HAVING count(DISTINCT f(score)) > 1) apart;
SELECT rfm_grid('fixed');
-- cuts that do not fit the bins are refused when they are written
\set VERBOSITY terse
UPDATE rfm_model SET cuts = '{"recency": [30]}' WHERE model_code = 'fixed';
UPDATE rfm_model SET bins = 4 WHERE model_code = 'fixed';
UPDATE rfm_model SET cuts = '{"recency": 30}' WHERE model_code = 'fixed';
UPDATE rfm_model SET cuts = '{"monetary": [30, "50"]}' WHERE model_code = 'fixed';
UPDATE rfm_model SET cuts = '{}' WHERE model_code = 'fixed';
UPDATE rfm_model SET cuts = '{"recency": [30, 20]}' WHERE model_code = 'fixed';
UPDATE rfm_model SET cuts = '{"recency": [30, 40], "frequency": [2, 2.0]}' WHERE model_code = 'fixed';
UPDATE rfm_model SET cuts = '{"monetary": [10, -20]}' WHERE model_code = 'fixed';
UPDATE rfm_model SET cuts = '{"recency": [30, 40.5]}' WHERE model_code = 'fixed';
UPDATE rfm_model SET cuts = '{"recency": [30, 4000000000]}' WHERE model_code = 'fixed';
UPDATE rfm_model SET cuts = '[1, 2]' WHERE model_code = 'fixed';
UPDATE rfm_model SET cuts = '5' WHERE model_code = 'fixed';
UPDATE rfm_model SET cuts = '{"recency": [30, 200], "frequency": [9, 10], "monetary": [-50, 100.05]}' WHERE model_code = 'fixed' RETURNING cuts;
-- a failed run leaves the scores that were
UPDATE rfm_model SET cuts = '{"monetary": [30, 1e30]}' WHERE model_code = 'fixed';
CALL run_rfm('2026-03-01', 'fixed');
SELECT DISTINCT as_of FROM rfm WHERE model_code = 'fixed';

\set VERBOSITY sqlstate
CALL run_rfm('2026-01-01', 'nosuch');
CALL run_rfm('infinity');
-- amounts finer than money is, or none, and times without a day, whichever way they are read
INSERT INTO rfm_model (model_code, name, frequency_of) VALUES ('days', 'Days', 'days');
INSERT INTO sale (member_id, sale_id, ref, sold_at, payable, settled_at) VALUES (1, 1, 'fine', '2025-01-01', 1.005, now());
CALL run_rfm('2026-02-01');
CALL run_rfm('2026-02-01', 'days');
UPDATE sale SET payable = 'NaN' WHERE sale_id = 1;
CALL run_rfm('2026-02-01');
CALL run_rfm('2026-02-01', 'days');
UPDATE sale SET payable = 5, sold_at = 'infinity' WHERE sale_id = 1;
TRUNCATE rfm_member;
CALL run_rfm('2026-02-01');
CALL run_rfm('2026-02-01', 'days');
UPDATE sale SET sold_at = '2025-01-01' WHERE sale_id = 1;
ALTER TABLE sale RENAME shipping TO postage;
CALL run_rfm('2026-02-01');
ALTER TABLE sale RENAME postage TO shipping;
CALL run_rfm('2026-02-01');
SELECT rfm_grid('nosuch');
SELECT score_member('{1,2,3}', 1, '2025-01-01', 1, 1);
INSERT INTO rfm_model (model_code, name, bins) VALUES ('x', 'x', 11);
INSERT INTO rfm_model (model_code, name, method) VALUES ('x', 'x', 'thresholds');
INSERT INTO rfm_model (model_code, name, "window") VALUES ('x', 'x', '-1 day');
\set VERBOSITY default
CALL run_rfm('2026-01-01', 'nosuch');
DROP FUNCTION disagree, expected;
