--
-- Real and lifelike data with known duplicates: how well they are found, and
-- that neither the order of the rows nor their keys matter.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;

CREATE SCHEMA match_golden;
SET search_path = match_golden, public;

-- A tab-separated text with a header line, as rows of text arrays.
CREATE FUNCTION lines(content text) RETURNS SETOF text[] LANGUAGE sql AS $$
  SELECT string_to_array(line, E'\t', '') FROM string_to_table(content, E'\n') WITH ORDINALITY AS t(line, n)
  WHERE n > 1 AND line <> '' ORDER BY n
$$;

CREATE TABLE gold (set text, row int, entity text, PRIMARY KEY (set, row));

\set content `cat "$PG_ABS_SRCDIR/data/match/febrl1.tsv"`
CREATE TABLE febrl1 AS
SELECT l[1]::int AS row, l[2] AS given_name, l[3] AS surname, l[4] AS street_number, l[5] AS address_1, l[6] AS address_2,
       l[7] AS suburb, l[8] AS postcode, l[9] AS state, l[10] AS date_of_birth, l[11] AS soc_sec_id, l[12] AS entity
FROM lines(:'content') AS l;
\set content `cat "$PG_ABS_SRCDIR/data/match/restaurant.tsv"`
CREATE TABLE restaurant AS
SELECT l[1]::int AS row, l[2] AS name, l[3] AS address, l[4] AS city, l[5] AS cuisine, l[6] AS entity
FROM lines(:'content') AS l;
\set content `cat "$PG_ABS_SRCDIR/data/match/fake_1000.tsv"`
CREATE TABLE fake_1000 AS
SELECT l[1]::int AS row, l[2] AS first_name, l[3] AS surname, l[4] AS dob, l[5] AS city, l[6] AS email, l[7] AS entity
FROM lines(:'content') AS l;
\set content `cat "$PG_ABS_SRCDIR/data/match/cn_members.tsv"`
CREATE TABLE cn_members AS
SELECT l[1]::int AS row, l[3] AS name, l[4] AS mobile, l[5] AS email, l[6] AS birthday, l[7] AS gender,
       l[8] AS unionid, l[9] AS nickname, l[10] AS address, l[11] AS city, l[12] AS created_at, l[13] AS entity
FROM lines(:'content') AS l;
INSERT INTO gold
SELECT 'febrl1', row, entity FROM febrl1 UNION ALL SELECT 'restaurant', row, entity FROM restaurant
UNION ALL SELECT 'fake_1000', row, entity FROM fake_1000 UNION ALL SELECT 'cn_members', row, entity FROM cn_members;
SELECT set, count(*), count(DISTINCT entity) FROM gold GROUP BY set ORDER BY set;

-- the fields are guessed from the names of the columns; the label is none of them
INSERT INTO crm_member.match_model (model_code, source, key) VALUES
  ('febrl1', 'SELECT row, given_name, surname, street_number, address_1, address_2, suburb, postcode, state, date_of_birth, soc_sec_id FROM febrl1', 'row'),
  ('restaurant', 'SELECT row, name, address, city, cuisine FROM restaurant', 'row'),
  ('fake_1000', 'SELECT row, first_name, surname, dob, city, email FROM fake_1000', 'row'),
  ('cn_members', 'SELECT row, name, mobile, email, birthday, gender, unionid, nickname, address, city FROM cn_members', 'row'),
  ('cn_timed', 'SELECT row, name, mobile, email, birthday, gender, unionid, nickname, address, city, created_at FROM cn_members', 'row');
CALL crm_member.find_duplicates('febrl1');
CALL crm_member.find_duplicates('restaurant');
CALL crm_member.find_duplicates('fake_1000');
CALL crm_member.find_duplicates('cn_members');
CALL crm_member.find_duplicates('cn_timed');
INSERT INTO gold SELECT 'cn_timed', row, entity FROM cn_members;

-- pairs within clusters against pairs within entities
CREATE FUNCTION score(of text, OUT precision_ numeric, OUT recall numeric, OUT f1 numeric) LANGUAGE sql AS $$
  WITH predicted AS (
    SELECT g.entity, coalesce(c.cluster_id, 'alone ' || g.row) AS cluster_id
    FROM gold AS g LEFT JOIN crm_member.duplicate_cluster AS c ON c.model_code = of AND c.key = g.row::text
    WHERE g.set = of
  ), pairs AS (
    SELECT (SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM predicted GROUP BY entity, cluster_id) AS x) AS both_,
           (SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM predicted GROUP BY cluster_id) AS x) AS found,
           (SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM predicted GROUP BY entity) AS x) AS real_
  )
  SELECT round(both_ / found, 3), round(both_ / real_, 3), round(2 * both_ / (found + real_), 3) FROM pairs
