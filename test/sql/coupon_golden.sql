--
-- What coupons take off a sale: cases computed by hand.
--
-- A case has templates T1, T2 ..., each presented by a code of its own unless it
-- is automatic; lines "price [x quantity] [c=category] [d=discount of the till]
-- [m=min_price] [t=tax_rate]"; what is taken off each line and, after it, what
-- was not applied and why, and what was taken off shipping. Its title says the
-- reckoning, where the figures alone do not.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;

INSERT INTO crm_member.coupon_template (template_code, kind, value, uses) VALUES ('proto', 'amount', 0, NULL);

CREATE FUNCTION pg_temp.price(templates jsonb, lines text, shipping numeric) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  proto crm_member.coupon_template;
  template jsonb;
  codes jsonb := '[]';
  document jsonb := '[]';
  token text;
  answer jsonb;
  n int := 0;
BEGIN
  SELECT * INTO proto FROM crm_member.coupon_template WHERE template_code = 'proto';
  FOR template IN SELECT jsonb_array_elements(templates) LOOP
    n := n + 1;
    template := template || jsonb_build_object('template_code', 'T' || n);
    IF template ->> 'kind' IN ('buy_x_get_y', 'gift', 'free_shipping') AND NOT template ? 'value' THEN
      template := template || '{"value": null}';
    END IF;
    INSERT INTO crm_member.coupon_template SELECT (jsonb_populate_record(proto, template)).*;
    IF NOT coalesce((template ->> 'automatic')::boolean, false) THEN
      PERFORM crm_member.import_coupon('T' || n, 'T' || n);
      codes := codes || to_jsonb('T' || n);
    END IF;
  END LOOP;
  FOREACH token IN ARRAY string_to_array(lines, ',') LOOP
    document := document || jsonb_strip_nulls(jsonb_build_object(
      'price', substring(token FROM '^\s*([\d.]+)')::numeric,
      'quantity', coalesce(substring(token FROM 'x ?([\d.]+)'), '1')::numeric,
      'category', substring(token FROM 'c=(\w+)'),
      'discount', substring(token FROM 'd=([\d.]+)')::numeric,
      'min_price', substring(token FROM 'm=([\d.]+)')::numeric,
      'tax_rate', substring(token FROM 't=([\d.]+)')::numeric));
  END LOOP;
  answer := crm_member.quote(jsonb_build_object('lines', document, 'coupons', codes, 'shipping', shipping));
  RAISE EXCEPTION USING ERRCODE = 'TTTTT', MESSAGE =
    (SELECT string_agg(((l ->> 'discount')::numeric - coalesce((document -> (i::int - 1) ->> 'discount')::numeric, 0))::text, ' ' ORDER BY i)
       FROM jsonb_array_elements(answer -> 'lines') WITH ORDINALITY AS l (l, i))
    || coalesce((SELECT ' ' || string_agg(c ->> 'template_code' || ' ' || CASE c ->> 'status' WHEN 'refused' THEN c ->> 'sqlstate' ELSE c ->> 'status' END,
                                          ' ' ORDER BY c ->> 'template_code')
                   FROM jsonb_array_elements(answer -> 'coupons') c WHERE c ->> 'status' <> 'applied'), '')
    || CASE WHEN shipping > (answer ->> 'shipping')::numeric THEN ' ship ' || shipping - (answer ->> 'shipping')::numeric ELSE '' END
    -- and the whole is the sum of its parts
    || CASE WHEN (answer ->> 'payable')::numeric <> (answer ->> 'amount')::numeric - (answer ->> 'discount')::numeric + (answer ->> 'shipping')::numeric
              OR (answer ->> 'discount')::numeric <> (SELECT sum((l ->> 'discount')::numeric) FROM jsonb_array_elements(answer -> 'lines') l)
              OR (answer ->> 'payable')::numeric < 0
            THEN ' DOES NOT ADD UP' ELSE '' END;
EXCEPTION WHEN SQLSTATE 'TTTTT' THEN
  RETURN SQLERRM;
END
$$;

CREATE TEMP TABLE golden (
  n int GENERATED ALWAYS AS IDENTITY, title text, templates jsonb, lines text, expected text, shipping numeric NOT NULL DEFAULT 0);

-- allocation and rounding
INSERT INTO golden (title, templates, lines, expected) VALUES
('odd cent to the largest remainder, ties to the earlier line', '[{"value": 10}]', '30, 30, 30', '3.34 3.33 3.33'),
('odd cents to the first lines', '[{"value": 10, "allocation": "first_lines"}]', '30, 30, 30', '3.34 3.33 3.33'),
('odd cents to the last line', '[{"value": 10, "allocation": "last_line"}]', '30, 30, 30', '3.33 3.33 3.34'),
('running delta', '[{"value": 10, "allocation": "running_delta"}]', '30, 30, 30', '3.33 3.34 3.33'),
('100 off three lines of a third each', '[{"value": 100}]', '33.33, 33.33, 33.34', '33.33 33.33 33.34'),
('a line of zero gets zero', '[{"value": 1}]', '0, 10', '0.00 1.00'),
('one cent', '[{"value": 0.01}]', '5, 5', '0.01 0.00'),
('two cents over three lines', '[{"value": 0.02}]', '1, 1, 1', '0.01 0.01 0.00'),
('in proportion', '[{"value": 10}]', '60, 25, 15', '6.00 2.50 1.50'),
('not more than the order', '[{"value": 50}]', '20, 10', '20.00 10.00'),
('what the last line cannot take goes to the last that can', '[{"value": 0.05, "allocation": "last_line"}]', '0.02, 0.02, 0.02, 0.01', '0.01 0.01 0.02 0.01'),
('10 percent of 109.99', '[{"kind": "percent", "value": 10}]', '99.99, 10', '10.00 1.00'),
('half up', '[{"kind": "percent", "value": 5}]', '10.10', '0.51'),
('half down', '[{"kind": "percent", "value": 5, "rounding": "half_down"}]', '10.10', '0.50'),
('half even, down', '[{"kind": "percent", "value": 5, "rounding": "half_even"}]', '10.10', '0.50'),
('half even, up', '[{"kind": "percent", "value": 5, "rounding": "half_even"}]', '10.30', '0.52'),
('floor', '[{"kind": "percent", "value": 5, "rounding": "floor"}]', '10.18', '0.50'),
('ceil', '[{"kind": "percent", "value": 5, "rounding": "ceil"}]', '10.02', '0.51'),
('25 percent of 67 half down is 16.75', '[{"kind": "percent", "value": 25, "rounding": "half_down"}]', '67', '16.75'),
('percent of each line rounds each line', '[{"kind": "percent", "value": 10, "target": "line"}]', '0.05, 0.05, 0.05', '0.01 0.01 0.01'),
('percent of the order rounds once', '[{"kind": "percent", "value": 10}]', '0.05, 0.05, 0.05', '0.01 0.01 0.00'),
('percent of each unit rounds the unit', '[{"kind": "percent", "value": 10, "target": "unit"}]', '0.35 x3', '0.12'),
('percent of the line of units rounds the line', '[{"kind": "percent", "value": 10, "target": "line"}]', '0.35 x3', '0.11'),
('percent with decimals', '[{"kind": "percent", "value": 12.5}]', '80', '10.00'),
('percent with many decimals', '[{"kind": "percent", "value": 33.333333}]', '100', '33.33'),
('100 percent leaves nothing', '[{"kind": "percent", "value": 100}]', '0.01, 19.99', '0.01 19.99'),
('0.40 less 10 percent is 0.36', '[{"kind": "percent", "value": 10}]', '0.40', '0.04'),
('18 percent of three lines', '[{"kind": "percent", "value": 18}]', '1.99, 2.49, 7.77', '0.36 0.45 1.40'),
('amount over seven lines', '[{"value": 1}]', '1, 1, 1, 1, 1, 1, 1', '0.15 0.15 0.14 0.14 0.14 0.14 0.14');

