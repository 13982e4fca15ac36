// SPDX-License-Identifier: Apache-2.0
//
// What dom0's kernel answers to who uses Xen's device files, well or badly: each row
// names the function of Linux 6.1 that it holds.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as X from "../../src/abi/4.17/constants.ts";
import * as abi from "../../src/abi/4.17/layout.ts";
import { viewOf, zeroed } from "../../src/abi/struct.ts";
import type { Field } from "../../src/abi/struct.ts";
import { requires } from "../capabilities.ts";
import { DeviceClient, MAP_PRIVATE, PROT_READ } from "./device-client.ts";
import { RealHost } from "./real-host.ts";

let host: RealHost;
let program: DeviceClient;
/** A domain whose grants 0 and 1 are dom0's to map. */
let guest = 0;

const NOBODY = 999;

function filled<S extends { readonly sizeof: number }>(
  struct: S,
  values: { readonly [field in keyof S]?: number },
): DataView {
  const view = zeroed(struct);
  for (const [name, value] of Object.entries(values))
    (struct[name as keyof S] as unknown as Field<number>).set(view, value as number, 0);
  return view;
}

/** A device that a row opens, and what can be done to it. */
class Opened {
  readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  static async at(path: string): Promise<Opened> {
    return new Opened(await program.open(path));
  }

  async ioctl(number: number, argument: DataView | Uint8Array | null): Promise<number | string> {
    return (await program.ioctl(this.fd, number, argument)).result;
  }

  /** The same with fields of a structure. */
  async asked<S extends { readonly sizeof: number }>(
    number: number,
    struct: S,
    values: { readonly [field in keyof S]?: number },
  ): Promise<number | string> {
    return this.ioctl(number, filled(struct, values));
  }

  map(pages: number, how: { prot?: number; flags?: number; offset?: number } = {}): Promise<number | string> {
    return program.map(this.fd, pages, how);
  }
}

type Row = readonly [
  what: string,
  function_: string,
  run: (device: Opened) => Promise<number | string>,
  result: number | string,
];

/** Each row has a device of its own. */
function held(path: string, rows: readonly Row[]): void {
  describe(path, () => {
    test.each(rows)("%s (%s)", async (_what, _function, run, result) => {
      const device = await Opened.at(path);
      expect(await run(device)).toBe(result);
      await program.close(device.fd);
    });
  });
}

const { ioctl_gntdev_grant_ref: grantRef, ioctl_gntdev_map_grant_ref: mapGrantRef } = abi;

/** Names grants of the domain; the offset they can be mapped at. */
async function grants(device: Opened, ...refs: number[]): Promise<number> {
  const view = viewOf(new Uint8Array(mapGrantRef.refs.offset + refs.length * grantRef.sizeof));
  mapGrantRef.count.set(view, refs.length);
  for (const [i, ref] of refs.entries()) {
    grantRef.domid.set(view, guest, mapGrantRef.refs.offset + i * grantRef.sizeof);
    grantRef.ref.set(view, ref, mapGrantRef.refs.offset + i * grantRef.sizeof);
  }
  const { result, bytes } = await program.ioctl(device.fd, X.IOCTL_GNTDEV_MAP_GRANT_REF, view);
  if (result !== 0) throw new Error(`the device takes no grants: ${result}`);
  return mapGrantRef.index.get(viewOf(bytes));
}

const ungrant = (device: Opened, index: number, count: number): Promise<number | string> =>
  device.asked(X.IOCTL_GNTDEV_UNMAP_GRANT_REF, abi.ioctl_gntdev_unmap_grant_ref, { index, count });

const notify = (device: Opened, index: number, action: number, port = 0): Promise<number | string> =>
  device.asked(X.IOCTL_GNTDEV_SET_UNMAP_NOTIFY, abi.ioctl_gntdev_unmap_notify, {
    index,
    action,
    event_channel_port: port,
  });

const offsetOf = (device: Opened, vaddr: number): Promise<number | string> =>
  device.asked(X.IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR, abi.ioctl_gntdev_get_offset_for_vaddr, { vaddr });

