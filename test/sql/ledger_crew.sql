--
-- Expiry of many accounts, alone and with background workers: the same entries
-- and balances, and those that plain SQL finds.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/utc.sql
INSERT INTO points_type (points_type, name, decimals) VALUES ('cents', 'Cents', 2), ('zeal', 'Zeal', 0);
INSERT INTO member (member_id) SELECT generate_series(1, 3000);

-- accounts in no order, of up to 12 lots; two members have hundreds
CREATE FUNCTION chance(VARIADIC text[]) RETURNS numeric LANGUAGE sql IMMUTABLE
AS $$SELECT ('x' || left(md5(array_to_string($1, ' ')), 6))::bit(24)::int / 16777216.0$$;
CREATE TABLE start_lot AS
SELECT i AS member_id, t AS points_type, row_number() OVER (PARTITION BY i, t ORDER BY k) AS lot_no,
       CASE t WHEN 'cents' THEN 0.25 ELSE 1 END * (1 + floor(chance(i::text, t, k::text) * 40)) AS points,
       CASE WHEN chance('never', i::text, t, k::text) < 0.2 THEN 'infinity'
            ELSE timestamptz '2026-01-02' + floor(chance('day', i::text, t, k::text) * 200) * interval '12 hours' END AS expires_at,
       chance('spent', i::text, t, k::text) < 0.15 AS spent
  FROM generate_series(1, 3000) i, unnest(ARRAY['cents', 'points', 'zeal']) t,
       LATERAL generate_series(1, CASE WHEN i IN (7, 1500) THEN 600 ELSE (i * 7 + length(t)) % 13 END) k;
CREATE TABLE start_account AS
SELECT member_id, points_type, sum(points) AS granted, sum(points) FILTER (WHERE spent) AS spent, count(*) AS lots, count(*) FILTER (WHERE spent) AS spends
  FROM start_lot GROUP BY 1, 2;

CREATE PROCEDURE start_anew() LANGUAGE plpgsql AS $$
BEGIN
  SET LOCAL session_replication_role = replica;
  TRUNCATE points_account, points_entry, points_lot, ledger_run;
  INSERT INTO points_lot (member_id, points_type, lot_no, points, remaining, earned_at, available_at, expires_at)
  SELECT member_id, points_type, lot_no, points, points, '2025-06-01', '2025-06-01', expires_at FROM start_lot ORDER BY lot_no, chance(member_id::text, points_type);
  INSERT INTO points_entry (member_id, points_type, entry_no, kind, points, balance, at)
  SELECT member_id, points_type, lot_no, 'award', points, sum(points) OVER (PARTITION BY member_id, points_type ORDER BY lot_no), '2025-06-01' FROM start_lot;
  INSERT INTO points_entry (member_id, points_type, entry_no, kind, points, balance, at, lot_nos, lot_points)
  SELECT l.member_id, l.points_type, a.lots + row_number() OVER w, 'spend', -l.points, a.granted - sum(l.points) OVER w, '2025-07-01', ARRAY[l.lot_no], ARRAY[l.points]
    FROM start_lot l JOIN start_account a USING (member_id, points_type) WHERE l.spent WINDOW w AS (PARTITION BY member_id, points_type ORDER BY lot_no);
  UPDATE points_lot l SET remaining = 0, open = false FROM start_lot s
   WHERE (s.member_id, s.points_type, s.lot_no) = (l.member_id, l.points_type, l.lot_no) AND s.spent;
  -- some rows anew, so that the index knows of more than there are
  UPDATE points_lot SET earned_at = earned_at WHERE member_id % 5 = 0;
  INSERT INTO points_account (member_id, points_type, balance, entry_no, settles_at, expires_at)
  SELECT member_id, points_type, granted - coalesce(spent, 0), lots + spends, '2025-06-01', '2026-01-01' FROM start_account ORDER BY chance(member_id::text, points_type);
