-- Points: rules, and the ledger they fill.

CREATE TABLE crm_member.points_type (
  points_type      text PRIMARY KEY,
  name             text NOT NULL,
  decimals         smallint NOT NULL DEFAULT 0 CHECK (decimals BETWEEN 0 AND 4),
  expiry           text NOT NULL DEFAULT 'never' CHECK (crm_member.require_expiry(expiry)),
  deficit          text NOT NULL DEFAULT 'allow' CHECK (deficit IN ('allow', 'clamp', 'refuse', 'charge')),
  reinstatement    interval CHECK (reinstatement > interval '0' AND reinstatement <= interval '1000 years'),
  hold_period      interval CHECK (hold_period > interval '0' AND hold_period <= interval '1000 years'),
  money_value      numeric CHECK (money_value > 0 AND money_value < 1e6 AND money_value = round(money_value, 6)),
  tender_share     numeric NOT NULL DEFAULT 100 CHECK (tender_share > 0 AND tender_share <= 100 AND tender_share = round(tender_share, 4)),
  tender_multiple  numeric CHECK (tender_multiple > 0 AND tender_multiple < 1e9 AND tender_multiple = round(tender_multiple, 4)),
  stored_value     boolean NOT NULL DEFAULT false,
  CHECK (deficit <> 'charge' OR money_value IS NOT NULL),
  CHECK (tender_multiple = round(tender_multiple, decimals))
);

COMMENT ON TABLE crm_member.points_type IS 'Kinds of points, each with balances of its own; configuration';
COMMENT ON COLUMN crm_member.points_type.points_type IS 'Code, as in the argument points_type';
COMMENT ON COLUMN crm_member.points_type.name IS 'Name for people';
COMMENT ON COLUMN crm_member.points_type.decimals IS 'Decimals of an amount of these points; lowered only where the journal has no amount with more (23514)';
COMMENT ON COLUMN crm_member.points_type.expiry IS 'When such points expire, where the rule or the call does not say: see is_expiry()';
COMMENT ON COLUMN crm_member.points_type.deficit IS 'What happens when more is taken back than the member has: allow: the balance goes below zero and what is earned next pays that first; clamp: the rest is let go; refuse: error RM305; charge: the rest is let go and reported, and refund() keeps back its money_value, from the next refund of the sale what did not fit into this one';
COMMENT ON COLUMN crm_member.points_type.reinstatement IS 'How long spent points that are given back after their expiry can be spent again (through the end of that day, or to the instant where it has hours); NULL: they stay expired';
COMMENT ON COLUMN crm_member.points_type.hold_period IS 'How long a hold binds where the call does not say; NULL: until it is captured or released';
COMMENT ON COLUMN crm_member.points_type.money_value IS 'What one point is worth in money when a sale is paid with it; NULL: nothing is paid with such points';
COMMENT ON COLUMN crm_member.points_type.tender_share IS 'Most that may be paid with such points, in percent of what is payable';
COMMENT ON COLUMN crm_member.points_type.tender_multiple IS 'Only multiples of so many points pay, with no more decimals than the points have; NULL: any number';
COMMENT ON COLUMN crm_member.points_type.stored_value IS 'An account of stored value, in money: only the functions of stored value move it';

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
  award            text NOT NULL CHECK (award IN ('fixed', 'per_amount', 'per_unit', 'multiplier', 'brackets')),
  points           numeric NOT NULL DEFAULT 0 CHECK (points >= 0 AND points < 1e9),
  per              numeric NOT NULL DEFAULT 1 CHECK (per > 0 AND per < 1e9),
  brackets         jsonb CHECK (crm_member.is_brackets(brackets)),
  rounding         text NOT NULL DEFAULT 'floor'
                   CHECK (rounding IN ('half_up', 'half_down', 'half_even', 'floor', 'ceil')),
  whole_multiples  boolean NOT NULL DEFAULT false,
  max_points       numeric CHECK (max_points >= 0 AND max_points < 1e12),
  member_limit     numeric CHECK (member_limit >= 0 AND member_limit < 1e12),
  limit_period     text CHECK (limit_period IN ('day', 'week', 'month', 'year')),
  budget           numeric CHECK (budget >= 0 AND budget < 1e12),
  stack_group      text,
  stackable        boolean NOT NULL DEFAULT true,
  pending          interval CHECK (pending >= interval '0' AND pending <= interval '1000 years'),
  expiry           text CHECK (crm_member.require_expiry(expiry) AND expiry !~* '^inactive'),
  CHECK (valid_from <= valid_to),
  CHECK (points = round(points, 4) AND per = round(per, 4)),
  CHECK (award <> 'multiplier' OR points >= 1),
  CHECK ((award = 'brackets') = (brackets IS NOT NULL))
);

