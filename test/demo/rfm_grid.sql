-- Five rows of frequency by five columns of recency; the darker, the more households.
WITH cell AS (
  SELECT r, f, count(k.member_id) AS households, round(avg(k.monetary)) AS spent
  FROM generate_series(1, 5) r CROSS JOIN generate_series(1, 5) f
  LEFT JOIN crm_member.rfm k ON crm_member.r(k.score) = r AND crm_member.f(k.score) = f
  GROUP BY r, f
), shaded AS (
  SELECT *, substr(' ░▒▓█', 1 + ceil(4.0 * households / max(households) OVER ())::int, 1) AS shade FROM cell
)
SELECT '  often  ' || f || '  ' || string_agg(repeat(shade, 3) || lpad(households::text, 5) || rpad(coalesce(' $' || spent, ''), 6), '  ' ORDER BY r)
FROM shaded GROUP BY f ORDER BY f DESC;
SELECT '            ' || string_agg(rpad('   ' || r || CASE r WHEN 1 THEN ' long ago' WHEN 5 THEN ' lately' ELSE '' END, 14), '  ' ORDER BY r)
FROM generate_series(1, 5) r;
