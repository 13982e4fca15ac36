// SPDX-License-Identifier: Apache-2.0
//
// Creating a domain: an empty one is made, built, given its devices, and its
// console is waited for. Whatever fails, what was made is destroyed again
// (tools/libs/light/libxl_create.c, initiate_domain_create and what follows).

import { isFailure, present } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { resolveBackends } from "./backend-domid.ts";
import { buildConfig } from "./build-config.ts";
import type { BuildConfig } from "./build-config.ts";
import type { Rings } from "./build-post.ts";
import { setDefaults } from "./config-setdefault.ts";
import { attachDevices } from "./create-devices.ts";
import { createStateCell, createState, settledConfig } from "./create-state.ts";
import { diskSetDefault } from "./disk.ts";
import { domainBuild } from "./domain-build.ts";
import { domainDestroyState } from "./domain-destroy.ts";
import { createFreshDomain, makeConfig, makeNodes } from "./domain-make.ts";
import type { MakeConfig } from "./domain-make.ts";
import { domainRestore } from "./domain-restore.ts";
import type { Source } from "./domain-restore.ts";
import { complaining, libxlDebug, libxlDetail, libxlError } from "./log.ts";
import type { Complaint } from "./log.ts";
import { nicSetDefault, nicSetDevids } from "./nic.ts";
import { ERROR_FAIL, rcOf } from "./rc.ts";
import { randomMac } from "./urandom.ts";
import { storeConfig } from "./userdata.ts";
import { updatedConfig } from "./userdata-config.ts";
import { xsWrite } from "./xs.ts";
import { sameDomain, sameProcess } from "./same.ts";

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

type Build = { process: string; domid: number; source: Source | null; build: BuildConfig };

const restoreArgs = ({ process, domid, build, source }: Build): Build & { source: Source } => ({
  process,
  domid,
  build,
  source: source as Source,
});

const buildArgs = ({ process, domid, build }: Build): Omit<Build, "source"> => ({ process, domid, build });

/** Builds a domain: from its configuration's kernel, or from what it was. */
const build = routine(
  "domcreate_bootloader_done",
  (a: Build) => ({
    ...a,
    rings: null as Rings | null,
  }),
  ({ when, call }) => [
    when(
      "from what it was",
      (l) => l.source !== null,
      [call("libxl__domain_restore", domainRestore, restoreArgs, (l, rings) => void (l.rings = rings))],
      [call("libxl__domain_build", domainBuild, buildArgs, (l, rings) => void (l.rings = rings))],
    ),
  ],
  (l) => present(l.rings),
);

/** Destroys a domain whose creation failed; that this may fail, too, is only said. */
const unwind = routine(
  "domcreate_destruction_cb",
  (a: { process: string; domid: number }) => ({ ...a, errno: "EIO" as Errno }),
  (words) => [
    words
      .attempt([
        complaining(words)(
          {
            where: "libxl_create.c:2051:domcreate_destruction_cb",
            text: "unable to destroy domain following failed creation",
          },
          [words.call("libxl__domain_destroy", domainDestroyState, sameDomain)],
        ),
      ])
      .onError(() => {}, []),
  ],
);

/** The creation of a domain so far. */
interface Creation {
  process: string;
  /** What the domain is built from if not from its configuration's kernel. */
  source: Source | null;
  /** -1 before there is a domain. */
  domid: number;
  config: MakeConfig | null;
  build: BuildConfig | null;
  rings: Rings | null;
  /** Why it failed, if it did. */
  failure: Errno | null;
  errno: Errno;
}

// What the parts of a creation are called with.
const createArgs = (l: Creation): { process: string; create: MakeConfig["create"] } => ({
  process: l.process,
  create: (l.config as MakeConfig).create,
});
const makeArgs = (l: Creation): { process: string; domid: number; config: MakeConfig } => ({
  process: l.process,
  domid: l.domid,
  config: l.config as MakeConfig,
});
const rebuildArgs = (l: Creation): Build => ({
  process: l.process,
  domid: l.domid,
  source: l.source,
  build: l.build as BuildConfig,
});
const attachArgs = (l: Creation): { process: string; domid: number; rings: Rings; tty: string } => ({
  process: l.process,
  domid: l.domid,
  rings: present(l.rings),
  tty: l.source !== null && "tty" in l.source ? l.source.tty : "",
});

