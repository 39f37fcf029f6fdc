-- Members, what they are found by, and their cards.

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
  primary_card text,
  tags         text[] NOT NULL DEFAULT '{}',
  attrs        jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attrs) = 'object')
);

CREATE INDEX member_merged_into ON crm_member.member (merged_into) WHERE merged_into IS NOT NULL;

COMMENT ON TABLE crm_member.member IS 'Members, without personal data, which is in person';
COMMENT ON COLUMN crm_member.member.member_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.member.status IS 'inactive, active, lost (reported), cancelled or merged';
COMMENT ON COLUMN crm_member.member.kind IS 'consumer or dealer';
COMMENT ON COLUMN crm_member.member.source IS 'System that registered the member';
COMMENT ON COLUMN crm_member.member.store IS 'Store that registered the member';
COMMENT ON COLUMN crm_member.member.channel IS 'Channel the member came through';
COMMENT ON COLUMN crm_member.member.joined_at IS 'When the member joined';
COMMENT ON COLUMN crm_member.member.merged_into IS 'The member this one was merged into; rows keep the member_id they were born with';
COMMENT ON COLUMN crm_member.member.primary_card IS 'The card chosen with set_primary_card(); primary_card() tells which one it is now. NULL: none was chosen';
COMMENT ON COLUMN crm_member.member.tags IS 'Tags, for member.tag() in conditions';
COMMENT ON COLUMN crm_member.member.attrs IS 'Further attributes, for member.attr() in conditions; no personal data';

CREATE TABLE crm_member.person (
  member_id  bigint PRIMARY KEY REFERENCES crm_member.member,
  name       text CHECK (length(name) <= 200),
  mobile     text,
  email      text,
  birthday   date CHECK (birthday >= DATE '1900-01-01'),
  gender     text CHECK (gender IN ('M', 'F', 'X'))
);

COMMENT ON TABLE crm_member.person IS 'Personal data of members, apart from everything else so that it can be erased';
COMMENT ON COLUMN crm_member.person.member_id IS 'The member';
COMMENT ON COLUMN crm_member.person.name IS 'Name as given, without blanks around it, up to 200 characters';
COMMENT ON COLUMN crm_member.person.mobile IS 'Mobile, normalised by normalize_phone(), or as it came from import_members() with keep; several members may state the same, only one is found by it';
COMMENT ON COLUMN crm_member.person.email IS 'E-mail as given, without blanks around it; several members may state the same, only one is found by it';
COMMENT ON COLUMN crm_member.person.birthday IS 'Date of birth, 1900-01-01 or later';
COMMENT ON COLUMN crm_member.person.gender IS 'M, F or X; NULL: unknown';

CREATE TABLE crm_member.member_event (
  member_id    bigint NOT NULL CHECK (member_id > 0),
  event_id     bigint NOT NULL,
  act          text NOT NULL,
  at           timestamptz NOT NULL DEFAULT now(),
  ref          text,
  fingerprint  bigint,
  detail       jsonb NOT NULL DEFAULT '{}',
  actor        text,
  PRIMARY KEY (member_id, event_id)
);

CREATE UNIQUE INDEX member_event_ref ON crm_member.member_event (member_id, ref) WHERE ref IS NOT NULL;

COMMENT ON TABLE crm_member.member_event IS 'What was done to members: append-only, without personal data';
COMMENT ON COLUMN crm_member.member_event.member_id IS 'The member the act was done to, after following merges';
COMMENT ON COLUMN crm_member.member_event.event_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.member_event.act IS 'register, bind_identity, unbind_identity, set_member_status';
COMMENT ON COLUMN crm_member.member_event.at IS 'When';
COMMENT ON COLUMN crm_member.member_event.ref IS 'The caller''s reference of the act, unique with the member; NULL: none given';
COMMENT ON COLUMN crm_member.member_event.fingerprint IS 'Hash of what the act asked for: tells a repeated reference from a reused one';
COMMENT ON COLUMN crm_member.member_event.detail IS 'What the act changed, without personal data';
COMMENT ON COLUMN crm_member.member_event.actor IS 'Who did it';