-- what comes after what
INSERT INTO golden (title, templates, lines, expected) VALUES
('10 percent and 10 percent of the rest', '[{"kind": "percent", "value": 10}, {"kind": "percent", "value": 10}]', '200', '38.00'),
('10 percent and 10 percent of the original', '[{"kind": "percent", "value": 10, "percent_base": "original"}, {"kind": "percent", "value": 10, "percent_base": "original"}]', '200', '40.00'),
('10, 20 and 30 percent of the rest', '[{"kind": "percent", "value": 10}, {"kind": "percent", "value": 20}, {"kind": "percent", "value": 30}]', '100', '49.60'),
('10, 20 and 30 percent of the original', '[{"kind": "percent", "value": 10, "percent_base": "original"}, {"kind": "percent", "value": 20, "percent_base": "original"}, {"kind": "percent", "value": 30, "percent_base": "original"}]', '100', '60.00'),
('60 and 60 percent of the original stop at nothing', '[{"kind": "percent", "value": 60, "percent_base": "original"}, {"kind": "percent", "value": 60, "percent_base": "original"}]', '100', '100.00'),
('amount by priority before percent', '[{"value": 20, "priority": 1}, {"kind": "percent", "value": 10}]', '100', '28.00'),
('percent by priority before amount', '[{"value": 20}, {"kind": "percent", "value": 10, "priority": 1}]', '100', '30.00'),
('lines before the order', '[{"value": 10}, {"kind": "percent", "value": 10, "target": "line"}]', '100', '20.00'),
('a second 100 percent finds nothing', '[{"kind": "percent", "value": 100}, {"kind": "percent", "value": 100}]', '50', '50.00 T2 RM418'),
('two amounts', '[{"value": 10}, {"value": 5}]', '10, 20', '5.00 10.00'),
('two amounts larger than the order', '[{"value": 20}, {"value": 20}]', '30', '30.00'),
('percent after buy one get one', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1, "priority": 1}, {"kind": "percent", "value": 10}]', '10 x2', '11.00'),
('buy one get one after percent', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1}, {"kind": "percent", "value": 10, "priority": 1}]', '10 x2', '11.00'),
('percent after a gift', '[{"kind": "gift", "get_eligible": "line.category = ''g''", "priority": 1}, {"kind": "percent", "value": 10}]', '90, 10 c=g', '9.00 10.00'),
('the cheapest unit is none that is free already', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1, "priority": 1, "eligible": "line.category = ''a''"}, {"kind": "percent", "value": 50, "target": "cheapest"}]', '10 x2 c=a, 6', '10.00 3.00');

-- caps
INSERT INTO golden (title, templates, lines, expected) VALUES
('cap on the total, then shared', '[{"kind": "percent", "value": 50, "max_discount": 20}]', '60, 40', '12.00 8.00'),
('cap over lines', '[{"kind": "percent", "value": 10, "target": "line", "max_discount": 15}]', '200, 100', '10.00 5.00'),
('cap not reached', '[{"kind": "percent", "value": 10, "max_discount": 15}]', '100', '10.00'),
('cap on units', '[{"value": 5, "target": "unit", "max_discount": 12}]', '10 x4', '12.00'),
('cap shared with an odd cent', '[{"value": 5, "target": "line", "max_discount": 10}]', '20, 20, 20', '3.34 3.33 3.33'),
('cap to the last line, which has less', '[{"value": 1, "target": "line", "max_discount": 1.99, "allocation": "last_line"}]', '5, 5, 0.01', '0.99 0.99 0.01'),
('cap on a reward', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1, "max_discount": 7}]', '10 x2', '7.00'),
('cap on a fixed price', '[{"kind": "fixed_price", "value": 1, "max_discount": 5}]', '10', '5.00'),
('units in a sale, the cheapest first', '[{"value": 1, "target": "unit", "max_units": 2}]', '10 x3, 4', '1.00 1.00'),
('units in a sale, the dearest first', '[{"value": 1, "target": "unit", "max_units": 2, "pick": "dearest"}]', '10 x3, 4', '2.00 0.00');

-- floors
INSERT INTO golden (title, templates, lines, expected) VALUES
('20 asked, 15 possible', '[{"value": 20}]', '20 m=15, 20 m=10', '5.00 10.00'),
('what one line cannot take the other does', '[{"value": 20}]', '50 m=48, 50', '2.00 18.00'),
('or it is given up', '[{"value": 20, "redistribute": false}]', '50 m=48, 50', '2.00 10.00'),
('percent with redistribution', '[{"kind": "percent", "value": 50}]', '100 m=80, 100', '20.00 80.00'),
('percent without', '[{"kind": "percent", "value": 50, "redistribute": false}]', '100 m=80, 100', '20.00 50.00'),
('percent of lines has nowhere to go', '[{"kind": "percent", "value": 50, "target": "line"}]', '100 m=80, 100', '20.00 50.00'),
('floor by unit', '[{"kind": "fixed_price", "value": 5, "target": "unit"}]', '10 x2 m=8', '4.00'),
('floor of a rewarded unit', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1}]', '10 x2 m=3', '7.00'),
('floor above the price', '[{"value": 5}]', '10 m=12', '0.00 T1 RM418'),
('floor with fractions', '[{"value": 5}]', '10 x0.333 m=9', '0.33'),
('redistribution in two rounds', '[{"value": 60}]', '40 m=35, 40 m=20, 40', '5.00 20.00 35.00'),
('the last line has a floor', '[{"value": 10, "allocation": "last_line"}]', '30, 30, 30 m=28', '4.00 4.00 2.00'),
('not redistributed, odd cents are not lost', '[{"value": 0.05, "allocation": "last_line", "redistribute": false}]', '0.02, 0.02, 0.02, 0.01', '0.01 0.01 0.02 0.01');

