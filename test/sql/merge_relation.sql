--
-- What stands between members, and what they allow, across merges: referrals, relations,
-- consents, open cases; parts of one's own, and which of the values a survivor shows.
--
\getenv tests PG_ABS_SRCDIR
\set zone 'UTC'
\i :tests/sql/include/business.sql
INSERT INTO crm_member.member (member_id, joined_at) SELECT i, timestamptz '2024-01-01' + i * interval '1 day' FROM generate_series(1, 12) AS i;
CREATE FUNCTION pg_temp.merge_of(ref text) RETURNS bigint LANGUAGE sql AS $$ SELECT merge_id FROM crm_member.member_merge m WHERE m.ref = merge_of.ref $$;
CREATE FUNCTION pg_temp.standing() RETURNS TABLE (member bigint, referrer bigint, now_member bigint, now_referrer bigint, state text, rewarded numeric, flagged boolean) LANGUAGE sql AS $$
  SELECT member_id, referrer, now_member, now_referrer, state, rewarded, flagged FROM crm_member.referral_standing ORDER BY 1 $$;

-- referrals: 1 brought 2, 2 brought 3, 4 brought 5, 1 brought 6
SELECT crm_member.refer_member(2, 1, '2025-01-01', 'r2'), crm_member.refer_member(3, 2, '2025-01-02'), crm_member.refer_member(5, 4, '2025-01-03'), crm_member.refer_member(6, 1, '2025-01-04');
SELECT crm_member.refer_member(2, 1, '2025-01-01', 'r2') AS repeated;
\set VERBOSITY sqlstate
SELECT crm_member.refer_member(2, 4, '2025-01-01', 'r2');
INSERT INTO crm_member.member (member_id) VALUES (901), (902);
SELECT crm_member.refer_member(901, 902, ref => 'now');
SELECT crm_member.refer_member(901, 902, ref => 'now') AS repeated;
SELECT crm_member.refer_member(2, 4);
SELECT crm_member.refer_member(1, 1);
SELECT crm_member.refer_member(1, 3);
SELECT crm_member.refer_member(1, 99);
SELECT crm_member.refer_member(1, NULL);
SELECT crm_member.reward_referral(1, 10, 'nobody', 'x');
DELETE FROM crm_member.referral;
\set VERBOSITY default
SELECT crm_member.reward_referral(2, 10, 'brought 2', 'w2'), crm_member.reward_referral(2, 10, 'brought 2', 'w2') AS repeated,
       crm_member.reward_referral(5, 20, 'brought 5', 'w5'), crm_member.reward_referral(6, 5, 'brought 6', 'w6');
SELECT * FROM pg_temp.standing();
-- brought by itself, now; two brought one: the earlier counts, both were rewarded
SELECT crm_member.merge_members(1, '{2}', 'self')->'survivor' AS survivor;
SELECT crm_member.merge_members(5, '{6}', 'two')->'survivor' AS survivor;
SELECT * FROM pg_temp.standing();
SELECT crm_member.referrer_of(2), crm_member.referrer_of(3), crm_member.referrer_of(6);
SELECT crm_member.reward_referral(6, 20, 'brought 5', 'w5') AS repeated, crm_member.reward_referral(6, 7, 'more', 'w6b') AS of_4;
SELECT member_id, ref, referred, points FROM crm_member.referral_reward ORDER BY 1, 2;
-- a circle closed by a merge is cut at the latest
SELECT crm_member.refer_member(4, 3, '2025-02-01') AS by;
SELECT crm_member.merge_members(1, '{5}', 'circle')->'survivor' AS survivor;
SELECT * FROM pg_temp.standing();
SELECT m, crm_member.referrer_of(m) FROM generate_series(1, 6) AS m;
SELECT crm_member.unmerge(pg_temp.merge_of('circle'))->'undone', crm_member.unmerge(pg_temp.merge_of('two'))->'undone', crm_member.unmerge(pg_temp.merge_of('self'))->'undone';
SELECT * FROM pg_temp.standing();

