// SPDX-License-Identifier: Apache-2.0
//
// From a verb's options and arguments to its command: one builder a verb, with
// the checks xl makes before it asks the host anything.

import { atoi } from "../xlcfg/strtol.ts";
import { refuse, type Arguments, type Built, type Refusal } from "./arguments.ts";
import { schedCredit, schedCredit2, schedRtds } from "./build-sched.ts";
import type { CreateHow, ShutdownCommand, XlCommands, XlVerb } from "./command.ts";
import { help } from "./help.ts";

type Builders = { readonly [V in XlVerb]: (given: Arguments) => Built<V> };

const invalidArguments = (code: number): { refused: Refusal } => ({
  refused: { code, stdout: "", stderr: "Invalid arguments.\n", domainFirst: true },
});
const showHelp = (verb: XlVerb, code: number): { refused: Refusal } => ({
  refused: { code, stdout: help(verb), stderr: "" },
});

const domainOnly = (given: Arguments): { domain: string } => ({ domain: given.arg(0) });
const domains = (given: Arguments): { domains: string[] } => ({ domains: [...given.args] });
const domainAndSpecs = (given: Arguments): { domain: string; specs: string[] } => ({
  domain: given.arg(0),
  specs: given.args.slice(1),
});
const domainAndDevice = (given: Arguments): { domain: string; device: string } => ({
  domain: given.arg(0),
  device: given.arg(1),
});
const nothing = (): object => ({});

function createHow(given: Arguments): CreateHow {
  return {
    debug: given.has("d"),
    daemonize: !given.has("F") && !given.has("e"),
    monitor: !given.has("e"),
    paused: given.has("p"),
    consoleAutoconnect: given.has("c"),
    vnc: given.has("V") || given.has("A"),
    vncAutopass: given.has("A"),
  };
}

/** A configuration file and `k=v` settings; null when there are two files. */
function configArguments(
  given: Arguments,
  file: string | null,
): { configFile: string | null; extraConfig: string } | null {
  let configFile = given.last("f") ?? file;
  let extraConfig = "";
  for (const arg of given.args) {
    if (arg.includes("=")) extraConfig += `${arg}\n`;
    else if (configFile === null) configFile = arg;
    else return null;
  }
  return { configFile, extraConfig };
}

function create(given: Arguments): Built<"create"> {
  const config = configArguments(given, given.leading[0] ?? null);
  if (config === null) return showHelp("create", 2);
  return { ...createHow(given), ...config, quiet: given.has("q"), ignoreGlobalAffinityMasks: given.has("i") };
}

function configUpdate(given: Arguments): Built<"config-update"> {
  const config = configArguments(given, given.leading[1] ?? null);
  if (config === null) return showHelp("create", 2); // the wrong verb's help, but so it is
  return { domain: given.leading[0] ?? "", debug: given.has("d"), ...config };
}

function list(given: Arguments): Built<"list"> {
  if (given.args.length > 1) return showHelp("list", 1);
  return {
    domain: given.optional(0),
    long: given.has("l"),
    verbose: given.has("v"),
    context: given.has("Z"),
    cpupool: given.has("c"),
    numa: given.has("n"),
  };
}

function shutdown(given: Arguments): ShutdownCommand | { refused: Refusal } {
  const all = given.has("a");
  if (given.args.length === 0 && !all) return refuse(1, "You must specify -a or a domain id.\n\n");
  return { domain: given.optional(0), all, wait: given.count("w"), fallbackTrigger: given.has("F") };
}

function save(given: Arguments): Built<"save"> {
  if (given.args.length > 3) return showHelp("save", 1);
  return {
    domain: given.arg(0),
    file: given.arg(1),
    configFile: given.optional(2),
    checkpoint: given.has("c"),
    leavePaused: given.has("p"),
    preserveDomid: given.has("D"),
  };
}

function restore(given: Arguments): Built<"restore"> {
  if (given.args.length > 2) return showHelp("restore", 1);
  const [file, configFile] = given.args.toReversed();
  return { ...createHow(given), file: file ?? "", configFile: configFile ?? null };
}

function migrate(given: Arguments): Built<"migrate"> {
  return {
    domain: given.arg(0),
    host: given.arg(1),
    configFile: given.last("C"),
    sshCommand: given.last("s") ?? "ssh",
    debug: given.has("debug"),
    daemonize: !given.has("F") && !given.has("e"),
    monitor: !given.has("e"),
    paused: given.has("p"),
    preserveDomid: given.has("D"),
  };
}

