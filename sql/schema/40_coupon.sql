-- Coupons: templates, codes, what they were used for, and how much is left of a campaign.

CREATE TABLE crm_member.coupon_template (
  template_code      text PRIMARY KEY CHECK (template_code <> '' AND length(template_code) <= 100),
  name               text NOT NULL DEFAULT '',
  active             boolean NOT NULL DEFAULT true,
  kind               text NOT NULL
                     CHECK (kind IN ('amount', 'percent', 'fixed_price', 'buy_x_get_y', 'gift', 'free_shipping')),
  value              numeric CHECK (value >= 0 AND value < 1e12),
  target             text NOT NULL DEFAULT 'order'
                     CHECK (target IN ('order', 'line', 'unit', 'cheapest', 'dearest')),
  eligible           crm_member.condition,
  requires           crm_member.condition,
  buy_quantity       int CHECK (buy_quantity BETWEEN 1 AND 1000000),
  get_quantity       int CHECK (get_quantity BETWEEN 1 AND 1000000),
  get_eligible       crm_member.condition,
  partial_reward     boolean NOT NULL DEFAULT false,
  pick               text NOT NULL DEFAULT 'cheapest' CHECK (pick IN ('cheapest', 'dearest')),
  max_discount       numeric CHECK (max_discount > 0 AND max_discount < 1e12),
  max_units          int CHECK (max_units BETWEEN 1 AND 1000000000),
  redistribute       boolean NOT NULL DEFAULT true,
  min_spend          numeric CHECK (min_spend >= 0 AND min_spend < 1e12),
  min_quantity       numeric CHECK (min_quantity >= 0 AND min_quantity < 1e9),
  min_basis          text NOT NULL DEFAULT 'before' CHECK (min_basis IN ('before', 'after')),
  min_tax            text NOT NULL DEFAULT 'gross' CHECK (min_tax IN ('gross', 'net')),
  priority           int NOT NULL DEFAULT 0,
  stack_group        text,
  exclusive          text NOT NULL DEFAULT 'no' CHECK (exclusive IN ('no', 'wins', 'priority')),
  percent_base       text NOT NULL DEFAULT 'remaining' CHECK (percent_base IN ('remaining', 'original')),
  allocation         text NOT NULL DEFAULT 'largest_remainder'
                     CHECK (allocation IN ('largest_remainder', 'first_lines', 'last_line', 'running_delta')),
  rounding           text NOT NULL DEFAULT 'half_up'
                     CHECK (rounding IN ('half_up', 'half_down', 'half_even', 'floor', 'ceil')),
  uses               int DEFAULT 1 CHECK (uses BETWEEN 1 AND 1000000000),
  split_value        boolean NOT NULL DEFAULT false,
  total_limit        bigint CHECK (total_limit >= 0),
  member_limit       int CHECK (member_limit >= 0),
  budget             numeric CHECK (budget >= 0 AND budget < 1e12),
  last_use           text NOT NULL DEFAULT 'refuse' CHECK (last_use IN ('refuse', 'remainder')),
  automatic          boolean NOT NULL DEFAULT false,
  valid_from         date,
  valid_to           date,
  valid_days         int CHECK (valid_days BETWEEN 0 AND 36500),
  release_on_refund  boolean NOT NULL DEFAULT true,
  stop_lines         boolean NOT NULL DEFAULT false,
  CHECK (valid_from <= valid_to),
  CHECK (value IS NOT NULL OR kind IN ('buy_x_get_y', 'gift', 'free_shipping')),
  CHECK (value <= 100 OR kind NOT IN ('percent', 'buy_x_get_y', 'gift')),
  CHECK (kind <> 'buy_x_get_y' OR (buy_quantity IS NOT NULL AND get_quantity IS NOT NULL)),
  CHECK (kind <> 'gift' OR get_eligible IS NOT NULL),
  CHECK (NOT split_value OR (kind = 'amount' AND uses <= 1000 AND NOT automatic)),
  CHECK (value = round(value, :money_scale) OR kind IN ('percent', 'buy_x_get_y', 'gift')),
  CHECK (value = round(value, 6)),
  CHECK (max_discount = round(max_discount, :money_scale)),
  CHECK (min_spend = round(min_spend, :money_scale)),
  CHECK (min_quantity = round(min_quantity, 6)),
  CHECK (budget = round(budget, :money_scale))
);

