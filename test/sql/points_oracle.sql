--
-- Random rules of every kind and random sales: what evaluate_points(), explain_points(),
-- quote(), checkout(), rows that are settled and simulate_rules() say each sale earns,
-- beside what a plain reading of the rules in exact numbers says; and all of it taken
-- back in random parts. With money of 0, 2 and 3 decimals.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE SCHEMA oracle;
SET timezone = 'Asia/Shanghai';

-- the reading: clauses
CREATE TABLE oracle.clause (no int PRIMARY KEY, condition text);
INSERT INTO oracle.clause VALUES
  (1, 'line.category = ''c1'''), (2, 'line.brand <> ''b1'''), (3, 'line.brand is null'), (4, 'line.quantity >= 1.5'), (5, 'line.payable > 12.5'),
  (6, 'sale.store in (''s1'', ''s2'')'), (7, 'sale.amount >= 40'), (8, 'sale.weekday in (6, 7)'), (9, 'sale.hour < 12'), (10, 'member.tier = ''t1'''),
  (11, 'member.kind = ''dealer'''), (12, 'line.sku like ''k1%'''), (13, 'member.first_purchase'), (14, 'member.attr(''size'') >= 1'), (15, 'sale.attr(''k'') = ''x'''),
  (16, 'member.birthday_month'), (17, 'sale.quantity between 2 and 5.25'), (18, 'line.category in (''c2'', ''c3'')'), (19, 'sale.payable < 90'), (20, 'line.price between 3 and 9.99');

-- what a line comes to
CREATE FUNCTION oracle.amount(l jsonb, scale int) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT round((l->>'quantity')::numeric * (l->>'price')::numeric, scale) $$;
CREATE FUNCTION oracle.paid(l jsonb, scale int) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT oracle.amount(l, scale) - coalesce((l->>'discount')::numeric, 0) $$;

