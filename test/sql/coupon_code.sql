--
-- Type coupon_code.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = crm_member, public;

-- text form, and how forgiving it is read
SELECT c, c::text = upper(c::text) AS upper, lower(replace(c::text, '-', ' '))::coupon_code = c AS lenient,
       replace(c::text, '-', '')::coupon_code = c AS bare, (' ' || c || ' ')::coupon_code = c AS blanks
FROM (SELECT n::bigint::coupon_code AS c FROM unnest('{0,1,31,32,1125899906842623,703687441776640}'::bigint[]) n) x;
SELECT replace(replace(c, '0', 'o'), '1', v)::coupon_code = c::coupon_code AS confused
FROM (SELECT 33::bigint::coupon_code::text AS c) x, unnest('{i,l,I,L}'::text[]) v;

-- of random codes: every one with one wrong symbol, and every two symbols that changed places, is refused
CREATE FUNCTION pg_temp.is_code(t text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM t::crm_member.coupon_code;
  RETURN true;
EXCEPTION WHEN invalid_text_representation THEN
  RETURN false;
END
$$;
SELECT setseed(0.7);
WITH code AS MATERIALIZED (
  SELECT replace(floor(random() * 1125899906842624)::bigint::coupon_code::text, '-', '') AS c FROM generate_series(1, 100)
), wrong AS (
  SELECT overlay(c PLACING s FROM i) AS w, 'substituted' AS how FROM code, generate_series(1, 12) i, regexp_split_to_table('0123456789ABCDEFGHJKMNPQRSTVWXYZ', '') s
  WHERE substr(c, i, 1) <> s
  UNION ALL
  SELECT overlay(overlay(c PLACING substr(c, j, 1) FROM i) PLACING substr(c, i, 1) FROM j), CASE j WHEN i + 1 THEN 'neighbours' ELSE 'transposed' END
  FROM code, generate_series(1, 11) i, generate_series(i + 1, 12) j WHERE substr(c, i, 1) <> substr(c, j, 1)
)
SELECT how, count(*) > 1000 AS tried, count(*) FILTER (WHERE pg_temp.is_code(w)) AS accepted FROM wrong GROUP BY 1 ORDER BY 1;
-- what people write instead of a symbol is that symbol, in any case and with any hyphens and spaces
SELECT count(*) AS codes, count(*) FILTER (WHERE lower(translate(c, '01', 'oi'))::coupon_code <> c::coupon_code) AS misread_i,
       count(*) FILTER (WHERE regexp_replace(translate(c, '01', 'OL'), '(.)', '\1 - ', 'g')::coupon_code <> c::coupon_code) AS misread_l
FROM (SELECT replace(floor(random() * 1125899906842624)::bigint::coupon_code::text, '-', '') AS c FROM generate_series(1, 2000)) x;
-- every symbol that is none is refused wherever it stands
SELECT count(*) AS tried, count(*) FILTER (WHERE pg_temp.is_code(overlay(c PLACING s FROM i))) AS accepted
FROM (SELECT replace(0::bigint::coupon_code::text, '-', '') AS c) x, generate_series(1, 12) i, regexp_split_to_table('U,u,!,?,é,_,/,.', ',') s;

SELECT 'AAAA-AAAA-AAAA'::coupon_code;
SELECT 'U000-0000-0000'::coupon_code;
SELECT '7K3M-9QXD'::coupon_code;
SELECT '7K3M-9QXD-F2HT-7'::coupon_code;
SELECT ''::coupon_code;
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY sqlstate
SELECT (-1)::bigint::coupon_code;
SELECT (1::bigint << 50)::coupon_code;
\set VERBOSITY default
SELECT NULL::coupon_code IS NULL AS nothing;

-- binary form, by way of a file
CREATE TEMP TABLE sent AS SELECT (n * 999999999::bigint)::coupon_code AS c FROM generate_series(0, 99) n;
CREATE TEMP TABLE received (LIKE sent);
SELECT current_setting('data_directory') || '/regress_coupon_code' AS file \gset
COPY sent TO :'file' (FORMAT binary);
COPY received FROM :'file' (FORMAT binary);
SELECT count(*), count(DISTINCT r.c), count(*) FILTER (WHERE s.c IS NULL OR r.c IS NULL) AS different FROM sent s FULL JOIN received r USING (c);
CREATE TEMP TABLE bare (n bigint);
INSERT INTO bare VALUES (-1);
COPY bare TO :'file' (FORMAT binary);
\set VERBOSITY sqlstate
COPY received FROM :'file' (FORMAT binary);
\set VERBOSITY default

\set program 'rm -f ' :file
COPY bare TO PROGRAM :'program';

-- order and equality, in indexes of both kinds
SELECT a < b, a <= b, a = b, a <> b, a >= b, a > b, coupon_code_cmp(a, b), coupon_code_cmp(b, a), coupon_code_cmp(a, a)
FROM (SELECT 5::bigint::coupon_code AS a, 6::bigint::coupon_code AS b) x;
CREATE INDEX ON received (c);
CREATE INDEX ON received USING hash (c);
SET enable_seqscan = off;
SELECT count(*) FROM received r JOIN sent s USING (c);
SELECT count(DISTINCT c) FROM received WHERE c >= 50::bigint::coupon_code;
SET enable_mergejoin = off;
SELECT count(*) FROM received r JOIN sent s USING (c);
RESET enable_seqscan;
RESET enable_mergejoin;
SELECT count(DISTINCT coupon_code_hash(c)) > 95 AS spread, count(DISTINCT coupon_code_hash_extended(c, 1)) > 95 AS spread_wide FROM sent;

-- codes of a counter are unique and tell nothing of one another
INSERT INTO coupon_template (template_code, kind, value) VALUES ('TEN', 'amount', 10);
SELECT generate_coupons('TEN', 30000);
SELECT issue_coupon('TEN', NULL, 'r' || i) IS NOT NULL AS issued FROM generate_series(1, 3) i;
SELECT count(*), count(DISTINCT code) FROM coupon;
SELECT max(n) < 1200 AND min(n) > 700 AS even
FROM (SELECT left(code::text, 1), count(*) AS n FROM coupon GROUP BY 1) x;
-- a key stands for one order of codes for ever, whichever way they are made
CREATE TEMP TABLE keep_secret AS TABLE coupon_secret;
UPDATE coupon_secret SET key = decode(repeat('00112233445566778899aabbccddeeff', 2), 'hex');
INSERT INTO coupon_template (template_code, kind, value) VALUES ('KEY', 'amount', 10);
UPDATE node SET node = 7;
SELECT setval('coupon_block', 1000, false), setval('coupon_counter', 1000, false);
SELECT generate_coupons('KEY', 1025);
SELECT count(DISTINCT code), (array_agg(code ORDER BY code))[1:3] AS lowest FROM coupon WHERE template_code = 'KEY';
SELECT issue_coupon('KEY', NULL, 'key ' || i) FROM generate_series(1, 3) i;
-- who may not administer does not see the key
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_crm_manager, regress_crm_admin;
CREATE ROLE regress_crm_manager;
CREATE ROLE regress_crm_admin;
RESET client_min_messages;
SELECT grant_access('regress_crm_manager', 'manager'), grant_access('regress_crm_admin', 'admin');
SET ROLE regress_crm_manager;
SELECT key FROM crm_member.coupon_secret;
SELECT crm_member.generate_coupons('KEY', 1);
SET ROLE regress_crm_admin;
SELECT length(key) FROM crm_member.coupon_secret;
RESET ROLE;
DROP OWNED BY regress_crm_manager, regress_crm_admin;
DROP ROLE regress_crm_manager, regress_crm_admin;
UPDATE coupon_secret s SET key = k.key FROM keep_secret k;

-- another installation has other codes
CREATE TEMP TABLE before AS SELECT code::text FROM coupon;
SET client_min_messages = warning;
DROP EXTENSION crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL setup();
RESET client_min_messages;
INSERT INTO coupon_template (template_code, kind, value) VALUES ('TEN', 'amount', 10);
SELECT generate_coupons('TEN', 30000);
SELECT count(*) < 5 AS other FROM coupon JOIN before b ON b.code = coupon.code::text;
