--
-- The review at the end of a period, and levels given by hand.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/shanghai.sql
SET datestyle = 'ISO';
INSERT INTO member (member_id, joined_at) SELECT g, '2024-01-01 00:00' FROM generate_series(1, 30) g;
INSERT INTO tier (tier_code, name, rank, validity, grace_days) VALUES
  ('basic', 'Basic', 0, 'never', 0), ('silver', 'Silver', 1, 'end of year', 31), ('gold', 'Gold', 2, 'end of year', 31),
  ('platinum', 'Platinum', 3, '12 months', 0);
INSERT INTO tier_rule (tier_code, measure, threshold, calendar) VALUES ('silver', 'spend', 1000, 'year'), ('gold', 'spend', 3000, 'year');
INSERT INTO tier_rule (tier_code, measure, threshold, within) VALUES ('platinum', 'spend', 10000, '12 months');
CREATE FUNCTION pg_temp.buy(member_id bigint, ref text, at timestamptz, price numeric) RETURNS void LANGUAGE sql AS $$
  SELECT crm_member.checkout(jsonb_build_object('ref', ref, 'member_id', member_id, 'sold_at', at,
            'lines', jsonb_build_array(jsonb_build_object('price', price))))
$$;
CREATE VIEW pg_temp.history AS
  SELECT member_id, cause, at, from_tier, to_tier, period_to FROM crm_member.member_tier_event ORDER BY member_id, at, booked_at;

-- 1 kept by the year itself, 2 by the days of grace, 3 falls one level, 4 falls to the entry, 5 rises in the new year
SELECT pg_temp.buy(1, '1a', '2025-03-01', 3000);
SELECT pg_temp.buy(2, '2a', '2025-03-01', 3000); SELECT refund('{"ref": "2r", "sale_ref": "2a", "refunded_at": "2025-04-01"}') #>> '{complete}';
SELECT pg_temp.buy(2, '2b', '2025-06-01', 2000); SELECT pg_temp.buy(2, '2c', '2026-01-31 23:59', 1000);
SELECT pg_temp.buy(3, '3a', '2025-03-01', 3000); SELECT refund('{"ref": "3r", "sale_ref": "3a", "refunded_at": "2025-04-01"}') #>> '{complete}';
SELECT pg_temp.buy(3, '3b', '2025-06-01', 2000); SELECT pg_temp.buy(3, '3c', '2026-02-01 00:00', 1000);
SELECT pg_temp.buy(4, '4a', '2025-03-01', 3000); SELECT refund('{"ref": "4r", "sale_ref": "4a", "refunded_at": "2025-04-01"}') #>> '{complete}';
SELECT pg_temp.buy(5, '5a', '2025-03-01', 1000); SELECT pg_temp.buy(5, '5b', '2026-01-10', 3000);
SELECT member_id, tier_code, since, period_from, period_to FROM member_tier ORDER BY member_id;
-- not a moment before the grace is over
CALL review_tiers('2026-01-31 23:59:59');
SELECT members, raised, lowered, renewed, finished_at IS NOT NULL AS finished FROM tier_review;
CALL review_tiers('2026-02-01', batch => 2);
SELECT members, raised, lowered, renewed, finished_at IS NOT NULL AS finished FROM tier_review ORDER BY started_at;
SELECT member_id, tier_code, since, period_from, period_to FROM member_tier ORDER BY member_id;
SELECT * FROM pg_temp.history WHERE cause = 'review';
-- again: nothing
CALL review_tiers('2026-02-01');
SELECT count(*) FROM member_tier_event WHERE cause = 'review';
-- late by years: every period is judged in its turn, as it would have been in time
CALL review_tiers('2028-06-01');
SELECT * FROM pg_temp.history WHERE cause = 'review' AND at > '2026-02-01';
SELECT member_id, tier_code, period_to FROM member_tier ORDER BY member_id;
-- periods of 12 months do not drift
SELECT pg_temp.buy(6, '6a', '2025-03-15 10:00', 10000); SELECT pg_temp.buy(6, '6b', '2025-09-01', 10000); SELECT pg_temp.buy(6, '6c', '2026-09-01', 10000);
CALL review_tiers('2028-06-01');
SELECT * FROM pg_temp.history WHERE member_id = 6;
-- a tier given at registration has its period too
SELECT register_member(name => 'Chen', tier => 'gold', joined_at => '2025-05-05') AS chen \gset
SELECT review_tier(:chen, '2026-01-31'), review_tier(:chen, '2026-02-01');
SELECT cause, at, from_tier, to_tier FROM member_tier_event WHERE member_id = :chen ORDER BY at;
-- members who were cancelled or merged are passed over
SELECT pg_temp.buy(7, '7a', '2025-03-01', 3000); SELECT pg_temp.buy(8, '8a', '2025-03-01', 3000);
SELECT set_member_status(7, 'cancelled');
UPDATE member SET status = 'merged', merged_into = 9 WHERE member_id = 8;
CALL review_tiers('2027-06-01');
SELECT member_id, tier_code FROM member_tier WHERE member_id IN (7, 8, 9) ORDER BY 1;

