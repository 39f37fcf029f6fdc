--
-- The job that books what expired and timed out changes nothing: the same acts
-- with and without it in between leave the same lots, debts and answers.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/utc.sql
SET datestyle = 'ISO';
INSERT INTO points_rule (rule_code, award, points) VALUES ('base', 'per_amount', 1);

-- acts told by their number, at days that go on; answers of acts that take
CREATE FUNCTION pg_temp.job(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  WHILE crm_member.release_step(at, 20000) > 0 LOOP
  END LOOP;
  WHILE crm_member.expire_step(1, at, 20000) IS NULL LOOP
  END LOOP;
END
$$;
CREATE FUNCTION pg_temp.act(m bigint, i int, kind text, points int, other int, days int, at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  CASE kind
    WHEN 'award' THEN PERFORM crm_member.award_points(m, points, 'x', i::text, at => at, expires_at => at + make_interval(days => days * 3));
    WHEN 'later' THEN PERFORM crm_member.award_points(m, points, 'x', i::text, at => at, available_at => at + make_interval(days => days));
    WHEN 'buy' THEN PERFORM crm_member.checkout(jsonb_build_object('ref', m || '-' || i, 'member_id', m, 'sold_at', at, 'lines', jsonb_build_array(jsonb_build_object('price', points))));
    WHEN 'spend' THEN PERFORM crm_member.spend_points(m, points, 'x', i::text, at => at);
    WHEN 'hold' THEN PERFORM crm_member.hold_points(m, points, 'x', i::text, at => at, expires_at => at + make_interval(days => days));
    WHEN 'release' THEN PERFORM crm_member.release_points(m, other::text, at => at);
    WHEN 'capture' THEN PERFORM crm_member.capture_points(m, other::text, points, at => at);
    WHEN 'reverse' THEN PERFORM crm_member.reverse_points(other::text, m, at => at);
    WHEN 'give' THEN PERFORM crm_member.adjust_points(m, points, 'x', i::text, at => at, actor => 'a');
    WHEN 'adjust' THEN PERFORM crm_member.adjust_points(m, -points, 'x', i::text, at => at, actor => 'a');
  END CASE;
  RETURN 'done';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END
$$;
CREATE TEMP TABLE act (member_id bigint, i int, kind text, points int, other int, days int, at timestamptz, answer text);
CREATE VIEW pg_temp.lot AS
  SELECT member_id, string_agg(format('%s of %s, %s to %s', remaining, points, to_char(earned_at, 'MM-DD'), to_char(expires_at, 'YYYY-MM-DD')), '; ' ORDER BY earned_at, expires_at, points, remaining) AS lots,
         (SELECT debt FROM points_account a WHERE a.member_id = l.member_id) AS debt, points_balance(member_id, as_of => '2026-12-31', known_at => 'infinity') AS balance
  FROM points_lot l GROUP BY 1;

-- a debt, a hold that times out, and a credit: what comes back pays the debt, whoever books it
CREATE FUNCTION pg_temp.owe(m bigint, credit text, job boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM crm_member.award_points(m, 100, 'x', '1', at => '2026-01-01', expires_at => '2026-06-01'), crm_member.hold_points(m, 60, 'x', '2', at => '2026-01-02', expires_at => '2026-01-10'),
    crm_member.spend_points(m, 40, 'x', '3', at => '2026-01-03'), crm_member.adjust_points(m, -50, 'x', '4', at => '2026-01-04', actor => 'a'), crm_member.register_member(source => 'x', external_id => m || 'o');
  IF job THEN
    PERFORM pg_temp.job('2026-01-11');
  END IF;
  IF credit = 'transfer' THEN
    PERFORM crm_member.award_points(crm_member.member_id('external:x', m || 'o'), 30, 'x', '1', at => '2026-01-01'), crm_member.transfer_points(crm_member.member_id('external:x', m || 'o'), m, 30, 'x', 't', at => '2026-01-12');
  ELSE
    PERFORM pg_temp.act(m, 9, credit, 30, 3, 5, '2026-01-12');
  END IF;
END
$$;
\set credits 'ARRAY[''award'', ''later'', ''buy'', ''reverse'', ''give'', ''transfer'', ''adjust'']'
INSERT INTO member (member_id, joined_at) SELECT g, '2025-01-01' FROM generate_series(1, 400) g;
SELECT count(*) FROM unnest(:credits) WITH ORDINALITY AS c (credit, n), LATERAL pg_temp.owe(10 + n, credit, true);
SELECT count(*) FROM unnest(:credits) WITH ORDINALITY AS c (credit, n), LATERAL pg_temp.owe(n, credit, false);
SELECT pg_temp.job('2026-01-13');
SELECT credit, b.lots, b.debt, b.balance, (a.lots, a.debt, a.balance) = (b.lots, b.debt, b.balance) AS "as with the job"
FROM unnest(:credits) WITH ORDINALITY AS c (credit, n) JOIN pg_temp.lot b ON b.member_id = n JOIN pg_temp.lot a ON a.member_id = n + 10 ORDER BY n;

-- any acts, first with the job at random times for those beyond 200, then without
SELECT setseed(0.71);
INSERT INTO act SELECT m, i, (ARRAY['award', 'award', 'later', 'buy', 'spend', 'hold', 'hold', 'hold', 'release', 'capture', 'reverse', 'reverse', 'adjust', 'adjust'])[1 + floor(random() * 14)], 1 + floor(random() * 40), greatest(1, i - floor(random() * 5)), 1 + floor(random() * 6), '2026-02-01'::timestamptz + make_interval(days => i)
FROM generate_series(21, 180) m, generate_series(1, 40) i;
INSERT INTO act SELECT member_id + 200, i, kind, points, other, days, at FROM act;
DO $$
DECLARE
  a act;
BEGIN
  FOR a IN SELECT * FROM act WHERE member_id > 200 ORDER BY i, member_id LOOP
    IF a.member_id = 221 AND a.i % 3 = 0 THEN
      PERFORM pg_temp.job(a.at);
    END IF;
    UPDATE act SET answer = pg_temp.act(a.member_id, a.i, a.kind, a.points, a.other, a.days, a.at) WHERE member_id = a.member_id AND i = a.i;
  END LOOP;
  FOR a IN SELECT * FROM act WHERE member_id < 200 ORDER BY i, member_id LOOP
    UPDATE act SET answer = pg_temp.act(a.member_id, a.i, a.kind, a.points, a.other, a.days, a.at) WHERE member_id = a.member_id AND i = a.i;
  END LOOP;
END
$$;
SELECT kind, count(*) > 15 AS many FROM act WHERE answer = 'done' AND member_id < 200 GROUP BY 1 ORDER BY 1;
SELECT count(*) > 20 AS debts_paid FROM points_entry WHERE kind = 'repay' AND member_id < 200;
SELECT count(DISTINCT member_id) > 20 AS released FROM points_entry WHERE kind = 'release' AND reason = 'timed out' AND member_id < 200;
SELECT a.member_id, a.i, a.kind, a.answer, b.answer AS with_job FROM act a JOIN act b ON b.member_id = a.member_id + 200 AND b.i = a.i WHERE a.answer <> b.answer ORDER BY 2, 1;
SELECT pg_temp.job('2026-12-30');
SELECT count(*) AS members, count(*) FILTER (WHERE (a.lots, a.debt, a.balance) IS DISTINCT FROM (b.lots, b.debt, b.balance)) AS differ FROM pg_temp.lot a JOIN pg_temp.lot b ON b.member_id = a.member_id + 200 WHERE a.member_id BETWEEN 21 AND 180;
SELECT * FROM verify_ledger();
