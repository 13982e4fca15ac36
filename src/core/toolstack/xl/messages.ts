// SPDX-License-Identifier: Apache-2.0
//
// What xl says on standard error when a verb fails. Recorded from xl 4.17.7 or
// read in tools/xl; rc is libxl's (negative) error.

/** find_domain: exit code 1. */
export const invalidDomain = (word: string): string => `${word} is an invalid domain identifier (rc=-6)\n`;

/** block-attach, block-list, vtpm-*, vdispl-list, vsnd-list say it without the error. */
export const invalidDomainWithoutRc = (word: string): string => `${word} is an invalid domain identifier\n`;

/** xl list DOMAIN, xl sharing DOMAIN: exit code 1. */
export const domainDoesNotExist = (word: string): string => `Error: Domain '${word}' does not exist.\n`;

export const claimModeOff = "claim_mode not enabled (see man xl.conf).\n";

export const noDomidOfName = (name: string): string =>
  `Can't get domid of domain name '${name}', maybe this domain does not exist.\n`;
export const noNameOfDomid = (domid: number): string =>
  `Can't get domain name of domain id '${domid}', maybe this domain does not exist.\n`;
export const invalidDomid = "Invalid domain id.\n\n";

/** xl destroy 0 without -f: exit code 1. */
export const notDestroyingDomain0 =
  "Not destroying domain 0; use -f to force.\n" +
  "This can only be done when using a disaggregated hardware domain and toolstack.\n\n";
export const destroyFailed = (rc: number): string => `destroy failed (rc=${rc})\n`;

/** shutdown and reboot, by verb. */
export const stopping = (verb: "shutdown" | "reboot", domid: number): string =>
  `${verb === "shutdown" ? "Shutting down" : "Rebooting"} domain ${domid}\n`;
export const stopFailed = (verb: "shutdown" | "reboot", rc: number): string => `${verb} failed (rc=${rc})\n`;

/** A guest without PV drivers: `fallback` when an ACPI event is sent instead. */
export function noParavirt(verb: "shutdown" | "reboot", fallback: boolean): string {
  const [button, event] = verb === "shutdown" ? ["power button", "power"] : ["reset button", "reset"];
  return fallback
    ? `PV control interface not available: sending ACPI ${button} event.\n`
    : `PV control interface not available: external graceful ${verb} not possible.\n` +
        `Use "-F" to fallback to ACPI ${event} event.\n`;
}

export const waitForDeathFailed = (rc: number): string => `wait for death failed (evgen, rc=${rc})\n`;
export const waitingForDomains = (count: number): string => `Waiting for ${count} domains\n`;
export const domainDestroyed = (domid: number): string => `Domain ${domid} has been destroyed\n`;
export const domainShutDown = (domid: number, reason: number): string =>
  `Domain ${domid} has been shut down, reason code ${reason}\n`;
export const continueWaitingForDeath = (domid: number): string =>
  `Domain ${domid} continue waiting for death\n`;

export const cannotRename = (word: string): string => `Can't rename domain '${word}'.\n`;
export const invalidSysrq = "Invalid sysrq.\n\n";
export const invalidButton = (name: string): string => `${name} is an invalid button identifier\n`;
export const invalidTrigger = (name: string): string => `Invalid trigger "${name}"\n`;
export const invalidTriggerVcpu = "Invalid vcpuid, using default vcpuid=0.\n\n";
export const cannotSendDebugKeys = (keys: string): string => `cannot send debug keys: ${keys}\n`;
export const coreDumpFailed = (rc: number): string => `core dump failed (rc=${rc})\n`;

export const invalidMemorySize = (text: string): string => `invalid memory size: ${text}\n`;
export const cannotSetMaxMemory = (domid: number, text: string): string =>
  `cannot set domid ${domid} static max memory to : ${text}\n`;
export const cannotSetMemoryTarget = (domid: number, text: string): string =>
  `cannot set domid ${domid} dynamic max memory to : ${text}\n`;

export const invalidArgument = "Error: Invalid argument.\n";
export const overcommitting = (cpus: number, vcpus: number): string =>
  `You are overcommmitting! You have ${cpus} physical CPUs and want ${vcpus} vCPUs! ` +
  "Aborting, use --ignore-host to continue\n";
