// SPDX-License-Identifier: Apache-2.0
//
// Making an empty domain: Xen's createdomain, then its nodes in xenstore, in one
// transaction (tools/libs/light/libxl_create.c, libxl__domain_make).

import { isFailure } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { createdomain, destroydomain } from "../hypervisor/domctl.ts";
import { CDF_hap, CDF_hvm, CDF_iommu, CDF_nested_virt, CDF_oos_off, CDF_vpmu } from "../hypervisor/create.ts";
import type { DomainConfig as XenDomainConfig } from "../hypervisor/create.ts";
import { DOMID_FIRST_RESERVED } from "../hypervisor/domid.ts";
import { isDomidRecent } from "./domid-history.ts";
import { dom0 } from "./libxl-ctx.ts";
import { libxlError, reported } from "./log.ts";
import { domainRename } from "./rename.ts";
import { ERROR_FAIL } from "./rc.ts";
import { transaction } from "./transaction.ts";
import type { DomainConfig } from "./xlcfg/domain-config.ts";
import { mknodRequests, rmRequest, writeRequest, xsGetDomainPath, xsScript } from "./xs.ts";
import type { XsRequest } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** What of a configuration decides how an empty domain looks. */
export type MakeConfig = {
  create: Partial<XenDomainConfig> & { domid?: number };
  type: "hvm" | "pv" | "pvh";
  name: string;
  uuid: string;
  /** The guest makes its event channel for suspension itself, as under xend. */
  suspendEvtchnCompat: boolean;
  driverDomain: boolean;
};

/** Devices Xen emulates itself for the types of guests (XEN_X86_EMU_*, public/arch-x86/xen.h). */
const EMULATED: { readonly [type in MakeConfig["type"]]: number } = { pv: 0, pvh: 0x001, hvm: 0x3ff };

/** Whether a configuration asks for one domid, and no other (libxl_domid_valid_guest). */
const byNumber = (domid: number): boolean => domid > 0 && domid < DOMID_FIRST_RESERVED;

/** The parts of a configuration, whose defaults are set, that libxl__domain_make looks at. */
export function makeConfig({ c_info: c, b_info: b }: DomainConfig): MakeConfig {
  const hvm = c.type !== "pv";
  let flags = 0;
  if (hvm) flags |= CDF_hvm;
  if (hvm && c.hap === true) flags |= CDF_hap;
  if (hvm && c.oos !== true) flags |= CDF_oos_off;
  if (hvm && b.nested_hvm === true) flags |= CDF_nested_virt;
  if (b.vpmu === true) flags |= CDF_vpmu;
  if (c.passthrough !== "disabled") flags |= CDF_iommu;
  return {
    create: {
      ...(byNumber(c.domid) ? { domid: c.domid } : {}),
      flags,
      maxVcpus: b.max_vcpus,
      maxEvtchnPort: b.event_channels,
      maxGrantFrames: b.max_grant_frames ?? -1,
      maxMaptrackFrames: b.max_maptrack_frames ?? -1,
      grantOpts: b.max_grant_version ?? 2,
      ssidref: c.ssidref,
      cpupoolId: c.poolid,
      emulationFlags: EMULATED[c.type as MakeConfig["type"]],
      handle: (c.uuid as string).replaceAll("-", ""),
    },
    type: c.type as MakeConfig["type"],
    name: c.name as string,
    uuid: c.uuid as string,
    suspendEvtchnCompat: c.xend_suspend_evtchn_compat === true,
    driverDomain: c.driver_domain === true,
  };
}

/** The domain's own nodes up to its name, and what is known of its virtual machine. */
function firstNodes(domid: number, config: MakeConfig): XsRequest[] {
  const home = `/local/domain/${domid}`;
  const vm = `/vm/${config.uuid}`;
  const libxl = `/libxl/${domid}`;
  const readable = ["n0", `r${domid}`];
  const hidden = ["n0"];
  return [
    rmRequest(home),
    ...mknodRequests(home, readable),
    rmRequest(vm),
    ...mknodRequests(vm, readable),
    rmRequest(libxl),
    ...mknodRequests(libxl, hidden),
    ...mknodRequests(`${libxl}/device`, hidden),
    writeRequest(`${home}/vm`, vm),
  ];
}

