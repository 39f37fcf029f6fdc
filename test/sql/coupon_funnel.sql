--
-- The way of coupons from code to sale, counted.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
INSERT INTO crm_member.member (member_id) VALUES (1), (2);
INSERT INTO crm_member.coupon_template (template_code, name, kind, value) VALUES ('ten', 'Ten off', 'amount', 10), ('idle', 'Nobody has one', 'amount', 5);
SELECT crm_member.generate_coupons('ten', 3);
SELECT crm_member.issue_coupon('ten', 1, 'first') AS code \gset
SELECT crm_member.issue_coupon('ten', 2, 'second') AS other \gset
SELECT * FROM crm_member.coupon_funnel ORDER BY 1;
SELECT crm_member.checkout(jsonb_build_object('ref', 's1', 'member_id', 1, 'coupons', ARRAY[:'code'], 'lines', '[{"price": 30}]'::jsonb))->'payable' AS payable;
SELECT 1 AS done FROM crm_member.void_coupon(:'other', 'mistake');
SELECT * FROM crm_member.coupon_funnel ORDER BY 1;
-- what is taken off shipping counts once
INSERT INTO crm_member.coupon_template (template_code, kind, uses) VALUES ('ship', 'free_shipping', NULL);
SELECT crm_member.import_coupon('ship', 'ship') IS NOT NULL AS imported;
SELECT crm_member.checkout('{"ref": "s2", "shipping": 8, "coupons": ["ship"], "lines": [{"price": 30}]}')->'payable' AS payable;
SELECT used, discount FROM crm_member.coupon_funnel WHERE template_code = 'ship';
