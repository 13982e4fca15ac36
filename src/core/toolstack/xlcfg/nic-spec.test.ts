// SPDX-License-Identifier: Apache-2.0
//
// Expected results were observed with xl 4.17.7.

import { describe, expect, test } from "vitest";
import { deviceNic } from "./device-nic.ts";
import type { Json } from "./idl.ts";
import { defaultNic, parseNicPart, parseNicSpec, type SpecReport } from "./nic-spec.ts";

const noDefaults = { script: null, bridge: null, gatewaydev: null, backend: null };

function nic(spec: string): { json: Json; stderr: string; exits: boolean } {
  const report: SpecReport = { source: "f", stderr: "" };
  const parsed = defaultNic(noDefaults);
  const exits = parseNicSpec(report, parsed, spec);
  return { json: deviceNic.toJson(parsed), stderr: report.stderr, exits };
}

describe("vif specifications", () => {
  test.each<[string, Json]>([
    ["", {}],
    ["mac=00:16:3e:00:00:01,bridge=xenbr0", { mac: "00:16:3e:00:00:01", bridge: "xenbr0" }],
    ["mac=1-2-3-4-5-F", { mac: "01:02:03:04:05:0f" }],
    ["type=ioemu, model=e1000", { model: "e1000", nictype: "vif_ioemu" }],
    [
      "script=s,ip=10.0.0.1,backend=net,vifname=v,gatewaydev=g,devid=3,mtu=9000,trusted",
      {
        backend_domname: "net",
        devid: 3,
        mtu: 9000,
        ip: "10.0.0.1",
        ifname: "v",
        script: "s",
        gatewaydev: "g",
        trusted: "True",
      },
    ],
    ["rate=10Mb/s", { rate_bytes_per_interval: 62500, rate_interval_usecs: 50000 }],
    ["rate=250KB/s", { rate_bytes_per_interval: 12500, rate_interval_usecs: 50000 }],
    ["rate=1GB/s@20ms", { rate_bytes_per_interval: 20000000, rate_interval_usecs: 20000 }],
    ["rate=10MB/s@2", { rate_bytes_per_interval: 20000000, rate_interval_usecs: 2000000 }],
    ["colo_sock_mirror_id=a,forwarddev=b", { coloft_forwarddev: "b", colo_sock_mirror_id: "a" }],
  ])("%s", (spec, json) => {
    expect(nic(spec)).toEqual({ json, stderr: "", exits: false });
  });

  test("xl.conf's defaults are there first", () => {
    const made = defaultNic({ script: "vif-route", bridge: "br1", gatewaydev: "eth0", backend: "net" });
    expect(deviceNic.toJson(made)).toEqual({
      backend_domname: "net",
      bridge: "br1",
      script: "vif-route",
      gatewaydev: "eth0",
    });
  });
});

describe("xl's words for bad vifs", () => {
  test.each([
    ["zork", "unrecognized argument `zork'\n"],
    ["zork=1", "unrecognized argument `zork=1'\n"],
    ["constructor=1", "unrecognized argument `constructor=1'\n"],
    ["mac=00:16:3e", "Invalid parameter `mac'.\n"],
    ["mac=xx", "Invalid parameter `mac'.\n"],
    ["type=foo", "Invalid parameter `type'.\n"],
  ])("%s goes on", (spec, stderr) => {
    expect(nic(spec)).toMatchObject({ stderr, exits: false });
  });

  test.each([
    ["mtu=x", 'xl: failed to convert "x" to number\n'],
    ["rate=", "f: config parsing error in vif: no rate specified in `'\n"],
    ["rate=10", "f: config parsing error in vif: invalid rate in `10'\n"],
    ["rate=0Mb/s", "f: config parsing error in vif: rate overflow in `0Mb/s'\n"],
    ["rate=10Mb/s@x", "f: config parsing error in vif: invalid replenishment interval in `x'\n"],
    ["rate=10Mb/s@0ms", "f: config parsing error in vif: replenishment interval overflow in `0ms'\n"],
  ])("%s ends xl", (spec, stderr) => {
    expect(nic(spec)).toMatchObject({ stderr, exits: true });
  });

  test("deprecated and unsupported parts are read all the same", () => {
    expect(nic("netdev=eth0,accel=1")).toEqual({
      json: { gatewaydev: "eth0" },
      stderr:
        "the netdev parameter is deprecated, please use gatewaydev instead\n" +
        "the accel parameter for vifs is currently not supported\n",
      exits: false,
    });
  });

  test("a single part tells whether a command goes on", () => {
    const report = { source: "command line", stderr: "" };
    expect(parseNicPart(report, defaultNic(noDefaults), "bridge=a")).toBe("ok");
    expect(parseNicPart(report, defaultNic(noDefaults), "zork")).toBe("refused");
    expect(parseNicPart(report, defaultNic(noDefaults), "rate=x")).toBe("exit");
  });
});
