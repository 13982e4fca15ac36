// SPDX-License-Identifier: Apache-2.0
//
// Ordered lists of strings in cells, in order of arrival, for lists that may be
// long (children of a node, watches of a connection, nodes of a transaction).
// They are cut into chunks so that a change touches a small cell, however long
// the list is; whoever is in a list remembers the number of its chunk.

import { type CellType, type Cells, cellType, must } from "../engine/cells.ts";

/** Items of a chunk at most. */
const CHUNK_ITEMS_MAX = 64;

/** The list as a whole; there is no cell for an empty list. */
export interface ListHead {
  first: number;
  last: number;
  count: number;
  /** Bytes of all items, a NUL after each included. */
  bytes: number;
  /** Two halves of a number that differs between lists that differ; see `listDigest`. */
  digestLow: number;
  digestHigh: number;
}

/** A run of items. `previous` and `next` are chunk numbers, -1 at the ends. */
export interface ListChunk {
  previous: number;
  next: number;
  items: string[];
}

/** The two cell types of one kind of list. */
export interface ListType {
  readonly head: CellType<ListHead>;
  readonly chunk: CellType<ListChunk>;
  /** Whether it is listed to clients: `listDigest` is kept up to date, and `listText` kept. */
  readonly listed: boolean;
}

/** Declares a kind of list. */
export function listType(name: string, { listed }: { listed: boolean }): ListType {
  return { head: cellType<ListHead>(name), chunk: cellType<ListChunk>(`${name}-chunk`), listed };
}

function chunkId(list: string, number: number): string {
  return number === 0 ? list : `${list}\0${number}`;
}

/** How many items the list has. */
export function listCount(cells: Cells, type: ListType, list: string): number {
  return cells.get(type.head, list)?.count ?? 0;
}

/** Bytes of all items, each with its NUL. */
export function listBytes(cells: Cells, type: ListType, list: string): number {
  return cells.get(type.head, list)?.bytes ?? 0;
}

/** Appends an item; returns the number of its chunk. */
export function listAppend(cells: Cells, type: ListType, list: string, item: string): number {
  forgetText(cells, type, list);
  if (cells.get(type.head, list) === undefined) {
    const bytes = item.length + 1;
    const head = cells.add(type.head, list, {
      first: 0,
      last: 0,
      count: 1,
      bytes,
      digestLow: 0,
      digestHigh: 0,
    });
    if (type.listed) addPair(head, "", item, 1);
    cells.add(type.chunk, chunkId(list, 0), { previous: -1, next: -1, items: [item] });
    return 0;
  }
  const head = cells.edit(type.head, list);
  let chunk = cells.edit(type.chunk, chunkId(list, head.last));
  const before = chunk.items.at(-1) ?? "";
  if (chunk.items.length >= CHUNK_ITEMS_MAX) {
    chunk.next = head.last + 1;
    chunk = cells.add(type.chunk, chunkId(list, head.last + 1), { previous: head.last, next: -1, items: [] });
    head.last++;
  }
  chunk.items.push(item);
  head.count++;
  head.bytes += item.length + 1;
  if (type.listed) addPair(head, before, item, 1);
  return head.last;
}

/** Removes an item that is in the chunk of that number. */
export function listRemove(cells: Cells, type: ListType, list: string, number: number, item: string): void {
  forgetText(cells, type, list);
  const head = cells.edit(type.head, list);
  if (head.count === 1) {
    cells.drop(type.chunk, chunkId(list, number));
    cells.drop(type.head, list);
    return;
  }
  const chunk = cells.edit(type.chunk, chunkId(list, number));
  const index = chunk.items.indexOf(item);
  if (index < 0) throw new Error(`${item} is not in chunk ${number} of ${type.head.name}/${list}`);
  const before = chunk.items[index - 1] ?? neighbour(cells, type, list, chunk.previous)?.at(-1) ?? "";
  const after = chunk.items[index + 1] ?? neighbour(cells, type, list, chunk.next)?.[0];
  chunk.items.splice(index, 1);
  head.count--;
  head.bytes -= item.length + 1;
  if (type.listed) {
    addPair(head, before, item, -1);
    if (after !== undefined) {
      addPair(head, item, after, -1);
      addPair(head, before, after, 1);
    }
  }
  if (chunk.items.length === 0) unlinkChunk(cells, type, list, head, number, chunk);
}

function neighbour(
  cells: Cells,
  type: ListType,
  list: string,
  number: number,
): readonly string[] | undefined {
  return number < 0 ? undefined : must(cells, type.chunk, chunkId(list, number)).items;
}

function unlinkChunk(
  cells: Cells,
  type: ListType,
  list: string,
  head: ListHead,
  number: number,
  chunk: ListChunk,
): void {
  if (chunk.previous < 0) head.first = chunk.next;
  else cells.edit(type.chunk, chunkId(list, chunk.previous)).next = chunk.next;
  if (chunk.next < 0) head.last = chunk.previous;
  else cells.edit(type.chunk, chunkId(list, chunk.next)).previous = chunk.previous;
  cells.drop(type.chunk, chunkId(list, number));
}

