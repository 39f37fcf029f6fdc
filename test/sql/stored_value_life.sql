--
-- Stored value: topping up, spending, authorising, giving back, closing.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/utc.sql
SELECT register_member(source => 'test', external_id => '1') AS one \gset
SELECT register_member(source => 'test', external_id => '2') AS two \gset
CREATE VIEW act AS SELECT kind, ref, of_ref, amount, principal, gift, balance FROM stored_value_act ORDER BY member_id, booked_at, at, ref;

-- gifts: the highest single policy, and a cumulative one passed
INSERT INTO stored_value_policy (policy_code, basis, reach, gift, repeats) VALUES
  ('s100', 'single', 100, 10, false), ('s500', 'single', 500, 80, false), ('c300', 'cumulative', 300, 25, false);
INSERT INTO stored_value_policy (policy_code, reach, gift, valid_from, valid_to) VALUES ('gone', 1, 1000, '2025-01-01', '2025-12-31');
SELECT top_up_stored_value(:one, 99.99, 'cash', 't1', at => '2026-01-01');
SELECT top_up_stored_value(:one, 200, 'cash', 't2', at => '2026-01-02');
SELECT top_up_stored_value(:one, 200, 'cash', 't2', at => '2026-01-02');
SELECT top_up_stored_value(:one, 100.01, 'cash', 't3', at => '2026-01-03');
SELECT top_up_stored_value(:one, 0.01, 'cash', 't4', gift => 5, at => '2026-01-04');
SELECT kind, ref, amount, principal, gift, balance FROM act;
UPDATE stored_value_policy SET active = false;
INSERT INTO stored_value_policy (policy_code, reach, gift, repeats, expiry) VALUES ('each', 100, 10, true, '1 month');
SELECT top_up_stored_value(:two, 250, 'cash', 't1', at => '2026-01-01');
SELECT points_type, points, expires_at FROM points_lot WHERE member_id = :two ORDER BY 1;

-- spending falls on both in proportion, by the balance there is
SELECT spend_stored_value(:two, 27, 's', 's1', at => '2026-01-02');
SELECT spend_stored_value(:two, 27, 's', 's1', at => '2026-01-02');
SELECT spend_stored_value(:two, 8.21, 's', 's2', at => '2026-01-02');
-- given back in the proportion it was taken in, in parts that end at the whole
SELECT return_stored_value(:two, 's2', 3.33, return_ref => 'r1', at => '2026-01-03');
SELECT return_stored_value(:two, 's2', 3.33, return_ref => 'r1', at => '2026-01-03');
SELECT return_stored_value(:two, 's2', 3.33, return_ref => 'r2', at => '2026-01-03');
SELECT return_stored_value(:two, 's2', return_ref => 'r3', at => '2026-01-03');
-- the other ways to take it
UPDATE stored_value_setting SET spending = 'principal_first';
SELECT spend_stored_value(:two, 10, 's', 's3', at => '2026-01-04');
UPDATE stored_value_setting SET spending = 'gift_first';
SELECT spend_stored_value(:two, 10, 's', 's4', at => '2026-01-04');
UPDATE stored_value_setting SET spending = 'pro_rata';
SELECT * FROM act WHERE ref ~ '^[sr]';

