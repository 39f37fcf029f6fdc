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
  WHEN 'execute' THEN EXISTS (SELECT FROM pg_proc WHERE pronamespace = 'crm_member'::regnamespace AND proname LIKE replace(n.name, '_', '\_'))
  ELSE EXISTS (SELECT FROM pg_class WHERE relnamespace = 'crm_member'::regnamespace AND relname LIKE replace(n.name, '_', '\_')) END;

CREATE TEMP VIEW role_level AS
SELECT * FROM (VALUES (1, 'regress_crm_reader'), (2, 'regress_crm_cashier'), (3, 'regress_crm_manager'), (4, 'regress_crm_admin')) v (n, role);

CREATE TEMP VIEW behind_type AS
SELECT unnest(ARRAY[typinput, typoutput, typreceive, typsend]::oid[]) AS oid FROM pg_type
UNION SELECT oprcode FROM pg_operator UNION SELECT castfunc FROM pg_cast UNION SELECT amproc FROM pg_amproc;

-- the lowest level that may execute each function, those behind types and operators apart
\pset format unaligned
\pset footer off
SELECT l.level, p.oid::regprocedure AS function
FROM pg_proc p, LATERAL (
  SELECT (array_agg(substr(role, 13) ORDER BY n) FILTER (WHERE has_function_privilege(role, p.oid, 'EXECUTE')))[1] AS level, min(n) FILTER (WHERE has_function_privilege(role, p.oid, 'EXECUTE')) AS n
  FROM role_level) l
WHERE p.pronamespace = 'crm_member'::regnamespace AND p.prorettype <> 'trigger'::regtype
  AND p.oid NOT IN (SELECT oid FROM behind_type)
ORDER BY l.n, p.oid::regprocedure::text COLLATE "C";

-- nobody may call a trigger function, everybody may use types
SELECT role, p.oid::regprocedure FROM pg_proc p, role_level
WHERE p.pronamespace = 'crm_member'::regnamespace
  AND (p.prorettype = 'trigger'::regtype AND has_function_privilege(role, p.oid, 'EXECUTE')
       OR p.oid IN (SELECT oid FROM behind_type) AND NOT has_function_privilege(role, p.oid, 'EXECUTE'));

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

\pset format aligned
\pset footer on

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

-- and it works: a cashier rings up, spends, hands out cards
\set VERBOSITY sqlstate
SET ROLE regress_crm_manager;
INSERT INTO crm_member.tier (tier_code, name, rank) VALUES ('gold', 'Gold', 1);
INSERT INTO crm_member.points_rule (rule_code, condition, award, points, expiry)
VALUES ('base', 'sale.amount > 0', 'per_amount', 1, 'never');
SET ROLE regress_crm_cashier;
SELECT crm_member.register_member(name => '张伟', mobile => '13912345678', birthday => '1990-05-01', source => 'till', external_id => '1') > 0 AS registered;
SELECT crm_member.member_id('external:till', '1') AS one \gset
SELECT crm_member.checkout('{"ref": "1", "source": "till", "identity": {"kind": "mobile", "value": "13912345678"},
  "sold_at": "2026-05-01 10:00+08", "lines": [{"line_no": 1, "sku": "A", "quantity": 1, "price": 100}]}') -> 'points' ->> 'earned' AS earned;
SELECT crm_member.spend_points(:one, 10, 'gift', 'gift 1');
SELECT crm_member.issue_card(:one, 'C1', 'standard') IS NOT NULL AS issued;
SELECT crm_member.points_balance(:one);
SELECT crm_member.member_360(:one) -> 'person' ->> 'name' AS name;
-- but does not award, correct, import or look into persons, nor write what functions write
SELECT crm_member.award_points(:one, 10, 'gift', 'gift 2');
SELECT crm_member.adjust_points(:one, 10, 'correction', 'adjust 1');
SELECT crm_member.set_member_status(:one, 'cancelled', 'why');
SELECT * FROM crm_member.person;
SELECT * FROM crm_member.identity;
INSERT INTO crm_member.sale (member_id, ref) VALUES (:one, '2');
UPDATE crm_member.points_account SET balance = 1000000;
UPDATE crm_member.points_rule SET points = 100;

