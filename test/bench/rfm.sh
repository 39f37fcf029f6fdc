#!/usr/bin/env bash
# RFM beside plain SQL, in one run, on generated sales.
#   MEMBERS=100000 SALES=1000000 RUNS=3      its size
# Connects by PGHOST, PGPORT and PGUSER and makes the database bench_rfm, which it
# drops at the end (KEEP=1 leaves it). Prints the median of RUNS in seconds for
# each, and how many times faster ours is than the better plain statement.
set -euo pipefail
members=${MEMBERS:-100000} sales=${SALES:-1000000} runs=${RUNS:-3}
export PGDATABASE=bench_rfm
export PGOPTIONS="-c client_min_messages=warning -c work_mem=256MB -c maintenance_work_mem=512MB -c hash_mem_multiplier=2 -c jit=off -c max_parallel_workers_per_gather=2"
run() { psql -X -q -v ON_ERROR_STOP=1 -v members="$members" -v sales="$sales" "$@"; }
value() { run -At -c "$1"; }

psql -X -q -d postgres -c 'DROP DATABASE IF EXISTS bench_rfm' -c "CREATE DATABASE bench_rfm TEMPLATE template0 ENCODING 'UTF8'"
trap '[ -n "${KEEP:-}" ] || psql -X -q -d postgres -c "DROP DATABASE IF EXISTS bench_rfm"' EXIT

# seconds BEFORE STATEMENT: median time of the statement; BEFORE is not timed
seconds() {
  local i
  for ((i = 0; i < runs; i++)); do
    [ -z "$1" ] || run -c "$1" >/dev/null
    run -c '\timing on' -c "$2" | awk '/^Time:/ {t += $2} END {printf "%.3f\n", t / 1000}'
  done | sort -g | awk '{a[NR] = $1} END {print a[int((NR + 1) / 2)]}'
}
faster() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.1fx", a / b}'; }
less() { awk -v a="$1" -v b="$2" 'BEGIN {print (a < b) ? a : b}'; }
row() { printf '%-62s %10s %10s\n' "$@"; }

echo "RFM, $members members, $sales sales over two years: loading"
run <<'SQL'
CREATE EXTENSION crm_member;
CALL crm_member.setup();
SET search_path = crm_member, public;
SELECT setseed(0.5) \g /dev/null
ALTER TABLE sale DISABLE TRIGGER USER;
ALTER TABLE sale DROP CONSTRAINT sale_pkey;
DROP INDEX sale_member_sold_at;
-- a few buy often, most seldom, in no order of their number
INSERT INTO sale (member_id, sale_id, ref, store, channel, sold_at, amount, discount, payable, settled_at)
  SELECT 1 + ((:members * power(random(), 1.6))::bigint * 7919) % :members, g, g, 's' || g % 300, 'web',
         timestamptz '2024-07-01 00:00+08' + (730.0 * g / :sales) * interval '1 day', a, 0, a, '2026-07-01'
    FROM (SELECT g, (5 + 500 * random() * random() * random())::numeric(12, 2) AS a FROM generate_series(1, :sales) g) x;
ALTER TABLE sale ADD PRIMARY KEY (member_id, sale_id);
CREATE INDEX sale_member_sold_at ON sale (member_id, sold_at);
ALTER TABLE sale ENABLE TRIGGER USER;
ALTER TABLE sale DISABLE TRIGGER settle_sale;
INSERT INTO member (member_id, store, channel, joined_at, attrs)
  SELECT g, 's' || g % 300, CASE g % 3 WHEN 0 THEN 'web' ELSE 'store' END, timestamptz '2020-01-01' + (g % 2000) * interval '1 day', '{"color": "red"}'
    FROM generate_series(1, :members) g;
SQL
run -c 'VACUUM (FREEZE, ANALYZE)'
value "SELECT 'sale: ' || pg_size_pretty(pg_table_size('crm_member.sale'))"
echo
row '' 'seconds' 'ours'

