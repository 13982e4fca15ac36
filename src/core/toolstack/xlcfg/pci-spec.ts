// SPDX-License-Identifier: Apache-2.0
//
// PCI device specifications and reserved device memory (xl-pci-configuration(5);
// tools/libs/util/libxlu_pci.c).

import { type DevicePci } from "./domain-config.ts";
import { rdmReservePolicies } from "./hvm-info.ts";
import type { SpecReport } from "./nic-spec.ts";
import { atoi, enumFromString } from "./strtol.ts";

/** vfunc_mask of `BB:DD.*`: all functions of the device. */
const allFunctions = 0xffffffff;

/** `[DDDD:]BB:DD.F` at the start of `text`: how long it is, 0 when it is none. */
export function parseBdf(pci: DevicePci, text: string): number {
  const colons = (/^[0-9a-fA-F:]*/.exec(text)?.[0].match(/:/g) ?? []).length;
  const shape =
    colons === 1
      ? /^()([0-9a-fA-F]+):([0-9a-fA-F]+)\.(\*|[0-9a-fA-F]+)/
      : /^([0-9a-fA-F]+):([0-9a-fA-F]+):([0-9a-fA-F]+)\.(\*|[0-9a-fA-F]+)/;
  const match = colons === 1 || colons === 2 ? shape.exec(text) : null;
  if (match === null) return 0;
  const [whole, domain, bus, dev, func] = match as unknown as [string, string, string, string, string];
  const numbers = [domain || "0", bus, dev, func === "*" ? "0" : func].map((digits) =>
    Number.parseInt(digits, 16),
  );
  const [domainNumber, busNumber, devNumber, funcNumber] = numbers as [number, number, number, number];
  if (domainNumber > 0xffff || busNumber > 0xff || devNumber > 0x1f || funcNumber > 7) return 0;
  pci.vfunc_mask = func === "*" ? allFunctions : 1;
  pci.domain = domainNumber;
  pci.bus = busNumber;
  pci.dev = devNumber;
  pci.func = funcNumber;
  return whole.length;
}

/** A virtual slot in hexadecimal: how many characters it has, 0 when it is none. */
function parseVslot(pci: DevicePci, text: string): number {
  const digits = /^(?:0x)?[0-9a-fA-F]+/.exec(text)?.[0] ?? "";
  const slot = Number.parseInt(digits, 16);
  if (digits === "" || slot > 0x1f) return 0;
  pci.vdevfn = slot << 3;
  return digits.length;
}

/** libxl's ERROR_FAIL and ERROR_INVAL, negated as xl exits with them. */
const errorFail = 3;
const errorInval = 6;

/** Reads a PCI_SPEC_STRING into `pci`: 0, or the exit code with which xl refuses it in xl.cfg. */
export function parsePciSpec(report: SpecReport, pci: DevicePci, spec: string): number {
  let rest = spec;
  const length = parseBdf(pci, rest);
  let haveBdf = length > 0;
  if (haveBdf) {
    rest = rest.slice(length);
    if (rest.startsWith("@")) {
      const slot = parseVslot(pci, rest.slice(1));
      if (slot === 0) return errorInval;
      rest = rest.slice(1 + slot);
    }
    if (rest.startsWith(",")) rest = rest.slice(1);
    else if (rest !== "") return errorInval;
  }
  let haveName = false;
  while (rest !== "") {
    const match = /^([^=]*)=([^,]*),?/.exec(rest);
    if (match === null) return errorInval;
    rest = rest.slice(match[0].length);
    const [, key, value] = match as unknown as [string, string, string];
    const refused = parsePciOption(report, pci, key, value);
    if (refused !== 0) return refused;
    if (key === "bdf") haveBdf = true;
    if (key === "name") haveName = true;
  }
  return haveBdf === haveName ? errorInval : 0;
}

function parsePciOption(report: SpecReport, pci: DevicePci, key: string, value: string): number {
  switch (key) {
    case "bdf":
      return parseBdf(pci, value) > 0 ? 0 : errorInval;
    case "vslot":
      return parseVslot(pci, value) > 0 ? 0 : errorInval;
    case "permissive":
    case "msitranslate":
    case "seize":
    case "power_mgmt":
      pci[key] = atoi(value) !== 0;
      return 0;
    case "rdm_policy": {
      const policy = enumFromString(rdmReservePolicies, value);
      if (policy === undefined) report.stderr += `Unknown RDM policy: ${value}`;
      else pci.rdm_policy = policy;
      return policy === undefined ? errorFail : 0;
    }
    case "name":
      pci.name = value;
      return 0;
    default:
      report.stderr += `Unknown PCI_SPEC_STRING option: ${key}`;
      return errorInval;
  }
}

/**
 * rdm="strategy=host": whether it was understood. xl refuses every valid
 * `policy=` (xlu_rdm_parse has its check upside down), so the strategy is all
 * there is.
 */
export function parseRdm(report: SpecReport, spec: string): { strategy: "host" | "ignore" } | null {
  let strategy: "host" | "ignore" = "ignore";
  for (const part of spec.split(",")) {
    const [, key, value] = /^([^=]*)=(.*)$/s.exec(part) ?? [];
    if (key === undefined) return null;
    if (key === "strategy") {
      if (value !== "host") {
        report.stderr += `Unknown RDM strategy option: ${value}`;
        return null;
      }
      strategy = "host";
    } else if (key === "policy") {
      if (enumFromString(rdmReservePolicies, value as string) !== undefined) return null;
      report.stderr += `Unknown RDM policy: ${value}`;
    } else {
      report.stderr += `Unknown RDM state option: ${key}`;
      return null;
    }
  }
  return { strategy };
}
