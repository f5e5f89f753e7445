#!/usr/bin/env bash
# beside.sh TARGET COMMAND...: run `make TARGET` beside a command, and show what it said when both
# have ended; fail when either did.
set -uo pipefail
target=$1
shift
said=$(mktemp)
make --no-print-directory "$target" >"$said" 2>&1 &
other=$!
trap 'kill "$other" 2>/dev/null; rm -f "$said"' EXIT
"$@"
code=$?
wait "$other"
beside=$?
echo "make $target, beside it:"
cat "$said"
exit $((code ? code : beside))
