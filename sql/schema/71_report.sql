-- Reports: points owed and to come, what rules and stores bring about, what members buy.

CREATE VIEW crm_member.member_root AS
WITH RECURSIVE alias AS (
  SELECT m.member_id, m.merged_into AS root FROM crm_member.member AS m WHERE m.merged_into IS NOT NULL
  UNION ALL
  SELECT a.member_id, m.merged_into FROM alias AS a JOIN crm_member.member AS m ON m.member_id = a.root WHERE m.merged_into IS NOT NULL
)
SELECT a.member_id, a.root FROM alias AS a JOIN crm_member.member AS m ON m.member_id = a.root AND m.merged_into IS NULL;

COMMENT ON VIEW crm_member.member_root IS 'Members who were merged, and who they are now: root is the member at the end of the chain';
COMMENT ON COLUMN crm_member.member_root.member_id IS 'The merged member';
COMMENT ON COLUMN crm_member.member_root.root IS 'The member that stands for it';

CREATE VIEW crm_member.points_liability AS
WITH part AS (
  -- summed by the instant first: a month takes longer to find than a sum
  SELECT l.points_type, l.expires_at, l.available_at <= now() AS available, false AS held, sum(l.remaining) AS points
  FROM crm_member.points_lot AS l
  WHERE l.open AND l.expires_at > now()
    -- nearly nobody's points are booked as expired ahead of time
    AND NOT EXISTS (SELECT FROM crm_member.points_account AS a WHERE a.expired_to > now()
                      AND a.member_id = l.member_id AND a.points_type = l.points_type AND a.expired_to >= l.expires_at)
  GROUP BY 1, 2, 3
  UNION ALL
  -- what holds took out of the lots and neither captured nor released; of those timed out it is back already
  SELECT l.points_type, l.expires_at, l.available_at <= now(), h.expires_at > now(), u.points
  FROM crm_member.points_hold AS h
  JOIN crm_member.points_entry AS e ON e.member_id = h.member_id AND e.points_type = h.points_type
   AND (e.entry_no = h.hold_no OR (e.of_entry = h.hold_no AND e.kind = 'release'))
  CROSS JOIN LATERAL unnest(e.lot_nos, e.lot_points) AS u (lot_no, points)
  JOIN crm_member.points_lot AS l ON l.member_id = h.member_id AND l.points_type = h.points_type AND l.lot_no = u.lot_no
  WHERE h.held > 0 AND (h.expires_at > now() OR l.expires_at > now())
), month AS (
  SELECT p.points_type,
         CASE WHEN isfinite(p.expires_at)
              THEN date_trunc('month', (p.expires_at - interval '1 microsecond') AT TIME ZONE (SELECT time_zone FROM crm_member.setting))::date END AS expires_month,
         coalesce(sum(p.points) FILTER (WHERE NOT p.held AND p.available), 0) AS points,
         coalesce(sum(p.points) FILTER (WHERE NOT p.held AND NOT p.available), 0) AS pending,
         coalesce(sum(p.points) FILTER (WHERE p.held), 0) AS held,
         0::numeric AS debt
  FROM part AS p
  GROUP BY 1, 2
  UNION ALL
  SELECT a.points_type, NULL, 0, 0, 0, sum(a.debt) FROM crm_member.points_account AS a WHERE a.debt > 0 GROUP BY 1
)
SELECT m.points_type, m.expires_month, sum(m.points) AS points, sum(m.pending) AS pending, sum(m.held) AS held, sum(m.debt) AS debt,
       round(sum(m.points + m.pending + m.held) * t.money_value, (SELECT money_scale FROM crm_member.setting)) AS money_value
FROM month AS m JOIN crm_member.points_type AS t ON t.points_type = m.points_type
GROUP BY m.points_type, m.expires_month, t.money_value
HAVING sum(m.points) <> 0 OR sum(m.pending) <> 0 OR sum(m.held) <> 0 OR sum(m.debt) <> 0;

