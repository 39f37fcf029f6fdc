#!/usr/bin/env bash
# Points beside plain SQL, in one run: 200 rules, about 30 of which match a sale
# of 1 to 8 lines.
#   points.sh [SALES [SECONDS]]      default 20000 sales, or what SALES says; 5 seconds of each load
# Connects by PGHOST, PGPORT and PGUSER and makes the database bench_points, which
# it drops at the end. Both sides must give the same points, or it stops.
set -euo pipefail
sales=${1:-${SALES:-20000}} seconds=${2:-5}
export PGDATABASE=bench_points PGOPTIONS='-c client_min_messages=warning'
run()   { psql -X -q -v ON_ERROR_STOP=1 -v sales="$sales" "$@"; }
value() { run -At -c "$1"; }
row()   { printf '%-66s %12s %12s %8s\n' "$@"; }
rate()  { awk -v n="$1" -v s="$2" 'BEGIN {printf "%.0f/s", n / s}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.1fx", a / b}'; }
percent() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.0f %%", 100 * a / b}'; }
# seconds of a statement, the median of three; the statement before it is not timed
timed() {
  local i
  for _ in 1 2 3; do
    [ -z "$1" ] || run <<<"$1" >/dev/null
    run -c '\timing on' -c "$2" | awk '/^Time:/ {t += $2} END {printf "%.4f\n", t / 1000}'
  done | sort -g | sed -n 2p
}
tps() { pgbench -n -M prepared -T "$seconds" "$@" 2>/dev/null | awk '/^tps/ {printf "%.0f", $3}'; }

psql -X -q -d postgres -c 'DROP DATABASE IF EXISTS bench_points' -c "CREATE DATABASE bench_points TEMPLATE template0 ENCODING 'UTF8'"
work=$(mktemp -d)
trap 'rm -rf "$work"; [ -n "${KEEP:-}" ] || psql -X -q -d postgres -c "DROP DATABASE IF EXISTS bench_points"' EXIT

run <<'SQL' >/dev/null
CREATE EXTENSION crm_member;
CALL crm_member.setup(time_zone => 'UTC');
SELECT setseed(0.42);
-- one set of rules, as columns for plain SQL and as conditions for ours
CREATE FUNCTION picks(prefix text, n int, of int) RETURNS text[] LANGUAGE sql VOLATILE AS $$
  SELECT array_agg(DISTINCT prefix || 1 + floor(random() * of)::int) FROM generate_series(1, n) $$;
CREATE TABLE rule AS
SELECT i, 'r' || i AS rule_code, CASE WHEN random() < .5 THEN picks('t', 2, 5) END AS tiers, CASE WHEN random() < .35 THEN picks('s', 60, 300) END AS stores,
       CASE WHEN random() < .3 THEN picks('c', 2, 4) END AS channels, CASE WHEN random() < .25 THEN ARRAY[1 + i % 7, 1 + (i * 3) % 7, 1 + (i * 5) % 7] END AS weekdays,
       CASE WHEN random() < .6 THEN (ARRAY[50, 99, 199, 299, 500])[1 + floor(random() * 5)::int] END AS min_amount,
       (ARRAY['fixed', 'per_amount', 'brackets', 'line'])[1 + i % 4] AS kind, 10 * (1 + floor(random() * 20))::numeric AS fixed,
       round((0.05 + random() * 0.95)::numeric, 2) AS rate, CASE WHEN i % 4 = 3 THEN picks('k', 5, 60) END AS categories,
       CASE WHEN random() < .5 THEN 100 * (1 + floor(random() * 10))::numeric END AS cap,
       CASE i % 3 WHEN 0 THEN timestamptz '2026-05-01' + (i % 13) * interval '5 days' ELSE timestamptz '2025-01-01' END AS valid_from,
       CASE i % 3 WHEN 0 THEN timestamptz '2026-05-21' + (i % 13) * interval '5 days' ELSE timestamptz '2027-01-01' END AS valid_to
