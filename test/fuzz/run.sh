#!/usr/bin/env bash
# Fuzz the condition parser for a while: run.sh [seconds]. Needs clang with
# libFuzzer (libclang-rt-dev); not part of "make test".
. "$(dirname "${BASH_SOURCE[0]}")/../tool/lib.sh"
seconds=${1:-60}
find_pg_config || fail 'no PostgreSQL with server headers'
command -v clang >/dev/null || fail 'clang is missing'
runtime=$(clang -print-runtime-dir)
fuzzer=$(find "$runtime" -name 'libclang_rt.fuzzer_no_main*.a' ! -name '*i386*' | head -n 1)
[ -n "$fuzzer" ] || fail "no libFuzzer in $runtime"

make_work
server_user=postgres
[ "$(id -u)" = 0 ] || server_user=$(id -un)
bin=$("$PG_CONFIG" --bindir)
clang -g -O1 -fPIC -shared -fwrapv -fno-strict-aliasing -Wno-everything \
  -fsanitize=fuzzer-no-link,undefined -fno-sanitize=function,vptr -fsanitize-trap=undefined \
  -I"$root/src" -I"$("$PG_CONFIG" --includedir-server)" \
  "$root"/test/fuzz/condition_fuzz.c "$root"/src/condition/*.c "$root"/src/money/*.c \
  "$fuzzer" -lstdc++ -lm -o "$work/condition_fuzz.so"
server_folder server
server_folder corpus
split -l 1 "$root/test/fuzz/condition.seeds" "$work/corpus/seed."
cd "$work/server"
as_server "$bin/initdb" -D data -U postgres -E UTF8 --locale=C.UTF-8 -N >initdb.log 2>&1
as_server "$bin/postgres" --single -j -D data postgres <<SQL
CREATE FUNCTION condition_fuzz(text[]) RETURNS int LANGUAGE c AS '$work/condition_fuzz.so';

SELECT condition_fuzz(ARRAY['-max_total_time=$seconds', '-max_len=400', '-print_final_stats=1',
  '-dict=$root/test/fuzz/condition.dict', '$work/corpus']);

SQL
