--
-- When points expire: every policy, at the instants where one day, month or year
-- ends and another begins, in a time zone with summer time.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'America/New_York');
RESET client_min_messages;
SET search_path = crm_member, public;
SET timezone = 'America/New_York';
SET datestyle = 'ISO';
SELECT register_member(source => 'test', external_id => '1') AS one \gset
SELECT register_member(source => 'test', external_id => '2') AS two \gset

SELECT e, is_expiry(e) FROM unnest(ARRAY['never', 'Never', '12 months', '36 hours', 'end of month', 'end of month + 2', 'end of year+1', '2019-12-31', 'inactive 12 months', 'INACTIVE 90 days',
  '', 'sometimes', '-1 day', '0 days', '12', '1 day 12', 'inactive 12', ' 12.5 ', '12months', '1 day 12:00', 'P1Y', 'end of month -1', 'end of month + x', 'end of year + 1001', 'end of week', '2019-02-30', 'inactive', 'inactive never', 'inactive 2019-12-31', 'inactive end of year', 'inactive -1 day',
  '1000 years', '12 months -1 day', '1 day -23 hours', '-1 day 36 hours', '1 month -28 days',
  '1001 years', '100000000 years', '400000 days', '99999999 hours', 'inactive 2000 years', '1 month -29 days', '1 month -672 hours', '1 day -24 hours', '1 year -1 year', '-178000000 years', 'infinity', 'end of month + 4294967297', 'end of month + 99999999999999999999']) e;
-- what is refused says why
INSERT INTO points_type (points_type, name, expiry) VALUES ('x', 'X', '100000000 years');
INSERT INTO points_type (points_type, name, expiry) VALUES ('x', 'X', '12');
INSERT INTO points_rule (rule_code, award, expiry) VALUES ('x', 'fixed', '0 days');
INSERT INTO points_rule (rule_code, award, expiry) VALUES ('x', 'fixed', 'end of month + 1001');
INSERT INTO tier (tier_code, name, rank, validity) VALUES ('x', 'X', 1, 'rolling 1 year');
INSERT INTO points_rule (rule_code, award, pending) VALUES ('x', 'fixed', '100000 years');
INSERT INTO points_type (points_type, name, reinstatement) VALUES ('x', 'X', '100000 years');
SELECT count(*) FROM simulate_rules('2026-01-01', '2026-02-01', '[{"award": "fixed", "expiry": "-1 day"}]');

-- one type a policy, one lot a moment
INSERT INTO points_type (points_type, name, expiry)
SELECT 'p' || n, e, e FROM unnest(ARRAY['never', '12 months', '36 hours', '1 day', '1 month', 'end of month', 'end of month + 1', 'end of year', 'end of year + 1', '2019-12-31']) WITH ORDINALITY AS u (e, n);
CREATE VIEW lapse AS SELECT t.expiry AS policy, l.earned_at, l.expires_at FROM points_lot l JOIN points_type t USING (points_type) ORDER BY substr(points_type, 2)::int, earned_at;
SELECT count(award_points(:one, 1, 'x', format('%s %s', p, at), p, at => at))
FROM (SELECT 'p' || n AS p FROM generate_series(1, 10) n) p,
     (SELECT a::timestamptz AS at FROM unnest(ARRAY[
       '2019-03-09 12:00',             -- summer time begins at 02:00 of the next day
       '2019-11-02 12:00',             -- ... and ends at 02:00 of the next day
       '2019-01-31 23:59:59.999999',   -- the last instant of a month, and the first of the next
       '2019-02-01 00:00',
       '2018-12-31 23:59:59.999999',   -- of a year
       '2019-01-01 00:00',
       '2020-02-29 00:30',             -- a day that the next year has not
       '2019-02-28 23:59']) a) a
WHERE p <> 'p10' OR at < '2019-12-31';
SELECT * FROM lapse;

-- at the instant itself it is expired, just before it is not
SELECT count(*) > 100 AS many, bool_and(points_balance(:one, points_type, at) = (SELECT count(*) FROM points_lot o WHERE o.points_type = l.points_type AND o.earned_at <= at AND o.expires_at > at)) AS right
FROM points_lot l, unnest(ARRAY[l.expires_at - interval '1 microsecond', l.expires_at]) at WHERE l.expires_at < 'infinity';
-- hours pass as they do where the clocks are set, too: half of one, begun before they go back and forward
INSERT INTO points_type (points_type, name, expiry, hold_period) VALUES ('p30', 'p30', '30 minutes', '30 minutes');
SELECT award_points(:two, 5, 'x', 'h ' || at, 'p30', at => at), hold_points(:two, 5, 'x', 'k ' || at, 'p30', at => at)
FROM unnest(ARRAY['2019-11-03 01:50-04', '2019-03-10 01:50-05']::timestamptz[]) at;
SELECT l.earned_at, l.expires_at - l.earned_at AS lasts, h.expires_at - h.held_at AS binds FROM points_lot l JOIN points_hold h ON h.member_id = l.member_id AND h.held_at = l.earned_at WHERE l.points_type = 'p30' ORDER BY 1;

