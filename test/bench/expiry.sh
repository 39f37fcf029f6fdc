#!/usr/bin/env bash
# Spending and expiry of points with many lots, beside plain SQL, in one run.
#   expiry.sh [LOTS [MEMBERS [SECONDS]]]     default 1000000 100000 5, or LOTS and MEMBERS of the
#                                            environment; the full size is 10000000 1000000
# Connects by PGHOST, PGPORT and PGUSER and makes the database bench_expiry, which
# it drops at the end (KEEP=1 leaves it). Plain SQL has lean tables of integers
# and no journal of lots. Both sides must agree on what is left, or it stops.
set -euo pipefail
lots=${1:-${LOTS:-1000000}} members=${2:-${MEMBERS:-100000}} seconds=${3:-5}
export PGDATABASE=bench_expiry PGOPTIONS='-c client_min_messages=warning -c jit=off'
run()   { psql -X -q -v ON_ERROR_STOP=1 -v lots="$lots" -v members="$members" "$@"; }
value() { run -At -c "$1"; }
row()   { printf '%-66s %12s %12s %8s\n' "$@"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.1fx", a / b}'; }
took()  { run -c '\timing on' -c "$1" | awk '/^Time:/ {t += $2} END {printf "%.2f", t / 1000}'; }
tps()   { pgbench -n -M prepared -T "$seconds" -c 4 -j 2 -f "$1" 2>/dev/null | awk '/^tps/ {printf "%.0f", $3}'; }
# rates of two loads in turns, the median of three of each
duel() {
  local a='' b=''
  for _ in 1 2 3; do a+="$(tps "$1") " b+="$(tps "$2") "; done
  set -- "$(tr ' ' '\n' <<<"$a" | sort -g | sed -n 3p)" "$(tr ' ' '\n' <<<"$b" | sort -g | sed -n 3p)" "$3"
  row "$3" "$1/s" "$2/s" "$(ratio "$2" "$1")"
}

psql -X -q -d postgres -c 'DROP DATABASE IF EXISTS bench_expiry' -c "CREATE DATABASE bench_expiry TEMPLATE template0 ENCODING 'UTF8'"
work=$(mktemp -d)
trap 'rm -rf "$work"; [ -n "${KEEP:-}" ] || psql -X -q -d postgres -c "DROP DATABASE IF EXISTS bench_expiry"' EXIT

run <<'SQL' >/dev/null
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'UTC');
CREATE TABLE plain_member (member_id bigint PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 80);
CREATE TABLE plain_lot (lot_id bigint NOT NULL, member_id bigint NOT NULL, earned_at date NOT NULL, expires_at date NOT NULL, points int NOT NULL, remaining int NOT NULL) WITH (fillfactor = 90);
CREATE TABLE plain_entry (entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, lot_id bigint NOT NULL, member_id bigint NOT NULL, points int NOT NULL, at date NOT NULL);
SELECT setseed(0.42);
INSERT INTO plain_lot SELECT i, 1 + floor(power(random(), 1.5) * :members)::bigint, d, d + 365, p, p
  FROM (SELECT i, date '2025-01-01' + (i * 545 / :lots)::int AS d, 10 + floor(random() * 200)::int AS p FROM generate_series(1, :lots::bigint) i) x;
-- and one that is enough for all that is to be spent
INSERT INTO plain_lot SELECT :lots + g, g, '2026-06-30', '2040-01-01', 1000000, 1000000 FROM generate_series(1, :members) g;
ALTER TABLE plain_lot ADD PRIMARY KEY (lot_id);
CREATE INDEX plain_lot_open ON plain_lot (member_id, expires_at, lot_id) WHERE remaining > 0;
INSERT INTO plain_member SELECT g, coalesce(s.points, 0) FROM generate_series(1, :members) g LEFT JOIN (SELECT member_id, sum(points) AS points FROM plain_lot GROUP BY 1) s ON s.member_id = g;

