// SPDX-License-Identifier: Apache-2.0
//
// Transactions: all of it happens at the commit, or nothing.

import { setTimeout as sleep } from "node:timers/promises";
import { XS } from "../core/xenstore/wire.ts";
import type { Connection } from "./connection.ts";
import { XenstoreConnectionError, XenstoreError } from "./errors.ts";
import type { Encoding } from "./payload.ts";
import { type RequestOptions, XenstoreView } from "./view.ts";

/** How a transaction is tried. */
export interface TransactionOptions extends RequestOptions {
  /** How often at most; default 1000. */
  readonly attemptsMax?: number | undefined;
}

/** An open transaction. It belongs to one connection and is gone with it. */
export class XenstoreTransaction extends XenstoreView {
  constructor(connection: Connection, txId: number, encoding: Encoding) {
    super(
      (type, payload, argument, options) =>
        connection.request({ type, txId, payload, argument, signal: options?.signal }),
      encoding,
    );
  }

  /** Fails with EAGAIN where others have changed what it rests on. It is over either way. */
  async commit(options?: RequestOptions): Promise<void> {
    await this.ask(XS.TRANSACTION_END, "TRANSACTION_END", ["T"], options);
  }

  /** Forgets all that was done. */
  async abort(options?: RequestOptions): Promise<void> {
    await this.ask(XS.TRANSACTION_END, "TRANSACTION_END", ["F"], options);
  }
}

/** Attempts that are made without a pause. */
const EAGER_ATTEMPTS = 3;
/** Longest pause between two attempts, milliseconds; how long it is, is chance, so that rivals part. */
const PAUSE_MS_MAX = 20;

/** Does `work` in transactions that `begin` starts, until one is committed. */
export async function attempt<T>(
  begin: () => Promise<XenstoreTransaction>,
  work: (transaction: XenstoreTransaction) => Promise<T>,
  { attemptsMax = 1000, signal }: TransactionOptions,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    const transaction = await begin();
    let isCommitting = false;
    try {
      const result = await work(transaction);
      signal?.throwIfAborted();
      isCommitting = true;
      await transaction.commit();
      return result;
    } catch (error) {
      if (!isCommitting) await transaction.abort().catch(() => undefined);
      if (!mayRepeat(error, isCommitting) || tries >= attemptsMax) throw error;
    }
    if (tries > EAGER_ATTEMPTS) await sleep(Math.random() * PAUSE_MS_MAX);
    signal?.throwIfAborted();
  }
}

/** Whether nothing was done: others were faster, or the connection broke before the commit was asked for. */
function mayRepeat(error: unknown, isCommitting: boolean): boolean {
  if (error instanceof XenstoreError) return isCommitting && error.code === "EAGAIN";
  return !isCommitting && error instanceof XenstoreConnectionError && error.code === "XENSTORE_LOST";
}
