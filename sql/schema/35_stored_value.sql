-- Stored value: two accounts of the points ledger a member, principal and gift.

INSERT INTO crm_member.points_type (points_type, name, decimals, stored_value) VALUES
  ('stored_value', 'Stored value: principal', :money_scale, true),
  ('stored_value_gift', 'Stored value: gift', :money_scale, true);

CREATE TABLE crm_member.stored_value_setting (
  singleton    boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  spending     text NOT NULL DEFAULT 'pro_rata' CHECK (spending IN ('pro_rata', 'principal_first', 'gift_first')),
  min_balance  numeric NOT NULL DEFAULT 0 CHECK (min_balance >= 0 AND min_balance = round(min_balance, :money_scale)),
  overdraft    numeric NOT NULL DEFAULT 0 CHECK (overdraft >= 0 AND overdraft = round(overdraft, :money_scale)),
  hold_period  interval CHECK (hold_period > interval '0' AND hold_period <= interval '1000 years'),
  points_per   numeric CHECK (points_per > 0 AND points_per < 1e6 AND points_per = round(points_per, 6)),
  CHECK (min_balance = 0 OR overdraft = 0)
);

COMMENT ON TABLE crm_member.stored_value_setting IS 'How stored value works here: one row; configuration';
COMMENT ON COLUMN crm_member.stored_value_setting.spending IS 'What an amount is taken from: pro_rata (of principal and gift as they stand), principal_first or gift_first';
COMMENT ON COLUMN crm_member.stored_value_setting.min_balance IS 'Balance that spending must leave, money';
COMMENT ON COLUMN crm_member.stored_value_setting.overdraft IS 'How far spending may go below zero, money; not together with min_balance';
COMMENT ON COLUMN crm_member.stored_value_setting.hold_period IS 'How long an authorisation binds where the call does not say; NULL: until it is captured or voided';
COMMENT ON COLUMN crm_member.stored_value_setting.points_per IS 'Points of type points that a top-up earns for each unit of money paid in, rounded down; NULL: none';

INSERT INTO crm_member.stored_value_setting DEFAULT VALUES;

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.stored_value_setting
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

CREATE TABLE crm_member.stored_value_policy (
  policy_code  text PRIMARY KEY,
  name         text NOT NULL DEFAULT '',
  active       boolean NOT NULL DEFAULT true,
  valid_from   timestamptz NOT NULL DEFAULT '-infinity',
  valid_to     timestamptz NOT NULL DEFAULT 'infinity',
  basis        text NOT NULL DEFAULT 'single' CHECK (basis IN ('single', 'cumulative')),
  reach        numeric NOT NULL CHECK (reach > 0 AND reach < 1e12),
  gift         numeric NOT NULL CHECK (gift > 0 AND gift < 1e12 AND gift = round(gift, :money_scale)),
  repeats      boolean NOT NULL DEFAULT false,
  expiry       text NOT NULL DEFAULT 'never' CHECK (crm_member.require_expiry(expiry) AND expiry !~* '^inactive'),
  CHECK (valid_from <= valid_to)
);

COMMENT ON TABLE crm_member.stored_value_policy IS 'What is given with a top-up; configuration. Of the policies of one basis, the one with the highest reach that is met applies';
COMMENT ON COLUMN crm_member.stored_value_policy.valid_from IS 'First moment, by the time of the top-up';
COMMENT ON COLUMN crm_member.stored_value_policy.valid_to IS 'Last moment, by the time of the top-up';
COMMENT ON COLUMN crm_member.stored_value_policy.basis IS 'single: the top-up must reach the amount; cumulative: the top-ups of the member, and of those merged into it, within the validity together pass it with this one';
COMMENT ON COLUMN crm_member.stored_value_policy.reach IS 'Amount to be reached, money';
COMMENT ON COLUMN crm_member.stored_value_policy.gift IS 'What is given, money';
COMMENT ON COLUMN crm_member.stored_value_policy.repeats IS 'Given for each whole multiple of the amount';
COMMENT ON COLUMN crm_member.stored_value_policy.expiry IS 'When the gift expires: see is_expiry()';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.stored_value_policy
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

CREATE TABLE crm_member.stored_value_act (
  member_id  bigint NOT NULL,
  ref        text NOT NULL,
  kind       text NOT NULL CHECK (kind IN ('top_up', 'spend', 'return', 'authorise', 'capture', 'void', 'close')),
  amount     numeric NOT NULL CHECK (amount >= 0),
  principal  numeric NOT NULL CHECK (principal >= 0),
  gift       numeric NOT NULL CHECK (gift >= 0),
  balance    numeric NOT NULL,
  of_ref     text,
  sale_id    bigint,
  at         timestamptz NOT NULL,
  booked_at  timestamptz NOT NULL DEFAULT now(),
  reason     text,
  actor      text,
  PRIMARY KEY (member_id, ref),
  CHECK (kind IN ('top_up', 'close') OR amount = principal + gift)
);

