--
-- The rules of the house, checked on the catalog: every object is described,
-- PUBLIC may do nothing, names resolve the same for every caller, tables are no
-- members of the extension, and whatever belongs to a member can be kept apart
-- from what belongs to another.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;

-- Tables that do not belong to one member, so that their keys need not begin with member_id.
CREATE TEMP TABLE shared_table (name name PRIMARY KEY, reason text);
INSERT INTO shared_table SELECT name, 'configuration' FROM unnest('{
  setting, node, tier, identity_kind, card_type, points_type, points_rule, points_conversion,
  coupon_template, stored_value_setting, stored_value_policy, tier_rule, rfm_model, segment, segment_set, match_model}'::name[]) name;
-- found by another key than the member, whose history goes with it
INSERT INTO shared_table SELECT name, 'directory' FROM unnest('{
  identity, member_ref, card, card_event, sale_ref, refund_ref, coupon, coupon_alias, member_kin, erased_identity}'::name[]) name;
-- one row a run of something over many members
INSERT INTO shared_table SELECT name, 'run' FROM unnest('{
  card_batch, import, import_error, ledger_run, rfm_run, rfm_state, rfm_snapshot, match_run, job_run, job_state, tier_review, member_merge}'::name[]) name;
-- about pairs of rows of any table
INSERT INTO shared_table SELECT name, 'match' FROM unnest('{
  duplicate_pair, duplicate_cluster, match_relation, match_verdict, registration_claim}'::name[]) name;
-- shares of what all members together may use up
INSERT INTO shared_table VALUES ('coupon_share', 'limit');
-- one row each, made by setup()
INSERT INTO shared_table VALUES ('coupon_secret', 'secret'), ('match_secret', 'secret'), ('erasure_salt', 'secret');
-- read where it is asked for, not kept by sessions
INSERT INTO shared_table VALUES ('member_filter', 'definition'), ('merge_part', 'definition'), ('merge_field', 'definition'), ('merge_source', 'definition'), ('merge_policy', 'definition');

-- Procedures that commit cannot have a SET clause.
CREATE TEMP TABLE committing_procedure (name name PRIMARY KEY);
INSERT INTO committing_procedure VALUES ('expire_points'), ('clear_points'), ('review_tiers'), ('run_job'), ('do_job');

-- A queue, appended to by triggers and emptied by run_rfm(), has rows but no key.
CREATE TEMP TABLE queue (name name PRIMARY KEY);
INSERT INTO queue VALUES ('rfm_change');

