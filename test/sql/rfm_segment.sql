-- Segments, the value pyramid, scopes, history, moves and paths.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
DROP SCHEMA IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = public, crm_member;
SELECT setseed(0.1);
ALTER TABLE sale DISABLE TRIGGER settle_sale;
ALTER TABLE sale_line DISABLE TRIGGER settle_sale_line;

-- every bundled set names every score, whatever the bins, and every segment is used with five
SELECT k.segment_set, n AS bins, count(*) AS scores, count(segment_of(k.segment_set, n, s)) AS named
  FROM segment_set k, generate_series(2, 10, 4) n, generate_series(1, n) x, generate_series(1, n) y,
       generate_series(1, n) z, LATERAL (SELECT rfm_score(x, y, z)) v (s)
 GROUP BY 1, 2 ORDER BY 1, 2;
SELECT segment_set, position, segment_code, name_en, name_zh, count(s) AS of_125
  FROM segment g LEFT JOIN (SELECT rfm_score(x, y, z) AS s FROM generate_series(1, 5) x, generate_series(1, 5) y, generate_series(1, 5) z) a
       ON segment_of(segment_set, 5, s) = segment_code
 GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2;
SELECT segment_of('eight', 5, '555'), segment_of('six', 5, '115'), segment_of('classic', 10, '10-10-1'), segment_of('none', 5, '555'), segment_of('six', NULL, '111');

INSERT INTO member (member_id, store) SELECT g, 's' || g % 3 FROM generate_series(1, 2000) g;
INSERT INTO sale (member_id, sale_id, ref, store, channel, sold_at, amount, discount, payable, settled_at)
  SELECT 1 + (random() * random() * 1999)::int, g, g, 's' || g % 3, CASE g % 2 WHEN 0 THEN 'web' ELSE 'store' END,
         timestamptz '2025-01-01 00:00+08' + random() * 300 * interval '1 day', 30, 0, 30, now() FROM generate_series(1, 9000) g;
INSERT INTO sale_line (member_id, sale_id, line_no, category, quantity, price, discount)
  SELECT member_id, sale_id, n, CASE WHEN (sale_id + n) % 3 = 0 THEN 'shoes' ELSE 'hats' END, n, 5 * n, sale_id % 4
    FROM sale, generate_series(1, 2) n;
CALL run_rfm('2025-09-30');

SELECT segment, name_en, name_zh, members > 0 AS used, member_share BETWEEN 0 AND 1 AS share FROM rfm_segment ORDER BY position;
SELECT sum(members) = (SELECT count(*) FROM rfm), round(sum(member_share), 2), sum(monetary) = (SELECT sum(monetary) FROM rfm) FROM rfm_segment;
SELECT count(*) FROM rfm WHERE segment IS DISTINCT FROM segment_of('classic', 5, score) OR (r, f, m) <> (r(score), f(score), m(score));
-- a segment is the user's to edit, and every session sees it at once
UPDATE segment SET r_from = 5, r_to = 5, f_from = 1, f_to = 5, name_en = 'Recent' WHERE (segment_set, segment_code) = ('classic', 'champions');
SELECT count(*) FILTER (WHERE segment = 'champions') = count(*) FILTER (WHERE r = 5) FROM rfm;
DELETE FROM segment WHERE (segment_set, segment_code) = ('classic', 'lost');
DELETE FROM segment WHERE (segment_set, segment_code) = ('classic', 'hibernating');
SELECT segment, members > 0 AS used, position FROM rfm_segment WHERE segment IS NULL;
UPDATE rfm_model SET segments = 'six';
SELECT segment, name_zh, members > 0 AS used FROM rfm_segment ORDER BY position;

-- the value pyramid: 5, 15 and 80 of a hundred
SELECT level, name_en, name_zh, members, abs(members - (SELECT count(*) FROM rfm) * share) < 1.5 AS exact FROM value_pyramid
  JOIN (VALUES ('top', 0.05), ('middle', 0.15), ('base', 0.80)) v (level, share) USING (level) ORDER BY position;