COMMENT ON TABLE crm_member.points_rule IS 'What sales earn; configuration, read anew by every session at its next statement after a change';
COMMENT ON COLUMN crm_member.points_rule.rule_code IS 'Code, as in answers, explain_points() and points_entry.rules';
COMMENT ON COLUMN crm_member.points_rule.name IS 'Name for people';
COMMENT ON COLUMN crm_member.points_rule.points_type IS 'Which points it gives';
COMMENT ON COLUMN crm_member.points_rule.active IS 'Only active rules are looked at';
COMMENT ON COLUMN crm_member.points_rule.valid_from IS 'First moment, by the time of the sale; NULL: always was';
COMMENT ON COLUMN crm_member.points_rule.valid_to IS 'Last moment, by the time of the sale; NULL: no end';
COMMENT ON COLUMN crm_member.points_rule.priority IS 'The higher goes first, then by rule_code';
COMMENT ON COLUMN crm_member.points_rule.scope IS 'sale: once a sale, on the lines for which the condition holds together; line: on every such line by itself';
COMMENT ON COLUMN crm_member.points_rule.condition IS 'What must hold; NULL: anything';
COMMENT ON COLUMN crm_member.points_rule.award IS 'fixed: points; per_amount: points per "per" of money paid; per_unit: points per "per" units; multiplier: the points of all other rules times "points"; brackets: by how much money was paid';
COMMENT ON COLUMN crm_member.points_rule.points IS 'Points given, or the factor of a multiplier';
COMMENT ON COLUMN crm_member.points_rule.per IS 'Money or units that earn the points once';
COMMENT ON COLUMN crm_member.points_rule.rounding IS 'How the result is rounded to the decimals of the points type: half_up, half_down, half_even, floor, ceil';
COMMENT ON COLUMN crm_member.points_rule.whole_multiples IS 'Only whole multiples of "per" count: at 5 points per 10, an amount of 35 earns 15, not 17';
COMMENT ON COLUMN crm_member.points_rule.max_points IS 'Most the rule gives for one sale';
COMMENT ON COLUMN crm_member.points_rule.brackets IS 'Steps of money paid and what they give, such as [{"from": 100, "points": 20}, {"from": 500, "points": 150}]: see is_brackets()';
COMMENT ON COLUMN crm_member.points_rule.member_limit IS 'Most the rule gives to one member in a limit_period; the last sale gets what is left';
COMMENT ON COLUMN crm_member.points_rule.limit_period IS 'day, week (from Monday), month or year of the business calendar, by the time of the sale; NULL: ever';
COMMENT ON COLUMN crm_member.points_rule.budget IS 'Most the rule gives to all members together, what it gave before it had one included; the last sale gets what is left';
COMMENT ON COLUMN crm_member.points_rule.stack_group IS 'Of the rules in one group that match, only the first in order gives points';
COMMENT ON COLUMN crm_member.points_rule.stackable IS 'false: gives points only if no rule before it did, and then none after it does; base rules and multipliers apart';
COMMENT ON COLUMN crm_member.points_rule.pending IS 'How long after the sale the points cannot be spent yet';
COMMENT ON COLUMN crm_member.points_rule.expiry IS 'When they expire: see is_expiry(); NULL: as the points type says';

