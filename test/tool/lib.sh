# What demo.sh, test.sh and bench.sh share: find or install the packages, build
# a copy of the tree, and run a private server from a private copy of PostgreSQL.
# Nothing outside $work is written, and $work is removed at exit.
#
#   work     temporary folder          root     the checkout
#   stage    prefix of the private PostgreSQL (bindir, libdir, sharedir below it)
#   bin      its programs              as_server CMD   run as the server's user
set -euo pipefail
export LC_ALL=C.UTF-8
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say()  { printf '%s\n' "$*"; }
fail() { printf 'crm_member: %s\n' "$*" >&2; exit 1; }

find_pg_config() {
  if [ -z "${PG_CONFIG:-}" ]; then
    PG_CONFIG=$(ls /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -V | tail -n 1 || true)
    [ -n "$PG_CONFIG" ] || PG_CONFIG=$(command -v pg_config || true)
  fi
  [ -n "$PG_CONFIG" ] && [ -e "$("$PG_CONFIG" --pgxs)" ] && [ -e "$("$PG_CONFIG" --bindir)/initdb" ]
}

# Debian packages that are missing for what this run needs, one a word.
missing_packages() {
  local major=15
  find_pg_config && major=$("$PG_CONFIG" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/') \
    || printf 'postgresql-%s postgresql-server-dev-%s ' "$major" "$major"
  command -v gcc >/dev/null || command -v cc >/dev/null || printf 'gcc '
  command -v pkg-config >/dev/null || printf 'pkg-config '
  pkg-config --exists icu-i18n 2>/dev/null || printf 'libicu-dev '
  [ -z "${PG_CONFIG:-}" ] || [ -e "$("$PG_CONFIG" --sharedir)/extension/pg_cron.control" ] \
    || printf 'postgresql-%s-cron ' "$major"
  perl -MIPC::Run -e 1 2>/dev/null || printf 'libipc-run-perl '
}

need_packages() {
  local missing
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "Installing $missing"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } \
      >"$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; fail "apt-get could not install: $missing"; }
    missing=$(missing_packages)
  fi
  [ -z "$missing" ] || fail "missing packages: $missing
As root on Debian this command installs them by itself; elsewhere install their like and
name the server with PG_CONFIG=/path/to/pg_config."
  find_pg_config
}

as_server() {
  if [ "$(id -u)" = 0 ]; then runuser -u "$server_user" -- "$@"; else "$@"; fi
}

make_work() {
  work=$(mktemp -d "${TMPDIR:-/tmp}/crm_member.XXXXXX")
  chmod 755 "$work"
  server_user=$(id -un)
  if [ "$(id -u)" = 0 ]; then
    server_user=postgres
    getent passwd postgres >/dev/null || server_user=nobody
  fi
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

clean_up() {
  local status=$?
  trap - EXIT
  if [ -n "${keep_server:-}" ] && [ "$status" = 0 ]; then return; fi
  stop_server
  cd /
  rm -rf "$work"
  exit "$status"
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
}

build() {
  mkdir -p "$work/build"
  tar -C "$root" --exclude=.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' -cf - . | tar -C "$work/build" -xf -
  make -C "$work/build" -j"$(nproc)" PG_CONFIG="$PG_CONFIG" with_llvm=no >"$work/build.log" 2>&1 \
    || { tail -n 30 "$work/build.log" >&2; fail 'the build failed'; }
  make -C "$work/build" install DESTDIR="$stage" PG_CONFIG="$PG_CONFIG" with_llvm=no >>"$work/build.log" 2>&1 \
    || { tail -n 30 "$work/build.log" >&2; fail 'the installation failed'; }
}

# start_server [line of postgresql.conf ...]
start_server() {
  local line
  export PGHOST=$work/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
  unset PGPASSWORD PGSERVICE PGOPTIONS || true
  mkdir -p "$work/socket"
  if [ "$(id -u)" = 0 ]; then mkdir -p "$work/server"; chown "$server_user" "$work/server" "$work/socket"; else mkdir -p "$work/server"; fi
  (cd "$work/server" && as_server "$bin/initdb" -D "$work/server/data" -U postgres -E UTF8 --locale=C.UTF-8 -A trust -N) \
    >"$work/initdb.log" 2>&1 || { cat "$work/initdb.log" >&2; fail 'initdb failed'; }
  {
    echo "listen_addresses = ''"
    echo "unix_socket_directories = '$work/socket'"
    echo "fsync = on"
    for line in "$@"; do echo "$line"; done
  } | as_server tee -a "$work/server/data/postgresql.conf" >/dev/null
  (cd "$work/server" && as_server "$bin/pg_ctl" -D "$work/server/data" -l "$work/server/log" -w -s start) \
    || { tail -n 20 "$work/server/log" >&2; fail 'the server did not start'; }
  server_started=1
}

stop_server() {
  [ -n "${server_started:-}" ] || return 0
  (cd "$work/server" && as_server "$bin/pg_ctl" -D "$work/server/data" -m immediate -w -s stop) || true
  server_started=
}
