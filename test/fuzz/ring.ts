// SPDX-License-Identifier: Apache-2.0
//
// A ring whose other end is hostile: impossible indices, indices that are
// different at every look, half messages, noise anywhere in the page. The domain
// may lose its connection; the others notice nothing, and every turn ends.

import { StoreCells } from "../../src/core/xenstore/store-cells.ts";
import { checkStore } from "../../src/core/xenstore/check.ts";
import { connectionType } from "../../src/core/xenstore/connection.ts";
import {
  clientRead,
  clientWrite,
  requestReconnect,
  resetRing,
  ringError,
  type RingPage,
  setRingError,
  setServerFeatures,
} from "../../src/core/xenstore/ring.ts";
import { type Ring, serveRing } from "../../src/core/xenstore/ring-service.ts";
import {
  connectSocket,
  domainsChanged,
  receive,
  type Store,
  startStore,
  type XenstoreVersion,
} from "../../src/core/xenstore/store.ts";
import { encode, writeU32, XS } from "../../src/core/xenstore/wire.ts";
import { Chance } from "./chance.ts";
import { nextBytes } from "./messages.ts";
import { INNOCENT, Innocent, problem } from "./store.ts";

const DOMID = 1;
/** Where the indices are, and the fields after them. */
const INDICES = 2048;
const FIELDS_END = 2080;
/** A ring of 1024 bytes has at most 64 requests; each may need a turn, and one finds that there is no more. */
const TURNS_MAX = 66;

/** A page the other side writes to whenever it likes. */
class HostilePage implements RingPage {
  readonly bytes = new Uint8Array(4096);
  readonly #chance: Chance;
  /** Indices are noise at some looks. */
  flickers = false;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  read(offset: number, length: number): Uint8Array {
    if (this.flickers && offset >= INDICES && this.#chance.once(4))
      writeU32(this.bytes, INDICES + 4 * this.#chance.below(4), this.#chance.u32());
    return this.bytes.slice(offset, offset + length);
  }

  write(offset: number, data: Uint8Array): void {
    if (offset + data.length > FIELDS_END) problem(`a write at ${offset + data.length}`);
    this.bytes.set(data, offset);
  }

  /** Any of what a broken or hostile domain does to its page. */
  spoil(): void {
    const chance = this.#chance;
    const index = INDICES + 4 * chance.below(4);
    switch (chance.below(5)) {
      case 0:
        return writeU32(this.bytes, index, chance.u32());
      case 1:
        return writeU32(this.bytes, index, (this.bytes[index] as number) + chance.below(2000));
      case 2:
        return requestReconnect(this);
      case 3:
        this.bytes[chance.below(FIELDS_END)] = chance.below(256);
        return;
      default:
        this.flickers = !this.flickers;
    }
  }
}

/** Figures of an attack. */
export interface RingAttack {
  readonly pieces: number;
  readonly connectionsLost: number;
  readonly checks: number;
}

/** So many pieces of nonsense in a ring. Throws where something is not as it should be. */
export function attackRing(seed: number, pieces: number): RingAttack {
  const chance = new Chance(seed);
  const page = new HostilePage(chance);
  let isThere = true;
  const store: Store = {
    cells: new StoreCells(),
    now: 0,
    domains: {
      info: (domid) => (domid !== DOMID || isThere ? { shutdown: false, dying: false } : undefined),
      introduce: (domid, _gfn, _port, { features }) => {
        if (domid === DOMID && features !== null) setServerFeatures(page, features);
        return undefined;
      },
      rebind: () => undefined,
      resetRing: (domid) => domid === DOMID && resetRing(page),
      release: () => undefined,
      ignored: (_domid, error) => error !== null && setRingError(page, error),
    },
  };
  startStore(store, { version: chance.of<XenstoreVersion>(["4.17", "4.23"]) });
  const admin = connectSocket(store);
  const tell = (type: number, body: string): unknown => receive(store, admin, encode(type, 1, 0, body));
  for (const path of [`/local/domain/${INNOCENT}/own`, `/local/domain/${INNOCENT}`]) {
    tell(XS.MKDIR, `${path}\0`);
    tell(XS.SET_PERMS, `${path}\0n${INNOCENT}\0`);
  }
  for (const domid of [INNOCENT, DOMID]) tell(XS.INTRODUCE, `${domid}\x001\x001\0`);
  const innocent = new Innocent(store);
  const ring: Ring = { page, notify: () => undefined };
  let connectionsLost = 0;
  for (let piece = 0; piece < pieces; piece++) {
    if (chance.once(6)) page.spoil();
    else clientWrite(page, nextBytes(chance, "domain", []));
    let turns = 1;
    while (serveRing(store, DOMID, ring))
      if (++turns > TURNS_MAX && !page.flickers) problem(`${turns} turns`);
    if (!chance.once(5)) clientRead(page);
    if (piece % 50 === 0) innocent.check();
    if (store.cells.get(connectionType, DOMID)?.ignored !== true) continue;
    // It is told why, and starts anew only by its death.
    if (ringError(page) === 0 && !page.flickers) problem("a connection that was dropped without a word");
    connectionsLost++;
    isThere = false;
    domainsChanged(store);
    isThere = true;
    page.bytes.fill(0);
    page.flickers = false;
    tell(XS.INTRODUCE, `${DOMID}\x001\x001\0`);
  }
  innocent.check();
  const problems = checkStore(store.cells);
  if (problems.length > 0) problem(`the store is not sound: ${problems.join("; ")}`);
  return { pieces, connectionsLost, checks: innocent.rounds };
}
