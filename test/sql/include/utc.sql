--
-- What tests of a business in UTC begin with: an extension of their own.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'UTC');
RESET client_min_messages;
SET timezone = 'UTC';
SET search_path = crm_member, public;
