// SPDX-License-Identifier: Apache-2.0
//
// The tables in src/abi are what the compiler says about the headers today.

import { expect, test } from "vitest";
import { checkedIn, generateAbi } from "../scripts/generate-abi.ts";
import * as constants from "../src/abi/4.17/constants.ts";
import * as layout from "../src/abi/4.17/layout.ts";
import { requires } from "./capabilities.ts";

requires("libxen-dev", "c-compiler")("the generated tables", () => {
  test("are up to date", () => {
    const generated = generateAbi();
    expect(Object.keys(generated)).toEqual(["layout.ts", "constants.ts", "hvm-save.ts"]);
    for (const [file, text] of Object.entries(generated)) expect(checkedIn(file)).toBe(text);
  });
});

test("no field leaves its structure", () => {
  for (const [name, { sizeof, ...fields }] of Object.entries(layout)) {
    for (const [path, field] of Object.entries(fields as Record<string, { offset: number; size: number }>)) {
      expect(field.offset + field.size, `${name}.${path}`).toBeLessThanOrEqual(sizeof);
    }
  }
  expect(layout.xen_domctl.sizeof).toBe(144);
  expect(layout.xen_sysctl.sizeof).toBe(136);
  expect(constants.XEN_DOMCTL_INTERFACE_VERSION).toBe(0x15);
});
