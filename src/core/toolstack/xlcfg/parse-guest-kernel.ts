// SPDX-License-Identifier: Apache-2.0
//
// What a guest boots and how its platform behaves: shadow memory, time, kernel,
// bootloader, firmware.

import { isFailure } from "../../engine/errno.ts";
import { altp2mModes, timerModes, tscModes } from "./domain-config.ts";
import {
  die,
  exitErrorFail,
  takeDefbool,
  takeInt,
  takeMebibytes,
  takeString,
  takeStringList,
  type Parse,
  type Section,
} from "./parse-context.ts";
import { parseHvmFirmware } from "./parse-hvm.ts";
import { getLong, getString, type Reader } from "./reader.ts";
import { enumFromString, int32, strtok, uint32 } from "./strtol.ts";

/** From shadow_memory= to vmtrace_buf_kb=. */
export const parseGuestKernel: Section = (parse) => {
  const { b_info, c_info } = parse.domain;
  takeMebibytes(parse, "shadow_memory", b_info, "shadow_memkb");
  takeDefbool(parse, "nomigrate", b_info, "disable_migrate");
  const badTsc = parseTscMode(parse);
  if (badTsc !== undefined) return badTsc;
  const offset = getLong(parse, "rtc_timeoffset");
  if (!isFailure(offset)) b_info.rtc_timeoffset = uint32(offset);
  if (!isFailure(getLong(parse, "vncviewer"))) {
    parse.stderr +=
      'WARNING: ignoring "vncviewer" option. ' +
      'Use "-V" option of "xl create" to automatically spawn vncviewer.\n';
  }
  takeDefbool(parse, "localtime", b_info, "localtime");
  takeMebibytes(parse, "videoram", b_info, "video_memkb");
  takeInt(parse, "max_event_channels", b_info, "event_channels");
  takeString(parse, "kernel", b_info, "kernel");
  takeString(parse, "ramdisk", b_info, "ramdisk");
  takeString(parse, "device_tree", b_info, "device_tree");
  b_info.cmdline = parseCmdline(parse);
  takeDefbool(parse, "driver_domain", c_info, "driver_domain");
  takeDefbool(parse, "acpi", b_info, "acpi");
  parseBootloader(parse);
  const badTimer = parseTimerMode(parse);
  if (badTimer !== undefined) return badTimer;
  takeDefbool(parse, "nestedhvm", b_info, "nested_hvm");
  return (
    (b_info.u.type === "hvm" ? parseHvmFirmware(parse) : parseKernelFirmware(parse)) ?? parseTracing(parse)
  );
};

/** A key that used to be a number: says how to write it by name. */
function deprecatedNumber(parse: Reader, key: string, name: string | undefined): void {
  const example = name === undefined ? "" : `e.g. ${key}="${name}"`;
  parse.stderr +=
    `WARNING: specifying "${key}" as an integer is deprecated. ` +
    `Please use the named parameter variant. ${example}\n`;
}

function parseTscMode(parse: Parse): number | undefined {
  const { b_info } = parse.domain;
  const number = getLong(parse, "tsc_mode", true);
  if (!isFailure(number)) {
    const mode = tscModes[int32(number)];
    deprecatedNumber(parse, "tsc_mode", mode);
    if (number < 0n || number > 3n) return die(parse, `ERROR: invalid value ${number} for "tsc_mode"\n`);
    b_info.tsc_mode = mode as (typeof tscModes)[number];
    return undefined;
  }
  const text = getString(parse, "tsc_mode");
  if (text === null) return undefined;
  parse.stderr += `got a tsc mode string: "${text}"\n`;
  const mode = enumFromString(tscModes, text);
  if (mode === undefined) return die(parse, `ERROR: invalid value "${text}" for "tsc_mode"\n`);
  b_info.tsc_mode = mode;
  return undefined;
}

/** timer_mode's numbers begin at -1, "unknown". */
const timerModeName = (mode: number): (typeof timerModes)[number] | undefined => timerModes[mode + 1];

