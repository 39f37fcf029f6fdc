-- Decimals are rounded as each rounding is defined.
\set VERBOSITY default
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
RESET client_min_messages;
SET search_path = crm_member, public;

SELECT v, round_decimal(v, 0) AS half_up, round_decimal(v, 0, 'half_down') AS half_down,
       round_decimal(v, 0, 'half_even') AS half_even, round_decimal(v, 0, 'floor') AS floor, round_decimal(v, 0, 'ceil') AS ceil
FROM unnest('{0,0.4,0.5,0.51,1.5,2.5,2.5000000000000000000001,2.4999999999999999,-0.5,-1.5,-2.5,-2.500000001,-2.4,7.000}'::numeric[]) AS v;
-- the cases the field disputes: 2.5 % of 6.70, 10 % of 0.40
SELECT round_decimal(16.755), round_decimal(16.755, 2, 'half_down'), round_decimal(16.745, 2, 'half_even'), round_decimal(0.04);
SELECT round_decimal(1, 10), round_decimal(0.00000000005, 10), round_decimal(922337203.6854775807, 10),
       round_decimal(9223372036854775807, 0), round_decimal(-9223372036854775808, 0), round_decimal(-9223372036854775808.4, 0);
SELECT round_decimal(NULL) IS NULL AS value, round_decimal(1, NULL) IS NULL AS scale, round_decimal(1, 2, NULL) IS NULL AS rounding;

\set VERBOSITY sqlstate
SELECT round_decimal('NaN');
SELECT round_decimal('Infinity');
SELECT round_decimal(1e18);
SELECT round_decimal(9223372036854775807.5, 0);
SELECT round_decimal(-9223372036854775808.5, 0);
SELECT round_decimal(9223372036854775808, 0);
SELECT round_decimal(9.3e9, 9);
SELECT round_decimal(1, -1);
SELECT round_decimal(1, 11);
\set VERBOSITY default
SELECT round_decimal(1, 2, 'HALF_UP');
SELECT round_decimal(1, 11);
SELECT round_decimal(-1e100);

-- property: as defined in exact arithmetic, ties included
DO $$ BEGIN PERFORM setseed(0.314159); END $$;
CREATE TEMP TABLE round_case AS
SELECT id, scale, ('1e-' || scale)::numeric AS unit,
       round((random() - 0.5)::numeric * ('1e' || (random() * 8)::int)::numeric, (random() * 6)::int)
       + CASE WHEN random() < 0.5 THEN 0 ELSE ('5e-' || scale + 1)::numeric END AS value
FROM (SELECT id, (random() * 5)::int AS scale FROM generate_series(1, 10000) AS id) AS g;
SELECT rounding, count(*) AS cases,
       count(*) FILTER (WHERE ours <> wanted * unit OR scale(ours) <> scale) AS different,
       count(*) FILTER (WHERE tie) > 1000 AS many_ties
FROM (SELECT scale, unit, r AS rounding, round_decimal(value, scale, r) AS ours,
             abs(q) - floor(abs(q)) = 0.5 AS tie,
             CASE r WHEN 'half_up' THEN sign(q) * floor(abs(q) + 0.5)
                    WHEN 'half_down' THEN sign(q) * ceil(abs(q) - 0.5)
                    WHEN 'half_even' THEN sign(q) * CASE WHEN abs(q) - floor(abs(q)) <> 0.5 THEN floor(abs(q) + 0.5)
                                                         ELSE 2 * floor((abs(q) + 0.5) / 2) END
                    WHEN 'floor' THEN floor(q) ELSE ceil(q) END AS wanted
      FROM (SELECT *, value / unit AS q FROM round_case) AS c,
           unnest('{half_up,half_down,half_even,floor,ceil}'::text[]) AS r) AS checked
GROUP BY rounding ORDER BY rounding;
-- and byte for byte the numeric that the server would make, so that it is found, hashed and stored as that
SELECT count(*) AS cases, count(*) FILTER (WHERE numeric_send(ours) <> numeric_send(theirs) OR pg_column_size(ours) <> pg_column_size(theirs)) AS different
FROM (SELECT round_decimal(value, scale) AS ours, round(value, scale) AS theirs
      FROM (SELECT value, scale FROM round_case UNION ALL
            SELECT sign * (mantissa * 10::numeric ^ power) / 10::numeric ^ scale, scale
            FROM unnest('{0,1,9,10,99,9999,10000,10001,99999999,100000000,123456789,922337203685477580}'::numeric[]) AS mantissa,
                 unnest('{-1,1}'::numeric[]) AS sign, generate_series(0, 18) AS power, generate_series(0, 10) AS scale
            WHERE mantissa * 10::numeric ^ power < 9223372036854775807) AS v) AS both_sides;