const gntdev: readonly Row[] = [
  ["an ioctl that is none", "gntdev_ioctl", (d) => d.ioctl(0x4799, new Uint8Array(8)), "ENOTTY"],
  [
    "no grants",
    "gntdev_ioctl_map_grant_ref",
    (d) => d.asked(X.IOCTL_GNTDEV_MAP_GRANT_REF, mapGrantRef, { count: 0 }),
    "EINVAL",
  ],
  [
    "more grants than the limit",
    "gntdev_test_page_count",
    (d) => d.asked(X.IOCTL_GNTDEV_MAP_GRANT_REF, mapGrantRef, { count: 65_537 }),
    "EINVAL",
  ],
  [
    "grants that are not all there",
    "gntdev_ioctl_map_grant_ref",
    (d) => d.asked(X.IOCTL_GNTDEV_MAP_GRANT_REF, mapGrantRef, { count: 3 }),
    "EFAULT",
  ],
  [
    "offsets go on where the last ended",
    "gntdev_add_map",
    async (d) => (await grants(d, 0, 1), grants(d, 0)),
    8192,
  ],
  [
    "and are given again where there is more than enough room",
    "gntdev_add_map",
    async (d) => {
      const first = await grants(d, 0, 1);
      await grants(d, 0);
      await ungrant(d, first, 2);
      return grants(d, 1);
    },
    0,
  ],
  [
    "but not where there is just enough",
    "gntdev_add_map",
    async (d) => {
      const first = await grants(d, 0);
      await grants(d, 1);
      await ungrant(d, first, 1);
      return grants(d, 1);
    },
    8192,
  ],
  [
    "an offset's end does not matter",
    "gntdev_find_map_index",
    async (d) => ungrant(d, (await grants(d, 0)) + 5, 1),
    0,
  ],
  ["nor a count of none", "gntdev_find_map_index", async (d) => ungrant(d, await grants(d, 0, 1), 0), 0],
  [
    "a part of what was asked",
    "gntdev_find_map_index",
    async (d) => ungrant(d, await grants(d, 0, 1), 1),
    "ENOENT",
  ],
  [
    "an offset inside",
    "gntdev_find_map_index",
    async (d) => (await grants(d, 0, 1), ungrant(d, 4096, 1)),
    "ENOENT",
  ],
  [
    "a mapping to write to that is not shared",
    "gntdev_mmap",
    async (d) => (await grants(d, 0), d.map(1, { flags: MAP_PRIVATE })),
    "EINVAL",
  ],
  ["a part of it", "gntdev_find_map_index", async (d) => (await grants(d, 0, 1), d.map(1)), "EINVAL"],
  [
    "a grant that nobody gave",
    "gntdev_map_grant_pages",
    async (d) => (await grants(d, 77), d.map(1)),
    "EINVAL",
  ],
  [
    "an offset in the middle of a page",
    "mmap",
    async (d) => (await grants(d, 0), d.map(1, { offset: 8 })),
    "EINVAL",
  ],
  ["twice", "gntdev_mmap", async (d) => (await grants(d, 0), await d.map(1), d.map(1)), "EINVAL"],
  [
    "again, after it was unmapped",
    "gntdev_mmap",
    async (d) => {
      await grants(d, 0);
      await program.unmap((await d.map(1)) as number, 1);
      return d.map(1);
    },
    "EINVAL",
  ],
  [
    "an address in the middle of a mapping",
    "gntdev_ioctl_get_offset_for_vaddr",
    async (d) => (await grants(d, 0, 1), offsetOf(d, ((await d.map(2)) as number) + 5000)),
    0,
  ],
  [
    "another device's mapping",
    "gntdev_ioctl_get_offset_for_vaddr",
    async (d) => {
      await grants(d, 0);
      const address = (await d.map(1)) as number;
      const other = await Opened.at("/dev/xen/gntdev");
      const found = await offsetOf(other, address);
      await program.close(other.fd);
      return found;
    },
    0,
  ],
  [
    "what is not mapped",
    "gntdev_ioctl_get_offset_for_vaddr",
    async (d) => offsetOf(d, await program.memory(8192)),
    "EINVAL",
  ],
  [
    "a notification of another kind",
    "gntdev_ioctl_notify",
    async (d) => notify(d, await grants(d, 0), 4),
    "EINVAL",
  ],
  [
    "of a port that is nobody's",
    "gntdev_ioctl_notify",
    async (d) => notify(d, await grants(d, 0), 2, 500),
    "EINVAL",
  ],
  [
    "of such a port, at an offset that is not there",
    "gntdev_ioctl_notify",
    (d) => notify(d, 0, 2, 500),
    "EINVAL",
  ],
  ["at an offset that is not there", "gntdev_ioctl_notify", (d) => notify(d, 0, 1), "ENOENT"],
  [
    "a byte to clear where nothing may be written",
    "gntdev_ioctl_notify",
    async (d) => (await grants(d, 0), await d.map(1, { prot: PROT_READ }), notify(d, 0, 1)),
    "EINVAL",
  ],
  [
    "a byte to clear of the second page",
    "gntdev_ioctl_notify",
    async (d) => (await grants(d, 0, 1), notify(d, 5000, 1)),
    0,
  ],
];

