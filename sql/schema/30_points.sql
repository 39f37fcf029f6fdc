-- Points: rules, and the ledger they fill.

CREATE TABLE crm_member.points_type (
  points_type  text PRIMARY KEY,
  name         text NOT NULL,
  decimals     smallint NOT NULL DEFAULT 0 CHECK (decimals BETWEEN 0 AND 4),
  expiry       text NOT NULL DEFAULT 'never' CHECK (crm_member.is_expiry(expiry))
);

COMMENT ON TABLE crm_member.points_type IS 'Kinds of points, each with balances of its own; configuration';
COMMENT ON COLUMN crm_member.points_type.decimals IS 'Decimals of an amount of these points; not to be lowered while there are any';
COMMENT ON COLUMN crm_member.points_type.expiry IS 'When such points expire, where the rule or the call does not say: see is_expiry()';

INSERT INTO crm_member.points_type (points_type, name) VALUES ('points', 'Points');

CREATE TABLE crm_member.points_rule (
  rule_code        text PRIMARY KEY,
  name             text NOT NULL DEFAULT '',
  active           boolean NOT NULL DEFAULT true,
  valid_from       timestamptz,
  valid_to         timestamptz,
  priority         int NOT NULL DEFAULT 0,
  points_type      text NOT NULL DEFAULT 'points' REFERENCES crm_member.points_type,
  scope            text NOT NULL DEFAULT 'sale' CHECK (scope IN ('sale', 'line')),
  condition        crm_member.condition,
  award            text NOT NULL CHECK (award IN ('fixed', 'per_amount', 'per_unit', 'multiplier')),
  points           numeric NOT NULL CHECK (points >= 0 AND points < 1e9),
  per              numeric NOT NULL DEFAULT 1 CHECK (per > 0 AND per < 1e9),
  rounding         text NOT NULL DEFAULT 'floor'
                   CHECK (rounding IN ('half_up', 'half_down', 'half_even', 'floor', 'ceil')),
  whole_multiples  boolean NOT NULL DEFAULT false,
  max_points       numeric CHECK (max_points >= 0 AND max_points < 1e12),
  stack_group      text,
  stackable        boolean NOT NULL DEFAULT true,
  pending          interval CHECK (pending >= interval '0'),
  expiry           text CHECK (crm_member.is_expiry(expiry)),
  CHECK (valid_from <= valid_to),
  CHECK (points = round(points, 4) AND per = round(per, 4)),
  CHECK (award <> 'multiplier' OR points >= 1)
);

COMMENT ON TABLE crm_member.points_rule IS 'What sales earn; configuration, read anew by every session at its next statement after a change';
COMMENT ON COLUMN crm_member.points_rule.active IS 'Only active rules are looked at';
COMMENT ON COLUMN crm_member.points_rule.valid_from IS 'First moment, by the time of the sale; NULL: always was';
COMMENT ON COLUMN crm_member.points_rule.valid_to IS 'Last moment, by the time of the sale; NULL: no end';
COMMENT ON COLUMN crm_member.points_rule.priority IS 'The higher goes first, then by rule_code';
COMMENT ON COLUMN crm_member.points_rule.scope IS 'sale: once a sale, on the lines for which the condition holds together; line: on every such line by itself';
COMMENT ON COLUMN crm_member.points_rule.condition IS 'What must hold; NULL: anything';
COMMENT ON COLUMN crm_member.points_rule.award IS 'fixed: points; per_amount: points per "per" of money paid; per_unit: points per "per" units; multiplier: the points of all other rules times "points"';
COMMENT ON COLUMN crm_member.points_rule.points IS 'Points given, or the factor of a multiplier';
COMMENT ON COLUMN crm_member.points_rule.per IS 'Money or units that earn the points once';
COMMENT ON COLUMN crm_member.points_rule.rounding IS 'How the result is rounded to the decimals of the points type: half_up, half_down, half_even, floor, ceil';
COMMENT ON COLUMN crm_member.points_rule.whole_multiples IS 'Only whole multiples of "per" count: at 5 points per 10, an amount of 35 earns 15, not 17';
COMMENT ON COLUMN crm_member.points_rule.max_points IS 'Most the rule gives for one sale';
COMMENT ON COLUMN crm_member.points_rule.stack_group IS 'Of the rules in one group that match, only the first in order gives points';
COMMENT ON COLUMN crm_member.points_rule.stackable IS 'false: gives points only if no rule before it did, and then none after it does; base rules and multipliers apart';
COMMENT ON COLUMN crm_member.points_rule.pending IS 'How long after the sale the points cannot be spent yet';
COMMENT ON COLUMN crm_member.points_rule.expiry IS 'When they expire: see is_expiry(); NULL: as the points type says';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.points_type
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();
CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.points_rule
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

