-- Forgetting a person.


CREATE FUNCTION crm_member.redacted(document jsonb, pattern text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE jsonb_typeof(document)
    WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(regexp_replace(e.key, pattern, '(erased)', 'gi'), crm_member.redacted(e.value, pattern)), '{}')
                          FROM jsonb_each(document) AS e)
    WHEN 'array' THEN (SELECT coalesce(jsonb_agg(crm_member.redacted(e.value, pattern) ORDER BY e.n), '[]')
                         FROM jsonb_array_elements(document) WITH ORDINALITY AS e (value, n))
    WHEN 'string' THEN to_jsonb(regexp_replace(document #>> '{}', pattern, '(erased)', 'gi'))
    ELSE CASE WHEN document #>> '{}' ~* pattern THEN '"(erased)"' ELSE document END
  END;
END
$$;

COMMENT ON FUNCTION crm_member.redacted(jsonb, text) IS 'A document without what a pattern finds in its texts, keys and numbers, which becomes (erased); NULL for NULL';

CREATE FUNCTION crm_member.redact("table" text, "column" text, how text, members bigint[], pattern text) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_redact';

COMMENT ON FUNCTION crm_member.redact(text, text, text, bigint[], text) IS
  'Take what a pattern finds out of a column of a table of ours, also of a journal: how is text, json, clear, which empties a jsonb object, or ref, which puts a digest in its place that is the same wherever the reference stands. members NULL: of any row. Returns how many rows were changed. Error 22004 NULL for what is required';

-- The words of a person, as one pattern: names as they are, numbers however they are grouped.
CREATE FUNCTION crm_member.person_pattern(members bigint[], elsewhere boolean) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT string_agg(DISTINCT CASE
             WHEN w.word ~ '^[+0-9 ()-]+$' THEN
               '(?<![0-9])(?:(?:00)?86[ ().-]*)?' || array_to_string(regexp_split_to_array(regexp_replace(w.word, '[^0-9]', '', 'g'), ''), '[ ().-]*') || '(?![0-9])'
             ELSE CASE WHEN w.word ~ '^[[:ascii:]]*$' AND w.word ~ '^\w' THEN '\m' ELSE '' END
                  || regexp_replace(w.word, '([\\.^$*+?()[\]{}|])', '\\\1', 'g')
                  || CASE WHEN w.word ~ '^[[:ascii:]]*$' AND w.word ~ '\w$' THEN '\M' ELSE '' END
           END, '|')
      FROM (SELECT unnest(ARRAY[p.name, p.mobile, p.email]) FROM crm_member.person AS p WHERE p.member_id = ANY (members)
            -- a Han name without its surname is said too
            UNION ALL SELECT right(p.name, 2) FROM crm_member.person AS p WHERE p.member_id = ANY (members) AND p.name ~ '^[\u4e00-\u9fff]{3,4}$' AND NOT elsewhere
            UNION ALL SELECT unnest(ARRAY[g.own->>'name', g.own->>'mobile', g.own->>'email']) FROM crm_member.golden_record AS g WHERE g.member_id = ANY (members)
            UNION ALL SELECT i.value FROM crm_member.identity AS i JOIN crm_member.identity_kind AS k ON k.kind = split_part(i.kind, ':', 1)
                       WHERE i.member_id = ANY (members) AND k.personal) AS w (word)
     WHERE length(w.word) > 1
       -- signs alone are nobody's words
       AND w.word ~ '[[:alnum:]]|[^[:ascii:]]'
       -- elsewhere it may be a word like others, a part of a reference, or somebody else
       AND (NOT elsewhere
            OR ((w.word ~ '[^[:ascii:]]|@|[[:alpha:]]\W+[[:alpha:]]' OR w.word ~ '[[:digit:]]' AND length(regexp_replace(w.word, '\W', '', 'g')) >= 10)
                AND NOT EXISTS (SELECT FROM crm_member.person AS p WHERE p.member_id <> ALL (members)
                                 AND (strpos(lower(p.name), lower(w.word)) > 0 OR p.mobile = w.word OR lower(p.email) = lower(w.word))))));
END
$$;

COMMENT ON FUNCTION crm_member.person_pattern(bigint[], boolean) IS
  'A regular expression that finds the names, mobiles, e-mails and personal identities of members in other texts; NULL where nothing is known of them. elsewhere: only what means them beyond doubt in what is written about others, not a name of one Latin word, a number or sign of fewer than ten digits and letters, nor what another member is called or states too';

-- Columns that people and systems write freely into, by the names they have in our tables.
CREATE FUNCTION crm_member.free_texts(OUT "table" name, OUT "column" name, OUT how text, OUT owned boolean) RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT c.relname, a.attname,
         CASE WHEN a.attname IN ('ref', 'of_ref', 'held_by', 'external_id') THEN 'ref' WHEN a.atttypid = 'jsonb'::regtype THEN 'json' ELSE 'text' END,
         c.relname IN ('card_event', 'member_merge', 'match_verdict')
         OR EXISTS (SELECT FROM pg_attribute AS m WHERE m.attrelid = c.oid AND m.attname = 'member_id' AND NOT m.attisdropped)
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
   WHERE c.relnamespace = 'crm_member'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
     AND (a.atttypid = 'text'::regtype AND (a.attname IN ('ref', 'of_ref', 'held_by', 'external_id', 'reason', 'outcome', 'error', 'actor')
                                            OR (c.relname, a.attname) IN (('import', 'source'), ('consent', 'source')))
          OR a.atttypid = 'jsonb'::regtype AND a.attname IN ('attrs', 'detail', 'answer', 'report', 'evidence', 'policy', 'parameters', 'crowded'))
   ORDER BY 1, 2
$$;

COMMENT ON FUNCTION crm_member.free_texts() IS
  'The columns of our tables that erase_member() searches: how as in redact(), owned where it is known whom a row is about';

CREATE FUNCTION crm_member.erase_member(
  member_id bigint, reason text, ref text DEFAULT NULL, actor text DEFAULT NULL, everywhere boolean DEFAULT true) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  survivor bigint;
  family bigint[];
  said CONSTANT bigint := hashtextextended('erase:' || coalesce(erase_member.reason, ''), 0);
  salt bytea;
  pattern text;
  identities int;
BEGIN
  PERFORM crm_member.require_setup();
  erase_member.everywhere := coalesce(erase_member.everywhere, true);
  IF erase_member.member_id IS NULL OR erase_member.reason IS NULL THEN
    RAISE EXCEPTION 'arguments "member_id" and "reason" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  survivor := crm_member.lock_member(erase_member.member_id, false);
  SELECT array_agg(x.member_id ORDER BY x.member_id) INTO family
    FROM (SELECT survivor AS member_id
          UNION SELECT k.member_id FROM crm_member.member_kin AS r JOIN crm_member.member_kin AS k ON k.kin = r.kin
           WHERE r.member_id = survivor AND k.root = survivor) AS x;
  IF crm_member.act_done(ARRAY[erase_member.member_id, survivor], 'erase_member', erase_member.ref, said)
     OR EXISTS (SELECT FROM crm_member.member_event AS e WHERE e.member_id = survivor AND e.act = 'erase_member')
        AND NOT EXISTS (SELECT FROM crm_member.person AS p WHERE p.member_id = ANY (family))
        AND NOT EXISTS (SELECT FROM crm_member.identity AS i WHERE i.member_id = ANY (family)) THEN
    RETURN jsonb_build_object('member_id', survivor, 'members', to_jsonb(family), 'identities', 0);
  END IF;

  -- first the person's words wherever others wrote them down, while it is known which they are
  pattern := crm_member.person_pattern(family, false);
  PERFORM crm_member.redact(t, 'attrs', 'clear', family, pattern) FROM unnest(ARRAY['sale', 'sale_line']) AS t;
  PERFORM crm_member.redact(f."table", f."column", f.how, family, pattern) FROM crm_member.free_texts() AS f WHERE f.owned AND pattern IS NOT NULL;
  pattern := crm_member.person_pattern(family, true);
  PERFORM crm_member.redact(f."table", f."column", f.how, NULL, pattern) FROM crm_member.free_texts() AS f
    WHERE (erase_member.everywhere OR NOT f.owned) AND pattern IS NOT NULL;
  DELETE FROM crm_member.import_error AS e USING crm_member.identity AS i
   WHERE i.member_id = ANY (family) AND i.kind = 'external:' || e.source AND i.value = e.external_id;

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
  UPDATE crm_member.member_case AS c SET closed_at = now(), outcome = 'erased'
   WHERE c.member_id = ANY (family) AND c.kind = 'erasure' AND c.closed_at IS NULL;
  INSERT INTO crm_member.member_event (member_id, event_id, act, ref, fingerprint, detail, actor)
  VALUES (survivor, crm_member.new_id(), 'erase_member', erase_member.ref, said,
          jsonb_build_object('members', to_jsonb(family), 'reason', erase_member.reason, 'identities', identities), erase_member.actor);
  RETURN jsonb_build_object('member_id', survivor, 'members', to_jsonb(family), 'identities', identities);
END
$$;

COMMENT ON FUNCTION crm_member.erase_member(bigint, text, text, text, boolean) IS
  'Forget a person: the personal data of a member and of all that are merged with it go, with attributes, tags and identities, of which digests are kept, and free attributes of sales; their names, numbers and addresses become (erased) wherever somebody wrote them into a reason, a document, a report or a log, also about other members, and a reference that has them a digest. everywhere false: what is written about other members is not searched, which reads every row of their journals. Cards are cancelled, members too. Sales and points stay as they are, the books can be proven and merges undone. For good; what is gone already is no error. Returns member_id, members and how many identities went. Errors: 22004 NULL, RM001, RM101 unknown member';

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
