// SPDX-License-Identifier: Apache-2.0
//
// dom0's shell on a simulated host: commands as an operator types them, what
// they print, in the host's own time. The same run every time.

import { readFile } from "../src/core/daemons/files.ts";
import { hasExited, reap } from "../src/core/daemons/process.ts";
import { must } from "../src/core/engine/cells.ts";
import { isFailure } from "../src/core/engine/errno.ts";
import { fifo, run } from "../src/core/engine/scheduler.ts";
import type { TraceRecord } from "../src/core/engine/trace.ts";
import { World } from "../src/core/engine/world.ts";
import { bootHost, hostIsUp } from "../src/core/host.ts";
import type { HostConfig } from "../src/core/host.ts";
import { spawnXl } from "../src/core/toolstack/xl.ts";
import { listItems } from "../src/core/xenstore/list.ts";
import { childrenList, nodeType } from "../src/core/xenstore/tree.ts";
import { childPath, nodeLine } from "../src/cli/store-text.ts";
import { diagnose, dyingDomains } from "../src/doctor/diagnose.ts";
import { words as doctorWords } from "../src/doctor/words.ts";
import * as dom0 from "../src/live/dom0.ts";
import { stackText, threadRows, threadsMeant, threadTable } from "../src/live/threads.ts";

/** A command that takes longer than this never ends. */
const PATIENCE = 600_000_000;

/** What a command printed, and its exit status. */
export interface Printed {
  text: string;
  status: number;
}

/** A host with somebody at dom0's shell. */
export class Dom0Shell {
  readonly world = new World({ seed: 1 });
  readonly #dom0: dom0.Dom0;
  #heard: TraceRecord[] = [];

  constructor(config: Partial<HostConfig>) {
    const { world } = this;
    world.boot((host) => bootHost(host, config));
    run(world, fifo, { until: hostIsUp });
    world.sink = (record) => void this.#heard.push(record);
    this.#dom0 = {
      world,
      driver: { look: (ask) => ask(world), give: (what, data) => void world.give(what, data) },
    };
  }

  /** Runs a command to its end. Throws for one the shell does not know, and for one that does not end. */
  type(command: string): Printed {
    const [, headed, count] = /^(.*) \| head -(\d+)$/.exec(command) ?? [];
    if (headed !== undefined) return head(this.type(headed), Number(count));
    const [program = "", ...args] = command.split(" ");
    switch (program) {
      case "time":
        return this.#timed(args.join(" "));
      case "xl":
        return this.#xl(args);
      case "sleep":
        this.#pass(Number(args[0]) * 1_000_000);
        return { text: "", status: 0 };
      case "cat":
        return this.#cat(args[0] ?? "");
      case "xenolith":
        return this.#xenolith(args);
      default:
        throw new Error(`dom0's shell knows no ${program}`);
    }
  }

  #timed(command: string): Printed {
    const from = this.world.now;
    const { text, status } = this.type(command);
    return { text: `${text}\nreal ${((this.world.now - from) / 1e6).toFixed(1)} s\n`, status };
  }

  /** Lets time pass, and whatever happens in it happen. */
  #pass(duration: number): void {
    const end = this.world.now + duration;
    run(this.world, (world) => {
      if (world.runnable.length > 0) return fifo(world);
      const timer = world.nextTimer();
      return timer === undefined || timer.deadline > end ? null : { timer: timer.thread };
    });
    this.world.perform({ clock: end });
  }

  #xl(argv: readonly string[]): Printed {
    let process = "";
    this.#heard = [];
    this.world.boot((host) => void (process = spawnXl(host, argv, { awaited: true })));
    const deadline = this.world.now + PATIENCE;
    run(this.world, fifo, { until: (world) => hasExited(world, process) || world.now > deadline });
    if (!hasExited(this.world, process)) throw new Error(`xl ${argv.join(" ")} does not end`);
    let status = 0;
    this.world.boot((host) => void (status = reap(host, process)));
    const text = this.#heard.flatMap((r) =>
      (r.kind === "stdout" || r.kind === "stderr") && r.data.process === process ? [r.data.text] : [],
    );
    this.#pass(0);
    return { text: text.join(""), status };
  }

  #cat(path: string): Printed {
    const bytes = readFile(this.world, path);
    if (isFailure(bytes)) return { text: `cat: ${path}: No such file or directory\n`, status: 1 };
    return { text: Buffer.from(bytes).toString("utf8"), status: 0 };
  }

  /** The nodes below a path with their values, as `xenolith store ls -f` prints them. */
  #below(path: string): string[] {
    if (this.world.get(childrenList.head, path) === undefined) return [];
    return listItems(this.world, childrenList, path).flatMap((name) => {
      const child = childPath.of(path, name);
      const line = nodeLine(child, must(this.world, nodeType, child).value);
      return [line, ...this.#below(child)];
    });
  }

  #xenolith([command = "", ...args]: readonly string[]): Printed {
    const [first = "", ...rest] = args;
    switch (command) {
      case "ps": {
        const rows = threadRows(this.world);
        const state = first === "--state" ? rest[0] : undefined;
        const shown = state === undefined ? args.flatMap((word) => threadsMeant(rows, word)) : rows;
        return lines(threadTable(shown.filter((row) => state === undefined || row.state === state)));
      }
      case "stack": {
        const [thread] = threadsMeant(threadRows(this.world), first);
        return thread === undefined ? refusal(command, `no thread ${first}`) : lines(stackText(thread));
      }
      case "ethtool": {
        const stats = dom0.ethtool(this.#dom0, first);
        return "refused" in stats ? refusal(command, stats.refused) : lines(dom0.ethtoolText(stats));
      }
      case "ifconfig": {
        const done = dom0.ifconfig(this.#dom0, first, rest[0] === "up");
        this.#pass(0);
        return "refused" in done ? refusal(command, done.refused) : lines(dom0.interfacesText(done));
      }
      case "store": {
        if (first !== "ls" || rest[0] !== "-f") throw new Error("dom0's shell has no store but ls -f");
        const text = this.#below(rest[1] ?? "/").map((line) => `${line}\n`);
        return { text: text.join(""), status: 0 };
      }
      case "doctor": {
        const domids = args.length === 0 ? dyingDomains(this.world) : args.map(Number);
        return lines(domids.flatMap((domid) => doctorWords(diagnose(this.world, domid))));
      }
      case "fault": {
        const done = first === "inject" ? dom0.inject(this.#dom0, rest) : dom0.clear(this.#dom0, rest);
        this.#pass(0);
        if ("refused" in done) return refusal(command, done.refused);
        const rows = Array.isArray(done) ? done : [done];
        return lines(dom0.faultsText(first === "inject" ? "injected" : "cleared", rows));
      }
      default:
        throw new Error(`dom0's shell knows no xenolith ${command}`);
    }
  }
}

function head({ text, status }: Printed, count: number): Printed {
  return { text: text.replace(new RegExp(`^((?:.*\n){${count}})[^]*$`), "$1"), status };
}

function lines(text: readonly string[]): Printed {
  return { text: `${text.join("\n")}\n`, status: 0 };
}

function refusal(command: string, why: string): Printed {
  return { text: `xenolith ${command}: ${why}\n`, status: 1 };
}
