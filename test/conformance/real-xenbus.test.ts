// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/xenbus, by which processes reach xenstore through dom0's kernel: what that
// answers itself, and what it keeps for them. Rows name the functions of Linux 6.1
// (drivers/xen/xenbus/xenbus_dev_frontend.c).

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { xenbusFileCell } from "../../src/core/xenbus/dev-file.ts";
import { encode, XS } from "../../src/core/xenstore/wire.ts";
import { requires } from "../capabilities.ts";
import { DeviceClient } from "./device-client.ts";
import { RealHost, until } from "./real-host.ts";

const O_NONBLOCK = 0o4002;

let host: RealHost;
let program: DeviceClient;
/** The open device of a test. */
let fd = 0;

/** A reply or an event: type, request, transaction, text. */
type Message = readonly [type: number, reqId: number, txId: number, text: string];

/** Writes a message; what write(2) gives. */
function write(type: number, body: string, { req = 7, tx = 0, to = fd } = {}): Promise<number | string> {
  return program.write(to, encode(type, req, tx, body));
}

/** The next message that can be read. */
async function next(from = fd): Promise<Message> {
  const { bytes } = await program.read(from, 16);
  const [type = 0, req = 0, tx = 0, length = 0] = [0, 4, 8, 12].map((at) => bytes.readUInt32LE(at));
  // A read of nothing waits for more.
  const text = length === 0 ? "" : (await program.read(from, length)).bytes.toString("latin1");
  return [type, req, tx, text];
}

/** Asks, and reads the answer. */
async function ask(
  type: number,
  body: string,
  options: { req?: number; tx?: number } = {},
): Promise<Message> {
  expect(await write(type, body, options)).toBe(16 + body.length);
  return next();
}

async function transaction(): Promise<number> {
  const [, , , text] = await ask(XS.TRANSACTION_START, "\0");
  return Number.parseInt(text, 10);
}

