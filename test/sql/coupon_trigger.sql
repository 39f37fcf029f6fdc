--
-- Coupons where a DBA has added to their tables: everything happens by statements,
-- with the same result as without them.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = crm_member, public;
INSERT INTO coupon_template (template_code, kind, value, uses, total_limit, budget, member_limit) VALUES ('PUBLIC', 'amount', 10, NULL, 5, 45, NULL), ('TWICE', 'amount', 1, 2, NULL, NULL, NULL);
SELECT count(import_coupon(template_code, template_code)) FROM coupon_template;
CREATE FUNCTION pg_temp.use_them(round text) RETURNS TABLE (what text, valid boolean, state text, discount numeric) LANGUAGE plpgsql AS $$
DECLARE
  sale CONSTANT jsonb := '{"lines": [{"price": 30}]}';
BEGIN
  FOR i IN 1 .. 6 LOOP
    what := 'public ' || i;
    SELECT v.valid, v.sqlstate INTO valid, state FROM validate_coupon('public', sale) v;
    BEGIN
      SELECT r.discount INTO discount FROM redeem_coupon('public', sale, round || i) r;
    EXCEPTION WHEN OTHERS THEN
      discount := NULL;
      state := concat_ws('/', state, SQLSTATE);
    END;
    RETURN NEXT;
  END LOOP;
  FOR i IN 1 .. 3 LOOP
    what := 'twice ' || i;
    SELECT v.valid, v.sqlstate INTO valid, state FROM validate_coupon('twice', sale) v;
    BEGIN
      SELECT r.discount INTO discount FROM redeem_coupon('twice', sale, round || ' twice ' || i) r;
    EXCEPTION WHEN OTHERS THEN
      discount := NULL;
      state := concat_ws('/', state, SQLSTATE);
    END;
    RETURN NEXT;
  END LOOP;
  -- the same again gives the first result
  what := 'again';
  SELECT r.discount INTO discount FROM redeem_coupon('twice', sale, round || ' twice 1') r;
  RETURN NEXT;
  -- and back
  FOR i IN 1 .. 4 LOOP
    PERFORM release_coupon('public', round || i);
  END LOOP;
  PERFORM release_coupon('twice', round || ' twice 1'), release_coupon('twice', round || ' twice 2');
END
$$;
CREATE TEMP TABLE plain AS SELECT * FROM pg_temp.use_them('plain');
SELECT * FROM plain;
SELECT uses, uses_left, spent, budget_left FROM coupon_limit;

-- a row trigger on each, with an account of what it saw
CREATE TABLE public.seen (relation text, act text);
CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.seen VALUES (TG_TABLE_NAME, TG_OP);
  RETURN NEW;
END
$$;
CREATE TRIGGER see BEFORE INSERT OR UPDATE ON coupon FOR EACH ROW EXECUTE FUNCTION public.see();
CREATE TRIGGER see BEFORE INSERT OR UPDATE ON coupon_use FOR EACH ROW EXECUTE FUNCTION public.see();
CREATE TRIGGER see BEFORE INSERT OR UPDATE ON coupon_share FOR EACH ROW EXECUTE FUNCTION public.see();
CREATE TEMP TABLE triggered AS SELECT * FROM pg_temp.use_them('triggered');
SELECT count(*) AS different FROM ((TABLE plain EXCEPT ALL TABLE triggered) UNION ALL (TABLE triggered EXCEPT ALL TABLE plain)) d;
SELECT uses, uses_left, spent, budget_left FROM coupon_limit;
SELECT relation, act, count(*) > 0 AS seen FROM public.seen GROUP BY 1, 2 ORDER BY 1, 2;
SELECT generate_coupons('TWICE', 3);
SELECT count(*) FROM public.seen WHERE relation = 'coupon' AND act = 'INSERT';
DROP TRIGGER see ON coupon;
DROP TRIGGER see ON coupon_use;
DROP TRIGGER see ON coupon_share;

-- an index and a constraint more, and a column, are kept
CREATE INDEX ON coupon (status);
CREATE INDEX ON coupon_share (uses_left);
ALTER TABLE coupon_use ADD COLUMN note text NOT NULL DEFAULT 'none', ADD CHECK (discount <> 7);
ALTER TABLE coupon ADD COLUMN note text DEFAULT 'none';
CREATE TEMP TABLE altered AS SELECT * FROM pg_temp.use_them('altered');
SELECT count(*) AS different FROM ((TABLE plain EXCEPT ALL TABLE altered) UNION ALL (TABLE altered EXCEPT ALL TABLE plain)) d;
SELECT uses, uses_left, spent, budget_left FROM coupon_limit;
SELECT note, count(*) > 5 AS many FROM coupon_use GROUP BY 1;
SELECT generate_coupons('TWICE', 3);
SELECT template_code, note, count(*) FROM coupon GROUP BY 1, 2 ORDER BY 1;
SET enable_seqscan = off;
SELECT status, count(*) FROM coupon GROUP BY 1 ORDER BY 1;
RESET enable_seqscan;
INSERT INTO coupon_template (template_code, kind, value, uses) VALUES ('SEVEN', 'amount', 7, NULL);
SELECT import_coupon('SEVEN', 'seven') IS NOT NULL AS imported;
\set VERBOSITY terse
SELECT redeem_coupon('seven', '{"lines": [{"price": 30}]}', 'seven');
-- generating heeds it too
ALTER TABLE coupon ADD CHECK (template_code <> 'NEVER'), DROP COLUMN note;
INSERT INTO coupon_template (template_code, kind, value) VALUES ('NEVER', 'amount', 1);
SELECT generate_coupons('NEVER', 3);
DROP TABLE public.seen;
DROP FUNCTION public.see();
