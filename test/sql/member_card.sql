--
-- Cards: made ahead of use, issued, enabled, lost, replaced, cancelled.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = crm_member, public;

INSERT INTO card_type VALUES ('gold', 'Gold card', '2 years'), ('plain', 'Plain card', NULL);

-- made ahead of use
SELECT create_cards('gold', 1000, 'G', 1, 6, ref => 'b1', actor => 'press') AS cards;
SELECT create_cards('gold', 1000, 'G', 1, 6, ref => 'b1') AS same;
SELECT create_cards('plain', 3) AS cards;
SELECT card_type, min(card_no), max(card_no), count(*), bool_and(state = 'not_enabled' AND member_id IS NULL) AS unused FROM card GROUP BY card_type ORDER BY 1;
SELECT ref, card_type, first_card, cards, actor FROM card_batch ORDER BY first_card;
\set VERBOSITY sqlstate
SELECT create_cards('gold', 999, 'G', 1, 6, ref => 'b1');
SELECT create_cards('gold', 10, 'G', 1000, 6);
SELECT create_cards('gold', 11, 'G', 990, 3);
SELECT create_cards('gold', 0);
SELECT create_cards('gold', NULL);
SELECT create_cards('gold', 10000001);
SELECT create_cards('gold', 1, ' ');
SELECT create_cards('gold', 1, 'X', -1);
SELECT create_cards('gold', 1, 'X', 1, 19);
SELECT create_cards('silver', 1);
SELECT create_cards(NULL, 1);
\set VERBOSITY default
SELECT create_cards('gold', 10, 'G', 1000, 6);
SELECT count(*) FROM card;

-- issued, then enabled
SELECT register_member(name => 'A') AS a \gset
SELECT register_member(name => 'B') AS b \gset
SELECT issue_card(:a, 'G000001', ref => 'i1') = :a AS a, issue_card(:a, 'G000001', ref => 'i1') = :a AS a, issue_card(:a, ' G000001 ') = :a AS a;
SELECT state, effective_at, expires_at, issued_at IS NOT NULL AS issued FROM card WHERE card_no = 'G000001';
SELECT member_id('card', 'G000001') = :a AS a;
SELECT usable_card('G000001');
SELECT activate_card('G000001', ref => 'a1'), activate_card('G000001', ref => 'a1');
SELECT state, effective_at >= issued_at AS after FROM card WHERE card_no = 'G000001';
SELECT usable_card('G000001', effective_at) = :a AS a,
       expires_at = (effective_at AT TIME ZONE 'Asia/Shanghai' + interval '2 years') AT TIME ZONE 'Asia/Shanghai' AS two_years,
       usable_card('G000001', expires_at - interval '1 us') = :a AS until_then
  FROM card WHERE card_no = 'G000001';
\set VERBOSITY sqlstate
SELECT usable_card('G000001', expires_at) FROM card WHERE card_no = 'G000001';
SELECT usable_card('G000001', effective_at - interval '1 us') FROM card WHERE card_no = 'G000001';
SELECT usable_card('G000002');
SELECT usable_card('none');
\set VERBOSITY default
SELECT usable_card('G000002');
SELECT usable_card('none');
SELECT usable_card(NULL) AS none;

-- made at the counter
SELECT issue_card(:b, 'X1', 'plain') = :b AS b, activate_card('X1');
SELECT expires_at AS never, usable_card('X1', 'infinity') = :b AS b FROM card WHERE card_no = 'X1';
\set VERBOSITY sqlstate
SELECT issue_card(:b, 'X2');
SELECT issue_card(:b, 'X2', 'silver');
SELECT issue_card(:b, ' ', 'plain');
SELECT issue_card(:b, repeat('x', 65), 'plain');
SELECT issue_card(:b, 'G000003', 'plain');
SELECT issue_card(:b, 'G000001');
SELECT issue_card(42, 'G000003');
SELECT issue_card(NULL, 'G000003');
SELECT issue_card(:b, NULL);
SELECT issue_card(:b, 'G000001', ref => 'i1');
SELECT activate_card('none');
SELECT activate_card(NULL);
SELECT activate_card('G000003');
SELECT report_card_lost('G000003');
SELECT replace_card('G000003', 'G000004');
\set VERBOSITY default
SELECT issue_card(:b, 'G000001');

