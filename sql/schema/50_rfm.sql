-- Segments, RFM models, their runs, and what is measured of each member.

CREATE TABLE crm_member.segment_set (
  segment_set  text PRIMARY KEY,
  name_en      text NOT NULL DEFAULT '',
  name_zh      text NOT NULL DEFAULT '',
  bins         smallint NOT NULL DEFAULT 5 CHECK (bins BETWEEN 2 AND 10)
);

COMMENT ON TABLE crm_member.segment_set IS 'Sets of segments, of which a model uses one; configuration';
COMMENT ON COLUMN crm_member.segment_set.bins IS 'Bands the ranges of its segments count in; score s of a model with b bins is in band s * bins / b, rounded up';

CREATE TABLE crm_member.segment (
  segment_set   text NOT NULL REFERENCES crm_member.segment_set ON DELETE CASCADE,
  segment_code  text NOT NULL,
  position      smallint NOT NULL,
  name_en       text NOT NULL DEFAULT '',
  name_zh       text NOT NULL DEFAULT '',
  r_from        smallint NOT NULL DEFAULT 1,
  r_to          smallint NOT NULL DEFAULT 10,
  f_from        smallint NOT NULL DEFAULT 1,
  f_to          smallint NOT NULL DEFAULT 10,
  m_from        smallint NOT NULL DEFAULT 1,
  m_to          smallint NOT NULL DEFAULT 10,
  PRIMARY KEY (segment_set, segment_code),
  CHECK (r_from <= r_to AND f_from <= f_to AND m_from <= m_to)
);

COMMENT ON TABLE crm_member.segment IS 'Segments: ranges of recency, frequency and monetary scores, both ends included; configuration';
COMMENT ON COLUMN crm_member.segment.name_en IS 'For pictures; empty: the code';
COMMENT ON COLUMN crm_member.segment.name_zh IS 'For pictures; empty: the code';
COMMENT ON COLUMN crm_member.segment.position IS 'Of the segments that take a score, the one with the lowest position has it, then by segment_code';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.segment_set
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();
CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.segment
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

INSERT INTO crm_member.segment_set (segment_set, name_en, name_zh) VALUES
  ('classic', 'Classic eleven', '经典十一类'),
  ('six', 'Six of Chinese retail', '六类客户'),
  ('eight', 'High and low R, F, M', '八类客户');

INSERT INTO crm_member.segment (segment_set, segment_code, position, name_en, name_zh, r_from, r_to, f_from, f_to, m_from, m_to) VALUES
  ('classic', 'champions',           1, 'Champions',           '冠军客户',     5, 5, 4, 5, 1, 5),
  ('classic', 'loyal',               2, 'Loyal customers',     '忠诚客户',     3, 4, 4, 5, 1, 5),
  ('classic', 'potential_loyalist',  3, 'Potential loyalists', '潜在忠诚客户', 4, 5, 2, 3, 1, 5),
  ('classic', 'new',                 4, 'New customers',       '新客户',       5, 5, 1, 1, 1, 5),
  ('classic', 'promising',           5, 'Promising',           '有潜力客户',   4, 4, 1, 1, 1, 5),
  ('classic', 'need_attention',      6, 'Need attention',      '需关注客户',   3, 3, 3, 3, 1, 5),
  ('classic', 'about_to_sleep',      7, 'About to sleep',      '即将沉睡客户', 3, 3, 1, 2, 1, 5),
  ('classic', 'cannot_lose',         8, 'Cannot lose them',    '不能流失客户', 1, 2, 5, 5, 1, 5),
  ('classic', 'at_risk',             9, 'At risk',             '流失风险客户', 1, 2, 3, 4, 1, 5),
  ('classic', 'lost',               10, 'Lost',                '已流失客户',   1, 1, 1, 1, 1, 5),
  ('classic', 'hibernating',        11, 'Hibernating',         '沉睡客户',     1, 2, 1, 2, 1, 5),
  ('six', 'key_keep',     1, 'Key, to keep',     '重要保持', 4, 5, 4, 5, 4, 5),
  ('six', 'key_develop',  2, 'Key, to develop',  '重要发展', 4, 5, 1, 3, 4, 5),
  ('six', 'key_win_back', 3, 'Key, to win back', '重要挽留', 1, 3, 1, 5, 4, 5),
  ('six', 'important',    4, 'Fairly important', '一般重要', 1, 5, 4, 5, 1, 3),
  ('six', 'ordinary',     5, 'Ordinary',         '一般',     4, 5, 1, 3, 1, 3),
  ('six', 'no_value',     6, 'Without value',    '无价值',   1, 3, 1, 3, 1, 3),
  ('eight', 'key_value',         1, 'Key, of value',         '重要价值客户', 4, 5, 4, 5, 4, 5),
  ('eight', 'key_develop',       2, 'Key, to develop',       '重要发展客户', 4, 5, 1, 3, 4, 5),
  ('eight', 'key_keep',          3, 'Key, to keep',          '重要保持客户', 1, 3, 4, 5, 4, 5),
  ('eight', 'key_win_back',      4, 'Key, to win back',      '重要挽留客户', 1, 3, 1, 3, 4, 5),
  ('eight', 'general_value',     5, 'General, of value',     '一般价值客户', 4, 5, 4, 5, 1, 3),
  ('eight', 'general_develop',   6, 'General, to develop',   '一般发展客户', 4, 5, 1, 3, 1, 3),
  ('eight', 'general_keep',      7, 'General, to keep',      '一般保持客户', 1, 3, 4, 5, 1, 3),
  ('eight', 'general_win_back',  8, 'General, to win back',  '一般挽留客户', 1, 3, 1, 3, 1, 3);

