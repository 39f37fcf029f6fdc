--
-- Points taken back and given back: whole, in parts, by line, with every policy
-- for what is not there any more.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/utc.sql
INSERT INTO points_type (points_type, name, deficit, money_value, reinstatement) VALUES
  ('clamp', 'Clamp', 'clamp', NULL, NULL), ('refuse', 'Refuse', 'refuse', NULL, NULL),
  ('charge', 'Charge', 'charge', 0.01, NULL), ('anew', 'Reinstated', 'allow', NULL, '30 days');
SELECT register_member(source => 'test', external_id => '1') AS one \gset
CREATE VIEW journal AS
SELECT points_type, entry_no, kind, points, balance, of_entry AS of, lot_nos, lot_points, shortfall
FROM points_entry ORDER BY 1, 2;

-- a grant taken back in parts ends at zero, and no further
SELECT award_points(:one, 100, 'a', 'a1', at => '2026-01-01');
SELECT reverse_points('a1', :one, 33, reversal_ref => 'r1', at => '2026-01-02');
SELECT reverse_points('a1', :one, 33, reversal_ref => 'r1', at => '2026-01-02');
SELECT reverse_points('a1', :one, 33, reversal_ref => 'r2', at => '2026-01-02');
\set VERBOSITY sqlstate
SELECT reverse_points('a1', :one, 35, reversal_ref => 'r3', at => '2026-01-02');
SELECT reverse_points('a1', :one, 34, reversal_ref => 'r1', at => '2026-01-02');
SELECT reverse_points('a1', :one, 34);
SELECT reverse_points('none', :one);
SELECT reverse_points(NULL, :one);
SELECT reverse_points('a1', :one, sale_id => 1);
SELECT reverse_points('a1', 1);
SELECT reverse_points('a1', NULL);
SELECT reverse_points(NULL, :one, sale_id => 1);
\set VERBOSITY default
SELECT reverse_points('a1', :one, at => '2026-01-02');
SELECT reverse_points('a1', :one, at => '2026-01-02');

-- spent points go back to their lots, the last drawn first
SELECT award_points(:one, 10, 'a', 'a2', at => '2026-01-03', expires_at => '2026-02-01');
SELECT award_points(:one, 20, 'a', 'a3', at => '2026-01-03', expires_at => '2026-03-01');
SELECT spend_points(:one, 25, 's', 's1', at => '2026-01-04');
SELECT reverse_points('s1', :one, 18, reversal_ref => 'r4', at => '2026-01-05');
SELECT lot_no, remaining, expires_at FROM points_lot WHERE open ORDER BY lot_no;
SELECT reverse_points('s1', :one, at => '2026-02-10');
SELECT lot_no, remaining, expires_at FROM points_lot WHERE open ORDER BY lot_no;
-- those that expired meanwhile stay expired ...
SELECT points_balance(:one, as_of => '2026-02-10'), points_balance(:one, as_of => '2026-02-10', known_at => '2026-01-01');
-- ... or come anew, where the points type says so
SELECT award_points(:one, 10, 'a', 'a4', 'anew', at => '2026-01-03', expires_at => '2026-02-01');
SELECT spend_points(:one, 10, 's', 's2', 'anew', at => '2026-01-04');
SELECT reverse_points('s2', :one, 4, reversal_ref => 'r5', at => '2026-01-31');
SELECT reverse_points('s2', :one, at => '2026-02-01');
SELECT lot_no, points, remaining, expires_at FROM points_lot WHERE points_type = 'anew' ORDER BY lot_no;

-- what is not there any more: a debt that is paid first ...
SELECT spend_points(:one, 20, 's', 's3', at => '2026-02-11');
SELECT award_points(:one, 5, 'pending', 'a5', at => '2026-02-11', available_at => '2026-03-01');
SELECT reverse_points('a3', :one, at => '2026-02-12');
SELECT balance, debt FROM points_account WHERE points_type = 'points';
SELECT award_points(:one, 50, 'a', 'a6', at => '2026-02-13');
SELECT balance, debt FROM points_account WHERE points_type = 'points';
SELECT points_balance(:one, as_of => '2026-02-12 12:00'), points_balance(:one, as_of => '2026-02-13');
-- ... let go ...
SELECT award_points(:one, 30, 'a', 'c1', 'clamp', at => '2026-01-01');
SELECT spend_points(:one, 20, 's', 'c2', 'clamp', at => '2026-01-02');
SELECT reverse_points('c1', :one, 15, reversal_ref => 'c3', at => '2026-01-03');
SELECT reverse_points('c1', :one, 15, reversal_ref => 'c3', at => '2026-01-03');
SELECT reverse_points('c1', :one, reversal_ref => 'c4', at => '2026-01-03');
-- ... refused ...
SELECT award_points(:one, 30, 'a', 'd1', 'refuse', at => '2026-01-01');
SELECT spend_points(:one, 20, 's', 'd2', 'refuse', at => '2026-01-02');
-- (more than is left to reverse is that, whatever is missing)
SELECT reverse_points('d1', :one, 31, reversal_ref => 'd2 too many', at => '2026-01-03');
\set VERBOSITY sqlstate
SELECT reverse_points('d1', :one, at => '2026-01-03');
\set VERBOSITY default
SELECT reverse_points('d1', :one, 10, reversal_ref => 'd3', at => '2026-01-03');
-- ... or reported, to be charged
SELECT award_points(:one, 30, 'a', 'e1', 'charge', at => '2026-01-01');
SELECT spend_points(:one, 20, 's', 'e2', 'charge', at => '2026-01-02');
SELECT reverse_points('e1', :one, at => '2026-01-03');

