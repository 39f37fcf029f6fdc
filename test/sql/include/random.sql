--
-- What tests on random sales begin with: tables of their own, and dice.
--
\set ON_ERROR_STOP 0
\set VERBOSITY terse
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'UTC');
RESET client_min_messages;

CREATE FUNCTION pg_temp.one_of(VARIADIC choices text[]) RETURNS text
LANGUAGE sql VOLATILE AS $$ SELECT choices[1 + floor(random() * cardinality(choices))] $$;
CREATE FUNCTION pg_temp.money(most numeric) RETURNS numeric
LANGUAGE sql VOLATILE AS $$ SELECT round((random() * most)::numeric, 2) $$;
