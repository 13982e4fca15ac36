// SPDX-License-Identifier: Apache-2.0
//
// One domain's life, ended in every way.

import {
  command,
  config,
  create,
  debugKeys,
  gone,
  lists,
  note,
  sleep,
  snapshot,
  start,
  up,
  type Scenario,
} from "./steps.ts";

export const createPausedUnpause: Scenario = (setting) => [
  config(setting, "ga", "mode=idle"),
  create("ga", "-p"),
  snapshot("paused"),
  ...lists,
  { do: "domid", name: "ga" },
  command("xl unpause ga"),
  snapshot("unpaused"),
  up("ga"),
  sleep(1),
  snapshot("up"),
  ...lists,
  command("xl destroy ga"),
  gone(),
  snapshot("gone"),
  command("xl list"),
];

export const orderlyShutdown: Scenario = (setting) => [
  config(setting, "gb", "mode=idle"),
  ...start("gb"),
  snapshot("up"),
  command("xl shutdown -w gb"),
  gone(),
  command("xl list"),
  snapshot("gone"),
];

export const guestPoweroff: Scenario = (setting) => [
  config(setting, "gc", "mode=poweroff delay=2"),
  ...start("gc"),
  snapshot("up"),
  gone(),
  command("xl list"),
];

export const guestRebootRestart: Scenario = (setting) => [
  config(setting, "gd", "mode=reboot delay=12", 'on_reboot = "restart"'),
  ...start("gd"),
  snapshot("up1"),
  gone(),
  { do: "stall", after: setting.type === "pv" ? "domctl setvcpucontext" : "domctl sethvmcontext" },
  { do: "domid", name: "gd" },
  note("after restart: domid $1 -> $2"),
  command("xl list"),
  { do: "go-on" },
  snapshot("restarted"),
  command("xl destroy gd"),
  gone(2),
];

export const xlReboot: Scenario = (setting) => [
  config(setting, "gd2", "mode=idle", 'on_reboot = "restart"'),
  ...start("gd2"),
  command("xl reboot -w gd2"),
  gone(),
  { do: "stall", after: "domctl set_cpu_policy" },
  { do: "domid", name: "gd2" },
  note("after restart: domid $1 -> $2"),
  command("xl list"),
  command("xl destroy gd2"),
  { do: "go-on" },
  gone(2),
];

export const crashDestroy: Scenario = (setting) => [
  config(setting, "ge1", "mode=crash delay=2", 'on_crash = "destroy"'),
  ...start("ge1"),
  gone(),
  command("xl list"),
];

export const crashPreserve: Scenario = (setting) => [
  config(setting, "ge2", "mode=crash delay=2", 'on_crash = "preserve"'),
  ...start("ge2"),
  { do: "flags", domain: 1, pattern: "...sc." },
  sleep(1),
  ...lists,
  snapshot("preserved"),
  ...debugKeys("preserved"),
  command("xl destroy ge2"),
  gone(),
  command("xl list"),
];

export const destroyRunning: Scenario = (setting) => [
  config(setting, "gf", "mode=spin"),
  ...start("gf"),
  sleep(0.5),
  ...lists,
  command("xl destroy gf"),
  command("xl list"),
  gone(),
  command("xl list"),
];

export const pauseUnpause: Scenario = (setting) => [
  config(setting, "gg", "mode=tick"),
  ...start("gg"),
  command("xl pause gg"),
  snapshot("paused"),
  ...lists,
  command("xl pause gg"),
  command("xl list"),
  command("xl unpause gg"),
  command("xl list"),
  command("xl unpause gg"),
  command("xl list"),
  sleep(1),
  command("xl destroy gg"),
  gone(),
];

export const rename: Scenario = (setting) => [
  config(setting, "gh", "mode=idle"),
  ...start("gh"),
  snapshot("before"),
  command("xl rename gh gh-renamed"),
  snapshot("after"),
  ...["xl list", "xl domid gh-renamed", "xl domid gh", "xl domname $1"].map(command),
  ...["xl rename gh-renamed gh-renamed", "xl rename gh-renamed Domain-0", "xl rename 9999 x"].map(command),
  command("xl destroy gh-renamed"),
  gone(),
];

export const twoDomains: Scenario = (setting) => [
  config(setting, "gj1", "mode=poweroff delay=3"),
  config(setting, "gj2", "mode=idle"),
  { do: "together", lines: ["xl -vvv create /tmp/gj1.cfg", "xl -vvv create /tmp/gj2.cfg"] },
  command("xl list"),
  { do: "domid", name: "gj1" },
  { do: "domid", name: "gj2" },
  up("gj2"),
  gone(),
  command("xl list"),
  command("xl shutdown -w gj2"),
  gone(2),
  command("xl list"),
];
