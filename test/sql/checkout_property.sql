--
-- Random carts, coupons and tenders, taken back in random parts and order.
--
-- Whatever the mixture: the buyer never pays below zero, lines sum to the order,
-- nothing is discounted below its floor, and when everything is back nothing is
-- left: of money, shipping, points earned and spent, principal and gift, and of
-- uses of coupons that are given back. A case that fails is printed as it was.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/random.sql

-- points of two types, by line and by sale, of what is paid after discounts and points
INSERT INTO crm_member.points_type (points_type, name) VALUES ('stars', 'Stars');
UPDATE crm_member.points_type SET money_value = 0.01, deficit = 'allow' WHERE points_type = 'points';
INSERT INTO crm_member.points_rule (rule_code, scope, award, points, condition) VALUES
  ('lines', 'line', 'per_amount', 1.7, NULL), ('more', 'line', 'multiplier', 1.5, 'line.category = ''b''');
INSERT INTO crm_member.points_rule (rule_code, award, points, points_type) VALUES
  ('visit', 'fixed', 7, 'points'), ('star', 'per_amount', 0.3, 'stars');

-- campaigns of every kind, each with a code that can be used again and again
CREATE PROCEDURE pg_temp.campaigns(n int) LANGUAGE plpgsql AS $$
DECLARE
  a_kind text;
  a_split boolean;
BEGIN
  FOR i IN 1 .. n LOOP
    a_kind := pg_temp.one_of('amount', 'amount', 'percent', 'percent', 'fixed_price', 'buy_x_get_y', 'gift', 'free_shipping');
    a_split := a_kind = 'amount' AND i <= n - 3 AND random() < 0.2;
    INSERT INTO crm_member.coupon_template (template_code, kind, value, target, eligible, requires, buy_quantity, get_quantity, get_eligible,
      partial_reward, pick, max_discount, max_units, redistribute, min_spend, min_quantity, min_basis, min_tax, priority, stack_group, exclusive,
      percent_base, allocation, rounding, uses, split_value, total_limit, member_limit, budget, last_use, automatic, valid_to,
      release_on_refund, stop_lines)
    VALUES ('T' || i, a_kind,
      CASE a_kind WHEN 'amount' THEN pg_temp.money(25) WHEN 'percent' THEN round((random() * 80)::numeric, 1)
                  WHEN 'fixed_price' THEN pg_temp.money(30) WHEN 'free_shipping' THEN NULLIF(pg_temp.money(4), 0)
                  ELSE CASE WHEN random() < 0.3 THEN 50 END END,
      pg_temp.one_of('order', 'order', 'line', 'unit', 'cheapest', 'dearest'),
      CASE WHEN random() < 0.4 THEN format('line.category = %L', pg_temp.one_of('a', 'b'))::crm_member.condition END,
      CASE WHEN random() < 0.1 THEN format('sale.amount >= %s', floor(random() * 50))::crm_member.condition END,
      1 + random() * 2, 1 + random(),
      CASE WHEN a_kind = 'gift' OR random() < 0.2 THEN format('line.category = %L', pg_temp.one_of('a', 'b'))::crm_member.condition END,
      random() < 0.5, pg_temp.one_of('cheapest', 'dearest'),
      CASE WHEN random() < 0.2 THEN pg_temp.money(20) + 0.01 END, CASE WHEN random() < 0.2 THEN 1 + random() * 2 END, random() < 0.7,
      CASE WHEN random() < 0.3 THEN pg_temp.money(60) END, CASE WHEN random() < 0.1 THEN 3 END,
      pg_temp.one_of('before', 'after'), pg_temp.one_of('gross', 'net'), floor(random() * 3),
      CASE WHEN random() < 0.2 THEN pg_temp.one_of('g', 'h') END, pg_temp.one_of('no', 'no', 'no', 'no', 'priority', 'wins'),
      pg_temp.one_of('remaining', 'remaining', 'original'),
      pg_temp.one_of('largest_remainder', 'first_lines', 'last_line', 'running_delta'),
      pg_temp.one_of('half_up', 'half_down', 'half_even', 'floor', 'ceil'),
      CASE WHEN a_split THEN 50 WHEN random() < 0.3 THEN 100 END, a_split,
      CASE WHEN random() < 0.2 THEN 30 END, CASE WHEN random() < 0.2 THEN 2 END, CASE WHEN random() < 0.2 THEN 200 END,
      pg_temp.one_of('refuse', 'remainder'), i > n - 3,
      CASE WHEN random() < 0.1 THEN date '2026-03-01' END, random() < 0.8, random() < 0.1);
    IF i <= n - 3 THEN
      PERFORM crm_member.import_coupon('T' || i, 'C' || i);
    END IF;
  END LOOP;
