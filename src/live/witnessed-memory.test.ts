// SPDX-License-Identifier: Apache-2.0

import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { ForeignWrite } from "../core/engine/world.ts";
import { FileMemory, fileName, placeOf } from "./guest-memory.ts";
import { WitnessedMemory, changes } from "./witnessed-memory.ts";

test("what changed, written over what was, gives what is", () => {
  const page = fc.uint8Array({ minLength: 64, maxLength: 64, max: 3 });
  fc.assert(
    fc.property(page, page, (before, now) => {
      const found = changes(before, now);
      const made = before.slice();
      for (const { offset, bytes } of found) made.set(bytes, offset);
      expect(made).toEqual(now);
      expect(changes(now, now)).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

describe("a page that a program outside writes to", () => {
  const MFN = 5;
  let folder: string;
  let memory: WitnessedMemory;
  let step: number | null;
  let found: ForeignWrite[];

  /** A program that maps the page writes to it: nobody is told. */
  function writeOutside(offset: number, ...bytes: number[]): void {
    const { file, page } = placeOf(MFN);
    const fd = fs.openSync(join(memory.folder, fileName(file)), "r+");
    fs.writeSync(fd, Uint8Array.from(bytes), 0, bytes.length, page * 4096 + offset);
    fs.closeSync(fd);
  }

  beforeEach(() => {
    folder = fs.mkdtempSync(join(tmpdir(), "xenolith-memory-"));
    [step, found] = [0, []];
    memory = new WitnessedMemory(join(folder, "memory"), {
      step: () => step,
      found: (write) => found.push(write),
    });
    memory.write(MFN, 0, Uint8Array.of(1, 2, 3));
    memory.prepareToMap([{ mfn: MFN, pages: 1 }], true);
  });

  afterEach(() => {
    memory.close();
    fs.rmSync(folder, { recursive: true });
  });

  test("what the host itself wrote is not found", () => {
    memory.write(MFN, 1, Uint8Array.of(9));
    expect([...memory.read(MFN, 0, 3)]).toEqual([1, 9, 3]);
    step = 1;
    expect([...memory.read(MFN, 0, 3)]).toEqual([1, 9, 3]);
    expect(found).toEqual([]);
  });

  test("a step finds it once, and sees nothing of what comes later", () => {
    writeOutside(1, 7);
    expect([...memory.read(MFN, 0, 3)]).toEqual([1, 7, 3]);
    writeOutside(2, 8);
    expect([...memory.read(MFN, 0, 3)]).toEqual([1, 7, 3]);
    memory.write(MFN, 0, Uint8Array.of(6));
    step = 1;
    expect([...memory.read(MFN, 0, 3)]).toEqual([6, 7, 8]);
    expect(found).toEqual([
      { step: 0, mfn: MFN, offset: 1, bytes: Uint8Array.of(7) },
      { step: 1, mfn: MFN, offset: 2, bytes: Uint8Array.of(8) },
    ]);
  });

  test("a page that is written while it is read is read anew: no index without what it tells of", () => {
    const { read } = FileMemory.prototype;
    const reading = vi.spyOn(FileMemory.prototype, "read").mockImplementationOnce((...place) => {
      const before = read.call(memory, ...place);
      // Behind what was read already, and then what says that it is there.
      writeOutside(0, 7);
      writeOutside(2048, 1);
      before.set([1], 2048);
      return before;
    });
    expect([...memory.read(MFN, 2048, 1), ...memory.read(MFN, 0, 1)]).toEqual([1, 7]);
    reading.mockRestore();
    expect(found).toHaveLength(2);
  });

  test("who looks between steps gets what is there, and nothing is told of it", () => {
    writeOutside(0, 5);
    step = null;
    expect([...memory.read(MFN, 0, 1)]).toEqual([5]);
    expect(found).toEqual([]);
  });

  test("a page that is given back is the host's alone again", () => {
    writeOutside(0, 5);
    memory.discard(MFN, 1);
    expect([...memory.read(MFN, 0, 3)]).toEqual([0, 0, 0]);
    memory.write(MFN, 0, Uint8Array.of(4));
    expect([...memory.read(MFN, 0, 1)]).toEqual([4]);
    expect(found).toEqual([]);
  });
});
