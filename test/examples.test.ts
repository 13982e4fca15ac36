// SPDX-License-Identifier: Apache-2.0
//
// The configurations in examples/ are what xl takes without a word, each of the
// domain that its file is named for.

import * as fs from "node:fs";
import * as path from "node:path";
import { expect, test } from "vitest";
import { parseDomainConfig } from "../src/core/toolstack/xlcfg/parse-domain-config.ts";
import { testEnvironment } from "../src/core/toolstack/xlcfg/test-environment.ts";
import { root } from "./source-files.ts";

const examples = path.join(root, "examples");

test.each(fs.readdirSync(examples).filter((file) => file.endsWith(".cfg")))("%s", (file) => {
  const text = fs.readFileSync(path.join(examples, file), "utf8");
  const parsed = parseDomainConfig(file, text, testEnvironment());
  expect(parsed).toMatchObject({ ok: true, stderr: "" });
  if (parsed.ok) expect(parsed.config.c_info.name).toBe(path.parse(file).name);
});