FROM generate_series(1, 200) i;
CREATE FUNCTION in_list(attribute text, choices text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT attribute || ' in (' || string_agg(quote_literal(c), ', ') || ')' FROM unnest(choices) c $$;
CREATE VIEW our_rule AS
SELECT rule_code, valid_from, valid_to, nullif(concat_ws(' and ', in_list('member.tier', tiers), in_list('sale.store', stores), in_list('sale.channel', channels),
         'sale.weekday in (' || array_to_string(weekdays, ', ') || ')', 'sale.amount >= ' || min_amount, in_list('line.category', categories)), '')::crm_member.condition AS condition,
       CASE kind WHEN 'line' THEN 'per_amount' ELSE kind END AS award, CASE kind WHEN 'fixed' THEN fixed WHEN 'brackets' THEN 0 ELSE rate END AS points,
       CASE WHEN kind = 'brackets' THEN '[{"from": 100, "points": 20}, {"from": 200, "points": 50}, {"from": 500, "points": 150}, {"from": 1000, "points": 400}]'::jsonb END AS brackets, cap AS max_points
FROM rule;
INSERT INTO crm_member.points_rule (rule_code, valid_from, valid_to, condition, award, points, brackets, max_points) TABLE our_rule;

INSERT INTO crm_member.tier SELECT 't' || i, 'T' || i, i FROM generate_series(1, 5) i;
INSERT INTO crm_member.member (member_id) SELECT generate_series(1, 100000);
INSERT INTO crm_member.member_tier (member_id, tier_code) SELECT i, 't' || 1 + floor(power(random(), 2) * 5)::int FROM generate_series(1, 100000) i;
-- sales without points so far
ALTER TABLE crm_member.sale DISABLE TRIGGER USER;
ALTER TABLE crm_member.sale_line DISABLE TRIGGER USER;
INSERT INTO crm_member.sale (member_id, sale_id, ref, store, channel, sold_at)
SELECT 1 + floor(random() * 100000)::bigint, i, i, 's' || 1 + floor(power(random(), 2) * 300)::int, 'c' || 1 + floor(random() * 4)::int,
       date_trunc('second', timestamptz '2026-06-01' + random() * interval '30 days') FROM generate_series(1, :sales) i;
INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, category, quantity, price)
SELECT s.member_id, s.sale_id, l, 'k' || 1 + floor(power(random(), 1.5) * 60)::int, 1 + floor(random() * 3),
       round(exp(3.2 + 0.9 * sqrt(-2 * ln(1 - random())) * cos(6.283185 * random()))::numeric, 2)
FROM crm_member.sale s, LATERAL (SELECT 1 + floor(random() * 8 + 0 * s.sale_id)::int AS n) x, LATERAL generate_series(1, x.n) l;
ALTER TABLE crm_member.sale ENABLE TRIGGER USER;
ALTER TABLE crm_member.sale_line ENABLE TRIGGER USER;
INSERT INTO crm_member.sale_ref (source, ref, member_id, sale_id) SELECT source, ref, member_id, sale_id FROM crm_member.sale;
UPDATE crm_member.sale s SET amount = l.amount, discount = 0, payable = l.amount, settled_at = now()
FROM (SELECT sale_id, sum(amount) AS amount FROM crm_member.sale_line GROUP BY 1) l WHERE l.sale_id = s.sale_id;

-- plain SQL: its own lean tables, and one statement that joins sales, members, lines and rules
CREATE TABLE plain_member (member_id bigint PRIMARY KEY, tier text NOT NULL, balance numeric NOT NULL DEFAULT 0) WITH (fillfactor = 80);
INSERT INTO plain_member SELECT member_id, tier_code FROM crm_member.member_tier;
CREATE TABLE plain_sale AS SELECT sale_id, member_id, store, channel, sold_at, amount FROM crm_member.sale;
ALTER TABLE plain_sale ADD PRIMARY KEY (sale_id);
CREATE TABLE plain_line AS SELECT sale_id, line_no, category, amount FROM crm_member.sale_line;
ALTER TABLE plain_line ADD PRIMARY KEY (sale_id, line_no);
CREATE VIEW plain_points AS
SELECT s.sale_id, s.member_id, r.rule_code, p.points
FROM (SELECT s.*, m.tier, extract(isodow FROM s.sold_at)::int AS weekday, l.categories, l.amounts FROM plain_sale s JOIN plain_member m USING (member_id)
      JOIN (SELECT sale_id, array_agg(category ORDER BY line_no) AS categories, array_agg(amount ORDER BY line_no) AS amounts FROM plain_line GROUP BY 1) l USING (sale_id) OFFSET 0) s