COMMENT ON VIEW crm_member.points_liability IS 'Points that members have now, by points type and the month they expire in';
COMMENT ON COLUMN crm_member.points_liability.points_type IS 'Points type';
COMMENT ON COLUMN crm_member.points_liability.expires_month IS 'First day of the month of the last day they can be spent, by the business time zone; NULL: they never expire';
COMMENT ON COLUMN crm_member.points_liability.points IS 'Points that can be spent';
COMMENT ON COLUMN crm_member.points_liability.pending IS 'Points that cannot be spent yet';
COMMENT ON COLUMN crm_member.points_liability.held IS 'Points set aside by holds that have not timed out';
COMMENT ON COLUMN crm_member.points_liability.debt IS 'Points that members owe, for all months in the row without one: points + pending - debt sums to the balances of points_account';
COMMENT ON COLUMN crm_member.points_liability.money_value IS 'Money''s worth of points, pending and held; NULL where the points type has none';

-- What came with a merged member was granted once, where it was born; it may expire later than there, where activity extends it.
CREATE VIEW crm_member.points_forecast AS
WITH ended AS (
  SELECT l.points_type, sum(l.remaining) / nullif(greatest(sum(l.points) FILTER (WHERE l.birth_member IS NULL), sum(l.remaining)), 0) AS breakage
  FROM crm_member.points_lot AS l
  WHERE l.expires_at <= now() AND l.expires_at > now() - interval '12 months'
  GROUP BY 1
), month AS (
  SELECT l.points_type, date_trunc('month', (l.expires_at - interval '1 microsecond') AT TIME ZONE (SELECT time_zone FROM crm_member.setting))::date AS month,
         greatest(sum(l.points) FILTER (WHERE l.birth_member IS NULL), sum(l.remaining)) AS granted, sum(l.remaining) AS remaining
  FROM crm_member.points_lot AS l
  WHERE l.expires_at > now() AND l.expires_at < 'infinity'
  GROUP BY 1, 2
)
SELECT m.points_type, m.month, m.granted, m.remaining, round(e.breakage, 6) AS breakage, x.expired AS expected_expired,
       m.remaining - x.expired AS expected_spent,
       round((m.remaining - x.expired) * t.money_value, (SELECT money_scale FROM crm_member.setting)) AS expected_money_value
FROM month AS m
JOIN crm_member.points_type AS t ON t.points_type = m.points_type
LEFT JOIN ended AS e ON e.points_type = m.points_type
CROSS JOIN LATERAL (SELECT CASE WHEN e.breakage IS NOT NULL THEN least(m.remaining, round(m.granted * e.breakage, t.decimals)) END AS expired) AS x;

COMMENT ON VIEW crm_member.points_forecast IS 'What is likely to become of points that expire, month by month, if members spend as those did whose points expired in the last 12 months';
COMMENT ON COLUMN crm_member.points_forecast.points_type IS 'Points type';
COMMENT ON COLUMN crm_member.points_forecast.month IS 'First day of the month of the last day they can be spent, by the business time zone';
COMMENT ON COLUMN crm_member.points_forecast.granted IS 'Points granted that expire in the month';
COMMENT ON COLUMN crm_member.points_forecast.remaining IS 'What is left of them';
COMMENT ON COLUMN crm_member.points_forecast.breakage IS 'Share, 0 to 1, that was left of the points that expired in the last 12 months; NULL: none did, and nothing is expected then';
COMMENT ON COLUMN crm_member.points_forecast.expected_expired IS 'granted * breakage, at most remaining';
COMMENT ON COLUMN crm_member.points_forecast.expected_spent IS 'remaining - expected_expired';
COMMENT ON COLUMN crm_member.points_forecast.expected_money_value IS 'Money''s worth of expected_spent; NULL where the points type has none';

