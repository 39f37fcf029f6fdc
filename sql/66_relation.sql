-- What stands between members, and what they allow: referrals, relations, consents, open cases.

CREATE FUNCTION crm_member.family_of(member_id bigint) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT crm_member.canonical_member(family_of.member_id)
  UNION
  SELECT o.member_id FROM crm_member.member_kin AS k
   CROSS JOIN LATERAL (SELECT * FROM crm_member.member_kin AS o WHERE o.kin = k.kin AND o.root = k.root OFFSET 0) AS o
   WHERE k.member_id = family_of.member_id
   ORDER BY 1;
END
$$;

COMMENT ON FUNCTION crm_member.family_of(bigint) IS
  'The members that are one with a member by the live merges, itself among them; its own number alone where it was never merged. No row for NULL';

-- The referral that counts for a member: of all of those it is, the earliest by somebody it is not.
CREATE FUNCTION crm_member.counting_referral(member_id bigint, OUT edge bigint, OUT referrer bigint, OUT referred_at timestamptz)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
  SELECT r.member_id, c.referrer, r.referred_at INTO edge, referrer, referred_at
    FROM crm_member.family_of(counting_referral.member_id) AS f (member_id)
   CROSS JOIN LATERAL (SELECT * FROM crm_member.referral AS r WHERE r.member_id = f.member_id OFFSET 0) AS r
   CROSS JOIN LATERAL (SELECT crm_member.canonical_member(r.referrer) AS referrer OFFSET 0) AS c
   WHERE c.referrer <> crm_member.canonical_member(counting_referral.member_id)
   ORDER BY r.referred_at, r.member_id LIMIT 1;
END
$$;

COMMENT ON FUNCTION crm_member.counting_referral(bigint) IS
  'Of the referrals of a member and all it is one with, the earliest by somebody else: whose it is (edge) and who brought it, after merges. NULLs where there is none; circles are not looked for: see judge_referral()';

CREATE FUNCTION crm_member.judge_referral(member_id bigint, OUT now_member bigint, OUT now_referrer bigint, OUT state text)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
  own record;
  step record;
  latest record;
  seen bigint[];
BEGIN
  SELECT crm_member.canonical_member(r.member_id), crm_member.canonical_member(r.referrer) INTO now_member, now_referrer
    FROM crm_member.referral AS r WHERE r.member_id = judge_referral.member_id;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  own := crm_member.counting_referral(now_member);
  IF now_member = now_referrer THEN
    state := 'self';
  ELSIF own.edge <> judge_referral.member_id THEN
    state := 'later';
  ELSE
    state := 'counts';
    -- a circle, if there is one: the latest of its referrals does not count
    latest := own;
    step := own;
    seen := ARRAY[now_member];
    WHILE step.referrer IS NOT NULL AND NOT step.referrer = ANY (seen) LOOP
      seen := seen || step.referrer;
      step := crm_member.counting_referral(step.referrer);
      IF (step.referred_at, step.edge) > (latest.referred_at, latest.edge) THEN
        latest := step;
      END IF;
    END LOOP;
    IF step.referrer = now_member AND latest.edge = own.edge THEN
      state := 'cycle';
    END IF;
  END IF;
END
$$;

COMMENT ON FUNCTION crm_member.judge_referral(bigint) IS
  'What a referral, named by the member that was brought, is after merges: the two as they are now, and state counts, self, later or cycle, as in view referral_standing. NULLs where there is none';

CREATE FUNCTION crm_member.referrer_of(member_id bigint) RETURNS bigint
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM crm_member.require_setup();
  RETURN (SELECT s.now_referrer FROM crm_member.counting_referral(referrer_of.member_id) AS c
           CROSS JOIN LATERAL crm_member.judge_referral(c.edge) AS s WHERE s.state = 'counts');
END
$$;

COMMENT ON FUNCTION crm_member.referrer_of(bigint) IS
  'Who brought a member, after merges: the earliest; NULL where nobody did, or the circle that merges closed is cut here';

