// SPDX-License-Identifier: Apache-2.0
//
// What an xl command line means: plain data between the parser of command
// lines (parse-command.ts) and the routines that carry verbs out.

/** Options before the verb: `xl [-vfNtT]`. */
export interface GlobalOptions {
  /** How often `-v` was given; every one lowers the level of messages shown. */
  verbose: number;
  /** `-f`: force_execution. */
  force: boolean;
  /** `-N`, or a verb's own `-n`: print what would be done and stop. */
  dryRun: boolean;
  /** `-t`: progress with carriage returns. */
  progressCr: boolean;
  /** `-T`: time stamps and process ids in messages. */
  timestamps: boolean;
}

/** A domain as the user named it: a domid or a name. Resolved by the routine (`find_domain`). */
export type DomainArg = string;

type DomainOnly = { domain: DomainArg };
type DomainList = { domains: DomainArg[] };
type DomainAndDevice = { domain: DomainArg; device: string };
type DomainAndSpecs = { domain: DomainArg; specs: string[] };
type Nothing = object;

/** How a new domain is started and watched: create, restore, migrate-receive. */
export interface CreateHow {
  debug: boolean;
  /** Fork the monitor into the background (not with -F or -e). */
  daemonize: boolean;
  /** Keep a monitor for the domain's death and reboot at all (not with -e). */
  monitor: boolean;
  paused: boolean;
  consoleAutoconnect: boolean;
  vnc: boolean;
  vncAutopass: boolean;
}

