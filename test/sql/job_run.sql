-- Jobs run by hand: what is recorded, what is refused.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
DROP SCHEMA IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup();
RESET client_min_messages;
SET search_path = public, crm_member;

SELECT job, description FROM job ORDER BY job;
INSERT INTO sale (member_id, sale_id, ref, sold_at, payable, settled_at) VALUES (1, 1, '1', '2025-01-01', 5, now()), (2, 2, '2', '2025-01-01', 5, now());
INSERT INTO rfm_model (model_code, name) VALUES ('also', 'Also');
CALL run_job('run_rfm');
INSERT INTO member (member_id) VALUES (1), (2);
INSERT INTO member_filter (filter_code, condition, tag) VALUES ('all', 'member.id > 0', 'all');
CALL run_job('refresh_segments');
-- one model that cannot be run does not keep the others from being run
INSERT INTO rfm_model (model_code, name, method, cuts) VALUES ('bad', 'Bad', 'thresholds', '{"monetary": [1, 2, 3, 1e30]}');
\set VERBOSITY sqlstate
CALL run_job('run_rfm');
\set VERBOSITY default
SELECT job, status, rows, sqlstate, error, duration >= interval '0' AS took, actor = session_user AS actor FROM job_run ORDER BY started_at;
SELECT job, running, last_status, last_rows, last_sqlstate, last_duration >= interval '0' AS took FROM job WHERE last_status IS NOT NULL ORDER BY job;
SELECT model_code, count(*) FROM rfm_run GROUP BY 1 ORDER BY 1;
-- what is in a transaction cannot be recorded apart from it
BEGIN;
CALL run_job('run_rfm');
ROLLBACK;
\set VERBOSITY sqlstate
CALL run_job('nosuch');
CALL run_job(NULL);
SELECT schedule('nosuch', '* * * * *');
SELECT unschedule('nosuch');
SELECT schedule(NULL, '* * * * *');
-- only the session that runs it ends a job
SELECT end_job(run_id, 5) FROM job_run;
SELECT count(*) FROM job_run WHERE rows = 5;
SELECT count(*) FROM job_progress;
