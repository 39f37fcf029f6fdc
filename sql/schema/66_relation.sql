-- What stands between members, and what they allow: referrals, relations, consents, open cases.
-- All of it stays with whom it was said of; who counts after merges is found when it is read.

CREATE TABLE crm_member.referral (
  member_id    bigint PRIMARY KEY CHECK (member_id > 0),
  referrer     bigint NOT NULL CHECK (referrer > 0 AND referrer <> member_id),
  referred_at  timestamptz NOT NULL,
  ref          text,
  fingerprint  bigint NOT NULL,
  booked_at    timestamptz NOT NULL DEFAULT now(),
  actor        text
);

CREATE INDEX referral_referrer ON crm_member.referral (referrer);

COMMENT ON TABLE crm_member.referral IS 'Who brought whom: append-only, one row a member; of those who were merged the earliest counts, see referral_standing';
COMMENT ON COLUMN crm_member.referral.member_id IS 'The member that was brought';
COMMENT ON COLUMN crm_member.referral.referrer IS 'Who brought it, as named';
COMMENT ON COLUMN crm_member.referral.referred_at IS 'When';
COMMENT ON COLUMN crm_member.referral.ref IS 'The caller''s reference; NULL: none given';
COMMENT ON COLUMN crm_member.referral.fingerprint IS 'Hash of what the act asked for';
COMMENT ON COLUMN crm_member.referral.booked_at IS 'When it was entered';
COMMENT ON COLUMN crm_member.referral.actor IS 'Who entered it';

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON crm_member.referral
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.refuse_change();

CREATE TABLE crm_member.referral_reward (
  member_id    bigint NOT NULL CHECK (member_id > 0),
  ref          text NOT NULL,
  referred     bigint NOT NULL,
  points_type  text NOT NULL REFERENCES crm_member.points_type,
  points       numeric NOT NULL CHECK (points > 0),
  rewarded_at  timestamptz NOT NULL DEFAULT now(),
  actor        text,
  PRIMARY KEY (member_id, ref)
);

COMMENT ON TABLE crm_member.referral_reward IS 'Points given for bringing a member: append-only';
COMMENT ON COLUMN crm_member.referral_reward.member_id IS 'Who got them';
COMMENT ON COLUMN crm_member.referral_reward.ref IS 'Reference of the award in points_entry';
COMMENT ON COLUMN crm_member.referral_reward.referred IS 'The member that was brought, as in referral';
COMMENT ON COLUMN crm_member.referral_reward.points IS 'How many';
COMMENT ON COLUMN crm_member.referral_reward.rewarded_at IS 'When';
COMMENT ON COLUMN crm_member.referral_reward.actor IS 'Who did it';

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON crm_member.referral_reward
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.refuse_change();

CREATE VIEW crm_member.referral_standing AS
SELECT r.member_id, r.referrer, r.referred_at, s.now_member, s.now_referrer, s.state,
       coalesce(w.points, 0) AS rewarded, s.state <> 'counts' AND coalesce(w.points, 0) > 0 AS flagged
  FROM crm_member.referral r
 CROSS JOIN LATERAL crm_member.judge_referral(r.member_id) s
  LEFT JOIN LATERAL (SELECT sum(w.points) AS points FROM crm_member.referral_reward w WHERE w.referred = r.member_id) w ON true;

CREATE INDEX referral_reward_referred ON crm_member.referral_reward (referred);

COMMENT ON VIEW crm_member.referral_standing IS 'Referrals after merges: who the two are now, and whether it counts (state: counts; self: they are one; later: another was earlier; cycle: it would close a circle, of which it is the latest). rewarded is points of all types; flagged: they were given for one that does not count any more';

CREATE TABLE crm_member.member_relation (
  member_id    bigint NOT NULL CHECK (member_id > 0),
  other        bigint NOT NULL CHECK (other > 0 AND other <> member_id),
  relation     text NOT NULL CHECK (relation <> '' AND length(relation) <= 100),
  since        timestamptz NOT NULL DEFAULT now(),
  ended_at     timestamptz,
  actor        text,
  PRIMARY KEY (member_id, other, relation)
);

CREATE INDEX member_relation_other ON crm_member.member_relation (other);

COMMENT ON TABLE crm_member.member_relation IS 'How members belong together who are not one: households, parents, assistants';
COMMENT ON COLUMN crm_member.member_relation.member_id IS 'The member';
COMMENT ON COLUMN crm_member.member_relation.other IS 'The other member';
COMMENT ON COLUMN crm_member.member_relation.relation IS 'What the other is to it, such as household (which holds both ways), parent, spouse';
COMMENT ON COLUMN crm_member.member_relation.since IS 'Since when';
COMMENT ON COLUMN crm_member.member_relation.ended_at IS 'Until when; NULL: still';
COMMENT ON COLUMN crm_member.member_relation.actor IS 'Who entered it';

CREATE VIEW crm_member.related_member AS
SELECT x.member_id, x.other, x.relation, min(x.since) AS since
  FROM (SELECT crm_member.canonical_member(r.member_id) AS member_id, crm_member.canonical_member(r.other) AS other, r.relation, r.since
          FROM crm_member.member_relation r WHERE r.ended_at IS NULL
        UNION ALL
        SELECT crm_member.canonical_member(r.other), crm_member.canonical_member(r.member_id), r.relation, r.since
          FROM crm_member.member_relation r WHERE r.ended_at IS NULL AND r.relation = 'household') x
 WHERE x.member_id <> x.other
 GROUP BY 1, 2, 3;

