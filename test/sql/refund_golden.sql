--
-- What refunds give back: cases computed by hand.
--
-- A case is a sale, templates whose codes T1, T2 ... it presents, and refunds, one
-- after the other. Expected is of each refund: what was payable for it, in brackets
-- what of that points and stored value paid, if any, then the points taken back;
-- "all" when nothing of the sale is left. A point is earned for each unit of money
-- on a line, rounded down; a point pays 0.01. The buyer has 1000 points, and 100
-- and a gift of 20 as stored value, which is spent pro rata.
--
\getenv tests PG_ABS_SRCDIR
\set zone 'UTC'
\i :tests/sql/include/business.sql
INSERT INTO crm_member.points_rule (rule_code, award, points, scope) VALUES ('base', 'per_amount', 1, 'line');
UPDATE crm_member.points_type SET money_value = 0.01 WHERE points_type = 'points';
SELECT crm_member.register_member(source => 'test', external_id => '1') AS one \gset
SELECT crm_member.award_points(:one, 1000, 'a', 'a', at => '2026-01-01'), crm_member.top_up_stored_value(:one, 100, 'cash', 't', gift => 20, at => '2026-01-01');
INSERT INTO crm_member.coupon_template (template_code, kind, value, uses) VALUES ('proto', 'amount', 0, NULL);

CREATE FUNCTION pg_temp.take_back(buyer bigint, sale text, templates jsonb, refunds jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  proto crm_member.coupon_template;
  template jsonb;
  document jsonb := ('{' || sale || '}')::jsonb || jsonb_build_object('ref', 'S', 'member_id', buyer, 'sold_at', '2026-02-01T10:00Z', 'coupons', '[]'::jsonb);
  answer jsonb;
  back jsonb;
  said text := '';
  n int := 0;
BEGIN
  SELECT * INTO proto FROM crm_member.coupon_template WHERE template_code = 'proto';
  FOR template IN SELECT jsonb_array_elements(templates) LOOP
    n := n + 1;
    INSERT INTO crm_member.coupon_template SELECT (jsonb_populate_record(proto, template || jsonb_build_object('template_code', 'T' || n)
      || CASE WHEN template ? 'kind' AND NOT template ? 'value' THEN '{"value": null}' ELSE '{}' END::jsonb)).*;
    PERFORM crm_member.import_coupon('T' || n, 'T' || n);
    document := jsonb_insert(document, '{coupons,-1}', to_jsonb('T' || n), true);
  END LOOP;
  PERFORM crm_member.checkout(document);
  n := 0;
  FOR back IN SELECT jsonb_array_elements(refunds) LOOP
    n := n + 1;
    answer := crm_member.refund(back || jsonb_build_object('ref', 'R' || n, 'sale_ref', 'S', 'refunded_at', '2026-02-02T10:00Z'));
    said := said || CASE WHEN n > 1 THEN '; ' ELSE '' END || (answer ->> 'payable')
      || CASE WHEN (answer ->> 'points_value')::numeric > 0 OR (answer ->> 'stored_value')::numeric > 0
              THEN ' (' || (answer ->> 'points_value') || ' ' || (answer ->> 'stored_value') || ')' ELSE '' END
      || ' ' || (answer #>> '{points,taken_back}') || CASE WHEN (answer ->> 'complete')::boolean THEN ' all' ELSE '' END
      -- and the refund is the sum of its parts
      || CASE WHEN (answer ->> 'money')::numeric <> (answer ->> 'payable')::numeric - (answer ->> 'points_value')::numeric - (answer ->> 'stored_value')::numeric
                OR (answer ->> 'payable')::numeric <> (answer ->> 'shipping')::numeric
                   + coalesce((SELECT sum((l ->> 'payable')::numeric) FROM jsonb_array_elements(answer -> 'lines') l), 0)
                OR (answer ->> 'complete')::boolean AND (crm_member.points_balance(buyer) <> 1000 OR crm_member.points_balance(buyer, 'stored_value') <> 100
                                                      OR crm_member.points_balance(buyer, 'stored_value_gift') <> 20)
              THEN ' DOES NOT ADD UP' ELSE '' END;
  END LOOP;
  RAISE EXCEPTION USING ERRCODE = 'TTTTT', MESSAGE = said;
EXCEPTION WHEN SQLSTATE 'TTTTT' THEN
  RETURN SQLERRM;
END
$$;

CREATE TEMP TABLE golden (
  n int GENERATED ALWAYS AS IDENTITY, title text, sale text, refunds jsonb, expected text, templates jsonb NOT NULL DEFAULT '[]');

-- shares of a line are cumulative: what is due for all units back so far, less what was given
INSERT INTO golden (title, sale, refunds, expected) VALUES
('a third of 10.00 is 3.33, two thirds are 6.67', '"lines": [{"line_no": 1, "price": 3.333333, "quantity": 3}]',
 '[{"lines": [{"line_no": 1, "quantity": 1}]}, {"lines": [{"line_no": 1, "quantity": 1}]}, {}]', '3.33 3; 3.34 3; 3.33 4 all'),
('two thirds, then the rest', '"lines": [{"line_no": 1, "price": 3.333333, "quantity": 3}]', '[{"lines": [{"line_no": 1, "quantity": 2}]}, {}]', '6.67 6; 3.33 4 all'),
('the till took 0.10 off: 2.90 in three', '"lines": [{"line_no": 1, "price": 1, "quantity": 3, "discount": 0.10}]',
 '[{"lines": [{"line_no": 1, "quantity": 1}]}, {"lines": [{"line_no": 1, "quantity": 1}]}, {"lines": [{"line_no": 1}]}]', '0.97 0; 0.96 1; 0.97 1 all'),
('10 points of 10.50 in three: 3, 6, 10', '"lines": [{"line_no": 1, "price": 3.5, "quantity": 3}]',
 '[{"lines": [{"line_no": 1, "quantity": 1}]}, {"lines": [{"line_no": 1, "quantity": 1}]}, {}]', '3.50 3; 3.50 3; 3.50 4 all'),
('0.7 of 2.5 by weight', '"lines": [{"line_no": 1, "price": 2.5, "quantity": 2.5}]', '[{"lines": [{"line_no": 1, "quantity": 0.7}]}, {}]', '1.75 1; 4.50 5 all'),
('one cent in three', '"lines": [{"line_no": 1, "price": 0.003333, "quantity": 3}]',
 '[{"lines": [{"line_no": 1, "quantity": 1}]}, {"lines": [{"line_no": 1, "quantity": 1}]}, {}]', '0.00 0; 0.01 0; 0.00 0 all'),
('a line of nothing comes back too', '"lines": [{"line_no": 1, "price": 0}, {"line_no": 2, "price": 5}]', '[{"lines": [{"line_no": 2}]}, {}]', '5.00 5; 0.00 0 all'),
('a millionth', '"lines": [{"line_no": 1, "price": 1000000, "quantity": 1}]', '[{"lines": [{"line_no": 1, "quantity": 0.000001}]}, {}]', '1.00 1; 999999.00 999999 all');

-- a line takes back its own share of what coupons took off, in any order
INSERT INTO golden (title, sale, templates, refunds, expected) VALUES
('10 over three lines of 30: 3.34, 3.33, 3.33', '"lines": [{"line_no": 1, "price": 30}, {"line_no": 2, "price": 30}, {"line_no": 3, "price": 30}]', '[{"value": 10}]',
 '[{"lines": [{"line_no": 1}]}, {"lines": [{"line_no": 2}]}, {"lines": [{"line_no": 3}]}]', '26.66 26; 26.67 26; 26.67 26 all'),
('backwards', '"lines": [{"line_no": 1, "price": 30}, {"line_no": 2, "price": 30}, {"line_no": 3, "price": 30}]', '[{"value": 10}]',
 '[{"lines": [{"line_no": 3}]}, {"lines": [{"line_no": 2}]}, {}]', '26.67 26; 26.67 26; 26.66 26 all'),
('of two for one a unit is half', '"lines": [{"line_no": 1, "price": 10, "quantity": 2}]', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1}]',
 '[{"lines": [{"line_no": 1, "quantity": 1}]}, {}]', '5.00 5; 5.00 5 all'),