function migrateReceive(given: Arguments): Built<"migrate-receive"> {
  if (given.args.length > 0) return showHelp("migrate-receive", 1);
  return {
    debug: given.has("d"),
    daemonize: !given.has("F") && !given.has("e"),
    monitor: !given.has("e"),
    paused: given.has("p"),
    checkpointed: given.has("colo") ? "colo" : given.has("r") ? "remus" : "none",
    coloProxyScript: given.last("coloft-script"),
    userspaceColoProxy: given.has("userspace-colo-proxy"),
  };
}

function setenforce(given: Arguments): Built<"setenforce"> {
  const mode = given.optional(0)?.toLowerCase();
  if (mode === "1" || mode === "enforcing") return { enforce: true };
  if (mode === "0" || mode === "permissive") return { enforce: false };
  return showHelp("setenforce", 2);
}

function remus(given: Arguments): Built<"remus"> {
  return {
    domain: given.arg(0),
    host: given.arg(1),
    intervalMs: atoi(given.last("i") ?? "0"),
    sshCommand: given.last("s") ?? "ssh",
    daemonize: !given.has("e"),
    netbufScript: given.last("N"),
    allowUnsafe: given.has("F"),
    blackhole: given.has("b"),
    noCompression: given.has("u"),
    noNetbuf: given.has("n"),
    noDiskbuf: given.has("d"),
    colo: given.has("c"),
    userspaceColoProxy: given.has("p"),
  };
}

function cpupoolCreate(given: Arguments): Built<"cpupool-create"> {
  const config = configArguments(given, null);
  return config ?? showHelp("cpupool-create", 1);
}

const monitorTypes = ["cache-occupancy", "total-mem-bandwidth", "local-mem-bandwidth"] as const;

function psrCmtShow(given: Arguments): Built<"psr-cmt-show"> {
  const type = monitorTypes.find((name) => name === given.arg(0));
  if (type === undefined || given.args.length > 2) return showHelp("psr-cmt-show", 2);
  return { type, domain: given.optional(1) };
}

function psrCatSet(given: Arguments): Built<"psr-cat-set"> {
  const level = atoi(given.last("l") ?? "3");
  const code = given.has("c");
  const data = given.has("d");
  if (level !== 2 && level !== 3) return refuse(1, `Input lvl ${level} is wrong\n`);
  if (level === 3 && code && data) return refuse(1, "Cannot handle -c and -d at the same time\n");
  if (given.args.length !== 2) return showHelp("psr-cat-set", 2);
  const type = code === data ? "both" : code ? "code" : "data";
  return { domain: given.arg(0), cbm: given.arg(1), sockets: given.last("s"), level, type };
}

function psrHwinfo(given: Arguments): Built<"psr-hwinfo"> {
  const all = !given.has("m") && !given.has("a") && !given.has("b");
  return { cmt: all || given.has("m"), cat: all || given.has("a"), mba: all || given.has("b") };
}

