// SPDX-License-Identifier: Apache-2.0
//
// The cells of a xenstored by itself: nodes, and the lists of their children, are
// in a table of their own (node-table.ts).

import { type CellId, type CellTable, PlainCells } from "../engine/cells.ts";
import type { ListChunk, ListHead } from "./list.ts";
import { type MakeBytes, NodeTable } from "./node-table.ts";
import { OwnNodes } from "./own-nodes.ts";
import { textHash, TextTable } from "./text-table.ts";
import { observersType, transactionNodeType, transactionType } from "./transaction-cells.ts";
import { childrenList, nodeType } from "./tree.ts";
import { pathWatchesType, WatchTable } from "./watch-table.ts";

/** What a process can give the cells that the core has not. */
export interface StoreMemory {
  /** Default: plain typed arrays. */
  readonly make?: MakeBytes | undefined;
  /** Any 32 bits that clients cannot know. Default 0. */
  readonly seed?: number | undefined;
}

/** Cells without tracking, for as many nodes as there is memory for. */
export class StoreCells extends PlainCells {
  readonly nodes: NodeTable;
  readonly watches: WatchTable;
  readonly observers: TextTable;
  readonly ownNodes: OwnNodes;
  /** Whether nodes may go without `drop` being called for each; not where a `drop` of one's own has to know. */
  readonly dropsQuietly: boolean = true;

  constructor({ make = (length) => new Uint8Array(length), seed = 0 }: StoreMemory = {}) {
    const nodes = new NodeTable(make, seed);
    const hashOf = (path: string): number => nodes.hashOf(path);
    const watches = new WatchTable(hashOf);
    const observers = new TextTable(hashOf);
    const ownNodes = new OwnNodes(hashOf);
    super([
      [nodeType, nodes],
      [childrenList.head, new Heads(nodes)],
      [childrenList.chunk, new Chunks(nodes)],
      [transactionType, new TextTable((text) => textHash(seed, text))],
      [transactionNodeType, ownNodes],
      [observersType, observers],
      [pathWatchesType, watches],
    ]);
    this.nodes = nodes;
    this.watches = watches;
    this.observers = observers;
    this.ownNodes = ownNodes;
  }
}

/** Lists of children: each is with its node. */
class Heads implements CellTable {
  readonly #nodes: NodeTable;

  constructor(nodes: NodeTable) {
    this.#nodes = nodes;
  }

  get(id: CellId): object | undefined {
    return this.#nodes.listOf(id as string)?.head;
  }

  add(id: CellId, content: object): object | undefined {
    const list = this.#nodes.makeList(id as string);
    if (list.head !== undefined) return undefined;
    list.head = content as ListHead;
    return content;
  }

  drop(id: CellId): boolean {
    const list = this.#nodes.listOf(id as string);
    if (list?.head === undefined) return false;
    list.head = undefined;
    if (list.first === undefined) this.#nodes.dropList(id as string);
    return true;
  }

  ids(): string[] {
    return this.#nodes.ids().filter((path) => this.get(path) !== undefined);
  }

  get count(): number {
    return this.ids().length;
  }
}

/** Their chunks: the first is with the node, and has its path for an identifier; nearly all lists have no other. */
class Chunks implements CellTable {
  readonly #nodes: NodeTable;
  readonly #further = new Map<string, object>();

  constructor(nodes: NodeTable) {
    this.#nodes = nodes;
  }

  get(id: CellId): object | undefined {
    return this.#nodes.listOf(id as string)?.first ?? this.#further.get(id as string);
  }

  add(id: CellId, content: object): object | undefined {
    if (this.get(id) !== undefined) return undefined;
    if (isPath(id)) this.#nodes.makeList(id as string).first = content as ListChunk;
    else this.#further.set(id as string, content);
    return content;
  }

  drop(id: CellId): boolean {
    if (!isPath(id)) return this.#further.delete(id as string);
    const list = this.#nodes.listOf(id as string);
    if (list?.first === undefined) return false;
    list.first = undefined;
    if (list.head === undefined) this.#nodes.dropList(id as string);
    return true;
  }

  ids(): string[] {
    const first = this.#nodes.ids().filter((path) => this.#nodes.listOf(path)?.first !== undefined);
    return [...first, ...this.#further.keys()];
  }

  get count(): number {
    return this.ids().length;
  }
}

function isPath(id: CellId): boolean {
  return !(id as string).includes("\0");
}
