// SPDX-License-Identifier: Apache-2.0
//
// What verbs say and with what they end. Those about a zombie and about domain 99
// are recorded from xl 4.17.7 on Xen; the others are the same program's words on a
// host of ours.

import { describe, expect, test } from "vitest";
import { ownedFrames } from "../../hypervisor/frames.ts";
import { runFrom } from "../../hypervisor/runs.ts";
import type { Run } from "../../hypervisor/runs.ts";
import { mapForeign } from "../../hypervisor/memory-op.ts";
import { XlHost } from "../testing.ts";

/** A command, its exit status, and what it says on stdout and stderr; processor times read `T`. */
type Row = readonly [line: string, status: number, out: string, err?: string];

/** Rows behind their command lines, for the tests' titles. */
const named = (rows: readonly Row[]): [string, Row][] => rows.map((row) => [row[0], row]);

const withoutTimes = (text: string): string => text.replaceAll(/ +\d+\.\d(?= |$)/gm, " T");

function expectRow(host: XlHost, [line, status, out, err = ""]: Row): void {
  const { stdout, stderr, ...said } = host.xl(`xl ${line}`);
  expect([line, said.status, withoutTimes(stdout), stderr]).toEqual([line, status, out, err]);
}

/** A host with a domain 1 called g, of 32 MiB, that idles. */
function withDomain(vcpus = 2, type = "pvh"): XlHost {
  const host = new XlHost();
  host.write(
    "/tmp/g.cfg",
    `name = "g"\ntype = "${type}"\nmemory = 32\nvcpus = ${vcpus}\nextra = "mode=idle"\nvif = [""]\n`,
  );
  expect(host.xl("xl create /tmp/g.cfg").status).toBe(0);
  host.pass(2);
  return host;
}

const LIST = "Name                                        ID   Mem VCPUs\tState\tTime(s)";
const VCPUS = "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n";
const SHARES = "Name                                ID Weight  Cap\n";
const NO_DOMAIN = "nosuch is an invalid domain identifier (rc=-6)\n";
const NO_USERDATA =
  "libxl: error: libxl_dom.c:1216:libxl__userdata_path: unable to find domain info for domain 99: Success\n";

describe("on a host without guests", () => {
  const host = new XlHost({ bootSeconds: 1_700_000_000 });
  host.pass(100);
  const rows: Row[] = [
    ["list", 0, `${LIST}\nDomain-0                                     0  1280     2     r----- T\n`],
    [
      "list -c",
      0,
      `${LIST}         Cpupool\nDomain-0                                     0  1280     2     r----- T          Pool-0\n`,
    ],
    [
      "claims",
      0,
      `${LIST}  Claimed\nDomain-0                                     0  1280     2     r----- T     0\n`,
    ],
    [
      "uptime",
      0,
      "Name                                ID Uptime\nDomain-0                             0  0:01:40\n",
    ],
    ["uptime -s", 0, " 22:15:00 up  0:01, Domain-0 (0)\n"],
    [
      "vcpu-list",
      0,
      `${VCPUS}Domain-0                             0     0    0   r-- T  all / all\n` +
        "Domain-0                             0     1    1   r-- T  all / all\n",
    ],
    ["info xen_version", 0, "4.17.7\n"],
    ["info free_cpus", 0, "0\n"],
    ["info nr_", 0, "2\n1\n"],
    [
      "cpupool-list",
      0,
      "Name               CPUs   Sched     Active   Domain count\nPool-0               2   credit2       y          1\n",
    ],
    [
      "sched-credit2",
      0,
      `Cpupool Pool-0: ratelimit=1000us\n${SHARES}Domain-0                             0    256    0\n`,
    ],
    ["debug-keys zz", 0, ""],
    ["mem-set 0 1g", 0, ""],
    [
      "mem-set 0 64",
      1,
      "",
      "libxl: error: libxl_mem.c:287:libxl_set_memory_target: New target 65536 for dom0 is below the minimum threshold\ncannot set domid 0 dynamic max memory to : 64\n",
    ],
    ["getenforce", 255, "Flask XSM Disabled\n"],
    ["psr-hwinfo -m", 0, "Cache Monitoring Technology (CMT):\nEnabled         : 0\n"],
    [
      "pci-assignable-list",
      0,
      "",
      "libxl: error: libxl_pci.c:444:libxl_device_pci_assignable_list: Looks like pciback driver not loaded\n",
    ],
  ];
  test.each(named(rows))("xl %s", (_line, row) => expectRow(host, row));
});

