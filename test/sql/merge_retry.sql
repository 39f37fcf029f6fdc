--
-- Acts repeated under an old number after members were merged, and after that was
-- undone: the first result, booked once.
--
\getenv tests PG_ABS_SRCDIR
\set zone 'UTC'
\i :tests/sql/include/business.sql
INSERT INTO crm_member.points_rule (rule_code, award, points) VALUES ('base', 'per_amount', 1);
INSERT INTO crm_member.coupon_template (template_code, kind, value, uses, member_limit) VALUES
  ('any', 'amount', 5, NULL, NULL), ('two', 'amount', 4, NULL, 2), ('once', 'amount', 3, 1, NULL);
SELECT count(crm_member.import_coupon(t, upper(t))) FROM unnest('{any,two,once}'::text[]) AS t;
INSERT INTO crm_member.member (member_id, joined_at, store) SELECT i, timestamptz '2024-01-01' + i * interval '1 day', 's' || i FROM generate_series(1, 3) AS i;
SELECT crm_member.bind_identity(2, 'mobile', '13911110002');
CREATE FUNCTION pg_temp.merge_of(ref text) RETURNS bigint LANGUAGE sql AS $$ SELECT merge_id FROM crm_member.member_merge m WHERE m.ref = merge_of.ref $$;

-- every act of a member, with a reference
CREATE FUNCTION pg_temp.act(verb text, who bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  sale jsonb := jsonb_build_object('member_id', who, 'lines', '[{"price": 30}]'::jsonb);
BEGIN
  CASE verb
    WHEN 'award' THEN RETURN crm_member.award_points(who, 100, 'x', 'award');
    WHEN 'adjust' THEN RETURN crm_member.adjust_points(who, -7, 'x', 'adjust', actor => 'me');
    WHEN 'spend' THEN RETURN crm_member.spend_points(who, 10, 'x', 'spend');
    WHEN 'hold' THEN RETURN crm_member.hold_points(who, 20, 'x', 'hold');
    WHEN 'capture' THEN RETURN crm_member.capture_points(who, 'hold', 15, 'x', 'capture', false);
    WHEN 'release' THEN RETURN crm_member.release_points(who, 'hold', 2, 'x', 'release');
    WHEN 'reverse' THEN RETURN crm_member.reverse_points('spend', who, 4, reason => 'x', reversal_ref => 'reverse');
    WHEN 'transfer' THEN RETURN crm_member.transfer_points(who, 3, 6, 'x', 'transfer');
    WHEN 'top up' THEN RETURN crm_member.top_up_stored_value(who, 50, 'x', 'topup');
    WHEN 'pay' THEN RETURN crm_member.spend_stored_value(who, 8, 'x', 'pay');
    WHEN 'checkout' THEN RETURN crm_member.checkout(sale || '{"ref": "sale", "stored_value": 5}') - 'member_id' #- '{points,balance}';
    WHEN 'refund' THEN RETURN crm_member.refund(sale - '{member_id,lines}'::text[] || '{"ref": "back", "sale_ref": "sale", "lines": [{"line_no": 1, "quantity": 1}]}') - 'refund_id' - 'sale_id';
    WHEN 'identity' THEN RETURN crm_member.redeem_coupon('ANY', sale - 'member_id' || '{"identity": {"kind": "mobile", "value": "13911110002"}}', 'identity');
    WHEN 'card' THEN RETURN crm_member.issue_card(who, 'RC', 'standard', 'card') IS NOT NULL;
    WHEN 'issue' THEN RETURN crm_member.issue_coupon('once', who, 'issue');
    ELSE RETURN crm_member.redeem_coupon(upper(verb), sale, 'redeem ' || verb);
  END CASE;
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE TABLE act (n serial, verb text, first text);
INSERT INTO act (verb) SELECT unnest('{award,adjust,spend,hold,capture,release,reverse,transfer,top up,pay,checkout,refund,any,two,once,identity,issue,card}'::text[]);
DO $$ DECLARE a record; BEGIN
  FOR a IN SELECT * FROM act ORDER BY n LOOP
    UPDATE act SET first = pg_temp.act(a.verb, 2) WHERE n = a.n;
  END LOOP;
END $$;
SELECT verb, left(CASE WHEN verb = 'issue' THEN length(first)::text ELSE first END, 60) AS first FROM act ORDER BY n;
-- what is booked, wherever it is
CREATE VIEW booked AS
  SELECT (SELECT count(*) FROM crm_member.points_entry WHERE kind NOT LIKE 'merge%') AS entries,
         (SELECT count(*) FROM crm_member.sale) AS sales, (SELECT count(*) FROM crm_member.refund) AS refunds,
         (SELECT count(*) FROM crm_member.coupon_use) AS uses, (SELECT count(*) FROM crm_member.coupon) AS coupons;
SELECT * FROM booked;
CREATE FUNCTION pg_temp.again(who bigint) RETURNS TABLE (verb text, became text) LANGUAGE sql AS $$
  SELECT a.verb, b.again FROM act a, LATERAL (SELECT pg_temp.act(a.verb, who) AS again OFFSET 0) b WHERE a.first IS DISTINCT FROM b.again ORDER BY a.n $$;
SELECT * FROM pg_temp.again(2);
SELECT * FROM booked;
-- merged
SELECT crm_member.merge_members(1, '{2}', 'm')->'survivor' AS survivor;
SELECT * FROM pg_temp.again(2);
SELECT * FROM booked;
SELECT crm_member.unmerge(pg_temp.merge_of('m'))->'undone' AS undone;
SELECT * FROM pg_temp.again(2);
SELECT * FROM booked;
SELECT member_id, template_code, uses FROM crm_member.coupon_tally ORDER BY 1;

-- first done while merged, repeated then and after it was undone: it stays with whom it named
SELECT crm_member.merge_members(1, '{2}', 'm2', '{"override_distinct": true}')->'survivor' AS survivor;
CREATE FUNCTION pg_temp.redeem(sale jsonb, ref text) RETURNS text LANGUAGE sql AS $$
  SELECT discount FROM crm_member.redeem_coupon('TWO', sale || '{"lines": [{"price": 30}]}', ref) $$;
SELECT pg_temp.redeem('{"member_id": 2}', 'later');
SELECT pg_temp.redeem('{"member_id": 1}', 'third');
SELECT pg_temp.redeem('{"member_id": 2}', 'later');
-- the reference of one is known of all of them
SELECT pg_temp.redeem('{"member_id": 1}', 'later');
-- the store says whose it is, as at the till
SELECT discount FROM crm_member.redeem_coupon('ANY', '{"member_id": 1, "store": "s2", "lines": [{"price": 30}]}', 'store');
CREATE TABLE issued AS SELECT crm_member.issue_coupon('once', 2, 'gift') AS code;
SELECT array_length(codes, 1) AS codes, (SELECT code::text FROM issued) = ANY (codes) AS offered, discount FROM crm_member.best_coupons('{"member_id": 1, "lines": [{"price": 30}]}');
SELECT member_id, template_code, ref FROM crm_member.coupon_use WHERE ref IN ('later', 'third', 'store') ORDER BY ref;
SELECT crm_member.unmerge(pg_temp.merge_of('m2'))->'undone' AS undone;
SELECT pg_temp.redeem('{"member_id": 2}', 'later');
SELECT discount FROM crm_member.redeem_coupon('ANY', '{"member_id": 1, "store": "s2", "lines": [{"price": 30}]}', 'store');
SELECT code::text = crm_member.issue_coupon('once', 2, 'gift')::text AS same, (SELECT member_id FROM crm_member.coupon c WHERE c.code::text = issued.code::text) AS member_id FROM issued;
SELECT member_id, template_code, ref FROM crm_member.coupon_use WHERE ref IN ('later', 'third', 'store') ORDER BY ref;
SELECT member_id, template_code, uses FROM crm_member.coupon_tally ORDER BY 1;
-- a card handed out while they were merged
SELECT crm_member.merge_members(1, '{2}', 'm3', '{"override_distinct": true}')->'survivor' AS survivor;
SELECT crm_member.issue_card(2, 'RD', 'standard', 'merged') AS survivor;
SELECT crm_member.unmerge(pg_temp.merge_of('m3'))->'undone' AS undone;
SELECT crm_member.issue_card(2, 'RD', 'standard', 'merged') AS repeated, (SELECT count(*) FROM crm_member.card_event WHERE card_no = 'RD') AS acts;
SELECT crm_member.issue_card(3, 'RD', 'standard', 'merged');
-- the same reference for another sale is no retry
SELECT discount FROM crm_member.redeem_coupon('ANY', '{"member_id": 2, "lines": [{"price": 31}]}', 'later');
SELECT * FROM crm_member.verify_ledger();