/** Every verb of xl 4.17 with what its command line says. */
export interface XlCommands {
  create: CreateHow & {
    configFile: string | null;
    /** `k=v` arguments, one a line, each ended by a newline; "" when none. */
    extraConfig: string;
    quiet: boolean;
    ignoreGlobalAffinityMasks: boolean;
  };
  "config-update": { domain: DomainArg; configFile: string | null; extraConfig: string; debug: boolean };
  list: {
    /** At most one. */
    domain: DomainArg | null;
    long: boolean;
    verbose: boolean;
    context: boolean;
    cpupool: boolean;
    numa: boolean;
  };
  destroy: DomainOnly & { force: boolean };
  shutdown: ShutdownCommand;
  reboot: ShutdownCommand;
  "pci-attach": { domain: DomainArg; spec: string };
  "pci-detach": { domain: DomainArg; spec: string; force: boolean };
  "pci-list": DomainOnly;
  "pci-assignable-add": { bdf: string; name: string | null };
  "pci-assignable-remove": { ident: string; rebind: boolean };
  "pci-assignable-list": { showNames: boolean };
  pause: DomainOnly;
  unpause: DomainOnly;
  console: DomainOnly & {
    /** null: the primary console. */
    type: "pv" | "serial" | "vuart" | null;
    number: number;
  };
  vncviewer: DomainOnly & { autopass: boolean };
  save: DomainOnly & {
    file: string;
    configFile: string | null;
    /** `-c`: the domain goes on running. */
    checkpoint: boolean;
    /** `-p`: the domain stays, paused. */
    leavePaused: boolean;
    /** `-D`: the save file names the domid. */
    preserveDomid: boolean;
  };
  migrate: DomainOnly & {
    host: string;
    configFile: string | null;
    sshCommand: string;
    debug: boolean;
    daemonize: boolean;
    monitor: boolean;
    paused: boolean;
    preserveDomid: boolean;
  };
  restore: CreateHow & { configFile: string | null; file: string };
  "migrate-receive": {
    debug: boolean;
    daemonize: boolean;
    monitor: boolean;
    paused: boolean;
    checkpointed: "none" | "remus" | "colo";
    coloProxyScript: string | null;
    userspaceColoProxy: boolean;
  };
  "dump-core": DomainOnly & { file: string };
  "cd-insert": { domain: DomainArg; virtualDevice: string; path: string };
  "cd-eject": { domain: DomainArg; virtualDevice: string };
  /** `memory` is still text: `parseMemSizeKb` reads it after the domain was found. */
  "mem-max": DomainOnly & { memory: string };
  "mem-set": DomainOnly & { memory: string };
  "button-press": DomainOnly & { button: string };
  "vcpu-list": DomainList;
  "vcpu-pin": {
    domain: DomainArg;
    vcpu: string;
    hard: string;
    soft: string | null;
    force: boolean;
    ignoreGlobalAffinityMasks: boolean;
  };
  /** `vcpus` is still text: `parseVcpuCount` reads it after the domain was found. */
  "vcpu-set": DomainOnly & { vcpus: string; ignoreHost: boolean };
  "vm-list": Nothing;
  info: {
    numa: boolean;
    /** Print only the lines whose name begins so. */
    only: string | null;
  };
  sharing: { domain: DomainArg | null };
  "sched-credit": {
    domain: DomainArg | null;
    cpupool: string | null;
    schedparam: boolean;
    weight: number | null;
    cap: number | null;
    tsliceMs: number | null;
    ratelimitUs: number | null;
    migrationDelayUs: number | null;
  };
  "sched-credit2": {
    domain: DomainArg | null;
    cpupool: string | null;
    schedparam: boolean;
    weight: number | null;
    cap: number | null;
    ratelimitUs: number | null;
  };
  "sched-rtds": {
    domain: DomainArg | null;
    cpupool: string | null;
    /** Vcpu ids, or "all". */
    vcpus: number[] | "all";
    periods: number[];
    budgets: number[];
    extratimes: boolean[];
  };
  domid: { name: string };
  /** `domid` is still text: `parseDomid` reads it. */
  domname: { domid: string };
  rename: DomainOnly & { newName: string };
  /** `trigger` and `vcpu` are still text: the routine looks at them after it found the domain. */
  trigger: DomainOnly & { trigger: string; vcpu: string | null };
  /** `key` is still text: anything but one character is refused after the domain was found. */
  sysrq: DomainOnly & { key: string };
  "debug-keys": { keys: string };
  "set-parameters": { parameters: string };
  dmesg: { clear: boolean };
  top: Nothing;
  "network-attach": DomainAndSpecs;
  "network-list": DomainList;
  "network-detach": DomainAndDevice;
  "channel-list": DomainList;
  "block-attach": DomainAndSpecs;
  "block-list": DomainList;
  "block-detach": DomainAndDevice & { force: boolean };
  "vtpm-attach": DomainAndSpecs;
  "vtpm-list": DomainList;
  "vtpm-detach": DomainAndDevice;
  "vkb-attach": DomainAndSpecs;
  "vkb-list": DomainList;
  "vkb-detach": DomainAndDevice;
  "vdispl-attach": DomainAndSpecs;
  "vdispl-list": DomainList;
  "vdispl-detach": DomainAndDevice;
  "vsnd-attach": DomainAndSpecs;
  "vsnd-list": DomainList;
  "vsnd-detach": DomainAndDevice;
  uptime: DomainList & { short: boolean };
  claims: Nothing;
  "cpupool-create": { configFile: string | null; extraConfig: string };
  "cpupool-list": { cpus: boolean; pool: string | null };
  "cpupool-destroy": { pool: string };
  "cpupool-rename": { pool: string; newName: string };
  "cpupool-cpu-add": { pool: string; cpus: string };
  "cpupool-cpu-remove": { pool: string; cpus: string };
  "cpupool-migrate": { domain: DomainArg; pool: string };
  "cpupool-numa-split": Nothing;
  getenforce: Nothing;
  setenforce: { enforce: boolean };
  loadpolicy: { file: string };
  remus: DomainOnly & {
    host: string;
    intervalMs: number;
    sshCommand: string;
    daemonize: boolean;
    netbufScript: string | null;
    allowUnsafe: boolean;
    blackhole: boolean;
    noCompression: boolean;
    noNetbuf: boolean;
    noDiskbuf: boolean;
    colo: boolean;
    userspaceColoProxy: boolean;
  };
  devd: { daemonize: boolean; pidfile: string | null };
  "psr-hwinfo": { cmt: boolean; cat: boolean; mba: boolean };
  "psr-cmt-attach": DomainOnly;
  "psr-cmt-detach": DomainOnly;
  "psr-cmt-show": {
    type: "cache-occupancy" | "total-mem-bandwidth" | "local-mem-bandwidth";
    domain: DomainArg | null;
  };
  "psr-cat-set": {
    domain: DomainArg;
    cbm: string;
    sockets: string | null;
    level: number;
    type: "both" | "code" | "data";
  };
  "psr-cat-show": { domain: DomainArg | null; level: number };
  "psr-mba-set": { domain: DomainArg; throttle: string; sockets: string | null };
  "psr-mba-show": { domain: DomainArg | null };
  "usbctrl-attach": DomainAndSpecs;
  "usbctrl-detach": DomainAndDevice;
  "usbdev-attach": DomainAndSpecs;
  "usbdev-detach": { domain: DomainArg; controller: string; port: string };
  "usb-list": DomainOnly;
  "qemu-monitor-command": DomainOnly & { command: string };
}

/** `xl shutdown` and `xl reboot`. */
export interface ShutdownCommand {
  /** null only with `all`. */
  domain: DomainArg | null;
  all: boolean;
  /** How often -w was given: 0 no wait, 1 until shutdown or death, more until death. */
  wait: number;
  /** `-F`: an ACPI event for guests without PV drivers. */
  fallbackTrigger: boolean;
}

export type XlVerb = keyof XlCommands;

/** A parsed command: the verb and what its command line said. */
export type XlCommand = { [V in XlVerb]: { verb: V } & XlCommands[V] }[XlVerb];

/** A command line's meaning: a command to carry out, or an end with output. */
export type ParsedCommandLine =
  | {
      kind: "command";
      global: GlobalOptions;
      command: XlCommand;
      /** What xl prints before it begins (deprecation warnings), usually "". */
      stderr: string;
    }
  | {
      kind: "exit";
      code: number;
      stdout: string;
      stderr: string;
      /** xl looks this domain up first, and only if it finds it ends as said here. */
      domainFirst: DomainArg | null;
    };
