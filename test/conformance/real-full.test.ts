// SPDX-License-Identifier: Apache-2.0
//
// The file system behind guests' memory is full: programs hear of it while they
// map, by ENOMEM, and not by a signal when they touch what they mapped.

import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { tinyKernel } from "../../examples/guests/tiny-kernel.ts";
import { isolation } from "../../src/live/run.ts";
import { requires } from "../capabilities.ts";
import { bin, folder } from "../e2e/xenolith.ts";

/** A host whose memory has 56 MiB, 16 of which mappings leave to the host itself; what is done on it, step by step. */
const SESSION = `
mount -n -t tmpfs -o size=56m none /dev/shm
on() { "$NODE" "$BIN" run --dir host -- "$@"; }
"$NODE" "$BIN" up --detach --dir host > /dev/null || exit 1
echo "a kernel of 62 MiB"; on xl create big.cfg 2>&1 | grep xc_dom_build_image
on xl create small.cfg
echo "one maps 6,000 pages"; on ./filler 2 0x1000 6000 < go > first & one=$!
exec 3> go
until grep -q mapped first; do sleep 0.05; done
echo "another would map 6,000 more"; on ./filler 2 0x3000 6000 < /dev/null
echo >&3; wait $one; echo "the first exits $?: $(tr '\\n' ' ' < first)"
echo "the other may, now that it is gone"; on ./filler 2 0x1000 6000 < /dev/null
on xl destroy small
until [ "$(on xl list | wc -l)" = 2 ]; do sleep 0.05; done
echo "free again: $(df --output=pcent /dev/shm | tail -1)"
"$NODE" "$BIN" down --dir host > /dev/null
cat host/host.log >&2
mount -n -t tmpfs -o size=4k none /dev/shm
echo "no host comes up where its own pages have no room"; "$NODE" "$BIN" up --dir host 2>&1
`;

requires(
  "xen-utils",
  "libxen-dev",
  "c-compiler",
)("a host whose memory is full", () => {
  test("ENOMEM for who maps too much, and those before keep what they were promised", () => {
    const where = folder();
    execFileSync("gcc", [
      "-o",
      join(where, "filler"),
      join(import.meta.dirname, "filler.c"),
      "-lxenforeignmemory",
    ]);
    execFileSync("mkfifo", [join(where, "go")]);
    const config = (name: string, kernel: Uint8Array): void => {
      fs.writeFileSync(join(where, `${name}.elf`), kernel);
      const lines = [
        `name = "${name}"`,
        'type = "pvh"',
        "memory = 128",
        `kernel = "${where}/${name}.elf"`,
        "",
      ];
      fs.writeFileSync(join(where, `${name}.cfg`), lines.join("\n"));
    };
    config("big", tinyKernel({ physicalBase: 0x10_0000, pages: 62 * 256, likeLinux: false }));
    config("small", tinyKernel());
    const namespace = isolation() === "user-mounts" ? ["--user", "--map-root-user", "--mount"] : ["--mount"];
    const { stdout, stderr } = spawnSync("unshare", [...namespace, "sh", "-c", SESSION], {
      cwd: where,
      encoding: "utf8",
      env: { ...process.env, NODE: process.execPath, BIN: bin },
      timeout: 50_000,
    });
    expect(stdout.trim().split("\n")).toEqual([
      "a kernel of 62 MiB",
      expect.stringMatching(/xc_dom_build_image failed: Cannot allocate memory$/),
      "one maps 6,000 pages",
      "another would map 6,000 more",
      "ENOMEM",
      "the first exits 0: mapped filled ",
      "the other may, now that it is gone",
      "mapped",
      "free again:   1%",
      "no host comes up where its own pages have no room",
      "xenolith up: the host has stopped: there is no space left in /dev/shm for the memory of domains",
      "Try: df -h /dev/shm",
    ]);
    expect(stderr).not.toMatch(/has stopped|our fault/);
  }, 60_000);
});
