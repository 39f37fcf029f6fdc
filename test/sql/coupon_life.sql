--
-- The life of a coupon: made, issued, imported, held, used, void; its limits;
-- every refusal.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/shanghai.sql
SET timezone = 'UTC';
INSERT INTO member (member_id, tags) VALUES (11, '{vip}'), (12, '{}');
INSERT INTO member (member_id, status, merged_into) VALUES (13, 'merged', 11);

INSERT INTO coupon_template (template_code, kind, value) VALUES ('TEN', 'amount', 10);
INSERT INTO coupon_template (template_code, kind, value, active) VALUES ('OFF', 'amount', 10, false);
INSERT INTO coupon_template (template_code, kind, value, automatic, min_spend) VALUES ('AUTO', 'amount', 1, true, 1000);
INSERT INTO coupon_template (template_code, kind, value, valid_from, valid_to) VALUES ('DEC', 'amount', 10, '2026-12-01', '2026-12-24');
INSERT INTO coupon_template (template_code, kind, value, valid_days) VALUES ('WEEK', 'amount', 10, 7);
INSERT INTO coupon_template (template_code, kind, value, uses, split_value) VALUES ('THREE', 'amount', 10, 3, true);
INSERT INTO coupon_template (template_code, kind, value, uses, total_limit, member_limit) VALUES ('FEW', 'amount', 10, NULL, 3, 2);
INSERT INTO coupon_template (template_code, kind, value, uses, budget) VALUES ('BUDGET', 'percent', 50, NULL, 12);
INSERT INTO coupon_template (template_code, kind, value, uses, budget, last_use) VALUES ('REST', 'percent', 50, NULL, 12, 'remainder');
INSERT INTO coupon_template (template_code, kind, value, uses, requires) VALUES ('S01', 'amount', 10, NULL, $$sale.store = 'S01'$$);

-- templates that make no sense
\set VERBOSITY sqlstate
INSERT INTO coupon_template (template_code, kind) VALUES ('X', 'amount');
INSERT INTO coupon_template (template_code, kind, value) VALUES ('X', 'percent', 101);
INSERT INTO coupon_template (template_code, kind, value) VALUES ('X', 'amount', 0.001);
INSERT INTO coupon_template (template_code, kind, value) VALUES ('X', 'amount', -1);
INSERT INTO coupon_template (template_code, kind, value) VALUES ('X', 'amount', 'NaN');
INSERT INTO coupon_template (template_code, kind) VALUES ('X', 'buy_x_get_y');
INSERT INTO coupon_template (template_code, kind) VALUES ('X', 'gift');
INSERT INTO coupon_template (template_code, kind, value, target) VALUES ('X', 'amount', 1, 'basket');
INSERT INTO coupon_template (template_code, kind, value, eligible) VALUES ('X', 'amount', 1, 'line.colour = 1');
INSERT INTO coupon_template (template_code, kind, value, valid_from, valid_to) VALUES ('X', 'amount', 1, '2026-02-01', '2026-01-01');
INSERT INTO coupon_template (template_code, kind, value, split_value) VALUES ('X', 'percent', 1, true);
UPDATE coupon_template SET template_code = 'OTHER' WHERE template_code = 'FEW';

