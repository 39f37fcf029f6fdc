-- Members, what they are found by, and their cards.

CREATE FUNCTION crm_member.normalize_identity(kind text, value text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_normalize_identity';

COMMENT ON FUNCTION crm_member.normalize_identity(text, text) IS
  'A value as the directory identity holds it, by the normaliser of its kind. Error 22023 for an unknown kind, a missing scope or a value that is not usable; NULL for NULL';

CREATE FUNCTION crm_member.member_id(kind text, value text) RETURNS bigint
LANGUAGE c STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_member_id';

COMMENT ON FUNCTION crm_member.member_id(text, text) IS
  'The member found by an identity, after merges: kind is mobile, email, card, a scoped kind such as external:erp, or any of table identity_kind. NULL where nobody is found; error 22023 for an unknown kind. A card is found whatever its state: see usable_card()';

CREATE FUNCTION crm_member.canonical_member(member_id bigint) RETURNS bigint
LANGUAGE c STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_canonical_member';

COMMENT ON FUNCTION crm_member.canonical_member(bigint) IS
  'The member that a member has been merged into, or itself; NULL where there is none';

CREATE FUNCTION crm_member.lock_member(member_id bigint, living boolean) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_lock_member';

COMMENT ON FUNCTION crm_member.lock_member(bigint, boolean) IS
  'Lock a member for writing until the end of the transaction, after following merges, and return it. living: a cancelled member is refused. Errors: RM101 unknown member, RM102 cancelled; NULL for NULL';

CREATE FUNCTION crm_member.register_member(
  name text DEFAULT NULL,
  mobile text DEFAULT NULL,
  email text DEFAULT NULL,
  birthday date DEFAULT NULL,
  gender text DEFAULT NULL,
  source text DEFAULT NULL,
  external_id text DEFAULT NULL,
  store text DEFAULT NULL,
  channel text DEFAULT NULL,
  tier text DEFAULT NULL,
  attrs jsonb DEFAULT NULL,
  kind text DEFAULT 'consumer',
  status text DEFAULT 'active',
  joined_at timestamptz DEFAULT NULL,
  card_no text DEFAULT NULL,
  card_type text DEFAULT NULL,
  identities jsonb DEFAULT NULL,
  ref text DEFAULT NULL,
  actor text DEFAULT NULL,
  unless_like numeric DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS 'MODULE_PATHNAME', 'crm_register_member';

COMMENT ON FUNCTION crm_member.register_member(text, text, text, date, text, text, text, text, text, text, jsonb, text, text, timestamptz, text, text, jsonb, text, text, numeric) IS
  'Register a member and return its identifier. Mobile, e-mail, (source, external_id) and identities, an object of kind to value, become identities; card_no hands out a card made ahead of use, or makes one where card_type is said, and enables it; joined_at NULL is now; gender is M, F, X, a word for it or its code in ISO 5218. Repeating (source, ref) or (source, external_id) returns the member of the first call. Empty texts are NULL. unless_like: a probability from 0.01 to 1; a person who is a member already with at least that, as match_member() sees it, is refused, and who registers the same person meanwhile, and asks too, waits; NULL: nobody is looked for, only identities are told apart. Errors: 22023 bad argument, RM001 ref used for another registration, RM109 likely a member already, RM103 an identity is bound to another member, RM104 unknown card, RM105 the card cannot be issued';

CREATE FUNCTION crm_member.act_done(members bigint[], act text, ref text, fingerprint bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  done record;
BEGIN
  IF ref IS NULL THEN
    RETURN false;
  END IF;
  SELECT e.act, e.fingerprint INTO done
    FROM crm_member.member_event AS e
   WHERE e.member_id = ANY (members) AND e.ref = act_done.ref
   ORDER BY array_position(members, e.member_id) LIMIT 1;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  IF (done.act, done.fingerprint) IS DISTINCT FROM (act_done.act, act_done.fingerprint) THEN
    RAISE EXCEPTION 'reference "%" was used for another act on this member', ref
      USING ERRCODE = 'RM001', HINT = 'A repeated call must say the same; a new act needs a new ref.';
  END IF;
  RETURN true;
END
$$;

COMMENT ON FUNCTION crm_member.act_done(bigint[], text, text, bigint) IS
  'Whether an act on a member was done under this reference already; members is the member as given and then after merges, whose references count in this order. false for a NULL ref. Error RM001 where the reference stands for another act';

CREATE FUNCTION crm_member.bind_identity(member_id bigint, kind text, value text, ref text DEFAULT NULL, actor text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  locked bigint;
  normal text;
  holder bigint;
  said bigint;
BEGIN
  PERFORM crm_member.require_setup();
  IF member_id IS NULL OR bind_identity.kind IS NULL OR bind_identity.value IS NULL THEN
    RAISE EXCEPTION 'arguments "member_id", "kind" and "value" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF bind_identity.kind = 'card' THEN
    RAISE EXCEPTION 'a card is not bound as an identity'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Hand it out with issue_card().';
  END IF;
  normal := crm_member.normalize_identity(bind_identity.kind, bind_identity.value);
  said := hashtextextended(bind_identity.kind || ':' || normal, 0);
  locked := crm_member.lock_member(bind_identity.member_id, true);
  IF crm_member.act_done(ARRAY[bind_identity.member_id, locked], 'bind_identity', bind_identity.ref, said) THEN
    RETURN locked;
  END IF;

  INSERT INTO crm_member.identity (kind, value, member_id) VALUES (bind_identity.kind, normal, locked)
  ON CONFLICT (kind, value) DO NOTHING;
  IF NOT FOUND THEN
    SELECT i.member_id INTO holder FROM crm_member.identity AS i
     WHERE i.kind = bind_identity.kind AND i.value = normal;
    IF crm_member.canonical_member(holder) IS DISTINCT FROM locked THEN
      RAISE EXCEPTION '% is bound to another member', bind_identity.kind
        USING ERRCODE = 'RM103', HINT = 'member_id(kind, value) finds that member.';
    END IF;
    IF bind_identity.ref IS NULL THEN
      RETURN locked;
    END IF;
  END IF;
  UPDATE crm_member.person AS p
     SET mobile = CASE WHEN bind_identity.kind = 'mobile' THEN coalesce(p.mobile, normal) ELSE p.mobile END,
         email = CASE WHEN bind_identity.kind = 'email' THEN coalesce(p.email, btrim(bind_identity.value)) ELSE p.email END
   WHERE p.member_id = locked AND bind_identity.kind IN ('mobile', 'email');
  INSERT INTO crm_member.member_event (member_id, event_id, act, ref, fingerprint, detail, actor)
  VALUES (locked, crm_member.new_id(), 'bind_identity', bind_identity.ref, said,
          jsonb_build_object('kind', bind_identity.kind), bind_identity.actor);
  RETURN locked;
END
$$;

COMMENT ON FUNCTION crm_member.bind_identity(bigint, text, text, text, text) IS
  'Let a member be found by one more identity; returns the member, after merges. Binding what the member has already changes nothing. A first mobile or e-mail is written to person as well. Errors: 22004 NULL, 22023 unknown kind or unusable value, RM001, RM101 unknown member, RM102 cancelled member, RM103 bound to another member';

CREATE FUNCTION crm_member.unbind_identity(member_id bigint, kind text, value text, ref text DEFAULT NULL, actor text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  locked bigint;
  normal text;
  holder bigint;
  said bigint;
BEGIN
  PERFORM crm_member.require_setup();
  IF member_id IS NULL OR unbind_identity.kind IS NULL OR unbind_identity.value IS NULL THEN
    RAISE EXCEPTION 'arguments "member_id", "kind" and "value" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF unbind_identity.kind = 'card' THEN
    RAISE EXCEPTION 'a card is not bound as an identity'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Use cancel_card() or report_card_lost().';
  END IF;
  normal := crm_member.normalize_identity(unbind_identity.kind, unbind_identity.value);
  said := hashtextextended(unbind_identity.kind || ':' || normal, 0);
  locked := crm_member.lock_member(unbind_identity.member_id, false);
  IF crm_member.act_done(ARRAY[unbind_identity.member_id, locked], 'unbind_identity', unbind_identity.ref, said) THEN
    RETURN true;
  END IF;

  SELECT i.member_id INTO holder FROM crm_member.identity AS i
   WHERE i.kind = unbind_identity.kind AND i.value = normal FOR UPDATE;
  IF NOT FOUND OR crm_member.canonical_member(holder) IS DISTINCT FROM locked THEN
    RETURN false;
  END IF;
  DELETE FROM crm_member.identity AS i WHERE i.kind = unbind_identity.kind AND i.value = normal;
  UPDATE crm_member.person AS p
     SET mobile = CASE WHEN unbind_identity.kind = 'mobile' AND p.mobile = normal THEN NULL ELSE p.mobile END,
         email = CASE WHEN unbind_identity.kind = 'email' AND p.email = btrim(unbind_identity.value) THEN NULL ELSE p.email END
   WHERE p.member_id IN (locked, holder) AND unbind_identity.kind IN ('mobile', 'email');
  INSERT INTO crm_member.member_event (member_id, event_id, act, ref, fingerprint, detail, actor)
  VALUES (locked, crm_member.new_id(), 'unbind_identity', unbind_identity.ref, said,
          jsonb_build_object('kind', unbind_identity.kind), unbind_identity.actor);
  RETURN true;
END
$$;

COMMENT ON FUNCTION crm_member.unbind_identity(bigint, text, text, text, text) IS
  'Take an identity from a member, so that it is free for another, and out of person where it stands there. true if it was the member''s, false if not. Errors: 22004 NULL, 22023 unknown kind or unusable value, RM001, RM101 unknown member';

CREATE FUNCTION crm_member.set_member_status(member_id bigint, status text, reason text DEFAULT NULL, ref text DEFAULT NULL, actor text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  locked bigint;
  old text;
  said bigint;
BEGIN
  PERFORM crm_member.require_setup();
  IF member_id IS NULL OR set_member_status.status IS NULL THEN
    RAISE EXCEPTION 'arguments "member_id" and "status" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF set_member_status.status NOT IN ('inactive', 'active', 'lost', 'cancelled', 'merged') THEN
    RAISE EXCEPTION 'member status "%" is unknown', set_member_status.status
      USING ERRCODE = 'invalid_parameter_value', HINT = 'It is inactive, active, lost or cancelled.';
  END IF;
  said := hashtextextended(set_member_status.status || ':' || coalesce(set_member_status.reason, ''), 0);
  locked := crm_member.lock_member(set_member_status.member_id, false);
  IF crm_member.act_done(ARRAY[set_member_status.member_id, locked], 'set_member_status', set_member_status.ref, said) THEN
    RETURN;
  END IF;

  SELECT m.status INTO old FROM crm_member.member AS m WHERE m.member_id = locked;
  IF old = set_member_status.status AND set_member_status.ref IS NULL THEN
    RETURN;
  END IF;
  IF old <> set_member_status.status AND (old = 'cancelled' OR set_member_status.status = 'merged') THEN
    RAISE EXCEPTION 'a member that is % cannot become %', old, set_member_status.status
      USING ERRCODE = 'RM102',
            DETAIL = 'A cancelled member stays cancelled; only merge_members() merges.';
  END IF;
  UPDATE crm_member.member AS m SET status = set_member_status.status WHERE m.member_id = locked;
  INSERT INTO crm_member.member_event (member_id, event_id, act, ref, fingerprint, detail, actor)
  VALUES (locked, crm_member.new_id(), 'set_member_status', set_member_status.ref, said,
          jsonb_strip_nulls(jsonb_build_object('from', old, 'to', set_member_status.status, 'reason', set_member_status.reason)),
          set_member_status.actor);
END
$$;

COMMENT ON FUNCTION crm_member.set_member_status(bigint, text, text, text, text) IS
  'Make a member inactive, active, lost (reported) or cancelled; cancelled is final. The status it has already changes nothing; reason is kept in member_event. Errors: 22004 NULL, 22023 unknown status, RM001, RM101 unknown member, RM102 the status cannot follow the present one';
