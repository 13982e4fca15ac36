// SPDX-License-Identifier: Apache-2.0
//
// Disk specifications (xl-disk-configuration(5); tools/libs/util/libxlu_disk_l.l,
// libxlu_disk.c), new syntax, positional parameters and deprecated prefixes.

import {
  deviceDisk,
  diskBackends,
  diskFormats,
  diskSpecifications,
  type DeviceDisk,
} from "./domain-config.ts";
import { atoi } from "./strtol.ts";

export type ParsedDisk = { disk: DeviceDisk; stderr: string; failed: boolean };

interface DiskParser {
  source: string;
  spec: string;
  disk: DeviceDisk;
  stderr: string;
  failed: boolean;
  hadDeprecatedPrefix: boolean;
  accessSet: boolean;
}

/** Reads one disk from one or, on a command line, several specifications in turn. */
export function parseDisk(source: string, specs: readonly string[]): ParsedDisk {
  const disk = deviceDisk.init();
  disk.readwrite = 1;
  const parser: DiskParser = {
    source,
    spec: "",
    disk,
    stderr: "",
    failed: false,
    hadDeprecatedPrefix: false,
    accessSet: false,
  };
  for (const spec of specs) {
    parser.spec = spec;
    scan(parser, spec);
    if (parser.failed) return result(parser);
  }
  finish(parser);
  return result(parser);
}

const result = ({ disk, stderr, failed }: DiskParser): ParsedDisk => ({ disk, stderr, failed });

function refuse(parser: DiskParser, near: string | null, message: string): void {
  const where = near === null ? "" : `: near \`${near}'`;
  const what = `${message}${where} in \`${parser.spec}'`;
  parser.stderr += `${parser.source}: config parsing error in disk specification: ${what}\n`;
  parser.failed = true;
}

function finish(parser: DiskParser): void {
  const { disk } = parser;
  if (disk.format === "unknown") disk.format = "raw";
  if (disk.is_cdrom) {
    disk.removable = 1;
    disk.readwrite = 0;
    if (!disk.pdev_path) disk.format = "empty";
  }
  if (disk.vdev === null) refuse(parser, null, "no vdev specified");
  else if (disk.pdev_path === null && !disk.removable) {
    refuse(parser, null, "no target specified (and device not removable)");
  }
}

/** Takes the specification apart; each rule is tried at the current place, the longest match wins. */
function scan(parser: DiskParser, spec: string): void {
  for (let offset = 0; offset < spec.length;) {
    const rest = spec.slice(offset);
    let length = 0;
    let chosen: Rule | undefined;
    for (const rule of rules) {
      const matched = rule.pattern.exec(rest)?.[0].length ?? 0;
      const weight =
        matched > 0 && rule.trailing
          ? matched + (rule.trailing.exec(rest.slice(matched))?.[0].length ?? 0)
          : matched;
      if (weight > length) {
        length = weight;
        chosen = rule;
      }
    }
    if (chosen === undefined) {
      // A lone character at the end is skipped in silence: flex meets the end first.
      if (rest.length > 1 || rest >= "\x80")
        refuse(parser, rest[0] + rest.slice(1, 1 + lineLength(rest.slice(1))), "bad disk syntax");
      return;
    }
    const text = chosen.pattern.exec(rest)?.[0] as string;
    if (chosen.act(parser, text) === "stop") return;
    offset += text.length;
  }
}

/** How far `.*` reaches. */
const lineLength = (text: string): number => restOfLine.exec(text)?.[0].length ?? 0;
const restOfLine = /^[^\n]*/;

interface Rule {
  /** Anchored at the current place. */
  pattern: RegExp;
  /** What must follow (flex's trailing context): counts when rules compete, but is not taken. */
  trailing?: RegExp;
  act(parser: DiskParser, text: string): "stop" | undefined | void;
}

const withoutComma = (text: string): string => (text.endsWith(",") ? text.slice(0, -1) : text);
const valueOf = (text: string): string => withoutComma(text.slice(text.indexOf("=") + 1));

type StringField = {
  [K in keyof DeviceDisk]: DeviceDisk[K] extends string | null ? K : never;
}[keyof DeviceDisk];

function saveString(parser: DiskParser, name: string, field: StringField, value: string): void {
  if (parser.disk[field]) refuse(parser, value, `${name} respecified`);
  else (parser.disk as Record<StringField, string>)[field] = value;
}

/** Sets an enumeration unless it has another value already. */
function setEnum<K extends "format" | "backend" | "specification">(
  parser: DiskParser,
  field: K,
  near: string,
  value: DeviceDisk[K],
): void {
  const current = parser.disk[field];
  if (current !== "unknown" && current !== value) refuse(parser, near, `${field} respecified`);
  else parser.disk[field] = value;
}

function setFormat(parser: DiskParser, text: string): void {
  const format = text === "" ? "raw" : diskFormats.find((name) => name === text && name !== "unknown");
  if (format === undefined) refuse(parser, text, "unknown value for format");
  else setEnum(parser, "format", text, format);
}

function setBackendType(parser: DiskParser, text: string): void {
  const backend = diskBackends.find((name) => name === text && name !== "unknown");
  if (backend === undefined) refuse(parser, text, "unknown value for backendtype");
  else setEnum(parser, "backend", text, backend);
}

function setSpecification(parser: DiskParser, text: string): void {
  const specification = diskSpecifications.find((name) => name === text && name !== "unknown");
  if (specification === undefined) refuse(parser, text, "unknown value for specification");
  else setEnum(parser, "specification", text, specification);
}

