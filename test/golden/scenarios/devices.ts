// SPDX-License-Identifier: Apache-2.0
//
// A disk and a network interface: with the domain, attached, detached.

import {
  command,
  config,
  create,
  debugKeys,
  gone,
  note,
  sleep,
  snapshot,
  start,
  up,
  type Scenario,
} from "./steps.ts";

const DISK = 'disk = [ "phy:/dev/loop0,xvda,w" ]';

function nic(last: string): string {
  return `vif = [ "mac=00:16:3e:00:00:${last},bridge=xenbr0" ]`;
}

export const diskAndNetwork: Scenario = (setting) => [
  { do: "block-device", path: "/dev/loop0", bytes: 16 * 1024 * 1024 },
  { do: "block-device", path: "/dev/loop1", bytes: 8 * 1024 * 1024 },
  { do: "bridge", name: "xenbr0" },
  config(setting, "gv", "mode=idle dev=1", DISK, nic("01")),
  create("gv", "-p"),
  snapshot("paused"),
  command("xl unpause gv"),
  { do: "domid", name: "gv" },
  up("gv"),
  sleep(4),
  snapshot("up"),
  ...["xl list -l", "xl block-list gv", "xl network-list gv"].map(command),
  command("xl -vvv block-attach gv phy:/dev/loop1,xvdb,w"),
  sleep(2),
  snapshot("attached"),
  command("xl block-list gv"),
  command("xl -vvv block-detach gv xvdb"),
  sleep(1),
  snapshot("detached"),
  command("xl -vvv network-attach gv mac=00:16:3e:00:00:02 bridge=xenbr0"),
  sleep(2),
  snapshot("netattached"),
  command("xl network-list gv"),
  command("xl -vvv network-detach gv 1"),
  sleep(1),
  snapshot("netdetached"),
  ...debugKeys("devices"),
  command("xl -vvv shutdown -w gv"),
  gone(),
  snapshot("gone"),
  command("xl list"),
  config(setting, "gv2", "mode=idle dev=1", DISK, nic("03")),
  ...start("gv2"),
  sleep(3),
  note("now xl destroy with live devices"),
  command("xl -vvv destroy gv2"),
  gone(2),
  snapshot("gone2"),
];
