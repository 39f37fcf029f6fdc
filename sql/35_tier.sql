-- Tiers: what raises, keeps and lowers them, and levels given by hand.

CREATE FUNCTION crm_member.set_tier(
  member_id bigint,
  tier_code text,
  reason text,
  until timestamptz DEFAULT NULL,
  ref text DEFAULT NULL,
  actor text DEFAULT NULL,
  at_least boolean DEFAULT false)
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  locked bigint;
  said bigint;
  done record;
  was record;
  now_earned text;
  now_held text;
BEGIN
  PERFORM crm_member.require_setup();
  set_tier.at_least := coalesce(set_tier.at_least, false);
  IF set_tier.member_id IS NULL OR set_tier.reason IS NULL THEN
    RAISE EXCEPTION 'arguments "member_id" and "reason" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF set_tier.tier_code IS NOT NULL AND NOT EXISTS (SELECT FROM crm_member.tier AS t WHERE t.tier_code = set_tier.tier_code) THEN
    RAISE EXCEPTION 'tier "%" does not exist', set_tier.tier_code
      USING ERRCODE = 'RM106', HINT = 'Table crm_member.tier lists them.';
  END IF;
  IF set_tier.tier_code IS NULL AND set_tier.until IS NOT NULL THEN
    RAISE EXCEPTION 'a level that is taken away has no end' USING ERRCODE = 'invalid_parameter_value';
  END IF;

  locked := crm_member.lock_member(set_tier.member_id, true);
  said := hashtextextended(concat_ws(chr(1), coalesce(set_tier.tier_code, chr(2)), set_tier.reason,
                                     extract(epoch FROM set_tier.until), set_tier.at_least), 0);
  IF set_tier.ref IS NOT NULL THEN
    SELECT e.fingerprint, e.to_tier INTO done FROM crm_member.member_tier_event AS e
     WHERE e.member_id IN (set_tier.member_id, locked) AND e.ref = set_tier.ref
     ORDER BY e.member_id = locked LIMIT 1;
    IF FOUND AND done.fingerprint IS DISTINCT FROM said THEN
      RAISE EXCEPTION 'reference "%" was used for another act on this member', set_tier.ref
        USING ERRCODE = 'RM001', HINT = 'A repeated call must say the same; a new act needs a new ref.';
    ELSIF FOUND THEN
      RETURN done.to_tier;
    END IF;
  END IF;
  IF set_tier.until <= now() THEN
    RAISE EXCEPTION 'the level would lapse at once'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'until must be later than now.';
  END IF;

  SELECT t.tier_code, t.since, t.earned_tier, t.manual_tier, t.period_from, t.period_to, t.manual_until INTO was
    FROM crm_member.member_tier AS t WHERE t.member_id = locked;
  IF set_tier.tier_code IS NULL AND was.manual_tier IS NULL THEN
    RAISE EXCEPTION 'member % has no level given by hand', locked
      USING ERRCODE = 'RM107', HINT = 'Give one by naming a tier_code.';
  END IF;
  now_earned := CASE WHEN was.manual_tier IS NULL THEN was.tier_code ELSE was.earned_tier END;
  now_held := CASE
    WHEN set_tier.tier_code IS NULL THEN now_earned
    WHEN set_tier.at_least AND (SELECT e.rank > m.rank FROM crm_member.tier AS e, crm_member.tier AS m
                                 WHERE e.tier_code = now_earned AND m.tier_code = set_tier.tier_code) THEN now_earned
    ELSE set_tier.tier_code END;
  IF now_held IS NULL THEN
    DELETE FROM crm_member.member_tier AS t WHERE t.member_id = locked;
  ELSE
    INSERT INTO crm_member.member_tier AS t
           (member_id, tier_code, since, earned_tier, period_from, period_to, manual_tier, manual_until, at_least)
    VALUES (locked, now_held,
            CASE WHEN now_held = was.tier_code THEN was.since ELSE now() END,
            CASE WHEN set_tier.tier_code IS NOT NULL THEN now_earned END,
            CASE WHEN now_earned IS NOT NULL THEN coalesce(was.period_from, was.since) END,
            CASE WHEN now_earned IS NOT NULL THEN was.period_to END,
            set_tier.tier_code,
            CASE WHEN set_tier.tier_code IS NOT NULL THEN coalesce(set_tier.until, 'infinity') END,
            set_tier.at_least AND set_tier.tier_code IS NOT NULL)
    ON CONFLICT (member_id) DO UPDATE
       SET tier_code = excluded.tier_code, since = excluded.since, earned_tier = excluded.earned_tier,
           period_from = excluded.period_from, period_to = excluded.period_to, manual_tier = excluded.manual_tier,
           manual_until = excluded.manual_until, at_least = excluded.at_least;
  END IF;
  INSERT INTO crm_member.member_tier_event
         (member_id, event_id, cause, at, from_tier, to_tier, earned_from, earned_to, manual_until, reason, ref, fingerprint, actor)
  VALUES (locked, crm_member.new_id(), 'manual', now(), was.tier_code, now_held, now_earned, now_earned,
          set_tier.until, set_tier.reason, set_tier.ref, said, set_tier.actor);
  RETURN now_held;
