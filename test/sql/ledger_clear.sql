--
-- clear_points() that runs later than as_of: nothing is cleared at a moment when it
-- was not there, so that balances of the days between are what could be spent.
--
\i test/sql/include/random.sql
SET search_path = crm_member, public;
SET timezone = 'UTC';
INSERT INTO points_type (points_type, name, deficit) VALUES ('held', 'Held', 'clamp'), ('owed', 'Owed', 'allow'), ('sent', 'Sent', 'clamp');
SELECT register_member(source => 'test', external_id => 'one') AS one, register_member(source => 'test', external_id => 'two') AS two \gset
CREATE FUNCTION pg_temp.days(me bigint, kind text, known_at timestamptz, OUT day text, OUT balance numeric, OUT known_before numeric) RETURNS SETOF record LANGUAGE sql AS $$
  SELECT to_char(d, 'YYYY-MM-DD'), points_balance(me, kind, d), points_balance(me, kind, d, known_at)
  FROM generate_series(timestamptz '2026-01-01', '2026-01-08', '1 day') d ORDER BY 1
$$;

-- 60 of 100 are held over the new year and released on the 4th; 10 are spent, and back on the 6th
SELECT award_points(:one, 100, NULL, 'a1', 'held', at => '2025-12-01'), award_points(:one, 7, NULL, 'a2', 'held', at => '2026-01-02'),
       hold_points(:one, 60, NULL, 'h1', 'held', at => '2025-12-20', expires_at => '2026-02-01'),
       release_points(:one, 'h1', at => '2026-01-04'), spend_points(:one, 10, NULL, 's1', 'held', at => '2026-01-05'), reverse_points('s1', :one, at => '2026-01-06');
SELECT clock_timestamp() AS before \gset
CALL clear_points('held', '2026-01-01');
SELECT entry_no, kind, points, balance, at < now() - interval '1 day' AS then, lot_nos, lot_points FROM points_entry WHERE points_type = 'held' ORDER BY 1;
SELECT * FROM pg_temp.days(:one, 'held', :'before');
SELECT points_balance(:one, 'held') AS now, accounts, points FROM ledger_run WHERE points_type = 'held';

-- a debt made since is forgotten since; one of before, as far as it lasted
SELECT award_points(:one, 30, NULL, 'o1', 'owed', at => '2025-12-01'), spend_points(:one, 30, NULL, 'o2', 'owed', at => '2025-12-02'),
       reverse_points('o1', :one, 10, reversal_ref => 'o3', at => '2025-12-03'), reverse_points('o1', :one, 15, reversal_ref => 'o4', at => '2026-01-03');
SELECT clock_timestamp() AS before \gset
CALL clear_points('owed', '2026-01-01');
SELECT kind, points, balance, at < now() - interval '1 day' AS then, lot_nos, lot_points FROM points_entry WHERE points_type = 'owed' AND kind = 'clear' ORDER BY entry_no;
SELECT * FROM pg_temp.days(:one, 'owed', :'before') WHERE day IN ('2026-01-01', '2026-01-02', '2026-01-03');

-- what another member gave since
SELECT award_points(:one, 50, NULL, 't1', 'sent', at => '2025-12-01'), transfer_points(:one, :two, 20, NULL, 't2', 'sent', at => '2026-01-03');
SELECT clock_timestamp() AS before \gset
CALL clear_points('sent', '2026-01-01');
SELECT * FROM pg_temp.days(:one, 'sent', :'before') WHERE day IN ('2026-01-01', '2026-01-02', '2026-01-03');
SELECT * FROM pg_temp.days(:two, 'sent', :'before') WHERE day IN ('2026-01-01', '2026-01-02', '2026-01-03', '2026-01-04');
SELECT points_balance(:one, 'sent') AS one, points_balance(:two, 'sent') AS two;
-- again, there is nothing to do
CALL clear_points('sent', '2026-01-01');
SELECT sum(accounts) AS accounts, sum(points) AS points FROM ledger_run WHERE points_type = 'sent';
SELECT * FROM verify_ledger();

