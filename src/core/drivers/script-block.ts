// SPDX-License-Identifier: Apache-2.0
//
// /etc/xen/scripts/block: finds the block device behind a disk, makes one of a
// file, and keeps two domains from writing to the same one
// (tools/hotplug/Linux/block, block-common.sh).

import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { fileCell } from "../daemons/files.ts";
import { blockNodeCell, losetup, losetupDelete, loopsOf, ofDomain } from "./backend-devices.ts";
import { claimLock, fatal, findCommand, releaseLock, success } from "./script.ts";
import type { ScriptArgs } from "./script.ts";
import { checkSharing } from "./script-block-sharing.ts";
import { xenstoreRead, xenstoreWrite } from "./xenstore-tools.ts";

interface BlockLocals {
  process: string;
  domid: number;
  xenbusPath: string;
  basePath: string;
  command: string;
  params: string;
  mode: string;
  truetype: "phy" | "file" | "";
  physical: string | null;
  state: string | null;
  frontendId: string;
  frontendUuid: string;
  /** Block device numbers that must not be in use. */
  numbers: string[];
  /** The device, and its number. */
  dev: string;
  number: string;
  message: string | null;
  why: "error" | "busy";
}

/** Mode for comparison: r, w, or ! for "whatever others do" (canonicalise_mode). */
function canonicalMode(mode: string): string {
  return !mode.includes("w") ? "r" : mode.includes("!") ? "!" : "w";
}

function findType(host: Host, l: BlockLocals): void {
  const kind = host.get(fileCell, ofDomain(l.domid, l.params))?.kind;
  l.truetype = kind === "block" ? "phy" : kind === "regular" ? "file" : "";
}

/** What do_ebusy says of a device or a file that others use. */
function busyMessage(l: BlockLocals, user: "local" | "guest"): string {
  const what =
    l.truetype === "phy"
      ? `Device ${l.dev} is mounted `
      : `File ${l.params} is loopback-mounted through ${l.numbers.join(",")},\nwhich is mounted `;
  const write = canonicalMode(l.mode) === "w";
  const where = user === "guest" ? "a guest " : "the privileged ";
  const when = user === "guest" ? "now" : "by a guest";
  const [theirs, ours] = write ? ["", ""] : ["read-write ", "read-only "];
  return `${what}${theirs}in ${where}domain,\nand so cannot be mounted ${ours}${when}.`;
}

/** The number of the block device at a path of the script's domain. */
function numberAt(host: Host, domid: number, path: string): string {
  return host.get(blockNodeCell, ofDomain(domid, path))?.number ?? "";
}

function useLoop(host: Host, l: BlockLocals): void {
  l.dev = losetup(host, l.domid, l.params);
  l.number = numberAt(host, l.domid, l.dev);
}

/** Writes what blkback waits for. */
const writeDev = routine(
  "write_dev",
  (a: { process: string; xenbusPath: string; dev: string; number: string }) => ({ ...a }),
  ({ call }) => [
    call("physical-device", xenstoreWrite, (l) => ({
      process: l.process,
      entries: [[`${l.xenbusPath}/physical-device`, l.number]] as const,
    })),
    call("physical-device-path", xenstoreWrite, (l) => ({
      process: l.process,
      entries: [[`${l.xenbusPath}/physical-device-path`, l.dev]] as const,
    })),
    call("success", success, (l) => ({ process: l.process, xenbusPath: l.xenbusPath })),
  ],
);

const lockArgs = (l: { process: string; domid: number }): { process: string; kind: string } => ({
  process: l.process,
  kind: ofDomain(l.domid, "block"),
});

const sharingArgs = (l: BlockLocals): Parameters<typeof checkSharing.locals>[0] => ({
  process: l.process,
  domid: l.domid,
  basePath: l.basePath,
  numbers: l.numbers,
  mode: canonicalMode(l.mode),
  frontendId: l.frontendId,
  frontendUuid: l.frontendUuid,
});

const addPhysical = routine(
  "block add phy",
  (a: BlockLocals) => ({ ...a }),
  ({ step, call, when }) => [
    step("expand_dev", (host, l) => {
      l.dev = l.params;
      l.number = numberAt(host, l.domid, l.dev);
      l.numbers = [l.number];
    }),
    when("must not be shared", (l) => canonicalMode(l.mode) !== "!", [
      call("check_device_sharing", checkSharing, sharingArgs, (l, user) => {
        if (user !== "ok") l.message = busyMessage(l, user);
        l.why = "busy";
      }),
    ]),
    when("free", (l) => l.message === null, [
      call("write_dev", writeDev, ({ process, xenbusPath, dev, number }) => ({
        process,
        xenbusPath,
        dev,
        number,
      })),
    ]),
  ],
  (l) => l.message,
);

