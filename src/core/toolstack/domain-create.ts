// SPDX-License-Identifier: Apache-2.0
//
// Creating a domain: an empty one is made, built, given its devices, and its
// console is waited for. Whatever fails, what was made is destroyed again
// (tools/libs/light/libxl_create.c, initiate_domain_create and what follows).

import { fail, isFailure } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { buildConfig } from "./build-config.ts";
import type { BuildConfig } from "./build-config.ts";
import type { Rings } from "./build-post.ts";
import { settleConfig } from "./config-defaults.ts";
import { consoleTtyWait } from "./console-wait.ts";
import { deviceConsoleAdd } from "./console.ts";
import { createStateCell, createState, settledConfig } from "./create-state.ts";
import { addDevices } from "./device-add.ts";
import type { NewDevice } from "./device-add.ts";
import { ownDomid } from "./device.ts";
import { diskSetDefault, newDisks } from "./disk.ts";
import { domainBuild } from "./domain-build.ts";
import { domainDestroyState } from "./domain-destroy.ts";
import { domainMake, makeConfig } from "./domain-make.ts";
import type { MakeConfig } from "./domain-make.ts";
import { domainRestore } from "./domain-restore.ts";
import type { Source } from "./domain-restore.ts";
import { complaining, libxlError } from "./log.ts";
import { newNic, nicSetDefault, nicSetDevids } from "./nic.ts";
import { ERROR_FAIL, ERROR_INVAL, rcOf } from "./rc.ts";
import { randomMac } from "./urandom.ts";
import { storeConfig } from "./userdata.ts";
import { updatedConfig } from "./userdata-config.ts";
import { xsRead, xsWrite } from "./xs.ts";
import { sameDomain, sameProcess } from "./same.ts";

/** Settles what the configuration leaves open. Fails with ERROR_INVAL, and says so, where it cannot be. */
function settle(host: Host, process: string): void | Failure {
  const state = host.edit(createStateCell, process);
  for (const disk of [...state.given.disks, ...state.settled.disks]) disk.colo_restore_enable = false;
  const settled = settleConfig(state.settled);
  if ("text" in settled) {
    libxlError(host, process, settled.where, settled.text);
    return fail(ERROR_INVAL);
  }
  state.settled = settled;
}

/** Settles what disks and interfaces leave open, the first that cannot be said so. */
function settleDevices(host: Host, process: string, domid: number): void | Failure {
  const config = host.edit(createStateCell, process).settled;
  for (const [index, disk] of config.disks.entries()) {
    const settled = diskSetDefault(host, process, disk);
    if (isFailure(settled)) {
      const text = `Unable to set disk defaults for disk ${index}`;
      libxlError(host, process, "libxl_create.c:1318:initiate_domain_create", text, domid);
      return settled;
    }
    config.disks[index] = settled;
  }
  const hvm = config.c_info.type === "hvm";
  config.nics = nicSetDevids(config.nics.map((nic) => nicSetDefault(nic, hvm, nic.mac ?? randomMac(host))));
}

/** Defaults, and whether the pool is one. */
const prepare = routine(
  "libxl__domain_config_setdefault",
  (a: { process: string }) => ({
    ...a,
    domid: 0,
    pool: null as string | null,
    config: null as MakeConfig | null,
  }),
  ({ call, step }) => [
    call(
      "pool's name",
      xsRead,
      ({ process }) => ({ process, path: "/local/pool/0/name" }),
      (l, pool) => void (l.pool = pool),
    ),
    step("set defaults", (host, l) => {
      if (l.pool === null) {
        const text = `Illegal pool specified: ${createState(host, l.process).given.c_info.pool_name ?? "(null)"}`;
        libxlError(host, l.process, "libxl_create.c:1132:libxl__domain_config_setdefault", text);
        return fail(ERROR_INVAL);
      }
      const failed = settle(host, l.process);
      if (isFailure(failed)) return failed;
      l.config = makeConfig(settledConfig(host, l.process));
      return;
    }),
  ],
  (l) => l.config as MakeConfig,
);

/** Says which device model a domain has or would have (store_libxl_entry). */
const storeEntry = routine(
  "store_libxl_entry",
  (a: { process: string; domid: number }) => ({ ...a }),
  ({ call }) => [
    call("dm-version", xsWrite, ({ process, domid }) => ({
      process,
      path: `/libxl/${domid}/dm-version`,
      value: "qemu_xen",
    })),
  ],
);