COMMENT ON TABLE crm_member.coupon_template IS 'What coupons of a kind are worth and when they hold; an automatic promotion is a template without codes. Configuration';
COMMENT ON COLUMN crm_member.coupon_template.active IS 'false: neither issued nor redeemed';
COMMENT ON COLUMN crm_member.coupon_template.kind IS 'amount, percent, fixed_price, buy_x_get_y, gift or free_shipping';
COMMENT ON COLUMN crm_member.coupon_template.value IS 'amount: money off; percent: percent off; fixed_price: what the target costs; buy_x_get_y and gift: percent off the rewarded units (NULL: 100); free_shipping: money off at most (NULL: all)';
COMMENT ON COLUMN crm_member.coupon_template.target IS 'What amount, percent and fixed_price work on: the eligible lines together, each of them, each unit, or the cheapest or dearest unit (max_units of them; NULL: one)';
COMMENT ON COLUMN crm_member.coupon_template.eligible IS 'Lines it is good for, judged by the sale before coupons; NULL: all';
COMMENT ON COLUMN crm_member.coupon_template.requires IS 'What must hold of member and sale, judged by the sale before coupons; NULL: nothing';
COMMENT ON COLUMN crm_member.coupon_template.buy_quantity IS 'buy_x_get_y: units paid for each reward';
COMMENT ON COLUMN crm_member.coupon_template.get_quantity IS 'buy_x_get_y, gift: units of a reward (gift, NULL: one)';
COMMENT ON COLUMN crm_member.coupon_template.get_eligible IS 'buy_x_get_y: lines rewarded units are taken from (NULL: as eligible); gift: lines that are gifts';
COMMENT ON COLUMN crm_member.coupon_template.partial_reward IS 'buy_x_get_y: whether an incomplete reward is given';
COMMENT ON COLUMN crm_member.coupon_template.pick IS 'Which units are rewarded first: cheapest or dearest';
COMMENT ON COLUMN crm_member.coupon_template.max_discount IS 'The most it takes off a sale, gross; then shared in proportion';
COMMENT ON COLUMN crm_member.coupon_template.max_units IS 'The most whole units it works on in a sale, those that pick says; without effect on shipping and on an amount or fixed price of the order or of lines';
COMMENT ON COLUMN crm_member.coupon_template.redistribute IS 'Whether what a line''s min_price does not allow goes to the other lines; false: it is given up';
COMMENT ON COLUMN crm_member.coupon_template.min_spend IS 'Least amount of the eligible lines, inclusive; gifts do not count';
COMMENT ON COLUMN crm_member.coupon_template.min_quantity IS 'Least units of the eligible lines, inclusive; gifts do not count';
COMMENT ON COLUMN crm_member.coupon_template.min_basis IS 'min_spend before all discounts, or after those applied earlier';
COMMENT ON COLUMN crm_member.coupon_template.min_tax IS 'min_spend with (gross) or without (net) the tax that tax_rate says is in the price';
COMMENT ON COLUMN crm_member.coupon_template.priority IS 'The higher is applied first; at equal priority those on lines and units, then those on the order, then shipping';
COMMENT ON COLUMN crm_member.coupon_template.stack_group IS 'Of offers of one group only one is applied to a sale; NULL: no group';
COMMENT ON COLUMN crm_member.coupon_template.exclusive IS 'no; priority: applied alone, unless one was applied before it; wins: applied alone whatever its priority';
COMMENT ON COLUMN crm_member.coupon_template.percent_base IS 'percent: of what remains after earlier discounts, or of the original amount';
COMMENT ON COLUMN crm_member.coupon_template.allocation IS 'How an order discount is shared over its lines: see allocate()';
COMMENT ON COLUMN crm_member.coupon_template.rounding IS 'How a percent is rounded to money';
COMMENT ON COLUMN crm_member.coupon_template.uses IS 'How often one code can be redeemed; NULL: any number of times';
COMMENT ON COLUMN crm_member.coupon_template.split_value IS 'value is shared over the uses of a code (10 over 3: 3.33, 3.33, 3.34)';
COMMENT ON COLUMN crm_member.coupon_template.total_limit IS 'Redemptions of all codes together; NULL: no limit';
COMMENT ON COLUMN crm_member.coupon_template.member_limit IS 'Redemptions by one member; guests cannot redeem; NULL: no limit';
COMMENT ON COLUMN crm_member.coupon_template.budget IS 'Money all redemptions together may take off; NULL: no limit';
COMMENT ON COLUMN crm_member.coupon_template.last_use IS 'What the redemption gets that the budget no longer covers: refused, or the remainder';
COMMENT ON COLUMN crm_member.coupon_template.automatic IS 'Applied by quote() and checkout() without a code';
COMMENT ON COLUMN crm_member.coupon_template.valid_from IS 'First business day of sales it holds for';
COMMENT ON COLUMN crm_member.coupon_template.valid_to IS 'Last business day of sales it holds for, through its end';
COMMENT ON COLUMN crm_member.coupon_template.valid_days IS 'A code holds through the end of this many business days after the day of its issue; NULL: no such limit';
COMMENT ON COLUMN crm_member.coupon_template.release_on_refund IS 'Whether the full return of the sale gives the use back, where the coupon still holds';
COMMENT ON COLUMN crm_member.coupon_template.stop_lines IS 'Whether offers applied after it leave the lines alone that it took something off; other lines they may have';

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.coupon_template
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

