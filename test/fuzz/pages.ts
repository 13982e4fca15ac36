// SPDX-License-Identifier: Apache-2.0
//
// A whole host some of whose memory is written to by whoever maps it: rings whose
// indices cannot be, messages nobody asked for, start info, grant entries, IOREQ
// pages and what suspended kernels keep; and a toolstack that writes nonsense into
// the store meanwhile. The domains it is about may break; the host goes on, and a
// domain that nobody touches notices nothing.

import * as X from "../../src/abi/4.17/constants.ts";
import { must } from "../../src/core/engine/cells.ts";
import { fail, isFailure } from "../../src/core/engine/errno.ts";
import type { Memory } from "../../src/core/engine/host.ts";
import { input } from "../../src/core/engine/input.ts";
import { injectFault } from "../../src/core/engine/fault.ts";
import { fifo, random, run } from "../../src/core/engine/scheduler.ts";
import { World } from "../../src/core/engine/world.ts";
import { fileCell, writeFile } from "../../src/core/daemons/files.ts";
import { spawnProcess } from "../../src/core/daemons/process.ts";
import { guestCell } from "../../src/core/guest/guest.ts";
import { bootHost, hostIsUp } from "../../src/core/host.ts";
import { checkLedger } from "../../src/core/hypervisor/check-ledger.ts";
import { domainById, forEachDomain } from "../../src/core/hypervisor/domain.ts";
import type { CallerMemory } from "../../src/core/hypervisor/hypercall/caller-memory.ts";
import { hypercallMade, hypercallsOpened, lastResult } from "../../src/core/hypervisor/hypercall/perform.ts";
import { takeHypercall } from "../../src/core/hypervisor/hypercall/table.ts";
import { pageOf } from "../../src/core/hypervisor/page.ts";
import { portCell, setPending } from "../../src/core/hypervisor/port.ts";
import { spawnXl } from "../../src/core/toolstack/xl.ts";
import { xenbusCell, xenbusWatchCell } from "../../src/core/xenbus/xenbus.ts";
import { serverWrite } from "../../src/core/xenstore/ring.ts";
import { encode, writeU32 } from "../../src/core/xenstore/wire.ts";
import { putNodes, type NodeData } from "../golden/programs.ts";
import { Chance } from "./chance.ts";

const PAGE_BYTES = 4096;
const SECOND_US = 1_000_000;
/** What one piece sets in motion ends long before. */
const STEPS_A_PIECE = 400;
const STEPS_MAX = 400_000;

/** The domain nobody touches, and those that everything happens to. */
const INNOCENT = "innocent";
const VICTIMS = ["pv", "pvh"] as const;

const DISK = '"phy:/dev/sdb,xvda,w"';
const NIC = '"mac=00:16:3e:00:00:0N"';

function config(name: string, type: string, extra: string, at: number): string {
  const devices = [
    `disk = [ ${DISK.replace("sdb", `sd${"bcd"[at]}`)} ]`,
    `vif = [ ${NIC.replace("N", String(at))} ]`,
  ];
  const lines = [
    `name = "${name}"`,
    `type = "${type}"`,
    "memory = 8",
    "vcpus = 2",
    `extra = "dev=1 ${extra}"`,
  ];
  return [...lines, ...devices, ""].join("\n");
}

const FILES = {
  [`/${INNOCENT}`]: config(INNOCENT, "pvh", "mode=tick ping=1", 0),
  ...Object.fromEntries(
    VICTIMS.map((type, at) => [`/${type}`, config(type, type, "mode=tick ping=1", at + 1)]),
  ),
};

/** Memory that others map, too: what is read of their pages may have changed since the last look. */
class SharedMemory implements Memory {
  readonly pages = new Map<number, Uint8Array>();
  /** Called before a page is read. */
  disturb: (mfn: number) => void = () => {};

  read(mfn: number, offset: number, length: number): Uint8Array {
    if (!(offset >= 0 && length >= 0 && offset + length <= PAGE_BYTES))
      throw new Error(`a read at ${offset}`);
    this.disturb(mfn);
    return this.pages.get(mfn)?.slice(offset, offset + length) ?? new Uint8Array(length);
  }

