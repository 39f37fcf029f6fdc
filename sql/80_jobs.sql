-- Jobs: run by hand or by pg_cron, never twice at once, with a record of every run.

CREATE FUNCTION crm_member.known_job(OUT job text, OUT description text, OUT commits boolean) RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT j.job, j.description, p.prokind = 'p' AND p.proconfig IS NULL
    FROM (VALUES
      ('run_rfm',          'Score the members by every RFM model'),
      ('refresh_segments', 'Keep the tags that filters name'),
      ('expire_points',    'Expire points that are past their time'),
      ('review_tiers',     'Review the tiers of members'),
      ('find_duplicates',  'Look for duplicate members')) j (job, description)
    JOIN pg_proc p ON p.proname = j.job AND p.pronamespace = 'crm_member'::regnamespace
$$;
COMMENT ON FUNCTION crm_member.known_job() IS
  'The jobs there are; commits: it commits as it goes, so an error in it is recorded at the job''s next run';

CREATE FUNCTION crm_member.begin_job(job text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  running record;
  id bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM crm_member.known_job() k WHERE k.job = begin_job.job) THEN
    RAISE EXCEPTION 'job "%" does not exist', begin_job.job
      USING ERRCODE = 'RM504', HINT = 'SELECT job FROM crm_member.job lists them.';
  END IF;
  INSERT INTO crm_member.job_state (job) VALUES (begin_job.job) ON CONFLICT ON CONSTRAINT job_state_pkey DO NOTHING;
  PERFORM FROM crm_member.job_state s WHERE s.job = begin_job.job FOR UPDATE;
  FOR running IN
    SELECT r.run_id, crm_member.is_running(r.pid, r.statement_at) AS alive FROM crm_member.job_run r
     WHERE r.job = begin_job.job AND r.status = 'running'
  LOOP
    IF running.alive THEN
      INSERT INTO crm_member.job_run (job, status, finished_at, sqlstate, error)
      VALUES (begin_job.job, 'refused', clock_timestamp(), 'RM505', 'the job is running already');
      RETURN NULL;
    END IF;
    UPDATE crm_member.job_run r SET status = 'failed', finished_at = clock_timestamp(), error = 'ended without a result'
     WHERE r.run_id = running.run_id;
  END LOOP;
  INSERT INTO crm_member.job_run (job, status, pid, statement_at)
  VALUES (begin_job.job, 'running', pg_backend_pid(), statement_timestamp()) RETURNING run_id INTO id;
  RETURN id;
END $$;
COMMENT ON FUNCTION crm_member.begin_job(text) IS
  'Record that a job begins, for run_job(); NULL, and a record of the refusal, while it is running already. Error RM504 for an unknown job';

CREATE FUNCTION crm_member.is_running(pid int, statement_at timestamptz) RETURNS boolean
LANGUAGE sql VOLATILE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (SELECT FROM pg_stat_get_activity(is_running.pid) a
                  WHERE a.query_start IS NULL OR (a.state <> 'idle' AND a.query_start = is_running.statement_at))
$$;
COMMENT ON FUNCTION crm_member.is_running(int, timestamptz) IS
  'Is a session still at the statement it began at a time? Where statistics do not tell: is it there at all?';