describe("on domain 99, which there is not", () => {
  const host = new XlHost();
  const rows: Row[] = [
    ["vcpu-list nosuch", 1, VCPUS, NO_DOMAIN],
    [
      "vcpu-list 99",
      0,
      VCPUS,
      "libxl: error: libxl_domain.c:1667:libxl_list_vcpu: Domain 99:Getting infolist: No such file or directory\n",
    ],
    ["mem-set 99 64", 1, "", `${NO_USERDATA}cannot set domid 99 dynamic max memory to : 64\n`],
    ["mem-max 99 64", 1, "", `${NO_USERDATA}cannot set domid 99 static max memory to : 64\n`],
    ["vcpu-set 99 1", 1, ""],
    ["vcpu-pin 99 0 1", 1, "", "Could not get domain info\n"],
    ["uptime nosuch", 1, "", NO_DOMAIN],
    [
      "config-update nosuch /x",
      1,
      "",
      `WARNING: xl now has better capability to manage domain configuration, avoid using this command when possible\n${NO_DOMAIN}`,
    ],
    ["sched-credit2 -d 99 -w 1", 1, "", "libxl_domain_sched_params_set failed.\n"],
    ["cpupool-migrate 99 Pool-0", 1, "", "unknown domain '99'\n"],
  ];
  test.each(named(rows))("xl %s", (_line, row) => expectRow(host, row));
});

describe("on a zombie, as recorded", () => {
  const host = withDomain(1, "pv");
  host.act((h) => {
    const { start: gfn } = runFrom(h, ownedFrames(1), 0) as Run;
    mapForeign(h, { domid: 0, process: "holder" }, { domid: 1, gfn });
  });
  host.xl("xl destroy g");
  host.pass(2);
  const rows: Row[] = [
    ["list 1", 0, `${LIST}\n(null)                                       1     0     1     --p--d T\n`],
    ["list g", 1, "", "g is an invalid domain identifier (rc=-6)\n"],
    ["domid g", 1, "", "Can't get domid of domain name 'g', maybe this domain does not exist.\n"],
    ["domname 1", 1, "", "Can't get domain name of domain id '1', maybe this domain does not exist.\n"],
    ["pause 1", 0, ""],
    ["unpause 1", 0, ""],
    ["vcpu-list 1", 0, `${VCPUS}(null)                               1     0    0   --- T  all / all\n`],
    [
      "mem-set 1 64",
      1,
      "",
      "libxl: error: libxl_mem.c:210:libxl_set_memory_target: unable to retrieve domain configuration: No such file or directory\n" +
        "cannot set domid 1 dynamic max memory to : 64\n",
    ],
    [
      "uptime 1",
      0,
      "Name                                ID Uptime\n",
      "libxl: error: libxl_domain.c:2231:libxl_vm_get_start_time: Domain 1:Can't get start time of domain\n",
    ],
    ["sysrq 1 h", 0, ""],
    [
      "shutdown 1",
      1,
      "",
      "Shutting down domain 1\n" +
        "libxl: error: libxl_domain.c:854:pvcontrol_cb: guest didn't acknowledge control request: -9\n" +
        "shutdown failed (rc=-9)\n",
    ],
    [
      "reboot 1",
      1,
      "",
      "Rebooting domain 1\n" +
        "libxl: error: libxl_domain.c:854:pvcontrol_cb: guest didn't acknowledge control request: -9\n" +
        "reboot failed (rc=-9)\n",
    ],
    ["rename 1 zz", 0, ""],
    ["domid zz", 0, "1\n"],
    [
      "save 1 /mnt/z.save",
      1,
      "",
      "libxl: error: libxl_domain.c:2335:retrieve_domain_configuration_lock_acquired: Domain 1:Fail to get domain configuration\n" +
        "unable to retrieve domain configuration\n",
    ],
    ["destroy g", 1, "", "g is an invalid domain identifier (rc=-6)\n"],
    ["destroy 1", 0, ""],
    ["domid zz", 1, "", "Can't get domid of domain name 'zz', maybe this domain does not exist.\n"],
  ];
  test.each(named(rows))("xl %s", (_line, row) => expectRow(host, row));

  test("list -l leaves it out, and a new domain may have its name, but not its number", () => {
    expect(host.xl("xl list -l").stdout).not.toContain('"domid": 1');
    expect(host.xl("xl create /tmp/g.cfg").status).toBe(0);
    expectRow(host, ["domid g", 0, "2\n"]);
  });
});

