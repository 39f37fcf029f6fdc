--
-- Coupons on single units beside a second reckoning in SQL that lists every unit:
-- cheapest and dearest, buy X get Y, gifts, in thousands of random combinations.
--
-- Each sale has one promotion, so what it gives can be reckoned by itself.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/random.sql

-- n lines of: amount, what the till left of it, floor, quantity, good for X, good for Y
CREATE TEMP TABLE line (i int PRIMARY KEY, amount numeric, remains numeric, least numeric, quantity numeric, category text, tax_rate numeric,
                        eligible boolean, gets boolean, taken int NOT NULL DEFAULT 0, off numeric NOT NULL DEFAULT 0);

-- sets line.taken and line.off; whether the template applies
CREATE FUNCTION pg_temp.reckon(t crm_member.coupon_template) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  only_buys int;
  only_gets int;
  either_way int;
  wanted int := coalesce(t.max_units, 1);
  bought int := 0;
  extra int := 0;
  either int;
  spend numeric;
  units numeric;
  unit record;
BEGIN
  UPDATE line SET eligible = t.eligible IS NULL OR format('line.category = %L', category) = t.eligible::text, taken = 0, off = 0;
  UPDATE line SET gets = CASE WHEN t.get_eligible IS NULL OR t.kind NOT IN ('buy_x_get_y', 'gift') THEN eligible ELSE format('line.category = %L', category) = t.get_eligible::text END;
  SELECT coalesce(sum(trunc(quantity)) FILTER (WHERE eligible AND NOT gets), 0), coalesce(sum(trunc(quantity)) FILTER (WHERE gets AND NOT eligible), 0),
         coalesce(sum(trunc(quantity)) FILTER (WHERE eligible AND gets), 0) INTO only_buys, only_gets, either_way FROM line;
  IF t.kind = 'gift' THEN
    wanted := least(coalesce(t.get_quantity, 1), t.max_units);
  ELSIF t.kind = 'buy_x_get_y' THEN
    -- one reward after the other, as long as units remain that pay for it
    wanted := 0;
    WHILE only_buys + either_way >= bought + t.buy_quantity AND wanted + t.get_quantity <= only_gets + least(either_way, only_buys + either_way - bought - t.buy_quantity) LOOP
      bought := bought + t.buy_quantity;
      wanted := wanted + t.get_quantity;
    END LOOP;
    IF t.partial_reward AND only_buys + either_way >= bought + t.buy_quantity THEN
      extra := only_gets + least(either_way, only_buys + either_way - bought - t.buy_quantity) - wanted;
      IF extra > 0 THEN
        bought := bought + t.buy_quantity;
        wanted := wanted + least(extra, t.get_quantity);
      END IF;
    END IF;
    IF wanted > t.max_units THEN
      wanted := t.max_units;
      bought := ceil(wanted::numeric / t.get_quantity) * t.buy_quantity;
    END IF;
  END IF;
  either := only_buys + either_way - bought;
  FOR unit IN SELECT l.i, l.eligible FROM line l, generate_series(1, trunc(l.quantity)::int) u WHERE l.gets
              ORDER BY l.remains / l.quantity * CASE WHEN t.target = 'dearest' OR t.target <> 'cheapest' AND t.pick = 'dearest' THEN -1 ELSE 1 END, l.i, u LOOP
    CONTINUE WHEN wanted = 0;
    IF t.kind = 'buy_x_get_y' AND unit.eligible THEN
      CONTINUE WHEN either = 0;
      either := either - 1;
    END IF;
    UPDATE line SET taken = taken + 1 WHERE i = unit.i;
    wanted := wanted - 1;
  END LOOP;
  UPDATE line l SET off = greatest(least(w.worth - w.least, l.remains - l.least,
      CASE t.kind WHEN 'amount' THEN least(t.value * l.taken, w.worth) WHEN 'fixed_price' THEN w.worth - t.value * l.taken
        WHEN 'percent' THEN crm_member.round_decimal(CASE t.percent_base WHEN 'original' THEN w.original ELSE w.worth END * t.value / 100, 2, t.rounding)
        ELSE crm_member.round_decimal(w.worth * coalesce(t.value, 100) / 100, 2, t.rounding) END), 0)
  FROM (SELECT i, round(remains * taken / quantity, 2) AS worth, round(amount * taken / quantity, 2) AS original, ceil(x.least * taken / quantity * 100) / 100 AS least
        FROM line x WHERE taken > 0) w WHERE w.i = l.i;
  SELECT sum(CASE t.min_tax WHEN 'net' THEN round(s * 100 / (100 + coalesce(tax_rate, 0)), 2) ELSE s END), sum(quantity - CASE t.kind WHEN 'gift' THEN taken ELSE 0 END) INTO spend, units
  FROM (SELECT CASE WHEN t.min_basis = 'after' THEN remains - CASE t.kind WHEN 'gift' THEN off ELSE 0 END
                    WHEN t.kind = 'gift' THEN amount - round(amount * taken / quantity, 2) ELSE amount END AS s, tax_rate, quantity, taken
        FROM line WHERE eligible) x;
  IF spend IS NULL OR spend < t.min_spend OR units < t.min_quantity OR NOT EXISTS (SELECT FROM line WHERE off > 0) THEN
    UPDATE line SET off = 0;
    RETURN false;
  END IF;
  IF (SELECT sum(off) FROM line) > t.max_discount THEN
    -- the cap in proportion, no more than was found
    DECLARE
      weights numeric[];
      rooms CONSTANT numeric[] := (SELECT array_agg(off ORDER BY i) FROM line);
      placed numeric[] := array_fill(0::numeric, ARRAY[cardinality(rooms)]);
      shares numeric[];
      rest numeric := t.max_discount;
    BEGIN
      weights := rooms;
      WHILE rest > 0 LOOP
        SELECT array_agg(CASE WHEN p < r THEN w ELSE 0 END ORDER BY i) INTO weights FROM unnest(weights, rooms, placed) WITH ORDINALITY AS x (w, r, p, i);
        shares := crm_member.allocate(rest, weights, t.allocation, 2);
        SELECT array_agg(least(p + s, r) ORDER BY i), sum(greatest(p + s - r, 0)) INTO placed, rest FROM unnest(shares, rooms, placed) WITH ORDINALITY AS x (s, r, p, i);
      END LOOP;
      UPDATE line SET off = placed[i];
    END;
  END IF;
  RETURN true;
