// SPDX-License-Identifier: Apache-2.0
//
// What the guest's command line asks of it. No guest instruction runs: its
// `extra` line chooses what its user space does (recordings, guest/init).

const modes = ["idle", "tick", "spin", "poweroff", "halt", "reboot", "crash", "ignore", "kexec"] as const;

/** What the guest's user space does once it is up. */
export type GuestMode = (typeof modes)[number];

/** A guest's command line, read. */
export interface GuestOptions {
  mode: GuestMode;
  /** Seconds from "up" to what the mode does. */
  delay: number;
  /** Loads blkfront and netfront. */
  dev: boolean;
  /** Loads netback and blkback: a driver domain, which serves others. */
  backend: boolean;
  /** What a driver domain has to serve as disks. */
  disks: { path: string; bytes: number }[];
  /** A driver domain starts `xl devd` by itself. */
  devd: boolean;
  /** Sends a packet a second through every network interface. */
  ping: boolean;
  /** The kernel's `loglevel=`: lines of a lower severity do not reach the console. */
  loglevel: number;
}

const MIB = 1 << 20;
/** Bytes of a disk of which no size is said. */
const DISK_BYTES = 16 * MIB;
const UNITS: { readonly [unit: string]: number } = { "": 1, k: 1 << 10, m: MIB, g: 1 << 30 };

/** `/dev/vg/web,/dev/vg/db:10g`: block devices below /dev, else files, of so many bytes each; none twice. */
function parseDisks(text: string): GuestOptions["disks"] {
  const disks = new Map<string, number>();
  for (const word of text.split(",")) {
    const [, path, number, unit = ""] = /^(\/[^:]+)(?::(\d{1,9})([kmg]?))?$/i.exec(word) ?? [];
    if (path === undefined) continue;
    disks.set(path, number === undefined ? DISK_BYTES : Number(number) * (UNITS[unit.toLowerCase()] ?? 1));
  }
  return [...disks].map(([path, bytes]) => ({ path, bytes }));
}

/** Reads a command line; the last of two settings counts, what is unknown is the kernel's affair. */
export function parseOptions(commandLine: string): GuestOptions {
  const options: GuestOptions = {
    mode: "idle",
    delay: 3,
    dev: false,
    backend: false,
    disks: [],
    devd: true,
    ping: false,
    loglevel: 7,
  };
  for (const word of commandLine.split(/\s+/)) {
    const [key, value = ""] = word.split("=", 2);
    if (key === "mode") options.mode = modes.find((mode) => mode === value) ?? options.mode;
    if (key === "delay" && /^\d+(\.\d+)?$/.test(value)) options.delay = Number(value);
    if (key === "dev") options.dev = value !== "";
    if (key === "backend") options.backend = value !== "";
    if (key === "disks") options.disks = parseDisks(value);
    if (key === "devd") options.devd = value !== "0";
    if (key === "ping") options.ping = value !== "";
    if (key === "loglevel" && /^\d$/.test(value)) options.loglevel = Number(value);
  }
  return options;
}
