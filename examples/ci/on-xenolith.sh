#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command on a host of its own and exits as the command does:
#
#     examples/ci/on-xenolith.sh make check
#
# Where the command fails, what the host saw is left in $ARTIFACTS, if that is set.
set -u
xenolith=${XENOLITH:-$(cd "$(dirname "$0")/../.." && pwd)/bin/xenolith.js}
dir=$(mktemp -d)

# Whatever ends this script ends the host, too.
finish() {
  "$xenolith" down --dir "$dir/host" >/dev/null 2>&1
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

"$xenolith" up --detach --dir "$dir/host" --trace "$dir/host.trace.jsonl" >"$dir/up.log" 2>&1 || {
  cat "$dir/up.log"
  exit 1
}
code=0
"$xenolith" run --dir "$dir/host" -- "$@" || code=$?

if [ "$code" != 0 ]; then
  "$xenolith" xl --dir "$dir/host" list >"$dir/xl-list.txt" 2>&1
  "$xenolith" doctor --dir "$dir/host" >"$dir/doctor.txt" 2>&1
  "$xenolith" down --dir "$dir/host" >/dev/null 2>&1
  echo "the command ended with $code; the domains that were left:"
  cat "$dir/xl-list.txt"
  if [ -n "${ARTIFACTS:-}" ]; then
    mkdir -p "$ARTIFACTS"
    cp "$dir/host.trace.jsonl" "$dir/xl-list.txt" "$dir/doctor.txt" "$ARTIFACTS"
    echo "what the host saw is in $ARTIFACTS"
  fi
fi
exit "$code"
