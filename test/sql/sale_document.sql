--
-- The sale document: what it may say, and what is refused with which SQLSTATE.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
-- before setup() everything says so
SELECT crm_member.quote('{"lines": [{"price": 1}]}');
SELECT crm_member.checkout('{"ref": "1", "lines": [{"price": 1}]}');
CALL crm_member.setup(time_zone => 'UTC');
RESET client_min_messages;
INSERT INTO crm_member.member (member_id, status) VALUES (1, 'active'), (2, 'cancelled'), (3, 'inactive'), (4, 'lost');
INSERT INTO crm_member.card_type (card_type, name) VALUES ('plastic', 'Plastic') ON CONFLICT DO NOTHING;

-- a refusal: its SQLSTATE, message, detail and hint; and nothing was written
CREATE FUNCTION pg_temp.try(document jsonb) RETURNS TABLE (refusal text) LANGUAGE plpgsql AS $$
DECLARE
  message text; detail text; hint text; state text;
BEGIN
  PERFORM crm_member.checkout(document);
  RETURN QUERY SELECT 'accepted';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN QUERY SELECT state || ' ' || message UNION ALL SELECT 'detail: ' || detail WHERE detail <> ''
               UNION ALL SELECT 'hint: ' || hint WHERE hint <> '';
END
$$;
\pset tuples_only on

-- the shape
SELECT * FROM pg_temp.try('[]');
SELECT * FROM pg_temp.try('"text"');
SELECT * FROM pg_temp.try('{}');
SELECT * FROM pg_temp.try('{"lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x"}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": {}}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": []}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [1]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{}]}');
SELECT * FROM pg_temp.try('{"ref": "", "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": 7, "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try(jsonb_build_object('ref', repeat('x', 1001), 'lines', '[{"price": 1}]'::jsonb));
-- typing mistakes
SELECT * FROM pg_temp.try('{"ref": "x", "coupon": ["A"], "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 1, "qty": 2}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "identity": {"kind": "mobile", "number": "1"}, "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "identity": {"kind": "mobile"}, "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "member_id": 1, "identity": {"kind": "mobile", "value": "1"}, "lines": [{"price": 1}]}');
-- numbers
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": -1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": "1"}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": "NaN"}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 1e18}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 1e400}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 0.00000000001}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 1, "quantity": -1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 1, "quantity": 1e9}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 1, "quantity": 0.0000001}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 999999999999, "quantity": 999999999}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 1, "discount": 2}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 1, "discount": 0.001}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 1, "line_no": 0}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 1, "line_no": 1.5}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 1, "line_no": 2}, {"price": 1, "line_no": 2}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "shipping": -0.01, "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 1, "tax_rate": 1000}]}');
-- times
SELECT * FROM pg_temp.try('{"ref": "x", "sold_at": "yesterday-ish", "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "sold_at": "infinity", "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "sold_at": 5, "lines": [{"price": 1}]}');
-- objects
SELECT * FROM pg_temp.try('{"ref": "x", "attrs": [], "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "lines": [{"price": 1, "attrs": "x"}]}');
-- buyers
SELECT * FROM pg_temp.try('{"ref": "x", "member_id": 99, "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "member_id": 0, "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "member_id": 2, "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "member_id": 3, "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "member_id": 4, "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "identity": {"kind": "mobile", "value": "13800000001"}, "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "identity": {"kind": "palm", "value": "1"}, "lines": [{"price": 1}]}');
SELECT * FROM pg_temp.try('{"ref": "x", "identity": {"kind": "card", "value": "404"}, "lines": [{"price": 1}]}');

