// SPDX-License-Identifier: Apache-2.0
//
// Verbs that need a domain's device model: vncviewer, qemu-monitor-command,
// cd-insert, cd-eject (tools/xl/xl_console.c, xl_misc.c, xl_cdrom.c).

import { fail } from "../../engine/errno.ts";
import { routine } from "../../engine/routine.ts";
import type { Node, Vocabulary } from "../../engine/routine.ts";
import { fileCell } from "../../daemons/files.ts";
import { stderr } from "../../daemons/process.ts";
import { diskList } from "../device-list.ts";
import { domainType } from "../dominfo.ts";
import type { GuestType } from "../dominfo.ts";
import { libxlError } from "../log.ts";
import { findNamed } from "../name.ts";
import { qmpConnect } from "../qmp.ts";
import { ERROR_FAIL, ERROR_INVAL } from "../rc.ts";
import { sameDomain } from "../same.ts";
import { verb } from "../verb.ts";
import type { VerbLocals } from "../verb.ts";
import * as say from "../xl/messages.ts";
import { xsRead } from "../xs.ts";

/** Exit status of a process that could not become another program. */
const EXEC_FAILED = 255;

/** `xl vncviewer`. */
export const vncviewerVerb = verb(
  "vncviewer",
  ({ process, command }) => ({ process, command, status: 0, domid: -1, port: null as string | null }),
  ({ call, step, when }) => [
    findNamed(call),
    call(
      "vnc-port",
      xsRead,
      ({ process, domid }) => ({ process, path: `/local/domain/${domid}/console/vnc-port` }),
      (l, port) => void (l.port = port),
    ),
    when(
      "no VNC server",
      (l) => l.port === null,
      [
        step("complain", (host, { process, domid }) => {
          libxlError(host, process, "libxl_console.c:201:libxl_vncviewer_exec", "Cannot get vnc-port", domid);
          return fail(ERROR_FAIL);
        }),
      ],
      [
        step("exec", (host, l) => {
          stderr(host, l.process, say.noVncviewer);
          l.status = EXEC_FAILED;
        }),
      ],
    ),
  ],
);

/** `xl qemu-monitor-command`. */
export const qemuMonitorCommandVerb = verb(
  "qemu-monitor-command",
  ({ process, command }) => ({ process, command, status: 0, domid: -1 }),
  ({ call, step }) => [
    findNamed(call),
    step("human-monitor-command", (host, { process, domid }) => qmpConnect(host, process, domid)),
  ],
);

const CDROM_INSERT = "libxl_cdrom_insert";

/** Puts a CD into a domain's drive, or takes it out: for HVM domains, whose QEMU has the drive. */
const cdromInsert = routine(
  CDROM_INSERT,
  (a: { process: string; domid: number; vdev: string }) => ({ ...a, type: "pv" as GuestType, found: false }),
  ({ call, step }) => [
    call("libxl__domain_type", domainType, sameDomain, (l, type) => void (l.type = type)),
    step("hvm", (host, { process, domid, type }) => {
      if (type === "hvm") return undefined;
      libxlError(
        host,
        process,
        `libxl_disk.c:838:${CDROM_INSERT}`,
        "cdrom-insert requires an HVM domain",
        domid,
      );
      return fail(ERROR_INVAL);
    }),
    call("libxl__device_list", diskList, sameDomain, (l, disks) => {
      l.found = disks.some(({ disk }) => disk.is_cdrom === 1 && disk.vdev === l.vdev);
    }),
    step("drive", (host, { process, domid, found }) => {
      if (found) return undefined;
      libxlError(host, process, `libxl_disk.c:866:${CDROM_INSERT}`, "Virtual device not found", domid);
      return fail(ERROR_FAIL);
    }),
    step("query-version", (host, { process, domid }) => qmpConnect(host, process, domid)),
  ],
);

interface CdLocals extends VerbLocals {
  command: { domain: string; virtualDevice: string; path?: string };
  domid: number;
}

const cdLocals = ({ process, command }: { process: string; command: CdLocals["command"] }): CdLocals => ({
  process,
  command,
  status: 0,
  domid: -1,
});

const cdBody = ({ call, step }: Vocabulary<CdLocals>): Node<CdLocals>[] => [
  findNamed(call),
  step("stat", (host, { process, command: { path } }) => {
    if (path === undefined || host.get(fileCell, path) !== undefined) return undefined;
    stderr(host, process, say.cannotStat(path));
    return fail("ENOENT");
  }),
  call("insert", cdromInsert, ({ process, domid, command }) => ({
    process,
    domid,
    vdev: command.virtualDevice,
  })),
];

/** `xl cd-insert`. */
export const cdInsertVerb = verb("cd-insert", cdLocals, cdBody);
/** `xl cd-eject`. */
export const cdEjectVerb = verb("cd-eject", cdLocals, cdBody);
