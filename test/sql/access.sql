--
-- What each level of grant_access() may do, and may not.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
DROP ROLE IF EXISTS regress_crm_reader, regress_crm_cashier, regress_crm_manager, regress_crm_admin, regress_crm_nobody;
RESET client_min_messages;
CREATE ROLE regress_crm_reader;
CREATE ROLE regress_crm_cashier;
CREATE ROLE regress_crm_manager;
CREATE ROLE regress_crm_admin;
CREATE ROLE regress_crm_nobody;

-- errors
\set VERBOSITY sqlstate
SELECT crm_member.grant_access('regress_crm_reader', 'reader');
CALL crm_member.setup();
SELECT crm_member.grant_access('regress_crm_unknown', 'reader');
SELECT crm_member.grant_access('public', 'reader');
SELECT crm_member.grant_access(NULL, 'reader');
SELECT crm_member.grant_access('regress_crm_reader', 'Reader');
SELECT crm_member.grant_access('regress_crm_reader', NULL);
\set VERBOSITY default

SELECT crm_member.grant_access('regress_crm_reader', 'reader');
SELECT crm_member.grant_access('regress_crm_cashier', 'cashier');
SELECT crm_member.grant_access('regress_crm_manager', 'manager');
SELECT crm_member.grant_access(role => 'regress_crm_admin', level => 'admin');

-- every name in the definition is there
SELECT r.level, r.privilege, n.name
FROM crm_member.access_rule() r, unnest(r.names) n (name)
WHERE NOT CASE r.privilege
  WHEN 'execute' THEN EXISTS (SELECT FROM pg_proc WHERE pronamespace = 'crm_member'::regnamespace AND proname LIKE n.name)
  ELSE EXISTS (SELECT FROM pg_class WHERE relnamespace = 'crm_member'::regnamespace AND relname LIKE n.name) END;

-- the lowest level that may execute each function
CREATE TEMP VIEW role_level AS
SELECT * FROM (VALUES (1, 'regress_crm_reader'), (2, 'regress_crm_cashier'), (3, 'regress_crm_manager'), (4, 'regress_crm_admin')) v (n, role);
SELECT p.oid::regprocedure AS function,
       (SELECT substr(role, 13) FROM role_level WHERE has_function_privilege(role, p.oid, 'EXECUTE') ORDER BY n LIMIT 1) AS level
FROM pg_proc p
WHERE p.pronamespace = 'crm_member'::regnamespace
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- the lowest level that may select from, insert into, update, delete from each table and view
SELECT c.oid::regclass AS relation, v.*
FROM pg_class c, LATERAL (
  SELECT (array_agg(substr(role, 13) ORDER BY n) FILTER (WHERE has_table_privilege(role, c.oid, 'SELECT')))[1] AS "select",
         (array_agg(substr(role, 13) ORDER BY n) FILTER (WHERE has_table_privilege(role, c.oid, 'INSERT')))[1] AS "insert",
         (array_agg(substr(role, 13) ORDER BY n) FILTER (WHERE has_table_privilege(role, c.oid, 'UPDATE')))[1] AS "update",
         (array_agg(substr(role, 13) ORDER BY n) FILTER (WHERE has_table_privilege(role, c.oid, 'DELETE')))[1] AS "delete",
         (array_agg(substr(role, 13) ORDER BY n) FILTER (WHERE has_table_privilege(role, c.oid, 'TRUNCATE')))[1] AS "truncate"
  FROM role_level) v
WHERE c.relnamespace = 'crm_member'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
ORDER BY c.relname COLLATE "C";

-- a level includes those below it
SELECT p.oid::regprocedure
FROM pg_proc p, role_level low, role_level high
WHERE p.pronamespace = 'crm_member'::regnamespace AND low.n < high.n
  AND has_function_privilege(low.role, p.oid, 'EXECUTE') AND NOT has_function_privilege(high.role, p.oid, 'EXECUTE');

-- it is a level, not a sum: one who was more is less afterwards
SELECT crm_member.grant_access('regress_crm_nobody', 'admin');
SELECT crm_member.grant_access('regress_crm_nobody', 'reader');
SELECT count(*) FROM pg_proc p
WHERE p.pronamespace = 'crm_member'::regnamespace
  AND has_function_privilege('regress_crm_nobody', p.oid, 'EXECUTE') <> has_function_privilege('regress_crm_reader', p.oid, 'EXECUTE');
SELECT has_table_privilege('regress_crm_nobody', 'crm_member.setting', 'UPDATE');

-- and it works
\set VERBOSITY sqlstate
SET ROLE regress_crm_reader;
SELECT currency FROM crm_member.setting;
SELECT name FROM crm_member.person;
UPDATE crm_member.setting SET time_zone = 'Asia/Tokyo';
SELECT crm_member.grant_access('regress_crm_reader', 'admin');
SET ROLE regress_crm_cashier;
SELECT crm_member.new_id() > 0 AS given;
SELECT name FROM crm_member.person;
SET ROLE regress_crm_manager;
INSERT INTO crm_member.tier (tier_code, name, rank) VALUES ('gold', 'Gold', 1);
UPDATE crm_member.setting SET time_zone = 'Asia/Tokyo';
SET ROLE regress_crm_admin;
UPDATE crm_member.setting SET time_zone = 'Asia/Tokyo';
UPDATE crm_member.member SET status = 'cancelled';
RESET ROLE;

SET client_min_messages = warning;
DROP EXTENSION crm_member CASCADE;
DROP ROLE regress_crm_reader, regress_crm_cashier, regress_crm_manager, regress_crm_admin, regress_crm_nobody;