-- minimums
INSERT INTO golden (title, templates, lines, expected) VALUES
('minimum is inclusive', '[{"value": 10, "min_spend": 100}]', '100', '10.00'),
('a cent below', '[{"value": 10, "min_spend": 100}]', '99.99', '0.00 T1 RM412'),
('before other discounts', '[{"value": 10, "priority": 1}, {"value": 5, "min_spend": 95}]', '100', '15.00'),
('after other discounts', '[{"value": 10, "priority": 1}, {"value": 5, "min_spend": 95, "min_basis": "after"}]', '100', '10.00 T2 RM412'),
('net of 19 percent tax', '[{"value": 10, "min_spend": 100, "min_tax": "net"}]', '119 t=19', '10.00'),
('a cent below, net', '[{"value": 10, "min_spend": 100, "min_tax": "net"}]', '118.99 t=19', '0.00 T1 RM412'),
('net without tax is gross', '[{"value": 10, "min_spend": 100, "min_tax": "net"}]', '100', '10.00'),
('only eligible lines count', '[{"value": 10, "min_spend": 100, "eligible": "line.category = ''a''"}]', '60 c=a, 60 c=b', '0.00 0.00 T1 RM412'),
('units', '[{"value": 10, "min_quantity": 3}]', '10 x3', '10.00'),
('one unit less', '[{"value": 10, "min_quantity": 3}]', '10 x2', '0.00 T1 RM413'),
('fractions of units', '[{"value": 1, "min_quantity": 0.5}]', '10 x0.5', '1.00'),
('a gift does not help its own minimum', '[{"kind": "gift", "get_eligible": "line.category = ''g''", "min_spend": 50}]', '45, 10 c=g', '0.00 0.00 T1 RM412'),
('with enough beside it', '[{"kind": "gift", "get_eligible": "line.category = ''g''", "min_spend": 50}]', '50, 10 c=g', '0.00 10.00'),
('nor that of another', '[{"kind": "gift", "get_eligible": "line.category = ''g''", "priority": 1}, {"value": 5, "min_spend": 60}]', '55, 10 c=g', '0.00 10.00 T2 RM412'),
('no eligible line', '[{"value": 10, "eligible": "line.category = ''x''"}]', '10 c=a', '0.00 T1 RM409'),
('requirement', '[{"value": 10, "requires": "sale.amount >= 50"}]', '49', '0.00 T1 RM408'),
('requirement met', '[{"value": 10, "requires": "sale.amount >= 50"}]', '50', '10.00');

-- fixed price
INSERT INTO golden (title, templates, lines, expected) VALUES
('the bundle for 99', '[{"kind": "fixed_price", "value": 99}]', '60, 90', '20.40 30.60'),
('dearer than the sale', '[{"kind": "fixed_price", "value": 99}]', '60', '0.00 T1 RM418'),
('each line', '[{"kind": "fixed_price", "value": 9.9, "target": "line"}]', '12, 8', '2.10 0.00'),
('each unit', '[{"kind": "fixed_price", "value": 5, "target": "unit"}]', '7 x3', '6.00'),
('the cheapest unit', '[{"kind": "fixed_price", "value": 1, "target": "cheapest"}]', '10, 4 x2', '0.00 3.00'),
('the dearest unit', '[{"kind": "fixed_price", "value": 1, "target": "dearest"}]', '10, 4 x2', '9.00 0.00'),
('of some lines', '[{"kind": "fixed_price", "value": 50, "eligible": "line.category = ''a''"}]', '60 c=a, 40 c=b', '10.00 0.00'),
('for nothing', '[{"kind": "fixed_price", "value": 0}]', '1.23, 4.56', '1.23 4.56');

-- lines and units
INSERT INTO golden (title, templates, lines, expected) VALUES
('amount off each line, at most its price', '[{"value": 5, "target": "line"}]', '3, 10', '3.00 5.00'),
('amount off eligible lines', '[{"value": 5, "target": "line", "eligible": "line.category = ''a''"}]', '10 c=a, 10 c=b', '5.00 0.00'),
('amount off each unit', '[{"value": 2, "target": "unit"}]', '10 x3, 1.50 x2', '6.00 3.00'),
('amount off a unit sold by weight', '[{"value": 2, "target": "unit"}]', '10 x0.5', '1.00'),
('half of the cheapest', '[{"kind": "percent", "value": 50, "target": "cheapest"}]', '10, 4', '0.00 2.00'),
('half of the dearest', '[{"kind": "percent", "value": 50, "target": "dearest"}]', '10, 4', '5.00 0.00'),
('half of the three cheapest', '[{"kind": "percent", "value": 50, "target": "cheapest", "max_units": 3}]', '10 x2, 4 x2', '5.00 4.00'),
('the dearest of the eligible', '[{"kind": "percent", "value": 100, "target": "dearest", "eligible": "line.category = ''a''"}]', '5 c=a, 9 c=b', '5.00 0.00'),
('of equals the earlier line', '[{"kind": "percent", "value": 100, "target": "cheapest"}]', '5, 5', '5.00 0.00'),
('a weight is no unit', '[{"kind": "percent", "value": 50, "target": "cheapest"}]', '10 x0.5, 20', '0.00 10.00'),
('nothing but weights', '[{"kind": "percent", "value": 50, "target": "cheapest"}]', '10 x0.5', '0.00 T1 RM418'),
('a unit of a line that does not divide', '[{"kind": "percent", "value": 100, "target": "cheapest"}]', '3.33 x3 d=0.01', '3.33'),
('all units of it', '[{"kind": "percent", "value": 100, "target": "cheapest", "max_units": 3}]', '3.33 x3 d=0.01', '9.98');

