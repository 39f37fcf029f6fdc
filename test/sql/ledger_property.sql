--
-- Random acts on pairs of members: 10,000 sequences, after which nothing is lost,
-- nothing was made, and every book agrees with every other. The seed is fixed;
-- should a book not agree, the whole story of its member is printed.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/utc.sql
SET synchronous_commit = off;
SELECT setseed(0.5);
INSERT INTO points_rule (rule_code, award, points, scope) VALUES ('base', 'per_amount', 1.7, 'line');
INSERT INTO points_rule (rule_code, award, points, pending, expiry) VALUES ('later', 'per_amount', 0.3, '5 days', '20 days');
INSERT INTO points_type (points_type, name, deficit, reinstatement, expiry, decimals) VALUES ('clamp', 'Clamp', 'clamp', '10 days', 'never', 0), ('alive', 'Alive', 'allow', NULL, 'inactive 6 days', 1);
INSERT INTO points_rule (rule_code, award, points, points_type) VALUES ('alive', 'per_amount', 0.6, 'alive');
INSERT INTO points_conversion (from_type, to_type, rate) VALUES ('points', 'alive', 0.75), ('alive', 'clamp', 2), ('clamp', 'points', 1.3);
CREATE TEMP TABLE pair AS
SELECT i, register_member(source => 'test', external_id => 'a' || i) AS a, register_member(source => 'test', external_id => 'b' || i) AS b
FROM generate_series(1, 500) i;
CREATE TEMP TABLE story (n int, member_id bigint, other bigint, act text, kind text, amount int, of_ref text, at timestamptz, state text);

-- One random act of one member at one moment; refusals are part of the game.
CREATE FUNCTION act(me bigint, other bigint, n int, at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  act CONSTANT text := (ARRAY['award', 'award', 'spend', 'spend', 'hold', 'capture', 'release', 'reverse', 'part', 'sale',
                              'sale', 'refund', 'transfer', 'convert', 'adjust'])[1 + floor(random() * 15)::int];
  kind CONSTANT text := (ARRAY['points', 'points', 'points', 'clamp', 'alive'])[1 + floor(random() * 5)::int];
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
    WHEN 'convert' THEN
      PERFORM convert_points(me, 1 + amount / 2, kind, CASE kind WHEN 'points' THEN 'alive' WHEN 'alive' THEN 'clamp' ELSE 'points' END, 'n' || n, NULL, act.at);
    WHEN 'adjust' THEN
      PERFORM adjust_points(me, amount - 40, 'count', 'n' || n, kind, at => act.at, actor => 'test');
    END CASE;
  EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE !~ '^RM' AND SQLERRM NOT IN ('points must be positive', 'points must not be 0', 'so few points convert into none') THEN
      RAISE;
    END IF;
    state := SQLSTATE;
  END;
  INSERT INTO story VALUES (n, me, other, act, kind, amount, old, act.at, state);
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
    -- the sooner a fault is seen, the shorter its story
    EXIT WHEN r % 5 = 0 AND EXISTS (SELECT FROM crm_member.verify_ledger());
  END LOOP;
END
$$;
CALL play(20);

-- nothing is wrong; were it, this is how it came about
SELECT * FROM verify_ledger();
SELECT * FROM story s WHERE EXISTS (SELECT FROM verify_ledger() v WHERE v.member_id IN (s.member_id, s.other)) ORDER BY n;

-- everything happened
SELECT act, count(*) FILTER (WHERE state = 'done') > 50 AS done FROM story GROUP BY 1 ORDER BY 1;
SELECT kind, count(*) > 50 AS often FROM points_entry GROUP BY 1 ORDER BY 1;
SELECT bool_or(debt > 0) AS debts, bool_or(expired_to > '-infinity') AS expired FROM points_account;
SELECT count(*) AS acts, count(*) / 3 AS sequences FROM story;

-- what was given is spent, expired, taken back, or there
SELECT points_type,
       sum(points) FILTER (WHERE kind IN ('transfer_out', 'transfer_in')) AS moved,
       sum(points) - (SELECT sum(balance) FROM points_account a WHERE a.points_type = e.points_type) AS lost
FROM points_entry e GROUP BY 1 ORDER BY 1;

-- what was converted, at its rate, is what came of it
SELECT o.points_type AS from_type, i.points_type AS to_type, count(*) > 30 AS many,
       bool_and(i.points = trunc(-o.points * c.rate, (SELECT decimals FROM points_type t WHERE t.points_type = i.points_type))) AS right
FROM points_entry o JOIN points_entry i ON i.member_id = o.member_id AND i.kind = 'convert_in' AND i.reason IS NOT DISTINCT FROM o.reason AND i.at = o.at AND i.booked_at = o.booked_at
JOIN points_conversion c ON c.from_type = o.points_type AND c.to_type = i.points_type
WHERE o.kind = 'convert_out' AND (SELECT count(*) FROM points_entry x WHERE x.member_id = o.member_id AND x.kind = 'convert_in' AND x.at = o.at) = 1
GROUP BY 1, 2 ORDER BY 1;

-- lots of the type that lasts as long as its member is active do, but for what others gave later
SELECT count(*) > 500 AS many, bool_and(l.expires_at >= e.last_at::date + 7) AS lasts
FROM points_lot l JOIN (SELECT member_id, max(at) AS last_at FROM points_entry WHERE points_type = 'alive' AND kind IN ('earn', 'award', 'spend', 'transfer_out', 'convert_out', 'convert_in') GROUP BY 1) e USING (member_id)
JOIN points_account a USING (member_id, points_type)
WHERE l.points_type = 'alive' AND l.open AND l.expires_at > greatest(e.last_at, a.expired_to)
  AND NOT EXISTS (SELECT FROM points_entry g WHERE g.member_id = l.member_id AND g.points_type = 'alive' AND g.entry_no = l.lot_no AND g.kind = 'transfer_in' AND g.at > e.last_at);

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