CREATE INDEX stored_value_act_of ON crm_member.stored_value_act (member_id, of_ref) WHERE of_ref IS NOT NULL;

COMMENT ON TABLE crm_member.stored_value_act IS 'What was done with stored value, and how it fell on principal and gift: append-only. The entries are in points_entry, with ref stored_value/<ref>/principal and .../gift';
COMMENT ON COLUMN crm_member.stored_value_act.ref IS 'Reference of the act: the same reference again returns the first result. sale/<sale_id> and refund/<refund_id>: by checkout() and refund()';
COMMENT ON COLUMN crm_member.stored_value_act.kind IS 'top_up, spend, return (of what was spent or captured), authorise, capture, void, close';
COMMENT ON COLUMN crm_member.stored_value_act.amount IS 'Money moved; of a top-up what was paid in, of a closing what is paid out';
COMMENT ON COLUMN crm_member.stored_value_act.principal IS 'Part that fell on the principal';
COMMENT ON COLUMN crm_member.stored_value_act.gift IS 'Part that fell on the gift; of a top-up what was given, of a closing what was taken back';
COMMENT ON COLUMN crm_member.stored_value_act.balance IS 'Principal and gift after it, without what is held';
COMMENT ON COLUMN crm_member.stored_value_act.of_ref IS 'Act that this one is about';
COMMENT ON COLUMN crm_member.stored_value_act.sale_id IS 'The sale it paid';
COMMENT ON COLUMN crm_member.stored_value_act.at IS 'When it happened';
COMMENT ON COLUMN crm_member.stored_value_act.booked_at IS 'When it was entered';

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON crm_member.stored_value_act
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.refuse_change();

CREATE VIEW crm_member.stored_value_account AS
SELECT a.member_id,
       sum(v.available) FILTER (WHERE a.points_type = 'stored_value') AS principal,
       coalesce(sum(v.available) FILTER (WHERE a.points_type = 'stored_value_gift'), 0) AS gift,
       sum(h.held) AS held,
       sum(a.debt) AS debt
FROM crm_member.points_account a,
     LATERAL (SELECT coalesce(sum(h.held) FILTER (WHERE h.expires_at > now()), 0) AS held,
                     coalesce(sum(h.held) FILTER (WHERE h.expires_at <= now()), 0) AS timed_out FROM crm_member.points_hold h
              WHERE h.member_id = a.member_id AND h.points_type = a.points_type AND h.held > 0) h,
     LATERAL (SELECT coalesce(sum(l.remaining), 0) + h.timed_out - a.debt AS available FROM crm_member.points_lot l
              WHERE l.member_id = a.member_id AND l.points_type = a.points_type AND l.open
                AND l.available_at <= now() AND l.expires_at > now()) v
WHERE a.points_type IN ('stored_value', 'stored_value_gift')
GROUP BY a.member_id;

COMMENT ON VIEW crm_member.stored_value_account IS 'Stored value of each member, money: principal (negative: overdrawn) and gift as they can be spent now, what is held by authorisations that were neither captured nor voided nor timed out, and the debt that is part of principal';

CREATE VIEW crm_member.stored_value_liability AS
SELECT CASE a.points_type WHEN 'stored_value' THEN 'principal' ELSE 'gift' END AS part,
       count(*) FILTER (WHERE v.available > 0 OR h.held > 0) AS members,
       coalesce(sum(v.available), 0) AS available, coalesce(sum(h.held), 0) AS held, coalesce(sum(a.debt), 0) AS debt
FROM crm_member.points_account a,
     LATERAL (SELECT coalesce(sum(h.held) FILTER (WHERE h.expires_at > now()), 0) AS held,
                     coalesce(sum(h.held) FILTER (WHERE h.expires_at <= now()), 0) AS timed_out FROM crm_member.points_hold h
              WHERE h.member_id = a.member_id AND h.points_type = a.points_type AND h.held > 0) h,
     LATERAL (SELECT coalesce(sum(l.remaining), 0) + h.timed_out AS available FROM crm_member.points_lot l
              WHERE l.member_id = a.member_id AND l.points_type = a.points_type AND l.open AND l.expires_at > now()) v
WHERE a.points_type IN ('stored_value', 'stored_value_gift')
GROUP BY a.points_type;

COMMENT ON VIEW crm_member.stored_value_liability IS 'What is owed to members as stored value, principal apart from gift, money: in lots and held by authorisations; debt is what members owe';
