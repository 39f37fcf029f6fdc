--
-- More of what sales earn, from the rules' description alone: each figure was
-- worked out by hand, from what the words say.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/shanghai.sql
SET timezone = 'UTC';
INSERT INTO points_type (points_type, name, decimals) VALUES ('growth', 'Growth', 0), ('fine', 'Fine', 4);
UPDATE points_type SET money_value = 0.01 WHERE points_type = 'points';
INSERT INTO tier (tier_code, name, rank, multiplier) VALUES ('silver', 'Silver', 1, NULL), ('gold', 'Gold', 2, NULL);
INSERT INTO member (member_id, kind, store, channel, source, joined_at, tags, attrs) VALUES
  (1, 'consumer', 'S1', 'app', 'pos', '2026-05-01', '{vip}', '{"color": "red", "kids": 2}'), (2, 'dealer', NULL, NULL, 'erp', '2026-06-14 15:59Z', '{}', '{}'),
  (3, 'consumer', 'S2', 'web', 'web', '2026-06-14 16:00Z', '{}', '{"color": "blue"}');
INSERT INTO person (member_id, birthday, gender) VALUES (1, '2000-02-29', 'F'), (2, '1990-06-15', 'M');
INSERT INTO member_tier (member_id, tier_code) VALUES (1, 'gold');
SELECT award_points(1, 100000, 'start', 'start', at => '2026-01-01') > 0 AS has_points, top_up_stored_value(1, 1000, reason => 'start', ref => 'top up', at => '2026-01-01') IS NOT NULL AS has_value;

