// SPDX-License-Identifier: Apache-2.0
//
// Who a domain is: security label, type, name, UUID, pool.

import { buildInfoUnion } from "./domain-config.ts";
import { die, takeDefbool, takeString, type Parse, type Section } from "./parse-context.ts";
import { getString } from "./reader.ts";
import { parseUuid } from "./strtol.ts";

/** c_info, and the part of b_info that its type chooses. */
export const parseIdentity: Section = (parse) => {
  const { c_info, b_info } = parse.domain;
  takeString(parse, "init_seclabel", c_info, "ssid_label");
  if (c_info.ssid_label === null) takeString(parse, "seclabel", c_info, "ssid_label");
  else takeString(parse, "seclabel", b_info, "exec_ssid_label");
  c_info.run_hotplug_scripts = parse.environment.conf.runHotplugScripts;
  const badType = parseType(parse);
  if (badType !== undefined) return badType;
  takeDefbool(parse, "hap", c_info, "hap");
  takeString(parse, "name", c_info, "name");
  if (c_info.name === null) return die(parse, "Domain name must be specified.\n");
  const uuid = getString(parse, "uuid");
  const parsedUuid = uuid === null ? parse.environment.newUuid : parseUuid(uuid);
  if (parsedUuid === undefined) return die(parse, `Failed to parse UUID: ${uuid}\n`);
  c_info.uuid = /^[0-]+$/.test(parsedUuid) ? null : parsedUuid;
  takeDefbool(parse, "oos", c_info, "oos");
  takeString(parse, "pool", c_info, "pool_name");
  b_info.u = buildInfoUnion.initMember(c_info.type);
  if (b_info.u.type === "pvh") {
    takeDefbool(parse, "pvshim", b_info.u, "pvshim");
    takeString(parse, "pvshim_path", b_info.u, "pvshim_path");
    takeString(parse, "pvshim_cmdline", b_info.u, "pvshim_cmdline");
    takeString(parse, "pvshim_extra", b_info.u, "pvshim_extra");
  }
  return undefined;
};

/** `type`, and `builder`, deprecated since 4.10. xl takes any beginning of a name, the empty one too. */
function parseType(parse: Parse): number | undefined {
  const { c_info } = parse.domain;
  const type = getString(parse, "type");
  if (type !== null) {
    const named = (["hvm", "pv", "pvh"] as const).find((name) => name.startsWith(type));
    if (named === undefined) return die(parse, `Invalid domain type ${type}.\n`);
    c_info.type = named;
  }
  const builder = getString(parse, "builder");
  if (builder !== null) {
    const named = "hvm".startsWith(builder) ? "hvm" : "generic".startsWith(builder) ? "pv" : undefined;
    if (named === undefined) return die(parse, `Invalid domain type ${builder}.\n`);
    if (c_info.type !== "invalid" && c_info.type !== named) {
      return die(parse, `Contradicting "builder" and "type" options specified.\n`);
    }
    c_info.type = named;
  }
  if (c_info.type === "invalid") c_info.type = "pv";
  return undefined;
}