-- at random: acts of ten days before a year's end and ten after it, cleared as of its end whenever
SELECT setseed(0.75);
INSERT INTO points_type (points_type, name, deficit) VALUES ('many', 'Many', 'clamp');
CREATE PROCEDURE play(i int) LANGUAGE plpgsql AS $$
DECLARE
  me bigint := register_member(source => 'test', external_id => 'm' || i);
  other bigint := register_member(source => 'test', external_id => 'o' || i);
  at timestamptz := '2025-12-22';
  old text;
  n int;
  act text;
BEGIN
  FOR n IN 1 .. 15 LOOP
    at := at + random() * interval '2 days';
    act := pg_temp.one_of('award', 'spend', 'hold', 'release', 'capture', 'undo', 'transfer', 'adjust');
    old := (SELECT e.ref FROM points_entry e WHERE e.member_id = me AND e.ref IS NOT NULL ORDER BY random() LIMIT 1);
    BEGIN
      CASE act
      WHEN 'award' THEN PERFORM award_points(me, 100, NULL, 'n' || n, 'many', at => at, available_at => at + pg_temp.one_of('0 days', '3 days')::interval);
      WHEN 'spend' THEN PERFORM spend_points(me, (1 + floor(random() * 60))::numeric, NULL, 'n' || n, 'many', at => at);
      WHEN 'hold' THEN PERFORM hold_points(me, (1 + floor(random() * 60))::numeric, NULL, 'n' || n, 'many', at => at, expires_at => at + random() * interval '20 days' + interval '1 hour');
      WHEN 'release' THEN PERFORM release_points(me, old, at => at);
      WHEN 'capture' THEN PERFORM capture_points(me, old, at => at);
      WHEN 'undo' THEN PERFORM reverse_points(old, me, (1 + floor(random() * 60))::numeric, reversal_ref => 'n' || n, at => at);
      WHEN 'transfer' THEN PERFORM transfer_points(me, other, (1 + floor(random() * 60))::numeric, NULL, 'n' || n, 'many', at => at);
      WHEN 'adjust' THEN PERFORM adjust_points(me, (20 - floor(random() * 40))::numeric, 'x', 'n' || n, 'many', at => at, actor => 'x');
      END CASE;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE !~ '^RM|^22' THEN
        RAISE;
      END IF;
    END;
  END LOOP;
END
$$;
CREATE PROCEDURE play_all() LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1 .. 400 LOOP CALL play(i); END LOOP; END $$;
CALL play_all();
CREATE TEMP TABLE before AS
SELECT a.member_id, d.day, points_balance(a.member_id, 'many', d.day) AS balance
FROM points_account a, generate_series(timestamptz '2025-12-22', '2026-01-25', '12 hours') d (day) WHERE a.points_type = 'many';
CALL clear_points('many', '2026-01-01', 100);
SELECT count(DISTINCT member_id) > 400 AS many, count(*) FILTER (WHERE now_is < 0) AS below_zero,
       count(*) FILTER (WHERE day < '2026-01-01' AND now_is <> balance) AS changed_before, count(*) FILTER (WHERE now_is > balance) AS more,
       count(*) FILTER (WHERE day >= '2026-01-01' AND now_is < balance) > 1000 AS cleared
FROM (SELECT b.*, points_balance(member_id, 'many', day) AS now_is FROM before b) b;
SELECT count(*) > 50 AS some_in_two FROM (SELECT FROM points_entry WHERE points_type = 'many' AND kind = 'clear' GROUP BY member_id HAVING count(*) > 1) x;
SELECT count(*) AS left_of_before FROM points_lot l WHERE points_type = 'many' AND earned_at < '2026-01-01' AND remaining > 0;
SELECT * FROM verify_ledger();