const batch = (
  device: Opened,
  values: { num: number; dom: number; addr: number; arr: number; err: number },
) => device.asked(X.IOCTL_PRIVCMD_MMAPBATCH_V2, abi.privcmd_mmapbatch_v2, values);

/** Maps so many of a domain's frames at an address. */
async function batchAt(device: Opened, addr: number, num: number, dom = guest): Promise<number | string> {
  const memory = await program.memory(num * 16);
  const arr = viewOf(new Uint8Array(num * 8));
  for (let i = 0; i < num; i++) arr.setUint32(i * 8, 16 + i, true);
  await program.poke(memory, new Uint8Array(arr.buffer));
  return batch(device, { num, dom, addr, arr: memory, err: memory + num * 8 });
}

const resource = (device: Opened, values: { [field in keyof typeof abi.privcmd_mmap_resource]?: number }) =>
  device.asked(X.IOCTL_PRIVCMD_MMAP_RESOURCE, abi.privcmd_mmap_resource, values);

const restrict = (device: Opened, domid: number): Promise<number | string> =>
  device.ioctl(X.IOCTL_PRIVCMD_RESTRICT, Uint8Array.of(domid & 255, domid >> 8));

/** A device model's operation with buffers of such sizes. */
async function dmOp(device: Opened, dom: number, ...sizes: number[]): Promise<number | string> {
  const { sizeof, uptr, size } = abi.privcmd_dm_op_buf;
  const [list, bytes] = [await program.memory(sizes.length * sizeof + 8), await program.memory(8192)];
  const view = viewOf(new Uint8Array(sizes.length * sizeof + 8));
  for (const [i, length] of sizes.entries()) {
    uptr.set(view, bytes, i * sizeof);
    size.set(view, length, i * sizeof);
  }
  await program.poke(list, new Uint8Array(view.buffer));
  return device.asked(X.IOCTL_PRIVCMD_DM_OP, abi.privcmd_dm_op, { dom, num: sizes.length, ubufs: list });
}