CREATE VIEW crm_member.points_rule_effect AS
SELECT coalesce(r.rule_code, e.rule_code) AS rule_code, r.name, r.active, coalesce(e.points_type, r.points_type) AS points_type,
       coalesce(e.sales, 0) AS sales, coalesce(e.members, 0) AS members, coalesce(e.points, 0) AS points,
       round(coalesce(e.points, 0) * t.money_value, (SELECT money_scale FROM crm_member.setting)) AS money_value,
       coalesce(e.turnover, 0) AS turnover, e.first_at, e.last_at, r.budget, r.budget - coalesce(u.points, 0) AS budget_left
FROM crm_member.points_rule AS r
FULL JOIN crm_member.rule_totals() AS e ON e.rule_code = r.rule_code
LEFT JOIN crm_member.points_rule_use AS u ON u.member_id = 0 AND u.rule_code = r.rule_code
LEFT JOIN crm_member.points_type AS t ON t.points_type = coalesce(e.points_type, r.points_type);

COMMENT ON VIEW crm_member.points_rule_effect IS 'What each points rule has given, and rules that are no more too';
COMMENT ON COLUMN crm_member.points_rule_effect.rule_code IS 'The rule';
COMMENT ON COLUMN crm_member.points_rule_effect.name IS 'Its name; NULL: there is no such rule any more';
COMMENT ON COLUMN crm_member.points_rule_effect.active IS 'Whether it is active; NULL: there is no such rule any more';
COMMENT ON COLUMN crm_member.points_rule_effect.points_type IS 'Points type of what it gave; a rule whose type was changed has a row for each';
COMMENT ON COLUMN crm_member.points_rule_effect.sales IS 'Sales it gave points for';
COMMENT ON COLUMN crm_member.points_rule_effect.members IS 'Members it gave points to';
COMMENT ON COLUMN crm_member.points_rule_effect.points IS 'Points it gave, before what was taken back for returns';
COMMENT ON COLUMN crm_member.points_rule_effect.money_value IS 'Money''s worth of them; NULL where the points type has none';
COMMENT ON COLUMN crm_member.points_rule_effect.turnover IS 'Money paid for the goods of these sales, after discounts; a sale counts fully for each of its rules';
COMMENT ON COLUMN crm_member.points_rule_effect.first_at IS 'Time of the first such sale';
COMMENT ON COLUMN crm_member.points_rule_effect.last_at IS 'Time of the last such sale';
COMMENT ON COLUMN crm_member.points_rule_effect.budget IS 'Budget of the rule, points; NULL: none';
COMMENT ON COLUMN crm_member.points_rule_effect.budget_left IS 'What is left of it';

CREATE VIEW crm_member.points_movement AS
SELECT (e.at AT TIME ZONE (SELECT time_zone FROM crm_member.setting))::date AS day,
       -- what a survivor paid for a sale that is booked with whom he was named by
       CASE WHEN e.sale_id IS NOT NULL AND x.sale_id IS NULL
            THEN (SELECT s.store FROM crm_member.member_kin AS k JOIN crm_member.member_kin AS o ON o.kin = k.kin
                    JOIN crm_member.sale AS s ON s.member_id = o.member_id AND s.sale_id = e.sale_id
                   WHERE k.member_id = e.member_id LIMIT 1)
            ELSE x.store END AS store, e.points_type, count(*) AS entries,
       coalesce(sum(e.points) FILTER (WHERE e.kind = 'earn'), 0) AS earned,
       coalesce(sum(e.points) FILTER (WHERE e.kind IN ('award', 'adjust')), 0) AS by_hand,
       coalesce(-sum(e.points) FILTER (WHERE e.kind = 'spend'), 0) AS spent,
       coalesce(-sum(e.points) FILTER (WHERE e.kind = 'reverse'), 0) AS taken_back,
       coalesce(sum(e.points) FILTER (WHERE e.kind = 'return'), 0) AS given_back,
       coalesce(-sum(e.points) FILTER (WHERE e.kind IN ('expire', 'clear')), 0) AS expired,
       coalesce(sum(e.points) FILTER (WHERE e.kind IN ('transfer_in', 'transfer_out', 'convert_in', 'convert_out')), 0) AS moved,
       coalesce(-sum(e.points) FILTER (WHERE e.kind IN ('hold', 'release')), 0) AS held,
       sum(e.points) AS net