CREATE FUNCTION oracle.truth(clause int, s jsonb, l jsonb, scale int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE at timestamp := (s->>'sold_at')::timestamp; m bigint := (s->>'member_id')::bigint;
BEGIN
  RETURN CASE clause
    WHEN 1 THEN l->>'category' = 'c1' WHEN 2 THEN l->>'brand' <> 'b1' WHEN 3 THEN l->>'brand' IS NULL WHEN 4 THEN (l->>'quantity')::numeric >= 1.5
    WHEN 5 THEN oracle.paid(l, scale) > 12.5 WHEN 6 THEN s->>'store' IN ('s1', 's2')
    WHEN 7 THEN (SELECT sum(oracle.amount(x, scale)) FROM jsonb_array_elements(s->'lines') x) >= 40
    WHEN 8 THEN extract(isodow FROM at) IN (6, 7) WHEN 9 THEN extract(hour FROM at) < 12
    WHEN 10 THEN (SELECT tier_code FROM crm_member.member_tier WHERE member_id = m) = 't1'
    WHEN 11 THEN (SELECT kind FROM crm_member.member WHERE member_id = m) = 'dealer'
    WHEN 12 THEN l->>'sku' LIKE 'k1%'
    WHEN 13 THEN NOT EXISTS (SELECT FROM crm_member.sale x WHERE x.member_id = m AND x.sold_at < at AT TIME ZONE 'Asia/Shanghai')
    WHEN 14 THEN (SELECT (attrs->>'size')::numeric >= 1 FROM crm_member.member WHERE member_id = m)
    WHEN 15 THEN s->'attrs'->>'k' = 'x'
    WHEN 16 THEN (SELECT extract(month FROM birthday) = extract(month FROM at) FROM crm_member.person WHERE member_id = m)
    WHEN 17 THEN (SELECT sum((x->>'quantity')::numeric) FROM jsonb_array_elements(s->'lines') x) BETWEEN 2 AND 5.25
    WHEN 18 THEN l->>'category' IN ('c2', 'c3')
    WHEN 19 THEN (SELECT sum(oracle.paid(x, scale)) FROM jsonb_array_elements(s->'lines') x) < 90
    WHEN 20 THEN (l->>'price')::numeric BETWEEN 3 AND 9.99 END;
END $$;

-- which clauses a rule's condition is made of, and how
CREATE TABLE oracle.condition (rule_code text PRIMARY KEY, glue text, clauses int[]);
CREATE FUNCTION oracle.condition_text(glue text, clauses int[]) RETURNS text LANGUAGE sql AS $$
  SELECT CASE glue WHEN 'and' THEN string_agg(condition, ' and ' ORDER BY no) WHEN 'or' THEN string_agg(condition, ' or ' ORDER BY no)
    WHEN 'not' THEN 'not (' || string_agg(condition, ' and ' ORDER BY no) || ')' END FROM oracle.clause WHERE no = ANY (clauses) $$;
CREATE FUNCTION oracle.holds(rule text, s jsonb, l jsonb, scale int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE c record; result boolean; one boolean; n int;
BEGIN
  SELECT * INTO c FROM oracle.condition WHERE rule_code = rule;
  IF c.glue IS NULL THEN RETURN true; END IF;
  result := c.glue <> 'or';
  FOREACH n IN ARRAY c.clauses LOOP
    one := oracle.truth(n, s, l, scale);
    result := CASE c.glue WHEN 'or' THEN result OR one ELSE result AND one END;
  END LOOP;
  RETURN coalesce(CASE c.glue WHEN 'not' THEN NOT result ELSE result END, false);
END $$;

-- exact fractions, rounded once
CREATE FUNCTION oracle.proportional(base numeric, points numeric, per numeric, whole boolean) RETURNS numeric[] LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN per IS NULL THEN ARRAY[points, 1] WHEN whole THEN ARRAY[div(base, per) * points, 1] ELSE ARRAY[base * points, per] END $$;
CREATE FUNCTION oracle.rounded(fraction numeric[], mode text, decimals int) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE n numeric := fraction[1] * 10::numeric ^ decimals; q numeric := div(n, fraction[2]); twice numeric := 2 * (n - q * fraction[2]);
BEGIN
  q := q + CASE WHEN mode = 'floor' OR twice = 0 THEN 0 WHEN mode = 'ceil' THEN 1 WHEN twice > fraction[2] THEN 1 WHEN twice < fraction[2] THEN 0
                WHEN mode = 'half_up' THEN 1 WHEN mode = 'half_down' THEN 0 ELSE q % 2 END;
  RETURN round(q / 10::numeric ^ decimals, decimals);
END $$;
CREATE FUNCTION oracle.brackets(b jsonb, base numeric, whole boolean) RETURNS numeric[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE steps jsonb := CASE jsonb_typeof(b) WHEN 'array' THEN b ELSE b->'steps' END; step jsonb; result numeric[] := '{0,1}'; one numeric[]; upto numeric;
BEGIN
  FOR i IN 0 .. jsonb_array_length(steps) - 1 LOOP
    step := steps->i;
    CONTINUE WHEN (step->>'from')::numeric > base;
    IF b->>'mode' = 'marginal' THEN
      upto := least(base, (steps->(i + 1)->>'from')::numeric);
      one := oracle.proportional(upto - (step->>'from')::numeric, (step->>'points')::numeric, (step->>'per')::numeric, whole);
      result := ARRAY[result[1] * one[2] + one[1] * result[2], result[2] * one[2]];
    ELSE
      result := oracle.proportional(base, (step->>'points')::numeric, (step->>'per')::numeric, whole);
    END IF;
  END LOOP;
  RETURN result;
END $$;

CREATE TABLE oracle.used (member_id bigint, rule_code text, period date, points numeric, PRIMARY KEY (member_id, rule_code, period));
CREATE TABLE oracle.given (n int, rule_code text, line_no int, points_type text, points numeric, available_at timestamptz, expires_at timestamptz);
CREATE TABLE oracle.spread (n int, points_type text, line_no int, points numeric);

-- what a sale earns: rules by type and stage, in order, each on its units
CREATE FUNCTION oracle.judge(sale_no int, s jsonb, scale int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  lines jsonb[] := ARRAY(SELECT x FROM jsonb_array_elements(s->'lines') WITH ORDINALITY e (x, o) ORDER BY o);
  n int := cardinality(lines); at timestamp := (s->>'sold_at')::timestamp; m bigint := (s->>'member_id')::bigint; day date := at::date; begins date;
  t record; r record; stage int; earned numeric[]; total numeric; blocker boolean[]; taken boolean[]; groups text[]; matching boolean[]; units int[]; works boolean[];
  u int; k int; left_over numeric; would numeric; points numeric; weights numeric[]; shares numeric[]; multiplies boolean; displaced boolean; available timestamptz; expires timestamptz; expiry text;
BEGIN
  FOR t IN SELECT * FROM crm_member.points_type WHERE NOT stored_value ORDER BY points_type LOOP
    earned := array_fill(0::numeric, ARRAY[n]);
    total := 0;
    FOR stage IN 0 .. 1 LOOP
      blocker := array_fill(false, ARRAY[n + 1]);		-- [1] the sale, [1 + k] line k
      taken := blocker;
      groups := '{}';
      FOR r IN SELECT * FROM crm_member.points_rule WHERE active AND points_type = t.points_type AND (award = 'multiplier') = (stage = 1)
               AND (valid_from IS NULL OR valid_from <= at AT TIME ZONE 'Asia/Shanghai') AND (valid_to IS NULL OR valid_to >= at AT TIME ZONE 'Asia/Shanghai')
               ORDER BY priority DESC, rule_code COLLATE "C" LOOP
        matching := ARRAY(SELECT oracle.holds(r.rule_code, s, x, scale) FROM unnest(lines) WITH ORDINALITY e (x, o) ORDER BY o);
        begins := CASE WHEN r.limit_period IS NULL THEN '-infinity' ELSE date_trunc(r.limit_period, day::timestamp)::date END;
        left_over := least(trunc(r.max_points, t.decimals),
          trunc(r.member_limit, t.decimals) - coalesce((SELECT x.points FROM oracle.used x WHERE member_id = m AND rule_code = r.rule_code AND period = begins), 0),
          trunc(r.budget, t.decimals) - coalesce((SELECT x.points FROM oracle.used x WHERE member_id = 0 AND rule_code = r.rule_code), 0));
        left_over := coalesce(left_over, 1e15);
        units := CASE WHEN r.scope = 'line' THEN ARRAY(SELECT o FROM generate_series(1, n) o WHERE matching[o]) WHEN true = ANY (matching) THEN '{0}' ELSE '{}' END;
        FOREACH u IN ARRAY units LOOP
          works := CASE WHEN u = 0 THEN matching ELSE ARRAY(SELECT o = u FROM generate_series(1, n) o) END;
          displaced := false;
          FOR k IN 0 .. n LOOP
            CONTINUE WHEN k > 0 AND NOT works[k];
            displaced := displaced OR blocker[1 + k] OR (taken[1 + k] AND NOT r.stackable) OR k || ' ' || r.stack_group = ANY (groups);
          END LOOP;
          CONTINUE WHEN displaced OR left_over = 0;
          IF stage = 1 THEN
            SELECT oracle.rounded(ARRAY[sum(e * CASE WHEN works[o] THEN r.points ELSE 1 END), 1], r.rounding, t.decimals) INTO would FROM unnest(earned) WITH ORDINALITY x (e, o);
            would := greatest(would - total, 0);
          ELSE
            SELECT oracle.rounded(CASE r.award WHEN 'fixed' THEN ARRAY[r.points, 1] WHEN 'brackets' THEN oracle.brackets(r.brackets, sum(oracle.paid(x, scale)), r.whole_multiples)
                     WHEN 'per_amount' THEN oracle.proportional(sum(oracle.paid(x, scale)), r.points, r.per, r.whole_multiples)
                     ELSE oracle.proportional(sum((x->>'quantity')::numeric), r.points, r.per, r.whole_multiples) END, r.rounding, t.decimals)
            INTO would FROM unnest(lines) WITH ORDINALITY e (x, o) WHERE works[o];
          END IF;
          points := least(would, left_over);
          taken[1 + u] := true;
          blocker[1 + u] := blocker[1 + u] OR NOT r.stackable;
          groups := groups || (u || ' ' || r.stack_group);
          multiplies := stage = 1 AND points = would;
          IF multiplies THEN
            earned := ARRAY(SELECT e * CASE WHEN works[o] THEN r.points ELSE 1 END FROM unnest(earned) WITH ORDINALITY x (e, o) ORDER BY o);
          END IF;
          CONTINUE WHEN points = 0;
          left_over := left_over - points;
          total := total + points;
          weights := ARRAY(SELECT CASE WHEN NOT works[o] THEN 0 WHEN stage = 1 THEN trunc(earned[o], t.decimals) ELSE oracle.paid(lines[o], scale) END FROM generate_series(1, n) o);
          IF 0 = ALL (weights) THEN
            weights := ARRAY(SELECT works[o]::int FROM generate_series(1, n) o);
          END IF;
          shares := crm_member.allocate(points, weights, 'largest_remainder', t.decimals);
          IF NOT multiplies THEN
            earned := ARRAY(SELECT e + shares[o] FROM unnest(earned) WITH ORDINALITY x (e, o) ORDER BY o);
          END IF;
          available := (at + coalesce(r.pending, '0')) AT TIME ZONE 'Asia/Shanghai';
          expiry := coalesce(r.expiry, t.expiry);
          expires := CASE expiry WHEN 'never' THEN 'infinity' ELSE (date_trunc('day', available AT TIME ZONE 'Asia/Shanghai' + expiry::interval) + interval '1 day') AT TIME ZONE 'Asia/Shanghai' END;
          INSERT INTO oracle.given VALUES (sale_no, r.rule_code, nullif(u, 0), t.points_type, points, available, expires);
          INSERT INTO oracle.spread SELECT sale_no, t.points_type, o, share FROM unnest(shares) WITH ORDINALITY x (share, o) WHERE share <> 0;
          INSERT INTO oracle.used SELECT x.member_id, r.rule_code, x.period, points FROM (VALUES (m, begins, r.member_limit), (0, '-infinity', r.budget)) x (member_id, period, lim) WHERE lim IS NOT NULL
            ON CONFLICT ON CONSTRAINT used_pkey DO UPDATE SET points = oracle.used.points + excluded.points;
        END LOOP;
      END LOOP;
    END LOOP;
  END LOOP;
END $$;

-- random things
CREATE FUNCTION oracle.pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT choices[1 + floor(random() * array_length(choices, 1))::int] $$;
CREATE FUNCTION oracle.number(below numeric, decimals int) RETURNS numeric LANGUAGE sql VOLATILE AS $$ SELECT round((random() * below::float8)::numeric, floor(random() * (decimals + 1))::int) $$;
CREATE FUNCTION oracle.random_brackets() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT CASE WHEN random() < 0.5 THEN steps ELSE jsonb_build_object('mode', oracle.pick('tiered', 'marginal'), 'steps', steps) END
  FROM (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('from', f, 'points', oracle.number(30, 4), 'per', CASE WHEN random() < 0.6 THEN 0.0001 + oracle.number(9, 3) END)) ORDER BY f) AS steps
        FROM (SELECT DISTINCT oracle.number(80, 2) AS f FROM generate_series(1, 1 + floor(random() * 4)::int)) x) y $$;

CREATE FUNCTION oracle.make_rules(n int, budgets boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO crm_member.points_type (points_type, name, decimals, expiry) VALUES ('growth', 'Growth', 2, '2 months'), ('miles', 'Miles', 3, 'never');
  TRUNCATE oracle.condition, oracle.used, oracle.given, oracle.spread;
  INSERT INTO oracle.condition SELECT 'r' || g, oracle.pick('and', 'and', 'or', 'not', NULL), ARRAY(SELECT DISTINCT 1 + floor(random() * 20 + 0 * g)::int FROM generate_series(1, 1 + g % 3)) FROM generate_series(1, n) g;
  INSERT INTO crm_member.points_rule (rule_code, priority, points_type, scope, condition, award, points, per, brackets, rounding, whole_multiples, max_points, member_limit, limit_period, budget,
                                      stack_group, stackable, valid_from, valid_to, pending, expiry)
  SELECT c.rule_code, floor(random() * 4), oracle.pick('points', 'growth', 'miles'), oracle.pick('sale', 'line'), oracle.condition_text(c.glue, c.clauses)::crm_member.condition, a.award,
         CASE a.award WHEN 'multiplier' THEN 1 + round(random()::numeric * 1.2, 1) ELSE oracle.number(12, 4) END, 0.0001 + oracle.number(9, 4), CASE a.award WHEN 'brackets' THEN oracle.random_brackets() END,
         oracle.pick('half_up', 'half_down', 'half_even', 'floor', 'ceil'), random() < 0.3, CASE WHEN random() < 0.2 THEN oracle.number(20, 4) END,
         CASE WHEN random() < 0.15 THEN oracle.number(60, 4) END, oracle.pick('day', 'week', 'month', 'year', NULL), CASE WHEN budgets AND random() < 0.15 THEN oracle.number(300, 4) END,
         oracle.pick('g1', 'g2', 'g3', NULL, NULL, NULL, NULL, NULL), random() < 0.98,
         CASE WHEN random() < 0.2 THEN '2026-03-01 00:00+08'::timestamptz + floor(random() * 90) * interval '12 hours' END,
         CASE WHEN random() < 0.2 THEN '2026-05-01 00:00+08'::timestamptz + floor(random() * 60) * interval '12 hours' END,
         CASE WHEN random() < 0.2 THEN interval '36 hours' WHEN random() < 0.1 THEN interval '1 month' END, CASE WHEN random() < 0.2 THEN oracle.pick('12 months', 'never', '45 days') END
  FROM oracle.condition c, LATERAL (SELECT CASE WHEN random() < 0.06 + 0 * length(c.rule_code) THEN 'multiplier' ELSE oracle.pick('fixed', 'per_amount', 'per_unit', 'brackets', 'brackets') END AS award) a;
  INSERT INTO crm_member.tier (tier_code, name, rank) VALUES ('t1', 'T1', 1), ('t2', 'T2', 2);
  -- each member twice: of the second, the same sales come as rows
  INSERT INTO crm_member.member (member_id, kind, attrs, joined_at) SELECT g + d, CASE g % 3 WHEN 0 THEN 'dealer' ELSE 'consumer' END, CASE g % 4 WHEN 0 THEN '{}' ELSE jsonb_build_object('size', g % 3) END, '2025-01-01' FROM generate_series(1, 8) g, unnest('{0,1000}'::int[]) d;
  INSERT INTO crm_member.person (member_id, birthday) SELECT g + d, '1990-01-10'::date + g * 20 FROM generate_series(1, 6) g, unnest('{0,1000}'::int[]) d;
  INSERT INTO crm_member.member_tier (member_id, tier_code) SELECT g + d, 't' || 1 + g % 2 FROM generate_series(1, 5) g, unnest('{0,1000}'::int[]) d;
END $$;

CREATE FUNCTION oracle.random_sale(n int, scale int) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object('ref', 'o' || n, 'member_id', 1 + floor(random() * 8)::int, 'sold_at', '2026-03-01 00:07'::timestamp + n * interval '19 hours 13 minutes',
    'store', oracle.pick('s1', 's2', 's3', NULL), 'attrs', CASE WHEN random() < 0.7 THEN jsonb_build_object('k', oracle.pick('x', 'y')) ELSE '{}' END, 'lines', l.lines))
  FROM (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('line_no', k, 'price', price, 'quantity', quantity, 'discount', CASE WHEN random() < 0.3 THEN trunc(round(quantity * price, scale) * random()::numeric, scale) END,
           'category', oracle.pick('c1', 'c2', 'c3', NULL), 'brand', oracle.pick('b1', 'b2', NULL), 'sku', oracle.pick('k10', 'k11', 'k20')))) AS lines
        FROM (SELECT k, CASE WHEN random() < 0.05 THEN 0 ELSE oracle.number(25, 4) END AS price, CASE WHEN random() < 0.5 THEN 1 + floor(random() * 4)::numeric ELSE 0.001 + oracle.number(3, 3) END AS quantity FROM generate_series(1, 1 + n % 6) k) x) l $$;

