--
-- Cards and gifts of members that are merged: which are used, which card stands for
-- the member, and all of it back when the merge is undone.
--
\getenv tests PG_ABS_SRCDIR
\set zone 'UTC'
\i :tests/sql/include/business.sql
INSERT INTO crm_member.member (member_id, joined_at) SELECT i, timestamptz '2024-01-01' + i * interval '1 day' FROM generate_series(1, 5) AS i;
SELECT count(crm_member.issue_card(i, 'C' || i, 'standard')) FROM generate_series(1, 3) AS i;
SELECT count(crm_member.issue_card(i, 'D' || i, 'standard')) FROM generate_series(1, 3) AS i;
UPDATE crm_member.card SET state = 'enabled', effective_at = now() - interval '3 days' - right(card_no, 1)::int * interval '1 hour' WHERE card_no LIKE 'C%' OR card_no = 'D1';
CREATE FUNCTION pg_temp.merge_of(ref text) RETURNS bigint LANGUAGE sql AS $$ SELECT merge_id FROM crm_member.member_merge m WHERE m.ref = merge_of.ref $$;
CREATE VIEW cards AS SELECT card_no, member_id, crm_member.member_id('card', card_no) AS finds, state, aside_since IS NOT NULL AS aside,
                            card_no = crm_member.primary_card(member_id) AS stands FROM crm_member.card ORDER BY 1;

-- one card stands for the member: the chosen one, or the one that was enabled first
SELECT * FROM cards;
SELECT crm_member.set_primary_card('D1', 'choose'), crm_member.set_primary_card('D1', 'choose'), crm_member.set_primary_card('D1');
SELECT act, ref FROM crm_member.card_event WHERE act = 'set_primary_card';
SELECT crm_member.primary_card(1), crm_member.primary_card(4) AS none, crm_member.primary_card(99) AS unknown;
SELECT crm_member.replace_card('D1', 'E1');
SELECT crm_member.primary_card(1);
\set VERBOSITY sqlstate
SELECT crm_member.set_primary_card(NULL);
SELECT crm_member.set_primary_card('none');
SELECT crm_member.set_primary_card('D2');
SELECT crm_member.set_primary_card('D1');
SELECT crm_member.merge_members(1, '{2}', policy => '{"cards": "burn"}');
SELECT crm_member.merge_members(1, '{2}', policy => '{"cards": 1}');
SELECT crm_member.merge_members(1, '{2}', policy => '{"coupons": "burn"}');
SELECT crm_member.merge_members(1, '{2}', policy => '{"coupons": [1]}');
SELECT crm_member.merge_members(1, '{2}', policy => '{"coupons": {"a": 1}}');
\set VERBOSITY default

-- all stay, and the survivor's stands for both
SELECT r->'survivor' AS survivor, r->'coupons' AS coupons FROM crm_member.merge_members(1, '{2}', 'keep') AS r;
SELECT crm_member.usable_card('C2'), crm_member.primary_card(2);
SELECT crm_member.set_primary_card('C2');
SELECT crm_member.primary_card(1);
SELECT jsonb_path_query_array(crm_member.member_360(1), '$.cards[*] ? (@.primary == true).card_no') AS stands;
SELECT crm_member.unmerge(pg_temp.merge_of('keep'))->'undone' AS undone;
SELECT crm_member.primary_card(1), crm_member.primary_card(2);

-- those of who is merged away are not used any more; they are found for ever
SELECT crm_member.merge_members(1, '{2}', 'cards', '{"cards": "deactivate", "override_distinct": true}')->'survivor' AS survivor;
SELECT * FROM cards;
\set VERBOSITY terse
SELECT crm_member.usable_card('C2');
SELECT crm_member.usable_card('C2', now() - interval '1 hour') AS sold_before_it;
SELECT crm_member.checkout('{"ref": "s", "identity": {"kind": "card", "value": "C2"}, "lines": [{"price": 1}]}') IS NULL;
SELECT crm_member.replace_card('C2', 'F2');
SELECT crm_member.set_primary_card('C2');
\set VERBOSITY default
SELECT crm_member.report_card_lost('C2', 'x', 'lost');
-- merged on, by a merge that keeps them: what the first said holds
SELECT crm_member.merge_members(3, '{1}', 'on', '{"override_distinct": true}')->'survivor' AS survivor;
SELECT * FROM cards;
SELECT crm_member.unmerge(pg_temp.merge_of('cards'))->'undone' AS undone;
SELECT * FROM cards;
SELECT crm_member.activate_card('C2');
SELECT crm_member.usable_card('C2');
SELECT crm_member.unmerge(pg_temp.merge_of('on'))->'undone' AS undone;
-- as the settings say, at the time of the merge
UPDATE crm_member.merge_policy SET cards = 'deactivate', coupons = 'void';
SELECT crm_member.merge_members(3, '{2}', 'set', '{"override_distinct": true}')->'survivor' AS survivor;
SELECT cards, coupons FROM crm_member.merge_edge WHERE merge_id = pg_temp.merge_of('set');
UPDATE crm_member.merge_policy SET cards = 'keep', coupons = 'keep';
SELECT count(*) AS aside FROM cards WHERE aside;
SELECT crm_member.unmerge(pg_temp.merge_of('set'))->'undone' AS undone;
SELECT count(*) AS aside FROM cards WHERE aside;