-- making codes
SELECT generate_coupons('TEN', -1);
SELECT generate_coupons('TEN', NULL);
SELECT generate_coupons(NULL, 1);
SELECT generate_coupons('NONE', 1);
SELECT generate_coupons('OFF', 1);
SELECT generate_coupons('AUTO', 1);
SELECT generate_coupons('TEN', 5, 'batch 1');
SELECT generate_coupons('TEN', 5, 'batch 1');
SELECT generate_coupons('TEN', 6, 'batch 1');
SELECT generate_coupons('TEN', 0);
SELECT issue_coupon('TEN', 11);
SELECT issue_coupon('TEN', 11, '');
SELECT issue_coupon('TEN', 99, 'i1');
SELECT issue_coupon('NONE', 11, 'i1');
SELECT issue_coupon('AUTO', 11, 'i1');
\set VERBOSITY default
SELECT count(*), count(member_id) FROM coupon;
SELECT issue_coupon('TEN', 11, 'i1') AS mine \gset
SELECT issue_coupon('TEN', 13, 'i1') = :'mine' AS again;
\set VERBOSITY sqlstate
SELECT issue_coupon('WEEK', 11, 'i1');
SELECT issue_coupon('TEN', 12, 'i1') = :'mine' AS another;
SELECT import_coupon('TEN', '  ');
SELECT import_coupon('NONE', 'MARKET-1');
SELECT import_coupon('TEN', 'MARKET-1') IS NOT NULL AS imported;
SELECT import_coupon('TEN', ' market-1 ') = code AS again FROM coupon_alias;
SELECT import_coupon('WEEK', 'MARKET-1');
-- one that looks like a mistyped code of ours, and one in Chinese
SELECT import_coupon('TEN', 'AAAA-AAAA-AAAA') IS NOT NULL AS imported;
SELECT import_coupon('TEN', '双十一') IS NOT NULL AS imported;
\set VERBOSITY default
-- characters are counted, not bytes; a text that can be no code is refused by a sale and does not stop it
SELECT import_coupon('TEN', repeat('双', 200)) IS NOT NULL AS imported;
SELECT import_coupon('TEN', repeat('双', 201));
SELECT c ->> 'status' AS status, c ->> 'sqlstate' AS sqlstate, left(c ->> 'code', 3) AS code
FROM jsonb_array_elements(quote(jsonb_build_object('lines', '[{"price": 20}]'::jsonb,
  'coupons', jsonb_build_array(repeat('双', 200), repeat('双', 201), '  '))) -> 'coupons') c;
-- a long code is cut between characters, so that every client can read of it
SELECT void_coupon(repeat('双', 50));
SELECT repeat('双', 50)::coupon_code;
SELECT redeem_coupon(repeat('双', 50), '{"lines": [{"price": 20}]}', 'r1');

CREATE FUNCTION pg_temp.judge(code text, sale jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' | ', valid, sqlstate, reason, discount, lines)
  FROM crm_member.validate_coupon(code, '{"sold_at": "2026-11-20 12:00+08", "lines": [{"price": 30}, {"price": 70}]}' || sale)
$$;
SELECT pg_temp.judge('market-1'), pg_temp.judge(' AAAA-AAAA-AAAA'), pg_temp.judge('双十一');
SELECT pg_temp.judge('AAAA-AAAA-AAAB'), pg_temp.judge('market-2');
-- whose it is
SELECT pg_temp.judge(:'mine'), pg_temp.judge(:'mine', '{"member_id": 12}'), pg_temp.judge(:'mine', '{"member_id": 11}'), pg_temp.judge(:'mine', '{"member_id": 13}');
-- and when: business days of Shanghai, through the end of the last
SELECT issue_coupon('DEC', NULL, 'i2') AS dec \gset
SELECT pg_temp.judge(:'dec', jsonb_build_object('sold_at', at))
FROM unnest('{2026-11-30 23:59:59+08,2026-12-01 00:00+08,2026-12-24 23:59:59+08,2026-12-25 00:00+08}'::text[]) at;
SELECT issue_coupon('WEEK', NULL, 'i3') AS week \gset
SELECT valid_to = (issued_at AT TIME ZONE 'Asia/Shanghai')::date + 7 AS a_week FROM coupon WHERE code = :'week';
SELECT left(pg_temp.judge(:'week', jsonb_build_object('sold_at', (((now() AT TIME ZONE 'Asia/Shanghai')::date + 8)::timestamp + d) AT TIME ZONE 'Asia/Shanghai')), 9)
FROM unnest('{-1 second,0}'::interval[]) d;
-- where
SELECT import_coupon('S01', 'S01') IS NOT NULL AS imported;
SELECT pg_temp.judge('S01', '{"store": "S03"}'), pg_temp.judge('S01', '{"store": "S01"}');
UPDATE coupon_template SET active = false WHERE template_code = 'S01';
SELECT pg_temp.judge('S01', '{"store": "S01"}');
SELECT validate_coupon(NULL, '{}'), validate_coupon('x', NULL);

