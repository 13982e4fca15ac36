// SPDX-License-Identifier: Apache-2.0
//
// Names of domains where another xenstored than ours keeps them: asked for over
// its socket like anybody else would, whenever one changes.

import type { XenstoreClient } from "../client/index.ts";
import { connectXenstore } from "./xenstore-client.ts";

const ROOT = "/local/domain";
const NAME = /^\/local\/domain\/(\d+)\/name$/;
const DOMAIN = /^\/local\/domain\/(\d+)$/;

/** What a xenstored outside calls the domains. */
export class OutsideNames {
  readonly #client: XenstoreClient;
  readonly #known = new Map<number, string>();

  private constructor(client: XenstoreClient) {
    this.#client = client;
  }

  /** Starts to follow the names. Rejects with the system's error. */
  static async follow(socket: string): Promise<OutsideNames> {
    const names = new OutsideNames(await connectXenstore(socket));
    await names.#list();
    // Without xenstored there are no new names; whoever looks on sees that it is gone elsewhere.
    void names.#watch().catch(() => undefined);
    return names;
  }

  /** A domain's name; null where it has none. */
  of(domid: number): string | null {
    return this.#known.get(domid) ?? null;
  }

  close(): void {
    this.#client.close();
  }

  async #list(): Promise<void> {
    const domids = await this.#client.directory(ROOT);
    await Promise.all(domids.map((domid) => this.#read(Number(domid))));
  }

  async #watch(): Promise<void> {
    for await (const { path } of await this.#client.watch(ROOT)) {
      const found = NAME.exec(path) ?? DOMAIN.exec(path);
      if (found !== null) await this.#read(Number(found[1]));
    }
  }

  async #read(domid: number): Promise<void> {
    try {
      this.#known.set(domid, await this.#client.read(`${ROOT}/${domid}/name`));
    } catch {
      this.#known.delete(domid);
    }
  }
}