END $$;
-- what plain SQL says that is to expire
CREATE VIEW to_expire AS
SELECT a.member_id, a.points_type, a.entry_no + 1 AS entry_no, -sum(l.remaining) AS points, a.balance - sum(l.remaining) AS balance, d.as_of AS at
  FROM (VALUES (timestamptz '2026-01-20'), ('2026-02-10 12:00'), ('2026-05-01')) d (as_of), points_account a
  JOIN points_lot l USING (member_id, points_type)
 WHERE l.remaining > 0 AND l.expires_at > a.expired_to AND l.expires_at <= d.as_of
 GROUP BY a.member_id, a.points_type, d.as_of;
CREATE VIEW expired AS SELECT member_id, points_type, entry_no, points, balance, at FROM points_entry WHERE kind = 'expire';
CREATE VIEW left_over AS
SELECT a.member_id, a.points_type, a.balance, a.entry_no, a.expires_at, a.expired_to,
       a.expires_at = (SELECT coalesce(min(l.expires_at), 'infinity') FROM points_lot l
                        WHERE (l.member_id, l.points_type) = (a.member_id, a.points_type) AND l.open AND l.expires_at > a.expired_to) AS right
  FROM points_account a;

-- alone
SET max_parallel_maintenance_workers = 0;
CALL start_anew();
SELECT count(*), sum(entry_no) FROM points_account;
SELECT * FROM verify_ledger();
CREATE TABLE expected AS SELECT * FROM to_expire WHERE at = '2026-01-20';
CALL expire_points('2026-01-20');
(TABLE expired EXCEPT TABLE expected) UNION ALL (TABLE expected EXCEPT TABLE expired);
INSERT INTO expected SELECT * FROM to_expire WHERE at = '2026-02-10 12:00';
CALL expire_points('2026-02-10 12:00', batch => 700);
(TABLE expired EXCEPT TABLE expected) UNION ALL (TABLE expected EXCEPT TABLE expired);
INSERT INTO expected SELECT * FROM to_expire WHERE at = '2026-05-01';
CALL expire_points('2026-05-01');
(TABLE expired EXCEPT TABLE expected) UNION ALL (TABLE expected EXCEPT TABLE expired);
SELECT * FROM left_over WHERE NOT "right";
SELECT * FROM verify_ledger();
SELECT as_of, accounts, points, finished_at IS NOT NULL AS finished FROM ledger_run ORDER BY started_at;
CREATE TABLE alone AS TABLE left_over;

-- with others, in small shares
SET max_parallel_maintenance_workers = 3;
SET min_parallel_table_scan_size = 0;
CALL start_anew();
CALL expire_points('2026-01-20');
CALL expire_points('2026-02-10 12:00', batch => 100);
CALL expire_points('2026-05-01');
(TABLE expired EXCEPT TABLE expected) UNION ALL (TABLE expected EXCEPT TABLE expired);
(TABLE left_over EXCEPT TABLE alone) UNION ALL (TABLE alone EXCEPT TABLE left_over);
SELECT * FROM verify_ledger();
SELECT as_of, accounts, points, finished_at IS NOT NULL AS finished FROM ledger_run ORDER BY started_at;

-- a pass that is given up does not keep the next from beginning
CALL start_anew();
SELECT expire_step(1, '2026-01-20', 10) IS NULL AS more;
CALL expire_points('2026-05-01');
SELECT count(*) AS left_due FROM to_expire WHERE at = '2026-05-01';
SELECT * FROM verify_ledger();
-- nor does one that failed
CALL start_anew();
BEGIN;
SELECT expire_step(2, '2026-05-01', 10) IS NULL AS more;
ROLLBACK;
SELECT expire_step(2, '2026-05-01', 10) IS NULL AS more;
\set VERBOSITY sqlstate
SELECT expire_step(2, '2026-05-01', 0);
\set VERBOSITY default
CALL expire_points('2026-05-01');
SELECT count(*) FROM points_account WHERE expires_at <= '2026-05-01';
SELECT * FROM verify_ledger();
DROP TABLE start_lot, start_account, expected, alone CASCADE;
DROP PROCEDURE start_anew();
DROP FUNCTION chance(text[]);
DROP VIEW IF EXISTS to_expire, expired, left_over;
