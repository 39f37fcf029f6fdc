--
-- Reports of stores and members, against figures worked out by hand and against the sales.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/shanghai.sql
SET datestyle = 'ISO';
INSERT INTO member (member_id, store, joined_at) VALUES (1, 'S1', '2026-04-01 00:00'), (2, 'S1', '2026-04-30 23:59'), (3, NULL, '2026-04-01'), (4, 'S2', '2026-03-01'), (5, 'S2', '2026-03-01');
CREATE FUNCTION pg_temp.buy(ref text, member_id bigint, store text, at text, lines text, shipping numeric DEFAULT 0) RETURNS text LANGUAGE sql AS $$
  SELECT crm_member.checkout(jsonb_strip_nulls(jsonb_build_object('ref', ref, 'member_id', member_id, 'store', store, 'sold_at', at, 'shipping', shipping, 'lines', lines::jsonb))) #>> '{payable}'
$$;
SELECT pg_temp.buy('a', 1, 'S1', '2026-04-10 10:00', '[{"price": 100, "category": "tea"}, {"price": 50, "category": "cups"}]') AS a,
       pg_temp.buy('b', 1, 'S2', '2026-04-10 20:00', '[{"price": 60, "category": "cups", "discount": 10}]', 5) AS b,
       pg_temp.buy('c', 1, 'S1', '2026-04-30 23:59', '[{"price": 20.01, "category": "tea"}]') AS c,
       pg_temp.buy('d', 2, 'S1', '2026-05-01 00:00', '[{"price": 30}]') AS d,
       pg_temp.buy('e', NULL, 'S1', '2026-05-02', '[{"price": 1000}]') AS guest,
       pg_temp.buy('f', 3, NULL, '2026-05-02', '[{"price": 7, "category": "tea"}]') AS "no store",
       pg_temp.buy('g', 5, 'S2', '2026-05-03', '[{"price": 70}]') AS g;
SELECT refund('{"ref": "r1", "sale_ref": "a", "refunded_at": "2026-05-05", "lines": [{"line_no": 2}]}') #>> '{payable}' AS refunded;
-- a sale that waits for its lines is in no report
INSERT INTO sale (member_id, ref, store, sold_at) VALUES (4, 'waiting', 'S2', '2026-05-01');
SELECT * FROM store_performance ORDER BY store, month;
SELECT sum(payable) = (SELECT sum(payable) FROM sale) AS payable, sum(sales) = (SELECT count(*) FROM sale WHERE settled_at IS NOT NULL) AS sales,
       sum(refunded) = (SELECT sum(payable) FROM refund) AS refunded, sum(new_members) = (SELECT count(*) FROM member) AS members FROM store_performance;

INSERT INTO tier (tier_code, name, rank) VALUES ('gold', 'Gold', 1);
INSERT INTO member_tier (member_id, tier_code) VALUES (1, 'gold');
SELECT member_id, status, kind, store, tier_code, sales, days, amount, discount, payable, refunds, refunded, net FROM member_consumption ORDER BY 1;
SELECT member_id, average_payable, first_at, last_at, days_between, main_store, main_category,
       days_since_last = (now() AT TIME ZONE 'Asia/Shanghai')::date - (last_at AT TIME ZONE 'Asia/Shanghai')::date AS since FROM member_consumption ORDER BY 1;
-- merged members, also along a chain, are one
UPDATE member SET status = 'merged', merged_into = 1 WHERE member_id = 2;
UPDATE member SET status = 'merged', merged_into = 2 WHERE member_id = 5;
SELECT * FROM member_root ORDER BY 1;
SELECT member_id, sales, days, payable, net, average_payable, days_between, main_store FROM member_consumption ORDER BY 1;
SELECT sum(payable) = (SELECT sum(payable) FROM sale WHERE member_id <> 0) AS payable FROM member_consumption;
SELECT store, month, members, new_members FROM store_performance WHERE members > 0 OR new_members > 0 ORDER BY store, month;
