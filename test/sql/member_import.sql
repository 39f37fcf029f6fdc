--
-- Importing members: every good row is in, every bad row is reported.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = crm_member, public;

INSERT INTO tier VALUES ('gold', 'Gold', 2);
SELECT create_cards('standard', 10, 'K', 1, 3) AS cards;
CREATE SCHEMA legacy;
CREATE TABLE legacy.customer (
  source text, external_id text, name text, mobile text, email text, birthday text, gender text,
  tier text, joined_at text, card_no text, card_type text, attrs jsonb, ref text);
INSERT INTO legacy.customer VALUES
  ('erp', '1', '甲', '138 0000 0001', 'a@shop.cn', '1990-1-2', '男', 'gold', '2015/03/04 05:06:07', 'K001', NULL, '{"vip": true}', NULL),
  ('erp', '2', '乙', '13800000001', NULL, '1990年12月31日', '女', '', NULL, NULL, NULL, NULL, NULL),
  ('erp', '3', '丙', 'unknown', NULL, '19901231', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('erp', '4', '丁', '13800000004', NULL, '1990-02-30', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('erp', '5', '戊', '13800000005', NULL, NULL, NULL, 'bronze', NULL, NULL, NULL, NULL, NULL),
  ('erp', '6', '己', '13800000006', NULL, NULL, NULL, NULL, NULL, 'K001', NULL, NULL, NULL),
  ('erp', '7', '庚', '13800000006', NULL, '1990.07.08', NULL, NULL, NULL, 'N1', 'standard', NULL, NULL),
  ('erp', '1', '甲 again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('erp', '8', '辛', '13800000008', 'a@shop.cn', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('erp', '9', '壬', '13800000008', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'x1'),
  (NULL, '9', '癸', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('erp', '10', repeat('名', 201), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('erp', '11', 'L', NULL, NULL, NULL, NULL, NULL, NULL, 'N2', NULL, NULL, NULL),
  ('erp', '12', 'M', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[1]', NULL),
  ('erp', '13', 'N', NULL, NULL, '31/12/1990', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('erp', '14', 'O', NULL, NULL, '2990-01-01', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('erp', NULL, 'P', NULL, NULL, NULL, NULL, NULL, 'yesterday', NULL, NULL, NULL, NULL),
  ('erp', NULL, 'Q', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'x1'),
  ('erp', '9', '壬', '13800000008', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'x1');

SELECT rows_read, rows_imported, rows_existing, rows_rejected FROM import_members('legacy.customer', ref => 'm1', actor => 'me');
SELECT row_no, sqlstate, reason, source, external_id, ref FROM import_error ORDER BY row_no;
SELECT p.name, p.mobile, p.email, p.birthday, p.gender, t.tier_code, m.attrs, m.joined_at AT TIME ZONE 'Asia/Shanghai' = '2015-03-04 05:06:07' AS joined
  FROM member m JOIN person p USING (member_id) LEFT JOIN member_tier t USING (member_id) ORDER BY m.member_id;
SELECT kind, value, name FROM identity JOIN person USING (member_id) ORDER BY kind, value;
SELECT card_no, state, name FROM card JOIN person USING (member_id) ORDER BY card_no;
SELECT e.act, e.detail = jsonb_build_object('import_id', i.import_id) AS import, e.actor, count(*)
  FROM member_event e, import i GROUP BY 1, 2, 3;
-- nothing is left of the rows refused
SELECT count(*) FROM identity WHERE member_id NOT IN (SELECT member_id FROM member);
SELECT count(*) FROM member_ref WHERE member_id NOT IN (SELECT member_id FROM member);
SELECT count(*) FROM card WHERE member_id NOT IN (SELECT member_id FROM member);

-- repeated, by its reference and by those of its rows
SELECT rows_read, rows_imported, rows_existing, rows_rejected FROM import_members('legacy.customer', ref => 'm1');
SELECT count(*) AS imports FROM import;
SELECT rows_read, rows_imported, rows_existing, rows_rejected FROM import_members('SELECT * FROM legacy.customer');

-- families on one mobile
SELECT rows_read, rows_imported, rows_existing, rows_rejected FROM import_members('legacy.customer', 'keep');
SELECT p.name, p.mobile, member_id('mobile', p.mobile) = p.member_id AS found_by_it FROM person p WHERE p.mobile IS NOT NULL ORDER BY p.member_id;

-- what a row refused for its card had taken is free for the next
SELECT rows_read, rows_imported, rows_existing, rows_rejected FROM import_members(
  $$SELECT * FROM (VALUES ('first', '13800000099', 'none'), ('second', '13800000099', NULL)) AS v (name, mobile, card_no)$$, 'keep');
SELECT name FROM person WHERE member_id = member_id('mobile', '13800000099');
SELECT name, mobile FROM person WHERE mobile = 'unknown';
SELECT count(*) FROM identity WHERE value = 'unknown';

-- identities of other kinds stay strict
SELECT rows_read, rows_imported, rows_existing, rows_rejected FROM import_members(
  $$SELECT n AS name, jsonb_build_object('wechat_unionid', u) AS identities FROM (VALUES ('u1', 'U1'), ('u2', 'U2'), ('u3', 'U1')) AS v (n, u)$$, 'keep');
SELECT name FROM person WHERE member_id = member_id('wechat_unionid', 'U1');
SELECT count(*) FROM person WHERE name = 'u3';

-- a wrong source writes nothing
SELECT count(*) AS imports FROM import \gset before_
\set VERBOSITY sqlstate
SELECT * FROM import_members('legacy.nowhere');
SELECT * FROM import_members('SELECT 1 AS nmae');
SELECT * FROM import_members('SELECT 1 AS name, 2 AS name');
SELECT * FROM import_members('SELECT 1/0 AS name');
SELECT * FROM import_members('SELECT ''{}'' AS attrs');
SELECT * FROM import_members('SELECT ''{}''::json AS identities');
SELECT * FROM import_members('SELECT 1 AS name; SELECT 2 AS name');
SELECT * FROM import_members('DELETE FROM legacy.customer');
SELECT * FROM import_members('drop table legacy.customer');
SELECT * FROM import_members('legacy.customer', 'overwrite');
SELECT * FROM import_members(NULL);
SELECT * FROM import_members('SELECT 1 AS name', ref => 'm1');
\set VERBOSITY default
SELECT * FROM import_members('SELECT 1 AS nmae');
SELECT count(*) = :before_imports AS nothing_written FROM import;
SELECT rows_read, rows_imported FROM import_members('SELECT ''x'' AS name WHERE false');
SELECT rows_read, rows_imported FROM import_members('  VALUES (1)');
SELECT rows_read, rows_imported FROM import_members('TABLE legacy.customer LIMIT 0');

-- types other than text
SELECT rows_read, rows_imported, rows_rejected FROM import_members(
  $$SELECT 'typed' AS source, 1 AS external_id, date '1980-05-05' AS birthday, timestamptz '2001-01-01 00:00+08' AS joined_at,
           'dealer'::varchar AS kind, 'inactive'::name AS status$$);
SELECT m.kind, m.status, p.birthday, m.joined_at = '2001-01-01 00:00+08' AS joined FROM member m JOIN person p USING (member_id)
 WHERE m.member_id = member_id('external:typed', '1');

-- the source is read with the rights of the caller, what is written needs none
CREATE ROLE regress_crm_importer;
GRANT USAGE ON SCHEMA crm_member, legacy TO regress_crm_importer;
GRANT EXECUTE ON FUNCTION import_members TO regress_crm_importer;
SET ROLE regress_crm_importer;
\set VERBOSITY sqlstate
SELECT * FROM crm_member.import_members('legacy.customer');
SELECT * FROM crm_member.import_members('SELECT name FROM crm_member.person');
SELECT * FROM crm_member.import_members('DELETE FROM crm_member.person RETURNING name');
\set VERBOSITY default
SELECT rows_imported FROM crm_member.import_members(
  'SELECT ''who'' AS source, 1 AS external_id, current_user AS name, current_setting(''search_path'') AS store');
SELECT current_user;
SHOW search_path;
RESET ROLE;
SELECT p.name, m.store FROM member m JOIN person p USING (member_id) WHERE m.member_id = member_id('external:who', '1');
DROP OWNED BY regress_crm_importer;
DROP ROLE regress_crm_importer;

-- more rows than a batch, the first and the last row of one person among them
SELECT rows_read, rows_imported, rows_existing, rows_rejected FROM import_members(
  $$SELECT 'big' AS source, CASE i WHEN 11999 THEN '1' ELSE i::text END AS external_id,
           CASE WHEN i % 1000 = 0 THEN 'bad' ELSE '1370' || lpad(i::text, 7, '0') END AS mobile
      FROM generate_series(1, 12001) AS i ORDER BY i$$) AS i;
SELECT count(*) FROM identity WHERE kind = 'external:big';
SELECT e.row_no, e.sqlstate FROM import_error e JOIN import i USING (import_id) WHERE i.rows_read = 12001 ORDER BY row_no;
DROP SCHEMA legacy CASCADE;
