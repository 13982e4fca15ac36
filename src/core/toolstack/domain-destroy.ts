// SPDX-License-Identifier: Apache-2.0
//
// Destroying a domain from dom0's side: pause it, take its devices away, forget
// it in xenstore, and only then, in a process of its own, ask Xen to kill it
// (tools/libs/light/libxl_domain.c, libxl_domain_destroy).

import { must } from "../engine/cells.ts";
import { errnoNumber, errnoOf, fail, isFailure, present } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { destroydomain, pausedomain, softReset, unpausedomain } from "../hypervisor/domctl.ts";
import { devicesDestroy } from "./devices-destroy.ts";
import { dmActive } from "./dm-check.ts";
import { domainInfo, domainType, stubdomId } from "./dominfo.ts";
import { markDomidRecent } from "./domid-history.ts";
import { dom0 } from "./libxl-ctx.ts";
import { complaining, libxlDebug, libxlError, reported } from "./log.ts";
import { exitProcess, hasExited, processCell, reap, spawnProcess } from "../daemons/process.ts";
import { ERROR_DOMAIN_NOTFOUND } from "./rc.ts";
import { strerror } from "./strerror.ts";
import { userdataDestroyAll } from "./userdata.ts";
import { rmRequest, xsGetDomainPath, xsRead, xsRm, xsScript } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** A domain and the process that acts on it, with room for the failure under way. */
const ofDomain = (a: {
  process: string;
  domid: number;
}): { process: string; domid: number; errno: Errno } => ({
  ...a,
  errno: "EIO",
});

/** A domain to destroy; on a soft reset Xen only resets it, with its memory and its domid. */
type OneDomain = { process: string; domid: number; reset: boolean };

const orFailure = (result: 0 | Failure): void | Failure => (isFailure(result) ? result : undefined);

const pciDevices = routine(
  "libxl__device_pci_destroy_all",
  (a: { process: string; domid: number }) => ({ ...a, home: "" }),
  ({ call }) => [
    call(
      "libxl__xs_get_dompath",
      xsGetDomainPath,
      ({ process }) => ({ process, domid: 0 }),
      (l, home) => {
        l.home = home;
      },
    ),
    // Passed-through devices are not modelled: no node, no device.
    call("num_devs", xsRead, ({ process, home, domid }) => ({
      process,
      path: `${home}/backend/pci/${domid}/0/num_devs`,
    })),
  ],
);

/** Looks for a device model, and for the domain that this one would be the stub domain of (libxl_is_stubdom). */
const deviceModel = routine(
  "destroy_domid_pci_done",
  (a: { process: string; domid: number }) => ({ ...a, home: "" }),
  ({ call }) => [
    call("libxl__dm_active", dmActive, sameDomain),
    call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
      l.home = home;
    }),
    call("target", xsRead, ({ process, home }) => ({ process, path: `${home}/target` })),
  ],
);

/** Removes what xenstore knows of a domain beside its devices. */
const forgetInXenstore = routine(
  "devices_destroy_cb",
  (a: { process: string; domid: number }) => ({ ...ofDomain(a), home: "", vm: null as string | null }),
  (words) => {
    const { call, when, attempt } = words;
    const complain = complaining(words);
    return [
      call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
        l.home = home;
      }),
      call(
        "vm path",
        xsRead,
        ({ process, home }) => ({ process, path: `${home}/vm` }),
        (l, vm) => void (l.vm = vm),
      ),
      when("has a vm path", (l) => l.vm !== null, [
        attempt([
          complain(
            {
              where: "libxl_domain.c:1535:devices_destroy_cb",
              text: (l) => `xs_rm failed for ${l.vm}: ${strerror(l.errno)}`,
            },
            [call("rm vm", xsRm, ({ process, vm }) => ({ process, path: present(vm) }))],
          ),
        ]).onError(() => {}, []),
      ]),
      attempt([
        complain(
          {
            where: "libxl_domain.c:1538:devices_destroy_cb",
            text: (l) => `xs_rm failed for ${l.home}: ${strerror(l.errno)}`,
          },
          [call("rm home", xsRm, ({ process, home }) => ({ process, path: home }))],
        ),
      ]).onError(() => {}, []),
      call("rm libxl and hvmloader", xsScript, ({ process, domid }) => ({
        process,
        requests: [rmRequest(`/libxl/${domid}`), rmRequest(`/local/domain/${domid}/hvmloader`)],
      })),
    ];
  },
);

/** Resets a domain in place, with both of its ends paused (the child's other branch). */
const resetDomain = routine(
  "xc_domain_soft_reset",
  (a: { process: string; domid: number }) => ({ ...a }),
  ({ step, call }) => [
    step("pausedomain", (host, l) => orFailure(pausedomain(host, dom0(l.process), l.domid))),
    call("soft_reset", softReset, ({ process, domid }) => ({ caller: dom0(process), domid })),
    step("unpausedomain", (host, l) => orFailure(unpausedomain(host, dom0(l.process), l.domid))),
  ],
);

