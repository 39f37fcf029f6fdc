--
-- Scores and segments in conditions of points rules.
--
\getenv tests PG_ABS_SRCDIR
\set zone 'UTC'
\i :tests/sql/include/business.sql
INSERT INTO crm_member.member (member_id) SELECT generate_series(1, 6);
INSERT INTO crm_member.sale (member_id, sale_id, ref, sold_at) SELECT m, m * 100 + n, m || '-' || n, timestamptz '2026-01-01 12:00' + m * interval '10 days' + n * interval '1 hour' FROM generate_series(1, 5) m, generate_series(1, m) n;
INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price) SELECT member_id, sale_id, 1, member_id * 10 FROM crm_member.sale;
CALL crm_member.run_rfm('2026-03-01');
SELECT member_id, score FROM crm_member.rfm ORDER BY 1;
INSERT INTO crm_member.points_rule (rule_code, award, points, condition) VALUES
  ('best', 'fixed', 100, 'member.rfm_r = 5 and member.rfm_f >= 5 and member.rfm_m = 5'),
  ('low', 'fixed', 1, 'member.rfm_r <= 2'),
  ('unscored', 'fixed', 7, 'member.rfm_r is null'),
  ('segmented', 'fixed', 1000, 'member.segment is not null');
SELECT m AS member_id, string_agg(e.rule_code || '=' || e.points, ' ' ORDER BY e.rule_code) AS given
FROM generate_series(1, 6) m, crm_member.evaluate_points(jsonb_build_object('member_id', m, 'lines', '[{"price": 1}]'::jsonb)) e GROUP BY 1 ORDER BY 1;
SELECT rule_code, verdict, clause, saw FROM crm_member.explain_points('{"member_id": 1, "lines": [{"price": 1}]}') ORDER BY 1;
