#!/bin/sh
# Runs every job of the kit that this file lies in: sh run.sh RESULTS_FOLDER [BUILD...]
set -eu
kit=$(cd "$(dirname "$0")" && pwd)
results=$1
shift
[ $# -gt 0 ] || set -- $(ls "$kit/builds")
export DAWN_MODULE="$kit/dawn.node"
failed=0
for name in "$@"; do
  build="$kit/builds/$name"
  if [ -f "$build/weights.py" ]; then
    python3 "$build/weights.py" "$build/site"
  fi
  # One build's failure must not take the others' results with it.
  "${NODE:-node}" "$kit/drive.mjs" "$build/site" "$build/job.json" "$results/$name.json" || {
    failed=$?
    echo "run.sh: $name ended with code $failed" >&2
  }
done
exit "$failed"
