--
-- Coupons on the order, on lines and on all units beside a second reckoning in
-- SQL: every allocation, rounding, floor, cap, minimum and order of application,
-- in thousands of random combinations.
--
-- Each sale has up to four promotions, all of which apply where they can, so the
-- search has no choice and what it gives can be reckoned one after the other.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/random.sql

-- share an amount, no more on a line than its room; what does not fit goes round again
CREATE FUNCTION pg_temp.place(amount numeric, weights numeric[], rooms numeric[], allocation text) RETURNS numeric[]
LANGUAGE plpgsql AS $$
DECLARE
  placed numeric[] := array_fill(0::numeric, ARRAY[cardinality(weights)]);
  shares numeric[];
  rest numeric := amount;
BEGIN
  WHILE rest > 0 LOOP
    SELECT array_agg(CASE WHEN p < r THEN w ELSE 0 END ORDER BY i) INTO weights FROM unnest(weights, rooms, placed) WITH ORDINALITY AS x (w, r, p, i);
    EXIT WHEN NOT 0 < ANY (weights);
    shares := crm_member.allocate(rest, weights, allocation, 2);
    SELECT array_agg(least(p + s, r) ORDER BY i), sum(greatest(p + s - r, 0)) INTO placed, rest
    FROM unnest(shares, rooms, placed) WITH ORDINALITY AS x (s, r, p, i);
  END LOOP;
  RETURN placed;
END
$$;

-- what a template takes off each line, where so much is left of them; NULL: it does not apply
CREATE FUNCTION pg_temp.reckon(t crm_member.coupon_template, lines jsonb, lefts numeric[], closed boolean[]) RETURNS numeric[]
LANGUAGE plpgsql AS $$
DECLARE
  n CONSTANT int := cardinality(lefts);
  eligible boolean[];
  amounts numeric[];
  rooms numeric[];
  bases numeric[];
  found numeric[];
  spend numeric;
  amount numeric;
BEGIN
  SELECT array_agg(t.eligible IS NULL OR format('line.category = %L', l ->> 'category') = t.eligible::text ORDER BY i),
         array_agg(round((l ->> 'price')::numeric * (l ->> 'quantity')::numeric, 2) ORDER BY i),
         array_agg(greatest(lefts[i] - coalesce(ceil((l ->> 'min_price')::numeric * (l ->> 'quantity')::numeric * 100) / 100, 0), 0) ORDER BY i)
    INTO eligible, amounts, rooms FROM jsonb_array_elements(lines) WITH ORDINALITY AS x (l, i);
  SELECT sum(CASE t.min_tax WHEN 'net' THEN round(s * 100 / (100 + coalesce((lines -> (i::int - 1) ->> 'tax_rate')::numeric, 0)), 2) ELSE s END) INTO spend
    FROM unnest(CASE t.min_basis WHEN 'after' THEN lefts ELSE amounts END, eligible) WITH ORDINALITY AS x (s, e, i) WHERE e;
  IF spend IS NULL OR spend < coalesce(t.min_spend, 0) THEN
    RETURN NULL;
  END IF;
  SELECT array_agg(e AND NOT c ORDER BY i) INTO eligible FROM unnest(eligible, closed) WITH ORDINALITY AS x (e, c, i);
  bases := CASE WHEN t.kind = 'percent' AND t.percent_base = 'original' THEN amounts ELSE lefts END;
  IF t.target = 'order' THEN
    amount := CASE t.kind WHEN 'amount' THEN t.value
      WHEN 'percent' THEN crm_member.round_decimal((SELECT sum(b) FROM unnest(bases, eligible) x (b, e) WHERE e) * t.value / 100, 2, t.rounding)
      ELSE greatest((SELECT sum(l) FROM unnest(lefts, eligible) x (l, e) WHERE e) - t.value, 0) END;
    amount := least(amount, (SELECT sum(l) FROM unnest(lefts, eligible) x (l, e) WHERE e), t.max_discount);
    found := pg_temp.place(amount, (SELECT array_agg(CASE WHEN e THEN b ELSE 0 END ORDER BY i) FROM unnest(bases, eligible) WITH ORDINALITY AS x (b, e, i)),
                           (SELECT array_agg(CASE WHEN NOT e THEN 0 WHEN t.redistribute THEN r ELSE l END ORDER BY i) FROM unnest(lefts, rooms, eligible) WITH ORDINALITY AS x (l, r, e, i)), t.allocation);
    SELECT array_agg(least(f, r) ORDER BY i) INTO found FROM unnest(found, rooms) WITH ORDINALITY AS x (f, r, i);
  ELSE
    SELECT array_agg(CASE WHEN e THEN greatest(least(r,
             CASE t.kind WHEN 'amount' THEN CASE t.target WHEN 'unit' THEN round(t.value * q, 2) ELSE t.value END
                         WHEN 'fixed_price' THEN l - CASE t.target WHEN 'unit' THEN round(t.value * q, 2) ELSE t.value END
                         ELSE CASE WHEN t.target = 'unit' AND q = trunc(q) THEN (q - b * 100 % q) * crm_member.round_decimal(div(b * 100, q) / 100 * t.value / 100, 2, t.rounding)
                                     + b * 100 % q * crm_member.round_decimal((div(b * 100, q) + 1) / 100 * t.value / 100, 2, t.rounding)
                                   ELSE crm_member.round_decimal(b * t.value / 100, 2, t.rounding) END END), 0) ELSE 0 END ORDER BY i) INTO found
    FROM (SELECT eligible[i] AS e, rooms[i] AS r, lefts[i] AS l, bases[i] AS b, (lines -> i - 1 ->> 'quantity')::numeric AS q, i FROM generate_series(1, n) i) x;
    IF (SELECT sum(f) FROM unnest(found) f) > t.max_discount THEN
      found := pg_temp.place(t.max_discount, found, found, t.allocation);
    END IF;
  END IF;
  RETURN CASE WHEN 0 < ANY (found) THEN found END;