/** All items, in order, as a new array. */
export function listItems(cells: Cells, type: ListType, list: string): string[] {
  const head = cells.get(type.head, list);
  if (head === undefined) return [];
  const items: string[] = [];
  for (let number = head.first; number >= 0;) {
    const chunk = must(cells, type.chunk, chunkId(list, number));
    for (const item of chunk.items) items.push(item);
    number = chunk.next;
  }
  return items;
}

/**
 * The chunk with that number, or where it is gone the next one; undefined at the
 * end. Numbers grow along the list, and what is appended never gets one below the last.
 */
export function listChunkFrom(
  cells: Cells,
  type: ListType,
  list: string,
  number: number,
): { readonly number: number; readonly items: readonly string[] } | undefined {
  const known = cells.get(type.chunk, chunkId(list, number));
  if (known !== undefined) return { number, items: known.items };
  let at = cells.get(type.head, list)?.first ?? -1;
  while (at >= 0 && at < number) at = must(cells, type.chunk, chunkId(list, at)).next;
  return at < 0 ? undefined : { number: at, items: must(cells, type.chunk, chunkId(list, at)).items };
}

/** Shorter texts are made anew each time. */
const KEPT_TEXT_MIN = 64;
/** How many texts are kept; one more, and all are forgotten. */
const KEPT_TEXTS_MAX = 256;

/** All items, in order, each followed by a NUL. Kept until the list changes, where texts are kept. */
export function listText(cells: Cells, type: ListType, list: string): string {
  const head = cells.get(type.head, list);
  if (head === undefined) return "";
  if (!type.listed || head.bytes < KEPT_TEXT_MIN || cells.texts === undefined)
    return joined(cells, type, list, head.first);
  const kept = cells.texts.get(list);
  if (kept !== undefined) return kept;
  if (cells.texts.size >= KEPT_TEXTS_MAX) cells.texts.clear();
  const text = joined(cells, type, list, head.first);
  cells.texts.set(list, text);
  return text;
}

function joined(cells: Cells, type: ListType, list: string, first: number): string {
  let text = "";
  for (let number = first; number >= 0;) {
    const chunk = must(cells, type.chunk, chunkId(list, number));
    text += chunk.items.join("\0");
    text += "\0";
    number = chunk.next;
  }
  return text;
}

/** The list changes. */
function forgetText(cells: Cells, type: ListType, list: string): void {
  if (type.listed && cells.texts !== undefined && cells.texts.size > 0) cells.texts.delete(list);
}

/**
 * Items from byte `offset` of `listText` on, as many whole ones as fit into
 * `bytesMax`, each followed by a NUL.
 */
export function listTextFrom(
  cells: Cells,
  type: ListType,
  list: string,
  offset: number,
  bytesMax: number,
): string {
  const part = listText(cells, type, list).slice(offset, offset + bytesMax);
  return part.slice(0, part.lastIndexOf("\0") + 1);
}

/** Which of two items of one list came first: negative, zero or positive. */
export function listCompare(
  cells: Cells,
  type: ListType,
  list: string,
  a: { number: number; item: string },
  b: { number: number; item: string },
): number {
  if (a.number !== b.number) return a.number - b.number;
  const items = must(cells, type.chunk, chunkId(list, a.number)).items;
  return items.indexOf(a.item) - items.indexOf(b.item);
}

/** Drops the whole list; returns how many bytes it had. */
export function listDrop(cells: Cells, type: ListType, list: string): number {
  const head = cells.get(type.head, list);
  if (head === undefined) return 0;
  forgetText(cells, type, list);
  const { bytes } = head;
  for (let number = head.first; number >= 0;) {
    const next = must(cells, type.chunk, chunkId(list, number)).next;
    cells.drop(type.chunk, chunkId(list, number));
    number = next;
  }
  cells.drop(type.head, list);
  return bytes;
}

/**
 * A number of at most 52 bits that depends on the items and their order and on
 * nothing else. It is kept up to date as a sum over neighbouring pairs.
 */
export function listDigest(cells: Cells, type: ListType, list: string): number {
  const head = cells.get(type.head, list);
  return head === undefined ? 0 : (head.digestHigh & 0xfffff) * 2 ** 32 + (head.digestLow >>> 0);
}

function addPair(head: ListHead, before: string, item: string, sign: 1 | -1): void {
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (let i = 0; i < before.length; i++) {
    const c = before.charCodeAt(i);
    low = Math.imul(low ^ c, 0x01000193);
    high = Math.imul(high ^ c, 0x85ebca6b);
  }
  low = Math.imul(low ^ 0x2f, 0x01000193);
  high = Math.imul(high ^ 0x2f, 0x85ebca6b);
  for (let i = 0; i < item.length; i++) {
    const c = item.charCodeAt(i);
    low = Math.imul(low ^ c, 0x01000193);
    high = Math.imul(high ^ c, 0x85ebca6b);
  }
  head.digestLow = (head.digestLow + sign * low) | 0;
  head.digestHigh = (head.digestHigh + sign * (high ^ (high >>> 13))) | 0;
}
