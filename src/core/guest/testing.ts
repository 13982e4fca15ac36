// SPDX-License-Identifier: Apache-2.0
//
// A host for tests of kernels, drivers and daemons: the hypervisor, dom0 with
// its daemons, and a hand that builds domains as a toolstack would.

import { assert, isFailure } from "../engine/errno.ts";
import { clearFaults, injectFault } from "../engine/fault.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import type { Scheduler } from "../engine/scheduler.ts";
import { fifo, run } from "../engine/scheduler.ts";
import { hasEnded, joinThread, spawnThread } from "../engine/thread.ts";
import type { TraceRecord } from "../engine/trace.ts";
import { World } from "../engine/world.ts";
import { startXenconsoled } from "../daemons/xenconsoled.ts";
import { startXenstored } from "../daemons/xenstored.ts";
import { xsClose, xsOpen, xsTalk } from "../daemons/xs-client.ts";
import type { XsOp } from "../daemons/xs-client.ts";
import { hotplugEnded, reapHotplug, startHotplug } from "../drivers/hotplug.ts";
import { createdomain, maxMem, maxVcpus, unpausedomain } from "../hypervisor/domctl.ts";
import { allocUnbound } from "../hypervisor/event-channel-op.ts";
import { grantAccess } from "../hypervisor/grant-table-op.ts";
import { populatePhysmap } from "../hypervisor/memory-op.ts";
import { startHypervisor } from "../hypervisor/setup.ts";
import type { XenVersionName } from "../hypervisor/version.ts";
import { changeVcpu, VPF_down } from "../hypervisor/vcpu.ts";
import type { StoreOptions } from "../xenstore/store.ts";
import type { XenwatchPolicy } from "../xenbus/xenbus.ts";
import { startGuest } from "./boot.ts";
import { startDom0Kernel } from "./dom0.ts";
import type { StartInfo } from "./guest.ts";

/** A request and, after it ran, its reply or errno. */
type Entry = readonly [name: string, value: string];

type Request = readonly [op: XsOp, payload: string];

/** Requests one after another; those between TRANSACTION_START and TRANSACTION_END are in that transaction. */
const script = routine(
  "test_script",
  (a: { process: string; requests: readonly Request[] }) => ({
    ...a,
    op: "READ" as XsOp,
    payload: "",
    t: 0,
    replies: [] as string[],
  }),
  ({ step, each, call, attempt }) => [
    step("xs_open", (host, l) => xsOpen(host, l.process)),
    each(
      "requests",
      (l) => l.requests,
      (l, [op, payload]) => {
        l.op = op;
        l.payload = payload;
      },
      [
        attempt([
          call(
            "request",
            xsTalk,
            (l) => ({ process: l.process, t: l.t, op: l.op, payload: l.payload }),
            (l, reply) => {
              l.replies.push(reply);
              if (l.op === "TRANSACTION_START") l.t = Number.parseInt(reply, 10);
              if (l.op === "TRANSACTION_END") l.t = 0;
            },
          ),
        ]).onError((l, errno) => void l.replies.push(errno), []),
      ],
    ),
    step("xs_close", (host, l) => xsClose(host, l.process)),
  ],
  (l) => l.replies,
);

/** How a domain is built, where it is not the smallest there is. */
interface BuildOptions {
  name?: string;
  pages?: number;
  vcpus?: number;
  /** Puts a kernel into the domain; a booting one where nobody says otherwise. */
  image?: (host: Host, info: StartInfo) => void;
}

/** A world with everything a kernel talks to, and what happened in it. */
export class TestHost {
  readonly world: World;
  readonly records: TraceRecord[] = [];
  readonly scheduler: Scheduler;
  #processes = 0;