-- Directory: a registration is found by its source and reference.
CREATE TABLE crm_member.member_ref (
  source       text NOT NULL,
  ref          text NOT NULL,
  member_id    bigint NOT NULL,
  fingerprint  bigint NOT NULL,
  PRIMARY KEY (source, ref)
);

COMMENT ON TABLE crm_member.member_ref IS 'Directory: reference of a registration to the member it gave';
COMMENT ON COLUMN crm_member.member_ref.source IS 'System that registered the member; empty where none was named';
COMMENT ON COLUMN crm_member.member_ref.ref IS 'The source''s reference of the registration';
COMMENT ON COLUMN crm_member.member_ref.member_id IS 'The member';
COMMENT ON COLUMN crm_member.member_ref.fingerprint IS 'Hash of what the registration said';

CREATE TABLE crm_member.identity_kind (
  kind         text PRIMARY KEY CHECK (kind ~ '^[a-z][a-z0-9_]{0,62}$' AND kind <> 'card'),
  scoped       boolean NOT NULL DEFAULT false,
  normaliser   text NOT NULL DEFAULT 'trim' CHECK (normaliser IN ('phone', 'email', 'trim', 'lower')),
  personal     boolean NOT NULL DEFAULT true,
  description  text NOT NULL
);

COMMENT ON TABLE crm_member.identity_kind IS 'Kinds of identity a member can be found by; configuration, add your own. Card numbers are the kind card, which is built in: see table card';
COMMENT ON COLUMN crm_member.identity_kind.kind IS 'Name: a small letter, then small letters, digits and underscores';
COMMENT ON COLUMN crm_member.identity_kind.scoped IS 'Whether the kind is given with a scope after a colon, such as external:erp';
COMMENT ON COLUMN crm_member.identity_kind.normaliser IS 'How values are made equal: phone, email, trim (no blanks around it), lower (trim, and letter case ignored)';
COMMENT ON COLUMN crm_member.identity_kind.personal IS 'Whether values are personal data, masked in views';
COMMENT ON COLUMN crm_member.identity_kind.description IS 'What it is, for people';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.identity_kind
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

INSERT INTO crm_member.identity_kind (kind, scoped, normaliser, personal, description) VALUES
  ('mobile', false, 'phone', true, 'Mobile number'),
  ('email', false, 'email', true, 'E-mail address'),
  ('wechat_unionid', false, 'trim', true, 'WeChat unionid, of one open-platform account'),
  ('wechat_openid', true, 'trim', true, 'WeChat openid; the scope is the app'),
  ('nickname', true, 'trim', true, 'Nickname at a shop; the scope is the platform'),
  ('external', true, 'trim', false, 'Number in another system; the scope is that source');

-- Directory: what members are found by.
CREATE TABLE crm_member.identity (
  kind       text NOT NULL,
  value      text NOT NULL CHECK (value <> '' AND length(value) <= 256),
  member_id  bigint NOT NULL CHECK (member_id > 0),
  bound_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kind, value)
);

CREATE INDEX identity_member ON crm_member.identity (member_id);

COMMENT ON TABLE crm_member.identity IS 'Directory: kind and normalised value to member';
COMMENT ON COLUMN crm_member.identity.kind IS 'Kind, with its scope after a colon where it has one';
COMMENT ON COLUMN crm_member.identity.value IS 'Value, normalised as its kind says, up to 256 characters';
COMMENT ON COLUMN crm_member.identity.member_id IS 'The member it was bound to; a merge leaves it, member_id() follows the merge';
COMMENT ON COLUMN crm_member.identity.bound_at IS 'Since when';

CREATE TABLE crm_member.card_type (
  card_type    text PRIMARY KEY CHECK (card_type <> '' AND length(card_type) <= 100),
  name         text NOT NULL,
  validity     interval CHECK (validity > interval '0')
);

COMMENT ON TABLE crm_member.card_type IS 'Types of card; configuration';
COMMENT ON COLUMN crm_member.card_type.card_type IS 'Code';
COMMENT ON COLUMN crm_member.card_type.name IS 'Name for people';
COMMENT ON COLUMN crm_member.card_type.validity IS 'How long a card is valid once enabled; NULL: for ever';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.card_type
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