-- authorise, capture in parts, void
SELECT authorise_stored_value(:one, 100, 'table', 'h1', at => '2026-01-05', expires_at => '2026-01-10');
SELECT authorise_stored_value(:one, 100, 'table', 'h1', at => '2026-01-05', expires_at => '2026-01-10');
SELECT capture_stored_value(:one, 'h1', 33.33, capture_ref => 'c1', release_rest => false, at => '2026-01-06');
SELECT capture_stored_value(:one, 'h1', 33.33, capture_ref => 'c1', release_rest => false, at => '2026-01-06');
SELECT capture_stored_value(:one, 'h1', 33.33, capture_ref => 'c2', release_rest => false, at => '2026-01-06');
SELECT void_stored_value(:one, 'h1', void_ref => 'v1', at => '2026-01-07');
SELECT void_stored_value(:one, 'h1', void_ref => 'v1', at => '2026-01-07');
SELECT authorise_stored_value(:one, 50, 'table', 'h2', at => '2026-01-08');
SELECT capture_stored_value(:one, 'h2', 20, capture_ref => 'c3', at => '2026-01-08');
SELECT return_stored_value(:one, 'c3', return_ref => 'r1', at => '2026-01-09');
SELECT authorise_stored_value(:one, 50, 'late', 'h3', at => '2026-01-10', expires_at => '2026-01-11');
SELECT points_balance(:one, 'stored_value', '2026-01-10 12:00') AS held, points_balance(:one, 'stored_value', '2026-01-11') AS timed_out;
SELECT kind, ref, of_ref, amount, principal, gift, balance FROM act WHERE ref ~ '^[hcv]' OR ref = 'r1';

-- a balance that must stay, or an overdraft; never both
UPDATE stored_value_setting SET min_balance = 20;
\set VERBOSITY sqlstate
UPDATE stored_value_setting SET overdraft = 1;
SELECT spend_stored_value(:two, (SELECT balance FROM act WHERE ref = 's4') - 19.99, 's', 's5', at => '2026-01-05');
\set VERBOSITY default
SELECT spend_stored_value(:two, (SELECT balance FROM act WHERE ref = 's4') - 20, 's', 's5', at => '2026-01-05');
UPDATE stored_value_setting SET min_balance = 0, overdraft = 30;
SELECT spend_stored_value(:two, 45, 's', 's6', at => '2026-01-05');
\set VERBOSITY sqlstate
SELECT spend_stored_value(:two, 5.01, 's', 's7', at => '2026-01-05');
SELECT authorise_stored_value(:two, 1, 'no overdraft', 'h1', at => '2026-01-05');
SELECT close_stored_value(:two, 'bye', 'x1', at => '2026-01-05');
\set VERBOSITY default
SELECT principal, gift, held, debt FROM stored_value_account WHERE member_id = :two;
SELECT top_up_stored_value(:two, 100, 'cash', 't2', gift => 0, at => '2026-01-06');
-- what was overdrawn and paid since comes back as principal
SELECT return_stored_value(:two, 's6', return_ref => 'r6', at => '2026-01-07');
SELECT principal, gift, held, debt FROM stored_value_account WHERE member_id = :two;

-- top-ups may earn points
UPDATE stored_value_setting SET overdraft = 0, points_per = 0.5;
SELECT top_up_stored_value(:two, 9.99, 'cash', 't3', at => '2026-01-08'), points_balance(:two);
SELECT points_balance(:two);

-- closing pays out the principal, the gift is taken back
SELECT principal, gift, held, debt FROM stored_value_account WHERE member_id = :two;
SELECT close_stored_value(:two, 'bye', 'x2', at => '2026-01-09');
SELECT close_stored_value(:two, 'bye', 'x2', at => '2026-01-09');
SELECT principal, gift, held, debt FROM stored_value_account WHERE member_id = :two;
SELECT * FROM act WHERE kind = 'close';
SELECT part, members, available, held, debt FROM stored_value_liability ORDER BY 1;

-- the points functions leave stored value alone
\set VERBOSITY sqlstate
SELECT award_points(:one, 1, 'x', 'p1', 'stored_value');
SELECT spend_points(:one, 1, 'x', 'p1', 'stored_value_gift');
SELECT transfer_points(:one, :two, 1, 'x', 'p1', 'stored_value');
SELECT reverse_points('stored_value/t1/principal', :one);
CALL clear_points('stored_value');

