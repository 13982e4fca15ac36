// SPDX-License-Identifier: Apache-2.0
//
// Specifications of keyboards, displays and USB devices, one part at a time
// (tools/xl/xl_parse.c).

import {
  usbctrlTypes,
  vkbBackends,
  type DeviceUsbctrl,
  type DeviceUsbdev,
  type DeviceVdispl,
  type DeviceVkb,
} from "./domain-config.ts";
import type { SpecReport } from "./nic-spec.ts";
import { atoi, enumFromString, strtok, strtoul, uint32 } from "./strtol.ts";

const strtoulBase0 = (text: string): number => uint32(strtoul(text, 0).value);

/** `key=value` split at the first `=`; the whole part as key when there is none. */
function split(part: string): [key: string, value: string | undefined] {
  const equals = part.indexOf("=");
  return equals < 0 ? [part, undefined] : [part.slice(0, equals), part.slice(equals + 1)];
}

const vkbFlags: Record<
  string,
  | "feature_disable_keyboard"
  | "feature_disable_pointer"
  | "feature_abs_pointer"
  | "feature_raw_pointer"
  | "feature_multi_touch"
> = {
  "feature-disable-keyboard": "feature_disable_keyboard",
  "feature-disable-pointer": "feature_disable_pointer",
  "feature-abs-pointer": "feature_abs_pointer",
  "feature-raw-pointer": "feature_raw_pointer",
  "feature-multi-touch": "feature_multi_touch",
};
const vkbNumbers: Record<
  string,
  "multi_touch_width" | "multi_touch_height" | "multi_touch_num_contacts" | "width" | "height"
> = {
  "multi-touch-width": "multi_touch_width",
  "multi-touch-height": "multi_touch_height",
  "multi-touch-num-contacts": "multi_touch_num_contacts",
  width: "width",
  height: "height",
};

/** Reads one part of a vkb specification; false when refused (parse_vkb_config). */
export function parseVkbPart(report: SpecReport, vkb: DeviceVkb, part: string): boolean {
  const [key, value] = split(part);
  if (value === undefined) return refuseVkb(report, part);
  const flag = Object.hasOwn(vkbFlags, key) ? vkbFlags[key] : undefined;
  const number = Object.hasOwn(vkbNumbers, key) ? vkbNumbers[key] : undefined;
  if (key === "backend") vkb.backend_domname = value;
  else if (key === "unique-id") vkb.unique_id = value;
  else if (flag !== undefined) vkb[flag] = strtoul(value, 0).value !== 0n;
  else if (number !== undefined) vkb[number] = strtoulBase0(value);
  else if (key === "backend-type") {
    const type = enumFromString(vkbBackends, value);
    if (type === undefined) {
      report.stderr += `Unknown backend_type "${value}" in vkb spec\n`;
      return false;
    }
    vkb.backend_type = type;
  } else return refuseVkb(report, part);
  return true;
}

function refuseVkb(report: SpecReport, part: string): false {
  report.stderr += `Unknown string "${part}" in vkb spec\n`;
  return false;
}

/** Whether a complete vkb has what it must have. */
export function checkVkb(report: SpecReport, vkb: DeviceVkb): boolean {
  if (vkb.backend_type === "unknown") {
    report.stderr += "backend-type should be set in vkb spec\n";
    return false;
  }
  const sized =
    vkb.multi_touch_height !== 0 || vkb.multi_touch_width !== 0 || vkb.multi_touch_num_contacts !== 0;
  if (sized) vkb.feature_multi_touch = true;
  if (vkb.feature_multi_touch && !sized) {
    report.stderr +=
      "multi-touch-width, multi-touch-height, multi-touch-num-contacts should be set for " +
      "multi touch in vkb spec\n";
    return false;
  }
  return true;
}

/** Reads one part of a vdispl specification; false when refused (parse_vdispl_config). */
export function parseVdisplPart(report: SpecReport, vdispl: DeviceVdispl, part: string): boolean {
  const [key, value] = split(part);
  if (value !== undefined && key === "backend") vdispl.backend_domname = value;
  else if (value !== undefined && key === "be-alloc") vdispl.be_alloc = strtoul(value, 0).value !== 0n;
  else if (value !== undefined && key === "connectors") return parseConnectors(report, vdispl, value);
  else {
    report.stderr += `Unknown string "${part}" in vdispl spec\n`;
    return false;
  }
  return true;
}

/**
 * `id:WxH;id:WxH;…`. A connector that cannot be read is reported and ends the
 * list. xl then returns how many numbers it had read, so that it goes on after
 * a resolution without any.
 */
function parseConnectors(report: SpecReport, vdispl: DeviceVdispl, text: string): boolean {
  const connectors = strtok(text, ";");
  vdispl.connectors = connectors.map(() => ({ unique_id: null, width: 0, height: 0 }));
  for (const [index, connector] of connectors.entries()) {
    const [id, resolution = ""] = strtok(connector, ":");
    const [, width, height] = /^([0-9]+)(?:x([0-9]+))?/.exec(resolution.trimStart()) ?? [];
    vdispl.connectors[index] = {
      unique_id: id ?? null,
      width: Number(width ?? 0),
      height: Number(height ?? 0),
    };
    if (height === undefined) {
      report.stderr += "Can't parse connector resolution\n";
      return width === undefined && resolution !== "";
    }
  }
  return true;
}

/** Reads one part of a usbctrl specification; false when refused (parse_usbctrl_config). */
export function parseUsbctrlPart(report: SpecReport, usbctrl: DeviceUsbctrl, part: string): boolean {
  const [key, value] = split(part);
  if (value !== undefined && key === "type") {
    const type = enumFromString(usbctrlTypes, value);
    if (type === undefined) {
      report.stderr += `Invalid usb controller type '${value}'\n`;
      return false;
    }
    usbctrl.type = type;
  } else if (value !== undefined && (key === "version" || key === "ports")) usbctrl[key] = atoi(value);
  else {
    report.stderr += `Unknown string \`${part}' in usbctrl spec\n`;
    return false;
  }
  return true;
}

/** Reads one part of a usbdev specification; false when refused (parse_usbdev_config). */
export function parseUsbdevPart(report: SpecReport, usbdev: DeviceUsbdev, part: string): boolean {
  const [key, value] = split(part);
  if (value === undefined) return refuseUsbdev(report, part);
  if (key === "hostbus" || key === "hostaddr") usbdev.u[key] = strtoulBase0(value) & 0xff;
  else if (key === "controller") usbdev.ctrl = atoi(value);
  else if (key === "port") usbdev.port = atoi(value);
  else if (key === "type" && value.toLowerCase() === "hostdev") usbdev.u.type = "hostdev";
  else if (key === "type") {
    report.stderr += "Invalid usb device type: (null)\n";
    return false;
  } else return refuseUsbdev(report, part);
  return true;
}

function refuseUsbdev(report: SpecReport, part: string): false {
  report.stderr += `Unknown string \`${part}' in usbdev spec\n`;
  return false;
}
