--
-- Validity in business days of the program's time zone, through the end of the
-- last, over changes of the clock.
--
\set ON_ERROR_STOP 0
SET timezone = 'UTC';
SET datestyle = ISO;
CREATE FUNCTION pg_temp.begin(zone text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DROP EXTENSION IF EXISTS crm_member CASCADE;
  CREATE EXTENSION crm_member;
  EXECUTE format('CALL crm_member.setup(time_zone => %L)', zone);
END
$$;
CREATE FUNCTION pg_temp.judge(from_day date, to_day date, moments timestamptz[]) RETURNS TABLE (at timestamptz, valid boolean, sqlstate text, reason text)
LANGUAGE plpgsql AS $$
DECLARE
  code text := 'X' || crm_member.new_id();
BEGIN
  INSERT INTO crm_member.coupon_template (template_code, kind, value, uses, valid_from, valid_to) VALUES (code, 'amount', 1, NULL, from_day, to_day);
  PERFORM crm_member.import_coupon(code, code);
  RETURN QUERY SELECT m, (v).valid, (v).sqlstate, (v).reason
  FROM (SELECT m, crm_member.validate_coupon(code, jsonb_build_object('sold_at', m, 'lines', '[{"price": 3}]'::jsonb)) AS v FROM unnest(moments) m OFFSET 0) j;
END
$$;

SET client_min_messages = warning;
SELECT pg_temp.begin('America/New_York');
RESET client_min_messages;
-- 2026-11-01 has 25 hours, 2026-03-08 has 23
SELECT * FROM pg_temp.judge('2026-11-01', '2026-11-01', '{2026-11-01 03:59:59.999999Z, 2026-11-01 04:00Z, 2026-11-02 04:59:59.999999Z, 2026-11-02 05:00Z}');
SELECT * FROM pg_temp.judge('2026-03-08', '2026-03-08', '{2026-03-08 04:59:59.999999Z, 2026-03-08 05:00Z, 2026-03-09 03:59:59.999999Z, 2026-03-09 04:00Z}');
-- a moment without offset is the business's own clock
SELECT v.valid, v.reason FROM crm_member.coupon_template t,
  LATERAL crm_member.validate_coupon(t.template_code, '{"sold_at": "2026-11-01 23:59:59", "lines": [{"price": 3}]}') v WHERE t.valid_from = '2026-11-01';
-- from one side only, and for ever
SELECT * FROM pg_temp.judge('2026-11-01', NULL, '{2026-11-01 03:59Z, 2099-01-01Z}');
SELECT * FROM pg_temp.judge(NULL, '2026-11-01', '{1999-01-01Z, 2026-11-02 05:00Z}');
SELECT * FROM pg_temp.judge(NULL, 'infinity', '{2099-01-01Z}');

-- so many days after the day of issue; none: to the end of that day
INSERT INTO crm_member.coupon_template (template_code, kind, value, valid_days, valid_to) VALUES
  ('today', 'amount', 1, 0, NULL), ('week', 'amount', 1, 7, NULL), ('capped', 'amount', 1, 7, (now() AT TIME ZONE 'America/New_York')::date + 2);
CREATE TEMP TABLE issued AS
SELECT template_code, crm_member.issue_coupon(template_code, NULL, template_code) AS code FROM crm_member.coupon_template WHERE valid_days IS NOT NULL;
SELECT i.template_code, c.valid_to - (c.issued_at AT TIME ZONE 'America/New_York')::date AS days,
       (SELECT string_agg(coalesce(v.sqlstate, 'valid'), ', ' ORDER BY m.n)
        FROM unnest(ARRAY[0, 1, 2, 3, 7, 8]) WITH ORDINALITY AS m (day, n),
          LATERAL crm_member.validate_coupon(c.code, jsonb_build_object(
            'sold_at', ((c.issued_at AT TIME ZONE 'America/New_York')::date + m.day + time '23:59:59.999') AT TIME ZONE 'America/New_York', 'lines', '[{"price": 3}]'::jsonb)) v) AS "end of day 0, 1, 2, 3, 7, 8"
FROM issued i JOIN crm_member.coupon c ON c.code OPERATOR(crm_member.=) i.code ORDER BY 1;

-- where midnight does not exist, or happens twice
DROP TABLE issued;
SET client_min_messages = warning;
SELECT pg_temp.begin('America/Sao_Paulo');
RESET client_min_messages;
SELECT * FROM pg_temp.judge('2018-11-04', '2018-11-04', '{2018-11-04 02:59:59Z, 2018-11-04 03:00Z, 2018-11-05 01:59:59Z, 2018-11-05 02:00Z}');
SELECT * FROM pg_temp.judge('2018-02-17', '2018-02-17', '{2018-02-17 01:59:59Z, 2018-02-17 02:00Z, 2018-02-18 02:59:59Z, 2018-02-18 03:00Z}');
