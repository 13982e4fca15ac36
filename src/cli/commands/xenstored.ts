// SPDX-License-Identifier: Apache-2.0
//
// xenolith xenstored: only the store, on a socket.

import type { ConflictRule, XenstoreVersion } from "../../core/xenstore/store.ts";
import { XENSTORE_VERSIONS } from "../../core/xenstore/version.ts";
import { Problem, systemWords, usage } from "../../live/problem.ts";
import { FileRings } from "../../live/xenstored/file-rings.ts";
import { serveXenstored, SocketError } from "../../live/xenstored/server.ts";
import type { XenstoredServer } from "../../live/xenstored/server.ts";
import { standaloneStore } from "../../live/xenstored/standalone.ts";
import type { Command, Invocation } from "../command.ts";
import { printJson } from "../command.ts";
import { untilSignal } from "../signals.ts";

const NEXT: { readonly [code in SocketError["code"]]: string } = {
  SOCKET_PATH_TOO_LONG: "xenolith xenstored --socket /tmp/xenstored.sock",
  SOCKET_IN_USE: "xenolith store ls --socket PATH",
  SOCKET_NOT_A_SOCKET: "xenolith xenstored --socket /tmp/xenstored.sock",
};

async function listen(socketPath: string, values: Invocation["values"]): Promise<XenstoredServer> {
  const version = values["xen-version"] as XenstoreVersion | undefined;
  const conflicts = values["conflicts"] as ConflictRule | undefined;
  const rings = values["domains"] === undefined ? undefined : domainFiles(values["domains"]);
  try {
    return await serveXenstored({
      socketPath,
      store: (queued) => standaloneStore({ version, conflicts, domains: rings?.domains }, queued),
      rings,
    });
  } catch (error) {
    if (error instanceof SocketError)
      throw new Problem(error.message, NEXT[error.code].replace("PATH", socketPath));
    throw new Problem(`cannot listen at ${socketPath}: ${systemWords(error)}`, NEXT.SOCKET_NOT_A_SOCKET);
  }
}

function domainFiles(dir: string): FileRings {
  try {
    return new FileRings(dir);
  } catch (error) {
    throw new Problem(`cannot use the domains in ${dir}: ${systemWords(error)}`, null);
  }
}

async function run({ values, json }: Invocation): Promise<number> {
  const { socket } = values;
  if (socket === undefined) throw usage("needs --socket PATH");
  const server = await listen(socket, values);
  if (json) printJson({ socket, pid: process.pid });
  else process.stdout.write(`xenstored listens at ${socket}\nTry: xenolith store ls --socket ${socket}\n`);
  await untilSignal();
  await server.close();
  return 0;
}

export const command: Command = {
  name: "xenstored",
  summary: "only the store, on a socket of its own",
  operands: "--socket PATH",
  details: "Runs until it is interrupted (Ctrl-C or SIGTERM).",
  examples: [
    "xenolith xenstored --socket /tmp/xenstored.sock",
    "XENSTORED_PATH=/tmp/xenstored.sock xenstore-ls -f",
  ],
  options: [
    { name: "socket", value: "PATH", help: "where to listen; at most 107 bytes" },
    {
      name: "xen-version",
      value: "V",
      among: XENSTORE_VERSIONS,
      help: "whose xenstored it is to be (default: 4.17)",
    },
    {
      name: "conflicts",
      value: "RULE",
      among: ["observed", "strict"],
      help: "when a transaction conflicts: as C xenstored, or with everything it read (default: observed)",
    },
    {
      name: "domains",
      value: "DIR",
      help: "domains are files in DIR, for tests: their states, rings and events (docs/guides/conformance.md)",
    },
  ],
  run,
};
