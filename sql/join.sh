#!/usr/bin/env bash
# Join the install modules named as arguments into one extension script.
# Some lines stand for files, so that DDL is written and read as DDL:
#   --@schema   the table definitions of sql/schema, in name order: the body of setup()
#   --@migrate  the steps of sql/migrate, each named <version of the tables>_<what>.sql
#   --@newest   (at the end of a line) the version that setup() makes
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
newest=$(sed -n 's/^  schema_version .* DEFAULT \([0-9]*\).*/\1/p' "$here/schema/00_setting.sql")

steps() {
  local step version
  for step in "$here"/migrate/[0-9]*_*.sql; do
    [ -e "$step" ] || continue
    version=$((10#$(basename "$step" | sed 's/_.*//')))
    printf '  IF done < %s THEN\n    EXECUTE $step$\n' "$version"
    cat "$step"
    printf '$step$;\n  END IF;\n'
  done
}

echo '\echo Use "CREATE EXTENSION crm_member" to load this file. \quit'
for module in "$@"; do
  printf '\n-- %s\n' "$(basename "$module")"
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      --@schema) cat "$here"/schema/[0-9][0-9]_*.sql ;;
      --@migrate) steps ;;
      *--@newest) printf '%s%s\n' "${line%--@newest}" "$newest" ;;
      *) printf '%s\n' "$line" ;;
    esac
  done < "$module"
done
