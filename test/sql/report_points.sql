--
-- Reports of points, against figures worked out by hand and against the books.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/shanghai.sql
SET timezone = 'UTC';
SET datestyle = 'ISO';
UPDATE points_type SET money_value = 0.01, deficit = 'allow';
INSERT INTO points_type (points_type, name, decimals) VALUES ('miles', 'Miles', 1);
INSERT INTO points_rule (rule_code, name, award, points, budget) VALUES ('base', 'Base', 'per_amount', 1, NULL), ('gift', 'Gift', 'fixed', 5, 12), ('idle', 'Idle', 'fixed', 1, NULL);
UPDATE points_rule SET condition = 'sale.store = ''S9''' WHERE rule_code = 'idle';
INSERT INTO member (member_id, store, joined_at) VALUES (1, 'S1', '2026-03-31 16:00'), (2, 'S1', '2026-04-01'), (3, NULL, '2026-04-01'), (4, 'S2', '2026-04-01');
CREATE FUNCTION pg_temp.buy(ref text, member_id bigint, store text, at text, lines text) RETURNS text LANGUAGE sql AS $$
  SELECT crm_member.checkout(jsonb_strip_nulls(jsonb_build_object('ref', ref, 'member_id', member_id, 'store', store, 'sold_at', at, 'lines', lines::jsonb))) #>> '{points,earned}'
$$;
SELECT pg_temp.buy('a', 1, 'S1', '2026-04-10 15:59', '[{"price": 100, "category": "tea"}, {"price": 50, "category": "cups"}]') AS a,
       pg_temp.buy('b', 1, 'S2', '2026-04-10 16:00', '[{"price": 60, "category": "cups", "discount": 10}]') AS b,
       pg_temp.buy('c', 2, 'S1', '2026-05-01 00:00', '[{"price": 30}]') AS c,
       pg_temp.buy('d', NULL, 'S1', '2026-05-02 00:00', '[{"price": 1000}]') AS guest;

-- what each rule gave; the budget of 12 was used up by the third sale
SELECT rule_code, name, active, points_type, sales, members, points, money_value, turnover, first_at, last_at, budget, budget_left FROM points_rule_effect ORDER BY 1;
DELETE FROM points_rule WHERE rule_code = 'gift';
SELECT rule_code, name, active, points, budget_left FROM points_rule_effect WHERE rule_code = 'gift';

-- liability: lots by the month of their last day
SELECT award_points(1, 40, 'x', 'w1', expires_at => '2098-12-31 16:00') AS "through 31 Dec", award_points(1, 7, 'x', 'w2', expires_at => '2098-12-31 16:00:01') AS "next month",
       award_points(2, 11.5, 'x', 'w3', 'miles', expires_at => '2099-02-01', available_at => '2099-01-01') AS pending,
       award_points(3, 20, 'x', 'w4', expires_at => '2099-06-01');
SELECT hold_points(1, 30, 'x', 'h1'), hold_points(3, 20, 'x', 'h2', expires_at => now() + interval '1 hour');
SELECT release_points(1, 'h1', 12, release_ref => 'h1r');
SELECT * FROM points_liability ORDER BY points_type, expires_month;
SELECT points_type, sum(points + pending - debt) = (SELECT sum(balance) FROM points_account a WHERE a.points_type = l.points_type) AS "as the books" FROM points_liability l GROUP BY 1 ORDER BY 1;
SELECT sum(points) = (SELECT sum(points_balance(member_id)) FROM points_account WHERE points_type = 'points') AS spendable FROM points_liability WHERE points_type = 'points';
-- captured points are gone
SELECT capture_points(1, 'h1');
SELECT * FROM points_liability WHERE expires_month = '2098-12-01';
-- what was spent and is taken back is owed
SELECT spend_points(2, 32, 'x', 's1');
SELECT refund('{"ref": "cr", "sale_ref": "c", "refunded_at": "2026-05-03"}') #>> '{points,taken_back}';
SELECT points, pending, held, debt FROM points_liability WHERE points_type = 'points' AND expires_month IS NULL;
SELECT sum(points + pending - debt) = (SELECT sum(balance) FROM points_account WHERE points_type = 'points') AS "as the books" FROM points_liability WHERE points_type = 'points';

-- what came and went, by business day and store
SELECT day, store, points_type, entries, earned, by_hand, spent, taken_back, given_back, expired, moved, held, net
  FROM points_movement WHERE day < '2026-06-01' ORDER BY day, store;
SELECT store, points_type, entries, earned, by_hand, spent, taken_back, held, net FROM points_by_store ORDER BY store, points_type;
SELECT points_type, sum(net) = (SELECT sum(balance) FROM points_account a WHERE a.points_type = d.points_type) AS "as the books" FROM points_by_day d GROUP BY 1 ORDER BY 1;

-- forecast: of 200 that expired in the last year 50 were left: a quarter
SELECT points_type, remaining, breakage, expected_expired FROM points_forecast WHERE month = '2098-12-01';
SELECT award_points(4, 120, 'x', 'f1', at => now() - interval '2 months', expires_at => now() - interval '1 month') > 0 AS a,
       award_points(4, 80, 'x', 'f2', at => now() - interval '2 months', expires_at => now() - interval '1 day') > 0 AS b;
SELECT spend_points(4, 120, 'x', 'f3', at => now() - interval '6 weeks') > 0 AS c, spend_points(4, 30, 'x', 'f4', at => now() - interval '2 days') > 0 AS d;
SELECT points_type, month, granted, remaining, breakage, expected_expired, expected_spent, expected_money_value FROM points_forecast ORDER BY 1, 2;
SELECT problem FROM verify_ledger();
-- who is merged was granted no more than before
CREATE TABLE public.forecast AS SELECT * FROM points_forecast;
INSERT INTO member (member_id) VALUES (90);
SELECT (merge_members(90, '{2,4}')->>'merge_id')::bigint AS merge_id \gset
SELECT count(*) > 0 AS moved FROM points_lot WHERE birth_member IS NOT NULL AND expires_at < 'infinity';
SELECT * FROM points_forecast EXCEPT TABLE public.forecast;
SELECT jsonb_array_length(unmerge(:merge_id)->'undone') AS undone;
SELECT * FROM points_forecast EXCEPT TABLE public.forecast;

-- who may look, and who may not
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_report_reader;
RESET client_min_messages;
CREATE ROLE regress_report_reader;
SET ROLE regress_report_reader;
\set VERBOSITY sqlstate
SELECT count(*) FROM crm_member.points_liability;
RESET ROLE;
SELECT grant_access('regress_report_reader', 'reader');
SET ROLE regress_report_reader;
SELECT (SELECT count(*) > 0 FROM points_liability) AS liability, (SELECT count(*) > 0 FROM points_forecast) AS forecast,
       (SELECT count(*) > 0 FROM points_rule_effect) AS effect, (SELECT count(*) > 0 FROM points_by_day) AS day,
       (SELECT count(*) > 0 FROM points_by_store) AS store, (SELECT count(*) > 0 FROM store_performance) AS stores, (SELECT count(*) > 0 FROM member_consumption) AS members;
SELECT count(*) FROM person;
RESET ROLE;
SET client_min_messages = warning;
DROP EXTENSION crm_member CASCADE;
DROP ROLE regress_report_reader;