-- cards: not enabled, lost, cancelled
SELECT crm_member.register_member(name => 'Card Holder', mobile => '13900000001') AS holder \gset
SELECT 1 FROM crm_member.issue_card(:holder, 'K1', 'plastic');
SELECT 1 FROM crm_member.activate_card('K1');
SELECT * FROM pg_temp.try('{"ref": "card 1", "identity": {"kind": "card", "value": "K1"}, "lines": [{"price": 1}]}');
SELECT 1 FROM crm_member.report_card_lost('K1');
SELECT * FROM pg_temp.try('{"ref": "card 2", "identity": {"kind": "card", "value": "K1"}, "lines": [{"price": 1}]}');
SELECT 1 FROM crm_member.cancel_card('K1');
SELECT * FROM pg_temp.try('{"ref": "card 2", "identity": {"kind": "card", "value": "K1"}, "lines": [{"price": 1}]}');
-- what was rung up with the card before is answered still
SELECT * FROM pg_temp.try('{"ref": "card 1", "identity": {"kind": "card", "value": "K1"}, "lines": [{"price": 1}]}');

-- only what was accepted is there
\pset tuples_only off
SELECT s.ref, s.amount, s.settled_at IS NOT NULL AS settled FROM crm_member.sale s;
SELECT ref FROM crm_member.sale_ref;

-- the same reference
SELECT crm_member.checkout('{"ref": "r", "member_id": 1, "lines": [{"price": 5}]}') = crm_member.checkout('{"lines": [{"price": 5.00}], "ref": "r", "member_id": 1}') AS same;
\pset tuples_only on
SELECT * FROM pg_temp.try('{"ref": "r", "member_id": 1, "lines": [{"price": 6}]}');
SELECT * FROM pg_temp.try('{"ref": "r", "lines": [{"price": 5}]}');
SELECT * FROM pg_temp.try('{"ref": "r", "source": "web", "member_id": 1, "lines": [{"price": 6}]}');
-- however far apart what changed stands: each line against each of ninety, changed together or with one another
SELECT crm_member.checkout(jsonb_build_object('ref', 'long', 'lines', jsonb_agg(jsonb_build_object('price', i % 40, 'quantity', 1) ORDER BY i),
  'attrs', '{"change": -1}'::jsonb)) ->> 'amount' FROM generate_series(1, 90) i;
SELECT * FROM pg_temp.try((SELECT jsonb_build_object('ref', 'long', 'lines', jsonb_agg(jsonb_build_object('price', i % 40, 'quantity', 1) ORDER BY i),
  'attrs', '{"change": 1}'::jsonb) FROM generate_series(1, 90) i));
SELECT DISTINCT kind, refusal FROM generate_series(1, 89) a, generate_series(2, 90) b, (VALUES ('both'), ('swapped')) k (kind),
LATERAL (SELECT jsonb_agg(jsonb_build_object('price', CASE i WHEN a THEN CASE kind WHEN 'both' THEN 77 ELSE b % 40 END
                                             WHEN b THEN CASE kind WHEN 'both' THEN 77 ELSE a % 40 END ELSE i % 40 END, 'quantity', 1) ORDER BY i) AS lines
         FROM generate_series(1, 90) i) l,
LATERAL (SELECT t.refusal FROM pg_temp.try(jsonb_build_object('ref', 'long', 'lines', lines, 'attrs', '{"change": -1}'::jsonb)) t LIMIT 1) t
WHERE a < b AND a % 7 = 1 AND (kind = 'both' OR a % 40 <> b % 40) ORDER BY 1, 2;
\pset tuples_only off
SELECT source, ref, member_id, payable FROM crm_member.sale WHERE ref = 'r' ORDER BY source;

-- null keys are as if they were not there; NULL for NULL
SELECT crm_member.quote('{"member_id": null, "store": null, "coupons": null, "points": 0, "lines": [{"price": 1, "sku": null}]}') - 'points' AS answer;
SELECT crm_member.quote(NULL) IS NULL AND crm_member.checkout(NULL) IS NULL AS nothing;

-- a guest's sale is recorded and earns nothing
INSERT INTO crm_member.points_rule (rule_code, award, points) VALUES ('any', 'fixed', 10);
SELECT jsonb_pretty(crm_member.checkout('{"ref": "guest", "shipping": 3, "lines": [{"price": 1.005, "quantity": 3}, {"price": 2, "discount": 0.5}]}') - 'sale_id') AS answer;
SELECT count(*) AS entries FROM crm_member.points_entry WHERE member_id = 0;
SELECT * FROM crm_member.verify_ledger();