-- ours: the same lots, each with its entry in the journal
ALTER TABLE crm_member.points_lot DROP CONSTRAINT points_lot_pkey;
ALTER TABLE crm_member.points_entry DROP CONSTRAINT points_entry_pkey;
DROP INDEX crm_member.points_lot_open;
INSERT INTO crm_member.member (member_id) SELECT generate_series(1, :members);
CREATE TABLE numbered AS SELECT member_id, row_number() OVER w AS lot_no, points, sum(points) OVER w AS balance, earned_at::timestamptz, expires_at::timestamptz
  FROM plain_lot WINDOW w AS (PARTITION BY member_id ORDER BY lot_id);
INSERT INTO crm_member.points_account (member_id, points_type, balance, entry_no, expires_at) SELECT member_id, 'points', sum(points), count(*), min(expires_at) FROM numbered GROUP BY 1 ORDER BY 1;
INSERT INTO crm_member.points_entry (member_id, points_type, entry_no, kind, points, balance, at) SELECT member_id, 'points', lot_no, 'award', points, balance, earned_at FROM numbered ORDER BY earned_at;
INSERT INTO crm_member.points_lot (member_id, points_type, lot_no, points, remaining, earned_at, available_at, expires_at)
  SELECT member_id, 'points', lot_no, points, points, earned_at, earned_at, expires_at FROM numbered ORDER BY earned_at;
DROP TABLE numbered;
ALTER TABLE crm_member.points_lot ADD PRIMARY KEY (member_id, points_type, lot_no);
ALTER TABLE crm_member.points_entry ADD PRIMARY KEY (member_id, points_type, entry_no);
CREATE INDEX points_lot_open ON crm_member.points_lot (member_id, points_type, expires_at, earned_at, lot_no) WHERE open;
CREATE SEQUENCE spend_no CACHE 100;

