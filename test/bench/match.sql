-- Finding duplicates among :n members (default 100000), beside what plain SQL offers:
-- a join on the normalised mobile, which finds only those, and a self-join on trigrams
-- of the name, of which a sample of :sample rows (default 200) is run and extrapolated;
-- once with names in letters, where trigrams are common, and once with names in Han.
-- Then connected components of about 9 :n edges beside a recursive CTE, and search before
-- create and registration among :n members.
--
-- Run it in a database where CREATE EXTENSION crm_member and setup() have been done.
\set QUIET on
\if :{?n} \else \set n 100000 \endif
\if :{?sample} \else \set sample 200 \endif
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
DROP SCHEMA IF EXISTS match_bench CASCADE;
CREATE SCHEMA match_bench;
SET search_path = match_bench, public;

SELECT setseed(0.42) AS seed \gset
CREATE TABLE member AS
SELECT i::bigint AS id,
       substr('王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎', 1 + floor(power(random(), 1.7) * 48)::int, 1)
       || substr('伟芳娜秀敏静丽强磊军洋勇艳杰娟涛明超平刚桂英华玉兰鑫波浩丹雪婷琳峰鹏飞凯红珍梅霞', 1 + floor(power(random(), 1.3) * 40)::int, 1)
       || substr('瑞珊青宁春龙海光志建成东亮斌云翔淑文佳怡子涵轩彤康乐晨思梦可伟芳娜秀敏静丽强磊军', 1 + floor(power(random(), 1.3) * 40)::int, 1) AS name,
       '1' || (ARRAY['38', '39', '50', '86', '87', '58'])[1 + floor(random() * 6)::int] || lpad(floor(random() * 100000000)::text, 8, '0') AS mobile,
       CASE WHEN random() < 0.6 THEN date '1950-01-01' + floor(random() * 20000)::int END AS birthday,
       (ARRAY['上海', '北京', '杭州', '广州', '深圳', '成都', '武汉', '南京', '苏州', '西安'])[1 + floor(random() * 10)::int] AS city
FROM generate_series(1, :n * 95 / 100) AS i;
INSERT INTO member
SELECT :n * 95 / 100 + k, CASE k % 3 WHEN 0 THEN left(name, 1) || '先生' ELSE name END,
       CASE k % 2 WHEN 0 THEN '+86 ' || mobile ELSE '139' || lpad((k * 7919 % 100000000)::text, 8, '0') END, birthday, city
FROM (SELECT row_number() OVER () AS k, m.* FROM (SELECT * FROM member ORDER BY md5(id::text) LIMIT :n * 5 / 100) AS m) AS d;
ANALYZE member;

CREATE TEMP TABLE lap (what text, seconds numeric, found bigint, note text);
\set clock 'SELECT clock_timestamp() AS started \\gset'

:clock
SELECT count(*) AS found FROM (SELECT id, right(regexp_replace(mobile, '\D', '', 'g'), 11) AS m FROM member OFFSET 0) AS a
JOIN (SELECT id, right(regexp_replace(mobile, '\D', '', 'g'), 11) AS m FROM member OFFSET 0) AS b USING (m) WHERE a.id < b.id \gset
INSERT INTO lap VALUES ('plain SQL, equal mobile', extract(epoch FROM clock_timestamp() - :'started'), :found, 'misses changed and mistyped numbers, joins families');

-- names in letters, 50 family names and two of 70 syllables: what a self-join on trigrams is slow with
CREATE TABLE latin AS
WITH syllable AS (
  SELECT string_to_array('wang,li,zhang,liu,chen,yang,zhao,huang,zhou,wu,xu,sun,hu,zhu,gao,lin,he,guo,ma,luo,liang,song,zheng,xie,han,tang,feng,yu,dong,xiao,cheng,cao,yuan,deng,ouyang,fu,shen,zeng,peng,lyu,su,lu,jiang,cai,jia,ding,wei,xue,ye,yan', ',') AS family,
         string_to_array('wei,fang,na,xiu,min,jing,li,qiang,lei,jun,yang,yong,yan,jie,juan,tao,ming,chao,ping,gang,gui,ying,hua,yu,lan,xin,bo,hao,dan,xue,ting,lin,feng,peng,fei,kai,hong,zhen,mei,xia,rui,shan,qing,ning,chun,long,hai,guang,zhi,jian,cheng,dong,liang,bin,yun,xiang,shu,wen,jia,yi,zi,han,xuan,tong,kang,le,chen,si,meng,ke', ',') AS given)
