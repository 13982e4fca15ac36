// SPDX-License-Identifier: Apache-2.0
//
// The xenstore client as its users have it: packed, installed into an empty
// folder without a network, and its examples run against our xenstored and Xen's.

import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from "node:fs";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startReal, type RealXenstored } from "../../bench/xenstored/real.ts";
import { connect, type XenstoreClient } from "../../src/client/index.ts";
import { compiled } from "../../src/live/compile.ts";
import { serveXenstored, type XenstoredServer } from "../../src/live/xenstored/server.ts";
import { standaloneStore } from "../../src/live/xenstored/standalone.ts";
import { requires } from "../capabilities.ts";
import { root, textOf } from "../source-files.ts";

const folder = mkdtempSync(join(tmpdir(), "xenstore-client-"));
const socketPath = join(folder, "socket");
const user = join(folder, "user");
const examples = readdirSync(join(root, "examples/xenstore-client"));
let server: XenstoredServer;
let tarball = "";

/** What each example prints. */
const printed: Readonly<Record<string, string>> = {
  "hello.js": "world\n[ 'name' ]\nfalse\n",
  "count.js": "10\n",
  "follow.js":
    "/tool/device/state is 1\n/tool/device/state is 2\n/tool/device/state is 4\n/tool/device/state is 6\n",
  "errors.js": "ENOENT READ /tool/nothing/here\nXENSTORE_CLOSED\n",
};