CREATE TRIGGER keep_fractions BEFORE UPDATE OF decimals ON crm_member.points_type
  FOR EACH ROW WHEN (NEW.decimals < OLD.decimals) EXECUTE FUNCTION crm_member.keep_fractions();
CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.points_type
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();
CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.points_rule
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

CREATE TRIGGER forget_rule_use_new AFTER INSERT ON crm_member.points_rule REFERENCING NEW TABLE AS new_rule
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.forget_rule_use();
CREATE TRIGGER forget_rule_use AFTER UPDATE ON crm_member.points_rule REFERENCING OLD TABLE AS old_rule NEW TABLE AS new_rule
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.forget_rule_use();

CREATE TABLE crm_member.points_rule_use (
  member_id  bigint NOT NULL,
  rule_code  text NOT NULL,
  period     date NOT NULL,
  points     numeric NOT NULL CHECK (points >= 0),
  PRIMARY KEY (member_id, rule_code, period)
) WITH (fillfactor = 80);

COMMENT ON TABLE crm_member.points_rule_use IS 'What rules with a member_limit or budget have given so far; what is taken back later is not given again. A row of a member is made when a sale first asks for it, that of a budget when the rule gets it, from the journal';
COMMENT ON COLUMN crm_member.points_rule_use.rule_code IS 'The rule';
COMMENT ON COLUMN crm_member.points_rule_use.points IS 'Points given in the period';
COMMENT ON COLUMN crm_member.points_rule_use.member_id IS 'The member; 0: all members, for the budget';
COMMENT ON COLUMN crm_member.points_rule_use.period IS 'First day of the limit_period; -infinity: ever';

CREATE TABLE crm_member.points_account (
  member_id        bigint NOT NULL,
  points_type      text NOT NULL REFERENCES crm_member.points_type,
  balance          numeric NOT NULL DEFAULT 0,
  entry_no         bigint NOT NULL DEFAULT 0,
  settles_at       timestamptz NOT NULL DEFAULT '-infinity',
  expires_at       timestamptz NOT NULL DEFAULT 'infinity',
  debt             numeric NOT NULL DEFAULT 0 CHECK (debt >= 0),
  hold_expires_at  timestamptz NOT NULL DEFAULT 'infinity',
  expired_to       timestamptz NOT NULL DEFAULT '-infinity',
  closed           boolean NOT NULL DEFAULT false,
  PRIMARY KEY (member_id, points_type)
) WITH (fillfactor = 50);

COMMENT ON TABLE crm_member.points_account IS 'Balance of each member in each points type, derived from the ledger; its row lock orders all that happens to it';
COMMENT ON COLUMN crm_member.points_account.member_id IS 'The member';
COMMENT ON COLUMN crm_member.points_account.points_type IS 'Points type';
COMMENT ON COLUMN crm_member.points_account.balance IS 'Points in lots that are not booked as expired, pending ones included, less the debt; without those held';
COMMENT ON COLUMN crm_member.points_account.entry_no IS 'Number of the last entry';
COMMENT ON COLUMN crm_member.points_account.settles_at IS 'From here on no lot is pending';
COMMENT ON COLUMN crm_member.points_account.expires_at IS 'Until here no open lot expires';
COMMENT ON COLUMN crm_member.points_account.debt IS 'Points that were taken back and not there any more: what comes next pays them first';
COMMENT ON COLUMN crm_member.points_account.hold_expires_at IS 'Until here no open hold times out';
COMMENT ON COLUMN crm_member.points_account.expired_to IS 'What lots that expired until here had left is booked as expired; they are not updated for it';
COMMENT ON COLUMN crm_member.points_account.closed IS 'The member is merged into another: what is earned and spent is booked there';

