--
-- Checkout and settlement write rows without statements where nothing stands in
-- the way. What they write is what statements write, and what a DBA adds to the
-- tables holds all the same: triggers, defaults, constraints, references, rules,
-- row security, other types.
--
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'UTC');
INSERT INTO crm_member.member (member_id) SELECT generate_series(1, 40);
INSERT INTO crm_member.person (member_id, birthday, gender) SELECT g, date '1980-06-01' + g, 'F' FROM generate_series(1, 40, 2) g;
INSERT INTO crm_member.tier (tier_code, name, rank, at_once) VALUES ('silver', 'Silver', 1, false), ('gold', 'Gold', 2, true);
INSERT INTO crm_member.tier_rule (tier_code, measure, threshold) VALUES ('silver', 'spend', 100), ('gold', 'spend', 400);
INSERT INTO crm_member.points_type (points_type, name, decimals, expiry) VALUES ('growth', 'Growth', 2, '12 months');
UPDATE crm_member.points_type SET money_value = 0.01 WHERE points_type = 'points';
INSERT INTO crm_member.points_rule (rule_code, award, points, per, points_type, scope, condition, pending) VALUES
  ('base', 'per_amount', 1, 1, 'points', 'sale', NULL, NULL),
  ('shoes', 'per_unit', 2, 1, 'points', 'line', 'line.category = ''shoes''', NULL),
  ('later', 'fixed', 3, 1, 'points', 'sale', 'sale.amount > 50', '3 days'),
  ('gold', 'multiplier', 2, 1, 'points', 'sale', 'member.tier = ''gold''', NULL),
  ('growth', 'per_amount', 0.25, 1, 'growth', 'sale', NULL, NULL);
INSERT INTO crm_member.coupon_template (template_code, name, kind, value, target, automatic, eligible)
  VALUES ('hats', 'Hats', 'percent', 10, 'line', true, 'line.category = ''hats''');

-- sales of every kind: members, guests, many lines, points and stored value as tender, a member who is in debt
CREATE FUNCTION document(prefix text, i int) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object('ref', prefix || i, 'member_id', CASE WHEN i % 7 > 0 THEN 1 + i % 20 END, 'store', 'S' || i % 3, 'channel', CASE WHEN i % 2 = 0 THEN 'web' END,
    'sold_at', timestamptz '2026-06-01' + i * interval '1 hour', 'shipping', CASE WHEN i % 5 = 0 THEN 4.9 END, 'actor', CASE WHEN i % 4 = 0 THEN 'till' END,
    'points', CASE WHEN i % 7 > 0 AND i % 11 = 0 THEN 5 END, 'stored_value', CASE WHEN i % 7 > 0 AND i % 13 = 0 THEN 1 END, 'attrs', CASE WHEN i % 3 = 0 THEN '{"a": 1}'::jsonb END,
    'lines', (SELECT jsonb_agg(jsonb_build_object('sku', 'P' || l, 'category', (ARRAY['shoes', 'hats', NULL])[1 + (i + l) % 3], 'quantity', 1 + (i * l) % 3 * 0.5, 'price', 3.33 * l + i % 10,
                'min_price', CASE WHEN l % 2 = 0 THEN 1 END, 'tax_rate', CASE WHEN l % 3 = 0 THEN 19 END)) FROM generate_series(1, 1 + i % 6) l))) $$;
