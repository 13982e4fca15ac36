// SPDX-License-Identifier: Apache-2.0
//
// Host devices handed to the guest: PCI, device tree nodes, and how.

import { isFailure } from "../../engine/errno.ts";
import { devicePci, passthroughs } from "./domain-config.ts";
import { die, takeDefbool, type Parse, type Section } from "./parse-context.ts";
import { parsePciSpec, parseRdm } from "./pci-spec.ts";
import { getList, getLong, getString, leadingStrings, type Reader } from "./reader.ts";
import { enumFromString } from "./strtol.ts";

/** e820_host, PCI and device tree devices, passthrough mode. */
export const parsePassthrough: Section = (parse) => {
  const { b_info, c_info } = parse.domain;
  if (b_info.u.type === "pv") takeDefbool(parse, "e820_host", b_info.u, "e820_host");
  const code = parsePciDevices(parse);
  if (code !== undefined) return code;
  const dtdevs = getList(parse, "dtdev");
  if (dtdevs !== null) parse.domain.dtdevs = leadingStrings(dtdevs).map((path) => ({ path }));
  const passthrough = getString(parse, "passthrough");
  if (passthrough !== null) {
    const mode = enumFromString(passthroughs, passthrough);
    if (mode === undefined) return die(parse, `ERROR: unknown passthrough option '${passthrough}'\n`);
    c_info.passthrough = mode;
  }
  return undefined;
};

function flagOf(parse: Reader, key: string): boolean {
  const value = getLong(parse, key);
  return !isFailure(value) && value !== 0n;
}

function parsePciDevices(parse: Parse): number | undefined {
  const { u } = parse.domain.b_info;
  const defaults = {
    msitranslate: flagOf(parse, "pci_msitranslate"),
    power_mgmt: flagOf(parse, "pci_power_mgmt"),
    permissive: flagOf(parse, "pci_permissive"),
    seize: flagOf(parse, "pci_seize"),
  };
  const rdm = getString(parse, "rdm");
  const parsedRdm = rdm === null ? null : parseRdm(parse, rdm);
  if (parsedRdm !== null && u.type === "hvm") u.rdm.strategy = parsedRdm.strategy;
  const list = getList(parse, "pci");
  if (list === null) return undefined;
  for (const spec of leadingStrings(list)) {
    // Other guest types have no policy; xl reads zeroes there, which is "strict".
    const rdm_policy = u.type === "hvm" ? u.rdm.policy : "strict";
    const pci = { ...devicePci.init(), ...defaults, rdm_policy };
    parse.domain.pcidevs.push(pci);
    const refused = parsePciSpec(parse, pci, spec);
    if (refused !== 0)
      return die(parse, `unable to parse PCI_SPEC_STRING \`${spec}' for passthrough\n`, refused);
  }
  if (parse.domain.pcidevs.length > 0 && u.type === "pv") u.e820_host = true;
  return undefined;
}