\set VERBOSITY sqlstate
SELECT award_points(:two, 5, 'x', 'w1', at => '2019-01-01', expires_at => '2019-02-01') AS won;
SELECT spend_points(:two, 1, 'x', 's1', at => '2019-02-01');
SELECT spend_points(:two, 1, 'x', 's2', at => '2019-01-31 23:59:59.999999');
SELECT award_points(:two, 1, 'x', 'w2', at => '2019-01-01', expires_at => '2019-01-01');
SELECT award_points(:two, 1, 'x', 'w2', at => '2019-01-01', available_at => '2019-03-01', expires_at => '2019-03-01');
\set VERBOSITY default

-- pending: not to be spent before the instant, and the clock starts then
INSERT INTO points_type (points_type, name, expiry) VALUES ('late', 'Late', '1 month');
SELECT award_points(:two, 7, 'x', 'l1', 'late', at => '2019-01-10 10:00', available_at => '2019-01-31 10:00');
SELECT available_at, expires_at FROM points_lot WHERE points_type = 'late';
SELECT points_balance(:two, 'late', '2019-01-31 09:59:59.999999') AS before, points_balance(:two, 'late', '2019-01-31 10:00') AS at;
\set VERBOSITY sqlstate
SELECT spend_points(:two, 7, 'x', 'l2', 'late', '2019-01-31 09:59:59.999999');
\set VERBOSITY default
SELECT spend_points(:two, 7, 'x', 'l2', 'late', '2019-01-31 10:00');

-- given back after the expiry: for as long as the points type says, through the end of that day
INSERT INTO points_type (points_type, name, reinstatement) VALUES ('back', 'Back', '10 days'), ('gone', 'Gone', NULL);
SELECT count(award_points(:two, 9, 'x', 'b1' || t, t, at => '2019-10-01', expires_at => '2019-11-01')), count(spend_points(:two, 9, 'x', 'b2' || t, t, '2019-10-02')) FROM unnest(ARRAY['back', 'gone']) t;
SELECT reverse_points('b2back', :two, 4, reversal_ref => 'b3', at => '2019-10-31 23:59:59.999999') AS "in time", reverse_points('b2back', :two, at => '2019-11-01') AS "too late",
       reverse_points('b2gone', :two, at => '2019-11-01') AS gone;
SELECT points_type, lot_no, points, remaining, expires_at FROM points_lot WHERE points_type IN ('back', 'gone') ORDER BY 1, 2;
SELECT points_type, points_balance(:two, points_type, '2019-10-31 23:59:59.999999') AS oct, points_balance(:two, points_type, '2019-11-01') AS nov, points_balance(:two, points_type, '2019-11-11 23:59:59') AS last, points_balance(:two, points_type, '2019-11-12') AS over
FROM points_type WHERE points_type IN ('back', 'gone') ORDER BY 1;

-- inactivity: whoever earns or spends keeps what is left
INSERT INTO points_type (points_type, name, expiry, money_value) VALUES ('alive', 'Alive', 'inactive 3 months', 0.1);
INSERT INTO points_rule (rule_code, award, points, points_type) VALUES ('alive', 'per_amount', 1, 'alive');
CREATE FUNCTION pg_temp.lots() RETURNS TABLE (lot_no bigint, remaining numeric, expires_at timestamptz, first timestamptz) LANGUAGE sql AS $$
  SELECT l.lot_no, l.remaining, l.expires_at, a.expires_at FROM crm_member.points_lot l JOIN crm_member.points_account a USING (member_id, points_type)
   WHERE l.points_type = 'alive' AND l.member_id = crm_member.member_id('external:test', '1') ORDER BY 1 $$;