CREATE TABLE crm_member.points_entry (
  member_id    bigint NOT NULL,
  points_type  text NOT NULL,
  entry_no     bigint NOT NULL,
  -- one constant: every statement that inserts reads the constraint anew
  kind         text NOT NULL CHECK (kind IN ('earn', 'spend', 'award', 'adjust', 'hold', 'release', 'reverse', 'return', 'repay', 'expire', 'clear',
               'transfer_out', 'transfer_in', 'convert_out', 'convert_in', 'merge_out', 'merge_in')),
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
  of_entry     bigint,
  other_member bigint,
  shortfall    numeric,
  cleared      numeric,
  PRIMARY KEY (member_id, points_type, entry_no),
  CHECK (shortfall IS NULL AND cleared IS NULL OR shortfall > 0 AND coalesce(cleared, 0) BETWEEN 0 AND shortfall)
);

CREATE UNIQUE INDEX points_entry_ref ON crm_member.points_entry (member_id, ref) WHERE ref IS NOT NULL;
CREATE INDEX points_entry_of ON crm_member.points_entry (member_id, points_type, of_entry) WHERE of_entry IS NOT NULL;
CREATE INDEX points_entry_sale ON crm_member.points_entry (member_id, sale_id) WHERE sale_id IS NOT NULL;

COMMENT ON TABLE crm_member.points_entry IS 'The journal of points: append-only, numbered without gaps for each account, whose row vouches for the points type';
COMMENT ON COLUMN crm_member.points_entry.member_id IS 'Whose account';
COMMENT ON COLUMN crm_member.points_entry.points_type IS 'Points type';
COMMENT ON COLUMN crm_member.points_entry.entry_no IS 'Number of the entry in the account, from 1';
COMMENT ON COLUMN crm_member.points_entry.reason IS 'Why, as the caller said';
COMMENT ON COLUMN crm_member.points_entry.actor IS 'Who did it';
COMMENT ON COLUMN crm_member.points_entry.rule_lines IS 'Line each of rules gave points for; 0: the sale';
COMMENT ON COLUMN crm_member.points_entry.rule_points IS 'Points each of rules gave; they sum to points';
COMMENT ON COLUMN crm_member.points_entry.line_points IS 'Points of each of line_nos';
COMMENT ON COLUMN crm_member.points_entry.lot_points IS 'Points drawn on each of lot_nos, negative where they went back';
COMMENT ON COLUMN crm_member.points_entry.kind IS 'earn: by rules, for a sale; award: given by hand; adjust: corrected by hand; spend; hold and release: set aside, and back; reverse: earned points taken back; return: spent points given back; repay: debt paid from lots; expire; clear; transfer_out, transfer_in: to and from another member; convert_out, convert_in: into and from another points type; merge_out, merge_in: to and from the account of a member that is, or is no longer, the same';
COMMENT ON COLUMN crm_member.points_entry.points IS 'Change of the balance';
COMMENT ON COLUMN crm_member.points_entry.balance IS 'Balance of the account after the entry';
COMMENT ON COLUMN crm_member.points_entry.at IS 'When it happened';
COMMENT ON COLUMN crm_member.points_entry.booked_at IS 'When it was entered';
COMMENT ON COLUMN crm_member.points_entry.sale_id IS 'The sale it belongs to';
COMMENT ON COLUMN crm_member.points_entry.ref IS 'The caller''s reference: the same reference again returns the first result';
COMMENT ON COLUMN crm_member.points_entry.rules IS 'Which rules gave points; with rule_lines (0: the sale) and rule_points';
COMMENT ON COLUMN crm_member.points_entry.line_nos IS 'Lines that earned points; with line_points, which sum to points';
COMMENT ON COLUMN crm_member.points_entry.lot_nos IS 'Lots that were drawn on, 0 being the debt; with lot_points, negative for what went back. What the entry granted in a lot of its own less the sum of lot_points is points, except for expire';
COMMENT ON COLUMN crm_member.points_entry.of_entry IS 'Entry of the same account that this one refers to: the reversed one, or the hold that was captured or released';
COMMENT ON COLUMN crm_member.points_entry.other_member IS 'Member the points went to or came from';
COMMENT ON COLUMN crm_member.points_entry.shortfall IS 'Points that should have been taken back and were not there: let go, or charged in money; also what was cleared before';
COMMENT ON COLUMN crm_member.points_entry.cleared IS 'What of shortfall clear_points() had taken before: it is not charged';

