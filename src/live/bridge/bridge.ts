// SPDX-License-Identifier: Apache-2.0
//
// The device bridge of a live host: where unmodified Xen programs come in.

import * as fs from "node:fs";
import * as path from "node:path";
import { must } from "../../core/engine/cells.ts";
import type { Cells } from "../../core/engine/cells.ts";
import { builtDomainRuns } from "../../core/guest/built.ts";
import { domainInfoCell } from "../../core/hypervisor/domain.ts";
import { incarnationCell } from "../../core/hypervisor/domid.ts";
import type { Unknown } from "../../core/hypervisor/hypercall/operation.ts";
import { versionOf } from "../../core/hypervisor/machine.ts";
import { uuidOf } from "../../core/toolstack/dominfo.ts";
import { domainEntered } from "../../core/xenbus/xenbus-dev.ts";
import type { Attention } from "../attention.ts";
import type { Driver } from "../driver.ts";
import type { FileMemory } from "../guest-memory.ts";
import type { OpenDevice } from "./device.ts";
import { evtchnDevices } from "./evtchn.ts";
import { gntallocDevices } from "./gntalloc.ts";
import { gntdevDevices } from "./gntdev.ts";
import { Hypercalls, isAlive } from "./hypercalls.ts";
import { privcmdDevices } from "./privcmd.ts";
import { bridgeSocket } from "./protocol.ts";
import { BridgeServer } from "./server.ts";
import { StandingAnswers } from "./standing.ts";
import { xenbusDevices } from "./xenbus.ts";
import { xsdKvaDevices } from "./xsd-kva.ts";

/** What a bridge is made of. */
export interface BridgeOptions {
  readonly driver: Driver;
  /** The frames of the driver's world. */
  readonly memory: FileMemory;
  readonly attention: Attention;
  /** dom0's page and port for a xenstored that comes from outside. */
  readonly store: { readonly mfn: number; readonly port: number };
  /** A folder for the bridge alone; its path is what $XENOLITH_BRIDGE must say. */
  readonly folder: string;
  /** Receives a line for each thing a program asked that the host does not know. */
  readonly log: (line: string) => void;
}

/** A running bridge. */
export interface Bridge {
  /**
   * Lets processes into another domain, by a folder of its own, until the domain
   * is no more: then they are killed. Its kernel must run.
   */
  enter(domid: number, folder: string): Promise<void>;
  /** Processes that have called, and the pages each maps. */
  processes(): { pid: number; name: string; pages: number }[];
  close(): Promise<void>;
}

/** The files that stand for Xen's in every domain, by their path; devices among them, for those who only look. */
function files({ driver }: BridgeOptions): [path: string, text: string][] {
  const { major, minor, extra } = versionOf(driver.world);
  return [
    ["/dev/xen/privcmd", ""],
    ["/dev/xen/evtchn", ""],
    ["/dev/xen/gntdev", ""],
    ["/dev/xen/hypercall", ""],
    ["/dev/xen/gntalloc", ""],
    ["/dev/xen/xenbus", ""],
    ["/proc/xen/xenbus", ""],
    ["/proc/xen/privcmd", ""],
    ["/sys/hypervisor/type", "xen\n"],
    ["/sys/hypervisor/version/major", `${major}\n`],
    ["/sys/hypervisor/version/minor", `${minor}\n`],
    ["/sys/hypervisor/version/extra", `${extra}\n`],
  ];
}

/** Those that only dom0 has. */
function dom0Files({ store }: BridgeOptions): [path: string, text: string][] {
  return [
    ["/proc/xen/capabilities", "control_d\n"],
    ["/proc/xen/xsd_kva", ""],
    ["/proc/xen/xsd_port", String(store.port)],
    ["/sys/hypervisor/uuid", "00000000-0000-0000-0000-000000000000\n"],
  ];
}

/** Those of another domain, which controls nothing. */
function guestFiles({ driver }: BridgeOptions, domid: number): [path: string, text: string][] {
  return [
    ["/proc/xen/capabilities", ""],
    ["/sys/hypervisor/uuid", `${uuidOf(must(driver.world, domainInfoCell, domid).handle)}\n`],
  ];
}

/** The hypercall after which a domain's kernel may run. */
const UNPAUSE = "domctl unpausedomain";

/** Folders of Xen's that are there and empty. */
const EMPTY_FOLDERS = ["/sys/bus/xen-backend/devices"];