SELECT (SELECT min(monetary) FROM member_value WHERE level = 'top') >= (SELECT max(monetary) FROM member_value WHERE level = 'middle') AS top,
       (SELECT min(monetary) FROM member_value WHERE level = 'middle') >= (SELECT max(monetary) FROM member_value WHERE level = 'base') AS middle,
       (SELECT round(sum(monetary_share), 3) FROM value_pyramid) AS whole;

-- scopes: by store and channel, and by lines
INSERT INTO rfm_model (model_code, name, scope) VALUES
  ('web', 'Web', 'sale.channel = ''web'' and sale.store in (''s1'', ''s2'')');
INSERT INTO rfm_model (model_code, name, scope, frequency_of) VALUES ('shoes', 'Shoes', 'line.category = ''shoes''', 'units');
INSERT INTO rfm_model (model_code, name, scope, monetary_of) VALUES ('hats', 'Hats of a store', 'line.category = ''hats'' and sale.store = ''s0''', 'gross');
INSERT INTO rfm_model (model_code, name, scope, frequency_of) VALUES ('weekend', 'Weekend', 'sale.weekday >= 6', 'units');
CALL run_rfm('2025-09-30', 'web');
CALL run_rfm('2025-09-30', 'shoes');
CALL run_rfm('2025-09-30', 'hats');
CALL run_rfm('2025-09-30', 'weekend');
CREATE VIEW definition AS
  WITH s AS (SELECT * FROM sale WHERE (sold_at AT TIME ZONE 'Asia/Shanghai')::date <= '2025-09-30')
  SELECT 'web' AS model_code, member_id, count(*)::numeric AS f, sum(payable)::numeric AS m FROM s WHERE channel = 'web' AND store IN ('s1', 's2') GROUP BY 2
  UNION ALL SELECT 'shoes', member_id, sum(quantity), sum(l.amount - l.discount) FROM s JOIN sale_line l USING (member_id, sale_id) WHERE category = 'shoes' GROUP BY 2
  UNION ALL SELECT 'hats', member_id, count(DISTINCT sale_id), sum(l.amount) FROM s JOIN sale_line l USING (member_id, sale_id) WHERE category = 'hats' AND store = 's0' GROUP BY 2
  UNION ALL SELECT 'weekend', member_id, sum((SELECT sum(quantity) FROM sale_line l WHERE (l.member_id, l.sale_id) = (s.member_id, s.sale_id))), sum(payable) FROM s
             WHERE extract(isodow FROM sold_at AT TIME ZONE 'Asia/Shanghai') >= 6 GROUP BY 2;
SELECT model_code, count(*) > 100 AS enough, count(*) FILTER (WHERE (d.f, d.m) IS DISTINCT FROM (g.frequency, g.monetary)) AS wrong
  FROM definition d FULL JOIN (SELECT * FROM rfm WHERE model_code <> 'default') g USING (model_code, member_id) GROUP BY 1 ORDER BY 1;
-- and when only some are measured anew
UPDATE sale SET payable = payable + 1 WHERE sale_id % 50 = 0;
UPDATE sale_line SET quantity = quantity + 1 WHERE sale_id % 40 = 0;
CALL run_rfm('2025-09-30', 'web');
CALL run_rfm('2025-09-30', 'shoes');
CALL run_rfm('2025-09-30', 'hats');
CALL run_rfm('2025-09-30', 'weekend');
SELECT model_code, count(*) > 100 AS enough, count(*) FILTER (WHERE (d.f, d.m) IS DISTINCT FROM (g.frequency, g.monetary)) AS wrong
  FROM definition d FULL JOIN (SELECT * FROM rfm WHERE model_code <> 'default') g USING (model_code, member_id) GROUP BY 1 ORDER BY 1;

-- refunds of lines the scope takes, and of no others
INSERT INTO refund (member_id, refund_id, sale_id, source, ref, refunded_at, amount, discount, shipping, payable, money, complete, answer)
  SELECT member_id, sale_id, sale_id, 'x', sale_id, '2025-09-29', 3, 1, 0, 2, 2, false, '{}' FROM sale WHERE sale_id % 30 = 0;
