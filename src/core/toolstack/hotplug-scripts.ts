// SPDX-License-Identifier: Apache-2.0
//
// Which hotplug scripts a device has and what they are called with
// (tools/libs/light/libxl_linux.c, libxl__get_hotplug_script_info).

import { present } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { backendDir, backendPath } from "./device.ts";
import type { Device } from "./device.ts";
import { stubdomId } from "./dominfo.ts";
import { libxlDebug, libxlError } from "./log.ts";
import { ERROR_FAIL } from "./rc.ts";
import { strerror } from "./strerror.ts";
import { xsRead } from "./xs.ts";

export type DeviceAction = "add" | "remove";

/** One execution of a script: what it is called with. */
export type ScriptRun = { script: string; args: string[]; env: { [name: string]: string } };

/** A node of the backend's directory, or null: libxl asks for the backend's home anew each time. */
const backendNode = routine(
  "libxl__xs_read(be_path)",
  (a: { process: string; device: Device; node: string }) => ({
    ...a,
    back: "",
    value: null as string | null,
  }),
  ({ call }) => [
    call(
      "backend path",
      backendPath,
      ({ process, device }) => ({ process, device }),
      (l, path) => void (l.back = path),
    ),
    call(
      "read",
      xsRead,
      ({ process, back, node }) => ({ process, path: `${back}/${node}` }),
      (l, value) => {
        l.value = value;
      },
    ),
  ],
  (l) => l.value,
);

const scriptEnv = (script: string, device: Device): ScriptRun["env"] => ({
  script,
  XENBUS_TYPE: device.backendKind,
  XENBUS_PATH: backendDir(device),
  XENBUS_BASE_PATH: "backend",
});

/** The backend's directory is gone, or was never whole: libxl does not know its script. */
function noScript(host: Host, { process, device }: { process: string; device: Device }, where: string): void {
  const { backendDomid, domid } = device;
  const text = `unable to read script from /local/domain/${backendDomid}/${backendDir(device)}`;
  libxlError(host, process, `libxl_linux.c:${where}`, `${text}: ${strerror("ENOENT")}`, domid);
}

/** How a disk's script is called (libxl__hotplug_disk); it runs once. */
const hotplugDisk = routine(
  "libxl__hotplug_disk",
  (a: { process: string; device: Device; action: DeviceAction }) => ({
    ...a,
    script: null as string | null,
    back: "",
  }),
  ({ call, step, when, failWith }) => [
    call(
      "script",
      backendNode,
      ({ process, device }) => ({ process, device, node: "script" }),
      (l, script) => void (l.script = script),
    ),
    when("no script", (l) => l.script === null, [
      step("complain", (host, l) => noScript(host, l, "174:libxl__hotplug_disk")),
      failWith("ERROR_FAIL", ERROR_FAIL),
    ]),
    call(
      "get_hotplug_env",
      backendPath,
      ({ process, device }) => ({ process, device }),
      (l, path) => void (l.back = path),
    ),
    step(
      "env",
      (host, { process, device }) => {
        const text = "Args and environment ready";
        libxlDebug(host, process, "libxl_linux.c:194:libxl__hotplug_disk", text, device.domid);
      },
      { unseen: true },
    ),
  ],
  ({ script, action, device }): ScriptRun => ({
    script: present(script),
    args: [action],
    env: scriptEnv(present(script), device),
  }),
);

/** How a network interface's script is called (libxl__hotplug_nic); an emulated one has a tap device, too. */
const hotplugNic = routine(
  "libxl__hotplug_nic",
  (a: { process: string; device: Device; action: DeviceAction; runs: number }) => ({
    ...a,
    script: null as string | null,
    type: "vif" as string | null,
    gatewaydev: null as string | null,
    again: false,
  }),
  ({ call, when, step, failWith }) => [
    call(
      "script",
      backendNode,
      ({ process, device }) => ({ process, device, node: "script" }),
      (l, script) => void (l.script = script),
    ),
    when("no script", (l) => l.script === null, [
      step("complain", (host, l) => noScript(host, l, "119:libxl__hotplug_nic")),
      failWith("ERROR_FAIL", ERROR_FAIL),
    ]),
    call(
      "libxl__nic_type",
      backendNode,
      ({ process, device }) => ({ process, device, node: "type" }),
      (l, type) => {
        l.type = type;
        l.again = l.runs > 0 && type === "vif";
      },
    ),
    when("another run", (l) => !l.again, [
      call(
        "gatewaydev",
        backendNode,
        ({ process, device }) => ({ process, device, node: "gatewaydev" }),
        (l, dev) => {
          l.gatewaydev = dev;
        },
      ),
      call("type for the environment", backendNode, ({ process, device }) => ({
        process,
        device,
        node: "type",
      })),
    ]),
  ],
  (l): ScriptRun | null => (l.again ? null : nicRun({ ...l, script: present(l.script) })),
);

function nicRun(l: {
  device: Device;
  action: DeviceAction;
  runs: number;
  script: string;
  type: string | null;
  gatewaydev: string | null;
}): ScriptRun {
  const { domid, devid } = l.device;
  const vif = `vif${domid}.${devid}`;
  const env = { ...scriptEnv(l.script, l.device), netdev: l.gatewaydev ?? "", vif };
  const tap = l.type === "vif_ioemu";
  return {
    script: l.script,
    args:
      tap && l.runs > 0
        ? [l.action, "type_if=tap"]
        : [l.action === "add" ? "online" : "offline", "type_if=vif"],
    env: tap ? { ...env, INTERFACE: `${vif}-emu` } : env,
  };
}

/** What is to be run next for a device, or null for nothing more (libxl__get_hotplug_script_info). */
export const scriptInfo = routine(
  "libxl__get_hotplug_script_info",
  (a: { process: string; device: Device; action: DeviceAction; runs: number }) => ({
    ...a,
    stubdom: 0,
    run: null as ScriptRun | null,
  }),
  ({ when, call }) => [
    when("disk", (l) => l.device.backendKind === "vbd" && l.runs === 0, [
      call(
        "disk script",
        hotplugDisk,
        ({ process, device, action }) => ({ process, device, action }),
        (l, run) => {
          l.run = run;
        },
      ),
    ]),
    when("nic", (l) => l.device.backendKind === "vif" && l.runs <= 1, [
      call(
        "stubdom",
        stubdomId,
        ({ process, device }) => ({ process, domid: device.domid }),
        (l, domid) => {
          l.stubdom = domid;
        },
      ),
      when("not served by a stubdom", (l) => l.stubdom === 0 || l.runs === 0, [
        call(
          "nic script",
          hotplugNic,
          ({ process, device, action, runs }) => ({ process, device, action, runs }),
          (l, run) => {
            l.run = run;
          },
        ),
      ]),
    ]),
  ],
  (l) => l.run,
);