day="'2026-06-30'"
agg="SELECT member_id, max(sold_at) AS last_at, count(*) AS f, sum(payable - shipping) AS m FROM crm_member.sale WHERE settled_at IS NOT NULL AND member_id > 0 AND sold_at < timestamptz '2026-07-01 00:00+08' GROUP BY member_id"
bands="SELECT member_id, f, m, date $day - (last_at AT TIME ZONE 'Asia/Shanghai')::date AS r,
  ntile(5) OVER (ORDER BY (last_at AT TIME ZONE 'Asia/Shanghai')::date, member_id) AS rs,
  ntile(5) OVER (ORDER BY f, member_id) AS fs, ntile(5) OVER (ORDER BY m, member_id) AS ms"
forget='TRUNCATE crm_member.rfm_member, crm_member.rfm_state, crm_member.rfm_run, crm_member.rfm_snapshot'

# from raw sales to stored scores
p0=$(seconds 'DROP TABLE IF EXISTS public.result' "SET max_parallel_workers_per_gather = 0; CREATE TABLE public.result AS $bands FROM ($agg) a")
p2=$(seconds 'DROP TABLE IF EXISTS public.result' "CREATE TABLE public.result AS $bands FROM ($agg) a")
ours=$(seconds "$forget" "CALL crm_member.run_rfm($day)")
row 'raw sales to stored scores: ntile, no workers' "$p0" ''
row 'raw sales to stored scores: ntile, 2 workers' "$p2" ''
row 'raw sales to stored scores: run_rfm()' "$ours" "$(faster "$(less "$p0" "$p2")" "$ours")"
# a table that holds nothing but what ntile needs, which is less to read than ours
run -c "CREATE TABLE public.lean AS SELECT sale_id, member_id, sold_at, payable - shipping AS amount FROM crm_member.sale WHERE settled_at IS NOT NULL" -c 'VACUUM (FREEZE, ANALYZE) public.lean'
lean="SELECT member_id, max(sold_at) AS last_at, count(*) AS f, sum(amount) AS m FROM public.lean WHERE member_id > 0 AND sold_at < timestamptz '2026-07-01 00:00+08' GROUP BY member_id"
l0=$(seconds 'DROP TABLE IF EXISTS public.other' "SET max_parallel_workers_per_gather = 0; CREATE TABLE public.other AS $bands FROM ($lean) a")
l2=$(seconds 'DROP TABLE IF EXISTS public.other' "CREATE TABLE public.other AS $bands FROM ($lean) a")
row '  of a table of four columns: ntile, no workers' "$l0" ''
row '  of a table of four columns: ntile, 2 workers' "$l2" "$(faster "$(less "$l0" "$l2")" "$ours")"
run -c 'DROP TABLE public.lean'
wrong=$(value "SELECT count(*) FROM public.result p FULL JOIN crm_member.rfm g USING (member_id) WHERE (p.r, p.f, p.m, p.rs, p.fs, p.ms) IS DISTINCT FROM (g.recency, g.frequency, g.monetary, g.r, g.f, g.m)")
echo "members whose scores differ: $wrong"
any=$(seconds '' "SELECT count(score) FROM crm_member.rfm_from('SELECT member_id, sold_at, payable FROM crm_member.sale', $day)")
row 'raw sales to scores, not stored: rfm_from() of a query' "$any" "$(faster "$(less "$p0" "$p2")" "$any")"

# from per-member measures to stored scores
run -c "CREATE TABLE public.measure AS $agg" -c 'VACUUM ANALYZE public.measure'
p0=$(seconds 'DROP TABLE IF EXISTS public.result' "SET max_parallel_workers_per_gather = 0; CREATE TABLE public.result AS $bands FROM public.measure")
p2=$(seconds 'DROP TABLE IF EXISTS public.result' "CREATE TABLE public.result AS $bands FROM public.measure")
ours=$(seconds '' "CALL crm_member.run_rfm($day)")
row 'measures to stored scores: ntile, no workers' "$p0" ''
row 'measures to stored scores: ntile, 2 workers' "$p2" ''
row 'measures to stored scores: run_rfm()' "$ours" "$(faster "$(less "$p0" "$p2")" "$ours")"

