--
-- verify_ledger() finds what somebody with all rights breaks, each by itself.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/utc.sql
INSERT INTO points_rule (rule_code, award, points, scope) VALUES ('lines', 'per_amount', 1, 'line');
SELECT register_member(source => 'test', external_id => '1') AS one \gset
SELECT register_member(source => 'test', external_id => '2') AS two \gset
-- an account that has seen everything, and one more
SELECT award_points(:one, 100, 'a', 'a1', at => '2026-01-01', expires_at => '2026-03-01');
SELECT award_points(:one, 50, 'a', 'a2', at => '2026-01-02');
SELECT spend_points(:one, 30, 's', 's1', at => '2026-01-03');
SELECT reverse_points('s1', :one, 10, reversal_ref => 'r1', at => '2026-01-04');
SELECT hold_points(:one, 20, 'h', 'h1', at => '2026-01-05', expires_at => '2098-01-01');
SELECT transfer_points(:one, :two, 5, 't', 't1', at => '2026-01-06');
SELECT checkout(jsonb_build_object('ref', 'S1', 'member_id', :one, 'sold_at', '2026-01-07', 'lines', '[{"price": 10}, {"price": 7, "discount": 1}]'::jsonb)) ->> 'payable' AS payable;
SELECT refund('{"ref": "R1", "sale_ref": "S1", "refunded_at": "2026-01-08", "lines": [{"line_no": 1, "quantity": 0.5}]}') ->> 'money' AS money;
CALL expire_points('2026-04-01');
SELECT award_points(:two, 10, 'a', 'd1', at => '2026-04-02'), spend_points(:two, 10, 's', 'd2', at => '2026-04-03'), reverse_points('d1', :two, at => '2026-04-04');
SELECT points_type, entry_no, kind, points, balance, lot_nos, lot_points FROM points_entry WHERE member_id = :one ORDER BY entry_no;
SELECT * FROM verify_ledger();

-- Each act of sabotage, what is found after it, and all as it was before.
CREATE FUNCTION sabotage(act text) RETURNS TABLE (problem text, n bigint) LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    ALTER TABLE points_entry DISABLE TRIGGER USER;
    EXECUTE act;
    CREATE TEMP TABLE found AS SELECT v.problem, count(*) AS n FROM crm_member.verify_ledger() v GROUP BY 1;
    RAISE EXCEPTION USING ERRCODE = 'XX999', DETAIL = (SELECT coalesce(jsonb_agg(f), '[]') FROM found f);
  EXCEPTION WHEN SQLSTATE 'XX999' THEN
    DECLARE
      said text;
    BEGIN
      GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
      RETURN QUERY SELECT r.problem, r.n FROM jsonb_to_recordset(said::jsonb) AS r (problem text, n bigint) ORDER BY 1;
      IF said = '[]' THEN
        RETURN QUERY SELECT 'NOTHING WAS FOUND', 0::bigint;
      END IF;
    END;
  END;