SELECT id, family[1 + floor(power(random(), 1.7) * 50)::int] || ' ' || given[1 + floor(power(random(), 1.3) * 70)::int] || given[1 + floor(power(random(), 1.3) * 70)::int] AS name,
       mobile, birthday
FROM syllable, member;
UPDATE latin AS d SET name = CASE k % 4 WHEN 0 THEN o.name WHEN 1 THEN left(o.name, -1) WHEN 2 THEN overlay(o.name PLACING 'a' FROM 1 + (k % length(o.name))::int FOR 1) ELSE replace(o.name, ' ', '') END
FROM (SELECT row_number() OVER () AS k, m.id FROM (SELECT * FROM member WHERE id <= :n * 95 / 100 ORDER BY md5(id::text) LIMIT :n * 5 / 100) AS m) AS s JOIN latin AS o USING (id)
WHERE d.id = :n * 95 / 100 + s.k;
CREATE INDEX latin_name ON latin USING gin (name gin_trgm_ops);
VACUUM ANALYZE latin;
SET enable_seqscan = off;
SET pg_trgm.similarity_threshold = 0.5;
:clock
SELECT count(*) AS found FROM (SELECT * FROM latin WHERE id % (:n / :sample) = 0 OFFSET 0) AS a JOIN latin AS b ON a.name % b.name AND a.id <> b.id \gset
INSERT INTO lap VALUES ('names in letters: trigrams by GIN', extract(epoch FROM clock_timestamp() - :'started') * :n / :sample, :found * :n / :sample / 2, 'extrapolated');
RESET enable_seqscan;
INSERT INTO crm_member.match_model (model_code, source, key) VALUES ('match_bench', 'match_bench.latin', 'id');
:clock
CALL crm_member.find_duplicates('match_bench');
SELECT pairs AS found, candidates FROM crm_member.match_run WHERE model_code = 'match_bench' ORDER BY run_at DESC LIMIT 1 \gset
INSERT INTO lap VALUES ('names in letters: find_duplicates', extract(epoch FROM clock_timestamp() - :'started'), :found, :candidates || ' pairs compared in all fields, weighed, grouped, written');
SELECT what, round(seconds, 2) AS seconds, found, round((SELECT max(seconds) FROM lap WHERE what LIKE 'names%GIN') / seconds, 1) AS times_gin, note
FROM lap WHERE what LIKE 'names%';
DELETE FROM lap WHERE what LIKE 'names%';
DELETE FROM crm_member.match_model WHERE model_code = 'match_bench';

CREATE INDEX member_name ON member USING gin (name gin_trgm_ops);
SET enable_seqscan = off;
SET pg_trgm.similarity_threshold = 0.5;
:clock
SELECT count(*) AS found FROM (SELECT * FROM member WHERE id % (:n / :sample) = 0 OFFSET 0) AS a JOIN member AS b ON a.name % b.name AND a.id <> b.id \gset
INSERT INTO lap VALUES ('plain SQL, trigrams of the name by GIN', extract(epoch FROM clock_timestamp() - :'started') * :n / :sample, :found * :n / :sample / 2, 'extrapolated');
RESET enable_seqscan;

INSERT INTO crm_member.match_model (model_code, source, key) VALUES ('match_bench', 'match_bench.member', 'id')
ON CONFLICT (model_code) DO NOTHING;
:clock
CALL crm_member.find_duplicates('match_bench');
SELECT pairs AS found, candidates FROM crm_member.match_run WHERE model_code = 'match_bench' ORDER BY run_at DESC LIMIT 1 \gset
INSERT INTO lap VALUES ('find_duplicates', extract(epoch FROM clock_timestamp() - :'started'), :found, :candidates || ' pairs compared in all fields, weighed, grouped, written');

SELECT what, round(seconds, 2) AS seconds, found,
       round((SELECT seconds FROM lap WHERE what = 'find_duplicates') / seconds, 4) AS ours_over_theirs, note FROM lap;
