--
-- merge_members(), unmerge() and erase_member(): what they do, report and refuse.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
DROP ROLE IF EXISTS regress_merge_cashier, regress_merge_manager;
RESET client_min_messages;
INSERT INTO crm_member.tier (tier_code, name, rank) VALUES ('silver', 'Silver', 1), ('gold', 'Gold', 2);
INSERT INTO crm_member.points_rule (rule_code, award, points) VALUES ('base', 'per_amount', 1);
INSERT INTO crm_member.member (member_id, joined_at, tags, attrs) VALUES
  (1, '2024-03-01', '{vip}', '{"color": "red", "city": "Shanghai"}'),
  (2, '2024-02-01', '{vip,web}', '{"size": "M", "city": "Beijing", "street": "1 Main St"}'),
  (3, '2024-01-01', '{}', '{}'), (4, '2024-04-01', '{}', '{}');
INSERT INTO crm_member.person (member_id, name, mobile, email, birthday) VALUES
  (1, 'Ann Lee', '13911110001', NULL, NULL), (2, 'Ann Li', NULL, 'ann@example.com', '1990-05-05'), (3, 'A. Lee', NULL, NULL, NULL);
INSERT INTO crm_member.identity (kind, value, member_id) VALUES ('mobile', '13911110001', 1), ('email', 'ann@example.com', 2), ('external:web', 'w2', 2);
INSERT INTO crm_member.member_tier (member_id, tier_code, since) VALUES (1, 'silver', '2025-01-01'), (2, 'gold', '2025-02-01');
SELECT crm_member.issue_card(2, 'C2', 'standard');
SELECT crm_member.activate_card('C2');
CREATE VIEW members AS
  SELECT m.member_id, m.status, m.merged_into, p.name, p.mobile, p.email, p.birthday, t.tier_code,
         m.joined_at AT TIME ZONE 'UTC' AS joined_at, m.tags, m.attrs,
         (SELECT sum(a.balance) FROM crm_member.points_account a WHERE a.member_id = m.member_id) AS balance
    FROM crm_member.member m LEFT JOIN crm_member.person p USING (member_id) LEFT JOIN crm_member.member_tier t USING (member_id) ORDER BY 1;