requires(
  "xen-utils",
  "xenstore-utils",
  "libxen-dev",
  "c-compiler",
  "pyxs",
)("/dev/xen/xenbus", () => {
  beforeAll(async () => {
    host = await RealHost.start();
    program = new DeviceClient(host);
    await host.ok("xenstore-write", "/data", "x", "/data/a", "1");
  });
  afterAll(async () => {
    await program?.end();
    await host?.stop();
  });
  beforeEach(async () => {
    fd = await program.open("/dev/xen/xenbus");
  });
  afterEach(() => program.close(fd));

  test("a request is answered under the number it was given", async () => {
    expect(await ask(XS.READ, "/data/a\0", { req: 99 })).toEqual([XS.READ, 99, 0, "1"]);
    expect(await ask(XS.READ, "/data/none\0")).toEqual([XS.ERROR, 7, 0, "ENOENT\0"]);
  });

  test("parts of a message are put together, and relative paths are dom0's (xenbus_file_write)", async () => {
    const message = encode(XS.READ, 1, 0, "domid\0");
    for (const at of [0, 5, 15, 18])
      expect(await program.write(fd, message.subarray(at, { 0: 5, 5: 15, 15: 18, 18: 22 }[at]))).toBe(
        { 0: 5, 5: 10, 15: 3, 18: 4 }[at],
      );
    expect(await next()).toEqual([XS.READ, 1, 0, "0"]);
  });

  test("what follows a message in one write is lost (xenbus_file_write)", async () => {
    const both = Buffer.concat([encode(XS.READ, 1, 0, "/data/a\0"), encode(XS.READ, 2, 0, "/data\0")]);
    expect(await program.write(fd, both)).toBe(both.length);
    expect(await next()).toEqual([XS.READ, 1, 0, "1"]);
    expect(await ask(XS.READ, "/data\0", { req: 3 })).toEqual([XS.READ, 3, 0, "x"]);
  });

  test.each([
    ["more than a message can have", new Uint8Array(4097), "EINVAL"],
    ["a header that asks for more", encode(XS.READ, 1, 0, "").fill(0xff, 12), "E2BIG"],
    [
      "a header that asks for 4081 bytes",
      Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf1, 0x0f, 0, 0),
      "E2BIG",
    ],
    ["a header that asks for 4080", Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0x0f, 0, 0), 16],
  ])("%s (xenbus_file_write)", async (_what, bytes, result) => {
    expect(await program.write(fd, bytes)).toBe(result);
    if (typeof result === "string") expect(await ask(XS.READ, "/data/a\0")).toEqual([XS.READ, 7, 0, "1"]);
  });

  test("a write beyond what there is room for takes what was there with it (xenbus_file_write)", async () => {
    expect(await program.write(fd, encode(XS.READ, 1, 0, "/data/a\0").subarray(0, 10))).toBe(10);
    expect(await program.write(fd, new Uint8Array(4090))).toBe("EINVAL");
    expect(await ask(XS.READ, "/data/a\0")).toEqual([XS.READ, 7, 0, "1"]);
  });

  test.each<[string, number, string, number, Message]>([
    ["a watch without a token", XS.WATCH, "/data\0", 0, [XS.ERROR, 7, 0, "EINVAL\0"]],
    ["a watch whose token does not end", XS.WATCH, "/data\0t", 0, [XS.ERROR, 7, 0, "EINVAL\0"]],
    ["taking back what it does not watch", XS.UNWATCH, "/data\0t\0", 0, [XS.UNWATCH, 7, 0, "OK\0"]],
    ["a transaction that is not its own", XS.READ, "/data\0", 4711, [XS.ERROR, 7, 4711, "ENOENT\0"]],
    ["the end of one", XS.TRANSACTION_END, "T\0", 4711, [XS.ERROR, 7, 4711, "ENOENT\0"]],
    ["an end that does not say how", XS.TRANSACTION_END, "X\0", 0, [XS.ERROR, 7, 0, "EINVAL\0"]],
    ["a type that is none, which xenstored answers", 77, "\0", 0, [XS.ERROR, 7, 0, "ENOSYS\0"]],
  ])("%s (xenbus_write_watch, xenbus_write_transaction)", async (_what, type, body, tx, reply) => {
    expect(await ask(type, body, { tx })).toEqual(reply);
  });

  test("a watch that xenstored refuses is an error of the write (register_xenbus_watch)", async () => {
    expect(await write(XS.WATCH, "//\0t\0")).toBe("EINVAL");
    expect(await ask(XS.READ, "/data/a\0")).toEqual([XS.READ, 7, 0, "1"]);
  });

  test("a transaction ends once (xenbus_get_transaction)", async () => {
    const tx = await transaction();
    expect(await ask(XS.WRITE, "/data/t\0new", { tx })).toEqual([XS.WRITE, 7, tx, "OK\0"]);
    expect(await ask(XS.TRANSACTION_END, "T\0", { tx })).toEqual([XS.TRANSACTION_END, 7, tx, "OK\0"]);
    expect(await ask(XS.TRANSACTION_END, "T\0", { tx })).toEqual([XS.ERROR, 7, tx, "ENOENT\0"]);
    expect(await host.ok("xenstore-read", "/data/t")).toBe("new\n");
  });

  test("watches have the process's tokens, one event each, twice where set twice (watch_fired)", async () => {
    for (const token of ["mine", "mine"]) {
      expect(await write(XS.WATCH, `/data/w\0${token}\0`)).toBe(16 + 13);
      const got = [await next(), await next()].toSorted(([a], [b]) => a - b);
      expect(got).toEqual([
        [XS.WATCH, 7, 0, "OK\0"],
        [XS.WATCH_EVENT, 0, 0, "/data/w\0mine\0"],
      ]);
    }
    await host.ok("xenstore-write", "/data/w/below", "1");
    for (let i = 0; i < 2; i++) expect(await next()).toEqual([XS.WATCH_EVENT, 0, 0, "/data/w/below\0mine\0"]);
    expect(await ask(XS.UNWATCH, "/data/w\0mine\0")).toEqual([XS.UNWATCH, 7, 0, "OK\0"]);
    await host.ok("xenstore-write", "/data/w/below", "2");
    expect(await next()).toEqual([XS.WATCH_EVENT, 0, 0, "/data/w/below\0mine\0"]);
  });

  test("nothing to read is EAGAIN, and no POLLIN (xenbus_file_read, xenbus_file_poll)", async () => {
    const other = await program.open("/proc/xen/xenbus", O_NONBLOCK);
    expect((await program.read(other, 16)).result).toBe("EAGAIN");
    expect(((await program.poll(other)) as number) & 1).toBe(0);
    await write(XS.READ, "/data/a\0", { to: other });
    expect(((await program.poll(other, 1000)) as number) & 1).toBe(1);
    expect(await next(other)).toEqual([XS.READ, 7, 0, "1"]);
    await program.close(other);
  });

  test("a file that is closed takes its transactions and watches with it (xenbus_worker)", async () => {
    const other = await program.open("/dev/xen/xenbus");
    const here = fd;
    fd = other;
    const tx = await transaction();
    await ask(XS.WRITE, "/data/never\0x", { tx });
    await write(XS.WATCH, "/data\0gone\0");
    await write(XS.READ, "/data/a\0"); // and its answer, which nobody reads
    fd = here;
    await program.close(other);
    await until("the file is gone", () => host.live.world.count(xenbusFileCell) === 1);
    expect((await host.run("xenstore-exists", "/data/never")).code).toBe(1);
    expect(await ask(XS.READ, "/data/a\0")).toEqual([XS.READ, 7, 0, "1"]);
    expect(host.warnings).toEqual([]);
  });

  test("pyxs finds xenstore through it: a transaction", async () => {
    const script = `
import pyxs
with pyxs.Client(xen_bus_path="/dev/xen/xenbus") as c:
    c.write(b"/data/py", b"1")
    c.transaction()
    c.write(b"/data/py", b"2")
    c.commit()
    print(c.read(b"/data/py"), c.list(b"/local/domain"))
`;
    expect(await host.ok("/usr/bin/python3", "-c", script)).toBe("b'2' [b'0']\n");
  });

  test("Xen's own programs find it where there is no daemon's socket", async () => {
    const plain = ["env", "XENSTORED_PATH=/dev/xen/xenbus"] as const;
    expect(await host.ok(...plain, "xenstore-read", "/data/a")).toBe("1\n");
    expect(await host.ok(...plain, "xenstore-list", "/local/domain")).toBe("0\n");
    expect(await host.ok(...plain, "xenstore-watch", "-n", "1", "/data/a")).toBe("/data/a\n");
  });
});