-- relations: none with oneself, one of two
SELECT crm_member.relate_members(7, 8, since => '2025-01-01'), crm_member.relate_members(9, 8, since => '2024-06-01'), crm_member.relate_members(7, 9, 'parent');
\set VERBOSITY sqlstate
SELECT crm_member.relate_members(7, 7);
SELECT crm_member.relate_members(7, 99);
\set VERBOSITY default
SELECT crm_member.merge_members(7, '{9}', 'rel', '{}')->'kept'->'relations' AS relations;
SELECT member_id, other, relation, since AT TIME ZONE 'UTC' AS since FROM crm_member.related_member ORDER BY 1, 2;
SELECT crm_member.unrelate_members(8, 9) AS ended, crm_member.unrelate_members(8, 9) AS again;
SELECT crm_member.unmerge(pg_temp.merge_of('rel'))->'undone' AS undone;
SELECT member_id, other, relation FROM crm_member.related_member ORDER BY 1, 2;

-- consents: the stricter, unless somebody agreed explicitly after it
SELECT crm_member.may_contact(10, 'sms', 'marketing') AS unsaid;
SELECT crm_member.set_consent(10, 'sms', 'marketing', true, at => '2025-01-01', ref => 'c1'), crm_member.set_consent(11, 'sms', 'marketing', false, at => '2025-02-01'),
       crm_member.set_consent(10, 'email', 'marketing', false, at => '2025-01-01'), crm_member.set_consent(11, 'email', 'marketing', true, at => '2025-02-01'),
       crm_member.set_consent(10, 'wechat', 'marketing', false, at => '2025-01-01'), crm_member.set_consent(11, 'wechat', 'marketing', true, false, '2025-02-01');
SELECT crm_member.merge_members(10, '{11}', 'con')->'kept'->'consents' AS consents;
SELECT member_id, channel, granted, crm_member.may_contact(11, channel, purpose) = granted AS same FROM crm_member.consent_now ORDER BY 1, 2;
SELECT crm_member.set_consent(11, 'sms', 'marketing', true, at => '2025-03-01') AS agreed_again, crm_member.set_consent(10, 'sms', 'marketing', true, at => '2025-01-01', ref => 'c1') AS repeated;
\set VERBOSITY sqlstate
SELECT crm_member.set_consent(10, 'sms', 'marketing', false, ref => 'c1');
SELECT crm_member.set_consent(10, NULL, 'marketing', false);
UPDATE crm_member.consent SET granted = true;
\set VERBOSITY default
SELECT crm_member.unmerge(pg_temp.merge_of('con'))->'undone' AS undone;
SELECT member_id, channel, granted FROM crm_member.consent_now ORDER BY 1, 2;

-- who has something open is not merged; who asked to be forgotten either, or takes the others along
SELECT crm_member.open_case(12, 'dispute', 'stored value', 'd') IS NOT NULL AS opened, crm_member.open_case(12, 'dispute', 'stored value', 'd') IS NOT NULL AS again;
SELECT crm_member.merge_members(10, '{12}');
SELECT crm_member.merge_members(10, '{12}', dry_run => true);
SELECT crm_member.close_case(12, case_id, 'settled') AS closed FROM crm_member.member_case;
SELECT crm_member.open_case(10, 'erasure', 'asked') IS NOT NULL AS opened;
\set VERBOSITY sqlstate
SELECT crm_member.merge_members(10, '{12}');
SELECT crm_member.open_case(10, 'party', 'x');
\set VERBOSITY default
UPDATE crm_member.merge_part SET conflict = 'both' WHERE part = 'cases';
SELECT crm_member.merge_members(10, '{12}', 'case')->'survivor' AS survivor;
SELECT crm_member.erase_member(12, 'asked')->'members' AS members;
SELECT kind, closed_at IS NOT NULL AS closed, outcome FROM crm_member.member_case ORDER BY case_id;

