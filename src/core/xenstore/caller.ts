// SPDX-License-Identifier: Apache-2.0
//
// Who makes a request, and in which transaction.

import type { Subject } from "./perms.ts";

/** The connection a request came from, as the request's functions see it. */
export interface Caller extends Subject {
  readonly conn: number;
  /** Key of the transaction the request is part of, or null. */
  readonly transaction: string | null;
}
