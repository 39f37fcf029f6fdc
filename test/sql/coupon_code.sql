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

-- every code with one wrong symbol, and every two symbols that changed places, is refused
CREATE FUNCTION pg_temp.is_code(t text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM t::crm_member.coupon_code;
  RETURN true;
EXCEPTION WHEN invalid_text_representation THEN
  RETURN false;
END
$$;
WITH code AS (
  SELECT replace((n * 1125899900000 + n)::bigint::coupon_code::text, '-', '') AS c FROM generate_series(1, 20) n
), wrong AS (
  SELECT overlay(c PLACING s FROM i) AS w FROM code, generate_series(1, 12) i, regexp_split_to_table('0123456789ABCDEFGHJKMNPQRSTVWXYZ', '') s
  WHERE substr(c, i, 1) <> s
  UNION ALL
  SELECT overlay(overlay(c PLACING substr(c, j, 1) FROM i) PLACING substr(c, i, 1) FROM j)
  FROM code, generate_series(1, 11) i, generate_series(i + 1, 12) j WHERE substr(c, i, 1) <> substr(c, j, 1)
)
SELECT count(*) > 8000 AS tried, count(*) FILTER (WHERE pg_temp.is_code(w)) AS accepted FROM wrong;

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
SELECT count(*) FROM (TABLE sent EXCEPT TABLE received) d;
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
