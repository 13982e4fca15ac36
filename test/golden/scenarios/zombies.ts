// SPDX-License-Identifier: Apache-2.0
//
// A domain that cannot be freed because somebody still maps a page of it.

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
  vainCommand,
  type Scenario,
  type Step,
} from "./steps.ts";

function zombie(name: string, hold: Step, operations: Step[]): Scenario {
  return (setting) => [
    config(setting, name, "mode=tick", 'on_crash = "destroy"'),
    ...start(name),
    snapshot("before"),
    ...lists,
    ...debugKeys("before"),
    hold,
    sleep(1),
    command("xl list"),
    command(`xl -vvv destroy ${name}`),
    sleep(0.5),
    ...lists,
    snapshot("zombie"),
    ...debugKeys("zombie"),
    sleep(1),
    ...(setting.type === "pv" && !setting.listing ? operations : []),
    note("create a new domain of the same name while the zombie exists"),
    config(setting, name, "mode=idle"),
    create(name),
    { do: "domid", name },
    note(`new ${name} domid=$2 (zombie is $1)`),
    command("xl list"),
    up(name),
    command(`xl shutdown -w ${name}`),
    gone(2),
    command("xl list"),
    sleep(2),
    note("releasing mapping"),
    { do: "let-go" },
    { do: "gone", domain: 1, seconds: 10 },
    sleep(0.5),
    command("xl list"),
    ...debugKeys("after"),
    command("/oracle/mkdom try $1"),
    snapshot("after"),
  ];
}

/** Everything xl can be asked to do to a zombie. */
function operationsOn(name: string): Step[] {
  return [
    note("operations on the zombie"),
    ...["list $1", `list ${name}`, `domid ${name}`, "domname $1", "pause $1", "unpause $1"].map((words) =>
      command(`xl ${words}`),
    ),
    ...["shutdown $1", "reboot $1"].map((words) => vainCommand(`xl ${words}`)),
    ...[
      "rename $1 zz",
      "save $1 /mnt/z.save",
      `destroy ${name}`,
      "destroy $1",
      "vcpu-list $1",
      "sysrq $1 h",
    ].map((words) => command(`xl ${words}`)),
    ...["mem-set $1 64", "uptime"].map((words) => command(`xl ${words}`)),
    vainCommand("xl console -t pv $1"),
    ...["dump-core $1 /mnt/z.core", "create /tmp/nosuch.cfg"].map((words) => command(`xl ${words}`)),
    command("/oracle/mkdom try $1"),
    snapshot("zombie2"),
  ];
}

export const zombieForeignMap = zombie(
  "gk1",
  { do: "hold", domain: 1, what: "foreign", which: 0x100 },
  operationsOn("gk1"),
);
export const zombieGrantMap = zombie("gk2", { do: "hold", domain: 1, what: "grant", which: 1 }, []);
export const zombieSharedInfo = zombie(
  "gk3",
  { do: "hold", domain: 1, what: "shared_info", which: 0 },
  operationsOn("gk3"),
);
