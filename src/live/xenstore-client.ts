// SPDX-License-Identifier: Apache-2.0
//
// How the program itself talks to a xenstored.

import { XenstoreClient } from "../client/index.ts";

/**
 * A client whose strings have a character for every byte, and that says so when
 * xenstored goes away. Rejects with the system's error where nobody answers.
 */
export function connectXenstore(path: string): Promise<XenstoreClient> {
  return XenstoreClient.connect({ path, encoding: "latin1", reconnect: false });
}
