--
-- Points that are spent and should be taken back are charged to the refund, to
-- the cent: random sales are spent on, cleared, and returned in parts of any order.
-- The seed is fixed; a sale that does not agree is printed with its story.
--
\i test/sql/include/random.sql
SET search_path = crm_member, public;
SET timezone = 'UTC';
SELECT setseed(0.25);
INSERT INTO points_type (points_type, name, deficit, decimals, money_value) VALUES
  ('half', 'Half a cent', 'charge', 0, 0.005), ('odd', 'Odd', 'charge', 1, 0.0137), ('dear', 'Dear', 'charge', 0, 0.4);
INSERT INTO points_rule (rule_code, award, points, points_type, scope) VALUES
  ('half', 'per_amount', 3, 'half', 'line'), ('odd', 'per_amount', 1.3, 'odd', 'line'), ('dear', 'per_amount', 1, 'dear', 'sale');

-- what was cleared is let go once, whatever else was let go before
SELECT register_member(source => 'test', external_id => 'one') AS one \gset
SELECT checkout(jsonb_build_object('ref', 'one', 'member_id', :one, 'sold_at', '2026-01-01', 'lines', '[{"price": 20}, {"price": 30}]'::jsonb)) ->> 'payable' AS payable;
SELECT spend_points(:one, 40, 'cup', 'cup', 'dear', '2026-01-02'), spend_points(:one, 5, 'pen', 'pen', 'dear', '2026-01-02');
CREATE FUNCTION pg_temp.back(ref text, sale_ref text, lines jsonb, at timestamptz, OUT taken_back text, OUT shortfall text, OUT shortfall_value text, OUT charged text)
LANGUAGE sql AS $$
  SELECT t ->> 'taken_back', t ->> 'shortfall', t ->> 'shortfall_value', t ->> 'charged'
  FROM refund(jsonb_strip_nulls(jsonb_build_object('ref', ref, 'sale_ref', sale_ref, 'refunded_at', at, 'lines', lines))) r, jsonb_array_elements(r -> 'points' -> 'types') t
  WHERE t ->> 'points_type' = 'dear'
$$;
-- 5 are there, 15 are spent; then 40 come back and are cleared, 25 of the rest were those
SELECT * FROM pg_temp.back('r1', 'one', '[{"line_no": 1}]', '2026-01-03');
SELECT reverse_points('cup', :one, 25, reversal_ref => 'part of the cup', at => '2026-01-04');
CALL clear_points('dear', '2026-01-05');
SELECT * FROM pg_temp.back('r2', 'one', NULL, '2026-01-06');
SELECT entry_no, kind, points, balance, shortfall, cleared FROM points_entry WHERE member_id = :one AND points_type = 'dear' ORDER BY 1;

-- nor does it cost what was earned since, where the buyer was merged meanwhile
SELECT register_member(source => 'test', external_id => 'two') AS two, register_member(source => 'test', external_id => 'three') AS three \gset
SELECT checkout(jsonb_build_object('ref', 'two', 'member_id', :two, 'sold_at', '2026-01-01', 'lines', '[{"price": 20}, {"price": 30}]'::jsonb)) ->> 'payable' AS payable;
SELECT spend_points(:two, 10, 'pen', 'pen', 'dear', '2026-01-02');
SELECT merge_members(:three, ARRAY[:two]::bigint[], ref => 'm') IS NOT NULL AS merged;
CALL clear_points('dear', '2026-01-05');
SELECT checkout(jsonb_build_object('ref', 'three', 'member_id', :three, 'sold_at', '2026-01-06', 'lines', '[{"price": 25}]'::jsonb)) ->> 'payable' AS payable;
SELECT * FROM pg_temp.back('two 1', 'two', '[{"line_no": 2}]', '2026-01-07');
SELECT points_balance(:three, 'dear') AS "25";
SELECT * FROM pg_temp.back('two 2', 'two', NULL, '2026-01-07');
SELECT points_balance(:three, 'dear') AS "15";

