-- Households join on the day of their first basket; what is known of them are attributes.
SELECT crm_member.register_member(
  name => 'Household ' || t.household_id,
  source => 'journey',
  external_id => t.household_id::text,
  store => t.store_id::text,
  joined_at => t.transaction_timestamp AT TIME ZONE 'America/New_York',
  attrs => jsonb_strip_nulls(jsonb_build_object('age', d.age, 'income', d.income, 'kids_count', d.kids_count)))
FROM (SELECT DISTINCT ON (household_id) household_id, store_id, transaction_timestamp
      FROM journey.transactions ORDER BY household_id, transaction_timestamp, basket_id) t
LEFT JOIN journey.demographics d USING (household_id);
