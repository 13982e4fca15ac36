// SPDX-License-Identifier: Apache-2.0
//
// The options of xl's verbs: how they are written, whether they take an
// argument, and what they do. One table for the parser, the help texts and
// shell completion.

import type { XlVerb } from "./command.ts";

/** One option of a verb. It is known by its letter, or by its first long name. */
export interface VerbOption {
  letter?: string;
  names?: readonly string[];
  /** What the argument is called, where there is one. */
  argument?: string;
  /** Lines of help; none for an option xl takes and does not mention. */
  help: readonly string[];
}

const flag = (spelling: string, ...help: string[]): VerbOption => option(spelling, undefined, help);
const valued = (spelling: string, argument: string, ...help: string[]): VerbOption =>
  option(spelling, argument, help);

/** `spelling` is "-x", "--name" or "-x --name --other". */
function option(spelling: string, argument: string | undefined, help: readonly string[]): VerbOption {
  const parts = spelling.split(" ");
  const letter = parts.find((part) => !part.startsWith("--"))?.slice(1);
  const names = parts.filter((part) => part.startsWith("--")).map((part) => part.slice(2));
  return {
    ...(letter === undefined ? {} : { letter }),
    ...(names.length === 0 ? {} : { names }),
    ...(argument === undefined ? {} : { argument }),
    help,
  };
}

const help = flag("-h", "Print this help.");
const vnc = [
  flag("-V --vncviewer", "Start a VNC viewer for the new domain."),
  flag("-A --vncviewer-autopass", "As -V, and hand the viewer the password on its standard input."),
];
const noWait = flag("-e", "Do not stay behind to handle the end of the domain.");
const foreground = flag("-F", "Stay in the foreground until the domain ends.");
const debug = flag("-d", "Show the configuration as it was understood.");
const ignoreMasks = flag(
  "-i --ignore-global-affinity-masks",
  "Pay no attention to the CPU masks of xl.conf.",
);
const configFile = valued("-f --defconfig", "FILE", "Read the configuration from FILE.");