FROM crm_member.points_entry AS e
LEFT JOIN crm_member.sale AS x ON x.member_id = e.member_id AND x.sale_id = e.sale_id
GROUP BY 1, 2, 3;

COMMENT ON VIEW crm_member.points_movement IS 'Points that came and went by business day, store and points type; net is the sum of it all, and over all days the sum of the balances';
COMMENT ON COLUMN crm_member.points_movement.day IS 'Business day it happened on';
COMMENT ON COLUMN crm_member.points_movement.store IS 'Store of the sale behind it; NULL: none';
COMMENT ON COLUMN crm_member.points_movement.points_type IS 'Points type';
COMMENT ON COLUMN crm_member.points_movement.entries IS 'Entries of the journal';
COMMENT ON COLUMN crm_member.points_movement.earned IS 'Points by rules, for sales';
COMMENT ON COLUMN crm_member.points_movement.by_hand IS 'Points given less those taken by hand';
COMMENT ON COLUMN crm_member.points_movement.spent IS 'Points spent';
COMMENT ON COLUMN crm_member.points_movement.taken_back IS 'Earned points taken back';
COMMENT ON COLUMN crm_member.points_movement.given_back IS 'Spent points given back';
COMMENT ON COLUMN crm_member.points_movement.expired IS 'Points booked as expired, or cleared';
COMMENT ON COLUMN crm_member.points_movement.moved IS 'Points from other members and points types, less those to them';
COMMENT ON COLUMN crm_member.points_movement.held IS 'Points set aside less those released; captured ones are released and spent';
COMMENT ON COLUMN crm_member.points_movement.net IS 'earned + by_hand - spent - taken_back + given_back - expired + moved - held, and debts paid from lots, which change no balance';

CREATE VIEW crm_member.points_by_day AS
SELECT m.day, m.points_type, sum(m.entries)::bigint AS entries, sum(m.earned) AS earned, sum(m.by_hand) AS by_hand, sum(m.spent) AS spent,
       sum(m.taken_back) AS taken_back, sum(m.given_back) AS given_back, sum(m.expired) AS expired, sum(m.moved) AS moved,
       sum(m.held) AS held, sum(m.net) AS net
FROM crm_member.points_movement AS m GROUP BY 1, 2;

COMMENT ON VIEW crm_member.points_by_day IS 'points_movement by business day and points type';
COMMENT ON COLUMN crm_member.points_by_day.day IS 'Business day it happened on';
COMMENT ON COLUMN crm_member.points_by_day.points_type IS 'Points type';
COMMENT ON COLUMN crm_member.points_by_day.entries IS 'Entries of the journal';
COMMENT ON COLUMN crm_member.points_by_day.earned IS 'Points by rules, for sales';
COMMENT ON COLUMN crm_member.points_by_day.by_hand IS 'Points given less those taken by hand';
COMMENT ON COLUMN crm_member.points_by_day.spent IS 'Points spent';
COMMENT ON COLUMN crm_member.points_by_day.taken_back IS 'Earned points taken back';
COMMENT ON COLUMN crm_member.points_by_day.given_back IS 'Spent points given back';
COMMENT ON COLUMN crm_member.points_by_day.expired IS 'Points booked as expired, or cleared';
COMMENT ON COLUMN crm_member.points_by_day.moved IS 'Points from other members and points types, less those to them';
COMMENT ON COLUMN crm_member.points_by_day.held IS 'Points set aside less those released; captured ones are released and spent';
COMMENT ON COLUMN crm_member.points_by_day.net IS 'earned + by_hand - spent - taken_back + given_back - expired + moved - held, and debts paid from lots, which change no balance';

