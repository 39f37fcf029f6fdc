-- Tiers: what they give, what reaches them, and who holds them.

CREATE TABLE crm_member.tier (
  tier_code        text PRIMARY KEY CHECK (tier_code <> '' AND length(tier_code) <= 100),
  name             text NOT NULL,
  rank             smallint NOT NULL UNIQUE,
  validity         text NOT NULL DEFAULT 'never' CHECK (crm_member.require_expiry(validity) AND validity !~* '^(\s*\d{4}-|inactive)'),
  grace_days       int NOT NULL DEFAULT 0 CHECK (grace_days BETWEEN 0 AND 3660),
  at_once          boolean NOT NULL DEFAULT false,
  on_return        text NOT NULL DEFAULT 'review' CHECK (on_return IN ('review', 'at_once')),
  multiplier       numeric CHECK (multiplier >= 1 AND multiplier < 1e6 AND multiplier = round(multiplier, 4)),
  multiplier_type  text NOT NULL DEFAULT 'points' REFERENCES crm_member.points_type,
  discount         numeric CHECK (discount > 0 AND discount <= 100 AND discount = round(discount, 4)),
  benefits         jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(benefits) = 'object')
);

COMMENT ON TABLE crm_member.tier IS 'The tiers a member can reach, and what they give; configuration. A tier without rules in tier_rule is given at registration or by hand';
COMMENT ON COLUMN crm_member.tier.tier_code IS 'Code, as in register_member(tier) and member.tier in conditions';
COMMENT ON COLUMN crm_member.tier.name IS 'Name for people';
COMMENT ON COLUMN crm_member.tier.rank IS 'Order of the tiers: the higher, the better. Who is justified for no tier falls to the lowest, if that one has no rules, else to none';
COMMENT ON COLUMN crm_member.tier.validity IS 'How long it is held before it is reviewed, as in is_expiry() but for a fixed date: never, 12 months, end of year + 1 ...';
COMMENT ON COLUMN crm_member.tier.grace_days IS 'So many days after the end of a period it is reviewed; they count towards the period that ended';
COMMENT ON COLUMN crm_member.tier.at_once IS 'true: the very sale that reaches the tier earns by it; false: the next one does';
COMMENT ON COLUMN crm_member.tier.on_return IS 'When the sale that raised a member is returned: review: nothing happens before the next review; at_once: the member falls back at once, if the tier is not justified without it';
COMMENT ON COLUMN crm_member.tier.multiplier IS 'Points of multiplier_type are multiplied by it: kept as points rule tier:<tier_code>; NULL: no such rule';
COMMENT ON COLUMN crm_member.tier.multiplier_type IS 'Points type that is multiplied';
COMMENT ON COLUMN crm_member.tier.discount IS 'Percent off what holders buy, at quote() and checkout(): kept as automatic promotion tier:<tier_code> in coupon_template; NULL: none';
COMMENT ON COLUMN crm_member.tier.benefits IS 'Further benefits, for people and clients';

CREATE TABLE crm_member.tier_rule (
  tier_code    text NOT NULL REFERENCES crm_member.tier ON DELETE CASCADE,
  way          smallint NOT NULL DEFAULT 1 CHECK (way > 0),
  part         smallint NOT NULL DEFAULT 1 CHECK (part > 0),
  measure      text NOT NULL CHECK (measure IN ('spend', 'sales', 'points')),
  points_type  text NOT NULL DEFAULT 'points' REFERENCES crm_member.points_type,
  threshold    numeric NOT NULL CHECK (threshold >= 0 AND threshold < 1e12),
  within       interval CHECK (within > interval '0'),
  calendar     text CHECK (calendar IN ('month', 'quarter', 'year')),
  PRIMARY KEY (tier_code, way, part),
  CHECK (within IS NULL OR calendar IS NULL)
);

