-- Points: the ledger's functions.

CREATE FUNCTION crm_member.is_expiry(expiry text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_is_expiry';

COMMENT ON FUNCTION crm_member.is_expiry(text) IS
  'Is this how points may expire: never; an interval with its units, such as 12 months (through the end of that day, or to the instant where it has hours); end of month [+ n]; end of year [+ n]; a date such as 2027-12-31 (through that day); or, for points types, inactive 12 months: so long after the member last earned or spent such points. No interval is longer than 1000 years, nor such that it could end before it began. NULL for NULL';

CREATE FUNCTION crm_member.require_expiry(expiry text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_require_expiry';

COMMENT ON FUNCTION crm_member.require_expiry(text) IS
  'true where is_expiry() is, for constraints; NULL for NULL. Error 23514, with what is wrong, where it is not';

CREATE FUNCTION crm_member.is_brackets(brackets jsonb) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_is_brackets';

COMMENT ON FUNCTION crm_member.is_brackets(jsonb) IS
  'Are these steps a rule can award by: an array of 1 to 100 objects {"from": money, "points": points, "per": money}, "from" ascending, numbers of up to 4 decimals; without "per" the points are given once. The highest step reached judges the whole amount; in {"mode": "marginal", "steps": [...]} each step reached judges the part up to the next. NULL for NULL';

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
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_award_points';

COMMENT ON FUNCTION crm_member.award_points(bigint, numeric, text, text, text, timestamptz, timestamptz, timestamptz, text) IS
  'Give points by hand and return the balance of the account after it, pending points included. ref is required: the same again returns the first result. expires_at NULL: as the points type says; available_at NULL: at once. Errors: 22004 NULL for what is required, 22023 points not positive or expiring before they are available, 22003 too many points or decimals, RM001 ref used for something else, RM101 unknown member, RM102 cancelled member, RM302 unknown points type';

CREATE FUNCTION crm_member.spend_points(
  member_id bigint,
  points numeric,
  reason text DEFAULT NULL,
  ref text DEFAULT NULL,
  points_type text DEFAULT 'points',
  at timestamptz DEFAULT now(),
  actor text DEFAULT NULL)
RETURNS numeric
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_spend_points';

COMMENT ON FUNCTION crm_member.spend_points(bigint, numeric, text, text, text, timestamptz, text) IS
  'Spend points, the soonest to expire first, and return the balance of the account after it. ref is required: the same again returns the first result. Errors: 22004 NULL for what is required, 22023 points not positive, 22003 too many points or decimals, RM001 ref used for something else, RM101 unknown member, RM102 member not active, RM301 not enough points, RM302 unknown points type';

CREATE FUNCTION crm_member.points_balance(
  member_id bigint,
  points_type text DEFAULT 'points',
  as_of timestamptz DEFAULT now(),
  known_at timestamptz DEFAULT now())
RETURNS numeric
LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_points_balance';

COMMENT ON FUNCTION crm_member.points_balance(bigint, text, timestamptz, timestamptz) IS
  'Points that can be spent at as_of, by what was booked until known_at: neither pending nor expired. 0 without an account, NULL for no member. Errors: RM101 unknown member, RM302 unknown points type';

CREATE FUNCTION crm_member.evaluate_points(sale jsonb)
RETURNS TABLE (rule_code text, line_no int, points numeric, points_type text)
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_evaluate_points';

COMMENT ON FUNCTION crm_member.evaluate_points(jsonb) IS
  'Points each rule would give for this sale document; line_no NULL: for the sale as a whole. A guest earns nothing, nor does a line of no units. Every document is taken for a new sale: explain_points() says what one in the books was given. Writes nothing; errors as quote()';

CREATE FUNCTION crm_member.explain_points(sale jsonb)
RETURNS TABLE (rule_code text, line_no int, verdict text, clause text, saw text, displaced_by text,
               points numeric, would_have numeric, points_type text)
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_explain_points';

COMMENT ON FUNCTION crm_member.explain_points(jsonb) IS
  'Every active rule and what became of it for this sale document: verdict is matched, unmatched (clause is the condition''s part that failed, saw the value it met), not valid (at the time of the sale, as clause and saw say), displaced (by displaced_by) or capped (clause is max_points, member_limit or budget, saw what was left of it); points were given, would_have is what would have been given for these goods without displacement and cap, had the rule been valid, and had member and sale been as an unmatched condition wants them. At line scope one row a line, but for a rule that fails for all of them alike; for a guest one row a rule, unmatched by member.id is not null. A line of no units is unmatched by quantity > 0. A sale that is in the books under this source and ref, with the same lines, is judged as it was when it was booked, by the rules of today. Writes nothing; errors as quote()';

CREATE FUNCTION crm_member.simulate_rules("from" timestamptz, "to" timestamptz, rules jsonb DEFAULT NULL,
  by text[] DEFAULT '{rule,member,store,day}', compare boolean DEFAULT true)
RETURNS TABLE (rule_code text, points_type text, member_id bigint, store text, day date,
               sales bigint, points numeric, given numeric, sale_id bigint)
LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_simulate_rules';

COMMENT ON FUNCTION crm_member.simulate_rules(timestamptz, timestamptz, jsonb, text[], boolean) IS
  'What a draft set of rules would have given for the recorded sales from "from" to before "to" (points), beside what was given (given, as it was when the sales were settled, returns apart), summed by what by names: rule, member, sale, store, business day; the columns it does not name are NULL. rules: an array of objects with the columns of points_rule, those left out having their defaults; NULL: the rules as they are. Sales are taken in the order they happened, members with the tier the sale was booked with (where points reach tiers: the tier of its own time that the draft''s points reach, less what came back by then) and otherwise as they are today; limits and budgets begin at nothing. compare false: given is NULL, and the ledger is not read. No rows where from or to is NULL. Writes nothing. Errors: 22023 rules is no array, a rule cannot be one or by contains another word, 22P02 bad condition';

CREATE FUNCTION crm_member.rule_totals()
RETURNS TABLE (rule_code text, points_type text, sales bigint, members bigint, points numeric, turnover numeric,
               first_at timestamptz, last_at timestamptz)
LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
ROWS 200
AS 'MODULE_PATHNAME', 'crm_rule_totals';

COMMENT ON FUNCTION crm_member.rule_totals() IS
  'What each rule gave in each points type, from the whole journal in one pass: sales, members (after merges), points before returns, money paid for the goods of these sales (NULL: none is recorded), time of the first and the last; view points_rule_effect shows it. Error 22003 sum out of range';

CREATE FUNCTION crm_member.rule_given(member_id bigint, rule_code text, period date, limit_period text) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  zone CONSTANT text := (SELECT s.time_zone FROM crm_member.setting AS s);
BEGIN
  RETURN (
    SELECT coalesce(sum(g.points), 0)
      FROM (SELECT s.sale_id FROM crm_member.sale AS s
             WHERE s.member_id = rule_given.member_id AND s.settled_at IS NOT NULL
               AND s.sold_at >= rule_given.period::timestamp AT TIME ZONE zone
               AND s.sold_at < coalesce((rule_given.period + ('1 ' || rule_given.limit_period)::interval) AT TIME ZONE zone, 'infinity') OFFSET 0) AS s
      CROSS JOIN LATERAL (SELECT * FROM crm_member.points_entry AS e
                           WHERE e.member_id = rule_given.member_id AND e.sale_id = s.sale_id AND e.kind = 'earn'
                             AND e.points_type = (SELECT r.points_type FROM crm_member.points_rule AS r WHERE r.rule_code = rule_given.rule_code) OFFSET 0) AS e
      CROSS JOIN LATERAL unnest(e.rules, e.rule_points) AS g (rule_code, points)
     WHERE g.rule_code = rule_given.rule_code);
END
$$;

COMMENT ON FUNCTION crm_member.rule_given(bigint, text, date, text) IS
  'Points of its points type that a rule gave for the sales booked with one member, without who was merged into it, from the first day of a limit_period to its end (NULL: for ever), returns apart: what points_rule_use counts';

CREATE FUNCTION crm_member.forget_rule_use() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  codes text[];
  budgets text[];
BEGIN
  IF TG_OP = 'INSERT' THEN
    codes := ARRAY(SELECT n.rule_code FROM new_rule AS n WHERE n.member_limit IS NOT NULL);
    budgets := ARRAY(SELECT n.rule_code FROM new_rule AS n WHERE n.budget IS NOT NULL);
  ELSE
    budgets := ARRAY(SELECT n.rule_code FROM new_rule AS n LEFT JOIN old_rule AS o ON o.rule_code = n.rule_code
                      WHERE n.budget IS NOT NULL AND (o.budget IS NULL OR o.points_type <> n.points_type));
    codes := ARRAY(SELECT n.rule_code FROM new_rule AS n LEFT JOIN old_rule AS o ON o.rule_code = n.rule_code
                    WHERE o.rule_code IS NULL OR (o.member_limit IS NULL) <> (n.member_limit IS NULL) OR o.limit_period IS DISTINCT FROM n.limit_period OR o.points_type <> n.points_type);
  END IF;
  IF codes <> '{}' THEN
    DELETE FROM crm_member.points_rule_use AS u WHERE u.rule_code = ANY (codes) AND u.member_id <> 0;
    DELETE FROM crm_member.merged_use AS u WHERE u.rule_code = ANY (codes);
  END IF;
  -- at once, since it takes the whole journal: no sale should wait for that
  IF budgets <> '{}' THEN
    INSERT INTO crm_member.points_rule_use (member_id, rule_code, period, points)
    SELECT 0, b.rule_code, '-infinity', coalesce(x.points, 0)
      FROM unnest(budgets) AS b (rule_code)
      LEFT JOIN (SELECT g.rule_code, sum(g.points) AS points
                   FROM crm_member.points_entry AS e CROSS JOIN LATERAL unnest(e.rules, e.rule_points) AS g (rule_code, points)
                  JOIN crm_member.points_rule AS r ON r.rule_code = g.rule_code AND r.points_type = e.points_type
                  WHERE e.kind = 'earn' AND e.rules && budgets GROUP BY 1) AS x ON x.rule_code = b.rule_code
    ON CONFLICT (member_id, rule_code, period) DO UPDATE SET points = excluded.points;
  END IF;
  RETURN NULL;
END
$$;

COMMENT ON FUNCTION crm_member.forget_rule_use() IS
  'Statement trigger of points_rule: where a rule gets a member_limit, another limit_period or another points type, what it gave to each member is counted anew, from the journal; where it gets a budget, or another points type, what it gave to all is counted at once';
