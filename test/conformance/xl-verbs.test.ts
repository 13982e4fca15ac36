// SPDX-License-Identifier: Apache-2.0
//
// The built-in xl beside Debian's own, on one host: the same words and exit codes,
// the same requests to xenstored and Xen, the same effect on what the other shows.

import type { ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tinyKernel } from "../../examples/guests/tiny-kernel.ts";
import type { TraceEvents } from "../../src/core/engine/trace.ts";
import { guestCell } from "../../src/core/guest/guest.ts";
import { pack } from "../../src/live/caller-files.ts";
import { directory } from "../../src/live/directory.ts";
import { LiveHost } from "../../src/live/live-host.ts";
import { libxendev } from "../../src/live/native.ts";
import { startOnHost } from "../../src/live/run.ts";
import { startXl } from "../../src/live/xl-session.ts";
import { requires } from "../capabilities.ts";
import { Told, waitUntil } from "../live-told.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "xenolith-verbs-"));
const where = directory(join(folder, "host"));
/** What the domain of these tests is called, and its number. */
const DOMAIN = "tiny";
const DOMID = 1;

let host: LiveHost;
const told = new Told();

/** What a command left behind, and what it asked for. */
interface Said {
  status: number;
  out: string;
  err: string;
  asked: string[];
}

/** What xl asked of xenstored, and of Xen where that changes something, since it was emptied. */
let asked: string[] = [];

function listen({ kind, data }: { kind: string; data: unknown }): void {
  if (kind === "xenstore") {
    const { dir, who, op, body } = data as TraceEvents["xenstore"];
    if (dir === "in" && /^(outside\.|dom0\/xl\.)/.test(who))
      asked.push(`${op} ${body.replaceAll("\0", " ").trim()}`);
  } else if (kind === "hypercall") {
    const { caller, op, args, result } = data as TraceEvents["hypercall"];
    if (caller.startsWith("d0/xl.")) asked.push(`${op} ${JSON.stringify(args)} = ${result}`);
  }
}

const collect = (stream: NodeJS.ReadableStream | null, add: (text: string) => void): void => {
  stream?.on("data", (text: Buffer) => add(text.toString()));
};

function real(argv: readonly string[]): Promise<Said> {
  const { dir, bridge, xenstored } = where;
  const command: [string, ...string[]] = ["xl", ...argv];
  const child: ChildProcess = startOnHost({ dir, bridge, xenstored, library: libxendev(), command }, "pipe");
  const said: Said = { status: -1, out: "", err: "", asked: [] };
  asked = said.asked;
  collect(child.stdout, (text) => (said.out += text));
  collect(child.stderr, (text) => (said.err += text));
  return new Promise((resolve) => child.on("close", (code) => resolve({ ...said, status: code ?? -1 })));
}

/** Never answers on a host that has crashed: the test says so itself. */
async function builtIn(argv: string[]): Promise<Said> {
  expect(told.hasCrashed, told.warnings.join("\n")).toBe(false);
  const said: Said = { status: -1, out: "", err: "", asked: [] };
  asked = said.asked;
  const session = startXl(host, argv, pack(argv, folder).files, {
    out: (text) => (said.out += text),
    err: (text) => (said.err += text),
  });
  said.status = await session.exit;
  return said;
}

const wordsOf = (line: string): string[] => line.split(" ").map((word) => word.replaceAll("~", folder));

/** What must not be compared: seconds of processor time, and the kernel that xl itself runs on. */
const masked = ({ status, out, err, asked: requests }: Said): Said => ({
  status,
  asked: requests,
  out: out.replaceAll(/ +\d+\.\d(?= |$)/gm, " T").replaceAll(/^(host|release|version) +:.*$/gm, "$1"),
  err,
});

/** Both say the same. */
async function agree(line: string): Promise<void> {
  const argv = wordsOf(line);
  const [theirs, ours] = [await real(argv), await builtIn(argv)];
  expect(masked(ours), line).toEqual(masked(theirs));
}

function until(what: string, condition: () => boolean): Promise<void> {
  return waitUntil(what, condition, [told], { timeoutMs: 30_000, everyMs: 20 });
}

