--
-- Expiry and clearing, booked in batches, and balances through it all.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/utc.sql
INSERT INTO points_type (points_type, name) VALUES ('growth', 'Growth');
CREATE TEMP TABLE m AS SELECT i, register_member(source => 'test', external_id => i::text) AS id FROM generate_series(1, 7) i;
SELECT count(award_points(id, 10 * i, 'a', 'a1', at => '2026-01-01', expires_at => '2026-03-01')),
       count(award_points(id, i, 'a', 'a2', at => '2026-01-01', expires_at => '2026-04-01')),
       count(award_points(id, i, 'a', 'a3', at => '2026-01-01')),
       count(award_points(id, i, 'a', 'g1', 'growth', at => '2026-01-01', expires_at => '2026-03-01')) FROM m;
SELECT count(spend_points(id, 10 * i, 's', 's1', at => '2026-01-02')) FROM m WHERE i < 3;

-- expired at the instant itself, whether or not it has been booked
SELECT i, points_balance(id, as_of => '2026-02-28 23:59:59.999999'), points_balance(id, as_of => '2026-03-01') FROM m ORDER BY i;
\set VERBOSITY sqlstate
SELECT spend_points(id, 7 + 7 + 1, 's', 's2', at => '2026-03-01') FROM m WHERE i = 7;
\set VERBOSITY default

-- batches smaller than the work; no lot is touched
CREATE TEMP TABLE before AS SELECT ctid AS tid, xmin::text AS xid FROM points_lot;
CALL expire_points('2026-03-01', batch => 2);
SELECT count(*) = count(b.tid) AS untouched FROM points_lot l LEFT JOIN before b ON b.tid = l.ctid AND b.xid = l.xmin::text;
SELECT act, accounts, points, finished_at IS NOT NULL AS finished FROM ledger_run;
SELECT i, points_type, balance, expires_at, expired_to FROM points_account a JOIN m ON m.id = a.member_id ORDER BY 1, 2;
SELECT i, points_balance(id, as_of => '2026-02-28 23:59:59.999999'), points_balance(id, as_of => '2026-03-01') FROM m ORDER BY i;
SELECT * FROM verify_ledger();

-- again: nothing to do; later: the next
CALL expire_points('2026-03-01');
CALL expire_points('2026-05-01');
SELECT accounts, points FROM ledger_run ORDER BY started_at;
SELECT count(*) FROM points_entry WHERE kind = 'expire';
SELECT * FROM verify_ledger();

-- what comes late and is expired already is booked so
SELECT award_points(id, 5, 'late', 'l1', at => '2026-01-15', expires_at => '2026-02-15') FROM m WHERE i = 1;
SELECT points_balance(id, as_of => '2026-02-01'), points_balance(id) FROM m WHERE i = 1;
SELECT kind, points, balance FROM points_entry e JOIN m ON m.id = e.member_id WHERE i = 1 AND points_type = 'points' ORDER BY entry_no DESC LIMIT 2;
INSERT INTO points_rule (rule_code, award, points, expiry) VALUES ('base', 'per_amount', 1, '1 month');
SELECT checkout(jsonb_build_object('ref', 'S1', 'member_id', id, 'sold_at', '2026-01-20T10:00Z', 'lines', '[{"price": 8}]'::jsonb))
       -> 'points' ->> 'earned' AS earned FROM m WHERE i = 1;
SELECT kind, points, balance FROM points_entry e JOIN m ON m.id = e.member_id WHERE i = 1 AND points_type = 'points' ORDER BY entry_no DESC LIMIT 2;
SELECT * FROM verify_ledger();

-- clearing at the end of the year: what was earned before, with pending points and debts
SELECT award_points(id, 3, 'pending', 'p1', at => '2026-06-01', available_at => '2028-01-01') FROM m WHERE i = 2;
SELECT award_points(id, 4, 'new year', 'n1', at => '2027-01-01') FROM m WHERE i = 2;
SELECT reverse_points('a1', id, at => '2026-06-01') FROM m WHERE i = 1;
CALL clear_points('points', '2027-01-01', batch => 3);
SELECT i, balance, debt FROM points_account a JOIN m ON m.id = a.member_id WHERE points_type = 'points' ORDER BY i;
SELECT act, points_type, accounts, points FROM ledger_run WHERE act = 'clear';
SELECT points_balance(id, as_of => '2027-01-01') FROM m WHERE i = 7;
CALL clear_points('points', '2027-01-01');
SELECT accounts, points FROM ledger_run WHERE act = 'clear' ORDER BY started_at;
SELECT * FROM verify_ledger();

\set VERBOSITY sqlstate
CALL expire_points(batch => 0);
CALL clear_points('none');
BEGIN;
CALL expire_points();
ROLLBACK;

-- a table that went through a migration: columns are found by name, wherever they are
\set VERBOSITY default
ALTER TABLE points_account ADD COLUMN moved timestamptz NOT NULL DEFAULT '-infinity', ADD COLUMN note text;
UPDATE points_account SET moved = expired_to, note = 'kept';
SET client_min_messages = warning;
ALTER TABLE points_account DROP COLUMN expired_to CASCADE;
RESET client_min_messages;
ALTER TABLE points_account RENAME COLUMN moved TO expired_to;
ALTER TABLE points_entry ADD COLUMN moved timestamptz NOT NULL DEFAULT now();
ALTER TABLE points_entry DROP COLUMN booked_at;
ALTER TABLE points_entry RENAME COLUMN moved TO booked_at;
SELECT award_points(id, 5, 'moved', 'moved', at => '2027-02-01', expires_at => '2027-03-01') FROM m WHERE i = 7;
CALL expire_points('2027-04-01');
SELECT kind, points, balance, at, booked_at IS NOT NULL AS booked FROM points_entry e JOIN m ON m.id = e.member_id WHERE i = 7 AND points_type = 'points' ORDER BY entry_no DESC LIMIT 2;
SELECT balance, expires_at, expired_to, note FROM points_account a JOIN m ON m.id = a.member_id WHERE i = 7 AND points_type = 'points';
SELECT * FROM verify_ledger();
-- what cannot be left empty is not
ALTER TABLE points_entry ADD COLUMN strange int NOT NULL DEFAULT 1;
SELECT award_points(id, 5, 'moved', 'moved 2', at => '2027-05-01', expires_at => '2027-06-01') FROM m WHERE i = 7;
CALL expire_points('2027-07-01');
ALTER TABLE points_entry DROP COLUMN strange;
CALL expire_points('2027-07-01');
SELECT balance FROM points_account a JOIN m ON m.id = a.member_id WHERE i = 7 AND points_type = 'points';
