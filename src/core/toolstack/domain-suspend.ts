// SPDX-License-Identifier: Apache-2.0
//
// Suspending a domain and writing it down, and letting a suspended one go on
// (tools/libs/light/libxl_dom_suspend.c, libxl_dom_save.c; tools/libs/guest/
// xg_resume.c). The guest is asked to suspend itself and has a minute for each
// of two things: to acknowledge, and to do it.

import { errnoOf, fail, isFailure, present } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { xsClose, xsEventPending, xsOpen, xsTakeEvent } from "../daemons/xs-client.ts";
import { getvcpucontext, setvcpucontext } from "../hypervisor/domctl-vcpu.ts";
import { resumedomain } from "../hypervisor/domctl.ts";
import { domainInfo, domainType } from "./dominfo.ts";
import { dom0 } from "./libxl-ctx.ts";
import { complaining, libxlDebug, libxlError, reported, xcError } from "./log.ts";
import { pvControl } from "./pv-control.ts";
import { ERROR_FAIL, ERROR_GUEST_TIMEDOUT, ERROR_TIMEDOUT } from "./rc.ts";
import { answerSuspend, helperWaits, reapHelper, startHelper, wantsSuspend } from "./save-helper.ts";
import type { SavedImage } from "./save-image.ts";
import { strerror } from "./strerror.ts";
import { transaction } from "./transaction.ts";
import { xsRead, xsResumeDomain, xsUnwatch, xsWatch, xsWrite } from "./xs.ts";
import type { Watch } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** Microseconds a guest that has acknowledged may take to suspend. */
const SUSPEND_TIMEOUT = 60_000_000;

const SHUTDOWN_SUSPEND = 2;

/** The failure that gives a transaction up because there is nothing left to write. */
const ACKNOWLEDGED: Errno = "EEXIST";

/**
 * Takes a request back that was not acknowledged, unless the guest did so at the
 * last moment: true then.
 */
const cancelRequest = routine(
  "cancel suspend request",
  (a: { process: string; domid: number }) => ({
    process: a.process,
    path: `/local/domain/${a.domid}/control/shutdown`,
    t: 0,
    value: null as string | null,
    errno: "EIO" as Errno,
  }),
  (words) => {
    const { attempt, call, when, failWith } = words;
    return [
      attempt([
        transaction(words, [
          call(
            "read again",
            xsRead,
            ({ process, t, path }) => ({ process, t, path }),
            (l, value) => void (l.value = value),
          ),
          when("acknowledged", (l) => l.value !== "suspend", [
            failWith("nothing to take back", ACKNOWLEDGED),
          ]),
          call("take back", xsWrite, ({ process, t, path }) => ({ process, t, path, value: "" })),
        ]),
      ]).onError(
        (l, errno) => void (l.errno = errno),
        [
          when("another failure", (l) => l.errno !== ACKNOWLEDGED, [
            failWith("not taken back", (l) => l.errno),
          ]),
        ],
      ),
    ];
  },
  (l) => l.value !== "suspend",
);

/** What a look at the domain said: not yet, or over, in a way that is a failure or not. */
function lookAtGuest(host: Host, process: string, domid: number): boolean | Failure {
  const info = domainInfo(host, process, domid);
  if (isFailure(info)) {
    const where = "libxl_dom_suspend.c:342:suspend_common_wait_guest_check";
    return reported(host, process, where, "guest we were suspending has been destroyed", info, domid);
  }
  if (!info.shutdown) return false;
  return info.shutdownCode === SHUTDOWN_SUSPEND ? true : fail(ERROR_FAIL);
}

function sayDebug(host: Host, l: { process: string; domid: number }, where: string, text: string): void {
  libxlDebug(host, l.process, `libxl_dom_suspend.c:${where}`, text, l.domid);
}

