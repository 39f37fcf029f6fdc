--
-- Registering members: what is stored, what is refused, what is repeated.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = crm_member, public;

INSERT INTO tier VALUES ('silver', 'Silver', 1), ('gold', 'Gold', 2);

-- everything at once, in the forms people write
SELECT register_member(
  name => ' 张伟 ', mobile => '+86 138-1234-5678', email => 'Zhang.Wei@Example.com',
  birthday => '1990-02-28', gender => '男', source => 'erp', external_id => 'E1', store => 'S1',
  channel => 'store', tier => 'gold', attrs => '{"color": "red"}', kind => 'dealer',
  joined_at => '2020-05-01 10:00+08', ref => 'r1', actor => 'till 7') AS zhang \gset
SELECT status, kind, source, store, channel, joined_at = '2020-05-01 10:00+08' AS joined, merged_into, tags, attrs
  FROM member WHERE member_id = :zhang;
SELECT name, mobile, email, birthday, gender FROM person WHERE member_id = :zhang;
SELECT kind, value FROM identity WHERE member_id = :zhang ORDER BY kind;
SELECT tier_code, since = '2020-05-01 10:00+08' AS since FROM member_tier WHERE member_id = :zhang;
SELECT act, ref, detail, actor FROM member_event WHERE member_id = :zhang;
SELECT source, ref FROM member_ref WHERE member_id = :zhang;

-- nothing at all is a member too; blanks are nothing
SELECT register_member() AS nobody \gset
SELECT register_member(name => ' ', mobile => '', email => '　', source => '', external_id => '') AS blank \gset
SELECT m.status, m.kind, p.* IS NOT DISTINCT FROM ROW(m.member_id, NULL, NULL, NULL, NULL, NULL)::person AS empty
  FROM member m JOIN person p USING (member_id) WHERE m.member_id IN (:nobody, :blank);
SELECT count(*) FROM identity WHERE member_id IN (:nobody, :blank);

-- repeated: by reference, by number in the other system, from another system
SELECT register_member(
  name => '张伟', mobile => '13812345678', email => 'Zhang.Wei@Example.com',
  birthday => '1990-02-28', gender => 'm', source => 'erp', external_id => 'E1', store => 'S1',
  channel => 'store', tier => 'gold', attrs => '{"color": "red"}', kind => 'dealer',
  joined_at => '2020-05-01 10:00+08', ref => 'r1', actor => 'till 8') = :zhang AS same;
SELECT register_member(name => 'whoever', source => 'erp', external_id => 'E1') = :zhang AS same;
SELECT register_member(name => 'whoever', source => 'erp', external_id => 'E1', ref => 'r2') = :zhang AS same;
SELECT register_member(name => 'whoever', source => 'erp', external_id => 'E1', ref => 'r2') = :zhang AS same;
SELECT register_member(name => 'other', source => 'shop', external_id => 'E1', ref => 'r1') <> :zhang AS other;
SELECT register_member(name => 'no source', ref => 'r1') <> :zhang AS other;
SELECT count(*) AS members FROM member;
SELECT name FROM person WHERE member_id = :zhang;

-- limits that still hold
SELECT register_member(name => repeat('名', 200), birthday => '1900-01-01', store => repeat('s', 100)) > 0 AS ok;
SELECT register_member(birthday => (now() AT TIME ZONE 'Asia/Shanghai')::date) > 0 AS ok;
SELECT register_member(status => 'inactive', gender => 'X', kind => 'consumer') > 0 AS ok;
CREATE TEMP TABLE said AS SELECT g, register_member(gender => g) AS member_id FROM unnest('{1,2,0,9,男,女,未知,male,FEMALE,other,U}'::text[]) AS g;
SELECT gender, array_agg(g ORDER BY g COLLATE "C") FROM said JOIN person USING (member_id) GROUP BY 1 ORDER BY 1;
-- a sample number is a number: whoever states it first has it
SELECT register_member(mobile => '13800138000', email => 'test@example.com') > 0 AS ok;

