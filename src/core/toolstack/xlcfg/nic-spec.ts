// SPDX-License-Identifier: Apache-2.0
//
// Network interface specifications (xl-network-configuration(5);
// tools/xl/xl_parse.c parse_nic_config, tools/libs/util/libxlu_vif.c).

import { coloNicKeys, deviceNic, type DeviceNic } from "./device-nic.ts";
import { specParts, strtoul, uint32, int32 } from "./strtol.ts";

/** xl.conf's defaults for new interfaces; null where it says nothing. */
export interface NicDefaults {
  script: string | null;
  bridge: string | null;
  gatewaydev: string | null;
  backend: string | null;
}

/** Where messages go, and what they call their source. */
export interface SpecReport {
  source: string;
  stderr: string;
}

/**
 * How a part of a specification fared: "refused" was reported and xl.cfg goes on
 * after it while a command ends; "exit" ends xl with exit code 1.
 */
export type SpecResult = "ok" | "refused" | "exit";

/** An interface with nothing but xl.conf's defaults (set_default_nic_values). */
export function defaultNic(defaults: NicDefaults): DeviceNic {
  const nic = deviceNic.init();
  nic.script = defaults.script;
  nic.bridge = defaults.bridge;
  nic.gatewaydev = defaults.gatewaydev;
  nic.backend_domname = defaults.backend;
  return nic;
}

/** Reads a vif=[] entry into `nic`; true when xl must exit. */
export function parseNicSpec(report: SpecReport, nic: DeviceNic, spec: string): boolean {
  return specParts(spec).some((part) => parseNicPart(report, nic, part) === "exit");
}

const stringOptions: Record<string, StringKey> = {
  bridge: "bridge",
  gatewaydev: "gatewaydev",
  ip: "ip",
  script: "script",
  backend: "backend_domname",
  vifname: "ifname",
  model: "model",
  forwarddev: "coloft_forwarddev",
  ...Object.fromEntries(coloNicKeys.map((key) => [key, key])),
};
type StringKey = { [K in keyof DeviceNic]: string extends DeviceNic[K] ? K : never }[keyof DeviceNic];

/** Reads one `key=value` (or `trusted`, `untrusted`) into `nic`. */
export function parseNicPart(report: SpecReport, nic: DeviceNic, part: string): SpecResult {
  if (part === "trusted" || part === "untrusted") {
    nic.trusted = part === "trusted";
    return "ok";
  }
  const equals = part.indexOf("=");
  const key = part.slice(0, Math.max(equals, 0));
  const value = part.slice(equals + 1);
  const field = Object.hasOwn(stringOptions, key) ? stringOptions[key] : undefined;
  if (field !== undefined) {
    nic[field] = value;
    return "ok";
  }
  const parse = Object.hasOwn(otherOptions, key) ? otherOptions[key] : undefined;
  if (parse !== undefined) return parse(report, nic, value);
  report.stderr += `unrecognized argument \`${part}'\n`;
  return "refused";
}

const otherOptions: Record<string, (report: SpecReport, nic: DeviceNic, value: string) => SpecResult> = {
  type(report, nic, value) {
    if (value !== "vif" && value !== "ioemu") {
      report.stderr += "Invalid parameter `type'.\n";
      return "refused";
    }
    nic.nictype = value === "vif" ? "vif" : "vif_ioemu";
    return "ok";
  },
  mac: parseMac,
  netdev(report, nic, value) {
    report.stderr += "the netdev parameter is deprecated, please use gatewaydev instead\n";
    nic.gatewaydev = value;
    return "ok";
  },
  rate: parseRate,
  accel(report) {
    report.stderr += "the accel parameter for vifs is currently not supported\n";
    return "ok";
  },
  devid: (report, nic, value) => storeUlong(report, value, (number) => (nic.devid = number)),
  mtu: (report, nic, value) => storeUlong(report, value, (number) => (nic.mtu = number)),
};

/** xl's parse_ulong: anything after the digits is ignored. */
function storeUlong(report: SpecReport, text: string, store: (value: number) => void): SpecResult {
  const { value, end } = strtoul(text, 10);
  if (end === 0 || value === 2n ** 64n - 1n) {
    report.stderr += `xl: failed to convert "${text}" to number\n`;
    return "exit";
  }
  store(int32(value));
  return "ok";
}

/** Six hexadecimal bytes; whatever single character stands between them is skipped. */
function parseMac(report: SpecReport, nic: DeviceNic, text: string): SpecResult {
  const bytes = (nic.mac ?? "00:00:00:00:00:00").split(":");
  let rest = text;
  for (let index = 0; index < 6; index++) {
    const { value, end } = strtoul(rest, 16);
    if (end === 0 || uint32(value) > 255) {
      report.stderr += "Invalid parameter `mac'.\n";
      nic.mac = macOrNull(bytes);
      return "refused";
    }
    bytes[index] = uint32(value).toString(16).padStart(2, "0");
    rest = rest.slice(end + 1);
  }
  nic.mac = macOrNull(bytes);
  return "ok";
}

function macOrNull(bytes: readonly string[]): string | null {
  return bytes.every((byte) => byte === "00") ? null : bytes.join(":");
}

const units: Record<string, bigint> = { G: 1_000_000_000n, M: 1_000_000n, K: 1000n };
const uint32Max = 2n ** 32n - 1n;

/** `RATE[@INTERVAL]`, such as 10Mb/s@20ms: bytes in each interval (xlu_vif_parse_rate). */
function parseRate(report: SpecReport, nic: DeviceNic, text: string): SpecResult {
  const at = text.indexOf("@");
  const rate = at < 0 ? text : text.slice(0, at);
  const refuse = (message: string, near: string): SpecResult => {
    report.stderr += `${report.source}: config parsing error in vif: ${message} in \`${near}'\n`;
    return "exit";
  };
  if (rate === "") return refuse("no rate specified", text);
  if (!/^[0-9]+[GMK]?[Bb]\/s$/.test(rate)) return refuse("invalid rate", rate);
  const bytes = strtoul(rate, 0);
  if (bytes.value === 0n || bytes.value > uint32Max) return refuse("rate overflow", rate);
  const unit = units[rate[bytes.end] ?? ""];
  let bytesPerSecond = bytes.value * (unit ?? 1n);
  if (rate[bytes.end] === "b" || rate[bytes.end + 1] === "b") bytesPerSecond /= 8n;
  let interval = 50_000n;
  if (at >= 0) {
    const given = text.slice(at + 1);
    if (!/^[0-9]+[mu]?s?$/.test(given)) return refuse("invalid replenishment interval", given);
    const { value, end } = strtoul(given, 0);
    const factor = end === given.length || given[end] === "s" ? 1_000_000n : given[end] === "m" ? 1000n : 1n;
    interval = value * factor;
    if (value === 0n || value > uint32Max || interval > uint32Max) {
      return refuse("replenishment interval overflow", given);
    }
  }
  if (bytesPerSecond > (2n ** 64n - 1n) / interval) return refuse("rate overflow", text);
  nic.rate_interval_usecs = Number(interval);
  nic.rate_bytes_per_interval = Number((bytesPerSecond * interval) / 1_000_000n);
  return "ok";
}
