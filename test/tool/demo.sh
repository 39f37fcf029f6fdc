#!/usr/bin/env bash
# make demo: a year of a grocer's sales through the extension, on a throw-away
# server. The steps are in test/demo, the data in test/data/journey.
#
#   KEEP=1   leave the server up, and say how to reach and remove it
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ -t 1 ]; then
  bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m' back=$'\r\e[K'
else
  bold='' dim='' plain='' back=''
fi

heading() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
seconds() { date +%s.%N; }
since()   { awk -v a="$1" -v b="$(seconds)" 'BEGIN { printf "%.1f s", b - a }'; }

# step LABEL COMMAND...: run it, and say how long it took
step() {
  local label=$1 begin
  shift
  begin=$(seconds)
  [ -z "$back" ] || printf '  %s%s ...%s' "$dim" "$label" "$plain"
  "$@"
  printf '%s  %-58s %10s\n' "$back" "$label" "$(since "$begin")"
}

# bar DONE OF REMARK: where a long step stands; nothing where nobody watches
bar() {
  [ -n "$back" ] || return 0
  local width=30 full
  full=$((width * $1 / $2))
  printf '%s  [%s%s] %3d %%  %s' "$back" "$(printf '%*s' $full '' | tr ' ' '#')" \
    "$(printf '%*s' $((width - full)) '' | tr ' ' '.')" $((100 * $1 / $2)) "$3"
}

sql()  { "$bin/psql" -X -q -v ON_ERROR_STOP=1 "$@"; }
run()  { sql "$@" >/dev/null; }
show() { sql --pset=footer=off --pset=border=0 "$@" | sed 's/^/  /'; }
demo=$root/test/demo

load_files() {
  local table
  run -f "$demo/stage.sql"
  for table in transactions products demographics campaign_descriptions campaigns coupons coupon_redemptions; do
    zcat "$root/test/data/journey/$table.csv.gz" | run -c "COPY journey.$table FROM STDIN (FORMAT csv, HEADER)"
  done
  run -c 'ANALYZE journey.transactions, journey.products'
}

load_list() {
  run -f "$demo/list.sql"
  run -c "COPY journey.list FROM STDIN (HEADER, NULL '')" <"$root/test/data/match/cn_members.tsv"
}

# A transaction a month.
load_sales() {
  local month
  run -f "$demo/baskets.sql" -c 'ANALYZE journey.basket, journey.line'
  for month in 1 2 3 4 5 6 7 8 9 10 11 12; do
    bar $((month - 1)) 12 "sales of 2017-$(printf %02d $month)"
    run --single-transaction -v month=$month -f "$demo/sales.sql"
  done
  run -c 'ANALYZE'
}

begin=$(seconds)
heading 'Set-up'
step 'Packages, a private copy of PostgreSQL, build' prepare
step 'Start a server of our own' start_server 'fsync = off' 'work_mem = 64MB' "shared_preload_libraries = 'pg_cron'" "cron.database_name = 'crm'"
run -c 'CREATE DATABASE crm'
export PGDATABASE=crm
step 'CREATE EXTENSION crm_member; CALL crm_member.setup()' run -c 'CREATE EXTENSION crm_member' \
  -c "CALL crm_member.setup(time_zone => 'America/New_York', currency => 'USD')"

heading 'A year of shopping: The Complete Journey (84.51°, CC0)'
step 'Load the files' load_files
step 'Households become members' run -f "$demo/members.sql"
step 'A dozen points rules' run -f "$demo/rules.sql"
step 'Baskets become sales and are settled' load_sales
step 'Campaigns become coupons' run -f "$demo/campaigns.sql"
step 'RFM as of 31 December' run -c "CALL crm_member.run_rfm(as_of => '2017-12-31')"

heading 'A list of 2,000 members, some of them more than once (made up)'
step 'Load it' load_list
step 'Find who is whom' run -c "CALL crm_member.find_duplicates('list')"

heading 'What was loaded, and that the books are in order (0 violations)'
show -f "$demo/loaded.sql"
heading 'Points by rule: each rule is a row of points_rule'
show -f "$demo/points.sql"
heading 'RFM: how many households bought how lately (down) and how often (across), 5 is best'
show --tuples-only --no-align -c 'SELECT crm_member.rfm_grid()'
heading 'One member, all of it'
show --tuples-only --no-align -f "$demo/basket.sql" -f "$demo/member.sql"
heading 'Why did one of its baskets earn this? explain_points() says it of every rule'
show -f "$demo/basket.sql" -f "$demo/why.sql"
heading 'Coupons: the redemptions of its campaigns, presented again as they were and as they were not; and what is best for that basket'
show -f "$demo/basket.sql" -f "$demo/coupons.sql"
heading 'Who is in the list twice? Nothing was labelled or set by hand'
show -f "$demo/twice.sql"

heading "Done in $(since "$begin")"
if [ -n "${KEEP:-}" ]; then
  keep_server=1
  if [ "$(id -u)" = 0 ]; then as="runuser -u $server_user -- "; else as=; fi
  say "  The server is still up. Reach it with
    $bin/psql -h $PGHOST -U postgres crm
  stop and remove it with
    $as$bin/pg_ctl -D $work/server/data -m fast stop && rm -rf $work"
else
  say "  All of it is removed again. To look around yourself: make demo KEEP=1
  Next: the five-minute tour in README.md; make test runs the tests."
fi
