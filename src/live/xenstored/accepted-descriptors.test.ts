// SPDX-License-Identifier: Apache-2.0

import fc from "fast-check";
import { expect, test } from "vitest";
import { AcceptedDescriptors, type DescriptorTable } from "./accepted-descriptors.ts";

/** What has a descriptor: inodes of sockets are like no other's before. */
type Open = { readonly inode: number; readonly owner: string };

/** A process's descriptors, as POSIX has them: who opens one gets the lowest number that is free. */
class Table implements DescriptorTable {
  readonly open_ = new Map<number, Open>();
  /** Other threads, which have a moment before each call. */
  meanwhile: (() => void)[] = [];
  #inodes = 100;
  /** What was closed twice, or by who did not own it. */
  readonly wrong: string[] = [];

  add(owner: string, isSocket: boolean): number {
    let fd = 0;
    while (this.open_.has(fd)) fd++;
    this.open_.set(fd, { inode: isSocket ? ++this.#inodes : 0, owner });
    return fd;
  }

  closeOf(owner: string, fd: number): void {
    const found = this.open_.get(fd);
    if (found?.owner !== owner) this.wrong.push(`${owner} closed ${fd} of ${found?.owner ?? "nobody"}`);
    this.open_.delete(fd);
  }

  count(): number {
    this.meanwhile.shift()?.();
    return this.open_.size;
  }

  inode(fd: number): number | undefined {
    this.meanwhile.shift()?.();
    return this.open_.get(fd)?.inode;
  }

  open(): number {
    this.meanwhile.shift()?.();
    return this.add("filler", false);
  }

  close(fd: number): void {
    this.closeOf("filler", fd);
  }
}

function tableOf(...others: string[]): Table {
  const table = new Table();
  for (const owner of others) table.add(owner, owner.startsWith("socket"));
  return table;
}

test("the descriptor of an accepted socket is found", () => {
  const table = tableOf("file", "socket listens", "file", "socket of somebody");
  const descriptors = new AcceptedDescriptors(table);
  const clients = [1, 2, 3].map(() => [table.add("client", true), descriptors.accepted()]);
  expect(clients).toEqual([
    [4, 4],
    [5, 5],
    [6, 6],
  ]);
});

test("a number that was another socket's before is found, too", () => {
  const table = tableOf("file", "socket one", "socket two");
  const descriptors = new AcceptedDescriptors(table);
  table.closeOf("socket one", 1);
  expect([table.add("client", true), descriptors.accepted()]).toEqual([1, 1]);
});

test.each([
  ["somebody else has opened a socket since the last look", (table: Table) => table.add("socket x", true)],
  ["the system does not tell how many there are", (table: Table) => (table.count = () => 0)],
])("nothing is said where %s", (_, happens) => {
  const table = tableOf("file", "file");
  const descriptors = new AcceptedDescriptors(table);
  happens(table);
  table.add("client", true);
  expect(descriptors.accepted()).toBeNull();
});

test("after a look that said nothing the next one may", () => {
  const table = tableOf("file");
  const descriptors = new AcceptedDescriptors(table);
  table.add("socket x", true);
  table.add("client", true);
  expect(descriptors.accepted()).toBeNull();
  expect([table.add("client", true), descriptors.accepted()]).toEqual([3, 3]);
});

test("files that were opened are nothing, and what other threads close meanwhile is reckoned with", () => {
  const table = tableOf("file", ...Array.from({ length: 9 }, () => "thread"));
  const descriptors = new AcceptedDescriptors(table);
  table.add("file", false);
  expect([table.add("client", true), descriptors.accepted()]).toEqual([11, 11]);
  table.closeOf("thread", 1);
  expect(table.add("socket x", true)).toBe(1);
  table.add("client", true);
  table.meanwhile = [
    () => {
      for (const fd of [2, 3, 4, 5, 6, 7, 8, 9]) table.closeOf("thread", fd);
    },
  ];
  expect(descriptors.accepted()).toBeNull();
});

test("one that was given up is like any other", () => {
  const table = tableOf("file");
  const descriptors = new AcceptedDescriptors(table);
  const first = table.add("client", true);
  expect(descriptors.accepted()).toBe(first);
  descriptors.giveUp(first);
  expect([table.add("client", true), descriptors.accepted()]).toEqual([2, 2]);
});

/** Closes one that two sockets use, as Node would. */
function closePair(descriptors: AcceptedDescriptors, table: Table, fd: number, later: (() => void)[]): void {
  const second = (): void => {
    // Whoever has the number now loses it: it had better be the filler.
    table.closeOf("filler", fd);
  };
  descriptors.closeBoth(
    fd,
    () => table.closeOf("client", fd),
    second,
    (again) => later.push(again),
  );
}

test("the second socket waits as long as its number is somebody else's", () => {
  const table = tableOf("file", "file");
  const descriptors = new AcceptedDescriptors(table);
  const fd = table.add("client", true);
  expect(descriptors.accepted()).toBe(fd);
  const later: (() => void)[] = [];
  table.meanwhile.push(() => table.add("thread", false));
  closePair(descriptors, table, fd, later);
  expect(table.open_.get(fd)?.owner).toBe("thread");
  later.pop()?.();
  expect([table.open_.get(fd)?.owner, later.length]).toEqual(["thread", 1]);
  table.closeOf("thread", fd);
  later.pop()?.();
  expect([table.open_.has(fd), later.length, table.wrong]).toEqual([false, 0, []]);
});

test("where many are closed at once few numbers are taken for each", () => {
  const table = tableOf("file");
  const descriptors = new AcceptedDescriptors(table);
  const fds = Array.from({ length: 1000 }, () => [table.add("client", true), descriptors.accepted()][1]);
  let opened = 0;
  const { open } = table;
  table.open = function (this: Table) {
    opened++;
    return open.call(this);
  };
  for (const fd of fds) closePair(descriptors, table, fd as number, []);
  expect(opened).toBeLessThanOrEqual(2 * fds.length);
  expect(table.wrong).toEqual([]);
});

/** One thing that happens in the process. */
const happenings = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("accept" as const), closes: fc.nat(8), at: fc.nat(30) }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: "socket" as const }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("file" as const), at: fc.nat(5) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("close" as const), which: fc.nat(50) }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant("leave" as const), which: fc.nat(50), taken: fc.boolean() }),
    },
  ),
  { maxLength: 60 },
);