CREATE TABLE crm_member.points_lot (
  member_id     bigint NOT NULL,
  points_type   text NOT NULL,
  lot_no        bigint NOT NULL,
  points        numeric NOT NULL CHECK (points > 0),
  remaining     numeric NOT NULL CHECK (remaining >= 0 AND remaining <= points),
  open          boolean NOT NULL DEFAULT true CHECK (open = (remaining > 0)),
  earned_at     timestamptz NOT NULL,
  available_at  timestamptz NOT NULL,
  expires_at    timestamptz NOT NULL DEFAULT 'infinity',
  owner_member  bigint,
  birth_member  bigint,
  birth_lot     bigint,
  PRIMARY KEY (member_id, points_type, lot_no),
  CHECK ((birth_member IS NULL) = (birth_lot IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX points_lot_open ON crm_member.points_lot (member_id, points_type, expires_at, earned_at, lot_no) WHERE open;

COMMENT ON TABLE crm_member.points_lot IS 'What is left of each grant of points, spent in order of expires_at, earned_at, lot_no';
COMMENT ON COLUMN crm_member.points_lot.member_id IS 'Whose account it is in';
COMMENT ON COLUMN crm_member.points_lot.points_type IS 'Points type';
COMMENT ON COLUMN crm_member.points_lot.points IS 'Points granted';
COMMENT ON COLUMN crm_member.points_lot.remaining IS 'Points left of them, also after they expired';
COMMENT ON COLUMN crm_member.points_lot.open IS 'Whether points are left';
COMMENT ON COLUMN crm_member.points_lot.earned_at IS 'When they were granted: the older is spent first';
COMMENT ON COLUMN crm_member.points_lot.lot_no IS 'Number of the entry that granted it';
COMMENT ON COLUMN crm_member.points_lot.available_at IS 'From this instant on it can be spent';
COMMENT ON COLUMN crm_member.points_lot.expires_at IS 'From this instant on it cannot be spent; infinity: never expires';
COMMENT ON COLUMN crm_member.points_lot.owner_member IS 'Whose it is when nobody is merged; NULL: the member''s';
COMMENT ON COLUMN crm_member.points_lot.birth_member IS 'Where it came from by a merge, with birth_lot; NULL: it was granted here';
COMMENT ON COLUMN crm_member.points_lot.birth_lot IS 'The lot of birth_member that was granted';

CREATE TABLE crm_member.points_hold (
  member_id    bigint NOT NULL,
  points_type  text NOT NULL,
  hold_no      bigint NOT NULL,
  ref          text NOT NULL,
  points       numeric NOT NULL CHECK (points > 0),
  held         numeric NOT NULL CHECK (held >= 0 AND held <= points),
  held_at      timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  PRIMARY KEY (member_id, points_type, hold_no)
);

CREATE INDEX points_hold_open ON crm_member.points_hold (member_id, points_type, expires_at) WHERE held > 0;
CREATE INDEX points_hold_due ON crm_member.points_hold (expires_at) WHERE held > 0;

COMMENT ON TABLE crm_member.points_hold IS 'Points set aside, out of their lots, until they are captured (spent) or released';
COMMENT ON COLUMN crm_member.points_hold.member_id IS 'The member';
COMMENT ON COLUMN crm_member.points_hold.points_type IS 'Points type';
COMMENT ON COLUMN crm_member.points_hold.hold_no IS 'Number of the entry that set them aside, which says from which lots';
COMMENT ON COLUMN crm_member.points_hold.ref IS 'Reference of the hold';
COMMENT ON COLUMN crm_member.points_hold.points IS 'Points set aside at first';
COMMENT ON COLUMN crm_member.points_hold.held IS 'Points neither captured nor released; they bind until expires_at only, whether or not that has been booked';
COMMENT ON COLUMN crm_member.points_hold.held_at IS 'Since when';
COMMENT ON COLUMN crm_member.points_hold.expires_at IS 'From this instant on it does not bind; infinity: it never times out';

CREATE TABLE crm_member.points_conversion (
  from_type  text NOT NULL REFERENCES crm_member.points_type,
  to_type    text NOT NULL REFERENCES crm_member.points_type,
  rate       numeric NOT NULL CHECK (rate > 0 AND rate < 1e9 AND rate = round(rate, 6)),
  rounding   text NOT NULL DEFAULT 'floor'
             CHECK (rounding IN ('half_up', 'half_down', 'half_even', 'floor', 'ceil')),
  PRIMARY KEY (from_type, to_type),
  CHECK (from_type <> to_type)
);

COMMENT ON TABLE crm_member.points_conversion IS 'Into what points may be converted; configuration';
COMMENT ON COLUMN crm_member.points_conversion.from_type IS 'Points type given up';
COMMENT ON COLUMN crm_member.points_conversion.to_type IS 'Points type received';
COMMENT ON COLUMN crm_member.points_conversion.rate IS 'Points of to_type for one of from_type, up to 6 decimals';
COMMENT ON COLUMN crm_member.points_conversion.rounding IS 'How the result is rounded to the decimals of to_type: half_up, half_down, half_even, floor, ceil';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.points_conversion
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

CREATE TABLE crm_member.ledger_run (
  run_id       bigint PRIMARY KEY,
  act          text NOT NULL CHECK (act IN ('expire', 'clear')),
  points_type  text,
  as_of        timestamptz NOT NULL,
  accounts     bigint NOT NULL,
  points       numeric NOT NULL,
  pid          int NOT NULL,
  started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  noted_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at  timestamptz
);

COMMENT ON TABLE crm_member.ledger_run IS 'Runs of expire_points() and clear_points(), with their progress after each batch';
COMMENT ON COLUMN crm_member.ledger_run.run_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.ledger_run.act IS 'expire or clear';
COMMENT ON COLUMN crm_member.ledger_run.points_type IS 'Points type cleared; NULL: all types expire';
COMMENT ON COLUMN crm_member.ledger_run.as_of IS 'What the run was called with';
COMMENT ON COLUMN crm_member.ledger_run.accounts IS 'Accounts done so far';
COMMENT ON COLUMN crm_member.ledger_run.points IS 'Points that expired or were cleared so far, all types together';
COMMENT ON COLUMN crm_member.ledger_run.pid IS 'Server process of the run';
COMMENT ON COLUMN crm_member.ledger_run.started_at IS 'When the run began';
COMMENT ON COLUMN crm_member.ledger_run.noted_at IS 'When the last batch was done';
COMMENT ON COLUMN crm_member.ledger_run.finished_at IS 'When it was all done; NULL: not yet, or interrupted';

CREATE VIEW crm_member.points_by_rule AS
SELECT e.member_id, e.points_type, e.entry_no, e.sale_id, e.at, r.rule_code, r.line_no, r.points
FROM crm_member.points_entry e,
     unnest(e.rules, e.rule_lines, e.rule_points) AS r (rule_code, line_no, points);

COMMENT ON VIEW crm_member.points_by_rule IS 'Which rule gave how many points for which line of which sale (line_no 0: for the sale as a whole)';
COMMENT ON COLUMN crm_member.points_by_rule.member_id IS 'With whom the sale was booked';
COMMENT ON COLUMN crm_member.points_by_rule.points_type IS 'Points type';
COMMENT ON COLUMN crm_member.points_by_rule.entry_no IS 'Entry of points_entry';
COMMENT ON COLUMN crm_member.points_by_rule.sale_id IS 'The sale';
COMMENT ON COLUMN crm_member.points_by_rule.at IS 'When it was sold';
COMMENT ON COLUMN crm_member.points_by_rule.rule_code IS 'The rule';
COMMENT ON COLUMN crm_member.points_by_rule.line_no IS 'Line of the sale; 0: the sale as a whole';
COMMENT ON COLUMN crm_member.points_by_rule.points IS 'Points given, before what was taken back';

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON crm_member.points_entry
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.refuse_change();
