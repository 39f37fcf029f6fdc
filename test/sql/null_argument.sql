--
-- NULL for an argument that has a default is the same as leaving it out, as a driver
-- binds what a form left empty; for one that must be given it is 22004.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(NULL, NULL, NULL, NULL);
RESET client_min_messages;
SET search_path = crm_member, public;
SET timezone = 'UTC';
SELECT time_zone, money_scale, currency, (SELECT bool_and(tgenabled = 'O') FROM pg_trigger WHERE tgname LIKE 'settle_sale%') AS triggers FROM setting;
INSERT INTO points_rule (rule_code, award, points) VALUES ('base', 'per_amount', 1);
INSERT INTO points_type (points_type, name) VALUES ('growth', 'Growth');
INSERT INTO points_conversion (from_type, to_type, rate) VALUES ('points', 'growth', 2);
INSERT INTO tier (tier_code, name, rank) VALUES ('gold', 'Gold', 1);
INSERT INTO tier_rule (tier_code, measure, points_type, threshold) VALUES ('gold', 'points', 'growth', 100);
INSERT INTO coupon_template (template_code, kind, value) VALUES ('TEN', 'amount', 10);
INSERT INTO card_type (card_type, name) VALUES ('std', 'Standard') ON CONFLICT DO NOTHING;
INSERT INTO member (member_id, joined_at) SELECT g, '2026-01-01' FROM generate_series(1, 9) g;

-- every argument with a default other than NULL: what is not below is missing there
SELECT p.proname, string_agg(p.proargnames[p.pronargs - p.pronargdefaults + n], ', ' ORDER BY n) AS has_default
FROM pg_proc p, LATERAL unnest(string_to_array(pg_get_expr(p.proargdefaults, 0), ', ')) WITH ORDINALITY AS d (expression, n)
WHERE p.pronamespace = 'crm_member'::regnamespace AND d.expression NOT LIKE 'NULL::%' GROUP BY p.oid, 1 ORDER BY 1, 2;

-- points
SELECT award_points(1, 100, 'x', 'a', points_type => NULL, expires_at => NULL, available_at => NULL, at => NULL, actor => NULL) AS awarded;
SELECT award_points(1, 100, 'x', 'a') AS "a retry";
SELECT adjust_points(1, 10, 'x', 'b', points_type => NULL, at => NULL, actor => 'ann') AS adjusted, spend_points(1, 5, NULL, 'c', points_type => NULL, at => NULL) AS spent,
       hold_points(1, 20, NULL, 'd', points_type => NULL, expires_at => NULL, at => NULL) AS held;
SELECT capture_points(1, 'd', 5, capture_ref => 'e', release_rest => NULL, at => NULL) AS "captured, the rest released", release_points(1, 'd', at => NULL) AS released;
SELECT reverse_points('c', 1, points_type => NULL, at => NULL) AS reversed, transfer_points(1, 2, 10, ref => 'f', points_type => NULL, at => NULL) AS transferred,
       convert_points(1, 10, 'points', 'growth', 'g', at => NULL) AS converted;
SELECT points_balance(1, NULL, NULL, NULL) AS balance, points_balance(1) AS left_out, points_balance(1, 'growth', as_of => NULL) AS growth, points_balance(NULL) IS NULL AS nobody;
SELECT checkout('{"ref": "1", "member_id": 1, "lines": [{"price": 7}]}') #>> '{points,earned}' AS earned;
SELECT count(*) AS told, (SELECT count(*) FROM (SELECT * FROM simulate_rules('2020-01-01', 'infinity', NULL, NULL, NULL) INTERSECT SELECT * FROM simulate_rules('2020-01-01', 'infinity')) x) AS the_same FROM simulate_rules('2020-01-01', 'infinity');
SELECT rule_code, member_id, given FROM simulate_rules('2020-01-01', 'infinity', NULL, NULL, NULL);
CALL expire_points(NULL, NULL);
CALL clear_points('growth', NULL, NULL);
SELECT act, points_type, as_of > now() - interval '1 hour' AS now, points FROM ledger_run ORDER BY act DESC;

-- stored value
SELECT top_up_stored_value(1, 100, ref => 'a', gift => NULL, at => NULL) AS topped_up, spend_stored_value(1, 10, ref => 'b', at => NULL) AS spent, return_stored_value(1, 'b', return_ref => 'c', at => NULL) AS returned,
       authorise_stored_value(1, 30, ref => 'd', expires_at => NULL, at => NULL) AS authorised, capture_stored_value(1, 'd', 10, capture_ref => 'e', release_rest => NULL, at => NULL) AS "captured, the rest released",
       void_stored_value(1, 'd', void_ref => 'f', at => NULL) AS void;
SELECT stored_value_balance(1, NULL, NULL) AS balance, stored_value_balance(NULL) IS NULL AS nobody, close_stored_value(1, ref => 'g', at => NULL) AS closed;

-- tiers
SELECT set_tier(1, 'gold', 'x', at_least => NULL) AS tier, review_tier(1, NULL) AS reviewed, review_tier(NULL) IS NULL AS nobody;
SELECT tier_code, lacking FROM tier_progress(2, NULL, NULL);
SELECT count(*) FROM tier_progress(NULL);
CALL review_tiers(NULL, NULL);

