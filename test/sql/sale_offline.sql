--
-- Sales of tills that were offline: they come late, out of order, more than once,
-- some of them broken. What they earn is judged by when they were sold; nothing is
-- doubled, nothing half done.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'UTC');
INSERT INTO crm_member.member (member_id, status) VALUES (1, 'active'), (2, 'active'), (3, 'cancelled');
INSERT INTO crm_member.points_rule (rule_code, award, points, valid_from, valid_to, condition, member_limit, limit_period) VALUES
  ('base', 'per_amount', 1, NULL, NULL, NULL, NULL, NULL),
  ('june', 'fixed', 100, '2026-06-01', '2026-06-30 23:59:59', NULL, NULL, NULL),
  ('sunday', 'fixed', 7, NULL, NULL, 'sale.weekday = 7', NULL, NULL),
  ('daily', 'fixed', 5, NULL, NULL, NULL, 8, 'day');
CREATE FUNCTION ticket(ref text, member bigint, sold_at timestamptz, price numeric) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object('ref', ref, 'source', 'till', 'member_id', member, 'sold_at', sold_at, 'lines', jsonb_build_array(jsonb_build_object('price', price)))) $$;
CREATE FUNCTION earned(answer jsonb) RETURNS text LANGUAGE sql AS $$ SELECT answer->'points'->>'earned' $$;

-- online in July, then what was sold in June comes: it has June's rules, and the day's limit of its own day
SELECT earned(crm_member.checkout(ticket('100', 1, '2026-07-02 10:00', 10))) AS july;
SELECT earned(crm_member.checkout(ticket('003', 1, '2026-06-28 18:00', 10))) AS sunday_in_june,
       earned(crm_member.checkout(ticket('002', 1, '2026-06-28 17:00', 10))) AS an_hour_before_it,
       earned(crm_member.checkout(ticket('001', 1, '2026-06-28 16:00', 10))) AS and_before_that;
-- the upload is repeated, in another order: the first answers, nothing new
SELECT earned(crm_member.checkout(ticket('001', 1, '2026-06-28 16:00', 10))), earned(crm_member.checkout(ticket('100', 1, '2026-07-02 10:00', 10))),
       earned(crm_member.checkout(ticket('003', 1, '2026-06-28 18:00', 10))), earned(crm_member.checkout(ticket('002', 1, '2026-06-28 17:00', 10)));
SELECT count(*) AS sales, sum(payable) AS payable, (SELECT balance FROM crm_member.points_account) AS balance, (SELECT count(*) FROM crm_member.verify_ledger()) AS violations FROM crm_member.sale;

-- a till that uploads all it has, whatever becomes of each: what is broken is named, and all the rest is in
CREATE TABLE upload (n int PRIMARY KEY, document jsonb);
INSERT INTO upload VALUES (1, ticket('a', 1, '2026-07-03 09:00', 20)), (2, ticket('b', 3, '2026-07-03 09:05', 20)), (3, ticket('c', NULL, '2026-07-03 09:10', 20)),
  (4, ticket('a', 1, '2026-07-03 09:00', 20)), (5, ticket('a', 2, '2026-07-03 09:00', 20)), (6, ticket('d', 99, '2026-07-03 09:15', 20)), (7, ticket('e', 2, '2026-07-03 09:20', 20));
