-- The type rfm_score: text, binary, order, parts.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
DROP SCHEMA IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = public, crm_member;

SELECT '545'::rfm_score, '5-4-5'::rfm_score, '10-4-5'::rfm_score, '1-10-9'::rfm_score, NULL::rfm_score;
SELECT rfm_score(5, 4, 3), rfm_score(10, 1, 10), rfm_score(1, NULL, 1);
SELECT r('10-4-5'), f('10-4-5'), m('10-4-5'), r(NULL);
SELECT typlen, typbyval FROM pg_type WHERE oid = 'crm_member.rfm_score'::regtype;
SELECT rfm_score_send('10-4-5');

-- every score there is goes out and comes back, in text and in binary
CREATE TABLE score AS
  SELECT rfm_score(a, b, c) AS s, a, b, c FROM generate_series(1, 10) a, generate_series(1, 10) b, generate_series(1, 10) c;
SELECT count(*), count(DISTINCT s), count(DISTINCT s::text), bool_and(s::text::rfm_score = s),
       bool_and(r(s) = a AND f(s) = b AND m(s) = c) FROM score;
SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY s) = row_number() OVER (ORDER BY a, b, c) AS same FROM score) o
 WHERE NOT same;
COPY score (s) TO '/dev/null' (FORMAT binary);

-- operators and their indexes
CREATE INDEX ON score (s);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM score WHERE s >= '545' AND s < '10-1-1';
SELECT count(*) FROM score WHERE s >= '545' AND s < '10-1-1';
RESET enable_seqscan;
SELECT count(*) FROM score x JOIN score y USING (s);
SELECT count(*) FROM score WHERE s <> '111' AND s > '111' AND s <= '10-10-10';

\set VERBOSITY sqlstate
SELECT ''::rfm_score;
SELECT '5'::rfm_score;
SELECT '54'::rfm_score;
SELECT '5455'::rfm_score;
SELECT '540'::rfm_score;
SELECT '5-4-11'::rfm_score;
SELECT '5-4-0'::rfm_score;
SELECT '5-4-'::rfm_score;
SELECT '5-4-3-2'::rfm_score;
SELECT '5-4-010'::rfm_score;
SELECT 'a-b-c'::rfm_score;
SELECT '-5-4-3'::rfm_score;
SELECT rfm_score(0, 1, 1);
SELECT rfm_score(1, 11, 1);
SELECT rfm_score(1, 1, -5);
\set VERBOSITY default
SELECT '5x5'::rfm_score;
DROP TABLE score;