DELETE FROM crm_member.match_model WHERE model_code = 'match_bench';

-- groups of two to six, and ten chains of twelve
CREATE TABLE edge AS
SELECT g * 10 + 1 + floor(random() * k)::bigint AS a, g * 10 + 1 + k::bigint AS b
FROM generate_series(1, :n * 3) AS g, LATERAL generate_series(1, 1 + g % 5) AS k;
INSERT INTO edge SELECT 1000000000 + c * 100 + k, 1000000000 + c * 100 + k + 1 FROM generate_series(1, 10) AS c, generate_series(1, 11) AS k;
VACUUM ANALYZE edge;
SET jit = off;
DELETE FROM lap;
:clock
SELECT count(*) AS found, sum(component) AS check FROM crm_member.connected_components('SELECT a, b FROM edge') \gset
INSERT INTO lap VALUES ('connected_components', extract(epoch FROM clock_timestamp() - :'started'), :found, :'check');
:clock
WITH RECURSIVE e AS MATERIALIZED (SELECT a, b FROM edge UNION ALL SELECT b, a FROM edge),
r (id, root) AS (SELECT a, a FROM e UNION SELECT e.b, r.root FROM r JOIN e ON e.a = r.id)
SELECT count(*) AS found, sum(root) AS check FROM (SELECT id, min(root) AS root FROM r GROUP BY id) AS x \gset
INSERT INTO lap VALUES ('recursive CTE', extract(epoch FROM clock_timestamp() - :'started'), :found, :'check');
:clock
SELECT count(*) AS found, sum(component) AS check FROM crm_member.connected_components('SELECT a, b FROM edge') \gset
INSERT INTO lap VALUES ('connected_components', extract(epoch FROM clock_timestamp() - :'started'), :found, :'check');
SELECT what, round(seconds, 3) AS seconds, found AS keys, note AS sum_of_components,
       round((SELECT seconds FROM lap WHERE what = 'recursive CTE') / seconds, 1) AS times_the_cte FROM lap;

-- the same people as members: search before create, then registration
INSERT INTO crm_member.member (member_id, attrs) SELECT id * 65536 + 1, jsonb_build_object('city', city) FROM member;
INSERT INTO crm_member.person (member_id, name, mobile, birthday) SELECT id * 65536 + 1, name, mobile, birthday FROM member;
VACUUM ANALYZE crm_member.person;
VACUUM ANALYZE crm_member.match_key;
CREATE TEMP TABLE call (milliseconds float8);
DO $$
DECLARE
  candidate jsonb;
  began timestamptz;
BEGIN
  -- one in ten gives only a family name
  FOR candidate IN SELECT jsonb_build_object('name', CASE WHEN id % 10 = 0 THEN left(name, 1) || '先生' ELSE name END, 'mobile', mobile, 'birthday', birthday) FROM match_bench.member ORDER BY md5(id::text) LIMIT 2000 LOOP
    began := clock_timestamp();
    PERFORM crm_member.match_member(candidate);
    INSERT INTO call VALUES (extract(epoch FROM clock_timestamp() - began) * 1000);
  END LOOP;
END
$$;
SELECT 'match_member, ms' AS what, count(*) AS calls, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY milliseconds)::numeric, 2) AS p50,
       round(percentile_cont(0.99) WITHIN GROUP (ORDER BY milliseconds)::numeric, 2) AS p99, round(max(milliseconds)::numeric, 2) AS longest FROM call;
:clock
DO $$
DECLARE
  new jsonb;
BEGIN
  FOR i IN 1..2000 LOOP
    new := jsonb_build_object('name', '赵' || chr(20000 + i) || chr(21000 + i), 'mobile', '166' || lpad(i::text, 8, '0'));
    PERFORM crm_member.match_member(new, 3);
    PERFORM crm_member.register_member(name => new ->> 'name', mobile => new ->> 'mobile');
  END LOOP;
END
$$;
SELECT 'search and registration, one client, in one transaction' AS what, round(2000 / extract(epoch FROM clock_timestamp() - :'started')) AS a_second;
DROP SCHEMA match_bench CASCADE;
