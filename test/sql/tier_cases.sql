--
-- Tiers, story after story: what a member holds after each act, worked out by
-- hand from what the rules of tiers say.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/shanghai.sql
SET timezone = 'UTC';
INSERT INTO points_type (points_type, name) VALUES ('growth', 'Growth');
UPDATE points_type SET money_value = 1 WHERE points_type = 'points';
INSERT INTO points_rule (rule_code, award, points, points_type, per) VALUES ('base', 'per_amount', 1, 'points', 1), ('growth', 'per_amount', 1, 'growth', 10);

CREATE TABLE public.programs (program text PRIMARY KEY, tiers jsonb, rules jsonb, pending interval);
INSERT INTO programs VALUES
('spend', '[{"tier_code": "basic", "rank": 0}, {"tier_code": "silver", "rank": 1, "validity": "12 months"}, {"tier_code": "gold", "rank": 2, "validity": "12 months"}, {"tier_code": "platinum", "rank": 3, "validity": "12 months"}]',
 '[{"tier_code": "silver", "measure": "spend", "threshold": 1000, "within": "12 months"}, {"tier_code": "gold", "measure": "spend", "threshold": 5000, "within": "12 months"}, {"tier_code": "platinum", "measure": "spend", "threshold": 10000, "within": "12 months"}]'),
('growth', '[{"tier_code": "basic", "rank": 0}, {"tier_code": "silver", "rank": 1, "validity": "end of year", "grace_days": 30}, {"tier_code": "gold", "rank": 2, "validity": "end of year", "grace_days": 30}]',
 '[{"tier_code": "silver", "measure": "points", "points_type": "growth", "threshold": 100, "calendar": "year"}, {"tier_code": "gold", "measure": "points", "points_type": "growth", "threshold": 300, "calendar": "year"}]'),
('returns', '[{"tier_code": "silver", "rank": 1, "validity": "12 months", "on_return": "at_once"}, {"tier_code": "gold", "rank": 2, "validity": "12 months", "on_return": "at_once"}]',
 '[{"tier_code": "silver", "measure": "spend", "threshold": 1000, "within": "12 months"}, {"tier_code": "gold", "measure": "spend", "threshold": 5000, "within": "12 months"}]'),
('ways', '[{"tier_code": "silver", "rank": 1}, {"tier_code": "gold", "rank": 2}]',
 '[{"tier_code": "silver", "measure": "sales", "threshold": 3, "calendar": "quarter"}, {"tier_code": "silver", "part": 2, "measure": "spend", "threshold": 500, "calendar": "quarter"},
   {"tier_code": "silver", "way": 2, "measure": "points", "points_type": "growth", "threshold": 100, "within": "36 hours"}, {"tier_code": "gold", "measure": "sales", "threshold": 5}]'),
('everybody', '[{"tier_code": "silver", "rank": 1}, {"tier_code": "gold", "rank": 2}]', '[{"tier_code": "silver", "measure": "spend", "threshold": 0}, {"tier_code": "gold", "measure": "spend", "threshold": 0.01, "calendar": "month"}]'),
('strict', '[{"tier_code": "silver", "rank": 1, "validity": "end of month"}, {"tier_code": "gold", "rank": 2, "validity": "end of month"}]',
 '[{"tier_code": "silver", "measure": "spend", "threshold": 100, "calendar": "month"}, {"tier_code": "gold", "measure": "spend", "threshold": 500, "calendar": "month"}]');
INSERT INTO programs SELECT 'pending', tiers, rules, '14 days' FROM programs WHERE program = 'growth';

