// SPDX-License-Identifier: Apache-2.0
//
// Nodes outside the collected heap: one record of bytes each, found by a hash of
// the path. What a node costs in time is waiting for memory, once there are more
// than the processor's caches hold; so a look-up reads two places, the index and
// the record, and both can be asked for ahead (`touch`). Nothing is left for the
// collector to look through.
//
//   index   pairs of words: hash of the path, reference of the record or 0;
//           open addressing, a pair is never far from where its hash says
//   record  hash, length of path and of value, permissions' number, slot, number
//           of its children's list: a word each; the path, four bytes a word; the
//           value. Multiples of 16 bytes, in slabs

import type { CellTable } from "../engine/cells.ts";
import type { ListChunk, ListHead } from "./list.ts";
import type { Node } from "./tree.ts";
import { readLatin1, writeLatin1 } from "./wire.ts";

const SLASH = 0x2f;
const UNIT = 16;
/** A reference is the number of a slab and that of a unit in it. */
const SLAB_BITS = 16;
const SLAB_UNITS = 1 << SLAB_BITS;
const UNIT_MASK = SLAB_UNITS - 1;
/** The first unit used. Allocators put 16 bytes before a block: so records of 64 bytes fill lines of the cache. */
const FIRST_UNIT = 3;
/** Records of up to so many units get exactly what they need, others a power of two. */
const EXACT_UNITS = 64;
const CLASSES = EXACT_UNITS + 32;
const INDEX_MIN = 64;
/** An index of so many pairs, or fewer, is not made smaller: trees of domains come and go. */
const INDEX_KEPT = 65_536;
/** So much of the slabs may be free, whatever is in use, before records are moved together. */
const FREE_UNITS_MAX = (4 * 1024 * 1024) / UNIT;
/** Longest path; the length has half a word, as that of the value. */
const PATH_MAX = 0xffff;
/** Calling the engine for a path takes longer than looking at so many characters. */
const SHORT_PATH_MAX = 28;
/** How many paths `touch` takes at most. */
export const TOUCH_MAX = 64;

/** Words of a record. */
const HASH = 0;
const LENGTHS = 1;
const PERMS = 2;
const SLOT = 3;
const LIST = 4;
const HEADER_WORDS = 5;
const HEADER_BYTES = 4 * HEADER_WORDS;

/** Memory for records: zeroed or not, and better where `readLatin1` is quick with it. */
export type MakeBytes = (length: number) => Uint8Array;

function mix(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x9e3779b1);
  return product ^ (product >>> 15);
}

function finish(hash: number): number {
  const product = Math.imul(hash, 0x85ebca6b);
  return product ^ (product >>> 13);
}

function wordsOf(length: number): number {
  return (length + 3) >>> 2;
}

/** The hash of a path in words, the last one padded with zeros. */
function hashOfWords(seed: number, words: Int32Array, length: number): number {
  let hash = seed;
  const count = wordsOf(length);
  for (let at = 0; at < count; at++) hash = mix(hash, words[at] as number);
  return finish(hash ^ length);
}

/** The same of a path in bytes: the one that begins at `start` and ends before a NUL, or at `limit`. */
function hashOfBytes(seed: number, bytes: Uint8Array, start: number, limit: number): number {
  let hash = seed;
  let at = start;
  for (; at + 4 <= limit; at += 4) {
    const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    const word = low | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
    // Has one of the four no bit?
    if (((word - 0x01010101) & ~word & 0x80808080) !== 0) break;
    hash = mix(hash, word);
  }
  let last = 0;
  let shift = 0;
  for (; at < limit && bytes[at] !== 0; at++, shift += 8) last |= (bytes[at] as number) << shift;
  return finish((shift === 0 ? hash : mix(hash, last)) ^ (at - start));
}

/** In which list of free records one of so many units is. */
function classOf(units: number): number {
  return units <= EXACT_UNITS ? units : EXACT_UNITS + 32 - Math.clz32(units - 1);
}

/** How many units a record gets. */
function unitsFor(pathLength: number, valueLength: number): number {
  const units = (HEADER_BYTES + 4 * wordsOf(pathLength) + valueLength + UNIT - 1) >>> 4;
  return units <= EXACT_UNITS ? units : 1 << (32 - Math.clz32(units - 1));
}