-- hold
\set VERBOSITY sqlstate
SELECT hold_coupon('market-1', NULL);
SELECT hold_coupon('market-1', 'cart 1', '-1 second');
SELECT hold_coupon('market-2', 'cart 1');
SELECT hold_coupon('AAAA-AAAA-AAAB', 'cart 1');
SELECT hold_coupon(code, 'cart 1') > now() AS held FROM coupon_alias WHERE alias = 'MARKET-1';
SELECT hold_coupon('market-1', 'cart 1', '1 hour') > now() + interval '55 minutes' AS longer;
SELECT hold_coupon('market-1', 'cart 2');
SELECT left(pg_temp.judge('market-1'), 40), left(pg_temp.judge('market-1', '{"ref": "cart 1"}'), 10);
SELECT redeem_coupon('market-1', '{"lines": [{"price": 5}]}', 'cart 2');
SELECT release_coupon('market-1', 'cart 2'), release_coupon('market-1', 'cart 1'), release_coupon('market-1', 'cart 1');
SELECT release_coupon('market-2', 'cart 1');
-- a hold that timed out holds nobody up
SELECT hold_coupon('market-1', 'cart 3', '1 millisecond') IS NOT NULL AS held;
SELECT pg_sleep(0.01);
SELECT hold_coupon('market-1', 'cart 4') IS NOT NULL AS held;
SELECT (checkout('{"ref": "cart 4", "lines": [{"price": 5}], "coupons": ["market-1"]}')) -> 'coupons';
SELECT hold_coupon('market-1', 'cart 4');
SELECT pg_temp.judge('market-1');

-- void
SELECT void_coupon('双十一', 'printed twice'), void_coupon('双十一');
SELECT void_coupon('market-1');
SELECT hold_coupon('双十一', 'x');
SELECT pg_temp.judge('双十一');
SELECT redeem_coupon('双十一', '{"lines": [{"price": 5}]}', 'x');
\set VERBOSITY default

-- redeem, and again
SELECT * FROM redeem_coupon(:'mine', '{"member_id": 11, "lines": [{"price": 30}, {"price": 70}]}', 'r1', 'till 7');
SELECT * FROM redeem_coupon(:'mine', '{"member_id": 11, "lines": [{"price": 30}, {"price": 70}]}', 'r1', 'till 7');
\set VERBOSITY sqlstate
SELECT redeem_coupon(:'mine', '{"member_id": 11, "lines": [{"price": 31}, {"price": 70}]}', 'r1');
SELECT redeem_coupon(:'mine', '{"member_id": 11, "lines": [{"price": 30}, {"price": 70}]}', 'r2');
SELECT redeem_coupon('AAAA-AAAA-AAAB', '{"lines": [{"price": 30}]}', 'r2');
SELECT redeem_coupon('nothing', '{"lines": [{"price": 30}]}', 'r2');
SELECT redeem_coupon(NULL, '{"lines": [{"price": 30}]}', 'r2');
SELECT redeem_coupon('nothing', NULL, 'r2');
SELECT redeem_coupon('nothing', '{"lines": [{"price": 30}]}', NULL);
\set VERBOSITY default
SELECT act, member_id, discount, ref, reason, actor FROM coupon_history(:'mine');
SELECT act, member_id, discount, ref, reason, actor FROM coupon_history('market-1');
SELECT count(*) FROM coupon_history(:'dec');
SELECT count(*) FROM coupon_alias a, coupon_history(a.code);
-- functions that take a code take a coupon_code
SELECT issue_coupon('TEN', NULL, 'i6') AS mine \gset
SELECT (validate_coupon(code, '{"lines": [{"price": 30}]}')).valid, release_coupon(code, 'x'), (redeem_coupon(code, '{"lines": [{"price": 30}]}', 'by code')).discount
FROM coupon WHERE code = :'mine';
SELECT void_coupon(c, 'by code') FROM issue_coupon('TEN', NULL, 'i7') c;

-- a value shared over its uses
SELECT issue_coupon('THREE', NULL, 'i4') AS three \gset
SELECT (redeem_coupon(:'three', '{"lines": [{"price": 30}]}', 't' || i)).discount FROM generate_series(1, 3) i;
\set VERBOSITY sqlstate
SELECT redeem_coupon(:'three', '{"lines": [{"price": 30}]}', 't4');
\set VERBOSITY default
SELECT use_no, discount FROM coupon_use WHERE template_code = 'THREE' ORDER BY use_no;