END
$$;

CREATE FUNCTION pg_temp.try_out(sales int, OUT done int, OUT applied int, OUT fault text) LANGUAGE plpgsql AS $$
DECLARE
  a_kind text;
  t crm_member.coupon_template;
  lines jsonb;
  price numeric;
  said text;
  expected text;
BEGIN
  applied := 0;
  FOR sale IN 1 .. sales LOOP
    done := sale;
    a_kind := pg_temp.one_of('amount', 'percent', 'fixed_price', 'buy_x_get_y', 'buy_x_get_y', 'buy_x_get_y', 'gift', 'gift');
    UPDATE crm_member.coupon_template SET kind = a_kind, value = CASE a_kind WHEN 'percent' THEN round((random() * 100)::numeric, 1) WHEN 'amount' THEN pg_temp.money(20)
        WHEN 'fixed_price' THEN pg_temp.money(10) ELSE CASE WHEN random() < 0.3 THEN round((random() * 100)::numeric, 1) END END,
      target = pg_temp.one_of('cheapest', 'dearest', CASE WHEN a_kind IN ('buy_x_get_y', 'gift') THEN 'order' ELSE 'cheapest' END), pick = pg_temp.one_of('cheapest', 'dearest'),
      buy_quantity = 1 + floor(random() * 3), get_quantity = 1 + floor(random() * 3),
      eligible = CASE WHEN random() < 0.5 THEN format('line.category = %L', pg_temp.one_of('a', 'b'))::crm_member.condition END,
      get_eligible = CASE WHEN a_kind = 'gift' OR random() < 0.4 THEN format('line.category = %L', pg_temp.one_of('a', 'b'))::crm_member.condition END,
      partial_reward = random() < 0.5, max_units = CASE WHEN random() < 0.3 THEN 1 + floor(random() * 4) END, max_discount = CASE WHEN random() < 0.2 THEN pg_temp.money(15) + 0.01 END,
      min_spend = CASE WHEN random() < 0.2 THEN pg_temp.money(60) END, min_quantity = CASE WHEN random() < 0.2 THEN 1 + floor(random() * 4) END,
      min_basis = pg_temp.one_of('before', 'after'), min_tax = pg_temp.one_of('gross', 'net'), percent_base = pg_temp.one_of('remaining', 'original'),
      allocation = pg_temp.one_of('largest_remainder', 'first_lines', 'last_line', 'running_delta'), rounding = pg_temp.one_of('half_up', 'half_down', 'half_even', 'floor', 'ceil');
    SELECT * INTO t FROM crm_member.coupon_template;
    TRUNCATE line;
    lines := '[]';
    FOR n IN 1 .. 1 + floor(random() * 5) LOOP
      price := CASE WHEN random() < 0.2 THEN round((random() * 0.1)::numeric, 2) WHEN random() < 0.2 THEN 5 ELSE pg_temp.money(30) END;
      INSERT INTO line (i, quantity, category, tax_rate, amount, least)
      SELECT n, q, pg_temp.one_of('a', 'b', 'c'), CASE WHEN random() < 0.3 THEN 19 END, round(price * q, 2),
             CASE WHEN random() < 0.2 THEN round(price * random()::numeric, 3) ELSE 0 END
      FROM (SELECT CASE WHEN random() < 0.2 THEN round((0.001 + random() * 3)::numeric, 3) ELSE (1 + floor(random() * 5))::numeric END AS q) q;
      UPDATE line l SET remains = amount - CASE WHEN random() < 0.2 THEN round(amount * random()::numeric, 2) ELSE 0 END WHERE l.i = n;
      SELECT lines || jsonb_build_object('price', price, 'quantity', l.quantity, 'category', category, 'discount', amount - remains, 'min_price', l.least, 'tax_rate', coalesce(tax_rate, 0))
        INTO lines FROM line l WHERE l.i = n;
      UPDATE line l SET least = ceil(l.least * l.quantity * 100) / 100 WHERE l.i = n;
    END LOOP;
    applied := applied + pg_temp.reckon(t)::int;
    SELECT string_agg((l ->> 'payable')::numeric::text, ' ' ORDER BY i) INTO said
      FROM jsonb_array_elements(crm_member.quote(jsonb_build_object('lines', lines)) -> 'lines') WITH ORDINALITY AS x (l, i);
    SELECT string_agg(round(remains - off, 2)::text, ' ' ORDER BY i) INTO expected FROM line;
    IF said IS DISTINCT FROM expected THEN
      fault := format('%s leaves of %s %s, not %s', jsonb_strip_nulls(to_jsonb(t)), lines, said, expected);
      RETURN;
    END IF;
  END LOOP;
END
$$;

INSERT INTO crm_member.coupon_template (template_code, kind, value, automatic) VALUES ('T', 'amount', 1, true);
-- for another run: SET crm_test.seed = ..., crm_test.sales = ... before
SELECT setseed(coalesce(nullif(current_setting('crm_test.seed', true), '')::float8, 0.5772)) IS NULL AS seeded;
SELECT applied > done / 3 AS many_applied, fault FROM pg_temp.try_out(coalesce(nullif(current_setting('crm_test.sales', true), '')::int, 400));
