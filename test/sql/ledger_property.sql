--
-- Random acts on pairs of members: 10,000 sequences, after which nothing is lost,
-- nothing was made, and every book agrees with every other.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'UTC');
RESET client_min_messages;
SET search_path = crm_member, public;
SET timezone = 'UTC';
SET synchronous_commit = off;
SELECT setseed(0.5);
INSERT INTO points_rule (rule_code, award, points, scope) VALUES ('base', 'per_amount', 1.7, 'line');
INSERT INTO points_rule (rule_code, award, points, pending, expiry) VALUES ('later', 'per_amount', 0.3, '5 days', '20 days');
INSERT INTO points_type (points_type, name, deficit, reinstatement) VALUES ('clamp', 'Clamp', 'clamp', '10 days');
CREATE TEMP TABLE pair AS
SELECT i, register_member(source => 'test', external_id => 'a' || i) AS a, register_member(source => 'test', external_id => 'b' || i) AS b
FROM generate_series(1, 500) i;
CREATE TEMP TABLE tally (act text, state text, n bigint DEFAULT 1, PRIMARY KEY (act, state));

-- One random act of one member at one moment; refusals are part of the game.
CREATE FUNCTION act(me bigint, other bigint, n int, at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  act CONSTANT text := (ARRAY['award', 'award', 'spend', 'spend', 'hold', 'capture', 'release', 'reverse', 'part', 'sale',
                              'refund', 'transfer', 'adjust'])[1 + floor(random() * 13)::int];
  kind CONSTANT text := CASE WHEN random() < 0.7 THEN 'points' ELSE 'clamp' END;
  amount CONSTANT int := 1 + floor(random() * 60)::int;
  old text;
  state text := 'done';
BEGIN
  BEGIN
    CASE act
    WHEN 'award' THEN
      PERFORM award_points(me, amount, NULL, 'n' || n, kind, at => act.at,
        expires_at => at + (1 + floor(random() * 30)) * interval '1 day' + interval '3 days',
        available_at => at + floor(random() * 3) * interval '1 day');
    WHEN 'spend' THEN
      PERFORM spend_points(me, amount, NULL, 'n' || n, kind, act.at);
    WHEN 'hold' THEN
      PERFORM hold_points(me, amount, NULL, 'n' || n, kind, at + floor(random() * 5 + 1) * interval '1 day', act.at);
    WHEN 'capture', 'release' THEN
      SELECT ref INTO old FROM points_hold WHERE member_id = me ORDER BY random() LIMIT 1;
      IF old IS NULL THEN
        state := 'nothing to do';
      ELSIF act = 'capture' THEN
        PERFORM capture_points(me, old, 1 + amount / 4, NULL, 'n' || n, random() < 0.5, act.at);
      ELSE
        PERFORM release_points(me, old, CASE WHEN random() < 0.5 THEN 1 + amount / 4 END, NULL, 'n' || n, act.at);
      END IF;
    WHEN 'reverse', 'part' THEN
      SELECT ref INTO old FROM points_entry WHERE member_id = me AND ref IS NOT NULL ORDER BY random() LIMIT 1;
      IF old IS NULL THEN
        state := 'nothing to do';
      ELSE
        PERFORM reverse_points(old, me, CASE act WHEN 'part' THEN 1 + amount / 4 END, reversal_ref => 'n' || n, at => act.at);
      END IF;
    WHEN 'sale' THEN
      PERFORM checkout(jsonb_build_object('ref', 'S' || n, 'member_id', me, 'sold_at', act.at, 'lines', jsonb_build_array(
        jsonb_build_object('price', amount * 0.37, 'quantity', 1 + amount % 3),
        jsonb_build_object('price', amount * 0.11, 'quantity', 0.5))));
    WHEN 'refund' THEN
      SELECT ref INTO old FROM sale WHERE member_id = me ORDER BY random() LIMIT 1;
      IF old IS NULL THEN
        state := 'nothing to do';
      ELSIF random() < 0.4 THEN
        PERFORM refund(jsonb_build_object('ref', 'R' || n, 'sale_ref', old, 'refunded_at', act.at));
      ELSE
        PERFORM refund(jsonb_build_object('ref', 'R' || n, 'sale_ref', old, 'refunded_at', act.at, 'lines',
          jsonb_build_array(jsonb_build_object('line_no', 1 + amount % 2, 'quantity', 0.25 * (1 + amount % 4)))));
      END IF;
    WHEN 'transfer' THEN
      PERFORM transfer_points(me, other, 1 + amount / 2, NULL, 'n' || n, kind, act.at);
    WHEN 'adjust' THEN
      PERFORM adjust_points(me, amount - 40, 'count', 'n' || n, kind, at => act.at, actor => 'test');
    END CASE;
  EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE !~ '^RM' AND SQLERRM <> 'points must be positive' THEN
      RAISE;
    END IF;
    state := SQLSTATE;
  END;
  INSERT INTO tally VALUES (act, state) ON CONFLICT ON CONSTRAINT tally_pkey DO UPDATE SET n = tally.n + 1;
END
$$;

-- 20 rounds of 500 sequences of 3 acts each, and what expires is booked in between
CREATE PROCEDURE play(rounds int) LANGUAGE plpgsql AS $$
DECLARE
  n int := 0;
  p record;
BEGIN
  FOR r IN 1 .. rounds LOOP
    FOR p IN SELECT a, b FROM pair ORDER BY i LOOP
      FOR j IN 1 .. 3 LOOP
        n := n + 1;
        IF random() < 0.5 THEN
          PERFORM act(p.a, p.b, n, timestamptz '2026-01-01' + r * interval '2 days' + j * interval '1 hour');
        ELSE
          PERFORM act(p.b, p.a, n, timestamptz '2026-01-01' + r * interval '2 days' + j * interval '1 hour');
        END IF;
      END LOOP;
    END LOOP;
    COMMIT;
    IF r % 3 = 0 THEN
      CALL crm_member.expire_points(timestamptz '2026-01-01' + r * interval '2 days' + interval '1 day');
    END IF;
  END LOOP;
END
$$;
CALL play(20);

-- everything happened
SELECT act, sum(n) FILTER (WHERE state = 'done') > 100 AS done FROM tally GROUP BY 1 ORDER BY 1;
SELECT kind, count(*) > 50 AS often FROM points_entry GROUP BY 1 ORDER BY 1;
SELECT bool_or(debt > 0) AS debts, bool_or(expired_to > '-infinity') AS expired FROM points_account;
SELECT sum(n) AS acts FROM tally;

-- nothing is wrong
SELECT * FROM verify_ledger();

-- what was given is spent, expired, taken back, or there
SELECT points_type,
       sum(points) FILTER (WHERE kind IN ('transfer_out', 'transfer_in')) AS moved,
       sum(points) - (SELECT sum(balance) FROM points_account a WHERE a.points_type = e.points_type) AS lost
FROM points_entry e GROUP BY 1 ORDER BY 1;

-- a sale that came back whole has left no points
SELECT count(*) > 50 AS many, bool_and(points = 0) AS none_left
FROM (SELECT s.sale_id, coalesce(sum(CASE e.kind WHEN 'reverse' THEN e.points - coalesce(e.shortfall, 0) ELSE e.points END), 0) AS points
      FROM sale s JOIN refund r ON r.member_id = s.member_id AND r.sale_id = s.sale_id AND r.complete
      LEFT JOIN points_entry e ON e.member_id = s.member_id AND e.sale_id = s.sale_id GROUP BY 1) s;

-- the stored balance, the lots, and the journal replayed say the same
SELECT count(*) > 1000 AS many, count(*) FILTER (WHERE points_balance(member_id, points_type) <>
         points_balance(member_id, points_type, now() - interval '1 microsecond')) AS different
FROM points_account;
SELECT count(*) AS different FROM points_account a
WHERE points_balance(member_id, points_type) <>
      (SELECT coalesce(sum(remaining), 0) FROM points_lot l
       WHERE l.member_id = a.member_id AND l.points_type = a.points_type AND l.available_at <= now() AND l.expires_at > now()) - a.debt
  AND hold_expires_at > now();
