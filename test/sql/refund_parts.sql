--
-- Refunds: any order and number of parts ends at exactly zero.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/utc.sql
SELECT register_member(source => 'test', external_id => '1') AS one \gset
INSERT INTO points_rule (rule_code, award, points, scope) VALUES ('lines', 'per_amount', 1.5, 'line');
INSERT INTO points_rule (rule_code, award, points) VALUES ('visit', 'fixed', 10);
CREATE FUNCTION brief(answer jsonb) RETURNS TABLE (amount text, discount text, shipping text, money text, complete text, lines text, points text)
LANGUAGE sql AS $$
  SELECT answer ->> 'amount', answer ->> 'discount', answer ->> 'shipping', answer ->> 'money', answer ->> 'complete',
         (SELECT string_agg(format('%s: %s for %s, %s points', l ->> 'line_no', l ->> 'quantity', l ->> 'payable', l ->> 'points'), '; ')
          FROM jsonb_array_elements(answer -> 'lines') l),
         (SELECT string_agg(format('%s taken, %s short, balance %s', p ->> 'taken_back', p ->> 'shortfall', p ->> 'balance'), '; ')
          FROM jsonb_array_elements(answer -> 'points' -> 'types') p)
$$;
CREATE FUNCTION sale(ref text, buyer bigint) RETURNS jsonb LANGUAGE sql AS $$
  SELECT checkout(jsonb_build_object('ref', ref, 'source', 'till', 'member_id', buyer, 'sold_at', '2026-05-01T10:00Z', 'shipping', 5, 'lines',
    '[{"line_no":1,"price":10.01,"quantity":3,"discount":1}, {"line_no":2,"price":7,"quantity":1,"discount":3.33}, {"line_no":3,"price":2.5,"quantity":2.5}]'::jsonb))
$$;

-- shares of one sale, one refund after the other
SELECT jsonb_path_query_array(sale('S1', :one), '$.lines[*].points') AS points;
SELECT * FROM brief(refund('{"ref":"R1","source":"till","sale_ref":"S1","refunded_at":"2026-05-02T10:00Z","lines":[{"line_no":1,"quantity":1}]}'));
SELECT * FROM brief(refund('{"ref":"R1","source":"till","sale_ref":"S1","refunded_at":"2026-05-02T10:00Z","lines":[{"line_no":1,"quantity":1}]}'));
SELECT * FROM brief(refund('{"ref":"R2","source":"till","sale_ref":"S1","refunded_at":"2026-05-02T10:00Z","lines":[{"line_no":3,"quantity":0.7},{"line_no":1,"quantity":1}]}'));
SELECT * FROM brief(refund('{"ref":"R3","source":"till","sale_ref":"S1","refunded_at":"2026-05-02T10:00Z","lines":[{"line_no":3}],"shipping":1.5}'));
SELECT * FROM brief(refund('{"ref":"R4","source":"web","sale_source":"till","sale_ref":"S1","refunded_at":"2026-05-02T10:00Z"}'));
SELECT sum(amount) AS amount, sum(discount) AS discount, sum(shipping) AS shipping, sum(money) AS money FROM refund;
SELECT amount, discount, shipping, payable FROM sale;
SELECT line_no, count(*), sum(quantity), sum(amount), sum(discount) FROM refund_line GROUP BY 1 ORDER BY 1;
SELECT points_balance(:one, as_of => '2026-05-03');

-- every order of three lines, in six sales: nothing is left of any
DO $$
DECLARE
  lines int[];
  one CONSTANT bigint := crm_member.member_id('external:test', '1');
  n int := 0;
BEGIN
  FOR lines IN
    SELECT ARRAY[a, b, c] FROM generate_series(1, 3) a, generate_series(1, 3) b, generate_series(1, 3) c
    WHERE a <> b AND b <> c AND a <> c ORDER BY 1
  LOOP
    n := n + 1;
    PERFORM sale('P' || n, one);
    FOR i IN 1 .. 3 LOOP
      -- a third of the units, then the rest
      PERFORM crm_member.refund(jsonb_build_object('ref', format('P%s-%s-1', n, i), 'source', 'till', 'sale_ref', 'P' || n,
        'lines', jsonb_build_array(jsonb_build_object('line_no', lines[i], 'quantity',
          (SELECT round(quantity / 3, 2) FROM crm_member.sale_line l JOIN crm_member.sale s USING (member_id, sale_id)
           WHERE s.ref = 'P' || n AND l.line_no = lines[i])))));
    END LOOP;
    FOR i IN 1 .. 3 LOOP
      PERFORM crm_member.refund(jsonb_build_object('ref', format('P%s-%s-2', n, i), 'source', 'till', 'sale_ref', 'P' || n,
        'lines', jsonb_build_array(jsonb_build_object('line_no', lines[i]))));
    END LOOP;
  END LOOP;
