-- Sales as they were rung up, and the facts a later return needs.

-- What every report reads comes first, of fixed width, so that it is found without looking at the rest.
CREATE TABLE crm_member.sale (
  member_id   bigint NOT NULL DEFAULT 0 CHECK (member_id >= 0),
  sale_id     bigint NOT NULL DEFAULT crm_member.new_id(),
  sold_at     timestamptz NOT NULL DEFAULT now(),
  settled_at  timestamptz,
  payable     numeric,
  shipping    numeric NOT NULL DEFAULT 0 CHECK (shipping >= 0 AND shipping < 1e12),
  amount      numeric,
  discount    numeric,
  source      text NOT NULL DEFAULT 'pos',
  ref         text NOT NULL,
  store       text,
  channel     text,
  actor       text,
  attrs       jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attrs) = 'object'),
  PRIMARY KEY (member_id, sale_id)
);

CREATE INDEX sale_member_sold_at ON crm_member.sale (member_id, sold_at);

COMMENT ON TABLE crm_member.sale IS 'Sales. Written by checkout(), or inserted and then settled by trigger as soon as header and lines are both there. A row that arrives with settled_at is history and taken as it is';
COMMENT ON COLUMN crm_member.sale.member_id IS 'The buyer; 0 is a guest';
COMMENT ON COLUMN crm_member.sale.sale_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.sale.source IS 'System that rang up the sale; with ref, names it';
COMMENT ON COLUMN crm_member.sale.ref IS 'The source''s own number of the sale';
COMMENT ON COLUMN crm_member.sale.store IS 'Store code';
COMMENT ON COLUMN crm_member.sale.channel IS 'Sales channel, such as store or web';
COMMENT ON COLUMN crm_member.sale.sold_at IS 'When it was sold: rules are judged by this time, not by the time of arrival';
COMMENT ON COLUMN crm_member.sale.shipping IS 'Shipping charged; earns nothing';
COMMENT ON COLUMN crm_member.sale.attrs IS 'Further attributes, for sale.attr() in conditions';
COMMENT ON COLUMN crm_member.sale.actor IS 'Who rang it up';
COMMENT ON COLUMN crm_member.sale.amount IS 'Sum of the lines before discounts; filled when settled';
COMMENT ON COLUMN crm_member.sale.discount IS 'Sum of the discounts of the lines; filled when settled';
COMMENT ON COLUMN crm_member.sale.payable IS 'amount - discount + shipping; filled when settled';
COMMENT ON COLUMN crm_member.sale.settled_at IS 'When points were awarded and the sale entered the books; NULL: not yet';

CREATE TABLE crm_member.sale_line (
  member_id  bigint NOT NULL DEFAULT 0 CHECK (member_id >= 0),
  sale_id    bigint NOT NULL,
  line_no    int NOT NULL CHECK (line_no > 0),
  sku        text,
  category   text,
  brand      text,
  quantity   numeric NOT NULL DEFAULT 1 CHECK (quantity >= 0 AND quantity < 1e9 AND quantity = round(quantity, 6)),
  price      numeric NOT NULL CHECK (price >= 0 AND price < 1e12 AND price = round(price, 10)),
  discount   numeric NOT NULL DEFAULT 0,
  min_price  numeric CHECK (min_price >= 0 AND min_price < 1e12),
  tax_rate   numeric CHECK (tax_rate >= 0 AND tax_rate < 1000),
  attrs      jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attrs) = 'object'),
  points_paid  numeric NOT NULL DEFAULT 0,
  amount     numeric GENERATED ALWAYS AS (round(quantity * price, :money_scale)) STORED
             CHECK (amount < 1e12),
  PRIMARY KEY (member_id, sale_id, line_no),
  CHECK (discount >= 0 AND discount <= amount),
  CHECK (points_paid >= 0 AND points_paid <= amount - discount)
);

COMMENT ON TABLE crm_member.sale_line IS 'Lines of sales. All lines of a sale come in one statement after the header, or in any number of statements before it';
COMMENT ON COLUMN crm_member.sale_line.quantity IS 'Units, up to 6 decimals';
COMMENT ON COLUMN crm_member.sale_line.price IS 'Price of a unit, gross';
COMMENT ON COLUMN crm_member.sale_line.discount IS 'Discount on the whole line, money';
COMMENT ON COLUMN crm_member.sale_line.min_price IS 'The unit may not be discounted below this';
COMMENT ON COLUMN crm_member.sale_line.tax_rate IS 'Percent';
COMMENT ON COLUMN crm_member.sale_line.attrs IS 'Further attributes, for line.attr() in conditions';
COMMENT ON COLUMN crm_member.sale_line.points_paid IS 'What points pay of the line, money: earns nothing';
COMMENT ON COLUMN crm_member.sale_line.amount IS 'round(quantity * price) at the scale of money: what the line costs before discounts';

-- Directory: a sale is found by its source and reference.
CREATE TABLE crm_member.sale_ref (
  source     text NOT NULL,
  ref        text NOT NULL,
  member_id  bigint NOT NULL,
  sale_id    bigint NOT NULL,
  digest     bigint,
  PRIMARY KEY (source, ref)
);

COMMENT ON TABLE crm_member.sale_ref IS 'Directory: (source, ref) to sale';
COMMENT ON COLUMN crm_member.sale_ref.digest IS 'Hash of the document checkout() was given; NULL where the sale came as rows';

CREATE TRIGGER settle_sale AFTER INSERT ON crm_member.sale
  REFERENCING NEW TABLE AS new_sale
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.settle_sale();
CREATE TRIGGER settle_sale_line AFTER INSERT ON crm_member.sale_line
  REFERENCING NEW TABLE AS new_sale_line
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.settle_sale_line();
