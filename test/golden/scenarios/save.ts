// SPDX-License-Identifier: Apache-2.0
//
// Saving a domain, with its end, or as a checkpoint.

import { command, config, gone, lists, note, sleep, snapshot, start, type Scenario } from "./steps.ts";

export const saveRestore: Scenario = (setting) => [
  config(setting, "gi", "mode=tick"),
  ...start("gi"),
  snapshot("before"),
  command("xl -vvv save gi /mnt/gi.save"),
  gone(),
  command("ls -l /mnt/gi.save"),
  snapshot("saved"),
  command("xl list"),
  command("xl -vvv restore /mnt/gi.save"),
  { do: "domid", name: "gi" },
  note("domid $1 -> $2"),
  sleep(2),
  snapshot("restored"),
  ...lists,
  command("xl destroy gi"),
  gone(2),
];

export const saveCheckpoint: Scenario = (setting) => [
  config(setting, "gi2", "mode=tick"),
  ...start("gi2"),
  snapshot("before"),
  command("xl -vvv save -c gi2 /mnt/gi2.save"),
  note("domid now $1 was $1"),
  sleep(2),
  snapshot("after"),
  ...lists,
  command("xl -vvv save -p gi2 /mnt/gi2b.save"),
  command("xl list"),
  command("xl unpause gi2"),
  command("xl list"),
  command("xl destroy gi2"),
  gone(),
];