/** Where in its slab a record's value begins. */
function valueStart(ref: number, pathLength: number): number {
  return (ref & UNIT_MASK) * UNIT + HEADER_BYTES + 4 * wordsOf(pathLength);
}

/** A node in the table, as it is at any time until it is dropped. */
class NodeRecord implements Node {
  readonly #table: NodeTable;
  readonly #path: string;
  #ref: number;
  #moves: number;

  constructor(table: NodeTable, path: string, ref: number) {
    this.#table = table;
    this.#path = path;
    this.#ref = ref;
    this.#moves = table.moves;
  }

  /** Where its record is now. */
  #now(): number {
    if (this.#moves === this.#table.moves) return this.#ref;
    this.#ref = this.#table.refOf(this.#path);
    this.#moves = this.#table.moves;
    return this.#ref;
  }

  get value(): string {
    return this.#table.valueAt(this.#now());
  }

  set value(value: string) {
    this.#table.setValueAt(this.#now(), value);
  }

  get perms(): string {
    return this.#table.permsAt(this.#now());
  }

  set perms(perms: string) {
    this.#table.setPermsAt(this.#now(), perms);
  }

  get slot(): number {
    return this.#table.slotAt(this.#now());
  }

  set slot(slot: number) {
    this.#table.setSlotAt(this.#now(), slot);
  }
}

/** Permissions by number: nodes that have the same share it. */
class SharedPerms {
  readonly #numbers = new Map<string, number>();
  readonly #texts: string[] = [];
  readonly #uses: number[] = [];
  readonly #free: number[] = [];
  #last = "";
  #lastNumber = -1;

  textOf(number: number): string {
    return this.#texts[number] as string;
  }