CREATE FUNCTION ring_up(document jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RETURN coalesce(public.earned(crm_member.checkout(document)), 'nothing') || ' earned'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $$;
SELECT n, document->>'ref' AS ref, ring_up(document) FROM upload ORDER BY n;
UPDATE crm_member.member SET status = 'active' WHERE member_id = 3;
SELECT n, document->>'ref' AS ref, ring_up(document) FROM upload ORDER BY n;
SELECT count(*) AS sales, count(DISTINCT ref) AS refs FROM crm_member.sale WHERE ref IN ('a', 'b', 'c', 'd', 'e');

-- the same as rows: one statement, all or nothing
CREATE TABLE file (n int, member_id bigint, ref text, sold_at timestamptz, price numeric);
INSERT INTO file VALUES (1, 1, 'f1', '2026-06-30 23:00', 30), (2, 2, 'f2', '2026-06-29 12:00', 30), (3, 0, 'f3', '2026-06-29 13:00', 30), (4, 2, 'f4', '2026-06-28 11:00', 30), (5, 2, 'f2', '2026-06-29 12:00', 30);
CREATE FUNCTION load(only_new boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price)
    SELECT member_id, 5000 + n, 1, price FROM public.file f WHERE NOT only_new OR NOT EXISTS (SELECT FROM crm_member.sale_ref r WHERE r.source = 'till' AND r.ref = f.ref);
  INSERT INTO crm_member.sale (member_id, sale_id, source, ref, sold_at)
    SELECT member_id, 5000 + n, 'till', ref, sold_at FROM public.file f WHERE NOT only_new OR NOT EXISTS (SELECT FROM crm_member.sale_ref r WHERE r.source = 'till' AND r.ref = f.ref);
  RETURN 'loaded';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE VIEW loaded AS SELECT s.ref, s.payable, (SELECT sum(points) FROM crm_member.points_entry e WHERE e.sale_id = s.sale_id) AS earned FROM crm_member.sale s WHERE s.sale_id > 5000 AND s.sale_id < 6000 ORDER BY 1;
-- a reference twice in the file
SELECT load(false), (SELECT count(*) FROM loaded), (SELECT count(*) FROM crm_member.sale_ref WHERE ref LIKE 'f_'), (SELECT count(*) FROM crm_member.sale_line WHERE sale_id BETWEEN 5000 AND 6000);
DELETE FROM file WHERE n = 5;
-- somebody nobody knows
INSERT INTO file VALUES (6, 77, 'f6', '2026-06-29 14:00', 30);
SELECT load(false), (SELECT count(*) FROM loaded), (SELECT count(*) FROM crm_member.sale_ref WHERE ref LIKE 'f_'), (SELECT count(*) FROM crm_member.points_entry WHERE sale_id BETWEEN 5000 AND 6000);
UPDATE file SET member_id = 2 WHERE n = 6;
SELECT load(false);
SELECT * FROM loaded;
-- the file once more; and with what came since
SELECT load(false);
INSERT INTO file VALUES (7, 1, 'f7', '2026-06-01 00:00', 30);
SELECT load(true);
SELECT * FROM loaded;
SELECT count(*) AS violations FROM crm_member.verify_ledger();

-- a basket of 10,000 lines, quoted, rung up, sent again
CREATE FUNCTION big(ref text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('ref', ref, 'source', 'till', 'member_id', 2, 'sold_at', '2026-07-05 12:00Z', 'lines', (SELECT jsonb_agg(jsonb_build_object('sku', 'S' || l, 'price', 1 + l % 7)) FROM generate_series(1, 10000) l)) $$;
SELECT jsonb_array_length(a->'lines') AS lines, a->>'payable' AS payable, earned(a) FROM crm_member.quote(big('big')) a;
SELECT jsonb_array_length(a->'lines') AS lines, a->>'payable' AS payable, earned(a) FROM crm_member.checkout(big('big')) a;
SELECT jsonb_array_length(a->'lines') AS lines, a->>'payable' AS payable, earned(a) FROM crm_member.checkout(big('big')) a;
SELECT count(*), sum(l.amount) FROM crm_member.sale_line l JOIN crm_member.sale s USING (member_id, sale_id) WHERE s.ref = 'big';

-- quote() writes nothing: it runs where nothing may be written, and takes no transaction number
BEGIN;
SELECT earned(crm_member.quote(ticket('q', 1, '2026-06-28 16:00', 10))), pg_current_xact_id_if_assigned() IS NULL AS nothing_written;
COMMIT;
BEGIN READ ONLY;
SELECT earned(crm_member.quote(ticket('q', 1, '2026-06-28 16:00', 10)));
COMMIT;
SELECT count(*) AS violations FROM crm_member.verify_ledger();
-- a settled sale takes no more lines
INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price) SELECT member_id, sale_id, 20000, 1 FROM crm_member.sale WHERE ref = 'big';
\echo :LAST_ERROR_SQLSTATE

-- a till that rings up what came as rows gets its answer; another sale under that reference is refused
INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price) VALUES (1, 7001, 2, 5), (1, 7001, 1, 20);
INSERT INTO crm_member.sale (member_id, sale_id, source, ref, sold_at) VALUES (1, 7001, 'till', 'g1', '2026-08-03 10:00');
SELECT earned(crm_member.checkout('{"source": "till", "ref": "g1", "member_id": 1, "sold_at": "2026-08-03 10:00", "lines": [{"line_no": 2, "price": 5.00}, {"line_no": 1, "price": 20}]}'));
SELECT ring_up('{"source": "till", "ref": "g1", "member_id": 2, "sold_at": "2026-08-03 10:00", "lines": [{"price": 20}, {"price": 5}]}');
SELECT ring_up('{"source": "till", "ref": "g1", "sold_at": "2026-08-03 10:00", "lines": [{"price": 20}, {"price": 5}]}');
SELECT ring_up('{"source": "till", "ref": "g1", "member_id": 1, "sold_at": "2026-08-03 10:00", "lines": [{"price": 20}, {"price": 6}]}');
SELECT ring_up('{"source": "till", "ref": "g1", "member_id": 1, "sold_at": "2026-08-03 10:00", "lines": [{"price": 20}]}');

