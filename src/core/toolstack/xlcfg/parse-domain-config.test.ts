// SPDX-License-Identifier: Apache-2.0
//
// Messages and exit codes were recorded from xl 4.17.7, configurations observed
// with its `xl -N create`.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { requires } from "../../../../test/capabilities.ts";
import { domainConfig, type DomainConfig } from "./domain-config.ts";
import type { Json } from "./idl.ts";
import { appendExtraConfig, parseDomainConfig } from "./parse-domain-config.ts";
import { testEnvironment } from "./test-environment.ts";

function parse(text: string): { config: DomainConfig; stderr: string } {
  const parsed = parseDomainConfig("f", text, testEnvironment());
  if (!parsed.ok) throw new Error(parsed.stderr);
  return parsed;
}

function failure(text: string): { code: number; stderr: string } {
  const parsed = parseDomainConfig("f", text, testEnvironment());
  return parsed.ok ? { code: 0, stderr: "" } : { code: parsed.code, stderr: parsed.stderr };
}

const pv = 'name="x"\nkernel="/k"\n';
const hvm = 'name="x"\ntype="hvm"\n';
const pvh = `${pv}type="pvh"\n`;

test("a small PV guest, every field", () => {
  const { config, stderr } = parse(
    `${pv}memory=96\nvcpus=2\nextra="quiet"\ndisk=["phy:/dev/loop0,xvda,w"]\n`,
  );
  expect(stderr).toBe("");
  expect(domainConfig.toJson(config)).toEqual({
    c_info: {
      type: "pv",
      name: "x",
      uuid: "11111111-2222-3333-4444-555555555555",
      run_hotplug_scripts: "True",
    },
    b_info: {
      max_vcpus: 2,
      avail_vcpus: [0, 1],
      max_memkb: 98304,
      target_memkb: 98304,
      sched_params: {},
      claim_mode: "True",
      kernel: "/k",
      cmdline: "quiet",
      "type.pv": {},
      arch_arm: {},
      arch_x86: {},
    },
    disks: [{ pdev_path: "/dev/loop0", vdev: "xvda", format: "raw", readwrite: 1 }],
    on_reboot: "restart",
    on_soft_reset: "soft_reset",
  });
});

/** Where a part of the configuration's JSON is, by keys. */
function at(config: DomainConfig, path: string): Json | undefined {
  let json: Json | undefined = domainConfig.toJson(config);
  for (const key of path.split("/")) json = (json as Record<string, Json> | undefined)?.[key];
  return json;
}