  /** The number of a text, which has one use more. */
  use(text: string): number {
    if (text === this.#last && this.#lastNumber >= 0) {
      (this.#uses[this.#lastNumber] as number)++;
      return this.#lastNumber;
    }
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#texts.length;
      this.#numbers.set(text, number);
      this.#texts[number] = text;
      this.#uses[number] = 0;
    }
    (this.#uses[number] as number)++;
    this.#last = text;
    this.#lastNumber = number;
    return number;
  }

  release(number: number): void {
    const uses = (this.#uses[number] as number) - 1;
    this.#uses[number] = uses;
    if (uses > 0) return;
    this.#numbers.delete(this.#texts[number] as string);
    this.#texts[number] = "";
    this.#free.push(number);
    if (number === this.#lastNumber) this.#lastNumber = -1;
  }
}

/** What was found of a path: 0 for no record. */
interface Near {
  path: string;
  hash: number;
  ref: number;
}
/** A power of two. */
const NEAR = 64;

/** Where among those looked for lately a path of that length and with that last byte is. */
function nearOf(length: number, last: number): number {
  return (5 * length + last) & (NEAR - 1);
}

/** Room for a path, as bytes and as words. */
function pathBuffer(make: MakeBytes): [Uint8Array, Int32Array] {
  const bytes = make(PATH_MAX + 1);
  return [bytes, new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)];
}

/** What there is of a node's list of children, the first chunk of it apart from others. */
export interface ChildrenList {
  head: ListHead | undefined;
  first: ListChunk | undefined;
}

/** All nodes of a store. Paths and values are latin1 strings of at most 65535 bytes. */
export class NodeTable implements CellTable {
  readonly #make: MakeBytes;
  readonly #seed: number;
  readonly #perms = new SharedPerms();
  #index = new Int32Array(2 * INDEX_MIN);
  /** Number of pairs in the index, less one. */
  #mask = INDEX_MIN - 1;
  #count = 0;
  #bytes: Uint8Array[] = [];
  #words: Int32Array[] = [];
  /** The first unit of the last slab that was never used. */
  #unused = SLAB_UNITS;
  /** The first free record of each class, or 0; each has the next in its word SLOT. */
  readonly #free = new Int32Array(CLASSES);
  #freeUnits = 0;
  /**
   * What was looked for lately: a request asks for the same node, and for those
   * above it, several times, and a commit goes through its nodes again and again.
   */
  readonly #near: Near[] = Array.from({ length: NEAR }, () => ({ path: "", hash: 0, ref: 0 }));
  /** By number, from 1 on. */
  readonly #lists: (ChildrenList | undefined)[] = [undefined];
  readonly #freeLists: number[] = [];
  /** The path taken last, as it is in a record. */
  readonly #pathBytes: Uint8Array;
  readonly #pathWords: Int32Array;
  /**
   * Path of the node that was entered, a slash, and the name of a child; how much of
   * it stays from child to child, and the hash of the whole words of that.
   */
  readonly #belowBytes: Uint8Array;
  readonly #belowWords: Int32Array;
  #belowLength = 0;
  #belowHash = 0;
  readonly #touched = new Int32Array(2 * TOUCH_MAX);

  /** How often a record came to be elsewhere, or nowhere. */
  moves = 0;

  /** @param seed makes it unforeseeable which paths are near each other in the index */
  constructor(make: MakeBytes, seed: number) {
    this.#make = make;
    this.#seed = seed | 0;
    [this.#pathBytes, this.#pathWords] = pathBuffer(make);
    [this.#belowBytes, this.#belowWords] = pathBuffer(make);
  }

  get count(): number {
    return this.#count;
  }

  /** A hash of a path, whether there is such a node or not; at hand for those looked for lately. */
  hashOf(path: string): number {
    return this.#look(path).hash;
  }

  /** The list of a node's children; undefined where there is none, or no node. */
  listOf(path: string): ChildrenList | undefined {
    const ref = this.#find(path);
    if (ref === 0) return undefined;
    const words = this.#words[ref >>> SLAB_BITS] as Int32Array;
    return this.#lists[words[(ref & UNIT_MASK) * 4 + LIST] as number];
  }

  /** The same, made where an existing node has none. */
  makeList(path: string): ChildrenList {
    const ref = this.#find(path);
    if (ref === 0) throw new Error(`a list of children of ${path}, which is no node`);
    const words = this.#words[ref >>> SLAB_BITS] as Int32Array;
    const at = (ref & UNIT_MASK) * 4 + LIST;
    if (words[at] === 0) {
      const number = this.#freeLists.pop() ?? this.#lists.length;
      this.#lists[number] = { head: undefined, first: undefined };
      words[at] = number;
    }
    return this.#lists[words[at] as number] as ChildrenList;
  }

  /** A node's list is empty: there is none any more. */
  dropList(path: string): void {
    const ref = this.#find(path);
    const words = this.#words[ref >>> SLAB_BITS] as Int32Array;
    const at = (ref & UNIT_MASK) * 4 + LIST;
    const number = words[at] as number;
    this.#lists[number] = undefined;
    this.#freeLists.push(number);
    words[at] = 0;
  }

  get(path: string): Node | undefined {
    const near = this.#look(path);
    if (near.ref === 0) return undefined;
    return new NodeRecord(this, path, near.ref);
  }

  /** Adds a node; undefined where there is one. */
  add(path: string, content: object): Node | undefined {
    const { value, perms, slot } = content as Node;
    const near = this.#look(path);
    if (near.ref !== 0) return undefined;
    const { hash } = near;
    const ref = this.#allocate(unitsFor(path.length, value.length));
    const bytes = this.#bytes[ref >>> SLAB_BITS] as Uint8Array;
    const words = this.#words[ref >>> SLAB_BITS] as Int32Array;
    const at = (ref & UNIT_MASK) * 4;
    words[at + HASH] = hash;
    words[at + LENGTHS] = path.length | (value.length << 16);
    words[at + PERMS] = this.#perms.use(perms);
    words[at + SLOT] = slot;
    words[at + LIST] = 0;
    // The last word first: it is padded with zeros.
    if (path.length > 0) words[at + HEADER_WORDS + wordsOf(path.length) - 1] = 0;
    writeLatin1(bytes, (ref & UNIT_MASK) * UNIT + HEADER_BYTES, path);
    writeLatin1(bytes, valueStart(ref, path.length), value);
    if (2 * ++this.#count > this.#mask) this.#resize(2 * (this.#mask + 1));
    this.#insert(hash, ref);
    near.ref = ref;
    return new NodeRecord(this, path, ref);
  }

  /** Removes a node; false where there is none. */
  drop(path: string): boolean {
    const near = this.#look(path);
    const { ref } = near;
    if (ref === 0) return false;
    const words = this.#words[ref >>> SLAB_BITS] as Int32Array;
    const at = (ref & UNIT_MASK) * 4;
    if (words[at + LIST] !== 0) throw new Error(`drop of ${path}, which has children`);
    near.ref = 0;
    let pair = (words[at + HASH] as number) & this.#mask;
    while (this.#index[2 * pair + 1] !== ref) pair = (pair + 1) & this.#mask;
    this.#dropRecord(ref, pair);
    // Leaves may have gone without this.
    let pairs = this.#mask + 1;
    while (pairs > INDEX_KEPT && 16 * this.#count < pairs) pairs /= 4;
    if (pairs <= this.#mask) this.#resize(pairs);
    return true;
  }

  #dropRecord(ref: number, pair: number): void {
    const words = this.#words[ref >>> SLAB_BITS] as Int32Array;
    const at = (ref & UNIT_MASK) * 4;
    this.#perms.release(words[at + PERMS] as number);
    this.#remove(pair);
    const lengths = words[at + LENGTHS] as number;
    this.#release(ref, unitsFor(lengths & 0xffff, lengths >>> 16));
    this.#count--;
  }

  /** Of which node `dropLeaf` is to remove children, until another is entered. */
  enter(path: string): void {
    const bytes = this.#belowBytes;
    writeLatin1(bytes, 0, path);
    let { length } = path;
    if (length > 1) bytes[length++] = SLASH;
    this.#belowLength = length;
    let hash = this.#seed;
    for (let word = 0; word < length >>> 2; word++) hash = mix(hash, this.#belowWords[word] as number);
    this.#belowHash = hash;
  }

  /**
   * Removes a child of the node that was entered, where it has no children and
   * nobody minds. Its path is not looked at from its beginning, and never made.
   *
   * @param minds whether somebody has to know of it, by hash of the path and permissions
   * @returns whether it is gone; where not, it is as it was
   */
  dropLeaf(name: string, minds: (hash: number, perms: string) => boolean): boolean {
    const words = this.#belowWords;
    const length = this.#belowLength + name.length;
    const hash = this.#takeBelow(name);
    const index = this.#index;
    let pair = hash & this.#mask;
    let ref = index[2 * pair + 1] as number;
    while (ref !== 0 && (index[2 * pair] !== hash || !this.#isOf(ref, words, length))) {
      pair = (pair + 1) & this.#mask;
      ref = index[2 * pair + 1] as number;
    }
    if (ref === 0) return false;
    if ((this.#words[ref >>> SLAB_BITS] as Int32Array)[(ref & UNIT_MASK) * 4 + LIST] !== 0) return false;
    if (minds(hash, this.permsAt(ref))) return false;
    const near = this.#near[nearOf(length, this.#belowBytes[length - 1] as number)] as Near;
    if (near.ref === ref) near.ref = 0;
    this.#dropRecord(ref, pair);
    return true;
  }

  /** Reads ahead what `dropLeaf` will read of the names from `from` on, at most TOUCH_MAX of them. */
  touchLeaves(names: readonly string[], from: number): void {
    const count = Math.min(names.length - from, TOUCH_MAX);
    for (let at = 0; at < count; at++) this.#touched[at] = this.#takeBelow(names[from + at] as string);
    this.#touchHashes(count);
  }

  /** Puts the path of a child of the node that was entered into `#belowWords`; returns its hash. */
  #takeBelow(name: string): number {
    const bytes = this.#belowBytes;
    const words = this.#belowWords;
    const start = this.#belowLength;
    const length = start + name.length;
    for (let at = 0; at < name.length; at++) bytes[start + at] = name.charCodeAt(at);
    for (let at = length; (at & 3) !== 0; at++) bytes[at] = 0;
    let hash = this.#belowHash;
    const count = wordsOf(length);
    for (let word = start >>> 2; word < count; word++) hash = mix(hash, words[word] as number);
    return finish(hash ^ length);
  }

  /** Paths of all nodes, in no particular order. */
  ids(): string[] {
    const found: string[] = [];
    for (let at = 1; at < this.#index.length; at += 2) {
      const ref = this.#index[at] as number;
      if (ref !== 0) found.push(this.#pathAt(ref));
    }
    return found;
  }

  /**
   * Reads ahead what look-ups of paths will read: all of them at once, so that
   * they wait for memory together and not one after the other.
   *
   * @param ranges in `bytes`: where the first path begins and where it ends where
   *   there is no NUL before, the second, …
   * @param count how many paths; at most TOUCH_MAX
   */
  touch(bytes: Uint8Array, ranges: Int32Array, count: number): void {
    if (this.#freeUnits > FREE_UNITS_MAX && 2 * this.#freeUnits > this.#slabUnits()) this.#compact();
    for (let at = 0; at < count; at++) {
      const [start, limit] = [ranges[2 * at] as number, ranges[2 * at + 1] as number];
      this.#touched[at] = hashOfBytes(this.#seed, bytes, start, limit);
    }
    this.#touchHashes(count);
  }

  /** Reads what there is of the first `count` hashes in `#touched`. */
  #touchHashes(count: number): void {
    const index = this.#index;
    const touched = this.#touched;
    // Nothing in this loop waits for the round before it.
    for (let at = 0; at < count; at++) {
      touched[TOUCH_MAX + at] = index[2 * ((touched[at] as number) & this.#mask)] as number;
    }
    let refs = 0;
    for (let at = 0; at < count; at++) {
      const ref = this.#refOf(touched[at] as number);
      if (ref !== 0) touched[refs++] = ref;
    }
    let sink = 0;
    for (let at = 0; at < refs; at++) {
      const ref = touched[at] as number;
      const words = this.#words[ref >>> SLAB_BITS] as Int32Array;
      const word = (ref & UNIT_MASK) * 4;
      // A usual record has a part in a second line.
      sink ^= (words[word] as number) ^ (words[Math.min(word + 15, words.length - 1)] as number);
    }
    // Reads whose result nobody keeps would be left out.
    touched[0] = sink;
  }

  /** The first record with that hash, or 0. */
  #refOf(hash: number): number {
    const index = this.#index;
    for (let pair = hash & this.#mask; ; pair = (pair + 1) & this.#mask) {
      const ref = index[2 * pair + 1] as number;
      if (ref === 0 || index[2 * pair] === hash) return ref;
    }
  }

  /** Puts a path into `#pathWords`; returns its hash. */
  #takePath(path: string): number {
    const { length } = path;
    if (length >= PATH_MAX) throw new Error(`a path of ${length} bytes`);
    const words = this.#pathWords;
    if (length > SHORT_PATH_MAX) {
      const bytes = this.#pathBytes;
      writeLatin1(bytes, 0, path);
      for (let at = length; (at & 3) !== 0; at++) bytes[at] = 0;
      return hashOfWords(this.#seed, words, length);
    }
    let hash = this.#seed;
    let word = 0;
    let shift = 0;
    for (let at = 0; at < length; at++) {
      word |= path.charCodeAt(at) << shift;
      shift += 8;
      if (shift < 32) continue;
      words[at >>> 2] = word;
      hash = mix(hash, word);
      word = 0;
      shift = 0;
    }
    if (shift > 0) {
      words[length >>> 2] = word;
      hash = mix(hash, word);
    }
    return finish(hash ^ length);
  }

  #find(path: string): number {
    return this.#look(path).ref;
  }

  /** What is known of a path. */
  #look(path: string): Near {
    const near = this.#near[nearOf(path.length, path.charCodeAt(path.length - 1))] as Near;
    if (near.path !== path) {
      near.hash = this.#takePath(path);
      near.ref = this.#search(near.hash, path.length);
    }
    // The next look for it in this request is with this very string, and compares no text.
    near.path = path;
    return near;
  }

  /** The record of the path in `#pathWords`, or 0. */
  #search(hash: number, pathLength: number): number {
    const index = this.#index;
    for (let pair = hash & this.#mask; ; pair = (pair + 1) & this.#mask) {
      const ref = index[2 * pair + 1] as number;
      if (ref === 0 || (index[2 * pair] === hash && this.#isOf(ref, this.#pathWords, pathLength))) return ref;
    }
  }

  /** Whether a record is that of the path in `wanted`. */
  #isOf(ref: number, wanted: Int32Array, pathLength: number): boolean {
    const words = this.#words[ref >>> SLAB_BITS] as Int32Array;
    const at = (ref & UNIT_MASK) * 4;
    if (((words[at + LENGTHS] as number) & 0xffff) !== pathLength) return false;
    for (let word = wordsOf(pathLength) - 1; word >= 0; word--) {
      if (words[at + HEADER_WORDS + word] !== wanted[word]) return false;
    }
    return true;
  }

  #insert(hash: number, ref: number): void {
    const index = this.#index;
    let pair = hash & this.#mask;
    while (index[2 * pair + 1] !== 0) pair = (pair + 1) & this.#mask;
    index[2 * pair] = hash;
    index[2 * pair + 1] = ref;
  }

  /** Takes a pair out; those behind it that would not be found any more move up. */
  #remove(from: number): void {
    const index = this.#index;
    const mask = this.#mask;
    let hole = from;
    for (let pair = (hole + 1) & mask; index[2 * pair + 1] !== 0; pair = (pair + 1) & mask) {
      const home = (index[2 * pair] as number) & mask;
      if (((pair - home) & mask) < ((pair - hole) & mask)) continue;
      index[2 * hole] = index[2 * pair] as number;
      index[2 * hole + 1] = index[2 * pair + 1] as number;
      hole = pair;
    }
    index[2 * hole + 1] = 0;
  }

  #resize(pairs: number): void {
    const old = this.#index;
    this.#index = new Int32Array(2 * pairs);
    this.#mask = pairs - 1;
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] !== 0) this.#insert(old[at] as number, old[at + 1] as number);
    }
  }

  #slabUnits(): number {
    return this.#bytes.length * SLAB_UNITS;
  }

  #allocate(units: number): number {
    const list = classOf(units);
    const free = this.#free[list] as number;
    if (free !== 0) {
      const words = this.#words[free >>> SLAB_BITS] as Int32Array;
      this.#free[list] = words[(free & UNIT_MASK) * 4 + SLOT] as number;
      this.#freeUnits -= units;
      return free;
    }
    if (this.#unused + units > SLAB_UNITS) {
      this.#giveRest();
      const bytes = this.#make(SLAB_UNITS * UNIT);
      this.#bytes.push(bytes);
      this.#words.push(new Int32Array(bytes.buffer, bytes.byteOffset, SLAB_UNITS * 4));
      this.#unused = FIRST_UNIT;
    }
    const ref = ((this.#bytes.length - 1) << SLAB_BITS) | this.#unused;
    this.#unused += units;
    return ref;
  }

  /** What is left of the last slab becomes free records. */
  #giveRest(): void {
    for (let rest = SLAB_UNITS - this.#unused; rest > 0;) {
      const units = rest <= EXACT_UNITS ? rest : EXACT_UNITS;
      this.#release(((this.#bytes.length - 1) << SLAB_BITS) | (SLAB_UNITS - rest), units);
      rest -= units;
    }
  }

  #release(ref: number, units: number): void {
    this.moves++;
    const words = this.#words[ref >>> SLAB_BITS] as Int32Array;
    const at = (ref & UNIT_MASK) * 4;
    words[at + SLOT] = this.#free[classOf(units)] as number;
    this.#free[classOf(units)] = ref;
    this.#freeUnits += units;
  }

  /** Moves all records together. */
  #compact(): void {
    this.moves++;
    const [oldBytes, oldWords] = [this.#bytes, this.#words];
    this.#bytes = [];
    this.#words = [];
    this.#unused = SLAB_UNITS;
    this.#free.fill(0);
    this.#freeUnits = 0;
    for (const near of this.#near) Object.assign(near, { path: "", ref: 0 });
    for (let at = 1; at < this.#index.length; at += 2) {
      const old = this.#index[at] as number;
      if (old === 0) continue;
      const from = oldBytes[old >>> SLAB_BITS] as Uint8Array;
      const lengths = (oldWords[old >>> SLAB_BITS] as Int32Array)[(old & UNIT_MASK) * 4 + LENGTHS] as number;
      const units = unitsFor(lengths & 0xffff, lengths >>> 16);
      const ref = this.#allocate(units);
      const start = (old & UNIT_MASK) * UNIT;
      const into = this.#bytes[ref >>> SLAB_BITS] as Uint8Array;
      into.set(from.subarray(start, start + units * UNIT), (ref & UNIT_MASK) * UNIT);
      this.#index[at] = ref;
    }
  }

  /** Where the record of a path is that was looked up before, and must still be there. */
  refOf(path: string): number {
    const ref = this.#find(path);
    if (ref === 0) throw new Error(`${path} was looked up before it went`);
    return ref;
  }

  /** Lengths of path and value. */
  #lengthsAt(ref: number): number {
    return (this.#words[ref >>> SLAB_BITS] as Int32Array)[(ref & UNIT_MASK) * 4 + LENGTHS] as number;
  }

  #pathAt(ref: number): string {
    const start = (ref & UNIT_MASK) * UNIT + HEADER_BYTES;
    const bytes = this.#bytes[ref >>> SLAB_BITS] as Uint8Array;
    return readLatin1(bytes, start, start + (this.#lengthsAt(ref) & 0xffff));
  }

  valueAt(ref: number): string {
    const lengths = this.#lengthsAt(ref);
    const start = valueStart(ref, lengths & 0xffff);
    return readLatin1(this.#bytes[ref >>> SLAB_BITS] as Uint8Array, start, start + (lengths >>> 16));
  }

  setValueAt(ref: number, value: string): void {
    const lengths = this.#lengthsAt(ref);
    const pathLength = lengths & 0xffff;
    const [before, units] = [unitsFor(pathLength, lengths >>> 16), unitsFor(pathLength, value.length)];
    const at = units === before ? ref : this.#move(ref, before, units);
    const words = this.#words[at >>> SLAB_BITS] as Int32Array;
    words[(at & UNIT_MASK) * 4 + LENGTHS] = pathLength | (value.length << 16);
    writeLatin1(this.#bytes[at >>> SLAB_BITS] as Uint8Array, valueStart(at, pathLength), value);
  }

  /** Moves a record, but for its value, to one of another size. */
  #move(from: number, unitsBefore: number, units: number): number {
    const hash = (this.#words[from >>> SLAB_BITS] as Int32Array)[(from & UNIT_MASK) * 4 + HASH] as number;
    const to = this.#allocate(units);
    const bytes = this.#bytes[from >>> SLAB_BITS] as Uint8Array;
    const start = (from & UNIT_MASK) * UNIT;
    const pathLength = this.#lengthsAt(from) & 0xffff;
    const end = valueStart(from, pathLength);
    (this.#bytes[to >>> SLAB_BITS] as Uint8Array).set(bytes.subarray(start, end), (to & UNIT_MASK) * UNIT);
    this.#release(from, unitsBefore);
    let pair = hash & this.#mask;
    while (this.#index[2 * pair + 1] !== from) pair = (pair + 1) & this.#mask;
    this.#index[2 * pair + 1] = to;
    const last = bytes[start + HEADER_BYTES + pathLength - 1] as number;
    const near = this.#near[nearOf(pathLength, last)] as Near;
    if (near.ref === from) near.ref = to;
    return to;
  }

  permsAt(ref: number): string {
    const words = this.#words[ref >>> SLAB_BITS] as Int32Array;
    return this.#perms.textOf(words[(ref & UNIT_MASK) * 4 + PERMS] as number);
  }

  setPermsAt(ref: number, perms: string): void {
    const words = this.#words[ref >>> SLAB_BITS] as Int32Array;
    const at = (ref & UNIT_MASK) * 4 + PERMS;
    const before = words[at] as number;
    words[at] = this.#perms.use(perms);
    this.#perms.release(before);
  }

  slotAt(ref: number): number {
    return (this.#words[ref >>> SLAB_BITS] as Int32Array)[(ref & UNIT_MASK) * 4 + SLOT] as number;
  }

  setSlotAt(ref: number, slot: number): void {
    (this.#words[ref >>> SLAB_BITS] as Int32Array)[(ref & UNIT_MASK) * 4 + SLOT] = slot;
  }
}