-- refused
SELECT spend_stored_value(:two, 0.01, 's', 's9');
SELECT spend_stored_value(:one, 28, 's', 't1');
SELECT top_up_stored_value(:one, 99.98, 'cash', 't1');
SELECT top_up_stored_value(:one, 99.99, 'cash', 't1', gift => 1);
SELECT return_stored_value(:one, 't1', return_ref => 'r9');
SELECT return_stored_value(:one, 'none', return_ref => 'r9');
SELECT return_stored_value(:one, 'c1', 33.34, return_ref => 'r9');
SELECT return_stored_value(:one, 'c1');
SELECT capture_stored_value(:one, 'h1', capture_ref => 'c9', at => '2026-01-09');
SELECT capture_stored_value(:one, 'h3', capture_ref => 'c9', at => '2026-01-11');
SELECT capture_stored_value(:one, 'none', capture_ref => 'c9');
SELECT void_stored_value(:one, 't1', void_ref => 'v9');
SELECT top_up_stored_value(:one, 0, 'cash', 't9');
SELECT top_up_stored_value(:one, 1.001, 'cash', 't9');
SELECT top_up_stored_value(:one, 1, 'cash');
SELECT top_up_stored_value(1, 1, 'cash', 't9');
SELECT top_up_stored_value(:one, 1, 'cash', 't9', gift => -1);
UPDATE stored_value_act SET amount = 0;
\set VERBOSITY default
SELECT stored_value_balance(NULL) IS NULL AS nothing;

-- two policies give with one top-up, and each gift keeps as long as its own says
TRUNCATE stored_value_policy;
INSERT INTO stored_value_policy (policy_code, basis, reach, gift, expiry) VALUES ('keeps', 'single', 100, 15, 'never'), ('soon', 'cumulative', 100, 5, '2 days');
SELECT register_member(source => 'test', external_id => 'gifts') AS three \gset
SELECT top_up_stored_value(:three, 100, 'cash', 'g1', at => '2026-01-01 10:00'), top_up_stored_value(:three, 100, 'cash', 'g1', at => '2026-01-01 10:00') AS again;
SELECT points, expires_at FROM points_lot WHERE member_id = :three AND points_type = 'stored_value_gift' ORDER BY 1;
SELECT amount, principal, gift, balance FROM stored_value_act WHERE member_id = :three;
SELECT stored_value_balance(:three, '2026-01-02') AS first, stored_value_balance(:three, '2026-02-01') AS later;

-- what was done is answered as the first time, also when the member has gone since
CREATE FUNCTION pg_temp.late(m bigint, n numeric DEFAULT 0) RETURNS TABLE (act text, balance numeric) LANGUAGE sql AS $$
  VALUES ('top up', top_up_stored_value(m, 50 + n, 'cash', 'late1', gift => 0)), ('spend', spend_stored_value(m, 5 + n, 'x', 'late2')),
         ('authorise', authorise_stored_value(m, 5 + n, 'x', 'late3')), ('capture', capture_stored_value(m, 'late3', 5 + n, 'x', 'late4')),
         ('return', return_stored_value(m, 'late2', 1 + n, 'x', 'late5')) $$;
SELECT register_member(source => 'test', external_id => 'leaves') AS four \gset
CREATE TEMP TABLE first AS SELECT * FROM pg_temp.late(:four);
SELECT * FROM first;
SELECT set_member_status(:four, 'cancelled', 'gone') IS NOT NULL AS cancelled;
SELECT act, l.balance = f.balance AS as_before FROM pg_temp.late(:four) AS l JOIN first AS f USING (act);
\set VERBOSITY sqlstate
SELECT pg_temp.late(:four, 1);
SELECT spend_stored_value(:four, 5, 'x', 'late6');
\set VERBOSITY default

-- acts, accounts and journal agree
SELECT count(*) AS different
FROM (SELECT member_id, sum(CASE kind WHEN 'top_up' THEN principal WHEN 'return' THEN principal WHEN 'authorise' THEN 0 WHEN 'void' THEN 0 ELSE -principal END) AS principal
      FROM stored_value_act GROUP BY 1) s
JOIN stored_value_account a USING (member_id) WHERE s.principal <> a.principal + (SELECT coalesce(sum(held), 0) FROM points_hold h
  WHERE h.member_id = a.member_id AND h.points_type = 'stored_value' AND h.expires_at > now());
SELECT * FROM verify_ledger();
