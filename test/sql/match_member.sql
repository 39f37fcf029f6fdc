--
-- Search before create: who may this be?
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;

SELECT crm_member.register_member(name => '张伟', mobile => '13912345678', birthday => '1990-05-06', gender => 'M') AS wei \gset
SELECT crm_member.register_member(name => '李娜', mobile => '13912345679', email => 'lina.88@gmail.com') AS na \gset
SELECT crm_member.register_member(name => '张伟', birthday => '1985-01-02') AS other_wei \gset
SELECT crm_member.register_member(name => '欧阳修文', mobile => '13700001111', attrs => '{"nickname": "momo"}') AS ouyang \gset
SELECT crm_member.bind_identity(:ouyang, 'wechat_unionid', 'oXYZ123456') = :ouyang AS bound;
CREATE TEMP TABLE who (member_id bigint PRIMARY KEY, who text);
INSERT INTO who VALUES (:wei, 'wei'), (:na, 'na'), (:other_wei, 'other wei'), (:ouyang, 'ouyang');
-- some hundred others, so that names have a frequency
SELECT count(crm_member.register_member(name => (ARRAY['王', '李', '赵', '刘', '陈'])[1 + i % 5] || chr(20000 + i * 11) || chr(21000 + i * 17),
  mobile => '137' || lpad((i * 104729 % 100000000)::text, 8, '0'), birthday => date '1970-01-05' + i * 13))
FROM generate_series(1, 300) AS i;

CREATE FUNCTION pg_temp.ask(candidate jsonb, OUT who text, OUT likely boolean, OUT levels jsonb, OUT exact boolean) RETURNS SETOF record
LANGUAGE sql AS $$
  SELECT coalesce(w.who, 'somebody'), m.probability > 0.9, jsonb_path_query_array(m.evidence, '$.fields[*].level'),
         m.weight = (m.evidence ->> 'prior')::numeric + (m.evidence ->> 'relation')::numeric +
           (SELECT sum((f ->> 'weight')::numeric + (f ->> 'frequency')::numeric) FROM jsonb_array_elements(m.evidence -> 'fields') AS f)
  FROM crm_member.match_member(candidate) AS m LEFT JOIN who AS w USING (member_id)
$$;
SELECT * FROM pg_temp.ask('{"name": "張偉先生", "mobile": "+86 139-1234-5678"}');
SELECT * FROM pg_temp.ask('{"name": "Zhang Wei", "birthday": "1990年05月06日"}');
SELECT * FROM pg_temp.ask('{"name": "Li Na", "email": "li.na88+shop@gmail.com"}');
SELECT * FROM pg_temp.ask('{"name": "李女士", "mobile": "139****5679"}');
SELECT * FROM pg_temp.ask('{"wechat_unionid": "oXYZ123456"}');
SELECT * FROM pg_temp.ask('{"name": "欧阳先生", "mobile": 13700001111, "nickname": "MOMO", "city": null}');
SELECT * FROM pg_temp.ask('{"name": "欧阳修文", "mobile": "13700001112"}');
-- nobody
SELECT * FROM pg_temp.ask('{"name": "沈括", "mobile": "15800000001"}');
SELECT * FROM pg_temp.ask('{"mobile": "13800138000"}');
SELECT * FROM pg_temp.ask('{}');
SELECT count(*) FROM crm_member.match_member(NULL);
SELECT count(*) FROM crm_member.match_member('{"name": "张伟"}', 1);
SELECT count(*) FROM crm_member.match_member(candidate => '{"name": "张伟"}', "limit" => NULL);

-- the keys follow what is known of a member
UPDATE crm_member.person SET mobile = '13599998888', name = '张玮' WHERE member_id = :wei;
SELECT * FROM pg_temp.ask('{"mobile": "13912345678"}');
SELECT * FROM pg_temp.ask('{"name": "张玮", "mobile": "13599998888"}');
DELETE FROM crm_member.person WHERE member_id = :na;
SELECT * FROM pg_temp.ask('{"name": "Li Na", "email": "lina88@gmail.com"}');
-- a merged member is answered by its survivor
UPDATE crm_member.member SET status = 'merged', merged_into = :other_wei WHERE member_id = :wei;
SELECT * FROM pg_temp.ask('{"mobile": "13599998888"}');

-- keys of another version are made anew
UPDATE crm_member.match_key SET version = 'old', keys = '{}' WHERE member_id = :ouyang;
DELETE FROM crm_member.match_key WHERE member_id = :other_wei;
SELECT * FROM pg_temp.ask('{"mobile": "13700001111"}');
CALL crm_member.rekey_members();
SELECT * FROM pg_temp.ask('{"mobile": "13700001111"}');
SELECT count(*) AS without FROM crm_member.person LEFT JOIN crm_member.match_key USING (member_id)
WHERE version IS DISTINCT FROM crm_member.match_key_version();