-- buy X get Y
INSERT INTO golden (title, templates, lines, expected) VALUES
('three for two', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1}]', '10 x3', '10.00'),
('the cheapest is free', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1}]', '30, 20, 10', '0.00 0.00 10.00'),
('the dearest is free', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1, "pick": "dearest"}]', '30, 20, 10', '30.00 0.00 0.00'),
('one unit too few', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1}]', '10 x2', '0.00 T1 RM413'),
('twice', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1}]', '10 x6', '20.00'),
('buy one get five of four, partial', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 5, "partial_reward": true}]', '10 x4', '30.00'),
('buy one get five of four, whole only', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 5}]', '10 x4', '0.00 T1 RM413'),
('half off the second', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1, "value": 50}]', '10 x2', '5.00'),
('buy this get that', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1, "eligible": "line.category = ''a''", "get_eligible": "line.category = ''b''"}]', '100 c=a, 20 c=b', '0.00 20.00'),
('that is missing', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1, "eligible": "line.category = ''a''", "get_eligible": "line.category = ''b''"}]', '100 c=a', '0.00 T1 RM413'),
('more bought than there is to get', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1, "eligible": "line.category = ''a''", "get_eligible": "line.category = ''b''"}]', '30 x4 c=a, 5 c=b', '0.00 5.00'),
('two of three to get', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1, "eligible": "line.category = ''a''", "get_eligible": "line.category = ''b''"}]', '30 x4 c=a, 5 x3 c=b', '0.00 10.00'),
('units that are good for both', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1, "get_eligible": "line.category = ''b''"}]', '10 c=a, 8 x2 c=b', '0.00 8.00'),
('one reward in a sale', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1, "max_units": 1}]', '10 x4', '10.00'),
('units are not used twice', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1}, {"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1}]', '10 x2', '10.00 T2 RM413'),
('what one leaves the other uses', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1, "max_units": 1}, {"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1, "max_units": 1}]', '10 x4', '20.00'),
('over lines', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1}]', '5, 5, 5, 9', '5.00 0.00 0.00 0.00'),
('rest below a purchase', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 2, "partial_reward": true}]', '10 x5', '20.00'),
('rest with part of a reward', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 2, "partial_reward": true}]', '10 x7', '30.00'),
('part of a reward is not given unless said', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 2}]', '10 x7', '20.00'),
('weights are no units', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1}]', '10 x1.5', '0.00 T1 RM413'),
('a third of a line that does not divide', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1}]', '3.33 x3 d=0.01', '3.33');

-- gifts and shipping
INSERT INTO golden (title, templates, lines, expected, shipping) VALUES
('gift', '[{"kind": "gift", "get_eligible": "line.category = ''g''"}]', '50, 10 x3 c=g', '0.00 10.00', 0),
('two gifts', '[{"kind": "gift", "get_eligible": "line.category = ''g''", "get_quantity": 2}]', '50, 10 x3 c=g', '0.00 20.00', 0),
('half a gift', '[{"kind": "gift", "get_eligible": "line.category = ''g''", "value": 50}]', '50, 10 x3 c=g', '0.00 5.00', 0),
('the cheapest gift', '[{"kind": "gift", "get_eligible": "line.category = ''g''"}]', '50, 10 c=g, 8 c=g', '0.00 0.00 8.00', 0),
('no gift in the sale', '[{"kind": "gift", "get_eligible": "line.category = ''g''"}]', '50', '0.00 T1 RM409', 0),
('free shipping', '[{"kind": "free_shipping"}]', '50', '0.00 ship 8.00', 8),
('shipping, 5 at most', '[{"kind": "free_shipping", "value": 5}]', '50', '0.00 ship 5.00', 8),
('nothing to ship', '[{"kind": "free_shipping"}]', '50', '0.00 T1 RM418', 0),
('free shipping from 60', '[{"kind": "free_shipping", "min_spend": 60}]', '50', '0.00 T1 RM412', 8),
('an amount leaves shipping alone', '[{"value": 50}]', '20', '20.00', 8),
('both', '[{"value": 50}, {"kind": "free_shipping"}]', '20', '20.00 ship 8.00', 8);

-- what goes with what
INSERT INTO golden (title, templates, lines, expected) VALUES
('one of a group: the better', '[{"value": 10, "stack_group": "g"}, {"value": 15, "stack_group": "g"}]', '100', '15.00 T1 not_best'),
('two groups', '[{"value": 10, "stack_group": "g"}, {"value": 15, "stack_group": "h"}]', '100', '25.00'),
('a promotion is in the group already', '[{"value": 10, "stack_group": "g", "automatic": true, "priority": 1}, {"value": 15, "stack_group": "g"}]', '100', '10.00 T2 RM417'),
('a coupon of higher priority goes before the promotion', '[{"value": 10, "stack_group": "g", "automatic": true}, {"value": 15, "stack_group": "g", "priority": 1}]', '100', '15.00'),
('exclusive coupon that is better', '[{"value": 15, "exclusive": "priority"}, {"value": 10, "priority": 1}]', '100', '15.00 T2 not_best'),
('exclusive coupon that is worse than two', '[{"value": 15, "exclusive": "priority"}, {"value": 10, "priority": 1}, {"value": 10, "priority": 1}]', '100', '20.00 T1 not_best'),
('priority wins: a promotion before an exclusive coupon', '[{"value": 15, "exclusive": "priority"}, {"value": 10, "priority": 1, "automatic": true}]', '100', '10.00 T1 RM417'),
('an exclusive coupon before a promotion', '[{"value": 15, "exclusive": "priority", "priority": 1}, {"value": 10, "automatic": true}]', '100', '15.00'),
('exclusivity wins among promotions', '[{"value": 5, "exclusive": "wins", "automatic": true}, {"value": 10, "priority": 9, "automatic": true}]', '100', '5.00'),
('priority wins among promotions', '[{"value": 5, "exclusive": "priority", "automatic": true}, {"value": 10, "priority": 9, "automatic": true}]', '100', '10.00'),
('an exclusive promotion that does not hold keeps nothing out', '[{"value": 5, "exclusive": "wins", "automatic": true, "min_spend": 200}, {"value": 10}]', '100', '10.00'),
('an exclusive promotion keeps coupons out', '[{"value": 5, "exclusive": "wins", "automatic": true}, {"value": 10}]', '100', '5.00 T2 RM417'),
('an exclusive coupon is left out where others are better', '[{"value": 5, "exclusive": "wins"}, {"value": 10}]', '100', '10.00 T1 not_best'),
('promotions stack', '[{"value": 5, "automatic": true}, {"kind": "percent", "value": 10, "automatic": true}, {"value": 1}]', '100', '15.50'),
('the one that spoils the better is left out', '[{"kind": "percent", "value": 50}, {"value": 60, "min_spend": 100, "min_basis": "after"}]', '100', '60.00 T1 not_best'),
('of equals the fewest', '[{"value": 10}, {"value": 10}, {"value": 20}]', '20', '20.00 T1 not_best T2 not_best'),
('campaign without limit left', '[{"value": 10, "total_limit": 0}]', '100', '0.00 T1 RM414'),
('campaign without budget left', '[{"value": 10, "budget": 0}]', '100', '0.00 T1 RM416'),
('the budget does not cover it', '[{"value": 10, "budget": 6}]', '100', '0.00 T1 RM416'),
('the budget covers a part', '[{"value": 10, "budget": 6, "last_use": "remainder"}]', '100', '6.00'),
('for members', '[{"value": 10, "member_limit": 1}]', '100', '0.00 T1 RM407'),
('not active', '[{"value": 10, "active": true}, {"value": 10, "automatic": true, "active": false}]', '100', '10.00');

