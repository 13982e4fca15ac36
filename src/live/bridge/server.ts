// SPDX-License-Identifier: Apache-2.0
//
// The server libxendev talks to. An open device is a connection; calls come on
// other connections and name the device by its socket's inode, so that a
// descriptor may be duplicated, inherited and passed on.

import { randomInt } from "node:crypto";
import * as net from "node:net";
import { fail, isFailure } from "../../core/engine/errno.ts";
import type { Failure } from "../../core/engine/errno.ts";
import type { Attention } from "../attention.ts";
import { endDaemon } from "../run-session.ts";
import { CallerProcess } from "./caller-process.ts";
import { negative } from "./device.ts";
import type { Answer, Device, OpenDevice } from "./device.ts";
import { Mappings } from "./mappings.ts";
import {
  PROTOCOL,
  RequestParser,
  encodeReply,
  encodeStanding,
  placeIn,
  readUnmapped,
  requestTypes,
} from "./protocol.ts";
import type { MappingReply, Request } from "./protocol.ts";

const NONCE_BYTES = 16;
/** INLINE_ARGUMENT of libxendev */
const INLINE_ARGUMENT_MAX = 256;
/** How often a process is looked at that has closed our connections but maps our memory. */
const AUDIT_MS = 500;
/** XENDEV_MMAP_SHARED */
const MMAP_SHARED = 2 ** 32;
const ESTALE = -116;
const EPROTO = -71;
/** What a reply brings that maps nothing, but says yes to what its request leaves open (struct xendev_reply). */
const YES: MappingReply = { id: 1, base: 0, runs: [] };
/** XENDEV_HOLDS_PLACES, XENDEV_TAKES_WRITES: what a reply to a hello says of the device. */
const [HOLDS_PLACES, TAKES_WRITES] = [1, 2];

/** Bytes of an ioctl's argument that come along: what its number says, up to what is sent inline (_IOC_SIZE). */
function argumentSize(number: number): number {
  const size = Math.floor(number / 0x10000) % 0x4000;
  return size <= INLINE_ARGUMENT_MAX ? size : 0;
}