function parseTimerMode(parse: Parse): number | undefined {
  const { b_info } = parse.domain;
  const number = getLong(parse, "timer_mode", true);
  const text = isFailure(number) ? getString(parse, "timer_mode") : null;
  if (isFailure(number) && text === null) return undefined;
  if (b_info.u.type === "pv") {
    return die(parse, 'ERROR: "timer_mode" option is not supported for PV guests.\n', exitErrorFail);
  }
  if (!isFailure(number)) {
    const mode = timerModeName(int32(number));
    deprecatedNumber(parse, "timer_mode", mode);
    if (number < 0n || number > 3n) return die(parse, `ERROR: invalid value ${number} for "timer_mode"\n`);
    b_info.timer_mode = mode as (typeof timerModes)[number];
    return undefined;
  }
  const mode = enumFromString(timerModes, text as string);
  if (mode === undefined) return die(parse, `ERROR: invalid value "${text}" for "timer_mode"\n`);
  b_info.timer_mode = mode;
  return undefined;
}

/** cmdline=, or root= and extra= joined. */
function parseCmdline(parse: Reader): string | null {
  const cmdline = getString(parse, "cmdline");
  const root = getString(parse, "root");
  const extra = getString(parse, "extra");
  if (cmdline !== null) {
    if (root !== null || extra !== null) {
      parse.stderr += "Warning: ignoring root= and extra= in favour of cmdline=\n";
    }
    return cmdline;
  }
  if (root === null) return extra;
  return extra === null ? `root=${root}` : `root=${root} ${extra}`;
}

function parseBootloader(parse: Parse): void {
  const { b_info } = parse.domain;
  takeString(parse, "bootloader", b_info, "bootloader");
  if (takeStringList(parse, "bootloader_args", b_info, "bootloader_args") !== "atom") return;
  parse.stderr +=
    'WARNING: Specifying "bootloader_args" as a string is deprecated. Please use a list of arguments.\n';
  b_info.bootloader_args = strtok(getString(parse, "bootloader_args") ?? "", " \t\n");
}

/** Where the packages of Xen put pvgrub. */
const firmwareDirectory = "/usr/lib/xen-4.17/boot";

/** firmware= of PV and PVH guests: a kernel by a short name. Any beginning of the names will do. */
function parseKernelFirmware(parse: Parse): number | undefined {
  const { b_info } = parse.domain;
  const firmware = getString(parse, "firmware");
  if (firmware !== null) {
    if (b_info.kernel !== null) return die(parse, "ERROR: both kernel and firmware specified\n");
    if (!"pvgrub32".startsWith(firmware) && !"pvgrub64".startsWith(firmware)) {
      return die(parse, "ERROR: only pvgrub{32|64} supported as firmware options\n");
    }
    b_info.kernel = `${firmwareDirectory}/${firmware}.bin`;
  }
  if (b_info.bootloader === null) b_info.kernel ??= parse.environment.defaultKernel ?? null;
  if (b_info.bootloader === null && b_info.kernel === null) {
    return die(parse, "Neither kernel nor bootloader specified\n");
  }
  return undefined;
}

function parseTracing(parse: Parse): number | undefined {
  const { b_info } = parse.domain;
  const number = getLong(parse, "altp2m", true);
  const text = isFailure(number) ? getString(parse, "altp2m") : null;
  const mode = isFailure(number)
    ? text === null
      ? b_info.altp2m
      : enumFromString(altp2mModes, text)
    : altp2mModes[Number(number)];
  if (mode === undefined) {
    return die(parse, `ERROR: invalid value ${isFailure(number) ? `"${text}"` : number} for "altp2m"\n`);
  }
  b_info.altp2m = mode;
  const kilobytes = getLong(parse, "vmtrace_buf_kb", true);
  if (!isFailure(kilobytes) && kilobytes !== 0n) b_info.vmtrace_buf_kb = int32(kilobytes);
  return undefined;
}
