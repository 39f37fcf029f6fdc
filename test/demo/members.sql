-- Households join on the day of their first basket; what is known of them are attributes.
SELECT * FROM crm_member.import_members($$
  SELECT 'Household ' || t.household_id AS name, 'journey' AS source, t.household_id::text AS external_id,
         t.store_id::text AS store, t.transaction_timestamp AT TIME ZONE 'America/New_York' AS joined_at,
         jsonb_strip_nulls(jsonb_build_object('age', d.age, 'income', d.income, 'kids_count', d.kids_count)) AS attrs
  FROM (SELECT DISTINCT ON (household_id) household_id, store_id, transaction_timestamp
        FROM journey.transactions ORDER BY household_id, transaction_timestamp, basket_id) t
  LEFT JOIN journey.demographics d USING (household_id)$$);