-- lost; judged by the time of the sale; found again with its old dates
BEGIN;
UPDATE card SET effective_at = effective_at - interval '1 day', expires_at = expires_at - interval '1 day' WHERE card_no = 'G000001';
SELECT report_card_lost('G000001', 'stolen', actor => 'desk'), report_card_lost('G000001');
SELECT usable_card('G000001', now() - interval '1 hour') = :a AS before, member_id('card', 'G000001') = :a AS a;
SAVEPOINT s;
SELECT usable_card('G000001', now());
ROLLBACK TO s;
SELECT activate_card('G000001');
SELECT usable_card('G000001', now()) = :a AS a, effective_at < now() - interval '23 hours' AS kept FROM card WHERE card_no = 'G000001';
ROLLBACK;

-- replaced: the old number finds the member for ever, and buys nothing
SELECT report_card_lost('G000001', ref => 'l1'), report_card_lost('G000001', ref => 'l1');
SELECT replace_card('G000001', 'G000010', ref => 'p1'), replace_card('G000001', 'G000010', ref => 'p1'), replace_card('G000001', 'G000010');
SELECT replace_card('X1', 'X9');
SELECT card_no, card_type, state, replaced_by, member_id = :a AS a FROM card WHERE member_id IN (:a, :b) ORDER BY card_no;
SELECT usable_card('G000010') = :a AS a, member_id('card', 'G000001') = :a AS a, usable_card('X9') = :b AS b;
SELECT usable_card('G000001');
\set VERBOSITY sqlstate
SELECT replace_card('G000001', 'G000011');
SELECT replace_card('G000010', NULL);
SELECT replace_card('G000010', 'X9');
SELECT replace_card('G000010', 'G000010');
SELECT replace_card('G000010', 'G000012', 'plain');
SELECT replace_card('G000001', 'G000012', ref => 'p1');
SELECT activate_card('G000001');
SELECT report_card_lost('G000001');

-- cancelled, with a member or without
SELECT cancel_card('G000010', 'fee not paid', ref => 'c1'), cancel_card('G000010', 'fee not paid', ref => 'c1'), cancel_card('G000020');
SELECT cancel_card('none');
SELECT cancel_card('G000010', 'other', ref => 'c1');
SELECT activate_card('G000010');
SELECT issue_card(:a, 'G000020');
SELECT usable_card('G000010');
SELECT cancel_card('G000010', 'again', ref => 'c2');
SELECT activate_card('X9', ref => 'c3'), report_card_lost('X9');
SELECT report_card_lost('X9', ref => 'c3');
\set VERBOSITY default
SELECT card_no, act, state, ref, detail, actor FROM card_event ORDER BY event_id;

-- a member registered later on a card made ahead: enabled at once
SELECT register_member(name => 'C', card_no => 'G000100', actor => 'till') AS c \gset
SELECT usable_card('G000100') = :c AS c;
SELECT register_member(name => 'D', card_no => 'Y1', card_type => 'gold', joined_at => '2020-01-31 00:00+08') AS d \gset
SELECT effective_at = '2020-01-31 00:00+08' AS as_joined, expires_at = '2022-01-31 00:00+08' AS two_years FROM card WHERE card_no = 'Y1';
\set VERBOSITY sqlstate
SELECT register_member(name => 'E', card_no => 'none');
SELECT register_member(name => 'E', card_no => 'G000100');
SELECT register_member(name => 'E', card_no => 'G000020');
SELECT register_member(name => 'E', card_no => 'G000101', card_type => 'plain');
SELECT register_member(name => 'E', card_no => 'Y2', card_type => 'silver');
SELECT set_member_status(:d, 'cancelled');
SELECT issue_card(:d, 'G000200');
\set VERBOSITY default
SELECT register_member(name => 'E', card_no => 'none');
SELECT count(*) FROM person WHERE name = 'E';

-- a merged member's card belongs to the survivor
UPDATE member SET status = 'merged', merged_into = :a WHERE member_id = :c;
SELECT usable_card('G000100') = :a AS a, member_id('card', 'G000100') = :a AS a, issue_card(:a, 'G000100') = :a AS held;
