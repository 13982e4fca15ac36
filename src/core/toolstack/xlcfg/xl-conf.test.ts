// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { applyGlobalAffinityMasks, maskAffinity } from "./affinity-masks.ts";
import { parseDomainConfig } from "./parse-domain-config.ts";
import { testEnvironment } from "./test-environment.ts";
import { defaultXlConf, parseXlConf } from "./xl-conf.ts";

const { host } = testEnvironment();

test("an empty xl.conf, and one that says everything", () => {
  expect(parseXlConf("/etc/xen/xl.conf", "# nothing\n", host)).toEqual({
    conf: defaultXlConf(),
    stderr: "",
    hint: "",
  });
  const text = `
    autoballoon="off"
    run_hotplug_scripts=0
    lockfile="/run/xl"
    vif.default.script="vif-route"
    vif.default.bridge="br1"
    vif.default.gatewaydev="eth0"
    vif.default.backend="net"
    output_format="sxp"
    blkdev_start="xvda"
    claim_mode=0
    remus.default.netbufscript="n"
    colo.default.proxyscript="p"
    max_grant_frames=64
    max_maptrack_frames=1024
    max_grant_version=1
    vm.cpumask="0-2"
    vm.hvm.cpumask="nodes:1"
    vm.pv.cpumask="all,^3"
    domid_policy="random"
  `;
  expect(parseXlConf("/etc/xen/xl.conf", text, host)).toEqual({
    conf: {
      autoballoon: false,
      runHotplugScripts: false,
      lockfile: "/run/xl",
      nic: { script: "vif-route", bridge: "br1", gatewaydev: "eth0", backend: "net" },
      outputFormat: "sxp",
      blkdevStart: "xvda",
      claimMode: false,
      remusNetbufScript: "n",
      coloProxyScript: "p",
      maxGrantFrames: 64,
      maxMaptrackFrames: 1024,
      maxGrantVersion: 1,
      vmCpumask: [0, 1, 2],
      hvmCpumask: [2, 3],
      pvCpumask: [0, 1, 2, 4, 5, 6, 7],
      domidPolicy: "random",
    },
    stderr: "",
    hint: "",
  });
});

test("old names, bad values and broken files", () => {
  const old = parseXlConf("c", 'vifscript="s"\ndefaultbridge="b"\nautoballoon="x"\n', host);
  expect(old.conf?.nic).toMatchObject({ script: "s", bridge: "b" });
  expect(old.stderr).toBe(
    "invalid autoballoon option" +
      "the global config option vifscript is deprecated, please switch to vif.default.script\n" +
      "the global config option defaultbridge is deprecated, please switch to vif.default.bridge\n",
  );
  expect(parseXlConf("c", 'max_grant_frames="-1"', host)).toEqual({ conf: null, stderr: "", hint: "" });
  expect(parseXlConf("c", "a b\n", host)).toMatchObject({
    conf: null,
    stderr:
      "c:1: config parsing error near `b': syntax error, unexpected IDENT, expecting += or '='\n" +
      "Failed to parse config file: Invalid argument\n",
  });
});

test("xl.conf's values reach the domain", () => {
  const environment = testEnvironment();
  environment.conf.nic.bridge = "br1";
  environment.conf.runHotplugScripts = false;
  environment.conf.maxGrantFrames = 64;
  const parsed = parseDomainConfig("f", 'name="x"\nkernel="/k"\nvif=["","bridge=br2"]', environment);
  if (!parsed.ok) throw new Error(parsed.stderr);
  expect(parsed.config.nics.map(({ bridge }) => bridge)).toEqual(["br1", "br2"]);
  expect(parsed.config.c_info.run_hotplug_scripts).toBe(false);
  expect(parsed.config.b_info.max_grant_frames).toBe(64);
});

test("CPU masks restrict a domain's affinity", () => {
  const environment = testEnvironment();
  environment.conf.vmCpumask = [0, 1, 2];
  environment.conf.pvCpumask = [1, 2, 3];
  const affinity = (cpus: string): number[][] | "empty" => {
    const parsed = parseDomainConfig("f", `name="x"\nkernel="/k"\nvcpus=2\n${cpus}`, environment);
    if (!parsed.ok) throw new Error(parsed.stderr);
    const fits = applyGlobalAffinityMasks(parsed.config, environment.conf, environment.host);
    return fits ? parsed.config.b_info.vcpu_hard_affinity : "empty";
  };
  expect(affinity("")).toEqual([
    [1, 2],
    [1, 2],
  ]);
  expect(affinity('cpus=["0-1","2-3"]')).toEqual([[1], [2]]);
  expect(affinity('cpus="0"')).toBe("empty");
  expect(maskAffinity(environment.conf, "hvm", [0, 3])).toEqual([0]);
  expect(maskAffinity(defaultXlConf(), "pv", [0, 3])).toEqual([0, 3]);
});