/** What follows once the domain has its name: directories it reads, nodes it owns. */
function furtherNodes(domid: number, config: MakeConfig): XsRequest[] {
  const home = `/local/domain/${domid}`;
  const vm = `/vm/${config.uuid}`;
  const readable = (name: string): XsRequest[] => mknodRequests(`${home}/${name}`, ["n0", `r${domid}`]);
  const owned = (name: string): XsRequest[] => mknodRequests(`${home}/${name}`, [`n${domid}`]);
  const hvm = config.type === "hvm";
  return [
    ...readable("cpu"),
    ...readable("memory"),
    ...(config.suspendEvtchnCompat
      ? owned("device")
      : [...readable("device"), ...owned("device/suspend/event-channel")]),
    ...readable("control"),
    ...(hvm ? readable("hvmloader") : []),
    ...owned("control/shutdown"),
    ...["poweroff", "reboot", "suspend", ...(hvm ? ["s3", "s4"] : [])].flatMap((name) =>
      owned(`control/feature-${name}`),
    ),
    ...owned("control/sysrq"),
    ...["data", "drivers", "feature", "attr", "error"].flatMap(owned),
    ...(config.driverDomain ? ["libxl", "device-model"].flatMap(owned) : []),
    writeRequest(`${vm}/uuid`, config.uuid),
    writeRequest(`${vm}/name`, config.name),
    writeRequest(`${home}/control/platform-feature-multiprocessor-suspend`, "1"),
    writeRequest(`${home}/control/platform-feature-xs_reset_watches`, "1"),
    writeRequest(`/libxl/${domid}/type`, config.type),
  ];
}

/**
 * Has Xen make an empty domain, paused, again and again until it has a domid that nobody had
 * lately. One that was asked for by number is not replaced by another.
 */
export const createFreshDomain = routine(
  "xc_domain_create",
  (a: { process: string; create: MakeConfig["create"] }) => ({ ...a, domid: -1, recent: false }),
  ({ repeatUntil, step, when, call, failWith }) => [
    repeatUntil("fresh domid", (l) => !l.recent, [
      step("createdomain", (host, l) => {
        const made = createdomain(host, dom0(l.process), l.create);
        if (isFailure(made)) {
          return reported(
            host,
            l.process,
            "libxl_create.c:711:libxl__domain_make",
            "domain creation fail",
            made,
          );
        }
        l.domid = made.domid;
        l.recent = isDomidRecent(host, made.domid);
        return;
      }),
      when("was destroyed lately", (l) => l.recent, [
        when("asked for by number", (l) => l.create.domid !== undefined, [
          step("complain", (host, l) => {
            libxlError(
              host,
              l.process,
              "libxl_create.c:732:libxl__domain_make",
              "domain id recently used",
              l.domid,
            );
          }),
          failWith("no other will do", ERROR_FAIL),
        ]),
        call("destroydomain", destroydomain, ({ process, domid }) => ({ caller: dom0(process), domid })),
      ]),
    ]),
  ],
  (l) => l.domid,
);

/** Makes a domain's nodes, in one transaction; on a soft reset once more. */
export const makeNodes = routine(
  "libxl__domain_make",
  (a: { process: string; domid: number; config: MakeConfig }) => ({ ...a, t: 0 }),
  (words) => {
    const { call } = words;
    return [
      call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain),
      transaction(words, [
        call("first nodes", xsScript, ({ process, t, domid, config }) => ({
          process,
          t,
          requests: firstNodes(domid, config),
        })),
        call("libxl__domain_rename", domainRename, ({ process, t, domid, config }) => ({
          process,
          t,
          domid,
          oldName: null,
          newName: config.name,
        })),
        call("further nodes", xsScript, ({ process, t, domid, config }) => ({
          process,
          t,
          requests: furtherNodes(domid, config),
        })),
      ]),
    ];
  },
);
