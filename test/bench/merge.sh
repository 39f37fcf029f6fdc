#!/usr/bin/env bash
# Merging two members beside plain SQL, in one run. Each member has 100 ledger rows,
# 3 coupons and 10 sales; plain SQL re-points its rows by UPDATE, asserts nothing and
# cannot undo it.
#   merge.sh [PAIRS]      default 2000 pairs of each kind for each load
# Connects by PGHOST, PGPORT and PGUSER and makes the database bench_merge, which
# it drops at the end.
set -euo pipefail
pairs=${1:-2000}
export PGDATABASE=bench_merge PGOPTIONS='-c client_min_messages=warning'
run()   { psql -X -q -v ON_ERROR_STOP=1 -v pairs="$pairs" "$@"; }
value() { run -At -c "$1"; }
row()   { printf '%-66s %12s %12s %8s\n' "$@"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2fx", a / b}'; }
# transactions a second of CLIENTS that share half of the pairs
tps() {
  pgbench -n -M prepared -c "$1" -j 2 -t $((pairs / 2 / $1)) -f "$2" 2>"$work/log" >"$work/out" || { cat "$work/log" >&2; return 1; }
  awk '/^tps/ {printf "%.0f", $3}' "$work/out"
}

psql -X -q -d postgres -c 'DROP DATABASE IF EXISTS bench_merge' -c "CREATE DATABASE bench_merge TEMPLATE template0 ENCODING 'UTF8'"
work=$(mktemp -d)
trap 'rm -rf "$work"; [ -n "${KEEP:-}" ] || psql -X -q -d postgres -c "DROP DATABASE IF EXISTS bench_merge"' EXIT

# Members 4i+1 .. 4i+4: the first two have 100 grants, all of them open; the other two
# 70 grants, of which 40 are spent by 30 spends of half a lot or two.
run <<'SQL' >/dev/null
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'UTC');
INSERT INTO crm_member.member (member_id, joined_at) SELECT i, timestamptz '2025-01-01' + i * interval '1 minute' FROM generate_series(1, :pairs * 4) i;
INSERT INTO crm_member.person (member_id, name, mobile) SELECT i, 'Name ' || i, (13900000000 + i)::text FROM generate_series(1, :pairs * 4) i;
INSERT INTO crm_member.identity (kind, value, member_id) SELECT 'mobile', (13900000000 + i)::text, i FROM generate_series(1, :pairs * 4) i;
INSERT INTO crm_member.card (card_no, card_type, member_id, state, issued_at, effective_at) SELECT 'C' || i, 'standard', i, 'enabled', now(), now() FROM generate_series(1, :pairs * 4) i;
INSERT INTO crm_member.points_entry (member_id, points_type, entry_no, kind, points, balance, at, reason)
SELECT m, 'points', e, 'award', 10, 10 * e, timestamptz '2026-01-01' + e * interval '1 hour', 'x'
  FROM generate_series(1, :pairs * 4) m, generate_series(1, 100) e WHERE m % 4 IN (1, 2) OR e <= 70;
INSERT INTO crm_member.points_entry (member_id, points_type, entry_no, kind, points, balance, at, reason, lot_nos, lot_points)
SELECT m, 'points', e, 'spend', CASE WHEN e <= 90 THEN -10 ELSE -20 END, CASE WHEN e <= 90 THEN 1400 - 10 * e ELSE 2300 - 20 * e END, timestamptz '2026-02-01' + e * interval '1 hour', 'x',
       CASE WHEN e <= 90 THEN ARRAY[e - 70] ELSE ARRAY[20 + 2 * (e - 90) - 1, 20 + 2 * (e - 90)] END, CASE WHEN e <= 90 THEN '{10}'::numeric[] ELSE '{10,10}' END
  FROM generate_series(1, :pairs * 4) m, generate_series(71, 100) e WHERE m % 4 IN (3, 0);
INSERT INTO crm_member.points_lot (member_id, points_type, lot_no, points, remaining, open, earned_at, available_at, expires_at)
SELECT m, 'points', e, 10, CASE WHEN m % 4 IN (1, 2) OR e > 40 THEN 10 ELSE 0 END, m % 4 IN (1, 2) OR e > 40, timestamptz '2026-01-01' + e * interval '1 hour', timestamptz '2026-01-01' + e * interval '1 hour', timestamptz '2030-01-01' + e * interval '1 hour'
  FROM generate_series(1, :pairs * 4) m, generate_series(1, 100) e WHERE m % 4 IN (1, 2) OR e <= 70;
