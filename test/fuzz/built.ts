// SPDX-License-Identifier: Apache-2.0
//
// What a builder outside leaves in a domain's memory and registers, with this and
// that of it changed: start info, page tables, and what a suspended kernel keeps
// there. Whatever it is, the host goes on, and no other domain's memory changes.

import * as abi from "../../src/abi/4.17/layout.ts";
import { bytesOf, setBig, zeroed } from "../../src/abi/struct.ts";
import { must } from "../../src/core/engine/cells.ts";
import type { Host } from "../../src/core/engine/host.ts";
import { spawnThread } from "../../src/core/engine/thread.ts";
import { builtDomainRuns } from "../../src/core/guest/built.ts";
import { guestCell, type StartInfo } from "../../src/core/guest/guest.ts";
import { TestHost, TOOLSTACK } from "../../src/core/guest/testing.ts";
import { domainById } from "../../src/core/hypervisor/domain.ts";
import { destroydomain, resumedomain } from "../../src/core/hypervisor/domctl.ts";
import { pageOf } from "../../src/core/hypervisor/page.ts";
import { vcpuContextCell, vcpuId } from "../../src/core/hypervisor/vcpu.ts";
import { Chance } from "./chance.ts";

const PAGES = 128;
const PAGE_BYTES = 4096;
const PRESENT = 1n;
/** Guest frames: four levels of page tables, start info, the list of machine frames. */
const TABLES = 10;
const START_INFO = 20;
const FRAME_LIST = 30;
/** Where the rings' frames are, by how domains are built for tests. */
const STORE = 1;

const c = abi.vcpu_guest_context;
const s = abi.start_info;

const address = (frame: number): bigint => BigInt(frame * PAGE_BYTES);

/** Lays out what libxc would: tables that map the domain's memory from address 0 on, start info, registers. */
function layOut(host: Host, info: StartInfo): void {
  const base = info.storeMfn - STORE;
  const entry = (mfn: number): Uint8Array => new Uint8Array(BigUint64Array.of(address(mfn) | PRESENT).buffer);
  for (const level of [0, 1, 2])
    host.memory.write(base + TABLES + level, 0, entry(base + TABLES + level + 1));
  for (let at = 0; at < PAGES; at++) host.memory.write(base + TABLES + 3, at * 8, entry(base + at));
  const start = zeroed(s);
  s.nr_pages.set(start, PAGES);
  s.store_mfn.set(start, info.storeMfn);
  s.store_evtchn.set(start, info.storePort);
  s["console.domU.mfn"].set(start, info.consoleMfn);
  s["console.domU.evtchn"].set(start, info.consolePort);
  setBig(start, s.mfn_list, address(FRAME_LIST));
  bytesOf(start).set(new TextEncoder().encode(info.commandLine), s.cmd_line.offset);
  host.memory.write(base + START_INFO, 0, bytesOf(start));
  const context = zeroed(c);
  context.setBigUint64(c.ctrlreg.offset + 3 * 8, address(base + TABLES), true);
  setBig(context, c["user_regs.rsi"], address(START_INFO));
  host.add(vcpuContextCell, vcpuId(info.domid, 0), { bytes: bytesOf(context) });
}

/** Changes this and that of a domain's first pages and registers. */
function spoil(host: Host, domid: number, base: number, chance: Chance): void {
  const value = (): bigint =>
    chance.of([
      0n,
      1n,
      2n ** 64n - 1n,
      2n ** 63n,
      address(chance.below(PAGES)),
      BigInt(chance.u32()),
      1n << 44n,
    ]);
  for (let count = chance.below(5); count > 0; count--) {
    const word = new Uint8Array(BigUint64Array.of(value()).buffer);
    const context = host.get(vcpuContextCell, vcpuId(domid, 0));
    if (context !== undefined && chance.once(3)) {
      const registers = host.edit(vcpuContextCell, vcpuId(domid, 0)).bytes;
      const field = chance.of([c["user_regs.rsp"], c["user_regs.rsi"], c["user_regs.rdx"]]).offset;
      registers.set(word, chance.once(3) ? c.ctrlreg.offset + 3 * 8 : field);
      continue;
    }
    // A suspended kernel keeps its text in the topmost pages.
    const frame = chance.of([
      START_INFO,
      START_INFO,
      TABLES,
      TABLES + 1,
      TABLES + 2,
      TABLES + 3,
      PAGES - 1,
      PAGES - 2,
    ]);
    if (pageOf(host, base + frame)?.owner === domid)
      host.memory.write(base + frame, chance.once(4) ? 8 * chance.below(512) : 8 * chance.below(16), word);
  }
}