# nightly: 1 % of the members have new sales
new="INSERT INTO crm_member.sale (member_id, sale_id, ref, sold_at, amount, discount, payable, settled_at)
  SELECT 1 + (g * 104729) % $members, crm_member.new_id(), g, timestamptz '2026-06-30 10:00+08', 30, 0, 30, '2026-06-30 12:00:01' FROM generate_series(1, $members / 100) g"
drop="DELETE FROM crm_member.sale WHERE settled_at = '2026-06-30 12:00:01'"
rank="DROP TABLE IF EXISTS public.result; CREATE TABLE public.result AS $bands FROM public.measure"
run -c 'ALTER TABLE public.measure ADD PRIMARY KEY (member_id)'
upsert="INSERT INTO public.measure AS t SELECT member_id, max(sold_at), count(*), sum(payable - shipping) FROM public.fresh GROUP BY 1
  ON CONFLICT (member_id) DO UPDATE SET last_at = greatest(t.last_at, excluded.last_at), f = t.f + excluded.f, m = t.m + excluded.m"
run -c "CREATE TABLE public.fresh AS SELECT * FROM crm_member.sale WHERE false"
run -c "${new/INTO crm_member.sale/INTO public.fresh}"
p2=$(seconds '' "$upsert; $rank")
ours=$(seconds "$drop; $new; CALL crm_member.run_rfm($day); $drop; CALL crm_member.run_rfm($day); $new" "CALL crm_member.run_rfm($day)")
row 'nightly, 1 % of members bought: upsert and ntile' "$p2" ''
row 'nightly, 1 % of members bought: run_rfm()' "$ours" "$(faster "$p2" "$ours")"
with=$(seconds "$drop" "$new")
without=$(seconds "$drop; ALTER TABLE crm_member.sale DISABLE TRIGGER rfm_insert" "$new")
run -c 'ALTER TABLE crm_member.sale ENABLE TRIGGER rfm_insert'
row '  their sales inserted without the trigger that notes them' "$without" ''
row '  and with it' "$with" "$(faster "$without" "$with")"

# counting a filter of five clauses
run -c "$drop" -c "CALL crm_member.run_rfm($day)" -c 'VACUUM ANALYZE'
run <<'SQL'
INSERT INTO crm_member.member_filter (filter_code, condition) VALUES
  ('five', 'member.status = ''active'' and member.channel = ''web'' and member.store in (''s1'', ''s2'', ''s3'', ''s6'', ''s9'') and member.joined_at >= ''2021-01-01'' and member.attr(''color'') = ''red'''),
  ('score', 'member.status = ''active'' and member.channel = ''web'' and member.rfm_r >= 4 and member.rfm_m >= 4 and member.joined_at >= ''2021-01-01''');
CREATE TABLE public.scored AS SELECT member_id, r, f, m FROM crm_member.rfm;
ALTER TABLE public.scored ADD PRIMARY KEY (member_id);
SQL
run -c 'VACUUM ANALYZE public.scored'
plain=$(seconds '' "SELECT count(*) FROM crm_member.member WHERE status = 'active' AND channel = 'web' AND store IN ('s1', 's2', 's3', 's6', 's9') AND joined_at >= '2021-01-01' AND attrs->>'color' = 'red'")
ours=$(seconds '' "SELECT crm_member.filter_count('five')")
row 'filter of five clauses over members: WHERE by hand' "$plain" ''
row 'filter of five clauses over members: filter_count()' "$ours" "$(faster "$plain" "$ours")"
plain=$(seconds '' "SELECT count(*) FROM crm_member.member JOIN public.scored USING (member_id) WHERE status = 'active' AND channel = 'web' AND r >= 4 AND m >= 4 AND joined_at >= '2021-01-01'")
ours=$(seconds '' "SELECT crm_member.filter_count('score')")
row 'the same with scores: join by hand' "$plain" ''
row 'the same with scores: filter_count()' "$ours" "$(faster "$plain" "$ours")"
value "SELECT 'rfm_member ' || pg_size_pretty(pg_total_relation_size('crm_member.rfm_member')) || ', a run''s snapshot ' || pg_size_pretty(pg_total_relation_size('crm_member.rfm_snapshot') / greatest((SELECT count(DISTINCT run_id) FROM crm_member.rfm_snapshot), 1))"