END
$$;

COMMENT ON FUNCTION crm_member.set_tier(bigint, text, text, timestamptz, text, text, boolean) IS
  'Give a member a tier by hand, which overrides what the rules say until it lapses (until; NULL: never); at_least: only where the rules do not give a higher one. tier_code NULL takes the level away. What the rules give goes on beneath. Returns the tier held then, NULL: none; the same ref again returns the first result. Errors: 22004 NULL, 22023 until is not in the future, RM001 ref used for another act, RM101 unknown member, RM102 cancelled member, RM106 unknown tier, RM107 nothing to take away';

CREATE FUNCTION crm_member.tier_progress(
  member_id bigint,
  as_of timestamptz DEFAULT now(),
  every_tier boolean DEFAULT false)
RETURNS TABLE (tier_code text, rank smallint, way smallint, part smallint, measure text, points_type text,
               counts_from timestamptz, threshold numeric, reached numeric, lacking numeric)
LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_tier_progress';

COMMENT ON FUNCTION crm_member.tier_progress(bigint, timestamptz, boolean) IS
  'What a member, after merges, has towards the next tier above the one earned (or every tier above), rule by rule: threshold, reached since counts_from and lacking, in money, sales or points as measure says. All parts of one way must be reached; any way will do. No row at the top, or for no member. Error RM101 unknown member';

CREATE FUNCTION crm_member.review_tier(member_id bigint, as_of timestamptz DEFAULT now()) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_review_tier';

COMMENT ON FUNCTION crm_member.review_tier(bigint, timestamptz) IS
  'Review one member, after merges, as review_tiers() does, and return the tier held then; NULL: none, or no member given. Errors: RM101 unknown member, RM102 cancelled member';

CREATE FUNCTION crm_member.review_step(as_of timestamptz, after_member bigint, batch int,
  OUT members bigint, OUT raised bigint, OUT lowered bigint, OUT renewed bigint, OUT last_member bigint)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_review_step';

COMMENT ON FUNCTION crm_member.review_step(timestamptz, bigint, int) IS
  'One step of review_tiers(): so many members after a member, at most 100,000. raised, lowered, renewed: changes of the tier held, and of its period only; last_member NULL: there are no more';