/** The verbs' builders. */
export const commandBuilders: Builders = {
  create,
  "config-update": configUpdate,
  list,
  destroy: (given) => ({ domain: given.arg(0), force: given.has("f") }),
  shutdown,
  reboot: shutdown,
  "pci-attach": (given) => ({ domain: given.arg(0), spec: given.arg(1) }),
  "pci-detach": (given) => ({ domain: given.arg(0), spec: given.arg(1), force: given.has("f") }),
  "pci-list": domainOnly,
  "pci-assignable-add": (given) => ({ bdf: given.arg(0), name: given.last("n") }),
  "pci-assignable-remove": (given) => ({ ident: given.arg(0), rebind: given.has("r") }),
  "pci-assignable-list": (given) => ({ showNames: given.has("n") }),
  pause: domainOnly,
  unpause: domainOnly,
  console: (given) => ({
    domain: given.arg(0),
    type: given.last("t") as XlCommands["console"]["type"],
    number: atoi(given.last("n") ?? "0"),
  }),
  vncviewer: (given) => ({ domain: given.arg(0), autopass: given.has("a") }),
  save,
  migrate,
  restore,
  "migrate-receive": migrateReceive,
  "dump-core": (given) => ({ domain: given.arg(0), file: given.arg(1) }),
  "cd-insert": (given) => ({ domain: given.arg(0), virtualDevice: given.arg(1), path: given.arg(2) }),
  "cd-eject": (given) => ({ domain: given.arg(0), virtualDevice: given.arg(1) }),
  "mem-max": (given) => ({ domain: given.arg(0), memory: given.arg(1) }),
  "mem-set": (given) => ({ domain: given.arg(0), memory: given.arg(1) }),
  "button-press": (given) => ({ domain: given.arg(0), button: given.arg(1) }),
  "vcpu-list": domains,
  "vcpu-pin": (given) => ({
    domain: given.arg(0),
    vcpu: given.arg(1),
    hard: given.arg(2),
    soft: given.optional(3),
    force: given.has("f"),
    ignoreGlobalAffinityMasks: given.has("i"),
  }),
  "vcpu-set": (given) => ({ domain: given.arg(0), vcpus: given.arg(1), ignoreHost: given.has("i") }),
  "vm-list": nothing,
  info: (given) => ({ numa: given.has("n"), only: given.has("n") ? null : given.optional(0) }),
  sharing: (given) => (given.args.length > 1 ? showHelp("sharing", 1) : { domain: given.optional(0) }),
  "sched-credit": schedCredit,
  "sched-credit2": schedCredit2,
  "sched-rtds": schedRtds,
  domid: (given) => ({ name: given.arg(0) }),
  domname: (given) => ({ domid: given.arg(0) }),
  rename: (given) => ({ domain: given.arg(0), newName: given.arg(1) }),
  trigger: (given) => ({ domain: given.arg(0), trigger: given.arg(1), vcpu: given.optional(2) }),
  sysrq: (given) => ({ domain: given.arg(0), key: given.arg(1) }),
  "debug-keys": (given) => ({ keys: given.arg(0) }),
  "set-parameters": (given) => ({ parameters: given.arg(0) }),
  dmesg: (given) => ({ clear: given.has("c") }),
  top: nothing,
  "network-attach": domainAndSpecs,
  "network-list": domains,
  "network-detach": domainAndDevice,
  "channel-list": domains,
  "block-attach": domainAndSpecs,
  "block-list": domains,
  "block-detach": (given) => ({ ...domainAndDevice(given), force: given.has("f") }),
  "vtpm-attach": domainAndSpecs,
  "vtpm-list": domains,
  "vtpm-detach": domainAndDevice,
  "vkb-attach": domainAndSpecs,
  "vkb-list": domains,
  "vkb-detach": domainAndDevice,
  "vdispl-attach": domainAndSpecs,
  "vdispl-list": domains,
  "vdispl-detach": domainAndDevice,
  "vsnd-attach": domainAndSpecs,
  "vsnd-list": domains,
  "vsnd-detach": domainAndDevice,
  uptime: (given) => ({ ...domains(given), short: given.has("s") }),
  claims: nothing,
  "cpupool-create": cpupoolCreate,
  "cpupool-list": (given) => ({ cpus: given.has("c"), pool: given.optional(0) }),
  "cpupool-destroy": (given) => ({ pool: given.arg(0) }),
  "cpupool-rename": (given) => ({ pool: given.arg(0), newName: given.arg(1) }),
  "cpupool-cpu-add": (given) => ({ pool: given.arg(0), cpus: given.arg(1) }),
  "cpupool-cpu-remove": (given) => ({ pool: given.arg(0), cpus: given.arg(1) }),
  "cpupool-migrate": (given) => ({ domain: given.arg(0), pool: given.arg(1) }),
  "cpupool-numa-split": nothing,
  getenforce: nothing,
  setenforce,
  loadpolicy: (given) => (given.args.length === 0 ? showHelp("loadpolicy", 2) : { file: given.arg(0) }),
  remus,
  devd: (given) => ({ daemonize: !given.has("F"), pidfile: given.last("p") }),
  "psr-hwinfo": psrHwinfo,
  "psr-cmt-attach": domainOnly,
  "psr-cmt-detach": domainOnly,
  "psr-cmt-show": psrCmtShow,
  "psr-cat-set": psrCatSet,
  "psr-cat-show": (given) =>
    given.args.length > 1
      ? showHelp("psr-cat-show", 2)
      : { domain: given.optional(0), level: atoi(given.last("l") ?? "3") },
  "psr-mba-set": (given) =>
    given.args.length === 2
      ? { domain: given.arg(0), throttle: given.arg(1), sockets: given.last("s") }
      : showHelp("psr-mba-set", 1),
  "psr-mba-show": (given) =>
    given.args.length > 1 ? showHelp("psr-mba-show", 2) : { domain: given.optional(0) },
  "usbctrl-attach": domainAndSpecs,
  "usbctrl-detach": domainAndDevice,
  "usbdev-attach": domainAndSpecs,
  "usbdev-detach": (given) =>
    given.args.length > 3
      ? invalidArguments(1)
      : { domain: given.arg(0), controller: given.arg(1), port: given.arg(2) },
  // exit(-1)
  "usb-list": (given) => (given.args.length > 1 ? invalidArguments(255) : domainOnly(given)),
  "qemu-monitor-command": (given) =>
    given.args.length > 2 ? invalidArguments(1) : { domain: given.arg(0), command: given.arg(1) },
};