END
$$;
SELECT s.ref, s.payable - sum(r.payable) AS payable_left, s.amount - sum(r.amount) AS amount_left,
       s.discount - sum(r.discount) AS discount_left, min(r.money) >= 0 AS never_negative, bool_or(r.complete) AS complete,
       (SELECT sum(e.points) FROM points_entry e WHERE e.sale_id = s.sale_id) AS points_left
FROM sale s JOIN refund r USING (member_id, sale_id) WHERE s.ref LIKE 'P%' GROUP BY s.member_id, s.sale_id ORDER BY 1;
SELECT points_balance(:one);

-- a guest's sale, and one that came as rows
SELECT checkout('{"ref":"G1","source":"till","lines":[{"price":9.99,"quantity":3}]}') ->> 'payable' AS payable;
SELECT * FROM brief(refund('{"ref":"RG1","source":"till","sale_ref":"G1","lines":[{"line_no":1,"quantity":2}]}'));
INSERT INTO sale (member_id, sale_id, source, ref, sold_at) VALUES (:one, 1, 'till', 'B1', '2026-05-01');
\set VERBOSITY sqlstate
SELECT refund('{"ref":"RB1","source":"till","sale_ref":"B1"}');
\set VERBOSITY default
INSERT INTO sale_line (member_id, sale_id, line_no, quantity, price) VALUES (:one, 1, 7, 2, 3.33);
SELECT * FROM brief(refund('{"ref":"RB1","source":"till","sale_ref":"B1","refunded_at":"2026-05-02T10:00Z"}'));

-- points that are spent already: kept back in money, if the points type says so
UPDATE points_type SET deficit = 'charge', money_value = 0.02 WHERE points_type = 'points';
SELECT sale('C1', :one) ->> 'payable' AS payable;
SELECT spend_points(:one, 60, 's', 's1', at => '2026-05-01 11:00');
SELECT * FROM brief(refund('{"ref":"RC1","source":"till","sale_ref":"C1","refunded_at":"2026-05-02T10:00Z"}'));
SELECT payable, charged, money FROM refund WHERE ref = 'RC1';
UPDATE points_type SET deficit = 'refuse' WHERE points_type = 'points';
SELECT sale('C2', :one) ->> 'payable' AS payable;
SELECT spend_points(:one, 60, 's', 's2', at => '2026-05-01 11:00');
\set VERBOSITY sqlstate
SELECT refund('{"ref":"RC2","source":"till","sale_ref":"C2"}');
SELECT count(*) FROM refund_ref WHERE ref = 'RC2';

-- refused
SELECT refund('{"ref":"R1","source":"till","sale_ref":"S1","lines":[{"line_no":1,"quantity":2}]}');
SELECT refund('{"ref":"R9","source":"till","sale_ref":"S1"}');
SELECT refund('{"ref":"R9","source":"till","sale_ref":"G1","lines":[{"line_no":1,"quantity":1.000001}]}');
SELECT refund('{"ref":"R9","source":"till","sale_ref":"G1","lines":[{"line_no":2}]}');
SELECT refund('{"ref":"R9","source":"till","sale_ref":"G1","shipping":0.01}');
SELECT refund('{"ref":"R9","source":"till","sale_ref":"G1","lines":[{"line_no":1,"quantity":0}]}');
SELECT refund('{"ref":"R9","source":"till","sale_ref":"none"}');
SELECT refund('{"ref":"R9","source":"other","sale_ref":"G1"}');
SELECT refund('{"source":"till","sale_ref":"G1"}');
SELECT refund('{"ref":"R9","source":"till"}');
SELECT refund('{"ref":"R9","source":"till","sale_ref":"G1","line":[]}');
SELECT refund('{"ref":"R9","source":"till","sale_ref":"G1","lines":[{"line_no":1,"quantity":1,"price":2}]}');
SELECT refund('{"ref":"R9","source":"till","sale_ref":"G1","lines":[{"quantity":1}]}');
SELECT refund('{"ref":"R9","source":"till","sale_ref":"G1","lines":[{"line_no":1,"quantity":-1}]}');
SELECT refund('{"ref":"R9","source":"till","sale_ref":"G1","lines":[{"line_no":1},{"line_no":1}]}');
SELECT refund('{"ref":"R9","source":"till","sale_ref":"G1","lines":[{"line_no":1,"quantity":1e12}]}');
SELECT refund('[]');
SELECT refund(NULL) IS NULL AS nothing;
UPDATE refund SET money = 0;
DELETE FROM refund_line;
\set VERBOSITY default
SELECT * FROM verify_ledger();
