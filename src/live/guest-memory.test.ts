// SPDX-License-Identifier: Apache-2.0
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { PlainCells } from "../core/engine/cells.ts";
import { CellMemory } from "../core/engine/memory.ts";
import { FILE_FRAMES, FileMemory, fileName, mayBeAlive, memoryFolder, placeOf } from "./guest-memory.ts";

const open: FileMemory[] = [];

function memory(): FileMemory {
  const made = new FileMemory(join(fs.mkdtempSync(join(tmpdir(), "xenolith-memory-")), "memory"));
  open.push(made);
  return made;
}

afterEach(() => {
  for (const made of open.splice(0)) {
    made.close();
    fs.rmSync(join(made.folder, ".."), { recursive: true });
  }
});

/** Frames at the edges of files, so that runs cross them. */
const frame = fc.integer({ min: FILE_FRAMES - 4, max: FILE_FRAMES + 4 }).map((mfn) => mfn + 7 * FILE_FRAMES);

test("behaves as frames kept in cells do", () => {
  const change = fc.oneof(
    fc.record({ mfn: frame, offset: fc.nat(4080), byte: fc.integer({ min: 1, max: 255 }) }),
    fc.record({ mfn: frame, count: fc.integer({ min: 1, max: 9 }) }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const files = memory();
      const cells = new CellMemory(new PlainCells());
      for (const one of changes) {
        for (const target of [files, cells]) {
          if ("byte" in one) target.write(one.mfn, one.offset, new Uint8Array(16).fill(one.byte));
          else target.discard(one.mfn, one.count);
        }
      }
      for (let mfn = 8 * FILE_FRAMES - 4; mfn < 8 * FILE_FRAMES + 14; mfn++) {
        expect(files.read(mfn, 0, 4096)).toEqual(cells.read(mfn, 0, 4096));
      }
    }),
    { numRuns: 40 },
  );
});

/** A page as a process has it that maps it. */
function mapped(files: FileMemory, mfn: number, write: Uint8Array | null): Uint8Array {
  const { file, page } = placeOf(mfn);
  const fd = fs.openSync(join(files.folder, fileName(file)), "r+");
  const bytes = new Uint8Array(4096);
  if (write !== null) fs.writeSync(fd, write, 0, write.length, page * 4096);
  fs.readSync(fd, bytes, 0, 4096, page * 4096);
  fs.closeSync(fd);
  return bytes;
}

test("processes that map frames and the host see what each other wrote, however often it looks", () => {
  const offset = fc.nat(4080);
  const change = fc.oneof(
    fc.record({ do: fc.constant("write" as const), mfn: frame, offset }),
    fc.record({ do: fc.constant("look" as const), mfn: frame, offset }),
    fc.record({ do: fc.constant("discard" as const), mfn: frame, offset }),
    fc.record({ do: fc.constant("map" as const), mfn: frame, offset, writable: fc.boolean() }),
    fc.record({ do: fc.constant("unmap" as const), mfn: frame, offset }),
  );
  fc.assert(
    fc.property(fc.array(change, { minLength: 20, maxLength: 60 }), (changes) => {
      const files = memory();
      const cells = new CellMemory(new PlainCells());
      const maps = new Map<number, boolean>();
      for (const [at, one] of changes.entries()) {
        const { mfn } = one;
        const bytes = new Uint8Array(16).fill(at + 1);
        const runs = [{ mfn, pages: 1 }];
        if (one.do === "write") for (const target of [files, cells]) target.write(mfn, one.offset, bytes);
        // A frame that somebody maps is somebody's: it is not given back.
        if (one.do === "discard" && !maps.has(mfn))
          for (const target of [files, cells]) target.discard(mfn, 1);
        if (one.do === "map" && !maps.has(mfn)) {
          expect(files.prepareToMap(runs, one.writable)).toBe(true);
          maps.set(mfn, one.writable);
          if (one.writable) {
            mapped(files, mfn, bytes);
            cells.write(mfn, 0, bytes);
          }
        }
        if (one.do === "unmap" && maps.delete(mfn)) files.unmapped(runs);
        if (maps.has(mfn)) expect(mapped(files, mfn, null)).toEqual(cells.read(mfn, 0, 4096));
        for (let look = 0; look < (one.do === "look" ? 5 : 1); look++)
          expect(files.read(mfn, one.offset, 16)).toEqual(cells.read(mfn, one.offset, 16));
      }
    }),
    { numRuns: 60 },
  );
});

test("gives back the space of what is discarded", () => {
  const files = memory();
  for (let mfn = 0; mfn < 2 * FILE_FRAMES; mfn++) files.write(mfn, 0, Uint8Array.of(1));
  expect(files.bytesUsed()).toBeGreaterThanOrEqual(2 * FILE_FRAMES * 4096);
  files.discard(0, FILE_FRAMES);
  files.discard(FILE_FRAMES, FILE_FRAMES);
  expect(files.bytesUsed()).toBe(0);
  expect(fs.readdirSync(files.folder)).toEqual([]);
});

