-- What was found in the list, and some of the pairs.
SELECT to_char(r.records, 'FM9,999') AS "Entries", to_char(r.candidates, 'FM999,999') AS "Pairs compared",
       (SELECT count(*) FROM crm_member.duplicate_pair p WHERE p.model_code = 'list' AND p.decision = 'auto') AS "The same",
       (SELECT count(*) FROM crm_member.duplicate_queue q WHERE q.model_code = 'list') AS "To be looked at",
       (SELECT count(DISTINCT cluster_id) FROM crm_member.duplicate_cluster c WHERE c.model_code = 'list') AS "Groups"
FROM crm_member.match_run r WHERE r.model_code = 'list';

SELECT l.name AS "One", r.name AS "The other", round(p.probability, 4) AS "Probability", p.decision AS "Decision",
       (SELECT string_agg(f ->> 'column' || ' ' || replace(f ->> 'level', '_', ' '), ', ')
        FROM jsonb_array_elements(p.evidence -> 'fields') f) AS "Because of"
FROM crm_member.duplicate_pair p
JOIN journey.list l ON l."row" = p.left_key::int
JOIN journey.list r ON r."row" = p.right_key::int
WHERE p.model_code = 'list' AND l.name <> r.name
ORDER BY jsonb_array_length(p.evidence -> 'fields') DESC, p.probability DESC, p.left_key::int LIMIT 6;