INSERT INTO crm_member.card_type (card_type, name) VALUES ('standard', 'Membership card');

CREATE TABLE crm_member.card_batch (
  batch_id     bigint PRIMARY KEY,
  ref          text UNIQUE,
  fingerprint  bigint NOT NULL,
  card_type    text NOT NULL REFERENCES crm_member.card_type,
  first_card   text NOT NULL,
  cards        int NOT NULL CHECK (cards > 0),
  made_at      timestamptz NOT NULL DEFAULT now(),
  actor        text
);

COMMENT ON TABLE crm_member.card_batch IS 'Cards made ahead of use by create_cards(), one row a call';
COMMENT ON COLUMN crm_member.card_batch.batch_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.card_batch.ref IS 'The caller''s reference; NULL: none given';
COMMENT ON COLUMN crm_member.card_batch.fingerprint IS 'Hash of what the call asked for';
COMMENT ON COLUMN crm_member.card_batch.card_type IS 'Type of the cards';
COMMENT ON COLUMN crm_member.card_batch.first_card IS 'Number of the first card';
COMMENT ON COLUMN crm_member.card_batch.cards IS 'How many';
COMMENT ON COLUMN crm_member.card_batch.made_at IS 'When';
COMMENT ON COLUMN crm_member.card_batch.actor IS 'Who made them';

-- Directory: card number to member.
CREATE TABLE crm_member.card (
  card_no       text PRIMARY KEY CHECK (card_no <> '' AND length(card_no) <= 64 AND card_no = btrim(card_no)),
  card_type     text NOT NULL REFERENCES crm_member.card_type,
  member_id     bigint CHECK (member_id > 0),
  state         text NOT NULL DEFAULT 'not_enabled'
                CHECK (state IN ('not_enabled', 'enabled', 'lost', 'cancelled')),
  made_at       timestamptz NOT NULL DEFAULT now(),
  issued_at     timestamptz CHECK ((issued_at IS NULL) = (member_id IS NULL)),
  effective_at  timestamptz CHECK (effective_at IS NULL OR member_id IS NOT NULL),
  expires_at    timestamptz CHECK (expires_at > effective_at),
  ended_at      timestamptz CHECK ((ended_at IS NULL) = (state IN ('not_enabled', 'enabled'))),
  replaced_by   text CHECK (replaced_by <> card_no),
  aside_since   timestamptz,
  batch_id      bigint,
  CHECK (state <> 'enabled' OR effective_at IS NOT NULL)
);

CREATE INDEX card_member ON crm_member.card (member_id);

COMMENT ON TABLE crm_member.card IS 'Directory: card number to member, for ever. A card that nobody holds yet was made ahead of use';
COMMENT ON COLUMN crm_member.card.card_no IS 'Number on the card, up to 64 characters';
COMMENT ON COLUMN crm_member.card.card_type IS 'Its type';
COMMENT ON COLUMN crm_member.card.member_id IS 'Who holds it; NULL: not issued yet; a merge leaves it, member_id() follows the merge';
COMMENT ON COLUMN crm_member.card.state IS 'not_enabled, enabled, lost (reported) or cancelled';
COMMENT ON COLUMN crm_member.card.made_at IS 'When it was made';
COMMENT ON COLUMN crm_member.card.issued_at IS 'When the member got it';
COMMENT ON COLUMN crm_member.card.effective_at IS 'When it was first enabled';
COMMENT ON COLUMN crm_member.card.expires_at IS 'effective_at + the validity of its type, by the clock of the business time zone; from this instant it is refused. NULL: never';
COMMENT ON COLUMN crm_member.card.ended_at IS 'When it was reported lost or cancelled';
COMMENT ON COLUMN crm_member.card.replaced_by IS 'The card that replaced it';
COMMENT ON COLUMN crm_member.card.aside_since IS 'From then on it cannot be used, whatever its state: its holder was merged by a merge that said so; NULL again when that is undone';
COMMENT ON COLUMN crm_member.card.batch_id IS 'The card_batch it was made in; NULL: made when it was issued';