/** Waits until the guest has suspended. ERROR_GUEST_TIMEDOUT after a minute. */
const waitForSuspend = routine(
  "domain_suspend_common_wait_guest",
  (a: { process: string; domid: number }) => ({
    ...a,
    watch: null as Watch | null,
    deadline: 0,
    left: 0,
    late: false,
    over: false,
    errno: null as Errno | null,
  }),
  ({ call, step, repeatUntil, waitFor, when, failWith }) => [
    call(
      "watch @releaseDomain",
      xsWatch,
      ({ process }) => ({ process, path: "@releaseDomain" }),
      (l, watch) => void (l.watch = watch),
    ),
    step("start timer", (host, l) => void (l.deadline = host.now + SUSPEND_TIMEOUT)),
    repeatUntil("suspended", (l) => l.over, [
      step("time left", (host, l) => void (l.left = l.deadline - host.now)),
      waitFor("event", (host, l) => xsEventPending(host, l.process, present(l.watch).token), {
        timeout: (l) => l.left,
        timedOut: (l) => void (l.late = true),
      }),
      step("look", (host, l) => {
        if (l.late) {
          libxlError(
            host,
            l.process,
            "libxl_dom_suspend.c:372:suspend_common_wait_guest_timeout",
            "guest did not suspend, timed out",
            l.domid,
          );
          l.errno = ERROR_GUEST_TIMEDOUT;
        } else {
          const event = xsTakeEvent(host, l.process, present(l.watch).token);
          const suspended = isFailure(event) ? event : lookAtGuest(host, l.process, l.domid);
          if (isFailure(suspended)) l.errno = suspended.errno;
          else l.over = suspended;
          if (suspended === true)
            sayDebug(host, l, "358:suspend_common_wait_guest_check", "guest has suspended");
        }
        l.over ||= l.errno !== null;
      }),
    ]),
    call("unwatch", xsUnwatch, ({ process, watch }) => ({ process, watch: present(watch) })),
    when("not suspended", (l) => l.errno !== null, [failWith("not suspended", (l) => present(l.errno))]),
  ],
);

/** Has a guest suspend itself; `responded` says whether it acknowledged that, `errno` why it did not suspend. */
const suspendGuest = routine(
  "libxl__domain_suspend",
  (a: { process: string; domid: number }) => ({ ...a, responded: false, errno: null as Errno | null }),
  ({ attempt, call, when, step, failWith }) => [
    attempt([
      attempt([
        step(
          "ask",
          (host, l) => {
            const text = "issuing PV suspend request via XenBus control node";
            sayDebug(host, l, "203:domain_suspend_callback_common", text);
          },
          { unseen: true },
        ),
        call("suspend request", pvControl, ({ process, domid }) => ({
          process,
          domid,
          request: "suspend",
          hope: { not: "suspend" },
        })),
      ]).onError(
        (l, errno) => void (l.errno = errno),
        [
          when("not for time", (l) => l.errno !== ERROR_TIMEDOUT, [
            failWith("no request", (l) => present(l.errno)),
          ]),
          call("cancel", cancelRequest, sameDomain, (l, acknowledged) => {
            if (acknowledged) l.errno = null;
          }),
          when("cancelled", (l) => l.errno !== null, [
            step("complain", (host, l) => {
              const where = "libxl_dom_suspend.c:270:domain_suspend_common_pvcontrol_suspending";
              libxlError(
                host,
                l.process,
                where,
                "guest didn't acknowledge suspend, cancelling request",
                l.domid,
              );
            }),
            failWith("guest does not answer", ERROR_FAIL),
          ]),
        ],
      ),
      step("guest acknowledged", (host, l) => {
        l.responded = true;
        const text = "guest acknowledged suspend request";
        sayDebug(host, l, "281:domain_suspend_common_pvcontrol_suspending", text);
        sayDebug(host, l, "300:domain_suspend_common_wait_guest", "wait for the guest to suspend");
      }),
      call("wait for guest", waitForSuspend, sameDomain),
    ]).onError((l, errno) => void (l.errno = errno), []),
  ],
  ({ responded, errno }) => ({ responded, errno }),
);

/** Whether the guest offers an event channel to be suspended by; libxenguest asks over a connection of its own. */
const suspendEvtchnPort = routine(
  "xs_suspend_evtchn_port",
  (a: { process: string; domid: number }) => ({ connection: `${a.process}/suspend-port`, domid: a.domid }),
  ({ step, call }) => [
    step("xs_open", (host, l) => xsOpen(host, l.connection)),
    call("read", xsRead, ({ connection, domid }) => ({
      process: connection,
      path: `/local/domain/${domid}/device/suspend/event-channel`,
    })),
    step("xs_close", (host, l) => xsClose(host, l.connection)),
  ],
);

