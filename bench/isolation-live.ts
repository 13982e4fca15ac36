// SPDX-License-Identifier: Apache-2.0
//
// The same on live hosts, in real time: one with a stalled domain, one without,
// measured in turn.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { XenstoreClient } from "../src/client/index.ts";
import { connectXenstore } from "../src/live/xenstore-client.ts";
import { digits, median } from "./bench.ts";
import type { BenchOptions, Claim, Table } from "./bench.ts";

const ROUNDS = 9;
const RATIO_MAX = 1.15;
const LOOK_MS = 5;

const cli = join(import.meta.dirname, "../bin/xenolith.js");

async function xenolith(...args: string[]): Promise<void> {
  const child = spawn(process.execPath, [cli, ...args], { stdio: "ignore" });
  const [status] = (await once(child, "close")) as [number];
  if (status !== 0) throw new Error(`xenolith ${args.join(" ")} ended with ${status}`);
}

/** A host, its state directory and a connection to its xenstore. */
class Live {
  readonly dir: string;
  #store: XenstoreClient | null = null;
  #domid = 0;

  constructor(dir: string) {
    this.dir = dir;
  }

  async start(stalled: boolean): Promise<void> {
    await xenolith("up", "--detach", "--dir", this.dir, "--xenwatch", "per-domain");
    this.#store = await connectXenstore(join(this.dir, "xenstored", "socket"));
    await this.#create("first", "dev=1 ping=1");
    await this.#until(1);
    if (stalled) await xenolith("fault", "inject", "hold-packet", "vif1.0", "--dir", this.dir);
    await new Promise((resolve) => void setTimeout(resolve, 2_500));
    await xenolith("xl", "--dir", this.dir, "destroy", "first");
  }

  async #create(name: string, extra: string): Promise<void> {
    const file = join(this.dir, `${name}.cfg`);
    const lines = [
      `name = "${name}"`,
      'type = "pv"',
      "memory = 16",
      `extra = "${extra}"`,
      'vif = [ "bridge=xenbr0" ]',
    ];
    writeFileSync(file, `${lines.join("\n")}\n`);
    await xenolith("xl", "--dir", this.dir, "create", file);
    this.#domid++;
  }

  /** Waits until the backend of a domain's interface is connected. */
  async #until(domid: number): Promise<void> {
    const read = async (path: string): Promise<string | null> => {
      try {
        return String(await this.#store?.read(path));
      } catch {
        return null;
      }
    };
    while ((await read(`/local/domain/0/backend/vif/${domid}/0/state`)) !== "4")
      await new Promise((resolve) => void setTimeout(resolve, LOOK_MS));
  }

  /** Milliseconds of one more domain's creation until it is connected, and of its destruction until it is freed. */
  async life(): Promise<[created: number, freed: number]> {
    const from = performance.now();
    await this.#create("probe", "dev=1");
    await this.#until(this.#domid);
    const between = performance.now();
    await xenolith("xl", "--dir", this.dir, "destroy", "probe");
    await xenolith("wait", "--freed", String(this.#domid), "--dir", this.dir);
    return [between - from, performance.now() - between];
  }

  async stop(): Promise<void> {
    this.#store?.close();
    await xenolith("down", "--dir", this.dir);
  }
}

/** Nine rounds, each on both hosts in turn. Reported; a busy machine distorts them, so they decide nothing. */
export async function liveRounds({ progress }: BenchOptions): Promise<{ table: Table; claims: Claim[] }> {
  const folder = mkdtempSync(join(tmpdir(), "xenolith-bench-"));
  const [plain, stalled] = [new Live(join(folder, "plain")), new Live(join(folder, "stalled"))];
  const rounds: { plain: [number, number]; stalled: [number, number] }[] = [];
  try {
    await plain.start(false);
    await stalled.start(true);
    for (let round = 0; round < ROUNDS; round++) {
      progress(`live round ${round + 1} of ${ROUNDS}`);
      const first = round % 2 === 0;
      const before = first ? await plain.life() : await stalled.life();
      const after = first ? await stalled.life() : await plain.life();
      rounds.push(first ? { plain: before, stalled: after } : { plain: after, stalled: before });
    }
  } finally {
    await Promise.allSettled([plain.stop(), stalled.stop()]);
    rmSync(folder, { recursive: true, force: true });
  }
  const ratio = (part: 0 | 1): number =>
    median(rounds.map((round) => round.stalled[part] / round.plain[part]));
  const millis = (host: "plain" | "stalled", part: 0 | 1): string =>
    digits(median(rounds.map((round) => round[host][part])), 0);
  const worst = Math.max(ratio(0), ratio(1));
  return {
    table: {
      title: "Live, under per-domain",
      note: `Medians of ${ROUNDS} rounds on two hosts in turn, real time in ms, the start of each command included. A guest's kernel takes most of the time until its interface is connected.`,
      columns: ["part", "nothing stalled", "one stalled", "median ratio"],
      rows: [
        ["create to connected", millis("plain", 0), millis("stalled", 0), digits(ratio(0), 2)],
        ["destroy to freed", millis("plain", 1), millis("stalled", 1), digits(ratio(1), 2)],
      ],
    },
    claims: [
      {
        text: `live, the median ratio of ${ROUNDS} paired rounds is at most ${RATIO_MAX}`,
        measured: `${digits(worst, 2)}×`,
        holds: worst <= RATIO_MAX,
        timed: true,
      },
    ],
  };
}
