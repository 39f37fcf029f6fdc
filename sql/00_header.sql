-- The schema, the checks at installation, and what every feature uses.

CREATE SCHEMA crm_member;

COMMENT ON SCHEMA crm_member IS
  'Retail membership: points, coupons, RFM, merge and the checkout that uses them (extension crm_member). In all functions NULL for an argument that has a default is that default, and NULL for one that is required is 22004, or NULL where nothing is written; those that only reckon with their arguments are NULL where any of them is';

CREATE FUNCTION crm_member.check_encoding() RETURNS void
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_check_encoding';

COMMENT ON FUNCTION crm_member.check_encoding() IS
  'Error 0A000 unless the database is encoded in UTF8; CREATE EXTENSION runs it';

SELECT crm_member.check_encoding();

CREATE FUNCTION crm_member.new_id() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_new_id';

COMMENT ON FUNCTION crm_member.new_id() IS
  'A new identifier: positive, below 2^53, never given twice, not even by two servers. Error 55000 before setup()';

CREATE FUNCTION crm_member.require_setup() RETURNS void
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_require_setup';

COMMENT ON FUNCTION crm_member.require_setup() IS
  'Error 55000 with the hint to run setup(), unless it has run';

CREATE FUNCTION crm_member.touch_configuration() RETURNS trigger
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'crm_touch_configuration';

COMMENT ON FUNCTION crm_member.touch_configuration() IS
  'Trigger of configuration tables, of their statements and, as touch_configuration_replicated, of rows that arrive by replication: every session reads them anew at its next statement';

-- Tables are the user's: see the modules in sql/schema, which become the body of this procedure.
CREATE PROCEDURE crm_member.setup(
  time_zone text DEFAULT 'Asia/Shanghai',
  money_scale int DEFAULT 2,
  currency text DEFAULT 'CNY',
  triggers boolean DEFAULT true)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $setup$
DECLARE
  ddl CONSTANT text := $ddl$
--@schema
$ddl$;
BEGIN
  IF to_regclass('crm_member.setting') IS NOT NULL THEN
    RAISE EXCEPTION 'crm_member is already set up in this database'
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'After an update of the extension run CALL crm_member.migrate().';
  END IF;
  setup.time_zone := coalesce(setup.time_zone, 'Asia/Shanghai');
  setup.money_scale := coalesce(setup.money_scale, 2);
  setup.currency := coalesce(setup.currency, 'CNY');
  IF NOT EXISTS (SELECT FROM pg_timezone_names WHERE name = setup.time_zone) THEN
    RAISE EXCEPTION 'time zone "%" is unknown', setup.time_zone
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'SELECT name FROM pg_timezone_names lists them; the default is Asia/Shanghai.';
  END IF;
  IF setup.money_scale NOT BETWEEN 0 AND 4 THEN
    RAISE EXCEPTION 'money scale % is out of range', setup.money_scale
      USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'An amount of money has 0 to 4 decimals.';
  END IF;
  IF setup.currency !~ '^[A-Z]{3}$' THEN
    RAISE EXCEPTION 'currency "%" is not a currency code', setup.currency
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Use the three letters of ISO 4217, such as CNY or USD.';
  END IF;

  EXECUTE replace(ddl, ':money_scale', setup.money_scale::text);
  INSERT INTO crm_member.setting (time_zone, money_scale, currency)
  VALUES (setup.time_zone, setup.money_scale, setup.currency);
  IF NOT setup.triggers THEN
    ALTER TABLE crm_member.sale DISABLE TRIGGER settle_sale;
    ALTER TABLE crm_member.sale_line DISABLE TRIGGER settle_sale_line;
  END IF;
END
$setup$;

COMMENT ON PROCEDURE crm_member.setup(text, int, text, boolean) IS
  'Create the tables, views and triggers in this database, as ordinary objects owned by the caller. time_zone: in which a business day is computed; money_scale: decimals of money, 0 to 4; currency: ISO 4217; triggers: whether rows inserted into sale and sale_line are settled. Errors: 55000 when already set up, 22023 for a bad option';

CREATE PROCEDURE crm_member.migrate()
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $migrate$
DECLARE
  newest CONSTANT int := --@newest
  ;
  done int;
BEGIN
  PERFORM crm_member.require_setup();
  SELECT s.schema_version INTO STRICT done FROM crm_member.setting s FOR UPDATE;
  IF done > newest THEN
    RAISE EXCEPTION 'the tables are of version %, newer than this extension, which knows %', done, newest
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Install the release that made them, then ALTER EXTENSION crm_member UPDATE.';
  END IF;
--@migrate
  IF done = newest THEN
    RAISE NOTICE 'the tables are of version %, which is the newest', done;
  END IF;
  UPDATE crm_member.setting SET schema_version = newest WHERE schema_version <> newest;
END
$migrate$;

COMMENT ON PROCEDURE crm_member.migrate() IS
  'After ALTER EXTENSION crm_member UPDATE: bring the tables to this version, step by step, in the caller''s transaction. Harmless where they are. Errors: 55000 before setup(), or where the tables are newer than the extension';
