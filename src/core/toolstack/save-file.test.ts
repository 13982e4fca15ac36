// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from "vitest";
import { decodeImage, decodeSaveHeader, encodeSaveFile, saveHeaderOf } from "./save-file.ts";
import type { SaveHeader } from "./save-file.ts";
import type { SavedImage } from "./save-image.ts";

const image: SavedImage = {
  type: "pv",
  nrVcpus: 2,
  memory: [{ start: 0, pages: 8192 }],
  storePfn: 4352,
  consolePfn: 4353,
  guest: { commandLine: "mode=idle \u00e9\u4e2d", devices: [] },
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