export const vcpuSetNoDomain = (domid: number): string => `Domain ${domid} does not exist.\n`;
export const vcpuSetFailed = (domid: number, vcpus: number, rc: number): string =>
  `libxl_set_vcpuonline failed domid=${domid} max_vcpus=${vcpus}, rc: ${rc}\n`;

export const invalidVcpu = (text: string): string => `Error: Invalid argument ${text} as VCPU.\n`;
export const forceAllVcpus = "Error: --force and 'all' as VCPU not allowed.\n";
export const noDomainInfo = "Could not get domain info\n";
export const cannotSetAffinity = "Could not set affinity.\n";
export const cannotSetVcpuAffinity = (vcpu: number): string =>
  `Could not set affinity for vcpu \`${vcpu}'.\n`;

/** What xl says when a function of libxl's failed, and nothing else. */
export const libxlCallFailed = (name: string): string => `${name} failed.\n`;
export const otherScheduler = (call: string, found: string, wanted: string): string =>
  `${call} returned ${found} not ${wanted}.\n`;
export const unknownCpupool = (pool: string): string => `unknown cpupool '${pool}'\n`;

/** CPU pools. */
export const poolDoesNotExist = (pool: string): string => `Pool '${pool}' does not exist\n`;
export const poolNameTaken = (name: string): string => `Pool name "${name}" already exists\n`;
export const missingPoolName = "Missing cpupool name!\n";
export const unknownScheduler = "Unknown scheduler\n";
export const noFreeCpu = "no free cpu found\n";
export const cpuNotFree = (cpu: number): string => `cpu ${cpu} illegal or not free\n`;
export const cannotParsePool = "Failed to parse config file: Invalid argument\n";
export const cannotCreatePool = "error on creating cpupool\n";
export const cannotDestroyPool = (pool: string): string => `Can't destroy cpupool '${pool}'\n`;
export const cannotRenamePool = (pool: string): string => `Can't rename cpupool '${pool}'\n`;
export const someCpusNotAdded = (pool: string): string => `some cpus may not have been added to ${pool}\n`;
export const someCpusNotRemoved = (pool: string): string =>
  `Some cpus may have not or only partially been removed from '${pool}'.\n` +
  `If a cpu can't be added to another cpupool, add it to '${pool}' again and retry.\n`;
export const unknownDomain = (word: string): string => `unknown domain '${word}'\n`;
export const poolsInUse = "splitting not possible, already cpupools in use\n";
export const vcpusStayOnline = "failed to offline vcpus\n";
export const newPool = (source: string, name: string, scheduler: string, cpus: number): string =>
  `Using config file "${source}"\ncpupool name:   ${name}\nscheduler:      ${scheduler}\nnumber of cpus: ${cpus}\n`;

/** PCI devices; the exit code is 2. */
export const malformedBdf = (verb: string, text: string): string => `${verb}: malformed BDF ${text}\n`;
export const malformedPciSpec = (verb: string, text: string): string =>
  `${verb}: malformed PCI_SPEC_STRING "${text}"\n`;

/** config-update. */
export const noConfigFileAtAll = "Config file not specified\n";
export const settingConfig = (domid: number): string => `setting dom${domid} configuration\n`;
export const cannotUpdateConfig = "failed to update configuration\n";

/** Device models. */
export const cannotStat = (file: string): string => `Cannot stat file: ${file}\n`;
export const noXentop = "sh: 1: xentop: not found\n";
export const noVncviewer = "libxl: cannot execute vncviewer: No such file or directory\n";

/** The security module, hypfs and shared resources, where there are none. */
export const flaskIsDisabled = "Flask XSM Disabled\n";
export const flaskDisabled = "Flask XSM disabled\n";
export const noEnforcingMode = "Failed to get enforcing mode\n";
export const cannotSetEnforcingMode = "error occurred while setting enforcing mode (-1)\n";
export const cannotOpenPolicy = (file: string, error: string): string =>
  `Error occurred opening policy file '${file}': ${error}\n`;
