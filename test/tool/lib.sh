# shellcheck shell=bash disable=SC2012
# What demo.sh, test.sh and bench.sh share: find or install the packages, build
# a copy of the tree, and run a private server from a private copy of PostgreSQL.
# Nothing outside $work is written, and $work is removed at exit.
#
#   root     the checkout              work     temporary folder
#   build    the copy that is built    stage    prefix of the private PostgreSQL
#   bin      its programs              as_server CMD   run as the server's user
set -euo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES CDPATH
unset PGSERVICE PGSERVICEFILE PGHOSTADDR PGPASSWORD PGPASSFILE PGOPTIONS PGCLIENTENCODING PGTZ PGAPPNAME
export LC_ALL=C.UTF-8 PSQLRC=/dev/null PGSSLMODE=disable
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say()  { printf '%s\n' "$*"; }
fail() { printf 'crm_member: %s\n' "$*" >&2; exit 1; }
fail_with() { tail -n 30 "$1" >&2; fail "$2"; }

find_pg_config() {
  if [ -z "${PG_CONFIG:-}" ]; then
    PG_CONFIG=$(ls /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -V | tail -n 1 || true)
    [ -n "$PG_CONFIG" ] || PG_CONFIG=$(command -v pg_config || true)
  fi
  [ -n "$PG_CONFIG" ] && [ -e "$("$PG_CONFIG" --bindir)/initdb" ]
}

# Debian keeps the server, its headers and what builds and tests extensions apart.
have_headers() {
  [ -e "$("$PG_CONFIG" --includedir-server)/postgres.h" ] && [ -e "$("$PG_CONFIG" --pgxs)" ] &&
    [ -e "$(dirname "$("$PG_CONFIG" --pgxs)")/../test/regress/pg_regress" ]
}

# The newest PostgreSQL we run on that apt knows: each Debian has one.
offered_major() {
  local major
  for major in 18 17 16; do
    if apt-cache show "postgresql-$major" >/dev/null 2>&1; then echo $major; return; fi
  done
  echo 15
}

