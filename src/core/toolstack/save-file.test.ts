// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from "vitest";
/* eslint-disable-next-line import/no-unassigned-import -- a driver that the guest has */
import "../drivers/blkfront.ts";
import type { Plain } from "../engine/cells.ts";
import { decodeImage, decodeSaveHeader, encodeSaveFile, saveHeaderOf } from "./save-file.ts";
import type { SaveHeader } from "./save-file.ts";
import type { SavedImage } from "./save-image.ts";
import { savedConfig } from "./xl-config.ts";

const image: SavedImage = {
  type: "pv",
  nrVcpus: 2,
  memory: [{ start: 0, pages: 8192 }],
  storePfn: 4352,
  consolePfn: 4353,
  guest: {
    commandLine: "mode=idle \u00e9\u4e2d",
    age: 7_000_000,
    ticks: 3,
    spinning: false,
    upAt: 900_000,
    balloon: { currentPages: 8192, targetPages: 8192, targetDiff: 0, ballooned: [12], watchFired: true },
    modules: ["xen_blkfront"],
    watches: [{ token: "target_watch", node: "memory/target", callback: "watch_target", onePending: false }],
    events: [{ token: "target_watch", path: "memory/target" }],
    devices: ["device/vbd/51712"],
  },
};

const config = '{"c_info":{"name":"g"}}';

describe("a saved domain's file", () => {
  test("has xl's header, libxl's stream in it and libxc's in that", () => {
    const bytes = encodeSaveFile(config, image);
    const text = String.fromCharCode(...bytes);
    expect(text.startsWith("Xen saved domain, xl format\n \0 \r")).toBe(true);
    expect(text.indexOf("LibxlFmt")).toBe(48 + 4 + config.length + 1);
    expect(text.indexOf("XENF")).toBe(text.indexOf("LibxlFmt") + 16 + 8 + 8);
  });

  test("comes back as it was", () => {
    const bytes = encodeSaveFile(config, image);
    const header = decodeSaveHeader(bytes) as SaveHeader;
    expect(header).toMatchObject({ mandatoryFlags: 3, optionalFlags: 0, config });
    expect(header.optionalLength).toBe(config.length + 5);
    expect(decodeImage(bytes, header)).toEqual(image);
  });

  const { guest } = image as { guest: { [field: string]: Plain } };
  const watch = (guest["watches"] as object[])[0];
  test.each<[string, object]>([
    ["memory that overlaps", { memory: [...image.memory, { start: 0, pages: 1 }] }],
    ["more memory than there is", { memory: [{ start: 0, pages: 2 ** 50 }] }],
    ["memory of no size", { memory: [{ start: 0 }] }],
    ["a ring outside its memory", { storePfn: 8192 }],
    ["a type of no domain", { type: "vax" }],
    ["no guest", { guest: null }],
    ["a guest that is no object", { guest: [1] }],
    ["a time that is none", { guest: { ...guest, age: -1 } }],
    ["a module that no kernel has", { guest: { ...guest, modules: ["rm -rf"] } }],
    ["a watch that calls something else", { guest: { ...guest, watches: [{ ...watch, callback: "xl" }] } }],
    ["a watch twice", { guest: { ...guest, watches: [watch, watch] } }],
    ["a device twice", { guest: { ...guest, devices: ["device/vif/0", "device/vif/0"] } }],
    ["a device elsewhere", { guest: { ...guest, devices: ["/local/domain/0"] } }],
    [
      "a balloon of no frames",
      { guest: { ...guest, balloon: { ...(guest["balloon"] as object), ballooned: [0.5] } } },
    ],
  ])("with %s is none", (_what, change) => {
    const bytes = encodeSaveFile(config, { ...image, ...change });
    expect(decodeImage(bytes, decodeSaveHeader(bytes) as SaveHeader)).toBeNull();
  });

  test("of which any byte is another is whole, another one, or none", () => {
    const whole = encodeSaveFile(config, image);
    let none = 0;
    for (let at = 0; at < whole.length; at++) {
      const bytes = whole.slice();
      bytes[at] = (bytes[at] as number) ^ 0x10;
      const header = decodeSaveHeader(bytes);
      if (!("bad" in header) && decodeImage(bytes, header) === null) none++;
    }
    expect(none).toBeGreaterThan(50);
  });

  test.each([
    ['{"c_info":{"name":"g"}}', "00000000-0000-0000-0000-000000000000"],
    ['{"c_info":{"name":"g","uuid":"1-2"}}', "1-2"],
    ['{"c_info":{}}', undefined],
    ['{"c_info"', undefined],
  ])("a configuration %s is one with the UUID %s", (text, uuid) => {
    expect(savedConfig(text)?.c_info.uuid).toBe(uuid);
  });

  test("without its stream has no domain", () => {
    const header = saveHeaderOf(config);
    expect(decodeImage(header.bytes, header)).toBeNull();
  });

  const changed = (at: number, value: number): Uint8Array => {
    const bytes = encodeSaveFile(config, image);
    bytes[at] = value;
    return bytes;
  };

  test.each([
    ["truncated header", encodeSaveFile(config, image).subarray(0, 40)],
    ["magic", changed(0, 0)],
    ["byte order", changed(32, 1)],
    ["flags", changed(36, 7)],
    ["truncated", encodeSaveFile(config, image).subarray(0, 60)],
  ])("is refused: %s", (bad, bytes) => {
    expect(decodeSaveHeader(bytes)).toEqual({ bad });
  });
});
