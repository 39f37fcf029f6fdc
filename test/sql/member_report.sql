--
-- What is known about a member, and who may see it.
--
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = crm_member, public;

INSERT INTO tier VALUES ('silver', 'Silver', 1), ('gold', 'Gold', 2);
SELECT register_member(name => '张伟', mobile => '13812345678', email => 'zhang@shop.cn', birthday => '1990-02-28', gender => 'M',
                       source => 'erp', external_id => 'E1', tier => 'gold', card_no => 'K1', card_type => 'standard') AS a \gset
SELECT register_member(name => '张小伟', mobile => '13912345678', tier => 'silver') AS b \gset
SELECT register_member(name => '李四') AS c \gset
SELECT checkout(jsonb_build_object('ref', 's' || i, 'member_id', CASE WHEN i % 2 = 0 THEN :a ELSE :b END, 'sold_at', '2024-01-01 12:00+08'::timestamptz + i * interval '1 day',
         'lines', '[{"line_no": 1, "sku": "x", "quantity": 1, "price": 10.50}]'::jsonb)) IS NOT NULL AS sold
  FROM generate_series(1, 12) AS i;
SELECT award_points(:a, 30, 'welcome', 'w1') IS NOT NULL AS awarded;
CALL run_rfm('2024-01-31');

CREATE FUNCTION pg_temp.show(member bigint) RETURNS TABLE (part text, content jsonb) LANGUAGE sql AS $$
  SELECT key, CASE key
      WHEN 'identities' THEN (SELECT jsonb_agg(e - 'bound_at') FROM jsonb_array_elements(value) AS e)
      WHEN 'cards' THEN (SELECT jsonb_agg(e - 'effective_at') FROM jsonb_array_elements(value) AS e)
      WHEN 'recent_sales' THEN (SELECT jsonb_agg(e ->> 'ref') FROM jsonb_array_elements(value) AS e)
      WHEN 'tier' THEN value - 'since'
      WHEN 'merged_members' THEN to_jsonb(jsonb_array_length(value))
      ELSE value END
    FROM jsonb_each(crm_member.member_360(member)) WHERE key NOT IN ('member_id', 'joined_at') ORDER BY key $$;
SELECT * FROM pg_temp.show(:a);
SELECT status, name, mobile, email, birthday, gender, tier_code, cards, points, sales, payable, last_sale_at = '2024-01-13 12:00+08' AS last
  FROM member_360_view ORDER BY name COLLATE "C";
SELECT * FROM tier_distribution ORDER BY rank;

-- a member merged into another shows as that one
UPDATE member SET status = 'merged', merged_into = :a WHERE member_id = :b;
SELECT * FROM pg_temp.show(:b) WHERE part IN ('identities', 'sales', 'recent_sales', 'merged_members', 'person');
SELECT name, sales, payable FROM member_360_view ORDER BY name COLLATE "C";
SELECT * FROM tier_distribution ORDER BY rank;

-- masked for who may not read person
CREATE ROLE regress_crm_desk;
GRANT USAGE ON SCHEMA crm_member TO regress_crm_desk;
GRANT SELECT ON member_360_view TO regress_crm_desk;
GRANT EXECUTE ON FUNCTION member_360, may_see_person, mask TO regress_crm_desk;
SET ROLE regress_crm_desk;
SELECT name, mobile, email, birthday FROM crm_member.member_360_view ORDER BY name COLLATE "C";
SELECT crm_member.member_360(:a) -> 'person' AS person;
SELECT e ->> 'kind' AS kind, e ->> 'value' AS value FROM jsonb_array_elements(crm_member.member_360(:a) -> 'identities') AS e;
RESET ROLE;
GRANT SELECT ON person TO regress_crm_desk;
SET ROLE regress_crm_desk;
SELECT crm_member.member_360(:a) -> 'person' ->> 'mobile' AS mobile;
RESET ROLE;
DROP OWNED BY regress_crm_desk;
DROP ROLE regress_crm_desk;

SELECT mask('13812345678', 'mobile'), mask('123', 'mobile'), mask('a@b.cn', 'email'), mask('nobody', 'email'), mask('', 'name'), mask(NULL, 'name');
SELECT member_360(NULL) AS none;
\set VERBOSITY sqlstate
SELECT member_360(42);
DROP FUNCTION pg_temp.show;