-- a manager does, and sees persons
SET ROLE regress_crm_manager;
SELECT crm_member.award_points(:one, 10, 'gift', 'gift 2');
SELECT crm_member.member_360(:one) -> 'person' ->> 'name' AS name;
SELECT name, mobile FROM crm_member.person;
INSERT INTO crm_member.sale (member_id, sale_id, ref, sold_at) VALUES (:one, 2, '2', '2026-05-02 10:00+08');
INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, quantity, price) VALUES (:one, 2, 1, 1, 50);
SELECT payable, settled_at IS NOT NULL AS settled FROM crm_member.sale WHERE ref = '2';
CREATE TEMP TABLE newcomer AS SELECT 'N' || i AS name, 'till' AS source, 'N' || i AS external_id FROM generate_series(1, 3) i;
SELECT rows_imported FROM crm_member.import_members('SELECT * FROM pg_temp.newcomer');
CALL crm_member.run_rfm('2026-06-01');
CALL crm_member.expire_points();
INSERT INTO crm_member.member_filter (filter_code, name, condition) VALUES ('cheap', 'Cheap', $$member.status = 'active'$$);
SELECT crm_member.filter_count('cheap');
DROP TABLE newcomer;
INSERT INTO crm_member.coupon_template (template_code, name, kind, value) VALUES ('ten', 'Ten off', 'amount', 10);
-- but does not set up, nor write what functions write
UPDATE crm_member.setting SET time_zone = 'Asia/Tokyo';
UPDATE crm_member.points_account SET balance = 1000000;
CALL crm_member.clear_points('points', now());

-- a reader reads every view, masked
SET ROLE regress_crm_reader;
SELECT count(*) FROM crm_member.member_360_view;
SELECT name, mobile FROM crm_member.member_360_view WHERE member_id = :one;
SELECT crm_member.member_360(:one) -> 'person' ->> 'name' AS name;
SELECT count(score) FROM crm_member.rfm;
SELECT count(*) > 0 AS some FROM crm_member.rfm_segment;
SELECT count(*) > 0 AS some FROM crm_member.rfm_history;
SELECT count(*) >= 0 AS some FROM crm_member.rfm_migration;
SELECT count(*) > 0 AS some FROM crm_member.value_pyramid;
SELECT count(*) > 0 AS some FROM crm_member.points_by_rule;
SELECT count(*) > 0 AS some FROM crm_member.sale_fact;
SELECT count(*) > 0 AS some FROM crm_member.line_fact;
SELECT count(*) > 0 AS some FROM crm_member.tier_distribution;
SELECT count(*) FROM crm_member.rfm_from('SELECT member_id, sold_at, payable FROM crm_member.sale', '2026-06-01');
SELECT count(*) FROM crm_member.verify_ledger();
SELECT crm_member.points_balance(:one);
-- every view it may select from works for it, functions inside included
DO $$
DECLARE
  name text;
BEGIN
  FOR name IN SELECT oid::regclass FROM pg_class
              WHERE relnamespace = 'crm_member'::regnamespace AND relkind = 'v' AND has_table_privilege(oid, 'SELECT')
              ORDER BY relname LOOP
    BEGIN
      EXECUTE 'SELECT count(v::text) FROM ' || name || ' AS v';
    EXCEPTION WHEN OTHERS THEN
      RAISE NOTICE '%: % %', name, SQLSTATE, SQLERRM;
    END;
  END LOOP;
END
$$;
SELECT crm_member.member_id('mobile', '13912345678');
SELECT crm_member.checkout('{"ref": "3", "lines": []}');
SELECT birthday FROM crm_member.member_fact;
SELECT crm_member.grant_access('regress_crm_reader', 'admin');

-- an admin sets up; ledgers stay closed
SET ROLE regress_crm_admin;
UPDATE crm_member.setting SET time_zone = 'Asia/Tokyo';
CALL crm_member.clear_points('points', '2020-01-01');
UPDATE crm_member.points_entry SET points = 0;
DELETE FROM crm_member.member;
RESET ROLE;

SET client_min_messages = warning;
DROP EXTENSION crm_member CASCADE;
DROP ROLE regress_crm_reader, regress_crm_cashier, regress_crm_manager, regress_crm_admin, regress_crm_nobody;
