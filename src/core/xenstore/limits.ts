// SPDX-License-Identifier: Apache-2.0
//
// The names of what a domain can be limited in.

/** Hard limits, by the names CONTROL quota uses, and the one soft limit. */
export interface Limits {
  nodes: number;
  watches: number;
  transactions: number;
  outstanding: number;
  "transaction-nodes": number;
  memory: number;
  "node-size": number;
  "path-max": number;
  permissions: number;
  "soft-memory": number;
}