CREATE TEMP VIEW lint AS
WITH relation AS (
  SELECT c.oid, c.relname, c.relkind, c.relowner, c.relacl,
         c.relkind IN ('r', 'p') AND c.relname NOT IN (SELECT name FROM shared_table) AS of_member
  FROM pg_class c WHERE c.relnamespace = 'crm_member'::regnamespace AND c.relkind NOT IN ('i', 'I', 't', 'c')
), routine AS (
  SELECT p.*, l.lanname FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
  WHERE p.pronamespace = 'crm_member'::regnamespace
), type AS (
  SELECT t.* FROM pg_type t
  WHERE t.typnamespace = 'crm_member'::regnamespace AND t.typelem = 0
    AND (t.typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
), member_of_extension AS (
  SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
  WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'crm_member'
), object AS (
  SELECT 'pg_class'::regclass AS classid, oid FROM relation
  UNION ALL SELECT 'pg_proc'::regclass, oid FROM routine
  UNION ALL SELECT 'pg_type'::regclass, oid FROM type
  UNION ALL SELECT 'pg_namespace'::regclass, 'crm_member'::regnamespace
  UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oprnamespace = 'crm_member'::regnamespace
  UNION ALL SELECT 'pg_opclass'::regclass, oid FROM pg_opclass WHERE opcnamespace = 'crm_member'::regnamespace
  UNION ALL SELECT classid, objid FROM member_of_extension WHERE classid = 'pg_cast'::regclass
), granted AS (
  SELECT 'pg_class'::regclass AS classid, oid,
         coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)) AS acl FROM relation
  UNION ALL SELECT 'pg_class'::regclass, a.attrelid, a.attacl
    FROM pg_attribute a JOIN relation r ON r.oid = a.attrelid WHERE a.attacl IS NOT NULL
  UNION ALL SELECT 'pg_proc'::regclass, oid, coalesce(proacl, acldefault('f', proowner)) FROM routine
  UNION ALL SELECT 'pg_type'::regclass, oid, coalesce(typacl, acldefault('T', typowner)) FROM type
  UNION ALL SELECT 'pg_namespace'::regclass, oid, coalesce(nspacl, acldefault('n', nspowner))
    FROM pg_namespace WHERE nspname = 'crm_member'
), problem AS (
  SELECT 'has no comment' AS problem, classid, oid, 0 AS subid FROM object
  WHERE obj_description(oid, classid::regclass::name) IS NULL
  UNION ALL
  SELECT 'grants to PUBLIC', classid, oid, 0 FROM granted
  WHERE EXISTS (SELECT FROM aclexplode(acl) WHERE grantee = 0)
  UNION ALL
  SELECT 'does not set search_path', 'pg_proc'::regclass, oid, 0 FROM routine
  WHERE (prosecdef OR lanname IN ('sql', 'plpgsql'))
    AND NOT (prokind = 'p' AND proname IN (SELECT name FROM committing_procedure))
    AND NOT EXISTS (SELECT FROM unnest(proconfig) s WHERE s = 'search_path=pg_catalog, pg_temp')
  UNION ALL
  SELECT 'is no crm_ symbol in C', 'pg_proc'::regclass, oid, 0 FROM routine
  WHERE lanname = 'c' AND prosrc NOT LIKE 'crm\_%'
  UNION ALL
  SELECT 'is not a member of the extension', 'pg_proc'::regclass, oid, 0 FROM routine r
  WHERE NOT EXISTS (SELECT FROM member_of_extension m WHERE m.classid = 'pg_proc'::regclass AND m.objid = r.oid)
  UNION ALL
  SELECT 'is a member of the extension', 'pg_class'::regclass, oid, 0 FROM relation r
  WHERE EXISTS (SELECT FROM member_of_extension m WHERE m.classid = 'pg_class'::regclass AND m.objid = r.oid)
  UNION ALL
  SELECT 'is a key that does not begin with member_id', 'pg_class'::regclass, i.indexrelid, 0
  FROM relation r JOIN pg_index i ON i.indrelid = r.oid
  LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
  WHERE r.of_member AND (i.indisunique OR i.indisexclusion) AND a.attname IS DISTINCT FROM 'member_id'
  UNION ALL
  SELECT 'has no primary key', 'pg_class'::regclass, oid, 0 FROM relation r
  WHERE r.relkind IN ('r', 'p') AND r.relname NOT IN (SELECT name FROM queue)
    AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = r.oid AND i.indisprimary)
  UNION ALL
  SELECT 'reaches from member to member', 'pg_constraint'::regclass, k.oid, 0
  FROM pg_constraint k
  JOIN relation r ON r.oid = k.conrelid
  JOIN relation t ON t.oid = k.confrelid
  WHERE k.contype = 'f' AND (r.of_member OR t.of_member)
    AND NOT (r.of_member AND t.relname IN (SELECT name FROM shared_table WHERE reason = 'configuration'))
    AND NOT EXISTS (SELECT FROM pg_attribute a, pg_attribute b
                    WHERE a.attrelid = k.conrelid AND a.attnum = k.conkey[1] AND a.attname = 'member_id'
                      AND b.attrelid = k.confrelid AND b.attnum = k.confkey[1] AND b.attname = 'member_id')
  UNION ALL
  SELECT 'is numbered by a sequence', 'pg_class'::regclass, a.attrelid, a.attnum
  FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
  WHERE r.of_member AND a.attnum > 0
    AND (a.attidentity <> ''
         OR EXISTS (SELECT FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum
                      AND pg_get_expr(d.adbin, d.adrelid) LIKE '%nextval(%'))
  UNION ALL
  SELECT 'lacks the trigger touch_configuration', 'pg_class'::regclass, oid, 0
  FROM relation r
  WHERE r.relname IN (SELECT name FROM shared_table WHERE reason = 'configuration')
    AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = r.oid
                      AND g.tgfoid = 'crm_member.touch_configuration'::regproc AND g.tgtype & 1 = 0 AND g.tgenabled = 'O')
  UNION ALL
  SELECT 'lacks the trigger touch_configuration_replicated', 'pg_class'::regclass, oid, 0
  FROM relation r
  WHERE EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = r.oid AND g.tgfoid = 'crm_member.touch_configuration'::regproc)
    AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = r.oid
                      AND g.tgfoid = 'crm_member.touch_configuration'::regproc AND g.tgtype & 1 = 1 AND g.tgenabled = 'R')
)
SELECT i.type || ' ' || i.identity AS object, p.problem
FROM problem p, pg_identify_object(p.classid, p.oid, p.subid) i
UNION ALL
SELECT 'table ' || name, 'is listed as shared and does not exist' FROM shared_table
WHERE NOT EXISTS (SELECT FROM relation WHERE relname = name);

