-- Merging members, undoing it, and forgetting them.

-- Points follow whose they are -------------------------------------------------------------------

CREATE FUNCTION crm_member.move_points(
  from_member bigint, to_member bigint, points_type text, lot_nos bigint[], lot_points numeric[],
  at timestamptz, reason text, actor text) RETURNS numeric
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  moved numeric;
BEGIN
  WITH lot AS MATERIALIZED (
    SELECT l.lot_no, u.points, l.earned_at, l.available_at, l.expires_at,
           coalesce(l.owner_member, l.member_id) AS owner,
           coalesce(l.birth_member, l.member_id) AS birth_member, coalesce(l.birth_lot, l.lot_no) AS birth_lot,
           coalesce(l.birth_member, l.member_id) = to_member AS back
      FROM unnest(lot_nos, lot_points) AS u (lot_no, points)
     CROSS JOIN LATERAL (SELECT * FROM crm_member.points_lot AS l
                          WHERE l.member_id = from_member AND l.points_type = move_points.points_type
                            AND l.lot_no = u.lot_no OFFSET 0) AS l
  ), total AS (
    SELECT sum(points) AS points, coalesce(sum(points) FILTER (WHERE back), 0) AS back_points,
           count(*) FILTER (WHERE NOT back) AS fresh, bool_or(back)::int AS back,
           max(available_at) AS available_at, min(expires_at) AS expires_at,
           array_agg(lot_no) AS lot_nos, array_agg(points) AS lot_points
      FROM lot
  ), drawn AS (
    UPDATE crm_member.points_lot AS l SET remaining = l.remaining - lot.points, open = l.remaining > lot.points
      FROM lot
     WHERE l.member_id = from_member AND l.points_type = move_points.points_type AND l.lot_no = lot.lot_no
  ), source AS (
    UPDATE crm_member.points_account AS a SET balance = a.balance - total.points, entry_no = a.entry_no + 1
      FROM total
     WHERE a.member_id = from_member AND a.points_type = move_points.points_type AND total.points IS NOT NULL
    RETURNING a.balance, a.entry_no
  ), target AS (
    UPDATE crm_member.points_account AS a
       SET balance = a.balance + total.points, entry_no = a.entry_no + total.fresh + total.back,
           settles_at = greatest(a.settles_at, total.available_at), expires_at = least(a.expires_at, total.expires_at)
      FROM total
     WHERE a.member_id = to_member AND a.points_type = move_points.points_type AND total.points IS NOT NULL
    RETURNING a.balance - total.points AS balance, a.entry_no - total.fresh - total.back AS entry_no
  ), back AS (
    SELECT birth_lot, sum(points) AS points FROM lot WHERE back GROUP BY birth_lot
  ), refilled AS (
    UPDATE crm_member.points_lot AS l SET remaining = l.remaining + back.points, open = true
      FROM back
     WHERE l.member_id = to_member AND l.points_type = move_points.points_type AND l.lot_no = back.birth_lot
  ), fresh AS (
    SELECT lot.*, target.entry_no + total.back + row_number() OVER in_order AS entry_no,
           target.balance + total.back_points + sum(lot.points) OVER in_order AS balance
      FROM lot, target, total WHERE NOT lot.back
    WINDOW in_order AS (ORDER BY lot.expires_at, lot.earned_at, lot.lot_no)
  ), fresh_lot AS (
    INSERT INTO crm_member.points_lot (member_id, points_type, lot_no, points, remaining, earned_at,
                available_at, expires_at, owner_member, birth_member, birth_lot)
    SELECT to_member, move_points.points_type, entry_no, points, points, earned_at, available_at, expires_at,
           nullif(owner, to_member), birth_member, birth_lot
      FROM fresh
  ), entry AS (
    INSERT INTO crm_member.points_entry (member_id, points_type, entry_no, kind, points, balance, at, reason, actor,
                lot_nos, lot_points, other_member)
    SELECT from_member, move_points.points_type, source.entry_no, 'merge_out', -total.points, source.balance,
           move_points.at, move_points.reason, move_points.actor, total.lot_nos, total.lot_points, to_member
      FROM source, total
    UNION ALL
    SELECT to_member, move_points.points_type, target.entry_no + 1, 'merge_in', total.back_points,
           target.balance + total.back_points, move_points.at, move_points.reason, move_points.actor,
           (SELECT array_agg(birth_lot ORDER BY birth_lot) FROM back), (SELECT array_agg(-points ORDER BY birth_lot) FROM back),
           from_member
      FROM target, total WHERE total.back = 1
    UNION ALL
    SELECT to_member, move_points.points_type, entry_no, 'merge_in', points, balance, move_points.at,
           move_points.reason, move_points.actor, NULL, NULL, from_member
      FROM fresh
  )
  SELECT coalesce(points, 0) INTO moved FROM total;
  RETURN moved;
END
$$;

COMMENT ON FUNCTION crm_member.move_points(bigint, bigint, text, bigint[], numeric[], timestamptz, text, text) IS
  'Move points of lots from one account to another, both of which are there and locked: they go back to the lot they came from, or into a lot of their own with the same times. Returns how many';

