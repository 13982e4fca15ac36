// SPDX-License-Identifier: Apache-2.0
//
// Which configuration xl create and xl restore work with: a file's, with what
// the command line adds, or a saved domain's (tools/xl/xl_vmcontrol.c,
// create_domain's first part).

import { stderr } from "../daemons/process.ts";
import { bytesText, readFile, readFileText } from "../daemons/files.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { machineOf } from "../hypervisor/machine.ts";
import { libxlError } from "./log.ts";
import { decodeSaveHeader } from "./save-file.ts";
import type { SaveHeader } from "./save-file.ts";
import { strerror } from "./strerror.ts";
import { randomBytes, randomUuid } from "./urandom.ts";
import * as say from "./xl/messages.ts";
import { applyGlobalAffinityMasks, emptyAffinityMessage } from "./xlcfg/affinity-masks.ts";
import type { HostCpus } from "./xlcfg/cpu-range.ts";
import { configFromJson } from "./xlcfg/config-json.ts";
import type { DomainConfig } from "./xlcfg/domain-config.ts";
import { BUILTIN_KERNEL } from "./config-defaults.ts";
import { appendExtraConfig, parseDomainConfig } from "./xlcfg/parse-domain-config.ts";
import { defaultXlConf, parseXlConf } from "./xlcfg/xl-conf.ts";
import type { XlConf } from "./xlcfg/xl-conf.ts";

const XL_CONF = "/etc/xen/xl.conf";

/** Where a configuration comes from. */
export type ConfigSource = {
  configFile: string | null;
  /** `k=v` arguments, one a line. */
  extraConfig: string;
  /** A saved domain's file, which has a configuration of its own. */
  restoreFile: string | null;
  /** The file is a migration's stream: the domain is not to be known by its name yet. */
  incoming: boolean;
  quiet: boolean;
};

/** Why there is no configuration: create_domain's result, or the status xl exits with at once. */
export type NoConfig = { rc: number } | { exit: number };

/** What messages call a migration's stream. */
const INCOMING = "incoming migration stream";

const ERROR_FAIL_RC = -3;
const ERROR_INVAL_RC = -6;

/** The CPUs a configuration can name. */
export function hostCpus(host: Host): HostCpus {
  const { nrCpus } = machineOf(host);
  return { maxCpus: nrCpus, onlineCpus: nrCpus, nodes: [Array.from({ length: nrCpus }, (_, cpu) => cpu)] };
}

/** xl.conf, or what xl does without one. */
export function xlConf(host: Host): XlConf {
  const text = readFileText(host, XL_CONF);
  return (text === null ? null : parseXlConf(XL_CONF, text, hostCpus(host)).conf) ?? defaultXlConf();
}

/** A save file's header could not be read: libxl says why, and xl ends. */
function noHeader(host: Host, process: string, text: string, error: string): NoConfig {
  libxlError(host, process, "libxl_utils.c:505:libxl_read_exactly", text);
  const check = 'libxl_read_exactly( ctx, restore_fd, &hdr, sizeof(hdr), restore_source, "header")';
  stderr(host, process, `xl: fatal error: xl_vmcontrol.c:713: ${error}: ${check}\n`);
  return { exit: 1 };
}

/** xl's words about a save file that is none. */
function badSaveFile(host: Host, process: string, file: string, bad: string): NoConfig {
  if (bad === "truncated header")
    return noHeader(host, process, `file/stream truncated reading header from ${file}`, "Protocol error");
  const words: { readonly [bad: string]: string } = {
    magic: say.wrongMagic,
    "byte order": say.wrongByteOrder,
    truncated: say.truncatedSaveFile,
  };
  stderr(
    host,
    process,
    words[bad] ?? "Savefile has mandatory flag(s) which are not supported; need newer xl\n",
  );
  return { rc: ERROR_INVAL_RC };
}