/** Node as it runs this, and other ones that the machine has. */
const nodes = [
  ...new Set(
    [process.execPath, ...(process.env["PATH"] ?? "").split(delimiter).map((path) => join(path, "node"))]
      .filter((path) => existsSync(path))
      .map((path) => realpathSync(path)),
  ),
];

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(node: string, file: string, cwd: string, path: string): Promise<Ran> {
  const env = { ...process.env, XENSTORED_PATH: path, NODE_OPTIONS: "" };
  return new Promise((resolve) => {
    execFile(node, [file], { cwd, env, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

/** Runs every example at once, on nodes of its own each. */
async function expectExamples(node: string, path: string): Promise<void> {
  const runs = examples.map(async (name) => [name, await run(node, join(user, name), user, path)] as const);
  const found = Object.fromEntries(await Promise.all(runs));
  for (const name of examples) {
    expect({ name, ...found[name] }).toEqual({ name, code: 0, stdout: printed[name], stderr: "" });
  }
}

beforeAll(async () => {
  server = await serveXenstored({ socketPath, store: (queued) => standaloneStore({}, queued) });
  const pack = [join(root, "scripts/pack-client.ts"), join(folder, "pack")];
  const output = execFileSync(process.execPath, pack, { encoding: "utf8" });
  tarball = /^(\S+\.tgz) /.exec(output)?.[1] ?? "";
  mkdirSync(user);
  writeFileSync(join(user, "package.json"), '{ "type": "module", "private": true }\n');
  execFileSync("npm", ["install", "--offline", "--no-audit", "--no-fund", tarball], {
    cwd: user,
    stdio: "pipe",
  });
  cpSync(join(root, "examples/xenstore-client"), user, { recursive: true });
});

afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

describe("the package", () => {
  test("is small, needs nothing and runs nothing", () => {
    expect(statSync(tarball).size).toBeLessThan(300_000);
    const installed = join(user, "node_modules/xenolith/package.json");
    const manifest = JSON.parse(readFileSync(installed, "utf8")) as Record<string, unknown>;
    expect(Object.keys(manifest).filter((key) => /dependencies|scripts/i.test(key))).toEqual([]);
    expect(readdirSync(join(user, "node_modules")).filter((name) => !name.startsWith("."))).toEqual([
      "xenolith",
    ]);
  });

  test("has a page of its own, with guide and reference and no link that leads out of it", () => {
    const readme = readFileSync(join(user, "node_modules/xenolith/README.md"), "utf8");
    expect(readme).toMatch(/^# xenstore from Node\n/);
    expect(readme).toContain("\n## Reference\n\nWhat `xenolith/xenstore` exports. A path,");
    expect(readme).toContain("\n### Errors\n");
    expect(readme).not.toMatch(/\]\(\.|pack-client/);
  });

  test("has types that a strict program compiles with", () => {
    const program = `
      import { connect, type Watch, XenstoreError, type XenstoreErrorCode } from "xenolith/xenstore";
      const client = await connect({ reconnect: { giveUpMs: 5 } });
      const value: string = await client.transaction(async (t) => t.read("/a"));
      const watch: Watch = await client.watch(Uint8Array.of(47), { signal: AbortSignal.timeout(5) });
      for await (const { path, token } of watch) console.log(path, token, value);
      try { await client.rm("/a"); } catch (error) {
        const code: XenstoreErrorCode | undefined = error instanceof XenstoreError ? error.code : undefined;
        console.log(code === "EAGAIN");
      }
      // @ts-expect-error -- a number is no path
      await client.read(5);
    `;
    writeFileSync(join(user, "program.ts"), program);
    const types = join(root, "node_modules/@types");
    const flags = [
      "--noEmit",
      "--skipLibCheck",
      "--strict",
      "--module",
      "nodenext",
      "--target",
      "es2022",
      "--lib",
      "es2022,esnext.disposable",
    ];
    const tsc = [
      join(root, "node_modules/typescript/bin/tsc"),
      ...flags,
      "--typeRoots",
      types,
      "--types",
      "node",
    ];
    const compile = (): Buffer =>
      execFileSync(process.execPath, [...tsc, "program.ts"], { cwd: user, stdio: "pipe" });
    expect(compile().toString()).toBe("");
  });

  for (const node of nodes) {
    test(`its examples with ${node}, against our xenstored`, () => expectExamples(node, socketPath));
  }

  test("an example where it is, in the project", async () => {
    const ran = await run(process.execPath, "examples/xenstore-client/hello.js", root, socketPath);
    expect(ran).toEqual({ code: 0, stdout: printed["hello.js"], stderr: "" });
  });
});

requires(
  "xen-utils",
  "libxen-dev",
  "c-compiler",
)("the package and the C xenstored", () => {
  let real: RealXenstored;
  beforeAll(async () => {
    real = await startReal("c", join(folder, "real"));
  });
  afterAll(() => real.stop());

  for (const node of nodes) {
    test(`its examples with ${node}`, () => expectExamples(node, real.socketPath));
  }
});

requires("c-compiler")("a character device, as /dev/xen/xenbus is", () => {
  const device = (): string =>
    compiled({
      name: "xenbus-device",
      folder: import.meta.dirname,
      files: ["xenbus-device.c"],
      flags: [],
      libraries: [],
    });

  test("requests, watches whose confirmation names no request, large values, and its end", async () => {
    const bridge = spawn(device(), [socketPath], { stdio: ["pipe", "pipe", "inherit"] });
    const [line] = (await once(bridge.stdout, "data")) as [Buffer];
    const path = line.toString().trim();
    const client: XenstoreClient = await connect(path);
    await client.write("/dev/x", "y".repeat(4000));
    expect(await client.read("/dev/x")).toBe("y".repeat(4000));
    await expect(client.write("/dev/x", "y".repeat(4074))).rejects.toMatchObject({ code: "E2BIG" });
    const watches = await Promise.all([
      client.watch("/dev"),
      client.watch("/dev/x"),
      client.exists("/dev/x"),
    ]);
    await client.rm("/dev/x");
    const paths: string[] = [];
    for await (const { path: changed } of watches[0]) if (paths.push(changed) === 2) break;
    expect(paths).toEqual(["/dev", "/dev/x"]);
    await client.transaction((t) => t.mkdir("/dev/z"));
    await expect(client.resetWatches()).rejects.toMatchObject({ code: "EPERM" });
    const reading = client.read("/dev/z");
    client.close();
    await expect(reading).rejects.toMatchObject({ code: "XENSTORE_CLOSED" });
    bridge.stdin.end();
    await once(bridge, "exit");
  });
});

describe("its pages", () => {
  test("what the guide shows is in the examples", () => {
    const texts = examples.map((name) => textOf(`examples/xenstore-client/${name}`));
    const shown = [...textOf("docs/guides/xenstore-client.md").matchAll(/^```js\n([^]*?)^```/gm)].map(
      ([, code]) => code!,
    );
    expect(shown.length).toBeGreaterThan(3);
    expect(shown.filter((code) => !texts.some((text) => text.includes(code)))).toEqual([]);
  });

  test("the reference names every method and export", () => {
    const page = textOf("docs/reference/xenstore-client.md");
    const sources = ["client", "view", "transaction"]
      .map((name) => textOf(`src/client/${name}.ts`))
      .join("\n");
    const methods = [...sources.matchAll(/^  (?:async |static async )?([a-z][A-Za-z]+)(?:<T>)?\(/gm)].map(
      ([, name]) => name!,
    );
    const exported = [...textOf("src/client/index.ts").matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(
      ([, list]) => list!.split(",").map((name) => name.trim()),
    );
    const internal = new Set(["constructor", "ask"]);
    const types = new Set(["RequestOptions", "TransactionOptions", "WatchOptions", "Encoding", "Perms"]);
    const codes = new Set(["ConnectionErrorCode", "XenstoreErrorCode"]);
    const missing = [...methods, ...exported].filter(
      (name) => !internal.has(name) && !types.has(name) && !codes.has(name) && !page.includes(name),
    );
    expect(methods.length).toBeGreaterThan(20);
    expect(missing).toEqual([]);
  });
});
