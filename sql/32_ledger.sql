-- The ledger of points: what is done with points by hand and at their expiry, and the proof of the books.

CREATE FUNCTION crm_member.adjust_points(
  member_id bigint,
  points numeric,
  reason text,
  ref text,
  points_type text DEFAULT 'points',
  expires_at timestamptz DEFAULT NULL,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_adjust_points';

COMMENT ON FUNCTION crm_member.adjust_points(bigint, numeric, text, text, text, timestamptz, timestamptz, text) IS
  'Correct an account by hand: add points, or take them where negative, and return the balance of the account after it. reason, ref and actor are required: the same again returns the first result. expires_at, of added points, NULL: as the points type says; what is missing when points are taken is for the deficit policy of the points type. Errors: 22004 NULL for what is required, 22023 no points, expiring at once, or an empty reason, ref or actor, 22003 too many points or decimals, RM001 ref used for something else, RM101 unknown member, RM102 cancelled member, RM302 unknown points type, RM305 refused deficit';

CREATE FUNCTION crm_member.hold_points(
  member_id bigint,
  points numeric,
  reason text DEFAULT NULL,
  ref text DEFAULT NULL,
  points_type text DEFAULT 'points',
  expires_at timestamptz DEFAULT NULL,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_hold_points';

COMMENT ON FUNCTION crm_member.hold_points(bigint, numeric, text, text, text, timestamptz, timestamptz, text) IS
  'Set points aside so that nothing else spends them, the soonest to expire first, and return the balance of the account after it, without what is held. ref is required and names the hold: the same again returns the first result. expires_at: from then on it does not bind; NULL: after the hold_period of the points type. Held points do not expire before the hold does. Errors: 22004 NULL for what is required, 22023 points not positive or timing out at once, 22003 too many points or decimals, RM001 ref used for something else, RM101 unknown member, RM102 member not active, RM301 not enough points, RM302 unknown points type';

CREATE FUNCTION crm_member.release_points(
  member_id bigint,
  ref text,
  points numeric DEFAULT NULL,
  reason text DEFAULT NULL,
  release_ref text DEFAULT NULL,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_release_points';

COMMENT ON FUNCTION crm_member.release_points(bigint, text, numeric, text, text, timestamptz, text) IS
  'Give up the hold named ref, or part of it (points NULL: all that is held), and return the balance of the account after it: the points go back to their lots. A hold that holds nothing is left as it is. release_ref makes a partial release repeatable. Errors: 22004 NULL for what is required, 22023 points not positive, 22003 too many decimals, RM001 release_ref used for something else, RM101 unknown member, RM102 cancelled member, RM303 no such hold, RM304 the hold holds less, or part of one that has timed out';

CREATE FUNCTION crm_member.capture_points(
  member_id bigint,
  ref text,
  points numeric DEFAULT NULL,
  reason text DEFAULT NULL,
  capture_ref text DEFAULT NULL,
  release_rest boolean DEFAULT true,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_capture_points';

COMMENT ON FUNCTION crm_member.capture_points(bigint, text, numeric, text, text, boolean, timestamptz, text) IS
  'Spend what the hold named ref holds, or part of it (points NULL: all), and return the balance of the account after it. release_rest: the rest is given up, else it stays held. Repeated it returns the first result; capture_ref tells several captures of one hold apart. Errors: 22004 NULL for what is required, 22023 points not positive, 22003 too many decimals, RM001 capture_ref used for something else, RM101 unknown member, RM102 member not active, RM303 no such hold, RM304 the hold holds less or has timed out';

CREATE FUNCTION crm_member.reverse_points(
  ref text,
  member_id bigint,
  points numeric DEFAULT NULL,
  line_no int DEFAULT NULL,
  sale_id bigint DEFAULT NULL,
  points_type text DEFAULT 'points',
  reason text DEFAULT NULL,
  reversal_ref text DEFAULT NULL,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_reverse_points';

COMMENT ON FUNCTION crm_member.reverse_points(text, bigint, numeric, int, bigint, text, text, text, timestamptz, text) IS
  'Undo an act named by its ref (or what a sale did in one points type: ref NULL and sale_id): granted points are taken back, spent ones go back to their lots with their expiry, and what expired meanwhile as the reinstatement of the points type says. points: part of it, with a reversal_ref of its own; NULL: all that is left, which repeated does nothing; line_no: only what that line of the sale earned. Returns the balance of the account after it. What is missing is for the deficit policy of the points type. Errors: 22004 NULL for what is required, 22023 neither or both of ref and sale_id, 22003 too many decimals, RM001 reversal_ref used for something else, RM101 unknown member, RM303 no such entry, RM305 refused deficit, RM306 cannot be reversed or less is left';

CREATE FUNCTION crm_member.transfer_points(
  from_member bigint,
  to_member bigint,
  points numeric,
  reason text DEFAULT NULL,
  ref text DEFAULT NULL,
  points_type text DEFAULT 'points',
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_transfer_points';

COMMENT ON FUNCTION crm_member.transfer_points(bigint, bigint, numeric, text, text, text, timestamptz, text) IS
  'Move points to another member, the soonest to expire first; they keep their expiry. Returns the balance of from_member after it. ref is required, unique with from_member: the same again returns the first result. Errors: 22004 NULL for what is required, 22023 points not positive or one member twice, 22003 too many points or decimals, RM001 ref used for something else, RM101 unknown member, RM102 member not active, RM301 not enough points, RM302 unknown points type';

CREATE FUNCTION crm_member.convert_points(
  member_id bigint,
  points numeric,
  from_type text,
  to_type text,
  ref text,
  reason text DEFAULT NULL,
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_convert_points';

COMMENT ON FUNCTION crm_member.convert_points(bigint, numeric, text, text, text, text, timestamptz, text) IS
  'Give up points of one type for points of another at the rate of table points_conversion; they expire as to_type says. Returns the balance of from_type after it. ref is required: the same again returns the first result. Errors: 22004 NULL for what is required, 22023 points not positive, too few for one, or expiring at once, 22003 too many points or decimals, RM001 ref used for something else, RM101 unknown member, RM102 member not active, RM301 not enough points, RM302 unknown points type, RM307 no such conversion';

CREATE FUNCTION crm_member.release_timed_out(member_id bigint, points_type text, at timestamptz) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_release_timed_out';

COMMENT ON FUNCTION crm_member.release_timed_out(bigint, text, timestamptz) IS
  'Book as released the holds of an account that timed out until then; spending does so by itself, expire_points() for all. Error RM302 unknown points type';

CREATE FUNCTION crm_member.release_step(as_of timestamptz, holds int) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS 'MODULE_PATHNAME', 'crm_release_step';

COMMENT ON FUNCTION crm_member.release_step(timestamptz, int) IS
  'One step of expire_points(): release holds that had timed out until as_of, the oldest first, so many at most with all others of their accounts; how many there were';

CREATE FUNCTION crm_member.expire_step(run_id bigint, as_of timestamptz, accounts int) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS 'MODULE_PATHNAME', 'crm_expire_step';

COMMENT ON FUNCTION crm_member.expire_step(bigint, timestamptz, int) IS
  'One step of expire_points(): book what expired in the next accounts that are due and have not changed meanwhile, about so many, and note it in ledger_run. NULL: the pass over all accounts goes on, and background workers, called for by the first that finds something, may be at it too; else it is over, and so many accounts were due in it; 0: nobody else was writing, so that none was missed, or none was due. Errors: 22023 bad argument, and what a background worker met';

CREATE FUNCTION crm_member.clear_step(points_type text, as_of timestamptz, after_member bigint, accounts int,
  OUT due bigint, OUT booked bigint, OUT points numeric, OUT last_member bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET jit = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
  WITH account AS (
    SELECT a.member_id, a.points_type, a.entry_no, a.expired_to, a.debt
    FROM crm_member.points_account a
    WHERE a.points_type = clear_step.points_type AND a.member_id > clear_step.after_member
      AND (a.debt > 0 OR EXISTS (SELECT FROM crm_member.points_lot l
                                 WHERE l.member_id = a.member_id AND l.points_type = a.points_type
                                   AND l.open AND l.expires_at > a.expired_to AND l.earned_at < clear_step.as_of))
    ORDER BY a.member_id LIMIT clear_step.accounts
  ), cleared AS MATERIALIZED (
    -- then: what lay there all the time since as_of; since: what came, or came back, after it. Lot 0 is the debt
    SELECT a.member_id, a.points_type, a.entry_no, c.*
    FROM account a, LATERAL (
      SELECT coalesce(sum(l.then), 0) AS then_points, coalesce(sum(l.left - l.then), 0) AS since_points,
             array_agg(l.lot_no ORDER BY l.lot_no = 0, l.lot_no) FILTER (WHERE l.then <> 0) AS then_lots,
             array_agg(l.then ORDER BY l.lot_no = 0, l.lot_no) FILTER (WHERE l.then <> 0) AS then_drawn,
             array_agg(l.lot_no ORDER BY l.lot_no = 0, l.lot_no) FILTER (WHERE l.then <> l.left) AS since_lots,
             array_agg(l.left - l.then ORDER BY l.lot_no = 0, l.lot_no) FILTER (WHERE l.then <> l.left) AS since_drawn,
             greatest(max(l.moved_at), now()) AS since_at
      FROM (
        SELECT o.lot_no, o.left, m.moved_at,
               CASE WHEN o.lot_no = 0 THEN least(o.left + greatest(m.most, 0), 0) ELSE greatest(o.left + least(m.least, 0), 0) END AS then
        FROM (SELECT l.lot_no, l.remaining AS left
                FROM crm_member.points_lot l
               WHERE l.member_id = a.member_id AND l.points_type = a.points_type
                 AND l.open AND l.expires_at > a.expired_to AND l.earned_at < clear_step.as_of
              UNION ALL
              SELECT 0, -a.debt WHERE a.debt > 0) o
        LEFT JOIN (
          -- by how much less (least) and more (most) there was of a lot at any time since
          SELECT d.lot_no, min(d.later) AS least, max(d.later) AS most, max(d.at) AS moved_at
          FROM (SELECT u.lot_no, e.at, sum(u.drawn) OVER (PARTITION BY u.lot_no ORDER BY e.at DESC) AS later
                  FROM crm_member.points_entry e
                 CROSS JOIN LATERAL (SELECT x.lot_no, x.drawn FROM unnest(e.lot_nos, e.lot_points) x (lot_no, drawn)
                                     UNION ALL
                                     SELECT l.lot_no, -l.points FROM crm_member.points_lot l
                                      WHERE l.member_id = e.member_id AND l.points_type = e.points_type AND l.lot_no = e.entry_no) u
                 WHERE e.member_id = a.member_id AND e.points_type = a.points_type AND e.at > clear_step.as_of
                   AND clear_step.as_of < now()) d
          GROUP BY 1) m ON m.lot_no = o.lot_no) l) c
  ), changed AS (
    UPDATE crm_member.points_account a
       SET balance = a.balance - c.then_points - c.since_points, debt = 0,
           entry_no = a.entry_no + (c.then_lots IS NOT NULL)::int + (c.since_lots IS NOT NULL)::int
      FROM cleared c
     WHERE a.member_id = c.member_id AND a.points_type = c.points_type AND a.entry_no = c.entry_no
    RETURNING a.balance AS balance_after, a.entry_no AS last_no, c.*
  ), lot AS (
    UPDATE crm_member.points_lot l SET remaining = 0, open = false
      FROM changed c, unnest(c.then_lots || c.since_lots) AS u (lot_no)
     WHERE l.member_id = c.member_id AND l.points_type = c.points_type AND l.lot_no = u.lot_no
  ), entry AS (
    INSERT INTO crm_member.points_entry
           (member_id, points_type, entry_no, kind, points, balance, at, lot_nos, lot_points)
    SELECT c.member_id, c.points_type, e.entry_no, 'clear', -e.points, e.balance, e.at, e.lot_nos, e.drawn
      FROM changed c, LATERAL (VALUES
        (c.last_no - (c.since_lots IS NOT NULL)::int, c.then_points, c.balance_after + c.since_points, clear_step.as_of, c.then_lots, c.then_drawn),
        (c.last_no, c.since_points, c.balance_after, c.since_at, c.since_lots, c.since_drawn)) e (entry_no, points, balance, at, lot_nos, drawn)
     WHERE e.lot_nos IS NOT NULL
  )
  SELECT (SELECT count(*) FROM account), count(*), coalesce(sum(c.then_points + c.since_points), 0), (SELECT max(a.member_id) FROM account a)
    INTO due, booked, points, last_member
    FROM changed c;
END
$$;

COMMENT ON FUNCTION crm_member.clear_step(text, timestamptz, bigint, int) IS
  'One step of clear_points(): so many accounts after a member. due: accounts looked at, booked: those that had not changed meanwhile, points: that were cleared';

CREATE FUNCTION crm_member.note_ledger_run(
  run_id bigint, act text, points_type text, as_of timestamptz, accounts bigint, points numeric, finished boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO crm_member.ledger_run AS r (run_id, act, points_type, as_of, accounts, points, pid, finished_at)
  VALUES (note_ledger_run.run_id, note_ledger_run.act, note_ledger_run.points_type, note_ledger_run.as_of,
          note_ledger_run.accounts, note_ledger_run.points, pg_backend_pid(),
          CASE WHEN note_ledger_run.finished THEN clock_timestamp() END)
  ON CONFLICT ON CONSTRAINT ledger_run_pkey DO UPDATE
     SET accounts = r.accounts + excluded.accounts, points = r.points + excluded.points,
         noted_at = clock_timestamp(), finished_at = excluded.finished_at;
END
$$;

COMMENT ON FUNCTION crm_member.note_ledger_run(bigint, text, text, timestamptz, bigint, numeric, boolean) IS
  'Add a step of expire_points() or clear_points() to its row in ledger_run';

CREATE PROCEDURE crm_member.expire_points(as_of timestamptz DEFAULT now(), batch int DEFAULT 20000)
LANGUAGE plpgsql
AS $$
DECLARE
  run CONSTANT bigint := crm_member.new_id();
  moment CONSTANT timestamptz := coalesce(as_of, pg_catalog.now());
  found bigint;
  n bigint;
BEGIN
  PERFORM crm_member.require_setup();
  batch := coalesce(batch, 20000);
  IF batch OPERATOR(pg_catalog.<) 1 THEN
    RAISE EXCEPTION 'batch must be positive' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM crm_member.note_ledger_run(run, 'expire', NULL, moment, 0, 0, false);
  LOOP
    found := 0;
    LOOP
      -- not to wait for the disk at every commit: the last one waits for all of them
      PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
      n := crm_member.release_step(moment, batch);
      COMMIT;
      EXIT WHEN n OPERATOR(pg_catalog.=) 0;
      found := found OPERATOR(pg_catalog.+) n;
    END LOOP;
    LOOP
      PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
      n := crm_member.expire_step(run, moment, batch);
      COMMIT;
      EXIT WHEN n IS NOT NULL;
    END LOOP;
    -- until a whole pass finds none that could have been missed
    EXIT WHEN found OPERATOR(pg_catalog.+) n OPERATOR(pg_catalog.=) 0;
  END LOOP;
  PERFORM crm_member.note_ledger_run(run, 'expire', NULL, moment, 0, 0, true);
END
$$;

COMMENT ON PROCEDURE crm_member.expire_points(timestamptz, int) IS
  'Book what expired until as_of, and release holds that timed out until then: one entry an account, about "batch" accounts a transaction, committed one by one, and all safe on disk when it returns; interrupted, the next call goes on. Background workers help, at most max_parallel_maintenance_workers, as the size of points_account asks for and max_worker_processes allows. Balances and spending do not wait for it: what has expired cannot be spent anyway. Progress: table ledger_run. To be called outside a transaction block. Errors: 22023 bad argument, 2D000 inside a transaction, 57000 a background worker was stopped';

CREATE PROCEDURE crm_member.clear_points(points_type text, as_of timestamptz DEFAULT now(), batch int DEFAULT 20000)
LANGUAGE plpgsql
AS $$
DECLARE
  run CONSTANT bigint := crm_member.new_id();
  moment CONSTANT timestamptz := coalesce(as_of, pg_catalog.now());
  after_member bigint := -1;
  skipped bigint := 0;
  step record;
BEGIN
  PERFORM crm_member.require_setup();
  batch := coalesce(batch, 20000);
  IF batch OPERATOR(pg_catalog.<) 1 THEN
    RAISE EXCEPTION 'batch must be positive' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF points_type IS NULL THEN
    RAISE EXCEPTION 'argument "points_type" must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF NOT EXISTS (SELECT FROM crm_member.points_type t
                 WHERE t.points_type OPERATOR(pg_catalog.=) clear_points.points_type AND NOT t.stored_value) THEN
    RAISE EXCEPTION 'points type "%" does not exist', points_type
      USING ERRCODE = 'RM302', HINT = 'Table crm_member.points_type lists them.';
  END IF;
  LOOP
    SELECT * INTO step FROM crm_member.clear_step(clear_points.points_type, moment, after_member, batch);
    PERFORM crm_member.note_ledger_run(run, 'clear', clear_points.points_type, moment, step.booked, step.points, false);
    COMMIT;
    skipped := skipped OPERATOR(pg_catalog.+) step.due OPERATOR(pg_catalog.-) step.booked;
    IF step.due OPERATOR(pg_catalog.=) batch THEN
      after_member := step.last_member;
      CONTINUE;
    END IF;
    EXIT WHEN skipped OPERATOR(pg_catalog.=) 0;
    skipped := 0;
    after_member := -1;
  END LOOP;
  PERFORM crm_member.note_ledger_run(run, 'clear', clear_points.points_type, moment, 0, 0, true);
END
$$;

COMMENT ON PROCEDURE crm_member.clear_points(text, timestamptz, int) IS
  'Clear the accounts of a points type, as at the end of a year: what was earned before as_of and is not spent, held or expired goes, pending points and debts too. Booked at as_of; where it runs later, what came back to its lot, or to the account, since then is cleared as of now, so that nothing is cleared at a moment when it was not there. An entry or two an account, "batch" accounts a transaction, committed one by one; interrupted, the next call goes on. Progress: table ledger_run. To be called outside a transaction block. Errors: 22004 no points_type, 22023 bad argument, RM302 unknown points type, 2D000 inside a transaction';

CREATE FUNCTION crm_member.verify_ledger()
RETURNS TABLE (member_id bigint, points_type text, problem text, detail text)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM crm_member.require_setup();
  RETURN QUERY
  WITH entry AS (
    SELECT e.*,
           sum(e.points) OVER account AS running,
           row_number() OVER account AS position
    FROM crm_member.points_entry e
    WINDOW account AS (PARTITION BY e.member_id, e.points_type ORDER BY e.entry_no)
  ), journal AS (
    SELECT e.member_id, e.points_type, sum(e.points) AS points, max(e.entry_no) AS last_no,
           coalesce(sum(e.points) FILTER (WHERE e.kind = 'expire'), 0) AS expired
    FROM crm_member.points_entry e GROUP BY 1, 2
  ), drawn AS (
    SELECT e.member_id, e.points_type, u.lot_no, sum(u.points) AS points
    FROM crm_member.points_entry e, unnest(e.lot_nos, e.lot_points) AS u (lot_no, points)
    GROUP BY 1, 2, 3
  ), lots AS (
    SELECT a.member_id, a.points_type,
           coalesce(sum(l.remaining) FILTER (WHERE l.expires_at > a.expired_to), 0) AS remaining,
           coalesce(sum(l.remaining) FILTER (WHERE l.expires_at <= a.expired_to), 0) AS expired,
           min(l.expires_at) FILTER (WHERE l.open AND l.expires_at > a.expired_to) AS expires_at,
           max(l.available_at) FILTER (WHERE l.open) AS settles_at
    FROM crm_member.points_account a
    JOIN crm_member.points_lot l ON (l.member_id, l.points_type) = (a.member_id, a.points_type)
    GROUP BY 1, 2
  ), holds AS (
    SELECT h.member_id, h.points_type, min(h.expires_at) FILTER (WHERE h.held > 0) AS expires_at
    FROM crm_member.points_hold h GROUP BY 1, 2
  ), reversed AS (
    SELECT e.member_id, e.points_type, e.of_entry AS entry_no,
           sum(coalesce(e.shortfall, 0) - e.points) FILTER (WHERE e.kind = 'reverse') AS taken,
           sum(e.points) FILTER (WHERE e.kind = 'return') AS given,
           sum(e.points) FILTER (WHERE e.kind = 'release') AS released
    FROM crm_member.points_entry e WHERE e.of_entry IS NOT NULL GROUP BY 1, 2, 3
  )
  SELECT coalesce(a.member_id, j.member_id), coalesce(a.points_type, j.points_type),
         'account and entries disagree',
         format('balance %s and %s entries, journal says %s and %s', a.balance, a.entry_no, j.points, j.last_no)
    FROM crm_member.points_account a
    FULL JOIN journal j ON (j.member_id, j.points_type) = (a.member_id, a.points_type)
   WHERE (a.balance, a.entry_no) IS DISTINCT FROM (coalesce(j.points, 0), coalesce(j.last_no, 0))
  UNION ALL
  SELECT a.member_id, a.points_type, 'account and lots disagree',
         format('balance %s, lots say %s less a debt of %s', a.balance, coalesce(l.remaining, 0), a.debt)
    FROM crm_member.points_account a
    LEFT JOIN lots l ON (l.member_id, l.points_type) = (a.member_id, a.points_type)
   WHERE a.balance <> coalesce(l.remaining, 0) - a.debt
  UNION ALL
  SELECT a.member_id, a.points_type, 'account promises too much',
         format('nothing is pending from %s on, expires before %s, or is held until before %s', a.settles_at, a.expires_at, a.hold_expires_at)
    FROM crm_member.points_account a
    LEFT JOIN lots l ON (l.member_id, l.points_type) = (a.member_id, a.points_type)
    LEFT JOIN holds h ON (h.member_id, h.points_type) = (a.member_id, a.points_type)
   WHERE a.settles_at < l.settles_at OR a.expires_at > l.expires_at OR a.hold_expires_at > h.expires_at
  UNION ALL
  SELECT a.member_id, a.points_type, 'account and expired lots disagree',
         format('entries booked %s, lots say %s', j.expired, coalesce(l.expired, 0))
    FROM crm_member.points_account a
    JOIN journal j ON (j.member_id, j.points_type) = (a.member_id, a.points_type)
    LEFT JOIN lots l ON (l.member_id, l.points_type) = (a.member_id, a.points_type)
   WHERE -j.expired <> coalesce(l.expired, 0)
  UNION ALL
  SELECT a.member_id, a.points_type, 'account and entries disagree about the debt',
         format('debt %s, entries say %s', a.debt, coalesce(d.points, 0))
    FROM crm_member.points_account a
    LEFT JOIN drawn d ON (d.member_id, d.points_type, d.lot_no) = (a.member_id, a.points_type, 0)
   WHERE a.debt <> coalesce(d.points, 0)
  UNION ALL
  SELECT e.member_id, e.points_type, 'entry breaks the journal',
         format('entry %s at position %s says balance %s, entries sum to %s', e.entry_no, e.position, e.balance, e.running)
    FROM entry e
   WHERE e.entry_no <> e.position OR e.balance <> e.running
  UNION ALL
  SELECT l.member_id, l.points_type, 'lot and entries disagree',
         format('lot %s has %s of %s left, entries drew %s', l.lot_no, l.remaining, l.points, coalesce(d.points, 0))
    FROM crm_member.points_lot l
    LEFT JOIN drawn d ON (d.member_id, d.points_type, d.lot_no) = (l.member_id, l.points_type, l.lot_no)
   WHERE l.points - coalesce(d.points, 0) <> l.remaining
  UNION ALL
  SELECT d.member_id, d.points_type, 'entries draw on a lot that is not there', format('lot %s', d.lot_no)
    FROM drawn d
    LEFT JOIN crm_member.points_lot l
      ON (l.member_id, l.points_type, l.lot_no) = (d.member_id, d.points_type, d.lot_no)
   WHERE l.lot_no IS NULL AND d.lot_no <> 0
  UNION ALL
  SELECT e.member_id, e.points_type, 'entry and its lots disagree',
         format('entry %s of %s: lot of its own %s, drew %s', e.entry_no, e.points, coalesce(l.points, 0), u.points)
    FROM crm_member.points_entry e
    LEFT JOIN crm_member.points_lot l
      ON (l.member_id, l.points_type, l.lot_no) = (e.member_id, e.points_type, e.entry_no),
         LATERAL (SELECT coalesce(sum(p), 0) AS points FROM unnest(e.lot_points) p) u
   WHERE e.kind <> 'expire' AND e.points <> coalesce(l.points, 0) - u.points
      OR e.kind = 'expire' AND (l.lot_no IS NOT NULL OR u.points <> 0)
  UNION ALL
  SELECT e.member_id, e.points_type, 'entry and its parts disagree',
         format('entry %s of %s', e.entry_no, e.points)
    FROM crm_member.points_entry e
   WHERE e.points <> (SELECT sum(p) FROM unnest(e.rule_points) p)
      OR (CASE e.kind WHEN 'reverse' THEN coalesce(e.shortfall, 0) - e.points ELSE e.points END)
         <> (SELECT sum(p) FROM unnest(e.line_points) p)
  UNION ALL
  SELECT e.member_id, e.points_type, 'entry was reversed beyond what it did',
         format('entry %s of %s: %s taken back, %s given back', e.entry_no, e.points, coalesce(r.taken, 0), coalesce(r.given, 0))
    FROM reversed r
    JOIN crm_member.points_entry e
      ON (e.member_id, e.points_type, e.entry_no) = (r.member_id, r.points_type, r.entry_no)
   WHERE coalesce(r.taken, 0) > greatest(e.points, 0) OR coalesce(r.given, 0) > greatest(-e.points, 0)
  UNION ALL
  SELECT e.member_id, e.points_type, 'entry undoes none that it could',
         format('entry %s is a "%s" of %s, a "%s"', e.entry_no, e.kind, coalesce(e.of_entry::text, 'none'), o.kind)
    FROM crm_member.points_entry e
    LEFT JOIN crm_member.points_entry o
      ON (o.member_id, o.points_type, o.entry_no) = (e.member_id, e.points_type, e.of_entry)
   WHERE e.kind = 'reverse' AND coalesce(o.kind NOT IN ('earn', 'award', 'adjust'), true)
      OR e.kind = 'return' AND coalesce(o.kind <> 'spend', true)
      OR e.kind = 'release' AND coalesce(o.kind <> 'hold', true)
  UNION ALL
  SELECT t.member_id, t.points_type, 'what one gave another did not get',
         format('to member %s: %s more than from there', t.other_member, t.points)
    FROM (SELECT g.member_id, g.other_member, g.points_type, sum(g.points) AS points
            FROM (SELECT e.member_id, e.other_member, e.points_type, -e.points AS points
                    FROM crm_member.points_entry e WHERE e.kind IN ('transfer_out', 'merge_out')
                  UNION ALL
                  SELECT e.other_member, e.member_id, e.points_type, -e.points
                    FROM crm_member.points_entry e WHERE e.kind IN ('transfer_in', 'merge_in')) g
           GROUP BY 1, 2, 3) t
   WHERE t.points <> 0
  UNION ALL
  SELECT coalesce(h.member_id, e.member_id), coalesce(h.points_type, e.points_type), 'hold without entry, or entry without hold',
         format('hold %s of %s, entry %s of %s', h.hold_no, h.points, e.entry_no, e.points)
    FROM crm_member.points_hold h
    FULL JOIN (SELECT e.member_id, e.points_type, e.entry_no, e.points
                 FROM crm_member.points_entry e WHERE e.kind = 'hold') e
      ON (e.member_id, e.points_type, e.entry_no) = (h.member_id, h.points_type, h.hold_no)
   WHERE h.points IS DISTINCT FROM -e.points
  UNION ALL
  SELECT h.member_id, h.points_type, 'hold and entries disagree',
         format('hold %s holds %s of %s, %s were released or captured', h.hold_no, h.held, h.points, coalesce(r.released, 0))
    FROM crm_member.points_hold h
    LEFT JOIN reversed r
      ON (r.member_id, r.points_type, r.entry_no) = (h.member_id, h.points_type, h.hold_no)
   WHERE h.held <> h.points - coalesce(r.released, 0)
  UNION ALL
  SELECT s.member_id, NULL, 'sale and its lines disagree',
         format('sale %s says %s less %s, its lines %s less %s', s.sale_id, s.amount, s.discount, l.amount, l.discount)
    FROM crm_member.sale s
    LEFT JOIN (SELECT l.member_id, l.sale_id, sum(l.amount) AS amount, sum(l.discount) AS discount
                 FROM crm_member.sale_line l GROUP BY 1, 2) l
      ON (l.member_id, l.sale_id) = (s.member_id, s.sale_id)
   WHERE s.settled_at IS NOT NULL AND (s.amount, s.discount) IS DISTINCT FROM (l.amount, l.discount)
  UNION ALL
  SELECT l.member_id, NULL, 'refunds and line disagree',
         format('line %s of sale %s has %s for %s less %s, refunds %s for %s less %s', l.line_no, l.sale_id,
                l.quantity, l.amount, l.discount, r.quantity, r.amount, r.discount)
    FROM (SELECT r.member_id, r.sale_id, r.line_no, sum(r.quantity) AS quantity,
                 sum(r.amount) AS amount, sum(r.discount) AS discount
            FROM crm_member.refund_line r GROUP BY 1, 2, 3) r
    JOIN crm_member.sale_line l
      ON (l.member_id, l.sale_id, l.line_no) = (r.member_id, r.sale_id, r.line_no)
   WHERE r.quantity > l.quantity
      OR r.amount - r.discount > l.amount - l.discount OR r.discount > l.discount
      OR r.quantity = l.quantity AND (r.amount, r.discount) <> (l.amount, l.discount)
  UNION ALL
  SELECT r.member_id, NULL, 'refund and its lines disagree',
         format('refund %s says %s less %s, its lines %s less %s', r.refund_id, r.amount, r.discount, l.amount, l.discount)
    FROM crm_member.refund r
    LEFT JOIN (SELECT l.member_id, l.refund_id, sum(l.amount) AS amount, sum(l.discount) AS discount
                 FROM crm_member.refund_line l GROUP BY 1, 2) l
      ON (l.member_id, l.refund_id) = (r.member_id, r.refund_id)
   WHERE (r.amount, r.discount) IS DISTINCT FROM (coalesce(l.amount, 0), coalesce(l.discount, 0));
END
$$;

COMMENT ON FUNCTION crm_member.verify_ledger() IS
  'Prove the books: accounts, entries, lots, holds, reversals, sales and refunds against one another. Every row is a violation; none is how it should be';
