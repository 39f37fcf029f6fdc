--
-- Models: what is read, how fields are declared or guessed, what a run writes,
-- and every way to get it wrong.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;

CREATE SCHEMA match_model;
SET search_path = match_model, public;
CREATE TABLE customer (id int PRIMARY KEY, full_name text, phone text, city text, birthday date, note text);
INSERT INTO customer
SELECT i, '张' || chr(19968 + i * 7) || chr(20100 + i * 13), '139' || lpad((i * 7919 % 100000000)::text, 8, '0'),
       (ARRAY['上海', '北京', '杭州'])[1 + i % 3], date '1970-01-05' + i * 11, 'x'
FROM generate_series(1, 200) AS i;
INSERT INTO customer
SELECT 1000 + id, full_name, '+86 ' || phone, NULL, birthday, 'y' FROM customer WHERE id <= 40;

-- guessed fields: a relation, then a query
INSERT INTO crm_member.match_model (model_code, source, key) VALUES ('guessed', 'customer', 'id');
CALL crm_member.find_duplicates('guessed');
SELECT f ->> 'column' AS column, f ->> 'comparator' AS comparator
FROM crm_member.match_run, jsonb_array_elements(parameters -> 'fields') AS f WHERE model_code = 'guessed';
SELECT decision, count(*), count(*) FILTER (WHERE left_key::int + 1000 = right_key::int) AS true_pairs
FROM crm_member.duplicate_pair WHERE model_code = 'guessed' GROUP BY decision;
SELECT count(*) AS rows, count(DISTINCT cluster_id) AS clusters, bool_and(cluster_id::int = least(key::int, key::int % 1000)) AS least_key
FROM crm_member.duplicate_cluster WHERE model_code = 'guessed';
SELECT jsonb_path_query_array(evidence, '$.fields[*].level') AS levels, evidence ? 'prior' AS prior, evidence ? 'relation' AS relation
FROM crm_member.duplicate_pair WHERE model_code = 'guessed' AND left_key = '7';
-- a second run replaces the first
CALL crm_member.find_duplicates(model => 'guessed');
SELECT count(*) FROM crm_member.duplicate_pair WHERE model_code = 'guessed';
SELECT count(*) AS runs, count(DISTINCT parameters) AS estimates FROM crm_member.match_run WHERE model_code = 'guessed';

-- declared fields; pinned shares are left as they are
INSERT INTO crm_member.match_model (model_code, source, key, fields) VALUES
  ('declared', 'SELECT id, full_name, phone, city FROM customer WHERE id % 2 = 0', 'id',
   '[{"column": "full_name", "comparator": "name"}, "phone",
     {"column": "city", "comparator": "place", "within": "phone", "m": [0.8, 0.1, 0.1], "u": [0.3, 0.1, 0.6]}]');
CALL crm_member.find_duplicates('declared');
SELECT count(*) FROM crm_member.duplicate_pair WHERE model_code = 'declared';
SELECT l ->> 'level' AS level, l ->> 'm' AS m, l ->> 'u' AS u
FROM crm_member.match_run, jsonb_array_elements(parameters -> 'fields') AS f, jsonb_array_elements(f -> 'levels') AS l
WHERE model_code = 'declared' AND f ->> 'column' = 'city';

-- blocks that are too large are split, and what is left out is reported
INSERT INTO crm_member.match_model (model_code, source, key, fields, max_block) VALUES
  ('crowded', 'SELECT i AS id, ''momo'' AS name FROM generate_series(1, 100) AS i', 'id',
   '[{"column": "name", "comparator": "text"}]', 20);
CALL crm_member.find_duplicates('crowded');
SELECT crowded, candidates FROM crm_member.match_run WHERE model_code = 'crowded';

-- nothing to compare
INSERT INTO crm_member.match_model (model_code, source, key, fields) VALUES
  ('empty', 'SELECT 1 AS id, ''a''::text AS name WHERE false', 'id', '["name"]'),
  ('single', 'SELECT 1 AS id, ''a''::text AS name', 'id', '["name"]'),
  ('nulls', 'SELECT i AS id, NULL::text AS name FROM generate_series(1, 5) AS i', 'id', '["name"]');