JOIN rule r ON s.sold_at BETWEEN r.valid_from AND r.valid_to AND (tiers IS NULL OR s.tier = ANY (tiers)) AND (min_amount IS NULL OR s.amount >= min_amount)
 AND (r.channels IS NULL OR s.channel = ANY (r.channels)) AND (weekdays IS NULL OR s.weekday = ANY (weekdays)) AND (r.stores IS NULL OR s.store = ANY (r.stores))
 AND (r.categories IS NULL OR s.categories && r.categories),
LATERAL (SELECT least(CASE kind WHEN 'fixed' THEN fixed WHEN 'per_amount' THEN floor(s.amount * rate)
           WHEN 'brackets' THEN (ARRAY[0, 20, 50, 150, 400])[1 + width_bucket(s.amount, ARRAY[100, 200, 500, 1000]::numeric[])]
           ELSE (SELECT coalesce(floor(sum(a) * rate), 0) FROM unnest(s.categories, s.amounts) u (c, a) WHERE c = ANY (r.categories)) END, cap) AS points) p
WHERE p.points > 0;
CREATE TABLE plain_ledger (ledger_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sale_id bigint NOT NULL UNIQUE, member_id bigint NOT NULL,
  points numeric NOT NULL, remaining numeric NOT NULL, earned_at timestamptz NOT NULL, expires_at timestamptz NOT NULL);
CREATE INDEX ON plain_ledger (member_id);
CREATE TABLE plain_balance (member_id bigint PRIMARY KEY, balance numeric);
INSERT INTO plain_balance SELECT member_id, 0 FROM crm_member.member;
-- members have had points before, on both sides
INSERT INTO crm_member.points_account (member_id, points_type) SELECT member_id, 'points' FROM crm_member.member;
SQL
run -c 'VACUUM (ANALYZE)' -c CHECKPOINT

# what each recorded sale would be given; and what each rule would give for it
ours_sale="SELECT count(*), sum(points) FROM crm_member.simulate_rules('-infinity', 'infinity', NULL, '{sale}', false)"
plain_sale='SELECT count(*), sum(points) FROM (SELECT sale_id, sum(points) AS points FROM plain_points GROUP BY 1) s'
ours_rule="SELECT count(*), sum(points) FROM crm_member.simulate_rules('-infinity', 'infinity', NULL, '{rule,sale}', false)"
plain_rule='SELECT count(*), sum(points) FROM plain_points'
for level in sale rule; do
  ours=ours_$level plain=plain_$level
  [ "$(value "${!ours}")" = "$(value "${!plain}")" ] || { echo "the two sides disagree: $(value "${!ours}") and $(value "${!plain}")" >&2; exit 1; }
done
echo "$sales sales, 200 rules: $(value "SELECT round(count(*) / $sales.0, 1) FROM plain_points") match a sale; both sides give $(value "SELECT sum(points) FROM plain_points") points"
echo
row '' 'plain SQL' 'ours' 'ratio'

# plain SQL adds up by sale, since that is what it would book; each rule's part is asked for as well
plain=$(timed '' "$plain_rule") ours=$(timed '' "$ours_rule")
row 'evaluate recorded sales in bulk, a row for each rule' "$(rate "$sales" "$plain")" "$(rate "$sales" "$ours")" "$(ratio "$plain" "$ours")"
plain=$(timed '' "$plain_sale") ours=$(timed '' "$ours_sale")
row 'evaluate recorded sales in bulk, a row for each sale' "$(rate "$sales" "$plain")" "$(rate "$sales" "$ours")" "$(ratio "$plain" "$ours")"

run <<'SQL'
-- 4,800 more that share their attributes with the 200 and with each other, and match no sale here: by store, category, article, day, range of amount, tier and weekday, validity
INSERT INTO crm_member.points_rule (rule_code, condition, award, points, valid_from, valid_to)
SELECT 'x' || g, CASE g % 8
  WHEN 0 THEN format('sale.store = ''s%s'' and sale.amount > 100000', 1 + g % 300) WHEN 1 THEN format('line.category in (''x%s'', ''y%s'') and sale.amount > 10', g, g)
  WHEN 2 THEN format('line.category = ''k%s'' and sale.hour = 24', 1 + g % 60) WHEN 3 THEN format('line.sku in (''sku%s'', ''sku%s'')', g, g + 1)
  WHEN 4 THEN format('sale.date = ''%s''', date '2025-01-01' + g % 400) WHEN 5 THEN format('sale.amount between %s and %s', 50000 + g, 50010 + g)
  WHEN 6 THEN format('member.tier = ''t%s'' and sale.weekday = %s and sale.store in (''z%s'', ''z%s'')', 1 + g % 5, 1 + g % 7, g, g + 1) END::crm_member.condition,
  'fixed', 5, CASE g % 8 WHEN 7 THEN timestamptz '2020-01-01' + g * interval '1 hour' END, CASE g % 8 WHEN 7 THEN timestamptz '2021-01-01' + g * interval '1 hour' END FROM generate_series(1, 4800) g;
