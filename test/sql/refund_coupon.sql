--
-- What becomes of coupons, limits and members when sales come back.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/utc.sql
SELECT register_member(source => 'test', external_id => '1') AS one, register_member(source => 'test', external_id => '2') AS two \gset
UPDATE points_type SET money_value = 0.01 WHERE points_type = 'points';
INSERT INTO points_rule (rule_code, award, points, scope) VALUES ('base', 'per_amount', 1, 'line');
INSERT INTO coupon_template (template_code, kind, value, uses, member_limit, total_limit, budget, valid_to, release_on_refund, split_value) VALUES
  ('once', 'amount', 5, 1, NULL, NULL, NULL, NULL, true, false),
  ('gone', 'amount', 5, 1, NULL, NULL, NULL, NULL, false, false),
  ('short', 'amount', 5, 1, NULL, NULL, NULL, '2026-02-05', true, false),
  ('mine', 'amount', 5, NULL, 1, NULL, NULL, NULL, true, false),
  ('few', 'amount', 5, NULL, NULL, 1, NULL, NULL, true, false),
  ('money', 'amount', 5, NULL, NULL, NULL, 7, NULL, true, false),
  ('thirds', 'amount', 10, 3, NULL, NULL, NULL, NULL, true, true);
SELECT count(import_coupon(template_code, template_code)) FROM coupon_template;
CREATE FUNCTION sell(ref text, buyer bigint, code text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', a ->> 'payable', a #>> '{coupons,0,status}', a #>> '{coupons,0,sqlstate}')
  FROM checkout(jsonb_strip_nulls(jsonb_build_object('ref', ref, 'member_id', buyer, 'sold_at', '2026-02-01T10:00Z', 'coupons', jsonb_build_array(code),
    'lines', '[{"line_no":1,"price":10,"quantity":2}, {"line_no":2,"price":8}]'::jsonb))) a $$;
CREATE FUNCTION take_back(refund text, sale text, lines jsonb DEFAULT NULL, day text DEFAULT '2026-02-03') RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', a ->> 'money', CASE WHEN (a ->> 'complete')::boolean THEN 'all' END)
  FROM refund(jsonb_strip_nulls(jsonb_build_object('ref', refund, 'sale_ref', sale, 'lines', lines, 'refunded_at', day || 'T10:00Z'))) a $$;
CREATE FUNCTION coupon_uses(a_code text) RETURNS TABLE (status text, uses int, history text) LANGUAGE sql AS $$
  SELECT c.status, c.uses, (SELECT string_agg(h.act, ' ' ORDER BY h.n) FROM coupon_history(a_code) WITH ORDINALITY AS h (at, act, member_id, discount, ref, reason, actor, n))
  FROM coupon c JOIN coupon_alias a USING (code) WHERE a.alias = upper(a_code) $$;

-- the whole sale gives the coupon back, a part does not
SELECT sell('A1', :one, 'once');
SELECT take_back('a1', 'A1', '[{"line_no":1}]');
SELECT sell('A2', :one, 'once');
SELECT take_back('a2', 'A1');
SELECT * FROM coupon_uses('once');
SELECT sell('A3', NULL, 'once');
-- told twice, given back once
SELECT take_back('a3', 'A3');
SELECT take_back('a3', 'A3');
SELECT * FROM coupon_uses('once');
-- a campaign that does not give back; one that is over by then, and one that is not yet
SELECT sell('B1', :one, 'gone'), take_back('b1', 'B1');
SELECT status, uses FROM coupon_uses('gone');
SELECT sell('C1', :one, 'short'), take_back('c1', 'C1', NULL, '2026-02-05');
SELECT status, uses FROM coupon_uses('short');
SELECT sell('C2', :one, 'short'), take_back('c2', 'C2', NULL, '2026-02-06');
SELECT status, uses FROM coupon_uses('short');
-- limits of a member, of a campaign, of its budget: there is room again
SELECT sell('E1', :one, 'mine'), sell('E2', :one, 'mine'), take_back('e1', 'E1'), sell('E3', :one, 'mine');
SELECT sell('F1', :one, 'few'), sell('F2', :two, 'few'), take_back('f1', 'F1'), sell('F3', :two, 'few');
SELECT sell('G1', :one, 'money'), sell('G2', :two, 'money'), take_back('g1', 'G1'), sell('G3', :two, 'money');
SELECT template_code, uses, uses_left, spent, budget_left FROM coupon_limit ORDER BY 1;

-- 10 over three uses is 3.33, 3.33, 3.34; what comes back is used again as what it was
SELECT sell('H1', :one, 'thirds'), sell('H2', :two, 'thirds'), sell('H3', NULL, 'thirds'), sell('H4', :one, 'thirds');
SELECT take_back('h3', 'H3'), take_back('h1', 'H1');
SELECT sell('H5', :two, 'thirds'), sell('H6', :one, 'thirds'), sell('H7', :one, 'thirds');
SELECT use_no, discount, returned_at IS NOT NULL AS back FROM coupon_use WHERE template_code = 'thirds' ORDER BY use_id;
-- nothing of one that is void by then
SELECT take_back('h5', 'H5'), void_coupon('thirds', 'stolen'), take_back('h2', 'H2');
SELECT status, uses FROM coupon_uses('thirds');
-- stolen, used up and then made void: the use stands, and the refund does not revive it
SELECT import_coupon('once', 'stolen') IS NOT NULL AS imported;
SELECT sell('S1', :one, 'stolen'), void_coupon('stolen', 'stolen', actor => 'me'), void_coupon('stolen'), take_back('s1', 'S1');
SELECT * FROM coupon_uses('stolen');
SELECT sell('S2', :two, 'stolen');
SELECT count(*) FILTER (WHERE returned_at IS NULL) AS stands FROM coupon_use u JOIN sale s USING (member_id, sale_id) WHERE s.ref = 'S1';

-- an exchange: back and sold anew with the same coupon, in one transaction
SELECT import_coupon('once', 'swap') IS NOT NULL AS imported;
SELECT sell('I1', :one, 'swap');
BEGIN;
SELECT take_back('i1', 'I1'), sell('I2', :one, 'swap');
COMMIT;
SELECT * FROM coupon_uses('swap');
-- all or nothing: the new sale is refused, the old one stands
BEGIN;
SELECT take_back('i2', 'I2');
\set VERBOSITY sqlstate
SELECT checkout(jsonb_build_object('ref', 'I3', 'member_id', :one, 'points', 100000, 'lines', '[{"price":2000}]'::jsonb));
\set VERBOSITY default
ROLLBACK;
SELECT (SELECT count(*) FROM refund WHERE ref = 'i2') AS refunds, status, uses FROM coupon_uses('swap');

-- automatic promotions and their limits
INSERT INTO coupon_template (template_code, kind, value, automatic, uses, total_limit, valid_from, valid_to) VALUES ('auto', 'percent', 50, true, NULL, 1, '2026-03-01', '2026-03-31');
SELECT checkout('{"ref":"K1","sold_at":"2026-03-02","lines":[{"price":10}]}') ->> 'payable' AS first, checkout('{"ref":"K2","sold_at":"2026-03-02","lines":[{"price":10}]}') ->> 'payable' AS second;
SELECT take_back('k1', 'K1', NULL, '2026-03-03'), checkout('{"ref":"K3","sold_at":"2026-03-03","lines":[{"price":10}]}') ->> 'payable' AS third;
-- a promotion that is sold out keeps no coupon out
UPDATE coupon_template SET exclusive = 'wins' WHERE template_code = 'auto';
SELECT import_coupon('once', 'open') IS NOT NULL AS imported;
SELECT checkout('{"ref":"K4","sold_at":"2026-03-03","coupons":["few","swap","open"],"lines":[{"price":10}]}') ->> 'payable' AS fourth;
UPDATE coupon_template SET active = false WHERE template_code = 'auto';

-- merged meanwhile: the survivor has points, stored value and limits back
SELECT award_points(:one, 500, 'a', 'a', at => '2026-01-01'), top_up_stored_value(:one, 100, 'cash', 't', gift => 20, at => '2026-01-01');
SELECT take_back('e3', 'E3');
SELECT checkout(jsonb_build_object('ref', 'L1', 'member_id', :one, 'sold_at', '2026-02-10', 'coupons', '["mine"]'::jsonb, 'points', 100, 'stored_value', 12, 'lines', '[{"line_no":1,"price":30,"quantity":2}]'::jsonb)) ->> 'money' AS money;
SELECT merge_members(:two, ARRAY[:one]::bigint[], 'm1') IS NOT NULL AS merged;
SELECT sell('L2', :two, 'mine');
SELECT points_balance(:two), stored_value_balance(:two) AS value, points_balance(:two, 'stored_value_gift') AS gift;
SELECT take_back('l1', 'L1', '[{"line_no":1,"quantity":1}]', '2026-02-11'), take_back('l2', 'L1', NULL, '2026-02-11');
SELECT points_balance(:two), stored_value_balance(:two) AS value, points_balance(:two, 'stored_value_gift') AS gift;
SELECT sell('L3', :two, 'mine');
-- and apart again
SELECT unmerge((SELECT merge_id FROM member_merge WHERE ref = 'm1'), 'u1') IS NOT NULL AS unmerged;
SELECT points_balance(:one) AS one, stored_value_balance(:one) AS value, points_balance(:two) AS two;
SELECT sell('L4', :one, 'mine'), sell('L5', :two, 'mine');
-- erased meanwhile: the money side of it stays
SELECT checkout(jsonb_build_object('ref', 'M1', 'member_id', :one, 'sold_at', '2026-02-12', 'points', 100, 'stored_value', 12, 'lines', '[{"line_no":1,"price":30,"quantity":2}]'::jsonb)) ->> 'money' AS money;
SELECT erase_member(:one, 'asked for it', 'e1') IS NOT NULL AS erased;
SELECT take_back('m1', 'M1', '[{"line_no":1,"quantity":1}]', '2026-02-13'), take_back('m2', 'M1', NULL, '2026-02-13');
SELECT points_balance(:one) AS one, stored_value_balance(:one) AS value;

-- a till whose clock runs behind: nothing is booked before the sale
SELECT checkout(jsonb_build_object('ref', 'N1', 'member_id', :two, 'sold_at', '2026-02-14T10:00Z', 'lines', '[{"line_no":1,"price":30}]'::jsonb)) #>> '{points,earned}' AS earned;
SELECT take_back('n1', 'N1', NULL, '2026-02-13');
SELECT kind, points, at FROM points_entry WHERE member_id = :two ORDER BY entry_no DESC LIMIT 2;
SELECT refunded_at FROM refund WHERE ref = 'n1';

-- sales that came as rows
INSERT INTO sale (member_id, sale_id, source, ref, sold_at, shipping) VALUES (:two, 1, 'file', 'O1', '2026-02-15', 3), (0, 2, 'file', 'O2', '2026-02-15', 0);
INSERT INTO sale_line (member_id, sale_id, line_no, quantity, price, discount) VALUES (:two, 1, 1, 3, 3.33, 1), (:two, 1, 5, 1, 4, 0), (0, 2, 1, 2, 5, 0);
SELECT refund('{"ref":"o1","source":"file","sale_ref":"O1","refunded_at":"2026-02-16","lines":[{"line_no":1,"quantity":2}]}') ->> 'money' AS one,
       refund('{"ref":"o2","source":"file","sale_ref":"O2","refunded_at":"2026-02-16","lines":[{"line_no":1,"quantity":1}]}') ->> 'money' AS guest,
       refund('{"ref":"o3","source":"file","sale_ref":"O1","refunded_at":"2026-02-16"}') ->> 'money' AS rest;
SELECT sum(points) FROM points_entry WHERE member_id = :two AND sale_id = 1;
SELECT * FROM verify_ledger();