/**
 * Suspends a domain and reads it through a helper; the image. Fails, and says
 * so, where the guest did not suspend or could not be read: it is for the caller
 * then to let it go on.
 */
export const domainSuspend = routine(
  "libxl_domain_suspend",
  (a: { process: string; domid: number; detailed: boolean; progress: boolean }) => ({
    ...a,
    helper: "",
    asked: false,
    responded: false,
    rc: null as Errno | null,
    image: null as SavedImage | null,
  }),
  ({ call, step, waitFor, when }) => [
    call("libxl__domain_type", domainType, sameDomain),
    call("libxl__domain_suspend_init", suspendEvtchnPort, sameDomain),
    step("fork helper", (host, l) => void (l.helper = startHelper(host, l.process, l.domid, null, l))),
    waitFor("helper", (host, l) => helperWaits(host, l.helper)),
    step("what it wants", (host, l) => void (l.asked = wantsSuspend(host, l.helper))),
    when("suspend", (l) => l.asked, [
      call("libxl__domain_suspend", suspendGuest, sameDomain, (l, { responded, errno }) => {
        l.responded = responded;
        l.rc = errno;
      }),
      step("answer", (host, l) => answerSuspend(host, l.helper, l.rc === null)),
      waitFor("helper's end", (host, l) => helperWaits(host, l.helper)),
    ]),
    step("libxl__xc_domain_save_done", (host, l) => {
      const { status, result } = reapHelper(host, l.helper);
      if (status === 0) return void (l.image = result as SavedImage);
      const text = `saving domain: domain ${l.responded ? "responded" : "did not respond"} to suspend request`;
      const where = "libxl_stream_write.c:347:libxl__xc_domain_save_done";
      libxlError(host, l.process, where, `${text}: ${strerror(errnoOf(status))}`, l.domid);
      return fail(l.responded ? (l.rc ?? ERROR_FAIL) : ERROR_GUEST_TIMEDOUT);
    }),
  ],
  (l) => present(l.image),
);

/** Makes the hypercall that suspended a guest return 1: nothing has changed for it (modify_returncode). */
function modifyReturncode(host: Host, process: string, domid: number): void | Failure {
  const info = domainInfo(host, process, domid);
  if (isFailure(info)) return info;
  if (!info.shutdown || info.shutdownCode !== SHUTDOWN_SUSPEND) {
    const state = `shutdown ${Number(info.shutdown)}, reason ${info.shutdownCode}`;
    xcError(host, process, `Dom ${domid} not suspended: (${state}): Internal error`);
    return fail("EINVAL");
  }
  const context = getvcpucontext(host, dom0(process), { domid, vcpu: 0 });
  if (isFailure(context)) return context;
  const set = setvcpucontext(host, dom0(process), {
    domid,
    vcpu: 0,
    context: { online: context.online, bytes: context.bytes },
  });
  return isFailure(set) ? set : undefined;
}

/** Lets a suspended domain go on where it is. Fails, and says so, for one that is not suspended. */
export const domainResume = routine(
  "libxl_domain_resume",
  (a: { process: string; domid: number }) => ({ ...a, errno: "EIO" as Errno }),
  (words) => {
    const { call, step } = words;
    return [
      call("libxl__domain_type", domainType, sameDomain),
      step("xc_domain_resume", (host, l) => {
        const modified = modifyReturncode(host, l.process, l.domid);
        const resumed = isFailure(modified) ? modified : resumedomain(host, dom0(l.process), l.domid);
        if (!isFailure(resumed)) return undefined;
        return reported(
          host,
          l.process,
          "libxl_dom_suspend.c:666:domain_resume_done",
          "xc_domain_resume failed",
          resumed,
          l.domid,
        );
      }),
      complaining(words)(
        {
          where: "libxl_dom_suspend.c:672:domain_resume_done",
          text: (l) => `xs_resume_domain failed: ${strerror(l.errno)}`,
          as: ERROR_FAIL,
        },
        [call("xs_resume_domain", xsResumeDomain, sameDomain)],
      ),
    ];
  },
);