-- The secret behind native codes: who knows it can tell one code from another.
CREATE TABLE crm_member.coupon_secret (
  singleton      boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  key            bytea NOT NULL CHECK (length(key) = 32),
  native_shaped  boolean NOT NULL DEFAULT false
);

COMMENT ON TABLE crm_member.coupon_secret IS 'The key of the permutation that turns a counter into codes: one row, made by setup(). Keep it from whoever shall not foresee codes';
COMMENT ON COLUMN crm_member.coupon_secret.key IS '32 random bytes';
COMMENT ON COLUMN crm_member.coupon_secret.native_shaped IS 'Whether some imported code looks like a mistyped native one, so that such texts must be looked up';

INSERT INTO crm_member.coupon_secret (key)
VALUES (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));

CREATE TRIGGER touch_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_member.coupon_secret
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.touch_configuration();

CREATE SEQUENCE crm_member.coupon_counter AS bigint MAXVALUE 8589934591 CACHE 32;
CREATE SEQUENCE crm_member.coupon_block AS bigint MINVALUE 0 MAXVALUE 8388607;

COMMENT ON SEQUENCE crm_member.coupon_counter IS 'Counter behind codes that are issued one by one';
COMMENT ON SEQUENCE crm_member.coupon_block IS 'Counter behind codes that are generated in blocks of 1,024';

-- Directory: a code, and what became of it.
CREATE TABLE crm_member.coupon (
  code           crm_member.coupon_code PRIMARY KEY,
  issued_at      timestamptz NOT NULL DEFAULT now(),
  uses           int NOT NULL DEFAULT 0 CHECK (uses >= 0),
  valid_to       date,
  member_id      bigint CHECK (member_id > 0),
  held_until     timestamptz,
  template_code  text NOT NULL,
  status         text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'used', 'void')),
  held_by        text
) WITH (fillfactor = 90);