CREATE FUNCTION crm_member.refer_member(
  member_id bigint, referrer bigint, at timestamptz DEFAULT now(), ref text DEFAULT NULL, actor text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  -- without the time, which is another at each call that does not say it
  said CONSTANT bigint := hashtextextended(refer_member.referrer::text, 0);
  brought bigint;
  by_whom bigint;
  above bigint;
  done record;
BEGIN
  PERFORM crm_member.require_setup();
  refer_member.at := coalesce(refer_member.at, now());
  IF refer_member.member_id IS NULL OR refer_member.referrer IS NULL THEN
    RAISE EXCEPTION 'arguments "member_id" and "referrer" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  PERFORM crm_member.lock_member(m, false) FROM unnest(ARRAY[least(refer_member.member_id, refer_member.referrer),
                                                          greatest(refer_member.member_id, refer_member.referrer)]) AS m;
  brought := crm_member.canonical_member(refer_member.member_id);
  by_whom := crm_member.canonical_member(refer_member.referrer);
  FOR done IN SELECT r.* FROM crm_member.family_of(brought) AS f CROSS JOIN LATERAL (SELECT * FROM crm_member.referral AS r WHERE r.member_id = f OFFSET 0) AS r LOOP
    IF refer_member.ref IS NOT NULL AND done.ref = refer_member.ref THEN
      IF done.fingerprint <> said THEN
        RAISE EXCEPTION 'reference "%" was used for another referral', ref
          USING ERRCODE = 'RM001', HINT = 'A repeated call must say the same; a new act needs a new ref.';
      END IF;
      RETURN by_whom;
    END IF;
    RAISE EXCEPTION 'member % was brought by somebody already', brought
      USING ERRCODE = 'RM108', HINT = 'The first referral counts: see crm_member.referral_standing.';
  END LOOP;
  -- whoever brought the referrer, and so on, is held until the end, so that no circle closes behind us
  above := by_whom;
  WHILE above IS NOT NULL LOOP
    IF above = brought THEN
      RAISE EXCEPTION 'member % cannot be brought by %', brought, by_whom
        USING ERRCODE = 'RM108', DETAIL = 'It is the same, or brought the other itself.';
    END IF;
    above := crm_member.lock_member((crm_member.counting_referral(above)).referrer, false);
  END LOOP;
  INSERT INTO crm_member.referral (member_id, referrer, referred_at, ref, fingerprint, actor)
  VALUES (brought, refer_member.referrer, refer_member.at, refer_member.ref, said, refer_member.actor);
  RETURN by_whom;
END
$$;

COMMENT ON FUNCTION crm_member.refer_member(bigint, bigint, timestamptz, text, text) IS
  'Note who brought a member; returns who that is after merges. Errors: 22004 NULL, RM001, RM101 unknown member, RM108 brought by somebody already, by itself, or in a circle';

CREATE FUNCTION crm_member.reward_referral(
  member_id bigint, points numeric, reason text, ref text, points_type text DEFAULT 'points', actor text DEFAULT NULL) RETURNS numeric
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  given record;
  by_whom bigint;
  balance numeric;
BEGIN
  PERFORM crm_member.require_setup();
  reward_referral.points_type := coalesce(reward_referral.points_type, 'points');
  IF reward_referral.member_id IS NULL OR reward_referral.ref IS NULL THEN
    RAISE EXCEPTION 'arguments "member_id" and "ref" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  -- a repeated call pays whom the first one paid, whoever counts now
  PERFORM crm_member.lock_member(reward_referral.member_id, false);
  SELECT w.member_id INTO by_whom FROM crm_member.family_of(reward_referral.member_id) AS f
   CROSS JOIN LATERAL (SELECT * FROM crm_member.referral_reward AS w WHERE w.referred = f AND w.ref = reward_referral.ref OFFSET 0) AS w LIMIT 1;
  given := crm_member.counting_referral(reward_referral.member_id);
  by_whom := coalesce(by_whom, crm_member.referrer_of(reward_referral.member_id));
  IF by_whom IS NULL THEN
    RAISE EXCEPTION 'member % was brought by nobody', reward_referral.member_id USING ERRCODE = 'RM108';
  END IF;
  balance := crm_member.award_points(by_whom, reward_referral.points, reward_referral.reason, reward_referral.ref,
                                     reward_referral.points_type, actor => reward_referral.actor);
  INSERT INTO crm_member.referral_reward (member_id, ref, referred, points_type, points, actor)
  VALUES (by_whom, reward_referral.ref, coalesce(given.edge, reward_referral.member_id), reward_referral.points_type, reward_referral.points, reward_referral.actor)
  ON CONFLICT (member_id, ref) DO NOTHING;
  RETURN balance;
END
$$;

COMMENT ON FUNCTION crm_member.reward_referral(bigint, numeric, text, text, text, text) IS
  'Give points to whoever brought a member, after merges; returns the balance. The same ref again answers as the first time. Errors: 22004 NULL, RM108 brought by nobody, and those of award_points()';

