--
-- best_coupons() against brute force on random sales and templates.
--
-- Promotions are applied wherever they can be, by their rules and without any
-- choice; so the best of all sets of coupons is the best of what each set takes
-- off when its templates are promotions.-- Every template T1 .. has such a twin P1 ..,
-- which an attribute of the sale calls in.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/random.sql
SELECT setseed(0.4);

CREATE FUNCTION pg_temp.a_template(i int) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  a_kind text := pg_temp.one_of('amount', 'amount', 'percent', 'percent', 'percent', 'fixed_price', 'buy_x_get_y', 'gift', 'free_shipping');
BEGIN
  INSERT INTO crm_member.coupon_template (template_code, kind, value, target, eligible, buy_quantity, get_quantity, get_eligible, partial_reward, pick,
    max_discount, max_units, redistribute, min_spend, min_basis, min_quantity, priority, stack_group, exclusive, percent_base, allocation, rounding, uses, stop_lines)
  VALUES ('T' || i, a_kind,
    CASE a_kind WHEN 'amount' THEN round((random() * 30)::numeric, 2) WHEN 'percent' THEN round((random() * 60)::numeric, 1)
                WHEN 'fixed_price' THEN round((random() * 40)::numeric, 2) END,
    pg_temp.one_of('order', 'order', 'line', 'unit', 'cheapest', 'dearest'),
    CASE WHEN random() < 0.4 THEN format('line.category = %L', pg_temp.one_of('a', 'b'))::crm_member.condition END,
    1 + random() * 2, 1 + random(),
    CASE WHEN a_kind = 'gift' OR random() < 0.2 THEN format('line.category = %L', pg_temp.one_of('a', 'b'))::crm_member.condition END,
    random() < 0.5, pg_temp.one_of('cheapest', 'dearest'),
    CASE WHEN random() < 0.2 THEN round((1 + random() * 20)::numeric, 2) END,
    CASE WHEN random() < 0.2 THEN 1 + random() * 2 END,
    random() < 0.7,
    CASE WHEN random() < 0.4 THEN round((random() * 80)::numeric, 2) END,
    pg_temp.one_of('before', 'after'),
    CASE WHEN random() < 0.1 THEN 3 END,
    floor(random() * 3),
    CASE WHEN random() < 0.3 THEN pg_temp.one_of('g', 'h') END,
    CASE WHEN random() < 0.8 THEN 'no' ELSE pg_temp.one_of('priority', 'wins') END,
    pg_temp.one_of('remaining', 'remaining', 'original'),
    pg_temp.one_of('largest_remainder', 'first_lines', 'last_line', 'running_delta'),
    pg_temp.one_of('half_up', 'half_even', 'floor', 'ceil'), NULL, random() < 0.2);
  PERFORM crm_member.import_coupon('T' || i, 'T' || i);
  INSERT INTO crm_member.coupon_template
  SELECT (jsonb_populate_record(t, jsonb_build_object('template_code', 'P' || i, 'automatic', true,
           'requires', format('sale.attr(%L) = %L', 'p' || i, 'y')))).*
    FROM crm_member.coupon_template t WHERE t.template_code = 'T' || i;
END
$$;

CREATE FUNCTION pg_temp.a_sale() RETURNS jsonb
LANGUAGE sql VOLATILE AS $$
  SELECT jsonb_build_object('shipping', floor(random() * 3) * 4, 'lines', jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
    'price', round((random() * 30)::numeric, 2), 'quantity', CASE WHEN random() < 0.1 THEN 0.5 ELSE 1 + floor(random() * 4) END,
    'category', pg_temp.one_of('a', 'b', 'c'),
    'min_price', CASE WHEN random() < 0.15 THEN round((random() * 10)::numeric, 2) END))))
  FROM generate_series(1, 1 + floor(random() * 6)::int)
$$;