CREATE VIEW crm_member.points_by_store AS
SELECT m.store, m.points_type, sum(m.entries)::bigint AS entries, sum(m.earned) AS earned, sum(m.by_hand) AS by_hand, sum(m.spent) AS spent,
       sum(m.taken_back) AS taken_back, sum(m.given_back) AS given_back, sum(m.expired) AS expired, sum(m.moved) AS moved,
       sum(m.held) AS held, sum(m.net) AS net
FROM crm_member.points_movement AS m GROUP BY 1, 2;

COMMENT ON VIEW crm_member.points_by_store IS 'points_movement by store and points type; store NULL: behind it is no sale, or one without a store';
COMMENT ON COLUMN crm_member.points_by_store.store IS 'Store of the sale behind it; NULL: none';
COMMENT ON COLUMN crm_member.points_by_store.points_type IS 'Points type';
COMMENT ON COLUMN crm_member.points_by_store.entries IS 'Entries of the journal';
COMMENT ON COLUMN crm_member.points_by_store.earned IS 'Points by rules, for sales';
COMMENT ON COLUMN crm_member.points_by_store.by_hand IS 'Points given less those taken by hand';
COMMENT ON COLUMN crm_member.points_by_store.spent IS 'Points spent';
COMMENT ON COLUMN crm_member.points_by_store.taken_back IS 'Earned points taken back';
COMMENT ON COLUMN crm_member.points_by_store.given_back IS 'Spent points given back';
COMMENT ON COLUMN crm_member.points_by_store.expired IS 'Points booked as expired, or cleared';
COMMENT ON COLUMN crm_member.points_by_store.moved IS 'Points from other members and points types, less those to them';
COMMENT ON COLUMN crm_member.points_by_store.held IS 'Points set aside less those released; captured ones are released and spent';
COMMENT ON COLUMN crm_member.points_by_store.net IS 'earned + by_hand - spent - taken_back + given_back - expired + moved - held, and debts paid from lots, which change no balance';

CREATE VIEW crm_member.store_performance AS
WITH part AS (
  SELECT s.store, date_trunc('month', s.sold_at AT TIME ZONE (SELECT time_zone FROM crm_member.setting))::date AS month, count(*) AS sales,
         count(*) FILTER (WHERE s.member_id <> 0) AS member_sales, count(DISTINCT coalesce(r.root, s.member_id)) FILTER (WHERE s.member_id <> 0) AS members,
         0 AS new_members, sum(s.amount) AS amount, sum(s.discount) AS discount, sum(s.payable) AS payable,
         coalesce(sum(s.payable) FILTER (WHERE s.member_id <> 0), 0) AS member_payable, 0 AS refunds, 0 AS refunded
  FROM crm_member.sale AS s
  LEFT JOIN crm_member.member_root AS r ON r.member_id = s.member_id
  WHERE s.settled_at IS NOT NULL
  GROUP BY 1, 2
  UNION ALL
  SELECT s.store, date_trunc('month', r.refunded_at AT TIME ZONE (SELECT time_zone FROM crm_member.setting))::date, 0, 0, 0, 0, 0, 0, 0, 0, count(*), sum(r.payable)
  FROM crm_member.refund AS r JOIN crm_member.sale AS s ON s.member_id = r.member_id AND s.sale_id = r.sale_id
  GROUP BY 1, 2
  UNION ALL
  SELECT m.store, date_trunc('month', m.joined_at AT TIME ZONE (SELECT time_zone FROM crm_member.setting))::date, 0, 0, 0, count(*), 0, 0, 0, 0, 0, 0
  FROM crm_member.member AS m WHERE m.merged_into IS NULL
  GROUP BY 1, 2
)
SELECT p.store, p.month, sum(p.sales)::bigint AS sales, sum(p.member_sales)::bigint AS member_sales, sum(p.members)::bigint AS members,
       sum(p.new_members)::bigint AS new_members, sum(p.amount) AS amount, sum(p.discount) AS discount, sum(p.payable) AS payable,
       sum(p.member_payable) AS member_payable, round(sum(p.payable) / nullif(sum(p.sales), 0), (SELECT money_scale FROM crm_member.setting)) AS average_payable,
       sum(p.refunds)::bigint AS refunds, sum(p.refunded) AS refunded, sum(p.payable) - sum(p.refunded) AS net
