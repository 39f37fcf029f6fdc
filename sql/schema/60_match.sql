-- Models of matching, what a run found, and what people said about it.

CREATE TABLE crm_member.match_model (
  model_code        text PRIMARY KEY,
  name              text,
  source            text NOT NULL,
  key               text NOT NULL,
  fields            jsonb CHECK (jsonb_typeof(fields) = 'array'),
  auto_threshold    numeric NOT NULL DEFAULT 0.97 CHECK (auto_threshold > 0 AND auto_threshold <= 1),
  review_threshold  numeric NOT NULL DEFAULT 0.5 CHECK (review_threshold > 0 AND review_threshold < 1),
  max_block         int NOT NULL DEFAULT 30 CHECK (max_block BETWEEN 2 AND 10000),
  idle_days         int NOT NULL DEFAULT 90 CHECK (idle_days BETWEEN 1 AND 36500),
  CHECK (review_threshold <= auto_threshold)
);

COMMENT ON TABLE crm_member.match_model IS 'What is compared, and how, when find_duplicates() looks for duplicates; configuration';
COMMENT ON COLUMN crm_member.match_model.source IS 'A relation or a query; it is run with the rights of whoever calls find_duplicates()';
COMMENT ON COLUMN crm_member.match_model.key IS 'Column of the source that names a row; not null and unique there';
COMMENT ON COLUMN crm_member.match_model.fields IS 'List of {"column", "comparator", "within", "seen", "until", "m", "u"} or of column names; NULL: guessed from the names of all columns';
COMMENT ON COLUMN crm_member.match_model.auto_threshold IS 'Probability from which a pair may be merged without asking';
COMMENT ON COLUMN crm_member.match_model.review_threshold IS 'Probability from which a pair is reported';
COMMENT ON COLUMN crm_member.match_model.max_block IS 'Records that share a key are compared up to this number; a larger block is split by other fields';
COMMENT ON COLUMN crm_member.match_model.idle_days IS 'Days after which a number that nobody used may have passed to another holder, where fields say when it was used: agreement across such a gap, or one four times as long, counts by itself';

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

CREATE TABLE crm_member.match_relation (
  model_code   text NOT NULL REFERENCES crm_member.match_model ON DELETE CASCADE,
  left_key     text NOT NULL,
  right_key    text NOT NULL,
  probability  numeric NOT NULL CHECK (probability BETWEEN 0 AND 1),
  shared       text[] NOT NULL,
  PRIMARY KEY (model_code, left_key, right_key)
);

COMMENT ON TABLE crm_member.match_relation IS 'Pairs that the last run of each model holds for two that belong together, such as a family on one telephone: never to be merged; written by find_duplicates()';
COMMENT ON COLUMN crm_member.match_relation.probability IS 'How likely the two are related rather than one, or strangers: 0.5 and more';
COMMENT ON COLUMN crm_member.match_relation.shared IS 'Columns of telephone, address or place in which they are equal';

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

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.match_run
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

COMMENT ON TABLE crm_member.match_run IS 'Runs of find_duplicates(): what was compared and estimated';
COMMENT ON COLUMN crm_member.match_run.candidates IS 'Pairs compared';
COMMENT ON COLUMN crm_member.match_run.pairs IS 'Pairs found';
COMMENT ON COLUMN crm_member.match_run.expected_matches IS 'Sum of the probabilities of all candidates, before adjustment for frequency';
COMMENT ON COLUMN crm_member.match_run.converged IS 'Whether estimation came to rest, rather than being stopped';
COMMENT ON COLUMN crm_member.match_run.normalizer IS 'normalizer_version() at the time';
COMMENT ON COLUMN crm_member.match_run.parameters IS 'Share of matches, and m and u of every level';
COMMENT ON COLUMN crm_member.match_run.crowded IS 'Columns with keys that more than max_block records share: blocks, records in the largest, and left_out: parts still too large after splitting by the other columns, whose pairs were not compared';

-- What matching sees of a member.
CREATE VIEW crm_member.match_record AS
SELECT p.member_id, p.name, p.mobile, p.email, p.birthday, p.gender,
       (SELECT min(i.value) FROM crm_member.identity AS i
         WHERE i.member_id = p.member_id AND i.kind = 'wechat_unionid') AS wechat_unionid,
       coalesce((SELECT min(i.value) FROM crm_member.identity AS i
                  WHERE i.member_id = p.member_id AND i.kind LIKE 'nickname:%'), m.attrs ->> 'nickname') AS nickname,
       m.attrs ->> 'address' AS address,
       m.attrs ->> 'city' AS city,
       m.merged_into,
       -- bound after the registration: the number is newer than the member
       coalesce((SELECT i.bound_at FROM crm_member.identity AS i
                  WHERE i.kind = 'mobile' AND i.value = p.mobile AND i.member_id = p.member_id
                    AND i.bound_at > (SELECT max(e.at) FROM crm_member.member_event AS e
                                       WHERE e.member_id = p.member_id AND e.act = 'register')), m.joined_at) AS mobile_since,
       greatest((SELECT max(s.sold_at) FROM crm_member.sale AS s WHERE s.member_id = p.member_id), m.joined_at) AS mobile_until
