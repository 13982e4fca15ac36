// SPDX-License-Identifier: Apache-2.0
//
// A host to measure: booted, and a hand that types xl commands.

import { writeFileText } from "../src/core/daemons/files.ts";
import { hasExited, reap } from "../src/core/daemons/process.ts";
import { must } from "../src/core/engine/cells.ts";
import type { CellId, CellType, DeepReadonly } from "../src/core/engine/cells.ts";
import { assert } from "../src/core/engine/errno.ts";
import type { Tracking } from "../src/core/engine/registry.ts";
import { fifo, run } from "../src/core/engine/scheduler.ts";
import { World } from "../src/core/engine/world.ts";
import { bootHost, hostIsUp } from "../src/core/host.ts";
import { domainInfoCell } from "../src/core/hypervisor/domain.ts";
import { domidRoverCell } from "../src/core/hypervisor/domid.ts";
import type { XenVersionName } from "../src/core/hypervisor/version.ts";
import { spawnXl } from "../src/core/toolstack/xl.ts";
import type { XenwatchPolicy } from "../src/core/xenbus/xenbus.ts";

/** Frames of a machine with room for ten thousand domains: 512 GiB. */
const TOTAL_PAGES = 1 << 27;

/** What a thread did: its steps, how often it asked the hypervisor about a domain, how many cells it read. */
export interface Doings {
  steps: number;
  looks: number;
  reads: number;
}

/** A world that counts who does what. */
class CountingWorld extends World {
  /** Cells read, those among them that lists of identifiers were made of: what a hidden scan shows in. */
  reads = 0;
  #doings = new Map<string, Doings>();
  #current: Doings = { steps: 0, looks: 0, reads: 0 };

  constructor(tracking: Tracking) {
    super({ tracking, seed: 1 });
    this.onStep = ({ action }) => {
      const thread = "thread" in action ? action.thread : "";
      let doings = this.#doings.get(thread);
      if (doings === undefined) this.#doings.set(thread, (doings = { steps: 0, looks: 0, reads: 0 }));
      doings.steps++;
      this.#current = doings;
    };
  }

  override get<T extends object>(type: CellType<T>, id: CellId): DeepReadonly<T> | undefined {
    // Each getdomaininfo reads this cell once; waits, which ask between steps, never do.
    if ((type as unknown) === domainInfoCell) this.#current.looks++;
    this.reads++;
    this.#current.reads++;
    return super.get(type, id);
  }

  override ids<T extends object>(type: CellType<T>): CellId[] {
    const found = super.ids(type);
    this.reads += found.length;
    this.#current.reads += found.length;
    return found;
  }

  /** What threads have done since this was asked last, by their names. */
  takeDoings(): ReadonlyMap<string, Doings> {
    const taken = this.#doings;
    this.#doings = new Map();
    return taken;
  }
}

/** How a host to be measured differs. */
export interface BenchHostOptions {
  version?: XenVersionName;
  tracking?: Tracking;
  /** Frames of the machine. */
  totalPages?: number;
  xenwatch?: XenwatchPolicy;
}

/** A host that came up. */
export class BenchHost {
  readonly world: CountingWorld;
  /** Steps taken so far. */
  steps = 0;

  constructor({
    version = "4.17",
    tracking = { undo: false, hash: false },
    totalPages = TOTAL_PAGES,
    xenwatch = "single",
  }: BenchHostOptions = {}) {
    this.world = new CountingWorld(tracking);
    this.world.boot((host) =>
      bootHost(host, {
        xenwatch,
        machine: { version, totalPages, dom0Pages: 1 << 20, xenPages: 1 << 16 },
      }),
    );
    this.until(hostIsUp);
  }

  /** Runs until a condition holds. */
  until(condition: (world: World) => boolean): void {
    this.steps += run(this.world, fifo, { until: condition });
    assert(condition(this.world), "the host came to rest before it was so");
  }

  /** Starts an xl command; its process. */
  start(argv: readonly string[]): string {
    let process = "";
    this.world.boot((host) => {
      process = spawnXl(host, argv, { awaited: true });
    });
    return process;
  }

  /** Carries out an xl command, and what it has set in motion until everybody waits. */
  xl(...argv: string[]): void {
    const process = this.start(argv);
    this.until((world) => hasExited(world, process) && world.runnable.length === 0);
    const status = this.reap(process);
    assert(status === 0, `xl ${argv.join(" ")} ended with ${status}`);
  }

  /** Exit status of a command that has ended. */
  reap(process: string): number {
    let status = -1;
    this.world.boot((host) => {
      status = reap(host, process);
    });
    return status;
  }

  /**
   * Creates a small PV domain; its domid. The empty name may be shared: xl does
   * not ask every other domain for its name then.
   */
  create(name: string, ...flags: string[]): number {
    const config = `name = "${name}"\ntype = "pv"\nmemory = 16\n`;
    this.world.boot((host) => writeFileText(host, "/etc/xen/bench.cfg", config));
    this.xl("create", ...flags, "/etc/xen/bench.cfg");
    return must(this.world, domidRoverCell, 0).rover;
  }

  /** Lets so much of the host's time pass, in microseconds. */
  pass(duration: number): void {
    const end = this.world.now + duration;
    this.steps += run(this.world, (world) => {
      if (world.runnable.length > 0) return fifo(world);
      const timer = world.nextTimer();
      return timer === undefined || timer.deadline > end ? null : { timer: timer.thread };
    });
    this.world.perform({ clock: end });
  }
}