-- as other systems' own tests have it
INSERT INTO golden (title, templates, lines, expected) VALUES
('10 percent of a unit of 2.55 is 0.26, four times', '[{"kind": "percent", "value": 10, "target": "unit"}]', '2.55 x4', '1.04'),
('10 percent of the line of 10.20', '[{"kind": "percent", "value": 10, "target": "line"}]', '2.55 x4', '1.02'),
('15 percent of 9.90 is 1.485, half up', '[{"kind": "percent", "value": 15}]', '9.90', '1.49'),
('25 percent of 67.02 is 16.755, half up', '[{"kind": "percent", "value": 25}]', '67.02', '16.76'),
('25 percent of 67.02 is 16.755, half down', '[{"kind": "percent", "value": 25, "rounding": "half_down"}]', '67.02', '16.75'),
('20 percent of a, which it closes, then 20 percent of b alone: 32 together', '[{"kind": "percent", "value": 20, "eligible": "line.category = ''a''", "stop_lines": true, "priority": 1, "automatic": true}, {"kind": "percent", "value": 20}]', '100 c=a, 60 c=b', '20.00 12.00'),
('a closed line still counts as bought', '[{"kind": "percent", "value": 20, "eligible": "line.category = ''a''", "stop_lines": true, "priority": 1, "automatic": true}, {"kind": "percent", "value": 20, "min_spend": 150}]', '100 c=a, 60 c=b', '20.00 12.00'),
('its units are neither paid nor free', '[{"kind": "percent", "value": 10, "stop_lines": true, "priority": 1, "automatic": true}, {"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1}]', '10 x2', '2.00 T2 RM413'),
('an amount is shared over the open lines', '[{"kind": "percent", "value": 10, "eligible": "line.category = ''a''", "target": "line", "stop_lines": true, "priority": 1, "automatic": true}, {"value": 9}]', '100 c=a, 20, 40', '10.00 3.00 6.00'),
('only what got something is closed', '[{"kind": "fixed_price", "value": 10, "target": "line", "stop_lines": true, "priority": 1, "automatic": true}, {"kind": "percent", "value": 50}]', '12, 8', '2.00 4.00');

-- largest remainder goes by remainder, not by place: 1 over 1:2:3 is 0.1667, 0.3333, 0.5
INSERT INTO golden (title, templates, lines, expected) VALUES
('cent to the largest remainder, which is the least line', '[{"value": 1}]', '1, 2, 3', '0.17 0.33 0.50'),
('cent to the last line', '[{"value": 1, "allocation": "last_line"}]', '1, 2, 3', '0.16 0.33 0.51'),
('cent to the first line', '[{"value": 1, "allocation": "first_lines"}]', '3, 2, 1', '0.51 0.33 0.16'),
('cent to the largest remainder, which is the last line', '[{"value": 1}]', '3, 2, 1', '0.50 0.33 0.17'),
('running totals 0.17, 0.50, 1.00', '[{"value": 1, "allocation": "running_delta"}]', '1, 2, 3', '0.17 0.33 0.50'),
('one cent to the last line', '[{"value": 0.01, "allocation": "last_line"}]', '5, 5', '0.00 0.01'),
('one cent by running totals, half up', '[{"value": 0.01, "allocation": "running_delta"}]', '5, 5', '0.01 0.00'),
('33.33 percent of three cents, floor', '[{"kind": "percent", "value": 33.33, "rounding": "floor"}]', '0.01, 0.01, 0.01', '0.00 0.00 0.00 T1 RM418'),
('33.33 percent of three cents, ceil', '[{"kind": "percent", "value": 33.33, "rounding": "ceil"}]', '0.01, 0.01, 0.01', '0.01 0.00 0.00'),
('10 percent of 999999.99', '[{"kind": "percent", "value": 10}]', '999999.99', '100000.00');

-- units: a limit on them makes a percent of the order or of lines one of units
INSERT INTO golden (title, templates, lines, expected) VALUES
('half of the two cheapest units of the order', '[{"kind": "percent", "value": 50, "max_units": 2}]', '10 x3, 4', '5.00 2.00'),
('half of the two dearest', '[{"kind": "percent", "value": 50, "max_units": 2, "pick": "dearest"}]', '10 x3, 4', '10.00 0.00'),
('half of one unit of a line', '[{"kind": "percent", "value": 50, "target": "line", "max_units": 1, "pick": "dearest"}]', '10 x3, 4', '5.00 0.00'),
('three rewards at most', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1, "max_units": 3}]', '10 x10', '30.00'),
('one of two gifts', '[{"kind": "gift", "get_eligible": "line.category = ''g''", "get_quantity": 2, "max_units": 1}]', '50, 10 x3 c=g', '0.00 10.00'),
('10 percent of the original price of the units that are not free', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1, "priority": 1}, {"kind": "percent", "value": 10, "target": "unit", "percent_base": "original"}]', '10 x3', '12.00'),
('2 off each of two units and a half', '[{"value": 2, "target": "unit"}]', '10 x2.5', '5.00'),
('fixed price of half a unit: 2.00 less 1.50', '[{"kind": "fixed_price", "value": 3, "target": "unit"}]', '4 x0.5', '0.50'),
('fixed price where one of three is free: 20 less 16', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1, "priority": 1}, {"kind": "fixed_price", "value": 8, "target": "unit"}]', '10 x3', '14.00');