const privcmd: readonly Row[] = [
  ["an ioctl that is none", "privcmd_ioctl", (d) => d.ioctl(0x5099, new Uint8Array(8)), "ENOTTY"],
  [
    "a hypercall that is nowhere",
    "privcmd_ioctl_hypercall",
    (d) => d.ioctl(X.IOCTL_PRIVCMD_HYPERCALL, null),
    "EFAULT",
  ],
  [
    "a hypercall, once restricted",
    "privcmd_ioctl_hypercall",
    async (d) => (
      await restrict(d, guest),
      d.asked(X.IOCTL_PRIVCMD_HYPERCALL, abi.privcmd_hypercall, { op: 17 })
    ),
    "EPERM",
  ],
  [
    "restricted twice to one",
    "privcmd_ioctl_restrict",
    async (d) => (await restrict(d, 5), restrict(d, 5)),
    0,
  ],
  [
    "restricted to DOMID_INVALID, which is not at all",
    "privcmd_ioctl_restrict",
    async (d) => (await restrict(d, 0x7ff4), restrict(d, 5)),
    0,
  ],
  [
    "then to another",
    "privcmd_ioctl_restrict",
    async (d) => (await restrict(d, 5), restrict(d, 6)),
    "EINVAL",
  ],
  [
    "an empty batch",
    "privcmd_ioctl_mmap_batch",
    (d) => batch(d, { num: 0, dom: guest, addr: 0, arr: 0, err: 0 }),
    "EINVAL",
  ],
  [
    "an empty batch of another domain, once restricted",
    "privcmd_ioctl_mmap_batch",
    async (d) => (await restrict(d, 77), batch(d, { num: 0, dom: guest, addr: 0, arr: 0, err: 0 })),
    "EPERM",
  ],
  [
    "frames that are nowhere",
    "gather_array",
    (d) => batch(d, { num: 1, dom: guest, addr: 0, arr: 8, err: 8 }),
    "EFAULT",
  ],
  [
    "results that go nowhere, for an address that is no place",
    "privcmd_ioctl_mmap_batch",
    async (d) => batch(d, { num: 1, dom: guest, addr: 4096, arr: await program.memory(8), err: 8 }),
    "EFAULT",
  ],
  [
    "an address that is no place",
    "privcmd_ioctl_mmap_batch",
    async (d) => batchAt(d, await program.memory(4096), 1),
    "EINVAL",
  ],
  ["all of a place", "privcmd_ioctl_mmap_batch", async (d) => batchAt(d, (await d.map(3)) as number, 3), 0],
  [
    "the first time, a part of it",
    "privcmd_ioctl_mmap_batch",
    async (d) => batchAt(d, (await d.map(3)) as number, 2),
    "EINVAL",
  ],
  [
    "its end",
    "privcmd_ioctl_mmap_batch",
    async (d) => batchAt(d, ((await d.map(3)) as number) + 4096, 2),
    "EINVAL",
  ],
  [
    "what is left of it when a part was unmapped",
    "privcmd_ioctl_mmap_batch",
    async (d) => {
      const place = (await d.map(3)) as number;
      await program.unmap(place, 1);
      return batchAt(d, place + 4096, 2);
    },
    0,
  ],
  [
    "a page where one is mapped",
    "privcmd_vma_range_is_mapped",
    async (d) => {
      const place = (await d.map(2)) as number;
      await batchAt(d, place, 2);
      return batchAt(d, place + 4096, 1);
    },
    "EINVAL",
  ],
  [
    "a domain that is not there",
    "xen_remap_pfn",
    async (d) => batchAt(d, (await d.map(1)) as number, 1, NOBODY),
    0,
  ],
  [
    "a resource's address without a number",
    "privcmd_ioctl_mmap_resource",
    (d) => resource(d, { dom: guest, type: 1, addr: 4096 }),
    "EINVAL",
  ],
  [
    "a number without an address",
    "privcmd_ioctl_mmap_resource",
    (d) => resource(d, { dom: NOBODY, type: 99, num: 1 }),
    "EINVAL",
  ],
  [
    "another domain's, once restricted",
    "privcmd_ioctl_mmap_resource",
    async (d) => (await restrict(d, 77), resource(d, { dom: guest, num: 1 })),
    "EPERM",
  ],
  [
    "how many frames a grant table may have",
    "privcmd_ioctl_mmap_resource",
    (d) => resource(d, { dom: guest, type: 1 }),
    0,
  ],
  [
    "of a domain that is not there",
    "acquire_resource",
    (d) => resource(d, { dom: NOBODY, type: 1 }),
    "ESRCH",
  ],
  ["no buffers, of a domain that is not there", "privcmd_ioctl_dm_op", (d) => dmOp(d, NOBODY), 0],
  [
    "no buffers, once restricted to another",
    "privcmd_ioctl_dm_op",
    async (d) => (await restrict(d, 77), dmOp(d, 0x7ff4)),
    "EPERM",
  ],
  [
    "17 buffers",
    "privcmd_ioctl_dm_op",
    (d) => dmOp(d, NOBODY, ...Array.from({ length: 17 }, () => 8)),
    "E2BIG",
  ],
  ["a buffer of more than a page", "privcmd_ioctl_dm_op", (d) => dmOp(d, NOBODY, 8, 4097), "E2BIG"],
  ["good buffers, of a domain that is not there", "dm_op", (d) => dmOp(d, NOBODY, 8), "ESRCH"],
];

const unbound = (device: Opened, domid: number): Promise<number | string> =>
  device.asked(X.IOCTL_EVTCHN_BIND_UNBOUND_PORT, abi.ioctl_evtchn_bind_unbound_port, {
    remote_domain: domid,
  });
const unbind = (device: Opened, port: number): Promise<number | string> =>
  device.asked(X.IOCTL_EVTCHN_UNBIND, abi.ioctl_evtchn_unbind, { port });
