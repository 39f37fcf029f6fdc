-- Coupons: codes, their life, and what they take off a sale.

CREATE TYPE crm_member.coupon_code;

CREATE FUNCTION crm_member.coupon_code_in(cstring) RETURNS crm_member.coupon_code
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_coupon_code_in';

COMMENT ON FUNCTION crm_member.coupon_code_in(cstring) IS
  'Input of type coupon_code: 12 symbols of Crockford''s base 32, the last two of them check symbols; case, hyphens and spaces do not matter, O is read as 0, I and L as 1. Error 22P02 for a mistyped code';

CREATE FUNCTION crm_member.coupon_code_out(crm_member.coupon_code) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_coupon_code_out';

COMMENT ON FUNCTION crm_member.coupon_code_out(crm_member.coupon_code) IS
  'Output of type coupon_code: XXXX-XXXX-XXXX';

CREATE FUNCTION crm_member.coupon_code_recv(internal) RETURNS crm_member.coupon_code
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_coupon_code_recv';

COMMENT ON FUNCTION crm_member.coupon_code_recv(internal) IS
  'Binary input of type coupon_code: a 64-bit number from 0 to 2^50 - 1; error 22P03 for any other';

CREATE FUNCTION crm_member.coupon_code_send(crm_member.coupon_code) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_coupon_code_send';

COMMENT ON FUNCTION crm_member.coupon_code_send(crm_member.coupon_code) IS
  'Binary output of type coupon_code: a 64-bit number, without the check symbols';

CREATE TYPE crm_member.coupon_code (
  INPUT = crm_member.coupon_code_in,
  OUTPUT = crm_member.coupon_code_out,
  RECEIVE = crm_member.coupon_code_recv,
  SEND = crm_member.coupon_code_send,
  INTERNALLENGTH = 8,
  PASSEDBYVALUE,
  ALIGNMENT = double,
  STORAGE = plain
);

COMMENT ON TYPE crm_member.coupon_code IS
  'A coupon code such as 7K3M-9QXD-F2HT: ten symbols of base 32 and two check symbols, kept as a 64-bit number';

CREATE FUNCTION crm_member.coupon_code_cmp(crm_member.coupon_code, crm_member.coupon_code) RETURNS int
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_coupon_code_cmp';
CREATE FUNCTION crm_member.coupon_code_lt(crm_member.coupon_code, crm_member.coupon_code) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_coupon_code_lt';
CREATE FUNCTION crm_member.coupon_code_le(crm_member.coupon_code, crm_member.coupon_code) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_coupon_code_le';
CREATE FUNCTION crm_member.coupon_code_eq(crm_member.coupon_code, crm_member.coupon_code) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_coupon_code_eq';
CREATE FUNCTION crm_member.coupon_code_ne(crm_member.coupon_code, crm_member.coupon_code) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_coupon_code_ne';
CREATE FUNCTION crm_member.coupon_code_ge(crm_member.coupon_code, crm_member.coupon_code) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_coupon_code_ge';
CREATE FUNCTION crm_member.coupon_code_gt(crm_member.coupon_code, crm_member.coupon_code) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_coupon_code_gt';
CREATE FUNCTION crm_member.coupon_code_hash(crm_member.coupon_code) RETURNS int
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_coupon_code_hash';
CREATE FUNCTION crm_member.coupon_code_hash_extended(crm_member.coupon_code, bigint) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_coupon_code_hash_extended';

COMMENT ON FUNCTION crm_member.coupon_code_cmp(crm_member.coupon_code, crm_member.coupon_code) IS
  'Order of coupon codes for btree indexes: negative, 0 or positive';
COMMENT ON FUNCTION crm_member.coupon_code_lt(crm_member.coupon_code, crm_member.coupon_code) IS
  'Implementation of < operator';
COMMENT ON FUNCTION crm_member.coupon_code_le(crm_member.coupon_code, crm_member.coupon_code) IS
  'Implementation of <= operator';