/** What is said of the bootloader, which nobody configures here. */
function sayBootloader(host: Host, { process, domid, source, build }: Creation): void {
  if (source !== null) {
    const text = "restoring, not running bootloader";
    libxlDebug(host, process, "libxl_create.c:1339:initiate_domain_create", text, domid);
    return;
  }
  libxlDebug(host, process, "libxl_create.c:1342:initiate_domain_create", "running bootloader", domid);
  if (build?.type === "hvm") return;
  const text = "no bootloader configured, using user supplied kernel";
  libxlDebug(host, process, "libxl_bootloader.c:417:libxl__bootloader_run", text, domid);
}

const cannotMake: Complaint<Creation> = {
  where: "libxl_create.c:1296:initiate_domain_create",
  text: (l) => `cannot make domain: ${rcOf(l.errno)}`,
  as: ERROR_FAIL,
};

const cannotBuild: Complaint<Creation> = {
  where: "libxl_create.c:1640:domcreate_rebuild_done",
  text: (l) => `cannot (re-)build domain: ${rcOf(l.errno)}`,
  as: ERROR_FAIL,
};

/**
 * Creates a domain from the process's create state: a new one, one that was
 * saved, or, where `domid` is given, that one anew around its memory. `domid` is
 * -1 where none was made. With `errno` set creation failed: what was made has
 * been destroyed, as far as it could be.
 */
export const domainCreate = routine(
  "initiate_domain_create",
  (a: { process: string; source: Source | null; domid?: number }): Creation => ({
    process: a.process,
    source: a.source,
    domid: a.domid ?? -1,
    config: null,
    build: null,
    rings: null,
    failure: null,
    errno: "EIO",
  }),
  (words) => {
    const { attempt, call, when, step } = words;
    const complain = complaining(words);
    return [
      attempt([
        call("libxl__domain_config_setdefault", setDefaults, sameProcess),
        step("what to make", (host, l) => {
          l.config = makeConfig(settledConfig(host, l.process));
          libxlDetail(host, l.process, "libxl_create.c:662:libxl__domain_make", "passthrough: disabled");
        }),
        complain(cannotMake, [
          when("a new one", (l) => l.domid < 0, [
            call("xc_domain_create", createFreshDomain, createArgs, (l, domid) => void (l.domid = domid)),
          ]),
          call("libxl__domain_make", makeNodes, makeArgs),
        ]),
        call("dm-version", storeEntry, sameDomain),
        call("libxl__resolve_domid", resolveBackends, sameDomain),
        step("device defaults", (host, l) => {
          const failed = settleDevices(host, l.process, l.domid);
          l.build = buildConfig(settledConfig(host, l.process));
          if (!isFailure(failed)) sayBootloader(host, l);
          return failed;
        }),
        complain(cannotBuild, [
          call("domcreate_bootloader_done", build, rebuildArgs, (l, rings) => void (l.rings = rings)),
        ]),
        call("dm-version again", storeEntry, sameDomain),
        call("domcreate_launch_dm", attachDevices, attachArgs),
        step("libxl__set_domain_configuration", (host, l) => {
          const { given, settled } = createState(host, l.process);
          return storeConfig(host, l.process, l.domid, updatedConfig(given, settled));
        }),
      ]).onError(
        (l, errno) => void (l.failure = errno),
        [
          when("there is a domain", (l) => l.domid > 0, [
            call("libxl__domain_destroy", unwind, sameDomain),
            step("ERROR_FAIL", (_host, l) => void (l.failure = ERROR_FAIL)),
          ]),
        ],
      ),
    ];
  },
  ({ domid, failure }) => ({ domid, errno: failure }),
);
