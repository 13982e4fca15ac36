// SPDX-License-Identifier: Apache-2.0
//
// Settings of the platform that xl reads before and after the keyboards.

import { gicVersions, teeTypes } from "./domain-config.ts";
import { die, exitErrorFail, takeDefbool, type Section } from "./parse-context.ts";
import { getString } from "./reader.ts";
import { enumFromString } from "./strtol.ts";

/** gic_version=, tee=. */
export const parsePlatform: Section = (parse) => {
  const { b_info } = parse.domain;
  const gic = getString(parse, "gic_version", true);
  if (gic !== null) {
    const version = enumFromString(gicVersions, gic);
    if (version === undefined) return die(parse, `Unknown gic_version "${gic}" specified\n`, exitErrorFail);
    b_info.arch_arm.gic_version = version;
  }
  const tee = getString(parse, "tee", true);
  if (tee !== null) {
    const type = enumFromString(teeTypes, tee);
    if (type === undefined) return die(parse, `Unknown tee "${tee}" specified\n`, exitErrorFail);
    b_info.tee = type;
  }
  return undefined;
};

/** xend_suspend_evtchn_compat=, msr_relaxed=, vpmu=. */
export const parseCompatibility: Section = (parse) => {
  const { b_info, c_info } = parse.domain;
  takeDefbool(parse, "xend_suspend_evtchn_compat", c_info, "xend_suspend_evtchn_compat");
  takeDefbool(parse, "msr_relaxed", b_info.arch_x86, "msr_relaxed");
  if (b_info.arch_x86.msr_relaxed !== null) {
    parse.stderr +=
      "WARNING: msr_relaxed will be removed in future versions.\n" +
      "If it fixes an issue you are having please report to xen-devel@lists.xenproject.org.\n";
  }
  takeDefbool(parse, "vpmu", b_info, "vpmu");
  return undefined;
};
