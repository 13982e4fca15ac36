// SPDX-License-Identifier: Apache-2.0
//
// Which domids Xen chooses, and which may be asked for.

import { command, config, create, note, sleep, type Scenario } from "./steps.ts";

export const domidAllocation: Scenario = (setting) => [
  ...["auto 3", "try 5000", "auto 2", "try 32751", "try 32752", "keep 4000"].map((words) =>
    command(`/oracle/mkdom ${words}`),
  ),
  ...["xl list", "xl list -l", "xl domname 4000", "xl destroy 4000", "xl list"].map(command),
  config(setting, "gm", "mode=idle"),
  create("gm", "-p"),
  { do: "domid", name: "gm" },
  command("xl destroy gm"),
  command("cat /var/run/xen/domid-history"),
  create("gm", "-p"),
  { do: "domid", name: "gm" },
  note("consecutive domids: $1 $2"),
  command("cat /var/run/xen/domid-history"),
  command("xl destroy gm"),
  sleep(1),
];