-- what expired is not taken a second time
SELECT award_points(:one, 40, 'a', 'x1', 'clamp', at => '2026-01-05', expires_at => '2026-01-10');
SELECT spend_points(:one, 10, 's', 'x2', 'clamp', at => '2026-01-06');
CALL expire_points('2026-02-20');
SELECT award_points(:one, 40, 'a', 'x3', 'clamp', at => '2026-02-21');
SELECT reverse_points('x1', :one, at => '2026-02-22');

-- a pending grant is cancelled without touching what can be spent
SELECT award_points(:one, 9, 'a', 'p1', 'clamp', at => '2026-02-23', available_at => '2026-04-01');
SELECT points_balance(:one, 'clamp', '2026-02-24');
SELECT reverse_points('p1', :one, at => '2026-02-24');
SELECT points_balance(:one, 'clamp', '2026-02-25');

-- corrections by hand
SELECT adjust_points(:one, 7, 'counted again', 'j1', 'clamp', at => '2026-02-26', actor => 'ann');
SELECT adjust_points(:one, -3, 'counted wrong', 'j2', 'clamp', at => '2026-02-26', actor => 'ann');
SELECT adjust_points(:one, -3, 'counted wrong', 'j2', 'clamp', at => '2026-02-26', actor => 'ann');
SELECT adjust_points(:one, -1000, 'all', 'j3', 'clamp', at => '2026-02-27', actor => 'ann');
SELECT adjust_points(:one, -1000, 'all', 'j3', 'clamp', at => '2026-02-27', actor => 'ann');
SELECT reverse_points('j1', :one, at => '2026-02-28');
\set VERBOSITY sqlstate
SELECT adjust_points(:one, -4, 'counted wrong', 'j2', 'clamp', actor => 'ann');
SELECT adjust_points(:one, 0, 'nothing', 'j4', actor => 'ann');
SELECT adjust_points(:one, 1, NULL, 'j4', actor => 'ann');
SELECT adjust_points(:one, 1, 'nobody', 'j4');
SELECT adjust_points(:one, 1, 'no ref', NULL, actor => 'ann');
SELECT adjust_points(:one, -1, 'refused', 'j5', 'refuse', actor => 'ann');
SELECT reverse_points('j2', :one);
\set VERBOSITY default

TABLE journal;
SELECT * FROM verify_ledger();

-- what was cleared is gone already: taking it back costs nothing that was earned since, and is not charged
UPDATE points_type SET money_value = 0.005 WHERE points_type = 'charge';
INSERT INTO points_rule (rule_code, award, points, points_type) VALUES ('new', 'per_amount', 1, 'charge'), ('new too', 'per_amount', 1, 'refuse');
SELECT register_member(source => 'test', external_id => '2') AS two \gset
CREATE FUNCTION pg_temp.sell(ref text, lines jsonb, at timestamptz) RETURNS text LANGUAGE sql AS $$
  SELECT checkout(jsonb_build_object('ref', ref, 'identity', '{"kind": "external:test", "value": "2"}'::jsonb, 'sold_at', at, 'lines', lines))->>'payable'
$$;
CREATE FUNCTION pg_temp.back(ref text, sale_ref text, lines jsonb, at timestamptz, OUT charged text, OUT points_type text, OUT taken_back text, OUT shortfall text, OUT balance text)
RETURNS SETOF record LANGUAGE sql AS $$
  SELECT r->>'charged', t->>'points_type', t->>'taken_back', t->>'shortfall', t->>'balance'
  FROM refund(jsonb_build_object('ref', ref, 'sale_ref', sale_ref, 'lines', lines, 'refunded_at', at)) r, jsonb_array_elements(r->'points'->'types') t