CREATE TABLE crm_member.rfm_model (
  model_code    text PRIMARY KEY,
  name          text NOT NULL DEFAULT '',
  "window"      interval CHECK ("window" > interval '0'),
  bins          smallint NOT NULL DEFAULT 5 CHECK (bins BETWEEN 2 AND 10),
  method        text NOT NULL DEFAULT 'quantile' CHECK (method IN ('quantile', 'thresholds')),
  ties          text NOT NULL DEFAULT 'split' CHECK (ties IN ('split', 'together')),
  cuts          jsonb CHECK (jsonb_typeof(cuts) = 'object' AND cuts - '{recency,frequency,monetary}'::text[] = '{}'),
  frequency_of  text NOT NULL DEFAULT 'orders' CHECK (frequency_of IN ('orders', 'units', 'days')),
  monetary_of   text NOT NULL DEFAULT 'paid' CHECK (monetary_of IN ('paid', 'gross')),
  scope         crm_member.condition CHECK (NOT crm_member.condition_concerns(scope, 'member')),
  segments      text NOT NULL DEFAULT 'classic' REFERENCES crm_member.segment_set,
  CHECK ((cuts IS NOT NULL) = (method = 'thresholds')),
  CONSTRAINT cuts_fit_bins CHECK (jsonb_typeof(cuts) <> 'object' OR NOT jsonb_path_exists(cuts, 'strict $.* ? (@.type() != "array" || @.size() != $cuts)', jsonb_build_object('cuts', bins - 1))),
  CONSTRAINT cuts_are_numbers CHECK (NOT jsonb_path_exists(cuts, 'lax $.*[*] ? (@.type() != "number")')),
  CONSTRAINT cuts_are_days CHECK (NOT jsonb_path_exists(cuts, 'lax $.recency[*] ? (@ != @.floor() || @ < -2147483648 || @ > 2147483647)')),
  CONSTRAINT cuts_of_measures_ascend CHECK (crm_member.cuts_ascend(cuts))
);

COMMENT ON TABLE crm_member.rfm_model IS 'RFM models: which purchases are measured, and how the measures become scores';
COMMENT ON COLUMN crm_member.rfm_model.name IS 'Title of its pictures; empty: the code';
COMMENT ON COLUMN crm_member.rfm_model."window" IS 'Purchases of this long up to the day of the run count; NULL: all';
COMMENT ON COLUMN crm_member.rfm_model.bins IS 'Scores are 1 (worst) to this';
COMMENT ON COLUMN crm_member.rfm_model.method IS 'quantile: bands of equal size; thresholds: fixed cuts for the measures named in cuts';
COMMENT ON COLUMN crm_member.rfm_model.ties IS 'split: exact bands, equal values by member_id; together: equal values share the lowest band';
COMMENT ON COLUMN crm_member.rfm_model.cuts IS 'For thresholds: {"recency": [days ...], "frequency": [...], "monetary": [...]}, each ascending and one shorter than bins; a measure that is left out is cut into bands of equal size';
COMMENT ON COLUMN crm_member.rfm_model.frequency_of IS 'orders, units or days with a purchase';
COMMENT ON COLUMN crm_member.rfm_model.monetary_of IS 'paid: after discounts; gross: before; both without shipping and less refunds';
COMMENT ON COLUMN crm_member.rfm_model.scope IS 'Which sales count, and where it looks at lines, which lines; NULL: all';
COMMENT ON COLUMN crm_member.rfm_model.segments IS 'The set of segments that names its scores';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.rfm_model
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

