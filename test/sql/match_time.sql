--
-- A number that passes from one holder to the next: agreement across a time in
-- which nobody used it counts by itself, in a run and in a search.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET timezone = 'UTC';

CREATE SCHEMA match_time;
SET search_path = match_time, public;

-- 600 people, 200 of them there again some weeks later; 60 numbers went to a stranger after two years
CREATE TABLE customer AS
WITH person AS (
  SELECT i, substr('王李张刘陈杨赵黄周吴', 1 + i * 7 % 10, 1) || chr(20000 + i * 37 % 4000) || chr(21000 + i * 91 % 4000) AS name,
         '138' || lpad((i * 7919 % 100000000)::text, 8, '0') AS phone, date '2015-01-01' + i AS day
  FROM generate_series(1, 600) AS i)
SELECT i AS id, name, phone, (day + time '09:30')::timestamptz AS created_at FROM person
UNION ALL SELECT 1000 + i, name, phone, day + 20 + i % 40 FROM person WHERE i <= 200
UNION ALL SELECT 2000 + i, substr('孙胡朱高林', 1 + i % 5, 1) || chr(24000 + i * 53 % 3000) || chr(25000 + i * 17 % 3000), phone, day + 730 FROM person WHERE i BETWEEN 301 AND 360;
INSERT INTO crm_member.match_model (model_code, source, key) VALUES
  ('timed', 'customer', 'id'), ('untimed', 'SELECT id, name, phone FROM customer', 'id');
-- who says nothing but the number: soon after, and after years
INSERT INTO customer VALUES (3001, NULL, '138' || lpad((401 * 7919 % 100000000)::text, 8, '0'), date '2015-01-01' + 401 + 30),
                            (3002, NULL, '138' || lpad((402 * 7919 % 100000000)::text, 8, '0'), date '2015-01-01' + 402 + 1500);
CALL crm_member.find_duplicates('timed');
CALL crm_member.find_duplicates('untimed');
SELECT model_code, count(*) FILTER (WHERE right_key::int BETWEEN 1001 AND 1200) AS again,
       count(*) FILTER (WHERE right_key::int BETWEEN 2001 AND 2600) AS strangers,
       count(*) FILTER (WHERE right_key = '3001') AS soon, count(*) FILTER (WHERE right_key = '3002') AS years_later
FROM crm_member.duplicate_pair GROUP BY model_code ORDER BY model_code;
-- what the number is worth: soon, and after years
SELECT l ->> 'level' AS level, round(log(2, (l ->> 'm')::numeric / (l ->> 'u')::numeric)) AS bits
FROM crm_member.match_run, jsonb_array_elements(parameters -> 'fields') AS f, jsonb_array_elements(f -> 'levels') AS l
WHERE model_code = 'timed' AND f ->> 'comparator' = 'phone_over_time' AND l ->> 'level' IN ('equal', 'equal_long_after');
SELECT f ->> 'comparator' AS comparator, f ->> 'level' AS level FROM crm_member.duplicate_pair AS p, jsonb_array_elements(p.evidence -> 'fields') AS f
WHERE model_code = 'timed' AND right_key = '1001';
SELECT count(*) FILTER (WHERE weight <> (evidence ->> 'prior')::numeric + (evidence ->> 'relation')::numeric +
         (SELECT sum((f ->> 'weight')::numeric + (f ->> 'frequency')::numeric)
          FROM jsonb_array_elements(evidence -> 'fields') AS f)) AS wrong_sum
FROM crm_member.duplicate_pair;

-- the levels, with every share given; a row without a time is of every time
CREATE TABLE card (id int, card text, day date, last date);
INSERT INTO card VALUES (1, '880012345', '2020-01-01', '2020-06-30'), (2, '880012345', '2020-09-01', NULL), (3, '880012345', '2020-12-31', NULL),
                        (4, '880012345', NULL, '2023-12-31'), (5, '880012345', NULL, NULL);
