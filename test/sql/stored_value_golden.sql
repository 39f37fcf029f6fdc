--
-- Stored value: cases computed by hand.
--
-- A case has settings, policies and acts, one after the other: t amount [gift] top
-- up, s amount spend, a amount authorise, c amount capture of the last
-- authorisation (C: and give up the rest), v void it, r amount give back of the
-- last payment (0: the rest), x close. Expected is principal and gift after each
-- act that can be spent, or the SQLSTATE of its refusal.
--
\getenv tests PG_ABS_SRCDIR
\set zone 'UTC'
\i :tests/sql/include/business.sql

CREATE FUNCTION pg_temp.live(a_setting text, policies text, acts text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  one bigint := crm_member.register_member(source => 'test', external_id => '1');
  at CONSTANT timestamptz := '2026-01-01';
  act text;
  word text[];
  amount numeric;
  payment text;
  held text;
  said text := '';
  n int := 0;
BEGIN
  EXECUTE 'UPDATE crm_member.stored_value_setting SET ' || coalesce(nullif(a_setting, ''), 'spending = spending');
  IF policies <> '' THEN
    EXECUTE 'INSERT INTO crm_member.stored_value_policy (policy_code, basis, reach, gift, repeats) VALUES ' || policies;
  END IF;
  FOREACH act IN ARRAY string_to_array(acts, ', ') LOOP
    n := n + 1;
    word := string_to_array(act, ' ');
    amount := nullif(word[2], '0')::numeric;
    BEGIN
      CASE word[1]
        WHEN 't' THEN PERFORM crm_member.top_up_stored_value(one, amount, NULL, n::text, gift => word[3]::numeric, at => at);
        WHEN 's' THEN PERFORM crm_member.spend_stored_value(one, amount, NULL, n::text, at => at); payment := n;
        WHEN 'a' THEN PERFORM crm_member.authorise_stored_value(one, amount, NULL, n::text, at => at); held := n;
        WHEN 'c', 'C' THEN PERFORM crm_member.capture_stored_value(one, held, amount, capture_ref => n::text, release_rest => word[1] = 'C', at => at); payment := n;
        WHEN 'v' THEN PERFORM crm_member.void_stored_value(one, held, void_ref => n::text, at => at);
        WHEN 'r' THEN PERFORM crm_member.return_stored_value(one, payment, amount, return_ref => n::text, at => at);
        WHEN 'x' THEN PERFORM crm_member.close_stored_value(one, NULL, n::text, at => at);
      END CASE;
      said := said || concat_ws(' ', CASE WHEN n > 1 THEN ',' END, crm_member.points_balance(one, 'stored_value', at), crm_member.points_balance(one, 'stored_value_gift', at));
    EXCEPTION WHEN OTHERS THEN
      said := said || concat_ws(' ', CASE WHEN n > 1 THEN ',' END, SQLSTATE);
    END;
  END LOOP;
  RAISE EXCEPTION USING ERRCODE = 'TTTTT', MESSAGE = replace(said, ' ,', ',');
EXCEPTION WHEN SQLSTATE 'TTTTT' THEN
  RETURN SQLERRM;
END
$$;

CREATE TEMP TABLE golden (n int GENERATED ALWAYS AS IDENTITY, title text, setting text, policies text, acts text, expected text);

-- pro rata: of 100 and 20, five of six parts are principal
INSERT INTO golden (title, setting, policies, acts, expected) VALUES
('12 is 10 and 2', '', '', 't 100 20, s 12', '100.00 20.00, 90.00 18.00'),
('8.21 against 8.21 is enough', '', '', 't 8.21, s 8.21, s 0.01', '8.21 0.00, 0.00 0.00, RM701'),
('so it is in two parts', '', '', 't 8.21, t 0.79 0, s 9', '8.21 0.00, 9.00 0.00, 0.00 0.00'),
('a cent is 0.0083 and 0.0017: principal', '', '', 't 100 20, s 0.01', '100.00 20.00, 99.99 20.00'),
('10 is 8.333 and 1.667: the cent to the gift', '', '', 't 100 20, s 10', '100.00 20.00, 91.67 18.33'),
('as they stand, not as they were paid in: 20 of 30 and 20 is 12 and 8', '', '', 't 30 0, t 0.01 20, s 0.01, s 20', '30.00 0.00, 30.01 20.00, 30.00 20.00, 18.00 12.00'),
('all of it', '', '', 't 100 20, s 120', '100.00 20.00, 0.00 0.00'),
('a cent too much', '', '', 't 100 20, s 120.01', '100.00 20.00, RM701'),
('principal first', $$spending = 'principal_first'$$, '', 't 100 20, s 90, s 15, s 15', '100.00 20.00, 10.00 20.00, 0.00 15.00, 0.00 0.00'),
('gift first', $$spending = 'gift_first'$$, '', 't 100 20, s 15, s 15, s 90', '100.00 20.00, 100.00 5.00, 90.00 0.00, 0.00 0.00');

-- given back as it was taken, whatever there is by then; the principal's part is rounded down until the end
INSERT INTO golden (title, setting, policies, acts, expected) VALUES
('half of 10 and 2', '', '', 't 100 20, s 12, r 6, r 0', '100.00 20.00, 90.00 18.00, 95.00 19.00, 100.00 20.00'),
('8.33 and 1.67 in three: 2.77, 5.55, 8.33', '', '', 't 100 20, s 10, r 3.33, r 3.34, r 0', '100.00 20.00, 91.67 18.33, 94.44 18.89, 97.22 19.45, 100.00 20.00'),
('after principal was paid in alone', '', '', 't 100 20, s 12, t 1000 0, r 0', '100.00 20.00, 90.00 18.00, 1090.00 18.00, 1100.00 20.00'),
('more than was spent', '', '', 't 100 20, s 12, r 12.01', '100.00 20.00, 90.00 18.00, RM703'),
('more than is left of it', '', '', 't 100 20, s 12, r 7, r 6', '100.00 20.00, 90.00 18.00, 95.83 19.17, RM703'),
('nothing is left of it', '', '', 't 100 20, s 12, r 0, r 0', '100.00 20.00, 90.00 18.00, 100.00 20.00, RM703');

-- authorise, capture, void
INSERT INTO golden (title, setting, policies, acts, expected) VALUES
('captured whole', '', '', 't 100 20, a 60, c 0', '100.00 20.00, 50.00 10.00, 50.00 10.00'),
('captured in part, the rest given up', '', '', 't 100 20, a 60, C 30', '100.00 20.00, 50.00 10.00, 75.00 15.00'),
('captured in parts, then voided', '', '', 't 100 20, a 60, c 12, c 12, v', '100.00 20.00, 50.00 10.00, 50.00 10.00, 50.00 10.00, 80.00 16.00'),
('no more than it holds', '', '', 't 100 20, a 60, c 50, c 10.01, c 10, c 0.01', '100.00 20.00, 50.00 10.00, 50.00 10.00, RM703, 50.00 10.00, RM703'),
('nothing after a void', '', '', 't 100 20, a 60, v, c 0', '100.00 20.00, 50.00 10.00, 100.00 20.00, RM703'),
('a void twice', '', '', 't 100 20, a 60, v, v', '100.00 20.00, 50.00 10.00, 100.00 20.00, 100.00 20.00'),
('what is held is not spent', '', '', 't 100 20, a 60, s 60.01, s 60', '100.00 20.00, 50.00 10.00, RM701, 0.00 0.00'),
('a capture is given back', '', '', 't 100 20, a 60, c 24, r 12, r 12.01', '100.00 20.00, 50.00 10.00, 50.00 10.00, 60.00 12.00, RM703');

-- a balance to keep, or an overdraft, which the principal bears and the next payment covers first
INSERT INTO golden (title, setting, policies, acts, expected) VALUES
('20 stay', 'min_balance = 20', '', 't 100, s 80.01, s 80, a 0.01', '100.00 0.00, RM701, 20.00 0.00, RM701'),
('30 below', 'overdraft = 30', '', 't 100 20, s 150.01, s 150, s 0.01, t 40 0', '100.00 20.00, RM701, -30.00 0.00, RM701, 10.00 0.00'),
('nothing is authorised below', 'overdraft = 30', '', 't 100, a 100.01, a 100', '100.00 0.00, RM701, 0.00 0.00'),
('what was overdrawn comes back', 'overdraft = 30', '', 't 10, s 30, r 0', '10.00 0.00, -20.00 0.00, 10.00 0.00');

-- closing pays out what is left of the principal; the gift's share is taken back
INSERT INTO golden (title, setting, policies, acts, expected) VALUES
('after 60 pro rata', '', '', 't 100 20, s 60, x, s 0.01', '100.00 20.00, 50.00 10.00, 0.00 0.00, RM701'),
('not while something is held', '', '', 't 100 20, a 60, x, v, x', '100.00 20.00, 50.00 10.00, RM704, 100.00 20.00, 0.00 0.00'),
('not while something is owed', 'overdraft = 30', '', 't 10, s 30, x, t 20, x', '10.00 0.00, -20.00 0.00, RM704, 0.00 0.00, 0.00 0.00'),
('opened again', '', '', 't 100 20, x, t 50 0, s 50', '100.00 20.00, 0.00 0.00, 50.00 0.00, 0.00 0.00');

-- gifts by policy
INSERT INTO golden (title, setting, policies, acts, expected) VALUES
('the highest that is reached', '', $$('a', 'single', 100, 10, false), ('b', 'single', 500, 80, false)$$, 't 99.99, t 100, t 500', '99.99 0.00, 199.99 10.00, 699.99 90.00'),
('for each 100', '', $$('a', 'single', 100, 10, true)$$, 't 99.99, t 350, t 199.99', '99.99 0.00, 449.99 30.00, 649.98 40.00'),
('once, when the payments together reach it', '', $$('a', 'cumulative', 300, 25, false)$$, 't 299.99, t 0.01, t 300', '299.99 0.00, 300.00 25.00, 600.00 25.00'),
('for each 300 that they reach', '', $$('a', 'cumulative', 300, 25, true)$$, 't 299.99, t 0.01, t 650', '299.99 0.00, 300.00 25.00, 950.00 75.00'),
('of one payment and of all, both', '', $$('a', 'single', 100, 10, false), ('b', 'cumulative', 300, 25, false)$$, 't 200, t 100', '200.00 10.00, 300.00 45.00'),
('as said, not by policy', '', $$('a', 'single', 100, 10, false)$$, 't 100 0, t 100 3', '100.00 0.00, 200.00 3.00'),
('what is spent meanwhile does not count against it', '', $$('a', 'cumulative', 100, 9, false)$$, 't 60, s 60, t 40', '60.00 0.00, 0.00 0.00, 40.00 9.00');

SELECT n, title, expected, got
FROM (SELECT g.*, pg_temp.live(setting, policies, acts) AS got FROM golden g) g
WHERE got IS DISTINCT FROM expected ORDER BY n;
SELECT count(*) FROM golden;

-- paying by stored value leaves the tax as it is, a discount does not: 15 percent in 230 are 30, in 115 they are 15
CREATE FUNCTION pg_temp.tax(a_ref text) RETURNS numeric LANGUAGE sql AS $$
  SELECT sum(round((l.amount - l.discount) * l.tax_rate / (100 + l.tax_rate), 2)) FROM crm_member.sale_line l JOIN crm_member.sale s USING (member_id, sale_id) WHERE s.ref = a_ref $$;
SELECT crm_member.register_member(source => 'test', external_id => '1') AS one \gset
SELECT crm_member.top_up_stored_value(:one, 115, NULL, 't', at => '2026-01-01');
SELECT a ->> 'payable' AS payable, a ->> 'money' AS money
FROM crm_member.checkout(jsonb_build_object('ref', 'wallet', 'member_id', :one, 'stored_value', 115, 'lines', '[{"price": 230, "tax_rate": 15}]'::jsonb)) a;
SELECT pg_temp.tax('wallet') AS tax;
SELECT crm_member.checkout('{"ref": "discount", "lines": [{"price": 230, "discount": 115, "tax_rate": 15}]}') ->> 'payable' AS payable;
SELECT pg_temp.tax('discount') AS tax;
-- what is paid in with an order cannot pay for it: there is no such line, and a payment later than the sale is not there yet
\set VERBOSITY sqlstate
SELECT crm_member.top_up_stored_value(:one, 50, NULL, 'u', at => '2026-01-03');
SELECT crm_member.checkout(jsonb_build_object('ref', 'early', 'member_id', :one, 'sold_at', '2026-01-02', 'stored_value', 50, 'lines', '[{"price": 50}]'::jsonb));
UPDATE crm_member.stored_value_setting SET min_balance = 1, overdraft = 1;
SELECT * FROM crm_member.verify_ledger();
