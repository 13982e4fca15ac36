// SPDX-License-Identifier: Apache-2.0
//
// Tables recorded from xl 4.17.7; those it was not recorded printing follow the
// formats in tools/xl.

import { describe, expect, test } from "vitest";
import { formatCredit2Pool, formatCreditHeader, formatCreditRow, formatCpupoolList } from "./cpupools.ts";
import {
  formatBlockListHeader,
  formatBlockRow,
  formatNetworkListHeader,
  formatNetworkRow,
} from "./devices.ts";
import { formatInfo, type HostInfo } from "./info.ts";
import { formatDomainList, formatSharing, formatVmList, stateLetters, type DomainRow } from "./list.ts";
import { fixed1, formatBitmap, left, secondsOf } from "./printf.ts";
import { formatUptime, formatUptimeHeader, formatUptimeRow } from "./uptime.ts";
import { formatVcpuListHeader, formatVcpuRows, type VcpuRow } from "./vcpu-list.ts";

const noUuid = "00000000-0000-0000-0000-000000000000";

const row = (fields: Partial<DomainRow>): DomainRow => ({
  name: "x",
  domid: 1,
  uuid: noUuid,
  currentMemkb: 98304,
  outstandingMemkb: 0,
  sharedMemkb: 0,
  vcpuOnline: 1,
  running: false,
  blocked: false,
  paused: false,
  shutdown: false,
  dying: false,
  shutdownReason: 0,
  cpuTimeNs: 0,
  securityLabel: null,
  ...fields,
});
const dom0 = row({
  name: "Domain-0",
  domid: 0,
  currentMemkb: 1310720,
  vcpuOnline: 2,
  running: true,
  cpuTimeNs: 61_800_000_000,
});

describe("xl list", () => {
  test("as recorded", () => {
    const rows = [
      { ...dom0, cpuTimeNs: 627_500_000_000 },
      row({ name: "gx", domid: 13, paused: true }),
      row({ name: null, domid: 1, currentMemkb: 4, paused: true, dying: true, cpuTimeNs: 9_400_000_000 }),
    ];
    expect(formatDomainList(rows)).toBe(
      "Name                                        ID   Mem VCPUs\tState\tTime(s)\n" +
        "Domain-0                                     0  1280     2     r-----     627.5\n" +
        "gx                                          13    96     1     --p---       0.0\n" +
        "(null)                                       1     0     1     --p--d       9.4\n",
    );
  });

  test("-v as recorded", () => {
    const ga = row({ name: "ga", uuid: "03232371-ac5f-49f6-96e6-43295b38dae2", paused: true });
    expect(formatDomainList([dom0, ga], { verbose: true })).toBe(
      "Name                                        ID   Mem VCPUs\tState\tTime(s)" +
        "   UUID                            Reason-Code\tSecurity Label\n" +
        "Domain-0                                     0  1280     2     r-----      61.8" +
        " 00000000-0000-0000-0000-000000000000        -                -\n" +
        "ga                                           1    96     1     --p---       0.0" +
        " 03232371-ac5f-49f6-96e6-43295b38dae2        -                -\n",
    );
  });

  test("further columns", () => {
    const crashed = row({
      shutdown: true,
      shutdownReason: 3,
      outstandingMemkb: 2048,
      securityLabel: "a:b:c",
    });
    expect(formatDomainList([crashed], { verbose: true }).split("\n")[1]).toMatch(/ {8}3 {12}a:b:c$/);
    expect(formatDomainList([crashed], { context: true }).split("\n")).toEqual([
      "Name                                        ID   Mem VCPUs\tState\tTime(s)   Security Label",
      "x                                            1    98     1     ---sc-       0.0            a:b:c",
      "",
    ]);
    expect(formatDomainList([crashed], { claim: true }).split("\n")).toEqual([
      "Name                                        ID   Mem VCPUs\tState\tTime(s)  Claimed",
      "x                                            1    98     1     ---sc-       0.0     2",
      "",
    ]);
    const extras = { cpupoolOf: () => "Pool-0", nodesOf: () => [0], nodeCount: 2 };
    expect(formatDomainList([row({})], extras).split("\n")).toEqual([
      "Name                                        ID   Mem VCPUs\tState\tTime(s)         Cpupool NODE Affinity",
      "x                                            1    96     1     ------       0.0          Pool-0 0",
      "",
    ]);
  });

  test.each<[Partial<DomainRow>, string]>([
    [{ running: true }, "r-----"],
    [{ blocked: true }, "-b----"],
    [{ shutdown: true, shutdownReason: 0 }, "---s--"],
    [{ shutdown: true, shutdownReason: 1 }, "---sr-"],
    [{ shutdown: true, shutdownReason: 2, paused: true }, "--pss-"],
    [{ shutdown: true, shutdownReason: 3 }, "---sc-"],
    [{ shutdown: true, shutdownReason: 4 }, "---sw-"],
    [{ shutdown: true, shutdownReason: 5 }, "---sS-"],
    [{ shutdown: true, shutdownReason: 6 }, "---s?-"],
    [{ shutdownReason: 3 }, "------"],
    [{ paused: true, shutdown: true, dying: true }, "--ps-d"],
  ])("%j is %s", (fields, letters) => {
    expect(stateLetters(row(fields))).toBe(letters);
  });

  test("vm-list and sharing", () => {
    expect(formatVmList([{ uuid: noUuid, domid: 7, name: "gx" }])).toBe(
      `UUID                                  ID    name\n${noUuid}  7    gx                            \n`,
    );
    expect(formatSharing([row({ sharedMemkb: 4096 })])).toBe(
      "Name                                        ID   Mem Shared\n" +
        "x                                            1    96      4\n",
    );
  });
});