$$;
SELECT set, f1 >= floor AS reached, CASE WHEN f1 < floor THEN f1 END AS instead
FROM (VALUES ('febrl1', 0.999), ('restaurant', 0.95), ('fake_1000', 0.972), ('cn_members', 0.968), ('cn_timed', 0.966)) AS t(set, floor), score(set);
-- pairs that may be merged without asking
SELECT of AS set, precision_ >= 0.995 AS precise, recall >= floor AS enough
FROM (VALUES ('febrl1', 0.99), ('restaurant', 0.93), ('fake_1000', 0.75), ('cn_members', 0.77), ('cn_timed', 0.77)) AS t(of, floor),
     LATERAL (SELECT avg((a.entity = b.entity)::int) AS precision_,
                     sum((a.entity = b.entity)::int)::numeric / (SELECT sum(n * (n - 1) / 2) FROM
                       (SELECT count(*) AS n FROM gold WHERE set = of GROUP BY entity) AS x) AS recall
              FROM crm_member.duplicate_pair AS p
              JOIN gold AS a ON a.set = of AND a.row::text = p.left_key
              JOIN gold AS b ON b.set = of AND b.row::text = p.right_key
              WHERE p.model_code = of AND p.decision = 'auto') AS s;

-- every weight is the sum of what the evidence says, to the last digit
SELECT model_code, count(*) > 0 AS some,
       count(*) FILTER (WHERE weight <> (evidence ->> 'prior')::numeric + (evidence ->> 'relation')::numeric +
         (SELECT sum((f ->> 'weight')::numeric + (f ->> 'frequency')::numeric)
          FROM jsonb_array_elements(evidence -> 'fields') AS f)) AS wrong_sum,
       count(*) FILTER (WHERE abs(probability - 1 / (1 + power(2::float8, -weight::float8))::numeric) > 0.0000001) AS wrong_probability
FROM crm_member.duplicate_pair GROUP BY model_code ORDER BY model_code;
SELECT model_code, records, converged, iterations < 200 AS stopped, candidates > pairs AS blocked
FROM crm_member.match_run ORDER BY model_code;

-- the same records in another order, under other keys
CREATE TABLE shuffled AS
SELECT md5(row::text || 'x') AS id, row AS old, name, mobile, email, birthday, gender, unionid, nickname, address, city
FROM cn_members ORDER BY md5(row::text || 'y');
INSERT INTO crm_member.match_model (model_code, source, key, fields)
SELECT 'shuffled', 'shuffled', 'id',
       '["name", "mobile", "email", "birthday", "gender", "unionid", "nickname", "address", "city"]';
CALL crm_member.find_duplicates('shuffled');
SELECT count(*) AS differences FROM (
  (SELECT array_agg(key::int ORDER BY key::int) FROM crm_member.duplicate_cluster WHERE model_code = 'cn_members' GROUP BY cluster_id
   EXCEPT
   SELECT array_agg(s.old ORDER BY s.old) FROM crm_member.duplicate_cluster AS c JOIN shuffled AS s ON s.id = c.key
   WHERE c.model_code = 'shuffled' GROUP BY c.cluster_id)
  UNION ALL
  (SELECT array_agg(s.old ORDER BY s.old) FROM crm_member.duplicate_cluster AS c JOIN shuffled AS s ON s.id = c.key
   WHERE c.model_code = 'shuffled' GROUP BY c.cluster_id
   EXCEPT
   SELECT array_agg(key::int ORDER BY key::int) FROM crm_member.duplicate_cluster WHERE model_code = 'cn_members' GROUP BY cluster_id)) AS d;

-- as a stream of members, one after the other, in three orders; a run in mid-stream leaves no trace
CREATE PROCEDURE replay(salt text) LANGUAGE plpgsql AS $$
DECLARE
  r record;
  n int := 0;
BEGIN
  DELETE FROM crm_member.person;
  DELETE FROM crm_member.member;
  FOR r IN SELECT * FROM cn_members ORDER BY md5(row || salt) LOOP
    n := n + 1;
    INSERT INTO crm_member.member (member_id, attrs)
    VALUES (n * 65536 + 1, jsonb_build_object('row', r.row, 'nickname', r.nickname, 'address', r.address, 'city', r.city));
    INSERT INTO crm_member.person (member_id, name, mobile, email, birthday, gender)
    VALUES (n * 65536 + 1, r.name, r.mobile, r.email, CASE WHEN r.birthday ~ '^(19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}$' THEN r.birthday::date END,
            CASE WHEN r.gender IN ('M', 'F') THEN r.gender END);
    IF n = 1000 THEN
      CALL crm_member.find_duplicates();
    END IF;
  END LOOP;
  CALL crm_member.find_duplicates();
  INSERT INTO replayed
  SELECT salt, array_agg((m.attrs ->> 'row')::int ORDER BY (m.attrs ->> 'row')::int)
  FROM crm_member.duplicate_cluster AS c JOIN crm_member.member AS m ON m.member_id = c.key::bigint
  WHERE c.model_code = 'member' GROUP BY c.cluster_id;
END
$$;
CREATE TABLE replayed (salt text, cluster int[]);
CALL replay('a');
CALL replay('b');
CALL replay('c');
SELECT count(*) > 400 AS many, count(*) FILTER (WHERE times <> 3) AS differences
FROM (SELECT cluster, count(DISTINCT salt) AS times FROM replayed GROUP BY cluster) AS c;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA match_golden CASCADE;
