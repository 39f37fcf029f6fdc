--
-- Reports against brute force, over random histories: what tills were answered is
-- kept aside and summed by loops; points lot by lot and entry by entry.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/shanghai.sql
SET timezone = 'America/New_York';
UPDATE points_type SET money_value = 0.01, expiry = '6 months', deficit = 'allow';
INSERT INTO points_type (points_type, name, decimals, expiry, money_value) VALUES ('miles', 'Miles', 2, 'end of month + 2', NULL);
INSERT INTO points_conversion VALUES ('points', 'miles', 0.5, 'floor');
INSERT INTO points_rule (rule_code, award, points, points_type, scope, condition, pending, budget, expiry) VALUES
  ('base', 'per_amount', 1, 'points', 'sale', NULL, NULL, NULL, NULL), ('tea', 'per_unit', 3, 'points', 'line', 'line.category = ''tea''', '20 days', NULL, NULL),
  ('first', 'fixed', 50, 'points', 'sale', 'member.first_purchase', NULL, NULL, 'never'), ('big', 'multiplier', 2, 'points', 'sale', 'sale.amount >= 120', NULL, NULL, NULL),
  ('miles', 'per_amount', 0.25, 'miles', 'sale', 'sale.store = ''S1''', NULL, 300, NULL), ('idle', 'fixed', 1, 'points', 'sale', 'sale.store = ''S9''', NULL, NULL, NULL);
INSERT INTO member (member_id, kind, store, joined_at) SELECT g, CASE WHEN g % 5 = 0 THEN 'dealer' ELSE 'consumer' END, (ARRAY['S1', 'S2', NULL])[1 + g % 3], now() - interval '1 year' + g * interval '9 days' FROM generate_series(1, 30) g;

-- what was answered
CREATE TABLE public.sold (sale_id bigint, ref text, member_id bigint, store text, sold_at timestamptz, amount numeric, discount numeric, payable numeric, lines jsonb);
CREATE TABLE public.gave (sale_id bigint, rule_code text, points_type text, points numeric);
CREATE TABLE public.back (sale_id bigint, at timestamptz, payable numeric);

