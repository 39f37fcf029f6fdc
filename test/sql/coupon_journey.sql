--
-- Every redemption of a year of real campaigns is valid for its household on its
-- day, and refused a day outside the campaign, for a household the campaign was
-- not sent to, and for a product the coupon does not cover.
--
-- Coupons none of whose products was sold cover a stand-in here.
--
\set ON_ERROR_STOP 0
\getenv test PG_ABS_SRCDIR
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'America/New_York', currency => 'USD');
RESET client_min_messages;

CREATE TEMP TABLE campaign (campaign_id int, campaign_type text, start_date date, end_date date);
CREATE TEMP TABLE sent (campaign_id int, household_id int);
CREATE TEMP TABLE covered (coupon_upc text, product_id text, campaign_id int);
CREATE TEMP TABLE redemption (household_id int, coupon_upc text, campaign_id int, redemption_date date);
\set program 'gzip -dc ' :test '/data/journey/campaign_descriptions.csv.gz'
COPY campaign FROM PROGRAM :'program' (FORMAT csv, HEADER);
\set program 'gzip -dc ' :test '/data/journey/campaigns.csv.gz'
COPY sent FROM PROGRAM :'program' (FORMAT csv, HEADER);
\set program 'gzip -dc ' :test '/data/journey/coupons.csv.gz'
COPY covered FROM PROGRAM :'program' (FORMAT csv, HEADER);
\set program 'gzip -dc ' :test '/data/journey/coupon_redemptions.csv.gz'
COPY redemption FROM PROGRAM :'program' (FORMAT csv, HEADER);

INSERT INTO covered
SELECT DISTINCT coupon_upc, 'of ' || coupon_upc, campaign_id FROM redemption r
WHERE NOT EXISTS (SELECT FROM covered c WHERE (c.coupon_upc, c.campaign_id) = (r.coupon_upc, r.campaign_id));

-- households are members with a tag for each campaign they were sent
INSERT INTO crm_member.member (member_id, joined_at, tags)
SELECT household_id, '2016-01-01', array_agg('campaign ' || campaign_id) FROM sent GROUP BY household_id;

-- each coupon of each campaign is a template with one code for all
INSERT INTO crm_member.coupon_template (template_code, kind, value, uses, valid_from, valid_to, requires, eligible)
SELECT r.campaign_id || '-' || r.coupon_upc, 'amount', 1, NULL, k.start_date, k.end_date,
       format('member.tag(%L)', 'campaign ' || r.campaign_id)::crm_member.condition,
       format('line.sku in (%s)', (SELECT string_agg(quote_literal(product_id), ', ' ORDER BY product_id) FROM covered c
                                   WHERE (c.coupon_upc, c.campaign_id) = (r.coupon_upc, r.campaign_id)))::crm_member.condition
FROM (SELECT DISTINCT campaign_id, coupon_upc FROM redemption) r JOIN campaign k USING (campaign_id);
SELECT count(crm_member.import_coupon(template_code, template_code)) FROM crm_member.coupon_template;

CREATE FUNCTION pg_temp.judge(r redemption, household int, at timestamp, sku text) RETURNS text
LANGUAGE sql AS $$
  SELECT CASE WHEN v.valid THEN 'valid, ' || v.discount ELSE v.sqlstate || ' ' || regexp_replace(v.reason, '\d\d+|\y[2-9]\y', 'n', 'g') END
  FROM crm_member.validate_coupon(r.campaign_id || '-' || r.coupon_upc, jsonb_build_object(
    'member_id', household, 'sold_at', at AT TIME ZONE 'America/New_York',
    'lines', jsonb_build_array(jsonb_build_object('sku', sku, 'price', 2.5), jsonb_build_object('sku', 'other', 'price', 4)))) v
$$;

CREATE TEMP TABLE question AS
SELECT r, k, (SELECT min(product_id) FROM covered c WHERE (c.coupon_upc, c.campaign_id) = (r.coupon_upc, r.campaign_id)) AS product,
       (SELECT min(s.household_id) FROM sent s WHERE NOT EXISTS
         (SELECT FROM sent o WHERE (o.campaign_id, o.household_id) = (r.campaign_id, s.household_id))) AS stranger
FROM redemption r JOIN campaign k USING (campaign_id);

SELECT 'as it was', pg_temp.judge(r, (r).household_id, (r).redemption_date + time '12:00', product), count(*) FROM question GROUP BY 2
UNION ALL SELECT 'to the last minute', pg_temp.judge(r, (r).household_id, (k).end_date + time '23:59:59', product), count(*) FROM question GROUP BY 2
UNION ALL SELECT 'from the first', pg_temp.judge(r, (r).household_id, (k).start_date + time '00:00', product), count(*) FROM question GROUP BY 2
UNION ALL SELECT 'the day before', pg_temp.judge(r, (r).household_id, (k).start_date - interval '1 second', product), count(*) FROM question GROUP BY 2
UNION ALL SELECT 'the day after', pg_temp.judge(r, (r).household_id, (k).end_date + 1 + time '00:00', product), count(*) FROM question GROUP BY 2
UNION ALL SELECT 'another household', left(pg_temp.judge(r, stranger, (r).redemption_date + time '12:00', product), 27), count(*) FROM question GROUP BY 2
UNION ALL SELECT 'another product', left(pg_temp.judge(r, (r).household_id, (r).redemption_date + time '12:00', 'another'), 52), count(*) FROM question GROUP BY 2;

-- and redeemed each, in the order of time
SELECT count(*), sum((x.u).discount) AS discount
FROM (SELECT crm_member.redeem_coupon((r).campaign_id || '-' || (r).coupon_upc, jsonb_build_object('member_id', (r).household_id,
        'sold_at', ((r).redemption_date + time '12:00') AT TIME ZONE 'America/New_York', 'lines', jsonb_build_array(jsonb_build_object('sku', product, 'price', 2.5))),
        'redemption ' || row_number() OVER (ORDER BY (r).redemption_date, (r).household_id, (r).coupon_upc, (r).campaign_id)) AS u
      FROM question ORDER BY (r).redemption_date) x;
SELECT count(*) AS uses, count(DISTINCT (template_code, member_id)) = (SELECT count(DISTINCT (campaign_id, coupon_upc, household_id)) FROM redemption) AS as_recorded
FROM crm_member.coupon_use u WHERE (u.used_at AT TIME ZONE 'America/New_York')::date IN (SELECT redemption_date FROM redemption);
