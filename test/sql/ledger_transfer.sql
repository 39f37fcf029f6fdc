--
-- Points between members and between points types.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/utc.sql
INSERT INTO points_type (points_type, name, decimals, expiry) VALUES ('miles', 'Miles', 1, 'end of year');
INSERT INTO points_conversion (from_type, to_type, rate) VALUES ('points', 'miles', 0.25), ('miles', 'points', 3);
INSERT INTO points_conversion (from_type, to_type, rate) VALUES ('miles', 'miles', 1);
SELECT register_member(source => 'test', external_id => '1') AS one \gset
SELECT register_member(source => 'test', external_id => '2') AS two \gset

-- lots keep their expiry and age
SELECT award_points(:one, 10, 'a', 'a1', at => '2026-01-01', expires_at => '2026-06-01');
SELECT award_points(:one, 10, 'a', 'a2', at => '2026-01-02', expires_at => '2026-05-01');
SELECT transfer_points(:one, :two, 15, 'gift', 't1', at => '2026-02-01');
SELECT transfer_points(:one, :two, 15, 'gift', 't1', at => '2026-02-01');
SELECT points_balance(:one, as_of => '2026-02-01'), points_balance(:two, as_of => '2026-02-01'), points_balance(:two, as_of => '2026-05-01');
SELECT member_id = :one AS first, kind, points, balance, ref, other_member = :one AS from_one, other_member = :two AS to_two
FROM points_entry ORDER BY 1 DESC, entry_no;
SELECT lot_no, points, earned_at, available_at, expires_at FROM points_lot WHERE member_id = :two ORDER BY lot_no;

-- conversion at the rate of the table; the new points expire as their type says
SELECT convert_points(:two, 13, 'points', 'miles', 'c1', at => '2026-02-02');
SELECT convert_points(:two, 13, 'points', 'miles', 'c1', at => '2026-02-02');
SELECT points_balance(:two, 'miles', '2026-02-02');
SELECT convert_points(:two, 1.1, 'miles', 'points', 'c2', at => '2026-02-02');
SELECT points_balance(:two, as_of => '2026-02-02');
SELECT points_type, points, expires_at FROM points_lot WHERE member_id = :two AND points_type = 'miles';

-- a received debt is paid first
SELECT reverse_points('a1', :one, at => '2026-02-03');
SELECT transfer_points(:two, :one, 2, 'back', 't2', at => '2026-02-04');
SELECT balance, debt FROM points_account WHERE member_id = :one;

-- not into points that would have expired already; once it is done, a retry is told so whatever became of their type
UPDATE points_type SET expiry = '2026-01-31' WHERE points_type = 'miles';
SELECT convert_points(:two, 1, 'points', 'miles', 'late', at => '2026-02-04');
SELECT convert_points(:two, 13, 'points', 'miles', 'c1', at => '2026-02-02');
UPDATE points_type SET expiry = 'end of year' WHERE points_type = 'miles';

\set VERBOSITY sqlstate
SELECT transfer_points(:one, :two, 1, 'none left', 't3', at => '2026-02-05');
SELECT transfer_points(:two, :two, 1, 'self', 't3');
SELECT transfer_points(:two, 1, 1, 'nobody', 't3');
SELECT transfer_points(1, :two, 1, 'nobody', 't3');
SELECT transfer_points(:two, :one, 1, 'no ref');
SELECT transfer_points(:two, :one, -1, 'negative', 't3');
SELECT transfer_points(:two, NULL, 1, 'null', 't3');
SELECT transfer_points(:one, :two, 14, 'other content', 't1');
SELECT transfer_points(:two, :one, 0.5, 'decimals', 't3');
SELECT convert_points(:two, 1, 'points', 'none', 'c3');
SELECT convert_points(:two, 1, 'points', 'points', 'c3');
SELECT convert_points(:two, 0.1, 'miles', 'points', 'c3', at => '2026-02-05');
SELECT convert_points(:two, 1000, 'points', 'miles', 'c3');
SELECT convert_points(:two, 12, 'points', 'miles', 'c1');
INSERT INTO points_type (points_type, name) VALUES ('other', 'Other');
INSERT INTO points_conversion (from_type, to_type, rate) VALUES ('points', 'other', 1);
SELECT convert_points(:two, 13, 'points', 'other', 'c1', at => '2026-02-02');
SELECT convert_points(:two, 13, 'points', 'miles', 'c1', at => '2026-02-02') = 2 AS first;
SELECT set_member_status(:one, 'lost', 'test');
SELECT transfer_points(:two, :one, 1, 'lost', 't4', at => '2026-02-05');
SELECT transfer_points(:one, :two, 1, 'lost', 't4', at => '2026-02-05');
\set VERBOSITY default
SELECT * FROM verify_ledger();
