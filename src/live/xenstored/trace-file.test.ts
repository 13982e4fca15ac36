// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { encode, parse, readLatin1, XS } from "../../core/xenstore/wire.ts";
import { Daemon } from "./daemon.ts";

let folder: string;
let socketPath: string;
let daemon: Daemon;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "trace-"));
  socketPath = join(folder, "socket");
  daemon = await Daemon.start({
    socketPath,
    store: {},
    pidFile: null,
    state: null,
    fsync: "never",
    metricsPort: null,
    logLevel: "error",
    watchLayout: "document",
    takeOver: false,
    domains: null,
    failed: (error) => {
      throw error;
    },
  });
});
afterEach(async () => {
  await daemon.close();
  rmSync(folder, { recursive: true });
});

/** A request over a connection of its own; the reply's payload. */
function ask(type: number, payload: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath).on("error", reject);
    socket.write(encode(type, 1, 0, payload));
    socket.once("data", (bytes: Buffer) => {
      const reply = parse(bytes, 0);
      if (reply.state === "packet") resolve(readLatin1(bytes, reply.start, reply.end - 1));
      else reject(new Error("no whole reply"));
      socket.destroy();
    });
  });
}

function control(...args: string[]): Promise<string> {
  return ask(XS.CONTROL, args.map((arg) => `${arg}\0`).join(""));
}

test("logfile, log and memreport write files", async () => {
  const trace = join(folder, "trace.log");
  expect(await control("memreport")).toBe("EINVAL");
  expect(await control("log", "on")).toBe("OK");
  expect(await control("logfile", trace)).toBe("OK");
  await ask(XS.WRITE, "/a\0one\0two");
  expect(readFileSync(trace, "latin1")).toMatch(
    /^\n\*\*\*\n(?:.*\n)*IN 0x[0-9a-f]+ \d{8} \d\d:\d\d:\d\d WRITE \(\/a one two\)\nOUT 0x[0-9a-f]+ .* WRITE \(OK \)\n/,
  );
  expect(await control("log", "off")).toBe("OK");
  const before = readFileSync(trace, "latin1");
  await ask(XS.WRITE, "/a\0three");
  expect(readFileSync(trace, "latin1")).toBe(before);
  expect(await control("memreport")).toBe("OK");
  expect(readFileSync(trace, "latin1")).toContain("nodes           : 4\n");
  expect(await control("memreport", join(folder, "none/report"))).toBe("EINVAL");
  expect(await control("memreport", join(folder, "report"))).toBe("OK");
  expect(readFileSync(join(folder, "report"), "latin1")).toContain("domain 0: nodes 4");
});