test("whatever else is opened and closed: the right one or none, and nobody loses a descriptor", () => {
  fc.assert(
    fc.property(happenings, (all) => {
      const table = tableOf("file", "socket", "file", "file", "socket");
      const descriptors = new AcceptedDescriptors(table);
      const clients: number[] = [];
      const later: (() => void)[] = [];
      const others = (): [number, Open][] =>
        [...table.open_].filter(([, { owner }]) => owner !== "client" && owner !== "filler");
      const closeOther = (which: number): void => {
        const found = others()[which % Math.max(1, others().length)];
        if (found !== undefined) table.closeOf(found[1].owner, found[0]);
      };
      for (const one of all) {
        if (one.kind === "socket") table.add("socket", true);
        else if (one.kind === "file") table.add("file", false);
        else if (one.kind === "close") closeOther(one.which);
        else if (one.kind === "accept") {
          const fd = table.add("client", true);
          // Other threads close and open files, at any moment of the look.
          const idle: (() => void)[] = Array.from({ length: one.at }, () => () => undefined);
          const closes = Array.from({ length: one.closes }, (_, i) => () => closeOther(i * 7 + one.at));
          table.meanwhile = [
            ...idle,
            ...closes.flatMap((close) => [close, () => void table.add("file", false)]),
          ];
          const found = descriptors.accepted();
          table.meanwhile = [];
          expect([fd, null]).toContain(found);
          if (found === null) table.open_.set(fd, { ...(table.open_.get(fd) as Open), owner: "socket" });
          else clients.push(fd);
        } else {
          const [fd] = clients.splice(one.which % Math.max(1, clients.length), 1);
          if (fd === undefined) continue;
          if (one.taken) table.meanwhile = [() => void table.add("file", false)];
          closePair(descriptors, table, fd, later);
          table.meanwhile = [];
        }
        for (const again of later.splice(0)) again();
        expect(table.wrong).toEqual([]);
      }
    }),
  );
});
