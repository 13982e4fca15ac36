// SPDX-License-Identifier: Apache-2.0
//
// on_poweroff=, on_reboot=, …: what becomes of a domain that stops.

import type { ActionOnShutdown } from "./domain-config.ts";
import { die, type Section } from "./parse-context.ts";
import { getString } from "./reader.ts";

/** Actions by the names xl.cfg has for them, and what xl calls them in its log. */
export const actionNames: Readonly<Record<ActionOnShutdown, string>> = {
  destroy: "destroy",
  restart: "restart",
  restart_rename: "rename-restart",
  preserve: "preserve",
  coredump_destroy: "coredump-destroy",
  coredump_restart: "coredump-restart",
  soft_reset: "soft-reset",
};

const events = [
  ["on_poweroff", "destroy"],
  ["on_reboot", "restart"],
  ["on_watchdog", "destroy"],
  ["on_crash", "destroy"],
  ["on_soft_reset", "soft-reset"],
] as const;

/** The five actions, with xl's defaults. */
export const parseShutdownActions: Section = (parse) => {
  for (const [event, fallback] of events) {
    const name = getString(parse, event) ?? fallback;
    const action = (Object.keys(actionNames) as ActionOnShutdown[]).find((key) => actionNames[key] === name);
    if (action === undefined) return die(parse, `Unknown ${event} action "${name}" specified\n`);
    parse.domain[event] = action;
  }
  return undefined;
};
