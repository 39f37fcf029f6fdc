-- Members, what they are found by, and their cards.

CREATE TABLE crm_member.tier (
  tier_code   text PRIMARY KEY,
  name        text NOT NULL,
  rank        smallint NOT NULL UNIQUE
);

COMMENT ON TABLE crm_member.tier IS 'The tiers a member can reach; configuration';
COMMENT ON COLUMN crm_member.tier.rank IS 'Order of the tiers: the higher, the better';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.tier
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

CREATE TABLE crm_member.member (
  member_id    bigint PRIMARY KEY CHECK (member_id > 0),
  status       text NOT NULL DEFAULT 'active'
               CHECK (status IN ('inactive', 'active', 'lost', 'cancelled', 'merged')),
  kind         text NOT NULL DEFAULT 'consumer' CHECK (kind IN ('consumer', 'dealer')),
  source       text,
  store        text,
  channel      text,
  joined_at    timestamptz NOT NULL DEFAULT now(),
  merged_into  bigint CHECK ((merged_into IS NOT NULL) = (status = 'merged')),
  tags         text[] NOT NULL DEFAULT '{}',
  attrs        jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attrs) = 'object')
);

COMMENT ON TABLE crm_member.member IS 'Members, without personal data, which is in person';
COMMENT ON COLUMN crm_member.member.status IS 'inactive, active, lost (reported), cancelled or merged';
COMMENT ON COLUMN crm_member.member.kind IS 'consumer or dealer';
COMMENT ON COLUMN crm_member.member.source IS 'System that registered the member';
COMMENT ON COLUMN crm_member.member.store IS 'Store that registered the member';
COMMENT ON COLUMN crm_member.member.channel IS 'Channel the member came through';
COMMENT ON COLUMN crm_member.member.merged_into IS 'The member this one was merged into; rows keep the member_id they were born with';
COMMENT ON COLUMN crm_member.member.tags IS 'Tags, for member.tag() in conditions';
COMMENT ON COLUMN crm_member.member.attrs IS 'Further attributes, for member.attr() in conditions; no personal data';

CREATE TABLE crm_member.person (
  member_id  bigint PRIMARY KEY REFERENCES crm_member.member,
  name       text,
  mobile     text,
  email      text,
  birthday   date,
  gender     text CHECK (gender IN ('M', 'F', 'X'))
);

COMMENT ON TABLE crm_member.person IS 'Personal data of members, apart from everything else so that it can be erased';

CREATE TABLE crm_member.member_tier (
  member_id  bigint PRIMARY KEY REFERENCES crm_member.member,
  tier_code  text NOT NULL REFERENCES crm_member.tier,
  since      timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE crm_member.member_tier IS 'The tier each member holds; a member without a row holds none';
