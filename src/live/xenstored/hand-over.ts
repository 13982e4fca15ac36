// SPDX-License-Identifier: Apache-2.0
//
// A live update, from the side of the process that ends. Node cannot replace its
// own program and keep descriptors, as the C xenstored does with exec; but a
// child can be given them. So the successor is a child that gets the listening
// socket and every client's, and reads the state from a file as after exec. Where
// it is a Xenolith the two talk until it has everything, and if it fails this
// process goes on as if nothing had been; another program gets one chance.

import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Store } from "../../core/xenstore/store.ts";
import type { WatchLayout } from "../../core/xenstore/stream.ts";
import { encodeStream } from "../../core/xenstore/stream-encode.ts";
import { saveStore } from "../../core/xenstore/stream-save.ts";
import type { Journal } from "./journal.ts";
import type { HandOverOrder } from "./live-update.ts";
import type { XenstoredServer } from "./server.ts";
import type { FromPredecessor, ToPredecessor } from "./take-over.ts";

/** How long a Xenolith may take to read the state. */
const READY_MS = 60_000;
/** How long another program is watched for an early end. */
const FOREIGN_MS = 300;
/** How long data on its way to clients may take before another program is given their sockets. */
const SENT_MS = 5000;
/** Where the state is left for the successor, in the socket's folder (lu_dump_open in lu_daemon.c). */
const STATE_FILE = "state_dump";

export interface HandOverOptions {
  readonly server: XenstoredServer;
  readonly store: Store;
  readonly journal: Journal | undefined;
  readonly layout: WatchLayout;
  readonly portOf: (domid: number) => number;
  /** Resolves once the process this one took over from is not needed any more. */
  readonly predecessorLeft: Promise<void>;
  /** Frees what only one process can have, when the successor is ready. */
  readonly release: () => void;
}

/** Ends this process with another in its place; or resolves with why that is not so, and all is as before. */
export async function handOver(options: HandOverOptions, order: HandOverOrder): Promise<string> {
  const { server, journal } = options;
  if (!(await inTime(options.predecessorLeft, SENT_MS)))
    return "The process before this one still sends what clients do not take.";
  const listener = listeningFd(server.socketPath);
  if (listener === null) return "The listening socket is not to be found.";
  await server.freeze();
  try {
    if (!order.isOurs && !(await allSent(server))) return "Clients do not take what is on its way to them.";
    await journal?.pause();
    const started = start(options, order, listener);
    const why = order.isOurs ? await untilTaken(started) : await untilRunning(started.child);
    if (why === null) return await leave(options, order, started);
    started.child.kill("SIGKILL");
    await server.listenAgain();
    return why;
  } catch (error) {
    return `Error activating new binary: ${(error as Error).message}`;
  } finally {
    rmSync(stateFile(server.socketPath), { force: true });
    journal?.resume();
    server.thaw();
  }
}

interface Started {
  readonly child: ChildProcess;
  /** Descriptor in the successor of each client's socket. */
  readonly fds: ReadonlyMap<number, number>;
  readonly writing: ReadonlySet<number>;
}

function stateFile(socketPath: string): string {
  return join(dirname(socketPath), STATE_FILE);
}

/** Starts the successor, and writes what it will read. Nothing else happens in between. */
function start(
  { store, server, journal, layout, portOf }: HandOverOptions,
  order: HandOverOrder,
  listener: number,
): Started {
  const clients = server.frozenClients().filter(({ socket }) => !socket.destroyed);
  const first: ("ignore" | "inherit" | "ipc" | number)[] = ["ignore", "inherit", "inherit"];
  if (order.isOurs) first.push("ipc");
  const fds = new Map(clients.map(({ conn }, index) => [conn, first.length + 1 + index]));
  journal?.settleAtOnce();
  const records = saveStore(store.cells, {
    socketFd: first.length,
    fdOf: (conn) => fds.get(conn) ?? -1,
    delayed: order.delayed,
    reply: (conn) => (conn === order.replyTo ? order.reply : new Uint8Array(0)),
    portOf,
    own: order.isOurs,
  });
  const folder = dirname(server.socketPath);
  writeFileSync(stateFile(server.socketPath), encodeStream(records, { version: order.version, layout }), {
    mode: 0o600,
  });
  // From here on Node reads none of these sockets: they are the child's.
  const [program, args] = programOf(order);
  const child = spawn(program, args, {
    stdio: [...first, listener, ...clients.map(({ socket }) => socket)],
    env: { ...process.env, XENSTORED_ROOTDIR: folder, XENSTORED_RUNDIR: folder },
  });
  // Who connects from now on is accepted by the successor.
  server.stopListening();
  const writing = new Set(clients.filter(({ isWriting }) => isWriting).map(({ conn }) => conn));
  return { child, fds, writing };
}

