// SPDX-License-Identifier: Apache-2.0
//
// Options that say what a live host is made of.

import { defaultHost } from "../core/host.ts";
import type { HostConfig } from "../core/host.ts";
import { defaultMachine } from "../core/hypervisor/machine.ts";
import { xenVersions } from "../core/hypervisor/version.ts";
import type { XenVersionName } from "../core/hypervisor/version.ts";
import { xenwatchPolicies } from "../core/xenbus/xenbus.ts";
import type { XenwatchPolicy } from "../core/xenbus/xenbus.ts";
import { WRITE_RATE } from "../live/xenstored/standalone.ts";
import { usage } from "../live/problem.ts";
import { xenstoredKinds } from "../live/xenstored-process.ts";
import type { LiveOptions } from "../live/live-host.ts";
import { xenconsoledKinds } from "../live/xen-daemon.ts";
import type { Invocation, Option } from "./command.ts";
import { DIR_OPTION, numberOf } from "./command.ts";

export const HOST_OPTIONS: readonly Option[] = [
  DIR_OPTION,
  { name: "memory", value: "SIZE", help: "the machine's memory, as 8G or 4096M (default: 3071M)" },
  {
    name: "xen-version",
    value: "V",
    among: xenVersions,
    help: `whose hypervisor it is to be (default: ${xenVersions[0]})`,
  },
  {
    name: "xenwatch",
    value: "POLICY",
    among: xenwatchPolicies,
    help: `dom0's threads for watch events: ${xenwatchPolicies.join(", ")} (default: single)`,
  },
  {
    name: "xenstored",
    value: "KIND",
    among: ["builtin", ...xenstoredKinds],
    help: "our xenstored, or Xen's own as installed here: the one in C or in OCaml (default: builtin)",
  },
  {
    name: "xenconsoled",
    value: "KIND",
    among: ["builtin", ...xenconsoledKinds],
    help: "our xenconsoled, or Xen's own as installed here, which keeps logs of what domains print (default: builtin)",
  },
  { name: "trace", value: "FILE", help: "record the run in FILE" },
  {
    name: "metrics",
    value: "PORT",
    help: "serves Prometheus about our xenstored at 127.0.0.1:PORT/metrics; 0 for any free port",
  },
];

/** What every live host's dom0 has for its guests, those in examples/, in sectors of 512 bytes. */
const VOLUME_NAMES = ["web", "db", "one", "two", "three", "spare"];
const VOLUMES: { readonly [device: string]: number } = Object.fromEntries(
  VOLUME_NAMES.map((name) => [`/dev/vg0/${name}`, 1 << 21]),
);

/** Programs that dom0's kernel starts when it is asked to end; without them it would ignore that. */
const PROGRAMS = { "/sbin/poweroff": "", "/sbin/reboot": "" } as const;

/** What help says about dom0. */
export const DOM0_DETAILS =
  "dom0 has a bridge xenbr0, and volumes of 1 GiB for the guests in examples/:\n" +
  `/dev/vg0/${VOLUME_NAMES.join(", ")}.`;

const PAGES_PER_MIB = 256;
const UNITS: { readonly [unit: string]: number } = { M: 1, G: 1 << 10, T: 1 << 20 };
/** Largest machine: 16 TiB, what 44 bits of physical address reach. */
const MIB_MAX = 16 << 20;

/** A size such as `8G` in pages of 4096 bytes. */
function pagesOf(text: string): number {
  const found = /^(\d{1,9})([MGT])$/i.exec(text);
  if (found === null) throw usage(`--memory takes a size as 8G or 4096M, not ${text}`);
  const mib = Number(found[1]) * (UNITS[(found[2] as string).toUpperCase()] as number);
  const least = Math.ceil((defaultMachine.dom0Pages + defaultMachine.xenPages) / PAGES_PER_MIB) + 64;
  if (mib < least) throw usage(`--memory ${text} is too little: dom0 and Xen need ${least}M`);
  if (mib > MIB_MAX) throw usage(`--memory ${text} is more than a machine can have, 16T`);
  return mib * PAGES_PER_MIB;
}

/** The host those options ask for. */
export function hostConfig({ values }: Invocation): HostConfig {
  const { memory } = values;
  const version = values["xen-version"] as XenVersionName | undefined;
  return {
    ...defaultHost,
    blockDevices: VOLUMES,
    files: PROGRAMS,
    writeRate: WRITE_RATE,
    // Its clock then shows what the machine's does, as that of Xen's own programs on it.
    bootSeconds: Date.now() / 1000,
    xenwatch: (values["xenwatch"] as XenwatchPolicy | undefined) ?? defaultHost.xenwatch,
    machine: {
      ...(memory === undefined ? {} : { totalPages: pagesOf(memory) }),
      ...(version === undefined ? {} : { version }),
    },
  };
}

/** The port of --metrics; undefined for none. */
export function hostMetrics(invocation: Invocation): { metrics?: number } {
  const port = numberOf(invocation, "metrics", -1, 0);
  if (port < 0) return {};
  if (port > 65_535) throw usage(`--metrics takes a port, at most 65535, not ${port}`);
  if (hostDaemons(invocation).xenstored !== undefined)
    throw usage("--metrics tells of our own xenstored, and --xenstored asks for another one");
  return { metrics: port };
}

/** Which of Xen's own daemons are to serve the host; undefined for ours. */
export type HostDaemons = Pick<LiveOptions, "xenstored" | "xenconsoled">;

export function hostDaemons({ values }: Invocation): HostDaemons {
  const xenstored = xenstoredKinds.find((kind) => kind === values["xenstored"]);
  const xenconsoled = xenconsoledKinds.find((kind) => kind === values["xenconsoled"]);
  return {
    ...(xenstored === undefined ? {} : { xenstored }),
    ...(xenconsoled === undefined ? {} : { xenconsoled }),
  };
}