  constructor(
    options: {
      seed?: number;
      scheduler?: Scheduler;
      modules?: readonly string[];
      policy?: XenwatchPolicy;
      version?: XenVersionName;
      /** How its xenstored is started. */
      store?: StoreOptions;
      tracking?: { undo: boolean; hash: boolean };
    } = {},
  ) {
    this.world = new World({
      seed: options.seed ?? 0,
      ...(options.tracking === undefined ? {} : { tracking: options.tracking }),
    });
    this.scheduler = options.scheduler ?? fifo;
    this.world.sink = (record) => void this.records.push(record);
    this.world.boot((host) => {
      startHypervisor(host, options.version === undefined ? {} : { version: options.version });
      const { modules, policy = "single" } = options;
      const { mfn, port } = startDom0Kernel(host, {
        policy,
        ...(modules === undefined ? {} : { modules }),
      });
      startXenstored(host, mfn, port, options.store);
      startXenconsoled(host);
    });
    this.settle();
  }

  /** Runs until nothing is left to do but wait for time to pass. */
  settle(): void {
    run(this.world, (world) => (world.runnable.length === 0 ? null : this.scheduler(world)), {
      stepsMax: 1_000_000,
    });
  }

  /** Runs until a condition holds; an assertion where it never does. */
  until(condition: (world: World) => boolean, what: string): void {
    run(this.world, this.scheduler, { until: condition, stepsMax: 1_000_000 });
    assert(condition(this.world), `never: ${what}`);
  }

  /** Runs for so many seconds of the host's clock. */
  pass(seconds: number): void {
    const end = this.world.now + seconds * 1_000_000;
    run(this.world, (world) => {
      if (world.runnable.length > 0) return this.scheduler(world);
      const timer = world.nextTimer();
      return timer === undefined || timer.deadline > end ? null : { timer: timer.thread };
    });
    this.world.perform({ clock: end });
  }

  /** Makes xenstore requests as a process of dom0; gives replies and error names. */
  store(...requests: Request[]): string[] {
    const process = `dom0/test.${++this.#processes}`;
    this.world.boot(
      (host) => void spawnThread(host, process, script, { process, requests }, { joinable: true }),
    );
    this.until((world) => hasEnded(world, process), "xenstore answers");
    let replies: string[] = [];
    this.world.boot((host) => {
      replies = joinThread(host, process).result as string[];
    });
    return replies;
  }

  /** A node's value, or the error's name. */
  read(path: string): string {
    return this.store(["READ", `${path}\0`])[0] as string;
  }

  /** Writes a node. */
  write(path: string, value: string): void {
    assert(this.store(["WRITE", `${path}\0${value}`])[0] === "OK\0", `write ${path}`);
  }

  /** Does something to the host, as one step from outside. */
  act<R>(what: (host: Host) => R): R {
    let result: R | undefined;
    this.world.boot((host) => {
      result = what(host);
    });
    return result as R;
  }

  /** Injects a fault; an assertion where it is refused. */
  inject(name: string, ...words: string[]): void {
    const result = this.act((host) => injectFault(host, name, words));
    assert(result === 0, result === 0 ? "" : result.why);
  }

  /** Clears all faults. */
  clear(): void {
    this.act((host) => void clearFaults(host));
  }