CREATE TABLE oracle.difference (scale int, what text, n int, expected text, got text);
-- rules of a document of quote() or checkout()
CREATE FUNCTION oracle.rules_of(answer jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', r->>'rule_code', r->>'line_no', r->>'points_type', trim_scale((r->>'points')::numeric)), ', ' ORDER BY r->>'rule_code' COLLATE "C", (r->>'line_no')::int) FROM jsonb_array_elements(answer #> '{points,rules}') r $$;
CREATE FUNCTION oracle.compare(scale int, what text, n int, expected text, got text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO oracle.difference SELECT scale, what, n, expected, got WHERE expected IS DISTINCT FROM got $$;

CREATE FUNCTION oracle.sell(n int, scale int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE s jsonb := oracle.random_sale(n, scale); expected text;
BEGIN
  PERFORM oracle.judge(n, s, scale);
  SELECT string_agg(concat_ws(' ', rule_code, line_no, points_type, trim_scale(points)), ', ' ORDER BY rule_code COLLATE "C", line_no) INTO expected FROM oracle.given g WHERE g.n = sell.n;
  PERFORM oracle.compare(scale, 'evaluate_points', n, expected, (SELECT string_agg(concat_ws(' ', rule_code, line_no, points_type, trim_scale(points)), ', ' ORDER BY rule_code COLLATE "C", line_no) FROM crm_member.evaluate_points(s)));
  PERFORM oracle.compare(scale, 'explain_points', n, expected, (SELECT string_agg(concat_ws(' ', rule_code, line_no, points_type, trim_scale(points)), ', ' ORDER BY rule_code COLLATE "C", line_no) FROM crm_member.explain_points(s) WHERE points <> 0));
  PERFORM oracle.compare(scale, 'quote', n, expected, oracle.rules_of(crm_member.quote(s)));
  PERFORM oracle.compare(scale, 'checkout', n, expected, oracle.rules_of(crm_member.checkout(s)));
  PERFORM oracle.compare(scale, 'lines', n, (SELECT string_agg(concat_ws(' ', points_type, line_no, trim_scale(p)), ', ' ORDER BY points_type, line_no) FROM (SELECT points_type, line_no, sum(points) AS p FROM oracle.spread x WHERE x.n = sell.n GROUP BY 1, 2) x),
    (SELECT string_agg(concat_ws(' ', points_type, line_no, trim_scale(p)), ', ' ORDER BY points_type, line_no)
     FROM (SELECT e.points_type, l.line_no, sum(l.p) AS p FROM crm_member.points_entry e JOIN crm_member.sale USING (member_id, sale_id), unnest(e.line_nos, e.line_points) l (line_no, p) WHERE sale.ref = 'o' || n AND e.kind = 'earn' GROUP BY 1, 2) x));
  PERFORM oracle.compare(scale, 'lots', n, (SELECT string_agg(concat_ws(' ', points_type, available_at, expires_at, trim_scale(p)), ', ' ORDER BY points_type, available_at, expires_at)
      FROM (SELECT points_type, available_at, expires_at, sum(points) AS p FROM oracle.given x WHERE x.n = sell.n GROUP BY 1, 2, 3) x),
    (SELECT string_agg(concat_ws(' ', l.points_type, available_at, expires_at, trim_scale(l.points)), ', ' ORDER BY l.points_type, available_at, expires_at)
     FROM crm_member.points_entry e JOIN crm_member.sale s USING (member_id, sale_id) JOIN crm_member.points_lot l ON l.member_id = e.member_id AND l.points_type = e.points_type AND l.lot_no = e.entry_no WHERE s.ref = 'o' || n AND e.kind = 'earn'));
END $$;

-- the same sales as rows of members who are alike
CREATE FUNCTION oracle.load(scale int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO crm_member.sale (member_id, sale_id, source, ref, store, channel, sold_at, shipping, attrs) SELECT member_id + 1000, sale_id, 'rows', ref, store, channel, sold_at, shipping, attrs FROM crm_member.sale ORDER BY random();
  INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, sku, category, brand, quantity, price, discount, attrs) SELECT member_id + 1000, sale_id, line_no, sku, category, brand, quantity, price, discount, attrs FROM crm_member.sale_line ORDER BY random();
  INSERT INTO oracle.difference
  SELECT scale, 'rows', NULL, x.entry, x.how FROM (
    SELECT 'too much' AS how, e::text AS entry FROM (SELECT member_id - 1000, sale_id, points_type, entry_no, points, balance, at, rules, rule_lines, rule_points, line_nos, line_points FROM crm_member.points_entry WHERE member_id > 1000
      EXCEPT ALL SELECT member_id, sale_id, points_type, entry_no, points, balance, at, rules, rule_lines, rule_points, line_nos, line_points FROM crm_member.points_entry WHERE member_id <= 1000) e
    UNION ALL
    SELECT 'too little', e::text FROM (SELECT member_id, sale_id, points_type, entry_no, points, balance, at, rules, rule_lines, rule_points, line_nos, line_points FROM crm_member.points_entry WHERE member_id <= 1000
      EXCEPT ALL SELECT member_id - 1000, sale_id, points_type, entry_no, points, balance, at, rules, rule_lines, rule_points, line_nos, line_points FROM crm_member.points_entry WHERE member_id > 1000) e) x;
  PERFORM oracle.compare(scale, 'rows settled', NULL, (SELECT count(*)::text FROM crm_member.sale WHERE source <> 'rows' AND settled_at IS NOT NULL), (SELECT count(*)::text FROM crm_member.sale WHERE source = 'rows' AND settled_at IS NOT NULL));
END $$;

-- everything goes back, in parts
CREATE FUNCTION oracle.take_back(scale int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE sale record; parts jsonb; step int; taken numeric;
BEGIN
  CREATE TEMP TABLE remaining AS SELECT l.member_id, l.sale_id, s.source, s.ref, l.line_no, l.quantity FROM crm_member.sale_line l JOIN crm_member.sale s USING (member_id, sale_id);
  FOR step IN 1 .. 6 LOOP
    FOR sale IN SELECT DISTINCT source, ref FROM remaining WHERE quantity > 0 ORDER BY 1, 2 LOOP
      SELECT jsonb_agg(jsonb_build_object('line_no', line_no, 'quantity', q)) INTO parts FROM (
        SELECT line_no, CASE WHEN step = 6 OR random() < 0.3 THEN quantity WHEN quantity = trunc(quantity) THEN floor(random() * (quantity + 1)) ELSE round(quantity * random()::numeric, 3) END AS q
        FROM remaining r WHERE r.source = sale.source AND r.ref = sale.ref AND quantity > 0) x WHERE q > 0;
      CONTINUE WHEN parts IS NULL;
      PERFORM crm_member.refund(jsonb_build_object('ref', 'b' || step || sale.ref, 'source', sale.source, 'sale_ref', sale.ref, 'refunded_at', '2026-09-01 12:00', 'lines', parts));
      UPDATE remaining r SET quantity = quantity - (x->>'quantity')::numeric FROM jsonb_array_elements(parts) x WHERE r.source = sale.source AND r.ref = sale.ref AND r.line_no = (x->>'line_no')::int;
    END LOOP;
  END LOOP;
  DROP TABLE remaining;
  INSERT INTO oracle.difference SELECT scale, 'left after returns', NULL, '0', concat_ws(' ', 'account', member_id, points_type, balance) FROM crm_member.points_account WHERE balance <> 0;
  INSERT INTO oracle.difference SELECT scale, 'left in lots', NULL, '0', concat_ws(' ', 'lot', member_id, points_type, lot_no, remaining) FROM crm_member.points_lot WHERE remaining <> 0;
  INSERT INTO oracle.difference SELECT scale, 'ledger', NULL, NULL, v::text FROM crm_member.verify_ledger() v;
END $$;

CREATE FUNCTION oracle.run(scale int, rules int, sales int, budgets boolean) RETURNS TABLE (given_by_many boolean, kinds bigint, limited boolean) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM oracle.make_rules(rules, budgets);
  FOR n IN 1 .. sales LOOP
    PERFORM oracle.sell(n, scale);
  END LOOP;
  INSERT INTO oracle.difference
  SELECT scale, 'simulate_rules', substr(ref, 2)::int, x.points::text, concat_ws(' ', rule_code, x.points_type, 'given', x.given) FROM crm_member.simulate_rules('-infinity', 'infinity', NULL, '{rule,sale}') x JOIN crm_member.sale USING (sale_id) WHERE x.points <> x.given;
  PERFORM oracle.compare(scale, 'simulated', NULL, (SELECT sum(points)::text FROM oracle.given), (SELECT sum(points)::text FROM crm_member.simulate_rules('-infinity', 'infinity', NULL, '{rule}', false)));
  IF NOT budgets THEN
    PERFORM oracle.load(scale);
  END IF;
  PERFORM oracle.take_back(scale);
  RETURN QUERY SELECT count(DISTINCT g.rule_code) > rules / 2, count(DISTINCT r.award), (SELECT count(*) > 5 FROM oracle.used) FROM oracle.given g JOIN crm_member.points_rule r USING (rule_code);
END $$;

-- for another run: SET crm_test.seed = ... before
SELECT setseed(coalesce(nullif(current_setting('crm_test.seed', true), '')::float8, 0.31)) \g /dev/null
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'Asia/Shanghai', money_scale => 2);
SELECT * FROM oracle.run(2, 110, 40, false);
DROP EXTENSION crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'Asia/Shanghai', money_scale => 0, currency => 'JPY');
SELECT * FROM oracle.run(0, 110, 40, true);
DROP EXTENSION crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'Asia/Shanghai', money_scale => 3, currency => 'KWD');
SELECT * FROM oracle.run(3, 110, 40, false);
SELECT scale, what, count(*), min(n) AS first, min(expected) AS expected, min(got) AS got FROM oracle.difference GROUP BY 1, 2 ORDER BY 1, 2;
DROP SCHEMA oracle CASCADE;