const evtchnRestrict = (device: Opened, domid: number): Promise<number | string> =>
  device.asked(X.IOCTL_EVTCHN_RESTRICT_DOMID, abi.ioctl_evtchn_restrict_domid, { domid });

const evtchn: readonly Row[] = [
  ["an ioctl that is none", "evtchn_ioctl", (d) => d.ioctl(0x4599, new Uint8Array(8)), "ENOSYS"],
  ["mapping it", "mmap", (d) => d.map(1), "ENODEV"],
  ["a port beyond all there can be", "evtchn_ioctl", (d) => unbind(d, 131_072), "EINVAL"],
  ["a port that is not its own", "evtchn_ioctl", (d) => unbind(d, 131_071), "ENOTCONN"],
  [
    "notifying through one",
    "evtchn_ioctl",
    (d) => d.asked(X.IOCTL_EVTCHN_NOTIFY, abi.ioctl_evtchn_notify, { port: 3 }),
    "ENOTCONN",
  ],
  [
    "notifying through a port that nobody has bound to",
    "notify_remote_via_evtchn",
    async (d) =>
      d.asked(X.IOCTL_EVTCHN_NOTIFY, abi.ioctl_evtchn_notify, { port: (await unbound(d, guest)) as number }),
    0,
  ],
  ["restricted to dom0", "evtchn_ioctl", (d) => evtchnRestrict(d, 0), "EINVAL"],
  ["restricted to DOMID_SELF", "evtchn_ioctl", (d) => evtchnRestrict(d, 0x7ff0), "EINVAL"],
  [
    "restricted twice",
    "evtchn_ioctl",
    async (d) => (await evtchnRestrict(d, guest), evtchnRestrict(d, guest)),
    "EACCES",
  ],
  [
    "another's port, once restricted",
    "evtchn_ioctl",
    async (d) => (await evtchnRestrict(d, NOBODY), unbound(d, guest)),
    "EACCES",
  ],
  ["emptying the ring", "evtchn_ioctl", (d) => d.ioctl(X.IOCTL_EVTCHN_RESET, new Uint8Array()), 0],
];

const alloc = abi.ioctl_gntalloc_alloc_gref;
const dealloc = (device: Opened, index: number, count: number): Promise<number | string> =>
  device.asked(X.IOCTL_GNTALLOC_DEALLOC_GREF, abi.ioctl_gntalloc_dealloc_gref, { index, count });
const share = (device: Opened, count: number): Promise<number | string> =>
  device.asked(X.IOCTL_GNTALLOC_ALLOC_GREF, alloc, { domid: guest, flags: 1, count });

const gntalloc: readonly Row[] = [
  ["an ioctl that is none", "gntalloc_ioctl", (d) => d.ioctl(0x4799, new Uint8Array(8)), "ENOTTY"],
  ["no pages", "gntalloc_ioctl_alloc", (d) => share(d, 0), 0],
  ["more than the limit", "gntalloc_ioctl_alloc", (d) => share(d, 1025), "ENOSPC"],
  ["more than there is memory to note", "gntalloc_ioctl_alloc", (d) => share(d, 0xffff_ffff), "ENOMEM"],
  ["references that there is no room for", "gntalloc_ioctl_alloc", (d) => share(d, 3), "EFAULT"],
  ["no pages to give back", "find_grefs", async (d) => (await share(d, 1), dealloc(d, 0, 0)), "EINVAL"],
  ["a page too many", "find_grefs", async (d) => (await share(d, 1), dealloc(d, 0, 2)), "EINVAL"],
  [
    "a mapping of its own",
    "gntalloc_mmap",
    async (d) => (await share(d, 1), d.map(1, { flags: MAP_PRIVATE })),
    "EINVAL",
  ],
  ["a page that is not there", "gntalloc_mmap", (d) => d.map(1), "ENOENT"],
  [
    "a notification at a page that is not there, and of another kind",
    "gntalloc_ioctl_unmap_notify",
    (d) => d.asked(X.IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, abi.ioctl_gntalloc_unmap_notify, { action: 4 }),
    "ENOENT",
  ],
];

