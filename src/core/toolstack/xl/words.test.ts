// SPDX-License-Identifier: Apache-2.0
//
// Words recorded from xl 4.17.7, and arguments it reads late.

import { describe, expect, test } from "vitest";
import { parseMemSizeKb, parseTrigger, parseTriggerVcpu, parseVcpuCount } from "./amounts.ts";
import { idOf, parseDomid, resolveDomain } from "./domain-arg.ts";
import * as messages from "./messages.ts";

describe("recorded messages", () => {
  test.each([
    [messages.invalidDomain("nosuch"), "nosuch is an invalid domain identifier (rc=-6)\n"],
    [messages.domainDoesNotExist("99"), "Error: Domain '99' does not exist.\n"],
    [
      messages.noDomidOfName("nosuch"),
      "Can't get domid of domain name 'nosuch', maybe this domain does not exist.\n",
    ],
    [
      messages.noNameOfDomid(99),
      "Can't get domain name of domain id '99', maybe this domain does not exist.\n",
    ],
    [
      messages.notDestroyingDomain0,
      "Not destroying domain 0; use -f to force.\n" +
        "This can only be done when using a disaggregated hardware domain and toolstack.\n\n",
    ],
    [messages.destroyFailed(-3), "destroy failed (rc=-3)\n"],
    [messages.stopping("shutdown", 99), "Shutting down domain 99\n"],
    [messages.stopping("reboot", 99), "Rebooting domain 99\n"],
    [messages.stopFailed("reboot", -3), "reboot failed (rc=-3)\n"],
    [messages.waitingForDomains(1), "Waiting for 1 domains\n"],
    [messages.domainShutDown(13, 0), "Domain 13 has been shut down, reason code 0\n"],
    [messages.cannotRename("gx"), "Can't rename domain 'gx'.\n"],
    [messages.coreDumpFailed(-3), "core dump failed (rc=-3)\n"],
    [messages.cannotSetMaxMemory(99, "64"), "cannot set domid 99 static max memory to : 64\n"],
    [messages.cannotSetMemoryTarget(99, "64"), "cannot set domid 99 dynamic max memory to : 64\n"],
    [messages.diskAddFailed, "libxl_device_disk_add failed.\n"],
    [messages.diskNotConnected("xvda"), "Error: Device xvda not connected.\n"],
    [messages.unknownDevice("0"), "Unknown device 0.\n"],
    [
      messages.cannotReadConfig("/tmp/nosuch.cfg", "No such file or directory"),
      "Failed to read config file: /tmp/nosuch.cfg: No such file or directory\n",
    ],
    [messages.parsingConfig("/tmp/gy.cfg"), "Parsing config from /tmp/gy.cfg\n"],
    [
      messages.savingTo("/mnt/gi.save", 3, 0, 826),
      "Saving to /mnt/gi.save new xl format (info 0x3/0x0/826)\n",
    ],
    [
      messages.loadingFrom("/mnt/gi.save", 3, 0, 826),
      "Loading new save file /mnt/gi.save (new xl fmt info 0x3/0x0/826)\n",
    ],
    [messages.saveFileHasConfig(true), " Savefile contains xl domain config in JSON format\n"],
    [messages.cannotOpenForSaving("/nosuchdir/x"), "Failed to open temp file /nosuchdir/x for writing\n"],
    [
      messages.cannotOpenRestoreFile("No such file or directory"),
      "Can't open restore file: No such file or directory\n",
    ],
    [messages.noStoredConfig, "unable to retrieve domain configuration\n"],
    [messages.monitorWaiting("ga", 1, 169), "Waiting for domain ga (domid 1) to die [pid 169]\n"],
    [messages.monitorShutDown(4, 1), "Domain 4 has shut down, reason code 1 0x1\n"],
    [messages.monitorAction(1, "restart"), "Action for shutdown reason code 1 is restart\n"],
    [messages.monitorDestroyed(1), "Domain 1 has been destroyed.\n"],
  ])("%j", (text, expected) => {
    expect(text).toBe(expected);
  });
});

describe("which domain", () => {
  const domains = [
    { domid: 0, name: "Domain-0" },
    { domid: 7, name: null },
    { domid: 13, name: "gx" },
    { domid: 14, name: "7a" },
  ];
  test.each([
    ["gx", 13],
    ["Domain-0", 0],
    ["99", 99],
    ["007", 7],
    ["7a", 14],
    ["nosuch", null],
    ["", null],
    ["-1", null],
  ])("%j", (word, domid) => {
    expect(resolveDomain(word, domains)).toBe(domid);
  });

  test("domname takes any number at the start", () => {
    expect(parseDomid("12abc")).toBe(12);
    expect(parseDomid("nosuch")).toBeNull();
    expect(parseDomid("-1")).toBe(4294967295);
    expect(idOf("4294967296")).toBe(0);
  });
});

describe("amounts", () => {
  test.each([
    ["64", 65536],
    ["64m", 65536],
    ["2G", 2097152],
    ["1t", 1073741824],
    ["512k", 512],
    ["4096b", 4],
    ["", 0],
    ["64mb", null],
    ["64x", null],
    ["x", null],
  ])("memory %j", (text, kib) => {
    expect(parseMemSizeKb(text)).toBe(kib);
  });

  test("vCPUs and triggers", () => {
    expect(parseVcpuCount("4x")).toBe(4);
    expect(parseVcpuCount("x")).toBeNull();
    expect(parseVcpuCount("-1")).toBeNull();
    expect(parseTrigger("NMI")).toBe("nmi");
    expect(parseTrigger("zork")).toBeUndefined();
    expect(parseTriggerVcpu("x")).toBeNull();
    expect(parseTriggerVcpu("3")).toBe(3);
  });
});
