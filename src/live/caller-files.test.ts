// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { pack, unpack } from "./caller-files.ts";
import { Problem } from "./problem.ts";

let cwd = "";
beforeEach(() => {
  cwd = fs.mkdtempSync(path.join(os.tmpdir(), "caller-"));
  onTestFinished(() => fs.rmSync(cwd, { recursive: true }));
});

function put(name: string, content: string | Uint8Array): void {
  fs.writeFileSync(path.join(cwd, name), content);
}

test("names stay as written; files are found from where the command was typed", () => {
  put("web.cfg", "kernel = './k'\nramdisk = 'none'\ndisk = [ 'phy:.,xvda,w' ]\n");
  put("k", "kernel");
  expect(pack(["create", "web.cfg"], cwd)).toEqual({
    files: [
      { name: "web.cfg", kind: "regular", base64: expect.any(String) as string, size: 58 },
      { name: "./k", kind: "regular", base64: Buffer.from("kernel").toString("base64"), size: 6 },
      { name: "none", kind: "missing" },
      { name: ".", kind: "directory" },
    ],
    writes: [],
    hint: "",
  });
});

test("of a big image only the beginning goes along, with its size", () => {
  put("web.cfg", "disk = [ 'big.img,raw,xvda,w' ]\n");
  put("big.img", "x");
  fs.truncateSync(path.join(cwd, "big.img"), 8 << 30);
  const image = pack(["create", "web.cfg"], cwd).files[1];
  expect(image).toMatchObject({ name: "big.img", kind: "regular", size: 8 << 30 });
  expect(image?.kind === "regular" && image.base64.length).toBeLessThan(2 << 20);
});

test("a saved domain goes along whole", () => {
  const saved = Buffer.concat([Buffer.from("Xen saved domain, xl format\n \0 \r"), Buffer.alloc(3 << 20, 7)]);
  put("in.save", saved);
  const [file] = pack(["restore", "in.save"], cwd).files;
  expect(file?.kind === "regular" && Buffer.from(file.base64, "base64").equals(saved)).toBe(true);
});

test("a configuration may come from a pipe, which gives it only once", () => {
  execFileSync("sh", ["-c", "mkfifo pipe"], { cwd });
  spawn("sh", ["-c", "echo \"kernel = 'k'\" > pipe"], { cwd });
  expect(pack(["create", "pipe"], cwd).files).toMatchObject([
    { name: "pipe", kind: "regular", size: 13 },
    { name: "k", kind: "missing" },
  ]);
});

test("a device without an end does not keep anybody waiting", () => {
  expect(pack(["restore", "/dev/zero"], cwd).files).toMatchObject([{ name: "/dev/zero", kind: "regular" }]);
});

test("names that are no ASCII find their files", () => {
  put("grün.cfg", "");
  const argv = ["create", Buffer.from("grün.cfg", "utf8").toString("latin1")];
  expect(pack(argv, cwd).files[0]).toMatchObject({ kind: "regular", size: 0 });
});

test("where a save is to be written is found out before the domain is gone", () => {
  const placed = (file: string): unknown => pack(["save", "web", file], cwd).files;
  expect(placed("none/out.save")).toEqual([{ name: "none", kind: "missing" }]);
  expect(placed(cwd)).toEqual([{ name: cwd, kind: "directory" }]);
  expect(placed(path.join(cwd, "out.save"))).toEqual([{ name: cwd, kind: "directory" }]);
  expect(placed("out.save")).toEqual([{ name: ".", kind: "directory" }]);
  expect(fs.existsSync(path.join(cwd, "out.save"))).toBe(false);
  expect(() => placed(`${"n".repeat(300)}.save`)).toThrow(Problem);
});

test("what was written comes back whole, holes included, or not at all", () => {
  unpack({ name: "core", base64: Buffer.from("abc").toString("base64"), size: 10 }, cwd);
  expect(fs.readFileSync(path.join(cwd, "core")).toString("latin1")).toBe("abc\0\0\0\0\0\0\0");
  expect(() => unpack({ name: "/dev/full", base64: "YWJj", size: 3 }, cwd)).toThrow(/ENOSPC/);
  expect(() => unpack({ name: "none/core", base64: "", size: 0 }, cwd)).toThrow(/ENOENT/);
  expect(fs.readdirSync(cwd)).toEqual(["core"]);
});
