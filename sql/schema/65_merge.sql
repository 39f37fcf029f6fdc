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
  cards      text NOT NULL DEFAULT 'keep' CHECK (cards IN ('keep', 'deactivate')),
  coupons    jsonb NOT NULL DEFAULT '"keep"',
  undone_by  bigint,
  PRIMARY KEY (member_id, merge_id)
);

COMMENT ON TABLE crm_member.merge_edge IS 'That a member is the same as another, as asserted by a merge. The live ones alone, in order, say who is merged into whom';
COMMENT ON COLUMN crm_member.merge_edge.member_id IS 'The member that was merged';
COMMENT ON COLUMN crm_member.merge_edge.merge_id IS 'The merge';
COMMENT ON COLUMN crm_member.merge_edge.survivor IS 'The member it was merged into';
COMMENT ON COLUMN crm_member.merge_edge.position IS 'Order among the edges of members ever merged with one another';
COMMENT ON COLUMN crm_member.merge_edge.fields IS 'Rules of fields that the merge asked for; of live edges the last counts';
COMMENT ON COLUMN crm_member.merge_edge.cards IS 'Whether the cards of who was merged stay usable, as the merge said or merge_policy did then';
COMMENT ON COLUMN crm_member.merge_edge.coupons IS 'Of which coupons only those of who got the first stay good, likewise: keep (all stay), void (those of templates with member_limit 1) or an array of template codes';
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

COMMENT ON TABLE crm_member.golden_record IS 'Survivors of merges: what they said themselves, and what their rows of member and person say now. Holds personal data';
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

CREATE TABLE crm_member.merge_policy (
  singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  cards      text NOT NULL DEFAULT 'keep' CHECK (cards IN ('keep', 'deactivate')),
  coupons    text NOT NULL DEFAULT 'keep' CHECK (coupons IN ('keep', 'void'))
);

COMMENT ON TABLE crm_member.merge_policy IS 'What merges do where they do not say; one row, configuration. It does not change merges that are made already';
COMMENT ON COLUMN crm_member.merge_policy.cards IS 'keep: all cards can be used; deactivate: only the survivor''s, while the merge lives. All are found for ever';
COMMENT ON COLUMN crm_member.merge_policy.coupons IS 'keep: all coupons stay good; void: of templates with member_limit 1 only those of who got the first, while the merge lives';

INSERT INTO crm_member.merge_policy DEFAULT VALUES;

CREATE TABLE crm_member.merged_coupon (
  member_id  bigint NOT NULL,
  code       crm_member.coupon_code NOT NULL,
  PRIMARY KEY (member_id, code)
);

COMMENT ON TABLE crm_member.merged_coupon IS 'Coupons that are void while their member is merged with one who had such a gift before; derived from the live merges';
COMMENT ON COLUMN crm_member.merged_coupon.member_id IS 'The member it was issued to';
COMMENT ON COLUMN crm_member.merged_coupon.code IS 'The coupon';

CREATE TABLE crm_member.merge_part (
  part          text PRIMARY KEY,
  relation      text NOT NULL,
  moves         boolean NOT NULL DEFAULT false,
  over          text,
  grouped_by    text,
  sums          text[] NOT NULL DEFAULT '{}',
  count_as      text NOT NULL DEFAULT 'count',
  conflict      text NOT NULL DEFAULT 'both' CHECK (conflict IN ('both', 'one', 'refuse', 'block')),
  conflict_key  text[] NOT NULL DEFAULT '{}',
  prefer        text,
  position      int NOT NULL DEFAULT 0
);

