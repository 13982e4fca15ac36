// SPDX-License-Identifier: Apache-2.0
//
// xenolith/xenstore: a client of any xenstored, for Node, without dependencies.
//
//   const xenstore = await connect();
//   await xenstore.write("/tool/hello", "world");
//   for await (const { path } of await xenstore.watch("/local/domain")) console.log(path);

import { type ConnectOptions, XenstoreClient } from "./client.ts";

export { XenstoreClient } from "./client.ts";
export type { ConnectOptions, WatchOptions } from "./client.ts";
export { ERROR_CODES, XenstoreConnectionError, XenstoreError } from "./errors.ts";
export type { ConnectionErrorCode, XenstoreErrorCode } from "./errors.ts";
export type { ReconnectOptions } from "./link.ts";
export type { Encoding, Text } from "./payload.ts";
export { XenstoreTransaction } from "./transaction.ts";
export type { TransactionOptions } from "./transaction.ts";
export { DEFAULT_SOCKET_PATH } from "./transport.ts";
export type { Perms, RequestOptions, XenstoreView } from "./view.ts";
export type { Watch, WatchEvent } from "./watch.ts";

/** Connects to a xenstored: a path, or more that is to be said. */
export function connect(options: string | ConnectOptions = {}): Promise<XenstoreClient> {
  return XenstoreClient.connect(typeof options === "string" ? { path: options } : options);
}