-- gifts count for no minimum, by unit: of four mugs one is the gift, three are bought
INSERT INTO golden (title, templates, lines, expected) VALUES
('three mugs bought are 120, one is given', '[{"kind": "gift", "get_eligible": "line.category = ''g''", "min_spend": 100}]', '40 x4 c=g', '40.00'),
('two mugs bought are 80', '[{"kind": "gift", "get_eligible": "line.category = ''g''", "min_spend": 100}]', '40 x3 c=g', '0.00 T1 RM412'),
('a gift is no unit of the minimum of another', '[{"kind": "gift", "get_eligible": "line.category = ''g''", "priority": 1}, {"value": 5, "min_quantity": 3}]', '50, 10 x2 c=g', '0.00 10.00 T2 RM413'),
('the units bought beside it are; 5 over 50 and 20', '[{"kind": "gift", "get_eligible": "line.category = ''g''", "priority": 1}, {"value": 5, "min_quantity": 3}]', '50, 10 x3 c=g', '3.57 11.43'),
('gift with a floor', '[{"kind": "gift", "get_eligible": "line.category = ''g''"}]', '50, 10 m=1 c=g', '0.00 9.00'),
('shipping is free for what is eligible', '[{"kind": "free_shipping", "eligible": "line.category = ''a''"}]', '10 c=b', '0.00 T1 RM409');
UPDATE golden SET shipping = 8 WHERE title = 'shipping is free for what is eligible';

-- caps with floors, and discounts that the till gave
INSERT INTO golden (title, templates, lines, expected) VALUES
('30 at most: 15 each, 10 of it from the first to the second', '[{"kind": "percent", "value": 50, "max_discount": 30}]', '100 m=95, 100', '5.00 25.00'),
('or given up', '[{"kind": "percent", "value": 50, "max_discount": 30, "redistribute": false}]', '100 m=95, 100', '5.00 15.00'),
('two rewarded units may cost 2 each at least', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1}]', '10 x4 m=2', '16.00'),
('3 off each unit, down to 8', '[{"value": 3, "target": "unit"}]', '10 x3 m=8', '6.00'),
('the till went below the floor already', '[{"value": 5}]', '100 d=95 m=10', '0.00 T1 RM418'),
('the till left 40 of 100', '[{"kind": "percent", "value": 50}]', '100 d=60', '20.00'),
('half of the original 100 where 40 are left', '[{"kind": "percent", "value": 50, "percent_base": "original"}]', '100 d=60', '40.00');

-- order of application
INSERT INTO golden (title, templates, lines, expected) VALUES
('10 off each line, then 10 percent of 80', '[{"kind": "percent", "value": 10}, {"value": 10, "target": "line"}]', '50, 50', '14.00 14.00'),
('10 percent of 100 by priority, then 10 off each', '[{"kind": "percent", "value": 10, "priority": 1}, {"value": 10, "target": "line"}]', '50, 50', '15.00 15.00'),
('of one rank by name: 5, then 10 percent of 95', '[{"value": 5}, {"kind": "percent", "value": 10}]', '100', '14.50'),
('20, then 10 percent of the original', '[{"value": 20, "priority": 1}, {"kind": "percent", "value": 10, "percent_base": "original"}]', '100', '30.00'),
('95, then of the original 10 the 5 that are left', '[{"value": 95, "priority": 1}, {"kind": "percent", "value": 10, "percent_base": "original"}]', '100', '100.00'),
('30 percent off the dearest third unit', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1, "pick": "dearest", "value": 30}]', '30, 20, 10', '9.00 0.00 0.00'),
('two rewards of four units: the cheapest two', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1}]', '5 x2, 7 x2', '10.00 0.00'),
('one of five rewarded units is there', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 5, "partial_reward": true, "eligible": "line.category = ''a''", "get_eligible": "line.category = ''b''"}]', '10 x2 c=a, 4 c=b', '0.00 4.00'),
('the cheapest for nothing by fixed price', '[{"kind": "fixed_price", "value": 0, "target": "cheapest"}]', '10, 4', '0.00 4.00');

-- tax that is in the price: 119 at 19 percent and 107 at 7 percent are 100 each, net
INSERT INTO golden (title, templates, lines, expected) VALUES
('200 net of two rates', '[{"value": 10, "min_spend": 200, "min_tax": "net"}]', '119 t=19, 107 t=7', '5.27 4.73'),
('a cent more than that', '[{"value": 10, "min_spend": 200.01, "min_tax": "net"}]', '119 t=19, 107 t=7', '0.00 0.00 T1 RM412'),
('100 gross are left after 19, 84.03 net', '[{"value": 19, "priority": 1, "automatic": true}, {"value": 5, "min_spend": 84.04, "min_tax": "net", "min_basis": "after"}]', '119 t=19', '19.00 T2 RM412'),
('which is enough for 84.03', '[{"value": 19, "priority": 1, "automatic": true}, {"value": 5, "min_spend": 84.03, "min_tax": "net", "min_basis": "after"}]', '119 t=19', '24.00'),
('a cap is gross', '[{"kind": "percent", "value": 50, "max_discount": 20}]', '119 t=19', '20.00');

-- units of a line that does not divide: 10.00 over three are 3.34, 3.33 and 3.33
INSERT INTO golden (title, templates, lines, expected) VALUES
('100 percent of each unit leaves nothing', '[{"kind": "percent", "value": 100, "target": "unit"}]', '3.333333 x3', '10.00'),
('nor where the till took two cents off', '[{"kind": "percent", "value": 100, "target": "unit"}]', '3.34 x3 d=0.02', '10.00'),
('half of each unit: 1.67 three times', '[{"kind": "percent", "value": 50, "target": "unit"}]', '3.333333 x3', '5.01'),
('half of each unit, half even: 1.67, 1.66, 1.66', '[{"kind": "percent", "value": 50, "target": "unit", "rounding": "half_even"}]', '3.333333 x3', '4.99'),
('fixed price of each of them', '[{"kind": "fixed_price", "value": 1, "target": "unit"}]', '3.333333 x3', '7.00'),
('15 percent of 0.99 is 0.15, seven times', '[{"kind": "percent", "value": 15, "target": "unit"}]', '0.99 x7', '1.05'),
('5 percent of 0.50 is 0.025: half even, four times', '[{"kind": "percent", "value": 5, "target": "unit", "rounding": "half_even"}]', '0.50 x4', '0.08'),
('5 percent of a cent, up, three times', '[{"kind": "percent", "value": 5, "target": "unit", "rounding": "ceil"}]', '0.01 x3', '0.03');

-- what is sold by weight: 0.375 of 12.99 are 4.87
INSERT INTO golden (title, templates, lines, expected) VALUES
('10 percent of a weight', '[{"kind": "percent", "value": 10}]', '12.99 x0.375', '0.49'),
('2 off a kilogram', '[{"value": 2, "target": "unit"}]', '12.99 x0.375', '0.75'),
('10 a kilogram', '[{"kind": "fixed_price", "value": 10, "target": "unit"}]', '12.99 x0.375', '1.12'),
('not below 12 a kilogram', '[{"kind": "percent", "value": 50, "target": "line"}]', '12.99 x0.375 m=12', '0.37'),
('a weight beside pieces', '[{"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1}]', '12.99 x0.375, 5 x2', '0.00 5.00');

