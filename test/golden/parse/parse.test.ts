// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { parseCommands } from "./commands.ts";
import { parseDominfo } from "./dominfo.ts";
import { parseCall, parseCalls } from "./hypercalls.ts";
import { parseSnapshot } from "./snapshot.ts";
import { parseStoreTrace } from "./store-trace.ts";
import { parseWatchLog } from "./watch-log.ts";

test("a command with its output, a long stderr from its own file, a remark", () => {
  const text =
    "+ 1.5 $ xl list\n  out| a  b\n  err| (41 lines in stderr-x.log)\n" +
    "- 2.5 rc=3 wall=1us\n# 3.0 snapshot up\n--- 4 end\n";
  expect(parseCommands(text, (name) => `first of ${name}\nsecond\n`)).toEqual([
    {
      kind: "command",
      start: 1.5,
      end: 2.5,
      line: "xl list",
      stdout: ["a  b"],
      stderr: ["first of stderr-x.log", "second"],
      exitCode: 3,
    },
    { kind: "note", start: 3, text: "snapshot up" },
  ]);
});

test("a failed createdomain, a multicall, a call of an unknown sub-operation", () => {
  expect(
    parseCall(" 1.0 domctl createdomain dom=5000 flags=0 gnt_frames=-1 = -1 errno=17 (File exists) 0.10ms"),
  ).toMatchObject({
    name: "domctl createdomain",
    args: { dom: "5000", flags: "0", gnt_frames: "-1" },
    result: -1,
    errno: 17,
  });
  expect(
    parseCall(" 1.0 [mc] memory_op populate_physmap dom=2 nr=48 order=9 flags=0 = 48 3.22ms"),
  ).toMatchObject({
    name: "memory_op populate_physmap",
    result: 48,
    errno: null,
  });
  expect(parseCall(" 1.0 evtchn_op alloc_unbound dom=2 remote=0 = 0 => port=1 0.00ms")).toMatchObject({
    out: "port=1",
  });
  expect(
    parseCall(" 1.0 xsm_op 0x7faef779a010 = -1 errno=38 (Function not implemented) 0.09ms"),
  ).toMatchObject({ name: "xsm_op", plain: ["0x7faef779a010"] });
  expect(parseCall("# pid 3: xl")).toBeNull();
});

test("a process's file names it", () => {
  expect(parseCalls("hc.libxl-save-help.7.log", "# pid 7: helper --save-domain 1\n")).toEqual({
    program: "libxl-save-help",
    pid: 7,
    commandLine: "helper --save-domain 1",
    calls: [],
  });
  expect(() => parseCalls("notes.txt", "")).toThrow("not a call trace");
});

test("sampled rows; the same domid with another handle is a new domain", () => {
  expect(
    parseDominfo(
      "  1.0 NEWHANDLE dom=2 flags=--p--- code=255 handle=00\n 2.0 GONE dom=2 (samples=3 maxgap_ms=1.0)\n",
    ),
  ).toEqual([
    { time: 1, change: "NEW", domid: 2, fields: { flags: "--p---", code: "255", handle: "00" } },
    { time: 2, change: "GONE", domid: 2, fields: {} },
  ]);
});

test("xenstored's trace: connections and messages, without its own remarks", () => {
  const text = [
    " 1.0 CREATE connection 0x5",
    " 2.0 IN 0x5 20261120 23:33:35 WRITE (/a b (c) )",
    " 2.1 CREATE watch 0x6",
    " 3.0 OUT 0x5 20261120 23:33:35 WRITE (OK )",
    " 3.1 dropping duplicate watch /x 3/0 for domain 0",
    " 4.0 DESTROY connection 0x5",
  ];
  expect(parseStoreTrace(text.join("\n"))).toEqual([
    { time: 1, kind: "connect", connection: "0x5" },
    { time: 2, kind: "request", connection: "0x5", type: "WRITE", body: "/a b (c) " },
    { time: 3, kind: "reply", connection: "0x5", type: "WRITE", body: "OK " },
    { time: 4, kind: "disconnect", connection: "0x5" },
  ]);
});

test("a snapshot, and one torn by a node that went away", () => {
  const whole = parseSnapshot("up", '/a = "x "y""   (n0,r2)\n/b = ""   (n0)\n');
  expect(whole).toEqual({
    name: "up",
    torn: false,
    nodes: [
      { path: "/a", value: 'x "y"', permissions: ["n0", "r2"] },
      { path: "/b", value: "", permissions: ["n0"] },
    ],
  });
  expect(
    parseSnapshot("up", "xenstore-ls: \ncould not access permissions for c: No such file or directory\n")
      .torn,
  ).toBe(true);
});

test("the watcher's registrations and events", () => {
  expect(parseWatchLog(" 1.0 REGISTER @releaseDomain w3\n 2.0 EVENT /local/domain/2 token=w1\n")).toEqual([
    { time: 1, kind: "REGISTER", path: "@releaseDomain", token: "w3" },
    { time: 2, kind: "EVENT", path: "/local/domain/2", token: "w1" },
  ]);
});