/** Two ports of dom0's that are joined, each of an open device of its own. */
async function joined(): Promise<[near: Opened, nearPort: number, far: Opened, farPort: number]> {
  const [near, far] = [await Opened.at("/dev/xen/evtchn"), await Opened.at("/dev/xen/evtchn")];
  const farPort = (await unbound(far, 0)) as number;
  const args = { remote_domain: 0, remote_port: farPort };
  const nearPort = await near.asked(X.IOCTL_EVTCHN_BIND_INTERDOMAIN, abi.ioctl_evtchn_bind_interdomain, args);
  return [near, nearPort as number, far, farPort];
}

/** Whether a device has an event to read. */
async function hasEvent({ fd }: Opened): Promise<boolean> {
  return ((await program.poll(fd)) as number) % 2 === 1;
}

const { ioctl_gntdev_grant_copy_segment: segment } = abi;

/** One end of a copy: an address, or a place in a granted page. */
type End = number | { readonly ref: number; readonly offset?: number };

interface Part {
  readonly from: End;
  readonly to: End;
  readonly length: number;
}

function putEnd(list: DataView, at: number, side: "source" | "dest", end: End): void {
  if (typeof end === "number") return segment[`${side}.virt`].set(list, end, at);
  const flag = side === "source" ? X.GNTCOPY_source_gref : X.GNTCOPY_dest_gref;
  segment.flags.set(list, segment.flags.get(list, at) | flag, at);
  segment[`${side}.foreign.domid`].set(list, guest, at);
  segment[`${side}.foreign.ref`].set(list, end.ref, at);
  segment[`${side}.foreign.offset`].set(list, end.offset ?? 0, at);
}

/** Copies between grants of the domain's and addresses; each part's status, which was 99 before. */
async function copied(
  device: Opened,
  ...parts: Part[]
): Promise<{ result: number | string; status: number[] }> {
  const list = viewOf(new Uint8Array(parts.length * segment.sizeof));
  for (const [i, part] of parts.entries()) {
    const at = i * segment.sizeof;
    putEnd(list, at, "source", part.from);
    putEnd(list, at, "dest", part.to);
    segment.len.set(list, part.length, at);
    segment.status.set(list, 99, at);
  }
  const segments = await program.memory(list.byteLength);
  await program.poke(segments, new Uint8Array(list.buffer));
  const args = { count: parts.length, segments };
  const result = await device.asked(X.IOCTL_GNTDEV_GRANT_COPY, abi.ioctl_gntdev_grant_copy, args);
  const after = viewOf(await program.peek(segments, list.byteLength));
  return { result, status: parts.map((_, i) => segment.status.get(after, i * segment.sizeof)) };
}

/** Somewhere in grant 1, the ring of xenstore, where nothing of it is. */
const UNUSED = 3000;

