--
-- What tests on random sales begin with: tables of their own, and dice.
--
\set zone 'UTC'
\ir business.sql
\set VERBOSITY terse

CREATE FUNCTION pg_temp.one_of(VARIADIC choices text[]) RETURNS text
LANGUAGE sql VOLATILE AS $$ SELECT choices[1 + floor(random() * cardinality(choices))] $$;
CREATE FUNCTION pg_temp.money(most numeric) RETURNS numeric
LANGUAGE sql VOLATILE AS $$ SELECT round((random() * most)::numeric, 2) $$;
