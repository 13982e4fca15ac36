// SPDX-License-Identifier: Apache-2.0
//
// Cells that remember what has changed of all that is to last longer than the
// process: the tree, what is known of domains, special watches' permissions and
// limits. What belongs to a connection goes with it, and so is not remembered:
// watches, transactions, messages under way.

import type { CellId, CellType } from "../engine/cells.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { connectionType, FIRST_SOCKET } from "./connection.ts";
import { knownDomainsType, knownDomainType } from "./domain.ts";
import { incarnationType } from "./perms.ts";
import { domainSettingsType, settingsType } from "./quota.ts";
import { specialType } from "./special.ts";
import type { StreamRecord } from "./stream.ts";
import {
  domainOrderRecord,
  domainRecord,
  nodeRecord,
  OWN_REMOVED,
  quotaRecord,
  specialRecord,
} from "./stream-save.ts";
import { StoreCells } from "./store-cells.ts";
import { nodeType } from "./tree.ts";

/** Cells of these types belong to the domain with their identifier. */
const ofDomain: ReadonlySet<number> = new Set(
  [knownDomainType, incarnationType, domainSettingsType, connectionType].map(({ index }) => index),
);
/** The others that last, but for nodes. */
const ofAll: ReadonlySet<number> = new Set(
  [knownDomainsType, specialType, settingsType].map(({ index }) => index),
);

/** What has changed since it was last asked, as records that bring a copy up to date. */
export interface Changes {
  /** For a copy that is whole. */
  readonly records: readonly StreamRecord[];
  /** For a copy that `checkpoint` is making: what it has not come to yet is left out. Empty without one. */
  readonly covered: readonly StreamRecord[];
}

/** Cells with a memory of their changes. */
export class JournalCells extends StoreCells {
  override readonly dropsQuietly = false;
  /** Nodes that were there and were dropped, children before parents; whether the checkpoint had them. */
  readonly #dropped = new Map<string, boolean>();
  /** Nodes that were added and are there, in order. */
  readonly #added = new Set<string>();
  /** Nodes that were there and have changed. */
  readonly #edited = new Set<string>();
  readonly #domains = new Set<number>();
  readonly #others = new Set<string>();
  #checkpoint: Checkpoint | null = null;
  #remembers = false;

  /** From here on changes are remembered: the copy is what the cells are. */
  remember(): void {
    this.#remembers = true;
  }

  /** Whether there is anything to be told. */
  get changed(): boolean {
    return (
      this.#dropped.size > 0 ||
      this.#added.size > 0 ||
      this.#edited.size > 0 ||
      this.#domains.size > 0 ||
      this.#others.size > 0
    );
  }

  /** A checkpoint begins, or with null is over. There must be no changes that were not taken. */
  set checkpoint(checkpoint: Checkpoint | null) {
    if (this.changed) throw new Error("a checkpoint begins or ends between changes and their taking");
    this.#checkpoint = checkpoint;
  }

  override edit<T extends object>(type: CellType<T>, id: CellId): T {
    if (type.index !== nodeType.index) this.#note(type, id);
    else if (this.#remembers && !this.#added.has(id as string)) this.#edited.add(id as string);
    return super.edit(type, id);
  }

  override add<T extends object>(type: CellType<T>, id: CellId, content: T): T {
    if (type.index !== nodeType.index) this.#note(type, id);
    else if (this.#remembers) this.#added.add(id as string);
    return super.add(type, id, content);
  }

  override drop<T extends object>(type: CellType<T>, id: CellId): void {
    if (type.index !== nodeType.index) this.#note(type, id);
    else if (this.#remembers) this.#dropNode(id as string);
    super.drop(type, id);
  }

  #dropNode(path: string): void {
    if (!this.#added.delete(path)) {
      this.#edited.delete(path);
      this.#dropped.set(path, this.#checkpoint?.covers(path) ?? false);
    }
    this.#checkpoint?.dropped(path);
  }

  #note<T extends object>(type: CellType<T>, id: CellId): void {
    if (!this.#remembers) return;
    if (ofDomain.has(type.index)) {
      if ((id as number) < FIRST_SOCKET) this.#domains.add(id as number);
    } else if (ofAll.has(type.index)) this.#others.add(type === specialType ? (id as string) : type.name);
  }

  /** The changes since the last call, all of which belong together. */
  takeChanges(): Changes {
    const general = this.#generalRecords();
    const nodes = [...this.#added, ...this.#edited];
    const removed = [...this.#dropped.keys()];
    const all = [...general, ...removal(removed), ...nodes.map((path) => nodeRecord(this, path))];
    let covered: StreamRecord[] = [];
    const checkpoint = this.#checkpoint;
    if (checkpoint !== null) {
      const had = removed.filter((path) => this.#dropped.get(path));
      const has = nodes.filter((path) => checkpoint.covers(path));
      covered = [...general, ...removal(had), ...has.map((path) => nodeRecord(this, path))];
    }
    for (const collection of [this.#dropped, this.#added, this.#edited, this.#domains, this.#others])
      collection.clear();
    return { records: all, covered };
  }

  #generalRecords(): StreamRecord[] {
    const records = [...this.#domains].map((domid) => domainRecord(this, domid));
    for (const what of this.#others) {
      if (what === settingsType.name) records.push(quotaRecord(this));
      else if (what === knownDomainsType.name) records.push(domainOrderRecord(this));
      else records.push(specialRecord(this, what));
    }
    return records;
  }
}

function removal(paths: readonly string[]): StreamRecord[] {
  return paths.length === 0 ? [] : [{ type: "own", kind: OWN_REMOVED, body: paths }];
}
