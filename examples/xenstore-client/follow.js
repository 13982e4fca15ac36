// SPDX-License-Identifier: Apache-2.0
//
// Follows a device's state until it is closed, and gives up after ten seconds.

import { connect } from "xenolith/xenstore";

const xenstore = await connect();
const state = "/tool/device/state";
const signal = AbortSignal.timeout(10_000);
await xenstore.write(state, "1");

// Somebody else, on a connection of its own, has an answer to every state.
const backend = await connect();
/** @type {(value: string) => Promise<void>} */
const answer = (value) => backend.write(state, value === "1" ? "2" : value === "2" ? "4" : "6");

for await (const { path } of await xenstore.watch(state, { signal })) {
  const value = await xenstore.read(path, { signal });
  console.log(`${path} is ${value}`);
  if (value === "6") break;
  await answer(value);
}
await xenstore.rm("/tool/device");
backend.close();
xenstore.close();