COMMENT ON FUNCTION crm_member.coupon_code_eq(crm_member.coupon_code, crm_member.coupon_code) IS
  'Implementation of = operator';
COMMENT ON FUNCTION crm_member.coupon_code_ne(crm_member.coupon_code, crm_member.coupon_code) IS
  'Implementation of <> operator';
COMMENT ON FUNCTION crm_member.coupon_code_ge(crm_member.coupon_code, crm_member.coupon_code) IS
  'Implementation of >= operator';
COMMENT ON FUNCTION crm_member.coupon_code_gt(crm_member.coupon_code, crm_member.coupon_code) IS
  'Implementation of > operator';
COMMENT ON FUNCTION crm_member.coupon_code_hash(crm_member.coupon_code) IS
  'Hash of a coupon code';
COMMENT ON FUNCTION crm_member.coupon_code_hash_extended(crm_member.coupon_code, bigint) IS
  'Hash of a coupon code with a seed';

CREATE OPERATOR crm_member.< (
  LEFTARG = crm_member.coupon_code, RIGHTARG = crm_member.coupon_code,
  FUNCTION = crm_member.coupon_code_lt, COMMUTATOR = OPERATOR(crm_member.>),
  NEGATOR = OPERATOR(crm_member.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR crm_member.<= (
  LEFTARG = crm_member.coupon_code, RIGHTARG = crm_member.coupon_code,
  FUNCTION = crm_member.coupon_code_le, COMMUTATOR = OPERATOR(crm_member.>=),
  NEGATOR = OPERATOR(crm_member.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
CREATE OPERATOR crm_member.= (
  LEFTARG = crm_member.coupon_code, RIGHTARG = crm_member.coupon_code,
  FUNCTION = crm_member.coupon_code_eq, COMMUTATOR = OPERATOR(crm_member.=),
  NEGATOR = OPERATOR(crm_member.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
CREATE OPERATOR crm_member.<> (
  LEFTARG = crm_member.coupon_code, RIGHTARG = crm_member.coupon_code,
  FUNCTION = crm_member.coupon_code_ne, COMMUTATOR = OPERATOR(crm_member.<>),
  NEGATOR = OPERATOR(crm_member.=), RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR crm_member.>= (
  LEFTARG = crm_member.coupon_code, RIGHTARG = crm_member.coupon_code,
  FUNCTION = crm_member.coupon_code_ge, COMMUTATOR = OPERATOR(crm_member.<=),
  NEGATOR = OPERATOR(crm_member.<), RESTRICT = scalargesel, JOIN = scalargejoinsel);
CREATE OPERATOR crm_member.> (
  LEFTARG = crm_member.coupon_code, RIGHTARG = crm_member.coupon_code,
  FUNCTION = crm_member.coupon_code_gt, COMMUTATOR = OPERATOR(crm_member.<),
  NEGATOR = OPERATOR(crm_member.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel);

COMMENT ON OPERATOR crm_member.< (crm_member.coupon_code, crm_member.coupon_code) IS 'before';
COMMENT ON OPERATOR crm_member.<= (crm_member.coupon_code, crm_member.coupon_code) IS 'before or equal';
COMMENT ON OPERATOR crm_member.= (crm_member.coupon_code, crm_member.coupon_code) IS 'equal';
COMMENT ON OPERATOR crm_member.<> (crm_member.coupon_code, crm_member.coupon_code) IS 'not equal';
COMMENT ON OPERATOR crm_member.>= (crm_member.coupon_code, crm_member.coupon_code) IS 'after or equal';
COMMENT ON OPERATOR crm_member.> (crm_member.coupon_code, crm_member.coupon_code) IS 'after';

CREATE OPERATOR CLASS crm_member.coupon_code_ops DEFAULT FOR TYPE crm_member.coupon_code USING btree AS
  OPERATOR 1 crm_member.<,
  OPERATOR 2 crm_member.<=,
  OPERATOR 3 crm_member.=,
  OPERATOR 4 crm_member.>=,
  OPERATOR 5 crm_member.>,
  FUNCTION 1 crm_member.coupon_code_cmp(crm_member.coupon_code, crm_member.coupon_code);

CREATE OPERATOR CLASS crm_member.coupon_code_hash_ops DEFAULT FOR TYPE crm_member.coupon_code USING hash AS
  OPERATOR 1 crm_member.=,
  FUNCTION 1 crm_member.coupon_code_hash(crm_member.coupon_code),
  FUNCTION 2 crm_member.coupon_code_hash_extended(crm_member.coupon_code, bigint);

COMMENT ON OPERATOR CLASS crm_member.coupon_code_ops USING btree IS 'coupon codes in order of their symbols';
COMMENT ON OPERATOR CLASS crm_member.coupon_code_hash_ops USING hash IS 'coupon codes by equality';
COMMENT ON OPERATOR FAMILY crm_member.coupon_code_ops USING btree IS 'coupon codes in order of their symbols';
COMMENT ON OPERATOR FAMILY crm_member.coupon_code_hash_ops USING hash IS 'coupon codes by equality';

CREATE FUNCTION crm_member.coupon_code(bigint) RETURNS crm_member.coupon_code
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_coupon_code_from_number';

COMMENT ON FUNCTION crm_member.coupon_code(bigint) IS
  'The coupon code with this number, 0 to 2^50 - 1, as its binary form has it. Error 22003 for any other';

CREATE CAST (bigint AS crm_member.coupon_code) WITH FUNCTION crm_member.coupon_code(bigint);
COMMENT ON CAST (bigint AS crm_member.coupon_code) IS 'The coupon code with this number';

CREATE FUNCTION crm_member.generate_coupons(
  template_code text,
  n bigint,
  ref text DEFAULT NULL,
  actor text DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_generate_coupons';

COMMENT ON FUNCTION crm_member.generate_coupons(text, bigint, text, text) IS
  'Make n codes that whoever presents them can use, and return n; they are in table coupon. With a ref, the same call again makes none and returns the same. Errors: 22004 NULL for what is required, 22023 n not from 0 to 100,000,000 or an automatic promotion, RM001 ref used for something else, RM410 unknown template, RM411 template not active';

CREATE FUNCTION crm_member.issue_coupon(
  template_code text,
  member_id bigint DEFAULT NULL,
  ref text DEFAULT NULL,
  actor text DEFAULT NULL)
RETURNS crm_member.coupon_code
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_issue_coupon';

COMMENT ON FUNCTION crm_member.issue_coupon(text, bigint, text, text) IS
  'A new coupon for a member, who alone can use it, or with member_id NULL for whoever presents it. ref is required: the same call again returns the first code. Errors: 22004 NULL for what is required, 22023 an automatic promotion or an empty ref, RM001 ref used for something else, RM101 unknown member, RM102 cancelled member, RM410 unknown template, RM411 template not active';

CREATE FUNCTION crm_member.import_coupon(
  template_code text,
  code text,
  member_id bigint DEFAULT NULL,
  actor text DEFAULT NULL)
RETURNS crm_member.coupon_code
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_import_coupon';

COMMENT ON FUNCTION crm_member.import_coupon(text, text, bigint, text) IS
  'Take over a code of another system, any text of 1 to 200 characters; blanks around it and case do not matter. Returns the code it is kept under, which works as well; importing it again returns the same. Errors: 22004 NULL for what is required, 22023 no such text or an automatic promotion, RM101 unknown member, RM102 cancelled member, RM410 unknown template, RM411 template not active, RM419 imported before for another template';

CREATE FUNCTION crm_member.hold_coupon(
  code text,
  ref text,
  hold_for interval DEFAULT '15 minutes',
  actor text DEFAULT NULL)
RETURNS timestamptz
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_hold_coupon';

COMMENT ON FUNCTION crm_member.hold_coupon(text, text, interval, text) IS
  'Keep a coupon, of one with several uses the last that is left, for an open cart and return until when: meanwhile only a checkout() or redeem_coupon() with this ref can use it. Again with the same ref it starts anew. A code of any number of uses is not kept from anybody. Limits and budgets are not held. Errors: 22004 NULL for what is required, 22023 hold_for not positive or an empty ref, 22P02 mistyped code, RM401 unknown, RM402 used up, RM403 void, RM404 held for another';

CREATE FUNCTION crm_member.release_coupon(
  code text,
  ref text,
  actor text DEFAULT NULL,
  member_id bigint DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_release_coupon';

COMMENT ON FUNCTION crm_member.release_coupon(text, text, text, bigint) IS
  'End the hold of a coupon, or give back the use that redeem_coupon() made under this ref, such as when the payment failed; false where it is neither held nor redeemed under this ref. member_id says whose redemption, 0 a guest''s, where several buyers made one under it. Errors: 22004 NULL for what is required, 22P02 mistyped code, RM001 redeemed by several buyers, RM401 unknown';

CREATE FUNCTION crm_member.void_coupon(
  code text,
  reason text DEFAULT NULL,
  ref text DEFAULT NULL,
  actor text DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_void_coupon';

COMMENT ON FUNCTION crm_member.void_coupon(text, text, text, text) IS
  'Make a coupon useless for good, held, used up or not: uses made of it stand, and no return gives one back; false where it was void already. Errors: 22004 NULL for what is required, 22P02 mistyped code, RM401 unknown';

CREATE FUNCTION crm_member.validate_coupon(
  code text,
  sale jsonb,
  OUT valid boolean,
  OUT sqlstate text,
  OUT reason text,
  OUT discount numeric,
  OUT lines jsonb)
RETURNS record
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_validate_coupon';

COMMENT ON FUNCTION crm_member.validate_coupon(text, jsonb) IS
  'Could this coupon be redeemed by this sale now, by itself? Yes with the discount, money, and [{"line_no", "discount"}]; no with SQLSTATE and what would make it valid. Writes nothing; NULL for NULL. sqlstate: 22P02 mistyped code, RM401 unknown, RM402 used up, RM403 void, RM404 held for another cart, RM405 not yet valid, RM406 expired, RM407 another member''s or for members, RM408 requirement not met, RM409 no line it is good for, RM411 campaign not active, RM412 minimum spend, RM413 minimum quantity, RM414 campaign sold out, RM415 member limit, RM416 budget used up, RM418 nothing to take off. Errors for the sale as checkout()';

CREATE FUNCTION crm_member.redeem_coupon(
  code text,
  sale jsonb,
  ref text,
  actor text DEFAULT NULL,
  OUT discount numeric,
  OUT lines jsonb)
RETURNS record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_redeem_coupon';

COMMENT ON FUNCTION crm_member.redeem_coupon(text, jsonb, text, text) IS
  'Use a coupon for a sale that is rung up elsewhere, by itself, and return what it takes off: money, and [{"line_no", "discount"}]. ref, unique with the buyer, is required: the same call again returns the first result. Errors: 22004 NULL for what is required, 22023 an empty ref, 22P02 and RM4xx as validate_coupon(), RM001 ref used for something else, and for the sale as checkout()';

CREATE FUNCTION crm_member.best_coupons(
  sale jsonb,
  OUT codes text[],
  OUT discount numeric,
  OUT payable numeric,
  OUT proven boolean,
  OUT bound numeric,
  OUT visited bigint,
  OUT coupons jsonb)
RETURNS record
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_best_coupons';

COMMENT ON FUNCTION crm_member.best_coupons(jsonb) IS
  'The combination of coupons that leaves the buyer paying least, beside the automatic promotions; of equals that with the fewest coupons. Looks at the coupons the sale names or, where it names none, at those issued to the buyer, the soonest to end first, 500 of them. proven: none is better; otherwise, after 200,000 partial combinations (visited; fewer in large sales) or where there are more offers than a sale is judged for, none takes off more than bound. coupons as in the answer of quote(). Writes nothing; NULL for NULL. Errors as quote()';

CREATE FUNCTION crm_member.coupon_history(code text)
RETURNS TABLE (at timestamptz, act text, member_id bigint, discount numeric, ref text, reason text, actor text)
LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  coupon_code crm_member.coupon_code;
BEGIN
  SELECT a.code INTO coupon_code FROM crm_member.coupon_alias a WHERE a.alias = upper(btrim(coupon_history.code) COLLATE "C");
  IF coupon_code IS NULL THEN
    coupon_code := coupon_history.code::crm_member.coupon_code;
  END IF;
  RETURN QUERY
  SELECT h.at, h.act, h.member_id, h.discount, h.ref, h.reason, h.actor
  FROM (
    SELECT c.issued_at, 'generate', coalesce(c.member_id, 0), NULL::numeric, NULL, c.template_code, NULL, 0::bigint
      FROM crm_member.coupon c WHERE c.code OPERATOR(crm_member.=) coupon_code
       AND NOT EXISTS (SELECT FROM crm_member.coupon_event e WHERE e.code OPERATOR(crm_member.=) coupon_code AND e.act IN ('issue', 'import'))
    UNION ALL
    SELECT e.at, e.act, e.member_id, NULL, e.ref, e.reason, e.actor, e.event_id
      FROM crm_member.coupon_event e WHERE e.code OPERATOR(crm_member.=) coupon_code
    UNION ALL
    SELECT u.booked_at, 'redeem', u.member_id, u.discount,
           coalesce(u.ref, (SELECT s.ref FROM crm_member.sale s WHERE s.member_id = u.member_id AND s.sale_id = u.sale_id)), NULL, u.actor, u.use_id
      FROM crm_member.coupon_use u WHERE u.code OPERATOR(crm_member.=) coupon_code
  ) h (at, act, member_id, discount, ref, reason, actor, id)
  ORDER BY h.at, h.id;
END
$$;

COMMENT ON FUNCTION crm_member.coupon_history(text) IS
  'All that happened to a coupon, oldest first: generate, issue, import, hold, release, redeem, return, void; member_id 0 is nobody, discount money. No rows for an unknown or NULL code. Error 22P02 for what is no code';

CREATE FUNCTION crm_member.coupon_history(code crm_member.coupon_code)
RETURNS TABLE (at timestamptz, act text, member_id bigint, discount numeric, ref text, reason text, actor text)
LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT * FROM crm_member.coupon_history(code::text) $$;

COMMENT ON FUNCTION crm_member.coupon_history(crm_member.coupon_code) IS
  'coupon_history() of a native code';

CREATE FUNCTION crm_member.hold_coupon(
  code crm_member.coupon_code,
  ref text,
  hold_for interval DEFAULT '15 minutes',
  actor text DEFAULT NULL)
RETURNS timestamptz
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_hold_coupon_by_code';

COMMENT ON FUNCTION crm_member.hold_coupon(crm_member.coupon_code, text, interval, text) IS
  'hold_coupon() with a native code';

CREATE FUNCTION crm_member.release_coupon(
  code crm_member.coupon_code,
  ref text,
  actor text DEFAULT NULL,
  member_id bigint DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_release_coupon_by_code';

COMMENT ON FUNCTION crm_member.release_coupon(crm_member.coupon_code, text, text, bigint) IS
  'release_coupon() with a native code';

CREATE FUNCTION crm_member.void_coupon(
  code crm_member.coupon_code,
  reason text DEFAULT NULL,
  ref text DEFAULT NULL,
  actor text DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_void_coupon_by_code';

COMMENT ON FUNCTION crm_member.void_coupon(crm_member.coupon_code, text, text, text) IS
  'void_coupon() with a native code';

CREATE FUNCTION crm_member.validate_coupon(
  code crm_member.coupon_code,
  sale jsonb,
  OUT valid boolean,
  OUT sqlstate text,
  OUT reason text,
  OUT discount numeric,
  OUT lines jsonb)
RETURNS record
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_validate_coupon_by_code';

COMMENT ON FUNCTION crm_member.validate_coupon(crm_member.coupon_code, jsonb) IS
  'validate_coupon() with a native code';

CREATE FUNCTION crm_member.redeem_coupon(
  code crm_member.coupon_code,
  sale jsonb,
  ref text,
  actor text DEFAULT NULL,
  OUT discount numeric,
  OUT lines jsonb)
RETURNS record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_redeem_coupon_by_code';

COMMENT ON FUNCTION crm_member.redeem_coupon(crm_member.coupon_code, jsonb, text, text) IS
  'redeem_coupon() with a native code';

CREATE FUNCTION crm_member.split_coupon_limits() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  most CONSTANT int := 128;
  scale int;
  used bigint;
  spent numeric;
  uses_left bigint;
  budget_left numeric;
  typical numeric;
  shares int;
BEGIN
  IF TG_OP = 'DELETE' THEN
    DELETE FROM crm_member.coupon_share s WHERE s.template_code = OLD.template_code;
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW.template_code <> OLD.template_code THEN
      RAISE EXCEPTION 'a coupon template keeps its code'
        USING ERRCODE = 'invalid_parameter_value', HINT = 'Insert another template.';
    END IF;
    IF OLD.member_limit IS NULL AND NEW.member_limit IS NOT NULL THEN
      DELETE FROM crm_member.coupon_tally t WHERE t.template_code = NEW.template_code;
    END IF;
    IF (NEW.total_limit, NEW.budget) IS NOT DISTINCT FROM (OLD.total_limit, OLD.budget) THEN
      RETURN NULL;
    END IF;
    -- redemptions under way end first, and are counted
    LOCK TABLE crm_member.coupon_use IN SHARE ROW EXCLUSIVE MODE;
  END IF;

  SELECT count(*), coalesce(sum(u.discount), 0) INTO used, spent
    FROM crm_member.coupon_use u
   WHERE TG_OP = 'UPDATE' AND u.template_code = NEW.template_code AND u.returned_at IS NULL;
  DELETE FROM crm_member.coupon_share s WHERE s.template_code = NEW.template_code;
  IF NEW.total_limit IS NULL AND NEW.budget IS NULL THEN
    RETURN NULL;
  END IF;

  SELECT money_scale INTO scale FROM crm_member.setting;
  uses_left := CASE WHEN NEW.total_limit > used THEN NEW.total_limit - used WHEN NEW.total_limit IS NOT NULL THEN 0 END;
  budget_left := CASE WHEN NEW.budget > spent THEN NEW.budget - spent WHEN NEW.budget IS NOT NULL THEN 0 END;
  -- a share should last for some redemptions
  typical := greatest(coalesce(NEW.max_discount, CASE NEW.kind WHEN 'amount' THEN NEW.value END, NEW.budget / 1000, 1), 0.0001);
  shares := greatest(least(most, uses_left, trunc(budget_left / typical / 8)), 1);
  INSERT INTO crm_member.coupon_share (template_code, share, uses_left, budget_left, uses, spent)
  SELECT NEW.template_code, i,
         uses_left / shares + CASE WHEN i < uses_left % shares THEN 1 ELSE 0 END,
         CASE WHEN i = 0 THEN budget_left - trunc(budget_left / shares, scale) * (shares - 1)
              ELSE trunc(budget_left / shares, scale) END,
         CASE WHEN i = 0 THEN used ELSE 0 END,
         CASE WHEN i = 0 THEN spent ELSE 0 END
  FROM generate_series(0, shares - 1) i;
  RETURN NULL;
END
$$;

COMMENT ON FUNCTION crm_member.split_coupon_limits() IS
  'Row trigger of coupon_template: splits a new or changed limit or budget, less what is used, into the shares of coupon_share. Error 22023 for a change of template_code';
