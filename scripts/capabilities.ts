// SPDX-License-Identifier: Apache-2.0
//
// What tests may need from the machine beyond Node; .ci/run installs all of it.

import { existsSync, readdirSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";

/** One thing to be had from outside: how it is recognised and where it comes from. */
interface CapabilityFacts {
  /** Debian 12 packages that provide it. */
  readonly packages: readonly string[];
  /** Absolute paths, a `*` in the last part for any text, or names of programs in PATH; all must be there. */
  readonly files: readonly string[];
}

/** Every capability a test may ask for. */
export const capabilities = {
  "xenstore-utils": { packages: ["xenstore-utils"], files: ["xenstore-ls", "xenstore-watch"] },
  "xen-utils": { packages: ["xen-utils-4.17"], files: ["/usr/lib/xen-4.17/bin/xl"] },
  "qemu-xen": { packages: ["qemu-system-xen"], files: ["/usr/libexec/xen-qemu-system-i386"] },
  pyxs: { packages: ["python3-pyxs"], files: ["python3", "/usr/lib/python3/dist-packages/pyxs"] },
  "libxen-dev": { packages: ["libxen-dev"], files: ["/usr/include/xenctrl.h", "/usr/include/xenstore.h"] },
  "c-compiler": {
    packages: ["gcc", "libc6-dev", "make"],
    files: ["gcc", "make", "/usr/include/stdio.h"],
  },
  libvirt: {
    packages: ["libvirt-daemon", "libvirt-daemon-driver-xen", "libvirt-clients"],
    files: ["virsh", "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_libxl.so"],
  },
  "cloud-kernel": { packages: ["linux-image-cloud-amd64"], files: ["/boot/vmlinuz-*-cloud-amd64"] },
  systemd: { packages: ["systemd"], files: ["systemd-analyze", "systemd-notify"] },
} as const satisfies Record<string, CapabilityFacts>;

/** The name of a capability. */
export type Capability = keyof typeof capabilities;

/** Whether this machine has it. */
export function isAvailable(capability: Capability): boolean {
  return capabilities[capability].files.every(isThere);
}

function isThere(file: string): boolean {
  if (file.includes("*")) return matches(file);
  if (file.startsWith("/")) return existsSync(file);
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return folders.some((folder) => existsSync(join(folder, file)));
}

function matches(pattern: string): boolean {
  const [before = "", after = ""] = basename(pattern).split("*");
  const folder = dirname(pattern);
  if (!existsSync(folder)) return false;
  return readdirSync(folder).some((name) => name.startsWith(before) && name.endsWith(after));
}

/** One copyable command that brings it. */
export function howToEnable(capability: Capability): string {
  return `${capability}: apt-get install ${capabilities[capability].packages.join(" ")}`;
}