-- a use is given back, and the next has its worth
SELECT release_coupon(:'three', 't2'), release_coupon(:'three', 't2'), release_coupon(:'three', 'other');
SELECT (redeem_coupon(:'three', '{"lines": [{"price": 30}]}', 't5')).discount;
\set VERBOSITY sqlstate
SELECT redeem_coupon(:'three', '{"lines": [{"price": 30}]}', 't2');
\set VERBOSITY default
SELECT act, discount FROM coupon_history(:'three');
SELECT uses, status FROM coupon WHERE code = :'three';

-- limits: of a member, of all; the limit can change
SELECT import_coupon('FEW', 'FEW') IS NOT NULL AS imported;
CREATE FUNCTION pg_temp.buy(ref text, member bigint, code text, price numeric) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', c ->> 'status', c ->> 'sqlstate', c ->> 'reason', c ->> 'discount')
  FROM jsonb_array_elements(crm_member.checkout(jsonb_strip_nulls(jsonb_build_object('ref', ref, 'member_id', member, 'coupons', jsonb_build_array(code),
    'lines', jsonb_build_array(jsonb_build_object('price', price))))) -> 'coupons') c
$$;
SELECT pg_temp.buy('f0', NULL, 'FEW', 50);
SELECT pg_temp.buy('f1', 11, 'FEW', 50);
SELECT pg_temp.buy('f2', 11, 'FEW', 50);
SELECT pg_temp.buy('f3', 11, 'FEW', 50);
SELECT pg_temp.judge('FEW', '{"member_id": 11}');
SELECT pg_temp.buy('f4', 12, 'FEW', 50);
SELECT pg_temp.buy('f5', 12, 'FEW', 50);
SELECT pg_temp.judge('FEW', '{"member_id": 12}');
SELECT * FROM coupon_limit WHERE template_code = 'FEW';
UPDATE coupon_template SET total_limit = 5 WHERE template_code = 'FEW';
SELECT pg_temp.buy('f6', 12, 'FEW', 50);
SELECT * FROM coupon_limit WHERE template_code = 'FEW';
UPDATE coupon_template SET total_limit = 2 WHERE template_code = 'FEW';
SELECT * FROM coupon_limit WHERE template_code = 'FEW';
UPDATE coupon_template SET total_limit = NULL, member_limit = NULL WHERE template_code = 'FEW';
SELECT count(*) FROM coupon_limit WHERE template_code = 'FEW';
SELECT pg_temp.buy('f7', 11, 'FEW', 50);
-- what was used without a limit counts when there is one
UPDATE coupon_template SET member_limit = 3 WHERE template_code = 'FEW';
SELECT pg_temp.buy('f8', 11, 'FEW', 50);
UPDATE coupon_template SET member_limit = 4, total_limit = 6 WHERE template_code = 'FEW';
SELECT pg_temp.buy('f9', 11, 'FEW', 50);
SELECT pg_temp.buy('f10', 12, 'FEW', 50);
-- a retry redeems nothing
SELECT pg_temp.buy('f9', 11, 'FEW', 50);
SELECT count(*) FROM coupon_use WHERE template_code = 'FEW';

-- budgets: what the last gets
SELECT import_coupon('BUDGET', 'BUDGET') IS NOT NULL AS imported, import_coupon('REST', 'REST') IS NOT NULL AS imported;
SELECT pg_temp.buy('b1', NULL, 'BUDGET', 20);
SELECT pg_temp.judge('BUDGET');
SELECT pg_temp.buy('b2', NULL, 'BUDGET', 20);
SELECT pg_temp.buy('b3', NULL, 'BUDGET', 4);
SELECT pg_temp.judge('BUDGET');
SELECT pg_temp.buy('b4', NULL, 'BUDGET', 4);
SELECT pg_temp.buy('b5', NULL, 'REST', 20);
SELECT pg_temp.judge('REST');
SELECT pg_temp.buy('b6', NULL, 'REST', 20);
SELECT pg_temp.buy('b7', NULL, 'REST', 20);
SELECT template_code, uses, budget, spent, budget_left FROM coupon_limit ORDER BY template_code;

