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
  {
    name: "start",
    summary: "a live host with two domains, to look around in",
    load: () => import("./commands/start.ts"),
  },
  { name: "up", summary: "start a live host", load: () => import("./commands/up.ts") },
  { name: "down", summary: "stop a live host", load: () => import("./commands/down.ts") },
  {
    name: "status",
    summary: "what runs on a live host, and where its sockets are",
    load: () => import("./commands/status.ts"),
  },
  {
    name: "ps",
    summary: "the threads of a live host, and where each stands",
    load: () => import("./commands/ps.ts"),
  },
  {
    name: "doctor",
    summary: "who holds a domain that will not die, and what to do about it",
    load: () => import("./commands/doctor.ts"),
  },
  {
    name: "wait",
    summary: "wait until a domain is gone, not only dead",
    load: () => import("./commands/wait.ts"),
  },
  {
    name: "stack",
    summary: "the kernel stack of a thread of a live host",
    load: () => import("./commands/stack.ts"),
  },
  {
    name: "ethtool",
    summary: "an interface's counters, as `ethtool -S` prints them",
    load: () => import("./commands/ethtool.ts"),
  },
  {
    name: "ifconfig",
    summary: "dom0's network interfaces; takes a network card down or up",
    load: () => import("./commands/ifconfig.ts"),
  },
  {
    name: "fault",
    summary: "make things go wrong on a live host, and right again",
    load: () => import("./commands/fault.ts"),
  },
  {
    name: "free",
    summary: "free pages of a dead domain that nobody uses any more",
    load: () => import("./commands/free.ts"),
  },
  {
    name: "xl",
    summary: "the built-in toolstack: xl's verbs, words and exit codes",
    load: () => import("./commands/xl.ts"),
  },
  {
    name: "run",
    summary: "run an unmodified Xen program against a live host",
    load: () => import("./commands/run.ts"),
  },
  { name: "store", summary: "read, write and watch xenstore", load: () => import("./commands/store.ts") },
  {
    name: "xenstored",
    summary: "only the store, on a socket of its own",
    load: () => import("./commands/xenstored.ts"),
  },
  {
    name: "conformance",
    summary: "play the protocol and advisory suite to any xenstored",
    load: () => import("./commands/conformance.ts"),
  },
  { name: "sim", summary: "run a scenario once, as a seed decides", load: () => import("./commands/sim.ts") },
  {
    name: "explore",
    summary: "try every order of a scenario's steps",
    load: () => import("./commands/explore.ts"),
  },
  {
    name: "replay",
    summary: "run a recorded run again, and compare",
    load: () => import("./commands/replay.ts"),
  },
  {
    name: "export",
    summary: "turn a trace into a diagram, or into what other programs read",
    load: () => import("./commands/export.ts"),
  },
  {
    name: "completion",
    summary: "print a shell's completion script",
    load: () => import("./commands/completion.ts"),
  },
];

/** All of them, loaded: for what is made from the table. */
export async function loadCommands(): Promise<Command[]> {
  return Promise.all(commands.map(async ({ load }) => (await load()).command));
}
