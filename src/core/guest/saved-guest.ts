// SPDX-License-Identifier: Apache-2.0
//
// Whether what a file or a domain's memory holds is a saved guest. It has been
// outside, where anybody may have written to it: what is not as a kernel would
// have left it is none.

import type { Plain } from "../engine/cells.ts";
import { backendBusChanged, frontendBusChanged } from "../xenbus/bus.ts";
import { findDriver } from "../xenbus/device.ts";
import type { Balloon } from "./balloon-pages.ts";
import { watchTarget } from "./balloon.ts";
import { shutdownHandler, sysrqHandler } from "./control.ts";
import { handleVcpuHotplugEvent } from "./cpu-hotplug.ts";
import type { SavedGuest } from "./save.ts";

type Fields = { readonly [name: string]: unknown };

/** What a kernel's own watches call. */
const callbacks: ReadonlySet<unknown> = new Set(
  [
    watchTarget,
    shutdownHandler,
    sysrqHandler,
    handleVcpuHotplugEvent,
    frontendBusChanged,
    backendBusChanged,
  ].map(({ name }) => name),
);

/** An object's fields; none of anything else. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

/** A whole number from 0 up to what 52 bits hold. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isListOf(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isItem);
}

/** Strings, each but once. */
function isSetOf(value: unknown, isItem: (item: string) => boolean): boolean {
  return (
    isListOf(value, (item) => typeof item === "string" && isItem(item)) &&
    new Set(value as string[]).size === (value as string[]).length
  );
}

function isBalloon(value: unknown): value is Balloon {
  const { currentPages, targetPages, targetDiff, ballooned, watchFired } = fieldsOf(value);
  return (
    [currentPages, targetPages].every(isCount) &&
    Number.isSafeInteger(targetDiff) &&
    isListOf(ballooned, isCount) &&
    typeof watchFired === "boolean"
  );
}

function isWatch(value: unknown): boolean {
  const { token, node, callback, onePending } = fieldsOf(value);
  return (
    [token, node].every((text) => typeof text === "string") &&
    callbacks.has(callback) &&
    typeof onePending === "boolean"
  );
}

function isEvent(value: unknown): boolean {
  const { token, path } = fieldsOf(value);
  return typeof token === "string" && typeof path === "string";
}

function tokensOf(watches: unknown): unknown {
  return Array.isArray(watches) ? watches.map((watch) => fieldsOf(watch)["token"]) : null;
}

/** The saved guest, or null where it is none. */
export function savedGuestOf(image: Plain): SavedGuest | null {
  const { commandLine, age, ticks, spinning, upAt, balloon, modules, watches, events, devices } =
    fieldsOf(image);
  const isWhole =
    typeof commandLine === "string" &&
    isCount(age) &&
    isCount(ticks) &&
    typeof spinning === "boolean" &&
    (upAt === null || isCount(upAt)) &&
    isBalloon(balloon) &&
    isSetOf(modules, (module) => findDriver(module) !== undefined) &&
    isListOf(watches, isWatch) &&
    isSetOf(tokensOf(watches), () => true) &&
    isListOf(events, isEvent) &&
    isSetOf(devices, (nodename) => /^device\/[^/]+\/[^/]+$/.test(nodename));
  return isWhole ? (image as unknown as SavedGuest) : null;
}
