-- RFM models, their runs, and what is measured of each member.

CREATE TABLE crm_member.rfm_model (
  model_code    text PRIMARY KEY,
  name          text NOT NULL,
  "window"      interval CHECK ("window" > interval '0'),
  bins          smallint NOT NULL DEFAULT 5 CHECK (bins BETWEEN 2 AND 10),
  method        text NOT NULL DEFAULT 'quantile' CHECK (method IN ('quantile', 'thresholds')),
  ties          text NOT NULL DEFAULT 'split' CHECK (ties IN ('split', 'together')),
  cuts          jsonb CHECK (jsonb_typeof(cuts) = 'object'),
  frequency_of  text NOT NULL DEFAULT 'orders' CHECK (frequency_of IN ('orders', 'units', 'days')),
  monetary_of   text NOT NULL DEFAULT 'paid' CHECK (monetary_of IN ('paid', 'gross')),
  CHECK ((cuts IS NOT NULL) = (method = 'thresholds'))
);

COMMENT ON TABLE crm_member.rfm_model IS 'RFM models: which purchases are measured, and how the measures become scores';
COMMENT ON COLUMN crm_member.rfm_model."window" IS 'Purchases of this long up to the day of the run count; NULL: all';
COMMENT ON COLUMN crm_member.rfm_model.bins IS 'Scores are 1 (worst) to this';
COMMENT ON COLUMN crm_member.rfm_model.method IS 'quantile: bands of equal size; thresholds: fixed cuts for the measures named in cuts';
COMMENT ON COLUMN crm_member.rfm_model.ties IS 'split: exact bands, equal values by member_id; together: equal values share the lowest band';
COMMENT ON COLUMN crm_member.rfm_model.cuts IS 'For thresholds: {"recency": [days ...], "frequency": [...], "monetary": [...]}, each ascending and one shorter than bins; a measure that is left out is cut into bands of equal size';
COMMENT ON COLUMN crm_member.rfm_model.frequency_of IS 'orders, units or days with a purchase';
COMMENT ON COLUMN crm_member.rfm_model.monetary_of IS 'paid: after discounts; gross: before; both without shipping';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.rfm_model
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

INSERT INTO crm_member.rfm_model (model_code, name) VALUES ('default', 'All purchases, fifths');

CREATE TABLE crm_member.rfm_run (
  run_id       bigint PRIMARY KEY DEFAULT crm_member.new_id(),
  model_code   text NOT NULL,
  as_of        date NOT NULL,
  first_day    date,
  bins         smallint NOT NULL,
  cuts         bigint[] NOT NULL,
  members      bigint NOT NULL,
  changed      bigint NOT NULL,
  started_at   timestamptz NOT NULL,
  finished_at  timestamptz NOT NULL,
  actor        text NOT NULL
);

CREATE INDEX rfm_run_model ON crm_member.rfm_run (model_code, finished_at);

COMMENT ON TABLE crm_member.rfm_run IS 'Runs of the RFM models; a row is never changed';
COMMENT ON COLUMN crm_member.rfm_run.as_of IS 'Day recency is counted to; later purchases do not count';
COMMENT ON COLUMN crm_member.rfm_run.first_day IS 'First day of the window; NULL: all';
COMMENT ON COLUMN crm_member.rfm_run.cuts IS 'Where each band above the lowest begins: for recency (Julian day of the last purchase), frequency and monetary value (as in rfm_member) and each cut a pair, the value and the least member_id that reaches the band with just that value';
COMMENT ON COLUMN crm_member.rfm_run.members IS 'Members scored';
COMMENT ON COLUMN crm_member.rfm_run.changed IS 'Members whose measures were written';
COMMENT ON COLUMN crm_member.rfm_run.actor IS 'Role that ran it';

CREATE TABLE crm_member.rfm_state (
  model_code  text PRIMARY KEY REFERENCES crm_member.rfm_model ON DELETE CASCADE,
  run_id      bigint REFERENCES crm_member.rfm_run,
  definition  text
);

