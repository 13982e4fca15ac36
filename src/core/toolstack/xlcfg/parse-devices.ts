// SPDX-License-Identifier: Apache-2.0
//
// Lists of devices in an xl.cfg, in the order xl reads them.

import {
  checkVkb,
  parseUsbctrlPart,
  parseUsbdevPart,
  parseVdisplPart,
  parseVkbPart,
} from "./device-specs.ts";
import { deviceVsnd } from "./device-vsnd.ts";
import { parseDisk } from "./disk-spec.ts";
import {
  deviceChannel,
  deviceP9,
  deviceUsbctrl,
  deviceUsbdev,
  deviceVdispl,
  deviceVfb,
  deviceVkb,
  deviceVtpm,
} from "./domain-config.ts";
import { defaultNic, parseNicSpec } from "./nic-spec.ts";
import { deviceSpecs, die, runSections, type Parse, type Section } from "./parse-context.ts";
import { parseCpuid } from "./parse-cpuid.ts";
import { parseIoResources } from "./parse-io-resources.ts";
import { getList, leadingStrings, warnNotList } from "./reader.ts";
import { atoi, parseUuid, strtok } from "./strtol.ts";
import { parseVsndItem } from "./vsnd-spec.ts";

/** From ioports= to cpuid=. */
export const parseDevices: Section = (parse) =>
  runSections(parse, [
    parseIoResources,
    parseDisks,
    parseP9s,
    parseVtpms,
    parseVdispls,
    parsePvcalls,
    parseVsnds,
    parseChannels,
    parseNics,
    parseVfbs,
    parseUsb,
    parseCpuid,
  ]);

function parseDisks(parse: Parse): number | undefined {
  for (const { spec } of deviceSpecs(parse, "disk")) {
    const { disk, stderr, failed } = parseDisk(parse.source, [spec]);
    parse.stderr += stderr;
    if (failed) return 1;
    parse.domain.disks.push(disk);
  }
  return undefined;
}

/** The `key=value` parts up to the first part without "=", where xl stops reading. */
function keyValues(parts: readonly string[]): [key: string, value: string][] {
  const pairs: [string, string][] = [];
  for (const part of parts) {
    const equals = part.indexOf("=");
    if (equals < 0) break;
    pairs.push([part.slice(0, equals), part.slice(equals + 1)]);
  }
  return pairs;
}

function parseP9s(parse: Parse): number | undefined {
  // xl keeps these from one share to the next.
  const fields: Record<string, string | null> = {
    security_model: null,
    path: null,
    tag: null,
    backend: null,
  };
  for (const { parts } of deviceSpecs(parse, "p9")) {
    for (const [key, value] of keyValues(parts)) {
      if (!Object.hasOwn(fields, key)) return die(parse, `Unknown string \`${key}' in 9pfs spec\n`);
      fields[key] = value;
    }
    const { security_model = null, path = null, tag = null, backend = null } = fields;
    if (security_model === null || path === null || tag === null) {
      return die(parse, "9pfs spec missing required field!\n");
    }
    parse.domain.p9s.push({ ...deviceP9.init(), tag, path, security_model, backend_domname: backend });
  }
  return undefined;
}

function parseVtpms(parse: Parse): number | undefined {
  for (const [devid, { parts }] of deviceSpecs(parse, "vtpm").entries()) {
    const vtpm = { ...deviceVtpm.init(), devid };
    for (const [key, value] of keyValues(parts)) {
      if (key === "backend") vtpm.backend_domname = value;
      else if (key === "uuid") {
        const uuid = parseUuid(value);
        if (uuid === undefined) return die(parse, `Failed to parse vtpm UUID: ${value}\n`);
        vtpm.uuid = uuid;
      } else return die(parse, `Unknown string \`${key}' in vtpm spec\n`);
    }
    if (vtpm.backend_domname === null) return die(parse, "vtpm spec missing required backend field!\n");
    parse.domain.vtpms.push(vtpm);
  }
  return undefined;
}

function parseVdispls(parse: Parse): number | undefined {
  for (const [devid, { parts }] of deviceSpecs(parse, "vdispl").entries()) {
    const vdispl = { ...deviceVdispl.init(), devid };
    if (!parts.every((part) => parseVdisplPart(parse, vdispl, part))) return 1;
    if (vdispl.connectors.length === 0) return die(parse, "At least one connector should be specified.\n");
    parse.domain.vdispls.push(vdispl);
  }
  return undefined;
}

function parsePvcalls(parse: Parse): number | undefined {
  for (const [devid, { parts }] of deviceSpecs(parse, "pvcalls").entries()) {
    const pvcallsif = { backend_domid: 0, backend_domname: null as string | null, devid };
    for (const [key, value] of keyValues(parts)) {
      if (key !== "backend") return die(parse, `Unknown string \`${key}' in pvcalls spec\n`);
      pvcallsif.backend_domname = value;
    }
    parse.domain.pvcallsifs.push(pvcallsif);
  }
  return undefined;
}

