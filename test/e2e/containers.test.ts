// SPDX-License-Identifier: Apache-2.0
//
// Two hosts in containers that share /dev/shm: each has a state directory of the same
// name, and each is process 1 or so of a PID namespace. Neither touches the other's memory.

import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { expect, test } from "vitest";
import { isolation } from "../../src/live/run.ts";
import { memoryFolder } from "../../src/live/guest-memory.ts";
import { bin, liveHost, xenolith } from "./xenolith.ts";

/** In the container: a file system of its own where the other host's directory is, and a host in it. */
const CONTAINER = `
mount -n -t tmpfs none "$PLACE"
on() { "$NODE" "$BIN" "$@" --dir "$PLACE/host"; }
on up --detach > /dev/null || exit 1
echo "shared: $(ls -d /dev/shm/xenolith-*.pid | wc -l)"
"$NODE" "$BIN" store --dir "$PLACE/host" write /mine yes
kill -9 "$(cat "$PLACE/host/pid")"
while "$NODE" "$BIN" status --dir "$PLACE/host" > /dev/null 2>&1; do sleep 0.05; done
on up --detach > /dev/null || exit 1
echo "again: $(ls -d /dev/shm/xenolith-*.pid | wc -l)"
on down > /dev/null
`;

test("hosts in two containers with one /dev/shm have memory of their own", () => {
  const dir = liveHost();
  const memory = memoryFolder(dir);
  const before = fs.readdirSync(memory);
  const owned = fs.readdirSync("/dev/shm").filter((name) => /^xenolith-.*\.pid$/.test(name));
  expect(before.length).toBeGreaterThan(0);
  const user = isolation() === "user-mounts" ? ["--user", "--map-root-user"] : [];
  const flags = [...user, "--mount", "--pid", "--fork", "--mount-proc"];
  const { stdout, stderr, status } = spawnSync("unshare", [...flags, "sh", "-c", CONTAINER], {
    encoding: "utf8",
    env: { ...process.env, NODE: process.execPath, BIN: bin, PLACE: path.dirname(dir) },
    timeout: 50_000,
  });
  expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  // Its own beside those that were there; after it was killed its successor takes its place.
  expect(stdout).toMatch(/^shared: \d+\nagain: \d+\n$/);
  const counts = [...stdout.matchAll(/\d+/g)].map(Number);
  expect(Math.min(...counts)).toBeGreaterThanOrEqual(owned.length);
  expect(fs.readdirSync(memory)).toEqual(before);
  expect(xenolith(["store", "--dir", dir, "read", "/mine"]).code).not.toBe(0);
  expect(
    xenolith(["xl", "--dir", dir, "create", path.join(path.dirname(bin), "../examples/web.cfg")]),
  ).toMatchObject({
    code: 0,
  });
});