CREATE TABLE crm_member.card_event (
  card_no      text NOT NULL REFERENCES crm_member.card,
  event_id     bigint NOT NULL,
  act          text NOT NULL,
  state        text NOT NULL,
  at           timestamptz NOT NULL DEFAULT now(),
  ref          text,
  fingerprint  bigint,
  detail       jsonb NOT NULL DEFAULT '{}',
  actor        text,
  PRIMARY KEY (card_no, event_id)
);

CREATE UNIQUE INDEX card_event_ref ON crm_member.card_event (card_no, ref) WHERE ref IS NOT NULL;

COMMENT ON TABLE crm_member.card_event IS 'What was done with cards after they were made: append-only';
COMMENT ON COLUMN crm_member.card_event.card_no IS 'The card';
COMMENT ON COLUMN crm_member.card_event.event_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.card_event.act IS 'register (handed out at registration), issue_card, activate_card, report_card_lost, replace_card, cancel_card, set_primary_card';
COMMENT ON COLUMN crm_member.card_event.state IS 'State of the card after the act';
COMMENT ON COLUMN crm_member.card_event.at IS 'When';
COMMENT ON COLUMN crm_member.card_event.ref IS 'The caller''s reference of the act, unique with the card; NULL: none given';
COMMENT ON COLUMN crm_member.card_event.fingerprint IS 'Hash of what the act asked for';
COMMENT ON COLUMN crm_member.card_event.detail IS 'Further facts: reason, replaced_by, replaces';
COMMENT ON COLUMN crm_member.card_event.actor IS 'Who did it';

CREATE TABLE crm_member.import (
  import_id      bigint PRIMARY KEY,
  ref            text UNIQUE,
  fingerprint    bigint NOT NULL,
  source         text NOT NULL,
  at             timestamptz NOT NULL DEFAULT now(),
  rows_read      bigint NOT NULL,
  rows_imported  bigint NOT NULL,
  rows_existing  bigint NOT NULL,
  rows_rejected  bigint NOT NULL,
  actor          text
);

COMMENT ON TABLE crm_member.import IS 'Imports of members by import_members(), one row a call';
COMMENT ON COLUMN crm_member.import.import_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.import.ref IS 'The caller''s reference; NULL: none given';
COMMENT ON COLUMN crm_member.import.fingerprint IS 'Hash of what the call asked for';
COMMENT ON COLUMN crm_member.import.source IS 'The query or table the rows came from';
COMMENT ON COLUMN crm_member.import.at IS 'When';
COMMENT ON COLUMN crm_member.import.rows_read IS 'Rows the source gave: the sum of the next three';
COMMENT ON COLUMN crm_member.import.rows_imported IS 'Members registered';
COMMENT ON COLUMN crm_member.import.rows_existing IS 'Rows whose member was there already, by external_id or ref';
COMMENT ON COLUMN crm_member.import.rows_rejected IS 'Rows refused, each with a row in import_error';
COMMENT ON COLUMN crm_member.import.actor IS 'Who imported';

CREATE TABLE crm_member.import_error (
  import_id    bigint NOT NULL REFERENCES crm_member.import,
  row_no       bigint NOT NULL CHECK (row_no > 0),
  sqlstate     text NOT NULL,
  reason       text NOT NULL,
  source       text,
  external_id  text,
  ref          text,
  PRIMARY KEY (import_id, row_no)
);

COMMENT ON TABLE crm_member.import_error IS 'Rows that import_members() refused, and why';
COMMENT ON COLUMN crm_member.import_error.import_id IS 'The import';
COMMENT ON COLUMN crm_member.import_error.row_no IS 'Number of the row in the order the source gave it, from 1';
COMMENT ON COLUMN crm_member.import_error.sqlstate IS 'The SQLSTATE register_member() would have raised';
COMMENT ON COLUMN crm_member.import_error.reason IS 'Why it was refused';
COMMENT ON COLUMN crm_member.import_error.source IS 'source of the row, to find it again';
COMMENT ON COLUMN crm_member.import_error.external_id IS 'external_id of the row, to find it again';
COMMENT ON COLUMN crm_member.import_error.ref IS 'ref of the row, to find it again';