-- acts: buy what at, refund of which (lines), give, correct, spend or transfer growth, review, hand (until, at least), merge; what is held after each, - being nothing
CREATE TABLE public.stories (no serial, program text, name text, acts jsonb, expected text);
INSERT INTO stories (program, name, acts, expected)
SELECT program, name, acts::jsonb, expected FROM (VALUES
('spend', 'a cent is lacking', '[{"buy": [999.99]}, {"buy": [0.01]}]', '- silver'),
('spend', 'two sales together', '[{"buy": [600], "at": "2026-01-10"}, {"buy": [400], "at": "2026-06-01"}]', '- silver'),
('spend', 'any number of levels in one step', '[{"buy": [999]}, {"buy": [9001]}]', '- platinum'),
('spend', 'the second level, not the third', '[{"buy": [9999.99]}]', 'gold'),
('spend', 'what is paid, not what it cost', '[{"buy": [1200], "discount": 200.01}, {"buy": [0.01]}]', '- silver'),
('spend', 'shipping does not count', '[{"buy": [950], "shipping": 100}]', '-'),
('spend', 'stored value is payment', '[{"fill": 2000}, {"buy": [1000], "stored_value": 1000}]', '- silver'),
('spend', 'points are not', '[{"gift": 300}, {"buy": [1200], "points": 300}, {"buy": [100]}]', '- - silver'),
('spend', 'the window: its first day', '[{"buy": [600], "at": "2025-03-02 00:00"}, {"buy": [400], "at": "2026-03-01 23:59:59"}]', '- silver'),
('spend', 'the window: the day before', '[{"buy": [600], "at": "2025-03-01 23:59:59"}, {"buy": [400], "at": "2026-03-01 00:00"}]', '- -'),
('spend', 'the window over February 29, its first day', '[{"buy": [600], "at": "2024-02-29 00:00"}, {"buy": [400], "at": "2025-02-28"}]', '- silver'),
('spend', 'the window over February 29, the day before', '[{"buy": [600], "at": "2024-02-28 23:59"}, {"buy": [400], "at": "2025-02-28"}]', '- -'),
('spend', 'days are those of Shanghai', '[{"buy": [600], "at": "2025-03-01T16:00Z"}, {"buy": [400], "at": "2026-03-01T15:59Z"}]', '- silver'),
('spend', 'a late sale completes', '[{"buy": [600], "at": "2026-06-10"}, {"buy": [400], "at": "2026-06-01"}]', '- silver'),
('spend', 'a late sale from before the window does not', '[{"buy": [600], "at": "2026-06-10"}, {"buy": [400], "at": "2025-06-10"}]', '- -'),
('spend', 'two late sales of a year long ago', '[{"buy": [10], "at": "2026-06-10"}, {"buy": [600], "at": "2024-06-10"}, {"buy": [600], "at": "2024-06-11"}]', '- - silver'),
('spend', 'what was returned before does not count', '[{"buy": [400, 500], "ref": "x"}, {"refund": "x", "lines": [2]}, {"buy": [599.99]}, {"buy": [0.01]}]', '- - - silver'),
('spend', 'a return after does nothing before the review', '[{"buy": [1000], "ref": "x", "at": "2026-02-01"}, {"refund": "x", "at": "2026-02-02"}, {"review": "2027-02-01 23:59:59.999"}, {"review": "2027-02-02"}]', 'silver silver silver basic'),
('spend', 'kept by what the period saw', '[{"buy": [1000], "at": "2026-02-01"}, {"buy": [1000], "at": "2026-12-01"}, {"review": "2027-02-02"}]', 'silver silver silver'),
('spend', 'lost with the last day of the window', '[{"buy": [1000], "at": "2026-02-01 12:00"}, {"review": "2027-02-01 23:59"}, {"review": "2027-02-02 00:00"}]', 'silver silver basic'),
('spend', 'down to what is justified, two levels', '[{"buy": [10000], "at": "2026-02-01"}, {"buy": [1200], "at": "2026-12-01"}, {"review": "2027-02-02"}]', 'platinum platinum silver'),
('spend', 'down to what is justified, three levels', '[{"buy": [10000], "at": "2026-02-01"}, {"review": "2027-02-02"}]', 'platinum basic'),
('spend', 'down, and up again by the next sale', '[{"buy": [10000], "at": "2026-02-01"}, {"review": "2027-02-02"}, {"buy": [5000], "at": "2027-02-03"}]', 'platinum basic gold'),
('spend', 'a climb begins a period of its own', '[{"buy": [1000], "at": "2026-02-01"}, {"buy": [4000], "at": "2026-11-01"}, {"review": "2027-02-02"}, {"review": "2027-11-01"}, {"review": "2027-11-02"}]', 'silver gold gold gold basic'),
('spend', 'a review years late judges each period: kept, then lost', '[{"buy": [1000], "at": "2024-02-01"}, {"buy": [1000], "at": "2024-12-01"}, {"review": "2029-01-01"}]', 'silver silver basic'),
('growth', 'growth points reach it, not the others', '[{"buy": [999]}, {"buy": [9.99]}, {"buy": [10]}]', '- - silver'),
('growth', 'a new year counts anew', '[{"buy": [600], "at": "2026-12-31T15:59Z"}, {"buy": [500], "at": "2026-12-31T16:00Z"}, {"buy": [500], "at": "2027-12-31"}]', '- - silver'),
('growth', 'spending growth changes nothing', '[{"buy": [1000], "at": "2026-05-01"}, {"spend": 100, "at": "2026-05-02"}, {"buy": [2000], "at": "2026-05-03"}]', 'silver silver gold'),
('growth', 'given by hand lifts at once', '[{"buy": [990]}, {"give": 1}, {"give": 200}]', '- silver gold'),
('growth', 'expired points were granted all the same', '[{"give": 100, "at": "2026-05-01", "expires": "2026-06-01"}, {"buy": [2000], "at": "2026-07-01"}]', 'silver gold'),
('growth', 'corrected away: at the review', '[{"correct": 300, "at": "2026-05-01"}, {"correct": -300, "at": "2026-05-02"}, {"review": "2027-01-30"}, {"review": "2027-01-31"}]', 'gold gold gold basic'),
('growth', 'presents from others do not count', '[{"receive": 500}]', '-'),
('growth', 'a return takes what it earned', '[{"buy": [500, 500], "at": "2026-05-01", "ref": "x"}, {"refund": "x", "lines": [2], "at": "2026-05-02"}, {"buy": [2490], "at": "2026-05-03"}, {"buy": [10], "at": "2026-05-04"}]', 'silver silver silver gold'),
('growth', 'grace: its days count for the year that ended', '[{"buy": [500, 500], "at": "2026-05-01", "ref": "x"}, {"refund": "x", "lines": [2], "at": "2026-05-02"}, {"buy": [500], "at": "2027-01-30 23:59"}, {"review": "2027-01-31"}]', 'silver silver silver silver'),
('growth', 'grace: over', '[{"buy": [500, 500], "at": "2026-05-01", "ref": "x"}, {"refund": "x", "lines": [2], "at": "2026-05-02"}, {"buy": [500], "at": "2027-01-31 00:00"}, {"review": "2027-01-31"}]', 'silver silver silver basic'),
('growth', 'grace: not reviewed before', '[{"buy": [1000], "at": "2026-05-01", "ref": "x"}, {"refund": "x", "at": "2026-05-02"}, {"review": "2027-01-30 23:59:59"}, {"review": "2027-01-31"}]', 'silver silver silver basic'),
('growth', 'the new year alone justifies', '[{"buy": [1000], "at": "2026-05-01", "ref": "x"}, {"refund": "x", "at": "2026-05-02"}, {"buy": [1000], "at": "2027-01-10"}, {"review": "2027-01-31"}, {"review": "2028-01-31"}]', 'silver silver silver silver silver'),
('growth', 'two years without a sale: kept for the first, lost after', '[{"buy": [1000], "at": "2026-05-01"}, {"review": "2027-01-31"}, {"review": "2028-01-30"}, {"review": "2028-01-31"}]', 'silver silver silver basic'),
('pending', 'pending growth counts from its release on: the next sale', '[{"buy": [1000], "at": "2026-05-01 10:00"}, {"buy": [1], "at": "2026-05-15 09:59"}, {"buy": [1], "at": "2026-05-15 10:00"}]', '- - silver'),
('pending', 'pending growth counts from its release on: the review', '[{"buy": [3000], "at": "2026-05-01 10:00"}, {"review": "2026-05-15 09:59"}, {"review": "2026-05-15 10:00"}]', '- - gold'),
('pending', 'returned while pending', '[{"buy": [1000], "at": "2026-05-01 10:00", "ref": "x"}, {"refund": "x", "at": "2026-05-02"}, {"review": "2026-06-01"}]', '- - -'),
('returns', 'the qualifying sale comes back', '[{"buy": [1000], "ref": "x"}, {"refund": "x"}]', 'silver -'),
('returns', 'part of it, and it is still enough', '[{"buy": [1000, 200], "ref": "x"}, {"refund": "x", "lines": [2]}]', 'silver silver'),
('returns', 'part of it, and it is not', '[{"buy": [1000, 200], "ref": "x"}, {"refund": "x", "lines": [1]}]', 'silver -'),
('returns', 'part after part', '[{"buy": [500, 500, 500], "ref": "x"}, {"refund": "x", "lines": [3]}, {"refund": "x", "lines": [1]}]', 'silver silver -'),
('returns', 'an earlier sale that it needed comes back', '[{"buy": [600], "ref": "x", "at": "2026-02-01"}, {"buy": [400], "at": "2026-02-02"}, {"refund": "x", "at": "2026-02-03"}]', '- silver -'),
('returns', 'others keep it', '[{"buy": [1000], "ref": "x", "at": "2026-02-01"}, {"buy": [1000], "at": "2026-02-02"}, {"refund": "x", "at": "2026-02-03"}]', 'silver silver silver'),
('returns', 'back to the tier before', '[{"buy": [1000], "at": "2026-02-01"}, {"buy": [4000], "ref": "x", "at": "2026-03-01"}, {"refund": "x", "at": "2026-03-02"}, {"review": "2027-02-01 23:59"}, {"review": "2027-02-02"}]', 'silver gold silver silver -'),
('returns', 'a renewed tier waits for its review', '[{"buy": [1000], "at": "2026-02-01"}, {"buy": [1000], "ref": "x", "at": "2026-12-01"}, {"review": "2027-02-02"}, {"refund": "x", "at": "2027-02-03"}, {"review": "2028-02-02"}]', 'silver silver silver silver -'),
('ways', 'both parts in a quarter', '[{"buy": [100], "at": "2026-01-01 00:00"}, {"buy": [100], "at": "2026-02-01"}, {"buy": [300], "at": "2026-03-31 23:59"}]', '- - silver'),
('ways', 'the quarter is over', '[{"buy": [100], "at": "2026-01-01"}, {"buy": [100], "at": "2026-02-01"}, {"buy": [300], "at": "2026-04-01 00:00"}]', '- - -'),
('ways', 'three sales, too cheap', '[{"buy": [100]}, {"buy": [100]}, {"buy": [299.99]}]', '- - -'),
('ways', 'a returned sale is none, one returned in part is', '[{"buy": [300, 200], "ref": "x"}, {"buy": [300]}, {"refund": "x", "lines": [2]}, {"buy": [10]}]', '- - - silver'),
('ways', 'the other way: within hours, to the instant', '[{"buy": [500], "at": "2026-05-01 10:00:01"}, {"buy": [500], "at": "2026-05-02 22:00:01"}]', '- -'),
('ways', 'the other way: within hours', '[{"buy": [500], "at": "2026-05-01 10:00:01"}, {"buy": [500], "at": "2026-05-02 22:00:00"}]', '- silver'),
('ways', 'no window: the fifth sale, years apart', '[{"buy": [1], "at": "2022-01-01"}, {"buy": [1], "at": "2023-01-01"}, {"buy": [1], "at": "2024-01-01"}, {"buy": [1], "at": "2025-01-01"}, {"buy": [1], "at": "2026-01-01"}]', '- - - - gold'),
('everybody', 'nothing at all reaches 0, by the first sale', '[{"buy": [0]}]', 'silver'),
('everybody', 'nothing at all reaches 0, by the review', '[{"review": "2026-05-01"}]', 'silver'),
('strict', 'never lower between reviews', '[{"buy": [500], "at": "2026-05-01"}, {"buy": [100], "at": "2026-06-30"}, {"review": "2026-06-30"}, {"review": "2026-07-01"}]', 'gold gold gold silver'),
('strict', 'a month without', '[{"buy": [500], "at": "2026-05-01"}, {"review": "2026-06-01"}, {"review": "2026-07-01"}]', 'gold gold -'),
-- by hand: overrides until it lapses, whatever is earned beneath
('spend', 'a level by hand, taken away', '[{"hand": "gold"}, {"buy": [5], "at": "2026-05-01"}, {"hand": null}]', 'gold gold -'),
('spend', 'a level by hand hides a higher one, which comes back', '[{"hand": "silver", "until": "2099-01-01"}, {"buy": [5000], "at": "2098-12-01"}, {"review": "2098-12-31"}, {"review": "2099-01-01"}]', 'silver silver silver gold'),
('spend', 'a floor gives way to a higher one', '[{"hand": "silver", "at_least": true}, {"buy": [999], "at": "2026-05-01"}, {"buy": [4001], "at": "2026-05-02"}, {"hand": null}]', 'silver silver gold gold'),
('spend', 'a floor holds when what is earned falls', '[{"buy": [5000], "at": "2026-05-01"}, {"hand": "silver", "at_least": true}, {"review": "2027-05-02"}, {"hand": null}]', 'gold gold silver basic'),
('spend', 'lapsed: what was earned beneath', '[{"hand": "platinum", "until": "2099-01-01"}, {"buy": [1000], "at": "2098-06-01"}, {"review": "2099-01-01"}, {"review": "2099-06-02"}]', 'platinum platinum silver basic'),
('spend', 'lapsed: nothing beneath', '[{"hand": "platinum", "until": "2099-01-01"}, {"review": "2098-12-31"}, {"review": "2099-01-01"}]', 'platinum platinum -'),
('spend', 'a level below, against abuse', '[{"buy": [5000], "at": "2026-05-01"}, {"hand": "basic"}, {"buy": [6000], "at": "2026-05-02"}, {"hand": null}]', 'gold basic basic platinum'),
-- merged: what both did is united
('spend', 'two halves reach it together', format('[{"buy": [600], "at": "%1$s"}, {"merge": 600, "at": "%1$s"}]', current_date - 60), '- silver'),  -- merged now
('spend', 'neither half falls', '[{"buy": [5000], "at": "2026-05-01"}, {"merge": 10, "at": "2026-05-02"}]', 'gold gold')
) v (program, name, acts, expected);

