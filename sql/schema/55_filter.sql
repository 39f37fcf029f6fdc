-- What conditions see, as views with a column for every attribute; filters.

CREATE VIEW crm_member.sale_fact AS
  SELECT s.member_id, s.sale_id, s.settled_at,
         s.amount, s.discount, s.payable - s.shipping AS payable, s.shipping,
         (SELECT sum(l.quantity) FROM crm_member.sale_line l WHERE l.member_id = s.member_id AND l.sale_id = s.sale_id) AS quantity,
         (SELECT count(*) FROM crm_member.sale_line l WHERE l.member_id = s.member_id AND l.sale_id = s.sale_id) AS lines,
         s.source, s.store, s.channel, s.sold_at, t.at::date AS date,
         extract(year FROM t.at) AS year, extract(month FROM t.at) AS month, extract(day FROM t.at) AS day,
         extract(isodow FROM t.at) AS weekday, extract(hour FROM t.at) AS hour,
         extract(hour FROM t.at) * 60 + extract(minute FROM t.at) AS minute, s.attrs
    FROM crm_member.sale s
    CROSS JOIN LATERAL (SELECT s.sold_at AT TIME ZONE (SELECT time_zone FROM crm_member.setting)) t (at);

COMMENT ON VIEW crm_member.sale_fact IS 'Sales with a column for every attribute sale.* of conditions: FROM crm_member.sale_fact AS sale WHERE <condition_sql()>';

CREATE VIEW crm_member.line_fact AS
  SELECT member_id, sale_id, line_no, sku, category, brand, quantity, price, amount, discount,
         amount - discount AS payable, tax_rate, attrs
    FROM crm_member.sale_line;

COMMENT ON VIEW crm_member.line_fact IS 'Lines with a column for every attribute line.* of conditions: FROM crm_member.line_fact AS line WHERE <condition_sql()>';

-- What is the same for every member, one row.
CREATE VIEW crm_member.member_context AS
  SELECT s.time_zone, (now() AT TIME ZONE s.time_zone)::date AS today, o.segments, u.bins, u.cuts
    FROM crm_member.setting s
    LEFT JOIN crm_member.rfm_model o ON o.model_code = 'default'
    LEFT JOIN crm_member.rfm_state c ON c.model_code = 'default'
    LEFT JOIN crm_member.rfm_run u ON u.run_id = c.run_id;

COMMENT ON VIEW crm_member.member_context IS 'What member_fact needs beside the members: today in the program''s time zone, and the run in force of the model default';

-- The context comes in by subqueries, which run once, and only where a column is asked for.
CREATE VIEW crm_member.member_fact AS
  SELECT m.member_id, m.member_id AS id, m.status, m.kind, h.tier_code AS tier, r.rank AS tier_rank,
         m.source, m.store, m.channel, p.gender, p.birthday,
         extract(month FROM p.birthday) = (SELECT extract(month FROM today) FROM crm_member.member_context) AS birthday_month,
         to_char(p.birthday, 'MMDD') = ANY ((SELECT CASE to_char(today, 'MMDD') || to_char(today + 1, 'MMDD')
           WHEN '02280301' THEN '{0228,0229}' ELSE ARRAY[to_char(today, 'MMDD')] END FROM crm_member.member_context)::text[]) AS is_birthday,
         crm_member.days_to_birthday(p.birthday, (SELECT today FROM crm_member.member_context)) AS days_to_birthday,
         (SELECT extract(year FROM today) FROM crm_member.member_context) - extract(year FROM p.birthday)
           - (to_char(p.birthday, 'MMDD') > (SELECT to_char(today, 'MMDD') FROM crm_member.member_context))::int AS age,
         m.joined_at,
         (SELECT today FROM crm_member.member_context) - (m.joined_at AT TIME ZONE (SELECT time_zone FROM crm_member.member_context))::date AS days_since_join,
         NOT EXISTS (SELECT FROM crm_member.sale s WHERE s.member_id = m.member_id AND s.settled_at IS NOT NULL
           AND (s.amount > 0 OR EXISTS (SELECT FROM crm_member.sale_line l WHERE l.member_id = s.member_id AND l.sale_id = s.sale_id AND l.quantity > 0)))
           AND m.member_id NOT IN (
             WITH RECURSIVE bought AS (
               SELECT a.merged_into AS member_id FROM crm_member.member a
                WHERE a.merged_into IS NOT NULL AND EXISTS (SELECT FROM crm_member.sale s WHERE s.member_id = a.member_id AND s.settled_at IS NOT NULL
                 AND (s.amount > 0 OR EXISTS (SELECT FROM crm_member.sale_line l WHERE l.member_id = s.member_id AND l.sale_id = s.sale_id AND l.quantity > 0)))
               UNION
               SELECT a.merged_into FROM bought b JOIN crm_member.member a ON a.member_id = b.member_id WHERE a.merged_into IS NOT NULL
             ) SELECT b.member_id FROM bought b) AS first_purchase,
         crm_member.score_band((SELECT cuts FROM crm_member.member_context), 1, t.last_day - date '2000-01-01' + 2451545, t.member_id) AS rfm_r,
         crm_member.score_band((SELECT cuts FROM crm_member.member_context), 2, t.frequency, t.member_id) AS rfm_f,
         crm_member.score_band((SELECT cuts FROM crm_member.member_context), 3, t.monetary, t.member_id) AS rfm_m,
         crm_member.segment_of((SELECT segments FROM crm_member.member_context), (SELECT bins FROM crm_member.member_context),
           crm_member.score_member((SELECT cuts FROM crm_member.member_context), t.member_id, t.last_day, t.frequency, t.monetary)) AS segment,
         m.tags, m.attrs
    FROM crm_member.member m
    LEFT JOIN crm_member.person p ON p.member_id = m.member_id
    LEFT JOIN crm_member.member_tier h ON h.member_id = m.member_id
    LEFT JOIN crm_member.tier r ON r.tier_code = h.tier_code
    LEFT JOIN crm_member.rfm_member t ON t.member_id = m.member_id AND t.model_code = 'default'
   WHERE m.merged_into IS NULL;

COMMENT ON VIEW crm_member.member_fact IS 'Members with a column for every attribute member.* of conditions, as of today; scores by the model default; merged members are left out: FROM crm_member.member_fact AS member WHERE <condition_sql()>';

CREATE TABLE crm_member.member_filter (
  filter_code  text PRIMARY KEY,
  name         text NOT NULL DEFAULT '',
  condition    crm_member.condition NOT NULL
               CHECK (NOT crm_member.condition_concerns(condition, 'sale') AND NOT crm_member.condition_concerns(condition, 'line')),
  shared       boolean NOT NULL DEFAULT true,
  owner        name NOT NULL DEFAULT session_user,
  tag          text CHECK (tag <> '')
);

COMMENT ON TABLE crm_member.member_filter IS 'Saved filters: named conditions over members';
COMMENT ON COLUMN crm_member.member_filter.filter_code IS 'Its name for functions';
COMMENT ON COLUMN crm_member.member_filter.name IS 'Its name for people';
COMMENT ON COLUMN crm_member.member_filter.condition IS 'Over member.* alone, as of the day it is asked';
COMMENT ON COLUMN crm_member.member_filter.shared IS 'false: for the owner alone';
COMMENT ON COLUMN crm_member.member_filter.owner IS 'Role that saved it';
COMMENT ON COLUMN crm_member.member_filter.tag IS 'refresh_segments() gives this tag to the members the filter takes, and to no other';
