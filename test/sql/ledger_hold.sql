--
-- Points set aside: what holds bind, capture and release, in parts and in time.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/utc.sql
SELECT register_member(source => 'test', external_id => '1') AS one \gset
SELECT award_points(:one, 100, 'soon', 'a1', at => '2026-01-01', expires_at => '2026-03-01');
SELECT award_points(:one, 50, 'late', 'a2', at => '2026-01-01', expires_at => '2026-06-01');

-- what is held cannot be spent, and only that
SELECT hold_points(:one, 120, 'cart', 'h1', at => '2026-01-10', expires_at => '2026-01-20');
SELECT hold_points(:one, 120, 'cart', 'h1', at => '2026-01-10', expires_at => '2026-01-20');
\set VERBOSITY sqlstate
SELECT spend_points(:one, 31, 'too much', 's1', at => '2026-01-11');
SELECT hold_points(:one, 31, 'too much', 'h2', at => '2026-01-11');
SELECT hold_points(:one, 60, 'other', 'h1', at => '2026-01-11');
\set VERBOSITY default
SELECT spend_points(:one, 30, 'rest', 's1', at => '2026-01-11');

-- captured in parts, the rest released into its lots
SELECT capture_points(:one, 'h1', 90, capture_ref => 'c1', release_rest => false, at => '2026-01-12');
SELECT capture_points(:one, 'h1', 90, capture_ref => 'c1', release_rest => false, at => '2026-01-12');
SELECT capture_points(:one, 'h1', 5, capture_ref => 'c2', release_rest => false, at => '2026-01-12');
SELECT release_points(:one, 'h1', 10, release_ref => 'r1', at => '2026-01-13');
SELECT release_points(:one, 'h1', 10, release_ref => 'r1', at => '2026-01-13');
SELECT capture_points(:one, 'h1', 3, capture_ref => 'c3', at => '2026-01-13');
SELECT release_points(:one, 'h1', at => '2026-01-14');
SELECT entry_no, kind, points, balance, ref, of_entry, lot_nos, lot_points FROM points_entry ORDER BY entry_no;
SELECT lot_no, points, remaining FROM points_lot ORDER BY lot_no;
SELECT ref, points, held FROM points_hold;

\set VERBOSITY sqlstate
SELECT capture_points(:one, 'h1', at => '2026-01-14');
SELECT release_points(:one, 'h1', 1, at => '2026-01-14');
SELECT capture_points(:one, 'nothing');
SELECT capture_points(:one, 's1');
SELECT release_points(:one, 'nothing');
SELECT capture_points(:one, 'h1', 91, capture_ref => 'c1');
SELECT capture_points(:one, 'h1', -1);
SELECT capture_points(NULL, 'h1');
SELECT release_points(:one, NULL);
SELECT hold_points(:one, 1, 'no ref');
SELECT hold_points(:one, 0, 'nothing', 'h0');
SELECT hold_points(:one, 1, 'at once', 'h0', at => '2026-01-14', expires_at => '2026-01-14');
SELECT hold_points(:one, 1, 'type', 'h0', points_type => 'none');
SELECT hold_points(1, 1, 'member', 'h0');
\set VERBOSITY default

-- a whole capture needs no reference of its own to be repeated
SELECT hold_points(:one, 10, 'cart', 'h3', at => '2026-01-15');
SELECT capture_points(:one, 'h3', at => '2026-01-15'), capture_points(:one, 'h3', at => '2026-01-15');

-- time: from expires_at on it does not bind, whether or not anybody booked that
SELECT award_points(:one, 10, 'more', 'a3', at => '2026-01-15', expires_at => '2026-02-01');
SELECT hold_points(:one, 12, 'cart', 'h4', at => '2026-01-16', expires_at => '2026-01-17');
SELECT points_balance(:one, as_of => '2026-01-16 23:59:59'), points_balance(:one, as_of => '2026-01-17');
\set VERBOSITY sqlstate
SELECT capture_points(:one, 'h4', at => '2026-01-17');
-- ... nor can a part of it be released, booked or not, while all of it is released already
SELECT release_points(:one, 'h4', 3, release_ref => 'r4', at => '2026-01-17');
\set VERBOSITY default
SELECT held FROM points_hold WHERE ref = 'h4';
SELECT spend_points(:one, 12, 'all', 's2', at => '2026-01-18');
SELECT held FROM points_hold WHERE ref = 'h4';
SELECT points_balance(:one, as_of => '2026-01-16 23:59:59'), points_balance(:one, as_of => '2026-01-17'),
       points_balance(:one, as_of => '2026-01-18');

-- held points do not expire before the hold; released after their expiry they are gone
SELECT award_points(:one, 30, 'short', 'a4', at => '2026-01-20', expires_at => '2026-02-01');
SELECT hold_points(:one, 30, 'long', 'h5', at => '2026-01-25', expires_at => '2026-04-01');
CALL expire_points('2026-03-15');
SELECT capture_points(:one, 'h5', 20, capture_ref => 'c5', release_rest => false, at => '2026-03-20');
SELECT release_points(:one, 'h5', at => '2026-03-21');
SELECT points_balance(:one, as_of => '2026-03-22'), balance FROM points_account;

-- expire_points() books what timed out
SELECT award_points(:one, 5, 'short', 'a5', at => '2026-03-22');
SELECT hold_points(:one, 5, 'cart', 'h6', at => '2026-03-22', expires_at => '2026-03-23');
CALL expire_points('2026-03-24');
SELECT kind, points, balance, at FROM points_entry WHERE member_id = :one ORDER BY entry_no DESC LIMIT 1;

-- the points type may say how long
UPDATE points_type SET hold_period = '2 days' WHERE points_type = 'points';
SELECT hold_points(:one, 1, 'cart', 'h7', at => '2026-03-25 10:00+00');
SELECT expires_at FROM points_hold WHERE ref = 'h7';

-- what is said to be earlier than the hold is booked with it, so that no day had more than was granted
SELECT hold_points(:one, 2, 'cart', 'h8', at => '2026-03-28'), capture_points(:one, 'h8', 1, release_rest => false, at => '2026-03-26'), release_points(:one, 'h8', at => '2026-03-26');
SELECT kind, points, at FROM points_entry WHERE of_entry = (SELECT hold_no FROM points_hold WHERE ref = 'h8') ORDER BY entry_no;

-- each lot's held points stand in its entry, and every balance is explained
SELECT * FROM verify_ledger();