FROM crm_member.person AS p
JOIN crm_member.member AS m ON m.member_id = p.member_id;

COMMENT ON VIEW crm_member.match_record IS 'What matching sees of each member; nickname, address and city also from the attributes of the member';
COMMENT ON COLUMN crm_member.match_record.mobile_since IS 'Since when the member used the mobile: when it was bound, where that was after the registration, else when the member joined';
COMMENT ON COLUMN crm_member.match_record.mobile_until IS 'Until when, as far as is known: the last sale';

INSERT INTO crm_member.match_model (model_code, name, source, key, fields) VALUES
  ('member', 'Members', 'SELECT * FROM crm_member.match_record WHERE merged_into IS NULL', 'member_id', '[
     {"column": "name", "comparator": "name"},
     {"column": "mobile", "comparator": "phone", "seen": "mobile_since", "until": "mobile_until"},
     {"column": "email", "comparator": "email"},
     {"column": "birthday", "comparator": "date"},
     {"column": "gender", "comparator": "gender"},
     {"column": "wechat_unionid", "comparator": "id"},
     {"column": "nickname", "comparator": "nickname"},
     {"column": "address", "comparator": "address"},
     {"column": "city", "comparator": "place", "within": "address"}]');

CREATE TABLE crm_member.match_key (
  member_id   bigint PRIMARY KEY REFERENCES crm_member.person ON DELETE CASCADE,
  keys        bigint[] NOT NULL,
  version     text NOT NULL
);

CREATE INDEX match_key_keys ON crm_member.match_key USING gin (keys) WITH (fastupdate = off);

COMMENT ON TABLE crm_member.match_key IS 'Keys by which match_member() finds members; kept by a trigger on person';
COMMENT ON COLUMN crm_member.match_key.keys IS 'Hashes of what name, mobile, e-mail and birthday amount to, under match_secret: without it no number can be tried out on them';
COMMENT ON COLUMN crm_member.match_key.version IS 'match_key_version() that made the keys: see rekey_members()';

-- The secret behind those keys.
CREATE TABLE crm_member.match_secret (
  singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  key        bytea NOT NULL CHECK (length(key) = 32)
);

COMMENT ON TABLE crm_member.match_secret IS 'What the hashes of match_key are keyed with: one row, made by setup(). A new key makes all of match_key anew in the same transaction';
COMMENT ON COLUMN crm_member.match_secret.key IS '32 random bytes';

INSERT INTO crm_member.match_secret (key)
VALUES (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.match_secret
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();
-- fires after it, by its name
CREATE TRIGGER touched_rekey_members AFTER UPDATE ON crm_member.match_secret
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.rekey_under_secret();

CREATE TRIGGER key_person_insert AFTER INSERT ON crm_member.person
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm_member.key_person();
CREATE TRIGGER key_person_update AFTER UPDATE ON crm_member.person
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm_member.key_person();

-- Registrations that look for the person first take the rows their keys fall on until they end.
CREATE TABLE crm_member.registration_claim (
  slot  int PRIMARY KEY CHECK (slot BETWEEN 0 AND 65535)
) WITH (fillfactor = 50);

COMMENT ON TABLE crm_member.registration_claim IS 'Rows that register_member(unless_like => ...) writes so that two who register one person come one after the other; at most 65536';
COMMENT ON COLUMN crm_member.registration_claim.slot IS 'Hash of a key of the person, modulo 65536: tells nothing of anybody';

CREATE VIEW crm_member.duplicate_queue AS
SELECT p.model_code, p.left_key, p.right_key, p.probability, p.weight, p.evidence, v.verdict, v.reason, v.decided_at
FROM crm_member.duplicate_pair AS p
LEFT JOIN crm_member.match_verdict AS v USING (model_code, left_key, right_key)
WHERE p.decision = 'review' AND (v.verdict IS NULL OR v.verdict = 'later')
ORDER BY v.verdict IS NOT NULL, p.probability DESC, p.left_key, p.right_key;

COMMENT ON VIEW crm_member.duplicate_queue IS 'Pairs that wait for a person to look, the likeliest first; those put off come last';
