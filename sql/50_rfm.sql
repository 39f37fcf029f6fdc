-- RFM: the type of a score, scoring of any query, and the runs of the models.

CREATE TYPE crm_member.rfm_score;

CREATE FUNCTION crm_member.rfm_score_in(cstring) RETURNS crm_member.rfm_score
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_rfm_score_in';
COMMENT ON FUNCTION crm_member.rfm_score_in(cstring) IS
  'Input of rfm_score; error 22P02 for text that is not three scores 1 to 10';

CREATE FUNCTION crm_member.rfm_score_out(crm_member.rfm_score) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_rfm_score_out';
COMMENT ON FUNCTION crm_member.rfm_score_out(crm_member.rfm_score) IS 'Output of rfm_score';

CREATE FUNCTION crm_member.rfm_score_recv(internal) RETURNS crm_member.rfm_score
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_rfm_score_recv';
COMMENT ON FUNCTION crm_member.rfm_score_recv(internal) IS
  'Binary input of rfm_score: three bytes; error 22P03 for a byte that is not 1 to 10';

CREATE FUNCTION crm_member.rfm_score_send(crm_member.rfm_score) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_rfm_score_send';
COMMENT ON FUNCTION crm_member.rfm_score_send(crm_member.rfm_score) IS 'Binary output of rfm_score';

CREATE TYPE crm_member.rfm_score (
  INPUT = crm_member.rfm_score_in, OUTPUT = crm_member.rfm_score_out,
  RECEIVE = crm_member.rfm_score_recv, SEND = crm_member.rfm_score_send,
  INTERNALLENGTH = 4, PASSEDBYVALUE, ALIGNMENT = int4);
COMMENT ON TYPE crm_member.rfm_score IS
  'Scores of recency, frequency and monetary value, 1 (worst) to 10, in 4 bytes; text 545, or 10-4-5 where one is 10. Ordered by recency, then frequency, then monetary value';

-- A score is ordered like the integer it is stored as.
CREATE FUNCTION crm_member.rfm_score_eq(crm_member.rfm_score, crm_member.rfm_score) RETURNS boolean
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'int4eq';
COMMENT ON FUNCTION crm_member.rfm_score_eq(crm_member.rfm_score, crm_member.rfm_score) IS 'Implementation of =';
CREATE FUNCTION crm_member.rfm_score_ne(crm_member.rfm_score, crm_member.rfm_score) RETURNS boolean
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'int4ne';
COMMENT ON FUNCTION crm_member.rfm_score_ne(crm_member.rfm_score, crm_member.rfm_score) IS 'Implementation of <>';
CREATE FUNCTION crm_member.rfm_score_lt(crm_member.rfm_score, crm_member.rfm_score) RETURNS boolean
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'int4lt';
COMMENT ON FUNCTION crm_member.rfm_score_lt(crm_member.rfm_score, crm_member.rfm_score) IS 'Implementation of <';
CREATE FUNCTION crm_member.rfm_score_le(crm_member.rfm_score, crm_member.rfm_score) RETURNS boolean
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'int4le';
COMMENT ON FUNCTION crm_member.rfm_score_le(crm_member.rfm_score, crm_member.rfm_score) IS 'Implementation of <=';
CREATE FUNCTION crm_member.rfm_score_gt(crm_member.rfm_score, crm_member.rfm_score) RETURNS boolean
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'int4gt';
COMMENT ON FUNCTION crm_member.rfm_score_gt(crm_member.rfm_score, crm_member.rfm_score) IS 'Implementation of >';
CREATE FUNCTION crm_member.rfm_score_ge(crm_member.rfm_score, crm_member.rfm_score) RETURNS boolean
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'int4ge';
COMMENT ON FUNCTION crm_member.rfm_score_ge(crm_member.rfm_score, crm_member.rfm_score) IS 'Implementation of >=';
CREATE FUNCTION crm_member.rfm_score_cmp(crm_member.rfm_score, crm_member.rfm_score) RETURNS int
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'btint4cmp';
COMMENT ON FUNCTION crm_member.rfm_score_cmp(crm_member.rfm_score, crm_member.rfm_score) IS 'Order of scores, for btree';
CREATE FUNCTION crm_member.rfm_score_hash(crm_member.rfm_score) RETURNS int
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'hashint4';
COMMENT ON FUNCTION crm_member.rfm_score_hash(crm_member.rfm_score) IS 'Hash of a score';
CREATE FUNCTION crm_member.rfm_score_hash_extended(crm_member.rfm_score, bigint) RETURNS bigint
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'hashint4extended';
COMMENT ON FUNCTION crm_member.rfm_score_hash_extended(crm_member.rfm_score, bigint) IS 'Seeded hash of a score';