CALL crm_member.find_duplicates('empty');
CALL crm_member.find_duplicates('single');
CALL crm_member.find_duplicates('nulls');
SELECT model_code, records, candidates, pairs FROM crm_member.match_run WHERE model_code IN ('empty', 'single', 'nulls') ORDER BY 1;
CALL crm_member.find_duplicates();
SELECT model_code, records FROM crm_member.match_run WHERE model_code = 'member';

CALL crm_member.find_duplicates('nobody');
\echo :LAST_ERROR_SQLSTATE
-- what a model may not say
CREATE PROCEDURE try(fields jsonb, source text DEFAULT 'customer', key text DEFAULT 'id') LANGUAGE plpgsql AS $$
DECLARE
  state text; message text; detail text; hint text;
BEGIN
  INSERT INTO crm_member.match_model (model_code, source, key, fields) VALUES ('wrong', source, key, fields);
  CALL crm_member.find_duplicates('wrong');
  RAISE NOTICE 'accepted';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RAISE NOTICE '%: % | % | %', state, message, detail, hint;
END
$$;
CALL try('{"column": "phone"}');
CALL try('[1]');
CALL try('[{"comparator": "name"}]');
CALL try('[{"column": "note"}]');
CALL try('["note"]');
CALL try('[{"column": "phone", "comparator": "soundex"}]');
CALL try('[{"column": "phone", "comparater": "phone"}]');
CALL try('[{"column": "phone", "comparator": 1}]');
CALL try('[{"column": "phone", "comparator": "phone", "within": "fax"}]');
CALL try('[{"column": "phone", "comparator": "phone", "within": "phone"}]');
CALL try('[{"column": "phone", "comparator": "phone", "m": [0.7, 0.1, 0.1, 0.1]}]');
CALL try('[{"column": "phone", "comparator": "phone", "m": [0.7, 0.1, 0.1], "u": [0.1, 0.1, 0.8]}]');
CALL try('[{"column": "phone", "comparator": "phone", "m": [1, 0, 0, 0], "u": [0.1, 0.1, 0.1, 0.7]}]');
CALL try(('[' || repeat('"phone", ', 16) || '"phone"]')::jsonb);
CALL try('["phone", "fax"]');
CALL try(NULL, 'SELECT id, note FROM customer');
CALL try(NULL, 'no_such_table');
CALL try('["phone"]', 'SELECT NULL::int AS id, phone FROM customer');
CALL try('["phone"]', 'SELECT id, phone FROM customer UNION ALL SELECT 7, ''13800000007''');
CALL try('["phone"]', 'SELECT ''甲'' AS id, phone FROM customer WHERE id IN (1, 2)');
SELECT count(*) AS left_behind FROM crm_member.match_run WHERE model_code = 'wrong';
INSERT INTO crm_member.match_model (model_code, source, key, review_threshold, auto_threshold) VALUES ('x', 'customer', 'id', 0.9, 0.8);

-- the source is read with the rights of the caller, what is found is written with the owner's
SET client_min_messages = error;
DROP ROLE IF EXISTS match_clerk;
RESET client_min_messages;
CREATE ROLE match_clerk;
GRANT USAGE ON SCHEMA crm_member, match_model TO match_clerk;
GRANT EXECUTE ON PROCEDURE crm_member.find_duplicates(text) TO match_clerk;
SET ROLE match_clerk;
CALL crm_member.find_duplicates('declared');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT SELECT ON customer TO match_clerk;
SET ROLE match_clerk;
CALL crm_member.find_duplicates('declared');
SELECT current_user = 'match_clerk' AS still_clerk;
SELECT count(*) FROM crm_member.duplicate_pair;
RESET ROLE;
SELECT count(*) FROM crm_member.duplicate_pair WHERE model_code = 'declared';

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA match_model CASCADE;
REVOKE ALL ON SCHEMA crm_member FROM match_clerk;
REVOKE ALL ON PROCEDURE crm_member.find_duplicates(text) FROM match_clerk;
DROP ROLE match_clerk;
DROP EXTENSION crm_member CASCADE;
CREATE EXTENSION crm_member;
RESET client_min_messages;
CALL crm_member.find_duplicates();
\echo :LAST_ERROR_SQLSTATE
