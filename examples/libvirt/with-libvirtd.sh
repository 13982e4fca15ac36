#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command with a libvirtd that has the xen driver alone and keeps nothing:
#
#     xenolith run -- examples/libvirt/with-libvirtd.sh virsh -c xen:///system list
#
# Its folders are in memory, seen by the command only: xenolith run gives it mounts of its own.
set -eu
for folder in /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do
  mkdir -p "$folder"
  mount -n -t tmpfs none "$folder"
done
mkdir -p /run/libvirt /run/libvirt-drivers
for driver in /usr/lib/*/libvirt/connection-driver/libvirt_driver_libxl.so; do
  [ -e "$driver" ] || { echo "no $driver: apt-get install libvirt-daemon-driver-xen" >&2; exit 1; }
  ln -sf "$driver" /run/libvirt-drivers
done
log=/var/log/libvirt/libvirtd.log
LIBVIRT_DRIVER_DIR=/run/libvirt-drivers LIBVIRT_LOG_OUTPUTS="4:file:$log" libvirtd >/dev/null 2>&1 &
daemon=$!
trap 'kill $daemon 2>/dev/null' EXIT
tries=0
until [ -S /run/libvirt/libvirt-sock ]; do
  sleep 0.1
  tries=$((tries + 1))
  [ $tries -lt 100 ] || { cat "$log" >&2; echo "libvirtd does not come up" >&2; exit 1; }
done
code=0
"$@" || code=$?
exit "$code"