FROM part AS p
GROUP BY p.store, p.month;

COMMENT ON VIEW crm_member.store_performance IS 'What each store sold in each month, by the business time zone; the store is that of the sale, for new_members that of the registration';
COMMENT ON COLUMN crm_member.store_performance.store IS 'Store code; NULL: sales and registrations without one';
COMMENT ON COLUMN crm_member.store_performance.month IS 'First day of the month';
COMMENT ON COLUMN crm_member.store_performance.sales IS 'Settled sales';
COMMENT ON COLUMN crm_member.store_performance.member_sales IS 'Those to members; the others are to guests';
COMMENT ON COLUMN crm_member.store_performance.members IS 'Different members who bought, after merges; not to be added up over months or stores';
COMMENT ON COLUMN crm_member.store_performance.new_members IS 'Members registered, without those merged into another since';
COMMENT ON COLUMN crm_member.store_performance.amount IS 'Money, before discounts';
COMMENT ON COLUMN crm_member.store_performance.discount IS 'Money taken off';
COMMENT ON COLUMN crm_member.store_performance.payable IS 'Money paid, shipping included';
COMMENT ON COLUMN crm_member.store_performance.member_payable IS 'Part of payable that members paid';
COMMENT ON COLUMN crm_member.store_performance.average_payable IS 'payable / sales; NULL without sales';
COMMENT ON COLUMN crm_member.store_performance.refunds IS 'Refunds in the month, of sales of the store';
COMMENT ON COLUMN crm_member.store_performance.refunded IS 'Their payable part, shipping included';
COMMENT ON COLUMN crm_member.store_performance.net IS 'payable - refunded';

CREATE VIEW crm_member.member_consumption AS
WITH sold AS (
  SELECT coalesce(r.root, s.member_id) AS member_id, s.store, s.sold_at, s.amount, s.discount, s.payable,
         (s.sold_at AT TIME ZONE (SELECT time_zone FROM crm_member.setting))::date AS day
  FROM crm_member.sale AS s LEFT JOIN crm_member.member_root AS r ON r.member_id = s.member_id
  WHERE s.member_id <> 0 AND s.settled_at IS NOT NULL
), bought AS (
  SELECT s.member_id, count(*) AS sales, count(DISTINCT s.day) AS days, sum(s.amount) AS amount, sum(s.discount) AS discount,
         sum(s.payable) AS payable, min(s.sold_at) AS first_at, max(s.sold_at) AS last_at, min(s.day) AS first_day, max(s.day) AS last_day,
         mode() WITHIN GROUP (ORDER BY s.store) AS main_store
  FROM sold AS s GROUP BY 1
), back AS (
  SELECT coalesce(r.root, f.member_id) AS member_id, count(*) AS refunds, sum(f.payable) AS refunded
  FROM crm_member.refund AS f LEFT JOIN crm_member.member_root AS r ON r.member_id = f.member_id
  WHERE f.member_id <> 0
  GROUP BY 1
), category AS (
  SELECT DISTINCT ON (c.member_id) c.member_id, c.category
  FROM (SELECT coalesce(r.root, l.member_id) AS member_id, l.category, sum(l.amount - l.discount) AS paid
        FROM crm_member.sale_line AS l
        JOIN crm_member.sale AS s ON s.member_id = l.member_id AND s.sale_id = l.sale_id AND s.settled_at IS NOT NULL
        LEFT JOIN crm_member.member_root AS r ON r.member_id = l.member_id
        WHERE l.member_id <> 0 AND l.category IS NOT NULL
        GROUP BY 1, 2) AS c
  ORDER BY c.member_id, c.paid DESC, c.category COLLATE "C"
)
SELECT m.member_id, m.status, m.kind, m.store, t.tier_code, coalesce(b.sales, 0) AS sales, coalesce(b.days, 0) AS days,
       coalesce(b.amount, 0) AS amount, coalesce(b.discount, 0) AS discount, coalesce(b.payable, 0) AS payable,
       coalesce(k.refunds, 0) AS refunds, coalesce(k.refunded, 0) AS refunded, coalesce(b.payable, 0) - coalesce(k.refunded, 0) AS net,
       round(b.payable / b.sales, (SELECT money_scale FROM crm_member.setting)) AS average_payable, b.first_at, b.last_at,
       (now() AT TIME ZONE (SELECT time_zone FROM crm_member.setting))::date - b.last_day AS days_since_last,
       round((b.last_day - b.first_day)::numeric / nullif(b.days - 1, 0), 1) AS days_between,
       b.main_store, c.category AS main_category