/** Opens a saved domain's file and reads its header. */
function openSaved(host: Host, process: string, file: string, shown: string): SaveHeader | NoConfig {
  const bytes = readFile(host, file);
  if (isFailure(bytes)) {
    const error = strerror(bytes.errno);
    // A directory can be opened, but not read.
    if (bytes.errno === "EISDIR")
      return noHeader(host, process, `failed to read header from ${shown}: ${error}`, error);
    stderr(host, process, say.cannotOpenRestoreFile(error));
    return { rc: ERROR_INVAL_RC };
  }
  const header = decodeSaveHeader(bytes);
  if ("bad" in header) return badSaveFile(host, process, shown, header.bad);
  stderr(
    host,
    process,
    say.loadingFrom(shown, header.mandatoryFlags, header.optionalFlags, header.optionalLength),
  );
  stderr(host, process, say.saveFileHasConfig(true));
  return header;
}

/** Parses xl.cfg text; `source` is what messages call it. */
export function parseText(
  host: Host,
  process: string,
  source: string,
  text: string,
): DomainConfig | NoConfig {
  const config = parseDomainConfig(source, text, {
    host: hostCpus(host),
    conf: xlConf(host),
    newUuid: randomUuid(host),
    newVmGenerationId: randomBytes(host, 16),
    defaultKernel: BUILTIN_KERNEL,
  });
  if (config.stderr !== "") stderr(host, process, config.stderr);
  if (config.ok) return config.config;
  return { exit: config.code };
}

/** As libxl_uuid_clear leaves one. */
const NO_UUID = "00000000-0000-0000-0000-000000000000";

/** A saved domain's. A key may be spoilt: a domain has a name, and a UUID of zeros where none is said. */
export function savedConfig(text: string): DomainConfig | undefined {
  const config = configFromJson(text);
  if (config === undefined || config.c_info.name === null) return undefined;
  config.c_info.uuid ??= NO_UUID;
  return config;
}

/**
 * A file that is to be a configuration (libxl_read_file_contents). Fails, and xl says so, with ENOENT where
 * it is not there, with ENOTTY for a directory.
 */
export function readConfigFile(host: Host, process: string, file: string): Uint8Array | Failure {
  const bytes = readFile(host, file);
  if (!isFailure(bytes)) return bytes;
  const failed = bytes.errno === "EISDIR" ? fail("ENOTTY") : bytes;
  if (failed !== bytes) {
    // The error of the line is whatever call failed before: here the one that xl's start leaves.
    const text = `${file} is not a plain file: ${strerror("ENODATA")}`;
    libxlError(host, process, "libxl_utils.c:346:libxl_read_file_contents", text);
  }
  stderr(host, process, say.cannotReadConfig(file, strerror(failed.errno)));
  return failed;
}

/** Reads the configuration, with xl's words on the way. */
export function readConfig(host: Host, process: string, source: ConfigSource): DomainConfig | NoConfig {
  const { configFile, restoreFile, incoming, extraConfig, quiet } = source;
  const saved =
    restoreFile === null ? null : openSaved(host, process, restoreFile, incoming ? INCOMING : restoreFile);
  if (saved !== null && !("config" in saved)) return saved;
  if (configFile === null) {
    if (saved === null) {
      stderr(host, process, say.noConfigFile);
      return { rc: ERROR_INVAL_RC };
    }
    if (!quiet) stderr(host, process, say.parsingConfig("<saved>"));
    return savedConfig(saved.config) ?? { rc: ERROR_INVAL_RC };
  }
  const bytes = configFile === "/dev/null" ? new Uint8Array(0) : readConfigFile(host, process, configFile);
  if (isFailure(bytes)) return { rc: ERROR_FAIL_RC };
  if (!quiet) stderr(host, process, say.parsingConfig(configFile));
  const text = bytesText(bytes);
  return parseText(host, process, configFile, saved === null ? appendExtraConfig(text, extraConfig) : text);
}

/** Applies what xl.conf says about CPUs. False, said so, where it leaves a vCPU none. */
export function applyMasks(host: Host, process: string, config: DomainConfig): boolean {
  if (applyGlobalAffinityMasks(config, xlConf(host), hostCpus(host))) return true;
  stderr(host, process, emptyAffinityMessage);
  return false;
}
