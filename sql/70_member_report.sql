-- What is known about a member, for people.

CREATE FUNCTION crm_member.may_see_person() RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_may_see_person';

COMMENT ON FUNCTION crm_member.may_see_person() IS
  'Whether the role that runs the statement may read table person; views and member_360() mask personal data for others. Error 55000 before setup()';

CREATE FUNCTION crm_member.mask(value text, kind text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE
    WHEN kind = 'mobile' AND length(value) >= 7
      THEN left(value, 3) || repeat('*', length(value) - 7) || right(value, 4)
    WHEN kind = 'email' AND position('@' IN value) > 0
      THEN left(value, 1) || '***' || substr(value, position('@' IN value))
    WHEN value = '' THEN ''
    ELSE left(value, 1) || '**'
  END
$$;

COMMENT ON FUNCTION crm_member.mask(text, text) IS
  'Personal data made unreadable: of a mobile the first 3 and last 4 characters stay, of an email the first character and what follows the @, of any other kind the first character; NULL for NULL';

CREATE FUNCTION crm_member.member_360(member_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
  root CONSTANT bigint := crm_member.canonical_member(member_360.member_id);
  full_view CONSTANT boolean := crm_member.may_see_person();
  own bigint[];
  answer jsonb;
BEGIN
  PERFORM crm_member.require_setup();
  IF root IS NULL THEN
    RAISE EXCEPTION 'member % is unknown', member_360.member_id
      USING ERRCODE = 'RM101', HINT = 'member_id(kind, value) finds a member by mobile, card and so on.';
  END IF;
  -- OFFSET 0 keeps each look-up an index probe for one member
  WITH RECURSIVE merged AS (
    SELECT root AS member_id
    UNION ALL
    SELECT m.member_id FROM merged
    CROSS JOIN LATERAL (SELECT m.member_id FROM crm_member.member AS m WHERE m.merged_into = merged.member_id OFFSET 0) AS m)
  SELECT array_agg(merged.member_id ORDER BY merged.member_id) INTO own FROM merged;

  SELECT jsonb_build_object(
           'member_id', m.member_id, 'status', m.status, 'kind', m.kind, 'source', m.source,
           'store', m.store, 'channel', m.channel, 'joined_at', m.joined_at,
           'tags', to_jsonb(m.tags), 'attrs', m.attrs,
           'merged_members', to_jsonb(array_remove(own, root)),
           'person', jsonb_build_object(
             'masked', NOT full_view,
             'name', CASE WHEN full_view THEN p.name ELSE crm_member.mask(p.name, 'name') END,
             'mobile', CASE WHEN full_view THEN p.mobile ELSE crm_member.mask(p.mobile, 'mobile') END,
             'email', CASE WHEN full_view THEN p.email ELSE crm_member.mask(p.email, 'email') END,
             'birthday', CASE WHEN full_view THEN p.birthday END,
             'gender', p.gender),
           'tier', (SELECT jsonb_build_object('tier_code', t.tier_code, 'name', t.name, 'since', mt.since)
                      FROM crm_member.member_tier AS mt JOIN crm_member.tier AS t ON t.tier_code = mt.tier_code
                     WHERE mt.member_id = root))
    INTO answer
    FROM crm_member.member AS m LEFT JOIN crm_member.person AS p ON p.member_id = m.member_id
   WHERE m.member_id = root;

  answer := answer || jsonb_build_object('identities', (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
             'kind', i.kind,
             'value', CASE WHEN full_view OR NOT k.personal THEN i.value ELSE crm_member.mask(i.value, k.kind) END,
             'bound_at', i.bound_at) ORDER BY i.kind, i.bound_at, i.value), '[]')
      FROM unnest(own) AS o (member_id)
     CROSS JOIN LATERAL (SELECT i.kind, i.value, i.bound_at FROM crm_member.identity AS i
                          WHERE i.member_id = o.member_id OFFSET 0) AS i
      LEFT JOIN crm_member.identity_kind AS k ON k.kind = split_part(i.kind, ':', 1)));
  answer := answer || jsonb_build_object('cards', (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
             'card_no', c.card_no, 'card_type', c.card_type, 'state', c.state,
             'effective_at', c.effective_at, 'expires_at', c.expires_at,
             'replaced_by', c.replaced_by, 'aside_since', c.aside_since,
             'primary', c.card_no IS NOT DISTINCT FROM crm_member.primary_card(root)) ORDER BY c.issued_at, c.card_no), '[]')
      FROM unnest(own) AS o (member_id)
     CROSS JOIN LATERAL (SELECT * FROM crm_member.card AS c WHERE c.member_id = o.member_id OFFSET 0) AS c));
  answer := answer || jsonb_build_object('points', (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
             'points_type', a.points_type,
             'balance', a.balance,
             'spendable', crm_member.points_balance(root, a.points_type)) ORDER BY a.points_type), '[]')
      FROM (SELECT a.points_type, sum(a.balance) AS balance
              FROM unnest(own) AS o (member_id)
             CROSS JOIN LATERAL (SELECT a.points_type, a.balance FROM crm_member.points_account AS a
                                  WHERE a.member_id = o.member_id OFFSET 0) AS a
             GROUP BY a.points_type) AS a));
  answer := answer || jsonb_build_object('sales', (
    SELECT jsonb_build_object('count', sum(s.count), 'payable', coalesce(sum(s.payable), 0),
                              'first', min(s.first), 'last', max(s.last))
      FROM unnest(own) AS o (member_id)
     CROSS JOIN LATERAL (SELECT count(*), sum(s.payable) AS payable, min(s.sold_at) AS first, max(s.sold_at) AS last
                           FROM crm_member.sale AS s
                          WHERE s.member_id = o.member_id AND s.settled_at IS NOT NULL) AS s));
  answer := answer || jsonb_build_object('recent_sales', (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
             'sale_id', s.sale_id, 'source', s.source, 'ref', s.ref, 'store', s.store,
             'channel', s.channel, 'sold_at', s.sold_at, 'payable', s.payable)
             ORDER BY s.sold_at DESC, s.sale_id DESC), '[]')
      FROM (SELECT s.* FROM unnest(own) AS o (member_id)
             CROSS JOIN LATERAL (SELECT * FROM crm_member.sale AS s WHERE s.member_id = o.member_id
                                  ORDER BY s.sold_at DESC, s.sale_id DESC LIMIT 10) AS s
             ORDER BY s.sold_at DESC, s.sale_id DESC LIMIT 10) AS s));
  answer := answer || jsonb_build_object('rfm', (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
             'model_code', r.model_code, 'as_of', r.as_of, 'score', r.score::text, 'recency', r.recency,
             'frequency', r.frequency, 'monetary', r.monetary) ORDER BY r.model_code), '[]')
      FROM crm_member.rfm AS r WHERE r.member_id = root));
  RETURN answer;
END
$$;

COMMENT ON FUNCTION crm_member.member_360(bigint) IS
  'All about a member, after merges, as one document: person, tier, identities, cards, points (balance: all that is in lots; spendable: now), sales, the 10 latest of them, rfm, merged_members. Personal data is masked for a role that may not read table person. NULL for NULL; error RM101 unknown member';
