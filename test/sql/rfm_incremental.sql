-- A run that measures only what changed gives what a run from scratch gives,
-- whatever happened in between.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
DROP SCHEMA IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = public, crm_member;
SELECT setseed(0.75);
ALTER TABLE sale DISABLE TRIGGER settle_sale;
ALTER TABLE sale_line DISABLE TRIGGER settle_sale_line;

INSERT INTO rfm_model (model_code, name, "window", frequency_of, monetary_of, ties, bins) VALUES
  ('quarter', 'Quarter', '3 months', 'orders', 'paid', 'split', 5),
  ('days', 'Days', '100 days', 'days', 'gross', 'together', 4),
  ('units', 'Units', NULL, 'units', 'paid', 'split', 10);
INSERT INTO rfm_model (model_code, "window", frequency_of, monetary_of, scope) VALUES
  ('store', '2 months', 'orders', 'paid', 'sale.store in (''s1'', ''s2'') or sale.weekday >= 6 and not sale.payable < 2'),
  ('web', NULL, 'days', 'gross', 'sale.channel is null or sale.hour between 9 and 20 and sale.attr(''n'') > 4 or sale.date >= ''2025-03-01'' and sale.day < 9'),
  ('shop', '1 year', 'units', 'paid', 'sale.store = ''s0'' and sale.year = 2025 and sale.minute >= 60');
INSERT INTO member (member_id) SELECT generate_series(1, 400);

-- What the tables hold now, model by model: the definition, with no memory of earlier runs.
CREATE VIEW root AS
  WITH RECURSIVE chain AS (SELECT member_id, member_id AS root FROM member WHERE merged_into IS NULL
    UNION ALL SELECT m.member_id, chain.root FROM chain JOIN member m ON m.merged_into = chain.member_id)
  SELECT * FROM chain;
CREATE FUNCTION expected(day date, model text) RETURNS TABLE (model_code text, member_id bigint, recency int, frequency numeric, monetary numeric, score rfm_score)
LANGUAGE sql AS $$
  WITH s AS (SELECT d.*, root.root, s.sale_id, (s.sold_at AT TIME ZONE 'Asia/Shanghai')::date AS day,
                    CASE d.monetary_of WHEN 'gross' THEN s.amount - coalesce(b.gross, 0) ELSE s.payable - s.shipping - coalesce(b.paid, 0) END AS money,
                    coalesce(l.units, 0) - coalesce(b.units, 0) AS units
               FROM rfm_model d CROSS JOIN sale s JOIN root USING (member_id)
               LEFT JOIN (SELECT sale_id, sum(quantity) AS units FROM sale_line GROUP BY 1) l USING (sale_id)
               LEFT JOIN (SELECT sale_id, sum(amount) AS gross, sum(payable - shipping) AS paid,
                                 sum((SELECT sum(quantity) FROM refund_line x WHERE (x.member_id, x.refund_id) = (refund.member_id, refund.refund_id))) AS units
                            FROM refund WHERE (refunded_at AT TIME ZONE 'Asia/Shanghai')::date <= day GROUP BY 1) b USING (sale_id)
              WHERE s.settled_at IS NOT NULL AND d.model_code = model
                AND (d.scope IS NULL OR condition_matches(d.scope, jsonb_build_object('sale', jsonb_build_object('store', s.store, 'channel', s.channel,
                      'payable', s.payable - s.shipping, 'attrs', s.attrs, 'date', (s.sold_at AT TIME ZONE 'Asia/Shanghai')::date, 'year', extract(year FROM s.sold_at AT TIME ZONE 'Asia/Shanghai'),
                      'weekday', extract(isodow FROM s.sold_at AT TIME ZONE 'Asia/Shanghai'), 'day', extract(day FROM s.sold_at AT TIME ZONE 'Asia/Shanghai'),
                      'hour', extract(hour FROM s.sold_at AT TIME ZONE 'Asia/Shanghai'),
                      'minute', extract(hour FROM s.sold_at AT TIME ZONE 'Asia/Shanghai') * 60 + extract(minute FROM s.sold_at AT TIME ZONE 'Asia/Shanghai')))))),
  a AS (SELECT s.model_code, root AS k, s.bins, s.ties, expected.day - max(s.day) AS r, coalesce(sum(money), 0) AS m,
               CASE s.frequency_of WHEN 'orders' THEN count(*) WHEN 'days' THEN count(DISTINCT s.day) ELSE sum(units) END::numeric AS f
          FROM s WHERE s.day <= expected.day AND ("window" IS NULL OR s.day > (expected.day - "window")::date)
         GROUP BY 1, 2, 3, 4, s.frequency_of),
  p AS (SELECT *, row_number() OVER (PARTITION BY model_code ORDER BY r DESC, k) - 1 AS pr,
               row_number() OVER (PARTITION BY model_code ORDER BY f, k) - 1 AS pf,
               row_number() OVER (PARTITION BY model_code ORDER BY m, k) - 1 AS pm,
               count(*) OVER (PARTITION BY model_code) AS n FROM a),
  t AS (SELECT *, CASE ties WHEN 'split' THEN pr ELSE min(pr) OVER (PARTITION BY model_code, r) END AS tr,
               CASE ties WHEN 'split' THEN pf ELSE min(pf) OVER (PARTITION BY model_code, f) END AS tf,
               CASE ties WHEN 'split' THEN pm ELSE min(pm) OVER (PARTITION BY model_code, m) END AS tm FROM p),
  b AS (SELECT *, (SELECT count(*)::int FROM generate_series(1, bins - 1) c WHERE tr >= c * (n / bins) + least(c, n % bins)) + 1 AS br,
               (SELECT count(*)::int FROM generate_series(1, bins - 1) c WHERE tf >= c * (n / bins) + least(c, n % bins)) + 1 AS bf,
               (SELECT count(*)::int FROM generate_series(1, bins - 1) c WHERE tm >= c * (n / bins) + least(c, n % bins)) + 1 AS bm FROM t)
  SELECT model_code, k, r, f, m, rfm_score(br, bf, bm) FROM b
