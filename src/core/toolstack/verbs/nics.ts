// SPDX-License-Identifier: Apache-2.0
//
// network-list, network-attach, network-detach (tools/xl/xl_nic.c).

import { fail, present } from "../../engine/errno.ts";
import { routine } from "../../engine/routine.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { deviceAttach } from "../device-attach.ts";
import { deviceDetach } from "../device-detach.ts";
import { deviceInfo } from "../device-info.ts";
import type { DeviceInfo } from "../device-info.ts";
import { nicFromXenstore, nicList } from "../device-list.ts";
import { eachNamed, findNamed } from "../name.ts";
import { ERROR_INVAL } from "../rc.ts";
import { verb } from "../verb.ts";

import { formatNetworkListHeader, formatNetworkRow } from "../xl/format/devices.ts";
import * as say from "../xl/messages.ts";
import { xlConf } from "../xl-config.ts";
import { deviceNic } from "../xlcfg/device-nic.ts";
import type { DeviceNic } from "../xlcfg/device-nic.ts";
import { printJson } from "../xlcfg/json.ts";
import { defaultNic, parseNicPart } from "../xlcfg/nic-spec.ts";
import { atoi } from "../xlcfg/strtol.ts";
import { missingNode, xsRead } from "../xs.ts";
import { sameDomain } from "../same.ts";

const NODES = ["state", "event-channel", "tx-ring-ref", "rx-ring-ref"];

/** Prints one domain's interfaces. */
const listNics = routine(
  "network-list domain",
  (a: { process: string; domid: number }) => ({
    ...a,
    nics: [] as { devid: number; mac: string | null }[],
    nic: { devid: -1, mac: null as string | null },
    info: null as DeviceInfo | null,
  }),
  ({ call, each, when, step }) => [
    call("libxl_device_nic_list", nicList, sameDomain, (l, nics) => {
      l.nics = nics.map(({ devid, mac }) => ({ devid, mac }));
    }),
    each(
      "nic",
      (l) => l.nics,
      (l, nic) => void (l.nic = nic),
      [
        call(
          "libxl_device_nic_getinfo",
          deviceInfo,
          ({ process, domid, nic }) => ({
            process,
            domid,
            kind: "vif" as const,
            devid: nic.devid,
            nodes: NODES,
          }),
          (l, info) => void (l.info = info),
        ),
        when("is there", (l) => l.info !== null, [
          step("print", (host, l) => {
            const { backendPath, backendDomid, values } = present(l.info);
            const [state = -1, eventChannel = -1, txRingRef = -1, rxRingRef = -1] = NODES.map(
              (node) => values[node],
            );
            const { devid, mac } = l.nic;
            const row = {
              devid,
              backendDomid,
              mac: mac ?? "00:00:00:00:00:00",
              state,
              eventChannel,
              txRingRef,
              rxRingRef,
              backendPath,
            };
            stdout(host, l.process, formatNetworkRow(row));
          }),
        ]),
      ],
    ),
  ],
);

export const networkListVerb = verb(
  "network-list",
  ({ process, command }) => ({ process, command, status: 0, domain: "", domid: -1 }),
  (words) => [
    words.step("header", (host, l) => stdout(host, l.process, formatNetworkListHeader())),
    eachNamed(words, words.call("its interfaces", listNics, sameDomain)),
  ],
);

export const networkAttachVerb = verb(
  "network-attach",
  ({ process, command, global }) => ({
    process,
    command,
    global,
    status: 0,
    domid: -1,
    nic: deviceNic.init(),
  }),
  ({ call, step, when, attempt, failWith }) => [
    findNamed(call),
    step("parse_nic_config", (host, l) => {
      l.nic = defaultNic(xlConf(host).nic);
      const report = { source: "command line", stderr: "" };
      const understood = l.command.specs.every((spec) => parseNicPart(report, l.nic, spec) === "ok");
      if (report.stderr !== "") stderr(host, l.process, report.stderr);
      if (l.global.dryRun && understood)
        stdout(host, l.process, `vif: ${printJson(deviceNic.toJson(l.nic))}\n`);
      return understood ? undefined : fail(ERROR_INVAL);
    }),
    when("really", (l) => !l.global.dryRun, [
      attempt([
        call("libxl_device_nic_add", deviceAttach, ({ process, domid, nic }) => ({
          process,
          domid,
          spec: { nic },
        })),
      ]).onError(() => {}, [
        step("say so", (host, l) => stderr(host, l.process, say.nicAddFailed)),
        failWith("not added", "EIO"),
      ]),
    ]),
  ],
);

/** The interface of a number or of an address. Fails where the domain has none such. */
const whichNic = routine(
  "libxl_devid_to_device_nic",
  (a: { process: string; domid: number; device: string }) => ({
    ...a,
    devid: a.device.includes(":") ? -1 : atoi(a.device),
    found: null as string | null,
    nic: null as DeviceNic | null,
  }),
  ({ when, call, step }) => [
    when(
      "by number",
      (l) => l.devid >= 0,
      [
        call(
          "is there",
          xsRead,
          ({ process, domid, devid }) => ({ process, path: `/libxl/${domid}/device/vif/${devid}` }),
          (l, found) => {
            l.found = found;
          },
        ),
        when("none", (l) => l.found === null, [
          step("complain", (host, l) => {
            missingNode(host, l.process, `/libxl/${l.domid}/device/vif/${l.devid}`);
            return fail(ERROR_INVAL);
          }),
        ]),
        call(
          "read",
          nicFromXenstore,
          ({ process, domid, devid }) => ({ process, domid, devid }),
          (l, nic) => void (l.nic = nic),
        ),
      ],
      [
        call("libxl_mac_to_device_nic", nicList, sameDomain, (l, nics) => {
          l.nic = nics.find(({ mac }) => mac?.toLowerCase() === l.device.toLowerCase()) ?? null;
        }),
        step("found", (_host, l) => (l.nic === null ? fail(ERROR_INVAL) : undefined)),
      ],
    ),
  ],
  (l) => present(l.nic),
);

export const networkDetachVerb = verb(
  "network-detach",
  ({ process, command }) => ({ process, command, status: 0, domid: -1, nic: deviceNic.init() }),
  ({ call, attempt, step, failWith }) => [
    findNamed(call),
    attempt([
      call(
        "which interface",
        whichNic,
        ({ process, domid, command }) => ({ process, domid, device: command.device }),
        (l, nic) => {
          l.nic = nic;
        },
      ),
    ]).onError(() => {}, [
      step("unknown", (host, l) => stderr(host, l.process, say.unknownDevice(l.command.device))),
      failWith("no such interface", ERROR_INVAL),
    ]),
    attempt([
      call("libxl_device_nic_remove", deviceDetach, ({ process, domid, nic }) => ({
        process,
        device: {
          domid,
          devid: nic.devid,
          kind: "vif" as const,
          backendDomid: nic.backend_domid,
          backendKind: "vif" as const,
        },
        force: "auto" as const,
      })),
    ]).onError(() => {}, [
      step("say so", (host, l) => stderr(host, l.process, say.nicRemoveFailed)),
      failWith("not removed", "EIO"),
    ]),
  ],
);