SELECT award_points(:one, 10, 'x', 'i1', 'alive', at => '2019-01-15');
SELECT award_points(:one, 10, 'x', 'i2', 'alive', at => '2019-02-15', expires_at => '2019-03-20');
SELECT award_points(:one, 10, 'never', 'i3', 'alive', at => '2019-02-15', expires_at => 'infinity');
SELECT * FROM pg_temp.lots();
SELECT spend_points(:one, 10, 'x', 'i4', 'alive', '2019-03-19 23:59');
SELECT * FROM pg_temp.lots();
-- a sale is activity; a correction, a hold and a gift from another member are not
SELECT checkout(jsonb_build_object('ref', 'S1', 'member_id', :one, 'sold_at', '2019-05-30 12:00', 'lines', '[{"price": 5}]'::jsonb)) ->> 'payable' AS paid;
SELECT * FROM pg_temp.lots();
SELECT adjust_points(:one, 1, 'x', 'i5', 'alive', at => '2019-06-15', actor => 'ann') > 0 AS adjusted, hold_points(:one, 12, 'x', 'i6', 'alive', at => '2019-06-16', expires_at => '2019-12-01') > 0 AS held;
SELECT * FROM pg_temp.lots();
-- what is held comes back to lots that lived on meanwhile
SELECT checkout(jsonb_build_object('ref', 'S2', 'member_id', :one, 'sold_at', '2019-08-01 12:00', 'lines', '[{"price": 1}]'::jsonb)) ->> 'payable' AS paid;
SELECT release_points(:one, 'i6', at => '2019-10-15') > 0 AS released;
SELECT * FROM pg_temp.lots();
-- so does what was spent and is given back
SELECT reverse_points('i4', :one, at => '2019-10-16') > 0 AS returned;
SELECT * FROM pg_temp.lots();
SELECT * FROM verify_ledger();
-- what expired stays expired, whether or not it was booked; what does not, does not
SELECT points_balance(:one, 'alive', '2019-11-01 23:59:59') AS last, points_balance(:one, 'alive', '2019-11-02') AS over;
SELECT award_points(:one, 3, 'x', 'i7', 'alive', at => '2019-11-02');
SELECT points_balance(:one, 'alive', '2019-11-03');
CALL expire_points('2020-01-01');
SELECT points_balance(:one, 'alive', '2020-01-02') AS "booked alike", points_balance(:one, 'alive', '2020-02-02 23:59') AS last, points_balance(:one, 'alive', '2020-02-03') AS over;
-- a sale that comes late moves nothing back
SELECT checkout(jsonb_build_object('ref', 'S3', 'member_id', :one, 'sold_at', '2019-10-20 12:00', 'lines', '[{"price": 2}]'::jsonb)) ->> 'payable' AS paid;
SELECT * FROM pg_temp.lots();
-- rows are activity like checkout
INSERT INTO sale (member_id, sale_id, source, ref, sold_at) VALUES (:one, 1, 'till', 'B1', '2020-01-10 12:00');
INSERT INTO sale_line (member_id, sale_id, line_no, quantity, price) VALUES (:one, 1, 1, 1, 4);
SELECT * FROM pg_temp.lots();
SELECT * FROM verify_ledger();
\set VERBOSITY sqlstate
INSERT INTO points_rule (rule_code, award, points, expiry) VALUES ('r', 'fixed', 1, 'inactive 1 month');
INSERT INTO tier (tier_code, name, rank, validity) VALUES ('t', 'T', 1, 'inactive 1 month');
INSERT INTO points_type (points_type, name, expiry) VALUES ('r', 'R', 'inactive');

-- what is given back so late that its new life is over too, and booked, is booked as expired at once
\set VERBOSITY default
SELECT award_points(:two, 6, 'x', 'b4', 'back', at => '2021-01-10', expires_at => '2021-02-01') > 0 AS given, spend_points(:two, 6, 'x', 'b5', 'back', '2021-01-11') AS spent;
CALL expire_points('2021-06-01');
SELECT reverse_points('b5', :two, at => '2021-02-05') AS "given back";
SELECT points_balance(:two, 'back', '2021-02-06') AS then, points_balance(:two, 'back') AS now;
SELECT kind, points, balance, at FROM points_entry WHERE member_id = :two AND points_type = 'back' ORDER BY entry_no DESC LIMIT 2;
SELECT * FROM verify_ledger();

-- decimals are not lowered below what there is, and are where there is nothing
INSERT INTO points_type (points_type, name, decimals) VALUES ('fine', 'Fine', 4);
SELECT award_points(:two, 2.5, 'x', 'd1', 'fine') AS given, spend_points(:two, 2.5, 'x', 'd2', 'fine') AS spent;
UPDATE points_type SET decimals = 1 WHERE points_type = 'fine';
UPDATE points_type SET decimals = 0 WHERE points_type = 'fine';
SELECT decimals, points_balance(:two, 'fine') FROM points_type WHERE points_type = 'fine';
-- nor is what is paid with them in other parts than there are
UPDATE points_type SET tender_multiple = 0.25 WHERE points_type = 'fine';

-- what was done is answered as the first time, whatever became of the members since
CREATE FUNCTION pg_temp.late(a bigint, b bigint, n numeric DEFAULT 0) RETURNS TABLE (act text, balance numeric) LANGUAGE sql AS $$
  VALUES ('award', award_points(a, 50 + n, 'x', 'late1', 'fine')), ('spend', spend_points(a, 5 + n, 'x', 'late2', 'fine')), ('hold', hold_points(a, 5 + n, 'x', 'late3', 'fine')),
         ('transfer', transfer_points(a, b, 5 + n, 'x', 'late4', 'fine')), ('more', adjust_points(a, 5 + n, 'x', 'late5', 'fine', actor => 'y')), ('less', adjust_points(a, -5 - n, 'x', 'late6', 'fine', actor => 'y')) $$;
CREATE TEMP TABLE first AS SELECT * FROM pg_temp.late(:two, :one);
SELECT * FROM first;
SELECT set_member_status(:two, 'cancelled', 'gone') IS NOT NULL AS cancelled, set_member_status(:one, 'inactive', 'away') IS NOT NULL AS inactive;
SELECT act, l.balance = f.balance AS as_before FROM pg_temp.late(:two, :one) AS l JOIN first AS f USING (act);
\set VERBOSITY sqlstate
SELECT pg_temp.late(:two, :one, 1);
SELECT award_points(:two, 50, 'x', 'late7', 'fine');
SELECT transfer_points(:two, :one, 5, 'x', 'late8', 'fine');
SELECT * FROM verify_ledger();