$$;

-- Random acts: sales in order and late, some in the future, unsettled and settled later, moved, deleted; refunds; merges and their undoing.
CREATE PROCEDURE act(n int, today date) LANGUAGE plpgsql AS $$
DECLARE
  id bigint;
  who bigint;
  into_whom bigint;
BEGIN
  FOR i IN 1 .. n LOOP
    who := 1 + floor(random() * 400);
    CASE floor(random() * 14)
      WHEN 0 THEN UPDATE sale SET settled_at = now() WHERE settled_at IS NULL AND member_id = who;
      WHEN 1 THEN DELETE FROM sale WHERE ctid = (SELECT ctid FROM sale WHERE member_id = who ORDER BY sale_id LIMIT 1);
      WHEN 2 THEN UPDATE sale SET payable = payable + 1, sold_at = sold_at - interval '20 days' WHERE member_id = who AND sale_id % 3 = 0;
      WHEN 3 THEN UPDATE sale_line SET quantity = quantity + 0.5 WHERE member_id = who;
      WHEN 4 THEN
        into_whom := 1 + floor(random() * 400);
        into_whom := (SELECT root FROM root WHERE member_id = into_whom);
        UPDATE member SET status = 'merged', merged_into = into_whom
         WHERE member_id = who AND merged_into IS NULL AND member_id <> into_whom;
      WHEN 6, 7 THEN
        id := new_id();
        INSERT INTO refund (member_id, refund_id, sale_id, source, ref, refunded_at, amount, discount, shipping, payable, money, complete, answer)
          SELECT member_id, id, sale_id, 'x', id, (today + (random() * 20)::int - 15)::timestamp AT TIME ZONE 'Asia/Shanghai', 7, 2, 1, 6, 6, false, '{}'
            FROM sale WHERE member_id = who ORDER BY sale_id DESC LIMIT 1;
        INSERT INTO refund_line (member_id, refund_id, line_no, sale_id, quantity, amount, discount)
          SELECT l.member_id, id, l.line_no, l.sale_id, 0.25, 1, 0 FROM refund b JOIN sale_line l USING (member_id, sale_id) WHERE b.refund_id = id;
      WHEN 5 THEN UPDATE member SET status = 'active', merged_into = NULL WHERE member_id = who;
      ELSE
        id := new_id();
        INSERT INTO sale (member_id, sale_id, ref, store, channel, attrs, sold_at, shipping, amount, discount, payable, settled_at)
          VALUES (CASE WHEN random() < 0.05 THEN 0 ELSE who END, id, id, 's' || floor(random() * 4), CASE WHEN random() < 0.7 THEN 'web' END,
                  jsonb_build_object('n', floor(random() * 9)),
                  (today + (random() * 30)::int - 25)::timestamp AT TIME ZONE 'Asia/Shanghai' + random() * interval '1 day',
                  1, 20, 5, floor(random() * 8) - 1, CASE WHEN random() < 0.8 THEN now() END);
        INSERT INTO sale_line (member_id, sale_id, line_no, quantity, price)
          SELECT s.member_id, s.sale_id, g, floor(random() * 3) + 0.25, 1
            FROM sale s, generate_series(1, floor(random() * 3)::int) g WHERE s.sale_id = id;
    END CASE;
  END LOOP;
