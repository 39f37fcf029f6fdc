-- Points: the ledger's functions.

CREATE FUNCTION crm_member.is_expiry(expiry text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_is_expiry';

COMMENT ON FUNCTION crm_member.is_expiry(text) IS
  'Is this how points may expire: never; an interval such as 12 months (through the end of that day, or to the instant where it has hours); end of month [+ n]; end of year [+ n]; a date such as 2027-12-31 (through that day). NULL for NULL';

CREATE FUNCTION crm_member.refuse_change() RETURNS trigger
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'crm_refuse_change';

COMMENT ON FUNCTION crm_member.refuse_change() IS
  'Statement trigger of journals: error RM002 whatever is tried';

CREATE FUNCTION crm_member.award_points(
  member_id bigint,
  points numeric,
  reason text DEFAULT NULL,
  ref text DEFAULT NULL,
  points_type text DEFAULT 'points',
  expires_at timestamptz DEFAULT NULL,
  available_at timestamptz DEFAULT NULL,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_award_points';

COMMENT ON FUNCTION crm_member.award_points(bigint, numeric, text, text, text, timestamptz, timestamptz, timestamptz, text) IS
  'Give points by hand and return the balance of the account after it, pending points included. ref is required: the same again returns the first result. expires_at NULL: as the points type says; available_at NULL: at once. Errors: 22004 null argument, 22023 points not positive or expiring before they are available, 22003 too many points or decimals, RM001 ref used for something else, RM101 unknown member, RM102 cancelled member, RM302 unknown points type';

CREATE FUNCTION crm_member.spend_points(
  member_id bigint,
  points numeric,
  reason text DEFAULT NULL,
  ref text DEFAULT NULL,
  points_type text DEFAULT 'points',
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_spend_points';

COMMENT ON FUNCTION crm_member.spend_points(bigint, numeric, text, text, text, timestamptz, text) IS
  'Spend points, the soonest to expire first, and return the balance of the account after it. ref is required: the same again returns the first result. Errors: 22004 null argument, 22023 points not positive, 22003 too many points or decimals, RM001 ref used for something else, RM101 unknown member, RM102 member not active, RM301 not enough points, RM302 unknown points type';

CREATE FUNCTION crm_member.points_balance(
  member_id bigint,
  points_type text DEFAULT 'points',
  as_of timestamptz DEFAULT now(),
  known_at timestamptz DEFAULT now())
RETURNS numeric
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_points_balance';

COMMENT ON FUNCTION crm_member.points_balance(bigint, text, timestamptz, timestamptz) IS
  'Points that can be spent at as_of, by what was booked until known_at: neither pending nor expired. 0 without an account, NULL for NULL. Errors: RM101 unknown member, RM302 unknown points type';

CREATE FUNCTION crm_member.verify_ledger()
RETURNS TABLE (member_id bigint, points_type text, problem text, detail text)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  WITH entry AS (
    SELECT e.*,
           sum(e.points) OVER account AS running,
           row_number() OVER account AS position
    FROM crm_member.points_entry e
    WINDOW account AS (PARTITION BY e.member_id, e.points_type ORDER BY e.entry_no)
  ), journal AS (
    SELECT e.member_id, e.points_type, sum(e.points) AS points, max(e.entry_no) AS last_no
    FROM crm_member.points_entry e GROUP BY 1, 2
  ), drawn AS (
    SELECT e.member_id, e.points_type, u.lot_no, sum(u.points) AS points
    FROM crm_member.points_entry e, unnest(e.lot_nos, e.lot_points) AS u (lot_no, points)
    GROUP BY 1, 2, 3
  ), lots AS (
    SELECT l.member_id, l.points_type, sum(l.remaining) AS remaining
    FROM crm_member.points_lot l GROUP BY 1, 2
  )
  SELECT coalesce(a.member_id, j.member_id), coalesce(a.points_type, j.points_type),
         'account and entries disagree',
         format('balance %s and %s entries, journal says %s and %s', a.balance, a.entry_no, j.points, j.last_no)
    FROM crm_member.points_account a
    FULL JOIN journal j ON (j.member_id, j.points_type) = (a.member_id, a.points_type)
   WHERE (a.balance, a.entry_no) IS DISTINCT FROM (j.points, j.last_no)
  UNION ALL
  SELECT a.member_id, a.points_type, 'account and lots disagree',
         format('balance %s, lots say %s', a.balance, coalesce(l.remaining, 0))
    FROM crm_member.points_account a
    LEFT JOIN lots l ON (l.member_id, l.points_type) = (a.member_id, a.points_type)
   WHERE a.balance <> coalesce(l.remaining, 0)
  UNION ALL
  SELECT e.member_id, e.points_type, 'entry breaks the journal',
         format('entry %s at position %s says balance %s, entries sum to %s', e.entry_no, e.position, e.balance, e.running)
    FROM entry e
   WHERE e.entry_no <> e.position OR e.balance <> e.running OR e.balance < 0
  UNION ALL
  SELECT l.member_id, l.points_type, 'lot and entries disagree',
         format('lot %s has %s of %s left, entries drew %s', l.lot_no, l.remaining, l.points, coalesce(d.points, 0))
    FROM crm_member.points_lot l
    LEFT JOIN drawn d ON (d.member_id, d.points_type, d.lot_no) = (l.member_id, l.points_type, l.lot_no)
   WHERE l.points - coalesce(d.points, 0) <> l.remaining
  UNION ALL
  SELECT e.member_id, e.points_type, 'entry and lot disagree',
         format('entry %s gave %s, its lot has %s', e.entry_no, e.points, l.points)
    FROM crm_member.points_entry e
    LEFT JOIN crm_member.points_lot l
      ON (l.member_id, l.points_type, l.lot_no) = (e.member_id, e.points_type, e.entry_no)
   WHERE (e.points > 0) <> (l.lot_no IS NOT NULL) OR l.points <> e.points
  UNION ALL
  SELECT e.member_id, e.points_type, 'entry and its parts disagree',
         format('entry %s of %s', e.entry_no, e.points)
    FROM crm_member.points_entry e
   WHERE e.points <> (SELECT sum(p) FROM unnest(e.rule_points) p)
      OR e.points <> (SELECT sum(p) FROM unnest(e.line_points) p)
      OR -e.points <> (SELECT sum(p) FROM unnest(e.lot_points) p)
  UNION ALL
  SELECT s.member_id, NULL, 'sale and its lines disagree',
         format('sale %s says %s less %s, its lines %s less %s', s.sale_id, s.amount, s.discount, l.amount, l.discount)
    FROM crm_member.sale s
    LEFT JOIN (SELECT l.member_id, l.sale_id, sum(l.amount) AS amount, sum(l.discount) AS discount
                 FROM crm_member.sale_line l GROUP BY 1, 2) l
      ON (l.member_id, l.sale_id) = (s.member_id, s.sale_id)
   WHERE s.settled_at IS NOT NULL AND (s.amount, s.discount) IS DISTINCT FROM (l.amount, l.discount);
END
$$;

COMMENT ON FUNCTION crm_member.verify_ledger() IS
  'Prove the books: accounts, entries, lots and sales against one another. Every row is a violation; none is how it should be';

CREATE FUNCTION crm_member.evaluate_points(sale jsonb)
RETURNS TABLE (rule_code text, line_no int, points numeric, points_type text)
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_evaluate_points';

COMMENT ON FUNCTION crm_member.evaluate_points(jsonb) IS
  'Points each rule would give for this sale document; line_no NULL: for the sale as a whole. A guest earns nothing. Writes nothing; errors as quote()';

CREATE FUNCTION crm_member.explain_points(sale jsonb)
RETURNS TABLE (rule_code text, line_no int, verdict text, clause text, saw text, displaced_by text,
               points numeric, would_have numeric, points_type text)
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_explain_points';

COMMENT ON FUNCTION crm_member.explain_points(jsonb) IS
  'Every active rule and what became of it for this sale document: verdict is matched, unmatched (clause is the condition''s part that failed, saw the value it met), not valid (at the time of the sale), displaced (by displaced_by) or capped; points were given, would_have is what would have been given without displacement and cap. At line scope one row a line. Writes nothing; errors as quote()';