COMMENT ON TABLE crm_member.rfm_state IS 'The run whose scores are in force for each model; a run locks its row';
COMMENT ON COLUMN crm_member.rfm_state.run_id IS 'NULL: never run';
COMMENT ON COLUMN crm_member.rfm_state.definition IS 'What counted as a purchase at that run: where it has changed since, the next run measures everyone anew';

CREATE TABLE crm_member.rfm_change (
  member_id   bigint NOT NULL,
  model_code  text
);

COMMENT ON TABLE crm_member.rfm_change IS 'Members whose purchases changed since the last run, appended by triggers and taken by run_rfm()';
COMMENT ON COLUMN crm_member.rfm_change.member_id IS '0: any member';
COMMENT ON COLUMN crm_member.rfm_change.model_code IS 'The model that has yet to take it; NULL: all';

CREATE TRIGGER rfm_insert AFTER INSERT ON crm_member.sale REFERENCING NEW TABLE AS new_row
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.note_purchase();
CREATE TRIGGER rfm_update AFTER UPDATE ON crm_member.sale
  FOR EACH ROW EXECUTE FUNCTION crm_member.note_purchase();
CREATE TRIGGER rfm_delete AFTER DELETE ON crm_member.sale
  FOR EACH ROW EXECUTE FUNCTION crm_member.note_purchase();
CREATE TRIGGER rfm_truncate AFTER TRUNCATE ON crm_member.sale
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.note_purchase();
CREATE TRIGGER rfm_insert AFTER INSERT ON crm_member.sale_line REFERENCING NEW TABLE AS new_row
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.note_purchase();
CREATE TRIGGER rfm_update AFTER UPDATE ON crm_member.sale_line
  FOR EACH ROW EXECUTE FUNCTION crm_member.note_purchase();
CREATE TRIGGER rfm_delete AFTER DELETE ON crm_member.sale_line
  FOR EACH ROW EXECUTE FUNCTION crm_member.note_purchase();
CREATE TRIGGER rfm_truncate AFTER TRUNCATE ON crm_member.sale_line
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.note_purchase();
CREATE TRIGGER rfm_merge AFTER UPDATE OF merged_into ON crm_member.member
  FOR EACH ROW WHEN (OLD.merged_into IS DISTINCT FROM NEW.merged_into)
  EXECUTE FUNCTION crm_member.note_purchase();

CREATE TABLE crm_member.rfm_member (
  member_id   bigint NOT NULL,
  first_day   date NOT NULL,
  last_day    date NOT NULL,
  frequency   bigint NOT NULL,
  monetary    bigint NOT NULL,
  model_code  text NOT NULL,
  PRIMARY KEY (member_id, model_code)
) WITH (fillfactor = 90);

COMMENT ON TABLE crm_member.rfm_member IS 'What each model measured of each member with purchases in its window, at the model''s last run; written by run_rfm() alone';
COMMENT ON COLUMN crm_member.rfm_member.first_day IS 'Day of the first purchase in the window';
COMMENT ON COLUMN crm_member.rfm_member.last_day IS 'Day of the last purchase in the window';
COMMENT ON COLUMN crm_member.rfm_member.frequency IS 'Orders or days; units in millionths';
COMMENT ON COLUMN crm_member.rfm_member.monetary IS 'Money in minor units';

CREATE VIEW crm_member.rfm AS
  SELECT t.member_id, t.model_code, r.as_of, t.last_day, r.as_of - t.last_day AS recency,
         CASE d.frequency_of WHEN 'units' THEN t.frequency::numeric / 1000000 ELSE t.frequency::numeric END AS frequency,
         round(t.monetary::numeric / power(10::numeric, s.money_scale), s.money_scale) AS monetary,
         crm_member.score_member(r.cuts, t.member_id, t.last_day, t.frequency, t.monetary) AS score,
         r.run_id
    FROM crm_member.rfm_member t
    JOIN crm_member.rfm_state c USING (model_code)
    JOIN crm_member.rfm_run r USING (run_id)
    JOIN crm_member.rfm_model d ON d.model_code = t.model_code
    CROSS JOIN crm_member.setting s;

COMMENT ON VIEW crm_member.rfm IS 'Scores in force: one row a model and member with purchases. recency in days, frequency in orders, units or days, monetary in money; score by the cuts of the run';