END $$;

-- The models run at different times, so each has its own share of the changes to take.
CREATE PROCEDURE history(rounds int) LANGUAGE plpgsql AS $$
DECLARE
  today date := '2025-01-31';
  wrong bigint;
  checked bigint := 0;
  full_runs bigint := 0;
  model text;
BEGIN
  FOR i IN 1 .. rounds LOOP
    CALL act(30, today);
    today := today + floor(random() * 8)::int;
    -- some are measured from scratch, some otherwise than the last time, now and then by several processes
    UPDATE rfm_state SET definition = 'other' WHERE random() < 0.2;
    UPDATE rfm_model SET "window" = (ARRAY['40 days', '2 months', NULL]::interval[])[1 + floor(random() * 3)], monetary_of = (ARRAY['paid', 'gross'])[1 + floor(random() * 2)],
           bins = 2 + floor(random() * 9), ties = (ARRAY['split', 'together'])[1 + floor(random() * 2)] WHERE model_code IN ('store', 'web') AND random() < 0.2;
    PERFORM set_config('min_parallel_table_scan_size', CASE WHEN random() < 0.3 THEN '0' ELSE '8MB' END, false);
    FOR model IN SELECT model_code FROM rfm_model WHERE random() < 0.6 ORDER BY 1 LOOP
      CALL run_rfm(today, model);
      SELECT count(*) INTO wrong
        FROM (SELECT member_id, recency, frequency, monetary, score FROM rfm WHERE model_code = model) g
        FULL JOIN expected(today, model) e USING (member_id)
       WHERE (g.recency, g.frequency, g.monetary, g.score) IS DISTINCT FROM (e.recency, e.frequency, e.monetary, e.score);
      IF wrong > 0 THEN
        RAISE EXCEPTION 'round %, model %: % members are wrong', i, model, wrong;
      END IF;
      checked := checked + 1;
    END LOOP;
    IF i % 10 = 0 THEN COMMIT; END IF;
  END LOOP;
  RAISE NOTICE 'runs checked: %', checked > rounds;
END $$;
CALL act(3000, '2025-01-10');
ANALYZE;
CALL history(50);
SELECT count(*) > 50 AS refunds FROM refund;
SELECT count(*) > 20 AS several_models FROM rfm_run;
SELECT model_code, bool_or(changed < members / 4) AS touched_few, count(*) FILTER (WHERE members > 50) > 10 AS many FROM rfm_run GROUP BY 1 ORDER BY 1;

-- undone work leaves nothing to do, work within the transaction of a run is seen
BEGIN;
CALL run_rfm('2026-01-01', 'units');
SAVEPOINT s;
INSERT INTO sale (member_id, sale_id, ref, sold_at, payable, settled_at) VALUES (1, 1, 'a', '2025-12-01', 5, now());
ROLLBACK TO s;
CALL run_rfm('2026-01-01', 'units');
SELECT changed FROM rfm_run ORDER BY finished_at DESC LIMIT 1;
INSERT INTO sale (member_id, sale_id, ref, sold_at, payable, settled_at) VALUES (1, 1, 'a', '2025-12-01', 5, now());
CALL run_rfm('2026-01-01', 'units');
INSERT INTO sale (member_id, sale_id, ref, sold_at, payable, settled_at) VALUES (1, 2, 'b', '2025-12-01', 5, now());
CALL run_rfm('2026-01-01', 'units');
COMMIT;
SELECT count(*) FROM rfm g FULL JOIN expected('2026-01-01', 'units') e USING (member_id, model_code)
 WHERE model_code = 'units' AND (g.recency, g.frequency, g.monetary, g.score) IS DISTINCT FROM (e.recency, e.frequency, e.monetary, e.score);
-- a changed definition or time zone measures everyone anew; so does an emptied table
UPDATE rfm_model SET "window" = '6 months' WHERE model_code = 'quarter';
UPDATE setting SET time_zone = 'Asia/Shanghai';
CALL run_rfm('2026-01-01', 'quarter');
SELECT count(*) FROM rfm g FULL JOIN expected('2026-01-01', 'quarter') e USING (member_id, model_code)
 WHERE model_code = 'quarter' AND (g.recency, g.frequency, g.monetary, g.score) IS DISTINCT FROM (e.recency, e.frequency, e.monetary, e.score);
TRUNCATE sale, sale_line;
CALL run_rfm('2026-01-01', 'units');
SELECT count(*) FROM rfm WHERE model_code = 'units';
SELECT count(*) FROM rfm_change WHERE model_code IS NULL;
\set VERBOSITY terse
SELECT note_purchase();
DROP VIEW root CASCADE;
DROP PROCEDURE act, history;