-- what does not hold of an answer: nothing below zero, lines and coupons sum to the whole
CREATE FUNCTION pg_temp.faults(answer jsonb) RETURNS text
LANGUAGE sql AS $$
  SELECT concat_ws(', ',
    CASE WHEN (answer ->> 'payable')::numeric < 0 THEN 'payable below zero' END,
    CASE WHEN (SELECT min((l ->> 'payable')::numeric) FROM jsonb_array_elements(answer -> 'lines') l) < 0 THEN 'line below zero' END,
    CASE WHEN (SELECT min((l ->> 'discount')::numeric) FROM jsonb_array_elements(answer -> 'lines') l) < 0 THEN 'line dearer' END,
    CASE WHEN (SELECT sum((l ->> 'discount')::numeric) FROM jsonb_array_elements(answer -> 'lines') l) <> (answer ->> 'discount')::numeric THEN 'lines do not sum up' END,
    CASE WHEN (SELECT sum((c ->> 'discount')::numeric) FROM jsonb_array_elements(answer -> 'coupons') c)
              NOT BETWEEN (answer ->> 'discount')::numeric AND (answer ->> 'discount')::numeric + 8 THEN 'coupons do not sum up' END)
$$;

-- times different sets of n templates, with 40 sales each; and with a promotion beside them or not
CREATE FUNCTION pg_temp.try_out(times int, n int, promotion boolean, OUT sales int, OUT choices int, OUT faulty int, OUT unequal text[]) LANGUAGE plpgsql AS $$
DECLARE
  codes jsonb := (SELECT jsonb_agg('T' || i) FROM generate_series(1, n) i);
  sale jsonb;
  best record;
  answer jsonb;
  most numeric;
  fewest int;
  took numeric;
  coupons int;
BEGIN
  sales := 0; choices := 0; faulty := 0;
  FOR k IN 1 .. times LOOP
    DELETE FROM crm_member.coupon;
    DELETE FROM crm_member.coupon_alias;
    DELETE FROM crm_member.coupon_template;
    PERFORM pg_temp.a_template(i) FROM generate_series(1, n) i;
    IF promotion THEN
      PERFORM pg_temp.a_template(n + 1);
      INSERT INTO crm_member.coupon_template
      SELECT (jsonb_populate_record(t, '{"template_code": "X", "automatic": true, "requires": null, "exclusive": "no"}')).*
        FROM crm_member.coupon_template t WHERE t.template_code = 'T' || n + 1;
      DELETE FROM crm_member.coupon_template WHERE template_code IN ('T' || n + 1, 'P' || n + 1);
    END IF;
    FOR cart IN 1 .. 40 LOOP
      sale := pg_temp.a_sale();
      SELECT * INTO best FROM crm_member.best_coupons(sale || jsonb_build_object('coupons', codes));
      answer := crm_member.quote(sale || jsonb_build_object('coupons', codes));
      IF pg_temp.faults(answer) <> '' OR (answer ->> 'payable')::numeric <> best.payable OR NOT best.proven OR best.bound <> best.discount THEN
        faulty := faulty + 1;
      END IF;
      most := -1;
      FOR chosen IN 0 .. (1 << n) - 1 LOOP
        answer := crm_member.quote(sale || jsonb_build_object('attrs',
          (SELECT coalesce(jsonb_object_agg('p' || i, 'y') FILTER (WHERE chosen >> (i - 1) & 1 = 1), '{}') FROM generate_series(1, n) i)));
        IF pg_temp.faults(answer) <> '' THEN
          faulty := faulty + 1;
        END IF;
        took := (answer ->> 'amount')::numeric + (sale ->> 'shipping')::numeric - (answer ->> 'payable')::numeric;
        coupons := (SELECT count(*) FROM jsonb_array_elements(answer -> 'coupons') c WHERE c ->> 'template_code' <> 'X');
        IF took > most THEN
          most := took; fewest := coupons;
        ELSIF took = most THEN
          fewest := least(fewest, coupons);
        END IF;
      END LOOP;
      sales := sales + 1;
      choices := choices + (cardinality(best.codes) < n AND best.discount > 0)::int;
      IF most <> best.discount OR fewest <> cardinality(best.codes) THEN
        unequal := unequal || format('%s: %s by %s instead of %s by %s for %s', k, best.discount, cardinality(best.codes), most, fewest, sale);
      END IF;
    END LOOP;
  END LOOP;
END
$$;

SELECT sales, choices > sales / 4 AS with_choice, faulty, cardinality(unequal) AS n, unequal[1:3] AS unequal FROM pg_temp.try_out(40, 5, false);
SELECT sales, choices > sales / 4 AS with_choice, faulty, cardinality(unequal) AS n, unequal[1:3] AS unequal FROM pg_temp.try_out(20, 4, true);
