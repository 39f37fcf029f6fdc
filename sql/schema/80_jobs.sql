-- Jobs: their schedules and their runs.

CREATE TABLE crm_member.job_state (
  job           text PRIMARY KEY,
  schedule      text,
  scheduled_at  timestamptz,
  scheduled_by  name
);

COMMENT ON TABLE crm_member.job_state IS 'What schedule() asked of pg_cron, and the row a run of the job locks as it begins';
COMMENT ON COLUMN crm_member.job_state.job IS 'The job, as view job lists it';
COMMENT ON COLUMN crm_member.job_state.schedule IS 'Cron expression; NULL: not scheduled';
COMMENT ON COLUMN crm_member.job_state.scheduled_at IS 'When it was scheduled';
COMMENT ON COLUMN crm_member.job_state.scheduled_by IS 'Role that scheduled it, as which pg_cron runs it';

CREATE TABLE crm_member.job_run (
  run_id        bigint PRIMARY KEY DEFAULT crm_member.new_id(),
  job           text NOT NULL,
  status        text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'refused')),
  started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at   timestamptz,
  duration      interval GENERATED ALWAYS AS (finished_at - started_at) STORED,
  rows          bigint,
  sqlstate      text,
  error         text,
  actor         name NOT NULL DEFAULT session_user,
  pid           int,
  statement_at  timestamptz
);

CREATE INDEX job_run_job ON crm_member.job_run (job, started_at);

COMMENT ON TABLE crm_member.job_run IS 'Every run of a job';
COMMENT ON COLUMN crm_member.job_run.run_id IS 'Identifier, from new_id()';
COMMENT ON COLUMN crm_member.job_run.job IS 'The job';
COMMENT ON COLUMN crm_member.job_run.status IS 'running, succeeded, failed, or refused since it was running already';
COMMENT ON COLUMN crm_member.job_run.started_at IS 'When it began';
COMMENT ON COLUMN crm_member.job_run.finished_at IS 'When it ended; NULL: it has not, or left no word';
COMMENT ON COLUMN crm_member.job_run.duration IS 'From begin to end';
COMMENT ON COLUMN crm_member.job_run.actor IS 'Role that ran it';
COMMENT ON COLUMN crm_member.job_run.rows IS 'Members scored or tags changed, and so on; NULL where the job does not tell';
COMMENT ON COLUMN crm_member.job_run.sqlstate IS 'Of the error; NULL: none, or the run ended without leaving word';
COMMENT ON COLUMN crm_member.job_run.error IS 'Message of the error; NULL: none';
COMMENT ON COLUMN crm_member.job_run.pid IS 'Session that ran it';
COMMENT ON COLUMN crm_member.job_run.statement_at IS 'When that session began the statement, by which it is known again';

CREATE VIEW crm_member.job AS
  SELECT k.job, k.description, s.schedule, s.scheduled_by,
         r.status = 'running' AND crm_member.is_running(r.pid, r.statement_at) AS running,
         r.status AS last_status, r.started_at AS last_started_at, r.finished_at AS last_finished_at,
         r.duration AS last_duration, r.rows AS last_rows, r.sqlstate AS last_sqlstate, r.error AS last_error
    FROM crm_member.known_job() k
    LEFT JOIN crm_member.job_state s ON s.job = k.job
    LEFT JOIN LATERAL (SELECT * FROM crm_member.job_run r WHERE r.job = k.job AND r.status <> 'refused'
                        ORDER BY r.started_at DESC LIMIT 1) r ON true;

COMMENT ON VIEW crm_member.job IS 'The jobs, when they are scheduled, and how their last run ended; a run that is running but not there any more ended without a result';

CREATE VIEW crm_member.job_progress AS
  SELECT a.pid, a.usename AS actor, a.query_start AS started_at, m[1] AS job, m[2] AS step, m[3]::bigint AS done, m[4]::bigint AS total
    FROM pg_stat_activity a
    CROSS JOIN LATERAL regexp_match(a.query, '^crm_member (.+): (.+), (\d+) of (\d+)$') m
   WHERE a.datname = current_database() AND a.state = 'active' AND m IS NOT NULL;

COMMENT ON VIEW crm_member.job_progress IS 'How far the long statements of this database are. Whose they are: one''s own, or with pg_read_all_stats everyone''s; total 0: not known';
