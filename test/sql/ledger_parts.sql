--
-- A sale of three lines returned in every way there is: all orders, all splits.
-- Whatever the way, money, discounts, earned and spent points end at exactly zero.
--
\getenv tests PG_ABS_SRCDIR
\i :tests/sql/include/utc.sql
SET synchronous_commit = off;
UPDATE points_type SET money_value = 0.01;
INSERT INTO points_type (points_type, name, decimals) VALUES ('miles', 'Miles', 2);
INSERT INTO points_rule (rule_code, award, points, scope) VALUES ('lines', 'per_amount', 1.37, 'line');
INSERT INTO points_rule (rule_code, award, points, max_points) VALUES ('capped', 'per_amount', 3, 50), ('visit', 'fixed', 10, NULL), ('double', 'multiplier', 1.5, NULL);
INSERT INTO points_rule (rule_code, award, points, points_type) VALUES ('miles', 'per_amount', 0.333, 'miles');

-- every sequence of returns that adds up to 2, 1 and 2 units of the three lines
CREATE TABLE way AS
WITH RECURSIVE part AS (
  SELECT a, b, c FROM generate_series(0, 2) a, generate_series(0, 1) b, generate_series(0, 2) c WHERE a + b + c > 0
), walk AS (
  SELECT 2 AS a, 1 AS b, 2 AS c, '[]'::jsonb AS steps
  UNION ALL
  SELECT w.a - p.a, w.b - p.b, w.c - p.c, w.steps || jsonb_build_array(jsonb_build_array(p.a, p.b, p.c))
  FROM walk w JOIN part p ON p.a <= w.a AND p.b <= w.b AND p.c <= w.c
)
SELECT row_number() OVER (ORDER BY steps) AS n, steps FROM walk WHERE a + b + c = 0;
SELECT count(*) AS ways, max(jsonb_array_length(steps)) AS longest, count(*) FILTER (WHERE jsonb_array_length(steps) = 5) AS "one by one" FROM way;

INSERT INTO member (member_id) SELECT n FROM way;
SELECT count(award_points(n, 600, 'start', 'start', at => '2026-01-01', expires_at => '2099-01-01')) = (SELECT count(*) FROM way) AS all_started FROM way;
SELECT count(checkout(jsonb_build_object('ref', 'S' || n, 'member_id', n, 'sold_at', '2026-05-01', 'shipping', 4.99, 'points', 333, 'lines',
  '[{"line_no": 1, "price": 10.01, "quantity": 2, "discount": 1.01}, {"line_no": 2, "price": 7.77, "quantity": 1}, {"line_no": 3, "price": 3.33, "quantity": 2, "discount": 0.5}]'::jsonb))) = count(*) AS all_sold FROM way;
SELECT amount, discount, payable FROM sale GROUP BY 1, 2, 3;
SELECT points_type, kind, points, count(*) = (SELECT count(*) FROM way) AS "of each" FROM points_entry WHERE sale_id IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2;

DO $$
DECLARE
  w record;
  s record;
BEGIN
  FOR w IN SELECT n, steps FROM way ORDER BY n LOOP
    FOR s IN SELECT e.step, e.i, e.i = jsonb_array_length(w.steps) AS last FROM jsonb_array_elements(w.steps) WITH ORDINALITY AS e (step, i) ORDER BY e.i LOOP
      PERFORM crm_member.refund(jsonb_strip_nulls(jsonb_build_object('ref', format('R%s-%s', w.n, s.i), 'sale_ref', 'S' || w.n, 'refunded_at', '2026-05-02',
        'shipping', CASE WHEN s.last THEN 4.99 WHEN s.i = 1 THEN 0 END, 'lines',
        (SELECT jsonb_agg(jsonb_build_object('line_no', q.line_no, 'quantity', q.quantity::numeric))
         FROM jsonb_array_elements_text(s.step) WITH ORDINALITY AS q (quantity, line_no) WHERE q.quantity <> '0'))));
    END LOOP;
  END LOOP;
END
$$;

SELECT count(*) AS sales, bool_and(r.complete) AS complete, bool_and(r.amount = s.amount) AS amount, bool_and(r.discount = s.discount) AS discount, bool_and(r.payable = s.payable) AS payable, bool_and(r.money) AS "money never negative"
FROM sale s, LATERAL (SELECT bool_or(complete) AS complete, sum(amount) AS amount, sum(discount) AS discount, sum(payable) AS payable, bool_and(money >= 0) AS money
                      FROM refund r WHERE r.member_id = s.member_id AND r.sale_id = s.sale_id) r;
SELECT sum(r.money) - sum(p.paid) AS "money left"
FROM (SELECT s.member_id, s.payable - 3.33 AS paid FROM sale s) p JOIN (SELECT member_id, sum(money) AS money FROM refund GROUP BY 1) r USING (member_id);
SELECT count(*) FILTER (WHERE points <> 0) AS "points left"
FROM (SELECT member_id, points_type, sum(points) AS points FROM points_entry WHERE kind <> 'award' GROUP BY 1, 2) e;
SELECT points_type, min(balance), max(balance), max(debt) AS debt, min(points_balance(member_id, points_type)), max(points_balance(member_id, points_type)) FROM points_account GROUP BY 1 ORDER BY 1;
-- what was spent is in its lot again
SELECT count(*) FILTER (WHERE remaining <> 600) AS moved FROM points_lot WHERE expires_at < 'infinity';
SELECT * FROM verify_ledger();