-- what is given back is there again: for the code, the member, the campaign and its budget
INSERT INTO coupon_template (template_code, kind, value, total_limit, member_limit, budget) VALUES ('ALL', 'amount', 10, 1, 1, 10);
SELECT issue_coupon('ALL', 12, 'all') AS whole \gset
SELECT (redeem_coupon(:'whole', '{"member_id": 12, "lines": [{"price": 30}]}', 'all 1')).discount;
SELECT uses, uses_left, spent, budget_left FROM coupon_limit WHERE template_code = 'ALL';
SELECT release_coupon(:'whole', 'all 1');
SELECT uses, uses_left, spent, budget_left FROM coupon_limit WHERE template_code = 'ALL';
SELECT uses FROM coupon_tally WHERE template_code = 'ALL';
SELECT (redeem_coupon(:'whole', '{"member_id": 12, "lines": [{"price": 30}]}', 'all 2')).discount;
SELECT uses, uses_left, spent, budget_left FROM coupon_limit WHERE template_code = 'ALL';

-- checkout: what was taken off earns nothing, is stored by line, and a retry answers the same
INSERT INTO points_rule (rule_code, award, points) VALUES ('one', 'per_amount', 1);
INSERT INTO coupon_template (template_code, kind, value, automatic, priority) VALUES ('TENTH', 'percent', 10, true, -1);
SELECT issue_coupon('TEN', 11, 'i5') AS mine \gset
\set document '{"ref": "c1", "member_id": 11, "shipping": 5, "lines": [{"price": 33.33}, {"price": 66.67}], "coupons": ["' :mine '", "nothing", "FEW"]}'
SELECT checkout(:'document') AS answer \gset
SELECT jsonb_pretty(jsonb_object_agg(key, value)) FROM jsonb_each(replace(:'answer', :'mine', 'MINE')::jsonb)
WHERE key IN ('lines', 'amount', 'discount', 'shipping', 'payable', 'coupons');
SELECT checkout(:'document') = :'answer'::jsonb AS same;
SELECT line_no, amount, discount FROM sale_line WHERE sale_id = (:'answer'::jsonb ->> 'sale_id')::bigint ORDER BY 1;
SELECT position, template_code, discount, shipping, line_nos, line_discounts FROM coupon_use WHERE sale_id = (:'answer'::jsonb ->> 'sale_id')::bigint ORDER BY 1;
SELECT * FROM verify_ledger();
-- the best of a member's own coupons
SELECT issue_coupon('TEN', 12, 'w' || i) IS NOT NULL AS issued FROM generate_series(1, 3) i;
SELECT cardinality(codes), discount, payable, proven, bound FROM best_coupons('{"member_id": 12, "lines": [{"price": 25}]}');
SELECT cardinality(codes), discount, payable, proven, bound FROM best_coupons('{"lines": [{"price": 25}]}');
SELECT best_coupons(NULL);
-- malformed
\set VERBOSITY sqlstate
SELECT quote('{"lines": [{"price": 1}], "coupons": "x"}');
SELECT quote('{"lines": [{"price": 1}], "coupons": [1]}');
SELECT quote(jsonb_build_object('lines', '[{"price": 1}]'::jsonb, 'coupons', (SELECT jsonb_agg(i::text) FROM generate_series(1, 51) i)));
DELETE FROM coupon_event;
\set VERBOSITY default
-- presented twice, in two spellings
SELECT c ->> 'status' AS status, c ->> 'reason' AS reason
FROM jsonb_array_elements(quote(jsonb_build_object('lines', '[{"price": 100}]'::jsonb, 'coupons', jsonb_build_array(:'dec', lower(:'dec')), 'sold_at', '2026-12-02')) -> 'coupons') c;

-- two codes of one campaign in one sale: a limit, a budget that is refused, and one whose rest is granted
INSERT INTO coupon_template (template_code, kind, value, total_limit, member_limit, budget, last_use) VALUES
  ('pair-limit', 'amount', 10, 1, NULL, NULL, 'refuse'), ('pair-member', 'amount', 10, NULL, 1, NULL, 'refuse'),
  ('pair-budget', 'amount', 10, NULL, NULL, 15, 'refuse'), ('pair-rest', 'amount', 10, NULL, NULL, 15, 'remainder');