/** SIGKILL: its domain is no more. */
function killOutright(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** A process with its connections; they end together, when it exits or executes another program. */
interface ServedSession {
  readonly id: number;
  readonly process: CallerProcess;
  readonly mappings: Mappings;
  readonly connections: Set<net.Socket>;
}

/** One connection: nothing said yet, for calls, or an open device. */
interface Connection {
  readonly socket: net.Socket;
  readonly parser: RequestParser;
  session: ServedSession | null;
  device: Device | null;
  inode: number;
}

export interface BridgeOptions {
  /** The domain whose processes come in here. */
  readonly domid: number;
  /** Devices by path. */
  readonly devices: ReadonlyMap<string, OpenDevice>;
  /** The folder of the files of frames: whoever maps one holds something. */
  readonly memoryFolder: string;
  readonly attention: Attention;
  /** Told of a fault of ours in a call, which then fails with EIO: the host lives on. */
  readonly failed: (error: unknown) => void;
}

/** Serves libxendev on a Unix socket. */
export class BridgeServer {
  readonly #options: BridgeOptions;
  readonly #server: net.Server;
  readonly #sessions = new Map<number, ServedSession>();
  readonly #devices = new Map<number, Device>();
  readonly #sockets = new Set<net.Socket>();
  readonly #lingering = new Set<ServedSession>();
  /** Who opened each device, by its inode. */
  readonly #openers = new Map<number, number>();
  #ended = false;
  #audit: NodeJS.Timeout | null = null;
  /** The process that said hello last, as long as it has no session. */
  #recent: CallerProcess | null = null;

  constructor(options: BridgeOptions) {
    this.#options = options;
    this.#server = net.createServer((socket) => this.#accept(socket));
  }

  /** Takes connections at a path. */
  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(path, () => resolve());
    });
  }

  /** Ends all connections and stops. Daemons that were started on the host end with it, as with a machine. */
  async close(): Promise<void> {
    for (const { process } of this.#sessions.values()) endDaemon(process.pid);
    if (this.#audit !== null) clearInterval(this.#audit);
    this.#recent?.close();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /**
   * The domain is no more, nor are its processes: they are killed, and what they had open is closed, as its
   * kernel is not there to do it.
   */
  async end(): Promise<void> {
    const pids = [...this.#sessions.values()].map(({ process }) => process.pid);
    for (const pid of new Set([...pids, ...this.#openers.values()])) killOutright(pid);
    for (const device of this.#devices.values()) device.close();
    this.#devices.clear();
    for (const { mappings } of this.#sessions.values()) mappings.unmapAll();
    this.#ended = true;
    await this.close();
  }

  /** Processes that have called, and the pages each maps. */
  processes(): { pid: number; name: string; pages: number }[] {
    const all = [...this.#sessions.values()];
    return all.map(({ process, mappings }) => ({
      pid: process.pid,
      name: process.name,
      pages: mappings.pages,
    }));
  }

  #accept(socket: net.Socket): void {
    const connection: Connection = {
      socket,
      parser: new RequestParser(),
      session: null,
      device: null,
      inode: 0,
    };
    this.#sockets.add(socket);
    socket.on("data", (bytes) => this.#received(connection, bytes));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#closed(connection));
  }

  #received(connection: Connection, bytes: Buffer): void {
    if (connection.device !== null) {
      connection.device.written?.(bytes);
      return;
    }
    const requests = connection.parser.push(bytes);
    if (requests === null) return void connection.socket.destroy();
    for (const request of requests) {
      try {
        this.#serve(connection, request);
      } catch (error) {
        this.#options.failed(error);
        connection.socket.write(encodeReply(request.seq, negative(fail("EIO")), null));
      }
    }
    if (connection.session !== null) this.#options.attention.answered();
  }

  #serve(connection: Connection, request: Request): void {
    if (request.type === requestTypes.hello) return this.#hello(connection, request);
    const { session, socket } = connection;
    if (session === null) return void socket.destroy();
    const answer: Answer = (result, mapping) => {
      if (socket.destroyed) {
        // Nobody will map it: what it holds goes back.
        if (typeof mapping === "object" && "runs" in mapping)
          session.mappings.unmap({ mapping: mapping.id, first: 0, pages: Infinity });
        return;
      }
      if (typeof mapping === "object" && "count" in mapping)
        return void socket.write(encodeStanding(request.seq, mapping));
      const brings = mapping === "always" ? YES : (mapping ?? null);
      socket.write(encodeReply(request.seq, isFailure(result) ? negative(result) : result, brings));
    };
    if (request.type === requestTypes.unmap) {
      for (const unmapped of readUnmapped(request.payload)) session.mappings.unmap(unmapped);
      return;
    }
    const device = this.#devices.get(request.descriptor);
    const [first, second, third, fourth] = request.args;
    if (request.type === requestTypes.ioctl) {
      if (device === undefined) return answer(fail("ENOTTY"));
      if (request.payload.length !== argumentSize(first)) return answer(fail("EINVAL"));
      return device.ioctl(session, first, second, request.payload, answer, placeIn(third, fourth));
    }
    if (request.type === requestTypes.write && device?.write !== undefined)
      return device.write(session, first, second, answer);
    if (request.type === requestTypes.mmap && device !== undefined) {
      const [prot, shared] = [fourth % MMAP_SHARED, fourth >= MMAP_SHARED];
      return device.mmap(session, { address: first, length: second, offset: third, prot, shared }, answer);
    }
    answer(fail("ENODEV"));
  }

  #hello(connection: Connection, request: Request): void {
    const result = this.#greet(connection, request);
    const { holdsPlaces, takesWrites } = connection.device ?? {};
    const kind = (holdsPlaces === true ? HOLDS_PLACES : 0) | (takesWrites === true ? TAKES_WRITES : 0);
    const said = { id: kind, base: 0, runs: [] };
    connection.socket.write(encodeReply(request.seq, isFailure(result) ? negative(result) : result, said));
  }

  #greet(connection: Connection, { args, payload, protocol, descriptor }: Request): number | Failure {
    const [pid, , nonceAddress, sessionId] = args;
    const path = payload.subarray(NONCE_BYTES).toString();
    if (protocol !== PROTOCOL) return EPROTO;
    if (connection.session !== null || connection.device !== null) return fail("EINVAL");
    if (path === "" && sessionId !== 0) return this.#joinSession(connection, sessionId);
    const known = this.#sessions.get(sessionId)?.process;
    // Who names a process's session is that process; but a child may not have noticed yet that it is another.
    if (path !== "" && known?.pid === pid) return this.#openDevice(connection, known, path, descriptor);
    const process = this.#proven(pid, nonceAddress, payload.subarray(0, NONCE_BYTES));
    if (isFailure(process)) return process;
    if (path !== "") return this.#openDevice(connection, process, path, descriptor);
    this.#recent = null;
    return this.#newSession(connection, process);
  }

  /**
   * The process of that pid, in whose memory the nonce is. Who opens one device opens
   * others, before its first call: the last one is kept open. It is asked for its nonce
   * like any other, and of a program that was there before it nothing can be read.
   */
  #proven(pid: number, nonceAddress: number, nonce: Buffer): CallerProcess | Failure {
    const holds = (process: CallerProcess): boolean => {
      const found = process.read(nonceAddress, NONCE_BYTES);
      return !isFailure(found) && nonce.equals(found);
    };
    if (this.#recent?.pid === pid && holds(this.#recent)) return this.#recent;
    this.#recent?.close();
    this.#recent = null;
    const process = CallerProcess.open(pid, this.#options.domid);
    if (isFailure(process)) return fail("EPERM");
    if (holds(process)) return (this.#recent = process);
    process.close();
    return fail("EPERM");
  }

  #openDevice(connection: Connection, process: CallerProcess, path: string, inode: number): number | Failure {
    const open = this.#options.devices.get(path);
    if (open === undefined) return fail("ENOENT");
    const device = open(process, (bytes) => void connection.socket.write(bytes));
    if (isFailure(device)) return device;
    connection.device = device;
    connection.inode = inode;
    this.#devices.set(inode, device);
    this.#openers.set(inode, process.pid);
    return 0;
  }

  #newSession(connection: Connection, process: CallerProcess): number {
    // Random, so that a process of a host before this one does not meet another's.
    const id = randomInt(1, 2 ** 47);
    const session = {
      id,
      process,
      mappings: new Mappings(),
      connections: new Set([connection.socket]),
    };
    this.#sessions.set(id, session);
    connection.session = session;
    return id;
  }

  #joinSession(connection: Connection, id: number): number {
    const session = this.#sessions.get(id);
    if (session === undefined) return ESTALE;
    session.connections.add(connection.socket);
    this.#lingering.delete(session);
    connection.session = session;
    return id;
  }

  #closed({ socket, session, device, inode }: Connection): void {
    this.#sockets.delete(socket);
    if (device !== null && !this.#ended) {
      this.#devices.delete(inode);
      this.#openers.delete(inode);
      device.close();
    }
    if (session === null) return;
    session.connections.delete(socket);
    if (session.connections.size === 0) this.#maybeGone(session);
  }

  /**
   * Without a connection a process is gone, has become another program, or has
   * closed descriptors it does not know; the kernel says whether it still maps.
   */
  #maybeGone(session: ServedSession): void {
    if (session.mappings.pages > 0 && session.process.maps(this.#options.memoryFolder)) {
      this.#lingering.add(session);
      this.#audit ??= setInterval(() => this.#auditLingering(), AUDIT_MS).unref();
      return;
    }
    this.#lingering.delete(session);
    this.#sessions.delete(session.id);
    session.process.close();
    session.mappings.unmapAll();
  }

  #auditLingering(): void {
    for (const session of this.#lingering) this.#maybeGone(session);
    if (this.#lingering.size > 0 || this.#audit === null) return;
    clearInterval(this.#audit);
    this.#audit = null;
  }
}