-- what does not fit into one refund is kept back from the next
INSERT INTO points_rule (rule_code, award, points, points_type, scope, condition) VALUES ('gift', 'fixed', 30, 'dear', 'line', 'line.amount = 2');
SELECT checkout(jsonb_build_object('ref', 'gift', 'member_id', :one, 'sold_at', '2026-02-01', 'lines', '[{"price": 2}, {"price": 100}]'::jsonb)) ->> 'payable' AS payable;
SELECT spend_points(:one, points_balance(:one, 'dear'), 'all', 'all', 'dear');
SELECT * FROM pg_temp.back('g1', 'gift', '[{"line_no": 1}]', '2026-02-02');
SELECT * FROM pg_temp.back('g2', 'gift', NULL, '2026-02-03');

-- at random; what is taken back by hand is not charged, nor moves a cent of what is
CREATE TEMP TABLE story (n int, sale text, act text, what text, at timestamptz);
CREATE PROCEDURE play(i int) LANGUAGE plpgsql AS $$
DECLARE
  me bigint := register_member(source => 'test', external_id => 'm' || i);
  at timestamptz := '2026-03-01';
  sale text := 's' || i;
  act text;
  what text;
  line int;
  there numeric;
BEGIN
  PERFORM checkout(jsonb_build_object('ref', sale, 'member_id', me, 'sold_at', at, 'lines', (
    SELECT jsonb_agg(jsonb_build_object('price', round((1 + random() * 30)::numeric, 2), 'quantity', 1 + floor(random() * 4))) FROM generate_series(1, 3))));
  FOR n IN 1 .. 12 LOOP
    at := at + interval '1 hour';
    act := pg_temp.one_of('spend', 'spend', 'undo', 'clear', 'refund', 'refund', 'by hand');
    what := pg_temp.one_of('half', 'odd', 'dear');
    line := 1 + floor(random() * 3);
    BEGIN
      CASE act
      WHEN 'spend' THEN
        there := points_balance(me, what, at);
        PERFORM spend_points(me, ceil(there * random()::numeric), NULL, 'spend ' || n, what, at);
      WHEN 'undo' THEN
        PERFORM reverse_points((SELECT e.ref FROM points_entry e WHERE e.member_id = me AND e.points_type = what AND e.kind = 'spend' ORDER BY random() LIMIT 1), me, at => at);
      WHEN 'by hand' THEN
        PERFORM reverse_points(NULL, me, (1 + floor(random() * 5))::numeric, sale_id => (SELECT sale_id FROM sale WHERE member_id = me), points_type => what, reversal_ref => 'by hand ' || n, at => at);
      WHEN 'clear' THEN
        PERFORM clear_step(what, at, me - 1, 1) WHERE EXISTS (SELECT FROM points_account WHERE member_id = me);
      WHEN 'refund' THEN
        PERFORM refund(jsonb_build_object('ref', sale || ' ' || n, 'sale_ref', sale, 'refunded_at', at, 'lines', jsonb_build_array(jsonb_build_object('line_no', line, 'quantity', 1))));
      END CASE;
      INSERT INTO story VALUES (n, sale, act, CASE act WHEN 'refund' THEN 'line ' || line ELSE what END, at);
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE !~ '^RM|^22' THEN
        RAISE;
      END IF;
    END;
  END LOOP;
  PERFORM refund(jsonb_build_object('ref', sale || ' end', 'sale_ref', sale, 'refunded_at', at + interval '1 hour'))
    WHERE NOT EXISTS (SELECT FROM refund r WHERE r.member_id = me AND r.complete);
END
$$;
CREATE PROCEDURE play_all() LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1 .. 1000 LOOP CALL play(i); END LOOP; END $$;
CALL play_all();
SELECT act, count(*) > 300 AS often FROM story GROUP BY 1 ORDER BY 1;
SELECT count(*) FILTER (WHERE complete) AS sales FROM refund WHERE ref ~ '^s\d';

