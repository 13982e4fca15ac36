// SPDX-License-Identifier: Apache-2.0
//
// What limits are called, in requests and in what CONTROL prints.

import type { Limits } from "./limits.ts";

/** A limit as 4.22 and later call it. */
export interface QuotaName {
  readonly limit: keyof Limits;
  /** Its name, and that of what it limits. */
  readonly name: string;
  readonly text: string;
}

const SOFT_PREFIX = "soft-";

/** What 4.22 and later count, in their order (quota_adm in domain.c). */
export const QUOTAS: readonly QuotaName[] = [
  { limit: "nodes", name: "nodes", text: "Nodes per domain" },
  { limit: "watches", name: "watches", text: "Watches per domain" },
  { limit: "outstanding", name: "outstanding", text: "Outstanding requests per domain" },
  { limit: "memory", name: "memory", text: "Total Xenstore memory per domain" },
  { limit: "transactions", name: "transactions", text: "Active transactions per domain" },
  {
    limit: "transaction-nodes",
    name: "transaction-nodes",
    text: "Max. number of accessed nodes per transaction",
  },
  { limit: "permissions", name: "node-permissions", text: "Max. number of permissions per node" },
  { limit: "path-max", name: "path-max", text: "Max. length of a node path" },
  { limit: "node-size", name: "node-size", text: "Max. size of a node" },
];

/** The one soft limit there is: reaching it is told, and nothing else happens. */
export const SOFT_MEMORY: QuotaName = {
  limit: "soft-memory",
  name: "memory",
  text: "Total Xenstore memory per domain",
};

/** The limits as 4.17 knows them (hard_quotas in xenstored_control.c). */
export const QUOTAS_4_17: readonly QuotaName[] = [
  { limit: "nodes", name: "nodes", text: "Nodes per domain" },
  { limit: "watches", name: "watches", text: "Watches per domain" },
  { limit: "transactions", name: "transactions", text: "Transactions per domain" },
  { limit: "outstanding", name: "outstanding", text: "Outstanding requests per domain" },
  {
    limit: "transaction-nodes",
    name: "transaction-nodes",
    text: "Max. number of accessed nodes per transaction",
  },
  { limit: "memory", name: "memory", text: "Total Xenstore memory per domain (error level)" },
  { limit: "node-size", name: "node-size", text: "Max. size of a node" },
  { limit: "path-max", name: "path-max", text: "Max. length of a node path" },
  { limit: "permissions", name: "permissions", text: "Max. number of permissions per node" },
];

/** The soft limit as 4.17 knows it. */
export const SOFT_MEMORY_4_17: QuotaName = {
  ...SOFT_MEMORY,
  text: "Total Xenstore memory per domain (warning level)",
};

/** All names of GET_QUOTA, soft limits with their prefix, in its order. */
export function quotaNames(): string[] {
  return QUOTAS.flatMap(({ name }) => (name === SOFT_MEMORY.name ? [name, SOFT_PREFIX + name] : [name]));
}

/** The limit of a name in GET_QUOTA or SET_QUOTA. */
export function quotaOfName(name: string): QuotaName | undefined {
  if (name === SOFT_PREFIX + SOFT_MEMORY.name) return SOFT_MEMORY;
  return QUOTAS.find((quota) => quota.name === name);
}