CREATE FUNCTION crm_member.begin_tier_review(as_of timestamptz, OUT run_id bigint, OUT after_member bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT r.run_id, r.last_member INTO run_id, after_member FROM crm_member.tier_review r
   WHERE r.as_of = begin_tier_review.as_of AND r.finished_at IS NULL
   ORDER BY r.started_at DESC LIMIT 1;
  IF FOUND THEN
    UPDATE crm_member.tier_review r SET pid = pg_backend_pid(), noted_at = clock_timestamp()
     WHERE r.run_id = begin_tier_review.run_id;
  ELSE
    INSERT INTO crm_member.tier_review (run_id, as_of, pid)
    VALUES (crm_member.new_id(), begin_tier_review.as_of, pg_backend_pid())
    RETURNING tier_review.run_id, tier_review.last_member INTO run_id, after_member;
  END IF;
END
$$;

COMMENT ON FUNCTION crm_member.begin_tier_review(timestamptz) IS
  'Enter a run of review_tiers(), or find one for the same moment that was interrupted';

CREATE FUNCTION crm_member.note_tier_review(
  run_id bigint, members bigint, raised bigint, lowered bigint, renewed bigint, last_member bigint) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE crm_member.tier_review r
     SET members = r.members + note_tier_review.members, raised = r.raised + note_tier_review.raised,
         lowered = r.lowered + note_tier_review.lowered, renewed = r.renewed + note_tier_review.renewed,
         last_member = coalesce(note_tier_review.last_member, r.last_member), noted_at = clock_timestamp(),
         finished_at = CASE WHEN note_tier_review.last_member IS NULL THEN clock_timestamp() END
   WHERE r.run_id = note_tier_review.run_id;
END
$$;

COMMENT ON FUNCTION crm_member.note_tier_review(bigint, bigint, bigint, bigint, bigint, bigint) IS
  'Add a step of review_tiers() to its row in tier_review; last_member NULL: it was the last';

CREATE PROCEDURE crm_member.review_tiers(as_of timestamptz DEFAULT now(), batch int DEFAULT 1000)
LANGUAGE plpgsql
AS $$
DECLARE
  moment CONSTANT timestamptz := coalesce(as_of, pg_catalog.now());
  run record;
  step record;
  after_member bigint;
BEGIN
  PERFORM crm_member.require_setup();
  batch := coalesce(batch, 1000);
  IF NOT pg_catalog.isfinite(moment) OR batch OPERATOR(pg_catalog.<) 1 THEN
    RAISE EXCEPTION 'as_of must be a moment and batch positive' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT * INTO run FROM crm_member.begin_tier_review(moment);
  after_member := run.after_member;
  LOOP
    SELECT * INTO step FROM crm_member.review_step(moment, after_member, batch);
    PERFORM crm_member.note_tier_review(run.run_id, step.members, step.raised, step.lowered, step.renewed, step.last_member);
    COMMIT;
    EXIT WHEN step.last_member IS NULL;
    after_member := step.last_member;
  END LOOP;
END
$$;

COMMENT ON PROCEDURE crm_member.review_tiers(timestamptz, int) IS
  'Review the tiers of all members as of a moment: levels given by hand lapse; periods that ended grace_days ago or earlier are renewed, or the tier goes down to what is justified; whoever meanwhile reaches a higher tier gets it. "batch" members a transaction, committed one by one; interrupted, the next call with the same as_of goes on. Reviewing twice changes nothing. Progress: table tier_review. To be called outside a transaction block. Errors: 22023 bad argument, 2D000 inside a transaction';

CREATE FUNCTION crm_member.keep_tier_benefits() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  DELETE FROM crm_member.points_rule r
   WHERE r.rule_code LIKE 'tier:%'
     AND NOT EXISTS (SELECT FROM crm_member.tier t WHERE 'tier:' || t.tier_code = r.rule_code AND t.multiplier IS NOT NULL);
  INSERT INTO crm_member.points_rule AS r (rule_code, name, award, points, points_type, condition)
  SELECT 'tier:' || t.tier_code, t.name, 'multiplier', t.multiplier, t.multiplier_type,
         format('member.tier = %L', t.tier_code)::crm_member.condition
    FROM crm_member.tier t WHERE t.multiplier IS NOT NULL
  ON CONFLICT (rule_code) DO UPDATE
     SET name = excluded.name, points = excluded.points, points_type = excluded.points_type
   WHERE (r.name, r.points, r.points_type) IS DISTINCT FROM (excluded.name, excluded.points, excluded.points_type);

  UPDATE crm_member.coupon_template c SET active = false
   WHERE c.template_code LIKE 'tier:%' AND c.active
     AND NOT EXISTS (SELECT FROM crm_member.tier t WHERE 'tier:' || t.tier_code = c.template_code AND t.discount IS NOT NULL);
  INSERT INTO crm_member.coupon_template AS c (template_code, name, kind, value, automatic, requires)
  SELECT 'tier:' || t.tier_code, t.name, 'percent', t.discount, true,
         format('member.tier = %L', t.tier_code)::crm_member.condition
    FROM crm_member.tier t WHERE t.discount IS NOT NULL
  ON CONFLICT (template_code) DO UPDATE
     SET name = excluded.name, value = excluded.value, active = true
   WHERE (c.name, c.value, c.active) IS DISTINCT FROM (excluded.name, excluded.value, true);
  RETURN NULL;
END
$$;

COMMENT ON FUNCTION crm_member.keep_tier_benefits() IS
  'Statement trigger of tier: keeps the points rule tier:<tier_code> that gives a tier its multiplier, and the automatic promotion of the same name in coupon_template that gives its discount';
