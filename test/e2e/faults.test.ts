// SPDX-License-Identifier: Apache-2.0
//
// Things go wrong on a live host because somebody wants them to: what an
// operator sees then, and what helps.

import * as fs from "node:fs";
import * as path from "node:path";
import { expect, test } from "vitest";
import { folder, liveHost, xenolith } from "./xenolith.ts";

const GUEST = `name = "one"
type = "pv"
memory = 32
extra = "dev=1 ping=1"
vif = [ "bridge=xenbr0" ]
disk = [ "phy:/dev/vg0/web,xvda,w" ]
`;

type Counters = { [name in `tx_zerocopy_${"sent" | "success" | "fail"}`]: number };

function hostWithGuest(): { dir: string; ask: (...args: string[]) => ReturnType<typeof xenolith> } {
  const dir = liveHost("--xenwatch", "per-domain");
  const config = path.join(folder(), "one.cfg");
  fs.writeFileSync(config, GUEST);
  const ask = (command = "", ...args: string[]): ReturnType<typeof xenolith> =>
    xenolith([command, "--dir", dir, ...args]);
  expect(ask("xl", "create", config).code).toBe(0);
  return { dir, ask };
}

/** Asks again until it is so. */
async function until(so: () => boolean): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (so()) return;
    await new Promise((resolve) => void setTimeout(resolve, 100));
  }
  throw new Error("never so");
}

test("a packet is held, shows in the counters, and is freed when the card is reset", async () => {
  const { ask } = hostWithGuest();
  const counters = (): Counters => JSON.parse(ask("ethtool", "vif1.0", "--json").out) as Counters;
  await until(() => counters().tx_zerocopy_success > 0);
  expect(ask("fault", "inject", "hold-packet", "vif1.0")).toMatchObject({
    code: 0,
    out: "injected hold-packet vif1.0\n",
  });
  await until(() => counters().tx_zerocopy_sent > counters().tx_zerocopy_success);
  expect(ask("ethtool", "vif1.0").out).toMatch(
    /^NIC statistics:\n {5}rx_gso_checksum_fixup: 0\n {5}tx_zerocopy_sent: /,
  );
  expect(ask("ps", "vif1.0-q0-dealloc").out).toContain("xenvif_dealloc_kthread: wait_event dealloc_wq");
  expect(ask("stack", "xen-mtwatch-1")).toMatchObject({
    code: 0,
    out: "[<0>] xenwatch_thread (wait_event watch_events_waitq)\n[<0>] kthread (threadfn)\n",
  });
  expect(JSON.parse(ask("fault", "list", "--json").out)).toMatchObject({
    injected: [{ name: "hold-packet", words: ["vif1.0"] }],
  });
  expect(ask("ifconfig", "eth0", "down").out).toBe("eth0        down  card on xenbr0, reset 1 time\n");
  await until(() => counters().tx_zerocopy_fail > 0);
  expect(ask("ifconfig", "eth0", "up").out).toBe("eth0        up    card on xenbr0, reset 1 time\n");
  expect(ask("fault", "clear").out).toBe("cleared hold-packet vif1.0\n");
  expect(ask("fault", "clear").out).toBe("none was injected\n");
  // A process that is stopped shows it, and goes on when the fault is cleared.
  expect(ask("fault", "inject", "stop-process", "xenconsoled").code).toBe(0);
  expect(ask("ps", "--state", "T").out).toMatch(/^T {5}xenconsoled {2}/m);
  expect(ask("fault", "clear", "stop-process").out).toBe("cleared stop-process xenconsoled for ever\n");
  expect(ask("ps", "--state", "T").out).not.toContain("xenconsoled");

  // What cannot be says why, and what to type.
  const refused: [args: string[], code: number, says: RegExp][] = [
    [
      ["fault", "inject", "no-such"],
      1,
      /there is no fault no-such; there are: .*hold-packet.*\nTry: .*fault list/s,
    ],
    [["fault", "inject", "hold-packet", "vif7.0"], 1, /dom0 has no interface vif7\.0/],
    [["fault", "inject", "hold-packet"], 1, /expected hold-packet VIF, as in: hold-packet vif1\.0/],
    [["fault", "inject", "hold-bio", "/dev/none"], 1, /dom0 has no block device \/dev\/none/],
    [
      ["fault", "inject", "fail-script", "/etc/xen/scripts/block", "0"],
      1,
      /0 is not an exit status of 1 to 255/,
    ],
    [["fault", "inject", "slow-script", "/none"], 1, /dom0 has no hotplug script \/none; it has/],
    [["fault", "inject", "kill-process", "xl.77"], 1, /dom0 has no process xl\.77/],
    [["fault", "inject", "kill-process", "xenconsoled"], 1, /stop-process stops it/],
    [["fault", "inject", "stop-process", "xenconsoled", "soon"], 1, /soon is not a number of seconds/],
    [["fault", "clear", "hold-packet", "vif1.0"], 1, /hold-packet vif1\.0 is not injected/],
    [["fault", "inject"], 2, /which fault\?/],
    [["fault", "break"], 2, /list, inject or clear, not break/],
    [["stack", "dom9/xenwatch"], 1, /no thread dom9\/xenwatch: it has ended, or never was\nTry: .*ps --dir/],
    [["ps", "nobody"], 1, /no thread nobody/],
    [["ethtool", "vif9.0"], 1, /no interface vif9\.0/],
    [["ifconfig", "eth9", "down"], 1, /eth9: error fetching interface information: Device not found/],
    [["ifconfig", "vif1.0", "down"], 1, /vif1\.0 is no network card/],
    [["ifconfig", "eth0"], 2, /eth0 is to be taken up or down/],
  ];
  for (const [args, code, says] of refused) {
    const ended = ask(...args);
    expect(ended, args.join(" ")).toMatchObject({ code, err: expect.stringMatching(says) });
  }
});
