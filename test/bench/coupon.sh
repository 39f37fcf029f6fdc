#!/usr/bin/env bash
# Coupons beside plain SQL, in one run.
#   coupon.sh [CODES [SECONDS]]      default 5000000 codes, 2 seconds of each load, five times
# Connects by PGHOST, PGPORT and PGUSER and makes the database bench_coupon, which
# it drops at the end.
set -euo pipefail
codes=${1:-5000000} seconds=${2:-2}
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

# Codes that both sides can work out from a number, so that nothing is looked up but the coupon.
codes_each=1500000
run -v n=$codes_each <<'SQL' >/dev/null
CREATE FUNCTION code_of(n bigint) RETURNS crm_member.coupon_code LANGUAGE sql IMMUTABLE AS $$
  SELECT (n * 2796202666667 % 1125899906842624)::crm_member.coupon_code $$;
INSERT INTO crm_member.coupon (code, template_code)
SELECT code_of(n), CASE WHEN n <= :n THEN 'PLAIN' ELSE 'HOT' END FROM generate_series(1, 2 * :n) n ON CONFLICT DO NOTHING;
CREATE SEQUENCE plain_no;
CREATE SEQUENCE hot_no;
SELECT setval('hot_no', :n);
CREATE TABLE counter (shard int PRIMARY KEY, left_over bigint) WITH (fillfactor = 20);
INSERT INTO counter SELECT i, 1000000000 FROM generate_series(0, 15) i;
-- the rows that a redemption writes, and nothing else: in one call, as ours; with a limit the
-- hot row comes last, so that it is held as briefly as SQL can
CREATE FUNCTION bare(c crm_member.coupon_code, n bigint, sharded boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  s int := floor(random() * 16);
BEGIN
  UPDATE crm_member.coupon SET uses = uses + 1, status = 'used', held_until = NULL, held_by = NULL WHERE code OPERATOR(crm_member.=) c;
  INSERT INTO crm_member.coupon_use (member_id, use_id, position, use_no, used_at, code, template_code, discount, shipping, line_nos, line_discounts, ref, digest)
  VALUES (0, crm_member.new_id(), 1, 1, now(), c, 'PLAIN', 10, 0, '{1}', '{10.00}', sharded || ' ' || n, n);
  IF sharded THEN
    UPDATE counter SET left_over = left_over - 1 WHERE shard = s AND left_over > 0;
  END IF;
END
$$;
VACUUM (FREEZE, ANALYZE);
CHECKPOINT;
SQL
sync
sale='{"lines": [{"price": 100}]}'

echo "\\set n random(1, $codes_each)
\\set c :n * 2796202666667 % 1125899906842624
SELECT status FROM crm_member.coupon WHERE code OPERATOR(crm_member.=) :c::bigint::crm_member.coupon_code" >"$work/read"
echo "\\set n random($codes_each * 3 / 4, $codes_each)
\\set c :n * 2796202666667 % 1125899906842624
SELECT valid FROM crm_member.validate_coupon(:c::bigint::crm_member.coupon_code, '$sale')" >"$work/validate"
echo "SELECT bare(code_of(n), n, false) FROM nextval('plain_no') n" >"$work/bare"
echo "SELECT crm_member.redeem_coupon(code_of(n), '$sale', 'r' || n) FROM nextval('plain_no') n" >"$work/redeem"
echo "SELECT bare(code_of(n), n, true) FROM nextval('hot_no') n" >"$work/sharded"
echo "SELECT crm_member.redeem_coupon(code_of(n), '$sale', 'h' || n) FROM nextval('hot_no') n" >"$work/hot"

# Ours and the others in turns, five times: what else the machine and its disk do falls on all alike.
in_turns() {
  local clients=$1 name
  shift
  for name in "$@"; do : >"$work/$name.tps"; done
  for _ in 1 2 3 4 5; do
    for name in "$@"; do tps -c "$clients" -f "$work/$name" >>"$work/$name.tps"; echo >>"$work/$name.tps"; done
  done
}
of() { sort -n "$work/$1.tps" | sed -n 3p; } # the median
beside() { row "$1" "$(of "$2")" "$(of "$3")" "$(ratio "$(of "$3")" "$(of "$2")")"; }

echo
row 'transactions a second' 'plain SQL' 'ours' 'ratio'
in_turns 4 read validate
beside 'validate, beside a read by code, 4 clients' read validate
for clients in 4 16 64; do
  in_turns $clients bare redeem sharded hot
  beside "redeem, beside the bare rows, $clients clients" bare redeem
  beside '  with a limit, beside a counter in 16 rows' sharded hot
  beside '  with a limit, beside the bare rows without' bare hot
done
[ "$(run -At -c "SELECT sum(uses) = (SELECT count(*) FROM crm_member.coupon_use WHERE template_code = 'HOT') FROM crm_member.coupon_share WHERE template_code = 'HOT'")" = t ] ||
  { echo 'the limit was not counted exactly'; exit 1; }

# 300 sales of 50 lines, each with 15 of 200 coupons of all kinds
run <<'SQL' >/dev/null
DELETE FROM crm_member.coupon_template;
SELECT setseed(0.5);
CREATE FUNCTION one_of(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT choices[1 + floor(random() * cardinality(choices))::int] $$;
INSERT INTO crm_member.coupon_template (template_code, kind, value, target, eligible, buy_quantity, get_quantity, get_eligible, max_discount, max_units,
  min_spend, min_basis, priority, stack_group, exclusive, uses, percent_base)
SELECT 'T' || i, kind,
       CASE kind WHEN 'amount' THEN round((2 + random() * 30)::numeric, 2) WHEN 'percent' THEN round((3 + random() * 30)::numeric, 1)
                 WHEN 'fixed_price' THEN round((random() * 20)::numeric, 2) END,
       one_of('order', 'order', 'line', 'unit', 'cheapest', 'dearest'),
       CASE WHEN random() < 0.5 THEN format('line.category = %L', 'c' || floor(random() * 4))::crm_member.condition END,
       1 + floor(random() * 3), 1, CASE WHEN kind = 'gift' THEN format('line.category = %L', 'c' || floor(random() * 4))::crm_member.condition END,
       CASE WHEN random() < 0.4 THEN round((5 + random() * 60)::numeric, 2) END, CASE WHEN random() < 0.2 THEN 2 END,
       CASE WHEN random() < 0.6 THEN round((50 + random() * 400)::numeric, 2) END, one_of('before', 'after'), floor(random() * 3),
       CASE WHEN random() < 0.25 THEN one_of('g', 'h') END, CASE WHEN random() < 0.9 THEN 'no' ELSE one_of('priority', 'wins') END,
       NULL, one_of('remaining', 'remaining', 'original')
FROM (SELECT i, one_of('amount', 'amount', 'amount', 'percent', 'percent', 'percent', 'fixed_price', 'buy_x_get_y', 'gift', 'free_shipping') AS kind
      FROM generate_series(1, 200) i) t;
SELECT count(crm_member.import_coupon(template_code, template_code)) FROM crm_member.coupon_template;
CREATE TABLE cart AS SELECT n, jsonb_build_object('shipping', 8,
  'coupons', (SELECT jsonb_agg(template_code) FROM (SELECT template_code FROM crm_member.coupon_template WHERE n > 0 ORDER BY random() LIMIT 15) x),
  'lines', (SELECT jsonb_agg(jsonb_build_object('sku', 'A' || i * 200, 'price', round((1 + random() * 30 + n * 0)::numeric, 2), 'quantity', 1 + floor(random() * 3), 'category', 'c' || i % 4))
            FROM generate_series(1, 50) i)) AS sale FROM generate_series(1, 300) n;
CREATE FUNCTION milliseconds_of(query text, OUT half numeric, OUT most numeric, OUT unproven bigint) LANGUAGE plpgsql AS $$
DECLARE
  one record;
  began timestamptz;
  took numeric[] := '{}';
BEGIN
  unproven := 0;
  FOR i IN 1 .. (SELECT count(*) FROM cart) LOOP
    began := clock_timestamp();
    EXECUTE query INTO one USING (SELECT sale FROM cart WHERE n = i);
    took := took || (1000 * extract(epoch FROM clock_timestamp() - began))::numeric;
    unproven := unproven + (NOT one.proven)::int;
  END LOOP;
  SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY t)::numeric, 2), round(percentile_cont(0.9) WITHIN GROUP (ORDER BY t)::numeric, 2)
    INTO half, most FROM unnest(took) t;
END
$$;
SQL
echo
row 'milliseconds' 'median' '90 %' 'unproven'
timed() {
  IFS='|' read -r half most unproven < <(run -At -c "SELECT * FROM milliseconds_of(\$query\$$2\$query\$)")
  row "$1" "$half" "$most" "$unproven"
}
best="SELECT proven FROM crm_member.best_coupons(\$1)"
quote="SELECT true AS proven FROM crm_member.quote(\$1 - 'coupons')"
timed 'best of 15 coupons for 50 lines' "$best"
timed 'quote of 50 lines without coupons' "$quote"
run -c "INSERT INTO crm_member.coupon_template (template_code, kind, value, automatic, eligible)
SELECT 'P' || i, 'percent', 5, true, format('line.sku = %L', 'A' || i)::crm_member.condition FROM generate_series(1, 2000) i"
timed '  with 2,000 promotions, 10 of them for it' "$quote"