requires(
  "xen-utils",
  "libxen-dev",
  "c-compiler",
)("dom0's device files", () => {
  beforeAll(async () => {
    host = await RealHost.start();
    await host.ok("xl", "create", host.config("g", "pvh", ["memory = 16"]));
    guest = await host.domid("g");
    program = new DeviceClient(host);
  });
  afterAll(async () => {
    await program?.end();
    await host?.stop();
  });

  held("/dev/xen/gntdev", gntdev);
  held("/dev/xen/privcmd", privcmd);
  held("/dev/xen/evtchn", evtchn);
  held("/dev/xen/gntalloc", gntalloc);

  test("a byte is cleared with its page, the event sent when nobody has the grants (gntdev_put_map)", async () => {
    const [near, nearPort, far, farPort] = await joined();
    const [one, other] = [await Opened.at("/dev/xen/gntdev"), await Opened.at("/dev/xen/gntdev")];
    const at = await grants(one, 1);
    await grants(other, 1);
    const [mine, theirs] = [(await one.map(1)) as number, (await other.map(1)) as number];
    await program.poke(mine + UNUSED, Uint8Array.of(7));
    expect(await notify(one, at + UNUSED, 3, nearPort)).toBe(0);
    expect(await program.peek(theirs + UNUSED, 1)).toEqual(Buffer.of(7));
    await program.unmap(mine, 1);
    // What is unmapped is said without waiting for an answer; what comes next is heard after it.
    expect(await ungrant(other, 4096, 1)).toBe("ENOENT");
    expect(await program.peek(theirs + UNUSED, 1)).toEqual(Buffer.of(0));
    expect(await hasEvent(far)).toBe(false);
    expect(await ungrant(one, at, 1)).toBe(0);
    expect(await hasEvent(far)).toBe(true);
    expect((await program.read(far.fd, 64)).bytes.readUInt32LE()).toBe(farPort);
    for (const { fd } of [near, far, one, other]) await program.close(fd);
    await program.unmap(theirs, 1);
  });

  test("copies are made sixteen at a time, none of those with one that is wrong (gntdev_grant_copy_seg)", async () => {
    const device = await Opened.at("/dev/xen/gntdev");
    const memory = await program.memory(8192);
    await program.poke(memory, Buffer.from("abcdefgh"));
    const put = (length: number, offset: number): Part => ({ from: memory, to: { ref: 1, offset }, length });
    const got: Part = { from: { ref: 1, offset: UNUSED }, to: memory + 4090, length: 12 };
    expect(await copied(device, put(8, UNUSED), got)).toEqual({ result: 0, status: [0, 0] });
    expect((await program.peek(memory + 4090, 8)).toString()).toBe("abcdefgh");
    await program.poke(memory, Buffer.from("ABCDEFGH"));
    expect(await copied(device, put(8, UNUSED), put(8, 4090))).toEqual({ result: "EINVAL", status: [0, 99] });
    expect(await copied(device, put(8, UNUSED), { ...got, to: 8 })).toEqual({
      result: "EFAULT",
      status: [0, 0],
    });
    expect(await copied(device, got, { ...got, from: { ref: 77 } })).toEqual({ result: 0, status: [0, -1] });
    expect((await program.peek(memory + 4090, 8)).toString()).toBe("abcdefgh");
    const many = Array.from({ length: 17 }, () => put(1, UNUSED));
    expect((await copied(device, ...many, put(1, 4096))).result).toBe("EINVAL");
    await copied(device, got);
    expect((await program.peek(memory + 4090, 8)).toString()).toBe("Abcdefgh");
    // Neither end granted: the kernel copies within the process.
    expect(await copied(device, { from: memory, to: memory + 4090, length: 8 })).toEqual({
      result: 0,
      status: [0],
    });
    expect((await program.peek(memory + 4090, 8)).toString()).toBe("ABCDEFGH");
    await program.close(device.fd);
  });

  test("a frame that is missing is there as soon as the domain has it, and missing as soon as it has not", async () => {
    const device = await Opened.at("/dev/xen/privcmd");
    const memory = await program.memory(64);
    const number = async (gfn: number): Promise<void> =>
      program.poke(memory, new Uint8Array(BigUint64Array.of(BigInt(gfn)).buffer));
    const tried = async (gfn: number): Promise<number> => {
      await number(gfn);
      const addr = (await device.map(1)) as number;
      await batch(device, { num: 1, dom: guest, addr, arr: memory, err: memory + 8 });
      await program.unmap(addr, 1);
      return (await program.peek(memory + 8, 4)).readInt32LE();
    };
    const moved = async (command: number, gfn: number): Promise<number | string> => {
      await number(gfn);
      const asked = { extent_start: memory, nr_extents: 1, domid: guest };
      const reservation = filled(abi.xen_memory_reservation, asked);
      await program.poke(memory + 16, new Uint8Array(reservation.buffer));
      const call = new BigUint64Array(abi.privcmd_hypercall.sizeof / 8);
      call.set([X.__HYPERVISOR_memory_op, command, memory + 16].map(BigInt));
      return device.ioctl(X.IOCTL_PRIVCMD_HYPERCALL, new Uint8Array(call.buffer));
    };
    const [from, to] = [20, 0x50_000];
    for (let gfn = to - 3; gfn < to + 3; gfn++) expect(await tried(gfn)).toBe(-22);
    expect(await tried(from)).toBe(0);
    expect(await tried(to)).toBe(-22);
    expect(await moved(X.XENMEM_decrease_reservation, from)).toBe(1);
    expect(await tried(from)).toBe(-22);
    expect(await tried(to)).toBe(-22);
    expect(await moved(X.XENMEM_populate_physmap, to)).toBe(1);
    expect(await tried(to)).toBe(0);
    expect(await tried(to + 1)).toBe(-22);
    expect(await restrict(device, NOBODY)).toBe(0);
    await number(to + 2);
    const addr = (await device.map(1)) as number;
    expect(await batch(device, { num: 1, dom: guest, addr, arr: memory, err: memory + 8 })).toBe("EPERM");
    await program.close(device.fd);
  });
});