describe("keys", () => {
  test.each<[string, string, Json | undefined]>([
    [`${pv}type="h"`, "c_info/type", "hvm"],
    [`${pv}type="p"`, "c_info/type", "pv"],
    [`${pvh}pvshim=1`, "b_info/type.pvh", { pvshim: "True" }],
    [`${pv}builder="generic"`, "c_info/type", "pv"],
    [
      `${pv}uuid="06ED00FE-1162-4FC4-B5D8-11993EE4A8B9"`,
      "c_info/uuid",
      "06ed00fe-1162-4fc4-b5d8-11993ee4a8b9",
    ],
    [`${pv}memory=64\nmaxmem=128`, "b_info/max_memkb", 131072],
    [`${pv}vcpus=2\nmaxvcpus=4`, "b_info/max_vcpus", 4],
    [
      `${pv}vcpus=2\ncpus="0-2,^1"`,
      "b_info/vcpu_hard_affinity",
      [
        [0, 2],
        [0, 2],
      ],
    ],
    [
      `${pv}vcpus=2\ncpus="nodes:1"`,
      "b_info/vcpu_hard_affinity",
      [
        [2, 3],
        [2, 3],
      ],
    ],
    [`${pv}vcpus=2\ncpus=["0","1","2"]`, "b_info/vcpu_hard_affinity", [[0], [1]]],
    [`${pv}vcpus=1\ncpus_soft="0"`, "b_info/numa_placement", "False"],
    [`${pv}cpu_weight=512\ncap=50`, "b_info/sched_params", { weight: 512, cap: 50 }],
    [`${pv}root="/dev/xvda"\nextra="ro"`, "b_info/cmdline", "root=/dev/xvda ro"],
    ['name="x"\nfirmware="pvgrub64"', "b_info/kernel", "/usr/lib/xen-4.17/boot/pvgrub64.bin"],
    [`${pv}on_crash="coredump-restart"`, "on_crash", "coredump_restart"],
    [`${pv}on_reboot="destroy"`, "on_reboot", undefined],
    [`${pv}on_poweroff="rename-restart"`, "on_poweroff", "restart_rename"],
    [
      `${pv}pci=["0000:01:00.0,permissive=1@4","02:03.*@1f"]`.replace("@4", ""),
      "pcidevs",
      [
        { bus: 1, vfunc_mask: 1, permissive: true, rdm_policy: "strict" },
        { dev: 3, bus: 2, vdevfn: 248, vfunc_mask: 4294967295, rdm_policy: "strict" },
      ],
    ],
    [`${pv}pci=["01:00.0"]`, "b_info/type.pv", { e820_host: "True" }],
    [`${pv}tsc_mode="native"`, "b_info/tsc_mode", "native"],
    [`${hvm}viridian=["base","!freq"]`, "b_info/type.hvm/viridian_enable", [0]],
    [`${hvm}serial=["pty","file:/x"]`, "b_info/type.hvm/serial_list", ["pty", "file:/x"]],
    [`${hvm}firmware="uefi"`, "b_info/type.hvm/bios", "ovmf"],
    [
      `${hvm}ms_vm_genid="generate"`,
      "b_info/type.hvm/ms_vm_genid",
      Array.from({ length: 16 }, (_, i) => i + 1),
    ],
    [
      `${pv}ioports=["3f8","2f8-2ff"]`,
      "b_info/ioports",
      [
        { first: 1016, number: 1 },
        { first: 760, number: 8 },
      ],
    ],
    [
      `${pv}iomem=["f0000,1","e0000,2@fe000"]`,
      "b_info/iomem",
      [
        { start: 983040, number: 1 },
        { start: 917504, number: 2, gfn: 1040384 },
      ],
    ],
    [
      `${pv}vnc=1\nvncdisplay=3\nkeymap="de"`,
      "vfbs",
      [{ devid: 0, vnc: { enable: "True", display: 3 }, sdl: {}, keymap: "de" }],
    ],
    [`${pv}vfb=["vnc=1"]`, "vkbs", [{ devid: 0 }]],
    [
      `${pv}channel=["connection=socket,path=/s,name=n"]`,
      "channels",
      [{ devid: 0, name: "n", "connection.socket": { path: "/s" } }],
    ],
    [
      `${pv}usbdev=["type=hostdev,hostbus=1,hostaddr=0x10"]`,
      "usbdevs",
      [{ "type.hostdev": { hostbus: 1, hostaddr: 16 } }],
    ],
    [
      `${pv}cpuid="host,family=16,rdcl-no=s"`,
      "b_info/cpuid",
      {
        cpuid: [{ leaf: 1, eax: "xxxx00000001xxxxxxxx1111xxxxxxxx" }],
        msr: [{ index: 266, policy: `${"x".repeat(63)}k` }],
      },
    ],
    [
      `${pv}vnuma=[["pnode=0","size=512","vcpus=0-1","vdistances=10,20"],["pnode=1","size=256","vcpus=2,3"]]`,
      "b_info/vnuma_nodes",
      [
        { memkb: 524288, distances: [10, 20], vcpus: [0, 1] },
        { memkb: 262144, distances: [0, 0], pnode: 1, vcpus: [2, 3] },
      ],
    ],
    [`${pv}no_such_key=5`, "c_info/name", "x"],
  ])("%j %s", (text, path, expected) => {
    expect(at(parse(text).config, path)).toEqual(expected);
  });
});

