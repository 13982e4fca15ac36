// SPDX-License-Identifier: Apache-2.0
//
// Showing a new state to the other end, in a transaction that does not bring a
// removed device back to life (Linux drivers/xen/xenbus/xenbus_client.c).

import { routine } from "../engine/routine.ts";
import { deviceOf, xenbusDeviceCell } from "./device.ts";
import type { DeviceArgs } from "./device.ts";
import { printk } from "./printk.ts";
import { XenbusState } from "./state.ts";
import {
  XBT_NIL,
  xenbusPrintf,
  xenbusRead,
  xenbusReadUnsigned,
  xenbusTransactionEnd,
  xenbusTransactionStart,
} from "./xs.ts";

interface SwitchLocals extends DeviceArgs {
  state: number;
  nodename: string;
  same: boolean;
  tx: number;
  abort: boolean;
  done: boolean;
  errno: string;
}

/**
 * Writes the device's state, where it differs from the one the kernel believes
 * it shows. Nothing is written where the state node has gone. Never fails: an
 * error is logged, as the device is of no use then.
 */
export const xenbusSwitchState = routine(
  "xenbus_switch_state",
  (a: DeviceArgs & { state: number }): SwitchLocals => ({
    ...a,
    nodename: "",
    same: false,
    tx: XBT_NIL,
    abort: true,
    done: false,
    errno: "",
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
              l.abort = true;
            },
          ),
          attempt([
            call("xenbus_scanf", xenbusRead, (l) => ({
              domid: l.domid,
              tx: l.tx,
              dir: l.nodename,
              name: "state",
            })),
            call(
              "xenbus_printf",
              xenbusPrintf,
              (l) => ({ domid: l.domid, tx: l.tx, dir: l.nodename, name: "state", value: String(l.state) }),
              (l) => {
                l.abort = false;
              },
            ),
          ]).onError(() => {}, []),
          call(
            "xenbus_transaction_end",
            xenbusTransactionEnd,
            (l) => ({ domid: l.domid, tx: l.tx, abort: l.abort }),
            (l, again) => {
              l.done = !again || l.abort;
            },
          ),
        ]),
        step("dev->state = state", (host, l) => {
          host.edit(xenbusDeviceCell, l.device).state = l.state;
        }),
      ]).onError(
        (l, errno) => {
          l.errno = errno;
        },
        [
          step("xenbus_switch_fatal", (host, l) =>
            printk(host, l.domid, `${l.nodename}: ${l.errno} writing state ${l.state}`),
          ),
        ],
      ),
    ]),
  ],
);

/** Logs an error of a device and leaves it in the store for the toolstack: `error/<nodename>/error`. */
export const xenbusDevError = routine(
  "xenbus_dev_error",
  (a: DeviceArgs & { errno: string; message: string }) => ({ ...a, nodename: "" }),
  ({ step, call, attempt }) => [
    step("dev_err", (host, l) => {
      l.nodename = deviceOf(host, l.device).nodename;
      printk(host, l.domid, `${l.nodename}: ${l.errno} ${l.message}`);
    }),
    attempt([
      call("xenbus_write", xenbusPrintf, (l) => ({
        domid: l.domid,
        dir: `error/${l.nodename}`,
        name: "error",
        value: `${l.errno} ${l.message}`,
      })),
    ]).onError(() => {}, []),
  ],
);

/** An error that a device does not recover from: logged, and the device starts to close. */
export const xenbusDevFatal = routine(
  "xenbus_dev_fatal",
  (a: DeviceArgs & { errno: string; message: string }) => ({ ...a }),
  ({ call }) => [
    call("xenbus_va_dev_error", xenbusDevError, (l) => l),
    call("xenbus_switch_state", xenbusSwitchState, (l) => ({
      device: l.device,
      domid: l.domid,
      state: XenbusState.Closing,
    })),
  ],
);

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