-- everything written for them, but for identifiers
CREATE FUNCTION written(prefix text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT to_jsonb(s) - '{sale_id,ref,settled_at,member_id}'::text[] || jsonb_build_object('m', s.member_id % 20) ||
         jsonb_build_object('n', substr(s.ref, length(prefix) + 1)::int, 'settled', s.settled_at IS NOT NULL, 'digest', r.digest IS NOT NULL) || jsonb_build_object(
           'lines', (SELECT jsonb_agg(to_jsonb(l) - '{sale_id,member_id}'::text[] ORDER BY line_no) FROM crm_member.sale_line l WHERE l.sale_id = s.sale_id),
           'entries', (SELECT jsonb_agg(to_jsonb(e) - '{sale_id,member_id,ref,booked_at}'::text[] || jsonb_build_object('booked', e.booked_at > now() - interval '1 day') ORDER BY points_type, entry_no) FROM crm_member.points_entry e WHERE e.sale_id = s.sale_id),
           'lots', (SELECT jsonb_agg(to_jsonb(l) - '{member_id}'::text[] ORDER BY l.points_type, lot_no) FROM crm_member.points_lot l JOIN crm_member.points_entry e ON e.sale_id = s.sale_id AND l.member_id = e.member_id AND l.points_type = e.points_type AND l.lot_no = e.entry_no))::text
    FROM crm_member.sale s JOIN crm_member.sale_ref r USING (source, ref) WHERE s.ref ~ ('^' || prefix || '\d+$') ORDER BY substr(s.ref, length(prefix) + 1)::int $$;
SELECT count(crm_member.award_points(m, 30, 'start', 'start', at => '2026-01-01')), count(crm_member.top_up_stored_value(m, 20, 'start', 'top', at => '2026-01-01')) FROM generate_series(1, 40) m;

SELECT count(crm_member.checkout(document('a', i))) FROM generate_series(1, 120) i;

-- the same sales once more, to twenty other members, where a trigger of somebody's on every table makes them go by statements
CREATE FUNCTION other(document jsonb) RETURNS jsonb LANGUAGE sql AS $$
  SELECT CASE WHEN document ? 'member_id' THEN document || jsonb_build_object('member_id', (document->>'member_id')::int + 20) ELSE document END $$;
CREATE TABLE seen (relation text, act text, rows int);
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.seen VALUES (TG_TABLE_NAME, TG_OP, 1); RETURN NULL; END $$;
DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY '{sale,sale_line,sale_ref,points_entry,points_lot,points_account}'::text[] LOOP
    EXECUTE format('CREATE TRIGGER look AFTER INSERT OR UPDATE ON crm_member.%I FOR EACH ROW EXECUTE FUNCTION public.look()', t);
  END LOOP;
END $$;
SELECT count(crm_member.checkout(other(document('b', i)))) FROM generate_series(1, 120) i;
SELECT relation, act, sum(rows) FROM seen GROUP BY 1, 2 ORDER BY 1, 2;

SELECT count(*) AS sales, count(*) FILTER (WHERE a.w = b.w) AS the_same FROM (SELECT row_number() OVER (), w FROM written('a') w) a JOIN (SELECT row_number() OVER (), w FROM written('b') w) b USING (row_number);
SELECT a.points_type, count(*) AS accounts, count(*) FILTER (WHERE (a.balance, a.entry_no, a.settles_at, a.expires_at, a.debt) = (b.balance, b.entry_no, b.settles_at, b.expires_at, b.debt)) AS the_same
  FROM crm_member.points_account a JOIN crm_member.points_account b ON b.member_id = a.member_id + 20 AND b.points_type = a.points_type WHERE a.member_id <= 20 GROUP BY 1 ORDER BY 1;
SELECT count(*) AS violations FROM crm_member.verify_ledger();

-- the same as rows, with and without that trigger
CREATE FUNCTION load_rows(prefix text, shift int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO crm_member.sale (member_id, sale_id, ref, store, sold_at)
    SELECT coalesce((d->>'member_id')::bigint + shift, 0), 1000000 + shift * 1000 + i, prefix || i, d->>'store', (d->>'sold_at')::timestamptz + interval '30 days' FROM generate_series(1, 60) i, document(prefix, i) d;
  INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, sku, category, quantity, price)
    SELECT coalesce((d->>'member_id')::bigint + shift, 0), 1000000 + shift * 1000 + i, l.n, l.l->>'sku', l.l->>'category', (l.l->>'quantity')::numeric, (l.l->>'price')::numeric
      FROM generate_series(1, 60) i, document(prefix, i) d, jsonb_array_elements(d->'lines') WITH ORDINALITY l (l, n);
  RETURN (SELECT count(*) FROM crm_member.sale WHERE ref ~ ('^' || prefix || '\d+$') AND settled_at IS NOT NULL);
END $$;
TRUNCATE seen;
SELECT load_rows('d', 20) AS settled;
SELECT relation, act, sum(rows) FROM seen GROUP BY 1, 2 ORDER BY 1, 2;
DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY '{sale,sale_line,sale_ref,points_entry,points_lot,points_account}'::text[] LOOP
    EXECUTE format('DROP TRIGGER look ON crm_member.%I', t);
  END LOOP;
END $$;
SELECT load_rows('c', 0) AS settled;
SELECT count(*) AS sales, count(*) FILTER (WHERE a.w = b.w) AS the_same FROM (SELECT row_number() OVER (), w FROM written('c') w) a JOIN (SELECT row_number() OVER (), w FROM written('d') w) b USING (row_number);
SELECT count(*) AS violations FROM crm_member.verify_ledger();
-- members whose purchases changed are noted as often as by trigger
SELECT count(*) FILTER (WHERE member_id <= 20) = count(*) FILTER (WHERE member_id > 20) AS noted FROM crm_member.rfm_change;

-- what a DBA adds
CREATE FUNCTION sell(ref text, store text DEFAULT 'S1') RETURNS text LANGUAGE plpgsql AS $$
DECLARE name text; BEGIN
  RETURN crm_member.checkout(jsonb_build_object('ref', ref, 'member_id', 1, 'store', store, 'lines', jsonb_build_array(jsonb_build_object('price', 10, 'sku', ref))))->'points'->>'earned';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS name = CONSTRAINT_NAME;
  RETURN SQLSTATE || ' ' || SQLERRM || coalesce(' / ' || nullif(name, ''), '');
END $$;
SELECT sell('plain');
ALTER TABLE crm_member.sale ADD COLUMN note text DEFAULT 'no ' || 'note', ADD COLUMN serial_no bigint GENERATED ALWAYS AS IDENTITY (START 500), ADD COLUMN shout text GENERATED ALWAYS AS (upper(store)) STORED;
ALTER TABLE crm_member.points_entry ADD COLUMN checked boolean NOT NULL DEFAULT false;
ALTER TABLE crm_member.sale_line ADD COLUMN gone int, ADD COLUMN stays text DEFAULT 'x';
ALTER TABLE crm_member.sale_line DROP COLUMN gone;
SELECT sell('columns', 'kiosk');
SELECT note, serial_no >= 500 AS numbered, shout, checked, stays FROM crm_member.sale s JOIN crm_member.points_entry e USING (sale_id) JOIN crm_member.sale_line l USING (sale_id) WHERE s.ref = 'columns' AND e.points_type = 'points';
CREATE FUNCTION open_store(store text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT store <> 'closed' $$;
ALTER TABLE crm_member.sale ADD CONSTRAINT sold_in_open_store CHECK (public.open_store(store));
SELECT sell('check', 'closed'), sell('check');
-- a function of a constraint that changes counts at once
CREATE OR REPLACE FUNCTION open_store(store text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT store <> 'moved' $$;
SELECT sell('check 2', 'moved'), sell('check 3', 'closed');
ALTER TABLE crm_member.sale DROP CONSTRAINT sold_in_open_store;
UPDATE crm_member.sale SET channel = 'web' WHERE channel IS NULL;
ALTER TABLE crm_member.sale ALTER COLUMN channel SET NOT NULL;
SELECT sell('not null');
ALTER TABLE crm_member.sale ALTER COLUMN channel DROP NOT NULL;
CREATE UNIQUE INDEX one_a_store ON crm_member.sale (store) WHERE store LIKE 'U%';
SELECT sell('unique', 'U1'), sell('unique 2', 'U1'), sell('unique 3', 'U2');
DROP INDEX crm_member.one_a_store;
CREATE TABLE store (store text PRIMARY KEY);
INSERT INTO store SELECT DISTINCT store FROM crm_member.sale;
ALTER TABLE crm_member.sale ADD CONSTRAINT known_store FOREIGN KEY (store) REFERENCES store;
SELECT sell('reference', 'S9'), sell('reference');
ALTER TABLE crm_member.sale DROP CONSTRAINT known_store;
CREATE TABLE receipt (member_id bigint, sale_id bigint, FOREIGN KEY (member_id, sale_id) REFERENCES crm_member.sale);
SELECT sell('referenced');
DROP TABLE receipt;
CREATE TABLE copy_of_line (LIKE crm_member.sale_line);
CREATE RULE copy AS ON INSERT TO crm_member.sale_line DO ALSO INSERT INTO public.copy_of_line SELECT NEW.*;
SELECT sell('rule');
SELECT count(*) FROM copy_of_line;
DROP RULE copy ON crm_member.sale_line;
ALTER TABLE crm_member.sale_ref ALTER COLUMN ref TYPE varchar(40);
SELECT sell('type'), sell('type ' || repeat('x', 40));
ALTER TABLE crm_member.sale_ref ALTER COLUMN ref TYPE text;
SELECT sell('type ' || repeat('x', 40));
-- row security binds the owner where it is forced; and an owner who is no superuser
CREATE ROLE regress_clerk;
ALTER TABLE crm_member.sale OWNER TO regress_clerk;
ALTER TABLE crm_member.sale ENABLE ROW LEVEL SECURITY;
SELECT sell('superuser') AS superuser_is_not_bound;
ALTER FUNCTION crm_member.checkout(jsonb) OWNER TO regress_clerk;
GRANT USAGE ON SCHEMA crm_member TO regress_clerk;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA crm_member TO regress_clerk;
GRANT USAGE ON SEQUENCE crm_member.id_counter TO regress_clerk;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA crm_member TO regress_clerk;
SELECT sell('owner') AS owner_is_not_bound;
ALTER TABLE crm_member.sale FORCE ROW LEVEL SECURITY;
SELECT sell('forced');
CREATE POLICY all_but_one ON crm_member.sale USING (true) WITH CHECK (store <> 'S0');
SELECT sell('policy', 'S0'), sell('policy');
ALTER TABLE crm_member.sale NO FORCE ROW LEVEL SECURITY;
REVOKE INSERT ON crm_member.points_entry FROM regress_clerk;
SELECT sell('rights');
GRANT INSERT ON crm_member.points_entry TO regress_clerk;
SELECT sell('rights');
SET default_transaction_read_only = on;
SELECT sell('read only');
RESET default_transaction_read_only;
SELECT count(*) AS violations FROM crm_member.verify_ledger();
SET client_min_messages = warning;
DROP EXTENSION crm_member CASCADE;
DROP SCHEMA IF EXISTS crm_member CASCADE;
DROP FUNCTION document, written, other, look, load_rows, sell, open_store;
DROP TABLE seen, store, copy_of_line;
DROP ROLE regress_clerk;