('a gift is kept', '"lines": [{"line_no": 1, "price": 50}, {"line_no": 2, "price": 10, "category": "g"}]', '[{"kind": "gift", "get_eligible": "line.category = ''g''"}]',
 '[{"lines": [{"line_no": 1}]}]', '50.00 50'),
('and comes back for nothing', '"lines": [{"line_no": 1, "price": 50}, {"line_no": 2, "price": 10, "category": "g"}]', '[{"kind": "gift", "get_eligible": "line.category = ''g''"}]',
 '[{"lines": [{"line_no": 1}]}, {"lines": [{"line_no": 2}]}]', '50.00 50; 0.00 0 all'),
('all of it was free', '"lines": [{"line_no": 1, "price": 50}]', '[{"kind": "percent", "value": 100}]', '[{"lines": [{"line_no": 1, "quantity": 0.5}]}, {}]', '0.00 0; 0.00 0 all'),
('two coupons: 20 percent of 5 and 10, then 1.20 by 4 to 8', '"lines": [{"line_no": 1, "price": 5}, {"line_no": 2, "price": 10}]', '[{"kind": "percent", "value": 20, "priority": 1}, {"value": 1.20}]',
 '[{"lines": [{"line_no": 2}]}, {}]', '7.20 7; 3.60 3 all');

-- shipping comes with the last line, or as it is said, or alone
INSERT INTO golden (title, sale, templates, refunds, expected) VALUES
('with the last line', '"shipping": 4, "lines": [{"line_no": 1, "price": 10}, {"line_no": 2, "price": 6}]', '[]', '[{"lines": [{"line_no": 1}]}, {"lines": [{"line_no": 2}]}]', '10.00 10; 10.00 6 all'),
('as said, the rest at the end', '"shipping": 4, "lines": [{"line_no": 1, "price": 10}, {"line_no": 2, "price": 6}]', '[]', '[{"lines": [{"line_no": 1}], "shipping": 1.5}, {}]', '11.50 10; 8.50 6 all'),
('kept, then alone', '"shipping": 4, "lines": [{"line_no": 1, "price": 10}]', '[]', '[{"shipping": 0}, {"lines": [], "shipping": 1}, {"lines": [], "shipping": 3}]', '10.00 10; 1.00 0; 3.00 0 all'),
('what was free is not given back', '"shipping": 4, "lines": [{"line_no": 1, "price": 10}]', '[{"kind": "free_shipping"}]', '[{}]', '10.00 10 all'),
('what was paid of it is', '"shipping": 4, "lines": [{"line_no": 1, "price": 10}]', '[{"kind": "free_shipping", "value": 3}]', '[{}]', '11.00 10 all');