  write(mfn: number, offset: number, bytes: Uint8Array): void {
    if (!(offset >= 0 && offset + bytes.length <= PAGE_BYTES)) throw new Error(`a write at ${offset}`);
    let page = this.pages.get(mfn);
    if (page === undefined) this.pages.set(mfn, (page = new Uint8Array(PAGE_BYTES)));
    page.set(bytes, offset);
  }

  stale(): void {}

  dirtied(): boolean {
    return true;
  }

  isZero(mfn: number): boolean {
    return this.pages.get(mfn)?.every((byte) => byte === 0) ?? true;
  }

  discard(mfn: number, count: number): void {
    for (let at = mfn; at < mfn + count; at++) this.pages.delete(at);
  }
}

const typed = input("fuzz: a command", (host, { argv }: { argv: string[] }) => void spawnXl(host, argv));

const written = input(
  "fuzz: nodes",
  (host, { name, nodes }: { name: string; nodes: readonly NodeData[] }) => {
    spawnProcess(host, name, ["putnodes"], putNodes, { nodes });
  },
);

const spoilt = input("fuzz: a file", (host, { name, bytes }: { name: string; bytes: Uint8Array }) =>
  writeFile(host, name, bytes),
);

const rang = input("fuzz: an event", (host, { domid, port }: { domid: number; port: number }) => {
  if (host.get(portCell, `${domid}/${port}`) !== undefined) setPending(host, domid, port);
});

/** What a caller's memory holds. */
const CALL_BYTES = 4096;

/** A hypercall's number and arguments; what tells it apart from others is written where it is looked for. */
function callOf(chance: Chance, bytes: Uint8Array, domid: number): [number, ...number[]] {
  const family = chance.of(["domctl", "domctl", "memory", "event", "hvm", "sched", "mmuext"]);
  switch (family) {
    case "domctl":
      writeU32(bytes, 0, chance.below(90));
      writeU32(bytes, 4, X.XEN_DOMCTL_INTERFACE_VERSION);
      writeU32(bytes, 8, domid);
      return [X.__HYPERVISOR_domctl, 0];
    case "memory":
      return [X.__HYPERVISOR_memory_op, chance.below(29), 8 * chance.below(64)];
    case "event":
      return [X.__HYPERVISOR_event_channel_op, chance.of([0, 1, 6, 10, 14]), 0];
    case "hvm":
      return [X.__HYPERVISOR_hvm_op, chance.below(26), 0];
    case "sched":
      return [X.__HYPERVISOR_sched_op, 4, 0];
    default:
      writeU32(bytes, 0, chance.below(20));
      return [X.__HYPERVISOR_mmuext_op, 0, 1 + chance.below(3), 0, domid];
  }
}

/** What a run came to. */
export interface Attacked {
  pieces: number;
  /** Of each kind. */
  kinds: { [kind: string]: number };
  /** Hypercalls that were no mistake. */
  performed: number;
  /** Victims that are still there. */
  victims: number;
}

/** The host, who disturbs it, and what must hold whatever they do. */
class Attack {
  readonly #chance: Chance;
  readonly #memory = new SharedMemory();
  readonly #world: World;
  readonly #kinds: { [kind: string]: number } = {};
  readonly #innocent: number;
  /** Whether dom0's own ring is written to: what stands in xenstored's place is mad. */
  readonly #madStore: boolean;
  #started = 0;
  #performed = 0;