END
$$;

CREATE FUNCTION pg_temp.try_out(sales int, OUT done int, OUT applied int, OUT refused int, OUT fault text) LANGUAGE plpgsql AS $$
DECLARE
  a_kind text;
  t crm_member.coupon_template;
  lines jsonb;
  price numeric;
  lefts numeric[];
  closed boolean[];
  found numeric[];
  said text;
  expected text;
BEGIN
  applied := 0; refused := 0;
  FOR sale IN 1 .. sales LOOP
    done := sale;
    DELETE FROM crm_member.coupon_template;
    FOR i IN 1 .. 1 + floor(random() * 4) LOOP
      a_kind := pg_temp.one_of('amount', 'percent', 'percent', 'fixed_price');
      INSERT INTO crm_member.coupon_template (template_code, kind, value, target, eligible, max_discount, redistribute, min_spend, min_basis, min_tax,
        priority, percent_base, allocation, rounding, stop_lines, automatic)
      VALUES ('T' || i, a_kind, CASE a_kind WHEN 'percent' THEN round((random() * 60)::numeric, pg_temp.one_of('0', '1', '3')::int) ELSE pg_temp.money(25) END,
        pg_temp.one_of('order', 'order', 'line', 'unit'), CASE WHEN random() < 0.3 THEN format('line.category = %L', pg_temp.one_of('a', 'b'))::crm_member.condition END,
        CASE WHEN random() < 0.3 THEN pg_temp.money(15) + 0.01 END, random() < 0.6, CASE WHEN random() < 0.4 THEN pg_temp.money(80) END,
        pg_temp.one_of('before', 'after'), pg_temp.one_of('gross', 'net'), floor(random() * 3), pg_temp.one_of('remaining', 'original'),
        pg_temp.one_of('largest_remainder', 'first_lines', 'last_line', 'running_delta'), pg_temp.one_of('half_up', 'half_down', 'half_even', 'floor', 'ceil'), random() < 0.2, true);
    END LOOP;
    lines := '[]';
    FOR i IN 1 .. 1 + floor(random() * 5) LOOP
      price := CASE WHEN random() < 0.3 THEN round((random() * 0.1)::numeric, 2) ELSE pg_temp.money(30) END;
      lines := lines || jsonb_strip_nulls(jsonb_build_object('price', price, 'category', pg_temp.one_of('a', 'b', 'c'),
        'quantity', CASE WHEN random() < 0.2 THEN round((0.001 + random() * 3)::numeric, 3) ELSE 1 + floor(random() * 4) END,
        'discount', CASE WHEN random() < 0.1 THEN trunc(price / 3, 2) END, 'min_price', CASE WHEN random() < 0.3 THEN round(price * random()::numeric, 3) END,
        'tax_rate', CASE WHEN random() < 0.4 THEN pg_temp.one_of('19', '7', '12.5')::numeric END));
    END LOOP;
    -- a till's discount is at most what the line costs
    SELECT jsonb_agg(CASE WHEN (l ->> 'discount')::numeric > round((l ->> 'price')::numeric * (l ->> 'quantity')::numeric, 2) THEN l - 'discount' ELSE l END ORDER BY i),
           array_agg(round((l ->> 'price')::numeric * (l ->> 'quantity')::numeric, 2) ORDER BY i)
      INTO lines, lefts FROM jsonb_array_elements(lines) WITH ORDINALITY AS x (l, i);
    SELECT array_agg(l - coalesce((lines -> (i::int - 1) ->> 'discount')::numeric, 0) ORDER BY i) INTO lefts FROM unnest(lefts) WITH ORDINALITY AS x (l, i);
    closed := array_fill(false, ARRAY[cardinality(lefts)]);
    FOR t IN SELECT * FROM crm_member.coupon_template ORDER BY priority DESC, target = 'order', template_code COLLATE "C" LOOP
      found := pg_temp.reckon(t, lines, lefts, closed);
      IF found IS NULL THEN
        refused := refused + 1;
        CONTINUE;
      END IF;
      applied := applied + 1;
      SELECT array_agg(l - f ORDER BY i), array_agg(c OR t.stop_lines AND f > 0 ORDER BY i) INTO lefts, closed
        FROM unnest(lefts, found, closed) WITH ORDINALITY AS x (l, f, c, i);
    END LOOP;
    SELECT string_agg((l ->> 'payable')::numeric::text, ' ' ORDER BY i) INTO said
      FROM jsonb_array_elements(crm_member.quote(jsonb_build_object('lines', lines)) -> 'lines') WITH ORDINALITY AS x (l, i);
    SELECT string_agg(round(l, 2)::text, ' ' ORDER BY i) INTO expected FROM unnest(lefts) WITH ORDINALITY AS x (l, i);
    IF said IS DISTINCT FROM expected THEN
      fault := format('%s leave of %s %s, not %s', (SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(c)) - '{name,active,partial_reward,pick,uses,split_value,exclusive,last_use,automatic,release_on_refund}'::text[])
                                               FROM crm_member.coupon_template c), lines, said, expected);
      RETURN;
    END IF;
  END LOOP;
END
$$;

-- for another run: SET crm_test.seed = ..., crm_test.sales = ... before
SELECT setseed(coalesce(nullif(current_setting('crm_test.seed', true), '')::float8, 0.1414)) IS NULL AS seeded;
SELECT applied > done AS many_applied, refused > done / 10 AS some_not, fault
FROM pg_temp.try_out(coalesce(nullif(current_setting('crm_test.sales', true), '')::int, 1000));
