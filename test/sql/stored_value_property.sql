--
-- Stored value under random acts: what was paid in and given is spent, held or
-- there, to the cent, in every way of spending, with and without overdraft.
--
-- A model keeps the two parts by the same acts and knows nothing of lots. An act
-- that is refused changes nothing; one that is repeated neither.
--
\getenv tests PG_ABS_SRCDIR
\set zone 'UTC'
\i :tests/sql/include/business.sql
\set VERBOSITY terse
SET timezone = 'UTC';
INSERT INTO crm_member.stored_value_policy (policy_code, basis, reach, gift, repeats) VALUES
  ('s50', 'single', 50, 7.77, false), ('c100', 'cumulative', 100, 3.33, true);

CREATE TEMP TABLE model (member_id bigint PRIMARY KEY, paid_in numeric NOT NULL DEFAULT 0, principal numeric NOT NULL DEFAULT 0, gift numeric NOT NULL DEFAULT 0);
CREATE TEMP TABLE payment (member_id bigint, ref text, kind text, principal numeric, gift numeric, done numeric NOT NULL DEFAULT 0, done_principal numeric NOT NULL DEFAULT 0, PRIMARY KEY (member_id, ref));

CREATE FUNCTION pg_temp.try_out(acts int, OUT acted int, OUT refused int, OUT kinds int, OUT fault text) LANGUAGE plpgsql AS $$
DECLARE
  buyers bigint[];
  m model;
  p payment;
  a crm_member.stored_value_act;
  x numeric;
  least_balance numeric;
  moment timestamptz := '2026-01-01';
  act text;
  call text;
  answer numeric;