CREATE FUNCTION levels() RETURNS TABLE (pair text, level text) LANGUAGE sql AS $$
  SELECT left_key || '-' || right_key, evidence #>> '{fields,0,level}' FROM crm_member.duplicate_pair WHERE model_code = 'card' ORDER BY 1 $$;
INSERT INTO crm_member.match_model (model_code, source, key, review_threshold, fields) VALUES ('card', 'card', 'id', 0.0001, '[
  {"column": "card", "comparator": "id", "seen": "day", "until": "last", "m": [0.3, 0.3, 0.2, 0.1, 0.1], "u": [0.01, 0.01, 0.01, 0.01, 0.96]}]');
CALL crm_member.find_duplicates('card');
SELECT * FROM levels();
UPDATE crm_member.match_model SET idle_days = 30 WHERE model_code = 'card';
CALL crm_member.find_duplicates('card');
SELECT * FROM levels();

-- search before create: the candidate is here now
INSERT INTO crm_member.member (member_id, joined_at) VALUES (65537, '2015-03-01'), (131073, now() - interval '10 days');
INSERT INTO crm_member.person (member_id, name, mobile) VALUES (65537, '李青云', '13900001111'), (131073, '高远', '13900002222');
SELECT m.member_id, f ->> 'level' AS level FROM crm_member.match_member('{"mobile": "13900001111"}') AS m, jsonb_array_elements(m.evidence -> 'fields') AS f WHERE f ->> 'level' <> 'different'
UNION ALL
SELECT m.member_id, f ->> 'level' FROM crm_member.match_member('{"mobile": "+86 13900002222"}') AS m, jsonb_array_elements(m.evidence -> 'fields') AS f WHERE f ->> 'level' <> 'different';
-- a sale says that the number was in use; so does binding it later than the registration
INSERT INTO crm_member.sale (member_id, sold_at, settled_at, payable, amount, discount, ref) VALUES (65537, now() - interval '3 days', now(), 0, 0, 0, 'T1');
SELECT mobile_since, now() - mobile_until < interval '4 days' AS lately FROM crm_member.match_record WHERE member_id = 65537;
SELECT f ->> 'level' AS level FROM crm_member.match_member('{"mobile": "13900001111"}') AS m, jsonb_array_elements(m.evidence -> 'fields') AS f WHERE f ->> 'level' <> 'different';

-- bad options
CREATE PROCEDURE try(fields jsonb) LANGUAGE plpgsql AS $$
DECLARE
  hint text;
BEGIN
  INSERT INTO crm_member.match_model (model_code, source, key, fields) VALUES ('wrong', 'card', 'id', fields);
  CALL crm_member.find_duplicates('wrong');
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RAISE NOTICE '%: % | %', SQLSTATE, SQLERRM, hint;
END
$$;
CALL try('[{"column": "card", "comparator": "email", "seen": "day"}]');
CALL try('[{"column": "card", "comparator": "id", "until": "last"}]');
CALL try('[{"column": "card", "comparator": "id", "seen": "never"}]');
CALL try('[{"column": "card", "comparator": "id", "seen": 1}]');
CALL try('["card", "created_at"]');
UPDATE crm_member.match_model SET idle_days = 0 WHERE model_code = 'card';
\echo :LAST_ERROR_SQLSTATE

-- the comparator may be named as it is called in a run
INSERT INTO crm_member.match_model (model_code, source, key, fields) VALUES
  ('named', 'customer', 'id', '[{"column": "name"}, {"column": "phone", "comparator": "phone_over_time", "seen": "created_at"}]'),
  ('implied', 'customer', 'id', '[{"column": "name"}, {"column": "phone", "comparator": "phone", "seen": "created_at"}]');
CALL crm_member.find_duplicates('named');
CALL crm_member.find_duplicates('implied');
SELECT count(*) > 100 AS many, bool_and(n.weight IS NOT DISTINCT FROM i.weight) AS alike
FROM (SELECT * FROM crm_member.duplicate_pair WHERE model_code = 'named') n
FULL JOIN (SELECT * FROM crm_member.duplicate_pair WHERE model_code = 'implied') i USING (left_key, right_key);

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA match_time CASCADE;