-- rules a, b, c ... by position; sold to member 1 on Monday 2026-06-15 at 10:30 in Shanghai, unless the sale says else
CREATE TABLE public.cases (no serial, name text, rules jsonb, sale jsonb, expected text);
INSERT INTO cases (name, rules, sale, expected)
SELECT name, rules::jsonb, sale::jsonb, expected FROM (VALUES
-- fixed: once a sale, once for each line, whatever the amount
('fixed at sale scope, once for three lines', '[{"award": "fixed", "points": 7}]', '{"lines": [{"price": 1}, {"price": 2}, {"price": 0}]}', 'a=7'),
('fixed at line scope, for each line, the free one too', '[{"award": "fixed", "points": 7, "scope": "line"}]', '{"lines": [{"price": 1}, {"price": 2}, {"price": 0}]}', 'a/1=7 a/2=7 a/3=7'),
('a fraction of a fixed point is cut', '[{"award": "fixed", "points": 2.9999}]', '{"lines": [{"price": 1}]}', 'a=2'),
('a fraction of a fine point is not', '[{"award": "fixed", "points": 2.9999, "points_type": "fine"}]', '{"lines": [{"price": 1}]}', 'a=2.9999'),
-- per amount: at sale scope the sum is rounded, at line scope each line
('three lines of 0.50 together', '[{"award": "per_amount"}]', '{"lines": [{"price": 0.5}, {"price": 0.5}, {"price": 0.5}]}', 'a=1'),
('three lines of 0.50 each by itself', '[{"award": "per_amount", "scope": "line"}]', '{"lines": [{"price": 0.5}, {"price": 0.5}, {"price": 0.5}]}', 'nothing'),
('three lines of 0.50 each by itself, half up', '[{"award": "per_amount", "scope": "line", "rounding": "half_up"}]', '{"lines": [{"price": 0.5}, {"price": 0.5}, {"price": 0.5}]}', 'a/1=1 a/2=1 a/3=1'),
('whole multiples of the sum: 8 + 8 + 8 = 24, two tens', '[{"award": "per_amount", "points": 5, "per": 10, "whole_multiples": true}]', '{"lines": [{"price": 8}, {"price": 8}, {"price": 8}]}', 'a=10'),
('whole multiples of each line: none of 8', '[{"award": "per_amount", "points": 5, "per": 10, "whole_multiples": true, "scope": "line"}]', '{"lines": [{"price": 8}, {"price": 8}, {"price": 18}]}', 'a/3=5'),
('whole multiples with a fraction of points: 3 x 2.5', '[{"award": "per_amount", "points": 2.5, "per": 10, "whole_multiples": true}]', '{"lines": [{"price": 39.99}]}', 'a=7'),
('10 yuan are 5 points, 35 yuan: 17', '[{"award": "per_amount", "points": 5, "per": 10}]', '{"lines": [{"price": 35}]}', 'a=17'),
('10 yuan are 5 points, 35 yuan: half up 18', '[{"award": "per_amount", "points": 5, "per": 10, "rounding": "half_up"}]', '{"lines": [{"price": 35}]}', 'a=18'),
('10 yuan are 5 points, 35 yuan in whole tens: 15', '[{"award": "per_amount", "points": 5, "per": 10, "whole_multiples": true, "rounding": "ceil"}]', '{"lines": [{"price": 35}]}', 'a=15'),
('quantity times price, to the cent, then points', '[{"award": "per_amount", "points": 100}]', '{"lines": [{"price": 0.333, "quantity": 3}]}', 'a=100'),
('only the lines for which it holds, together', '[{"award": "per_amount", "condition": "line.category = ''a''"}]', '{"lines": [{"price": 0.6, "category": "a"}, {"price": 50, "category": "b"}, {"price": 0.6, "category": "a"}]}', 'a=1'),
('a condition on the sale takes all lines', '[{"award": "per_amount", "condition": "sale.amount >= 51.20"}]', '{"lines": [{"price": 0.6}, {"price": 50}, {"price": 0.6}]}', 'a=51'),
('or over line and sale: lines where it holds', '[{"award": "per_amount", "condition": "line.category = ''a'' or sale.quantity > 5"}]', '{"lines": [{"price": 10, "category": "a"}, {"price": 20}]}', 'a=10'),
('or over line and sale: all lines, where the sale says so', '[{"award": "per_amount", "condition": "line.category = ''a'' or sale.quantity > 5"}]', '{"lines": [{"price": 10, "category": "a"}, {"price": 2, "quantity": 10}]}', 'a=30'),
-- per unit
('a point for each three units, of all lines together', '[{"award": "per_unit", "per": 3}]', '{"lines": [{"price": 1, "quantity": 2}, {"price": 1, "quantity": 1}]}', 'a=1'),
('a point for each three units, of each line', '[{"award": "per_unit", "per": 3, "scope": "line"}]', '{"lines": [{"price": 1, "quantity": 2}, {"price": 1, "quantity": 7}]}', 'a/2=2'),
('0.5 kg at 10 points a kilogram', '[{"award": "per_unit", "points": 10}]', '{"lines": [{"price": 30, "quantity": 0.55}]}', 'a=5'),
('10 points for each 5 whole units of 14', '[{"award": "per_unit", "points": 10, "per": 5, "whole_multiples": true}]', '{"lines": [{"price": 1, "quantity": 14}]}', 'a=20'),
('10 points for 5 units, 14 in part', '[{"award": "per_unit", "points": 10, "per": 5}]', '{"lines": [{"price": 1, "quantity": 14}]}', 'a=28'),
-- a line of no units was struck out: it matches nothing, and where nothing else was bought nothing is earned
('nothing was bought', '[{"award": "fixed", "points": 7}, {"award": "fixed", "points": 7, "scope": "line"}, {"award": "per_unit"}, {"award": "brackets", "brackets": [{"from": 0, "points": 3}]}, {"award": "multiplier", "points": 3}]', '{"shipping": 5, "lines": [{"price": 9, "quantity": 0}, {"price": 1, "quantity": 0}]}', 'nothing'),
('one of two lines was struck out', '[{"award": "fixed", "points": 7}, {"award": "fixed", "points": 7, "scope": "line"}, {"award": "multiplier", "points": 2, "condition": "line.category = ''a''"}]', '{"lines": [{"price": 9, "quantity": 0, "category": "a"}, {"price": 1, "quantity": 1}]}', 'a=7 b/2=7'),
('what it is about was struck out', '[{"award": "fixed", "points": 7, "condition": "line.category = ''a''"}, {"award": "fixed", "points": 5, "condition": "line.category = ''a'' or sale.quantity = 1"}]', '{"lines": [{"price": 9, "quantity": 0, "category": "a"}, {"price": 1}]}', 'b=5'),
('a given article is bought', '[{"award": "fixed", "points": 7}]', '{"lines": [{"price": 9, "quantity": 0}, {"price": 0, "quantity": 0.000001}]}', 'a=7'),
-- brackets
('below the lowest step', '[{"award": "brackets", "brackets": [{"from": 100, "points": 20}, {"from": 500, "points": 150}]}]', '{"lines": [{"price": 99.99}]}', 'nothing'),
('the step itself', '[{"award": "brackets", "brackets": [{"from": 100, "points": 20}, {"from": 500, "points": 150}]}]', '{"lines": [{"price": 100}]}', 'a=20'),
('after discounts: 500 less 0.01', '[{"award": "brackets", "brackets": [{"from": 100, "points": 20}, {"from": 500, "points": 150}]}]', '{"lines": [{"price": 500, "discount": 0.01}]}', 'a=20'),
('a step that gives nothing', '[{"award": "brackets", "brackets": [{"from": 0, "points": 1, "per": 1}, {"from": 100, "points": 0}]}]', '{"lines": [{"price": 100}]}', 'nothing'),
('marginal: 100 at 1, the next 100 at 1.5, 50 at 2', '[{"award": "brackets", "brackets": {"mode": "marginal", "steps": [{"from": 0, "points": 1, "per": 1}, {"from": 100, "points": 1.5, "per": 1}, {"from": 200, "points": 2, "per": 1}]}}]', '{"lines": [{"price": 250}]}', 'a=350'),
('marginal is rounded once: 0.5 + 0.5', '[{"award": "brackets", "brackets": {"mode": "marginal", "steps": [{"from": 0, "points": 0.5, "per": 10}, {"from": 10, "points": 0.5, "per": 10}]}}]', '{"lines": [{"price": 20}]}', 'a=1'),
('brackets for each line', '[{"award": "brackets", "scope": "line", "brackets": [{"from": 10, "points": 1}, {"from": 20, "points": 5}]}]', '{"lines": [{"price": 10}, {"price": 19.99}, {"price": 20}, {"price": 5}]}', 'a/1=1 a/2=1 a/3=5'),
('brackets of the matching lines together', '[{"award": "brackets", "condition": "line.brand = ''x''", "brackets": [{"from": 10, "points": 1}, {"from": 20, "points": 5}]}]', '{"lines": [{"price": 12, "brand": "x"}, {"price": 100}, {"price": 8, "brand": "x"}]}', 'a=5'),
-- multipliers
('19 x 1.5 cut', '[{"award": "fixed", "points": 19}, {"award": "multiplier", "points": 1.5}]', '{"lines": [{"price": 1}]}', 'a=19 b=9'),
('base rules floor by themselves: 19.9 and 9.9', '[{"award": "per_amount"}, {"award": "per_amount", "points": 0.5}]', '{"lines": [{"price": 19.9}]}', 'a=19 b=9'),
('a multiplier over two floored bases: (19 + 9) x 1.5 = 42', '[{"award": "per_amount"}, {"award": "per_amount", "points": 0.5}, {"award": "multiplier", "points": 1.5}]', '{"lines": [{"price": 19.9}]}', 'a=19 b=9 c=14'),
('3 x 1.5 x 1.5 = 6.75: 3 + 1 + 2', '[{"award": "fixed", "points": 3}, {"award": "multiplier", "points": 1.5}, {"award": "multiplier", "points": 1.5}]', '{"lines": [{"price": 1}]}', 'a=3 b=1 c=2'),
('a multiplier of one adds nothing', '[{"award": "fixed", "points": 3}, {"award": "multiplier", "points": 1}]', '{"lines": [{"price": 1}]}', 'a=3'),
('a multiplier without a base', '[{"award": "multiplier", "points": 9}]', '{"lines": [{"price": 1}]}', 'nothing'),
('a multiplier of high priority still comes after', '[{"award": "multiplier", "points": 2, "priority": 99}, {"award": "fixed", "points": 4}]', '{"lines": [{"price": 1}]}', 'a=4 b=4'),
('a capped multiplier: 10 x 3 adds 20, at most 15', '[{"award": "fixed", "points": 10}, {"award": "multiplier", "points": 3, "max_points": 15}]', '{"lines": [{"price": 1}]}', 'a=10 b=15'),
('multipliers in one group: the first by priority', '[{"award": "fixed", "points": 10}, {"award": "multiplier", "points": 2, "stack_group": "m"}, {"award": "multiplier", "points": 3, "stack_group": "m", "priority": 1}]', '{"lines": [{"price": 1}]}', 'a=10 c=20'),
('a group of base rules and multipliers: apart', '[{"award": "fixed", "points": 10, "stack_group": "m"}, {"award": "multiplier", "points": 2, "stack_group": "m"}]', '{"lines": [{"price": 1}]}', 'a=10 b=10'),
('line multiplier: only its line, which earned 10 of 30', '[{"award": "per_amount"}, {"award": "multiplier", "points": 3, "scope": "line", "condition": "line.sku = ''X''"}]', '{"lines": [{"price": 10, "sku": "X"}, {"price": 20}]}', 'a=30 b/1=20'),
('tier multiplier, for one who holds it', '[{"award": "fixed", "points": 10}, {"award": "multiplier", "points": 2, "condition": "member.tier = ''gold''"}]', '{"lines": [{"price": 1}]}', 'a=10 b=10'),
('tier multiplier, for one who holds none', '[{"award": "fixed", "points": 10}, {"award": "multiplier", "points": 2, "condition": "member.tier = ''gold''"}]', '{"member_id": 2, "lines": [{"price": 1}]}', 'a=10'),
('not that tier is unknown where there is none', '[{"award": "fixed", "condition": "not member.tier = ''gold''"}, {"award": "fixed", "points": 2, "condition": "member.tier is null"}]', '{"member_id": 2, "lines": [{"price": 1}]}', 'b=2'),
('from silver on', '[{"award": "fixed", "condition": "member.tier_rank >= 1"}]', '{"lines": [{"price": 1}]}', 'a=1'),
-- several types side by side
('two types, each by itself', '[{"award": "per_amount"}, {"award": "per_amount", "points_type": "growth", "points": 0.1}, {"award": "per_amount", "points_type": "fine", "points": 0.1}]', '{"lines": [{"price": 99.99}]}', 'a=99 b=9 c=9.999'),
('not stackable is within one type', '[{"award": "fixed", "points": 5, "stackable": false, "priority": 1}, {"award": "fixed", "points": 6}, {"award": "fixed", "points": 7, "points_type": "growth"}]', '{"lines": [{"price": 1}]}', 'a=5 c=7'),
('a group is within one type', '[{"award": "fixed", "points": 5, "stack_group": "g"}, {"award": "fixed", "points": 7, "points_type": "growth", "stack_group": "g"}]', '{"lines": [{"price": 1}]}', 'a=5 b=7'),
-- caps and displacement
('a cap for one sale at line scope, in the order of lines', '[{"award": "per_amount", "scope": "line", "max_points": 12}]', '{"lines": [{"price": 10}, {"price": 10}, {"price": 10}]}', 'a/1=10 a/2=2'),
('a cap of 0', '[{"award": "fixed", "points": 5, "max_points": 0}]', '{"lines": [{"price": 1}]}', 'nothing'),
('a rule that does not match displaces nobody', '[{"award": "fixed", "points": 5, "stackable": false, "priority": 9, "condition": "sale.amount > 100"}, {"award": "fixed", "points": 6}]', '{"lines": [{"price": 1}]}', 'b=6'),
('a rule that gives nothing of what it matches', '[{"award": "per_amount", "per": 100, "stack_group": "g", "priority": 9}, {"award": "fixed", "points": 6, "stack_group": "g"}]', '{"lines": [{"price": 1}]}', 'nothing'),
('of three in a group by priority, negative last', '[{"award": "fixed", "points": 1, "stack_group": "g", "priority": -5}, {"award": "fixed", "points": 2, "stack_group": "g"}, {"award": "fixed", "points": 3, "stack_group": "g", "priority": -1}]', '{"lines": [{"price": 1}]}', 'b=2'),
('a group over lines: each line its first', '[{"award": "fixed", "points": 5, "scope": "line", "stack_group": "g", "priority": 1, "condition": "line.brand = ''x''"}, {"award": "fixed", "points": 1, "scope": "line", "stack_group": "g"}]', '{"lines": [{"price": 1, "brand": "x"}, {"price": 1}, {"price": 1, "brand": "x"}]}', 'a/1=5 a/3=5 b/2=1'),
('inactive rules are not there', '[{"award": "fixed", "points": 5, "active": false, "stackable": false, "priority": 9}, {"award": "fixed", "points": 6}]', '{"lines": [{"price": 1}]}', 'b=6'),
-- what earns
('shipping earns nothing', '[{"award": "per_amount"}]', '{"lines": [{"price": 10}], "shipping": 15}', 'a=10'),
('shipping reaches no bracket', '[{"award": "brackets", "brackets": [{"from": 20, "points": 5}]}]', '{"lines": [{"price": 10}], "shipping": 15}', 'nothing'),
('the whole line is discounted away', '[{"award": "per_amount"}, {"award": "fixed", "points": 3}]', '{"lines": [{"price": 10, "discount": 10}]}', 'b=3'),
('half by points: 500 pay 5 of 10', '[{"award": "per_amount", "points": 10}]', '{"lines": [{"price": 10}], "points": 500}', 'a=50'),
('half by stored value: all earns', '[{"award": "per_amount", "points": 10}]', '{"lines": [{"price": 10}], "stored_value": 5}', 'a=100'),
('points, stored value and cash: 2 + 3 + 5', '[{"award": "per_amount", "points": 10}]', '{"lines": [{"price": 10}], "points": 200, "stored_value": 3}', 'a=80'),
('points pay lines in proportion: 10 of 100, 20 of 80 are x', '[{"award": "per_amount", "condition": "line.brand = ''x''"}]', '{"lines": [{"price": 80, "brand": "x"}, {"price": 20}], "points": 1000}', 'a=72'),
('what is compared is before payment', '[{"award": "fixed", "points": 5, "condition": "sale.payable >= 100"}]', '{"lines": [{"price": 100}], "points": 5000}', 'a=5'),
('brackets by what is paid in money', '[{"award": "brackets", "brackets": [{"from": 100, "points": 5}]}]', '{"lines": [{"price": 100}], "points": 1}', 'nothing'),
('a guest earns nothing', '[{"award": "fixed", "points": 5}]', '{"member_id": null, "lines": [{"price": 1}]}', 'nothing'),
-- validity by the time of sale, both ends included
('the first moment', '[{"award": "fixed", "valid_from": "2026-06-15T02:30:00Z"}]', '{"lines": [{"price": 1}]}', 'a=1'),
('a microsecond before it', '[{"award": "fixed", "valid_from": "2026-06-15T02:30:00.000001Z"}]', '{"lines": [{"price": 1}]}', 'nothing'),
('the last moment', '[{"award": "fixed", "valid_to": "2026-06-15T02:30:00Z"}]', '{"lines": [{"price": 1}]}', 'a=1'),
('a microsecond after it', '[{"award": "fixed", "valid_to": "2026-06-15T02:29:59.999999Z"}]', '{"lines": [{"price": 1}]}', 'nothing'),
('over, but sold when it was on', '[{"award": "fixed", "valid_to": "2020-01-31T23:59:59Z"}]', '{"sold_at": "2020-01-15 12:00", "lines": [{"price": 1}]}', 'a=1'),
-- hours and days, in the time zone of the business
('late shopping over midnight, 22:00', '[{"award": "fixed", "condition": "sale.hour >= 22 or sale.hour < 2"}]', '{"sold_at": "2026-06-15 22:00", "lines": [{"price": 1}]}', 'a=1'),
('late shopping over midnight, 01:59:59', '[{"award": "fixed", "condition": "sale.hour >= 22 or sale.hour < 2"}]', '{"sold_at": "2026-06-16 01:59:59", "lines": [{"price": 1}]}', 'a=1'),
('late shopping over midnight, 02:00', '[{"award": "fixed", "condition": "sale.hour >= 22 or sale.hour < 2"}]', '{"sold_at": "2026-06-16 02:00", "lines": [{"price": 1}]}', 'nothing'),
('late shopping over midnight, 21:59', '[{"award": "fixed", "condition": "sale.hour >= 22 or sale.hour < 2"}]', '{"sold_at": "2026-06-15 21:59:59.999", "lines": [{"price": 1}]}', 'nothing'),
('half past eight to a quarter to ten', '[{"award": "fixed", "condition": "sale.minute between 510 and 584"}]', '{"sold_at": "2026-06-15 09:44:59", "lines": [{"price": 1}]}', 'a=1'),
('half past eight to a quarter to ten, over', '[{"award": "fixed", "condition": "sale.minute between 510 and 584"}]', '{"sold_at": "2026-06-15 09:45", "lines": [{"price": 1}]}', 'nothing'),
('Sunday 23:59:59 in Shanghai', '[{"award": "fixed", "condition": "sale.weekday = 7"}]', '{"sold_at": "2026-06-14T15:59:59Z", "lines": [{"price": 1}]}', 'a=1'),
('Monday 00:00 in Shanghai is Sunday in London', '[{"award": "fixed", "condition": "sale.weekday in (6, 7)"}]', '{"sold_at": "2026-06-14T16:00:00Z", "lines": [{"price": 1}]}', 'nothing'),
('the last day of February', '[{"award": "fixed", "condition": "sale.date = ''2026-02-28''"}]', '{"sold_at": "2026-02-28T15:59:59Z", "lines": [{"price": 1}]}', 'a=1'),
('the day after', '[{"award": "fixed", "condition": "sale.month = 3 and sale.day = 1"}]', '{"sold_at": "2026-02-28T16:00:00Z", "lines": [{"price": 1}]}', 'a=1'),
('New Year in Shanghai', '[{"award": "fixed", "condition": "sale.year = 2027"}]', '{"sold_at": "2026-12-31T16:00:00Z", "lines": [{"price": 1}]}', 'a=1'),
-- birthdays: member 1 was born on February 29
('born on Feb 29, on Feb 28 of a common year', '[{"award": "fixed", "condition": "member.is_birthday"}]', '{"sold_at": "2027-02-28 00:00", "lines": [{"price": 1}]}', 'a=1'),
('born on Feb 29, on Mar 1 of a common year', '[{"award": "fixed", "condition": "member.is_birthday"}]', '{"sold_at": "2027-03-01 00:00", "lines": [{"price": 1}]}', 'nothing'),
('born on Feb 29, on Feb 28 of a leap year', '[{"award": "fixed", "condition": "member.is_birthday"}]', '{"sold_at": "2028-02-28 12:00", "lines": [{"price": 1}]}', 'nothing'),
('born on Feb 29, on Feb 29', '[{"award": "fixed", "condition": "member.is_birthday"}]', '{"sold_at": "2028-02-29 23:59", "lines": [{"price": 1}]}', 'a=1'),
('2100 is no leap year', '[{"award": "fixed", "condition": "member.is_birthday"}]', '{"sold_at": "2100-02-28 12:00", "lines": [{"price": 1}]}', 'a=1'),
('the month of the birthday, first minute in Shanghai', '[{"award": "fixed", "condition": "member.birthday_month"}]', '{"sold_at": "2027-01-31T16:00:00Z", "lines": [{"price": 1}]}', 'a=1'),
('the month of the birthday, over', '[{"award": "fixed", "condition": "member.birthday_month"}]', '{"sold_at": "2027-02-28T16:00:00Z", "lines": [{"price": 1}]}', 'nothing'),
('no birthday is known', '[{"award": "fixed", "condition": "member.is_birthday"}, {"award": "fixed", "points": 2, "condition": "not member.is_birthday"}, {"award": "fixed", "points": 4, "condition": "member.birthday is null"}]', '{"member_id": 3, "lines": [{"price": 1}]}', 'c=4'),
('17 the day before the 18th birthday', '[{"award": "fixed", "points": 17, "condition": "member.age = 17"}, {"award": "fixed", "points": 18, "condition": "member.age >= 18"}]', '{"member_id": 2, "sold_at": "2008-06-14 23:59", "lines": [{"price": 1}]}', 'a=17'),
('18 on the day', '[{"award": "fixed", "points": 17, "condition": "member.age = 17"}, {"award": "fixed", "points": 18, "condition": "member.age >= 18"}]', '{"member_id": 2, "sold_at": "2008-06-15 00:00", "lines": [{"price": 1}]}', 'b=18'),
-- who and what
('dealers by the piece, consumers by money', '[{"award": "per_unit", "points": 3, "condition": "member.kind = ''dealer''"}, {"award": "per_amount", "condition": "member.kind = ''consumer''"}]', '{"member_id": 2, "lines": [{"price": 100, "quantity": 4}]}', 'a=12'),
('joined today, by the business day', '[{"award": "fixed", "condition": "member.days_since_join = 0"}]', '{"member_id": 3, "lines": [{"price": 1}]}', 'a=1'),
('joined a minute before midnight: yesterday', '[{"award": "fixed", "condition": "member.days_since_join = 1"}]', '{"member_id": 2, "lines": [{"price": 1}]}', 'a=1'),
('the store that registered the member, and another', '[{"award": "fixed", "condition": "member.store = ''S1''"}, {"award": "fixed", "points": 2, "condition": "sale.store <> ''S1''"}]', '{"store": "S2", "lines": [{"price": 1}]}', 'a=1 b=2'),
('tags and attributes', '[{"award": "fixed", "condition": "member.tag(''vip'') and member.attr(''color'') = ''red'' and member.attr(''kids'') >= 2"}]', '{"lines": [{"price": 1}]}', 'a=1'),
('attributes of sale and line', '[{"award": "per_amount", "condition": "sale.attr(''table'') = ''7'' and line.attr(''size'') in (41, 42)"}]', '{"attrs": {"table": "7"}, "lines": [{"price": 9, "attrs": {"size": 42}}, {"price": 5, "attrs": {"size": 43}}]}', 'a=9'),
('brand, but not that article', '[{"award": "per_amount", "condition": "line.brand = ''x'' and line.sku not in (''n1'', ''n2'')"}]', '{"lines": [{"price": 9, "brand": "x", "sku": "n1"}, {"price": 5, "brand": "x", "sku": "n3"}]}', 'a=5'),
('an article without a number is unknown', '[{"award": "per_amount", "condition": "line.brand = ''x'' and line.sku not in (''n1'', ''n2'')"}]', '{"lines": [{"price": 9, "brand": "x"}]}', 'nothing'),
('a prefix', '[{"award": "per_amount", "condition": "line.category like ''shoes/%''"}]', '{"lines": [{"price": 9, "category": "shoes/kids"}, {"price": 5, "category": "shoes"}]}', 'a=9')
) v (name, rules, sale, expected);

