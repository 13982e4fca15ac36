// SPDX-License-Identifier: Apache-2.0
//
// Which files an xl command line names, itself and in the configuration it
// names. The built-in xl runs inside the host; these it finds, or does not find,
// where whoever typed the command would.

import { bytesText } from "../core/daemons/files.ts";
import { decodeSaveHeader } from "../core/toolstack/save-file.ts";
import type { ParsedCommandLine } from "../core/toolstack/xl/command.ts";
import { parseCommandLine } from "../core/toolstack/xl/parse-command.ts";
import { parseDisk } from "../core/toolstack/xlcfg/disk-spec.ts";
import { appendExtraConfig } from "../core/toolstack/xlcfg/parse-domain-config.ts";
import { parseConfig } from "../core/toolstack/xlcfg/parser.ts";
import type { Config } from "../core/toolstack/xlcfg/parser.ts";
import { leadingStrings } from "../core/toolstack/xlcfg/reader.ts";

/** Names of files as they were written: absolute, or from where the command was typed. */
export interface NamedFiles {
  reads: string[];
  writes: string[];
}

/** A file's bytes by its name as written; null where it cannot be read. */
export type ReadFile = (name: string) => Uint8Array | null;

/** Keys of xl.cfg whose value is a file that dom0 reads. */
const FILE_KEYS = [
  "kernel",
  "ramdisk",
  "device_tree",
  "firmware_override",
  "acpi_firmware",
  "smbios_firmware",
  "pvshim_path",
  "stubdomain_kernel",
  "stubdomain_ramdisk",
];

/** What is behind a disk, where that is a file or a device of dom0. */
function diskFile(specs: readonly string[]): string[] {
  const { disk } = parseDisk("", specs);
  return disk.pdev_path === null || disk.pdev_path === "" ? [] : [disk.pdev_path];
}

function valueOf({ settings }: Config, key: string): string[] {
  const value = settings.get(key)?.value;
  return value?.kind === "atom" && value.text !== "" ? [value.text] : [];
}

function disksOf({ settings }: Config): string[] {
  const value = settings.get("disk")?.value;
  return value?.kind === "list" ? leadingStrings(value).flatMap((spec) => diskFile([spec])) : [];
}

/** Files that a configuration names; none where it is not one. */
function filesOfConfig(text: string): string[] {
  const parsed = parseConfig("", text);
  if (!parsed.ok) return [];
  return [...FILE_KEYS.flatMap((key) => valueOf(parsed.config, key)), ...disksOf(parsed.config)];
}

/** Files that a configuration in JSON names, as it is in a saved domain's file. */
function filesOfSaved(bytes: Uint8Array): string[] {
  const header = decodeSaveHeader(bytes);
  if ("bad" in header) return [];
  try {
    const config = JSON.parse(header.config) as {
      b_info?: { kernel?: string; ramdisk?: string };
      disks?: { pdev_path?: string }[];
    };
    const { kernel, ramdisk } = config.b_info ?? {};
    const paths = [kernel, ramdisk, ...(config.disks ?? []).map(({ pdev_path }) => pdev_path)];
    return paths.filter((path): path is string => typeof path === "string" && path !== "");
  } catch {
    return [];
  }
}

function filesOfCommand(
  command: Extract<ParsedCommandLine, { kind: "command" }>["command"],
  read: ReadFile,
): NamedFiles {
  const reads: string[] = [];
  const withConfig = (file: string | null, extra: string): void => {
    const bytes = file === null ? null : read(file);
    if (file !== null) reads.push(file);
    reads.push(...filesOfConfig(appendExtraConfig(bytes === null ? "" : bytesText(bytes), extra)));
  };
  switch (command.verb) {
    case "create":
    case "config-update":
      withConfig(command.configFile, command.extraConfig);
      return { reads, writes: [] };
    case "cpupool-create":
      return { reads: command.configFile === null ? [] : [command.configFile], writes: [] };
    case "restore": {
      withConfig(command.configFile, "");
      const saved = read(command.file);
      return { reads: [...reads, command.file, ...(saved === null ? [] : filesOfSaved(saved))], writes: [] };
    }
    case "save":
      withConfig(command.configFile, "");
      return { reads, writes: [command.file] };
    case "migrate":
      withConfig(command.configFile, "");
      return { reads, writes: [] };
    case "dump-core":
      return { reads: [], writes: [command.file] };
    case "devd":
      return { reads: [], writes: command.pidfile === null ? [] : [command.pidfile] };
    case "loadpolicy":
      return { reads: [command.file], writes: [] };
    case "cd-insert":
      return { reads: command.path === "" ? [] : [command.path], writes: [] };
    case "block-attach":
      return { reads: diskFile(command.specs), writes: [] };
    default:
      return { reads: [], writes: [] };
  }
}

/**
 * The files a command line names.
 *
 * @param argv what stands after `xl`
 */
export function namedFiles(argv: readonly string[], read: ReadFile): NamedFiles {
  const parsed = parseCommandLine(argv);
  if (parsed.kind === "exit") return { reads: [], writes: [] };
  const { reads, writes } = filesOfCommand(parsed.command, read);
  return { reads: [...new Set(reads)], writes };
}
