// SPDX-License-Identifier: Apache-2.0
//
// A xenstored by itself, without a hypervisor: every domid might be a domain,
// and INTRODUCE makes a domain known without a ring.

import { StoreCells } from "../../core/xenstore/store-cells.ts";
import {
  type DomainInfo,
  type Domains,
  startStore,
  type Store,
  type StoreOptions,
} from "../../core/xenstore/store.ts";
import { LiveStore } from "./live-store.ts";
import { storeMemory } from "./store-memory.ts";

/** Changes a second that guests share while transactions are open (WRL_RATE in xenstored_domain.c). */
export const WRITE_RATE = 200;

/** Domids from here on are reserved (DOMID_FIRST_RESERVED). */
const DOMID_FIRST_RESERVED = 0x7ff0;

/** The hypervisor for a xenstored that has none; remembers event channels, for who takes over. */
export class StandaloneDomains implements Domains {
  /** Event channels of introduced domains, as INTRODUCE named them. */
  readonly ports = new Map<number, number>();

  info(domid: number): DomainInfo | undefined {
    return domid >= 0 && domid < DOMID_FIRST_RESERVED ? { shutdown: false, dying: false } : undefined;
  }

  introduce(domid: number, _gfn: number, port: number): undefined {
    this.ports.set(domid, port);
  }

  rebind(domid: number, port: number): void {
    this.ports.set(domid, port);
  }

  resetRing(): void {
    // There is none.
  }

  release(domid: number): void {
    this.ports.delete(domid);
  }

  ignored(): void {
    // There is no ring to say so in.
  }
}

/** How a xenstored is started, and where it tells what it does. */
export interface StandaloneOptions extends StoreOptions {
  /** Default: no hypervisor. */
  readonly domains?: Domains | undefined;
  readonly log?: Store["log"];
  readonly observe?: Store["observe"];
}

/** A started store in plain cells, on the machine's clock. */
export function standaloneStore(options: StandaloneOptions, queued: (conn: number) => void): Store {
  const store = new LiveStore({
    cells: new StoreCells(storeMemory()),
    domains: options.domains ?? new StandaloneDomains(),
    queued,
    observe: options.observe,
    log: options.log,
  });
  startStore(store, { writeRate: WRITE_RATE, ...options });
  return store;
}
