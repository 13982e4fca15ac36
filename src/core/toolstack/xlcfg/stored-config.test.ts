// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { formatDomainDetails } from "../xl/format/list.ts";
import { domainConfig, type DomainConfig } from "./domain-config.ts";
import { parseDomainConfig } from "./parse-domain-config.ts";
import { configFromJson, configToJson, configToStore, prepareForCreation, retrieveConfig } from "./stored-config.ts";
import { testEnvironment } from "./test-environment.ts";

function created(text: string): DomainConfig {
  const parsed = parseDomainConfig("f", text, testEnvironment());
  if (!parsed.ok) throw new Error(parsed.stderr);
  prepareForCreation(parsed.config);
  const built = configFromJson(configToJson(parsed.config)) as DomainConfig;
  built.b_info.video_memkb = 0;
  for (const [devid, nic] of built.nics.entries()) Object.assign(nic, { devid, nictype: "vif" });
  return configToStore(parsed.config, built);
}

const live = {
  availVcpus: [0],
  targetMemkb: 98304,
  staticMaxMemkb: 98304,
  scheduler: { sched: "credit2", weight: 256, cap: 0 },
} as const;

const guest = (name: string, more: string): string =>
  `name = "${name}"\ntype = "pv"\nkernel = "/guest/vmlinuz"\nramdisk = "/guest/initrd.gz"\nmemory = 96\nvcpus = 1\n${more}`;

// Recorded from xl 4.17.7: `xl list -l` with a guest that has a disk and an interface.
const recorded = `[
    {
        "domid": 0,
        "config": {
            "c_info": {
                "type": "pv",
                "name": "Domain-0"
            },
            "b_info": {
                "max_memkb": 1310720,
                "target_memkb": 1310719,
                "sched_params": {
                    "sched": "credit2",
                    "weight": 256,
                    "cap": 0
                },
                "type.pv": {

                },
                "arch_arm": {

                },
                "arch_x86": {

                }
            }
        }
    },
    {
        "domid": 1,
        "config": {
            "c_info": {
                "type": "pv",
                "name": "gv",
                "domid": 4294967295,
                "uuid": "318dff26-3e32-4e13-a8b7-d24d449611fe",
                "run_hotplug_scripts": "True"
            },
            "b_info": {
                "max_vcpus": 1,
                "avail_vcpus": [
                    0
                ],
                "max_memkb": 98304,
                "target_memkb": 98304,
                "video_memkb": 0,
                "sched_params": {
                    "sched": "credit2",
                    "weight": 256,
                    "cap": 0
                },
                "claim_mode": "True",
                "kernel": "/guest/vmlinuz",
                "cmdline": "console=hvc0 loglevel=4 mode=idle dev=1",
                "ramdisk": "/guest/initrd.gz",
                "type.pv": {

                },
                "arch_arm": {

                },
                "arch_x86": {
                    "msr_relaxed": "False"
                }
            },
            "disks": [
                {
                    "pdev_path": "/dev/loop0",
                    "vdev": "xvda",
                    "format": "raw",
                    "readwrite": 1,
                    "colo_restore_enable": "False"
                }
            ],
            "nics": [
                {
                    "devid": 0,
                    "mac": "00:16:3e:00:00:01",
                    "bridge": "xenbr0",
                    "nictype": "vif"
                }
            ],
            "on_reboot": "restart",
            "on_soft_reset": "soft_reset"
        }
    }
]

`;

test("xl list -l prints what was recorded", () => {
  const stored = created(
    guest(
      "gv",
      'extra = "console=hvc0 loglevel=4 mode=idle dev=1"\ndisk = [ "phy:/dev/loop0,xvda,w" ]\n' +
        'vif = [ "mac=00:16:3e:00:00:01,bridge=xenbr0" ]\n',
    ),
  );
  const gv = retrieveConfig(stored, { ...live, name: "gv", uuid: "318dff26-3e32-4e13-a8b7-d24d449611fe" });
  const dom0 = domainConfig.fromJson({
    c_info: { type: "pv", name: "Domain-0" },
    b_info: {
      max_memkb: 1310720,
      target_memkb: 1310719,
      sched_params: { sched: "credit2", weight: 256, cap: 0 },
      "type.pv": {},
      arch_arm: {},
      arch_x86: {},
    },
  }) as DomainConfig;
  expect(formatDomainDetails([{ domid: 0, config: dom0 }, { domid: 1, config: gv }])).toBe(recorded);
  expect(formatDomainDetails([])).toBe("[\n\n]\n\n");
});

test("a save file's configuration is as long as the recorded one", () => {
  const stored = created(guest("gi", 'extra = "console=hvc0 loglevel=4 mode=tick"\n'));
  const config = retrieveConfig(stored, { ...live, name: "gi", uuid: "5b8e110e-33a7-4e91-bc5e-d3b68a37cb02" });
  config.c_info.domid = 0; // saved without -D
  // "(info 0x3/0x0/826)": four bytes of length, the JSON, a NUL.
  expect(4 + configToJson(config).length + 1).toBe(826);
});

test("JSON that is no configuration is refused", () => {
  expect(configFromJson("{")).toBeUndefined();
  expect(configFromJson("[]")).toBeUndefined();
  expect(configFromJson('{"c_info": {"type": "pv"}, "b_info": {"type.hvm": {}}}')).toBeUndefined();
  expect(configFromJson('{"c_info": {"type": "zork"}}')).toBeUndefined();
  expect(configFromJson('{"disks": [{"vdev": 3}]}')).toBeUndefined();
  expect(configFromJson("{}")).toEqual(domainConfig.init());
});

test("any configuration survives its JSON", () => {
  const config = created(
    guest(
      "x",
      'vfb=["vnc=1"]\nchannel=["connection=pty,name=n"]\nusbdev=["hostbus=1"]\nusbctrl=["type=pv"]\ncpuid="host,tm=0"\n' +
        'pci=["01:00.0"]\nvnuma=[["pnode=0","size=96","vcpus=0"]]\niomem=["f0000,1"]\nvtpm=["backend=t"]\n',
    ),
  );
  const copy = configFromJson(configToJson(config)) as DomainConfig;
  // A member that C's zero leaves unnamed does not come back: nothing of it was printed.
  for (const { u } of config.usbdevs) u.hostbus = 0;
  expect(copy).toEqual(config);
});