describe("on a domain that lives", () => {
  test("vcpu-set takes vCPUs off line and brings them back; the guest's kernel does it", () => {
    const host = withDomain();
    const states = (): string[] =>
      host
        .xl("xl vcpu-list g")
        .stdout.split("\n")
        .slice(1, 3)
        .map((line) => line.split(/ +/).slice(3, 5).join(" "));
    expect(states()).toEqual(["0 -b-", "1 -b-"]);
    expectRow(host, ["vcpu-set g 1", 0, ""]);
    host.pass(1);
    expect(states()).toEqual(["0 -b-", "- --p"]);
    expect(host.node("/local/domain/1/cpu/1/availability")).toBe("offline");
    expectRow(host, ["vcpu-set g 2", 0, ""]);
    host.pass(1);
    expect(states()).toEqual(["0 -b-", "1 -b-"]);
    expectRow(host, [
      "vcpu-set -i g 3",
      1,
      "",
      "libxl: error: libxl_domain.c:1869:libxl_set_vcpuonline: Domain 1:Requested 3 VCPUs, however maxcpus is 2!: Function not implemented\n" +
        "libxl_set_vcpuonline failed domid=1 max_vcpus=3, rc: -3\n",
    ]);
  });

  test("mem-set writes the target, caps the domain, and the balloon follows", () => {
    const host = withDomain();
    const { process } = host.xl("xl mem-set g 16");
    expect(host.requests(process).slice(3)).toEqual([
      "GET_DOMAIN_PATH 1  → /local/domain/1",
      "TRANSACTION_START",
      'READ /local/domain/1/memory/target  → "32768"',
      'READ /local/domain/1/memory/static-max  → "32768"',
      'READ /local/domain/1/memory/videoram  → "0"',
      'WRITE /local/domain/1/memory/target = "16384"',
      expect.stringMatching(/^WRITE \/vm\/[0-9a-f-]{36}\/memory = "16"$/),
      "TRANSACTION_END T",
    ]);
    expect(host.hypercalls(process)).toEqual([
      "domctl max_mem dom=1 = 0",
      "memory_op set_pod_target dom=1 = 0",
    ]);
    host.pass(1);
    expect(host.xl("xl list g").stdout).toContain(
      "g                                            1    16     2",
    );
    expect(host.xl("xl mem-set g 40").status).toBe(1);
    expectRow(host, ["mem-max g 64", 0, ""]);
    expect(host.node("/local/domain/1/memory/static-max")).toBe("65536");
    expect(host.xl("xl mem-set g 24").status).toBe(0);
    host.pass(1);
    expect(host.xl("xl list g").stdout).toContain(
      "g                                            1    24     2",
    );
  });

  test("vcpu-pin keeps within what xl.conf allows", () => {
    const host = withDomain();
    host.write("/etc/xen/xl.conf", 'vm.cpumask="1"\n');
    expectRow(host, ["vcpu-pin g 0 0", 1, "", "vcpu hard affinity map is empty\n"]);
    expectRow(host, ["vcpu-pin g 0 0-1", 0, ""]);
    expect(host.xl("xl vcpu-list g").stdout).toContain("1 / all\n");
    const unreachable = (vcpu: number): string =>
      `libxl: warning: libxl_sched.c:84:libxl__set_vcpuaffinity: Domain 1:All cpus in soft affinity of vcpu ${vcpu}` +
      " are unreachable. Only hard affinity will be considered for scheduling\n";
    expectRow(host, ["vcpu-pin -i g all 0 1", 0, "", unreachable(0) + unreachable(1)]);
    expect(withoutTimes(host.xl("xl vcpu-list g").stdout)).toBe(
      `${VCPUS}g                                    1     0    0   -b- T  0 / 1\n` +
        "g                                    1     1    1   -b- T  0 / 1\n",
    );
  });

  test("config-update is what it is made from at its next reboot", () => {
    const host = withDomain();
    host.write("/tmp/new.cfg", 'name = "g"\ntype = "pvh"\nmemory = 48\nextra = "mode=idle"\n');
    const { status, stderr } = host.xl("xl config-update g /tmp/new.cfg");
    expect([status, stderr.split("\n").slice(1)]).toEqual([0, ["setting dom1 configuration", ""]]);
    host.xl("xl reboot g");
    host.pass(10);
    expect(host.xl("xl list g").stdout).toContain(
      "g                                            2    48     1",
    );
  });

  test("a domain runs in the pool it was moved to", () => {
    const host = withDomain();
    for (const line of [
      "cpupool-cpu-remove Pool-0 1",
      'cpupool-create name="web" cpus=["1"]',
      "cpupool-migrate g web",
    ]) {
      expect([line, host.xl(`xl ${line}`).status]).toEqual([line, 0]);
    }
    expect(host.node("/local/pool/1/name")).toBe("web");
    expectRow(host, [
      "cpupool-list -c",
      0,
      "Name               CPU list\nPool-0             0\nweb                1\n",
    ]);
    expectRow(host, ["cpupool-destroy web", 1, "", "Can't destroy cpupool 'web'\n"]);
    host.xl("xl destroy g");
    host.pass(1);
    expectRow(host, ["cpupool-destroy web", 0, ""]);
    expect(host.node("/local/pool/1")).toBeUndefined();
    expectRow(host, ["info free_cpus", 0, "1\n"]);
  });
});