CREATE FUNCTION pg_temp.set_rules(rules jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM crm_member.points_rule;
  INSERT INTO crm_member.points_rule SELECT (jsonb_populate_record(NULL::crm_member.points_rule,
    '{"active": true, "priority": 0, "points_type": "points", "scope": "sale", "points": 1, "per": 1, "rounding": "floor", "whole_multiples": false, "stackable": true, "name": ""}'
    || jsonb_build_object('rule_code', chr(96 + i::int)) || r)).* FROM jsonb_array_elements(rules) WITH ORDINALITY AS e (r, i);
END
$$;
CREATE FUNCTION pg_temp.earns(rules jsonb, sale jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  document jsonb := jsonb_strip_nulls('{"member_id": 1, "sold_at": "2026-06-15 10:30"}'::jsonb || sale);
  given text;
BEGIN
  PERFORM pg_temp.set_rules(rules);
  SELECT coalesce(string_agg(format('%s%s=%s', e.rule_code, '/' || e.line_no, trim_scale(e.points)), ' ' ORDER BY e.rule_code, e.line_no), 'nothing') INTO given FROM crm_member.evaluate_points(document) e;
  IF (SELECT count(*) FROM (SELECT rule_code, line_no, points FROM crm_member.evaluate_points(document) EXCEPT ALL SELECT rule_code, line_no, points FROM crm_member.explain_points(document)) x) > 0 THEN
    given := given || ' but is explained otherwise';
  END IF;
  RETURN given;
END
$$;
SELECT count(*) AS cases FROM cases;
SELECT no, name, expected, got FROM (SELECT c.*, pg_temp.earns(rules, sale) AS got FROM cases c ORDER BY no) c WHERE got IS DISTINCT FROM expected;

-- what limits leave, sale after sale: amounts in order, with what each earned
CREATE TABLE public.runs (no serial, name text, rules jsonb, sales jsonb, expected text);
INSERT INTO runs (name, rules, sales, expected)
SELECT name, rules::jsonb, sales::jsonb, expected FROM (VALUES
('15 a day, by the day of Shanghai', '[{"award": "fixed", "points": 10, "member_limit": 15, "limit_period": "day"}]',
 '[["2026-06-14T15:59Z", 1], ["2026-06-14T16:00Z", 1], ["2026-06-15T15:59:59Z", 1], ["2026-06-15T15:59:59.5Z", 1], ["2026-06-15T16:00Z", 1]]', '10 10 5 0 10'),
('15 a week, from Monday', '[{"award": "fixed", "points": 10, "member_limit": 15, "limit_period": "week"}]',
 '[["2026-06-14 23:59", 1], ["2026-06-15 00:00", 1], ["2026-06-21 23:59", 1], ["2026-06-22 00:00", 1]]', '10 10 5 10'),
('a week over new year', '[{"award": "fixed", "points": 10, "member_limit": 15, "limit_period": "week"}]',
 '[["2026-12-28 12:00", 1], ["2027-01-03 12:00", 1], ["2027-01-04 12:00", 1]]', '10 5 10'),
('15 a month', '[{"award": "fixed", "points": 10, "member_limit": 15, "limit_period": "month"}]',
 '[["2028-02-29 23:59", 1], ["2028-02-01 00:00", 1], ["2028-03-01 00:00", 1]]', '10 5 10'),
('15 a year', '[{"award": "fixed", "points": 10, "member_limit": 15, "limit_period": "year"}]',
 '[["2026-01-01 00:00", 1], ["2026-12-31 23:59", 1], ["2027-01-01 00:00", 1]]', '10 5 10'),
('15 ever', '[{"award": "fixed", "points": 10, "member_limit": 15}]', '[["2026-01-01", 1], ["2036-01-01", 1], ["2046-01-01", 1]]', '10 5 0'),
('a late sale of the month before finds that month''s limit', '[{"award": "fixed", "points": 10, "member_limit": 15, "limit_period": "month"}]',
 '[["2026-07-01", 1], ["2026-06-30", 1], ["2026-06-29", 1], ["2026-07-02", 1]]', '10 10 5 5'),
('a limit and a cap: at most 30 of a sale, 70 a month', '[{"award": "per_amount", "max_points": 30, "member_limit": 70, "limit_period": "month"}]',
 '[["2026-06-01", 50], ["2026-06-02", 20], ["2026-06-03", 29.99], ["2026-06-04", 5]]', '30 20 20 0'),
('a budget, the last sale gets the rest', '[{"award": "per_amount", "budget": 100}]', '[["2026-06-01", 60], ["2026-06-02", 39], ["2026-06-03", 5], ["2026-06-04", 5]]', '60 39 1 0'),
('a budget and a limit: the nearer binds', '[{"award": "fixed", "points": 10, "budget": 100, "member_limit": 25}]', '[["2026-06-01", 1], ["2026-06-02", 1], ["2026-06-03", 1]]', '10 10 5'),
('a used up budget lets the next of the group in', '[{"award": "fixed", "points": 10, "budget": 15, "stack_group": "g", "priority": 1}, {"award": "fixed", "points": 3, "stack_group": "g"}]',
 '[["2026-06-01", 1], ["2026-06-02", 1], ["2026-06-03", 1]]', '10 5 3'),
('a multiplier with a limit: 10 x 3 adds 20, at most 30 a month', '[{"award": "fixed", "points": 10}, {"award": "multiplier", "points": 3, "member_limit": 30, "limit_period": "month"}]',
 '[["2026-06-01", 1], ["2026-06-02", 1], ["2026-06-03", 1], ["2026-07-01", 1]]', '30 20 10 30'),
('the first purchase is one', '[{"award": "fixed", "points": 100, "condition": "member.first_purchase"}, {"award": "fixed", "points": 1}]', '[["2026-06-02", 1], ["2026-06-03", 1], ["2026-06-01", 1]]', '101 1 1'),
('a price too low for a point does not use the limit', '[{"award": "per_amount", "per": 10, "member_limit": 1}]', '[["2026-06-01", 9.99], ["2026-06-02", 10], ["2026-06-03", 10]]', '0 1 0')
) v (name, rules, sales, expected);
CREATE FUNCTION pg_temp.buys(who bigint, rules jsonb, sales jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  sale jsonb;
  document jsonb;
  quoted numeric;
  earned numeric;
  given text;
BEGIN
  PERFORM pg_temp.set_rules(rules);
  DELETE FROM crm_member.points_rule_use;
  FOR sale IN SELECT jsonb_array_elements(sales) LOOP
    document := jsonb_build_object('ref', gen_random_uuid(), 'member_id', who, 'sold_at', sale->0, 'lines', jsonb_build_array(jsonb_build_object('price', sale->1)));
    quoted := coalesce((SELECT sum(points) FROM crm_member.evaluate_points(document)), 0);
    earned := (crm_member.checkout(document) #>> '{points,earned}')::numeric;
    given := concat_ws(' ', given, trim_scale(earned), CASE WHEN quoted <> earned THEN format('(but %s foretold)', quoted) END);
  END LOOP;
  RETURN given;
END
$$;
INSERT INTO member (member_id, joined_at) SELECT 100 + no, '2026-01-01' FROM runs;
SELECT count(*) AS runs FROM runs;
SELECT no, name, expected, got FROM (SELECT r.*, pg_temp.buys(100 + no, rules, sales) AS got FROM runs r ORDER BY no) r WHERE got IS DISTINCT FROM expected;
-- the same sales as rows, in one load, which takes each member's in the order of the time of sale: those whose order is that
INSERT INTO member (member_id, joined_at) SELECT 200 + no, '2026-01-01' FROM runs;
CREATE FUNCTION pg_temp.loads(who bigint, rules jsonb, sales jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_temp.set_rules(rules);
  DELETE FROM crm_member.points_rule_use;
  INSERT INTO crm_member.sale (member_id, sale_id, ref, sold_at) SELECT who, i, format('%s %s', who, i), (CASE WHEN s->>0 LIKE '%Z' THEN s->>0 ELSE s->>0 || '+08' END)::timestamptz FROM jsonb_array_elements(sales) WITH ORDINALITY AS e (s, i);
  INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price) SELECT who, i, 1, (s->>1)::numeric FROM jsonb_array_elements(sales) WITH ORDINALITY AS e (s, i);
  RETURN (SELECT string_agg(trim_scale(coalesce(e.points, 0))::text, ' ' ORDER BY s.sale_id) FROM crm_member.sale s LEFT JOIN crm_member.points_entry e USING (member_id, sale_id) WHERE s.member_id = who);
END
$$;
SELECT no, name, expected, got FROM (SELECT r.*, pg_temp.loads(200 + no, rules, sales) AS got FROM runs r WHERE name !~ 'late|one$' AND name <> '15 a month' ORDER BY no) r WHERE got IS DISTINCT FROM expected;
-- loaded together, the earliest is the first purchase
SELECT pg_temp.loads(200 + no, rules, sales) AS got FROM runs r WHERE name = 'the first purchase is one';

-- explained: what displaced it, from what to what it was capped, the clause and what it saw
SELECT pg_temp.set_rules('[{"award": "fixed", "points": 50, "stackable": false, "priority": 9, "condition": "sale.store = ''S1''"}, {"award": "per_amount", "max_points": 30},
  {"award": "fixed", "points": 5, "priority": 20, "condition": "line.brand = ''x'' and line.quantity >= 3", "scope": "line"}, {"award": "fixed", "valid_to": "2020-01-01"},
  {"award": "multiplier", "points": 2, "condition": "member.tier = ''silver'' or member.tag(''staff'')"}, {"award": "fixed", "active": false},
  {"award": "per_amount", "points_type": "growth", "budget": 10}]');
SELECT rule_code, line_no, verdict, clause, saw, displaced_by, points, would_have, points_type
  FROM explain_points('{"member_id": 1, "store": "S1", "sold_at": "2026-06-15 10:30", "lines": [{"price": 40, "brand": "x", "quantity": 2}, {"price": 5, "brand": "y", "quantity": 3}]}') ORDER BY 1, 2;
SELECT rule_code, line_no, verdict, clause, saw, displaced_by, points, would_have
  FROM explain_points('{"member_id": 1, "sold_at": "2026-06-15 10:30", "lines": [{"price": 40, "brand": "x", "quantity": 3}]}') ORDER BY 1, 2;

-- what was struck out is seen to be so
SELECT pg_temp.set_rules('[{"award": "fixed", "points": 7}, {"award": "fixed", "points": 5, "condition": "line.brand = ''x''", "scope": "line"}, {"award": "fixed", "points": 3, "condition": "line.brand = ''y'' and line.quantity = 1"}, {"award": "per_amount", "condition": "sale.store = ''S9''"}]');
SELECT rule_code, line_no, verdict, clause, saw, points, would_have
  FROM explain_points('{"member_id": 1, "sold_at": "2026-06-15 10:30", "lines": [{"price": 40, "brand": "x", "quantity": 0}, {"price": 5, "brand": "x"}]}') ORDER BY 1, 2;
SELECT rule_code, line_no, verdict, clause, saw, points, would_have
  FROM explain_points('{"member_id": 1, "sold_at": "2026-06-15 10:30", "lines": [{"price": 40, "brand": "x", "quantity": 0}]}') ORDER BY 1, 2;
-- by rows, document and draft alike, and all that is bought can come back
INSERT INTO sale (member_id, sale_id, ref, sold_at, shipping) VALUES (3, 31, 'struck 1', '2026-06-15 02:30Z', 5), (3, 32, 'struck 2', '2026-06-15 02:30Z', 5);
INSERT INTO sale_line (member_id, sale_id, line_no, price, quantity, brand) VALUES (3, 31, 1, 40, 0, 'x'), (3, 31, 2, 5, 0, 'x'), (3, 32, 1, 40, 0, 'x'), (3, 32, 2, 0, 2, 'x');
SELECT checkout('{"ref": "struck 3", "member_id": 3, "sold_at": "2026-06-15 10:30", "lines": [{"price": 40, "brand": "x", "quantity": 0}, {"price": 0, "brand": "x", "quantity": 2}]}') #>> '{points,earned}' AS earned;
SELECT s.ref, e.points, e.line_nos, e.line_points FROM sale s LEFT JOIN points_entry e USING (member_id, sale_id) WHERE s.ref LIKE 'struck%' ORDER BY 1;
SELECT points = given AS same, count(*) FROM simulate_rules('2026-06-15 02:30Z', '2026-06-15 02:31Z', by => '{sale}') GROUP BY 1;
SELECT ref, refund(jsonb_build_object('ref', ref || ' back', 'sale_ref', ref, 'lines', lines::jsonb)) #>> '{points,taken_back}' AS taken_back
  FROM (VALUES ('struck 1', NULL), ('struck 2', '[{"line_no": 1, "quantity": 0}, {"line_no": 2, "quantity": 1}]'), ('struck 3', NULL)) v (ref, lines);
SELECT refund('{"ref": "again", "sale_ref": "struck 1"}');
SELECT ref, refund(jsonb_build_object('ref', 'rest of ' || ref, 'sale_ref', ref)) ->> 'complete' AS complete FROM (VALUES ('struck 2')) v (ref);
SELECT s.ref, sum(e.points) AS left FROM sale s JOIN points_entry e USING (member_id, sale_id) WHERE s.ref LIKE 'struck%' GROUP BY 1 ORDER BY 1;

-- it is no purchase: the first one comes after it, and a tier by the number of sales does not count it; by document, by rows, in one load
SELECT pg_temp.set_rules('[{"award": "fixed", "points": 50, "condition": "member.first_purchase"}]');
INSERT INTO tier (tier_code, name, rank) VALUES ('twice', 'Twice', 9);
INSERT INTO tier_rule (tier_code, measure, threshold) VALUES ('twice', 'sales', 2);
INSERT INTO member (member_id, joined_at) VALUES (91, '2026-01-01'), (92, '2026-01-01'), (93, '2026-01-01');
SELECT checkout(jsonb_build_object('ref', 'twice ' || n, 'member_id', 91, 'shipping', 5, 'sold_at', '2026-06-01T00:00:00Z'::timestamptz + n * interval '1 day', 'lines', jsonb_build_array(jsonb_build_object('price', 9, 'quantity', q)))) #>> '{points,earned}' AS earned
  FROM (VALUES (1, 0), (2, 1), (3, 0), (4, 1)) v (n, q);
INSERT INTO sale (member_id, sale_id, ref, sold_at) VALUES (92, 921, 'twice 5', '2026-06-02Z'), (92, 922, 'twice 6', '2026-06-03Z'), (92, 923, 'twice 7', '2026-06-04Z'), (92, 924, 'twice 8', '2026-06-05Z'), (93, 931, 'twice 9', '2026-06-05Z');
INSERT INTO sale_line (member_id, sale_id, line_no, price, quantity) VALUES (92, 921, 1, 9, 0), (92, 922, 1, 0, 1), (92, 923, 1, 9, 0), (92, 924, 1, 9, 1), (93, 931, 1, 9, 0);
SELECT s.ref, e.points FROM sale s LEFT JOIN points_entry e USING (member_id, sale_id) WHERE s.ref LIKE 'twice%' ORDER BY 1;
SELECT member_id, (SELECT s.ref FROM sale s WHERE s.sale_id = e.sale_id) AS reached_by FROM member_tier_event e WHERE to_tier = 'twice' ORDER BY 1;
SELECT member_id, first_purchase FROM member_fact WHERE member_id IN (91, 92, 93) ORDER BY 1;
SELECT s.ref, x.points, x.given FROM simulate_rules('2026-06-01', '2026-06-10', by => '{sale}') x JOIN sale s USING (sale_id) WHERE s.ref LIKE 'twice%' ORDER BY 1;
SELECT refund(jsonb_build_object('ref', 'twice ' || n || ' back', 'sale_ref', 'twice ' || n)) ->> 'complete' AS complete FROM generate_series(1, 3) n;
SELECT rule_code, verdict, saw FROM explain_points('{"member_id": 93, "lines": [{"price": 1}]}');
DELETE FROM member_tier WHERE member_id = 91;
SELECT reached FROM tier_progress(91, '2026-06-30', true) WHERE tier_code = 'twice';
DELETE FROM tier_rule WHERE tier_code = 'twice';

-- a guest earns nothing by any rule; would_have says what a member would have been given
SELECT pg_temp.set_rules('[{"award": "per_amount"}, {"award": "fixed", "points": 5, "condition": "line.brand = ''x'' and member.tier = ''gold''", "scope": "line"}, {"award": "fixed", "condition": "line.brand = ''y''"},
  {"award": "per_amount", "valid_to": "2020-01-01"}, {"award": "fixed", "active": false}, {"award": "fixed", "points": 9, "condition": "member.first_purchase"}, {"award": "multiplier", "points": 2}]');
SELECT rule_code, line_no, verdict, clause, saw, points, would_have
  FROM explain_points('{"sold_at": "2026-06-15 10:30+08", "lines": [{"price": 40, "brand": "x", "quantity": 0}, {"price": 5, "brand": "x"}, {"price": 3.5}]}') ORDER BY 1, 2;
SELECT * FROM evaluate_points('{"sold_at": "2026-06-15 10:30", "lines": [{"price": 40}]}');
SELECT checkout('{"ref": "guest", "sold_at": "2026-06-15 10:30", "lines": [{"price": 8, "brand": "x"}]}') ->> 'payable' AS payable;
SELECT rule_code, verdict, clause, points, would_have FROM explain_points(sale_document('pos', 'guest')) ORDER BY 1;

-- what a rule would have given: on the lines it is about, whatever member and sale are; 60 and 20 of shoes, 40.50 of a hat
SELECT pg_temp.set_rules('[{"condition": "member.tier = ''silver''", "award": "per_amount"},
  {"condition": "line.category = ''shoes'' and member.tier = ''silver''", "award": "per_amount"},
  {"condition": "line.category = ''bags'' or line.category = ''belts''", "award": "per_amount"},
  {"condition": "line.category = ''shoes'' and sale.store = ''S9''", "award": "per_unit", "points": 2, "scope": "line"},
  {"condition": "not (sale.store = ''S1'' or line.category = ''hat'')", "award": "per_amount"},
  {"condition": "line.category = ''shoes''", "valid_from": "2099-01-01", "award": "per_amount"},
  {"condition": "member.tier = ''silver''", "valid_from": "2099-01-01", "award": "per_amount"},
  {"condition": "sale.store = ''S9''", "award": "per_amount", "scope": "line"}]');
SELECT rule_code, line_no, verdict, points, would_have
  FROM explain_points('{"member_id": 1, "store": "S1", "sold_at": "2026-06-15 10:30", "lines": [{"price": 30, "quantity": 2, "category": "shoes"}, {"price": 20, "category": "shoes"}, {"price": 40.5, "category": "hat"}]}') ORDER BY 1, 2;

-- conversion: rate, rounding once, nothing for nothing
INSERT INTO points_conversion VALUES ('growth', 'points', 0.3, 'floor'), ('points', 'fine', 0.3333, 'half_up');
SELECT award_points(3, 100, 'start', 'g', 'growth') AS had;
SELECT convert_points(3, 10, 'growth', 'points', 'c1') AS "90 left", convert_points(3, 19, 'growth', 'points', 'c2') AS "71 left";
SELECT points_balance(3, 'points') AS "3 + 5", convert_points(3, 3, 'points', 'fine', 'c3') AS "5 left";
SELECT points_balance(3, 'fine') AS "0.9999";
SELECT convert_points(3, 3, 'growth', 'points', 'c4') AS "0.9 is no point";
SELECT * FROM verify_ledger();
DROP TABLE public.cases, public.runs;
