// SPDX-License-Identifier: Apache-2.0
//
// Showing a new state to the other end, in a transaction that does not bring a
// removed device back to life (Linux drivers/xen/xenbus/xenbus_client.c).

import { errnoNumber, present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import type { Node, Vocabulary } from "../engine/routine.ts";
import { deviceOf, sameDevice, xenbusDeviceCell } from "./device.ts";
import type { DeviceArgs } from "./device.ts";
import { devPrint } from "./printk.ts";
import { isNumber, XenbusState } from "./state.ts";
import {
  XBT_NIL,
  xenbusPrintf,
  xenbusRead,
  xenbusReadUnsigned,
  xenbusTransactionEnd,
  xenbusTransactionStart,
} from "./xs.ts";

/** What is wrong with a device: a number, errno's as a rule, and words. */
export interface DeviceError extends DeviceArgs {
  /** Positive for an errno (the kernel's negative error, its sign turned). */
  err: number;
  message: string;
}

/** Logs an error of a device and leaves it in the store for the toolstack: `error/<nodename>/error`. */
export const xenbusDevError = routine(
  "xenbus_dev_error",
  (a: DeviceError) => ({ ...a, nodename: "" }),
  ({ step, call, attempt }) => [
    step("dev_err", (host, l) => {
      l.nodename = deviceOf(host, l.device).nodename;
      devPrint(host, l.device, `${l.err} ${l.message}`);
    }),
    attempt([
      call("xenbus_write", xenbusPrintf, (l) => ({
        domid: l.domid,
        dir: `error/${l.nodename}`,
        name: "error",
        value: `${l.err} ${l.message}`,
      })),
    ]).onError(() => {}, []),
  ],
);

interface SwitchLocals extends DeviceArgs {
  state: number;
  /** Within another change of state, an error of this one changes nothing more. */
  nested: boolean;
  nodename: string;
  same: boolean;
  tx: number;
  /** How far it came: what an error is told with. */
  stage: "starting transaction" | "reading" | "writing new state" | "written" | "ending transaction";
  done: boolean;
  errno: Errno | null;
}

/** An error while a state is shown: the device starts to close, unless it was about to (xenbus_switch_fatal). */
const xenbusSwitchFatal = routine(
  "xenbus_switch_fatal",
  (a: DeviceError & { nested: boolean }) => ({ ...a }),
  ({ call, when, callNamed }) => [
    call("xenbus_va_dev_error", xenbusDevError, ({ device, domid, err, message }) => ({
      device,
      domid,
      err,
      message,
    })),
    when("not nested", (l) => !l.nested, [
      callNamed(
        "__xenbus_switch_state",
        () => SWITCH_STATE,
        ({ device, domid }) => ({ device, domid, state: XenbusState.Closing, nested: true }),
      ),
    ]),
  ],
);

const SWITCH_STATE = "__xenbus_switch_state";

/** Tells of what went wrong at the stage it has come to. */
function fatalOf(l: SwitchLocals): DeviceError & { nested: boolean } {
  const { device, domid, nested, stage } = l;
  return { device, domid, nested, err: errnoNumber(present(l.errno)), message: stage };
}

const switchStateInner = routine(
  SWITCH_STATE,
  (a: DeviceArgs & { state: number; nested: boolean }): SwitchLocals => ({
    ...a,
    nodename: "",
    same: false,
    tx: XBT_NIL,
    stage: "starting transaction",
    done: false,
    errno: null,
  }),
  ({ step, call, when, repeatUntil, attempt }) => [
    step("compare state", (host, l) => {
      const { state, nodename } = deviceOf(host, l.device);
      l.same = state === l.state;
      l.nodename = nodename;
    }),
    when("changed", (l) => !l.same, [
      attempt([
        repeatUntil("again", (l) => l.done, [
          call(
            "xenbus_transaction_start",
            xenbusTransactionStart,
            (l) => ({ domid: l.domid }),
            (l, tx) => {
              l.tx = tx;
              l.stage = "reading";
            },
          ),
          attempt([
            call(
              "xenbus_scanf",
              xenbusRead,
              (l) => ({ domid: l.domid, tx: l.tx, dir: l.nodename, name: "state" }),
              (l, value) => {
                l.stage = isNumber(value) ? "writing new state" : "reading";
              },
            ),
            when("there still", (l) => l.stage === "writing new state", [
              call(
                "xenbus_printf",
                xenbusPrintf,
                (l) => ({ domid: l.domid, tx: l.tx, dir: l.nodename, name: "state", value: String(l.state) }),
                (l) => {
                  l.stage = "written";
                },
              ),
            ]),
          ]).onError(
            (l, errno) => void (l.errno = errno),
            [
              when("cannot be written", (l) => l.stage === "writing new state", [
                call("xenbus_switch_fatal write", xenbusSwitchFatal, fatalOf),
              ]),
            ],
          ),
          call(
            "xenbus_transaction_end",
            xenbusTransactionEnd,
            (l) => ({ domid: l.domid, tx: l.tx, abort: l.stage !== "written" }),
            (l, again) => {
              l.done = !again || l.stage !== "written";
            },
          ),
        ]),
        step("dev->state = state", (host, l) => {
          host.edit(xenbusDeviceCell, l.device).state = l.state;
        }),
      ]).onError(
        (l, errno) => {
          l.errno = errno;
          if (l.stage !== "starting transaction") l.stage = "ending transaction";
        },
        [call("xenbus_switch_fatal", xenbusSwitchFatal, fatalOf)],
      ),
    ]),
  ],
);

/**
 * Writes the device's state, where it differs from the one the kernel believes
 * it shows. Nothing is written where the state node has gone. Never fails: an
 * error is logged and left in the store, and the device starts to close.
 */
export const xenbusSwitchState = routine(
  "xenbus_switch_state",
  (a: DeviceArgs & { state: number }) => ({ ...a }),
  ({ call }) => [
    call("__xenbus_switch_state", switchStateInner, ({ device, domid, state }) => ({
      device,
      domid,
      state,
      nested: false,
    })),
  ],
);

/** An error that a device does not recover from: logged, and the device starts to close. */
export const xenbusDevFatal = routine(
  "xenbus_dev_fatal",
  (a: DeviceError) => ({ ...a }),
  ({ call }) => [
    call("xenbus_va_dev_error", xenbusDevError, (l) => l),
    call("xenbus_switch_state", xenbusSwitchState, (l) => ({
      device: l.device,
      domid: l.domid,
      state: XenbusState.Closing,
    })),
  ],
);

/**
 * Tells of the error among a routine's locals as one that the device does not
 * recover from, and fails with it.
 *
 * @param steps what telling and failing are called
 */
export function failFatally<L extends DeviceArgs & { errno: Errno | null }>(
  { call, failWith }: Pick<Vocabulary<L>, "call" | "failWith">,
  steps: readonly [tell: string, fail: string],
  message: (l: L) => string,
): Node<L>[] {
  return [
    call(steps[0], xenbusDevFatal, (l) => ({
      ...sameDevice(l),
      err: errnoNumber(present(l.errno)),
      message: message(l),
    })),
    failWith(steps[1], (l) => present(l.errno)),
  ];
}

/** Whether the toolstack still wants the device: its `online` node. */
export const xenbusDevIsOnline = routine(
  "xenbus_dev_is_online",
  (a: DeviceArgs & { nodename: string }) => ({ ...a, online: false }),
  ({ call }) => [
    call(
      "xenbus_read_unsigned",
      xenbusReadUnsigned,
      (l) => ({ domid: l.domid, dir: l.nodename, name: "online", otherwise: 0 }),
      (l, value) => {
        l.online = value !== 0;
      },
    ),
  ],
  (l) => l.online,
);