COMMENT ON TABLE crm_member.merge_part IS 'What members have, for merges: one row a table with a column member_id, also of your own; configuration. Rows stay with the member they were made for and are found through canonical_member(); points move by entries';
COMMENT ON COLUMN crm_member.merge_part.part IS 'Name, as in the report';
COMMENT ON COLUMN crm_member.merge_part.relation IS 'The table, with its schema; views are refused';
COMMENT ON COLUMN crm_member.merge_part.moves IS 'What members have together of it may not be changed by a merge or its undoing: error RM612; reported as totals, else as kept';
COMMENT ON COLUMN crm_member.merge_part.over IS 'Column that is set in rows that are over and do not count; NULL: all count';
COMMENT ON COLUMN crm_member.merge_part.grouped_by IS 'Column the report tells apart; NULL: none';
COMMENT ON COLUMN crm_member.merge_part.sums IS 'Columns that are summed; none of them: rows are counted';
COMMENT ON COLUMN crm_member.merge_part.count_as IS 'What the number of rows is called in the report';
COMMENT ON COLUMN crm_member.merge_part.conflict IS 'Where members that become one have rows of the same conflict_key: both stand; one counts and hides the others, see merge_conflict; the merge is refused; block: it is refused where any of them has any row. Error RM615';
COMMENT ON COLUMN crm_member.merge_part.conflict_key IS 'Columns of which one member may have a row once; none: one row a member';
COMMENT ON COLUMN crm_member.merge_part.prefer IS 'Of conflicting rows the one with the least value of this column counts, then the survivor''s, then that of the lowest number; NULL: the survivor''s first';
COMMENT ON COLUMN crm_member.merge_part.position IS 'Order';

INSERT INTO crm_member.merge_part (part, relation, moves, over, grouped_by, sums, count_as, position) VALUES
  ('limits', 'crm_member.coupon_use', true, 'returned_at', NULL, '{}', 'redemptions', 5),
  ('points', 'crm_member.points_account', true, NULL, 'points_type', '{balance,debt}', 'count', 10),
  ('holds', 'crm_member.points_hold', false, NULL, 'points_type', '{held}', 'count', 20),
  ('sales', 'crm_member.sale', false, NULL, NULL, '{payable}', 'count', 30),
  ('identities', 'crm_member.identity', false, NULL, NULL, '{}', 'count', 40),
  ('cards', 'crm_member.card', false, NULL, 'state', '{}', 'count', 50),
  ('coupons', 'crm_member.coupon', false, NULL, 'status', '{}', 'count', 60);

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.merge_part
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

CREATE TABLE crm_member.merge_conflict (
  member_id  bigint NOT NULL,
  part       text NOT NULL,
  key        jsonb NOT NULL,
  kept       bigint NOT NULL,
  PRIMARY KEY (member_id, part, key)
);

COMMENT ON TABLE crm_member.merge_conflict IS 'Rows that do not count while their member is merged with another, who has one of the same key; derived from the live merges';
COMMENT ON COLUMN crm_member.merge_conflict.member_id IS 'Whose rows are hidden';
COMMENT ON COLUMN crm_member.merge_conflict.part IS 'Of which part';
COMMENT ON COLUMN crm_member.merge_conflict.key IS 'The columns of conflict_key with their values';
COMMENT ON COLUMN crm_member.merge_conflict.kept IS 'Whose row counts';

CREATE TABLE crm_member.merge_field (
  field    text PRIMARY KEY CHECK (field IN ('name', 'mobile', 'email', 'birthday', 'gender', 'joined_at', 'tier') OR field LIKE 'attrs.%'),
  rule     text NOT NULL DEFAULT 'survivor'
           CHECK (rule IN ('survivor', 'earliest', 'latest', 'longest', 'frequent', 'min', 'max', 'trusted', 'verified')),
  grouped  text CHECK (grouped IS NULL OR field LIKE 'attrs.%')
);

COMMENT ON TABLE crm_member.merge_field IS 'Which of the merged members'' values a survivor shows, where the merge does not say; configuration. Attributes that are not here are the survivor''s, or else the earliest member''s; tags are united';
COMMENT ON COLUMN crm_member.merge_field.field IS 'Column of person, joined_at, tier, or attrs. and a key of member.attrs';
COMMENT ON COLUMN crm_member.merge_field.rule IS 'survivor, earliest or latest to join, longest, frequent, min, max, trusted (by merge_source), verified (mobile and email: bound last); among equals the survivor, then the earliest. A tier by max is the best of each: granted, earned, given by hand';
COMMENT ON COLUMN crm_member.merge_field.grouped IS 'Attributes of one group come from one member together; a merge names their rule by the group';

INSERT INTO crm_member.merge_field (field, rule) VALUES
  ('name', 'survivor'), ('mobile', 'survivor'), ('email', 'survivor'), ('birthday', 'survivor'), ('gender', 'survivor'),
  ('joined_at', 'min'), ('tier', 'max');