CREATE FUNCTION pg_temp.run_program(program text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM crm_member.member_tier;
  DELETE FROM crm_member.tier;
  INSERT INTO crm_member.tier (tier_code, name, rank, validity, grace_days, on_return)
  SELECT t->>'tier_code', t->>'tier_code', (t->>'rank')::int, coalesce(t->>'validity', 'never'), coalesce((t->>'grace_days')::int, 0), coalesce(t->>'on_return', 'review')
    FROM public.programs p, jsonb_array_elements(p.tiers) t WHERE p.program = run_program.program;
  INSERT INTO crm_member.tier_rule (tier_code, way, part, measure, points_type, threshold, within, calendar)
  SELECT r->>'tier_code', coalesce((r->>'way')::int, 1), coalesce((r->>'part')::int, 1), r->>'measure', coalesce(r->>'points_type', 'points'), (r->>'threshold')::numeric, (r->>'within')::interval, r->>'calendar'
    FROM public.programs p, jsonb_array_elements(p.rules) r WHERE p.program = run_program.program;
  UPDATE crm_member.points_rule SET pending = (SELECT p.pending FROM public.programs p WHERE p.program = run_program.program) WHERE rule_code = 'growth';
END
$$;
CREATE FUNCTION pg_temp.acts(who bigint, acts jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  act jsonb;
  i int := 0;
  at text;
  held text;
  given text;
BEGIN
  FOR act IN SELECT jsonb_array_elements(acts) LOOP
    i := i + 1;
    at := coalesce(act->>'at', '2026-05-01');
    at := CASE WHEN at LIKE '%Z' THEN at ELSE at || '+08' END;
    CASE
      WHEN act ? 'buy' THEN
        PERFORM crm_member.checkout(jsonb_strip_nulls(jsonb_build_object('ref', who || coalesce(act->>'ref', i || ' ' || at), 'member_id', who, 'sold_at', at, 'shipping', act->'shipping', 'points', act->'points', 'stored_value', act->'stored_value',
          'lines', (SELECT jsonb_agg(jsonb_build_object('price', p, 'discount', coalesce(act->'discount', '0'))) FROM jsonb_array_elements(act->'buy') p))));
      WHEN act ? 'refund' THEN
        PERFORM crm_member.refund(jsonb_strip_nulls(jsonb_build_object('ref', who || 'r' || i, 'sale_ref', who || (act->>'refund'), 'refunded_at', at, 'lines', (SELECT jsonb_agg(jsonb_build_object('line_no', l)) FROM jsonb_array_elements(act->'lines') l))));
      WHEN act ? 'fill' THEN PERFORM crm_member.top_up_stored_value(who, (act->>'fill')::numeric, reason => 'x', ref => i::text, at => '2026-01-01');
      WHEN act ? 'gift' THEN PERFORM crm_member.award_points(who, (act->>'gift')::numeric, 'x', i::text, at => '2026-01-01');
      WHEN act ? 'give' THEN PERFORM crm_member.award_points(who, (act->>'give')::numeric, 'x', i::text, 'growth', at => at::timestamptz, expires_at => (act->>'expires')::timestamptz);
      WHEN act ? 'correct' THEN PERFORM crm_member.adjust_points(who, (act->>'correct')::numeric, 'x', i::text, 'growth', at => at::timestamptz, actor => 'x');
      WHEN act ? 'spend' THEN PERFORM crm_member.spend_points(who, (act->>'spend')::numeric, 'x', i::text, 'growth', at => at::timestamptz);
      WHEN act ? 'receive' THEN
        PERFORM crm_member.award_points(9, (act->>'receive')::numeric, 'x', 'a' || who, 'growth', at => at::timestamptz);
        PERFORM crm_member.transfer_points(9, who, (act->>'receive')::numeric, 'x', 't' || who, 'growth', at => at::timestamptz);
      WHEN act ? 'review' THEN held := crm_member.review_tier(who, (act->>'review' || '+08')::timestamptz);
      WHEN act ? 'hand' THEN PERFORM crm_member.set_tier(who, act->>'hand', 'x', (act->>'until' || ' 00:00+08')::timestamptz, at_least => coalesce((act->>'at_least')::boolean, false));
      WHEN act ? 'merge' THEN
        PERFORM crm_member.checkout(jsonb_build_object('ref', 'other' || who, 'member_id', 5000 + who, 'sold_at', at, 'lines', jsonb_build_array(jsonb_build_object('price', act->'merge'))));
        PERFORM crm_member.merge_members(who, ARRAY[5000 + who], 'm' || who);
    END CASE;
    given := concat_ws(' ', given, coalesce((SELECT t.tier_code FROM crm_member.member_tier t WHERE t.member_id = who), '-'));
  END LOOP;
  -- what the acts answered, what is written and what the history says are one
  IF held IS DISTINCT FROM (SELECT t.tier_code FROM crm_member.member_tier t WHERE t.member_id = who) AND acts->-1 ? 'review' THEN
    given := given || ' but the review said ' || coalesce(held, '-');
  END IF;
  IF EXISTS (SELECT FROM (SELECT e.from_tier, lag(e.to_tier) OVER (ORDER BY e.event_id) AS before FROM crm_member.member_tier_event e WHERE e.member_id = who) e WHERE from_tier IS DISTINCT FROM before) THEN
    given := given || ' but the history has gaps';
  END IF;
  RETURN given;
END
$$;
INSERT INTO member (member_id, joined_at) SELECT 9, '2021-01-01'::timestamptz UNION ALL SELECT 1000 + no, '2021-01-01' FROM stories UNION ALL SELECT 6000 + no, '2021-01-01' FROM stories WHERE acts @> '[{}]' AND acts::text LIKE '%merge%';
SELECT count(*) AS stories FROM stories;
CREATE TABLE public.told (no int, got text);
DO $$
DECLARE
  story record;
  before text := '';
BEGIN
  FOR story IN SELECT * FROM public.stories ORDER BY program, no LOOP
    IF story.program <> before THEN PERFORM pg_temp.run_program(story.program); END IF;
    before := story.program;
    BEGIN
      INSERT INTO public.told VALUES (story.no, pg_temp.acts(1000 + story.no, story.acts));
    EXCEPTION WHEN OTHERS THEN
      INSERT INTO public.told VALUES (story.no, SQLSTATE || ' ' || SQLERRM);
    END;
  END LOOP;
END
$$;
SELECT no, program, name, expected, got FROM stories LEFT JOIN told USING (no) WHERE got IS DISTINCT FROM expected ORDER BY no;

-- what is lacking, as of a day: for the next tier, for all, at the top, beneath a level by hand, part by part
SELECT pg_temp.run_program('spend');
INSERT INTO member (member_id, joined_at) SELECT g, '2021-01-01' FROM generate_series(20, 29) g;
SELECT pg_temp.acts(20, '[{"buy": [600], "at": "2025-05-10"}, {"buy": [399.99], "at": "2026-02-01"}]') AS "-", pg_temp.acts(21, '[{"buy": [10000]}]') AS "top", pg_temp.acts(22, '[{"hand": "platinum"}, {"buy": [1500], "at": "2026-02-01"}]') AS "by hand, earned silver";
SELECT tier_code, counts_from, threshold, reached, lacking FROM tier_progress(20, '2026-05-09 12:00+08', true);
SELECT tier_code, threshold, reached, lacking FROM tier_progress(20, '2026-05-10 00:00+08');
SELECT count(*) AS "none above" FROM tier_progress(21, '2026-05-02');
SELECT tier_code, lacking FROM tier_progress(22, '2026-05-02');
SELECT pg_temp.run_program('ways');
SELECT pg_temp.acts(23, '[{"buy": [300, 200], "at": "2026-05-01", "ref": "x"}, {"buy": [100.5], "at": "2026-05-02"}, {"refund": "x", "lines": [2], "at": "2026-05-02"}]') AS "- - -";
SELECT tier_code, way, part, measure, points_type, threshold, reached, lacking FROM tier_progress(23, '2026-05-02 12:00+08', true);

-- benefits in rules, promotions and the sale itself: gold earns by what it reached, silver from the next sale on
SELECT pg_temp.run_program('spend');
UPDATE tier SET multiplier = CASE tier_code WHEN 'silver' THEN 1.5 WHEN 'gold' THEN 2 END, at_once = tier_code = 'gold', discount = CASE tier_code WHEN 'gold' THEN 10 END WHERE tier_code IN ('silver', 'gold');
INSERT INTO points_rule (rule_code, award, points, condition) VALUES ('high', 'fixed', 7, 'member.tier_rank >= 2');
CREATE FUNCTION pg_temp.sells(who bigint, price numeric) RETURNS text LANGUAGE sql AS $$
  SELECT format('%s for %s', a #>> '{points,earned}', a->>'payable') FROM crm_member.checkout(jsonb_build_object('ref', gen_random_uuid(), 'member_id', who, 'sold_at', '2026-05-01 10:00', 'lines', jsonb_build_array(jsonb_build_object('price', price)))) a
$$;
SELECT pg_temp.sells(24, 1001) AS "1001: not yet silver";
SELECT pg_temp.sells(24, 101) AS "101 + 50 as silver";
-- the sale that reaches gold is not cheaper for it; 3899 + 7, doubled
SELECT pg_temp.sells(24, 3899) AS "7812 for 3899.00";
SELECT pg_temp.sells(24, 100) AS "90 + 7, doubled, 10 % off";
SELECT rule_code, verdict, saw, points FROM explain_points('{"member_id": 24, "sold_at": "2026-05-01 11:00", "lines": [{"price": 10}]}') ORDER BY 1;
-- growth is not multiplied
SELECT sum(points) AS "100 + 10 + 389 + 9" FROM points_entry WHERE member_id = 24 AND points_type = 'growth';
DELETE FROM points_rule WHERE rule_code = 'high';

-- the history of one member: levels, causes, what was earned beneath
SELECT pg_temp.acts(25, '[{"buy": [1000], "at": "2026-02-01"}, {"hand": "platinum", "until": "2099-01-01"}, {"buy": [4000], "at": "2026-03-01"}, {"hand": null}]');
SELECT cause, from_tier, to_tier, earned_from, earned_to, way, sale_id IS NOT NULL AS sale, reason FROM member_tier_event WHERE member_id = 25 ORDER BY event_id;
-- cleared points were granted all the same: the year is judged whether the review runs before they are cleared, or after
SELECT pg_temp.run_program('growth');
SELECT pg_temp.acts(26, '[{"buy": [1000], "at": "2026-05-01"}, {"buy": [1000], "at": "2026-06-01"}]') AS "silver", pg_temp.acts(27, '[{"buy": [3000], "at": "2026-05-01"}]') AS "gold";
CALL clear_points('growth', '2026-12-31 16:00Z');
SELECT member_id, balance FROM points_account WHERE member_id IN (26, 27) AND points_type = 'growth';
SELECT review_tier(26, '2027-01-31 00:00+08') AS silver, review_tier(27, '2027-01-31 00:00+08') AS gold;
SELECT pg_temp.acts(26, '[{"buy": [10], "at": "2027-02-01"}]') AS "no more than one point of the new year";
SELECT tier_code, reached, lacking FROM tier_progress(26, '2027-02-02', true);
-- a level by hand counts until it lapses, by the time of the sale and before any review; beneath it silver was reached
SELECT pg_temp.run_program('spend');
UPDATE tier SET multiplier = CASE tier_code WHEN 'silver' THEN 1.5 WHEN 'gold' THEN 2 END, at_once = tier_code IN ('silver', 'gold'), on_return = 'at_once' WHERE tier_code IN ('silver', 'gold');
SELECT set_tier(28, 'gold', 'a guest of the house', until => now() + interval '10 days');
CREATE FUNCTION pg_temp.later(who bigint, price numeric, days int, ref text) RETURNS text LANGUAGE sql AS $$
  SELECT format('%s, quoted %s', crm_member.checkout(s) #>> '{points,earned}', crm_member.quote(s) #>> '{points,earned}')
  FROM jsonb_build_object('ref', ref, 'member_id', who, 'sold_at', now() + make_interval(days => days), 'lines', jsonb_build_array(jsonb_build_object('price', price))) s
$$;
SELECT pg_temp.later(28, 1000, 9, 'guest 1') AS "2000: gold", pg_temp.later(28, 10, 11, 'guest 2') AS "15: silver";
SELECT tier_code, earned_tier, manual_tier FROM member_tier WHERE member_id = 28;
WITH sold AS (SELECT new_id() AS sale_id, d FROM (VALUES (9), (12)) v (d)), head AS (
  INSERT INTO sale (member_id, sale_id, ref, sold_at) SELECT 28, sale_id, 'guest row ' || d, now() + make_interval(days => d) FROM sold)
INSERT INTO sale_line (member_id, sale_id, line_no, quantity, price) SELECT 28, sale_id, 1, 1, 100 FROM sold;
SELECT s.ref, points AS "200, 150" FROM points_entry e JOIN sale s USING (member_id, sale_id) WHERE e.member_id = 28 AND points_type = 'points' AND s.ref LIKE 'guest row%' ORDER BY s.sold_at;
-- silver is taken away with the sale that raised the member; that sale earned by it, whatever became of it
SELECT pg_temp.later(29, 1200, 20, 'back') AS "1800: silver at once";
SELECT refund(jsonb_build_object('ref', 'back', 'sale_ref', 'back', 'refunded_at', now() + interval '21 days'))->>'complete' AS complete;
SELECT pg_temp.later(29, 100, 22, 'after') AS "100: basic again";
SELECT member_id, sum(points) AS points, sum(given) AS given FROM simulate_rules(now(), now() + interval '1 year') WHERE points_type = 'points' AND member_id IN (28, 29) GROUP BY 1 ORDER BY 1;
SELECT * FROM verify_ledger();
DROP TABLE public.programs, public.stories, public.told;
