-- Saved filters: what conditions see of members, counting, listing, combining, tags.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
DROP SCHEMA IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = public, crm_member;
SELECT setseed(0.3);
ALTER TABLE sale DISABLE TRIGGER settle_sale;

INSERT INTO tier (tier_code, name, rank) VALUES ('silver', 'Silver', 1), ('gold', 'Gold', 2);
INSERT INTO member (member_id, store, channel, joined_at, tags, attrs)
  SELECT g, 's' || g % 5, CASE WHEN g % 3 > 0 THEN 'web' END, now() - g * interval '24 hours',
         CASE WHEN g % 10 = 0 THEN '{vip}' ELSE '{}' END::text[], jsonb_build_object('color', CASE g % 2 WHEN 0 THEN 'red' ELSE 'blue' END)
    FROM generate_series(1, 1000) g;
INSERT INTO person (member_id, gender, birthday)
  SELECT g, (ARRAY['F', 'M'])[1 + g % 2], (now() AT TIME ZONE 'Asia/Shanghai')::date - g * 30 FROM generate_series(1, 800) g;
INSERT INTO member_tier (member_id, tier_code) SELECT g, CASE WHEN g % 20 = 0 THEN 'gold' ELSE 'silver' END FROM generate_series(1, 600) g;
INSERT INTO sale (member_id, sale_id, ref, sold_at, amount, discount, payable, settled_at)
  SELECT 1 + (random() * 700)::int, g, g, timestamptz '2025-01-01' + random() * 100 * interval '1 day', 9, 0, (random() * 90)::int, now() FROM generate_series(1, 4000) g;

-- one column for every attribute there is, of the same name
SELECT attribute FROM condition_attributes() a
 WHERE attribute !~ '\(' AND NOT EXISTS (SELECT FROM pg_attribute c WHERE c.attname = split_part(a.attribute, '.', 2)
   AND c.attrelid = ('crm_member.' || split_part(a.attribute, '.', 1) || '_fact')::regclass);
-- before a run nobody has a score, and that is unknown
SELECT count(*), count(rfm_r), count(segment) FROM member_fact;
CALL run_rfm('2025-05-01');
SELECT count(*) FROM member_fact f LEFT JOIN rfm g USING (member_id)
 WHERE (f.rfm_r, f.rfm_f, f.rfm_m, f.segment) IS DISTINCT FROM (g.r, g.f, g.m, g.segment);
SELECT count(*) FROM member_fact f JOIN person p USING (member_id)
 WHERE f.age <> extract(year FROM age((now() AT TIME ZONE 'Asia/Shanghai')::date, p.birthday));
SELECT count(*) FILTER (WHERE first_purchase) = (SELECT count(*) FROM member WHERE member_id NOT IN (SELECT member_id FROM sale)) AS first_purchase,
       bool_and(days_since_join = member_id) AS days_since_join, bool_and(is_birthday) FILTER (WHERE birthday IS NULL) AS unknown FROM member_fact;

INSERT INTO member_filter (filter_code, name, condition, tag) VALUES
  ('best', 'Best', 'member.rfm_r >= 4 and member.rfm_m >= 4', 'best'),
  ('gold', 'Gold', 'member.tier = ''gold''', NULL),
  ('web', 'Web', 'member.channel = ''web''', NULL),
  ('vip', 'VIP', 'member.tag(''vip'') or member.attr(''color'') = ''red'' and member.tier_rank >= 2', NULL),
  ('champions', 'Champions', 'member.segment = ''champions''', NULL),
  ('five', 'Five clauses', 'member.store in (''s1'', ''s2'') and member.gender = ''F'' and member.rfm_f >= 2 and member.days_since_join < 500 and not member.tag(''vip'')', NULL);
SELECT filter_code, filter_count(filter_code), (SELECT count(DISTINCT m) FROM filter_members(filter_code) m) AS listed FROM member_filter ORDER BY 1;
-- the same by hand
SELECT (SELECT count(*) FROM rfm WHERE r >= 4 AND m >= 4) AS best, (SELECT count(*) FROM rfm WHERE segment = 'champions') AS champions,
       (SELECT count(*) FROM member m JOIN person p USING (member_id) JOIN rfm g USING (member_id)
         WHERE m.store IN ('s1', 's2') AND gender = 'F' AND f >= 2 AND joined_at > now() - interval '500 days' AND NOT tags @> '{vip}') AS five;
-- channel is unknown for a third: no match, and nothing a difference takes away
SELECT combined_count('union', 'gold', 'web') AS either, combined_count('intersection', 'gold', 'web') AS both,
       combined_count('difference', 'gold', 'web') AS gold_alone, combined_count('difference', 'gold', 'web', 'vip') AS nobody,
       filter_count('gold') = combined_count('intersection', 'gold', 'web') + combined_count('difference', 'gold', 'web') AS adds_up;
SELECT count(*), count(DISTINCT m) FROM combined_members('union', 'gold', 'web', 'best') m;
SELECT filter_sql('{gold,web}', 'difference');
-- counted as listed, whatever is known of whom, alone and combined
INSERT INTO member (member_id, store, channel, joined_at, tags, attrs)
  SELECT g, NULL, repeat('long ', 1000), now(), ARRAY['vip', repeat('tag', g)], jsonb_build_object('color', repeat('red', g), 'size', g) FROM generate_series(2001, 2020) g;