-- tables of one's own: counted, one row a key, refused; a view is not read in the owner's name
CREATE SCHEMA shop;
CREATE TABLE shop.wish (member_id bigint, sku text, wished_on date, note text);
INSERT INTO shop.wish VALUES (1, 'a', '2025-02-01', 'one'), (2, 'a', '2025-01-01', 'two'), (2, 'b', '2025-01-01', 'three');
INSERT INTO crm_member.merge_part (part, relation, grouped_by, conflict, conflict_key, prefer) VALUES ('wishes', 'shop.wish', 'sku', 'one', '{sku}', 'wished_on');
SELECT r->'kept'->'wishes' AS wishes, r->'conflicts' AS conflicts FROM crm_member.merge_members(1, '{2}', 'wish', '{"override_distinct": true}') AS r;
SELECT * FROM crm_member.merge_conflict;
SELECT crm_member.unmerge(pg_temp.merge_of('wish'))->'conflicts' AS conflicts;
SELECT count(*) AS left_over FROM crm_member.merge_conflict;
UPDATE crm_member.merge_part SET conflict = 'refuse' WHERE part = 'wishes';
SELECT crm_member.merge_members(1, '{2}', policy => '{"override_distinct": true}');
CREATE VIEW shop.wished AS SELECT * FROM shop.wish;
UPDATE crm_member.merge_part SET relation = 'shop.wished' WHERE part = 'wishes';
SELECT crm_member.merge_members(1, '{2}', policy => '{"override_distinct": true}');
UPDATE crm_member.merge_part SET relation = 'shop.gone' WHERE part = 'wishes';
SELECT crm_member.merge_members(1, '{2}', policy => '{"override_distinct": true}');
DELETE FROM crm_member.merge_part WHERE part = 'wishes';

-- which values a survivor shows
UPDATE crm_member.member SET source = CASE member_id WHEN 3 THEN 'erp' WHEN 4 THEN 'web' ELSE 'pos' END,
       attrs = CASE member_id WHEN 3 THEN '{"city": "A", "size": "M", "visits": 3}' WHEN 4 THEN '{"city": "B", "street": "b", "visits": 12}' ELSE '{"id_type": "card", "id_number": "1", "size": "L"}' END::jsonb
 WHERE member_id IN (3, 4, 6);
INSERT INTO crm_member.person (member_id, name, mobile, email) VALUES (3, 'Al', '13911110003', 'a@x.org'), (4, 'Albert', '13911110004', 'b@x.org'), (6, 'Al', '13911110006', 'a@x.org');
INSERT INTO crm_member.identity (kind, value, member_id, bound_at) VALUES ('mobile', '13911110003', 3, '2024-05-01'), ('mobile', '13911110004', 4, '2024-06-01');
INSERT INTO crm_member.merge_source VALUES ('erp', 4, '1 day'), ('web', 3, '10 years');
CREATE FUNCTION pg_temp.shown(fields jsonb) RETURNS TABLE (name text, mobile text, email text, attrs jsonb, golden jsonb) LANGUAGE plpgsql AS $$
DECLARE
  merged jsonb := crm_member.merge_members(3, '{4,6}', policy => jsonb_build_object('fields', fields, 'override_distinct', true));
BEGIN
  RETURN QUERY SELECT p.name, p.mobile, p.email, m.attrs, merged->'golden'->'3' FROM crm_member.member m JOIN crm_member.person p USING (member_id) WHERE member_id = 3;
  PERFORM crm_member.unmerge((merged->>'merge_id')::bigint);
END $$;
SELECT * FROM pg_temp.shown('{}');
SELECT * FROM pg_temp.shown('{"name": "longest", "mobile": "verified", "email": "frequent", "attrs.visits": "max", "address": "latest"}');
SELECT * FROM pg_temp.shown('{"name": "trusted", "mobile": 6, "email": "max", "attrs.visits": "trusted", "attrs.size": "latest"}');
UPDATE crm_member.merge_field SET rule = 'longest' WHERE field = 'name';
SELECT * FROM pg_temp.shown('{"address": 4}');
SELECT name, mobile, email, attrs FROM crm_member.member JOIN crm_member.person USING (member_id) WHERE member_id = 3;
\set VERBOSITY sqlstate
SELECT crm_member.merge_members(3, '{4}', policy => '{"fields": {"addres": "min"}}');
SELECT crm_member.merge_members(3, '{4}', policy => '{"fields": {"attrs.x": "best"}}');
SELECT crm_member.merge_members(3, '{4}', policy => '{"fields": 7}');
\set VERBOSITY default
DROP SCHEMA shop CASCADE;
