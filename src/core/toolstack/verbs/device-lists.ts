// SPDX-License-Identifier: Apache-2.0
//
// vtpm-list, vkb-list, vdispl-list, vsnd-list, usb-list (tools/xl/xl_vtpm.c and its
// like): devices whose backends nobody has here.

import { present } from "../../engine/errno.ts";
import { routine } from "../../engine/routine.ts";
import type { Node, Vocabulary } from "../../engine/routine.ts";
import { stdout } from "../../daemons/process.ts";
import { deviceInfo } from "../device-info.ts";
import type { DeviceInfo } from "../device-info.ts";
import { eachNamed, eachNamedThatIs, findNamed } from "../name.ts";
import { verb } from "../verb.ts";
import type { VerbLocals } from "../verb.ts";
import * as format from "../xl/format/other-devices.ts";
import { xsDirectory, xsRead } from "../xs.ts";

/** A verb that lists one kind of device of several domains. */
interface Listing {
  kind: string;
  header: string;
  /** Nodes of the frontend that are numbers. */
  nodes: readonly string[];
  /** Nodes of the backend. */
  texts: readonly string[];
  row: (device: format.OtherDevice) => string;
}

type Texts = { [node: string]: string | null };

const listings = {
  "vtpm-list": {
    kind: "vtpm",
    header: format.vtpmHeader,
    nodes: ["state", "event-channel", "ring-ref"],
    texts: ["uuid"],
    row: format.vtpmRow,
  },
  "vkb-list": {
    kind: "vkbd",
    header: format.vkbHeader,
    nodes: ["state", "event-channel", "page-gref"],
    texts: ["unique-id"],
    row: format.vkbRow,
  },
  "vdispl-list": {
    kind: "vdispl",
    header: "",
    nodes: ["state", "be-alloc"],
    texts: [],
    row: format.vdisplRow,
  },
  "vsnd-list": {
    kind: "vsnd",
    header: "",
    nodes: ["state"],
    texts: ["short-name", "long-name"],
    row: format.vsndRow,
  },
} as const satisfies { [verb: string]: Listing };

type ListVerb = keyof typeof listings;

const listingOf = (name: ListVerb): Listing => listings[name];

/** One domain's devices of a kind. */
const listDevices = routine(
  "xl device list",
  (a: { process: string; domid: number; name: ListVerb }) => ({
    ...a,
    devids: [] as string[],
    devid: -1,
    info: null as DeviceInfo | null,
    node: "",
    texts: {} as Texts,
  }),
  ({ call, each, when, step }) => [
    call(
      "list",
      xsDirectory,
      ({ process, domid, name }) => ({ process, path: `/libxl/${domid}/device/${listingOf(name).kind}` }),
      (l, devids) => void (l.devids = devids ?? []),
    ),
    each(
      "device",
      (l) => l.devids,
      (l, devid) => void (l.devid = Number(devid)),
      [
        call(
          "getinfo",
          deviceInfo,
          ({ process, domid, devid, name }) => ({
            process,
            domid,
            devid,
            kind: listingOf(name).kind,
            nodes: listingOf(name).nodes,
          }),
          (l, info) => void (l.info = info),
        ),
        when("is there", (l) => l.info !== null, [
          each(
            "text",
            (l) => listingOf(l.name).texts,
            (l, node) => void (l.node = node),
            [
              call(
                "from backend",
                xsRead,
                ({ process, info, node }) => ({
                  process,
                  path: `${present(info).backendPath}/${node}`,
                }),
                (l, value) => void (l.texts[l.node] = value),
              ),
            ],
          ),
          step("print", (host, { process, domid, devid, name, info, texts }) => {
            stdout(host, process, listingOf(name).row({ domid, devid, ...present(info), texts }));
          }),
        ]),
      ],
    ),
  ],
);

interface ListLocals extends VerbLocals {
  name: ListVerb;
  command: { domains: string[] };
  domain: string;
  domid: number;
}

const listLocals =
  (name: ListVerb) =>
  ({ process, command }: { process: string; command: { domains: string[] } }): ListLocals => ({
    process,
    name,
    command,
    status: 0,
    domain: "",
    domid: -1,
  });

const header = ({ step }: Vocabulary<ListLocals>): Node<ListLocals> =>
  step("header", (host, l) => stdout(host, l.process, listingOf(l.name).header));

const devices = ({ call }: Vocabulary<ListLocals>): Node<ListLocals> =>
  call("devices", listDevices, ({ process, domid, name }) => ({ process, domid, name }));

/** A name that is nobody's ends the verb. */
const strict = (words: Vocabulary<ListLocals>): Node<ListLocals>[] => [
  header(words),
  eachNamed(words, devices(words)),
];

/** A name that is nobody's is passed over. */
const lenient = (words: Vocabulary<ListLocals>): Node<ListLocals>[] => [
  header(words),
  eachNamedThatIs(words, devices(words)),
];

/** `xl vtpm-list`. */
export const vtpmListVerb = verb("vtpm-list", listLocals("vtpm-list"), lenient);
/** `xl vkb-list`. */
export const vkbListVerb = verb("vkb-list", listLocals("vkb-list"), strict);
/** `xl vdispl-list`. */
export const vdisplListVerb = verb("vdispl-list", listLocals("vdispl-list"), lenient);
/** `xl vsnd-list`. */
export const vsndListVerb = verb("vsnd-list", listLocals("vsnd-list"), lenient);
/** `xl usb-list`: controllers, none of which can be attached here. */
export const usbListVerb = verb(
  "usb-list",
  ({ process, command }) => ({ process, command, status: 0, domid: -1 }),
  ({ call }) => [
    findNamed(call),
    call("controllers", xsDirectory, ({ process, domid }) => ({
      process,
      path: `/libxl/${domid}/device/vusb`,
    })),
  ],
);
