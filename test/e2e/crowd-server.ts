// SPDX-License-Identifier: Apache-2.0
//
// A process that serves xenstored, and does all else that opens and closes
// descriptors: children, HTTP, files in other threads, another xenstored. Takes
// two sockets' paths; when its input ends it ends, and prints how many clients were
// accepted, and of how many the descriptor was known.

import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, get } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { AcceptedDescriptors } from "../../src/live/xenstored/accepted-descriptors.ts";
import { serveXenstored } from "../../src/live/xenstored/server.ts";
import { standaloneStore } from "../../src/live/xenstored/standalone.ts";

class Counted extends AcceptedDescriptors {
  asked = 0;
  known = 0;

  override accepted(): number | null {
    const fd = super.accepted();
    this.asked++;
    if (fd !== null) this.known++;
    return fd;
  }
}

const [socketPath, otherPath] = process.argv.slice(2) as [string, string];
const descriptors = new Counted();
const server = await serveXenstored({
  socketPath,
  descriptors,
  store: (queued) => standaloneStore({}, queued),
});
const other = await serveXenstored({
  socketPath: otherPath,
  store: (queued) => standaloneStore({}, queued),
});
const web = createServer((_, response) => response.end("page")).listen(0, "127.0.0.1");
await new Promise((resolve) => web.once("listening", resolve));
const { port } = web.address() as AddressInfo;

const files: number[] = [];
const mischief: readonly (() => void)[] = [
  () => spawn("/bin/true").on("error", () => undefined),
  () => get({ port, host: "127.0.0.1" }, (response) => response.resume()).on("error", () => undefined),
  () => void Promise.all(Array.from({ length: 6 }, () => readFile(import.meta.filename))),
  () => {
    const client = connect(otherPath, () => client.end("nonsense that is longer than a header"));
    client.resume().on("error", () => undefined);
  },
  () => void files.push(openSync("/dev/null", "r")),
  () => {
    for (const fd of files.splice(0)) closeSync(fd);
  },
];

let turn = 0;
const timer = setInterval(() => mischief[turn++ % mischief.length]?.(), 3);
process.stdin.resume().on("end", async () => {
  clearInterval(timer);
  await server.close();
  await other.close();
  process.stdout.write(`${JSON.stringify({ asked: descriptors.asked, known: descriptors.known })}\n`);
  process.exit(0);
});
process.stdout.write("serves\n");