/** Gives a built domain its disks, its console, its interfaces, and waits for the console's terminal. */
const attach = routine(
  "domcreate_launch_dm",
  (a: { process: string; domid: number; rings: Rings }) => ({
    ...a,
    errno: "EIO" as Errno,
    disks: [] as NewDevice[],
    nics: [] as NewDevice[],
  }),
  (words) => {
    const { step, call, when } = words;
    const complain = complaining(words);
    return [
      step("which devices", (host, l) => {
        const { c_info, disks, nics } = settledConfig(host, l.process);
        const newOnes = newDisks(host, l.process, l.domid, disks, c_info.type === "pv");
        if (isFailure(newOnes)) return newOnes;
        l.disks = newOnes;
        l.nics = nics.map((nic) => newNic(l.domid, nic));
        return;
      }),
      complain({ where: "libxl_create.c:1673:domcreate_launch_dm", text: "unable to add disk devices" }, [
        when("has disks", (l) => l.disks.length > 0, [
          call("libxl__add_disks", addDevices, ({ process, disks }) => ({ process, devices: disks })),
        ]),
      ]),
      call("libxl__device_console_add", deviceConsoleAdd, ({ process, domid, rings }) => ({
        process,
        domid,
        ring: { port: rings.consolePort, mfn: rings.consoleMfn },
      })),
      call("libxl__need_xenpv_qemu", ownDomid, sameProcess),
      complain({ where: "libxl_create.c:1921:domcreate_attach_devices", text: "unable to add vif devices" }, [
        when("has interfaces", (l) => l.nics.length > 0, [
          call("libxl__add_nics", addDevices, ({ process, nics }) => ({ process, devices: nics })),
        ]),
      ]),
      call("console tty", consoleTtyWait, sameDomain),
    ];
  },
);

/** Makes a domain and everything it has; `domid` is set as soon as there is one. */
interface Creation {
  process: string;
  /** What the domain is built from if not from its configuration's kernel. */
  source: Source | null;
  /** The domain, once there is one; on a soft reset there is from the start. */
  domid: number;
  errno: Errno;
  failed: boolean;
  config: MakeConfig | null;
  build: BuildConfig | null;
  rings: Rings | null;
}

/**
 * Creates a domain from the process's create state: a new one, one that was
 * saved, or, where `domid` is given, that one anew around its memory. `domid` is
 * -1 where none was made. With `errno` set creation failed: what was made has
 * been destroyed, as far as it could be.
 */
export const domainCreate = routine(
  "do_domain_create",
  (a: { process: string; source: Source | null; domid?: number }): Creation => ({
    process: a.process,
    source: a.source,
    domid: a.domid ?? -1,
    errno: "EIO",
    failed: false,
    config: null,
    build: null,
    rings: null,
  }),
  (words) => {
    const { attempt, call, when, step, failWith } = words;
    const complain = complaining(words);
    return [
      attempt([
        call("defaults", prepare, sameProcess, (l, config) => void (l.config = config)),
        call(
          "libxl__domain_make",
          domainMake,
          ({ process, config, domid }) => ({
            process,
            config: config as MakeConfig,
            domid: domid < 0 ? null : domid,
          }),
          (l, { made, errno }) => {
            l.domid = made;
            l.failed = errno !== null;
            l.errno = errno ?? l.errno;
          },
        ),
        when("not made", (l) => l.failed, [
          complain(
            {
              where: "libxl_create.c:1296:initiate_domain_create",
              text: (l) => `cannot make domain: ${rcOf(l.errno)}`,
              as: ERROR_FAIL,
            },
            [failWith("make failed", (l) => l.errno)],
          ),
        ]),
        call("dm-version", storeEntry, sameDomain),
        step("device defaults", (host, l) => {
          const failed = settleDevices(host, l.process, l.domid);
          l.build = buildConfig(settledConfig(host, l.process));
          return failed;
        }),
        complain(
          {
            where: "libxl_create.c:1640:domcreate_rebuild_done",
            text: (l) => `cannot (re-)build domain: ${rcOf(l.errno)}`,
            as: ERROR_FAIL,
          },
          [
            when(
              "from what it was",
              (l) => l.source !== null,
              [
                call(
                  "libxl__domain_restore",
                  domainRestore,
                  ({ process, domid, build, source }) => ({
                    process,
                    domid,
                    build: build as BuildConfig,
                    source: source as Source,
                  }),
                  (l, rings) => void (l.rings = rings),
                ),
              ],
              [
                call(
                  "libxl__domain_build",
                  domainBuild,
                  ({ process, domid, build }) => ({ process, domid, build: build as BuildConfig }),
                  (l, rings) => void (l.rings = rings),
                ),
              ],
            ),
          ],
        ),
        call("dm-version again", storeEntry, sameDomain),
        call("attach devices", attach, ({ process, domid, rings }) => ({
          process,
          domid,
          rings: rings as Rings,
        })),
        step("libxl__set_domain_configuration", (host, l) => {
          const { given, settled } = createState(host, l.process);
          return storeConfig(host, l.process, l.domid, updatedConfig(given, settled));
        }),
      ]).onError(
        (l, errno) => {
          l.errno = errno;
          l.failed = true;
        },
        [
          when("a domain was made", (l) => l.domid > 0, [
            attempt([
              complain(
                {
                  where: "libxl_create.c:2051:domcreate_destruction_cb",
                  text: "unable to destroy domain following failed creation",
                },
                [call("destroy it", domainDestroyState, sameDomain)],
              ),
            ]).onError(() => {}, []),
            step("ERROR_FAIL", (_host, l) => void (l.errno = ERROR_FAIL)),
          ]),
        ],
      ),
    ];
  },
  ({ domid, failed, errno }) => ({ domid, errno: failed ? errno : null }),
);
