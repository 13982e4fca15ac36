// SPDX-License-Identifier: Apache-2.0
//
// Every command, in the order in which help lists them. A command's code is
// loaded when it is run: somebody who wants a xenstored does not load the rest.

import type { Command } from "./command.ts";

interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<{ command: Command }>;
}

export const commands: readonly Entry[] = [
  { name: "start", summary: "a live host with two domains, to look around in", load: () => import("./commands/start.ts") },
  { name: "up", summary: "start a live host", load: () => import("./commands/up.ts") },
  { name: "down", summary: "stop it", load: () => import("./commands/down.ts") },
  { name: "status", summary: "what runs on it, and where its sockets are", load: () => import("./commands/status.ts") },
  { name: "xl", summary: "the built-in toolstack: xl's verbs, words and exit codes", load: () => import("./commands/xl.ts") },
];