COMMENT ON TABLE crm_member.tier_rule IS 'What reaches a tier: all parts of a way, and any of its ways; configuration';
COMMENT ON COLUMN crm_member.tier_rule.tier_code IS 'The tier';
COMMENT ON COLUMN crm_member.tier_rule.way IS 'Number of the way: any one will do';
COMMENT ON COLUMN crm_member.tier_rule.part IS 'Number of the part: all parts of a way must be reached';
COMMENT ON COLUMN crm_member.tier_rule.measure IS 'spend: money paid for goods, after discounts, less what was returned; sales: number of sales in which something was bought; points: points granted of points_type, less what was taken back of them; pending ones count once they are released, spending and expiry change nothing';
COMMENT ON COLUMN crm_member.tier_rule.points_type IS 'Which points, for measure points; not looked at for the others';
COMMENT ON COLUMN crm_member.tier_rule.threshold IS 'Money, sales or points to be reached; 0: reached by everybody';
COMMENT ON COLUMN crm_member.tier_rule.within IS 'Counts what happened so long back, in whole business days, today being the last (or to the instant where it has hours)';
COMMENT ON COLUMN crm_member.tier_rule.calendar IS 'Counts what happened in the same calendar month, quarter or year, by the business time zone. Neither within nor calendar: all counts';

CREATE TABLE crm_member.member_tier (
  member_id     bigint PRIMARY KEY REFERENCES crm_member.member,
  tier_code     text NOT NULL REFERENCES crm_member.tier,
  since         timestamptz NOT NULL DEFAULT now(),
  earned_tier   text REFERENCES crm_member.tier,
  period_from   timestamptz,
  period_to     timestamptz,
  manual_tier   text REFERENCES crm_member.tier,
  manual_until  timestamptz,
  at_least      boolean NOT NULL DEFAULT false,
  CHECK ((manual_tier IS NULL) = (manual_until IS NULL)),
  CHECK (manual_tier IS NOT NULL OR (earned_tier IS NULL AND NOT at_least))
);

COMMENT ON TABLE crm_member.member_tier IS 'The tier each member holds; a member without a row holds none. Written by sales, set_tier() and review_tiers(); history is in member_tier_event';
COMMENT ON COLUMN crm_member.member_tier.member_id IS 'The member';
COMMENT ON COLUMN crm_member.member_tier.tier_code IS 'The tier held; a level given by hand that has lapsed counts for sales no longer, and stands here until the next review';
COMMENT ON COLUMN crm_member.member_tier.since IS 'Since when';
COMMENT ON COLUMN crm_member.member_tier.earned_tier IS 'What the rules give beneath a level given by hand; NULL: nothing, or there is no such level and tier_code is it';
COMMENT ON COLUMN crm_member.member_tier.period_from IS 'Since when the period of the earned tier runs; NULL: as since';
COMMENT ON COLUMN crm_member.member_tier.period_to IS 'When it ends; NULL: as the validity of the tier says; infinity: never';
COMMENT ON COLUMN crm_member.member_tier.manual_tier IS 'Level given by hand; NULL: none';
COMMENT ON COLUMN crm_member.member_tier.manual_until IS 'From this instant it does not bind; infinity: it never lapses';
COMMENT ON COLUMN crm_member.member_tier.at_least IS 'The level given by hand gives way to a higher earned one';

CREATE TABLE crm_member.member_tier_event (
  member_id     bigint NOT NULL CHECK (member_id > 0),
  event_id      bigint NOT NULL,
  cause         text NOT NULL CHECK (cause IN ('register', 'sale', 'points', 'return', 'review', 'manual', 'lapse', 'merge')),
  at            timestamptz NOT NULL,
  booked_at     timestamptz NOT NULL DEFAULT now(),
  from_tier     text,
  to_tier       text,
  earned_from   text,
  earned_to     text,
  period_to     timestamptz,
  manual_until  timestamptz,
  way           smallint,
  sale_id       bigint,
  reason        text,
  ref           text,
  fingerprint   bigint,
  actor         text,
  PRIMARY KEY (member_id, event_id)
);

CREATE UNIQUE INDEX member_tier_event_ref ON crm_member.member_tier_event (member_id, ref) WHERE ref IS NOT NULL;