/** Options by verb; verbs without options are not listed. */
export const verbOptions: { readonly [V in XlVerb]?: readonly VerbOption[] } = {
  create: [
    flag("-c", "Connect to the domain's console."),
    debug,
    noWait,
    foreground,
    configFile,
    help,
    flag("-n --dryrun", "Show the configuration and create nothing (better: xl -N create)."),
    flag("-p", "Leave the domain paused."),
    flag("-q --quiet", "Say less."),
    ...vnc,
    ignoreMasks,
  ],
  "config-update": [help, configFile, debug, flag("-q")],
  list: [
    flag("-l --long", "Whole configurations, as JSON."),
    flag("-v --verbose", "UUIDs, reasons of shutdown and security labels too."),
    flag("-Z --context", "Security labels too."),
    flag("-c --cpupool", "CPU pools too."),
    flag("-n --numa", "NUMA node affinity too."),
  ],
  destroy: [
    flag(
      "-f",
      "Permit destroying domain 0, which will only succeed",
      "when run from disaggregated toolstack domain with a",
      "hardware domain distinct from domain 0.",
    ),
  ],
  shutdown: [
    flag("-a --all", "Every domain but 0."),
    help,
    flag("-F", "Press the ACPI power button of guests without PV drivers."),
    flag("-w --wait", "Wait until it is done."),
  ],
  reboot: [
    flag("-a --all", "Every domain but 0."),
    help,
    flag("-F", "Press the ACPI reset button of guests without PV drivers."),
    flag("-w --wait", "Wait until it is done."),
  ],
  "pci-detach": [flag("-f")],
  "pci-assignable-add": [valued("-n --name", "NAME", "Call the device NAME."), help],
  "pci-assignable-remove": [help, flag("-r", "Give the device back to the driver it had.")],
  "pci-assignable-list": [help, flag("-n --show-names", "Names too.")],
  console: [
    valued("-t", "TYPE", "pv, serial or vuart."),
    valued("-n", "NUMBER", "Which console of that type."),
  ],
  vncviewer: [
    flag("-a --autopass --vncviewer-autopass", "Hand the viewer the password on its standard input."),
  ],
  save: [
    help,
    flag("-c", "Let the domain run on afterwards."),
    flag("-p", "Keep the domain afterwards, paused."),
    flag("-D", "Write the domid into the file too."),
  ],
  migrate: [
    help,
    valued("-C", "FILE", "Send FILE as the configuration."),
    valued("-s", "COMMAND", "Use COMMAND instead of ssh; if empty, run the host's name as a command."),
    flag("-e", "Let nobody on the other host wait for the end of the domain."),
    flag("-F"),
    flag("--debug", "Print very much about the migration."),
    flag("--live"),
    flag("-p", "Leave the domain paused there."),
    flag("-D", "Keep the domid."),
  ],
  restore: [help, flag("-p", "Leave the domain paused."), noWait, flag("-F"), flag("-c"), debug, ...vnc],
  "migrate-receive": [
    flag("-F"),
    flag("-e"),
    flag("-d"),
    flag("-r"),
    flag("-p"),
    flag("--colo"),
    valued("--coloft-script", "FILE"),
    flag("--userspace-colo-proxy"),
  ],
  "vcpu-pin": [flag("-f --force", "Override what dom0's kernel pinned."), ignoreMasks],
  "vcpu-set": [flag("-i --ignore-host", "More vCPUs than the host has CPUs are fine.")],
  info: [flag("-n --numa")],
  "sched-credit": [
    valued("-d --domain", "DOMAIN", "The domain to show or change."),
    valued("-w --weight", "WEIGHT", "Its weight."),
    valued("-c --cap", "CAP", "Its cap, in percent of a CPU."),
    flag("-s --schedparam", "Show or change the scheduler's own parameters."),
    valued("-t --tslice_ms", "TSLICE", "Time slice in milliseconds."),
    valued("-r --ratelimit_us", "RLIMIT", "Least time to run, in microseconds."),
    valued("-m --migration_delay_us", "DLY", "How long a vCPU counts as warm, in microseconds."),
    valued("-p --cpupool", "CPUPOOL", "Only this CPU pool."),
  ],
  "sched-credit2": [
    valued("-d --domain", "DOMAIN", "The domain to show or change."),
    valued("-w --weight", "WEIGHT", "Its weight."),
    valued("-c --cap", "CAP", "Its cap, in percent of a CPU."),
    flag("-s --schedparam", "Show or change the scheduler's own parameters."),
    valued("-r --ratelimit_us", "RLIMIT", "Least time to run, in microseconds."),
    valued("-p --cpupool", "CPUPOOL", "Only this CPU pool."),
  ],
  "sched-rtds": [
    valued("-d --domain", "DOMAIN", "The domain to show or change."),
    valued("-v --vcpuid", "VCPUID|all", "One of its vCPUs, or all."),
    valued("-p --period", "PERIOD", "Period in microseconds."),
    valued("-b --budget", "BUDGET", "Budget in microseconds."),
    valued("-e --extratime", "0|1", "Whether it may use time that is left."),
    // xl forgot the colon: the letter takes no argument and does nothing.
    flag("-c"),
    valued("--cpupool", "CPUPOOL"),
  ],
  dmesg: [flag("-c --clear", "Empty the buffer too.")],
  "block-detach": [flag("-f --force", "Do not wait for the domain to let go.")],
  uptime: [flag("-s", "One line in uptime's own form.")],
  "cpupool-create": [
    help,
    configFile,
    flag("-n --dryrun", "Show the pool and create nothing (better: xl -N cpupool-create)."),
  ],
  "cpupool-list": [flag("-c --cpus", "The CPUs themselves.")],
  remus: [
    valued("-i", "MS", "Checkpoint every MS milliseconds (200)."),
    flag("-u", "Do not compress."),
    valued("-s", "COMMAND", "Use COMMAND instead of ssh; if empty, run the host's name as a command."),
    flag("-e", "Let nobody on the other host wait for the end of the domain."),
    valued("-N", "SCRIPT", "Buffer the network with SCRIPT."),
    flag("-F", "Permit unsafe configurations: -b, -n, -d."),
    flag("-b", "Send checkpoints to /dev/null."),
    flag("-n", "Do not buffer the network."),
    flag("-d", "Do not replicate disks."),
    flag("-c", "COLO instead of Remus."),
    flag("-p", "COLO with the proxy in user space."),
  ],
  devd: [
    flag("-F", "Stay in the foreground."),
    valued("-p --pidfile", "FILE", "Write the process id to FILE."),
  ],
  "psr-hwinfo": [
    flag("-m --cmt", "Cache monitoring."),
    flag("-a --cat", "Cache allocation."),
    flag("-b --mba", "Memory bandwidth allocation."),
  ],
  "psr-cat-set": [
    valued("-s --socket", "SOCKETS", "Only these sockets."),
    valued("-l --level", "LEVEL", "2 or 3 (3)."),
    flag("-c --code", "Only for code."),
    flag("-d --data", "Only for data."),
  ],
  "psr-cat-show": [valued("-l --level", "LEVEL", "2 or 3 (3).")],
  "psr-mba-set": [valued("-s --socket", "SOCKETS", "Only these sockets.")],
};