-- by hand: overrides while it lasts, whatever is earned beneath
SELECT set_tier(10, 'platinum', 'status match', '2099-01-01', ref => 'm1', actor => 'anna');
SELECT set_tier(10, 'platinum', 'status match', '2099-01-01', ref => 'm1', actor => 'anna');
SELECT pg_temp.buy(10, '10a', '2026-03-01', 1000);
SELECT tier_code, earned_tier, manual_tier, manual_until FROM member_tier WHERE member_id = 10;
SELECT cause, from_tier, to_tier, earned_from, earned_to, manual_until, reason, ref, actor FROM member_tier_event WHERE member_id = 10 ORDER BY booked_at;
SELECT tier_code FROM tier_progress(10);
CALL review_tiers('2099-01-01');
SELECT tier_code, earned_tier, manual_tier, manual_until FROM member_tier WHERE member_id = 10;
SELECT cause, at, from_tier, to_tier FROM member_tier_event WHERE member_id = 10 AND cause <> 'manual' ORDER BY at;
-- a level below what is earned; and one that is a floor only
SELECT pg_temp.buy(11, '11a', '2026-03-01', 3000); SELECT pg_temp.buy(12, '12a', '2026-03-01', 3000);
SELECT set_tier(11, 'basic', 'abuse', NULL), set_tier(12, 'silver', 'goodwill', NULL, at_least => true);
SELECT pg_temp.buy(12, '12b', '2026-03-02', 7000);
SELECT member_id, tier_code, earned_tier, manual_tier, at_least FROM member_tier WHERE member_id IN (11, 12) ORDER BY 1;
SELECT set_tier(11, NULL, 'forgiven'), set_tier(12, NULL, 'over');
SELECT member_id, tier_code, earned_tier, manual_tier, since = period_from AS since_earned FROM member_tier WHERE member_id IN (11, 12) ORDER BY 1;
-- nothing beneath: nothing left
SELECT set_tier(13, 'gold', 'guest of the house');
SELECT set_tier(13, NULL, 'gone');
SELECT count(*) FROM member_tier WHERE member_id = 13;
-- one that has lapsed does not count for a sale, though no review has been
INSERT INTO points_rule (rule_code, award, points) VALUES ('base', 'fixed', 100);
UPDATE tier SET multiplier = 2 WHERE tier_code = 'platinum';
SELECT set_tier(14, 'platinum', 'match', '2099-01-01');
SELECT quote('{"member_id": 14, "lines": [{"price": 1}]}') #>> '{points,earned}';
UPDATE member_tier SET manual_until = now() WHERE member_id = 14;
SELECT quote('{"member_id": 14, "lines": [{"price": 1}]}') #>> '{points,earned}';

-- errors
\set VERBOSITY sqlstate
SELECT set_tier(10, 'gold', 'other', '2099-01-01', ref => 'm1');
SELECT set_tier(10, 'bronze', 'x');
SELECT set_tier(15, NULL, 'x');
SELECT set_tier(15, 'gold', NULL);
SELECT set_tier(15, 'gold', 'x', '2000-01-01');
SELECT set_tier(15, NULL, 'x', '2099-01-01');
SELECT set_tier(999, 'gold', 'x');
SELECT set_tier(7, 'gold', 'x');
SELECT set_tier(NULL, 'gold', 'x');
SELECT review_tier(7);
CALL review_tiers('infinity');
CALL review_tiers(now(), 0);
BEGIN;
CALL review_tiers();
ROLLBACK;
-- what was earned is the same, whoever looks
SELECT problem FROM verify_ledger();
