// SPDX-License-Identifier: Apache-2.0
//
// The installed xl as a judge: what it prints and exits with on a machine that
// has no Xen.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const compiler = "gcc";

export interface Outcome {
  /** null when it crashed. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/** xl with a host made up for it. */
export interface RealXl {
  run(argv: readonly string[]): Outcome;
  /** `xl -N create` of a file with this text; messages call it `configName`. */
  dryRun(text: string): Outcome;
  readonly configName: string;
  remove(): void;
}

/** Compiles what xl is preloaded with. The host has four CPUs on two nodes. */
export function realXl(): RealXl {
  const folder = mkdtempSync(join(tmpdir(), "xenolith-xl-"));
  const library = join(folder, "xl-without-xen.so");
  const source = join(import.meta.dirname, "xl-without-xen.c");
  execFileSync(compiler, ["-shared", "-fPIC", "-o", library, source]);
  const configName = join(folder, "guest.cfg");
  const run = (argv: readonly string[]): Outcome => {
    const { status, stdout, stderr } = spawnSync("/usr/lib/xen-4.17/bin/xl", argv, {
      argv0: "xl",
      env: { LD_PRELOAD: library },
      encoding: "utf8",
      input: "",
    });
    return { code: status, stdout, stderr };
  };
  return {
    run,
    configName,
    dryRun(text) {
      writeFileSync(configName, text);
      return run(["-N", "create", configName]);
    },
    remove: () => rmSync(folder, { recursive: true }),
  };
}