BEGIN
  acted := 0; refused := 0;
  SELECT array_agg(crm_member.register_member(source => 'test', external_id => i::text)) INTO buyers FROM generate_series(1, 8) i;
  INSERT INTO model SELECT unnest(buyers);
  FOR n IN 1 .. acts LOOP
    IF n % 50 = 1 THEN
      UPDATE crm_member.stored_value_setting SET spending = (ARRAY['pro_rata', 'principal_first', 'gift_first'])[1 + floor(random() * 3)],
        (min_balance, overdraft) = (SELECT CASE WHEN b < 0.3 THEN 5 ELSE 0 END, CASE WHEN b > 0.6 THEN 20 ELSE 0 END FROM random() b);
    END IF;
    moment := moment + interval '1 hour';
    SELECT * INTO m FROM model ORDER BY random() LIMIT 1;
    p := NULL;
    x := round((random() * 60)::numeric, 2) + 0.01;
    act := (ARRAY['top_up', 'top_up', 'spend', 'spend', 'return', 'authorise', 'capture', 'void', 'close'])[1 + floor(random() * CASE WHEN random() < 0.1 THEN 9 ELSE 8 END)];
    IF act IN ('return', 'capture', 'void') THEN
      SELECT * INTO p FROM payment y WHERE y.member_id = m.member_id AND (act = 'return') = (y.kind IN ('spend', 'capture')) ORDER BY random() LIMIT 1;
      CONTINUE WHEN p.ref IS NULL;
    END IF;
    call := CASE act
      WHEN 'top_up' THEN format('SELECT crm_member.top_up_stored_value(%s, %s, NULL, %L, at => %L)', m.member_id, x, 'r' || n, moment)
      WHEN 'spend' THEN format('SELECT crm_member.spend_stored_value(%s, %s, NULL, %L, at => %L)', m.member_id, x, 'r' || n, moment)
      WHEN 'authorise' THEN format('SELECT crm_member.authorise_stored_value(%s, %s, NULL, %L, at => %L)', m.member_id, x, 'r' || n, moment)
      WHEN 'return' THEN format('SELECT crm_member.return_stored_value(%s, %L, %s, return_ref => %L, at => %L)', m.member_id, p.ref,
                                CASE WHEN random() < 0.3 THEN 'NULL' ELSE x::text END, 'r' || n, moment)
      WHEN 'capture' THEN format('SELECT crm_member.capture_stored_value(%s, %L, %s, capture_ref => %L, release_rest => %s, at => %L)', m.member_id, p.ref,
                                 CASE WHEN random() < 0.3 THEN 'NULL' ELSE x::text END, 'r' || n, CASE WHEN random() < 0.3 THEN 'true' ELSE 'false' END, moment)
      WHEN 'void' THEN format('SELECT crm_member.void_stored_value(%s, %L, void_ref => %L, at => %L)', m.member_id, p.ref, 'r' || n, moment)
      ELSE format('SELECT crm_member.close_stored_value(%s, NULL, %L, at => %L)', m.member_id, 'r' || n, moment) END;
    BEGIN
      EXECUTE call INTO answer;
      acted := acted + 1;
    EXCEPTION WHEN SQLSTATE 'RM701' OR SQLSTATE 'RM703' OR SQLSTATE 'RM704' THEN
      refused := refused + 1;
      -- not without reason
      SELECT min_balance - CASE act WHEN 'spend' THEN overdraft ELSE 0 END INTO least_balance FROM crm_member.stored_value_setting;
      IF act IN ('spend', 'authorise') AND m.principal + m.gift - x >= least_balance THEN
        fault := format('%s refused: %s and %s are there', call, m.principal, m.gift);
        RETURN;
      END IF;
      CONTINUE;
    END;
    IF random() < 0.1 THEN
      EXECUTE call INTO x;
      IF x <> answer THEN
        fault := call || ' answers otherwise the second time';
        RETURN;
      END IF;
    END IF;
    SELECT * INTO a FROM crm_member.stored_value_act s WHERE s.member_id = m.member_id AND s.ref = 'r' || n;
    CASE act
      WHEN 'top_up' THEN
        -- the policies, reckoned once more
        IF a.gift <> (CASE WHEN a.amount >= 50 THEN 7.77 ELSE 0 END) + 3.33 * (floor((m.paid_in + a.amount) / 100) - floor(m.paid_in / 100)) THEN
          fault := format('%s gives %s after %s', call, a.gift, m.paid_in);
        END IF;
        UPDATE model SET paid_in = paid_in + a.amount, principal = principal + a.principal, gift = gift + a.gift WHERE member_id = m.member_id;
      WHEN 'spend', 'authorise' THEN
        INSERT INTO payment (member_id, ref, kind, principal, gift) VALUES (m.member_id, a.ref, act, a.principal, a.gift);
        UPDATE model SET principal = principal - a.principal, gift = gift - a.gift WHERE member_id = m.member_id;
        -- nothing is taken of the gift that is not there, and as the setting says
        IF m.gift < a.gift OR a.gift <> (SELECT CASE s.spending WHEN 'principal_first' THEN greatest(a.amount - greatest(m.principal, 0), 0)
             WHEN 'gift_first' THEN least(a.amount, m.gift) ELSE a.gift END FROM crm_member.stored_value_setting s)
             AND a.amount <= greatest(m.principal, 0) + m.gift
           OR EXISTS (SELECT FROM crm_member.stored_value_setting s WHERE s.spending = 'pro_rata' AND m.principal > 0
             AND abs(a.gift - least(a.amount, m.principal + m.gift) * m.gift / (m.principal + m.gift)) > 0.01) THEN
          fault := format('%s takes %s of %s and %s of %s', call, a.principal, m.principal, a.gift, m.gift);
        END IF;
      WHEN 'return', 'capture' THEN
        IF act = 'return' THEN
          UPDATE model SET principal = principal + a.principal, gift = gift + a.gift WHERE member_id = m.member_id;
        ELSE
          INSERT INTO payment (member_id, ref, kind, principal, gift) VALUES (m.member_id, a.ref, act, a.principal, a.gift);
          IF call LIKE '%release_rest => t%' THEN
            UPDATE model SET principal = principal + p.principal - p.done_principal - a.principal,
                             gift = gift + p.gift - (p.done - p.done_principal) - a.gift WHERE member_id = m.member_id;
          END IF;
        END IF;
        UPDATE payment SET done = CASE WHEN call LIKE '%release_rest => t%' THEN principal + gift ELSE done + a.amount END,
                           done_principal = CASE WHEN call LIKE '%release_rest => t%' THEN principal ELSE done_principal + a.principal END
         WHERE member_id = m.member_id AND ref = p.ref;
        IF p.done + a.amount > p.principal + p.gift OR p.done_principal + a.principal > p.principal
           OR p.done - p.done_principal + a.gift > p.gift
           OR p.done + a.amount = p.principal + p.gift AND p.done_principal + a.principal <> p.principal THEN
          fault := format('%s of %s and %s after %s and %s', call, p.principal, p.gift, p.done_principal, p.done - p.done_principal);
        END IF;
      WHEN 'void' THEN
        UPDATE model SET principal = principal + p.principal - p.done_principal, gift = gift + p.gift - (p.done - p.done_principal) WHERE member_id = m.member_id;
        UPDATE payment SET done = principal + gift, done_principal = principal WHERE member_id = m.member_id AND ref = p.ref;
      ELSE
        UPDATE model SET principal = 0, gift = 0 WHERE member_id = m.member_id;
        IF answer <> m.principal THEN
          fault := format('%s pays out %s of %s', call, answer, m.principal);
        END IF;
    END CASE;
    SELECT * INTO m FROM model y WHERE y.member_id = m.member_id;
    IF fault IS NULL AND (a.balance <> m.principal + m.gift OR act <> 'close' AND answer <> a.balance OR m.gift < 0) THEN
      fault := format('%s leaves %s, not %s and %s', call, a.balance, m.principal, m.gift);
    END IF;
    EXIT WHEN fault IS NOT NULL;
  END LOOP;
  SELECT count(DISTINCT s.kind) INTO kinds FROM crm_member.stored_value_act s;
END
$$;

-- for another run: SET crm_test.seed = ..., crm_test.acts = ... before
SELECT setseed(coalesce(nullif(current_setting('crm_test.seed', true), '')::float8, 0.2718)) IS NULL AS seeded;
SELECT acted > refused AS mostly_done, refused > 0 AS some_refused, kinds, fault
FROM pg_temp.try_out(coalesce(nullif(current_setting('crm_test.acts', true), '')::int, 1500));

-- the accounts, the balances and the journal say what the model says
SELECT m.*, a.principal, a.gift, a.held FROM model m LEFT JOIN crm_member.stored_value_account a USING (member_id)
WHERE (m.principal, m.gift, (SELECT coalesce(sum(p.principal + p.gift - p.done), 0) FROM payment p WHERE p.member_id = m.member_id AND p.kind = 'authorise'))
  IS DISTINCT FROM (coalesce(a.principal, 0), coalesce(a.gift, 0), coalesce(a.held, 0))
   OR crm_member.stored_value_balance(m.member_id, '2036-01-01') <> m.principal + m.gift
   OR crm_member.points_balance(m.member_id, 'stored_value_gift', '2036-01-01') <> m.gift;
SELECT part, l.available - l.debt - m.available AS difference
FROM crm_member.stored_value_liability l
JOIN (SELECT 'principal' AS part, sum(principal) AS available FROM model UNION ALL SELECT 'gift', sum(gift) FROM model) m USING (part) ORDER BY 1;
SELECT * FROM crm_member.verify_ledger();