describe("xl vcpu-list", () => {
  const vcpu = (fields: Partial<VcpuRow>): VcpuRow => ({
    vcpuid: 0,
    cpu: 0,
    online: true,
    running: false,
    blocked: false,
    vcpuTimeNs: 0,
    hardAffinity: [0, 1],
    softAffinity: [0, 1],
    ...fields,
  });

  test("as recorded", () => {
    const text =
      formatVcpuListHeader() +
      formatVcpuRows(
        { name: "Domain-0", domid: 0 },
        [
          vcpu({ running: true, vcpuTimeNs: 369_700_000_000 }),
          vcpu({ vcpuid: 1, cpu: 1, blocked: true, vcpuTimeNs: 390_000_000_000 }),
        ],
        2,
      ) +
      formatVcpuRows({ name: "gx", domid: 13 }, [vcpu({ cpu: 1 })], 2);
    expect(text).toBe(
      "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n" +
        "Domain-0                             0     0    0   r--     369.7  all / all\n" +
        "Domain-0                             0     1    1   -b-     390.0  all / all\n" +
        "gx                                  13     0    1   ---       0.0  all / all\n",
    );
  });

  test("a vCPU that is offline, and affinities", () => {
    const offline = vcpu({ vcpuid: 3, online: false, hardAffinity: [0, 2, 3], softAffinity: [] });
    expect(formatVcpuRows({ name: null, domid: 5 }, [offline], 8)).toBe(
      "(null)                               5     3    -   --p       0.0  0,2-3 / none\n",
    );
  });
});

describe("device lists as recorded", () => {
  test("block-list", () => {
    const base = { backendDomid: 0, handle: 1, state: 4 };
    const rows = [
      {
        ...base,
        devid: 51712,
        eventChannel: 8,
        ringRef: 8,
        backendPath: "/local/domain/0/backend/vbd/1/51712",
      },
      {
        ...base,
        devid: 51728,
        eventChannel: 11,
        ringRef: 556,
        backendPath: "/local/domain/0/backend/vbd/1/51728",
      },
    ];
    expect(formatBlockListHeader() + rows.map(formatBlockRow).join("")).toBe(
      "Vdev  BE  handle state evt-ch ring-ref BE-path                       \n" +
        "51712 0   1      4     8      8        /local/domain/0/backend/vbd/1/51712\n" +
        "51728 0   1      4     11     556      /local/domain/0/backend/vbd/1/51728\n",
    );
  });

  test("network-list", () => {
    const base = { backendDomid: 0, state: 4, eventChannel: -1 };
    const rows = [
      {
        ...base,
        devid: 0,
        mac: "00:16:3e:00:00:01",
        txRingRef: 522,
        rxRingRef: 523,
        backendPath: "/local/domain/0/backend/vif/1/0",
      },
      {
        ...base,
        devid: 1,
        mac: "00:16:3e:00:00:02",
        txRingRef: 1068,
        rxRingRef: 1069,
        backendPath: "/local/domain/0/backend/vif/1/1",
      },
    ];
    expect(formatNetworkListHeader() + rows.map(formatNetworkRow).join("")).toBe(
      "Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       \n" +
        "0   0  00:16:3e:00:00:01     0     4     -1   522/523         /local/domain/0/backend/vif/1/0\n" +
        "1   0  00:16:3e:00:00:02     1     4     -1  1068/1069        /local/domain/0/backend/vif/1/1\n",
    );
  });
});

