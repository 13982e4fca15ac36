// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { routine } from "../engine/routine.ts";
import { spawnThread } from "../engine/thread.ts";
import { World } from "../engine/world.ts";
import { domainInfoCell, domainPagesCell } from "../hypervisor/domain.ts";
import { devdProcess } from "../guest/driver-domain.ts";
import { killProcess } from "./signals.ts";
import { XlHost } from "./testing.ts";
import { spawnXl } from "./xl.ts";

/** The lines of xl list without dom0's: `name domid state`. */
function listed(host: XlHost): string[] {
  return host
    .xl("xl list")
    .stdout.trimEnd()
    .split("\n")
    .slice(2)
    .map((line) => line.trim().split(/\s+/))
    .map(([name, domid, , , state]) => `${name} ${domid} ${state}`);
}

describe("a domain's life", () => {
  test("it is made paused, runs, stops, is destroyed", () => {
    const host = new XlHost();
    host.write("/tmp/g.cfg", 'name = "g"\ntype = "pv"\nmemory = 32\nextra = "mode=idle"\n');
    expect(host.xl("xl create -p /tmp/g.cfg").stderr).toBe("Parsing config from /tmp/g.cfg\n");
    expect(listed(host)).toEqual(["g 1 --p---"]);
    expect(host.xl("xl unpause g").status).toBe(0);
    host.pass(2);
    expect(listed(host)).toEqual(["g 1 -b----"]);
    expect(host.xl("xl destroy g")).toMatchObject({ status: 0, stdout: "", stderr: "" });
    host.pass(1);
    expect(listed(host)).toEqual([]);
  });

  test("nothing of it is left behind but the names of directories and its number", () => {
    const host = new XlHost();
    host.create("g");
    host.pass(2);
    host.xl("xl destroy g");
    host.pass(2);
    const before = host.footprint();
    host.create("g");
    host.pass(2);
    host.xl("xl destroy g");
    host.pass(2);
    const left = [...host.footprint()]
      .filter(([type, count]) => count !== before.get(type))
      .map(([type]) => type);
    expect(left).toEqual(["domid-incarnation", "xenstore-incarnation"]);
  });

  test("xl shutdown -w waits for the guest to shut down, and its monitor cleans up", () => {
    const host = new XlHost();
    host.create("g");
    host.pass(2);
    expect(host.xl("xl shutdown -w g").stderr.split("\n")).toEqual([
      "Shutting down domain 1",
      "Waiting for 1 domains",
      "Domain 1 has been shut down, reason code 0",
      "",
    ]);
    host.pass(1);
    expect(host.exists(1)).toBe(false);
    expect(host.log("/var/log/xen/xl-g.log")).toContain("Action for shutdown reason code 0 is destroy\n");
  });

  test.each([
    ["pv", "4"],
    ["pvh", "1"],
  ])(
    "Linux in a %s guest leaves a CD-ROM to its device model, if it can have one: state %s",
    (type, state) => {
      const host = new XlHost();
      host.write("/mnt/cd.iso", "");
      host.create("g", "mode=idle dev=1", `type = "${type}"`, 'disk = ["/mnt/cd.iso,raw,xvda,cdrom"]');
      host.pass(3);
      expect(host.node("/local/domain/1/device/vbd/51712/state")).toBe(state);
      expect(host.xl("xl destroy g")).toMatchObject({ status: 0, stderr: "" });
    },
  );

  test("an interface is served by the driver domain that is named, or not at all", () => {
    const host = new XlHost();
    host.create("net", "mode=idle backend=1");
    host.pass(3);
    host.create("g", "mode=idle dev=1", 'vif = ["mac=00:16:3e:00:00:09,backend=net"]');
    host.pass(3);
    const backend = "/local/domain/1/backend/vif/2/0";
    expect(host.node("/local/domain/2/device/vif/0/backend")).toBe(backend);
    expect([host.node(`${backend}/state`), host.node("/local/domain/2/device/vif/0/state")]).toEqual([
      "4",
      "4",
    ]);
    expect(host.xl("xl network-attach g mac=00:16:3e:00:00:0a backend=net").status).toBe(0);
    host.pass(3);
    expect(host.node("/local/domain/1/backend/vif/2/1/state")).toBe("4");

    for (const [line, words] of [
      [
        'vif = ["backend=nosuch"]',
        "libxl_nic.c:520:libxl__device_nic_set_devids: Domain 3:Unable to set nic defaults for nic 0",
      ],
      [
        'disk = ["/none,raw,xvda,w,backend=nosuch"]',
        "libxl_create.c:1318:initiate_domain_create: Domain 4:Unable to set disk defaults for disk 0",
      ],
    ] as const) {
      host.write("/tmp/b.cfg", `name = "b"\ntype = "pv"\nmemory = 32\n${line}\n`);
      const { status, stderr } = host.xl("xl create /tmp/b.cfg");
      expect(status).toBe(3);
      expect(stderr).toContain(`libxl: error: ${words}\n`);
    }
    expect(host.xl("xl network-attach g backend=nosuch")).toMatchObject({
      status: 1,
      stderr:
        "libxl: error: libxl_device.c:1486:device_addrm_aocomplete: unable to add device\n" +
        "libxl_device_nic_add failed.\n",
    });
    const since = host.world.now;
    expect(host.xl("xl destroy g")).toMatchObject({ status: 0, stderr: "" });
    expect(host.world.now - since, "nobody has waited in vain").toBeLessThan(1_000_000);
    expect(host.node("/local/domain/2")).toBeUndefined();
    // The driver domain's devd has removed what it served, xl the directories above, which are dom0's.
    expect(host.node(backend)).toBeUndefined();
    expect(host.node("/local/domain/1/backend")).toBeUndefined();
  });

  test("a driver domain whose devd is gone: xl destroy waits ten seconds for it, and says so", () => {
    const host = new XlHost();
    host.create("net", "mode=idle backend=1");
    host.pass(3);
    host.create("g", "mode=idle dev=1", 'vif = ["backend=net"]');
    host.pass(3);
    host.act((h) => killProcess(h, devdProcess(1), 137, true));
    const backend = "/local/domain/1/backend/vif/2/0";
    expect(host.xl("xl destroy g").stderr).toBe(
      "libxl: error: libxl_device.c:1375:device_destroy_be_watch_cb: Domain 2:timed out while waiting for " +
        `${backend} to be removed\n` +
        "libxl: error: libxl_domain.c:1530:devices_destroy_cb: Domain 2:libxl__devices_destroy failed\n",
    );
    host.pass(1);
    expect(host.exists(2)).toBe(false);
    expect(host.node(`${backend}/state`)).toBeUndefined();
  });

  test("a guest that does not answer makes xl shutdown give up after a minute", () => {
    const host = new XlHost();
    host.create("g", "mode=ignore");
    host.pass(2);
    const start = host.world.now;
    expect(host.xl("xl shutdown g")).toMatchObject({
      status: 1,
      stderr:
        "Shutting down domain 1\n" +
        "libxl: error: libxl_domain.c:854:pvcontrol_cb: guest didn't acknowledge control request: -9\n" +
        "shutdown failed (rc=-9)\n",
    });
    expect(host.world.now - start).toBeGreaterThanOrEqual(60_000_000);
    expect(host.xl("xl shutdown -a -w").status).toBe(1);
  });

  test.each([
    ["destroy", []],
    ["preserve", ["g 1 ---sc-"]],
    ["restart", ["g 2 -b----"]],
    ["rename-restart", ["g-19700101T0000Z 1 ---sc-", "g 2 -b----"]],
    ["coredump-destroy", []],
    ["coredump-restart", ["g 2 -b----"]],
  ])("on_crash = %s", (action, after) => {
    const host = new XlHost();
    host.create("g", "mode=crash delay=2", `on_crash = "${action}"`);
    host.pass(6);
    expect(listed(host)).toEqual(after);
    expect(host.log("/var/log/xen/xl-g.log")).toContain(`Action for shutdown reason code 3 is ${action}\n`);
    expect(host.xl("xl dump-core g /root/core").status).toBe(after.length === 0 ? 1 : 0);
  });

  test.each([
    ["soft-reset", ["g 1 -b----"]],
    ["destroy", []],
    ["preserve", ["g 1 ---sS-"]],
    ["restart", ["g 2 -b----"]],
    ["rename-restart", ["g-19700101T0000Z 1 ---sS-", "g 2 -b----"]],
    ["coredump-destroy", []],
    ["coredump-restart", ["g 2 -b----"]],
  ])("on_soft_reset = %s, of a guest that starts another kernel", (action, after) => {
    const host = new XlHost();
    host.create("g", "mode=kexec delay=2", 'type = "pvh"', `on_soft_reset = "${action}"`);
    host.pass(6);
    expect(listed(host)).toEqual(after);
    expect(host.log("/var/log/xen/xl-g.log")).toContain(`Action for shutdown reason code 5 is ${action}\n`);
  });

  test.each([1, 3])(
    "a soft reset keeps domain and memory, and the next kernel has all it needs: %i vCPUs",
    (vcpus) => {
      const host = new XlHost();
      const vif = 'vif = [ "mac=00:16:3e:00:00:07,bridge=xenbr0" ]';
      host.create("g", "mode=kexec delay=2 dev=1 console=hvc0", 'type = "pvh"', vif, `vcpus = ${vcpus}`);
      const before = kept(host);
      host.pass(8);
      expect(kept(host)).toEqual(before);
      const printed = host.records
        .flatMap(({ kind, data }) => (kind === "console" ? [data.text] : []))
        .join("");
      expect(printed.match(/GUEST: up mode=\w+|GUEST: kexec.*|Starting new kernel/g)).toEqual([
        "GUEST: up mode=kexec",
        "GUEST: kexec -e",
        "Starting new kernel",
        "GUEST: up mode=idle",
      ]);
      expect(host.node("/local/domain/1/device/vif/0/state")).toBe("4");
      expect(host.xl("xl vcpu-list g").stdout.match(/-b-/g)).toHaveLength(vcpus);
      expect(host.xl("xl shutdown -w g").status).toBe(0);
      host.pass(2);
      expect(listed(host)).toEqual([]);
    },
  );

  test("a PV guest cannot be reset: Xen crashes it, and xl destroys it, but xenstored has let go of it", () => {
    const host = new XlHost();
    host.create("g", "mode=kexec delay=2");
    host.pass(7);
    expect(host.log("/var/log/xen/xl-g.log")).toContain("Domain 1:destruction of domain failed.\n");
    // Nobody tells xenconsoled, which has the ring mapped, of the end of a domain that xenstored does not know.
    expect(listed(host)).toEqual(["(null) 1 --psSd"]);
    host.create("other");
    host.xl("xl destroy other");
    host.pass(1);
    expect(listed(host)).toEqual([]);
  });

  test("it is rebooted into another domain two seconds later, with its UUID", () => {
    const host = new XlHost();
    host.create("g", "mode=reboot delay=1");
    const vm = host.node("/local/domain/1/vm");
    host.until(() => host.node("/local/domain/2/vm") !== undefined, "made again");
    expect(host.node("/local/domain/2/vm")).toBe(vm);
    expect(host.log("/var/log/xen/xl-g.log")).toContain("Done. Rebooting now\n");
  });
});