  /** Builds a domain with a guest's kernel in it, introduced and paused; its domid. */
  build(commandLine: string, options: BuildOptions = {}): number {
    const { name = "guest", pages = 512, vcpus = 1, image = startGuest } = options;
    const built = this.act((host) => buildDomain(host, pages, vcpus));
    const { domid, storeMfn, storePort, consoleMfn, consolePort } = built;
    const home = `/local/domain/${domid}`;
    const node = (path: string, value: string, owner: number, ...perms: string[]): Request[] => [
      ["WRITE", `${path}\0${value}`],
      ["SET_PERMS", `${path}\0n${owner}\0${perms.map((perm) => `${perm}\0`).join("")}`],
    ];
    this.store(
      ...node(home, "", 0, `r${domid}`),
      ["WRITE", `${home}/name\0${name}`],
      ["WRITE", `${home}/vm\0/vm/uuid-${domid}`],
      ...["cpu", "memory", "device"].flatMap((dir) => node(`${home}/${dir}`, "", 0, `r${domid}`)),
      ...node(`${home}/device/suspend/event-channel`, "", domid),
      ...node(`${home}/control`, "", 0, `r${domid}`),
      ...["shutdown", "feature-poweroff", "feature-reboot", "feature-suspend", "sysrq"].flatMap((of) =>
        node(`${home}/control/${of}`, "", domid),
      ),
      ...Array.from({ length: vcpus }, (_, cpu): Request => [
        "WRITE",
        `${home}/cpu/${cpu}/availability\0online`,
      ]),
      ["WRITE", `${home}/memory/static-max\0${pages * 4}`],
      ["WRITE", `${home}/memory/target\0${pages * 4}`],
      ["INTRODUCE", `${domid}\0${storeMfn}\0${storePort}\0`],
    );
    this.settle();
    this.store(
      ["TRANSACTION_START", "\0"],
      ["WRITE", `${home}/console\0`],
      ["WRITE", `${home}/console/limit\x001048576`],
      ["WRITE", `${home}/console/type\0xenconsoled`],
      ["WRITE", `${home}/console/output\0pty`],
      ["WRITE", `${home}/console/tty\0`],
      ["WRITE", `${home}/console/port\0${consolePort}`],
      ["WRITE", `${home}/console/ring-ref\0${consoleMfn}`],
      ["TRANSACTION_END", "T\0"],
    );
    this.act((host) => image(host, { type: "pv", commandLine, nrVcpus: vcpus, ...built }));
    this.settle();
    return domid;
  }

  /** Adds a device's nodes as libxl does, in one transaction's order: the frontend's, then the backend's. */
  addDevice(
    kind: "vbd" | "vif",
    domid: number,
    devid: number,
    front: readonly Entry[],
    back: readonly Entry[],
  ): void {
    const frontend = `/local/domain/${domid}/device/${kind}/${devid}`;
    const backend = `/local/domain/0/backend/${kind}/${domid}/${devid}`;
    const nodes = (dir: string, entries: readonly Entry[]): Request[] =>
      entries.map(([name, value]) => ["WRITE", `${dir}/${name}\0${value}`]);
    const replies = this.store(
      ["TRANSACTION_START", "\0"],
      ["WRITE", `${frontend}\0`],
      ["SET_PERMS", `${frontend}\0n${domid}\0r0\0`],
      ["WRITE", `${backend}\0`],
      ["SET_PERMS", `${backend}\0n0\0r${domid}\0`],
      ...nodes(frontend, [["backend", backend], ["backend-id", "0"], ...front, ["state", "1"]]),
      ...nodes(backend, [
        ["frontend", frontend],
        ["frontend-id", String(domid)],
        ["online", "1"],
        ...back,
        ["state", "1"],
      ]),
      ["TRANSACTION_END", "T\0"],
    );
    assert(
      replies.slice(1).every((reply) => reply === "OK\0"),
      `device nodes: ${replies.join(" ")}`,
    );
  }

  /** Adds a disk on a block device of dom0. */
  addDisk(domid: number, devid: number, path: string, mode = "w"): void {
    this.addDevice(
      "vbd",
      domid,
      devid,
      [
        ["virtual-device", String(devid)],
        ["device-type", "disk"],
        ["trusted", "1"],
      ],
      [
        ["params", path],
        ["script", "/etc/xen/scripts/block"],
        ["dev", devid === 51712 ? "xvda" : "xvdb"],
        ["type", "phy"],
        ["mode", mode],
        ["discard-enable", "1"],
      ],
    );
  }

  /** Adds a network interface. */
  addNic(domid: number, devid: number, bridge: string): void {
    const mac = `00:16:3e:00:00:0${devid + 1}`;
    this.addDevice(
      "vif",
      domid,
      devid,
      [
        ["handle", String(devid)],
        ["mac", mac],
        ["trusted", "1"],
      ],
      [
        ["script", "/etc/xen/scripts/vif-bridge"],
        ["mac", mac],
        ["bridge", bridge],
        ["handle", String(devid)],
        ["hotplug-status", ""],
      ],
    );
  }

