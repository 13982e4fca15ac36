// SPDX-License-Identifier: Apache-2.0
//
// Whether a block device is in use by somebody who would be surprised: its own
// domain, or the vbd of another domain (tools/hotplug/Linux/block, check_sharing).

import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { blockDeviceCell, ofDomain } from "./backend-devices.ts";
import { xenstoreList, xenstoreRead } from "./xenstore-tools.ts";

/** Who has the device in a way that does not go with the mode asked for. */
export type Sharing = "ok" | "local" | "guest";

interface SharingArgs {
  process: string;
  domid: number;
  /** `backend/vbd` */
  basePath: string;
  numbers: readonly string[];
  mode: string;
  frontendId: string;
  frontendUuid: string;
}

function mountedHere(host: Host, { domid, numbers, mode }: SharingArgs): boolean {
  return numbers.some((number) => {
    const mounted = host.get(blockDeviceCell, ofDomain(domid, number))?.mounted ?? "no";
    return mode === "w" ? mounted !== "no" : mounted === "rw";
  });
}

/** Whether another domain is the same VM: the one a domain was and will be, or its stub domain (same_vm). */
const sameVm = routine(
  "same_vm",
  (a: { process: string; dom: string; frontendId: string; frontendUuid: string }) => ({
    ...a,
    othervm: "",
    target: "-1",
    targetvm: "No Target",
    otarget: "-1",
    otvm: "No Other Target",
  }),
  ({ call }) => [
    call(
      "othervm",
      xenstoreRead,
      (l) => ({ process: l.process, path: `/local/domain/${l.dom}/vm` }),
      (l, value) => {
        l.othervm = value ?? l.frontendUuid;
      },
    ),
    call(
      "target",
      xenstoreRead,
      (l) => ({ process: l.process, path: `/local/domain/${l.frontendId}/target` }),
      (l, value) => {
        l.target = value ?? l.target;
      },
    ),
    call(
      "targetvm",
      xenstoreRead,
      (l) => ({ process: l.process, path: `/local/domain/${l.target}/vm` }),
      (l, value) => {
        l.targetvm = value ?? l.targetvm;
      },
    ),
    call(
      "otarget",
      xenstoreRead,
      (l) => ({ process: l.process, path: `/local/domain/${l.dom}/target` }),
      (l, value) => {
        l.otarget = value ?? l.otarget;
      },
    ),
    call(
      "otvm",
      xenstoreRead,
      (l) => ({ process: l.process, path: `/local/domain/${l.otarget}/vm` }),
      (l, value) => {
        l.otvm = value ?? l.otvm;
      },
    ),
  ],
  (l) => {
    const uuid = l.frontendUuid.replace(/-1$/, "");
    return uuid === l.othervm || l.targetvm === l.othervm || uuid === l.otvm || l.targetvm === l.otvm;
  },
);

/** Looks at what dom0 has mounted and at every vbd there is, until one has the device in a way that matters. */
export const checkSharing = routine(
  "check_sharing",
  (a: SharingArgs) => ({
    ...a,
    doms: [] as string[],
    dom: "",
    devs: [] as string[],
    dev: "",
    theirs: null as string | null,
    theirMode: "",
    same: false,
    found: "ok" as Sharing,
  }),
  ({ step, call, each, when }) => [
    step("/proc/mounts", (host, l) => {
      if (mountedHere(host, l)) l.found = "local";
    }),
    when("not mounted", (l) => l.found === "ok", [
      call(
        "xenstore-list",
        xenstoreList,
        (l) => ({ process: l.process, path: l.basePath }),
        (l, doms) => {
          l.doms = doms;
        },
      ),
      each(
        "dom",
        (l) => l.doms,
        (l, dom) => {
          l.dom = dom;
        },
        [
          when("looking", (l) => l.found === "ok", [
            call(
              "xenstore-list dom",
              xenstoreList,
              (l) => ({ process: l.process, path: `${l.basePath}/${l.dom}` }),
              (l, devs) => {
                l.devs = devs;
              },
            ),
            each(
              "dev",
              (l) => l.devs,
              (l, dev) => {
                l.dev = dev;
              },
              [
                when("still looking", (l) => l.found === "ok", [
                  call(
                    "physical-device",
                    xenstoreRead,
                    (l) => ({ process: l.process, path: `${l.basePath}/${l.dom}/${l.dev}/physical-device` }),
                    (l, theirs) => {
                      l.theirs = theirs;
                      l.theirMode = "w";
                    },
                  ),
                  when("the same device", (l) => l.theirs !== null && l.numbers.includes(l.theirs), [
                    when("read only", (l) => l.mode !== "w", [
                      call(
                        "mode",
                        xenstoreRead,
                        (l) => ({ process: l.process, path: `${l.basePath}/${l.dom}/${l.dev}/mode` }),
                        (l, mode) => {
                          l.theirMode = mode ?? "";
                        },
                      ),
                    ]),
                    when("writing", (l) => l.theirMode.includes("w") && !l.theirMode.includes("!"), [
                      call(
                        "same_vm",
                        sameVm,
                        ({ process, dom, frontendId, frontendUuid }) => ({
                          process,
                          dom,
                          frontendId,
                          frontendUuid,
                        }),
                        (l, same) => {
                          if (!same) l.found = "guest";
                        },
                      ),
                    ]),
                  ]),
                ]),
              ],
            ),
          ]),
        ],
      ),
    ]),
  ],
  (l) => l.found,
);