test("two shells' commands are one state, whichever is typed first", () => {
  const hashOf = (first: string, second: string): unknown => {
    const world = new World({ tracking: { undo: false, hash: true } });
    for (const shell of [first, second]) world.boot((host) => void spawnXl(host, ["list"], { shell }));
    return world.hashAt(world.now);
  };
  expect(hashOf("one", "two")).toEqual(hashOf("two", "one"));
});

test("two threads may not share a shell: their processes would be named after who was first", () => {
  const type = routine(
    "types",
    () => ({}),
    ({ step }) => [step("xl", (host) => void spawnXl(host, ["list"]))],
  );
  const world = new World();
  world.boot((host) => ["a", "b"].forEach((name) => spawnThread(host, name, type, undefined)));
  world.perform({ thread: "a", choice: 0 });
  expect(() => world.perform({ thread: "b", choice: 0 })).toThrow(/"b" and "a" type at one shell/);
});

/** What a soft reset leaves as it is. */
function kept(host: XlHost): { uniqueId: bigint; pages: number; uuid: string | undefined } {
  return {
    uniqueId: must(host.world, domainInfoCell, 1).uniqueId,
    pages: must(host.world, domainPagesCell, 1).totPages,
    uuid: host.node("/local/domain/1/vm"),
  };
}