COMMENT ON VIEW crm_member.related_member IS 'Relations that hold, after merges: of several between the same two the earliest, none of a member with itself';

CREATE TABLE crm_member.consent (
  member_id    bigint NOT NULL CHECK (member_id > 0),
  consent_id   bigint NOT NULL,
  channel      text NOT NULL CHECK (channel <> '' AND length(channel) <= 100),
  purpose      text NOT NULL CHECK (purpose <> '' AND length(purpose) <= 100),
  granted      boolean NOT NULL,
  explicit     boolean NOT NULL,
  at           timestamptz NOT NULL,
  source       text,
  ref          text,
  fingerprint  bigint NOT NULL,
  booked_at    timestamptz NOT NULL DEFAULT now(),
  actor        text,
  PRIMARY KEY (member_id, consent_id)
);

CREATE UNIQUE INDEX consent_ref ON crm_member.consent (member_id, ref) WHERE ref IS NOT NULL;

COMMENT ON TABLE crm_member.consent IS 'What members said about being contacted: append-only';
COMMENT ON COLUMN crm_member.consent.member_id IS 'The member';
COMMENT ON COLUMN crm_member.consent.consent_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.consent.channel IS 'By what, such as sms, email, wechat';
COMMENT ON COLUMN crm_member.consent.purpose IS 'For what, such as marketing';
COMMENT ON COLUMN crm_member.consent.granted IS 'Agreed, or refused';
COMMENT ON COLUMN crm_member.consent.explicit IS 'The member said so; false: taken from what it did';
COMMENT ON COLUMN crm_member.consent.at IS 'When it was said';
COMMENT ON COLUMN crm_member.consent.source IS 'Where';
COMMENT ON COLUMN crm_member.consent.ref IS 'The caller''s reference, unique with the member; NULL: none given';
COMMENT ON COLUMN crm_member.consent.fingerprint IS 'Hash of what the act asked for';
COMMENT ON COLUMN crm_member.consent.booked_at IS 'When it was entered';
COMMENT ON COLUMN crm_member.consent.actor IS 'Who entered it';

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON crm_member.consent
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.refuse_change();

CREATE VIEW crm_member.consent_now AS
SELECT s.member_id, s.channel, s.purpose,
       CASE WHEN s.refused_at IS NULL THEN s.agreed_at IS NOT NULL ELSE coalesce(s.opted_in_at > s.refused_at, false) END AS granted,
       s.refused_at, s.opted_in_at
  FROM (SELECT coalesce(k.root, c.member_id) AS member_id, c.channel, c.purpose,
               max(c.at) FILTER (WHERE NOT c.granted) AS refused_at,
               max(c.at) FILTER (WHERE c.granted AND c.explicit) AS opted_in_at,
               max(c.at) FILTER (WHERE c.granted) AS agreed_at
          FROM crm_member.consent c LEFT JOIN crm_member.member_kin k ON k.member_id = c.member_id
         GROUP BY 1, 2, 3) s;

COMMENT ON VIEW crm_member.consent_now IS 'May a member be contacted, by channel and purpose, after merges: a refusal of any of them stands unless one of them agreed explicitly after it. Who said nothing has no row: no';

CREATE TABLE crm_member.member_case (
  member_id    bigint NOT NULL CHECK (member_id > 0),
  case_id      bigint NOT NULL,
  kind         text NOT NULL CHECK (kind IN ('dispute', 'erasure')),
  reason       text NOT NULL,
  opened_at    timestamptz NOT NULL DEFAULT now(),
  closed_at    timestamptz,
  outcome      text,
  ref          text,
  fingerprint  bigint NOT NULL,
  actor        text,
  PRIMARY KEY (member_id, case_id)
);

CREATE UNIQUE INDEX member_case_ref ON crm_member.member_case (member_id, ref) WHERE ref IS NOT NULL;

COMMENT ON TABLE crm_member.member_case IS 'What is open with a member, and keeps it from being merged: see part cases of merge_part';
COMMENT ON COLUMN crm_member.member_case.member_id IS 'The member';
COMMENT ON COLUMN crm_member.member_case.case_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.member_case.kind IS 'dispute: points or stored value are contested; erasure: the member asked to be forgotten, which erase_member() closes';
COMMENT ON COLUMN crm_member.member_case.reason IS 'What it is about, without personal data';
COMMENT ON COLUMN crm_member.member_case.opened_at IS 'Since when';
COMMENT ON COLUMN crm_member.member_case.closed_at IS 'Until when; NULL: it is open';
COMMENT ON COLUMN crm_member.member_case.outcome IS 'How it was closed';
COMMENT ON COLUMN crm_member.member_case.ref IS 'The caller''s reference, unique with the member; NULL: none given';
COMMENT ON COLUMN crm_member.member_case.fingerprint IS 'Hash of what the act asked for';
COMMENT ON COLUMN crm_member.member_case.actor IS 'Who opened it';

INSERT INTO crm_member.merge_part (part, relation, over, grouped_by, conflict, position) VALUES
  ('referrals', 'crm_member.referral', NULL, NULL, 'both', 70),
  ('relations', 'crm_member.member_relation', 'ended_at', 'relation', 'both', 80),
  ('consents', 'crm_member.consent', NULL, 'channel', 'both', 90),
  ('cases', 'crm_member.member_case', 'closed_at', 'kind', 'block', 100);
