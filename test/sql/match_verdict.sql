--
-- Verdicts bind every later run, and no chain of pairs gets around them.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;

CREATE SCHEMA match_verdict;
SET search_path = match_verdict, public;
CREATE TABLE person (id int PRIMARY KEY, name text, mobile text, email text, birthday text);
INSERT INTO person
SELECT i, (ARRAY['王', '李', '张', '刘', '陈'])[1 + i % 5] || chr(20000 + i * 11) || chr(21000 + i * 17),
       '137' || lpad((i * 104729 % 100000000)::text, 8, '0'), 'user' || i * 7919 || '@qq.com', (date '1970-01-05' + i * 13)::text
FROM generate_series(1, 300) AS i;
-- everybody up to 60 twice, and 1 to 3 three times: 1, 1001, 2001
INSERT INTO person SELECT 1000 + id, name, mobile, NULL, birthday FROM person WHERE id <= 60;
INSERT INTO person SELECT 2000 + id, name, mobile, email, NULL FROM person WHERE id <= 3;
-- and a family: one mobile, one family name
INSERT INTO person VALUES (301, '赵文华', '13611112222', NULL, '1980-02-03'), (302, '赵小雨', '13611112222', NULL, '2005-07-08');
INSERT INTO crm_member.match_model (model_code, source, key, review_threshold) VALUES ('person', 'person', 'id', 0.01);
CREATE VIEW cluster AS
SELECT string_agg(key, ' ' ORDER BY key::int) AS cluster FROM crm_member.duplicate_cluster
WHERE model_code = 'person' GROUP BY cluster_id;
CREATE VIEW around AS SELECT cluster FROM cluster WHERE cluster ~ '\m(1|2|3|301|302|60|1060)\M' ORDER BY 1;

CALL crm_member.find_duplicates('person');
SELECT * FROM around;
SELECT count(*) FROM cluster;

-- different: the pair goes at once, the cluster until the next run, and then for ever
SELECT crm_member.judge_pair('person', '1001', '1', 'different', 'father and son', 'kim');
SELECT count(*) AS pairs_left FROM crm_member.duplicate_pair WHERE left_key = '1' AND right_key = '1001';
SELECT * FROM around;
CALL crm_member.find_duplicates('person');
SELECT count(*) AS pairs_left FROM crm_member.duplicate_pair WHERE left_key = '1' AND right_key = '1001';
-- 2001 agrees with both: it may join one of them only
SELECT count(*) AS joined FROM crm_member.duplicate_cluster AS a JOIN crm_member.duplicate_cluster AS b USING (model_code, cluster_id)
WHERE model_code = 'person' AND a.key = '1' AND b.key = '1001';
SELECT count(*) AS with_2001 FROM cluster WHERE cluster ~ '\m2001\M';

-- same: joined although nothing speaks for it
SELECT crm_member.judge_pair('person', '60', '59', 'same');
CALL crm_member.find_duplicates('person');
SELECT cluster FROM cluster WHERE cluster ~ '\m60\M';
SELECT decision FROM crm_member.duplicate_pair WHERE left_key = '59' AND right_key = '60';

-- later: stays in the queue, at its end; family members wait there, they are not merged
UPDATE crm_member.match_model SET auto_threshold = 0.9999 WHERE model_code = 'person';
INSERT INTO person VALUES (401, '钱多多', '13599990000', NULL, '1999-09-09'), (402, '钱多', '13599990000', NULL, NULL);
CALL crm_member.find_duplicates('person');
SELECT left_key, right_key, verdict FROM crm_member.duplicate_queue WHERE left_key IN ('301', '401');
SELECT crm_member.judge_pair('person', '401', '402', 'later');
SELECT (array_agg(left_key))[count(*)] AS last, count(*) FILTER (WHERE verdict = 'later') AS later FROM crm_member.duplicate_queue;
SELECT crm_member.judge_pair('person', '402', '401', 'same', 'asked her', 'kim');
SELECT count(*) FROM crm_member.duplicate_queue WHERE left_key = '401';
SELECT model_code, left_key, right_key, verdict, reason, actor FROM crm_member.match_verdict ORDER BY left_key::int;

-- members
SELECT crm_member.register_member(name => '吴双', mobile => '13712340001') AS a \gset
SELECT crm_member.register_member(name => '吴双', mobile => '13712340002') AS b \gset
SELECT crm_member.mark_distinct(:b, :a, 'two girls', 'kim');
SELECT verdict, reason, actor, left_key <> right_key AS a_pair FROM crm_member.match_verdict WHERE model_code = 'member';

-- what was said of a member that has been merged holds for its survivor
SELECT count(crm_member.register_member(name => (ARRAY['王', '李', '赵', '刘', '陈'])[1 + i % 5] || chr(20000 + i * 11) || chr(21000 + i * 17),
  mobile => '137' || lpad((i * 104729 % 100000000)::text, 8, '0'), birthday => date '1970-01-05' + i * 13))
FROM generate_series(1, 100) AS i;
SELECT crm_member.register_member(name => '吴双', birthday => '1990-05-06', mobile => '13712340003') AS c \gset
UPDATE crm_member.person SET birthday = '1990-05-06', mobile = '13712340003' WHERE member_id IN (:a, :b);
CALL crm_member.find_duplicates();
SELECT count(*) AS a_and_b FROM crm_member.duplicate_pair WHERE model_code = 'member' AND left_key IN (:'a', :'b') AND right_key IN (:'a', :'b');
SELECT count(*) > 0 AS with_c FROM crm_member.duplicate_pair WHERE model_code = 'member' AND :'c' IN (left_key, right_key);
UPDATE crm_member.member SET status = 'merged', merged_into = :c WHERE member_id = :a;
CALL crm_member.find_duplicates();
SELECT count(*) AS b_and_c FROM crm_member.duplicate_pair WHERE model_code = 'member' AND :'c' IN (left_key, right_key);
SELECT crm_member.mark_distinct(:a, 1, 'nobody');
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.mark_distinct(:a, :a);
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.judge_pair('person', '1', '2', 'perhaps');
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.judge_pair('person', '1', NULL, 'same');
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.judge_pair('nobody', '1', '2', 'same');
\echo :LAST_ERROR_SQLSTATE

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA match_verdict CASCADE;