COMMENT ON TABLE crm_member.member_tier_event IS 'History of the tiers members hold: append-only';
COMMENT ON COLUMN crm_member.member_tier_event.member_id IS 'The member';
COMMENT ON COLUMN crm_member.member_tier_event.event_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.member_tier_event.cause IS 'register; sale: reached by it; points: reached by points given by hand; return: undone; review: raised, renewed or lowered; manual: set_tier(); lapse: a level given by hand ended; merge';
COMMENT ON COLUMN crm_member.member_tier_event.at IS 'When it happened: for a sale the time of sale';
COMMENT ON COLUMN crm_member.member_tier_event.booked_at IS 'When it was entered';
COMMENT ON COLUMN crm_member.member_tier_event.from_tier IS 'Tier held before; NULL: none';
COMMENT ON COLUMN crm_member.member_tier_event.to_tier IS 'Tier held after; NULL: none';
COMMENT ON COLUMN crm_member.member_tier_event.earned_from IS 'Tier by the rules before, which a level given by hand may hide';
COMMENT ON COLUMN crm_member.member_tier_event.earned_to IS 'Tier by the rules after';
COMMENT ON COLUMN crm_member.member_tier_event.period_to IS 'When the period of the tier by the rules ends; infinity: never';
COMMENT ON COLUMN crm_member.member_tier_event.manual_until IS 'End of the level given by hand';
COMMENT ON COLUMN crm_member.member_tier_event.way IS 'Way in tier_rule by which it was reached';
COMMENT ON COLUMN crm_member.member_tier_event.sale_id IS 'The sale behind it';
COMMENT ON COLUMN crm_member.member_tier_event.reason IS 'Why, for manual';
COMMENT ON COLUMN crm_member.member_tier_event.ref IS 'The caller''s reference of the act, unique with the member';
COMMENT ON COLUMN crm_member.member_tier_event.fingerprint IS 'Hash of what the act asked for: tells a repeated reference from a reused one';
COMMENT ON COLUMN crm_member.member_tier_event.actor IS 'Who did it';

CREATE TABLE crm_member.tier_review (
  run_id       bigint PRIMARY KEY,
  as_of        timestamptz NOT NULL,
  members      bigint NOT NULL DEFAULT 0,
  raised       bigint NOT NULL DEFAULT 0,
  lowered      bigint NOT NULL DEFAULT 0,
  renewed      bigint NOT NULL DEFAULT 0,
  last_member  bigint NOT NULL DEFAULT 0,
  pid          int NOT NULL,
  started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  noted_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at  timestamptz
);

COMMENT ON TABLE crm_member.tier_review IS 'Runs of review_tiers(), with their progress after each batch';
COMMENT ON COLUMN crm_member.tier_review.run_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.tier_review.as_of IS 'Moment the review is about';
COMMENT ON COLUMN crm_member.tier_review.members IS 'Members looked at so far';
COMMENT ON COLUMN crm_member.tier_review.raised IS 'Changes to a higher tier';
COMMENT ON COLUMN crm_member.tier_review.lowered IS 'Changes to a lower tier, or to none';
COMMENT ON COLUMN crm_member.tier_review.renewed IS 'Periods renewed, and changes beneath a level given by hand';
COMMENT ON COLUMN crm_member.tier_review.last_member IS 'The last member looked at: an interrupted run goes on after it';
COMMENT ON COLUMN crm_member.tier_review.pid IS 'Server process of the run';
COMMENT ON COLUMN crm_member.tier_review.started_at IS 'When the run began';
COMMENT ON COLUMN crm_member.tier_review.noted_at IS 'When the last batch was done';
COMMENT ON COLUMN crm_member.tier_review.finished_at IS 'When it was all done; NULL: not yet, or interrupted';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.tier
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();
CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.tier_rule
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();
CREATE TRIGGER keep_tier_benefits AFTER INSERT OR UPDATE OR DELETE ON crm_member.tier
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.keep_tier_benefits();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON crm_member.member_tier_event
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.refuse_change();