-- a load of many, whose lines are read together, gives what the same sales give one by one; lines lie about in any order, and headers without any go on waiting
INSERT INTO crm_member.member (member_id, status) SELECT n, 'active' FROM generate_series(1001, 1150) n UNION ALL SELECT n, 'active' FROM generate_series(2001, 2150) n;
CREATE TABLE sold AS SELECT n AS sale, n % 150 + 1 AS buyer, timestamptz '2026-06-20 09:00' + n * interval '37 minutes' AS sold_at, n % 5 AS lines FROM generate_series(1, 1201) n;
ALTER TABLE crm_member.sale DISABLE TRIGGER settle_sale;
ALTER TABLE crm_member.sale_line DISABLE TRIGGER settle_sale_line;
INSERT INTO crm_member.sale (member_id, sale_id, source, ref, sold_at) SELECT 1000 + buyer, 10000 + sale, 'load', sale, sold_at FROM sold ORDER BY sale % 7;
INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price) SELECT 1000 + buyer, 10000 + sale, l, 3 * sale % 19 + l / 4.0 FROM sold, generate_series(1, lines) l ORDER BY l % 3, sale % 11, l DESC;
ALTER TABLE crm_member.sale ENABLE TRIGGER settle_sale;
ALTER TABLE crm_member.sale_line ENABLE TRIGGER settle_sale_line;
BEGIN;
SELECT crm_member.settle_sales(), (SELECT count(*) FROM sold WHERE lines > 0) AS with_lines;
SELECT seq_scan > 0 AS lines_read_as_a_whole FROM pg_stat_xact_user_tables WHERE relid = 'crm_member.sale_line'::regclass;
COMMIT;
SELECT crm_member.settle_sales(), (SELECT count(*) FROM crm_member.sale WHERE settled_at IS NULL AND source = 'load') AS waiting;
DO $$ DECLARE s record; BEGIN
  FOR s IN SELECT * FROM sold WHERE lines > 0 ORDER BY sold_at LOOP
    INSERT INTO crm_member.sale (member_id, sale_id, source, ref, sold_at) VALUES (2000 + s.buyer, 20000 + s.sale, 'each', s.sale, s.sold_at);
    INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price) SELECT 2000 + s.buyer, 20000 + s.sale, l, 3 * s.sale % 19 + l / 4.0 FROM generate_series(1, s.lines) l;
  END LOOP; END $$;
CREATE VIEW booked AS SELECT member_id / 1000 AS way, member_id % 1000 AS buyer, sale_id % 10000 AS sale, points, balance, at, rules, rule_points, line_nos, line_points, amount, payable, remaining
FROM crm_member.points_entry JOIN crm_member.sale USING (member_id, sale_id) JOIN crm_member.points_lot l USING (member_id, points_type, points) WHERE l.lot_no = entry_no AND source IN ('load', 'each');
SELECT count(*) AS entries, sum(points) AS points, (SELECT count(*) FROM (SELECT * FROM booked WHERE way = 1) a FULL JOIN (SELECT * FROM booked WHERE way = 2) b USING (sale)
  WHERE (to_jsonb(a) - 'way') IS DISTINCT FROM (to_jsonb(b) - 'way')) AS different FROM booked WHERE way = 1;
SELECT count(*) AS violations FROM crm_member.verify_ledger();
DROP VIEW booked;
DROP TABLE sold;

SET client_min_messages = warning;
DROP VIEW loaded;
DROP FUNCTION ticket, earned, ring_up, load, big;
DROP TABLE upload, file;
