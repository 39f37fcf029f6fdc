#!/usr/bin/env bash
# make bench: ours beside plain SQL, in one run, on a private server.
#
#   BENCH="points rfm"   only these of test/bench (default: all)
#   BUFFERS=4GB          shared_buffers (default: 1GB)
#   KEEP=1               leave the server up, and say how to reach and remove it
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

say 'Building'
prepare
start_server "shared_buffers = ${BUFFERS:-1GB}" 'work_mem = 128MB' 'maintenance_work_mem = 512MB' 'max_wal_size = 8GB' 'min_wal_size = 2GB' \
  'checkpoint_timeout = 30min' 'autovacuum = off' 'max_connections = 100' 'jit = off' 'random_page_cost = 1.1'
export PATH=$bin:$PATH

for script in "$root"/test/bench/*; do
  name=$(basename "${script%.*}")
  [ -z "${BENCH:-}" ] || [[ " $BENCH " == *" $name "* ]] || continue
  say ''
  say "== $name"
  case $script in
    *.sh) run_child bash "$script" ;;
    *.sql)
      psql -X -q -c "CREATE DATABASE bench_$name TEMPLATE template0 ENCODING 'UTF8'"
      run_child psql -X -q -d "bench_$name" -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION crm_member' -c 'CALL crm_member.setup()' -f "$script"
      psql -X -q -c "DROP DATABASE bench_$name"
      ;;
  esac
done
if [ -n "${KEEP:-}" ]; then
  keep_server=1
  say "The server is up: psql -h $PGHOST -U postgres; stop and remove it with: $bin/pg_ctl -D $work/server/data stop; rm -rf $work"
fi