INSERT INTO crm_member.points_account (member_id, points_type, balance, entry_no, settles_at, expires_at)
SELECT m, 'points', CASE WHEN m % 4 IN (1, 2) THEN 1000 ELSE 300 END, 100, '2026-02-01', '2030-01-01' FROM generate_series(1, :pairs * 4) m;
INSERT INTO crm_member.sale (member_id, sale_id, ref, store, sold_at, amount, discount, payable, settled_at)
SELECT m, m * 10 + s, m || '-' || s, 's' || s, timestamptz '2026-01-01' + s * interval '1 day', 10, 0, 10, now() FROM generate_series(1, :pairs * 4) m, generate_series(1, 10) s;
INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, price) SELECT member_id, sale_id, 1, 10 FROM crm_member.sale;
INSERT INTO crm_member.coupon_template (template_code, kind, value, member_limit) VALUES ('T', 'amount', 5, 10);
SELECT count(crm_member.issue_coupon('T', m, m || '-' || c)) FROM generate_series(1, :pairs * 4) m, generate_series(1, 3) c;
CREATE SEQUENCE open_pair;
CREATE SEQUENCE mixed_pair;
CREATE SEQUENCE undo_pair;
CREATE SEQUENCE plain_pair;

CREATE TABLE plain_member (id bigint PRIMARY KEY, balance bigint NOT NULL, status smallint NOT NULL DEFAULT 0, merged_into bigint) WITH (fillfactor = 80);
INSERT INTO plain_member SELECT i, 1000 FROM generate_series(1, :pairs * 2) i;
CREATE TABLE plain_ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, member_id bigint NOT NULL, points bigint NOT NULL, at timestamp NOT NULL DEFAULT now()) WITH (fillfactor = 90);
INSERT INTO plain_ledger (member_id, points) SELECT m, 10 FROM generate_series(1, :pairs * 2) m, generate_series(1, 100);
CREATE INDEX ON plain_ledger (member_id);
CREATE TABLE plain_coupon (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, member_id bigint NOT NULL, status smallint NOT NULL DEFAULT 0) WITH (fillfactor = 90);
INSERT INTO plain_coupon (member_id) SELECT m FROM generate_series(1, :pairs * 2) m, generate_series(1, 3);
CREATE INDEX ON plain_coupon (member_id);
CREATE TABLE plain_order (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, member_id bigint NOT NULL, amount numeric(12, 2) NOT NULL) WITH (fillfactor = 90);
INSERT INTO plain_order (member_id, amount) SELECT m, 99 FROM generate_series(1, :pairs * 2) m, generate_series(1, 10);
CREATE INDEX ON plain_order (member_id);
CREATE TABLE plain_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, src bigint, dst bigint, moved jsonb, at timestamp DEFAULT now());
CREATE FUNCTION plain_merge(src bigint, dst bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  s plain_member;
  ledger int;
  coupons int;
  orders int;
BEGIN
  PERFORM FROM plain_member WHERE id IN (src, dst) ORDER BY id FOR UPDATE;
  SELECT * INTO s FROM plain_member WHERE id = src;
  IF s.status <> 0 THEN
    RAISE EXCEPTION 'already merged';
  END IF;
  UPDATE plain_ledger SET member_id = dst WHERE member_id = src;
  GET DIAGNOSTICS ledger = row_count;
  UPDATE plain_coupon SET member_id = dst WHERE member_id = src;
  GET DIAGNOSTICS coupons = row_count;
  UPDATE plain_order SET member_id = dst WHERE member_id = src;
  GET DIAGNOSTICS orders = row_count;
  UPDATE plain_member SET balance = balance + s.balance WHERE id = dst;
  UPDATE plain_member SET balance = 0, status = 9, merged_into = dst WHERE id = src;
  INSERT INTO plain_log (src, dst, moved) VALUES (src, dst, jsonb_build_object('ledger', ledger, 'coupons', coupons, 'orders', orders));
END
$$;
VACUUM (FREEZE, ANALYZE);
CHECKPOINT;
SQL

next() { echo "SELECT nextval('$1') - 1 AS i \\gset"; }
{ next plain_pair; echo 'SELECT plain_merge(2 * :i + 2, 2 * :i + 1);'; } >"$work/plain"
{ next open_pair; echo 'SELECT crm_member.merge_members(4 * :i + 1, ARRAY[4 * :i + 2]);'; } >"$work/open"
{ next mixed_pair; echo 'SELECT crm_member.merge_members(4 * :i + 3, ARRAY[4 * :i + 4]);'; } >"$work/mixed"
{ next undo_pair; echo "SELECT crm_member.unmerge(e.merge_id) FROM crm_member.merge_edge e WHERE e.member_id = 4 * :i + 2;"; } >"$work/undo"

row 'merges a second' 'plain SQL' 'ours' 'ratio'
for clients in 1 4; do
  plain=$(tps $clients "$work/plain")
  ours=$(tps $clients "$work/open")
  row "100 ledger rows each, all lots open, $clients clients" "$plain" "$ours" "$(ratio "$ours" "$plain")"
  ours=$(tps $clients "$work/mixed")
  row "100 ledger rows each, 30 of 70 lots open, $clients clients" "$plain" "$ours" "$(ratio "$ours" "$plain")"
done
row '  undone, all lots open, 1 client' '' "$(tps 1 "$work/undo")" ''
wrong=$(value "SELECT v::text FROM crm_member.verify_ledger() v LIMIT 1")
[ -z "$wrong" ] || { echo "verify_ledger(): $wrong" >&2; exit 1; }