describe("xl gives up with these words and exit codes", () => {
  test.each([
    ["", 1, "Domain name must be specified.\n"],
    [
      "name=(((",
      1,
      "f:1: config parsing error near `(((': lexical error\n" +
        "warning: Config file looks like it contains Python code.\n" +
        "warning:  Arbitrary Python is no longer supported.\n" +
        "warning:  See https://wiki.xen.org/wiki/PythonInXlConfig\nFailed to parse config: Invalid argument\n",
    ],
    [
      'name=["x"]',
      1,
      "f:1: warning: parameter `name' is a list but should be a single value\nDomain name must be specified.\n",
    ],
    [`${pv}on_crash="bogus"`, 1, 'Unknown on_crash action "bogus" specified\n'],
    [`${pv}on_watchdog=""`, 1, 'Unknown on_watchdog action "" specified\n'],
    [`${pv}type="xyz"`, 1, "Invalid domain type xyz.\n"],
    [`${pv}builder="hvm"\ntype="pv"`, 1, 'Contradicting "builder" and "type" options specified.\n'],
    [`${pv}uuid="1"`, 1, "Failed to parse UUID: 1\n"],
    [`${pv}vcpus=4\nmaxvcpus=2`, 1, "xl: maxvcpus < vcpus\n"],
    [`${pv}vcpus=1\ncpus="x"`, 1, "Invalid pcpu range: x.\n"],
    [`${pv}vcpus=1\ncpus="^all"`, 1, `Can't combine "^" and "all".\n`],
    [`${pv}max_grant_frames="x"`, 1, ""],
    [`${pv}pci=["zz"]`, 6, "unable to parse PCI_SPEC_STRING `zz' for passthrough\n"],
    [
      `${pv}pci=["01:00.0,rdm_policy=x"]`,
      3,
      "Unknown RDM policy: xunable to parse PCI_SPEC_STRING `01:00.0,rdm_policy=x' for passthrough\n",
    ],
    [`${pv}passthrough="x"`, 1, "ERROR: unknown passthrough option 'x'\n"],
    [`${pv}timer_mode=1`, 3, 'ERROR: "timer_mode" option is not supported for PV guests.\n'],
    ['name="x"', 1, "Neither kernel nor bootloader specified\n"],
    [`${pv}firmware="pvgrub64"`, 1, "ERROR: both kernel and firmware specified\n"],
    [`${hvm}bios="x"`, 1, 'ERROR: invalid value "x" for "bios"\n'],
    [`${hvm}mmio_hole=255`, 1, 'ERROR: invalid value 255 for "mmio_hole"\n'],
    [`${hvm}vga="x"`, 1, 'Unknown vga "x" specified\n'],
    [`${hvm}viridian=["x"]`, 3, "xl: unknown viridian enlightenment 'x'\n"],
    [`${pv}irqs=["5x"]`, 1, "xl: Invalid argument parsing irq: 5x\n"],
    [`${pv}disk=["/a"]`, 1, "f: config parsing error in disk specification: no vdev specified in `/a'\n"],
    [`${pv}p9=["tag=t"]`, 1, "9pfs spec missing required field!\n"],
    [`${pv}channel=["name=x"]`, 1, "channel has unknown 'connection'\n"],
    [`${pv}vkb=["backend=x"]`, 1, "backend-type should be set in vkb spec\n"],
    [
      `${pv}vsnd=["x"]`,
      1,
      "f:3:0: warning: value is not a list\nFailed to get vsnd card list: Invalid argument\n",
    ],
    [`${pv}device_model_version="x"`, 1, 'Unknown device_model_version "x" specified\n'],
    [
      `${pv}device_model_args="x"`,
      3,
      "f:3: warning: parameter `device_model_args' is a single value but should be a list\n" +
        "xl: Unable to parse device_model_args.\n",
    ],
    [`${pv}vnuma=[["pnode=9"]]`, 1, "xl: invalid pnode number: 9\n"],
  ])("%j", (text, code, stderr) => {
    expect(failure(text)).toEqual({ code, stderr });
  });
});