CREATE FUNCTION pg_temp.act(i int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  m bigint := 1 + floor(random() * 30)::int;
  at timestamptz := now() - interval '300 days' + i * interval '8 hours' + random() * interval '7 hours';
  kind float := random();
  answer jsonb;
  document jsonb;
  s public.sold;
  n int := 1 + floor(random() * 3)::int;
BEGIN
  CASE
    WHEN kind < 0.55 THEN
      document := jsonb_strip_nulls(jsonb_build_object('ref', 's' || i, 'member_id', CASE WHEN random() < 0.92 THEN m END, 'store', (ARRAY['S1', 'S2', 'S3', NULL])[1 + floor(random() * 4)::int], 'sold_at', at,
        'shipping', CASE WHEN random() < 0.2 THEN 8 END,
        'lines', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('price', round((random() * 60)::numeric, 2), 'quantity', 1 + (l + i) % 3, 'category', (ARRAY['tea', 'cups', NULL])[1 + (l * 7 + i) % 3]))) FROM generate_series(1, n) l)));
      IF document ? 'member_id' AND random() < 0.2 THEN
        document := document || jsonb_build_object('points', least(floor(crm_member.points_balance(m, 'points', at) / 2), 500));
      END IF;
      answer := crm_member.checkout(document);
      INSERT INTO public.sold VALUES ((answer->>'sale_id')::bigint, 's' || i, (SELECT b.member_id FROM crm_member.sale b WHERE b.ref = 's' || i), document->>'store', at,
        (answer->>'amount')::numeric, (answer->>'discount')::numeric, (answer->>'payable')::numeric, (SELECT jsonb_agg(l || (d - 'price')) FROM jsonb_array_elements(answer->'lines') WITH ORDINALITY a (l, o) JOIN jsonb_array_elements(document->'lines') WITH ORDINALITY b (d, o) USING (o)));
      INSERT INTO public.gave SELECT (answer->>'sale_id')::bigint, r->>'rule_code', r->>'points_type', (r->>'points')::numeric FROM jsonb_array_elements(answer #> '{points,rules}') r;
    WHEN kind < 0.70 THEN
      SELECT * INTO s FROM public.sold ORDER BY md5(ref || i) LIMIT 1;
      IF s IS NULL THEN RETURN 'none'; END IF;
      answer := crm_member.refund(jsonb_strip_nulls(jsonb_build_object('ref', 'r' || i, 'sale_ref', s.ref, 'refunded_at', at, 'lines', CASE WHEN random() < 0.6 THEN '[{"line_no": 1, "quantity": 1}]'::jsonb END)));
      INSERT INTO public.back VALUES (s.sale_id, at, (answer->>'payable')::numeric);
    WHEN kind < 0.74 THEN PERFORM crm_member.award_points(m, 20 + i % 50, 'x', 'a' || i, expires_at => CASE WHEN i % 3 = 0 THEN at + interval '40 days' END, available_at => CASE WHEN i % 4 = 0 THEN at + interval '30 days' END, at => at);
    WHEN kind < 0.80 THEN PERFORM crm_member.spend_points(m, 10 + i % 40, 'x', 'b' || i, at => at);
    WHEN kind < 0.87 THEN PERFORM crm_member.hold_points(m, 10 + i % 40, 'x', 'h' || i, at => at, expires_at => CASE WHEN i % 3 = 0 THEN at + interval '400 days' WHEN i % 3 = 1 THEN at + interval '30 days' END);
    WHEN kind < 0.90 THEN PERFORM crm_member.capture_points(h.member_id, h.ref, least(5, h.held), 'x', 'c' || i, at => at) FROM (SELECT * FROM crm_member.points_hold h WHERE h.held > 0 ORDER BY md5(ref || i) LIMIT 1) h;
    WHEN kind < 0.93 THEN PERFORM crm_member.release_points(h.member_id, h.ref, least(6, h.held), 'x', 'd' || i, at => at) FROM (SELECT * FROM crm_member.points_hold h WHERE h.held > 0 ORDER BY md5(ref || i) LIMIT 1) h;
    WHEN kind < 0.95 THEN PERFORM crm_member.transfer_points(m, 1 + m % 30, 5, 'x', 't' || i, at => at);
    WHEN kind < 0.97 THEN PERFORM crm_member.convert_points(m, 8, 'points', 'miles', 'v' || i, at => at);
    WHEN kind < 0.98 THEN PERFORM crm_member.adjust_points(m, -15, 'x', 'j' || i, at => at, actor => 'x');
    WHEN kind < 0.995 THEN PERFORM crm_member.merge_members(m, ARRAY[1 + (m * 7) % 30], 'm' || i);
    ELSE PERFORM crm_member.unmerge(e.merge_id, 'u' || i) FROM (SELECT merge_id FROM crm_member.member_merge ORDER BY md5(ref || i) LIMIT 1) e;
  END CASE;
  RETURN 'done';
EXCEPTION WHEN OTHERS THEN
  -- whoever has not enough, is merged or returned before
  RETURN SQLSTATE;
END
$$;
SELECT setseed(0.1);
CREATE TABLE public.did AS SELECT i, pg_temp.act(i) AS outcome FROM generate_series(1, 900) i;
SELECT count(*) FILTER (WHERE outcome = 'done') > 600 AS enough_done, string_agg(DISTINCT outcome, ' ' ORDER BY outcome) FILTER (WHERE outcome !~ '^(done|none|RM.*|22023)$') AS unexpected FROM did;
-- lines without a header and a header without lines are in no report
INSERT INTO sale_line (member_id, sale_id, line_no, category, price) VALUES (3, 991, 1, 'books', 100000);
INSERT INTO sale (member_id, sale_id, ref, sold_at, store) VALUES (4, 992, 'waits', now() - interval '1 day', 'S1');
SELECT (SELECT count(*) > 1 FROM member WHERE merged_into IS NOT NULL) AS merged, (SELECT count(*) > 30 FROM refund) AS returned, (SELECT count(*) > 3 FROM points_hold WHERE held > 0 AND expires_at > now() AND held < points) AS held_in_part,
       (SELECT count(DISTINCT kind) > 10 FROM points_entry) AS kinds;

-- who is who, by walking up
CREATE FUNCTION pg_temp.root(who bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  up bigint;
BEGIN
  LOOP
    SELECT m.merged_into INTO up FROM crm_member.member m WHERE m.member_id = who;
    IF up IS NULL THEN RETURN who; END IF;
    who := up;
  END LOOP;
END
$$;
-- Shanghai is 8 hours before UTC all the year
CREATE FUNCTION pg_temp.day(at timestamptz) RETURNS date LANGUAGE sql AS $$ SELECT ((at AT TIME ZONE 'UTC') + interval '8 hours')::date $$;
CREATE FUNCTION pg_temp.month(at timestamptz) RETURNS date LANGUAGE sql AS $$ SELECT pg_temp.day(at) - extract(day FROM pg_temp.day(at))::int + 1 $$;

-- each report as text, a row a line, by hand
CREATE TABLE public.oracle (report text, line text);
CREATE FUNCTION pg_temp.reckon() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  o record;
  e record;
  l record;
  h record;
  c record;
  sums jsonb := '{}';
  key text;
  gone numeric;
  granted numeric;
  part numeric;
  rest numeric;
BEGIN
  TRUNCATE public.oracle;
  -- per rule
  FOR o IN SELECT rule_code FROM crm_member.points_rule LOOP
    INSERT INTO public.oracle SELECT 'rule', concat_ws(' ', o.rule_code, count(DISTINCT g.sale_id), count(DISTINCT pg_temp.root(s.member_id)), coalesce(trim_scale(sum(g.points)), 0),
      coalesce(trim_scale((SELECT sum(d.amount - d.discount) FROM public.sold d WHERE d.sale_id IN (SELECT x.sale_id FROM public.gave x WHERE x.rule_code = o.rule_code))), 0),
      extract(epoch FROM min(s.sold_at)), extract(epoch FROM max(s.sold_at)))
      FROM public.gave g JOIN public.sold s USING (sale_id) WHERE g.rule_code = o.rule_code;
  END LOOP;
  -- stores and months
  FOR o IN SELECT DISTINCT x.store, x.month FROM (SELECT s.store, pg_temp.month(s.sold_at) AS month FROM public.sold s UNION SELECT s.store, pg_temp.month(b.at) FROM public.back b JOIN public.sold s USING (sale_id)
                    UNION SELECT m.store, pg_temp.month(m.joined_at) FROM crm_member.member m WHERE m.member_id = pg_temp.root(m.member_id)) x LOOP
    INSERT INTO public.oracle SELECT 'store', concat_ws(' ', coalesce(o.store, '-'), o.month, count(*), count(*) FILTER (WHERE s.member_id > 0), count(DISTINCT CASE WHEN s.member_id > 0 THEN pg_temp.root(s.member_id) END),
      (SELECT count(*) FROM crm_member.member m WHERE m.member_id = pg_temp.root(m.member_id) AND m.store IS NOT DISTINCT FROM o.store AND pg_temp.month(m.joined_at) = o.month),
      coalesce(sum(s.amount), 0), coalesce(sum(s.payable), 0), coalesce(sum(s.payable) FILTER (WHERE s.member_id > 0), 0),
      (SELECT concat_ws(' ', count(*), coalesce(sum(b.payable), 0)) FROM public.back b JOIN public.sold x USING (sale_id) WHERE x.store IS NOT DISTINCT FROM o.store AND pg_temp.month(b.at) = o.month))
      FROM public.sold s WHERE s.store IS NOT DISTINCT FROM o.store AND pg_temp.month(s.sold_at) = o.month;
  END LOOP;
  -- members
  FOR o IN SELECT m.member_id FROM crm_member.member m WHERE pg_temp.root(m.member_id) = m.member_id LOOP
    INSERT INTO public.oracle SELECT 'member', concat_ws(' ', o.member_id, count(*), count(DISTINCT pg_temp.day(s.sold_at)), coalesce(sum(s.amount), 0), coalesce(sum(s.payable), 0),
      (SELECT concat_ws(' ', count(*), coalesce(sum(b.payable), 0)) FROM public.back b JOIN public.sold x USING (sale_id) WHERE x.member_id > 0 AND pg_temp.root(x.member_id) = o.member_id),
      coalesce(extract(epoch FROM min(s.sold_at))::text, '-'), coalesce((pg_temp.day(now()) - pg_temp.day(max(s.sold_at)))::text, '-'),
      coalesce((SELECT k.category FROM (SELECT y->>'category' AS category, sum((y->>'payable')::numeric) AS paid FROM public.sold x, jsonb_array_elements(x.lines) y
                 WHERE x.member_id > 0 AND pg_temp.root(x.member_id) = o.member_id AND y ? 'category' GROUP BY 1) k ORDER BY k.paid DESC, k.category LIMIT 1), '-'))
      FROM public.sold s WHERE s.member_id > 0 AND pg_temp.root(s.member_id) = o.member_id;
  END LOOP;
  -- points: entry by entry
  FOR e IN SELECT p.*, (SELECT s.store FROM public.sold s WHERE s.sale_id = p.sale_id) AS store FROM crm_member.points_entry p LOOP
    key := concat_ws(' ', pg_temp.day(e.at), coalesce(e.store, '-'), e.points_type, CASE
      WHEN e.kind = 'earn' THEN 'earned' WHEN e.kind IN ('award', 'adjust') THEN 'by_hand' WHEN e.kind = 'spend' THEN 'spent' WHEN e.kind = 'reverse' THEN 'taken_back' WHEN e.kind = 'return' THEN 'given_back'
      WHEN e.kind IN ('expire', 'clear') THEN 'expired' WHEN e.kind ~ '^(transfer|convert)' THEN 'moved' WHEN e.kind IN ('hold', 'release') THEN 'held' ELSE 'else' END);
    sums := jsonb_set(sums, ARRAY[key], to_jsonb(coalesce((sums->>key)::numeric, 0) + e.points));
  END LOOP;
  INSERT INTO public.oracle SELECT 'movement', s.key || ' ' || trim_scale(abs(s.value::numeric)) FROM jsonb_each_text(sums) s WHERE s.value::numeric <> 0 AND s.key !~ 'else$';
  -- liability: lot by lot, and hold by hold what it took out of which lot, first captured from the beginning, then released from the end
  sums := '{}';
  FOR l IN SELECT p.* FROM crm_member.points_lot p JOIN crm_member.points_account a USING (member_id, points_type) WHERE p.remaining > 0 AND p.expires_at > now() AND p.expires_at > a.expired_to LOOP
    key := concat_ws(' ', l.points_type, CASE WHEN l.expires_at = 'infinity' THEN '-' ELSE pg_temp.month(l.expires_at - interval '1 microsecond')::text END, CASE WHEN l.available_at > now() THEN 'pending' ELSE 'points' END);
    sums := jsonb_set(sums, ARRAY[key], to_jsonb(coalesce((sums->>key)::numeric, 0) + l.remaining));
  END LOOP;
  FOR h IN SELECT * FROM crm_member.points_hold p WHERE p.held > 0 LOOP
    -- of what was drawn, the beginning is spent; then comes what is held
    gone := (SELECT coalesce(-sum(x.points), 0) FROM crm_member.points_entry x WHERE x.member_id = h.member_id AND x.points_type = h.points_type AND x.of_entry = h.hold_no AND x.kind = 'spend');
    rest := h.held;
    FOR l IN SELECT u.points AS drawn, p.expires_at, p.available_at FROM crm_member.points_entry x, unnest(x.lot_nos, x.lot_points) WITH ORDINALITY AS u (lot_no, points, o), crm_member.points_lot p
              WHERE x.member_id = h.member_id AND x.points_type = h.points_type AND x.entry_no = h.hold_no AND p.member_id = x.member_id AND p.points_type = x.points_type AND p.lot_no = u.lot_no ORDER BY u.o LOOP
      part := least(greatest(l.drawn - gone, 0), rest);
      gone := greatest(gone - l.drawn, 0);
      rest := rest - part;
      CONTINUE WHEN part = 0 OR (h.expires_at <= now() AND l.expires_at <= now());
      key := concat_ws(' ', h.points_type, CASE WHEN l.expires_at = 'infinity' THEN '-' ELSE pg_temp.month(l.expires_at - interval '1 microsecond')::text END,
        CASE WHEN h.expires_at > now() THEN 'held' WHEN l.available_at > now() THEN 'pending' ELSE 'points' END);
      sums := jsonb_set(sums, ARRAY[key], to_jsonb(coalesce((sums->>key)::numeric, 0) + part));
    END LOOP;
    IF rest <> 0 THEN RAISE EXCEPTION 'hold % of % is not all in lots', h.ref, h.member_id; END IF;
  END LOOP;
  FOR c IN SELECT * FROM crm_member.points_account p WHERE p.debt > 0 LOOP
    key := c.points_type || ' - debt';
    sums := jsonb_set(sums, ARRAY[key], to_jsonb(coalesce((sums->>key)::numeric, 0) + c.debt));
  END LOOP;
  INSERT INTO public.oracle SELECT 'liability', s.key || ' ' || trim_scale(s.value::numeric) FROM jsonb_each_text(sums) s WHERE s.value::numeric <> 0;
  -- forecast: what was left of what expired in the last year, type by type, then month by month
  FOR c IN SELECT points_type, decimals FROM crm_member.points_type LOOP
    granted := 0;
    rest := 0;
    FOR l IN SELECT * FROM crm_member.points_lot p WHERE p.points_type = c.points_type AND p.expires_at <= now() AND p.expires_at > now() - interval '12 months' LOOP
      granted := granted + CASE WHEN l.birth_member IS NULL THEN l.points ELSE 0 END;
      rest := rest + l.remaining;
    END LOOP;
    FOR o IN SELECT DISTINCT pg_temp.month(p.expires_at - interval '1 microsecond') AS month FROM crm_member.points_lot p WHERE p.points_type = c.points_type AND p.expires_at > now() AND p.expires_at < 'infinity' LOOP
      INSERT INTO public.oracle SELECT 'forecast', concat_ws(' ', c.points_type, o.month, trim_scale(sum(p.points) FILTER (WHERE p.birth_member IS NULL)), trim_scale(sum(p.remaining)),
          coalesce(trim_scale(least(sum(p.remaining), round(sum(p.points) FILTER (WHERE p.birth_member IS NULL) * rest / nullif(granted, 0), c.decimals)))::text, '-'))
        FROM crm_member.points_lot p WHERE p.points_type = c.points_type AND p.expires_at > now() AND p.expires_at < 'infinity' AND pg_temp.month(p.expires_at - interval '1 microsecond') = o.month;
    END LOOP;
  END LOOP;
END
$$;
CREATE FUNCTION pg_temp.differ() RETURNS TABLE (report text, in_view text, by_hand text) LANGUAGE sql AS $$
  SELECT pg_temp.reckon();
  WITH views (report, line) AS (
    SELECT 'rule', concat_ws(' ', rule_code, sales, members, trim_scale(points), trim_scale(turnover), extract(epoch FROM first_at), extract(epoch FROM last_at)) FROM crm_member.points_rule_effect
    UNION ALL SELECT 'store', concat_ws(' ', coalesce(store, '-'), month, sales, member_sales, members, new_members, amount, payable, member_payable, refunds, refunded) FROM crm_member.store_performance
    UNION ALL SELECT 'member', concat_ws(' ', member_id, sales, days, amount, payable, refunds, refunded, coalesce(extract(epoch FROM first_at)::text, '-'), coalesce(days_since_last::text, '-'), coalesce(main_category, '-')) FROM crm_member.member_consumption
    UNION ALL SELECT 'movement', concat_ws(' ', day, coalesce(store, '-'), points_type, k, trim_scale(abs(v))) FROM crm_member.points_movement, LATERAL (VALUES ('earned', earned), ('by_hand', by_hand), ('spent', spent), ('taken_back', taken_back), ('given_back', given_back), ('expired', expired), ('moved', moved), ('held', held)) x (k, v) WHERE v <> 0
    UNION ALL SELECT 'liability', concat_ws(' ', points_type, coalesce(expires_month::text, '-'), k, trim_scale(v)) FROM crm_member.points_liability, LATERAL (VALUES ('points', points), ('pending', pending), ('held', held), ('debt', debt)) x (k, v) WHERE v <> 0
    UNION ALL SELECT 'forecast', concat_ws(' ', points_type, month, trim_scale(granted), trim_scale(remaining), coalesce(trim_scale(expected_expired)::text, '-')) FROM crm_member.points_forecast)
  SELECT coalesce(v.report, o.report), v.line, o.line FROM (SELECT *, row_number() OVER (PARTITION BY report, line) AS n FROM views) v
    FULL JOIN (SELECT *, row_number() OVER (PARTITION BY report, line) AS n FROM public.oracle) o USING (report, line, n) WHERE v.line IS NULL OR o.line IS NULL ORDER BY 1, 2, 3
$$;
SELECT * FROM pg_temp.differ();
SELECT report, count(*) > 5 AS lines FROM oracle GROUP BY 1 ORDER BY 1;
-- the sums are those of the books
SELECT points_type, sum(points) = (SELECT sum(points_balance(a.member_id, l.points_type)) FROM points_account a WHERE a.points_type = l.points_type AND NOT a.closed) AS spendable,
       sum(held) = (SELECT sum(h.held) FROM points_hold h WHERE h.points_type = l.points_type AND h.expires_at > now()) AS held FROM points_liability l GROUP BY 1 ORDER BY 1;
SELECT sum(d.net) = (SELECT sum(a.balance) FROM points_account a) AS by_day, (SELECT sum(s.net) FROM points_by_store s) = sum(d.net) AS by_store FROM points_by_day d;
-- one member as another report has him
SELECT count(*) AS unlike FROM member_consumption c JOIN member_360_view v USING (member_id) WHERE (c.sales, c.payable, c.first_at, c.last_at) IS DISTINCT FROM (v.sales, v.payable, v.first_sale_at, v.last_sale_at);
-- expiry is booked: what can be spent, and all else but what expired and what holds that timed out give back to lots, is the same
CREATE TABLE public.before AS SELECT report, line FROM oracle WHERE report NOT IN ('movement', 'forecast');
CALL expire_points();
SELECT * FROM pg_temp.differ();
SELECT report, line FROM (TABLE before EXCEPT ALL SELECT report, line FROM oracle) x ORDER BY 1, 2;
SELECT sum(expired) > 0 AS expired FROM points_by_day;
SELECT * FROM verify_ledger();
DROP TABLE public.sold, public.gave, public.back, public.did, public.oracle, public.before;
