// SPDX-License-Identifier: Apache-2.0
//
// A domain of one TiB is created and killed, and somebody reads from xenstore
// all the while: how long do the reads take?

import { clientConnected, outsideSent, outsideTook } from "../src/core/daemons/outside.ts";
import { writeFileText } from "../src/core/daemons/files.ts";
import { hasExited, reap } from "../src/core/daemons/process.ts";
import { OUTSIDE_MAILBOX, clientReceives } from "../src/core/daemons/unix-socket.ts";
import { XENSTORED } from "../src/core/daemons/xenstored.ts";
import { mailboxCell } from "../src/core/engine/mailbox.ts";
import { fifo } from "../src/core/engine/scheduler.ts";
import { encode, parse, XS } from "../src/core/xenstore/wire.ts";
import { BenchHost } from "./bench-host.ts";
import { cpuMicros, digits, quantile } from "./bench.ts";
import type { Bench, BenchOptions, Report } from "./bench.ts";

const MIB_A_TIB = 2 ** 20;
/** Milliseconds a read may take, in 99 of 100. */
const LIMIT_MS = 5;
/** Cells for all that a TiB needs: none is a page's. */
const CELLS_MAX = 1_000;
const SOCKET = "outside/bench";

/** One read, as its client sees it. */
interface Read {
  ms: number;
  /** Steps the host took meanwhile. */
  steps: number;
}

/** A client outside the host that asks for a node's value again as soon as it has it. */
class Reader {
  readonly #host: BenchHost;
  readonly reads: Read[] = [];
  #since = 0;
  #steps = 0;

  constructor(host: BenchHost) {
    this.#host = host;
    host.world.give(clientConnected, { socket: SOCKET, server: XENSTORED });
    this.#ask();
  }

  #ask(): void {
    const bytes = encode(XS.READ, this.reads.length, 0, "/local/domain/0/name\0");
    this.#since = performance.now();
    this.#steps = 0;
    this.#host.world.give(outsideSent, { socket: SOCKET, from: "client", bytes });
  }

  /** After a step of the host: takes the reply where it has come. */
  look(): void {
    const { world } = this.#host;
    this.#steps++;
    const told = world.get(mailboxCell, OUTSIDE_MAILBOX)?.messages.length ?? 0;
    if (told === 0) return;
    world.give(outsideTook, { seen: told, taken: [] });
    const { bytes } = clientReceives(world, SOCKET);
    const reply = parse(bytes, 0);
    if (reply.state !== "packet") return;
    if (reply.type !== XS.READ) throw new Error("the read was refused");
    this.reads.push({ ms: performance.now() - this.#since, steps: this.#steps });
    const taken = [{ socket: SOCKET, from: "server" as const, count: reply.end }];
    world.give(outsideTook, { seen: 0, taken });
    this.#ask();
  }
}

/** Kills the domain, with a reader that never rests. */
function killWhileReading(host: BenchHost): { reads: Read[]; steps: number } {
  const reader = new Reader(host);
  const { world } = host;
  const process = host.start(["destroy", "big"]);
  let steps = 0;
  while (!hasExited(world, process)) {
    const action = fifo(world);
    if (action === null) break;
    world.perform(action);
    steps++;
    reader.look();
  }
  world.boot((h) => {
    if (reap(h, process) !== 0) throw new Error("xl destroy failed");
  });
  return { reads: reader.reads, steps };
}

function measure({ quick, progress }: BenchOptions): Report {
  const mib = quick ? MIB_A_TIB / 16 : MIB_A_TIB;
  const rows: (string | number)[][] = [];
  const p99: number[] = [];
  const stepsMax: number[] = [];
  const cells: number[] = [];
  for (const type of ["pv", "pvh"]) {
    progress(`a ${type} domain of ${mib} MiB`);
    const host = new BenchHost({ totalPages: 2 ** 29 });
    const before = host.world.size;
    const config = `name = "big"\ntype = "${type}"\nmemory = ${mib}\n`;
    host.world.boot((h) => writeFileText(h, "/etc/xen/big.cfg", config));
    const created = cpuMicros(() => host.xl("create", "-p", "-e", "/etc/xen/big.cfg"));
    const held = host.world.size - before;
    progress(`killing it`);
    let killed = { reads: [] as Read[], steps: 0 };
    const destroyed = cpuMicros(() => {
      killed = killWhileReading(host);
    });
    const times = killed.reads.map(({ ms }) => ms);
    const steps = killed.reads.map((read) => read.steps);
    cells.push(held);
    p99.push(quantile(times, 0.99));
    stepsMax.push(Math.max(...steps));
    rows.push([
      type,
      digits(created / 1000, 0),
      held,
      digits(destroyed / 1000, 0),
      killed.steps,
      killed.reads.length,
      digits(quantile(times, 0.5), 3),
      digits(quantile(times, 0.99), 3),
      digits(Math.max(...times), 3),
      Math.max(...steps),
    ]);
  }
  const size = quick ? "64 GiB" : "1 TiB";
  return {
    tables: [
      {
        title: `A domain of ${size} comes and goes`,
        note: "The reader's next request is sent the moment its last reply has come; reads are in milliseconds of real time. Steps a read: how many steps of the whole host lay between a request and its reply.",
        columns: [
          "type",
          "ms to create",
          "cells it takes",
          "ms to kill",
          "steps of the kill",
          "reads meanwhile",
          "read p50",
          "read p99",
          "read max",
          "steps a read, max",
        ],
        rows,
      },
    ],
    claims: [
      {
        text: `a domain of ${size} takes fewer than ${CELLS_MAX} cells`,
        measured: cells.join(" and "),
        holds: Math.max(...cells) < CELLS_MAX,
        timed: false,
      },
      {
        text: `99 of 100 reads end within ${LIMIT_MS} ms while it is killed`,
        measured: p99.map((ms) => `${digits(ms, 2)} ms`).join(" and "),
        holds: Math.max(...p99) < LIMIT_MS,
        timed: true,
      },
      {
        text: "no read waits for more than 16 steps of others",
        measured: stepsMax.join(" and "),
        holds: Math.max(...stepsMax) <= 16,
        timed: false,
      },
    ],
  };
}

export const kill: Bench = {
  name: "kill",
  about:
    "A domain of one TiB is created by `xl create -p` and killed by `xl destroy`, slice by slice, on one thread; a client of xenstored reads a node all the while.",
  run: measure,
};
