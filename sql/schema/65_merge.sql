-- Merges of members: what was asserted, whose everything is by it, and what each survivor was before.

CREATE TABLE crm_member.member_merge (
  merge_id     bigint PRIMARY KEY,
  act          text NOT NULL CHECK (act IN ('merge', 'unmerge')),
  of_merge     bigint REFERENCES crm_member.member_merge CHECK ((of_merge IS NOT NULL) = (act = 'unmerge')),
  survivor     bigint NOT NULL,
  others       bigint[] NOT NULL,
  ref          text UNIQUE,
  fingerprint  bigint NOT NULL,
  policy       jsonb NOT NULL,
  evidence     jsonb NOT NULL DEFAULT '[]',
  report       jsonb NOT NULL,
  at           timestamptz NOT NULL DEFAULT now(),
  actor        text
);

COMMENT ON TABLE crm_member.member_merge IS 'Merges of members and their undoing: append-only, one row a call of merge_members() and unmerge(), without personal data';
COMMENT ON COLUMN crm_member.member_merge.merge_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.member_merge.act IS 'merge or unmerge';
COMMENT ON COLUMN crm_member.member_merge.of_merge IS 'The merge that was undone';
COMMENT ON COLUMN crm_member.member_merge.survivor IS 'The member the others were merged into, as named or chosen';
COMMENT ON COLUMN crm_member.member_merge.others IS 'The members merged into it, or taken out again, as named';
COMMENT ON COLUMN crm_member.member_merge.ref IS 'The caller''s reference; NULL: none given';
COMMENT ON COLUMN crm_member.member_merge.fingerprint IS 'Hash of what the call asked for';
COMMENT ON COLUMN crm_member.member_merge.policy IS 'What the caller decided: see merge_members() and unmerge()';
COMMENT ON COLUMN crm_member.member_merge.evidence IS 'What matching said of these members at the time: model, probability, weight and the evidence of each pair';
COMMENT ON COLUMN crm_member.member_merge.report IS 'What the call answered';
COMMENT ON COLUMN crm_member.member_merge.at IS 'When';
COMMENT ON COLUMN crm_member.member_merge.actor IS 'Who did it';

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON crm_member.member_merge
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.refuse_change();

CREATE TABLE crm_member.merge_edge (
  member_id  bigint NOT NULL CHECK (member_id > 0),
  merge_id   bigint NOT NULL,
  survivor   bigint NOT NULL CHECK (survivor <> member_id),
  position   bigint NOT NULL,
  fields     jsonb NOT NULL DEFAULT '{}',
  undone_by  bigint,
  PRIMARY KEY (member_id, merge_id)
);

COMMENT ON TABLE crm_member.merge_edge IS 'That a member is the same as another, as asserted by a merge. The live ones alone, in order, say who is merged into whom';
COMMENT ON COLUMN crm_member.merge_edge.member_id IS 'The member that was merged';
COMMENT ON COLUMN crm_member.merge_edge.merge_id IS 'The merge';
COMMENT ON COLUMN crm_member.merge_edge.survivor IS 'The member it was merged into';
COMMENT ON COLUMN crm_member.merge_edge.position IS 'Order among the edges of members ever merged with one another';
COMMENT ON COLUMN crm_member.merge_edge.fields IS 'Rules of fields that the merge asked for; of live edges the last counts';
COMMENT ON COLUMN crm_member.merge_edge.undone_by IS 'The unmerge that undid it; NULL: it is live';

-- Directory: derived from the edges.
CREATE TABLE crm_member.member_kin (
  member_id  bigint PRIMARY KEY CHECK (member_id > 0),
  kin        bigint NOT NULL,
  root       bigint NOT NULL,
  status     text NOT NULL
);

CREATE INDEX member_kin_kin ON crm_member.member_kin (kin);

COMMENT ON TABLE crm_member.member_kin IS 'Directory: members that were ever merged, with whom they ever shared a merge, and who they are now; derived from merge_edge';
COMMENT ON COLUMN crm_member.member_kin.member_id IS 'The member';
COMMENT ON COLUMN crm_member.member_kin.kin IS 'Number common to all that were ever merged with one another, directly or through others';
COMMENT ON COLUMN crm_member.member_kin.root IS 'The member it is now, after live merges; itself where it is merged into nobody';
COMMENT ON COLUMN crm_member.member_kin.status IS 'Its status before it was merged, while it is';

-- While others are merged into a member, its rows say what all of them say together.
CREATE TABLE crm_member.golden_record (
  member_id  bigint PRIMARY KEY REFERENCES crm_member.member,
  own        jsonb NOT NULL,
  golden     jsonb NOT NULL,
  sources    jsonb NOT NULL
);

