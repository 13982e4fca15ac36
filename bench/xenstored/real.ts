// SPDX-License-Identifier: Apache-2.0
//
// Xen's own xenstoreds on a machine without Xen: Debian's daemons, unmodified,
// with what they would ask of a hypervisor answered by xenstub.c.

import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import { connect } from "node:net";
import * as path from "node:path";
import { compiled } from "../../src/live/compile.ts";

/** Which daemon: that in C, or that in OCaml. */
export type RealKind = "c" | "ocaml";

const BIN = "/usr/lib/xen-4.17/bin";
/** How long a daemon may take until it answers. */
const START_MS = 20_000;

/** As Xen's own oxenstored.conf has them. */
const OCAML_QUOTAS = {
  maxentity: 1000,
  maxsize: 2048,
  maxwatch: 100,
  transaction: 10,
  maxrequests: 1024,
  "path-max": 1024,
};

const ocamlConfiguration = (run: string, quotas: Readonly<Record<string, number>>): string =>
  [
    `pid-file = ${run}/oxenstored.pid`,
    "merge-activate = true",
    "perms-activate = true",
    "quota-activate = true",
    ...Object.entries({ ...OCAML_QUOTAS, ...quotas }).map(([name, value]) => `quota-${name} = ${value}`),
    "persistent = false",
    "xenstored-log-level = null",
    "xenstored-kva = /proc/xen/xsd_kva",
    "xenstored-port = /proc/xen/xsd_port",
    "",
  ].join("\n");

/** The stand-in for Xen's libraries, built when it is first needed. */
export function xenstub(): string {
  return compiled({
    name: "xenstub.so",
    folder: import.meta.dirname,
    files: ["xenstub.c"],
    flags: ["-fPIC", "-shared"],
    libraries: ["-ldl"],
  });
}

/** A real xenstored that runs. */
export interface RealXenstored {
  readonly kind: RealKind;
  /** Its folder; the rings, FIFOs and domains of xenstub.c are in it. */
  readonly run: string;
  readonly socketPath: string;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

/** How a real xenstored is started. */
export interface RealOptions {
  /** Domains have rings that others can map, and exist as `domains` says: a byte a domid (xenstub.c). */
  readonly rings?: boolean;
  /** Quotas of oxenstored, by the names in its configuration. */
  readonly quotas?: Readonly<Record<string, number>>;
  /** Further arguments of the daemon. */
  readonly args?: readonly string[];
  /** Default: Debian's. */
  readonly program?: string | undefined;
}

/** Starts one in a folder of its own, which is made; resolves once it answers on its socket. */
export async function startReal(
  kind: RealKind,
  run: string,
  options: RealOptions = {},
): Promise<RealXenstored> {
  fs.mkdirSync(run, { recursive: true, mode: 0o700 });
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    LD_PRELOAD: xenstub(),
    XENSTUB_RUN: run,
    XENSTORED_RUNDIR: run,
    XENSTUB_PARENT: String(process.pid),
  };
  if (options.rings === true) {
    env["XENSTUB_RINGS"] = "1";
    env["XENSTUB_DOMFILE"] = path.join(run, "domains");
    fs.writeFileSync(path.join(run, "domains"), new Uint8Array(32_768));
  }
  const args = kind === "c" ? ["--no-fork", "--internal-db"] : ["--no-fork", "--no-access-log"];
  if (kind === "ocaml") {
    const configuration = path.join(run, "oxenstored.conf");
    fs.writeFileSync(configuration, ocamlConfiguration(run, options.quotas ?? {}));
    args.push("--config-file", configuration);
  }
  const program = options.program ?? path.join(BIN, kind === "c" ? "xenstored" : "oxenstored");
  const child = spawn(program, [...args, ...(options.args ?? [])], { env, stdio: "ignore" });
  const exit = new Promise<void>((resolve) => void child.on("exit", () => resolve()));
  const real: RealXenstored = {
    kind,
    run,
    socketPath: path.join(run, "socket"),
    process: child,
    stop: () => {
      child.kill("SIGKILL");
      return exit;
    },
  };
  await answering(real);
  return real;
}

async function answering({ socketPath, process: child, kind }: RealXenstored): Promise<void> {
  const deadline = performance.now() + START_MS;
  while (!(await accepts(socketPath))) {
    if (child.exitCode !== null) throw new Error(`the real xenstored (${kind}) has ended: ${child.exitCode}`);
    if (performance.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`the real xenstored (${kind}) does not answer at ${socketPath}`);
    }
    await new Promise((resolve) => void setTimeout(resolve, 5));
  }
}

function accepts(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
