--
-- Points are spent, and balances read, without statements where nothing stands in
-- the way. What comes of it is what statements make of it: the same acts of
-- members 1 to 20, and of 21 to 40 where a trigger of somebody's is on every table.
--
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crm_member CASCADE;
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'UTC');
INSERT INTO crm_member.points_type (points_type, name, decimals, expiry) VALUES ('growth', 'Growth', 2, 'inactive 12 months');
INSERT INTO crm_member.member (member_id, status) SELECT g, CASE WHEN g % 20 = 19 THEN 'lost' ELSE 'active' END FROM generate_series(1, 40) g;

CREATE FUNCTION attempt(act text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text; BEGIN
  EXECUTE 'SELECT crm_member.' || act INTO result;
  RETURN coalesce(result, 'null');
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE || ': ' || regexp_replace(SQLERRM, 'member \d+', 'member');
END $$;
-- lots that have expired, unbooked; expire later; are pending; never expire; debts; holds, one timed out; then spends of all kinds
CREATE FUNCTION act(m int) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT attempt(replace(a, '@', m::text)) FROM unnest(ARRAY[
    'award_points(@, 50, ''t'', ''a1'', expires_at => ''2026-03-01'', at => ''2026-01-01'')',
    'award_points(@, 30 + (@ - 1) % 20, ''t'', ''a2'', expires_at => ''2200-03-01'', at => ''2026-01-01'')',
    'award_points(@, 40, ''t'', ''a3'', at => ''2026-01-02'')',
    CASE WHEN (m - 1) % 20 % 3 = 0 THEN 'award_points(@, 7, ''t'', ''a4'', available_at => ''2300-01-01'', at => ''2026-01-03'')' ELSE 'points_balance(@)' END,
    'award_points(@, 12.34, ''t'', ''g1'', ''growth'', at => now() - interval ''1 month'')',
    CASE WHEN (m - 1) % 20 % 4 = 0 THEN 'hold_points(@, 5, ''t'', ''h1'', expires_at => ''2026-02-01'', at => ''2026-01-04'')' ELSE 'points_balance(@)' END,
    CASE WHEN (m - 1) % 20 % 5 = 0 THEN 'hold_points(@, 6, ''t'', ''h2'')' ELSE 'points_balance(@)' END,
    CASE WHEN (m - 1) % 20 % 6 = 0 THEN 'reverse_points(''a3'', @)' ELSE 'points_balance(@)' END,
    'points_balance(@)', 'points_balance(@, ''growth'')', 'points_balance(@, as_of => ''2250-01-01'')',
    'spend_points(@, 3, ''t'', ''s1'')', 'spend_points(@, 3, ''t'', ''s1'')', 'spend_points(@, 4, ''t'', ''s1'')',
    'spend_points(@, 20, ''long'', ''s2'', actor => ''till'')', 'spend_points(@, 1000, ''t'', ''s3'')', 'spend_points(@, 0.5, ''t'', ''s4'')',
    'spend_points(@, 1.20, ''t'', ''g2'', ''growth'')', 'spend_points(@, 11.14, ''t'', ''g3'', ''growth'')', 'spend_points(@, 0.01, ''t'', ''g4'', ''growth'')',
    'reverse_points(''s2'', @)', 'spend_points(@, 9, ''t'', ''s5'', at => ''2026-02-15'')',
    'points_balance(@)', 'points_balance(@, ''growth'')', 'spend_points(@, crm_member.points_balance(@), ''t'', ''s6'')', 'points_balance(@)']) a $$;
-- all of it, but for the member and the time
CREATE FUNCTION journal(m int) RETURNS SETOF text LANGUAGE sql AS $$
  (SELECT (to_jsonb(e) - '{member_id,at,booked_at}'::text[])::text FROM crm_member.points_entry e WHERE member_id = m ORDER BY points_type, entry_no)
  UNION ALL (SELECT (to_jsonb(l) - '{member_id,earned_at,available_at,expires_at}'::text[])::text || (l.expires_at = 'infinity') FROM crm_member.points_lot l WHERE member_id = m ORDER BY points_type, lot_no)
  UNION ALL (SELECT (to_jsonb(a) - '{member_id,settles_at,expires_at,hold_expires_at}'::text[])::text FROM crm_member.points_account a WHERE member_id = m ORDER BY points_type) $$;

CREATE TABLE result AS SELECT m, n, r FROM generate_series(1, 20) m, LATERAL (SELECT row_number() OVER () AS n, r FROM act(m) r) x;
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY '{member,points_entry,points_lot,points_account}'::text[] LOOP
    EXECUTE format('CREATE TRIGGER look AFTER INSERT OR UPDATE ON crm_member.%I FOR EACH ROW EXECUTE FUNCTION public.look()', t);
  END LOOP;
END $$;
-- and security of rows, which the owner of the tables does not mind, for what is only read
ALTER TABLE crm_member.points_account ENABLE ROW LEVEL SECURITY;
ALTER TABLE crm_member.member ENABLE ROW LEVEL SECURITY;
INSERT INTO result SELECT m, n, r FROM generate_series(21, 40) m, LATERAL (SELECT row_number() OVER () AS n, r FROM act(m) r) x;
SELECT count(*) AS results, count(*) FILTER (WHERE a.r = b.r) AS the_same, count(*) FILTER (WHERE a.r ~ '^[0-9A-Z]{5}:') AS errors FROM result a JOIN result b ON b.m = a.m + 20 AND b.n = a.n;
SELECT count(*) FILTER (WHERE a.j = b.j) = count(*) AS the_same
  FROM generate_series(1, 20) m, LATERAL (SELECT string_agg(j, E'\n') AS j FROM journal(m) j) a, LATERAL (SELECT string_agg(j, E'\n') AS j FROM journal(m + 20) j) b;
SELECT count(*) AS violations FROM crm_member.verify_ledger();
SELECT n, r FROM result WHERE m = 13 ORDER BY n;
-- many lots at once, more than are drawn on in one go
INSERT INTO crm_member.member (member_id) VALUES (41);
SELECT count(crm_member.award_points(41, 1, 't', 'l' || g, expires_at => timestamptz '2200-01-01' + g % 7 * interval '1 day')) FROM generate_series(1, 200) g;
ALTER TABLE crm_member.points_account DISABLE ROW LEVEL SECURITY;
ALTER TABLE crm_member.member DISABLE ROW LEVEL SECURITY;
DROP TRIGGER look ON crm_member.member; DROP TRIGGER look ON crm_member.points_entry; DROP TRIGGER look ON crm_member.points_lot; DROP TRIGGER look ON crm_member.points_account;
SELECT crm_member.spend_points(41, 150, 't', 'many'), crm_member.spend_points(41, 50, 't', 'rest');
SELECT count(*) FILTER (WHERE open) AS open, sum(remaining) AS remaining FROM crm_member.points_lot WHERE member_id = 41;
SELECT count(*) AS violations FROM crm_member.verify_ledger();
DROP EXTENSION crm_member CASCADE;
DROP TABLE result;
DROP FUNCTION attempt, act, journal, look;
