// SPDX-License-Identifier: Apache-2.0
//
// pci-list, pci-assignable-*, pci-attach, pci-detach (tools/xl/xl_pci.c, libxl_pci.c). Dom0
// has no PCI bus and no pciback: there is nothing to pass through.

import { fail, present } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import type { Host } from "../../engine/host.ts";
import { iommuDomctl } from "../../hypervisor/absent.ts";
import { stderr } from "../../daemons/process.ts";
import { domainType } from "../dominfo.ts";
import { dom0 } from "../libxl-ctx.ts";
import { libxlError, reported } from "../log.ts";
import { findNamed } from "../name.ts";
import { ERROR_FAIL } from "../rc.ts";
import { sameDomain } from "../same.ts";
import { verb } from "../verb.ts";
import * as say from "../xl/messages.ts";
import { devicePci } from "../xlcfg/domain-config.ts";
import type { DevicePci } from "../xlcfg/domain-config.ts";
import { parseBdf, parsePciSpec } from "../xlcfg/pci-spec.ts";
import { rmRequest, xsDirectory, xsGetDomainPath, xsRead, xsScript } from "../xs.ts";

/** Exit status where a device's address cannot be understood. */
const MALFORMED = 2;

const hex = (value: number, width: number): string => value.toString(16).padStart(width, "0");

/** "0000:00:1f.2" */
const bdfOf = ({ domain, bus, dev, func }: DevicePci): string =>
  `${hex(domain, 4)}:${hex(bus, 2)}:${hex(dev, 2)}.${hex(func, 1)}`;

/** "0:0:1f.2", as some of libxl's lines have it. */
const shortBdf = (bdf: string): string => bdf.replaceAll(/\b0+(?=[0-9a-f])/g, "");

/** The device at an address, which has to be all there is; null where it is none. */
function deviceAt(text: string): DevicePci | null {
  const pci = devicePci.init();
  return parseBdf(pci, text) === text.length ? pci : null;
}

/** Says that no driver for devices that are passed through is loaded. */
function complainPciback(host: Host, process: string): void {
  const where = "libxl_pci.c:444:libxl_device_pci_assignable_list";
  libxlError(host, process, where, "Looks like pciback driver not loaded");
}

/** `xl pci-list`: dom0 has no PCI devices to pass through. */
export const pciListVerb = verb(
  "pci-list",
  ({ process, command }) => ({ process, command, status: 0, domid: -1, home: "" }),
  ({ call }) => [
    findNamed(call),
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
  ],
);

/** `xl pci-assignable-list`. */
export const pciAssignableListVerb = verb(
  "pci-assignable-list",
  ({ process }) => ({ process, status: 0 }),
  ({ step }) => [step("libxl_device_pci_assignable_list", (host, l) => complainPciback(host, l.process))],
);

/** `xl pci-assignable-add`. */
export const pciAssignableAddVerb = verb(
  "pci-assignable-add",
  ({ process, command }) => ({ process, command, status: 0 }),
  ({ step }) => [
    step("libxl_device_pci_assignable_add", (host, l) => {
      const { process, command } = l;
      const pci = deviceAt(command.bdf);
      if (pci === null) {
        stderr(host, process, say.malformedBdf("pci-assignable-add", `"${command.bdf}"`));
        l.status = MALFORMED;
        return;
      }
      const where = "libxl_pci.c:792:libxl__device_pci_assignable_add";
      const path = `/sys/bus/pci/devices/${bdfOf(pci)}`;
      return reported(host, process, where, `Couldn't lstat ${path}`, fail("ENOENT"));
    }),
  ],
);

/** `xl pci-assignable-remove`. */
export const pciAssignableRemoveVerb = verb(
  "pci-assignable-remove",
  ({ process, command }) => ({ process, command, status: 0 }),
  ({ call, step }) => [
    // First the word is taken for a name; no device has one.
    call("name2bdf", xsDirectory, ({ process }) => ({ process, path: "/libxl/pci" })),
    step("deassign_device", (host, l) => {
      const { process, command } = l;
      const pci = deviceAt(command.ident);
      if (pci === null) {
        stderr(host, process, say.malformedBdf("pci-assignable-remove", `'${command.ident}'`));
        l.status = MALFORMED;
        return;
      }
      const refused = iommuDomctl(host, dom0(process));
      const where = "libxl_pci.c:906:libxl__device_pci_assignable_remove";
      libxlError(host, process, where, `failed to de-quarantine ${bdfOf(pci)}`);
      return refused;
    }),
  ],
);

/** Understands what is to be attached or detached; says so, and decides on the exit status, where it cannot. */
function parseSpec(
  host: Host,
  l: { process: string; status: number; spec: string },
  name: string,
): DevicePci | null {
  const pci = devicePci.init();
  const report = { source: "command line", stderr: "" };
  if (parsePciSpec(report, pci, l.spec) === 0) return pci;
  stderr(host, l.process, report.stderr + say.malformedPciSpec(name, l.spec));
  l.status = MALFORMED;
  return null;
}

/** The end of an attempt to add or remove a device. */
function failed(host: Host, process: string, action: "add" | "remove"): Failure {
  libxlError(host, process, "libxl_device.c:1486:device_addrm_aocomplete", `unable to ${action} device`);
  return fail(ERROR_FAIL);
}

/** `xl pci-attach`. */
export const pciAttachVerb = verb(
  "pci-attach",
  ({ process, command }) => ({
    process,
    command,
    spec: command.spec,
    status: 0,
    domid: -1,
    pci: null as string | null,
  }),
  ({ call, step, when, attempt }) => [
    findNamed(call),
    step("xlu_pci_parse_spec_string", (host, l) => {
      const pci = parseSpec(host, l, "pci-attach");
      l.pci = pci === null ? null : bdfOf(pci);
    }),
    when("understood", (l) => l.pci !== null, [
      attempt([call("libxl__domain_type", domainType, sameDomain)]).onError(() => {}, []),
      step("libxl__device_pci_add", (host, { process, domid, pci }) => {
        complainPciback(host, process);
        const where = (line: number, name: string): string => `libxl_pci.c:${line}:${name}`;
        const device = shortBdf(present(pci));
        const text = `PCI device ${device} is not assignable`;
        libxlError(host, process, where(1677, "libxl__device_pci_add"), text, domid);
        const result = `libxl__device_pci_add failed for PCI device ${device} (rc -3)`;
        libxlError(host, process, where(1809, "device_pci_add_done"), result, domid);
      }),
      call("pci_info_xs_remove", xsScript, ({ process, pci }) => ({
        process,
        requests: [rmRequest(`/libxl/pci/${present(pci).replaceAll(/[:.]/g, "-")}/domid`)],
      })),
      step("device_addrm_aocomplete", (host, { process }) => failed(host, process, "add")),
    ]),
  ],
);

/** `xl pci-detach`. */
export const pciDetachVerb = verb(
  "pci-detach",
  ({ process, command }) => ({
    process,
    command,
    spec: command.spec,
    status: 0,
    domid: -1,
    understood: false,
    home: "",
  }),
  ({ call, step, when, attempt }) => [
    findNamed(call),
    step("xlu_pci_parse_spec_string", (host, l) => {
      l.understood = parseSpec(host, l, "pci-detach") !== null;
    }),
    when("understood", (l) => l.understood, [
      attempt([call("libxl__domain_type", domainType, sameDomain)]).onError(() => {}, []),
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
      step("none", (host, { process }) => failed(host, process, "remove")),
    ]),
  ],
);
