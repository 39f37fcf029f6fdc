-- Filters: named conditions over members, counted, listed and combined; tags kept by them.

CREATE FUNCTION crm_member.condition_concerns(condition crm_member.condition, subject text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_condition_concerns';
COMMENT ON FUNCTION crm_member.condition_concerns(crm_member.condition, text) IS
  'Does a condition look at an attribute of this subject: member, sale or line? Error 22023 for another subject';

CREATE FUNCTION crm_member.filter_sql(filters text[], operation text) RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  unknown text;
  clause text;
BEGIN
  PERFORM crm_member.require_setup();
  IF filter_sql.operation NOT IN ('union', 'intersection', 'difference') THEN
    RAISE EXCEPTION 'filters cannot be combined by "%"', filter_sql.operation
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Use union, intersection or difference.';
  END IF;
  SELECT n.code INTO unknown FROM unnest(filter_sql.filters) n (code)
   WHERE NOT EXISTS (SELECT FROM crm_member.member_filter f
                      WHERE f.filter_code = n.code AND (f.shared OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = f.owner
                                                   AND pg_has_role(session_user, r.oid, 'MEMBER'))))
   LIMIT 1;
  IF FOUND OR cardinality(filter_sql.filters) = 0 THEN
    RAISE EXCEPTION 'filter "%" does not exist', unknown
      USING ERRCODE = 'RM503', HINT = 'SELECT filter_code FROM crm_member.member_filter lists them; one that is not shared is its owner''s alone.';
  END IF;
  -- what is unknown of a member is no match in WHERE, and no match that a difference takes away
  SELECT string_agg(format(CASE WHEN filter_sql.operation = 'difference' AND n.place > 1
                                THEN '(%s) IS NOT TRUE' ELSE '(%s)' END, crm_member.condition_sql(f.condition)),
                    CASE filter_sql.operation WHEN 'union' THEN ' OR ' ELSE ' AND ' END ORDER BY n.place)
    INTO clause
    FROM unnest(filter_sql.filters) WITH ORDINALITY n (code, place) JOIN crm_member.member_filter f ON f.filter_code = n.code;
  RETURN 'FROM crm_member.member_fact AS member WHERE ' || clause;
END $$;
COMMENT ON FUNCTION crm_member.filter_sql(text[], text) IS
  'The FROM and WHERE that find the members of filters combined by union, intersection or difference (the first without the others), to be read or used in other queries over member_fact. Errors: RM503 for an unknown filter, 22023 for another operation';

CREATE FUNCTION crm_member.filter_members(filter text) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER ROWS 10000 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY EXECUTE 'SELECT member.member_id ' || crm_member.filter_sql(ARRAY[filter_members.filter], 'union');
END $$;
COMMENT ON FUNCTION crm_member.filter_members(text) IS 'The members a filter takes now, in no order. Error RM503 for an unknown filter';

-- Where it gives nothing the statement of filter_sql() does it.
CREATE FUNCTION crm_member.count_members(conditions crm_member.condition[], operation text) RETURNS bigint
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'crm_count_members';
COMMENT ON FUNCTION crm_member.count_members(crm_member.condition[], text) IS
  'How many members satisfy conditions combined by union, intersection or difference, read from the pages of the table by several processes; NULL where they ask for more than columns of member and scores, or the table is no plain one. Error 22023 for another operation';

CREATE FUNCTION crm_member.combined_members(operation text, VARIADIC filters text[]) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER ROWS 10000 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY EXECUTE 'SELECT member.member_id ' || crm_member.filter_sql(combined_members.filters, combined_members.operation);
END $$;
COMMENT ON FUNCTION crm_member.combined_members(text, text[]) IS
  'The members of several filters combined by union, intersection or difference (the first without the others), each once. Errors: RM503 for an unknown filter, 22023 for another operation';

CREATE FUNCTION crm_member.combined_count(operation text, VARIADIC filters text[]) RETURNS bigint
LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  statement text;
  members bigint;
BEGIN
  statement := 'SELECT count(*) ' || crm_member.filter_sql(combined_count.filters, combined_count.operation);
  members := crm_member.count_members(
    ARRAY(SELECT f.condition FROM unnest(combined_count.filters) WITH ORDINALITY n (code, place)
            JOIN crm_member.member_filter f ON f.filter_code = n.code ORDER BY n.place), combined_count.operation);
  IF members IS NULL THEN
    EXECUTE statement INTO members;
  END IF;
  RETURN members;
END $$;
COMMENT ON FUNCTION crm_member.combined_count(text, text[]) IS 'How many members combined_members() would list; the same errors';

CREATE FUNCTION crm_member.filter_count(filter text) RETURNS bigint
LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN crm_member.combined_count('union', filter_count.filter);
END $$;
COMMENT ON FUNCTION crm_member.filter_count(text) IS 'How many members a filter takes now. Error RM503 for an unknown filter';

CREATE FUNCTION crm_member.refresh_segments(tag text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  rule record;
  written bigint := 0;
  n bigint;
BEGIN
  PERFORM crm_member.require_setup();
  -- filters with one tag keep it together
  FOR rule IN SELECT f.tag, string_agg(format('(%s) IS TRUE', crm_member.condition_sql(f.condition)), ' OR ' ORDER BY f.filter_code) AS clause
                FROM crm_member.member_filter f
               WHERE f.tag IS NOT NULL AND f.tag = coalesce(refresh_segments.tag, f.tag) GROUP BY f.tag ORDER BY f.tag LOOP
    EXECUTE format('UPDATE crm_member.member t SET tags = CASE WHEN n.holds THEN array_append(t.tags, $1) ELSE array_remove(t.tags, $1) END '
                   'FROM (SELECT member.member_id, (%s) AS holds FROM crm_member.member_fact AS member) n '
                   'WHERE t.member_id = n.member_id AND n.holds <> (t.tags @> ARRAY[$1])', rule.clause) USING rule.tag;
    GET DIAGNOSTICS n = ROW_COUNT;
    written := written + n;
  END LOOP;
  IF NOT FOUND AND refresh_segments.tag IS NOT NULL THEN
    RAISE EXCEPTION 'no filter names tag "%"', refresh_segments.tag
      USING ERRCODE = 'RM503', HINT = 'SELECT DISTINCT tag FROM crm_member.member_filter lists those that filters name.';
  END IF;
  RETURN written;
END $$;
COMMENT ON FUNCTION crm_member.refresh_segments(text) IS
  'Give a tag, or (NULL) every tag, that filters name to the members they take, and take it from all others, at once; returns the number of changes. Tags that no filter names are left alone. Error RM503 for a tag that no filter names';
