// SPDX-License-Identifier: Apache-2.0
//
// The recorded scenarios on live hosts, as on real Xen: with the real xl, each
// once, on our xenstored or on Xen's own; some with ours. All of them on all of
// both: npm run soak -- golden.

import { describe, test } from "vitest";
import { requires } from "../capabilities.ts";
import type { Players } from "./live-collector.ts";
import { play, recorded } from "./live-play.ts";

/** Those that are played on Xen's own xenstored here. */
const ON_THE_C_DAEMON = /^(?:b|c|e1|f|g|h|k3)-/;

const realXl = recorded.map((name): [string, Players] => [
  name,
  { xl: "real", xenstored: ON_THE_C_DAEMON.test(name) ? "c" : "builtin" },
]);
const ourXl = ["b-orderly-shutdown", "h-rename"].map((name): [string, Players] => [
  name,
  { xl: "builtin", xenstored: "c" },
]);

requires(
  "xen-utils",
  "xenstore-utils",
  "libxen-dev",
  "c-compiler",
)("a live host", () => {
  describe.concurrent("does what real Xen did", () => {
    for (const [name, players] of [...realXl, ...ourXl]) {
      test(`${name}, xl ${players.xl}, xenstored ${players.xenstored}`, async ({ expect: expected }) => {
        const { differences, warnings } = await play(name, players);
        expected(differences).toEqual([]);
        expected(warnings).toEqual([]);
      }, 180_000);
    }
  });
});
