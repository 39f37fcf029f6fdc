--
-- What tests of a business in Shanghai begin with: an extension of their own.
--
\set zone 'Asia/Shanghai'
\ir business.sql
SET timezone = 'Asia/Shanghai';
SET search_path = crm_member, public;