-- 7.77 of 79.12: exactly 1.2119, 5.5761, 0.9811, 0.0010
INSERT INTO golden (title, templates, lines, expected) VALUES
('the cent to the largest remainder', '[{"value": 7.77}]', '12.34, 56.78, 9.99, 0.01', '1.21 5.58 0.98 0.00'),
('to the first line', '[{"value": 7.77, "allocation": "first_lines"}]', '12.34, 56.78, 9.99, 0.01', '1.22 5.57 0.98 0.00'),
('to the last line', '[{"value": 7.77, "allocation": "last_line"}]', '12.34, 56.78, 9.99, 0.01', '1.21 5.57 0.98 0.01'),
('by running totals 1.21, 6.79, 7.77, 7.77', '[{"value": 7.77, "allocation": "running_delta"}]', '12.34, 56.78, 9.99, 0.01', '1.21 5.58 0.98 0.00'),
('three cents over five by running totals 0.6, 1.2, 1.8, 2.4, 3', '[{"value": 0.03, "allocation": "running_delta"}]', '20, 20, 20, 20, 20', '0.01 0.00 0.01 0.00 0.01'),
('the last line is worth nothing', '[{"value": 10, "allocation": "last_line"}]', '30, 30, 30, 0', '3.33 3.33 3.34 0.00'),
('the first line is worth nothing', '[{"value": 10, "allocation": "first_lines"}]', '0, 30, 30, 30', '0.00 3.34 3.33 3.33'),
('the last eligible line', '[{"value": 10, "allocation": "last_line", "eligible": "line.category = ''a''"}]', '30 c=a, 30 c=a, 30 c=a, 10 c=b', '3.33 3.33 3.34 0.00'),
('1.97 of a bundle for 10', '[{"kind": "fixed_price", "value": 10}]', '3.99, 3.99, 3.99', '0.66 0.66 0.65'),
('1.97 of it to the last line', '[{"kind": "fixed_price", "value": 10, "allocation": "last_line"}]', '3.99, 3.99, 3.99', '0.65 0.65 0.67'),
('floors of 48 and 45 of three lines', '[{"value": 30}]', '50 m=48, 50 m=45, 50', '2.00 5.00 23.00'),
('and what they do not allow given up', '[{"value": 30, "redistribute": false}]', '50 m=48, 50 m=45, 50', '2.00 5.00 10.00'),
('the second of two meets the floor: 5 and 5, then 3 and 7', '[{"value": 10, "priority": 1}, {"value": 10}]', '20 m=12, 20', '8.00 12.00'),
('42 of two lines cut down to 10', '[{"kind": "percent", "value": 30, "target": "line", "max_discount": 10}]', '100, 40', '7.14 2.86');

