// SPDX-License-Identifier: Apache-2.0
//
// The daemon on its socket, under the same attack: clients that lie and vanish,
// beside one that minds its own business.

import { connect, type Socket } from "node:net";
import { type XenstoreClient } from "../../src/client/index.ts";
import { connectXenstore } from "../../src/live/xenstore-client.ts";
import { Chance } from "./chance.ts";
import { nextBytes } from "./messages.ts";
import { problem } from "./store.ts";

const ATTACKERS = 8;
/** Pieces sent between two looks at the innocent. */
const BURST = 100;

function opened(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => resolve(socket.resume()));
    socket.on("error", reject);
  });
}

/** Whether the innocent has what it always has. */
async function checkInnocent(client: XenstoreClient, round: number): Promise<void> {
  const value = String(round);
  await client.write("/innocent/x", value);
  const found = await client.transaction(async (t) => {
    await t.mkdir("/innocent/y");
    return t.read("/innocent/x");
  });
  if (found !== value) problem(`the innocent wrote ${value} and reads ${found}`);
  const names = await client.directory("/innocent");
  if (names.join() !== "x,y") problem(`the innocent's directory is ${names.join()}`);
  await client.rm("/innocent/y");
}

/** Sends so many pieces to a daemon; how many conversations it ended. Throws where the innocent notices. */
export async function attackSocket(path: string, seed: number, pieces: number): Promise<number> {
  const chance = new Chance(seed);
  const innocent = await connectXenstore(path);
  const attackers = await Promise.all(Array.from({ length: ATTACKERS }, () => opened(path)));
  let ended = 0;
  for (let piece = 0; piece < pieces; piece++) {
    const index = chance.below(ATTACKERS);
    const attacker = attackers[index] as Socket;
    if (attacker.destroyed || chance.once(300)) {
      ended += attacker.destroyed ? 1 : 0;
      attacker.destroy();
      attackers[index] = await opened(path);
    } else attacker.write(nextBytes(chance, "socket", []), () => undefined);
    if (piece % BURST === 0) await checkInnocent(innocent, piece);
  }
  for (const attacker of attackers) attacker.destroy();
  await checkInnocent(innocent, pieces);
  if ((await innocent.control("check")) !== "OK") problem("the store is not sound");
  innocent.close();
  return ended;
}