$$;
SELECT pg_temp.sell('old', '[{"price": 60, "quantity": 1}, {"price": 40}]', '2025-12-20'), pg_temp.sell('young', '[{"price": 50}]', '2026-01-02');
SELECT spend_points(:two, 30, 'before the year ends', 's1', 'charge', '2025-12-30'), spend_points(:two, 30, 'before the year ends', 's2', 'refuse', '2025-12-30');
CALL clear_points('charge', '2026-01-01');
CALL clear_points('refuse', '2026-01-01');
SELECT points_type, balance AS "50" FROM points_account WHERE member_id = :two ORDER BY 1;
-- 60 of 100: all of it was cleared; then 10 of what was cleared, and 30 that were spent
SELECT * FROM pg_temp.back('o1', 'old', '[{"line_no": 1}]', '2026-01-05') ORDER BY 2;
SELECT * FROM pg_temp.back('o2', 'old', '[{"line_no": 2}]', '2026-01-06') ORDER BY 2;
SELECT points_type, kind, points, balance, lot_nos, lot_points, shortfall FROM points_entry WHERE member_id = :two AND kind IN ('clear', 'reverse') ORDER BY 1, entry_no;

-- shortfalls are charged as what all of them are worth: four times half a cent is two cents
SELECT spend_points(:two, 20, 'rest', 's3', 'charge', '2026-01-07');
SELECT pg_temp.sell('cents', '[{"price": 1, "quantity": 4}]', '2026-01-08');
SELECT spend_points(:two, 4, 'all', 's4', 'charge', '2026-01-09');
DELETE FROM points_rule;
SELECT charged FROM generate_series(1, 4) n, pg_temp.back('c' || n, 'cents', '[{"line_no": 1, "quantity": 1}]', '2026-01-10') WHERE points_type = 'charge';

-- how much there is to spend is said right, be the rest expired or pending
SELECT award_points(:two, 50, 'past', 'p1', at => '2026-01-01', expires_at => '2026-02-01') > 0 AS given,
       award_points(:two, 30, 'good', 'p2', at => '2026-01-01', expires_at => 'infinity') > 0 AS given,
       award_points(:two, 7, 'to come', 'p3', available_at => now() + interval '1 day') > 0 AS given;
SELECT spend_points(:two, 60, 'too much', 's5');
SELECT hold_points(:two, 60, 'too much', 's5');
-- nothing is asked for by nobody, under no name
SELECT adjust_points(:two, 0, 'nothing', 'j6', actor => 'ann');
SELECT adjust_points(:two, 1, 'nobody', 'j6', actor => '');
SELECT award_points(:two, 1, 'no ref', '');
-- nothing is given back before it was spent
SELECT spend_points(:two, 5, 'spent', 's6', at => '2026-03-02'), reverse_points('s6', :two, at => '2026-02-20');
SELECT kind, points, at FROM points_entry WHERE of_entry = (SELECT entry_no FROM points_entry WHERE ref = 's6');
SELECT points_balance(:two, as_of => '2026-02-25'), points_balance(:two, as_of => '2026-03-03');

-- an act on several entries is told its first result, and is not taken for another
INSERT INTO points_rule (rule_code, award, points, pending, scope) VALUES ('now', 'per_amount', 1, NULL, 'line'), ('later', 'per_amount', 0.5, '1 day', 'line');
SELECT register_member(source => 'test', external_id => '3') AS three \gset
SELECT checkout(jsonb_build_object('ref', 'parts', 'member_id', :three, 'sold_at', '2026-03-01', 'lines', '[{"price": 100}, {"price": 40}]'::jsonb))->'sale_id' AS parts \gset
SELECT n, reverse_points(NULL, :three, 120, line_no => 1, sale_id => :parts, reversal_ref => 'p1', at => '2026-03-03') FROM generate_series(1, 3) n;
SELECT n, reverse_points(NULL, :three, sale_id => :parts, reversal_ref => 'p2', at => '2026-03-04') FROM generate_series(1, 3) n;
SELECT award_points(:three, 100, 'a', 'a3', at => '2026-03-05') > 0 AS given, hold_points(:three, 60, 'h', 'h3', at => '2026-03-05') AS held,
       capture_points(:three, 'h3', 20, capture_ref => 'c1', release_rest => false, at => '2026-03-05'), capture_points(:three, 'h3', 25, capture_ref => 'c2', at => '2026-03-05');
SELECT n, reverse_points('h3', :three, 30, reversal_ref => 'p3', at => '2026-03-06') FROM generate_series(1, 3) n;
SELECT entry_no, kind, points, balance, of_entry, ref, line_nos, line_points FROM points_entry WHERE member_id = :three AND kind IN ('reverse', 'return') ORDER BY entry_no;
\set VERBOSITY sqlstate
SELECT reverse_points(NULL, :three, 120, line_no => 2, sale_id => :parts, reversal_ref => 'p1', at => '2026-03-03');
SELECT reverse_points(NULL, :three, 110, sale_id => :parts, reversal_ref => 'p1', at => '2026-03-03');
SELECT reverse_points('h3', :three, 20, reversal_ref => 'p1', at => '2026-03-06');
\set VERBOSITY default
SELECT * FROM verify_ledger();