function setAccess(parser: DiskParser, text: string): void {
  if (text === "r" || text === "ro") parser.disk.readwrite = 0;
  else if (text === "rw" || text === "w" || text === "") parser.disk.readwrite = 1;
  else refuse(parser, text, "unknown value for access");
}

function setColoPort(parser: DiskParser, text: string): void {
  const port = atoi(text);
  if (port === 0) refuse(parser, text, "unknown value for colo_port");
  else parser.disk.colo_port = port;
}

/** A positional `vdev:devtype`; false when there is no colon. */
function vdevAndDevtype(parser: DiskParser, text: string): boolean {
  const colon = text.lastIndexOf(":");
  if (colon < 0) return false;
  const type = text.slice(colon + 1);
  saveString(parser, "vdev", "vdev", text.slice(0, colon));
  if (type === "cdrom") parser.disk.is_cdrom = 1;
  else if (type === "disk") parser.disk.is_cdrom = 0;
  else refuse(parser, type, "unknown deprecated type");
  return true;
}

function positional(parser: DiskParser, text: string): "stop" | undefined {
  const { disk } = parser;
  if (parser.failed) return undefined; // earlier errors may only lead to more
  if (disk.pdev_path === null) saveString(parser, "target", "pdev_path", text);
  else if (!parser.hadDeprecatedPrefix && disk.format === "unknown") {
    if (disk.pdev_path === "" && vdevAndDevtype(parser, text)) disk.format = "empty";
    else setFormat(parser, text);
  } else if (disk.vdev === null) {
    if (!vdevAndDevtype(parser, text)) saveString(parser, "vdev", "vdev", text);
  } else if (!parser.accessSet) {
    parser.accessSet = true;
    setAccess(parser, text);
  } else {
    refuse(parser, text, "too many positional parameters");
    return "stop";
  }
  return undefined;
}

const parameter = (name: string, act: (parser: DiskParser, value: string) => void): Rule => ({
  pattern: new RegExp(`^${name}=[^,]*,?`),
  act: (parser, text) => act(parser, valueOf(text)),
});
const stringParameter = (name: string, field: StringField): Rule =>
  parameter(name, (parser, value) => saveString(parser, name, field, value));
const flag = (name: string, act: (disk: DeviceDisk) => void): Rule => ({
  pattern: new RegExp(`^${name},?`),
  act: (parser) => act(parser.disk),
});
const deprecatedPrefix = (prefixes: string, act: (parser: DiskParser, name: string) => void): Rule => ({
  pattern: new RegExp(`^(?:${prefixes}):`),
  trailing: restOfLine,
  act: (parser, text) => {
    parser.hadDeprecatedPrefix = true;
    act(parser, text.slice(0, -1));
  },
});

const rules: readonly Rule[] = [
  { pattern: /^[ \t\n]+/, trailing: /^(?:[^ \t\n][^\n]*)?/, act: () => {} },
  parameter("format", setFormat),
  flag("cdrom", (disk) => void (disk.is_cdrom = 1)),
  flag("devtype=cdrom", (disk) => void (disk.is_cdrom = 1)),
  flag("devtype=disk", (disk) => void (disk.is_cdrom = 0)),
  { pattern: /^devtype=[^,]*,?/, act: (parser, text) => refuse(parser, text, "unknown value for type") },
  parameter("access", setAccess),
  stringParameter("backend", "backend_domname"),
  parameter("backendtype", setBackendType),
  parameter("specification", setSpecification),
  stringParameter("vdev", "vdev"),
  stringParameter("script", "script"),
  flag("direct-io-safe", (disk) => void (disk.direct_io_safe = true)),
  flag("discard", (disk) => void (disk.discard_enable = true)),
  flag("no-discard", (disk) => void (disk.discard_enable = false)),
  flag("colo", (disk) => void (disk.colo_enable = true)),
  flag("no-colo", (disk) => void (disk.colo_enable = false)),
  stringParameter("colo-host", "colo_host"),
  parameter("colo-port", setColoPort),
  stringParameter("colo-export", "colo_export"),
  stringParameter("active-disk", "active_disk"),
  stringParameter("hidden-disk", "hidden_disk"),
  // libxlu_disk_l.l has "trusted" and "untrusted" too, but the scanner that was
  // generated from it and shipped with 4.17 is older: xl takes them for positions.
  {
    // Takes the rest of the line, commas included.
    pattern: /^target=[^\n]*/,
    act: (parser, text) => saveString(parser, "target", "pdev_path", valueOf(text)),
  },
  { pattern: /^[a-z][-a-z0-9]*=[^,],?/, act: (parser, text) => refuse(parser, text, "unknown parameter") },
  deprecatedPrefix("raw|qcow2?|vhd", setFormat),
  deprecatedPrefix("iscsi|e?nbd|drbd", (parser, name) =>
    saveString(parser, "script", "script", `block-${name}`),
  ),
  deprecatedPrefix("tapdisk|tap2?|aio|ioemu|file|phy", () => {}),
  {
    pattern: /^[a-z][a-z0-9]*:(?=[^a-z0-9]|$)/,
    trailing: /^(?:[^a-z0-9][^\n]*)?/,
    act: (parser, text) => {
      refuse(parser, text, "unknown deprecated disk prefix");
      return "stop";
    },
  },
  { pattern: /^(?:[^=,]*,|[^=,]+,?)/, act: (parser, text) => positional(parser, withoutComma(text)) },
];