INSERT INTO member (member_id, attrs) VALUES (2030, '{"color": null}'), (2031, '{}'), (2032, '{"size": "12.50"}'), (2033, '{"size": true}');
INSERT INTO member_filter (filter_code, condition) VALUES
  ('t1', 'member.status = ''active'' and member.kind <> ''dealer'' and member.store in (''s1'', ''s2'') and member.joined_at >= ''2021-01-01'' and member.attr(''color'') = ''red'''),
  ('t2', 'member.rfm_r is null or member.rfm_f between 2 and 3'),
  ('t3', 'not (member.segment in (''champions'', ''lost'') and member.rfm_m > 2)'),
  ('t4', 'member.segment is not null and member.attr(''color'') is null'),
  ('t5', 'member.channel like ''long%'' or member.attr(''size'') >= 12'),
  ('t6', 'member.days_since_join between 10 and 100 and member.rfm_m <= 2'),
  ('t7', 'not member.tag(''vip'') and member.id <= 1000 and member.source is null'),
  ('t8', 'member.store is null and not member.attr(''color'') = ''blue'''),
  ('t9', 'member.rfm_r = 5 or member.tier = ''gold''');
CREATE FUNCTION counted_wrong() RETURNS TABLE (operation text, filters text[], counted bigint, listed bigint) LANGUAGE sql AS $$
  SELECT * FROM (
    SELECT o, f, crm_member.combined_count(o, VARIADIC f), (SELECT count(*) FROM crm_member.combined_members(o, VARIADIC f))
      FROM unnest('{union,intersection,difference}'::text[]) o
     CROSS JOIN (SELECT ARRAY[a.filter_code, 't2'] FROM crm_member.member_filter a
                 UNION ALL SELECT ARRAY[a.filter_code, 'vip', 't8'] FROM crm_member.member_filter a
                 UNION ALL SELECT ARRAY[a.filter_code] FROM crm_member.member_filter a) x (f)) y (o, f, c, l)
   WHERE c <> l $$;
SELECT * FROM counted_wrong();
SELECT filter_code, filter_count(filter_code) FROM member_filter WHERE filter_code ~ '^t.$' ORDER BY 1;
-- which are counted in the pages of the table
SELECT filter_code FROM member_filter WHERE count_members(ARRAY[condition], 'union') IS NULL ORDER BY 1;
-- by several processes
SET min_parallel_table_scan_size = 0;
SELECT * FROM counted_wrong();
RESET min_parallel_table_scan_size;
-- what this transaction has done counts, what it took back does not
BEGIN;
UPDATE member SET store = 's1' WHERE member_id BETWEEN 100 AND 200;
SAVEPOINT s;
DELETE FROM member WHERE member_id BETWEEN 2001 AND 2010;
SELECT * FROM counted_wrong();
ROLLBACK TO s;
SELECT * FROM counted_wrong();
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM counted_wrong();
COMMIT;
-- scores of a run that were lost are read where they come from
BEGIN;
DELETE FROM rfm_snapshot;
SELECT * FROM counted_wrong();
SELECT count_members(ARRAY['member.rfm_r = 5'::condition], 'union') IS NULL AS lost;
ROLLBACK;
-- another definition of segments counts at once
UPDATE segment SET position = 0, r_to = 5, f_to = 5 WHERE segment_set = 'classic' AND segment_code = 'lost';
SELECT * FROM counted_wrong();
SELECT filter_count('champions');
UPDATE segment SET position = 10, r_to = 1, f_to = 1 WHERE segment_set = 'classic' AND segment_code = 'lost';
DELETE FROM member WHERE member_id > 2000;
DELETE FROM member_filter WHERE filter_code ~ '^t.$';
-- a merged member is nobody any more
UPDATE member SET status = 'merged', merged_into = 40 WHERE member_id = 20;
SELECT filter_count('gold');

-- tags by rule
SELECT refresh_segments() = filter_count('best') AS first, refresh_segments() AS again;
UPDATE member SET tags = array_remove(tags, 'best');
SELECT refresh_segments('best') = filter_count('best') AS at_once;
SELECT count(*) FILTER (WHERE tags @> '{best}') = filter_count('best') AS best, count(*) FILTER (WHERE tags @> '{vip}') AS vip FROM member;
INSERT INTO member_filter (filter_code, condition, tag) VALUES ('best too', 'member.id <= 3', 'best');
UPDATE member_filter SET condition = 'member.rfm_r = 5 and member.rfm_m = 5' WHERE filter_code = 'best';
SELECT refresh_segments() > 0;
SELECT count(*) FROM member m WHERE (tags @> '{best}') <> (m.member_id <= 3 OR m.member_id IN (SELECT filter_members('best')));

-- a filter that is not shared is its owner's
UPDATE member_filter SET shared = false WHERE filter_code = 'gold';
SELECT filter_count('gold');
UPDATE member_filter SET owner = 'nobody_here' WHERE filter_code = 'web';
SELECT filter_count('web') > 0 AS shared;
UPDATE member_filter SET shared = false WHERE filter_code = 'web';

\set VERBOSITY sqlstate
SELECT filter_count('web');
SELECT filter_count('nosuch');
SELECT filter_members('nosuch');
SELECT combined_count('union', 'gold', 'nosuch');
SELECT combined_count('minus', 'gold', 'web');
SELECT combined_members('minus', 'gold', 'web');
SELECT filter_sql('{}', 'union');
SELECT refresh_segments('nosuch');
INSERT INTO member_filter (filter_code, condition) VALUES ('x', 'sale.amount > 5');
INSERT INTO member_filter (filter_code, condition) VALUES ('x', 'member.id = 5 or line.price > 5');
INSERT INTO member_filter (filter_code, condition) VALUES ('x', 'member.colour = ''red''');
INSERT INTO member_filter (filter_code, condition, tag) VALUES ('x', 'member.id = 5', '');
\set VERBOSITY default
SELECT filter_count('nosuch');