CREATE FUNCTION crm_member.relate_members(
  member_id bigint, other bigint, relation text DEFAULT 'household', since timestamptz DEFAULT now(), actor text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  PERFORM crm_member.require_setup();
  relate_members.relation := coalesce(relate_members.relation, 'household');
  relate_members.since := coalesce(relate_members.since, now());
  IF relate_members.member_id IS NULL OR relate_members.other IS NULL THEN
    RAISE EXCEPTION 'arguments "member_id" and "other" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  PERFORM crm_member.lock_member(m, false) FROM unnest(ARRAY[least(relate_members.member_id, relate_members.other),
                                                          greatest(relate_members.member_id, relate_members.other)]) AS m;
  IF crm_member.canonical_member(relate_members.member_id) = crm_member.canonical_member(relate_members.other) THEN
    RAISE EXCEPTION 'a member is not related to itself' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO crm_member.member_relation AS r (member_id, other, relation, since, actor)
  VALUES (crm_member.canonical_member(relate_members.member_id), crm_member.canonical_member(relate_members.other),
          relate_members.relation, relate_members.since, relate_members.actor)
  ON CONFLICT (member_id, other, relation) DO UPDATE SET ended_at = NULL, since = excluded.since, actor = excluded.actor
   WHERE r.ended_at IS NOT NULL;
END
$$;

COMMENT ON FUNCTION crm_member.relate_members(bigint, bigint, text, timestamptz, text) IS
  'Note that members belong together who are not one; what is noted already stays as it is. A household holds both ways. Errors: 22004 NULL, 22023 a member and itself, RM101 unknown member';

CREATE FUNCTION crm_member.unrelate_members(member_id bigint, other bigint, relation text DEFAULT 'household') RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  PERFORM crm_member.require_setup();
  IF unrelate_members.member_id IS NULL OR unrelate_members.other IS NULL THEN
    RAISE EXCEPTION 'arguments "member_id" and "other" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  UPDATE crm_member.member_relation AS r SET ended_at = now()
   WHERE r.ended_at IS NULL AND r.relation = coalesce(unrelate_members.relation, 'household')
     AND (r.member_id IN (SELECT crm_member.family_of(unrelate_members.member_id)) AND r.other IN (SELECT crm_member.family_of(unrelate_members.other))
          OR r.relation = 'household' AND r.member_id IN (SELECT crm_member.family_of(unrelate_members.other))
             AND r.other IN (SELECT crm_member.family_of(unrelate_members.member_id)));
  RETURN FOUND;
END
$$;

COMMENT ON FUNCTION crm_member.unrelate_members(bigint, bigint, text) IS
  'End a relation, also one that was noted for members merged with these; false where there was none. Error 22004 NULL';