-- points and stored value paid: their part goes back to them, rounded down until the end
INSERT INTO golden (title, sale, refunds, expected) VALUES
('500 points paid 5 of 20, 15 earned', '"points": 500, "lines": [{"line_no": 1, "price": 10, "quantity": 2}]', '[{"lines": [{"line_no": 1, "quantity": 1}]}, {}]', '10.00 (2.50 0.00) 7; 10.00 (2.50 0.00) 8 all'),
('1 point paid 0.01 of 20', '"points": 1, "lines": [{"line_no": 1, "price": 10, "quantity": 2}]', '[{"lines": [{"line_no": 1, "quantity": 1}]}, {}]', '10.00 9; 10.00 (0.01 0.00) 10 all'),
('12 of 20 by stored value, which earns', '"stored_value": 12, "lines": [{"line_no": 1, "price": 10, "quantity": 2}]', '[{"lines": [{"line_no": 1, "quantity": 1}]}, {}]', '10.00 (0.00 6.00) 10; 10.00 (0.00 6.00) 10 all'),
('all by stored value, in three: 3.33, 3.34, 3.33', '"stored_value": 10, "lines": [{"line_no": 1, "price": 3.333333, "quantity": 3}]',
 '[{"lines": [{"line_no": 1, "quantity": 1}]}, {"lines": [{"line_no": 1, "quantity": 1}]}, {}]', '3.33 (0.00 3.33) 3; 3.34 (0.00 3.34) 3; 3.33 (0.00 3.33) 4 all'),
('points first, of what they leave stored value: 2 and 8 of 12, and 2 of money', '"points": 200, "stored_value": 8, "lines": [{"line_no": 1, "price": 6, "quantity": 2}]',
 '[{"lines": [{"line_no": 1, "quantity": 1}]}, {}]', '6.00 (1.00 4.00) 5; 6.00 (1.00 4.00) 5 all'),
('both, and shipping alone: 4 of 24', '"points": 600, "stored_value": 9, "shipping": 4, "lines": [{"line_no": 1, "price": 20}]',
 '[{"lines": [], "shipping": 4}, {}]', '4.00 (1.00 1.50) 0; 20.00 (5.00 7.50) 14 all'),
('5.00 of 15 points paid on lines of 10 and 20: they earn 8 and 16 of 10 and 20', '"points": 500, "lines": [{"line_no": 1, "price": 10}, {"line_no": 2, "price": 20}]',
 '[{"lines": [{"line_no": 2}]}, {}]', '20.00 (3.33 0.00) 16; 10.00 (1.67 0.00) 8 all');

-- all at once: 10 of 60 over 30, 24 and 6; of 54 with shipping points pay 10 and stored value half of the rest
INSERT INTO golden (title, sale, templates, refunds, expected) VALUES
('0.375 kg, one of three, of the shipping 1, and the rest', '"shipping": 4, "points": 1000, "stored_value": 22, "lines": [{"line_no": 1, "price": 10, "quantity": 3}, {"line_no": 2, "price": 24}, {"line_no": 3, "price": 6}]',
 '[{"value": 10}]', '[{"lines": [{"line_no": 2, "quantity": 0.375}]}, {"lines": [{"line_no": 1, "quantity": 1}]}, {"lines": [], "shipping": 1}, {}]',
 '7.50 (1.38 3.06) 6; 8.33 (1.55 3.39) 6; 1.00 (0.18 0.41) 0; 37.17 (6.89 15.14) 28 all'),
('the same backwards', '"shipping": 4, "points": 1000, "stored_value": 22, "lines": [{"line_no": 1, "price": 10, "quantity": 3}, {"line_no": 2, "price": 24}, {"line_no": 3, "price": 6}]',
 '[{"value": 10}]', '[{"lines": [{"line_no": 3}]}, {"lines": [{"line_no": 2, "quantity": 0.625}]}, {"lines": [{"line_no": 1}]}, {"lines": [{"line_no": 2}]}]',
 '5.00 (0.92 2.04) 4; 12.50 (2.32 5.09) 10; 25.00 (4.63 10.18) 20; 11.50 (2.13 4.69) 6 all');

SELECT n, title, expected, got
FROM (SELECT g.*, pg_temp.take_back(:one, sale, templates, refunds) AS got FROM golden g) g
WHERE got IS DISTINCT FROM expected ORDER BY n;
SELECT count(*) FROM golden;
SELECT count(*) AS sales_left FROM crm_member.sale;