test("what a process writes through a mapping is read, and survives a neighbour's discard", () => {
  const files = memory();
  const [kept, gone] = [5, 6];
  expect(files.prepareToMap([{ mfn: kept, pages: 2 }], true)).toBe(true);
  const fd = fs.openSync(join(files.folder, fileName(placeOf(kept).file)), "r+");
  fs.writeSync(fd, "kept", placeOf(kept).page * 4096);
  fs.writeSync(fd, "gone", placeOf(gone).page * 4096);
  fs.closeSync(fd);
  files.discard(gone, 1);
  expect(Buffer.from(files.read(kept, 0, 4)).toString()).toBe("kept");
  expect([...files.read(gone, 0, 4)]).toEqual([0, 0, 0, 0]);
});

test("more files than may be open at once", () => {
  const files = memory();
  const frames = Array.from({ length: 300 }, (_, file) => file * FILE_FRAMES + 3);
  for (const [i, mfn] of frames.entries()) files.write(mfn, 8, Uint8Array.of(i & 255));
  for (const [i, mfn] of frames.entries()) expect(files.read(mfn, 8, 1)[0]).toBe(i & 255);
  expect(fs.readdirSync("/proc/self/fd").length).toBeLessThan(250);
});

test("knows what the file system cannot hold", () => {
  const files = memory();
  const { bavail, bsize } = fs.statfsSync(files.folder);
  expect(files.hasRoomFor(1)).toBe(true);
  expect(files.hasRoomFor(Math.ceil((bavail * bsize) / 4096))).toBe(false);
});

test("the memory of a host that was killed is given back by the next", () => {
  const beside = fs.mkdtempSync(join(tmpdir(), "xenolith-memory-"));
  const folder = (name: string): string => join(beside, `xenolith-0-${name}`);
  const alive = new FileMemory(folder("bb"));
  const [pid, start, namespace] = fs.readFileSync(`${alive.folder}.pid`, "utf8").trim().split(" ");
  const { pid: dead } = spawnSync("true");
  const owners = {
    aa: `${dead} ${start} ${namespace}`,
    // Another process has its number now.
    ab: `${pid} 1 ${namespace}`,
    // Another container's: known to be gone to nobody but who sees all of them.
    dd: `${dead} ${start} pid:[1]`,
  };
  for (const [name, of] of Object.entries(owners)) {
    fs.mkdirSync(folder(name));
    fs.writeFileSync(`${folder(name)}.pid`, `${of}\n`);
  }
  open.push(new FileMemory(folder("cc")));
  const others = namespace === "pid:[4026531836]" ? [] : ["dd"];
  const names = ["bb", "cc", ...others].flatMap((name) => [`xenolith-0-${name}`, `xenolith-0-${name}.pid`]);
  expect(fs.readdirSync(beside).toSorted()).toEqual(names);
  alive.close();
});

test("who is in the first namespace sees whether a container's host lives", async () => {
  const folder = fs.mkdtempSync(join(tmpdir(), "xenolith-memory-"));
  const file = join(folder, "xenolith-0-aa.pid");
  const says = (owner: string, here: string): boolean => {
    fs.writeFileSync(file, `${owner}\n`);
    return mayBeAlive(file, here);
  };
  const first = "pid:[4026531836]";
  expect([says("1 1 pid:[1]", first), says("1 1 pid:[1]", "pid:[2]")]).toEqual([false, true]);
  const container = spawn("unshare", [
    ...["--user", "--map-root-user", "--fork", "--pid", "--kill-child"],
    ...["sh", "-c", "readlink /proc/self/ns/pid; exec sleep 60"],
  ]);
  const namespace = await new Promise<string>((resolve) => {
    container.stdout.once("data", (data) => resolve(String(data).trim()));
    container.once("exit", () => resolve(""));
  });
  // Where there are namespaces for everybody: the first process of one.
  if (namespace !== "") expect(says(`1 1 ${namespace}`, first)).toBe(true);
  expect(says(`2 1 ${namespace}`, first)).toBe(false);
  container.kill("SIGKILL");
  fs.rmSync(folder, { recursive: true });
});

test("directories of one name in two containers have memory of their own in a shared /dev/shm", () => {
  const beside = fs.mkdtempSync(join(tmpdir(), "xenolith-memory-"));
  const [one, other, name] = ["one", "other", "xenolith"].map((at) => join(beside, at)) as [
    string,
    string,
    string,
  ];
  for (const folder of [one, other]) fs.mkdirSync(folder);
  const seenAs = (folder: string): string => {
    fs.rmSync(name, { force: true });
    fs.symlinkSync(folder, name);
    return memoryFolder(name);
  };
  const first = seenAs(one);
  expect(seenAs(other)).not.toBe(first);
  expect(seenAs(one)).toBe(first);
});
