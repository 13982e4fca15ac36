// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { TraceEvents, TraceRecord } from "../core/engine/trace.ts";
import { wordsOf } from "./words.ts";

function words<K extends keyof TraceEvents & string>(kind: K, data: TraceEvents[K]): string | null {
  const event = { seq: 1, step: 1, at: 0, by: "t", parent: 0, kind, data } as unknown as TraceRecord;
  return wordsOf(event, (domid) => (domid === 1 ? "web" : undefined));
}

function write(who: string, path: string, value: string): string | null {
  return words("xenstore", {
    dir: "in",
    who,
    conn: 1,
    op: "WRITE",
    reqId: 1,
    txId: 0,
    body: `${path}\0${value}`,
  });
}

test("a domain's life", () => {
  expect(words("domain", { domid: 1, state: "created" })).toBe("domain 1 was created");
  expect(words("domain", { domid: 1, state: "shutdown", code: 3 })).toBe("web (1) shut down (crash)");
  expect(words("domain", { domid: 2, state: "shutdown", code: 77 })).toBe("domain 2 shut down (code 77)");
  expect(words("domain", { domid: 1, state: "dying" })).toBe("web (1) is being killed");
  expect(words("domain", { domid: 1, state: "removed" })).toBeNull();
  expect(words("domain", { domid: 1, state: "freed" })).toBe("web (1) is gone");
});

test("a device's two ends, written with whole paths or from the writer's own", () => {
  expect(write("dom0 kernel", "/local/domain/0/backend/vif/1/0/state", "4")).toBe(
    "vif0 of web (1): backend Connected",
  );
  expect(write("dom0 kernel", "backend/vbd/1/51712/state", "5")).toBe("vbd51712 of web (1): backend Closing");
  expect(write("dom1 kernel", "device/vif/0/state", "3")).toBe("vif0 of web (1): frontend Initialised");
  expect(write("xl.3", "/local/domain/2/device/vif/0/state", "1")).toBe(
    "vif0 of domain 2: frontend Initialising",
  );
  expect(write("dom1 kernel", "device/vif/0/state", "nonsense")).toBeNull();
  expect(write("dom1 kernel", "device/vif/0/mac", "4")).toBeNull();
});

test("what is asked of a guest, and typed at a shell; not what programs start themselves", () => {
  expect(write("xl.3", "/local/domain/1/control/shutdown", "reboot")).toBe("web (1) is asked to reboot");
  expect(write("dom1 kernel", "/local/domain/1/control/shutdown", "")).toBeNull();
  expect(words("process.exec", { process: "p", pid: 1, argv: ["xl", "list"] })).toBe("$ xl list");
  expect(words("process.exec", { process: "p", pid: 1, argv: ["xl"] })).toBeNull();
  expect(words("process.exec", { process: "p", pid: 1, argv: ["block", "add"] })).toBeNull();
  expect(words("process.exit", { process: "p", pid: 1, status: 3 })).toBe("p ended with exit code 3");
  expect(words("process.exit", { process: "p", pid: 1, status: 0 })).toBeNull();
});
