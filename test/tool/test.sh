#!/usr/bin/env bash
# make test: build a copy of the tree, run every layer of tests on throw-away
# servers, print a line for each test and at the end "N passed, N failed".
#
#   TESTS="catalog 003_crash"   only these, of whatever layer
#   KEEP=1                      keep the temporary folder, to look at results
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

passed=0 failed=0
if [ -t 1 ]; then red=$'\e[31m' plain=$'\e[0m'; else red='' plain=''; fi

# result LAYER NAME ok|failed|skipped [remark]
result() {
  local colour=
  case $3 in
    ok) passed=$((passed + 1)) ;;
    failed) failed=$((failed + 1)) colour=$red ;;
  esac
  printf '%s%-9s  %-7s  %s%s%s\n' "$colour" "$1" "$3" "$2" "${4:+  ($4)}" "${colour:+$plain}"
}

# Names of the files in a folder without their ending, those that were asked for.
tests_in() {
  local file name
  for file in "$build/$1"/*."$2"; do
    [ -e "$file" ] || continue
    name=$(basename "$file" ".$2")
    if [ -z "${TESTS:-}" ]; then echo "$name"; continue; fi
    case " $TESTS " in *" $name "*) echo "$name" ;; esac
  done
}

# pg_regress LAYER FOLDER PROGRAM OPTIONS... -- TESTS...; reads both of its formats,
# that before and that since PostgreSQL 16.
pg_regress() {
  local layer=$1 folder=$2 log=$work/$1.log name line status=0 options=()
  shift 2
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  run_child in_folder "$build" "${options[@]}" "$@" >"$log" 2>&1 || status=$?
  for name in "$@"; do
    line=$(sed -nE -e "s/^(test)? +$name +\.\.\. (ok|FAILED).*/\2/p" \
      -e "s/^(ok|not ok) +[0-9]+ +[-+] $name( .*)?$/\1/p" "$log" | head -n 1)
    case $line in
      ok) result "$layer" "$name" ok ;;
      '') result "$layer" "$name" failed 'did not run' ;;
      *) result "$layer" "$name" failed ;;
    esac
    ran=$((ran + 1))
  done
  if [ "$status" != 0 ]; then
    if [ -s "$build/$folder/regression.diffs" ]; then
      cat "$build/$folder/regression.diffs"
    else
      cat "$log"
      result "$layer" 'pg_regress' failed "exit status $status"
    fi
  fi
}

# Without a file of expected output pg_regress would give up on all that follows.
expect_something() {
  local folder=$1 name
  shift
  mkdir -p "$build/$folder"
  for name in "$@"; do
    [ -e "$build/$folder/$name.out" ] || echo "$folder/$name.out is missing" >"$build/$folder/$name.out"
  done
}

run_regress() {
  local tests
  mapfile -t tests < <(tests_in test/sql sql)
  [ ${#tests[@]} -gt 0 ] || return 0
  expect_something expected "${tests[@]}"
  pg_regress regress . "$pgxs/src/test/regress/pg_regress" --bindir="$bin" --inputdir=test $expected \
    --dbname=regress_crm_member -- "${tests[@]}"
}

run_isolation() {
  local tests
  mapfile -t tests < <(tests_in test/isolation/specs spec)
  [ ${#tests[@]} -gt 0 ] || return 0
  expect_something test/isolation/expected "${tests[@]}"
  pg_regress isolation output_iso "$pgxs/src/test/isolation/pg_isolation_regress" --bindir="$bin" \
    --inputdir=test/isolation --outputdir=output_iso --dbname=isolation_crm_member \
    --load-extension=crm_member -- "${tests[@]}"
}

# A TAP file makes and stops its own servers, which refuse to run as root.
run_tap() {
  local name number text line log status planned seen ok
  for name in $(tests_in test/t pl); do
    ran=$((ran + 1))
    server_folder "tap/$name"
    log=$work/tap/$name/output status=0 planned='' seen=0 ok=1
    run_child in_folder "$work/tap/$name" as_server env -u PGHOST -u PGPORT -u PGUSER -u PGDATABASE \
      PATH="$bin:$PATH" PG_REGRESS="$pgxs/src/test/regress/pg_regress" TESTDIR="$work/tap/$name" \
      TESTDATADIR="$work/tap/$name/data" TESTLOGDIR="$work/tap/$name/log" top_builddir="$work/tap/$name" \
      CRM_ROOT="$build" timeout -k 10 600 perl -I "$pgxs/src/test/perl" "$build/test/t/$name.pl" \
      >"$log" 2>"$log.err" || status=$?
    while IFS= read -r line; do
      if [[ $line =~ ^(not\ )?ok\ ([0-9]+)(\ -\ (.*))?$ ]]; then
        number=${BASH_REMATCH[2]} text=${BASH_REMATCH[4]:-test ${BASH_REMATCH[2]}}
        seen=$number
        if [[ $text == *'# skip'* ]]; then result tap "$name: $text" skipped
        elif [ -n "${BASH_REMATCH[1]}" ]; then result tap "$name: $text" failed; ok=
        else result tap "$name: $text" ok; fi
      elif [[ $line =~ ^1\.\.([0-9]+)(.*)$ ]]; then
        planned=${BASH_REMATCH[1]}
        [ "$planned" != 0 ] || result tap "$name" skipped "${BASH_REMATCH[2]# # SKIP }"
      fi
    done <"$log"
    if [ -n "$ok" ] && { [ "$status" != 0 ] || [ "$planned" != "$seen" ]; }; then
      result tap "$name" failed "exit status $status after $seen of ${planned:-?} tests"
      ok=
    fi
    [ -n "$ok" ] || { cat "$log.err"; tail -n 40 "$work/tap/$name"/tmp_check/log/*.log 2>/dev/null || true; }
  done
}

prepare
keep_server=${KEEP:+1}
pgxs=$(cd "$(dirname "$("$PG_CONFIG" --pgxs)")/../.." && pwd)
expected=
[ "$("$PG_CONFIG" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')" -lt 16 ] || expected=--expecteddir=.
server_folder tap
start_server 'fsync = off' "shared_preload_libraries = ''" 'max_prepared_transactions = 10'

empty=
for layer in regress isolation tap; do
  ran=0
  "run_$layer"
  [ $ran -gt 0 ] || empty="$empty $layer"
done

stop_server
# a server that went down fails whatever ran then: why stands in its log
grep -hE -B 5 'was terminated by signal|exited with exit code [^01]|PANIC' "$work/server/log" || true
if [ -n "${KEEP:-}" ]; then say "kept: $work"; fi
if [ -n "${TESTS:-}" ]; then
  [ $((passed + failed)) -gt 0 ] || { say "no test is named: $TESTS"; failed=1; }
elif [ -n "$empty" ]; then
  say "nothing ran in:$empty"
  failed=$((failed + 1))
fi
say "$passed passed, $failed failed"
[ "$failed" = 0 ]
