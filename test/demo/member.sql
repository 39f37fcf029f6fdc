-- All about the member of that basket, an item a line.
SELECT rpad(CASE WHEN item = 1 THEN key ELSE '' END, 16) || value
FROM jsonb_each(crm_member.member_360(:member_id)) WITH ORDINALITY AS f (key, field, position),
     LATERAL (SELECT item, value FROM jsonb_array_elements_text(
                CASE jsonb_typeof(field) WHEN 'array' THEN CASE field WHEN '[]' THEN '["none"]' ELSE field END
                ELSE jsonb_build_array(field) END) WITH ORDINALITY e (value, item)) v
WHERE field <> 'null' ORDER BY position, item;
