#!/usr/bin/env bash
# Writes the generated files (--write), or checks that they are what their sources say (--check).
set -euo pipefail
cd "$(dirname "$0")/.."

target=docs/reference
case "${1:-}" in
  --write) out=$target; mkdir -p "$out" ;;
  --check) out=$(mktemp -d); trap 'rm -rf "$out"' EXIT ;;
  *) echo "usage: $0 --write | --check" >&2; exit 2 ;;
esac

cargo build --quiet -p chatsdk-server --bin chatsdk
bin=target/debug/chatsdk
"$bin" openapi > "$out/openapi.json"
"$bin" openapi --errors > "$out/errors.md"
"$bin" openapi --metrics > "$out/metrics.md"
"$bin" config --reference > "$out/config.md"

if [ "$1" = --check ]; then
  diff -r "$target" "$out" || { echo "Generated files are out of date: run make gen." >&2; exit 1; }
fi
