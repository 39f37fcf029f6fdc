--
-- Limits that a rule is given later: what it gave before counts, in the period,
-- for the person, whoever is merged.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/shanghai.sql
INSERT INTO member (member_id, joined_at) SELECT g, '2025-01-01' FROM generate_series(1, 40) g;
INSERT INTO points_rule (rule_code, award, points) VALUES ('base', 'per_amount', 1), ('other', 'fixed', 1000);
-- what base gives: foretold and given
CREATE FUNCTION pg_temp.gives(member_id bigint, at text, price numeric) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  document CONSTANT jsonb := jsonb_build_object('ref', gen_random_uuid(), 'member_id', member_id, 'sold_at', at, 'lines', jsonb_build_array(jsonb_build_object('price', price)));
  foretold CONSTANT numeric := (SELECT coalesce(sum(points), 0) FROM crm_member.evaluate_points(document) WHERE rule_code = 'base');
  given CONSTANT numeric := (SELECT coalesce(sum((r->>'points')::numeric), 0) FROM crm_member.checkout(document) c, jsonb_array_elements(c #> '{points,rules}') r WHERE r->>'rule_code' = 'base');
BEGIN
  RETURN given || CASE WHEN foretold <> given THEN format(' but %s foretold', foretold) ELSE '' END;
END
$$;
CREATE VIEW pg_temp.used AS SELECT member_id, period, points FROM points_rule_use WHERE rule_code = 'base' AND points > 0 ORDER BY 1, 2;
-- what is written is what the journal says, of the member and all that are merged into it
CREATE VIEW pg_temp.wrong AS
  SELECT u.member_id, u.period, u.points, g.points AS journal FROM points_rule_use u JOIN points_rule r USING (rule_code)
   CROSS JOIN LATERAL (SELECT sum(rule_given(m.member_id, u.rule_code, u.period, r.limit_period)) AS points FROM member m LEFT JOIN member_root x USING (member_id) WHERE coalesce(x.root, m.member_id) = u.member_id OR m.member_id = u.member_id) g
   WHERE u.member_id <> 0 AND u.points <> g.points;

-- 40 in June and 7 in May, before there is a limit: of 50 a month 10 are left for June, 43 for May
SELECT pg_temp.gives(1, '2026-06-01 00:00', 30) AS "30", pg_temp.gives(1, '2026-06-30 23:59', 10) AS "10", pg_temp.gives(1, '2026-05-31 23:59', 7) AS "7";
UPDATE points_rule SET member_limit = 50, limit_period = 'month' WHERE rule_code = 'base';
SELECT pg_temp.gives(1, '2026-06-15', 8) AS "8", pg_temp.gives(1, '2026-06-16', 8) AS "2", pg_temp.gives(1, '2026-06-17', 8) AS "0", pg_temp.gives(1, '2026-05-01', 100) AS "43", pg_temp.gives(1, '2026-07-01', 100) AS "50";
TABLE pg_temp.used;
-- below what was given: nothing more, and no way around; raised again, the rest
SELECT pg_temp.gives(2, '2026-06-01', 49) AS "49";
UPDATE points_rule SET member_limit = 20 WHERE rule_code = 'base';
SELECT pg_temp.gives(2, '2026-06-02', 8) AS "0", pg_temp.gives(1, '2026-06-18', 8) AS "0", pg_temp.gives(3, '2026-06-02', 21) AS "20";
UPDATE points_rule SET member_limit = 60 WHERE rule_code = 'base';
SELECT pg_temp.gives(2, '2026-06-03', 100) AS "11", pg_temp.gives(3, '2026-06-03', 100) AS "40";
-- another period is counted by itself: the year has 60 + 100, June 15 has 8
UPDATE points_rule SET member_limit = 200, limit_period = 'year' WHERE rule_code = 'base';
SELECT pg_temp.gives(1, '2026-12-31', 1000) AS "200 - 50 - 50 - 50";
UPDATE points_rule SET member_limit = 15, limit_period = 'day' WHERE rule_code = 'base';
SELECT pg_temp.gives(1, '2026-06-15 23:59', 100) AS "7", pg_temp.gives(1, '2026-06-16', 100) AS "13", pg_temp.gives(1, '2026-06-01', 100) AS "0";
UPDATE points_rule SET limit_period = NULL, member_limit = 225 WHERE rule_code = 'base';
SELECT pg_temp.gives(1, '2030-01-01', 100) AS "5";
-- without a limit for a while, and with one again
UPDATE points_rule SET member_limit = NULL WHERE rule_code = 'base';
SELECT pg_temp.gives(4, '2026-06-01', 70) AS "70";
UPDATE points_rule SET member_limit = 75 WHERE rule_code = 'base';
SELECT pg_temp.gives(4, '2026-06-02', 70) AS "5";
-- an edit that is rolled back counts nothing anew
BEGIN;
UPDATE points_rule SET limit_period = 'day' WHERE rule_code = 'base';
ROLLBACK;
SELECT count(*) FROM pg_temp.used WHERE member_id = 4;
-- what is taken back is not given again
SELECT checkout('{"ref": "back", "member_id": 5, "sold_at": "2026-06-01", "lines": [{"price": 70}]}') #>> '{points,earned}' AS "1070";
SELECT refund('{"ref": "back", "sale_ref": "back", "refunded_at": "2026-06-02"}') #>> '{points,taken_back}' AS "1070";
SELECT pg_temp.gives(5, '2026-06-02', 70) AS "5";
-- sales that come as rows
DELETE FROM points_rule WHERE rule_code = 'base';
INSERT INTO points_rule (rule_code, award, points, member_limit) VALUES ('base', 'per_amount', 1, 100);
INSERT INTO sale (member_id, sale_id, ref, sold_at) SELECT m, m * 10 + i, m || '-' || i, '2026-06-03'::date + i FROM generate_series(4, 7) m, generate_series(1, 3) i;
INSERT INTO sale_line (member_id, sale_id, line_no, price) SELECT m, m * 10 + i, 1, 20 FROM generate_series(4, 7) m, generate_series(1, 3) i;
SELECT member_id, string_agg(b.points::text, ' ' ORDER BY s.sold_at) AS "20 5, 20 5, 20 20 20" FROM points_by_rule b JOIN sale s USING (member_id, sale_id) WHERE s.ref LIKE '%-%' AND length(s.ref) < 5 AND rule_code = 'base' GROUP BY 1 ORDER BY 1;
SELECT * FROM pg_temp.wrong;

-- merged before there is a limit: 20 and 30 are the person's; undone, each has his own
UPDATE points_rule SET member_limit = NULL WHERE rule_code = 'base';
SELECT pg_temp.gives(11, '2026-06-01', 20) AS "20", pg_temp.gives(12, '2026-06-01', 30) AS "30", merge_members(11, '{12}', 'm1') IS NOT NULL AS merged;
UPDATE points_rule SET member_limit = 60 WHERE rule_code = 'base';
SELECT pg_temp.gives(11, '2026-06-02', 4) AS "4", pg_temp.gives(12, '2026-06-03', 4) AS "4", pg_temp.gives(11, '2026-06-04', 4) AS "2";
SELECT member_id, points FROM pg_temp.used WHERE member_id IN (11, 12);
SELECT unmerge((SELECT merge_id FROM member_merge WHERE ref = 'm1'), 'u1') IS NOT NULL AS undone;
SELECT member_id, points FROM pg_temp.used WHERE member_id IN (11, 12);
SELECT pg_temp.gives(11, '2026-06-05', 100) AS "34", pg_temp.gives(12, '2026-06-05', 100) AS "26";
-- merged when only one of them, or a third already merged, has been counted
UPDATE points_rule SET member_limit = NULL WHERE rule_code = 'base';
SELECT pg_temp.gives(13, '2026-06-01', 20), pg_temp.gives(14, '2026-06-01', 30), pg_temp.gives(15, '2026-06-01', 5), merge_members(15, '{14}', 'm2') IS NOT NULL AS merged;
UPDATE points_rule SET member_limit = 100 WHERE rule_code = 'base';
SELECT pg_temp.gives(13, '2026-06-02', 1) AS "1";
SELECT merge_members(13, '{15}', 'm3') IS NOT NULL AS merged;
SELECT member_id, points FROM pg_temp.used WHERE member_id BETWEEN 13 AND 15;
SELECT pg_temp.gives(14, '2026-06-03', 100) AS "44";
SELECT unmerge((SELECT merge_id FROM member_merge WHERE ref = 'm3'), 'u3') IS NOT NULL AS undone;
SELECT member_id, points FROM pg_temp.used WHERE member_id BETWEEN 13 AND 15;
SELECT pg_temp.gives(13, '2026-06-04', 100) AS "79", pg_temp.gives(15, '2026-06-04', 100) AS "100 - 5 - 30 - 44";
SELECT * FROM pg_temp.wrong;
SELECT * FROM verify_ledger();

-- a budget counts what the rule gave before it had one, and between two budgets; a return makes no room
INSERT INTO points_rule (rule_code, award, points, condition) VALUES ('shop', 'per_amount', 1, 'sale.store = ''budget''');
CREATE FUNCTION pg_temp.shop(member_id bigint, price numeric) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(sum((r->>'points')::numeric), 0) FROM crm_member.checkout(jsonb_build_object('ref', gen_random_uuid(), 'member_id', member_id, 'store', 'budget', 'sold_at', '2026-06-01', 'lines', jsonb_build_array(jsonb_build_object('price', price)))) c,
    jsonb_array_elements(c #> '{points,rules}') r WHERE r->>'rule_code' = 'shop' $$;
CREATE VIEW pg_temp.budget AS SELECT e.points, e.budget, e.budget_left, u.points AS counted FROM points_rule_effect e JOIN points_rule_use u USING (rule_code) WHERE rule_code = 'shop' AND u.member_id = 0;
SELECT pg_temp.shop(21, 30) AS "30", pg_temp.shop(22, 40) AS "40";
SELECT refund(jsonb_build_object('ref', 'budget back', 'sale_ref', s.ref)) IS NOT NULL AS returned FROM sale s WHERE member_id = 21;
UPDATE points_rule SET budget = 100 WHERE rule_code = 'shop';
TABLE pg_temp.budget;
SELECT pg_temp.shop(21, 20) AS "20";
UPDATE points_rule SET budget = NULL WHERE rule_code = 'shop';
SELECT pg_temp.shop(22, 5) AS "5";
UPDATE points_rule SET budget = 100, name = 'Shop' WHERE rule_code = 'shop';
SELECT pg_temp.shop(23, 20) AS "5", pg_temp.shop(21, 20) AS "0";
UPDATE points_rule SET budget = 110 WHERE rule_code = 'shop';
SELECT pg_temp.shop(23, 7) AS "7", pg_temp.shop(21, 20) AS "3";
TABLE pg_temp.budget;
-- the same rule, made anew with a budget that is used up
DELETE FROM points_rule WHERE rule_code = 'shop';
INSERT INTO points_rule (rule_code, award, points, condition, budget) VALUES ('shop', 'per_amount', 1, 'sale.store = ''budget''', 109), ('never used', 'per_amount', 1, 'sale.store = ''none''', 5);
SELECT pg_temp.shop(24, 7) AS "0";
SELECT rule_code, points FROM points_rule_use WHERE member_id = 0 ORDER BY 1;
-- points of another type, with decimals that these have not, are none of them
INSERT INTO points_type (points_type, name, decimals) VALUES ('fine', 'Fine', 2);
INSERT INTO points_rule (rule_code, award, points, points_type, condition, member_limit, budget) VALUES ('kind', 'per_amount', 0.25, 'fine', 'sale.store = ''kind''', 100, 200);
CREATE FUNCTION pg_temp.kind(member_id bigint, price numeric) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(sum((r->>'points')::numeric), 0) FROM crm_member.checkout(jsonb_build_object('ref', gen_random_uuid(), 'member_id', member_id, 'store', 'kind', 'sold_at', '2026-06-01', 'lines', jsonb_build_array(jsonb_build_object('price', price)))) c,
    jsonb_array_elements(c #> '{points,rules}') r WHERE r->>'rule_code' = 'kind' $$;
SELECT pg_temp.kind(31, 101) AS "25.25", pg_temp.kind(32, 1) AS "0.25";
UPDATE points_rule SET points_type = 'points', points = 1, budget = 130 WHERE rule_code = 'kind';
SELECT pg_temp.kind(31, 101) AS "100", pg_temp.kind(31, 1) AS "0", pg_temp.kind(32, 101) AS "30";
UPDATE points_rule SET points_type = 'fine', points = 0.25 WHERE rule_code = 'kind';
SELECT pg_temp.kind(31, 400) AS "74.75", pg_temp.kind(32, 400) AS "29.75 of the budget";
SELECT member_id, period, points FROM points_rule_use WHERE rule_code = 'kind' ORDER BY 1;
SELECT * FROM verify_ledger();
