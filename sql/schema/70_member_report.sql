-- Reports about members.

CREATE VIEW crm_member.member_360_view AS
SELECT m.member_id, m.status, m.kind, m.source, m.store, m.channel, m.joined_at,
       CASE WHEN see.person THEN p.name ELSE crm_member.mask(p.name, 'name') END AS name,
       CASE WHEN see.person THEN p.mobile ELSE crm_member.mask(p.mobile, 'mobile') END AS mobile,
       CASE WHEN see.person THEN p.email ELSE crm_member.mask(p.email, 'email') END AS email,
       CASE WHEN see.person THEN p.birthday END AS birthday,
       p.gender, mt.tier_code, mt.since AS tier_since,
       own.cards, own.points, own.sales, own.payable, own.first_sale_at, own.last_sale_at
FROM crm_member.member AS m
CROSS JOIN (SELECT crm_member.may_see_person() AS person) AS see
LEFT JOIN crm_member.person AS p ON p.member_id = m.member_id
LEFT JOIN crm_member.member_tier AS mt ON mt.member_id = m.member_id
CROSS JOIN LATERAL (
  -- OFFSET 0 keeps each look-up an index probe for one member
  WITH RECURSIVE merged AS (
    SELECT m.member_id
    UNION ALL
    SELECT a.member_id FROM merged
    CROSS JOIN LATERAL (SELECT a.member_id FROM crm_member.member AS a WHERE a.merged_into = merged.member_id OFFSET 0) AS a)
  SELECT sum(c.cards)::bigint AS cards, sum(s.sales)::bigint AS sales, coalesce(sum(s.payable), 0) AS payable,
         min(s.first_sale_at) AS first_sale_at, max(s.last_sale_at) AS last_sale_at,
         (SELECT jsonb_object_agg(a.points_type, a.balance)
          FROM (SELECT a.points_type, sum(a.balance) AS balance FROM merged
                CROSS JOIN LATERAL (SELECT a.points_type, a.balance FROM crm_member.points_account AS a
                                    WHERE a.member_id = merged.member_id OFFSET 0) AS a
                GROUP BY a.points_type) AS a) AS points
  FROM merged
  CROSS JOIN LATERAL (SELECT count(*) AS cards FROM crm_member.card AS c
                      WHERE c.member_id = merged.member_id AND c.state = 'enabled') AS c
  CROSS JOIN LATERAL (SELECT count(*) AS sales, sum(s.payable) AS payable,
                             min(s.sold_at) AS first_sale_at, max(s.sold_at) AS last_sale_at
                      FROM crm_member.sale AS s
                      WHERE s.member_id = merged.member_id AND s.settled_at IS NOT NULL) AS s) AS own
WHERE m.merged_into IS NULL;

COMMENT ON VIEW crm_member.member_360_view IS 'One row a member who was not merged into another, with what was merged into the member. Personal data is masked for a role that may not read table person. cards: enabled ones; points: balance by points type, pending points included, NULL without an account; sales, payable: settled sales and what was paid for them';

CREATE VIEW crm_member.tier_distribution AS
SELECT t.tier_code, t.name, t.rank, coalesce(held.members, 0) AS members,
       round(100 * coalesce(held.members, 0) / nullif(sum(held.members) OVER (), 0), 2) AS percent
FROM (SELECT tier_code, name, rank FROM crm_member.tier
      UNION ALL SELECT NULL, NULL, NULL) AS t
LEFT JOIN (
  SELECT mt.tier_code, count(*) AS members
  FROM crm_member.member AS m LEFT JOIN crm_member.member_tier AS mt ON mt.member_id = m.member_id
  WHERE m.status = 'active'
  GROUP BY mt.tier_code) AS held ON held.tier_code IS NOT DISTINCT FROM t.tier_code;

COMMENT ON VIEW crm_member.tier_distribution IS 'Active members by tier; the row without a tier_code counts those without a tier. percent is of all active members, NULL while there are none';
COMMENT ON COLUMN crm_member.tier_distribution.tier_code IS 'Tier; NULL: none';
COMMENT ON COLUMN crm_member.tier_distribution.name IS 'Name of the tier';
COMMENT ON COLUMN crm_member.tier_distribution.rank IS 'The higher the better';
COMMENT ON COLUMN crm_member.tier_distribution.members IS 'Active members who hold it';
COMMENT ON COLUMN crm_member.tier_distribution.percent IS 'Their part of all active members, percent with 2 decimals';