CREATE FUNCTION crm_member.set_consent(
  member_id bigint, channel text, purpose text, granted boolean, explicit boolean DEFAULT true, at timestamptz DEFAULT now(),
  source text DEFAULT NULL, ref text DEFAULT NULL, actor text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  said CONSTANT bigint := hashtextextended(concat_ws(':', set_consent.channel, set_consent.purpose, set_consent.granted, coalesce(set_consent.explicit, true)), 0);
  locked bigint;
  done bigint;
BEGIN
  PERFORM crm_member.require_setup();
  set_consent.explicit := coalesce(set_consent.explicit, true);
  set_consent.at := coalesce(set_consent.at, now());
  IF set_consent.member_id IS NULL OR set_consent.channel IS NULL OR set_consent.purpose IS NULL OR set_consent.granted IS NULL THEN
    RAISE EXCEPTION 'arguments "member_id", "channel", "purpose" and "granted" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  locked := crm_member.lock_member(set_consent.member_id, false);
  SELECT c.fingerprint INTO done FROM crm_member.family_of(locked) AS f
   CROSS JOIN LATERAL (SELECT * FROM crm_member.consent AS c WHERE c.member_id = f AND c.ref = set_consent.ref OFFSET 0) AS c LIMIT 1;
  IF FOUND AND done <> said THEN
    RAISE EXCEPTION 'reference "%" was used for another consent', ref
      USING ERRCODE = 'RM001', HINT = 'A repeated call must say the same; a new act needs a new ref.';
  ELSIF NOT FOUND THEN
    INSERT INTO crm_member.consent (member_id, consent_id, channel, purpose, granted, explicit, at, source, ref, fingerprint, actor)
    VALUES (set_consent.member_id, crm_member.new_id(), set_consent.channel, set_consent.purpose, set_consent.granted, set_consent.explicit,
            set_consent.at, set_consent.source, set_consent.ref, said, set_consent.actor);
  END IF;
  RETURN crm_member.may_contact(locked, set_consent.channel, set_consent.purpose);
END
$$;

COMMENT ON FUNCTION crm_member.set_consent(bigint, text, text, boolean, boolean, timestamptz, text, text, text) IS
  'Note what a member said about being contacted by a channel for a purpose; returns whether it may be now. explicit false: taken from what it did, which never outweighs a refusal. Errors: 22004 NULL, RM001, RM101 unknown member';

CREATE FUNCTION crm_member.may_contact(member_id bigint, channel text, purpose text) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
  PERFORM crm_member.require_setup();
  RETURN (
    SELECT CASE WHEN max(c.at) FILTER (WHERE NOT c.granted) IS NULL THEN count(*) > 0
                ELSE coalesce(max(c.at) FILTER (WHERE c.granted AND c.explicit) > max(c.at) FILTER (WHERE NOT c.granted), false) END
      FROM crm_member.family_of(may_contact.member_id) AS f
     CROSS JOIN LATERAL (SELECT * FROM crm_member.consent AS c
                          WHERE c.member_id = f AND c.channel = may_contact.channel AND c.purpose = may_contact.purpose OFFSET 0) AS c);
END
$$;

COMMENT ON FUNCTION crm_member.may_contact(bigint, text, text) IS
  'May a member be contacted by a channel for a purpose, as view consent_now says, after merges; false where nothing was said. NULL for NULL';

CREATE FUNCTION crm_member.open_case(
  member_id bigint, kind text, reason text, ref text DEFAULT NULL, actor text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  said CONSTANT bigint := hashtextextended(concat_ws(':', open_case.kind, open_case.reason), 0);
  locked bigint;
  done record;
BEGIN
  PERFORM crm_member.require_setup();
  IF open_case.member_id IS NULL OR open_case.kind IS NULL OR open_case.reason IS NULL THEN
    RAISE EXCEPTION 'arguments "member_id", "kind" and "reason" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF open_case.kind NOT IN ('dispute', 'erasure') THEN
    RAISE EXCEPTION 'kind of case "%" is unknown', open_case.kind
      USING ERRCODE = 'invalid_parameter_value', HINT = 'It is dispute or erasure.';
  END IF;
  locked := crm_member.lock_member(open_case.member_id, false);
  SELECT c.case_id, c.fingerprint INTO done FROM crm_member.family_of(locked) AS f
   CROSS JOIN LATERAL (SELECT * FROM crm_member.member_case AS c WHERE c.member_id = f AND c.ref = open_case.ref OFFSET 0) AS c LIMIT 1;
  IF FOUND AND done.fingerprint <> said THEN
    RAISE EXCEPTION 'reference "%" was used for another case', ref
      USING ERRCODE = 'RM001', HINT = 'A repeated call must say the same; a new act needs a new ref.';
  ELSIF FOUND THEN
    RETURN done.case_id;
  END IF;
  INSERT INTO crm_member.member_case (member_id, case_id, kind, reason, ref, fingerprint, actor)
  VALUES (open_case.member_id, crm_member.new_id(), open_case.kind, open_case.reason, open_case.ref, said, open_case.actor)
  RETURNING case_id INTO done;
  RETURN done.case_id;
END
$$;

COMMENT ON FUNCTION crm_member.open_case(bigint, text, text, text, text) IS
  'Note that something is open with a member: a dispute, or that it asked to be forgotten; returns the case. While it is open the member is not merged, see merge_part. Errors: 22004 NULL, 22023 unknown kind, RM001, RM101 unknown member';

CREATE FUNCTION crm_member.close_case(member_id bigint, case_id bigint, outcome text, actor text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  PERFORM crm_member.require_setup();
  IF close_case.member_id IS NULL OR close_case.case_id IS NULL THEN
    RAISE EXCEPTION 'arguments "member_id" and "case_id" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  PERFORM crm_member.lock_member(close_case.member_id, false);
  UPDATE crm_member.member_case AS c SET closed_at = now(), outcome = close_case.outcome
   WHERE c.member_id IN (SELECT crm_member.family_of(close_case.member_id)) AND c.case_id = close_case.case_id AND c.closed_at IS NULL;
  RETURN FOUND;
END
$$;

COMMENT ON FUNCTION crm_member.close_case(bigint, bigint, text, text) IS
  'Close a case of a member; false where no such case is open. Errors: 22004 NULL, RM101 unknown member';
