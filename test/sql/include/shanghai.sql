--
-- What tests of a business in Shanghai begin with: an extension of their own.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'Asia/Shanghai');
RESET client_min_messages;
SET timezone = 'Asia/Shanghai';
SET search_path = crm_member, public;
