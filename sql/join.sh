#!/usr/bin/env bash
# Join the install modules named as arguments into one extension script.
# A line "--@schema" is replaced by the table definitions of sql/schema, in name
# order, so that DDL is written and read as DDL and runs as the body of setup().
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
echo '\echo Use "CREATE EXTENSION crm_member" to load this file. \quit'
for module in "$@"; do
  printf '\n-- %s\n' "$(basename "$module")"
  while IFS= read -r line || [ -n "$line" ]; do
    if [ "$line" = '--@schema' ]; then
      for ddl in "$here"/schema/[0-9][0-9]_*.sql; do cat "$ddl"; done
    else
      printf '%s\n' "$line"
    fi
  done < "$module"
done
