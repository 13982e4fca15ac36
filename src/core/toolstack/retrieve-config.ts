// SPDX-License-Identifier: Apache-2.0
//
// A domain's configuration as it is now: what libxl keeps of it, with what may
// have changed since read anew (tools/libs/light/libxl_domain.c,
// libxl_retrieve_domain_configuration).

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { getSchedulerParams } from "../hypervisor/domain-settings.ts";
import { targetFudge } from "./build-config.ts";
import { diskList, nicList } from "./device-list.ts";
import { cpupoolInfoNamed } from "./cpupool.ts";
import { diskDevid } from "./disk.ts";
import { domainInfo } from "./dominfo.ts";
import { dom0 } from "./libxl-ctx.ts";
import { libxlError } from "./log.ts";
import { domidToName } from "./name.ts";
import { ERROR_FAIL } from "./rc.ts";
import { retrieveConfig } from "./userdata.ts";
import type { DomainConfig } from "./xlcfg/domain-config.ts";
import { xsDirectory, xsGetDomainPath, xsRead } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** A configuration that was retrieved, by the process's name: it stays until the next one, or `takeRetrieved`. */
const retrievedCell = cellType<{ config: DomainConfig }>("libxl-retrieved-config");

function putRetrieved(cells: Cells, process: string, config: DomainConfig): void {
  if (cells.get(retrievedCell, process) !== undefined) cells.drop(retrievedCell, process);
  cells.add(retrievedCell, process, { config });
}

/** Takes the configuration that was retrieved last. */
export function takeRetrieved(cells: Cells, process: string): DomainConfig {
  const { config } = must(cells, retrievedCell, process);
  cells.drop(retrievedCell, process);
  return config as DomainConfig;
}

/** Which vCPUs are online, as xenstore says (libxl__update_avail_vcpus_xenstore). */
const availVcpus = routine(
  "libxl__update_avail_vcpus_xenstore",
  (a: { process: string; domid: number; maxVcpus: number }) => ({
    ...a,
    home: "",
    vcpu: 0,
    online: [] as number[],
  }),
  ({ call, each }) => [
    call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
      l.home = home;
    }),
    each(
      "vcpu",
      (l) => Array.from({ length: l.maxVcpus }, (_, vcpu) => vcpu),
      (l, vcpu) => void (l.vcpu = vcpu),
      [
        call(
          "availability",
          xsRead,
          ({ process, home, vcpu }) => ({ process, path: `${home}/cpu/${vcpu}/availability` }),
          (l, value) => {
            if (value === "online") l.online.push(l.vcpu);
          },
        ),
      ],
    ),
  ],
  (l) => l.online,
);

/** A domain's memory target and maximum in KiB (libxl__get_memory_target). Fails, and says so, where one is missing. */
export const memoryTarget = routine(
  "libxl__get_memory_target",
  (a: { process: string; domid: number }) => ({
    ...a,
    home: "",
    target: null as string | null,
    max: null as string | null,
  }),
  ({ call, step }) => [
    call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
      l.home = home;
    }),
    call(
      "target",
      xsRead,
      ({ process, home }) => ({ process, path: `${home}/memory/target` }),
      (l, value) => {
        l.target = value;
      },
    ),
    call(
      "static-max",
      xsRead,
      ({ process, home }) => ({ process, path: `${home}/memory/static-max` }),
      (l, value) => {
        l.max = value;
      },
    ),
    step("both are there", (host, l) => {
      if (l.target !== null && l.max !== null) return undefined;
      const missing = l.target === null ? "target" : "static-max";
      const text = `Cannot get target memory info from ${l.home}/memory/${missing}: No such file or directory`;
      libxlError(host, l.process, "libxl_mem.c:377:libxl__get_memory_target", text, l.domid);
      return fail(ERROR_FAIL);
    }),
  ],
  (l) => ({ targetMemkb: Number(l.target), maxMemkb: Number(l.max) }),
);

/** Kinds of devices that xl 4.17 asks about and that are not modelled, in its order. */
const OTHER_KINDS_BEFORE_PCI = ["vtpm", "vusb", "vusb"];
const OTHER_KINDS_AFTER_PCI = ["vdispl", "vsnd"];