-- rewards and what is used for them
INSERT INTO golden (title, templates, lines, expected) VALUES
('two paid, one half free, three times bought before: nothing is left', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1}, {"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1, "value": 50}]', '10 x6', '20.00 T2 RM413'),
('one reward, and the other of what is left', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1, "max_units": 1}, {"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1, "value": 50}]', '10 x6', '15.00'),
('two are left and no third', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1, "automatic": true, "priority": 1}, {"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1, "partial_reward": true}]', '10 x5', '10.00 T2 RM413'),
('three and two, three and one', '[{"kind": "buy_x_get_y", "buy_quantity": 3, "get_quantity": 2, "partial_reward": true}]', '10 x9', '30.00'),
('three and two', '[{"kind": "buy_x_get_y", "buy_quantity": 3, "get_quantity": 2}]', '10 x9', '20.00'),
('what is the cheapest is judged by what is left of it', '[{"kind": "percent", "value": 50, "target": "line", "eligible": "line.category = ''a''", "priority": 2, "automatic": true}, {"kind": "buy_x_get_y", "buy_quantity": 1, "get_quantity": 1}]', '10 c=a, 8', '10.00 0.00'),
('a gift with a cap', '[{"kind": "gift", "get_eligible": "line.category = ''g''", "max_discount": 15}]', '50, 20 c=g', '0.00 15.00'),
('each line has its own rules to stop', '[{"kind": "percent", "value": 10, "target": "line", "eligible": "line.category = ''a''", "stop_lines": true, "priority": 3, "automatic": true}, {"kind": "percent", "value": 20, "target": "line", "priority": 2, "automatic": true}, {"kind": "percent", "value": 50, "target": "line", "priority": 1, "eligible": "line.category = ''b''", "automatic": true}]', '100 c=a, 100 c=b, 100', '10.00 60.00 20.00'),
('minimum after: exactly', '[{"value": 10, "priority": 2, "automatic": true}, {"value": 5, "min_spend": 90, "min_basis": "after"}]', '100', '15.00'),
('and a cent short', '[{"value": 10.01, "priority": 2, "automatic": true}, {"value": 5, "min_spend": 90, "min_basis": "after"}]', '100', '10.01 T2 RM412'),
('what the till took off counts before', '[{"value": 5, "min_spend": 100}]', '100 d=50', '5.00'),
('and not after', '[{"value": 5, "min_spend": 100, "min_basis": "after"}]', '100 d=50', '0.00 T1 RM412'),
('of a group the one that lets another follow', '[{"value": 30, "stack_group": "g"}, {"kind": "percent", "value": 20, "stack_group": "g"}, {"value": 25, "min_spend": 75, "min_basis": "after"}]', '100', '45.00 T1 not_best'),
('of two promotions that win the one of higher priority', '[{"value": 5, "exclusive": "wins", "automatic": true, "priority": 2}, {"value": 60, "exclusive": "wins", "automatic": true}]', '100', '5.00'),
('a coupon that wins instead of a promotion', '[{"value": 15, "exclusive": "wins"}, {"value": 10, "automatic": true, "priority": 3}]', '100', '15.00'),
('or left out, where the promotion is better', '[{"value": 5, "exclusive": "wins"}, {"value": 10, "automatic": true, "priority": 3}]', '100', '10.00 T1 not_best'),
('the budget of a promotion covers a part', '[{"kind": "percent", "value": 50, "budget": 7, "last_use": "remainder", "automatic": true}, {"value": 2}]', '20', '9.00'),
('a part of a budget shared over lines', '[{"kind": "percent", "value": 50, "budget": 7.77, "last_use": "remainder"}]', '20, 20, 20', '2.59 2.59 2.59');

-- as many as said, and each as computed
SELECT count(*) >= 230 AS enough FROM golden;
SELECT n, title, templates, lines, expected, got
FROM (SELECT *, pg_temp.price(templates, lines, shipping) AS got FROM golden) g
WHERE got IS DISTINCT FROM expected ORDER BY n;

-- currencies without and with more decimals
SET client_min_messages = warning;
DROP EXTENSION crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(money_scale => 0, currency => 'JPY');
INSERT INTO crm_member.coupon_template (template_code, kind, value, uses) VALUES ('proto', 'amount', 0, NULL);
TRUNCATE golden;
INSERT INTO golden (title, templates, lines, expected) VALUES
('150 of 999 and 100 of the rest', '[{"kind": "percent", "value": 15}, {"value": 100}]', '333, 333, 333', '84 83 83'),
('100 over three', '[{"value": 100}]', '333, 333, 334', '33 33 34'),
('100 to the last', '[{"value": 100, "allocation": "last_line"}]', '300, 300, 300', '33 33 34'),
('8 percent of 1234 is 98.72', '[{"kind": "percent", "value": 8}]', '1234', '99'),
('rounded down', '[{"kind": "percent", "value": 8, "rounding": "floor"}]', '1234', '98'),
('8 percent of a unit of 98 is 7.84, three times', '[{"kind": "percent", "value": 8, "target": "unit"}]', '98 x3', '24'),
('5 percent of a unit of 50 is 2.5, half even', '[{"kind": "percent", "value": 5, "target": "unit", "rounding": "half_even"}]', '50 x3', '6'),
('0.375 of 1298 are 487', '[{"kind": "percent", "value": 10}]', '1298 x0.375', '49'),
('floors', '[{"value": 100}]', '120 m=90, 120 m=100', '30 20'),
('1000 net of 10 percent tax', '[{"value": 100, "min_spend": 1000, "min_tax": "net"}]', '1100 t=10', '100'),
('three for two', '[{"kind": "buy_x_get_y", "buy_quantity": 2, "get_quantity": 1}]', '99 x3', '99'),
('half of one and one', '[{"kind": "percent", "value": 50}]', '1, 1', '1 0'),
('half of each', '[{"kind": "percent", "value": 50, "target": "line"}]', '1, 1', '1 1');
SELECT n, title, templates, lines, expected, got
FROM (SELECT *, pg_temp.price(templates, lines, shipping) AS got FROM golden) g
WHERE got IS DISTINCT FROM expected ORDER BY n;
DROP EXTENSION crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(money_scale => 3, currency => 'KWD');
INSERT INTO crm_member.coupon_template (template_code, kind, value, uses) VALUES ('proto', 'amount', 0, NULL);
TRUNCATE golden;
INSERT INTO golden (title, templates, lines, expected) VALUES
('1 over three', '[{"value": 1}]', '3, 3, 3', '0.334 0.333 0.333'),
('1 over three by running totals', '[{"value": 1, "allocation": "running_delta"}]', '3, 3, 3', '0.333 0.334 0.333'),
('7.5 percent of 1.255 is 0.094125', '[{"kind": "percent", "value": 7.5}]', '1.255', '0.094'),
('15 percent of a unit of 0.005 is 0.00075, four times', '[{"kind": "percent", "value": 15, "target": "unit"}]', '0.005 x4', '0.004'),
('15 percent of the line of 0.020', '[{"kind": "percent", "value": 15, "target": "line"}]', '0.005 x4', '0.003'),
('0.125 over two', '[{"value": 0.125}]', '0.5, 0.5', '0.063 0.062'),
('0.375 of 2.345 are 0.879', '[{"kind": "percent", "value": 10}]', '2.345 x0.375', '0.088'),
('0.100 at most over 1 and 2', '[{"kind": "percent", "value": 50, "max_discount": 0.1}]', '1, 2', '0.033 0.067');
SELECT n, title, templates, lines, expected, got
FROM (SELECT *, pg_temp.price(templates, lines, shipping) AS got FROM golden) g
WHERE got IS DISTINCT FROM expected ORDER BY n;
INSERT INTO crm_member.coupon_template (template_code, kind, value, uses, split_value) VALUES ('thirds', 'amount', 10, 3, true);
SELECT crm_member.import_coupon('thirds', 'thirds') IS NOT NULL AS imported;
SELECT discount FROM generate_series(1, 3) i, crm_member.redeem_coupon('thirds', '{"lines": [{"price": 20}]}', 'use ' || i);
DROP EXTENSION crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(money_scale => 4, currency => 'CNY');
INSERT INTO crm_member.coupon_template (template_code, kind, value, uses) VALUES ('P15', 'percent', 15, NULL), ('A100', 'amount', 0.0001, NULL);
SELECT crm_member.import_coupon(t, t) IS NOT NULL FROM unnest('{P15,A100}'::text[]) t;
SELECT q ->> 'discount' AS discount, jsonb_path_query_array(q, '$.lines[*].discount') AS lines
FROM crm_member.quote('{"lines": [{"price": 0.3333}, {"price": 0.3333}], "coupons": ["P15", "A100"]}') q;

-- checkout() gives what quote() promises where budgets and limits run out: beside SEVEN, what is left covers SIXTY; what is
-- not taken is refused for the reason that quote() says
DROP EXTENSION crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
INSERT INTO crm_member.coupon_template (template_code, kind, value, priority, stack_group, budget, total_limit, min_spend, uses) VALUES
  ('SIXTY', 'percent', 60, 5, NULL, 10, NULL, NULL, NULL), ('SEVEN', 'amount', 7, 9, 'g', NULL, NULL, NULL, NULL), ('SIX', 'amount', 6, 1, 'g', NULL, NULL, NULL, NULL),
  ('GONE', 'amount', 1, 0, NULL, NULL, 0, 100, NULL), ('SPENT', 'amount', 1, 0, NULL, 0, NULL, NULL, NULL);
SELECT count(crm_member.import_coupon(template_code, template_code)) FROM crm_member.coupon_template;
SELECT f, answer ->> 'payable' AS payable, string_agg(concat_ws(' ', c ->> 'template_code', c ->> 'discount', c ->> 'sqlstate', c ->> 'reason'), '; ' ORDER BY n) AS coupons
FROM (SELECT '{"ref": "1", "coupons": ["SIXTY", "SEVEN", "SIX", "GONE", "SPENT"], "lines": [{"price": 20}]}'::jsonb AS sale) s,
LATERAL (VALUES ('quote', crm_member.quote(sale)), ('checkout', crm_member.checkout(sale))) a (f, answer),
LATERAL jsonb_array_elements(answer -> 'coupons') WITH ORDINALITY AS c (c, n)
GROUP BY 1, 2 ORDER BY 1 DESC;
RESET client_min_messages;