CREATE FUNCTION pg_temp.shape(report jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT jsonb_pretty(jsonb_set(report, '{merge_id}', 'null') - 'unmerge_id' - 'dry_run')
$$;
CREATE FUNCTION pg_temp.merge_of(ref text) RETURNS bigint LANGUAGE sql AS $$ SELECT merge_id FROM crm_member.member_merge m WHERE m.ref = merge_of.ref $$;

SELECT crm_member.award_points(1, 100, 'x', 'a', expires_at => now() + interval '2 years');
SELECT crm_member.award_points(2, 50, 'x', 'a', expires_at => now() + interval '1 year');
SELECT crm_member.award_points(2, 70, 'x', 'b', available_at => now() + interval '1 day');
SELECT crm_member.hold_points(2, 20, 'x', 'h');
SELECT crm_member.checkout('{"ref": "s1", "identity": {"kind": "card", "value": "C2"}, "lines": [{"price": 30}]}')->'points'->'earned';
CREATE TABLE state AS SELECT * FROM members;

-- refusals
\set VERBOSITY sqlstate
SELECT crm_member.merge_members(1, NULL);
SELECT crm_member.merge_members(1, ARRAY[2, NULL]::bigint[]);
SELECT crm_member.merge_members(NULL, '{}');
SELECT crm_member.merge_members(1, '{99}');
SELECT crm_member.merge_members(1, '{2}', policy => '[]');
SELECT crm_member.merge_members(1, '{2}', policy => '{"fild": {}}');
SELECT crm_member.merge_members(1, '{2}', policy => '{"fields": {"shoe": "min"}}');
SELECT crm_member.merge_members(1, '{2}', policy => '{"fields": {"name": "best"}}');
SELECT crm_member.unmerge(NULL);
SELECT crm_member.unmerge(5);
SELECT crm_member.unmerge(5, policy => '{"negative": "maybe"}');
SELECT crm_member.erase_member(NULL, 'x');
SELECT crm_member.erase_member(1, NULL);
SELECT crm_member.erase_member(99, 'x');
SELECT crm_member.set_member_status(4, 'cancelled');
SELECT crm_member.merge_members(1, '{4}');
UPDATE crm_member.member SET status = 'active', kind = 'dealer' WHERE member_id = 4;
SELECT crm_member.merge_members(1, '{4}');
UPDATE crm_member.member SET kind = 'consumer' WHERE member_id = 4;
SELECT crm_member.mark_distinct(2, 4, 'twins');
SELECT crm_member.merge_members(1, '{2,4}');
\set VERBOSITY default
SELECT count(*) AS merges FROM crm_member.member_merge;

-- nothing to do
SELECT crm_member.merge_members(1, '{1}');
SELECT crm_member.merge_members(3, '{}');

-- a dry run reports what the merge reports, and writes nothing
CREATE TABLE report AS SELECT pg_temp.shape(crm_member.merge_members(NULL, '{1,2}', dry_run => true)) AS dry;
SELECT * FROM state EXCEPT SELECT * FROM members;
SELECT count(*) AS written FROM crm_member.member_kin;
SELECT pg_temp.shape(crm_member.merge_members(NULL, '{2,1}', 'm1', actor => 'kim'));
SELECT dry = pg_temp.shape(crm_member.merge_members(NULL, '{1,2}', 'm1')) AS same_report FROM report;
SELECT * FROM members;
SELECT act, survivor, others, ref, actor FROM crm_member.member_merge;
\set VERBOSITY sqlstate
SELECT crm_member.merge_members(NULL, '{1,3}', 'm1');
DELETE FROM crm_member.member_merge;
\set VERBOSITY default
SELECT crm_member.merge_members(2, '{1}', 'again');

-- old identities, cards and numbers find the survivor
SELECT crm_member.member_id('email', 'ann@example.com'), crm_member.member_id('card', 'C2'), crm_member.usable_card('C2'), crm_member.canonical_member(2);
SELECT crm_member.points_balance(2), crm_member.points_balance(1);
-- the soonest to expire goes first, whoever earned it
SELECT crm_member.spend_points(1, 40, 'x', 'sp');
SELECT points_type, remaining, owner_member, birth_member FROM crm_member.points_lot WHERE member_id = 1 AND open ORDER BY expires_at, available_at, lot_no;
-- a repeated reference of either is one act still
SELECT crm_member.award_points(2, 70, 'x', 'b', available_at => now() + interval '1 day');
SELECT crm_member.award_points(1, 70, 'x', 'b', available_at => now() + interval '1 day');
SELECT balance FROM members WHERE member_id = 1;
-- holds are captured and released, sales and entries of before are undone
SELECT crm_member.capture_points(2, 'h', 5);
SELECT crm_member.refund('{"ref": "r1", "sale_ref": "s1", "lines": [{"line_no": 1, "quantity": 1}]}')->'points' AS points;
SELECT member_id, balance FROM members WHERE balance IS NOT NULL;
SELECT * FROM crm_member.verify_ledger();

-- a chain, and the middle of it undone
SELECT pg_temp.shape(crm_member.merge_members(3, '{2}', 'm2') - 'kept' - 'totals');
SELECT member_id, status, merged_into, name, email, tier_code, joined_at, balance FROM members;
SELECT pg_temp.shape(crm_member.unmerge(pg_temp.merge_of('m1'), 'u1', '{"reason": "two persons"}', 'lee') - 'kept' - 'totals');
SELECT member_id, status, merged_into, name, email, tier_code, joined_at, balance FROM members;
SELECT crm_member.unmerge(pg_temp.merge_of('m1'), 'u1', '{"reason": "two persons"}', 'lee')->'undone' AS repeated;
SELECT crm_member.unmerge(pg_temp.merge_of('m1'))->'undone' AS undone_already;
SELECT left_key, right_key, verdict, reason, actor FROM crm_member.match_verdict ORDER BY 1, 2;
\set VERBOSITY sqlstate
SELECT crm_member.merge_members(1, '{2}');
SELECT crm_member.merge_members(1, '{3}');
SELECT crm_member.unmerge(pg_temp.merge_of('m2'), 'u1');
\set VERBOSITY default
SELECT crm_member.unmerge(pg_temp.merge_of('m2'), 'u2')->'families' AS families;
SELECT * FROM members;
SELECT * FROM crm_member.verify_ledger();

-- fields by rule; what is edited later stays; one member taken out of three
SELECT crm_member.merge_members(3, '{1,2}', 'm3', '{"override_distinct": true, "fields": {"name": "longest", "birthday": 2, "joined_at": "latest"}}')->'golden' AS golden;
UPDATE crm_member.person SET email = 'new@example.com' WHERE member_id = 3;
SELECT member_id, name, mobile, email, birthday, tier_code, joined_at, tags FROM members WHERE member_id = 3;
SELECT crm_member.unmerge(pg_temp.merge_of('m3'), policy => '{"only": [2]}')->'families' AS families;
SELECT member_id, name, mobile, email, birthday, tier_code, joined_at, tags FROM members WHERE member_id < 4;
SELECT crm_member.unmerge(pg_temp.merge_of('m3'))->'families' AS families;
SELECT member_id, name, mobile, email, birthday, tier_code, joined_at, tags FROM members WHERE member_id < 4;

-- debts come along and go back
SELECT crm_member.award_points(4, 30, 'x', 'd'), crm_member.spend_points(4, 30, 'x', 'ds'), crm_member.reverse_points('d', 4);
SELECT crm_member.merge_members(1, '{4}', 'm4')->'moved' AS moved;
SELECT member_id, balance FROM members WHERE member_id IN (1, 4);
\set VERBOSITY sqlstate
SELECT crm_member.unmerge(pg_temp.merge_of('m4'), policy => '{"negative": "refuse"}');
\set VERBOSITY default
SELECT crm_member.unmerge(pg_temp.merge_of('m4'), policy => '{"negative": "survivor"}', dry_run => true)->'negative' AS negative;
BEGIN;
SELECT crm_member.unmerge(pg_temp.merge_of('m4'), policy => '{"negative": "survivor"}')->'negative' AS negative;
SELECT member_id, balance FROM members WHERE member_id IN (1, 4);
SELECT * FROM crm_member.verify_ledger();
ROLLBACK;
SELECT crm_member.unmerge(pg_temp.merge_of('m4'))->'negative' AS negative;
SELECT member_id, balance FROM members WHERE member_id IN (1, 4);
SELECT * FROM crm_member.verify_ledger();

-- limits a member has count both members' uses
INSERT INTO crm_member.points_rule (rule_code, award, points, member_limit) VALUES ('once', 'fixed', 10, 15);
SELECT crm_member.checkout('{"ref": "l1", "member_id": 1, "lines": [{"price": 0}]}')->'points'->'earned' AS first,
       crm_member.checkout('{"ref": "l2", "member_id": 2, "lines": [{"price": 0}]}')->'points'->'earned' AS second;
SELECT crm_member.merge_members(1, '{2}', 'm5', '{"override_distinct": true}')->'survivor' AS survivor;
SELECT crm_member.checkout('{"ref": "l3", "member_id": 1, "lines": [{"price": 0}]}')->'points'->'earned' AS third;
SELECT crm_member.unmerge(pg_temp.merge_of('m5'))->'undone' AS undone;
SELECT crm_member.checkout('{"ref": "l4", "member_id": 2, "lines": [{"price": 0}]}')->'points'->'earned' AS fourth;

-- erasure: nothing personal stays, the books are whole, the merge can still be undone
SELECT crm_member.merge_members(1, '{2}', 'm6', '{"override_distinct": true}')->'survivor' AS survivor;
SELECT crm_member.erase_member(2, 'asked', 'e1', 'kim');
SELECT crm_member.erase_member(2, 'asked', 'e1', 'kim');
SELECT * FROM members WHERE member_id < 3;
SELECT crm_member.member_id('email', 'ann@example.com') AS found, crm_member.was_erased('email', 'Ann@Example.com') AS was_erased,
       crm_member.was_erased('email', 'other@example.com') AS other, crm_member.was_erased('mobile', NULL) AS unsaid;
SELECT count(*) AS named FROM crm_member.golden_record g WHERE g::text ~ '(Ann|1391111|example)';
SELECT count(*) AS named FROM crm_member.member_merge g WHERE g::text ~ '(Ann|1391111|example)';
SELECT card_no, state FROM crm_member.card;
SELECT crm_member.unmerge(pg_temp.merge_of('m6'))->'families' AS families;
SELECT * FROM members WHERE member_id < 3;
SELECT * FROM crm_member.verify_ledger();

-- many at once, and nobody told to survive: a mobile, then the earliest, then the lowest number
INSERT INTO crm_member.member (member_id, joined_at) SELECT i, '2024-01-01' FROM generate_series(101, 160) AS i;
INSERT INTO crm_member.identity (kind, value, member_id) VALUES ('mobile', '13911110130', 130);
SELECT r->'survivor' AS survivor, jsonb_array_length(r->'merged') AS merged FROM crm_member.merge_members(NULL, ARRAY(SELECT generate_series(101, 160))::bigint[]) AS r;
SELECT r->'survivor' AS survivor FROM crm_member.merge_members(NULL, '{3,101}') AS r;
SELECT r->'survivor' AS survivor FROM crm_member.merge_members(NULL, '{3,4}') AS r;

-- who may
CREATE ROLE regress_merge_cashier;
CREATE ROLE regress_merge_manager;
SELECT crm_member.grant_access('regress_merge_cashier', 'cashier');
SELECT crm_member.grant_access('regress_merge_manager', 'manager');
SELECT r, f, has_function_privilege(r, f, 'EXECUTE')
  FROM unnest(ARRAY['regress_merge_cashier', 'regress_merge_manager']) AS r,
       unnest(ARRAY['crm_member.merge_members(bigint,bigint[],text,jsonb,boolean,text)', 'crm_member.unmerge(bigint,text,jsonb,text,boolean)',
                    'crm_member.erase_member(bigint,text,text,text,boolean)', 'crm_member.lock_member(bigint,boolean)']) AS f;
SET ROLE regress_merge_cashier;
SELECT crm_member.merge_members(1, '{2}');
RESET ROLE;
DROP OWNED BY regress_merge_cashier, regress_merge_manager;
DROP ROLE regress_merge_cashier, regress_merge_manager;
-- what members have together may not change: here a trigger of somebody's takes from what the merge writes
CREATE FUNCTION pg_temp.take_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.balance := NEW.balance - 1; RETURN NEW; END $$;
INSERT INTO crm_member.member (member_id) VALUES (901), (902);
SELECT crm_member.award_points(901, 10, 'x', 'a901'), crm_member.award_points(902, 20, 'x', 'a902');
CREATE TRIGGER take_one BEFORE UPDATE ON crm_member.points_account FOR EACH ROW WHEN (NEW.balance > OLD.balance) EXECUTE FUNCTION pg_temp.take_one();
SELECT crm_member.merge_members(901, '{902}', 'short');
\echo :LAST_ERROR_SQLSTATE
DROP TRIGGER take_one ON crm_member.points_account;
SELECT member_id, merged_into, crm_member.points_balance(member_id) FROM crm_member.member WHERE member_id > 900 ORDER BY 1;
DROP VIEW members;
DROP TABLE state, report;