/** The forked child: its exit status is the error number. */
const destroyer = routine(
  "xc_domain_destroy child",
  (a: { process: string; domid: number; reset: boolean }) => ({ ...a, errno: null as Errno | null }),
  ({ attempt, when, step, call }) => [
    attempt([
      when(
        "only reset",
        (l) => l.reset,
        [call("soft reset", resetDomain, sameDomain)],
        [
          step("libxl__mark_domid_recent", (host, l) => markDomidRecent(host, l.domid)),
          call("destroydomain", destroydomain, ({ process, domid }) => ({ caller: dom0(process), domid })),
        ],
      ),
    ]).onError((l, errno) => void (l.errno = errno), []),
    step("_exit", (host, l) => exitProcess(host, l.process, l.errno === null ? 0 : errnoNumber(l.errno))),
  ],
);

/** Forks a child that asks Xen to destroy the domain, and waits for it. */
const destroyInChild = routine(
  "domain_destroy_domid_cb",
  (a: OneDomain) => ({ ...a, child: "" }),
  ({ step, waitFor }) => [
    step("fork", (host, l) => {
      l.child = `${l.process}/destroy-${l.domid}`;
      spawnProcess(host, l.child, ["xl"], destroyer, { domid: l.domid, reset: l.reset }, { awaited: true });
      const text = `Forked pid ${must(host, processCell, l.child).pid} for destroy of domain`;
      libxlDebug(host, l.process, "libxl_domain.c:1597:devices_destroy_cb", text, l.domid);
    }),
    waitFor("SIGCHLD", (host, l) => hasExited(host, l.child)),
    step("waitpid", (host, l) => {
      const status = reap(host, l.child);
      if (status === 0) return undefined;
      const where = "libxl_domain.c:1616:domain_destroy_domid_cb";
      return reported(host, l.process, where, "xc_domain_destroy failed", fail(errnoOf(status)), l.domid);
    }),
  ],
);

/** Destroys one domain (libxl__destroy_domid). */
const destroyDomid = routine(
  "libxl__destroy_domid",
  (a: OneDomain) => ({ ...ofDomain(a), reset: a.reset }),
  (words) => {
    const { step, call, attempt } = words;
    const complain = complaining(words);
    return [
      step("libxl_domain_info", (host, l) => {
        const info = domainInfo(host, l.process, l.domid);
        if (isFailure(info) && info.errno === ERROR_DOMAIN_NOTFOUND) {
          libxlError(
            host,
            l.process,
            "libxl_domain.c:1183:libxl__destroy_domid",
            "Non-existant domain",
            l.domid,
          );
        }
        return isFailure(info) ? info : undefined;
      }),
      call("PCI devices", pciDevices, sameDomain),
      step("xc_domain_pause", (host, l) => {
        const paused = pausedomain(host, dom0(l.process), l.domid);
        if (isFailure(paused))
          reported(
            host,
            l.process,
            "libxl_domain.c:1219:destroy_domid_pci_done",
            "xc_domain_pause failed",
            paused,
            l.domid,
          );
      }),
      call("domain type", domainType, sameDomain),
      call("device model", deviceModel, sameDomain),
      attempt([
        complain({ where: "libxl_domain.c:1530:devices_destroy_cb", text: "libxl__devices_destroy failed" }, [
          call("devices", devicesDestroy, sameDomain),
        ]),
      ]).onError(() => {}, []),
      call("forget in xenstore", forgetInXenstore, sameDomain),
      step("forget in files", (host, l) => userdataDestroyAll(host, l.process, l.domid)),
      call("destroy", destroyInChild, ({ process, domid, reset }) => ({ process, domid, reset })),
    ];
  },
);

/**
 * Destroys a domain, with the stub domain that serves it (libxl__domain_destroy).
 * Fails with ERROR_DOMAIN_NOTFOUND where there is none. When this returns the
 * domain is dead; whether it is gone is another matter.
 */
export const domainDestroyState = routine(
  "libxl__domain_destroy",
  (a: { process: string; domid: number; reset?: boolean }) => ({
    ...ofDomain(a),
    reset: a.reset ?? false,
    stubdom: 0,
  }),
  (words) => [
    words.call("stub domain", stubdomId, sameDomain, (l, domid) => void (l.stubdom = domid)),
    words.when("has a stub domain", (l) => l.stubdom !== 0, [
      words.call("destroy it", destroyDomid, ({ process, stubdom }) => ({
        process,
        domid: stubdom,
        reset: false,
      })),
    ]),
    complaining(words)(
      { where: "libxl_domain.c:1137:domain_destroy_callback", text: "Unable to destroy guest" },
      [words.call("destroy", destroyDomid, ({ process, domid, reset }) => ({ process, domid, reset }))],
    ),
  ],
);

/** `libxl_domain_destroy`: what xl calls. */
export const domainDestroy = routine("libxl_domain_destroy", ofDomain, (words) => [
  complaining(words)(
    { where: "libxl_domain.c:1064:domain_destroy_cb", text: "Destruction of domain failed" },
    [words.call("destroy", domainDestroyState, sameDomain)],
  ),
]);
