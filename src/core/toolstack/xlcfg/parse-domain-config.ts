// SPDX-License-Identifier: Apache-2.0
//
// From an xl.cfg to a domain's configuration (tools/xl/xl_parse.c,
// parse_config_data): every key xl 4.17 knows, in the order xl looks at them,
// with its messages and exit codes. Keys xl does not know it ignores.

import { domainConfig, type DomainConfig } from "./domain-config.ts";
import { parseDevices, parseVkbs } from "./parse-devices.ts";
import { parseDeviceModel } from "./parse-device-model.ts";
import { parseGuestKernel } from "./parse-guest-kernel.ts";
import { parseHvmDisplay } from "./parse-hvm.ts";
import { parseIdentity } from "./parse-identity.ts";
import { parseCompatibility, parsePlatform } from "./parse-platform.ts";
import { parsePassthrough } from "./parse-passthrough.ts";
import { parseResources } from "./parse-resources.ts";
import { parseShutdownActions } from "./parse-shutdown-actions.ts";
import { runSections, type Parse, type ParseEnvironment } from "./parse-context.ts";
import { parseConfig } from "./parser.ts";
import { createReader } from "./reader.ts";

export type { ParseEnvironment } from "./parse-context.ts";

export type ParsedDomainConfig =
  | { ok: true; config: DomainConfig; stderr: string }
  | {
      ok: false;
      /** xl's exit code. */
      code: number;
      /** xl's words. */
      stderr: string;
      /** One more line of ours, or "": file, line, column and what was expected. */
      hint: string;
    };

/**
 * A domain's configuration from xl.cfg text. `source` is what messages call the
 * text: the file's name, "<updated>", "<saved>". Command-line settings are part
 * of the text (see `appendExtraConfig`).
 */
export function parseDomainConfig(
  source: string,
  text: string,
  environment: ParseEnvironment,
): ParsedDomainConfig {
  const parsed = parseConfig(source, text);
  if (!parsed.ok) {
    const stderr = `${parsed.stderr}Failed to parse config: Invalid argument\n`;
    return { ok: false, code: 1, stderr, hint: parsed.hint };
  }
  const parse: Parse = { ...createReader(parsed.config), environment, domain: domainConfig.init() };
  const code = runSections(parse, [
    parseIdentity,
    parseResources,
    parseShutdownActions,
    parsePassthrough,
    parseGuestKernel,
    parseDevices,
    parseDeviceModel,
    parseHvmDisplay,
    parsePlatform,
    parseVkbs,
    parseCompatibility,
  ]);
  if (code !== undefined) return { ok: false, code, stderr: parse.stderr, hint: "" };
  return { ok: true, config: parse.domain, stderr: parse.stderr };
}

/** File contents with the `k=v` arguments of the command line after them, as create_domain joins them. */
export function appendExtraConfig(text: string, extraConfig: string): string {
  return extraConfig === "" ? text : `${text}\n${extraConfig}\n`;
}