-- a new secret: all keys are others, and find the same
CREATE TEMP TABLE old_key AS SELECT member_id, unnest(keys) AS key, version FROM crm_member.match_key;
CREATE TEMP TABLE old_found AS SELECT * FROM crm_member.match_member('{"name": "歐陽修文", "mobile": "13700001111"}');
SELECT crm_member.match_keys('欧阳修文', '13700001111', NULL, NULL) AS before \gset
BEGIN;
UPDATE crm_member.match_secret SET key = decode(repeat('00112233445566778899aabbccddeeff', 2), 'hex');
SELECT count(*) > 0 AS keyed, count(*) FILTER (WHERE version <> crm_member.match_key_version()) AS stale,
       (SELECT count(*) FROM crm_member.match_key AS k, unnest(k.keys) AS x WHERE EXISTS (SELECT FROM old_key AS o WHERE o.key = x)) AS kept,
       (SELECT count(*) FROM crm_member.match_key) = (SELECT count(DISTINCT member_id) FROM old_key) AS as_many,
       (SELECT count(*) FROM crm_member.match_key AS k, unnest(k.keys)) = (SELECT count(*) FROM old_key) AS as_many_keys,
       crm_member.match_keys('欧阳修文', '13700001111', NULL, NULL) && :'before' AS same_keys
FROM crm_member.match_key;
CREATE TEMP TABLE new_found AS SELECT * FROM crm_member.match_member('{"name": "歐陽修文", "mobile": "13700001111"}');
SELECT count(*) AS found, (SELECT count(*) FROM ((TABLE old_found EXCEPT ALL TABLE new_found) UNION ALL (TABLE new_found EXCEPT ALL TABLE old_found)) AS x) AS differ FROM new_found;
ROLLBACK;
SELECT crm_member.match_keys('欧阳修文', '13700001111', NULL, NULL) = :'before' AS taken_back,
       (SELECT count(*) FROM crm_member.match_member('{"mobile": "13700001111"}')) AS found;
UPDATE crm_member.match_secret SET key = '\x00';
\echo :LAST_ERROR_SQLSTATE

-- the last run of the model gives the shares
CALL crm_member.find_duplicates();
SELECT * FROM pg_temp.ask('{"name": "欧阳修文", "mobile": "13700001111"}');

-- registration that looks first: the unlike, the likely, what is unique, a repeated call, a bad threshold
SELECT crm_member.register_member(name => '沈括', birthday => '1981-12-03', unless_like => 0.9, source => 'erp', ref => 'r1') AS shen \gset
SELECT crm_member.register_member(name => '沈括', birthday => '1981-12-03', unless_like => 0.9, source => 'erp', ref => 'r1') = :shen AS repeated;
SELECT count(*) AS before FROM crm_member.member \gset
\set VERBOSITY terse
CREATE FUNCTION pg_temp.named_in_detail(member bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  PERFORM crm_member.register_member(name => '沈括', birthday => '1981-12-03', unless_like => 0.9);
EXCEPTION WHEN SQLSTATE 'RM109' THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN replace(detail, member::text, 'shen');
END
$$;
SELECT pg_temp.named_in_detail(:shen);
SELECT crm_member.register_member(name => '沈括', birthday => '1981-12-03', unless_like => 0.9);
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.register_member(name => 'Shen Kuo', birthday => '1981-12-03', identities => '{"wechat_unionid": "oSHEN"}', unless_like => 0.9);
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.register_member(name => '沈括', mobile => '13700001111', unless_like => 0.9);
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.register_member(name => 'momo', identities => '{"nickname:taobao": "沈括"}', birthday => '1981-12-03', unless_like => 1) > 0 AS less_likely;
SELECT crm_member.register_member(name => '沈括', unless_like => 0);
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.register_member(name => '沈括', unless_like => 'NaN');
\echo :LAST_ERROR_SQLSTATE
SELECT count(DISTINCT member_id) - :before AS registered, count(*) FILTER (WHERE value = 'oSHEN') AS stray FROM crm_member.member LEFT JOIN crm_member.identity USING (member_id);
SELECT crm_member.register_member(name => '沈括', birthday => '1981-12-03') > 0 AS unasked;
SELECT crm_member.register_member(unless_like => 0.9) > 0 AS nobody_is_like_nobody;
\set VERBOSITY default

SELECT crm_member.match_member('{"mobil": "1"}');
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.match_member('{"mobile": ["1"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.match_member('[]');
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.match_member('{"name": "张伟"}', 0);
\echo :LAST_ERROR_SQLSTATE
SELECT crm_member.match_member('{"name": "张伟"}', 1001);
\echo :LAST_ERROR_SQLSTATE
SET client_min_messages = warning;
DROP EXTENSION crm_member CASCADE;
CREATE EXTENSION crm_member;
SELECT crm_member.match_member('{"name": "张伟"}');
\echo :LAST_ERROR_SQLSTATE