describe("xl info", () => {
  const info: HostInfo = {
    node: {
      host: "(none)",
      release: "6.1.0-56-amd64",
      version: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)",
      machine: "x86_64",
    },
    phys: {
      nrCpus: 2,
      maxCpuId: 1,
      nrNodes: 1,
      coresPerSocket: 2,
      threadsPerCore: 1,
      cpuKhz: 2596097,
      hwCaps: [0x1fcbf3fd, 0xc2d8220b, 0xec500800, 0x77, 0, 0x01884389, 0x20c, 0],
      virtCaps: ["pv", "hvm", "hap", "gnttab-v1", "gnttab-v2"],
      totalPages: 786299,
      freePages: 449100,
      outstandingPages: 0,
      sharingFreedPages: 0,
      sharingUsedFrames: 0,
      freeCpus: 0,
    },
    xen: {
      major: 4,
      minor: 17,
      extra: ".7",
      capabilities: "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ",
      scheduler: "credit2",
      pagesize: 4096,
      virtStart: "ffff800000000000",
      changeset: "",
      commandline: "console=com1 sched=credit2",
      compiler: "x86_64-linux-gnu-gcc (Debian 12.2.0-14+deb12u1) 12.2.0",
      compileBy: "pkg-xen-devel",
      compileDomain: "lists.alioth.debian.org",
      compileDate: "Wed Nov  4 16:52:28 UTC 2026",
      buildId: "151b373fd64b321593bf987fd923cd10dabadac4",
    },
  };

  test("as recorded", () => {
    expect(formatInfo(info)).toBe(
      "host                   : (none)\n" +
        "release                : 6.1.0-56-amd64\n" +
        "version                : #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)\n" +
        "machine                : x86_64\n" +
        "nr_cpus                : 2\n" +
        "max_cpu_id             : 1\n" +
        "nr_nodes               : 1\n" +
        "cores_per_socket       : 2\n" +
        "threads_per_core       : 1\n" +
        "cpu_mhz                : 2596.097\n" +
        "hw_caps                : 1fcbf3fd:c2d8220b:ec500800:00000077:00000000:01884389:0000020c:00000000\n" +
        "virt_caps              : pv hvm hap gnttab-v1 gnttab-v2\n" +
        "total_memory           : 3071\n" +
        "free_memory            : 1754\n" +
        "sharing_freed_memory   : 0\n" +
        "sharing_used_memory    : 0\n" +
        "outstanding_claims     : 0\n" +
        "free_cpus              : 0\n" +
        "xen_major              : 4\n" +
        "xen_minor              : 17\n" +
        "xen_extra              : .7\n" +
        "xen_version            : 4.17.7\n" +
        "xen_caps               : xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 \n" +
        "xen_scheduler          : credit2\n" +
        "xen_pagesize           : 4096\n" +
        "platform_params        : virt_start=0xffff800000000000\n" +
        "xen_changeset          : \n" +
        "xen_commandline        : console=com1 sched=credit2\n" +
        "cc_compiler            : x86_64-linux-gnu-gcc (Debian 12.2.0-14+deb12u1) 12.2.0\n" +
        "cc_compile_by          : pkg-xen-devel\n" +
        "cc_compile_domain      : lists.alioth.debian.org\n" +
        "cc_compile_date        : Wed Nov  4 16:52:28 UTC 2026\n" +
        "build_id               : 151b373fd64b321593bf987fd923cd10dabadac4\n" +
        "xend_config_format     : 4\n",
    );
  });

  test("one piece of it", () => {
    expect(formatInfo(info, null, "xen_version")).toBe("4.17.7\n");
    expect(formatInfo(info, null, "cc_compile_")).toBe(
      "pkg-xen-devel\nlists.alioth.debian.org\nWed Nov  4 16:52:28 UTC 2026\n",
    );
    expect(formatInfo(info, null, "zork")).toBe("");
  });

  test("topology stands before what Xen says of itself", () => {
    const numa = {
      cpus: [{ cpu: 0, core: 0, socket: 0, node: 0 }],
      devices: [],
      nodes: [{ node: 0, sizeMb: 5120, freeMb: 1754, distances: [10, 20] }],
    };
    expect(formatInfo(info, numa)).toContain(
      "free_cpus              : 0\n" +
        "cpu_topology           :\n" +
        "cpu:    core    socket     node\n" +
        "  0:       0        0        0\n" +
        "device topology        :\n" +
        "device           node\n" +
        "No device topology data available\n" +
        "numa_info              :\n" +
        "node:    memsize    memfree    distances\n" +
        "   0:      5120       1754      10,20\n" +
        "xen_major              : 4\n",
    );
  });
});