describe("save and restore", () => {
  test("a saved domain is gone and comes back under another number, its clock where it was", () => {
    const host = new XlHost();
    host.create("g", "mode=tick");
    host.pass(5);
    expect(host.xl("xl save g /root/g.save").stderr).toMatch(
      /^Saving to \/root\/g.save new xl format \(info 0x3\/0x0\/\d+\)\n/,
    );
    host.pass(100);
    expect(host.exists(1)).toBe(false);
    const restored = host.xl("xl restore /root/g.save");
    expect(restored.stderr).toContain(
      " Savefile contains xl domain config in JSON format\nParsing config from <saved>\n",
    );
    host.pass(3);
    expect(listed(host)).toEqual(["g 2 -b----"]);
    const ticks = host.records.flatMap(({ kind, data }) =>
      kind === "console" ? [...data.text.matchAll(/tick (\d+)/g)] : [],
    );
    const numbers = ticks.map(([, number]) => Number(number));
    expect(numbers).toEqual(numbers.map((_, index) => index));
    expect(host.xl("xl shutdown -w g").status).toBe(0);
  });

  test.each([
    ["-c", "-b----"],
    ["-p", "--p---"],
  ])("after xl save %s it goes on in the same domain", (option, state) => {
    const host = new XlHost();
    host.create("g");
    host.pass(2);
    expect(host.xl(`xl save ${option} g /root/g.save`).status).toBe(0);
    host.pass(1);
    expect(listed(host)).toEqual([`g 1 ${state}`]);
  });

  test("a guest that does not suspend goes on, and the request is taken back", () => {
    const host = new XlHost();
    host.create("g", "mode=ignore");
    host.pass(2);
    const saved = host.xl("xl save g /root/g.save");
    expect(saved.status).toBe(1);
    expect(saved.stderr).toContain("guest didn't acknowledge suspend, cancelling request\n");
    expect(saved.stderr).toContain("Failed to save domain, resuming domain\n");
    expect(host.node("/local/domain/1/control/shutdown")).toBe("");
    expect(listed(host)).toEqual(["g 1 -b----"]);
  });

  test("files that are no saved domains", () => {
    const host = new XlHost();
    host.write("/root/garbage", "x".repeat(60));
    host.write("/root/short", "x");
    expect(host.xl("xl restore /root/garbage").stderr).toBe(
      "File has wrong magic number - corrupt or for a different tool?\n",
    );
    expect(host.xl("xl restore /root/short")).toMatchObject({ status: 1 });
    expect(host.xl("xl restore /root/none").stderr).toBe(
      "Can't open restore file: No such file or directory\n",
    );
    host.create("g");
    expect(host.xl("xl save g /nowhere/g").stderr).toBe("Failed to open temp file /nowhere/g for writing\n");
  });
});