-- gifts for one person, held twice
INSERT INTO crm_member.coupon_template (template_code, kind, value, member_limit) VALUES ('welcome', 'amount', 5, 1), ('birthday', 'amount', 5, NULL), ('free', 'amount', 5, NULL);
SELECT count(crm_member.issue_coupon(t, m, t || m)) FROM unnest('{welcome,birthday,free}'::text[]) t, generate_series(1, 4) m;
UPDATE crm_member.coupon SET issued_at = now() - interval '1 day' * CASE member_id WHEN 1 THEN 2 WHEN 2 THEN 3 WHEN 3 THEN 9 ELSE 1 END;
CREATE VIEW gifts AS SELECT template_code, member_id, status FROM crm_member.coupon WHERE status <> 'active' ORDER BY 1, 2;
SELECT crm_member.merge_members(1, '{2}', 'g', '{"override_distinct": true}')->'coupons' AS kept;
SELECT crm_member.unmerge(pg_temp.merge_of('g'))->'coupons' AS back;
SELECT crm_member.merge_members(1, '{2}', 'h', '{"coupons": "void", "override_distinct": true}', dry_run => true)->'coupons' AS rehearsed;
SELECT * FROM gifts;
SELECT crm_member.merge_members(1, '{2}', 'h', '{"coupons": "void", "override_distinct": true}')->'coupons' AS welcome;
SELECT v.sqlstate FROM crm_member.coupon c CROSS JOIN LATERAL crm_member.validate_coupon(c.code, '{"member_id": 1, "lines": [{"price": 100}]}') v WHERE c.status = 'void';
-- a third who got it before both: hers stays
SELECT crm_member.merge_members(1, '{3,4}', 'i', '{"coupons": ["birthday"], "override_distinct": true}')->'coupons' AS birthday;
SELECT * FROM gifts;
-- the middle undone, and then the rest
SELECT crm_member.unmerge(pg_temp.merge_of('h'))->'coupons' AS back;
SELECT * FROM gifts;
SELECT discount FROM crm_member.redeem_coupon((SELECT code::text FROM crm_member.coupon WHERE template_code = 'birthday' AND member_id = 3), '{"member_id": 1, "lines": [{"price": 100}]}', 'used');
SELECT crm_member.unmerge(pg_temp.merge_of('i'))->'coupons' AS back;
SELECT * FROM gifts;
SELECT member_id, act, count(*) FROM crm_member.coupon_event WHERE act IN ('void', 'restore') GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS noted FROM crm_member.merged_coupon;
-- what somebody used counts as got, an expired one does not, one in a cart stays
UPDATE crm_member.coupon SET valid_to = '2020-01-01' WHERE template_code = 'welcome' AND member_id = 3;
SELECT crm_member.hold_coupon((SELECT code::text FROM crm_member.coupon WHERE template_code = 'welcome' AND member_id = 1), 'cart') IS NOT NULL AS held;
SELECT crm_member.merge_members(3, '{1,2,4}', 'j', '{"coupons": ["welcome", "birthday"], "override_distinct": true}')->'coupons' AS coupons;
SELECT crm_member.unmerge(pg_temp.merge_of('j'), policy => '{"only": [2]}')->'coupons' AS one_back;
SELECT crm_member.unmerge(pg_temp.merge_of('j'))->'coupons' AS all_back;
SELECT * FROM gifts;
-- what is given to them together is no gift held twice, whoever is merged and taken out again later
SELECT crm_member.merge_members(1, '{2}', 'k', '{"coupons": "void", "override_distinct": true}')->'coupons' AS coupons;
SELECT crm_member.issue_coupon('welcome', 1, 'again') IS NOT NULL AS issued;
SELECT crm_member.merge_members(1, '{4}', 'l', '{"coupons": ["free"], "override_distinct": true}')->'coupons' AS coupons;
SELECT * FROM gifts;
SELECT crm_member.unmerge(pg_temp.merge_of('l'))->'coupons' AS back;
SELECT crm_member.unmerge(pg_temp.merge_of('k'))->'coupons' AS back;
SELECT * FROM gifts;
SELECT * FROM crm_member.verify_ledger();
DROP VIEW cards, gifts;
