--
-- What members are found by, and their status.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = crm_member, public;

SELECT register_member(name => 'A', mobile => '13900000001') AS a \gset
SELECT register_member(name => 'B', email => 'b@shop.cn') AS b \gset

-- found however it is written; nobody; no such kind
SELECT member_id('mobile', '+86 139 0000 0001') = :a AS a, member_id('email', ' B@Shop.CN ') = :b AS b;
SELECT member_id('mobile', '13900000002'), member_id('mobile', 'abc'), member_id('email', ''), member_id('card', 'none'),
       member_id(NULL, 'x'), member_id('mobile', NULL);
SELECT member_id('phone', '13900000001');
SELECT member_id('wechat_openid', 'o1');
SELECT member_id('external:', '1');
SELECT member_id('mobile:cn', '13900000001');

-- every kind, each scope by itself
SELECT bind_identity(:a, 'wechat_unionid', 'u1') = :a AS a;
SELECT bind_identity(:a, 'wechat_openid:app1', 'o1') = :a AS a;
SELECT bind_identity(:b, 'wechat_openid:app2', 'o1') = :b AS b;
SELECT bind_identity(:a, 'nickname:taobao', ' 小猫 ') = :a AS a;
SELECT bind_identity(:a, 'external:erp', '0042', actor => 'import') = :a AS a;
SELECT bind_identity(:a, 'mobile', '13900000003') = :a AS a;
SELECT bind_identity(:b, 'mobile', '13900000004') = :b AS b;
SELECT member_id('wechat_openid:app1', 'o1') = :a AS a, member_id('wechat_openid:app2', 'o1') = :b AS b,
       member_id('nickname:taobao', '小猫') = :a AS a, member_id('external:erp', '0042') = :a AS a,
       member_id('external:erp', '42') AS none, member_id('mobile', '13900000003') = :a AS a;
-- the first mobile is the one to call
SELECT name, mobile, email FROM person ORDER BY name;
-- WeChat's identifiers tell letter case apart
SELECT member_id('wechat_unionid', 'U1') AS none;

-- a kind of one's own
INSERT INTO identity_kind VALUES ('username', false, 'lower', true, 'Name at the web shop');
SELECT bind_identity(:a, 'username', 'Alice') = :a AS a;
SELECT member_id('username', ' aLiCe ') = :a AS a;
BEGIN;
INSERT INTO identity_kind VALUES ('plate', false, 'trim', true, 'Number plate');
SELECT member_id('plate', 'x');
ROLLBACK;
SELECT member_id('plate', 'x');
INSERT INTO identity_kind VALUES ('card', false, 'trim', true, 'no');
INSERT INTO identity_kind VALUES ('a:b', false, 'trim', true, 'no');

-- refused
\set VERBOSITY sqlstate
SELECT bind_identity(:a, 'wechat_openid:app2', 'o1');
SELECT bind_identity(:a, 'mobile', 'abc');
SELECT bind_identity(:a, 'wechat_unionid', ' ');
SELECT bind_identity(:a, 'wechat_unionid', repeat('u', 257));
SELECT bind_identity(:a, 'external:' || repeat('s', 101), '1');
SELECT bind_identity(:a, 'phone', '1');
SELECT bind_identity(:a, 'card', 'C1');
SELECT bind_identity(NULL, 'mobile', '13900000009');
SELECT bind_identity(:a, NULL, '13900000009');
SELECT bind_identity(:a, 'mobile', NULL);
SELECT bind_identity(42, 'mobile', '13900000009');
SELECT unbind_identity(42, 'mobile', '13900000009');
SELECT unbind_identity(:a, 'card', 'C1');
SELECT unbind_identity(:a, NULL, 'C1');
\set VERBOSITY terse
SELECT bind_identity(:a, 'wechat_openid:app2', 'o1');

-- repeated
SELECT bind_identity(:b, 'wechat_unionid', 'u2', ref => 'k1') = :b AS b;
SELECT bind_identity(:b, 'wechat_unionid', 'u2', ref => 'k1') = :b AS b;
SELECT bind_identity(:b, 'wechat_unionid', 'u2') = :b AS b;
SELECT bind_identity(:b, 'wechat_unionid', 'u3', ref => 'k1');
SELECT unbind_identity(:b, 'wechat_unionid', 'u2', ref => 'k1');
SELECT bind_identity(:a, 'wechat_unionid', 'u4', ref => 'k1') = :a AS a;
SELECT act, detail, ref FROM member_event WHERE member_id = :b ORDER BY event_id;

-- let go, and free for another
SELECT unbind_identity(:a, 'mobile', '13900000004');
SELECT unbind_identity(:b, 'mobile', '139-0000-0004', ref => 'k2'), unbind_identity(:b, 'mobile', '139-0000-0004', ref => 'k2');
SELECT unbind_identity(:b, 'mobile', '13900000004');
SELECT name, mobile FROM person WHERE member_id = :b;
SELECT bind_identity(:a, 'mobile', '13900000004') = :a AS a;

-- status: every step there is
SELECT register_member(name => 'C') AS c \gset
SELECT set_member_status(:c, 'inactive'), set_member_status(:c, 'active', 'came back'), set_member_status(:c, 'lost', 'moved', ref => 's1');
SELECT set_member_status(:c, 'active'), set_member_status(:c, 'lost', 'moved', ref => 's1');
SELECT status FROM member WHERE member_id = :c;
SELECT set_member_status(:c, 'inactive', ref => 's1');
SELECT set_member_status(:c, 'active', ref => 's2'), set_member_status(:c, 'cancelled', 'asked for it', actor => 'desk');
SELECT status FROM member WHERE member_id = :c;
SELECT act, detail, actor FROM member_event WHERE member_id = :c ORDER BY event_id;
\set VERBOSITY sqlstate
SELECT set_member_status(:c, 'active');
SELECT set_member_status(:a, 'merged');
SELECT set_member_status(:c, 'inactive', ref => 's2');
SELECT set_member_status(:a, 'asleep');
SELECT set_member_status(:a, NULL);
SELECT set_member_status(42, 'active');
SELECT bind_identity(:c, 'mobile', '13900000077');
\set VERBOSITY terse
SELECT set_member_status(:c, 'active');

-- an alias: found, bound and changed as the survivor, over two steps
SELECT register_member(name => 'D', mobile => '13900000005') AS d \gset
UPDATE member SET status = 'merged', merged_into = :a WHERE member_id = :d;
UPDATE member SET status = 'merged', merged_into = :b WHERE member_id = :a;
SELECT canonical_member(:d) = :b AS b, canonical_member(:b) = :b AS b, canonical_member(42) AS none, canonical_member(NULL) AS none;
SELECT member_id('mobile', '13900000005') = :b AS b;
SELECT bind_identity(:d, 'external:erp', '77') = :b AS b;
SELECT bind_identity(:b, 'mobile', '13900000005') = :b AS b;
SELECT bind_identity(:a, 'wechat_unionid', 'u4', ref => 'k1') = :b AS as_when_it_was_alone;
SELECT bind_identity(:b, 'wechat_unionid', 'u2', ref => 'k1') = :b AS b;
SELECT set_member_status(:d, 'inactive');
SELECT status FROM member WHERE member_id = :b;
SELECT unbind_identity(:b, 'mobile', '13900000005');
SELECT member_id('mobile', '13900000005') AS none;
SELECT lock_member(:d, false) = :b AS b;

-- as the directory holds it
SELECT normalize_identity('mobile', '+86 139 0000 0001'), normalize_identity('username', 'ALICE'), normalize_identity(NULL, 'x');
SELECT normalize_identity('mobile', 'abc');
