// SPDX-License-Identifier: Apache-2.0
//
// Everything that can be asked of xl in vain.

import {
  command,
  config,
  configText,
  create,
  sleep,
  type Setting,
  type Scenario,
  type Step,
} from "./steps.ts";

/** /tmp/gy.cfg: the good configuration with one thing wrong. */
function spoilt(setting: Setting, change: (text: string) => string): Step {
  const good = configText(setting, "gx", "mode=idle");
  return { do: "config", name: "gy", text: change(good.replace('name = "gx"', 'name = "gy"')) };
}

const VERBS = [
  "domid",
  "domname",
  "destroy",
  "shutdown",
  "reboot",
  "pause",
  "unpause",
  "list",
  "vcpu-list",
  "sysrq",
];

const REST = [
  ...[
    "list -v 99",
    "list -l 99",
    "list -l nosuch",
    "destroy 0",
    "shutdown 0",
    "pause 0",
    "destroy Domain-0",
    "rename nosuch x",
  ],
  ...[
    "rename gx Domain-0",
    "save nosuch /mnt/x",
    "save gx /nosuchdir/x",
    "restore /mnt/nosuch",
    "restore /etc/passwd",
    "nosuchcommand",
  ],
  ...[
    "",
    "unpause gx",
    "shutdown 99 -w",
    "block-attach 99 phy:/dev/loop0,xvda,w",
    "block-detach gx xvda",
    "network-detach gx 0",
  ],
  ...[
    "network-list 99",
    "block-list 99",
    "mem-set 99 64",
    "mem-max 99 64",
    "vcpu-set 99 1",
    "debug-keys",
    "debug-keys zz",
  ],
  ...["shutdown -a -w", "list", "destroy gx"],
];

export const xlErrors: Scenario = (setting) => [
  config(setting, "gx", "mode=idle"),
  create("gx", "-p"),
  { do: "domid", name: "gx" },
  { do: "config", name: "gx2", text: configText(setting, "gx", "mode=idle") },
  command("xl create /tmp/gx2.cfg"),
  command("xl create /tmp/nosuch.cfg"),
  spoilt(setting, (text) => text.replace("/guest/vmlinuz", "/guest/nosuch")),
  command("xl create /tmp/gy.cfg"),
  spoilt(setting, (text) => text.replace("memory = 96", "memory = 999999")),
  command("xl create /tmp/gy.cfg"),
  command("xl list"),
  spoilt(setting, (text) => text.replace("memory = 96", "memory = 8")),
  command("xl create /tmp/gy.cfg"),
  command("xl list"),
  spoilt(setting, (text) => text.replace(/^name.*\n/, "")),
  command("xl create /tmp/gy.cfg"),
  spoilt(setting, () => "garbage(((\n"),
  command("xl create /tmp/gy.cfg"),
  spoilt(setting, (text) => `${text}on_crash = "bogus"\n`),
  command("xl create /tmp/gy.cfg"),
  spoilt(setting, (text) => `${text}disk = [ "phy:/dev/nosuch,xvda,w" ]\n`),
  ...["xl create -p /tmp/gy.cfg", "xl list", "xl destroy gy"].map(command),
  spoilt(setting, (text) => `${text}vif = [ "bridge=nosuchbr" ]\n`),
  ...["xl create -p /tmp/gy.cfg", "xl list", "xl destroy gy"].map(command),
  spoilt(setting, (text) => `${text}kernel = "/etc/passwd"\n`),
  command("xl create -p /tmp/gy.cfg"),
  command("xl list"),
  ...VERBS.flatMap((verb) => [`xl ${verb}`, `xl ${verb} nosuch`, `xl ${verb} 99`]).map(command),
  // The commands after `unpause` took forty seconds, in which the guest came up.
  ...REST.flatMap((words) => [command(`xl ${words}`.trim()), ...(words === "unpause gx" ? [sleep(40)] : [])]),
  sleep(1),
];