  constructor(seed: number) {
    this.#chance = new Chance(seed);
    this.#madStore = this.#chance.once(3);
    this.#world = new World({ seed, memory: this.#memory });
    this.#world.boot((host) =>
      bootHost(host, {
        files: FILES,
        blockDevices: { "/dev/sdb": 4096, "/dev/sdc": 4096, "/dev/sdd": 4096 },
      }),
    );
    run(this.#world, fifo, { until: hostIsUp, stepsMax: STEPS_MAX });
    for (const name of [INNOCENT, ...VICTIMS]) this.#world.give(typed, { argv: ["create", `/${name}`] });
    this.#pass(10);
    this.#innocent = 1;
    this.#world.give(hypercallsOpened, null);
    // Somebody emulates devices for the second victim.
    this.#world.boot((host) => void injectFault(host, "keep-qemu", ["3"]));
    const up = [...forEachDomain(this.#world)].filter(({ domid }) => this.#isUp(domid)).length;
    if (up < VICTIMS.length + 1) throw new Error(`only ${up} guests came up`);
  }

  run(pieces: number): Attacked {
    this.#memory.disturb = (mfn) => {
      if (this.#chance.once(200) && this.#isVictims(mfn)) this.#spoil(mfn);
    };
    for (let piece = 0; piece < pieces; piece++) {
      this.#piece();
      this.#steps();
    }
    this.#memory.disturb = () => {};
    this.#check();
    const victims = [...forEachDomain(this.#world)].length - 2;
    return { pieces, kinds: this.#kinds, performed: this.#performed, victims };
  }

  #isUp(domid: number): boolean {
    return typeof this.#world.get(guestCell, domid)?.upAt === "number";
  }

  #pass(seconds: number): void {
    const end = this.#world.now + seconds * SECOND_US;
    run(
      this.#world,
      (world) => {
        if (world.runnable.length > 0) return fifo(world);
        const timer = world.nextTimer();
        return timer === undefined || timer.deadline > end ? null : { timer: timer.thread };
      },
      { stepsMax: STEPS_MAX },
    );
    if (this.#world.now < end) this.#world.perform({ clock: end });
  }

  #steps(): void {
    const scheduler = this.#chance.once(2) ? fifo : random;
    let left = this.#chance.below(STEPS_A_PIECE);
    run(this.#world, (world) => (left-- > 0 ? scheduler(world) : null));
  }

  #victims(): number[] {
    return [...forEachDomain(this.#world)]
      .map(({ domid }) => domid)
      .filter((domid) => domid > this.#innocent);
  }

  #isVictims(mfn: number): boolean {
    const owner = pageOf(this.#world, mfn)?.owner ?? 0;
    return owner > this.#innocent;
  }

  #piece(): void {
    const kinds = ["page", "page", "page", "event", "event", "message", "nodes", "command", "file", "call"];
    const kind = this.#chance.of(kinds);
    this.#kinds[kind] = (this.#kinds[kind] ?? 0) + 1;
    switch (kind) {
      case "page":
        return this.#spoilSome();
      case "event":
        return this.#ring();
      case "message":
        return this.#say();
      case "nodes":
        return this.#writeNodes();
      case "file":
        return this.#spoilFile();
      case "call":
        return this.#call();
      default:
        return this.#command();
    }
  }

  /** A hypercall of a program in dom0 about a victim: the right command, and numbers that may be anything. */
  #call(): void {
    const chance = this.#chance;
    const victims = this.#victims();
    if (victims.length === 0) return;
    const domid = chance.of(victims);
    const bytes = new Uint8Array(CALL_BYTES);
    // Wherever a domain is named it is the victim, or none that there is.
    const lanes = new Uint16Array(bytes.buffer);
    lanes.forEach((_, at) => {
      lanes[at] = chance.of([domid, domid, domid, 0xffff, 0x2000 + chance.below(0x4000)]);
    });
    const [number, ...args] = callOf(chance, bytes, domid);
    const memory: CallerMemory = {
      read: (address, length) =>
        address >= 0 && address + length <= CALL_BYTES
          ? bytes.slice(address, address + length)
          : fail("EFAULT"),
      write: () => 0,
    };
    const caller = { domid: 0, process: "fuzz.1" };
    const taken = takeHypercall(number, { host: this.#world, caller, memory, args });
    if (typeof taken === "number" || isFailure(taken)) return;
    const { operation, args: asked } = taken;
    if (operation.kind === "query") operation.run?.(this.#world, caller, asked as never);
    else {
      const call = ++this.#started;
      this.#world.give(hypercallMade, { call, operation: operation.name, caller, args: asked });
      if (operation.kind === "atomic" && !isFailure(lastResult(this.#world))) this.#performed++;
    }
  }

  /** A saved domain's file is no longer what it was. */
  #spoilFile(): void {
    const name = `/${this.#chance.of(VICTIMS)}.save`;
    const bytes = this.#world.get(fileCell, name)?.bytes.slice();
    if (bytes === undefined || bytes.length === 0) return;
    for (let count = this.#chance.below(3); count >= 0; count--)
      bytes[this.#chance.below(bytes.length)] = this.#chance.of([
        48 + this.#chance.below(10),
        this.#chance.below(256),
      ]);
    this.#world.give(spoilt, { name, bytes });
    this.#world.give(typed, { argv: ["restore", name] });
  }

  #spoilSome(): void {
    const theirs = [...this.#memory.pages.keys()].filter((mfn) => this.#isVictims(mfn));
    if (theirs.length === 0) return;
    const mfn = this.#chance.of(theirs);
    for (let count = this.#chance.below(8); count >= 0; count--) this.#spoil(mfn);
  }

  /** Any of what somebody who maps a page may write there. */
  #spoil(mfn: number): void {
    const chance = this.#chance;
    const page = this.#memory.pages.get(mfn);
    if (page === undefined) return;
    const word = 4 * chance.below(PAGE_BYTES / 4);
    const head = 4 * chance.below(32);
    switch (chance.below(7)) {
      case 0:
        return writeU32(page, word, chance.u32());
      case 1:
        return writeU32(page, head, chance.of([0, 1, 0xffff_ffff, 0x8000_0000, chance.u32()]));
      case 2:
        return writeU32(page, head, (page[head] as number) + chance.below(300));
      case 3:
        return writeU32(page, 2048 + 4 * chance.below(8), chance.of([0, chance.below(3000), chance.u32()]));
      case 4:
        return writeU32(page, 3072 + 4 * chance.below(4), chance.of([0, chance.below(5000), chance.u32()]));
      case 5:
        page[chance.below(PAGE_BYTES)] = chance.below(256);
        return;
      default:
        if (chance.once(20)) page.set(Uint8Array.from({ length: PAGE_BYTES }, () => chance.below(256)));
    }
  }

  #ring(): void {
    const [domid, port] = (this.#chance.of(this.#world.ids(portCell)) as string).split("/").map(Number);
    if (domid !== this.#innocent) this.#world.give(rang, { domid: domid!, port: port! });
  }

  /** Kernels that are spoken to. */
  #kernels(): number[] {
    const kernels = this.#madStore ? [0, ...this.#victims()] : this.#victims();
    return kernels.filter((domid) => this.#world.get(xenbusCell, domid) !== undefined);
  }

  /** A message that xenstored never sent, whole or not, in the ring of a kernel. */
  #say(): void {
    const chance = this.#chance;
    const kernels = this.#kernels();
    if (kernels.length === 0) return;
    const domid = chance.of(kernels);
    const { mfn, port } = must(this.#world, xenbusCell, domid);
    const tokens = this.#world.ids(xenbusWatchCell).map((id) => String(id).split("/").slice(1).join("/"));
    const path = chance.of([
      "",
      "/",
      "device/vbd/51712/state",
      "/local/domain/1",
      "backend/vif/2/0/state",
      "\xff",
    ]);
    const body = chance.of([
      `${path}\0${chance.of(["", ...tokens])}\0`,
      chance.of(["ENOENT\0", "EAGAIN\0", "what\0", "", "4294967296\0", "NaN", "1\0"]),
      String.fromCharCode(...Array.from({ length: chance.below(60) }, () => chance.below(256))),
    ]);
    const bytes = encode(chance.below(20), chance.below(6), chance.below(3), body);
    if (chance.once(4)) writeU32(bytes, 12, chance.of([5000, 0xffff_ffff, chance.below(100)]));
    const page = {
      read: (offset: number, length: number) => this.#memory.read(mfn, offset, length),
      write: (offset: number, data: Uint8Array) => this.#memory.write(mfn, offset, data),
    };
    serverWrite(page, bytes);
    this.#world.give(rang, { domid, port });
  }

  #writeNodes(): void {
    const chance = this.#chance;
    const domid = chance.of([...this.#victims(), 2]);
    const devices = ["vbd/51712", "vif/0", "vif/1", "vbd/51728", "vif/x", "vkbd/0"];
    const [device, other] = [chance.of(devices), chance.of(devices)];
    const places = [
      `/local/domain/${domid}/device/${device}`,
      `/local/domain/0/backend/${other.replace("/", `/${domid}/`)}`,
      `/local/domain/${domid}`,
      `/local/domain/${domid}/cpu/1`,
      `/libxl/${domid}/device/${device}`,
    ];
    const names =
      "state ring-ref ring-ref0 event-channel tx-ring-ref rx-ring-ref multi-queue-num-queues queue-0/tx-ring-ref " +
      "protocol feature-persistent ring-page-order backend backend-id frontend frontend-id online physical-device " +
      "availability memory/target control/shutdown control/sysrq console/tty console/ring-ref mac handle params " +
      "feature-sg hotplug-status sectors sector-size info device-model/state";
    const values = [
      "",
      "0",
      "1",
      "2",
      "3",
      "4",
      "5",
      "6",
      "7",
      "-1",
      "4294967295",
      "1e9",
      "x",
      "suspend",
      "poweroff",
    ];
    if (chance.once(3)) return this.#makeDevice(domid, device);
    const nodes = Array.from({ length: 1 + chance.below(3) }, (): NodeData => {
      const value = chance.once(4) ? String(chance.u32()) : chance.of(values);
      return [`${chance.of(places)}/${chance.of(names.split(" "))}`, value, ["n0", "b2", "b3", "b4"]];
    });
    this.#world.give(written, { name: `dom0/put.${++this.#started}`, nodes });
  }

  /** A device that no toolstack would make, or would make twice. */
  #makeDevice(domid: number, device: string): void {
    const chance = this.#chance;
    const [type, number] = device.split("/");
    const frontend = `/local/domain/${chance.of([domid, domid, 99])}/device/${type}/${chance.of([number, "0"])}`;
    const backend = `/local/domain/0/backend/${type}/${domid}/${chance.of([number, "7"])}`;
    const entries = (dir: string, of: { [name: string]: string }): NodeData[] =>
      Object.entries(of).map(([name, value]) => [`${dir}/${name}`, value, ["n0", `r${domid}`]]);
    const nodes = [
      ...entries(frontend, { backend: backend, "backend-id": chance.of(["0", "", "x", "-1"]), handle: "0" }),
      ...entries(backend, {
        frontend,
        "frontend-id": chance.of([String(domid), String(domid), "", "x", "-1", "99"]),
        handle: chance.of(["0", "1", "", "x"]),
        script: "/etc/xen/scripts/vif-bridge",
        "physical-device": chance.of(["7:1", "x", "fffff:1", ""]),
        mode: chance.of(["w", "r", ""]),
      }),
      ...entries(backend, { state: "1" }),
      ...entries(frontend, { state: "1" }),
    ];
    this.#world.give(written, { name: `dom0/put.${++this.#started}`, nodes });
  }

  #command(): void {
    const chance = this.#chance;
    const victim = chance.of([...VICTIMS]);
    const words = chance.of([
      `pause ${victim}`,
      `unpause ${victim}`,
      `shutdown ${victim}`,
      `reboot ${victim}`,
      `block-detach ${victim} xvda`,
      `network-detach ${victim} 0`,
      `network-attach ${victim}`,
      `mem-set ${victim} ${4 + chance.below(8)}`,
      `vcpu-set ${victim} ${1 + chance.below(2)}`,
      `save ${victim} /${victim}.save`,
      `restore /${victim}.save`,
      `destroy ${victim}`,
      `create /${victim}`,
      `create /${victim}`,
      `trigger ${victim} nmi`,
      "list",
    ]);
    this.#world.give(typed, { argv: words.split(" ") });
  }

  /** Nobody has touched the one, nor its disk, its interface or dom0's daemons. */
  #check(): void {
    const world = this.#world;
    const before = must(world, guestCell, this.#innocent).ticks;
    this.#pass(5);
    const after = must(world, guestCell, this.#innocent).ticks;
    if (after < before + 4)
      throw new Error(`the innocent domain ticked ${after - before} times in 5 seconds`);
    for (const domid of [0, this.#innocent]) {
      const problems = domainById(world, domid) === undefined ? ["it is gone"] : checkLedger(world, domid);
      if (problems.length > 0) throw new Error(`domain ${domid}: ${problems.join(", ")}`);
    }
  }
}

/** Attacks a host of its own with so many pieces. Throws where anything but the victims is the worse for it. */
export function attackPages(seed: number, pieces: number): Attacked {
  return new Attack(seed).run(pieces);
}