test("xl uptime as recorded, and longer ones", () => {
  expect(formatUptimeHeader() + formatUptimeRow({ name: "Domain-0", domid: 0, seconds: 223 })).toBe(
    "Name                                ID Uptime\nDomain-0                             0  0:03:43\n",
  );
  expect(formatUptimeRow({ name: "gx", domid: 3, seconds: 90061 }, "13:37:00")).toBe(
    " 13:37:00 up 1 day,  1:01, gx (3)\n",
  );
  expect(formatUptime(2 * 86400 + 13 * 3600 + 5, false)).toBe("2 days, 13:00:05");
});

test("CPU pools and the credit2 scheduler", () => {
  const pools = [{ name: "Pool-0", cpus: [0, 1], scheduler: "credit2", domains: 3 }];
  expect(formatCpupoolList(pools, false)).toBe(
    "Name               CPUs   Sched     Active   Domain count\n" +
      "Pool-0               2   credit2       y          3\n",
  );
  expect(formatCpupoolList(pools, true)).toBe("Name               CPU list\nPool-0             0,1\n");
  expect(
    formatCredit2Pool("Pool-0", { ratelimitUs: 1000 }) +
      formatCreditHeader() +
      formatCreditRow({ name: "Domain-0", domid: 0, weight: 256, cap: 0 }),
  ).toBe(
    "Cpupool Pool-0: ratelimit=1000us\n" +
      "Name                                ID Weight  Cap\n" +
      "Domain-0                             0    256    0\n",
  );
});

describe("printf's parts", () => {
  test.each([
    [0, "0.0"],
    [0.05, "0.1"],
    [0.25, "0.2"],
    [0.35, "0.3"],
    [0.75, "0.8"],
    [1.25, "1.2"],
    [9.96, "10.0"],
    [1026.1, "1026.1"],
  ])("%s is %s", (value, text) => {
    expect(fixed1(value)).toBe(text);
  });

  test("seconds go through single precision", () => {
    // Just below 61.85 s, but no float is near enough to say so.
    expect(secondsOf(61_849_999_999)).toBe("61.9");
    expect(secondsOf(123_456_789_012_345)).toBe("123456.8");
  });

  test("names are padded by bytes", () => {
    expect(left("é", 4)).toBe("é  ");
    expect(left("日本", 8)).toBe("日本  ");
  });

  test.each([
    [[0, 1], 2, "all"],
    [[], 2, "none"],
    [[1], 2, "1"],
    [[0], 2, "0"],
    [[0, 1, 2, 5, 7], 8, "0-2,5,7"],
    [[1, 2, 3], 4, "1-3"],
    [[0, 9], 1, "all"],
  ])("bitmap %j of %i is %s", (bits, size, text) => {
    expect(formatBitmap(bits, size)).toBe(text);
  });
});