CREATE FUNCTION crm_member.end_job(run_id bigint, rows bigint, sqlstate text DEFAULT NULL, error text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE crm_member.job_run r
     SET status = CASE WHEN end_job.error IS NULL THEN 'succeeded' ELSE 'failed' END, finished_at = clock_timestamp(),
         rows = end_job.rows, sqlstate = end_job.sqlstate, error = end_job.error
   WHERE r.run_id = end_job.run_id AND r.status = 'running' AND r.pid = pg_backend_pid();
END $$;
COMMENT ON FUNCTION crm_member.end_job(bigint, bigint, text, text) IS
  'Record how a job of this session ended, for run_job()';

-- No SET, which would keep what is called from committing: so everything is qualified.
CREATE PROCEDURE crm_member.do_job(job text, INOUT rows bigint DEFAULT NULL, INOUT state text DEFAULT NULL, INOUT message text DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
  code text;
  scored bigint;
BEGIN
  IF job OPERATOR(pg_catalog.=) 'run_rfm' THEN
    rows := 0;
    FOR code IN SELECT d.model_code FROM crm_member.rfm_model d ORDER BY d.model_code LOOP
      -- one model that cannot be run does not keep the others from being run
      BEGIN
        CALL crm_member.run_rfm(NULL, code);
        SELECT r.members INTO scored FROM crm_member.rfm_state c
          JOIN crm_member.rfm_run r ON r.run_id OPERATOR(pg_catalog.=) c.run_id
         WHERE c.model_code OPERATOR(pg_catalog.=) code;
        rows := rows OPERATOR(pg_catalog.+) scored;
      EXCEPTION WHEN OTHERS THEN
        state := SQLSTATE;
        message := pg_catalog.concat_ws('; ', message, pg_catalog.format('model %s: %s', code, SQLERRM));
      END;
    END LOOP;
  ELSIF job OPERATOR(pg_catalog.=) 'refresh_segments' THEN
    rows := crm_member.refresh_segments();
  ELSIF job OPERATOR(pg_catalog.=) 'expire_points' THEN
    CALL crm_member.expire_points();
  ELSIF job OPERATOR(pg_catalog.=) 'review_tiers' THEN
    CALL crm_member.review_tiers();
  ELSIF job OPERATOR(pg_catalog.=) 'find_duplicates' THEN
    CALL crm_member.find_duplicates();
  END IF;
END $$;
COMMENT ON PROCEDURE crm_member.do_job(text, bigint, text, text) IS
  'The work of a job, for run_job(). rows: how many it dealt with, NULL where it does not tell; state and message: what part of the work failed';

CREATE PROCEDURE crm_member.run_job(job text)
LANGUAGE plpgsql
AS $$
DECLARE
  id bigint;
  n bigint;
  commits boolean;
  state text;
  message text;
BEGIN
  IF pg_catalog.pg_is_in_recovery() THEN
    RAISE NOTICE 'job "%" has nothing to do on a standby', job;
    RETURN;
  END IF;
  id := crm_member.begin_job(job);
  COMMIT;
  IF id IS NULL THEN
    RAISE EXCEPTION 'job "%" is running already', job
      USING ERRCODE = 'RM505', HINT = 'SELECT * FROM crm_member.job_progress shows how far it is.';
  END IF;
  SELECT k.commits INTO commits FROM crm_member.known_job() k WHERE k.job OPERATOR(pg_catalog.=) run_job.job;
  IF commits THEN
    CALL crm_member.do_job(job, n, state, message);
  ELSE
    BEGIN
      CALL crm_member.do_job(job, n, state, message);
    EXCEPTION WHEN query_canceled OR OTHERS THEN
      GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
    END;
  END IF;
  PERFORM crm_member.end_job(id, n, state, message);
  COMMIT;
  IF state IS NOT NULL THEN
    RAISE EXCEPTION '%', message USING ERRCODE = state;
  END IF;
END $$;
COMMENT ON PROCEDURE crm_member.run_job(text) IS
  'Run a job now, as pg_cron does, and record it in job_run; on a standby it does nothing. Not within a transaction. Errors: RM504 unknown job, RM505 it is running already, and what the job itself raises';

CREATE FUNCTION crm_member.cron_call(database text, name text, schedule text, command text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
AS 'MODULE_PATHNAME', 'crm_cron_call';
COMMENT ON FUNCTION crm_member.cron_call(text, text, text, text) IS
  'Schedule a command for this database with pg_cron in another, or (schedule NULL) unschedule it, as the current role and under its rights there, through a background worker. Errors: 22004 NULL for what is required, 3D000 no such database, 53000 no background worker is free, and what pg_cron raises';

CREATE FUNCTION crm_member.cron_database() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_cron_database';

COMMENT ON FUNCTION crm_member.cron_database() IS 'The database pg_cron keeps its jobs in. Error 0A000 where there is no pg_cron';

CREATE FUNCTION crm_member.schedule(job text, schedule text) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  cron text;
  name text := format('crm_member %s in %s', schedule.job, current_database());
  command text := format('CALL crm_member.run_job(%L)', schedule.job);
BEGIN
  IF NOT EXISTS (SELECT FROM crm_member.known_job() k WHERE k.job = schedule.job) THEN
    RAISE EXCEPTION 'job "%" does not exist', schedule.job
      USING ERRCODE = 'RM504', HINT = 'SELECT job FROM crm_member.job lists them.';
  END IF;
  cron := crm_member.cron_database();
  IF cron = current_database() THEN
    PERFORM cron.schedule_in_database(name, schedule.schedule, command, cron);
  ELSE
    PERFORM crm_member.cron_call(cron, name, schedule.schedule, command);
  END IF;
  PERFORM crm_member.note_schedule(schedule.job, schedule.schedule);
END $$;
COMMENT ON FUNCTION crm_member.schedule(text, text) IS
  'Have pg_cron run a job at the times of a cron expression (in the time zone of cron.timezone, by default GMT), such as 30 2 * * *; scheduling it again replaces the times. Works in any database of the server. NULL for NULL. Errors: RM504 unknown job, 0A000 where there is no pg_cron, 22023 a schedule that pg_cron does not understand, 42501 without rights to pg_cron';

CREATE FUNCTION crm_member.unschedule(job text) RETURNS boolean
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  cron text;
  name text := format('crm_member %s in %s', unschedule.job, current_database());
BEGIN
  IF NOT EXISTS (SELECT FROM crm_member.known_job() k WHERE k.job = unschedule.job) THEN
    RAISE EXCEPTION 'job "%" does not exist', unschedule.job
      USING ERRCODE = 'RM504', HINT = 'SELECT job FROM crm_member.job lists them.';
  END IF;
  cron := crm_member.cron_database();
  IF cron = current_database() THEN
    PERFORM cron.unschedule(j.jobid) FROM cron.job j WHERE j.jobname = name;
  ELSE
    PERFORM crm_member.cron_call(cron, name, NULL, NULL);
  END IF;
  RETURN crm_member.note_schedule(unschedule.job, NULL);
END $$;
COMMENT ON FUNCTION crm_member.unschedule(text) IS
  'Have pg_cron run a job no more; returns whether it was scheduled. NULL for NULL. Errors as schedule()';

CREATE FUNCTION crm_member.note_schedule(job text, schedule text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  before text;
BEGIN
  INSERT INTO crm_member.job_state (job) VALUES (note_schedule.job) ON CONFLICT ON CONSTRAINT job_state_pkey DO NOTHING;
  SELECT s.schedule INTO before FROM crm_member.job_state s WHERE s.job = note_schedule.job FOR UPDATE;
  UPDATE crm_member.job_state s
     SET schedule = note_schedule.schedule, scheduled_at = CASE WHEN note_schedule.schedule IS NOT NULL THEN now() END,
         scheduled_by = CASE WHEN note_schedule.schedule IS NOT NULL THEN session_user END
   WHERE s.job = note_schedule.job;
  RETURN before IS NOT NULL;
END $$;
COMMENT ON FUNCTION crm_member.note_schedule(text, text) IS
  'Remember what schedule() and unschedule() asked of pg_cron; returns whether the job was scheduled before';