FROM crm_member.member AS m
LEFT JOIN crm_member.member_tier AS t ON t.member_id = m.member_id
LEFT JOIN bought AS b ON b.member_id = m.member_id
LEFT JOIN back AS k ON k.member_id = m.member_id
LEFT JOIN category AS c ON c.member_id = m.member_id
WHERE m.merged_into IS NULL;

COMMENT ON VIEW crm_member.member_consumption IS 'What each member bought so far, with what was merged into the member; without personal data. Made for all members at a time: for one, see member_360()';
COMMENT ON COLUMN crm_member.member_consumption.member_id IS 'The member';
COMMENT ON COLUMN crm_member.member_consumption.status IS 'inactive, active, lost or cancelled';
COMMENT ON COLUMN crm_member.member_consumption.kind IS 'consumer or dealer';
COMMENT ON COLUMN crm_member.member_consumption.store IS 'Store that registered the member';
COMMENT ON COLUMN crm_member.member_consumption.tier_code IS 'Tier held; NULL: none';
COMMENT ON COLUMN crm_member.member_consumption.sales IS 'Settled sales';
COMMENT ON COLUMN crm_member.member_consumption.days IS 'Business days with sales';
COMMENT ON COLUMN crm_member.member_consumption.amount IS 'Money, before discounts';
COMMENT ON COLUMN crm_member.member_consumption.discount IS 'Money taken off';
COMMENT ON COLUMN crm_member.member_consumption.payable IS 'Money paid, shipping included';
COMMENT ON COLUMN crm_member.member_consumption.refunds IS 'Refunds';
COMMENT ON COLUMN crm_member.member_consumption.refunded IS 'Their payable part, shipping included';
COMMENT ON COLUMN crm_member.member_consumption.net IS 'payable - refunded';
COMMENT ON COLUMN crm_member.member_consumption.average_payable IS 'payable / sales; NULL without sales';
COMMENT ON COLUMN crm_member.member_consumption.first_at IS 'Time of the first sale';
COMMENT ON COLUMN crm_member.member_consumption.last_at IS 'Time of the last sale';
COMMENT ON COLUMN crm_member.member_consumption.days_since_last IS 'Business days from the last sale to today; NULL without sales';
COMMENT ON COLUMN crm_member.member_consumption.days_between IS 'Mean number of days from one day with sales to the next, one decimal; NULL with less than two';
COMMENT ON COLUMN crm_member.member_consumption.main_store IS 'Store of most sales; NULL: none is known';
COMMENT ON COLUMN crm_member.member_consumption.main_category IS 'Category that most was paid for; NULL: none is known';