CREATE OPERATOR crm_member.= (LEFTARG = crm_member.rfm_score, RIGHTARG = crm_member.rfm_score,
  FUNCTION = crm_member.rfm_score_eq, COMMUTATOR = OPERATOR(crm_member.=), NEGATOR = OPERATOR(crm_member.<>),
  RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
COMMENT ON OPERATOR crm_member.= (crm_member.rfm_score, crm_member.rfm_score) IS 'equal';
CREATE OPERATOR crm_member.<> (LEFTARG = crm_member.rfm_score, RIGHTARG = crm_member.rfm_score,
  FUNCTION = crm_member.rfm_score_ne, COMMUTATOR = OPERATOR(crm_member.<>), NEGATOR = OPERATOR(crm_member.=),
  RESTRICT = neqsel, JOIN = neqjoinsel);
COMMENT ON OPERATOR crm_member.<> (crm_member.rfm_score, crm_member.rfm_score) IS 'not equal';
CREATE OPERATOR crm_member.< (LEFTARG = crm_member.rfm_score, RIGHTARG = crm_member.rfm_score,
  FUNCTION = crm_member.rfm_score_lt, COMMUTATOR = OPERATOR(crm_member.>), NEGATOR = OPERATOR(crm_member.>=),
  RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
COMMENT ON OPERATOR crm_member.< (crm_member.rfm_score, crm_member.rfm_score) IS 'less than';
CREATE OPERATOR crm_member.<= (LEFTARG = crm_member.rfm_score, RIGHTARG = crm_member.rfm_score,
  FUNCTION = crm_member.rfm_score_le, COMMUTATOR = OPERATOR(crm_member.>=), NEGATOR = OPERATOR(crm_member.>),
  RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
COMMENT ON OPERATOR crm_member.<= (crm_member.rfm_score, crm_member.rfm_score) IS 'less than or equal';
CREATE OPERATOR crm_member.> (LEFTARG = crm_member.rfm_score, RIGHTARG = crm_member.rfm_score,
  FUNCTION = crm_member.rfm_score_gt, COMMUTATOR = OPERATOR(crm_member.<), NEGATOR = OPERATOR(crm_member.<=),
  RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
COMMENT ON OPERATOR crm_member.> (crm_member.rfm_score, crm_member.rfm_score) IS 'greater than';
CREATE OPERATOR crm_member.>= (LEFTARG = crm_member.rfm_score, RIGHTARG = crm_member.rfm_score,
  FUNCTION = crm_member.rfm_score_ge, COMMUTATOR = OPERATOR(crm_member.<=), NEGATOR = OPERATOR(crm_member.<),
  RESTRICT = scalargesel, JOIN = scalargejoinsel);
COMMENT ON OPERATOR crm_member.>= (crm_member.rfm_score, crm_member.rfm_score) IS 'greater than or equal';

CREATE OPERATOR CLASS crm_member.rfm_score_ops DEFAULT FOR TYPE crm_member.rfm_score USING btree AS
  OPERATOR 1 crm_member.<, OPERATOR 2 crm_member.<=, OPERATOR 3 crm_member.=,
  OPERATOR 4 crm_member.>=, OPERATOR 5 crm_member.>,
  FUNCTION 1 crm_member.rfm_score_cmp(crm_member.rfm_score, crm_member.rfm_score);
COMMENT ON OPERATOR CLASS crm_member.rfm_score_ops USING btree IS 'Order of scores';
CREATE OPERATOR CLASS crm_member.rfm_score_ops DEFAULT FOR TYPE crm_member.rfm_score USING hash AS
  OPERATOR 1 crm_member.=,
  FUNCTION 1 crm_member.rfm_score_hash(crm_member.rfm_score),
  FUNCTION 2 crm_member.rfm_score_hash_extended(crm_member.rfm_score, bigint);
COMMENT ON OPERATOR CLASS crm_member.rfm_score_ops USING hash IS 'Equality of scores';

CREATE FUNCTION crm_member.rfm_score(r int, f int, m int) RETURNS crm_member.rfm_score
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_rfm_score';
COMMENT ON FUNCTION crm_member.rfm_score(int, int, int) IS
  'A score from its three parts, each 1 to 10; error 22003 otherwise';
CREATE FUNCTION crm_member.r(score crm_member.rfm_score) RETURNS int
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_r';
COMMENT ON FUNCTION crm_member.r(crm_member.rfm_score) IS 'Recency score: highest is most recent';
CREATE FUNCTION crm_member.f(score crm_member.rfm_score) RETURNS int
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_f';
COMMENT ON FUNCTION crm_member.f(crm_member.rfm_score) IS 'Frequency score: highest is most frequent';
CREATE FUNCTION crm_member.m(score crm_member.rfm_score) RETURNS int
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_m';
COMMENT ON FUNCTION crm_member.m(crm_member.rfm_score) IS 'Monetary score: highest is most money';

CREATE FUNCTION crm_member.rfm_from(
  query text, as_of date DEFAULT NULL, bins int DEFAULT 5, ties text DEFAULT 'split',
  recency_cuts int[] DEFAULT NULL, frequency_cuts numeric[] DEFAULT NULL, monetary_cuts numeric[] DEFAULT NULL)
RETURNS TABLE (member text, recency int, frequency numeric, monetary numeric, score crm_member.rfm_score)
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 ROWS 100000
AS 'MODULE_PATHNAME', 'crm_rfm_from';
COMMENT ON FUNCTION crm_member.rfm_from(text, date, int, text, int[], numeric[], numeric[]) IS
  'Scores of the members of any query that yields (member, day, amount), one row a purchase; runs as the caller, read-only. member: any type with an order; day: date, timestamp, or timestamptz in the program''s time zone; amount: a number with up to 10 decimals. as_of: NULL is today. bins: 2 to 10. ties: split is ntile(bins) by value then member, together lets equal values share the lowest band. Cuts, one fewer than bins and ascending, fix the bands of a measure: recency up to a cut of days, frequency and money from a cut on. recency: days from the last purchase to as_of; frequency: purchases; monetary: sum. Rows without member or day and rows after as_of are left out; a NULL amount counts as a purchase of 0. Errors: 22023 for a bad option or query, 42804 for a column of a wrong type, 42883 for members without an order, 22003 and 22008 for values out of range, 22004 for a NULL option';

CREATE FUNCTION crm_member.score_member(cuts bigint[], member_id bigint, last_day date, frequency bigint, monetary bigint)
RETURNS crm_member.rfm_score
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_score_member';
COMMENT ON FUNCTION crm_member.score_member(bigint[], bigint, date, bigint, bigint) IS
  'Score of a row of rfm_member by the cuts of a row of rfm_run; error 22023 where cuts are none';

CREATE FUNCTION crm_member.score_band(cuts bigint[], measure int, value bigint, member_id bigint) RETURNS int
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_score_band';
COMMENT ON FUNCTION crm_member.score_band(bigint[], int, bigint, bigint) IS
  'One part of what score_member() gives: measure 1 recency (value: Julian day of the last purchase), 2 frequency, 3 monetary; error 22023 otherwise';

CREATE PROCEDURE crm_member.run_rfm(as_of date DEFAULT NULL, model text DEFAULT 'default')
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_run_rfm';
COMMENT ON PROCEDURE crm_member.run_rfm(date, text) IS
  'Score all members by a model of rfm_model as of a day (NULL: today in the program''s time zone); the view rfm shows the scores. All or nothing: until it commits the old scores are in force. Errors: RM501 for an unknown model, RM502 while another run of the model is in progress, 22023 for bad cuts of the model';

CREATE FUNCTION crm_member.rfm_grid(model text DEFAULT 'default', language text DEFAULT 'en') RETURNS text
LANGUAGE c STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_rfm_grid';
COMMENT ON FUNCTION crm_member.rfm_grid(text, text) IS
  'The members of each recency by frequency cell of the model''s scores, as a picture in text for a terminal; language en or zh. Errors: RM501 for an unknown model, 22023 for another language';

CREATE FUNCTION crm_member.segment_bars(model text DEFAULT 'default', language text DEFAULT 'en') RETURNS text
LANGUAGE c STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_segment_bars';
COMMENT ON FUNCTION crm_member.segment_bars(text, text) IS
  'The segments of the model''s scores with their members, as bars in text for a terminal; language en or zh. Errors: RM501 for an unknown model, 22023 for another language';

CREATE FUNCTION crm_member.rfm_grid_svg(model text DEFAULT 'default', language text DEFAULT 'en') RETURNS text
LANGUAGE c STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_rfm_grid_svg';
COMMENT ON FUNCTION crm_member.rfm_grid_svg(text, text) IS
  'The members of each recency by frequency cell of the model''s scores, as an SVG picture that stands alone; language en or zh. Errors: RM501 for an unknown model, 22023 for another language';

CREATE FUNCTION crm_member.segment_bars_svg(model text DEFAULT 'default', language text DEFAULT 'en') RETURNS text
LANGUAGE c STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_segment_bars_svg';
COMMENT ON FUNCTION crm_member.segment_bars_svg(text, text) IS
  'The segments of the model''s scores with their shares of members and money, as an SVG picture that stands alone; language en or zh. Errors: RM501 for an unknown model, 22023 for another language';

CREATE FUNCTION crm_member.note_purchase() RETURNS trigger
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_note_purchase';
COMMENT ON FUNCTION crm_member.note_purchase() IS
  'Trigger of the tables that purchases are measured from: appends the members concerned to rfm_change, so that the next run measures them anew';

CREATE FUNCTION crm_member.segment_of(segments text, bins int, score crm_member.rfm_score) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 5 AS 'MODULE_PATHNAME', 'crm_segment_of';
COMMENT ON FUNCTION crm_member.segment_of(text, int, crm_member.rfm_score) IS
  'Code of the segment of a set that takes a score of a model with so many bins; NULL where none does. Error 22023 for bins that are not 2 to 10';

CREATE FUNCTION crm_member.unpack_scores(member_from bigint, scores bytea)
RETURNS TABLE (member_id bigint, score crm_member.rfm_score, monetary bigint)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 250 AS 'MODULE_PATHNAME', 'crm_unpack_scores';
COMMENT ON FUNCTION crm_member.unpack_scores(bigint, bytea) IS
  'The members of a row of rfm_snapshot; money in minor units. Error XX001 for damaged data';

CREATE FUNCTION crm_member.minor_to_money(units bigint, scale smallint) RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_minor_to_money';
COMMENT ON FUNCTION crm_member.minor_to_money(bigint, smallint) IS
  'An amount stored in minor units as money with so many decimals, 0 to 10; error 22023 for others';

CREATE FUNCTION crm_member.cuts_ascend(cuts jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(bool_and(c.cut > c.before), true)
    FROM (SELECT a.cut, lag(a.cut) OVER (PARTITION BY m.measure ORDER BY a.place) AS before
            FROM unnest('{recency,frequency,monetary}'::text[]) m (measure)
            CROSS JOIN LATERAL jsonb_path_query(cuts_ascend.cuts -> m.measure, 'lax $[*]') WITH ORDINALITY a (cut, place)) c
   WHERE c.before IS NOT NULL
$$;
COMMENT ON FUNCTION crm_member.cuts_ascend(jsonb) IS
  'Do the cuts of each measure of a model ascend, each above the one before? For the constraint of rfm_model, which sees to all else; NULL for NULL';

-- Bodies look at tables of setup(), so they are text, not parsed here.
CREATE FUNCTION crm_member.rfm_scores(run_id bigint)
RETURNS TABLE (member_id bigint, score crm_member.rfm_score, segment text, monetary numeric)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER ROWS 100000 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    SELECT u.member_id, u.score, crm_member.segment_of(d.segments, r.bins, u.score),
           crm_member.minor_to_money(u.monetary, (SELECT money_scale FROM crm_member.setting))
      FROM crm_member.rfm_run r
      JOIN crm_member.rfm_snapshot p ON p.run_id = r.run_id
      LEFT JOIN crm_member.rfm_model d ON d.model_code = r.model_code
      CROSS JOIN LATERAL crm_member.unpack_scores(p.member_from, p.scores) u
     WHERE r.run_id = rfm_scores.run_id;
END $$;
COMMENT ON FUNCTION crm_member.rfm_scores(bigint) IS
  'Scores, segments (as they are defined now) and money of all members at a run; none for a run that is unknown or whose snapshot was forgotten';

CREATE FUNCTION crm_member.rfm_moves(from_run bigint, to_run bigint)
RETURNS TABLE (member_id bigint, from_score crm_member.rfm_score, to_score crm_member.rfm_score,
               from_segment text, to_segment text, from_monetary numeric, to_monetary numeric)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER ROWS 100000 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    SELECT coalesce(a.member_id, b.member_id), a.score, b.score, a.segment, b.segment, a.monetary, b.monetary
      FROM crm_member.rfm_scores(from_run) a FULL JOIN crm_member.rfm_scores(to_run) b USING (member_id);
END $$;
COMMENT ON FUNCTION crm_member.rfm_moves(bigint, bigint) IS
  'Every member that was scored at either of two runs: scores, segments and money at both; NULL where it was not scored';

CREATE FUNCTION crm_member.rfm_path(member_id bigint, model text DEFAULT 'default')
RETURNS TABLE (run_id bigint, as_of date, finished_at timestamptz, score crm_member.rfm_score, segment text, monetary numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  PERFORM crm_member.require_setup();
  RETURN QUERY
    SELECT r.run_id, r.as_of, r.finished_at, u.score, crm_member.segment_of(d.segments, r.bins, u.score),
           crm_member.minor_to_money(u.monetary, (SELECT money_scale FROM crm_member.setting))
      FROM crm_member.rfm_run r
      JOIN crm_member.rfm_model d ON d.model_code = r.model_code
      CROSS JOIN LATERAL (SELECT p.member_from, p.scores FROM crm_member.rfm_snapshot p
                           WHERE p.run_id = r.run_id AND p.member_from <= rfm_path.member_id
                           ORDER BY p.member_from DESC LIMIT 1) p
      CROSS JOIN LATERAL crm_member.unpack_scores(p.member_from, p.scores) u
     WHERE r.model_code = coalesce(rfm_path.model, 'default') AND u.member_id = rfm_path.member_id
     ORDER BY r.finished_at;
END $$;
COMMENT ON FUNCTION crm_member.rfm_path(bigint, text) IS
  'One member through the runs of a model, oldest first; runs at which it was not scored are left out';

CREATE FUNCTION crm_member.forget_scores(before timestamptz, model text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  runs bigint;
BEGIN
  WITH gone AS (
    DELETE FROM crm_member.rfm_snapshot p USING crm_member.rfm_run r
     WHERE p.run_id = r.run_id AND r.finished_at < before AND (model IS NULL OR r.model_code = model)
       AND NOT EXISTS (SELECT FROM crm_member.rfm_state c WHERE c.run_id = r.run_id)
    RETURNING p.run_id)
  SELECT count(DISTINCT run_id) INTO runs FROM gone;
  RETURN runs;
END $$;
COMMENT ON FUNCTION crm_member.forget_scores(timestamptz, text) IS
  'Delete the snapshots of runs that ended before a moment, of one model or (NULL) of all, and return how many; runs in force keep theirs, and the record of every run stays';
