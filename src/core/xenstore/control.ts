// SPDX-License-Identifier: Apache-2.0
//
// CONTROL: what xenstore-control asks for (xenstored_control.c).

import { fail, type Failure } from "../engine/errno.ts";
import { checkStore } from "./check.ts";
import { connectionType } from "./connection.ts";
import { isIntroduced, knownDomains } from "./domain.ts";
import type { Store } from "./ports.ts";
import { accountOf, type Limits, setLimit, settingsOf } from "./quota.ts";
import { atoi, OK, type Request, strings } from "./request.ts";

interface Command {
  readonly parameters: string;
  run(store: Store, args: readonly string[]): string | Failure;
}

const limitTexts: readonly (readonly [name: keyof Limits, text: string])[] = [
  ["nodes", "Nodes per domain"],
  ["watches", "Watches per domain"],
  ["transactions", "Transactions per domain"],
  ["outstanding", "Outstanding requests per domain"],
  ["transaction-nodes", "Max. number of accessed nodes per transaction"],
  ["memory", "Total Xenstore memory per domain (error level)"],
  ["node-size", "Max. size of a node"],
  ["path-max", "Max. length of a node path"],
  ["permissions", "Max. number of permissions per node"],
];

const commands: Readonly<Record<string, Command>> = {
  check: {
    parameters: "",
    run: (store, args) => {
      if (args.length > 0) return fail("EINVAL");
      for (const problem of checkStore(store.cells)) store.log?.(`check_store: ${problem}`);
      return OK;
    },
  },
  print: {
    parameters: "<string>",
    run: (store, args) => {
      if (args.length !== 1) return fail("EINVAL");
      store.log?.(args[0] as string);
      return OK;
    },
  },
  quota: { parameters: "[set <name> <val>|<domid>]", run: quota },
  "quota-soft": { parameters: "[set <name> <val>]", run: quotaSoft },
  help: { parameters: "", run: (_store, args) => (args.length > 0 ? fail("EINVAL") : helpText()) },
};

function helpText(): string {
  const lines = Object.entries(commands).map(([name, { parameters }]) => `${name}\t${parameters}\n`);
  return `${lines.join("")}\0`;
}

/** CONTROL. EINVAL for an unknown command or wrong arguments. */
export function control(store: Store, request: Request): string | Failure {
  const [name, ...args] = strings(request);
  if (name === undefined || !Object.hasOwn(commands, name)) return fail("EINVAL");
  return (commands[name] as Command).run(store, args);
}

function settingLine(name: string, value: number, text: string): string {
  return `${name.padEnd(17)}: ${String(value).padStart(8)} ${text}\n`;
}

function quota(store: Store, args: readonly string[]): string | Failure {
  const { limits } = settingsOf(store.cells);
  if (args.length === 0) {
    return `Quota settings:\n${limitTexts.map(([name, text]) => settingLine(name, limits[name], text)).join("")}\0`;
  }
  if (args[0] === "set") {
    const name = limitTexts.find(([known]) => known === args[1])?.[0];
    return setQuota(store, name, args);
  }
  return args.length === 1 ? quotaOf(store, atoi(args[0] as string)) : fail("EINVAL");
}

function quotaSoft(store: Store, args: readonly string[]): string | Failure {
  if (args.length === 0) {
    const value = settingsOf(store.cells).limits["soft-memory"];
    return `Quota settings:\n${settingLine("memory", value, "Total Xenstore memory per domain (warning level)")}\0`;
  }
  if (args[0] !== "set") return fail("EINVAL");
  return setQuota(store, args[1] === "memory" ? "soft-memory" : undefined, args);
}

function setQuota(store: Store, name: keyof Limits | undefined, args: readonly string[]): string | Failure {
  const value = args.length === 3 ? atoi(args[2] as string) : 0;
  if (name === undefined || value < 1) return fail("EINVAL");
  setLimit(store.cells, name, value);
  return OK;
}

/** What a known domain holds (domain_get_quota in xenstored_domain.c). Nothing is counted for privileged ones. */
function quotaOf(store: Store, domid: number): string | Failure {
  const { cells } = store;
  if (!knownDomains(cells).includes(domid)) return fail("ENOENT");
  const { nodes, watches, outstanding, memory } = accountOf(cells, domid);
  const transactions = isIntroduced(cells, domid)
    ? (cells.get(connectionType, domid)?.transactions.length ?? 0)
    : 0;
  const lines = Object.entries({ nodes, watches, transactions, outstanding, memory });
  const text = lines.map(([name, value]) => `${name.padEnd(16)}: ${String(value).padStart(8)}\n`).join("");
  return `Domain ${domid}:\n${text}\0`;
}