/** All of a domain's memory, as a save and a restore carry it over. */
function copyMemory(host: Host, from: number, to: number): void {
  for (let at = 0; at < PAGES; at++)
    host.memory.write(to + at, 0, host.memory.read(from + at, 0, PAGE_BYTES));
}

/** What a round came to. */
export interface BuiltRound {
  /** Guests that started with what they found, and those that went on from where they were suspended. */
  started: number;
  resumed: number;
}

/** Builds, spoils, suspends and restores so many domains on one host. Throws where that stops the host. */
export function attackBuilt(seed: number, domains: number): BuiltRound {
  const chance = new Chance(seed);
  const host = new TestHost({ seed });
  const bystander = host.build("mode=idle", { pages: PAGES });
  const theirs = must(host.world, guestCell, bystander).storeMfn - STORE;
  const round: BuiltRound = { started: 0, resumed: 0 };
  host.unpause(bystander);
  host.pass(3);
  const before = (): string =>
    Array.from({ length: PAGES }, (_, at) =>
      Buffer.from(host.world.memory.read(theirs + at, 0, PAGE_BYTES)).toString("base64"),
    ).join();
  const memory = before();
  for (let count = 0; count < domains; count++) {
    const { domid, base } = built(host, chance);
    const guest = host.world.get(guestCell, domid);
    round.started += guest === undefined ? 0 : 1;
    host.unpause(domid);
    host.pass(2);
    if (guest !== undefined) {
      host.store(["WRITE", `/local/domain/${domid}/control/shutdown\0suspend`]);
      host.pass(2);
      if (domainById(host.world, domid)?.shutdown === "complete")
        round.resumed += goesOn(host, chance, domid, base);
    }
    destroy(host, domid);
  }
  if (before() !== memory) throw new Error("another domain's memory has changed");
  return round;
}

function destroy(host: TestHost, domid: number): void {
  host.store(["RELEASE", `${domid}\0`]);
  host.act((h) => void spawnThread(h, "dom0/destroy", destroydomain, { caller: TOOLSTACK, domid }));
  host.settle();
}

/** A domain that was built and runs, unless what its builder left was spoilt too much. */
function built(host: TestHost, chance: Chance): { domid: number; base: number } {
  let base = 0;
  const domid = host.build("mode=tick", {
    pages: PAGES,
    image: (h, info) => {
      base = info.storeMfn - STORE;
      layOut(h, info);
      if (chance.once(2)) spoil(h, info.domid, base, chance);
    },
  });
  host.world.give(builtDomainRuns, { domid });
  return { domid, base };
}

/** The suspended kernel goes on: in its own domain, or in another one with its memory. 1 where it does. */
function goesOn(host: TestHost, chance: Chance, domid: number, base: number): number {
  host.act((h) => spoil(h, domid, base, chance));
  if (chance.once(3)) {
    host.act((h) => void resumedomain(h, TOOLSTACK, domid));
    host.pass(2);
    return 1;
  }
  const next = host.build("", {
    pages: PAGES,
    image: (h, info) => {
      const to = info.storeMfn - STORE;
      copyMemory(h, base, to);
      layOut(h, { ...info, commandLine: "mode=tick" });
      const registers = must(h, vcpuContextCell, vcpuId(domid, 0)).bytes;
      const field = c["user_regs.rsp"].offset;
      h.edit(vcpuContextCell, vcpuId(info.domid, 0)).bytes.set(registers.slice(field, field + 8), field);
      if (chance.once(2)) spoil(h, info.domid, to, chance);
    },
  });
  host.world.give(builtDomainRuns, { domid: next });
  host.unpause(next);
  host.pass(2);
  const resumed = (host.world.get(guestCell, next)?.ticks ?? 0) > 0 ? 1 : 0;
  destroy(host, next);
  return resumed;
}
