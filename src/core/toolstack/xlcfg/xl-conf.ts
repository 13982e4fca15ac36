// SPDX-License-Identifier: Apache-2.0
//
// xl's global configuration, /etc/xen/xl.conf (xl.conf(5); tools/xl/xl.c,
// parse_global_config).

import { isFailure } from "../../engine/errno.ts";
import { allocCpuBitmap, cpuBitmapBits, parseCpuRange, type HostCpus } from "./cpu-range.ts";
import type { NicDefaults } from "./nic-spec.ts";
import { parseConfig } from "./parser.ts";
import { createReader, getBoundedLong, getLong, getString, type Reader } from "./reader.ts";

/** What xl.conf settles for all domains. */
export interface XlConf {
  /** Free memory for new domains by shrinking dom0. "auto": unless dom0_mem= is on Xen's command line. */
  autoballoon: boolean | "auto";
  runHotplugScripts: boolean;
  lockfile: string;
  nic: NicDefaults;
  outputFormat: "json" | "sxp";
  blkdevStart: string | null;
  claimMode: boolean;
  remusNetbufScript: string | null;
  coloProxyScript: string | null;
  /** null: libxl decides. */
  maxGrantFrames: number | null;
  maxMaptrackFrames: number | null;
  maxGrantVersion: number | null;
  /** CPUs that domains may use, all and by type; null for every CPU. */
  vmCpumask: number[] | null;
  hvmCpumask: number[] | null;
  pvCpumask: number[] | null;
  domidPolicy: "xen" | "random";
}

/** What xl does where xl.conf says nothing. */
export function defaultXlConf(): XlConf {
  return {
    autoballoon: "auto",
    runHotplugScripts: true,
    lockfile: "/var/lock/xl",
    nic: { script: null, bridge: null, gatewaydev: null, backend: null },
    outputFormat: "json",
    blkdevStart: null,
    claimMode: true,
    remusNetbufScript: null,
    coloProxyScript: null,
    maxGrantFrames: null,
    maxMaptrackFrames: null,
    maxGrantVersion: null,
    vmCpumask: null,
    hvmCpumask: null,
    pvCpumask: null,
    domidPolicy: "xen",
  };
}

export interface ParsedXlConf {
  /** null when xl would exit with 1. */
  conf: XlConf | null;
  stderr: string;
  hint: string;
}

/** Reads xl.conf. `source` is its name in messages. */
export function parseXlConf(source: string, text: string, host: HostCpus): ParsedXlConf {
  const parsed = parseConfig(source, text);
  if (!parsed.ok) {
    const stderr = `${parsed.stderr}Failed to parse config file: Invalid argument\n`;
    return { conf: null, stderr, hint: parsed.hint };
  }
  const reader = createReader(parsed.config);
  const conf = defaultXlConf();
  readAutoballoon(reader, conf);
  const hotplug = getLong(reader, "run_hotplug_scripts");
  if (!isFailure(hotplug)) conf.runHotplugScripts = hotplug !== 0n;
  conf.lockfile = getString(reader, "lockfile") ?? conf.lockfile;
  readNicDefaults(reader, conf.nic);
  readOutput(reader, conf);
  if (!readGrantLimits(reader, conf)) return { conf: null, stderr: reader.stderr, hint: "" };
  readCpumasks(reader, conf, host);
  const policy = getString(reader, "domid_policy");
  if (policy === "xen" || policy === "random") conf.domidPolicy = policy;
  else if (policy !== null) reader.stderr += "invalid domid_policy option";
  return { conf, stderr: reader.stderr, hint: "" };
}

const autoballoonValues: Record<string, boolean | "auto"> = {
  on: true,
  "1": true,
  off: false,
  "0": false,
  auto: "auto",
};

function readAutoballoon(reader: Reader, conf: XlConf): void {
  const text = getString(reader, "autoballoon");
  if (text === null) return;
  const value = Object.hasOwn(autoballoonValues, text) ? autoballoonValues[text] : undefined;
  if (value === undefined) reader.stderr += "invalid autoballoon option";
  else conf.autoballoon = value;
}

function readNicDefaults(reader: Reader, nic: NicDefaults): void {
  for (const [key, deprecated] of [
    ["script", "vifscript"],
    ["bridge", "defaultbridge"],
  ] as const) {
    const old = getString(reader, deprecated);
    if (old !== null) {
      reader.stderr += `the global config option ${deprecated} is deprecated, please switch to vif.default.${key}\n`;
      nic[key] = old;
    }
    nic[key] = getString(reader, `vif.default.${key}`) ?? nic[key];
  }
  nic.gatewaydev = getString(reader, "vif.default.gatewaydev");
  nic.backend = getString(reader, "vif.default.backend");
}

function readOutput(reader: Reader, conf: XlConf): void {
  const format = getString(reader, "output_format");
  if (format === "json" || format === "sxp") conf.outputFormat = format;
  else if (format !== null) reader.stderr += `invalid default output format "${format}"\n`;
  conf.blkdevStart = getString(reader, "blkdev_start");
  const claim = getLong(reader, "claim_mode");
  if (!isFailure(claim)) conf.claimMode = claim !== 0n;
  conf.remusNetbufScript = getString(reader, "remus.default.netbufscript");
  conf.coloProxyScript = getString(reader, "colo.default.proxyscript");
}

/** The keys and their bound, INT_MAX, that xl.conf and xl.cfg share. */
export const grantLimits = [
  ["max_grant_frames", "maxGrantFrames"],
  ["max_maptrack_frames", "maxMaptrackFrames"],
  ["max_grant_version", "maxGrantVersion"],
] as const;

/** A grant limit from a configuration, `fallback` where it is unset, undefined where xl exits without a word. */
export function readGrantLimit(
  reader: Reader,
  key: string,
  fallback: number | null,
): number | null | undefined {
  const value = getBoundedLong(reader, key, 0n, 2n ** 31n - 1n, true);
  if (!isFailure(value)) return Number(value);
  return value.errno === "ESRCH" ? fallback : undefined;
}

function readGrantLimits(reader: Reader, conf: XlConf): boolean {
  for (const [key, field] of grantLimits) {
    const value = readGrantLimit(reader, key, null);
    if (value === undefined) return false;
    conf[field] = value;
  }
  return true;
}

function readCpumasks(reader: Reader, conf: XlConf, host: HostCpus): void {
  for (const [key, field] of [
    ["vm.cpumask", "vmCpumask"],
    ["vm.hvm.cpumask", "hvmCpumask"],
    ["vm.pv.cpumask", "pvCpumask"],
  ] as const) {
    const text = getString(reader, key);
    if (text === null) continue;
    const bitmap = allocCpuBitmap(host);
    parseCpuRange(reader, host, text, bitmap);
    conf[field] = cpuBitmapBits(bitmap);
  }
}