describe("names", () => {
  test("two domains cannot have one", () => {
    const host = new XlHost();
    host.create("a");
    host.write("/tmp/again.cfg", 'name = "a"\ntype = "pv"\nmemory = 32\n');
    const again = host.xl("xl create /tmp/again.cfg");
    expect(again.status).toBe(3);
    expect(again.stderr).toContain('Domain with name "a" already exists.\n');
    expect(host.exists(2)).toBe(false);
    expect(host.xl("xl rename a Domain-0")).toMatchObject({ status: 1 });
    expect(host.xl("xl rename a b").status).toBe(0);
    expect(host.xl("xl domid b").stdout).toBe("1\n");
    expect(host.xl("xl domname 1").stdout).toBe("b\n");
    expect(host.xl("xl domid a").stderr).toBe(
      "Can't get domid of domain name 'a', maybe this domain does not exist.\n",
    );
  });
});

describe("consoles", () => {
  test("xl create -c stays attached until the domain is gone", () => {
    const host = new XlHost();
    host.write("/tmp/g.cfg", 'name = "g"\ntype = "pv"\nmemory = 32\nextra = "mode=poweroff delay=1"\n');
    const created = host.xl("xl create -c /tmp/g.cfg");
    expect(created.status).toBe(0);
    expect(host.output(`${created.process}/console`, "stdout")).toContain("GUEST: poweroff -f");
  });

  test("xl console prints what the guest prints until the domain is gone", () => {
    const host = new XlHost();
    host.create("g", "mode=poweroff delay=2");
    const console = host.start("xl console g");
    const result = host.finish(console);
    expect(result.status).toBe(0);
    expect(result.stdout).toContain("GUEST: up mode=poweroff");
    expect(result.stdout).toContain("GUEST: poweroff -f");
  });

  test("without a terminal it gives up after five seconds", () => {
    const host = new XlHost();
    expect(host.xl("xl console -t pv 9")).toMatchObject({
      status: 2,
      stderr: "xenconsole: Could not read tty from store: No such file or directory\n",
    });
  });
});