CREATE TEMP VIEW charge AS
SELECT s.ref AS sale, s.member_id, s.sale_id, t ->> 'points_type' AS points_type, count(*) AS refunds,
       sum((t ->> 'shortfall')::numeric) AS shortfall, sum((t ->> 'shortfall_value')::numeric) AS worth, sum((t ->> 'charged')::numeric) AS charged,
       sum((t ->> 'taken_back')::numeric) AS taken
FROM sale s JOIN refund r USING (member_id, sale_id) CROSS JOIN jsonb_array_elements(r.answer -> 'points' -> 'types') t
WHERE s.ref ~ '^s\d' GROUP BY 1, 2, 3, 4;
CREATE TEMP VIEW book AS
SELECT c.*, p.money_value,
       (SELECT sum(e.shortfall) FROM points_entry e WHERE (e.member_id, e.points_type, e.sale_id, e.kind) = (c.member_id, c.points_type, c.sale_id, 'reverse') AND e.ref IS NULL) AS short,
       (SELECT sum(e.cleared) FROM points_entry e WHERE (e.member_id, e.points_type, e.kind) = (c.member_id, c.points_type, 'reverse')) AS let_go,
       (SELECT -sum(e.points) FROM points_entry e WHERE (e.member_id, e.points_type, e.kind) = (c.member_id, c.points_type, 'clear')) AS cleared,
       (SELECT -sum(e.points) FROM points_entry e WHERE (e.member_id, e.points_type) = (c.member_id, c.points_type) AND e.kind IN ('spend', 'return')) AS spent,
       EXISTS (SELECT FROM points_entry e WHERE (e.member_id, e.points_type, e.kind) = (c.member_id, c.points_type, 'return')
                AND e.entry_no > (SELECT min(f.entry_no) FROM points_entry f WHERE (f.member_id, f.points_type, f.kind) = (c.member_id, c.points_type, 'reverse') AND f.shortfall > coalesce(f.cleared, 0))) AS late,
       EXISTS (SELECT FROM points_entry e WHERE (e.member_id, e.points_type, e.kind) = (c.member_id, c.points_type, 'reverse') AND e.ref IS NOT NULL AND e.shortfall > 0) AS by_hand
FROM charge c JOIN points_type p USING (points_type);
-- they are worth what all of them are worth, and as much was kept back as the refunds had
SELECT count(*) FILTER (WHERE worth > 0) > 500 AS many, count(*) FILTER (WHERE refunds > 3 AND worth > 0) > 100 AS in_parts,
       count(*) FILTER (WHERE cleared > 0 AND worth > 0) > 100 AS cleared,
       count(*) FILTER (WHERE worth <> round(shortfall * money_value, 2)) AS wrong_worth,
       count(*) FILTER (WHERE charged > worth) AS too_much,
       count(*) FILTER (WHERE charged < worth) AS too_little
FROM book;
SELECT * FROM book b JOIN story s USING (sale) WHERE worth <> round(shortfall * money_value, 2) OR charged <> worth ORDER BY sale, points_type, n;
-- charged are those that were spent, if none came back afterwards, and never those that were cleared
SELECT count(*) FILTER (WHERE NOT late AND NOT by_hand AND cleared > 0 AND spent > 0) > 100 AS many,
       count(*) FILTER (WHERE NOT late AND NOT by_hand AND shortfall <> coalesce(spent, 0)) AS other_than_spent,
       count(*) FILTER (WHERE shortfall < coalesce(spent, 0) AND NOT by_hand) AS less_than_spent,
       count(*) FILTER (WHERE let_go > cleared) AS let_go_twice
FROM book;
SELECT count(*) FROM refund WHERE money <> payable - points_value - stored_value - charged OR money < 0;
SELECT * FROM verify_ledger();