END
$$;

CREATE FUNCTION pg_temp.cart(n int, buyer bigint) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  lines jsonb := '[]';
  price numeric;
BEGIN
  FOR i IN 1 .. 1 + floor(random() * 5) LOOP
    price := CASE WHEN random() < 0.05 THEN 0 ELSE pg_temp.money(30) END;
    lines := lines || jsonb_strip_nulls(jsonb_build_object('line_no', i * 10, 'price', price, 'category', pg_temp.one_of('a', 'b', 'c'),
      'quantity', CASE WHEN random() < 0.2 THEN round((random() * 3)::numeric, 3) ELSE 1 + floor(random() * 4) END,
      'min_price', CASE WHEN random() < 0.2 THEN round(price * random()::numeric, 3) END,
      'tax_rate', CASE WHEN random() < 0.3 THEN 19 END));
  END LOOP;
  RETURN jsonb_build_object('ref', 'S' || n, 'source', 'till', 'sold_at', timestamptz '2026-02-01 10:00Z' + n * interval '1 minute',
      'lines', lines, 'shipping', CASE WHEN random() < 0.5 THEN pg_temp.money(9) ELSE 0 END,
      'coupons', (SELECT coalesce(jsonb_agg('C' || c), '[]') FROM (SELECT DISTINCT 1 + floor(random() * 37) AS c FROM generate_series(1, floor(random() * 5)::int)) d))
    || CASE WHEN buyer IS NULL THEN '{}' ELSE jsonb_build_object('member_id', buyer) END;
END
$$;