describe("devices", () => {
  const blockDevices = { "/dev/loop0": 2048, "/dev/loop1": 2048 };

  test("a disk and an interface come and go while the guest runs", () => {
    const host = new XlHost({ blockDevices });
    host.create("g", "mode=idle dev=1");
    host.pass(3);
    expect(host.xl("xl block-attach g phy:/dev/loop0,xvda,w")).toMatchObject({ status: 0, stderr: "" });
    expect(host.xl("xl network-attach g mac=00:16:3e:00:00:01").status).toBe(0);
    host.pass(2);
    expect(host.xl("xl block-list g").stdout).toMatch(/^Vdev .*\n51712 0 +1 +4 /);
    expect(host.xl("xl network-list g").stdout).toMatch(/^Idx .*\n0 +0 +00:16:3e:00:00:01 +0 +4 /);
    expect(host.xl("xl list -l g").stdout).toContain('"pdev_path": "/dev/loop0"');
    expect(host.xl("xl block-detach g xvda").status).toBe(0);
    expect(host.xl("xl network-detach g 0").status).toBe(0);
    expect(host.node("/local/domain/0/backend/vbd")).toBeUndefined();
    expect(host.node("/local/domain/1/device/vif")).toBeUndefined();
    expect(host.xl("xl list -l g").stdout).not.toContain("pdev_path");
  });

  test("what is attached already, or not there, is refused", () => {
    const host = new XlHost({ blockDevices });
    host.create("g", "mode=idle dev=1", 'disk = ["phy:/dev/loop0,xvda,w"]');
    host.pass(3);
    expect(host.xl("xl block-attach g phy:/dev/loop1,xvda,w")).toMatchObject({
      status: 1,
      stderr:
        "libxl: error: libxl_disk.c:343:device_disk_add: Domain 1:device already exists in xenstore\n" +
        "libxl: error: libxl_device.c:1486:device_addrm_aocomplete: unable to add device\n" +
        "libxl_device_disk_add failed.\n",
    });
    expect(host.xl("xl block-attach g phy:/dev/none,xvdb,w").stderr).toContain("failed to stat: /dev/none");
    expect(host.xl("xl block-detach g xvdc").stderr).toContain("Error: Device xvdc not connected.\n");
    expect(host.xl("xl network-detach g 7").stderr).toContain("Unknown device 7.\n");
  });
});

describe("memory", () => {
  const machine = { commandLine: "loglvl=all" };

  test("where dom0's amount is not fixed it shrinks for a new domain", () => {
    const host = new XlHost({ machine });
    host.create("big", "mode=idle", "memory = 1760");
    expect(Number(host.node("/local/domain/0/memory/target"))).toBeLessThan(1280 * 1024);
    expect(listed(host)).toEqual(["big 1 -b----"]);
  });

  test("but not below what it needs itself", () => {
    const host = new XlHost({ machine });
    host.write("/tmp/huge.cfg", 'name = "huge"\ntype = "pv"\nmemory = 5000\n');
    const result = host.xl("xl create /tmp/huge.cfg");
    expect(result.status).toBe(3);
    expect(result.stderr).toContain(
      "for dom0 is below the minimum threshold\nfailed to free memory for the domain\n",
    );
    expect(host.node("/local/domain/0/memory/target")).toBe(String(1280 * 1024));
  });
});

describe("migration to the host itself", () => {
  test("the domain goes on under another number", () => {
    const host = new XlHost();
    host.create("g", "mode=tick");
    host.pass(3);
    const sender = host.xl("xl migrate g localhost");
    expect(sender.status).toBe(0);
    expect(sender.stderr).toContain(
      "migration sender: Target reports successful startup.\nMigration successful.\n",
    );
    const receiver = host.output(`${sender.process}/receive`, "stderr");
    expect(receiver).toContain("Loading new save file incoming migration stream (new xl fmt info 0x3/0x0/");
    expect(receiver).toContain("migration target: Domain started successsfully.\n");
    host.pass(3);
    expect(listed(host)).toEqual(["g 2 -b----"]);
    expect(host.exists(1)).toBe(false);
  });

  test("where there is no room it goes on where it was", () => {
    const host = new XlHost();
    host.create("big", "mode=idle", "memory = 1000");
    host.pass(3);
    const sender = host.xl("xl migrate big localhost");
    expect(sender.status).toBe(1);
    expect(sender.stderr).toContain("Migration failed, resuming at sender.\n");
    expect(host.output(`${sender.process}/receive`, "stderr")).toContain(
      "migration target: Domain creation failed (code -3).\n",
    );
    host.pass(1);
    expect(listed(host)).toEqual(["big 1 -b----"]);
    expect(host.xl("xl shutdown -w big").status).toBe(0);
  });

  test("there is no other host", () => {
    const host = new XlHost();
    host.create("g");
    host.pass(2);
    expect(host.xl("xl migrate g elsewhere").stderr).toContain("ssh: Could not resolve hostname elsewhere");
    expect(listed(host)).toEqual(["g 1 -b----"]);
  });
});