INSERT INTO crm_member.rfm_model (model_code, name) VALUES ('default', 'All purchases, fifths');

CREATE TABLE crm_member.rfm_run (
  run_id       bigint PRIMARY KEY DEFAULT crm_member.new_id(),
  model_code   text NOT NULL,
  as_of        date NOT NULL,
  first_day    date,
  bins         smallint NOT NULL,
  frequency_of text NOT NULL,
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

-- no key: a logical replica finds the rows that were taken by all their columns
ALTER TABLE crm_member.rfm_change REPLICA IDENTITY FULL;

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
CREATE TRIGGER rfm_insert AFTER INSERT ON crm_member.refund REFERENCING NEW TABLE AS new_row
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.note_purchase();
CREATE TRIGGER rfm_insert AFTER INSERT ON crm_member.refund_line REFERENCING NEW TABLE AS new_row
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

CREATE TABLE crm_member.rfm_snapshot (
  run_id       bigint NOT NULL REFERENCES crm_member.rfm_run ON DELETE CASCADE,
  member_from  bigint NOT NULL,
  scores       bytea NOT NULL,
  PRIMARY KEY (run_id, member_from)
);

ALTER TABLE crm_member.rfm_snapshot ALTER scores SET STORAGE PLAIN;

COMMENT ON TABLE crm_member.rfm_snapshot IS 'Scores and money of the members at each run, some hundred members a row; read by unpack_scores()';
COMMENT ON COLUMN crm_member.rfm_snapshot.member_from IS 'Least member_id of the row';

CREATE VIEW crm_member.rfm AS
  SELECT t.member_id, t.model_code, r.as_of, t.last_day, r.as_of - t.last_day AS recency,
         CASE d.frequency_of WHEN 'units' THEN t.frequency::numeric / 1000000 ELSE t.frequency::numeric END AS frequency,
         crm_member.minor_to_money(t.monetary, (SELECT money_scale FROM crm_member.setting)) AS monetary,
         v.score,
         crm_member.score_band(r.cuts, 1, t.last_day - date '2000-01-01' + 2451545, t.member_id) AS r,
         crm_member.score_band(r.cuts, 2, t.frequency, t.member_id) AS f,
         crm_member.score_band(r.cuts, 3, t.monetary, t.member_id) AS m,
         crm_member.segment_of(d.segments, r.bins, v.score) AS segment, r.run_id
    FROM crm_member.rfm_member t
    JOIN crm_member.rfm_state c USING (model_code)
    JOIN crm_member.rfm_run r USING (run_id)
    JOIN crm_member.rfm_model d ON d.model_code = t.model_code
    CROSS JOIN LATERAL (SELECT crm_member.score_member(r.cuts, t.member_id, t.last_day, t.frequency, t.monetary)) v (score);

COMMENT ON VIEW crm_member.rfm IS 'Scores in force: one row a model and member with purchases. recency in days, frequency in orders, units or days, monetary in money; score by the cuts of the run; segment NULL where none takes the score';

CREATE VIEW crm_member.rfm_segment AS
  WITH counted AS (
    SELECT model_code, segment, count(*) AS members, sum(monetary) AS monetary,
           avg(recency) AS recency, avg(frequency) AS frequency
      FROM crm_member.rfm GROUP BY 1, 2),
  named AS (
    SELECT d.model_code, g.segment_code, g.position, g.name_en, g.name_zh
      FROM crm_member.rfm_model d JOIN crm_member.segment g ON g.segment_set = d.segments)
  SELECT coalesce(n.model_code, c.model_code) AS model_code, n.segment_code AS segment, n.position, n.name_en, n.name_zh,
         coalesce(c.members, 0) AS members,
         round(coalesce(c.members, 0) / nullif(sum(c.members) OVER w, 0), 4) AS member_share,
         coalesce(c.monetary, 0) AS monetary,
         round(coalesce(c.monetary, 0) / nullif(sum(c.monetary) OVER w, 0), 4) AS monetary_share,
         round(c.recency, 1) AS mean_recency, round(c.frequency, 2) AS mean_frequency,
         round(c.monetary / c.members, 2) AS mean_monetary
    FROM named n FULL JOIN counted c ON c.model_code = n.model_code AND c.segment = n.segment_code
  WINDOW w AS (PARTITION BY coalesce(n.model_code, c.model_code));

COMMENT ON VIEW crm_member.rfm_segment IS 'The segments of each model: members, money, their shares of the whole (0 to 1) and means; a row without segment for members whose score none takes';

CREATE VIEW crm_member.member_value AS
  SELECT member_id, model_code, monetary,
         CASE WHEN place * 100 < members * 5 THEN 'top' WHEN place * 100 < members * 20 THEN 'middle' ELSE 'base' END AS level
    FROM (SELECT member_id, model_code, monetary,
                 row_number() OVER (PARTITION BY model_code ORDER BY monetary DESC, member_id) - 1 AS place,
                 count(*) OVER (PARTITION BY model_code) AS members
            FROM crm_member.rfm) ranked;

COMMENT ON VIEW crm_member.member_value IS 'Level of each member in the value pyramid of a model: top (5 % of members by money), middle (the next 15 %), base (80 %); equal money by member_id';

CREATE VIEW crm_member.value_pyramid AS
  SELECT model_code, l.position, l.level, l.name_en, l.name_zh, count(v.member_id) AS members, coalesce(sum(v.monetary), 0) AS monetary,
         round(sum(v.monetary) / nullif(sum(sum(v.monetary)) OVER (PARTITION BY model_code), 0), 4) AS monetary_share,
         min(v.monetary) AS monetary_from
    FROM (SELECT DISTINCT model_code FROM crm_member.rfm_state) d
    CROSS JOIN (VALUES (1, 'top', 'Top 5 %', '顶层 5%'), (2, 'middle', 'Next 15 %', '中层 15%'), (3, 'base', 'Base 80 %', '底层 80%'))
      l (position, level, name_en, name_zh)
    LEFT JOIN crm_member.member_value v USING (model_code, level)
   GROUP BY 1, 2, 3, 4, 5;

COMMENT ON VIEW crm_member.value_pyramid IS 'Members and money of each level of the value pyramid, by model';

CREATE VIEW crm_member.rfm_history AS
  SELECT r.run_id, r.model_code, r.as_of, r.first_day, r.bins,
         ARRAY(SELECT CASE WHEN r.cuts[2 * i - 1] < 9223372036854775807
                           THEN (r.as_of - date '2000-01-01' + 2451545 - r.cuts[2 * i - 1])::int END
                 FROM generate_series(r.bins - 1, 1, -1) i) AS recency_cuts,
         ARRAY(SELECT CASE WHEN r.cuts[2 * i - 1] < 9223372036854775807
                           THEN trim_scale(r.cuts[2 * i - 1] / CASE r.frequency_of WHEN 'units' THEN 1000000.0 ELSE 1 END) END
                 FROM generate_series(r.bins, 2 * (r.bins - 1)) i) AS frequency_cuts,
         ARRAY(SELECT CASE WHEN r.cuts[2 * i - 1] < 9223372036854775807
                           THEN crm_member.minor_to_money(r.cuts[2 * i - 1], (SELECT money_scale FROM crm_member.setting)) END
                 FROM generate_series(2 * r.bins - 1, 3 * (r.bins - 1)) i) AS monetary_cuts,
         r.members, r.changed, r.started_at, r.finished_at, r.actor,
         r.run_id IS NOT DISTINCT FROM c.run_id AS in_force
    FROM crm_member.rfm_run r
    LEFT JOIN crm_member.rfm_state c USING (model_code);

COMMENT ON VIEW crm_member.rfm_history IS 'Runs of the models. recency_cuts: days up to which each higher band reaches, ascending; frequency_cuts and monetary_cuts: where each higher band begins; NULL for a band nobody is in. With ties split a cut lies between members of that value';

CREATE VIEW crm_member.rfm_migration AS
  SELECT p.model_code, p.from_run, p.to_run, m.from_segment, m.to_segment, count(*) AS members,
         sum(m.from_monetary) AS from_monetary, sum(m.to_monetary) AS to_monetary
    FROM (SELECT c.model_code, r.run_id AS to_run,
                 (SELECT b.run_id FROM crm_member.rfm_run b
                   WHERE b.model_code = c.model_code AND b.finished_at < r.finished_at
                     AND EXISTS (SELECT FROM crm_member.rfm_snapshot x WHERE x.run_id = b.run_id)
                   ORDER BY b.finished_at DESC LIMIT 1) AS from_run
            FROM crm_member.rfm_state c JOIN crm_member.rfm_run r USING (run_id)) p
    CROSS JOIN LATERAL crm_member.rfm_moves(p.from_run, p.to_run) m
   GROUP BY 1, 2, 3, 4, 5;

COMMENT ON VIEW crm_member.rfm_migration IS 'Who moved where between the last two runs of each model, by segment: NULL from_segment joined, NULL to_segment left. from_monetary, to_monetary: money of these members at either run';