-- members and cards
SELECT register_member(source => 'x', external_id => '1', kind => NULL, status => NULL) AS registered \gset
SELECT kind, status FROM member WHERE member_id = :registered;
SELECT create_cards('std', 2, NULL, NULL, NULL) AS cards;
SELECT min(card_no) FROM card;
SELECT issue_card(1, '00000001'), activate_card('00000001') IS NOT NULL AS active;
SELECT usable_card('00000001', NULL) AS holder, usable_card(NULL) IS NULL AS nobody;
CREATE TABLE public.incoming (name text, external_id text, source text);
INSERT INTO incoming VALUES ('A', '7', 'x');
SELECT rows_imported FROM import_members('TABLE public.incoming', NULL);
SELECT refer_member(3, 1, NULL) AS referrer, reward_referral(3, 5, 'x', 'r', NULL) AS rewarded, relate_members(4, 5, NULL, NULL), unrelate_members(4, 5, NULL) AS ended, set_consent(4, 'sms', 'ads', true, NULL, NULL) AS consent;

-- coupons
SELECT issue_coupon('TEN', 1, 'i') AS code \gset
SELECT hold_coupon(:'code', 'h', NULL) BETWEEN now() + interval '14 minutes' AND now() + interval '16 minutes' AS held;

-- merging: what a NULL leaves out is what leaving it out is, also for a retry
SELECT merge_members(6, '{7}', 'm', NULL, NULL) -> 'survivor' AS survivor;
SELECT merge_members(6, '{7}', 'm') -> 'survivor' AS "a retry";
SELECT unmerge((SELECT merge_id FROM member_merge WHERE ref = 'm'), 'u', NULL, NULL, NULL) -> 'undone' AS undone;
SELECT erase_member(9, 'x', everywhere => NULL) ->> 'members' AS erased;

-- what only reckons with its arguments is as SQL's own functions are
SELECT allocate(10, '{1,1}', NULL, NULL) IS NULL AS allocated, round_decimal(1.5, NULL) IS NULL AS rounded;

-- scores and duplicates
SELECT member, score FROM rfm_from('SELECT 1, current_date, 10', NULL, NULL, NULL);
CALL run_rfm(NULL, NULL);
CALL find_duplicates(NULL);
SELECT (SELECT count(*) FROM rfm_run) AS runs, (SELECT model_code FROM match_run) AS model, (SELECT count(*) FROM match_member('{"name": "nobody"}', NULL)) AS likely;
SELECT rfm_grid(NULL, NULL) = rfm_grid() AS grid, segment_bars(NULL, NULL) = segment_bars() AS bars, rfm_grid_svg(NULL, NULL) = rfm_grid_svg() AS grid_svg, segment_bars_svg(NULL, NULL) = segment_bars_svg() AS bars_svg, (SELECT count(*) FROM rfm_path(1, NULL)) = (SELECT count(*) FROM rfm_path(1)) AS path;

-- what must be given
CREATE FUNCTION pg_temp.refused(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE call;
  RETURN 'done';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END
$$;
SELECT call, pg_temp.refused('SELECT ' || call) AS state FROM unnest(ARRAY[
  'award_points(NULL, 1, ''x'', ''z'')', 'award_points(1, NULL, ''x'', ''z'')', 'award_points(1, 1, ''x'', NULL)', 'adjust_points(1, 1, NULL, ''z'', actor => ''a'')', 'adjust_points(1, 1, ''x'', ''z'')',
  'spend_points(1, NULL, ref => ''z'')', 'spend_points(1, 1)', 'hold_points(NULL, 1, ref => ''z'')', 'release_points(1, NULL)', 'capture_points(NULL, ''d'')', 'capture_points(1, NULL)', 'reverse_points(''c'', NULL)',
  'transfer_points(1, NULL, 1, ref => ''z'')', 'transfer_points(NULL, 1, 1, ref => ''z'')', 'convert_points(1, 1, NULL, ''growth'', ''z'')', 'convert_points(1, 1, ''points'', NULL, ''z'')', 'convert_points(1, 1, ''points'', ''growth'', NULL)',
  'top_up_stored_value(1, NULL, ref => ''z'')', 'top_up_stored_value(NULL, 1, ref => ''z'')', 'spend_stored_value(1, 1)', 'return_stored_value(1, NULL, return_ref => ''z'')', 'authorise_stored_value(1, NULL, ref => ''z'')', 'capture_stored_value(1, ''d'')',
  'void_stored_value(1, NULL, void_ref => ''z'')', 'close_stored_value(NULL, ref => ''z'')', 'set_tier(NULL, ''gold'', ''x'')', 'set_tier(1, ''gold'', NULL)', 'refer_member(NULL, 1)', 'relate_members(1, NULL)', 'set_consent(1, ''sms'', ''ads'', NULL)',
  'hold_coupon(NULL::text, ''h'')', 'hold_coupon(''x'', NULL)', 'merge_members(1, NULL)', 'merge_members(1, ''{2,NULL}'')', 'unmerge(NULL)', 'erase_member(NULL, ''x'')', 'erase_member(1, NULL)', 'import_members(NULL)', 'rfm_from(NULL)']) call ORDER BY state, call;
CALL clear_points(NULL);
-- ... of any function: what is not 22004 reads, or is the machinery of another; nothing falls over
SELECT p.oid::regprocedure::text AS call, x.state FROM pg_proc p,
  LATERAL (SELECT pg_temp.refused(format('SELECT * FROM crm_member.%I(%s) x WHERE x IS NOT NULL', p.proname, (SELECT string_agg(format('NULL::%s', t::regtype), ', ' ORDER BY n) FROM unnest(p.proargtypes) WITH ORDINALITY AS u (t, n) WHERE n <= greatest(p.pronargs - p.pronargdefaults, 1)))) AS state) x
 WHERE p.pronamespace = 'crm_member'::regnamespace AND p.prokind = 'f' AND p.pronargs > p.pronargdefaults AND NOT p.proisstrict AND p.prorettype NOT IN ('trigger'::regtype, 'internal'::regtype) AND NOT 'internal'::regtype = ANY (p.proargtypes)
   AND x.state NOT IN ('22004') ORDER BY 1;
SELECT * FROM verify_ledger();
