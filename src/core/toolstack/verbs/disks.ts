// SPDX-License-Identifier: Apache-2.0
//
// block-list, block-attach, block-detach (tools/xl/xl_block.c).

import { fail, present } from "../../engine/errno.ts";
import { routine } from "../../engine/routine.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { deviceAttach } from "../device-attach.ts";
import { deviceDetach } from "../device-detach.ts";
import { deviceInfo } from "../device-info.ts";
import type { DeviceInfo } from "../device-info.ts";
import { diskFromXenstore, diskList, diskPath } from "../device-list.ts";
import { diskDevid } from "../disk.ts";
import { eachNamedThatIs, findNamed, qualifierToDomid } from "../name.ts";
import { ERROR_INVAL } from "../rc.ts";
import { verb } from "../verb.ts";
import { formatBlockListHeader, formatBlockRow } from "../xl/format/devices.ts";
import * as say from "../xl/messages.ts";
import { parseDisk } from "../xlcfg/disk-spec.ts";
import { deviceDisk } from "../xlcfg/domain-config.ts";
import { printJson } from "../xlcfg/json.ts";
import { sameDomain } from "../same.ts";

/** Prints one domain's disks. */
const listDisks = routine(
  "block-list domain",
  (a: { process: string; domid: number }) => ({
    ...a,
    devids: [] as number[],
    devid: -1,
    info: null as DeviceInfo | null,
  }),
  ({ call, each, when, step }) => [
    call("libxl_device_disk_list", diskList, sameDomain, (l, disks) => {
      l.devids = disks.map(({ devid }) => devid);
    }),
    each(
      "disk",
      (l) => l.devids,
      (l, devid) => void (l.devid = devid),
      [
        call(
          "libxl_device_disk_getinfo",
          deviceInfo,
          ({ process, domid, devid }) => ({
            process,
            domid,
            kind: "vbd" as const,
            devid,
            nodes: ["state", "event-channel", "ring-ref"],
          }),
          (l, info) => void (l.info = info),
        ),
        when("is there", (l) => l.info !== null, [
          step("print", (host, l) => {
            const { backendPath, backendDomid, values } = present(l.info);
            const { state = -1, "event-channel": eventChannel = -1, "ring-ref": ringRef = -1 } = values;
            stdout(
              host,
              l.process,
              formatBlockRow({
                devid: l.devid,
                backendDomid,
                handle: l.domid,
                state,
                eventChannel,
                ringRef,
                backendPath,
              }),
            );
          }),
        ]),
      ],
    ),
  ],
);

export const blockListVerb = verb(
  "block-list",
  ({ process, command }) => ({ process, command, status: 0, domain: "", domid: -1 }),
  (words) => [
    words.step("header", (host, l) => stdout(host, l.process, formatBlockListHeader())),
    eachNamedThatIs(words, words.call("its disks", listDisks, sameDomain)),
  ],
);

export const blockAttachVerb = verb(
  "block-attach",
  ({ process, command, global }) => ({
    process,
    command,
    global,
    status: 0,
    domid: -1,
    disk: deviceDisk.init(),
  }),
  ({ attempt, call, step, when, failWith }) => [
    attempt([
      call(
        "which",
        qualifierToDomid,
        ({ process, command }) => ({ process, domain: command.domain }),
        (l, domid) => {
          l.domid = domid;
        },
      ),
    ]).onError(() => {}, [
      step("complain", (host, l) => stderr(host, l.process, say.invalidDomainWithoutRc(l.command.domain))),
      failWith("no such domain", ERROR_INVAL),
    ]),
    step("parse_disk_config_multistring", (host, l) => {
      const { disk, stderr: text, failed } = parseDisk("command line", l.command.specs);
      if (text !== "") stderr(host, l.process, text);
      l.disk = disk;
      if (l.global.dryRun && !failed)
        stdout(host, l.process, `disk: ${printJson(deviceDisk.toJson(disk))}\n`);
      return failed ? fail(ERROR_INVAL) : undefined;
    }),
    when("really", (l) => !l.global.dryRun, [
      attempt([
        call("libxl_device_disk_add", deviceAttach, ({ process, domid, disk }) => ({
          process,
          domid,
          spec: { disk },
        })),
      ]).onError(() => {}, [
        step("say so", (host, l) => stderr(host, l.process, say.diskAddFailed)),
        failWith("not added", "EIO"),
      ]),
    ]),
  ],
);

/** The disk a guest knows by a name (libxl_vdev_to_device_disk). Fails where the domain has none such. */
const vdevToDisk = routine(
  "libxl_vdev_to_device_disk",
  (a: { process: string; domid: number; vdev: string }) => ({
    ...a,
    devid: diskDevid(a.vdev),
    disk: deviceDisk.init(),
  }),
  ({ when, failWith, call }) => [
    when("no disk's name", (l) => l.devid === null, [failWith("ERROR_INVAL", ERROR_INVAL)]),
    call("path", diskPath, sameDomain),
    call(
      "read",
      diskFromXenstore,
      ({ process, domid, devid }) => ({ process, domid, devid: devid as number }),
      (l, disk) => {
        l.disk = disk;
      },
    ),
  ],
  ({ devid, disk }) => ({ devid: devid as number, disk }),
);

export const blockDetachVerb = verb(
  "block-detach",
  ({ process, command }) => ({ process, command, status: 0, domid: -1, devid: -1, disk: deviceDisk.init() }),
  ({ call, attempt, step, failWith }) => [
    findNamed(call),
    attempt([
      call(
        "which disk",
        vdevToDisk,
        ({ process, domid, command }) => ({ process, domid, vdev: command.device }),
        (l, { devid, disk }) => {
          l.devid = devid;
          l.disk = disk;
        },
      ),
    ]).onError(() => {}, [
      step("not connected", (host, l) => stderr(host, l.process, say.diskNotConnected(l.command.device))),
      failWith("no such disk", ERROR_INVAL),
    ]),
    attempt([
      call("libxl_device_disk_remove", deviceDetach, ({ process, domid, devid, disk, command }) => ({
        process,
        device: {
          domid,
          devid,
          kind: "vbd" as const,
          backendDomid: disk.backend_domid,
          backendKind: disk.backend === "qdisk" ? ("qdisk" as const) : ("vbd" as const),
        },
        force: command.force ? ("on" as const) : ("off" as const),
      })),
    ]).onError(() => {}, [
      step("say so", (host, l) => stderr(host, l.process, say.diskRemoveFailed(l.command.force))),
      failWith("not removed", "EIO"),
    ]),
  ],
);