const otherDevices = routine(
  "libxl__device_list",
  (a: { process: string; domid: number }) => ({ ...a, kind: "", home: "" }),
  ({ each, call }) => [
    each(
      "before PCI",
      () => OTHER_KINDS_BEFORE_PCI,
      (l, kind) => void (l.kind = kind),
      [
        call("list", xsDirectory, ({ process, domid, kind }) => ({
          process,
          path: `/libxl/${domid}/device/${kind}`,
        })),
      ],
    ),
    call(
      "libxl__xs_get_dompath",
      xsGetDomainPath,
      ({ process }) => ({ process, domid: 0 }),
      (l, home) => void (l.home = home),
    ),
    call("num_devs", xsRead, ({ process, home, domid }) => ({
      process,
      path: `${home}/backend/pci/${domid}/0/num_devs`,
    })),
    each(
      "after PCI",
      () => OTHER_KINDS_AFTER_PCI,
      (l, kind) => void (l.kind = kind),
      [
        call("list more", xsDirectory, ({ process, domid, kind }) => ({
          process,
          path: `/libxl/${domid}/device/${kind}`,
        })),
      ],
    ),
  ],
);

/** Xen's scheduling parameters in place of those that were asked for. */
function setSchedParams(host: Host, process: string, domid: number, config: DomainConfig): void {
  const params = getSchedulerParams(host, dom0(process), { domid });
  if (isFailure(params)) return;
  Object.assign(config.b_info.sched_params, { sched: "credit2", weight: params.weight, cap: params.cap });
}

/** Devices that have gone since are left out (MERGE in retrieve_domain_configuration_end). */
function keepPresent(
  config: DomainConfig,
  diskDevids: readonly number[],
  nicDevids: readonly number[],
): void {
  config.disks = config.disks.filter((disk) => diskDevids.includes(diskDevid(disk.vdev ?? "") ?? -1));
  config.nics = config.nics.filter((nic) => nicDevids.includes(nic.devid));
}

/** Puts a domain's configuration where `takeRetrieved` finds it. Fails, and says so, where libxl keeps none. */
export const retrieveDomainConfig = routine(
  "libxl_retrieve_domain_configuration",
  (a: { process: string; domid: number }) => ({
    ...a,
    maxVcpus: 0,
    name: null as string | null,
    uuid: "",
    poolid: 0,
    online: [] as number[],
    memory: { targetMemkb: 0, maxMemkb: 0 },
    disks: [] as number[],
    nics: [] as number[],
  }),
  ({ step, call }) => [
    step("libxl__get_domain_configuration", (host, l) => {
      const config = retrieveConfig(host, l.process, l.domid);
      if (config === null || isFailure(config)) {
        const where = "libxl_domain.c:2335:retrieve_domain_configuration_lock_acquired";
        libxlError(host, l.process, where, "Fail to get domain configuration", l.domid);
        return fail(ERROR_FAIL);
      }
      l.maxVcpus = config.b_info.max_vcpus;
      putRetrieved(host, l.process, config);
      return;
    }),
    call("name", domidToName, sameDomain, (l, name) => void (l.name = name)),
    step("libxl_domain_info", (host, l) => {
      const info = domainInfo(host, l.process, l.domid);
      if (isFailure(info)) return info;
      l.uuid = info.uuid;
      l.poolid = info.cpupool;
      return;
    }),
    call(
      "vcpus",
      availVcpus,
      ({ process, domid, maxVcpus }) => ({ process, domid, maxVcpus }),
      (l, online) => {
        l.online = online;
      },
    ),
    call("memory", memoryTarget, sameDomain, (l, memory) => void (l.memory = memory)),
    call("libxl_cpupool_info", cpupoolInfoNamed, ({ process, poolid }) => ({ process, poolid })),
    call("disks", diskList, sameDomain, (l, disks) => {
      l.disks = disks.map(({ devid }) => devid);
    }),
    call("nics", nicList, sameDomain, (l, nics) => {
      l.nics = nics.map(({ devid }) => devid);
    }),
    call("other devices", otherDevices, sameDomain),
    step("put together", (host, l) => {
      const { config } = host.edit(retrievedCell, l.process);
      config.c_info.name = l.name;
      config.c_info.uuid = /^[0-]+$/.test(l.uuid) ? null : l.uuid;
      config.b_info.avail_vcpus = l.online;
      const { targetMemkb, maxMemkb } = l.memory;
      // A configuration that knows of no video memory has all bits set there: one less than none.
      const video = config.b_info.video_memkb ?? -1;
      const fudge = targetFudge(
        config.c_info.type,
        config.b_info.max_memkb ?? 0,
        config.b_info.target_memkb ?? 0,
        video,
      );
      config.b_info.target_memkb = targetMemkb + fudge;
      config.b_info.max_memkb = maxMemkb;
      setSchedParams(host, l.process, l.domid, config);
      keepPresent(config, l.disks, l.nics);
    }),
  ],
);