describe("xl warns and goes on", () => {
  test.each([
    [`${pv}memory="12abc"`, "f:3: warning: parameter `memory' is not a valid number\n"],
    [
      `${pv}memory=99999999999999999999`,
      "f:3: warning: parameter `memory' could not be parsed as a number: Numerical result out of range\n",
    ],
    [`${pv}memory=9\nmemory+=6`, "f:4: warning: can't use += with numbers for parameter `memory'\n"],
    [`${pv}disk="x"`, "f:3: warning: parameter `disk' is a single value but should be a list\n"],
    [
      `${pv}tsc_mode=1`,
      'WARNING: specifying "tsc_mode" as an integer is deprecated. ' +
        'Please use the named parameter variant. e.g. tsc_mode="always_emulate"\n',
    ],
    [
      `${pv}vncviewer=1`,
      'WARNING: ignoring "vncviewer" option. Use "-V" option of "xl create" to automatically spawn vncviewer.\n',
    ],
    [`${pv}vif=["zork"]`, "unrecognized argument `zork'\n"],
    [`${pv}cmdline="a"\nroot="b"`, "Warning: ignoring root= and extra= in favour of cmdline=\n"],
    [
      `${pv}cpuid="host,zork=1"`,
      'while parsing CPUID flag: "zork=1":\n  error #2: unknown CPUID flag name\n',
    ],
  ])("%j", (text, stderr) => {
    expect(parse(text).stderr).toBe(stderr);
  });
});

test("a failure of syntax adds one line of ours, apart from xl's", () => {
  const parsed = parseDomainConfig("/tmp/gy.cfg", 'name = "x"\nmemory = (((\n', testEnvironment());
  expect(parsed).toMatchObject({ ok: false, code: 1 });
  expect(parsed.ok ? "" : parsed.hint).toMatch(/^\/tmp\/gy\.cfg:2:10: expected .* not "\(\(\("\n$/);
});

test("command-line settings come after the file's and win", () => {
  const text = appendExtraConfig(`${pv}memory=64`, 'memory=96\nname="y";vcpus=2\n');
  const { config } = parse(text);
  expect(config.c_info.name).toBe("y");
  expect(config.b_info.target_memkb).toBe(98304);
  expect(config.b_info.max_vcpus).toBe(2);
  expect(appendExtraConfig("a", "")).toBe("a");
});

const examples = "/etc/xen";
test("a kernel for guests that name none", () => {
  const environment = { ...testEnvironment(), defaultKernel: "xenolith:linux" };
  const kernelOf = (text: string): string | null => {
    const parsed = parseDomainConfig("f", text, environment);
    return parsed.ok ? parsed.config.b_info.kernel : parsed.stderr;
  };
  expect(kernelOf('name="x"')).toBe("xenolith:linux");
  expect(kernelOf('name="x"\nkernel="/k"')).toBe("/k");
  expect(kernelOf('name="x"\nbootloader="pygrub"')).toBeNull();
  expect(kernelOf('name="x"\ntype="hvm"')).toBeNull();
});

requires("xen-utils")("the examples that come with xen-utils", () => {
  test.each<[string, "pv" | "pvh" | "hvm", number]>([
    ["pvlinux", "pv", 1],
    ["pvhlinux", "pvh", 1],
    ["hvm", "hvm", 1],
  ])("xlexample.%s", (name, type, disks) => {
    const { config, stderr } = parse(readFileSync(`${examples}/xlexample.${name}`, "utf8"));
    expect(stderr).toBe("");
    expect(config.c_info.type).toBe(type);
    expect(config.c_info.name).toMatch(/^example\./);
    expect(config.disks).toHaveLength(disks);
    expect(config.nics).toHaveLength(1);
    expect(domainConfig.fromJson(domainConfig.toJson(config))).toEqual(config);
  });
});
