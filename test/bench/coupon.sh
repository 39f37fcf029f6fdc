#!/usr/bin/env bash
# Coupons beside plain SQL, in one run.
#   coupon.sh [CODES [SECONDS]]      default 5000000 codes, 4 seconds of each load
# Connects by PGHOST, PGPORT and PGUSER and makes the database bench_coupon, which
# it drops at the end.
set -euo pipefail
codes=${1:-5000000} seconds=${2:-4}
export PGDATABASE=bench_coupon PGOPTIONS='-c client_min_messages=warning'
run()   { psql -X -q -v ON_ERROR_STOP=1 "$@"; }
row()   { printf '%-58s %12s %12s %8s\n' "$@"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2fx", a / b}'; }
seconds_of() { run -c '\timing on' "$@" | awk '/^Time:/ {t += $2} END {printf "%.2f", t / 1000}'; }
tps() { pgbench -n -M prepared -j 2 -T "$seconds" "$@" 2>/dev/null | awk '/^tps/ {printf "%.0f", $3}'; }

psql -X -q -d postgres -c 'DROP DATABASE IF EXISTS bench_coupon' -c "CREATE DATABASE bench_coupon TEMPLATE template0 ENCODING 'UTF8'"
work=$(mktemp -d)
trap 'rm -rf "$work"; [ -n "${KEEP:-}" ] || psql -X -q -d postgres -c "DROP DATABASE IF EXISTS bench_coupon"' EXIT

run <<'SQL'
CREATE EXTENSION crm_member;
CALL crm_member.setup();
INSERT INTO crm_member.coupon_template (template_code, kind, value) VALUES ('BULK', 'amount', 10), ('SMALL', 'amount', 10), ('PLAIN', 'amount', 10);
INSERT INTO crm_member.coupon_template (template_code, kind, value, uses, total_limit) VALUES ('HOT', 'amount', 10, 1, 1000000000);
SQL

row '' 'plain SQL' 'ours' 'ratio'
plain=$(seconds_of -c "CREATE TABLE plain_code (code text COLLATE \"C\" NOT NULL, template_code text NOT NULL)" \
  -c "INSERT INTO plain_code SELECT encode(substr(uuid_send(gen_random_uuid()), 1, 8), 'hex'), 'BULK' FROM generate_series(1, $codes)" \
  -c 'ALTER TABLE plain_code ADD UNIQUE (code)')
run -c 'DROP TABLE plain_code'
ours=$(seconds_of -c "SELECT crm_member.generate_coupons('BULK', $codes)")
row "generate $codes codes, indexed, seconds" "$plain" "$ours" "$(ratio "$plain" "$ours")"
row '  100,000 more' '' "$(seconds_of -c "SELECT crm_member.generate_coupons('SMALL', 100000)")" ''

run <<'SQL' >/dev/null
SELECT crm_member.generate_coupons('PLAIN', 300000), crm_member.generate_coupons('HOT', 300000);
CREATE TABLE code_no AS SELECT row_number() OVER (PARTITION BY template_code ORDER BY code) AS n, template_code, code
FROM crm_member.coupon WHERE template_code IN ('PLAIN', 'HOT');
ALTER TABLE code_no ADD PRIMARY KEY (template_code, n);
CREATE SEQUENCE plain_no;
CREATE SEQUENCE hot_no;
CREATE TABLE counter (shard int PRIMARY KEY, left_over bigint) WITH (fillfactor = 20);
INSERT INTO counter SELECT i, 1000000000 FROM generate_series(0, 15) i;
-- the rows that a redemption writes, and nothing else
CREATE FUNCTION bare(c crm_member.coupon_code, n bigint, sharded boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  s int := floor(random() * 16);
BEGIN
  UPDATE crm_member.coupon SET uses = uses + 1, status = 'used', held_until = NULL, held_by = NULL WHERE code OPERATOR(crm_member.=) c;
  IF sharded THEN
    UPDATE counter SET left_over = left_over - 1 WHERE shard = s AND left_over > 0;
  END IF;
  INSERT INTO crm_member.coupon_use (member_id, use_id, position, use_no, used_at, code, template_code, discount, shipping, line_nos, line_discounts, ref, digest)
  VALUES (0, crm_member.new_id(), 1, 1, now(), c, 'PLAIN', 10, 0, '{1}', '{10.00}', sharded || ' ' || n, n);
END
$$;
VACUUM (FREEZE, ANALYZE);
CHECKPOINT;
SQL
sale='{"lines": [{"price": 100}]}'
pick() { echo "nextval('$1') i (n), LATERAL (SELECT code FROM code_no WHERE template_code = '$2' AND code_no.n = i.n) c"; }

echo "\\set n random(1, 300000)
SELECT c.code, c.status FROM code_no n JOIN crm_member.coupon c ON c.code OPERATOR(crm_member.=) n.code WHERE n.template_code = 'PLAIN' AND n.n = :n" >"$work/read"
echo "\\set n random(200000, 300000)
SELECT valid FROM code_no n, crm_member.validate_coupon(n.code, '$sale') WHERE n.template_code = 'PLAIN' AND n.n = :n" >"$work/validate"
echo "SELECT bare(c.code, i.n, false) FROM $(pick plain_no PLAIN)" >"$work/bare"
echo "SELECT crm_member.redeem_coupon(c.code, '$sale', 'r' || i.n) FROM $(pick plain_no PLAIN)" >"$work/redeem"
echo "SELECT bare(c.code, i.n, true) FROM $(pick hot_no HOT)" >"$work/sharded"
echo "SELECT crm_member.redeem_coupon(c.code, '$sale', 'h' || i.n) FROM $(pick hot_no HOT)" >"$work/hot"

echo
row 'transactions a second' 'plain SQL' 'ours' 'ratio'
plain=$(tps -c 4 -f "$work/read")
ours=$(tps -c 4 -f "$work/validate")
row 'validate, beside a read by code, 4 clients' "$plain" "$ours" "$(ratio "$ours" "$plain")"
for clients in 4 16 64; do
  plain=$(tps -c $clients -f "$work/bare")
  ours=$(tps -c $clients -f "$work/redeem")
  row "redeem, beside the bare rows, $clients clients" "$plain" "$ours" "$(ratio "$ours" "$plain")"
  bare=$plain
  plain=$(tps -c $clients -f "$work/sharded")
  ours=$(tps -c $clients -f "$work/hot")
  row "  with a limit, beside a counter in 16 rows" "$plain" "$ours" "$(ratio "$ours" "$plain")"
  row '  with a limit, beside the bare rows without' "$bare" "$ours" "$(ratio "$ours" "$bare")"
done

run <<'SQL' >/dev/null
DELETE FROM crm_member.coupon_template;
SELECT setseed(0.5);
INSERT INTO crm_member.coupon_template (template_code, kind, value, target, eligible, min_spend, min_basis, stack_group, priority, uses, max_discount)
SELECT 'T' || to_char(i, 'FM00'), CASE WHEN i % 3 = 0 THEN 'percent' ELSE 'amount' END, CASE WHEN i % 3 = 0 THEN 5 + i ELSE 3 + i * 2 END,
       (ARRAY['order', 'line', 'order', 'cheapest', 'order'])[1 + i % 5], CASE WHEN i % 2 = 0 THEN format('line.category = %L', 'c' || i % 4)::crm_member.condition END,
       50 + i * 20, CASE WHEN i % 2 = 0 THEN 'after' ELSE 'before' END, CASE WHEN i % 4 = 0 THEN 'g' || i % 8 END, i % 3, NULL, CASE WHEN i % 3 = 0 THEN 40 END
FROM generate_series(1, 15) i;
SELECT count(crm_member.import_coupon(template_code, template_code)) FROM crm_member.coupon_template;
CREATE TABLE cart AS SELECT jsonb_build_object('coupons', (SELECT jsonb_agg(template_code) FROM crm_member.coupon_template),
  'lines', (SELECT jsonb_agg(jsonb_build_object('price', round((1 + random() * 30)::numeric, 2), 'quantity', 1 + i % 3, 'category', 'c' || i % 4)) FROM generate_series(1, 50) i)) AS sale;
SQL
echo 'SELECT proven FROM cart, crm_member.best_coupons(sale)' >"$work/best"
echo
row 'best of 15 coupons for 50 lines, milliseconds' '' "$(tps -c 1 -f "$work/best" | awk '{printf "%.2f", 1000 / $1}')" ''
