-- Refunds, and what sales were paid with.

CREATE TABLE crm_member.sale_tender (
  member_id    bigint NOT NULL CHECK (member_id >= 0),
  sale_id      bigint NOT NULL,
  tender       text NOT NULL CHECK (tender IN ('points', 'stored_value')),
  points_type  text,
  points       numeric CHECK (points > 0),
  amount       numeric NOT NULL CHECK (amount > 0),
  PRIMARY KEY (member_id, sale_id, tender),
  CHECK ((tender = 'points') = (points IS NOT NULL AND points_type IS NOT NULL))
);

COMMENT ON TABLE crm_member.sale_tender IS 'What sales were paid with other than money';
COMMENT ON COLUMN crm_member.sale_tender.member_id IS 'The buyer';
COMMENT ON COLUMN crm_member.sale_tender.sale_id IS 'The sale';
COMMENT ON COLUMN crm_member.sale_tender.tender IS 'points or stored_value';
COMMENT ON COLUMN crm_member.sale_tender.points_type IS 'Type of the points spent';
COMMENT ON COLUMN crm_member.sale_tender.points IS 'Points spent';
COMMENT ON COLUMN crm_member.sale_tender.amount IS 'Money''s worth of it';

CREATE TABLE crm_member.refund (
  member_id     bigint NOT NULL CHECK (member_id >= 0),
  refund_id     bigint NOT NULL,
  sale_id       bigint NOT NULL,
  source        text NOT NULL,
  ref           text NOT NULL,
  refunded_at   timestamptz NOT NULL,
  booked_at     timestamptz NOT NULL DEFAULT now(),
  amount        numeric NOT NULL,
  discount      numeric NOT NULL,
  shipping      numeric NOT NULL,
  payable       numeric NOT NULL,
  points_value  numeric NOT NULL DEFAULT 0,
  stored_value  numeric NOT NULL DEFAULT 0,
  charged       numeric NOT NULL DEFAULT 0,
  money         numeric NOT NULL,
  complete      boolean NOT NULL,
  reason        text,
  actor         text,
  answer        jsonb NOT NULL,
  PRIMARY KEY (member_id, refund_id),
  CHECK (payable = amount - discount + shipping),
  CHECK (money = payable - points_value - stored_value - charged)
);

CREATE INDEX refund_sale ON crm_member.refund (member_id, sale_id);

COMMENT ON TABLE crm_member.refund IS 'Refunds: append-only, amounts are positive';
COMMENT ON COLUMN crm_member.refund.member_id IS 'The buyer; 0 is a guest';
COMMENT ON COLUMN crm_member.refund.refund_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.refund.sale_id IS 'The sale';
COMMENT ON COLUMN crm_member.refund.source IS 'System that took the goods back; with ref, names the refund';
COMMENT ON COLUMN crm_member.refund.ref IS 'The source''s own number of the refund';
COMMENT ON COLUMN crm_member.refund.refunded_at IS 'When the goods came back';
COMMENT ON COLUMN crm_member.refund.booked_at IS 'When it was entered';
COMMENT ON COLUMN crm_member.refund.amount IS 'Sum of the lines before discounts';
COMMENT ON COLUMN crm_member.refund.discount IS 'Sum of the discounts of the lines';
COMMENT ON COLUMN crm_member.refund.shipping IS 'Shipping given back';
COMMENT ON COLUMN crm_member.refund.payable IS 'amount - discount + shipping';
COMMENT ON COLUMN crm_member.refund.points_value IS 'Money''s worth of the points given back';
COMMENT ON COLUMN crm_member.refund.stored_value IS 'Given back as stored value';
COMMENT ON COLUMN crm_member.refund.charged IS 'Kept back for points that were to be taken back and are spent';
COMMENT ON COLUMN crm_member.refund.money IS 'To be paid out: payable - points_value - stored_value - charged';
COMMENT ON COLUMN crm_member.refund.complete IS 'Nothing of the sale is left';
COMMENT ON COLUMN crm_member.refund.reason IS 'Why';
COMMENT ON COLUMN crm_member.refund.actor IS 'Who did it';
COMMENT ON COLUMN crm_member.refund.answer IS 'What refund() answered';

CREATE TABLE crm_member.refund_line (
  member_id  bigint NOT NULL CHECK (member_id >= 0),
  refund_id  bigint NOT NULL,
  line_no    int NOT NULL,
  sale_id    bigint NOT NULL,
  quantity   numeric NOT NULL CHECK (quantity >= 0),
  amount     numeric NOT NULL CHECK (amount >= 0),
  discount   numeric NOT NULL CHECK (discount >= 0),
  PRIMARY KEY (member_id, refund_id, line_no),
  FOREIGN KEY (member_id, refund_id) REFERENCES crm_member.refund
);

CREATE INDEX refund_line_sale ON crm_member.refund_line (member_id, sale_id);

COMMENT ON TABLE crm_member.refund_line IS 'Lines of refunds: append-only; those of a line of a sale sum to it when all of it is back';
COMMENT ON COLUMN crm_member.refund_line.line_no IS 'Line of the sale';
COMMENT ON COLUMN crm_member.refund_line.quantity IS 'Units taken back';
COMMENT ON COLUMN crm_member.refund_line.amount IS 'Their share of the line''s amount before discounts';
COMMENT ON COLUMN crm_member.refund_line.discount IS 'Their share of the line''s discount';

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON crm_member.refund
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.refuse_change();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON crm_member.refund_line
  FOR EACH STATEMENT EXECUTE FUNCTION crm_member.refuse_change();

-- Directory: a refund is found by its source and reference.
CREATE TABLE crm_member.refund_ref (
  source     text NOT NULL,
  ref        text NOT NULL,
  member_id  bigint NOT NULL,
  refund_id  bigint NOT NULL,
  digest     bigint NOT NULL,
  PRIMARY KEY (source, ref)
);

COMMENT ON TABLE crm_member.refund_ref IS 'Directory: (source, ref) to refund';
COMMENT ON COLUMN crm_member.refund_ref.digest IS 'Hash of the document refund() was given';