END
$$;
CREATE TABLE act (n int PRIMARY KEY, what text, sql text);
INSERT INTO act VALUES
  (1, 'a balance raised', 'UPDATE points_account SET balance = balance + 1 WHERE member_id = one()'),
  (2, 'an account removed', 'DELETE FROM points_account WHERE member_id = one()'),
  (3, 'a debt forgiven', 'UPDATE points_account SET debt = 0, balance = balance + debt WHERE member_id = two()'),
  (4, 'the last entry removed', 'DELETE FROM points_entry e WHERE member_id = one() AND entry_no = (SELECT max(entry_no) FROM points_entry WHERE member_id = one())'),
  (5, 'the last entry removed, its number too', 'WITH e AS (DELETE FROM points_entry e WHERE member_id = one() AND kind = ''expire'' RETURNING points) UPDATE points_account SET entry_no = entry_no - 1, balance = balance - (SELECT points FROM e) WHERE member_id = one()'),
  (6, 'an entry in the middle removed', 'DELETE FROM points_entry WHERE member_id = one() AND entry_no = 3'),
  (7, 'an entry renumbered', 'UPDATE points_entry SET entry_no = entry_no + 100 WHERE member_id = one() AND entry_no = 3'),
  (8, 'an amount changed', 'UPDATE points_entry SET points = points - 1 WHERE member_id = one() AND kind = ''spend'''),
  (9, 'an amount and all balances after it changed', 'UPDATE points_entry SET balance = balance - 1, points = points - (entry_no = 3)::int WHERE member_id = one() AND entry_no >= 3'),
  (10, 'the same, and the account', 'WITH e AS (UPDATE points_entry SET balance = balance - 1, points = points - (entry_no = 3)::int WHERE member_id = one() AND entry_no >= 3) UPDATE points_account SET balance = balance - 1 WHERE member_id = one()'),
  (11, 'a balance of an entry changed', 'UPDATE points_entry SET balance = balance + 1 WHERE member_id = one() AND entry_no = 2'),
  (12, 'an entry of no account', 'INSERT INTO points_entry (member_id, points_type, entry_no, kind, points, balance, at) VALUES (77, ''points'', 1, ''award'', 5, 5, now())'),
  (13, 'a grant from nothing', 'WITH e AS (INSERT INTO points_entry (member_id, points_type, entry_no, kind, points, balance, at) SELECT member_id, points_type, entry_no + 1, ''award'', 5, balance + 5, now() FROM points_account WHERE member_id = one()) UPDATE points_account SET entry_no = entry_no + 1, balance = balance + 5 WHERE member_id = one()'),
  (14, 'more left of a lot', 'UPDATE points_lot SET remaining = remaining + 1 WHERE member_id = one() AND remaining < points AND open'),
  (15, 'a lot larger than its grant', 'UPDATE points_lot SET points = points + 1, remaining = remaining + 1 WHERE member_id = one() AND lot_no = 2'),
  (16, 'a lot removed', 'DELETE FROM points_lot WHERE member_id = one() AND lot_no = 2'),
  (17, 'a lot of no grant', 'INSERT INTO points_lot (member_id, points_type, lot_no, points, remaining, earned_at, available_at) VALUES (one(), ''points'', 1000, 5, 5, now(), now())'),
  (18, 'an expired lot brought back', 'UPDATE points_lot SET expires_at = ''infinity'' WHERE member_id = one() AND expires_at < ''2026-04-01'' AND open'),
  (19, 'a lot made to expire', 'UPDATE points_lot SET expires_at = ''2026-02-01'' WHERE member_id = one() AND lot_no = 2'),
  (20, 'draws on another lot', 'UPDATE points_entry SET lot_nos = ''{2}'', lot_points = ''{30}'' WHERE member_id = one() AND kind = ''spend'''),
  (21, 'draws removed', 'UPDATE points_entry SET lot_nos = NULL, lot_points = NULL WHERE member_id = one() AND kind = ''spend'''),
  (22, 'given back beyond what was spent', 'UPDATE points_entry SET points = 31, lot_points = ''{-31}'' WHERE member_id = one() AND kind = ''return'''),
  (23, 'taken back beyond what was earned', 'UPDATE points_entry SET shortfall = 1000 WHERE member_id = one() AND kind = ''reverse'''),
  (24, 'taken back from no entry', 'UPDATE points_entry SET of_entry = 999 WHERE member_id = one() AND kind = ''reverse'''),
  (25, 'a hold let go', 'UPDATE points_hold SET held = 0'),
  (26, 'a hold removed', 'DELETE FROM points_hold'),
  (27, 'a hold from nothing', 'INSERT INTO points_hold (member_id, points_type, hold_no, ref, points, held, held_at, expires_at) VALUES (one(), ''points'', 999, ''x'', 1, 1, now(), ''infinity'')'),
  (28, 'points of a rule', 'UPDATE points_entry SET rule_points[1] = rule_points[1] + 1 WHERE kind = ''earn'''),
  (29, 'points of a line', 'UPDATE points_entry SET line_points[1] = line_points[1] + 1 WHERE kind = ''earn'''),
  (30, 'the expiry of an account put off', 'UPDATE points_account SET expires_at = ''infinity'', hold_expires_at = ''infinity'' WHERE member_id = one()'),
  (31, 'half of a transfer', 'UPDATE points_entry SET other_member = 77 WHERE kind = ''transfer_in'''),
  (32, 'a sale', 'UPDATE sale SET amount = amount + 1, payable = payable + 1'),
  (33, 'a line of a sale removed', 'DELETE FROM sale_line WHERE line_no = 2'),
  (35, 'a transfer received twice', 'WITH e AS (UPDATE points_entry SET points = 10, balance = balance + 5 WHERE kind = ''transfer_in'' RETURNING member_id) UPDATE points_lot l SET points = 10, remaining = remaining + 5, open = true FROM e WHERE l.member_id = e.member_id AND l.lot_no = 1'),
  (36, 'a hold made larger', 'UPDATE points_hold SET points = points + 1, held = held + 1'),
  (34, 'a watermark', 'UPDATE points_account SET expired_to = ''-infinity'' WHERE member_id = one()');
CREATE FUNCTION one() RETURNS bigint LANGUAGE sql STABLE AS $$SELECT crm_member.member_id('external:test', '1')$$;
CREATE FUNCTION two() RETURNS bigint LANGUAGE sql STABLE AS $$SELECT crm_member.member_id('external:test', '2')$$;
SELECT a.n, a.what, s.problem, s.n AS rows FROM act a, LATERAL sabotage(a.sql) s ORDER BY 1, 3;
SELECT * FROM verify_ledger();
DROP FUNCTION one(), two();
