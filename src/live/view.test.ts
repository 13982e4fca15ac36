// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { expect, test } from "vitest";
import type { DomainRow } from "./domains.ts";
import { duration, viewLines } from "./view.ts";
import type { ViewModel } from "./view.ts";

function row(domid: number, name: string | null, state = "-b----"): DomainRow {
  return { domid, name, memoryMiB: 128, vcpus: 1, state, cpuSeconds: 0.25 };
}

const model: ViewModel = {
  version: "0.1.0",
  xen: "4.17",
  now: 65_000_000,
  domains: [row(0, "Domain-0", "r-----"), row(1, "web"), row(2, null, "--p--d")],
  freeMiB: 900,
  totalMiB: 3071,
  events: Array.from({ length: 50 }, (_, at) => ({ at: at * 1_000_000, text: `event ${at}` })),
  socket: "/run/xenolith/xenstored/socket",
  trace: null,
  hints: ["xl list"],
  alert: null,
};

test("shows domains as xl list does, the last events and the socket's path", () => {
  const lines = viewLines(model, 100, 24, false);
  expect(lines).toHaveLength(24);
  expect(lines[0]).toBe("Xenolith 0.1.0 · Xen 4.17 · up 1m 05s · 2 guests · 900 of 3071 MiB free");
  expect(lines[1]).toBe("XENSTORED_PATH=/run/xenolith/xenstored/socket");
  expect(lines[3]).toBe("Name                                        ID   Mem VCPUs      State   Time(s)");
  expect(lines[5]).toBe("web                                          1   128     1     -b----       0.3");
  expect(lines[6]).toBe("(null)                                       2   128     1     --p--d       0.3");
  expect(lines).toContain("    49.0s  event 49");
  expect(lines).toContain("Try in another terminal:");
  expect(lines.at(-1)).toContain("q stop the host");
});

test("a low terminal shows domains rather than hints, and says what it left out", () => {
  const many = { ...model, domains: Array.from({ length: 40 }, (_, domid) => row(domid, `d${domid}`)) };
  const lines = viewLines(many, 80, 12, false);
  expect(lines.some((line) => line.startsWith("d2 "))).toBe(true);
  expect(lines.find((line) => line.includes("more: xl list"))).toMatch(/and \d+ more/);
  expect(lines).not.toContain("Try in another terminal:");
});

test("a narrow terminal cuts names before it cuts states", () => {
  const lines = viewLines({ ...model, domains: [row(7, "a-domain-with-a-long-name")] }, 60, 24, false);
  expect(lines[3]).toMatch(/^Name +ID +Mem VCPUs +State +Time\(s\)$/);
  expect(lines[4]).toMatch(/^a-domain-with-a-long… +7 +128 +1 +-b---- +0.3$/);
});

test("an alert is seen whatever the size", () => {
  for (const rows of [8, 24, 60]) {
    expect(viewLines({ ...model, alert: "the disk is full" }, 80, rows, false)).toContain("the disk is full");
  }
});

test("never more lines or columns than the terminal has, and nothing a guest says steers it", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 80 }),
      fc.array(fc.string({ unit: "binary" }), { maxLength: 60 }),
      (columns, rows, names) => {
        const domains = names.map((name, domid) => row(domid, name));
        const events = names.map((text, at) => ({ at, text }));
        const lines = viewLines({ ...model, domains, events }, columns, rows, false);
        expect(lines).toHaveLength(rows);
        for (const line of lines) {
          expect(line.length).toBeLessThanOrEqual(columns);
          // eslint-disable-next-line no-control-regex -- they are what must not be there
          expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
        }
      },
    ),
  );
});

test("styles add no columns", () => {
  const plain = viewLines(model, 60, 30, false);
  // eslint-disable-next-line no-control-regex -- the terminal's styles
  expect(viewLines(model, 60, 30, true).map((line) => line.replaceAll(/\u001b\[[0-9;]*m/g, ""))).toEqual(
    plain,
  );
});

test("how long a host is up", () => {
  expect([0, 59.9e6, 185e6, 7620e6].map(duration)).toEqual(["0s", "59s", "3m 05s", "2h 07m"]);
});
