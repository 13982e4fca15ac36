// SPDX-License-Identifier: Apache-2.0
//
// The domains of a folder (domain-files.ts), served by a store of this process.

import { isIntroduced } from "../../core/xenstore/domain.ts";
import { resetRing, setRingError, setServerFeatures } from "../../core/xenstore/ring.ts";
import { type Ring, serveRing } from "../../core/xenstore/ring-service.ts";
import {
  type Domains,
  domainsChanged,
  expireEvents,
  nextDeadline,
  type Store,
  writeRateDeadline,
} from "../../core/xenstore/store.ts";
import {
  domainState,
  domainStates,
  EventFile,
  FIRST_DOMAIN_PORT,
  prepareDomainFiles,
  RingFile,
  VIRQ_PORT,
} from "./domain-files.ts";

/** Rings of the domains of a folder. */
export class FileRings {
  readonly #dir: string;
  readonly #events: EventFile;
  readonly #notify: EventFile;
  readonly #pages = new Map<number, RingFile>();
  /** Domains whose ring is to be looked at. */
  readonly #waiting = new Set<number>();
  #scheduled = false;
  #timer: NodeJS.Timeout | undefined;
  #store: Store | undefined;
  #served: () => void = () => undefined;

  /** Throws where the folder cannot be prepared. */
  constructor(dir: string) {
    this.#dir = dir;
    prepareDomainFiles(dir);
    this.#events = new EventFile(dir, "evtchn");
    this.#notify = new EventFile(dir, "notify");
    this.#pages.set(0, new RingFile(dir, 0));
  }

  /** What the store sees of the domains. */
  readonly domains: Domains = {
    info: (domid) => {
      if (domid === 0) return { shutdown: false, dying: false };
      const state = domainState(this.#dir, domid);
      if (state === domainStates.absent) return undefined;
      return { shutdown: state >= domainStates.shutdown, dying: state === domainStates.dead };
    },
    introduce: (domid, _gfn, _port, { features }) => {
      const page = new RingFile(this.#dir, domid);
      this.#pages.set(domid, page);
      if (features !== null) setServerFeatures(page, features);
      return undefined;
    },
    // A domain has one port here, whatever it says.
    rebind: () => undefined,
    resetRing: (domid) => {
      const page = this.#pages.get(domid);
      if (page !== undefined && resetRing(page)) this.#notify.raise(FIRST_DOMAIN_PORT + domid);
    },
    release: (domid) => {
      this.#pages.get(domid)?.close();
      this.#pages.delete(domid);
      this.#waiting.delete(domid);
    },
    ignored: (domid, error) => {
      const page = this.#pages.get(domid);
      if (page !== undefined && error !== null) setRingError(page, error);
    },
  };

  /** Serves the rings from now on. `served` is called when something was done, so that sockets are looked at, too. */
  start(store: Store, served: () => void): void {
    this.#store = store;
    this.#served = served;
    this.#events.listen((port) => {
      if (port === VIRQ_PORT) {
        domainsChanged(store);
        served();
      } else this.look(port - FIRST_DOMAIN_PORT);
    });
  }

  /** A domain has something to take, or may have sent something. */
  look(domid: number): void {
    this.#waiting.add(domid);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#serve());
  }

  /** One request of each domain that waits; then sockets have their turn. */
  #serve(): void {
    this.#scheduled = false;
    const store = this.#store;
    if (store === undefined) return;
    const now = [...this.#waiting];
    this.#waiting.clear();
    for (const domid of now) {
      const page = this.#pages.get(domid);
      if (page === undefined || !isIntroduced(store.cells, domid)) continue;
      const ring: Ring = { page, notify: () => this.#notify.raise(FIRST_DOMAIN_PORT + domid) };
      if (serveRing(store, domid, ring)) this.look(domid);
    }
    this.#served();
    this.#setTimer(store);
  }

  /** Wakes for the next event that has waited too long. */
  #setTimer(store: Store): void {
    clearTimeout(this.#timer);
    const next = this.#nextDeadline(store);
    if (next === Infinity) return;
    this.#timer = setTimeout(
      () => {
        for (const domid of this.#pages.keys()) {
          expireEvents(store, domid);
          this.look(domid);
        }
      },
      Math.max(1, (next - store.now) / 1000),
    );
  }

  /** When an event will have waited too long, or a domain that wrote too much may go on; microseconds. */
  #nextDeadline(store: Store): number {
    const rates = [...this.#pages.keys()].map((domid) => writeRateDeadline(store, domid) ?? Infinity);
    return Math.min(nextDeadline(store.cells) ?? Infinity, ...rates);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#store = undefined;
    this.#events.close();
    this.#notify.close();
    for (const page of this.#pages.values()) page.close();
  }
}
