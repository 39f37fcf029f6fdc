-- Settings, and the source of identifiers.

CREATE TABLE crm_member.setting (
  singleton    boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  time_zone    text NOT NULL,
  money_scale  smallint NOT NULL CHECK (money_scale BETWEEN 0 AND 4),
  currency     text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  schema_version  int NOT NULL DEFAULT 1
);

COMMENT ON TABLE crm_member.setting IS 'The settings of this installation: one row';
COMMENT ON COLUMN crm_member.setting.time_zone IS 'Time zone in which a business day is computed';
COMMENT ON COLUMN crm_member.setting.money_scale IS 'Decimals of an amount of money; fixed by setup()';
COMMENT ON COLUMN crm_member.setting.schema_version IS 'Version of the tables; migrate() raises it';
COMMENT ON COLUMN crm_member.setting.currency IS 'ISO 4217 code of the currency of all amounts';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.setting
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

CREATE SEQUENCE crm_member.id_counter AS bigint MAXVALUE 137438953471 CACHE 32;

COMMENT ON SEQUENCE crm_member.id_counter IS 'Upper part of what new_id() returns';

CREATE TABLE crm_member.node (
  node               int PRIMARY KEY CHECK (node BETWEEN 0 AND 65535),
  system_identifier  bigint NOT NULL UNIQUE,
  registered_at      timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE crm_member.node IS 'Servers that give out identifiers; each registers itself at its first one';
COMMENT ON COLUMN crm_member.node.node IS 'Lower 16 bits of the identifiers this server gives out';
COMMENT ON COLUMN crm_member.node.system_identifier IS 'The server, as pg_control_system() names it';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.node
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();
