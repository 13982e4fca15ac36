// SPDX-License-Identifier: Apache-2.0
//
// The smallest kernel the real xl boots, as a PV and as a PVH guest: an ELF file
// of a few hundred bytes, a `hlt` loop and the notes that say what it is.
//
//     node scripts/run.js examples/guests/tiny-kernel.ts tiny.elf

import { writeFileSync } from "node:fs";

/** Where it is loaded where nothing else is said, and where a PV guest's page tables show that. */
const PHYSICAL = 0x100000;
const VIRTUAL_BASE = 0xffff_ffff_8000_0000n;
const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
/** hlt; jmp back to it. */
const CODE = Uint8Array.of(0xf4, 0xeb, 0xfd);

const PT_LOAD = 1;
const PT_NOTE = 4;

/** XEN_ELFNOTE_*: a number of 32 or 64 bits, or a text. */
function note(type: number, value: number | bigint | string): Buffer {
  const content =
    typeof value === "string"
      ? Buffer.from(`${value}\0`)
      : Buffer.from(
          typeof value === "bigint" ? new BigUint64Array([value]).buffer : new Uint32Array([value]).buffer,
        );
  const header = Buffer.alloc(16);
  header.writeUInt32LE(4, 0);
  header.writeUInt32LE(content.length, 4);
  header.writeUInt32LE(type, 8);
  header.write("Xen\0", 12, "latin1");
  return Buffer.concat([header, content, Buffer.alloc(-content.length & 3)]);
}

/** Where Linux wants its list of frames, and that its initrd need not be mapped. */
function linuxNotes(): Buffer[] {
  return [
    note(15, 0x80_0000_0000n), // INIT_P2M
    note(16, 1), // MOD_START_PFN
  ];
}

/** What the file says of itself; `entry` is a physical address. */
function notes(entry: number, likeLinux: boolean): Buffer {
  return Buffer.concat([
    ...(likeLinux ? linuxNotes() : []),
    note(6, "tiny"), // GUEST_OS
    note(5, "xen-3.0"), // XEN_VERSION
    note(8, "generic"), // LOADER
    note(9, "yes"), // PAE_MODE
    note(3, VIRTUAL_BASE), // VIRT_BASE
    note(4, 0n), // PADDR_OFFSET
    note(1, VIRTUAL_BASE + BigInt(entry)), // ENTRY
    note(18, entry), // PHYS32_ENTRY: what makes it a PVH kernel
  ]);
}

function programHeader(
  type: number,
  physicalBase: number,
  offset: number,
  size: number,
  memory: number,
): Buffer {
  const data = Buffer.alloc(PHDR_BYTES);
  data.writeUInt32LE(type, 0);
  data.writeUInt32LE(type === PT_LOAD ? 5 : 4, 4);
  const physical = BigInt(physicalBase + offset);
  const values = [BigInt(offset), VIRTUAL_BASE + physical, physical, BigInt(size), BigInt(memory)];
  for (const [i, value] of [...values, type === PT_LOAD ? 0x1000n : 4n].entries()) {
    data.writeBigUInt64LE(value, 8 + i * 8);
  }
  return data;
}

function elfHeader(entry: number, programHeaders: number): Buffer {
  const data = Buffer.alloc(EHDR_BYTES);
  data.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  data.writeUInt16LE(2, 16); // ET_EXEC
  data.writeUInt16LE(62, 18); // EM_X86_64
  data.writeUInt32LE(1, 20);
  data.writeBigUInt64LE(VIRTUAL_BASE + BigInt(entry), 24);
  data.writeBigUInt64LE(BigInt(EHDR_BYTES), 32);
  data.writeUInt16LE(EHDR_BYTES, 52);
  data.writeUInt16LE(PHDR_BYTES, 54);
  data.writeUInt16LE(programHeaders, 56);
  return data;
}

/** What a kernel asks of its builder. */
export interface KernelDemands {
  physicalBase: number;
  /** Pages it takes in memory. */
  pages: number;
  /** Whether a PV guest's list of frames and its initrd are where Linux wants them. */
  likeLinux: boolean;
}

const TINY: KernelDemands = { physicalBase: PHYSICAL, pages: 1, likeLinux: false };

/** The file's bytes. */
export function tinyKernel({ physicalBase, pages, likeLinux }: KernelDemands = TINY): Uint8Array {
  const notesAt = EHDR_BYTES + 2 * PHDR_BYTES;
  const notesSize = notes(0, likeLinux).length;
  const codeAt = notesAt + notesSize;
  const size = codeAt + CODE.length;
  const entry = physicalBase + codeAt;
  return Buffer.concat([
    elfHeader(entry, 2),
    programHeader(PT_LOAD, physicalBase, 0, size, pages === 1 ? size : pages * 4096),
    programHeader(PT_NOTE, physicalBase, notesAt, notesSize, notesSize),
    notes(entry, likeLinux),
    CODE,
  ]);
}

if (import.meta.main) {
  const file = process.argv[2] ?? "tiny.elf";
  writeFileSync(file, tinyKernel(), { mode: 0o755 });
  console.log(`wrote ${file}`);
}