# Debian packages that are missing for what this run needs, one a word.
missing_packages() {
  local major
  if find_pg_config; then
    major=$("$PG_CONFIG" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    have_headers || printf 'postgresql-server-dev-%s ' "$major"
    [ -e "$("$PG_CONFIG" --sharedir)/extension/pg_cron.control" ] || printf 'postgresql-%s-cron ' "$major"
  else
    major=$(offered_major)
    printf 'postgresql-%s postgresql-server-dev-%s postgresql-%s-cron ' "$major" "$major" "$major"
  fi
  command -v cc >/dev/null || command -v gcc >/dev/null || printf 'gcc libc6-dev '
  pkg-config --version >/dev/null 2>&1 || printf 'pkg-config '
  pkg-config --exists icu-i18n 2>/dev/null || printf 'libicu-dev '
  perl -MTest::More -MIPC::Run -e 1 2>/dev/null || printf 'perl libipc-run-perl '
}

# Debian starts a server of its own with the first PostgreSQL package; not for us.
install_packages() {
  local conf=/etc/postgresql-common/createcluster.conf ours=
  if [ ! -e "$conf" ]; then
    ours=1
    mkdir -p "${conf%/*}"
    echo 'create_main_cluster = false' >"$conf"
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >"$work/apt.log" 2>&1 </dev/null ||
    { [ -z "$ours" ] || rm -f "$conf"; fail_with "$work/apt.log" "apt-get could not install: $*"; }
  if [ -n "$ours" ]; then
    if [ -e "/usr/share/postgresql-common/${conf##*/}" ]; then cp "/usr/share/postgresql-common/${conf##*/}" "$conf"; else rm -f "$conf"; fi
  fi
}

need_packages() {
  local missing
  missing=$(missing_packages)
  if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update >"$work/apt.log" 2>&1 </dev/null || fail_with "$work/apt.log" 'apt-get update failed'
    missing=$(missing_packages)
    say "Installing ${missing% }"
    # shellcheck disable=SC2086
    install_packages $missing
    missing=$(missing_packages)
  fi
  [ -z "$missing" ] || fail "missing packages: ${missing% }
Run as root on Debian, this command installs them by itself. Elsewhere install their like,
and name the server's pg_config with PG_CONFIG=/path/to/pg_config."
  find_pg_config
}

as_server() {
  if [ "$(id -u)" = 0 ]; then runuser -u "$server_user" -- "$@"; else "$@"; fi
}

in_folder() { cd "$1" && shift && "$@"; }

# mktemp makes a folder that only we may enter; the server's user must pass too.
make_work() {
  work=$(mktemp -d "${TMPDIR:-/tmp}/crm_member.XXXXXX")
  [ ${#work} -lt 70 ] || { rmdir "$work"; work=$(mktemp -d /tmp/crm_member.XXXXXX); }
  chmod 755 "$work"
  trap clean_up EXIT
  trap 'trap "" HUP INT TERM; exit 129' HUP
  trap 'trap "" HUP INT TERM; exit 130' INT
  trap 'trap "" HUP INT TERM; exit 143' TERM
}

clean_up() {
  local status=$? pidfile
  trap '' HUP INT TERM
  trap - EXIT
  if [ -n "${keep_server:-}" ]; then exit "$status"; fi
  if [ -n "${child:-}" ]; then kill -- "-$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; fi
  # whatever server of ours still runs, those of interrupted TAP tests included
  while IFS= read -r pidfile; do
    as_server "$bin/pg_ctl" -D "${pidfile%/*}" -m immediate -w -s stop >/dev/null 2>&1 || true
  done < <(find "$work" -name postmaster.pid 2>/dev/null)
  cd /
  rm -rf "$work"
  exit "$status"
}

# Run a long command in a process group of its own, so that a signal to us ends
# all of it at once. Not to be called in a subshell: clean_up would not know.
run_child() {
  local status=0
  set -m
  "$@" &
  child=$!
  set +m
  wait "$child" || status=$?
  child=
  return $status
}

# A copy of the installed PostgreSQL below $stage: programs copied, since a server
# finds its libraries from where its program lies; everything else linked.
make_stage() {
  local dir
  stage=$work/stage
  bin=$stage$("$PG_CONFIG" --bindir)
  mkdir -p "$bin"
  cp -a "$("$PG_CONFIG" --bindir)/." "$bin/"
  for dir in "$("$PG_CONFIG" --pkglibdir)" "$("$PG_CONFIG" --sharedir)"; do
    mkdir -p "$stage$dir"
    cp -as "$dir/." "$stage$dir/"
  done
  # an installed crm_member must not stand in for the one we build
  rm -f "$stage$("$PG_CONFIG" --sharedir)"/extension/crm_member* "$stage$("$PG_CONFIG" --pkglibdir)"/crm_member*
  rm -rf "$stage$("$PG_CONFIG" --pkglibdir)/bitcode/crm_member"
}

build() {
  build=$work/build
  mkdir -p "$build"
  tar -C "$root" --exclude=.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' --exclude='crm_member--*.sql' \
    --exclude=./results --exclude=./tmp_check --exclude=./output_iso --exclude='./regression.*' -cf - . |
    tar -C "$build" --no-same-owner -xf -
  run_child make -s -C "$build" -j"$(nproc)" PG_CONFIG="$PG_CONFIG" with_llvm=no >"$work/build.log" 2>&1 ||
    fail_with "$work/build.log" 'the build failed'
  make -C "$build" install DESTDIR="$stage" PG_CONFIG="$PG_CONFIG" with_llvm=no >>"$work/build.log" 2>&1 ||
    fail_with "$work/build.log" 'the installation failed'
}

# Everything up to a private PostgreSQL with the extension in it.
prepare() {
  make_work
  need_packages
  server_user=$(id -un)
  if [ "$(id -u)" = 0 ]; then
    server_user=postgres
    getent passwd postgres >/dev/null || server_user=nobody
  fi
  make_stage
  build
}

# A folder of the server's user below $work.
server_folder() {
  mkdir -p "$work/$1"
  if [ "$(id -u)" = 0 ]; then chown "$server_user" "$work/$1"; fi
}

# start_server [line of postgresql.conf ...]
start_server() {
  export PGHOST=$work/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
  server_folder server
  server_folder socket
  cd "$work/server"
  as_server "$bin/initdb" -D "$work/server/data" -U postgres -E UTF8 --locale=C.UTF-8 -A trust -N \
    >"$work/initdb.log" 2>&1 || fail_with "$work/initdb.log" 'initdb failed'
  printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$work/socket'" \
    "shared_buffers = 256MB" "max_connections = 120" "$@" |
    as_server tee -a "$work/server/data/postgresql.conf" >/dev/null
  # the server must not hold our output open
  as_server "$bin/pg_ctl" -D "$work/server/data" -l "$work/server/log" -w -s start >/dev/null 2>"$work/start.log" ||
    { [ ! -e "$work/server/log" ] || cat "$work/server/log" >>"$work/start.log"; fail_with "$work/start.log" 'the server did not start'; }
  cd "$root"
}

stop_server() {
  (cd "$work/server" && as_server "$bin/pg_ctl" -D "$work/server/data" -m fast -w -s stop)
}
