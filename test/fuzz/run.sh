#!/usr/bin/env bash
# Fuzz the parsers: run.sh [SECONDS [TARGET ...]], 30 seconds of every target unless told.
# A target is a file of seeds, one a line. Needs clang with libFuzzer (Debian: clang,
# libclang-rt-*-dev); not part of "make test". What it finds is left in the
# present folder as crash-*.
# shellcheck source-path=SCRIPTDIR source=../tool/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tool/lib.sh"
seconds=${1:-30}
[ $# = 0 ] || shift
here=$root/test/fuzz left=$PWD
[ $# -gt 0 ] || for file in "$here"/*.seeds; do set -- "$@" "$(basename "$file" .seeds)"; done

command -v clang >/dev/null || fail 'clang is missing'
fuzzer=$(find "$(clang -print-runtime-dir)" -name 'libclang_rt.fuzzer_no_main*.a' ! -name '*i386*' | head -n 1)
[ -n "$fuzzer" ] || fail 'clang has no libFuzzer'

say 'Building'
prepare
flags=(-g -O1 -fPIC -fwrapv -fno-strict-aliasing -Wno-everything -fsanitize=fuzzer-no-link,undefined
  -fno-sanitize=function,vptr -fsanitize-trap=undefined -I"$root/src" -I"$root/test/fuzz" -I"$("$PG_CONFIG" --includedir-server)")
mkdir "$work/fuzz"
cd "$root"
{ cd "$build" && printf '%s\0' src/*.o src/*/*.o && cd "$root" && printf '%s\0' test/fuzz/*.c; } | sed -z 's/\.o$/.c/' |
  xargs -0 -P "$(nproc)" -I{} sh -c 'source=$0 out=$1; shift; exec clang "$@" -c "$source" -o "$out/$(printf %s "$source" | tr / _).o"' {} "$work/fuzz" "${flags[@]}"
clang -shared "$work"/fuzz/*.o "$fuzzer" $(pkg-config --libs icu-uc icu-i18n) -lstdc++ -lm -o "$work/crm_member.so"
cp "$work/crm_member.so" "$stage$("$PG_CONFIG" --pkglibdir)/crm_member.so"

start_server 'fsync = off'
"$bin/psql" -X -q -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION crm_member' -c 'CALL crm_member.setup()' \
  -c "CREATE FUNCTION fuzz(target text, arguments text[]) RETURNS int LANGUAGE c AS 'crm_member', 'crm_fuzz'"
stop_server
failed=0
for target in "$@"; do
  server_folder "corpus.$target"
  server_folder "found.$target"
  split -l 1 "$here/$target.seeds" "$work/corpus.$target/seed."
  dictionary=
  [ ! -e "$here/$target.dict" ] || dictionary="'-dict=$here/$target.dict', "
  as_server "$bin/postgres" --single -j -D "$work/server/data" postgres >"$work/$target.log" 2>&1 <<SQL || true
SELECT fuzz('$target', ARRAY[$dictionary'-max_total_time=$seconds', '-max_len=1000', '-artifact_prefix=$work/found.$target/', '-print_final_stats=1', '$work/corpus.$target']);

SQL
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target.log")
  if [ -n "$runs" ] && [ -z "$(ls "$work/found.$target")" ]; then
    say "$target: $runs inputs, nothing found"
  else
    failed=1
    say "$target: failed"
    grep -aE '^fuzz |ERROR|FATAL|DEDUP|SUMMARY|artifact' "$work/$target.log" || tail -n 20 "$work/$target.log"
    cp "$work/found.$target"/* "$left" 2>/dev/null || true
  fi
done
exit $failed
