-- Stored value: money that members have paid in, and what was given with it.

CREATE FUNCTION crm_member.top_up_stored_value(
  member_id bigint,
  amount numeric,
  reason text DEFAULT NULL,
  ref text DEFAULT NULL,
  gift numeric DEFAULT NULL,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_top_up_stored_value';

COMMENT ON FUNCTION crm_member.top_up_stored_value(bigint, numeric, text, text, numeric, timestamptz, text) IS
  'Pay money in, and return the balance after it. gift: given with it, money; NULL: what the policies of stored_value_policy give. It first pays what is overdrawn, and earns points as stored_value_setting says. ref is required: the same again returns the first result. Errors: 22004 NULL for what is required, 22023 amount not positive or gift negative, 22003 too much or too many decimals, RM001 ref used for something else, RM101 unknown member, RM102 cancelled member';

CREATE FUNCTION crm_member.spend_stored_value(
  member_id bigint,
  amount numeric,
  reason text DEFAULT NULL,
  ref text DEFAULT NULL,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_spend_stored_value';

COMMENT ON FUNCTION crm_member.spend_stored_value(bigint, numeric, text, text, timestamptz, text) IS
  'Spend stored value, of principal and gift as stored_value_setting says, and return the balance after it. ref is required: the same again returns the first result. Errors: 22004 NULL for what is required, 22023 amount not positive, 22003 too much or too many decimals, RM001 ref used for something else, RM101 unknown member, RM102 member not active, RM701 not enough';

CREATE FUNCTION crm_member.return_stored_value(
  member_id bigint,
  ref text,
  amount numeric DEFAULT NULL,
  reason text DEFAULT NULL,
  return_ref text DEFAULT NULL,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_return_stored_value';

COMMENT ON FUNCTION crm_member.return_stored_value(bigint, text, numeric, text, text, timestamptz, text) IS
  'Give back what the spending or capture named ref took, or part of it (amount NULL: all that is left), to principal and gift in the proportion it was taken in, and return the balance after it. return_ref is required: the same again returns the first result. Errors: 22004 NULL for what is required, 22023 amount not positive, 22003 too many decimals, RM001 return_ref used for something else, RM101 unknown member, RM702 no such spending, RM703 less is left';

CREATE FUNCTION crm_member.authorise_stored_value(
  member_id bigint,
  amount numeric,
  reason text DEFAULT NULL,
  ref text DEFAULT NULL,
  expires_at timestamptz DEFAULT NULL,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_authorise_stored_value';

COMMENT ON FUNCTION crm_member.authorise_stored_value(bigint, numeric, text, text, timestamptz, timestamptz, text) IS
  'Set stored value aside for a payment to come, without overdraft, and return the balance without it. expires_at: from then on it does not bind; NULL: after the hold_period of stored_value_setting. ref is required: the same again returns the first result. Errors: 22004 NULL for what is required, 22023 amount not positive or timing out at once, 22003 too much or too many decimals, RM001 ref used for something else, RM101 unknown member, RM102 member not active, RM701 not enough';

CREATE FUNCTION crm_member.capture_stored_value(
  member_id bigint,
  ref text,
  amount numeric DEFAULT NULL,
  reason text DEFAULT NULL,
  capture_ref text DEFAULT NULL,
  release_rest boolean DEFAULT true,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_capture_stored_value';

COMMENT ON FUNCTION crm_member.capture_stored_value(bigint, text, numeric, text, text, boolean, timestamptz, text) IS
  'Spend what the authorisation named ref set aside, or part of it (amount NULL: all that is left), and return the balance after it. release_rest: the rest is given up, else it stays set aside. capture_ref is required: the same again returns the first result. Errors: 22004 NULL for what is required, 22023 amount not positive, 22003 too many decimals, RM001 capture_ref used for something else, RM101 unknown member, RM102 member not active, RM702 no such authorisation, RM703 less is left, RM705 it has timed out';

CREATE FUNCTION crm_member.void_stored_value(
  member_id bigint,
  ref text,
  reason text DEFAULT NULL,
  void_ref text DEFAULT NULL,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_void_stored_value';

COMMENT ON FUNCTION crm_member.void_stored_value(bigint, text, text, text, timestamptz, text) IS
  'Give up the authorisation named ref, and return the balance after it. One that holds nothing is left as it is. void_ref is required: the same again returns the first result. Errors: 22004 NULL for what is required, RM001 void_ref used for something else, RM101 unknown member, RM102 cancelled member, RM702 no such authorisation';

CREATE FUNCTION crm_member.close_stored_value(
  member_id bigint,
  reason text DEFAULT NULL,
  ref text DEFAULT NULL,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_close_stored_value';

COMMENT ON FUNCTION crm_member.close_stored_value(bigint, text, text, timestamptz, text) IS
  'Empty a member''s stored value: the gift is taken back, the principal is returned, to be paid out. ref is required: the same again returns the first result. Errors: 22004 NULL for what is required, RM001 ref used for something else, RM101 unknown member, RM704 something is owed or an authorisation is open';

CREATE FUNCTION crm_member.stored_value_balance(
  member_id bigint,
  as_of timestamptz DEFAULT now(),
  known_at timestamptz DEFAULT now())
RETURNS numeric
LANGUAGE sql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT crm_member.points_balance(member_id, 'stored_value', as_of, known_at)
         + crm_member.points_balance(member_id, 'stored_value_gift', as_of, known_at)
$$;

COMMENT ON FUNCTION crm_member.stored_value_balance(bigint, timestamptz, timestamptz) IS
  'Stored value that can be spent at as_of, principal and gift, money, by what was booked until known_at; negative: overdrawn. 0 without any, NULL for no member. Error RM101 unknown member. points_balance() of the types stored_value and stored_value_gift says the parts';
