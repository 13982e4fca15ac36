// SPDX-License-Identifier: Apache-2.0
//
// What the stand-ins of a domain's hotplug scripts execute: asks the host to run the
// script there, and exits as it did.
//
//     node hotplug-client.ts CONTROL XENSTORED DOMID SCRIPT ARGUMENT...

import { callerFile } from "./caller-files.ts";
import type { CallerFile } from "./caller-files.ts";
import { ask } from "./control.ts";
import { scriptVariables } from "./left-for-programs.ts";
import { connectXenstore } from "./xenstore-client.ts";

/** The file behind a disk: dom0 must know it. */
async function fileOf(xenstored: string, backend: string): Promise<CallerFile[]> {
  const store = await connectXenstore(xenstored);
  try {
    const name = await store.read(`${backend}/params`);
    return name.startsWith("/") ? [callerFile(name)] : [];
  } catch {
    return []; // A device without a file: the script says what is wrong with it.
  } finally {
    store.close();
  }
}

async function main([
  control = "",
  xenstored = "",
  domid = "0",
  ...args
]: readonly string[]): Promise<number> {
  const env = Object.fromEntries(
    scriptVariables.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const looks = domid === "0" && args[0]?.endsWith("/block") === true;
  const files = looks ? await fileOf(xenstored, env["XENBUS_PATH"] ?? "") : [];
  const { outcome } = ask(
    control,
    { verb: "hotplug", args, data: { env, files, domid: Number(domid) } },
    { out: (text) => process.stdout.write(text), err: (text) => process.stderr.write(text) },
  );
  return (await outcome).exit;
}

process.exitCode = await main(process.argv.slice(2));
