// SPDX-License-Identifier: Apache-2.0
//
// channel-list (tools/xl/xl_console.c; libxl_console.c, libxl_device_channel_list).

import { routine } from "../../engine/routine.ts";
import { stdout } from "../../daemons/process.ts";
import { deviceInfo } from "../device-info.ts";
import type { DeviceInfo } from "../device-info.ts";
import { eachNamed } from "../name.ts";
import { sameDomain } from "../same.ts";
import { verb } from "../verb.ts";
import * as format from "../xl/format/other-devices.ts";
import { xsDirectory, xsRead } from "../xs.ts";

/** One domain's channels: consoles that have a name. The first console is none, and channels are counted behind it. */
const listChannels = routine(
  "libxl_device_channel_list",
  (a: { process: string; domid: number }) => ({
    ...a,
    consoles: [] as string[],
    console: "",
    name: null as string | null,
    connection: null as string | null,
    channel: -1,
    info: null as DeviceInfo | null,
  }),
  ({ call, each, when, step }) => [
    call(
      "list",
      xsDirectory,
      ({ process, domid }) => ({ process, path: `/libxl/${domid}/device/console` }),
      (l, consoles) => void (l.consoles = consoles ?? []),
    ),
    each(
      "console",
      (l) => l.consoles,
      (l, console) => void (l.console = console),
      [
        call(
          "name",
          xsRead,
          ({ process, domid, console }) => ({
            process,
            path: `/libxl/${domid}/device/console/${console}/name`,
          }),
          (l, name) => void (l.name = name),
        ),
        when("a channel", (l) => l.name !== null, [
          call(
            "connection",
            xsRead,
            ({ process, domid, console }) => ({
              process,
              path: `/libxl/${domid}/device/console/${console}/connection`,
            }),
            (l, connection) => {
              l.connection = connection;
              l.channel++;
            },
          ),
          call(
            "getinfo",
            deviceInfo,
            ({ process, domid, channel }) => ({
              process,
              domid,
              kind: "console",
              devid: channel + 1,
              nodes: ["state", "ring-ref", "port"],
            }),
            (l, info) => void (l.info = info),
          ),
          step("print", (host, { process, channel, connection, info }) => {
            if (info !== null) stdout(host, process, format.channelRow({ ...info, channel, connection }));
          }),
        ]),
      ],
    ),
  ],
);

/** `xl channel-list`. */
export const channelListVerb = verb(
  "channel-list",
  ({ process, command }) => ({ process, command, status: 0, domain: "", domid: -1 }),
  (words) => [
    words.step("header", (host, l) => stdout(host, l.process, format.channelHeader)),
    eachNamed(words, words.call("channels", listChannels, sameDomain)),
  ],
);
