--
-- What most tests begin with: an extension of their own, for a business in :zone.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => :'zone');
RESET client_min_messages;
