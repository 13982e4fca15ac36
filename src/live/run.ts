// SPDX-License-Identifier: Apache-2.0
//
// `xenolith run -- CMD`: a program that believes it is on a Xen host. Devices
// are libxendev's affair; the paths that Xen's tools have built in (/run/xen,
// /run/xenstored, /run/lock, /var/lib/xen, /var/log/xen) become the host's own in a private
// mount namespace where the system allows one, and hotplug scripts act on its dom0.

import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { dom0Config, programFolders, scriptsFolder } from "./left-for-programs.ts";
import { runSession } from "./run-session.ts";

/** What a program is run with. */
export interface RunOptions {
  /** The host's state directory. */
  readonly dir: string;
  /** Folder of the device bridge: its socket, files and memory. */
  readonly bridge: string;
  /** xenstored's socket, in a folder of its own. */
  readonly xenstored: string;
  /** The built libxendev. */
  readonly library: string;
  readonly command: readonly [string, ...string[]];
}

/** How much of the file system a program can be given: its own mounts, as itself or as root of a user namespace. */
export type Isolation = "mounts" | "user-mounts" | "environment";

/**
 * In the new namespace: a /run with everything the old one has, but with the
 * host's folders for Xen's; then the program. Nothing outside changes, nor is
 * anything noted in /run/mount (-n), which a user may not.
 */
const SCRIPT = `
set -e
stage=$1 run_xen=$2 xenstored=$3 bridge=$4 lib_xen=$5 log_xen=$6 scripts=$7 run_lock=$8 library=$9
shift 9
mount -n -t tmpfs -o mode=755 xenolith "$stage"
for entry in /run/* /run/.[!.]*; do
  name=\${entry##*/}
  case $name in xen|xenstored|xenolith|lock) continue ;; esac
  if [ -L "$entry" ]; then cp -P "$entry" "$stage/$name"
  elif [ -d "$entry" ]; then mkdir "$stage/$name"; mount -n --rbind "$entry" "$stage/$name"
  elif [ -e "$entry" ]; then : > "$stage/$name"; mount -n --bind "$entry" "$stage/$name"
  fi
done
mkdir "$stage/xen" "$stage/xenstored" "$stage/xenolith" "$stage/lock"
mount -n --bind "$run_lock" "$stage/lock"
mount -n --bind "$run_xen" "$stage/xen"
mount -n --bind "$xenstored" "$stage/xenstored"
mount -n --bind "$bridge" "$stage/xenolith"
mount -n --move "$stage" /run
if [ -d /var/lib/xen ]; then mount -n --bind "$lib_xen" /var/lib/xen; fi
if [ -d /var/log/xen ]; then mount -n --bind "$log_xen" /var/log/xen; fi
for script in "$scripts"/*; do
  if [ -e "/etc/xen/scripts/\${script##*/}" ]; then mount -n --bind "$script" "/etc/xen/scripts/\${script##*/}"; fi
done
LD_PRELOAD=$library
export LD_PRELOAD
exec "$@"
`;

function allows(...flags: string[]): boolean {
  return (
    spawnSync("unshare", [...flags, "sh", "-c", "mount -n -t tmpfs none /run"], { stdio: "ignore" })
      .status === 0
  );
}

let allowed: Isolation | null = null;

/** What this system allows this user. */
export function isolation(): Isolation {
  allowed ??= allows("--mount")
    ? "mounts"
    : allows("--user", "--map-root-user", "--mount")
      ? "user-mounts"
      : "environment";
  return allowed;
}

function preload(library: string): string {
  const others = process.env["LD_PRELOAD"];
  return others === undefined || others === "" ? library : `${library}:${others}`;
}

function folders(dir: string): ReturnType<typeof programFolders> {
  const made = programFolders(dir);
  for (const folder of [...Object.values(made), path.join(made.libXen, "dump")]) {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  }
  return made;
}

/** Lets libxl find what xen-init-dom0 has told it of dom0; what is there stays. */
function copyDom0Config(bridge: string, libXen: string): void {
  const from = dom0Config(bridge);
  for (const name of fs.existsSync(from) ? fs.readdirSync(from) : []) {
    const to = path.join(libXen, name);
    if (!fs.existsSync(to)) fs.copyFileSync(path.join(from, name), to);
  }
}

/** The words that run the program, and the environment they need. */
function invocation(options: RunOptions, how: Isolation): { words: string[]; env: NodeJS.ProcessEnv } {
  const { dir, bridge, xenstored, library, command } = options;
  const env = { ...process.env, ...runSession(), XENOLITH_BRIDGE: bridge, XENOLITH_DIR: dir };
  if (how === "environment") {
    return { words: [...command], env: { ...env, LD_PRELOAD: preload(library), XENSTORED_PATH: xenstored } };
  }
  const { stage, runXen, runLock, libXen, logXen } = folders(dir);
  copyDom0Config(bridge, libXen);
  const flags = how === "mounts" ? ["--mount"] : ["--user", "--map-root-user", "--mount"];
  const state = [
    stage,
    runXen,
    path.dirname(xenstored),
    bridge,
    libXen,
    logXen,
    scriptsFolder(bridge),
    runLock,
  ];
  const places = [...state, preload(library)];
  return { words: ["unshare", ...flags, "sh", "-c", SCRIPT, "xenolith-run", ...places, ...command], env };
}

/**
 * Starts a program on the host.
 *
 * @param spawning as for node's `spawn`; the environment is ours
 */
export function startOnHost(
  options: RunOptions,
  stdio: "inherit" | "pipe",
  spawning: { detached?: boolean } = {},
): ChildProcess {
  const { words, env } = invocation(options, isolation());
  return spawn(words[0] as string, words.slice(1), { ...spawning, env, stdio });
}

/** Says where libxl would keep what it knows of domains, if that is not this user's to write. */
function unwritable(): string {
  const folder = "/var/lib/xen";
  try {
    fs.accessSync(folder, fs.constants.W_OK);
    return "";
  } catch {
    return `, and xl creates no domain without a ${folder} that it may write to`;
  }
}

/** Runs a program on the host and returns its exit code; 128 and the signal's number where one ended it. */
export async function runOnHost(options: RunOptions): Promise<number> {
  if (isolation() === "environment") {
    const text = "no private mounts here; only libxenstore's clients find this host's xenstored";
    process.stderr.write(`xenolith: ${text}${unwritable()}\n`);
  }
  const child = startOnHost(options, "inherit");
  // The terminal signals the program too; what is sent to us alone is passed on.
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  const ignore = (): void => {};
  process.on("SIGTERM", pass).on("SIGHUP", pass).on("SIGINT", ignore).on("SIGQUIT", ignore);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) =>
        resolve(code ?? 128 + (signal === null ? 0 : os.constants.signals[signal])),
      );
    });
  } finally {
    process.off("SIGTERM", pass).off("SIGHUP", pass).off("SIGINT", ignore).off("SIGQUIT", ignore);
  }
}
