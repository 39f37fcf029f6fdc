-- Text as it is compared, and the search for duplicates.

CREATE FUNCTION crm_member.normalizer_version() RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_normalizer_version';

COMMENT ON FUNCTION crm_member.normalizer_version() IS
  'Version of the normalisation: own tables, then ICU. Keys made by another version must be made anew';

CREATE FUNCTION crm_member.normalize_name(text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_normalize_name';

COMMENT ON FUNCTION crm_member.normalize_name(text) IS
  'A name as it is compared: NFKC casefold, Han simplified and without blanks, honorific, remark and trailing sign; Latin words in small plain letters. A hidden character is *. NULL where nothing legible is left. Depends on normalizer_version(), hence STABLE';

CREATE FUNCTION crm_member.normalize_phone(text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_normalize_phone';

COMMENT ON FUNCTION crm_member.normalize_phone(text) IS
  'A telephone number as it is compared: 11 digits of a mainland mobile (a relay number keeps -extension), otherwise digits, with + before those of another country. NULL for what is no number, is partly hidden, or is a placeholder such as 13800138000';

CREATE FUNCTION crm_member.normalize_email(text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_normalize_email';

COMMENT ON FUNCTION crm_member.normalize_email(text) IS
  'An e-mail address as the mailbox behind it: casefolded, without +tag, Gmail without dots, common typing errors of domains corrected. NULL for what is no address or a placeholder such as no@no.com. Depends on normalizer_version(), hence STABLE';

CREATE FUNCTION crm_member.read_id_number(
  text, OUT id_number text, OUT birthday date, OUT gender text, OUT county text)
RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_read_id_number';

COMMENT ON FUNCTION crm_member.read_id_number(text) IS
  'What an identity number of mainland China tells: the number in 18 signs (15 digits of the old form are completed), birthday, M or F, and the six digits of the county that issued it. All NULL where the check sign or the birthday is wrong';

CREATE FUNCTION crm_member.compare_values(comparator text, a text, b text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_compare_values';

COMMENT ON FUNCTION crm_member.compare_values(text, text, text) IS
  'The level on which two texts agree for a comparator of match_model.fields; NULL where one of them says nothing or they cannot be compared. Error 22023 for an unknown comparator. Depends on normalizer_version(), hence STABLE';

CREATE FUNCTION crm_member.blind_value(comparator text, value text, secret text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100
AS 'MODULE_PATHNAME', 'crm_blind_value';

COMMENT ON FUNCTION crm_member.blind_value(text, text, text) IS
  'A value as it may be kept where the value itself must not: 144 hexadecimal digits, a keyed hash of the text as the comparator reads it and a keyed Bloom filter of its pairs of signs, which the comparator "blind" compares. Only values of one secret and one comparator can be compared. secret: at least 16 bytes. NULL for NULL and for what says nothing. Errors: 22023 unknown comparator, short secret. Depends on normalizer_version(), hence STABLE';

CREATE PROCEDURE crm_member.find_duplicates(model text DEFAULT 'member')
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_find_duplicates';

COMMENT ON PROCEDURE crm_member.find_duplicates(text) IS
  'Compare the records of a match_model and write duplicate_pair, duplicate_cluster and match_run, in place of what the last run wrote; verdicts stay and bind. The source is read with the rights of the caller, the results are written with those of the tables'' owner. Errors: RM601 unknown model, 22023 bad fields, 22004 a key is null';

CREATE FUNCTION crm_member.connected_components(edges text, OUT key bigint, OUT component bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 10000 ROWS 100000
AS 'MODULE_PATHNAME', 'crm_connected_components';

COMMENT ON FUNCTION crm_member.connected_components(text) IS
  'Which keys hang together: edges is a query that yields two whole numbers a row, the ends of an edge; it is run with the rights of the caller. Each key comes once, with the least key it is connected with. A row with one end NULL names a key by itself. Errors: 22023 not a query of two columns, 42804 a column of another type';

CREATE FUNCTION crm_member.match_keys(name text, mobile text, email text, birthday text) RETURNS bigint[]
LANGUAGE c STABLE PARALLEL SAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_match_keys';

COMMENT ON FUNCTION crm_member.match_keys(text, text, text, text) IS
  'The keys of a person, as in match_key, hashed under match_secret; what is NULL or says nothing gives none. Depends on match_key_version(), hence STABLE';

CREATE FUNCTION crm_member.match_key_version() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_match_key_version';

COMMENT ON FUNCTION crm_member.match_key_version() IS
  'What match_keys() depends on besides the person: normalizer_version() and a mark of match_secret, which does not tell it';

CREATE FUNCTION crm_member.key_person() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD'
AS $$
BEGIN
  INSERT INTO crm_member.match_key (member_id, keys, version)
  SELECT c.member_id, crm_member.match_keys(c.name, c.mobile, c.email, c.birthday::text),
         crm_member.match_key_version()
    FROM changed AS c
  ON CONFLICT (member_id) DO UPDATE SET keys = excluded.keys, version = excluded.version
  WHERE (match_key.keys, match_key.version) IS DISTINCT FROM (excluded.keys, excluded.version);
  RETURN NULL;
END
$$;

COMMENT ON FUNCTION crm_member.key_person() IS 'Trigger of person: keeps match_key';

CREATE PROCEDURE crm_member.rekey_members()
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD'
AS $$
BEGIN
  INSERT INTO crm_member.match_key (member_id, keys, version)
  SELECT p.member_id, crm_member.match_keys(p.name, p.mobile, p.email, p.birthday::text),
         crm_member.match_key_version()
    FROM crm_member.person AS p
    LEFT JOIN crm_member.match_key AS k ON k.member_id = p.member_id
   WHERE k.version IS DISTINCT FROM crm_member.match_key_version()
  ON CONFLICT (member_id) DO UPDATE SET keys = excluded.keys, version = excluded.version;
END
$$;

COMMENT ON PROCEDURE crm_member.rekey_members() IS
  'Make the keys anew that another match_key_version() made, or that are missing: after an update of this library or of ICU. One transaction; may be repeated';

CREATE FUNCTION crm_member.rekey_under_secret() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- who writes a person meanwhile waits, and then makes keys under the new secret
  LOCK TABLE crm_member.match_key IN SHARE ROW EXCLUSIVE MODE;
  CALL crm_member.rekey_members();
  RETURN NULL;
END
$$;

COMMENT ON FUNCTION crm_member.rekey_under_secret() IS 'Trigger of match_secret: all keys follow a new secret in the same transaction';

CREATE FUNCTION crm_member.match_member(
  candidate jsonb,
  "limit" int DEFAULT 10,
  OUT member_id bigint, OUT probability numeric, OUT weight numeric, OUT evidence jsonb)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL SAFE COST 1000 ROWS 5
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET enable_seqscan = off
AS 'MODULE_PATHNAME', 'crm_match_member';

COMMENT ON FUNCTION crm_member.match_member(jsonb, int) IS
  'Members that a candidate may be with a probability of 0.01 and more, the likeliest first: search before create. candidate: any of name, mobile, email, birthday, gender, wechat_unionid, nickname, address, city; limit: 1 to 1000. probability is 0 to 1; weight and evidence as in duplicate_pair. Merged members are answered by their survivor. No rows for NULL or where nothing is shared. Errors: 22023 for another key or a bad limit, 55000 before setup()';

CREATE FUNCTION crm_member.judge_pair(
  model text, left_key text, right_key text, verdict text, reason text DEFAULT NULL, actor text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  turned CONSTANT boolean := (length(left_key), left_key COLLATE "C") > (length(right_key), right_key COLLATE "C")
    AND left_key ~ '^[0-9]+$' AND right_key ~ '^[0-9]+$'
    OR NOT (left_key ~ '^[0-9]+$' AND right_key ~ '^[0-9]+$') AND left_key COLLATE "C" > right_key COLLATE "C";
  first CONSTANT text := CASE WHEN turned THEN right_key ELSE left_key END;
  second CONSTANT text := CASE WHEN turned THEN left_key ELSE right_key END;
BEGIN
  PERFORM crm_member.require_setup();
  IF left_key IS NULL OR right_key IS NULL OR left_key = right_key THEN
    RAISE EXCEPTION 'a verdict is about two records'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF verdict IS NULL OR verdict NOT IN ('same', 'different', 'later') THEN
    RAISE EXCEPTION 'verdict "%" is unknown', verdict
      USING ERRCODE = 'invalid_parameter_value', HINT = 'It is same, different or later.';
  END IF;
  PERFORM FROM crm_member.match_model AS m WHERE m.model_code = judge_pair.model FOR KEY SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'match model "%" does not exist', model
      USING ERRCODE = 'RM601', HINT = 'Models are rows of crm_member.match_model.';
  END IF;
  INSERT INTO crm_member.match_verdict AS v (model_code, left_key, right_key, verdict, reason, actor)
  VALUES (judge_pair.model, first, second, judge_pair.verdict, judge_pair.reason, judge_pair.actor)
  ON CONFLICT ON CONSTRAINT match_verdict_pkey DO UPDATE
  SET verdict = excluded.verdict, reason = excluded.reason, actor = excluded.actor, decided_at = now();
  -- what was found before the verdict must not be acted upon after it
  IF judge_pair.verdict = 'different' THEN
    DELETE FROM crm_member.duplicate_pair AS p
     WHERE p.model_code = judge_pair.model AND p.left_key = first AND p.right_key = second;
    DELETE FROM crm_member.duplicate_cluster AS c
     WHERE c.model_code = judge_pair.model AND c.cluster_id IN (
       SELECT a.cluster_id FROM crm_member.duplicate_cluster AS a
         JOIN crm_member.duplicate_cluster AS b ON b.model_code = a.model_code AND b.cluster_id = a.cluster_id
        WHERE a.model_code = judge_pair.model AND a.key = first AND b.key = second);
  END IF;
END
$$;

COMMENT ON FUNCTION crm_member.judge_pair(text, text, text, text, text, text) IS
  'Decide about a pair, in either order: same and different bind every later run, later puts it last in duplicate_queue. A pair judged different leaves duplicate_pair at once, and its cluster until the next run. Errors: 22023 bad verdict or one key, RM601 unknown model';

CREATE FUNCTION crm_member.mark_distinct(a bigint, b bigint, reason text DEFAULT NULL, actor text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  unknown bigint;
BEGIN
  PERFORM crm_member.require_setup();
  IF mark_distinct.a IS NULL OR mark_distinct.b IS NULL THEN
    RAISE EXCEPTION 'arguments "a" and "b" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  SELECT x.id INTO unknown
    FROM (VALUES (mark_distinct.a), (mark_distinct.b)) AS x(id)
   WHERE NOT EXISTS (SELECT FROM crm_member.member AS m WHERE m.member_id = x.id)
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'member % is unknown', unknown
      USING ERRCODE = 'RM101', HINT = 'member_id(kind, value) finds a member by mobile, card and so on.';
  END IF;
  PERFORM crm_member.judge_pair('member', mark_distinct.a::text, mark_distinct.b::text, 'different',
                                mark_distinct.reason, mark_distinct.actor);
END
$$;

COMMENT ON FUNCTION crm_member.mark_distinct(bigint, bigint, text, text) IS
  'Two members are not one, for ever: neither a run nor a chain of pairs joins them again. Errors: 22004 NULL, RM101 unknown member, 22023 the same member twice';
