-- Cards: made ahead of use or at the counter, issued, enabled, lost, replaced, cancelled.

CREATE FUNCTION crm_member.card_expiry(card_type text, effective_at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT (effective_at AT TIME ZONE s.time_zone + t.validity) AT TIME ZONE s.time_zone
    FROM crm_member.card_type AS t, crm_member.setting AS s
   WHERE t.card_type = card_expiry.card_type
$$;

COMMENT ON FUNCTION crm_member.card_expiry(text, timestamptz) IS
  'effective_at + the validity of a card type, by the clock of the business time zone; NULL: never, or the type is unknown';

CREATE FUNCTION crm_member.usable_card(card_no text, at timestamptz DEFAULT now()) RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_usable_card';

COMMENT ON FUNCTION crm_member.usable_card(text, timestamptz) IS
  'The member, after merges, that may use this card at that time: enabled by then, not expired, and not yet reported lost or cancelled. Errors: RM104 unknown card, RM105 with the reason in the detail; NULL for no card_no';

CREATE TYPE crm_member.card_lock AS (card_no text, card_type text, member_id bigint, state text, replaced_by text, aside_since timestamptz);

COMMENT ON TYPE crm_member.card_lock IS 'A card as lock_card() found it: the columns of table card of the same names';

CREATE FUNCTION crm_member.lock_card(card_no text) RETURNS crm_member.card_lock
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found_card crm_member.card_lock;
BEGIN
  IF card_no IS NULL THEN
    RAISE EXCEPTION 'argument "card_no" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  SELECT c.card_no, c.card_type, c.member_id, c.state, c.replaced_by, c.aside_since INTO found_card
    FROM crm_member.card AS c WHERE c.card_no = btrim(lock_card.card_no) FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'card "%" is unknown', btrim(card_no) USING ERRCODE = 'RM104';
  END IF;
  RETURN found_card;
END
$$;

COMMENT ON FUNCTION crm_member.lock_card(text) IS
  'Lock a card until the end of the transaction. Errors: 22004 NULL, RM104 unknown card';

CREATE FUNCTION crm_member.card_act_done(card_no text, act text, ref text, fingerprint bigint) RETURNS boolean
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
    FROM crm_member.card_event AS e
   WHERE e.card_no = card_act_done.card_no AND e.ref = card_act_done.ref;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  IF (done.act, done.fingerprint) IS DISTINCT FROM (card_act_done.act, card_act_done.fingerprint) THEN
    RAISE EXCEPTION 'reference "%" was used for another act on this card', ref
      USING ERRCODE = 'RM001', HINT = 'A repeated call must say the same; a new act needs a new ref.';
  END IF;
  RETURN true;
END
$$;

COMMENT ON FUNCTION crm_member.card_act_done(text, text, text, bigint) IS
  'Whether an act on a card was done under this reference already; false for a NULL ref. Error RM001 where the reference stands for another act';

CREATE FUNCTION crm_member.card_made(card_no text, card_type text, holder bigint) RETURNS crm_member.card_lock
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  made crm_member.card_lock;
  number text := btrim(card_made.card_no);
BEGIN
  IF card_made.card_type IS NOT NULL THEN
    IF NOT EXISTS (SELECT FROM crm_member.card_type AS t WHERE t.card_type = card_made.card_type) THEN
      RAISE EXCEPTION 'card type "%" is unknown', card_made.card_type
        USING ERRCODE = 'invalid_parameter_value', HINT = 'Table crm_member.card_type has the types.';
    END IF;
    IF number = '' OR length(number) > 64 THEN
      RAISE EXCEPTION 'a card number has 1 to 64 characters' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO crm_member.card (card_no, card_type) VALUES (number, card_made.card_type)
    ON CONFLICT (card_no) DO NOTHING;
  END IF;
  made := crm_member.lock_card(number);
  IF made.member_id IS NOT NULL THEN
    IF crm_member.canonical_member(made.member_id) IS DISTINCT FROM card_made.holder THEN
      RAISE EXCEPTION 'card "%" is held by another member', number USING ERRCODE = 'RM103';
    END IF;
  ELSIF made.state <> 'not_enabled' THEN
    RAISE EXCEPTION 'card "%" cannot be issued', number
      USING ERRCODE = 'RM105', DETAIL = format('Its state is %s.', made.state);
  ELSIF made.card_type <> card_made.card_type THEN
    RAISE EXCEPTION 'card "%" cannot be issued', number
      USING ERRCODE = 'RM105', DETAIL = 'It was made as a card of another type.';
  END IF;
  RETURN made;
END
$$;

COMMENT ON FUNCTION crm_member.card_made(text, text, bigint) IS
  'Lock a card that can be issued to this member, or that the member holds already; one that does not exist is made where its type is said. Errors: 22004 NULL, 22023 bad number or type, RM103 held by another member, RM104 unknown card, RM105 it cannot be issued';

CREATE FUNCTION crm_member.create_cards(
  card_type text,
  n int,
  prefix text DEFAULT '',
  first_number bigint DEFAULT 1,
  digits int DEFAULT 8,
  ref text DEFAULT NULL,
  actor text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  batch bigint := crm_member.new_id();
  said bigint;
  done record;
BEGIN
  PERFORM crm_member.require_setup();
  IF create_cards.card_type IS NULL OR n IS NULL THEN
    RAISE EXCEPTION 'arguments "card_type" and "n" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF n NOT BETWEEN 1 AND 10000000 THEN
    RAISE EXCEPTION 'n must be between 1 and 10000000' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  prefix := coalesce(prefix, '');
  first_number := coalesce(first_number, 1);
  digits := coalesce(digits, 8);
  IF digits NOT BETWEEN 1 AND 18 OR first_number < 0
     OR first_number::numeric + n - 1 >= 10::numeric ^ digits THEN
    RAISE EXCEPTION 'the numbers do not fit'
      USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'first_number + n - 1 must be written with digits digits, 1 to 18.';
  END IF;
  IF prefix <> btrim(prefix) OR length(prefix) > 40 THEN
    RAISE EXCEPTION 'prefix has up to 40 characters and no blanks around it' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF NOT EXISTS (SELECT FROM crm_member.card_type AS t WHERE t.card_type = create_cards.card_type) THEN
    RAISE EXCEPTION 'card type "%" is unknown', create_cards.card_type
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Table crm_member.card_type has the types.';
  END IF;

  said := hashtextextended(concat_ws(':', create_cards.card_type, n, prefix, first_number, digits), 0);
  INSERT INTO crm_member.card_batch (batch_id, ref, fingerprint, card_type, first_card, cards, actor)
  VALUES (batch, create_cards.ref, said, create_cards.card_type,
          prefix || lpad(first_number::text, digits, '0'), n, create_cards.actor)
  ON CONFLICT (ref) DO NOTHING;
  IF NOT FOUND THEN
    SELECT b.fingerprint, b.cards INTO done FROM crm_member.card_batch AS b WHERE b.ref = create_cards.ref;
    IF done.fingerprint <> said THEN
      RAISE EXCEPTION 'reference "%" was used for other cards', create_cards.ref
        USING ERRCODE = 'RM001', HINT = 'A repeated call must say the same; a new act needs a new ref.';
    END IF;
    RETURN done.cards;
  END IF;

  BEGIN
    INSERT INTO crm_member.card (card_no, card_type, batch_id)
    SELECT prefix || lpad((first_number + i)::text, digits, '0'), create_cards.card_type, batch
      FROM generate_series(0, n - 1) AS i;
  EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'some of these card numbers exist already'
      USING ERRCODE = 'unique_violation', DETAIL = 'No card was made.',
            HINT = 'Choose another first_number or prefix.';
  END;
  RETURN n;
END
$$;

COMMENT ON FUNCTION crm_member.create_cards(text, int, text, bigint, int, text, text) IS
  'Make n cards (1 to 10,000,000) ahead of use: numbers are prefix and first_number, first_number + 1, ... written with that many digits. Returns n. Repeating a ref makes nothing. Errors: 22004 NULL for what is required, 22023 bad argument, 23505 a number exists already, RM001';

CREATE FUNCTION crm_member.issue_card(member_id bigint, card_no text, card_type text DEFAULT NULL, ref text DEFAULT NULL, actor text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  locked bigint;
  made crm_member.card_lock;
  said bigint;
BEGIN
  PERFORM crm_member.require_setup();
  IF member_id IS NULL OR issue_card.card_no IS NULL THEN
    RAISE EXCEPTION 'arguments "member_id" and "card_no" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  locked := crm_member.lock_member(issue_card.member_id, true);
  -- as the member was named: it may have been merged since, or taken out again
  said := hashtextextended(issue_card.member_id || ':' || coalesce(issue_card.card_type, ''), 0);
  IF crm_member.card_act_done(btrim(issue_card.card_no), 'issue_card', issue_card.ref, said) THEN
    RETURN locked;
  END IF;
  made := crm_member.card_made(issue_card.card_no, issue_card.card_type, locked);
  IF made.member_id IS NOT NULL AND issue_card.ref IS NULL THEN
    RETURN locked;
  END IF;
  UPDATE crm_member.card AS c SET member_id = locked, issued_at = now()
   WHERE c.card_no = made.card_no AND c.member_id IS NULL;
  INSERT INTO crm_member.card_event (card_no, event_id, act, state, ref, fingerprint, actor)
  VALUES (made.card_no, crm_member.new_id(), 'issue_card', made.state, issue_card.ref, said, issue_card.actor);
  RETURN locked;
END
$$;

COMMENT ON FUNCTION crm_member.issue_card(bigint, text, text, text, text) IS
  'Hand a card to a member; returns the member, after merges. A card made ahead of use is taken; one that does not exist is made where card_type is said. It must still be enabled with activate_card(). A card the member holds already stays as it is. Errors: 22004 NULL, 22023 bad number or type, RM001, RM101 unknown member, RM102 cancelled member, RM103 held by another member, RM104 unknown card, RM105 it cannot be issued';

CREATE FUNCTION crm_member.activate_card(card_no text, ref text DEFAULT NULL, actor text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  locked crm_member.card_lock := crm_member.lock_card(activate_card.card_no);
BEGIN
  PERFORM crm_member.require_setup();
  IF crm_member.card_act_done(locked.card_no, 'activate_card', activate_card.ref, 0)
     OR locked.state = 'enabled' AND activate_card.ref IS NULL THEN
    RETURN;
  END IF;
  IF locked.state = 'cancelled' OR locked.member_id IS NULL THEN
    RAISE EXCEPTION 'card "%" cannot be enabled', locked.card_no
      USING ERRCODE = 'RM105',
            DETAIL = CASE WHEN locked.state = 'cancelled' THEN 'It was cancelled.' ELSE 'It has not been issued to a member.' END;
  END IF;
  UPDATE crm_member.card AS c
     SET state = 'enabled',
         ended_at = NULL,
         effective_at = coalesce(c.effective_at, now()),
         expires_at = CASE WHEN c.effective_at IS NULL THEN crm_member.card_expiry(c.card_type, now()) ELSE c.expires_at END
   WHERE c.card_no = locked.card_no;
  INSERT INTO crm_member.card_event (card_no, event_id, act, state, ref, fingerprint, actor)
  VALUES (locked.card_no, crm_member.new_id(), 'activate_card', 'enabled', activate_card.ref, 0, activate_card.actor);
END
$$;

COMMENT ON FUNCTION crm_member.activate_card(text, text, text) IS
  'Enable a card that a member holds: it is effective from now and expires after the validity of its type. A card reported lost and found again is enabled as it was, with its old dates. An enabled card stays as it is. Errors: 22004 NULL, RM001, RM104 unknown card, RM105 cancelled or not issued';

CREATE FUNCTION crm_member.report_card_lost(card_no text, reason text DEFAULT NULL, ref text DEFAULT NULL, actor text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  locked crm_member.card_lock := crm_member.lock_card(report_card_lost.card_no);
  said bigint := hashtextextended(coalesce(report_card_lost.reason, ''), 0);
BEGIN
  PERFORM crm_member.require_setup();
  IF crm_member.card_act_done(locked.card_no, 'report_card_lost', report_card_lost.ref, said)
     OR locked.state = 'lost' AND report_card_lost.ref IS NULL THEN
    RETURN;
  END IF;
  IF locked.state = 'cancelled' OR locked.member_id IS NULL THEN
    RAISE EXCEPTION 'card "%" cannot be reported lost', locked.card_no
      USING ERRCODE = 'RM105',
            DETAIL = CASE WHEN locked.state = 'cancelled' THEN 'It was cancelled.' ELSE 'It has not been issued to a member.' END,
            HINT = 'cancel_card() cancels a card that nobody holds.';
  END IF;
  UPDATE crm_member.card AS c SET state = 'lost', ended_at = coalesce(c.ended_at, now()) WHERE c.card_no = locked.card_no;
  INSERT INTO crm_member.card_event (card_no, event_id, act, state, ref, fingerprint, detail, actor)
  VALUES (locked.card_no, crm_member.new_id(), 'report_card_lost', 'lost', report_card_lost.ref, said,
          jsonb_strip_nulls(jsonb_build_object('reason', report_card_lost.reason)), report_card_lost.actor);
END
$$;

COMMENT ON FUNCTION crm_member.report_card_lost(text, text, text, text) IS
  'A member''s card is lost: from now it cannot be used. activate_card() takes that back, replace_card() gives another. Errors: 22004 NULL, RM001, RM104 unknown card, RM105 cancelled or not issued';

CREATE FUNCTION crm_member.cancel_card(card_no text, reason text DEFAULT NULL, ref text DEFAULT NULL, actor text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  locked crm_member.card_lock := crm_member.lock_card(cancel_card.card_no);
  said bigint := hashtextextended(coalesce(cancel_card.reason, ''), 0);
BEGIN
  PERFORM crm_member.require_setup();
  IF crm_member.card_act_done(locked.card_no, 'cancel_card', cancel_card.ref, said)
     OR locked.state = 'cancelled' AND cancel_card.ref IS NULL THEN
    RETURN;
  END IF;
  UPDATE crm_member.card AS c SET state = 'cancelled', ended_at = coalesce(c.ended_at, now()) WHERE c.card_no = locked.card_no;
  INSERT INTO crm_member.card_event (card_no, event_id, act, state, ref, fingerprint, detail, actor)
  VALUES (locked.card_no, crm_member.new_id(), 'cancel_card', 'cancelled', cancel_card.ref, said,
          jsonb_strip_nulls(jsonb_build_object('reason', cancel_card.reason)), cancel_card.actor);
END
$$;

COMMENT ON FUNCTION crm_member.cancel_card(text, text, text, text) IS
  'Cancel a card for ever, also one that nobody holds; it still names its member. Errors: 22004 NULL, RM001, RM104 unknown card';

CREATE FUNCTION crm_member.replace_card(card_no text, new_card_no text, card_type text DEFAULT NULL, ref text DEFAULT NULL, actor text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  old crm_member.card_lock := crm_member.lock_card(replace_card.card_no);
  fresh crm_member.card_lock;
  said bigint := hashtextextended(concat_ws(':', btrim(replace_card.new_card_no), replace_card.card_type), 0);
BEGIN
  PERFORM crm_member.require_setup();
  IF replace_card.new_card_no IS NULL THEN
    RAISE EXCEPTION 'argument "new_card_no" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF crm_member.card_act_done(old.card_no, 'replace_card', replace_card.ref, said)
     OR old.replaced_by = btrim(replace_card.new_card_no) THEN
    RETURN;
  END IF;
  IF old.state = 'cancelled' OR old.member_id IS NULL OR old.aside_since IS NOT NULL THEN
    RAISE EXCEPTION 'card "%" cannot be replaced', old.card_no
      USING ERRCODE = 'RM105',
            DETAIL = CASE WHEN old.aside_since IS NOT NULL THEN 'Its holder was merged with another member, whose cards are used instead.'
                          WHEN old.state = 'cancelled' THEN 'It was cancelled.' ELSE 'It has not been issued to a member.' END;
  END IF;
  IF EXISTS (SELECT FROM crm_member.card AS c WHERE c.card_no = btrim(replace_card.new_card_no)) THEN
    fresh := crm_member.card_made(replace_card.new_card_no, replace_card.card_type, NULL);
  ELSE
    fresh := crm_member.card_made(replace_card.new_card_no, coalesce(replace_card.card_type, old.card_type), NULL);
  END IF;
  UPDATE crm_member.card AS c
     SET state = 'cancelled', ended_at = coalesce(c.ended_at, now()), replaced_by = fresh.card_no
   WHERE c.card_no = old.card_no;
  UPDATE crm_member.card AS c
     SET member_id = old.member_id, state = 'enabled', issued_at = now(), effective_at = now(),
         expires_at = crm_member.card_expiry(c.card_type, now())
   WHERE c.card_no = fresh.card_no;
  UPDATE crm_member.member AS m SET primary_card = fresh.card_no WHERE m.primary_card = old.card_no
     AND m.member_id IN (old.member_id, crm_member.canonical_member(old.member_id));
  INSERT INTO crm_member.card_event (card_no, event_id, act, state, ref, fingerprint, detail, actor)
  VALUES (old.card_no, crm_member.new_id(), 'replace_card', 'cancelled', replace_card.ref, said,
          jsonb_build_object('replaced_by', fresh.card_no), replace_card.actor),
         (fresh.card_no, crm_member.new_id(), 'replace_card', 'enabled', NULL, NULL,
          jsonb_build_object('replaces', old.card_no), replace_card.actor);
END
$$;

COMMENT ON FUNCTION crm_member.replace_card(text, text, text, text, text) IS
  'Give the holder of a card another one: the new card, made ahead of use or now, of card_type or else of the old card''s type, is enabled and has its own validity; the old one is cancelled and still names its member. Errors: 22004 NULL, 22023 bad number or type, RM001, RM103 the new card is held by somebody, RM104 unknown card, RM105 the state of either card forbids it';

CREATE FUNCTION crm_member.primary_card(member_id bigint) RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
  root CONSTANT bigint := crm_member.canonical_member(primary_card.member_id);
BEGIN
  PERFORM crm_member.require_setup();
  RETURN (
    SELECT c.card_no FROM crm_member.family_of(root) AS f (member_id)
     CROSS JOIN LATERAL (SELECT * FROM crm_member.card AS c WHERE c.member_id = f.member_id OFFSET 0) AS c
     CROSS JOIN LATERAL (SELECT m.primary_card FROM crm_member.member AS m WHERE m.member_id = root OFFSET 0) AS m
     WHERE c.state = 'enabled' AND c.aside_since IS NULL AND (c.expires_at IS NULL OR c.expires_at > now())
     ORDER BY c.card_no IS NOT DISTINCT FROM m.primary_card DESC, c.member_id = root DESC, c.effective_at, c.card_no
     LIMIT 1);
END
$$;

COMMENT ON FUNCTION crm_member.primary_card(bigint) IS
  'The one card that stands for a member, after merges: of those that can be used now the one chosen with set_primary_card(), else the survivor''s own that was enabled first, else that of the others. NULL where none can be used, for an unknown member and for NULL';

CREATE FUNCTION crm_member.set_primary_card(card_no text, ref text DEFAULT NULL, actor text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  locked crm_member.card_lock;
  holder bigint;
BEGIN
  PERFORM crm_member.require_setup();
  IF set_primary_card.card_no IS NULL THEN
    RAISE EXCEPTION 'argument "card_no" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  -- the member first, as those do who write to its cards under it
  holder := crm_member.lock_member(crm_member.member_id('card', set_primary_card.card_no), false);
  locked := crm_member.lock_card(set_primary_card.card_no);
  IF crm_member.card_act_done(locked.card_no, 'set_primary_card', set_primary_card.ref, 0) THEN
    RETURN holder;
  END IF;
  PERFORM crm_member.usable_card(locked.card_no);
  UPDATE crm_member.member AS m SET primary_card = locked.card_no
   WHERE m.member_id = holder AND m.primary_card IS DISTINCT FROM locked.card_no;
  IF FOUND OR set_primary_card.ref IS NOT NULL THEN
    INSERT INTO crm_member.card_event (card_no, event_id, act, state, ref, fingerprint, actor)
    VALUES (locked.card_no, crm_member.new_id(), 'set_primary_card', locked.state, set_primary_card.ref, 0, set_primary_card.actor);
  END IF;
  RETURN holder;
END
$$;

COMMENT ON FUNCTION crm_member.set_primary_card(text, text, text) IS
  'Choose the one card that stands for its holder, see primary_card(); returns the member, after merges. Errors: 22004 NULL, RM001, RM104 unknown card, RM105 it cannot be used';
