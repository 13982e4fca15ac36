// SPDX-License-Identifier: Apache-2.0
//
// Building a domain from a configuration: what all types of guests need before
// and after, and in between what their type needs (tools/libs/light/libxl_create.c,
// libxl__domain_build).

import { present } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import type { BuildConfig } from "./build-config.ts";
import { buildHvm } from "./build-hvm.ts";
import { buildPost } from "./build-post.ts";
import type { Rings } from "./build-post.ts";
import { buildPre } from "./build-pre.ts";
import { buildPv } from "./build-pv.ts";
import type { Entries } from "./device-entries.ts";
import { startTime } from "./wall-clock.ts";

/** What the virtual machine's directory says of how it was built. */
export function vmEntries(build: BuildConfig, started: string, restored: boolean): Entries {
  const given = (name: string, value: string | null): Entries =>
    value === null || restored ? [] : [[name, value]];
  switch (build.type) {
    case "pv":
      return [
        ["image/ostype", "linux"],
        ...given("image/kernel", build.kernel),
        ["start_time", started],
        ...given("image/ramdisk", build.ramdisk),
        ...given("image/cmdline", build.cmdline),
      ];
    case "pvh":
      return [["start_time", started]];
    case "hvm":
      return [
        ["rtc/timeoffset", ""],
        ["image/ostype", "hvm"],
        ["start_time", started],
      ];
  }
}

/** Builds an empty domain; where its rings are. */
export const domainBuild = routine(
  "libxl__domain_build",
  (a: { process: string; domid: number; build: BuildConfig }) => ({
    ...a,
    ports: { storePort: -1, consolePort: -1 },
    rings: null as Rings | null,
    started: "",
  }),
  ({ call, step, when }) => [
    call(
      "libxl__build_pre",
      buildPre,
      ({ process, domid, build }) => ({ process, domid, build, restore: false }),
      (l, ports) => void (l.ports = ports),
    ),
    step("gettimeofday", (host, l) => void (l.started = startTime(host))),
    when(
      "pv",
      (l) => l.build.type === "pv",
      [
        call(
          "libxl__build_pv",
          buildPv,
          ({ process, domid, build, ports }) => ({ process, domid, build, ports }),
          (l, rings) => {
            l.rings = rings;
          },
        ),
      ],
      [
        call(
          "libxl__build_hvm",
          buildHvm,
          ({ process, domid, build, ports }) => ({ process, domid, build, ports }),
          (l, rings) => {
            l.rings = rings;
          },
        ),
      ],
    ),
    call("libxl__build_post", buildPost, ({ process, domid, build, rings, started }) => ({
      process,
      domid,
      build,
      rings: present(rings),
      vm: vmEntries(build, started, false),
    })),
  ],
  (l) => present(l.rings),
);
