--
-- Who belongs together without being one; and which pairs need no decision.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;

CREATE SCHEMA match_relation;
SET search_path = match_relation, public;
CREATE TABLE person (id int PRIMARY KEY, name text, mobile text, birthday text);
INSERT INTO person
SELECT i, (ARRAY['王', '李', '张', '刘', '陈'])[1 + i % 5] || chr(20000 + i * 11) || chr(21000 + i * 17),
       '137' || lpad((i * 104729 % 100000000)::text, 8, '0'), (date '1970-01-05' + i * 13)::text
FROM generate_series(1, 300) AS i;
-- forty of them twice; then twenty families: a wife of another family name and a child on one mobile
INSERT INTO person SELECT 1000 + id, name, mobile, CASE WHEN id % 2 = 0 THEN birthday END FROM person WHERE id <= 40;
INSERT INTO person SELECT 2000 + id, '周' || chr(24000 + id * 13) || chr(22000 + id * 7), mobile, (date '1972-03-01' + id * 29)::text FROM person WHERE id BETWEEN 101 AND 120;
INSERT INTO person SELECT 3000 + id, left(name, 1) || chr(23000 + id * 19) || chr(22500 + id * 3), mobile, (date '2001-05-02' + id * 31)::text FROM person WHERE id BETWEEN 101 AND 120;
INSERT INTO crm_member.match_model (model_code, source, key) VALUES ('person', 'person', 'id');
CALL crm_member.find_duplicates('person');
-- everybody twice is found, no family is
SELECT count(*) AS pairs, count(*) FILTER (WHERE left_key::int + 1000 = right_key::int) AS twice FROM crm_member.duplicate_pair WHERE model_code = 'person';
-- the families are relations, every one of the three pairs of each, and nothing else is
SELECT count(*) AS relations, count(*) FILTER (WHERE left_key::int % 1000 = right_key::int % 1000) AS of_one_family,
       count(DISTINCT left_key::int % 1000) AS families, min(probability) >= 0.5 AS likely, array_agg(DISTINCT shared) AS shared
FROM crm_member.match_relation WHERE model_code = 'person';
SELECT count(*) AS both FROM crm_member.match_relation AS r JOIN crm_member.duplicate_cluster AS a ON a.model_code = r.model_code AND a.key = r.left_key
JOIN crm_member.duplicate_cluster AS b ON b.model_code = r.model_code AND b.key = r.right_key AND b.cluster_id = a.cluster_id;
-- a second run replaces them; they go with their model
CALL crm_member.find_duplicates('person');
SELECT count(*) AS relations FROM crm_member.match_relation;

-- what pairs decided automatically make one needs no decision of a person
SELECT count(*) AS undecided FROM crm_member.duplicate_pair AS p
JOIN crm_member.connected_components($$SELECT left_key::int, right_key::int FROM crm_member.duplicate_pair WHERE decision = 'auto'$$) AS a ON a.key = p.left_key::int
JOIN crm_member.connected_components($$SELECT left_key::int, right_key::int FROM crm_member.duplicate_pair WHERE decision = 'auto'$$) AS b
  ON b.key = p.right_key::int AND b.component = a.component
WHERE p.decision = 'review';
DELETE FROM crm_member.match_model WHERE model_code = 'person';
SELECT count(*) AS relations FROM crm_member.match_relation;

-- connected components of any edges
SELECT * FROM crm_member.connected_components('VALUES (5, 4), (1, 2), (4, 3), (7, 7), (2, 1), (9, NULL), (NULL, NULL), (-1, 9)') ORDER BY key;
SELECT * FROM crm_member.connected_components('SELECT 1, 2 WHERE false');
SELECT count(*) FROM crm_member.connected_components(NULL);
-- many keys, of which only the high bits differ, in one chain and out of order
CREATE TABLE edge AS SELECT i::bigint << 16 AS a, (i + 1)::bigint << 16 AS b FROM generate_series(1, 50000) AS i ORDER BY md5(i::text);
SELECT count(*), min(component), max(component) FROM crm_member.connected_components('SELECT a, b FROM edge');
-- the same as by SQL
CREATE TABLE loose AS SELECT (i * 7919 % 1500)::int AS a, (i * 104729 % 1499 + i % 3)::smallint AS b FROM generate_series(1, 900) AS i;
WITH RECURSIVE both_ways AS (SELECT a, b FROM loose UNION SELECT b, a FROM loose),
reach AS (SELECT a AS key, a AS root FROM both_ways UNION SELECT w.b, r.root FROM reach AS r JOIN both_ways AS w ON w.a = r.key),
plain AS (SELECT key, min(root) AS component FROM reach GROUP BY key)
SELECT count(*) AS keys, count(*) FILTER (WHERE plain.component = ours.component) AS same
FROM plain FULL JOIN crm_member.connected_components('SELECT a, b FROM loose') AS ours USING (key);
SELECT crm_member.connected_components('SELECT 1');
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.connected_components('SELECT ''a''::text, 1');
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.connected_components('DELETE FROM edge');
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.connected_components('SELECT 1, 2; SELECT 1, 2');
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.connected_components('SELECT a, b FROM nothing_there');
\echo :LAST_ERROR_SQLSTATE

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA match_relation CASCADE;