function writeFiles(folder: string, memory: FileMemory, made: readonly (readonly [string, string])[]): void {
  fs.rmSync(folder, { recursive: true, force: true });
  for (const empty of EMPTY_FOLDERS) fs.mkdirSync(path.join(folder, "files", empty), { recursive: true });
  for (const [name, text] of made) {
    const file = path.join(folder, "files", name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  }
  fs.symlinkSync(memory.folder, path.join(folder, "memory"));
}

/** Unknown things that are told of: a program that makes numbers up does not fill the log. */
const UNKNOWN_MAX = 200;

/** Says each thing once. */
function once(log: (line: string) => void): (what: Unknown, process: string) => void {
  const said = new Set<string>();
  return ({ unknown, errno }, process) => {
    if (said.has(unknown) || said.size === UNKNOWN_MAX) return;
    said.add(unknown);
    log(`${process} asked for ${unknown}, which this host does not know: ${errno}`);
  };
}

/** Starts the bridge of a host. Rejects with the system's error where its socket cannot be had. */
export async function startBridge(options: BridgeOptions): Promise<Bridge> {
  const { driver, memory, folder, log } = options;
  writeFiles(folder, memory, [...files(options), ...dom0Files(options)]);
  const hypercalls = new Hypercalls(driver);
  hypercalls.performed = (operation, args) => {
    // No processor runs here: the kernel a toolstack put into its domain is ours to play.
    if (operation === UNPAUSE) driver.give(builtDomainRuns, { domid: (args as { domid: number }).domid });
  };
  const standing = new StandingAnswers(folder);
  standing.follow(driver.world);
  const privcmd = privcmdDevices({ hypercalls, memory, standing, unknown: once(log) });
  const xenbus = xenbusDevices(hypercalls);
  const everywhere: readonly (readonly [string, OpenDevice])[] = [
    ["/dev/xen/privcmd", privcmd],
    ["/proc/xen/privcmd", privcmd],
    ["/dev/xen/evtchn", evtchnDevices(hypercalls)],
    ["/dev/xen/gntdev", gntdevDevices(hypercalls, memory)],
    ["/dev/xen/gntalloc", gntallocDevices(hypercalls, memory)],
    ["/dev/xen/xenbus", xenbus],
    ["/proc/xen/xenbus", xenbus],
  ];
  const serve = async (
    domid: number,
    where: string,
    own: readonly (readonly [string, OpenDevice])[],
  ): Promise<BridgeServer> => {
    const server = new BridgeServer({
      domid,
      devices: new Map([...everywhere, ...own]),
      memoryFolder: memory.folder,
      attention: options.attention,
      failed: (error) => log(`a call failed by our fault: ${String((error as Error).stack ?? error)}`),
    });
    await server.listen(bridgeSocket(where));
    return server;
  };
  const server = await serve(0, folder, [["/proc/xen/xsd_kva", xsdKvaDevices(memory, options.store.mfn)]]);
  const entered = new Map<number, { server: BridgeServer; folder: string; incarnation: number }>();
  const leave = (domid: number, how: "end" | "close"): Promise<void> | undefined => {
    const domain = entered.get(domid);
    entered.delete(domid);
    if (domain !== undefined) fs.rmSync(domain.folder, { recursive: true, force: true });
    return domain?.server[how]();
  };
  driver.afterTurn(() => {
    for (const [domid, { incarnation }] of entered) {
      const same = incarnationOf(driver.world, domid) === incarnation;
      if (!same || !isAlive(driver.world, domid)) void leave(domid, "end");
    }
  });
  return {
    enter: async (domid, where) => {
      if (entered.has(domid)) return;
      driver.give(domainEntered, { domid });
      writeFiles(where, memory, [...files(options), ...guestFiles(options, domid)]);
      fs.symlinkSync(path.join(folder, "standing"), path.join(where, "standing"));
      const domain = await serve(domid, where, []);
      entered.set(domid, { server: domain, folder: where, incarnation: incarnationOf(driver.world, domid) });
    },
    processes: () =>
      [server, ...[...entered.values()].map((domain) => domain.server)].flatMap((one) => one.processes()),
    close: async () => {
      for (const domid of [...entered.keys()]) await leave(domid, "close");
      await server.close();
      standing.close();
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

function incarnationOf(cells: Cells, domid: number): number {
  return cells.get(incarnationCell, domid)?.count ?? 0;
}