const addFile = routine(
  "block add file",
  (a: BlockLocals) => ({ ...a }),
  ({ step, call, when }) => [
    call(
      "state",
      xenstoreRead,
      (l) => ({ process: l.process, path: `${l.xenbusPath}/state` }),
      (l, state) => {
        l.state = state ?? "unknown";
        if (l.state !== "2")
          l.message = `Path closed or removed during hotplug add: ${l.xenbusPath} state: ${l.state}`;
      },
    ),
    when("backend waits", (l) => l.message === null, [
      step("losetup -a", (host, l) => {
        l.numbers = loopsOf(host, l.domid, l.params);
      }),
      when("must not be shared", (l) => l.numbers.length > 0 && canonicalMode(l.mode) !== "!", [
        call("check_file_sharing", checkSharing, sharingArgs, (l, user) => {
          if (user !== "ok") l.message = busyMessage(l, user);
          l.why = "busy";
        }),
      ]),
    ]),
    when("free", (l) => l.message === null, [
      step("losetup", useLoop),
      call("write node", xenstoreWrite, (l) => ({
        process: l.process,
        entries: [[`${l.xenbusPath}/node`, l.dev]] as const,
      })),
      call("write_dev", writeDev, ({ process, xenbusPath, dev, number }) => ({
        process,
        xenbusPath,
        dev,
        number,
      })),
    ]),
  ],
  (l) => ({ message: l.message, why: l.why }),
);

const removeFile = routine(
  "block remove file",
  (a: { process: string; domid: number; xenbusPath: string }) => ({ ...a, node: null as string | null }),
  ({ step, call, always }) => [
    call("claim_lock", claimLock, lockArgs),
    always(
      [
        call(
          "node",
          xenstoreRead,
          (l) => ({ process: l.process, path: `${l.xenbusPath}/node` }),
          (l, node) => {
            l.node = node;
          },
        ),
        step("losetup -d", (host, l) => losetupDelete(host, l.domid, l.node ?? "")),
      ],
      [call("release_lock", releaseLock, lockArgs)],
    ),
  ],
);

/** The script; its exit status. */
export const blockScript = routine(
  "block",
  ({ process, domid, args, env }: ScriptArgs): BlockLocals => ({
    process,
    domid,
    xenbusPath: env["XENBUS_PATH"] ?? "",
    basePath: `${env["XENBUS_BASE_PATH"] ?? ""}/${env["XENBUS_TYPE"] ?? ""}`,
    command: findCommand(args),
    params: "",
    mode: "",
    truetype: "",
    physical: null,
    state: null,
    frontendId: "",
    frontendUuid: "",
    numbers: [],
    dev: "",
    number: "",
    message: null,
    why: "error",
  }),
  ({ step, call, when, always }) => [
    call("type", xenstoreRead, (l) => ({ process: l.process, path: `${l.xenbusPath}/type` })),
    call(
      "params",
      xenstoreRead,
      (l) => ({ process: l.process, path: `${l.xenbusPath}/params` }),
      (l, params) => {
        l.params = params ?? "";
      },
    ),
    call(
      "mode",
      xenstoreRead,
      (l) => ({ process: l.process, path: `${l.xenbusPath}/mode` }),
      (l, mode) => {
        l.mode = mode ?? "";
      },
    ),
    step("truetype", findType),
    when("add", (l) => l.command === "add", [
      call(
        "physical-device",
        xenstoreRead,
        (l) => ({ process: l.process, path: `${l.xenbusPath}/physical-device` }),
        (l, physical) => {
          l.physical = physical;
        },
      ),
      when("not there yet", (l) => l.physical === null, [
        call(
          "frontend-id",
          xenstoreRead,
          (l) => ({ process: l.process, path: `${l.xenbusPath}/frontend-id` }),
          (l, id) => {
            l.frontendId = id ?? "";
          },
        ),
        call(
          "frontend's vm",
          xenstoreRead,
          (l) => ({ process: l.process, path: `/local/domain/${l.frontendId}/vm` }),
          (l, uuid) => {
            l.frontendUuid = uuid ?? "unknown";
          },
        ),
        call("claim_lock", claimLock, lockArgs),
        always(
          [
            when("phy", (l) => l.truetype === "phy", [
              call(
                "phy)",
                addPhysical,
                (l) => l,
                (l, message) => {
                  l.message = message;
                  l.why = "busy";
                },
              ),
            ]),
            when("file", (l) => l.truetype === "file", [
              call(
                "file)",
                addFile,
                (l) => l,
                (l, { message, why }) => {
                  l.message = message;
                  l.why = why;
                },
              ),
            ]),
            when("neither", (l) => l.truetype === "", [
              call("success", success, (l) => ({ process: l.process, xenbusPath: l.xenbusPath })),
            ]),
          ],
          [call("release_lock", releaseLock, lockArgs)],
        ),
        when("failed", (l) => l.message !== null, [
          call("fatal", fatal, (l) => ({
            process: l.process,
            xenbusPath: l.xenbusPath,
            message: l.message ?? "",
            status: l.why,
          })),
        ]),
      ]),
    ]),
    when("remove file", (l) => l.command === "remove" && l.truetype === "file", [
      call("remove", removeFile, ({ process, domid, xenbusPath }) => ({ process, domid, xenbusPath })),
    ]),
  ],
  (l) => (l.message === null ? 0 : 1),
);