export const cannotLoadPolicy = (error: string): string => `Unable to load new Flask policy: ${error}\n`;
export const cannotSetParameters = (parameters: string): string => `cannot set parameters: ${parameters}\n`;
export const cmtInfo = (enabled: boolean): string =>
  `Cache Monitoring Technology (CMT):\n${"Enabled".padEnd(16)}: ${enabled ? 1 : 0}\n`;
export const cmtDisabled = "CMT is disabled in the system\n";
export const wrongLevel = (level: number): string => `Input lvl ${level} is wrong\n`;
export const noPsrInfo = "Failed to get info\n";

export const diskAddFailed = "libxl_device_disk_add failed.\n";
export const nicAddFailed = "libxl_device_nic_add failed.\n";
export const nicRemoveFailed = "libxl_device_nic_del failed.\n";
export const diskRemoveFailed = (forced: boolean): string =>
  `libxl_device_disk_${forced ? "destroy" : "safe_remove"} failed.\n`;
export const diskNotConnected = (device: string): string => `Error: Device ${device} not connected.\n`;
export const unknownDevice = (device: string): string => `Unknown device ${device}.\n`;
export const cannotAttachConsole = "Unable to attach console\n";

/** create, config-update: `error` is strerror's text. Exit code 3. */
export const cannotReadConfig = (file: string, error: string): string =>
  `Failed to read config file: ${file}: ${error}\n`;
export const parsingConfig = (source: string): string => `Parsing config from ${source}\n`;
export const noConfigFile = "Config file not specified and none in save file\n";
export const cannotFreeMemory = "failed to free memory for the domain\n";

/** save and restore. Flags are XL_MANDATORY_FLAG_*. */
export const savingTo = (file: string, mandatory: number, optional: number, length: number): string =>
  `Saving to ${file} new xl format (info 0x${mandatory.toString(16)}/0x${optional.toString(16)}/${length})\n`;
export const loadingFrom = (file: string, mandatory: number, optional: number, length: number): string =>
  `Loading new save file ${file} (new xl fmt info 0x${mandatory.toString(16)}/0x${optional.toString(16)}/${length})\n`;
export const saveFileHasConfig = (json: boolean): string =>
  ` Savefile contains xl domain config${json ? " in JSON format" : ""}\n`;
export const cannotOpenForSaving = (file: string): string => `Failed to open temp file ${file} for writing\n`;
export const cannotOpenRestoreFile = (error: string): string => `Can't open restore file: ${error}\n`;
export const noStoredConfig = "unable to retrieve domain configuration\n";
export const cannotReadOverride = "unable to read overridden config file\n";
export const saveFailed = "Failed to save domain, resuming domain\n";
export const wrongMagic = "File has wrong magic number - corrupt or for a different tool?\n";
export const wrongByteOrder = "File has wrong byte order\n";
export const truncatedSaveFile = "Savefile truncated.\n";

/** The monitor's log, /var/log/xen/xl-NAME.log. */
export const monitorWaiting = (name: string, domid: number, pid: number): string =>
  `Waiting for domain ${name} (domid ${domid}) to die [pid ${pid}]\n`;
export const monitorShutDown = (domid: number, reason: number): string =>
  `Domain ${domid} has shut down, reason code ${reason} 0x${reason.toString(16)}\n`;
export const monitorAction = (reason: number, action: string): string =>
  `Action for shutdown reason code ${reason} is ${action}\n`;
export const monitorUnknownReason = (reason: number): string =>
  `Unknown shutdown reason code ${reason}. Destroying domain.\n`;
export const monitorSuspended = "Domain has suspended.\n";
export const monitorCleaningUp = (domid: number): string =>
  `Domain ${domid} needs to be cleaned up: destroying the domain\n`;
export const monitorDestroyed = (domid: number): string => `Domain ${domid} has been destroyed.\n`;
export const monitorRebooting = "Done. Rebooting now\n";
export const monitorExiting = "Done. Exiting now\n";
export const monitorDumpingCore = (path: string): string => `dumping core to ${path}\n`;
export const monitorPreserving = (domid: number, name: string, suffix: string): string =>
  `Preserving domain ${domid} ${name} with suffix${suffix}\n`;
