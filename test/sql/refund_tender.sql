--
-- Sales paid with points and stored value, and taken back.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/utc.sql
SELECT register_member(source => 'test', external_id => '1') AS one \gset
INSERT INTO points_rule (rule_code, award, points, scope) VALUES ('base', 'per_amount', 1, 'line');
UPDATE points_type SET money_value = 0.01, tender_share = 50, tender_multiple = 100 WHERE points_type = 'points';
SELECT award_points(:one, 3000, 'a', 'a1', at => '2026-01-01');
SELECT top_up_stored_value(:one, 100, 'cash', 't1', gift => 20, at => '2026-01-01');
CREATE FUNCTION sale(ref text, buyer bigint, points numeric, value numeric) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('ref', ref, 'member_id', buyer, 'sold_at', '2026-05-01T10:00Z', 'points', points, 'stored_value', value, 'shipping', 5,
    'lines', '[{"line_no":1,"price":10,"quantity":3,"discount":3},{"line_no":2,"price":7.77,"quantity":1}]'::jsonb)
$$;

-- what points pay earns nothing, what stored value pays does; quote() says the same and spends nothing
SELECT jsonb_pretty(quote(sale('Q', :one, 1000, 20)) - '{sale_id,member_id,coupons}'::text[]);
SELECT points_balance(:one), stored_value_balance(:one);
SELECT (quote(sale('S1', :one, 1000, 20)) - '{sale_id,points}'::text[]) = (checkout(sale('S1', :one, 1000, 20)) - '{sale_id,points}'::text[]) AS same;
SELECT checkout(sale('S1', :one, 1000, 20)) #>> '{points,spent}' AS spent_once;
SELECT points_balance(:one), stored_value_balance(:one);
SELECT line_no, amount, discount, points_paid FROM sale_line ORDER BY 1;
SELECT tender, points_type, points, amount FROM sale_tender ORDER BY 1;

-- taken back in parts: points, stored value and money in proportion, to exactly nothing
CREATE FUNCTION brief(answer jsonb) RETURNS TABLE (payable text, points_value text, stored_value text, money text, given text, taken text)
LANGUAGE sql AS $$
  SELECT answer ->> 'payable', answer ->> 'points_value', answer ->> 'stored_value', answer ->> 'money', answer #>> '{points,given_back}', answer #>> '{points,taken_back}'
$$;
SELECT * FROM brief(refund('{"ref":"R1","sale_ref":"S1","lines":[{"line_no":2,"quantity":0.5}]}'));
SELECT * FROM brief(refund('{"ref":"R2","sale_ref":"S1","lines":[{"line_no":1,"quantity":1}]}'));
SELECT * FROM brief(refund('{"ref":"R2","sale_ref":"S1","lines":[{"line_no":1,"quantity":1}]}'));
SELECT * FROM brief(refund('{"ref":"R3","sale_ref":"S1"}'));
SELECT sum(payable) AS payable, sum(points_value) AS points_value, sum(stored_value) AS stored_value, sum(money) AS money FROM refund;
SELECT points_balance(:one), stored_value_balance(:one), points_balance(:one, 'stored_value') AS principal;
SELECT kind, ref IS NOT NULL AS referred, amount, principal, gift FROM stored_value_act ORDER BY kind, amount;

-- all of it with points and stored value
UPDATE points_type SET tender_share = 100, tender_multiple = NULL WHERE points_type = 'points';
SELECT checkout(sale('S2', :one, 1000, 29.77)) ->> 'money' AS money;
SELECT * FROM brief(refund('{"ref":"R4","sale_ref":"S2","lines":[{"line_no":1,"quantity":1}]}'));
SELECT * FROM brief(refund('{"ref":"R5","sale_ref":"S2"}'));
SELECT points_balance(:one), stored_value_balance(:one);
-- more than the lines cost goes to shipping
SELECT checkout(sale('S3', :one, 1600, 0) || '{"lines":[{"price":12,"quantity":1}]}') #>> '{points,value}' AS value;
SELECT points_paid FROM sale_line JOIN sale USING (member_id, sale_id) WHERE ref = 'S3';

-- refused: nothing is written
\set VERBOSITY sqlstate
SELECT checkout(sale('S4', :one, 3978, 0));
SELECT checkout(sale('S4', :one, 0.5, 0));
SELECT checkout(sale('S4', :one, -1, 0));
SELECT checkout(sale('S4', :one, 1000, 29.78));
SELECT checkout(sale('S4', :one, 2000, 0));
SELECT checkout(sale('S4', NULL, 100, 0));
SELECT checkout(sale('S4', NULL, 0, 1));
SELECT quote(sale('S4', :one, 2000, 0));
SELECT spend_stored_value(:one, 100, 's', 's1');
SELECT checkout(sale('S4', :one, 0, 20.01));
SELECT quote(sale('S4', :one, 0, 20.01));
UPDATE points_type SET tender_multiple = 100 WHERE points_type = 'points';
SELECT checkout(sale('S4', :one, 150, 0));
UPDATE points_type SET tender_share = 10 WHERE points_type = 'points';
SELECT checkout(sale('S4', :one, 400, 0));
UPDATE points_type SET money_value = NULL WHERE points_type = 'points';
SELECT checkout(sale('S4', :one, 100, 0));
\set VERBOSITY default
SELECT count(*) FROM sale_ref WHERE ref = 'S4';

-- quote() foretells checkout() also of a sale that comes late, which finds what later acts have left
UPDATE points_type SET money_value = 0.01, tender_share = 100, tender_multiple = NULL WHERE points_type = 'points';
SELECT register_member(source => 'test', external_id => '2') AS two \gset
SELECT award_points(:two, 1000, 'a', 'a1', at => '2026-01-01');
SELECT spend_points(:two, 800, 's', 's1', at => '2026-06-01');
SELECT quote(sale('S5', :two, 300, 0));
SELECT checkout(sale('S5', :two, 300, 0));
SELECT reverse_points('s1', at => '2026-06-02', member_id => :two);
SELECT quote(sale('S5', :two, 900, 0)) #>> '{points,spent}' AS spent;
SELECT checkout(sale('S5', :two, 900, 0)) #>> '{points,spent}' AS spent;
-- and one after an authorisation has timed out
SELECT top_up_stored_value(:two, 20, 'cash', 't1', gift => 5, at => '2026-01-01');
SELECT authorise_stored_value(:two, 24, 'cart', 'h1', expires_at => '2026-04-30', at => '2026-04-01');
SELECT quote(sale('S6', :two, 0, 25)) #>> '{stored_value,spent}' AS spent;
SELECT checkout(sale('S6', :two, 0, 25)) #>> '{stored_value,spent}' AS spent;
SELECT * FROM verify_ledger();
