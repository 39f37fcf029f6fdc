-- The files of test/data/journey as they are.
CREATE SCHEMA journey;

CREATE TABLE journey.transactions (
  household_id int, store_id int, basket_id bigint, product_id int, quantity numeric, sales_value numeric,
  retail_disc numeric, coupon_disc numeric, coupon_match_disc numeric, transaction_timestamp timestamp);
CREATE TABLE journey.products (
  product_id int PRIMARY KEY, manufacturer_id int, department text, brand text, product_category text, product_type text);
CREATE TABLE journey.demographics (
  household_id int PRIMARY KEY, age text, income text, home_ownership text, marital_status text,
  household_size text, household_comp text, kids_count text);
CREATE TABLE journey.campaign_descriptions (campaign_id int PRIMARY KEY, campaign_type text, start_date date, end_date date);
CREATE TABLE journey.campaigns (campaign_id int, household_id int);
CREATE TABLE journey.coupons (coupon_upc text, product_id text, campaign_id int);
CREATE TABLE journey.coupon_redemptions (household_id int, coupon_upc text, campaign_id int, redemption_date date);
