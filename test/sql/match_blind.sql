--
-- Matching without the values: keyed hashes and filters of them.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
\set secret '''0123456789abcdef'''

-- one form of a value, one blinded value; another secret or comparator, another
SELECT crm_member.blind_value('phone', '+86 138-1234-5678', :secret) = crm_member.blind_value('phone', '13812345678', :secret) AS same,
       crm_member.blind_value('phone', '13812345678', :secret) = crm_member.blind_value('phone', '13812345678', 'fedcba9876543210') AS other_secret,
       crm_member.blind_value('phone', '13812345678', :secret) = crm_member.blind_value('id', '13812345678', :secret) AS other_comparator,
       crm_member.blind_value('name', '張偉先生', :secret) = crm_member.blind_value('name', '张伟', :secret) AS name,
       crm_member.blind_value('id', '110105491231002', :secret) = crm_member.blind_value('id', '11010519491231002X', :secret) AS id_number,
       crm_member.blind_value('phone', '13812345678', :secret) ~ '^[0-9a-f]{144}$' AS form;
SELECT crm_member.blind_value('phone', '13800138000', :secret) IS NULL AS placeholder, crm_member.blind_value('name', NULL, :secret) IS NULL AS null_value;
SELECT a, b, crm_member.compare_values('blind', crm_member.blind_value(c, a, :secret), crm_member.blind_value(c, b, :secret))
FROM (VALUES ('surname', 'Allen', 'allen'), ('surname', 'Harrington', 'Harringtom'), ('surname', 'Harrington', 'Smith'), ('date', '1990-05-06', '06/05/1990'),
             ('date', '1990-05-06', '1990-05-07'), ('date', '1990-05-06', '1974-11-23'), ('id', '6988048', '6980848'), ('phone', '13812345678', '13812345687'),
             ('address', '12224 ventura blvd.', '12224 Ventura Boulevard'), ('gender', '男', 'M'), ('gender', '男', 'F'), ('number', '12.5', '12.50'), ('number', '12.5', '99')) AS t(c, a, b);

-- the people of febrl1, unseen
CREATE SCHEMA match_blind;
SET search_path = match_blind, public;
\set content `cat "$PG_ABS_SRCDIR/data/match/febrl1.tsv"`
CREATE TABLE febrl1 AS
SELECT l[1]::int AS row, l[12] AS entity,
       crm_member.blind_value('given_name', l[2], :secret) AS given, crm_member.blind_value('surname', l[3], :secret) AS surname,
       crm_member.blind_value('id', l[4], :secret) AS house, crm_member.blind_value('text', l[5], :secret) AS street,
       crm_member.blind_value('text', l[7], :secret) AS suburb, crm_member.blind_value('id', l[8], :secret) AS postcode,
       crm_member.blind_value('date', l[10], :secret) AS born, crm_member.blind_value('id', l[11], :secret) AS number
FROM (SELECT string_to_array(line, E'\t', '') AS l FROM string_to_table(:'content', E'\n') WITH ORDINALITY AS t(line, n) WHERE n > 1 AND line <> '') AS lines;
INSERT INTO crm_member.match_model (model_code, source, key, fields)
SELECT 'unseen', 'febrl1', 'row', jsonb_agg(jsonb_build_object('column', c, 'comparator', 'blind'))
FROM unnest('{given,surname,house,street,suburb,postcode,born,number}'::text[]) AS c;
CALL crm_member.find_duplicates('unseen');
SELECT round(avg((a.entity = b.entity)::int), 2) >= 0.99 AS precise, count(*) FILTER (WHERE a.entity = b.entity) >= 490 AS of_500
FROM crm_member.duplicate_pair AS p JOIN febrl1 AS a ON a.row::text = p.left_key JOIN febrl1 AS b ON b.row::text = p.right_key;

SELECT crm_member.blind_value('nonsense', 'a', :secret);
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.blind_value('blind', 'a', :secret);
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.blind_value('name', 'a', 'short');
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.compare_values('blind', '张伟', '张伟');
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.compare_values('blind', repeat('x', 144), repeat('x', 144));
\echo :LAST_ERROR_SQLSTATE

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA match_blind CASCADE;