INSERT INTO refund_line (member_id, refund_id, line_no, sale_id, quantity, amount, discount)
  SELECT member_id, sale_id, line_no, sale_id, 0.5, line_no, 0.5 FROM sale_line WHERE sale_id % 30 = 0;
CALL run_rfm('2025-09-30', 'web');
CALL run_rfm('2025-09-30', 'shoes');
CALL run_rfm('2025-09-30', 'hats');
CALL run_rfm('2025-09-30', 'weekend');
CREATE VIEW net AS
  WITH s AS (SELECT * FROM sale WHERE (sold_at AT TIME ZONE 'Asia/Shanghai')::date <= '2025-09-30')
  SELECT model_code, member_id, f - coalesce(bf, 0) AS f, m - coalesce(bm, 0) AS m FROM definition LEFT JOIN (
    SELECT 'web' AS model_code, member_id, 0 AS bf, sum(b.payable - b.shipping) AS bm FROM s JOIN refund b USING (member_id, sale_id) WHERE s.channel = 'web' AND s.store IN ('s1', 's2') GROUP BY 2
    UNION ALL SELECT 'shoes', member_id, sum(x.quantity), sum(x.amount - x.discount) FROM s JOIN sale_line l USING (member_id, sale_id) JOIN refund_line x USING (member_id, sale_id, line_no) WHERE category = 'shoes' GROUP BY 2
    UNION ALL SELECT 'hats', member_id, 0, sum(x.amount) FROM s JOIN sale_line l USING (member_id, sale_id) JOIN refund_line x USING (member_id, sale_id, line_no) WHERE category = 'hats' AND store = 's0' GROUP BY 2
    UNION ALL SELECT 'weekend', member_id, sum((SELECT sum(quantity) FROM refund_line x WHERE (x.member_id, x.refund_id) = (b.member_id, b.refund_id))), sum(b.payable - b.shipping)
                FROM s JOIN refund b USING (member_id, sale_id) WHERE extract(isodow FROM sold_at AT TIME ZONE 'Asia/Shanghai') >= 6 GROUP BY 2) r USING (model_code, member_id);
SELECT model_code, count(*) > 100 AS enough, count(*) FILTER (WHERE (d.f, d.m) IS DISTINCT FROM (g.frequency, g.monetary)) AS wrong
  FROM net d FULL JOIN (SELECT * FROM rfm WHERE model_code <> 'default') g USING (model_code, member_id) GROUP BY 1 ORDER BY 1;

-- history: a snapshot is the scores that were in force
CREATE TABLE was AS SELECT * FROM rfm WHERE model_code = 'default';
SELECT count(*) FROM rfm_scores((SELECT DISTINCT run_id FROM was)) s FULL JOIN was USING (member_id)
 WHERE (s.score, s.segment, s.monetary) IS DISTINCT FROM (was.score, was.segment, was.monetary);
INSERT INTO sale (member_id, sale_id, ref, sold_at, amount, discount, payable, settled_at)
  SELECT 1500 + g % 700, 100000 + g, 'x' || g, '2025-10-05', 9, 0, 9.25, now() FROM generate_series(1, 900) g;
DELETE FROM sale WHERE member_id BETWEEN 1 AND 20;
INSERT INTO sale (member_id, sale_id, ref, sold_at, amount, discount, payable, settled_at)
  VALUES (9223372036854775807, 1, 'big', '2025-10-05', 9, 0, -92233720368547758.07, now());
CALL run_rfm('2025-10-31');
SELECT count(*) FROM rfm_scores((SELECT DISTINCT run_id FROM was)) s FULL JOIN was USING (member_id)
 WHERE (s.score, s.monetary) IS DISTINCT FROM (was.score, was.monetary);