CREATE INDEX coupon_member ON crm_member.coupon (member_id) WHERE member_id IS NOT NULL;

COMMENT ON TABLE crm_member.coupon IS 'Directory: coupon codes, what they are codes of and whether they can be used';
COMMENT ON COLUMN crm_member.coupon.code IS 'The code; an imported code has one of its own too, see coupon_alias';
COMMENT ON COLUMN crm_member.coupon.issued_at IS 'When it was generated, issued or imported';
COMMENT ON COLUMN crm_member.coupon.uses IS 'Redemptions in force; not counted where the template allows any number';
COMMENT ON COLUMN crm_member.coupon.valid_to IS 'Last business day it holds, beside what the template says; NULL: as the template';
COMMENT ON COLUMN crm_member.coupon.member_id IS 'The member it was issued to; NULL: whoever presents it';
COMMENT ON COLUMN crm_member.coupon.held_until IS 'Until then it is held for the cart named held_by';
COMMENT ON COLUMN crm_member.coupon.template_code IS 'What it is a coupon of';
COMMENT ON COLUMN crm_member.coupon.status IS 'active, used (no use left) or void';
COMMENT ON COLUMN crm_member.coupon.held_by IS 'Reference under which it is held: that of the checkout to come';

-- Directory: codes of other systems.
CREATE TABLE crm_member.coupon_alias (
  alias  text COLLATE "C" PRIMARY KEY CHECK (alias <> '' AND length(alias) <= 200),
  code   crm_member.coupon_code NOT NULL UNIQUE
);

COMMENT ON TABLE crm_member.coupon_alias IS 'Directory: imported code to coupon';
COMMENT ON COLUMN crm_member.coupon_alias.alias IS 'The imported code, without blanks around it, in capitals';
COMMENT ON COLUMN crm_member.coupon_alias.code IS 'The coupon';

CREATE TABLE crm_member.coupon_event (
  member_id  bigint NOT NULL DEFAULT 0 CHECK (member_id >= 0),
  event_id   bigint NOT NULL,
  act        text NOT NULL CHECK (act IN ('generate', 'issue', 'import', 'hold', 'release', 'void', 'return', 'restore')),
  code       crm_member.coupon_code,
  template_code  text NOT NULL,
  codes      bigint NOT NULL DEFAULT 1,
  at         timestamptz NOT NULL DEFAULT now(),
  ref        text,
  reason     text,
  actor      text,
  PRIMARY KEY (member_id, event_id)
);

CREATE UNIQUE INDEX coupon_event_ref ON crm_member.coupon_event (member_id, ref)
  WHERE ref IS NOT NULL AND act IN ('generate', 'issue', 'import');
CREATE INDEX coupon_event_code ON crm_member.coupon_event (code) WHERE code IS NOT NULL;

COMMENT ON TABLE crm_member.coupon_event IS 'What was done to coupons other than using them: append-only';
COMMENT ON COLUMN crm_member.coupon_event.member_id IS 'The member the coupon was issued to; 0: nobody';
COMMENT ON COLUMN crm_member.coupon_event.event_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.coupon_event.act IS 'generate, issue, import, hold, release (of a hold), void, return (of a use, after a refund), restore (of what a merge made void)';
COMMENT ON COLUMN crm_member.coupon_event.code IS 'The coupon; NULL for generate';
COMMENT ON COLUMN crm_member.coupon_event.codes IS 'How many codes';
COMMENT ON COLUMN crm_member.coupon_event.at IS 'When';
COMMENT ON COLUMN crm_member.coupon_event.ref IS 'The caller''s reference; of generate, issue and import the same again returns the first result';

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON crm_member.coupon_event
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.refuse_change();