-- nothing to find fault with
SELECT object, problem FROM lint ORDER BY object COLLATE "C", problem;

-- and faults are found: make each, see it reported, undo it
BEGIN;
CREATE FUNCTION crm_member.undescribed() RETURNS int LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT 1';
REVOKE ALL ON FUNCTION crm_member.undescribed() FROM PUBLIC;
ALTER EXTENSION crm_member ADD FUNCTION crm_member.undescribed();
SELECT object, problem FROM lint;
ROLLBACK;

BEGIN;
GRANT EXECUTE ON FUNCTION crm_member.new_id() TO PUBLIC;
GRANT SELECT ON crm_member.person TO PUBLIC;
GRANT SELECT (member_id) ON crm_member.sale TO PUBLIC;
GRANT USAGE ON SCHEMA crm_member TO PUBLIC;
SELECT object, problem FROM lint ORDER BY object COLLATE "C";
ROLLBACK;

BEGIN;
ALTER EXTENSION crm_member ADD TABLE crm_member.sale;
ALTER EXTENSION crm_member DROP FUNCTION crm_member.new_id();
SELECT object, problem FROM lint ORDER BY object COLLATE "C";
ROLLBACK;

BEGIN;
CREATE UNIQUE INDEX person_mobile ON crm_member.person (mobile);
CREATE UNIQUE INDEX person_lower ON crm_member.person (lower(email));
ALTER TABLE crm_member.person ADD EXCLUDE (name WITH =);
SELECT object, problem FROM lint ORDER BY object COLLATE "C";
ROLLBACK;

BEGIN;
ALTER TABLE crm_member.member ADD FOREIGN KEY (merged_into) REFERENCES crm_member.member;
SELECT object, problem FROM lint;
ROLLBACK;

BEGIN;
CREATE TABLE crm_member.visit (member_id bigint, visit_no bigserial, happened int GENERATED ALWAYS AS IDENTITY);
SELECT object, problem FROM lint ORDER BY object COLLATE "C", problem;
ROLLBACK;

BEGIN;
CREATE FUNCTION crm_member.careless() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION crm_member.powerful() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = public AS 'SELECT 1';
DROP TRIGGER touch_configuration ON crm_member.tier;
SELECT object, problem FROM lint WHERE problem NOT LIKE ALL ('{has no%,grants%,is not a%}') ORDER BY object COLLATE "C";
ROLLBACK;

-- what each function promises
\pset format unaligned
\pset footer off
SELECT p.oid::regprocedure AS function,
       CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
       CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel,
       p.proisstrict AS strict, p.prosecdef AS definer
FROM pg_proc p
WHERE p.pronamespace = 'crm_member'::regnamespace AND p.prokind <> 'p'
ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT p.oid::regprocedure AS procedure, p.prosecdef AS definer
FROM pg_proc p
WHERE p.pronamespace = 'crm_member'::regnamespace AND p.prokind = 'p'
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- what fires on the rows of a member
SELECT t.tgrelid::regclass AS table, t.tgname AS trigger, t.tgfoid::regproc AS function, t.tgtype & 1 = 1 AS for_each_row
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'crm_member'::regnamespace AND NOT t.tgisinternal AND t.tgfoid <> 'crm_member.touch_configuration'::regproc
ORDER BY 1, 2;