-- further identities at once
SELECT register_member(name => 'W', mobile => '13911110000', identities => '{"wechat_unionid": " u1 ", "wechat_openid:app": "o1", "mobile": "139-1111-0000", "email": null}') AS w \gset
SELECT kind, value FROM identity WHERE member_id = :w ORDER BY kind;
SELECT register_member(identities => '{"wechat_unionid": "u1"}');
SELECT register_member(identities => '{"wechat_unionid": 1}');
SELECT register_member(identities => '{"wechat_unionid": {}}');
SELECT register_member(identities => '{"wechat_openid": "o2"}');
SELECT register_member(identities => '{"card": "C1"}');
SELECT register_member(identities => '{"mobile": "x"}');
SELECT register_member(identities => '["mobile"]');

-- refused, and nothing written
SELECT count(*) AS members FROM member \gset before_
SELECT register_member(mobile => 'abc');
SELECT register_member(mobile => '1381234****');
SELECT register_member(email => 'nobody');
SELECT register_member(email => 'a b@example');
SELECT register_member(birthday => '1899-12-31');
SELECT register_member(birthday => (now() AT TIME ZONE 'Asia/Shanghai')::date + 1);
SELECT register_member(birthday => 'infinity');
SELECT register_member(gender => 'Q');
SELECT register_member(kind => 'supplier');
SELECT register_member(status => 'merged');
SELECT register_member(tier => 'bronze');
SELECT register_member(attrs => '[1]');
SELECT register_member(attrs => 'null');
SELECT register_member(external_id => '1');
SELECT register_member(joined_at => 'infinity');
SELECT register_member(name => repeat('名', 201));
SELECT register_member(store => repeat('s', 101));
SELECT register_member(source => 'erp', external_id => repeat('1', 201));
SELECT register_member(source => 'erp', ref => repeat('1', 201));
SELECT register_member(card_type => 'standard');
\set VERBOSITY sqlstate
SELECT register_member(mobile => 'abc');
SELECT register_member(tier => 'bronze');
-- the same reference says something else
SELECT register_member(name => 'other', source => 'erp', ref => 'r1');
-- bound to another, whose data the message does not show
SELECT register_member(mobile => '0086 13812345678');
SELECT register_member(email => 'zhang.wei@EXAMPLE.com');
\set VERBOSITY default
SELECT register_member(name => 'other', source => 'erp', ref => 'r1');
SELECT register_member(mobile => '０１３８１２３４５６７８');
SELECT count(*) = :before_members AS nothing_written FROM member;
SELECT count(*) FROM identity WHERE member_id NOT IN (SELECT member_id FROM member);
SELECT count(*) FROM member_ref WHERE member_id NOT IN (SELECT member_id FROM member);

-- a merged member: a repeated registration answers with the survivor
SELECT register_member(name => 'survivor') AS survivor \gset
UPDATE member SET status = 'merged', merged_into = :survivor WHERE member_id = :zhang;
SELECT register_member(source => 'erp', external_id => 'E1') = :survivor AS survivor;

-- a tier that is added is known at once
INSERT INTO tier VALUES ('bronze', 'Bronze', 0);
SELECT register_member(tier => 'bronze') > 0 AS ok;

-- a role that may call it need not write the tables
CREATE ROLE regress_crm_till;
GRANT USAGE ON SCHEMA crm_member TO regress_crm_till;
GRANT EXECUTE ON FUNCTION register_member TO regress_crm_till;
SET ROLE regress_crm_till;
SELECT crm_member.register_member(name => 'by the till') > 0 AS ok;
\set VERBOSITY sqlstate
INSERT INTO crm_member.member (member_id) VALUES (1);
SELECT * FROM crm_member.person;
SELECT crm_member.member_id('mobile', '13812345678');
RESET ROLE;
DROP OWNED BY regress_crm_till;
DROP ROLE regress_crm_till;

-- before setup()
SET client_min_messages = warning;
DROP EXTENSION crm_member CASCADE;
CREATE EXTENSION crm_member;
SELECT crm_member.register_member(name => 'x');
SELECT crm_member.member_id('mobile', '13812345678');