  /** Starts a device's hotplug script; its process. */
  startScript(kind: "vbd" | "vif", domid: number, devid: number, command: string): string {
    const script = kind === "vbd" ? "/etc/xen/scripts/block" : "/etc/xen/scripts/vif-bridge";
    const env = {
      XENBUS_PATH: `backend/${kind}/${domid}/${devid}`,
      XENBUS_TYPE: kind,
      XENBUS_BASE_PATH: "backend",
      vif: `vif${domid}.${devid}`,
    };
    const name = `dom0/hotplug.${++this.#processes}`;
    return this.act((host) => startHotplug(host, name, { script, args: [command, "type_if=vif"], env }));
  }

  /** Runs a device's hotplug script and waits for it; its exit status. */
  hotplug(kind: "vbd" | "vif", domid: number, devid: number, command: string): number {
    const name = this.startScript(kind, domid, devid, command);
    this.until((world) => hotplugEnded(world, name), `${name} ends`);
    return this.act((host) => reapHotplug(host, name));
  }

  /** The states the two ends of a device show: backend's, frontend's. */
  states(kind: "vbd" | "vif", domid: number, devid: number): string {
    const backend = this.read(`/local/domain/0/backend/${kind}/${domid}/${devid}/state`);
    return `${backend} ${this.read(`/local/domain/${domid}/device/${kind}/${devid}/state`)}`;
  }

  /** Lets a built domain run. */
  unpause(domid: number): void {
    this.act((host) => void unpausedomain(host, TOOLSTACK, domid));
  }

  /** What a domain has printed, by its log. */
  console(domid: number): string {
    return this.records
      .flatMap((r) => (r.kind === "console" && r.data.domid === domid ? [r.data.text] : []))
      .join("");
  }

  /** Runs until the domain's console shows a text. */
  untilPrinted(domid: number, text: string): void {
    this.until(() => this.console(domid).includes(text), `d${domid} prints ${text}`);
  }

  /** Requests and events of one connection as xenstored saw them, without what only reads. */
  wire(who: string): string[] {
    return this.records.flatMap((r) => {
      if (r.kind !== "xenstore" || r.data.who !== who) return [];
      const { dir, op, body } = r.data;
      if (dir !== "in" && op !== "WATCH_EVENT") return [];
      return [`${dir} ${op} ${body.split("\0").join(" ")}`.trimEnd()];
    });
  }
}

export const TOOLSTACK = { domid: 0, process: "xl.1" } as const;

interface Built {
  domid: number;
  storeMfn: number;
  storePort: number;
  consoleMfn: number;
  consolePort: number;
}

function ok<T>(result: T): Exclude<T, { readonly errno: unknown }> {
  assert(!isFailure(result), "the domain could not be built");
  return result as Exclude<T, { readonly errno: unknown }>;
}

function buildDomain(host: Host, pages: number, vcpus: number): Built {
  const { domid } = ok(createdomain(host, TOOLSTACK, { flags: 0, maxVcpus: vcpus, maxEvtchnPort: 1023 }));
  ok(maxVcpus(host, TOOLSTACK, { domid, max: vcpus }));
  ok(maxMem(host, TOOLSTACK, { domid, maxMemkb: pages * 4 + 1024 }));
  const storePort = ok(allocUnbound(host, TOOLSTACK, { domid, remoteDomid: 0 })).port;
  const consolePort = ok(allocUnbound(host, TOOLSTACK, { domid, remoteDomid: 0 })).port;
  const gpfns = Array.from({ length: pages }, (_, gpfn) => gpfn);
  const { mfns } = ok(populatePhysmap(host, TOOLSTACK, { domid, gpfns, order: 0 }));
  const [storeMfn, consoleMfn] = [mfns[1] as number, mfns[2] as number];
  grantAccess(host, domid, 0, 0, consoleMfn);
  grantAccess(host, domid, 1, 0, storeMfn);
  changeVcpu(host, domid, 0, (v) => {
    v.pauseFlags &= ~VPF_down;
    v.isInitialised = true;
  });
  return { domid, storeMfn, storePort, consoleMfn, consolePort };
}