-- Redemptions, with the facts a return needs.
CREATE TABLE crm_member.coupon_use (
  member_id       bigint NOT NULL DEFAULT 0 CHECK (member_id >= 0),
  use_id          bigint NOT NULL,
  sale_id         bigint,
  position        int NOT NULL DEFAULT 1,
  use_no          int,
  used_at         timestamptz NOT NULL,
  booked_at       timestamptz NOT NULL DEFAULT now(),
  returned_at     timestamptz,
  code            crm_member.coupon_code,
  template_code   text NOT NULL,
  alias           text,
  discount        numeric NOT NULL CHECK (discount >= 0),
  shipping        numeric NOT NULL DEFAULT 0 CHECK (shipping >= 0),
  line_nos        int[] NOT NULL,
  line_discounts  numeric[] NOT NULL,
  ref             text,
  digest          bigint,
  actor           text,
  PRIMARY KEY (member_id, use_id)
);

CREATE INDEX coupon_use_sale ON crm_member.coupon_use (member_id, sale_id) WHERE sale_id IS NOT NULL;
CREATE UNIQUE INDEX coupon_use_ref ON crm_member.coupon_use (member_id, ref) WHERE ref IS NOT NULL;
CREATE INDEX coupon_use_code ON crm_member.coupon_use (code) WHERE code IS NOT NULL;

COMMENT ON TABLE crm_member.coupon_use IS 'Redemptions of coupons and automatic promotions, with what they took off each line';
COMMENT ON COLUMN crm_member.coupon_use.member_id IS 'The buyer; 0 is a guest';
COMMENT ON COLUMN crm_member.coupon_use.use_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.coupon_use.sale_id IS 'The sale, where checkout() redeemed it';
COMMENT ON COLUMN crm_member.coupon_use.position IS 'Place among the coupons of the sale, in the order of application';
COMMENT ON COLUMN crm_member.coupon_use.use_no IS 'Which use of its code; NULL where uses are not counted';
COMMENT ON COLUMN crm_member.coupon_use.used_at IS 'Time of the sale';
COMMENT ON COLUMN crm_member.coupon_use.booked_at IS 'When it was entered';
COMMENT ON COLUMN crm_member.coupon_use.returned_at IS 'When the sale was returned and the use given back; NULL: in force';
COMMENT ON COLUMN crm_member.coupon_use.code IS 'The code; NULL for an automatic promotion';
COMMENT ON COLUMN crm_member.coupon_use.alias IS 'The imported code it was presented by';
COMMENT ON COLUMN crm_member.coupon_use.discount IS 'What it took off, money, shipping included';
COMMENT ON COLUMN crm_member.coupon_use.shipping IS 'What it took off shipping';
COMMENT ON COLUMN crm_member.coupon_use.line_nos IS 'Lines it took something off; with line_discounts, which sum to discount - shipping';
COMMENT ON COLUMN crm_member.coupon_use.ref IS 'The reference redeem_coupon() was given';
COMMENT ON COLUMN crm_member.coupon_use.digest IS 'Hash of the code and sale redeem_coupon() was given';

-- Codes that a sale presented in vain.
CREATE TABLE crm_member.coupon_refusal (
  member_id      bigint NOT NULL DEFAULT 0 CHECK (member_id >= 0),
  sale_id        bigint NOT NULL,
  position       int NOT NULL,
  code           text NOT NULL,
  template_code  text,
  status         text NOT NULL CHECK (status IN ('refused', 'not_best')),
  sqlstate       text,
  reason         text,
  PRIMARY KEY (member_id, sale_id, position)
);

COMMENT ON TABLE crm_member.coupon_refusal IS 'Codes presented to checkout() that were not applied';
COMMENT ON COLUMN crm_member.coupon_refusal.code IS 'As presented';
COMMENT ON COLUMN crm_member.coupon_refusal.status IS 'refused; not_best: left out, since the buyer pays less without it';

-- Redemptions of templates that limit them by member.
CREATE TABLE crm_member.coupon_tally (
  member_id      bigint NOT NULL CHECK (member_id > 0),
  template_code  text NOT NULL,
  uses           bigint NOT NULL,
  PRIMARY KEY (member_id, template_code)
) WITH (fillfactor = 80);

