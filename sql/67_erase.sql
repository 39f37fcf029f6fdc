-- Forgetting a person.


CREATE FUNCTION crm_member.erase_member(
  member_id bigint, reason text, ref text DEFAULT NULL, actor text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  survivor bigint;
  family bigint[];
  said CONSTANT bigint := hashtextextended('erase:' || coalesce(erase_member.reason, ''), 0);
  salt bytea;
  identities int;
BEGIN
  PERFORM crm_member.require_setup();
  IF erase_member.member_id IS NULL OR erase_member.reason IS NULL THEN
    RAISE EXCEPTION 'member_id and reason must not be NULL' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  survivor := crm_member.lock_member(erase_member.member_id, false);
  SELECT array_agg(x.member_id ORDER BY x.member_id) INTO family
    FROM (SELECT survivor AS member_id
          UNION SELECT k.member_id FROM crm_member.member_kin AS r JOIN crm_member.member_kin AS k ON k.kin = r.kin
           WHERE r.member_id = survivor AND k.root = survivor) AS x;
  IF crm_member.act_done(ARRAY[erase_member.member_id, survivor], 'erase_member', erase_member.ref, said)
     OR NOT EXISTS (SELECT FROM crm_member.person AS p WHERE p.member_id = ANY (family))
        AND NOT EXISTS (SELECT FROM crm_member.identity AS i WHERE i.member_id = ANY (family)) THEN
    RETURN jsonb_build_object('member_id', survivor, 'members', to_jsonb(family), 'identities', 0);
  END IF;

  SELECT s.salt INTO salt FROM crm_member.erasure_salt AS s;
  WITH gone AS (
    DELETE FROM crm_member.identity AS i WHERE i.member_id = ANY (family) RETURNING i.kind, i.value, i.member_id
  ), kept AS (
    INSERT INTO crm_member.erased_identity (digest, kind, member_id)
    SELECT sha256(salt || convert_to(g.kind || ':' || g.value, 'UTF8')), g.kind, g.member_id FROM gone AS g
    ON CONFLICT (digest, member_id) DO NOTHING
  )
  SELECT count(*) INTO identities FROM gone;
  DELETE FROM crm_member.person AS p WHERE p.member_id = ANY (family);
  UPDATE crm_member.golden_record AS g
     SET own = g.own || '{"person": false, "name": null, "mobile": null, "email": null, "birthday": null, "gender": null}',
         golden = g.golden || '{"person": false, "name": null, "mobile": null, "email": null, "birthday": null, "gender": null}'
   WHERE g.member_id = ANY (family);
  UPDATE crm_member.member AS m SET attrs = '{}', tags = '{}', status = CASE WHEN m.status = 'merged' THEN m.status ELSE 'cancelled' END
   WHERE m.member_id = ANY (family);
  UPDATE crm_member.golden_record AS g
     SET own = g.own || '{"attrs": {}, "tags": []}', golden = g.golden || '{"attrs": {}, "tags": []}' WHERE g.member_id = ANY (family);
  UPDATE crm_member.member_kin AS k SET status = 'cancelled' WHERE k.member_id = ANY (family);
  UPDATE crm_member.card AS c SET state = 'cancelled', ended_at = coalesce(c.ended_at, now())
   WHERE c.member_id = ANY (family) AND c.state <> 'cancelled';
  DELETE FROM crm_member.duplicate_pair AS p
   WHERE p.model_code = 'member' AND (p.left_key = ANY (family::text[]) OR p.right_key = ANY (family::text[]));
  DELETE FROM crm_member.duplicate_cluster AS c WHERE c.model_code = 'member' AND c.key = ANY (family::text[]);
  INSERT INTO crm_member.member_event (member_id, event_id, act, ref, fingerprint, detail, actor)
  VALUES (survivor, crm_member.new_id(), 'erase_member', erase_member.ref, said,
          jsonb_build_object('members', to_jsonb(family), 'reason', erase_member.reason, 'identities', identities), erase_member.actor);
  RETURN jsonb_build_object('member_id', survivor, 'members', to_jsonb(family), 'identities', identities);
END
$$;

COMMENT ON FUNCTION crm_member.erase_member(bigint, text, text, text) IS
  'Forget a person: the personal data of a member and of all that are merged with it go, with attributes, tags and identities, of which digests are kept; cards are cancelled, members too. Sales and points stay as they are, the books can be proven and merges undone. For good; what is gone already is no error. Returns member_id, members and how many identities went. Errors: 22004 NULL, RM001, RM101 unknown member';

CREATE FUNCTION crm_member.was_erased(kind text, value text) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM crm_member.require_setup();
  RETURN EXISTS (
    SELECT FROM crm_member.erased_identity AS e CROSS JOIN crm_member.erasure_salt AS s
     WHERE e.digest = sha256(s.salt || convert_to(was_erased.kind || ':' || crm_member.normalize_identity(was_erased.kind, was_erased.value), 'UTF8')));
END
$$;

COMMENT ON FUNCTION crm_member.was_erased(text, text) IS
  'Was a member erased who was found by this identity? NULL for NULL. Error 22023 unknown kind or unusable value';