/** Commands that change nothing, or fail before they do. */
const same = {
  "about the host": [
    "list",
    "list -v",
    "list -c",
    "list -Z",
    "list -n",
    "claims",
    "sharing",
    "vm-list",
    "info",
    "info free",
    "info xen",
    "dmesg",
  ],
  "about a domain": [
    "list tiny",
    "list -l tiny",
    "list nosuch",
    "list 99",
    "list -v 99",
    "domid tiny",
    "domid nosuch",
    "domname 1",
    "domname 99",
    "domname tiny",
    "vcpu-list",
    "vcpu-list tiny 99",
    "vcpu-list nosuch",
    "network-list tiny",
    "network-list nosuch",
    "block-list tiny 99 nosuch",
    "channel-list tiny 99 nosuch",
    "vtpm-list tiny nosuch 99",
    "vkb-list tiny nosuch",
    "vdispl-list tiny nosuch",
    "vsnd-list tiny nosuch",
    "usb-list tiny",
    "usb-list nosuch",
    "pci-list tiny",
    "pci-list nosuch",
  ],
  "orders that are refused": [
    "pause 99",
    "pause 0",
    "unpause 99",
    "rename nosuch x",
    "rename tiny Domain-0",
    "destroy 0",
    "destroy 99",
    "shutdown 99",
    "reboot nosuch",
    "sysrq tiny xy",
    "trigger tiny bogus",
    "trigger tiny reset",
    "trigger tiny s3resume",
    "trigger tiny nmi 7",
    "trigger tiny nmi zz",
    "trigger 99 nmi",
    "button-press tiny foo",
    "debug-keys z",
  ],
  memory: [
    "mem-set 99 64",
    "mem-set tiny 4g",
    "mem-set tiny xx",
    "mem-max tiny 8",
    "mem-max tiny xx",
    "mem-max 99 64",
  ],
  vCPUs: [
    "vcpu-set tiny 3",
    "vcpu-set tiny x",
    "vcpu-set 99 1",
    "vcpu-set nosuch 1",
    "vcpu-pin tiny 5 1 all",
    "vcpu-pin tiny x 1",
    "vcpu-pin -f tiny all 1",
    "vcpu-pin tiny 0 7",
    "vcpu-pin tiny all 7",
    "vcpu-pin tiny 0 zz",
    "vcpu-pin tiny 0 - -",
    "vcpu-pin 99 0 1",
    "vcpu-pin 99 all - 1",
    "-N vcpu-pin tiny 0 0 1",
    "-N vcpu-pin tiny 0 -",
  ],
  schedulers: [
    "sched-credit2",
    "sched-credit2 -d tiny",
    "sched-credit2 -d 99",
    "sched-credit2 -d tiny -w 0",
    "sched-credit2 -d tiny -c 500",
    "sched-credit2 -d 99 -c 50",
    "sched-credit2 -s -r 50",
    "sched-credit2 -s -p Pool-0",
    "sched-credit2 -p nosuch",
    "sched-credit",
    "sched-credit -d tiny",
    "sched-credit -d tiny -w 512",
    "sched-credit -s",
    "sched-credit -s -t 5",
    "sched-rtds",
    "sched-rtds -d tiny",
    "sched-rtds -d tiny -v 0",
    "sched-rtds -d tiny -v all",
    "sched-rtds -d tiny -v 0 -p 100 -b 50 -e 1",
    "sched-rtds -d tiny -v 9 -p 100 -b 50 -e 1",
    "sched-rtds -d tiny -v 0 -p 100 -b 500 -e 1",
    "sched-rtds -d 99 -v 0 -p 100 -b 50 -e 1",
    "sched-rtds -d tiny -v all -p 100 -b 50 -e 1",
  ],
  "CPU pools": [
    "cpupool-list",
    "cpupool-list -c",
    "cpupool-list nosuch",
    "cpupool-create",
    'cpupool-create name="x" sched="credit"',
    'cpupool-create name="x" sched="nosuch"',
    'cpupool-create name="x" cpus="0"',
    'cpupool-create name="x" nodes=["0"]',
    "cpupool-create ~/nosuch",
    'cpupool-create -n name="x"',
    "cpupool-destroy nosuch",
    "cpupool-destroy Pool-0",
    "cpupool-rename nosuch x",
    "cpupool-cpu-add Pool-0 0-1",
    "cpupool-cpu-remove Pool-0 0",
    "cpupool-cpu-remove Pool-0 zz",
    "cpupool-migrate tiny nosuch",
    "cpupool-migrate 99 Pool-0",
    "cpupool-migrate tiny Pool-0",
  ],
  "what the host does not have": [
    "getenforce",
    "setenforce 1",
    "loadpolicy ~/nosuch",
    "loadpolicy ~/tiny.cfg",
    "set-parameters x=1",
    "psr-hwinfo",
    "psr-hwinfo -m",
    "psr-cmt-attach tiny",
    "psr-cmt-detach 99",
    "psr-cmt-show cache-occupancy tiny",
    "psr-cat-set tiny 0xff",
    "psr-cat-set -l 2 -s 0 tiny 0xff",
    "psr-cat-set -s 5 tiny 0xff",
    "psr-cat-set -c 99 0xff",
    "psr-cat-show",
    "psr-cat-show -l 5",
    "psr-mba-set tiny 10",
    "psr-mba-show tiny",
    "vncviewer tiny",
    "qemu-monitor-command tiny info",
    "qemu-monitor-command 99 info",
    "cd-insert tiny xvdc ~/tiny.cfg",
    "cd-insert tiny xvdc ~/nosuch",
    "cd-eject 99 xvdc",
    "pci-assignable-list",
    "pci-assignable-add 00:1f.2",
    "pci-assignable-add zz",
    "pci-assignable-remove 00:1f.2",
    "pci-assignable-remove name",
    "pci-attach tiny 00:1f.2",
    "pci-attach tiny zz",
    "pci-detach tiny 00:1f.2",
  ],
  "orders that can be given twice": [
    "vcpu-pin tiny all 0 1",
    "vcpu-pin tiny all all all",
    "vcpu-set tiny 1",
    "vcpu-set tiny 2",
    "mem-max tiny 64",
    "mem-set tiny 24",
    "mem-set tiny 32",
    "sched-credit2 -d tiny -w 300",
    "sched-credit2 -d tiny -w 256 -c 0",
    "sched-credit2 -s -r 1000",
    "pause tiny",
    "unpause tiny",
    "rename tiny tiny",
    "cpupool-rename Pool-0 Pool-0",
    "sysrq tiny h",
    "trigger tiny nmi",
    "debug-keys q",
    "dmesg",
  ],
  "another configuration": [
    "config-update tiny",
    "config-update nosuch ~/tiny.cfg",
    "config-update tiny ~/nosuch",
    "config-update tiny ~/bad.cfg",
  ],
} as const;

