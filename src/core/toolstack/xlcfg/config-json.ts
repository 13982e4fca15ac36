// SPDX-License-Identifier: Apache-2.0
//
// A domain's configuration as JSON: what libxl keeps as userdata "libxl-json"
// and what a save file carries (tools/libs/light/libxl_json.c).

import { domainConfig, type DomainConfig } from "./domain-config.ts";
import type { Json } from "./idl.ts";
import { printJson } from "./json.ts";

/** A configuration as libxl prints it. */
export const configToJson = (config: DomainConfig): string => printJson(domainConfig.toJson(config));

/**
 * A configuration from its JSON, which libxl ends with a NUL where it keeps it;
 * undefined when the text is none, such as a damaged file's.
 */
export function configFromJson(text: string): DomainConfig | undefined {
  let json: Json;
  try {
    json = JSON.parse(text.replace(/\0$/, "")) as Json;
  } catch {
    return undefined;
  }
  const config = domainConfig.fromJson(json);
  // The guest's type is in c_info and again in b_info's union.
  return config?.c_info.type === config?.b_info.u.type ? config : undefined;
}
