// SPDX-License-Identifier: Apache-2.0
//
// What the driver of a recording did, as data.

/** What a recording's driver was told, from `meta.txt`. */
export interface Setting {
  type: "pv" | "pvh";
  /** `xl list` ran back to back beside the scenario. */
  listing: boolean;
}

export type Step =
  /** Writes /tmp/NAME.cfg. */
  | { do: "config"; name: string; text: string }
  /**
   * Runs a command whose words and calls are recorded. `$1` is the first domain's
   * domid as the driver knew it, `$2` the second's. `waits` is one that waits a
   * long time for what never comes.
   */
  | { do: "command"; line: string; waits?: true }
  /** Runs a command that is not recorded. */
  | { do: "quiet"; line: string }
  /** Remembers the domid of the domain of this name: the next `$N`. */
  | { do: "domid"; name: string }
  /** `xenstore-ls -fp`. */
  | { do: "snapshot"; name: string }
  /** A remark; `$N` as in commands. */
  | { do: "note"; text: string }
  /** Waits until the guest's console says that it is up. */
  | { do: "up"; name: string }
  /** Waits until the hypervisor no longer lists the domain `$N`. */
  | { do: "gone"; domain: number; seconds?: number }
  /**
   * Waits until some process has made this hypercall and lets that process do
   * nothing more until `go-on`: what lay in the middle of a creation that took
   * seconds under emulation.
   */
  | { do: "stall"; after: string }
  | { do: "go-on" }
  /** Waits until the domain's flags match. */
  | { do: "flags"; domain: number; pattern: string }
  | { do: "sleep"; seconds: number }
  /** A file or block device of dom0, with its size in bytes. */
  | { do: "block-device"; path: string; bytes: number }
  | { do: "bridge"; name: string }
  /** Starts a process of dom0 that maps something of a domain until told to let go. */
  | { do: "hold"; domain: number; what: "foreign" | "grant" | "shared_info"; which: number }
  | { do: "let-go" }
  /** Runs two commands at once. */
  | { do: "together"; lines: [string, string] };

/** The steps of a scenario. */
export type Scenario = (setting: Setting) => Step[];

/** A guest's configuration file as all scenarios write it. */
export function config(setting: Setting, name: string, extra: string, ...more: string[]): Step {
  return { do: "config", name, text: configText(setting, name, extra, ...more) };
}

export function configText(setting: Setting, name: string, extra: string, ...more: string[]): string {
  const lines = [
    `name = "${name}"`,
    `type = "${setting.type}"`,
    `kernel = "/guest/vmlinuz"`,
    `ramdisk = "/guest/initrd.gz"`,
    `memory = ${setting.type === "pvh" ? 160 : 96}`,
    "vcpus = 1",
    `extra = "console=hvc0 loglevel=4 ${extra}"`,
    ...more,
  ];
  return lines.map((line) => `${line}\n`).join("");
}

export function command(line: string): Step {
  return { do: "command", line };
}

/** A command that waits a long time for what never comes. */
export function vainCommand(line: string): Step {
  return { do: "command", line, waits: true };
}

export function create(name: string, ...options: string[]): Step {
  return command(["xl -vvv create", ...options, `/tmp/${name}.cfg`].join(" "));
}

/** `xl create`, its domid, and the wait for its guest. */
export function start(name: string): Step[] {
  return [create(name), { do: "domid", name }, up(name)];
}

export function up(name: string): Step {
  return { do: "up", name };
}

export function gone(domain = 1): Step {
  return { do: "gone", domain };
}

export function snapshot(name: string): Step {
  return { do: "snapshot", name };
}

export function note(text: string): Step {
  return { do: "note", text };
}

export function sleep(seconds: number): Step {
  return { do: "sleep", seconds };
}

/** The ways to list domains, one after the other. */
export const lists: Step[] = ["xl list", "xl list -v", "xl list -l", "xl vcpu-list"].map(command);

/** Debug keys q, g and e, none of them recorded as commands. */
export function debugKeys(label: string): Step[] {
  return ["q", "g", "e"].flatMap((key): Step[] => [
    { do: "quiet", line: "xl dmesg -c" },
    note(`debug-keys ${key} (${label})`),
    { do: "quiet", line: `xl debug-keys ${key}` },
    sleep(0.5),
    { do: "quiet", line: "xl dmesg -c" },
  ]);
}
