// SPDX-License-Identifier: Apache-2.0
//
// npm run pack-client [-- FOLDER]: the xenstore client alone, as a package that
// Node 20 can install: plain JavaScript with declarations, nothing else needed.
// Prints the tarball's path and size.

import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = join(import.meta.dirname, "..");
/** Bytes a tarball may have. */
const SIZE_MAX = 300_000;

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly entryCount: number;
}

function compile(target: string): void {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const config = join(root, "tsconfig.client.json");
  const result = spawnSync(process.execPath, [tsc, "-p", config, "--outDir", target], { encoding: "utf8" });
  if (result.status !== 0) throw new Error(`the client does not compile:\n${result.stdout}`);
}

function manifest(): string {
  const { version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    version: string;
    license: string;
  };
  return JSON.stringify(
    {
      name: "xenolith",
      version,
      description: "A xenstore client for Node: any xenstored, by socket or /dev/xen/xenbus",
      keywords: ["xen", "xenstore", "xenbus"],
      license,
      type: "module",
      engines: { node: ">=20" },
      exports: { "./xenstore": { types: "./client/index.d.ts", default: "./client/index.js" } },
      files: ["client", "core"],
      sideEffects: false,
    },
    null,
    2,
  );
}

/** What the package's users read: the guide and the reference, in one page, without what only the project has. */
function readme(): string {
  const [guide, reference] = ["docs/guides/xenstore-client.md", "docs/reference/xenstore-client.md"].map(
    (file) => readFileSync(join(root, file), "utf8"),
  ) as [string, string];
  const last = guide.trimEnd().lastIndexOf("\n");
  const use = guide.slice(0, last).replace(/^npm run pack-client.*\n/m, "");
  const deeper = reference.replace("# The xenstore client", "# Reference").replaceAll(/^#/gm, "##");
  return `${use}\n${deeper.replace(/How to use it is in the \[guide\]\(.*?\)\. /, "")}`;
}

/** Builds the package in a folder, and packs it there. */
function pack(folder: string): Packed {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  compile(folder);
  writeFileSync(join(folder, "package.json"), `${manifest()}\n`);
  copyFileSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  writeFileSync(join(folder, "README.md"), readme());
  const listed = execFileSync("npm", ["pack", "--json", "--offline", "--ignore-scripts"], {
    cwd: folder,
    encoding: "utf8",
  });
  // npm 12 lists packages by name, earlier ones in an array.
  const [packed] = Object.values(JSON.parse(listed) as Record<string, Packed>);
  if (packed === undefined) throw new Error(`npm pack made nothing: ${listed}`);
  if (packed.size > SIZE_MAX)
    throw new Error(`${packed.filename} has ${packed.size} bytes, more than ${SIZE_MAX}`);
  return packed;
}

const folder = resolve(process.argv[2] ?? join(root, "build/xenstore-client"));
const { filename, size, entryCount } = pack(folder);
console.log(`${join(folder, filename)} (${size} bytes, ${entryCount} files)`);