SQL
many=$(timed '' "$ours_sale")
row '  the same with 5,000 rules, in times of 200' '' '' "$(ratio "$many" "$ours")"
run -c "DELETE FROM crm_member.points_rule WHERE rule_code LIKE 'x%'"

run -c "CREATE TABLE document AS SELECT sale_id, crm_member.sale_document('pos', ref) AS sale FROM crm_member.sale WHERE sale_id <= 5000" -c 'ALTER TABLE document ADD PRIMARY KEY (sale_id)' -c 'ANALYZE document'
cat >"$work/plain.sql" <<'SQL'
\set id random(1, 5000)
SELECT sum(p.points) FROM (SELECT s.*, m.tier, extract(isodow FROM s.sold_at)::int AS weekday, l.categories, l.amounts FROM plain_sale s JOIN plain_member m USING (member_id),
 LATERAL (SELECT array_agg(category ORDER BY line_no) AS categories, array_agg(amount ORDER BY line_no) AS amounts FROM plain_line WHERE sale_id = s.sale_id) l WHERE s.sale_id = :id) s
JOIN rule r ON s.sold_at BETWEEN r.valid_from AND r.valid_to AND (tiers IS NULL OR s.tier = ANY (tiers)) AND (min_amount IS NULL OR s.amount >= min_amount)
 AND (r.channels IS NULL OR s.channel = ANY (r.channels)) AND (weekdays IS NULL OR s.weekday = ANY (weekdays)) AND (r.stores IS NULL OR s.store = ANY (r.stores))
 AND (r.categories IS NULL OR s.categories && r.categories),
LATERAL (SELECT least(CASE kind WHEN 'fixed' THEN fixed WHEN 'per_amount' THEN floor(s.amount * rate)
           WHEN 'brackets' THEN (ARRAY[0, 20, 50, 150, 400])[1 + width_bucket(s.amount, ARRAY[100, 200, 500, 1000]::numeric[])]
           ELSE (SELECT coalesce(floor(sum(a) * rate), 0) FROM unnest(s.categories, s.amounts) u (c, a) WHERE c = ANY (r.categories)) END, cap) AS points) p;
SQL
cat >"$work/ours.sql" <<'SQL'
\set id random(1, 5000)
SELECT sum(e.points) FROM document d, crm_member.evaluate_points(d.sale) e WHERE d.sale_id = :id;
SQL
# the same without anything to evaluate
printf '%s\n' '\set id random(1, 5000)' 'SELECT sum(e) FROM document d, generate_series(1, 36 + 0 * pg_column_size(d.sale)) e WHERE d.sale_id = :id;' >"$work/trip.sql"
# one by one within one statement, as a batch of documents is; then with a round trip for each
{ echo 'CREATE FUNCTION plain_evaluate(id bigint) RETURNS numeric LANGUAGE plpgsql STABLE AS $f$ BEGIN RETURN ('; sed -e 1d -e 's/:id/$1/g' -e 's/;$//' "$work/plain.sql"; echo '); END $f$;'; } >"$work/function.sql"
run -f "$work/function.sql"
plain_each='SELECT sum(plain_evaluate(sale_id)) FROM document' ours_each='SELECT sum(e.points) FROM document d, crm_member.evaluate_points(d.sale) e'
[ "$(value "$ours_each")" = "$(value "$plain_each")" ] || { echo 'evaluate_points() and plain SQL disagree' >&2; exit 1; }
documents=$(value 'SELECT count(*) FROM document')
plain=$(timed '' "$plain_each") ours=$(timed '' "$ours_each")
row 'evaluate_points, sale by sale in one statement' "$(rate "$documents" "$plain")" "$(rate "$documents" "$ours")" "$(ratio "$plain" "$ours")"
plain=$(tps -c 1 -f "$work/plain.sql") ours=$(tps -c 1 -f "$work/ours.sql")
row 'evaluate_points, sale by sale, 1 client' "$plain/s" "$ours/s" "$(ratio "$ours" "$plain")"
trip=$(tps -c 1 -f "$work/trip.sql")
row '  the round trip alone, with as many rows of nothing' '' "$trip/s" "$(ratio "$trip" "$plain")"