CREATE FUNCTION crm_member.move_debt(
  from_member bigint, to_member bigint, points_type text, points numeric, owner bigint,
  at timestamptz, reason text, actor text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  WITH source AS (
    UPDATE crm_member.points_account AS a
       SET balance = a.balance + move_debt.points, debt = a.debt - move_debt.points, entry_no = a.entry_no + 1
     WHERE a.member_id = from_member AND a.points_type = move_debt.points_type
    RETURNING a.balance, a.entry_no
  ), target AS (
    UPDATE crm_member.points_account AS a
       SET balance = a.balance - move_debt.points, debt = a.debt + move_debt.points, entry_no = a.entry_no + 1
     WHERE a.member_id = to_member AND a.points_type = move_debt.points_type
    RETURNING a.balance, a.entry_no
  )
  INSERT INTO crm_member.points_entry (member_id, points_type, entry_no, kind, points, balance, at, reason, actor,
              lot_nos, lot_points, other_member)
  SELECT from_member, move_debt.points_type, entry_no, 'merge_out', move_debt.points, balance, move_debt.at,
         move_debt.reason, move_debt.actor, '{0}'::bigint[], ARRAY[-move_debt.points], to_member
    FROM source
  UNION ALL
  SELECT to_member, move_debt.points_type, entry_no, 'merge_in', -move_debt.points, balance, move_debt.at,
         move_debt.reason, move_debt.actor, '{0}'::bigint[], ARRAY[move_debt.points], from_member
    FROM target;
  DELETE FROM crm_member.merged_debt AS d
   WHERE d.member_id = from_member AND d.points_type = move_debt.points_type AND d.owner = move_debt.owner;
  INSERT INTO crm_member.merged_debt AS d (member_id, points_type, owner, points)
  SELECT to_member, move_debt.points_type, move_debt.owner, move_debt.points WHERE move_debt.owner <> to_member
  ON CONFLICT (member_id, points_type, owner) DO UPDATE SET points = d.points + excluded.points;
END
$$;

COMMENT ON FUNCTION crm_member.move_debt(bigint, bigint, text, numeric, bigint, timestamptz, text, text) IS
  'Move a debt of points, all that from_member owes of what owner owed, between accounts that are there and locked';

CREATE FUNCTION crm_member.lock_account(member_id bigint, points_type text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  INSERT INTO crm_member.points_account AS a (member_id, points_type) VALUES (lock_account.member_id, lock_account.points_type)
  ON CONFLICT (member_id, points_type) DO UPDATE SET entry_no = a.entry_no;
END
$$;

COMMENT ON FUNCTION crm_member.lock_account(bigint, text) IS
  'Make an account of points where it is missing, and lock it until the end of the transaction';

CREATE FUNCTION crm_member.forward_points(
  member_id bigint, points_type text, at timestamptz, reason text, actor text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  moved jsonb := '[]';
  root bigint;
  horizon timestamptz;
  move record;
  owed numeric;
  foreign_debt numeric;
BEGIN
  -- whoever has waited for a merge here reads whose things are anew
  LOOP
    SELECT k.root INTO root FROM crm_member.member_kin AS k WHERE k.member_id = forward_points.member_id;
    IF NOT FOUND THEN
      RETURN moved;
    END IF;
    PERFORM crm_member.lock_account(root, forward_points.points_type) WHERE root <> forward_points.member_id;
    EXIT WHEN root = (SELECT k.root FROM crm_member.member_kin AS k WHERE k.member_id = forward_points.member_id);
  END LOOP;

  FOR move IN
    SELECT k.root AS to_member, array_agg(o.owner) AS owners
      FROM (SELECT DISTINCT coalesce(l.owner_member, l.member_id) AS owner
              FROM crm_member.points_lot AS l
             WHERE l.member_id = forward_points.member_id AND l.points_type = forward_points.points_type AND l.open) AS o
     CROSS JOIN LATERAL (SELECT k.root FROM crm_member.member_kin AS k WHERE k.member_id = o.owner OFFSET 0) AS k
     WHERE k.root <> forward_points.member_id
     GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM crm_member.lock_account(move.to_member, forward_points.points_type) WHERE move.to_member <> root;
    -- what has expired, or is booked so at either end, stays where its expiry is booked
    SELECT greatest(now(), max(a.expired_to)) INTO horizon FROM crm_member.points_account AS a
     WHERE a.member_id IN (forward_points.member_id, move.to_member) AND a.points_type = forward_points.points_type;
    moved := moved || coalesce((
      SELECT jsonb_build_object('points_type', forward_points.points_type, 'from', forward_points.member_id,
                                'to', move.to_member, 'lots', count(*),
                                'points', crm_member.move_points(forward_points.member_id, move.to_member,
                                  forward_points.points_type, array_agg(l.lot_no ORDER BY l.lot_no),
                                  array_agg(l.remaining ORDER BY l.lot_no), forward_points.at,
                                  forward_points.reason, forward_points.actor))
        FROM crm_member.points_lot AS l
       WHERE l.member_id = forward_points.member_id AND l.points_type = forward_points.points_type
         AND l.open AND l.expires_at > horizon AND coalesce(l.owner_member, l.member_id) = ANY (move.owners)
      HAVING count(*) > 0), '[]');
  END LOOP;

  SELECT a.debt INTO owed FROM crm_member.points_account AS a
   WHERE a.member_id = forward_points.member_id AND a.points_type = forward_points.points_type;
  IF owed > 0 OR EXISTS (SELECT FROM crm_member.merged_debt AS d WHERE d.member_id = forward_points.member_id
                            AND d.points_type = forward_points.points_type) THEN
    -- what was paid since was paid for its own first, then for the others in the order they have here
    foreign_debt := 0;
    FOR move IN
      SELECT d.owner, d.points, k.root AS to_member FROM crm_member.merged_debt AS d
        JOIN crm_member.member_kin AS k ON k.member_id = d.owner
       WHERE d.member_id = forward_points.member_id AND d.points_type = forward_points.points_type ORDER BY d.owner
    LOOP
      IF least(move.points, owed - foreign_debt) <= 0 THEN
        DELETE FROM crm_member.merged_debt AS d WHERE d.member_id = forward_points.member_id
           AND d.points_type = forward_points.points_type AND d.owner = move.owner;
        CONTINUE;
      END IF;
      UPDATE crm_member.merged_debt AS d SET points = least(move.points, owed - foreign_debt)
       WHERE d.member_id = forward_points.member_id AND d.points_type = forward_points.points_type
         AND d.owner = move.owner AND d.points > owed - foreign_debt;
      move.points := least(move.points, owed - foreign_debt);
      foreign_debt := foreign_debt + move.points;
      IF move.to_member <> forward_points.member_id THEN
        PERFORM crm_member.lock_account(move.to_member, forward_points.points_type);
        PERFORM crm_member.move_debt(forward_points.member_id, move.to_member, forward_points.points_type,
                                     move.points, move.owner, forward_points.at, forward_points.reason, forward_points.actor);
        moved := moved || jsonb_build_object('points_type', forward_points.points_type,
          'from', forward_points.member_id, 'to', move.to_member, 'debt', move.points);
      END IF;
    END LOOP;
    IF owed > foreign_debt AND root <> forward_points.member_id THEN
      PERFORM crm_member.move_debt(forward_points.member_id, root, forward_points.points_type,
                                   owed - foreign_debt, forward_points.member_id, forward_points.at,
                                   forward_points.reason, forward_points.actor);
      moved := moved || jsonb_build_object('points_type', forward_points.points_type,
        'from', forward_points.member_id, 'to', root, 'debt', owed - foreign_debt);
    END IF;
  END IF;
  RETURN moved;
END
$$;

COMMENT ON FUNCTION crm_member.forward_points(bigint, text, timestamptz, text, text) IS
  'Bring what lies in an account, which is locked, and is another''s by the live merges to that one''s account; returns what moved';

CREATE FUNCTION crm_member.fetch_points(
  member_id bigint, points_type text, lot_no bigint, points numeric, at timestamptz, reason text, actor text) RETURNS numeric
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  root bigint;
  fetched numeric := 0;
  lots bigint[];
  amounts numeric[];
BEGIN
  LOOP
    SELECT k.root INTO root FROM crm_member.member_kin AS k WHERE k.member_id = fetch_points.member_id;
    IF NOT FOUND OR root = fetch_points.member_id THEN
      RETURN 0;
    END IF;
    PERFORM crm_member.lock_account(root, fetch_points.points_type);
    EXIT WHEN root = (SELECT k.root FROM crm_member.member_kin AS k WHERE k.member_id = fetch_points.member_id);
  END LOOP;
  SELECT array_agg(s.lot_no), array_agg(least(s.remaining, fetch_points.points - s.before))
    INTO lots, amounts
    FROM (SELECT l.lot_no, l.remaining,
                 sum(l.remaining) OVER (ORDER BY (l.birth_member, l.birth_lot) IS NOT DISTINCT FROM (fetch_points.member_id, fetch_points.lot_no) DESC,
                                                 l.available_at > now(), l.expires_at, l.earned_at, l.lot_no) - l.remaining AS before
            FROM crm_member.points_lot AS l
            JOIN crm_member.points_account AS a ON a.member_id = l.member_id AND a.points_type = l.points_type
           WHERE l.member_id = root AND l.points_type = fetch_points.points_type AND l.open
             AND l.expires_at > greatest(a.expired_to, now())
             AND l.expires_at > (SELECT o.expired_to FROM crm_member.points_account AS o
                                  WHERE o.member_id = fetch_points.member_id AND o.points_type = fetch_points.points_type)) AS s
   WHERE s.before < fetch_points.points;
  IF lots IS NOT NULL THEN
    fetched := crm_member.move_points(root, fetch_points.member_id, fetch_points.points_type, lots, amounts,
                                      fetch_points.at, fetch_points.reason, fetch_points.actor);
  END IF;
  RETURN fetched;
END
$$;

COMMENT ON FUNCTION crm_member.fetch_points(bigint, text, bigint, numeric, timestamptz, text, text) IS
  'Bring so many points, as far as they are there, from the survivor to the account of a merged member, which is locked, so that something can be undone there: first what was granted as lot_no. Returns how many';

-- What a merge takes along: see table merge_part --------------------------------------------------

CREATE FUNCTION crm_member.lock_points(members bigint[], roots bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  account record;
BEGIN
  -- aliases before roots: who forwards from an alias waits for its root too
  FOR account IN
    SELECT m.member_id, t.points_type, k.root <> k.member_id AS closed
      FROM unnest(members) AS m (member_id)
     CROSS JOIN LATERAL (SELECT * FROM crm_member.member_kin AS k WHERE k.member_id = m.member_id OFFSET 0) AS k
     CROSS JOIN crm_member.points_type AS t
     ORDER BY m.member_id = ANY (lock_points.roots), m.member_id, t.points_type
  LOOP
    INSERT INTO crm_member.points_account AS a (member_id, points_type, closed)
    VALUES (account.member_id, account.points_type, account.closed)
    ON CONFLICT (member_id, points_type) DO UPDATE SET closed = excluded.closed;
  END LOOP;
END
$$;

COMMENT ON FUNCTION crm_member.lock_points(bigint[], bigint[]) IS
  'Part points of merges: locks the accounts, closes those of merged members and opens those of survivors';

CREATE FUNCTION crm_member.merge_points(members bigint[], roots bigint[], reason text, actor text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  moved jsonb := '[]';
  account record;
BEGIN
  FOR account IN
    SELECT a.member_id, a.points_type
      FROM unnest(members) AS m (member_id)
     CROSS JOIN LATERAL (SELECT * FROM crm_member.points_account AS a WHERE a.member_id = m.member_id OFFSET 0) AS a
     WHERE a.debt > 0 OR a.entry_no > 0 AND EXISTS (
             SELECT FROM crm_member.points_lot AS l
              WHERE l.member_id = a.member_id AND l.points_type = a.points_type AND l.open OFFSET 0)
     ORDER BY a.member_id, a.points_type
  LOOP
    moved := moved || crm_member.forward_points(account.member_id, account.points_type, now(), merge_points.reason, merge_points.actor);
  END LOOP;
  -- a survivor's next spending looks at holds of the others that have timed out
  FOR account IN
    SELECT k.root, h.points_type, min(h.expires_at) AS expires_at
      FROM unnest(members) AS m (member_id)
     CROSS JOIN LATERAL (SELECT * FROM crm_member.points_hold AS h WHERE h.member_id = m.member_id AND h.held > 0 OFFSET 0) AS h
     CROSS JOIN LATERAL (SELECT * FROM crm_member.member_kin AS k WHERE k.member_id = m.member_id OFFSET 0) AS k
     GROUP BY 1, 2
  LOOP
    UPDATE crm_member.points_account AS a SET hold_expires_at = account.expires_at
     WHERE a.member_id = account.root AND a.points_type = account.points_type AND a.hold_expires_at > account.expires_at;
  END LOOP;
  RETURN moved;
END
$$;

COMMENT ON FUNCTION crm_member.merge_points(bigint[], bigint[], text, text) IS
  'Part points of merges: moves lots and debts to whose they are';

CREATE FUNCTION crm_member.merge_points_totals(members bigint[]) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN (
  SELECT coalesce(jsonb_object_agg(a.points_type, jsonb_build_object('balance', a.balance, 'debt', a.debt)), '{}')
    FROM (SELECT a.points_type, sum(a.balance) AS balance, sum(a.debt) AS debt FROM crm_member.points_account AS a
           WHERE a.member_id = ANY (members) GROUP BY 1 HAVING bool_or(a.entry_no > 0)) AS a);
END
$$;

COMMENT ON FUNCTION crm_member.merge_points_totals(bigint[]) IS 'Balance and debt of these members together, by points type';

CREATE FUNCTION crm_member.merge_holds_totals(members bigint[]) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN (
  SELECT coalesce(jsonb_object_agg(h.points_type, h.held), '{}')
    FROM (SELECT h.points_type, sum(h.held) AS held FROM crm_member.points_hold AS h
           WHERE h.member_id = ANY (members) AND h.held > 0 GROUP BY 1) AS h);
END
$$;

COMMENT ON FUNCTION crm_member.merge_holds_totals(bigint[]) IS 'Points that these members hold together, by points type; holds stay where they were made';

CREATE FUNCTION crm_member.merge_sales_totals(members bigint[]) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN (
  SELECT jsonb_build_object('count', count(*), 'payable', coalesce(sum(s.payable), 0))
    FROM crm_member.sale AS s WHERE s.member_id = ANY (members));
END
$$;

COMMENT ON FUNCTION crm_member.merge_sales_totals(bigint[]) IS 'Sales of these members together, and what was paid for them';

CREATE FUNCTION crm_member.merge_identities_totals(members bigint[]) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN (
  SELECT jsonb_build_object('count', count(*)) FROM crm_member.identity AS i WHERE i.member_id = ANY (members));
END
$$;

COMMENT ON FUNCTION crm_member.merge_identities_totals(bigint[]) IS 'How many identities these members have together';

CREATE FUNCTION crm_member.merge_cards_totals(members bigint[]) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN (
  SELECT coalesce(jsonb_object_agg(c.state, c.n), '{}')
    FROM (SELECT c.state, count(*) AS n FROM crm_member.card AS c WHERE c.member_id = ANY (members) GROUP BY 1) AS c);
END
$$;

COMMENT ON FUNCTION crm_member.merge_cards_totals(bigint[]) IS 'How many cards these members have together, by state';

CREATE FUNCTION crm_member.merge_coupons_totals(members bigint[]) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT coalesce(jsonb_object_agg(c.status, c.n), '{}')
      FROM (SELECT c.status, count(*) AS n FROM unnest(members) AS m (member_id)
             CROSS JOIN LATERAL (SELECT c.status FROM crm_member.coupon AS c WHERE c.member_id = m.member_id OFFSET 0) AS c
             GROUP BY 1) AS c);
END
$$;

COMMENT ON FUNCTION crm_member.merge_coupons_totals(bigint[]) IS 'How many coupons were issued to these members together, by status';

CREATE FUNCTION crm_member.family_uses(root bigint, OUT template_code text, OUT uses bigint) RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT u.template_code, count(*)
    FROM (SELECT family_uses.root AS member_id
          UNION SELECT k.member_id FROM crm_member.member_kin AS r
           CROSS JOIN LATERAL (SELECT * FROM crm_member.member_kin AS k WHERE k.kin = r.kin OFFSET 0) AS k
           WHERE r.member_id = family_uses.root AND k.root = r.member_id) AS m
   CROSS JOIN LATERAL (SELECT u.template_code FROM crm_member.coupon_use AS u
                        WHERE u.member_id = m.member_id AND u.returned_at IS NULL OFFSET 0) AS u
   CROSS JOIN LATERAL (SELECT FROM crm_member.coupon_template AS t
                        WHERE t.template_code = u.template_code AND t.member_limit IS NOT NULL OFFSET 0) AS t
   GROUP BY 1 ORDER BY 1;
END
$$;

COMMENT ON FUNCTION crm_member.family_uses(bigint) IS
  'Redemptions in force of templates with member_limit, by a member and all that are merged into it together';

CREATE FUNCTION crm_member.lock_limits(members bigint[], roots bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  INSERT INTO crm_member.coupon_tally AS t (member_id, template_code, uses)
  SELECT r.root, u.template_code, u.uses
    FROM unnest(roots) AS r (root) CROSS JOIN LATERAL crm_member.family_uses(r.root) AS u
   WHERE r.root = ANY (members) ORDER BY 1, 2
  ON CONFLICT (member_id, template_code) DO UPDATE SET uses = t.uses;
  PERFORM FROM crm_member.coupon_tally AS t WHERE t.member_id = ANY (members) ORDER BY t.member_id, t.template_code FOR UPDATE;
  PERFORM FROM crm_member.points_rule_use AS u WHERE u.member_id = ANY (members) ORDER BY u.member_id, u.rule_code, u.period FOR UPDATE;
END
$$;

COMMENT ON FUNCTION crm_member.lock_limits(bigint[], bigint[]) IS
  'Part limits of merges: locks what these members have used of limits a member has';

CREATE FUNCTION crm_member.merge_limits(members bigint[], roots bigint[], reason text, actor text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  own record;
BEGIN
  -- what a survivor used counts the uses of all that are merged into it
  UPDATE crm_member.coupon_tally AS t SET uses = coalesce(u.uses, 0)
    FROM crm_member.coupon_tally AS o
    LEFT JOIN LATERAL (SELECT f.uses FROM crm_member.family_uses(o.member_id) AS f WHERE f.template_code = o.template_code) AS u ON true
   WHERE o.member_id = ANY (members) AND o.member_id = ANY (roots)
     AND t.member_id = o.member_id AND t.template_code = o.template_code AND t.uses <> coalesce(u.uses, 0);

  FOR own IN DELETE FROM crm_member.merged_use AS d WHERE d.member_id = ANY (members) RETURNING d.* LOOP
    UPDATE crm_member.points_rule_use AS u SET points = u.points - own.points
     WHERE u.member_id = own.member_id AND u.rule_code = own.rule_code AND u.period = own.period;
  END LOOP;
  FOR own IN
    SELECT k.root, u.rule_code, u.period, u.points, u.member_id
      FROM unnest(roots) AS r (root)
     CROSS JOIN LATERAL (SELECT x.kin FROM crm_member.member_kin AS x WHERE x.member_id = r.root OFFSET 0) AS x
     CROSS JOIN LATERAL (SELECT * FROM crm_member.member_kin AS k WHERE k.kin = x.kin OFFSET 0) AS k
     CROSS JOIN LATERAL (SELECT * FROM crm_member.points_rule_use AS u WHERE u.member_id = k.member_id OFFSET 0) AS u
     WHERE r.root = ANY (members) AND k.root = r.root AND k.member_id <> r.root AND u.points > 0
     ORDER BY 1, 2, 3, 5
  LOOP
    INSERT INTO crm_member.merged_use (member_id, owner, rule_code, period, points)
    VALUES (own.root, own.member_id, own.rule_code, own.period, own.points);
    INSERT INTO crm_member.points_rule_use AS u (member_id, rule_code, period, points)
    VALUES (own.root, own.rule_code, own.period, own.points)
    ON CONFLICT (member_id, rule_code, period) DO UPDATE SET points = u.points + excluded.points;
  END LOOP;
  RETURN '[]';
END
$$;

COMMENT ON FUNCTION crm_member.merge_limits(bigint[], bigint[], text, text) IS
  'Part limits of merges: limits a member has count, for each survivor, what all that are merged into it have used. Being over a limit is no error: only more is refused';

CREATE FUNCTION crm_member.merge_limits_totals(members bigint[]) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN (
    SELECT jsonb_build_object('redemptions', count(*)) FROM unnest(members) AS m (member_id)
     CROSS JOIN LATERAL (SELECT FROM crm_member.coupon_use AS u WHERE u.member_id = m.member_id AND u.returned_at IS NULL OFFSET 0) AS u);
END
$$;

COMMENT ON FUNCTION crm_member.merge_limits_totals(bigint[]) IS 'Redemptions in force of these members together';

CREATE FUNCTION crm_member.merge_totals(members bigint[], moving boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  part record;
  answer jsonb;
  totals jsonb := '{}';
BEGIN
  FOR part IN SELECT p.part, p.totals::regproc AS totals FROM crm_member.merge_part AS p
               WHERE (p.follow IS NOT NULL) = moving ORDER BY p.position, p.part
  LOOP
    EXECUTE format('SELECT %s($1)', part.totals) INTO answer USING members;
    totals := totals || jsonb_build_object(part.part, answer);
  END LOOP;
  RETURN totals;
END
$$;

COMMENT ON FUNCTION crm_member.merge_totals(bigint[], boolean) IS
  'What these members have together, by part of table merge_part: parts that move, or those that stay and are found';

-- The golden record --------------------------------------------------------------------------------

CREATE FUNCTION crm_member.read_profile(member_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
#variable_conflict use_column
BEGIN
  RETURN (
  SELECT jsonb_build_object(
           'joined_at', m.joined_at AT TIME ZONE 'UTC', 'tags', to_jsonb(m.tags), 'attrs', m.attrs,
           'person', p.member_id IS NOT NULL,
           'name', p.name, 'mobile', p.mobile, 'email', p.email, 'birthday', p.birthday, 'gender', p.gender,
           'tier', (SELECT to_jsonb(t) - 'member_id'
                      FROM crm_member.member_tier AS t WHERE t.member_id = m.member_id))
    FROM crm_member.member AS m LEFT JOIN crm_member.person AS p ON p.member_id = m.member_id
   WHERE m.member_id = read_profile.member_id);
END
$$;

COMMENT ON FUNCTION crm_member.read_profile(bigint) IS 'What the rows of a member say that a merge chooses from';

CREATE FUNCTION crm_member.write_profile(member_id bigint, profile jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
#variable_conflict use_column
DECLARE
  wanted CONSTANT jsonb := profile;
  present CONSTANT jsonb := crm_member.read_profile(write_profile.member_id);
BEGIN
  IF (wanted->'joined_at', wanted->'tags', wanted->'attrs') <> (present->'joined_at', present->'tags', present->'attrs') THEN
    UPDATE crm_member.member AS m
       SET joined_at = (wanted->>'joined_at')::timestamp AT TIME ZONE 'UTC',
           tags = ARRAY(SELECT jsonb_array_elements_text(wanted->'tags')),
           attrs = wanted->'attrs'
     WHERE m.member_id = write_profile.member_id;
  END IF;
  IF (wanted->'person')::boolean AND NOT (present->'person')::boolean THEN
    INSERT INTO crm_member.person (member_id) VALUES (write_profile.member_id);
  END IF;
  IF NOT (wanted->'person')::boolean THEN
    DELETE FROM crm_member.person AS p WHERE p.member_id = write_profile.member_id;
  ELSIF (wanted->'name', wanted->'mobile', wanted->'email', wanted->'birthday', wanted->'gender')
     IS DISTINCT FROM (present->'name', present->'mobile', present->'email', present->'birthday', present->'gender') THEN
    UPDATE crm_member.person AS p
       SET name = wanted->>'name', mobile = wanted->>'mobile', email = wanted->>'email',
           birthday = (wanted->>'birthday')::date, gender = wanted->>'gender'
     WHERE p.member_id = write_profile.member_id;
  END IF;
  IF wanted->'tier' IS DISTINCT FROM present->'tier' THEN
    DELETE FROM crm_member.member_tier AS t WHERE t.member_id = write_profile.member_id;
    INSERT INTO crm_member.member_tier
    SELECT (jsonb_populate_record(NULL::crm_member.member_tier,
                                  wanted->'tier' || jsonb_build_object('member_id', write_profile.member_id))).*
     WHERE wanted->>'tier' IS NOT NULL;
  END IF;
END
$$;

COMMENT ON FUNCTION crm_member.write_profile(bigint, jsonb) IS 'Make the rows of a member say what a profile says; what they say already is not written';

CREATE FUNCTION crm_member.own_profile(member_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN (
  SELECT CASE WHEN g.member_id IS NULL THEN present.profile
              ELSE (SELECT jsonb_object_agg(f.key, CASE WHEN f.value = g.golden->f.key THEN g.own->f.key ELSE f.value END)
                      FROM jsonb_each(present.profile) AS f) END
    FROM (SELECT crm_member.read_profile(own_profile.member_id) AS profile) AS present
    LEFT JOIN crm_member.golden_record AS g ON g.member_id = own_profile.member_id);
END
$$;

COMMENT ON FUNCTION crm_member.own_profile(bigint) IS
  'What a member says itself: of a survivor, the fields that were edited since they were chosen, and else what it said before others were merged into it';

-- A source is better the higher its rank under the rule of the field; the survivor, then the earliest member, decides among equals.
CREATE FUNCTION crm_member.choose_profile(root bigint, sources jsonb, rules jsonb, OUT profile jsonb, OUT chosen jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  field text;
  rule jsonb;
  value jsonb;
  source bigint;
  address CONSTANT text[] := '{country,province,city,district,street,address,postcode}';
BEGIN
  profile := sources->root::text;
  chosen := '{}';
  FOREACH field IN ARRAY '{name,mobile,email,birthday,gender,joined_at,tier}'::text[] LOOP
    rule := coalesce(rules->field, CASE field WHEN 'joined_at' THEN '"min"'::jsonb WHEN 'tier' THEN '"max"' ELSE '"survivor"' END);
    SELECT s.member, s.value INTO source, value
      FROM (SELECT f.key::bigint AS member, f.value->field AS value, (f.value->>'joined_at')::timestamp AS joined,
                   count(*) OVER (PARTITION BY f.value->field) AS times
              FROM jsonb_each(sources) AS f WHERE f.value->>field IS NOT NULL) AS s
     ORDER BY CASE WHEN jsonb_typeof(rule) = 'number' THEN s.member = (rule #>> '{}')::bigint END DESC NULLS LAST,
              CASE WHEN field = 'tier' AND rule = '"max"'
                   THEN (SELECT t.rank FROM crm_member.tier AS t WHERE t.tier_code = s.value->>'tier_code') END DESC NULLS LAST,
              CASE rule #>> '{}' WHEN 'longest' THEN length(s.value #>> '{}') WHEN 'frequent' THEN s.times END DESC NULLS LAST,
              CASE rule #>> '{}' WHEN 'earliest' THEN s.joined END,
              CASE rule #>> '{}' WHEN 'latest' THEN s.joined END DESC NULLS LAST,
              CASE WHEN rule = '"min"' THEN s.value #>> '{}' END COLLATE "C",
              CASE WHEN rule = '"max"' AND field <> 'tier' THEN s.value #>> '{}' END COLLATE "C" DESC NULLS LAST,
              s.member = root DESC, s.joined, s.member
     LIMIT 1;
    IF FOUND THEN
      profile := profile || jsonb_build_object(field, value);
      chosen := chosen || jsonb_build_object(field, source);
    END IF;
  END LOOP;
  -- tags are united; of the attributes, those that make an address come from one source
  profile := profile || jsonb_build_object(
    'person', (SELECT bool_or((f.value->'person')::boolean) FROM jsonb_each(sources) AS f),
    'tags', (SELECT coalesce(jsonb_agg(t.tag ORDER BY t.tag), '[]')
               FROM (SELECT DISTINCT jsonb_array_elements_text(f.value->'tags') COLLATE "C" AS tag FROM jsonb_each(sources) AS f) AS t),
    'attrs', (
      WITH source AS (
        SELECT f.value->'attrs' AS attrs,
               row_number() OVER (ORDER BY f.key::bigint = root DESC, (f.value->>'joined_at')::timestamp, f.key::bigint) AS place
          FROM jsonb_each(sources) AS f
      ), addressed AS (SELECT min(s.place) AS place FROM source AS s WHERE s.attrs ?| address)
      SELECT coalesce(jsonb_object_agg(a.key, a.value), '{}')
        FROM (SELECT DISTINCT ON (e.key) e.key, e.value FROM source AS s
               CROSS JOIN LATERAL jsonb_each(s.attrs) AS e CROSS JOIN addressed AS d
               WHERE NOT e.key = ANY (address) OR s.place = d.place
               ORDER BY e.key, s.place) AS a));
END
$$;

COMMENT ON FUNCTION crm_member.choose_profile(bigint, jsonb, jsonb) IS
  'The golden record: of the profiles of members, an object of member to profile, the value of each field by its rule, and the member it came from';

CREATE FUNCTION crm_member.refresh_golden(root bigint, family bigint[], rules jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  own CONSTANT jsonb := crm_member.own_profile(refresh_golden.root);
  all_sources jsonb;
  golden record;
BEGIN
  SELECT jsonb_object_agg(m.member_id::text, CASE WHEN m.member_id = refresh_golden.root THEN own
                                                  ELSE crm_member.own_profile(m.member_id) END) INTO all_sources
    FROM unnest(refresh_golden.family) AS m (member_id);
  SELECT * INTO golden FROM crm_member.choose_profile(refresh_golden.root, all_sources, refresh_golden.rules);
  PERFORM crm_member.write_profile(refresh_golden.root, golden.profile);
  INSERT INTO crm_member.golden_record (member_id, own, golden, sources)
  VALUES (refresh_golden.root, own, crm_member.read_profile(refresh_golden.root), golden.chosen)
  ON CONFLICT (member_id) DO UPDATE SET own = excluded.own, golden = excluded.golden, sources = excluded.sources;
  RETURN golden.chosen;
END
$$;

COMMENT ON FUNCTION crm_member.refresh_golden(bigint, bigint[], jsonb) IS
  'Choose the golden record of a survivor anew and write it into its rows; returns the source of each field';

CREATE FUNCTION crm_member.restore_profile(member_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  PERFORM crm_member.write_profile(restore_profile.member_id, crm_member.own_profile(restore_profile.member_id));
  DELETE FROM crm_member.golden_record AS g WHERE g.member_id = restore_profile.member_id;
END
$$;

COMMENT ON FUNCTION crm_member.restore_profile(bigint) IS
  'Give a member that survives no merge any more its own values back, but for what was edited since';

-- Who is who ---------------------------------------------------------------------------------------

CREATE FUNCTION crm_member.merged_roots(kin bigint, OUT member_id bigint, OUT parent bigint, OUT root bigint) RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  members bigint[];
  parents bigint[];
  edge record;
  child int;
  target int;
BEGIN
  SELECT array_agg(k.member_id ORDER BY k.member_id) INTO members
    FROM crm_member.member_kin AS k WHERE k.kin = merged_roots.kin;
  parents := array_fill(NULL::bigint, ARRAY[cardinality(members)]);
  FOR edge IN
    SELECT e.member_id, e.survivor
      FROM unnest(members) AS m (member_id)
     CROSS JOIN LATERAL (SELECT * FROM crm_member.merge_edge AS e
                          WHERE e.member_id = m.member_id AND e.undone_by IS NULL OFFSET 0) AS e
     ORDER BY e.position
  LOOP
    child := array_position(members, edge.member_id);
    WHILE parents[child] IS NOT NULL LOOP
      child := array_position(members, parents[child]);
    END LOOP;
    target := array_position(members, edge.survivor);
    WHILE parents[target] IS NOT NULL LOOP
      target := array_position(members, parents[target]);
    END LOOP;
    IF child <> target THEN
      parents[child] := members[target];
    END IF;
  END LOOP;
  FOR i IN 1 .. cardinality(members) LOOP
    target := i;
    WHILE parents[target] IS NOT NULL LOOP
      target := array_position(members, parents[target]);
    END LOOP;
    member_id := members[i];
    parent := parents[i];
    root := members[target];
    RETURN NEXT;
  END LOOP;
END
$$;

COMMENT ON FUNCTION crm_member.merged_roots(bigint) IS
  'What the live edges alone, in their order, say of members that were ever merged with one another: whom each is merged into (NULL: nobody) and who it is in the end';

CREATE FUNCTION crm_member.apply_merges(kin bigint, reason text, actor text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  members bigint[];
  parents bigint[];
  now_root bigint[];
  changed bigint[] := '{}';
  roots bigint[];
  before jsonb;
  after jsonb;
  moved jsonb := '{}';
  answer jsonb;
  golden jsonb := '{}';
  rules jsonb;
  part record;
  item record;
BEGIN
  SELECT array_agg(r.member_id), array_agg(r.parent), array_agg(r.root) INTO members, parents, now_root
    FROM crm_member.merged_roots(apply_merges.kin) AS r;
  FOR i IN 1 .. cardinality(members) LOOP
    UPDATE crm_member.member_kin AS k SET root = now_root[i]
     WHERE k.member_id = members[i] AND k.root <> now_root[i];
    IF FOUND THEN
      changed := changed || members[i];
    END IF;
    SELECT m.status, m.merged_into INTO item FROM crm_member.member AS m WHERE m.member_id = members[i];
    IF item.merged_into IS DISTINCT FROM parents[i] THEN
      UPDATE crm_member.member_kin AS k SET status = item.status WHERE k.member_id = members[i] AND item.status <> 'merged';
      UPDATE crm_member.member AS m
         SET merged_into = parents[i],
             status = CASE WHEN parents[i] IS NOT NULL THEN 'merged'
                           ELSE (SELECT k.status FROM crm_member.member_kin AS k WHERE k.member_id = members[i]) END
       WHERE m.member_id = members[i];
      changed := changed || members[i];
    END IF;
  END LOOP;
  -- survivors, now and before
  SELECT array_agg(DISTINCT r) INTO roots FROM unnest(now_root) AS r;
  SELECT array_agg(DISTINCT r ORDER BY r) INTO changed FROM unnest(changed || roots) AS r;

  FOR part IN SELECT p.prepare::regproc AS prepare FROM crm_member.merge_part AS p WHERE p.prepare IS NOT NULL ORDER BY p.position, p.part
  LOOP
    EXECUTE format('SELECT %s($1, $2)', part.prepare) USING changed, roots;
  END LOOP;
  before := crm_member.merge_totals(changed, true);
  FOR part IN SELECT p.part, p.follow::regproc AS follow FROM crm_member.merge_part AS p WHERE p.follow IS NOT NULL ORDER BY p.position, p.part
  LOOP
    EXECUTE format('SELECT %s($1, $2, $3, $4)', part.follow) INTO answer USING changed, roots, apply_merges.reason, apply_merges.actor;
    moved := moved || jsonb_build_object(part.part, answer);
  END LOOP;
  after := crm_member.merge_totals(changed, true);
  IF after <> before THEN
    RAISE EXCEPTION 'merging would change what the members have together'
      USING ERRCODE = 'RM612', DETAIL = format('Before: %s. After: %s.', before, after);
  END IF;

  -- who survives nobody any more gets its own values back before those of others are chosen
  FOR item IN
    SELECT g.member_id
      FROM unnest(members) AS m (member_id)
     CROSS JOIN LATERAL (SELECT * FROM crm_member.golden_record AS g WHERE g.member_id = m.member_id OFFSET 0) AS g
     WHERE NOT EXISTS (SELECT FROM unnest(members, now_root) AS r (member_id, root)
                        WHERE r.root = g.member_id AND r.member_id <> r.root)
     ORDER BY 1
  LOOP
    PERFORM crm_member.restore_profile(item.member_id);
  END LOOP;
  FOR item IN
    SELECT r.root, array_agg(r.member_id ORDER BY r.member_id) AS family
      FROM unnest(members, now_root) AS r (member_id, root) GROUP BY 1 HAVING count(*) > 1 ORDER BY 1
  LOOP
    SELECT coalesce(jsonb_object_agg(f.key, f.value ORDER BY e.position), '{}') INTO rules
      FROM unnest(item.family) AS m (member_id)
     CROSS JOIN LATERAL (SELECT * FROM crm_member.merge_edge AS e
                          WHERE e.member_id = m.member_id AND e.undone_by IS NULL OFFSET 0) AS e
     CROSS JOIN LATERAL jsonb_each(e.fields) AS f;
    golden := golden || jsonb_build_object(item.root::text, crm_member.refresh_golden(item.root, item.family, rules));
  END LOOP;
  RETURN jsonb_build_object(
    'families', (SELECT jsonb_agg(jsonb_build_object('survivor', f.root, 'members', f.members) ORDER BY f.root)
                   FROM (SELECT r.root, jsonb_agg(r.member_id ORDER BY r.member_id) AS members
                           FROM unnest(members, now_root) AS r (member_id, root) GROUP BY 1) AS f),
    'moved', moved, 'totals', jsonb_build_object('before', before, 'after', after),
    'kept', crm_member.merge_totals(members, false), 'golden', golden);
END
$$;

COMMENT ON FUNCTION crm_member.apply_merges(bigint, text, text) IS
  'Make everything of members that were ever merged with one another what the live edges say, and report it; their rows in member are locked. Error RM612 where that would change what they have together';

CREATE FUNCTION crm_member.lock_members(members bigint[], OUT roots bigint[]) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  again bigint[];
BEGIN
  LOOP
    SELECT array_agg(DISTINCT c.root ORDER BY c.root) INTO roots
      FROM (SELECT crm_member.canonical_member(u.member_id) AS root FROM unnest(members) AS u (member_id)) AS c;
    BEGIN
      PERFORM FROM crm_member.member AS m WHERE m.member_id = ANY (roots) ORDER BY m.member_id FOR NO KEY UPDATE;
      SELECT array_agg(DISTINCT c.root ORDER BY c.root) INTO again
        FROM (SELECT crm_member.canonical_member(u.member_id) AS root FROM unnest(members) AS u (member_id)) AS c;
      IF again <> roots THEN
        RAISE EXCEPTION USING ERRCODE = 'RM699';
      END IF;
      RETURN;
    EXCEPTION WHEN SQLSTATE 'RM699' THEN
      -- merged meanwhile: rolled back, so that locks are taken in order again
      NULL;
    END;
  END LOOP;
END
$$;

COMMENT ON FUNCTION crm_member.lock_members(bigint[]) IS
  'Lock the members that these are after merges, in order, until the end of the transaction, and return them';

CREATE FUNCTION crm_member.choose_survivor(members bigint[]) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN (
  SELECT m.member_id FROM crm_member.member AS m
   WHERE m.member_id = ANY (members)
   ORDER BY EXISTS (SELECT FROM crm_member.identity AS i WHERE i.member_id = m.member_id AND i.kind = 'mobile') DESC,
            m.joined_at, m.member_id
   LIMIT 1);
END
$$;

COMMENT ON FUNCTION crm_member.choose_survivor(bigint[]) IS
  'Of these members the one others are merged into where the caller does not say: who is found by a mobile, then who joined first, then the lowest number';

CREATE FUNCTION crm_member.merge_pairs(members bigint[], roots bigint[], OUT verdict text, OUT evidence jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  WITH one AS (
    SELECT u.member_id::text AS key, u.root FROM unnest(members, roots) AS u (member_id, root)
  )
  SELECT (SELECT min(v.left_key || ' and ' || v.right_key)
            FROM one AS a
           CROSS JOIN LATERAL (SELECT * FROM crm_member.match_verdict AS v
                                WHERE v.model_code = 'member' AND v.left_key = a.key AND v.verdict = 'different' OFFSET 0) AS v
            JOIN one AS b ON b.key = v.right_key
           WHERE a.root <> b.root),
         (SELECT coalesce(jsonb_agg(jsonb_build_object('model_code', p.model_code, 'left_key', p.left_key, 'right_key', p.right_key,
                   'probability', p.probability, 'weight', p.weight, 'decision', p.decision, 'evidence', p.evidence)
                   ORDER BY p.model_code, p.left_key, p.right_key), '[]')
            FROM one AS a
           CROSS JOIN LATERAL (SELECT * FROM crm_member.duplicate_pair AS p
                                WHERE p.model_code = 'member' AND p.left_key = a.key OFFSET 0) AS p
            JOIN one AS b ON b.key = p.right_key
           WHERE a.root <> b.root)
    INTO verdict, evidence;
END
$$;

COMMENT ON FUNCTION crm_member.merge_pairs(bigint[], bigint[]) IS
  'What is known about pairs of members that are not one yet: such a pair that was judged different, NULL if none, and the evidence of matching';

CREATE FUNCTION crm_member.check_merge_policy(policy jsonb, act text) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known CONSTANT text[] := CASE act WHEN 'merge' THEN '{fields,override_distinct}'::text[] ELSE '{negative,reason,only}'::text[] END;
  bad text;
BEGIN
  IF policy IS NULL OR jsonb_typeof(policy) <> 'object' THEN
    RAISE EXCEPTION 'policy is not a JSON object' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT k INTO bad FROM jsonb_object_keys(policy) AS k WHERE k <> ALL (known) ORDER BY 1 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'policy has no key "%"', bad
      USING ERRCODE = 'invalid_parameter_value', HINT = format('It has %s.', array_to_string(known, ', '));
  END IF;
  IF policy ? 'fields' THEN
    SELECT f.key INTO bad FROM jsonb_each(policy->'fields') AS f
     WHERE f.key NOT IN ('name', 'mobile', 'email', 'birthday', 'gender', 'joined_at', 'tier')
        OR NOT (jsonb_typeof(f.value) = 'number'
                OR f.value #>> '{}' IN ('survivor', 'earliest', 'latest', 'longest', 'frequent', 'min', 'max'))
     ORDER BY 1 LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'policy for field "%" is not known', bad
        USING ERRCODE = 'invalid_parameter_value',
              HINT = 'Fields are name, mobile, email, birthday, gender, joined_at and tier; a rule is survivor, earliest, latest, longest, frequent, min, max or the number of a member.';
    END IF;
  END IF;
  IF policy->>'negative' NOT IN ('allow', 'survivor', 'refuse') THEN
    RAISE EXCEPTION 'policy "negative" is allow, survivor or refuse' USING ERRCODE = 'invalid_parameter_value';
  END IF;
END
$$;

COMMENT ON FUNCTION crm_member.check_merge_policy(jsonb, text) IS 'Error 22023 for a policy that merge_members() or unmerge() do not know';

CREATE FUNCTION crm_member.merge_done(ref text, fingerprint bigint) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  done record;
BEGIN
  SELECT m.fingerprint, m.report INTO done FROM crm_member.member_merge AS m WHERE m.ref = merge_done.ref;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  IF done.fingerprint <> merge_done.fingerprint THEN
    RAISE EXCEPTION 'reference "%" was used for another merge', ref
      USING ERRCODE = 'RM001', HINT = 'A repeated call must say the same; a new act needs a new ref.';
  END IF;
  RETURN done.report;
END
$$;

COMMENT ON FUNCTION crm_member.merge_done(text, bigint) IS
  'What a merge or unmerge under this reference answered, NULL if there was none. Error RM001 where it asked for something else';

CREATE FUNCTION crm_member.do_merge(
  survivor bigint, others bigint[], ref text, said bigint, policy jsonb, dry_run boolean, actor text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  named CONSTANT bigint[] := do_merge.others || CASE WHEN do_merge.survivor IS NULL THEN '{}' ELSE ARRAY[do_merge.survivor] END;
  this CONSTANT bigint := crm_member.new_id();
  roots bigint[];
  winner bigint;
  merged bigint[];
  kin_no bigint;
  kins bigint[];
  other_kin bigint;
  last_position bigint;
  pairs record;
  report jsonb;
BEGIN
  roots := crm_member.lock_members(named);
  report := crm_member.merge_done(do_merge.ref, said);
  IF report IS NOT NULL THEN
    RETURN report;
  END IF;
  IF cardinality(roots) = 1 THEN
    RETURN jsonb_build_object('merge_id', NULL, 'survivor', roots[1], 'merged', '[]'::jsonb, 'dry_run', do_merge.dry_run);
  END IF;
  SELECT min(m.member_id) INTO winner FROM crm_member.member AS m WHERE m.member_id = ANY (roots) AND m.status = 'cancelled';
  IF winner IS NOT NULL THEN
    RAISE EXCEPTION 'member % is cancelled', winner USING ERRCODE = 'RM102', DETAIL = 'A cancelled member is not merged.';
  END IF;
  IF (SELECT count(DISTINCT m.kind) FROM crm_member.member AS m WHERE m.member_id = ANY (roots)) > 1 THEN
    RAISE EXCEPTION 'a consumer and a dealer are not merged' USING ERRCODE = 'RM614';
  END IF;
  SELECT p.* INTO pairs
    FROM (SELECT array_agg(x.member_id) AS members, array_agg(x.root) AS roots
            FROM (SELECT r AS member_id, r AS root FROM unnest(roots) AS r
                  UNION SELECT k.member_id, k.root
                    FROM unnest(roots) AS r
                   CROSS JOIN LATERAL (SELECT o.kin FROM crm_member.member_kin AS o WHERE o.member_id = r OFFSET 0) AS o
                   CROSS JOIN LATERAL (SELECT * FROM crm_member.member_kin AS k WHERE k.kin = o.kin OFFSET 0) AS k
                   WHERE k.root = r) AS x) AS x
   CROSS JOIN LATERAL crm_member.merge_pairs(x.members, x.roots) AS p;
  IF pairs.verdict IS NOT NULL AND NOT coalesce((do_merge.policy->>'override_distinct')::boolean, false) THEN
    RAISE EXCEPTION 'members % are not the same', pairs.verdict
      USING ERRCODE = 'RM611', DETAIL = 'Somebody decided so: see table crm_member.match_verdict.',
            HINT = 'policy {"override_distinct": true} merges them nevertheless.';
  END IF;

  -- an edge for each that is merged, between members as they were named
  winner := coalesce(crm_member.canonical_member(do_merge.survivor), crm_member.choose_survivor(roots));
  SELECT array_agg(n.member_id ORDER BY n.member_id) FILTER (WHERE n.root <> winner), min(n.member_id) FILTER (WHERE n.root = winner)
    INTO merged, winner
    FROM (SELECT DISTINCT ON (c.root) u.member_id, c.root
            FROM unnest(named) AS u (member_id)
           CROSS JOIN LATERAL (SELECT crm_member.canonical_member(u.member_id) AS root) AS c
           ORDER BY c.root, u.member_id IS DISTINCT FROM do_merge.survivor, u.member_id <> c.root, u.member_id) AS n;

  INSERT INTO crm_member.member_kin (member_id, kin, root, status)
  SELECT m.member_id, m.member_id, m.member_id, m.status FROM crm_member.member AS m WHERE m.member_id = ANY (roots)
  ON CONFLICT (member_id) DO NOTHING;
  SELECT min(r.kin), array_agg(DISTINCT r.kin), coalesce(max(e.position), 0) INTO kin_no, kins, last_position
    FROM unnest(roots) AS u (member_id)
   CROSS JOIN LATERAL (SELECT r.kin FROM crm_member.member_kin AS r WHERE r.member_id = u.member_id OFFSET 0) AS r
   CROSS JOIN LATERAL (SELECT k.member_id FROM crm_member.member_kin AS k WHERE k.kin = r.kin OFFSET 0) AS k
    LEFT JOIN LATERAL (SELECT e.position FROM crm_member.merge_edge AS e WHERE e.member_id = k.member_id OFFSET 0) AS e ON true;
  FOREACH other_kin IN ARRAY kins LOOP
    UPDATE crm_member.member_kin AS k SET kin = kin_no WHERE k.kin = other_kin AND other_kin <> kin_no;
  END LOOP;
  INSERT INTO crm_member.merge_edge (member_id, merge_id, survivor, position, fields)
  SELECT u.member_id, this, winner, last_position + u.n, coalesce(do_merge.policy->'fields', '{}')
    FROM unnest(merged) WITH ORDINALITY AS u (member_id, n);

  report := jsonb_build_object(
              'merge_id', CASE WHEN NOT do_merge.dry_run THEN this END,
              'survivor', crm_member.canonical_member(winner), 'merged', to_jsonb(merged), 'dry_run', do_merge.dry_run)
         || crm_member.apply_merges(kin_no, 'merge ' || this, do_merge.actor)
         || jsonb_build_object('evidence', pairs.evidence);
  INSERT INTO crm_member.member_merge (merge_id, act, survivor, others, ref, fingerprint, policy, evidence, report, actor)
  VALUES (this, 'merge', winner, merged, do_merge.ref, said, do_merge.policy, pairs.evidence, report, do_merge.actor);
  INSERT INTO crm_member.member_event (member_id, event_id, act, detail, actor)
  SELECT u.member_id, crm_member.new_id(), 'merge', jsonb_build_object('merge_id', this, 'survivor', winner, 'merged', to_jsonb(merged)), do_merge.actor
    FROM unnest(merged || winner) AS u (member_id);
  RETURN report;
END
$$;

COMMENT ON FUNCTION crm_member.do_merge(bigint, bigint[], text, bigint, jsonb, boolean, text) IS
  'merge_members() with checked arguments; said is the hash of what was asked for';

CREATE FUNCTION crm_member.merge_members(
  survivor bigint,
  others bigint[],
  ref text DEFAULT NULL,
  policy jsonb DEFAULT '{}',
  dry_run boolean DEFAULT false,
  actor text DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  given CONSTANT bigint[] := others || CASE WHEN survivor IS NULL THEN '{}' ELSE ARRAY[survivor] END;
  said CONSTANT bigint := hashtextextended(concat_ws(':', survivor,
    (SELECT string_agg(DISTINCT u::text, ',' ORDER BY u::text) FROM unnest(others) AS u), policy), 0);
  unknown bigint;
  report jsonb;
BEGIN
  PERFORM crm_member.require_setup();
  IF others IS NULL OR array_position(others, NULL) IS NOT NULL OR dry_run IS NULL THEN
    RAISE EXCEPTION 'others and dry_run must not be NULL' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF cardinality(given) = 0 THEN
    RAISE EXCEPTION 'no member is named' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM crm_member.check_merge_policy(policy, 'merge');
  report := crm_member.merge_done(ref, said);
  IF report IS NOT NULL THEN
    RETURN report;
  END IF;
  SELECT u INTO unknown FROM unnest(given) AS u WHERE crm_member.canonical_member(u) IS NULL ORDER BY 1 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'member % is unknown', unknown
      USING ERRCODE = 'RM101', HINT = 'member_id(kind, value) finds a member by mobile, card and so on.';
  END IF;
  IF (SELECT count(DISTINCT crm_member.canonical_member(u)) FROM unnest(given) AS u) = 1 THEN
    RETURN jsonb_build_object('merge_id', NULL, 'survivor', crm_member.canonical_member(given[1]), 'merged', '[]'::jsonb, 'dry_run', dry_run);
  END IF;
  IF NOT dry_run THEN
    RETURN crm_member.do_merge(survivor, others, ref, said, policy, false, actor);
  END IF;
  BEGIN
    report := crm_member.do_merge(survivor, others, ref, said, policy, true, actor);
    RAISE EXCEPTION USING ERRCODE = 'RM699';
  EXCEPTION WHEN SQLSTATE 'RM699' THEN
    RETURN report;
  END;
END
$$;

COMMENT ON FUNCTION crm_member.merge_members(bigint, bigint[], text, jsonb, boolean, text) IS
  'Merge members into one, any number at once, and report it: merge_id, survivor, merged, families, what moved, totals before and after, golden (the member each field comes from), evidence. Nobody is deleted: the others become aliases of the survivor, which identities, cards and old numbers find from now on. survivor NULL: who is found by a mobile, then who joined first, then the lowest number; a merged member stands for its survivor. policy: {"fields": {field: rule}, "override_distinct": true}; a rule is survivor (default), earliest, latest, longest, frequent, min, max or the number of a member. dry_run: the same report, nothing written. Members that are one already: merge_id NULL, nothing written. Repeating a ref returns the first report. Errors: 22004 NULL, 22023 bad policy, RM001, RM101 unknown member, RM102 cancelled member, RM611 judged different, RM612 totals would change, RM614 consumer and dealer';

CREATE FUNCTION crm_member.do_unmerge(
  merge_id bigint, ref text, said bigint, policy jsonb, dry_run boolean, actor text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  this CONSTANT bigint := crm_member.new_id();
  done record;
  kin_no bigint;
  undone bigint[];
  report jsonb;
  negative jsonb;
  before jsonb;
  away bigint[];
BEGIN
  SELECT * INTO done FROM crm_member.member_merge AS m WHERE m.merge_id = do_unmerge.merge_id AND m.act = 'merge';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'merge % is unknown', do_unmerge.merge_id
      USING ERRCODE = 'RM610', HINT = 'Table crm_member.member_merge has the merges.';
  END IF;
  PERFORM crm_member.lock_kin(done.survivor);
  report := crm_member.merge_done(do_unmerge.ref, said);
  IF report IS NOT NULL THEN
    RETURN report;
  END IF;
  SELECT k.kin INTO kin_no FROM crm_member.member_kin AS k WHERE k.member_id = done.survivor;

  SELECT jsonb_object_agg(k.member_id::text, k.root) INTO before FROM crm_member.member_kin AS k WHERE k.kin = kin_no;
  WITH e AS (
    UPDATE crm_member.merge_edge AS e SET undone_by = this
     WHERE e.merge_id = do_unmerge.merge_id AND e.undone_by IS NULL AND e.member_id = ANY (done.others)
       AND (do_unmerge.policy->'only' IS NULL OR do_unmerge.policy->'only' @> to_jsonb(e.member_id))
    RETURNING e.member_id)
  SELECT array_agg(e.member_id ORDER BY e.member_id) INTO undone FROM e;
  IF undone IS NULL THEN
    RETURN jsonb_build_object('unmerge_id', NULL, 'merge_id', do_unmerge.merge_id, 'undone', '[]'::jsonb, 'dry_run', do_unmerge.dry_run);
  END IF;
  report := jsonb_build_object(
              'unmerge_id', CASE WHEN NOT do_unmerge.dry_run THEN this END, 'merge_id', do_unmerge.merge_id,
              'undone', to_jsonb(undone), 'dry_run', do_unmerge.dry_run)
         || crm_member.apply_merges(kin_no, 'unmerge ' || this, do_unmerge.actor);
  SELECT array_agg(k.member_id) INTO away FROM crm_member.member_kin AS k
   WHERE k.kin = kin_no AND k.root = k.member_id AND (before->>k.member_id::text)::bigint <> k.root;

  -- what the survivor spent of the others' points is theirs to bear; debts may leave them below zero
  SELECT jsonb_agg(jsonb_build_object('member_id', a.member_id, 'points_type', a.points_type, 'balance', a.balance)
                   ORDER BY a.member_id, a.points_type) INTO negative
    FROM crm_member.points_account AS a WHERE a.member_id = ANY (away) AND a.balance < 0;
  IF negative IS NOT NULL AND do_unmerge.policy->>'negative' = 'refuse' THEN
    RAISE EXCEPTION 'a member would come back with fewer than no points'
      USING ERRCODE = 'RM613', DETAIL = negative::text,
            HINT = 'policy {"negative": "allow"} leaves the debt with it, {"negative": "survivor"} with the survivor.';
  END IF;
  IF negative IS NOT NULL AND do_unmerge.policy->>'negative' = 'survivor' THEN
    PERFORM crm_member.leave_debt(a.member_id, (before->>a.member_id::text)::bigint, a.points_type, 'unmerge ' || this, do_unmerge.actor)
       FROM crm_member.points_account AS a WHERE a.member_id = ANY (away) AND a.balance < 0
      ORDER BY a.member_id, a.points_type;
  END IF;
  report := report || jsonb_build_object(
    'negative', coalesce(negative, '[]'),
    'since_merge', crm_member.activity_since(kin_no, done.at));

  INSERT INTO crm_member.member_merge (merge_id, act, of_merge, survivor, others, ref, fingerprint, policy, report, actor)
  VALUES (this, 'unmerge', do_unmerge.merge_id, done.survivor, undone, do_unmerge.ref, said, do_unmerge.policy, report, do_unmerge.actor);
  INSERT INTO crm_member.member_event (member_id, event_id, act, detail, actor)
  SELECT u.member_id, crm_member.new_id(), 'unmerge', jsonb_build_object('merge_id', do_unmerge.merge_id, 'unmerge_id', this, 'undone', to_jsonb(undone)), do_unmerge.actor
    FROM unnest(undone || done.survivor) AS u (member_id);
  PERFORM crm_member.mark_distinct(done.survivor, u.member_id, coalesce(do_unmerge.policy->>'reason', 'unmerged'), do_unmerge.actor)
     FROM unnest(undone) AS u (member_id);
  RETURN report;
END
$$;

COMMENT ON FUNCTION crm_member.do_unmerge(bigint, text, bigint, jsonb, boolean, text) IS
  'unmerge() with checked arguments; said is the hash of what was asked for';

CREATE FUNCTION crm_member.lock_kin(member_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  kin_no bigint;
BEGIN
  -- the survivors of all that were ever merged with it; their number may grow while we wait
  LOOP
    SELECT k.kin INTO kin_no FROM crm_member.member_kin AS k WHERE k.member_id = lock_kin.member_id;
    PERFORM crm_member.lock_members(ARRAY(SELECT k.member_id FROM crm_member.member_kin AS k WHERE k.kin = kin_no));
    EXIT WHEN kin_no = (SELECT k.kin FROM crm_member.member_kin AS k WHERE k.member_id = lock_kin.member_id);
  END LOOP;
END
$$;

COMMENT ON FUNCTION crm_member.lock_kin(bigint) IS
  'Lock the survivors of all members that were ever merged with this one, in order';

CREATE FUNCTION crm_member.leave_debt(
  member_id bigint, survivor bigint, points_type text, reason text, actor text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  owed numeric;
BEGIN
  SELECT least(a.debt, -a.balance) INTO owed FROM crm_member.points_account AS a
   WHERE a.member_id = leave_debt.member_id AND a.points_type = leave_debt.points_type;
  IF owed > 0 THEN
    PERFORM crm_member.move_debt(leave_debt.member_id, leave_debt.survivor, leave_debt.points_type, owed,
                                 leave_debt.survivor, now(), leave_debt.reason, leave_debt.actor);
  END IF;
END
$$;

COMMENT ON FUNCTION crm_member.leave_debt(bigint, bigint, text, text, text) IS
  'Leave with the survivor for good what a member that comes back owes beyond what it has';

CREATE FUNCTION crm_member.activity_since(kin bigint, at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN (
  SELECT coalesce(jsonb_agg(jsonb_build_object(
           'member_id', k.member_id, 'now', k.root,
           'sales', (SELECT count(*) FROM crm_member.sale AS s WHERE s.member_id = k.member_id AND s.settled_at >= activity_since.at),
           'entries', (SELECT count(*) FROM crm_member.points_entry AS e WHERE e.member_id = k.member_id
                          AND e.booked_at >= activity_since.at AND e.kind NOT IN ('merge_out', 'merge_in')),
           'identities', (SELECT count(*) FROM crm_member.identity AS i WHERE i.member_id = k.member_id AND i.bound_at >= activity_since.at),
           'cards', (SELECT count(*) FROM crm_member.card AS c WHERE c.member_id = k.member_id AND c.issued_at >= activity_since.at))
           ORDER BY k.member_id), '[]')
    FROM crm_member.member_kin AS k WHERE k.kin = activity_since.kin);
END
$$;

COMMENT ON FUNCTION crm_member.activity_since(bigint, timestamptz) IS
  'How much was done with each of these members since a moment, by the member it was done with, and whose it is now';

CREATE FUNCTION crm_member.unmerge(
  merge_id bigint,
  ref text DEFAULT NULL,
  policy jsonb DEFAULT '{}',
  actor text DEFAULT NULL,
  dry_run boolean DEFAULT false)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  said CONSTANT bigint := hashtextextended(concat_ws(':', 'unmerge', merge_id, policy), 0);
  report jsonb;
BEGIN
  PERFORM crm_member.require_setup();
  IF merge_id IS NULL OR dry_run IS NULL THEN
    RAISE EXCEPTION 'merge_id and dry_run must not be NULL' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  PERFORM crm_member.check_merge_policy(policy, 'unmerge');
  IF NOT dry_run THEN
    RETURN crm_member.do_unmerge(merge_id, ref, said, policy, false, actor);
  END IF;
  BEGIN
    report := crm_member.do_unmerge(merge_id, ref, said, policy, true, actor);
    RAISE EXCEPTION USING ERRCODE = 'RM699';
  EXCEPTION WHEN SQLSTATE 'RM699' THEN
    RETURN report;
  END;
END
$$;

COMMENT ON FUNCTION crm_member.unmerge(bigint, text, jsonb, text, boolean) IS
  'Undo a merge at any time, also one in the middle of others: afterwards everything is as the other live merges alone say. Rows of a member go back with it, what was done with the survivor stays there; points go back to whose they were, less what was spent of them since. The members are judged different for ever. policy: {"negative": "allow" (default) | "survivor" | "refuse", what happens where debt exceeds what comes back; "only": [members of this merge to take out]; "reason": text}. Reports unmerge_id, merge_id, undone, families, what moved, totals, negative balances, since_merge. Undone already: unmerge_id NULL, nothing written. Repeating a ref returns the first report. Errors: 22004 NULL, 22023 bad policy, RM001, RM610 unknown merge, RM612 totals would change, RM613 negative balance refused';

-- Forgetting a person ------------------------------------------------------------------------------

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
