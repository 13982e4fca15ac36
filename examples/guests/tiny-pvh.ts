// SPDX-License-Identifier: Apache-2.0
//
// The smallest kernel the real xl boots as a PVH guest: an ELF file of a few
// hundred bytes, a `hlt` loop and the note that says where a PVH kernel starts.
//
//     node scripts/run.js examples/guests/tiny-pvh.ts tiny.elf

import { writeFileSync } from "node:fs";

const LOAD_ADDRESS = 0x100000;
const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
/** XEN_ELFNOTE_PHYS32_ENTRY: the physical address a PVH domain starts at, in 32-bit mode. */
const PHYS32_ENTRY = 18;
/** hlt; jmp back to it. */
const CODE = Uint8Array.of(0xf4, 0xeb, 0xfd);

const PT_LOAD = 1;
const PT_NOTE = 4;

/** The note: owner "Xen", type, one 32-bit address. */
function note(entry: number): Buffer {
  const data = Buffer.alloc(12 + 4 + 4);
  data.writeUInt32LE(4, 0);
  data.writeUInt32LE(4, 4);
  data.writeUInt32LE(PHYS32_ENTRY, 8);
  data.write("Xen\0", 12, "latin1");
  data.writeUInt32LE(entry, 16);
  return data;
}

function programHeader(type: number, offset: number, address: number, size: number): Buffer {
  const data = Buffer.alloc(PHDR_BYTES);
  data.writeUInt32LE(type, 0);
  data.writeUInt32LE(type === PT_LOAD ? 5 : 4, 4);
  for (const [at, value] of [
    [8, offset],
    [16, address],
    [24, address],
    [32, size],
    [40, size],
    [48, type === PT_LOAD ? 0x1000 : 4],
  ] as const) {
    data.writeBigUInt64LE(BigInt(value), at);
  }
  return data;
}

function elfHeader(entry: number, programHeaders: number): Buffer {
  const data = Buffer.alloc(EHDR_BYTES);
  data.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  data.writeUInt16LE(2, 16); // ET_EXEC
  data.writeUInt16LE(62, 18); // EM_X86_64
  data.writeUInt32LE(1, 20);
  data.writeBigUInt64LE(BigInt(entry), 24);
  data.writeBigUInt64LE(BigInt(EHDR_BYTES), 32);
  data.writeUInt16LE(EHDR_BYTES, 52);
  data.writeUInt16LE(PHDR_BYTES, 54);
  data.writeUInt16LE(programHeaders, 56);
  return data;
}

/** The file's bytes. */
export function tinyPvh(): Uint8Array {
  const textOffset = EHDR_BYTES + 2 * PHDR_BYTES + note(0).length;
  const entry = LOAD_ADDRESS + textOffset;
  const whole = textOffset + CODE.length;
  return Buffer.concat([
    elfHeader(entry, 2),
    programHeader(PT_LOAD, 0, LOAD_ADDRESS, whole),
    programHeader(
      PT_NOTE,
      EHDR_BYTES + 2 * PHDR_BYTES,
      LOAD_ADDRESS + EHDR_BYTES + 2 * PHDR_BYTES,
      note(0).length,
    ),
    note(entry),
    CODE,
  ]);
}

if (import.meta.main) {
  const file = process.argv[2] ?? "tiny.elf";
  writeFileSync(file, tinyPvh(), { mode: 0o755 });
  console.log(`wrote ${file}`);
}
