--
-- What tests of a business in UTC begin with: an extension of their own.
--
\set zone 'UTC'
\ir business.sql
SET timezone = 'UTC';
SET search_path = crm_member, public;