INSERT INTO crm_member.merge_field (field, grouped)
SELECT 'attrs.' || key, 'address' FROM unnest('{country,province,city,district,street,address,postcode}'::text[]) AS key
UNION ALL SELECT 'attrs.' || key, 'identity_document' FROM unnest('{id_type,id_number}'::text[]) AS key;

CREATE TABLE crm_member.merge_source (
  source     text PRIMARY KEY,
  trust      float8 NOT NULL CHECK (trust >= 0),
  half_life  interval CHECK (half_life > interval '0')
);

COMMENT ON TABLE crm_member.merge_source IS 'How far what a member''s source said is to be trusted, for rule trusted; configuration. A source that is not here is not trusted';
COMMENT ON COLUMN crm_member.merge_source.source IS 'As in member.source';
COMMENT ON COLUMN crm_member.merge_source.trust IS 'The higher, the better';
COMMENT ON COLUMN crm_member.merge_source.half_life IS 'It is worth half for every such time the member joined before the last of those he is merged with; NULL: it does not age';

-- A survivor's own tier, while it holds the best of all that are merged with it.
CREATE TABLE crm_member.merged_tier (
  member_id     bigint PRIMARY KEY REFERENCES crm_member.member,
  tier_code     text,
  since         timestamptz NOT NULL,
  earned_tier   text,
  period_from   timestamptz,
  period_to     timestamptz,
  manual_tier   text,
  manual_until  timestamptz,
  at_least      boolean NOT NULL,
  wrote_tier    text,
  wrote_until   timestamptz,
  wrote_at_least boolean NOT NULL,
  given         boolean NOT NULL DEFAULT false,
  wrote_earned  text,
  wrote_from    timestamptz,
  wrote_to      timestamptz,
  reached_tier  text,
  reached_from  timestamptz,
  reached_to    timestamptz
);

COMMENT ON TABLE crm_member.merged_tier IS 'Survivors'' own rows of member_tier, whose columns these are, and what they reached while they survived others';
COMMENT ON COLUMN crm_member.merged_tier.tier_code IS 'The tier it held itself; NULL: none';
COMMENT ON COLUMN crm_member.merged_tier.wrote_tier IS 'Level by hand that the merge gave it: another one was given since';
COMMENT ON COLUMN crm_member.merged_tier.wrote_until IS 'Its end';
COMMENT ON COLUMN crm_member.merged_tier.wrote_at_least IS 'Whether it is a floor';
COMMENT ON COLUMN crm_member.merged_tier.given IS 'Its level by hand was given, or taken, while it survived others: it is said of all of them and is no mere floor';
COMMENT ON COLUMN crm_member.merged_tier.wrote_earned IS 'Earned tier that the merge gave it: where it has another, or another period, the rules did that since';
COMMENT ON COLUMN crm_member.merged_tier.wrote_from IS 'Begin of its period';
COMMENT ON COLUMN crm_member.merged_tier.wrote_to IS 'End of its period';
COMMENT ON COLUMN crm_member.merged_tier.reached_tier IS 'Earned tier that it reached together with those it survived; NULL: none';
COMMENT ON COLUMN crm_member.merged_tier.reached_from IS 'Begin of its period: when it was reached; where some of them leave, each has what its own acts justified then';
COMMENT ON COLUMN crm_member.merged_tier.reached_to IS 'End of its period';

CREATE TABLE crm_member.merged_sale (
  member_id  bigint NOT NULL,
  sale_id    bigint NOT NULL,
  named_by   text NOT NULL,
  survivor   bigint NOT NULL,
  at         timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (member_id, sale_id)
);

COMMENT ON TABLE crm_member.merged_sale IS 'Sales that checkout() booked with a merged member, whom the buyer was named by: they go with it when the merge is undone';
COMMENT ON COLUMN crm_member.merged_sale.member_id IS 'The merged member, as in sale';
COMMENT ON COLUMN crm_member.merged_sale.sale_id IS 'The sale';
COMMENT ON COLUMN crm_member.merged_sale.named_by IS 'How the sale named the buyer: card, mobile or another kind of identity; member_id; or store, where the survivor was named and the store is one that only the merged member belongs to';
COMMENT ON COLUMN crm_member.merged_sale.survivor IS 'Who bought';
COMMENT ON COLUMN crm_member.merged_sale.at IS 'When it was booked';

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