/** A Xenolith is run by the Node that runs this one, so that nothing stands between the two. */
function programOf(order: HandOverOrder): [program: string, args: string[]] {
  const args = argumentsOf(order);
  const isScript = order.isOurs && order.file.endsWith(".js");
  return isScript ? [process.execPath, [...process.execArgv, order.file, ...args]] : [order.file, args];
}

/** Those of this process, or what `-c` said; and what tells a xenstored that it takes over. */
function argumentsOf({ cmdline }: HandOverOrder): string[] {
  const args = cmdline === null ? process.argv.slice(2) : cmdline.split(/\s+/).filter((word) => word !== "");
  return args.includes("-U") ? args : [...args, "-U"];
}

/** Resolves with null once a Xenolith has all the state, or with why it has not. */
function untilTaken({ child }: Started): Promise<string | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve("The new binary does not answer."), READY_MS);
    const end = (why: string | null): void => {
      clearTimeout(timer);
      child.removeAllListeners();
      resolve(why);
    };
    child.on("error", ({ message }) => end(`Error activating new binary: ${message}`));
    child.on("exit", (code, signal) => end(`Error activating new binary: it ended with ${code ?? signal}`));
    child.on("message", (message: ToPredecessor) => {
      if ("failed" in message) end(`Error activating new binary: ${message.failed}`);
      else end(null);
    });
  });
}

function untilRunning(child: ChildProcess): Promise<string | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(null), FOREIGN_MS);
    const end = (why: string): void => {
      clearTimeout(timer);
      resolve(why);
    };
    child.on("error", ({ message }) => end(`Error activating new binary: ${message}`));
    child.on("exit", (code, signal) => end(`Error activating new binary: it ended with ${code ?? signal}`));
  });
}

/** Another program cannot be told what is still on its way: it has to arrive first. */
function allSent(server: XenstoredServer): Promise<boolean> {
  return inTime(
    server.whenSent(() => undefined),
    SENT_MS,
  );
}

/** Whether something is done before so many milliseconds are over. */
async function inTime(done: Promise<void>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), milliseconds);
  });
  const first = await Promise.race([done.then(() => true), late]);
  clearTimeout(timer);
  return first;
}

/** The successor has everything: what was begun to be sent is sent to its end, and then this process ends. */
async function leave(
  { server, journal, release }: HandOverOptions,
  order: HandOverOrder,
  { child, fds, writing }: Started,
): Promise<never> {
  journal?.close();
  if (!order.isOurs) process.exit(0);
  release();
  // One that is gone needs nothing more.
  child.once("disconnect", () => process.exit(0));
  const tell = (message: FromPredecessor): void => {
    child.send(message, () => undefined);
  };
  tell({ go: true, writing: [...writing].map((conn) => fds.get(conn) as number) });
  await server.whenSent((conn) => tell({ sent: fds.get(conn) as number }));
  await new Promise((resolve) => child.send({ sent: -1 } satisfies FromPredecessor, resolve));
  // Not by closing: Node would remove the socket's path, which is the successor's now.
  process.exit(0);
}

/** This process's descriptor that listens at a path, as the system says; null where there is none. */
function listeningFd(socketPath: string): number | null {
  const inodes = new Set<string>();
  for (const line of readFileSync("/proc/net/unix", "utf8").split("\n")) {
    const [, , , flags, , , inode, path] = line.trim().split(/\s+/);
    if (flags === "00010000" && path === socketPath) inodes.add(`socket:[${inode}]`);
  }
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      if (inodes.has(readlinkSync(`/proc/self/fd/${fd}`))) return Number(fd);
    } catch {
      // The descriptor of the folder itself is gone by now.
    }
  }
  return null;
}
