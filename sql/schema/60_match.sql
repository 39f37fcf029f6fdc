-- Models of matching, what a run found, and what people said about it.

CREATE TABLE crm_member.match_model (
  model_code        text PRIMARY KEY,
  name              text,
  source            text NOT NULL,
  key               text NOT NULL,
  fields            jsonb CHECK (jsonb_typeof(fields) = 'array'),
  auto_threshold    numeric NOT NULL DEFAULT 0.98 CHECK (auto_threshold > 0 AND auto_threshold <= 1),
  review_threshold  numeric NOT NULL DEFAULT 0.5 CHECK (review_threshold > 0 AND review_threshold < 1),
  max_block         int NOT NULL DEFAULT 30 CHECK (max_block BETWEEN 2 AND 10000),
  CHECK (review_threshold <= auto_threshold)
);

COMMENT ON TABLE crm_member.match_model IS 'What is compared, and how, when find_duplicates() looks for duplicates; configuration';
COMMENT ON COLUMN crm_member.match_model.source IS 'A relation or a query; it is run with the rights of whoever calls find_duplicates()';
COMMENT ON COLUMN crm_member.match_model.key IS 'Column of the source that names a row; not null and unique there';
COMMENT ON COLUMN crm_member.match_model.fields IS 'List of {"column", "comparator", "within", "m", "u"} or of column names; NULL: guessed from the names of all columns';
COMMENT ON COLUMN crm_member.match_model.auto_threshold IS 'Probability from which a pair may be merged without asking';
COMMENT ON COLUMN crm_member.match_model.review_threshold IS 'Probability from which a pair is reported';
COMMENT ON COLUMN crm_member.match_model.max_block IS 'Records that share a key are compared up to this number; a larger block is split by other fields';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.match_model
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

CREATE TABLE crm_member.duplicate_pair (
  model_code   text NOT NULL REFERENCES crm_member.match_model ON DELETE CASCADE,
  left_key     text NOT NULL,
  right_key    text NOT NULL,
  probability  numeric NOT NULL CHECK (probability BETWEEN 0 AND 1),
  weight       numeric NOT NULL,
  decision     text NOT NULL CHECK (decision IN ('auto', 'review')),
  evidence     jsonb NOT NULL,
  PRIMARY KEY (model_code, left_key, right_key)
);

COMMENT ON TABLE crm_member.duplicate_pair IS 'Pairs that the last run of each model holds for the same; written by find_duplicates()';
COMMENT ON COLUMN crm_member.duplicate_pair.weight IS 'Logarithm to base 2 of the odds, to 4 decimals: prior and all weights and frequencies of the evidence add to it exactly';
COMMENT ON COLUMN crm_member.duplicate_pair.decision IS 'auto: may be merged without asking; review: a person should look';
COMMENT ON COLUMN crm_member.duplicate_pair.evidence IS 'Prior, and of each field that both records fill: level of agreement, m, u, weight = log2(m / u), frequency: adjustment for how rare the value is';

CREATE TABLE crm_member.duplicate_cluster (
  model_code  text NOT NULL REFERENCES crm_member.match_model ON DELETE CASCADE,
  cluster_id  text NOT NULL,
  key         text NOT NULL,
  PRIMARY KEY (model_code, key)
);

CREATE INDEX duplicate_cluster_id ON crm_member.duplicate_cluster (model_code, cluster_id);

COMMENT ON TABLE crm_member.duplicate_cluster IS 'Groups of two and more records that the last run of each model holds for one; written by find_duplicates()';
COMMENT ON COLUMN crm_member.duplicate_cluster.cluster_id IS 'The least key of the group';

CREATE TABLE crm_member.match_verdict (
  model_code  text NOT NULL REFERENCES crm_member.match_model ON DELETE CASCADE,
  left_key    text NOT NULL,
  right_key   text NOT NULL,
  verdict     text NOT NULL CHECK (verdict IN ('same', 'different', 'later')),
  reason      text,
  actor       text,
  decided_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (model_code, left_key, right_key),
  CHECK (left_key <> right_key)
);

COMMENT ON TABLE crm_member.match_verdict IS 'What people decided about pairs: same and different bind every later run';

CREATE TABLE crm_member.match_run (
  model_code        text NOT NULL REFERENCES crm_member.match_model ON DELETE CASCADE,
  run_at            timestamptz NOT NULL,
  finished_at       timestamptz NOT NULL,
  records           bigint NOT NULL,
  candidates        bigint NOT NULL,
  pairs             bigint NOT NULL,
  expected_matches  numeric NOT NULL,
  iterations        int NOT NULL,
  converged         boolean NOT NULL,
  normalizer        text NOT NULL,
  parameters        jsonb NOT NULL,
  crowded           jsonb NOT NULL,
  PRIMARY KEY (model_code, run_at)
);

COMMENT ON TABLE crm_member.match_run IS 'Runs of find_duplicates(): what was compared and estimated';
COMMENT ON COLUMN crm_member.match_run.candidates IS 'Pairs compared';
COMMENT ON COLUMN crm_member.match_run.pairs IS 'Pairs found';
COMMENT ON COLUMN crm_member.match_run.expected_matches IS 'Sum of the probabilities of all candidates, before adjustment for frequency';
COMMENT ON COLUMN crm_member.match_run.converged IS 'Whether estimation came to rest, rather than being stopped';
COMMENT ON COLUMN crm_member.match_run.normalizer IS 'normalizer_version() at the time';
COMMENT ON COLUMN crm_member.match_run.parameters IS 'Share of matches, and m and u of every level';
COMMENT ON COLUMN crm_member.match_run.crowded IS 'Columns whose keys many records share: blocks that were left out, and the largest of them';