-- what no answer of quote() or checkout() may show; NULL: nothing
CREATE FUNCTION pg_temp.fault(sale jsonb, answer jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT CASE
    WHEN (answer ->> 'payable')::numeric < 0 OR (answer ->> 'money')::numeric < 0 OR (answer ->> 'shipping')::numeric < 0 THEN 'below zero'
    WHEN (answer ->> 'payable')::numeric <> (answer ->> 'amount')::numeric - (answer ->> 'discount')::numeric + (answer ->> 'shipping')::numeric THEN 'payable'
    WHEN (answer ->> 'money')::numeric <> (answer ->> 'payable')::numeric - (answer #>> '{points,value}')::numeric - (answer #>> '{stored_value,spent}')::numeric THEN 'money'
    WHEN (answer ->> 'amount')::numeric <> sum((l ->> 'amount')::numeric) OR (answer ->> 'discount')::numeric <> sum((l ->> 'discount')::numeric) THEN 'lines'
    WHEN bool_or(d ? 'min_price' AND (l ->> 'payable')::numeric < least((d ->> 'min_price')::numeric * (d ->> 'quantity')::numeric, (l ->> 'amount')::numeric)) THEN 'floor'
    WHEN bool_or((l ->> 'discount')::numeric < 0 OR (l ->> 'payable')::numeric < 0) THEN 'line below zero'
    WHEN (SELECT coalesce(sum((c ->> 'discount')::numeric), 0) FROM jsonb_array_elements(answer -> 'coupons') c)
      <> (answer ->> 'discount')::numeric + (sale ->> 'shipping')::numeric - (answer ->> 'shipping')::numeric THEN 'coupons'
    WHEN EXISTS (SELECT FROM jsonb_array_elements(answer -> 'coupons') c JOIN crm_member.coupon_template t ON t.template_code = c ->> 'template_code'
      WHERE (c ->> 'discount')::numeric > t.max_discount) THEN 'cap'
    END
  FROM jsonb_array_elements(answer -> 'lines') WITH ORDINALITY AS a (l, i) JOIN jsonb_array_elements(sale -> 'lines') WITH ORDINALITY AS s (d, i) USING (i)
$$;

-- part of what is left of a sale, at random
CREATE FUNCTION pg_temp.part(a_sale text, n int, everything boolean) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('ref', 'R' || n, 'source', 'till', 'sale_ref', a_sale, 'refunded_at', timestamptz '2026-02-20 10:00Z' + n * interval '1 minute')
    || CASE WHEN everything THEN '{}' ELSE jsonb_build_object(
      'lines', (SELECT coalesce(jsonb_agg(jsonb_build_object('line_no', l.line_no, 'quantity',
                  CASE WHEN random() < 0.3 THEN l.left_over WHEN l.left_over = trunc(l.left_over) THEN ceil(l.left_over * random()::numeric)
                       ELSE ceil(l.left_over * random()::numeric * 1000) / 1000 END)), '[]')
                FROM (SELECT line_no, quantity - coalesce((SELECT sum(r.quantity) FROM crm_member.refund_line r
                        WHERE (r.member_id, r.sale_id, r.line_no) = (l.member_id, l.sale_id, l.line_no)), 0) AS left_over
                      FROM crm_member.sale_line l WHERE (l.member_id, l.sale_id) = (s.member_id, s.sale_id)) l
                WHERE l.left_over > 0 AND random() < 0.6),
      'shipping', round((s.shipping - coalesce((SELECT sum(r.shipping) FROM crm_member.refund r WHERE (r.member_id, r.sale_id) = (s.member_id, s.sale_id)), 0))
        * CASE WHEN random() < 0.7 THEN 0 ELSE random() END::numeric, 2)) END
  FROM crm_member.sale_ref d JOIN crm_member.sale s USING (member_id, sale_id) WHERE d.source = 'till' AND d.ref = a_sale
$$;

CREATE PROCEDURE pg_temp.try_out(sales int, INOUT refunds int DEFAULT 0, INOUT with_coupons int DEFAULT 0, INOUT with_points int DEFAULT 0,
                                 INOUT with_value int DEFAULT 0, INOUT fault text DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
  buyers bigint[];
  buyer bigint;
  sale jsonb;
  quoted jsonb;
  answer jsonb;
  back jsonb;
  a_sale text;
  payable numeric;
BEGIN
  SELECT array_agg(crm_member.register_member(source => 'test', external_id => i::text)) INTO buyers FROM generate_series(1, 40) i;
  PERFORM crm_member.award_points(b, 20000, 'start', 'start', at => '2026-01-01') FROM unnest(buyers) b;
  PERFORM crm_member.top_up_stored_value(b, 500, 'start', 'start', gift => 77, at => '2026-01-01') FROM unnest(buyers) b;
  FOR n IN 1 .. sales LOOP
    FOR i IN 1 .. 2 LOOP
      sale := pg_temp.cart(n, NULL);
      quoted := crm_member.quote(sale);
      fault := pg_temp.fault(sale, quoted);
      IF fault IS NOT NULL THEN
        fault := format('%s: %s gives %s', fault, sale, quoted);
        RETURN;
      END IF;
    END LOOP;
    buyer := CASE WHEN random() < 0.9 THEN buyers[1 + floor(random() * 40)] END;
    sale := pg_temp.cart(n, buyer);
    quoted := crm_member.quote(sale);
    fault := pg_temp.fault(sale, quoted);
    payable := (quoted ->> 'payable')::numeric;
    -- points pay some, stored value some of the rest
    IF buyer IS NOT NULL AND payable >= 0.01 AND random() < 0.5 THEN
      sale := sale || jsonb_build_object('points', floor(least(payable * 100, 1 + random() * 2000)));
      payable := payable - (sale ->> 'points')::numeric / 100;
    END IF;
    IF buyer IS NOT NULL AND random() < 0.5 THEN
      sale := sale || jsonb_build_object('stored_value', least(payable, pg_temp.money(20)));
    END IF;
    BEGIN
      answer := crm_member.checkout(sale);
    EXCEPTION WHEN SQLSTATE 'RM301' OR SQLSTATE 'RM701' THEN
      sale := sale - '{points,stored_value}'::text[];
      answer := crm_member.checkout(sale);
    END;
    fault := coalesce(fault, pg_temp.fault(sale, answer),
      CASE WHEN jsonb_path_query_array(answer, '$.coupons[*] ? (@.status == "applied")') <> jsonb_path_query_array(quoted, '$.coupons[*] ? (@.status == "applied")')
        THEN 'other coupons than quoted: ' || quoted::text END,
      CASE WHEN n % 10 = 0 AND crm_member.checkout(sale) - 'points' <> answer - 'points' THEN 'repeated otherwise' END);
    IF fault IS NOT NULL THEN
      fault := format('%s: %s gives %s', fault, sale, answer);
      RETURN;
    END IF;
    with_coupons := with_coupons + (jsonb_path_exists(answer, '$.coupons[*] ? (@.status == "applied")'))::int;
    with_points := with_points + ((answer #>> '{points,spent}')::numeric > 0)::int;
    with_value := with_value + ((answer #>> '{stored_value,spent}')::numeric > 0)::int;

    -- now and then something comes back, mostly of recent sales
    WHILE random() < 0.65 LOOP
      a_sale := 'S' || greatest(1, n - floor(random() * 8)::int);
      refunds := refunds + 1;
      back := pg_temp.part(a_sale, refunds, false);
      CONTINUE WHEN back -> 'lines' = '[]' AND (back ->> 'shipping')::numeric = 0;
      answer := crm_member.refund(back);
      IF (answer ->> 'money')::numeric < 0 OR (answer ->> 'payable')::numeric < 0 OR (answer ->> 'points_value')::numeric < 0
         OR (answer ->> 'stored_value')::numeric < 0
         OR (answer ->> 'amount')::numeric <> (SELECT coalesce(sum((l ->> 'amount')::numeric), 0) FROM jsonb_array_elements(answer -> 'lines') l)
         OR crm_member.refund(back) <> answer THEN
        fault := format('%s gives %s', back, answer);
        RETURN;
      END IF;
    END LOOP;
  END LOOP;

  -- then all that is left, in any order
  FOR a_sale IN SELECT s.ref FROM crm_member.sale s
                WHERE NOT EXISTS (SELECT FROM crm_member.refund r WHERE (r.member_id, r.sale_id) = (s.member_id, s.sale_id) AND r.complete)
                  AND (s.payable > 0 OR EXISTS (SELECT FROM crm_member.sale_line l WHERE (l.member_id, l.sale_id) = (s.member_id, s.sale_id) AND l.quantity > 0))
                ORDER BY random() LOOP
    refunds := refunds + 1;
    back := pg_temp.part(a_sale, refunds, true);
    answer := crm_member.refund(back);
    IF (answer ->> 'money')::numeric < 0 OR NOT (answer ->> 'complete')::boolean THEN
      fault := format('%s gives %s', back, answer);
      RETURN;
    END IF;
  END LOOP;
END
$$;

-- for another run: SET crm_test.seed = ..., crm_test.sales = ... before
SELECT setseed(coalesce(nullif(current_setting('crm_test.seed', true), '')::float8, 0.4211)) IS NULL AS seeded;
CALL pg_temp.campaigns(40);
CREATE TEMP TABLE result AS SELECT NULL::int AS sales, NULL::int AS refunds, NULL::int AS coupons, NULL::int AS points, NULL::int AS value, NULL::text AS fault;
DO $$
DECLARE
  r result;
BEGIN
  r.sales := coalesce(nullif(current_setting('crm_test.sales', true), '')::int, 800);
  r.refunds := 0; r.coupons := 0; r.points := 0; r.value := 0;
  CALL pg_temp.try_out(r.sales, r.refunds, r.coupons, r.points, r.value, r.fault);
  UPDATE result SET (sales, refunds, coupons, points, value, fault) = (r.sales, r.refunds, r.coupons, r.points, r.value, r.fault);
END
$$;
SELECT refunds > sales AS with_refunds, coupons > sales / 3 AS with_coupons, points > sales / 5 AS with_points, value > sales / 5 AS with_value, fault FROM result;

-- nothing is left of any sale
SELECT s.ref, s.amount - r.amount AS amount, s.discount - r.discount AS discount, s.shipping - r.shipping AS shipping,
       t.points - r.points_value AS points, t.value - r.stored_value AS value
FROM crm_member.sale s
CROSS JOIN LATERAL (SELECT coalesce(sum(r.amount), 0) AS amount, coalesce(sum(r.discount), 0) AS discount, coalesce(sum(r.shipping), 0) AS shipping,
                           coalesce(sum(r.points_value), 0) AS points_value, coalesce(sum(r.stored_value), 0) AS stored_value
                    FROM crm_member.refund r WHERE (r.member_id, r.sale_id) = (s.member_id, s.sale_id)) r
CROSS JOIN LATERAL (SELECT coalesce(sum(t.amount) FILTER (WHERE t.tender = 'points'), 0) AS points, coalesce(sum(t.amount) FILTER (WHERE t.tender = 'stored_value'), 0) AS value
                    FROM crm_member.sale_tender t WHERE (t.member_id, t.sale_id) = (s.member_id, s.sale_id)) t
WHERE (SELECT fault FROM result) IS NULL
  AND (s.amount, s.discount, s.shipping, t.points, t.value) <> (r.amount, r.discount, r.shipping, r.points_value, r.stored_value);
SELECT s.ref, e.points_type, sum(e.points) FROM crm_member.points_entry e JOIN crm_member.sale s USING (member_id, sale_id)
GROUP BY 1, 2 HAVING sum(e.points) <> 0;
SELECT s.ref, sum(CASE a.kind WHEN 'spend' THEN a.principal ELSE -a.principal END), sum(CASE a.kind WHEN 'spend' THEN a.gift ELSE -a.gift END)
FROM crm_member.stored_value_act a JOIN crm_member.sale s USING (member_id, sale_id)
GROUP BY 1 HAVING sum(CASE a.kind WHEN 'spend' THEN a.principal ELSE -a.principal END) <> 0 OR sum(CASE a.kind WHEN 'spend' THEN a.gift ELSE -a.gift END) <> 0;
SELECT i.value, crm_member.points_balance(i.member_id) AS points, crm_member.points_balance(i.member_id, 'stars') AS stars,
       crm_member.points_balance(i.member_id, 'stored_value') AS principal, crm_member.points_balance(i.member_id, 'stored_value_gift') AS gift
FROM crm_member.identity i
WHERE crm_member.points_balance(i.member_id) <> 20000 OR crm_member.points_balance(i.member_id, 'stars') <> 0
   OR crm_member.points_balance(i.member_id, 'stored_value') <> 500 OR crm_member.points_balance(i.member_id, 'stored_value_gift') <> 77;
SELECT * FROM crm_member.verify_ledger();

-- uses are back where the campaign says so, and every counter knows
SELECT u.template_code, count(*) FROM crm_member.coupon_use u JOIN crm_member.coupon_template t USING (template_code)
WHERE EXISTS (SELECT FROM crm_member.refund r WHERE (r.member_id, r.sale_id) = (u.member_id, u.sale_id) AND r.complete)
  AND (u.returned_at IS NOT NULL) <> t.release_on_refund GROUP BY 1;
SELECT c.template_code, c.uses, u.uses AS counted
FROM crm_member.coupon c JOIN crm_member.coupon_template t USING (template_code)
CROSS JOIN LATERAL (SELECT count(*) AS uses FROM crm_member.coupon_use u WHERE u.template_code = c.template_code AND u.returned_at IS NULL) u
WHERE t.uses IS NOT NULL AND NOT t.automatic AND c.uses <> u.uses;
SELECT t.template_code, t.total_limit, t.budget, s.uses, s.spent, u.uses AS counted, u.spent AS added
FROM crm_member.coupon_template t
CROSS JOIN LATERAL (SELECT sum(s.uses) AS uses, sum(s.spent) AS spent, sum(s.uses_left) AS uses_left, sum(s.budget_left) AS budget_left
                    FROM crm_member.coupon_share s WHERE s.template_code = t.template_code) s
CROSS JOIN LATERAL (SELECT count(*) AS uses, coalesce(sum(u.discount), 0) AS spent FROM crm_member.coupon_use u
                    WHERE u.template_code = t.template_code AND u.returned_at IS NULL) u
WHERE s.uses <> u.uses OR s.spent <> u.spent OR s.uses_left <> t.total_limit - u.uses OR s.budget_left <> t.budget - u.spent;
SELECT u.member_id > 0 AS of_member, u.template_code, u.uses, (SELECT y.uses FROM crm_member.coupon_tally y WHERE (y.member_id, y.template_code) = (u.member_id, u.template_code)) AS tally
FROM (SELECT u.member_id, u.template_code, count(*) FILTER (WHERE u.returned_at IS NULL) AS uses FROM crm_member.coupon_use u GROUP BY 1, 2) u
JOIN crm_member.coupon_template t USING (template_code)
WHERE t.member_limit IS NOT NULL
  AND u.uses <> (SELECT y.uses FROM crm_member.coupon_tally y WHERE (y.member_id, y.template_code) = (u.member_id, u.template_code));
-- the parts of a value that is shared over uses are each given once at a time
SELECT u.template_code, u.use_no, count(*) FROM crm_member.coupon_use u JOIN crm_member.coupon_template t USING (template_code)
WHERE t.split_value AND u.returned_at IS NULL GROUP BY 1, 2 HAVING count(*) > 1;
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE returned_at IS NULL) > 0 AS some_kept, count(*) FILTER (WHERE returned_at IS NOT NULL) > 0 AS some_back FROM crm_member.coupon_use;