SELECT count(*) FROM rfm_scores((SELECT run_id FROM rfm_state WHERE model_code = 'default')) s
  FULL JOIN (SELECT * FROM rfm WHERE model_code = 'default') n USING (member_id)
 WHERE (s.score, s.segment, s.monetary) IS DISTINCT FROM (n.score, n.segment, n.monetary);
-- who moved where: every member once, and the money of both sides
SELECT sum(members) = (SELECT count(*) FROM was FULL JOIN (SELECT * FROM rfm WHERE model_code = 'default') n USING (member_id)) AS members,
       sum(from_monetary) = (SELECT sum(monetary) FROM was) AS from_monetary,
       sum(to_monetary) = (SELECT sum(monetary) FROM rfm WHERE model_code = 'default') AS to_monetary,
       sum(members) FILTER (WHERE to_segment IS NULL) = 20 AS left_all,
       sum(members) FILTER (WHERE from_segment IS NULL) > 100 AS joined,
       sum(members) FILTER (WHERE from_segment <> to_segment) > 10 AS moved
  FROM rfm_migration WHERE model_code = 'default';
SELECT p.as_of, p.score = CASE p.as_of WHEN '2025-09-30' THEN w.score ELSE n.score END AS score, p.monetary, p.segment = CASE p.as_of WHEN '2025-09-30' THEN w.segment ELSE n.segment END AS segment
  FROM was w JOIN (SELECT * FROM rfm WHERE model_code = 'default') n USING (member_id) CROSS JOIN LATERAL rfm_path(w.member_id) p
 WHERE w.member_id = (SELECT min(member_id) FROM was WHERE member_id > 1000 AND monetary = 30) ORDER BY 1;
SELECT as_of, monetary FROM rfm_path(9223372036854775807);
SELECT count(*) FROM (SELECT rfm_path(-5) UNION ALL SELECT rfm_path(5, 'nosuch')) nobody;
SELECT model_code, as_of, bins, recency_cuts IS NOT NULL AS r, array_length(frequency_cuts, 1) AS f, array_length(monetary_cuts, 1) AS m, in_force FROM rfm_history
 WHERE model_code = 'default' ORDER BY finished_at;
INSERT INTO rfm_model (model_code, name, bins, method, cuts, frequency_of)
  VALUES ('fixed', 'Fixed', 3, 'thresholds', '{"recency": [30, 200], "frequency": [2, 5.5], "monetary": [50, 100.05]}', 'units');
CALL run_rfm('2025-10-31', 'fixed');
SELECT recency_cuts, frequency_cuts, monetary_cuts FROM rfm_history WHERE model_code = 'fixed';
-- snapshots can be forgotten, those in force stay, and so does the record
SELECT forget_scores(now() + interval '1 day', 'default'), forget_scores(now() + interval '1 day'), forget_scores('2000-01-01');
SELECT count(*) FROM rfm_scores((SELECT DISTINCT run_id FROM was));
SELECT count(*) > 100 FROM rfm_scores((SELECT run_id FROM rfm_state WHERE model_code = 'default'));
SELECT count(*) FROM rfm_run WHERE model_code = 'default';

\set VERBOSITY sqlstate
SELECT segment_of('six', 11, '555');
SELECT unpack_scores(1, '\xff');
SELECT unpack_scores(1, '\x0101');
SELECT unpack_scores(1, '\xffffffffffffffffffffffffff0101');
INSERT INTO rfm_model (model_code, name, scope) VALUES ('x', 'x', 'member.tier = ''gold''');
INSERT INTO rfm_model (model_code, name, segments) VALUES ('x', 'x', 'none');
INSERT INTO rfm_model (model_code, method, cuts) VALUES ('x', 'thresholds', '{"recencey": [1, 2, 3, 4]}');
INSERT INTO segment (segment_set, segment_code, position, name_en, name_zh, r_from, r_to) VALUES ('six', 'x', 9, 'x', 'x', 5, 4);
SELECT condition_concerns('member.tier = ''gold''', 'shop');
\set VERBOSITY default
DROP VIEW net, definition;
DROP TABLE was;