/** Changes by the built-in xl, and what both say afterwards. */
const changes: { readonly [what: string]: readonly (readonly [change: string, shows: readonly string[]])[] } =
  {
    "vCPUs are pinned": [
      ["vcpu-pin tiny 1 1 0-1", ["vcpu-list tiny"]],
      ["vcpu-pin tiny all all", ["vcpu-list tiny"]],
    ],
    "memory is taken and given back": [
      ["mem-set tiny 16", ["list tiny", "mem-set tiny 40", "mem-max tiny 8"]],
      ["mem-max tiny 64", ["list -l tiny"]],
      ["mem-set tiny 32m", ["list tiny", "info free_memory"]],
    ],
    "shares are set": [
      ["sched-credit2 -d tiny -w 512 -c 50", ["sched-credit2 -d tiny"]],
      ["sched-credit2 -s -r 500", ["sched-credit2"]],
    ],
    "a processor and a domain change pools": [
      ["cpupool-cpu-remove Pool-0 1", ["cpupool-list -c", "info free_cpus"]],
      [
        'cpupool-create name="web" cpus=["1"]',
        ["cpupool-list", 'cpupool-create name="web"', "cpupool-cpu-add 77 1"],
      ],
      [
        "cpupool-migrate tiny web",
        ["list -c", "vcpu-list", "cpupool-destroy web", "cpupool-cpu-remove web 1"],
      ],
      ["cpupool-migrate tiny Pool-0", ["cpupool-list"]],
      ["cpupool-destroy web", ["cpupool-list", "cpupool-migrate tiny web"]],
      ["cpupool-rename Pool-0 main", ["cpupool-list"]],
      ["cpupool-numa-split", ["cpupool-list -c"]],
    ],
    "a domain is renamed, and paused twice": [
      ["rename tiny other", ["list", "domid other", "domid tiny"]],
      ["rename other tiny", ["domname 1"]],
      ["pause tiny", ["list tiny"]],
      ["pause tiny", ["list tiny"]],
      ["unpause tiny", ["list tiny"]],
      ["unpause tiny", []],
    ],
  };

requires("xen-utils", "c-compiler")("the built-in xl says what the real one says", () => {
  beforeAll(async () => {
    fs.writeFileSync(join(folder, "tiny.elf"), tinyKernel());
    fs.writeFileSync(
      join(folder, "tiny.cfg"),
      `name = "${DOMAIN}"\ntype = "pvh"\nkernel = "${folder}/tiny.elf"\nmemory = 32\nvcpus = 2\nextra = "mode=idle"\n`,
    );
    fs.writeFileSync(join(folder, "bad.cfg"), "name = (((\n");
    host = await LiveHost.start({
      where,
      config: {},
      trace: null,
      code: "test",
      ...told.options,
    });
    told.listen(host);
    host.recorder.listen(listen);
    await host.serve((_request, asker) => asker.say({ exit: 0 }));
    expect((await real(["create", join(folder, "tiny.cfg")])).status).toBe(0);
    // Each libxl keeps what it knows of a domain in files of its own; ours is told.
    const [userdata = ""] = fs
      .readdirSync(join(where.dir, "lib-xen"))
      .filter((name) => name.startsWith(`userdata-d.${DOMID}.`) && name.endsWith(".libxl-json"));
    const bytes = fs.readFileSync(join(where.dir, "lib-xen", userdata));
    const file = {
      name: `/var/lib/xen/${userdata}`,
      kind: "regular",
      base64: bytes.toString("base64"),
    } as const;
    startXl(host, ["list"], [{ ...file, size: bytes.length }], { out: () => {}, err: () => {} });
    await until("its kernel is up", () => typeof host.world.get(guestCell, DOMID)?.upAt === "number");
  }, 60_000);

  afterAll(async () => {
    // Its monitor ends with it.
    await real(["destroy", DOMAIN]);
    await host.stop();
    fs.rmSync(folder, { recursive: true });
  });

  test.each(Object.entries(same))(
    "%s",
    async (_about, lines) => {
      for (const line of lines) await agree(line);
    },
    60_000,
  );

  test.each(Object.entries(changes))(
    "%s",
    async (_what, steps) => {
      for (const [change, shows] of steps) {
        expect(await builtIn(wordsOf(change)), change).toMatchObject({ status: 0, err: "" });
        for (const line of shows) await agree(line);
      }
    },
    60_000,
  );
});
