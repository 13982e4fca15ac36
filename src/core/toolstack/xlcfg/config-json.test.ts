// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { formatDomainDetails } from "../xl/format/list.ts";
import { configFromJson, configToJson } from "./config-json.ts";
import { buildInfoUnion, domainConfig, type DomainConfig } from "./domain-config.ts";
import { parseDomainConfig } from "./parse-domain-config.ts";
import { testEnvironment } from "./test-environment.ts";

function parse(text: string): DomainConfig {
  const parsed = parseDomainConfig("f", text, testEnvironment());
  if (!parsed.ok) throw new Error(parsed.stderr);
  return parsed.config;
}

/** A guest of the recordings as libxl keeps it: parsed, and settled where creating it settles something. */
function recordedGuest(name: string, uuid: string, more: string): DomainConfig {
  const config = parse(
    `name = "${name}"\ntype = "pv"\nkernel = "/guest/vmlinuz"\nramdisk = "/guest/initrd.gz"\n` +
      `memory = 96\nvcpus = 1\nuuid = "${uuid}"\n${more}`,
  );
  config.b_info.video_memkb = 0;
  config.b_info.arch_x86.msr_relaxed = false;
  Object.assign(config.b_info.sched_params, { sched: "credit2", weight: 256, cap: 0 });
  for (const disk of config.disks) disk.colo_restore_enable = false;
  for (const nic of config.nics) nic.nictype = "vif";
  return config;
}

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
  const gv = recordedGuest(
    "gv",
    "318dff26-3e32-4e13-a8b7-d24d449611fe",
    'extra = "console=hvc0 loglevel=4 mode=idle dev=1"\ndisk = [ "phy:/dev/loop0,xvda,w" ]\n' +
      'vif = [ "mac=00:16:3e:00:00:01,bridge=xenbr0" ]\n',
  );
  gv.c_info.domid = 0xffffffff;
  const dom0 = domainConfig.init();
  Object.assign(dom0.c_info, { type: "pv", name: "Domain-0" });
  Object.assign(dom0.b_info, {
    max_memkb: 1310720,
    target_memkb: 1310719,
    u: buildInfoUnion.initMember("pv"),
  });
  Object.assign(dom0.b_info.sched_params, { sched: "credit2", weight: 256, cap: 0 });
  const text = formatDomainDetails([
    { domid: 0, config: dom0 },
    { domid: 1, config: gv },
  ]);
  expect(text).toBe(recorded);
  expect(formatDomainDetails([])).toBe("[\n\n]\n\n");
});

test("a save file's configuration is as long as the recorded one", () => {
  const extra = 'extra = "console=hvc0 loglevel=4 mode=tick"\n';
  const gi = recordedGuest("gi", "5b8e110e-33a7-4e91-bc5e-d3b68a37cb02", extra);
  // "(info 0x3/0x0/826)": four bytes of length, the JSON, a NUL.
  expect(4 + configToJson(gi).length + 1).toBe(826);
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
  const config = parse(
    'name="x"\nkernel="/k"\nmemory=96\nvfb=["vnc=1"]\nchannel=["connection=pty,name=n"]\nusbctrl=["type=pv"]\n' +
      'usbdev=["type=hostdev,hostbus=1"]\ncpuid="host,tm=0,rdcl-no=1"\npci=["01:00.0"]\niomem=["f0000,1"]\n' +
      'vnuma=[["pnode=0","size=96","vcpus=0"]]\nvtpm=["backend=t"]\nvdispl=["backend=d,connectors=a:1x2"]\n' +
      "vsnd=[['CARD, short-name=c','PCM, name=p','STREAM, type=p, sample-rates=1;2']]\n",
  );
  expect(configFromJson(configToJson(config))).toEqual(config);
});