CREATE TABLE crm_member.points_account (
  member_id    bigint NOT NULL,
  points_type  text NOT NULL REFERENCES crm_member.points_type,
  balance      numeric NOT NULL DEFAULT 0,
  entry_no     bigint NOT NULL DEFAULT 0,
  settles_at   timestamptz NOT NULL DEFAULT '-infinity',
  expires_at   timestamptz NOT NULL DEFAULT 'infinity',
  PRIMARY KEY (member_id, points_type)
) WITH (fillfactor = 80);

COMMENT ON TABLE crm_member.points_account IS 'Balance of each member in each points type, derived from the ledger; its row lock orders all that happens to it';
COMMENT ON COLUMN crm_member.points_account.balance IS 'Points in lots, pending ones included';
COMMENT ON COLUMN crm_member.points_account.entry_no IS 'Number of the last entry';
COMMENT ON COLUMN crm_member.points_account.settles_at IS 'From here on no lot is pending';
COMMENT ON COLUMN crm_member.points_account.expires_at IS 'Until here no open lot expires';

CREATE TABLE crm_member.points_entry (
  member_id    bigint NOT NULL,
  points_type  text NOT NULL REFERENCES crm_member.points_type,
  entry_no     bigint NOT NULL,
  kind         text NOT NULL CHECK (kind IN ('earn', 'award', 'spend')),
  points       numeric NOT NULL,
  balance      numeric NOT NULL,
  at           timestamptz NOT NULL,
  booked_at    timestamptz NOT NULL DEFAULT now(),
  sale_id      bigint,
  ref          text,
  reason       text,
  actor        text,
  rules        text[],
  rule_lines   int[],
  rule_points  numeric[],
  line_nos     int[],
  line_points  numeric[],
  lot_nos      bigint[],
  lot_points   numeric[],
  PRIMARY KEY (member_id, points_type, entry_no)
);

CREATE UNIQUE INDEX points_entry_ref ON crm_member.points_entry (member_id, ref) WHERE ref IS NOT NULL;
CREATE INDEX points_entry_sale ON crm_member.points_entry (member_id, sale_id) WHERE sale_id IS NOT NULL;

COMMENT ON TABLE crm_member.points_entry IS 'The journal of points: append-only, numbered without gaps for each account';
COMMENT ON COLUMN crm_member.points_entry.kind IS 'earn: by rules, for a sale; award: given by hand; spend';
COMMENT ON COLUMN crm_member.points_entry.points IS 'Change of the balance';
COMMENT ON COLUMN crm_member.points_entry.balance IS 'Balance of the account after the entry';
COMMENT ON COLUMN crm_member.points_entry.at IS 'When it happened';
COMMENT ON COLUMN crm_member.points_entry.booked_at IS 'When it was entered';
COMMENT ON COLUMN crm_member.points_entry.sale_id IS 'The sale it belongs to';
COMMENT ON COLUMN crm_member.points_entry.ref IS 'The caller''s reference: the same reference again returns the first result';
COMMENT ON COLUMN crm_member.points_entry.rules IS 'Which rules gave points; with rule_lines (0: the sale) and rule_points';
COMMENT ON COLUMN crm_member.points_entry.line_nos IS 'Lines that earned points; with line_points, which sum to points';
COMMENT ON COLUMN crm_member.points_entry.lot_nos IS 'Lots that were drawn on; with lot_points, which sum to -points';

CREATE TABLE crm_member.points_lot (
  member_id     bigint NOT NULL,
  points_type   text NOT NULL REFERENCES crm_member.points_type,
  lot_no        bigint NOT NULL,
  points        numeric NOT NULL CHECK (points > 0),
  remaining     numeric NOT NULL CHECK (remaining >= 0 AND remaining <= points),
  open          boolean NOT NULL DEFAULT true CHECK (open = (remaining > 0)),
  earned_at     timestamptz NOT NULL,
  available_at  timestamptz NOT NULL,
  expires_at    timestamptz NOT NULL DEFAULT 'infinity',
  PRIMARY KEY (member_id, points_type, lot_no)
) WITH (fillfactor = 80);

CREATE INDEX points_lot_open ON crm_member.points_lot (member_id, points_type, expires_at, earned_at, lot_no) WHERE open;

COMMENT ON TABLE crm_member.points_lot IS 'What is left of each grant of points, spent in order of expires_at, earned_at, lot_no';
COMMENT ON COLUMN crm_member.points_lot.lot_no IS 'Number of the entry that granted it';
COMMENT ON COLUMN crm_member.points_lot.available_at IS 'From this instant on it can be spent';
COMMENT ON COLUMN crm_member.points_lot.expires_at IS 'From this instant on it cannot be spent; infinity: never expires';

CREATE VIEW crm_member.points_by_rule AS
SELECT e.member_id, e.points_type, e.entry_no, e.sale_id, e.at, r.rule_code, r.line_no, r.points
FROM crm_member.points_entry e,
     unnest(e.rules, e.rule_lines, e.rule_points) AS r (rule_code, line_no, points);

COMMENT ON VIEW crm_member.points_by_rule IS 'Which rule gave how many points for which line of which sale (line_no 0: for the sale as a whole)';

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON crm_member.points_entry
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.refuse_change();
