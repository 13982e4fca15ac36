// SPDX-License-Identifier: Apache-2.0
//
// A host to measure: booted, and a hand that types xl commands.

import { writeFileText } from "../src/core/daemons/files.ts";
import { hasExited, reap } from "../src/core/daemons/process.ts";
import type { CellId, CellType, DeepReadonly } from "../src/core/engine/cells.ts";
import { assert } from "../src/core/engine/errno.ts";
import type { Tracking } from "../src/core/engine/registry.ts";
import { fifo, run } from "../src/core/engine/scheduler.ts";
import { World } from "../src/core/engine/world.ts";
import { bootHost, hostIsUp } from "../src/core/host.ts";
import { domainInfoCell } from "../src/core/hypervisor/domain.ts";
import type { XenVersionName } from "../src/core/hypervisor/version.ts";
import { spawnXl } from "../src/core/toolstack/xl.ts";

/** Frames of a machine with room for ten thousand domains: 512 GiB. */
const TOTAL_PAGES = 1 << 27;

/** A world that counts its steps and who asks the hypervisor about domains. */
class CountingWorld extends World {
  /** Looks at a domain as getdomaininfo has them, by the thread that looked. */
  readonly looks = new Map<string, number>();
  #thread = "";

  constructor(tracking: Tracking) {
    super({ tracking, seed: 1 });
    this.onStep = ({ action }) => {
      this.#thread = "thread" in action ? action.thread : "";
    };
  }

  override get<T extends object>(type: CellType<T>, id: CellId): DeepReadonly<T> | undefined {
    // Each getdomaininfo reads this cell once, and nothing else in these runs does.
    if ((type as unknown) === domainInfoCell)
      this.looks.set(this.#thread, (this.looks.get(this.#thread) ?? 0) + 1);
    return super.get(type, id);
  }
}

/** How a host to be measured differs. */
export interface BenchHostOptions {
  version?: XenVersionName;
  tracking?: Tracking;
}

/** A host that came up. */
export class BenchHost {
  readonly world: CountingWorld;
  /** Steps taken so far. */
  steps = 0;

  constructor({ version = "4.17", tracking = { undo: false, hash: false } }: BenchHostOptions = {}) {
    this.world = new CountingWorld(tracking);
    this.world.boot((host) =>
      bootHost(host, {
        machine: { version, totalPages: TOTAL_PAGES, dom0Pages: 1 << 20, xenPages: 1 << 16 },
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
    let status = -1;
    this.world.boot((host) => {
      status = reap(host, process);
    });
    assert(status === 0, `xl ${argv.join(" ")} ended with ${status}`);
  }

  /** Creates a small PV domain. Without a name its creation does not look at all others for theirs. */
  create(name: string, ...flags: string[]): void {
    const config = `name = "${name}"\ntype = "pv"\nmemory = 16\n`;
    this.world.boot((host) => writeFileText(host, "/etc/xen/bench.cfg", config));
    this.xl("create", ...flags, "/etc/xen/bench.cfg");
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