# to begin anew makes rows dead, which is no part of accruing: both sides are rid of them before it
plain=$(timed 'TRUNCATE plain_ledger; UPDATE plain_member SET balance = 0; VACUUM plain_member' "
 WITH earned AS (INSERT INTO plain_ledger (sale_id, member_id, points, remaining, earned_at, expires_at) SELECT p.sale_id, p.member_id, sum(p.points), sum(p.points), s.sold_at, s.sold_at + interval '1 year'
                 FROM plain_points p JOIN plain_sale s USING (sale_id) GROUP BY 1, 2, s.sold_at ON CONFLICT (sale_id) DO NOTHING RETURNING member_id, points)
 UPDATE plain_member b SET balance = balance + e.points FROM (SELECT member_id, sum(points) AS points FROM earned GROUP BY 1) e WHERE b.member_id = e.member_id")
ours=$(timed 'ALTER TABLE crm_member.points_entry DISABLE TRIGGER refuse_change; TRUNCATE crm_member.points_entry, crm_member.points_lot; ALTER TABLE crm_member.points_entry ENABLE TRIGGER refuse_change;
  UPDATE crm_member.points_account SET balance = 0, entry_no = 0; UPDATE crm_member.sale SET settled_at = NULL; VACUUM crm_member.points_account; VACUUM crm_member.sale' 'SELECT crm_member.settle_sales()')
row 'accrue them in one statement: rules, ledger, lots, balances' "$(rate "$sales" "$plain")" "$(rate "$sales" "$ours")" "$(ratio "$plain" "$ours")"
[ "$(value 'SELECT count(*) FROM crm_member.verify_ledger()')" = 0 ] || { echo 'verify_ledger() found something' >&2; exit 1; }

# checkout beside the very rows it writes: by bare prepared statements in one transaction, which is nine round trips
# where checkout is one; and by the same statements in a plpgsql function, which is one round trip too
run <<'SQL'
CREATE TABLE floor_sale (LIKE crm_member.sale INCLUDING ALL);
CREATE TABLE floor_line (LIKE crm_member.sale_line INCLUDING ALL);
CREATE TABLE floor_ref (LIKE crm_member.sale_ref INCLUDING ALL);
CREATE TABLE floor_account (LIKE crm_member.points_account INCLUDING ALL);
CREATE TABLE floor_entry (LIKE crm_member.points_entry INCLUDING ALL);
CREATE TABLE floor_lot (LIKE crm_member.points_lot INCLUDING ALL);
CREATE TABLE floor_change (LIKE crm_member.rfm_change INCLUDING ALL);
INSERT INTO floor_account SELECT * FROM crm_member.points_account ON CONFLICT DO NOTHING;
CREATE SEQUENCE floor_no;
SQL
cat >"$work/floor.sql" <<'SQL'
\set m random(1, 100000)
BEGIN;
INSERT INTO floor_ref (source, ref, member_id, sale_id, digest) VALUES ('pos', 'f' || nextval('floor_no'), :m, currval('floor_no'), 1);
INSERT INTO floor_account AS a (member_id, points_type, balance, entry_no, settles_at) VALUES (:m, 'points', 30, 1, now()) ON CONFLICT (member_id, points_type) DO UPDATE SET balance = a.balance + 30, entry_no = a.entry_no + 1, settles_at = now();
INSERT INTO floor_entry (member_id, points_type, entry_no, kind, points, balance, at, sale_id, rules, rule_lines, rule_points, line_nos, line_points) SELECT :m, 'points', currval('floor_no'), 'earn', 30, 30, now(), currval('floor_no'), array_fill('r100'::text, ARRAY[30]), array_fill(0, ARRAY[30]), array_fill(1::numeric, ARRAY[30]), '{1,2,3}', '{10,10,10}';
INSERT INTO floor_lot (member_id, points_type, lot_no, points, remaining, earned_at, available_at) VALUES (:m, 'points', currval('floor_no'), 30, 30, now(), now());
INSERT INTO floor_line (member_id, sale_id, line_no, category, price) VALUES (:m, currval('floor_no'), 1, 'k1', 99), (:m, currval('floor_no'), 2, 'k2', 20), (:m, currval('floor_no'), 3, 'k3', 30);
INSERT INTO floor_change (member_id) VALUES (:m);
INSERT INTO floor_sale (member_id, sale_id, source, ref, store, channel, sold_at, amount, discount, payable, settled_at) VALUES (:m, currval('floor_no'), 'pos', 'f' || currval('floor_no'), 's1', 'c1', now(), 149, 0, 149, now());
COMMIT;
SQL
{ echo 'CREATE FUNCTION floor_sale(m bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN'; sed -n '/^INSERT/ s/:m/m/gp' "$work/floor.sql"; echo 'END $$;'; } >"$work/function.sql"
run -f "$work/function.sql"
printf '%s\n' '\set m random(1, 100000)' 'SELECT floor_sale(:m);' >"$work/floor_call.sql"
cat >"$work/checkout.sql" <<'SQL'
\set m random(1, 100000)
SELECT crm_member.checkout(jsonb_build_object('ref', 'c' || nextval('floor_no'), 'member_id', :m::int, 'store', 's1', 'channel', 'c1', 'sold_at', '2026-06-15 12:00',
  'lines', '[{"category": "k1", "price": 99}, {"category": "k2", "price": 20}, {"category": "k3", "price": 30}]'::jsonb));
SQL
for clients in 4 16; do
  # in turn, three times each: the machine may have other things to do
  for _ in 1 2 3; do
    for side in checkout floor floor_call; do tps -c "$clients" -j 2 -f "$work/$side.sql" >>"$work/$side.$clients"; echo >>"$work/$side.$clients"; done
  done
  for side in checkout floor floor_call; do sort -g "$work/$side.$clients" | sed -n 2p >"$work/$side.tps"; done
  ours=$(<"$work/checkout.tps") plain=$(<"$work/floor.tps") call=$(<"$work/floor_call.tps")
  row "checkout, durable, $clients clients, beside bare inserts of its rows" "$plain/s" "$ours/s" "$(percent "$ours" "$plain")"
  row '  beside a function with these inserts' "$call/s" "$ours/s" "$(percent "$ours" "$call")"
done

run <<'SQL'
CREATE TABLE plain_lot AS SELECT row_number() OVER () AS lot_id, 1 + g % 20000 AS member_id, 100::numeric AS remaining, timestamptz '2030-01-01' + g * interval '1 minute' AS expires_at FROM generate_series(1, 200000) g;
ALTER TABLE plain_lot ADD PRIMARY KEY (lot_id);
CREATE INDEX ON plain_lot (member_id, expires_at) WHERE remaining > 0;
CREATE TABLE plain_spent (spent_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, member_id bigint, points numeric, at timestamptz);
CREATE FUNCTION plain_spend(m bigint, p numeric) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE l record; t numeric; BEGIN
  UPDATE plain_balance SET balance = balance - p WHERE member_id = m AND balance >= p;
  IF NOT FOUND THEN RETURN NULL; END IF;
  FOR l IN SELECT lot_id, remaining FROM plain_lot WHERE member_id = m AND remaining > 0 AND expires_at > now() ORDER BY expires_at FOR UPDATE LOOP
    t := least(l.remaining, p); UPDATE plain_lot SET remaining = remaining - t WHERE lot_id = l.lot_id; p := p - t; EXIT WHEN p = 0;
  END LOOP;
  INSERT INTO plain_spent (member_id, points, at) VALUES (m, p, now());
  RETURN p; END $$;
UPDATE plain_balance SET balance = 1000 WHERE member_id <= 20000;
INSERT INTO crm_member.member (member_id) SELECT 200000 + g FROM generate_series(1, 20000) g;
INSERT INTO crm_member.points_account (member_id, points_type, balance, entry_no, expires_at) SELECT 200000 + g, 'points', 1000, 10, '2030-01-01' FROM generate_series(1, 20000) g;
INSERT INTO crm_member.points_entry (member_id, points_type, entry_no, kind, points, balance, at) SELECT 200000 + g, 'points', n, 'award', 100, n * 100, '2026-01-01' FROM generate_series(1, 20000) g, generate_series(1, 10) n;
INSERT INTO crm_member.points_lot (member_id, points_type, lot_no, points, remaining, earned_at, available_at, expires_at) SELECT 200000 + g, 'points', n, 100, 100, '2026-01-01', '2026-01-01', timestamptz '2030-01-01' + n * interval '1 day' FROM generate_series(1, 20000) g, generate_series(1, 10) n;
-- the very rows that a spend writes, by bare statements in a function that knows which lot
INSERT INTO floor_account (member_id, points_type, balance, entry_no) SELECT 200000 + g, 'points', 1000000, 10 FROM generate_series(1, 20000) g;
INSERT INTO floor_entry SELECT * FROM crm_member.points_entry WHERE member_id > 200000;
INSERT INTO floor_lot (member_id, points_type, lot_no, points, remaining, earned_at, available_at, expires_at) SELECT 200000 + g, 'points', n, 1000000, 1000000, '2026-01-01', '2026-01-01', timestamptz '2030-01-01' + n * interval '1 day' FROM generate_series(1, 20000) g, generate_series(1, 10) n;
CREATE FUNCTION floor_spend(m bigint, r text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE a record; BEGIN
  UPDATE floor_account SET balance = balance - 15, entry_no = entry_no + 1 WHERE member_id = m AND points_type = 'points' AND balance >= 15 RETURNING balance, entry_no INTO a;
  INSERT INTO floor_entry (member_id, points_type, entry_no, kind, points, balance, at, ref, lot_nos, lot_points) VALUES (m, 'points', a.entry_no, 'spend', -15, a.balance, now(), r, '{1}', '{15}') ON CONFLICT DO NOTHING;
  UPDATE floor_lot SET remaining = remaining - 15, open = remaining > 15 WHERE member_id = m AND points_type = 'points' AND lot_no = 1;
  RETURN a.balance; END $$;
VACUUM ANALYZE plain_lot; VACUUM ANALYZE plain_balance; VACUUM ANALYZE crm_member.points_lot; VACUUM ANALYZE crm_member.points_account; VACUUM ANALYZE crm_member.points_entry;
VACUUM ANALYZE floor_account; VACUUM ANALYZE floor_entry; VACUUM ANALYZE floor_lot;
SQL
printf '%s\n' '\set m random(1, 20000)' 'SELECT plain_spend(:m, 15);' >"$work/plain_spend.sql"
printf '%s\n' '\set m random(200001, 220000)' "SELECT crm_member.spend_points(:m, 15, ref => 's' || nextval('floor_no'));" >"$work/spend.sql"
printf '%s\n' '\set m random(200001, 220000)' "SELECT floor_spend(:m, 's' || nextval('floor_no'));" >"$work/floor_spend.sql"
for _ in 1 2 3; do
  for side in spend plain_spend floor_spend; do tps -c 4 -j 2 -f "$work/$side.sql" >>"$work/$side.4"; echo >>"$work/$side.4"; done
done
for side in spend plain_spend floor_spend; do sort -g "$work/$side.4" | sed -n 2p >"$work/$side.tps"; done
ours=$(<"$work/spend.tps") plain=$(<"$work/plain_spend.tps") call=$(<"$work/floor_spend.tps")
row 'spend 15 points, earliest expiry first, durable, 4 clients' "$plain/s" "$ours/s" "$(ratio "$ours" "$plain")"
row '  beside a function that writes the same rows, unasked' "$call/s" "$ours/s" "$(percent "$ours" "$call")"
printf '%s\n' '\set m random(1, 100000)' 'SELECT balance FROM plain_balance WHERE member_id = :m;' >"$work/plain_read.sql"
printf '%s\n' '\set m random(200001, 220000)' 'SELECT crm_member.points_balance(:m);' >"$work/read.sql"
plain=$(tps -c 4 -j 2 -f "$work/plain_read.sql") ours=$(tps -c 4 -j 2 -f "$work/read.sql")
row 'read a balance, 4 clients (plain SQL: a stored number)' "$plain/s" "$ours/s" "$(ratio "$ours" "$plain")"
