#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What a toolstack's test could look like: Xen's own xl, and what it leaves.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

node "$here/../../scripts/run.js" examples/guests/tiny-kernel.ts "$work/tiny.elf" >/dev/null
cat >web.cfg <<END
name = "web"
type = "pvh"
kernel = "$work/tiny.elf"
memory = 32
extra = "mode=idle dev=1"
END

step() { echo "-- $*"; }
fail() { echo "FAILED: $*"; exit 1; }

step "create"
xl create -q web.cfg
domid=$(xl domid web)

step "attach a disk and an interface"
dd if=/dev/zero of=disk.img bs=1M count=1 2>/dev/null
tries=0
until [ "$(xenstore-read "/local/domain/$domid/control/feature-poweroff")" = 1 ]; do
  sleep 0.1
  tries=$((tries + 1))
  [ $tries -lt 100 ] || fail "the guest does not come up"
done
xl block-attach web "$work/disk.img,raw,xvdb,w"
xl network-attach web
[ "$(xenstore-read "/local/domain/0/backend/vbd/$domid/51728/state")" = 4 ] || fail "the disk is not connected"

step "save and restore"
xl save web web.save >/dev/null 2>&1
xl domid web >/dev/null 2>&1 && fail "it is there after it was saved"
xl restore web.save >/dev/null 2>&1
[ "$(xl domid web)" -gt "$domid" ] || fail "a restored domain has a new domid"

step "shut down"
xl shutdown -w web 2>&1 | grep -q "reason code 0" || fail "it did not power off"
echo "passed"