COMMENT ON TABLE crm_member.golden_record IS 'Survivors of merges: what they said themselves, and what their rows of member, person and member_tier say now. Holds personal data';
COMMENT ON COLUMN crm_member.golden_record.member_id IS 'The survivor';
COMMENT ON COLUMN crm_member.golden_record.own IS 'The survivor''s own values; those of the others are in their own rows';
COMMENT ON COLUMN crm_member.golden_record.golden IS 'The values chosen from all of them; a field that differs in the survivor''s rows was edited since, and counts as its own';
COMMENT ON COLUMN crm_member.golden_record.sources IS 'Field to the member whose value was chosen';

CREATE TABLE crm_member.merged_debt (
  member_id    bigint NOT NULL,
  points_type  text NOT NULL REFERENCES crm_member.points_type,
  owner        bigint NOT NULL,
  points       numeric NOT NULL CHECK (points > 0),
  PRIMARY KEY (member_id, points_type, owner)
);

COMMENT ON TABLE crm_member.merged_debt IS 'Debt of points that a survivor took over, by whose it was; what the survivor has paid since is paid for its own first';
COMMENT ON COLUMN crm_member.merged_debt.member_id IS 'Who owes it now';
COMMENT ON COLUMN crm_member.merged_debt.owner IS 'Who owed it';
COMMENT ON COLUMN crm_member.merged_debt.points IS 'How much was taken over';

CREATE TABLE crm_member.merged_use (
  member_id  bigint NOT NULL,
  owner      bigint NOT NULL,
  rule_code  text NOT NULL,
  period     date NOT NULL,
  points     numeric NOT NULL,
  PRIMARY KEY (member_id, owner, rule_code, period)
);

COMMENT ON TABLE crm_member.merged_use IS 'What of points_rule_use a survivor took over from others';
COMMENT ON COLUMN crm_member.merged_use.member_id IS 'The survivor';
COMMENT ON COLUMN crm_member.merged_use.owner IS 'Who used it';

CREATE TABLE crm_member.merge_part (
  part      text PRIMARY KEY,
  totals    text NOT NULL,
  prepare   text,
  follow    text CHECK (follow IS NULL OR prepare IS NOT NULL),
  position  int NOT NULL DEFAULT 0
);

COMMENT ON TABLE crm_member.merge_part IS 'What a merge takes along and proves: one row a feature; configuration. Where follow is NULL its rows stay and are found through canonical_member()';
COMMENT ON COLUMN crm_member.merge_part.part IS 'Name, as in the report';
COMMENT ON COLUMN crm_member.merge_part.totals IS 'Function (members bigint[]) returns jsonb: what these members have together; where they move, no merge and no undoing may change it';
COMMENT ON COLUMN crm_member.merge_part.prepare IS 'Function (members bigint[], roots bigint[]) returns void: locks what follow moves, so that it stays as it is between the totals before and after';
COMMENT ON COLUMN crm_member.merge_part.follow IS 'Function (members bigint[], roots bigint[], reason text, actor text) returns jsonb: brings to each root of member_kin what is its members'', and says what moved';
COMMENT ON COLUMN crm_member.merge_part.position IS 'Order';

INSERT INTO crm_member.merge_part (part, totals, prepare, follow, position) VALUES
  ('limits', 'crm_member.merge_limits_totals', 'crm_member.lock_limits', 'crm_member.merge_limits', 5),
  ('points', 'crm_member.merge_points_totals', 'crm_member.lock_points', 'crm_member.merge_points', 10),
  ('holds', 'crm_member.merge_holds_totals', NULL, NULL, 20),
  ('sales', 'crm_member.merge_sales_totals', NULL, NULL, 30),
  ('identities', 'crm_member.merge_identities_totals', NULL, NULL, 40),
  ('cards', 'crm_member.merge_cards_totals', NULL, NULL, 50),
  ('coupons', 'crm_member.merge_coupons_totals', NULL, NULL, 60);

-- Directory: what an erased member was found by, unreadable.
CREATE TABLE crm_member.erased_identity (
  digest     bytea NOT NULL,
  kind       text NOT NULL,
  member_id  bigint NOT NULL,
  erased_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (digest, member_id)
);

COMMENT ON TABLE crm_member.erased_identity IS 'Directory: digests of the identities of erased members, so that the same person is known as erased';
COMMENT ON COLUMN crm_member.erased_identity.digest IS 'SHA-256 of erasure_salt, kind and value';
COMMENT ON COLUMN crm_member.erased_identity.kind IS 'Kind of identity';
COMMENT ON COLUMN crm_member.erased_identity.member_id IS 'The member that was found by it';
COMMENT ON COLUMN crm_member.erased_identity.erased_at IS 'When it was erased';

CREATE TABLE crm_member.erasure_salt (
  singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  salt       bytea NOT NULL
);

COMMENT ON TABLE crm_member.erasure_salt IS 'What makes the digests of erased_identity this installation''s own; whoever reads it can test a guess';
COMMENT ON COLUMN crm_member.erasure_salt.salt IS 'Random';

INSERT INTO crm_member.erasure_salt (salt)
SELECT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