COMMENT ON TABLE crm_member.coupon_tally IS 'Redemptions in force by member, of templates with member_limit';

-- What is left of a campaign's limit and budget, in shares, so that tills do not queue for one row.
CREATE TABLE crm_member.coupon_share (
  template_code  text NOT NULL,
  share          int NOT NULL,
  uses_left      bigint CHECK (uses_left >= 0),
  budget_left    numeric CHECK (budget_left >= 0),
  uses           bigint NOT NULL DEFAULT 0,
  spent          numeric NOT NULL DEFAULT 0,
  PRIMARY KEY (template_code, share)
) WITH (fillfactor = 10);

COMMENT ON TABLE crm_member.coupon_share IS 'Total limit and budget of each template that has one, split into shares, of which a redemption takes one that nobody is at; where none suffices they are made up from one another';
COMMENT ON COLUMN crm_member.coupon_share.uses_left IS 'Redemptions left in this share; NULL: no total limit';
COMMENT ON COLUMN crm_member.coupon_share.budget_left IS 'Money left in this share; NULL: no budget';
COMMENT ON COLUMN crm_member.coupon_share.uses IS 'Redemptions in force booked here';
COMMENT ON COLUMN crm_member.coupon_share.spent IS 'Money they took off';

CREATE TRIGGER split_coupon_limits AFTER INSERT OR UPDATE OR DELETE ON crm_member.coupon_template
  FOR EACH ROW EXECUTE FUNCTION crm_member.split_coupon_limits();

CREATE VIEW crm_member.coupon_limit AS
SELECT t.template_code, t.total_limit, sum(s.uses)::bigint AS uses, sum(s.uses_left)::bigint AS uses_left,
       t.budget, sum(s.spent) AS spent, sum(s.budget_left) AS budget_left
FROM crm_member.coupon_template t JOIN crm_member.coupon_share s USING (template_code)
GROUP BY t.template_code;

COMMENT ON VIEW crm_member.coupon_limit IS 'What is used and left of each limit and budget';

CREATE VIEW crm_member.coupon_funnel AS
SELECT t.template_code, t.name,
       coalesce(c.codes, 0) AS codes, coalesce(c.issued, 0) AS issued, coalesce(c.held, 0) AS held,
       coalesce(u.used, 0) AS used, coalesce(u.returned, 0) AS returned, coalesce(c.void, 0) AS void,
       coalesce(u.buyers, 0) AS buyers, coalesce(u.discount, 0) AS discount, coalesce(u.sales, 0) AS sales,
       round(100 * u.used::numeric / nullif(c.codes, 0), 1) AS used_percent
FROM crm_member.coupon_template t
LEFT JOIN (SELECT c.template_code, count(*) AS codes, count(c.member_id) AS issued,
                  count(*) FILTER (WHERE c.status = 'active' AND c.held_until > now()) AS held,
                  count(*) FILTER (WHERE c.status = 'void') AS void
             FROM crm_member.coupon c GROUP BY 1) c USING (template_code)
LEFT JOIN (SELECT u.template_code, count(*) FILTER (WHERE u.returned_at IS NULL) AS used,
                  count(u.returned_at) AS returned,
                  count(DISTINCT nullif(u.member_id, 0)) FILTER (WHERE u.returned_at IS NULL) AS buyers,
                  sum(u.discount) FILTER (WHERE u.returned_at IS NULL) AS discount,
                  count(DISTINCT u.sale_id) FILTER (WHERE u.returned_at IS NULL) AS sales
             FROM crm_member.coupon_use u GROUP BY 1) u USING (template_code);

COMMENT ON VIEW crm_member.coupon_funnel IS 'From codes to sales, a row a template: codes there are, issued to members, held now, uses in force and returned, void codes, members who used one, discount given (money, shipping included), sales, and uses in percent of codes (NULL where there are none; above 100 where a code has several uses)';
