// SPDX-License-Identifier: Apache-2.0
//
// A request as oxenstored's rules see it.

import type { Caller } from "../caller.ts";
import type { After } from "../request.ts";
import type { View } from "./tree.ts";

/** A request of a connection. */
export interface OcamlRequest {
  readonly caller: Caller;
  /** The transaction it is part of. */
  readonly view: View;
  readonly reqId: number;
  /** Payload as a latin1 string. */
  readonly body: string;
  /** What to do once the reply is queued. */
  readonly after: After;
}