SELECT count(import_coupon(template_code, template_code || n)) FROM coupon_template, generate_series(1, 3) n WHERE template_code LIKE 'pair-%';
SELECT register_member(source => 'test', external_id => 'pair') AS pair \gset
CREATE FUNCTION pair(a_template text, member bigint, checked_out boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  sale jsonb := jsonb_build_object('ref', a_template, 'member_id', member, 'lines', '[{"price": 100}]'::jsonb,
    'coupons', (SELECT jsonb_agg(a_template || n) FROM generate_series(1, 3) n));
BEGIN
  RETURN (SELECT string_agg(coalesce(c ->> 'sqlstate', c ->> 'discount'), ' ' ORDER BY i)
    FROM jsonb_array_elements(CASE WHEN checked_out THEN crm_member.checkout(sale) ELSE crm_member.quote(sale) END -> 'coupons') WITH ORDINALITY AS a (c, i));
END
$$;
SELECT template_code, pair(template_code, :pair, false) AS quoted, pair(template_code, :pair, true) AS checked_out FROM coupon_template WHERE template_code LIKE 'pair-%' ORDER BY 1;
SELECT * FROM coupon_limit WHERE template_code LIKE 'pair-%' ORDER BY 1;

-- a retry may write the code as it likes, another code is another redemption
INSERT INTO coupon_template (template_code, kind, value, uses) VALUES ('spelt', 'amount', 4, NULL);
SELECT import_coupon('spelt', 'spelt') AS spelt, import_coupon('spelt', 'other') IS NOT NULL AS other \gset
SELECT discount FROM redeem_coupon('spelt', '{"lines": [{"price": 9}]}', 'spelt');
SELECT discount FROM redeem_coupon(' SPELT', '{"lines": [{"price": 9.00}]}', 'spelt');
SELECT count(*) FROM coupon_use WHERE ref = 'spelt';
SELECT discount FROM redeem_coupon('other', '{"lines": [{"price": 9}]}', 'spelt');
\echo :LAST_ERROR_SQLSTATE
SELECT issue_coupon('spelt', NULL, 'native') AS native \gset
SELECT discount FROM redeem_coupon(:'native', '{"lines": [{"price": 9}]}', 'native');
SELECT discount FROM redeem_coupon(lower(replace(:'native', '-', ' ')), '{"lines": [{"price": 9}]}', 'native');
SELECT discount FROM redeem_coupon(:'native'::coupon_code, '{"lines": [{"price": 9}]}', 'native');
SELECT count(*) FROM coupon_use WHERE ref = 'native';

-- a reference is the buyer's own: where two used the same, it must be said whose redemption is given back
SELECT redeem_coupon('spelt', format('{"member_id": %s, "lines": [{"price": 9}]}', m)::jsonb, 'same') FROM unnest('{11,12}'::bigint[]) m;
SELECT release_coupon('spelt', 'same');
\echo :LAST_ERROR_SQLSTATE
SELECT release_coupon('spelt', 'same', member_id => 0) AS of_a_guest, release_coupon('spelt', 'same', member_id => 11) AS of_one,
       release_coupon('spelt', 'same', member_id => 11) AS again, release_coupon('spelt', 'same') AS of_the_other;
SELECT member_id, returned_at IS NOT NULL AS returned FROM coupon_use WHERE ref = 'same' ORDER BY 1;

-- a hold keeps one use: of several the last, of any number none
INSERT INTO coupon_template (template_code, kind, value, uses) VALUES ('twice', 'amount', 4, 2);
SELECT import_coupon('twice', 'twice') IS NOT NULL AS imported;
CREATE FUNCTION use(code text, ref text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RETURN (crm_member.redeem_coupon(code, '{"lines": [{"price": 9}]}', ref)).discount; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT hold_coupon('twice', 'mine') IS NOT NULL AS held, use('twice', 'other 1') AS one_is_free, use('twice', 'other 2') AS the_last_is_kept;
SELECT (validate_coupon('twice', '{"lines": [{"price": 9}]}')).sqlstate, held_by FROM coupon JOIN coupon_alias USING (code) WHERE alias = 'TWICE';
SELECT use('twice', 'mine') AS mine;
SELECT status, held_by FROM coupon JOIN coupon_alias USING (code) WHERE alias = 'TWICE';
SELECT hold_coupon('spelt', 'mine') IS NOT NULL AS held, hold_coupon('spelt', 'yours') IS NOT NULL AS too, use('spelt', 'other 3') AS other;
SELECT void_coupon('spelt') AS void;
SELECT hold_coupon('spelt', 'mine');
\echo :LAST_ERROR_SQLSTATE