-- spending by the usual loop, with what a journal needs at least
CREATE FUNCTION plain_spend(p_member bigint, p_points int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE r record; need int := p_points; t int; BEGIN
  PERFORM 1 FROM plain_member WHERE member_id = p_member FOR UPDATE;
  FOR r IN SELECT lot_id, remaining FROM plain_lot WHERE member_id = p_member AND remaining > 0 ORDER BY expires_at, lot_id FOR UPDATE LOOP
    t := least(need, r.remaining); UPDATE plain_lot SET remaining = remaining - t WHERE lot_id = r.lot_id; need := need - t; EXIT WHEN need = 0; END LOOP;
  UPDATE plain_member SET balance = balance - (p_points - need) WHERE member_id = p_member;
  INSERT INTO plain_entry (lot_id, member_id, points, at) VALUES (0, p_member, need - p_points, '2026-06-30');
  RETURN p_points - need; END $$;
SQL
run -c 'VACUUM (FREEZE, ANALYZE)' -c 'CHECKPOINT'

echo "$lots lots of $members members"
echo
row '' 'plain SQL' 'ours' 'ratio'

# three months in turns
for month in 2026-03-01 2026-04-01 2026-05-01; do
  due=$(value "SELECT count(*) FROM plain_lot WHERE expires_at <= date '$month' AND remaining > 0")
  run -c CHECKPOINT
  plain=$(took "WITH e AS (UPDATE plain_lot l SET remaining = 0 FROM (SELECT lot_id, remaining AS was FROM plain_lot WHERE expires_at <= date '$month' AND remaining > 0) o
                           WHERE o.lot_id = l.lot_id RETURNING l.lot_id, l.member_id, o.was),
                     i AS (INSERT INTO plain_entry (lot_id, member_id, points, at) SELECT lot_id, member_id, -was, date '$month' FROM e),
                     s AS (SELECT member_id, sum(was) AS p FROM e GROUP BY 1)
                UPDATE plain_member m SET balance = balance - s.p FROM s WHERE s.member_id = m.member_id")
  run -c CHECKPOINT
  ours=$(took "CALL crm_member.expire_points('$month')")
  row "expire $due lots" "$plain s" "$ours s" "$(ratio "$plain" "$ours")"
  run -c 'VACUUM (ANALYZE) plain_lot' -c 'VACUUM (ANALYZE) plain_member' -c 'VACUUM (ANALYZE) crm_member.points_account' -c 'VACUUM (ANALYZE) crm_member.points_entry'
done
left="SELECT (SELECT sum(balance) FROM plain_member) || ' ' || (SELECT sum(balance) FROM crm_member.points_account)"
[ "$(value "$left" | awk '{print $1 == $2}')" = 1 ] || { echo "the two sides disagree: $(value "$left")" >&2; exit 1; }

printf '%s\n' "\\set m random(1, $members)" 'SELECT plain_spend(:m, 15);' >"$work/plain.sql"
printf '%s\n' "\\set m random(1, $members)" "SELECT crm_member.spend_points(:m, 15, ref => nextval('spend_no')::text);" >"$work/ours.sql"
printf '%s\n' "\\set m random(1, $members)" 'UPDATE plain_member SET balance = balance - 1 WHERE member_id = :m;' >"$work/bare.sql"
duel "$work/plain.sql" "$work/ours.sql" 'spend 15 points, earliest expiry first, durable, 4 clients'
duel "$work/bare.sql" "$work/ours.sql" '  the same beside a bare UPDATE of a balance'
# what bounds both: the least that keeps a journal, with no lot, no check and no reference
printf '%s\n' "\\set m random(1, $members)" "WITH m AS (UPDATE plain_member SET balance = balance - 15 WHERE member_id = :m RETURNING member_id) INSERT INTO plain_entry (lot_id, member_id, points, at) SELECT 0, member_id, -15, '2026-06-30' FROM m;" >"$work/journal.sql"
duel "$work/plain.sql" "$work/journal.sql" '  one statement for a balance and an entry alone, beside the loop'

# members with a long history: thousands of lots, nearly all of them spent or expired
run <<'SQL' >/dev/null
CREATE TABLE veteran AS SELECT g AS member_id FROM generate_series(:members + 1, :members + 500) g;
INSERT INTO crm_member.member (member_id) SELECT member_id FROM veteran;
INSERT INTO plain_member SELECT member_id, 200000 FROM veteran;
INSERT INTO plain_lot SELECT :lots + :members + 2000 * (v.member_id - :members) + n, v.member_id, '2020-01-01', date '2028-01-01' + n, 1000, CASE WHEN n > 1800 THEN 1000 ELSE 0 END FROM veteran v, generate_series(1, 2000) n;
INSERT INTO crm_member.points_account (member_id, points_type, balance, entry_no, expires_at, expired_to) SELECT member_id, 'points', 200000, 2000, '2027-01-01', '2026-01-01' FROM veteran;
INSERT INTO crm_member.points_entry (member_id, points_type, entry_no, kind, points, balance, at) SELECT v.member_id, 'points', n, 'award', 1000, 0, '2020-01-01' FROM veteran v, generate_series(1, 2000) n;
INSERT INTO crm_member.points_lot (member_id, points_type, lot_no, points, remaining, open, earned_at, available_at, expires_at)
  SELECT v.member_id, 'points', n, 1000, CASE WHEN n <= 900 THEN 0 ELSE 1000 END, n > 900, '2020-01-01', '2020-01-01',
         CASE WHEN n <= 1800 THEN timestamptz '2024-01-01' ELSE '2030-01-01' END + n * interval '1 hour' FROM veteran v, generate_series(1, 2000) n;
VACUUM (ANALYZE) plain_lot;
VACUUM (ANALYZE) crm_member.points_lot;
VACUUM (ANALYZE) crm_member.points_entry;
SQL
printf '%s\n' "\\set m random($members + 1, $members + 500)" 'SELECT plain_spend(:m, 15);' >"$work/plain.sql"
printf '%s\n' "\\set m random($members + 1, $members + 500)" "SELECT crm_member.spend_points(:m, 15, ref => nextval('spend_no')::text);" >"$work/ours.sql"
duel "$work/plain.sql" "$work/ours.sql" '  by members with 2,000 lots, 200 of them to spend'

printf '%s\n' "\\set m random(1, $members)" 'SELECT balance FROM plain_member WHERE member_id = :m;' >"$work/plain.sql"
printf '%s\n' "\\set m random(1, $members)" 'SELECT crm_member.points_balance(:m);' >"$work/ours.sql"
duel "$work/plain.sql" "$work/ours.sql" 'read a balance, 4 clients, months after the last expiry was booked'
run -c "CALL crm_member.expire_points(now())" -c 'VACUUM (ANALYZE) crm_member.points_account'
duel "$work/plain.sql" "$work/ours.sql" '  when it is booked (both a stored number)'