function parseVsnds(parse: Parse): number | undefined {
  for (const [devid, card] of (getList(parse, "vsnd")?.values ?? []).entries()) {
    if (card.kind !== "list") {
      warnNotList(parse, card);
      return die(parse, "Failed to get vsnd card list: Invalid argument\n");
    }
    const vsnd = { ...deviceVsnd.init(), devid };
    if (!leadingStrings(card).every((item) => parseVsndItem(parse, vsnd, item))) return 1;
    parse.domain.vsnds.push(vsnd);
  }
  return undefined;
}

function parseChannels(parse: Parse): number | undefined {
  for (const [devid, { spec }] of deviceSpecs(parse, "channel").entries()) {
    const channel = { ...deviceChannel.init(), devid };
    let connection: string = "unknown";
    let path: string | null = null;
    for (const pair of strtok(spec, ",")) {
      const [untrimmedKey, untrimmedValue] = strtok(pair, "=");
      if (untrimmedKey === undefined || untrimmedValue === undefined) {
        return die(parse, `failed to parse channel configuration: ${pair}`);
      }
      const key = untrimmedKey.trim();
      const value = untrimmedValue.trim();
      if (key === "backend") channel.backend_domname = value;
      else if (key === "name") channel.name = value;
      else if (key === "path") path = value;
      else if (key === "connection") {
        if (value !== "pty" && value !== "socket")
          return die(parse, `unknown channel connection '${value}'\n`);
        connection = value;
      } else parse.stderr += `unknown channel parameter '${key}', ignoring\n`;
    }
    if (connection === "unknown") return die(parse, "channel has unknown 'connection'\n");
    if (connection === "socket" && path === null) {
      return die(parse, "channel connection 'socket' requires path=..\n");
    }
    channel.u = connection === "socket" ? { connection: "socket", path } : { connection: "pty" };
    parse.domain.channels.push(channel);
  }
  return undefined;
}

function parseNics(parse: Parse): number | undefined {
  for (const [devid, { spec }] of deviceSpecs(parse, "vif").entries()) {
    const nic = { ...defaultNic(parse.environment.conf.nic), devid };
    if (parseNicSpec(parse, nic, spec)) return 1;
    parse.domain.nics.push(nic);
  }
  if (getList(parse, "vif2") !== null) {
    parse.stderr += "WARNING: vif2: netchannel2 is deprecated and not supported by xl\n";
  }
  return undefined;
}

/** Every virtual frame buffer comes with a keyboard. */
function parseVfbs(parse: Parse): undefined {
  for (const [devid, { parts }] of deviceSpecs(parse, "vfb").entries()) {
    const vfb = { ...deviceVfb.init(), devid };
    const { vnc, sdl } = vfb;
    const options: Record<string, (value: string) => void> = {
      vnc: (value) => (vnc.enable = atoi(value) !== 0),
      vnclisten: (value) => (vnc.listen = value),
      vncpasswd: (value) => (vnc.passwd = value),
      vncdisplay: (value) => (vnc.display = atoi(value)),
      vncunused: (value) => (vnc.findunused = atoi(value) !== 0),
      keymap: (value) => (vfb.keymap = value),
      sdl: (value) => (sdl.enable = atoi(value) !== 0),
      opengl: (value) => (sdl.opengl = atoi(value) !== 0),
      display: (value) => (sdl.display = value),
      xauthority: (value) => (sdl.xauthority = value),
    };
    for (const [key, value] of keyValues(parts)) if (Object.hasOwn(options, key)) options[key]?.(value);
    parse.domain.vfbs.push(vfb);
    parse.domain.vkbs.push({ ...deviceVkb.init(), devid });
  }
}

function parseUsb(parse: Parse): number | undefined {
  for (const [devid, { parts }] of deviceSpecs(parse, "usbctrl").entries()) {
    const usbctrl = { ...deviceUsbctrl.init(), devid };
    if (!parts.every((part) => parseUsbctrlPart(parse, usbctrl, part))) return 1;
    parse.domain.usbctrls.push(usbctrl);
  }
  for (const { parts } of deviceSpecs(parse, "usbdev")) {
    const usbdev = deviceUsbdev.init();
    if (!parts.every((part) => parseUsbdevPart(parse, usbdev, part))) return 1;
    parse.domain.usbdevs.push(usbdev);
  }
  return undefined;
}

/** vkb=: keyboards beyond those of frame buffers. xl fails with 1 on any error. */
export const parseVkbs: Section = (parse) => {
  for (const { parts } of deviceSpecs(parse, "vkb")) {
    const vkb = { ...deviceVkb.init(), devid: parse.domain.vkbs.length };
    if (!parts.every((part) => parseVkbPart(parse, vkb, part))) return 1;
    if (!checkVkb(parse, vkb)) return 1;
    parse.domain.vkbs.push(vkb);
  }
  return undefined;
};
